"""The functional mirror: the same loss in JAX, differentiated by JAX."""

from autodiff.network import intermediate_grads, loss, loss_and_grads
from autodiff.training import STRATEGIES, choose_strategy, on_device, steps

__all__ = [
    "STRATEGIES",
    "choose_strategy",
    "intermediate_grads",
    "loss",
    "loss_and_grads",
    "on_device",
    "steps",
]
