"""The three ways agree where the pass is right, and say where it is not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import random_problem

import autodiff
import manual
from verify import Problem, three_way
from verify.activations import ACTIVATIONS
from verify.evidence.bars.derived import analyse
from verify.evidence.witnesses import Compared
from verify.report import PAIRS, Loss, Resolution, Tensor
from verify.show.sentences import sentence
from verify.verdict import conclude, judge

DEPTHS = (0, 1, 2, 3, 4)
HIDDEN = tuple(ACTIVATIONS)
OUTPUTS = ("sigmoid", "softmax")
PENALTIES = (0.0, 0.7)
KEEP_PROBS = (1.0, 0.6)
DTYPES = ("float64", "float32")


def combinations():
    """Yield all 320; four in five compiled functions are slow, and every pair of options is not."""
    compiled = itertools.product(*map(enumerate, (DEPTHS, HIDDEN, OUTPUTS, KEEP_PROBS, DTYPES)))
    for choices in compiled:
        indices, (depth, hidden, output, keep_prob, dtype) = zip(*choices, strict=True)
        marks = [pytest.mark.slow] if (sum(indices) + indices[-1]) % 5 else []
        for l2 in PENALTIES:
            yield pytest.param(depth, hidden, output, l2, keep_prob, dtype, marks=marks)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("depth", "hidden", "output", "l2", "keep_prob", "dtype"), list(combinations())
)
def test_all_three_ways_agree_on_identical_parameters_and_masks(
    depth, hidden, output, l2, keep_prob, dtype
):
    sizes = (4, *(5, 4, 3, 4)[:depth], 1 if output == "sigmoid" else 3)
    problem = random_problem(
        sizes=sizes, hidden=hidden, output=output, l2=l2, keep_prob=keep_prob, dtype=dtype
    )
    report = three_way(problem, finite_difference="sampled")
    assert report.ok, str(report)
    assert all(set(tensor.pairs) == set(PAIRS) for tensor in report.tensors)
    assert sum(tensor.entries_checked for tensor in report.tensors) > 0


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.sampled_from([(1, 1), (3, 2, 1), (2, 4, 3), (5, 1, 1)]),
    m=st.integers(1, 3),
    hidden=st.sampled_from(HIDDEN),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 30.0]),
    whole=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_right_gradients_agree_whatever_the_values(sizes, m, hidden, scale, whole, seed):
    output = "sigmoid" if sizes[-1] == 1 else "softmax"
    problem = random_problem(
        sizes=sizes, m=m, hidden=hidden, output=output, init=scale, keep_prob=0.7, seed=seed
    )
    if whole:
        rounded = {name: np.round(value) for name, value in problem.params.items()}
        problem = Problem(rounded, np.round(problem.X), problem.Y, problem.masks, **problem.options)
    report = three_way(problem, finite_difference="sampled")
    # A saturated output leaves some gradients as small as the rounding of it, and whole numbers
    # put units on their kinks, where nothing tells the slopes.
    hard = scale == 30.0 or whole
    assert report.verdict in ("agree", *["undecided"] * hard), str(report)


@pytest.fixture(scope="module")
def problem():
    return random_problem(sizes=(20, 10, 5, 1), m=40, hidden="relu", keep_prob=0.8)


@pytest.fixture(scope="module")
def grads(problem):
    return manual.loss_and_grads(*problem.arguments, **problem.options)[1]


def wrong_tensors(report):
    return [t.name for t in report.tensors if not t.pairs[PAIRS[0]].agree]


@pytest.mark.parametrize("name", ["W1", "b1", "W2", "b2", "W3", "b3"])
def test_a_tensor_scaled_by_one_part_in_a_million_is_found(problem, grads, name):
    report = three_way(problem, grads=grads | {name: grads[name] * (1 + 1e-6)})
    assert report.verdict == "disagree"
    assert wrong_tensors(report) == [name]
    assert f"d{name}" in report.meaning


@pytest.mark.parametrize("name", ["W1", "W2"])
def test_one_entry_off_by_one_percent_is_found_where_it_is(problem, grads, name):
    wrong = grads[name].copy()
    wrong[2, 3] *= 1.01
    report = three_way(problem, grads=grads | {name: wrong})
    assert wrong_tensors(report) == [name]
    tensor = next(t for t in report.tensors if t.name == name)
    assert tensor.pairs[PAIRS[0]].worst.index == np.ravel_multi_index((2, 3), wrong.shape)


def test_l2_forgotten_in_one_layer_is_found(problem, grads):
    wrong = grads["W2"] - problem.l2 / problem.m * problem.params["W2"]
    assert wrong_tensors(three_way(problem, grads=grads | {"W2": wrong})) == ["W2"]


def test_one_mask_not_reapplied_is_found_at_its_layer_and_below(problem):
    def forgetful(params, X, Y, masks, *, hidden, output, l2, keep_prob):
        _, cache = manual.forward(
            params, X, masks, hidden=hidden, output=output, keep_prob=keep_prob
        )
        seen = (np.ones_like(masks[0]), masks[1])
        dZ = manual.output_backward(cache, Y)
        return manual.backward(dZ, cache, seen, l2=l2, keep_prob=keep_prob)[0]

    report = three_way(problem, grads=forgetful)
    assert wrong_tensors(report) == ["W1", "b1"]


def test_float32_gradients_are_judged_by_float32_rounding_and_no_worse():
    problem = random_problem(sizes=(20, 10, 5, 1), m=40, hidden="tanh", dtype="float32")
    grads = manual.loss_and_grads(*problem.arguments, **problem.options)[1]
    assert three_way(problem).ok
    for name in grads:
        wrong = grads | {name: grads[name] * np.float32(1 + 1e-4)}
        assert wrong_tensors(three_way(problem, grads=wrong, finite_difference="sampled")) == [name]


def test_a_loss_without_its_penalty_is_told_from_a_wrong_backward_pass(problem):
    def forgetful(*arguments, **options):
        return manual.loss(*arguments, **options | {"l2": 0.0})

    report = three_way(problem, loss=forgetful)
    assert report.verdict == "disagree"
    assert not report.loss.agree
    assert "loss is wrong" in report.meaning


def test_a_backward_pass_faithful_to_another_forward_pass_is_told_apart(problem):
    def other(function):
        return lambda *arguments, **options: function(
            *arguments, **options | {"hidden": ("tanh", "relu")}
        )

    report = three_way(
        problem,
        loss=other(manual.loss),
        grads=lambda *a, **k: other(manual.loss_and_grads)(*a, **k)[1],
    )
    assert report.verdict == "disagree"
    assert "faithful" in report.meaning


def test_where_several_examples_share_a_kink_the_convention_is_right_and_agrees():
    # Both one-sided slopes by W1 are +0.25, and the gradient by convention is 0.
    problem = Problem(
        params={
            "W1": np.zeros((1, 1)),
            "b1": np.zeros((1, 1)),
            "W2": np.ones((1, 1)),
            "b2": np.zeros((1, 1)),
        },
        X=np.array([[1.0, -1.0]]),
        Y=np.array([[0.0, 1.0]]),
    )
    report = three_way(problem)
    assert report.ok, str(report)
    kinks = {tensor.name: tensor.kinks for tensor in report.tensors}
    assert kinks["W1"] == 1
    assert kinks["b2"] == 0


def test_zero_initialisation_agrees_and_says_what_sits_on_kinks():
    problem = random_problem(sizes=(3, 4, 2, 1), hidden="relu", init="zeros")
    zeros = {name: np.zeros_like(value) for name, value in problem.params.items()}
    report = three_way(problem.with_params(zeros))
    assert report.ok, str(report)
    assert any("dW1" in remark and "kink" in remark for remark in report.remarks)


@pytest.mark.parametrize("seed", range(10))
def test_a_grid_of_tenths_agrees(seed):
    rng = np.random.default_rng(seed)
    problem = random_problem(sizes=(300, 4, 3, 1), hidden="relu", seed=seed)
    tenths = {name: np.round(rng.uniform(-1, 1, v.shape), 1) for name, v in problem.params.items()}
    X = np.round(rng.uniform(-1, 1, problem.X.shape), 1)
    report = three_way(Problem(tenths, X, problem.Y, l2=0.5), finite_difference="sampled")
    assert report.ok, str(report)


def test_a_loss_that_is_not_finite_is_undecided():
    problem = random_problem()
    report = three_way(problem, loss=lambda *a, **k: float("nan"))
    assert report.verdict == "undecided"
    assert report.to_dict()["loss"]["manual"] is None


def test_nan_in_a_gradient_is_a_disagreement_and_valid_json(problem, grads):
    import json

    wrong = grads["W1"].copy()
    wrong[0, 0] = np.nan
    report = three_way(problem, grads=grads | {"W1": wrong})
    assert wrong_tensors(report) == ["W1"]
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("grads", "sentence"),
    [
        ({"W1": np.zeros((2, 2))}, "grads: got W1, expected one array for each of"),
        (3, "grads: got int"),
    ],
)
def test_gradients_of_another_structure_are_refused(problem, grads, sentence):
    with pytest.raises(ValueError, match=sentence):
        three_way(problem, grads=grads)


@pytest.mark.parametrize("method", ["exhaustive", "sampled", "directional"])
def test_every_method_sees_a_wrong_gradient_without_jax(problem, grads, method):
    report = three_way(problem, grads=grads | {"b2": 2 * grads["b2"]}, finite_difference=method)
    tensor = next(t for t in report.tensors if t.name == "b2")
    assert not tensor.pairs["manual_vs_finite_difference"].agree
    assert tensor.pairs["autodiff_vs_finite_difference"].agree


def apart(*gaps, kinked=(False,)):
    """Return numbers so far from 0, each with an error bar of 1, compared with 0."""
    value = np.array(gaps)
    zeros, bars = np.zeros(len(value)), np.ones(len(value))
    return judge(Compared(np.arange(len(value)), value, zeros, bars), np.array(kinked))


def test_two_ways_agree_up_to_their_bar_and_no_further():
    assert apart(1.0).agree
    assert not apart(1.01).agree


def test_kinked_entries_count_for_agreement_and_not_for_the_relative_difference():
    compared = Compared(np.arange(2), np.array([1.0, 5.0]), np.array([1.5, 1.0]), np.ones(2))
    pair = judge(compared, np.array([False, True]))
    assert (pair.max_abs, pair.relative) == (0.5, 0.5 / 2.5)
    assert (pair.bar_ratio, pair.agree) == (4.0, False)


def test_two_losses_agree_up_to_their_bar_and_no_further(problem):
    def off_by(bars):
        off = bars * analyse(problem).loss_bar

        def loss(*arguments, **options):
            return manual.loss(*arguments, **options) + off

        return three_way(problem, loss=loss)

    assert off_by(0.5).loss.agree
    shifted = off_by(2.0)
    assert not shifted.loss.agree
    assert shifted.verdict == "disagree"


@pytest.mark.parametrize(
    ("losses_agree", "dissents", "verdict", "words"),
    [
        (True, {}, "agree", "All three ways agree"),
        (True, {"W2": (0, 1)}, "disagree", "wrong in dW2: JAX and the finite differences disagree"),
        (True, {"b1": (0,)}, "disagree", "wrong in db1: JAX disagrees"),
        (True, {"b1": (1,)}, "disagree", "wrong in db1: the finite differences disagree"),
        (True, {"W2": (0, 1, 2)}, "disagree", "differs from JAX in dW2"),
        (True, {"W2": (2,)}, "undecided", "the code is not wrong"),
        (True, {"W2": (1, 2)}, "undecided", "the code is not wrong"),
        (True, {"W1": (1,), "W2": (1, 2)}, "disagree", "dW1: the finite differences disagree"),
        (False, {"W1": (0, 2)}, "disagree", "faithful to it"),
        (False, {"W1": (1, 2)}, "disagree", "The loss is wrong"),
        (False, {}, "disagree", "wrong by a constant"),
        (False, {"W1": (0, 1, 2)}, "disagree", "may both be"),
    ],
)
def test_who_agrees_with_whom_decides_what_is_said(losses_agree, dissents, verdict, words):
    tensors = [
        Tensor(
            name=name,
            shape=(1,),
            entries_checked=1,
            kinks=0,
            pairs={
                each: apart(2.0 * (k in dissents.get(name, ()))) for k, each in enumerate(PAIRS)
            },
            value=np.zeros(1),
            verdict="agree",
            resolution=Resolution(0.0, 0.0, 1.0, ""),
        )
        for name in ("W1", "b1", "W2")
    ]
    concluded, fact = conclude(Loss(1.0, 1.0, losses_agree), tensors)
    assert concluded == verdict
    assert words in sentence(fact)


def test_directions_in_float32_are_given_float32s_bars():
    problem = random_problem(sizes=(20, 10, 5, 1), m=40, hidden="tanh", dtype="float32")
    report = three_way(problem, finite_difference="directional")
    assert report.ok, str(report)


@pytest.mark.parametrize(("method", "compared"), [("exhaustive", 1), ("sampled", 0)])
def test_an_entry_on_a_kink_is_compared_by_structure_and_left_out_by_the_black_box(
    method, compared
):
    problem = Problem(
        params={
            "W1": np.zeros((1, 1)),
            "b1": np.zeros((1, 1)),
            "W2": np.ones((1, 1)),
            "b2": np.zeros((1, 1)),
        },
        X=np.array([[1.0]]),
        Y=np.array([[0.0]]),
    )
    report = three_way(problem, finite_difference=method)
    tensor = report.tensors[0]
    assert report.ok, str(report)
    assert tensor.kinks == tensor.entries_checked == 1
    assert tensor.pairs["manual_vs_finite_difference"].index.size == compared


def test_a_check_leaves_jax_as_it_was():
    import jax

    before = jax.numpy.ones(1).dtype
    autodiff.loss_and_grads(*random_problem().arguments, l2=0.7)
    three_way(random_problem(), finite_difference="sampled")
    assert jax.numpy.ones(1).dtype == before


def test_in_float32_near_convergence_a_right_pass_agrees_and_a_zeroed_one_does_not():
    # The derived bars alone are wider there than most of the gradient.
    rng = np.random.default_rng(203)
    params = manual.initialize((6, 4, 4, 3), "he", rng, np.float64)
    X, labels = rng.standard_normal((6, 11)), np.r_[0, 1, rng.integers(0, 3, 9)]
    problem = Problem(params, X, np.eye(3)[:, labels], hidden="relu", output="softmax")
    learnt, _ = autodiff.steps(*problem.arguments, n=3000, learning_rate=0.3, **problem.options)
    single = problem.with_params(learnt).astype(np.float32)
    assert three_way(single).ok

    def zeroed(*args, **options):
        return {**manual.loss_and_grads(*args, **options)[1], "W2": np.zeros((4, 4), np.float32)}

    assert three_way(single, grads=zeroed).verdict != "agree"
