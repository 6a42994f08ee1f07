"""Every weight of a dense network differenced, by the network's structure.

Here: the central difference of the built-in network's loss by every single entry of every W
and b, each with its error bar. `network` has the base values, steps and bars, `tail` carries
the differences. Not here: functions whose structure is not known
(`verify.evidence.differences.central`), and any verdict (`verify.verdict`).

A weight W_l[i, j] reaches the loss of example e only through Z_l[i, e], and moves it by
h A_(l-1)[j, e]. So each example's own loss is differenced by each unit's Z, and one matrix product
carries that to every weight:

    a[i, e] = (L_e(Z_l[i, e] + s) - L_e(Z_l[i, e] - s)) / 2s
    dW_l[i, j] = sum over e of a[i, e] A_(l-1)[j, e] / m,    db_l[i] = sum over e of a[i, e] / m

Z is linear in W: no other calculus is used. Losses are not subtracted, which would cost half of the
digits; their change is carried, from Z to A to Z to the loss, by identities between values.

`docs/every-weight.md` derives the identities, the step, the treatment of kinks, the bars and the
cost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

import manual
from verify.evidence.differences.exhaustive import base_values, carried_changes
from verify.evidence.witnesses import Array, Differences
from verify.problem import Problem

__all__ = ["exhaustive_differences"]

HELD = 2**19
"""Units times examples whose base values are in memory at once."""
INPUTS = 2**20
"""Entries of A_prev that one product takes: many, as short products leave BLAS idle."""
ENTRIES = 2**17
"""Entries of a tensor that are worked on at once: they stay in the cache."""


def exhaustive_differences(
    problem: Problem, *, kinked: Sequence[Array] | None = None
) -> dict[str, Differences]:
    """Return the central difference of the loss by every parameter, under the parameters' keys.

    Evaluated in float64 at the problem's parameters. `kinked` marks, in one boolean (n_l, m) a
    layer, units to hold on the piece that the sign of their Z selects, beside those whose Z is
    0; an entry that moves a held unit has smooth False. All entries of each tensor are there,
    in order.

    Raises ValueError where the loss is not finite.
    """
    params = {name: value.astype(np.float64, copy=False) for name, value in problem.params.items()}
    weights = [value for name, value in params.items() if name[0] == "W"]
    sums = {name: _Sums(value.shape) for name, value in params.items()}
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        loss = float(manual.l2_penalty(weights, problem.l2, 1)) if problem.l2 else 0.0
        for examples in carried_changes.slices(problem.m, HELD // sum(problem.layers[1:])):
            layers, output = base_values.forward(problem, params, kinked, examples)
            loss += output.loss
            if not math.isfinite(loss):
                raise ValueError(
                    f"params: got a loss of {loss}, expected a network whose loss is finite"
                )
            for index, by_Z in enumerate(_by_unit(layers, output, problem.m), start=1):
                A_prev = layers[index - 1].A_prev
                sums[f"W{index}"].add(*by_Z, A_prev)
                sums[f"b{index}"].add(*by_Z, np.ones((1, A_prev.shape[1])))
        return {
            name: sums[name].mean(problem.m, problem.l2 * (name[0] == "W"), value)
            for name, value in params.items()
        }


def _by_unit(
    layers: Sequence[base_values.Layer], output: base_values.Output, m: int
) -> Iterator[tuple[Array, Array, Array]]:
    """Yield, for each layer, the differences by every Z, their bars, and what meets a held unit."""
    gains, touched = base_values.gains(layers, output), base_values.touched(layers)
    steps = base_values.steps(layers)
    for index, (near, far) in enumerate(carried_changes.differences(layers, output, steps)):
        truncation = 2 * np.abs(far - near) / (carried_changes.FAR**2 - 1)
        rounding = base_values.rounding(layers[index:], gains[index:], steps[index], m)
        yield near, truncation + rounding, touched[index]


class _Sums:
    """What the examples add up to: a tensor's differences, their bars, and its kinked entries."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.value, self.bar = np.zeros(shape), np.zeros(shape)
        self.kinked = np.zeros(shape, bool)

    def add(self, by_Z: Array, bar: Array, touched: Array, A_prev: Array) -> None:
        """Carry differences by Z, bars and kinks (n_l, m) to the weights that read A_prev."""
        n, m = A_prev.shape
        on_kinks = touched.any(axis=0)
        held, both = touched[:, on_kinks].astype(float), np.vstack([by_Z, bar])

        def work(rows: slice) -> None:
            inputs = A_prev[rows]
            if inputs.min() >= 0:
                value, size = np.vsplit(both @ inputs.T, 2)
            else:
                value, size = by_Z @ inputs.T, bar @ np.abs(inputs).T
            self.value[:, rows] += value
            self.bar[:, rows] += size
            if held.size:
                self.kinked[:, rows] |= held @ (inputs[:, on_kinks] != 0).T > 0

        carried_changes.on_every_block(work, carried_changes.slices(n, INPUTS // m))

    def mean(self, m: int, l2: float, W: Array) -> Differences:
        """Return the differences of the mean over m examples, and of the penalty on W."""

        def work(rows: slice) -> None:
            value, bar = self.value[:, rows], self.bar[:, rows]
            value /= m
            bar /= m
            bar += 4 * base_values.UNIT * np.abs(value) + base_values.TINY
            if l2:
                penalty = l2 / m * W[:, rows]
                value += penalty
                bar += 4 * base_values.UNIT * np.abs(penalty)
            bar[~(bar < np.inf)] = np.inf

        carried_changes.on_every_block(work, carried_changes.slices(W.shape[1], ENTRIES // len(W)))
        return Differences(
            np.arange(W.size), self.value.ravel(), self.bar.ravel(), ~self.kinked.ravel()
        )
