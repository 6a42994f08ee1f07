"""How long a step of the hand-written network takes.

    pytest tests/benchmarks/test_step_speed.py

Side by side with every other way, `backproof speed` times it.
"""

from __future__ import annotations

import pytest

import manual
from verify.speed import standard_workloads

WORKLOADS = [workload for dtype in ("float64", "float32") for workload in standard_workloads(dtype)]


@pytest.mark.unchecked
@pytest.mark.parametrize(
    "workload", WORKLOADS, ids=lambda workload: f"{workload.name}-{workload.problem.dtype}"
)
def test_a_step_by_hand(benchmark, workload):
    problem = workload.problem
    params, costs = benchmark(
        manual.steps,
        *problem.arguments,
        n=1,
        learning_rate=workload.learning_rate,
        **problem.options,
    )
    assert costs.shape == (1,)
    assert params.keys() == problem.params.keys()
