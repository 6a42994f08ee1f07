"""Random problems for the tests: small, generic, and the same for the same arguments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import manual
from verify import Problem, draw_masks


def random_problem(
    *,
    sizes: Sequence[int] = (4, 5, 3, 1),
    m: int = 7,
    hidden: str | Sequence[str] = "tanh",
    output: str = "sigmoid",
    l2: float = 0.7,
    keep_prob: float = 1.0,
    dtype: str = "float64",
    init: str | float = "he",
    seed: int = 0,
) -> Problem:
    """Return a problem with random parameters (biases too), data and masks."""
    rng = np.random.default_rng(seed)
    params = manual.initialize(sizes, init, rng, np.dtype(dtype).type)
    for layer in range(1, len(sizes)):
        params[f"b{layer}"] += rng.normal(0, 0.3, (sizes[layer], 1)).astype(dtype)
    classes = sizes[-1]
    labels = rng.integers(0, max(classes, 2), m)
    Y = labels[None] if output == "sigmoid" else np.eye(classes)[:, labels]
    keep_probs = (keep_prob,) * (len(sizes) - 2)
    return Problem(
        params=params,
        X=rng.normal(size=(sizes[0], m)),
        Y=Y,
        masks=draw_masks(seed, 0, sizes[1:-1], m, keep_probs),
        hidden=hidden,
        output=output,
        l2=l2,
        keep_prob=keep_probs,
    )
