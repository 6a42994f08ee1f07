"""`compare`: any loss, any tree of arrays; right gradients pass, wrong ones do not."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import defaultdict
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

import autodiff
import manual
from verify import Problem, compare, draw_masks


def network(problem: Problem):
    """The loss, gradient, parameters and mirror of a dense network, as a stranger's functions."""
    _, X, Y, masks = problem.arguments
    return (
        lambda p: manual.loss(p, X, Y, masks, **problem.options),
        lambda p: manual.loss_and_grads(p, X, Y, masks, **problem.options)[1],
        dict(problem.params),
        lambda p: autodiff.loss(p, X, Y, masks, **problem.options),
    )


def problem(
    *,
    sizes=(6, 5, 3, 1),
    m=12,
    hidden="tanh",
    init="he",
    dtype="float64",
    seed=0,
    grid=False,
    **options,
):
    rng = np.random.default_rng(seed)
    params = manual.initialize(sizes, init, rng, np.dtype(dtype).type)
    X = rng.normal(size=(sizes[0], m))
    if grid:
        X = np.round(X * 5) / 10
        params = {name: np.round(value * 5) / 10 for name, value in params.items()}
    masks = draw_masks(seed, 0, sizes[1:-1], m, [options.get("keep_prob", 1.0)] * (len(sizes) - 2))
    return Problem(params, X, rng.integers(0, 2, (1, m)), masks, hidden=hidden, **options)


def factor(grads, name, by, at=...):
    """The gradient with one tensor, or some entries of it, multiplied."""

    def wrong(params):
        found = {k: v.copy() for k, v in grads(params).items()}
        found[name][at] = found[name][at] * by
        return found

    return wrong


