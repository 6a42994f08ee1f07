"""Modules in the place of those that are not run: hollow ones, and scipy.special in plain NumPy."""

from __future__ import annotations

import types
from typing import Any

import numpy as np


class AbsentError(Exception):
    """The code wants something that is not run here."""


class Hollow(types.ModuleType):
    """A module that can be imported and named, and whose own functions cannot be called."""

    def __getattr__(self, name: str) -> Hollow:
        if name.startswith("__"):
            raise AttributeError(name)
        return Hollow(f"{self.__name__}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse to be called, but as a decorator."""
        # As a decorator (`@njit`, `@njit(cache=True)`) it leaves the function as it is.
        if len(args) == 1 and isinstance(args[0], (types.FunctionType, type)) and not kwargs:
            return args[0]
        if not args:
            return self
        raise AbsentError(f"{self.__name__}, which is not run here")


def filled(name: str, contents: dict[str, Any]) -> Hollow:
    """Return a module that has these contents, and is hollow for the rest."""
    result = Hollow(name)
    result.__dict__.update(contents, __all__=list(contents))
    return result


def special_module() -> Hollow:
    """Return the part of scipy.special that losses and activations use."""
    from scipy import special

    ufuncs = ("expit", "logit", "xlogy", "xlog1py", "log_expit", "entr")
    own = {
        "softmax": special_softmax,
        "log_softmax": special_log_softmax,
        "logsumexp": special_logsumexp,
    }
    return filled("scipy.special", {name: getattr(special, name) for name in ufuncs} | own)


def special_softmax(x: Any, axis: int | None = None) -> Any:
    """Return e^x / sum(e^x)."""
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def special_logsumexp(
    a: Any, axis: int | None = None, b: Any = None, keepdims: bool = False
) -> Any:
    """Return log(sum(b e^a))."""
    largest = np.max(a, axis=axis, keepdims=True)
    e = np.exp(a - largest) if b is None else b * np.exp(a - largest)
    result = np.log(np.sum(e, axis=axis, keepdims=True)) + largest
    return result if keepdims else np.squeeze(result, axis=axis)


def special_log_softmax(x: Any, axis: int | None = None) -> Any:
    """Return x - log(sum(e^x))."""
    return x - special_logsumexp(x, axis=axis, keepdims=True)
