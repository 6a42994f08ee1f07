"""How far rounding carries a gradient of which nothing is known: measured by calling it.

`verify.evidence.bars.derived` derives this for the built-in network from its arithmetic. Here the
gradient is taken again at points one spacing of floating-point numbers away, and in a wider type.
A bar is what these changes come to, plus `FLOOR` units of the natural size of the entry: the size
that it may have before it cancels. An entry that one spacing moves by much more than rounding
depends on an accident, and its bar contains the jump.

A gradient in a narrow type that also runs in float64 is compared with itself there, at points
nearby: what differs is its rounding, and nothing that the two have in common.

`docs/rounding.md` derives each part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from verify.evidence.bars.sum_rounding import HALF, SINGLE
from verify.evidence.entry_sizes import own_scales, scales
from verify.evidence.witnesses import Witness

Params = dict[str, np.ndarray]
NARROW = {SINGLE: np.float32, HALF: np.float16}
"""The types narrower than float64, by unit roundoff."""
ValueAndGrads = Callable[[Params], tuple[float, Params]]

DRAWS = 16
CHANCE = 1e-9
FLOOR = 128.0
"""Units of rounding allowed beside the draws: a library's tanh may be off by 8, which 1 - tanh^2
doubles; two ways have one each; and a sum of such errors is a few times larger than each."""
NEARBY = 2.0**-10
"""How far, relative to its scale, an entry is moved to draw the rounding of a gradient anew."""
SHARED = 4
"""Draws' worth of weight that the tensor as a whole has in the rounding of each of its entries."""
SAME = 4.0
"""Units of rounding of its own value that an entry may be off in every draw alike."""
TERMS = 8.0
"""Likewise, units of the largest value that it has nearby."""
CLOSE = 2.0**-26
"""A spacing, relative to the scale, at which a function computed in float64 is smooth."""
SIXTH = (1, -6, 15, -20, 15, -6, 1)
"""The weights of seven values in their sixth difference; the sum of their squares is 924."""
VALUES = 6
"""Values by which the type is recognised that a loss computes in."""
ROUND = 2.0**16
"""Numbers with so few different significands may be in any type."""
SHRINKS = (2.0, 4.0, 16.0)
FAR = 3
"""Random places at which a gradient's size far away is looked for."""
ATTEMPTS = len(SHRINKS) + FAR
"""Gradients that natural sizes take."""


@dataclass(frozen=True, eq=False)
class Sizes:
    """The natural sizes of a loss and of every entry of its gradient, and those far away."""

    value: float
    grads: Params
    far: Params

    def floor(self, name: str, unit: float) -> np.ndarray:
        """Return how far off a tensor's gradient may be in every draw alike."""
        near, far = FLOOR * unit * self.grads[name], FLOOR * unit * self.far[name]
        floor = np.maximum(near, np.minimum(far, math.sqrt(unit) * self.grads[name]))
        return floor + FLOOR * _least(unit)


