"""Small engines of automatic differentiation: each operator's `_backward`, called by itself.

An operator makes a new object and gives it a closure that adds to its operands' `grad`. It is
called twice, so that what is set and not added shows; what it must give is twice the derivative.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from verify.homework.passes.case import Case
from verify.homework.passes.experiment import Experiment, Gradient
from verify.homework.passes.inputs import draw
from verify.homework.read.discover import BACK, Candidate, is_operator, methods_of, name_parts
from verify.homework.read.syntax import calls, parameters, required
from verify.homework.run.door import Expression, Raised, Recipe, Step

SHAPES = ((), (4, 3))
TWICE = "its closure is called twice"


def operators(case: Case, candidate: Candidate) -> Iterator[list[Experiment]]:
    """Yield experiments of an operator of an engine, on numbers and on arrays.

    Where its closure is not found, and for the engine's own `backward`, it is the engine that calls
    it: from a new object, whose gradient is 1, back to the operands.
    """
    if candidate.owner is None:
        return
    methods = methods_of(case.found, candidate.owner)
    init = methods.get("__init__")
    if init is None or not parameters(init, True):
        return
    data = _data_name(init)
    if is_operator(candidate.node):
        kinds = ("object", "number", "turned") if required(candidate.node, True) else ("none",)
        tried = (
            _experiment(case, candidate, shape, other, data) for shape in SHAPES for other in kinds
        )
        if built := [experiment for experiment in tried if experiment is not None]:
            yield built
            return
    if _is_engine(candidate, methods):
        names = (
            [candidate.function] if is_operator(candidate.node) else _operators_of(case, candidate)
        )
        whole = [name for name in methods if _is_run(name, methods[name])]
        for run in whole:
            through = (
                _through(case, candidate, name, run, shape, other, data)
                for name in names
                for shape in SHAPES
                for other in (
                    ("object", "itself", "number") if required(methods[name], True) else ("none",)
                )
            )
            if built := [experiment for experiment in through if experiment is not None]:
                yield built


def _is_run(name: str, node: ast.FunctionDef) -> bool:
    """Say whether a method is the one that goes back through all that an object was made of."""
    return (
        bool(BACK & set(name_parts(name)))
        and not required(node, True)
        and not name.startswith("__")
    )


def _is_engine(candidate: Candidate, methods: Mapping[str, ast.FunctionDef]) -> bool:
    """Say whether a class is an engine: its `+` or `*` makes another object of the class."""
    return any(
        name in methods and candidate.owner in calls(methods[name]) | _own_kinds(methods[name])
        for name in ("__add__", "__mul__", "add", "mul")
    )


def _own_kinds(node: ast.FunctionDef) -> set[str]:
    """Return nothing but the class itself where a method makes `self.__class__(...)`."""
    return {"self"} if "__class__" in ast.unparse(node) else set()


def _operators_of(case: Case, candidate: Candidate) -> list[str]:
    """Return the methods of an engine that make another object of its class."""
    methods = methods_of(case.found, candidate.owner or "")
    return [
        name
        for name, node in methods.items()
        if candidate.owner in calls(node)
        and len(required(node, True)) <= 1
        and not _is_run(name, node)
        and name not in ("__init__", "__repr__", "backward")
    ]


def _through(
    case: Case,
    candidate: Candidate,
    name: str,
    run: str,
    shape: tuple[int, ...],
    other: str,
    data: str,
) -> Experiment | None:
    """Return how an operator is called, and then the engine goes back from its result."""
    rng = np.random.default_rng(37)
    owner = candidate.owner or ""
    given: dict[str, Any] = {"self": np.abs(draw(shape, rng))}
    steps: list[Step] = [("call", ("name", owner), [("in", "self")], {})]
    operands: list[Expression] = []
    if other == "object":
        second = shape[::-1] if "matmul" in name or name in ("dot", "mm") else shape
        given["other"] = np.abs(draw(second, rng))
        steps.append(("call", ("name", owner), [("in", "other")], {}))
        operands = [("slot", 1)]
    elif other == "itself":
        operands = [("slot", 0)]
    elif other == "number":
        operands = [("value", 3)]
    steps.append(("call", ("at", ("slot", 0), name), operands, {}))
    out: Expression = ("slot", len(steps) - 1)
    value = ("at", out, data)
    backward = (*steps, ("call", ("at", out, run), [], {}))
    answer = case.door.run(Recipe(steps, (value,)), given)
    if isinstance(answer, Raised) or not _is_number(answer[0]):
        return None
    for inner in ((), (data,)):
        places = {key: ("at", ("slot", i), "grad") for i, key in enumerate(given)}
        where = {k: ("at", place, inner[0]) if inner else place for k, place in places.items()}
        after = case.door.run(Recipe(backward, tuple(where.values())), given)
        if not isinstance(after, Raised) and all(map(_is_number, after)):
            return Experiment(
                given=given,
                forward=tuple(steps),
                outputs=(value,),
                backward=backward,
                gradients=tuple(Gradient(f"{k}.grad", k, place) for k, place in where.items()),
                weights="ones",
                forward_name=name,
                main="self",
                tier=2,
                setting=f"{name} of {_SAID[other]}",
                certain=False,
            )
    return None


_SAID = {"none": "one object", "object": "two objects", "itself": "an object and itself",
         "number": "an object and a number"}  # fmt: skip


def _data_name(init: ast.FunctionDef) -> str:
    """Return the attribute that holds an object's value: the one set from the first argument."""
    first = parameters(init, True)[0][0]
    for node in ast.walk(init):
        match node:
            case ast.Assign([ast.Attribute(_, name)], value) if any(
                isinstance(n, ast.Name) and n.id == first for n in ast.walk(value)
            ):
                return name
    return "data"


