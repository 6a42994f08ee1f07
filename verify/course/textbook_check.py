"""The course's gradient check: one number for all gradients.

Each parameter is moved by one fixed step, forward and back, and all gradients together have one
distance, which the course accepts below 1e-7. What that number misses and what it accuses is
shown in notebook 4; `compare` is the check that decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

EPSILON = 1e-7
"""The course's step."""


def gradient_check(
    loss: Callable[..., Any],
    grads: Callable[..., Any] | Any,
    params: Any,
    *,
    epsilon: float = EPSILON,
) -> float:
    """Return the course's ||g - g'|| / (||g|| + ||g'||) of any gradients.

    g are the gradients under test, `grads(params)` or a tree of arrays like params; g' are the
    differences (loss(params + epsilon) - loss(params - epsilon)) / (2 epsilon), two losses for
    each number in params. It is 0 where both are 0. The course takes a gradient for right if this
    is below 1e-7 (Ng, *Improving Deep Neural Networks*, week 1).

    Raises ValueError if params is no tree of finite floating-point numbers, if the gradients
    have another structure or other shapes, or if epsilon is not above 0.

    Examples:
        >>> import backproof
        >>> backproof.gradient_check(lambda theta: 2 * theta, lambda theta: 2.0, 4)
        2.919335883291695e-10
        >>> round(backproof.gradient_check(lambda theta: 2 * theta, lambda theta: 4.0, 4), 4)
        0.3333
    """
    from verify.evidence.trees import flatten, integers_as_numbers
    from verify.function import check_functions

    check_functions(loss=loss)
    if not epsilon > 0:
        raise ValueError(f"epsilon: got {epsilon}, expected a step above 0")
    tree = flatten("params", integers_as_numbers("params", params))
    given = grads(params) if callable(grads) else grads
    exact = _column(tree.read("grads", given))

    def loss_at(name: str, index: tuple[int, ...], step: float) -> float:
        moved = {k: np.array(value, float) for k, value in tree.arrays.items()}
        moved[name][index] += step
        return float(loss(tree.build(moved)))

    approximate = np.array(
        [
            (loss_at(name, index, epsilon) - loss_at(name, index, -epsilon)) / (2 * epsilon)
            for name, value in tree.arrays.items()
            for index in np.ndindex(value.shape)
        ]
    )
    norm = np.linalg.norm
    sizes = norm(exact) + norm(approximate)
    return float(norm(exact - approximate) / sizes) if sizes else 0.0


def _column(arrays: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.asarray(value, float).ravel() for value in arrays.values()])
