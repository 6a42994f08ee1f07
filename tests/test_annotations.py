"""Annotations of shapes and dtypes are complete, and enforced while the tests run."""

from __future__ import annotations

import inspect

import jaxtyping
import numpy as np
import pytest

import autodiff
import manual
from verify.evidence.bars import sum_rounding
from verify.evidence.witnesses import Compared, Differences
from verify.report import over_bar

FUNCTIONS = [
    function
    for package in (manual, autodiff)
    for name in package.__all__
    if inspect.isfunction(function := getattr(package, name))
]
PARAMS = {"W1": np.ones((1, 3)), "b1": np.zeros((1, 1))}
X = np.ones((3, 4))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f"{f.__module__}.{f.__name__}")
def test_every_public_function_annotates_all_that_it_takes_and_returns(function):
    signature = inspect.signature(function)
    annotations = [parameter.annotation for parameter in signature.parameters.values()]
    assert inspect.Signature.empty not in [*annotations, signature.return_annotation]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (manual.linear, (np.ones((3, 4)), np.ones((2, 5)), np.ones((2, 1)))),
        (manual.linear, (np.ones((3, 4)), np.ones((2, 3)), np.ones((2, 4)))),
        (manual.linear, (np.ones((3, 4), int), np.ones((2, 3)), np.ones((2, 1)))),
        (manual.relu_backward, (np.ones((3, 4)), np.ones((3, 1)))),
        (manual.dropout, (np.ones((3, 4)), np.ones((3, 4)), 0.5)),
        (manual.sigmoid_cross_entropy, (np.ones((1, 4)), np.ones((1, 5)))),
        (manual.loss, (PARAMS, X, np.ones((1, 5)))),
        (autodiff.loss, (PARAMS, X, np.ones((1, 5)))),
        (over_bar, (np.ones(3), np.ones(2))),
        (Differences, (np.arange(2), np.ones(2), np.ones(2), np.ones(2))),
        (Compared, (np.arange(2), np.ones(2), np.ones(3), np.ones(2))),
        (
            sum_rounding.product_deviation,
            (np.ones((2, 3)), np.ones((2, 3)), sum_rounding.Unit.of(float)),
        ),
        (autodiff.loss_and_grads, ({"W1": np.ones(3), "b1": np.zeros((1, 1))}, X, np.ones((1, 4)))),
    ],
)
def test_a_wrong_shape_or_dtype_is_refused_while_the_tests_run(function, arguments):
    with pytest.raises(jaxtyping.TypeCheckError):
        function(*arguments)


@pytest.mark.unchecked
def test_a_test_marked_unchecked_runs_the_code_alone():
    manual.relu_backward(np.ones((3, 4)), np.ones((3, 1)))
