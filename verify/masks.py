"""Dropout masks as a function of a seed and the iteration, so that all witnesses share them.

The generator is counter-based (Philox; Salmon et al., 2011): the masks of an iteration are drawn
without those before it, so that a resumed run has the masks of an uninterrupted one, and those of
some examples without the others, so that each host draws its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from verify.problem import check_keep_prob, check_seed, check_whole

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    Array = np.ndarray
    Masks = tuple[Bool[Array, "_ m"], ...]


BLOCK = 4
"""Numbers that Philox draws at each value of its counter."""


def draw_masks(
    seed: int, iteration: int, widths: Sequence[int], m: int, keep_prob: Sequence[float]
) -> Masks | None:
    """Return one boolean mask (n_l, m) a hidden layer, or None where every keep_prob is 1.

    Examples:
        >>> import backproof
        >>> [mask.shape for mask in backproof.draw_masks(0, 0, [5, 3], 7, [0.8, 0.5])]
        [(5, 7), (3, 7)]
    """
    schedule = mask_schedule(seed, widths, m, keep_prob)
    return None if schedule is None else schedule(iteration)


def mask_schedule(
    seed: int, widths: Sequence[int], m: int, keep_prob: Sequence[float]
) -> Callable[[int], Masks] | None:
    """Return the function from an iteration to its masks, or None where nothing is dropped.

    With a slice of the examples as its second argument it draws the columns of these alone.

    Raises ValueError, naming the argument, for what is no seed, size or probability; the function
    raises MemoryError for masks that do not fit in memory.

    Examples:
        >>> import backproof
        >>> masks = backproof.mask_schedule(0, [5], 7, [0.8])
        >>> masks(0)[0].shape, bool((masks(0)[0] == masks(1)[0]).all())
        ((5, 7), False)
    """
    check_seed(seed)
    check_whole("m", m, 1)
    if not isinstance(widths, Sequence) or isinstance(widths, (str, bytes)):
        got = type(widths).__name__
        raise ValueError(f"widths: got {got}, expected one size a hidden layer")
    for width in widths:
        check_whole("widths", width, 1)
    keep_prob = check_keep_prob(keep_prob, len(widths))
    if all(keep == 1 for keep in keep_prob):
        return None

    def draw(iteration: int, columns: slice = slice(None)) -> Masks:
        check_whole("iteration", iteration, 0)
        start, stop, _ = columns.indices(m)
        whole = (start, stop) == (0, m)
        try:
            drawn = (
                _stream(seed, iteration, widths, m)
                if whole
                else _stream_by_rows(seed, iteration, widths, m, start, stop)
            )
            return tuple(layer < keep for layer, keep in zip(drawn, keep_prob, strict=True))
        except MemoryError:
            raise MemoryError(
                f"widths: got {', '.join(map(str, widths))} for {m} examples, "
                "expected masks that fit in memory"
            ) from None

    return draw


def _stream(
    seed: int, iteration: int, widths: Sequence[int], m: int
) -> Iterator[Float[Array, "_ m"]]:
    """Yield the uniform numbers of an iteration, layer by layer."""
    rng = np.random.Generator(_philox(seed, iteration, 0))
    for width in widths:
        yield rng.random((width, m))


def _stream_by_rows(
    seed: int, iteration: int, widths: Sequence[int], m: int, start: int, stop: int
) -> Iterator[Float[Array, "_ columns"]]:
    """Yield some columns of the same, without drawing the others."""
    first = 0
    for width in widths:
        rows = range(first, first + width)
        yield np.stack([_uniform(seed, iteration, row * m + start, stop - start) for row in rows])
        first += width


def _uniform(seed: int, iteration: int, skipped: int, count: int) -> Float[Array, " count"]:
    """Return numbers of the stream of an iteration, without drawing those before them."""
    blocks, rest = divmod(skipped, BLOCK)
    rng = np.random.Generator(_philox(seed, iteration, blocks))
    return rng.random(rest + count)[rest:]


def _philox(seed: int, iteration: int, blocks: int) -> np.random.Philox:
    return np.random.Philox(key=seed, counter=[blocks, 0, 0, iteration])
