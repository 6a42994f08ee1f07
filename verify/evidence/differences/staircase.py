"""Differences of a loss that computes in 16 bits inside, and so is constant around most points.

A difference over a step is then known no better than the height of a stair over the step, so the
steps are as large as the entries themselves, and several: on the line through the point the odd
part of f is fitted by a t + b t^3, which leaves a. What a term t^5 would change is its truncation,
and what a term |t| takes of the even part is a bend.

`docs/differences.md` derives the bar.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from verify.evidence.differences.budgeted import DIRECTIONS, Sample, shares
from verify.evidence.differences.central import (
    PILOTS,
    ROUNDING,
    Function,
    Params,
    stratified_sample,
)
from verify.evidence.entry_sizes import scales
from verify.evidence.witnesses import Differences

Line = Callable[[float], float]

POINTS = 4
"""Steps on either side."""
EACH = 2 * POINTS
REACHES = (4.0, 2.0, 1.0, 1 / 2, 1 / 4, 1 / 8)
"""The longest step, in turn, relative to the scale of the entry."""

_T = np.arange(1, POINTS + 1) / POINTS


def _coefficient(powers: tuple[int, ...]) -> np.ndarray:
    """Return by what to multiply values at the steps for the coefficient of the first power."""
    return np.asarray(np.linalg.pinv(_T[:, None] ** np.array(powers))[0])


_CUBIC, _QUINTIC, _BEND = (_coefficient(powers) for powers in ((1, 3), (1, 3, 5), (1, 2)))
_SPREAD = ROUNDING * (np.linalg.norm(_CUBIC) + np.linalg.norm(_QUINTIC - _CUBIC)) / math.sqrt(2)


def gather(
    f: Function,
    arrays: Params,
    grads: Params,
    noise: float,
    unit: float,
    budget: int,
    rng: np.random.Generator,
) -> Sample:
    """Return the differences of single entries and along directions, in about `budget` calls.

    `grads` is the gradient under test, by which entries are chosen, `noise` the standard
    deviation of one evaluation of f about its smooth part, and `unit` the unit roundoff.
    """
    slope = partial(_slope, f(arrays), noise, unit)
    sizes = [array.size for array in arrays.values()]
    left = budget // EACH - PILOTS * len(REACHES) * len(arrays)
    if left < sum(sizes):
        left -= DIRECTIONS * len(REACHES) * len(arrays)
    counts = [max(count, 1) for count in shares(sizes, max(left, 0))]
    entries, directions, vectors = {}, {}, {}
    for (name, array), count in zip(arrays.items(), counts, strict=True):
        index = stratified_sample(grads[name], min(count, array.size), rng)
        scale = scales(array).reshape(-1)
        lines = [_entry_line(f, arrays, name, i) for i in index]
        # Where the gradient is largest the loss is least straight.
        pilots = np.argsort(-np.abs(grads[name].reshape(-1)[index]))[:PILOTS]
        bars = [
            max(slope(lines[k], reach * scale[index[k]])[1] for k in pilots) for reach in REACHES
        ]
        best = REACHES[int(np.argmin(bars))]
        rows = [slope(line, best * scale[i]) for line, i in zip(lines, index, strict=True)]
        entries[name] = _differences(index, rows)
        if len(index) < array.size:
            vectors[name] = rng.choice((-1.0, 1.0), (DIRECTIONS, array.size))
            size = math.sqrt(float(np.mean(np.square(scale))))
            along = [
                min((slope(_line(f, arrays, name, row), r * size) for r in REACHES), key=_bar)
                for row in vectors[name]
            ]
            directions[name] = _differences(np.arange(DIRECTIONS), along)
    return Sample(entries, entries, directions, vectors, noise)


def _bar(row: tuple[float, float]) -> float:
    return row[1]


def _slope(here: float, noise: float, unit: float, line: Line, reach: float) -> tuple[float, float]:
    """Return the slope at 0 on a line and its bar, infinite where f is not finite."""
    up, down = (np.array([line(sign * reach * t) for t in _T]) for sign in (1, -1))
    if not (np.isfinite(up).all() and np.isfinite(down).all()):
        return math.nan, math.inf
    odd, even = (up - down) / 2, (up + down) / 2 - here
    value, finer = _CUBIC @ odd, _QUINTIC @ odd
    one = noise + unit * float(np.abs(np.concatenate([up, down]) - here).max())
    bar = abs(finer - value) + abs(_BEND @ even) + _SPREAD * one
    return float(value / reach), float(bar / reach)


def _line(f: Function, arrays: Params, name: str, direction: np.ndarray) -> Line:
    along = direction.reshape(arrays[name].shape)
    return lambda t: f({**arrays, name: arrays[name] + t * along})


def _entry_line(f: Function, arrays: Params, name: str, i: int) -> Line:
    def line(t: float) -> float:
        moved = arrays[name].copy()
        moved.reshape(-1)[i] += t
        return f({**arrays, name: moved})

    return line


def _differences(index: np.ndarray, rows: list[tuple[float, float]]) -> Differences:
    value, bar = np.array(rows, float).reshape(-1, 2).T
    found = np.isfinite(value)
    return Differences(np.asarray(index, np.intp), np.where(found, value, 0.0), bar, found)
