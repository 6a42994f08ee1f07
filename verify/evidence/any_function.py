"""The evidence on a gradient of which nothing is known but how to call it.

Whatever the verdict rests on is measured by calling the functions: the rounding of the gradient
(`verify.evidence.bars.measured`), the differences of the loss with their noise and their bends
(`verify.evidence.differences.budgeted`), and whether the same place gives the same answer
twice. What contradicts the gradient is looked at again before it is believed.

Not here: how a user's functions become a `Claim` (`verify.function`, `verify.layer`), and what
follows from the evidence (`verify.verdict`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from verify.evidence.bars import measured
from verify.evidence.bars.measured import NARROW, Sizes, ValueAndGrads
from verify.evidence.bars.sum_rounding import DOUBLE, SINGLE
from verify.evidence.differences import budgeted
from verify.evidence.differences.bends import REACH, Place, against_ties, examine, hidden
from verify.evidence.differences.budgeted import EACH, OVERRUN, Sample
from verify.evidence.differences.central import (
    Params,
    central_differences,
    copy,
    noise_level,
)
from verify.evidence.entry_sizes import moved
from verify.evidence.sight import FINEST, ZERO, depends, largest_away, sight
from verify.evidence.trees import Tree
from verify.evidence.witnesses import Array, Evidence, Witness, disputed, suspects
from verify.report import Fact

RANDOM = 2.0**10
"""Units of rounding by which two calls at the same place may differ and still be one function."""
TRIED = 8
"""Entries that are differenced nearby, of a tensor whose gradient is 0 here."""
WIDENING_SECONDS = 0.02
"""Extended precision can be a hundred times slower: it is not tried on a gradient beyond this."""


@dataclass(frozen=True, eq=False)
class Claim:
    """The claim that `grads` is the gradient of `loss`.

    Both are functions of flat dicts of arrays of whatever dtype they come in. `loss` returns one
    number as a 0-d array of the dtype that the user's function gave it; `grads` an array a name;
    `mirror` the loss and the gradients by JAX. `names` is what the user calls the function and
    its gradient.
    """

    tree: Tree
    loss: Callable[[Params], Array]
    grads: Callable[[Params], Params]
    mirror: Callable[[Params], tuple[float, Params]] | None
    names: tuple[str, str]


@dataclass(frozen=True, eq=False)
class Measurement:
    """The evidence on a claim, the calls of its loss that differences took, and the time.

    `seconds` are those of one gradient by hand, of JAX, of the differences, and of everything.
    """

    evidence: Evidence
    evaluations: int
    seconds: Mapping[str, float]


@dataclass
class Calls:
    """How many evaluations there were."""

    made: int = 0


def measure(claim: Claim, budget: int, seed: int, advance: Callable[[], None]) -> Measurement:
    """Return the evidence on a claim, in about `budget` calls of its loss.

    `advance` is called before each of these. JAX computes in float64 meanwhile.

    Raises ValueError if a function changes its argument.
    """
    import jax

    # On the way to an answer functions are called where they overflow or are not defined.
    with jax.enable_x64(True), np.errstate(all="ignore"):
        return _measured(claim, budget, seed, advance)


def _measured(claim: Claim, budget: int, seed: int, advance: Callable[[], None]) -> Measurement:
    start = time.perf_counter()
    rng = np.random.default_rng(seed)
    arrays = copy(claim.tree.arrays)
    by_hand = _by_hand(claim)
    _refuse_changes(claim)
    before = time.perf_counter()
    value, grads = by_hand(arrays)
    seconds = {"manual": time.perf_counter() - before}
    unit = measured.unit_roundoff(lambda at: by_hand(at)[0], claim.tree.arrays, rng)
    sizes = _sizes(claim, by_hand, arrays, value, grads, rng)
    obstacle = _obstacle(claim, by_hand, arrays, value, sizes, unit)
    if obstacle is not None:
        return Measurement(Evidence(Witness(value, math.inf, {}, {}, {}), obstacle=obstacle), 0, {})
    hand = _witness(claim, arrays, (value, grads), sizes, unit, rng)
    if seconds["manual"] < WIDENING_SECONDS and not _carries_float64(claim):
        hand = measured.with_wider(hand, _wider(claim, arrays), sizes, unit)

    before = time.perf_counter()
    jax = None
    if claim.mirror is not None:
        jax = measured.measure(claim.mirror, arrays, *claim.mirror(arrays), sizes, DOUBLE, rng)
        jax = replace(
            jax, bars={k: np.asarray(np.maximum(b, hand.bars[k])) for k, b in jax.bars.items()}
        )
    seconds["autodiff"] = time.perf_counter() - before

    before = time.perf_counter()
    calls = Calls()

    def counted(at: Params) -> Array:
        calls.made += 1
        advance()
        return claim.loss(at)

    f = _real_loss(counted, claim.tree, arrays)
    noise = _noise(f, arrays, value, seed)
    sample = budgeted.gather(
        f, counted, arrays, grads, sizes, noise, max(budget - calls.made, 0), rng
    )
    evidence = _together(hand, jax, sample)
    if disputed(evidence):
        entries, _ = suspects(_together(hand, jax, sample))
        sample = budgeted.without_contradicted_step(f, arrays, sample, entries)
        contradicting = suspects(_together(hand, jax, sample))
        sample = budgeted.reconsider(f, arrays, sample, *contradicting, rng)
        evidence = _together(hand, jax, sample)
    rounding = measured.without_jumps(hand, sizes, unit)
    place = Place(f, arrays, sample.noise, rounding, lambda: OVERRUN * budget - calls.made, rng)
    evidence = _with_bends(claim, place, evidence, sizes, unit)
    evidence = _with_zeros(f, claim.mirror, arrays, evidence, sample.noise, rng)
    seconds["finite_difference"] = time.perf_counter() - before
    seconds["total"] = time.perf_counter() - start
    notes = _notes(claim, unit)
    return Measurement(replace(evidence, notes=notes), calls.made, seconds)


def _witness(
    claim: Claim,
    arrays: Params,
    found: tuple[float, Params],
    sizes: Sizes,
    unit: float,
    rng: np.random.Generator,
) -> Witness:
    """Return the gradient under test at some arrays, with its error bars."""
    by_hand = _by_hand(claim)
    hand = measured.measure(by_hand, arrays, *found, sizes, unit, rng)
    if unit not in NARROW or not _carries_float64(claim):
        return hand
    return measured.against_itself(
        hand, lambda at: by_hand(at)[1], claim.grads, arrays, sizes, unit, rng
    )


def _with_bends(
    claim: Claim, place: Place, evidence: Evidence, sizes: Sizes, unit: float
) -> Evidence:
    """Add what the gradient may be where the loss bends, and what it is at two points beside."""
    hand = evidence.hand
    contradicting, _ = suspects(replace(evidence, jax=None))
    covered = hidden(place, contradicting)
    entries = {
        name: replace(found, smooth=found.smooth & ~np.isin(found.index, covered.get(name, ())))
        for name, found in evidence.entries.items()
    }
    evidence = replace(evidence, entries=entries)
    bent, unsure = {}, {}
    for name, found in entries.items():
        g, rounding = hand.grads[name].reshape(-1), place.rounding[name].reshape(-1)
        apart = np.abs(g[found.index] - found.value) > found.bar + rounding[found.index]
        jumps = hand.kinked[name].reshape(-1)
        bent[name] = found.index[~found.smooth | (jumps[found.index] & apart)]
        unsure[name] = np.union1d(bent[name], np.flatnonzero(jumps))
    bends = examine(place, hand, {k: index for k, index in bent.items() if index.size})
    unsure = {name: index for name, index in unsure.items() if index.size}
    beside = []
    for at in moved(place.arrays, REACH, place.rng) if unsure else ():
        each = max(place.left(), 0) // (2 * EACH * len(unsure))
        some = {
            name: np.sort(place.rng.permutation(index)[:each]) for name, index in unsure.items()
        }
        there = copy(claim.tree.native(at))
        try:
            beside.append(_beside(claim, there, some, place, sizes, unit))
        except (ArithmeticError, ValueError):
            continue  # the function is not defined there
    return replace(
        evidence,
        bends=bends,
        ties=against_ties(place, hand, bends),
        beside=tuple(beside),
    )


def _beside(
    claim: Claim,
    at: Params,
    entries: Mapping[str, Array],
    place: Place,
    sizes: Sizes,
    unit: float,
) -> Evidence:
    """Return the evidence on some entries at another point."""
    hand = _witness(claim, at, _by_hand(claim)(at), sizes, unit, place.rng)
    found = central_differences(place.f, at, entries, noise=place.noise)
    sample = Sample(found, found, {}, {}, place.noise)
    suspected, _ = suspects(_together(hand, None, sample))
    return _together(hand, None, budgeted.reconsider(place.f, at, sample, suspected, {}, place.rng))


def _together(hand: Witness, jax: Witness | None, sample: Sample) -> Evidence:
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


def _with_zeros(
    f: Callable[[Params], float],
    mirror: ValueAndGrads | None,
    arrays: Params,
    evidence: Evidence,
    noise: float,
    rng: np.random.Generator,
) -> Evidence:
    """Add how large the gradients that are 0 here are nearby, and which are 0 everywhere."""

    def size(name: str, at: Params) -> float:
        if mirror is not None:
            return float(np.abs(mirror(at)[1][name]).max())
        some = rng.choice(at[name].size, min(TRIED, at[name].size), replace=False)
        found = central_differences(f, at, {name: some}, noise=noise)[name]
        return float((np.abs(found.value) - found.bar)[found.smooth].max(initial=0.0))

    elsewhere = {}
    for name in arrays:
        seen = sight(evidence, name)
        if seen.see.size and seen.zero:
            enough = float(max(seen.bar.max() / ZERO, seen.see.max() / FINEST))
            largest = partial(size, name)
            elsewhere[name] = largest_away(largest, arrays, enough, rng)
    never = [name for name, largest in elsewhere.items() if largest == 0]
    independent = frozenset(name for name in never if not depends(f, arrays, name, rng))
    return replace(evidence, elsewhere=elsewhere, independent=independent)


def _notes(claim: Claim, unit: float) -> tuple[Fact, ...]:
    wide = all(array.dtype == np.float64 for array in claim.tree.arrays.values())
    if unit == SINGLE and wide:
        return (Fact("computes-in-float32", {"function": claim.names[0]}),)
    return ()


def _by_hand(claim: Claim) -> ValueAndGrads:
    """Return the user's loss and gradient at given values, in the dtype that theirs have."""

    def witness(at: Params) -> tuple[float, Params]:
        native = claim.tree.native(at)
        grads = claim.grads(native)
        return float(claim.loss(native)), {k: np.asarray(g, float) for k, g in grads.items()}

    return witness


