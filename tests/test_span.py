"""The first layer in the span of the data: the same descent, without touching W1 or X."""

from __future__ import annotations

import re
from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.extend.core import jaxprs_in_params
from problems import random_problem

import autodiff
import manual
from autodiff import span_descent
from autodiff.training import _chunk
from verify import mask_schedule

EPS = np.finfo(float).eps


each_package = pytest.mark.parametrize("package", [manual, autodiff], ids=["manual", "autodiff"])
"""The package whose span is on trial, against its own loop."""


def both(package, problem, masks=None, **how):
    """Return (params, costs) by the loop and by the span."""
    return [
        package.steps(
            problem.params, problem.X, problem.Y, problem.masks if masks is None else masks,
            strategy=strategy, **problem.options, **how,
        )
        for strategy in ("loop", "span")
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_gram_matrix_is_the_same_by_numpy_and_by_the_device(dtype):
    X = np.random.default_rng(0).integers(-9, 9, (30, 7)).astype(dtype)
    for found in (
        manual.span_descent.gram(X),
        span_descent.gram(X),
        span_descent.gram(autodiff.on_device(X)),
        span_descent._gram(X.astype(float)),
    ):
        np.testing.assert_array_equal(np.asarray(found), X.T @ X)
    assert span_descent.gram(X).dtype == dtype


def assert_same_descent(package, problem, n, **how):
    """Compare to some eps a step: smooth activations at a small rate compound nothing.

    A step is the rate times a mean of residuals of size 1, rounded relative to those: where they
    cancel, so that a parameter stays small, its error is still some eps of the rate.
    """
    (params, costs), (span_params, span_costs) = both(package, problem, n=n, **how)
    np.testing.assert_allclose(span_costs, costs, rtol=4 * n * EPS)
    for name, value in params.items():
        scale = max(np.abs(value).max(), how["learning_rate"])
        np.testing.assert_allclose(span_params[name], value, rtol=0, atol=4 * n * EPS * scale)


@each_package
@settings(max_examples=8)
@given(
    sizes=st.sampled_from([(40, 5, 1), (40, 1), (3, 6, 3)]),
    l2=st.sampled_from([0.0, 0.7, 30.0]),
    keep_prob=st.sampled_from([1.0, 0.7]),
    seed=st.integers(0, 99),
)
@pytest.mark.unchecked
@pytest.mark.slow
def test_it_is_the_same_descent(package, sizes, l2, keep_prob, seed):
    problem = random_problem(
        sizes=sizes, m=9, l2=l2, keep_prob=keep_prob, seed=seed,
        output="sigmoid" if sizes[-1] == 1 else "softmax",
    )  # fmt: skip
    masks = mask_schedule(seed, sizes[1:-1], 9, problem.keep_prob)
    assert_same_descent(package, problem, 40, masks=masks, learning_rate=0.01)


@each_package
def test_it_is_the_same_descent_over_several_blocks(package):
    problem = random_problem(sizes=(50, 6, 1), m=12, l2=0.7, keep_prob=0.8)
    masks = mask_schedule(1, (6,), 12, problem.keep_prob)
    assert_same_descent(
        package, problem, 2 * span_descent.BLOCK + 17, masks=masks, learning_rate=0.01, start=100
    )


@each_package
@pytest.mark.parametrize("times", [1, 1.5])
def test_a_penalty_that_undoes_the_weights_each_step_is_followed(package, times):
    # c = 1 - rate l2 / m is 0, then negative: nothing is divided by it.
    problem = random_problem(sizes=(30, 4, 1), m=10, l2=times * 10 / 0.5)
    assert_same_descent(package, problem, 5, learning_rate=0.5)


@each_package
def test_single_precision_stays_single(package):
    problem = random_problem(sizes=(40, 5, 1), m=9, dtype="float32")
    _, (params, costs) = both(package, problem, n=20, learning_rate=0.01)
    assert {each.dtype for each in [*params.values(), costs]} == {np.dtype("float32")}


@each_package
def test_the_product_of_the_data_may_be_had_before(package):
    problem = random_problem(sizes=(40, 5, 1), m=9)
    K = np.asarray(span_descent.gram(problem.X))
    np.testing.assert_allclose(K, problem.X.T @ problem.X, rtol=0, atol=40 * EPS * K.max())
    run = partial(
        package.steps, *problem.arguments, n=20, learning_rate=0.1, strategy="span",
        **problem.options,
    )  # fmt: skip
    (params, costs), (given_params, given_costs) = run(), run(gram=K)
    assert np.array_equal(costs, given_costs)
    assert all(np.array_equal(params[name], given_params[name]) for name in params)


def test_no_step_by_hand_touches_what_has_as_many_rows_as_there_are_features(monkeypatch):
    seen = []
    loss_and_grads = manual.span_descent.loss_and_grads

    def watched(params, X, *arguments, **how):
        seen.extend([X, *params.values()])
        return loss_and_grads(params, X, *arguments, **how)

    monkeypatch.setattr(manual.span_descent, "loss_and_grads", watched)
    problem = random_problem(sizes=(1237, 5, 3, 1), m=9, keep_prob=0.8)
    both(manual, problem, n=7, learning_rate=0.1)
    assert len(seen) == 7 * 7
    assert not [array for array in seen if 1237 in array.shape]


def loop_bodies(jaxpr):
    """Yield the bodies of all loops in a traced computation."""
    for equation in jaxpr.eqns:
        for inner in jaxprs_in_params(equation.params):
            if equation.primitive.name in ("while", "scan"):
                yield inner
            yield from loop_bodies(inner)


def every_shape(jaxpr):
    """Yield the shapes that a traced computation and all within it works with."""
    for equation in jaxpr.eqns:
        yield from (each.aval.shape for each in [*equation.invars, *equation.outvars])
        for inner in jaxprs_in_params(equation.params):
            yield from every_shape(inner)


def test_no_step_touches_what_has_as_many_rows_as_there_are_features():
    problem = random_problem(sizes=(1237, 5, 3, 1), m=9, keep_prob=0.8)
    rates = np.array([0.1, problem.l2, *problem.keep_prob])
    with jax.enable_x64(True):
        traced = jax.make_jaxpr(
            partial(
                span_descent.chunk,
                hidden=problem.hidden,
                output=problem.output,
                scheduled=False,
                penalised=True,
            )
        )(
            problem.X,
            problem.Y,
            span_descent.gram(problem.X),
            rates,
            dict(problem.params),
            problem.masks,
            3,
        )
    shapes = [shape for body in loop_bodies(traced.jaxpr) for shape in every_shape(body)]
    assert (5, 9) in shapes
    assert not [shape for shape in shapes if 1237 in shape]


def test_the_plain_loop_neither_copies_nor_transposes_the_data():
    problem = random_problem(sizes=(1237, 20, 7, 1), m=209, l2=0.7)
    rates = np.array([0.1, problem.l2, *problem.keep_prob])
    with jax.enable_x64(True):
        lowered = _chunk.lower(
            problem.X, problem.Y, rates, dict(problem.params), None, 3,
            hidden=problem.hidden, output=problem.output, scheduled=False, penalised=True, length=8,
        )  # fmt: skip
        compiled = lowered.compile().as_text()
    assert "f64[1237,209]" in compiled
    moved = re.findall(r"= f64\[(?:1237,209|209,1237)\]\S* (?:copy|transpose)\(", compiled)
    assert moved == []


@each_package
@pytest.mark.parametrize(
    ("layers", "m", "n", "strategy"),
    [
        ((12288, 20, 7, 5, 1), 209, 2500, "span"),
        ((12288, 20, 7, 5, 1), 209, 1, "loop"),
        ((2, 20, 3, 1), 211, 30_000, "loop"),
        ((784, 512, 256, 1), 4096, 1000, "loop"),
        ((64, 64, 1), 64, 1000, "loop"),
    ],
)
def test_it_is_chosen_where_features_far_outnumber_examples(package, layers, m, n, strategy):
    assert package.choose_strategy(layers, m, n) == strategy


# The operations that the choice is made from, counted.


class Counted(np.ndarray):
    """An array that adds up the floating-point operations of the products it has a part in."""

    operations = 0

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **how):
        plain = [np.asarray(each) for each in inputs]
        into = {"out": tuple(map(np.asarray, out))} if out else {}
        result = getattr(ufunc, method)(*plain, **into, **how)
        if ufunc is np.matmul:
            Counted.operations += 2 * result.size * plain[0].shape[1]
        return out[0] if out else result.view(Counted)


