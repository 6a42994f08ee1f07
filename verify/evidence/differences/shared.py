"""Differences of several functions at once: one pair of evaluations serves all of them.

Each function has its own noise and its own bars; the step is that of the first. Truncation is
measured by a second step at a few entries a tensor, the pilots, and relative to rounding is taken
to be no more than `MARGIN` times that elsewhere. Wherever a claimed gradient is further off, the
function turns more sharply than at the pilots, or the bars are too wide to see an error of a
tenth, the entry has a second step too, and is cut where that is not enough, as in
`verify.evidence.differences.central`. `docs/differences.md` says why that is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from verify.evidence.differences.batches import Losses
from verify.evidence.differences.central import (
    PILOTS,
    SETTLED,
    Functions,
    Line,
    Params,
    along,
    best_step,
    copy,
    difference,
    direction_scale,
    entry_line,
    power_of_two,
    rounding_of,
    third_derivative,
    two_steps,
)
from verify.evidence.entry_sizes import scales
from verify.evidence.sight import FINEST
from verify.evidence.witnesses import Array, Differences

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

MARGIN = 4.0
"""How many times the truncation of the pilots that of other entries may be, beside rounding."""
SPIKE = 8.0
"""How many times as sharply as at the pilots a function turns at what may be a bend."""
TURN = 4.0
"""How many times the rounding of a slope that of the difference of two slopes is, at most."""
SHORTER = 2.0
"""By how much steps are shorter than where truncation and rounding are least together: so they
are where truncation counts `MARGIN` times; twice so, where functions differ in their steps."""
EACH_PILOT = 16
"""Entries for which there is one more pilot, up to all of them."""
HURRY = 60
"""Evaluations: with fewer left there is only one pilot."""
TRIED = 4
"""Dissenting entries that have a second step first; if all of them still dissent, no others do."""


@dataclass(frozen=True, eq=False)
class Table:
    """Differences of one tensor's entries, or along its directions: a column a function."""

    index: Int[Array, " n"]
    value: Float[Array, "n K"]
    bar: Float[Array, "n K"]
    smooth: Bool[Array, "n K"]

    def of(self, function: int) -> Differences:
        """Return the differences of one of the functions."""
        return Differences(
            self.index,
            self.value[:, function].copy(),
            self.bar[:, function].copy(),
            self.smooth[:, function].copy(),
        )


@dataclass(frozen=True, eq=False)
class Stated:
    """What is said of a tensor's gradient: `values` (k, entries), a row each of the first k
    functions, as one witness has them, and how far rounding carries them, `bar` (entries,).
    """

    values: Sequence[Float[Array, "k entries"]]
    bar: Float[Array, " entries"]

    def apart(self, table: Table) -> Float[Array, "n K"]:
        """Return how far beyond all bars what is stated is from the differences."""
        found = np.full(table.value.shape, -np.inf)
        for values in self.values:
            k = len(values)
            gap = np.abs(values[:, table.index].T - table.value[:, :k])
            beyond = gap - table.bar[:, :k] - self.bar[table.index][:, None]
            np.maximum(found[:, :k], beyond, out=found[:, :k])
        return found


