"""Sixty-digit arithmetic, so that a test's reference has no rounding to speak of."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal, localcontext

DIGITS = Context(prec=60)
STEP = Decimal("1e-20")


def exactly(f: Callable[..., Decimal], *floats: float) -> float:
    """Return f of floats, taken exactly and computed in sixty digits, rounded once."""
    with localcontext(DIGITS):
        return float(f(*map(Decimal, map(float, floats))))


def derivative(f: Callable[[Decimal], Decimal], x: float) -> float:
    """Return f'(x) by a central difference, which is off by about 1e-40 either way.

    The truncation is f'''/6 times the step squared, 1e-40; what is rounded away, 1e-60 over the
    step.
    """
    return exactly(lambda x: (f(x + STEP) - f(x - STEP)) / (2 * STEP), x)


def sigmoid(z: Decimal) -> Decimal:
    """Return 1 / (1 + e^-z)."""
    return 1 / (1 + (-z).exp())


def tanh(z: Decimal) -> Decimal:
    """Return (e^2z - 1) / (e^2z + 1)."""
    return ((2 * z).exp() - 1) / ((2 * z).exp() + 1)


def softmax(z: list[Decimal]) -> list[Decimal]:
    """Return e^z over its sum."""
    e = [entry.exp() for entry in z]
    return [entry / sum(e) for entry in e]
