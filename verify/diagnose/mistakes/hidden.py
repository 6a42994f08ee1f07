"""Mistakes in a hidden layer's dA and dZ, which that layer and all below it inherit.

dA = W_next.T @ dZ_next
dA = dA * mask / keep_prob
dZ = dA * g'(Z)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from verify.activations import ACTIVATIONS, written
from verify.diagnose.chain import OPERATIONS, Formula, Tape, slope, slope_of
from verify.diagnose.mistakes.mistake import (
    AnyMistake,
    Layers,
    Mistake,
    ParametricMistake,
    below_square,
    dropped,
    hidden,
    others,
    with_activation,
    without,
)

Slope = Callable[[Tape, int], np.ndarray]
"""What dA is multiplied by, from the tape and the layer."""


# dA = W_next.T @ dZ_next: what comes from above.


def _upstream(name: str, layers: Layers, found: str, formula: Formula, sentence: str) -> Mistake:
    wrong = "{dA} = " + found + "{masked}"
    return Mistake(f"upstream-{name}", "dA", layers, wrong, formula, sentence)


def _left_out(which: str, column: int, operation: str) -> Mistake:
    return Mistake(
        f"upstream-{which}-example-left-out",
        operation,
        hidden,
        f"{{{operation}}} without its {which} column",
        lambda t, c, n: without(OPERATIONS[operation](t, c, n), column),
        f"The {which} example is left out of {{{operation}}}, and so of everything below it.",
    )


UPSTREAM: list[AnyMistake] = [
    _upstream("from-da", hidden, "{open}{W_next}.T @ {dA_next}{close}",
        lambda t, c, n: t.W[n + 1].T @ c["kept", n + 1],
        "{dA} is made from {dA_next} instead of {dZ_next}: the derivative of the activation above "
        "is missing."),
    _upstream("untransposed", below_square, "{open}{W_next} @ {dZ_next}{close}",
        lambda t, c, n: t.W[n + 1] @ c["dZ", n + 1],
        "{W_next} is not transposed in {dA}; it is square, so the shapes do not give it away."),
    _left_out("first", 0, "dA"),
    _left_out("last", -1, "dA"),
    _left_out("first", 0, "dZ"),
    _left_out("last", -1, "dZ"),
    ParametricMistake("upstream-of-another-layer", "dA",
        lambda t, n: [k for k in t.hidden if k > n and len(t.W[k]) == len(t.W[n])],
        "{dA} = {dA_k}{masked}", lambda t, c, n, k: c["dA", k],
        "{dA} is {dA_k}, the upstream gradient of another layer."),
    ParametricMistake("upstream-of-another-layer", "dA",
        lambda t, n: [k for k in t.layers[n + 1 :] if len(t.W[k]) == len(t.W[n + 1])],
        "{dA} = {open}{W_next}.T @ {dZ_k}{close}{masked}",
        lambda t, c, n, k: t.W[n + 1].T @ c["dZ", k],
        "{dA} is made from {dZ_k} instead of {dZ_next}: the gradient of another layer."),
    ParametricMistake("upstream-through-another-layer", "dA",
        lambda t, n: others(t.W, n + 1, t.layers) if n < t.L else [],
        "{dA} = {open}{W_k}.T @ {dZ_next}{close}{masked}",
        lambda t, c, n, k: t.W[k].T @ c["dZ", n + 1],
        "{dA} is made with {W_k} instead of {W_next}: the weights of another layer."),
]  # fmt: skip


# Dropout's backward.


def _mask(name: str, found: str, formula: Formula, sentence: str) -> Mistake:
    return Mistake(f"mask-{name}", "kept", dropped, "{dA} = " + found, formula, sentence)


DROPOUT: list[AnyMistake] = [
    _mask("forgotten", "{W_next}.T @ {dZ_next}", lambda t, c, n: c["dA", n],
        "{dA} does not go back through dropout: the mask of layer {layer} and the division by "
        "{equals_keep} are missing."),
    _mask("not-rescaled", "({W_next}.T @ {dZ_next}) * {mask}",
        lambda t, c, n: c["dA", n] * t.mask[n],
        "{dA} is masked but not divided by {equals_keep}, as the forward pass was."),
    _mask("only-rescaled", "({W_next}.T @ {dZ_next}) / {keep}",
        lambda t, c, n: c["dA", n] / t.keep[n],
        "{dA} is divided by {equals_keep} but not masked: units that were dropped receive a "
        "gradient."),
    _mask("rescaled-twice", "({W_next}.T @ {dZ_next}) * {mask} / {keep}**2",
        lambda t, c, n: c["dA", n] * t.mask[n] / t.keep[n] ** 2,
        "{dA} is divided by {equals_keep} twice."),
    _mask("multiplied", "({W_next}.T @ {dZ_next}) * {mask} * {keep}",
        lambda t, c, n: c["dA", n] * t.mask[n] * t.keep[n],
        "{dA} is multiplied by {equals_keep}; it should be divided by it."),
    _mask("inverted", "({W_next}.T @ {dZ_next}) * (1 - {mask}) / {keep}",
        lambda t, c, n: c["dA", n] * np.logical_not(t.mask[n]) / t.keep[n],
        "The mask of layer {layer} is inverted: only the units that were dropped receive a "
        "gradient."),
    ParametricMistake("mask-of-another-layer", "kept",
        lambda t, n: others(t.mask, n, dropped(t)) if t.drops(n) else [],
        "{dA} = ({W_next}.T @ {dZ_next}) * {mask_k} / {keep}",
        lambda t, c, n, k: c["dA", n] * t.mask[k] / t.keep[n],
        "{dA} is masked with {mask_k}, the mask of another layer."),
]  # fmt: skip


# The activation's backward.

_ANY = tuple(ACTIVATIONS)
_KINKED = tuple(name for name in _ANY if ACTIVATIONS[name].kinked)
_SMOOTH = tuple(name for name in _ANY if name not in _KINKED)
"""Of these the slope at A is another than at Z: A of a kinked one has the sign of Z."""

_NOT_ITS_OWN_SQUARE = tuple(name for name in _ANY if ACTIVATIONS[name].sides != (0, 1))


def _slope(
    name: str, activations: Iterable[str], found: str, wrong: Slope, sentence: str
) -> Mistake:
    """Return the mistake of multiplying dA by wrong(tape, layer) instead of g'(Z)."""
    layers, found = with_activation(*activations), "{dZ} = {dA}" + found
    formula: Formula = lambda t, c, n: c["kept", n] * wrong(t, n)  # noqa: E731
    return Mistake(f"derivative-{name}", "dZ", layers, found, formula, sentence)


