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
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import manual
from verify.evidence.differences.exhaustive import base_values, carried_changes
from verify.evidence.witnesses import Array, Differences
from verify.problem import Problem

if TYPE_CHECKING:
    from jax.sharding import Mesh

__all__ = ["exhaustive_differences"]

HELD = 2**19
"""Units times examples whose base values are in memory at once."""
INPUTS = 2**20
"""Entries of A_prev that one product takes: many, as short products leave BLAS idle."""
ENTRIES = 2**17
"""Entries of a tensor that are worked on at once: they stay in the cache."""


def exhaustive_differences(
    problem: Problem, *, kinked: Sequence[Array] | None = None, mesh: Mesh | None = None
) -> dict[str, Differences]:
    """Return the central difference of the loss by every parameter, under the parameters' keys.

    Evaluated in float64 at the problem's parameters. `kinked` marks, in one boolean (n_l, m) a
    layer, units to hold on the piece that the sign of their Z selects, beside those whose Z is
    0; an entry that moves a held unit has smooth False. All entries of each tensor are there,
    in order. On a `mesh` of JAX's devices each of them takes some units of every layer.

    Raises ValueError where the loss is not finite.
    """
    params = {name: value.astype(np.float64, copy=False) for name, value in problem.params.items()}
    weights = [value for name, value in params.items() if name[0] == "W"]
    sums: Any = _Sums(params)
    if mesh is not None:
        from verify.evidence.differences.exhaustive.on_mesh import SumsOnMesh

        sums = SumsOnMesh(problem.layers, mesh)
    on_kink = {name: np.zeros(value.shape, bool) for name, value in params.items()}
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        loss = float(manual.l2_penalty(weights, problem.l2, 1)) if problem.l2 else 0.0
        for examples in carried_changes.slices(problem.m, HELD // sum(problem.layers[1:])):
            layers, output = base_values.forward(problem, params, kinked, examples)
            loss += output.loss
            if not math.isfinite(loss):
                raise ValueError(
                    f"params: got a loss of {loss}, expected a network whose loss is finite"
                )
            steps = base_values.steps(layers)
            sums.add(layers, output, steps, _rounding(layers, output, steps, problem.m))
            for index, touched in enumerate(base_values.touched(layers), start=1):
                _mark(on_kink[f"W{index}"], touched, layers[index - 1].A_prev)
                on_kink[f"b{index}"] |= touched.any(axis=1, keepdims=True)
        return {
            name: _mean(
                found, on_kink[name], problem.m, problem.l2 * (name[0] == "W"), params[name]
            )
            for name, found in sums.collected()
        }


def _rounding(
    layers: Sequence[base_values.Layer],
    output: base_values.Output,
    steps: Sequence[Array],
    m: int,
) -> list[Array]:
    """Return, for each layer, the rounding bar of the differences by every Z."""
    gains = base_values.gains(layers, output)
    return [
        base_values.rounding(layers[index:], gains[index:], step, m)
        for index, step in enumerate(steps)
    ]


class _Sums:
    """What the examples add up to: the differences by every parameter, and their bars."""

    def __init__(self, params: Mapping[str, Array]) -> None:
        self.values = {name: np.zeros(value.shape) for name, value in params.items()}
        self.bars = {name: np.zeros(value.shape) for name, value in params.items()}

    def add(
        self,
        layers: Sequence[base_values.Layer],
        output: base_values.Output,
        steps: Sequence[Array],
        rounding: Sequence[Array],
    ) -> None:
        """Add the differences on some examples, from their base values, steps and rounding bars."""
        found = carried_changes.differences(layers, output, steps)
        for index, (near, far) in enumerate(found, start=1):
            bar = carried_changes.truncation(near, far) + rounding[index - 1]
            A_prev = layers[index - 1].A_prev
            for name, inputs in ((f"W{index}", A_prev), (f"b{index}", np.ones((1, len(A_prev.T))))):
                _add_products(self.values[name], self.bars[name], near, bar, inputs)

    def collected(self) -> Iterator[tuple[str, tuple[Array, Array]]]:
        """Yield the sums of each parameter under its name."""
        for name, value in self.values.items():
            yield name, (value, self.bars[name])


def _add_products(value: Array, bar: Array, by_Z: Array, bar_by_Z: Array, A_prev: Array) -> None:
    """Carry differences by Z and their bars (n_l, m) to the weights that read A_prev."""
    n, m = A_prev.shape
    both = np.vstack([by_Z, bar_by_Z])

    def work(rows: slice) -> None:
        inputs = A_prev[rows]
        if inputs.min() >= 0:
            more, size = np.vsplit(both @ inputs.T, 2)
        else:
            more, size = by_Z @ inputs.T, bar_by_Z @ np.abs(inputs).T
        value[:, rows] += more
        bar[:, rows] += size

    carried_changes.on_every_block(work, carried_changes.slices(n, INPUTS // m))


def _mark(on_kink: Array, touched: Array, A_prev: Array) -> None:
    """Mark the weights that move a unit and example of `touched` (n_l, m)."""
    examples = touched.any(axis=0)
    held = touched[:, examples].astype(float)
    if not held.size:
        return

    def work(rows: slice) -> None:
        on_kink[:, rows] |= held @ (A_prev[rows][:, examples] != 0).T > 0

    carried_changes.on_every_block(
        work, carried_changes.slices(len(A_prev), INPUTS // touched.shape[1])
    )


def _mean(sums: tuple[Array, Array], on_kink: Array, m: int, l2: float, W: Array) -> Differences:
    """Return the differences of the mean over m examples, and of the penalty on W."""
    values, bars = sums

    def work(rows: slice) -> None:
        value, bar = values[:, rows], bars[:, rows]
        value /= m
        bar /= m
        bar += 4 * base_values.UNIT * np.abs(value) + base_values.TINY
        if l2:
            penalty = l2 / m * W[:, rows]
            value += penalty
            bar += 4 * base_values.UNIT * np.abs(penalty)
        bar[~(bar < np.inf)] = np.inf

    carried_changes.on_every_block(work, carried_changes.slices(W.shape[1], ENTRIES // len(W)))
    return Differences(np.arange(W.size), values.ravel(), bars.ravel(), ~on_kink.ravel())
