"""The functions that a network is made of, each judged by itself against the textbook's.

Activations, the linear step, both together, each beside its backward; and the cost. A backward
is held against three things: the textbook's formula, JAX's derivative of the file's own forward
function, and differences of that. A block that is wrong is named by the formula that it
computes instead, where that is one that people write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import manual
from verify.submissions.calls import (
    BindError,
    CallError,
    array_of,
    call,
    fresh,
    function,
    guarded,
    is_array,
    number_of,
)
from verify.submissions.draws import BEND, L2, LOWEST, draw
from verify.submissions.findings import (
    Blame,
    Numbers,
    faults_in,
    guard_of,
    is_single,
    says_single,
)
from verify.submissions.mirror import Traced, UntraceableError, apply
from verify.submissions.network import construct, output_of
from verify.submissions.recognise import Role, depth, meaning, words
from verify.submissions.stand_ins import linear_activation_forward, linear_forward
from verify.submissions.verdicts import (
    AGREE,
    DISAGREE,
    Fault,
    Outcome,
    locate,
)
from verify.submissions.ways import ROUTES, own_gradient
from verify.submissions.workspace import Workspace

Arrays = dict[str, np.ndarray]

VISIBLE = 1e-5
"""From what relative difference on an entry is counted as different in a sentence."""

BLOCKS = (
    "sigmoid",
    "relu",
    "tanh",
    "softmax",
    "linear_forward",
    "linear_activation_forward",
    "sigmoid_backward",
    "relu_backward",
    "tanh_backward",
    "softmax_backward",
    "linear_backward",
    "linear_activation_backward",
    "cost",
)
"""In the order in which they are judged: what others are made of comes first."""


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
        self, plain: Workspace, mirrored: Workspace, roles: Sequence[Role], outcome: Outcome
    ):
        self.plain = plain
        self.mirrored = mirrored
        self.roles = roles
        self.outcome = outcome

    def role(self, kind: str, like: Role) -> Role | None:
        """Return the file's function of a kind, of the same class and, if it can, prefix."""
        found = [r for r in self.roles if r.role == kind and r.owner == like.owner]
        return next((r for r in found if r.prefix == like.prefix), found[0] if found else None)

    def instance(self, workspace: Workspace, role: Role) -> Any:
        """Return the object that a method is to be called on, or None for a function."""
        if role.owner is None:
            return None
        return construct(workspace, role.owner, (4, 5, 3, 1))


def judge_block(bench: Bench, role: Role) -> None:
    """Judge one function, and put what is said of it into the bench's outcome."""
    outcome = bench.outcome
    try:
        _JUDGES[role.role](bench, role)
    except CallError as fault:
        outcome.say(role, fault.verdict, str(fault))


def _settle(bench: Bench, role: Role, results: Sequence[Result], own: Any = None) -> None:
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
        line, source = locate(workspace.extract, role, result.tensor)
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


def _words_of(workspace: Workspace) -> str:
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


# Activations.


def _grid(rng: np.random.Generator, shape: tuple[int, int] = (4, 6)) -> np.ndarray:
    """Return values of both signs and several sizes, none near 0."""
    values = rng.uniform(0.1, 3.0, shape)
    return values * rng.permutation(np.resize([1.0, -1.0], shape[0] * shape[1])).reshape(shape)


def _activation(bench: Bench, role: Role) -> None:
    Z = _grid(np.random.default_rng(11))
    found = _activated(bench.plain, role, Z, bench.instance(bench.plain, role))
    expected = manual.ACTIVATIONS[role.role].forward(Z)
    if role.role == "softmax":
        by_rows = manual.softmax(Z.T).T
        if np.shape(found) == Z.shape and np.allclose(found, by_rows, rtol=1e-4):
            expected = by_rows
            bench.outcome.remark(f"{role.shown} works along rows, one example a row.")
    formula, wrongs = _FORWARD_FORMULAS[role.role]
    alternatives = [Alternative(bug, text, form, make(Z)) for bug, text, form, make in wrongs]
    scale = (1 + np.abs(Z)) * np.abs(expected)
    _settle(bench, role, [Result("A", found, expected, formula, scale, alternatives)])


