"""Every weight's difference is that of the loss, and its bar is what the arithmetic promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import jax
import numpy as np
import precise
import pytest
from problems import random_problem

import manual
from verify import Problem, three_way
from verify.activations import ACTIVATIONS
from verify.evidence.bars.derived import analyse
from verify.evidence.differences import exhaustive
from verify.evidence.differences.central import central_differences
from verify.evidence.differences.exhaustive import (
    base_values,
    carried_changes,
    exhaustive_differences,
)
from verify.evidence.witnesses import Differences

pytestmark = pytest.mark.unchecked

LD = np.longdouble
needs_extended = pytest.mark.skipif(
    np.finfo(LD).nmant < 63, reason="long double is no longer than double here"
)


def black_box(problem: Problem) -> dict[str, Differences]:
    """Return every entry's central difference of the manual loss, in float64."""
    problem = problem.astype(np.float64)

    def loss(params: Mapping[str, np.ndarray]) -> float:
        return float(manual.loss(params, *problem.arguments[1:], **problem.options))

    every = {name: np.arange(value.size) for name, value in problem.params.items()}
    return central_differences(loss, problem.params, every)


def in_extended_precision(problem: Problem) -> dict[str, np.ndarray]:
    """Return the exact derivatives at the base values, which are float64, by the chain rule."""
    layers, output = base_values.forward(problem, problem.params, None, slice(None))
    Y = problem.Y.astype(LD)
    q = layers[-1].Z.astype(LD)
    if output.kind == "sigmoid":
        away = (1 - 2 * Y) * q
        dZ = (1 - 2 * Y) / (1 + np.exp(-away))
    else:
        e = np.exp(q - q.max(axis=0))
        wrong = np.where(Y == 1, 0, e / e.sum(axis=0))
        dZ = np.where(Y == 1, -wrong.sum(axis=0), wrong)
    grads = {}
    for index in range(len(layers), 0, -1):
        layer = layers[index - 1]
        W, A = layer.W.astype(LD), layer.A_prev.astype(LD)
        grads[f"W{index}"] = (dZ @ A.T + LD(problem.l2) * W) / problem.m
        grads[f"b{index}"] = dZ.sum(axis=1, keepdims=True) / problem.m
        if index > 1:
            below = layers[index - 2]
            e = np.exp(-np.abs(below.Z.astype(LD)))
            slope = {
                "relu": (below.Z > 0).astype(LD),
                "leaky-relu": np.where(below.Z > 0, LD(1), LD(0.01)),
                "tanh": 4 * (e / (1 + e * e)) ** 2,
                "sigmoid": e / (1 + e) ** 2,
            }[below.activation]
            if problem.masks is not None:
                slope = slope * problem.masks[index - 2] / LD(problem.keep_prob[index - 2])
            dZ = (W.T @ dZ) * slope
    return grads


def assert_as_manual(problem: Problem, differences: Mapping[str, Differences]) -> None:
    """Assert that each difference is the gradient by hand, but for the rounding of both."""
    exact = problem.astype(np.float64)
    _, grads = manual.loss_and_grads(*exact.arguments, **exact.options)
    rounding = analyse(exact)
    for name, grad in grads.items():
        difference = differences[name]
        off = np.abs(difference.value - grad.ravel())
        assert (off <= difference.bar + rounding.bars[name].ravel()).all(), name


HIDDEN = [*ACTIVATIONS, ("tanh", "relu"), ("relu", "sigmoid"), ("leaky-relu", "tanh")]


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize(("output", "classes"), [("sigmoid", 1), ("softmax", 3)])
@pytest.mark.parametrize(
    ("l2", "keep_prob", "dtype"),
    [(0.0, 1.0, "float64"), (0.7, 0.6, "float64"), (0.7, 0.6, "float32")],
)
def test_every_difference_is_that_of_the_black_box(hidden, output, classes, l2, keep_prob, dtype):
    problem = random_problem(
        sizes=(4, 5, 3, classes),
        hidden=hidden,
        output=output,
        l2=l2,
        keep_prob=keep_prob,
        dtype=dtype,
        seed=3,
    )
    ours = exhaustive_differences(problem)
    assert list(ours) == list(problem.params)
    for name, theirs in black_box(problem).items():
        mine = ours[name]
        assert np.array_equal(mine.index, np.arange(problem.params[name].size))
        assert mine.smooth.all()
        assert theirs.smooth.all()
        assert (np.abs(mine.value - theirs.value) <= mine.bar + theirs.bar).all(), name
        assert np.median(mine.bar) < 1e-3 * np.median(theirs.bar)


