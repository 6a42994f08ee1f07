"""Which small change in a wrong pass makes it right: the mistake, and the line that it is in.

One expression of the pass, or of a function of the file that it calls, is changed at a time as if
a usual mistake were taken back: a factor, a mask, an axis, a comparison, a `+=`, another name.
Each changed pass is called behind the door, where the change lasts for that call alone. A change
that gives the right gradients in all settings names the mistake.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import itertools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verify.homework.passes.experiment import cotangent_name
from verify.homework.passes.measure import Measurement
from verify.homework.passes.verdicts import Outcome, is_right
from verify.homework.read.discover import Candidate, is_gradient, methods_of, name_parts
from verify.homework.read.extract import Extract
from verify.homework.read.syntax import calls
from verify.homework.run.calls import array_of
from verify.homework.run.door import Door, Raised, Recipe

SECONDS = 6.0
"""What the search for one pass may take."""

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

    @property
    def wrong(self) -> str:
        """What is written."""
        return _text(self.before)

    @property
    def right(self) -> str:
        """What mends it."""
        return _text(self.after)


def repair(
    found: Extract, door: Door, candidate: Candidate, outcomes: Sequence[Outcome]
) -> Edit | None:
    """Return the first change that makes a wrong pass right, or None."""
    deadline = time.monotonic() + SECONDS
    wrong = [o for o in outcomes if o.wrong and isinstance(o.measurement, Measurement)]
    first, *others = sorted(
        wrong, key=lambda o: sum(np.size(v) for v in o.experiment.given.values())
    )
    seen: set[str] = set()
    for edit in _edits(found, candidate, first):
        if time.monotonic() > deadline:
            return None
        if edit.text in seen:
            continue
        seen.add(edit.text)
        if _mends(door, edit, first, 1) and all(
            _mends(door, edit, outcome, 2) for outcome in [first, *others]
        ):
            return edit
    return None


def _mends(door: Door, edit: Edit, outcome: Outcome, cotangents: int) -> bool:
    """Say whether every gradient is right once a function is replaced by the changed one."""
    measurement, experiment = outcome.measurement, outcome.experiment
    assert isinstance(measurement, Measurement)
    scale = 1 / outcome.averaged if outcome.averaged else 1.0
    wanted = tuple(gradient.where for gradient in experiment.gradients)
    steps = (("define", edit.owner, edit.name, edit.text), *experiment.backward)
    found: list[Sequence[Any]] = []
    for cotangent in measurement.cotangents[:cotangents]:
        given = {**experiment.given}
        given |= {cotangent_name(i): c for i, c in enumerate(cotangent)}
        answer = door.run(Recipe(steps, wanted), given)
        if isinstance(answer, Raised):
            return False
        found.append(answer)
    for i, tensor in enumerate(measurement.tensors):
        arrays = [a for each in found if (a := array_of(each[i])) is not None]
        count = len(found)
        if len(arrays) < count or len({a.shape for a in arrays}) > 1:
            return False
        mended = replace(
            tensor,
            found=np.array(arrays, float),
            found_shape=arrays[0].shape,
            expected=tensor.expected[:count],
            bar=tensor.bar[:count],
        )
        main = tensor.gradient.of == experiment.main and experiment.weights == "drawn"
        if not is_right(mended, 1.0 if main else scale):
            return False
    return True


# The changes.


def _edits(found: Extract, candidate: Candidate, outcome: Outcome) -> Iterator[Edit]:
    """Yield changes of a pass and of the functions that it calls, the likeliest first."""
    targets = list(_targets(found, candidate))
    sizes = _sizes(outcome)
    makers: tuple[Callable[..., Iterator[_Change]], ...] = (
        _sums, _compared, _copies, _signs, _transposed, _axes, _strides, _powers, _scaled, _terms,
        _masked, _renamed,
    )  # fmt: skip
    for make in makers:
        for owner, node in targets:
            context = _Context(node, found, owner, sizes, not _mixes(candidate, node))
            slots = _slots(node)
            for change in make(context):
                with _changed(slots[change.place], change.new):
                    text = _unparsed(node)
                if text:
                    yield Edit(
                        change.bug, change.line, change.target, change.old, change.new, text,
                        node.name, owner,
                    )  # fmt: skip


def _slots(node: ast.FunctionDef) -> list[tuple[ast.AST, str, int | None] | None]:
    """Return where each node of a function is, in the order of the walk: parent, field, index."""
    found: dict[int, tuple[ast.AST, str, int | None]] = {}
    for parent in ast.walk(node):
        for name, value in ast.iter_fields(parent):
            if isinstance(value, ast.AST):
                found[id(value)] = (parent, name, None)
            elif isinstance(value, list):
                for i, item in enumerate(value):
                    found[id(item)] = (parent, name, i)
    return [found.get(id(part)) for part in ast.walk(node)]


@contextlib.contextmanager
def _changed(slot: tuple[ast.AST, str, int | None] | None, new: ast.AST) -> Iterator[None]:
    """Put another node in a place inside a `with` block."""
    if slot is None:
        yield
        return
    parent, name, index = slot
    holder = getattr(parent, name)
    if index is None:
        setattr(parent, name, new)
    else:
        old, holder[index] = holder[index], new
    try:
        yield
    finally:
        if index is None:
            setattr(parent, name, holder)
        else:
            holder[index] = old


def _unparsed(node: ast.AST) -> str:
    """Return the source of a changed function, "" where there is none."""
    try:
        return ast.unparse(node)
    except (ValueError, AttributeError, TypeError):
        return ""


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

    def statements(self) -> Iterator[tuple[int, ast.Assign | ast.AugAssign | ast.Return]]:
        """Yield what assigns or returns something computed, with its place."""
        for place, part in enumerate(ast.walk(self.node)):
            if not isinstance(part, (ast.Assign, ast.AugAssign, ast.Return)) or part.value is None:
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
            elif isinstance(part, ast.Subscript) and isinstance(part.slice, ast.Constant):
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


def _value(statement: Any, value: ast.expr) -> Any:
    fresh = copy.copy(statement)
    fresh.value = value
    return fresh


def _times(left: ast.expr, right: ast.expr) -> ast.expr:
    return ast.BinOp(left, ast.Mult(), right)


def _parts(statement: Any) -> Iterator[tuple[ast.expr, Callable[[ast.expr], Any]]]:
    """Yield a statement's value, or those of a tuple one by one, and how to put another there."""
    value = statement.value
    if not isinstance(value, (ast.Tuple, ast.Dict)):
        yield value, lambda new: _value(statement, new)
        return
    items = value.elts if isinstance(value, ast.Tuple) else value.values
    for i, item in enumerate(items):

        def put(new: ast.expr, i: int = i) -> Any:
            fresh = copy.deepcopy(value)
            (fresh.elts if isinstance(fresh, ast.Tuple) else fresh.values)[i] = new
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
    statements = sorted(context.statements(), key=lambda item: target_of(item[1]) not in returned)
    for place, statement in statements:
        for value, put in _parts(statement):
            for factor, name in factors:
                target = target_of(statement)
                kind = family(target) if is_gradient(target) or "grad" in target else "gradient"
                new = put(_times(ast.Constant(factor), value))
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
    statements = [*reversed(assigning), *returning]
    for formula, bug in (
        ("({v} > 0)", "derivative-missing"),
        ("{v}", "derivative-missing"),
        ("(1 - {v} ** 2)", "derivative-missing"),
        ("{v} * (1 - {v})", "derivative-missing"),
        ("(1 - {v})", "derivative-is-activation"),
        ("(1 / {v})", "gradient-scaled"),
    ):
        for place, statement in statements:
            target = target_of(statement)
            for (value, put), name in itertools.product(_parts(statement), names):
                said = ast.unparse(name)
                if isinstance(value, ast.Constant) or said == target:
                    continue
                is_mask = re.search(r"mask|^D\d|drop|keep", said) is not None
                named = {"{v}": "mask-forgotten", "(1 / {v})": "mask-not-rescaled"}
                factor = ast.parse(formula.format(v=said), mode="eval").body
                which = named.get(formula, bug) if is_mask or said == "p" else bug
                yield _change(place, statement, put(_times(value, factor)), which, target)


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
        penalty = re.search(r"\breg|lam|l2|alpha|decay|penalty", text, re.I) is not None
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
                bug = "stride-forgotten"
                yield _change(place, statement, new, bug, target_of(statement))


class _Indexed(ast.NodeTransformer):
    """Multiplies loop indices by the stride, within slices alone."""

    def __init__(self, names: set[str], stride: ast.expr):
        self.names, self.stride = names, stride

    def visit_Slice(self, node: ast.Slice) -> ast.AST:
        for name in ("lower", "upper"):
            bound = getattr(node, name)
            if bound is not None:
                setattr(node, name, self._times(bound))
        return node

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
            if said != was:
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