HARD = {
    "relu": {"hidden": "relu", "l2": 0.7},
    "dropout, biases zero": {"hidden": "relu", "keep_prob": 0.5},
    "zeros": {"init": "zeros", "hidden": "relu"},
    "zeros, smooth": {"init": "zeros"},
    "saturated": {"init": 10.0},
    "saturated relu": {"init": 10.0, "hidden": "relu"},
    "tiny": {"init": 1e-4, "hidden": "sigmoid"},
    "one example": {"m": 1, "hidden": "relu"},
    "grid of tenths": {"sizes": (100, 4, 1), "m": 8, "hidden": "relu", "grid": True},
    "no hidden layer": {"sizes": (6, 1), "l2": 3.0},
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", HARD)
def test_a_right_gradient_is_not_rejected(name, dtype):
    loss, grads, params, _ = network(problem(**HARD[name], dtype=dtype))
    report = compare(loss, grads, params, budget=1000)
    assert report.ok, str(report)


@pytest.mark.parametrize("name", ["saturated", "grid of tenths", "dropout, biases zero"])
def test_a_right_gradient_is_not_rejected_beside_its_mirror(name):
    loss, grads, params, mirror = network(problem(**HARD[name]))
    report = compare(loss, grads, params, mirror, budget=2000)
    assert report.ok, str(report)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_network_that_has_learnt_its_data_is_not_rejected(dtype):
    start = problem(seed=1)
    trained, _ = autodiff.steps(*start.arguments, n=4000, learning_rate=0.5, **start.options)
    loss, grads, params, mirror = network(start.with_params(trained).astype(dtype))
    report = compare(loss, grads, params, mirror)
    assert report.ok, str(report)
    assert report.loss.manual < 1e-3


def test_one_entry_of_a_hundred_off_by_a_percent_is_caught_and_shown():
    loss, grads, params, _ = network(problem(sizes=(20, 5, 1), hidden="relu"))
    report = compare(loss, factor(grads, "W1", 1.01, (2, 7)), params)
    assert report.verdict == "disagree"
    assert [t.name for t in report.tensors if not t.agree] == ["W1"]
    (wrong,) = (t for t in report.tensors if t.name == "W1")
    assert wrong.pairs["manual_vs_finite_difference"].worst.index == 2 * 20 + 7


def tensor_float(x):
    """Return numbers with the ten bits of TensorFloat-32, if they are of float32."""
    if x.dtype != np.float32:
        return x
    bits = np.ascontiguousarray(x).view(np.uint32)
    return ((bits + np.uint32(0xFFF) + ((bits >> 13) & 1)) & np.uint32(0xFFFFE000)).view(np.float32)


@pytest.mark.parametrize("seed", range(2))
def test_products_of_tensorfloat_32_are_no_other_function(seed):
    rng = np.random.default_rng(seed)
    X, W = rng.standard_normal((9, 30)), rng.standard_normal((7, 9)).astype(np.float32)

    def product(a, b):
        return tensor_float(a) @ tensor_float(b)

    def loss(w):
        return (np.tanh(product(w, X.astype(w.dtype))) ** 2).sum()

    def grads(w, factor=1.0):
        x = X.astype(w.dtype)
        A = np.tanh(product(w, x))
        return factor * product(2 * A * (1 - A * A), x.T)

    def mirror(w):
        return jnp.sum(jnp.tanh(w @ X) ** 2)

    assert compare(loss, grads, W, mirror).ok
    assert compare(loss, lambda w: grads(w, 1.1), W, mirror).verdict == "disagree"


@pytest.mark.parametrize("name", ["W1", "b2", "W3"])
def test_a_relative_error_of_a_millionth_in_any_one_tensor_is_caught_by_the_mirror(name):
    loss, grads, params, mirror = network(problem(l2=0.7))
    report = compare(loss, factor(grads, name, 1 + 1e-6), params, mirror, budget=500)
    assert report.verdict == "disagree"
    assert [t.name for t in report.tensors if not t.agree] == [name]


@pytest.mark.parametrize(("name", "seed"), [("b3", 0), ("W1", 1)])
def test_a_relative_error_of_1e_8_in_one_tensor_is_caught_without_a_mirror(name, seed):
    given = problem(sizes=(4, 5, 5, 1), m=9, hidden="relu", keep_prob=0.8, l2=0.7, seed=seed)
    loss, grads, params, _ = network(given)
    report = compare(loss, factor(grads, name, 1 + 1e-8), params)
    assert report.verdict == "disagree"
    assert [t.name for t in report.tensors if not t.agree] == [name]


@pytest.mark.slow
def test_gradients_rounded_to_float32_are_caught_by_the_mirror():
    loss, grads, params, mirror = network(problem(l2=0.7))

    def single(p):
        return {k: v.astype(np.float32) for k, v in grads(p).items()}

    assert compare(loss, single, params, mirror, budget=500).verdict == "disagree"


@pytest.mark.parametrize("name", ["W1", "W2", "b2"])
def test_in_float32_a_factor_of_a_thousandth_is_caught_without_a_mirror(name):
    loss, grads, params, _ = network(problem(dtype="float32", l2=0.7))
    assert compare(loss, grads, params).ok
    assert not compare(loss, factor(grads, name, 1 + 1e-3), params).ok


def test_where_the_entries_are_too_many_any_one_of_them_shows_along_a_direction():
    given = problem(sizes=(300, 20, 1), hidden="relu")
    loss, grads, params, _ = network(given)
    right = compare(loss, grads, params, budget=1500)
    assert right.ok, str(right)
    checked = {t.name: (t.entries_checked, t.directions_checked) for t in right.tensors}
    assert checked["W1"][0] < 6000
    assert checked["W1"][1] == 2
    assert checked["b1"] == (20, 0)
    assert any("6041 entries" in remark for remark in right.remarks)
    middle = np.argsort(np.abs(grads(params)["W1"]), axis=None)[3500]
    wrong = factor(grads, "W1", 1.01, np.unravel_index(middle, (20, 300)))
    report = compare(loss, wrong, params, budget=1500)
    assert report.verdict == "disagree"


def test_the_convention_at_a_kink_passes_where_no_line_shows_the_kink():
    given = Problem(
        {
            "W1": np.zeros((1, 1)),
            "b1": np.zeros((1, 1)),
            "W2": np.ones((1, 1)),
            "b2": np.zeros((1, 1)),
        },
        np.array([[1.0, -1.0]]),
        np.array([[0, 1]]),
    )
    loss, grads, params, mirror = network(given)
    report = compare(loss, grads, params, mirror)
    assert report.verdict == "agree", str(report)
    assert report.tensors[0].kinks == 1
    # A loss that turns at 0 as b1 does is differenced too coarsely to tell its slope from 1e-8.
    alone = compare(loss, grads, params)
    verdicts = {tensor.name: tensor.verdict for tensor in alone.tensors}
    assert verdicts == {"W1": "agree", "b1": "undecided", "W2": "agree", "b2": "agree"}


def test_a_wrong_gradient_beside_a_kink_is_still_caught():
    def loss(p):
        return float(np.abs(p["x"]).sum() + (p["x"] ** 2).sum())

    def grads(p):
        return {"x": np.sign(p["x"]) + 2 * p["x"] * np.array([1, 1, 1.001])}

    report = compare(loss, grads, {"x": np.array([0.0, 1.0, 1e-4])})
    assert report.verdict == "disagree"
    assert report.tensors[0].kinks == 1


def test_where_nothing_has_a_derivative_points_beside_it_decide():
    def loss(x):
        return np.abs(x).sum()

    report = compare(loss, np.sign, np.zeros(3))
    assert report.ok, str(report)
    assert report.tensors[0].kinks == 3
    assert compare(loss, lambda x: 1.1 * np.sign(x), np.zeros(3)).verdict == "disagree"


def test_a_tensor_of_which_nothing_can_be_seen_is_named_with_what_to_do():
    report = compare(
        lambda p: 1 + 1e-19 * (p["a"] ** 2).sum() + p["b"] ** 2,
        lambda p: {"a": 2e-19 * p["a"], "b": 2 * p["b"]},
        {"a": np.ones(2), "b": 3.0},
    )
    assert report.verdict == "undecided"
    assert [tensor.verdict for tensor in report.tensors] == ["undecided", "agree"]
    assert "da: an error of an entry shows from" in report.meaning
    assert "Check where the gradient is larger, or with a mirror in JAX." in report.meaning


@pytest.mark.parametrize(
    ("loss", "meaning"),
    [
        (lambda x: np.inf, "inf"),
        (lambda x: np.nan, "nan"),
    ],
)
def test_a_loss_that_is_not_finite_leaves_the_verdict_open(loss, meaning):
    report = compare(loss, lambda x: x, np.ones(2))
    assert report.verdict == "undecided"
    assert meaning in report.meaning


def test_dropout_drawn_inside_is_found_out():
    rng = np.random.default_rng(0)

    def loss(x):
        return (x**2 * (rng.random(x.shape) < 0.5)).sum()

    report = compare(loss, lambda x: 2 * x, np.ones(20))
    assert report.verdict == "undecided"
    assert "random" in report.meaning
    assert "masks" in report.meaning


def test_a_random_gradient_is_found_out():
    rng = np.random.default_rng(0)
    report = compare(
        lambda x: (x**2).sum(), lambda x: 2 * x * (rng.random(x.shape) < 0.5), np.ones(20)
    )
    assert report.verdict == "undecided"
    assert "grads is random" in report.meaning


def test_a_gradient_that_is_not_a_number_disagrees():
    report = compare(lambda x: (x**2).sum(), lambda x: x * np.nan, np.ones(3))
    assert report.verdict == "disagree"
    assert report.to_dict()["tensors"][0]["manual_vs_finite_difference"]["bar_ratio"] is None


def test_the_complex_step_sees_what_real_differences_cannot():
    def loss(x):
        return np.exp(np.sin(x)).sum()

    def grads(x):
        return np.exp(np.sin(x)) * np.cos(x) * (1 + 1e-11)

    x = np.linspace(0.1, 1.4, 7)
    right = compare(loss, lambda x: np.exp(np.sin(x)) * np.cos(x), x)
    assert right.ok
    assert right.tensors[0].resolution.entry < 1e-11
    assert not right.remarks
    assert compare(loss, grads, x).verdict == "disagree"


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: (np.abs(x) ** 2).sum(),
        lambda x: np.vdot(x, x),
        lambda x: np.vdot(x, x).real,
        lambda x: float(np.real(x) @ np.real(x)),
    ],
)
def test_the_complex_step_is_not_believed_where_the_loss_is_not_analytic(loss):
    report = compare(loss, lambda x: 2 * x, np.linspace(0.1, 2, 6))
    assert report.ok, str(report)
    assert not any("complex" in remark for remark in report.remarks)