def _activated(workspace: Workspace, role: Role, Z: Any, instance: Any) -> Any:
    """Return an activation's A, of one number at a time where it takes no arrays."""
    func = function(workspace, role, instance)

    def first(value: Any) -> Any:
        result = guarded(workspace, role.shown, func, fresh(value))
        return result[0] if isinstance(result, tuple) and result else result

    try:
        return first(Z)
    except CallError:
        if isinstance(Z, Traced) or role.role == "softmax":
            raise
        return np.array([array_of(first(float(z))) for z in Z.flat], float).reshape(Z.shape)


_FORWARD_FORMULAS: dict[str, tuple[str, list[tuple[str, str, str, Callable]]]] = {
    "sigmoid": (
        "1 / (1 + exp(-Z))",
        [
            (
                "sigmoid-sign",
                "The sign of Z is missing: it falls where a sigmoid rises.",
                "1 / (1 + exp(Z))",
                lambda Z: 1 / (1 + np.exp(Z)),
            ),
            ("sigmoid-is-tanh", "It is tanh(Z).", "tanh(Z)", np.tanh),
            (
                "sigmoid-one-missing",
                "The 1 under the bar has the wrong sign.",
                "1 / (1 - exp(-Z))",
                lambda Z: 1 / (1 - np.exp(-Z)),
            ),
        ],
    ),
    "relu": (
        "maximum(0, Z)",
        [
            ("relu-minimum", "It keeps what is negative.", "minimum(0, Z)",
             lambda Z: np.minimum(0, Z)),
            ("relu-absolute", "It is |Z|.", "abs(Z)", np.abs),
            (
                "relu-leaky",
                "It lets a hundredth of what is negative through: that is a leaky relu.",
                "maximum(0.01 * Z, Z)",
                lambda Z: np.maximum(0.01 * Z, Z),
            ),
            ("relu-step", "It is the derivative of relu.", "Z > 0", lambda Z: (Z > 0) * 1.0),
            ("relu-missing", "It returns Z as it is.", "Z", lambda Z: Z),
        ],
    ),
    "tanh": (
        "tanh(Z)",
        [("tanh-is-sigmoid", "It is the sigmoid of Z.", "sigmoid(Z)", manual.sigmoid)],
    ),
    "softmax": (
        "exp(Z) / sum of exp(Z) down each column",
        [
            (
                "softmax-over-everything",
                "It divides by the sum over all examples: axis=0 is missing.",
                "exp(Z) / np.sum(exp(Z))",
                lambda Z: np.exp(Z) / np.exp(Z).sum(),
            ),
            (
                "softmax-not-normalised",
                "It is not divided by the sum over the classes.",
                "exp(Z)",
                np.exp,
            ),
            ("softmax-is-sigmoid", "It is the sigmoid of Z.", "sigmoid(Z)", manual.sigmoid),
        ],
    ),
}  # fmt: skip


