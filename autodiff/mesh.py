"""Where arrays lie on a mesh of devices.

In a training, parameters lie whole on every device; X, Y and masks by columns. XLA does the rest:
each device computes its own examples, and the gradients are added up over all devices once a
step. A process is asked only for the columns of its own devices, so that nothing here knows how
many processes there are.

Where the examples cannot be divided evenly, the columns are filled up with copies of the first
ones, and the loss is told how many columns count. They are copies because the loss of any other
column might overflow before that of the data does.

`docs/mesh.md` has what it costs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from autodiff.network import full_precision

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Array, Float, Shaped

AXIS = "columns"


def example_mesh(count: int | None = None) -> Mesh:
    """Return a mesh of the first `count` devices of every process, by default of all.

    Raises ValueError if this process has fewer.
    """
    most = jax.local_device_count()
    count = most if count is None else count
    if not 1 <= count <= most:
        raise ValueError(
            f"devices: got {count}, expected 1 to {most}, as JAX has them here (of a processor it "
            "makes more with the environment variable XLA_FLAGS="
            f"--xla_force_host_platform_device_count={max(count, 1)})"
        )
    processes = range(jax.process_count())
    devices = [each for process in processes for each in jax.local_devices(process)[:count]]
    return Mesh(np.array(devices), (AXIS,))


def least(value: int) -> int:
    """Return the least of the values that all processes call this with."""
    if jax.process_count() == 1:
        return value
    return int(np.min(multihost_utils.process_allgather(np.array(value))))


def mesh_under(array: Any) -> Mesh | None:
    """Return the mesh that an array is shared out over, or None if it is not."""
    sharding = getattr(array, "sharding", None)
    mesh = sharding.mesh if isinstance(sharding, NamedSharding) else None
    return mesh if isinstance(mesh, Mesh) else None


def by_columns(
    array: Shaped[np.ndarray, "*rest m"], mesh: Mesh
) -> Shaped[Array, "*rest filled_up"]:
    """Return the array with its last axis shared out, filled up with copies of its columns."""
    return read_by_columns(lambda columns: array[..., columns], array.shape, mesh)


def read_by_columns(
    read: Callable[[slice], np.ndarray], shape: tuple[int, ...], mesh: Mesh
) -> Shaped[Array, "*rest filled_up"]:
    """Return an array of which each device holds some columns, read where they are held.

    `read` returns some columns of an array of this shape; JAX may keep what it returns. The mesh
    may have any axes: its devices are taken in their order.
    """
    m, mesh = shape[-1], Mesh(mesh.devices.ravel(), (AXIS,))
    filled_up = (*shape[:-1], -(-m // mesh.size) * mesh.size)
    spec = PartitionSpec(*[None] * (len(shape) - 1), AXIS)

    def columns(index: Any) -> np.ndarray:
        start, stop, _ = index[-1].indices(filled_up[-1])
        own = [slice(start, min(stop, m))] if start < m else []
        copies = [slice(column % m, column % m + 1) for column in range(max(start, m), stop)]
        parts = [read(each) for each in (*own, *copies)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

    with full_precision():
        return jax.make_array_from_callback(filled_up, NamedSharding(mesh, spec), columns)


def everywhere(array: Shaped[np.ndarray, "..."], mesh: Mesh) -> Shaped[Array, "..."]:
    """Return copies of the array, one a device."""
    return jax.make_array_from_callback(
        array.shape, NamedSharding(mesh, PartitionSpec()), lambda index: np.array(array)
    )


def gathered(array: Shaped[Array, "..."]) -> Shaped[np.ndarray, "..."]:
    """Return the whole of an array that lies in parts, in every process."""
    mesh = mesh_under(array)
    whole = array if mesh is None else _replicated(array, mesh)
    return np.asarray(whole)


@partial(jax.jit, static_argnames="mesh")
def _replicated(array: Any, mesh: Mesh) -> Any:
    return kept_everywhere(array, mesh)


def kept_everywhere(tree: Any, mesh: Mesh | None) -> Any:
    """Tell XLA, within a compiled function, that each device holds the whole of these arrays."""
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec()))


@partial(jax.jit, static_argnames="mesh")
def gram(X: Float[Array, "n_0 m"], mesh: Mesh) -> Float[Array, "m m"]:
    """Return K = XᵀX by columns, where X lies by columns on the mesh.

    The parts of X go round, so that no device ever holds more than two of them.
    """
    count = mesh.size
    onwards = [(device, (device + 1) % count) for device in range(count)]

    def own_columns(own: Any) -> Any:
        def turn(passing: Any, _: None) -> tuple[Any, Any]:
            return jax.lax.ppermute(passing, AXIS, onwards), passing.T @ own

        _, products = jax.lax.scan(turn, own, length=count)
        whose = (jax.lax.axis_index(AXIS) - jnp.arange(count)) % count
        return products[whose].reshape(-1, own.shape[1])

    spec = PartitionSpec(None, AXIS)
    result: Array = jax.shard_map(own_columns, mesh=mesh, in_specs=spec, out_specs=spec)(X)
    return result
