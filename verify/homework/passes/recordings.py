"""What the file's own calls say of inputs: the structure is theirs, floating values are drawn anew.

Integers, labels, texts and flags stay as they were; arrays of 0 and 1 too. Where a call was of a
method, its object is made again from the attributes that it had; in a live process it is a copy,
with other parameters.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from verify.homework.passes.inputs import Arguments, draw
from verify.homework.passes.objects import Side, parameters_in
from verify.homework.run.door import Expression, Step
from verify.homework.run.wire import Opaque, Stored


class _UnfitError(ValueError):
    """A recorded value cannot be made again."""


def arguments_of(call: Mapping[str, Any]) -> Arguments:
    """Return a recorded call's arguments, without those that cannot be made again."""
    given: dict[str, Any] = {}
    expressions = {}
    for name, value in call["arguments"].items():
        with contextlib.suppress(_UnfitError):
            expressions[name] = _expression(value, name, given)
    return Arguments(expressions, given, "", _numbers(call["arguments"]), 1)


def side_of(owner: str, call: Mapping[str, Any]) -> Side | None:
    """Return the object of a recorded call, made again from its attributes, or None."""
    state = call.get("state")
    if not isinstance(state, Mapping):
        return None
    given: dict[str, Any] = {}
    if "object" in call:
        copied: list[Step] = [("call", ("copier", call["object"]), [], {})]
        for path, holder, key, value in parameters_in(state):
            copied.append(("put", holder, key, _expression(value, path, given)))
        return Side(owner, tuple(copied), given)
    steps: list[Step] = [("call", ("bare", owner), [], {})]
    for name, value in state.items():
        try:
            steps.append(("put", ("slot", 0), name, _expression(value, name, given)))
        except _UnfitError:
            continue
    return Side(owner, tuple(steps), given)


def globals_of(call: Mapping[str, Any]) -> Side:
    """Return the file itself with the global numbers and arrays that a recorded call met."""
    given: dict[str, Any] = {}
    steps: list[Step] = []
    for name, value in call.get("globals", {}).items():
        if isinstance(value, np.ndarray) or type(value) in (int, bool):
            steps.append(("global", name, _expression(value, name, given)))
        else:
            steps.append(("global", name, ("value", value)))
    return Side(None, tuple(steps), given)


def _numbers(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in arguments.items() if type(v) in (int, float)}


def _expression(value: Any, path: str, given: dict[str, Any]) -> Expression:
    """Return the expression of a recorded value, its arrays among the inputs by their path."""
    if isinstance(value, np.ndarray):
        given[path] = _anew(value, path)
        return ("in", path)
    if isinstance(value, Stored):
        return ("copy", value.key)
    if isinstance(value, Opaque):
        raise _UnfitError(path)
    if isinstance(value, Mapping):
        return ("dict", [[k, _expression(v, f"{path}.{k}", given)] for k, v in value.items()])
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return (kind, [_expression(v, f"{path}.{i}", given) for i, v in enumerate(value)])
    if isinstance(value, float):
        given[path] = value if value else 0.3
        return ("in", path)
    return ("value", value)


def _anew(value: np.ndarray, path: str) -> np.ndarray:
    """Return other values of the same kind: those between 0 and 1 stay there."""
    if value.dtype.kind != "f" or not value.size:
        return value
    if np.isin(value, (0.0, 1.0)).all() and value.any():
        return value
    rng = np.random.default_rng(sum(map(ord, path)))
    drawn = draw(value.shape, rng)
    if ((value >= 0) & (value <= 1)).all() and value.any():
        return np.asarray(0.05 + 0.9 * rng.random(value.shape)).astype(value.dtype)
    scale = 1.4 / np.sqrt(max(value.shape[-1], 4)) if value.ndim == 2 else 0.7
    return np.asarray(scale * drawn).astype(value.dtype)
