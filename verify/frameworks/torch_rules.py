"""Functions of PyTorch: an autograd.Function, any function of tensors, a module.

Tensors stay on their device and keep their strides. Imported only where something of torch comes
in, as it imports torch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from verify.evidence.differences.central import Params
from verify.evidence.trees import Tree, as_array, is_floating, parted
from verify.frameworks.rule import (
    ByFramework,
    Rule,
    Subject,
    by_name,
    drawn,
    one_each,
)
from verify.function import argument_names

torch: Any = import_module("torch")
Tensor = Any
Tensors = dict[str, Tensor]
Way = Callable[[Callable[..., Any], Tensors], Callable[[Any], Tensors]]


def knows(function: Any, leaves: Sequence[Any]) -> bool:
    """Say whether a function or a leaf of its arguments is of PyTorch."""
    return (
        _is_rule(_owner(function))
        or isinstance(function, torch.nn.Module)
        or any(map(_is_tensor, leaves))
    )


def subject_of(function: Any, args: Sequence[Any]) -> Subject:
    """Return what is called of an autograd.Function, a module or a function of tensors.

    The parameters of a module that require a gradient are an argument after the others, a dict;
    its buffers are copied for each call.

    Raises ValueError, naming it, for a tensor that is not dense, and if there is none.
    """
    called, signature, skipped = function, function, 0
    named: dict[str, Any] = {}
    owner = _owner(function)
    if _is_rule(owner):
        called, signature = owner.apply, owner.forward
        skipped = int(owner.setup_context is torch.autograd.Function.setup_context)  # ctx
    elif isinstance(function, torch.nn.Module):
        signature = function.forward
        parameters = {k: p for k, p in function.named_parameters() if p.requires_grad}
        if parameters:
            called, named = partial(_with_parameters, function), {"parameters": parameters}
    names = argument_names(signature, len(args), skipped)
    named = {**dict(zip(names, args, strict=True)), **named}
    _refuse_strangers(named)
    return Subject(called, named)


def _owner(function: Any) -> Any:
    """Return the class of which a function is the bound `apply`, or the function itself."""
    return getattr(function, "__self__", function)


def _is_rule(owner: Any) -> bool:
    return isinstance(owner, type) and issubclass(owner, torch.autograd.Function)


def _with_parameters(module: Any, *args: Any) -> Any:
    *inputs, parameters = args
    dtype = next(iter(parameters.values())).dtype
    buffers = {
        name: buffer.to(_in_precision(buffer, dtype), copy=True)
        for name, buffer in module.named_buffers()
    }
    return torch.func.functional_call(module, {**parameters, **buffers}, tuple(inputs))


def _in_precision(buffer: Tensor, dtype: Any) -> Any:
    """Return the type of a buffer in the precision of another type, if it is floating."""
    if buffer.is_complex():
        return dtype.to_complex()
    return dtype.to_real() if buffer.is_floating_point() else buffer.dtype


def _refuse_strangers(named: Mapping[str, Any]) -> None:
    for name, value in named.items():
        for leaf in filter(_is_tensor, _leaves(value)):
            strange = {
                "nested": leaf.is_nested,
                str(leaf.layout): leaf.layout != torch.strided,
                "quantised": leaf.is_quantized,
                "meta": leaf.is_meta,
                "complex in 16 bits": leaf.dtype == torch.complex32,
            }
            for kind, found in strange.items():
                if found:
                    raise ValueError(f"{name}: got a tensor that is {kind}, expected a dense one")
    if not any(map(_is_tensor, _leaves(named))):
        kinds = ", ".join(f"{type(value).__name__} for {name}" for name, value in named.items())
        raise ValueError(f"args: got {kinds}, expected tensors, as the function is of PyTorch")


def undifferentiated(leaves: Mapping[str, Any]) -> list[str]:
    """Return the leaves that are no tensors or, where others require a gradient, do not.

    That the parameters of a module do says nothing of its arguments.
    """
    own = {k: x for k, x in leaves.items() if not isinstance(x, torch.nn.Parameter)}
    asked = any(_is_tensor(x) and x.requires_grad for x in own.values())
    return [k for k, x in own.items() if not _is_tensor(x) or (asked and not x.requires_grad)]


def rule_of(function: Callable[..., Any], tree: Tree, mode: str = "reverse") -> Rule:
    """Return a function as a rule whose pullback is by the mode, "reverse" or "forward"."""
    own = tree.pick("args", tree.original)
    strides = {k: x.stride() for k, x in own.items() if _odd(x)}

    def restrided(args: Sequence[Any]) -> dict[str, Any]:
        named = dict(by_name(tree, args))
        leaves = tree.pick("args", named) if strides else {}
        moved = {k: _with_strides(leaves[k], each) for k, each in strides.items()}
        return dict(tree.replaced(named, moved)) if strides else named

    def forward(*args: Any) -> Any:
        with torch.no_grad():
            return function(*restrided(args).values())

    def pullback(*args: Any) -> Callable[[Any], tuple[Any, ...]]:
        named = restrided(args)
        leaves = {k: x.detach() for k, x in tree.pick("args", named).items()}
        pull = way(lambda xs: function(*tree.replaced(named, xs).values()), leaves)

        def gradients(cotangent: Any) -> tuple[Any, ...]:
            every = pull(cotangent)
            if all(gradient is None for gradient in every.values()):
                every = {k: torch.zeros_like(x) for k, x in leaves.items()}
            found = {k: gradient for k, gradient in every.items() if gradient is not None}
            return one_each(tree, args, _complete(tree, leaves, found))

        return gradients

    ways: dict[str, Way] = {"reverse": _Pulled(), "forward": _Pushed()}
    way = ways[mode]
    return Rule(
        "PyTorch",
        tree,
        forward,
        pullback,
        partial(_differentiated, tree),
        partial(_silent, lambda args: function(*restrided(args).values()), tree),
        device=next(str(x.device) for x in tree.leaves.values() if _is_tensor(x)),
        absent=True,
    )


def _silent(function: Callable[..., Any], tree: Tree) -> list[str]:
    """Return which of several outputs have no gradient, as their author says, unless none has."""
    args = tree.build(tree.native(tree.arrays))
    leaves = {k: x.detach().requires_grad_() for k, x in tree.pick("args", args).items()}
    with torch.enable_grad():
        found = function([*tree.replaced(args, leaves).values()])
    if not isinstance(found, (tuple, list, dict)):
        return []
    outputs = found.items() if isinstance(found, dict) else enumerate(found)
    floating = {
        str(name): any(_is_tensor(x) and x.requires_grad for x in _leaves(value))
        for name, value in outputs
        if any(map(is_floating, _leaves(value)))
    }
    return [name for name, has in floating.items() if not has and any(floating.values())]


def second_of(function: Callable[..., Any], tree: Tree, rng: np.random.Generator) -> Subject:
    """Return the gradients of <c, function(args)> as a function of args and of a random c.

    c is called "cotangent".
    """

    def gradients(*args: Any) -> Any:
        *arguments, cotangent = args
        named = by_name(tree, arguments)
        graph = torch.is_grad_enabled()
        with torch.enable_grad():
            leaves = {
                k: x if x.requires_grad else x.detach().requires_grad_()
                for k, x in tree.pick("args", named).items()
            }
            found = function(*tree.replaced(named, leaves).values())
            outputs, cotangents = _heard(found, cotangent)
            every = torch.autograd.grad(
                outputs, [*leaves.values()], cotangents, allow_unused=True, create_graph=graph
            )
        return {
            k: torch.zeros_like(x) if gradient is None else gradient
            for (k, x), gradient in zip(leaves.items(), every, strict=True)
        }

    with torch.no_grad():
        found = function(*tree.original.values())
    cotangent = [
        torch.from_numpy(drawn(y, rng)).to(y) if _is_inexact(y) else y for y in _leaves(found)
    ]
    return Subject(gradients, {**tree.original, "cotangent": cotangent})


def _is_inexact(tensor: Tensor) -> bool:
    return bool(tensor.is_floating_point() or tensor.is_complex())


def _real(tensor: Tensor) -> Tensor:
    return parted(tensor) if tensor.is_complex() else tensor


class _Pulled:
    """The gradients by reverse mode, None where torch returns it.

    One graph serves all cotangents at a place, unless the backward pass uses up what it saved.
    """

    def __init__(self) -> None:
        self.keeps: bool | None = None

    def __call__(self, function: Callable[..., Any], leaves: Tensors) -> Callable[[Any], Tensors]:
        leaves = {k: x.requires_grad_() for k, x in leaves.items()}
        if self.keeps is None:
            self.keeps = _keeps_what_it_saved(function, leaves)
        if not self.keeps:
            return lambda cotangent: _pulled(_graph(function, leaves), leaves, cotangent)
        found = _graph(function, leaves)
        return lambda cotangent: _pulled(found, leaves, cotangent, keep=True)


def _graph(function: Callable[..., Any], leaves: Tensors) -> Any:
    with torch.enable_grad():
        return function(leaves)


def _pulled(found: Any, leaves: Tensors, cotangent: Any, *, keep: bool = False) -> Tensors:
    outputs, cotangents = _heard(found, cotangent)
    if not outputs:
        return dict.fromkeys(leaves)
    every = torch.autograd.grad(
        outputs, [*leaves.values()], cotangents, allow_unused=True, retain_graph=keep
    )
    return dict(zip(leaves, every, strict=True))


def _keeps_what_it_saved(function: Callable[..., Any], leaves: Tensors) -> bool:
    """Say whether a second backward pass through one graph gives the same in every bit."""
    found, rng = _graph(function, leaves), np.random.default_rng(0)
    cotangent = [
        torch.from_numpy(drawn(y, rng)).to(y) if _is_tensor(y) and _is_inexact(y) else None
        for y in _leaves(found, None)
    ]
    try:
        first, second = (
            [
                gradient.clone()
                for gradient in _pulled(found, leaves, cotangent, keep=True).values()
                if gradient is not None
            ]
            for _ in range(2)
        )
    except Exception:
        return False  # whatever it is that fails, a graph of its own may do
    return all(map(torch.equal, first, second))


class _Pushed:
    """The gradients by forward mode, one tangent an entry; those of the last arguments are kept."""

    def __init__(self) -> None:
        self.place: tuple[bytes, ...] = ()
        self.jacobian: dict[str, list[list[Tensor]]] = {}

    def __call__(self, function: Callable[..., Any], leaves: Tensors) -> Callable[[Any], Tensors]:
        place = tuple(as_array(x, k).tobytes() + str(x.dtype).encode() for k, x in leaves.items())
        if place != self.place:
            self.jacobian = {k: [*_columns(function, leaves, k)] for k in leaves}
            self.place = place
        return partial(self._along, self.jacobian, leaves)

    @staticmethod
    def _along(jacobian: dict[str, list[list[Tensor]]], leaves: Tensors, cotangent: Any) -> Tensors:
        heard = [c for c in _leaves(cotangent, None) if c is None or _is_inexact(c)]
        gradients = {}
        for name, x in leaves.items():
            entries = [
                sum(
                    (t * _real(c)).sum()
                    for t, c in zip(column, heard, strict=True)
                    if c is not None
                )
                for column in jacobian[name]
            ]
            gradients[name] = torch.stack(entries).reshape(x.shape).to(x.dtype)
        return gradients


def _columns(function: Callable[..., Any], leaves: Tensors, name: str) -> Iterator[list[Tensor]]:
    """Return how the outputs change with each entry of one leaf."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, where it is first used
        forward_ad = torch.autograd.forward_ad
        with forward_ad.dual_level():
            forward_ad.make_dual(torch.zeros(()), torch.ones(()))
    x = leaves[name]
    for i in range(x.numel()):
        tangent = torch.zeros_like(x)
        tangent[tuple(np.unravel_index(i, tuple(x.shape)))] = 1
        with forward_ad.dual_level():
            found = function({**leaves, name: forward_ad.make_dual(x, tangent)})
            pairs = [forward_ad.unpack_dual(y) for y in _leaves(found) if _is_inexact(y)]
            yield [_real(torch.zeros_like(y) if t is None else t.clone()) for y, t in pairs]


