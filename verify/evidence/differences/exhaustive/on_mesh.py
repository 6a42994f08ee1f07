"""The same differences on a mesh of JAX's devices, each of which takes some units of every layer.

The base values, steps and rounding bars are NumPy's, as ever. What costs most goes to the devices:
carrying every unit's change to the loss, by the formulas of `carried_changes`, and the products
that carry the differences and their bars on to the weights. Units do not meet on the way, so the
devices exchange nothing; where the units cannot be divided evenly, copies of the first fill up.
`docs/mesh.md` has what it costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from autodiff.mesh import by_columns, everywhere, gathered
from autodiff.network import full_precision
from verify.evidence.differences.exhaustive import carried_changes
from verify.evidence.differences.exhaustive.base_values import Layer, Output
from verify.evidence.witnesses import Array

ELEMENTS = 2**21
"""Size of the temporary arrays of a device."""


class SumsOnMesh:
    """What the examples add up to, by columns of (n_(l-1) + 1, n_l): a row each input, and b."""

    def __init__(self, sizes: Sequence[int], mesh: Mesh) -> None:
        self.sizes, self.mesh = sizes, mesh
        with full_precision():
            self.sums = [
                tuple(by_columns(np.zeros((n_in + 1, n_out)), mesh) for _ in ("value", "bar"))
                for n_in, n_out in pairwise(sizes)
            ]

    def add(
        self,
        layers: Sequence[Layer],
        output: Output,
        steps: Sequence[Array],
        rounding: Sequence[Array],
    ) -> None:
        """Add the differences on some examples, from their base values, steps and rounding bars."""
        for index, (step, bar) in enumerate(zip(steps, rounding, strict=True)):
            tail = layers[index:]
            width = max(len(layer.Z) for layer in (*tail[1:], tail[-1]))
            units = -(-len(step) // self.mesh.size)
            for examples in carried_changes.slices(step.shape[1], ELEMENTS // (width * units)):
                self._add(index, tail, output, step[:, examples], bar[:, examples], examples)

    def _add(
        self,
        index: int,
        layers: Sequence[Layer],
        output: Output,
        step: Array,
        bar: Array,
        examples: slice,
    ) -> None:
        names, straight = carried_changes.activations(layers)
        tail = carried_changes.cut(layers, output, slice(None), examples)
        A_prev = layers[0].A_prev[:, examples]
        by_unit = (step.T, bar.T, tail.slope.T, tail.level.T, tail.column)
        shared = (np.vstack([A_prev, np.ones((1, len(A_prev.T)))]), *tail[3:])
        with full_precision():
            self.sums[index] = _added(
                self.sums[index],
                tuple(by_columns(array, self.mesh) for array in by_unit),
                jax.tree.map(partial(everywhere, mesh=self.mesh), shared),
                names=names, straight=straight, kind=output.kind, mesh=self.mesh,
            )  # fmt: skip

    def collected(self) -> Iterator[tuple[str, tuple[Array, Array]]]:
        """Yield the sums of each parameter under its name, as soon as its layer is there."""
        for index, (width, sums) in enumerate(zip(self.sizes[1:], self.sums, strict=True), start=1):
            value, bar = (np.array(gathered(each)[:, :width].T, order="C") for each in sums)
            for name, own in ((f"W{index}", np.s_[:, :-1]), (f"b{index}", np.s_[:, -1:])):
                yield name, (np.ascontiguousarray(value[own]), np.ascontiguousarray(bar[own]))


@partial(jax.jit, static_argnames=("names", "straight", "kind", "mesh"), donate_argnames="sums")
def _added(
    sums: Any, by_unit: Any, shared: Any,
    *, names: tuple[str, ...], straight: bool, kind: str, mesh: Mesh,
) -> tuple[Any, Any]:  # fmt: skip
    """Return the sums with those of some examples added, each unit where it lies."""

    def own_units(sums: Any, by_unit: Any, shared: Any) -> tuple[Any, Any]:
        *by_example, column = by_unit
        step, rounding, slope, level = (array.T for array in by_example)
        A_prev, later, side, odds = shared
        tail = carried_changes.Tail(slope, level, column, later, side, odds)
        near, far = carried_changes.half_differences(names, straight, kind, step, tail)
        near, far = near / step, far / (carried_changes.FAR * step)
        bar = carried_changes.truncation(near, far) + rounding
        value, size = sums
        return value + A_prev @ near.T, size + jnp.abs(A_prev) @ bar.T

    units = PartitionSpec(None, mesh.axis_names)
    added: tuple[Any, Any] = jax.shard_map(
        own_units, mesh=mesh, in_specs=(units, units, PartitionSpec()), out_specs=units
    )(sums, by_unit, shared)
    return added