def _activation_backward(bench: Bench, role: Role) -> None:
    name = role.role.removesuffix("_backward")
    rng = np.random.default_rng(12)
    Z, dA = _grid(rng), rng.standard_normal((4, 6))
    forward, backward = manual.ACTIVATIONS[name]
    if not any(meaning(argument, {"dA"}) for argument in role.arguments):
        _derivative(bench, role, name, Z)
        return
    own_forward = bench.role(name, role)
    expected = backward(dA, Z)
    caches = _caches_of(bench, own_forward, Z)
    caches.append(Z)
    if not {"Z", "z"} & set(words(role.node)):
        caches.append(forward(Z))
    tried: list[tuple[Any, Any]] = []
    for cache in caches:
        found = call(
            bench.plain,
            role,
            fresh({"dA": dA, "cache": cache, "Z": cache}),
            bench.instance(bench.plain, role),
        )
        tried.append((cache, found))
        array = array_of(found)
        if array is not None and np.shape(array) == Z.shape and np.allclose(array, expected):
            if np.shape(cache) == Z.shape and not np.array_equal(cache, Z):
                bench.outcome.remark(f"{role.shown} takes A, not Z, as its cache.")
            break
    else:
        tried = tried[:1]
    cache, found = tried[-1]
    formula, wrongs = _BACKWARD_FORMULAS[name]
    values = {"dA": dA, "Z": Z, "A": forward(Z)}
    alternatives = [Alternative(b, text, form, make(**values)) for b, text, form, make in wrongs]
    scale = np.abs(dA) * (1 + np.abs(Z))
    own = None
    if own_forward is not None:
        own = _own_activation(bench, role, own_forward, Z, dA)
    _settle(bench, role, [Result("dZ", found, expected, formula, scale, alternatives)], own)
    if name == "relu" and bench.outcome.verdict_of(role.shown) == AGREE:
        _at_zero(bench, role, dA, cache)


def _caches_of(bench: Bench, forward: Role | None, Z: np.ndarray) -> list[Any]:
    """Return the cache that the file's own activation makes of Z, if it makes one."""
    if forward is None:
        return []
    try:
        result = guarded(
            bench.plain,
            forward.shown,
            function(bench.plain, forward, bench.instance(bench.plain, forward)),
            Z.copy(),
        )
    except CallError:
        return []
    return [result[1]] if isinstance(result, tuple) and len(result) == 2 else []


def _own_activation(bench: Bench, role: Role, forward: Role, Z: np.ndarray, dA: np.ndarray):
    """Check a backward as the gradient of <dA, g(Z)>, g being the file's own activation."""

    def cost(workspace: Workspace, values: Any) -> Any:
        A = _activated(workspace, forward, values, bench.instance(workspace, forward))
        return apply(np.sum, apply(np.multiply, dA, A))

    def gradient(at: Arrays) -> Arrays:
        caches = _caches_of(bench, forward, at["Z"]) or [at["Z"]]
        values = fresh({"dA": dA, "cache": caches[0], "Z": at["Z"]})
        found = call(bench.plain, role, values, bench.instance(bench.plain, role))
        return {"Z": np.asarray(array_of(found))}

    return _own(bench, cost, gradient, "Z", Z)


def _own(bench: Bench, cost: Callable, gradient: Callable, name: str, at: np.ndarray):
    def loss(arrays: Arrays) -> Any:
        return np.asarray(cost(bench.plain, arrays[name]))

    def traced(tracers: Mapping[str, Any]) -> Any:
        return _tracer_of(cost(bench.mirrored, Traced(at.copy(), tracers[name])))

    try:
        value = float(loss({name: at.copy()}))
    except (CallError, TypeError, ValueError):
        return None
    return own_gradient(loss, gradient, traced, {name: at}, value)


def _tracer_of(value: Any) -> Any:
    if not isinstance(value, Traced) or value.tracer is None:
        raise UntraceableError("a conversion to plain numbers")
    return value.tracer


def _derivative(bench: Bench, role: Role, name: str, Z: np.ndarray) -> None:
    """Judge g'(Z) without dA; some take A = g(Z) and return the same."""
    forward, backward = manual.ACTIVATIONS[name]
    expected = backward(np.ones_like(Z), Z)
    found = None
    for argument in (Z, forward(Z)):
        found = guarded(
            bench.plain,
            role.shown,
            function(bench.plain, role, bench.instance(bench.plain, role)),
            argument.copy(),
        )
        array = array_of(found)
        if array is not None and np.shape(array) == Z.shape and np.allclose(array, expected):
            break
    formula, wrongs = _BACKWARD_FORMULAS[name]
    values = {"dA": np.ones_like(Z), "Z": Z, "A": forward(Z)}
    alternatives = [Alternative(b, text, form, make(**values)) for b, text, form, make in wrongs]
    scale = 1 + np.abs(Z)
    _settle(bench, role, [Result("dZ", found, expected, formula, scale, alternatives)])


