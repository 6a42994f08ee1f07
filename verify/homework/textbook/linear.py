"""The linear step, alone and with its activation, and the backward of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import manual
from verify.activations import ACTIVATIONS
from verify.homework.passes.own_differences import Arrays
from verify.homework.read.syntax import words
from verify.homework.run.calls import array_of
from verify.homework.textbook import course_modules
from verify.homework.textbook.activations import leak_of, sloped
from verify.homework.textbook.course_calls import BindError
from verify.homework.textbook.problems import BEND, M
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
from verify.homework.textbook.roles import Role, meaning
from verify.homework.textbook.submission import Submission


def _problem(seed: int) -> tuple[Arrays, np.ndarray]:
    """Return the input of a linear step whose Z is nowhere near 0, where a relu bends, and a dZ."""
    for attempt in range(100):
        rng = np.random.default_rng((seed, 14, attempt))
        given = {
            "A_prev": rng.standard_normal((4, M)),
            "W": 0.7 * rng.standard_normal((3, 4)),
            "b": rng.standard_normal((3, 1)),
        }
        if np.abs(given["W"] @ given["A_prev"] + given["b"]).min() > BEND:
            return given, rng.standard_normal((3, M))
    raise AssertionError("no linear step without a Z near 0 in 100 draws")


def judge_linear_forward(submission: Submission, role: Role) -> None:
    """Judge Z = W A + b."""
    given, _ = _problem(submission.seed)
    A, W, b = (given[name] for name in ("A_prev", "W", "b"))
    found = first_of(submission.call(role, given))
    expected, scale = W @ A + b, np.abs(W) @ np.abs(A) + np.abs(b)
    alternatives = evaluated(_MISTAKES["Z"], A=A, W=W, b=b)
    settle(submission, role, [Result("Z", found, expected, "W @ A + b", 4 * scale, alternatives)])


def judge_linear_backward(submission: Submission, role: Role) -> None:
    """Judge dA_prev, dW and db."""
    given, dZ = _problem(submission.seed)
    step = _Step(submission, role, submission.role("linear_forward", role), {}, "dZ", dZ)
    settle(submission, role, _expected(step.results(given), given, dZ), step.is_derivative(given))


def _expected(found: Sequence[Any], given: Arrays, dZ: np.ndarray) -> list[Result]:
    """Return what was found as dA_prev, dW and db, each with the right one for this dZ."""
    A, W = given["A_prev"], given["W"]
    dA_prev, dW, db = (*found, None, None, None)[:3]
    size = 4 * np.abs(dZ)
    rights = (
        ("dW", dW, dZ @ A.T / M, "dZ @ A_prev.T / m", size @ np.abs(A).T / M),
        ("db", db, dZ.mean(axis=1, keepdims=True), "mean of dZ over the examples",
         size.mean(axis=1, keepdims=True)),
        ("dA_prev", dA_prev, W.T @ dZ, "W.T @ dZ", np.abs(W.T) @ size),
    )  # fmt: skip
    names = {"A_prev": A, "W": W, "dZ": dZ, "m": M}
    return [
        Result(name, result, right, formula, scale, evaluated(_MISTAKES[name], **names))
        for name, result, right, formula, scale in rights
    ]


_MISTAKES: dict[str, list[Mistake]] = {
    "Z": [
        ("forward-bias-missing", "The bias is not added.", "W @ A"),
        ("forward-bias-negated", "The bias is subtracted.", "W @ A - b"),
    ],
    "dW": [
        ("weights-not-averaged", f"dW is not divided by m: it is m = {M} times too large.",
         "dZ @ A_prev.T"),
        ("weights-averaged-twice", "dW is divided by m twice.", "dZ @ A_prev.T / m**2"),
        ("weights-negated", "dW has the wrong sign.", "-dZ @ A_prev.T / m"),
        ("weights-averaged-over-units", "dW is divided by the number of units instead of examples.",
         "dZ @ A_prev.T / A_prev.shape[0]"),
    ],
    "db": [
        ("bias-not-averaged", f"db is not divided by m: it is m = {M} times too large.",
         "np.sum(dZ, axis=1, keepdims=True)"),
        ("bias-averaged-twice", "db is divided by m twice.",
         "np.sum(dZ, axis=1, keepdims=True) / m**2"),
        ("bias-negated", "db has the wrong sign.", "-np.sum(dZ, axis=1, keepdims=True) / m"),
    ],
    "dA_prev": [
        ("upstream-averaged-twice", "dA_prev is divided by m, which dW and db are too.",
         "W.T @ dZ / m"),
        ("upstream-negated", "dA_prev has the wrong sign.", "-W.T @ dZ"),
    ],
}  # fmt: skip
"""What people write instead."""


@dataclass(frozen=True, eq=False)
class _Step:
    """The backward function of a linear step, and what it is called with.

    `forward` is the file's function for the same step, `setting` the activation where the step
    has one, `upstream` what the backward function is given, which is called dZ or dA.
    """

    submission: Submission
    role: Role
    forward: Role | None
    setting: Mapping[str, str]
    upstream_name: str
    upstream: np.ndarray

    def results(self, arrays: Arrays) -> Sequence[Any]:
        """Return dA_prev, dW and db, from the cache that the file's own forward function makes."""
        A_prev, W, b = (arrays[name] for name in ("A_prev", "W", "b"))
        cache: Any = (A_prev, W, b)
        if self.setting:
            cache = course_modules.linear_activation_forward(A_prev, W, b, **self.setting)[1]
        if self.forward is not None:
            made = self.submission.call(self.forward, {**arrays, **self.setting})
            if isinstance(made, tuple) and len(made) == 2:
                cache = made[1]
        values = {**arrays, **self.setting, self.upstream_name: self.upstream}
        values["cache"] = cache
        return _three(self.submission.call(self.role, values))

    def is_derivative(self, arrays: Arrays) -> bool | None:
        """Say whether dA_prev, m dW and m db are the derivative of the file's own step."""
        forward = self.forward
        if forward is None:
            return None

        def step(at: Arrays) -> Any:
            return self.submission.call(forward, {**at, **self.setting})

        def gradient(at: Arrays) -> Arrays:
            dA_prev, dW, db = (np.asarray(array_of(x)) for x in self.results(at))
            return {"A_prev": dA_prev, "W": M * dW, "b": (M * db).reshape(at["b"].shape)}

        return is_derivative_of(step, self.upstream, gradient, arrays)


