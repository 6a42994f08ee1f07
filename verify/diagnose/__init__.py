"""From wrong gradients to the name of the mistake: which layer, which operation, what is wrong.

`diagnose` takes the explanation with the fewest mistakes. How mistakes are found is derived in
docs/diagnosis.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from verify.catalogue import CATALOGUE, UNNAMED
from verify.diagnose.chain import Tape
from verify.diagnose.formulas import names
from verify.diagnose.given_gradients import (
    as_right,
    one_blas_thread,
    prepare,
    right_chain,
    with_intermediates,
)
from verify.diagnose.search import Tested, explain
from verify.diagnose.wrong_losses import WrongLoss, cost, right_loss, wrong_losses
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
    under the keys of the parameters, `bars` how far each entry of a right gradient may be off
    (`verify.evidence.bars.derived`). `intermediates` are dZ and dA by name, where they are
    known: m times the derivative of the loss or the derivative itself; a dA before or after the
    mask.

    Returns the findings from the output down, none if everything is within its error bars. What
    fits no mistake known by name is called "unknown", with its place and size.
    """
    with np.errstate(all="ignore"), one_blas_thread():
        tested, misshapen = prepare(problem, grads, bars)
        if intermediates:
            tested = with_intermediates(tested, intermediates, analyse(problem))
        return (*misshapen, *_simplest(problem, tested, loss))


def _simplest(problem: Problem, tested: Tested, loss: float | None) -> tuple[Finding, ...]:
    """Return the fewest findings that explain the loss and the gradients."""
    plain = tuple(explain(tested, tested.right, tested.tape.L))
    right = cost(tested.tape)
    if loss is None or abs(loss - right) <= 4 * tested.tape.eps * abs(right):
        return plain
    bar = analyse(problem).loss_bar
    if abs(loss - right) <= bar:
        return plain
    if not np.isfinite(loss):
        values = {"loss": loss}
        return Finding("not-finite", "loss", says="The loss is {loss}.", values=values), *plain
    explanations = [
        (_finding(tested.tape, f, gradients), *gradients)
        for f in wrong_losses(tested.tape, loss)
        if abs(f.cost - loss) <= bar * max(1.0, abs(f.cost / right))
        and (gradients := _under(tested, f, plain)) is not None
    ]
    unexplained = _unknown_loss(tested.tape, loss, right, plain)
    return min([unexplained, *explanations], key=_complexity)


def _finding(t: Tape, function: WrongLoss, gradients: tuple[Finding, ...]) -> Finding:
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
    tested: Tested, function: WrongLoss, plain: tuple[Finding, ...]
) -> tuple[Finding, ...] | None:
    """Return what is wrong with the gradients if this is the function that was written.

    Return None if its gradients explain those that were found no better than the right ones do:
    then only its value speaks for it.
    """
    if function.chain.tape is tested.tape and not function.chain.formulas:
        return plain
    gradients = tuple(explain(as_right(tested, function.chain), function.chain, tested.tape.L))
    return gradients if _complexity(gradients) < _complexity(plain) else None


def _complexity(findings: tuple[Finding, ...]) -> tuple[int, int]:
    return sum(finding.bug in UNNAMED for finding in findings), len(findings)


def _unknown_loss(
    t: Tape, loss: float, right: float, gradients: tuple[Finding, ...]
) -> tuple[Finding, ...]:
    """Say that the loss is wrong in an unknown way, and what that means for the gradients.

    A gradient that no mistake explains may be that of the function that was written, so it is
    no finding here.
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
