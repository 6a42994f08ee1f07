"""Functions of JAX: any that it can differentiate, also by a rule of their own.

Called as they are, compiled where they can be. In JAX's own convention gradients and cotangents of
complex numbers are the conjugates of those of PyTorch, which are the convention elsewhere here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from verify.evidence.trees import Tree, is_complex, parted
from verify.frameworks.rule import Rule, Subject, by_name, drawn, one_each
from verify.function import argument_names, differentiated

Floats = Mapping[str, Any]


def subject_of(function: Callable[..., Any], args: Sequence[Any]) -> Subject:
    """Return a function of JAX as it is called, with its arguments by name."""
    return Subject(function, dict(zip(argument_names(function, len(args)), args, strict=True)))


def undifferentiated(leaves: Mapping[str, Any]) -> list[str]:
    """Return the leaves that are plain numbers."""
    numbers = (float, complex, np.generic)
    return [name for name, leaf in leaves.items() if isinstance(leaf, numbers)]


def rule_of(function: Callable[..., Any], tree: Tree, mode: str = "reverse") -> Rule:
    """Return a function as a rule whose pullback is by the mode, "reverse" or "forward".

    Raises ValueError, when it is called, if JAX cannot differentiate the function.
    """

    def outputs(floats: Floats) -> Any:
        return function(*tree.build(floats).values())

    run = _compiled(outputs)
    pull = _compiled(partial({"reverse": _pulled, "forward": _pushed}[mode], outputs))

    def forward(*args: Any) -> Any:
        return run(tree.pick("args", by_name(tree, args)))

    def pullback(*args: Any) -> Callable[[Any], tuple[Any, ...]]:
        floats = tree.pick("args", by_name(tree, args))
        return lambda cotangent: one_each(tree, args, pull(floats, cotangent))

    return Rule(
        "JAX",
        tree,
        forward,
        pullback,
        partial(_differentiated, tree),
        list,  # no output says of itself that it has no gradient
        device=_device(tree),
        absent=False,
    )


def second_of(function: Callable[..., Any], tree: Tree, rng: np.random.Generator) -> Subject:
    """Return the gradients of <c, function(args)> as a function of args and of a random c.

    c is called "cotangent".
    """
    import jax
    import jax.numpy as jnp

    def random(y: Any) -> Any:
        y = jnp.asarray(y)
        inexact = jnp.issubdtype(y.dtype, jnp.inexact)
        return jnp.asarray(drawn(y, rng), y.dtype) if inexact else y

    def gradients(*args: Any) -> Any:
        *arguments, cotangent = args
        floats = tree.pick("args", by_name(tree, arguments))
        return _pulled(lambda x: function(*tree.build(x).values()), floats, cotangent)

    cotangent = jax.tree_util.tree_map(random, function(*tree.original.values()))
    return Subject(gradients, {**tree.original, "cotangent": cotangent})


def _pulled(outputs: Callable[[Floats], Any], floats: Floats, cotangent: Any) -> Floats:
    import jax

    found, back = jax.vjp(outputs, dict(floats))
    (gradients,) = back(jax.tree_util.tree_map(_tangent_like, found, cotangent))
    return dict(gradients)


def _pushed(outputs: Callable[[Floats], Any], floats: Floats, cotangent: Any) -> Floats:
    """Return the gradients by forward mode: one tangent an entry."""
    import jax
    import jax.numpy as jnp
    from jax.tree_util import tree_leaves

    def real(tree: Any) -> list[Any]:
        return [parted(y) if is_complex(y) else y for y in tree_leaves(tree)]

    jacobian = jax.jacfwd(lambda x: real(outputs(x)))(dict(floats))
    gradients = {name: jnp.zeros(jnp.shape(x), x.dtype) for name, x in floats.items()}
    for row, c in zip(jacobian, real(cotangent), strict=True):
        for name, part in row.items():
            if jnp.issubdtype(part.dtype, jnp.floating):
                along = jnp.tensordot(jnp.asarray(c, part.dtype), part, jnp.ndim(c))
                gradients[name] = gradients[name] + along
    return gradients


def _tangent_like(output: Any, cotangent: Any) -> Any:
    """Return a cotangent in the type that JAX expects for an output."""
    import jax
    import jax.numpy as jnp

    if not jnp.issubdtype(jnp.result_type(output), jnp.inexact):
        return np.zeros(jnp.shape(output), jax.dtypes.float0)
    return jnp.conj(jnp.asarray(cotangent, jnp.result_type(output)))


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is compiled, unless JAX cannot; raise ValueError if it fails then."""
    import jax

    compiled: Callable[..., Any] = jax.jit(function)

    def call(*args: Any) -> Any:
        nonlocal compiled
        try:
            return compiled(*args)
        except Exception as fault:
            # What fails when it is traced may do without: Python's own control flow, say.
            if compiled is function:
                first = (str(fault).strip().splitlines() or [type(fault).__name__])[0]
                raise ValueError(
                    f"function: JAX cannot differentiate it ({first}), expected a function of JAX "
                    "or PyTorch; check_vjp takes any function with its backward pass"
                ) from fault
            compiled = function
            return call(*args)

    return call


def _differentiated(tree: Tree, reference: Callable[..., Any], heard: Tree) -> Any:
    import jax.numpy as jnp

    def product(args: Mapping[str, Any], cotangent: Mapping[str, Any]) -> Any:
        found = heard.pick("reference", reference(*args.values()))
        return sum(jnp.vdot(cotangent[name], value) for name, value in found.items())

    return differentiated(tree, product, "reference")


def _device(tree: Tree) -> str:
    import jax

    leaves: Sequence[Any] = [x for x in tree.leaves.values() if isinstance(x, jax.Array)]
    return str(next(iter(leaves[0].devices())).platform) if leaves else str(jax.default_backend())
