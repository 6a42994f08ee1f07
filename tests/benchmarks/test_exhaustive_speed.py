"""What the difference of every weight costs, in training steps, and what it is worth.

Not in the default run: `pytest tests/benchmarks/test_exhaustive_speed.py -s -n0`, with
BACKPROOF_DATA set. Times are printed; ratios are asserted, each between the least of several
runs side by side, as a busy machine can only add to a time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

import manual
from verify import Problem, build_problem, load, three_way
from verify.evidence.bars.derived import analyse
from verify.evidence.differences.exhaustive import exhaustive_differences

pytestmark = pytest.mark.unchecked

CATS = {"layers": (20, 7, 5), "l2": 0.7, "keep_prob": (0.9, 0.8, 0.86)}
needs_cats = pytest.mark.skipif(
    not os.environ.get("BACKPROOF_DATA"), reason="BACKPROOF_DATA does not name the course's files"
)


@pytest.fixture(scope="module")
def cats() -> Problem:
    return build_problem(load("cats"), **CATS)


def network(*sizes: int, m: int, hidden: str = "relu") -> Problem:
    """Return a network of this shape, with random data."""
    rng = np.random.default_rng(0)
    params = manual.initialize(sizes, "he", rng)
    labels = rng.integers(0, max(sizes[-1], 2), m)
    return Problem(
        params,
        rng.random((sizes[0], m)),
        labels[None] if sizes[-1] == 1 else np.eye(sizes[-1])[:, labels],
        hidden=hidden,
        output="sigmoid" if sizes[-1] == 1 else "softmax",
    )


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_steps(problem: Problem, repetitions: int = 15) -> float:
    """Return how many training steps the differences take, and print it."""

    def step() -> object:
        return manual.loss_and_grads(*problem.arguments, **problem.options)

    def every() -> object:
        return exhaustive_differences(problem)

    step(), every()
    steps, checks = [], []
    for _ in range(repetitions):
        steps.append(min(seconds(step) for _ in range(3)))
        checks.append(seconds(every))
    ratio = min(checks) / min(steps)
    weights = sum(value.size for value in problem.params.values())
    sizes = "-".join(map(str, problem.layers))
    print(
        f"\n{sizes} {'-'.join(set(problem.hidden))}, {problem.m} examples, {weights} weights: "
        f"step {1e3 * min(steps):.1f} ms, every weight {1e3 * min(checks):.1f} ms, "
        f"{ratio:.1f} steps (of medians {np.median(checks) / np.median(steps):.1f})",
        end="",
    )
    return ratio


@needs_cats
def test_every_weight_of_cats_costs_four_training_steps_at_most(cats):
    assert in_steps(cats) <= 4


@pytest.mark.parametrize(
    ("sizes", "m", "most"),
    [
        ((784, 128, 10), 500, 20),
        ((784, 512, 256, 10), 500, 80),
        ((50000, 20, 7, 5, 1), 200, 4),
    ],
)
def test_every_weight_costs_so_many_training_steps_at_most(sizes, m, most):
    assert in_steps(network(*sizes, m=m)) <= most


def test_the_price_in_steps_does_not_grow_with_the_number_of_inputs():
    few, _, many = (in_steps(network(n, 20, 7, 5, 1, m=200)) for n in (1_000, 10_000, 100_000))
    assert many <= few


def test_the_price_in_steps_grows_with_the_width_of_later_layers_at_most_in_proportion():
    """A tail costs units times examples times what is behind the next layer."""
    one, two = (
        [in_steps(network(784, *(n,) * layers, 10, m=500), 5) for n in (64, 128, 256, 512)]
        for layers in (1, 2)
    )
    assert max(one) <= 2 * min(one)
    assert two[-1] <= 8 * two[0]


@pytest.mark.parametrize("hidden", ["tanh", "sigmoid"])
def test_a_curved_activation_costs_several_times_a_straight_one(hidden):
    sizes = (784, 256, 128, 10)
    straight, curved = (in_steps(network(*sizes, m=500, hidden=of), 5) for of in ("relu", hidden))
    assert curved <= 16 * straight


@needs_cats
def test_an_error_of_1e9_in_one_weight_of_cats_shows(cats):
    """By the bars that the check applies: those of the differences and of rounding."""
    rounding = analyse(cats)
    for name, of in exhaustive_differences(cats, kinked=rounding.kinked).items():
        bar, there = of.bar + rounding.bars[name].ravel(), of.value != 0
        seen = np.mean(bar[there] < 1e-9 * np.abs(of.value[there]))
        print(f"\n{name}: seen in {seen:.5%} of {there.sum()} entries", end="")
        assert seen >= (0.9999 if name == "W1" else 1)


@needs_cats
def test_an_error_of_1e4_in_float32_shows_in_every_tensor_of_cats():
    problem = build_problem(load("cats"), **CATS, dtype="float32")
    _, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    for name in grads:
        wrong = grads | {name: grads[name] * np.float32(1 + 1e-4)}
        report = three_way(problem, grads=wrong)
        tensor = next(of for of in report.tensors if of.name == name)
        assert report.verdict == "disagree"
        assert not tensor.pairs["manual_vs_finite_difference"].agree


def in_a_process_of_its_own(code: str) -> list[float]:
    """Return the numbers that a script prints, run apart, with the cats loaded."""
    prepared = (
        "from verify import build_problem, load, three_way\n"
        "from verify.course.speed.timing import seconds\n"
        "from verify.evidence.differences.exhaustive import exhaustive_differences\n"
        f"cats = build_problem(load('cats'), **{CATS!r})\n"
    )
    command = [sys.executable, "-c", prepared + code]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(number) for number in run.stdout.split()]


@needs_cats
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_whole_check_stays_below_500_megabytes(dtype):
    (peak,) = in_a_process_of_its_own(
        f"three_way(cats.astype({dtype!r}))\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line))"
    )
    print(f"\npeak {peak / 1024:.0f} MB", end="")
    assert peak / 1024 < 500


@needs_cats
def test_the_first_run_in_a_process_takes_hardly_longer_than_the_next():
    code = "print(*(seconds(exhaustive_differences, cats) for _ in range(9)))"
    runs = [in_a_process_of_its_own(code) for _ in range(5)]
    cold, warm = min(run[0] for run in runs), min(min(run[1:]) for run in runs)
    print(f"\ncold {1e3 * cold:.0f} ms, warm {1e3 * warm:.0f} ms", end="")
    assert cold < warm + 0.3
