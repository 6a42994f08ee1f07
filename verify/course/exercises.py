"""Backward passes to write yourself: each function judged alone, and the usual slips named.

    def sigmoid_backward(dA, Z):
        A = manual.sigmoid(Z)
        return dA * A

    check(sigmoid_backward)

The gradients of an operation are compared with finite differences of its forward pass
(`check_vjp`), those of a network three ways (`three_way`). A wrong one is then compared with the
numbers that each usual slip gives. Gradients follow the course: dZ and dA are m times the
derivative of the mean loss, dW and db are averaged over the m examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import manual
from verify.catalogue import CATALOGUE
from verify.findings import Finding

if TYPE_CHECKING:
    Array = np.ndarray
    Written = Callable[..., Any]

RIGHT, WRONG, UNWRITTEN = "right", "wrong", "not written yet"
SIGNS = {RIGHT: "✓", WRONG: "✗", UNWRITTEN: "…"}
CLOSE = 1e-9
"""Relative distance up to which a gradient is taken for that of a slip: far above rounding."""


@dataclass(frozen=True)
class Answer:
    """What was found in one function: a mark for each gradient, and the mistakes."""

    function: str
    marks: Mapping[str, str]
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every gradient is right."""
        return set(self.marks.values()) == {RIGHT}

    def __repr__(self) -> str:
        lines = [f"{SIGNS[mark]} {name} is {mark}." for name, mark in self.marks.items()]
        return "\n".join([*lines, *(finding.detail for finding in self.findings)])


@dataclass(frozen=True)
class Exercise:
    """One operation whose backward pass is asked for.

    The function is called with `arguments`, and so is `right`, ours. `gradients` are the names of
    what it returns, each with its slips: a formula by the name of the mistake, in terms of the
    arguments and of what `known` adds. `forward(*inputs)` is what is differentiated, and
    `vjp(function, cotangent, *inputs)` is its gradient by such a function.
    """

    right: Written
    arguments: Mapping[str, Any]
    gradients: Mapping[str, Mapping[str, str]]
    known: Mapping[str, Any]
    forward: Callable[..., Any]
    inputs: tuple[Array, ...]
    vjp: Callable[..., Any]


def check(written: Written) -> Answer:
    """Judge a function of one of the names in `EXERCISES`, or of `network_backward`.

    Returns an Answer, which prints itself: a line for each gradient, a sentence for each mistake.
    `...` and None in the place of a gradient mean that it is not written yet.

    Raises ValueError for a function of another name.
    """
    name = getattr(written, "__name__", type(written).__name__)
    if name == "network_backward":
        return _network(written)
    if name not in EXERCISES:
        asked = ", ".join([*EXERCISES, "network_backward"])
        raise ValueError(f"written: got {name}, expected a function named {asked}")
    return _operation(EXERCISES[name], written)


def _operation(exercise: Exercise, written: Written) -> Answer:
    names = tuple(exercise.gradients)
    ours = exercise.right(*_copies(exercise.arguments))
    right = dict(zip(names, _several(ours), strict=True))
    found = _returned(written, names, exercise.arguments)
    if isinstance(found, Answer):
        return found
    marks, findings = {}, []
    for name, value in found.items():
        fits = np.shape(value) == right[name].shape
        marks[name] = _mark(value, fits and _agrees(exercise, name, written))
        if marks[name] == WRONG:
            findings.append(_mistake(exercise, name, np.asarray(value), right[name]))
    return Answer(written.__name__, marks, tuple(findings))


def _network(written: Written) -> Answer:
    from verify.course.datasets import load
    from verify.course.problems import build_problem
    from verify.network import three_way

    problem = build_problem(load("moons"), layers=(4,), hidden="tanh", examples=50)
    _, right = manual.loss_and_grads(*problem.arguments, **problem.options)
    arguments = {"params": dict(problem.params), "X": problem.X, "Y": problem.Y}
    found = _returned(written, tuple(right), arguments)
    if isinstance(found, Answer):
        return found
    fits = {name: np.shape(found[name]) == right[name].shape for name in right}
    report = three_way(problem, grads=right | {name: found[name] for name in right if fits[name]})
    marks = {
        f"d{tensor.name}": _mark(found[tensor.name], fits[tensor.name] and tensor.agree)
        for tensor in report.tensors
    }
    misshapen = [
        _misshapen(f"d{name}", np.shape(found[name]), right[name].shape)
        for name in right
        if marks[f"d{name}"] == WRONG and not fits[name]
    ]
    return Answer(written.__name__, marks, (*misshapen, *report.diagnosis))