def measure(
    way: ValueAndGrads,
    arrays: Params,
    value: float,
    grads: Params,
    sizes: Sizes,
    unit: float,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Witness:
    """Return the loss and gradient that a way has at the arrays, with bars from draws."""
    moved = partial(_nudged, arrays, unit, rng)
    value_spread, spread, largest = _spread(way, value, grads, moved, draws)
    if draws < DRAWS:  # so few are pooled with those of the tensor
        spread = {k: np.sqrt(_pooled(draws, each**2)) for k, each in spread.items()}
    quantile = _quantile(sum(g.size for g in grads.values()), draws)
    return Witness(
        loss=value,
        loss_bar=quantile * value_spread + FLOOR * unit * sizes.value,
        grads=grads,
        bars={k: np.asarray(quantile * spread[k] + sizes.floor(k, unit)) for k in grads},
        kinked={k: np.asarray(largest[k] > math.sqrt(unit) * sizes.grads[k]) for k in grads},
    )


def against_itself(
    measured: Witness,
    narrow: Callable[[Params], Params],
    wide: Callable[[Params], Params],
    arrays: Params,
    sizes: Sizes,
    unit: float,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Witness:
    """Take the bars from how far a gradient is from itself in float64, at points nearby.

    `narrow` and `wide` are the same function in either type, `arrays` numbers of the narrow one.
    The deviation over the points counts, pooled with that of the tensor, and not the mean: a
    fault of the narrow function alone does not widen its own bars. Entries that depend on an
    accident keep the bars that they have.
    """
    dtypes = dict.fromkeys(arrays, NARROW[unit])
    sums = {k: _Errors.none(x.shape) for k, x in arrays.items()}
    for _ in range(draws):
        at = {k: x.astype(dtypes[k]).astype(float) for k, x in _beside(arrays, NEARBY, rng).items()}
        try:
            rounded, exact = narrow(at), wide(at)
        except (ArithmeticError, ValueError):
            continue
        for k, each in sums.items():
            each.add(rounded[k] - exact[k], exact[k], math.sqrt(unit) * sizes.far[k])
    noise = _noise(wide, arrays, rng)
    quantile = _quantile(sum(g.size for g in measured.grads.values()), draws)
    bars = {}
    for k, g in measured.grads.items():
        if not sums[k].draws or not g.size:
            bars[k] = measured.bars[k]
            continue
        bar = quantile * (np.sqrt(_pooled(sums[k].usual, sums[k].variance)) + noise[k])
        bar += unit * (SAME * np.abs(g) + TERMS * sums[k].terms) + FLOOR * _least(unit)
        bars[k] = np.where(measured.kinked[k], np.maximum(bar, measured.bars[k]), bar)
    return replace(measured, bars=bars)


@dataclass(eq=False)
class _Errors:
    """Errors of one tensor's gradient over draws, but for accidents: `usual` counts the others.

    `terms` is the largest value that each entry had.
    """

    usual: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    terms: np.ndarray
    draws: int = 0

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> _Errors:
        return cls(np.zeros(shape, np.int8), np.zeros(shape), np.zeros(shape), np.zeros(shape))

    def add(self, error: np.ndarray, exact: np.ndarray, most: np.ndarray) -> None:
        usual = np.abs(error) <= most
        error = np.where(usual, error, 0)
        self.usual += usual
        self.total += error
        self.squares += error**2
        size = np.abs(exact)
        np.maximum(self.terms, np.where(np.isfinite(size), size, 0), out=self.terms)
        self.draws += 1

    @property
    def mean(self) -> np.ndarray:
        return np.asarray(self.total / np.maximum(self.usual, 1))

    @property
    def variance(self) -> np.ndarray:
        spread = np.maximum(self.squares - self.total * self.mean, 0)
        return np.asarray(spread / np.maximum(self.usual - 1, 1))


def _noise(
    gradient: Callable[[Params], Params], arrays: Params, rng: np.random.Generator
) -> dict[str, float]:
    """Return the noise of a gradient, a tensor: 0 but for rounding where it is smooth.

    It is the root mean square of the sixth differences at a spacing of `CLOSE`. A gradient that
    computes in a narrower type inside is not smooth at that.
    """
    step = {k: CLOSE * own_scales(x) * rng.standard_normal(x.shape) for k, x in arrays.items()}
    sixth = {k: np.zeros_like(x) for k, x in arrays.items()}
    for j, weight in zip(range(-3, 4), SIXTH, strict=True):
        for k, g in gradient({k: x + j * step[k] for k, x in arrays.items()}).items():
            sixth[k] += weight * g
    return {k: math.sqrt(np.mean(d**2) / 924) for k, d in sixth.items() if d.size}


def _beside(arrays: Params, distance: float, rng: np.random.Generator) -> Params:
    return {
        k: np.asarray(x + distance * own_scales(x) * rng.standard_normal(x.shape))
        for k, x in arrays.items()
    }


def with_wider(
    measured: Witness, wider: Mapping[str, np.ndarray], sizes: Sizes, unit: float
) -> Witness:
    """Add to the bars what a wider type changes, as far as it has the size of rounding.

    `wider` has the gradients that came out in the wider type, of some or all tensors.
    """
    bars = dict(measured.bars)
    for name, exact in wider.items():
        change = np.abs(np.asarray(exact - measured.grads[name], float))
        bars[name] = np.asarray(
            bars[name] + 2 * np.minimum(change, math.sqrt(unit) * sizes.far[name])
        )
    return replace(measured, bars=bars)


def without_jumps(measured: Witness, sizes: Sizes, unit: float) -> dict[str, np.ndarray]:
    """Return the bars, but for the jumps of entries that depend on an accident."""
    return {
        k: np.where(measured.kinked[k] | ~np.isfinite(bar), sizes.floor(k, unit), bar)
        for k, bar in measured.bars.items()
    }


def unit_roundoff(
    loss: Callable[[Params], float], arrays: Mapping[str, np.ndarray], rng: np.random.Generator
) -> float:
    """Return the unit roundoff that a loss works in: that of its arguments, or float32's.

    A loss whose values at random points are all float32 numbers works in float32, whatever
    the type that it returns, unless they are so round that any type has them.
    """
    unit = max(float(np.finfo(value.dtype).eps) / 2 for value in arrays.values())
    values = [
        loss({k: x * (1 + 2.0**-12 * rng.standard_normal(x.shape)) for k, x in arrays.items()})
        for _ in range(VALUES)
    ]
    single = all(math.isfinite(v) and v != 0 and float(np.float32(v)) == v for v in values)
    fine = [v for v in values if math.frexp(v)[0] * ROUND % 1]
    return max(unit, SINGLE) if single and len(fine) > VALUES // 2 else unit


def natural_sizes(
    way: ValueAndGrads, arrays: Params, value: float, grads: Params, rng: np.random.Generator
) -> Sizes:
    """Return the natural sizes of a loss and its gradient; see the module."""
    value_size, largest = _finite_max(np.abs([value])), _largest_effect(grads, arrays)
    for factor in SHRINKS:
        found = _attempt(way, {k: x / factor for k, x in arrays.items()})
        if found is not None:
            value_size = max(value_size, _finite_max(np.abs([found[0]])))
            largest = max(largest, _largest_effect(found[1], arrays))
    near = {
        k: np.where(np.isfinite(g), np.abs(g), 0) + largest / scales(arrays[k])
        for k, g in grads.items()
    }
    away = dict.fromkeys(grads, 0.0)
    for _ in range(FAR):
        found = _attempt(way, _far_away(arrays, rng))
        if found is not None:
            away = {k: max(size, _finite_max(np.abs(found[1][k]))) for k, size in away.items()}
    far = {k: np.maximum(size, away[k]) for k, size in near.items()}
    return Sizes(value=value_size, grads=near, far=far)


def _largest_effect(grads: Params, arrays: Params) -> float:
    """Return the largest change of the loss, to first order, by the whole of any one entry."""
    effects = (_finite_max(np.abs(g) * own_scales(arrays[k])) for k, g in grads.items())
    return max(effects, default=0.0)


def larger(one: Sizes, other: Sizes) -> Sizes:
    """Return the larger of two sizes, entry by entry."""
    return Sizes(
        max(one.value, other.value),
        {k: np.maximum(size, other.grads[k]) for k, size in one.grads.items()},
        {k: np.maximum(size, other.far[k]) for k, size in one.far.items()},
    )


def _finite_max(values: np.ndarray) -> float:
    return float(values[np.isfinite(values)].max(initial=0.0))


def _spread(
    way: ValueAndGrads,
    value: float,
    grads: Mapping[str, np.ndarray],
    moved: Callable[[], Params],
    draws: int,
) -> tuple[float, Params, Params]:
    """Return the root mean square change of the loss and gradient over draws, and the largest."""
    value_squares = 0.0
    squares = {k: np.zeros_like(g) for k, g in grads.items()}
    largest = {k: np.zeros_like(g) for k, g in grads.items()}
    for _ in range(draws):
        found = _attempt(way, moved())
        if found is None:
            continue
        new_value, new_grads = found
        value_squares += (new_value - value) ** 2
        for k, g in grads.items():
            change = np.abs(new_grads[k] - g)
            squares[k] += change**2
            np.maximum(largest[k], change, out=largest[k])
    spread = {k: np.sqrt(square / draws) for k, square in squares.items()}
    return math.sqrt(value_squares / draws), spread, largest


def _attempt(way: ValueAndGrads, arrays: Params) -> tuple[float, Params] | None:
    """Return what a way has at some other arrays, or None where it is not defined there."""
    try:
        return way(arrays)
    except (ArithmeticError, ValueError):
        return None


def _least(unit: float) -> float:
    """Return the smallest normal number of the type with this unit roundoff."""
    types = (np.finfo(dtype) for dtype in (np.float64, np.float32, np.float16))
    return float(next(info.tiny for info in types if info.eps / 2 >= unit))


def _nudged(arrays: Params, unit: float, rng: np.random.Generator) -> Params:
    return {k: x * (1 + 2 * unit * _signs(x, rng)) for k, x in arrays.items()}


def _far_away(arrays: Params, rng: np.random.Generator) -> Params:
    """Return random arrays of norm 1, or of the norm that theirs have if it is larger."""
    return {
        k: np.maximum(scales(x), 1 / math.sqrt(max(x.size, 1))) * rng.standard_normal(x.shape)
        for k, x in arrays.items()
    }


def _signs(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(2.0 * rng.integers(0, 2, array.shape, np.int8) - 1.0)


def _pooled(count: np.ndarray | int, square: np.ndarray) -> np.ndarray:
    """Return variances from a number of draws, pooled with the mean of the tensor's."""
    mean = float(square.mean()) if square.size else 0.0
    return np.asarray((count * square + SHARED * mean) / (count + SHARED))


def _quantile(entries: int, draws: int) -> float:
    """Return how many standard deviations rounding is allowed, of which there were some draws.

    Fewer than `DRAWS` are pooled, which counts as `SHARED` more.
    """
    from scipy.special import stdtrit

    draws = draws if draws == DRAWS else min(draws + SHARED, DRAWS)
    return float(-stdtrit(draws, CHANCE / (2 * entries)))
