"""Mistakes in dW and db of one layer, which no layer below can see.

dW = dZ @ A_prev.T / m + l2 / m * W
db = dZ.sum(axis=1, keepdims=True) / m
"""

from __future__ import annotations

import numpy as np

from verify.diagnose.chain import OPERATIONS, Formula
from verify.diagnose.mistakes.mistake import (
    AnyMistake,
    Layers,
    Mistake,
    ParametricMistake,
    above_first,
    every,
    hidden,
    others,
    penalised,
    reads_dropped,
    several_units,
    square,
)

# The L2 term.


def _penalty(name: str, found: str, formula: Formula, sentence: str) -> Mistake:
    wrong = "{dW} = {product} / m" + found
    return Mistake(f"l2-{name}", "penalty", penalised, wrong, formula, sentence)


PENALTY: list[AnyMistake] = [
    _penalty("missing", "", lambda t, c, n: np.zeros_like(t.W[n]),
        "{dW} lacks the L2 term: the loss penalises {W}, its gradient does not."),
    _penalty("doubled", " + 2 * l2 / m * {W}", lambda t, c, n: 2 * t.l2 / t.m * t.W[n],
        "The L2 term in {dW} is twice too large: the 1/2 of the penalty cancels the 2 of the "
        "square."),
    _penalty("halved", " + l2 / (2 * m) * {W}", lambda t, c, n: t.l2 / (2 * t.m) * t.W[n],
        "The L2 term in {dW} is half of what it should be: the derivative of W**2 / 2 is W, "
        "not W / 2."),
    _penalty("negated", " - l2 / m * {W}", lambda t, c, n: -t.l2 / t.m * t.W[n],
        "The L2 term in {dW} has the wrong sign, so it makes the weights grow."),
    _penalty("not-averaged", " + l2 * {W}", lambda t, c, n: t.l2 * t.W[n],
        "The L2 term in {dW} is not divided by m ({equals_m})."),
    _penalty("halved-not-averaged", " + l2 / 2 * {W}", lambda t, c, n: t.l2 / 2 * t.W[n],
        "The L2 term in {dW} is l2 / 2 * {W}: not divided by m ({equals_m}), and halved."),
    _penalty("averaged-twice", " + l2 / m**2 * {W}", lambda t, c, n: t.l2 / t.m**2 * t.W[n],
        "The L2 term in {dW} is divided by m twice ({equals_m})."),
    _penalty("absolute", " + l2 / m * sign({W})", lambda t, c, n: t.l2 / t.m * np.sign(t.W[n]),
        "The L2 term in {dW} is the derivative of |{W}|, not of {W}**2 / 2."),
    _penalty("squared", " + l2 / m * {W}**2", lambda t, c, n: t.l2 / t.m * t.W[n] ** 2,
        "The L2 term in {dW} holds {W} squared, as the loss does; the derivative holds {W}."),
    _penalty("normalised", " + l2 / m * {W} / norm({W})",
        lambda t, c, n: t.l2 / t.m * t.W[n] / np.linalg.norm(t.W[n]),
        "The L2 term in {dW} is the derivative of the norm of {W}, not of its square."),
    ParametricMistake("l2-of-another-layer", "penalty",
        lambda t, n: others(t.W, n, t.layers) if t.l2 else [],
        "{dW} = {product} / m + l2 / m * {W_k}", lambda t, c, n, k: t.l2 / t.m * t.W[k],
        "The L2 term in {dW} holds the weights of layer {k}, not of layer {layer}."),
]  # fmt: skip


# The product dZ @ A_prev.T / m.


def _product(name: str, layers: Layers, found: str, formula: Formula, sentence: str) -> Mistake:
    wrong = "{dW} = " + found + "{penalty}"
    return Mistake(f"weights-{name}", "product", layers, wrong, formula, sentence)


