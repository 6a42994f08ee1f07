"""The functional mirror: the same loss in JAX, differentiated by JAX."""

from autodiff.network import intermediate_grads, loss, loss_and_grads
from autodiff.training import steps

__all__ = ["intermediate_grads", "loss", "loss_and_grads", "steps"]
