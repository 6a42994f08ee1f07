"""`Rule`: a function with a rule of its own for its gradient, of whatever framework it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.evidence.differences.central import Params
from verify.evidence.trees import Tree, is_complex

ByFramework = Callable[[Params, Params], tuple[float, Params]]
"""<c, outputs> and its gradients, of the arguments and of c, both by name."""


@dataclass(frozen=True, eq=False)
class Rule:
    """A function of named arguments, and how its framework calls and differentiates it.

    `tree` holds the arguments; what is floating in it is differentiated. `forward(*args)` is the
    function; `pullback(*args)` takes a cotangent to its gradients by one of the framework's modes,
    one an argument, None for none. `differentiated(reference, heard)` are the value and the
    gradients of another function of the same arguments, of the outputs `heard`. `silent()` names
    the outputs of which the function says that they have no gradient. `absent` says whether a
    cotangent may be None.
    """

    framework: str
    tree: Tree
    forward: Callable[..., Any]
    pullback: Callable[..., Callable[[Any], tuple[Any, ...]]]
    differentiated: Callable[[Callable[..., Any], Tree], ByFramework]
    silent: Callable[[], list[str]]
    device: str
    absent: bool


@dataclass(frozen=True, eq=False)
class Subject:
    """What is called, and its arguments by name, in their order."""

    function: Callable[..., Any]
    args: Mapping[str, Any]


def by_name(tree: Tree, args: Sequence[Any]) -> Mapping[str, Any]:
    """Return positional arguments by their names."""
    return dict(zip(tree.original, args, strict=True))


def drawn(output: Any, rng: np.random.Generator) -> np.ndarray:
    """Return random numbers, one each of an output's, complex where that is."""
    numbers = np.asarray(rng.standard_normal(tuple(output.shape)))
    more = 1j * rng.standard_normal(numbers.shape) if is_complex(output) else 0.0
    return np.asarray(numbers + more)


def one_each(tree: Tree, args: Sequence[Any], gradients: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return gradients of single arrays as one an argument, None for arguments without any.

    Where an argument is a tree, what is no array of it is as it was.
    """
    if tree.is_flat and not tree.complex:
        return tuple(map(gradients.get, tree.original))
    built = tree.replaced(by_name(tree, args), gradients)
    found = {name for name in tree.original if any(k in gradients for k in tree.under(name))}
    return tuple(built[name] if name in found else None for name in tree.original)