@dataclass(eq=False)
class _Entries:
    """Entries of one tensor while they are differenced, a row each; `done` says how often."""

    f: Functions
    work: Params
    name: str
    index: Array
    steps: Array
    here: Array
    noise: Array
    left: Callable[[], int]

    def __post_init__(self) -> None:
        self.flat = self.work[self.name].reshape(-1)
        shape = (len(self.index), len(self.noise))
        self.value, self.bar = np.full(shape, np.nan), np.full(shape, np.inf)
        self.smooth, self.done = np.zeros(shape, bool), np.zeros(shape[0], int)
        self.blur = self.turning = 0.0
        self.known = False

    def line(self, row: int) -> Line:
        """Return the functions on the line along the entry of a row."""
        return remembered(entry_line(self.f, self.work, self.flat, int(self.index[row])))

    def pilot(self, row: int, line: Line) -> None:
        """Difference an entry at two steps, and keep what these show of the functions."""
        settled, blur, turn = self.twice(row, line)
        self.known = self.known or bool(settled[0])
        self.blur = max(self.blur, float(blur[settled].max(initial=0.0)))
        self.turning = max(self.turning, float(turn[settled].max(initial=0.0)))

    def twice(self, row: int, line: Line) -> tuple[Array, Array, Array]:
        """Difference an entry at two steps; return who settled, how blurred, how sharply turned.

        Truncation is in roundings, the turn of the slope over the step.
        """
        h = float(self.steps[row])
        found = of_each(line, self.here, h, self.noise)
        self.value[row], self.bar[row], self.smooth[row] = found.value, found.bar, found.smooth
        self.done[row] = 2
        (up, f_up), (down, f_down) = line(h), line(-h)
        turn = np.abs((f_up - self.here) / up - (self.here - f_down) / -down)
        return found.settled, found.blur, turn / h

    def once(self, rows: Array) -> Bool[Array, "n K"]:
        """Difference entries at one step; return where the functions may bend."""
        x, h = self.flat[self.index[rows]], self.steps[rows]
        moved = np.stack([x + h, x - h], axis=1)
        values = self.moved(self.index[rows], moved)
        rows, moved, x = (each[: len(values)] for each in (rows, moved, x))
        bent = np.zeros(self.value.shape, bool)
        if not len(rows):
            return bent
        above, below = moved[:, :1] - x[:, None], x[:, None] - moved[:, 1:]
        y_up, y_down = values[:, 0], values[:, 1]
        rounding = rounding_of(y_up, y_down, above + below, self.noise)
        turn = np.abs((y_up - self.here) / above - (self.here - y_down) / below)
        usual = SPIKE * self.turning * self.steps[rows][:, None]
        self.value[rows] = (y_up - y_down) / (above + below)
        self.bar[rows] = rounding * (1 + MARGIN * self.blur)
        self.smooth[rows], self.done[rows] = True, 1
        bent[rows] = ~(turn <= usual + TURN * rounding)
        return bent

    def moved(self, index: Array, values: Array) -> Float[Array, "k 2 K"]:
        """Return the functions with entries replaced by two values each, as far as there are calls.

        In batches, where the functions can be called so.
        """
        if isinstance(self.f, Losses):
            found = self.f.where_moved(self.work, self.name, index, values, self.noise, self.left)
            if found is not None:
                return found
        pairs = []
        for i, pair in zip(index, values, strict=True):
            if self.left() <= 0:
                break
            x, both = self.flat[i], []
            for value in pair:
                self.flat[i] = value
                both.append(self.f(self.work))
            self.flat[i] = x
            pairs.append(both)
        return np.array(pairs).reshape(len(pairs), 2, len(self.noise))

    def again(self, rows: Array) -> None:
        """Difference entries at a second step as well; forget those that there is no time for."""
        for row in rows:
            if self.left() > 0:
                self.twice(int(row), self.line(int(row)))
            else:
                self.done[row] = 0

    @property
    def table(self) -> Table:
        """What was differenced so far."""
        kept = np.flatnonzero(self.done)
        kept = kept[np.argsort(self.index[kept])]
        return Table(self.index[kept], self.value[kept], self.bar[kept], self.smooth[kept])

    def apart(self, stated: Stated) -> Array:
        """Return how far beyond all bars each row is from what is stated, at most."""
        table = Table(self.index, self.value, self.bar, self.smooth)
        beyond = np.where(self.smooth, stated.apart(table), -np.inf).max(axis=1)
        return np.where(self.done > 0, beyond, -np.inf)

    def vague(self, stated: Stated, leading: int) -> Bool[Array, " n"]:
        """Return the rows whose bars hide an error of a tenth, if not those of rounding alone."""
        if MARGIN * self.blur <= 1 or not self.done.any():
            return np.zeros(len(self.done), bool)
        value, bar = np.abs(self.value[:, :leading]), self.bar[:, :leading]
        largest = np.nanmax(np.where(self.done[:, None] > 0, value, 0.0), axis=0, initial=0.0)
        hides = bar + stated.bar[self.index][:, None] >= FINEST * largest
        return np.asarray(hides.any(axis=1))


