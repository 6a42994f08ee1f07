"""Linear and dropout, tested in numbers that floating point holds exactly, so to the last bit.

Small whole numbers, and powers of two to divide by, round nowhere: what should be equal is.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import manual

SIZES = st.integers(1, 5)
EXAMPLES = st.sampled_from([1, 2, 4, 8])
KEEP = st.sampled_from([0.25, 0.5, 1.0])


def whole(*shape):
    return arrays(np.float64, shape, elements=st.integers(-8, 8).map(float))


@st.composite
def linear_cases(draw):
    """Draw A_prev, W, b and a gradient dZ that fit."""
    n_in, n_out, m = draw(SIZES), draw(SIZES), draw(EXAMPLES)
    return draw(st.tuples(whole(n_in, m), whole(n_out, n_in), whole(n_out, 1), whole(n_out, m)))


@given(linear_cases())
def test_linear_is_a_weighted_sum_and_a_bias_written_out(case):
    A_prev, W, b, _ = case
    n_out, n_in = W.shape
    expected = [
        [sum(W[i, k] * A_prev[k, j] for k in range(n_in)) + b[i, 0] for j in range(A_prev.shape[1])]
        for i in range(n_out)
    ]
    for order in "CF":
        np.testing.assert_array_equal(manual.linear(A_prev.copy(order), W, b), expected)


@given(linear_cases(), st.data())
def test_linear_backward_is_the_adjoint_of_each_argument(case, data):
    # Z is linear in each argument, so moving one by V moves <dZ, Z> by <its gradient, V>; dW
    # and db are of the mean over the examples, dA_prev is not.
    A_prev, W, b, dZ = case
    m = dZ.shape[1]
    dA_prev, dW, db = manual.linear_backward(dZ, A_prev, W)
    Z = manual.linear(A_prev, W, b)
    arguments = {"A_prev": A_prev, "W": W, "b": b}
    for name, gradient, mean in (("A_prev", dA_prev, 1), ("W", dW, m), ("b", db, m)):
        V = data.draw(whole(*arguments[name].shape), label=f"direction of {name}")
        moved = manual.linear(**{**arguments, name: arguments[name] + V})
        assert np.vdot(dZ, moved - Z) == mean * np.vdot(gradient, V)


@given(linear_cases())
def test_the_two_halves_of_linear_backward_are_it(case):
    A_prev, W, _, dZ = case
    halves = manual.linear_backward_input(dZ, W), *manual.linear_backward_params(dZ, A_prev)
    for half, whole in zip(halves, manual.linear_backward(dZ, A_prev, W), strict=True):
        np.testing.assert_array_equal(half, whole)


@st.composite
def dropout_cases(draw):
    """Draw A, a mask, a keep_prob and a gradient dA that fit."""
    shape = draw(SIZES), draw(EXAMPLES)
    return draw(st.tuples(whole(*shape), arrays(bool, shape), KEEP, whole(*shape)))


@given(dropout_cases())
def test_dropout_silences_what_the_mask_drops_and_scales_up_what_it_keeps(case):
    A, mask, keep_prob, _ = case
    dropped = manual.dropout(A, mask, keep_prob)
    assert (dropped[~mask] == 0).all()
    np.testing.assert_array_equal(dropped[mask] * keep_prob, A[mask])


@given(dropout_cases(), st.data())
def test_dropout_backward_is_the_adjoint_with_the_same_mask_and_scale(case, data):
    A, mask, keep_prob, dA = case
    V = data.draw(whole(*A.shape), label="direction of A")
    change = manual.dropout(A + V, mask, keep_prob) - manual.dropout(A, mask, keep_prob)
    assert np.vdot(dA, change) == np.vdot(manual.dropout_backward(dA, mask, keep_prob), V)


def test_dropout_keeps_the_mean_over_all_masks():
    # Over all 16 masks of four units, each weighed by its probability.
    A, keep_prob = np.array([[1.0], [2], [3], [4]]), 0.25
    mean = np.zeros_like(A)
    for number in range(16):
        mask = np.array([[number >> bit & 1] for bit in range(4)], bool)
        kept = mask.sum()
        weight = keep_prob**kept * (1 - keep_prob) ** (4 - kept)
        mean += weight * manual.dropout(A, mask, keep_prob)
    np.testing.assert_array_equal(mean, A)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("keep_prob", [0.3, np.float64(0.3)], ids=["float", "numpy's float64"])
def test_the_dtype_stays(dtype, keep_prob):
    A, mask = np.ones((3, 4), dtype), np.ones((3, 4), bool)
    W, b = np.ones((2, 3), dtype), np.ones((2, 1), dtype)
    assert manual.linear(A, W, b).dtype == dtype
    for gradient in manual.linear_backward(np.ones((2, 4), dtype), A, W):
        assert gradient.dtype == dtype
    assert manual.dropout(A, mask, keep_prob).dtype == dtype
    assert manual.dropout_backward(A, mask, keep_prob).dtype == dtype


def test_arguments_are_left_as_they_were():
    rng = np.random.default_rng(0)
    A, W, b, dZ = (rng.normal(size=size) for size in ((3, 4), (2, 3), (2, 1), (2, 4)))
    kept = A.copy(), W.copy(), b.copy(), dZ.copy()
    manual.linear(A, W, b)
    manual.linear_backward(dZ, A, W)
    mask = A > 0
    manual.dropout(A, mask, 0.5)
    manual.dropout_backward(A, mask, 0.5)
    for now, before in zip((A, W, b, dZ), kept, strict=True):
        np.testing.assert_array_equal(now, before)