def _of_another(own: str, other: str) -> Mistake:
    return _slope(
        "of-another-activation",
        [own],
        f" * {written(other)}'({{Z}})",
        lambda t, n: slope_of(other, t.Z[n]),
        f"{{dZ}} is multiplied by the derivative of {other}, but layer {{layer}} is {own}.",
    )


def _of_another_by_a(own: str, other: str) -> Mistake:
    row = ACTIVATIONS[other]
    return _slope(
        "of-another-activation",
        [own],
        f" * {row.derivative_by_A}",
        lambda t, n: row.slope_by_A(t.A[n]),
        f"{{dZ}} is multiplied by {row.derivative_by_A}, the derivative of {other}, but layer "
        f"{{layer}} is {own}.",
    )


def _of_smooth(own: str) -> list[Mistake]:
    """Return the mistakes of what g' of an activation without a kink is made from."""
    row = ACTIVATIONS[own]
    return [
        _slope("of-preactivation", [own], " * " + row.derivative_by_A.replace("{A}", "{Z}"),
            lambda t, n: row.slope_by_A(t.Z[n]),
            f"The derivative of {own} is {row.derivative_by_A}; here it is made with {{Z}}."),
        Mistake("derivative-of-dropped-activation", "dZ",
            lambda t: [n for n in dropped(t) if t.g[n] == own],
            f"{{dZ}} = {{dA}} * {row.derivative_by_A} after dropout",
            lambda t, c, n: c["kept", n] * row.slope_by_A(t.out[n]),
            "The derivative of {g} is made with {A} after dropout; it should be made with {A} "
            "before dropout."),
    ]  # fmt: skip


