"""A factor on one gradient: one with a name (2, m, -1 ...), or one read off the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from verify.diagnose.chain import OPERATIONS, Chain, Formula, Key, Tape, slope
from verify.diagnose.mistakes.base import Fault, Mistake, every, hidden, last, penalised


class _Constant(NamedTuple):
    """A factor that has a name: its value, how it is written, and what a sentence says of it."""

    name: str
    value: Callable[[Tape, int], float]
    text: str
    says: str


def _keep(t: Tape, layer: int) -> float:
    """Return the keep_prob of a layer, or of what it reads where nothing of its own is dropped."""
    return t.keep[layer] if t.drops(layer) else t.keep[layer - 1]


_CONSTANTS = {
    constant.name: constant
    for constant in (
        _Constant("zero", lambda t, n: 0.0, "0", "{T} is zero everywhere: it was never filled in."),
        _Constant("doubled", lambda t, n: 2.0, "2", "{T} is exactly 2 times the true gradient."),
        _Constant("quadrupled", lambda t, n: 4.0, "4", "{T} is exactly 4 times the true gradient."),
        _Constant("halved", lambda t, n: 0.5, "1/2", "{T} is exactly half of the true gradient."),
        _Constant(
            "negated",
            lambda t, n: -1.0,
            "-1",
            "{T} has the wrong sign: it is -1 times the true gradient.",
        ),
        _Constant(
            "not-averaged",
            lambda t, n: t.m,
            "m",
            "{T} is m times the true gradient ({equals_m}): the division by m is missing.",
        ),
        _Constant(
            "averaged-twice",
            lambda t, n: 1 / t.m,
            "1/m",
            "{T} is the true gradient divided by m once more ({equals_m}).",
        ),
        _Constant(
            "averaged-over-one-less",
            lambda t, n: t.m / (t.m - 1) if t.m > 1 else 1.0,
            "m/(m - 1)",
            "{T} is divided by m - 1 instead of m ({equals_m}).",
        ),
        _Constant(
            "times-keep-prob",
            _keep,
            "keep_prob",
            "{T} is keep_prob times the true gradient.",
        ),
        _Constant(
            "over-keep-prob",
            lambda t, n: 1 / _keep(t, n),
            "1/keep_prob",
            "{T} is the true gradient divided by keep_prob.",
        ),
    )
}

_FACTORS = ("doubled", "quadrupled", "halved", "negated")
_AVERAGES = ("not-averaged", "averaged-twice", "averaged-over-one-less")
_KEEPS = ("times-keep-prob", "over-keep-prob")


class _Family(NamedTuple):
    """What can be scaled: an operation at some layers, and how that is said and written."""

    name: str
    operation: str
    layers: Callable[[Tape], Iterable[int]]
    tensor: str
    found: str


_WEIGHTS = _Family("weights", "dW", every, "{dW}", "{dW} = {c} * ({product} / m{penalty})")
_PENALISED = _WEIGHTS._replace(layers=penalised, tensor="{dW}, the L2 term included,")
_PRODUCT = _Family(
    "weights",
    "product",
    every,
    "The product {product} / m in {dW}",
    "{dW} = {c} * {product} / m{penalty}",
)
_BIAS = _Family("bias", "db", every, "{db}", "{db} = {c} * {dZ}.sum(axis=1, keepdims=True) / m")
_OUTPUT = _Family(
    "output", "dZ", last, "{dZ}, and with it every gradient,", "{dZ} = {c} * ({A} - Y)"
)
_DA = _Family(
    "upstream",
    "dA",
    hidden,
    "{dA}, and with it all that is made from it,",
    "{dA} = {c} * ({W_next}.T @ {dZ_next}){masked}",
)
_DZ = _Family(
    "upstream",
    "dZ",
    hidden,
    "{dZ}, and with it all that is made from it,",
    "{dZ} = {c} * {dA} * {slope}",
)


def _scaled(family: _Family, *names: str) -> list[Mistake]:
    """Return a family times each of the constants of these names."""
    return [
        Mistake(
            f"{family.name}-{name}",
            family.operation,
            _where_not_one(family.layers, _CONSTANTS[name].value),
            _CONSTANTS[name].says.replace("{T}", family.tensor),
            family.found.replace("{c}", _CONSTANTS[name].text),
            _times(_CONSTANTS[name].value, family.operation),
        )
        for name in names
    ]


def _where_not_one(
    layers: Callable[[Tape], Iterable[int]], value: Callable[[Tape, int], float]
) -> Callable[[Tape], Iterable[int]]:
    return lambda t: [n for n in layers(t) if value(t, n) != 1]


def _times(value: Callable[[Tape, int], float], operation: str) -> Formula:
    return lambda t, c, layer: value(t, layer) * OPERATIONS[operation](t, c, layer)


def _in_single_precision(family: _Family, tensor: str) -> Mistake:
    return Mistake(
        f"{family.name}-in-single-precision",
        family.operation,
        lambda t: family.layers(t) if t.eps < np.finfo(np.float32).eps else (),
        f"{tensor} is right, but rounded to float32: it was stored or computed in single "
        "precision.",
        family.found.replace("{c} *", "float32 of"),
        lambda t, c, n: OPERATIONS[family.operation](t, c, n).astype(np.float32).astype(float),
    )


ZEROS = [
    mistake
    for family in (_WEIGHTS, _BIAS, _OUTPUT, _DZ, _DA, _PRODUCT)
    for mistake in _scaled(family, "zero")
]
SINGLE_PRECISION = [
    _in_single_precision(_WEIGHTS, "{dW}"),
    _in_single_precision(_BIAS, "{db}"),
    _in_single_precision(_OUTPUT, "{dZ}, the output's,"),
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
    mistake for family in (_DZ, _DA) for mistake in _scaled(family, *_FACTORS, *_AVERAGES, *_KEEPS)
]


def fitted(t: Tape, c: Chain, seen: Mapping[Key, np.ndarray], layer: int) -> Iterator[Fault]:
    """Yield the mistakes at a layer that are read off the gradients that were seen.

    A constant that has no name is fitted by least squares. It proves nothing by itself: what it
    claims of two entries or more is then compared like any other mistake.
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
    for family in (_DZ, _DA) if layer < t.L else (_OUTPUT,):
        for operation, value in shown.items():
            yield from _fitted_factor(family, t, layer, value, c[operation, layer])


