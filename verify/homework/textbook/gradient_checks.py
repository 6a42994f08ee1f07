"""A file's own gradient checking: does it accept a right gradient and reject a wrong one?

And the one-dimensional J = theta x that the course begins it with.

A checker is handed the true gradient of the forward pass that it differences, and then wrong
ones: dW2 doubled and db1 quadrupled (the course's own example), one bias alone, one weight
alone. What it returns for a wrong one is known: ||g - g'|| / (||g|| + ||g'||) at the true g.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import manual
from verify.evidence.trace import Traced, UntraceableError
from verify.findings import Finding
from verify.homework.passes.derivative import Own, own_gradient
from verify.homework.report import AGREE, UNDECIDED
from verify.homework.run.calls import CallError, array_of, fresh, number_of
from verify.homework.textbook.arguments import call
from verify.homework.textbook.draws import M, draw
from verify.homework.textbook.recognise import Role, meaning, place_of

if TYPE_CHECKING:
    from verify.homework.textbook.workbench import Bench
    from verify.problem import Problem

Arrays = dict[str, np.ndarray]

ACCEPTS = 1e-5
"""A right gradient's difference: with steps of 1e-7 its rounding is some 1e-8, and the course
accepts up to 2e-7; a checker that differences to one side with 1e-4 comes to 1e-5."""

REJECTS = 1e-3
"""A wrong gradient's difference: those that are tried come to 0.01 and more."""

LAYERS = (4, 5, 3, 1)
"""The network whose sizes the course's `vector_to_dictionary` has written into it."""


def judge(bench: Bench, role: Role) -> None:
    """Judge a checker, or one of the functions of one variable that it is first tried on."""
    try:
        if role.role == "gradient_check":
            several = any(meaning(a, {"gradients"}) for a in role.arguments)
            (_check_n if several else _check_1d)(bench, role)
        elif role.role == "backward":
            _backward_1d(bench, role)
        else:
            _forward_1d(bench, role)
    except CallError as fault:
        bench.outcome.say(role, fault.verdict, str(fault))


def _verdict(value: Any) -> tuple[str, float | None]:
    """Return whether a checker accepts, rejects, or says nothing, and its number."""
    if isinstance(value, tuple) and value:
        value = value[0]
    if isinstance(value, (bool, np.bool_)):
        return ("accepts" if value else "rejects"), None
    number = number_of(value)
    if number is None or isinstance(number, Traced):
        return "says nothing", None
    number = float(number)
    if not np.isfinite(number):
        return "says nothing", number
    return ("accepts" if abs(number) <= ACCEPTS else "rejects"), number


def _settle(bench: Bench, role: Role, trials: Mapping[str, Any]) -> None:
    """Set a checker's verdict from what it returned for the true gradient and for wrong ones."""
    outcome = bench.outcome
    says, number = _verdict(trials["the true gradient"])
    if says == "says nothing":
        outcome.say(
            role, UNDECIDED, f"{role.shown} returns nothing by which it accepts or rejects."
        )
        return
    if says == "rejects":
        _disagree(bench, role, "rejects-right", "It rejects the true gradient", number)
        return
    for wrong, value in trials.items():
        says, number = _verdict(value)
        small = number is not None and abs(number) < REJECTS
        if wrong != "the true gradient" and (says == "accepts" or small):
            _disagree(bench, role, "accepts-wrong", f"It accepts {wrong}", number)
            return
    outcome.say(role, AGREE)


def _disagree(bench: Bench, role: Role, bug: str, says: str, number: float | None) -> None:
    finding = Finding(
        bug,
        "difference",
        says=f"{says}." if number is None else f"{says}: it returns {{number:.3g}}.",
        right=_FORMULA,
        values={"number": number},
    )
    bench.outcome.disagree(role, finding, place_of(bench.plain.extract, role, "difference"))


_FORMULA = "norm(grad - gradapprox) / (norm(grad) + norm(gradapprox)), step 2 * epsilon"


def _check_n(bench: Bench, role: Role) -> None:
    problem = draw(LAYERS, M, hidden=("relu", "relu"), output="sigmoid", seed=3)
    params = dict(problem.params)
    _, right = manual.loss_and_grads(*problem.arguments, **problem.options)
    right = _of_own_forward(bench, role, params, problem, right)
    wrongs = {
        "the true gradient": {},
        "a gradient with dW2 doubled and db1 quadrupled": {"W2": 2.0, "b1": 4.0},
        "a gradient with db3 halved": {"b3": 0.5},
        "a gradient with dW1 negated": {"W1": -1.0},
    }
    trials = {}
    for name, factors in wrongs.items():
        gradients = {f"d{key}": value * factors.get(key, 1.0) for key, value in right.items()}
        values = {
            "parameters": params,
            "gradients": gradients,
            "X": problem.X,
            "Y": problem.Y,
        }
        trials[name] = call(bench.plain, role, fresh(values), bench.instance(bench.plain, role))
    _settle(bench, role, trials)


