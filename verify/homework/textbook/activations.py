"""Activations and their backwards, each judged by itself, and what people write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import manual
from verify.activations import ACTIVATIONS, KINKED
from verify.homework.passes.own_differences import Arrays
from verify.homework.read.syntax import words
from verify.homework.report import AGREE
from verify.homework.run.calls import CallError, array_of, is_array
from verify.homework.textbook.result_comparison import (
    Alternative,
    Mistake,
    Result,
    evaluated,
    first_of,
    is_close,
    is_derivative_of,
    settle,
)
from verify.homework.textbook.roles import FORWARDS, Role, meaning
from verify.homework.textbook.submission import Submission


def _grid(rng: np.random.Generator, shape: tuple[int, int] = (4, 6)) -> np.ndarray:
    """Return values of both signs and several sizes, none near 0."""
    values = rng.uniform(0.1, 3.0, shape)
    signs = rng.permutation(np.resize([1.0, -1.0], values.size)).reshape(shape)
    signed: np.ndarray = values * signs
    return signed


def sloped(name: str, Z: np.ndarray, leak: float | None) -> np.ndarray:
    """Return g'(Z), with this slope left of 0 where the file has one of its own."""
    return ACTIVATIONS[name].slope(Z) if leak is None else np.where(Z > 0, 1.0, leak)


def leak_of(
    name: str, found: Any, Z: np.ndarray, made_of: Callable[[np.ndarray], np.ndarray]
) -> float | None:
    """Return the slope left of 0 that a file gives a leaky activation, any number in (0, 1).

    `made_of`, which is linear, says what `found` has to be for a slope at each Z. None if it is
    not that for any, or if the activation does not leak.
    """
    array, nothing = array_of(found), made_of(np.where(Z > 0, 1.0, 0.0))
    leaky = name in ACTIVATIONS and ACTIVATIONS[name].leaky
    if not leaky or array is None or np.shape(array) != nothing.shape:
        return None
    through = made_of(np.where(Z > 0, 0.0, 1.0))
    leak = float(((array - nothing) * through).sum() / np.square(through).sum())
    return leak if 0 < leak < 1 and np.allclose(array, nothing + leak * through) else None


def _remark_on_leak(submission: Submission, role: Role, name: str, leak: float | None) -> None:
    ours = ACTIVATIONS[name].sides
    if leak is not None and ours is not None and not np.isclose(leak, ours[0]):
        submission.remark(f"{role.shown} has the slope {leak:g} where Z is negative.")


def judge_activation(submission: Submission, role: Role) -> None:
    """Judge A = g(Z)."""
    Z = _grid(np.random.default_rng((submission.seed, 11)))
    found = _activated(submission, role, Z)
    expected = manual.ACTIVATIONS[role.role].forward(Z)
    if role.role == "softmax":
        by_rows = manual.softmax(Z.T).T
        if np.shape(found) == Z.shape and np.allclose(found, by_rows, rtol=1e-4):
            expected = by_rows
            submission.remark(f"{role.shown} works along rows, one example a row.")
    leak = leak_of(role.role, found, Z, lambda slope: Z * slope)
    if leak is not None:
        expected = Z * sloped(role.role, Z, leak)
        _remark_on_leak(submission, role, role.role, leak)
    formula, wrongs = _FORWARD_FORMULAS[role.role]
    alternatives = evaluated(wrongs, Z=Z)
    scale = (1 + np.abs(Z)) * np.abs(expected)
    settle(submission, role, [Result("A", found, expected, formula, scale, alternatives)])


def _activated(submission: Submission, role: Role, Z: np.ndarray) -> Any:
    """Return an activation's A, computed entry by entry where the function takes no arrays."""
    try:
        return first_of(submission.apply(role, Z))
    except CallError:
        if role.role == "softmax":
            raise
        return np.array(
            [array_of(first_of(submission.apply(role, float(z)))) for z in Z.flat], float
        ).reshape(Z.shape)


