"""Blocks of a file that are wrong, and the course's in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from verify.homework.read.syntax import reach
from verify.homework.report import CRASHED, DISAGREE
from verify.homework.run.workspace import (
    Workspace,
    is_unpacked,
)
from verify.homework.textbook import stand_ins
from verify.homework.textbook.blocks import BLOCKS
from verify.homework.textbook.recognise import Role
from verify.homework.textbook.workbench import Bench


def wrong_within(bench: Bench, users: Sequence[Role]) -> list[Role]:
    """Return the blocks that were found wrong and that these functions use or are."""
    functions = bench.plain.extract.functions
    used = {name for role in users for name in reach(role.node, functions)}
    used |= {role.name for role in users if role.role in BLOCKS and len(users) > 1}
    return [
        role
        for role in bench.roles
        if role.role in BLOCKS
        and role.owner is None
        and role.name in used
        and bench.outcome.verdict_of(role.shown) in (DISAGREE, CRASHED)
    ]


@contextmanager
def replaced(bench: Bench, wrong: Sequence[Role]) -> Iterator[None]:
    """Put the course's functions in the place of the file's that are wrong."""
    spaces: Sequence[Workspace] = (bench.plain, bench.mirrored)
    saved = [{role.name: space.names.get(role.name) for role in wrong} for space in spaces]
    for space in spaces:
        for role in wrong:
            ours = _course_function(space, role)
            if ours is not None:
                space.names[role.name] = ours
    try:
        yield
    finally:
        for space, own in zip(spaces, saved, strict=True):
            space.names.update(own)


def _course_function(space: Workspace, role: Role) -> Any:
    if role.role in stand_ins.FORWARDS:
        pair = stand_ins.FORWARDS[role.role]
        return pair if is_unpacked(space.extract, role.name) else lambda Z: pair(Z)[0]
    if role.role in stand_ins.BACKWARDS:
        return stand_ins.BACKWARDS[role.role]
    if role.role == "cost":
        return _course_cost(role)
    return stand_ins.MODULES["dnn_app"].get(role.role)


def _course_cost(role: Role) -> Callable[..., Any]:
    """Return the course's cost under the file's arguments."""
    from verify.homework.textbook.recognise import meaning

    arguments = role.arguments

    def cost(*args: Any, **kwargs: Any) -> Any:
        given = dict(zip(arguments, args, strict=False)) | kwargs
        by_meaning = {
            wanted: given[name]
            for name in given
            if (wanted := meaning(name, {"AL", "Y", "parameters", "lambd"})) is not None
        }
        lambd = by_meaning.get("lambd", 0)
        AL, Y = by_meaning["AL"], by_meaning["Y"]
        if "parameters" in by_meaning and lambd:
            return stand_ins.compute_cost_with_regularization(
                AL, Y, by_meaning["parameters"], lambd
            )
        return stand_ins.compute_cost_quietly(AL, Y)

    return cost


def once(wrong: Sequence[Role]) -> str:
    """Say on whose account a function is not wrong itself."""
    return f"It is right once {names_of(wrong)} {'are' if len(wrong) > 1 else 'is'}."


def names_of(roles: Sequence[Role]) -> str:
    """Return the names of functions in one phrase."""
    return " and ".join(role.shown for role in roles)
