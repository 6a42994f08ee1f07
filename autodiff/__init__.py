"""The functional mirror: the same loss in JAX, differentiated by JAX."""

from autodiff.mesh import example_mesh, least, read_by_columns
from autodiff.network import intermediate_grads, loss, loss_and_grads
from autodiff.training import STRATEGIES, choose_strategy, on_device, steps

__all__ = [
    "STRATEGIES",
    "choose_strategy",
    "example_mesh",
    "intermediate_grads",
    "least",
    "loss",
    "loss_and_grads",
    "on_device",
    "read_by_columns",
    "steps",
]
