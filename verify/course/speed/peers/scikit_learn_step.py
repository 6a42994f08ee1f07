"""The same training step as scikit-learn's MLPClassifier takes it.

One call of `partial_fit` with all examples in one batch, plain gradient descent, and the
problem's parameters as its start. It has L2, and no dropout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from verify.course.speed.timing import Run
    from verify.problem import Problem

ACTIVATIONS = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic"}


def prepare(problem: Problem, learning_rate: float) -> Run:
    """Return run(n): n calls of `partial_fit`, from the problem's parameters."""
    from sklearn.neural_network import MLPClassifier

    X, y = np.ascontiguousarray(problem.X.T), problem.Y[0].astype(int)
    classifier = MLPClassifier(
        problem.layers[1:-1],
        activation=ACTIVATIONS[problem.hidden[0]],
        solver="sgd",
        alpha=problem.l2,
        batch_size=problem.m,
        learning_rate_init=learning_rate,
        momentum=0,
        nesterovs_momentum=False,
        shuffle=False,
    )
    classifier.partial_fit(X, y, classes=[0, 1])
    L = len(problem.layers) - 1

    def run(n: int) -> dict[str, np.ndarray]:
        for layer in range(L):
            classifier.coefs_[layer][...] = problem.params[f"W{layer + 1}"].T
            classifier.intercepts_[layer][...] = problem.params[f"b{layer + 1}"][:, 0]
        for _ in range(n):
            classifier.partial_fit(X, y)
        weights = {f"W{layer + 1}": classifier.coefs_[layer].T for layer in range(L)}
        biases = {f"b{layer + 1}": classifier.intercepts_[layer][:, None] for layer in range(L)}
        return weights | biases

    return run
