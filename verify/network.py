"""The check of the built-in network: by hand, by JAX and by finite differences, on one problem.

What the witnesses say is gathered in `verify.evidence.built_in_network` and decided in
`verify.verdict`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

import manual
from verify.evidence.built_in_network import (
    METHODS,
    Witnesses,
    call_witnesses,
    evidence_on,
    with_measured_bars,
)
from verify.evidence.witnesses import Array, Arrays
from verify.findings import Finding
from verify.function import call, check_functions
from verify.problem import Problem, check_choice, check_problem, check_unmasked
from verify.report import Report
from verify.verdict import decide

if TYPE_CHECKING:
    from jax.sharding import Mesh


def three_way(
    problem: Problem,
    *,
    loss: Callable[..., Any] | None = None,
    grads: Arrays | Callable[..., Arrays] | None = None,
    intermediates: Arrays | None = None,
    finite_difference: str = "auto",
    mesh: Mesh | None = None,
    seed: int = 0,
) -> Report:
    """Check a hand-written backward pass against JAX and finite differences on one problem.

    `loss(params, X, Y, masks, **options)` and `grads`, a dict of arrays under the keys of the
    parameters or a function of the same arguments, are the pass under test; by default those of
    `manual`. `intermediates` are its dZ and dA, which help the diagnosis where they are known.
    `finite_difference` is "exhaustive", "sampled", "directional" or "auto": exhaustive, but
    for a `loss` of your own of which every entry would take more than ten seconds. On a `mesh`,
    such as `autodiff.example_mesh` returns, the differences of every weight of the built-in loss
    are shared out over its devices.

    Raises ValueError if `problem` is no `Problem`, if `grads` has other keys or shapes than the
    parameters, or for an unknown `finite_difference`.

    Examples:
        >>> import backproof, manual
        >>> problem = backproof.build_problem(backproof.load("circles"), layers=(4,))
        >>> backproof.three_way(problem).verdict
        'agree'
        >>> _, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
        >>> report = backproof.three_way(problem, grads=grads | {"W2": 2 * grads["W2"]})
        >>> report.verdict, report.diagnosis[0].bug
        ('disagree', 'weights-doubled')
    """
    start = perf_counter()
    check_problem(problem)
    check_functions(loss=loss or manual.loss)
    check_choice("finite_difference", finite_difference, ("auto", *METHODS))
    by_hand, hand_grads = _by_hand(problem, loss, grads)
    hand_seconds = perf_counter() - start
    witnesses = call_witnesses(
        problem, loss=loss, finite_difference=finite_difference, mesh=mesh, seed=seed
    )
    report = weigh(problem, witnesses, float(by_hand), hand_grads, intermediates=intermediates)
    seconds = {"manual": hand_seconds, **witnesses.seconds, "total": perf_counter() - start}
    repeat = call(
        "three_way",
        {"problem": problem},
        loss=loss,
        grads=grads,
        finite_difference=finite_difference,
        seed=seed,
    )
    return dataclasses.replace(report, seconds=seconds, repeat=repeat)


def weigh(
    problem: Problem,
    witnesses: Witnesses,
    loss: float,
    grads: Arrays,
    *,
    intermediates: Arrays | None = None,
) -> Report:
    """Judge the loss and the gradients of a hand-written pass by what the witnesses say."""
    evidence = evidence_on(witnesses, loss, grads)
    report = decide({"": evidence})
    if report.verdict == "undecided" and problem.dtype == np.float32 and evidence.obstacle is None:
        narrower = decide({"": with_measured_bars(evidence, problem)})
        # The derived bars are the ones that accuse.
        report = report if narrower.verdict == "disagree" else narrower
    settings = describe(problem)
    if witnesses.quotients is not None:
        settings["finite_difference"] = witnesses.quotients.method
    diagnosis: Sequence[Finding] = ()
    if report.verdict == "disagree" and witnesses.rounding is not None:
        from verify.diagnose import diagnose

        bars = witnesses.rounding.bars
        diagnosis = diagnose(problem, loss, grads, bars, intermediates=intermediates)
    return dataclasses.replace(report, settings=settings, diagnosis=diagnosis)


def _by_hand(
    problem: Problem,
    loss: Callable[..., Any] | None,
    grads: Arrays | Callable[..., Arrays] | None,
) -> tuple[Any, dict[str, Array]]:
    """Return the loss and the gradients under test, checked against the parameters' shapes."""
    if loss is None and grads is None:
        return manual.loss_and_grads(*problem.arguments, **problem.options)
    value = (loss or manual.loss)(*problem.arguments, **problem.options)
    if grads is None:
        grads = manual.loss_and_grads(*problem.arguments, **problem.options)[1]
    elif callable(grads):
        grads = grads(*problem.arguments, **problem.options)
    return value, check_grads(grads, problem.params)


def check_grads(grads: Any, params: Mapping[str, Array]) -> dict[str, Array]:
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
