"""Which small change in a wrong pass makes it right: the mistake, and the line that it is in.

One expression of the pass, or of a function of the file that it calls, is changed at a time as if
a usual mistake were taken back: a factor, a mask, an axis, a comparison, a `+=`, another name.
Each changed pass is called behind the door, where the change lasts for that call alone. A change
that gives the right gradients in all settings names the mistake.
"""

from __future__ import annotations

import ast
import copy
import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from verify.homework.passes.case import Case
from verify.homework.passes.experiment import cotangent_name
from verify.homework.passes.measure import Measurement
from verify.homework.passes.verdicts import Outcome, is_right
from verify.homework.read.discover import (
    Candidate,
    is_gradient,
    is_hinted,
    methods_of,
    name_parts,
)
from verify.homework.read.extract import Extract
from verify.homework.read.syntax import calls, parameters
from verify.homework.run.calls import array_of
from verify.homework.run.door import Door, Recipe, Step

SECONDS = 8.0
"""What the search for one pass may take, of the processor's time."""

MOST_NAMES = 14


@dataclass(frozen=True, eq=False)
class Edit:
    """A change that takes a mistake back: its name, where it is, and the line before and after."""

    bug: str
    line: int
    target: str
    before: ast.AST
    after: ast.AST
    text: str
    name: str
    owner: str | None
    mends: frozenset[str] = frozenset()
    """The gradients that its statement reaches, and so all that it makes right."""

    @property
    def wrong(self) -> str:
        """What is written."""
        return _text(self.before)

    @property
    def right(self) -> str:
        """What mends it."""
        return _text(self.after)


def repairs(case: Case, candidate: Candidate, outcomes: Sequence[Outcome]) -> list[Edit]:
    """Return changes that make a wrong pass right: one for each mistake, as far as they go.

    One that mends all is looked for first, then those that mend some.
    """
    door = case.door
    deadline = door.clock() + SECONDS
    wrong = [o for o in outcomes if o.wrong and isinstance(o.measurement, Measurement)]
    first, *others = sorted(
        wrong, key=lambda o: sum(np.size(v) for v in o.experiment.given.values())
    )
    others += [o for o in outcomes if o.agrees]  # what is right in them must stay so
    left = {w.tensor.gradient.label for o in wrong for w in o.wrong}
    made: list[Edit] = []
    contexts = _contexts(case.found, door, candidate, first)
    for whole in (True, False):
        edits = _distinct(_edits(contexts, frozenset(left) if whole else frozenset()))
        while left and door.clock() < deadline and not case.ending:
            if not (some := list(islice(edits, BATCH))):
                break
            for edit, mends in zip(some, _mending(door, some, first, 0), strict=True):
                if mends and edit.mends & left and _mends(door, edit, [first, *others]):
                    made.append(edit)
                    left -= edit.mends
    return made


BATCH = 24
"""Changes that are tried in one message."""


def _distinct(edits: Iterable[Edit]) -> Iterator[Edit]:
    """Yield each change once."""
    seen: set[str] = set()
    for edit in edits:
        if edit.text not in seen:
            seen.add(edit.text)
            yield edit


def _mends(door: Door, edit: Edit, outcomes: Sequence[Outcome]) -> bool:
    """Say whether an edit mends what it reaches in all settings, under all cotangents."""
    return all(
        _mending(door, [edit], outcome, which)[0]
        for outcome in outcomes
        if isinstance(outcome.measurement, Measurement)
        for which in range(len(outcome.measurement.cotangents))
    )


def _mending(door: Door, edits: Sequence[Edit], outcome: Outcome, which: int) -> list[bool]:
    """Say of each edit whether what it reaches is right with it, under one of the cotangents."""
    definitions = [("define", edit.owner, edit.name, edit.text) for edit in edits]
    found = _gradients_with(door, outcome, which, definitions)
    return [
        gradients is not None and _is_mended(outcome, which, edit.mends, gradients)
        for edit, gradients in zip(edits, found, strict=True)
    ]


def _is_mended(
    outcome: Outcome, which: int, labels: Collection[str], gradients: Sequence[Any]
) -> bool:
    measurement, experiment = outcome.measurement, outcome.experiment
    assert isinstance(measurement, Measurement)
    for tensor, gradient in zip(measurement.tensors, gradients, strict=True):
        if tensor.gradient.label not in labels:
            continue
        array = array_of(gradient)
        if array is None:
            return False
        mended = replace(
            tensor,
            found=array[None].astype(float),
            found_shape=array.shape,
            expected=tensor.expected[which : which + 1],
            bar=tensor.bar[which : which + 1],
        )
        main = tensor.gradient.of == experiment.main and experiment.weights == "drawn"
        if not is_right(mended, 1 / outcome.averaged if outcome.averaged and not main else 1.0):
            return False
    return True


def _gradients_with(
    door: Door, outcome: Outcome, which: int, definitions: Sequence[Step]
) -> list[tuple[Any, ...] | None]:
    """Return what a pass gives with each definition in force, None where it raises."""
    return door.with_each(*_recipe(outcome, which), definitions)


