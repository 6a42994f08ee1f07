"""The mistakes that are known by name: each a formula in the place of one operation.

A `Mistake` says which operation of the backward pass it replaces, at which layers that makes
sense, with what, and in words. A `Fault` is a mistake at a layer. The gallery (`verify.gallery`)
plants these; the diagnosis puts them into a right backward pass and compares numbers. It
knows nothing of what was planted.

- `parameters`: in dW and db
- `output`: in dZ of the output
- `hidden`: in dA and dZ of a hidden layer
- `factors`: a constant on any of them
"""

from __future__ import annotations

from verify.diagnose.chain import Tape
from verify.diagnose.mistakes.base import Fault, Misplaced, Mistake
from verify.diagnose.mistakes.factors import (
    BIAS_FACTORS,
    OUTPUT_FACTORS,
    PRODUCT_FACTORS,
    SINGLE_PRECISION,
    UPSTREAM_FACTORS,
    WEIGHTS_FACTORS,
    ZEROS,
    fitted,
)
from verify.diagnose.mistakes.hidden import DROPOUT, SLOPE, UPSTREAM
from verify.diagnose.mistakes.output import OUTPUT
from verify.diagnose.mistakes.parameters import BIAS, PENALTY, PRODUCT

__all__ = ["MISTAKES", "Fault", "Misplaced", "Mistake", "faults", "fitted"]

MISTAKES: tuple[Mistake | Misplaced, ...] = (
    *ZEROS,
    *SINGLE_PRECISION,
    *WEIGHTS_FACTORS,
    *PENALTY,
    *PRODUCT,
    *PRODUCT_FACTORS,
    *BIAS,
    *BIAS_FACTORS,
    *OUTPUT,
    *OUTPUT_FACTORS,
    *DROPOUT,
    *SLOPE,
    *UPSTREAM,
    *UPSTREAM_FACTORS,
)
"""Every mistake that has a name, in the order of preference where two make the same numbers:
what is local to one gradient before what spoils those below, what is particular before what
is general."""


def faults(t: Tape, layer: int) -> list[Fault]:
    """Return every named mistake that makes sense at a layer."""
    return [fault for mistake in MISTAKES for fault in mistake.at(t, layer)]
