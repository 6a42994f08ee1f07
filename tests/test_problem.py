"""The door where input is checked: what is right comes in as it is, what is wrong is named."""

from __future__ import annotations

import copy
from pickle import dumps, loads

import numpy as np
import pytest

import manual
from verify import Problem, build_problem, check_vjp, compare, load, three_way, train

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


class Table:
    """Something like a DataFrame, that is neither a mapping nor numbers."""

    def __init__(self):
        self.columns = ["x1", "x2"]


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
        "W1: got list, expected an array of real numbers",
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
        "X: got list, expected an array of real numbers",
    ),
    "a complex X": (
        {"X": 1j * np.ones((3, M))},
        "X: got an array of complex128, expected an array of real",
    ),
    "a ragged X": ({"X": [[1, 2], [3]]}, "X: got list, expected an array of real numbers"),
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
    # the wrong kind of thing
    "no X": ({"X": None}, "X: got None, expected an array of real numbers"),
    "an X in words": ({"X": "moons"}, "X: got str, expected an array of real numbers"),
    "an X in a dict": ({"X": {"x1": [1.0]}}, "X: got dict, expected an array of real numbers"),
    "a table for params": ({"params": Table()}, "params: got Table, expected a dict of arrays"),
    "a table for W1": (
        {"params": params(W1=Table())},
        "W1: got Table, expected an array of real numbers",
    ),
    "no hidden": ({"hidden": None}, "hidden: got None, expected relu, tanh, sigmoid"),
    "an array of keep_probs": (
        {"keep_prob": np.ones((2, 2))},
        "keep_prob: got ndarray, expected a number in (0, 1]",
    ),
    "a keep_prob of True": ({"keep_prob": True}, "keep_prob: got True, expected a number in"),
    "an l2 of True": ({"l2": True}, "l2: got True, expected a number of at least 0"),
    "no output": ({"output": None}, "output: got None, expected sigmoid, softmax"),
    "words for masks": ({"masks": "ab"}, "mask 1: got str, expected an array of real numbers"),
    # what would be ignored
    "a masked X": (
        {"X": np.ma.masked_less(np.ones((3, M)), 0)},
        "X: got a masked array, expected an array without a mask",
    ),
    "masked rows of X": (
        {"X": [np.ma.ones(M), np.ones(M), np.ones(M)]},
        "X: got a masked array, expected an array without a mask",
    ),
    "masked weights": (
        {"params": params(W2=np.ma.masked_invalid(holed(np.ones((2, 4)), (0, 0), NAN)))},
        "W2: got a masked array, expected an array without a mask",
    ),
    "masked labels": (
        {"Y": np.ma.array([[0, 1, 1, 0, 1]])},
        "Y: got a masked array, expected an array without a mask",
    ),
    "an X too large for float32": (
        {
            "params": {name: value.astype(np.float32) for name, value in params().items()},
            "X": holed(np.ones((3, M)), (1, 2), 1e39),
        },
        "X: got inf at [1, 2], expected finite numbers",
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


def test_nothing_in_a_problem_can_be_changed():
    problem = Problem(**right())
    for array in (problem.X, problem.Y, *problem.masks, *problem.params.values()):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1
    with pytest.raises(TypeError):
        problem.params["W1"] = problem.params["W1"] + 1
    problem.arguments[0].clear()
    assert list(problem.params) == ["W1", "b1", "W2", "b2", "W3", "b3"]


def test_a_problem_does_not_change_with_the_arrays_that_it_was_made_of():
    arguments = right(Y=np.array([[0.0, 1, 1, 0, 1]]))
    problem = Problem(**arguments)
    arrays = [arguments["X"], arguments["Y"], *arguments["masks"], *arguments["params"].values()]
    ours = [problem.X, problem.Y, *problem.masks, *problem.params.values()]
    for array, own in zip(arrays, ours, strict=True):
        assert not np.shares_memory(array, own)
        array[...] = 1 - array  # the caller's stay writable


def test_data_that_a_problem_owns_are_copied_for_no_other_problem():
    problem = Problem(**right())
    moved = problem.with_params({name: 2 * value for name, value in problem.params.items()})
    assert moved.X is problem.X
    assert moved.Y is problem.Y
    assert all(a is b for a, b in zip(moved.masks, problem.masks, strict=True))
    assert problem.astype("float64") is problem
    single = problem.astype(np.float32)
    assert single.masks[0] is problem.masks[0]
    assert not single.X.flags.writeable


def test_a_read_only_view_of_writable_memory_is_copied():
    X = right()["X"]
    view = X[:]
    view.flags.writeable = False
    problem = Problem(**right(X=view))
    X[0, 0] += 1
    assert problem.X[0, 0] == X[0, 0] - 1


def test_pictures_keep_their_order_in_memory():
    # NumPy reads pictures, one after the other in memory, faster than rows of pixels.
    X = np.asfortranarray(right()["X"])
    assert Problem(**right(X=X)).X.flags.f_contiguous


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda p: loads(dumps(p))])
def test_a_copied_or_pickled_problem_is_the_same_and_as_read_only(copied):
    problem = Problem(**right())
    again = copied(problem)
    assert again.options == problem.options
    np.testing.assert_array_equal(again.X, problem.X)
    assert again.masks is not None
    with pytest.raises(ValueError, match="read-only"):
        again.params["b1"][0] = 1


