"""What the witnesses say of one gradient: the one form in which evidence reaches the verdict.

Up to three witnesses say what the gradient of one loss is: the pass under test (by hand), JAX,
and finite differences. Each number has an error bar, and a difference of two numbers one of its
own. `verify.evidence.built_in_network` and `verify.evidence.any_function` make an `Evidence`;
`verify.verdict` judges it. Nothing is decided here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from verify.report import Fact, over_bar

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

HOEFFDING = math.sqrt(2 * math.log(2 / 1e-9))
Array = np.ndarray
Arrays = Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Differences:
    """Differences of one tensor's entries, or along one tensor's directions.

    index (k,) flat indices of the entries, or numbers of the directions; value (k,); bar (k,),
    how far from the derivative the value may be; smooth (k,) bool, False where the function
    bends at the point itself or is not finite around it, so that there is no derivative to find.
    """

    index: Int[Array, " k"]
    value: Float[Array, " k"]
    bar: Float[Array, " k"]
    smooth: Bool[Array, " k"]


@dataclass(frozen=True, eq=False)
class Bends:
    """Entries of one tensor where the loss bends, and between which slopes a gradient may lie.

    index (k,) flat indices; middle (k,) the mean of the one-sided slopes. A gradient within
    `inner` of it is one that the bend allows; one within `outer`, or between 0 and the middle,
    may be. bar (k,) is the rounding of slopes and gradient.
    """

    index: Int[Array, " k"]
    middle: Float[Array, " k"]
    inner: Float[Array, " k"]
    outer: Float[Array, " k"]
    bar: Float[Array, " k"]


@dataclass(frozen=True, eq=False)
class Witness:
    """A loss and its gradient as one witness has them, each with its error bar.

    `grads`, `bars` and `kinked` have an array a tensor, all of the tensor's shape. `kinked`
    marks the entries of which rounding alone decides on which side of a bend they are; their
    bars contain the jump.
    """

    loss: float
    loss_bar: float
    grads: Arrays
    bars: Arrays
    kinked: Arrays


@dataclass(frozen=True, eq=False)
class Compared:
    """Numbers of one witness beside another's: flat arrays, with how far they may be apart.

    `index` are the flat indices of the entries, or the numbers of the directions.
    """

    index: Int[Array, " k"]
    value: Float[Array, " k"]
    other: Float[Array, " k"]
    bar: Float[Array, " k"]

    @property
    def difference(self) -> Float[Array, " k"]:
        """How far the two are apart."""
        return np.asarray(self.value - self.other)


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that there is to judge a gradient by.

    `loss_apart` and `apart` are how far the losses and the gradients of `hand` and `jax` may be
    apart. `entries` are differences of single entries; `directions` those along the flat
    directions of each tensor that are the rows of `vectors`. Either may lack a tensor. What is
    not smooth there is not compared as it is. There, `bends` say between which slopes the
    gradient may lie, `ties` have the derivatives along tied entries that it misses, and `beside`
    is the evidence on these entries at points nearby. `elsewhere` has, of tensors whose gradient
    is 0 here, its largest entry at points nearby, and `independent` names those whose values do
    not change the loss. `notes` say how it was gathered. Where there is an `obstacle`, there is
    nothing to judge, and no tensor in any of these.
    """

    hand: Witness
    jax: Witness | None = None
    loss_apart: float = 0.0
    apart: Arrays = field(default_factory=dict)
    entries: Mapping[str, Differences] = field(default_factory=dict)
    directions: Mapping[str, Differences] = field(default_factory=dict)
    vectors: Arrays = field(default_factory=dict)
    bends: Mapping[str, Bends] = field(default_factory=dict)
    ties: Mapping[str, Compared] = field(default_factory=dict)
    beside: tuple[Evidence, ...] = ()
    elsewhere: Mapping[str, float] = field(default_factory=dict)
    independent: frozenset[str] = frozenset()
    notes: tuple[Fact, ...] = ()
    obstacle: Fact | None = None

    @property
    def witnesses(self) -> list[Witness]:
        """The witnesses that say what the gradient is, other than finite differences."""
        return [self.hand] if self.jax is None else [self.hand, self.jax]


