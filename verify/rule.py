"""The check of one function with a rule of its own, as it is: of PyTorch or of JAX.

The framework is found from the function and its arguments, and calls and differentiates it
(`verify.frameworks`); what is then checked is a layer like any other (`verify.layer`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from verify.door import door
from verify.evidence.forms import LAYOUTS, PLAIN
from verify.evidence.trees import Tree, as_array, flatten, is_floating, under
from verify.frameworks.rule import Rule, Subject
from verify.function import call, check_functions, check_integers, check_seconds, stated_unit
from verify.layer import Layer, checked_layer, chosen
from verify.report import Fact, Report

BUDGET = 10_000
"""How many times the function may be called, about."""
MODES = ("reverse", "forward")
SPREAD = 0.25
"""How far, relative to its size, an argument that is constant throughout is moved."""
PEER = "the reference"
SHOWN = 300
"""Characters of another's error that are shown."""
WORST_FIRST = ("disagree", "undecided", "agree")


@door
def check(
    function: Callable[..., Any],
    args: Any,
    reference: Callable[..., Any] | None = None,
    *,
    constants: Collection[str | int] = (),
    aux: Collection[str | int] = (),
    order: int = 1,
    modes: Collection[str] = ("reverse",),
    layouts: Collection[str] = LAYOUTS,
    compute_dtype: str | None = None,
    seconds: float = 10.0,
    seed: int = 0,
    jitter: bool = True,
) -> Report:
    """Check the gradient of a function of PyTorch or JAX that has a rule of its own.

    `function` is a torch.autograd.Function or its `apply`, any function of tensors, a module; or
    any function of JAX, a custom_vjp or custom_jvp among them. `args` are its arguments: tensors
    stay on their device, keep their strides, and are differentiated if they are floating; where
    some require a gradient, those alone. So are a module's parameters. Numbers that are no arrays
    are constants, and so is what `constants` names or numbers. Outputs that `aux` names or numbers
    are not differentiated. Complex arguments and outputs are differentiated as the framework does.

    The gradient is compared with differences of the function, in float64 where it takes that, and
    with `reference`, the same function written plainly, which the framework differentiates in
    float64. Cotangents are handed over contiguous, in the `layouts` "strided", "transposed" and
    "expanded", 0 and 1 throughout, and, by PyTorch, of one output alone. The report names the
    layouts that were left out. With `jitter` arguments that are constant throughout, as a fresh
    normalisation's weights, are moved to general values first.

    `order` 2 checks the gradient's own gradient, too. `modes` are "reverse", "forward" or both.
    `compute_dtype` and `seconds` are as in `compare`.

    Raises ValueError for arguments of another kind, and for a function that fails on them or that
    its framework cannot differentiate so.

    Example:
        >>> import backproof
        >>> import jax
        >>> import jax.numpy as jnp
        >>> @jax.custom_vjp
        ... def square(x):
        ...     return x**2
        >>> square.defvjp(lambda x: (x**2, x), lambda x, dy: (3 * x * dy,))
        >>> backproof.check(square, (jnp.array([0.5, -2.0]),)).verdict
        'disagree'
    """
    check_functions(function=function)
    if reference is not None:
        check_functions(reference=reference)
    check_integers(seed=seed)
    seconds, unit = check_seconds(seconds), stated_unit(compute_dtype)
    modes, layouts = _some("modes", modes, MODES), _some("layouts", layouts, (PLAIN, *LAYOUTS))
    parts = [(1, mode) for mode in modes] + [(2, "reverse")] * (_order(order) - 1)
    args = tuple(args) if isinstance(args, (tuple, list)) else (args,)
    import jax

    with jax.enable_x64(True), _named(function):
        framework = _framework(function, args)
        subject = framework.subject_of(function, args)
        question = Question(framework, reference, aux, layouts, unit, seconds / len(parts), seed)
        tree, notes = _differentiated(framework, subject, constants)
        rng = np.random.default_rng(seed)
        if jitter:
            tree, notes = _moved(framework.rule_of(subject.function, tree), notes, rng)
        reports = {part: _part(question, subject, tree, part, rng) for part in parts}
    report = _worst(reports)
    return replace(
        report,
        notes=(*report.notes, *notes),
        repeat=call(
            "check",
            {"function": _called(function), "args": args, "reference": reference},
            constants=tuple(constants) if not isinstance(constants, (str, int)) else constants,
            aux=tuple(aux) if not isinstance(aux, (str, int)) else aux,
            order=None if order == 1 else order,
            modes=None if modes == ("reverse",) else modes,
            layouts=None if {*layouts} >= {*LAYOUTS} else layouts,
            compute_dtype=compute_dtype,
            seconds=seconds,
            seed=seed,
            jitter=None if jitter else False,
        ),
    )


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of a function, for every order and mode: as in `check`."""

    framework: ModuleType
    reference: Callable[..., Any] | None
    aux: Collection[str | int]
    layouts: Collection[str]
    unit: float | None
    seconds: float
    seed: int


@contextmanager
def _named(function: Any) -> Iterator[None]:
    """Turn what a function raises on its arguments into a ValueError that says so."""
    try:
        yield
    except ValueError:
        raise
    except Exception as fault:
        message = " ".join(str(fault).split())
        raise ValueError(
            f"function: it raises {type(fault).__name__}: {message[:SHOWN]}, expected one that "
            "can be called and differentiated with these arguments"
        ) from fault


def _framework(function: Any, args: Sequence[Any]) -> ModuleType:
    """Return the module that knows the framework of a function and its arguments."""
    from jax.tree_util import tree_leaves

    if "torch" in sys.modules:
        from verify.frameworks import torch_rules

        if torch_rules.knows(function, tree_leaves(args)):
            return torch_rules
    from verify.frameworks import jax_rules

    return jax_rules


def _differentiated(
    framework: ModuleType, subject: Subject, constants: Collection[str | int]
) -> tuple[Tree, list[Fact]]:
    """Return the arguments as a tree, of which is floating what is differentiated, and a note."""
    fixed = chosen("constants", constants, list(subject.args))
    silent: list[str] = []

    def constant(leaves: Mapping[str, Any]) -> list[str]:
        named = under(leaves, fixed)
        others = {name: leaf for name, leaf in leaves.items() if name not in named}
        found = framework.undifferentiated(others)
        silent.extend(name for name in found if _is_array(leaves[name]))
        return [*named, *found]

    tree = flatten("args", subject.args, fixed=constant)
    return tree, [Fact("requires-no-gradient", {"tensors": silent})] if silent else []


def _is_array(leaf: Any) -> bool:
    return is_floating(leaf) and not isinstance(leaf, (float, complex, np.generic))


def _moved(rule: Rule, notes: list[Fact], rng: np.random.Generator) -> tuple[Tree, list[Fact]]:
    """Return the arguments with those moved that are constant throughout, and one more note.

    They stay where they are if the function is not finite elsewhere.
    """
    tree = rule.tree
    special = [name for name, x in tree.arrays.items() if x.size and _is_special(tree, name)]
    if not special:
        return tree, notes
    arrays = dict(tree.arrays)
    for name in special:
        x = tree.arrays[name].astype(float)
        away = rng.standard_normal(x.shape)
        arrays[name] = np.where(x == 0, away, x * np.exp(SPREAD * away)).astype(x.dtype)
    arrays = {name: x.astype(tree.arrays[name].dtype) for name, x in arrays.items()}
    from jax.tree_util import tree_leaves

    try:
        outputs = tree_leaves(rule.forward(*tree.build(tree.native(arrays)).values()))
        finite = all(np.isfinite(as_array(y, "forward").astype(complex)).all() for y in outputs)
    except Exception:
        finite = False  # whatever it is that it refuses there: it is not checked there
    if not finite:
        return tree, notes
    return replace(tree, arrays=arrays), [*notes, Fact("moved", {"tensors": special})]


def _is_special(tree: Tree, name: str) -> bool:
    """Say whether an array is one number throughout, of a single number whether it is -1, 0 or 1.

    A complex number is two, its parts.
    """
    x = tree.arrays[name]
    rows = x.reshape(-1, 2 if name in tree.complex else 1)
    return bool((rows == rows[0]).all() and (len(rows) > 1 or np.isin(rows, (-1, 0, 1)).all()))


def _part(
    question: Question,
    subject: Subject,
    tree: Tree,
    part: tuple[int, str],
    rng: np.random.Generator,
) -> Report:
    """Return the report on the gradient of one order by one mode."""
    order, mode = part
    framework, reference = question.framework, question.reference
    if order == 2:
        if reference is not None:
            reference = framework.second_of(reference, tree, rng).function
        subject = framework.second_of(subject.function, tree, rng)
        second = flatten("args", subject.args)
        kept = {*tree.arrays, *second.under("cotangent")}
        second = second.without([name for name in second.arrays if name not in kept])
        tree = replace(second, arrays={**second.arrays, **tree.arrays})
    rule = framework.rule_of(subject.function, tree, mode)
    silent = rule.silent()
    witness = None if reference is None else partial(rule.differentiated, reference)
    aux: Sequence[str | int] = ()
    if order == 1:
        aux = [question.aux] if isinstance(question.aux, (str, int)) else [*question.aux]
    peer = {} if reference is None else {"peer": PEER}
    layer = Layer(
        tuple(subject.args),
        rule.forward,
        rule.pullback,
        witness,
        tree,
        [*aux, *silent],
        question.unit,
        PEER,
        rule.absent,
        question.layouts,
    )
    report = checked_layer(layer, BUDGET, question.seconds, None, question.seed)
    if silent:
        note = Fact("outputs-without-gradient", {"outputs": silent})
        report = replace(report, notes=(*report.notes, note))
    return replace(report, loss=None, settings={**report.settings, **_circumstances(rule), **peer})


def _called(function: Any) -> Any:
    """Return a function, or the text that calls it where that is a class's `apply`."""
    owner = getattr(function, "__self__", None)
    return f"{owner.__name__}.{function.__name__}" if isinstance(owner, type) else function


