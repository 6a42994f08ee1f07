"""The check of a layer or a fused kernel: any forward function and its backward pass.

A layer becomes losses: for any cotangent c, <c, forward(args)> is a loss whose gradient is
backward(c, *args). Random cotangents have a part of every output, unit ones show a single output
alone. Each loss is then checked as any other is (`verify.function`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verify.evidence.any_function import Claim
from verify.evidence.differences.central import Params
from verify.evidence.trees import Tree, flatten, integers_as_numbers
from verify.function import (
    call,
    check_budget,
    check_claims,
    check_functions,
    check_integers,
    check_names,
    differentiated,
    special_points,
)
from verify.report import Fact, Report


def check_vjp(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    args: Any,
    mirror: Callable[..., Any] | None = None,
    *,
    names: Sequence[str] = (),
    constants: Collection[str | int] = (),
    aux: Collection[str | int] = (),
    budget: int = 10_000,
    cotangents: int = 6,
    seed: int = 0,
) -> Report:
    """Check the backward pass of a layer or a fused kernel, which has no loss of its own.

    `forward(*args)` returns an array or a tree of arrays; `backward(cotangent, *args)`, its
    cotangent of the same kind, one gradient an argument: a tuple, or for one argument its
    gradient. `names` are what the report calls the arguments, by default as the signature of
    forward does. Arguments without floating-point numbers are constants, and so are those that
    `constants` names or numbers; what backward returns for them is not checked. For any other
    argument None is taken as zero, as PyTorch takes it. Outputs that `aux` names or numbers are
    not differentiated: their cotangent is 0. `mirror(*args)` is the same layer in JAX. A third of
    the `cotangents` are random, the others are 1 at one output and 0 elsewhere; they share the
    budget of calls of `forward`.

    Raises ValueError as `compare` does.
    """
    check_functions(forward=forward, backward=backward, mirror=mirror)
    check_integers(budget=budget, cotangents=cotangents, seed=seed)
    if not isinstance(args, (tuple, list)):
        args = (args,)
    if all(value is None for value in args):
        raise ValueError(f"args: got {args!r}, expected at least one array")
    if cotangents < 1:
        raise ValueError(f"cotangents: got {cotangents}, expected at least 1")
    import jax

    given = check_names(names, len(args))
    names = given or _argument_names(forward, len(args))
    named = dict(zip(names, args, strict=True))
    numbers = integers_as_numbers("args", named)
    tree = flatten("args", numbers)
    fixed = [leaf for name in _chosen("constants", constants, names) for leaf in tree.under(name)]
    tree = tree.without(fixed)
    if not tree.arrays:
        raise ValueError("constants: got every argument, expected one to be differentiated")
    with jax.enable_x64(True):
        report = _checked_layer(
            Layer(names, forward, backward, mirror, tree, aux), budget, cotangents, seed
        )
    converted = [] if numbers is named else [Fact("integers-as-numbers", {"argument": "args"})]
    return replace(
        report,
        loss=None,
        notes=(*report.notes, *special_points(tree), *converted),
        repeat=call(
            "check_vjp",
            {"forward": forward, "backward": backward, "args": args, "mirror": mirror},
            names=given,
            constants=constants,
            aux=aux,
            budget=budget,
            cotangents=cotangents,
            seed=seed,
        ),
    )


def _checked_layer(layer: Layer, budget: int, cotangents: int, seed: int) -> Report:
    tree = layer.tree
    outputs = flatten("forward", layer.forward(*layer.arguments(tree.native(tree.arrays))))
    branches = list(dict.fromkeys(name.partition(".")[0] for name in outputs.leaves))
    silent = [x for name in _chosen("aux", layer.aux, branches) for x in outputs.under(name)]
    drawn = _cotangents(outputs, silent, cotangents, np.random.default_rng(seed))
    first = outputs.build(outputs.native(next(iter(drawn.values()))))
    returned = layer.gradients(tree.native(tree.arrays), first)
    if all(gradient is None for gradient in returned):
        raise ValueError(
            "backward: it returned None for every argument, expected a gradient of some"
        )
    zero = [n for n, g in zip(layer.names, returned, strict=True) if g is None and tree.under(n)]
    check_budget(budget, len(tree.arrays), len(drawn))
    by_jax = layer.mirror and differentiated(tree, _mirrored(layer, outputs, silent))
    claims = {label: _pulled_back(layer, outputs, silent, c, by_jax) for label, c in drawn.items()}
    report = check_claims(claims, budget, seed)
    missing = [Fact("none-is-zero", {"tensors": zero})] if zero else []
    return replace(
        report,
        notes=(*report.notes, *missing),
        settings={**report.settings, "cotangents": list(claims)},
    )


def _chosen(argument: str, given: Collection[str | int], names: Sequence[str]) -> list[str]:
    """Return names for what is given by name or number.

    Raises ValueError, naming the argument, for what is neither.
    """
    chosen = []
    for each in given if isinstance(given, (tuple, list, set, frozenset)) else (given,):
        if isinstance(each, int) and 0 <= each < len(names):
            chosen.append(names[each])
        elif each in names:
            chosen.append(str(each))
        else:
            raise ValueError(f"{argument}: got {each!r}, expected some of {', '.join(names)}")
    return chosen


@dataclass(frozen=True, eq=False)
class Layer:
    """A forward and a backward function with their arguments, whose names are `names`.

    `tree` holds the arguments; what is floating in it is differentiated. `aux` are the outputs
    that are not, by name or number.
    """

    names: tuple[str, ...]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    mirror: Callable[..., Any] | None
    tree: Tree
    aux: Collection[str | int]

    def arguments(self, arrays: Params) -> tuple[Any, ...]:
        """Return the positional arguments with these arrays in them."""
        built = self.tree.build(arrays)
        return tuple(built[name] for name in self.names)

    def zeros(self, name: str, arrays: Params) -> Any:
        """Return the gradient 0 of one argument."""
        nothing = {leaf: np.zeros_like(arrays[leaf]) for leaf in self.tree.under(name)}
        return self.tree.build({**arrays, **nothing})[name]

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
    silent: Collection[str],
    cotangent: Params,
    by_jax: Callable[..., tuple[float, Params]] | None,
) -> Claim:
    """Return the loss <cotangent, forward(args)> with its gradient backward(cotangent, *args)."""
    heard = outputs.without(silent)

    def loss(arrays: Params) -> np.ndarray:
        found = heard.read("forward", layer.forward(*layer.arguments(arrays)), "fiuc")
        # The sum is of the type of the outputs, so that their precision shows.
        dtype = np.result_type(*found.values())
        return np.asarray(sum(np.vdot(cotangent[k], value) for k, value in found.items()), dtype)

    def grads(arrays: Params) -> Params:
        # A backward pass may use the memory of its cotangent: each call gets its own.
        own = outputs.build(outputs.native(cotangent))
        gradients = layer.gradients(arrays, own)
        wanted = {
            name: layer.zeros(name, arrays) if gradient is None else gradient
            for name, gradient in zip(layer.names, gradients, strict=True)
            if layer.tree.under(name)
        }
        return layer.tree.read("backward", wanted)

    mirror = None if by_jax is None else lambda arrays: by_jax(arrays, dict(cotangent))
    return Claim(layer.tree, loss, grads, mirror, ("forward", "backward"))


def _mirrored(layer: Layer, outputs: Tree, silent: Collection[str]) -> Callable[[Any, Params], Any]:
    """Return <cotangent, mirror(args)> as a function that JAX can trace."""

    def function(args: Mapping[str, Any], cotangent: Params) -> Any:
        import jax.numpy as jnp

        assert layer.mirror is not None
        found = outputs.without(silent).pick(
            "mirror", layer.mirror(*(args[name] for name in layer.names))
        )
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


def _cotangents(
    outputs: Tree, silent: Collection[str], count: int, rng: np.random.Generator
) -> dict[str, Params]:
    """Return cotangents with what they are called: random ones first, then unit ones.

    Those of `silent` outputs are 0.
    """
    zero = {k: np.zeros(v.shape) for k, v in outputs.arrays.items() if k in silent}
    arrays = {k: v for k, v in outputs.arrays.items() if k not in silent}
    if not any(v.size for v in arrays.values()):
        raise ValueError("aux: got every output, expected one to be differentiated")
    random = max(1, count // 3)
    result = {
        f"random {number + 1}": zero | {k: rng.standard_normal(v.shape) for k, v in arrays.items()}
        for number in range(random)
    }
    ends = np.cumsum([value.size for value in arrays.values()])
    places = rng.choice(ends[-1], min(count - random, ends[-1]), replace=False)
    for place in np.sort(places):
        which = int(np.searchsorted(ends, place, side="right"))
        name = list(arrays)[which]
        unit = zero | {k: np.zeros(v.shape) for k, v in arrays.items()}
        flat = int(place - ends[which]) + unit[name].size
        unit[name].reshape(-1)[flat] = 1
        index = ", ".join(map(str, np.unravel_index(flat, unit[name].shape)))
        label = f"[{index}]" if len(outputs.arrays) == 1 else f"{name}[{index}]"
        result[f"1 at output {label}"] = unit
    return result
