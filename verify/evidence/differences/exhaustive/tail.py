"""What a moved weight does to the loss, carried through the tail of the network.

Here: the identities that carry a change, written once for NumPy and for XLA, and the two ways
of putting many weights through them. The identities are explained in the package's docstring.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from verify.activations import ACTIVATIONS, KINKED, carried_straight, expm1_of_small
from verify.evidence.differences.exhaustive.network import Layer, Output

FAR = 2.0**10
"""The second step, as a multiple of the first."""
UNROLLED = 4000
"""Operations of a tail, at most, that the compiler is given one by one."""
COMPILATION, EACH = 0.25, 7e-4
COMPILED, MULTIPLIED, INTERPRETED = 3e-11, 5e-11, 4e-10
CALLS = 1e-3
"""Measured seconds of a core: of one compilation and each operation in it; of one operation where
it is compiled, in a matrix product, in any other array operation; of the rest, a tensor."""
LANES = 2**15
"""Units times features that XLA adds up side by side: two arrays of them stay in the cache."""
FEATURES = 1024
ELEMENTS = 2**16
"""Size of NumPy's temporary arrays: they stay in the cache, and malloc keeps their pages."""
COLUMNS = 128
"""Columns, at least, that a matrix product is given at once."""
PARALLEL = 0.01
"""Seconds of work from which on NumPy's part is given to all cores."""


class Tail(NamedTuple):
    """A block of what follows a moved Z: units of its own layer, later layers, the loss.

    Broadcast against changes (examples K, units I, features F): slope and level of the moved
    units (K, I, 1), and the column of the next W that each of them meets, (n, 1, I, 1); for
    each later layer slope and level (n, K, 1, 1) and the W above it; side and odds of the
    output (n, K, 1, 1).
    """

    slope: Any
    level: Any
    column: Any
    later: Sequence[tuple[Any, Any, Any]]
    side: Any
    odds: Any


class Rows(NamedTuple):
    """A layer's units, apart or together: a function of each, and a matrix product."""

    each: Callable
    product: Callable


APART = Rows(
    lambda function, *rows: [function(*row) for row in zip(*rows, strict=True)],
    lambda W, rows: [sum(w * row for w, row in zip(weights, rows, strict=True)) for weights in W],
)
"""A list of one array a unit, every weight a scalar: what a compiler fuses."""

TOGETHER = Rows(
    lambda function, *rows: function(*rows),
    lambda W, rows: (W @ rows.reshape(len(rows), -1)).reshape(len(W), *rows.shape[1:]),
)
"""One array for all units: what BLAS multiplies."""


def _atanh(x):
    """Return atanh(x) for |x| <= 2^-16; the next term is below 2^-66 of it."""
    return x * (1 + x * x * (1 / 3))


CARRY = {name: row.carried for name, row in ACTIVATIONS.items()} | {"logit": carried_straight}
CURVED = ACTIVATIONS.keys() - KINKED


def _times(a, b):
    return a * b


def _against_the_label(rows: Rows, logits, side):
    return rows.each(_times, side, logits)


def _against_the_right_class(rows: Rows, logits, side):
    right = sum(rows.each(_times, side, logits))
    return rows.each(lambda logit: logit - right, logits)


WRONG = {"sigmoid": _against_the_label, "softmax": _against_the_right_class}
"""The change of every wrong class's logit, relative to the right one's."""


