"""How a function of a file is judged by itself: its results compared with the right ones.

A result is compared with the textbook's value, and a backward function also with differences of
the file's own forward function. What is wrong is named by the formula that the function computes
instead, where that is one that people write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import manual
from verify.diagnose.search import extent
from verify.findings import Finding
from verify.homework.passes.own_differences import (
    ROUTES,
    Arrays,
    compare_with_differences,
    is_derivative,
)
from verify.homework.read.extract import Extract
from verify.homework.read.gradient_lines import NOWHERE
from verify.homework.report import AGREE, DISAGREE
from verify.homework.run.calls import array_of
from verify.homework.textbook.network_comparison import (
    guard_of,
    is_single,
    says_single,
)
from verify.homework.textbook.problems import LOWEST
from verify.homework.textbook.roles import Role, blamed, place_of
from verify.homework.textbook.submission import Submission


@dataclass(frozen=True, eq=False)
class Alternative:
    """A formula that people write by mistake: its name, in words, and what it gives."""

    bug: str
    says: str
    wrong: str
    value: Any


Mistake = tuple[str, str, str]
"""The name of a mistake, what is wrong in words, and the wrong formula in NumPy's names."""


def evaluated(mistakes: Sequence[Mistake], **values: Any) -> list[Alternative]:
    """Return what wrong formulas give for these values of the names in them."""
    return [
        Alternative(bug, says, formula, eval(formula, _NAMES, values))
        for bug, says, formula in mistakes
    ]


_NAMES = {
    "np": np,
    "sigmoid": manual.sigmoid,
    **{name: getattr(np, name) for name in ("exp", "tanh", "maximum", "minimum", "where")},
}
"""The functions that a wrong formula may use."""


@dataclass(frozen=True, eq=False)
class Result:
    """One result of a function, and the right one."""

    tensor: str
    found: Any
    expected: np.ndarray
    formula: str
    scale: np.ndarray
    """The size of the terms that it is summed from, to which rounding is relative."""
    alternatives: Sequence[Alternative] = ()


def settle(
    submission: Submission, role: Role, results: Sequence[Result], faithful: bool | None = None
) -> None:
    """Set a function's verdict; `faithful` says whether it is the derivative of its own forward."""
    findings, remarks = weigh(submission.extract, role, results)
    submission.remark(*remarks)
    if not findings:
        submission.say(role, AGREE)
    elif faithful:
        says = "It is the derivative of the file's own forward function, which is not the course's."
        submission.say(role, AGREE, says)
        submission.remark(f"{role.shown} is the gradient of the file's own forward function.")
    else:
        submission.findings.extend(findings)
        submission.say(role, DISAGREE)


def weigh(found: Extract, role: Role, results: Sequence[Result]) -> tuple[list[Finding], list[str]]:
    """Return the mistakes in a function's results, and what is only worth a remark."""
    findings, remarks = [], []
    for result in results:
        finding = _misshapen(result)
        if finding is None:
            value = np.asarray(array_of(result.found)).reshape(result.expected.shape)
            if np.isfinite(value).all():
                remark = _excused(found, role, value, result)
                if remark is not None:
                    remarks += [remark] if remark else []
                    continue
            finding = _named(result, value)
        values = {**finding.values, "formula": result.formula, "tensor": result.tensor}
        finding = replace(finding, right="{formula}", values=values)
        is_plain = result.tensor in _PLAIN_RESULTS
        line = NOWHERE if is_plain else place_of(found, role, result.tensor)
        findings.append(blamed(finding, role, line))
    return findings, list(dict.fromkeys(remarks))


_PLAIN_RESULTS = ("A", "Z", "J")


def _excused(found: Extract, role: Role, value: np.ndarray, result: Result) -> str | None:
    """Return why a difference is no mistake ("" if it is rounding), or None if it is one."""
    gap = np.abs(value - result.expected)
    if not (gap > ROUTES * 2.0**-53 * result.scale).any():
        return ""
    if (is_single(value) or says_single(found)) and not (
        gap > ROUTES * 2.0**-24 * result.scale
    ).any():
        return "It computes in float32, and is judged within its rounding."
    guard = guard_of(found)
    if guard and not (gap > 2 * guard / LOWEST * result.scale).any():
        return f"{role.shown} guards against division by zero with {guard:g}."
    return None


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


def is_derivative_of(
    forward: Callable[[Arrays], Any],
    weights: np.ndarray,
    gradient: Callable[[Arrays], Arrays],
    at: Arrays,
) -> bool | None:
    """Say whether `gradient` is that of <weights, forward>, or None if that is not known."""

    def loss(arrays: Arrays) -> Any:
        return np.sum(np.multiply(weights, first_of(forward(arrays))))

    return is_derivative(compare_with_differences(loss, gradient, at))


def first_of(result: Any) -> Any:
    """Return the first of several results, or the only one."""
    return result[0] if isinstance(result, tuple) and result else result


def is_close(found: Any, expected: np.ndarray, rtol: float = 1e-5) -> bool:
    """Say whether a result has the shape and about the values that are expected."""
    array = array_of(found)
    return (
        array is not None
        and array.shape == expected.shape
        and np.allclose(array, expected, rtol=rtol)
    )
