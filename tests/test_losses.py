"""The losses are their formulas wherever the logits are, and their gradients the derivatives.

The references are computed in sixty digits. With u the rounding unit and library functions
within 8 units (`verify.evidence.bars.derived.LIBRARY`), the code may be off by:

- sigmoid: each term is log1p(e^-|Z|), off by 8 + 8 units of itself, plus |Z| or nothing; all
  are positive, so the mean of m of them is off by 18 + m units of itself.
- softmax: the shift moves each exponent by up to the range R of the logits, and so the log and
  the linear part by R units each; the log of a sum of n adds 8 + n and 8 of itself, which is at
  most log n; the difference, at most R + log n, one more. 3 R + 24 + n units an example, and
  m + 1 units of the mean.
- their gradients: A's own units (see the activations) and one for the difference.
"""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import precise
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import manual

DTYPES = (np.float32, np.float64)


def unit(dtype) -> float:
    return float(np.finfo(dtype).eps) / 2


@st.composite
def sigmoid_cases(draw, size=60):
    """Draw logits and labels (1, m)."""
    dtype, m = draw(st.sampled_from(DTYPES)), draw(st.integers(1, 4))
    Z = draw(arrays(dtype, (1, m), elements=st.floats(-size, size, width=16)))
    return Z, draw(arrays(bool, (1, m))).astype(dtype)


