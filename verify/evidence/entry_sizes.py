"""How large the entries of an array are: what a step or a disturbance is measured by."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np


def scales(array: np.ndarray) -> np.ndarray:
    """Return the typical size of each entry: its own or its tensor's, 1 where that is nothing.

    A tensor that decayed to 1e-150 says nothing of the distance over which the function bends.
    """
    typical = math.sqrt(float(np.mean(np.square(array)))) if array.size else 1.0
    return np.asarray(np.maximum(np.abs(array), typical if typical > 2.0**-100 else 1.0))


def own_scales(array: np.ndarray) -> np.ndarray:
    """Return each entry's own size, and its tensor's where it is 0."""
    return np.where(array == 0, scales(array), np.abs(array))


def moved(
    arrays: Mapping[str, np.ndarray], distance: float, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return two opposite points, every entry moved at random by about `distance` of its scale."""
    step = {k: distance * scales(x) * rng.standard_normal(x.shape) for k, x in arrays.items()}
    up, down = ({k: x + sign * step[k] for k, x in arrays.items()} for sign in (1, -1))
    return up, down