def _at_zero(bench: Bench, role: Role, dA: np.ndarray, cache: Any) -> None:
    """Remark on relu'(0) where it is not the courses' 0."""
    if not is_array(cache) or np.shape(cache) != dA.shape:
        return
    try:
        found = array_of(
            call(
                bench.plain,
                role,
                {"dA": dA.copy(), "cache": np.zeros_like(dA), "Z": np.zeros_like(dA)},
                bench.instance(bench.plain, role),
            )
        )
    except CallError:
        return
    if found is not None and found.any():
        bench.outcome.remark(
            f"{role.shown} lets the gradient through at Z = 0; the course does not."
        )


_BACKWARD_FORMULAS: dict[str, tuple[str, list[tuple[str, str, str, Callable]]]] = {
    "sigmoid": (
        "dA * s * (1 - s) with s = sigmoid(Z)",
        [
            ("activation-derivative-missing", "The derivative of the sigmoid is missing.", "dA",
             lambda dA, Z, A: dA),
            ("derivative-half", "The factor (1 - s) is missing.", "dA * s",
             lambda dA, Z, A: dA * A),
            ("derivative-half", "The factor s is missing.", "dA * (1 - s)",
             lambda dA, Z, A: dA * (1 - A)),
            ("upstream-missing", "It is not multiplied by dA.", "s * (1 - s)",
             lambda dA, Z, A: A * (1 - A) + 0 * dA),
            ("derivative-of-wrong-argument", "The derivative is taken of Z instead of the sigmoid.",
             "dA * Z * (1 - Z)", lambda dA, Z, A: dA * Z * (1 - Z)),
            ("derivative-of-another-activation", "The derivative is that of tanh.",
             "dA * (1 - s**2)", lambda dA, Z, A: dA * (1 - A**2)),
            ("derivative-of-another-activation", "The derivative is that of tanh.",
             "dA * (1 - tanh(Z)**2)", lambda dA, Z, A: dA * (1 - np.tanh(Z) ** 2)),
            ("derivative-of-another-activation", "The derivative is that of relu.", "dA * (Z > 0)",
             lambda dA, Z, A: dA * (Z > 0)),
            ("derivative-sign", "It is s * (1 + s): the sign is wrong.", "dA * s * (1 + s)",
             lambda dA, Z, A: dA * A * (1 + A)),
            ("derivative-of-wrong-argument", "The sigmoid is taken of the sigmoid.",
             "dA * sigmoid(s) * (1 - sigmoid(s))",
             lambda dA, Z, A: dA * manual.sigmoid(A) * (1 - manual.sigmoid(A))),
        ],
    ),
    "relu": (
        "dA where Z > 0, else 0",
        [
            ("activation-derivative-missing", "The mask Z > 0 is missing.", "dA",
             lambda dA, Z, A: dA),
            ("upstream-missing", "It is not multiplied by dA.", "Z > 0",
             lambda dA, Z, A: (Z > 0) + 0 * dA),
            ("relu-mask-of-gradient", "The mask is taken of dA instead of Z.", "dA * (dA > 0)",
             lambda dA, Z, A: dA * (dA > 0)),
            ("relu-mask-inverted", "The mask is the wrong way round.", "dA * (Z < 0)",
             lambda dA, Z, A: dA * (Z < 0)),
            ("derivative-of-another-activation", "It is multiplied by relu(Z), not by its "
             "derivative.", "dA * maximum(0, Z)", lambda dA, Z, A: dA * A),
            ("derivative-of-another-activation", "It is multiplied by Z, not by the derivative.",
             "dA * Z", lambda dA, Z, A: dA * Z),
            ("derivative-of-another-activation", "It is relu of dA.", "maximum(0, dA)",
             lambda dA, Z, A: np.maximum(0, dA)),
        ],
    ),
    "tanh": (
        "dA * (1 - tanh(Z)**2)",
        [
            ("activation-derivative-missing", "The derivative of tanh is missing.", "dA",
             lambda dA, Z, A: dA),
            ("upstream-missing", "It is not multiplied by dA.", "1 - tanh(Z)**2",
             lambda dA, Z, A: 1 - A**2 + 0 * dA),
            ("derivative-of-wrong-argument", "The derivative is taken of Z instead of tanh(Z).",
             "dA * (1 - Z**2)", lambda dA, Z, A: dA * (1 - Z**2)),
            ("derivative-not-squared", "tanh(Z) is not squared.", "dA * (1 - tanh(Z))",
             lambda dA, Z, A: dA * (1 - A)),
            ("derivative-of-another-activation", "The derivative is that of the sigmoid.",
             "dA * A * (1 - A)", lambda dA, Z, A: dA * A * (1 - A)),
            ("derivative-sign", "The sign is wrong.", "dA * (1 + tanh(Z)**2)",
             lambda dA, Z, A: dA * (1 + A**2)),
        ],
    ),
    "softmax": (
        "A * (dA - sum of A * dA down each column)",
        [
            ("activation-derivative-missing", "The derivative of the softmax is missing.", "dA",
             lambda dA, Z, A: dA),
            ("softmax-diagonal-only", "Only the diagonal of the Jacobian is taken.",
             "dA * A * (1 - A)", lambda dA, Z, A: dA * A * (1 - A)),
        ],
    ),
}  # fmt: skip


