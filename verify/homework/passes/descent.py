"""A pass that applies its gradients itself, `W -= rate * dW`: they are read off the step.

What the object's parameters have moved by, over the rate, is the gradient. Where an optimiser
moves them, that is so if they move twice as far at twice the rate, and for twice the cotangent. A
parameter that moves in another way (with Adam, with weight decay) hides its gradient.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from verify.homework.passes.experiment import Gradient
from verify.homework.read.discover import is_gradient
from verify.homework.run.door import Door, Expression, Raised, Recipe, Step

RATE = 0.35
"""The learning rate that a pass is given where it asks for one."""


@dataclass(frozen=True)
class Descent:
    """A step along a gradient: what the gradient is called, "" for a formula, and the rate."""

    gradient: str
    ascends: bool
    line: int
    argument: str = ""
    """The argument that is the rate, if one is."""
    attribute: str = ""
    """The attribute that is the rate, if one is; without either it is 1."""

    def down(self, path: str, after: Expression) -> Expression:
        """Return the gradient down which a parameter moved, once the pass has run."""
        rate: Expression = ("value", RATE if self.argument else 1.0)
        if self.attribute:
            rate = ("at", ("slot", 0), self.attribute)
        return ("step", ("in", path), after, rate)


@cache
def descents(node: ast.FunctionDef) -> Mapping[str, Descent]:
    """Return the steps along gradients that a method takes, by the path of what it moves.

    A step upwards is one too: the errors of many start with `y - output`.
    """
    arguments = {part.arg for part in node.args.args}
    items = _items(node)
    found = {}
    for part in ast.walk(node):
        match part:
            case ast.AugAssign(target, ast.Sub() | ast.Add() as sign, step):
                pass
            case ast.Assign([target], ast.BinOp(start, ast.Sub() | ast.Add() as sign, step)) if (
                same(target, start)
            ):
                pass
            case _:
                continue
        path = path_of(target, items)
        factors = list(_factors(step))
        rates = [factor for factor in factors if _is_rate(factor, arguments)]
        others = [factor for factor in factors if factor not in rates]
        name = others[0].id if len(others) == 1 and isinstance(others[0], ast.Name) else ""
        known = len(rates) == 1 or (not rates and is_gradient(name))
        if path and known and not any(same(target, inner) for inner in ast.walk(step)):
            text = ast.unparse(rates[0]) if rates else ""
            attribute = text.removeprefix("self.") if text.startswith("self.") else ""
            argument = "" if attribute else text
            found[path] = Descent(name, isinstance(sign, ast.Add), part.lineno, argument, attribute)
    return found


def same(one: ast.AST, other: ast.AST) -> bool:
    """Say whether two expressions are written alike."""
    return ast.unparse(one) == ast.unparse(other)


def path_of(target: ast.expr, items: Mapping[str, str]) -> str:
    """Return where a method keeps something: `params.W` of `self.params["W"]`; "" if nowhere.

    `layers.*.W` is that of any layer in `self.layers`; `items` says of what list a name is an item.
    """
    match target:
        case ast.Name(name):
            return items.get(name, "")
        case ast.Attribute(ast.Name("self"), name):
            return name
        case ast.Attribute(holder, name) if path := path_of(holder, items):
            return f"{path}.{name}"
        case ast.Subscript(holder, ast.Constant(str(key))) if path := path_of(holder, items):
            return f"{path}.{key}"
        case ast.Subscript(holder, ast.Constant(int() as place)) if path := path_of(holder, items):
            return f"{path}.{place if place >= 0 else '*'}"
        case ast.Subscript(holder, index) if not isinstance(index, ast.Slice | ast.Tuple):
            return f"{path}.*" if (path := path_of(holder, items)) else ""
    return ""


def _items(node: ast.FunctionDef) -> dict[str, str]:
    """Return the names that go through lists of an object, with the path of what they are."""
    found: dict[str, str] = {}
    for part in ast.walk(node):
        if not isinstance(part, ast.For):
            continue
        names, lists = [part.target], [part.iter]
        if isinstance(part.target, ast.Tuple) and isinstance(part.iter, ast.Call):
            names, lists = part.target.elts, part.iter.args
            if getattr(part.iter.func, "id", "") == "enumerate":
                names = names[1:]
        for name, of in zip(names, lists, strict=False):
            while isinstance(of, ast.Call) and of.args:
                of = of.args[0]  # reversed(self.layers)
            of = of.value if isinstance(of, ast.Subscript) else of
            if isinstance(name, ast.Name) and (path := path_of(of, {})):
                found[name.id] = f"{path}.*"
    return found


def _factors(product: ast.expr) -> Iterator[ast.expr]:
    match product:
        case ast.BinOp(left, ast.Mult(), right):
            yield from _factors(left)
            yield from _factors(right)
        case _:
            yield product


RATES = frozenset("lr alpha eta rate learning_rate learningrate learn_rate step_size".split())
"""What a learning rate is called, in lower case."""

SURE_RATES = RATES - {"alpha", "eta", "rate", "step_size"}
"""Those that nothing but a learning rate is called: alpha is the slope of leaky_relu too."""


def _is_rate(factor: ast.expr, arguments: Collection[str]) -> bool:
    match factor:
        case ast.Name(name):
            return name in arguments and name.lower() in RATES
        case ast.Attribute(ast.Name("self"), name):
            return name.lower() in RATES
    return False


def _any_item(path: str) -> str:
    """Return a path with any place in a list: `weights.*` of `weights.0`."""
    return re.sub(r"\.\d+(?=\.|$)", ".*", path)


def stepped(
    node: ast.FunctionDef,
    given: Collection[str],
    before: Mapping[str, np.ndarray],
    after: Mapping[str, tuple[Expression, np.ndarray]],
    downwards: bool,
) -> tuple[list[Gradient], list[str]]:
    """Return the gradients down which given parameters moved, and what moved otherwise.

    `downwards` says that all should have moved down. If none did, they may have moved rightly up
    along the negative gradient of a loss that is not known, and are not judged.
    """
    found = {
        path: step
        for path in given
        if (step := descents(node).get(path, descents(node).get(_any_item(path)))) is not None
    }
    moved = [
        path
        for path in given
        if path in before and path in after and not np.array_equal(before[path], after[path][1])
    ]
    if not downwards and all(found[path].ascends for path in moved if path in found):
        return [], moved
    steps = [
        Gradient(
            found[path].gradient if path in descents(node) and found[path].gradient else f"d{path}",
            path,
            found[path].down(path, after[path][0]),
            found[path].line,
        )
        for path in moved
        if path in found
    ]
    return steps, [path for path in moved if path not in found]


@dataclass(frozen=True, eq=False)
class Moving:
    """A pass that moves parameters through an optimiser: how it is called, and what moves."""

    door: Door
    steps: tuple[Step, ...]
    given: Mapping[str, Any]
    cotangents: Collection[str]
    moved: Mapping[str, tuple[Expression, np.ndarray]]
    """Where each parameter that moves is afterwards, and what it was before."""

    def gradients(self, state: Any) -> list[Gradient]:
        """Return the gradients down which the parameters moved, none where it is not known.

        `state` has the attributes of the object, the rate may be one of them.
        """
        double = {name: 2 * np.asarray(self.given[name]) for name in self.cotangents}
        once = self._steps_of(self.steps, self.given)
        further = self._steps_of(self.steps, {**self.given, **double})
        for rate, steps in self._at_twice_the_rate(state):
            faster = self._steps_of(steps, self.given)
            if _is_twice(further, once) and _is_twice(faster, once):
                ours = any("descent" in repr(step) for step in steps)
                return [
                    Gradient(
                        f"d{path}", path, ("step", ("in", path), where, rate), applied=not ours
                    )
                    for path, (where, _) in self.moved.items()
                ]
        return []

    def _steps_of(self, steps: tuple[Step, ...], given: Mapping[str, Any]) -> list[np.ndarray]:
        wanted = tuple(where for where, _ in self.moved.values())
        answer = self.door.run(Recipe(steps, wanted), given)
        if isinstance(answer, Raised):
            return []
        ends = [np.asarray(end, float) for end in answer]
        starts = [start for _, start in self.moved.values()]
        return [a - b for a, b in zip(starts, ends, strict=True) if np.shape(a) == np.shape(b)]

    def _at_twice_the_rate(self, state: Any) -> Iterator[tuple[Expression, tuple[Step, ...]]]:
        """Yield where the rate may be, and the same steps at twice of it."""
        *before, (kind, function, arguments, keywords) = self.steps
        for name, value in keywords.items():
            if name.lower() in RATES and value[0] == "value":
                twice = {**keywords, name: ("value", 2 * value[1])}
                yield value, (*before, (kind, function, arguments, twice))
        if (steps := tuple(map(_twice_as_fast, self.steps))) != self.steps:
            yield ("value", RATE), steps
        made = next((i for i, step in enumerate(self.steps) if step[0] == "call"), 0) + 1
        for holder, name, value in _rates_in(state, ("slot", 0)):
            faster: Step = ("put", holder, name, ("value", 2 * value))
            yield ("value", value), (*self.steps[:made], faster, *self.steps[made:])


def _twice_as_fast(part: Any) -> Any:
    """Return a step with an optimiser of ours at twice the rate."""
    if isinstance(part, tuple) and part[:2] == ("descent", RATE):
        return ("descent", 2 * RATE, *part[2:])
    if isinstance(part, dict):
        return {key: _twice_as_fast(each) for key, each in part.items()}
    if isinstance(part, (tuple, list)):
        return type(part)(map(_twice_as_fast, part))
    return part


def _rates_in(state: Any, holder: Expression) -> Iterator[tuple[Expression, str, float]]:
    """Yield the attributes that are called as a learning rate is, those of inner objects too."""
    for name, value in state.items() if isinstance(state, Mapping) else ():
        if isinstance(value, float) and str(name).lower().strip("_") in RATES and value:
            yield holder, name, value
        elif isinstance(value, Mapping):
            yield from _rates_in(value, ("at", holder, name))


def _is_twice(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> bool:
    """Say whether all steps are twice as long as others, none of which is 0."""
    return len(one) == len(other) > 0 and all(
        bool(b.any()) and np.allclose(a, 2 * b, rtol=1e-4, atol=1e-6 * float(np.abs(b).max()))
        for a, b in zip(one, other, strict=True)
    )
