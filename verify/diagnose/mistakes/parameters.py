"""Mistakes in dW and db of one layer, which no layer below can see.

dW = dZ @ A_prev.T / m + l2 / m * W
db = dZ.sum(axis=1, keepdims=True) / m
"""

from __future__ import annotations

import numpy as np

from verify.diagnose.chain import OPERATIONS, Formula
from verify.diagnose.mistakes.base import (
    Layers,
    Misplaced,
    Mistake,
    above_first,
    every,
    hidden,
    penalised,
    reads_dropped,
    several_units,
    square,
)

# The L2 term.


def _penalty(
    name: str, found: str, sentence: str, formula: Formula, layers: Layers = penalised
) -> Mistake:
    return Mistake(
        f"l2-{name}", "penalty", layers, sentence, "{dW} = {product} / m" + found, formula
    )


PENALTY: list[Mistake | Misplaced] = [
    _penalty(
        "missing",
        "",
        "{dW} lacks the L2 term: the loss penalises {W}, its gradient does not.",
        lambda t, c, n: np.zeros_like(t.W[n]),
    ),
    _penalty(
        "doubled",
        " + 2 * l2 / m * {W}",
        "The L2 term in {dW} is twice too large: the 1/2 of the penalty cancels the 2 of the "
        "square.",
        lambda t, c, n: 2 * t.l2 / t.m * t.W[n],
    ),
    _penalty(
        "halved",
        " + l2 / (2 * m) * {W}",
        "The L2 term in {dW} is half of what it should be: the derivative of W**2 / 2 is W, "
        "not W / 2.",
        lambda t, c, n: t.l2 / (2 * t.m) * t.W[n],
    ),
    _penalty(
        "negated",
        " - l2 / m * {W}",
        "The L2 term in {dW} has the wrong sign, so it makes the weights grow.",
        lambda t, c, n: -t.l2 / t.m * t.W[n],
    ),
    _penalty(
        "not-averaged",
        " + l2 * {W}",
        "The L2 term in {dW} is not divided by m ({equals_m}).",
        lambda t, c, n: t.l2 * t.W[n],
    ),
    _penalty(
        "halved-not-averaged",
        " + l2 / 2 * {W}",
        "The L2 term in {dW} is l2 / 2 * {W}: not divided by m ({equals_m}), and halved.",
        lambda t, c, n: t.l2 / 2 * t.W[n],
    ),
    _penalty(
        "averaged-twice",
        " + l2 / m**2 * {W}",
        "The L2 term in {dW} is divided by m twice ({equals_m}).",
        lambda t, c, n: t.l2 / t.m**2 * t.W[n],
    ),
    _penalty(
        "absolute",
        " + l2 / m * sign({W})",
        "The L2 term in {dW} is the derivative of |{W}|, not of {W}**2 / 2.",
        lambda t, c, n: t.l2 / t.m * np.sign(t.W[n]),
    ),
    _penalty(
        "squared",
        " + l2 / m * {W}**2",
        "The L2 term in {dW} holds {W} squared, as the loss does; the derivative holds {W}.",
        lambda t, c, n: t.l2 / t.m * t.W[n] ** 2,
    ),
    _penalty(
        "normalised",
        " + l2 / m * {W} / norm({W})",
        "The L2 term in {dW} is the derivative of the norm of {W}, not of its square.",
        lambda t, c, n: t.l2 / t.m * t.W[n] / np.linalg.norm(t.W[n]),
    ),
    Misplaced(
        "l2-of-another-layer",
        "penalty",
        lambda t, n: [k for k in t.layers if t.l2 and k != n and t.W[k].shape == t.W[n].shape],
        "The L2 term in {dW} holds the weights of layer {k}, not of layer {layer}.",
        "{dW} = {product} / m + l2 / m * {W_k}",
        lambda t, c, n, k: t.l2 / t.m * t.W[k],
    ),
]


# The product dZ @ A_prev.T / m.


def _product(name: str, layers: Layers, sentence: str, found: str, formula: Formula) -> Mistake:
    return Mistake(
        f"weights-{name}", "product", layers, sentence, "{dW} = " + found + "{penalty}", formula
    )


