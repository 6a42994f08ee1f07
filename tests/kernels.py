"""Three layers that are no dense network, each with its backward by hand and its mirror in JAX.

A 2-D convolution, layer normalisation and scaled dot-product attention, as one writes them in
NumPy. Each `*_BUGS` maps a mistake's name to the backward that makes it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def conv2d(x, w, b):
    """Cross-correlate x (n, c, h, v) with w (o, c, k, l), valid, stride 1, and add b (o,)."""
    rows, columns = w.shape[2:]
    windows = np.lib.stride_tricks.sliding_window_view(x, (rows, columns), axis=(2, 3))
    return np.einsum("ncijkl,ockl->noij", windows, w) + b[:, None, None]


def conv2d_backward(dy, x, w, b, *, flip=True, bias_sum=True, windows_of=None, pad_to="full"):
    rows, columns = w.shape[2:]
    source = x if windows_of is None else windows_of(x)
    windows = np.lib.stride_tricks.sliding_window_view(source, (rows, columns), axis=(2, 3))
    dw = np.einsum("noij,ncijkl->ockl", dy, windows)
    db = dy.sum(axis=(0, 2, 3)) if bias_sum else dy.mean(axis=(0, 2, 3))
    before = (rows - 1, columns - 1) if pad_to == "full" else (rows - 2, columns)
    after = (2 * (rows - 1) - before[0], 2 * (columns - 1) - before[1])
    padded = np.pad(dy, ((0, 0), (0, 0), (before[0], after[0]), (before[1], after[1])))
    across = np.lib.stride_tricks.sliding_window_view(padded, (rows, columns), axis=(2, 3))
    kernel = w[:, :, ::-1, ::-1] if flip else w
    return np.einsum("noijkl,ockl->ncij", across, kernel), dw, db


def conv2d_mirror(x, w, b):
    return jax.lax.conv(x, w, (1, 1), "VALID") + b[:, None, None]


CONV2D_BUGS = {
    "kernel not flipped": lambda *a: conv2d_backward(*a, flip=False),
    "bias averaged": lambda *a: conv2d_backward(*a, bias_sum=False),
    "input windows shifted by one": lambda *a: conv2d_backward(
        *a, windows_of=lambda x: np.roll(x, 1, axis=3)
    ),
    "padding off by one": lambda *a: conv2d_backward(*a, pad_to="off"),
}


def layer_norm(x, gamma, beta, eps=1e-5):
    """Normalise x (m, n) over its last axis; scale by gamma (n,), shift by beta (n,)."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return gamma * centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps) + beta


def layer_norm_backward(
    dy, x, gamma, beta, eps=1e-5, *, mean_term=1.0, variance_term=1.0, power=1, scaled=True
):
    centred = x - x.mean(axis=-1, keepdims=True)
    inverse = 1 / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    normal = centred * inverse
    dnormal = dy * gamma if scaled else dy
    dx = inverse**power * (
        dnormal
        - mean_term * dnormal.mean(axis=-1, keepdims=True)
        - variance_term * normal * (dnormal * normal).mean(axis=-1, keepdims=True)
    )
    return dx, (dy * normal).sum(axis=0), dy.sum(axis=0)


def layer_norm_mirror(x, gamma, beta):
    return (
        gamma * (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5) + beta
    )


LAYER_NORM_BUGS = {
    "mean's share forgotten": lambda *a: layer_norm_backward(*a, mean_term=0.0),
    "variance's share forgotten": lambda *a: layer_norm_backward(*a, variance_term=0.0),
    "gamma forgotten": lambda *a: layer_norm_backward(*a, scaled=False),
    "sigma squared": lambda *a: layer_norm_backward(*a, power=2),
    "eps of another size": lambda *a: layer_norm_backward(*a, eps=1.1e-5),
    "unbiased variance": lambda *a: layer_norm_backward(*a, variance_term=1 + 1 / 11),
}


def softmax(scores):
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attention(q, k, v):
    """softmax(q k^T / sqrt(d)) v for q (h, t, d), k (h, s, d), v (h, s, e)."""
    return softmax(q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])) @ v


def attention_backward(
    do, q, k, v, *, row_sum=True, scale_k=True, use_q=True, scale=None, transposed=True
):
    scale = 1 / np.sqrt(q.shape[-1]) if scale is None else scale
    weights = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]))
    dweights = do @ v.swapaxes(-1, -2)
    inner = (dweights * weights).sum(axis=-1, keepdims=True) if row_sum else 0
    dscores = weights * (dweights - inner)
    left = weights.swapaxes(-1, -2) if transposed else np.flip(weights, -1).swapaxes(-1, -2)
    return (
        dscores @ k * scale,
        dscores.swapaxes(-1, -2) @ (q if use_q else k[:, : q.shape[1]]) * (scale if scale_k else 1),
        left @ do,
    )


def attention_mirror(q, k, v):
    return jax.nn.softmax(q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]), axis=-1) @ v


ATTENTION_BUGS = {
    "softmax's Jacobian taken for a diagonal": lambda *a: attention_backward(*a, row_sum=False),
    "scale forgotten in dk": lambda *a: attention_backward(*a, scale_k=False),
    "k for q in dk": lambda *a: attention_backward(*a, use_q=False),
    "scale by d": lambda *a: attention_backward(*a, scale=1 / a[1].shape[-1]),
    "weights reversed in dv": lambda *a: attention_backward(*a, transposed=False),
}


def draw(*shapes, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)


KERNELS = {
    "conv2d": (
        conv2d,
        conv2d_backward,
        conv2d_mirror,
        CONV2D_BUGS,
        ((2, 2, 6, 5), (3, 2, 3, 2), (3,)),
    ),
    "layer_norm": (
        layer_norm,
        layer_norm_backward,
        layer_norm_mirror,
        LAYER_NORM_BUGS,
        ((5, 12), (12,), (12,)),
    ),
    "attention": (
        attention,
        attention_backward,
        attention_mirror,
        ATTENTION_BUGS,
        ((2, 4, 3), (2, 5, 3), (2, 5, 4)),
    ),
}
"""By name: forward, backward, mirror, broken backwards, shapes of the arguments."""