def test_the_complex_step_is_not_believed_where_nothing_vouches_for_it():
    def loss(p):
        return np.sin(p["a"]).sum() + 4e-13 * np.abs(p["b"]).sum()

    def grads(p):
        return {"a": np.cos(p["a"]), "b": 4e-13 * np.sign(p["b"])}

    report = compare(loss, grads, {"a": np.linspace(0.1, 1.4, 7), "b": np.linspace(1, 2, 3)})
    assert [tensor.verdict for tensor in report.tensors] == ["agree", "undecided"]


def test_a_loss_that_drops_the_imaginary_part_is_judged_by_real_differences():
    def loss(x):
        return 1e-7 * np.sin(np.real(x)).sum() + 0 * x.sum()

    def grads(x):
        return 1e-7 * np.cos(x)

    x = np.linspace(0.1, 1.4, 7).astype(np.float32)
    assert compare(loss, grads, x).ok
    for factor in (0, 2, -1, 1.1):
        assert compare(loss, lambda x, by=factor: by * grads(x), x).verdict == "disagree"


@pytest.mark.parametrize("seed", [10, 313])
def test_a_mean_of_three_thousand_bends_in_float32_is_not_rejected(seed):
    rng = np.random.default_rng(seed)
    a, b, w = rng.standard_normal((3, 3000)).astype(np.float32)

    def loss(x):
        return float((w * np.maximum(a * np.float32(x) + b, 0)).mean(dtype=np.float32))

    def grads(x):
        return np.mean(w * a * (a * np.float32(x) + b > 0))

    report = compare(loss, grads, rng.standard_normal(), budget=500)
    assert report.ok, str(report)