# The linear step.


def _linear_problem() -> Arrays:
    rng = np.random.default_rng(13)
    return {
        "A_prev": rng.standard_normal((4, 7)),
        "W": rng.standard_normal((3, 4)),
        "b": rng.standard_normal((3, 1)),
        "dZ": rng.standard_normal((3, 7)),
    }


def _linear_forward(bench: Bench, role: Role) -> None:
    given = _linear_problem()
    A, W, b = (given[name] for name in ("A_prev", "W", "b"))
    result = call(bench.plain, role, fresh(given), bench.instance(bench.plain, role))
    found = result[0] if isinstance(result, tuple) and result else result
    expected, scale = W @ A + b, np.abs(W) @ np.abs(A) + np.abs(b)
    alternatives = [
        Alternative("bias-missing", "The bias is not added.", "W @ A", W @ A),
        Alternative("bias-sign", "The bias is subtracted.", "W @ A - b", W @ A - b),
    ]
    _settle(bench, role, [Result("Z", found, expected, "W @ A + b", 4 * scale, alternatives)])


def _linear_backward(bench: Bench, role: Role) -> None:
    given = _linear_problem()
    A, W, dZ = given["A_prev"], given["W"], given["dZ"]
    forward = bench.role("linear_forward", role)
    found = _linear_results(bench, role, forward, given)
    own = _own_linear(bench, role, forward, given) if forward is not None else None
    _settle(bench, role, _linear_expected(found, A, W, dZ), own)


def _linear_expected(found: Sequence[Any], A: np.ndarray, W: np.ndarray, dZ: np.ndarray):
    m = A.shape[1]
    dA_prev, dW, db = (*found, None, None, None)[:3]
    dW_right, db_right = dZ @ A.T / m, dZ.sum(axis=1, keepdims=True) / m
    size = np.abs(dZ)
    return [
        Result(
            "dW",
            dW,
            dW_right,
            "dZ @ A_prev.T / m",
            4 * size @ np.abs(A).T / m,
            [
                Alternative("mean-missing", f"dW is not divided by m: it is m = {m} times too "
                            "large.", "dZ @ A_prev.T", m * dW_right),
                Alternative("averaged-twice", "dW is divided by m twice.", "dZ @ A_prev.T / m**2",
                            dW_right / m),
                Alternative("sign", "dW has the wrong sign.", "-dZ @ A_prev.T / m", -dW_right),
                Alternative("divided-by-units", "dW is divided by the number of units instead of "
                            "examples.", f"dZ @ A_prev.T / {A.shape[0]}",
                            dW_right * m / A.shape[0]),
            ],
        ),
        Result(
            "db",
            db,
            db_right,
            "mean of dZ over the examples",
            4 * size.sum(axis=1, keepdims=True) / m,
            [
                Alternative("mean-missing", f"db is not divided by m: it is m = {m} times too "
                            "large.", "np.sum(dZ, axis=1, keepdims=True)", m * db_right),
                Alternative("averaged-twice", "db is divided by m twice.",
                            "np.sum(dZ, axis=1, keepdims=True) / m**2", db_right / m),
                Alternative("sign", "db has the wrong sign.", "-np.sum(dZ, ...) / m", -db_right),
            ],
        ),
        Result(
            "dA_prev",
            dA_prev,
            W.T @ dZ,
            "W.T @ dZ",
            4 * np.abs(W.T) @ size,
            [
                Alternative("mean-not-due", "dA_prev is divided by m, which dW and db are too.",
                            "W.T @ dZ / m", W.T @ dZ / m),
                Alternative("sign", "dA_prev has the wrong sign.", "-W.T @ dZ", -W.T @ dZ),
            ],
        ),
    ]  # fmt: skip