def test_a_network_without_hidden_layers_is_differenced_too():
    for output, sizes in (("sigmoid", (3, 1)), ("softmax", (3, 4))):
        problem = random_problem(sizes=sizes, output=output)
        ours = exhaustive_differences(problem)
        for name, theirs in black_box(problem).items():
            off = np.abs(ours[name].value - theirs.value)
            assert (off <= ours[name].bar + theirs.bar).all()


@needs_extended
@pytest.mark.parametrize("scale", [0.3, 1.0, 10.0])
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize(
    ("sizes", "m"), [((4, 5, 3, 1), 7), ((8, 6, 3), 20), ((2, 1, 1), 1), ((300, 3, 2, 1), 60)]
)
def test_a_bar_covers_the_true_error_and_little_more(hidden, sizes, m, scale):
    problem = random_problem(
        sizes=sizes,
        m=m,
        hidden=hidden if isinstance(hidden, str) else hidden[: len(sizes) - 2] or "relu",
        output="sigmoid" if sizes[-1] == 1 else "softmax",
        init=scale / sizes[0] ** 0.5,
        keep_prob=0.7,
        seed=m,
    )
    ours = exhaustive_differences(problem)
    for name, truth in in_extended_precision(problem).items():
        off = np.abs(ours[name].value - truth.ravel()).astype(float)
        assert (off <= ours[name].bar).all(), name
        seen = off > 0
        if seen.sum() >= 10:
            assert np.median(ours[name].bar[seen] / off[seen]) < 1e3


@needs_extended
@pytest.mark.parametrize("label", [0.0, 1.0])
@pytest.mark.parametrize("logit", [-600.0, -40.0, 40.0, 600.0])
def test_a_saturated_output_keeps_its_digits_on_either_side(label, logit):
    problem = Problem(
        {"W1": np.array([[logit]]), "b1": np.zeros((1, 1))},
        np.array([[1.0, 1.0]]),
        np.array([[label, label]]),
        hidden=(),
    )
    W = exhaustive_differences(problem)["W1"]
    truth = (1 - 2 * label) / (1 + np.exp(-(1 - 2 * label) * LD(logit)))
    assert abs(W.value[0] - float(truth)) <= W.bar[0]
    assert W.bar[0] < 1e-13 * abs(float(truth))


@needs_extended
def test_a_saturated_hidden_unit_keeps_its_digits():
    for hidden, Z in (("tanh", 30.0), ("tanh", -30.0), ("sigmoid", 50.0), ("sigmoid", -50.0)):
        params = {"W1": [[Z]], "b1": [[0.0]], "W2": [[1.5]], "b2": [[0.2]]}
        problem = Problem(
            {name: np.array(value) for name, value in params.items()},
            np.array([[1.0]]),
            np.array([[1.0]]),
            hidden=hidden,
        )
        W1 = exhaustive_differences(problem)["W1"]
        truth = float(in_extended_precision(problem)["W1"][0, 0])
        assert truth != 0
        assert abs(W1.value[0] - truth) <= W1.bar[0] < 1e-13 * abs(truth)


def test_digits_that_saturation_takes_from_the_gradient_by_hand_are_within_its_rounding():
    params = {"W1": [[20.0, 1.0]], "b1": [[0.0]], "W2": [[50.0]], "b2": [[0.0]]}
    problem = Problem(
        {name: np.array(value) for name, value in params.items()},
        np.array([[1.0, 1.0], [0.5, 0.2]]),
        np.array([[1.0, 1.0]]),
        hidden="tanh",
    )
    ours = exhaustive_differences(problem)
    assert (ours["W1"].value != 0).all()
    assert_as_manual(problem, ours)


@pytest.mark.parametrize("hidden", ["relu", ("tanh", "relu")])
@pytest.mark.parametrize(
    ("module", "size", "value"),
    [
        (carried_changes, "ELEMENTS", 1),
        (carried_changes, "ELEMENTS", 64),
        ("", "HELD", 30),
        ("", "INPUTS", 30),
    ],
)
def test_blocks_change_nothing_but_the_order_of_summation(monkeypatch, hidden, module, size, value):
    problem = random_problem(sizes=(11, 6, 4, 1), m=13, hidden=hidden, keep_prob=0.8)
    kinked = [np.zeros((n, 13), bool) for n in (6, 4, 1)]
    kinked[0][2, 5] = hidden == "relu"
    whole = exhaustive_differences(problem, kinked=kinked)
    monkeypatch.setattr(module or exhaustive, size, value)
    for name, of in exhaustive_differences(problem, kinked=kinked).items():
        assert (np.abs(of.value - whole[name].value) <= of.bar).all()
        assert of.bar == pytest.approx(whole[name].bar, rel=1e-6, abs=0)
        assert np.array_equal(of.smooth, whole[name].smooth)


