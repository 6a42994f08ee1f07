"""What the difference of every weight costs, and what it is worth.

Not in the default run: `pytest tests/benchmarks/test_exhaustive_speed.py -s`, with
BACKPROOF_DATA set. Ratios and shares are asserted; times are printed, and asserted with room.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

import numpy as np
import pytest

import autodiff
import manual
from verify import Problem, build_problem, load
from verify.evidence.differences.exhaustive import estimated_seconds, exhaustive_differences

pytestmark = pytest.mark.skipif(
    not os.environ.get("BACKPROOF_DATA"), reason="BACKPROOF_DATA does not name the course's files"
)

CATS = {"layers": (20, 7, 5), "l2": 0.7, "keep_prob": (0.9, 0.8, 0.86)}


@pytest.fixture(scope="module")
def cats() -> Problem:
    return build_problem(load("cats"), **CATS)


def seconds(work, times: int = 5) -> list[float]:
    """Return the times of some work that has been done once before."""
    work()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken


def test_every_weight_of_cats_is_a_thousand_times_cheaper_than_in_a_loop(cats):
    start = time.perf_counter()
    differences = exhaustive_differences(cats)
    cold = time.perf_counter() - start
    warm = statistics.median(seconds(lambda: exhaustive_differences(cats)))
    weights = sum(of.value.size for of in differences.values())
    # The best time, in favour of the loop: on a busy machine the threads of BLAS get in each
    # other's way, and a loss can take a second.
    loss = min(seconds(lambda: manual.loss(*cats.arguments, **cats.options), 21))
    loop = 2 * loss * weights
    print(
        f"\n{weights} weights: {warm:.3f} s warm, {cold:.2f} s with compilation; "
        f"a loop of two losses of {1e3 * loss:.2f} ms a weight would take {loop:.0f} s, "
        f"{loop / warm:.0f} times as long"
    )
    assert weights == 245_973
    assert warm < 2
    assert loop / warm > 1000


def test_the_differences_of_cats_have_sixteen_digits_and_bars_that_see_1e9(cats):
    _, grads = autodiff.loss_and_grads(*cats.arguments, **cats.options)
    differences = exhaustive_differences(cats)
    seen = []
    for name, grad in grads.items():
        of, exact = differences[name], grad.ravel()
        there = exact != 0
        off = np.abs(of.value - exact)[there] / np.abs(exact[there])
        seen.append(of.bar[there] < 1e-9 * np.abs(exact[there]))
        print(
            f"\n{name}: median relative error {np.median(off):.1e}, seen {seen[-1].mean():.5f}",
            end="",
        )
        assert np.median(off) < 1e-15
    assert np.concatenate(seen).mean() > 0.999


def test_the_whole_process_stays_under_a_gigabyte_and_a_half():
    code = (
        "import resource\n"
        "from verify import build_problem, load\n"
        "from verify.evidence.differences.exhaustive import exhaustive_differences\n"
        f"exhaustive_differences(build_problem(load('cats'), **{CATS!r}))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    peak = int(run.stdout) / 1024
    print(f"\npeak {peak:.0f} MB")
    assert peak < 1500


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("cats", CATS),
        ("cats", {**CATS, "hidden": "tanh"}),
        ("breast-cancer", {}),
        ("breast-cancer", {"hidden": "sigmoid"}),
        ("digits", {"layers": (20, 10)}),
        ("digits", {"layers": (128, 64), "examples": 50}),
    ],
)
def test_the_estimate_is_right_to_a_factor_of_four(data, options):
    problem = build_problem(load(data), **options)
    estimate = estimated_seconds(problem)
    start = time.perf_counter()
    exhaustive_differences(problem)
    taken = time.perf_counter() - start
    print(
        f"\n{data} {problem.layers} {problem.hidden[0]}: {taken:.2f} s, estimated {estimate:.2f} s"
    )
    assert taken < 4 * estimate + 0.5
    assert estimate < 4 * taken + 0.5
