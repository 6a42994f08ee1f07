"""How to compute the figures of gradient checks: by the course's rule and by the three-way check.

The course's rule is one central difference a parameter, with one fixed step, and one distance
||g - g'|| / (||g|| + ||g'||) for all parameters together, compared with one threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

import manual
from verify.course.datasets import load
from verify.course.reproduce.printed_figures import Claim, Computed, Figure, draw_network
from verify.course.reproduce.trainings import (
    accuracies,
    clipped_cost,
    logits_cost,
    problem_of,
    train,
)
from verify.course.textbook_check import gradient_check
from verify.problem import Problem

if TYPE_CHECKING:
    from jaxtyping import Float

    from verify.course.reproduce.trainings import Cost

    Array = np.ndarray
    Params = Mapping[str, Float[Array, "_ _"]]


def false_alarm(figure: Figure) -> Computed:
    """Check a correct gradient by the course's rule, which rejects it, and three ways."""
    from verify.network import three_way

    params, X = draw_network(figure)
    problem = Problem(params, X, np.array(figure["Y"], float))
    _, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    difference, from_logits = (
        course_difference(problem, grads, figure["epsilon"], cost)
        for cost in (clipped_cost, logits_cost)
    )
    threshold = figure["threshold"]
    return Computed(
        {"difference": difference},
        (
            Claim(
                f"the course's rule rejects this correct gradient: {difference:.2g} is above "
                f"{threshold:g}",
                difference > threshold,
            ),
            Claim("the three-way check accepts it", three_way(problem).ok),
            Claim(
                "the difference is rounding noise of log(1 - A), within a factor of 2 of the "
                f"printed {figure['printed']['difference']:.2g}; of the cost from the logits it "
                f"is {from_logits:.2g}",
                from_logits < threshold,
            ),
        ),
    )


def check_of_line(figure: Figure) -> Computed:
    """Check the derivative of J = theta x, a layer of one unit, by the course's rule."""
    A, theta = np.full((1, 1), float(figure["x"])), np.full((1, 1), float(figure["theta"]))
    zero, one = np.zeros((1, 1)), np.ones((1, 1))

    def loss(W: Float[Array, "1 1"]) -> float:
        return float(manual.linear(A, W, zero).item())

    _, dtheta, _ = manual.linear_backward(one, A, theta)
    difference = gradient_check(loss, dtheta, theta, epsilon=figure["epsilon"])
    return Computed({"J": loss(theta), "dtheta": dtheta.item(), "difference": difference})


def planted(figure: Figure) -> Computed:
    """Plant the course's two mistakes, and report what the three-way check finds."""
    import autodiff
    from verify.network import three_way

    params, X = draw_network(figure)
    problem = Problem(params, X, np.array(figure["Y"], float))
    _, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    faulty = grads | {"W2": 2 * grads["W2"], "b1": 4 * grads["b1"]}
    report = three_way(problem, grads=faulty)
    _, right = autodiff.loss_and_grads(*problem.arguments, **problem.options)
    found = sorted(
        f"d{tensor.name} multiplied by {_factor(tensor.value, right[tensor.name]):g}"
        for tensor in report.tensors
        if not tensor.agree
    )
    named = {finding.tensor for finding in report.diagnosis if finding.bug != "unknown"}
    details = " ".join(finding.detail for finding in report.diagnosis)
    return Computed(
        {"planted": found},
        (Claim(f"the diagnosis names both: {details}", named == {"dW2", "db1"}),),
    )


def check_of_trained(figure: Figure) -> Computed:
    """Train, and check the gradients of the last step before it is taken."""
    from verify.network import three_way

    dataset = load(figure["data"])
    before, costs = train(problem_of(figure, dataset), figure, iterations=figure["iterations"] - 1)
    _, grads = manual.loss_and_grads(*before.arguments, **before.options)
    after = before.with_params(manual.descend(before.params, grads, figure["learning_rate"]))
    difference = course_difference(before, grads, figure["epsilon"], clipped_cost)
    return Computed(
        {"costs": costs, "difference": difference, **accuracies(after, dataset)},
        (
            Claim(
                f"the difference is rounding noise, {difference:.2g}, within a factor of 2 of the "
                f"printed {figure['printed']['difference']:.2g}"
            ),
            Claim("the three-way check accepts the gradient", three_way(before).ok),
        ),
    )


def course_difference(problem: Problem, grads: Params, epsilon: float, cost: Cost) -> float:
    """Return the course's gradient check of a network's gradients, by one of its costs."""
    return gradient_check(
        lambda params: cost(problem, params), grads, dict(problem.params), epsilon=epsilon
    )


def _factor(a: Array, b: Array) -> float:
    """Return the factor that b is multiplied by in a, by least squares."""
    return float(np.vdot(a, b) / np.vdot(b, b))
