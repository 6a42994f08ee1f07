"""How far rounding carries a gradient of which nothing is known: measured by calling it.

`verify.evidence.bars.derived` derives this for the built-in network from its arithmetic. Here the
gradient is taken again at points one spacing of floating-point numbers away, and in a wider type.
A bar is what these changes come to, plus `FLOOR` units of the natural size of the entry: the size
that it may have before it cancels. An entry that one spacing moves by much more than rounding
depends on an accident, and its bar contains the jump.

`docs/rounding.md` derives each part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from verify.evidence.bars.sum_rounding import SINGLE
from verify.evidence.entry_sizes import own_scales, scales
from verify.evidence.witnesses import Witness

Params = dict[str, np.ndarray]
ValueAndGrads = Callable[[Params], tuple[float, Params]]

DRAWS = 16
CHANCE = 1e-9
FLOOR = 128.0
"""Units of rounding allowed beside the draws: a library's tanh may be off by 8, which 1 - tanh^2
doubles; two ways have one each; and a sum of such errors is a few times larger than each."""
SHRINKS = (2.0, 4.0, 16.0)
FAR = 3
"""Random places at which a gradient's size far away is looked for."""


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
) -> Witness:
    """Return the loss and gradient that a way has at the arrays, with bars from draws."""
    value_spread, spread, largest = _spread(way, value, grads, lambda: _nudged(arrays, unit, rng))
    quantile = _quantile(sum(g.size for g in grads.values()))
    return Witness(
        loss=value,
        loss_bar=quantile * value_spread + FLOOR * unit * sizes.value,
        grads=grads,
        bars={k: np.asarray(quantile * spread[k] + sizes.floor(k, unit)) for k in grads},
        kinked={k: np.asarray(largest[k] > math.sqrt(unit) * sizes.grads[k]) for k in grads},
    )


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


def with_zeros_moved(
    measured: Witness,
    way: ValueAndGrads,
    arrays: Params,
    sizes: Sizes,
    unit: float,
    rng: np.random.Generator,
) -> Witness:
    """Mark as accidents, too, the entries that jump when zeros are moved like all others.

    A zero is moved by one spacing of numbers of its tensor's size, by 2u in a tensor of zeros.
    The bars of those entries then contain their jumps.
    """
    _, spread, largest = _spread(
        way, measured.loss, measured.grads, lambda: _displaced(arrays, unit, rng)
    )
    bars, kinked = dict(measured.bars), dict(measured.kinked)
    quantile = _quantile(sum(g.size for g in bars.values()))
    for name in bars:
        jumps = largest[name] > math.sqrt(unit) * sizes.grads[name]
        bars[name] = np.where(jumps, np.maximum(bars[name], quantile * spread[name]), bars[name])
        kinked[name] = np.asarray(kinked[name] | jumps)
    return replace(measured, bars=bars, kinked=kinked)


def unit_roundoff(
    loss: Callable[[Params], float], arrays: Mapping[str, np.ndarray], rng: np.random.Generator
) -> float:
    """Return the unit roundoff that a loss works in: that of its arguments, or float32's.

    A loss whose values at random points are all float32 numbers works in float32, whatever
    the type that it returns.
    """
    unit = max(float(np.finfo(value.dtype).eps) / 2 for value in arrays.values())
    values = [
        loss({k: x * (1 + 2.0**-12 * rng.standard_normal(x.shape)) for k, x in arrays.items()})
        for _ in range(3)
    ]
    single = all(math.isfinite(v) and v != 0 and float(np.float32(v)) == v for v in values)
    return max(unit, SINGLE) if single else unit


def natural_sizes(
    way: ValueAndGrads, arrays: Params, value: float, grads: Params, rng: np.random.Generator
) -> Sizes:
    """Return the natural sizes of a loss and its gradient; see the module."""
    scale = {k: scales(x) for k, x in arrays.items()}
    shrunk = [_attempt(way, {k: x / factor for k, x in arrays.items()}) for factor in SHRINKS]
    seen = [(value, grads), *(found for found in shrunk if found is not None)]
    effects = [_finite_max(np.abs(g[k]) * own_scales(arrays[k])) for _, g in seen for k in g]
    largest = max(effects, default=0.0)
    near = {
        k: np.where(np.isfinite(g), np.abs(g), 0) + largest / scale[k] for k, g in grads.items()
    }
    places = [_attempt(way, _far_away(arrays, rng)) for _ in range(FAR)]
    far = {
        k: np.maximum(size, max((_finite_max(np.abs(p[1][k])) for p in places if p), default=0.0))
        for k, size in near.items()
    }
    return Sizes(value=_finite_max(np.abs([v for v, _ in seen])), grads=near, far=far)


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
    way: ValueAndGrads, value: float, grads: Mapping[str, np.ndarray], moved: Callable[[], Params]
) -> tuple[float, Params, Params]:
    """Return the root mean square change of the loss and gradient over draws, and the largest."""
    value_squares = 0.0
    squares = {k: np.zeros_like(g) for k, g in grads.items()}
    largest = {k: np.zeros_like(g) for k, g in grads.items()}
    for _ in range(DRAWS):
        found = _attempt(way, moved())
        if found is None:
            continue
        new_value, new_grads = found
        value_squares += (new_value - value) ** 2
        for k, g in grads.items():
            change = np.abs(new_grads[k] - g)
            squares[k] += change**2
            np.maximum(largest[k], change, out=largest[k])
    spread = {k: np.sqrt(square / DRAWS) for k, square in squares.items()}
    return math.sqrt(value_squares / DRAWS), spread, largest


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


def _displaced(arrays: Params, unit: float, rng: np.random.Generator) -> Params:
    return {k: x + 2 * unit * own_scales(x) * _signs(x, rng) for k, x in arrays.items()}


def _far_away(arrays: Params, rng: np.random.Generator) -> Params:
    """Return random arrays of norm 1, or of the norm that theirs have if it is larger."""
    return {
        k: np.maximum(scales(x), 1 / math.sqrt(max(x.size, 1))) * rng.standard_normal(x.shape)
        for k, x in arrays.items()
    }


def _signs(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.choice((-1.0, 1.0), array.shape)


def _quantile(entries: int) -> float:
    from scipy.special import stdtrit

    return float(-stdtrit(DRAWS, CHANCE / (2 * entries)))