def _recipe(outcome: Outcome, which: int) -> tuple[Recipe, dict[str, Any]]:
    """Return how a pass is called under one of the cotangents, and what it is given."""
    measurement, experiment = outcome.measurement, outcome.experiment
    assert isinstance(measurement, Measurement)
    given = {**experiment.given}
    given |= {cotangent_name(i): c for i, c in enumerate(measurement.cotangents[which])}
    wanted = tuple(gradient.where for gradient in experiment.gradients)
    return Recipe(experiment.backward, wanted), given


# Where a mistake may be.

STATEMENTS = (ast.Assign, ast.AugAssign, ast.Return)


def _reached(
    door: Door, outcome: Outcome, owner: str | None, node: ast.FunctionDef
) -> dict[int, frozenset[str]]:
    """Return the gradients that each statement reaches, by its place, where that can be told.

    What a statement computes is moved, and what changes is what it reaches. Of another name for
    an array that says nothing, nor where nothing changes: a mask may be empty by mistake.
    """
    labels = [gradient.label for gradient in outcome.experiment.gradients]
    source = Source(node)
    before = _gradients_with(door, outcome, 0, [("define", owner, node.name, ast.unparse(node))])[0]
    reached: dict[int, frozenset[str]] = {}
    for place, part in enumerate(ast.walk(node)):
        if not isinstance(part, STATEMENTS) or part.value is None:
            continue
        unpacks = isinstance(part.value, ast.Name | ast.Attribute | ast.Subscript)
        if unpacks and isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Tuple):
            reached[place] = frozenset(labels)
        if unpacks:
            continue
        texts = [
            source.replaced(
                place,
                put(ast.BinOp(_times(ast.Constant(1.3), value), ast.Add(), ast.Constant(0.07))),
            )
            for value, put in _parts(part)
        ]
        moved = _gradients_with(
            door, outcome, 0, [("define", owner, node.name, text) for text in texts]
        )
        if before is not None and None not in moved:
            changed = frozenset(
                label
                for after in moved
                for label, old, new in zip(labels, before, after or (), strict=True)
                if not _same(old, new)
            )
            if changed:
                reached[place] = changed
    return reached


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(np.allclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True))
    except (ValueError, TypeError):
        return False


# The changes.


def _contexts(found: Extract, door: Door, candidate: Candidate, outcome: Outcome) -> list[_Context]:
    """Return a pass and the functions that it calls, with what is known of their parts.

    Only what reaches wrong gradients alone may be changed.
    """
    everything = frozenset(gradient.label for gradient in outcome.experiment.gradients)
    wrong = frozenset(each.tensor.gradient.label for each in outcome.wrong)
    contexts = []
    for owner, node in _targets(found, candidate):
        if node.name == outcome.experiment.forward_name != candidate.function:
            continue
        reached = _reached(door, outcome, owner, node)
        possible = {
            place for place, part in enumerate(ast.walk(node)) if reached.get(place, wrong) <= wrong
        }
        mixes = _mixes(candidate, node)
        within = {
            id(inner): reached.get(place, everything)
            for place, part in enumerate(ast.walk(node))
            if isinstance(part, STATEMENTS)
            for inner in ast.walk(part)
        }
        context = _Context(
            node,
            found,
            owner,
            _sizes(outcome),
            not mixes,
            frozenset(possible),
            Source(node),
            _shapes(door, outcome, node),
            defaultdict(lambda: everything, within),
        )
        contexts.append(context)
    return contexts


def _edits(contexts: Sequence[_Context], mending: frozenset[str]) -> Iterator[Edit]:
    """Yield the changes that reach all of some gradients, the likeliest first."""
    for make in _MAKERS:
        for context in contexts:
            for change in make(context):
                mends = context.reach[id(change.old)]
                text = context.text.replaced(change.place, change.new) if mends >= mending else ""
                if text:
                    yield Edit(
                        change.bug, change.line, change.target, change.old, change.new, text,
                        context.node.name, context.owner, mends,
                    )  # fmt: skip


def _shapes(door: Door, outcome: Outcome, node: ast.FunctionDef) -> dict[str, tuple[int, ...]]:
    """Return the shapes of what a function names, where it returns."""
    texts = {
        ast.unparse(part)
        for part in ast.walk(node)
        if isinstance(part, ast.Name | ast.Attribute | ast.Subscript)
    }
    return door.shapes(*_recipe(outcome, 0), node.name, sorted(texts))


class Source:
    """The source of a function, in which one node at a time is replaced."""

    def __init__(self, node: ast.FunctionDef):
        source = ast.unparse(node)
        self._lines = [line.encode() for line in source.splitlines(keepends=True)]
        self._nodes = list(ast.walk(ast.parse(source).body[0]))

    def replaced(self, place: int, new: ast.AST) -> str:
        """Return the source with another node in a place, "" where that is none."""
        old: Any = self._nodes[place]
        try:
            text = ast.unparse(new)
            first, last = old.lineno - 1, old.end_lineno - 1
        except (ValueError, AttributeError, TypeError):
            return ""
        text = text if isinstance(new, ast.stmt) else f"({text})"
        start = b"".join(self._lines[:first]) + self._lines[first][: old.col_offset]
        end = self._lines[last][old.end_col_offset :] + b"".join(self._lines[last + 1 :])
        return str((start + text.encode() + end).decode())


