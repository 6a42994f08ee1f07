"""Initial parameters: zeros, normal(scale), fan-in, both Xavier forms, He.

Biases start at 0. Each weight is a standard normal draw times the scale named here, taken in
the course's order (all of W1, row by row, then W2, ...), so that `RandomState(seed)` gives the
course's own figures.

Sources: LeCun et al. (1998) for fan-in; Glorot & Bengio (2010) for Xavier, whose first form
keeps the forward variance and whose second averages both directions; He et al. (2015).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

    Array = np.ndarray

INITIALIZERS: dict[str, Callable[[int, int], float]] = {
    "zeros": lambda n_in, n_out: 0.0,
    "fan-in": lambda n_in, n_out: 1 / sqrt(n_in),
    "xavier-in": lambda n_in, n_out: sqrt(1 / n_in),
    "xavier": lambda n_in, n_out: sqrt(2 / (n_in + n_out)),
    "he": lambda n_in, n_out: sqrt(2 / n_in),
}
"""The standard deviation of a weight by the name of its initialiser, from (n_in, n_out)."""


def initialize(
    layers: Sequence[int],
    init: str | float,
    rng: np.random.Generator | np.random.RandomState,
    dtype: type = np.float64,
) -> dict[str, Float[Array, "_ _"]]:
    """Draw {"W1": (n1, n0), "b1": (n1, 1), ...} for layer sizes n0, n1, ..., nL.

    `init` is a name of `INITIALIZERS`, or the standard deviation of every weight. `rng` is a
    Generator or, for the course's figures, a legacy RandomState. Draws are made in float64 and
    rounded to `dtype`. Zeros draw nothing.
    """
    params: dict[str, Float[Array, "_ _"]] = {}
    for layer, (n_in, n_out) in enumerate(pairwise(layers), start=1):
        scale = INITIALIZERS[init](n_in, n_out) if isinstance(init, str) else init
        W = rng.standard_normal((n_out, n_in)) * scale if scale else np.zeros((n_out, n_in))
        params[f"W{layer}"] = W.astype(dtype)
        params[f"b{layer}"] = np.zeros((n_out, 1), dtype)
    return params
