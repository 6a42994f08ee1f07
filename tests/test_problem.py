"""The door where input is checked: what is right comes in as it is, what is wrong is named."""

from __future__ import annotations

import numpy as np
import pytest

import manual
from verify import Problem

M = 5


def right(**changes) -> dict:
    """Return the arguments of a valid problem, 3-4-2-1 with dropout, with changes."""
    rng = np.random.default_rng(0)
    arguments = {
        "params": manual.initialize((3, 4, 2, 1), "he", rng),
        "X": rng.normal(size=(3, M)),
        "Y": np.array([[0, 1, 1, 0, 1]]),
        "masks": [rng.random((4, M)) < 0.5, rng.random((2, M)) < 0.5],
        "hidden": "relu",
        "output": "sigmoid",
        "l2": 0.7,
        "keep_prob": 0.5,
    }
    return {**arguments, **changes}


def params(**changes) -> dict:
    """Return the params of a valid problem with changes, a name of None left out."""
    merged = {**right()["params"], **changes}
    return {name: value for name, value in merged.items() if value is not None}


def holed(array, at, value) -> np.ndarray:
    array = np.array(array, dtype=float)
    array[at] = value
    return array


ONE_HOT = np.eye(3)[:, [0, 1, 2, 0, 1]]
SOFTMAX = {
    "output": "softmax",
    "params": manual.initialize((3, 4, 2, 3), "he", np.random.default_rng(0)),
}
NAN, INF = float("nan"), float("inf")

