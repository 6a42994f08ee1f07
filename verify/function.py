"""The check of any loss and its hand-written gradient, over any tree of arrays.

`compare` is to any gradient what `verify.three_way` is to that of the built-in network. The
user's functions are checked at the door and made into one `Subject`; what is then measured and
decided is in `verify.subject`. Not here: the network of `manual`, which `verify.network` knows
better, and a function without a loss (`verify.layer`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from verify.evidence.differences import budgeted
from verify.evidence.trees import Tree, flatten_parameters
from verify.report import Report
from verify.subject import Params, Subject, check


def compare(
    loss: Callable[[Any], Any],
    grads: Callable[[Any], Any],
    params: Any,
    mirror: Callable[[Any], Any] | None = None,
    *,
    budget: int = 10_000,
    seed: int = 0,
) -> Report:
    """Check a hand-written gradient of any loss against differences of that loss, and JAX.

    `loss(params)` returns one number, and `grads(params)` a tree like params: dicts, lists,
    tuples, named tuples, dataclasses registered with JAX, or one array. `mirror(params)` is the
    same loss in JAX. `budget` is about how many times the loss may be called. Loss and gradient
    are called in the dtype of params; differences are taken in float64 at the same values,
    where the loss takes those.

    Raises ValueError if params is no tree of finite floating-point arrays, if the gradients
    have another structure or other shapes, if the loss is not one number, if either function
    changes its argument, or if the budget is too small for anything.
    """
    check_functions(loss=loss, grads=grads, mirror=mirror)
    tree = flatten_parameters(params)
    subject = Subject(
        tree,
        lambda arrays: _one_number("loss", loss(tree.build(arrays))),
        lambda arrays: tree.read("grads", grads(tree.build(arrays))),
        mirror and differentiated(tree, mirror),
        ("loss", "grads"),
    )
    check_budget(budget, len(tree.arrays))
    return check(subject, budget, seed)


def differentiated(tree: Tree, function: Callable[..., Any]) -> Callable[..., tuple[float, Params]]:
    """Return the value and gradients, differentiated by JAX, of a function of the tree.

    What is returned takes a flat dict of arrays, and passes on further arguments.
    """
    import jax

    traced = jax.value_and_grad(lambda arrays, *more: function(tree.build(arrays), *more))
    compiled: Callable[..., Any] = jax.jit(traced)

    def way(arrays: Params, *more: Any) -> tuple[float, Params]:
        nonlocal compiled
        try:
            value, grads = compiled(dict(arrays), *more)
        except (TypeError, IndexError) as fault:
            if compiled is traced:
                first = str(fault).strip().splitlines()[0]
                raise ValueError(
                    f"mirror: JAX cannot differentiate it ({first}), expected a function written "
                    "with jax.numpy that returns what the other does"
                ) from fault
            # Python's own control flow cannot be compiled, but it can be differentiated.
            compiled = traced
            return way(arrays, *more)
        return float(value), {k: np.asarray(grads[k], float) for k in arrays}

    return way


def _one_number(name: str, value: Any) -> np.ndarray:
    """Return what a loss returned as a 0-d array, or raise ValueError if it is not one number."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiuc" or array.size != 1:
        got = f"an array of the shape {array.shape}" if array.size != 1 else type(value).__name__
        raise ValueError(f"{name}: it returned {got}, expected a function that returns one number")
    return array.reshape(())


def check_functions(**functions: Any) -> None:
    """Raise ValueError, naming the argument, for what cannot be called; a mirror may be None."""
    for name, value in functions.items():
        if not callable(value) and not (name == "mirror" and value is None):
            raise ValueError(f"{name}: got {type(value).__name__}, expected a function")


def check_budget(budget: int, tensors: int) -> None:
    """Raise ValueError if a budget of evaluations is too small for so many tensors."""
    least = 200 + budgeted.least_budget(tensors)
    if budget < least:
        raise ValueError(f"budget: got {budget}, expected at least {least} for {tensors} tensors")
