"""Dropout masks as a function of a seed and the iteration, so that all ways share them.

The generator is counter-based (Philox; Salmon et al., 2011): the masks of an iteration are
had without drawing those before it, so that a resumed run sees what an uninterrupted one saw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def draw_masks(
    seed: int, iteration: int, widths: Sequence[int], m: int, keep_prob: Sequence[float]
) -> tuple[np.ndarray, ...] | None:
    """Return one boolean mask (n_l, m) a hidden layer, or None where every keep_prob is 1."""
    if all(keep == 1 for keep in keep_prob):
        return None
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, iteration]))
    return tuple(
        rng.random((width, m)) < keep for width, keep in zip(widths, keep_prob, strict=True)
    )


def mask_schedule(
    seed: int, widths: Sequence[int], m: int, keep_prob: Sequence[float]
) -> Callable[[int], tuple[np.ndarray, ...]] | None:
    """Return the function from an iteration to its masks, or None where nothing is dropped."""
    if all(keep == 1 for keep in keep_prob):
        return None
    return lambda iteration: draw_masks(seed, iteration, widths, m, keep_prob)  # type: ignore[return-value]
