"""The arrays in what a pass returns and in what its object keeps, and how they are called."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verify.homework.passes.objects import Side
from verify.homework.read.discover import is_gradient
from verify.homework.read.syntax import plain_name
from verify.homework.run.door import Door, Expression, Raised, Recipe, Step


@dataclass(frozen=True, eq=False)
class Leaf:
    """An array in a result: how it is called there, and where it is."""

    label: str
    where: Expression
    value: np.ndarray


def result_of(steps: Sequence[Step]) -> Expression:
    """Return where the result of the last call is."""
    return ("slot", sum(step[0] == "call" for step in steps) - 1)


def state_of(side: Side) -> tuple[Expression, ...]:
    """Return what is wanted of an object beside a result: its attributes."""
    return (("vars", ("slot", 0)),) if side.owner is not None else ()


def leaves_of(result: Any, where: Expression, names: Sequence[str] | None) -> list[Leaf]:
    """Return the arrays in a result with what they are called there."""
    if isinstance(result, (np.ndarray, float)) or type(result) is int:
        label = names[0] if names else ""
        return [Leaf(label, where, np.asarray(result))]
    leaves = []
    if isinstance(result, (tuple, list)):
        fits = names is not None and len(names) == len(result)
        for i, part in enumerate(result):
            label = names[i] if fits and names is not None else ""
            inner = leaves_of(part, ("at", where, i), [label] if label else None)
            if isinstance(part, (tuple, list)) and label:
                inner = [replace(leaf, label=f"{label}.{n}") for n, leaf in enumerate(inner)]
            leaves += inner
    elif isinstance(result, Mapping):
        for key, part in result.items():
            leaves += leaves_of(part, ("at", where, key), [str(key)])
    return leaves


def distinct(leaves: Sequence[Leaf], given: Collection[str]) -> list[Leaf]:
    """Return results without those in an object that are another under a second name.

    `self.grads = [self.grad_w]` holds one gradient, of what `self.params` calls by its place.
    """
    names = {key for name in given for key in keys_of(name)}
    known = [leaf for leaf in leaves if keys_of(leaf.label) & names]
    return [
        leaf
        for leaf in leaves
        if leaf.where[0] != "at"
        or leaf in known
        or leaf.value.ndim == 0
        or not any(
            leaf.where[1] == ("slot", 0) and np.array_equal(leaf.value, o.value) for o in known
        )
    ]


def as_made(door: Door, side: Side, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays in an object before it goes forward."""
    answer = door.run(Recipe(side.steps, state_of(side)), given)
    if isinstance(answer, Raised) or not answer:
        return {}
    return {path: value for path, _, value in attributes(answer[0])}


def kept_of(
    before: Sequence[Any],
    after: Sequence[Any],
    made: Mapping[str, np.ndarray],
    parameters: Collection[str],
    results: Sequence[Leaf],
) -> list[Leaf]:
    """Return the arrays that a backward pass puts into its object, under its attributes' names.

    A gradient is one of them too that has been there since the object was `made`; what the forward
    pass keeps for the way back is none, whatever it is called. Parameters that it moves are none,
    nor what it returns under the same name.
    """
    if len(before) < 2:
        return []
    known = [(leaf.label, leaf.value) for leaf in results]
    old = {path: value for path, _, value in attributes(before[1])}
    kept = [
        Leaf(path, where, value)
        for path, where, value in attributes(after[1])
        if path not in parameters
        and (
            path not in old
            or not np.array_equal(old[path], value)
            or (
                value.ndim
                and is_gradient(path.split(".")[0])
                and np.array_equal(made.get(path, np.nan), value)
            )
        )
        and not any(
            label == path.rpartition(".")[2] and np.array_equal(value, result)
            for label, result in known
        )
    ]
    own = {leaf.label for leaf in kept}
    # Its own gradient is the sum of those of the steps that it keeps under the same name.
    return sorted(kept, key=lambda leaf: leaf.label.rpartition(".")[2] in own - {leaf.label})


def attributes(state: Any) -> Iterator[tuple[str, Expression, np.ndarray]]:
    """Yield the float arrays in an object: their path, where they are, and their value."""
    if not isinstance(state, Mapping):
        return
    for name, value in state.items():
        yield from _arrays_in(value, str(name), ("at", ("slot", 0), name))


def _arrays_in(
    value: Any, path: str, where: Expression
) -> Iterator[tuple[str, Expression, np.ndarray]]:
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        yield path, where, value
    elif isinstance(value, float):
        yield path, where, np.asarray(value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _arrays_in(item, f"{path}.{key}", ("at", where, key))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _arrays_in(item, f"{path}.{i}", ("at", where, i))


def key_of(name: str) -> str:
    """Return a gradient's or an input's name without what makes it a gradient, in lower case."""
    plain = name.rsplit("/", 1)[-1]
    plain = re.sub(r"^(?:d?[lLjJ]_?d_?|dloss_?d?_?|dcost_?d?_?)(?=[A-Za-z])", "", plain)
    plain = re.sub(r"^(?:(?:grads?|gradients?|nabla|delta)_?|g_|g(?=[A-Z]))(?=[A-Za-z])", "", plain)
    plain = plain_name(plain)
    plain = re.sub(r"_?(?:grads?|gradients?)$|_err(?:or)?s?$", "", plain) or plain
    plain = re.sub(r"^d_?(?=[A-Za-z])", "", plain)
    return re.sub(r"[^a-z0-9]", "", plain.lower())


def place_among(name: str, names: Sequence[str]) -> int | None:
    """Return the place of a name among others, None where it is not there once."""
    plain = [*map(plain_name, names), plain_name(name)]
    return plain.index(plain[-1]) if plain.count(plain[-1]) == 2 else None


_SAME = {
    "weights": "w", "weight": "w", "kernel": "w", "bias": "b", "biases": "b", "inputs": "x",
    "input": "x", "values": "x",
}  # fmt: skip


def keys_of(path: str) -> set[str]:
    """Return the keys by which a name may be matched: its last part, and the whole of it."""
    parts = path.split(".")
    last = parts[-1]
    keys = {key_of(last)} if not last.isdigit() else set()
    if last.isdigit():
        holder = parts[-2] if len(parts) > 1 else ""
        plain = holder in ("grads", "gradients", "grad", "params", "")
        holder = "params" if plain else key_of(holder)
        keys.add(f"{_SAME.get(holder, holder)}{last}")
    return {_SAME.get(key, key) for key in keys if key}