_FORWARD_FORMULAS: dict[str, tuple[str, list[Mistake]]] = {
    "sigmoid": (
        "1 / (1 + exp(-Z))",
        [
            ("sigmoid-sign", "The sign of Z is missing: it falls where a sigmoid rises.",
             "1 / (1 + exp(Z))"),
            ("forward-activation", "It is tanh(Z).", "tanh(Z)"),
            ("sigmoid-one-missing", "The 1 in the denominator has the wrong sign.",
             "1 / (1 - exp(-Z))"),
        ],
    ),
    "relu": (
        "maximum(0, Z)",
        [
            ("relu-minimum", "It keeps what is negative.", "minimum(0, Z)"),
            ("relu-absolute", "It is |Z|.", "abs(Z)"),
            ("forward-activation", "It lets a hundredth of what is negative through: that is a "
             "leaky relu.", "maximum(0.01 * Z, Z)"),
            ("relu-step", "It is the derivative of relu.", "Z > 0"),
            ("forward-activation", "It returns Z as it is.", "Z"),
        ],
    ),
    "leaky-relu": (
        "maximum(0.01 * Z, Z)",
        [
            ("forward-activation", "It is relu(Z): nothing of what is negative is let through.",
             "maximum(0, Z)"),
            ("forward-activation", "It returns Z as it is.", "Z"),
            ("relu-minimum", "It keeps the smaller of the two.", "minimum(0.01 * Z, Z)"),
            ("relu-absolute", "What is negative changes its sign.", "where(Z > 0, Z, -0.01 * Z)"),
            ("relu-step", "It is the derivative of the leaky relu.", "where(Z > 0, 1, 0.01)"),
        ],
    ),
    "tanh": (
        "tanh(Z)",
        [("forward-activation", "It is the sigmoid of Z.", "sigmoid(Z)")],
    ),
    "softmax": (
        "exp(Z) / sum of exp(Z) down each column",
        [
            ("softmax-over-everything", "It divides by the sum over all examples: axis=0 is "
             "missing.", "exp(Z) / np.sum(exp(Z))"),
            ("softmax-not-normalised", "It is not divided by the sum over the classes.", "exp(Z)"),
            ("forward-activation", "It is the sigmoid of Z.", "sigmoid(Z)"),
        ],
    ),
}  # fmt: skip
"""The right formula of each activation, and what people write instead."""


def judge_activation_backward(submission: Submission, role: Role) -> None:
    """Judge dZ = dA * g'(Z), or g'(Z) alone."""
    (name,) = FORWARDS[role.role]
    rng = np.random.default_rng((submission.seed, 12))
    Z, dA = _grid(rng), rng.standard_normal((4, 6))
    if not any(meaning(argument, {"dA"}) for argument in role.arguments):
        _derivative(submission, role, name, Z)
        return
    own_forward = submission.role(name, role)
    caches = _caches_of(submission, own_forward, Z)
    caches.append(Z)
    if not {"Z", "z"} & set(words(role.node)):
        caches.append(manual.ACTIVATIONS[name].forward(Z))
    tried: list[tuple[Any, Any]] = []
    for cache in caches:
        found = submission.call(role, {"dA": dA, "cache": cache, "Z": cache})
        tried.append((cache, found))
        if is_close(found, _result(submission, role, Z, dA, found).expected):
            if np.shape(cache) == Z.shape and not np.array_equal(cache, Z):
                submission.remark(f"{role.shown} takes A, not Z, as its cache.")
            break
    else:
        tried = tried[:1]
    cache, found = tried[-1]
    faithful = _is_derivative(submission, role, own_forward, Z, dA)
    settle(submission, role, [_result(submission, role, Z, dA, found)], faithful)
    if name in KINKED and submission.verdict_of(role) == AGREE:
        leak = _leak_due(submission, role, Z, dA, found)
        if own_forward is None:
            _remark_on_leak(submission, role, name, leak)
        _at_zero(submission, role, name, dA, cache, leak)


