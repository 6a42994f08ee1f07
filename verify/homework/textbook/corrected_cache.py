"""A file's cache with the textbook's values, for a backward pass whose forward pass is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from verify.homework.textbook.identification import Identified
from verify.homework.textbook.problems import forward


def textbook_values(identified: Identified) -> dict[str, Any] | None:
    """Return the values for a backward pass with the textbook's in the cache, if it is known.

    The caches that are known are those that the course's forward passes make.
    """
    problem, evaluated = identified.problem, identified.evaluated
    AL, layers = forward(problem)
    named: dict[str, Any] = {"A0": problem.X, "X": problem.X, "Y": problem.Y}
    flat: list[np.ndarray] = []
    flat_with_masks: list[np.ndarray] = []
    nested = []
    for number, layer in enumerate(layers, start=1):
        A = layers[number].A_prev if number < len(layers) else AL
        W, b = problem.params[f"W{number}"], problem.params[f"b{number}"]
        named |= {f"Z{number}": layer.Z, f"A{number}": A, f"W{number}": W, f"b{number}": b}
        flat += [layer.Z, A, W, b]
        flat_with_masks += [layer.Z]
        if problem.masks is not None and number < len(layers):
            named[f"D{number}"] = problem.masks[number - 1]
            flat_with_masks.append(problem.masks[number - 1])
        flat_with_masks += [A, W, b]
        nested.append(((layer.A_prev, W, b), layer.Z))
    cache = _refilled(evaluated.forward.cache, named, (flat, flat_with_masks, nested))
    if cache is None:
        return None
    own = evaluated.forward.named or {}
    values = {name: value for name, value in evaluated.values.items() if name not in own}
    known = {name: named[name] for name in evaluated.values if name in named}
    return values | known | {"cache": cache, "AL": AL}


def _refilled(cache: Any, named: Mapping[str, Any], forms: Sequence[Any]) -> Any:
    """Return the cache with the textbook's values in the same places, or None."""
    if isinstance(cache, dict):
        return {key: named[key] for key in cache} if all(key in named for key in cache) else None
    for form in forms:
        if _same_form(cache, form):
            return type(cache)(form)
    return None


def _same_form(one: Any, other: Any) -> bool:
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same_form, one, other))
    arrays = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
    return arrays and one.shape == other.shape
