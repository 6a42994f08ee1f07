"""The calls that a file's own statements make of its functions.

The statements that are otherwise left where they are (training, plotting) are run with the
functions wrapped, until each that is wanted was called or the time is up. Plotting and other
libraries are stand-ins that accept everything. Only what was given comes back: structure, shapes,
types and values.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import signal
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from verify.homework.run.namespace import Workspace
from verify.homework.run.substitute_modules import Hollow

LARGEST = 4000
"""Entries of an array beyond which a call is too large to be tried again."""


def _examples(count: Any = 60, *args: Any, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return examples of two classes, as the data sets that scikit-learn makes are."""
    n = min(int(settings.get("n_samples", count)), 60)
    rng = np.random.default_rng(37)
    features = int(settings.get("n_features", 2))
    return rng.standard_normal((n, features)), np.arange(n) % 2


DATA: dict[str, Callable[..., Any]] = {
    f"make_{kind}": _examples for kind in ("moons", "circles", "blobs", "classification")
}
"""The functions that make data sets, by their names in scikit-learn."""


class Anything:
    """What stands in for a library that is not run: it accepts every call and every name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return DATA.get(name, self)

    def __call__(self, *args: Any, **kwargs: Any) -> Anything:
        """Accept whatever it is called with."""
        return self

    def __iter__(self) -> Iterator[Anything]:
        return iter((self, self))

    def __getitem__(self, key: Any) -> Anything:
        return self

    def __enter__(self) -> Anything:
        return self

    def __exit__(self, *fault: Any) -> None:
        return None


class _EnoughError(BaseException):
    """Every wanted function was called, or the time is up."""


def recorded(
    workspace: Workspace, wanted: Sequence[str], seconds: float
) -> dict[str, dict[str, Any]]:
    """Return the first call of each wanted function, by its qualified name.

    The workspace is not what it was afterwards.
    """
    found: dict[str, dict[str, Any]] = {}
    missing = set(wanted)

    def note(name: str, call: dict[str, Any]) -> None:
        if name not in found:
            found[name] = call
            missing.discard(name)
            if not missing:
                raise _EnoughError

    _wrap(workspace, wanted, note)

    def stop(*_: Any) -> None:
        raise _EnoughError

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    names = workspace.names
    names["__name__"] = "__main__"
    names["__builtins__"] = {**names["__builtins__"], "open": _open}
    for name, value in list(names.items()):
        if isinstance(value, Hollow):
            names[name] = DATA.get(value.__name__.rpartition(".")[2], Anything())
    with contextlib.suppress(_EnoughError), np.errstate(all="ignore"):
        workspace.random.restart()
        for statement in workspace.extract.rest:
            try:
                exec(workspace.compiled(statement), names)
            except _EnoughError:
                raise
            except BaseException:
                continue
    signal.setitimer(signal.ITIMER_REAL, 0)
    return found


def _wrap(
    workspace: Workspace, wanted: Sequence[str], note: Callable[[str, dict[str, Any]], None]
) -> None:
    names = workspace.names
    for qualified in wanted:
        owner, _, name = qualified.rpartition(".")
        holder = names.get(owner) if owner else None
        if owner and not isinstance(holder, type):
            continue
        function = vars(holder).get(name) if isinstance(holder, type) else names.get(name)
        if not isinstance(function, types.FunctionType):
            continue
        wrapped = _wrapped(qualified, function, bool(owner), names, note)
        if isinstance(holder, type):
            setattr(holder, name, wrapped)
        else:
            names[name] = wrapped


def _wrapped(
    name: str,
    function: Callable[..., Any],
    method: bool,
    names: Mapping[str, Any],
    note: Callable[[str, dict[str, Any]], None],
) -> Callable[..., Any]:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with contextlib.suppress(TypeError, ValueError):
            bound = dict(signature.bind(*args, **kwargs).arguments)
            state = None
            if method and bound:
                state = _copied(dict(getattr(bound.pop(next(iter(bound))), "__dict__", {})))
            kept = {k: _copied(v) for k, v in names.items() if is_data(k, v)} if not method else {}
            note(name, {"arguments": _copied(bound), "state": state, "globals": kept})
        return function(*args, **kwargs)

    return call


def is_data(name: str, value: Any) -> bool:
    """Say whether a global name holds a number or an array that a function may read."""
    if name.startswith("__"):
        return False
    return type(value) in (int, float, bool) or (
        isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.size <= 4 * LARGEST
    )


TEXT = "the quick brown fox jumps over the lazy dog, and runs away. " * 40
"""What a text file that is missing holds."""


def _open(name: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
    """Open a file; a text that is missing is replaced by ours."""
    try:
        return open(name, mode, *args, **kwargs)
    except OSError:
        if "b" in mode or "r" not in mode:
            raise
        return io.StringIO(TEXT)


def _copied(value: Any) -> Any:
    """Return a copy of a tree; what is too large is left out of it."""
    if isinstance(value, dict):
        return {k: _copied(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_copied, value)) if type(value) in (list, tuple) else value
    if isinstance(value, np.ndarray):
        return value.copy() if value.size <= 4 * LARGEST else object()
    return value
