"""A pass that applies its gradients itself, `W -= rate * dW`: they are read off the step.

What the object's parameters have moved by, over the rate, is the gradient. A parameter that moves
in another way (by an optimiser, with momentum) hides its gradient.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from verify.homework.passes.experiment import Gradient
from verify.homework.read.discover import is_gradient
from verify.homework.run.door import Expression

RATE = 0.35
"""The learning rate that a pass is given where it asks for one."""


@dataclass(frozen=True)
class Descent:
    """A step along a gradient: what the gradient is called, "" for a formula, and the rate."""

    gradient: str
    ascends: bool
    line: int
    argument: str = ""
    """The argument that is the rate, if one is."""
    attribute: str = ""
    """The attribute that is the rate, if one is; without either it is 1."""

    def down(self, path: str, after: Expression) -> Expression:
        """Return the gradient down which a parameter moved, once the pass has run."""
        rate: Expression = ("value", RATE if self.argument else 1.0)
        if self.attribute:
            rate = ("at", ("slot", 0), self.attribute)
        return ("step", ("in", path), after, rate)


@cache
def descents(node: ast.FunctionDef) -> Mapping[str, Descent]:
    """Return the steps along gradients that a method takes, by the path of what it moves.

    A step upwards is one too: the errors of many start with `y - output`.
    """
    arguments = {part.arg for part in node.args.args}
    found = {}
    for part in ast.walk(node):
        match part:
            case ast.AugAssign(target, ast.Sub() | ast.Add() as sign, step):
                pass
            case ast.Assign([target], ast.BinOp(start, ast.Sub() | ast.Add() as sign, step)) if (
                same(target, start)
            ):
                pass
            case _:
                continue
        path = path_of(target)
        factors = list(_factors(step))
        rates = [factor for factor in factors if _is_rate(factor, arguments)]
        others = [factor for factor in factors if factor not in rates]
        name = others[0].id if len(others) == 1 and isinstance(others[0], ast.Name) else ""
        known = len(rates) == 1 or (not rates and is_gradient(name))
        if path and known and not any(same(target, inner) for inner in ast.walk(step)):
            text = ast.unparse(rates[0]) if rates else ""
            attribute = text.removeprefix("self.") if text.startswith("self.") else ""
            argument = "" if attribute else text
            found[path] = Descent(name, isinstance(sign, ast.Add), part.lineno, argument, attribute)
    return found


def same(one: ast.AST, other: ast.AST) -> bool:
    """Say whether two expressions are written alike."""
    return ast.unparse(one) == ast.unparse(other)


def path_of(target: ast.expr) -> str:
    """Return where a method keeps something: `params.W` of `self.params["W"]`; "" if nowhere."""
    match target:
        case ast.Attribute(ast.Name("self"), name):
            return name
        case ast.Subscript(holder, ast.Constant(str(key))) if path_of(holder):
            return f"{path_of(holder)}.{key}"
    return ""


def _factors(product: ast.expr) -> Iterator[ast.expr]:
    match product:
        case ast.BinOp(left, ast.Mult(), right):
            yield from _factors(left)
            yield from _factors(right)
        case _:
            yield product


RATES = frozenset("lr alpha eta rate learning_rate learningrate learn_rate step_size".split())
"""What a learning rate is called, in lower case."""


def _is_rate(factor: ast.expr, arguments: Collection[str]) -> bool:
    match factor:
        case ast.Name(name):
            return name in arguments and name.lower() in RATES
        case ast.Attribute(ast.Name("self"), name):
            return name.lower() in RATES
    return False


def stepped(
    node: ast.FunctionDef,
    given: Collection[str],
    before: Mapping[str, np.ndarray],
    after: Mapping[str, tuple[Expression, np.ndarray]],
    downwards: bool,
) -> tuple[list[Gradient], list[str]]:
    """Return the gradients down which given parameters moved, and what moved otherwise.

    `downwards` says that all should have moved down. If none did, they may have moved rightly up
    along the negative gradient of a loss that is not known, and are not judged.
    """
    found = descents(node)
    moved = [
        path
        for path in given
        if path in before and path in after and not np.array_equal(before[path], after[path][1])
    ]
    if not downwards and all(found[path].ascends for path in moved if path in found):
        return [], moved
    steps = [
        Gradient(
            found[path].gradient or f"d{path}",
            path,
            found[path].down(path, after[path][0]),
            found[path].line,
        )
        for path in moved
        if path in found
    ]
    return steps, [path for path in moved if path not in found]
