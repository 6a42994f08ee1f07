"""How to compute the tables: single operations, and the network forward and backward.

The documents go back by the composed route, dA * g'(Z): `manual.cross_entropy_backward` times an
activation's backward, where `manual.output_backward` is the fused one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

import manual
from verify.course.problems import parse_init
from verify.course.reproduce.printed_figures import (
    Claim,
    Computed,
    Figure,
    course_masks,
    draw,
    draw_network,
)
from verify.problem import Problem

if TYPE_CHECKING:
    from jaxtyping import Float

    Array = np.ndarray


def initial_parameters(figure: Figure) -> Computed:
    """Draw the parameters of a network."""
    rng = np.random.RandomState(figure.get("seed"))  # zeros draw nothing
    return Computed(manual.initialize(figure["layers"], parse_init(figure["init"]), rng))


def linear_forward(figure: Figure) -> Computed:
    """Compute Z of one layer."""
    drawn = draw(figure)
    return Computed({"Z": manual.linear(drawn["A"], drawn["W"], drawn["b"])})


def linear_activation_forward(figure: Figure) -> Computed:
    """Compute A of one layer, by sigmoid and by relu."""
    drawn = draw(figure)
    Z = manual.linear(drawn["A_prev"], drawn["W"], drawn["b"])
    return Computed({"sigmoid_A": manual.sigmoid(Z), "relu_A": manual.relu(Z)})


def linear_backward(figure: Figure) -> Computed:
    """Compute the three gradients of one linear layer."""
    drawn = draw(figure)
    return Computed(_layer_grads(drawn["dZ"], drawn))


def linear_activation_backward(figure: Figure) -> Computed:
    """Compute the gradients of one layer, by sigmoid and by relu."""
    drawn = draw(figure)
    return Computed(
        {
            "sigmoid": _layer_grads(manual.sigmoid_backward(drawn["dA"], drawn["Z"]), drawn),
            "relu": _layer_grads(manual.relu_backward(drawn["dA"], drawn["Z"]), drawn),
        }
    )


def cross_entropy(figure: Figure) -> Computed:
    """Compute the cost of given outputs."""
    AL, Y = np.array(figure["AL"], float), np.array(figure["Y"], float)
    return Computed({"cost": manual.clipped_cross_entropy(AL, Y)})


def cross_entropy_with_l2(figure: Figure) -> Computed:
    """Compute the cost of given outputs, with the L2 penalty on weights that are drawn."""
    cost = cross_entropy(figure).values["cost"]
    weights = [value for name, value in draw(figure).items() if name.startswith("W")]
    m = len(figure["Y"][0])
    return Computed({"cost": cost + manual.l2_penalty(weights, figure["l2"], m)})


def update(figure: Figure) -> Computed:
    """Take one step of gradient descent along given gradients."""
    params, grads = (draw(figure, figure[f"seed_{what}"]) for what in ("parameters", "gradients"))
    return Computed(manual.descend(params, grads, figure["learning_rate"]))


def deep_forward(figure: Figure) -> Computed:
    """Compute the output of a network, and count its layers' caches."""
    params, X = draw_network(figure)
    AL, cache = manual.forward(params, X)
    return Computed({"AL": AL, "caches": len(cache)})


def deep_backward(figure: Figure) -> Computed:
    """Carry a random AL back by the composed route, through caches drawn at random."""
    d = draw(figure)
    cache = [
        manual.LayerCache("relu", d["A1"], d["W1"], d["Z1"], d["A2"]),
        manual.LayerCache("sigmoid", d["A2"], d["W2"], d["Z2"], d["AL"]),
    ]
    dZ = _composed_output_backward(cache, np.array(figure["Y"], float))
    grads, intermediates = manual.backward(dZ, cache, input_gradient=True)
    return Computed(_named(grads, dX=intermediates["dA0"]))


