"""The composed network by hand: its loss, and every gradient against one that needs no calculus.

The reference is the textbook's formula written again, in complex arithmetic: with a step of
1e-100 i the imaginary part of the loss over 1e-100 is the derivative, with no subtraction and
so no rounding but the formula's own (Squire & Trapp, *Using complex variables to estimate
derivatives of real functions*, 1998).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import manual

STEP = 1e-100
EPS = np.finfo(float).eps
SLOPE = {
    "relu": lambda z: np.where(z.real > 0, z, 0),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
}


class Case(NamedTuple):
    """The arguments of the network's functions."""

    params: dict[str, np.ndarray]
    X: np.ndarray
    Y: np.ndarray
    masks: list[np.ndarray] | None
    options: dict

    @property
    def arguments(self):
        return self.params, self.X, self.Y, self.masks


def make_case(
    sizes, m, hidden="tanh", output="sigmoid", l2=0.0, keep_prob=1.0, seed=0, dtype=np.float64
) -> Case:
    """Return a generic case: every number drawn, biases too."""
    rng = np.random.default_rng(seed)
    params = {}
    for layer in range(1, len(sizes)):
        params[f"W{layer}"] = rng.normal(size=(sizes[layer], sizes[layer - 1])).astype(dtype)
        params[f"b{layer}"] = rng.normal(size=(sizes[layer], 1)).astype(dtype)
    labels = rng.integers(0, 2 if output == "sigmoid" else sizes[-1], m)
    Y = labels[None] if output == "sigmoid" else np.eye(sizes[-1])[:, labels]
    keeps = np.broadcast_to(keep_prob, len(sizes) - 2)
    masks = [rng.random((n, m)) < keep for n, keep in zip(sizes[1:-1], keeps, strict=True)]
    return Case(
        params,
        rng.normal(size=(sizes[0], m)).astype(dtype),
        Y.astype(dtype),
        masks if (keeps < 1).any() else None,
        {"hidden": hidden, "output": output, "l2": l2, "keep_prob": keep_prob},
    )


def textbook_loss(case: Case, params, X, probes=None):
    """Return the loss in its plainest formulas, in whatever numbers come in."""
    probes = probes or {}
    L, m = len(params) // 2, X.shape[1]
    hidden = np.broadcast_to(case.options["hidden"], L - 1)
    keeps = np.broadcast_to(case.options["keep_prob"], L - 1)
    A = X
    for layer in range(1, L + 1):
        Z = params[f"W{layer}"] @ A + params[f"b{layer}"] + probes.get(f"Z{layer}", 0)
        if layer < L:
            A = SLOPE[hidden[layer - 1]](Z)
            if case.masks is not None:
                A = A * case.masks[layer - 1] / keeps[layer - 1]
            A = A + probes.get(f"A{layer}", 0)
    if case.options["output"] == "sigmoid":
        # -log A where Y is 1, -log(1 - A) = -log sigmoid(-Z) where it is 0.
        J = np.log(1 + np.exp((1 - 2 * case.Y) * Z)).sum() / m
    else:
        J = (np.log(np.exp(Z).sum(axis=0)) - (case.Y * Z).sum(axis=0)).sum() / m
    squares = sum((params[f"W{layer}"] ** 2).sum() for layer in range(1, L + 1))
    return J + case.options["l2"] / (2 * m) * squares


def derivative(f, at: np.ndarray) -> np.ndarray:
    """Return the gradient of a complex function of an array, one entry at a time."""
    gradient = np.empty(at.shape)
    for index in np.ndindex(at.shape):
        moved = at.astype(complex)
        moved[index] += STEP * 1j
        gradient[index] = f(moved).imag / STEP
    return gradient


def expected(case: Case) -> dict[str, np.ndarray]:
    """Return the gradient by every parameter and by X, and of every intermediate times m."""
    params, X, m = case.params, case.X, case.X.shape[1]
    L = len(params) // 2
    grads = {
        name: derivative(lambda p, name=name: textbook_loss(case, {**params, name: p}, X), value)
        for name, value in params.items()
    }
    for layer in range(1, L + 1):
        for name in [f"Z{layer}", f"A{layer}"][: 2 if layer < L else 1]:
            zero = np.zeros((len(params[f"b{layer}"]), m))
            grads[f"d{name}"] = m * derivative(
                lambda p, name=name: textbook_loss(case, params, X, {name: p}), zero
            )
    grads["dA0"] = m * derivative(lambda x: textbook_loss(case, params, x), X)
    return grads


