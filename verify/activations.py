"""What is known of each hidden activation, a row each: all that stands above reads it from here.

A new activation is a row here and one in each network's own table (`manual.ACTIVATIONS`,
`autodiff.ACTIVATIONS`). The formulas are written anew, so that a mistake in either network does
not reach what measures it.

**Kinks.** A kinked activation is linear on either side of 0; the rest are smooth. At 0 itself all
ways take the slope of the left side: the convention is relu'(0) = 0, leaky_relu'(0) = 0.01.

**Carried differences.** With s = g'(z) and a level that depends on z,

    relu       g(z + d) - g(z) = s d                as long as z + d is on the same side of 0
    leaky relu  likewise, with s = 1 or 0.01
    tanh       g(z + d) - g(z) = s T / (1 + g T)    T = tanh(d), s = 1 - g^2
    sigmoid    g(z + d) - g(z) = s E / (1 + g E)    E = expm1(d), s = g (1 - g)

so that a difference of Z becomes one of A to a few units of its own size, however small it is.
s is computed from z, as 4e / (1 + e)^2 with e = e^-2|z| (for sigmoid e / (1 + e)^2 with
e = e^-|z|), which keeps its digits where g has rounded to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    Array = np.ndarray
    Entrywise = Callable[[Float[Array, "*shape"]], Float[Array, "*shape"]]

LIBRARY = 8.0
"""Units of u by which a library's exp, log1p or tanh may be off.

