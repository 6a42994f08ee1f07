"""Small problems at which a file's functions are compared with the textbook's.

Small, so that every weight can be differenced; generic, so that no mistake hides: no two sizes
are equal, m is no power of two, every unit with a kink is on either side of it for some examples,
and none of it is near a kink, an overflow or a saturation. An output stays within [0.05, 0.95], so
that 1 - A, which a composed gradient divides by and a fused one does not, loses no more than a
factor of 20 in relative precision.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

import manual
from verify.activations import KINKED
from verify.problem import Problem

L2, KEEP_PROB = 0.7, 0.6
"""In no simple ratio to each other or to a half: a forgotten keep_prob is not a factor of 2."""

M = 7
"""Examples a problem has: no power of two, and no size of a layer."""

LOWEST = 0.05
"""How close an output may come to 0 or to 1."""

BEND = 0.02
"""How close the Z of an activation with a kink may come to 0."""

_TRIES = 400


def draw(
    layers: Sequence[int],
    m: int,
    *,
    hidden: Sequence[str],
    output: str,
    l2: float = 0.0,
    seed: Sequence[int] = (),
) -> Problem:
    """Return a generic problem of these layer sizes, without dropout, drawn from the seed."""
    for attempt in range(_TRIES):
        rng = np.random.default_rng((*seed, attempt))
        problem = _draw_one(layers, m, hidden, output, l2, rng)
        if is_generic(problem):
            return problem
    raise AssertionError(f"no generic problem with layers {layers} in {_TRIES} draws")


def forward(problem: Problem) -> tuple[np.ndarray, list[manual.LayerCache]]:
    """Return the output of the textbook's network, and what its layers keep."""
    return manual.forward(problem.params, problem.X, problem.masks, **problem.forward_options)


def is_generic(problem: Problem) -> bool:
    """Say whether nothing of a problem is near a bend, or always on, or always off."""
    AL, cache = forward(problem)
    if not LOWEST <= AL.min() <= AL.max() <= 1 - LOWEST:
        return False
    return all(layer.activation not in KINKED or _bends_well(layer.Z) for layer in cache)


def _bends_well(Z: np.ndarray) -> bool:
    """Say whether no entry is near 0, and every unit is on for some examples, off for others."""
    on = Z > 0
    return bool(np.abs(Z).min() >= BEND and on.any(axis=1).all() and not on.all(axis=1).any())


def saturated(problem: Problem) -> Problem:
    """Return the same problem with a last layer so large that outputs are 0 and 1 exactly."""
    last = f"W{len(problem.params) // 2}"
    return problem.with_params({**problem.params, last: problem.params[last] * 2000})


def _draw_one(
    layers: Sequence[int],
    m: int,
    hidden: Sequence[str],
    output: str,
    l2: float,
    rng: np.random.Generator,
) -> Problem:
    """Draw a problem layer by layer, a kinked layer again until it bends well, for a while."""
    params: dict[str, np.ndarray] = {}
    A = X = rng.standard_normal((layers[0], m))
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(layers), start=1):
        activation = (*hidden, "none")[layer - 1]
        scale = 0.6 if activation == "none" else 1.2
        for _ in range(_TRIES):
            W = scale * rng.standard_normal((n_out, n_in)) / np.sqrt(n_in)
            b = 0.3 * rng.standard_normal((n_out, 1))
            Z = manual.linear(A, W, b)
            if activation not in KINKED or _bends_well(Z):
                break
        params |= {f"W{layer}": W, f"b{layer}": b}
        if activation != "none":
            A = manual.ACTIVATIONS[activation].forward(Z)
    if output == "softmax":
        labels = rng.permutation(np.arange(m) % layers[-1])
        Y = (np.arange(layers[-1])[:, None] == labels).astype(float)
    else:
        # The labels are not symmetric: three ones in seven, two in five.
        Y = rng.permutation(np.arange(m) % 5 % 2 == 1)[None].astype(float)
    return Problem(params, X, Y, hidden=hidden, output=output, l2=l2)
