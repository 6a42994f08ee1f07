"""How each figure of the course documents is computed: one small function a kind.

A recipe takes a figure, as figures.json has it, and returns its values under the names that the
document prints. It computes them by the public functions of `manual` and `autodiff` only.
"""

from __future__ import annotations

from collections.abc import Callable

from verify.course.reproduce import gradient_checks, operations, trainings
from verify.course.reproduce.printed_figures import Computed, Figure

RECIPES: dict[str, Callable[[Figure], Computed]] = {
    "initial parameters": operations.initial_parameters,
    "linear forward": operations.linear_forward,
    "linear + activation forward": operations.linear_activation_forward,
    "forward, relu hidden, sigmoid output": operations.deep_forward,
    "cross-entropy": operations.cross_entropy,
    "cross-entropy with L2": operations.cross_entropy_with_l2,
    "linear backward": operations.linear_backward,
    "linear + activation backward": operations.linear_activation_backward,
    "backward, relu hidden, sigmoid output, from given caches": operations.deep_backward,
    "gradient-descent update": operations.update,
    "backward with L2": operations.backward_with_l2,
    "forward with dropout": operations.dropout_forward,
    "backward with dropout, from given caches": operations.dropout_backward,
    "training": trainings.training,
    "train-cats-two-layer": trainings.training_on_pictures,
    "train-cats-four-layer": trainings.training_on_pictures,
    "train-cats-deep-small": trainings.training_that_does_not_begin,
    "init-large": trainings.training_from_large_weights,
    "init-large-stuck": trainings.training_stuck,
    "reg-dropout": trainings.training_with_dropout,
    "gradient check of a line": gradient_checks.check_of_line,
    "gradcheck-false-alarm": gradient_checks.false_alarm,
    "gradcheck-planted": gradient_checks.planted,
    "gradcheck-trained": gradient_checks.check_of_trained,
}
"""The recipe of every kind of figure, and of the ids that differ from their kind."""


def compute(figure: Figure) -> Computed:
    """Recompute a figure, by the recipe of its id or else of its kind.

    Raises DataAbsentError if it needs a data file that is not there.
    """
    return (RECIPES.get(figure["id"]) or RECIPES[figure["kind"]])(figure)
