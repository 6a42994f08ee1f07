"""Claims: that a function gives the gradients of losses of one forward pass.

Each loss is a product <c, outputs> with a cotangent c, so that one evaluation of the forward pass
serves all of them. A loss of one's own is the claim whose only output is that loss. Here: how the
user's functions are called; not here: what is found by calling them (`verify.evidence.measure`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from verify.evidence.bars.measured import EachValueAndGrads, Sizes, ValueAndGrads
from verify.evidence.differences.batches import Raw
from verify.evidence.differences.central import Params, copy
from verify.evidence.forms import PLAIN
from verify.evidence.precisions import DOUBLE, unit_of
from verify.evidence.trees import Tree
from verify.evidence.witnesses import Array
from verify.report import Fact

if TYPE_CHECKING:
    from jaxtyping import Float

RANDOM = 2.0**10
"""Units of rounding by which two calls at the same place may differ and still be one function."""
LOSS = np.ones(1)
"""The cotangent of a loss that is the only output."""
Pullback = Callable[[Array, str], Params]
"""The gradients under a flat cotangent that is handed over in a form."""


@dataclass(frozen=True, eq=False)
class Claim:
    """The claim that `grads` is the gradient of `loss`.

    Both are functions of flat dicts of arrays of whatever dtype they come in. `loss` returns one
    number as a 0-d array of the dtype that the user's function gave it; `grads` an array a name;
    `mirror` the loss and the gradients by JAX. `names` is what the user calls the function and
    its gradient. `raw` is the loss as its framework has it, as the only output.
    """

    tree: Tree
    loss: Callable[[Params], Array]
    grads: Callable[[Params], Params]
    mirror: ValueAndGrads | None
    names: tuple[str, str]
    raw: Raw


@dataclass(frozen=True, eq=False)
class Claims:
    """The claims that `pullback` pulls each of the cotangents back through `outputs`.

    `outputs` returns all outputs that are differentiated as one flat array, of the dtype that
    the user's function gave them, and `raw` one by one as its framework has them; `pullback`
    takes arrays and returns what pulls cotangents back there, each in its form, which `forms` has
    for those that are not plain (`verify.evidence.forms`); `mirror` takes a flat cotangent beside
    the arrays. `cotangents` are named; the first of them, `leading`, have a part of every output,
    and those of another form come next. `pulled` has gradients that are known. `unit` is
    the unit roundoff of the coarsest type that the functions compute in, and `steps` says whether
    the outputs of float64 arrays are computed in 16 bits, too. `peer` is who the mirror is.
    """

    tree: Tree
    outputs: Callable[[Params], Float[Array, " M"]]
    raw: Raw
    pullback: Callable[[Params], Pullback]
    mirror: Callable[[Params, Array], tuple[float, Params]] | None
    names: tuple[str, str]
    cotangents: Mapping[str, Float[Array, " M"]]
    leading: int = 1
    unit: float = DOUBLE
    steps: bool = False
    forms: Mapping[str, str] = field(default_factory=dict)
    pulled: Mapping[str, Params] = field(default_factory=dict)
    peer: str = "JAX"

    def at(self, arrays: Mapping[str, Array]) -> Callable[[str], Params]:
        """Return what gives the gradients at some arrays under a cotangent, in its form."""
        pull = self.pullback(self.tree.native(arrays))
        return lambda label: pull(self.cotangents[label], self.forms.get(label, PLAIN))

    def under(self, label: str) -> Claim:
        """Return the claim under one cotangent."""
        cotangent = self.cotangents[label]

        def loss(at: Params) -> Array:
            return product(cotangent, self.outputs(at))

        mirror = self.mirror
        return Claim(
            self.tree,
            loss,
            lambda at: self.pullback(at)(cotangent, self.forms.get(label, PLAIN)),
            None if mirror is None else lambda at: mirror(at, cotangent),
            self.names,
            self.raw,
        )


def product(cotangent: Array, outputs: Array) -> Array:
    """Return a loss, of the type of the outputs, so that their precision shows, but for 16 bits."""
    return np.asarray(cotangent @ outputs, np.result_type(np.float32, outputs))


def alone(claim: Claim) -> Claims:
    """Return the one claim about a loss as claims of which it is the only one."""
    mirror = claim.mirror
    return Claims(
        claim.tree,
        lambda at: np.reshape(claim.loss(at), 1),
        claim.raw,
        lambda at: lambda *_: claim.grads(at),
        None if mirror is None else lambda at, _: mirror(at),
        claim.names,
        {"": LOSS},
    )


def by_hand(claim: Claim) -> ValueAndGrads:
    """Return the user's loss and gradient at given values, in the dtype that theirs have."""

    def witness(at: Params) -> tuple[float, Params]:
        return float(claim.loss(claim.tree.native(at))), gradient_by_hand(claim, at)

    return witness


