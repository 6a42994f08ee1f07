"""A second look at what speaks against a gradient, before it is believed.

The worst suspects of a tensor may be where the function bends unseen, or is rougher than its
noise. One that is neither decides that the tensor is wrong, and the others are not looked at.
Where the function bends, it is found between which slopes the gradient may lie, and what it is at
two points beside.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verify.evidence.bars import measured
from verify.evidence.bars.measured import DRAWS, Sizes
from verify.evidence.claims import Claim, by_hand, carries_float64, gradient_by_hand
from verify.evidence.differences import budgeted
from verify.evidence.differences.bends import (
    REACH,
    Place,
    against_ties,
    examine,
    hidden,
    straight_around,
)
from verify.evidence.differences.budgeted import Sample
from verify.evidence.differences.central import Params, central_differences, copy
from verify.evidence.entry_sizes import moved, scales
from verify.evidence.precisions import DOUBLE, SINGLE
from verify.evidence.witnesses import (
    Array,
    Compared,
    Evidence,
    Witness,
    against_directions,
    against_entries,
    disputed,
    suspects,
)

LOOK = 200
"""Evaluations that a second look takes, at least; without them nothing is called wrong."""
BESIDE = 8
"""Evaluations that an entry takes at two points beside, where nothing bends there."""


@dataclass(frozen=True, eq=False)
class Found:
    """What is known of a gradient but for differences, and of its arithmetic.

    `unit` and `steps` are as in `Claims`.
    """

    hand: Witness
    jax: Witness | None
    sizes: Sizes
    unit: float
    steps: bool = False

    @property
    def rounding(self) -> Mapping[str, Array]:
        """How far rounding carries the gradient, without any jump at a bend."""
        return measured.without_jumps(self.hand, self.sizes, self.unit)


def witness(
    claim: Claim,
    arrays: Params,
    value_and_grads: tuple[float, Params],
    sizes: Sizes,
    unit: float,
    draws: int,
    rng: np.random.Generator,
) -> Witness:
    """Return the gradient under test at some arrays, with its error bars."""
    value, _ = value_and_grads

    def alone(at: Params) -> tuple[float, Params]:
        return value, gradient_by_hand(claim, at)

    # The rounding of a loss matters only where another is compared with it.
    way = alone if claim.mirror is None else by_hand(claim)
    hand = measured.measure(way, arrays, *value_and_grads, sizes, unit, rng, draws)
    return against_float64(claim, arrays, hand, sizes, unit, draws, rng)


def against_float64(
    claim: Claim,
    arrays: Params,
    hand: Witness,
    sizes: Sizes,
    unit: float,
    draws: int,
    rng: np.random.Generator,
) -> Witness:
    """Return a gradient with bars from how far it is from itself in float64, if it is narrower."""
    carries = carries_float64(claim)
    if unit < SINGLE or (unit == SINGLE and not carries):
        return hand
    dtypes = {k: x.dtype for k, x in claim.tree.arrays.items()}

    def loss(at: Params) -> float:
        return 0.0 if claim.mirror is None else float(claim.loss(at))

    def narrow(at: Params) -> tuple[float, Params]:
        native = claim.tree.native(at)
        return loss(native), dict(claim.grads(native))

    def wide(at: Params) -> tuple[float, Params]:
        if carries:
            return loss(at), dict(claim.grads(at))
        return loss(claim.tree.native(at)), gradient_by_hand(claim, at)

    return measured.against_itself(hand, narrow, wide, arrays, dtypes, sizes, unit, rng, draws)


def by_jax(
    claim: Claim,
    arrays: Params,
    hand: Witness,
    sizes: Sizes,
    unit: float,
    draws: int,
    rng: np.random.Generator,
) -> Witness | None:
    """Return the gradient by JAX with its error bars, if there is a mirror.

    Where both compute in float64, what the gradient by hand loses JAX may lose too.
    """
    if claim.mirror is None:
        return None
    way = claim.mirror
    jax = measured.measure(way, arrays, *way(arrays), sizes, DOUBLE, rng, draws)
    bars = {}
    for name, own in jax.bars.items():
        shared = hand.kinked[name] | (unit == DOUBLE)
        bars[name] = np.asarray(np.where(shared, np.maximum(own, hand.bars[name]), own))
    return replace(jax, bars=bars)


def together(hand: Witness, jax: Witness | None, sample: Sample) -> Evidence:
    """Return what the witnesses and differences say as evidence."""
    evidence = Evidence(
        hand, entries=sample.entries, directions=sample.directions, vectors=sample.vectors
    )
    if jax is None:
        return evidence
    return replace(
        evidence,
        jax=jax,
        loss_apart=hand.loss_bar + jax.loss_bar,
        apart={name: np.asarray(bar + jax.bars[name]) for name, bar in hand.bars.items()},
    )


def examined(
    claim: Claim, place: Place, found: Found, sample: Sample, known: Collection[str]
) -> tuple[Evidence, Sample]:
    """Return the evidence after the second look, and the differences as they are then.

    `known` are the tensors that are known to be wrong: nothing of them is looked at again.
    """
    f, arrays, rng = place.f, place.arrays, place.rng
    hand, jax = found.hand, found.jax
    evidence = together(hand, jax, sample)
    if found.steps:  # no difference is exact there, and no second one would be
        evidence = _without_hidden(place, evidence, known)
        return _with_bends(claim, place, found, evidence, known), sample
    if not disputed(evidence):
        return _with_bends(claim, place, found, evidence, known), sample
    entries, _ = _suspects(evidence, known)
    sample = budgeted.without_contradicted_step(f, arrays, sample, entries)
    evidence = together(hand, jax, sample)
    entries, directions = _suspects(evidence, known)
    if not entries and not directions:
        return _with_bends(claim, place, found, evidence, known), sample
    if place.left() < LOOK:
        return together(hand, jax, _without(sample, entries, directions)), sample
    straight = straight_around(place, _least(evidence, arrays, entries, directions))
    if not straight:
        sample = budgeted.where_straight(f, arrays, sample, entries, directions, rng)
        evidence = together(hand, jax, sample)
        entries, directions = _suspects(evidence, known)
    beyond = {name: _beyond(evidence, against_entries, name, k) for name, k in entries.items()}
    sample = budgeted.widened(f, arrays, sample, entries, directions, beyond, rng)
    evidence = together(hand, jax, sample)
    if not straight:
        evidence = _without_hidden(place, evidence, known)
    return _with_bends(claim, place, found, evidence, known), sample


def _suspects(
    evidence: Evidence, known: Collection[str]
) -> tuple[dict[str, Array], dict[str, Array]]:
    entries, directions = suspects(evidence)
    return (
        {name: index for name, index in entries.items() if name not in known},
        {name: index for name, index in directions.items() if name not in known},
    )


def _without(
    sample: Sample, entries: Mapping[str, Array], directions: Mapping[str, Array]
) -> Sample:
    """Return the differences but for suspects, for whose second look there is no time."""

    def kept(found: Mapping[str, Any], left_out: Mapping[str, Array]) -> dict[str, Any]:
        return {
            name: replace(each, smooth=each.smooth & ~np.isin(each.index, left_out.get(name, ())))
            for name, each in found.items()
        }

    return replace(
        sample,
        entries=kept(sample.entries, entries),
        directions=kept(sample.directions, directions),
    )


def _beyond(
    evidence: Evidence,
    compare: Callable[[Evidence, Witness, str], Compared],
    name: str,
    index: Array,
) -> Array:
    """Return how far beyond their bars suspects are from the witness that is furthest."""
    every = [compare(evidence, each, name) for each in evidence.witnesses]
    beyond = np.max([np.abs(each.difference) - each.bar for each in every], axis=0)
    at = np.searchsorted(every[0].index, index)
    return np.where(np.isnan(beyond[at]), np.inf, beyond[at])


def _least(
    evidence: Evidence,
    arrays: Params,
    entries: Mapping[str, Array],
    directions: Mapping[str, Array],
) -> float:
    """Return the least turn of a slope that would explain the worst suspect of some tensor."""
    turns = []
    for name in entries.keys() | directions.keys():
        size = scales(arrays[name]).reshape(-1)
        if name in entries:
            beyond = _beyond(evidence, against_entries, name, entries[name])
            turns.append(float(np.max(beyond * size[entries[name]])))
        else:
            beyond = _beyond(evidence, against_directions, name, directions[name])
            turns.append(float(beyond.max() * np.median(size)))
    return min(turns)


def _without_hidden(place: Place, evidence: Evidence, known: Collection[str]) -> Evidence:
    """Mark suspects as not smooth that bend on lines beside the point."""
    contradicting, _ = _suspects(replace(evidence, jax=None), known)
    covered = hidden(place, contradicting)
    entries = {
        name: replace(found, smooth=found.smooth & ~np.isin(found.index, covered.get(name, ())))
        for name, found in evidence.entries.items()
    }
    return replace(evidence, entries=entries)


def _with_bends(
    claim: Claim, place: Place, found: Found, evidence: Evidence, known: Collection[str]
) -> Evidence:
    """Add what the gradient may be where the loss bends, and what it is at two points beside."""
    hand = evidence.hand
    bent, unsure = {}, {}
    for name, each in evidence.entries.items():
        if name in known:
            continue
        g, rounding = hand.grads[name].reshape(-1), place.rounding[name].reshape(-1)
        apart = np.abs(g[each.index] - each.value) > each.bar + rounding[each.index]
        jumps = hand.kinked[name].reshape(-1)
        bent[name] = each.index[~each.smooth | (jumps[each.index] & apart)]
        unsure[name] = np.union1d(bent[name], np.flatnonzero(jumps))
    bends = examine(
        place, evidence.witnesses, {k: index for k, index in bent.items() if index.size}
    )
    unsure = {name: index for name, index in unsure.items() if index.size}
    beside = []
    for at in moved(place.arrays, REACH, place.rng) if unsure else ():
        each_tensor = place.left() // (2 * BESIDE * len(unsure))
        some = {
            name: np.sort(place.rng.permutation(index)[:each_tensor])
            for name, index in unsure.items()
        }
        try:
            beside.append(_beside(claim, copy(claim.tree.native(at)), some, place, found))
        except (ArithmeticError, ValueError):
            continue  # the function is not defined there
    return replace(
        evidence,
        bends=bends,
        ties=against_ties(place, hand, bends),
        beside=tuple(beside),
    )


def _beside(
    claim: Claim, at: Params, entries: Mapping[str, Array], place: Place, found: Found
) -> Evidence:
    """Return the evidence on some entries at another point."""
    hand = witness(claim, at, by_hand(claim)(at), found.sizes, found.unit, DRAWS, place.rng)
    differences = central_differences(place.f, at, entries, noise=place.noise)
    sample = Sample(differences, differences, {}, {}, place.noise)
    suspected, _ = suspects(together(hand, None, sample))
    sample = budgeted.where_straight(place.f, at, sample, suspected, {}, place.rng)
    evidence = together(hand, None, sample)
    suspected, _ = suspects(evidence)
    beyond = {name: _beyond(evidence, against_entries, name, k) for name, k in suspected.items()}
    sample = budgeted.widened(place.f, at, sample, suspected, {}, beyond, place.rng)
    return together(hand, None, sample)
