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
from verify.diagnose.mistakes.base import (
    Layers,
    Misplaced,
    Mistake,
    below_square,
    dropped,
    hidden,
    with_activation,
    without,
)

Slope = Callable[[Tape, int], np.ndarray]
"""What dA is multiplied by, from the tape and the layer."""


# dA = W_next.T @ dZ_next: what comes from above.


def _upstream(name: str, layers: Layers, sentence: str, found: str, formula: Formula) -> Mistake:
    return Mistake(
        f"upstream-{name}", "dA", layers, sentence, "{dA} = " + found + "{masked}", formula
    )


def _left_out(which: str, column: int, operation: str) -> Mistake:
    return Mistake(
        f"upstream-{which}-example-left-out",
        operation,
        hidden,
        f"The {which} example is left out of {{{operation}}}, and so of all that is made from it.",
        f"{{{operation}}} without its {which} column",
        lambda t, c, n: without(OPERATIONS[operation](t, c, n), column),
    )


UPSTREAM: list[Mistake | Misplaced] = [
    _upstream(
        "from-da",
        hidden,
        "{dA} is carried down from {dA_next} instead of {dZ_next}: the activation of the layer "
        "above is passed over.",
        "{open}{W_next}.T @ {dA_next}{close}",
        lambda t, c, n: t.W[n + 1].T @ c["kept", n + 1],
    ),
    _upstream(
        "untransposed",
        below_square,
        "{W_next} is not transposed in {dA}; it is square, so the shapes do not give it away.",
        "{open}{W_next} @ {dZ_next}{close}",
        lambda t, c, n: t.W[n + 1] @ c["dZ", n + 1],
    ),
    *(
        _left_out(which, column, operation)
        for operation in ("dA", "dZ")
        for which, column in (("first", 0), ("last", -1))
    ),
    Misplaced(
        "upstream-of-another-layer",
        "dA",
        lambda t, n: [k for k in t.hidden if k > n and len(t.W[k]) == len(t.W[n])],
        "{dA} is {dA_k}, the upstream gradient of another layer.",
        "{dA} = {dA_k}{masked}",
        lambda t, c, n, k: c["dA", k],
    ),
    Misplaced(
        "upstream-of-another-layer",
        "dA",
        lambda t, n: [
            k for k in t.layers if n < t.L and k > n + 1 and len(t.W[k]) == len(t.W[n + 1])
        ],
        "{dA} is carried down from {dZ_k} instead of {dZ_next}: the gradient of another layer.",
        "{dA} = {open}{W_next}.T @ {dZ_k}{close}{masked}",
        lambda t, c, n, k: t.W[n + 1].T @ c["dZ", k],
    ),
    Misplaced(
        "upstream-through-another-layer",
        "dA",
        lambda t, n: [
            k for k in t.layers if n < t.L and k != n + 1 and t.W[k].shape == t.W[n + 1].shape
        ],
        "{dA} is carried down through {W_k} instead of {W_next}: the weights of another layer.",
        "{dA} = {open}{W_k}.T @ {dZ_next}{close}{masked}",
        lambda t, c, n, k: t.W[k].T @ c["dZ", n + 1],
    ),
]


# Dropout's backward.


def _mask(name: str, sentence: str, found: str, formula: Formula) -> Mistake:
    return Mistake(
        f"mask-{name}",
        "kept",
        dropped,
        sentence,
        "{dA} = " + found,
        formula,
    )


