"""A file's own gradient checking: does it accept a right gradient and reject a wrong one?

And the one-dimensional J = theta x that the course begins it with.

A checker is called with the true gradient of the forward pass that it differences, and then with
wrong ones: dW2 doubled and db1 quadrupled (the course's own example), one bias alone, one weight
alone. What it returns for a wrong one is known: ||g - g'|| / (||g|| + ||g'||) at the true g.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import manual
from verify.evidence.differences.central import central_differences
from verify.findings import Finding
from verify.homework.passes.own_differences import compare_with_differences, is_derivative
from verify.homework.read.syntax import calls
from verify.homework.report import AGREE, UNDECIDED
from verify.homework.run.calls import CallError, array_of, number_of
from verify.homework.textbook.problems import M, draw
from verify.homework.textbook.roles import Role, meaning, place_of
from verify.homework.textbook.submission import Submission
from verify.problem import Problem

ACCEPTS = 1e-5
"""A right gradient's difference: with steps of 1e-7 its rounding is some 1e-8, and the course
accepts up to 2e-7; one-sided differences with steps of 1e-4 are about 1e-5 off."""

REJECTS = 1e-3
"""A wrong gradient's difference: those that are tried have at least 0.01."""

LAYERS = (4, 5, 3, 1)
"""The network whose sizes the course's `vector_to_dictionary` has written into it."""


def judge(submission: Submission, role: Role) -> None:
    """Judge a checker, or one of the functions of one variable that it is first tried on."""
    try:
        if role.role == "gradient_check":
            several = any(meaning(a, {"gradients"}) for a in role.arguments)
            (_check_n if several else _check_1d)(submission, role)
        elif role.role == "backward":
            _backward_1d(submission, role)
        else:
            _forward_1d(submission, role)
    except CallError as fault:
        submission.say(role, fault.verdict, str(fault))


def _verdict(value: Any) -> tuple[str, float | None]:
    """Return whether a checker accepts, rejects, or says nothing, and its number."""
    if isinstance(value, tuple) and value:
        value = value[0]
    if isinstance(value, (bool, np.bool_)):
        return ("accepts" if value else "rejects"), None
    number = number_of(value)
    if number is None:
        return "says nothing", None
    number = float(number)
    if not np.isfinite(number):
        return "says nothing", number
    return ("accepts" if abs(number) <= ACCEPTS else "rejects"), number


def _settle(submission: Submission, role: Role, answers: Mapping[str, Any]) -> None:
    """Set a checker's verdict from what it returned for the true gradient and for wrong ones."""
    says, number = _verdict(answers["the true gradient"])
    if says == "says nothing":
        submission.say(role, UNDECIDED, f"{role.shown} returns neither a number nor True or False.")
        return
    if says == "rejects":
        _disagree(submission, role, "rejects-right", "It rejects the true gradient", number)
        return
    for wrong, value in answers.items():
        says, number = _verdict(value)
        small = number is not None and abs(number) < REJECTS
        if wrong != "the true gradient" and (says == "accepts" or small):
            _disagree(submission, role, "accepts-wrong", f"It accepts {wrong}", number)
            return
    submission.say(role, AGREE)


def _disagree(
    submission: Submission, role: Role, bug: str, says: str, number: float | None
) -> None:
    finding = Finding(
        bug,
        "difference",
        says=f"{says}." if number is None else f"{says}: it returns {{number:.3g}}.",
        right=_FORMULA,
        values={"number": number},
    )
    submission.disagree(role, finding, place_of(submission.extract, role, "difference"))


_FORMULA = "norm(grad - gradapprox) / (norm(grad) + norm(gradapprox)), step 2 * epsilon"


def _check_n(submission: Submission, role: Role) -> None:
    problem = draw(LAYERS, M, hidden=("relu", "relu"), output="sigmoid", seed=(submission.seed, 3))
    _, textbook = manual.loss_and_grads(*problem.arguments, **problem.options)
    right = _of_own_forward(submission, role, problem, textbook)
    wrongs = {
        "the true gradient": {},
        "a gradient with dW2 doubled and db1 quadrupled": {"W2": 2.0, "b1": 4.0},
        "a gradient with db3 halved": {"b3": 0.5},
        "a gradient with dW1 negated": {"W1": -1.0},
    }
    answers = {}
    for name, factors in wrongs.items():
        gradients = {f"d{key}": value * factors.get(key, 1.0) for key, value in right.items()}
        values = {"parameters": dict(problem.params), "X": problem.X, "Y": problem.Y}
        values["gradients"] = gradients
        answers[name] = submission.call(role, values)
    _settle(submission, role, answers)


