"""Small functions with bends, with gradients that a convention gives and some that none does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from verify import compare

from . import Outcome, outcome

C = np.random.default_rng(5).standard_normal(6)
W = np.random.default_rng(6).standard_normal((5, 3))
POOLED = np.array([1, 1, 0, 2, 0, 1, 3, 3, 3, 0, 0, -1.0])
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


def pooled(share):
    """The gradient of a max pool over threes that gives this share to each of tied entries."""

    def gradient(x):
        rows = x.reshape(4, 3)
        largest = rows == rows.max(1, keepdims=True)
        return (C[:4, None] * share(rows, largest)).ravel()

    return gradient


INPUTS = np.random.default_rng(7).standard_normal((3, 8)) * (np.arange(8) > 0)
LABELS = np.random.default_rng(8).standard_normal(8)
WEIGHTS = np.random.default_rng(9).standard_normal((4, 3))


def network(x):
    """The squared error of a relu layer, its weights and biases in one array of 16."""
    hidden = relu(x[:12].reshape(4, 3) @ INPUTS + x[12:, None])
    return float(np.sum((C[:4] @ hidden - LABELS) ** 2)) / 8


def network_slope(at_zero):
    def gradient(x):
        z = x[:12].reshape(4, 3) @ INPUTS + x[12:, None]
        error = C[:4] @ relu(z) - LABELS
        dz = np.outer(C[:4], error / 4) * np.where(z == 0, at_zero, z > 0)
        return np.r_[(dz @ INPUTS.T).ravel(), dz.sum(1)]

    return gradient


def at_weights(weights):
    return np.r_[weights.ravel(), np.zeros(4)]


NETWORK = ([network_slope(0), network_slope(1)], [network_slope(20)])

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
    "steep prelu as relus": (
        lambda x: C @ (3 * x + relu(x) - 0.9 * relu(-x)),
        X,
        [slope(3, 3.9, 4)],
        [slope(9, 3.9, 4)],
    ),
    "relus of two entries": (
        lambda x: relu(x[0]) - (x[1] + relu(-x[1])),
        np.zeros(2),
        [lambda x: np.array([x[0] > 0, (x[1] < 0) - 1.0])],
        [lambda x: np.array([3.0, (x[1] < 0) - 1.0])],
    ),
    "max pool of ties": (
        lambda x: C[:4] @ x.reshape(4, 3).max(1),
        POOLED,
        [
            pooled(lambda rows, largest: np.eye(3)[rows.argmax(1)]),
            pooled(lambda rows, largest: largest / largest.sum(1, keepdims=True)),
        ],
        [pooled(lambda rows, largest: largest)],
    ),
    "network with an example of zeros": (network, at_weights(WEIGHTS), *NETWORK),
    "network with a unit of zeros": (
        network,
        at_weights(WEIGHTS * (np.arange(4) > 0)[:, None]),
        *NETWORK,
    ),
    "network of zeros": (network, np.zeros(16), *NETWORK),
    "a special point that is smooth": (
        lambda x: C @ np.sinc(x),
        X,
        [sinc_slope(0)],
        [sinc_slope(1)],
    ),
}
"""By name: the function, the point, gradients that are right there, and some that are not.

Where a function has a derivative, as where two bends cancel, no other value is right.
"""


def outcomes() -> Iterator[Outcome]:
    """Judge every gradient of every function."""
    with np.errstate(divide="ignore"):  # a right gradient of a square root at 0 is infinite
        for name, (function, x, right, wrong) in CASES.items():
            for number, grads in enumerate(right):
                report = compare(function, grads, x)
                allowed = ("agree", "undecided")
                yield outcome("function, right", report, allowed, f"{name}, gradient {number}")
            for number, grads in enumerate(wrong):
                report = compare(function, grads, x)
                allowed = ("disagree", "undecided")
                yield outcome("function, wrong", report, allowed, f"{name}, gradient {number}")
