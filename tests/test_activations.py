"""Every activation is its formula, and every backward its derivative, to rounding.

The references are computed in sixty digits; what remains is the rounding of the code itself.
With u the rounding unit and every library function within 8 units of its result
(`verify.evidence.bars.derived.LIBRARY`):

- sigmoid: e, the sum and the quotient: 8 + 1 + 1 units, relative to A, on both sides.
- tanh: the library's own 8.
- their derivatives, made from A: A (1 - A) is off by 10 units of A, then one for 1 - A and two
  for the products, each of a factor of at most 1: 13 units absolute. 1 - A^2 likewise: 16 + 3.
- softmax: the shift rounds Z - max, which moves e by |Z - max| units of itself, then 8 for e,
  n for the sum and 1 for the quotient, relative to A.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import precise
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import manual

DTYPES = (np.float32, np.float64)
ENTRYWISE = ("relu", "tanh", "sigmoid")


def unit(dtype) -> float:
    return float(np.finfo(dtype).eps) / 2


def tiny(dtype) -> float:
    """Return the smallest positive number: what any result may be off by where it underflows."""
    return float(np.finfo(dtype).smallest_subnormal)


def numbers(dtype, size: float):
    """Return finite numbers up to `size`, none so small that sixty digits would not see it."""
    width = np.dtype(dtype).itemsize * 8
    least = 2.0**-60
    return st.floats(-size, size, width=width).map(lambda z: z if abs(z) >= least else 0.0)


@given(z=st.sampled_from(DTYPES).flatmap(lambda d: numbers(d, 80).map(d)))
def test_sigmoid_and_tanh_are_their_formulas(z):
    Z = np.array([[z]])
    for name, units in (("sigmoid", 10), ("tanh", 8)):
        A = manual.ACTIVATIONS[name].forward(Z).item()
        exact = precise.exactly(getattr(precise, name), z)
        assert abs(A - exact) <= units * unit(Z.dtype) * abs(exact) + tiny(Z.dtype)


@pytest.mark.parametrize(("name", "units"), [("sigmoid", 13), ("tanh", 19)])
@given(
    pair=st.sampled_from(DTYPES).flatmap(
        lambda d: st.tuples(numbers(d, 80).map(d), numbers(d, 10).map(d))
    )
)
def test_their_backwards_are_their_derivatives(name, units, pair):
    Z, dA = (np.array([[number]]) for number in pair)
    exact = dA.item() * precise.derivative(getattr(precise, name), Z.item())
    dZ = manual.ACTIVATIONS[name].backward(dA, Z).item()
    assert abs(dZ - exact) <= units * unit(Z.dtype) * abs(dA.item()) + tiny(Z.dtype)


@given(
    columns=st.sampled_from(DTYPES).flatmap(
        lambda d: st.tuples(st.integers(1, 4), st.integers(1, 3)).flatmap(
            lambda shape: st.tuples(*(arrays(d, shape, elements=numbers(d, 20)) for _ in range(2)))
        )
    )
)
def test_softmax_is_its_formula_and_its_backward_the_jacobian_transposed(columns):
    Z, dA = columns
    n, u = len(Z), unit(Z.dtype)
    A, dZ = manual.softmax(Z), manual.softmax_backward(dA, Z)
    for j in range(Z.shape[1]):
        z, weights = Z[:, j].tolist(), [Decimal(weight) for weight in dA[:, j].tolist()]

        def projected(*z, weights=weights):
            return sum(w * a for w, a in zip(weights, precise.softmax(z), strict=True))

        units = (max(z) - min(z)) + 8 + n + 1
        for i in range(n):
            exact = precise.exactly(lambda *z, i=i: precise.softmax(z)[i], *z)
            assert abs(A[i, j] - exact) <= units * u * exact + tiny(Z.dtype)

            slope = precise.derivative(
                lambda x, i=i, z=z: projected(*map(Decimal, z[:i]), x, *map(Decimal, z[i + 1 :])),
                z[i],
            )
            # Each of A's two appearances brings `units`, the sum n more, and 4 for what is left.
            bar = 2 * (2 * units + n + 4) * u * exact * np.abs(dA[:, j]).max() + 4 * tiny(Z.dtype)
            assert abs(dZ[i, j] - slope) <= bar


def test_relu_and_its_slope_on_both_sides_of_zero_and_at_it():
    Z = np.array([[-2.0, -5e-324, -0.0, 0.0, 5e-324, 3.0]])
    np.testing.assert_array_equal(manual.relu(Z), [[0, 0, 0, 0, 5e-324, 3]])
    dA = np.array([[1.0, 2, 3, 4, 5, 6]])
    np.testing.assert_array_equal(manual.relu_backward(dA, Z), [[0, 0, 0, 0, 5, 6]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_overflows_a_thousand_away(dtype):
    Z = np.array([[-1e3, 1e3]], dtype)
    dA = np.ones_like(Z)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        np.testing.assert_array_equal(manual.sigmoid(Z), [[0, 1]])
        np.testing.assert_array_equal(manual.tanh(Z), [[-1, 1]])
        np.testing.assert_array_equal(manual.softmax(Z.T), [[0], [1]])
        np.testing.assert_array_equal(manual.softmax(np.full((2, 1), 1e3, dtype)), [[0.5]] * 2)
        for name in ("sigmoid", "tanh"):
            np.testing.assert_array_equal(manual.ACTIVATIONS[name].backward(dA, Z), [[0, 0]])
        np.testing.assert_array_equal(manual.softmax_backward(dA.T, Z.T), [[0], [0]])


def test_sigmoid_keeps_its_relative_precision_where_it_is_almost_0():
    Z = np.array([[-700.0]])
    exact = precise.exactly(precise.sigmoid, -700)
    assert manual.sigmoid(Z).item() == pytest.approx(exact, rel=10 * unit(np.float64), abs=0)


@pytest.mark.parametrize("name", manual.ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_dtype_stays(name, dtype):
    Z = np.array([[0.5, -1], [2, 0]], dtype)
    forward, backward = manual.ACTIVATIONS[name]
    A = forward(Z)
    assert A.dtype == dtype
    assert backward(Z, Z).dtype == dtype
    assert backward(Z, Z, A).dtype == dtype


@pytest.mark.parametrize("name", manual.ACTIVATIONS)
def test_a_backward_given_the_a_of_the_forward_pass_does_the_same_without_z(name):
    rng = np.random.default_rng(0)
    Z, dA = rng.normal(size=(2, 3, 4))
    forward, backward = manual.ACTIVATIONS[name]
    np.testing.assert_array_equal(backward(dA, Z, forward(Z)), backward(dA, Z))
    if name != "relu":
        # The A that was handed over is used: another A gives another gradient.
        assert not np.array_equal(backward(dA, Z, forward(Z) / 2), backward(dA, Z))


@pytest.mark.parametrize("name", manual.ACTIVATIONS)
def test_arguments_are_left_as_they_were(name):
    rng = np.random.default_rng(0)
    Z, dA = rng.normal(size=(2, 3, 4))
    kept = Z.copy(), dA.copy()
    forward, backward = manual.ACTIVATIONS[name]
    backward(dA, Z, forward(Z))
    np.testing.assert_array_equal((Z, dA), kept)
