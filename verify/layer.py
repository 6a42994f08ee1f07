"""The check of a layer or a fused kernel: any forward function and its backward pass.

A layer becomes losses: for any cotangent c, <c, forward(args)> is a loss whose gradient is
backward(c, *args). Random cotangents have a part of every output, unit ones show a single output
alone. Each loss is then checked as any other is (`verify.function`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verify.evidence.any_function import Claim
from verify.evidence.differences.central import Params
from verify.evidence.trees import Tree, flatten
from verify.function import check_budget, check_claims, check_functions, differentiated
from verify.problem import check_seed, check_whole
from verify.report import Fact, Report


def check_vjp(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    args: Any,
    mirror: Callable[..., Any] | None = None,
    *,
    budget: int = 10_000,
    cotangents: int = 6,
    seed: int = 0,
) -> Report:
    """Check the backward pass of a layer or a fused kernel, which has no loss of its own.

    `forward(*args)` returns an array or a tree of arrays; `backward(cotangent, *args)`, its
    cotangent of the same kind, one gradient an argument: a tuple, or for one argument its
    gradient. Arguments without floating-point numbers are constants; a gradient that is None
    is not checked, and the report says so. `mirror(*args)` is the same layer in JAX. A third of
    the `cotangents` are random, the others are 1 at one output and 0 elsewhere; they share the
    budget of calls of `forward`.

    Raises ValueError as `compare` does.
    """
    check_functions(forward=forward, backward=backward, mirror=mirror)
    if not isinstance(args, (tuple, list)):
        args = (args,)
    check_whole("budget", budget, 1)
    check_whole("cotangents", cotangents, 1)
    check_seed(seed)
    import jax

    names = _argument_names(forward, len(args))
    tree = flatten("args", dict(zip(names, args, strict=True)))
    with jax.enable_x64(True):
        return _checked_layer(
            Layer(names, forward, backward, mirror, tree), budget, cotangents, seed
        )


def _checked_layer(layer: Layer, budget: int, cotangents: int, seed: int) -> Report:
    names, tree = layer.names, layer.tree
    outputs = flatten("forward", layer.forward(*layer.arguments(tree.native(tree.arrays))))
    drawn = _cotangents(outputs, cotangents, np.random.default_rng(seed))
    first = outputs.build(outputs.native(next(iter(drawn.values()))))
    returned = layer.gradients(tree.native(tree.arrays), first)
    unchecked = [n for n, g in zip(names, returned, strict=True) if g is None and tree.under(n)]
    layer = replace(layer, tree=tree.without([leaf for n in unchecked for leaf in tree.under(n)]))
    if not layer.tree.arrays:
        raise ValueError(
            "backward: it returned None for every argument, expected a gradient of some"
        )
    check_budget(budget // len(drawn), len(layer.tree.arrays))
    by_jax = layer.mirror and differentiated(layer.tree, _mirrored(layer, outputs))
    claims = {label: _pulled_back(layer, outputs, c, by_jax) for label, c in drawn.items()}
    report = check_claims(claims, budget, seed)
    missing = [Fact("no-gradient-returned", {"tensors": unchecked})] if unchecked else []
    return replace(
        report,
        notes=(*report.notes, *missing),
        settings={**report.settings, "cotangents": list(claims)},
    )


@dataclass(frozen=True, eq=False)
class Layer:
    """A forward and a backward function with their arguments, whose names are `names`.

    `tree` holds the arguments; what is floating in it is differentiated.
    """

    names: tuple[str, ...]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    mirror: Callable[..., Any] | None
    tree: Tree

    def arguments(self, arrays: Params) -> tuple[Any, ...]:
        """Return the positional arguments with these arrays in them."""
        built = self.tree.build(arrays)
        return tuple(built[name] for name in self.names)

    def gradients(self, arrays: Params, cotangent: Any) -> tuple[Any, ...]:
        """Return what backward returns, one gradient an argument.

        Raises ValueError for any other number of them.
        """
        found = self.backward(cotangent, *self.arguments(arrays))
        if len(self.names) == 1 and not (isinstance(found, (tuple, list)) and len(found) == 1):
            return (found,)
        if not isinstance(found, (tuple, list)) or len(found) != len(self.names):
            got = f"{len(found)}" if isinstance(found, (tuple, list)) else type(found).__name__
            raise ValueError(
                f"backward: it returned {got}, expected {len(self.names)} gradients, one each for "
                f"{', '.join(self.names)}, None for what has none"
            )
        return tuple(found)


def _pulled_back(
    layer: Layer,
    outputs: Tree,
    cotangent: Params,
    by_jax: Callable[..., tuple[float, Params]] | None,
) -> Claim:
    """Return the loss <cotangent, forward(args)> with its gradient backward(cotangent, *args)."""
    native = outputs.native(cotangent)

    def loss(arrays: Params) -> np.ndarray:
        found = outputs.read("forward", layer.forward(*layer.arguments(arrays)), "fiuc")
        # The sum is of the type of the outputs, so that their precision shows.
        dtype = np.result_type(*found.values())
        return np.asarray(sum(np.vdot(cotangent[k], value) for k, value in found.items()), dtype)

    def grads(arrays: Params) -> Params:
        gradients = layer.gradients(arrays, outputs.build(native))
        wanted = {
            name: gradient
            for name, gradient in zip(layer.names, gradients, strict=True)
            if layer.tree.under(name)
        }
        return layer.tree.read("backward", wanted)

    mirror = None if by_jax is None else lambda arrays: by_jax(arrays, dict(cotangent))
    return Claim(layer.tree, loss, grads, mirror, ("forward", "backward"))


def _mirrored(layer: Layer, outputs: Tree) -> Callable[[Any, Params], Any]:
    """Return <cotangent, mirror(args)> as a function that JAX can trace."""

    def function(args: Mapping[str, Any], cotangent: Params) -> Any:
        import jax.numpy as jnp

        assert layer.mirror is not None
        found = outputs.pick("mirror", layer.mirror(*(args[name] for name in layer.names)))
        for name, value in found.items():
            if jnp.shape(value) != cotangent[name].shape:
                raise ValueError(
                    f"mirror: it returned the shape {jnp.shape(value)} for {name}, "
                    f"expected {cotangent[name].shape}, as forward returns it"
                )
        return sum(jnp.vdot(cotangent[name], value) for name, value in found.items())

    return function


def _argument_names(forward: Callable[..., Any], count: int) -> tuple[str, ...]:
    """Return the names that forward's signature has for its arguments, or numbered ones."""
    try:
        parameters = list(inspect.signature(forward).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    positional = [
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) >= count:
        return tuple(positional[:count])
    return tuple(f"arg{number}" for number in range(count))


def _cotangents(outputs: Tree, count: int, rng: np.random.Generator) -> dict[str, Params]:
    """Return cotangents with what they are called: random ones first, then unit ones."""
    arrays = outputs.arrays
    random = max(1, count // 3)
    result = {
        f"random {number + 1}": {k: rng.standard_normal(v.shape) for k, v in arrays.items()}
        for number in range(random)
    }
    ends = np.cumsum([value.size for value in arrays.values()])
    places = rng.choice(ends[-1], min(count - random, ends[-1]), replace=False)
    for place in np.sort(places):
        which = int(np.searchsorted(ends, place, side="right"))
        name = list(arrays)[which]
        unit = {k: np.zeros(v.shape) for k, v in arrays.items()}
        flat = int(place - ends[which]) + unit[name].size
        unit[name].reshape(-1)[flat] = 1
        index = ", ".join(map(str, np.unravel_index(flat, unit[name].shape)))
        label = f"[{index}]" if len(arrays) == 1 else f"{name}[{index}]"
        result[f"1 at output {label}"] = unit
    return result
