"""What a mesh of one device costs beside none.

Not in the default run: `pytest tests/benchmarks/test_mesh_overhead.py -s -n0`. Trainings with and
without are taken in turn. Printed are the medians of the ratios of each pair, of the time by the
clock and of the processor's own, of which a busy machine changes less.
"""

from __future__ import annotations

import time

import jax
import numpy as np
import pytest
from problems import random_problem

import autodiff
from verify import mask_schedule

PAIRS = 25
NETWORKS = {
    "cats": ((12288, 20, 7, 5, 1), 209, {"loop": 100, "span": 2500}),
    "football": ((2, 20, 3, 1), 211, {"loop": 10_000}),
    "wide": ((784, 512, 256, 1), 4096, {"loop": 5}),
}


def now() -> np.ndarray:
    return np.array([time.perf_counter(), time.process_time()])


@pytest.mark.parametrize("keep_prob", [1.0, 0.86])
@pytest.mark.parametrize(
    ("network", "strategy"),
    [(name, way) for name, (*_, steps) in NETWORKS.items() for way in steps],
)
@pytest.mark.unchecked
def test_a_mesh_of_one_device_beside_none(network, strategy, keep_prob):
    sizes, m, steps = NETWORKS[network]
    problem = random_problem(sizes=sizes, m=m, hidden="relu", keep_prob=keep_prob)
    masks = mask_schedule(1, sizes[1:-1], m, problem.keep_prob)

    def seconds(mesh) -> np.ndarray:
        X, Y = (autodiff.on_device(array, mesh=mesh) for array in (problem.X, problem.Y))
        gram = autodiff.span_descent.gram(X) if strategy == "span" else None
        jax.block_until_ready((X, Y, gram))
        n = steps[strategy] if keep_prob == 1 else steps[strategy] // 5
        start = now()
        autodiff.steps(
            problem.params, X, Y, masks, n=n, learning_rate=0.0075, strategy=strategy, gram=gram,
            m=m, **problem.options,
        )  # fmt: skip
        return now() - start

    mesh = autodiff.example_mesh(1)
    seconds(None), seconds(mesh)
    ratios = []
    for pair in range(PAIRS):
        order = (None, mesh) if pair % 2 else (mesh, None)
        taken = {each: seconds(each) for each in order}
        ratios.append(taken[mesh] / taken[None])
    clock, processor = np.median(ratios, axis=0)
    print(
        f"{network} {strategy} {keep_prob:g}: by the clock {clock:.3f}, processor {processor:.3f}"
    )
