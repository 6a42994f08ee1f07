"""How a function of a file is judged by itself: its results beside what they should be.

A result is held against the textbook's value; a backward, too, against JAX's derivative of the
file's own forward function and differences of it (`own_of`). What is wrong is named by the
formula that it computes instead, where that is one that people write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.evidence.trace import Traced, UntraceableError
from verify.homework.passes.derivative import ROUTES, Own, own_gradient
from verify.homework.report import AGREE, DISAGREE, Fault
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
from verify.homework.textbook.recognise import Role, place_of

Arrays = dict[str, np.ndarray]

VISIBLE = 1e-5
"""From what relative difference on an entry is counted as different in a sentence."""


@dataclass(frozen=True, eq=False)
class Alternative:
    """A formula that is written by mistake: its name, in words, and what it gives."""

    bug: str
    sentence: str
    found: str
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
    faults, remarks = weigh(bench.plain, role, results)
    for remark in remarks:
        outcome.remark(remark)
    if own is not None and own.remark:
        outcome.remark(f"{role.shown}: {own.remark}; finite differences stood in.")
    if not faults:
        outcome.say(role, AGREE)
        return
    faithful = own is not None and own.faithful
    if faithful:
        says = "It is faithful to the file's own forward function, which is another."
        outcome.say(role, AGREE, says)
        outcome.remark(f"{role.shown} is the gradient of the file's own forward function.")
        return
    outcome.faults.extend(faults)
    outcome.say(role, DISAGREE, faults[0].detail)


def weigh(
    workspace: Workspace, role: Role, results: Sequence[Result]
) -> tuple[list[Fault], list[str]]:
    """Return the faults in a function's results, and what is only worth a remark."""
    faults, remarks = [], []
    for result in results:
        fault = _shape_fault(result)
        if fault is None:
            found = np.asarray(array_of(result.found)).reshape(result.expected.shape)
            gap = np.abs(found - result.expected)
            if np.isfinite(found).all():
                remark = _excused(workspace, role, gap, result, is_single(found))
                if remark is not None:
                    remarks += [remark] if remark else []
                    continue
            fault = _named(result, found)
        line, source = place_of(workspace.extract, role, result.tensor)
        if result.tensor in _PLAIN_RESULTS:
            line, source = "", ""
        bug, sentence, formula = fault
        faults.append(
            Fault(
                role.shown,
                result.tensor,
                None,
                bug,
                f"{role.shown}: {sentence}",
                formula,
                result.formula,
                line,
                source,
            )
        )
    return faults, list(dict.fromkeys(remarks))


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


def _shape_fault(result: Result) -> tuple[str, str, str] | None:
    found = array_of(result.found)
    name, shape = result.tensor, result.expected.shape
    if found is None:
        return "missing", f"{name} is not there; it should be {result.formula}.", ""
    if found.shape == shape or (found.size == 1 == result.expected.size):
        return None
    if name == "db" and found.shape == shape[:1]:
        return (
            "bias-keepdims-missing",
            f"db has the shape {found.shape}: keepdims=True is missing, so b - db broadcasts to "
            f"{(shape[0], shape[0])}.",
            "np.sum(dZ, axis=1) / m",
        )
    if name == "db" and found.size == 1:
        return (
            "bias-summed-over-units",
            "db is one number: it is summed over the units too; axis=1, keepdims=True is missing.",
            "np.sum(dZ) / m",
        )
    if found.shape == shape[::-1]:
        return "transposed", f"{name} is transposed: it has the shape {found.shape}.", ""
    return "wrong-shape", f"{name} has the shape {found.shape}; it should have {shape}.", ""


def _named(result: Result, found: np.ndarray) -> tuple[str, str, str]:
    """Return the name, the sentence and the formula of what was found instead."""
    for alternative in result.alternatives:
        value = np.asarray(alternative.value)
        if value.shape == found.shape and np.allclose(found, value, rtol=1e-6, atol=1e-12):
            return alternative.bug, alternative.sentence, alternative.found
    expected = result.expected
    if not np.isfinite(found).all():
        return "not-finite", f"{result.tensor} is not finite.", ""
    if not found.any():
        return "zero", f"{result.tensor} is 0; it should be {result.formula}.", "0"
    ratio = float((found * expected).sum() / (expected**2).sum())
    if np.allclose(found, ratio * expected, rtol=1e-6, atol=1e-12):
        return (
            "scaled",
            f"{result.tensor} is exactly {ratio:.6g} times what it should be, {result.formula}.",
            f"{ratio:.6g} * {result.formula}",
        )
    off = np.abs(found - expected) / (np.abs(found) + np.abs(expected) + 1e-300)
    return (
        "unknown",
        f"{result.tensor} is not {result.formula}: {int((off > VISIBLE).sum())} of {off.size} "
        f"entries differ, by a relative {float(off.max()):.2g} at most.",
        "",
    )


def own_of(bench: Bench, cost: Callable, gradient: Callable, at: Arrays) -> Own | None:
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