@pytest.mark.parametrize("log", [np.log, np.vectorize(math.log)])
def test_a_loss_that_ends_where_its_domain_does_is_checked_inside_it(log):
    x = np.array([1.0, 1e-3, 1e-9])
    report = compare(lambda x: log(x).sum(), lambda x: 1 / x, x)
    assert report.ok, str(report)
    assert not compare(lambda x: log(x).sum(), lambda x: 1 / x + [0, 0, 1e3], x).ok


class Pair(NamedTuple):
    scale: np.ndarray
    shift: float


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Block:
    weight: np.ndarray
    pairs: list


def test_trees_of_every_kind_are_taken_apart_and_named():
    params = {
        "block": Block(np.array([[0.3, -1.2]]), [Pair(np.array(0.7), 0.2), (np.array([1.5]),)]),
        "nothing": None,
    }

    def loss(tree, xp=np):
        block = tree["block"]
        (scale, shift), (last,) = block.pairs
        return xp.sum(xp.sin(block.weight)) * scale + xp.exp(shift) * last[0]

    def grads(tree):
        block = tree["block"]
        (scale, shift), (last,) = block.pairs
        weight = np.cos(block.weight) * scale
        pair = Pair(np.sin(block.weight).sum(), np.exp(shift) * last[0])
        return {"block": Block(weight, [pair, (np.array([np.exp(shift)]),)]), "nothing": None}

    report = compare(loss, grads, params, lambda tree: loss(tree, jnp))
    assert report.ok, str(report)
    assert [tensor.name for tensor in report.tensors] == [
        "block.weight",
        "block.pairs.0.scale",
        "block.pairs.0.shift",
        "block.pairs.1.0",
    ]


def test_dicts_come_back_in_the_order_that_their_owner_gave_them():
    x = np.array([0.3, -0.8, 1.1])

    def network(tree):
        W, b = tree["layer"].values()
        scale, shift = tree["block"].pairs[0].values()
        return W, b, scale, shift

    def loss(tree, xp=np):
        W, b, scale, shift = network(tree)
        return xp.sum(scale * xp.tanh(W @ x + b) + shift)

    def grads(tree):
        W, b, scale, _ = network(tree)
        A = np.tanh(W @ x + b)
        db = scale * (1 - A**2)
        inner = {"scale": A, "b": np.ones(2)}
        return {
            "block": Block(np.zeros(1), [inner]),
            "layer": {"bias": db, "weight": np.outer(db, x)},
        }

    rng = np.random.default_rng(0)
    W, b, scale, shift = (rng.normal(size=shape) for shape in ((2, 3), 2, 2, 2))
    layer = defaultdict(None, {"weight": W, "bias": b})
    params = {"layer": layer, "block": Block(np.ones(1), [{"scale": scale, "b": shift}])}
    report = compare(loss, grads, params, lambda tree: loss(tree, jnp), budget=500)
    assert report.ok, str(report)


def test_the_callers_arrays_are_neither_changed_nor_handed_out_writable_by_mistake():
    params = {"x": np.array([1.0, 2.0])}
    params["x"].flags.writeable = False
    assert compare(lambda p: (p["x"] ** 2).sum(), lambda p: {"x": 2 * p["x"]}, params).ok


def test_a_loss_that_works_in_float32_inside_is_held_to_float32():
    X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)

    def loss(w):
        return float(np.tanh(X @ w.astype(np.float32)).sum())

    def grads(w):
        return X.T @ (1 - np.tanh(X @ w.astype(np.float32)) ** 2)

    w = np.random.default_rng(1).normal(size=3)
    report = compare(loss, grads, w)
    assert report.ok, str(report)
    assert any("float32" in remark for remark in report.remarks)
    assert not compare(loss, lambda w: grads(w) * 1.01, w).ok


