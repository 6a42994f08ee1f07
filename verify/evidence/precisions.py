"""The floating-point types that a function may compute in, by name and by unit roundoff.

`lost` is how much underflow may take from a result: some units of the spacing of float16's
subnormal numbers, which no library flushes to 0, and many of the smallest normal number of the
other types, whose subnormal numbers some libraries do flush.
"""

from __future__ import annotations

from typing import NamedTuple

import ml_dtypes
import numpy as np


class Precision(NamedTuple):
    """A type, its unit roundoff, and how much underflow may take from a result."""

    dtype: np.dtype
    u: float
    lost: float


BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
PRECISIONS = {
    "float64": Precision(np.dtype(np.float64), 2.0**-53, 2.0**-1015),
    "float32": Precision(np.dtype(np.float32), 2.0**-24, 2.0**-119),
    "float16": Precision(np.dtype(np.float16), 2.0**-11, 2.0**-21),
    "bfloat16": Precision(BFLOAT16, 2.0**-8, 2.0**-119),
}
FLOATS = tuple(precision.dtype for precision in PRECISIONS.values())
COMPLEX = (np.dtype(np.complex64), np.dtype(np.complex128))
DOUBLE, SINGLE, HALF, BRAIN = (precision.u for precision in PRECISIONS.values())
"""The unit roundoffs."""


def unit_of(dtype: np.dtype) -> float:
    """Return the unit roundoff of a floating-point type, extended precision included."""
    precision = PRECISIONS.get(np.dtype(dtype).name)
    return precision.u if precision else float(np.finfo(dtype).eps) / 2


def lost_to_underflow(unit: float) -> float:
    """Return how much underflow may take from a result, of the first type that is so coarse."""
    return next(precision.lost for precision in PRECISIONS.values() if precision.u >= unit)