def _targets(found: Extract, candidate: Candidate) -> Iterator[tuple[str | None, ast.FunctionDef]]:
    """Yield the pass itself and then the file's functions that it calls, each once."""
    yield candidate.owner, candidate.node
    waiting, seen = [candidate.node], {candidate.function}
    while waiting:
        called = calls(waiting.pop(0))
        methods = methods_of(found, candidate.owner) if candidate.owner else {}
        for owner, functions in ((None, found.functions), (candidate.owner, methods)):
            for name, node in functions.items():
                if name in called and name not in seen and len(seen) < 6:
                    seen.add(name)
                    waiting.append(node)
                    yield owner, node


def _sizes(outcome: Outcome) -> dict[int, str]:
    """Return the numbers that a factor may be, and the mistake of each."""
    experiment = outcome.experiment
    found: dict[int, str] = {}
    assert isinstance(outcome.measurement, Measurement)
    for output in outcome.measurement.outputs:
        if output.ndim == 4:
            found[int(np.prod(np.shape(experiment.given[experiment.main])[-2:]))] = (
                "not-averaged-over-positions"
            )
    for value in experiment.given.values():
        shape = np.shape(value)
        if len(shape) == 4:
            found.setdefault(int(shape[2] * shape[3]), "not-averaged-over-positions")
            found.setdefault(int(shape[1] * shape[2]), "not-averaged-over-positions")
        for size in (*shape[:1], *shape[-1:], int(np.prod(shape))):
            if size > 1:
                found.setdefault(int(size), "not-averaged")
    return found


@dataclass(frozen=True, eq=False)
class _Change:
    """A node, by its place in the walk of its function, and what is put there instead."""

    place: int
    new: ast.AST
    bug: str
    line: int
    target: str
    old: ast.AST


@dataclass(frozen=True, eq=False)
class _Context:
    """A function whose nodes are changed."""

    node: ast.FunctionDef
    found: Extract
    owner: str | None
    sizes: dict[int, str]
    helper: bool
    possible: frozenset[int]
    """The places of what may be wrong."""
    text: Source
    shapes: Mapping[str, tuple[int, ...]]
    """The shapes of what the function names, where it returns."""
    reach: Mapping[int, frozenset[str]]
    """The gradients that a node reaches, by its id; all where that is not known."""

    def shape(self, node: ast.AST | None) -> tuple[int, ...] | None:
        """Return the shape of a name, an attribute or an item, None if it is not known."""
        return None if node is None else self.shapes.get(ast.unparse(node))

    def alike(self, one: ast.AST | None, other: ast.AST | None) -> bool:
        """Say whether two have the same shape, as far as is known."""
        shapes = {self.shape(one), self.shape(other)}
        return None in shapes or len(shapes) == 1

    def statements(self) -> Iterator[tuple[int, ast.Assign | ast.AugAssign | ast.Return]]:
        """Yield what assigns or returns something computed, with its place."""
        for place, part in enumerate(ast.walk(self.node)):
            if not isinstance(part, STATEMENTS) or part.value is None:
                continue
            if place not in self.possible:
                continue
            target = target_of(part)
            if self.helper or isinstance(part, ast.Return) or _is_backward(target):
                yield place, part

    def expressions(self) -> Iterator[tuple[int, ast.AST, str]]:
        """Yield every expression inside a statement, with its place and the statement's target."""
        places = {id(part): place for place, part in enumerate(ast.walk(self.node))}
        for _, statement in self.statements():
            for part in ast.walk(statement):
                yield places[id(part)], part, target_of(statement)

    def names(self) -> list[ast.expr]:
        """Return what a mask or a factor may be: names, attributes and items of the function."""
        found: dict[str, ast.expr] = {}
        for part in ast.walk(self.node):
            if isinstance(part, ast.arg) and part.arg != "self":
                found.setdefault(part.arg, ast.Name(part.arg, ast.Load()))
            elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                found.setdefault(part.id, ast.Name(part.id, ast.Load()))
            elif isinstance(part, ast.Attribute) and getattr(part.value, "id", "") == "self":
                found.setdefault(f"self.{part.attr}", _loaded(part))
            elif isinstance(part, ast.Subscript) and not any(
                isinstance(inner, ast.Slice | ast.Compare) for inner in ast.walk(part.slice)
            ):
                found.setdefault(ast.unparse(part), _loaded(part))
        kind = self.found.classes.get(self.owner or "")
        for part in ast.walk(kind) if kind is not None else ():
            if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
                found.setdefault(f"self.{part.attr}", _loaded(part))
        return list(found.values())[: 2 * MOST_NAMES]