def _linear_results(
    bench: Bench, role: Role, forward: Role | None, given: Mapping[str, np.ndarray]
) -> Sequence[Any]:
    """Return dA_prev, dW and db, from the cache of the file's own linear_forward if it has one."""
    cache: Any = (given["A_prev"], given["W"], given["b"])
    if forward is not None:
        result = call(
            bench.plain, forward, fresh(dict(given)), bench.instance(bench.plain, forward)
        )
        if isinstance(result, tuple) and len(result) == 2:
            cache = result[1]
    values = fresh({**given, "cache": cache})
    return _three(call(bench.plain, role, values, bench.instance(bench.plain, role)))


def _three(result: Any) -> Sequence[Any]:
    """Return dA_prev, dW and db of a tuple or a dict."""
    if isinstance(result, dict):
        lower = {str(key).lower(): value for key, value in result.items()}
        return [
            next((lower[k] for k in keys if k in lower), None)
            for keys in (("da_prev", "da", "daprev"), ("dw",), ("db",))
        ]
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _own_linear(bench: Bench, role: Role, forward: Role, given: Arrays):
    """Check dA_prev and m dW, m db as the gradient of <dZ, linear_forward(A, W, b)>."""
    at = {name: given[name] for name in ("A_prev", "W", "b")}
    m = at["A_prev"].shape[1]

    def cost(workspace: Workspace, values: Mapping[str, Any]) -> Any:
        result = call(workspace, forward, fresh(dict(values)), bench.instance(workspace, forward))
        Z = result[0] if isinstance(result, tuple) else result
        return apply(np.sum, apply(np.multiply, given["dZ"], Z))

    def gradient(arrays: Arrays) -> Arrays:
        found = _linear_results(bench, role, forward, {**arrays, "dZ": given["dZ"]})
        dA_prev, dW, db = (np.asarray(array_of(x)) for x in found)
        return {"A_prev": dA_prev, "W": m * dW, "b": (m * db).reshape(at["b"].shape)}

    return _own_of(bench, cost, gradient, at)


def _own_of(bench: Bench, cost: Callable, gradient: Callable, at: Arrays):
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


# The linear step and the activation together.


def _branches(bench: Bench, role: Role) -> list[str]:
    """Return the activations that a function knows by name: at least the course's two."""
    if not any(meaning(argument, {"activation"}) for argument in role.arguments):
        raise BindError(f"{role.shown} takes no activation")
    said = set(words(role.node))
    return [name for name in ("sigmoid", "relu", "tanh") if name in said] or ["sigmoid", "relu"]