def _result(
    submission: Submission, role: Role, Z: np.ndarray, dA: np.ndarray, found: Any
) -> Result:
    """Return what a backward function returned, dA * g'(Z), and what people write instead."""
    (name,) = FORWARDS[role.role]
    leak = _leak_due(submission, role, Z, dA, found)
    A = manual.ACTIVATIONS[name].forward(Z) if leak is None else Z * sloped(name, Z, leak)
    expected = manual.softmax_backward(dA, Z) if name == "softmax" else dA * sloped(name, Z, leak)
    formula, wrongs = _BACKWARD_FORMULAS[name]
    alternatives = evaluated(wrongs, dA=dA, Z=Z, A=A, s=A, leak=(A / Z).min())
    theirs = leak_of(name, found, Z, lambda slope: dA * slope)
    if theirs is not None:
        sentence = f"The slope below 0 is {theirs:g}; that of the activation is {(A / Z).min():g}."
        alternatives.append(
            Alternative(
                "derivative-of-another-activation",
                sentence,
                f"dA * where(Z > 0, 1, {theirs:g})",
                dA * sloped(name, Z, theirs),
            )
        )
    return Result("dZ", found, expected, formula, np.abs(dA) * (1 + np.abs(Z)), alternatives)


def _leak_due(
    submission: Submission, role: Role, Z: np.ndarray, dA: np.ndarray, found: Any
) -> float | None:
    """Return the slope left of 0 that a backward must have: that of the file's own activation.

    Without one, it is whatever the backward has.
    """
    (name,) = FORWARDS[role.role]
    forward = submission.role(name, role)
    if forward is None:
        return leak_of(name, found, Z, lambda slope: dA * slope)
    try:
        A = _activated(submission, forward, Z)
    except CallError:
        return None
    return leak_of(name, A, Z, lambda slope: Z * slope)


def _caches_of(submission: Submission, forward: Role | None, Z: np.ndarray) -> list[Any]:
    """Return the cache that the file's own activation makes of Z, if it makes one."""
    if forward is None:
        return []
    try:
        result = submission.apply(forward, Z)
    except CallError:
        return []
    return [result[1]] if isinstance(result, tuple) and len(result) == 2 else []


def _is_derivative(
    submission: Submission, role: Role, forward: Role | None, Z: np.ndarray, dA: np.ndarray
) -> bool | None:
    """Say whether a backward is the derivative of <dA, g(Z)>, g being the file's own activation."""
    if forward is None:
        return None

    def gradient(at: Arrays) -> Arrays:
        caches = _caches_of(submission, forward, at["Z"]) or [at["Z"]]
        found = submission.call(role, {"dA": dA, "cache": caches[0], "Z": at["Z"]})
        return {"Z": np.asarray(array_of(found))}

    return is_derivative_of(
        lambda at: _activated(submission, forward, at["Z"]), dA, gradient, {"Z": Z}
    )


def _derivative(submission: Submission, role: Role, name: str, Z: np.ndarray) -> None:
    """Judge g'(Z) without dA; some take A = g(Z) and return the same."""
    for argument in (Z, manual.ACTIVATIONS[name].forward(Z)):
        found = submission.apply(role, argument)
        result = _result(submission, role, Z, np.ones_like(Z), found)
        if is_close(found, result.expected):
            break
    settle(submission, role, [result])


def _at_zero(
    submission: Submission, role: Role, name: str, dA: np.ndarray, cache: Any, leak: float | None
) -> None:
    """Remark on a slope at a kink that is not that of the left side, as the course has it."""
    if not is_array(cache) or np.shape(cache) != dA.shape:
        return
    zero = np.zeros_like(dA)
    try:
        found = array_of(submission.call(role, {"dA": dA, "cache": zero, "Z": zero}))
    except CallError:
        return
    slope = sloped(name, zero, leak)
    if found is not None and not np.allclose(found, dA * slope):
        submission.remark(
            f"{role.shown} takes another slope at Z = 0 than the course, which has "
            f"{ACTIVATIONS[name].symbol}'(0) = {slope.flat[0]:g}."
        )