def _heard(found: Any, cotangent: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Return the outputs that have a gradient and a cotangent, and these in the outputs' types."""
    pairs = [
        (y, c if c.dtype == y.dtype else c.to(y.dtype))
        for y, c in zip(_leaves(found, None), _leaves(cotangent, None), strict=True)
        if c is not None and isinstance(y, torch.Tensor) and y.requires_grad
    ]
    return [y for y, _ in pairs], [c for _, c in pairs]


def _leaves(tree: Any, *kept: None) -> list[Any]:
    """Return the leaves of a tree, None among them if it is `kept`."""
    if _is_tensor(tree):
        return [tree]
    from jax.tree_util import tree_leaves

    return list(tree_leaves(tree, is_leaf=(lambda x: x is None) if kept else None))


def _complete(tree: Tree, leaves: Tensors, found: Tensors) -> Tensors:
    """Return gradients with 0 for what has none in an argument of which something has one."""
    if found.keys() == leaves.keys():
        return found
    some = {k for name in tree.original for k in tree.under(name) if k in found}
    branches = [tree.under(name) for name in tree.original]
    beside = [k for branch in branches if some & {*branch} for k in branch if k not in found]
    return {**found, **{k: torch.zeros_like(leaves[k]) for k in beside}}


def _differentiated(tree: Tree, reference: Callable[..., Any], heard: Tree) -> ByFramework:
    """Return <c, reference(args)> and its gradients by torch."""

    def witness(arrays: Params, cotangent: Params) -> tuple[float, Params]:
        named = tree.build(arrays)
        leaves = {k: x.detach().requires_grad_() for k, x in tree.pick("args", named).items()}
        with torch.enable_grad():
            found = reference(*tree.replaced(named, leaves).values())
            terms = [
                (y * torch.as_tensor(cotangent[k], device=y.device)).sum()
                for k, y in heard.pick("reference", found).items()
            ]
            loss = torch.stack([term.double() for term in terms]).sum()
        every: Sequence[Tensor]
        if loss.requires_grad:
            every = torch.autograd.grad(loss, [*leaves.values()], allow_unused=True)
        else:
            every = [None] * len(leaves)
        gradients = {
            k: np.zeros(tuple(x.shape)) if gradient is None else as_array(gradient, k).astype(float)
            for (k, x), gradient in zip(leaves.items(), every, strict=True)
        }
        return float(loss.detach()), gradients

    return witness


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, torch.Tensor)


def _odd(leaf: Any) -> bool:
    """Say whether a tensor has strides that are not contiguous, without sharing its memory."""
    if not _is_tensor(leaf) or leaf.is_contiguous():
        return False
    pairs = sorted((s, n) for s, n in zip(leaf.stride(), leaf.shape, strict=True) if n > 1)
    reach = 1
    for stride, n in pairs:
        if stride < reach:
            return False
        reach += stride * (n - 1)
    return True


def _with_strides(tensor: Tensor, strides: Sequence[int]) -> Tensor:
    span = 1 + sum((n - 1) * s for n, s in zip(tensor.shape, strides, strict=True))
    buffer = torch.zeros(span, dtype=tensor.dtype, device=tensor.device)
    return buffer.as_strided(tuple(tensor.shape), tuple(strides)).copy_(tensor)
