"""The catalogue of mistakes: every name that a check may give, with its kind and a phrase.

A mistake has the same name wherever it is found: planted by the gallery, in the numbers of a
network (`verify.diagnose`), or in a single function of somebody's homework. Formulas and
sentences are in `verify.diagnose.mistakes`, `verify.diagnose.wrong_losses` and
`verify.homework.textbook`.

A mistake's kind says what is wrong:

    backward   one operation of the backward pass
    shape      a result is missing or has another shape, whatever the forward pass is
    cost       the cost alone; the gradients are what they should be
    forward    the function itself; the gradients of what was written differ too
    check      a file's own gradient checker
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Named(NamedTuple):
    """A mistake that has a name: its kind, and a noun phrase that fits into a sentence."""

    kind: str
    phrase: str


_FACTORS = {
    "zero": "that is 0 everywhere",
    "doubled": "that is doubled",
    "quadrupled": "that is four times too large",
    "halved": "that is halved",
    "negated": "with the wrong sign",
    "not-averaged": "that is not divided by m",
    "averaged-twice": "that is divided by m once more",
    "averaged-over-one-less": "that is divided by m - 1",
    "times-keep-prob": "that is multiplied by keep_prob once more",
    "over-keep-prob": "that is divided by keep_prob once more",
    "scaled": "times a constant",
    "in-single-precision": "that is rounded to float32",
}
"""What may be wrong with any gradient as a whole."""

_FACTORED = {
    f"{family}-{factor}": f"{tensor} {phrase}"
    for family, tensor in {
        "weights": "a dW",
        "bias": "a db",
        "output": "a dZ of the output",
        "upstream": "a dA or dZ",
        "gradient": "a gradient",
    }.items()
    for factor, phrase in _FACTORS.items()
}

_BACKWARD = _FACTORED | {
    # The L2 term in dW.
    "l2-missing": "a missing L2 term",
    "l2-doubled": "a doubled L2 term",
    "l2-halved": "a halved L2 term",
    "l2-negated": "an L2 term with the wrong sign",
    "l2-not-averaged": "an L2 term that is not divided by m",
    "l2-halved-not-averaged": "an L2 term that is halved and not divided by m",
    "l2-averaged-twice": "an L2 term that is divided by m twice",
    "l2-absolute": "an L2 term that holds the sign of W",
    "l2-squared": "an L2 term that holds the square of W",
    "l2-normalised": "an L2 term that is divided by the norm of W",
    "l2-scaled": "an L2 term times a constant",
    "l2-uninvited": "an L2 term where nothing is penalised",
    "l2-of-another-layer": "the L2 term of another layer",
    # dW.
    "weights-of-undropped-input": "a dW made with the input as it was before dropout",
    "weights-of-unscaled-input": "a dW made with an input that was not divided by keep_prob",
    "weights-of-preactivation": "a dW made with the Z of the layer below instead of its A",
    "weights-from-da": "a dW made from dA instead of dZ",
    "weights-first-example-left-out": "a dW without the first example",
    "weights-last-example-left-out": "a dW without the last example",
    "weights-of-one-example": "a dW of the first example alone",
    "weights-of-means": "a dW that is a product of two means",
    "weights-of-another-input": "a dW made with the input of another layer",
    "weights-averaged-over-units": "a dW that is divided by the number of units",
    "gradient-of-another-layer": "the gradient of another layer under this name",
    "gradient-not-averaged-over-positions": "a gradient that is not divided by the positions",
    "gradient-of-another-argument": "the gradient of another argument",
    "gradient-not-summed": "a gradient that is not summed",
    "summed-over-wrong-axis": "a sum over the wrong axis",
    "summed-over-everything": "a sum over all axes",
    "last-part-only": "the last part of a sum alone (= for +=)",
    "repeated-index-once": "a sum that counts a repeated index once",
    "stride-forgotten": "windows that do not move by the stride",
    "kernel-not-flipped": "a kernel that is not turned round",
    "padding-forgotten": "a padding that is not cut off again",
    "windows-overlap": "a gradient that is wrong where windows overlap",
    "mean-path-missing": "a normalisation's gradient without the path through the mean",
    "variance-path-missing": "a normalisation's gradient without the path through the variance",
    "statistics-constant": "a normalisation's gradient that takes mean and variance as constants",
    "path-missing": "a gradient without one of the paths to the result",
    "term-scaled": "a gradient with one term times a constant",
    "wrong-array": "a gradient made with another array",
    "whole-number-division": "a whole number divided by a whole number in Python 2",
    "input-overwritten": "an array that is overwritten before it is used again",
    # db.
    "bias-penalised": "an L2 term in db",
    "bias-summed-over-everything": "a db that is summed over the units too",
    "bias-averaged-over-everything": "a db that is averaged over the units too",
    "bias-from-da": "a db made from dA instead of dZ",
    "bias-from-weights": "a db made from dW",
    "bias-first-example-left-out": "a db without the first example",
    "bias-last-example-left-out": "a db without the last example",
    "bias-of-one-example": "a db of the first example alone",
    "bias-of-last-example": "a db of the last example alone",
    # dZ of the output.
    "output-labels-forgotten": "a dZ of the output without the labels",
    "output-prediction-forgotten": "a dZ of the output made from the labels alone",
    "output-labels-added": "labels that are added in the dZ of the output",
    "output-derivative-missing": "a missing derivative of the output activation",
    "output-derivative-of-relu": "the derivative of relu at the output",
    "output-derivative-twice": "the derivative of the output activation taken twice",
    "output-ones-only": "a dZ of the output that counts the label 1 alone",
    "output-thresholded": "a dZ of the output made from predicted classes",
    "output-sigmoid-under-softmax": "the dZ of a sigmoid at a softmax output",
    "output-softmax-over-one-unit": "the dZ of a softmax at a sigmoid output",
    "output-before-activation": "a dZ of the output made from Z instead of A",
    "output-first-example-left-out": "a dZ of the output without the first example",
    "output-last-example-left-out": "a dZ of the output without the last example",
    "output-composed": "a dZ of the output composed of two factors",
    "output-clipped": "a dZ of the output composed from a clipped A",
    # Dropout.
    "mask-forgotten": "a backward pass without dropout",
    "mask-not-rescaled": "a missing division by keep_prob",
    "mask-only-rescaled": "a missing mask",
    "mask-rescaled-twice": "a second division by keep_prob",
    "mask-multiplied": "a multiplication by keep_prob instead of the division",
    "mask-inverted": "an inverted mask",
    "mask-of-another-layer": "the mask of another layer",
    "mask-of-another-draw": "a mask that was drawn anew",
    # dZ of a hidden layer.
    "derivative-missing": "a missing derivative of the activation",
    "derivative-is-activation": "the activation instead of its derivative",
    "derivative-is-preactivation": "Z instead of the derivative",
    "derivative-of-another-activation": "the derivative of another activation",
    "derivative-of-activation": "the derivative taken at A instead of Z",
    "derivative-of-preactivation": "a derivative made with Z instead of A",
    "derivative-of-dropped-activation": "a derivative made with A after dropout",
    "derivative-not-squared": "a missing square in the derivative",
    "derivative-with-plus": "a plus for the minus in the derivative",
    "derivative-one-minus-activation": "a missing factor A in the derivative",
    "derivative-one-missing": "a missing 1 in the derivative",
    "derivative-twice": "the derivative of the activation taken twice",
    "derivative-inverted": "an inverted derivative of relu",
    "derivative-of-upstream": "the derivative taken at dA instead of Z",
    "derivative-at-zero": "a derivative of relu that is 1 at 0",
    "derivative-of-another-layer": "the derivative taken at the Z of another layer",
    "derivative-diagonal-only": "the diagonal of the softmax's Jacobian alone",
    # dA of a hidden layer.
    "upstream-missing": "a derivative that is not multiplied by dA",
    "upstream-from-da": "a dA made from the next dA instead of dZ",
    "upstream-untransposed": "a dA made with an untransposed W",
    "upstream-first-example-left-out": "a dA or dZ without the first example",
    "upstream-last-example-left-out": "a dA or dZ without the last example",
    "upstream-of-another-layer": "the upstream gradient of another layer",
    "upstream-through-another-layer": "a dA made with the weights of another layer",
    # Whatever it is.
    "unknown": "a mistake without a name",
    "not-finite": "a value that is not finite",
}

_SHAPE = {
    "missing": "a missing result",
    "not-a-number": "a result that is no number",
    "wrong-shape": "a wrong shape",
    "weights-transposed": "a transposed dW",
    "bias-transposed": "a transposed db",
    "upstream-transposed": "a transposed dA or dZ",
    "gradient-transposed": "a transposed gradient",
    "forward-transposed": "a transposed result",
    "bias-keepdims-missing": "a missing keepdims=True",
    "bias-wrong-axis": "a sum over the units instead of the examples",
}

_LOSSES = {
    "summed": "a cost that is not divided by m",
    "averaged-twice": "a cost that is divided by m twice",
    "doubled": "a doubled cost",
    "halved": "a halved cost",
    "negated": "a cost with the wrong sign",
    "in-bits": "logarithms to base 2",
    "in-decades": "logarithms to base 10",
    "averaged-over-classes": "a cost that is averaged over the classes",
    "binary-under-softmax": "the cost of a sigmoid under a softmax",
    "sigmoid-under-softmax": "a cost that treats a softmax as sigmoids",
    "ones-only": "a cost of the label 1 alone",
    "zeros-only": "a cost of the label 0 alone",
    "squared": "the squared error",
    "half-squared": "half of the squared error",
    "first-example-left-out": "a cost without the first example",
    "last-example-left-out": "a cost without the last example",
    "clipped": "a cost that clips A",
    "guarded": "a cost that adds a constant inside the logarithm",
    "l2-missing": "a missing L2 penalty",
    "l2-doubled": "a doubled L2 penalty",
    "l2-halved": "a halved L2 penalty",
    "l2-negated": "an L2 penalty with the wrong sign",
    "l2-not-averaged": "an L2 penalty that is not divided by m",
    "l2-not-halved-or-averaged": "an L2 penalty that is not divided by 2m",
    "l2-averaged-twice": "an L2 penalty that is divided by m twice",
    "l2-on-biases": "an L2 penalty on the biases",
    "l2-not-squared": "an L2 penalty of norms instead of squares",
    "l2-misses-a-layer": "an L2 penalty that misses a layer",
    "unknown": "another cost",
}
"""What may be wrong with the loss: as `cost-...` in the cost alone, as `forward-...` with the
gradients of what was written."""

_FORWARD = {f"forward-{name}": f"{phrase}, with its gradients" for name, phrase in _LOSSES.items()}
_FORWARD |= {
    "forward-unknown": "another function",
    "forward-l2-scaled": "an L2 penalty times a constant",
    "forward-l2-uninvited": "an L2 penalty that should not be there",
    "forward-activation": "another activation",
    "forward-activation-mixed": "one activation forward and another backward",
    "forward-output": "another output activation",
    "forward-bias-missing": "a missing bias",
    "forward-bias-negated": "a bias that is subtracted",
    "forward-mask-forgotten": "a forward pass without dropout",
    "forward-mask-not-rescaled": "dropout without the division by keep_prob",
    "forward-mask-only-rescaled": "dropout without the mask",
    "forward-mask-rescaled-twice": "dropout that divides by keep_prob twice",
    "forward-mask-multiplied": "dropout that multiplies by keep_prob",
    "forward-mask-inverted": "an inverted mask",
    "forward-mask-wrong-share": "a mask that keeps what should be dropped",
    "forward-zero": "a result that is 0 everywhere",
    "forward-scaled": "a result times a constant",
    # One activation by itself.
    "sigmoid-sign": "a sigmoid of -Z",
    "sigmoid-one-missing": "a sigmoid with the wrong sign in its denominator",
    "relu-minimum": "a minimum instead of the maximum",
    "relu-absolute": "the absolute value instead of relu",
    "relu-step": "the derivative of relu instead of relu",
    "softmax-over-everything": "a softmax over all examples",
    "softmax-not-normalised": "a softmax that is not divided by its sum",
}

_CHECK = {
    "accepts-wrong": "a gradient checker that accepts a wrong gradient",
    "rejects-right": "a gradient checker that rejects the true gradient",
}

CATALOGUE: Mapping[str, Named] = {
    name: Named(kind, phrase)
    for kind, phrases in (
        ("backward", _BACKWARD),
        ("shape", _SHAPE),
        ("cost", {f"cost-{name}": phrase for name, phrase in _LOSSES.items()}),
        ("forward", _FORWARD),
        ("check", _CHECK),
    )
    for name, phrase in phrases.items()
}
"""Every mistake by its name."""

UNNAMED = frozenset({"unknown", "not-finite"})
"""The names of findings that no mistake known by name explains."""

GUARDS = frozenset({"cost-clipped", "cost-guarded", "forward-clipped", "forward-guarded"})
"""Costs that only avoid log(0), by a small constant."""


def in_words(names: Iterable[str]) -> str:
    """Return mistakes as one phrase: "a doubled dW or a second division by keep_prob"."""
    return " or ".join(CATALOGUE[name].phrase for name in names)