DROPOUT: list[Mistake | Misplaced] = [
    _mask(
        "forgotten",
        "{dA} does not go back through dropout: neither the mask of layer {layer} nor the "
        "division by {equals_keep} is applied.",
        "{W_next}.T @ {dZ_next}",
        lambda t, c, n: c["dA", n],
    ),
    _mask(
        "not-rescaled",
        "{dA} is masked but not divided by {equals_keep}, as the forward pass was.",
        "({W_next}.T @ {dZ_next}) * {mask}",
        lambda t, c, n: c["dA", n] * t.mask[n],
    ),
    _mask(
        "only-rescaled",
        "{dA} is divided by {equals_keep} but not masked: units that were dropped receive a "
        "gradient.",
        "({W_next}.T @ {dZ_next}) / {keep}",
        lambda t, c, n: c["dA", n] / t.keep[n],
    ),
    _mask(
        "rescaled-twice",
        "{dA} is divided by {equals_keep} twice.",
        "({W_next}.T @ {dZ_next}) * {mask} / {keep}**2",
        lambda t, c, n: c["dA", n] * t.mask[n] / t.keep[n] ** 2,
    ),
    _mask(
        "multiplied",
        "{dA} is multiplied by {equals_keep}; it should be divided by it.",
        "({W_next}.T @ {dZ_next}) * {mask} * {keep}",
        lambda t, c, n: c["dA", n] * t.mask[n] * t.keep[n],
    ),
    _mask(
        "inverted",
        "The mask of layer {layer} is applied the wrong way round: only the units that were "
        "dropped receive a gradient.",
        "({W_next}.T @ {dZ_next}) * (1 - {mask}) / {keep}",
        lambda t, c, n: c["dA", n] * np.logical_not(t.mask[n]) / t.keep[n],
    ),
    Misplaced(
        "mask-of-another-layer",
        "kept",
        lambda t, n: [
            k for k in dropped(t) if t.drops(n) and k != n and t.mask[k].shape == t.mask[n].shape
        ],
        "{dA} is masked with {mask_k}, the mask of another layer.",
        "{dA} = ({W_next}.T @ {dZ_next}) * {mask_k} / {keep}",
        lambda t, c, n, k: c["dA", n] * t.mask[k] / t.keep[n],
    ),
]


# The activation's backward.

_ANY = tuple(ACTIVATIONS)
_KINKED = tuple(name for name in _ANY if ACTIVATIONS[name].kinked)
_SMOOTH = tuple(name for name in _ANY if name not in _KINKED)
"""Of these the slope at A is another than at Z: A of a kinked one has the sign of Z."""

_NOT_ITS_OWN_SQUARE = tuple(name for name in _ANY if ACTIVATIONS[name].sides != (0, 1))


def _slope_mistake(
    name: str, activations: Iterable[str], sentence: str, found: str, wrong: Slope
) -> Mistake:
    """Return the mistake of multiplying dA by wrong(tape, layer) instead of g'(Z)."""
    return Mistake(
        f"derivative-{name}",
        "dZ",
        with_activation(*activations),
        sentence,
        "{dZ} = {dA}" + found,
        lambda t, c, n: c["kept", n] * wrong(t, n),
    )


def _of_another(own: str, other: str) -> Mistake:
    return _slope_mistake(
        "of-another-activation",
        (own,),
        f"{{dZ}} is multiplied by the derivative of {other}, but layer {{layer}} is {own}.",
        f" * {written(other)}'({{Z}})",
        lambda t, n: slope_of(other, t.Z[n]),
    )


def _of_another_by_a(own: str, other: str) -> Mistake:
    row = ACTIVATIONS[other]
    return _slope_mistake(
        "of-another-activation",
        (own,),
        f"{{dZ}} is multiplied by {row.derivative_by_A}, the derivative of {other}, but layer "
        f"{{layer}} is {own}.",
        f" * {row.derivative_by_A}",
        lambda t, n: row.slope_by_A(t.A[n]),
    )


def _of_preactivation(own: str) -> Mistake:
    row = ACTIVATIONS[own]
    return _slope_mistake(
        "of-preactivation",
        (own,),
        f"The derivative of {own} is {row.derivative_by_A}; here it is made with {{Z}}.",
        " * " + row.derivative_by_A.replace("{A}", "{Z}"),
        lambda t, n: row.slope_by_A(t.Z[n]),
    )


def _of_dropped(own: str) -> Mistake:
    row = ACTIVATIONS[own]
    return Mistake(
        "derivative-of-dropped-activation",
        "dZ",
        lambda t: [n for n in dropped(t) if t.g[n] == own],
        "The derivative of {g} is made with {A} as it is after dropout, masked and rescaled; it "
        "belongs to {A} before.",
        f"{{dZ}} = {{dA}} * {row.derivative_by_A} after dropout",
        lambda t, c, n: c["kept", n] * row.slope_by_A(t.out[n]),
    )


