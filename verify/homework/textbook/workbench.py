"""How a function of a file is judged by itself: its results beside what they should be.

A result is held against the textbook's value; a backward, too, against JAX's derivative of the
file's own forward function and differences of it (`own_of`). What is wrong is named by the
formula that it computes instead, where that is one that people write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verify.diagnose.search import extent
from verify.evidence.trace import Traced, UntraceableError
from verify.findings import Finding
from verify.homework.passes.derivative import ROUTES, Own, own_gradient
from verify.homework.read.locate import NOWHERE
from verify.homework.report import AGREE, DISAGREE
from verify.homework.run.calls import CallError, array_of, fresh
from verify.homework.run.workspace import Workspace
from verify.homework.textbook.arguments import call
from verify.homework.textbook.draws import LOWEST
from verify.homework.textbook.findings import (
    guard_of,
    is_single,
    says_single,
)
from verify.homework.textbook.judgement import Judgement
from verify.homework.textbook.network import construct
from verify.homework.textbook.recognise import Role, blamed, place_of

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Alternative:
    """A formula that is written by mistake: its name, in words, and what it gives."""

    bug: str
    says: str
    wrong: str
    value: Any


@dataclass(frozen=True, eq=False)
class Result:
    """One result of a function beside what it should be."""

    tensor: str
    found: Any
    expected: np.ndarray
    formula: str
    scale: np.ndarray
    """The size of the terms that it is summed from, to which rounding is relative."""
    alternatives: Sequence[Alternative] = ()


class Bench:
    """What every judgement needs: both workspaces, the roles, and where its outcome goes."""

    def __init__(
        self, plain: Workspace, mirrored: Workspace, roles: Sequence[Role], outcome: Judgement
    ):
        self.plain = plain
        self.mirrored = mirrored
        self.roles = roles
        self.outcome = outcome

    def role(self, kind: str, like: Role) -> Role | None:
        """Return the file's function of a kind, of the same class and, if it can, prefix."""
        found = [r for r in self.roles if r.role == kind and r.owner == like.owner]
        return next((r for r in found if r.prefix == like.prefix), found[0] if found else None)

    def call(self, workspace: Workspace, role: Role, values: Mapping[str, Any]) -> Any:
        """Call a function or a method with the values that its arguments' names ask for."""
        return call(workspace, role, values, self.instance(workspace, role))

    def instance(self, workspace: Workspace, role: Role) -> Any:
        """Return the object that a method is to be called on, or None for a function."""
        if role.owner is None:
            return None
        return construct(workspace, role.owner, (4, 5, 3, 1))


def settle(bench: Bench, role: Role, results: Sequence[Result], own: Any = None) -> None:
    """Set a function's verdict from its results and from what its own forward says."""
    outcome = bench.outcome
    findings, remarks = weigh(bench.plain, role, results)
    for remark in remarks:
        outcome.remark(remark)
    if own is not None and own.remark:
        outcome.remark(f"{role.shown}: {own.remark}; finite differences stood in.")
    if not findings:
        outcome.say(role, AGREE)
        return
    faithful = own is not None and own.faithful
    if faithful:
        says = "It is faithful to the file's own forward function, which is another."
        outcome.say(role, AGREE, says)
        outcome.remark(f"{role.shown} is the gradient of the file's own forward function.")
        return
    outcome.findings.extend(findings)
    outcome.say(role, DISAGREE)


def weigh(
    workspace: Workspace, role: Role, results: Sequence[Result]
) -> tuple[list[Finding], list[str]]:
    """Return the mistakes in a function's results, and what is only worth a remark."""
    findings, remarks = [], []
    for result in results:
        finding = _misshapen(result)
        if finding is None:
            found = np.asarray(array_of(result.found)).reshape(result.expected.shape)
            gap = np.abs(found - result.expected)
            if np.isfinite(found).all():
                remark = _excused(workspace, role, gap, result, is_single(found))
                if remark is not None:
                    remarks += [remark] if remark else []
                    continue
            finding = _named(result, found)
        values = {**finding.values, "formula": result.formula, "tensor": result.tensor}
        finding = replace(finding, right="{formula}", values=values)
        is_plain = result.tensor in _PLAIN_RESULTS
        line = NOWHERE if is_plain else place_of(workspace.extract, role, result.tensor)
        findings.append(blamed(finding, role, line))
    return findings, list(dict.fromkeys(remarks))


_PLAIN_RESULTS = ("A", "Z", "J")


