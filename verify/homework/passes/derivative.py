"""A file's gradient against JAX's derivative of its own forward pass, and against differences.

The check itself is that of any function (`verify.function`): rounding, noise and bends are
measured by calling. Here a file's functions become the claim, and JAX's part is compiled
quickly rather than well, for it is evaluated a few dozen times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.evidence import trace
from verify.evidence.measurement import Claim
from verify.evidence.trace import UntraceableError
from verify.evidence.trees import flatten
from verify.function import check_claims
from verify.homework.run.calls import CallError
from verify.report import PAIRS, Report

Arrays = dict[str, np.ndarray]
Loss = Callable[[Arrays], Any]
Gradients = Callable[[Arrays], Arrays]
Traced = Callable[[Mapping[str, Any]], Any]
ByJax = Callable[[Arrays], tuple[float, Arrays]]

ROUTES = 32.0
"""How many times the bars of one right way another right way may be off.

The bars count what a fused gradient, AL - Y, rounds; a composed one, dA * g'(Z), divides by A
and 1 - A first. With outputs within [0.05, 0.95] (`draws`) it rounds some eight times an entry,
and the rounding of A comes back multiplied by at most 1 / 0.05 = 20: 28 units where the bars
count one.
"""

BUDGET = 2500
"""Evaluations of the forward pass; networks of a few dozen weights take a few hundred."""


@dataclass(frozen=True, eq=False)
class Own:
    """What JAX and differences say of a gradient as that of its own forward pass.

    `faithful` is None where nothing could be checked. `remark` says why JAX had no part in it.
    """

    faithful: bool | None
    remark: str
    report: Report | None


def own_gradient(
    loss: Loss,
    grads: Gradients,
    traced: Traced,
    at: Mapping[str, np.ndarray],
    value: float,
) -> Own:
    """Check grads(at) as the gradient of loss at `at`, which is `value` there.

    `loss` and `grads` take NumPy arrays, `traced` JAX's tracers of them and returns a tracer.
    """
    try:
        by_jax = _differentiated(traced, at, value)
        remark = ""
    except UntraceableError as fault:
        by_jax, remark = None, f"JAX cannot follow {fault}"
    except CallError as fault:
        by_jax, remark = None, f"over jax.numpy {fault.clause}"
    report = _checked(loss, grads, by_jax, at)
    lost = by_jax is not None and trace.losses
    if report is not None and lost and not _within(report, *PAIRS) and _within(report, PAIRS[1]):
        # What turned a traced number into a plain one lost its derivative on the way.
        what = ", ".join(sorted(set(trace.losses)))
        return Own(True, f"JAX cannot follow {what}", report)
    if report is None or report.verdict == "undecided":
        return Own(None, remark, report)
    return Own(_within(report, PAIRS[0], PAIRS[1]), remark, report)


def _checked(
    loss: Loss, grads: Gradients, by_jax: ByJax | None, at: Mapping[str, np.ndarray]
) -> Report | None:
    """Return the report, or None where the functions give nothing to compare."""
    claim = Claim(flatten("params", dict(at)), loss, grads, by_jax, ("the cost", "the gradient"))
    try:
        return check_claims({"": claim}, BUDGET, 0)
    except (CallError, ValueError, TypeError):
        return None


def _within(report: Report, *pairs: str) -> bool:
    return all(
        tensor.pairs[pair].bar_ratio <= ROUTES
        for tensor in report.tensors
        for pair in pairs
        if pair in tensor.pairs
    )


def _differentiated(traced: Traced, at: Mapping[str, np.ndarray], value: float) -> ByJax:
    """Return JAX's value and gradient, compiled.

    Raises UntraceableError if the value is not NumPy's.
    """
    import jax

    if not np.isfinite(value):
        raise UntraceableError(f"a cost of {value}")
    trace.losses.clear()
    with jax.enable_x64(True):
        plain = {name: np.asarray(array, np.float64) for name, array in at.items()}
        try:
            lowered = jax.jit(jax.value_and_grad(traced)).lower(plain)
        except (UntraceableError, CallError):
            raise
        except Exception as fault:
            raise UntraceableError(f"the forward pass ({trace.first_line(fault)})") from fault
        compiled = lowered.compile(
            {"xla_backend_optimization_level": "0", "xla_llvm_disable_expensive_passes": True}
        )

        def way(arrays: Arrays) -> tuple[float, Arrays]:
            result, gradients = compiled({k: np.asarray(v, np.float64) for k, v in arrays.items()})
            return float(result), {k: np.asarray(gradients[k], float) for k in arrays}

        followed, _ = way(plain)
    # float32 inside the file is float32 here too, but it is rounded in another order.
    if not abs(followed - value) <= 1e-5 * max(abs(value), 1e-3):
        raise UntraceableError(
            f"the forward pass (it arrives at {followed:.6g}, NumPy at {value:.6g})"
        )
    return way