@st.composite
def softmax_cases(draw, size=30):
    """Draw logits and one-hot labels (classes, m)."""
    dtype, n, m = draw(st.sampled_from(DTYPES)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    Z = draw(arrays(dtype, (n, m), elements=st.floats(-size, size, width=16)))
    labels = draw(arrays(int, m, elements=st.integers(0, n - 1)))
    return Z, np.eye(n, dtype=dtype)[:, labels]


def sigmoid_term(z: Decimal, y: float) -> Decimal:
    """Return -log(sigmoid(z)) where y is 1, else -log(1 - sigmoid(z))."""
    return (1 + (-z if y else z).exp()).ln()


def softmax_term(z: list[Decimal], y: list[float]) -> Decimal:
    """Return -log of the softmax of the right class."""
    return -precise.softmax(z)[y.index(1)].ln()


@given(sigmoid_cases())
def test_sigmoid_cross_entropy_is_its_formula(case):
    Z, Y = case
    m = Z.shape[1]
    terms = [
        precise.exactly(lambda z, y=y: sigmoid_term(z, y), z) for z, y in zip(*Z, *Y, strict=True)
    ]
    value = manual.sigmoid_cross_entropy(Z, Y)
    assert value.dtype == Z.dtype
    assert abs(value - sum(terms) / m) <= (18 + m) * unit(Z.dtype) * sum(terms) / m


@given(sigmoid_cases())
def test_sigmoid_cross_entropy_backward_is_its_derivative(case):
    Z, Y = case
    dZ = manual.sigmoid_cross_entropy_backward(Z, Y)
    assert dZ.dtype == Z.dtype
    exact = [
        precise.derivative(lambda z, y=y: sigmoid_term(z, y), z)
        for z, y in zip(*Z, *Y, strict=True)
    ]
    assert (np.abs(dZ[0] - exact) <= 11 * unit(Z.dtype)).all()


@given(softmax_cases())
def test_softmax_cross_entropy_is_its_formula(case):
    Z, Y = case
    n, m = Z.shape
    columns = list(zip(Z.T.tolist(), Y.T.tolist(), strict=True))
    exact = sum(precise.exactly(lambda *z, y=y: softmax_term(z, y), *z) for z, y in columns) / m
    units = np.mean([3 * (max(z) - min(z)) + 24 + n for z, _ in columns]) + (m + 1) * exact
    value = manual.softmax_cross_entropy(Z, Y)
    assert value.dtype == Z.dtype
    assert abs(value - exact) <= units * unit(Z.dtype)


@given(softmax_cases())
def test_softmax_cross_entropy_backward_is_its_derivative(case):
    Z, Y = case
    n, m = Z.shape
    dZ = manual.softmax_cross_entropy_backward(Z, Y)
    assert dZ.dtype == Z.dtype
    for j in range(m):
        z, y = Z[:, j].tolist(), Y[:, j].tolist()
        for i in range(n):

            def along(x, i=i, z=z, y=y):
                return softmax_term([*map(Decimal, z[:i]), x, *map(Decimal, z[i + 1 :])], y)

            bar = (max(z) - min(z) + 8 + n + 2) * unit(Z.dtype)
            assert abs(dZ[i, j] - precise.derivative(along, z[i])) <= bar


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_losses_are_finite_and_right_a_thousand_away(dtype):
    Z, Y = np.array([[-1e3, 1e3, 1e3, -1e3]], dtype), np.array([[1, 0, 1, 0]], dtype)
    with np.errstate(all="raise", under="ignore"):
        assert manual.sigmoid_cross_entropy(Z, Y) == 500
        np.testing.assert_array_equal(manual.sigmoid_cross_entropy_backward(Z, Y), [[-1, 1, 0, 0]])
        both = np.concatenate([np.zeros_like(Z), Z])
        one_hot = np.concatenate([1 - Y, Y])
        assert manual.softmax_cross_entropy(both, one_hot) == 500
        np.testing.assert_array_equal(
            manual.softmax_cross_entropy_backward(both, one_hot), [[1, -1, 0, 0], [-1, 1, 0, 0]]
        )


@pytest.mark.parametrize("backward", ["sigmoid", "softmax"])
def test_an_output_gradient_uses_the_a_it_is_given(backward):
    Z, Y = np.zeros((2, 1)) if backward == "softmax" else np.zeros((1, 1)), np.ones((1, 1))
    Y = np.array([[1.0], [0]]) if backward == "softmax" else Y
    A = np.full_like(Z, 0.25)
    np.testing.assert_array_equal(manual.LOSSES[backward][1](Z, Y, A), A - Y)


@given(
    st.lists(
        arrays(np.float64, (2, 3), elements=st.integers(-8, 8).map(float)), min_size=1, max_size=3
    ),
    st.sampled_from([0.0, 0.5, 4.0]),
    st.sampled_from([1, 2, 8]),
    st.data(),
)
def test_l2_penalty_backward_is_the_derivative_of_l2_penalty(weights, l2, m, data):
    # Whole numbers round nowhere, and the central difference of a square is exact.
    layer = data.draw(st.integers(0, len(weights) - 1), label="layer")
    V = data.draw(arrays(np.float64, (2, 3), elements=st.integers(-4, 4).map(float)), label="V")

    def penalty(sign):
        moved = [W + sign * V if i == layer else W for i, W in enumerate(weights)]
        return manual.l2_penalty(moved, l2, m)

    assert penalty(0) == l2 / (2 * m) * sum((W**2).sum() for W in weights)
    slope = (penalty(1) - penalty(-1)) / 2
    assert slope == np.vdot(manual.l2_penalty_backward(weights[layer], l2, m), V)


@pytest.mark.parametrize("l2", [0.7, np.float64(0.7)], ids=["float", "numpy's float64"])
def test_the_penalty_keeps_the_dtype_of_the_weights(l2):
    W = np.ones((2, 3), np.float32)
    assert manual.l2_penalty([W], l2, 5).dtype == np.float32
    assert manual.l2_penalty_backward(W, l2, 5).dtype == np.float32


def test_the_clipped_cost_is_the_one_that_the_course_prints():
    A, Y = np.array([[0.8, 0.9, 0.4]]), np.ones((1, 3))
    # Three terms below 1, each of a rounded log, and their sum: fewer than 4 units of 1.
    assert abs(manual.clipped_cross_entropy(A, Y) - 0.41493159961539694) <= 4 * unit(np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_clipped_cost_is_finite_and_flat_where_the_output_saturates(dtype):
    A, Y = np.array([[0, 1, 0, 1]], dtype), np.array([[1, 0, 0, 1]], dtype)
    with np.errstate(all="raise"):
        costs = [manual.clipped_cross_entropy(A[:, [i]], Y[:, [i]]) for i in range(4)]
        moved = manual.clipped_cross_entropy(np.array([[1e-11]], dtype), Y[:, [0]])
    assert np.isfinite(costs).all()
    assert costs[0] == moved
    # The clip is 1e-10, or what the dtype can tell from 1.
    clip = max(1e-10, np.finfo(dtype).epsneg)
    np.testing.assert_allclose(costs, -np.log([clip, clip, 1 - clip, 1 - clip]), rtol=1e-6)


@given(sigmoid_cases(size=8))
def test_the_composed_output_gradient_is_the_fused_one_where_nothing_saturates(case):
    Z, Y = case
    A = manual.sigmoid(Z)
    composed = manual.sigmoid_backward(manual.cross_entropy_backward(A, Y), Z, A)
    # A quotient, two products and 1 - A twice, whose relative rounding is 1 / (1 - A) units at
    # most: it cancels between the two, being the same number.
    assert (np.abs(composed - (A - Y)) <= 5 * unit(Z.dtype)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_composed_output_gradient_dies_where_the_fused_one_points_the_way(dtype):
    Z, Y = np.array([[-800, 800]], dtype), np.array([[1, 0]], dtype)
    A = manual.sigmoid(Z)
    assert np.isinf(manual.cross_entropy_backward(A, Y)).all()
    with np.errstate(all="raise", under="ignore"):
        dA = manual.cross_entropy_backward(A, Y, clip=1e-10)
        np.testing.assert_array_equal(manual.sigmoid_backward(dA, Z, A), [[0, 0]])
        np.testing.assert_array_equal(manual.sigmoid_cross_entropy_backward(Z, Y, A), [[-1, 1]])


def test_a_saturated_softmax_keeps_the_digits_of_its_loss():
    Z, Y = np.array([[50.0], [0.0], [-3.0]]), np.array([[1.0], [0.0], [0.0]])
    expected = math.log1p(math.exp(-50) + math.exp(-53))
    assert manual.softmax_cross_entropy(Z, Y) == pytest.approx(expected, rel=1e-15)
