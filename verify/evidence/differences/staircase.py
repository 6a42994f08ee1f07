"""Differences of losses that compute in 16 bits inside, and so are constant around most points.

A difference over a step is then known no better than the height of a stair over the step, so the
steps are as large as the entries themselves, and several: on the line through the point the odd
part of f is fitted by a t + b t^3, which leaves a. What a term t^5 would change is its truncation,
and what a term |t| takes of the even part is a bend. A parallel line beside, where all values are
rounded anew, has the same slope but for other rounding: the mean of some is known better.

`docs/differences.md` derives the bar.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from verify.evidence.differences.budgeted import DIRECTIONS, Sample, shares
from verify.evidence.differences.central import (
    PILOTS,
    ROUNDING,
    Functions,
    Params,
    stratified_sample,
)
from verify.evidence.entry_sizes import own_scales, scales
from verify.evidence.witnesses import Differences

Row = tuple[np.ndarray, np.ndarray, np.ndarray, int]
"""The slopes of all losses, their bars, what of these is rounding, and from how many bases."""

POINTS = 4
"""Steps on either side."""
EACH = 2 * POINTS
AGAIN = 32
"""Points at which a line is taken again at most, where there are evaluations left."""
FEW = 4
"""Of these, how many choose the reach, at most."""
STRIDE = 4.0
"""How far these are, in units of rounding: there all values are rounded anew."""
REACHES = (4.0, 2.0, 1.0, 1 / 2, 1 / 4, 1 / 8)
"""The longest step, in turn, relative to the scale of the entry."""

_T = np.arange(1, POINTS + 1) / POINTS


def _coefficient(powers: tuple[int, ...]) -> np.ndarray:
    """Return by what to multiply values at the steps for the coefficient of the first power."""
    return np.asarray(np.linalg.pinv(_T[:, None] ** np.array(powers))[0])


_CUBIC, _QUINTIC, _BEND = (_coefficient(powers) for powers in ((1, 3), (1, 3, 5), (1, 2)))
_SPREAD = ROUNDING * (np.linalg.norm(_CUBIC) + np.linalg.norm(_QUINTIC - _CUBIC)) / math.sqrt(2)


def gather(
    f: Functions,
    arrays: Params,
    grads: Sequence[Params],
    noise: np.ndarray,
    unit: float,
    budget: int,
    rng: np.random.Generator,
) -> list[Sample]:
    """Return the differences of losses, of single entries and along directions, one sample a loss.

    They take about `budget` calls of f, which returns all losses. `grads` are the gradients under
    test, by which entries are chosen, `noise` the standard deviations of one evaluation of each
    loss about its smooth part, and `unit` the unit roundoff.
    """
    slope: Callable[..., Row] = partial(_slope, f, noise, unit)
    sizes = [array.size for array in arrays.values()]
    left = budget // EACH - FEW * PILOTS * len(REACHES) * len(arrays)
    if left < sum(sizes):
        left -= DIRECTIONS * len(REACHES) * len(arrays)
    counts = [max(count, 1) for count in shares(sizes, max(left, 0))]
    again = int(min(max(left // max(sum(counts), 1), 1), AGAIN))
    points = [arrays, *(_rounded_anew(arrays, unit, rng) for _ in range(again - 1))]
    bases = [(point, f(point)) for point in points]
    entries: list[dict[str, Differences]] = [{} for _ in grads]
    directions: list[dict[str, Differences]] = [{} for _ in grads]
    vectors: Params = {}
    for (name, array), count in zip(arrays.items(), counts, strict=True):
        size = np.max([_relative(each[name]) for each in grads], axis=0)
        index = stratified_sample(size.reshape(array.shape), min(count, array.size), rng)
        scale = scales(array).reshape(-1)
        lines = [_unit(name, array, int(i)) for i in index]
        # Where the gradient is largest the loss is least straight.
        pilots = np.argsort(-size[index])[:PILOTS]
        bars = [
            [_expected(slope(bases[:FEW], *lines[k], r * scale[index[k]]), again) for k in pilots]
            for r in REACHES
        ]
        best = REACHES[_best(np.max(bars, axis=1))]
        rows = [slope(bases, *line, best * scale[i]) for line, i in zip(lines, index, strict=True)]
        for k, of_one in enumerate(_by_loss(index, rows, len(grads))):
            entries[k][name] = of_one
        if len(index) < array.size:
            vectors[name] = rng.choice((-1.0, 1.0), (DIRECTIONS, array.size))
            length = math.sqrt(float(np.mean(np.square(scale))))
            every = [
                [slope(bases[:1], name, row.reshape(array.shape), r * length) for r in REACHES]
                for row in vectors[name]
            ]
            along = [_least(rows) for rows in every]
            for k, of_one in enumerate(_by_loss(np.arange(DIRECTIONS), along, len(grads))):
                directions[k][name] = of_one
    return [
        Sample(e, e, d, vectors, float(s))
        for e, d, s in zip(entries, directions, noise, strict=True)
    ]


def _relative(gradient: np.ndarray) -> np.ndarray:
    """Return the sizes of entries beside the largest."""
    size = np.abs(np.asarray(gradient, float)).reshape(-1)
    largest = float(size.max(initial=0.0))
    return np.asarray(size / largest) if 0 < largest < math.inf else size


def _rounded_anew(arrays: Params, unit: float, rng: np.random.Generator) -> Params:
    """Return a point so near that only the rounding of all values is another."""
    step = STRIDE * unit
    return {k: x + step * own_scales(x) * rng.standard_normal(x.shape) for k, x in arrays.items()}


def _expected(row: Row, again: int) -> np.ndarray:
    """Return the bars that a slope from some bases will have from `again` bases."""
    _, bar, noise, count = row
    return np.asarray(bar - noise + noise * math.sqrt(count / max(count, again)))


def _best(bars: np.ndarray) -> int:
    """Return the reach at which the bars (reaches, losses) are least, over all losses."""
    bars = np.where(np.isfinite(bars), bars, np.finfo(float).max)
    return int(np.argmin(np.log(np.maximum(bars, np.finfo(float).tiny)).mean(axis=1)))


def _least(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Return, of each loss, the slope whose bar is least, and that."""
    values, bars = (np.array([row[part] for row in rows]) for part in (0, 1))
    at = bars.argmin(axis=0), np.arange(bars.shape[1])
    return np.asarray(values[at]), np.asarray(bars[at])


