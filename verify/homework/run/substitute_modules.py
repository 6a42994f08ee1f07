"""Modules that a file gets in the place of real ones.

NumPy and `math` with what older files expect of them, modules that can be imported and not used,
scipy.special and scipy.signal.
"""

from __future__ import annotations

import builtins
import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np


class AbsentError(Exception):
    """The code calls something that is not run here."""


class Hollow(types.ModuleType):
    """A module that can be imported and named, and whose own functions cannot be called."""

    def __getattr__(self, name: str) -> Hollow:
        if name.startswith("__"):
            raise AttributeError(name)
        return Hollow(f"{self.__name__}.{name}")

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        """Be no base of a class that is derived from it: what is left of the class is its own."""
        return ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse to be called, except as a decorator."""
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


class _FloatType(type):
    """What makes `FLOAT` pass for `float` in comparisons and `isinstance`."""

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, builtins.float)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, builtins.float)

    def __call__(cls, *args: Any) -> Any:
        return builtins.float(*map(as_scalar, args))

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is builtins.float

    def __hash__(cls) -> int:
        return hash(builtins.float)

    def __repr__(cls) -> str:
        return repr(builtins.float)


FLOAT: Any = _FloatType("float", (), {"dtype": np.dtype(float)})
"""`float` as a file sees it: NumPy no longer turns a (1, 1) array into a number, as it used to."""


def as_scalar(x: Any) -> Any:
    """Return an array of one entry as a number, and anything else as it is."""
    return x.item() if isinstance(x, (np.ndarray, np.generic)) and x.size == 1 else x


def math_module() -> types.ModuleType:
    """Return the module `math` whose functions also take arrays of one entry."""
    import math

    module = types.ModuleType("math", math.__doc__)
    for name in filter(str.isalnum, dir(math)):
        value = getattr(math, name)
        module.__dict__[name] = _of_scalars(value) if callable(value) else value
    return module


def _of_scalars(func: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: func(*map(as_scalar, args), **kwargs)


LEGACY: dict[str, Any] = {
    "float": FLOAT,
    "int": int,
    "object": object,
    "str": str,
    "complex": complex,
    "float_": np.float64,
    "product": np.prod,
    "cumproduct": np.cumprod,
    "sometrue": np.any,
    "alltrue": np.all,
    "in1d": np.isin,
    "mat": np.asmatrix,
    "Inf": np.inf,
    "infty": np.inf,
    "NaN": np.nan,
    "row_stack": np.vstack,
    "trapz": getattr(np, "trapezoid", None),
    "asscalar": lambda x: x.item(),
    "math": math_module(),
}
"""Names that NumPy has dropped, which the files of older courses still use."""


class NumpyModule(types.ModuleType):
    """NumPy as a file gets it: with the names it has dropped, and this `random`."""

    def __init__(self, random: Any):
        super().__init__("numpy", np.__doc__)
        self.random = random
        self.__all__ = [name for name in np.__all__ if name not in ("long", "ulong")]
        self.legacy: set[str] = set()
        """The dropped names that the file used."""

    def __getattr__(self, name: str) -> Any:
        if name not in np.__dict__ and name in LEGACY:
            self.legacy.add(f"np.{name}")
            return LEGACY[name]
        value = getattr(np, name)
        if name in ("zeros", "ones", "empty"):
            value = _of_no_shape(value)
        if name == "lib":
            value = _library()
        self.__dict__[name] = value  # the next time it is found without this
        return value


def _of_no_shape(func: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that takes None for the shape (), as NumPy's did."""

    @functools.wraps(func)
    def made(shape: Any, *args: Any, **kwargs: Any) -> Any:
        return func(() if shape is None else shape, *args, **kwargs)

    return made


def _library() -> types.ModuleType:
    """Return numpy.lib, in which a view with strides of its own ends where its memory does."""
    tricks = types.ModuleType("numpy.lib.stride_tricks", np.lib.stride_tricks.__doc__)
    tricks.__dict__.update(vars(np.lib.stride_tricks), as_strided=_as_strided)
    library = types.ModuleType("numpy.lib", np.lib.__doc__)
    library.__dict__.update(vars(np.lib), stride_tricks=tricks)
    return library


@functools.wraps(np.lib.stride_tricks.as_strided)
def _as_strided(x: Any, *args: Any, **kwargs: Any) -> np.ndarray:
    array = np.asanyarray(x)
    view = np.lib.stride_tricks.as_strided(array, *args, **kwargs)
    whole: Any = array
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    low, high = np.lib.array_utils.byte_bounds(whole)
    first, last = np.lib.array_utils.byte_bounds(view)
    if view.size and not (low <= first and last <= high):
        raise ValueError(
            f"as_strided: got shape {view.shape} and strides {view.strides}, expected a view "
            f"within the memory of an array of shape {whole.shape}"
        )
    return view


def cupy_module(numpy: NumpyModule) -> Hollow:
    """Return NumPy as what runs on a GPU: the same functions, with the way to and from it."""
    module = filled("cupy", {"asnumpy": np.asarray, "get_array_module": lambda *_: numpy})
    module.__dict__.update({name: getattr(numpy, name) for name in numpy.__all__})
    module.__dict__.update(random=numpy.random, linalg=np.linalg)
    module.__dict__.update(cupyx=filled("cupyx", STAND_INS["cupyx"]))
    return module


def _left_as_it_is(*args: Any, **_: Any) -> Any:
    """Be a decorator that compiles, with a signature or without: leave a function as it is."""
    if args and isinstance(args[0], types.FunctionType):
        return args[0]
    return lambda function: function


STAND_INS: dict[str, dict[str, Any]] = {
    "cupyx": {"scatter_add": np.add.at},
    "numba": {"njit": _left_as_it_is, "jit": _left_as_it_is, "prange": range},
}
"""What a file needs of modules that are not run here."""


def special_module() -> Hollow:
    """Return the part of scipy.special that losses and activations use."""
    from scipy import special

    names = "expit logit xlogy xlog1py log_expit entr softmax log_softmax logsumexp".split()
    return filled("scipy.special", {name: getattr(special, name) for name in names})


def signal_module() -> Hollow:
    """Return the part of scipy.signal that convolutions use."""
    from scipy import signal

    names = "convolve convolve2d correlate correlate2d fftconvolve oaconvolve".split()
    return filled("scipy.signal", {name: getattr(signal, name) for name in names})
