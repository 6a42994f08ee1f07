"""What a namespace holds, and how it is put back after somebody's code has run in it.

Names are bound again as they were, and what can be changed in place gets its old content: arrays,
lists, dicts, sets, objects of the namespace's own classes, and generators of random numbers. What
is very large is not kept.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

LARGEST = 20_000
"""Entries of an array, and items of a list or dict, up to which the content is kept."""

MOST_THINGS = 20_000
"""Things of a namespace that are looked at."""

PutBack = Callable[[], None]


class Contents:
    """The bindings of a namespace, and the content of what it holds and of `others`."""

    def __init__(self, names: dict[str, Any], others: Iterable[Any] = ()):
        self._names, self._before = names, dict(names)
        self._put_back: list[PutBack] = []
        seen: set[int] = {id(names)}
        waiting: list[Any] = [*names.values(), *others]
        while waiting and len(seen) < MOST_THINGS:
            thing = waiting.pop()
            if id(thing) in seen:
                continue
            seen.add(id(thing))
            inside, put_back = _kept(thing, names.get("__name__"))
            waiting += inside
            if put_back is not None:
                self._put_back.append(put_back)

    def put_back(self) -> None:
        """Make the namespace as it was."""
        _refill(self._names, self._before)
        for put_back in self._put_back:
            put_back()


def _kept(thing: Any, module: Any) -> tuple[Iterable[Any], PutBack | None]:
    """Return what is inside of a thing, and what gives it its present content again."""
    if isinstance(thing, np.ndarray):
        return (), _array(thing)
    if type(thing) in (list, set, dict):
        if len(thing) > LARGEST:
            return (), None
        inside = thing.values() if type(thing) is dict else thing
        return [item for item in inside if _can_change(item)], _container(thing)
    if type(thing) is tuple:
        return [item for item in thing[:LARGEST] if _can_change(item)], None
    if isinstance(thing, np.random.Generator):
        bits = thing.bit_generator
        state = bits.state
        return (), lambda: setattr(bits, "state", state)
    if isinstance(thing, (np.random.RandomState, random.Random)) or any(
        thing is each for each in random_numbers()
    ):
        return (), _random(thing)
    if isinstance(thing, type) and thing.__module__ == module:
        data = {k: v for k, v in vars(thing).items() if not callable(v) and not k.startswith("__")}
        return data.values(), lambda: _set_again(thing, data)
    if type(thing).__module__ == module and hasattr(thing, "__dict__"):
        return (vars(thing),), None
    return (), None


def _can_change(item: Any) -> bool:
    return not isinstance(item, (int, float, str, bytes, bool, type(None)))


def _array(array: np.ndarray) -> PutBack | None:
    if array.size > LARGEST or not array.flags.writeable or array.dtype.hasobject:
        return None
    content = array.copy()
    return lambda: np.copyto(array, content)


def _container(thing: Any) -> PutBack:
    if type(thing) is list:
        items = list(thing)
        return lambda: thing.__setitem__(slice(None), items)
    if type(thing) is set:
        members = set(thing)
        return lambda: _refill_set(thing, members)
    entries = dict(thing)
    return lambda: _refill(thing, entries)


def _refill(thing: dict[Any, Any], entries: dict[Any, Any]) -> None:
    """Give a dict its entries again; an interrupt halfway takes none of them away."""
    thing.update(entries)
    if len(thing) > len(entries):
        for key in [key for key in thing if key not in entries]:
            del thing[key]


def random_numbers() -> tuple[Any, ...]:
    """Return what draws the random numbers of `np.random` and of `random` in this process."""
    return np.random, random


def _refill_set(thing: set[Any], members: set[Any]) -> None:
    thing.update(members)
    thing.intersection_update(members)


def _random(thing: Any) -> PutBack:
    if hasattr(thing, "getstate"):
        python = thing.getstate()
        return lambda: thing.setstate(python)
    state = thing.get_state()
    return lambda: thing.set_state(state)


def _set_again(kind: type, data: dict[str, Any]) -> None:
    for name, value in data.items():
        if vars(kind).get(name) is not value:
            setattr(kind, name, value)