def target_of(statement: ast.AST) -> str:
    """Return what a statement assigns, by its name, key or attribute."""
    targets = (
        statement.targets
        if isinstance(statement, ast.Assign)
        else [getattr(statement, "target", None)]
    )
    target = targets[0]
    while isinstance(target, ast.Subscript):
        key = next((n.value for n in ast.walk(target.slice) if isinstance(n, ast.Constant)), None)
        if isinstance(key, str):
            return key
        target = target.value
    if isinstance(target, ast.Name):
        return target.id
    return target.attr if isinstance(target, ast.Attribute) else ""


def family(name: str) -> str:
    """Return the family of the catalogue that a gradient's name belongs to."""
    holder, _, key = name.rpartition(".")
    name = holder if key.isdigit() else key
    plain = re.sub(r"^(?:self\.|d_?l?_?d?_?(?=[WwbBTt])|grads?_?(?=[WwbB]))", "", name)
    if re.match(r"[Ww]\w{0,3}\d*$|[Ww]eights?|[Tt]heta", plain):
        return "weights"
    if re.match(r"[bB]\w{0,2}\d*$|[Bb]ias", plain):
        return "bias"
    return "gradient"


def _is_backward(name: str) -> bool:
    """Say whether a name is that of something on the way back."""
    return is_gradient(name) or re.match(r"d|g|delta|err|nabla|[Wb]|[Tt]heta|tmp", name) is not None


def _mixes(candidate: Candidate, node: ast.FunctionDef) -> bool:
    """Say whether a pass goes forward too: only what looks like a gradient is changed in it."""
    parts = {"loss", "cost", "propagate", "train", "fun"} & set(name_parts(candidate.function))
    return node is candidate.node and bool(parts)


def _loaded(node: ast.expr) -> ast.expr:
    fresh = copy.deepcopy(node)
    for part in ast.walk(fresh):
        if hasattr(part, "ctx"):
            part.ctx = ast.Load()
    return fresh


def _text(node: ast.AST) -> str:
    text = ast.unparse(ast.fix_missing_locations(copy.deepcopy(node)))
    return text if len(text) <= 120 else f"{text[:117]}..."


def _change(place: int, old: ast.AST, new: ast.AST, bug: str, target: str) -> _Change:
    return _Change(place, new, bug, getattr(old, "lineno", 0), target, old)


def _assigned(statement: ast.AST) -> ast.expr | None:
    """Return what a statement assigns, where that is one thing."""
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    return None if isinstance(targets[0], ast.Tuple) else targets[0]


def _value(statement: Any, value: ast.expr) -> Any:
    fresh = copy.copy(statement)
    fresh.value = value
    return fresh


def _times(left: ast.expr, right: ast.expr) -> ast.expr:
    return ast.BinOp(left, ast.Mult(), right)


def _parts(statement: Any) -> Iterator[tuple[ast.expr, Callable[[ast.expr], Any]]]:
    """Yield a statement's value, or those of a tuple one by one, and how to put another there."""
    value = statement.value
    if not isinstance(value, (ast.Tuple, ast.List, ast.Dict)):
        yield value, lambda new: _value(statement, new)
        return
    items = value.values if isinstance(value, ast.Dict) else value.elts
    for i, item in enumerate(items):

        def put(new: ast.expr, i: int = i) -> Any:
            fresh = copy.deepcopy(value)
            (fresh.values if isinstance(fresh, ast.Dict) else fresh.elts)[i] = new
            return _value(statement, fresh)

        yield item, put


def _sums(context: _Context) -> Iterator[_Change]:
    """`=` becomes `+=`; an indexed `+=` counts every index."""
    loops = {
        id(part)
        for loop in ast.walk(context.node)
        if isinstance(loop, (ast.For, ast.While, ast.FunctionDef)) and loop is not context.node
        for part in ast.walk(loop)
    }
    for place, statement in context.statements():
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, (ast.Name, ast.Subscript, ast.Attribute)) and (
                id(statement) in loops or not isinstance(target, ast.Name)
            ):
                new = ast.AugAssign(target, ast.Add(), statement.value)
                yield _change(place, statement, new, "last-part-only", target_of(statement))
        if isinstance(statement, (ast.AugAssign, ast.Assign)):
            target = (
                statement.target if isinstance(statement, ast.AugAssign) else (statement.targets[0])
            )
            sliced = any(isinstance(n, ast.Slice) for n in ast.walk(target))
            if isinstance(target, ast.Subscript) and not sliced:
                function = ast.parse("np.add.at", mode="eval").body
                given = [_loaded(target.value), target.slice, statement.value]
                add = ast.Expr(ast.Call(function, given, []))
                yield _change(place, statement, add, "repeated-index-once", target_of(statement))


_PENALTY = re.compile(r"\breg|lam|lmb?d|l2|alpha|decay|penalty|\bl\b", re.I)
_FACTORS = ((2.0, "halved"), (0.5, "doubled"), (-1.0, "negated"))


