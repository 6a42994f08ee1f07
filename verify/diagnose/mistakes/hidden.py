"""Mistakes in a hidden layer's dA and dZ, which that layer and all below it inherit.

dA = W_next.T @ dZ_next
dA = dA * mask / keep_prob
dZ = dA * g'(Z)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from verify.diagnose.chain import OPERATIONS, Formula, Tape, slope, slope_of
from verify.diagnose.mistakes.base import (
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


def _upstream(name: str, layers, sentence: str, found: str, formula: Formula) -> Mistake:
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
        "({W_next}.T @ {dA_next})",
        lambda t, c, n: t.W[n + 1].T @ c["kept", n + 1],
    ),
    _upstream(
        "untransposed",
        below_square,
        "{W_next} is not transposed in {dA}; it is square, so the shapes do not give it away.",
        "({W_next} @ {dZ_next})",
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
        "{dA} = ({W_next}.T @ {dZ_k}){masked}",
        lambda t, c, n, k: t.W[n + 1].T @ c["dZ", k],
    ),
    Misplaced(
        "upstream-through-another-layer",
        "dA",
        lambda t, n: [
            k for k in t.layers if n < t.L and k != n + 1 and t.W[k].shape == t.W[n + 1].shape
        ],
        "{dA} is carried down through {W_k} instead of {W_next}: the weights of another layer.",
        "{dA} = ({W_k}.T @ {dZ_next}){masked}",
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
        "{dA} = ({W_next}.T @ {dZ_next})" + found,
        formula,
    )


DROPOUT: list[Mistake | Misplaced] = [
    _mask(
        "forgotten",
        "{dA} does not go back through dropout: neither the mask of layer {layer} nor the "
        "division by {equals_keep} is applied.",
        "",
        lambda t, c, n: c["dA", n],
    ),
    _mask(
        "not-rescaled",
        "{dA} is masked but not divided by {equals_keep}, as the forward pass was.",
        " * {mask}",
        lambda t, c, n: c["dA", n] * t.mask[n],
    ),
    _mask(
        "only-rescaled",
        "{dA} is divided by {equals_keep} but not masked: units that were dropped receive a "
        "gradient.",
        " / {keep}",
        lambda t, c, n: c["dA", n] / t.keep[n],
    ),
    _mask(
        "rescaled-twice",
        "{dA} is divided by {equals_keep} twice.",
        " * {mask} / {keep}**2",
        lambda t, c, n: c["dA", n] * t.mask[n] / t.keep[n] ** 2,
    ),
    _mask(
        "multiplied",
        "{dA} is multiplied by {equals_keep}; it should be divided by it.",
        " * {mask} * {keep}",
        lambda t, c, n: c["dA", n] * t.mask[n] * t.keep[n],
    ),
    _mask(
        "inverted",
        "The mask of layer {layer} is applied the wrong way round: only the units that were "
        "dropped receive a gradient.",
        " * (1 - {mask}) / {keep}",
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

_ANY, _SMOOTH = ("relu", "tanh", "sigmoid"), ("tanh", "sigmoid")

_BY_A = {
    "tanh": ("(1 - {}**2)", lambda A: 1 - A**2),
    "sigmoid": ("{} * (1 - {})", lambda A: A * (1 - A)),
}
"""Each derivative as a formula in A, which is how it comes to be given the wrong argument."""


def _slope_mistake(name: str, activations, sentence: str, found: str, wrong: Slope) -> Mistake:
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
        f" * {other}'({{Z}})",
        lambda t, n: slope_of(other, t.Z[n]),
    )


def _of_another_by_a(own: str, other: str) -> Mistake:
    text, formula = _BY_A[other]
    return _slope_mistake(
        "of-another-activation",
        (own,),
        f"{{dZ}} is multiplied by {text}, the derivative of {other}, but layer {{layer}} is "
        f"{own}.".replace("{}", "{A}"),
        f" * {text}".replace("{}", "{A}"),
        lambda t, n: formula(t.A[n]),
    )


def _of_preactivation(own: str) -> Mistake:
    text, formula = _BY_A[own]
    return _slope_mistake(
        "of-preactivation",
        (own,),
        f"The derivative of {own} is {text.replace('{}', '{A}')}; here it is made with {{Z}}.",
        f" * {text}".replace("{}", "{Z}"),
        lambda t, n: formula(t.Z[n]),
    )


def _of_dropped(own: str) -> Mistake:
    text, formula = _BY_A[own]
    return Mistake(
        "derivative-of-dropped-activation",
        "dZ",
        lambda t: [n for n in dropped(t) if t.g[n] == own],
        "The derivative of {g} is made with {A} as it is after dropout, masked and rescaled; it "
        "belongs to {A} before.",
        "{dZ} = {dA} * " + text.replace("{}", "{A}") + " after dropout",
        lambda t, c, n: c["kept", n] * formula(t.out[n]),
    )


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
        _SMOOTH,
        "{dZ} is multiplied by the derivative of {g} twice.",
        " * {slope} * {slope}",
        lambda t, n: slope(t, n) ** 2,
    ),
    _slope_mistake(
        "inverted",
        ("relu",),
        "The derivative of relu is the wrong way round: the units that were off receive a "
        "gradient.",
        " * ({Z} < 0)",
        lambda t, n: t.Z[n] < 0,
    ),
    Mistake(
        "derivative-of-upstream",
        "dZ",
        with_activation("relu"),
        "relu' is taken at {dA} instead of {Z}: negative gradients are cut off, not units that "
        "were off.",
        "{dZ} = {dA} * ({dA} > 0)",
        lambda t, c, n: c["kept", n] * (c["kept", n] > 0),
    ),
    Mistake(
        "derivative-at-zero",
        "dZ",
        lambda t: [n for n in with_activation("relu")(t) if (t.Z[n] == 0).any()],
        "The derivative of relu is taken to be 1 where {Z} is 0; the convention is 0.",
        "{dZ} = {dA} * ({Z} >= 0)",
        lambda t, c, n: c["kept", n] * (t.Z[n] >= 0),
    ),
    Misplaced(
        "derivative-of-another-layer",
        "dZ",
        lambda t, n: [k for k in t.hidden if n < t.L and k != n and t.Z[k].shape == t.Z[n].shape],
        "The derivative of {g} is taken at {Z_k}, of another layer, instead of {Z}.",
        "{dZ} = {dA} * {g}'({Z_k})",
        lambda t, c, n, k: c["kept", n] * slope_of(t.g[n], t.Z[k]),
    ),
]
