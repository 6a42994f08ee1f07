"""How far rounding carries a gradient of which nothing is known: measured by calling it.

`verify.evidence.bars.derived` derives this for the built-in network from its arithmetic. Here the
gradient is taken again at points one spacing of floating-point numbers away, and in a wider type.
A bar is what these changes come to, plus `FLOOR` units of the natural size of the entry: the size
that it may have before it cancels. An entry that one spacing moves by much more than rounding
depends on an accident, and its bar contains the jump.

A gradient in a narrow type that also runs in float64 is compared with itself there, at points
nearby: what differs is its rounding, and nothing that the two have in common. One in 16 bits that
does not is compared with its own smooth part.

`docs/rounding.md` derives each part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np

from verify.evidence.entry_sizes import own_scales, scales
from verify.evidence.precisions import (
    BRAIN,
    DOUBLE,
    HALF,
    PRECISIONS,
    SINGLE,
    lost_to_underflow,
    unit_of,
)
from verify.evidence.witnesses import Witness

T = TypeVar("T")
Params = dict[str, np.ndarray]
ValueAndGrads = Callable[[Params], tuple[float, Params]]
EachValueAndGrads = Callable[[Params], Sequence[tuple[float, Params]]]
"""Several losses and their gradients, which one evaluation gives."""

DRAWS = 16
DRAWS_OF_16_BITS = 96
"""Likewise, where rounding is so coarse that its own spread has to be known better."""
CHANCE = 1e-9
FLOOR = 128.0
"""Units of rounding allowed beside the draws: a library's tanh may be off by 8, which 1 - tanh^2
doubles; two ways have one each; and a sum of such errors is a few times larger than each."""
NEARBY = 2.0**-10
"""How far, relative to its scale, an entry is moved to draw the rounding of a gradient anew."""
UNITS_APART = 16.0
"""Likewise, in units of rounding, at least."""
SHARED = 4
"""Draws' worth of weight that the tensor as a whole has in the rounding of each of its entries."""
SAME = 4.0
"""Units of rounding of its own value that an entry may be off in every draw alike."""
TERMS = 8.0
"""Likewise, units of the largest value that it has nearby, or of the tensor's usual one."""
ALIKE = 2.0**-5
"""The part of its natural size that an entry may be off in every draw alike, at most."""
CLOSE = 2.0**-26
"""A spacing, relative to the scale, at which a function computed in float64 is smooth."""
SIXTH = (1, -6, 15, -20, 15, -6, 1)
"""The weights of seven values in their sixth difference; the sum of their squares is 924."""
STRIDE = 4.0
"""The spacing, in units of rounding, at which the values of 16-bit arithmetic are rounded anew."""
LINES = 4
"""Lines on which the noise of a gradient is measured, pooled over its entries."""
LINES_OF_ONE = 24
"""Likewise, of a single number."""
PLATEAU = 2.0**-20
"""A move, relative to an entry, that float32 sees and 16 bits hardly ever do."""
WIDE_MOVE = 2.0**-4
"""One that both see."""
MOVES = 12
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
class Lazy(Mapping[str, np.ndarray]):
    """Large arrays by name, each made anew whenever it is asked for."""

    names: Collection[str]
    make: Callable[[str], np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Sizes:
    """The natural sizes of a loss and of every entry of its gradient.

    `away` has the size of each tensor's largest entry far away.
    """

    value: float
    grads: Mapping[str, np.ndarray]
    away: Mapping[str, float]

    def far(self, name: str) -> np.ndarray:
        """Return the size that the entries of a tensor's gradient have here or far away."""
        return np.asarray(np.maximum(self.grads[name], self.away[name]))

    def floor(self, name: str, unit: float) -> np.ndarray:
        """Return how far off a tensor's gradient may be in every draw alike."""
        size = self.grads[name]
        floor = np.asarray(FLOOR * unit * np.maximum(size, self.away[name]))
        np.minimum(floor, max(math.sqrt(unit), FLOOR * unit) * size, out=floor)
        return floor + lost_to_underflow(unit)


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
    here = [(value, grads)]
    return measure_each(_alone(way), arrays, here, [sizes], unit, rng, draws)[0]


def measure_each(
    ways: EachValueAndGrads,
    arrays: Params,
    here: Sequence[tuple[float, Params]],
    sizes: Sequence[Sizes],
    unit: float,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> list[Witness]:
    """Return several losses and gradients with bars from draws, at the same places for all."""
    spreads = [
        _Spread.none(grads, {k: math.sqrt(unit) * size.grads[k] for k in grads})
        for (_, grads), size in zip(here, sizes, strict=True)
    ]
    for _ in range(draws):
        found = _attempt(ways, _nudged(arrays, unit, rng))
        for there, now, spread in zip(found or here, here, spreads, strict=True):
            spread.add(there, now)
    every = zip(here, sizes, spreads, strict=True)
    return [_with_bars(*now, size, unit, spread, draws) for now, size, spread in every]


def _with_bars(
    value: float, grads: Params, sizes: Sizes, unit: float, found: _Spread, draws: int
) -> Witness:
    """Return a loss and its gradient with bars from how they spread over draws."""
    found.most.clear()  # of large arrays as few are held as can be
    spread, kinked = found.deviations(draws), found.kinked
    if draws < DRAWS:  # so few are pooled with those of the tensor, but for accidents
        spread = {
            k: np.where(kinked[k], s, np.sqrt(_pooled(draws, np.where(kinked[k], 0.0, s) ** 2)))
            for k, s in spread.items()
        }
    quantile = _quantile(sum(g.size for g in grads.values()), draws)
    return Witness(
        loss=value,
        loss_bar=quantile * math.sqrt(found.value / draws) + FLOOR * unit * sizes.value,
        grads=grads,
        bars={k: np.asarray(quantile * spread[k] + sizes.floor(k, unit)) for k in grads},
        kinked=kinked,
    )


def against_itself(
    measured: Witness,
    narrow: ValueAndGrads,
    wide: ValueAndGrads,
    arrays: Params,
    dtypes: Mapping[str, np.dtype],
    sizes: Sizes,
    unit: float,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Witness:
    """Take the bars from how far a loss and its gradient are from themselves in float64, nearby.

    `narrow` and `wide` are the same function in either type, `dtypes` those of the arguments of
    the narrow one; a function that knows no other type is both. The deviation over the points
    counts, pooled with that of the tensor, and the mean only as far as it has the size of
    rounding, here or of the terms far away, which may cancel here: a fault of the narrow function
    alone does not widen its own bars. Entries that
    depend on an accident keep the bars that they have. Products of TensorFloat-32 show here alone.
    """
    grads = partial(_gradient, wide)
    if unit <= SINGLE:
        noise = _noise(grads, arrays, CLOSE, rng, lines=1)
    else:
        noise = _noise(grads, arrays, STRIDE * unit, rng, LINES)
    of_loss: list[float] = []
    sums = {k: _Errors.none(x.shape, _power_of_two(sizes.far(k))) for k, x in arrays.items()}
    for _ in range(draws):
        # Large arrays are held no longer than need be.
        at = _beside(arrays, max(NEARBY, UNITS_APART * unit), rng)
        at = {k: at.pop(k).astype(dtypes[k]).astype(float) for k in dtypes}
        try:
            (value, rounded), (exact_value, exact) = narrow(at), wide(at)
        except (ArithmeticError, ValueError):
            continue
        del at
        of_loss.append(value - exact_value)
        for k, each in sums.items():
            each.add(rounded.pop(k), exact.pop(k), math.sqrt(unit) * sizes.far(k))
    quantile = _quantile(sum(g.size for g in measured.grads.values()), draws)
    bars = {}
    for k, g in measured.grads.items():
        errors = sums.pop(k)
        if not errors.draws or not g.size:
            bars[k] = measured.bars[k]
            continue
        bar = quantile * (np.sqrt(_pooled(errors.usual, errors.variance)) + noise[k])
        alike = np.maximum(min(FLOOR * unit, ALIKE) * sizes.grads[k], TERMS * unit * sizes.away[k])
        bar += np.minimum(2 * np.abs(errors.mean), alike)
        bar += unit * TERMS * np.maximum(errors.terms, errors.usual_term)
        bar += unit * SAME * np.abs(g) + lost_to_underflow(unit)
        bar += sizes.floor(k, DOUBLE)  # the wide one rounds, too
        bars[k] = np.asarray(bar)
        np.maximum(bars[k], measured.bars[k], out=bars[k], where=measured.kinked[k])
    loss_bar = max(measured.loss_bar, _bar_of_loss(of_loss, sizes.value, unit, quantile))
    return replace(measured, bars=bars, loss_bar=loss_bar)


def _gradient(way: ValueAndGrads, at: Params) -> Params:
    return way(at)[1]


def _bar_of_loss(errors: list[float], size: float, unit: float, quantile: float) -> float:
    """Return how far off a loss may be that was off by some errors nearby, as entries are."""
    if len(errors) < 2 or not np.isfinite(errors).all():
        return 0.0
    alike = min(FLOOR * unit, ALIKE) * size
    return quantile * float(np.std(errors, ddof=1)) + min(2 * abs(float(np.mean(errors))), alike)


@dataclass(eq=False)
class _Errors:
    """Errors of one tensor's gradient over draws, but for accidents: `usual` counts the others.

    Sums of errors and of their squares, and the largest value that each entry had, are kept in
    float32 and in units of `scale`: they are known to no more digits.
    """

    scale: float
    usual: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    largest: np.ndarray
    draws: int = 0

    @classmethod
    def none(cls, shape: tuple[int, ...], scale: float = 1.0) -> _Errors:
        sums, squares, largest = (np.zeros(shape, np.float32) for _ in range(3))
        return cls(scale, np.zeros(shape, np.int8), sums, squares, largest)

    def add(self, found: np.ndarray, exact: np.ndarray, most: np.ndarray) -> None:
        error = np.asarray(found - exact)
        usual = np.abs(error) <= most
        error[~usual] = 0
        error /= self.scale
        self.usual += usual
        self.sums += error
        self.squares += error * error
        size = np.asarray(np.abs(exact) / self.scale)
        size[~np.isfinite(size)] = 0
        np.maximum(self.largest, size, out=self.largest, casting="same_kind")
        self.draws += 1

    @property
    def terms(self) -> np.ndarray:
        return np.asarray(self.scale * self.largest.astype(float))

    @property
    def usual_term(self) -> float:
        return self.scale * math.sqrt(float(np.mean(np.square(self.largest), dtype=float)))

    @property
    def mean(self) -> np.ndarray:
        return np.asarray(self.scale * (self.sums / np.maximum(self.usual, 1.0)))

    @property
    def variance(self) -> np.ndarray:
        spread = self.squares - np.square(self.sums, dtype=float) / np.maximum(self.usual, 1)
        return np.asarray(self.scale**2 * np.maximum(spread, 0) / np.maximum(self.usual - 1, 1))


def _power_of_two(sizes: np.ndarray) -> float:
    """Return about the largest of some sizes, 1 if that is 0 or not finite."""
    largest = float(sizes.max(initial=0.0))
    return math.ldexp(1.0, math.frexp(largest)[1]) if 0 < largest < math.inf else 1.0


def _noise(
    function: Callable[[Params], Params],
    arrays: Params,
    spacing: float,
    rng: np.random.Generator,
    lines: int,
) -> dict[str, float]:
    """Return the noise of each array that a function returns: 0 but for rounding if it is smooth.

    It is the root mean square of the sixth differences on some lines, at a spacing relative to
    the scale of each entry. A function that computes in a narrower type inside is not smooth.
    """
    squares: dict[str, list[float]] = {}
    for _ in range(lines):
        step = {
            k: spacing * own_scales(x) * rng.standard_normal(x.shape) for k, x in arrays.items()
        }
        sixth: Params = {}
        for j, weight in zip(range(-3, 4), SIXTH, strict=True):
            for k, g in function({k: x + j * step[k] for k, x in arrays.items()}).items():
                sixth[k] = sixth.get(k, np.zeros(np.shape(g)))
                sixth[k] += weight * g
        for k, d in sixth.items():
            squares.setdefault(k, []).append(float(np.mean(d**2)) if d.size else 0.0)
    return {k: math.sqrt(float(np.mean(found)) / 924) for k, found in squares.items()}


def is_staircase(
    loss: Callable[[Params], float],
    gradient: Callable[[Params], Params],
    arrays: Params,
    grads: Params,
    rng: np.random.Generator,
) -> bool:
    """Return whether a function computes in 16 bits inside, though it takes finer numbers.

    Then it is constant around nearly every point. A single entry is moved, at random points, so
    little that 16 bits do not see it, where they do see a larger move. `grads` is its gradient
    at the arrays, and `gradient` that elsewhere.
    """
    # Entries at 0, and those that do not matter, do not show it.
    blind = not any(g.any() for g in grads.values())
    matter = {k: np.flatnonzero((x != 0) & (blind | (grads[k] != 0))) for k, x in arrays.items()}
    names = [k for k, index in matter.items() if index.size]
    seen, unseen = 0, 0
    for _ in range(MOVES if names else 0):
        name = names[rng.integers(len(names))]
        i = int(rng.choice(matter[name]))
        at = _beside(arrays, WIDE_MOVE, rng)
        if not _sees(loss, gradient, at, name, i, PLATEAU):
            unseen += _sees(loss, gradient, at, name, i, WIDE_MOVE)
            continue
        seen += 1
        if seen > 1:
            return False
    return unseen >= MOVES // 3


def coarseness(way: ValueAndGrads, arrays: Params, rng: np.random.Generator) -> float:
    """Return the unit roundoff of the 16-bit type in which a staircase is computed.

    It is the type that holds the whole gradient exactly. Where none does, it is float16 if the
    gradient's noise is of the size that float16 has, else bfloat16.
    """
    grads = way(arrays)[1]
    for name in ("bfloat16", "float16"):
        dtype, unit, _ = PRECISIONS[name]
        if all(np.array_equal(g.astype(dtype).astype(float), g) for g in grads.values()):
            return unit
    noise = _noise(lambda at: way(at)[1], arrays, 2 * BRAIN, rng, LINES)
    sizes = {k: float(np.sqrt(np.mean(g**2))) for k, g in grads.items() if g.size}
    rough = max((noise[k] / size for k, size in sizes.items() if size > 0), default=math.inf)
    return HALF if rough < math.sqrt(HALF * BRAIN) / 2 else BRAIN


def step_noise(
    f: Callable[[Params], float], arrays: Params, unit: float, rng: np.random.Generator
) -> float:
    """Return the standard deviation of one evaluation of a staircase about its smooth part."""
    return _noise(lambda at: {"": np.array(f(at))}, arrays, STRIDE * unit, rng, LINES_OF_ONE)[""]


def _sees(
    loss: Callable[[Params], float],
    gradient: Callable[[Params], Params],
    arrays: Params,
    name: str,
    i: int,
    by: float,
) -> bool:
    """Return whether any bit of a loss or its gradient changes where one entry is moved."""
    moved = arrays[name].copy()
    moved.reshape(-1)[i] *= 1 + by
    both = arrays, {**arrays, name: moved}
    here, there = (_attempt(loss, at) for at in both)
    if here is None or there is None:
        return False
    if here != there:
        return True
    before, after = (_attempt(gradient, at) for at in both)
    if before is None or after is None:
        return False
    return any(not np.array_equal(g, after[k]) for k, g in before.items())


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
            bars[name] + 2 * np.minimum(change, math.sqrt(unit) * sizes.far(name))
        )
    return replace(measured, bars=bars)


def without_jumps(measured: Witness, sizes: Sizes, unit: float) -> Mapping[str, np.ndarray]:
    """Return the bars, but for the jumps of entries that depend on an accident."""

    def without(name: str) -> np.ndarray:
        bar = measured.bars[name]
        jumps = measured.kinked[name] | ~np.isfinite(bar)
        return np.where(jumps, sizes.floor(name, unit), bar) if jumps.any() else bar

    return Lazy(measured.bars, without)


def unit_roundoff(
    loss: Callable[[Params], float], arrays: Mapping[str, np.ndarray], rng: np.random.Generator
) -> float:
    """Return the unit roundoff that a loss works in: that of its arguments, or float32's.

    A loss whose values at random points are all float32 numbers works in float32, whatever
    the type that it returns, unless they are so round that any type has them.
    """
    unit = max(unit_of(value.dtype) for value in arrays.values())
    fine = 0
    for _ in range(VALUES if unit < SINGLE else 0):
        v = loss({k: x * (1 + 2.0**-12 * rng.standard_normal(x.shape)) for k, x in arrays.items()})
        if not math.isfinite(v) or v == 0 or float(np.float32(v)) != v:
            return unit
        fine += math.frexp(v)[0] * ROUND % 1 != 0
    return SINGLE if fine > VALUES // 2 else unit


def natural_sizes(
    way: ValueAndGrads, arrays: Params, value: float, grads: Params, rng: np.random.Generator
) -> Sizes:
    """Return the natural sizes of a loss and its gradient; see the module."""
    return sizes_of_each(_alone(way), arrays, [(value, grads)], rng)[0]


def sizes_of_each(
    ways: EachValueAndGrads,
    arrays: Params,
    here: Sequence[tuple[float, Params]],
    rng: np.random.Generator,
) -> list[Sizes]:
    """Return the natural sizes of several losses and their gradients."""

    def near(found: Sequence[tuple[float, Params]]) -> list[tuple[float, float]]:
        return [(_finite_max(np.abs([y])), _largest_effect(grads, arrays)) for y, grads in found]

    def largest(found: Sequence[tuple[float, Params]]) -> list[list[float]]:
        return [[_finite_max(np.abs(grads[k])) for k in arrays] for _, grads in found]

    # Of large gradients no more than one is held beside what is here.
    every = [near(here)]
    every += [near(_attempt(ways, _divided(arrays, factor)) or ()) for factor in SHRINKS]
    away = [largest(_attempt(ways, _far_away(arrays, rng)) or ()) for _ in range(FAR)]
    found = []
    for k, (_, grads) in enumerate(here):
        value, effect = np.max([each[k] for each in every if each], axis=0)
        far = np.max([each[k] for each in away if each] or [[0.0] * len(arrays)], axis=0)
        sizes = Sizes(
            float(value),
            Lazy(arrays, partial(_near, grads, arrays, float(effect))),
            dict(zip(arrays, far.tolist(), strict=True)),
        )
        found.append(sizes)
    return found


def _near(grads: Params, arrays: Params, effect: float, name: str) -> np.ndarray:
    """Return the natural sizes of a tensor's entries; `effect` is the largest of any entry."""
    size = scales(arrays[name])
    np.divide(effect, size, out=size)
    np.add(size, np.abs(grads[name]), out=size, where=np.isfinite(grads[name]))
    return size


def _largest_effect(grads: Params, arrays: Params) -> float:
    """Return the largest change of the loss, to first order, by the whole of any one entry."""
    effects = (_finite_max(np.abs(g) * own_scales(arrays[k])) for k, g in grads.items())
    return max(effects, default=0.0)


def larger(one: Sizes, other: Sizes) -> Sizes:
    """Return the larger of two sizes, entry by entry."""
    return Sizes(
        max(one.value, other.value),
        {k: np.maximum(size, other.grads[k]) for k, size in one.grads.items()},
        {k: max(size, other.away[k]) for k, size in one.away.items()},
    )


def _finite_max(values: np.ndarray) -> float:
    return float(values[np.isfinite(values)].max(initial=0.0))


@dataclass(eq=False)
class _Spread:
    """Changes of a loss and its gradient over draws: sums of squares.

    `kinked` are the entries that changed by more than `most` in any draw.
    """

    value: float
    squares: Params
    most: Params
    kinked: Params

    @classmethod
    def none(cls, grads: Params, most: Params) -> _Spread:
        squares = {k: np.zeros_like(g) for k, g in grads.items()}
        return cls(0.0, squares, most, {k: np.zeros(g.shape, bool) for k, g in grads.items()})

    def deviations(self, draws: int) -> Params:
        """Return the root mean squares, in the memory of the sums, which are forgotten."""
        for square in self.squares.values():
            np.sqrt(np.divide(square, draws, out=square), out=square)
        return self.squares

    def add(self, there: tuple[float, Params], here: tuple[float, Params]) -> None:
        self.value += (there[0] - here[0]) ** 2
        for k, g in here[1].items():
            change = np.abs(there[1][k] - g)
            self.kinked[k] |= change > self.most[k]
            self.squares[k] += change * change


def _alone(way: ValueAndGrads) -> EachValueAndGrads:
    return lambda at: [way(at)]


def _attempt(way: Callable[[Params], T], arrays: Params) -> T | None:
    """Return what a way has at some other arrays, or None where it is not defined there."""
    try:
        return way(arrays)
    except (ArithmeticError, ValueError):
        return None


def _nudged(arrays: Params, unit: float, rng: np.random.Generator) -> Params:
    return {k: x * (1 + 2 * unit * _signs(x, rng)) for k, x in arrays.items()}


def _divided(arrays: Params, factor: float) -> Params:
    return {k: x / factor for k, x in arrays.items()}


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

    draws = draws if draws >= DRAWS else min(draws + SHARED, DRAWS)
    return float(-stdtrit(draws, CHANCE / (2 * entries)))
