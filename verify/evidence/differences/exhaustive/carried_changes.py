"""What a moved Z does to the loss of its example, carried through the tail of the network.

Here: the identities that carry a change, and how many units and examples go through them at
once. `docs/every-weight.md` derives the identities.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np

from verify.activations import ACTIVATIONS, KINKED, carried_straight
from verify.evidence.differences.exhaustive.base_values import Layer, Output
from verify.evidence.witnesses import Array

T = TypeVar("T")

Block = tuple[int, slice, slice]
"""A layer, its units and its examples."""

FAR = 2.0**10
"""The second step, as a multiple of the first."""
ELEMENTS = 2**17
"""Size of temporary arrays: they stay in the cache, and malloc keeps their pages."""
FEW = 4
"""Blocks that are not worth a thread each."""


def _atanh(x: Any) -> Any:
    """Return atanh(x) for |x| <= 2^-16; the next term is below 2^-66 of it."""
    return x * (1 + x * x * (1 / 3))


CARRY = {name: row.carried for name, row in ACTIVATIONS.items()} | {"logit": carried_straight}
STRAIGHT = KINKED | {"logit"}
"""The activations whose changes are in proportion, on one piece."""


def _against_the_label(logits: Any, side: Any) -> Any:
    return side * logits


def _against_the_right_class(logits: Any, side: Any) -> Any:
    return logits - (side * logits).sum(axis=0)


WRONG = {"sigmoid": _against_the_label, "softmax": _against_the_right_class}
"""The change of every wrong class's logit, relative to the right one's."""


def differences(
    layers: Sequence[Layer], output: Output, steps: Sequence[Array]
) -> list[tuple[Array, Array]]:
    """Return, for each layer, every example's own difference by every Z, with both steps."""
    results = [(np.empty_like(step), np.empty_like(step)) for step in steps]
    blocks = [
        (index, units, examples)
        for index in range(len(layers))
        for units, examples in _blocks(layers[index:])
    ]

    def work(block: Block) -> None:
        index, units, examples = block
        step = steps[index][units, examples]
        tail = cut(layers[index:], output, units, examples)
        halves = half_differences(*activations(layers[index:]), output.kind, step, tail)
        for result, half, scale in zip(results[index], halves, (1, FAR), strict=True):
            result[units, examples] = half / (scale * step)

    on_every_block(work, blocks)
    return results


def activations(layers: Sequence[Layer]) -> tuple[tuple[str, ...], bool]:
    """Return the activations before the logits, and whether all changes are in proportion."""
    names = tuple(layer.activation for layer in layers)
    return names[:-1], STRAIGHT.issuperset(names)


class Tail(NamedTuple):
    """What some units u of a layer, on some examples e, send their changes through.

    Slope and level of the units (u, e); column (n, u), the weights from the units to the next
    layer, or where the logits are; `later`, the slope (n, e), level (n, e) and following W of every
    hidden layer behind; side and odds of the output (classes, e).
    """

    slope: Any
    level: Any
    column: Any
    later: Sequence[tuple[Any, Any, Any]]
    side: Any
    odds: Any


def cut(layers: Sequence[Layer], output: Output, units: slice, examples: slice) -> Tail:
    """Return the tail of some units of the first of these layers, on some examples."""
    own, *later = layers
    return Tail(
        own.slope[units, examples],
        own.level[units, examples],
        (later[0].W if later else np.eye(len(own.Z)))[:, units],
        [
            (layer.slope[:, examples], layer.level[:, examples], above.W)
            for layer, above in pairwise(later)
        ],
        output.side[:, examples],
        output.odds[:, examples],
    )


def half_differences(
    names: Sequence[str], straight: bool, kind: str, step: Any, tail: Tail
) -> tuple[Any, Any]:
    """Return (L(+d) - L(-d)) / 2 of each example's loss L, for d = step and for d = FAR step.

    One unit moves at a time: changes of a later layer are arrays (n_l, units, examples). The arrays
    may be NumPy's or JAX's.
    """
    side, odds = tail.side[:, None], tail.odds[:, None]

    def logits(delta: Any) -> Any:
        own, *others = names or ("logit",)
        dZ = tail.column[:, :, None] * CARRY[own](delta, tail.slope, tail.level)
        for name, (slope, level, W) in zip(others, tail.later, strict=True):
            dA = CARRY[name](dZ, slope[:, None], level[:, None])
            dZ = (W @ dA.reshape(len(dA), -1)).reshape(len(W), *step.shape)
        return dZ

    def moments(delta: Any) -> tuple[Any, Any, Any]:
        """Return the sums of p x^k / k!, for k = 1, 2 and 3, that add up to those of p expm1(x)."""
        x = WRONG[kind](logits(delta), side)
        first = odds * x
        second = first * x / 2
        return first.sum(axis=0), second.sum(axis=0), (second * x / 3).sum(axis=0)

    once = moments(step) if straight else None

    def excess(scale: float) -> Any:
        if once is None:
            return sum(moments(scale * step))
        first, second, third = once
        return scale * first + scale**2 * second + scale**3 * third

    def half(scale: float) -> Any:
        up, down = excess(scale), excess(-scale)
        return _atanh((up - down) / (2 + up + down))

    return half(1.0), half(FAR)


def truncation(near: Any, far: Any) -> Any:
    """Return the bar of the truncation in the differences by the near step."""
    return 2 * abs(far - near) / (FAR**2 - 1)


def _blocks(layers: Sequence[Layer]) -> list[tuple[slice, slice]]:
    """Return the blocks of units and examples of the first layer, together all of them."""
    units, m = layers[0].Z.shape
    width = max(len(layer.Z) for layer in (*layers[1:], layers[-1]))
    columns = slices(m, ELEMENTS // width)
    rows = slices(units, ELEMENTS // (width * columns[0].stop))
    return [(own, examples) for own in rows for examples in columns]


def slices(count: int, size: int) -> list[slice]:
    """Return the fewest slices of at most `size` (at least 1), the first the largest."""
    size = -(-count // -(-count // max(size, 1)))
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def on_every_block(work: Callable[[T], None], blocks: Sequence[T]) -> None:
    """Do the work on every block, many of them in as many threads as there are cores."""

    def quietly(block: T) -> None:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            work(block)

    if len(blocks) <= FEW:
        for block in blocks:
            quietly(block)
        return
    from threadpoolctl import threadpool_limits

    # BLAS's own threads would fight those of the blocks for the cores.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(quietly, blocks):
            pass
