"""The same training steps by hand, the loop compiled by Numba.

Written as one would for Numba: lists of arrays, products by `np.dot`, everything else in loops
over the entries. The data are copied into row-major order, which its products want.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from verify.course.speed.timing import Run
    from verify.problem import Problem

CODES = {"relu": 0, "tanh": 1, "sigmoid": 2}


def prepare(problem: Problem, learning_rate: float) -> Run:
    """Return run(n): n steps, compiled as one loop, from the problem's parameters."""
    L, dtype = len(problem.layers) - 1, problem.dtype.type
    X, Y = np.ascontiguousarray(problem.X), np.ascontiguousarray(problem.Y)
    codes = tuple(CODES[name] for name in problem.hidden)
    factors = _factors(problem)
    steps, decay = _steps(), problem.l2 / problem.m

    def run(n: int) -> dict[str, np.ndarray]:
        weights = tuple(np.array(problem.params[f"W{layer + 1}"], order="C") for layer in range(L))
        biases = tuple(np.array(problem.params[f"b{layer + 1}"], order="C") for layer in range(L))
        steps(n, weights, biases, X, Y, codes, factors, dtype(learning_rate), dtype(decay))
        return {f"W{layer + 1}": W for layer, W in enumerate(weights)} | {
            f"b{layer + 1}": b for layer, b in enumerate(biases)
        }

    return run


def _factors(problem: Problem) -> tuple[np.ndarray, ...]:
    """Return mask / keep_prob of every hidden layer; arrays (0, 0) without dropout."""
    if problem.masks is None:
        return tuple(np.empty((0, 0), problem.dtype) for _ in problem.hidden)
    pairs = zip(problem.masks, problem.keep_prob, strict=True)
    return tuple(np.ascontiguousarray((mask / keep).astype(problem.dtype)) for mask, keep in pairs)


@cache
def _steps() -> Any:
    """Return the compiled loop. Its arguments are tuples of arrays, one a layer."""
    import numba

    def activate(Z: Any, code: int, factor: Any) -> tuple[Any, Any]:
        """Return A after the mask, and dA / dZ with it."""
        A, slope = np.empty_like(Z), np.empty_like(Z)
        one, zero = Z.dtype.type(1), Z.dtype.type(0)
        for i in range(Z.shape[0]):
            for e in range(Z.shape[1]):
                z = Z[i, e]
                if code == 0:
                    a, d = (z, one) if z > 0 else (zero, zero)
                elif code == 1:
                    a = np.tanh(z)
                    d = one - a * a
                else:
                    a = one / (one + np.exp(-z))
                    d = a * (one - a)
                f = factor[i, e] if factor.size else one
                A[i, e], slope[i, e] = a * f, d * f
        return A, slope

    compiled_activate = numba.njit(activate)

    def descend(
        n: int, weights: Any, biases: Any, X: Any, Y: Any, codes: Any, factors: Any, rate: Any,
        decay: Any,
    ) -> None:  # fmt: skip
        L, m = len(weights), X.dtype.type(X.shape[1])
        for _ in range(n):
            inputs, slopes = [X], [X[:0]]
            for layer in range(L - 1):
                Z = np.dot(weights[layer], inputs[layer]) + biases[layer]
                A, slope = compiled_activate(Z, codes[layer], factors[layer])
                inputs.append(A)
                slopes.append(slope)
            logits = np.dot(weights[L - 1], inputs[L - 1]) + biases[L - 1]
            dZ = (X.dtype.type(1) / (X.dtype.type(1) + np.exp(-logits)) - Y) / m
            for layer in range(L - 1, -1, -1):
                dW = np.dot(dZ, inputs[layer].T) + decay * weights[layer]
                db = dZ.sum(axis=1).reshape(-1, 1)
                if layer:
                    dZ = np.dot(weights[layer].T, dZ) * slopes[layer]
                weights[layer][:] -= rate * dW
                biases[layer][:] -= rate * db

    return numba.njit(descend)
