"""The same training step in PyTorch.

`eager` is what a user of PyTorch writes first. `compiled` hands torch.compile the whole step,
loss, gradient and update, as one function.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from verify.course.speed.timing import Run
    from verify.problem import Problem


def eager(problem: Problem, learning_rate: float) -> Run:
    """Return run(n): n steps with autograd's backward, from the problem's parameters."""
    import torch

    loss = _loss(problem)

    def run(n: int) -> dict[str, Any]:
        params = _tensors(problem, requires_grad=True)
        for _ in range(n):
            loss(params).backward()
            with torch.no_grad():
                for value in params.values():
                    value -= learning_rate * value.grad
                    value.grad = None
        return {name: value.detach() for name, value in params.items()}

    return run


def compiled(problem: Problem, learning_rate: float) -> Run:
    """Return run(n): n calls of one compiled step, from the problem's parameters."""
    import torch

    # It warns that it finds no CUDA, on a machine that has none.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    loss = _loss(problem)

    def step(params: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        grads, value = torch.func.grad_and_value(loss)(params)
        return {name: params[name] - learning_rate * grads[name] for name in params}, value

    torch.compiler.reset()  # what it compiled for another network counts against a limit
    fast = torch.compile(step, fullgraph=True)

    def run(n: int) -> dict[str, Any]:
        params = _tensors(problem)
        with torch.no_grad():
            for _ in range(n):
                params, _value = fast(params)
        return params

    return run


def _tensor(array: np.ndarray) -> Any:
    """Return a copy, for PyTorch warns of memory that is read-only, as the problem's is."""
    import torch

    return torch.from_numpy(np.array(array))


def _tensors(problem: Problem, requires_grad: bool = False) -> dict[str, Any]:
    return {
        name: _tensor(value).requires_grad_(requires_grad) for name, value in problem.params.items()
    }


def _loss(problem: Problem) -> Callable[[dict[str, Any]], Any]:
    """Return the problem's loss as a function of the parameters."""
    import torch

    X, Y, hidden = _tensor(problem.X), _tensor(problem.Y), problem.hidden
    masks = None if problem.masks is None else [_tensor(mask) for mask in problem.masks]
    keep_prob, half_decay = problem.keep_prob, problem.l2 / (2 * problem.m)

    def loss(params: dict[str, Any]) -> Any:
        A, L = X, len(hidden) + 1
        for layer, activation in enumerate(hidden, start=1):
            A = getattr(torch, activation)(params[f"W{layer}"] @ A + params[f"b{layer}"])
            if masks is not None:
                A = A * masks[layer - 1] / keep_prob[layer - 1]
        logits = params[f"W{L}"] @ A + params[f"b{L}"]
        mean = torch.nn.functional.binary_cross_entropy_with_logits(logits, Y)
        if not half_decay:
            return mean
        squares = [params[f"W{layer}"].square().sum() for layer in range(1, L + 1)]
        return mean + half_decay * sum(squares)

    return loss