def _refuse_changes(claim: Claim) -> None:
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


def _obstacle(
    claim: Claim, by_hand: ValueAndGrads, arrays: Params, value: float, sizes: Sizes, unit: float
) -> Fact | None:
    """Return why there is nothing to check, or None."""
    loss, grads = claim.names
    if not math.isfinite(value):
        return Fact("loss-not-finite", {"function": loss, "value": value})
    (again, first), (third, second) = by_hand(arrays), by_hand(arrays)
    if max(abs(again - value), abs(third - value)) > RANDOM * unit * sizes.value:
        return Fact("loss-random", {"function": loss, "first": value, "second": again})
    for name, size in sizes.grads.items():
        if (np.abs(first[name] - second[name]) > RANDOM * unit * size).any():
            return Fact("gradient-random", {"function": grads, "tensor": name})
    return None


def _sizes(
    claim: Claim,
    by_hand: ValueAndGrads,
    arrays: Params,
    value: float,
    grads: Params,
    rng: np.random.Generator,
) -> Sizes:
    """Return the natural sizes that any witness finds."""
    sizes = measured.natural_sizes(by_hand, arrays, value, grads, rng)
    if claim.mirror is None:
        return sizes
    return measured.larger(
        sizes, measured.natural_sizes(claim.mirror, arrays, *claim.mirror(arrays), rng)
    )