def test_a_loss_that_takes_its_own_dtype_alone_is_differenced_in_it():
    def loss(w):
        if w.dtype != np.float32:
            raise TypeError("float32 only")
        return np.tanh(w).sum()

    w = np.linspace(-1, 1, 5, dtype=np.float32)
    assert compare(loss, lambda w: 1 - np.tanh(w) ** 2, w).ok
    assert not compare(loss, lambda w: 1 - np.tanh(w), w).ok


def test_integers_among_parameters_are_constants():
    params = {"w": np.linspace(-1, 1, 6), "heads": 3, "index": np.array([0, 2])}

    def loss(p):
        return (p["w"][p["index"]] ** p["heads"]).sum()

    def grads(p):
        dw = np.zeros(6)
        dw[p["index"]] = p["heads"] * p["w"][p["index"]] ** (p["heads"] - 1)
        return {"w": dw, "heads": None, "index": None}

    report = compare(loss, grads, params)
    assert report.ok, str(report)
    assert [tensor.name for tensor in report.tensors] == ["w"]


def test_plain_integers_alone_are_taken_as_numbers_and_the_report_says_so():
    report = compare(lambda theta: theta**2, lambda theta: 2 * theta, 4)
    assert report.ok, str(report)
    assert "params are integers; they were taken as float64." in report.remarks


def test_a_loss_whose_values_happen_to_be_round_is_not_said_to_compute_in_float32():
    def loss(z):
        return float((np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)).sum().round(9))

    report = compare(loss, np.zeros_like, np.random.default_rng(0).normal(size=(4, 3)))
    assert report.ok, str(report)
    assert not any("float32" in remark for remark in report.remarks)


def test_a_loss_of_jax_arrays_is_called_with_jax_arrays():
    w = jnp.linspace(-1, 1, 5)
    report = compare(
        lambda w: jnp.tanh(w).sum(), lambda w: (1 - jnp.tanh(w) ** 2).at[0].mul(1.0), w
    )
    assert report.ok, str(report)


def test_a_mirror_with_pythons_own_control_flow_is_differentiated_all_the_same():
    def mirror(x):
        return jnp.sum(x**2) if x[0] > 0 else jnp.sum(x)

    assert compare(lambda x: (x**2).sum(), lambda x: 2 * x, np.ones(3), mirror).ok


def test_a_mirror_that_is_another_function_is_told_from_a_wrong_gradient():
    x = np.linspace(0.2, 1, 4)
    report = compare(lambda x: (x**2).sum(), lambda x: 2 * x, x, lambda x: jnp.sum(x**3))
    assert report.verdict == "disagree"
    assert "forward pass" in report.meaning


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((3, lambda x: x, np.ones(2)), "loss: got int, expected a function"),
        ((np.sum, {"x": 1}, np.ones(2)), "grads: got dict, expected a function"),
        ((np.sum, np.ones_like, np.ones(2), 3), "mirror: got int, expected a function"),
        (
            (np.sum, np.ones_like, np.arange(3)),
            "params: got int64 for params, expected an array of floating",
        ),
        (
            (np.sum, np.ones_like, {}),
            "params: got dict, expected an array of floating-point numbers",
        ),
        (
            (np.sum, np.ones_like, {"a": np.ones(2), 1: np.ones(2)}),
            "params: got a dict whose keys cannot be sorted, expected keys of one type",
        ),
        (
            (np.sum, np.ones_like, np.ones(2) + 1j),
            "loss: it returned complex128, expected a function that returns one real number",
        ),
        (
            (lambda x: x.sum() + 0j, np.ones_like, np.ones(2)),
            "loss: it returned complex128, expected a function that returns one real number",
        ),
        (
            (np.sum, np.ones_like, np.array([1.0, np.nan])),
            "params: got nan at [1], expected finite",
        ),
        ((lambda x: x, np.ones_like, np.ones(2)), "loss: it returned an array of the shape (2,)"),
        ((lambda x: None, np.ones_like, np.ones(2)), "loss: it returned NoneType"),
        (
            (np.sum, lambda x: np.ones(3), np.ones(2)),
            "grads: got float64 of the shape (3,) for params",
        ),
        (
            (lambda p: p["a"].sum(), lambda p: {}, {"a": np.ones(2), "b": np.ones(1)}),
            "grads: got nothing for a, expected one array for each of a, b",
        ),
        (
            (lambda p: p["a"].sum(), lambda p: {"a": p["a"], "c": 1.0}, {"a": np.ones(2)}),
            "grads: got c, which is none of them",
        ),
        ((np.sum, np.ones_like, np.ones(2), lambda x: np.sum(np.sin(x))), "mirror: JAX cannot"),
        ((np.sum, np.ones_like, np.ones(2), lambda x: jnp.sin(x)), "mirror: JAX cannot"),
    ],
)
def test_faulty_input_is_one_sentence_that_names_the_argument(arguments, sentence):
    with pytest.raises(ValueError) as fault:  # noqa: PT011
        compare(*arguments)
    assert str(fault.value).startswith(sentence)
    assert "\n" not in str(fault.value)


