"""From a file's numbers to its findings: what is a mistake, what only rounding, what a remark.

A file's cost and gradients are compared with the textbook's up to three times, each time with
wider bars, until they agree:

1. within rounding in double precision;
2. within rounding in single precision, if the file computes in it;
3. within what a guard against log(0) or division by zero does, if the file has one: a small
   constant c in its text, which changes 1 / A, A being at least 0.05, by a relative 20 c.

What agrees at the second or the third is right, with a remark. Where all three fail, the
mistakes are those that `verify.diagnose` names at the first.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import manual
from verify.catalogue import GUARDS
from verify.diagnose import diagnose
from verify.evidence.bars.derived import analyse
from verify.findings import Finding
from verify.homework.passes.own_differences import ROUTES
from verify.homework.read.extract import Extract
from verify.homework.read.gradient_lines import NOWHERE
from verify.homework.report import Gradient
from verify.homework.run.calls import array_of
from verify.homework.textbook.problems import LOWEST, forward
from verify.homework.textbook.roles import Role, blamed, place_of
from verify.problem import Problem
from verify.report import over_bar

LARGEST_GUARD = 1e-4
"""A larger constant is no guard, but makes another function."""

_SINGLE = ("float32", "float16", "single", "half", "f4")


@dataclass(frozen=True, eq=False)
class Numbers:
    """What a file computed on a problem: None where it computes no such thing."""

    cost: float | None
    grads: Mapping[str, Any]
    intermediates: Mapping[str, Any]
    is_single: bool


@dataclass(frozen=True)
class Blame:
    """The functions of a file in which a mistake can be."""

    forward: Role | None
    cost: Role | None
    backward: Role | None
    forward_is_right: bool

    def of(self, finding: Finding) -> Role | None:
        """Return the function in which the mistake of a finding is."""
        forward, cost, backward = self.forward, self.cost, self.backward
        if finding.kind == "cost" or (finding.tensor == "loss" and self.forward_is_right):
            return cost or forward or backward
        if finding.kind in ("forward", "loss"):
            return forward or cost or backward
        return backward or forward or cost


def guard_of(found: Extract) -> float:
    """Return the largest small constant of a file that may be a guard, or 0 if it has none."""
    constants = [0.0]
    for statement in found.statements:
        for node in ast.walk(statement.node):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                constants += [node.value, 1 - node.value]
            elif isinstance(node, ast.Attribute) and node.attr in ("eps", "tiny"):
                constants.append(float(np.finfo(float).eps))
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
                constants += [value for value in (_power(node),) if value is not None]
    return max(c for c in constants if 0 <= c <= LARGEST_GUARD)


def _power(node: ast.BinOp) -> float | None:
    """Return the value of 10**-8 and its like."""
    try:
        base, exponent = ast.literal_eval(node.left), ast.literal_eval(node.right)
    except (ValueError, TypeError, SyntaxError):
        return None
    if all(isinstance(x, (int, float)) for x in (base, exponent)) and abs(exponent) < 100 and base:
        power = float(base) ** float(exponent)
        return power if isinstance(power, float) else None
    return None


def says_single(found: Extract) -> bool:
    """Say whether a file's text speaks of single precision."""
    words = {
        getattr(node, "attr", getattr(node, "id", getattr(node, "value", None)))
        for statement in found.statements
        for node in ast.walk(statement.node)
        if isinstance(node, (ast.Attribute, ast.Name, ast.Constant))
    }
    return any(word in words for word in _SINGLE)


def is_single(*results: Any) -> bool:
    """Say whether any result is of less than double precision."""
    kinds = [getattr(result, "dtype", np.dtype(float)) for result in results]
    return any(kind.kind == "f" and kind.itemsize < 8 for kind in kinds)


def bars_of(problem: Problem) -> dict[str, np.ndarray]:
    """Return how far a right gradient of a file may be from the textbook's, by rounding."""
    return {name: ROUTES * bar for name, bar in analyse(problem).bars.items()}