def _returned(
    written: Written, names: tuple[str, ...], arguments: Mapping[str, Any]
) -> dict[str, Any] | Answer:
    """Return what a function returns, by name; an Answer if that is not one result a name."""
    try:
        found = written(*_copies(arguments))
    except Exception as fault:
        if "ellipsis" in str(fault):
            return Answer(written.__name__, dict.fromkeys(names, UNWRITTEN))
        return _refused(written, names, f"It raised {type(fault).__name__}: {fault}")
    if found is None or found is ...:
        return Answer(written.__name__, dict.fromkeys(names, UNWRITTEN))
    if isinstance(found, Mapping):
        return {name: found.get(name) for name in names}
    values = _several(found)
    if len(values) != len(names):
        says = f"It returns {len(values)} results, expected {len(names)}: {', '.join(names)}."
        return _refused(written, names, says)
    return dict(zip(names, values, strict=True))


def _mark(value: Any, right: bool) -> str:
    if value is None or value is ...:
        return UNWRITTEN
    return RIGHT if right else WRONG


def _agrees(exercise: Exercise, name: str, written: Written) -> bool:
    """Whether a gradient, the others being ours, is the derivative of the forward pass."""
    from verify.layer import check_vjp

    def mixed(*arguments: Any) -> Any:
        ours, found = exercise.right(*arguments), written(*deepcopy(arguments))
        pairs = zip(_several(found), _several(ours), strict=True)
        chosen = dict(zip(exercise.gradients, pairs, strict=True))
        values = tuple(theirs if n == name else own for n, (theirs, own) in chosen.items())
        return values if len(values) > 1 else values[0]

    def backward(cotangent: Array, *inputs: Array) -> Any:
        return exercise.vjp(mixed, cotangent, *inputs)

    return check_vjp(exercise.forward, backward, exercise.inputs).ok


def _mistake(exercise: Exercise, name: str, found: Array, right: Array) -> Finding:
    """Return the slip that gives these numbers; else the wrong shape, or the worst entry."""
    for bug, formula in exercise.gradients[name].items():
        # The formula is computed from the text that is shown.
        value = np.asarray(eval(formula, {}, {**exercise.arguments, **exercise.known}))
        if found.shape == value.shape and np.allclose(found, value, rtol=CLOSE, atol=CLOSE):
            says = "Your {name} is {formula}: {phrase}."
            values = {"name": name, "formula": formula, "phrase": CATALOGUE[bug].phrase}
            return Finding(bug, name, says=says, wrong="{name} = {formula}", values=values)
    if found.shape != right.shape:
        return _misshapen(name, found.shape, right.shape)
    factor = float(np.vdot(found, right) / np.vdot(right, right))
    if np.allclose(found, factor * right, rtol=CLOSE, atol=CLOSE):
        says = "{name} is {factor:.6g} times what it should be."
        scaled: dict[str, Any] = {"name": name, "factor": factor}
        return Finding("gradient-scaled", name, says=says, values=scaled)
    place = np.unravel_index(np.argmax(np.abs(found - right)), right.shape)
    entry: dict[str, Any] = {"name": name, "place": [*map(int, place)], "found": found[place]}
    says = "{name} is none of the usual slips. {name}{place} is {found:.6g}, expected {right:.6g}."
    return Finding("unknown", name, says=says, values={**entry, "right": right[place]})


def _misshapen(name: str, found: tuple[int, ...], right: tuple[int, ...]) -> Finding:
    values = {"name": name, "found": found, "right": right}
    says = "{name} has the shape {found}, expected {right}."
    return Finding("wrong-shape", name, says=says, values=values)


def _refused(written: Written, names: tuple[str, ...], says: str) -> Answer:
    finding = Finding("missing", ", ".join(names), says="{says}", values={"says": says})
    return Answer(written.__name__, dict.fromkeys(names, WRONG), (finding,))


def _several(found: Any) -> tuple[Any, ...]:
    return tuple(found) if isinstance(found, (tuple, list)) else (found,)


def _copies(arguments: Mapping[str, Any]) -> list[Any]:
    """Return the arguments of a call as copies, which a function may overwrite."""
    return [deepcopy(value) for value in arguments.values()]


def _averaged(function: Written, dZ: Array, A_prev: Array, W: Array, b: Array) -> Any:
    """Return the gradient of a linear layer by a function that averages dW and db."""
    dA_prev, dW, db = function(dZ, A_prev, W)
    return dA_prev, A_prev.shape[1] * dW, A_prev.shape[1] * db