def multiplied(run) -> int:
    """Return the operations of the products in a run that is given a function to count with."""
    Counted.operations = 0
    run(lambda array: array.view(Counted))
    return Counted.operations


def counted_by_hand(problem, n) -> dict[str, int]:
    """Return the operations of n steps of each strategy by hand, on a network of one layer."""
    how = {"n": n, "learning_rate": 0.1, "output": problem.output}

    def loop(counting):
        params = {name: counting(value) for name, value in problem.params.items()}
        manual.steps(params, problem.X, problem.Y, strategy="loop", **how)

    def in_span(counting):
        X = counting(problem.X)
        manual.span_descent.steps(
            problem.params, X, problem.Y, lambda iteration: None,
            K=manual.span_descent.gram(X), start=0, l2=0.0, hidden=(), **how,
        )  # fmt: skip

    return {"loop": multiplied(loop), "span": multiplied(in_span)}


def products(jaxpr) -> int:
    """Return the operations of the matrix products in a traced computation, each taken once."""
    total = 0
    for equation in jaxpr.eqns:
        result = equation.outvars[0].aval
        if equation.primitive.name == "dot_general" and result.ndim == 2:
            (((axis,), _), _) = equation.params["dimension_numbers"]
            total += 2 * result.size * equation.invars[0].aval.shape[axis]
        total += sum(products(inner) for inner in jaxprs_in_params(equation.params))
    return total


