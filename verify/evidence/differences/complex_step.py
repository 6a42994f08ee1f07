"""The complex step of a loss, and whether all that is done in it is analytic.

Im f(x + ih e) / h has neither truncation nor cancellation, and takes one evaluation. But |z| drops
the imaginary part, and a sigmoid that is written with it is off by no more than itself where it is
near 0: real differences of a large loss do not show that. So a loss has a complex step only if
NumPy carried complex numbers through every operation to its result, and each of them is analytic.

Source: Squire & Trapp, *Using complex variables to estimate derivatives of real functions*, SIAM
Review 40 (1998).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from verify.evidence.bars.measured import Sizes
from verify.evidence.differences.central import Params
from verify.evidence.precisions import DOUBLE
from verify.evidence.witnesses import Differences

STEP = 2.0**-100
UNITS = 2.0**10
"""Rounding units that a complex step may be off by: ten bits, for a long computation."""

ComplexFunction = Callable[[Params], Any]
Raw = Callable[[Params], Sequence[Any]]

_NOT_ANALYTIC = frozenset([np.absolute, np.conjugate, np.sign, np.rint, np.vecdot])
_NOR_THESE = frozenset([np.vdot, np.real, np.imag, np.angle, np.real_if_close, np.linalg.norm])


class _Watched(np.ndarray):
    """Complex numbers that note what is done to them and is not analytic, in `noted`.

    What NumPy makes of them is watched, too. Maxima, minima and comparisons choose by the real
    part, and are analytic wherever the loss does not bend.
    """

    noted: list[str]

    def __array_finalize__(self, made_of: Any) -> None:
        self.noted = getattr(made_of, "noted", [])

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **keywords: Any
    ) -> Any:
        plain = [_plain(each) for each in inputs]
        if ufunc in _NOT_ANALYTIC and any(map(np.iscomplexobj, plain)):
            self.noted.append(ufunc.__name__)
        if out is not None:
            keywords["out"] = tuple(map(_plain, out))
        found = getattr(ufunc, method)(*plain, **keywords)
        if out is not None:
            return out[0] if len(out) == 1 else out
        return self._watched(found)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func in _NOR_THESE:
            self.noted.append(func.__name__)
        return self._watched(super().__array_function__(func, types, args, kwargs))

    def conjugate(self, *_: Any) -> Any:
        self.noted.append("conjugate")
        return self

    conj = conjugate

    @property  # type: ignore[misc]
    def real(self) -> Any:
        self.noted.append("real")
        return _plain(self).real

    @property  # type: ignore[misc]
    def imag(self) -> Any:
        self.noted.append("imag")
        return _plain(self).imag

    def _watched(self, found: Any) -> Any:
        if isinstance(found, tuple | list):
            return type(found)(map(self._watched, found))
        if isinstance(found, np.ndarray | np.generic) and found.dtype.kind == "c":
            watched = np.asarray(found).view(_Watched)
            watched.noted = self.noted
            return watched
        return found


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, _Watched) else value


def is_analytic(raw: Raw, arrays: Params) -> bool:
    """Say whether outputs of complex arrays come out complex, by analytic operations alone.

    `raw` gives the outputs as the user's function returns them.
    """
    noted = list[str]()
    watched: Params = {}
    for name, value in arrays.items():
        one = value.astype(complex).view(_Watched)
        watched[name], one.noted = one, noted
    outputs = _silently(raw, watched)
    return bool(
        outputs is not None
        and len(outputs)
        and all(isinstance(output, _Watched) for output in outputs)
        and not noted
    )


def complex_differences(
    f: ComplexFunction, arrays: Params, sizes: Sizes
) -> dict[str, Differences] | None:
    """Return the complex step of every entry, or None where there is none of some."""
    work = {name: value.astype(complex) for name, value in arrays.items()}
    values = {}
    for name, array in arrays.items():
        found = [_imaginary(f, work, name, i) for i in range(array.size)]
        if None in found:
            return None
        values[name] = np.array(found, dtype=float).reshape(array.shape)
    return {
        name: Differences(
            np.arange(value.size),
            value.ravel(),
            (UNITS * DOUBLE * (np.abs(value) + sizes.grads[name])).ravel(),
            np.isfinite(value.ravel()),
        )
        for name, value in values.items()
    }


def _imaginary(f: ComplexFunction, work: Params, name: str, i: int) -> float | None:
    """Return Im f(x + ih e_i) / h, or None where f takes no complex arrays."""
    flat = work[name].reshape(-1)
    x = flat[i]
    flat[i] = x + 1j * STEP
    found = _silently(f, work)
    flat[i] = x
    if found is None:
        return None
    value = np.asarray(found)
    return float(value.imag) / STEP if value.dtype.kind == "c" and value.size == 1 else None


def _silently(f: ComplexFunction, at: Params) -> Any:
    """Return what a function gives for complex arrays, None where it fails or warns."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return f(at)
    except Exception:
        # Whatever it is that fails on complex numbers, it means that there is no complex step.
        return None