def _scaled(context: _Context) -> Iterator[_Change]:
    factors = list(_FACTORS)
    for size, name in context.sizes.items():
        factors += [(1 / size, name), (float(size), "averaged-twice")]
    factors += [(4.0, "scaled"), (0.25, "quadrupled")]
    returned = {
        n.id
        for part in ast.walk(context.node)
        if isinstance(part, ast.Return) and part.value is not None
        for n in ast.walk(part.value)
        if isinstance(n, ast.Name)
    }
    statements = sorted(
        context.statements(),
        key=lambda item: target_of(item[1]) not in returned and not is_gradient(target_of(item[1])),
    )
    for place, statement in statements:
        divides = isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Div)
        target = target_of(statement)
        for value, put in _parts(statement):
            kind = family(target) if is_gradient(target) or "grad" in target else "gradient"
            if isinstance(statement, ast.AugAssign) and _PENALTY.search(ast.unparse(value)):
                kind = "l2"
            for factor, name in factors:
                new = put(_times(ast.Constant(1 / factor if divides else factor), value))
                yield _change(place, statement, new, f"{kind}-{name}", target)


def _compared(context: _Context) -> Iterator[_Change]:
    names = context.names()
    for place, part, target in context.expressions():
        if not isinstance(part, ast.Compare) or len(part.ops) != 1:
            continue
        op = part.ops[0]
        for other in (ast.Gt(), ast.Lt(), ast.GtE(), ast.LtE()):
            if type(other) is not type(op):
                bug = "derivative-inverted"
                if isinstance(op, (ast.GtE, ast.LtE)) and type(other).__name__ in type(op).__name__:
                    bug = "derivative-at-zero"
                new = ast.Compare(part.left, [other], part.comparators)
                yield _change(place, part, new, bug, target)
        was = ast.unparse(part.left)
        for name in names:
            said = ast.unparse(name)
            if said != was:
                bug = (
                    "derivative-of-upstream"
                    if is_gradient(was.split(".")[-1]) or (was.startswith("d"))
                    else "derivative-of-another-layer"
                )
                for sign in (op, ast.Gt(), ast.LtE()):
                    new = ast.Compare(name, [sign], part.comparators)
                    yield _change(place, part, new, bug, target)


def _axes(context: _Context) -> Iterator[_Change]:
    pairs = ((1, 2), (0, 1), (2, 3))
    choices: tuple[Any, ...] = (0, 1, -1, 2, (0, 2, 3), (0, 1, 2), (1, 2, 3), *pairs, None)
    for place, part, target in context.expressions():
        if not isinstance(part, ast.Call) or getattr(part.func, "attr", "") not in (
            "sum", "mean", "max", "var", "std",
        ):  # fmt: skip
            continue
        name = part.func.attr  # type: ignore[attr-defined]
        if name in ("sum", "mean"):
            kind = family(target)
            other = "mean" if name == "sum" else "sum"
            new = ast.Call(ast.Attribute(part.func.value, other), part.args, part.keywords)  # type: ignore[attr-defined]
            bug = "averaged-twice" if name == "mean" else "not-averaged"
            yield _change(place, part, new, f"{kind}-{bug}", target)
        axis = next((k for k in part.keywords if k.arg == "axis"), None)
        rest = [k for k in part.keywords if k.arg not in ("axis", "keepdims")]
        kind = family(target)
        for choice, keep in itertools.product(choices, (False, True)):
            new = copy.copy(part)
            method = isinstance(part.func, ast.Attribute) and getattr(
                part.func.value, "id", ""
            ) not in ("np", "numpy")
            new.args = part.args[: 0 if method else 1]
            new.keywords = [
                *rest,
                ast.keyword("axis", ast.Constant(choice)),
                *([ast.keyword("keepdims", ast.Constant(True))] if keep else []),
            ]
            everything = axis is None and len(part.args) <= (0 if method else 1)
            if everything:
                bug = "bias-summed-over-everything" if kind == "bias" else "summed-over-everything"
            else:
                bug = "bias-wrong-axis" if kind == "bias" else "summed-over-wrong-axis"
            yield _change(place, part, new, bug, target)


def _masked(context: _Context) -> Iterator[_Change]:
    """A factor is put back: a mask, or the derivative of an activation."""
    names = context.names()
    assigning = [s for s in context.statements() if not isinstance(s[1], ast.Return)]
    returning = [s for s in context.statements() if isinstance(s[1], ast.Return)]
    statements = sorted(
        [*reversed(assigning), *returning],
        key=lambda item: (not _is_one(item[1]), not _MASK.search(ast.unparse(item[1]))),
    )
    derivatives = [
        (f"{name}({{v}})", "derivative-missing")
        for name, node in context.found.functions.items()
        if is_hinted(name, context.found.functions) and len(parameters(node, False)) == 1
    ]
    for formula, bug in (*derivatives, *_FORMULAS):
        for place, statement in statements:
            target = target_of(statement)
            into = _assigned(statement)
            for (value, put), name in itertools.product(_parts(statement), names):
                said, shape = ast.unparse(name), context.shape(name)
                if said == target or (isinstance(value, ast.Constant) and not value.value):
                    continue
                if formula == "(1 / {v})" and shape is not None and np.prod(shape) > 1:
                    continue
                fits = shape == () or _is_one(statement) or context.alike(name, into)
                if formula != "(1 / {v})" and not fits:
                    continue
                is_mask = _MASK.search(said) is not None
                named = {"{v}": "mask-forgotten", "(1 / {v})": "mask-not-rescaled"}
                factor = ast.parse(formula.format(v=said), mode="eval").body
                which = named.get(formula, bug) if is_mask or said == "p" else bug
                yield _change(place, statement, put(_times(value, factor)), which, target)