def backward_with_l2(figure: Figure) -> Computed:
    """Compute a network's caches, and its gradients with the L2 penalty from them as printed."""
    params, X = draw_network(figure)
    AL, cache = manual.forward(params, X)
    given = _as_printed(cache, figure["decimals"])
    dZ = _composed_output_backward(given, np.array(figure["Y"], float))
    grads, intermediates = manual.backward(dZ, given, l2=figure["l2"], input_gradient=True)
    return Computed(_named(grads) | intermediates | _layer_values(cache, AL))


def dropout_forward(figure: Figure) -> Computed:
    """Compute the masks of a network, and its caches and output under them."""
    params, X = draw_network(figure)
    widths = [len(params[f"b{layer}"]) for layer in range(1, len(params) // 2)]
    masks = course_masks(figure["mask_seed"], widths, X.shape[1], figure["keep_prob"])
    AL, cache = manual.forward(params, X, masks, keep_prob=figure["keep_prob"])
    return Computed({"AL": AL, "D1": masks[0], "D2": masks[1]} | _layer_values(cache, AL))


def dropout_backward(figure: Figure) -> Computed:
    """Go forward with one keep_prob and back with another, as the document does."""
    params, X = draw_network(figure)
    Y, masks = np.array(figure["Y"], float), [np.array(figure[name], bool) for name in ("D1", "D2")]
    forward_keep = figure["forward_keep_prob"]
    _, cache = manual.forward(params, X, masks, keep_prob=forward_keep)
    given = _as_printed(cache, figure["decimals"])
    dZ = _composed_output_backward(given, Y)
    options = {"keep_prob": figure["keep_prob"], "input_gradient": True}
    grads, intermediates = manual.backward(dZ, given, masks, **options)
    masked = {
        f"masked_dA{layer}": intermediates[f"dA{layer}"] * mask / figure["keep_prob"]
        for layer, mask in enumerate(masks, start=1)
    }

    from verify.network import three_way

    problem = Problem(params, X, Y, masks, keep_prob=forward_keep)
    exact, _ = manual.backward(manual.output_backward(cache, Y), cache, masks, **options)
    report = three_way(problem, grads=exact)
    rejected = Claim(
        f"scaled by {forward_keep:g} on the way forward and by {figure['keep_prob']:g} on the "
        "way back, it is the gradient of no function, and the three-way check rejects it",
        report.verdict == "disagree",
    )
    return Computed(_named(grads) | intermediates | masked, (rejected,))


def _composed_output_backward(
    cache: Sequence[manual.LayerCache], Y: Float[Array, "1 m"]
) -> Float[Array, "1 m"]:
    """Return dZ of a sigmoid output by the composed route."""
    output = cache[-1]
    return manual.sigmoid_backward(manual.cross_entropy_backward(output.A, Y), output.Z)


def _as_printed(cache: Sequence[manual.LayerCache], decimals: int) -> list[manual.LayerCache]:
    """Return caches as a document hands them on: rounded, but for X, which it draws."""
    rounded = [
        manual.LayerCache(layer.activation, *(np.round(value, decimals) for value in layer[1:]))
        for layer in cache
    ]
    return [rounded[0]._replace(A_prev=cache[0].A_prev), *rounded[1:]]


def _layer_values(cache: Sequence[manual.LayerCache], AL: Float[Array, "1 m"]) -> dict[str, Array]:
    """Return Z1, A1, ..., ZL, AL under these names, each A as the next layer gets it."""
    outputs = [*(layer.A_prev for layer in cache[1:]), AL]
    return {f"Z{number}": layer.Z for number, layer in enumerate(cache, start=1)} | {
        f"A{number}": A for number, A in enumerate(outputs, start=1)
    }


def _layer_grads(dZ: Float[Array, "n_out m"], drawn: Mapping[str, Array]) -> dict[str, Array]:
    names = ("dA_prev", "dW", "db")
    return dict(zip(names, manual.linear_backward(dZ, drawn["A_prev"], drawn["W"]), strict=True))


def _named(grads: Mapping[str, Array], **others: Array) -> dict[str, Array]:
    """Return gradients under the names dW1, db1, ... that documents print, and others."""
    return {f"d{name}": gradient for name, gradient in grads.items()} | others