_RNG = np.random.default_rng(0)
_Z, _W, _B = _RNG.normal(size=(4, 6)), _RNG.normal(size=(3, 4)), _RNG.normal(size=(3, 1))
_DA, _DZ = _RNG.normal(size=(4, 6)), _RNG.normal(size=(3, 6))
_MASK, _KEEP = _RNG.random((4, 6)) < 0.8, 0.8
_LOGITS, _Y = _RNG.normal(size=(3, 6)), np.eye(3)[:, [0, 2, 1, 1, 0, 2]]

EXERCISES: Mapping[str, Exercise] = {
    "sigmoid_backward": Exercise(
        manual.sigmoid_backward,
        {"dA": _DA, "Z": _Z},
        {
            "dZ": {
                "upstream-missing": "A * (1 - A)",
                "derivative-missing": "dA",
                "derivative-is-activation": "dA * A",
                "derivative-one-minus-activation": "dA * (1 - A)",
                "derivative-of-preactivation": "dA * Z * (1 - Z)",
                "derivative-with-plus": "dA * A * (1 + A)",
                "derivative-of-another-activation": "dA * (1 - A**2)",
                "upstream-negated": "-dA * A * (1 - A)",
            }
        },
        {"A": manual.sigmoid(_Z)},
        manual.sigmoid,
        (_Z,),
        lambda function, dA, Z: function(dA, Z),
    ),
    "linear_backward": Exercise(
        manual.linear_backward,
        {"dZ": _DZ, "A_prev": _Z, "W": _W},
        {
            "dA_prev": {
                "upstream-averaged-twice": "W.T @ dZ / m",
                "upstream-negated": "-W.T @ dZ",
                "upstream-transposed": "dZ.T @ W",
            },
            "dW": {
                "weights-not-averaged": "dZ @ A_prev.T",
                "weights-averaged-over-units": "dZ @ A_prev.T / len(dZ)",
                "weights-transposed": "A_prev @ dZ.T / m",
                "weights-negated": "-dZ @ A_prev.T / m",
            },
            "db": {
                "bias-not-averaged": "dZ.sum(axis=1, keepdims=True)",
                "bias-keepdims-missing": "dZ.sum(axis=1) / m",
                "bias-wrong-axis": "dZ.sum(axis=0, keepdims=True) / m",
                "bias-summed-over-everything": "dZ.sum() / m",
                "bias-averaged-over-everything": "dZ.mean()",
                "gradient-not-summed": "dZ / m",
                "bias-negated": "-dZ.sum(axis=1, keepdims=True) / m",
            },
        },
        {"m": _Z.shape[1], "len": len},
        manual.linear,
        (_Z, _W, _B),
        _averaged,
    ),
    "dropout_backward": Exercise(
        manual.dropout_backward,
        {"dA": _DA, "mask": _MASK, "keep_prob": _KEEP},
        {
            "dA": {
                "mask-forgotten": "dA",
                "mask-not-rescaled": "dA * mask",
                "mask-only-rescaled": "dA / keep_prob",
                "mask-multiplied": "dA * mask * keep_prob",
                "mask-rescaled-twice": "dA * mask / keep_prob**2",
                "mask-inverted": "dA * ~mask / keep_prob",
            }
        },
        {},
        lambda A: manual.dropout(A, _MASK, _KEEP),
        (_Z,),
        lambda function, dA, A: function(dA, _MASK, _KEEP),
    ),
    "softmax_cross_entropy_backward": Exercise(
        manual.softmax_cross_entropy_backward,
        {"Z": _LOGITS, "Y": _Y},
        {
            "dZ": {
                "output-negated": "Y - A",
                "output-averaged-twice": "(A - Y) / m",
                "output-labels-forgotten": "A",
                "output-before-activation": "Z - Y",
                "output-derivative-missing": "-Y / A",
                "output-derivative-twice": "(A - Y) * A * (1 - A)",
                "output-sigmoid-under-softmax": "1 / (1 + np.exp(-Z)) - Y",
            }
        },
        {"A": manual.softmax(_LOGITS), "m": _LOGITS.shape[1], "np": np},
        lambda Z: Z.shape[1] * manual.softmax_cross_entropy(Z, _Y),
        (_LOGITS,),
        lambda function, cotangent, Z: cotangent * function(Z, _Y),
    ),
}
"""What is asked for, by the name of its function."""
