"""Speed, side by side: that the ways take the same steps, and what the command says of them."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner
from problems import random_problem

import manual
import verify.course.speed
from verify.cli.app import app
from verify.course.speed import course_step, matrix_products, timing, whole_runs, workloads

SMALL = ("--data", "circles", "--layers", "3", "--l2", "0", "--keep-prob", "1", "--examples", "20")


@pytest.mark.parametrize("hidden", ["relu", "tanh", "sigmoid"])
def test_the_course_s_composition_takes_the_steps_of_ours(hidden):
    problem = random_problem(sizes=(4, 5, 3, 1), hidden=hidden)
    how = {"n": 5, "learning_rate": 0.3, "hidden": problem.hidden}
    params, _ = manual.steps(problem.params, problem.X, problem.Y, **how)
    theirs = course_step.steps(problem.params, problem.X, problem.Y, **how)
    for name, value in params.items():
        np.testing.assert_allclose(theirs[name], value, rtol=1e-12, atol=1e-15)


def test_a_problem_of_ones_own_is_timed_by_every_way(monkeypatch):
    monkeypatch.setattr(workloads.importlib.util, "find_spec", lambda name: None)  # no PyTorch
    monkeypatch.setattr(verify.course.speed, "machine", lambda dtype: (1e11, 1e10))
    how = ("--dtype", "float64", "--repetitions", "2", "--seconds", "0.001", "--format", "json")
    run = CliRunner().invoke(app, ["speed", *SMALL, *how], catch_exceptions=False)
    result = json.loads(run.stdout)
    (row,) = result["workloads"]
    assert (row["name"], row["dtype"], row["examples"]) == ("circles", "float64", 20)
    assert set(row["ms_per_step"]) == {"course", "manual", "autodiff-step", "autodiff-loop"}
    assert set(row["compile_s"]) == set(row["quartiles"]) == set(row["ms_per_step"])
    assert all(low <= row["ms_per_step"][way] <= high
               for way, (low, high) in row["quartiles"].items())  # fmt: skip
    assert row["ratio_to_best_peer"]["manual"] == row["ratio_to"]["manual"]["course"]
    # Forward and dW of both layers, dA of the second: two operations a multiplication.
    assert row["roofline"]["gflop_per_step"] == pytest.approx(2 * 20 * (3 * (6 + 3) - 6) / 1e9)
    assert result["exhaustive"]["parameters"] == 3 * 2 + 3 + 3 + 1


def test_the_table_names_every_way_in_full_within_eighty_columns(monkeypatch):
    monkeypatch.setattr(workloads.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(verify.course.speed, "machine", lambda dtype: (1e11, 1e10))
    how = ("--repetitions", "1", "--seconds", "0.001")
    run = CliRunner().invoke(app, ["speed", *SMALL, *how], catch_exceptions=False)
    lines = run.stdout.splitlines()
    table = lines[: next(i for i, line in enumerate(lines) if line.startswith("compiling"))]
    assert max(map(len, map(str.rstrip, table))) <= 80
    for dtype in ("float64", "float32"):
        assert any(line.strip() == f"milliseconds a step, {dtype}" for line in table)
    for way in ("course", "manual", "autodiff-step", "autodiff-loop"):
        assert sum(line.split()[0] == way for line in table) == 2


def test_a_ratio_is_the_median_of_those_within_one_repetition(monkeypatch):
    times = {"course": [4.0, 8.0, 2.0], "manual": [1.0, 4.0, 1.0]}
    monkeypatch.setattr(
        verify.course.speed,
        "interleaved",
        lambda runs, *_: {way: times.get(way, [9.0]) for way in runs},
    )
    monkeypatch.setattr(
        verify.course.speed, "implementations", lambda workload: dict.fromkeys(times, lambda: abs)
    )
    monkeypatch.setattr(verify.course.speed, "steps_in", lambda run, seconds: 1)
    monkeypatch.setattr(verify.course.speed, "seconds", lambda run, n: 0.0)
    monkeypatch.setattr(verify.course.speed, "machine", lambda dtype: (1e11, 1e10))
    workload = workloads.Workload("small", random_problem(sizes=(4, 5, 1)), 0.1)
    row = verify.course.speed.time_steps(workload)
    assert row["ms_per_step"] == {"course": 4.0, "manual": 1.0}
    assert row["ratio_to"] == {"manual": {"course": 0.5}}


def test_the_products_of_a_step_are_those_that_its_layers_multiply():
    problem = random_problem(sizes=(4, 5, 3, 1))
    _, cache = manual.forward(problem.params, problem.X, hidden=problem.hidden)
    grads = manual.intermediate_grads(*problem.arguments, **problem.options)
    multiplied = {
        "forward": [(layer.W, layer.A_prev, layer.Z) for layer in cache],
        "dW": [(layer.Z, layer.A_prev, layer.W) for layer in cache],
        "dA": [
            (layer.W, layer.Z, grads[f"dA{number}"]) for number, layer in enumerate(cache[1:], 1)
        ],
    }
    for kind, layers in multiplied.items():
        for first, second, like in layers:
            left, right = matrix_products.PRODUCTS[kind](first, second)
            assert (left @ right).shape == like.shape
    pairs = matrix_products._pairs(problem)
    for kind, layers in multiplied.items():
        for pair, (first, second, _) in zip(pairs[kind], layers, strict=True):
            np.testing.assert_array_equal(pair[0], first)
            np.testing.assert_array_equal(pair[1], second)


def test_products_are_timed_by_library_where_they_outweigh_their_calls(monkeypatch):
    monkeypatch.setattr(workloads.importlib.util, "find_spec", lambda name: None)
    problem = random_problem(sizes=(4, 5, 1))
    assert matrix_products.products_ms(problem, 1, 0.001) == {}
    monkeypatch.setattr(matrix_products, "SMALLEST", 0)
    timed = matrix_products.products_ms(problem, 1, 0.001)
    assert set(timed) == {"numpy", "jax"}
    assert all(set(kinds) == {"forward", "dW", "dA"} for kinds in timed.values())
    assert all(ms > 0 for kinds in timed.values() for ms in kinds.values())


def test_both_packages_have_the_span_where_it_would_be_chosen():
    workload = workloads.Workload("tall", random_problem(sizes=(500, 3, 1), m=5), 0.01)
    table = workloads.implementations(workload)
    params, _ = table["manual"]()(4)
    for way in ("manual-span", "autodiff-loop", "autodiff-span"):
        found, _ = table[way]()(4)
        for name, value in params.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-14)
    assert not [way for way in workloads.implementations(workload._replace(
        problem=random_problem(sizes=(4, 3, 1), m=50)
    )) if way.endswith("-span")]  # fmt: skip


def test_a_whole_training_is_priced_in_steps_of_the_course():
    workload = workloads.Workload("small", random_problem(sizes=(4, 5, 1)), 0.1)
    timed = whole_runs.training_speed(workload, iterations=20)
    assert (timed["layers"], timed["iterations"]) == ([4, 5, 1], 20)
    assert timed["course_s"] == pytest.approx(20 * timed["course_s_per_step"])
    assert timed["warm_ratio"] == pytest.approx(timed["course_s"] / timed["warm_s"])
    assert timed["cold_ratio"] == pytest.approx(timed["course_s"] / timed["cold_s"])


def test_repetitions_are_interleaved_and_each_takes_its_own_number_of_steps():
    taken = []
    runs = {name: partial(lambda name, n: taken.append((name, n)), name) for name in "ab"}
    times = timing.interleaved(runs, {"a": 3, "b": 5}, repetitions=2)
    assert taken == [("a", 1), ("a", 3), ("b", 1), ("b", 5)] * 2
    assert {name: len(values) for name, values in times.items()} == {"a": 2, "b": 2}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(("--repetitions", "0"), "--repetitions"), (("--seconds", "0"), "--seconds")],
)
def test_nothing_can_be_timed_in_no_time(arguments, named):
    run = CliRunner().invoke(app, ["speed", *arguments])
    assert run.exit_code == 2
    assert named in run.output
