"""The check of the built-in network: by hand, by JAX and by finite differences, on one problem.

Between the hand-written pass and JAX the error bar is what rounding can do
(`verify.evidence.bars.derived`); between either and a finite difference it is that plus the
difference's own bar (`verify.evidence.differences`). Entries on a kink are counted; their bars
contain the kink's interval.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

import manual
from verify.function import check_functions
from verify.problem import Problem, check_choice, check_problem, check_unmasked
from verify.report import PAIRS, Loss, Report, Tensor
from verify.verdict import conclude, gradient_names, judge

if TYPE_CHECKING:
    from verify.evidence.bars.derived import Rounding
    from verify.evidence.differences.central import Differences

METHODS = ("exhaustive", "sampled", "directional")
BUDGET = 10.0
"""Seconds that an exhaustive check may be estimated to take before it is sampled instead."""

ENTRIES = 24
"""Sampled entries a tensor."""

DIRECTIONS = 4
"""Random directions a tensor."""

Grads = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Finite differences of a problem's loss, and how they were taken.

    `differences` are of single entries or, for "directional", along the unit `directions` of
    each tensor. `every_piece` says that an entry on a kink was differenced on the piece that
    the convention selects, so that it can be compared all the same.
    """

    method: str
    differences: Mapping[str, Differences]
    directions: Mapping[str, np.ndarray] | None = None
    every_piece: bool = False
    remarks: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Witnesses:
    """What a hand-written pass is weighed against on one problem: all but the pass itself.

    `loss` and `grads` are JAX's; `rounding` gives the bars. Where JAX's loss or the one that is
    differenced is not finite, there is nothing to weigh, and `rounding` and `evidence` are None.
    """

    loss: float
    grads: Grads
    rounding: Rounding | None
    evidence: Evidence | None
    seconds: Mapping[str, float]


def three_way(
    problem: Problem,
    *,
    loss: Callable[..., Any] | None = None,
    grads: Grads | Callable[..., Grads] | None = None,
    intermediates: Grads | None = None,
    finite_difference: str = "auto",
    seed: int = 0,
) -> Report:
    """Check a hand-written backward pass against JAX and finite differences on one problem.

    `loss(params, X, Y, masks, **options)` and `grads`, a dict of arrays under the keys of the
    parameters or a function of the same arguments, are the pass under test; by default those of
    `manual`. `intermediates` are its dZ and dA, which help the diagnosis where they are known.
    `finite_difference` is "exhaustive", "sampled", "directional" or "auto": exhaustive where
    that is estimated to take under ten seconds.

    Raises ValueError if `problem` is no `Problem`, if `grads` has other keys or shapes than the
    parameters, or for an unknown `finite_difference`.
    """
    start = perf_counter()
    check_problem(problem)
    check_functions(loss=loss or manual.loss)
    check_choice("finite_difference", finite_difference, ("auto", *METHODS))
    by_hand, hand_grads = _by_hand(problem, loss, grads)
    hand_seconds = perf_counter() - start
    witnesses = call_witnesses(problem, loss=loss, finite_difference=finite_difference, seed=seed)
    report = weigh(problem, witnesses, float(by_hand), hand_grads, intermediates=intermediates)
    seconds = {"manual": hand_seconds, **witnesses.seconds, "total": perf_counter() - start}
    return dataclasses.replace(report, seconds=seconds)


def call_witnesses(
    problem: Problem,
    *,
    loss: Callable[..., Any] | None = None,
    finite_difference: str = "auto",
    seed: int = 0,
) -> Witnesses:
    """Differentiate a problem by JAX and its `loss` (by default `manual`'s) by differences."""
    import autodiff
    from verify.evidence.bars.derived import analyse

    before = perf_counter()
    by_jax, grads = autodiff.loss_and_grads(*problem.arguments, **problem.options)
    jax_seconds = perf_counter() - before
    differenced = (loss or manual.loss)(*problem.arguments, **problem.options)
    if not (math.isfinite(by_jax) and math.isfinite(differenced)):
        return Witnesses(float(by_jax), grads, None, None, {"autodiff": jax_seconds})

    rounding = analyse(problem)
    before = perf_counter()
    evidence = difference(problem, loss, finite_difference, rounding.kinked, seed)
    seconds = {"autodiff": jax_seconds, "finite_difference": perf_counter() - before}
    return Witnesses(float(by_jax), grads, rounding, evidence, seconds)


