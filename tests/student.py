"""A three-layer network as a student writes it, a line a step, any of which can be written wrong.

Independent of the passes that are under test: nothing of `manual` or `verify.diagnose` is in
it. One hidden layer is relu, the other tanh; both are dropped out; every weight is penalised.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from verify import Problem
from verify.evidence.bars.derived import analyse

STEPS = {
    "Z1": "W1 @ X + b1",
    "A1": "np.maximum(0, Z1)",
    "A1d": "A1 * D1 / keep1",
    "Z2": "W2 @ A1d + b2",
    "A2": "np.tanh(Z2)",
    "A2d": "A2 * D2 / keep2",
    "Z3": "W3 @ A2d + b3",
    "A3": "1 / (1 + np.exp(-Z3))",
    "data": "-np.sum(Y * np.log(A3) + (1 - Y) * np.log(1 - A3)) / m",
    "penalty": "l2 / (2 * m) * (np.sum(W1**2) + np.sum(W2**2) + np.sum(W3**2))",
    "J": "data + penalty",
    "dZ3": "A3 - Y",
    "dW3": "dZ3 @ A2d.T / m + l2 / m * W3",
    "db3": "np.sum(dZ3, axis=1, keepdims=True) / m",
    "dA2": "W3.T @ dZ3",
    "dA2d": "dA2 * D2 / keep2",
    "dZ2": "dA2d * (1 - A2**2)",
    "dW2": "dZ2 @ A1d.T / m + l2 / m * W2",
    "db2": "np.sum(dZ2, axis=1, keepdims=True) / m",
    "dA1": "W2.T @ dZ2",
    "dA1d": "dA1 * D1 / keep1",
    "dZ1": "dA1d * (Z1 > 0)",
    "dW1": "dZ1 @ X.T / m + l2 / m * W1",
    "db1": "np.sum(dZ1, axis=1, keepdims=True) / m",
}


class Work:
    """What a student's pass made: the loss, the gradients and everything on the way."""

    def __init__(self, problem: Problem, **wrong: str) -> None:
        assert set(wrong) <= set(STEPS), f"no such step: {set(wrong) - set(STEPS)}"
        self.problem = problem
        self.values = dict(
            problem.params, X=problem.X, Y=problem.Y, m=problem.m, l2=problem.l2, np=np
        )
        for layer, (mask, keep) in enumerate(zip(problem.masks, problem.keep_prob, strict=True), 1):
            self.values |= {f"D{layer}": mask, f"keep{layer}": keep}
        for step, formula in (STEPS | wrong).items():
            with np.errstate(all="ignore"):
                self.values[step] = eval(formula, self.values)

    @property
    def loss(self) -> float:
        return float(self.values["J"])

    @property
    def grads(self) -> dict[str, np.ndarray]:
        return {name: self.values[f"d{name}"] for name in self.problem.params}

    def intermediates(self, *names: str) -> dict[str, np.ndarray]:
        return {name: self.values[name] for name in names or ("dZ1", "dZ2", "dZ3", "dA1", "dA2")}


def exercise(
    *,
    sizes: tuple[int, ...] = (7, 6, 5, 1),
    m: int = 40,
    l2: float = 0.7,
    keep_prob: tuple[float, float] = (0.8, 0.7),
    scale: float = 1.0,
    seed: int = 0,
) -> Problem:
    """Return the problem that the student's network is to be differentiated on."""
    rng = np.random.default_rng(seed)
    params = {}
    for layer, (n_in, n_out) in enumerate(pairwise(sizes), 1):
        params[f"W{layer}"] = scale * rng.standard_normal((n_out, n_in)) / np.sqrt(n_in)
        params[f"b{layer}"] = 0.1 * rng.standard_normal((n_out, 1))
    masks = [rng.random((n, m)) < k for n, k in zip(sizes[1:-1], keep_prob, strict=True)]
    return Problem(
        params=params,
        X=rng.standard_normal((sizes[0], m)),
        Y=rng.random((1, m)) < 0.4,
        masks=masks,
        hidden=("relu", "tanh"),
        l2=l2,
        keep_prob=keep_prob,
    )


def bars(problem: Problem) -> dict[str, np.ndarray]:
    """Return how far a right gradient of the problem may be off."""
    return analyse(problem).bars
