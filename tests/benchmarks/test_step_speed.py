"""How long a training step takes: `pytest tests/benchmarks/test_step_speed.py`.

The same four workloads as `backproof speed`, ours alone, for profiling and for comparing one
state of the code with another (`--benchmark-compare`).
"""

from __future__ import annotations

import pytest

import manual
from verify.course.speed.implementations import implementations, standard_workloads

pytestmark = pytest.mark.unchecked

OURS = ("manual", "manual-span", "autodiff-loop", "autodiff-span")
STEPS = {"cats": 10, "football": 500, "flower": 500, "wide": 2}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("way", OURS)
@pytest.mark.parametrize("name", STEPS)
def test_a_training_step(benchmark, name, way, dtype):
    workload = next(each for each in standard_workloads(dtype) if each.name == name)
    prepare = implementations(workload).get(way)
    if prepare is None:
        pytest.skip(f"{way} is not chosen for {name}")
    benchmark.extra_info["steps"] = STEPS[name]
    benchmark.pedantic(prepare(), args=(STEPS[name],), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("name", STEPS)
def test_one_gradient_by_hand(benchmark, name):
    workload = next(each for each in standard_workloads("float64") if each.name == name)
    problem = workload.problem
    benchmark(manual.loss_and_grads, *problem.arguments, **problem.options)