def test_a_function_that_changes_its_argument_is_refused():
    def loss(p):
        p["x"] *= 2
        return p["x"].sum()

    with pytest.raises(ValueError, match="loss: it changed x in place"):
        compare(loss, lambda p: {"x": np.ones(2)}, {"x": np.ones(2)})


def test_a_budget_too_small_for_anything_is_refused():
    with pytest.raises(ValueError, match="budget: got 10, expected at least"):
        compare(np.sum, np.ones_like, np.ones(2), budget=10)


def test_the_budget_is_kept():
    loss, grads, params, _ = network(problem(sizes=(100, 10, 1), init="zeros", hidden="relu"))
    for budget in (500, 2000):
        assert compare(loss, grads, params, budget=budget).settings["evaluations"] <= 2 * budget


def test_a_budget_of_time_alone_is_no_reason_to_accuse_or_to_clear():
    def loss(x):
        time.sleep(0.002)
        return np.tanh(x).sum()

    def grads(x):
        return 1 - np.tanh(x) ** 2

    x = np.linspace(-1, 1, 400)
    right = compare(loss, grads, x, seconds=0.5)
    assert right.verdict != "disagree", str(right)
    assert "out-of-time" in {note.kind for note in right.notes}
    assert compare(loss, lambda x: 2 * grads(x), x, seconds=0.5).verdict != "agree"


@pytest.mark.slow
def test_half_a_million_float32_parameters_agree_by_directions_and_say_what_was_seen():
    w = np.random.default_rng(0).standard_normal(500_000).astype(np.float32)

    def loss(w):
        return np.sum(np.tanh(w) * w) / len(w)

    def grads(w):
        return (np.tanh(w) + w * (1 - np.tanh(w) ** 2)) / len(w)

    report = compare(loss, grads, w, budget=300, seconds=300.0)
    assert report.ok, str(report)
    (tensor,) = report.tensors
    assert tensor.entries_checked < 200
    assert tensor.resolution.entry < 0.05
    for factor in (0, -1, 1.1):
        wrong = compare(loss, lambda w, f=factor: f * grads(w), w, budget=300, seconds=300.0)
        assert wrong.verdict == "disagree"

    def largest_zeroed(w):
        found = grads(w)
        found[np.argmax(np.abs(found))] = 0
        return found

    # Along an entry of slope 2e-6 the noise of the loss may pass for a bend: it is not cleared.
    assert compare(loss, largest_zeroed, w, budget=300, seconds=300.0).verdict != "agree"


def test_a_function_that_returns_value_and_gradient_is_compared_with_itself():
    def both(x):
        return float((x**3).sum()), 3 * x**2

    x = np.array([0.5, -1.0, 2.0])
    report = compare(both, None, x, seed=1)
    assert report.ok
    assert report.repeat.startswith("verify.compare(both, None, params, ")
    assert compare(lambda x: (both(x)[0], 2 * both(x)[1]), None, x).verdict == "disagree"
    assert compare(jax.value_and_grad(lambda x: (x**3).sum()), None, jnp.asarray(x)).ok
    with pytest.raises(ValueError, match="loss: it returned float, expected a value and a grad"):
        compare(lambda x: float(x.sum()), None, x)


def test_a_sparse_gradient_is_compared_with_all_of_its_zeros():
    x = np.array([[0.5, -1.0], [2.0, 0.3]])

    def loss(x):
        return float(x[0, 1] ** 2)

    for kind in (scipy.sparse.csr_matrix, scipy.sparse.coo_array):
        assert compare(loss, lambda x, kind=kind: kind([[0, 2 * x[0, 1]], [0, 0]]), x).ok
        wrong = compare(loss, lambda x, kind=kind: kind([[0, 2 * x[0, 1]], [1, 0]]), x)
        assert wrong.verdict == "disagree"
