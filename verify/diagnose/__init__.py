"""From a disagreement to its cause: which layer, which operation, which mistake.

- `chain`: the backward pass as a chain of operations that can be replaced
- `mistakes`: the wrong formulas that are known by name
- `functions`: the wrong losses and forward passes that are known by name
- `search`: from the numbers to the mistakes that made them
- `given`: what is given to the diagnosis, made comparable
- `diagnose`, here: of all explanations the simplest
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from verify.catalogue import CATALOGUE, UNNAMED
from verify.diagnose.chain import Tape
from verify.diagnose.formulas import names
from verify.diagnose.functions import Function, cost, functions, right_loss
from verify.diagnose.given import as_right, given, one_blas_thread, right_chain, with_intermediates
from verify.diagnose.search import Case, explain
from verify.evidence.bars.derived import analyse
from verify.findings import Finding, used
from verify.problem import Problem

__all__ = ["diagnose", "right_chain"]


def diagnose(
    problem: Problem,
    loss: float | None,
    grads: Mapping[str, Any],
    bars: Mapping[str, np.ndarray],
    *,
    intermediates: Mapping[str, Any] | None = None,
) -> tuple[Finding, ...]:
    """Name the mistakes in a hand-written loss and its gradients on a problem.

    `loss` is the value that was computed (None where it is not known), `grads` the gradients
    under the keys of the parameters, `bars` how far each entry of a right gradient may be from
    the truth (`verify.evidence.bars.derived`). `intermediates` are dZ and dA by name, where they
    are known, m times the derivative of the loss or, as some write them, the derivative
    itself; a dA may be taken before or after the mask.

    Returns the findings from the output down; none if everything is within its bars. What fits
    no mistake known by name is "unknown", with where it is and how large.
    """
    with np.errstate(all="ignore"), one_blas_thread():
        case, misshapen = given(problem, grads, bars)
        if intermediates:
            case = with_intermediates(case, intermediates, analyse(problem))
        return (*misshapen, *_simplest(problem, case, loss))


def _simplest(problem: Problem, case: Case, loss: float | None) -> tuple[Finding, ...]:
    """Return the fewest findings that explain the loss and the gradients."""
    plain = tuple(explain(case, case.right, case.tape.L))
    right = cost(case.tape)
    if loss is None or abs(loss - right) <= 4 * case.tape.eps * abs(right):
        return plain
    bar = analyse(problem).loss_bar
    if abs(loss - right) <= bar:
        return plain
    if not np.isfinite(loss):
        values = {"loss": loss}
        return Finding("not-finite", "loss", says="The loss is {loss}.", values=values), *plain
    explanations = [
        (_finding(case.tape, f, gradients), *gradients)
        for f in functions(case.tape, loss)
        if abs(f.cost - loss) <= bar * max(1.0, abs(f.cost / right))
        and (gradients := _under(case, f, plain)) is not None
    ]
    unexplained = _unknown_loss(case.tape, loss, right, plain)
    return min([unexplained, *explanations], key=_complexity)


def _finding(t: Tape, function: Function, gradients: tuple[Finding, ...]) -> Finding:
    """Return the finding that this function was written, and what that means for the gradients."""
    if CATALOGUE[function.bug].kind == "forward":
        follows: tuple[str, ...] = ("gradients-faithful",)
    else:
        follows = () if gradients else ("gradients-right",)
    templates = (function.says, function.wrong, function.right)
    return Finding(
        function.bug,
        function.tensor,
        function.layer,
        *templates,
        values=used(names(t, function.layer or t.L) | dict(function.values), *templates),
        follows=follows,
    )


def _under(
    case: Case, function: Function, plain: tuple[Finding, ...]
) -> tuple[Finding, ...] | None:
    """Return what is wrong with the gradients if this is the function that was written.

    None if its faithful gradients do not explain those that were found any better than the
    right ones do: then only its value speaks for it.
    """
    if function.chain.tape is case.tape and not function.chain.formulas:
        return plain
    gradients = tuple(explain(as_right(case, function.chain), function.chain, case.tape.L))
    return gradients if _complexity(gradients) < _complexity(plain) else None


def _complexity(findings: tuple[Finding, ...]) -> tuple[int, int]:
    return sum(finding.bug in UNNAMED for finding in findings), len(findings)


def _unknown_loss(
    t: Tape, loss: float, right: float, gradients: tuple[Finding, ...]
) -> tuple[Finding, ...]:
    """Say that the loss is of no known kind, and what that means for the gradients.

    A gradient that no mistake explains may be that of the function that was written, so it is
    not held against the backward pass.
    """
    named = tuple(finding for finding in gradients if finding.bug not in UNNAMED)
    if not gradients:
        follows = "cost-alone"
    else:
        follows = "gradients-wrong-too" if named == gradients else "gradients-unclear"
    finding = Finding(
        "unknown",
        "loss",
        says="The loss is {loss:.10g}; it should be {due:.10g}.",
        right=right_loss(t),
        values={"loss": loss, "due": right, "A": f"A{t.L}"},
        follows=(follows,),
    )
    return finding, *named