def _carries_float64(claim: Claim) -> bool:
    """Say whether the user's gradient of narrower arrays also computes in float64."""
    if all(value.dtype == np.float64 for value in claim.tree.arrays.values()):
        return False
    try:
        found = claim.grads(copy(claim.tree.arrays))
    except Exception:
        # Whatever it is that fails on the wider type, the function does not carry it through.
        return False
    return all(g.dtype == np.float64 and np.isfinite(g).all() for g in found.values())


def _wider(claim: Claim, arrays: Params) -> Params:
    """Return the gradients that the user's function computes in a wider type, where it does."""
    native = {value.dtype for value in claim.tree.arrays.values()}
    wide = np.longdouble if np.dtype(np.float64) in native else np.float64
    if np.finfo(wide).eps >= min(np.finfo(dtype).eps for dtype in native):
        return {}
    try:
        found = claim.grads({k: value.astype(wide) for k, value in arrays.items()})
    except Exception:
        # Whatever it is that fails on the wider type, the function does not carry it through.
        return {}
    return {k: g for k, g in found.items() if g.dtype == wide and np.isfinite(g).all()}


def _real_loss(
    loss: Callable[[Params], Array], tree: Tree, arrays: Params
) -> Callable[[Params], float]:
    """Return the loss of float64 arrays, cast to what the parameters are if it takes no other.

    Where it is not defined, as the logarithm of a negative number, it is not a number.
    """
    build: Callable[[Params], Params] = dict
    try:
        loss(copy(arrays))
    except Exception:
        # A loss that accepts its own dtype alone is differenced in it; its noise will show.
        build = tree.native

    def real(at: Params) -> float:
        try:
            return float(loss(build(at)))
        except (ArithmeticError, ValueError):
            return math.nan

    return real


def _noise(f: Callable[[Params], float], arrays: Params, value: float, seed: int) -> float:
    """Return the standard deviation of one evaluation, at least the rounding of its result.

    A loss that works in float32 inside may be constant wherever its noise is looked for.
    """
    unit = measured.unit_roundoff(f, arrays, np.random.default_rng(seed))
    return max(noise_level(f, arrays, seed), unit * abs(value))