def each_by_hand(claims: Claims, labels: Sequence[str]) -> EachValueAndGrads:
    """Return the user's losses and gradients under some cotangents, as `by_hand` does of one."""

    def witnesses(at: Params) -> list[tuple[float, Params]]:
        outputs, pull = claims.outputs(claims.tree.native(at)), claims.at(at)
        return [
            (float(product(claims.cotangents[label], outputs)), _of_their_own(pull(label)))
            for label in labels
        ]

    return witnesses


def each_gradient_by_hand(claims: Claims, losses: Mapping[str, float]) -> EachValueAndGrads:
    """Return the same beside losses that are known, by the label of their cotangent."""

    def witnesses(at: Params) -> list[tuple[float, Params]]:
        pull = claims.at(at)
        return [(loss, _of_their_own(pull(label))) for label, loss in losses.items()]

    return witnesses


def gradient_by_hand(claim: Claim, at: Params) -> Params:
    """Return the user's gradient at given values, in the dtype that theirs have."""
    return _of_their_own(claim.grads(claim.tree.native(at)))


def _of_their_own(gradients: Params) -> Params:
    """Return gradients in float64 and memory of their own: a function may use its own again."""
    return {name: np.array(g, float) for name, g in gradients.items()}


def copied(gradients: Params) -> Params:
    """Return gradients as they are in memory of their own."""
    return {name: np.array(g) for name, g in gradients.items()}


def refuse_changes(claim: Claim) -> None:
    """Raise ValueError if either function writes to the arrays that it is given."""
    functions: tuple[Callable[[Params], object], ...] = (claim.loss, claim.grads)
    for name, function in zip(claim.names, functions, strict=True):
        given = claim.tree.native(claim.tree.arrays)
        function(given)
        for tensor, array in claim.tree.arrays.items():
            if not np.array_equal(given[tensor], array):
                raise ValueError(
                    f"{name}: it changed {tensor} in place, expected a function that leaves its "
                    "arguments as they are"
                )


def obstacle(
    claim: Claim, arrays: Params, here: tuple[float, Params], sizes: Sizes, unit: float
) -> Fact | None:
    """Return why there is nothing to check, or None; `here` is what the claim gave before."""
    loss, grads = claim.names
    value, first = here
    if not math.isfinite(value):
        return Fact("loss-not-finite", {"function": loss, "value": value})
    again, second = by_hand(claim)(arrays)
    third = float(claim.loss(claim.tree.native(arrays)))
    if max(abs(again - value), abs(third - value)) > RANDOM * unit * sizes.value:
        return Fact("loss-random", {"function": loss, "first": value, "second": again})
    for name, size in sizes.grads.items():
        if (np.abs(first[name] - second[name]) > RANDOM * unit * size).any():
            return Fact("gradient-random", {"function": grads, "tensor": name})
    return None


def carries_float64(claim: Claim) -> bool:
    """Say whether the user's gradient of narrower arrays also computes in float64."""
    if all(value.dtype == np.float64 for value in claim.tree.arrays.values()):
        return False
    try:
        found = claim.grads(copy(claim.tree.arrays))
    except Exception:
        # Whatever it is that fails on the wider type, the function does not carry it through.
        return False
    return all(g.dtype == np.float64 and np.isfinite(g).all() for g in found.values())


def wider(claim: Claim, arrays: Params) -> Params:
    """Return the gradients that the user's function computes in a wider type, where it does."""
    native = {value.dtype for value in claim.tree.arrays.values()}
    wide = np.longdouble if np.dtype(np.float64) in native else np.float64
    if unit_of(np.dtype(wide)) >= min(unit_of(dtype) for dtype in native):
        return {}
    try:
        found = claim.grads({k: value.astype(wide) for k, value in arrays.items()})
    except Exception:
        # Whatever it is that fails on the wider type, the function does not carry it through.
        return {}
    return {k: g for k, g in found.items() if g.dtype == wide and np.isfinite(g).all()}


def in_float64(claims: Claims, arrays: Params) -> Callable[[Params], Array]:
    """Return the outputs of float64 arrays, cast to what the parameters are if need be.

    Where they are not defined, as the logarithm of a negative number, they are not numbers.
    """
    build: Callable[[Params], Params] = dict
    try:
        claims.outputs(copy(arrays))
    except Exception:
        # A function that accepts its own dtype alone is differenced in it; its noise will show.
        build = claims.tree.native
    count = len(next(iter(claims.cotangents.values())))

    def outputs(at: Params) -> Array:
        try:
            return claims.outputs(build(at))
        except (ArithmeticError, ValueError):
            return np.full(count, math.nan)

    return outputs
