"""A factor on one gradient: one with a name (2, m, -1 ...), or one read off the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from verify.diagnose.chain import OPERATIONS, Chain, Formula, Key, Tape, slope
from verify.diagnose.mistakes.mistake import (
    Fault,
    Layers,
    Mistake,
    every,
    hidden,
    last,
    others,
    penalised,
)


class _Constant(NamedTuple):
    """A factor that has a name: how it is written, its value, the sentence about a tensor {T}."""

    text: str
    value: Callable[[Tape, int], float]
    sentence: str


def _keep(t: Tape, layer: int) -> float:
    """Return the keep_prob of a layer, that of the layer below if this one has no dropout."""
    return t.keep[layer] if t.drops(layer) else t.keep[layer - 1]


_CONSTANTS = {
    "zero": _Constant("0", lambda t, n: 0.0, "{T} is zero everywhere: it was never filled in."),
    "doubled": _Constant("2", lambda t, n: 2.0, "{T} is exactly 2 times the true gradient."),
    "quadrupled": _Constant("4", lambda t, n: 4.0, "{T} is exactly 4 times the true gradient."),
    "halved": _Constant("1/2", lambda t, n: 0.5, "{T} is exactly half of the true gradient."),
    "negated": _Constant("-1", lambda t, n: -1.0,
        "{T} has the wrong sign: it is -1 times the true gradient."),
    "not-averaged": _Constant("m", lambda t, n: t.m,
        "{T} is m times the true gradient ({equals_m}): the division by m is missing."),
    "averaged-twice": _Constant("1/m", lambda t, n: 1 / t.m,
        "{T} is the true gradient divided by m once more ({equals_m})."),
    "averaged-over-one-less": _Constant("m/(m - 1)", lambda t, n: t.m / max(t.m - 1, 1),
        "{T} is divided by m - 1 instead of m ({equals_m})."),
    "times-keep-prob": _Constant("keep_prob", _keep, "{T} is keep_prob times the true gradient."),
    "over-keep-prob": _Constant("1/keep_prob", lambda t, n: 1 / _keep(t, n),
        "{T} is the true gradient divided by keep_prob."),
}  # fmt: skip

_FACTORS = ("doubled", "quadrupled", "halved", "negated")
_AVERAGES = ("not-averaged", "averaged-twice", "averaged-over-one-less")
_KEEPS = ("times-keep-prob", "over-keep-prob")


class _Scalable(NamedTuple):
    """A gradient that may be scaled: by an operation in some layers; as text, with a factor {c}."""

    name: str
    operation: str
    layers: Layers
    found: str
    tensor: str


_WEIGHTS = _Scalable("weights", "dW", every, "{dW} = {c} * ({product} / m{penalty})", "{dW}")
_PENALISED = _WEIGHTS._replace(layers=penalised, tensor="{dW}, the L2 term included,")
_PRODUCT = _Scalable("weights", "product", every, "{dW} = {c} * {product} / m{penalty}",
    "The product {product} / m in {dW}")  # fmt: skip
_BIAS = _Scalable("bias", "db", every, "{db} = {c} * {dZ}.sum(axis=1, keepdims=True) / m", "{db}")
_OUTPUT = _Scalable("output", "dZ", last, "{dZ} = {c} * ({A} - Y)",
    "{dZ}, and so every gradient,")  # fmt: skip
_DA = _Scalable("upstream", "dA", hidden, "{dA} = {c} * ({W_next}.T @ {dZ_next}){masked}",
    "{dA}, and so everything below it,")  # fmt: skip
_DZ = _Scalable("upstream", "dZ", hidden, "{dZ} = {c} * {dA} * {slope}",
    "{dZ}, and so everything below it,")  # fmt: skip


def _scaled(gradient: _Scalable, *names: str) -> list[Mistake]:
    """Return a gradient times each of the constants of these names."""
    return [_scaled_by(gradient, name, _CONSTANTS[name]) for name in names]


def _scaled_by(gradient: _Scalable, name: str, constant: _Constant) -> Mistake:
    return Mistake(
        f"{gradient.name}-{name}",
        gradient.operation,
        lambda t: [n for n in gradient.layers(t) if constant.value(t, n) != 1],
        gradient.found.replace("{c}", constant.text),
        _times(constant.value, gradient.operation),
        constant.sentence.replace("{T}", gradient.tensor),
    )


def _times(value: Callable[[Tape, int], float], operation: str) -> Formula:
    return lambda t, c, layer: value(t, layer) * OPERATIONS[operation](t, c, layer)


def _in_single_precision(gradient: _Scalable, tensor: str) -> Mistake:
    right = OPERATIONS[gradient.operation]
    return Mistake(
        f"{gradient.name}-in-single-precision",
        gradient.operation,
        lambda t: gradient.layers(t) if t.eps < np.finfo(np.float32).eps else (),
        gradient.found.replace("{c} *", "float32 of"),
        lambda t, c, n: right(t, c, n).astype(np.float32).astype(float),
        f"{tensor} is right, but rounded to float32: it was stored or computed in single "
        "precision.",
    )


ZEROS = [
    _scaled_by(gradient, "zero", _CONSTANTS["zero"])
    for gradient in (_WEIGHTS, _BIAS, _OUTPUT, _DZ, _DA, _PRODUCT)
]
SINGLE_PRECISION = [
    _in_single_precision(_WEIGHTS, "{dW}"),
    _in_single_precision(_BIAS, "{db}"),
    _in_single_precision(_OUTPUT, "{dZ} of the output"),
    _in_single_precision(_DZ, "{dZ}"),
]
WEIGHTS_FACTORS = _scaled(_WEIGHTS, *_FACTORS)
PRODUCT_FACTORS = [
    *_scaled(_PRODUCT, *_AVERAGES, *_FACTORS, *_KEEPS),
    *_scaled(_PENALISED, *_AVERAGES, *_KEEPS),
]
BIAS_FACTORS = _scaled(_BIAS, *_FACTORS, *_AVERAGES, *_KEEPS)
OUTPUT_FACTORS = _scaled(_OUTPUT, *_FACTORS, *_AVERAGES, *_KEEPS)
UPSTREAM_FACTORS = [
    *_scaled(_DZ, *_FACTORS, *_AVERAGES, *_KEEPS),
    *_scaled(_DA, *_FACTORS, *_AVERAGES, *_KEEPS),
]


def fitted(t: Tape, c: Chain, seen: Mapping[Key, np.ndarray], layer: int) -> Iterator[Fault]:
    """Yield the mistakes at a layer that are read off the gradients that were seen.

    A constant without a name is fitted by least squares. That proves nothing by itself: what it
    predicts for two entries or more is compared like any other mistake.
    """
    shown = {key[0]: value for key, value in seen.items() if key[1] == layer}
    if "dW" in shown:
        dW = shown.pop("dW")
        shown["product"] = dW - c["penalty", layer]
        yield from _fitted_factor(_WEIGHTS, t, layer, dW, c["dW", layer])
        yield from _fitted_factor(_PRODUCT, t, layer, shown["product"], c["product", layer])
        yield from _fitted_penalty(t, layer, dW - c["product", layer])
    if "db" in shown:
        yield from _fitted_factor(_BIAS, t, layer, shown["db"], c["db", layer])
        yield from _fitted_bias_penalty(t, layer, shown["db"] - c["db", layer])
    yield from _copied(t, seen, layer)
    if t.drops(layer):
        if "kept" in shown:
            yield from _another_mask(t, layer, shown["kept"], c["dA", layer])
        elif "dZ" in shown:
            yield from _another_mask(t, layer, shown["dZ"], c["dA", layer] * slope(t, layer))
    for gradient in (_DZ, _DA) if layer < t.L else (_OUTPUT,):
        for operation, value in shown.items():
            yield from _fitted_factor(gradient, t, layer, value, c[operation, layer])


def _copied(t: Tape, seen: Mapping[Key, np.ndarray], layer: int) -> Iterator[Fault]:
    """Yield the gradients of other layers, right or wrong, that may be here by mistake."""
    for operation, parameters in (("dW", t.W), ("db", t.b)):
        for k in others(parameters, layer, t.layers):
            if (operation, k) in seen:
                yield Fault(
                    "gradient-of-another-layer",
                    operation,
                    layer,
                    f"{{{operation}}} = {{{operation}_k}}",
                    _always(seen[operation, k]),
                    f"{{{operation}}} holds {{{operation}_k}}: the gradient of another layer under "
                    "this name.",
                    k,
                )


def _another_mask(t: Tape, layer: int, seen: np.ndarray, undropped: np.ndarray) -> Iterator[Fault]:
    """Yield the mask that a dA or dZ shows, if it is not the mask of the forward pass."""
    kept = undropped / t.keep[layer]
    mask = np.abs(seen) > np.abs(kept) / 2
    lost, gained = (kept != 0) & t.mask[layer] & ~mask, mask & ~t.mask[layer]
    if lost.any() and gained.any():
        yield Fault(
            "mask-of-another-draw",
            "kept",
            layer,
            "{dA} = ({W_next}.T @ {dZ_next}) * (another mask) / {keep}",
            lambda t, c, layer: c["dA", layer] * mask / t.keep[layer],
            "{dA} is masked with another mask than {A}: they differ in {entries} of {size} "
            "entries.",
            values={"entries": int((lost | gained).sum()), "size": mask.size},
        )


def _always(value: np.ndarray) -> Formula:
    return lambda t, c, layer: value


def _fitted_factor(
    gradient: _Scalable, t: Tape, layer: int, seen: np.ndarray, right: np.ndarray
) -> Iterator[Fault]:
    """Yield a gradient times the constant that takes it from right to what was seen."""
    factor = _factor(seen, right)
    if factor is not None:
        yield Fault(
            f"{gradient.name}-scaled",
            gradient.operation,
            layer,
            gradient.found.replace("{c}", "{factor:.10g}"),
            _times(lambda t, layer: factor, gradient.operation),
            gradient.tensor + " is {factor:.10g} times the true gradient.",
            values={"factor": factor},
        )


def _fitted_penalty(t: Tape, layer: int, extra: np.ndarray) -> Iterator[Fault]:
    factor = _factor(extra, t.W[layer])
    if factor is not None:
        says = (
            "{dW} holds the L2 term {factor:.6g} * {W}; it should be l2 / m * {W}, which is "
            "{due:.6g} * {W}."
            if t.l2
            else "{dW} holds the extra term {factor:.6g} * {W}, but nothing is penalised."
        )
        yield Fault(
            "l2-scaled" if t.l2 else "l2-uninvited",
            "penalty",
            layer,
            "{dW} = {product} / m + {factor:.6g} * {W}",
            lambda t, c, layer: factor * t.W[layer],
            says,
            values={"factor": factor, "due": t.l2 / t.m},
        )


def _fitted_bias_penalty(t: Tape, layer: int, extra: np.ndarray) -> Iterator[Fault]:
    factor = _factor(extra, t.b[layer])
    if factor is not None:
        yield Fault(
            "bias-penalised",
            "db",
            layer,
            "{db} = {dZ}.sum(axis=1, keepdims=True) / m + {factor:.6g} * {b}",
            lambda t, c, layer: OPERATIONS["db"](t, c, layer) + factor * t.b[layer],
            "{db} holds the extra term {factor:.6g} * {b}; biases are not penalised.",
            values={"factor": factor},
        )


def _factor(seen: np.ndarray, right: np.ndarray) -> float | None:
    """Return the c for which c * right is nearest to seen, None where any gradient would fit."""
    if np.count_nonzero(right) < 2:
        return None
    factor = float(np.vdot(right, seen) / np.vdot(right, right))
    return factor if np.isfinite(factor) else None