def rounding(case: Case) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Return how far rounding can carry each gradient at worst, and each Z.

    A running error analysis (Higham, 2002, section 3.3) by absolute values: every result is off
    by `UNITS` of itself and what its arguments were off by; slopes are at most 1 and change by
    at most the error of Z. It is doubled for the two evaluations and doubled again for complex
    products, each of four real ones.
    """
    units, params, m = 8 * EPS, case.params, case.X.shape[1]
    L = len(params) // 2
    keeps = np.broadcast_to(case.options["keep_prob"], L - 1)
    A, A_error = [np.abs(case.X)], [np.zeros_like(case.X)]
    Z_error = []
    for layer in range(1, L + 1):
        W, b = np.abs(params[f"W{layer}"]), np.abs(params[f"b{layer}"])
        size = W @ A[-1] + b
        Z_error.append(W @ A_error[-1] + (W.shape[1] + 1) * units * size)
        if layer < L:
            # No activation here is larger than its argument, or than 1.
            A.append(np.maximum(size, 1) / keeps[layer - 1])
            A_error.append(Z_error[-1] / keeps[layer - 1] + 2 * units * A[-1])
    bars = {}
    dZ = np.ones_like(case.Y)
    dZ_error = 2 * Z_error[-1] + len(dZ) * units
    for layer in range(L, 0, -1):
        W = np.abs(params[f"W{layer}"])
        bars[f"dZ{layer}"] = dZ_error
        terms = (m + 2) * units
        bars[f"W{layer}"] = (
            dZ_error @ A[layer - 1].T + dZ @ A_error[layer - 1].T + terms * (dZ @ A[layer - 1].T)
        ) / m + 4 * units * case.options["l2"] / m * W
        bars[f"b{layer}"] = (dZ_error + terms * dZ).sum(axis=1, keepdims=True) / m
        dA, dA_error = W.T @ dZ, W.T @ (dZ_error + (len(dZ) + 1) * units * dZ)
        bars[f"dA{layer - 1}"] = dA_error
        if layer > 1:
            dZ = dA / keeps[layer - 2]
            dZ_error = (dA_error + 4 * units * dA) / keeps[layer - 2] + dZ * Z_error[layer - 2]
    return {name: 4 * bar for name, bar in bars.items()}, Z_error


@st.composite
def cases(draw) -> Case:
    """Draw a network of any depth to 3 and width to 4, its data, its masks and its options."""
    depth = draw(st.integers(0, 3))
    output = draw(st.sampled_from(["sigmoid", "softmax"]))
    hidden = draw(st.lists(st.sampled_from(list(SLOPE)), min_size=depth, max_size=depth))
    widths = draw(st.lists(st.integers(1, 4), min_size=depth + 1, max_size=depth + 1))
    keeps = draw(st.lists(st.sampled_from([0.5, 0.8, 1.0]), min_size=depth, max_size=depth))
    return make_case(
        (*widths, 1 if output == "sigmoid" else draw(st.integers(1, 4))),
        draw(st.integers(1, 4)),
        hidden,
        output,
        draw(st.sampled_from([0.0, 0.7, 5.0])),
        keeps,
        draw(st.integers(0, 2**32 - 1)),
    )


@given(cases())
def test_every_gradient_is_the_derivative_of_the_textbook_loss(case):
    bars, Z_error = rounding(case)
    forward = {name: value for name, value in case.options.items() if name != "l2"}
    _, cache = manual.forward(case.params, case.X, case.masks, **forward)
    for layer, error in zip(cache, Z_error, strict=True):
        # Where the sign of Z is rounding's, so is the slope of relu. An exact 0 is no accident.
        assume(not ((layer.Z != 0) & (np.abs(layer.Z) <= 4 * error)).any())
    exact = expected(case)

    loss, grads = manual.loss_and_grads(*case.arguments, **case.options)
    assert loss == manual.loss(*case.arguments, **case.options)
    assert list(grads) == list(case.params)
    intermediates = manual.intermediate_grads(*case.arguments, **case.options)
    assert list(intermediates) == [name for name in exact if name[0] == "d" and name != "dA0"]
    _, with_input = manual.backward(
        manual.output_backward(cache, case.Y),
        cache,
        case.masks,
        l2=case.options["l2"],
        keep_prob=case.options["keep_prob"],
        input_gradient=True,
    )
    for name, value in {**grads, **with_input, **intermediates}.items():
        assert value.shape == exact[name].shape
        assert (np.abs(value - exact[name]) <= bars[name]).all(), name


@given(cases())
def test_the_loss_is_the_textbook_loss(case):
    exact = textbook_loss(case, case.params, case.X)
    _, Z_error = rounding(case)
    # The loss moves by at most twice what a logit does; its own rounding is a few library units
    # of it, the penalty included, and of the log of a sum over the classes.
    value = manual.loss(*case.arguments, **case.options)
    assert abs(value - exact) <= 8 * Z_error[-1].max() + 64 * EPS * (abs(exact) + 1)


def test_each_keep_prob_belongs_to_its_own_layer():
    case = make_case((3, 4, 3, 1), 6, "relu", keep_prob=[0.5, 0.8])
    W1, W2, b2 = case.params["W1"], case.params["W2"], case.params["b2"]
    _, cache = manual.forward(case.params, case.X, case.masks, hidden="relu", keep_prob=[0.5, 0.8])
    A1 = np.maximum(W1 @ case.X + case.params["b1"], 0) * case.masks[0] / 0.5
    A2 = np.maximum(W2 @ A1 + b2, 0) * case.masks[1] / 0.8
    np.testing.assert_array_equal(cache[1].A_prev, A1)
    np.testing.assert_array_equal(cache[2].A_prev, A2)


def test_masks_that_keep_everything_change_nothing():
    case = make_case((3, 4, 3, 1), 6, "relu", l2=0.7)
    kept = [np.ones((4, 6), bool), np.ones((3, 6), bool)]
    _, grads = manual.loss_and_grads(*case.arguments, **case.options)
    _, same = manual.loss_and_grads(case.params, case.X, case.Y, kept, **case.options)
    for name in grads:
        np.testing.assert_array_equal(grads[name], same[name])


def test_a_dropped_unit_learns_nothing_from_the_example_that_dropped_it():
    case = make_case((3, 4, 1), 5, "tanh")
    masks = [np.ones((4, 5), bool)]
    masks[0][2, 3] = False
    intermediates = manual.intermediate_grads(case.params, case.X, case.Y, masks, hidden="tanh")
    assert (intermediates["dZ1"] == 0).tolist() == (~masks[0]).tolist()
    assert intermediates["dA1"][2, 3] != 0


def test_no_hidden_layer_is_logistic_regression():
    case = make_case((3, 1), 5, l2=0.7)
    W, b, X, Y, m = case.params["W1"], case.params["b1"], case.X, case.Y, 5
    A = 1 / (1 + np.exp(-(W @ X + b)))
    loss, grads = manual.loss_and_grads(*case.arguments, l2=0.7)
    # The same few operations: sums of at most 5 terms of at most about 10 units each.
    np.testing.assert_allclose(grads["W1"], (A - Y) @ X.T / m + 0.7 / m * W, atol=50 * EPS)
    np.testing.assert_allclose(grads["b1"], (A - Y).mean(axis=1, keepdims=True), atol=50 * EPS)
    cost = -(Y * np.log(A) + (1 - Y) * np.log(1 - A)).mean() + 0.7 / (2 * m) * (W**2).sum()
    np.testing.assert_allclose(loss, cost, atol=50 * EPS * cost)


def test_l2_moves_the_loss_and_every_weight_and_no_bias_and_no_intermediate():
    case = make_case((3, 4, 2, 1), 5)
    plain, grads = manual.loss_and_grads(*case.arguments, hidden="tanh")
    penalised, pulled = manual.loss_and_grads(*case.arguments, hidden="tanh", l2=0.7)
    assert penalised > plain
    for name, grad in grads.items():
        if name[0] == "b":
            np.testing.assert_array_equal(pulled[name], grad)
        else:
            # One sum, rounded once.
            pull = 0.7 / 5 * case.params[name]
            bar = EPS * (np.abs(grad) + np.abs(pull))
            assert (np.abs(pulled[name] - grad - pull) <= bar).all()
    without = manual.intermediate_grads(*case.arguments, hidden="tanh")
    within = manual.intermediate_grads(*case.arguments, hidden="tanh", l2=0.7)
    for name in without:
        np.testing.assert_array_equal(without[name], within[name])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scalar", [float, np.float64])
@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
def test_the_dtype_of_the_parameters_decides_the_dtype_of_everything(dtype, scalar, output):
    case = make_case((3, 4, 3, 3 if output == "softmax" else 1), 5, output=output, dtype=dtype)
    X, Y = case.X.astype(np.float64), case.Y.astype(np.float64)
    masks = [np.ones((4, 5), bool), np.ones((3, 5), bool)]
    keep_prob = scalar(0.8)
    options = {"hidden": "sigmoid", "output": output, "keep_prob": keep_prob}
    AL, cache = manual.forward(case.params, X, masks, **options)
    loss, grads = manual.loss_and_grads(case.params, X, Y, masks, l2=scalar(0.7), **options)
    found = manual.intermediate_grads(case.params, X, Y, masks, l2=scalar(0.7), **options)
    arrays = [AL, loss, *grads.values(), *found.values()]
    arrays += [array for layer in cache for array in (layer.A_prev, layer.Z, layer.A)]
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}


def test_a_saturated_network_has_a_finite_loss_and_a_gradient_that_points_the_way():
    params = {"W1": np.array([[1e3]]), "b1": np.zeros((1, 1))}
    X, Y = np.array([[1.0, -1, 1, -1]]), np.array([[0.0, 1, 1, 0]])
    with np.errstate(all="raise", under="ignore"):
        loss, grads = manual.loss_and_grads(params, X, Y)
    assert loss == 500
    assert grads["W1"] == 0.5
    assert grads["b1"] == 0


def test_the_relu_slope_at_zero_is_zero():
    params = {
        "W1": np.zeros((1, 1)),
        "b1": np.zeros((1, 1)),
        "W2": np.ones((1, 1)),
        "b2": np.zeros((1, 1)),
    }
    _, grads = manual.loss_and_grads(params, np.ones((1, 1)), np.ones((1, 1)))
    assert grads["b1"] == 0
    assert grads["b2"] == -0.5


@pytest.mark.parametrize(
    "call",
    [
        lambda *given, l2=0.0, **how: manual.forward(*given[:2], given[3], **how)[0],
        lambda *given, **how: manual.loss(*given, **how),
        lambda *given, **how: manual.loss_and_grads(*given, **how)[1]["W1"],
        lambda *given, **how: manual.intermediate_grads(*given, **how)["dZ1"],
        lambda *given, **how: manual.steps(*given, n=2, learning_rate=0.1, **how)[0]["W1"],
        lambda *given, hidden="relu", output="sigmoid", **how: manual.backward(
            np.ones((1, 6)), manual.forward(*given[:2], given[3])[1], given[3], **how
        )[0]["W1"],
    ],
    ids=["forward", "loss", "grads", "intermediates", "steps", "backward"],
)
def test_options_that_are_left_out_are_relu_sigmoid_no_penalty_and_nothing_scaled(call):
    case = make_case((3, 4, 3, 1), 6, "relu", keep_prob=0.5)
    plain = {"hidden": "relu", "output": "sigmoid", "l2": 0.0, "keep_prob": 1.0}
    np.testing.assert_array_equal(call(*case.arguments), call(*case.arguments, **plain))


@pytest.mark.parametrize(
    "call",
    [
        lambda case, **options: manual.forward(case.params, case.X, **options),
        lambda case, **options: manual.loss(case.params, case.X, case.Y, **options),
        lambda case, **options: manual.loss_and_grads(case.params, case.X, case.Y, **options),
        lambda case, **options: manual.intermediate_grads(case.params, case.X, case.Y, **options),
    ],
)
@pytest.mark.parametrize("keep_prob", [0.5, [1.0, 0.5]])
def test_dropout_without_masks_is_refused(call, keep_prob):
    case = make_case((3, 4, 3, 1), 5)
    with pytest.raises(ValueError, match="masks: got none with keep_prob "):
        call(case, keep_prob=keep_prob)


def test_nothing_that_comes_in_is_changed():
    case = make_case((3, 4, 3, 1), 5, "relu", l2=0.7, keep_prob=0.5)
    before = [array.copy() for array in (*case.params.values(), case.X, case.Y, *case.masks)]
    manual.loss_and_grads(*case.arguments, **case.options)
    manual.intermediate_grads(*case.arguments, **case.options)
    after = (*case.params.values(), case.X, case.Y, *case.masks)
    for now, then in zip(after, before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_the_gradient_of_x_is_computed_only_where_it_is_asked_for(monkeypatch):
    from manual import network

    calls = []
    original = network.linear_backward_input
    monkeypatch.setattr(
        network,
        "linear_backward_input",
        lambda dZ, W: calls.append(W.shape) or original(dZ, W),
    )
    case = make_case((3, 4, 2, 1), 5)
    manual.loss_and_grads(*case.arguments, **case.options)
    assert calls == [(1, 2), (2, 4)]
    assert "dA0" not in manual.intermediate_grads(*case.arguments, **case.options)


def test_predict_is_the_likelier_class_and_an_even_chance_is_class_0():
    params = {"W1": np.array([[1.0]]), "b1": np.zeros((1, 1))}
    labels = manual.predict(params, np.array([[-1.0, 0, 1]]))
    assert labels.tolist() == [0, 0, 1]
    assert labels.dtype.kind == "i"
    params = {"W1": np.eye(3), "b1": np.zeros((3, 1))}
    X = np.array([[0.0, 3, 1, 0], [2, 1, 1, 1], [1, 2, 5, 7]])
    assert manual.predict(params, X, output="softmax").tolist() == [1, 0, 2, 2]


def test_predict_drops_nothing_and_uses_the_hidden_activations():
    case = make_case((3, 4, 1), 50, "tanh")
    AL, _ = manual.forward(case.params, case.X, hidden="tanh")
    assert manual.predict(case.params, case.X, hidden="tanh").tolist() == (AL[0] > 0.5).tolist()
    relu = manual.predict(case.params, case.X, hidden="relu")
    assert relu.tolist() != manual.predict(case.params, case.X, hidden="tanh").tolist()


def test_the_courses_forward_pass_comes_out():
    rng = np.random.RandomState(1)
    X, W1, b1, W2, b2 = (
        rng.standard_normal(shape) for shape in ((4, 2), (3, 4), (3, 1), (1, 3), (1, 1))
    )
    AL, cache = manual.forward({"W1": W1, "b1": b1, "W2": W2, "b2": b2}, X)
    np.testing.assert_array_equal(AL.round(8), [[0.17007265, 0.2524272]])
    assert len(cache) == 2


@pytest.mark.parametrize("input_gradient", [False, True])
def test_the_intermediates_are_every_dz_and_the_da_below_it(input_gradient):
    case = make_case((4, 5, 3, 1), m=7)
    AL, cache = manual.forward(case.params, case.X, hidden="tanh")
    _, found = manual.backward(AL - case.Y, cache, input_gradient=input_gradient)
    lowest = ["dA0"] if input_gradient else []
    assert sorted(found) == sorted(["dZ1", "dZ2", "dZ3", "dA1", "dA2", *lowest])
    for layer in (1, 2, 3) if input_gradient else (2, 3):
        above = case.params[f"W{layer}"].T @ found[f"dZ{layer}"]
        np.testing.assert_allclose(found[f"dA{layer - 1}"], above, rtol=1e-12)
    slope = 1 - np.tanh(cache[0].Z) ** 2
    np.testing.assert_allclose(found["dZ1"], found["dA1"] * slope, rtol=1e-9)