def _of_own_forward(
    bench: Bench, role: Role, params: Arrays, problem: Problem, textbook: Arrays
) -> Arrays:
    """Return the gradient of the forward pass that the checker differences, not the textbook's.

    A checker is not to blame for a forward pass that is wrong.
    """
    from verify.evidence.differences.central import central_differences
    from verify.homework.read.syntax import calls

    name = next(
        (r.name for r in bench.roles if r.role == "forward" and r.name in calls(role.node)), None
    )
    forward = next((r for r in bench.roles if r.name == name), None)
    if forward is None:
        return textbook

    def cost(at: Mapping[str, np.ndarray]) -> float:
        values = {"parameters": dict(at), "X": problem.X, "Y": problem.Y, "m": problem.m}
        result = call(bench.plain, forward, fresh(values), bench.instance(bench.plain, forward))
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


def _forward_1d(bench: Bench, role: Role) -> None:
    found = number_of(_at(bench, role, 2.0, 4.0))
    values: dict[str, Any] = {}
    if found is None:
        bug, says = "not-a-number", "It does not return one number."
    elif abs(float(found) - 8.0) > 1e-12:
        bug, says = "forward-unknown", "It is {value:.6g} at x = 2, theta = 4; theta * x is 8."
        values = {"value": float(found)}
    else:
        bench.outcome.say(role, AGREE)
        return
    finding = Finding(bug, "J", says=says, right="theta * x", values=values)
    bench.outcome.disagree(role, finding)


def _at(bench: Bench, role: Role, x: float, theta: float) -> Any:
    return call(bench.plain, role, {"x": x, "theta": theta}, bench.instance(bench.plain, role))


def _backward_1d(bench: Bench, role: Role) -> None:
    forward = next((r for r in bench.roles if r.role == "forward" and "1d" in r.qualifiers), None)
    x, theta = 1.7, 0.6
    found = array_of(_at(bench, role, x, theta))
    value = None if found is None or found.size != 1 else float(found.reshape(()))
    own = _own_1d(bench, role, forward, x, theta) if forward is not None else None
    if value is not None and abs(value - x) <= 1e-12:
        bench.outcome.say(role, AGREE)
        return
    if own is not None and own.faithful:
        bench.outcome.say(role, AGREE, "It is the derivative of the file's own forward function.")
        return
    shown = "nothing" if value is None else "{value:.6g}"
    finding = Finding(
        "missing" if value is None else "unknown",
        "dtheta",
        says=f"It returns {shown} at x = {{x}}; the derivative of theta * x is x.",
        right="x",
        values={"x": x, "value": value},
    )
    bench.outcome.disagree(role, finding, place_of(bench.plain.extract, role, "dtheta"))


def _own_1d(bench: Bench, role: Role, forward: Role, x: float, theta: float) -> Own | None:
    at = {"theta": np.array([theta])}

    def value_of(workspace: Any, t: Any) -> Any:
        return call(workspace, forward, {"x": x, "theta": t}, None)

    def loss(arrays: Mapping[str, np.ndarray]) -> Any:
        return np.asarray(number_of(value_of(bench.plain, arrays["theta"][0])))

    def grads(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = array_of(_at(bench, role, x, arrays["theta"][0]))
        return {"theta": np.asarray(found, float).reshape(1)}

    def traced(tracers: Mapping[str, Any]) -> Any:
        result = number_of(value_of(bench.mirrored, Traced(np.float64(theta), tracers["theta"][0])))
        if not isinstance(result, Traced) or result.tracer is None:
            raise UntraceableError("a conversion to a plain number")
        return result.tracer

    try:
        return own_gradient(loss, grads, traced, at, float(loss(at)))
    except (CallError, TypeError):
        return None


def _check_1d(bench: Bench, role: Role) -> None:
    backward = next((r for r in bench.roles if r.role == "backward" and "1d" in r.qualifiers), None)
    x, theta = 2.0, 4.0
    trials = {}
    wrongs: dict[str, Callable[[float, float], float]] = {
        "the true gradient": lambda x, theta: x,
        "a doubled gradient": lambda x, theta: 2 * x,
        "a negated gradient": lambda x, theta: -x,
    }
    name = backward.name if backward is not None else "backward_propagation"
    forward = next(
        (r.name for r in bench.roles if r.role == "forward" and "1d" in r.qualifiers), ""
    )
    names = bench.plain.names
    saved = {key: names.get(key) for key in (name, forward or "forward_propagation")}
    try:
        names[forward or "forward_propagation"] = lambda x, theta: theta * x
        for wrong, gradient in wrongs.items():
            names[name] = gradient
            trials[wrong] = _at(bench, role, x, theta)
    finally:
        names.update(saved)
    _settle(bench, role, trials)
