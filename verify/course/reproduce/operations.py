"""How to compute the tables: single operations, and the network forward and backward.

The composed route of the documents, dA * g'(Z), is `manual.cross_entropy_backward` times an
activation's backward; the fused one is `manual.output_backward`.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    rng = np.random.RandomState(figure["seed"])
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
    dA = manual.cross_entropy_backward(d["AL"], np.array(figure["Y"], float))
    dZ = manual.sigmoid_backward(dA, d["Z2"])
    grads, intermediates = manual.backward(dZ, cache, input_gradient=True)
    return Computed(_named(grads, dX=intermediates["dA0"]))


def backward_with_l2(figure: Figure) -> Computed:
    """Compute all gradients of a network with the L2 penalty."""
    params, X = draw_network(figure)
    A3, cache = manual.forward(params, X)
    dZ = manual.output_backward(cache, np.array(figure["Y"], float))
    grads, intermediates = manual.backward(dZ, cache, l2=figure["l2"])
    return Computed(_named(grads, A3=A3, dA1=intermediates["dA1"], dA2=intermediates["dA2"]))


def dropout_forward(figure: Figure) -> Computed:
    """Compute the masks of a network, and its output under them."""
    params, X = draw_network(figure)
    widths = [len(params[f"b{layer}"]) for layer in range(1, len(params) // 2)]
    masks = course_masks(figure["mask_seed"], widths, X.shape[1], figure["keep_prob"])
    AL, _ = manual.forward(params, X, masks, keep_prob=figure["keep_prob"])
    return Computed({"AL": AL, "D1": masks[0], "D2": masks[1]})


def dropout_backward(figure: Figure) -> Computed:
    """Go forward with one keep_prob and back with another, as the document does."""
    params, X = draw_network(figure)
    Y, masks = np.array(figure["Y"], float), [np.array(figure[name], bool) for name in ("D1", "D2")]
    forward_keep = figure["forward_keep_prob"]
    _, cache = manual.forward(params, X, masks, keep_prob=forward_keep)
    dZ = manual.output_backward(cache, Y)
    grads, _ = manual.backward(dZ, cache, masks, keep_prob=figure["keep_prob"])

    from verify.network import three_way

    problem = Problem(params, X, Y, masks, keep_prob=forward_keep)
    report = three_way(problem, grads=grads)
    rejected = Claim(
        f"scaled by {forward_keep:g} on the way forward and by {figure['keep_prob']:g} on the "
        "way back, it is the gradient of no function, and the three-way check rejects it",
        report.verdict == "disagree",
    )
    return Computed(_named(grads), (rejected,))


def _layer_grads(dZ: Float[Array, "n_out m"], drawn: Mapping[str, Array]) -> dict[str, Array]:
    names = ("dA_prev", "dW", "db")
    return dict(zip(names, manual.linear_backward(dZ, drawn["A_prev"], drawn["W"]), strict=True))


def _named(grads: Mapping[str, Array], **others: Array) -> dict[str, Array]:
    """Return gradients under the names dW1, db1, ... that documents print, and others."""
    return {f"d{name}": gradient for name, gradient in grads.items()} | others
