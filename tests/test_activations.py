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

import jax
import numpy as np
import precise
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import autodiff
import manual
from verify.activations import ACTIVATIONS, KINKED

DTYPES = (np.float32, np.float64)


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


def test_leaky_relu_and_its_slope_on_both_sides_of_zero_and_at_it():
    Z = np.array([[-2.0, -(2.0**-900), -0.0, 0.0, 2.0**-900, 3.0]])
    np.testing.assert_array_equal(
        manual.leaky_relu(Z), [[-0.02, -0.01 * 2.0**-900, 0, 0, 2.0**-900, 3]]
    )
    dA = np.array([[1.0, 2, 3, 4, 5, 6]])
    np.testing.assert_array_equal(
        manual.leaky_relu_backward(dA, Z), [[0.01, 0.02, 0.03, 0.04, 5, 6]]
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_by_hand_and_by_jax_a_kinked_activation_has_the_same_slopes_to_the_bit(dtype):
    Z = np.array([-2.0, -0.0, 0.0, 3.0], dtype)
    for name in KINKED:
        with autodiff.network.full_precision():
            slope = jax.grad(lambda Z, name=name: autodiff.network.ACTIVATIONS[name](Z).sum())(Z)
        np.testing.assert_array_equal(manual.ACTIVATIONS[name].backward(np.ones_like(Z), Z), slope)


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
    if name not in KINKED:
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


def test_every_table_has_the_same_activations():
    assert ACTIVATIONS.keys() == autodiff.network.ACTIVATIONS.keys()
    assert ACTIVATIONS.keys() == manual.ACTIVATIONS.keys() - {"softmax"}  # of an output alone


AWAY = np.array([[-7.0, -1.25, -0.25, 2.0**-40, 0.5, 1.5, 9.0]])
"""Points away from every kink."""


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_row_is_the_activation_that_both_networks_have(name):
    row, (forward, backward) = ACTIVATIONS[name], manual.ACTIVATIONS[name]
    for Z in (AWAY, np.zeros((1, 1))):
        A = row.value(Z)
        np.testing.assert_allclose(A, forward(Z), rtol=20 * unit(Z.dtype))
        np.testing.assert_allclose(A, autodiff.network.ACTIVATIONS[name](Z), rtol=1e-6)
        slope = backward(np.ones_like(Z), Z)
        np.testing.assert_allclose(row.slope(Z), slope, rtol=0, atol=20 * unit(Z.dtype))
        np.testing.assert_allclose(row.slope_by_A(A), slope, rtol=0, atol=20 * unit(Z.dtype))


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_keeps_the_dtype(name, dtype):
    row, Z = ACTIVATIONS[name], AWAY.astype(dtype)
    functions = (row.value, row.slope, row.slope_by_A, row.bend_by_A, row.level)
    for function in (*functions, row.value_rounding, row.slope_rounding):
        assert function(Z).dtype == dtype


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_row_writes_the_derivative_that_it_computes(name):
    row = ACTIVATIONS[name]
    known = {"sigmoid": manual.sigmoid, "tanh": np.tanh, "where": np.where, "Z": AWAY}
    known["A"] = row.value(AWAY)
    for text in (row.derivative.format(Z="Z"), row.derivative_by_A.format(A="A")):
        np.testing.assert_allclose(eval(text, known), row.slope(AWAY), rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_bend_is_the_derivative_of_the_slope_by_a(name):
    row, h = ACTIVATIONS[name], 2.0**-20
    A = row.value(AWAY[:, AWAY[0] > 2 * h])
    difference = (row.slope_by_A(A + h) - row.slope_by_A(A - h)) / (2 * h)
    np.testing.assert_allclose(row.bend_by_A(A), difference, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_carried_difference_is_the_difference_of_two_values(name):
    row, wide = ACTIVATIONS[name], np.longdouble
    for d in (2.0**-41, 2.0**-17, -(2.0**-17)):
        Z = AWAY if abs(d) < 2.0**-40 else AWAY[np.abs(AWAY) > 2.0**-17]
        carried = row.carried(d, row.slope(Z), row.level(Z))
        subtracted = row.value(Z.astype(wide) + d) - row.value(Z.astype(wide))
        off = 20 * unit(np.float64) * np.abs(carried) + 8 * float(np.finfo(wide).eps)
        assert (np.abs(carried - subtracted) <= off).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_sides_of_a_kink_are_the_slopes_there_and_the_left_one_holds_at_it(name):
    row = ACTIVATIONS[name]
    at_zero, left, right = row.slope(np.array([0.0, -1e-300, 1e-300]))
    assert (name in KINKED) == (left != right)
    if row.sides is not None:
        assert row.sides == (left, right)
        assert at_zero == left
        assert np.isin(row.slope(AWAY), row.sides).all()
        assert row.jump == right - left
        assert row.steepest == max(abs(left), abs(right))
