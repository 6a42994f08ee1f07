"""Parameters are the course's draws, times the scale that the initialiser's name promises."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import manual

SIZES = (6, 4, 3, 1)
SCALES = {
    "fan-in": lambda n_in, n_out: n_in**-0.5,
    "xavier-in": lambda n_in, n_out: n_in**-0.5,
    "xavier": lambda n_in, n_out: ((n_in + n_out) / 2) ** -0.5,
    "he": lambda n_in, n_out: (n_in / 2) ** -0.5,
}


def test_a_small_normal_network_is_the_one_that_the_course_prints():
    params = manual.initialize((3, 2, 1), 0.01, np.random.RandomState(1))
    printed = {
        "W1": [[0.01624345, -0.00611756, -0.00528172], [-0.01072969, 0.00865408, -0.02301539]],
        "b1": [[0], [0]],
        "W2": [[0.01744812, -0.00761207]],
        "b2": [[0]],
    }
    assert list(params) == list(printed)
    for name, value in printed.items():
        np.testing.assert_array_equal(params[name].round(8), value)


@pytest.mark.parametrize("name", SCALES)
def test_every_weight_is_the_next_draw_times_its_layer_s_scale(name):
    params = manual.initialize(SIZES, name, np.random.RandomState(3))
    draws = np.random.RandomState(3)
    for layer, (n_in, n_out) in enumerate(pairwise(SIZES), start=1):
        expected = draws.standard_normal((n_out, n_in)) * SCALES[name](n_in, n_out)
        # The scale is a quotient and a root, each rounded once, written in two ways.
        np.testing.assert_allclose(params[f"W{layer}"], expected, rtol=4 * np.finfo(float).eps)
        np.testing.assert_array_equal(params[f"b{layer}"], np.zeros((n_out, 1)))


def test_every_name_is_known_and_tested():
    assert set(manual.INITIALIZERS) == {"zeros", *SCALES}


@pytest.mark.parametrize("init", ["zeros", 0.0])
def test_zeros_draw_nothing(init):
    rng = np.random.RandomState(1)
    params = manual.initialize(SIZES, init, rng)
    assert all((value == 0).all() for value in params.values())
    assert rng.standard_normal() == np.random.RandomState(1).standard_normal()


def test_float32_parameters_are_the_float64_ones_rounded():
    double = manual.initialize(SIZES, "he", np.random.default_rng(0))
    single = manual.initialize(SIZES, "he", np.random.default_rng(0), np.float32)
    for name, value in single.items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, double[name].astype(np.float32))


def test_he_keeps_the_second_moment_through_relu_layers():
    n, layers, m = 500, 4, 400
    params = manual.initialize((n,) * (layers + 1), "he", np.random.default_rng(0))
    A = np.random.default_rng(1).normal(size=(n, m))
    first = (A**2).mean()
    for layer in range(1, layers + 1):
        A = manual.relu(params[f"W{layer}"] @ A)
    # E relu(Z)^2 = Var(Z) / 2, and He doubles it. Each layer's weights move the moment by about
    # sqrt(5 / n) of itself, the deviation of a mean of n terms relu(Z)^2: their variance is 5
    # times their mean's square.
    assert abs(np.log((A**2).mean() / first)) < 5 * np.sqrt(layers * 5 / n)


def test_no_hidden_layer_is_one_weight_matrix():
    assert list(manual.initialize((5, 1), "he", np.random.default_rng(0))) == ["W1", "b1"]
