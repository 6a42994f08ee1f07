"""What a pass says without guards: numbers that keep a log or a division finite, say.

A student differentiates log(p), and the file has log(p + 1e-8), of which the derivative is
p / (p + 1e-8) times that. Where every gradient is right but for a little, the passes are run again
with 0 for each small number that is added to something; a gradient that is right then is right.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from verify.homework.passes.case import Case
from verify.homework.passes.experiment import Experiment
from verify.homework.passes.measure import measure
from verify.homework.passes.verdicts import Outcome, relative_error, weigh
from verify.homework.read.discover import methods_of
from verify.homework.read.extract import Extract
from verify.homework.run.door import Step

LARGEST = 1e-3
"""A larger number is no guard, but makes another function."""

LITTLE = 0.05
"""How far off a gradient may be, over its size, for a guard: half of what must always show."""


def outcome_of(case: Case, experiment: Experiment, seed: int, averages: bool) -> Outcome:
    """Return what an experiment says of a pass, with the guards of the file or without.

    `averages` is as in `verdicts.weigh`.
    """
    outcome = weigh(experiment, measure(case.door, experiment, seed), averages)
    if not outcome.wrong or any(relative_error(wrong) > LITTLE for wrong in outcome.wrong):
        return outcome
    added = {name for each in case.found.statements for name in _added(each.node)}
    defined = tuple(unguarded(case.found, added))

    def bared(steps: Sequence[Step]) -> tuple[Step, ...]:
        return (*defined, *(_called_without(step, added) for step in steps))

    bare = replace(
        experiment, forward=bared(experiment.forward), backward=bared(experiment.backward)
    )
    if bare.forward == experiment.forward:
        return outcome
    without = weigh(bare, measure(case.door, bare, seed), averages)
    if not without.agrees:
        return outcome
    slight = max(relative_error(wrong) for wrong in outcome.wrong)
    return replace(without, experiment=experiment, slight=slight)


def _called_without(step: Step, added: Collection[str]) -> Step:
    """Return a call with 0 for a guard that it hands over, under one of its names."""
    if step[0] != "call":
        return step
    *before, given = step
    return (*before, {
        name: ("value", 0.0)
        if name in added and what[0] == "value" and _is_small(what[1]) else what
        for name, what in given.items()
    })  # fmt: skip


def unguarded(found: Extract, added: Collection[str]) -> Iterator[Step]:
    """Yield the steps that define a file's functions and global names without guards.

    `added` are the names of what is added to something.
    """
    for statement in found.statements:
        node = statement.node
        if isinstance(node, ast.Assign) and _is_guard(node.value):
            for name in map(_name, node.targets):
                if name in added:
                    yield ("global", name, ("value", 0.0))
    homes: list[tuple[str | None, Mapping[str, ast.FunctionDef]]] = [(None, found.functions)]
    homes += [(owner, methods_of(found, owner)) for owner in found.classes]
    for owner, name, node in ((owner, *pair) for owner, home in homes for pair in home.items()):
        bare = _Unguarded(added).visit(copy.deepcopy(node))
        text = ast.unparse(bare)
        if text != ast.unparse(node):
            yield ("define", owner, name, text)


def _added(tree: ast.AST) -> Iterator[str]:
    """Yield the names of what is added to something as it is, or taken off it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            yield from filter(None, (_name(node.left), _name(node.right)))


def _name(node: ast.AST) -> str:
    """Return a name, or that of an attribute of anything, else ""."""
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def _is_guard(node: ast.AST | None) -> bool:
    """Say whether an expression is a small number: 1e-8, 10**-8 or NumPy's own."""
    if isinstance(node, ast.Constant):
        return _is_small(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr in ("eps", "tiny")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        try:
            base, power = ast.literal_eval(node.left), ast.literal_eval(node.right)
        except (ValueError, TypeError, SyntaxError):
            return False
        return base in (10, 2) and -99 < power < 0 and base**power <= LARGEST
    return False


def _is_small(value: Any) -> bool:
    return isinstance(value, float) and 0 < value <= LARGEST


class _Unguarded(ast.NodeTransformer):
    """Puts 0 for a guard that is added to something, itself or by one of its names."""

    def __init__(self, added: Collection[str]):
        self.added = added

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Add | ast.Sub):
            node.left, node.right = _without(node.left), _without(node.right)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        if any(_name(target) in self.added for target in node.targets):
            node.value = _without(node.value)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        self.generic_visit(node)
        if node.arg in self.added:
            node.value = _without(node.value)
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        self.generic_visit(node)
        named = [*node.posonlyargs, *node.args][-len(node.defaults) :] if node.defaults else []
        node.defaults = [
            _without(value) if name.arg in self.added else value
            for name, value in zip(named, node.defaults, strict=True)
        ]
        node.kw_defaults = [
            _without(value) if value is not None and name.arg in self.added else value
            for name, value in zip(node.kwonlyargs, node.kw_defaults, strict=True)
        ]
        return node


def _without(node: ast.expr) -> ast.expr:
    return ast.Constant(0.0) if _is_guard(node) else node
