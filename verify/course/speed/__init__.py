"""How fast: a training step by each implementation, a whole training, an exhaustive check.

Repetitions of all implementations of a workload are interleaved, so that a machine that slows
down slows down all of them. Medians and quartiles are kept; the first call of an implementation,
which compiles, is timed separately.

The time of a step is compared with what the machine can do at best: its floating-point operations
with a measured matrix product, its bytes with a measured copy (the roofline; Williams, Waterman &
Patterson, 2009), and with its matrix products alone in every library (`matrix_products`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np

from verify.course.speed.implementations import OURS, SPAN, implementations
from verify.course.speed.machine import described, limits
from verify.course.speed.matrix_products import products_ms
from verify.course.speed.peers import PEERS
from verify.course.speed.timing import interleaved, seconds, steps_in
from verify.course.speed.whole_runs import exhaustive_speed, training_speed
from verify.course.speed.workloads import Workload, standard_workloads
from verify.problem import Problem

__all__ = [
    "OURS",
    "PEERS",
    "SPAN",
    "Workload",
    "described",
    "exhaustive_speed",
    "products_ms",
    "roofline",
    "standard_workloads",
    "time_steps",
    "training_speed",
]


def time_steps(
    workload: Workload,
    *,
    repetitions: int = 11,
    seconds_each: float = 0.1,
    progress: Callable[[str], Any] = lambda what: None,
) -> dict[str, Any]:
    """Time a training step of a workload by every implementation that is installed.

    Each of the `repetitions` takes as many steps as fit into about `seconds_each`. Returns name,
    dtype, layers, examples, l2 and keep_prob; ms_per_step, quartiles and compile_s by
    implementation; ratio_to, of each of ours to each peer; ratio_to_best_peer; and the roofline,
    with the matrix products alone. A ratio is the median of the ratios within one repetition,
    which do not change when the machine gets slower.
    """
    named = f"{workload.name} {workload.problem.dtype}"
    runs, compile_s, counts = {}, {}, {}
    for name, prepare in implementations(workload).items():
        progress(f"{named}: {name}")
        start = perf_counter()
        runs[name] = prepare()
        runs[name](1)
        first = perf_counter() - start
        counts[name] = steps_in(runs[name], seconds_each)
        compile_s[name] = max(0.0, first - seconds(runs[name], 1))
    progress(f"{named}: {repetitions} repetitions")
    times = interleaved(runs, counts, repetitions)
    medians = {name: float(np.median(values)) for name, values in times.items()}
    peers = [name for name in PEERS if name in medians]
    best = min(peers, key=medians.__getitem__, default=None)
    ratios = {
        ours: {peer: float(np.median(np.divide(times[ours], times[peer]))) for peer in peers}
        for ours in OURS
        if ours in medians
    }
    progress(f"{named}: its matrix products alone")
    return {
        "name": workload.name,
        "dtype": str(workload.problem.dtype),
        "layers": list(workload.problem.layers),
        "examples": workload.problem.m,
        "l2": workload.problem.l2,
        "keep_prob": list(workload.problem.keep_prob),
        "ms_per_step": medians,
        "quartiles": {
            name: [float(q) for q in np.percentile(values, (25, 75))]
            for name, values in times.items()
        },
        "compile_s": compile_s,
        "ratio_to": ratios,
        "ratio_to_best_peer": {ours: to[best] for ours, to in ratios.items() if best},
        "roofline": roofline(workload.problem, medians)
        | {"products_ms": products_ms(workload.problem, repetitions, seconds_each)},
    }


def roofline(problem: Problem, ms_per_step: Mapping[str, float]) -> dict[str, Any]:
    """Compare a step's operations and bytes with what the machine can do at best.

    Counted are the matrix products of forward, dW and dA (none for the input), two operations a
    multiplication, and one reading of X forward and one backward, one reading and one writing
    of every parameter. `bound_ms` is the least time that either allows. Steps in the span of
    the data take fewer operations than are counted here, so they may be faster.
    """
    sizes, m = problem.layers, problem.m
    products = [n_in * n_out for n_in, n_out in pairwise(sizes)]
    operations = 2 * m * (3 * sum(products) - products[0])
    size = problem.dtype.itemsize
    moved = size * (2 * problem.X.size + 2 * sum(value.size for value in problem.params.values()))
    flops, bandwidth = limits(str(problem.dtype))
    return {
        "gflop_per_step": operations / 1e9,
        "gbyte_per_step": moved / 1e9,
        "machine_gflop_s": flops / 1e9,
        "machine_gbyte_s": bandwidth / 1e9,
        "bound_ms": 1e3 * max(operations / flops, moved / bandwidth),
        "gflop_s": {name: operations / ms / 1e6 for name, ms in ms_per_step.items()},
        "gbyte_s": {name: moved / ms / 1e6 for name, ms in ms_per_step.items()},
    }
