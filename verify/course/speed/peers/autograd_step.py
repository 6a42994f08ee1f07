"""The same training step with HIPS autograd: NumPy differentiated as it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verify.course.speed.timing import Run
    from verify.problem import Problem


def prepare(problem: Problem, learning_rate: float) -> Run:
    """Return run(n): n steps with autograd's gradient, from the problem's parameters."""
    import autograd
    import autograd.numpy as np

    activations = {
        "relu": lambda Z: np.where(Z > 0, Z, 0),
        "tanh": np.tanh,
        "sigmoid": lambda Z: 1 / (1 + np.exp(-Z)),
    }

    def loss(params: dict[str, Any]) -> Any:
        A, L = problem.X, len(params) // 2
        for layer, activation in enumerate(problem.hidden, start=1):
            A = activations[activation](np.dot(params[f"W{layer}"], A) + params[f"b{layer}"])
            if problem.masks is not None:
                A = A * problem.masks[layer - 1] / problem.keep_prob[layer - 1]
        Z = np.dot(params[f"W{L}"], A) + params[f"b{L}"]
        value = np.mean(np.logaddexp(0, Z) - problem.Y * Z)
        if problem.l2:
            squares = sum(np.sum(params[f"W{layer}"] ** 2) for layer in range(1, L + 1))
            value = value + problem.l2 / (2 * problem.m) * squares
        return value

    gradient = autograd.value_and_grad(loss)

    def run(n: int) -> dict[str, Any]:
        params = dict(problem.params)
        for _ in range(n):
            _value, grads = gradient(params)
            params = {name: params[name] - learning_rate * grads[name] for name in params}
        return params

    return run
