"""Running compiled chunks of steps one after another; what a step is, is not here.

A chunk is a compiled function of the parameters and a trip count. Its arrays have a fixed
length and its trip count is an argument, so that a shorter chunk compiles nothing. Chunks end
at multiples of their length, counted from iteration 0, so that a run that starts or stops at
such a boundary has the same chunks, and the same bits, as one that passes it. They are
dispatched without waiting: the losses stay on the device until the run is over, and the masks
of one chunk are drawn while another runs.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from autodiff.mesh import by_columns, everywhere, read_by_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jax.sharding import Mesh
    from jaxtyping import Array, Bool

    from autodiff.network import Masks, Params

    Schedule = Masks | Callable[[int], Masks] | None
    Chunk = Callable[[dict[str, Array], Any, int], tuple[dict[str, Array], Array]]


def run(
    chunk: Chunk,
    params: Params,
    masks: Schedule,
    *,
    n: int,
    start: int,
    length: int,
    m: int,
    mesh: Mesh | None = None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Take n steps from iteration `start`; return the new parameters and the n losses.

    `chunk(params, masks, count)` takes `count` steps, at most `length`, and returns the new
    parameters and `length` losses, of which the first `count` are meant. It owns the parameters
    that it is given, and may donate them. Its masks are one array (n_l, m) a hidden layer, or,
    if `masks` is a function, one array (length, n_1 + ..., m), from which `of_step` takes those of
    a step. On a mesh it is given parameters that lie on every device, and masks by examples.
    """
    dtype = params["W1"].dtype
    state = {name: _put(np.asarray(value), mesh) for name, value in params.items()}
    costs = []
    fixed = None if masks is None or callable(masks) else _shared_out(masks, mesh)
    for first, count in _cuts(start, start + n, length):
        drawn = fixed
        if callable(masks):
            drawn = _schedule(masks, first, count, length, m, mesh)
        state, losses = chunk(state, drawn, count)
        costs.append((losses, count))
    return (
        {name: np.array(state[name]) for name in params},
        np.concatenate([np.empty(0, dtype), *(np.asarray(part)[:n] for part, n in costs)]),
    )


def _put(array: np.ndarray, mesh: Mesh | None) -> Array:
    """Return a copy on the device, or on every device of the mesh.

    A donated array may share its memory with the NumPy one that it was put from.
    """
    return jax.device_put(np.array(array)) if mesh is None else everywhere(array, mesh)


def _shared_out(masks: Sequence[Any], mesh: Mesh | None) -> Sequence[Any]:
    return masks if mesh is None else [by_columns(np.asarray(mask), mesh) for mask in masks]


def _cuts(start: int, stop: int, length: int) -> Iterator[tuple[int, int]]:
    """Yield the first iteration and the number of steps of each chunk."""
    while start < stop:
        end = min(stop, start - start % length + length)
        yield start, end - start
        start = end


def of_step(
    masks: Bool[Array, "length units m"], i: Any, params: Params
) -> Sequence[Bool[Array, "_ m"]]:
    """Return the masks of one step, layer by layer, within a compiled function."""
    widths = [len(params[f"b{layer}"]) for layer in range(1, len(params) // 2)]
    return jnp.split(masks[i], list(accumulate(widths))[:-1])


def _schedule(
    masks: Callable[..., Masks], first: int, count: int, length: int, m: int, mesh: Mesh | None
) -> Any:
    """Return the masks of `count` iterations, the layers one below the other.

    Where a mesh has devices of several processes, each draws those of its own examples alone.
    """
    if mesh is None or jax.process_count() == 1:
        drawn = _stack(masks, first, count, length)
        return drawn if mesh is None else by_columns(drawn, mesh)
    units = sum(map(len, masks(first, slice(0, 1))))
    return read_by_columns(
        lambda columns: _stack(masks, first, count, length, columns), (length, units, m), mesh
    )


def _stack(
    masks: Callable[..., Masks], first: int, count: int, length: int, *columns: slice
) -> Bool[np.ndarray, "length units m"]:
    """Return the masks of `count` iterations in an array of a fixed length."""
    drawn = np.concatenate(masks(first, *columns))
    schedule = np.zeros((length, *drawn.shape), bool)
    schedule[0] = drawn
    for step in range(1, count):
        schedule[step] = np.concatenate(masks(first + step, *columns))
    return schedule