@pytest.mark.parametrize("value", [None, "gelu", 0])
def test_an_option_for_hidden_layers_is_checked_where_there_are_none(value):
    logistic = manual.initialize((3, 1), "he", np.random.default_rng(0))
    with pytest.raises(ValueError, match="keep_prob: got"):
        Problem(**right(params=logistic, masks=None, keep_prob=value))


def test_training_in_place_is_refused_and_a_new_problem_has_its_own_diagnosis():
    arguments = right(l2=2.0)
    problem = Problem(**arguments)

    def without_penalty(at):
        _, grads = manual.loss_and_grads(*at.arguments, **at.options)
        return grads | {"W2": grads["W2"] - at.l2 / at.m * at.params["W2"]}

    def said(at):
        return [(f.tensor, f.bug) for f in three_way(at, grads=without_penalty(at)).diagnosis]

    assert said(problem) == [("dW2", "l2-missing")]
    _, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    for name, grad in grads.items():
        with pytest.raises(ValueError, match="read-only"):
            problem.arguments[0][name] -= 0.5 * grad
        arguments["params"][name] -= 0.5 * grad
    assert said(Problem(**arguments)) == [("dW2", "l2-missing")]
    assert said(problem) == [("dW2", "l2-missing")]


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("wrong", "kind"), [(None, "None"), ("moons", "str"), (Table(), "Table"), ({}, "dict")]
)
def test_the_wrong_kind_of_thing_for_a_problem_or_a_data_set_is_said_in_one_sentence(wrong, kind):
    with pytest.raises(ValueError, match=rf"^problem: got {kind}, expected a Problem, as"):
        three_way(wrong)
    with pytest.raises(ValueError, match=rf"^problem: got {kind}, expected a Problem, as"):
        train(wrong, learning_rate=0.1, iterations=1)
    with pytest.raises(ValueError, match=r"^dataset: got \w+, expected a Dataset, as load returns"):
        build_problem(wrong)


@pytest.mark.unchecked
def test_a_data_set_is_no_problem():
    with pytest.raises(
        ValueError, match=r"^problem: got Dataset, expected a Problem, as build_prob"
    ):
        three_way(load("moons"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"layers": 20}, "layers: got 20, expected a list of sizes"),
        ({"layers": "20,7"}, "layers: got 20,7, expected a list of sizes"),
        ({"layers": [20, 0]}, "layers: got 0, expected a whole number of at least 1"),
        ({"layers": [10**30]}, f"layers: got {10**30}, expected a whole number below 2"),
        ({"layers": [2.5]}, "layers: got 2.5, expected a whole number of at least 1"),
        ({"hidden": None}, "hidden: got None, expected relu, tanh, sigmoid"),
        ({"init": None}, "init: got None, expected zeros"),
        ({"l2": "much"}, "l2: got much, expected a number of at least 0"),
        ({"keep_prob": None}, r"keep_prob: got None, expected a number in \(0, 1]"),
        ({"examples": 10.5}, "examples: got 10.5, expected a whole number of at least 1"),
        ({"examples": 10**6}, "examples: got 1000000, expected 1 to 200"),
        ({"dtype": 32}, "dtype: got 32, expected float32, float64"),
        ({"output": "relu"}, "output: got 'relu', expected sigmoid, softmax"),
        ({"seed": "one"}, "seed: got one, expected whole numbers from 0 to"),
    ],
)
def test_a_wrong_option_of_a_data_set_s_problem_is_said_in_one_sentence(changes, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}") as caught:
        build_problem(load("moons"), **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.unchecked
def test_a_loss_that_is_no_function_is_said_in_one_sentence():
    with pytest.raises(ValueError, match=r"^loss: got float, expected a function$"):
        three_way(Problem(**right()), loss=0.5)


def test_masked_gradients_are_refused():
    problem = Problem(**right())
    _, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    with pytest.raises(ValueError, match=r"^W1: got a masked array, expected"):
        three_way(problem, grads=grads | {"W1": np.ma.array(grads["W1"])})


def test_masked_arrays_are_refused_in_every_tree():
    x = np.ma.masked_less(np.array([1.0, 2.0]), 1.5)
    with pytest.raises(ValueError, match=r"^params: got a masked array, expected"):
        compare(np.sum, np.ones_like, x)
    with pytest.raises(ValueError, match=r"^grads: got a masked array, expected"):
        compare(np.sum, np.ma.ones_like, x.data)
    with pytest.raises(ValueError, match=r"got a masked array, expected"):
        check_vjp(np.sum, lambda c, x: c * np.ones(2), (x,))
