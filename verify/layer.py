"""The check of a layer or a fused kernel: any forward function and its backward pass.

A layer becomes losses: for any cotangent c, <c, forward(args)> is a loss whose gradient is
backward(c, *args). Random cotangents have a part of every output, unit ones show a single output
alone; with those of all outputs, what backward does is compared with the whole Jacobian. One
evaluation of forward serves all of them (`verify.evidence.any_function`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verify.evidence.claims import Claims
from verify.evidence.differences.central import Params, copy
from verify.evidence.trees import Tree, flatten, integers_as_numbers
from verify.function import (
    call,
    check_budget,
    check_claims,
    check_functions,
    check_integers,
    check_names,
    check_seconds,
    differentiated,
    special_points,
    stated_unit,
)
from verify.report import Fact, Report

RANDOM = 2
"""Random cotangents."""
SOME = 4
"""Outputs that are shown alone where there are too many for all."""
ENTRIES = 2**20
"""Entries of the Jacobian that are compared at most, where all outputs are shown alone."""


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
    seconds: float = 10.0,
    cotangents: int | None = None,
    seed: int = 0,
    compute_dtype: str | None = None,
) -> Report:
    """Check the backward pass of a layer or a fused kernel, which has no loss of its own.

    `forward(*args)` returns an array or a tree of arrays; `backward(cotangent, *args)`, its
    cotangent of the same kind, one gradient an argument: a tuple, or for one argument its
    gradient. `names` are what the report calls the arguments, by default as the signature of
    forward does. Arguments without floating-point numbers are constants, and so are those that
    `constants` names or numbers; what backward returns for them is not checked. For any other
    argument None is taken as zero, as PyTorch takes it. Outputs that `aux` names or numbers are
    not differentiated: their cotangent is 0. `mirror(*args)` is the same layer in JAX. `budget` is
    about how many times forward may be called, and `seconds` how long all of it may take: what was
    left out for lack of time is stated.

    A third of the `cotangents` are random, the others are 1 at one output and 0 elsewhere. By
    default two are random, and every output is shown alone where they are not too many.
    `compute_dtype` is as in `compare`.

    Raises ValueError as `compare` does.

    Examples:
        >>> import backproof
        >>> import numpy as np
        >>> x, w = np.array([[0.3, -1.2]]), np.array([[0.5], [2.0]])
        >>> def product(x, w):
        ...     return x @ w
        >>> def backward(dy, x, w):
        ...     return dy @ w.T, x.T @ dy
        >>> backproof.check_vjp(product, backward, (x, w)).verdict
        'agree'
    """
    check_functions(forward=forward, backward=backward, mirror=mirror)
    check_integers(budget=budget, seed=seed)
    seconds, unit = check_seconds(seconds), stated_unit(compute_dtype)
    if not isinstance(args, (tuple, list)):
        args = (args,)
    if all(value is None for value in args):
        raise ValueError(f"args: got {args!r}, expected at least one array")
    if cotangents is not None:
        check_integers(cotangents=cotangents)
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
        layer = Layer(names, forward, backward, mirror, tree, aux, unit)
        report = _checked_layer(layer, budget, seconds, cotangents, seed)
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
            seconds=seconds,
            cotangents=cotangents,
            seed=seed,
            compute_dtype=compute_dtype,
        ),
    )


def _checked_layer(
    layer: Layer, budget: int, seconds: float, cotangents: int | None, seed: int
) -> Report:
    tree = layer.tree
    outputs = flatten("forward", layer.forward(*layer.arguments(tree.native(tree.arrays))))
    branches = list(dict.fromkeys(name.partition(".")[0] for name in outputs.leaves))
    silent = [x for name in _chosen("aux", layer.aux, branches) for x in outputs.under(name)]
    if not any(value.size for value in outputs.without(silent).arrays.values()):
        raise ValueError("aux: got every output, expected one to be differentiated")
    check_budget(budget, len(tree.arrays))
    ones = {
        k: np.zeros_like(v) if k in silent else np.ones_like(v) for k, v in outputs.arrays.items()
    }
    returned = layer.gradients(tree.native(tree.arrays), outputs.build(ones))
    if all(gradient is None for gradient in returned):
        raise ValueError(
            "backward: it returned None for every argument, expected a gradient of some"
        )
    zero = [n for n, g in zip(layer.names, returned, strict=True) if g is None and tree.under(n)]
    claims = _claims(layer, outputs, silent, cotangents, np.random.default_rng(seed))
    report = check_claims(claims, budget, seed, seconds, layer.unit)
    missing = [Fact("none-is-zero", {"tensors": zero})] if zero else []
    return replace(
        report,
        notes=(*report.notes, *missing),
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
    that are not, by name or number. `unit` is the unit roundoff that is stated, if any.
    """

    names: tuple[str, ...]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    mirror: Callable[..., Any] | None
    tree: Tree
    aux: Collection[str | int]
    unit: float | None

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


