"""What of ours an object of a file is made with, for want of the file's own.

An optimiser whose steps show the gradients that it is given, layers for a network, an activation
with its derivative.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "tanh": np.tanh,
    "tanh'": lambda x: 1 - np.tanh(x) ** 2,
}


class Descent:
    """An optimiser that goes down along gradients, whatever its method is called.

    It is given arrays, or lists or dicts of them, and as many gradients, and returns the arrays
    where they have moved to; given gradients alone, it returns by how much to move.
    """

    def __init__(self, rate: float, where: str):
        self.rate, self.where = rate, where

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._moved

    def _moved(self, *given: Any, **named: Any) -> Any:
        parts = [each for each in (*given, *named.values()) if _is_several(each) or np.ndim(each)]
        half = len(parts) // 2
        if not half:
            return self.rate * parts[0]
        moved = [self._down(w, dw) for w, dw in zip(parts[:half], parts[half:], strict=True)]
        return moved[0] if half == 1 else tuple(moved)

    def _down(self, w: Any, dw: Any) -> Any:
        if isinstance(w, dict):
            return {key: self._down(part, dw[key]) for key, part in w.items() if key in dw}
        if isinstance(w, (list, tuple)):
            return [self._down(part, by) for part, by in zip(w, dw, strict=True)]
        if self.where == "anew":
            return w - self.rate * dw
        w -= self.rate * dw
        return w


def _is_several(value: Any) -> bool:
    return isinstance(value, (list, tuple, dict)) and len(value) > 0


class _None(dict[str, Any]):
    """No parameters, whether they are an attribute or what a method returns."""

    def __call__(self) -> list[Any]:
        return []


class Layer:
    """A layer without parameters, tanh(x M) with a matrix M, whatever its methods are called.

    Two of them do not commute: a network must go back through them in the other order.
    """

    def __init__(self, scale: float):
        self.scale, self._slope, self._matrix = scale, np.zeros(()), np.zeros((0, 0))

    def __call__(self, x: Any, *rest: Any, **named: Any) -> Any:
        """Go forward."""
        size = np.shape(x)[-1]
        self._matrix = self.scale * np.eye(size) + np.tri(size, k=-1) / (3 * self.scale)
        y = np.tanh(x @ self._matrix)
        self._slope = 1 - y**2
        return y

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if _HELD.fullmatch(name.lower()):
            return _None()
        if "back" in name.lower() or "grad" in name.lower():
            return lambda dy, *rest, **named: (dy * self._slope) @ self._matrix.T
        return self if _AHEAD.search(name.lower()) else (lambda *rest, **named: None)


class Activation:
    """The function tanh, and its derivative by what it is taken of, whatever they are called."""

    def __call__(self, x: Any, *rest: Any, **named: Any) -> Any:
        """Return tanh(x)."""
        return np.tanh(x)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return FUNCTIONS["tanh'"] if _DERIVATIVE.search(name.lower()) else self


_HELD = re.compile(r"_?(?:params?|parameters|weights|grads|gradients|trainable\w*|variables)")
_DERIVATIVE = re.compile(r"deriv|prime|grad|^d(?:[a-z]$|_|[a-z]d[a-z])|diff")
_AHEAD = re.compile(
    r"forw|^predict$|activ|^fprop$|propagate|^(?:fn?|func\w*|eval\w*|calc\w*|apply)$"
)