def weigh(
    problem: Problem,
    witnesses: Witnesses,
    loss: float,
    grads: Grads,
    *,
    intermediates: Grads | None = None,
) -> Report:
    """Judge the loss and the gradients of a hand-written pass by what the witnesses say."""
    losses = (loss, witnesses.loss)
    rounding, evidence = witnesses.rounding, witnesses.evidence
    if rounding is None or evidence is None or not math.isfinite(loss):
        return Report(
            verdict="undecided",
            meaning=f"The loss is not finite (by hand {losses[0]}, by JAX {losses[1]}), "
            "so there is no gradient to check.",
            loss=Loss(*losses, agree=False),
            tensors=(),
            settings=describe(problem),
        )

    losses_agree = abs(losses[0] - losses[1]) <= rounding.loss_bar
    tensors = [
        _tensor(name, grads[name], witnesses.grads[name], rounding, evidence)
        for name in problem.params
    ]
    verdict, meaning = conclude(losses_agree, tensors)
    diagnosis: Sequence = ()
    if verdict == "disagree":
        from verify.diagnose import diagnose

        diagnosis = diagnose(problem, losses[0], grads, rounding.bars, intermediates=intermediates)
    return Report(
        verdict=verdict,
        meaning=meaning,
        loss=Loss(*losses, agree=losses_agree),
        tensors=tensors,
        settings=describe(problem) | {"finite_difference": evidence.method},
        diagnosis=diagnosis,
        remarks=(*evidence.remarks, *_kink_remarks(tensors)),
    )


def difference(
    problem: Problem,
    loss: Callable[..., Any] | None,
    method: str,
    kinked: Sequence[np.ndarray],
    seed: int,
) -> Evidence:
    """Take finite differences of a loss on a problem, in float64 at its parameters.

    The built-in loss (`loss` None) is differenced by its structure where every entry is asked
    for; any other as a black box. "auto" becomes exhaustive where the budget allows it.
    """
    problem = problem.astype(np.float64)
    if method == "auto":
        method, remarks = _affordable(problem, loss)
        evidence = difference(problem, loss, method, kinked, seed)
        return Evidence(
            evidence.method,
            evidence.differences,
            evidence.directions,
            evidence.every_piece,
            (*remarks, *evidence.remarks),
        )
    if method == "exhaustive" and loss is None:
        from verify.evidence.differences.exhaustive import exhaustive_differences

        return Evidence(
            method, exhaustive_differences(problem, kinked=list(kinked)), every_piece=True
        )
    return _black_box(problem, loss or manual.loss, method, seed)


def _affordable(problem: Problem, loss: Callable | None) -> tuple[str, list[str]]:
    """Choose between every entry and a sample, and say so where it is a sample."""
    if loss is None:
        from verify.evidence.differences.exhaustive import estimated_seconds

        seconds = estimated_seconds(problem)
    else:
        start = perf_counter()
        loss(*problem.arguments, **problem.options)
        evaluations = 5 * sum(value.size for value in problem.params.values())
        seconds = evaluations * (perf_counter() - start)
    if seconds < BUDGET:
        return "exhaustive", []
    return "sampled", [
        f"Differencing every entry would take about {seconds:.0f} s, so {ENTRIES} entries of each "
        "tensor were sampled: the largest, the smallest, zeros, and others at random."
    ]


def _black_box(problem: Problem, loss: Callable[..., Any], method: str, seed: int) -> Evidence:
    from verify.evidence.differences.central import (
        central_differences,
        directional_differences,
        stratified_sample,
    )

    rng = np.random.default_rng(seed)
    _, X, Y, masks = problem.arguments

    def value(params):
        return float(loss(params, X, Y, masks, **problem.options))

    def piece(params):
        _, cache = manual.forward(
            params,
            X,
            masks,
            hidden=problem.hidden,
            output=problem.output,
            keep_prob=problem.keep_prob,
        )
        return b"".join(
            np.packbits(layer.Z > 0).tobytes() for layer in cache if layer.activation == "relu"
        )

    pieces = piece if "relu" in problem.hidden else None
    if method == "directional":
        directions = {
            name: _unit_directions(array.shape, rng) for name, array in problem.params.items()
        }
        along = {
            name: directional_differences(
                value, problem.params, [{name: v} for v in vectors], piece=pieces
            )
            for name, vectors in directions.items()
        }
        return Evidence(method, along, directions)
    grads = manual.loss_and_grads(*problem.arguments, **problem.options)[1]
    entries = {
        name: np.arange(array.size)
        if method == "exhaustive"
        else stratified_sample(grads[name], ENTRIES, rng)
        for name, array in problem.params.items()
    }
    return Evidence(method, central_differences(value, problem.params, entries, piece=pieces))