def entries_of_each(
    f: Functions,
    arrays: Params,
    name: str,
    index: Array,
    noise: Array,
    stated: Stated,
    leading: int,
    left: Callable[[], int],
) -> Table:
    """Return the derivatives of every function by some entries, as far as there are calls left.

    `noise` (K,) is that of one evaluation. The first `leading` functions have to be known well
    enough to see an error of a tenth.
    """
    if left() <= 0:
        index = index[:0]
    work = copy(arrays)
    here, flat = f(work), work[name].reshape(-1)
    number = min(1 + len(index) // EACH_PILOT, PILOTS if left() > HURRY else 1, len(index))
    pilots = list(dict.fromkeys(np.linspace(0, len(index) - 1, number).astype(int)))
    lines = {row: remembered(entry_line(f, work, flat, int(index[row]))) for row in pilots}
    size = scales(work[name]).reshape(-1)[index]
    first, spread = float(here[0]), float(noise[0])
    third = [
        third_derivative(one(x, 0), first, float(size[row]), spread) for row, x in lines.items()
    ]
    usual = float(np.median(third)) if third else 1.0
    shorter = SHORTER if len(noise) == 1 else SHORTER**2
    steps = np.array([power_of_two(best_step(spread, usual, float(x)) / shorter) for x in size])
    entries = _Entries(f, work, name, index, steps, here, noise, left)
    for row, line in lines.items():
        entries.pilot(row, line)
    bent = entries.once(np.delete(np.arange(len(index)), pilots)).any(axis=1)
    once = entries.done == 1
    again = once & (bent | entries.vague(stated, leading) | (not entries.known))
    entries.again(np.flatnonzero(again))
    apart = np.where(entries.done == 1, entries.apart(stated), -np.inf)
    dissent = np.argsort(-apart)[: np.sum(apart > 0)]
    entries.again(dissent[:TRIED])
    if (entries.apart(stated)[dissent[:TRIED]] <= 0).any():
        entries.again(dissent[TRIED:])
    return entries.table


class Found(NamedTuple):
    """The difference of each function on one line: (K,) arrays.

    `settled` says whose truncation the first step shows, and `blur` is that over rounding.
    """

    value: Array
    bar: Array
    smooth: Array
    settled: Array
    blur: Array


def of_each(line: Line, here: Array, h: float, noise: Array) -> Found:
    """Return the derivatives at 0 of several functions on a line, with bars."""
    value, truncation, rounding = two_steps(line, here, h, noise)
    bar, settled = truncation + rounding, (truncation <= SETTLED * rounding) & np.isfinite(rounding)
    smooth = settled.copy()
    for k in map(int, np.flatnonzero(~settled)):
        value[k], bar[k], smooth[k] = difference(
            one(line, k), float(here[k]), h, float(noise[k]), None
        )
    return Found(value, bar, smooth, settled, truncation / rounding)


def directions_of_each(
    f: Functions, arrays: Params, name: str, vectors: Array, noise: Array, left: Callable[[], int]
) -> Table:
    """Return the derivatives of every function along flat directions of one tensor.

    There are fewer where there are no calls left.
    """
    here = f(arrays)
    rows: list[Found] = []
    for vector in vectors:
        if left() <= 0:
            break
        direction = {name: vector.reshape(arrays[name].shape)}

        def moved(t: float, d: Mapping[str, Array] = direction) -> tuple[float, Array]:
            return t, f(along(arrays, d, t))

        line = remembered(moved)
        scale = direction_scale(arrays, direction)
        third = third_derivative(one(line, 0), float(here[0]), scale, float(noise[0]))
        h = power_of_two(best_step(float(noise[0]), third, scale))
        rows.append(of_each(line, here, h, noise))
    shape = (len(rows), len(noise))
    return Table(
        np.arange(len(rows)),
        np.array([row.value for row in rows], float).reshape(shape),
        np.array([row.bar for row in rows], float).reshape(shape),
        np.array([row.smooth for row in rows], bool).reshape(shape),
    )


def remembered(line: Line) -> Line:
    """Return the same functions on a line, evaluated only once at every place."""
    seen: dict[float, tuple[float, Array]] = {}

    def at(t: float) -> tuple[float, Array]:
        if t not in seen:
            seen[t] = line(t)
        return seen[t]

    return at


def one(line: Line, function: int) -> Line:
    """Return a single one of several functions on a line."""

    def at(t: float) -> tuple[float, float]:
        moved, values = line(t)
        return moved, float(values[function])

    return at