def _of_kinked(own: str) -> list[Mistake]:
    """Return the mistakes of what decides the side of the kink, and of which side 0 is on."""
    row = ACTIVATIONS[own]
    assert row.sides is not None
    right = row.sides[1]
    return [
        _slope_mistake(
            "inverted",
            (own,),
            "The derivative of {g} is the wrong way round: below 0 it is what it should be above.",
            " * " + row.derivative.replace("{Z}", "-{Z}"),
            lambda t, n: row.slope(-t.Z[n]),
        ),
        Mistake(
            "derivative-of-upstream",
            "dZ",
            with_activation(own),
            "{g}' is taken at {dA} instead of {Z}: the sign of the gradient decides, not that of "
            "{Z}.",
            "{dZ} = {dA} * " + row.derivative.replace("{Z}", "{dA}"),
            lambda t, c, n: c["kept", n] * row.slope(c["kept", n]),
        ),
        Mistake(
            "derivative-at-zero",
            "dZ",
            lambda t: [n for n in with_activation(own)(t) if (t.Z[n] == 0).any()],
            "Where {Z} is 0 the derivative of {g} is taken to be that on its right; the convention "
            "is that on its left.",
            f"{{dZ}} = {{dA}} * {row.derivative.replace('>', '>=')}",
            lambda t, c, n: c["kept", n] * np.where(t.Z[n] == 0, right, row.slope(t.Z[n])),
        ),
    ]


SLOPE: list[Mistake | Misplaced] = [
    _slope_mistake(
        "missing",
        _ANY,
        "{dZ} is {dA} unchanged: the derivative of {g} is missing.",
        "",
        lambda t, n: np.ones_like(t.Z[n]),
    ),
    _slope_mistake(
        "is-activation",
        _ANY,
        "{dZ} is multiplied by {g}({Z}), the activation itself, instead of its derivative.",
        " * {A}",
        lambda t, n: t.A[n],
    ),
    *(_of_another(own, other) for own in _ANY for other in _ANY if other != own),
    *(_of_another_by_a(own, other) for own in _ANY for other in _SMOOTH if other != own),
    _slope_mistake(
        "of-activation",
        _SMOOTH,
        "{g}' is taken at {A} instead of {Z}: {g} is applied twice.",
        " * {g}'({A})",
        lambda t, n: slope_of(t.g[n], t.A[n]),
    ),
    *(_of_preactivation(own) for own in _SMOOTH),
    *(_of_dropped(own) for own in _SMOOTH),
    _slope_mistake(
        "not-squared",
        ("tanh",),
        "The derivative of tanh is 1 - {A}**2; the square is missing.",
        " * (1 - {A})",
        lambda t, n: 1 - t.A[n],
    ),
    _slope_mistake(
        "with-plus",
        ("tanh",),
        "The derivative of tanh is 1 - {A}**2, not 1 + {A}**2.",
        " * (1 + {A}**2)",
        lambda t, n: 1 + t.A[n] ** 2,
    ),
    _slope_mistake(
        "with-plus",
        ("sigmoid",),
        "The derivative of sigmoid is {A} * (1 - {A}), not {A} * (1 + {A}).",
        " * {A} * (1 + {A})",
        lambda t, n: t.A[n] * (1 + t.A[n]),
    ),
    _slope_mistake(
        "one-minus-activation",
        ("sigmoid",),
        "The derivative of sigmoid is {A} * (1 - {A}); the factor {A} is missing.",
        " * (1 - {A})",
        lambda t, n: 1 - t.A[n],
    ),
    _slope_mistake(
        "one-missing",
        ("tanh",),
        "The derivative of tanh is 1 - {A}**2; the 1 is missing.",
        " * -{A}**2",
        lambda t, n: -(t.A[n] ** 2),
    ),
    _slope_mistake(
        "twice",
        _NOT_ITS_OWN_SQUARE,
        "{dZ} is multiplied by the derivative of {g} twice.",
        " * {slope} * {slope}",
        lambda t, n: slope(t, n) ** 2,
    ),
    *(mistake for own in _KINKED for mistake in _of_kinked(own)),
    Misplaced(
        "derivative-of-another-layer",
        "dZ",
        lambda t, n: [k for k in t.hidden if n < t.L and k != n and t.Z[k].shape == t.Z[n].shape],
        "The derivative of {g} is taken at {Z_k}, of another layer, instead of {Z}.",
        "{dZ} = {dA} * {g}'({Z_k})",
        lambda t, c, n, k: c["kept", n] * slope_of(t.g[n], t.Z[k]),
    ),
]
