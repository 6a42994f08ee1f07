"""Gradient descent by both backends, and the driver over them."""

from __future__ import annotations

import os
import signal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import random_problem

import autodiff
import manual
import verify.course.training
from autodiff.span_descent import BLOCK
from autodiff.training import _chunk
from verify import Problem, mask_schedule
from verify.course.datasets import load
from verify.course.training import interruptible, train

WAYS = [("manual", "loop"), ("manual", "span"), ("autodiff", "loop"), ("autodiff", "span")]


def take(backend: str, strategy: str, problem, masks=None, **how):
    """Return (params, costs) of `steps` by one of the ways."""
    package = {"manual": manual, "autodiff": autodiff}[backend]
    masks = problem.masks if masks is None else masks
    return package.steps(
        problem.params, problem.X, problem.Y, masks, strategy=strategy, **problem.options, **how
    )


def identical(a, b) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def hard_problem(**how):
    """Return a problem with everything on, and its masks as a function of the iteration."""
    problem = random_problem(hidden=("relu", "tanh"), keep_prob=0.8, m=11, **how)
    return problem, mask_schedule(3, problem.layers[1:-1], problem.m, problem.keep_prob)


@pytest.mark.parametrize(("backend", "strategy"), WAYS)
def test_a_step_subtracts_the_gradient_and_records_the_loss_before_it(backend, strategy):
    problem, masks = hard_problem()
    params, costs = take(backend, strategy, problem, masks, n=2, start=5, learning_rate=0.1)
    expected, by_hand = problem.params, []
    for iteration in (5, 6):
        loss, grads = manual.loss_and_grads(
            expected, problem.X, problem.Y, masks(iteration), **problem.options
        )
        expected = {name: expected[name] - 0.1 * grads[name] for name in expected}
        by_hand.append(loss)
    np.testing.assert_allclose(costs, by_hand, rtol=1e-13)
    for name, value in expected.items():
        np.testing.assert_allclose(params[name], value, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
@pytest.mark.parametrize(("backend", "strategy"), WAYS[1:])
@pytest.mark.unchecked
def test_every_way_walks_the_same_path(backend, strategy, output):
    # Smooth activations: no kink magnifies a rounding difference, so 400 steps stay together.
    # What remains is some eps a step, not compounded, as the descent contracts.
    sizes = (4, 5, 3, 1 if output == "sigmoid" else 3)
    problem = random_problem(sizes=sizes, output=output, keep_prob=0.8, m=11)
    masks = mask_schedule(3, problem.layers[1:-1], problem.m, problem.keep_prob)
    by_hand, costs = take("manual", "loop", problem, masks, n=400, learning_rate=0.1)
    params, own_costs = take(backend, strategy, problem, masks, n=400, learning_rate=0.1)
    tolerance = 400 * np.finfo(float).eps
    np.testing.assert_allclose(own_costs, costs, rtol=tolerance)
    for name, value in by_hand.items():
        np.testing.assert_allclose(params[name], value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("backend", "strategy"), WAYS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_stays_in_the_dtype_of_the_parameters(backend, strategy, dtype):
    problem, masks = hard_problem(dtype=dtype)
    rate = np.float64(0.1)  # which NumPy would let decide
    params, costs = take(backend, strategy, problem, masks, n=3, learning_rate=rate)
    assert {value.dtype for value in [*params.values(), costs]} == {np.dtype(dtype)}


@pytest.mark.parametrize(("backend", "strategy"), WAYS)
def test_what_is_given_is_left_as_it_was(backend, strategy):
    problem = random_problem(keep_prob=0.8)
    before = {name: value.copy() for name, value in problem.params.items()}
    X = problem.X.copy()
    take(backend, strategy, problem, n=5, learning_rate=0.1)
    assert identical(problem.params, before)
    assert np.array_equal(problem.X, X)


@pytest.mark.parametrize(("backend", "strategy"), WAYS)
def test_no_steps_return_the_parameters_and_no_costs(backend, strategy):
    problem = random_problem()
    params, costs = take(backend, strategy, problem, n=0, learning_rate=0.1)
    assert identical(params, dict(problem.params))
    assert costs.shape == (0,)


@settings(max_examples=10)
@given(cuts=st.lists(st.integers(0, 90), max_size=4))
@pytest.mark.parametrize(("backend", "strategy"), WAYS)
@pytest.mark.unchecked
def test_a_run_cut_into_calls_gives_the_bits_of_one(backend, strategy, cuts):
    problem, masks = hard_problem()
    unit = BLOCK if strategy == "span" else 1
    n = 2 * BLOCK + 7 if strategy == "span" else 90
    whole, costs = take(backend, strategy, problem, masks, n=n, learning_rate=0.1)
    at = sorted({0, n, *(cut * unit % n // unit * unit for cut in cuts)})
    params, pieces = problem.params, []
    for start, stop in pairwise(at):
        params, piece = take(
            backend, strategy, problem.with_params(params), masks,
            n=stop - start, start=start, learning_rate=0.1,
        )  # fmt: skip
        pieces.append(piece)
    assert identical(params, whole)
    assert np.array_equal(np.concatenate(pieces), costs)


@pytest.mark.parametrize("backend", ["manual", "autodiff"])
def test_a_run_that_starts_between_two_blocks_has_its_bits_from_the_next_one_on(backend):
    problem, masks = hard_problem()
    whole, _ = take(backend, "span", problem, masks, start=100, n=BLOCK + 50, learning_rate=0.1)
    first, _ = take(backend, "span", problem, masks, start=100, n=BLOCK - 100, learning_rate=0.1)
    cut, _ = take(
        backend, "span", problem.with_params(first), masks, start=BLOCK, n=150, learning_rate=0.1
    )
    assert identical(cut, whole)


def test_the_compiled_loop_serves_every_length_rate_penalty_and_keep_prob():
    def steps(n, **how):
        problem = random_problem(sizes=(3, 6, 1), m=9, keep_prob=how.pop("keep_prob"), l2=0.3)
        take("autodiff", "loop", problem, n=n, **how)

    steps(3, learning_rate=0.1, keep_prob=0.8)
    compiled = _chunk._cache_size()
    steps(2000, learning_rate=0.1, keep_prob=0.8)
    steps(5, learning_rate=0.3, keep_prob=0.5)
    assert _chunk._cache_size() == compiled


def test_masks_of_a_long_run_are_drawn_in_shorter_chunks(monkeypatch):
    problem, masks = hard_problem()
    whole, costs = take("autodiff", "loop", problem, masks, n=40, learning_rate=0.1)
    monkeypatch.setattr("autodiff.training.MASK_BYTES", 1000)
    params, cut_costs = take("autodiff", "loop", problem, masks, n=40, learning_rate=0.1)
    assert identical(params, whole)
    assert np.array_equal(cut_costs, costs)


@pytest.mark.parametrize(("backend", "strategy"), WAYS)
def test_without_a_penalty_no_square_of_a_weight_is_summed_up(backend, strategy):
    huge = {"W1": np.full((2, 3), 1e200), "b1": np.zeros((2, 1))}
    params = {**huge, "W2": np.zeros((1, 2)), "b2": np.zeros((1, 1))}
    problem = Problem(params, np.zeros((3, 4)), np.array([[0, 1, 1, 0]]), hidden="relu")
    _, costs = take(backend, strategy, problem, n=2, learning_rate=0.1)
    np.testing.assert_allclose(costs, np.log(2), rtol=1e-15)


@pytest.mark.parametrize("backend", ["manual", "autodiff"])
def test_an_unknown_strategy_is_refused_by_name(backend):
    with pytest.raises(ValueError, match="strategy: got 'leap', expected loop, span"):
        take(backend, "leap", random_problem(), n=1, learning_rate=0.1)


def test_dropout_without_masks_is_refused_by_both():
    problem = random_problem(keep_prob=0.8)
    for package in (manual, autodiff):
        with pytest.raises(ValueError, match="masks"):
            package.steps(
                problem.params, problem.X, problem.Y, None,
                n=1, learning_rate=0.1, **problem.options,
            )  # fmt: skip


# The driver.


@pytest.mark.parametrize(("backend", "strategy"), WAYS)
@pytest.mark.unchecked
def test_the_driver_gives_what_steps_gives(backend, strategy):
    problem, masks = hard_problem()
    params, costs = take(backend, strategy, problem, masks, n=BLOCK + 30, learning_rate=0.1)
    training = train(
        problem, learning_rate=0.1, iterations=BLOCK + 30, backend=backend, strategy=strategy,
        masks=masks, every=7,
    )  # fmt: skip
    assert identical(training.params, params)
    assert np.array_equal(training.costs, costs[::7])
    assert training.iteration == BLOCK + 30
    assert training.strategy == strategy


@pytest.mark.parametrize(
    ("backend", "n", "strategy"),
    [
        ("manual", 5, "loop"),
        ("manual", 6, "span"),
        ("autodiff", 4, "loop"),
        ("autodiff", 5, "span"),
    ],
)
def test_the_strategy_is_chosen_by_the_steps_that_remain(backend, n, strategy):
    # On (40, 3, 1) with 5 examples the two strategies change places at these numbers of steps.
    problem = random_problem(sizes=(40, 3, 1), m=5)
    params, _ = take(backend, strategy, problem, n=n, start=10, learning_rate=0.1)
    chosen, _ = take(backend, None, problem, n=n, start=10, learning_rate=0.1)
    training = train(problem, learning_rate=0.1, start=10, iterations=10 + n, backend=backend)
    assert training.strategy == strategy
    assert identical(training.params, params)
    assert identical(chosen, params)
    other = {"loop": "span", "span": "loop"}[strategy]
    assert not identical(chosen, take(backend, other, problem, n=n, learning_rate=0.1)[0])


def test_without_masks_of_its_own_the_driver_holds_the_problem_s():
    problem = random_problem(keep_prob=0.8)
    params, _ = take("manual", "loop", problem, n=5, learning_rate=0.1)
    training = train(problem, learning_rate=0.1, iterations=5, backend="manual")
    assert identical(training.params, params)


@pytest.mark.parametrize(("backend", "strategy"), WAYS)
@pytest.mark.parametrize("patience", [0.0, pytest.param(1e-3, marks=pytest.mark.slow), 10.0])
@pytest.mark.unchecked
def test_how_long_a_chunk_takes_never_shows(backend, strategy, patience, monkeypatch):
    problem, masks = hard_problem()
    how = {"learning_rate": 0.1, "iterations": 3 * BLOCK + 11, "every": 10, "masks": masks,
           "backend": backend, "strategy": strategy}  # fmt: skip
    usual = train(problem, **how)
    monkeypatch.setattr(verify.course.training, "PATIENCE", patience)
    other = train(problem, **how)
    assert identical(other.params, usual.params)
    assert np.array_equal(other.costs, usual.costs)


@pytest.mark.parametrize(("backend", "strategy"), WAYS)
@pytest.mark.parametrize("calls", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 4))])
@pytest.mark.unchecked
def test_a_stopped_run_continues_to_the_same_bits(backend, strategy, calls, monkeypatch):
    monkeypatch.setattr(verify.course.training, "PATIENCE", 1e-3)
    problem, masks = hard_problem()
    how = {"learning_rate": 0.1, "iterations": 4 * BLOCK + 11, "every": 10, "masks": masks,
           "backend": backend, "strategy": strategy}  # fmt: skip
    whole = train(problem, **how)
    asked = iter(range(100))
    first = train(problem, **how, stop=lambda: next(asked) >= calls)
    assert first.iteration < whole.iteration
    start, params = first.checkpoint
    second = train(problem.with_params(params), **how, start=start)
    assert identical(second.params, whole.params)
    costs = [*first.costs[: -(-start // 10)], *second.costs]
    assert np.array_equal(costs, whole.costs)


def test_a_run_that_ends_within_a_block_continues_from_the_block_s_start():
    problem, masks = hard_problem()
    how = {"learning_rate": 0.1, "masks": masks, "strategy": "span"}
    whole = train(problem, **how, iterations=3 * BLOCK)
    first = train(problem, **how, iterations=2 * BLOCK + 50)
    start, params = first.checkpoint
    assert start % BLOCK == 0 < 2 * BLOCK + 50 - start
    second = train(problem.with_params(params), **how, iterations=3 * BLOCK, start=start)
    assert identical(second.params, whole.params)


def test_the_callback_sees_parameters_with_their_own_cost():
    problem, masks = hard_problem()
    seen = []
    final = train(
        problem, learning_rate=0.1, iterations=300, masks=masks, callback=seen.append, every=50
    )
    assert [each.iteration for each in seen] == sorted({each.iteration for each in seen})
    assert (seen[0].iteration, seen[-1].iteration) == (0, 300)
    assert identical(seen[-1].params, final.params)
    for each in seen:
        loss = manual.loss(
            each.params, problem.X, problem.Y, masks(each.iteration), **problem.options
        )
        assert each.cost == pytest.approx(loss, rel=1e-12)
        assert len(each.costs) == -(-each.iteration // 50)


def diverging():
    """Return a problem, and a rate at which its loss stays finite for some steps."""
    return random_problem(hidden="relu", sizes=(3, 6, 4, 1), m=20, l2=2.0), 25.0


@pytest.mark.parametrize(("backend", "strategy"), WAYS)
@pytest.mark.parametrize("patience", [0.0, 0.25])
@pytest.mark.unchecked
def test_a_diverging_run_names_the_iteration_and_keeps_the_last_good(
    backend, strategy, patience, monkeypatch
):
    monkeypatch.setattr(verify.course.training, "PATIENCE", patience)
    problem, rate = diverging()
    with np.errstate(all="ignore"):
        _, costs = take(backend, strategy, problem, n=2000, learning_rate=rate)
        at = int(np.isfinite(costs).argmin())
        good, _ = take(backend, strategy, problem, n=at - 1, learning_rate=rate)
    assert at > 1
    training = train(
        problem, learning_rate=rate, iterations=2000, backend=backend, strategy=strategy, every=1
    )
    assert training.diverged_at == at
    assert training.iteration == at - 1
    assert identical(training.params, good)
    assert training.cost == costs[at - 1]
    assert np.array_equal(training.costs, costs[: at - 1])
    assert all(np.isfinite(value).all() for value in training.params.values())


def test_a_loss_that_is_not_finite_after_the_last_step_is_seen():
    problem, rate = diverging()
    _, costs = take("autodiff", "loop", problem, n=2000, learning_rate=rate)
    at = int(np.isfinite(costs).argmin())
    training = train(problem, learning_rate=rate, iterations=at)
    assert (training.diverged_at, training.iteration) == (at, at - 1)


def test_a_loss_that_is_not_finite_at_the_start_leaves_the_start():
    problem = random_problem()
    huge = {name: value * 1e200 for name, value in problem.params.items()}
    problem = random_problem(hidden="relu", l2=1.0).with_params(huge)
    training = train(problem, learning_rate=0.1, iterations=10)
    assert (training.diverged_at, training.iteration) == (0, 0)
    assert identical(training.params, dict(problem.params))


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"learning_rate": float("nan")}, "learning_rate: got nan, expected a number above 0"),
        ({"learning_rate": -1}, "learning_rate: got -1, expected a number above 0"),
        ({"iterations": -1}, "iterations: got -1, expected a whole number of at least 0"),
        ({"iterations": 3, "start": 4}, "iterations: got 3, expected a whole number of at least 4"),
        ({"iterations": 2.5}, "iterations: got 2.5, expected a whole number"),
        ({"every": 0}, "every: got 0, expected a whole number of at least 1"),
        ({"backend": "torch"}, "backend: got 'torch', expected autodiff, manual"),
        ({"strategy": "leap"}, "strategy: got 'leap', expected loop, span"),
        ({"strategy": "leap", "backend": "manual"}, "strategy: got 'leap', expected loop, span"),
    ],
)
def test_a_wrong_argument_is_named(how, sentence):
    with pytest.raises(ValueError, match=sentence):
        train(random_problem(), **{"learning_rate": 0.1, "iterations": 10, **how})


def test_a_signal_asks_for_a_stop_and_the_second_acts_as_ever():
    with interruptible() as caught:
        assert caught == []
        signal.raise_signal(signal.SIGINT)
        assert caught == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


# The course's own problems.

needs_data = pytest.mark.skipif(
    not os.environ.get("BACKPROOF_DATA"), reason="BACKPROOF_DATA does not name the course's files"
)


@needs_data
@pytest.mark.unchecked
def test_football_with_dropout_and_l2_trains_alike_by_both_backends():
    from verify import build_problem

    football = load("football")
    problem = build_problem(football, layers=(20, 3), init="fan-in", l2=0.7, keep_prob=0.86)
    masks = mask_schedule(1, (20, 3), problem.m, problem.keep_prob)
    by_hand, by_jax = (
        train(problem, learning_rate=0.3, iterations=1000, masks=masks, every=1, backend=backend)
        for backend in ("manual", "autodiff")
    )
    np.testing.assert_allclose(by_jax.costs, by_hand.costs, rtol=1e-8)
    answers = [manual.predict(each.params, football.X, hidden="relu") for each in (by_hand, by_jax)]
    assert np.array_equal(*answers)


@needs_data
@pytest.mark.slow
@pytest.mark.unchecked
def test_cats_train_alike_by_both_backends():
    from verify import build_problem

    cats = load("cats")
    problem = build_problem(cats, layers=(20, 7, 5), init="fan-in")
    by_hand, by_jax = (
        train(
            problem, learning_rate=0.0075, iterations=2500, every=1,
            backend=backend, strategy=strategy,
        )
        for backend, strategy in (("manual", "loop"), ("autodiff", None))
    )  # fmt: skip
    assert by_jax.strategy == "span"
    np.testing.assert_allclose(by_jax.costs, by_hand.costs, rtol=1e-8)
    for X in (cats.X, cats.X_test):
        answers = [manual.predict(each.params, X, hidden="relu") for each in (by_hand, by_jax)]
        assert np.array_equal(*answers)
