"""The base values of a dense network, and how far a moved weight reaches in it.

Here: a forward pass of this package's own, with what each activation needs to carry a change
on; the step, the gains that the error bars are made of, and the entries that move a held unit.
The formulas are explained in the package's docstring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from verify.activations import ACTIVATIONS, KINKED, sigmoid
from verify.problem import Problem

UNIT = 2.0**-53
TINY = 2.0**-1022
REACH = 2.0**-27
"""How far a step moves a logit, or the Z of a curved activation, at most."""
DEVIATIONS = 8.0
"""k of the probabilistic bound."""
NEVER = 2.0**-500
"""A unit whose |Z| is below this is on its kink, if it has one: there is no step for it."""
ACTIVATION = 16
"""Roundings, at most, that a change meets in an activation, its slope and its dropout."""
LOSS = 24
"""Roundings, at most, that a change meets in the loss beside the sum over the classes."""


class Layer(NamedTuple):
    """A layer's base values, and what its activation needs to carry a change on.

    A_prev (n_in, m), after the mask; W (n_out, n_in); Z, slope, level and held (n_out, m). The
    slope includes mask / keep_prob. At the output, where a changed Z is carried to the loss,
    the slope is 1.
    """

    activation: str
    A_prev: np.ndarray
    W: np.ndarray
    Z: np.ndarray
    slope: np.ndarray
    level: np.ndarray
    held: np.ndarray


class Output(NamedTuple):
    """The loss at the base logits.

    For every class, or for sigmoid's one logit, and every example: `odds`, the probability of
    that wrong class (at the right one it is not used), and `side`, which is Y, or 1 - 2 Y for
    the one logit. `distance` is |logit|, from the largest logit or from 0.
    """

    kind: str
    side: np.ndarray
    odds: np.ndarray
    distance: np.ndarray
    loss: float


def forward(problem: Problem, kinked: Sequence[np.ndarray] | None) -> tuple[list[Layer], Output]:
    """Return the base values of every layer, and of the loss, of a float64 problem."""
    A = problem.X
    layers = []
    for index, activation in enumerate((*problem.hidden, None)):
        W, b = problem.params[f"W{index + 1}"], problem.params[f"b{index + 1}"]
        Z = W @ A + b
        if activation is None:
            layers.append(
                Layer("logit", A, W, Z, np.ones_like(Z), np.zeros_like(Z), np.zeros(Z.shape, bool))
            )
            break
        row = ACTIVATIONS[activation]
        value, slope, level = row.value(Z), row.slope(Z), row.level(Z)
        held = np.zeros(Z.shape, bool)
        if row.kinked:
            held = np.abs(Z) < NEVER
            if kinked is not None:
                held |= kinked[index]
        A_next = value
        if problem.masks is not None:
            mask, keep = problem.masks[index], problem.keep_prob[index]
            A_next = value * mask / keep
            slope = slope * mask / keep
        layers.append(Layer(activation, A, W, Z, slope, level, held))
        A = A_next
    weights = sum(float(np.sum(np.square(layer.W))) for layer in layers)
    penalty = problem.l2 / (2 * problem.m) * weights
    return layers, _OUTPUTS[problem.output](layers[-1].Z, problem.Y, penalty)


def _sigmoid_output(q: np.ndarray, Y: np.ndarray, penalty: float) -> Output:
    side = 1 - 2 * Y
    wrong = side * q
    losses = np.maximum(wrong, 0) + np.log1p(np.exp(-np.abs(wrong)))
    return Output("sigmoid", side, sigmoid(wrong), np.abs(q), float(losses.mean() + penalty))


def _softmax_output(q: np.ndarray, Y: np.ndarray, penalty: float) -> Output:
    below = q - q.max(axis=0)
    e = np.exp(below)
    total = e.sum(axis=0)
    losses = np.log(total) - (Y * below).sum(axis=0)
    return Output("softmax", Y, e / total, -below, float(losses.mean() + penalty))


_OUTPUTS = {"sigmoid": _sigmoid_output, "softmax": _softmax_output}


def step(layers: Sequence[Layer], inputs: np.ndarray) -> float:
    """Return h for weights of the first of these layers that read these inputs (n, m).

    The largest power of two that moves no logit and no Z of a curved activation by more than
    `REACH`, and no kinked unit that is not held by more than half of its distance to 0.
    """
    reach = np.broadcast_to(np.abs(inputs).max(axis=0), layers[0].Z.shape)
    limits = [1.0]
    for position, layer in enumerate(layers[:-1]):
        if layer.activation in KINKED:
            free = ~layer.held & (reach > 0)
            limits.append(np.min(np.abs(layer.Z[free]) / reach[free], initial=math.inf) / 2)
        else:
            limits.append(_ratio(REACH, reach.max()))
        W, moved = np.abs(layers[position + 1].W), layer.slope * reach
        # One unit of the first layer moves at a time, any number of the later ones.
        reach = np.outer(W.max(axis=1), moved.max(axis=0)) if position == 0 else W @ moved
    limits.append(_ratio(REACH / 2, reach.max()))
    return 2.0 ** math.floor(math.log2(max(min(limits), NEVER * REACH)))


def gains(layers: Sequence[Layer], output: Output) -> list[np.ndarray]:
    """Return, for each layer, how much of a change of Z (n_l, m) can arrive in m times the loss.

    It is a sum of absolute values over all paths, so it bounds every intermediate result too.
    """
    odds = output.odds
    if output.kind == "softmax":
        # The exponential of a rounded argument is off by |argument| units; k sqrt(LOSS) > 16.
        odds = np.where(output.side == 1, 0, odds * (1 + output.distance / 16))
        odds = np.where(output.side == 1, odds.sum(axis=0), odds)
    result = [odds]
    for below, above in zip(reversed(layers[:-1]), reversed(layers[1:]), strict=True):
        result.append(below.slope * (np.abs(above.W).T @ result[-1]))
    return result[::-1]


def touched(layers: Sequence[Layer]) -> list[np.ndarray]:
    """Return, for each layer, the units and examples (n_l, m) that are held or move a held unit."""
    result = [layers[-1].held]
    for below, above in zip(reversed(layers[:-1]), reversed(layers[1:]), strict=True):
        on_the_way = result[-1].any() and (above.W != 0).T.astype(float) @ result[-1] > 0
        result.append(below.held | (below.slope != 0) & on_the_way)
    return result[::-1]


def rounding(
    layers: Sequence[Layer], gains: Sequence[np.ndarray], inputs: np.ndarray, h: float
) -> np.ndarray:
    """Return the rounding bar (n_l, n) of the differences of the first of these layers."""
    m = inputs.shape[1]
    count = LOSS + m + len(layers[-1].Z)
    count += sum(ACTIVATION + len(layer.Z) for layer in layers[:-1])
    flushed = float(gains[0].sum()) + sum(
        float(np.sum(gain * (np.abs(layer.W).sum(axis=1, keepdims=True) + layer.W.shape[1])))
        for gain, layer in zip(gains[1:], layers[1:], strict=True)
    )
    relative = DEVIATIONS * math.sqrt(count) * UNIT / m
    return relative * (gains[0] @ np.abs(inputs).T) + TINY * (flushed / m + LOSS) / h


def loss_rounding(
    problem: Problem, layers: Sequence[Layer], output: Output, gains: Sequence[np.ndarray]
) -> float:
    """Return the rounding bar of the base loss.

    Two readings may add the terms of a Z in another order: those are bounded by norms (Cauchy).
    """
    m = problem.m
    terms = (1 + output.distance).sum() * (LOSS + math.sqrt(m))
    for layer, gain in zip(layers, gains, strict=True):
        products = np.outer(np.linalg.norm(layer.W, axis=1), np.linalg.norm(layer.A_prev, axis=0))
        Z = math.sqrt(layer.W.shape[1]) * (products + np.abs(layer.Z)) + LOSS
        terms += float(np.sum(gain * Z))
    weights = sum(layer.W.size for layer in layers)
    return DEVIATIONS * UNIT * (terms / m + math.sqrt(weights) * abs(output.loss))


def _ratio(limit: float, reach: float) -> float:
    return limit / reach if reach > 0 else math.inf