Measured against extended precision on two million points of [-25, 25], in both dtypes: 7 at
most (XLA's float64 tanh near 20), 5 at most for the others and for NumPy.
"""


LEAK = 0.01
"""The slope of the leaky relu where Z is not positive."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Activation:
    """One activation g. Unless it says otherwise, a function is entry by entry.

    `names` are those of the function in homework; the first is how formulas write it.
    `sides` are the slopes left and right of the kink at 0, None where there is no kink.
    `value` and `slope` are g and g' from Z, to full relative precision; `slope_by_A` is g' from
    A = g(Z), and `bend_by_A` its derivative by A. `derivative` and `derivative_by_A` write g'
    in NumPy, from {Z} and from {A}.
    `value_rounding`, from Z, is how far another library's A may be off, in units of u |A|;
    `slope_rounding`, from A, how far `slope_by_A` may be off by its own roundings, in units
    of u.
    `carried(d, slope, level)` is g(Z + d) - g(Z) for |d| <= 2^-16, with `level` from Z; it takes
    what NumPy and XLA both compute with.
    """

    names: tuple[str, ...]
    sides: tuple[float, float] | None = None
    value: Entrywise
    slope: Entrywise
    slope_by_A: Entrywise
    bend_by_A: Entrywise
    derivative: str
    derivative_by_A: str
    value_rounding: Entrywise
    slope_rounding: Entrywise
    level: Entrywise
    carried: Callable[[Any, Any, Any], Any]

    @property
    def symbol(self) -> str:
        """The name in a formula."""
        return self.names[0]

    @property
    def kinked(self) -> bool:
        """Whether the slope jumps at 0."""
        return self.sides is not None

    @property
    def leaky(self) -> bool:
        """Whether something passes left of the kink; how much is then the author's choice."""
        return self.sides is not None and self.sides[0] != 0

    @property
    def steepest(self) -> float:
        """The largest slope anywhere, by absolute value, or a bound on it."""
        return 1.0 if self.sides is None else max(map(abs, self.sides))

    @property
    def jump(self) -> float:
        """How far the slopes on the two sides of 0 are apart."""
        return 0.0 if self.sides is None else abs(self.sides[1] - self.sides[0])


def expm1_of_small(x: Any) -> Any:
    """Return e^x - 1 for |x| <= 2^-16; the next term is below 2^-70 of it."""
    return x * (1 + x * (1 / 2 + x * (1 / 6 + x * (1 / 24))))


def carried_straight(d: Any, slope: Any, level: Any) -> Any:
    """Return slope * d, as on one side of a kink."""
    return slope * d


def _carried_by_tanh(d: Any, slope: Any, level: Any) -> Any:
    T = d * (1 - d * d * (1 / 3))  # tanh(d); the next term is below 2^-66 of it
    return slope * T / (1 + level * T)


def _carried_by_sigmoid(d: Any, slope: Any, level: Any) -> Any:
    E = expm1_of_small(d)
    return slope * E / (1 + level * E)


def sigmoid(Z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return 1 / (1 + e^-Z), to full relative precision on both sides."""
    e = np.exp(-np.abs(Z))
    A: Array = np.where(Z >= 0, 1, e) / (1 + e)
    return A


def _bell(exponent: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return e / (1 + e)^2."""
    e = np.exp(exponent)
    slope: Array = e / np.square(1 + e)
    return slope


def _library(Z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return np.full_like(Z, LIBRARY)


def exponential_rounding(Z: Float[Array, "n m"]) -> Float[Array, "1 m"]:
    """Return the rounding, in units of u |A|, of an A = sigmoid(Z) or softmax(Z), by columns.

    The other way may reach A as exp(Z - log(1 + exp(Z))), or with softmax as
    exp(Z - log(sum(exp(Z)))), whose argument is rounded in proportion to its terms.
    """
    units: Array = LIBRARY * (1 + np.abs(Z).max(axis=0, keepdims=True))
    return units


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(
        names=("relu",),
        sides=(0.0, 1.0),
        value=lambda Z: np.maximum(Z, 0),
        slope=lambda Z: np.heaviside(Z, 0),
        slope_by_A=lambda A: np.heaviside(A, 0),
        bend_by_A=np.zeros_like,
        derivative="({Z} > 0)",
        derivative_by_A="({A} > 0)",
        value_rounding=np.zeros_like,
        slope_rounding=np.zeros_like,
        level=np.zeros_like,
        carried=carried_straight,
    ),
    "tanh": Activation(
        names=("tanh",),
        value=np.tanh,
        slope=lambda Z: 4 * _bell(-2 * np.abs(Z)),
        slope_by_A=lambda A: 1 - A**2,
        bend_by_A=lambda A: -2 * A,
        derivative="(1 - tanh({Z})**2)",
        derivative_by_A="(1 - {A}**2)",
        value_rounding=_library,
        slope_rounding=lambda A: 1 + A * A,
        level=np.tanh,
        carried=_carried_by_tanh,
    ),
    "sigmoid": Activation(
        names=("sigmoid",),
        value=sigmoid,
        slope=lambda Z: _bell(-np.abs(Z)),
        slope_by_A=lambda A: A * (1 - A),
        bend_by_A=lambda A: 1 - 2 * A,
        derivative="sigmoid({Z}) * (1 - sigmoid({Z}))",
        derivative_by_A="{A} * (1 - {A})",
        value_rounding=exponential_rounding,
        slope_rounding=lambda A: A,
        level=sigmoid,
        carried=_carried_by_sigmoid,
    ),
    "leaky-relu": Activation(
        names=("leaky_relu", "leakyrelu", "lrelu"),
        sides=(LEAK, 1.0),
        value=lambda Z: np.maximum(Z, LEAK * Z),
        slope=lambda Z: np.maximum(np.heaviside(Z, 0), LEAK),
        slope_by_A=lambda A: np.maximum(np.heaviside(A, 0), LEAK),
        bend_by_A=np.zeros_like,
        derivative=f"where({{Z}} > 0, 1, {LEAK})",
        derivative_by_A=f"where({{A}} > 0, 1, {LEAK})",
        # Below 0 the product is rounded and, in float32, so is the slope itself.
        value_rounding=lambda Z: 2 * np.heaviside(-Z, 0),
        slope_rounding=lambda A: LEAK * np.heaviside(-A, 1),
        level=np.zeros_like,
        carried=carried_straight,
    ),
}
"""Every hidden activation by its name."""

KINKED = frozenset(name for name, activation in ACTIVATIONS.items() if activation.kinked)
"""The names of those whose slope jumps at 0."""


def written(name: str) -> str:
    """Return what a formula calls an activation, or the softmax of an output."""
    return ACTIVATIONS[name].symbol if name in ACTIVATIONS else name