def test_a_float32_problem_is_differenced_in_float64_at_its_parameters():
    problem = random_problem(dtype="float32")
    ours, wide = (exhaustive_differences(of) for of in (problem, problem.astype(np.float64)))
    for name, of in ours.items():
        assert np.array_equal(of.value, wide[name].value)
        assert of.value.dtype == np.float64


def test_two_examples_on_their_kink_at_once_give_the_derivative_by_convention():
    params = {"W1": [[0.0]], "b1": [[0.0]], "W2": [[1.0]], "b2": [[0.0]]}
    problem = Problem(
        {name: np.array(value) for name, value in params.items()},
        np.array([[1.0, -1.0]]),
        np.array([[0.0, 1.0]]),
    )
    ours = exhaustive_differences(problem)
    assert {name: bool(of.smooth[0]) for name, of in ours.items()} == {
        "W1": False,
        "b1": False,
        "W2": True,
        "b2": True,
    }
    assert all(of.value[0] == 0 for of in ours.values())


def test_held_units_stay_on_the_piece_of_their_sign():
    X = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]])
    problem = Problem(
        {
            "W1": np.array([[1.0, 1e-17]]),
            "b1": np.zeros((1, 1)),
            "W2": np.ones((1, 1)),
            "b2": np.zeros((1, 1)),
        },
        X,
        np.array([[0.0, 0.0, 1.0]]),
    )
    kinked = [np.array([[False, True, False]]), np.zeros((1, 3), bool)]
    ours = exhaustive_differences(problem, kinked=kinked)
    assert ours["W1"].smooth.tolist() == [True, False]
    assert not ours["b1"].smooth[0]
    assert_as_manual(problem, ours)


@pytest.mark.parametrize("Z", [1e-9, -1e-9, 1e-14, -1e-14])
def test_the_step_is_cut_below_the_distance_to_a_kink(Z):
    params = {"W1": [[Z, 1.0]], "b1": [[0.0]], "W2": [[1.0]], "b2": [[0.3]]}
    problem = Problem(
        {name: np.array(value) for name, value in params.items()},
        np.array([[1.0, 0.5], [0.0, 0.5]]),
        np.array([[1.0, 0.0]]),
    )
    ours = exhaustive_differences(problem)
    assert all(of.smooth.all() for of in ours.values())
    assert_as_manual(problem, ours)


def test_on_a_grid_of_tenths_every_smooth_difference_is_the_gradient_by_hand():
    kinks = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        sizes = (300, 4, 3, 1)
        params = {
            name: value
            for index, (n_in, n_out) in enumerate(pairwise(sizes), 1)
            for name, value in (
                (f"W{index}", rng.integers(-3, 4, (n_out, n_in)) / 10),
                (f"b{index}", rng.integers(-1, 2, (n_out, 1)) / 10),
            )
        }
        X = rng.integers(-1, 2, (300, 40)) / 10
        problem = Problem(params, X, rng.integers(0, 2, (1, 40)))
        ours = exhaustive_differences(problem, kinked=analyse(problem).kinked)
        kinks += sum(np.sum(~of.smooth) for of in ours.values())
        assert_as_manual(problem, ours)
    assert kinks > 0


@pytest.mark.parametrize("hidden", ["relu", "tanh"])
def test_zero_initialisation_leaves_the_last_layer_to_be_checked(hidden):
    problem = random_problem(hidden=hidden, init="zeros")
    problem = problem.with_params(
        {name: np.zeros_like(value) for name, value in problem.params.items()}
    )
    ours = exhaustive_differences(problem)
    assert_as_manual(problem, ours)
    on_kinks = {name for name, of in ours.items() if not of.smooth.any()}
    assert on_kinks == ({"W1", "b1", "b2"} if hidden == "relu" else set())
    assert ours["b3"].value[0] != 0


