"""Which of the textbook's networks a file's forward pass is: activations, output and masks.

A forward pass is evaluated on a problem, and its output compared with those of the textbook's
networks. So a network with relu where the course has tanh is judged as what it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

import manual
from verify.homework.run.calls import array_of, number_of
from verify.homework.textbook.course_calls import BindError
from verify.homework.textbook.network import (
    Evaluated,
    Network,
    Runner,
    alternatives,
    find_masks,
    textbook,
)
from verify.homework.textbook.problems import M, draw, forward
from verify.homework.textbook.submission import Submission
from verify.problem import Problem

CLOSE = 1e-4
"""How near the textbook's output a forward pass must be to be identified with it, relatively."""

SAME = 1e-9
"""How near it is where it is that, but for rounding. A forward pass in float32 or with a guard in
its logarithm comes less near, and so may another network."""

CLEARLY = 10.0
"""By which factor another network must be nearer to be taken for it instead."""


@dataclass(frozen=True, eq=False)
class Identified:
    """One evaluation of a network, and the problem by which it is judged.

    `course` are the hidden layers that the course has, where the file has others.
    """

    runner: Runner
    evaluated: Evaluated
    forward_is_right: bool
    course: tuple[str, ...] | None = None

    @property
    def network(self) -> Network:
        """The functions of the file."""
        return self.runner.network

    @property
    def problem(self) -> Problem:
        """The textbook's network and its data."""
        return self.runner.problem


def identify(
    submission: Submission, network: Network, sizes: tuple[int, ...], number: int
) -> Identified:
    """Evaluate a network, and find out which of the textbook's it is."""
    hidden, output = textbook(network)
    hidden = hidden[:1] * (len(sizes) - 2)
    if network.labels_as_numbers:
        sizes, output = _several_classes(sizes), "softmax"
    identified = _evaluated(submission, network, sizes, hidden, output, number)
    AL = array_of(identified.evaluated.forward.AL)
    if AL is not None and output == "sigmoid" and np.allclose(AL, 1, atol=1e-9):
        # The softmax of one class is 1: it is made for several.
        identified = _evaluated(
            submission, network, _several_classes(sizes), hidden, "softmax", number
        )
    return identified


def _several_classes(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return (*sizes[:-2], 5 if sizes[-2] == 3 else sizes[-2], 3) if len(sizes) > 2 else (4, 3)


def _evaluated(
    submission: Submission,
    network: Network,
    sizes: tuple[int, ...],
    hidden: tuple[str, ...],
    output: str,
    number: int,
) -> Identified:
    def drawn(activations: tuple[str, ...]) -> Problem:
        return draw(
            sizes, M, hidden=activations, output=output, l2=network.l2,
            seed=(submission.seed, number),
        )  # fmt: skip

    problem = drawn(hidden)
    runner = Runner(network, submission.workspace, problem)
    evaluated = runner.evaluate()
    if _distance(evaluated, problem) <= SAME and network.keep_prob == 1:
        return Identified(runner, evaluated, True)
    keep = (network.keep_prob,) * len(hidden)
    masks = find_masks(evaluated, problem, network.keep_prob) if network.keep_prob < 1 else [None]
    nearest, found = CLOSE, None
    for activations in (hidden, *(a for a in alternatives(len(hidden)) if a != hidden)):
        other = problem if activations == hidden else drawn(activations)
        again = evaluated if other is problem else replace(runner, problem=other).evaluate()
        for chosen in masks:
            masked = other if chosen is None else other.with_masks(chosen, keep)
            if (distance := _distance(again, masked)) <= nearest:
                course = None if other is problem else hidden
                found = Identified(replace(runner, problem=masked), again, True, course)
                if distance <= SAME:
                    return found
                nearest = distance / CLEARLY
    if found is not None:
        return found
    if network.keep_prob < 1:
        if not masks:
            raise BindError(
                "", "The dropout masks are neither in the cache nor among the random numbers drawn"
            )
        assert masks[0] is not None
        runner = replace(runner, problem=problem.with_masks(masks[0], keep))
    return Identified(runner, evaluated, False)


def _distance(evaluated: Evaluated, problem: Problem) -> float:
    """Return how far a forward pass is from the textbook's output, or its cost, relatively."""
    AL = array_of(evaluated.forward.AL)
    if AL is None:
        cost = number_of(evaluated.cost)
        right = manual.loss(*problem.arguments, **problem.options)
        return math.inf if cost is None else _apart(np.array(cost), np.array(right))
    expected = forward(problem)[0]
    return _apart(AL.reshape(expected.shape), expected) if AL.size == expected.size else math.inf


def _apart(found: np.ndarray, right: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        apart = np.abs(found - right) / np.abs(right)
    apart = np.where(found == right, 0.0, apart)
    return float(np.where(np.isnan(apart), math.inf, apart).max(initial=0.0))
