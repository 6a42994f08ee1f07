"""Mistakes in dZ of the output, dZ = A - Y, which every gradient inherits."""

from __future__ import annotations

import numpy as np

from manual.activations import sigmoid
from verify.diagnose.chain import OPERATIONS, Formula, Tape
from verify.diagnose.mistakes.base import (
    Layers,
    Misplaced,
    Mistake,
    last,
    sigmoid_output,
    softmax_output,
    without,
)

CLIPS = range(4, 17)
"""The k of the places 1e-k where people clip A."""


def _output(name: str, layers: Layers, sentence: str, found: str, formula: Formula) -> Mistake:
    return Mistake(f"output-{name}", "dZ", layers, sentence, "{dZ} = " + found, formula)


OUTPUT: list[Mistake | Misplaced] = [
    _output(
        "labels-forgotten",
        last,
        "{dZ} is the output itself: the labels are not subtracted.",
        "{A}",
        lambda t, c, n: t.A[n],
    ),
    _output(
        "prediction-forgotten",
        last,
        "{dZ} is made of the labels alone: the output is not in it.",
        "-Y",
        lambda t, c, n: -t.Y,
    ),
    _output(
        "labels-added",
        last,
        "The labels are added to the output in {dZ}; they should be subtracted.",
        "{A} + Y",
        lambda t, c, n: t.A[n] + t.Y,
    ),
    _output(
        "derivative-missing",
        last,
        "{dZ} is {dA}, the derivative of the loss by {A}: the derivative of the output "
        "activation is missing.",
        "{dA}",
        lambda t, c, n: c["dA", n],
    ),
    _output(
        "derivative-of-relu",
        sigmoid_output,
        "{dZ} is multiplied by the derivative of relu, but the output is a sigmoid.",
        "{dA} * ({Z} > 0)",
        lambda t, c, n: c["dA", n] * (t.Z[n] > 0),
    ),
    _output(
        "derivative-twice",
        last,
        "{dZ} is multiplied by {A} * (1 - {A}) once more: {A} - Y already holds the derivative "
        "of the output activation.",
        "({A} - Y) * {A} * (1 - {A})",
        lambda t, c, n: (t.A[n] - t.Y) * t.A[n] * (1 - t.A[n]),
    ),
    _output(
        "ones-only",
        last,
        "{dZ} counts only the labels that are 1; what the outputs for label 0 should lose is "
        "left out.",
        "-Y * (1 - {A})",
        lambda t, c, n: -t.Y * (1 - t.A[n]),
    ),
    _output(
        "thresholded",
        last,
        "{dZ} is made from the predicted classes, 0 or 1, instead of the probabilities {A}.",
        "({A} > 0.5) - Y",
        lambda t, c, n: (t.A[n] > 0.5) - t.Y,
    ),
    _output(
        "sigmoid-under-softmax",
        softmax_output,
        "{dZ} takes every output for a sigmoid of its own, but the outputs are a softmax.",
        "sigmoid({Z}) - Y",
        lambda t, c, n: sigmoid(t.Z[n]) - t.Y,
    ),
    _output(
        "softmax-over-one-unit",
        sigmoid_output,
        "{dZ} takes the output for a softmax; over a single unit that is always 1.",
        "softmax({Z}) - Y",
        lambda t, c, n: 1 - t.Y,
    ),
    _output(
        "before-activation",
        last,
        "{dZ} is made from {Z}, before the output activation, instead of {A}.",
        "{Z} - Y",
        lambda t, c, n: t.Z[n] - t.Y,
    ),
    _output(
        "first-example-left-out",
        last,
        "The first example is left out of {dZ}, and so of every gradient.",
        "({A} - Y) without its first column",
        lambda t, c, n: without(OPERATIONS["dZ"](t, c, n), 0),
    ),
    _output(
        "last-example-left-out",
        last,
        "The last example is left out of {dZ}, and so of every gradient.",
        "({A} - Y) without its last column",
        lambda t, c, n: without(OPERATIONS["dZ"](t, c, n), -1),
    ),
    _output(
        "composed",
        sigmoid_output,
        "{dZ} is composed as {dA} * {A} * (1 - {A}). On paper that is {A} - Y; where {A} rounds to "
        "0 or 1 on the wrong side it is infinity times 0.",
        "{dA} * {A} * (1 - {A})",
        lambda t, c, n: c["dA", n] * t.A[n] * (1 - t.A[n]),
    ),
    Misplaced(
        "output-clipped",
        "dZ",
        lambda t, n: CLIPS if n in sigmoid_output(t) else (),
        "{dZ} is composed from an {A} that was clipped at 1e-{k}, so where the output is sure and "
        "wrong its gradient is cut off.",
        "{dZ} = -(Y / a - (1 - Y) / (1 - a)) * {A} * (1 - {A}), where a = clip({A}, 1e-{k}, "
        "1 - 1e-{k})",
        lambda t, c, n, k: _composed(t, n, 10.0**-k),
    ),
]


def _composed(t: Tape, layer: int, clip: float) -> np.ndarray:
    A = t.A[layer]
    clipped = np.clip(A, clip, 1 - clip)
    dA = np.where(t.Y == 1, -1 / clipped, 1 / (1 - clipped))
    dZ: np.ndarray = dA * A * (1 - A)
    return dZ