def _unit_directions(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return random directions of Euclidean length 1, (DIRECTIONS, *shape)."""
    vectors = rng.standard_normal((DIRECTIONS, *shape))
    return vectors / np.linalg.norm(vectors.reshape(DIRECTIONS, -1), axis=1).reshape(-1, 1, 1)


def _tensor(
    name: str, by_hand: np.ndarray, by_jax: np.ndarray, rounding: Rounding, evidence: Evidence
) -> Tensor:
    """Compare one tensor's gradient by all ways."""
    shape = by_hand.shape
    by_hand, by_jax = by_hand.ravel().astype(float), by_jax.ravel().astype(float)
    bars, reached = rounding.bars[name].ravel(), rounding.kink_radius[name].ravel() > 0
    found = evidence.differences[name]
    kinked = reached.copy()
    everywhere = np.arange(by_hand.size)
    pairs = {PAIRS[0]: judge(by_hand, by_jax, bars, everywhere, reached)}
    if evidence.directions is None:
        kinked[found.index[~found.smooth]] = True
        kept = found.smooth | evidence.every_piece
        index = found.index[kept]
        value, bar = found.value[kept], found.bar[kept] + bars[index]
        hand, jax, left_out = by_hand[index], by_jax[index], kinked[index]
    else:
        vectors = evidence.directions[name].reshape(len(found.value), -1)
        kept = found.smooth
        index = found.index[kept]
        value, bar = found.value[kept], found.bar[kept] + np.abs(vectors[kept]) @ bars
        hand, jax = vectors[kept] @ by_hand, vectors[kept] @ by_jax
        left_out = np.zeros(len(index), bool)
    pairs[PAIRS[1]] = judge(hand, value, bar, index, left_out)
    pairs[PAIRS[2]] = judge(jax, value, bar, index, left_out)
    return Tensor(
        name=name,
        shape=shape,
        entries_checked=0 if evidence.directions is not None else len(found.index),
        directions_checked=0 if evidence.directions is None else len(found.index),
        kinks=int(kinked.sum()),
        pairs=pairs,
        value=by_hand.reshape(shape),
    )


def _by_hand(problem, loss, grads) -> tuple[Any, dict[str, np.ndarray]]:
    """Return the loss and the gradients under test, checked against the parameters' shapes."""
    if loss is None and grads is None:
        return manual.loss_and_grads(*problem.arguments, **problem.options)
    value = (loss or manual.loss)(*problem.arguments, **problem.options)
    if grads is None:
        grads = manual.loss_and_grads(*problem.arguments, **problem.options)[1]
    elif callable(grads):
        grads = grads(*problem.arguments, **problem.options)
    return value, check_grads(grads, problem.params)


def check_grads(grads: Any, params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return grads as arrays under the keys of params, or raise ValueError naming the odd one."""
    if not isinstance(grads, Mapping) or set(grads) != set(params):
        got = ", ".join(map(str, grads)) if isinstance(grads, Mapping) else type(grads).__name__
        raise ValueError(f"grads: got {got}, expected one array for each of {', '.join(params)}")
    for name in params:
        check_unmasked(name, grads[name])
    arrays = {name: np.asarray(grads[name]) for name in params}
    for name, array in arrays.items():
        if array.shape != params[name].shape or array.dtype.kind not in "fiu":
            raise ValueError(
                f"grads: got {array.dtype} of the shape {array.shape} for {name}, "
                f"expected real numbers of the shape {params[name].shape}"
            )
    return arrays


def describe(problem: Problem) -> dict[str, Any]:
    """Return a problem's options as plain data."""
    return {
        "layers": list(problem.layers),
        "hidden": list(problem.hidden),
        "output": problem.output,
        "l2": problem.l2,
        "keep_prob": list(problem.keep_prob),
        "examples": problem.m,
        "dtype": str(problem.dtype),
    }


def _kink_remarks(tensors: Sequence[Tensor]) -> list[str]:
    whole = [t.name for t in tensors if t.kinks and t.kinks == math.prod(t.shape)]
    if not whole:
        return []
    return [
        f"Every entry of {gradient_names(whole)} sits on a relu kink, where the loss has no "
        "derivative: held to the convention relu'(0) = 0, and to the interval of slopes where "
        "rounding decides."
    ]
