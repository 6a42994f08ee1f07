"""The time of two whole jobs as a user calls them: a training, and an exhaustive check."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import manual
from verify.course.speed.peers import course_step
from verify.course.speed.timing import seconds

if TYPE_CHECKING:
    from verify.course.speed.workloads import Workload
    from verify.problem import Problem

SAMPLES = 21
"""Steps, or evaluations, from which the time of a job is estimated that would take too long."""


def training_speed(workload: Workload, iterations: int = 2500) -> dict[str, Any]:
    """Time `verify.train`, and estimate the time of as many steps of the course's composition.

    JAX is loaded before the clock starts; "cold_s", the first call in a process, compiles. The
    workload has a sigmoid output, as the course's composition has.
    """
    import autodiff
    from verify.course.training import train

    problem, rate = workload.problem, workload.learning_rate
    autodiff.on_device(np.zeros(1))

    whole = partial(train, problem, learning_rate=rate, iterations=iterations, progress=False)
    cold = seconds(whole)
    warm = float(np.median([seconds(whole) for _ in range(5)]))
    samples = [seconds(course_step.prepare(problem, rate), SAMPLES) for _ in range(5)]
    per_step = float(np.median(samples)) / SAMPLES
    return _described(problem) | {
        "iterations": iterations,
        "cold_s": cold,
        "warm_s": warm,
        "course_s_per_step": per_step,
        "course_s": per_step * iterations,
        "cold_ratio": per_step * iterations / cold,
        "warm_ratio": per_step * iterations / warm,
    }


def exhaustive_speed(problem: Problem) -> dict[str, Any]:
    """Time the central difference of every weight, beside a training step and a black-box loop.

    In float64, the median of a few runs each. "steps" is how many gradients of
    `manual.loss_and_grads` take as long as the differences. The loop takes four evaluations of
    the loss a weight, for a difference with an error bar.
    """
    from verify.evidence.differences.exhaustive import exhaustive_differences

    problem = problem.astype(np.float64)

    cold = seconds(exhaustive_differences, problem)
    warm = float(np.median([seconds(exhaustive_differences, problem) for _ in range(5)]))
    step, evaluation = (
        float(np.median([seconds(work) for _ in range(SAMPLES)]))
        for work in (
            partial(of, *problem.arguments, **problem.options)
            for of in (manual.loss_and_grads, manual.loss)
        )
    )
    count = sum(value.size for value in problem.params.values())
    return _described(problem) | {
        "parameters": count,
        "cold_s": cold,
        "warm_s": warm,
        "step_s": step,
        "steps": warm / step,
        "black_box_s_per_weight": 4 * evaluation,
        "black_box_s": 4 * evaluation * count,
        "ratio": 4 * evaluation * count / warm,
    }


def _described(problem: Problem) -> dict[str, Any]:
    return {"layers": list(problem.layers), "examples": problem.m}