def half_differences(rows: Rows, names: Sequence[str], kind: str, delta, tail: Tail):
    """Return (L(+d) - L(-d)) / 2 of each example's loss, for d = delta and for d = FAR delta.

    delta (K, 1, F) is the change of Z of every unit in turn; the results are (K, I, F). `names`
    are the activations of the moved layer and the later ones, `kind` is that of the output.
    """
    own, between = names[0], names[1:-1]

    def logits(delta):
        dA = CARRY[own](delta, tail.slope, tail.level)
        dZ = rows.each(lambda weight: weight * dA, tail.column)
        for name, (slope, level, W) in zip(between, tail.later, strict=True):
            dZ = rows.product(W, rows.each(CARRY[name], dZ, slope, level))
        return dZ

    if CURVED.isdisjoint(names):
        once = logits(delta)

        def at(scale):
            return rows.each(lambda row: scale * row, once)
    else:

        def at(scale):
            return logits(scale * delta)

    def excess(scale):
        wrong = WRONG[kind](rows, at(scale), tail.side)
        return sum(rows.each(lambda odds, d: odds * expm1_of_small(d), tail.odds, wrong))

    def half(scale):
        up, down = excess(scale), excess(-scale)
        return _atanh((up - down) / (2 + up + down))

    return half(1.0), half(FAR)


