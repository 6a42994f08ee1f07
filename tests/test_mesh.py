"""Several devices together give the numbers of one."""

from __future__ import annotations

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from mesh_runs import environment, on_devices
from problems import random_problem

import autodiff
from verify import mask_schedule, train
from verify.course.model_files import load
from verify.evidence.differences.exhaustive import exhaustive_differences, on_mesh

EPS = np.finfo(float).eps


def command(devices: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line where JAX has so many devices."""
    return subprocess.run(
        [sys.executable, "-m", "backproof", *map(str, arguments)],
        env=environment(devices), capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("strategy", "output", "classes"), [("loop", "softmax", 3), ("span", "sigmoid", 1)]
)
def test_columns_that_fill_up_count_for_nothing(strategy, output, classes):
    problem = random_problem(sizes=(4, 5, classes), output=output, keep_prob=0.8, m=7)
    wide = [np.concatenate([each, each[:, :3]], axis=1) for each in (problem.X, problem.Y)]
    masks = [np.concatenate([mask, mask[:, :3]], axis=1) for mask in problem.masks]
    how = {"n": 20, "learning_rate": 0.1, "strategy": strategy, **problem.options}
    params, costs = autodiff.steps(problem.params, problem.X, problem.Y, problem.masks, **how)
    filled_up, own_costs = autodiff.steps(problem.params, *wide, masks, m=7, **how)
    np.testing.assert_allclose(own_costs, costs, rtol=20 * EPS)
    for name, value in params.items():
        np.testing.assert_allclose(filled_up[name], value, rtol=20 * EPS, atol=20 * EPS)


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.slow), "float64"])
def test_a_mesh_of_one_device_gives_the_bits_of_none(dtype):
    problem = random_problem(keep_prob=0.8, m=11, dtype=dtype)
    how = {
        "masks": mask_schedule(3, problem.layers[1:-1], problem.m, problem.keep_prob),
        "learning_rate": 0.1, "iterations": 30, "strategy": "loop", "progress": False,
    }  # fmt: skip
    alone, on_mesh = train(problem, **how), train(problem, mesh=autodiff.example_mesh(1), **how)
    assert all(np.array_equal(alone.params[name], on_mesh.params[name]) for name in alone.params)


@pytest.mark.unchecked
def test_a_mesh_is_refused_where_there_is_none():
    problem = random_problem()
    with pytest.raises(ValueError, match=r"^mesh: got one with the backend manual, expected it w"):
        train(problem, learning_rate=0.1, iterations=1, backend="manual",
              mesh=autodiff.example_mesh(1))  # fmt: skip
    with pytest.raises(ValueError, match=r"^mesh: got int, expected a jax\.sharding\.Mesh, as"):
        train(problem, learning_rate=0.1, iterations=1, mesh=8)
    most = len(jax.devices())
    with pytest.raises(ValueError, match=rf"^devices: got {most + 1}, expected 1 to {most}, as"):
        autodiff.example_mesh(most + 1)


def test_eight_devices_train_to_the_costs_of_one():
    # Of three examples: most of the devices have nothing but what fills up.
    found = on_devices(
        8, "trainings", counts=[None, 8], network="few", strategy="loop", keep_prob=0.8, n=50
    )
    alone, together = found["costs"]
    np.testing.assert_allclose(together, alone, rtol=50 * EPS)
    assert found["apart"] <= 50 * EPS


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["loop", "span"])
@pytest.mark.parametrize("network", ["small", "few"])
def test_any_number_of_devices_trains_to_the_same_costs(network, strategy):
    found = on_devices(
        8, "trainings", counts=[None, 1, 2, 3, 8], network=network, strategy=strategy,
        keep_prob=0.8, n=300,
    )  # fmt: skip
    for costs in found["costs"]:
        np.testing.assert_allclose(costs, found["costs"][0], rtol=300 * EPS)
    assert found["apart"] <= 300 * EPS


# Rounding moves a cost by a few units a step: by less than 5,000 of them, 1e-12, in 1,000 steps.
@pytest.mark.parametrize(
    "strategy",
    [pytest.param("loop", marks=pytest.mark.long), pytest.param("span", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("keep_prob", [1.0, 0.8])
def test_the_cats_network_trains_on_eight_devices_as_on_one(strategy, keep_prob):
    found = on_devices(
        8, "trainings", counts=[None, 8], network="cats", strategy=strategy, keep_prob=keep_prob,
        n=2500,
    )  # fmt: skip
    alone, together = map(np.array, found["costs"])
    assert np.abs(together / alone - 1)[:1000].max() < 1e-12
    assert np.abs(together / alone - 1).max() < 1e-11


@pytest.mark.long
@pytest.mark.parametrize(("strategy", "n"), [("loop", 1000), ("span", 10)])
def test_the_wide_network_trains_on_eight_devices_as_on_one(strategy, n):
    found = on_devices(
        8, "trainings", counts=[None, 8], network="wide", strategy=strategy, keep_prob=0.8, n=n
    )
    alone, together = map(np.array, found["costs"])
    assert np.abs(together / alone - 1).max() < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("m", [3, 16, 21])
def test_the_products_of_all_examples_lie_by_columns(m):
    found = on_devices(8, "grams", m=m)
    width = -(-m // 8)
    assert found["wrong"] < 1e-14
    assert found["shapes"] == [[8 * width, width]] * 8


@pytest.mark.slow
def test_a_training_goes_on_with_another_number_of_devices(tmp_path):
    model, whole = tmp_path / "model.h5", tmp_path / "whole.h5"
    how = ("--data", "circles", "--layers", "4,3", "--keep-prob", "0.9")
    assert command(8, "train", *how, "--iterations", 40, "--save", model).returncode == 0
    went_on = command(3, "train", "--resume", model, "--iterations", 90)
    assert "JAX, on 3 devices: 50 iterations" in went_on.stdout
    alone = command(8, "train", *how, "--iterations", 90, "--save", whole, "--devices", 1)
    assert "JAX: 90 iterations" in alone.stdout
    for name, value in load(whole).params.items():
        np.testing.assert_allclose(load(model).params[name], value, rtol=90 * EPS, atol=90 * EPS)


@pytest.mark.slow
def test_the_command_says_how_many_devices_there_are():
    small = ("train", "--data", "circles", "--layers", "4", "--iterations", 5, "--format", "json")
    assert json.loads(command(4, *small).stdout)["devices"] == 4
    assert json.loads(command(4, *small, "--backend", "manual").stdout)["devices"] == 1
    refused = command(4, *small, "--devices", 5)
    assert refused.returncode == 2
    assert refused.stderr.startswith("Error: devices: got 5, expected 1 to 4, as JAX has them here")
    refused = command(4, *small, "--devices", 2, "--backend", "manual")
    assert refused.returncode == 2
    assert "devices: got 2 with the backend manual, expected it with autodiff" in refused.stderr


@pytest.mark.parametrize(
    ("sizes", "output", "hidden"),
    [
        ((4, 9, 5, 1), "sigmoid", ("tanh", "relu")),
        ((4, 3, 2, 5, 3), "softmax", ("sigmoid", "leaky-relu", "relu")),
        ((4, 3), "softmax", ()),
    ],
)
@pytest.mark.slow
def test_differences_of_every_weight_on_eight_devices_are_those_of_one(sizes, output, hidden):
    found = on_devices(8, "differences", sizes=sizes, m=11, output=output, hidden=hidden)
    assert found["order"]
    assert found["smooth"]
    # Bars hold for whatever order of summation; their truncation is itself a rounded difference.
    assert found["value"] < 1
    assert found["bar"] < 1e-6


def test_blocks_of_examples_add_up_on_a_mesh(monkeypatch):
    problem = random_problem(sizes=(4, 5, 3), m=23, output="softmax", hidden="relu")
    whole = exhaustive_differences(problem)
    monkeypatch.setattr(on_mesh, "ELEMENTS", 100)
    in_blocks = exhaustive_differences(problem, mesh=autodiff.example_mesh(1))
    for name, found in whole.items():
        assert (np.abs(in_blocks[name].value - found.value) < found.bar).all()


@pytest.mark.slow
def test_a_wrong_weight_is_found_on_whichever_device_it_lies():
    found = on_devices(8, "planted", size=1e-9)
    assert found["right"] == "agree"
    assert len(found["wrong"]) == 7
    for verdict, unit, row, column in found["wrong"]:
        assert (verdict, row, column) == ("disagree", unit, 600 * unit)


@pytest.mark.slow
def test_verify_says_the_same_on_eight_devices_as_on_one():
    how = ("verify", "--data", "digits", "--examples", 100, "--train", 20, "--format", "json")
    one, eight = (json.loads(command(8, *how, "--devices", n).stdout) for n in (1, 8))
    assert (one["settings"]["devices"], eight["settings"]["devices"]) == (1, 8)
    assert one["verdict"] == eight["verdict"] == "agree"
    for a, b in zip(one["tensors"], eight["tensors"], strict=True):
        assert (a["name"], a["entries_checked"], a["kinks"]) == (
            b["name"], b["entries_checked"], b["kinks"],
        )  # fmt: skip


@pytest.mark.slow
def test_the_model_of_the_cost_is_within_a_fifth_of_xla_s_own_analysis():
    rows = on_devices(8, "costs")
    assert len(rows) == 16
    for row in rows:
        for name, analysed in row["analysed"].items():
            assert row["predicted"][name] == pytest.approx(analysed, rel=0.2), (row, name)