def _averaged(context: _Context) -> Iterator[_Change]:
    """A division by a number of the function, or by a product of two, is put back."""
    numbers = [
        name
        for name in context.names()
        if context.shape(name) == () and not _MASK.search(ast.unparse(name))
    ]
    pairs = itertools.combinations(numbers, 2)
    divisors = [(n, "not-averaged") for n in numbers]
    divisors += [(_times(one, other), "not-averaged-over-positions") for one, other in pairs]
    for place, statement in context.statements():
        target = target_of(statement)
        kind = family(target) if is_gradient(target) else "gradient"
        for (value, put), (divisor, bug) in itertools.product(_parts(statement), divisors):
            name = f"{kind}-{bug}" if bug == "not-averaged" else f"gradient-{bug}"
            yield _change(place, statement, put(ast.BinOp(value, ast.Div(), divisor)), name, target)


_MASK = re.compile(r"mask|\bD\d|drop|keep")


def _is_one(statement: ast.AST) -> bool:
    """Say whether a statement only says 1, as where a mask or a derivative was left out."""
    match statement:
        case ast.Assign(value=ast.Constant() | ast.Call(ast.Attribute(attr="ones_like" | "ones"))):
            return True
    return False


_FORMULAS = (
    ("({v} > 0)", "derivative-missing"),
    ("{v}", "derivative-missing"),
    ("(1 - {v} ** 2)", "derivative-missing"),
    ("{v} * (1 - {v})", "derivative-missing"),
    ("({v} == {v}.max())", "derivative-missing"),
    ("(1 - {v})", "derivative-is-activation"),
    ("(1 / {v})", "gradient-scaled"),
)


def _flipped(context: _Context) -> Iterator[_Change]:
    """A kernel is turned round, along its last axis or its last two."""
    for place, part, target in context.expressions():
        if isinstance(part, ast.Name | ast.Attribute) and isinstance(part.ctx, ast.Load):
            for turned in ("..., ::-1", "..., ::-1, ::-1", "::-1", "::-1, ::-1"):
                index = ast.parse(f"x[{turned}]", mode="eval").body.slice  # type: ignore[attr-defined]
                new = ast.Subscript(part, index, ast.Load())
                yield _change(place, part, new, "kernel-not-flipped", target)


def _diagonal(context: _Context) -> Iterator[_Change]:
    """The rest of a softmax's Jacobian is put back."""
    for place, part, target in context.expressions():
        if isinstance(part, ast.Call) and getattr(part.func, "attr", "") in ("diag", "diagflat"):
            for name in context.names():
                said = ast.unparse(name)
                text = f"np.diagflat({said}) - np.outer({said}, {said})"
                new = ast.parse(text, mode="eval").body
                yield _change(place, part, new, "derivative-diagonal-only", target)


def _paths(context: _Context) -> Iterator[_Change]:
    """A path back is put in: a gradient from elsewhere, turned, or times an array."""
    names = context.names()
    gradients = [n for n in names if _is_path(ast.unparse(n))]
    for place, part, target in context.expressions():
        if isinstance(part, ast.Call):
            for i, argument in enumerate(part.args):
                for gradient in gradients:
                    new = copy.copy(part)
                    new.args = [*part.args]
                    new.args[i] = ast.BinOp(argument, ast.Add(), gradient)
                    yield _change(place, part, new, "path-missing", target)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and _is_path(part.id):
            turned = ast.BinOp(part, ast.Add(), ast.Attribute(part, "T", ast.Load()))
            yield _change(place, part, turned, "path-missing", target)
    for text, shape in _PRODUCTS:
        for place, statement in context.statements():
            due = context.shape(_assigned(statement))
            for (value, put), one, other in itertools.product(_parts(statement), gradients, names):
                g, v = context.shape(one), context.shape(other)
                if not (due is None or g is None or v is None or shape(g, v) == due):
                    continue
                term = text.format(g=ast.unparse(one), v=ast.unparse(other))
                new = put(ast.BinOp(value, ast.Add(), ast.parse(term, mode="eval").body))
                yield _change(place, statement, new, "path-missing", target_of(statement))


_Shape = tuple[int, ...]


def _product(one: _Shape, other: _Shape) -> _Shape | None:
    """Return the shape of a product of two matrices, None where there is none."""
    fits = len(one) == len(other) == 2 and one[1] == other[0]
    return (one[0], other[1]) if fits else None


_PRODUCTS: tuple[tuple[str, Callable[[_Shape, _Shape], _Shape | None]], ...] = (
    ("({g} * {v})", lambda g, v: g if g == v else None),
    ("{g}.T @ {v}", lambda g, v: _product(g[::-1], v)),
    ("{v}.T @ {g}", lambda g, v: _product(v[::-1], g)),
    ("{g} @ {v}.T", lambda g, v: _product(g, v[::-1])),
    ("{v} @ {g}", lambda g, v: _product(v, g)),
)
"""Terms of a gradient g and an array v, and the shape of each."""


