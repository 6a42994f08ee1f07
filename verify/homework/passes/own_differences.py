"""A file's gradient compared with finite differences of the file's own forward pass.

The check itself is that of any function (`verify.function`): rounding, noise and kinks are
measured by calling. Here a file's functions become the claim.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from verify.evidence.claims import Claim, alone
from verify.evidence.trees import flatten
from verify.function import check_claims
from verify.homework.run.calls import CallError
from verify.report import PAIRS, Report

Arrays = dict[str, np.ndarray]

ROUTES = 32.0
"""How many error bars apart two right ways to compute a gradient may be.

The bars count what a fused gradient, AL - Y, rounds; a composed one, dA * g'(Z), divides by A
and 1 - A first. With outputs within [0.05, 0.95] (`textbook.problems`) it rounds some eight times
an entry, and the rounding of A comes back multiplied by at most 1 / 0.05 = 20: 28 units where the
bars count one.
"""

ROUNDING = 0.02
"""How far two gradients that differ by rounding alone may be apart, over the sum of their sizes.

An error of a tenth puts them 0.1 / 2.1 = 0.048 apart, and must show where bars are wide too: those
of a forward pass in single precision are a hundredth of a gradient, and 32 of them a third.
"""

BUDGET = 2500
"""Evaluations of the forward pass; networks of a few dozen weights take a few hundred."""


def compare_with_differences(
    loss: Callable[[Arrays], Any],
    grads: Callable[[Arrays], Arrays],
    at: Mapping[str, np.ndarray],
) -> Report | None:
    """Compare grads(at) with differences of loss at `at`; None if either cannot be called."""
    names = ("the cost", "the gradient")
    claim = Claim(
        flatten("params", dict(at)), loss, grads, None, names, lambda arrays: [loss(dict(arrays))]
    )
    try:
        return check_claims(alone(claim), BUDGET, 0, math.inf)
    except (CallError, ValueError, TypeError):
        return None


def is_derivative(report: Report | None) -> bool | None:
    """Say whether the gradient is the derivative of the loss; None if that is not known."""
    if report is None or report.verdict == "undecided":
        return None
    pairs = [pair for tensor in report.tensors if (pair := tensor.pairs.get(PAIRS[1]))]
    return all(
        pair.agree or (pair.bar_ratio <= ROUTES and pair.relative <= ROUNDING) for pair in pairs
    )
