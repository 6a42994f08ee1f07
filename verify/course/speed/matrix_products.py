"""The matrix products of a step alone, in each library that the implementations use.

An implementation is hardly faster than the products of its library, whatever is written around
them. Where a peer uses a faster library, this shows by how much, and in which of the three
products. They are timed call by call; a compiled loop saves the cost of the calls.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

import manual
from verify.course.speed.timing import Run, interleaved, steps_in

if TYPE_CHECKING:
    from verify.problem import Problem

    Pairs = list[tuple[np.ndarray, np.ndarray]]
    Factors = Callable[[Any, Any], tuple[Any, Any]]

SMALLEST = 10**7
"""Operations of a forward pass below which the calls take longer than the products."""

PRODUCTS: dict[str, Factors] = {
    "forward": lambda W, A_prev: (W, A_prev),
    "dW": lambda dZ, A_prev: (dZ, A_prev.T),
    "dA": lambda W, dZ: (W.T, dZ),
}
"""The two factors of each product of a layer."""


def products_ms(problem: Problem, repetitions: int, seconds: float) -> dict[str, dict[str, float]]:
    """Return the milliseconds that all layers' products of a kind take, by library and kind.

    Empty for a network so small that the calls take longer than the products.
    """
    if 2 * problem.m * sum(n_in * n_out for n_in, n_out in pairwise(problem.layers)) < SMALLEST:
        return {}
    runs = product_runs(problem)
    counts = {key: steps_in(run, seconds) for key, run in runs.items()}
    result: dict[str, dict[str, float]] = {}
    for (library, kind), times in interleaved(runs, counts, repetitions).items():
        result.setdefault(library, {})[kind] = float(np.median(times))
    return result


def product_runs(problem: Problem) -> dict[tuple[str, str], Run]:
    """Return run(n) by library and product: that product of every layer, n times.

    The first layer has no dA. Every result is written over the last one, so that no allocation is
    timed.
    """
    libraries = {"numpy": _numpy, "jax": _jax}
    if importlib.util.find_spec("torch"):
        libraries["torch"] = _torch
    return {
        (library, kind): bind(PRODUCTS[kind], pairs)
        for kind, pairs in _pairs(problem).items()
        for library, bind in libraries.items()
    }


def _pairs(problem: Problem) -> dict[str, Pairs]:
    """Return the factors of each product, layer by layer, from a forward pass of the problem.

    Z takes the place of dZ, which has its shape.
    """
    _, cache = manual.forward(problem.params, problem.X, problem.masks, **problem.forward_options)
    pairs = {
        "forward": [(layer.W, layer.A_prev) for layer in cache],
        "dW": [(layer.Z, layer.A_prev) for layer in cache],
        "dA": [(layer.W, layer.Z) for layer in cache[1:]],
    }
    return {kind: layers for kind, layers in pairs.items() if layers}


def _numpy(factors: Factors, pairs: Pairs) -> Run:
    return _written_over(np.matmul, [factors(*pair) for pair in pairs])


def _torch(factors: Factors, pairs: Pairs) -> Run:
    import torch

    # Copied: PyTorch warns of memory that is read-only, as the problem's is.
    tensors = [(torch.from_numpy(np.array(a)), torch.from_numpy(np.array(b))) for a, b in pairs]
    return _written_over(torch.matmul, [factors(*pair) for pair in tensors])


def _written_over(matmul: Callable[..., Any], operands: list[tuple[Any, Any]]) -> Run:
    results = [matmul(left, right) for left, right in operands]

    def run(n: int) -> None:
        for _ in range(n):
            for (left, right), out in zip(operands, results, strict=True):
                matmul(left, right, out=out)

    return run


def _jax(factors: Factors, pairs: Pairs) -> Run:
    import jax

    from autodiff.network import full_precision

    @partial(jax.jit, donate_argnames="results", keep_unused=True)
    def multiply(pairs: Pairs, results: Any) -> Any:
        return [left @ right for left, right in (factors(*pair) for pair in pairs)]

    with full_precision():
        pairs = jax.device_put(pairs)
        results = multiply(pairs, None)

    def run(n: int) -> None:
        nonlocal results
        with full_precision():
            for _ in range(n):
                results = multiply(pairs, results)
            jax.tree.map(lambda result: result.block_until_ready(), results)

    return run