def _excused(
    workspace: Workspace, role: Role, gap: np.ndarray, result: Result, single: bool
) -> str | None:
    """Return why a difference is none (or an empty string, for rounding), or None if it is one."""
    if not (gap > ROUTES * 2.0**-53 * result.scale).any():
        return ""
    found = workspace.extract
    if (single or says_single(found)) and not (gap > ROUTES * 2.0**-24 * result.scale).any():
        return "It computes in float32, and is judged within its rounding."
    guard = guard_of(found)
    if guard and not (gap > 2 * guard / LOWEST * result.scale).any():
        return f"{role.shown} guards against division by zero with {guard:g}."
    return None


def text_of(workspace: Workspace) -> str:
    """Return all that was taken from a file, as text."""
    return " ".join(statement.text for statement in workspace.extract.statements)


_FAMILIES = {"dW": "weights", "db": "bias", "dA_prev": "upstream", "dZ": "upstream"}
"""Which of the catalogue's families a result belongs to; all others are of a forward pass."""


def _of_family(result: Result, mistake: str) -> str:
    return f"{_FAMILIES.get(result.tensor, 'forward')}-{mistake}"


def _misshapen(result: Result) -> Finding | None:
    found = array_of(result.found)
    name, shape = result.tensor, result.expected.shape
    if found is None:
        return Finding("missing", name, says="{tensor} is not there; it should be {formula}.")
    if found.shape == shape or (found.size == 1 == result.expected.size):
        return None
    values = {"shape": str(found.shape), "due": str(shape), "square": str((shape[0],) * 2)}
    if name == "db" and found.shape == shape[:1]:
        return Finding(
            "bias-keepdims-missing",
            name,
            says="db has the shape {shape}: keepdims=True is missing, so b - db broadcasts to "
            "{square}.",
            wrong="np.sum(dZ, axis=1) / m",
            values=values,
        )
    if name == "db" and found.size == 1:
        return Finding(
            "bias-summed-over-everything",
            name,
            says="db is one number: it is summed over the units too; axis=1, keepdims=True is "
            "missing.",
            wrong="np.sum(dZ) / m",
        )
    if found.shape == shape[::-1]:
        says = "{tensor} is transposed: it has the shape {shape}."
        return Finding(_of_family(result, "transposed"), name, says=says, values=values)
    says = "{tensor} has the shape {shape}; it should have {due}."
    return Finding("wrong-shape", name, says=says, values=values)


def _named(result: Result, found: np.ndarray) -> Finding:
    """Return the finding of what was found instead, by its name if it has one."""
    name, expected = result.tensor, result.expected
    for alternative in result.alternatives:
        value = np.asarray(alternative.value)
        if value.shape == found.shape and np.allclose(found, value, rtol=1e-6, atol=1e-12):
            return Finding(alternative.bug, name, says=alternative.says, wrong=alternative.wrong)
    if not np.isfinite(found).all():
        return Finding("not-finite", name, says="{tensor} is not finite.")
    if not found.any():
        says = "{tensor} is 0; it should be {formula}."
        return Finding(_of_family(result, "zero"), name, says=says, wrong="0")
    factor = float((found * expected).sum() / (expected**2).sum())
    if np.allclose(found, factor * expected, rtol=1e-6, atol=1e-12):
        return Finding(
            _of_family(result, "scaled"),
            name,
            says="{tensor} is exactly {factor:.6g} times what it should be, {formula}.",
            wrong="{factor:.6g} * {formula}",
            values={"factor": factor},
        )
    far = np.abs(found - expected) > ROUTES * 2.0**-53 * result.scale
    how_far = extent(name, found, expected, far)
    return Finding("unknown", name, extents=(how_far,), follows=("no-name",))


def own_of(
    bench: Bench, cost: Callable[..., Any], gradient: Callable[..., Any], at: Arrays
) -> Own | None:
    """Check a backward as the gradient of its own forward function.

    `cost(workspace, values)` is one number of that function, `gradient(arrays)` what the backward
    makes of it, and `at` where. None where the forward function cannot be used.
    """

    def loss(arrays: Arrays) -> Any:
        return np.asarray(cost(bench.plain, arrays))

    def traced(tracers: Mapping[str, Any]) -> Any:
        values = {name: Traced(at[name].copy(), tracers[name]) for name in at}
        return _tracer_of(cost(bench.mirrored, values))

    try:
        value = float(loss(fresh(at)))
    except (CallError, TypeError, ValueError):
        return None
    return own_gradient(loss, gradient, traced, at, value)


def _tracer_of(value: Any) -> Any:
    if not isinstance(value, Traced) or value.tracer is None:
        raise UntraceableError("a conversion to plain numbers")
    return value.tracer
