"""The evidence on a gradient of which nothing is known but how to call it.

Whatever the verdict rests on is measured by calling the functions: the rounding of the gradient
(`verify.evidence.bars.measured`), the differences of the loss with their noise and their bends
(`verify.evidence.differences.budgeted`), and whether the same place gives the same answer
twice. What contradicts the gradient is looked at again before it is believed.

Not here: how a user's functions become a `Claim` (`verify.function`, `verify.layer`), and what
follows from the evidence (`verify.verdict`).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from verify.evidence.bars import measured
from verify.evidence.bars.measured import Sizes, ValueAndGrads
from verify.evidence.bars.sum_rounding import DOUBLE, SINGLE
from verify.evidence.differences import budgeted
from verify.evidence.differences.budgeted import Sample
from verify.evidence.differences.central import Params, copy, noise_level
from verify.evidence.trees import Tree
from verify.evidence.witnesses import Array, Evidence, Witness, disputed, suspects
from verify.report import Fact

RANDOM = 2.0**10
"""Units of rounding by which two calls at the same place may differ and still be one function."""
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
    hand = measured.measure(by_hand, arrays, value, grads, sizes, unit, rng)
    if seconds["manual"] < WIDENING_SECONDS:
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
    calls = itertools.count()

    def counted(at: Params) -> Array:
        next(calls)
        advance()
        return claim.loss(at)

    f = _real_loss(counted, claim.tree, arrays)
    noise = _noise(f, arrays, value, seed)
    sample = budgeted.gather(
        f, counted, arrays, grads, hand.bars, sizes, noise, max(budget - next(calls), 0), rng
    )
    evidence = _together(hand, jax, sample)
    if disputed(evidence):
        hand = measured.with_zeros_moved(hand, by_hand, arrays, sizes, unit, rng)
        if jax is not None and claim.mirror is not None:
            jax = measured.with_zeros_moved(jax, claim.mirror, arrays, sizes, DOUBLE, rng)
        entries, _ = suspects(_together(hand, jax, sample))
        sample = budgeted.without_contradicted_step(f, arrays, sample, entries)
        contradicting = suspects(_together(hand, jax, sample))
        sample = budgeted.reconsider(f, arrays, sample, *contradicting, rng)
        evidence = _together(hand, jax, sample)
    seconds["finite_difference"] = time.perf_counter() - before
    seconds["total"] = time.perf_counter() - start
    notes = _notes(sample, unit, claim.tree)
    return Measurement(replace(evidence, notes=notes), next(calls) - 1, seconds)


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


def _notes(sample: Sample, unit: float, tree: Tree) -> tuple[Fact, ...]:
    notes = []
    if sample.complex_step:
        notes.append(Fact("complex-step"))
    if unit == SINGLE and all(array.dtype == np.float64 for array in tree.arrays.values()):
        notes.append(Fact("computes-in-float32"))
    return tuple(notes)


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
