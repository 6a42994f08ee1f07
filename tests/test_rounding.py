"""What rounding may do is neither understated nor overstated, and kinks are what they are."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import precise
import pytest
from problems import random_problem
from scipy.stats import t as students_t

import autodiff
import manual
from verify import Problem
from verify.activations import ACTIVATIONS, exponential_rounding
from verify.evidence.bars import measured
from verify.evidence.bars.derived import (
    CHANCE,
    LIBRARY,
    SAMPLES,
    Rounding,
    _either_side,
    _Linearised,
    _Local,
    _local_errors,
    _output,
    analyse,
)
from verify.evidence.bars.sum_rounding import Unit, product_deviation, product_norm
from verify.evidence.witnesses import Witness

UNIT = 2.0**-53


def one_unit(w, x, *, m=1, hidden="relu"):
    """Return the problem of one unit that reads x by the weights w, under one sigmoid."""
    return Problem(
        params={
            "W1": np.array([w]),
            "b1": np.zeros((1, 1)),
            "W2": np.ones((1, 1)),
            "b2": np.zeros((1, 1)),
        },
        X=np.repeat(np.array([x]).T, m, axis=1),
        Y=np.zeros((1, m)),
        hidden=hidden,
    )


@pytest.mark.parametrize(("dtype", "wide"), [(np.float32, np.float64), (np.float64, np.longdouble)])
@pytest.mark.parametrize("library", [np, jnp])
def test_libraries_compute_their_functions_within_the_units_that_they_are_given(
    library, dtype, wide
):
    if np.finfo(wide).eps > np.finfo(dtype).eps / 1000:
        pytest.skip("no wider type on this machine")
    Z = np.random.default_rng(0).uniform(-25, 25, 200_000).astype(dtype)
    with jax.enable_x64(True):
        for name, at in (("exp", Z), ("tanh", Z), ("log1p", np.exp(Z))):
            exact = getattr(np, name)(at.astype(wide))
            found = np.asarray(getattr(library, name)(at))
            assert found.dtype == dtype
            units = np.abs((found.astype(wide) - exact) / exact).max() / (np.finfo(dtype).eps / 2)
            assert units <= LIBRARY


def test_a_bar_is_the_quantile_of_the_difference_of_two_roundings_and_the_kinks_on_top():
    rounding = Rounding(
        loss=1.0,
        grads={"W1": np.array([[2.0]])},
        Z=[],
        kinked=[],
        kink_radius={"W1": np.array([[0.5]])},
        quantile=3.0,
    )
    assert rounding.loss_bar == pytest.approx(3 * 2**0.5)
    assert rounding.bars["W1"] == pytest.approx(6 * 2**0.5 + 0.5)


def test_all_entries_together_leave_their_bars_with_the_stated_chance():
    problem = random_problem()
    entries = sum(value.size for value in problem.params.values())
    outside = 2 * entries * students_t.sf(analyse(problem).quantile, SAMPLES)
    assert outside == pytest.approx(CHANCE)
    assert CHANCE <= 1e-9


@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
@pytest.mark.parametrize("hidden", ACTIVATIONS)
@pytest.mark.parametrize("l2", [0.0, 50.0])
def test_the_error_of_float32_is_within_its_deviation_and_not_far_below(hidden, output, l2):
    # The bars allow for two evaluations and for all entries at once; the deviations alone
    # should hold most of the errors of one, and not be many times what happens.
    sizes = (40, 30, 20, 1 if output == "sigmoid" else 4)
    problem = random_problem(
        sizes=sizes, m=60, hidden=hidden, output=output, l2=l2, keep_prob=0.8, dtype="float32"
    )
    exact = problem.astype(np.float64)
    loss, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    true_loss, true_grads = manual.loss_and_grads(*exact.arguments, **exact.options)
    rounding = analyse(problem)
    assert abs(loss - true_loss) <= rounding.loss
    assert rounding.loss <= 1e-5 * true_loss
    for name, sigma in rounding.grads.items():
        error = np.abs(grads[name] - true_grads[name])
        typical = np.sqrt(np.mean(np.square(error))) / np.sqrt(np.mean(np.square(sigma)))
        assert 0.01 < typical < 1, name


def apart(problem):
    """Return how far the gradients by hand and by JAX are apart, by name."""
    _, by_hand = manual.loss_and_grads(*problem.arguments, **problem.options)
    _, by_jax = autodiff.loss_and_grads(*problem.arguments, **problem.options)
    return {name: np.abs(by_hand[name] - by_jax[name]) for name in by_hand}


@pytest.mark.parametrize(("dtype", "seed"), [(np.float64, 4), (np.float32, 7)])
def test_a_sum_of_many_copies_of_four_examples_may_round_alike_at_each(dtype, seed):
    exclusive_or = np.array([[0.0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0]])
    *X, Y = np.tile(exclusive_or, 2500)
    params = manual.initialize((2, 4, 1), 1.0, np.random.default_rng(seed), dtype)
    problem = Problem(params, np.array(X), Y[None], hidden="tanh")
    bars = analyse(problem).bars
    for name, difference in apart(problem).items():
        assert (difference <= bars[name]).all(), name
        assert (bars[name] <= 1e5 * np.finfo(dtype).eps).all(), name


def test_examples_that_dead_units_make_equal_carry_equal_errors():
    # Half of the examples reach the second layer as 0, where the slope is all but lost: 1 - A^2 at
    # A = tanh(b2) is off by thousands of units, and by the same in all of them.
    def half_dead(b2, m):
        values = {"W1": -1.0, "b1": 0.0, "W2": 1.0, "b2": b2, "W3": 1.0, "b3": 0.0}
        params = {name: np.full((1, 1), value) for name, value in values.items()}
        X = np.linspace(-1, 1, m)[None]
        return Problem(params, X, np.zeros((1, m)), hidden=("relu", "tanh"))

    # Where the libraries' tanh are furthest apart.
    b2 = max(np.linspace(2, 8, 100), key=lambda b2: apart(half_dead(b2, 100))["b2"].item())
    problem = half_dead(b2, 10_000)
    assert 0 < apart(problem)["b2"].item() <= analyse(problem).bars["b2"].item()


def test_a_bias_is_charged_for_its_addition():
    """Where the product is nothing beside the bias, Z is off by half a spacing of itself."""
    problem = random_problem(sizes=(3, 2, 1), l2=0.0, hidden="relu")
    params = {**problem.params, "W1": 1e-300 * problem.params["W1"]}
    problem = problem.with_params(params)
    _, cache = manual.forward(problem.params, problem.X, hidden="relu")
    grads = manual.intermediate_grads(*problem.arguments, **problem.options)
    first, _ = _local_errors(problem, cache, grads, Unit(UNIT, 0.0))
    np.testing.assert_allclose(first.Z, UNIT * np.abs(cache[0].Z), rtol=1e-12)


@pytest.mark.parametrize("size", [1.0, 30.0, 600.0])
def test_a_softmax_by_its_logarithm_is_within_the_rounding_that_it_is_charged(size):
    Z = size * np.linspace(-1, 1, 7)[:, None]
    A = np.exp(Z - np.log(np.exp(Z - Z.max()).sum()) - Z.max())
    exact = [precise.exactly(lambda *z, i=i: precise.softmax(z)[i], *Z[:, 0]) for i in range(7)]
    charged = exponential_rounding(Z) * 2.0**-53 * A
    assert (np.abs(A[:, 0] - exact) <= charged[:, 0]).all()


@pytest.mark.parametrize("Z", [0.5, 30.0])
def test_a_logarithm_that_is_off_by_the_units_of_a_library_is_within_that_rounding(Z):
    logits = np.array([[Z], [0.0]])
    total = np.log(np.exp(logits).sum())
    assert np.expm1(LIBRARY * UNIT * total) <= UNIT * exponential_rounding(logits)


def test_the_penalty_is_charged_for_its_own_roundings():
    # Beside it the loss's share of dW1 is nothing.
    problem = random_problem(sizes=(3, 5, 1), l2=0.3, m=7)
    tiny = Problem(problem.params, 1e-30 * problem.X, problem.Y, hidden="tanh", l2=0.3)
    W1 = problem.params["W1"]
    difference = np.abs(0.3 / 7 * W1 - 0.3 * W1 / 7)
    assert difference.any()
    assert (difference <= analyse(tiny).bars["W1"]).all()


def test_a_gradient_below_the_normal_numbers_may_be_flushed_to_zero():
    problem = random_problem(sizes=(3, 5, 1), l2=0.0, m=40)
    tiny = Problem(problem.params, 5e-307 * problem.X, problem.Y, hidden="tanh")
    _, grads = manual.loss_and_grads(*tiny.arguments, **tiny.options)
    assert 0.5 < np.abs(grads["W1"]).max() / np.finfo(float).tiny < 1
    assert (np.abs(grads["W1"]) <= analyse(tiny).bars["W1"]).all()


def test_a_sum_is_charged_for_its_largest_partial_sum_and_for_its_terms():
    left, right = np.array([[3.0, 1.0, -4.0, 1.0]]), np.ones((4, 1))
    error = product_deviation(left, right, Unit(UNIT, 0.0))
    assert error.item() / UNIT == pytest.approx(2 * (4 + 27**0.5))


def test_products_that_underflow_when_squared_are_still_charged():
    left, right = np.array([[1.0, 1e-200]]), np.array([[0.0, 1.0]])
    assert product_norm(left, right).item() / 1e-200 == pytest.approx(1)


def test_an_error_that_all_logits_share_does_not_reach_a_softmax():
    Z = np.array([[0.3], [-1.0], [2.0]])
    layer = manual.LayerCache("softmax", Z, np.eye(3), Z, manual.softmax(Z))
    assert _output(layer, np.ones_like(Z)) == pytest.approx(0, abs=1e-15)
    assert np.abs(_output(layer, np.array([[1.0], [0.0], [0.0]]))).max() > 0.1


def test_a_unit_that_is_zero_because_all_its_terms_are_is_no_accident():
    rounding = analyse(one_unit([0.0, 0.0], [1.0, 2.0]))
    assert not rounding.kinked[0].any()
    assert not rounding.kink_radius["W1"].any()


@pytest.mark.parametrize("m", [1, 5])
def test_a_unit_that_cancels_to_zero_moves_its_weights_by_all_that_its_slope_decides(m):
    problem = one_unit([0.1, -0.1], [3.0, 3.0], m=m)
    rounding = analyse(problem)
    assert rounding.kinked[0].all()
    # dA1 = AL - Y = 1/2 at slope 1, and 0 at slope 0, in every one of the examples.
    assert rounding.kink_radius["W1"] == pytest.approx(0.5 * 3)
    assert rounding.kink_radius["b1"] == pytest.approx(0.5)
    assert not rounding.kink_radius["W2"].any()


def test_a_slope_on_a_kink_is_anywhere_between_those_of_its_two_sides():
    rounding = analyse(one_unit([0.1, -0.1], [3.0, 3.0], hidden="leaky-relu"))
    assert rounding.kinked[0].all()
    # dA1 = AL - Y = 1/2, and its slope anywhere from 0.01 to 1.
    assert rounding.kink_radius["W1"] == pytest.approx(0.99 * 0.5 * 3)
    # Off the kink, on its left, nothing is left to chance.
    left = analyse(one_unit([0.1, -0.2], [3.0, 3.0], hidden="leaky-relu"))
    assert not left.kinked[0].any()
    assert not left.kink_radius["W1"].any()


def test_a_kink_moves_the_layers_below_it_too_through_kinks_of_their_own():
    params = {
        "W1": np.array([[0.5], [0.1]]),
        "b1": np.array([[0.0], [-0.1]]),
        "W2": np.array([[0.2, 7.0]]),
        "b2": np.array([[-0.1]]),
        "W3": np.array([[2.0]]),
        "b3": np.zeros((1, 1)),
    }
    rounding = analyse(Problem(params, np.ones((1, 1)), np.zeros((1, 1))))
    assert [units.ravel().tolist() for units in rounding.kinked] == [[False, True], [True], [False]]
    # At slope 1 dZ2 = W3 (AL - Y) = 1, and dZ1 is W2 times that, where slope 1 is open to it.
    assert rounding.kink_radius["b2"] == pytest.approx(1.0)
    assert rounding.kink_radius["W2"] == pytest.approx(np.array([[0.5, 0.0]]), abs=1e-12)
    assert rounding.kink_radius["b1"] == pytest.approx(np.array([[0.2], [7.0]]))


def test_on_a_kink_the_activation_of_either_side_is_allowed_for_above_it():
    # One way has A1 = Z, of the size of its rounding, where another has 0.
    Z = 2.0**-50
    above = analyse(one_unit([1.0, -1.0], [1.0, 1.0 - Z]))
    assert above.kinked[0].all()
    assert above.grads["W2"].item() >= 0.5 * Z
    # Here A1 is 0, but another way may have added up to a little more.
    below = analyse(one_unit([0.1, -0.1], [3.0, 3.0]))
    assert below.grads["W2"].item() >= 0.5 * 0.1 * UNIT


# Where nothing is known of a gradient, its rounding is measured by calling it.


def test_arguments_are_moved_by_two_units_up_or_down_to_draw_their_rounding():
    x = np.ones(1000)
    moved = measured._nudged({"x": x}, UNIT, np.random.default_rng(0))["x"]
    assert set(moved.tolist()) == {1 - 2 * UNIT, 1 + 2 * UNIT}


@pytest.mark.parametrize(("size", "expected"), [(3.0, 3.0), (1e-6, 0.01)])
def test_far_away_is_at_the_norm_of_the_arguments_and_at_least_at_1(size, expected):
    x = np.full(10_000, size)
    away = measured._far_away({"x": x}, np.random.default_rng(0))["x"]
    assert np.sqrt(np.mean(away**2)) == pytest.approx(expected, rel=0.05)


def test_the_variance_of_errors_is_about_their_mean_and_leaves_accidents_out():
    errors = measured._Errors.none((3,))
    most = np.full(3, 10.0)
    for error in ([1.0, 1.0, 5.0], [3.0, 3.0, 5.0], [100.0, 5.0, 5.0]):
        errors.add(np.array(error), np.zeros(3), most)
    assert errors.usual.tolist() == [2, 3, 3]
    assert errors.mean.tolist() == [2.0, 3.0, 5.0]
    assert errors.variance.tolist() == [2.0, 4.0, 0.0]


def test_few_draws_are_allowed_more_deviations_than_many():
    few, half, many = (measured._quantile(100, draws) for draws in (2, measured.DRAWS // 2, 100))
    assert few > half > measured._quantile(100, measured.DRAWS) > many


def sizes_of(grads, away=1.0):
    return measured.Sizes(1.0, grads, dict.fromkeys(grads, away))


def test_a_wider_type_widens_a_bar_by_no_more_than_rounding_may_come_to():
    grads = {"x": np.array([1.0, 1.0, 1.0])}
    witness = Witness(0.0, 0.0, grads, {"x": np.zeros(3)}, {"x": np.zeros(3, bool)})
    unit = 2.0**-24
    wider = {"x": np.array([1.0, 1 + unit, 7.0])}
    bars = measured.with_wider(witness, wider, sizes_of(grads, away=4.0), unit).bars["x"]
    assert bars[0] == 0
    assert unit <= bars[1] <= 4 * unit
    assert 4 * 2.0**-12 <= bars[2] <= 16 * 2.0**-12


def test_an_entry_that_depends_on_an_accident_keeps_its_bar_against_itself():
    x = {"x": np.array([1.0, 2.0])}
    bars, kinked = {"x": np.array([0.5, 0.5])}, {"x": np.array([True, False])}
    witness = Witness(0.0, 0.0, x, bars, kinked)
    found = measured.against_itself(
        witness,
        lambda at: (0.0, {"x": at["x"].astype(np.float32).astype(float)}),
        lambda at: (0.0, dict(at)),
        x,
        {"x": np.dtype(np.float32)},
        sizes_of(x),
        2.0**-24,
        np.random.default_rng(0),
    ).bars["x"]
    assert found[0] == 0.5
    assert 0 < found[1] < 1e-4


def test_an_activation_on_its_kink_may_be_off_by_its_jump_times_its_argument():
    Z = np.array([[2.0**-50], [-3.0]])
    layer = manual.LayerCache("leaky-relu", np.ones((1, 1)), np.ones((2, 1)), Z, Z)
    nothing = np.zeros_like(Z)
    local = _Local(nothing, nothing, nothing, nothing, nothing)
    network = _Linearised([layer], {}, [1.0], [np.full_like(Z, 0.5)], [local])
    found = _either_side(network, [np.array([[True], [False]])])
    assert found.slopes[0].ravel().tolist() == [1.0, 0.5]
    assert found.local[0].A.ravel() / 2.0**-50 == pytest.approx([0.99, 0.0])
