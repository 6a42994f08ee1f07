"""The evidence on a pass of the built-in network: JAX's gradient, differences, and all bars.

Between the hand-written pass and JAX the error bar is what rounding can do
(`verify.evidence.bars.derived`); between either and a finite difference it is that plus the
difference's own bar (`verify.evidence.differences`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

import manual
from verify.activations import KINKED
from verify.evidence.bars import measured
from verify.evidence.bars.derived import Rounding, analyse
from verify.evidence.differences.central import (
    Params,
    central_differences,
    directional_differences,
    stratified_sample,
)
from verify.evidence.precisions import SINGLE
from verify.evidence.sight import ZERO, depends, largest_away
from verify.evidence.witnesses import Array, Arrays, Differences, Evidence, Witness
from verify.problem import Problem
from verify.report import Fact

if TYPE_CHECKING:
    from jax.sharding import Mesh

METHODS = ("exhaustive", "sampled", "directional")
BUDGET = 10.0
"""Seconds that differencing every entry of a loss of the user's own may take."""

ENTRIES = 24
"""Sampled entries a tensor."""

DIRECTIONS = 4
"""Random directions a tensor."""

Loss = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Quotients:
    """Finite differences of a problem's loss, and how they were taken.

    `entries`, `directions` and `vectors` are as in `Evidence`. `pieces` marks, flat, the entries
    on a kink that were differenced on the piece that the convention at 0 selects.
    """

    method: str
    entries: Mapping[str, Differences] = field(default_factory=dict)
    directions: Mapping[str, Differences] = field(default_factory=dict)
    vectors: Arrays = field(default_factory=dict)
    pieces: Arrays = field(default_factory=dict)
    notes: tuple[Fact, ...] = ()


@dataclass(frozen=True, eq=False)
class Witnesses:
    """What a hand-written pass is compared with on one problem: all but the pass itself.

    `loss` and `grads` are JAX's; `rounding` gives the bars. Where JAX's loss or the one that is
    differenced is not finite, there is nothing to compare, and `rounding` and `quotients` are
    None.
    """

    loss: float
    grads: Arrays
    rounding: Rounding | None
    quotients: Quotients | None
    seconds: Mapping[str, float]
    elsewhere: Mapping[str, float] = field(default_factory=dict)
    independent: frozenset[str] = frozenset()


def call_witnesses(
    problem: Problem,
    *,
    loss: Loss | None = None,
    finite_difference: str = "auto",
    mesh: Mesh | None = None,
    seed: int = 0,
) -> Witnesses:
    """Differentiate a problem by JAX and its `loss` (by default `manual`'s) by differences."""
    import autodiff

    before = perf_counter()
    by_jax, grads = autodiff.loss_and_grads(*problem.arguments, **problem.options)
    jax_seconds = perf_counter() - before
    differenced = (loss or manual.loss)(*problem.arguments, **problem.options)
    if not (math.isfinite(by_jax) and math.isfinite(differenced)):
        return Witnesses(float(by_jax), grads, None, None, {"autodiff": jax_seconds})

    rounding = analyse(problem)
    before = perf_counter()
    quotients = difference(problem, loss, finite_difference, rounding.kinked, seed, mesh)
    seconds = {"autodiff": jax_seconds, "finite_difference": perf_counter() - before}
    elsewhere, independent = _nearby(problem, grads, rounding, seed)
    return Witnesses(float(by_jax), grads, rounding, quotients, seconds, elsewhere, independent)


def _nearby(
    problem: Problem, grads: Arrays, rounding: Rounding, seed: int
) -> tuple[dict[str, float], frozenset[str]]:
    """Return how large the gradients that are 0 here are nearby, and which are 0 everywhere."""
    import autodiff

    bars = rounding.own_bars
    zero = [name for name, g in grads.items() if not (np.abs(g) > bars[name]).any()]
    exact = problem.astype(np.float64)
    arrays = {name: np.asarray(value) for name, value in exact.params.items()}
    rng = np.random.default_rng(seed)

    def loss(params: Params) -> float:
        return float(manual.loss(params, exact.X, exact.Y, exact.masks, **exact.options))

    def size(name: str, params: Params) -> float:
        at = exact.with_params(params)
        return float(np.abs(autodiff.loss_and_grads(*at.arguments, **at.options)[1][name]).max())

    elsewhere = {
        name: largest_away(partial(size, name), arrays, float(bars[name].max()) / ZERO, rng)
        for name in zero
    }
    never = (name for name, largest in elsewhere.items() if largest == 0)
    return elsewhere, frozenset(name for name in never if not depends(loss, arrays, name, rng))


def evidence_on(witnesses: Witnesses, loss: float, grads: Arrays) -> Evidence:
    """Return what the witnesses, and this loss and gradient by hand, say together."""
    rounding, quotients = witnesses.rounding, witnesses.quotients
    if rounding is None or quotients is None or not math.isfinite(loss):
        hand, jax = (Witness(value, math.inf, {}, {}, {}) for value in (loss, witnesses.loss))
        losses = {"hand": loss, "jax": witnesses.loss}
        return Evidence(hand, jax, obstacle=Fact("losses-not-finite", losses))
    bars = rounding.own_bars
    kinked = {name: radius > 0 for name, radius in rounding.kink_radius.items()}
    for name, piece in quotients.pieces.items():
        kinked[name] = kinked[name] | piece.reshape(kinked[name].shape)
    return Evidence(
        hand=Witness(loss, rounding.loss_bar, grads, bars, kinked),
        jax=Witness(witnesses.loss, rounding.loss_bar, witnesses.grads, bars, kinked),
        loss_apart=rounding.loss_bar,
        apart=rounding.bars,
        entries=quotients.entries,
        directions=quotients.directions,
        vectors=quotients.vectors,
        elsewhere=witnesses.elsewhere,
        independent=witnesses.independent,
        notes=quotients.notes,
    )


