"""Which gradient is of which input: by name, then by shape, then by place."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.homework.passes.bindings import COTANGENT
from verify.homework.passes.experiment import Gradient
from verify.homework.passes.inputs import is_label
from verify.homework.passes.results import Leaf, keys_of
from verify.homework.read.discover import (
    Candidate,
    is_gradient,
)


@dataclass(frozen=True)
class Matched:
    """The gradients among results, and how they were told apart."""

    gradients: tuple[Gradient, ...]
    ordered: frozenset[str]
    """The inputs that only order tells from another."""
    nameless: bool
    """Whether some were matched by their shapes alone, beside others that have names."""


def matched(
    candidate: Candidate,
    results: Sequence[Leaf],
    leaves: Sequence[Leaf],
    given: Mapping[str, Any],
    main: str,
) -> Matched:
    """Return the gradients among what a pass returns and keeps.

    By name and shape; by place alone where a function returns one for every input, and more are
    found so.
    """
    gradients = match(leaves, given, main)
    placed = _by_place(results, given) if candidate.owner is None else ()
    if placed and len(gradients) < len(placed):
        return Matched(placed, _alike_among(given, placed), False)
    nameless, ordered = _nameless_of(results, leaves, gradients, given)
    return Matched(gradients + nameless, ordered, bool(nameless))


def match(leaves: Sequence[Leaf], given: Mapping[str, Any], main: str) -> tuple[Gradient, ...]:
    """Return the gradients among results, each with the input that it is of.

    By name, then by shape in the order in which they come; a single one is of the main input.
    """
    inputs = {
        name: np.asarray(value)
        for name, value in given.items()
        if (isinstance(value, np.ndarray) and value.dtype.kind == "f") or isinstance(value, float)
    }
    numbers = {name for name, value in given.items() if isinstance(value, float)}
    if (listed := _listed(leaves, inputs)) is not None:
        return listed
    said = {key for leaf in leaves for key in keys_of(leaf.label)}
    inputs = {n: v for n, v in inputs.items() if not is_label(n) or keys_of(n) & said} or inputs
    labelled = any(leaf.label for leaf in leaves)
    found = _beside_parameters(leaves, inputs)
    leaves = _not_within(leaves, found)
    rest: list[Leaf] = []
    unfit: list[Leaf] = []
    for leaf in leaves:
        keys = keys_of(leaf.label) if leaf.label else set()
        fitting = [n for n in inputs if n not in found and keys & keys_of(n)]
        sized = [n for n in fitting if inputs[n].shape == leaf.value.shape] or fitting
        if sized and (
            is_gradient(leaf.label.split(".")[0])
            or is_gradient(leaf.label.rsplit(".", 1)[-1])
            or "." in leaf.label
            or leaf.label.startswith("d")
            or leaf.label in ("W", "b")
            or leaf.label in {n.rsplit(".", 1)[-1] for n in inputs if "." in n}
        ):
            found[min(sized, key=_is_other)] = leaf
        else:
            rest.append(leaf)
    for leaf in rest:
        other = labelled if not leaf.label else not _may_be_gradient(leaf.label)
        other = other and leaf.where[0] != "slot"  # all that is returned is a gradient
        if other and len(leaves) > 1:
            continue
        fitting = [
            n
            for n, v in inputs.items()
            if n not in found and n not in numbers and v.shape == leaf.value.shape
        ]
        fitting = [main] if main in fitting and (len(rest) == 1 or not found) else fitting
        if fitting:
            found[fitting[0]] = leaf
        elif not leaf.label or (is_gradient(leaf.label) and not _PARAMETER.fullmatch(leaf.label)):
            unfit.append(leaf)
    left = [n for n in inputs if n not in found and n not in numbers]
    if len(unfit) == len(left) == 1 and leaves:
        found[left[0]] = unfit[0]
    return tuple(
        Gradient(leaf.label or f"d{name}", name, leaf.where) for name, leaf in found.items()
    )


def _beside_parameters(leaves: Sequence[Leaf], inputs: Mapping[str, np.ndarray]) -> dict[str, Leaf]:
    """Return the gradients that an object inside keeps in the place of its parameters.

    `layers.1.grads.0` is that of `layers.1.params.0`.
    """
    found = {}
    for leaf in leaves:
        name = re.sub(r"\.grads\.(?=\d+$)", ".params.", leaf.label)
        if name != leaf.label and name in inputs and inputs[name].shape == leaf.value.shape:
            found[name] = leaf
    return found


def _not_within(leaves: Sequence[Leaf], found: Mapping[str, Leaf]) -> list[Leaf]:
    """Return leaves without those found, and those of what the objects that keep these contain."""
    holders = {leaf.label.rpartition(".grads.")[0] for leaf in found.values()}
    taken = {leaf.label for leaf in found.values()}
    return [
        leaf
        for leaf in leaves
        if leaf.label not in taken
        and not any(
            leaf.label.startswith(f"{holder}.") and leaf.label.count(".") > holder.count(".") + 1
            for holder in holders
        )
    ]


def _is_other(name: str) -> bool:
    """Say whether an input's name is a key with something more: `w_tmp` beside `w`."""
    return name.rsplit(".", 1)[-1].lower() not in keys_of(name)


