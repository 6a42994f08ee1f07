"""Differences of a function of JAX, many evaluations at once: those of single calls."""

from __future__ import annotations

import math
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mesh_runs import environment

import verify
from verify.evidence.clock import Clock
from verify.evidence.differences import batches
from verify.evidence.differences.batches import Losses

RNG = np.random.default_rng(3)
W, X = RNG.standard_normal((20, 30)), RNG.standard_normal((30, 4))


def loss(params):
    return jnp.sum(jnp.tanh(params["W"] @ X) ** 2 * params["b"])


PARAMS = {"W": W, "b": RNG.standard_normal((20, 1))}
PLACES = np.arange(600)
VALUES = W.reshape(-1, 1) + np.array([2.0**-20, -(2.0**-20)])


def losses(function=loss):
    rows = np.array([[1.0], [-3.0]])
    return Losses(
        rows,
        lambda at: np.reshape(np.asarray(function(at), float), 1),
        lambda at: [function(at)],
        Clock(10_000, math.inf, lambda: None),
    )


def moved(f, left=lambda: 1000, places=PLACES):
    with jax.enable_x64(True):
        noise = np.full(2, 1e-14)
        values = VALUES[places]
        found = f.where_moved(PARAMS, "W", places, values, noise, left)
        single = [[f(PARAMS | {"W": replaced(i, x)}) for x in VALUES[i]] for i in (0, 41, 599)]
    return found, np.array(single)


def replaced(place, value):
    copy = W.copy()
    copy.reshape(-1)[place] = value
    return copy


def test_many_evaluations_at_once_are_those_of_single_calls():
    f = losses()
    found, single = moved(f)
    assert found.shape == (600, 2, 2)
    np.testing.assert_allclose(found[[0, 41, 599]], single, rtol=1e-14)
    assert not f.failed
    assert f.clock.made == 1200 + 2 + 6  # the batches, what they are compared with, and ours


def test_few_entries_are_called_one_by_one():
    assert moved(losses(), places=PLACES[: batches.ENOUGH - 1])[0] is None


def test_batches_end_where_no_calls_are_left(monkeypatch):
    monkeypatch.setattr(batches, "LARGEST", 128)
    left = iter([1000, 1000, 0])
    found, single = moved(losses(), left=lambda: next(left))
    assert found.shape == (128, 2, 2)
    np.testing.assert_allclose(found[[0, 41]], single[:2], rtol=1e-14)


@jax.custom_batching.custom_vmap
def two_faced(x):
    return x


@two_faced.def_vmap
def _(size, batched, x):
    return 1.001 * x, batched[0]


def test_a_function_that_is_another_one_when_vectorised_is_called_one_by_one():
    f = losses(lambda params: two_faced(loss(params)))
    assert moved(f)[0] is None
    assert f.failed == ["another function"]
    assert moved(f)[0] is None


def test_a_function_that_cannot_be_vectorised_is_called_one_by_one():
    def by_its_value(params):
        return loss(params) if float(params["W"][0, 0]) > 0 else 2 * loss(params)

    assert moved(losses(by_its_value))[0] is None


def test_a_function_of_numpy_is_never_traced():
    seen = set()

    def numpy_loss(params):
        seen.add(type(params["W"]))
        return np.sum(params["W"] * params["W"]) * 1.0

    assert moved(losses(numpy_loss))[0] is None
    assert seen == {np.ndarray}


def calls_of(function):
    """Return a function of JAX that counts its calls, and the count."""
    count = []

    def counted(*args):
        count.append(1)
        return function(*args)

    return counted, count


@pytest.mark.parametrize("factor", [1.0, 1.1])
def test_compare_and_check_vectorise_what_is_of_jax(factor):
    counted, count = calls_of(loss)

    def grads(params):
        found = jax.grad(loss)(params)
        return {"W": np.asarray(found["W"]) * factor, "b": np.asarray(found["b"])}

    report = verify.compare(counted, grads, PARAMS)
    assert report.ok == (factor == 1)
    assert len(count) < report.settings["evaluations"]

    @jax.custom_vjp
    def layer(w):
        return jnp.tanh(w @ X)

    layer.defvjp(lambda w: (layer(w), w), lambda w, g: (factor * (g * (1 - layer(w) ** 2)) @ X.T,))
    with jax.enable_x64(True):
        report = verify.check(layer, (jnp.asarray(W),))
    assert report.ok == (factor == 1)


ON_EIGHT = """
import jax
import numpy as np
import test_batches

assert len(jax.devices()) == 8
found, single = test_batches.moved(test_batches.losses())
np.testing.assert_allclose(found[[0, 41, 599]], single, rtol=1e-14)
print("same")
"""


@pytest.mark.slow
def test_on_eight_devices_the_numbers_are_the_same():
    done = subprocess.run(
        [sys.executable, "-c", ON_EIGHT],
        env=environment(8) | {"PYTHONPATH": "tests:."},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "same\n", done.stderr
