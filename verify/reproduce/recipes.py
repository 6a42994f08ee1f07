"""How each figure of the course documents is computed: one small function a kind.

A recipe takes a figure, as verify/course_figures.json has it, and returns what it found under
the names that the document prints. The network itself is nowhere here: everything goes through
the public functions of `manual` and `autodiff`. Three things of the course's own are kept, for
its figures alone:

- its dropout masks, from a legacy RandomState that is seeded anew at every step;
- its second training route, the composed output gradient dA * s * (1 - s) on a clipped cost;
- its gradient check, central differences with one fixed step and one distance
  ||g - g'|| / (||g|| + ||g'||) for all parameters together.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import manual
from verify.build import build_problem, parse_init
from verify.datasets import Dataset, load
from verify.problem import Problem

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    Array = np.ndarray
    Params = Mapping[str, Float[Array, "_ _"]]
    Steps = Callable[..., tuple[dict[str, Array], Any]]
    Cost = Callable[[Problem, Params], float]

Figure = Mapping[str, Any]

CLIP = 1e-10
"""Where the course clips the output of its composed route."""


class Claim(NamedTuple):
    """What a figure shows beside its numbers, in a sentence, and whether it holds."""

    sentence: str
    holds: bool = True

    def __str__(self) -> str:
        return self.sentence if self.holds else f"does not hold: {self.sentence}"


class Computed(NamedTuple):
    """Values under the names of the printed ones, and what else was found."""

    values: Mapping[str, Any]
    claims: tuple[Claim, ...] = ()


def load_figures() -> tuple[Figure, ...]:
    """Return every figure of the course documents, in their order."""
    file = resources.files("verify").joinpath("course_figures.json")
    return tuple(json.loads(file.read_text(encoding="utf-8"))["figures"])


def compute(figure: Figure) -> Computed:
    """Recompute a figure, by the recipe of its id or else of its kind.

    Raises DataAbsentError if it needs a data file that is not there.
    """
    return (RECIPES.get(figure["id"]) or RECIPES[figure["kind"]])(figure)


# Single operations.


def initial_parameters(figure: Figure) -> Computed:
    """Draw the parameters of a network."""
    rng = np.random.RandomState(figure["seed"])
    return Computed(manual.initialize(figure["layers"], parse_init(figure["init"]), rng))


def linear_forward(figure: Figure) -> Computed:
    """Compute Z of one layer."""
    drawn = draw(figure)
    return Computed({"Z": manual.linear(drawn["A"], drawn["W"], drawn["b"])})


def linear_activation_forward(figure: Figure) -> Computed:
    """Compute A of one layer, by sigmoid and by relu."""
    drawn = draw(figure)
    Z = manual.linear(drawn["A_prev"], drawn["W"], drawn["b"])
    return Computed({"sigmoid_A": manual.sigmoid(Z), "relu_A": manual.relu(Z)})


def linear_backward(figure: Figure) -> Computed:
    """Compute the three gradients of one linear layer."""
    drawn = draw(figure)
    return Computed(_layer_grads(drawn["dZ"], drawn))


def linear_activation_backward(figure: Figure) -> Computed:
    """Compute the gradients of one layer, by sigmoid and by relu."""
    drawn = draw(figure)
    return Computed(
        {
            "sigmoid": _layer_grads(manual.sigmoid_backward(drawn["dA"], drawn["Z"]), drawn),
            "relu": _layer_grads(manual.relu_backward(drawn["dA"], drawn["Z"]), drawn),
        }
    )


def cross_entropy(figure: Figure) -> Computed:
    """Compute the cost of given outputs."""
    AL, Y = np.array(figure["AL"], float), np.array(figure["Y"], float)
    return Computed({"cost": manual.clipped_cross_entropy(AL, Y, CLIP)})


def update(figure: Figure) -> Computed:
    """Take one step of gradient descent along given gradients."""
    params, grads = (draw(figure, figure[f"seed_{what}"]) for what in ("parameters", "gradients"))
    return Computed(manual.descend(params, grads, figure["learning_rate"]))


def _layer_grads(dZ: Float[Array, "n_out m"], drawn: Mapping[str, Array]) -> dict[str, Array]:
    names = ("dA_prev", "dW", "db")
    return dict(zip(names, manual.linear_backward(dZ, drawn["A_prev"], drawn["W"]), strict=True))


# The network, forward and backward.


def deep_forward(figure: Figure) -> Computed:
    """Compute the output of a network, and count its layers' caches."""
    params, X = draw_network(figure)
    AL, cache = manual.forward(params, X)
    return Computed({"AL": AL, "caches": len(cache)})