_BACKWARD_FORMULAS: dict[str, tuple[str, list[Mistake]]] = {
    "sigmoid": (
        "dA * s * (1 - s) with s = sigmoid(Z)",
        [
            ("derivative-missing", "The derivative of the sigmoid is missing.", "dA"),
            ("derivative-is-activation", "The factor (1 - s) is missing.", "dA * s"),
            ("derivative-one-minus-activation", "The factor s is missing.", "dA * (1 - s)"),
            ("upstream-missing", "It is not multiplied by dA.", "s * (1 - s)"),
            ("derivative-of-preactivation", "The derivative is taken of Z instead of the sigmoid.",
             "dA * Z * (1 - Z)"),
            ("derivative-of-another-activation", "The derivative is that of tanh.",
             "dA * (1 - s**2)"),
            ("derivative-of-another-activation", "The derivative is that of tanh.",
             "dA * (1 - tanh(Z)**2)"),
            ("derivative-of-another-activation", "The derivative is that of relu.", "dA * (Z > 0)"),
            ("derivative-with-plus", "It is s * (1 + s): the sign is wrong.", "dA * s * (1 + s)"),
            ("derivative-of-activation", "The sigmoid is taken of the sigmoid.",
             "dA * sigmoid(s) * (1 - sigmoid(s))"),
        ],
    ),
    "relu": (
        "dA where Z > 0, else 0",
        [
            ("derivative-missing", "The mask Z > 0 is missing.", "dA"),
            ("upstream-missing", "It is not multiplied by dA.", "Z > 0"),
            ("derivative-of-upstream", "The mask is taken of dA instead of Z.", "dA * (dA > 0)"),
            ("derivative-inverted", "The mask is the wrong way round.", "dA * (Z < 0)"),
            ("derivative-is-activation", "It is multiplied by relu(Z), not by its derivative.",
             "dA * maximum(0, Z)"),
            ("derivative-is-preactivation", "It is multiplied by Z, not by the derivative.",
             "dA * Z"),
        ],
    ),
    "leaky-relu": (
        "dA where Z > 0, else leak * dA",
        [
            ("derivative-missing", "The slope below 0 is missing.", "dA"),
            ("upstream-missing", "It is not multiplied by dA.", "where(Z > 0, 1, leak)"),
            ("derivative-of-another-activation", "The derivative is that of relu: it is 0 below 0.",
             "dA * (Z > 0)"),
            ("derivative-inverted", "The slopes are the wrong way round.",
             "dA * where(Z > 0, leak, 1)"),
            ("derivative-of-upstream", "The sign is that of dA instead of Z.",
             "dA * where(dA > 0, 1, leak)"),
            ("derivative-is-activation", "It is multiplied by A, not by the derivative.", "dA * A"),
            ("derivative-is-activation", "Below 0 it is leak * Z, not leak * dA.",
             "where(Z > 0, dA, leak * Z)"),
            ("upstream-missing", "Below 0 it is not multiplied by dA.", "where(Z > 0, dA, leak)"),
        ],
    ),
    "tanh": (
        "dA * (1 - tanh(Z)**2)",
        [
            ("derivative-missing", "The derivative of tanh is missing.", "dA"),
            ("upstream-missing", "It is not multiplied by dA.", "1 - tanh(Z)**2"),
            ("derivative-of-preactivation", "The derivative is taken of Z instead of tanh(Z).",
             "dA * (1 - Z**2)"),
            ("derivative-not-squared", "tanh(Z) is not squared.", "dA * (1 - tanh(Z))"),
            ("derivative-of-another-activation", "The derivative is that of the sigmoid.",
             "dA * A * (1 - A)"),
            ("derivative-with-plus", "The sign is wrong.", "dA * (1 + tanh(Z)**2)"),
        ],
    ),
    "softmax": (
        "A * (dA - sum of A * dA down each column)",
        [
            ("derivative-missing", "The derivative of the softmax is missing.", "dA"),
            ("derivative-diagonal-only", "Only the diagonal of the Jacobian is taken.",
             "dA * A * (1 - A)"),
        ],
    ),
}  # fmt: skip
"""The right formula of each backward function, and what people write instead; s is A."""
