"""The check of any loss and its hand-written gradient, over any tree of arrays.

`compare` is to any gradient what `verify.three_way` is to that of the built-in network. The
user's functions are checked at the door and made into one `Claim`; it is measured in
`verify.evidence.any_function` and decided in `verify.verdict`. Not here: the network of `manual`,
which `verify.network` knows better, and a function without a loss (`verify.layer`).
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np

from verify.door import door
from verify.evidence.any_function import Measurement, measure
from verify.evidence.claims import Claim, Claims, alone
from verify.evidence.differences import budgeted
from verify.evidence.differences.central import Params
from verify.evidence.precisions import PRECISIONS
from verify.evidence.trees import (
    Tree,
    as_array,
    flatten,
    integers_as_numbers,
    is_floating,
    nameless,
    widened,
)
from verify.report import Fact, Report, over_bar
from verify.verdict import HAND_DIFFERENCE, decide


@door
def compare(
    loss: Callable[[Any], Any],
    grads: Callable[[Any], Any] | None,
    params: Any,
    mirror: Callable[[Any], Any] | None = None,
    *,
    names: Sequence[str] = (),
    budget: int = 10_000,
    seconds: float = 10.0,
    seed: int = 0,
    compute_dtype: str | None = None,
) -> Report:
    """Check a hand-written gradient of any loss against differences of that loss, and JAX.

    `loss(params)` returns one number, and `grads(params)` a tree like params: dicts, lists, tuples,
    named tuples, dataclasses registered with JAX, or one array. Where grads is None, loss returns
    both, as a function for `scipy.optimize.minimize(jac=True)` or of `jax.value_and_grad` does.
    Integers in params are constants, unless there is nothing else. Where params are complex, the
    gradient is df/dRe + i df/dIm, as PyTorch has it. `mirror(params)` is the same loss in JAX.
    `budget` is about how many times the loss may be called, and `seconds` how long all of it may
    take: what was left out for lack of time is stated. `names` are what the report calls the
    elements of params, where these are a tuple, a list or one array. Loss and gradient are called
    in the dtype of params; differences are taken in float64 at the same values, where the loss
    takes those. `compute_dtype` says in what type they compute inside, "float32", "float16" or
    "bfloat16", if that is not the type of params; otherwise it is found out.

    Raises ValueError if params is no tree of finite floating-point arrays, if the gradients
    have another structure or other shapes, if the loss is not one number, if either function
    changes its argument, if the budget is too small for anything, or for another compute_dtype.

    Examples:
        >>> import backproof
        >>> import numpy as np
        >>> report = backproof.compare(lambda w: np.sum(w**2), lambda w: 3 * w, np.ones(2))
        >>> report.verdict
        'disagree'
        >>> backproof.compare(lambda w: np.sum(w**2), lambda w: 2 * w, np.ones(2)).ok
        True
    """
    check_functions(loss=loss, mirror=mirror)
    value: Callable[[Any], Any] = loss if grads is not None else partial(_one_of_both, loss, 0)
    gradient: Callable[[Any], Any] = grads if grads is not None else partial(_one_of_both, loss, 1)
    check_functions(grads=gradient)
    check_integers(budget=budget, seed=seed)
    seconds, unit = check_seconds(seconds), stated_unit(compute_dtype)
    numbers = integers_as_numbers("params", params)
    names = check_names(names, nameless(numbers))
    tree = flatten("params", numbers, names)
    claim = Claim(
        tree,
        lambda arrays: _one_number("loss", value(tree.build(arrays)), arrays),
        lambda arrays: tree.read("grads", gradient(tree.build(arrays))),
        mirror and differentiated(tree, mirror),
        ("loss", "grads"),
        lambda arrays: [value(tree.build(arrays))],
    )
    check_budget(budget, len(tree.arrays))
    report = check_claims(alone(claim), budget, seed, seconds, unit)
    converted = [] if numbers is params else [Fact("integers-as-numbers", {"argument": "params"})]
    return replace(
        report,
        notes=(*report.notes, *_conjugated(report), *special_points(tree), *converted),
        repeat=call(
            "compare",
            {"loss": loss, "grads": grads, "params": params, "mirror": mirror},
            names=names,
            budget=budget,
            seconds=seconds,
            seed=seed,
            compute_dtype=compute_dtype,
        ),
    )


def _conjugated(report: Report) -> list[Fact]:
    """Return which gradients are the complex conjugates of what differences expect."""
    names = []
    for tensor in report.tensors:
        pair = tensor.pairs[HAND_DIFFERENCE]
        if not tensor.complex or pair.agree or not pair.index.size:
            continue
        other = np.where(pair.index % 2, -pair.value, pair.value) - pair.value + pair.difference
        if (over_bar(other, pair.bar) <= 1).all():
            names.append(tensor.name)
    return [Fact("conjugated", {"tensors": names})] if names else []


def check_claims(
    claims: Claims,
    budget: int,
    seed: int,
    seconds: float,
    unit: float | None = None,
    spent: float = 0.0,
) -> Report:
    """Measure claims about the losses of one forward pass, and decide on them together.

    `unit` is the unit roundoff that their functions are said to compute in, if any, and `spent`
    how many of the seconds are gone.
    """
    arrays = claims.tree.arrays
    with _progress(budgeted.at_most(arrays, budget)) as advance:
        found = measure(claims, unit, budget, seed, seconds, advance, spent)
    report = decide(found.cases, claims.leading, found.forms, claims.peer)
    settings: dict[str, Any] = {
        "parameters": sum(value.size for value in arrays.values()),
        "dtype": ", ".join(claims.tree.dtypes),
        "budget": budget,
        "seed": seed,
        "evaluations": found.evaluations,
    }
    if any(found.cotangents):
        settings["cotangents"] = [k for k in found.cotangents if k not in found.forms]
        if found.forms:
            settings["forms"] = list(found.forms.values())
    return replace(
        report,
        tensors=[replace(x, complex=x.name in claims.tree.complex) for x in report.tensors],
        conclusion=_of_all(report.conclusion, found),
        notes=(*report.notes, *_hurried(report, found, seconds)),
        settings=settings,
        seconds=found.seconds,
    )


def _of_all(conclusion: Fact, found: Measurement) -> Fact:
    """Return a conclusion about all cotangents, also those that the report does not show."""
    plain = [label for label in found.wrong if label not in found.forms]
    if conclusion.kind == "wrong-for-forms" and plain:
        first = conclusion.values["first"]
        conclusion = Fact("wrong-under-cotangents", {"first": first, "wrong": [], "count": 0})
    values = dict(conclusion.values)
    if conclusion.kind == "wrong-for-forms":
        values["forms"] = [*values["forms"], *(found.forms[label] for label in found.wrong)]
    if conclusion.kind in ("cotangents-agree", "wrong-under-cotangents"):
        every = len(found.cases) + len(found.wrong) + found.right
        values["count"] = every - len(found.forms)
    if conclusion.kind == "wrong-under-cotangents":
        values["wrong"] = [*values["wrong"], *plain]
    return replace(conclusion, values=values)


def _hurried(report: Report, found: Measurement, seconds: float) -> list[Fact]:
    """Return what lack of time left out, and how small an error would have been seen."""
    if not found.hurried or not report.tensors:
        return []
    coarsest = max(report.tensors, key=lambda tensor: tensor.resolution.entry)
    values = {
        "seconds": seconds,
        "checked": sum(tensor.entries_checked for tensor in report.tensors),
        "count": sum(math.prod(tensor.shape) for tensor in report.tensors),
        "tensor": coarsest.name,
        "entry": coarsest.resolution.entry,
    }
    return [Fact("out-of-time", values)]


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show how many evaluations are done, on a terminal alone, and none of it afterwards."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("evaluations of the loss", total=total)
        yield lambda: progress.advance(task)


def differentiated(
    tree: Tree, function: Callable[..., Any], argument: str = "mirror"
) -> Callable[..., tuple[float, Params]]:
    """Return the value and gradients, differentiated by JAX, of a function of the tree.

    What is returned takes a flat dict of arrays, and passes on further arguments. `argument` is
    what the user calls the function.
    """
    import jax

    traced = jax.value_and_grad(lambda arrays, *more: function(tree.build(arrays), *more))
    compiled: Callable[..., Any] = jax.jit(traced)

    def witness(arrays: Params, *more: Any) -> tuple[float, Params]:
        nonlocal compiled
        try:
            value, grads = compiled(dict(arrays), *more)
        except (TypeError, IndexError) as fault:
            if compiled is traced:
                first = str(fault).strip().splitlines()[0]
                raise ValueError(
                    f"{argument}: JAX cannot differentiate it ({first}), expected a function "
                    "written with jax.numpy that returns what the other does"
                ) from fault
            # Python's own control flow cannot be compiled, but it can be differentiated.
            compiled = traced
            return witness(arrays, *more)
        return float(value), {k: np.asarray(grads[k], float) for k in arrays}

    return witness


def _one_of_both(function: Callable[[Any], Any], part: int, params: Any) -> Any:
    """Return the value or the gradient of a function that returns both."""
    found = function(params)
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise ValueError(
            f"loss: it returned {type(found).__name__}, expected a value and a gradient, as grads "
            "is None"
        )
    return found[part]


def _one_number(name: str, value: Any, arrays: Mapping[str, Any]) -> np.ndarray:
    """Return what a loss of these arrays returned as a 0-d array.

    Raises ValueError if it is not one number, or if it is complex where no array is.
    """
    array = widened(value, name)
    kinds = "fiuc" if any(each.dtype.kind == "c" for each in arrays.values()) else "fiu"
    if array.dtype.kind not in kinds or array.size != 1:
        got = f"an array of the shape {array.shape}" if array.size != 1 else type(value).__name__
        raise ValueError(
            f"{name}: it returned {got}, expected a function that returns one real number"
        )
    return array.reshape(())


def stated_unit(compute_dtype: str | None) -> float | None:
    """Return the unit roundoff of the type that functions are said to compute in.

    Raises ValueError for a type of another name.
    """
    if compute_dtype is None:
        return None
    names = [name for name in PRECISIONS if name != "float64"]
    if compute_dtype not in names:
        raise ValueError(f"compute_dtype: got {compute_dtype!r}, expected {', '.join(names)}")
    return PRECISIONS[compute_dtype].u


def check_functions(**functions: Any) -> None:
    """Raise ValueError, naming the argument, for what cannot be called; a mirror may be None."""
    for name, value in functions.items():
        if not callable(value) and not (name == "mirror" and value is None):
            raise ValueError(f"{name}: got {type(value).__name__}, expected a function")


def check_integers(**numbers: Any) -> None:
    """Raise ValueError, naming the argument, for what is no integer or is negative."""
    for name, value in numbers.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 0:
            raise ValueError(f"{name}: got {_given(value)}, expected an integer, 0 or more")


def _given(value: Any) -> str:
    plain = isinstance(value, (Real, str)) or value is None
    return repr(value) if plain else type(value).__name__


def check_names(names: Any, count: int) -> tuple[str, ...]:
    """Return names as a tuple; raise ValueError if there are any but not `count` different ones."""
    given = (names,) if not isinstance(names, (tuple, list)) else tuple(names)
    if given and (len({*given}) != count or not all(isinstance(name, str) for name in given)):
        raise ValueError(f"names: got {names!r}, expected {count} different names")
    return given


def argument_names(function: Callable[..., Any], count: int, skipped: int = 0) -> tuple[str, ...]:
    """Return the names that a signature has for its arguments, or numbered ones.

    The first `skipped` of the signature are not among them.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())[skipped:]
    except (TypeError, ValueError):
        parameters = []
    positional = [
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) >= count:
        return tuple(positional[:count])
    return tuple(f"arg{number}" for number in range(count))


