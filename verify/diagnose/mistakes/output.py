"""Mistakes in dZ of the output, dZ = A - Y, which every gradient inherits."""

from __future__ import annotations

import numpy as np

from manual.activations import sigmoid
from verify.diagnose.chain import OPERATIONS, Formula, Tape
from verify.diagnose.mistakes.mistake import (
    AnyMistake,
    Layers,
    Mistake,
    ParametricMistake,
    last,
    sigmoid_output,
    softmax_output,
    without,
)

CLIPS = range(4, 17)
"""The k of the values 1e-k at which people clip A."""


def _output(name: str, layers: Layers, found: str, formula: Formula, sentence: str) -> Mistake:
    return Mistake(f"output-{name}", "dZ", layers, "{dZ} = " + found, formula, sentence)


OUTPUT: list[AnyMistake] = [
    _output("labels-forgotten", last, "{A}", lambda t, c, n: t.A[n],
        "{dZ} is the output itself: the labels are not subtracted."),
    _output("prediction-forgotten", last, "-Y", lambda t, c, n: -t.Y,
        "{dZ} is made from the labels alone: the output is missing."),
    _output("labels-added", last, "{A} + Y", lambda t, c, n: t.A[n] + t.Y,
        "The labels are added to the output in {dZ}; they should be subtracted."),
    _output("derivative-missing", last, "{dA}", lambda t, c, n: c["dA", n],
        "{dZ} is {dA}, the derivative of the loss by {A}: the derivative of the output "
        "activation is missing."),
    _output("derivative-of-relu", sigmoid_output, "{dA} * ({Z} > 0)",
        lambda t, c, n: c["dA", n] * (t.Z[n] > 0),
        "{dZ} is multiplied by the derivative of relu, but the output is a sigmoid."),
    _output("derivative-twice", last, "({A} - Y) * {A} * (1 - {A})",
        lambda t, c, n: (t.A[n] - t.Y) * t.A[n] * (1 - t.A[n]),
        "{dZ} is multiplied by {A} * (1 - {A}) once more: {A} - Y already holds the derivative of "
        "the output activation."),
    _output("ones-only", last, "-Y * (1 - {A})", lambda t, c, n: -t.Y * (1 - t.A[n]),
        "{dZ} counts only the labels that are 1; the examples of label 0 "
        "are left out."),
    _output("thresholded", last, "({A} > 0.5) - Y", lambda t, c, n: (t.A[n] > 0.5) - t.Y,
        "{dZ} is made from the predicted classes, 0 or 1, instead of the probabilities {A}."),
    _output("sigmoid-under-softmax", softmax_output, "sigmoid({Z}) - Y",
        lambda t, c, n: sigmoid(t.Z[n]) - t.Y,
        "{dZ} treats each output as a separate sigmoid, but the outputs are a softmax."),
    _output("softmax-over-one-unit", sigmoid_output, "softmax({Z}) - Y", lambda t, c, n: 1 - t.Y,
        "{dZ} treats the output as a softmax; a softmax over a single unit is always 1."),
    _output("before-activation", last, "{Z} - Y", lambda t, c, n: t.Z[n] - t.Y,
        "{dZ} is made from {Z}, before the output activation, instead of {A}."),
    _output("first-example-left-out", last, "({A} - Y) without its first column",
        lambda t, c, n: without(OPERATIONS["dZ"](t, c, n), 0),
        "The first example is left out of {dZ}, and so of every gradient."),
    _output("last-example-left-out", last, "({A} - Y) without its last column",
        lambda t, c, n: without(OPERATIONS["dZ"](t, c, n), -1),
        "The last example is left out of {dZ}, and so of every gradient."),
    _output("composed", sigmoid_output, "{dA} * {A} * (1 - {A})",
        lambda t, c, n: c["dA", n] * t.A[n] * (1 - t.A[n]),
        "{dZ} is composed as {dA} * {A} * (1 - {A}). On paper that is {A} - Y; where {A} rounds "
        "to 0 or 1 on the wrong side it is infinity times 0."),
    ParametricMistake("output-clipped", "dZ", lambda t, n: CLIPS if n in sigmoid_output(t) else (),
        "{dZ} = -(Y / a - (1 - Y) / (1 - a)) * {A} * (1 - {A}), "
        "where a = clip({A}, 1e-{k}, 1 - 1e-{k})",
        lambda t, c, n, k: _composed(t, n, 10.0**-k),
        "{dZ} is composed from an {A} that was clipped at 1e-{k}, so where the output is close to "
        "the wrong label its gradient is too small."),
]  # fmt: skip


def _composed(t: Tape, layer: int, clip: float) -> np.ndarray:
    A = t.A[layer]
    clipped = np.clip(A, clip, 1 - clip)
    return np.asarray(np.where(t.Y == 1, -1 / clipped, 1 / (1 - clipped)) * A * (1 - A))