def _is_path(name: str) -> bool:
    last = name.rsplit(".", 1)[-1]
    return is_gradient(last) or last[:1] in "dR" or re.match(r"err|res|diff", last) is not None


def _transposed(context: _Context) -> Iterator[_Change]:
    for place, part, target in context.expressions():
        kind = family(target)
        if isinstance(part, ast.Attribute) and part.attr == "T":
            yield _change(place, part, part.value, "upstream-untransposed", target)
    for place, statement in context.statements():
        target = target_of(statement)
        kind = family(target)
        for value, put in _parts(statement):
            new = put(ast.Attribute(value, "T", ast.Load()))
            yield _change(place, statement, new, f"{kind}-transposed", target)
    for place, part, target in context.expressions():
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.MatMult):
            for left, right in ((True, False), (False, True), (True, True)):
                new = ast.BinOp(_turned(part.left, left), part.op, _turned(part.right, right))
                yield _change(place, part, new, "upstream-untransposed", target)


def _turned(node: ast.expr, turn: bool) -> ast.expr:
    if not turn:
        return node
    if isinstance(node, ast.Attribute) and node.attr == "T":
        return node.value
    return ast.Attribute(node, "T", ast.Load())


def _signs(context: _Context) -> Iterator[_Change]:
    swap: dict[type, ast.operator] = {ast.Add: ast.Sub(), ast.Sub: ast.Add(), ast.Mult: ast.Div(),
                                      ast.Div: ast.Mult()}  # fmt: skip
    for place, statement in context.statements():
        if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add | ast.Sub):
            other = ast.AugAssign(statement.target, swap[type(statement.op)], statement.value)
            target = target_of(statement)
            yield _change(place, statement, other, f"{family(target)}-negated", target)
    for place, part, target in context.expressions():
        if isinstance(part, ast.BinOp) and type(part.op) in swap:
            one = isinstance(part.left, ast.Constant) and part.left.value == 1
            bug = "derivative-with-plus" if one else "gradient-negated"
            if isinstance(part.op, (ast.Mult, ast.Div)):
                bug = "gradient-scaled"
            new = ast.BinOp(part.left, swap[type(part.op)], part.right)
            yield _change(place, part, new, bug, target)
        if isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.USub):
            yield _change(place, part, part.operand, "gradient-negated", target)
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Sub):
            new = ast.BinOp(part.right, ast.Sub(), part.left)
            yield _change(place, part, new, "gradient-negated", target)


def _powers(context: _Context) -> Iterator[_Change]:
    for place, part, target in context.expressions():
        if isinstance(part, (ast.Name, ast.Attribute, ast.Subscript)) and isinstance(
            part.ctx, ast.Load
        ):
            new = ast.BinOp(part, ast.Pow(), ast.Constant(2))
            yield _change(place, part, new, "derivative-not-squared", target)
            one = ast.BinOp(ast.Constant(1), ast.Sub(), part)
            yield _change(place, part, one, "derivative-is-activation", target)
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Pow):
            yield _change(place, part, part.left, "derivative-twice", target)


def _terms(context: _Context) -> Iterator[_Change]:
    """A term is put back, taken away, or scaled."""
    for place, part, target in context.expressions():
        if not isinstance(part, ast.BinOp) or not isinstance(part.op, (ast.Add, ast.Sub)):
            continue
        text = ast.unparse(part.right)
        penalty = _PENALTY.search(text) is not None
        for factor, name in ((0.5, "doubled"), (2.0, "halved"), (-1.0, "negated")):
            bug = f"l2-{name}" if penalty else "term-scaled"
            right = _times(ast.Constant(factor), part.right)
            yield _change(place, part, ast.BinOp(part.left, part.op, right), bug, target)
        bug = "l2-uninvited" if penalty else "term-scaled"
        if penalty and family(target) == "bias":
            bug = "bias-penalised"
        yield _change(place, part, part.left, bug, target)
    names = context.names()
    gradients = [n for n in names if is_gradient(ast.unparse(n).split(".")[-1])
                 or ast.unparse(n).startswith("d")]  # fmt: skip
    for place, statement in context.statements():
        target = target_of(statement)
        for value, put in _parts(statement):
            for gradient in gradients:
                if context.alike(gradient, _assigned(statement)):
                    new = put(ast.BinOp(value, ast.Add(), gradient))
                    yield _change(place, statement, new, "path-missing", target)
    regs = [n for n in names if re.search(r"reg|lam|alpha|decay|l2", ast.unparse(n), re.I)]
    weights = [n for n in names if re.search(r"[Ww]|[Tt]heta", ast.unparse(n))]
    for place, statement in context.statements():
        target = target_of(statement)
        for (value, put), reg, weight in itertools.product(_parts(statement), regs, weights):
            for times in (1.0, 2.0):
                penalty_ = _times(_times(ast.Constant(times), reg), weight)
                new = put(ast.BinOp(value, ast.Add(), penalty_))
                yield _change(place, statement, new, "l2-missing", target)