def _linear_activation_forward(bench: Bench, role: Role) -> None:
    given = _generic_linear_problem()
    A, W, b = (given[name] for name in ("A_prev", "W", "b"))
    Z = W @ A + b
    results = []
    for name in _branches(bench, role):
        values = fresh({**given, "activation": name})
        result = call(bench.plain, role, values, bench.instance(bench.plain, role))
        found = result[0] if isinstance(result, tuple) and result else result
        expected = manual.ACTIVATIONS[name].forward(Z)
        others = [
            Alternative("activation-swapped", f'For "{name}" it applies {other}.', f"{other}(Z)",
                        manual.ACTIVATIONS[other].forward(Z))
            for other in ("sigmoid", "relu", "tanh") if other != name
        ]  # fmt: skip
        others.append(
            Alternative("activation-missing", f'For "{name}" it applies nothing.', "Z", Z)
        )
        scale = np.abs(W) @ np.abs(A) + np.abs(b) + np.abs(expected)
        results.append(Result("A", found, expected, f'{name}(Z) for "{name}"', 4 * scale, others))
    _settle(bench, role, results)


def _generic_linear_problem() -> Arrays:
    """Return a linear step whose Z is nowhere near 0, where a relu bends."""
    for seed in range(100):
        rng = np.random.default_rng((14, seed))
        given = {
            "A_prev": rng.standard_normal((4, 7)),
            "W": 0.7 * rng.standard_normal((3, 4)),
            "b": rng.standard_normal((3, 1)),
            "dA": rng.standard_normal((3, 7)),
        }
        if np.abs(given["W"] @ given["A_prev"] + given["b"]).min() > BEND:
            return given
    raise AssertionError("no linear step without a Z near 0 in 100 draws")


def _linear_activation_backward(bench: Bench, role: Role) -> None:
    given = _generic_linear_problem()
    A, W, b, dA = (given[name] for name in ("A_prev", "W", "b", "dA"))
    Z = W @ A + b
    forward = bench.role("linear_activation_forward", role)
    results: list[Result] = []
    owns = []
    for name in _branches(bench, role):
        found = _both_results(bench, role, forward, given, name)
        dZ = manual.ACTIVATIONS[name].backward(dA, Z)
        wrong = {
            other: manual.ACTIVATIONS[other].backward(dA, Z)
            for other in ("sigmoid", "relu", "tanh")
            if other != name
        } | {"no activation": dA}
        for position, result in enumerate(_linear_expected(found, A, W, dZ)):
            extra = [
                Alternative(
                    "activation-swapped",
                    f'For "{name}" it takes the derivative of {other}.',
                    f"the backward of {other}",
                    _linear_expected(found, A, W, other_dZ)[position].expected,
                )
                for other, other_dZ in wrong.items()
            ]
            results.append(
                Result(
                    result.tensor,
                    result.found,
                    result.expected,
                    result.formula,
                    2 * result.scale,
                    [*result.alternatives, *extra],
                )
            )
        if forward is not None:
            owns.append(_own_both(bench, role, forward, given, name))
    own = next(
        (o for o in owns if o is not None and o.faithful is False), owns[0] if owns else None
    )
    _settle(bench, role, _once(results), own)


def _once(results: Sequence[Result]) -> list[Result]:
    """Return the results, those of later activations only where the first is right."""
    kept: dict[str, Result] = {}
    for result in results:
        previous = kept.get(result.tensor)
        if previous is None or _agrees(previous):
            kept[result.tensor] = result
    return list(kept.values())


def _agrees(result: Result) -> bool:
    array = array_of(result.found)
    return (
        array is not None
        and array.shape == result.expected.shape
        and np.allclose(array, result.expected, rtol=1e-4)
    )


def _both_results(
    bench: Bench, role: Role, forward: Role | None, given: Mapping[str, np.ndarray], name: str
) -> Sequence[Any]:
    A, W, b = given["A_prev"], given["W"], given["b"]
    cache: Any = linear_activation_forward(A, W, b, name)[1]
    if forward is not None:
        values = fresh({**given, "activation": name})
        result = call(bench.plain, forward, values, bench.instance(bench.plain, forward))
        if isinstance(result, tuple) and len(result) == 2:
            cache = result[1]
    values = fresh({"dA": given["dA"], "cache": cache, "activation": name})
    return _three(call(bench.plain, role, values, bench.instance(bench.plain, role)))


