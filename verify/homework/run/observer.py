"""What functions were given while somebody's own code ran, undisturbed, in this process.

Python tells a trace function of every call of a Python function (`sys.settrace`), and of nothing
else where that returns None. Of each function of the user's own the first call is kept, as copies:
its arguments, and for a method its object. How much is kept is bounded; a function that was seen
costs one look-up at each further call. A debugger's trace function is called too.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import linecache
import sys
import sysconfig
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from verify.homework.run.recorder import is_data
from verify.homework.run.wire import Stored

MOST_BYTES = 64 << 20
"""Bytes of arrays that are kept of all calls together."""

MOST_OF_A_CALL = MOST_BYTES // 4
DEEPEST = 6
"""Objects within objects, and lists within lists, that are looked into."""


class _TooMuchError(Exception):
    """A call is too large to be kept."""


@dataclass(eq=False)
class Observed:
    """What was called of one namespace, by qualified names.

    A call has `arguments` by name, and `globals`, or for a method `state` (its object's attributes
    as dicts and lists) and `object` (the key of its object among `objects`).
    """

    names: dict[str, Any]
    called: dict[str, None] = field(default_factory=dict)
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    objects: dict[str, Any] = field(default_factory=dict)


class Observer:
    """A `with` block in which calls are observed."""

    def __init__(self) -> None:
        self._places: dict[int, Observed] = {}
        self._codes: list[types.CodeType] = []
        self._room = MOST_BYTES

    @property
    def places(self) -> list[Observed]:
        """What was observed, by namespace."""
        return list(self._places.values())

    def __enter__(self) -> Observer:
        seen: set[int] = set()
        before = self._before = sys.gettrace()

        def look(frame: types.FrameType, event: Any, argument: Any) -> Any:
            if id(frame.f_code) not in seen:
                seen.add(id(frame.f_code))
                self._codes.append(frame.f_code)  # so that no other code gets its id
                with contextlib.suppress(Exception):
                    self._note(frame)
            return None if before is None else before(frame, event, argument)

        sys.settrace(look)
        return self

    def __exit__(self, *fault: object) -> None:
        sys.settrace(self._before)

    def _note(self, frame: types.FrameType) -> None:
        code, names = frame.f_code, frame.f_globals
        owner, _, function = code.co_qualname.rpartition(".")
        unfit = "<" in code.co_qualname or "." in owner or function.startswith("__init")
        if unfit or not is_own(code.co_filename):
            return
        place = self._places.setdefault(id(names), Observed(names))
        place.called[code.co_qualname] = None
        information = inspect.getargvalues(frame)
        if information.varargs and information.locals[information.varargs]:
            return
        if information.keywords and information.locals[information.keywords]:
            return
        arguments = {name: information.locals[name] for name in information.args}
        count = code.co_argcount
        for name in code.co_varnames[count : count + code.co_kwonlyargcount]:
            arguments[name] = information.locals[name]
        with contextlib.suppress(_TooMuchError):
            place.calls[code.co_qualname] = self._call(place, owner, code, arguments)

    def _call(
        self, place: Observed, owner: str, code: types.CodeType, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        room = min(self._room, MOST_OF_A_CALL)
        held = arguments.pop(next(iter(arguments))) if owner and arguments else None
        size = _bytes(arguments) + _bytes(held)
        if size > room:
            raise _TooMuchError
        self._room -= size
        kept: dict[str, Any] = {"state": None, "globals": {}}
        if owner:
            key = self._store(place, held)
            kept |= {"object": key, "state": _tree(vars(place.objects[key]), 0)}
        else:
            data = ((name, place.names.get(name)) for name in code.co_names)
            kept["globals"] = {k: copy.copy(v) for k, v in data if is_data(k, v)}
        return {"arguments": {k: self._kept(place, v) for k, v in arguments.items()}, **kept}

    def _kept(self, place: Observed, value: Any) -> Any:
        """Return a copy of a tree of arrays and plain values; of anything else, its key."""
        if value is None or isinstance(value, (bool, int, float, str, np.generic)):
            return value
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            return np.array(value)
        if type(value) is dict:
            return {key: self._kept(place, item) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self._kept(place, item) for item in value)
        return Stored(self._store(place, value))

    def _store(self, place: Observed, value: Any) -> str:
        key = str(len(place.objects))
        place.objects[key] = copy.deepcopy(value)
        return key


def _bytes(value: Any, depth: int = 0) -> int:
    """Return the bytes of the arrays in a value, as far as it is looked into."""
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    if depth > DEEPEST:
        return 0
    inside: Any = value
    if isinstance(value, Mapping):
        inside = value.values()
    elif not isinstance(value, (list, tuple)):
        inside = getattr(value, "__dict__", {}).values() if _is_object(value) else ()
    return sum(_bytes(item, depth + 1) for item in inside)


def _tree(value: Any, depth: int) -> Any:
    """Return arrays in dicts and lists, an object as the dict of its attributes."""
    if isinstance(value, np.ndarray) or depth > DEEPEST:
        return value if isinstance(value, np.ndarray) else None
    if isinstance(value, Mapping):
        return {key: _tree(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_tree(item, depth + 1) for item in value]
    return _tree(vars(value), depth) if _is_object(value) else None


def _is_object(value: Any) -> bool:
    """Say whether a value is an object of a class that has attributes."""
    return hasattr(value, "__dict__") and not isinstance(
        value, (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)
    )


_OURS = tuple(
    str(Path(__file__).resolve().parents[3] / name)
    for name in ("verify", "backproof", "manual", "autodiff")
)
_INSTALLED = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))


@functools.cache
def is_own(file: str) -> bool:
    """Say whether code of this file is the user's: not installed, and its text can be read."""
    if {"site-packages", "dist-packages"} & set(Path(file).parts):
        return False
    return not file.startswith((*_OURS, *_INSTALLED)) and bool(linecache.getlines(file))
