"""The base values of a dense network, and how far a moved Z reaches in it.

Here: manual's forward pass on a block of examples, with what each activation needs to carry a
change on; the steps, the gains that the error bars are made of, and the pairs of a unit and an
example that move a held one. `docs/every-weight.md` derives the formulas.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import manual
from verify.activations import ACTIVATIONS, KINKED
from verify.evidence.witnesses import Array
from verify.problem import Problem

UNIT = 2.0**-53
TINY = 2.0**-1022
REACH = 2.0**-27
"""How far a step moves a logit, or the Z of a curved activation, at most."""
DEVIATIONS = 8.0
"""k of the probabilistic bound."""
NEVER = 2.0**-500
"""A unit whose |Z| is below this is on its kink, if it has one."""
ACTIVATION = 16
"""Roundings, at most, that a change meets in an activation, its slope and its dropout."""
LOSS = 24
"""Roundings, at most, that a change meets in the loss beside the sum over the classes."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer's base values, and what its activation needs to carry a change on.

    A_prev (n_in, m), after the mask; W (n_out, n_in); Z, slope, level and held (n_out, m). The
    slope includes mask / keep_prob. At the output, where a changed Z is carried to the loss,
    the slope is 1.
    """

    activation: str
    A_prev: Array
    W: Array
    Z: Array
    slope: Array
    level: Array
    held: Array


@dataclass(frozen=True, eq=False)
class Output:
    """The loss at the base logits.

    For every class, or for sigmoid's one logit, and every example: `odds`, the probability of
    that wrong class (at the right one it is not used), and `side`, which is Y, or 1 - 2 Y for
    the one logit. `distance` is |logit|, from the largest logit or from 0; `loss` is the sum
    over the examples.
    """

    kind: str
    side: Array
    odds: Array
    distance: Array
    loss: float


def forward(
    problem: Problem,
    params: dict[str, Array],
    kinked: Sequence[Array] | None,
    examples: slice,
) -> tuple[list[Layer], Output]:
    """Return the base values of every layer, and of the loss, of some of a problem's examples."""
    masks = None if problem.masks is None else [mask[:, examples] for mask in problem.masks]
    X = problem.X[:, examples].astype(np.float64, copy=False)
    _, cache = manual.forward(params, X, masks, **problem.forward_options)
    layers = []
    for index, base in enumerate(cache[:-1]):
        row = ACTIVATIONS[base.activation]
        slope, held = row.slope(base.Z), np.zeros(base.Z.shape, bool)
        if masks is not None:
            slope = slope * masks[index] / problem.keep_prob[index]
        if row.kinked:
            held = np.abs(base.Z) < NEVER
            if kinked is not None:
                held |= kinked[index][:, examples]
        layers.append(
            Layer(base.activation, base.A_prev, base.W, base.Z, slope, row.level(base.Z), held)
        )
    last = cache[-1]
    ones = np.ones_like(last.Z)
    layers.append(Layer("logit", last.A_prev, last.W, last.Z, ones, ones, ones == 0))
    Y = problem.Y[:, examples].astype(np.float64, copy=False)
    loss = len(ones[0]) * float(manual.LOSSES[problem.output][0](last.Z, Y))
    return layers, Output(problem.output, *_OUTPUTS[problem.output](last.Z, Y), loss)


def _sigmoid_output(q: Array, Y: Array) -> tuple[Array, Array, Array]:
    side = 1 - 2 * Y
    return side, manual.sigmoid(side * q), np.abs(q)


def _softmax_output(q: Array, Y: Array) -> tuple[Array, Array, Array]:
    return Y, manual.softmax(q), q.max(axis=0) - q


_OUTPUTS = {"sigmoid": _sigmoid_output, "softmax": _softmax_output}


def steps(layers: Sequence[Layer]) -> list[Array]:
    """Return, for each layer, the step of every Z (n_l, m).

    The largest power of two, at most 1, that moves no logit by more than half of `REACH` and no
    Z of a curved activation by more than `REACH`.
    """
    reach = np.full(layers[-1].Z.shape, 2.0)
    result = [_within_reach(reach)]
    for below, above in _downwards(layers):
        reach = below.slope * (np.abs(above.W).T @ reach)
        if below.activation not in KINKED:
            reach = np.maximum(reach, 1)
        result.append(_within_reach(reach))
    return result[::-1]


def _within_reach(reach: Array) -> Array:
    exponent = np.frexp(reach)[1].clip(math.log2(REACH), -math.log2(NEVER))
    return np.asarray(np.ldexp(REACH, -exponent.astype(int)))


def gains(layers: Sequence[Layer], output: Output) -> list[Array]:
    """Return, for each layer, how much of a change of Z (n_l, m) can arrive in an example's loss.

    It is a sum of absolute values over all paths, so it bounds every intermediate result too.
    """
    odds = output.odds
    if output.kind == "softmax":
        # The exponential of a rounded argument is off by |argument| units; k sqrt(LOSS) > 16.
        odds = np.where(output.side == 1, 0, odds * (1 + output.distance / 16))
        odds = np.where(output.side == 1, odds.sum(axis=0), odds)
    result = [odds]
    for below, above in _downwards(layers):
        result.append(below.slope * (np.abs(above.W).T @ result[-1]))
    return result[::-1]


def touched(layers: Sequence[Layer]) -> list[Array]:
    """Return, for each layer, the units and examples (n_l, m) that are held or move a held unit."""
    result = [layers[-1].held]
    for below, above in _downwards(layers):
        on_the_way = result[-1].any() and (above.W != 0).T.astype(float) @ result[-1] > 0
        result.append(below.held | (below.slope != 0) & on_the_way)
    return result[::-1]


def rounding(layers: Sequence[Layer], gains: Sequence[Array], step: Array, m: int) -> Array:
    """Return the rounding bar (n_l, m) of the differences by the first of these layers' Z."""
    count = LOSS + m + len(layers[-1].Z)
    count += sum(ACTIVATION + len(layer.Z) for layer in layers[:-1])
    flushed = gains[0] + LOSS
    for gain, layer in zip(gains[1:], layers[1:], strict=True):
        flushed += (np.abs(layer.W).sum(axis=1) + layer.W.shape[1]) @ gain
    return np.asarray(DEVIATIONS * math.sqrt(count) * UNIT * gains[0] + TINY * flushed / step)


def _downwards(layers: Sequence[Layer]) -> list[tuple[Layer, Layer]]:
    """Return each layer with the one above it, the uppermost first."""
    return list(zip(layers[-2::-1], layers[:0:-1], strict=True))
