"""What the gradient is, and whether a planted change is a mistake at all.

The loss is written here once more, in extended precision and for complex parameters, and its
gradient taken by the complex step, Im f(x + ih e) / h with h = 1e-2000 or as small as the type
has it: exact to the last digits of 64-bit mantissas, and no derivative of anything is written
down. Where a relu's input is 0 but for rounding, the side that the case's own arithmetic chose
is taken, as long as it is 0 but for rounding.

The rounding of correct code is what correct code does: `manual` is run with the examples and
the features in several orders, and each entry's largest error is its rounding. A planted change
is a mistake if it puts some entry further off than four times that. A kernel's forward pass takes
complex numbers itself; its rounding is that of the right backward pass, in the kernel's own type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

import manual
from verify import Problem

from .cases import Case, Grads
from .kernels import KernelCase, named

STEP = np.longdouble(2) ** -500
ORDERS = 8
FACTOR = 4.0
ZERO = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-3}
"""How large, beside the sum of its terms, a relu's input may be and still be 0 but for rounding."""


def exact_gradients(problem: Problem) -> Grads:
    """Return the gradient in extended precision, at the problem's own parameters."""
    every = {k: np.arange(v.size) for k, v in problem.params.items()}
    found = exact_entries(problem, every)
    return {k: found[k].reshape(v.shape) for k, v in problem.params.items()}


def exact_entries(problem: Problem, entries: Mapping[str, np.ndarray]) -> Grads:
    """Return the gradient in extended precision, of the entries at these flat indices."""
    wide = {k: v.astype(np.clongdouble) for k, v in problem.params.items()}
    sides = _sides(problem)
    result = {}
    for name, index in entries.items():
        flat = wide[name].reshape(-1)
        gradient = np.zeros(len(index), np.longdouble)
        for k, i in enumerate(index):
            here = flat[i]
            flat[i] = here + 1j * STEP
            gradient[k] = _loss(wide, problem, sides).imag / STEP
            flat[i] = here
        result[name] = gradient
    return result


def exact_kernel_gradients(case: KernelCase) -> Grads:
    """Return the gradient of a kernel's loss in extended precision, at the case's arguments."""
    cotangent = case.cotangent.astype(float)
    wide = {k: x.astype(float).astype(np.clongdouble) for k, x in case.params.items()}
    result = {}
    for name, value in wide.items():
        flat = value.reshape(-1)
        gradient = np.zeros(flat.size, np.longdouble)
        for i in range(flat.size):
            here = flat[i]
            flat[i] = here + 1j * STEP
            gradient[i] = np.sum(cotangent * case.exactly(*wide.values()).imag) / STEP
            flat[i] = here
        result[name] = gradient.reshape(value.shape)
    return result


def kernel_rounding(case: KernelCase, exact: Grads) -> Grads:
    """Return how far off the right backward pass is in an entry, or usually is in its tensor."""
    found = named(case.params, case.right(case.cotangent.copy(), *case.params.values()))
    unit = case.unit
    errors = {}
    for name, gradient in exact.items():
        apart = np.abs(found[name].astype(float) - gradient)
        usual = 3 * np.sqrt(np.mean(apart**2))
        errors[name] = np.maximum(np.maximum(apart, usual), 2 * unit * np.abs(gradient))
    return errors


def rounding(problem: Problem, exact: Grads) -> Grads:
    """Return the largest error of every entry over correct evaluations in several orders."""
    unit = np.finfo(problem.dtype).eps
    worst = {k: unit * np.abs(g) for k, g in exact.items()}
    for grads in reordered(problem):
        worst = {k: np.maximum(e, np.abs(grads[k] - exact[k])) for k, e in worst.items()}
    return worst


def reordered(problem: Problem) -> Iterator[Grads]:
    """Return the gradient as correct code has it, with examples and features in several orders."""
    rng = np.random.default_rng(0)
    for _ in range(ORDERS):
        examples, features = rng.permutation(problem.m), rng.permutation(problem.layers[0])
        params = dict(problem.params) | {"W1": problem.params["W1"][:, features]}
        masks = problem.masks and [mask[:, examples] for mask in problem.masks]
        _, grads = manual.loss_and_grads(
            params,
            problem.X[features][:, examples],
            problem.Y[:, examples],
            masks,
            **problem.options,
        )
        grads["W1"] = grads["W1"][:, np.argsort(features)]
        yield grads


def is_mistake(case: Case | KernelCase, exact: Grads, errors: Grads) -> bool:
    """Return whether some entry of the case's gradient is further off than rounding puts it."""
    # Of bfloat16 no difference from extended precision can be taken.
    grads = {k: np.asarray(g, float) for k, g in case.grads(case.params).items()}
    return any((np.abs(grads[k] - g) > FACTOR * errors[k]).any() for k, g in exact.items())


def _loss(params, problem: Problem, sides):
    A = problem.X.astype(np.longdouble)
    L = len(params) // 2
    for layer in range(1, L + 1):
        Z = params[f"W{layer}"] @ A + params[f"b{layer}"]
        if layer == L:
            break
        A = _activation(problem.hidden[layer - 1], Z, sides[layer - 1])
        if problem.masks is not None:
            A = A * problem.masks[layer - 1] / np.longdouble(problem.keep_prob[layer - 1])
    m, Y = problem.m, problem.Y.astype(np.longdouble)
    if problem.output == "sigmoid":
        right = np.where(Y == 1, Z, -Z)
        data = np.sum(_log1p_exp(-right))
    else:
        gaps = Z - np.sum(Y * Z, axis=0)
        largest = gaps.real.max(axis=0)
        data = np.sum(np.log(np.exp(gaps - largest).sum(axis=0)) + largest)
    squares = sum(np.sum(params[f"W{layer}"] ** 2) for layer in range(1, L + 1))
    return data / m + np.longdouble(problem.l2) / (2 * m) * squares


def _activation(name: str, Z, side):
    if name == "relu":
        return np.where(side, Z, 0)
    if name == "tanh":
        return np.tanh(Z)
    return np.exp(-_log1p_exp(-Z))


def _log1p_exp(Z):
    """Return log(1 + e^Z) with full relative precision in its real and imaginary parts."""
    small = np.where(Z.real > 0, -Z, Z)
    return np.where(Z.real > 0, Z, 0) + np.log1p(np.exp(small))


def _sides(problem: Problem) -> list[np.ndarray | None]:
    """Return, for every hidden relu, which units are on: as the case's own arithmetic has it."""
    _, cache = manual.forward(
        problem.params,
        problem.X,
        problem.masks,
        hidden=problem.hidden,
        output=problem.output,
        keep_prob=problem.keep_prob,
    )
    sides: list[np.ndarray | None] = []
    for number, layer in enumerate(cache[:-1]):
        if layer.activation != "relu":
            sides.append(None)
            continue
        b = problem.params[f"b{number + 1}"].astype(np.longdouble)
        W, A = layer.W.astype(np.longdouble), layer.A_prev.astype(np.longdouble)
        exactly, terms = W @ A + b, np.abs(W) @ np.abs(A) + np.abs(b)
        differ = (exactly > 0) != (layer.Z > 0)
        assert (np.abs(exactly)[differ] <= ZERO[problem.dtype] * terms[differ]).all()
        sides.append(layer.Z > 0)
    return sides
