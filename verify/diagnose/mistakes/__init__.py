"""The mistakes that are known by name: each a formula in place of one operation.

A row of the tables says which operation of the backward pass is replaced, in which layers that
is possible, by which formula (as text and as code), and what is wrong with it. A `Fault` is a
mistake in one layer. The gallery (`verify.gallery`) plants these; the diagnosis puts them into
a right backward pass and compares numbers. It does not know what was planted.

- `parameters`: in dW and db
- `output`: in dZ of the output
- `hidden`: in dA and dZ of a hidden layer
- `factors`: a constant on any of them
"""

from __future__ import annotations

from verify.diagnose.chain import Tape
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
from verify.diagnose.mistakes.mistake import AnyMistake, Fault
from verify.diagnose.mistakes.output import OUTPUT
from verify.diagnose.mistakes.parameters import BIAS, PENALTY, PRODUCT

__all__ = ["MISTAKES", "AnyMistake", "Fault", "faults", "fitted"]

MISTAKES: tuple[AnyMistake, ...] = (
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
"""Every mistake that has a name. Where two make the same numbers the first is preferred: what
is wrong in one gradient alone before what carries on to those below, the particular before the
general."""


def faults(t: Tape, layer: int) -> list[Fault]:
    """Return every named mistake that can be written in a layer."""
    return [fault for mistake in MISTAKES for fault in mistake.at(t, layer)]
