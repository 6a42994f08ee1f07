"""Where a function bends: between which slopes its gradient may lie.

Along an entry with the one-sided slopes s+ and s-, a right gradient is within (s+ + s-)/2 ± V/2,
where V is the total variation of the slope along the entry: the most of that at the point and
on lines beside it, as bends that coincide at the point come apart there. Tied entries that bend
one by one may be smooth along all of them together, as where a maximum is taken; there the
derivative exists. `docs/differences.md` says why the interval of the one-sided slopes is not
enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from verify.evidence.differences.budgeted import PROBES
from verify.evidence.differences.central import ROUNDING, Function, Params, directional_differences
from verify.evidence.entry_sizes import scales
from verify.evidence.witnesses import Bends, Compared, Differences, Witness

REACH = 2.0**-10
"""How far along an entry, relative to its scale, the variation of its slope is looked for."""
NEAR = 2.0**-18
"""Likewise, for bends at the point itself that do not show on the line through it."""
APART = (1 / 2, 1 / 6, 1 / 6, 1 / 24)
"""How far the other entries are moved for the lines beside, relative to that, in turn."""
LINES = 32
PIECES = (24, 33)
"""Intervals of a line; every other line has the other number, so that no bend is at all ends."""
CROSSINGS = 4
"""Lines close to the point, in random directions, which every bend through it crosses."""
SPIKE = 8
"""How many times the usual turn of a slope a bend is; the turns of what is smooth vary less."""
SLACK = 2.0**-10
"""The part of a variation that its measurement may miss."""
TIES = 4
"""Groups of tied entries, a tensor, along which derivatives are looked for."""
GROWTH = tuple(2.0**-k for k in (12, 18, 24))
"""Steps over which the slope of a function that has an infinite one grows."""


@dataclass(frozen=True, eq=False)
class Place:
    """A function at a point, its noise, and how many evaluations may still be made.

    `rounding` is how far rounding carries the gradient under test, without any jump at a bend.
    """

    f: Function
    arrays: Params
    noise: float
    rounding: Mapping[str, np.ndarray]
    left: Callable[[], int]
    rng: np.random.Generator

    def line(self, name: str, direction: np.ndarray, base: Params) -> Callable[[float], float]:
        """Return f on the line through a point along a flat direction of one tensor."""
        along = direction.reshape(base[name].shape)
        return lambda t: self.f({**base, name: base[name] + t * along})

    def beside(self, name: str, number: int, fixed: np.ndarray, reach: float) -> Params:
        """Return a point where all entries are moved, but the fixed ones of one tensor."""
        distance = reach * APART[number % len(APART)]
        moved = {
            k: x + distance * scales(x) * self.rng.standard_normal(x.shape)
            for k, x in self.arrays.items()
        }
        moved[name] = np.where(fixed.reshape(moved[name].shape), self.arrays[name], moved[name])
        return moved


def examine(
    place: Place, witnesses: Sequence[Witness], bent: Mapping[str, np.ndarray]
) -> dict[str, Bends]:
    """Return between which slopes the gradient may lie, for the entries `bent` of each tensor.

    The first of the witnesses is the gradient under test. The variation of the slope is looked
    for only at those, `PROBES` a tensor, that some witness has furthest outside the one-sided
    slopes. Where it explains all of those, it explains the others.
    Entries with no slope on one side are left out, and so is an infinite gradient where the
    slope grows without bound. So are those along which nothing bends: a gradient that jumps there
    is rounded so coarsely, and its bar contains the jump.
    """
    return {name: _examined(place, witnesses, name, index) for name, index in bent.items()}


def straight_around(place: Place, least: float) -> bool:
    """Return whether f has no bend at the point that turns its slope by `least`, however hidden.

    A bend through the point crosses almost every line that passes close by in a random
    direction. `least` is of slopes by entries in units of their scales.
    """
    for number in range(CROSSINGS):
        aside, direction = (
            {k: scales(x) * place.rng.standard_normal(x.shape) for k, x in place.arrays.items()}
            for _ in range(2)
        )
        distance = NEAR * APART[number % len(APART)]
        centre = {k: x + distance * aside[k] for k, x in place.arrays.items()}

        def line(t: float, c: Params = centre, d: Params = direction) -> float:
            return place.f({k: x + t * d[k] for k, x in c.items()})

        turns, slight = _turns(place, line, NEAR, PIECES[number % 2])
        if not slight <= least / SPIKE or (turns > slight).any():
            return False
    return True


def hidden(place: Place, suspects: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return which entries bend on lines beside the point, though not at it.

    `suspects` are the entries whose gradient is wrong unless they do, the worst first. Where
    all bend that are tried, `PROBES` a tensor, the others are taken to.
    """
    found = {}
    for name, index in suspects.items():
        tried = index[: min(PROBES, max(place.left(), 0) // ((LINES + 1) * max(PIECES)))]
        units = [_unit(place, name, i) for i in tried]
        bend = np.array([_variation(place, name, unit, 0.0, NEAR) > 0 for unit in units])
        found[name] = index if len(tried) and bend.all() else tried[bend.astype(bool)]
    return found


def _examined(place: Place, witnesses: Sequence[Witness], name: str, index: np.ndarray) -> Bends:
    here = place.f(place.arrays)
    every = np.array([np.asarray(w.grads[name], float).reshape(-1)[index] for w in witnesses])
    g = every[0]
    rows = np.array([_one_sided(place, name, i, here) for i in index]).reshape(-1, 3)
    up, down, doubt = rows.T
    middle, inner = (up + down) / 2, np.abs(up - down) / 2
    bar = doubt + place.rounding[name].reshape(-1)[index] + SLACK * inner
    outer = 3 * inner
    apart = np.fmax.reduce(np.abs(every - middle))
    outside = np.flatnonzero(np.isfinite(middle) & (apart > inner + bar))
    order = outside[np.argsort(-apart[outside] / (inner + bar)[outside])]
    bend = np.ones(len(index), bool)
    bend[order] = np.abs(up - down)[order] > doubt[order]
    probed = order[: min(PROBES, max(place.left(), 0) // ((LINES + 1) * max(PIECES)))]
    for k in probed:
        enough = 2 * float(apart[k])
        unit = _unit(place, name, index[k])
        variation = _variation(place, name, unit, enough)
        bend[k] |= variation > 0
        inner[k] = max(inner[k], variation / 2 * (1 + SLACK))
        outer[k] = 3 * inner[k]
    rest = order[len(probed) :]
    bend[rest] |= not len(probed) or bend[probed].any()
    explained = len(probed) and (apart <= inner + bar)[probed].all()
    if explained:
        inner[rest] = apart[rest]
    outer[rest] = np.inf
    lost = ~np.isfinite(g)
    middle, inner, outer = (np.where(lost, 0.0, x) for x in (middle, inner, outer))
    endless = [
        bool(np.isinf(value)) and _grows(place, name, i, here)
        for value, i in zip(g, index, strict=True)
    ]
    kept = np.isfinite(middle) & ~np.array(endless, bool) & bend
    return Bends(index[kept], middle[kept], inner[kept], outer[kept], bar[kept])


def _unit(place: Place, name: str, i: int) -> np.ndarray:
    unit = np.zeros(place.arrays[name].size)
    unit[i] = 1
    return unit


def _one_sided(place: Place, name: str, i: int, here: float) -> tuple[float, float, float]:
    """Return the slopes upwards and downwards along an entry, and how far they may be off."""
    scale = float(scales(place.arrays[name]).reshape(-1)[i])
    fine = math.sqrt(place.noise / (abs(here) + place.noise))
    h = 2.0 ** math.ceil(math.log2(scale * max(2.0**-24, fine)))
    line = place.line(name, _unit(place, name, i), place.arrays)
    up, up2 = (line(h) - here) / h, (line(2 * h) - here) / (2 * h)
    down, down2 = (here - line(-h)) / h, (here - line(-2 * h)) / (2 * h)
    doubt = 2 * max(abs(up2 - up), abs(down2 - down)) + 2 * ROUNDING * place.noise / h
    return up, down, doubt


def _variation(
    place: Place, name: str, direction: np.ndarray, enough: float, part: float = REACH
) -> float:
    """Return the most that the slope along a direction varies, on lines through and beside.

    They reach as far as this `part` of the entry's scale. No further lines are tried once it is
    `enough`, and more than nothing.
    """
    reach = part * float((np.abs(direction) * scales(place.arrays[name]).reshape(-1)).max())
    most = _along(place, place.line(name, direction, place.arrays), reach, PIECES[0])
    for number in range(LINES):
        if most >= enough and most > 0:
            break
        base = place.beside(name, number, direction != 0, part)
        line = place.line(name, direction, base)
        most = max(most, _along(place, line, reach, PIECES[number % 2]))
    return most


def _along(place: Place, line: Callable[[float], float], reach: float, pieces: int) -> float:
    """Return the total variation of the slope on one line, but for what is smooth or noise."""
    turns, slight = _turns(place, line, reach, pieces)
    return math.inf if math.isnan(slight) else float(turns[turns > slight].sum())


def _turns(
    place: Place, line: Callable[[float], float], reach: float, pieces: int
) -> tuple[np.ndarray, float]:
    """Return how far the slope turns between the pieces of a line, and what is smooth or noise.

    What is smooth is not a number where f is not finite on the line.
    """
    t = np.linspace(-reach, reach, pieces + 1)
    turns = np.diff([line(float(each)) for each in t], 2) / (2 * reach / pieces)
    if not np.isfinite(turns).all():
        return turns, math.nan
    turns = np.abs(turns - np.median(turns))
    noise = ROUNDING * 4 * place.noise * pieces / (2 * reach)
    return turns, max(noise, SPIKE * float(np.median(turns)))


def _grows(place: Place, name: str, i: int, here: float) -> bool:
    """Return whether the slope along an entry grows without bound towards the point."""
    scale = float(scales(place.arrays[name]).reshape(-1)[i])
    line = place.line(name, _unit(place, name, i), place.arrays)
    for sign in (1, -1):
        wide, middle, near = (abs(line(sign * h * scale) - here) / h for h in GROWTH)
        if math.isfinite(near) and near > 1.5 * middle > 2 * wide:
            return True
    return False


def against_ties(place: Place, hand: Witness, bends: Mapping[str, Bends]) -> dict[str, Compared]:
    """Compare with the derivatives along tied entries, where there are any that are not met.

    There is one where f is smooth along all bent entries of one value together, here and beside.
    """
    result = {}
    for name, found in bends.items():
        values, g = place.arrays[name].reshape(-1)[found.index], hand.grads[name].reshape(-1)
        distinct, counts = np.unique(values, return_counts=True)
        groups = distinct[np.argsort(-counts)][: np.sum(counts > 1)][:TIES]
        rows = []
        for value in groups:
            tied = np.zeros(place.arrays[name].size)
            tied[found.index[values == value]] = 1
            along = _derivative(place, name, tied)
            bar = along.bar[0] + tied @ place.rounding[name].reshape(-1)
            missed = abs(tied @ g - along.value[0]) > bar
            if along.smooth[0] and missed and not _moved_lines_bend(place, name, tied):
                rows.append((tied @ g, along.value[0], bar))
        if rows:
            result[name] = Compared(np.arange(len(rows)), *np.array(rows).T)
    return result


def _derivative(place: Place, name: str, direction: np.ndarray) -> Differences:
    shaped = direction.reshape(place.arrays[name].shape)
    return directional_differences(place.f, place.arrays, [{name: shaped}], noise=place.noise)


def _moved_lines_bend(place: Place, name: str, direction: np.ndarray) -> bool:
    reach = REACH * float((np.abs(direction) * scales(place.arrays[name]).reshape(-1)).max())
    nothing = np.zeros(direction.size, bool)
    return any(
        _along(
            place,
            place.line(name, direction, place.beside(name, number, nothing, REACH)),
            reach,
            PIECES[number % 2],
        )
        > 0
        for number in range(LINES)
    )
