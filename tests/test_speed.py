"""Speed, side by side: that the ways take the same steps, and what the command says of them."""

from __future__ import annotations

import importlib.util
import io
import json
from functools import partial

import numpy as np
import pages
import pytest
from click.testing import CliRunner
from problems import random_problem
from rich.console import Console

import manual
import verify.course.speed
from verify.cli.app import app
from verify.course.speed import matrix_products, timing, whole_runs, workloads
from verify.course.speed.implementations import implementations
from verify.course.speed.peers import PEERS, peers_for
from verify.show import speed

SMALL = ("--data", "circles", "--layers", "3", "--l2", "0", "--keep-prob", "1", "--examples", "20")
OURS = ("manual", "autodiff-eager", "autodiff-numpy", "autodiff-jit", "autodiff-loop")
EVERYWHERE = {"course", "scikit-learn", *OURS}
"""The ways that need nothing but Backproof's own dependencies."""
REGULARISED = {"l2": 0.7, "keep_prob": 0.8}
COMPILED = {"numba", "torch-compile"}


@pytest.fixture
def no_peers(monkeypatch):
    """Let nothing be installed but what Backproof depends on, and the machine be known."""
    real = importlib.util.find_spec
    absent = {"autograd", "numba", "torch"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name in absent else real(name)
    )
    monkeypatch.setattr(verify.course.speed, "limits", lambda dtype: (1e11, 1e10))


@pytest.mark.parametrize("options", [{}, {"l2": 0.7}, REGULARISED])
@pytest.mark.parametrize(
    "hidden",
    ["relu", *(pytest.param(name, marks=pytest.mark.slow) for name in ("tanh", "sigmoid"))],
)
def test_every_implementation_takes_the_same_steps(hidden, options):
    problem = random_problem(sizes=(4, 5, 3, 1), hidden=hidden, **options)
    steps = implementations(workloads.Workload("small", problem, 0.3))
    ways = [way for way in steps if way not in COMPILED]
    assert set(ways) >= EVERYWHERE - ({"scikit-learn"} if "keep_prob" in options else set())
    held_to_ours(problem, {way: steps[way] for way in ways})


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, REGULARISED])
@pytest.mark.parametrize("hidden", ["relu", ("tanh", "sigmoid")])
@pytest.mark.parametrize("way", sorted(COMPILED))
def test_what_compiles_long_takes_the_same_steps(way, hidden, options):
    pytest.importorskip(PEERS[way].module)
    problem = random_problem(sizes=(4, 5, 3, 1), hidden=hidden, **options)
    steps = implementations(workloads.Workload("small", problem, 0.3))
    held_to_ours(problem, {way: steps[way]})


def held_to_ours(problem, steps):
    """Hold five steps of each way to `manual.steps`, parameters and cost."""
    how = {"n": 5, "learning_rate": 0.3, **problem.options}
    expected, _ = manual.steps(*problem.arguments, **how)
    cost = manual.loss(expected, *problem.arguments[1:], **problem.options)
    for way, prepare in steps.items():
        run = prepare()
        run(2)  # each call starts anew from the problem's parameters
        found = {name: np.asarray(value) for name, value in run(5).items()}
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-12, err_msg=way)
        reached = manual.loss(found, *problem.arguments[1:], **problem.options)
        assert reached == pytest.approx(cost, rel=1e-9), way


def test_a_peer_is_asked_only_for_what_it_has():
    mixed = random_problem(sizes=(4, 5, 3, 1), hidden=("relu", "tanh"))
    dropped = random_problem(sizes=(4, 5, 1), **REGULARISED)
    assert "scikit-learn" not in peers_for(mixed)
    assert "scikit-learn" not in peers_for(dropped)
    assert "course" in peers_for(dropped)
    assert not peers_for(random_problem(sizes=(4, 5, 3), output="softmax"))
    assert not peers_for(random_problem(sizes=(4, 5, 1), hidden="leaky-relu"))


@pytest.mark.slow
@pytest.mark.usefixtures("no_peers")
def test_a_problem_of_ones_own_is_timed_by_every_way():
    how = ("--dtype", "float64", "--repetitions", "2", "--seconds", "0.001", "--format", "json")
    run = CliRunner().invoke(app, ["speed", *SMALL, *how], catch_exceptions=False)
    result = json.loads(run.stdout)
    (row,) = result["workloads"]
    assert (row["name"], row["dtype"], row["examples"]) == ("circles", "float64", 20)
    assert set(row["ms_per_step"]) == EVERYWHERE
    assert {"date", "processor", "blas", "threads", "versions"} <= set(result["machine"])
    assert set(row["compile_s"]) == set(row["quartiles"]) == set(row["ms_per_step"])
    assert all(low <= row["ms_per_step"][way] <= high
               for way, (low, high) in row["quartiles"].items())  # fmt: skip
    assert row["ratio_to_best_peer"]["manual"] in row["ratio_to"]["manual"].values()
    # Forward and dW of both layers, dA of the second: two operations a multiplication.
    assert row["roofline"]["gflop_per_step"] == pytest.approx(2 * 20 * (3 * (6 + 3) - 6) / 1e9)
    assert result["exhaustive"]["parameters"] == 3 * 2 + 3 + 3 + 1


@pytest.mark.slow
@pytest.mark.usefixtures("no_peers")
def test_the_table_names_every_way_in_full_within_eighty_columns():
    how = ("--repetitions", "1", "--seconds", "0.001")
    run = CliRunner().invoke(app, ["speed", *SMALL, *how], catch_exceptions=False)
    lines = run.stdout.splitlines()
    table = lines[: next(i for i, line in enumerate(lines) if line.startswith("differences of"))]
    assert max(map(len, map(str.rstrip, table))) <= 80
    for dtype in ("float64", "float32"):
        assert any(line.strip() == f"milliseconds a step, {dtype}" for line in table)
    for way in EVERYWHERE:
        assert sum(line.split()[:1] == [way] for line in table) >= 2


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
    monkeypatch.setattr(verify.course.speed, "limits", lambda dtype: (1e11, 1e10))
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


@pytest.mark.usefixtures("no_peers")
def test_products_are_timed_by_library_where_they_outweigh_their_calls(monkeypatch):
    problem = random_problem(sizes=(4, 5, 1))
    assert matrix_products.products_ms(problem, 1, 0.001) == {}
    monkeypatch.setattr(matrix_products, "SMALLEST", 0)
    timed = matrix_products.products_ms(problem, 1, 0.001)
    assert set(timed) == {"numpy", "jax"}
    assert all(set(kinds) == {"forward", "dW", "dA"} for kinds in timed.values())
    assert all(ms > 0 for kinds in timed.values() for ms in kinds.values())


def test_both_packages_have_the_span_where_it_would_be_chosen():
    workload = workloads.Workload("tall", random_problem(sizes=(500, 3, 1), m=5), 0.01)
    table = implementations(workload)
    params = table["manual"]()(4)
    for way in ("manual-span", "autodiff-loop", "autodiff-span"):
        found = table[way]()(4)
        for name, value in params.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-14)
    assert not [way for way in implementations(workload._replace(
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


def test_the_committed_run_is_readable_in_eighty_columns():
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(speed.text(json.loads(pages.RUN.read_text())))
    assert "\N{HORIZONTAL ELLIPSIS}" not in console.file.getvalue()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(("--repetitions", "0"), "--repetitions"), (("--seconds", "0"), "--seconds")],
)
def test_nothing_can_be_timed_in_no_time(arguments, named):
    run = CliRunner().invoke(app, ["speed", *arguments])
    assert run.exit_code == 2
    assert named in run.output
