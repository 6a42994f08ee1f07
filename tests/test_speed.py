"""Speed, side by side: that the ways take the same steps, and what the command says of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from problems import random_problem

import manual
import verify.speed
from verify.app import app
from verify.speed import course, workloads

SMALL = ("--data", "circles", "--layers", "3", "--l2", "0", "--keep-prob", "1", "--examples", "20")


@pytest.mark.parametrize("hidden", ["relu", "tanh", "sigmoid"])
def test_the_course_s_composition_takes_the_steps_of_ours(hidden):
    problem = random_problem(sizes=(4, 5, 3, 1), hidden=hidden)
    how = {"n": 5, "learning_rate": 0.3, "hidden": problem.hidden}
    params, _ = manual.steps(problem.params, problem.X, problem.Y, **how)
    theirs = course.steps(problem.params, problem.X, problem.Y, **how)
    for name, value in params.items():
        np.testing.assert_allclose(theirs[name], value, rtol=1e-12, atol=1e-15)


def test_a_problem_of_ones_own_is_timed_by_every_way(monkeypatch):
    monkeypatch.setattr(workloads.importlib.util, "find_spec", lambda name: None)  # no PyTorch
    monkeypatch.setattr(verify.speed, "machine", lambda dtype: (1e11, 1e10))
    how = ("--dtype", "float64", "--repetitions", "2", "--seconds", "0.001", "--format", "json")
    run = CliRunner().invoke(app, ["speed", *SMALL, *how], catch_exceptions=False)
    result = json.loads(run.stdout)
    (row,) = result["workloads"]
    assert (row["name"], row["dtype"], row["examples"]) == ("circles", "float64", 20)
    assert set(row["ms_per_step"]) == {"course", "manual", "autodiff-step", "autodiff-loop"}
    assert set(row["compile_s"]) == set(row["quartiles"]) == set(row["ms_per_step"])
    assert all(low <= row["ms_per_step"][way] <= high
               for way, (low, high) in row["quartiles"].items())  # fmt: skip
    assert row["ratio_to_best_peer"]["manual"] == pytest.approx(
        row["ms_per_step"]["manual"] / row["ms_per_step"]["course"]
    )
    # Forward and dW of both layers, dA of the second: two operations a multiplication.
    assert row["roofline"]["gflop_per_step"] == pytest.approx(2 * 20 * (3 * (6 + 3) - 6) / 1e9)
    assert result["exhaustive"]["parameters"] == 3 * 2 + 3 + 3 + 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(("--repetitions", "0"), "--repetitions"), (("--seconds", "0"), "--seconds")],
)
def test_nothing_can_be_timed_in_no_time(arguments, named):
    run = CliRunner().invoke(app, ["speed", *arguments])
    assert run.exit_code == 2
    assert named in run.output
