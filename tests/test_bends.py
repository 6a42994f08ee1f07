"""Functions with bends: what a convention gives is not accused, what none gives is not cleared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from verify import check_vjp, compare

C = np.random.default_rng(5).standard_normal(6)
W = np.random.default_rng(6).standard_normal((5, 3))
X = np.array([0, 1, -1, 0, 0.5, -0.3])
TIED = np.array([1, 2, 2, 0, 2, -1.0])


def relu(x):
    return np.maximum(x, 0)


def slope(at_zero, below=0.0, above=1.0):
    """The gradient of C @ f for an f with these slopes below, at and above 0."""
    return lambda x: C * np.where(x == 0, at_zero, np.where(x > 0, above, below))


def first_of_ties(x):
    return 3.0 * (np.arange(6) == x.argmax())


def shared_by_ties(x):
    return 3.0 * (x == x.max()) / (x == x.max()).sum()


def stable_sort(x):
    return C[np.argsort(np.argsort(x, kind="stable"), kind="stable")]


def last_rank(x):
    return C[np.searchsorted(np.sort(x), x, side="right") - 1]


def median(x):
    return (np.arange(x.size) == np.argsort(x, kind="stable")[x.size // 2]) * 1.0


def norm(at_zero):
    return lambda x: x / np.sqrt(x @ x) if x.any() else x + at_zero


def sinc_slope(at_zero):
    def gradient(x):
        slopes = (np.cos(np.pi * x) - np.sinc(x)) / np.where(x == 0, 1, x)
        return C * np.where(x == 0, at_zero, slopes)

    return gradient


def hinge(at_bend):
    return lambda x: -C * (at_bend if C @ x == 1 else float(C @ x < 1))


def l1(at_zero):
    return lambda x: W.T @ np.where(W @ x == 0, at_zero, np.sign(W @ x))


CASES: dict[str, tuple[Any, ...]] = {
    "relu": (lambda x: C @ relu(x), X, [slope(0), slope(1), slope(0.5)], [slope(5), slope(-3)]),
    "abs": (lambda x: C @ np.abs(x), X, [slope(0, -1), slope(1, -1)], [slope(4, -1)]),
    "clip": (
        lambda x: C @ np.clip(x, -1, 1),
        X,
        [lambda x: C * (np.abs(x) <= 1), lambda x: C * (np.abs(x) < 1)],
        [lambda x: C * np.where(np.abs(x) == 1, 5, np.abs(x) < 1)],
    ),
    "leaky relu by two masks": (
        lambda x: C @ np.where(x > 0, x, 0.01 * x),
        X,
        [slope(0.01, 0.01), slope(0, 0.01)],
        [slope(5, 0.01)],
    ),
    "prelu as the difference of two relus": (
        lambda x: C @ (relu(x) - 0.25 * relu(-x)),
        X,
        [slope(0, 0.25), slope(0.25, 0.25)],
        [slope(5, 0.25)],
    ),
    "the mean of the slopes": (
        lambda x: C @ (relu(x) + 0.1 * np.minimum(x, 0)),
        X,
        [slope(0.55, 0.1)],
        [slope(3, 0.1)],
    ),
    "max of ties": (
        lambda x: 3 * x.max(),
        TIED,
        [first_of_ties, shared_by_ties],
        [lambda x: 3.0 * (x == x.max()), lambda x: 0.0 * x],
    ),
    "sort of ties": (lambda x: C @ np.sort(x), TIED, [stable_sort], [last_rank]),
    "median of ties": (
        lambda x: float(np.median(x)),
        np.array([1, 2, 2, 2, 3.0]),
        [median],
        [lambda x: (x == np.median(x)) * 1.0],
    ),
    "hinge": (lambda x: relu(1 - C @ x), np.eye(6)[0] / C[0], [hinge(0), hinge(1)], [hinge(4)]),
    "L1 norm of W x at 0": (lambda x: np.abs(W @ x).sum(), np.zeros(3), [l1(0), l1(1)], [l1(4)]),
    "norm at 0": (lambda x: float(np.sqrt(x @ x)), np.zeros(3), [norm(0)], [norm(3)]),
    "square root at 0": (
        lambda x: np.sqrt(x).sum(),
        np.array([0, 1, 2.0]),
        [lambda x: 0.5 / np.sqrt(x)],
        [],
    ),
    "cube root at 0": (
        lambda x: np.cbrt(x).sum(),
        np.array([0, 1, 2.0]),
        [lambda x: 1 / 3 / np.cbrt(x) ** 2],
        [lambda x: np.where(x == 0, np.nan, 1 / 3 / np.cbrt(x) ** 2)],
    ),
    "no bend where two cancel": (
        lambda x: C @ (relu(x) - relu(-x)),
        X,
        [slope(1, 1)],
        [slope(0, 1)],
    ),
    "a special point that is smooth": (
        lambda x: C @ np.sinc(x),
        X,
        [sinc_slope(0)],
        [sinc_slope(1)],
    ),
}
"""By name: the loss, the point, gradients that a convention gives, and some that none does."""


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("name", CASES)
def test_a_gradient_that_a_convention_gives_is_not_accused(name):
    loss, x, right, _ = CASES[name]
    for grads in right:
        report = compare(loss, grads, x)
        assert report.verdict != "disagree", str(report)


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("name", CASES)
def test_a_gradient_that_no_convention_gives_does_not_agree(name):
    loss, x, _, wrong = CASES[name]
    for grads in wrong:
        report = compare(loss, grads, x)
        assert report.verdict != "agree", str(report)


def test_conventions_at_zero_agree_and_what_lies_far_outside_disagrees():
    x = np.array([-1.0, 0.0, 2.0, 0.0])

    def backward(at_zero):
        return lambda d, x: d * np.where(x > 0, 1, np.where(x == 0, at_zero, 0))

    verdicts = {v: check_vjp(relu, backward(v), x).verdict for v in (0, 1, 0.5, 5, -3, np.nan)}
    assert list(verdicts.values()) == ["agree"] * 3 + ["disagree"] * 3


def test_what_is_wrong_at_ties_alone_is_said_to_be():
    report = compare(lambda x: 3 * x.max(), lambda x: 3.0 * (x == x.max()), TIED)
    assert report.verdict == "disagree"
    assert any("wrong at ties" in remark for remark in report.remarks)


def network_at_whole_numbers(seed):
    """A relu network whose units are at 0 for many examples: its loss, gradient and parameters."""
    rng = np.random.default_rng(seed)
    inputs, hidden, last, m = 2, int(rng.integers(2, 4)), 2, int(rng.integers(3, 9))
    data = np.round(1.5 * rng.standard_normal((inputs, m)))
    data[:, 0] = 0
    labels, a = rng.standard_normal(m), rng.standard_normal(last)
    params = {
        "A": np.round(rng.standard_normal((hidden, inputs))),
        "b": np.zeros((hidden, 1)),
        "C": np.round(rng.standard_normal((last, hidden))),
        "d": np.zeros((last, 1)),
    }
    if seed % 4 == 0:
        params["A"][0] = 0

    def forward(p):
        first = p["A"] @ data + p["b"]
        second = p["C"] @ relu(first) + p["d"]
        return first, second, a @ relu(second) - labels

    def loss(p):
        error = forward(p)[2]
        return float(error @ error) / m

    def grads(at_zero):
        def gradient(p):
            first, second, error = forward(p)
            d_second = np.outer(a, 2 * error / m) * np.where(second == 0, at_zero, second > 0)
            d_first = (p["C"].T @ d_second) * np.where(first == 0, at_zero, first > 0)
            return {
                "A": d_first @ data.T,
                "b": d_first.sum(1, keepdims=True),
                "C": d_second @ relu(first).T,
                "d": d_second.sum(1, keepdims=True),
            }

        return gradient

    return loss, grads, params


@pytest.mark.parametrize(
    "seeds", [range(100, 110), pytest.param(range(500), marks=pytest.mark.slow)]
)
def test_relu_networks_at_whole_numbers_are_judged_under_any_convention(seeds):
    verdicts = []
    for seed in seeds:
        loss, grads, params = network_at_whole_numbers(seed)
        reports = {at_zero: compare(loss, grads(at_zero), params) for at_zero in (0, 0.5, 1, 5)}
        verdicts += [reports[at_zero].verdict for at_zero in (0, 0.5, 1)]
        assert "disagree" not in verdicts, (seed, *map(str, reports.values()))
        differ = any((grads(5)(params)[k] != g).any() for k, g in grads(0)(params).items())
        assert reports[5].verdict != "agree" or not differ, (seed, str(reports[5]))
    assert verdicts.count("undecided") <= 0.05 * len(verdicts)