def _of_own_forward(
    submission: Submission, role: Role, problem: Problem, textbook: Mapping[str, np.ndarray]
) -> Mapping[str, np.ndarray]:
    """Return the gradient of the forward pass that the checker differences, not the textbook's.

    A checker is not to blame for a forward pass that is wrong.
    """
    called = calls(role.node)
    forward = next((r for r in submission.roles if r.role == "forward" and r.name in called), None)
    params = dict(problem.params)
    if forward is None:
        return textbook

    def cost(at: Mapping[str, np.ndarray]) -> float:
        values = {"parameters": dict(at), "X": problem.X, "Y": problem.Y, "m": problem.m}
        result = submission.call(forward, values)
        items = result if isinstance(result, tuple) else (result,)
        number = next((n for x in items if (n := number_of(x)) is not None), None)
        if number is None:
            raise CallError(forward.shown, "returns no cost")
        return float(number)

    entries = {key: np.arange(value.size) for key, value in params.items()}
    found = central_differences(cost, params, entries)
    own = {key: found[key].value.reshape(params[key].shape) for key in params}
    # Where they agree, the textbook's has the more digits.
    near = all(np.allclose(own[k], textbook[k], rtol=1e-4, atol=1e-7) for k in own)
    return textbook if near else own


# J = theta x.


def _forward_1d(submission: Submission, role: Role) -> None:
    found = number_of(submission.call(role, {"x": 2.0, "theta": 4.0}))
    values: dict[str, Any] = {}
    if found is None:
        bug, says = "not-a-number", "It does not return one number."
    elif abs(float(found) - 8.0) > 1e-12:
        bug, says = "forward-unknown", "It is {value:.6g} at x = 2, theta = 4; theta * x is 8."
        values = {"value": float(found)}
    else:
        submission.say(role, AGREE)
        return
    finding = Finding(bug, "J", says=says, right="theta * x", values=values)
    submission.disagree(role, finding)


def _backward_1d(submission: Submission, role: Role) -> None:
    forward = next(
        (r for r in submission.roles if r.role == "forward" and "1d" in r.qualifiers), None
    )
    x, theta = 1.7, 0.6
    found = array_of(submission.call(role, {"x": x, "theta": theta}))
    value = None if found is None or found.size != 1 else float(found.reshape(()))
    if value is not None and abs(value - x) <= 1e-12:
        submission.say(role, AGREE)
        return
    if forward is not None and _is_derivative_1d(submission, role, forward, x, theta):
        submission.say(role, AGREE, "It is the derivative of the file's own forward function.")
        return
    shown = "nothing" if value is None else "{value:.6g}"
    finding = Finding(
        "missing" if value is None else "unknown",
        "dtheta",
        says=f"It returns {shown} at x = {{x}}; the derivative of theta * x is x.",
        right="x",
        values={"x": x, "value": value},
    )
    submission.disagree(role, finding, place_of(submission.extract, role, "dtheta"))


def _is_derivative_1d(
    submission: Submission, role: Role, forward: Role, x: float, theta: float
) -> bool | None:
    """Say whether dtheta is the derivative of the file's own forward function."""

    def called(function: Role, arrays: Mapping[str, np.ndarray]) -> Any:
        return submission.call(function, {"x": x, "theta": arrays["theta"][0]})

    def loss(arrays: Mapping[str, np.ndarray]) -> Any:
        return np.asarray(number_of(called(forward, arrays)))

    def grads(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"theta": np.asarray(array_of(called(role, arrays)), float).reshape(1)}

    return is_derivative(compare_with_differences(loss, grads, {"theta": np.array([theta])}))


def _check_1d(submission: Submission, role: Role) -> None:
    backward = next(
        (r for r in submission.roles if r.role == "backward" and "1d" in r.qualifiers), None
    )
    x, theta = 2.0, 4.0
    answers = {}
    wrongs: dict[str, Callable[..., Any]] = {
        "the true gradient": lambda x, theta: x,
        "a doubled gradient": lambda x, theta: 2 * x,
        "a negated gradient": lambda x, theta: -x,
    }
    name = backward.name if backward is not None else "backward_propagation"
    forward = next(
        (r.name for r in submission.roles if r.role == "forward" and "1d" in r.qualifiers), ""
    )
    names = submission.workspace.names
    saved = {key: names.get(key) for key in (name, forward or "forward_propagation")}
    try:
        names[forward or "forward_propagation"] = lambda x, theta: theta * x
        for wrong, gradient in wrongs.items():
            names[name] = gradient
            answers[wrong] = submission.call(role, {"x": x, "theta": theta})
    finally:
        names.update(saved)
    _settle(submission, role, answers)