def findings_in(
    found: Extract, blame: Blame, problem: Problem, numbers: Numbers
) -> tuple[list[Finding], list[str]]:
    """Return the mistakes in a file's numbers, and the remarks on them."""
    loss, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    cost = numbers.cost
    strict = _findings(problem, float(loss), numbers, ROUTES * analyse(problem).loss_bar, {})
    guards = [replace(f, follows=()).detail for f in strict if f.bug in GUARDS]
    mistakes = [finding for finding in strict if finding.bug not in GUARDS]
    if not mistakes:
        return [], guards
    where = blame.backward or blame.cost or blame.forward
    name = where.shown if where is not None else ""
    if numbers.is_single or says_single(found):
        single = problem.astype(np.float32)
        bar = ROUTES * analyse(single).loss_bar
        rest = _findings(problem, float(loss), numbers, bar, bars_of(single))
        if all(finding.bug in GUARDS for finding in rest):
            return [], ["It computes in float32, and is judged within its rounding."]
    guard = guard_of(found)
    if guard:
        share = 2 * guard / LOWEST
        bars = {key: share * _reach(problem)[key] for key in grads}
        bar = share * max(abs(float(loss)), 1.0)
        rest = _findings(problem, float(loss), numbers, bar, bars)
        if all(finding.bug in GUARDS for finding in rest):
            off = abs(cost - float(loss)) if cost is not None else 0.0
            return [], [
                f"{name} guards against log(0) or division by zero with {guard:g}: its cost is "
                f"{off:.0e} off the textbook's, and there is no other difference."
            ]
    return [_placed(found, blame, finding) for finding in mistakes], guards


def _findings(
    problem: Problem,
    loss: float,
    numbers: Numbers,
    loss_bar: float,
    wider: Mapping[str, np.ndarray],
) -> Sequence[Finding]:
    bars = bars_of(problem)
    bars = {name: np.maximum(bar, wider.get(name, 0.0)) for name, bar in bars.items()}
    cost = numbers.cost
    if cost is not None and abs(cost - loss) <= loss_bar:
        cost = loss
    found = diagnose(problem, cost, numbers.grads, bars)
    if not numbers.intermediates or wider or all(finding.bug in GUARDS for finding in found):
        # Ignore a wrong dA if no returned gradient uses it.
        return found
    return (
        diagnose(problem, cost, numbers.grads, bars, intermediates=numbers.intermediates) or found
    )


def _reach(problem: Problem) -> dict[str, np.ndarray]:
    """Return what a relative change of every dZ of the output can do to each gradient at most.

    It is the backward pass of |dZ|, in absolute values throughout.
    """
    _, cache = forward(problem)
    positive = [layer._replace(A_prev=np.abs(layer.A_prev), W=np.abs(layer.W)) for layer in cache]
    dZ = np.maximum(np.abs(manual.output_backward(cache, problem.Y)), LOWEST)
    grads, _ = manual.backward(
        dZ, positive, problem.masks, l2=problem.l2, keep_prob=problem.keep_prob
    )
    return {name: np.abs(value) for name, value in grads.items()}


def _placed(found: Extract, blame: Blame, finding: Finding) -> Finding:
    """Return a finding with the function to blame, and the line."""
    role = blame.of(finding)
    if role is None:
        return finding
    line = NOWHERE
    if role is blame.backward and finding.tensor != "loss":
        names = _LOGISTIC[finding.tensor] if role.role == "propagate" else (finding.tensor,)
        places = (place_of(found, role, name) for name in names)
        line = next((place for place in places if place.source), line)
    return blamed(finding, role, line)


_LOGISTIC = {"dW1": ("dw",), "db1": ("db",), "dZ1": ("dZ", "dz", "dw")}
"""The names of the gradients of one layer in logistic regression."""


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return gradients as plain arrays; what is none stays as it is, to be found missing."""
    return {
        name: array if (array := array_of(value)) is not None else value
        for name, value in values.items()
    }


def wrong_gradients(function: str, problem: Problem, given: Mapping[str, Any]) -> list[Gradient]:
    """Return those of the gradients that `function` gave which are beyond their error bars.

    A gradient that is missing, or of another size than its parameter, has no entries to compare.
    """
    _, right = manual.loss_and_grads(*problem.arguments, **problem.options)
    found = []
    for name, bar in bars_of(problem).items():
        array = array_of(given.get(name))
        if array is None or array.size != bar.size:
            continue
        array = np.asarray(array, float).reshape(bar.shape)
        if (over_bar(array - right[name], bar) > 1).any():
            found.append(
                Gradient(function, name, array.tolist(), right[name].tolist(), bar.tolist())
            )
    return found