def with_measured_bars(evidence: Evidence, problem: Problem, seed: int = 0) -> Evidence:
    """Narrow the bars of a float32 gradient to the rounding that `manual` is measured to have.

    The derived bars hold for whatever order of summation; near convergence, where all that is
    left is rounding, they may be wider than the gradient. Those of entries at kinks stay.
    """
    exact = problem.astype(np.float64)

    def grads_on(one: Problem) -> Callable[[Params], tuple[float, Params]]:
        def way(params: Params) -> tuple[float, Params]:
            at = one.with_params({k: v.astype(one.dtype) for k, v in params.items()})
            value, grads = manual.loss_and_grads(*at.arguments, **at.options)
            return float(value), {k: np.asarray(g, float) for k, g in grads.items()}

        return way

    narrow, wide = grads_on(problem), grads_on(exact)
    arrays = {k: np.array(v) for k, v in exact.params.items()}
    rng = np.random.default_rng(seed)
    sizes = measured.natural_sizes(narrow, arrays, *narrow(arrays), rng)
    found = measured.against_itself(
        evidence.hand,
        narrow,
        wide,
        arrays,
        {k: v.dtype for k, v in problem.params.items()},
        sizes,
        SINGLE,
        rng,
    )
    bars = {k: np.minimum(bar, found.bars[k]) for k, bar in evidence.hand.bars.items()}
    return replace(evidence, hand=replace(evidence.hand, bars=bars))


def difference(
    problem: Problem,
    loss: Loss | None,
    method: str,
    kinked: list[Array],
    seed: int,
    mesh: Mesh | None = None,
) -> Quotients:
    """Take finite differences of a loss on a problem, in float64 at its parameters.

    The built-in loss (`loss` None) is differenced by its structure where every entry is asked
    for, at the price of a few training steps; any other as a black box, at several evaluations of
    all of it an entry. "auto" is exhaustive unless that would take too long.
    """
    if loss is None and method in ("auto", "exhaustive"):
        return _by_structure(problem, kinked, mesh)
    loss, problem = loss or manual.loss, problem.astype(np.float64)
    if method != "auto":
        return _black_box(problem, loss, method, seed)
    seconds = _seconds_of_every_entry(problem, loss)
    if seconds < BUDGET:
        return _black_box(problem, loss, "exhaustive", seed)
    sampled = _black_box(problem, loss, "sampled", seed)
    return replace(sampled, notes=(Fact("exhaustive-too-slow", {"seconds": seconds}),))


def _seconds_of_every_entry(problem: Problem, loss: Loss) -> float:
    """Return about how long it takes to difference every entry of a loss as a black box."""
    start = perf_counter()
    loss(*problem.arguments, **problem.options)
    evaluations = 5 * sum(value.size for value in problem.params.values())
    return evaluations * (perf_counter() - start)


def _by_structure(problem: Problem, kinked: list[Array], mesh: Mesh | None) -> Quotients:
    """Difference every entry; on a kink, on the piece that the convention selects."""
    from verify.evidence.differences.exhaustive import exhaustive_differences

    found = exhaustive_differences(problem, kinked=kinked, mesh=mesh)
    return Quotients(
        "exhaustive",
        entries={k: replace(f, smooth=np.ones_like(f.smooth)) for k, f in found.items()},
        pieces={k: ~f.smooth for k, f in found.items()},
    )


def _black_box(problem: Problem, loss: Loss, method: str, seed: int) -> Quotients:
    rng = np.random.default_rng(seed)
    _, X, Y, masks = problem.arguments

    def value(params: Params) -> float:
        return float(loss(params, X, Y, masks, **problem.options))

    piece = None if KINKED.isdisjoint(problem.hidden) else _piece(problem)
    if method == "directional":
        vectors = {k: _unit_directions(array.size, rng) for k, array in problem.params.items()}
        directions = {
            name: directional_differences(
                value,
                problem.params,
                [{name: row.reshape(problem.params[name].shape)} for row in rows],
                piece=piece,
            )
            for name, rows in vectors.items()
        }
        return Quotients(method, directions=directions, vectors=vectors)
    grads = manual.loss_and_grads(*problem.arguments, **problem.options)[1]
    entries = {
        name: np.arange(array.size)
        if method == "exhaustive"
        else stratified_sample(grads[name], ENTRIES, rng)
        for name, array in problem.params.items()
    }
    return Quotients(method, central_differences(value, problem.params, entries, piece=piece))


def _piece(problem: Problem) -> Callable[[Params], bytes]:
    """Return the function that names the smooth piece of the loss: the sides of all kinks."""
    _, X, _, masks = problem.arguments

    def piece(params: Params) -> bytes:
        _, cache = manual.forward(params, X, masks, **problem.forward_options)
        return b"".join(
            np.packbits(layer.Z > 0).tobytes() for layer in cache if layer.activation in KINKED
        )

    return piece


def _unit_directions(size: int, rng: np.random.Generator) -> Array:
    """Return random directions of Euclidean length 1, (DIRECTIONS, size)."""
    vectors = rng.standard_normal((DIRECTIONS, size))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