def special_points(tree: Tree) -> list[Fact]:
    """Return which floating leaves are 0 or 1 throughout, so that a factor of them is not seen."""
    arrays = {k: as_array(v, k) for k, v in tree.leaves.items() if is_floating(v)}
    zeros, ones = (
        [k for k, array in arrays.items() if array.size and (array == value).all()]
        for value in (0, 1)
    )
    return [Fact("special-point", {"zeros": zeros, "ones": ones})] if zeros or ones else []


def call(function: str, arguments: Mapping[str, Any], **options: Any) -> str:
    """Return the line of Python that calls one of ours, without what is None or an empty tuple.

    What has no short form stands under its own name, or under that of the argument.
    """
    written = [
        _written(key, value)
        for key, value in arguments.items()
        if value is not None or key == "grads"
    ]
    written += [
        f"{key}={_written(key, value)}"
        for key, value in options.items()
        if value is not None and not (isinstance(value, tuple) and not value)
    ]
    return f"verify.{function}({', '.join(written)})"


def _written(key: str, value: Any) -> str:
    if value is None:
        return "None"
    if key == "function" and isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if isinstance(value, (str, Real, tuple, list)) and key not in ("params", "args"):
        return repr(int(value) if isinstance(value, Integral) else value)
    name = getattr(value, "__name__", "") if callable(value) else key
    return name if name.isidentifier() else key


def check_seconds(seconds: Any) -> float:
    """Return seconds as a float, or raise ValueError for what is no number, or no time at all."""
    if not isinstance(seconds, Real) or isinstance(seconds, bool) or not float(seconds) > 0:
        raise ValueError(f"seconds: got {_given(seconds)}, expected a positive number")
    return float(seconds)


def check_budget(budget: int, tensors: int) -> None:
    """Raise ValueError if a budget of evaluations is too small for so many tensors."""
    least = 200 + budgeted.least_budget(tensors)
    if budget < least:
        raise ValueError(
            f"budget: got {budget}, expected at least {least} for {tensors} "
            f"{'tensor' if tensors == 1 else 'tensors'}"
        )