def _experiment(
    case: Case, candidate: Candidate, shape: tuple[int, ...], other: str, data: str
) -> Experiment | None:
    rng = np.random.default_rng(31)
    given: dict[str, Any] = {"self": np.abs(draw(shape, rng))}
    owner = candidate.owner or ""
    steps: list[Step] = [("call", ("name", owner), [("in", "self")], {})]
    operands: list[Expression] = []
    if other in ("object", "turned"):
        given["other"] = np.abs(draw(shape[::-1] if other == "turned" else shape, rng))
        steps.append(("call", ("name", owner), [("in", "other")], {}))
        operands = [("slot", 1)]
    elif other == "number":
        operands = [("value", 3)]
    steps.append(("call", ("at", ("slot", 0), candidate.function), operands, {}))
    out = ("slot", len(steps) - 1)
    value = ("at", out, data)
    answer = case.door.run(Recipe(steps, (value,)), given)
    if isinstance(answer, Raised) or not _is_number(answer[0]):
        return None
    upstream = np.asarray(rng.uniform(1.5, 2.5, np.shape(answer[0])))  # 1 / it is not near it
    closure = _closure(candidate.node)
    if closure is None:
        return None
    name, takes = closure
    call: Step = ("call", ("at", out, name), [("value", upstream)] if takes else [], {})
    backward = (*steps, ("put", out, "grad", ("value", upstream)), call, call)
    gradients = [Gradient("self.grad", "self", ("at", ("slot", 0), "grad"))]
    if "other" in given:
        gradients.append(Gradient("other.grad", "other", ("at", ("slot", 1), "grad")))
    return Experiment(
        given=given,
        forward=tuple(steps),
        outputs=(value, value),
        backward=backward,
        gradients=tuple(gradients),
        weights="fixed",
        fixed=(upstream, upstream),
        forward_name=candidate.function,
        main="self",
        tier=2,
        setting=TWICE,
    )


def _closure(node: ast.FunctionDef) -> tuple[str, bool] | None:
    """Return the attribute that keeps an operator's closure, and whether that takes a gradient."""
    for part in ast.walk(node):
        match part:
            case ast.Assign([ast.Attribute(_, name)], ast.Name(inner)):
                for closure in ast.walk(node):
                    if isinstance(closure, ast.FunctionDef) and closure.name == inner:
                        return name, bool(closure.args.args) and not closure.args.defaults
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (float, np.ndarray)) and bool(np.isfinite(value).all())