def _own_both(bench: Bench, role: Role, forward: Role, given: Arrays, name: str):
    at = {key: given[key] for key in ("A_prev", "W", "b")}
    m = at["A_prev"].shape[1]

    def cost(workspace: Workspace, values: Mapping[str, Any]) -> Any:
        arguments = fresh({**values, "activation": name})
        result = call(workspace, forward, arguments, bench.instance(workspace, forward))
        A = result[0] if isinstance(result, tuple) else result
        return apply(np.sum, apply(np.multiply, given["dA"], A))

    def gradient(arrays: Arrays) -> Arrays:
        found = _both_results(bench, role, forward, {**arrays, "dA": given["dA"]}, name)
        dA_prev, dW, db = (np.asarray(array_of(x)) for x in found)
        return {"A_prev": dA_prev, "W": m * dW, "b": (m * db).reshape(at["b"].shape)}

    return _own_of(bench, cost, gradient, at)


# The cost.


def _cost(bench: Bench, role: Role) -> None:
    if not any(meaning(argument, {"AL"}) for argument in role.arguments):
        return  # it is a network's part, and judged there
    regularised = any(meaning(argument, {"lambd"}) for argument in role.arguments)
    layers = {2: (3, 4, 1), 1: (4, 1)}.get(depth([role.node]) or 3, (4, 5, 3, 1))
    faults, remarks = _cost_faults(bench, role, layers, "sigmoid", regularised)
    if faults and "softmax" in _words_of(bench.plain):
        multiple = (*layers[:-2], layers[-2] + 1, 3)
        other, its_remarks = _cost_faults(bench, role, multiple, "softmax", regularised)
        if not other:
            faults, remarks = other, its_remarks
    for remark in remarks:
        bench.outcome.remark(remark)
    if not faults:
        bench.outcome.say(role, AGREE)
        return
    bench.outcome.faults.extend(faults)
    bench.outcome.say(role, DISAGREE, faults[0].detail)


def _cost_faults(
    bench: Bench, role: Role, layers: tuple[int, ...], output: str, regularised: bool
) -> tuple[list[Fault], list[str]]:
    hidden = ("relu",) * (len(layers) - 2)
    problem = draw(layers, 7, hidden=hidden, output=output, l2=L2 if regularised else 0.0, seed=2)
    values = {
        "AL": output_of(problem),
        "Y": problem.Y,
        "X": problem.X,
        "parameters": dict(problem.params),
        "lambd": problem.l2,
        "m": problem.m,
    }
    found = call(bench.plain, role, fresh(values), bench.instance(bench.plain, role))
    cost = number_of(found)
    if cost is None:
        array = array_of(found)
        what = "no number" if array is None else f"an array of the shape {array.shape}"
        sentence = f"{role.shown} returns {what}; a cost is one number."
        return [Fault(role.shown, "loss", None, "not-a-number", sentence)], []
    _, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    faults, remarks = faults_in(
        bench.plain.extract,
        Blame(None, role, None, True),
        problem,
        Numbers(float(cost), grads, {}, is_single(found)),
    )
    # The gradients were the textbook's, so what is said of them is nothing of the file's.
    said = " The gradients are right."
    return [replace(f, detail=f.detail.replace(said, "")) for f in faults], remarks


_JUDGES: dict[str, Callable[[Bench, Role], None]] = {
    **dict.fromkeys(("sigmoid", "relu", "tanh", "softmax"), _activation),
    **dict.fromkeys(
        ("sigmoid_backward", "relu_backward", "tanh_backward", "softmax_backward"),
        _activation_backward,
    ),
    "linear_forward": _linear_forward,
    "linear_backward": _linear_backward,
    "linear_activation_forward": _linear_activation_forward,
    "linear_activation_backward": _linear_activation_backward,
    "cost": _cost,
}

__all__ = ["BLOCKS", "Bench", "judge_block", "linear_forward", "weigh"]