def _of_kinked(own: str) -> list[Mistake]:
    """Return the mistakes of what decides the side of the kink, and of which side 0 is on."""
    row = ACTIVATIONS[own]
    assert row.sides is not None
    right = row.sides[1]
    return [
        _slope("inverted", [own], " * " + row.derivative.replace("{Z}", "-{Z}"),
            lambda t, n: row.slope(-t.Z[n]),
            "The derivative of {g} is inverted: below 0 it has the value that belongs above 0."),
        Mistake("derivative-of-upstream", "dZ", with_activation(own),
            "{dZ} = {dA} * " + row.derivative.replace("{Z}", "{dA}"),
            lambda t, c, n: c["kept", n] * row.slope(c["kept", n]),
            "{g}' is taken at {dA} instead of {Z}, so it depends on the sign of the gradient."),
        Mistake("derivative-at-zero", "dZ",
            lambda t: [n for n in with_activation(own)(t) if (t.Z[n] == 0).any()],
            f"{{dZ}} = {{dA}} * {row.derivative.replace('>', '>=')}",
            lambda t, c, n: c["kept", n] * np.where(t.Z[n] == 0, right, row.slope(t.Z[n])),
            "Where {Z} is 0 the derivative of {g} has its value on the right; by convention it has "
            "its value on the left."),
    ]  # fmt: skip


SLOPE: list[AnyMistake] = [
    _slope("missing", _ANY, "", lambda t, n: np.ones_like(t.Z[n]),
        "{dZ} is {dA} unchanged: the derivative of {g} is missing."),
    _slope("is-activation", _ANY, " * {A}", lambda t, n: t.A[n],
        "{dZ} is multiplied by {g}({Z}), the activation itself, instead of its derivative."),
    *(_of_another(own, other) for own in _ANY for other in _ANY if other != own),
    *(_of_another_by_a(own, other) for own in _ANY for other in _SMOOTH if other != own),
    _slope("of-activation", _SMOOTH, " * {g}'({A})", lambda t, n: slope_of(t.g[n], t.A[n]),
        "{g}' is taken at {A} instead of {Z}, so {g} is applied twice."),
    *(mistake for own in _SMOOTH for mistake in _of_smooth(own)),
    _slope("not-squared", ["tanh"], " * (1 - {A})", lambda t, n: 1 - t.A[n],
        "The derivative of tanh is 1 - {A}**2; the square is missing."),
    _slope("with-plus", ["tanh"], " * (1 + {A}**2)", lambda t, n: 1 + t.A[n] ** 2,
        "The derivative of tanh is 1 - {A}**2, not 1 + {A}**2."),
    _slope("with-plus", ["sigmoid"], " * {A} * (1 + {A})",
        lambda t, n: t.A[n] * (1 + t.A[n]),
        "The derivative of sigmoid is {A} * (1 - {A}), not {A} * (1 + {A})."),
    _slope("one-minus-activation", ["sigmoid"], " * (1 - {A})", lambda t, n: 1 - t.A[n],
        "The derivative of sigmoid is {A} * (1 - {A}); the factor {A} is missing."),
    _slope("one-missing", ["tanh"], " * -{A}**2", lambda t, n: -(t.A[n] ** 2),
        "The derivative of tanh is 1 - {A}**2; the 1 is missing."),
    _slope("twice", _NOT_ITS_OWN_SQUARE, " * {slope} * {slope}",
        lambda t, n: slope(t, n) ** 2,
        "{dZ} is multiplied by the derivative of {g} twice."),
    *(mistake for own in _KINKED for mistake in _of_kinked(own)),
    ParametricMistake("derivative-of-another-layer", "dZ",
        lambda t, n: others(t.Z, n, t.hidden) if n < t.L else [],
        "{dZ} = {dA} * {g}'({Z_k})", lambda t, c, n, k: c["kept", n] * slope_of(t.g[n], t.Z[k]),
        "The derivative of {g} is taken at {Z_k}, of another layer, instead of {Z}."),
]  # fmt: skip