def _circumstances(rule: Rule) -> dict[str, Any]:
    """Return on what device a function ran, and which of its arguments are not contiguous."""
    layouts = {
        name: f"strides {tuple(leaf.stride())}"
        for name, leaf in rule.tree.leaves.items()
        if name in rule.tree.arrays and hasattr(leaf, "stride") and not leaf.is_contiguous()
    }
    return {"framework": rule.framework, "device": rule.device, "layouts": layouts}


def _worst(reports: Mapping[tuple[int, str], Report]) -> Report:
    """Return the worst report, which says in what part of the check that is, and what agrees."""
    part = min(reports, key=lambda part: WORST_FIRST.index(reports[part].verdict))
    report = reports[part]
    if len(reports) == 1:
        return report
    others = [each for each in reports if each != part and reports[each].ok]
    return replace(
        report,
        conclusion=Fact("part", {"order": part[0], "mode": part[1], "fact": report.conclusion}),
        notes=(*report.notes, *([Fact("parts-agree", {"parts": others})] if others else [])),
    )


def _order(order: Any) -> int:
    if order not in (1, 2) or isinstance(order, bool):
        raise ValueError(f"order: got {order!r}, expected 1 or 2")
    return int(order)


def _some(argument: str, given: Any, known: Sequence[str]) -> tuple[str, ...]:
    """Return some of the known names, each once; raise ValueError for none or for another."""
    names = (given,) if isinstance(given, str) else tuple(given)
    if not names or not {*names} <= {*known}:
        raise ValueError(f"{argument}: got {given!r}, expected some of {', '.join(known)}")
    return tuple(dict.fromkeys(names))