def counted_in_jax(problem, n) -> dict[str, int]:
    """Return the operations of n steps of each strategy in JAX, on a network of one layer."""
    params, X, Y, rates = dict(problem.params), problem.X, problem.Y, np.array([0.1, 0.0])
    how = {"hidden": (), "output": problem.output, "scheduled": False, "penalised": False}
    with jax.enable_x64(True):
        K = span_descent.gram(X)
        in_span = jax.make_jaxpr(partial(span_descent.chunk, **how))(
            X, Y, K, rates, params, None, 1
        )
        loop = jax.make_jaxpr(partial(_chunk, **how, length=1))(X, Y, rates, params, None, 1)
        gram = products(jax.make_jaxpr(span_descent._gram)(X).jaxpr)
    step, plain = (sum(map(products, loop_bodies(each.jaxpr))) for each in (in_span, loop))
    block = products(in_span.jaxpr) - step
    return {"loop": n * plain, "span": gram + -(-n // span_descent.BLOCK) * block + n * step}


@pytest.mark.parametrize(
    ("package", "counted"),
    [(manual, counted_by_hand), (autodiff, counted_in_jax)],
    ids=["manual", "autodiff"],
)
@pytest.mark.parametrize(
    ("features", "n_1", "m", "n"),
    # Around the two numbers of features from which the span is chosen, by hand and in JAX.
    [((16, 17, 5, 6), 3, 5, 50), ((21, 22, 7, 8), 2, 3, 6), ((12, 13, 4, 5), 3, 4, 251)],
)
@pytest.mark.unchecked
def test_the_span_is_chosen_where_it_halves_the_operations(package, counted, features, n_1, m, n):
    chosen = set()
    for n_0 in features:
        problem = random_problem(sizes=(n_0, n_1), m=m, output="softmax", l2=0.0)
        operations = counted(problem, n)
        assert package.span_descent.operations(n_0, n_1, m, n) == operations["span"]
        cheaper = "span" if 2 * operations["span"] < operations["loop"] else "loop"
        assert package.choose_strategy((n_0, n_1), m, n) == cheaper
        chosen.add(cheaper)
    assert chosen == {"span", "loop"}
