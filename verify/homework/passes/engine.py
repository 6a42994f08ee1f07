"""Small engines of automatic differentiation: each operator's `_backward`, called by itself.

An operator makes a new object and gives it a closure that adds to its operands' `grad`. It is
called twice, so that what is set and not added shows; what it must give is twice the derivative.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import numpy as np

from verify.homework.passes.experiment import Experiment, Gradient
from verify.homework.passes.inputs import draw
from verify.homework.passes.plans import Case
from verify.homework.read.discover import Candidate, is_operator, methods_of
from verify.homework.read.syntax import parameters
from verify.homework.run.door import Expression, Raised, Recipe, Step

SHAPES = ((), (4, 3))
TWICE = "its closure is called twice"


def operators(case: Case, candidate: Candidate) -> Iterator[list[Experiment]]:
    """Yield experiments of an operator of an engine, on numbers and on arrays."""
    if candidate.owner is None or not is_operator(candidate.node):
        return
    init = methods_of(case.found, candidate.owner).get("__init__")
    if init is None or not parameters(init, True):
        return
    data = _data_name(init)
    arguments = [name for name, default in candidate.arguments if not default]
    kinds = ("object", "number", "turned") if arguments else ("none",)
    built = [
        experiment
        for shape in SHAPES
        for other in kinds
        if (experiment := _experiment(case, candidate, shape, other, data)) is not None
    ]
    if built:
        yield built


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
    call: Step = ("call", ("at", out, "_backward"), [], {})
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


def _is_number(value: Any) -> bool:
    return isinstance(value, (float, np.ndarray)) and bool(np.isfinite(value).all())
