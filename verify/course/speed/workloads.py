"""What is timed: four typical networks, and two of them with L2 and dropout."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

import manual
from verify.course.problems import build_problem
from verify.masks import draw_masks
from verify.problem import Problem

REGULARISED = {"l2": 0.7, "keep_prob": 0.86}
"""What the networks called -reg have: the course's own values, and masks drawn once."""


class Workload(NamedTuple):
    """A problem, named, and the learning rate of its steps."""

    name: str
    problem: Problem
    learning_rate: float


def standard_workloads(dtype: str) -> list[Workload]:
    """Return cats, football, flower and a wide network in this dtype; in float64 two of them again.

    Those two, cats-reg and football-reg, have L2 and dropout. Without `BACKPROOF_DATA` the
    course's pictures and points are replaced by random numbers of the same shapes, which take as
    long.
    """
    from verify.course import datasets

    rng = np.random.default_rng(0)
    flower = build_problem(
        datasets.load("flower"), layers=(4,), hidden="tanh", init=0.01, dtype=dtype
    )
    wide = _random((784, 512, 256, 1), 4096, dtype, rng)
    cats = partial(_course_data, "cats", (12288, 20, 7, 5, 1), 209, dtype, rng)
    football = partial(_course_data, "football", (2, 20, 3, 1), 211, dtype, rng)
    plain = [
        Workload("cats", cats(), 0.0075),
        Workload("football", football(), 0.3),
        Workload("flower", flower, 1.2),
        Workload("wide", wide, 0.01),
    ]
    if dtype != "float64":
        return plain
    return [
        *plain,
        Workload("cats-reg", cats(**REGULARISED), 0.0075),
        Workload("football-reg", football(**REGULARISED), 0.3),
    ]


def _course_data(
    name: str,
    sizes: tuple[int, ...],
    m: int,
    dtype: str,
    rng: np.random.Generator,
    **regularisation: float,
) -> Problem:
    """Return a problem of the course's data, or of random numbers of its shape if it is absent."""
    from verify.course import datasets

    try:
        dataset = datasets.load(name)
    except datasets.DataAbsentError:
        return _random(sizes, m, dtype, rng, **regularisation)
    how: dict[str, Any] = {"init": "fan-in", "dtype": dtype} | regularisation
    return build_problem(dataset, layers=sizes[1:-1], **how)


def _random(
    sizes: tuple[int, ...],
    m: int,
    dtype: str,
    rng: np.random.Generator,
    l2: float = 0.0,
    keep_prob: float = 1.0,
) -> Problem:
    params = manual.initialize(sizes, "fan-in", rng, np.dtype(dtype).type)
    masks = draw_masks(0, 0, sizes[1:-1], m, [keep_prob] * (len(sizes) - 2))
    X, Y = rng.random((m, sizes[0])).T, rng.random((1, m)) < 0.5
    return Problem(params, X, Y, masks, l2=l2, keep_prob=keep_prob)
