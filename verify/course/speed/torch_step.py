"""The same training step in PyTorch, where it is installed (extra `peers`).

`eager` is what a user of PyTorch writes first. `compiled` hands torch.compile the whole step,
loss, gradient and update, as one function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from verify.course.speed.timing import Run
    from verify.problem import Problem


def eager(problem: Problem, learning_rate: float) -> Run:
    """Return run(n): n steps with autograd's backward, from the problem's parameters."""
    import torch

    X, Y = _tensor(problem.X), _tensor(problem.Y)

    def run(n: int) -> None:
        params = _tensors(problem, requires_grad=True)
        for _ in range(n):
            loss = _loss(params, X, Y, problem.hidden)
            loss.backward()
            with torch.no_grad():
                for value in params.values():
                    value -= learning_rate * value.grad
                    value.grad = None

    return run


def compiled(problem: Problem, learning_rate: float) -> Run:
    """Return run(n): n calls of one compiled step, from the problem's parameters."""
    import torch

    X, Y = _tensor(problem.X), _tensor(problem.Y)

    def step(params: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        grads, loss = torch.func.grad_and_value(_loss)(params, X, Y, problem.hidden)
        return {name: params[name] - learning_rate * grads[name] for name in params}, loss

    fast = torch.compile(step, fullgraph=True)

    def run(n: int) -> None:
        params = _tensors(problem)
        with torch.no_grad():
            for _ in range(n):
                params, _loss_value = fast(params)

    return run


def _tensor(array: np.ndarray) -> Any:
    """Return a copy, for PyTorch warns of memory that is read-only, as the problem's is."""
    import torch

    return torch.from_numpy(np.array(array))


def _tensors(problem: Problem, requires_grad: bool = False) -> dict[str, Any]:
    return {
        name: _tensor(value).requires_grad_(requires_grad) for name, value in problem.params.items()
    }


def _loss(params: Mapping[str, Any], X: Any, Y: Any, hidden: Sequence[str]) -> Any:
    import torch

    A = X
    for layer, activation in enumerate(hidden, start=1):
        A = getattr(torch, activation)(params[f"W{layer}"] @ A + params[f"b{layer}"])
    L = len(params) // 2
    logits = params[f"W{L}"] @ A + params[f"b{L}"]
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, Y)
