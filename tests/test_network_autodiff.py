"""The mirror keeps its own contract: its dtype, its convention at 0, its place in JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import random_problem

import autodiff


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_are_numpy_s_in_the_dtype_of_the_parameters(dtype):
    problem = random_problem(dtype=dtype, keep_prob=0.5)
    loss, grads = autodiff.loss_and_grads(*problem.arguments, **problem.options)
    found = autodiff.intermediate_grads(*problem.arguments, **problem.options)
    assert isinstance(loss, np.floating)
    assert list(grads) == list(problem.params)
    assert list(found) == ["dZ1", "dA1", "dZ2", "dA2", "dZ3"]
    for array in (loss, *grads.values(), *found.values()):
        assert array.dtype == dtype
    for array in (*grads.values(), *found.values()):
        assert isinstance(array, np.ndarray)


def test_jax_s_settings_outside_the_call_stay_as_they_were():
    problem = random_problem()
    assert jnp.ones(1).dtype == np.float32
    autodiff.loss_and_grads(*problem.arguments, **problem.options)
    autodiff.intermediate_grads(*problem.arguments, **problem.options)
    assert jnp.ones(1).dtype == np.float32
    assert autodiff.loss(*problem.arguments, **problem.options).dtype == np.float32


def test_the_relu_slope_at_zero_is_zero():
    zero, one = np.zeros((1, 1)), np.ones((1, 1))
    params = {"W1": zero, "b1": zero, "W2": one, "b2": zero}
    _, grads = autodiff.loss_and_grads(params, one, one)
    assert grads["b1"] == 0
    assert grads["b2"] == -0.5


def test_the_loss_composes_with_jax():
    problem = random_problem(hidden="tanh")

    @jax.jit
    def of_scale(scale):
        params = {name: scale * value for name, value in problem.params.items()}
        return autodiff.loss(params, problem.X, problem.Y, **problem.options)

    with jax.enable_x64(True):
        slope = jax.grad(of_scale)(1.0)
    _, grads = autodiff.loss_and_grads(*problem.arguments, **problem.options)
    terms = np.concatenate([(grads[n] * problem.params[n]).ravel() for n in grads])
    # The chain rule; the two orders of summation round within a few hundred units of the terms.
    assert abs(slope - terms.sum()) <= 1e3 * np.finfo(float).eps * np.abs(terms).sum()


@pytest.mark.parametrize(
    "function", [autodiff.loss, autodiff.loss_and_grads, autodiff.intermediate_grads]
)
def test_dropout_without_masks_is_refused(function):
    problem = random_problem()
    with pytest.raises(ValueError, match="masks: got none with keep_prob "):
        function(problem.params, problem.X, problem.Y, keep_prob=0.5)
