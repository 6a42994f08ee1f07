"""Softmax and normalisation by rows, and normalisation by columns: forward, backward, and alike."""

from __future__ import annotations

import numpy as np
import pytest

import manual
from verify.layer import check_vjp

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 5))
FORMS = ["normalize", "normalize_rows", "softmax_rows"]


@pytest.mark.parametrize("name", FORMS)
def test_each_backward_is_the_derivative_of_its_forward(name):
    assert check_vjp(getattr(manual, name), getattr(manual, f"{name}_backward"), X).ok


@pytest.mark.parametrize("name", FORMS)
def test_a_backward_that_scales_by_a_tenth_more_is_seen(name):
    backward = getattr(manual, f"{name}_backward")
    assert not check_vjp(getattr(manual, name), lambda dA, X: 1.1 * backward(dA, X), X).ok


@pytest.mark.parametrize(
    ("rows", "columns"), [("softmax_rows", "softmax"), ("normalize_rows", "normalize")]
)
def test_rows_are_columns_turned(rows, columns):
    dA = RNG.normal(size=X.shape)
    forward, backward = (getattr(manual, f"{rows}{part}") for part in ("", "_backward"))
    turned, turned_back = (getattr(manual, f"{columns}{part}") for part in ("", "_backward"))
    np.testing.assert_array_equal(forward(X), turned(X.T).T)
    np.testing.assert_array_equal(backward(dA, X), turned_back(dA.T, X.T).T)


def test_a_normalised_row_has_the_length_one_and_its_direction():
    # The course's own example: a row (0, 3, 4) becomes (0, 0.6, 0.8).
    np.testing.assert_array_equal(manual.normalize_rows(np.array([[0.0, 3, 4]])), [[0, 0.6, 0.8]])


def test_softmax_of_a_row_sums_to_one_however_large_it_is():
    A = manual.softmax_rows(np.array([[1000.0, 1001.0, 999.0], [0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(A.sum(axis=1), 1, rtol=4 * np.finfo(float).eps)
    np.testing.assert_array_equal(A[1], [1 / 3] * 3)


@pytest.mark.parametrize("name", FORMS)
def test_float32_stays_float32(name):
    single = X.astype(np.float32)
    assert getattr(manual, name)(single).dtype == np.float32
    assert getattr(manual, f"{name}_backward")(single, single).dtype == np.float32


def test_columns_are_normalised_by_the_length_of_each():
    X = np.array([[3.0, 0.0], [4.0, -2.0]])
    np.testing.assert_array_equal(manual.normalize(X), [[0.6, 0.0], [0.8, -1.0]])