def _strides(context: _Context) -> Iterator[_Change]:
    strides = [n for n in context.names() if "strid" in ast.unparse(n).lower() or (
        ast.unparse(n) in ("s", "S")
    )]  # fmt: skip
    indices = {
        part.target.id
        for part in ast.walk(context.node)
        if isinstance(part, ast.For) and isinstance(part.target, ast.Name)
    }
    for place, statement in context.statements():
        inside = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)} & indices
        for stride, count in itertools.product(strides, range(1, len(inside) + 1)):
            for some in itertools.combinations(sorted(inside), count):
                new = _Indexed(set(some), stride).visit(copy.deepcopy(statement))
                yield _change(place, statement, new, "stride-forgotten", target_of(statement))


class _Indexed(ast.NodeTransformer):
    """Multiplies loop indices by the stride, where they bound a window."""

    def __init__(self, names: set[str], stride: ast.expr):
        self.names, self.stride = names, stride

    def visit_Slice(self, node: ast.Slice) -> ast.AST:
        for name in ("lower", "upper"):
            bound = getattr(node, name)
            if bound is not None:
                setattr(node, name, self._times(bound))
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if getattr(node.func, "id", "") == "slice":
            node.args = [self._times(bound) for bound in node.args]
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        if isinstance(node.value, ast.Tuple):
            node.value.elts = [self._times(bound) for bound in node.value.elts]
        elif isinstance(node.value, ast.Name | ast.BinOp):
            node.value = self._times(node.value)
        return self.generic_visit(node)

    def _times(self, bound: ast.expr) -> ast.expr:
        for part in ast.walk(bound):
            for field, value in ast.iter_fields(part):
                if isinstance(value, ast.Name) and value.id in self.names:
                    setattr(part, field, _times(value, self.stride))
                    return bound
        if isinstance(bound, ast.Name) and bound.id in self.names:
            return _times(bound, self.stride)
        return bound


def _copies(context: _Context) -> Iterator[_Change]:
    for place, part, target in context.expressions():
        if isinstance(part, ast.Call) and any(k.arg == "out" for k in part.keywords):
            kept = [k for k in part.keywords if k.arg != "out"]
            new = ast.Call(part.func, part.args, kept)
            yield _change(place, part, new, "input-overwritten", target)
    for place, statement in context.statements():
        target = target_of(statement)
        if isinstance(statement, ast.Assign) and isinstance(
            statement.value, (ast.Name, ast.Attribute, ast.Subscript)
        ):
            new = ast.Call(ast.Attribute(statement.value, "copy", ast.Load()), [], [])
            changed = _value(statement, new)
            yield _change(place, statement, changed, "input-overwritten", target)
        if isinstance(statement, ast.AugAssign):
            value = ast.BinOp(_loaded(statement.target), statement.op, statement.value)
            again = ast.Assign([statement.target], value, lineno=statement.lineno)
            yield _change(place, statement, again, "input-overwritten", target)


def _siblings(context: _Context) -> Iterator[_Change]:
    """An array of another number stands in the place of one: W1 for W2, masks[0] for masks[1]."""
    for change in _renamed(context):
        if _unnumbered(change.old) == _unnumbered(change.new):
            yield change
    for place, part, target in context.expressions():
        match part:
            case ast.Subscript(value, ast.Constant(int(number))):
                for other in (number + 1, number - 1):
                    new = ast.Subscript(value, ast.Constant(other), ast.Load())
                    bug = _other(ast.unparse(part), ast.unparse(new), set(), target)
                    yield _change(place, part, new, bug, target)


def _unnumbered(node: ast.AST) -> str:
    return re.sub(r"\d+", "", ast.unparse(node))


def _renamed(context: _Context) -> Iterator[_Change]:
    """Another array of the function stands in the place of one."""
    names = context.names()
    arguments = {a.arg for a in ast.walk(context.node) if isinstance(a, ast.arg)}
    for place, part, target in context.expressions():
        if not isinstance(part, (ast.Name, ast.Attribute, ast.Subscript)) or not isinstance(
            part.ctx, ast.Load
        ):
            continue
        was = ast.unparse(part)
        for name in names:
            said = ast.unparse(name)
            if said != was and context.alike(name, part):
                yield _change(place, part, name, _other(was, said, arguments, target), target)


def _other(was: str, said: str, arguments: set[str], target: str) -> str:
    """Return the mistake of one array in the place of another, by their names."""
    if re.search(r"mask|^D\d", was) and re.search(r"mask|^D\d", said):
        return "mask-of-another-layer"
    if was.rstrip("0123456789") == said.rstrip("0123456789") and was != said:
        return "derivative-of-another-layer"
    if is_gradient(was) and is_gradient(said):
        return "upstream-from-da"
    return "gradient-of-another-argument"


_MAKERS: tuple[Callable[[_Context], Iterator[_Change]], ...] = (
    _sums, _siblings, _compared, _copies, _signs, _transposed, _axes, _strides, _diagonal,
    _powers, _scaled, _terms, _averaged, _masked, _renamed, _flipped, _paths,
)  # fmt: skip
"""What is tried, the likeliest first."""
