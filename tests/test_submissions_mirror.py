"""NumPy's code under JAX's eyes: the values are NumPy's, the derivatives those of the values."""

import math

import jax
import numpy as np
import pytest

from verify.evidence import trace
from verify.evidence.trace import FLOAT, Traced, UntraceableError, mirror_face
from verify.homework.run.workspace import ObservedRandom

np_ = mirror_face(ObservedRandom())
X = np.array([[0.3, -1.2, 0.7], [2.0, 0.4, -0.5]])


def gradient(f, at=X):
    """Return f's value by NumPy, and its gradient by JAX."""
    values = []

    def traced(tracer):
        result = f(Traced(at.copy(), tracer))
        values.append(np.asarray(trace.concrete(result)))
        return result.tracer.reshape(())

    with jax.enable_x64(True):
        found = np.asarray(jax.grad(traced)(at))
    return values[0], found


def differences(f, at=X, h=1e-6):
    found = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[index] = h
        found[index] = (float(np.squeeze(f(at + step))) - float(np.squeeze(f(at - step)))) / (2 * h)
    return found


def in_place(A):
    B = np_.zeros((2, 3))
    B[0] = A[1] * 2
    B[1, :2] = A[0, 1:]
    B += A
    B[B < 0] = 0
    return np_.sum(B * B)


def loops(A):
    total = 0.0
    for i in range(A.shape[0]):
        for a in A[i]:
            total += math_.exp(a) if a > 0 else a * a
    return total


def aliased(A):
    B = A * 1
    row = B[0]
    row *= 3
    return np_.sum(B**2)


math_ = trace.math_face()

FUNCTIONS = {
    "composed": lambda A: np_.sum(np_.log(1 / (1 + np_.exp(-A)))),
    "relu": lambda A: np_.sum(np_.maximum(0, A) * X),
    "relu by a mask": lambda A: np_.sum(A * (A > 0) * X),
    "relu by where": lambda A: np_.sum(np_.where(A > 0, A, 0) ** 2),
    "matrix product": lambda A: np_.sum(np_.dot(A, A.T) @ A),
    "einsum": lambda A: np_.einsum("ij,ij->", A, A * 2),
    "nansum and power": lambda A: np_.nansum(np_.power(A, 2)) + np_.sum(A**3),
    "mean, reshape, transpose": lambda A: np_.mean(A.reshape(3, 2).T * A),
    "concatenate and index": lambda A: np_.sum(np_.concatenate((A, A[:1]), axis=0)[1:] ** 2),
    "stack": lambda A: np_.sum(np_.array([[A[0, 0], A[1, 1]], [1.0, A[0, 2]]]) ** 2),
    "clip": lambda A: np_.sum(np_.clip(A, -1, 1) * X),
    "abs, max and norm": lambda A: np_.linalg.norm(A) + np_.abs(A).sum() + np_.max(A),
    "squeeze and float": lambda A: FLOAT(np_.squeeze(np_.sum(A * A, keepdims=True))),
    "builtin sum and abs": lambda A: sum(sum(abs(A))),
    "scalars in math": lambda A: math_.log(A[1, 0]) * A[0, 0],
    "vectorize": lambda A: np_.sum(np_.vectorize(lambda a: a * a if a > 0 else 2 * a)(A)),
    "boolean index": lambda A: np_.sum(A[A > 0] ** 2),
    "in place": in_place,
    "loops": loops,
    "through a view": aliased,
    "matrices": lambda A: np_.sum(np_.matrix(A) * np_.matrix(A).T),
    "real numpy on a traced array": lambda A: np.sum(np.tanh(A) * np.dot(A, np.ones((3, 3)))),
    "an array on the left": lambda A: np_.sum(X * A + X @ A.T @ X),
    "tolist": lambda A: sum(a * a for a in A.ravel().tolist()),
    "item": lambda A: A[0, 0].item() * A[1, 2],
    "ufunc reduce": lambda A: np.add.reduce(np.multiply(A, A), axis=None),
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_and_derivative_are_those_of_numpys_own_run(name):
    f = FUNCTIONS[name]
    value, found = gradient(f)
    plain = f(Traced(X.copy()))
    np.testing.assert_allclose(value, np.asarray(trace.concrete(plain)), rtol=1e-14)
    expected = differences(lambda at: trace.concrete(f(Traced(at.copy()))))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "relu",
    [
        lambda A: np_.maximum(0, A),
        lambda A: np_.maximum(A, 0),
        lambda A: np_.maximum(A, np_.zeros((2, 3))),
        lambda A: np_.clip(A, 0, None),
        lambda A: np_.where(A > 0, A, 0),
        lambda A: A * (A > 0),
    ],
)
def test_the_derivative_of_relu_at_zero_is_zero(relu):
    _, found = gradient(lambda A: np_.sum(relu(A)), np.zeros((2, 3)))
    assert not found.any()


def test_asserts_shapes_and_printing_see_the_value():
    def f(A):
        assert A.shape == (2, 3)
        assert A.ndim == 2
        assert isinstance(A, np_.ndarray)
        assert len(A) == 2
        assert (A > 1).any()
        assert not np_.isnan(A).any()
        cost = np_.squeeze(np_.sum(A))
        assert cost.shape == ()
        assert isinstance(FLOAT(cost), FLOAT)
        assert f"{cost:.2f}" == "1.70"
        assert format(cost, ".1f") == "1.7"
        return cost

    gradient(f)


def test_float32_inside_stays_float32():
    value, found = gradient(lambda A: np_.sum(A.astype(np_.float32) ** 2))
    assert value.dtype == np.float32
    np.testing.assert_allclose(found, 2 * X, rtol=1e-6)


def test_a_1_by_1_array_is_a_number_to_float_as_it_used_to_be():
    assert FLOAT(np.array([[2.5]])) == 2.5
    assert FLOAT("3") == 3.0
    assert isinstance(2.0, FLOAT)
    assert np.zeros(2, dtype=FLOAT).dtype == np.float64


def test_a_list_is_an_array_to_arithmetic():
    _, found = gradient(lambda A: np_.sum([[1.0, 3.0]] @ A))
    np.testing.assert_allclose(found, [[1] * 3, [3] * 3])


def test_what_loses_the_derivative_is_noted():
    trace.losses.clear()
    gradient(lambda A: np_.sum(A) + float(A[0, 0]) ** 2)
    assert trace.losses == ["float()"]


def test_what_cannot_be_followed_is_named():
    with pytest.raises(UntraceableError, match=r"np\.interp"):
        gradient(lambda A: np_.sum(np_.interp(A, [0, 1], [0, 1])))
    plain = np.zeros((2, 3))
    with pytest.raises(UntraceableError, match="plain array"):
        gradient(lambda A: plain.__setitem__(0, A[0]))


def test_names_that_numpy_has_dropped_are_noted_and_stood_in_for():
    face = mirror_face(ObservedRandom())
    assert face.product([2, 3]) == 6
    assert face.Inf == math.inf
    assert face.legacy == {"np.product", "np.Inf"}
    with pytest.raises(AttributeError):
        _ = face.no_such_name


def test_an_errors_kind_is_numpys_own():
    with pytest.raises(ValueError, match="mismatch"):
        gradient(lambda A: np_.sum(A @ A))
