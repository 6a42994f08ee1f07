"""In which forms a caller may hand a cotangent to a backward pass.

A framework does not copy a cotangent to make it contiguous: `y[..., ::2]`, `y.T` and `y.sum()`
hand back one that is strided, transposed or expanded, and an output that is not used has none. A
backward pass that reads memory without regard to strides is right for contiguous cotangents alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np

PLAIN = "contiguous"
LAYOUTS = ("strided", "transposed", "expanded")
"""Forms of the same values in other memory."""
VALUES = ("ones", "zeros")
"""Contiguous cotangents of special values; ones are what is expanded, too."""
ABSENT = "absent"
"""None for all outputs but one."""


def _strided(array: np.ndarray) -> np.ndarray:
    """Return every second entry of a buffer whose other entries are other numbers."""
    if not array.ndim:
        return array
    buffer = np.empty((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    buffer[..., ::2], buffer[..., 1::2] = array, array[..., ::-1]
    return buffer[..., ::2]


def _transposed(array: np.ndarray) -> np.ndarray:
    return np.array(array, order="F")


def _expanded(array: np.ndarray) -> np.ndarray:
    """Return an array of one number with all strides 0, read-only."""
    return np.broadcast_to(array.reshape(-1)[:1].copy().reshape((1,) * array.ndim), array.shape)


_LAID_OUT: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    PLAIN: lambda array: array,
    "strided": _strided,
    "transposed": _transposed,
    "expanded": _expanded,
}


def laid_out(layout: str, array: np.ndarray) -> np.ndarray:
    """Return an array of the same values in the memory of a layout."""
    return _LAID_OUT[layout](array) if array.size > 1 else array


def layouts_of(shapes: Sequence[tuple[int, ...]]) -> list[str]:
    """Return which layouts are others than contiguous for arrays of these shapes, of some."""
    long = any(prod(shape) > 1 for shape in shapes)
    wide = any(sum(n > 1 for n in shape) > 1 for shape in shapes)
    return [form for form in LAYOUTS if (wide if form == "transposed" else long)]