def test_dropout_under_zero_biases_puts_biases_on_kinks_and_no_weight():
    problem = random_problem(sizes=(3, 4, 4, 1), hidden="relu", keep_prob=0.3, m=30)
    problem = problem.with_params(
        {name: value * (name[0] == "W") for name, value in problem.params.items()}
    )
    ours = exhaustive_differences(problem, kinked=analyse(problem).kinked)
    assert not ours["b2"].smooth.any()
    assert all(of.smooth.all() for name, of in ours.items() if name[0] == "W")
    assert_as_manual(problem, ours)


def test_weights_that_no_example_reads_differ_by_the_penalty_alone():
    problem = random_problem(l2=0.7)
    X = problem.X.copy()
    X[1] = 0
    W1 = exhaustive_differences(replace(problem, X=X))["W1"]
    dead = np.arange(W1.value.size).reshape(problem.params["W1"].shape)[:, 1]
    penalty = 0.7 / problem.m * problem.params["W1"][:, 1]
    assert np.array_equal(W1.value[dead], penalty)
    assert (W1.bar[dead] <= 1e-15 * np.abs(penalty)).all()


def test_a_step_that_crosses_a_later_kink_leaves_the_difference_on_its_piece():
    """A step of 2^-27 moves the second unit from -1e-10 to above 0."""
    problem = Problem(
        {
            "W1": np.array([[0.5], [0.3]]),
            "b1": np.array([[0.0], [0.0]]),
            "W2": np.array([[1.0, 1.0], [-1.0, 0.5]]),
            "b2": np.array([[0.1], [0.35 - 1e-10]]),
            "W3": np.ones((1, 2)),
            "b3": np.zeros((1, 1)),
        },
        np.array([[1.0, 0.25]]),
        np.array([[1.0, 0.0]]),
    )
    layers, _ = base_values.forward(problem, problem.params, None, slice(None))
    assert -2e-10 < layers[1].Z[1, 0] < 0
    ours = exhaustive_differences(problem)
    assert all(of.smooth.all() for of in ours.values())
    assert_as_manual(problem, ours)


def test_an_entry_is_on_a_kink_only_where_its_own_pairs_are():
    """Unit 0 of example 1 is held; only inputs that example 1 has can move it."""
    problem = random_problem(sizes=(3, 2, 1), hidden="relu", m=4)
    X = problem.X.copy()
    X[2, 1] = 0
    kinked = [np.zeros((n, 4), bool) for n in (2, 1)]
    kinked[0][0, 1] = True
    ours = exhaustive_differences(replace(problem, X=X), kinked=kinked)
    smooth = {name: of.smooth.tolist() for name, of in ours.items()}
    assert smooth["W1"] == [False, False, True, True, True, True]
    assert smooth["b1"] == [False, True]
    assert all(smooth["W2"] + smooth["b2"])


@pytest.mark.parametrize("seed", range(6))
def test_a_network_of_any_shape_is_differenced_as_the_black_box_does(seed):
    rng = np.random.default_rng(seed)
    depth, output = int(rng.integers(0, 5)), str(rng.choice(["sigmoid", "softmax"]))
    classes = 1 if output == "sigmoid" else int(rng.integers(2, 6))
    problem = random_problem(
        sizes=(int(rng.integers(1, 8)), *rng.integers(1, 6, depth), classes),
        m=int(rng.integers(1, 9)),
        hidden=[str(name) for name in rng.choice(list(ACTIVATIONS), depth)],
        output=output,
        l2=float(rng.choice([0, 0.7])),
        keep_prob=float(rng.choice([1, 0.6])),
        dtype=str(rng.choice(["float32", "float64"])),
        seed=seed,
    )
    ours = exhaustive_differences(problem)
    for name, theirs in black_box(problem).items():
        both = ours[name].smooth & theirs.smooth
        off = np.abs(ours[name].value - theirs.value)
        assert (off <= ours[name].bar + theirs.bar)[both].all(), name
    assert_as_manual(problem, ours)


def test_a_relative_error_of_1e9_in_one_entry_is_beyond_its_bar():
    problem = random_problem(
        sizes=(400, 20, 7, 5, 1), m=100, hidden="relu", init="he", keep_prob=0.85
    )
    ours = exhaustive_differences(problem).values()
    seen = [of.bar[of.value != 0] < 1e-9 * np.abs(of.value[of.value != 0]) for of in ours]
    assert np.mean(np.concatenate(seen)) > 0.999


def without_masks(layers: list[base_values.Layer]) -> list[base_values.Layer]:
    return [replace(layer, slope=layer.slope + (layer.slope == 0)) for layer in layers]


def with_an_input_of_another_unit(layers: list[base_values.Layer]) -> list[base_values.Layer]:
    return [replace(layer, A_prev=np.roll(layer.A_prev, 1, axis=0)) for layer in layers]