def deep_backward(figure: Figure) -> Computed:
    """Carry a random AL back by the composed route, through caches drawn at random."""
    d = draw(figure)
    cache = [
        manual.Layer("relu", d["A1"], d["W1"], d["Z1"], d["A2"]),
        manual.Layer("sigmoid", d["A2"], d["W2"], d["Z2"], d["AL"]),
    ]
    dA = manual.cross_entropy_backward(d["AL"], np.array(figure["Y"], float))
    dZ = manual.sigmoid_backward(dA, d["Z2"])
    grads, intermediates = manual.backward(dZ, cache, input_gradient=True)
    return Computed(_named(grads, dX=intermediates["dA0"]))


def backward_with_l2(figure: Figure) -> Computed:
    """Compute all gradients of a network with the L2 penalty."""
    params, X = draw_network(figure)
    A3, cache = manual.forward(params, X)
    dZ = manual.output_backward(cache, np.array(figure["Y"], float))
    grads, intermediates = manual.backward(dZ, cache, l2=figure["l2"])
    return Computed(_named(grads, A3=A3, dA1=intermediates["dA1"], dA2=intermediates["dA2"]))


def dropout_forward(figure: Figure) -> Computed:
    """Compute the masks of a network, and its output under them."""
    params, X = draw_network(figure)
    widths = [len(params[f"b{layer}"]) for layer in range(1, len(params) // 2)]
    masks = course_masks(figure["mask_seed"], widths, X.shape[1], figure["keep_prob"])
    AL, _ = manual.forward(params, X, masks, keep_prob=figure["keep_prob"])
    return Computed({"AL": AL, "D1": masks[0], "D2": masks[1]})


def dropout_backward(figure: Figure) -> Computed:
    """Go forward with one keep_prob and back with another, as the document does."""
    params, X = draw_network(figure)
    Y, masks = np.array(figure["Y"], float), [np.array(figure[name], bool) for name in ("D1", "D2")]
    forward_keep = figure["forward_keep_prob"]
    _, cache = manual.forward(params, X, masks, keep_prob=forward_keep)
    dZ = manual.output_backward(cache, Y)
    grads, _ = manual.backward(dZ, cache, masks, keep_prob=figure["keep_prob"])

    from verify.agreement import three_way

    problem = Problem(params, X, Y, masks, keep_prob=forward_keep)
    report = three_way(problem, grads=grads)
    rejected = Claim(
        f"scaled by {forward_keep:g} on the way forward and by {figure['keep_prob']:g} on the "
        "way back, it is the gradient of no function, and the three-way check rejects it",
        report.verdict == "disagree",
    )
    return Computed(_named(grads), (rejected,))


def _named(grads: Mapping[str, Array], **others: Array) -> dict[str, Array]:
    """Return gradients under the names dW1, db1, ... that documents print, and others."""
    return {f"d{name}": gradient for name, gradient in grads.items()} | others


# Training.


def training(figure: Figure) -> Computed:
    """Train a network; return its costs and accuracies."""
    dataset = load(figure["data"])
    problem = problem_of(figure, dataset)
    return Computed(_trained(figure, dataset, problem))


def training_on_pictures(figure: Figure) -> Computed:
    """Train by the compiled loop, which takes a fraction of NumPy's time on wide inputs."""
    import autodiff

    dataset = load(figure["data"])
    problem = problem_of(figure, dataset)
    values = _trained(figure, dataset, problem, steps=autodiff.steps)
    return Computed(values, (Claim("trained by JAX's compiled loop"),))


def training_from_large_weights(figure: Figure) -> Computed:
    """Train from weights so large that the outputs saturate."""
    computed = training(figure)
    first = computed.values["costs"][0]
    return Computed(
        computed.values,
        (
            Claim(
                "chaotic: the outputs saturate, and a rounding anywhere moves all later costs, "
                "so 1 % is asked of them"
            ),
            Claim(
                f"the first cost, printed inf, is log(0) of a saturated output; from the logits "
                f"it is {first:.6g}, finite",
                bool(np.isfinite(first)),
            ),
        ),
    )


def training_stuck(figure: Figure) -> Computed:
    """Train from the same weights by the composed route, which never moves them."""
    dataset = load(figure["data"])
    problem = problem_of(figure, dataset)
    values = _trained(figure, dataset, problem, steps=composed_steps, cost=clipped_cost)
    return Computed(
        values,
        (
            Claim(
                "by the composed route dA * s * (1 - s), whose product is 0 where the output "
                "saturates: not one cost moves",
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
    return dataclasses.replace(problem, masks=masks, keep_prob=figure["keep_prob"])


def logits_cost(problem: Problem, params: Params) -> float:
    """Return the loss from the logits, the penalty included."""
    _, X, Y, masks = problem.arguments
    return float(manual.loss(params, X, Y, masks, **problem.options))


def clipped_cost(problem: Problem, params: Params) -> float:
    """Return the course's cost, from outputs that are clipped away from 0 and 1."""
    AL, _ = manual.forward(params, problem.X, problem.masks, **_forward_options(problem))
    return float(manual.clipped_cross_entropy(AL, problem.Y, CLIP))


def descend(
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
    problem, costs = descend(problem, figure, iterations=figure["iterations"], **how)
    return {"costs": costs, **accuracies(problem, dataset)}


def _predict(problem: Problem, X: Float[Array, "n_0 m"]) -> np.ndarray:
    return manual.predict(problem.params, X, hidden=problem.hidden, output=problem.output)


def _forward_options(problem: Problem) -> dict[str, Any]:
    return {name: value for name, value in problem.options.items() if name != "l2"}


# The course's gradient check, and ours beside it.


def false_alarm(figure: Figure) -> Computed:
    """Check a correct gradient by the course's rule, which rejects it, and by three ways."""
    from verify.agreement import three_way

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


def planted(figure: Figure) -> Computed:
    """Plant the course's two faults, and say what the three-way check finds."""
    import autodiff
    from verify.agreement import three_way

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
    from verify.agreement import three_way

    dataset = load(figure["data"])
    before, costs = descend(
        problem_of(figure, dataset), figure, iterations=figure["iterations"] - 1
    )
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
    """Return the course's ||g - g'|| / (||g|| + ||g'||), g' by differences of step epsilon."""

    def central(name: str, index: tuple[int, ...]) -> float:
        up, down = (_nudged(problem.params, name, index, step) for step in (epsilon, -epsilon))
        return (cost(problem, up) - cost(problem, down)) / (2 * epsilon)

    approximate = [
        central(name, index)
        for name, value in problem.params.items()
        for index in np.ndindex(value.shape)
    ]
    exact = np.concatenate([grads[name].ravel() for name in problem.params])
    norm = np.linalg.norm
    return float(norm(exact - approximate) / (norm(exact) + norm(approximate)))


def _nudged(params: Params, name: str, index: tuple[int, ...], step: float) -> Params:
    moved = params[name].copy()
    moved[index] += step
    return {**params, name: moved}


def _factor(a: Array, b: Array) -> float:
    """Return the factor that b is multiplied by in a, by least squares."""
    return float(np.vdot(a, b) / np.vdot(b, b))


# What the figures are drawn from.


def draw(figure: Figure, seed: int | None = None) -> dict[str, Array]:
    """Return the standard-normal arrays that a figure draws, in its order."""
    rng = np.random.RandomState(figure["seed"] if seed is None else seed)
    return {name: rng.standard_normal(shape) for name, *shape in figure["draw"]}


def draw_network(figure: Figure) -> tuple[dict[str, Array], Float[Array, "n_0 m"]]:
    """Return the parameters and X that a figure draws."""
    drawn = draw(figure)
    return {name: value for name, value in drawn.items() if name != "X"}, drawn["X"]


def course_masks(
    seed: int, widths: Sequence[int], m: int, keep_prob: float
) -> list[Bool[Array, "_ m"]]:
    """Return the masks that the course draws, the same at every step for it seeds at every step."""
    rng = np.random.RandomState(seed)
    return [rng.rand(width, m) < keep_prob for width in widths]


RECIPES: dict[str, Callable[[Figure], Computed]] = {
    "initial parameters": initial_parameters,
    "linear forward": linear_forward,
    "linear + activation forward": linear_activation_forward,
    "forward, relu hidden, sigmoid output": deep_forward,
    "cross-entropy": cross_entropy,
    "linear backward": linear_backward,
    "linear + activation backward": linear_activation_backward,
    "backward, relu hidden, sigmoid output, from given caches": deep_backward,
    "gradient-descent update": update,
    "backward with L2": backward_with_l2,
    "forward with dropout": dropout_forward,
    "backward with dropout, from given caches": dropout_backward,
    "training": training,
    "train-cats-two-layer": training_on_pictures,
    "train-cats-four-layer": training_on_pictures,
    "init-large": training_from_large_weights,
    "init-large-stuck": training_stuck,
    "reg-dropout": training_with_dropout,
    "gradcheck-false-alarm": false_alarm,
    "gradcheck-planted": planted,
    "gradcheck-trained": check_of_trained,
}
"""The recipe of every kind of figure, and of the ids that differ from their kind."""