def _listed(
    leaves: Sequence[Leaf], inputs: Mapping[str, np.ndarray]
) -> tuple[Gradient, ...] | None:
    """Match results without names to a list of parameters, one each, in order."""
    holders = dict.fromkeys(n.rpartition(".")[0] for n in inputs if n.rpartition(".")[2].isdigit())
    for holder in holders:
        names = [f"{holder}.{i}" for i in range(len(leaves))]
        whole = len(names) > 1 and f"{holder}.{len(names)}" not in inputs
        if whole and all(name in inputs for name in names):
            shapes = [
                inputs[n].shape == leaf.value.shape for n, leaf in zip(names, leaves, strict=True)
            ]
            if not any(leaf.label for leaf in leaves) and sum(shapes) > len(shapes) // 2:
                return tuple(
                    Gradient(f"d{name}", name, leaf.where)
                    for name, leaf in zip(names, leaves, strict=True)
                )
    return None


def _by_place(results: Sequence[Leaf], given: Mapping[str, Any]) -> tuple[Gradient, ...]:
    """Return the gradients among results that are as many as the inputs and of their shapes.

    None where a result has the name of another input's gradient, or there is but one.
    """
    inputs = [n for n, v in given.items() if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
    pairs = list(zip(inputs, results, strict=False))
    if not len(pairs) == len(inputs) == len(results) > 1:
        return ()
    called = any(is_gradient(leaf.label) for leaf in results)
    for name, leaf in pairs:
        named = {other for other in inputs if keys_of(leaf.label) & keys_of(other)}
        if given[name].shape != leaf.value.shape or (called and leaf.label and named != {name}):
            return ()
    return tuple(Gradient(leaf.label or f"d{name}", name, leaf.where) for name, leaf in pairs)


def _alike_among(given: Mapping[str, Any], gradients: Sequence[Gradient]) -> frozenset[str]:
    """Return the inputs that have the shape of another, so that only order tells them apart."""
    shapes = Counter(np.shape(given[gradient.of]) for gradient in gradients)
    return frozenset(g.of for g in gradients if shapes[np.shape(given[g.of])] > 1)


def _nameless_of(
    results: Sequence[Leaf],
    leaves: Sequence[Leaf],
    gradients: Sequence[Gradient],
    given: Mapping[str, Any],
) -> tuple[tuple[Gradient, ...], frozenset[str]]:
    """Return the gradients among results without names, and of which inputs that is a guess.

    Beside others that have names, they are of the inputs of their shapes, in the order of these,
    where there are as many.
    """
    if not any(leaf.label for leaf in leaves):
        return (), frozenset()
    taken, places = {g.of for g in gradients}, {g.where for g in gradients}
    open_ = [
        name
        for name, value in given.items()
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and name not in taken
    ]
    found: list[Gradient] = []
    ordered: set[str] = set()
    for shape in dict.fromkeys(given[name].shape for name in open_):
        inputs = [name for name in open_ if given[name].shape == shape and not is_label(name)]
        alike = [
            leaf for leaf in results
            if not leaf.label and leaf.value.shape == shape and leaf.where not in places
        ]  # fmt: skip
        if len(alike) == len(inputs):
            ordered |= set(inputs) if len(inputs) > 1 else set()
            found += [Gradient(f"d{n}", n, x.where) for n, x in zip(inputs, alike, strict=True)]
    return tuple(found), frozenset(ordered)


def left_over(
    results: Sequence[Leaf], gradients: Sequence[Gradient], given: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the arrays that are the gradient of no input, where there is an input without one.

    That counts where others were matched by their shapes alone.
    """
    taken, places = {g.of for g in gradients}, {g.where for g in gradients}
    open_ = any(
        isinstance(value, np.ndarray) and value.dtype.kind == "f" and name not in taken
        for name, value in given.items()
        if not is_label(name)
    )
    left = [leaf for leaf in results if leaf.where not in places and leaf.value.ndim]
    return tuple(leaf.label or "among its results" for leaf in left if open_)


def unmatched_of(leaves: Sequence[Leaf], gradients: Sequence[Gradient]) -> tuple[str, ...]:
    """Return what looks like the gradient of a parameter and is that of no input."""
    matched = {gradient.label for gradient in gradients}
    if len(leaves) > len(gradients) and not any(leaf.label for leaf in leaves):
        return ("among its results",)
    return tuple(
        leaf.label
        for leaf in leaves
        if leaf.label not in matched
        and _PARAMETER.fullmatch(leaf.label.rsplit(".", 1)[-1])
        and any(map(is_gradient, leaf.label.split(".")))
        and leaf.value.any()
        and not any(np.array_equal(leaf.value, o.value) for o in leaves if o.label in matched)
    )


def unread_of(
    results: Sequence[Leaf], gradients: Sequence[Gradient], given: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the results that may be the gradient of an input that has none among the others.

    They are called as a gradient is, and have the input's shape.
    """
    matched = {gradient.label for gradient in gradients}
    places = {gradient.where for gradient in gradients}
    taken = {gradient.of for gradient in gradients}
    open_ = {
        value.shape
        for name, value in given.items()
        if isinstance(value, np.ndarray) and name not in taken
    }
    return tuple(
        leaf.label or "among its results"
        for leaf in results
        if leaf.label not in matched
        and leaf.where not in places
        and not _PARAMETER.fullmatch(leaf.label)
        and (not leaf.label or COTANGENT.fullmatch(leaf.label))
        and leaf.value.shape in open_
        and leaf.value.any()
    )


_PARAMETER = re.compile(
    r"(?:d_?|grads?_?)?(?:W|b|gamma|beta|weights?|bias(?:es)?)\d{0,2}(?:_?grads?)?"
)


def _may_be_gradient(label: str) -> bool:
    first, last = label.split(".")[0], label.rsplit(".", 1)[-1]
    return (
        is_gradient(first)
        or is_gradient(last)
        or len(label) <= 2
        or "back" in label
        or (label in ("out", "result", "res", "ret", "derivative", "prime", "deriv"))
    )