PRODUCT: list[AnyMistake] = [
    _product("of-undropped-input", reads_dropped, "{dZ} @ g({Z_prev}).T / m",
        lambda t, c, n: c["dZ", n] @ t.A[n - 1].T / t.m,
        "{dW} is made with {A_prev} as it was before dropout, but layer {layer} read it after."),
    _product("of-unscaled-input", reads_dropped, "{dZ} @ (g({Z_prev}) * {mask_prev}).T / m",
        lambda t, c, n: t.keep[n - 1] * (c["dZ", n] @ t.out[n - 1].T) / t.m,
        "{dW} is made with an {A_prev} that was masked but not divided by {keep_prev}."),
    _product("of-preactivation", above_first, "{dZ} @ {Z_prev}.T / m",
        lambda t, c, n: c["dZ", n] @ t.Z[n - 1].T / t.m,
        "{dW} is made with {Z_prev}, from before the activation, instead of {A_prev}."),
    _product("from-da", hidden, "{dA} @ {A_prev}.T / m",
        lambda t, c, n: c["kept", n] @ t.out[n - 1].T / t.m,
        "{dW} is made from {dA}, the gradient after the activation, instead of {dZ}."),
    _product("first-example-left-out", every, "{dZ}[:, 1:] @ {A_prev}[:, 1:].T / m",
        lambda t, c, n: c["dZ", n][:, 1:] @ t.out[n - 1][:, 1:].T / t.m,
        "{dW} leaves out the first example."),
    _product("last-example-left-out", every, "{dZ}[:, :-1] @ {A_prev}[:, :-1].T / m",
        lambda t, c, n: c["dZ", n][:, :-1] @ t.out[n - 1][:, :-1].T / t.m,
        "{dW} leaves out the last example."),
    _product("of-one-example", every, "{dZ}[:, :1] @ {A_prev}[:, :1].T",
        lambda t, c, n: c["dZ", n][:, :1] @ t.out[n - 1][:, :1].T,
        "{dW} is the gradient of the first example alone."),
    _product("of-means", every, "mean({dZ}) @ mean({A_prev}).T",
        lambda t, c, n: _mean(c["dZ", n]) @ _mean(t.out[n - 1]).T,
        "{dW} is the product of two means; it should be the mean of the products."),
    _product("transposed", square, "({product}).T / m",
        lambda t, c, n: (c["dZ", n] @ t.out[n - 1].T).T / t.m,
        "{dW} is transposed: {W} is square, so the shapes do not give it away."),
    ParametricMistake("weights-of-another-input", "product",
        lambda t, n: others(t.out, n - 1, range(t.L)),
        "{dW} = {dZ} @ {A_k}.T / m{penalty}", lambda t, c, n, k: c["dZ", n] @ t.out[k].T / t.m,
        "{dW} is made with {A_k} instead of {A_prev}: the input of another layer."),
    ParametricMistake("gradient-of-another-layer", "dW", lambda t, n: others(t.W, n, t.layers),
        "{dW} = {dW_k}", lambda t, c, n, k: OPERATIONS["dW"](t, c, k),
        "{dW} holds {dW_k}: the gradient of another layer under this name."),
]  # fmt: skip


# The bias.


def _bias(name: str, layers: Layers, found: str, formula: Formula, sentence: str) -> Mistake:
    return Mistake(f"bias-{name}", "db", layers, "{db} = " + found, formula, sentence)


BIAS: list[AnyMistake] = [
    _bias("penalised", lambda t: [n for n in penalised(t) if t.b[n].any()],
        "{dZ}.sum(axis=1, keepdims=True) / m + l2 / m * {b}",
        lambda t, c, n: _mean(c["dZ", n]) + t.l2 / t.m * t.b[n],
        "{db} holds an L2 term, but biases are not penalised."),
    _bias("summed-over-everything", several_units, "{dZ}.sum() / m",
        lambda t, c, n: np.full_like(t.b[n], c["dZ", n].sum() / t.m),
        "Every entry of {db} is the sum over all units of layer {layer}: axis=1 is missing."),
    _bias("averaged-over-everything", several_units, "{dZ}.mean()",
        lambda t, c, n: np.full_like(t.b[n], c["dZ", n].mean()),
        "Every entry of {db} is the mean over all units of layer {layer}: axis=1 is missing."),
    _bias("from-da", hidden, "{dA}.sum(axis=1, keepdims=True) / m",
        lambda t, c, n: _mean(c["kept", n]),
        "{db} is made from {dA}, the gradient after the activation, instead of {dZ}."),
    _bias("from-weights", every, "{dW}.sum(axis=1, keepdims=True)",
        lambda t, c, n: c["dW", n].sum(axis=1, keepdims=True),
        "{db} is made from {dW} instead of {dZ}."),
    _bias("first-example-left-out", every, "{dZ}[:, 1:].sum(axis=1, keepdims=True) / m",
        lambda t, c, n: c["dZ", n][:, 1:].sum(axis=1, keepdims=True) / t.m,
        "{db} leaves out the first example."),
    _bias("last-example-left-out", every, "{dZ}[:, :-1].sum(axis=1, keepdims=True) / m",
        lambda t, c, n: c["dZ", n][:, :-1].sum(axis=1, keepdims=True) / t.m,
        "{db} leaves out the last example."),
    _bias("of-one-example", every, "{dZ}[:, :1]", lambda t, c, n: c["dZ", n][:, :1],
        "{db} is the gradient of the first example alone."),
    _bias("of-last-example", every, "{dZ}[:, -1:]", lambda t, c, n: c["dZ", n][:, -1:],
        "{db} is the gradient of the last example alone."),
    ParametricMistake("gradient-of-another-layer", "db", lambda t, n: others(t.b, n, t.layers),
        "{db} = {db_k}", lambda t, c, n, k: OPERATIONS["db"](t, c, k),
        "{db} holds {db_k}: the gradient of another layer under this name."),
]  # fmt: skip


def _mean(array: np.ndarray) -> np.ndarray:
    return np.asarray(array.mean(axis=1, keepdims=True))
