"""Calling the course's functions: arguments by their names, results by what they look like."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.homework.read.syntax import parameters, plain_name, returned
from verify.homework.report import UNDECIDED
from verify.homework.run.calls import CallError, fresh, guarded, is_array, number_of
from verify.homework.run.namespace import Workspace
from verify.homework.textbook.roles import Role, cache_argument, meaning


class BindError(CallError):
    """A function asks for something that there is no value for."""

    def __init__(self, function: str, what: str):
        super().__init__(function, what, UNDECIDED)


def function(workspace: Workspace, role: Role, instance: Any = None) -> Any:
    """Return the live function, or the bound method, of a role."""
    if role.owner is not None:
        return getattr(instance, role.name)
    found = workspace.names.get(role.name)
    if not callable(found):
        why = workspace.failed.get(role.name, "it is not defined")
        raise CallError(role.name, f"cannot be used ({why})")
    return found


def call(workspace: Workspace, role: Role, values: Mapping[str, Any], instance: Any = None) -> Any:
    """Call a function with copies of the values that its arguments' names ask for."""
    arguments = fresh(bind(role, values))
    return guarded(workspace, role.shown, function(workspace, role, instance), **arguments)


def bind(role: Role, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a call. Raises BindError if a name is not understood."""
    bound = {}
    arguments = parameters(role.node, bool(role.owner))
    cache = cache_argument(role.role, [name for name, default in arguments if not default])
    for name, has_default in arguments:
        wanted = meaning(name, values)
        if wanted is None and name == cache and "cache" in values:
            wanted = "cache"
        if wanted is not None:
            bound[name] = values[wanted]
        elif not has_default:
            what = f"asks for {name}, an argument that Backproof does not know"
            raise BindError(role.shown, what)
    return bound


@dataclass(frozen=True, eq=False)
class Forward:
    """What a forward pass returned: the output, the cache, the cost where it makes it itself."""

    AL: Any
    cache: Any
    cost: Any = None
    named: Mapping[str, Any] | None = None
    """The results by the names that the function gives them: Z1, A1, ..."""


def read_forward(result: Any, role: Role | None, width: int, makes_cost: bool) -> Forward:
    """Tell the output from the cache in what a forward pass returned."""
    said = returned(role.node) if role is not None else None
    if not isinstance(result, tuple):
        if isinstance(result, dict):
            return Forward(_last_activation(result), result)
        return Forward(result, None)
    named = {}
    if said is not None and len(said) == len(result):
        pairs = [(name, value) for name, value in zip(said, result, strict=True) if name]
        named = {plain_name(name): value for name, value in pairs} | dict(pairs)
    if makes_cost:
        at = next((i for i, x in enumerate(result) if number_of(x) is not None), None)
        if at is not None:
            rest = [x for i, x in enumerate(result) if i != at]
            cache = rest[0] if len(rest) == 1 else tuple(rest)
            return Forward(None, cache, result[at], named)
    if len(result) == 2:
        first, second = result
        if not is_array(first) and is_array(second):
            return Forward(second, first, named=named)
        if is_array(first) and not is_array(second):
            return Forward(first, second, named=named)
    last = _last_activation(named)
    return Forward(_last_of(result, width) if last is None else last, result, named=named)


def _last_activation(named: Mapping[str, Any]) -> Any:
    numbered = sorted(
        (int(found[1]), key)
        for key in named
        if (found := re.fullmatch(r"[Aa](\d)", str(key))) is not None
    )
    for key in ("AL", "yhat", "Y_hat"):
        if key in named:
            return named[key]
    return named[numbered[-1][1]] if numbered else None


def _last_of(result: Sequence[Any], width: int) -> Any:
    fitting = [x for x in result if is_array(x) and np.ndim(x) == 2 and np.shape(x)[0] == width]
    return fitting[-1] if fitting else None


def read_grads(
    result: Any, role: Role | None, sizes: Mapping[str, int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the gradients under the parameters' names, and dZ and dA by theirs.

    `sizes` are those of the parameters, in the order W1, b1, ... What is not there is not in
    the first dict.
    """
    wanted = list(sizes)
    in_order: dict[str, Any] = {}
    if isinstance(result, tuple) and any(isinstance(x, dict) for x in result):
        result = next(x for x in result if isinstance(x, dict))
    if isinstance(result, dict):
        by_name = {_plain(str(key)): value for key, value in result.items()}
    else:
        items = list(result) if isinstance(result, (tuple, list)) else [result]
        said = returned(role.node) if role is not None else None
        if said is not None and len(said) == len(items) and any(_plain(n) for n in said):
            by_name = {_plain(name): value for name, value in zip(said, items, strict=True)}
        else:
            by_name = {}
        if len(items) == len(wanted):
            in_order = dict(zip(_order(items, sizes), items, strict=True))
    by_names = {}
    for name in wanted:
        for key in (f"d{name}", f"grad{name}", f"{name}", f"dldl{name}", f"djd{name}"):
            if key.lower() in by_name:
                by_names[name] = by_name[key.lower()]
                break
    # As many results as parameters are in order where their names do not say which they are.
    known = in_order | by_names
    grads = {name: known[name] for name in wanted if name in known}
    intermediates = {
        f"d{key[1].upper()}{key[2:]}": value
        for key, value in by_name.items()
        if re.fullmatch(r"d[za]\d+", key) and is_array(value)
    }
    return grads, intermediates


def _order(items: Sequence[Any], sizes: Mapping[str, int]) -> list[str]:
    """Return the order in which unnamed gradients come, as far as their sizes tell."""
    forth = list(sizes)
    back = [name for pair in zip(forth[-2::-2], forth[::-2], strict=True) for name in pair]
    kinds = sorted(forth, key=lambda name: (name[0] == "b", name))
    for order in (forth, back, kinds, kinds[::-1]):
        if all(np.size(x) == sizes[name] for x, name in zip(items, order, strict=True)):
            return order
    return forth


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