def differences(
    layers: Sequence[Layer], output: Output, inputs: np.ndarray, h: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return D(h) and D(FAR h), (n_l, n), by the first layer's weights that read inputs (n, m).

    The penalty is not in them.
    """
    n, m = inputs.shape
    names = tuple(layer.activation for layer in layers)
    widths = [len(layer.Z) for layer in layers]
    arguments = names, widths, n, m
    compile_it = _seconds_compiled(*arguments) < _seconds_interpreted(*arguments)
    put_through = _compiled if compile_it else _interpreted
    near, far = put_through(names, layers, output, inputs, h)
    return near / (m * h), far / (m * h * FAR)


def seconds(names: Sequence[str], widths: Sequence[int], n: int, m: int) -> float:
    """Return the time that n weights a unit take, with m examples, put through the faster way.

    `names` and `widths` are those of the moved layer and the later ones.
    """
    return min(_seconds_compiled(names, widths, n, m), _seconds_interpreted(names, widths, n, m))


def _seconds_compiled(names, widths, n, m) -> float:
    operations = sum(_operations(names, widths))
    if operations > UNROLLED or widths[0] * n < FEATURES:
        return math.inf
    once = COMPILATION + operations * EACH
    return once + widths[0] * n * m * operations * COMPILED / _cores()


def _seconds_interpreted(names, widths, n, m) -> float:
    product, other = _operations(names, widths)
    each = product * MULTIPLIED + other * INTERPRETED
    return CALLS + widths[0] * n * m * each / _cores()


def _operations(names, widths) -> tuple[int, int]:
    """Return a tail's additions and multiplications: those in matrix products, and the others."""
    units = list(zip(names, (1, *widths[1:]), strict=True))
    curved = sum(width for name, width in units if name in CURVED)
    times = 4 if curved else 1
    product = sum(2 * a * b for a, b in pairwise(widths[1:]))
    other = sum(width for _, width in units) + 9 * curved
    return times * product, times * other + 4 * (10 * widths[-1] + 6)


def _cores() -> int:
    return os.cpu_count() or 1


def _next_weights(layers: Sequence[Layer]) -> np.ndarray:
    """Return the W that the moved units meet: the identity, where they are the logits."""
    return layers[1].W if len(layers) > 1 else np.eye(len(layers[0].Z))


def _interpreted(names, layers, output, inputs, h):
    """Sum the half differences over the examples in NumPy, in blocks that stay in the cache."""
    n, m = inputs.shape
    widths = [len(layer.Z) for layer in layers]
    units, column = widths[0], _next_weights(layers)
    lanes = max(COLUMNS, ELEMENTS // max([len(column), *widths[1:]]))
    sums = np.zeros((units, n)), np.zeros((units, n))

    def work(block: tuple[slice, slice]) -> None:
        own, features = block
        size = (own.stop - own.start) * (features.stop - features.start)
        for examples in _slices(m, lanes // size):

            def base(array: np.ndarray, k: slice = examples) -> np.ndarray:
                return array[:, k, None, None]

            tail = Tail(
                layers[0].slope[own, examples].T[:, :, None],
                layers[0].level[own, examples].T[:, :, None],
                column[:, None, own, None],
                [
                    (base(layer.slope), base(layer.level), above.W)
                    for layer, above in pairwise(layers[1:])
                ],
                base(output.side),
                base(output.odds),
            )
            delta = h * inputs[features, examples].T[:, None, :]
            with np.errstate(over="ignore", invalid="ignore"):
                halves = half_differences(TOGETHER, names, output.kind, delta, tail)
            for total, half in zip(sums, halves, strict=True):
                total[own, features] += half.sum(axis=0)

    parts = _cores() if _seconds_interpreted(names, widths, n, m) > PARALLEL else 1
    columns = _slices(n, min(lanes, -(-n * units // parts)))
    rows = _slices(units, min(lanes, -(-n * units // parts)) // columns[0].stop)
    _run(work, [(own, features) for features in columns for own in rows])
    return sums


def _compiled(names, layers, output, inputs, h):
    """Sum the half differences over the examples in XLA, one after the other, many side by side.

    The last block of features, and that of units, are filled up with zeros, so that all have
    the same shape and one compilation serves them all.
    """
    import jax

    processor = jax.local_devices(backend="cpu")[0]
    n, units = len(inputs), len(layers[0].Z)
    columns = _slices(n, FEATURES)
    rows = _slices(units, LANES // columns[0].stop)
    sums = np.zeros((units, n)), np.zeros((units, n))

    def by_example(array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(array.T)[:, :, None, None, None]

    later = [(by_example(layer.slope), by_example(layer.level)) for layer in layers[1:-1]]
    weights = [layer.W for layer in layers[2:]]
    side, odds = by_example(output.side), by_example(output.odds)

    def work(block: tuple[slice, slice]) -> None:
        own, features = block
        lost = columns[0].stop - (features.stop - features.start)
        missing = rows[0].stop - (own.stop - own.start)

        def unit(array: np.ndarray) -> np.ndarray:
            return np.pad(array[own], ((0, missing), (0, 0))).T[:, None, :, None]

        column = np.pad(_next_weights(layers)[:, own], ((0, 0), (0, missing)))[:, None, :, None]
        delta = np.pad(h * inputs[features], ((0, lost), (0, 0))).T[:, None, None, :]
        each = (delta, unit(layers[0].slope), unit(layers[0].level), later, side, odds)
        with jax.enable_x64(True), jax.default_device(processor):
            halves = _scan()(names, output.kind, each, column, weights)
            for total, half in zip(sums, halves, strict=True):
                total[own, features] = np.asarray(half)[
                    : own.stop - own.start, : n - features.start
                ]

    first, *others = [(own, features) for features in columns for own in rows]
    work(first)
    _run(work, others)
    return sums


@cache
def _scan():
    """Return the compiled sum over examples, made when it is first asked for."""
    import jax
    import jax.numpy as jnp

    # XLA's default is half the width that some processors have; others ignore this.
    wide = {"xla_cpu_prefer_vector_width": 512}

    @partial(jax.jit, static_argnames=("names", "kind"), compiler_options=wide)
    def scan(names, kind, each, column, weights):
        def add(sums, example):
            delta, slope, level, later, side, odds = example
            above = [(*base, W) for base, W in zip(later, weights, strict=True)]
            tail = Tail(slope, level, column, above, side, odds)
            halves = half_differences(APART, names, kind, delta, tail)
            return [total + half[0] for total, half in zip(sums, halves, strict=True)], None

        zeros = jnp.zeros((column.shape[2], each[0].shape[-1]))
        return jax.lax.scan(add, [zeros, zeros], each)[0]

    return scan


def _slices(count: int, size: int) -> list[slice]:
    """Return the fewest slices of at most `size` (at least 1), the first the largest."""
    size = -(-count // -(-count // max(size, 1)))
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _run(work: Callable[[Any], None], blocks: Sequence[Any]) -> None:
    """Do the work on every block, a block a core: NumPy and XLA both let go of the interpreter."""
    if len(blocks) < 2:
        for block in blocks:
            work(block)
        return
    with ThreadPoolExecutor(_cores()) as pool:
        for _ in pool.map(work, blocks):
            pass