def _three(result: Any) -> Sequence[Any]:
    """Return dA_prev, dW and db of a tuple or a dict."""
    if isinstance(result, dict):
        lower = {str(key).lower(): value for key, value in result.items()}
        return [
            next((lower[k] for k in keys if k in lower), None)
            for keys in (("da_prev", "da", "daprev"), ("dw",), ("db",))
        ]
    return list(result) if isinstance(result, (tuple, list)) else [result]


# The linear step and the activation together.


def _branches(submission: Submission, role: Role) -> list[tuple[str, str]]:
    """Return the activations that a function knows, at least the course's two, as it names them."""
    if not any(meaning(argument, {"activation"}) for argument in role.arguments):
        raise BindError(role.shown, "takes no activation")
    said = set(words(role.node))
    known = [(name, own) for name, row in ACTIVATIONS.items() for own in row.names if own in said]
    return known or [("sigmoid", "sigmoid"), ("relu", "relu")]


def judge_linear_activation_forward(submission: Submission, role: Role) -> None:
    """Judge the linear step and the activation together, for each that it knows."""
    given, _ = _problem(submission.seed)
    A, W, b = (given[name] for name in ("A_prev", "W", "b"))
    Z = W @ A + b
    results = []
    for name, own in _branches(submission, role):
        found = first_of(submission.call(role, {**given, "activation": own}))
        leak = leak_of(name, found, Z, lambda slope: Z * slope)
        expected = (
            manual.ACTIVATIONS[name].forward(Z) if leak is None else Z * sloped(name, Z, leak)
        )
        others = [
            Alternative("forward-activation", f'For "{own}" it applies {row.symbol}.',
                        f"{row.symbol}(Z)", row.value(Z))
            for other, row in ACTIVATIONS.items() if other != name
        ]  # fmt: skip
        others.append(Alternative("forward-activation", f'For "{own}" it applies nothing.', "Z", Z))
        scale = np.abs(W) @ np.abs(A) + np.abs(b) + np.abs(expected)
        formula = f'{ACTIVATIONS[name].symbol}(Z) for "{own}"'
        results.append(Result("A", found, expected, formula, 4 * scale, others))
    settle(submission, role, results)


def judge_linear_activation_backward(submission: Submission, role: Role) -> None:
    """Judge the backward of both together, for each activation that it knows."""
    given, dA = _problem(submission.seed)
    W, Z = given["W"], given["W"] @ given["A_prev"] + given["b"]
    forward = submission.role("linear_activation_forward", role)
    results: list[Result] = []
    faithful: list[bool | None] = []
    for name, own_name in _branches(submission, role):
        setting = {"activation": own_name}
        step = _Step(submission, role, forward, setting, "dA", dA)
        found = step.results(given)
        if forward is None:
            leak = leak_of(name, found[0], Z, lambda slope: W.T @ (dA * slope))
        else:
            made = first_of(submission.call(forward, {**given, **setting}))
            leak = leak_of(name, made, Z, lambda slope: Z * slope)
        others = {
            row.symbol: dA * row.slope(Z) for other, row in ACTIVATIONS.items() if other != name
        } | {"no activation": dA}
        for position, result in enumerate(_expected(found, given, dA * sloped(name, Z, leak))):
            swapped = [
                Alternative(
                    "derivative-missing"
                    if other == "no activation"
                    else "derivative-of-another-activation",
                    f'For "{own_name}" it takes the derivative of {other}.',
                    f"the backward of {other}",
                    _expected(found, given, dZ)[position].expected,
                )
                for other, dZ in others.items()
            ]
            alternatives = [*result.alternatives, *swapped]
            results.append(replace(result, scale=2 * result.scale, alternatives=alternatives))
        faithful.append(step.is_derivative(given))
    settle(submission, role, _once(results), all(faithful))


def _once(results: Sequence[Result]) -> list[Result]:
    """Return the results, those of later activations only where the first is right."""
    kept: dict[str, Result] = {}
    for result in results:
        previous = kept.get(result.tensor)
        if previous is None or is_close(previous.found, previous.expected, rtol=1e-4):
            kept[result.tensor] = result
    return list(kept.values())
