"""Central differences of any function, as a black box, each with its own error bar.

Here: the noise of a function, its derivatives by single entries and along directions, and the
choice of entries where all are too many. Not here: anything that knows what the function is
(`verify.evidence.differences.exhaustive` does), and any verdict (`verify.verdict`).

The value is D(h) = (f(x + h) - f(x - h)) / 2h. Its bar is 4 s / h, where s is the noise of f, plus
the truncation that a second step 2h shows; h is where the two are least together. Where truncation
does not fall as h is cut, there is a bend at x.

`docs/differences.md` derives noise, step and bar.

Sources: Gill, Murray & Wright, *Practical Optimization* (1981), section 8.6; Moré & Wild,
*Estimating computational noise*, SIAM J. Sci. Comput. 33 (2011), and *Estimating derivatives of
noisy simulations*, ACM TOMS 38 (2012).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.evidence.entry_sizes import scales
from verify.evidence.precisions import DOUBLE
from verify.evidence.witnesses import Differences

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Params = dict[str, np.ndarray]
Function = Callable[[Params], float]
Functions = Callable[[Params], np.ndarray]
"""Several functions that one evaluation gives: their values, (K,)."""
Line = Callable[[float], tuple[float, Any]]
"""From a nominal displacement to the one that came out in floating point, and f there.

Of several functions, an array of their values.
"""

ROUNDING = 4.0
"""How many standard deviations s, over h, rounding is allowed in a difference."""
SETTLED = 4.0
"""How many times its rounding the truncation of a difference may be before the step is cut."""
CUT = 8.0
CUTS = 20
STEADY = 6
"""For how many cuts in a row truncation may stay, before it is the bend at x that is seen."""
PILOTS = 3
BLOCK = 2**16
"""Values that are sorted at once, to find the largest of many."""
NOISE_LINES = 3
NOISE_EVALUATIONS = 1 + 7 * NOISE_LINES
"""Evaluations that it takes at least to find the noise of a function."""
BESIDE = 2.0**-12
"""How far beside the point its noise is measured, relative to the size of each entry."""
SPACINGS = tuple(2.0**-33 * factor for factor in (1, 2.0**7, 2.0**14, 2.0**-6, 2.0**-12))
"""Tried in turn: first wider, as a coarse function is constant on close points, then closer.

The widest three, on either side of the middle, is short of the point itself, where f may bend.
"""


def noise_level(f: Function, params: Mapping[str, np.ndarray], seed: int = 0) -> float:
    """Return the standard deviation of one evaluation of f around params, at least u |f|.

    Takes 22 evaluations, and up to 106 where f is coarse. Zero noise is not believed: the smallest
    positive normal number is returned for a function that is 0 all around.
    """
    return float(noise_levels(lambda at: np.array([f(at)], float), params, seed)[0])


def noise_levels(
    f: Functions, params: Mapping[str, np.ndarray], seed: int = 0
) -> Float[np.ndarray, " K"]:
    """Return the noise of each of several functions, as `noise_level` does.

    Lines are taken as close together as the first function needs it.
    """
    work = {name: np.asarray(value, float) for name, value in params.items()}
    rng = np.random.default_rng(seed)
    here = np.abs(f(work)) * DOUBLE
    least = np.maximum(np.where(np.isfinite(here), here, 0.0), np.finfo(float).tiny)
    for _ in range(NOISE_LINES):
        centre = {
            name: value
            + BESIDE
            * scales(value)
            * rng.choice((-1.0, 1.0), value.shape)
            * _half_to_one(value, rng)
            for name, value in work.items()
        }
        direction = {
            k: scales(value) * rng.standard_normal(value.shape) for k, value in work.items()
        }
        found = _noise_on_line(f, centre, direction)
        least = np.maximum(least, np.where(np.isfinite(found), found, 0.0))
    return np.asarray(least)


def _half_to_one(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return random factors: entries moved by equal distances would meet at ties and bends."""
    return rng.uniform(0.5, 1.0, array.shape)


