"""Layers with annotations of types that the file makes itself."""

from collections.abc import Callable

import numpy as np

Array = np.ndarray
AffineCache = tuple[np.ndarray, np.ndarray]
ReLUCache = np.ndarray
AffineReLUCache = tuple[AffineCache, ReLUCache]
Forward = Callable[[Array], tuple[Array, ReLUCache]]


def affine_forward(x: Array, weights: Array, bias: Array) -> tuple[Array, AffineCache]:
    output = x @ weights + bias
    return output, (x, weights)


def affine_backward(dout: Array, cache: AffineCache) -> tuple[Array, Array, Array]:
    x, weights = cache
    return dout @ weights.T, x.T @ dout, dout.sum(axis=0)


def relu_forward(x: Array) -> tuple[Array, ReLUCache]:
    return np.maximum(0, x), x


def relu_backward(dout: Array, cache: ReLUCache) -> Array:
    return dout * (cache > 0)


def affine_relu_forward(x: Array, weights: Array, bias: Array) -> tuple[Array, AffineReLUCache]:
    scores, affine_cache = affine_forward(x, weights, bias)
    output, relu_cache = relu_forward(scores)
    return output, (affine_cache, relu_cache)


def affine_relu_backward(dout: Array, cache: AffineReLUCache) -> tuple[Array, Array, Array]:
    affine_cache, relu_cache = cache
    return affine_backward(relu_backward(dout, relu_cache), affine_cache)