def against_jax(evidence: Evidence, name: str) -> Compared:
    """Compare every entry of the gradient under test with JAX's."""
    assert evidence.jax is not None
    value, other = _flat(evidence.hand.grads[name]), _flat(evidence.jax.grads[name])
    bar = _flat(evidence.apart[name])
    if name in evidence.bends:  # two right gradients may lie anywhere between the slopes
        bends = evidence.bends[name]
        bar = bar.copy()
        bar[bends.index] += 2 * (bends.inner + bends.bar)
    return Compared(np.arange(value.size), value, other, bar)


def against_entries(evidence: Evidence, witness: Witness, name: str) -> Compared:
    """Compare a witness's gradient with the differences of single entries that are smooth."""
    found = smooth_part(evidence.entries.get(name))
    value = _flat(witness.grads[name])[found.index]
    bar = found.bar + _flat(witness.bars[name])[found.index]
    return Compared(found.index, value, found.value, bar)


def against_directions(evidence: Evidence, witness: Witness, name: str) -> Compared:
    """Compare a witness's gradient with the differences along directions that are smooth."""
    found = smooth_part(evidence.directions.get(name))
    if not found.index.size:
        return Compared(found.index, found.value, found.value, found.bar)
    gradient, bars = _flat(witness.grads[name]), _flat(witness.bars[name])
    vectors = evidence.vectors[name][found.index]
    value = np.array([vector @ gradient for vector in vectors])
    bar = found.bar + np.array([_bar_along(vector, bars) for vector in vectors])
    return Compared(found.index, value, found.value, bar)


def _bar_along(vector: Array, bars: Array) -> float:
    """Return how far errors within bars carry the derivative along a random direction.

    Its signs were drawn without regard to the errors, so that these are seldom all of one sign
    with it: beyond sqrt(2 log(2 / p)) times the root of their sum of squares with a probability
    of p at most (Hoeffding, 1963).
    """
    products = np.abs(vector) * bars
    return float(min(products.sum(), HOEFFDING * np.linalg.norm(products)))


def against_bends(evidence: Evidence, name: str) -> Compared:
    """Compare the gradient under test with what the bends may allow at most."""
    bends = evidence.bends[name]
    value = _flat(evidence.hand.grads[name])[bends.index]
    between = (value * bends.middle >= 0) & (np.abs(value) <= np.abs(bends.middle))
    bar = np.where(between, np.inf, bends.outer + bends.bar)
    return Compared(bends.index, value, bends.middle, bar)


def bends_unexplained(evidence: Evidence, name: str) -> Int[Array, " k"]:
    """Return the entries whose gradient is further off than the bends there surely allow."""
    bends = evidence.bends[name]
    value = _flat(evidence.hand.grads[name])[bends.index]
    return np.asarray(bends.index[np.abs(value - bends.middle) > bends.inner + bends.bar])


def disputed(evidence: Evidence) -> bool:
    """Say whether any two witnesses are further apart than their bars, anywhere."""
    entries, directions = suspects(evidence)
    return bool(entries or directions) or any(
        beyond(against_jax(evidence, name)).size
        for name in evidence.hand.grads
        if evidence.jax is not None
    )


def suspects(evidence: Evidence) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the entries and directions whose differences contradict a witness, worst first."""
    entries = {name: _worst(evidence, against_entries, name) for name in evidence.entries}
    directions = {name: _worst(evidence, against_directions, name) for name in evidence.directions}
    return (
        {name: index for name, index in entries.items() if index.size},
        {name: index for name, index in directions.items() if index.size},
    )


def _worst(
    evidence: Evidence, compare: Callable[[Evidence, Witness, str], Compared], name: str
) -> Int[Array, " k"]:
    found = [compare(evidence, witness, name) for witness in evidence.witnesses]
    ratios = np.max([over_bar(each.difference, each.bar) for each in found], axis=0)
    order = np.argsort(-ratios, kind="stable")
    return np.asarray(found[0].index[order][ratios[order] > 1])


def beyond(found: Compared) -> Int[Array, " k"]:
    """Return the indices of what is further apart than its bar."""
    return np.asarray(found.index[over_bar(found.difference, found.bar) > 1])


def smooth_part(found: Differences | None) -> Differences:
    """Return the differences where there is a derivative; none where nothing was differenced."""
    if found is None:
        return Differences(np.zeros(0, np.intp), np.zeros(0), np.zeros(0), np.zeros(0, bool))
    kept = found.smooth
    return Differences(found.index[kept], found.value[kept], found.bar[kept], found.smooth[kept])


def _flat(array: Array) -> Array:
    return np.asarray(array, float).reshape(-1)
