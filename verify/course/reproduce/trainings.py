"""How to compute the figures of trainings: recorded costs, and accuracies.

Two things are the course's own, and only its figures need them: dropout masks from a RandomState
that is seeded again at every step, and the composed output gradient dA * s * (1 - s) with a cost
of clipped outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import manual
from verify.course.datasets import Dataset, load
from verify.course.problems import build_problem, parse_init
from verify.course.reproduce.printed_figures import Claim, Computed, Figure, course_masks
from verify.problem import Problem

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    Array = np.ndarray
    Params = Mapping[str, Float[Array, "_ _"]]
    Steps = Callable[..., tuple[dict[str, Array], Any]]
    Cost = Callable[[Problem, Params], float]

CLIP = 1e-10
"""Where the course clips the output of its composed route."""


def training(figure: Figure) -> Computed:
    """Train a network; return its costs and accuracies."""
    dataset = load(figure["data"])
    problem = problem_of(figure, dataset)
    return Computed(_trained(figure, dataset, problem))


def training_on_pictures(figure: Figure) -> Computed:
    """Train by the compiled loop, which is much faster than NumPy on wide inputs."""
    import autodiff

    dataset = load(figure["data"])
    problem = problem_of(figure, dataset)
    values = _trained(figure, dataset, problem, steps=autodiff.steps)
    return Computed(values, (Claim("trained by JAX's compiled loop"),))


def training_that_does_not_begin(figure: Figure) -> Computed:
    """Train a deep network from weights so small that nothing gets through it."""
    import autodiff
    from verify.network import three_way

    dataset = load(figure["data"])
    start = problem_of(figure, dataset)
    end, _ = train(start, figure, iterations=figure["iterations"], steps=autodiff.steps)
    answers = np.unique(_predict(end, dataset.X))
    return Computed(
        accuracies(end, dataset),
        (
            Claim("the gradients are right: the three-way check accepts them", three_way(start).ok),
            Claim(
                f"every picture is called {dataset.classes[answers[0]]}: the signal fades from "
                "layer to layer, and after all steps the output does not depend on the picture",
                len(answers) == 1,
            ),
        ),
    )


def training_from_large_weights(figure: Figure) -> Computed:
    """Train from weights so large that the outputs saturate."""
    computed = training(figure)
    first = computed.values["costs"][0]
    return Computed(
        computed.values,
        (
            Claim(
                "chaotic: the outputs saturate, and a rounding error anywhere changes all later "
                "costs, so 1 % is enough"
            ),
            Claim(
                f"the first cost, printed inf, is log(0) of a saturated output; from the logits "
                f"it is {first:.6g}, finite",
                bool(np.isfinite(first)),
            ),
        ),
    )


def training_stuck(figure: Figure) -> Computed:
    """Train from the same weights by the composed route, which never changes them."""
    dataset = load(figure["data"])
    problem = problem_of(figure, dataset)
    values = _trained(figure, dataset, problem, steps=composed_steps, cost=clipped_cost)
    return Computed(
        values,
        (
            Claim(
                "by the composed route dA * s * (1 - s), whose product is 0 where the output "
                "saturates: no cost changes",
                len(set(values["costs"])) == 1,
            ),
        ),
    )


def training_with_dropout(figure: Figure) -> Computed:
    """Train with the course's masks; record its clipped cost."""
    dataset = load(figure["data"])
    problem = problem_of(figure, dataset)
    values = _trained(figure, dataset, problem, cost=clipped_cost)
    clipped = Claim(f"the recorded cost is the document's, clipped at {CLIP:g}")
    return Computed(values, (clipped,))


def problem_of(figure: Figure, dataset: Dataset) -> Problem:
    """Return the problem that a training figure starts from, with the course's own masks."""
    hidden = figure["layers"][1:-1]
    problem = build_problem(
        dataset,
        layers=hidden,
        init=parse_init(figure["init"]),
        l2=figure.get("l2", 0.0),
        seed=figure.get("seed", 1),
    )
    if "keep_prob" not in figure:
        return problem
    masks = course_masks(figure["mask_seed"], hidden, problem.m, figure["keep_prob"])
    return problem.with_masks(masks, figure["keep_prob"])


def logits_cost(problem: Problem, params: Params) -> float:
    """Return the loss from the logits, the penalty included."""
    _, X, Y, masks = problem.arguments
    return float(manual.loss(params, X, Y, masks, **problem.options))


def clipped_cost(problem: Problem, params: Params) -> float:
    """Return the course's cost, from outputs that are clipped away from 0 and 1."""
    AL, _ = manual.forward(params, problem.X, problem.masks, **problem.forward_options)
    return float(manual.clipped_cross_entropy(AL, problem.Y, CLIP))


def train(
    problem: Problem,
    figure: Figure,
    *,
    iterations: int,
    steps: Steps = manual.steps,
    cost: Cost = logits_cost,
) -> tuple[Problem, list[float]]:
    """Train a problem; return it at its last parameters, and the costs that were recorded."""
    costs, every = [], figure["record_every"]
    for start in range(0, iterations, every):
        costs.append(cost(problem, problem.params))
        params, _ = steps(
            *problem.arguments,
            n=min(every, iterations - start),
            learning_rate=figure["learning_rate"],
            start=start,
            **problem.options,
        )
        problem = problem.with_params(params)
    return problem, costs


def composed_steps(
    params: Params,
    X: Float[Array, "n_0 m"],
    Y: Float[Array, "n_L m"],
    masks: Sequence[Bool[Array, "_ m"]] | None,
    *,
    n: int,
    learning_rate: float,
    start: int,
    hidden: Sequence[str],
    output: str,
    l2: float,
    keep_prob: Sequence[float],
) -> tuple[dict[str, Array], None]:
    """Take n steps as `manual.steps` does, but by the course's composed output gradient."""
    for _ in range(n):
        AL, cache = manual.forward(
            params, X, masks, hidden=hidden, output=output, keep_prob=keep_prob
        )
        dA = manual.cross_entropy_backward(AL, Y, CLIP)
        dZ = manual.sigmoid_backward(dA, cache[-1].Z, AL)
        grads, _ = manual.backward(dZ, cache, masks, l2=l2, keep_prob=keep_prob)
        params = manual.descend(params, grads, learning_rate)
    return dict(params), None


def accuracies(problem: Problem, dataset: Dataset) -> dict[str, float]:
    """Return the parts of the training and of the test examples that are labelled right."""
    parts = {"train": (dataset.X, dataset.labels), "test": (dataset.X_test, dataset.labels_test)}
    return {
        f"{part}_accuracy": float(np.mean(_predict(problem, X) == labels))
        for part, (X, labels) in parts.items()
        if X is not None
    }


def _trained(figure: Figure, dataset: Dataset, problem: Problem, **how: Any) -> dict[str, Any]:
    problem, costs = train(problem, figure, iterations=figure["iterations"], **how)
    return {"costs": costs, **accuracies(problem, dataset)}


def _predict(problem: Problem, X: Float[Array, "n_0 m"]) -> np.ndarray:
    return manual.predict(problem.params, X, hidden=problem.hidden, output=problem.output)
