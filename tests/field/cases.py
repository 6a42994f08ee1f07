"""Planted mistakes, and correct gradients that are hard to call correct.

A backward pass is written here once more, as a table of steps, so that each mistake replaces one
step. A case is a problem with a function that computes its gradient, right or wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import autodiff
import manual
from verify import Problem, draw_masks

Grads = dict[str, np.ndarray]
Steps = dict[str, Callable[..., Any]]


@dataclass(frozen=True, eq=False)
class Case:
    """A gradient under test: what is planted or hard about it, where, and the gradient itself."""

    kind: str
    place: str
    problem: Problem
    grads: Callable[[Mapping[str, np.ndarray]], Grads]
    planted: bool

    group = "networks"
    smooth = True

    @property
    def name(self) -> str:
        return f"{self.kind} ({self.place})"

    @property
    def params(self) -> Mapping[str, np.ndarray]:
        return self.problem.params

    def loss(self, params: Mapping[str, np.ndarray]) -> float:
        p = self.problem
        return manual.loss(params, p.X, p.Y, p.masks, **p.options)

    def mirror(self, params: Mapping[str, Any]) -> Any:
        p = self.problem
        return autodiff.loss(params, p.X, p.Y, p.masks, **p.options)


PLACES: dict[str, dict[str, Any]] = {
    "relu, dropout": {
        "sizes": (4, 5, 5, 1), "m": 9, "hidden": "relu", "l2": 0.7, "keep_prob": 0.8,
    },
    "tanh": {"sizes": (4, 5, 5, 1), "m": 7, "hidden": "tanh", "l2": 0.7},
    "sigmoid, dropout": {
        "sizes": (3, 4, 4, 4, 1), "m": 12, "hidden": "sigmoid", "l2": 0.3, "keep_prob": 0.7,
    },
    "softmax, relu": {"sizes": (6, 4, 4, 3), "m": 11, "hidden": "relu", "output": "softmax"},
    "softmax, tanh, dropout": {
        "sizes": (5, 6, 6, 4), "m": 8, "hidden": "tanh", "output": "softmax", "l2": 1.0,
        "keep_prob": 0.5,
    },
    "deep relu": {"sizes": (5, 6, 6, 6, 6, 1), "m": 15, "hidden": "relu", "l2": 0.1},
    "logistic": {"sizes": (8, 1), "m": 10, "l2": 2.0},
    "wide input": {"sizes": (60, 3, 1), "m": 6, "hidden": "relu", "l2": 0.7},
}  # fmt: skip
"""Architectures, each of which every mistake is planted in that it has room for."""


def make_problem(
    *, sizes, m, hidden="tanh", output="sigmoid", l2=0.0, keep_prob=1.0, seed=0, dtype=np.float64,
    init: str | float = "he", biases=0.3,
) -> Problem:  # fmt: skip
    """Draw a problem with generic parameters, inputs, labels and masks."""
    rng = np.random.default_rng(seed)
    params = manual.initialize(sizes, init, rng, dtype)
    for layer in range(1, len(sizes)):
        params[f"b{layer}"] += (biases * rng.standard_normal((sizes[layer], 1))).astype(dtype)
    X = rng.standard_normal((sizes[0], m))
    labels = rng.integers(0, max(2, sizes[-1]), m)
    labels[:2] = 0, 1
    Y = labels[None] if output == "sigmoid" else np.eye(sizes[-1])[:, labels]
    keep = [keep_prob] * (len(sizes) - 2)
    return Problem(
        params, X, Y[:, :m], draw_masks(seed, 0, sizes[1:-1], m, keep),
        hidden=hidden, output=output, l2=l2, keep_prob=keep,
    )  # fmt: skip


SLOPES = {
    "relu": lambda Z, A: (Z > 0).astype(Z.dtype),
    "tanh": lambda Z, A: 1 - A**2,
    "sigmoid": lambda Z, A: A * (1 - A),
}

RIGHT: Steps = {
    "output": lambda A, Y: A - Y,
    "dW": lambda dZ, A_prev, m, layer, cache: dZ @ A_prev.T / m,
    "db": lambda dZ, m, layer: dZ.sum(axis=1, keepdims=True) / m,
    "penalty": lambda W, l2, m: l2 / m * W,
    "bias penalty": lambda b, l2, m: 0 * b,
    "dA": lambda dZ, params, layer: params[f"W{layer}"].T @ dZ,
    "dropout": lambda dA, masks, keep, layer: dA * masks[layer - 1] / keep,
    "slope": lambda name, Z, A, layer: SLOPES[name](Z, A),
    "end": lambda grads: grads,
}
"""The steps of a right backward pass."""


def gradients(steps: Steps, problem: Problem, params: Mapping[str, np.ndarray]) -> Grads:
    """Carry the gradient back by the given steps."""
    p = problem.with_params(params)
    m, masks = p.m, p.masks
    AL, cache = manual.forward(
        p.params, p.X, masks, hidden=p.hidden, output=p.output, keep_prob=p.keep_prob
    )
    dZ = steps["output"](AL, p.Y)
    grads = {}
    for layer in range(len(cache), 0, -1):
        W, b = params[f"W{layer}"], params[f"b{layer}"]
        dW = steps["dW"](dZ, cache[layer - 1].A_prev, m, layer, cache)
        grads[f"W{layer}"] = dW + steps["penalty"](W, p.l2, m)
        grads[f"b{layer}"] = steps["db"](dZ, m, layer) + steps["bias penalty"](b, p.l2, m)
        if layer > 1:
            dA = steps["dA"](dZ, params, layer)
            if masks is not None:
                dA = steps["dropout"](dA, masks, p.keep_prob[layer - 2], layer - 1)
            below = cache[layer - 2]
            dZ = dA * steps["slope"](below.activation, below.Z, below.A, layer - 1)
    return steps["end"]({name: grads[name] for name in params})


def scaled(which: str, factor: Callable[[int], float] | float) -> Callable[[Problem], Steps]:
    """Multiply one gradient, or all, by a factor that may depend on the number of examples."""

    def plant(problem: Problem) -> Steps:
        by = factor(problem.m) if callable(factor) else factor
        names = list(problem.params) if which == "all" else [pick(problem, which)]
        return {"end": lambda grads: {k: g * by if k in names else g for k, g in grads.items()}}

    return plant


def pick(problem: Problem, which: str) -> str:
    """Return the name of the first, middle or last W or b."""
    L = len(problem.layers) - 1
    layer = {"first": 1, "middle": (L + 2) // 2, "last": L}[which.split()[0]]
    return f"{which.split()[1]}{layer}"


def one_entry(which: str, place: float) -> Callable[[Problem], Steps]:
    """Put one entry, the one at this fraction of the order of sizes, off by one per cent."""

    def plant(problem: Problem) -> Steps:
        name = pick(problem, which)

        def end(grads: Grads) -> Grads:
            wrong = {k: g.copy() for k, g in grads.items()}
            flat = wrong[name].reshape(-1)
            order = np.argsort(np.abs(flat), kind="stable")
            flat[order[int(place * (len(order) - 1))]] *= 1.01
            return wrong

        return {"end": end}

    return plant


def noise(size: float) -> Callable[[Problem], Steps]:
    """Give every entry a relative error of this size and a random sign."""

    def plant(problem: Problem) -> Steps:
        rng = np.random.default_rng(1)
        signs = {k: rng.choice((-1.0, 1.0), v.shape) for k, v in problem.params.items()}
        return {"end": lambda grads: {k: g * (1 + size * signs[k]) for k, g in grads.items()}}

    return plant


def single(which: str) -> Callable[[Problem], Steps]:
    """Round one gradient, or all, to float32."""

    def plant(problem: Problem) -> Steps:
        names = list(problem.params) if which == "all" else [pick(problem, which)]

        def end(grads: Grads) -> Grads:
            return {
                k: g.astype(np.float32).astype(g.dtype) if k in names else g
                for k, g in grads.items()
            }

        return {"end": end}

    return plant


def always(**steps: Callable[..., Any]) -> Callable[[Problem], Steps]:
    """Plant the same steps in every problem."""
    return lambda problem: {name.replace("_", " "): step for name, step in steps.items()}


def only_layer(step: str, which: str, wrong: Callable[..., Any]) -> Callable[[Problem], Steps]:
    """Plant a wrong step in the first or the last hidden layer alone."""

    def plant(problem: Problem) -> Steps:
        chosen = 1 if which == "first" else len(problem.layers) - 2
        right = RIGHT[step]
        return {step: lambda *a: wrong(*a) if a[-1] == chosen else right(*a)}

    return plant


def _square(layer: int, params: Mapping[str, np.ndarray]) -> bool:
    return params[f"W{layer}"].shape[0] == params[f"W{layer}"].shape[1]


def _transposed(dZ, params, layer):
    W = params[f"W{layer}"]
    return (W if _square(layer, params) else W.T) @ dZ


def _weights_below(dZ, params, layer):
    W, below = params[f"W{layer}"], params.get(f"W{layer - 1}")
    return (below if below is not None and below.shape == W.shape else W).T @ dZ


def _input_above(dZ, A_prev, m, layer, cache):
    A = cache[layer - 1].A
    return dZ @ (A if A.shape == A_prev.shape else A_prev).T / m


def _mask_below(dA, masks, keep, layer):
    other = masks[layer - 2]
    return dA * (other if other.shape == dA.shape else masks[layer - 1]) / keep


def _at_activation(name, Z, A, layer):
    return {
        "relu": lambda: (A > 0).astype(Z.dtype),
        "tanh": lambda: 1 - np.tanh(A) ** 2,
        "sigmoid": lambda: manual.sigmoid(A) * (1 - manual.sigmoid(A)),
    }[name]()


def _not_squared(name, Z, A, layer):
    return {"tanh": lambda: 1 - A, "sigmoid": lambda: 1 - A, "relu": lambda: np.sign(A) * 0.99}[
        name
    ]()


def _one(name, Z, A, layer):
    return np.ones_like(Z)


def _leaky(name, Z, A, layer):
    return np.where(Z > 0, 1.0, 0.01) if name == "relu" else SLOPES[name](Z, A) + 1e-3


def _product_with_slope(A, Y):
    return (A - Y) * A * (1 - A)


BUGS: dict[str, Callable[[Problem], Steps]] = {
    **{
        f"{which} times {factor:g}": scaled(which, factor)
        for which, factor in (
            ("first W", 2.0), ("last W", 0.5), ("first b", 1.1), ("last b", -1.0),
            ("all", -1.0), ("all", 1.01), ("middle W", 0.0), ("first b", 0.0),
        )
    },
    "1/m forgotten": scaled("all", lambda m: m),
    "1/m twice": scaled("all", lambda m: 1 / m),
    "1/(m-1)": scaled("all", lambda m: m / (m - 1)),
    "1/m forgotten in db": scaled("last b", lambda m: m),
    "1/m forgotten in dW": always(dW=lambda dZ, A_prev, m, layer, cache: dZ @ A_prev.T),
    "L2 absent": always(penalty=lambda W, l2, m: 0 * W),
    "L2 halved": always(penalty=lambda W, l2, m: l2 / (2 * m) * W),
    "L2 doubled": always(penalty=lambda W, l2, m: 2 * l2 / m * W),
    "L2 of the wrong sign": always(penalty=lambda W, l2, m: -l2 / m * W),
    "L2 on biases": always(bias_penalty=lambda b, l2, m: l2 / m * b),
    "L2 without 1/m": always(penalty=lambda W, l2, m: l2 * W),
    "L2 of the sign of W": always(penalty=lambda W, l2, m: l2 / m * np.sign(W)),
    "mask not reapplied": always(dropout=lambda dA, masks, keep, layer: dA / keep),
    "keep_prob not divided by": always(
        dropout=lambda dA, masks, keep, layer: dA * masks[layer - 1]
    ),
    "keep_prob divided by twice": always(
        dropout=lambda dA, masks, keep, layer: dA * masks[layer - 1] / keep**2
    ),
    "dropout forgotten": always(dropout=lambda dA, masks, keep, layer: dA),
    "mask inverted": always(
        dropout=lambda dA, masks, keep, layer: dA * ~masks[layer - 1] / keep
    ),
    "mask of another layer": always(dropout=_mask_below),
    "mask of another example": always(
        dropout=lambda dA, masks, keep, layer: dA * np.roll(masks[layer - 1], 1, axis=1) / keep
    ),
    "derivative absent": always(slope=_one),
    "derivative absent in the first layer": only_layer("slope", "first", _one),
    "derivative absent in the last hidden layer": only_layer("slope", "last", _one),
    "derivative at A, not Z": always(slope=_at_activation),
    "derivative with a factor missing": always(slope=_not_squared),
    "leaky derivative": always(slope=_leaky),
    "Y - A": always(output=lambda A, Y: Y - A),
    "A alone": always(output=lambda A, Y: A),
    "slope of the output twice": always(output=_product_with_slope),
    "output rounded to three decimals": always(output=lambda A, Y: np.round(A, 3) - Y),
    "last example dropped": always(
        dW=lambda dZ, A_prev, m, layer, cache: dZ[:, :-1] @ A_prev[:, :-1].T / m
    ),
    "last example dropped in db": always(
        db=lambda dZ, m, layer: dZ[:, :-1].sum(axis=1, keepdims=True) / m
    ),
    "db of one example": always(db=lambda dZ, m, layer: dZ[:, :1]),
    "db of absolute values": always(
        db=lambda dZ, m, layer: np.abs(dZ).sum(axis=1, keepdims=True) / m
    ),
    "largest entry of W1 off by 1%": one_entry("first W", 1.0),
    "middling entry of W1 off by 1%": one_entry("first W", 0.5),
    "middling entry of a middle W off by 1%": one_entry("middle W", 0.5),
    "entry of the last b off by 1%": one_entry("last b", 1.0),
    "entry of the first b off by 1%": one_entry("first b", 0.5),
    "relative error 1e-4 in W1": scaled("first W", 1 + 1e-4),
    "relative error 1e-4 in the last b": scaled("last b", 1 + 1e-4),
    "relative error 1e-6 in W1": scaled("first W", 1 + 1e-6),
    "relative error 1e-6 in the last W": scaled("last W", 1 - 1e-6),
    "relative error 1e-8 in W1": scaled("first W", 1 + 1e-8),
    "relative error 1e-8 in the last b": scaled("last b", 1 - 1e-8),
    "relative errors 1e-6 of random signs": noise(1e-6),
    "relative errors 1e-8 of random signs": noise(1e-8),
    "rounded to float32": single("all"),
    "W1 rounded to float32": single("first W"),
    "square W not transposed": always(dA=_transposed),
    "W of the layer below": always(dA=_weights_below),
    "input of the layer above": always(dW=_input_above),
    "dZ of another example": always(
        dW=lambda dZ, A_prev, m, layer, cache: np.roll(dZ, 1, axis=1) @ A_prev.T / m
    ),
}  # fmt: skip
"""Every mistake by its name: from a problem to the steps that it replaces."""


def planted() -> Iterator[Case]:
    """Return every mistake in every place. What changes nothing there is left to the oracle."""
    for number, (place, options) in enumerate(PLACES.items()):
        problem = make_problem(**options, seed=100 + number)
        for bug, plant in BUGS.items():
            steps = RIGHT | plant(problem)
            yield Case(bug, place, problem, _bound(steps, problem), planted=True)


def _bound(steps: Steps, problem: Problem) -> Callable[[Mapping[str, np.ndarray]], Grads]:
    return lambda params: gradients(steps, problem, params)


def _with_params(change: Callable[[str, np.ndarray], np.ndarray]):
    def hard(problem: Problem) -> Problem:
        return problem.with_params(
            {k: change(k, v).astype(v.dtype) for k, v in problem.params.items()}
        )

    return hard


def _rounded(step: float):
    def hard(problem: Problem) -> Problem:
        problem = _with_params(lambda k, v: np.round(v / step) * step)(problem)
        return replace(problem, X=np.round(problem.X / step) * step)

    return hard


def _converged(problem: Problem) -> Problem:
    params, _ = autodiff.steps(*problem.arguments, n=3000, learning_rate=0.3, **problem.options)
    return problem.with_params(params)


def _one_example(problem: Problem) -> Problem:
    masks = None if problem.masks is None else tuple(mask[:, :1] for mask in problem.masks)
    return replace(problem, X=problem.X[:, :1], Y=problem.Y[:, :1], masks=masks)


def _few_kept(problem: Problem) -> Problem:
    widths = problem.layers[1:-1]
    keep = (0.1,) * len(widths)
    masks = draw_masks(7, 0, widths, problem.m, keep)
    return replace(problem, masks=masks, keep_prob=keep)


def _single(problem: Problem) -> Problem:
    return problem.astype(np.float32)


def _then(*changes):
    def hard(problem: Problem) -> Problem:
        for change in changes:
            problem = change(problem)
        return problem

    return hard


_zeros = _with_params(lambda k, v: 0 * v)
_zero_biases = _with_params(lambda k, v: v * (k[0] == "W"))
_saturated = _with_params(lambda k, v: 10 * v)

HARD: dict[str, Callable[[Problem], Problem]] = {
    "whole numbers": _rounded(1.0),
    "grid of tenths": _rounded(0.1),
    "grid of tenths, biases zero": _then(_rounded(0.1), _zero_biases),
    "parameters all zero": _zeros,
    "last layer zero": _with_params(
        lambda k, v: 0 * v if v.shape[0] in (1, 3, 4) and k[0] == "W" else v
    ),
    "biases zero, most units dropped": _then(_zero_biases, _few_kept),
    "saturated": _saturated,
    "saturated, inputs times 10": _then(
        _saturated, lambda p: replace(p, X=10 * p.X)
    ),
    "saturated, float32": _then(_saturated, _single),
    "converged": _converged,
    "converged, float32": _then(_converged, _single),
    "float32": _single,
    "grid of tenths, float32": _then(_rounded(0.1), _single),
    "one example": _one_example,
    "one example, parameters zero": _then(_one_example, _zeros),
    "most units dropped": _few_kept,
    "inputs like pixels": lambda p: replace(p, X=np.round(40 * np.abs(p.X))),
    "inputs zero": lambda p: replace(p, X=0 * p.X),
    "tiny parameters": _with_params(lambda k, v: 1e-6 * v),
    "an example twice": lambda p: replace(
        p, X=p.X[:, [0, *range(p.m - 1)]], Y=p.Y[:, [0, *range(p.m - 1)]]
    ),
}  # fmt: skip
"""What makes a correct gradient hard to call correct: from a generic problem to a hard one."""


def hard() -> Iterator[Case]:
    """Return a correct gradient for every hardship in every place."""
    for number, (place, options) in enumerate(PLACES.items()):
        for kind, change in HARD.items():
            problem = change(make_problem(**options, seed=200 + number))
            yield Case(kind, place, problem, _right(problem), planted=False)


def _right(problem: Problem) -> Callable[[Mapping[str, np.ndarray]], Grads]:
    def grads(params: Mapping[str, np.ndarray]) -> Grads:
        return manual.loss_and_grads(
            params, problem.X, problem.Y, problem.masks, **problem.options
        )[1]

    return grads