def with_a_slope_off_by_1e5th(layers: list[base_values.Layer]) -> list[base_values.Layer]:
    return [replace(layer, slope=layer.slope * (1 + 1e-5)) for layer in layers]


@pytest.mark.parametrize("hidden", ACTIVATIONS)
@pytest.mark.parametrize(
    "wrong", [without_masks, with_an_input_of_another_unit, with_a_slope_off_by_1e5th]
)
def test_a_witness_that_is_wrong_dissents_alone(monkeypatch, hidden, wrong):
    problem = random_problem(hidden=hidden, keep_prob=0.6)
    forward = base_values.forward

    def wrong_forward(*arguments):
        layers, output = forward(*arguments)
        return wrong(layers), output

    monkeypatch.setattr(base_values, "forward", wrong_forward)
    ours, theirs = exhaustive_differences(problem), black_box(problem)
    off = {name: np.abs(ours[name].value - of.value) for name, of in theirs.items()}
    assert any((off[name] > ours[name].bar + of.bar).any() for name, of in theirs.items())
    report = three_way(problem)
    assert report.verdict == "undecided"
    assert "Only the finite differences disagree" in report.meaning


def test_a_loss_that_is_not_finite_is_refused_in_a_sentence():
    problem = random_problem(hidden="relu")
    huge = {name: np.full_like(value, 1e200) for name, value in problem.params.items()}
    with pytest.raises(ValueError, match="params: got a loss of"):
        exhaustive_differences(problem.with_params(huge))


@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
def test_a_change_of_a_logit_gains_at_least_its_slope(output):
    problem = random_problem(sizes=(4, 3, 1 if output == "sigmoid" else 3), output=output, seed=5)
    layers, base = base_values.forward(problem, problem.params, None, slice(None))
    AL, _ = manual.forward(problem.params, problem.X, hidden=problem.hidden, output=output)
    slope = np.abs(AL - problem.Y)
    gained = base_values.gains(layers, base)[-1]
    assert (gained >= slope * (1 - 1e-12)).all()
    assert (gained <= 20 * np.abs(slope).sum(axis=0)).all()


def test_neither_the_random_state_nor_the_settings_of_jax_are_touched():
    before = np.random.get_state()[1].copy()
    exhaustive_differences(random_problem())
    assert np.array_equal(np.random.get_state()[1], before)
    assert not jax.config.jax_enable_x64


@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
def test_both_differences_are_those_of_the_loss_to_its_third_order(output):
    """A logit moved by either step, against the loss in sixty digits."""
    problem = random_problem(sizes=(3, 1 if output == "sigmoid" else 3), output=output, seed=4)
    layers, base = base_values.forward(problem, problem.params, None, slice(None))
    (steps,) = base_values.steps(layers)
    ((near, far),) = carried_changes.differences(layers, base, [steps])
    Z = layers[0].Z

    def loss(*logits, e):
        if output == "sigmoid":
            return (1 + (logits[0] if problem.Y[0, e] == 0 else -logits[0]).exp()).ln()
        total = sum(z.exp() for z in logits)
        return total.ln() - sum(z for z, y in zip(logits, problem.Y[:, e], strict=True) if y)

    for found, scale in ((near, 1), (far, carried_changes.FAR)):
        for i, e in np.ndindex(*Z.shape):

            def half(*logits, i=i, e=e, step=Decimal(scale * steps[i, e])):
                up, down = (
                    loss(*logits[:i], logits[i] + d, *logits[i + 1 :], e=e) for d in (step, -step)
                )
                return (up - down) / (2 * step)

            exact = precise.exactly(half, *Z[:, e])
            assert found[i, e] == pytest.approx(exact, rel=1e-13, abs=0)


def test_what_moves_a_held_unit_through_another_layer_is_marked_too():
    problem = random_problem(sizes=(3, 2, 2, 1), hidden="relu", m=4)
    params = dict(problem.params)
    params["b1"] = np.array([[9.0], [-9.0]])  # on every example the first passes, not the second
    kinked = [np.zeros((n, 4), bool) for n in (2, 2, 1)]
    kinked[1][0, 2] = True
    layers, _ = base_values.forward(problem.with_params(params), params, kinked, slice(None))
    lowest, middle, logits = base_values.touched(layers)
    assert np.argwhere(lowest).tolist() == [[0, 2]]
    assert np.argwhere(middle).tolist() == [[0, 2]]
    assert not logits.any()