def central_differences(
    f: Function,
    params: Mapping[str, np.ndarray],
    entries: Mapping[str, np.ndarray],
    *,
    noise: float | None = None,
    piece: Callable[[Params], bytes] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Differences]:
    """Return the derivatives of f by the entries of params that are named by flat index.

    `noise` is the standard deviation of one evaluation, by default `noise_level`. `piece`
    names the smooth piece of f that params lie on. `progress` is called with the number of
    entries done and of all. Takes four evaluations an entry, and more where the step is cut.
    f is given one dict of arrays that is changed in place between evaluations, never the
    caller's own.
    """
    work = copy(params)
    f0 = float(f(work))
    noise = noise_level(f, params) if noise is None else noise
    home = None if piece is None else piece(work)
    total, done = sum(len(index) for index in entries.values()), 0
    results = {}
    for name, index in entries.items():
        flat = work[name].reshape(-1)
        scale = scales(work[name]).reshape(-1)
        lines = [entry_line(lambda at: float(f(at)), work, flat, i) for i in map(int, index)]
        pilots = [int(k) for k in np.linspace(0, len(lines) - 1, min(PILOTS, len(lines)))]
        wide = [third_derivative(lines[k], f0, scale[index[k]], noise) for k in pilots]
        third = float(np.median(wide)) if wide else 1.0
        rows = []
        for i, line in zip(map(int, index), lines, strict=True):
            same = None if piece is None else _entry_same(piece, home, work, flat, i)
            h = power_of_two(best_step(noise, third, scale[i]))
            rows.append(difference(line, f0, h, noise, same))
            done += 1
            if progress is not None:
                progress(done, total)
        results[name] = _differences(index, rows)
    return results


