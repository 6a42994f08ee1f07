"""The course's functions in the place of a file's wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from verify.findings import listed
from verify.homework.read.syntax import reach
from verify.homework.report import CRASHED, DISAGREE
from verify.homework.run.namespace import is_unpacked
from verify.homework.textbook import course_modules
from verify.homework.textbook.roles import Role, meaning
from verify.homework.textbook.single_functions import SINGLE_FUNCTIONS
from verify.homework.textbook.submission import Submission


def wrong_within(submission: Submission, users: Sequence[Role]) -> list[Role]:
    """Return the single functions found wrong so far that these functions use or are."""
    functions = submission.extract.functions
    used = {name for role in users for name in reach(role.node, functions)}
    used |= {role.name for role in users if role.role in SINGLE_FUNCTIONS and len(users) > 1}
    return [
        role
        for role in submission.roles
        if role.role in SINGLE_FUNCTIONS
        and role.owner is None
        and role.name in used
        and submission.verdict_of(role) in (DISAGREE, CRASHED)
    ]


@contextmanager
def replaced(submission: Submission, wrong: Sequence[Role]) -> Iterator[None]:
    """Put the course's functions in the place of the file's that are wrong."""
    names = submission.workspace.names
    saved = {role.name: names.get(role.name) for role in wrong}
    ours = {role.name: _course_function(submission, role) for role in wrong}
    names.update({name: function for name, function in ours.items() if function is not None})
    try:
        yield
    finally:
        names.update(saved)


def _course_function(submission: Submission, role: Role) -> Any:
    if role.role in course_modules.FORWARDS:
        pair = course_modules.FORWARDS[role.role]
        return pair if is_unpacked(submission.extract, role.name) else lambda Z: pair(Z)[0]
    if role.role in course_modules.BACKWARDS:
        return course_modules.BACKWARDS[role.role]
    if role.role == "cost":
        return _course_cost(role)
    return course_modules.MODULES["dnn_app"].get(role.role)


def _course_cost(role: Role) -> Callable[..., Any]:
    """Return the course's cost under the file's arguments."""
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
            return course_modules.compute_cost_with_regularization(
                AL, Y, by_meaning["parameters"], lambd
            )
        return course_modules.compute_cost_quietly(AL, Y)

    return cost


def once(wrong: Sequence[Role]) -> str:
    """Say that a function is right but for those it uses."""
    return f"It is right; the mistake is in {listed(role.shown for role in wrong)}, which it uses."