def _copied(t: Tape, seen: Mapping[Key, np.ndarray], layer: int) -> Iterator[Fault]:
    """Yield the gradients of other layers, right or wrong, that may stand under this name."""
    for operation in ("dW", "db"):
        for k in t.layers:
            other = seen.get((operation, k))
            if (
                k != layer
                and other is not None
                and other.shape == (t.W if operation == "dW" else t.b)[layer].shape
            ):
                yield Fault(
                    "gradient-of-another-layer",
                    operation,
                    layer,
                    f"{{{operation}}} holds {{{operation}_k}}: the gradient of another layer "
                    "under this name.",
                    f"{{{operation}}} = {{{operation}_k}}",
                    _always(other),
                    k,
                )


def _another_mask(t: Tape, layer: int, seen: np.ndarray, undropped: np.ndarray) -> Iterator[Fault]:
    """Yield the mask that a dA or dZ shows, if it is another one than that of the forward pass."""
    kept = undropped / t.keep[layer]
    mask = np.abs(seen) > np.abs(kept) / 2
    lost, gained = (kept != 0) & t.mask[layer] & ~mask, mask & ~t.mask[layer]
    if lost.any() and gained.any():
        yield Fault(
            "mask-of-another-draw",
            "kept",
            layer,
            "{dA} is masked with another mask than {A} was: they differ in {entries} of {size} "
            "entries.",
            "{dA} = ({W_next}.T @ {dZ_next}) * (another mask) / {keep}",
            lambda t, c, layer: c["dA", layer] * mask / t.keep[layer],
            values={"entries": int((lost | gained).sum()), "size": mask.size},
        )


def _always(value: np.ndarray) -> Formula:
    return lambda t, c, layer: value


def _fitted_factor(
    family: _Family, t: Tape, layer: int, seen: np.ndarray, right: np.ndarray
) -> Iterator[Fault]:
    """Yield a family times the constant that takes a gradient from right to what was seen."""
    factor = _factor(seen, right)
    if factor is not None:
        yield Fault(
            f"{family.name}-scaled",
            family.operation,
            layer,
            family.tensor + " is {factor:.10g} times the true gradient.",
            family.found.replace("{c}", "{factor:.10g}"),
            _times(lambda t, layer: factor, family.operation),
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
            says,
            "{dW} = {product} / m + {factor:.6g} * {W}",
            lambda t, c, layer: factor * t.W[layer],
            values={"factor": factor, "due": t.l2 / t.m},
        )


def _fitted_bias_penalty(t: Tape, layer: int, extra: np.ndarray) -> Iterator[Fault]:
    factor = _factor(extra, t.b[layer])
    if factor is not None:
        yield Fault(
            "bias-penalised",
            "db",
            layer,
            "{db} holds the extra term {factor:.6g} * {b}; biases are not penalised.",
            "{db} = {dZ}.sum(axis=1, keepdims=True) / m + {factor:.6g} * {b}",
            lambda t, c, layer: OPERATIONS["db"](t, c, layer) + factor * t.b[layer],
            values={"factor": factor},
        )


def _factor(seen: np.ndarray, right: np.ndarray) -> float | None:
    """Return the c for which seen is nearest to c * right, where that could be refuted."""
    if np.count_nonzero(right) < 2:
        return None
    factor = float(np.vdot(right, seen) / np.vdot(right, right))
    return factor if np.isfinite(factor) else None