def directional_differences(
    f: Function,
    params: Mapping[str, np.ndarray],
    directions: Sequence[Mapping[str, np.ndarray]],
    *,
    noise: float | None = None,
    piece: Callable[[Params], bytes] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Differences:
    """Return the derivatives of f along directions; one names only the tensors that it moves.

    Each is d/dt f(params + t direction) at t = 0. What is said of `central_differences` holds
    here. Takes about eight evaluations a direction.
    """
    base = copy(params)
    f0 = float(f(base))
    noise = noise_level(f, params) if noise is None else noise
    home = None if piece is None else piece(base)
    rows = []
    for done, direction in enumerate(directions, start=1):

        def line(t: float, d: Mapping[str, np.ndarray] = direction) -> tuple[float, float]:
            return t, float(f(along(base, d, t)))

        same = None if piece is None else _direction_same(piece, home, base, direction)
        scale = direction_scale(base, direction)
        third = third_derivative(line, f0, scale, noise)
        h = power_of_two(best_step(noise, third, scale))
        rows.append(difference(line, f0, h, noise, same))
        if progress is not None:
            progress(done, len(directions))
    return _differences(np.arange(len(rows)), rows)


def stratified_sample(
    array: np.ndarray, count: int, rng: np.random.Generator
) -> Int[np.ndarray, " k"]:
    """Return up to `count` flat indices of the array, sorted: where mistakes would show.

    A quarter are the largest in absolute value, a quarter the smallest that are not zero, an
    eighth zeros, each as far as there are any; the rest, at least three eighths, are drawn from
    what remains.
    """
    size = array.size
    if count >= size:
        return np.arange(size)
    values = np.abs(np.asarray(array).reshape(-1))
    quarter = count // 4
    zeros = np.flatnonzero(values == 0)
    chosen = np.zeros(size, bool)
    chosen[_largest(values, quarter)] = True
    smallest = _largest(np.where(values > 0, -values, -np.inf), quarter)
    chosen[smallest[values[smallest] > 0]] = True
    chosen[rng.permutation(zeros)[: count // 8]] = True
    while missing := count - int(chosen.sum()):
        # Drawn from all, as most are not chosen yet, or from what is left.
        rest = np.flatnonzero(~chosen) if 2 * count > size else None
        drawn = (
            rng.choice(rest, missing, False)
            if rest is not None
            else rng.integers(size, size=missing)
        )
        chosen[drawn] = True
    return np.flatnonzero(chosen)


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of the largest values, as many as are asked for or there are."""
    if count == 0:
        return np.zeros(0, np.intp)
    if len(values) <= BLOCK:
        return np.argsort(values, kind="stable")[-count:]
    parts = [
        start + _largest(values[start : start + BLOCK], count)
        for start in range(0, len(values), BLOCK)
    ]
    every = np.concatenate(parts)
    return every[np.argsort(values[every], kind="stable")[-count:]]


def copy(params: Mapping[str, np.ndarray]) -> Params:
    """Return the parameters as float64 arrays of their own, contiguous."""
    return {name: np.array(value, dtype=np.float64, order="C") for name, value in params.items()}


def _differences(
    index: Iterable[int] | np.ndarray, rows: list[tuple[float, float, bool]]
) -> Differences:
    value, bar, smooth = zip(*rows, strict=True) if rows else ((), (), ())
    return Differences(
        np.asarray(index, dtype=np.intp),
        np.array(value, dtype=float),
        np.array(bar, dtype=float),
        np.array(smooth, dtype=bool),
    )


def difference(
    line: Line, f0: float, h: float, noise: float, same: Callable[[float], bool] | None
) -> tuple[float, float, bool]:
    """Return the derivative at 0, its bar, and whether there is one."""
    best, last, steady = (math.nan, math.inf), math.inf, 0
    crossed = same is not None
    for _ in range(CUTS):
        if same is None or (same(2 * h) and same(-2 * h)):
            crossed = False
            value, truncation, rounding = two_steps(line, f0, h, noise)
            if truncation + rounding < best[1]:
                best = (value, truncation + rounding)
            steady = steady + 1 if last / CUT < truncation < math.inf else 0
            settled = truncation <= SETTLED * rounding < math.inf
            if steady >= (2 if settled else STEADY):
                break
            if settled:
                return value, truncation + rounding, True
            last = truncation
        h /= CUT
    if crossed:  # a bend at the point itself; the bar is infinite only where f is not finite
        return math.nan, 0.0, False
    return *best, False


def two_steps(line: Line, f0: Any, h: float, noise: Any) -> tuple[Any, Any, Any]:
    """Return D(h) with its truncation and its rounding, both infinite where f is not finite.

    Of several functions on one line, an array each.
    """
    (up, f_up), (down, f_down) = line(h), line(-h)
    (up2, f_up2), (down2, f_down2) = line(2 * h), line(-2 * h)
    if not down < 0 < up:
        return f0 * math.nan, f0 * 0 + math.inf, f0 * 0 + math.inf
    D, S = (f_up - f_down) / (up - down), (f_up - f0) / up + (f_down - f0) / -down
    D2, S2 = (f_up2 - f_down2) / (up2 - down2), (f_up2 - f0) / up2 + (f_down2 - f0) / -down2
    truncation = abs(D2 - D) + abs(S2 - 2 * S) / 2
    rounding = rounding_of(f_up, f_down, up - down, noise)
    if isinstance(truncation, float):
        defined = math.isfinite(truncation + rounding)
        return (D, truncation, rounding) if defined else (math.nan, math.inf, math.inf)
    defined = np.isfinite(truncation + rounding)
    truncation, rounding = (np.where(defined, x, np.inf) for x in (truncation, rounding))
    return np.where(defined, D, np.nan), truncation, rounding


def rounding_of(f_up: Any, f_down: Any, width: Any, noise: Any) -> Any:
    """Return how far rounding may put off a difference of two values, `width` apart."""
    if isinstance(f_up, float):
        return ROUNDING * max(noise, DOUBLE * max(abs(f_up), abs(f_down))) * 2 / width
    one = np.maximum(noise, DOUBLE * np.maximum(np.abs(f_up), np.abs(f_down)))
    return ROUNDING * one * 2 / width


def best_step(noise: float, third: float, scale: float) -> float:
    """Return the step at which truncation and rounding are least, within reason."""
    h = math.cbrt(3 * noise / third) if third > 0 else math.inf
    return min(max(h, 2.0**-26 * scale), 2.0**-7 * max(scale, 1.0))


def third_derivative(line: Line, f0: float, scale: float, noise: float) -> float:
    """Return the size of f''' near 0, or what the noise could hide where it cannot be seen."""
    h, seen = power_of_two(2.0**-10 * scale), math.inf
    while True:
        values = [line(t * h)[1] for t in (-2, -1, 1, 2)]
        if not all(map(math.isfinite, values)):
            break
        f_2, f_1, f1, f2 = values
        third = abs(f2 - 2 * f1 + 2 * f_1 - f_2) / (2 * h**3)
        hidden = ROUNDING * noise / h**3
        seen = max(third, hidden)
        if third > hidden or h * CUT > 2.0**-7 * max(scale, 1.0):
            break
        h *= CUT
    return seen if math.isfinite(seen) else max(abs(f0), noise) / scale**3


def _noise_on_line(f: Functions, centre: Params, direction: Params) -> np.ndarray:
    """Return ECnoise's estimates on seven points, at a spacing where they can be made.

    Where one can be made at none, the least of the table's levels: the smooth part and a bend
    can only add to them.
    """
    least, found = np.array(np.inf), np.array(np.nan)
    for spacing in SPACINGS:
        values = np.array([f(along(centre, direction, spacing * k)) for k in range(-3, 4)])
        if not np.isfinite(values[:, 0]).all():
            break
        size = np.abs(values).max(axis=0)  # squares of values of 1e-160 would be 0
        # What is 0 throughout, as under a cotangent of zeros, is so at any spacing.
        flat = ((values[1:] == values[:-1]).sum(axis=0) >= len(values) // 2) & (size > 0)
        level, settled = _noise_from_table(values / np.where(size > 0, size, 1))
        least = np.where(flat, least, np.fmin(least, size * level))
        found = np.where(flat | ~settled | ~np.isnan(found), found, size * level)
        if np.isfinite(found).flat[0] and not flat.any():
            break
    return np.asarray(np.where(np.isnan(found), least, found))


def _noise_from_table(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the noise of equally spaced values (7, K), and if the table of differences shows it.

    It does where three successive orders agree to a factor of 4 and the signs alternate, unless
    the values differ in their first digit.
    """
    tables = [np.diff(values, axis=0)]
    while len(tables[-1]) > 1:
        tables.append(np.diff(tables[-1], axis=0))
    levels = np.array(
        [np.sqrt(np.mean(t**2, axis=0) / math.comb(2 * k, k)) for k, t in enumerate(tables, 1)]
    )
    signs = np.array([(t.min(axis=0) < 0) & (t.max(axis=0) > 0) for t in tables])
    near = np.array([levels[k : k + 3] for k in range(len(levels) - 2)])
    shown = (near.max(axis=1) <= 4 * near.min(axis=1)) & signs[:-2]
    shown &= np.ptp(values, axis=0) <= 0.1 * np.abs(values).max(axis=0)
    first = np.take_along_axis(levels, shown.argmax(axis=0)[None], axis=0)[0]
    settled = shown.any(axis=0)
    return np.where(settled, first, levels[:-2].min(axis=0)), settled


def entry_line(f: Callable[[Params], Any], work: Params, flat: np.ndarray, i: int) -> Line:
    """Return the line along one entry of work, which is put back after every evaluation."""

    def line(t: float) -> tuple[float, Any]:
        x = flat[i]
        moved = x + t
        try:
            flat[i] = moved
            return float(moved - x), f(work)
        finally:
            flat[i] = x

    return line


def _entry_same(
    piece: Callable[[Params], bytes], home: bytes | None, work: Params, flat: np.ndarray, i: int
) -> Callable[[float], bool]:
    def same(t: float) -> bool:
        x = flat[i]
        try:
            flat[i] = x + t
            return piece(work) == home
        finally:
            flat[i] = x

    return same


def _direction_same(
    piece: Callable[[Params], bytes],
    home: bytes | None,
    base: Params,
    direction: Mapping[str, np.ndarray],
) -> Callable[[float], bool]:
    return lambda t: piece(along(base, direction, t)) == home


def along(base: Mapping[str, np.ndarray], direction: Mapping[str, np.ndarray], t: float) -> Params:
    """Return the point at t on the line from base along a direction."""
    return {
        name: value + t * direction[name] if name in direction else value
        for name, value in base.items()
    }


def direction_scale(base: Params, direction: Mapping[str, np.ndarray]) -> float:
    """Return the t at which the direction moves the parameters by their own size."""
    moved = math.sqrt(sum(float(np.sum(np.square(value))) for value in direction.values()))
    size = math.sqrt(sum(float(np.sum(np.square(scales(base[name])))) for name in direction))
    return size / moved if moved > 0 else 1.0


def power_of_two(h: float) -> float:
    """Return the largest power of two that is no more than h."""
    return 2.0 ** math.floor(math.log2(h))
