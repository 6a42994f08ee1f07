"""Many evaluations of a function of JAX in one call, shared out over all of JAX's devices.

What is differenced is the user's own function, vectorised over the entry that is moved. That it is
the same function is not taken for granted, for JAX lets a function say itself what it is when it
is vectorised: two of the values are compared with what single calls give. A function of another
framework is never traced, also where JAX could do it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.evidence.clock import Clock
from verify.evidence.differences.central import Functions, Params
from verify.evidence.witnesses import Array

if TYPE_CHECKING:
    from jaxtyping import Float, Int

ENOUGH = 256
"""Entries of a tensor from which on compiling its vectorised function is worth the while."""
NUMBERS = 2**22
"""Numbers that the moved tensors and the outputs of one batch may have."""
LARGEST = 1024
"""Evaluations in a batch, at most: time is looked at between two of them."""
SAME = 16.0
"""Standard deviations of one evaluation that a vectorised one may be off by."""

Raw = Callable[[Params], Sequence[Any]]
"""The outputs that a function returns for arrays, as its framework has them."""


@dataclass(frozen=True, eq=False)
class Losses:
    """Losses <c, outputs> of one function, a row of `rows` each.

    `raw` gives the outputs as the function returns them. Every evaluation is counted.
    """

    rows: Float[Array, "K M"]
    outputs: Functions
    raw: Raw
    clock: Clock
    failed: list[str] = field(default_factory=list)

    def __call__(self, at: Params) -> Float[Array, " K"]:
        """Return the losses at given arrays."""
        self.clock.count()
        return np.asarray(self.rows @ self.outputs(at), float)

    def where_moved(
        self,
        at: Params,
        name: str,
        index: Int[Array, " n"],
        values: Float[Array, "n two"],
        noise: Float[Array, " K"],
        left: Callable[[], int],
    ) -> Float[Array, "k two K"] | None:
        """Return the losses with one entry of a tensor replaced by each of some values.

        There are fewer rows, k, where there are no calls left, and None if the function is none
        of JAX, if it cannot be vectorised, or if it is another one then.
        """
        if len(index) < ENOUGH or self.failed or not self._is_jax(at):
            return None
        found: list[Array] = []
        size = max(1, min(LARGEST, NUMBERS // (at[name].size + self.rows.shape[1])))
        size = max(_devices(), size // 2 // _devices() * _devices())
        try:
            evaluate = _vectorised(self.raw, at, name)
            for start in range(0, len(index), size):
                if left() <= 0:
                    break
                rows = slice(start, min(start + size, len(index)))
                self.clock.count(values[rows].size)
                found.append(evaluate(index[rows], values[rows], size) @ self.rows.T)
                if not start and not self._is_same(
                    at, name, index[0], values[0], found[0][0], noise
                ):
                    raise ValueError("another function")
        except Exception as fault:
            # Whatever it is that cannot be vectorised, it is called one by one.
            self.failed.append(str(fault))
            return None
        return np.concatenate(found) if found else np.empty((0, 2, len(self.rows)))

    def _is_jax(self, at: Params) -> bool:
        import jax

        return all(isinstance(output, jax.Array) for output in self.raw(at))

    def _is_same(
        self, at: Params, name: str, i: int, values: Array, found: Array, noise: Array
    ) -> bool:
        moved = {k: x.copy() if k == name else x for k, x in at.items()}
        single = []
        for value in values:
            moved[name].reshape(-1)[i] = value
            single.append(self(moved))
        return bool((np.abs(found - np.array(single)) <= SAME * noise).all())


def _devices() -> int:
    import jax

    return len(jax.local_devices())


def _vectorised(raw: Raw, at: Params, name: str) -> Callable[[Array, Array, int], Array]:
    """Return the outputs (n, 2, M) of a function of JAX with entries of one tensor replaced.

    What is returned takes the places (n,), the values (n, 2), and to how many rows both are
    filled up, so that it is compiled once.
    """
    import jax
    import jax.numpy as jnp
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    def outputs(arrays: dict[str, Any], i: Any, value: Any) -> Any:
        moved = arrays[name].reshape(-1).at[i].set(value).reshape(arrays[name].shape)
        return jnp.concatenate([jnp.ravel(y) for y in raw({**arrays, name: moved})])

    each = jax.vmap(jax.vmap(outputs, (None, None, 0)), (None, 0, 0))
    compiled = jax.jit(each)
    mesh = Mesh(np.array(jax.local_devices()), ("entries",))
    shared = NamedSharding(mesh, PartitionSpec("entries"))
    everywhere = jax.device_put(dict(at), NamedSharding(mesh, PartitionSpec()))

    def evaluate(index: Array, values: Array, size: int) -> Array:
        spare = size - len(index)
        places = jax.device_put(np.pad(index, (0, spare), mode="edge"), shared)
        moved = jax.device_put(np.pad(values, ((0, spare), (0, 0)), mode="edge"), shared)
        return np.asarray(compiled(everywhere, places, moved), float)[: len(index)]

    return evaluate