PRODUCT: list[Mistake | Misplaced] = [
    _product(
        "of-undropped-input",
        reads_dropped,
        "{dW} is made with {A_prev} as it was before dropout, but layer {layer} read it after.",
        "{dZ} @ g({Z_prev}).T / m",
        lambda t, c, n: c["dZ", n] @ t.A[n - 1].T / t.m,
    ),
    _product(
        "of-unscaled-input",
        reads_dropped,
        "{dW} is made with an {A_prev} that was masked but not divided by {keep_prev}.",
        "{dZ} @ (g({Z_prev}) * {mask_prev}).T / m",
        lambda t, c, n: t.keep[n - 1] * (c["dZ", n] @ t.out[n - 1].T) / t.m,
    ),
    _product(
        "of-preactivation",
        above_first,
        "{dW} is made with {Z_prev}, from before the activation, instead of {A_prev}.",
        "{dZ} @ {Z_prev}.T / m",
        lambda t, c, n: c["dZ", n] @ t.Z[n - 1].T / t.m,
    ),
    _product(
        "from-da",
        hidden,
        "{dW} is made from {dA}, the gradient after the activation, instead of {dZ}.",
        "{dA} @ {A_prev}.T / m",
        lambda t, c, n: c["kept", n] @ t.out[n - 1].T / t.m,
    ),
    _product(
        "first-example-left-out",
        every,
        "{dW} leaves out the first example.",
        "{dZ}[:, 1:] @ {A_prev}[:, 1:].T / m",
        lambda t, c, n: c["dZ", n][:, 1:] @ t.out[n - 1][:, 1:].T / t.m,
    ),
    _product(
        "last-example-left-out",
        every,
        "{dW} leaves out the last example.",
        "{dZ}[:, :-1] @ {A_prev}[:, :-1].T / m",
        lambda t, c, n: c["dZ", n][:, :-1] @ t.out[n - 1][:, :-1].T / t.m,
    ),
    _product(
        "of-one-example",
        every,
        "{dW} is the gradient of the first example alone.",
        "{dZ}[:, :1] @ {A_prev}[:, :1].T",
        lambda t, c, n: c["dZ", n][:, :1] @ t.out[n - 1][:, :1].T,
    ),
    _product(
        "of-means",
        every,
        "{dW} is the product of two means; it should be the mean of the products.",
        "mean({dZ}) @ mean({A_prev}).T",
        lambda t, c, n: _column_mean(c["dZ", n]) @ _column_mean(t.out[n - 1]).T,
    ),
    _product(
        "transposed",
        square,
        "{dW} is transposed: {W} is square, so the shapes do not give it away.",
        "({product}).T / m",
        lambda t, c, n: (c["dZ", n] @ t.out[n - 1].T).T / t.m,
    ),
    Misplaced(
        "weights-of-another-input",
        "product",
        lambda t, n: [k for k in range(t.L) if k != n - 1 and t.out[k].shape == t.out[n - 1].shape],
        "{dW} is made with {A_k} instead of {A_prev}: the input of another layer.",
        "{dW} = {dZ} @ {A_k}.T / m{penalty}",
        lambda t, c, n, k: c["dZ", n] @ t.out[k].T / t.m,
    ),
    Misplaced(
        "gradient-of-another-layer",
        "dW",
        lambda t, n: [k for k in t.layers if k != n and t.W[k].shape == t.W[n].shape],
        "{dW} holds {dW_k}: the gradient of another layer under this name.",
        "{dW} = {dW_k}",
        lambda t, c, n, k: OPERATIONS["dW"](t, c, k),
    ),
]


# The bias.


def _bias(name: str, layers: Layers, sentence: str, found: str, formula: Formula) -> Mistake:
    return Mistake(f"bias-{name}", "db", layers, sentence, "{db} = " + found, formula)


BIAS: list[Mistake | Misplaced] = [
    _bias(
        "penalised",
        lambda t: [n for n in penalised(t) if t.b[n].any()],
        "{db} holds an L2 term, but biases are not penalised.",
        "{dZ}.sum(axis=1, keepdims=True) / m + l2 / m * {b}",
        lambda t, c, n: _mean(c["dZ", n]) + t.l2 / t.m * t.b[n],
    ),
    _bias(
        "summed-over-everything",
        several_units,
        "Every entry of {db} is the sum over all units of layer {layer}: axis=1 is missing.",
        "{dZ}.sum() / m",
        lambda t, c, n: np.full_like(t.b[n], c["dZ", n].sum() / t.m),
    ),
    _bias(
        "averaged-over-everything",
        several_units,
        "Every entry of {db} is the mean over all units of layer {layer}: axis=1 is missing.",
        "{dZ}.mean()",
        lambda t, c, n: np.full_like(t.b[n], c["dZ", n].mean()),
    ),
    _bias(
        "from-da",
        hidden,
        "{db} is made from {dA}, the gradient after the activation, instead of {dZ}.",
        "{dA}.sum(axis=1, keepdims=True) / m",
        lambda t, c, n: _mean(c["kept", n]),
    ),
    _bias(
        "from-weights",
        every,
        "{db} is made from {dW} instead of {dZ}.",
        "{dW}.sum(axis=1, keepdims=True)",
        lambda t, c, n: c["dW", n].sum(axis=1, keepdims=True),
    ),
    _bias(
        "first-example-left-out",
        every,
        "{db} leaves out the first example.",
        "{dZ}[:, 1:].sum(axis=1, keepdims=True) / m",
        lambda t, c, n: c["dZ", n][:, 1:].sum(axis=1, keepdims=True) / t.m,
    ),
    _bias(
        "last-example-left-out",
        every,
        "{db} leaves out the last example.",
        "{dZ}[:, :-1].sum(axis=1, keepdims=True) / m",
        lambda t, c, n: c["dZ", n][:, :-1].sum(axis=1, keepdims=True) / t.m,
    ),
    _bias(
        "of-one-example",
        every,
        "{db} is the gradient of the first example alone.",
        "{dZ}[:, :1]",
        lambda t, c, n: c["dZ", n][:, :1],
    ),
    _bias(
        "of-last-example",
        every,
        "{db} is the gradient of the last example alone.",
        "{dZ}[:, -1:]",
        lambda t, c, n: c["dZ", n][:, -1:],
    ),
    Misplaced(
        "gradient-of-another-layer",
        "db",
        lambda t, n: [k for k in t.layers if k != n and t.b[k].shape == t.b[n].shape],
        "{db} holds {db_k}: the gradient of another layer under this name.",
        "{db} = {db_k}",
        lambda t, c, n, k: OPERATIONS["db"](t, c, k),
    ),
]


def _mean(dZ: np.ndarray) -> np.ndarray:
    mean: np.ndarray = dZ.sum(axis=1, keepdims=True) / dZ.shape[1]
    return mean


def _column_mean(array: np.ndarray) -> np.ndarray:
    mean: np.ndarray = array.mean(axis=1, keepdims=True)
    return mean