FAULTS = {
    # params
    "params of another kind": (
        {"params": [1, 2]},
        "params: got list, expected a dict of arrays W1, b1, ..., WL, bL",
    ),
    "no params": (
        {"params": {}},
        "params: got the keys none, expected W1, b1, ..., WL, bL without a gap",
    ),
    "a bias too few": (
        {"params": params(b2=None)},
        "params: got the keys W1, b1, W2, W3, b3, expected W1, b1, ..., WL, bL without a gap",
    ),
    "a layer too few": (
        {"params": params(W2=None, b2=None)},
        "params: got the keys W1, b1, W3, b3, expected W1, b1, ..., WL, bL without a gap",
    ),
    "whole-number params": (
        {"params": params(W1=np.ones((4, 3), int))},
        "params: got float64 and int64, expected all float32 or all float64",
    ),
    "params of two dtypes": (
        {"params": params(W1=np.ones((4, 3), np.float32))},
        "params: got float32 and float64, expected all float32 or all float64",
    ),
    "half-precision params": (
        {"params": {name: value.astype(np.float16) for name, value in params().items()}},
        "params: got float16, expected all float32 or all float64",
    ),
    "ragged params": (
        {"params": params(W1=[[1.0, 2.0], [3.0]])},
        "W1: got list of no numbers, expected a real array",
    ),
    "flat weights": (
        {"params": params(W1=np.ones(3))},
        "W1: got the shape (3,), expected (n1, n0)",
    ),
    "an empty layer": (
        {"params": params(W1=np.ones((0, 3)), b1=np.ones((0, 1)))},
        "W1: got the shape (0, 3), expected (n1, n0)",
    ),
    "weights that do not fit the layer before": (
        {"params": params(W2=np.ones((2, 5)))},
        "W2: got the shape (2, 5), expected (n2, 4)",
    ),
    "a flat bias": ({"params": params(b1=np.zeros(4))}, "b1: got the shape (4,), expected (4, 1)"),
    "a bias of another width": (
        {"params": params(b2=np.zeros((3, 1)))},
        "b2: got the shape (3, 1), expected (2, 1)",
    ),
    "NaN in params": (
        {"params": params(W2=holed(params()["W2"], (1, 2), NAN))},
        "W2: got nan at [1, 2], expected finite numbers",
    ),
    "infinity in params": (
        {"params": params(b3=np.array([[-INF]]))},
        "b3: got -inf at [0, 0], expected finite numbers",
    ),
    # X
    "X of other features": (
        {"X": np.ones((4, M))},
        "X: got the shape (4, 5), expected (3, m), as W1 has it",
    ),
    "a flat X": ({"X": np.ones(3)}, "X: got the shape (3,), expected (3, m)"),
    "an empty X": ({"X": np.ones((3, 0))}, "X: got the shape (3, 0), expected (3, m)"),
    "NaN in X": (
        {"X": holed(np.ones((3, M)), (2, 0), NAN)},
        "X: got nan at [2, 0], expected finite numbers",
    ),
    "an X of words": (
        {"X": [["a"] * M] * 3},
        "X: got list of no numbers, expected a real array",
    ),
    "a complex X": ({"X": 1j * np.ones((3, M))}, "X: got ndarray of no numbers"),
    "a ragged X": ({"X": [[1, 2], [3]]}, "X: got list of no numbers, expected a real array"),
    # Y
    "X and Y of different m": (
        {"Y": np.ones((1, 4))},
        "Y: got 4 examples, expected 5, as X has them",
    ),
    "a flat Y": ({"Y": np.ones(M)}, "Y: got the shape (5,), expected (1, 5)"),
    "one-hot Y for a sigmoid": ({"Y": ONE_HOT}, "Y: got the shape (3, 5), expected (1, 5)"),
    "a label of 2": ({"Y": [[0, 1, 2, 0, 1]]}, "Y: got the label 2, expected 0 and 1"),
    "half a label": ({"Y": [[0, 1, 0.5, 0, 1]]}, "Y: got the label 0.5, expected 0 and 1"),
    "a label that is no number": (
        {"Y": [[0, 1, NAN, 0, 1]]},
        "Y: got nan at [0, 2], expected finite numbers",
    ),
    "Y of two classes at once": (
        {**SOFTMAX, "Y": holed(ONE_HOT, (2, 0), 1)},
        "Y: got a column that is not one-hot, expected exactly one 1 a column",
    ),
    "Y of no class": (
        {**SOFTMAX, "Y": holed(ONE_HOT, (0, 0), 0)},
        "Y: got a column that is not one-hot",
    ),
    # output, hidden
    "a sigmoid of three units": (
        {"params": SOFTMAX["params"], "Y": ONE_HOT},
        "output: got sigmoid with 3 output units, expected softmax for those",
    ),
    "another output": ({"output": "relu"}, "output: got 'relu', expected sigmoid, softmax"),
    "another activation": ({"hidden": "gelu"}, "hidden: got 'gelu', expected relu, tanh, sigmoid"),
    "three activations for two layers": (
        {"hidden": ["relu", "tanh", "relu"]},
        "hidden: got 3 values for 2 hidden layers, expected one for all or one each",
    ),
    # l2
    "a negative l2": ({"l2": -0.1}, "l2: got -0.1, expected a number of at least 0"),
    "an l2 that is no number": ({"l2": NAN}, "l2: got nan, expected a number of at least 0"),
    "an infinite l2": ({"l2": INF}, "l2: got inf, expected a number of at least 0"),
    "an l2 in words": ({"l2": "much"}, "l2: got much, expected a number of at least 0"),
    # keep_prob
    "a keep_prob of 0": ({"keep_prob": 0}, "keep_prob: got 0, expected a number in (0, 1]"),
    "a keep_prob above 1": (
        {"keep_prob": 1.2},
        "keep_prob: got 1.2, expected a number in (0, 1]",
    ),
    "a keep_prob that is no number": ({"keep_prob": [0.5, NAN]}, "keep_prob: got nan, expected"),
    "a keep_prob in words": (
        {"keep_prob": "half"},
        "keep_prob: got half, expected a number in (0, 1]",
    ),
    "three keep_probs for two layers": (
        {"keep_prob": [0.9, 0.8, 0.7]},
        "keep_prob: got 3 values for 2 hidden layers, expected one for all or one each",
    ),
    # masks
    "keep_prob below 1 without masks": (
        {"masks": None},
        "masks: got none with keep_prob 0.5, 0.5, expected one boolean array a hidden layer",
    ),
    "one mask for two layers": (
        {"masks": right()["masks"][:1]},
        "masks: got 1, expected 2, one boolean array a hidden layer",
    ),
    "a mask of the wrong shape": (
        {"masks": [np.ones((4, M), bool), np.ones((2, 4), bool)]},
        "mask 2: got the shape (2, 4), expected (2, 5)",
    ),
    "a mask of shares": (
        {"masks": [np.full((4, M), 0.5), np.ones((2, M), bool)]},
        "mask 1: got values other than 0 and 1, expected a boolean array",
    ),
    "masks of another kind": ({"masks": 3}, "masks: got int, expected 2, one boolean array"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_said_in_one_sentence_that_names_the_argument(fault):
    changes, sentence = FAULTS[fault]
    with pytest.raises(ValueError, match=r"\w") as caught:
        Problem(**right(**changes))
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_what_is_right_comes_in_as_it_is():
    arguments = right()
    problem = Problem(**arguments)
    assert problem.m == M
    assert problem.layers == (3, 4, 2, 1)
    assert problem.dtype == np.float64
    assert problem.hidden == ("relu", "relu")
    assert problem.keep_prob == (0.5, 0.5)
    for name, value in arguments["params"].items():
        np.testing.assert_array_equal(problem.params[name], value)
    for mask, given in zip(problem.masks, arguments["masks"], strict=True):
        np.testing.assert_array_equal(mask, given)
        assert mask.dtype == bool


def test_the_order_of_the_keys_of_params_is_the_network_s_whatever_it_was():
    backwards = dict(reversed(params().items()))
    problem = Problem(**right(params=backwards))
    assert list(problem.params) == ["W1", "b1", "W2", "b2", "W3", "b3"]


def test_x_and_y_take_the_dtype_of_the_parameters():
    single = {name: value.astype(np.float32) for name, value in params().items()}
    problem = Problem(**right(params=single))
    assert {problem.X.dtype, problem.Y.dtype, problem.dtype} == {np.dtype(np.float32)}


def test_masks_of_zeros_and_ones_become_boolean():
    whole = [mask.astype(int) for mask in right()["masks"]]
    assert all(mask.dtype == bool for mask in Problem(**right(masks=whole)).masks)


def test_masks_without_a_keep_prob_below_1_are_kept():
    # A mask is applied whatever the keep_prob: the masks are the data, keep_prob the scale.
    assert Problem(**right(keep_prob=1.0)).masks is not None


@pytest.mark.parametrize("masks", [None, []])
def test_no_hidden_layer_needs_no_masks(masks):
    logistic = manual.initialize((3, 1), "he", np.random.default_rng(0))
    problem = Problem(**right(params=logistic, masks=masks, keep_prob=0.5))
    assert problem.keep_prob == ()


def test_numpy_s_scalars_are_numbers_too():
    problem = Problem(**right(l2=np.float32(0.5), keep_prob=np.array([0.5, 0.75])))
    assert (problem.l2, problem.keep_prob) == (0.5, (0.5, 0.75))


def test_a_softmax_takes_one_hot_columns():
    problem = Problem(**right(**SOFTMAX, Y=ONE_HOT))
    np.testing.assert_array_equal(problem.Y, ONE_HOT)


def test_the_problem_is_the_call_of_all_three_ways():
    problem = Problem(**right())
    loss = manual.loss(*problem.arguments, **problem.options)
    arguments = right()
    X, Y, masks = (arguments.pop(name) for name in ("X", "Y", "masks"))
    assert loss == manual.loss(arguments.pop("params"), X, Y.astype(float), masks, **arguments)


def test_float32_in_float64_has_the_very_same_parameters():
    single = {name: value.astype(np.float32) for name, value in params().items()}
    problem = Problem(**right(params=single)).astype(np.float64)
    assert problem.dtype == problem.X.dtype == np.float64
    for name, value in single.items():
        np.testing.assert_array_equal(problem.params[name], value)


def test_other_parameters_are_checked_at_the_same_door():
    problem = Problem(**right())
    zeros = {name: np.zeros_like(value) for name, value in problem.params.items()}
    assert (problem.with_params(zeros).params["W1"] == 0).all()
    with pytest.raises(ValueError, match="W1: got the shape"):
        problem.with_params({**zeros, "W1": np.zeros((4, 3, 1))})