def _claims(
    layer: Layer,
    outputs: Tree,
    silent: Collection[str],
    count: int | None,
    rng: np.random.Generator,
) -> Claims:
    """Return the claims about the losses <cotangent, forward(args)>, as any other are."""
    heard = outputs.without(silent)
    shapes = {name: value.shape for name, value in heard.arrays.items()}
    ends = np.cumsum([value.size for value in heard.arrays.values()])
    parts = {k: slice(e - heard.arrays[k].size, e) for k, e in zip(shapes, ends, strict=True)}
    nothing = {name: np.zeros_like(outputs.arrays[name]) for name in silent}
    constants = {n: layer.tree.original[n] for n in layer.names if not layer.tree.under(n)}
    by_jax = layer.mirror and differentiated(layer.tree, _mirrored(layer, outputs, silent))

    def shaped(cotangent: np.ndarray) -> Params:
        return {name: cotangent[part].reshape(shapes[name]) for name, part in parts.items()}

    def flat(arrays: Params) -> np.ndarray:
        found = heard.read("forward", layer.forward(*layer.arguments(arrays)), "fiuc")
        return np.concatenate([value.reshape(-1) for value in found.values()])

    def grads(arrays: Params, cotangent: np.ndarray) -> Params:
        # A backward pass may use the memory of its cotangent: each call gets its own.
        native = all(arrays[k].dtype == x.dtype for k, x in layer.tree.arrays.items())
        every = {**nothing, **shaped(cotangent)}
        own = outputs.build(outputs.native(every) if native else copy(every))
        gradients = layer.gradients(arrays, own)
        wanted = {
            name: layer.zeros(name, arrays) if gradient is None else gradient
            for name, gradient in zip(layer.names, gradients, strict=True)
        }
        return layer.tree.read("backward", wanted | constants)

    def mirror(arrays: Params, cotangent: np.ndarray) -> tuple[float, Params]:
        assert by_jax is not None
        return by_jax(arrays, shaped(cotangent))

    cotangents, random = _cotangents(heard, count, layer.tree, rng)
    names = ("forward", "backward")
    return Claims(layer.tree, flat, grads, mirror if by_jax else None, names, cotangents, random)


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
    heard: Tree, count: int | None, arguments: Tree, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], int]:
    """Return flat cotangents with what they are called, and how many are random: the first.

    Of the others each is 1 at one output.
    """
    size = sum(value.size for value in heard.arrays.values())
    random = RANDOM if count is None else max(1, count // 3)
    result = {f"random {number + 1}": _drawn(heard, rng) for number in range(random)}
    if count is not None:
        alone = min(count - random, size)
    else:
        entries = sum(value.size for value in arguments.arrays.values())
        alone = size if size * (entries + size) <= ENTRIES else min(SOME, size)
    labels = _labels(heard)
    for place in np.sort(rng.choice(size, alone, replace=False)):
        unit = np.zeros(size)
        unit[place] = 1
        result[f"1 at output {labels(int(place))}"] = unit
    return result, random


def _drawn(heard: Tree, rng: np.random.Generator) -> np.ndarray:
    """Return a random cotangent, of the types of the outputs, whose backward pass sees it so."""
    parts = [rng.standard_normal(v.size).astype(v.dtype) for v in heard.arrays.values()]
    return np.concatenate([part.astype(float) for part in parts])


def _labels(heard: Tree) -> Callable[[int], str]:
    """Return how outputs are called, by their place among all that are differentiated."""
    names, ends = list(heard.arrays), np.cumsum([value.size for value in heard.arrays.values()])

    def label(place: int) -> str:
        which = int(np.searchsorted(ends, place, side="right"))
        value = heard.arrays[names[which]]
        flat = place - int(ends[which]) + value.size
        index = ", ".join(map(str, np.unravel_index(flat, value.shape)))
        return f"[{index}]" if len(heard.leaves) == 1 else f"{names[which]}[{index}]"

    return label
