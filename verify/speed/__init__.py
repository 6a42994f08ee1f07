"""How fast: a training step by each way, side by side, and an exhaustive check.

Repetitions of all ways of a workload are interleaved, so that a machine that slows down slows
down all of them; medians and quartiles are kept, and a way's first call, which compiles, apart.
What a step must cost is set beside what the machine reaches: its floating-point operations
against a measured matrix product, its bytes against a measured copy (the roofline; Williams,
Waterman & Patterson, 2009).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np

from verify.problem import Problem
from verify.speed.workloads import Run, Workload, standard_workloads, ways

__all__ = ["Workload", "compare_ways", "exhaustive_speed", "roofline", "standard_workloads"]

PEERS = ("course", "torch", "torch-compile")
"""The ways that are not ours."""

OURS = ("manual", "autodiff-step", "autodiff-loop", "autodiff-span")


def compare_ways(
    workload: Workload,
    *,
    repetitions: int = 7,
    seconds: float = 0.2,
    progress: Callable[[str], Any] = lambda what: None,
) -> dict[str, Any]:
    """Time a training step of a workload by every way that is installed.

    Each of the `repetitions` takes as many steps as fit into about `seconds`. Returns name,
    dtype, layers and examples; ms_per_step, quartiles and compile_s by way; ratio_to_best_peer
    by our ways; and the roofline.
    """
    runs, compile_s, counts = {}, {}, {}
    for way, prepare in ways(workload).items():
        progress(f"{workload.name} {workload.problem.dtype}: {way}")
        start = perf_counter()
        runs[way] = prepare()
        runs[way](1)
        first = perf_counter() - start
        counts[way] = _steps_in(runs[way], seconds)
        compile_s[way] = max(0.0, first - _time(runs[way], 1))
    progress(f"{workload.name} {workload.problem.dtype}: {repetitions} repetitions")
    times: dict[str, list[float]] = {way: [] for way in runs}
    for _ in range(repetitions):
        for way, run in runs.items():
            gc.collect()
            times[way].append(1e3 * _time(run, counts[way]) / counts[way])
    medians = {way: float(np.median(values)) for way, values in times.items()}
    peers = [medians[way] for way in PEERS if way in medians]
    return {
        "name": workload.name,
        "dtype": str(workload.problem.dtype),
        "layers": list(workload.problem.layers),
        "examples": workload.problem.m,
        "ms_per_step": medians,
        "quartiles": {
            way: [float(q) for q in np.percentile(values, (25, 75))]
            for way, values in times.items()
        },
        "compile_s": compile_s,
        "ratio_to_best_peer": {
            way: medians[way] / min(peers) for way in OURS if peers and way in medians
        },
        "roofline": roofline(workload.problem, medians),
    }


def roofline(problem: Problem, ms_per_step: dict[str, float]) -> dict[str, Any]:
    """Set a step's operations and bytes against what the machine reaches.

    Counted are the matrix products of forward, dW and dA (none for the input), two operations a
    multiplication, and one reading of X forward and one backward, one reading and one writing
    of every parameter. `bound_ms` is the least time that either allows; "autodiff-span" takes
    fewer operations than are counted here, so it may beat it.
    """
    sizes, m = problem.layers, problem.m
    products = [n_in * n_out for n_in, n_out in pairwise(sizes)]
    operations = 2 * m * (3 * sum(products) - products[0])
    size = problem.dtype.itemsize
    moved = size * (2 * problem.X.size + 2 * sum(value.size for value in problem.params.values()))
    flops, bandwidth = machine(str(problem.dtype))
    return {
        "gflop_per_step": operations / 1e9,
        "gbyte_per_step": moved / 1e9,
        "machine_gflop_s": flops / 1e9,
        "machine_gbyte_s": bandwidth / 1e9,
        "bound_ms": 1e3 * max(operations / flops, moved / bandwidth),
        "gflop_s": {way: operations / ms / 1e6 for way, ms in ms_per_step.items()},
        "gbyte_s": {way: moved / ms / 1e6 for way, ms in ms_per_step.items()},
    }


@cache
def machine(dtype: str) -> tuple[float, float]:
    """Return what this machine reaches: flop/s in a matrix product, byte/s in a copy."""
    n = 2048
    rng = np.random.default_rng(0)
    A, B = rng.random((2, n, n)).astype(dtype)
    product = min(_seconds(lambda: A @ B) for _ in range(15))
    source = rng.random(16_000_000).astype(dtype)
    target = np.empty_like(source)
    copy = min(_seconds(lambda: np.copyto(target, source)) for _ in range(15))
    return 2 * n**3 / product, 2 * source.nbytes / copy


def exhaustive_speed(problem: Problem) -> dict[str, Any]:
    """Time the central difference of every weight, and price the black-box loop beside it.

    The loop takes four evaluations of the loss a weight, for a difference with an error bar;
    its price is the median of evaluations made in this process.
    """
    import manual
    from verify.exhaustive import exhaustive_differences

    problem = problem.astype(np.float64)
    cold = _seconds(lambda: exhaustive_differences(problem))
    warm = [_seconds(lambda: exhaustive_differences(problem)) for _ in range(3)]
    each = [_seconds(lambda: manual.loss(*problem.arguments, **problem.options)) for _ in range(21)]
    count = sum(value.size for value in problem.params.values())
    per_weight = 4 * float(np.median(each))
    return {
        "layers": list(problem.layers),
        "examples": problem.m,
        "parameters": count,
        "cold_s": cold,
        "warm_s": float(np.median(warm)),
        "black_box_s_per_weight": per_weight,
        "black_box_s": per_weight * count,
        "ratio": per_weight * count / float(np.median(warm)),
    }


def _steps_in(run: Run, seconds: float) -> int:
    """Return how many steps take about so many seconds, at most 2000."""
    n = 1
    while (elapsed := _time(run, n)) < seconds / 4 and n < 2000:
        n *= 4
    return int(np.clip(n * seconds / elapsed, 1, 2000))


def _time(run: Run, n: int) -> float:
    return _seconds(lambda: run(n))


def _seconds(call: Callable[[], Any]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


def best(medians: dict[str, float], candidates: Sequence[str]) -> str | None:
    """Return the fastest of the candidates that were timed."""
    timed = [way for way in candidates if way in medians]
    return min(timed, key=medians.__getitem__) if timed else None
