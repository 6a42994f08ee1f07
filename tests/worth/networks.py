"""Relu networks at whole numbers, whose units are at 0 for many examples, under any convention."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from verify import compare

from . import Outcome, outcome

COUNT = 500
CONVENTIONS = (0, 0.5, 1)
NO_CONVENTION = 5
UNDECIDED = 0.05
"""The part of right gradients that may be undecided."""

Arrays = dict[str, np.ndarray]


def outcomes(count: int, seed: int) -> Iterator[Outcome]:
    """Judge gradients of `count` networks with relu'(0) = 0, 1/2, 1, and 5."""
    for number in range(seed, seed + count):
        loss, grads, params = network_at_whole_numbers(number)
        for at_zero in CONVENTIONS:
            report = compare(loss, grads(at_zero), params)
            where = f"network {number}, relu'(0) = {at_zero}"
            yield outcome("network, right at 0", report, ("agree", "undecided"), where)
        right, wrong = grads(0)(params), grads(NO_CONVENTION)(params)
        if any((wrong[k] != g).any() for k, g in right.items()):
            report = compare(loss, grads(NO_CONVENTION), params)
            where = f"network {number}, relu'(0) = {NO_CONVENTION}"
            yield outcome("network, wrong at 0", report, ("disagree", "undecided"), where)


def network_at_whole_numbers(
    seed: int,
) -> tuple[Callable[[Arrays], float], Callable[[float], Callable[[Arrays], Arrays]], Arrays]:
    """Return a network's loss, its gradient by what relu'(0) is, and its parameters.

    Biases are zero, one example is zero, and in three networks of eight one unit.
    """
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
    if seed % 8 == 1:
        params["C"][0] = 0

    def forward(p: Arrays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first = p["A"] @ data + p["b"]
        second = p["C"] @ np.maximum(first, 0) + p["d"]
        return first, second, a @ np.maximum(second, 0) - labels

    def loss(p: Arrays) -> float:
        error = forward(p)[2]
        return float(error @ error) / m

    def grads(at_zero: float) -> Callable[[Arrays], Arrays]:
        def gradient(p: Arrays) -> Arrays:
            first, second, error = forward(p)
            d_second = np.outer(a, 2 * error / m) * np.where(second == 0, at_zero, second > 0)
            d_first = (p["C"].T @ d_second) * np.where(first == 0, at_zero, first > 0)
            return {
                "A": d_first @ data.T,
                "b": d_first.sum(1, keepdims=True),
                "C": d_second @ np.maximum(first, 0).T,
                "d": d_second.sum(1, keepdims=True),
            }

        return gradient

    return loss, grads, params