def _slope(
    f: Functions,
    noise: np.ndarray,
    unit: float,
    bases: Sequence[tuple[Params, np.ndarray]],
    name: str,
    along: np.ndarray,
    reach: float,
) -> Row:
    """Return the slopes of all losses along a line and their bars, infinite where not finite.

    Each is the mean of those on parallel lines through the bases, of which the values are given.
    """
    values, finer, bends, ones = [], [], [], []
    for base, here in bases:
        up, down = (
            np.array([f({**base, name: base[name] + sign * reach * t * along}) for t in _T])
            for sign in (1, -1)
        )
        odd, even = (up - down) / 2, (up + down) / 2 - here
        values.append(_CUBIC @ odd)
        finer.append(_QUINTIC @ odd)
        bends.append(_BEND @ even)
        ones.append(noise + unit * np.abs(np.concatenate([up, down]) - here).max(axis=0))
    value, one = np.mean(values, axis=0), np.max(ones, axis=0)
    rounding = (_SPREAD * one + ROUNDING * np.std(values, axis=0)) / math.sqrt(len(bases))
    bar = np.abs(np.mean(finer, axis=0) - value) + np.abs(np.mean(bends, axis=0)) + rounding
    lost = ~np.isfinite(bar) | ~np.isfinite(value)
    found, bar = np.where(lost, math.nan, value / reach), np.where(lost, math.inf, bar / reach)
    return found, bar, np.where(lost, 0.0, rounding / reach), len(bases)


def _unit(name: str, array: np.ndarray, i: int) -> tuple[str, np.ndarray]:
    along = np.zeros(array.shape)
    along.reshape(-1)[i] = 1
    return name, along


def _by_loss(index: np.ndarray, rows: Sequence[Sequence[Any]], count: int) -> list[Differences]:
    """Return the differences of each loss from its slopes and their bars."""
    return [_differences(index, [(row[0][k], row[1][k]) for row in rows]) for k in range(count)]


def _differences(index: np.ndarray, rows: list[tuple[float, float]]) -> Differences:
    value, bar = np.array(rows, float).reshape(-1, 2).T
    found = np.isfinite(value)
    return Differences(np.asarray(index, np.intp), np.where(found, value, 0.0), bar, found)
