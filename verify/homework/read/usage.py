"""What the text of a function says of an argument by what is done with it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

INDEX, INTEGER, FLAT = "index", "integer", "flat"
"""It picks rows of an array; it counts or bounds something; it is cut and reshaped to weights."""

UNPACKED, KEYED, LISTED = "unpacked", "keyed", "listed"
"""It is a tuple of parts; a dict; a list, that is gone through or of which items are taken."""

CALLED, CHANCE = "called", "chance"
"""It is a function; the probability with which something is drawn."""


@dataclass(frozen=True)
class Use:
    """How an argument is used: its parts by their names, or how many arguments it is called with.

    A key that ends in `*` is one of several that begin so.
    """

    kind: str
    parts: tuple[str, ...] = ()
    count: int = 0


def usage(
    node: ast.FunctionDef, functions: Mapping[str, ast.FunctionDef], depth: int = 2
) -> dict[str, Use]:
    """Return how arguments are used, by what a function does or what it hands them to does."""
    found = dict(_own_usage(node))
    if depth:
        for call in (part for part in ast.walk(node) if isinstance(part, ast.Call)):
            other = functions.get(getattr(call.func, "id", ""))
            if other is not None and other is not node:
                inner = usage(other, functions, depth - 1)
                names = [a.arg for a in other.args.args]
                given = [*zip(names, call.args, strict=False)]
                given += [(k.arg, k.value) for k in call.keywords if k.arg is not None]
                for argument, value in given:
                    if isinstance(value, ast.Name) and argument in inner:
                        found.setdefault(value.id, inner[argument])
    return found


@cache
def _own_usage(node: ast.FunctionDef) -> dict[str, Use]:
    arguments = {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
    names = {argument: argument for argument in arguments}
    for part in ast.walk(node):
        match part:
            case ast.Assign([ast.Attribute() as kept], ast.Name(name)) if name in arguments:
                names[ast.unparse(kept)] = name  # self.idx = idx
    found = {
        name: use
        for name in arguments
        if (use := _of_parts(node, name) or _of_calls(node, name)) is not None
    }
    drawn, counting = _assigned(node, _draws), _assigned(node, _counts)
    for part in ast.walk(node):
        for kind, value in (*_uses(part, counting), *_chances(part, drawn)):
            known = names.get(ast.unparse(value))
            if known and (
                known not in found or (kind != INTEGER and found[known].kind not in _WHOLES)
            ):
                found[known] = Use(kind)
    arrays = {
        names.get(ast.unparse(part.value))
        for part in ast.walk(node)
        if isinstance(part, ast.Subscript)
        or (isinstance(part, ast.Attribute) and part.attr in _OF_ARRAYS)
    }
    return {n: use for n, use in found.items() if use.kind != INTEGER or n not in arrays}


_WHOLES = frozenset((UNPACKED, KEYED, LISTED))
_OF_ARRAYS = frozenset("shape T dot sum ndim size reshape copy".split())


def _of_parts(node: ast.FunctionDef, name: str) -> Use | None:
    """Return the parts of an argument, before it is given another value: a tuple's or a dict's."""
    stored = [
        part.lineno
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Store)
    ]
    last = min(stored, default=node.end_lineno or node.lineno)
    keys: dict[str, None] = {}
    for part in _in_order(node):
        if getattr(part, "lineno", last) > last:
            continue
        match part:
            case ast.Assign([ast.Tuple(parts) | ast.List(parts)], ast.Name(whole)) if whole == name:
                names = tuple(each.id for each in parts if isinstance(each, ast.Name))
                if len(names) == len(parts):
                    return Use(UNPACKED, names)
            case ast.Subscript(ast.Name(whole), index, ast.Load()) if whole == name:
                keys |= dict.fromkeys(_keys(index))
            case ast.comprehension(ast.Name(key), holder, tests) if _is_of(holder, name):
                keys |= dict.fromkeys(_beginnings(tests, key))
            case ast.For(ast.Name(key), holder, body) if _is_of(holder, name):
                keys |= dict.fromkeys(_beginnings(body, key))
    begun = [key[:-1] for key in keys if key.endswith("*")]
    said = [key for key in keys if key.endswith("*") or not key.startswith((*begun, "\0"))]
    if keys:
        return Use(KEYED, tuple(said))
    return Use(LISTED) if _is_list(node, name) else None


def _is_list(node: ast.FunctionDef, name: str) -> bool:
    """Say whether an argument is gone through beside another, or several items are taken of it."""
    zipped = counted = taken = False
    items: set[int] = set()
    for part in ast.walk(node):
        match part:
            case ast.Call(ast.Name("zip"), arguments):
                zipped |= any(_base(argument) == name for argument in arguments)
            case ast.Call(ast.Name("len"), [ast.Name(whole)]):
                counted |= whole == name
            case ast.Subscript(ast.Name(whole), ast.Name() | ast.BinOp() | ast.UnaryOp()):
                taken |= whole == name
            case ast.Subscript(ast.Name(whole), ast.Constant(int(item))) if whole == name:
                items.add(item)
    return zipped or (counted and taken) or len(items) > 1


def _base(value: ast.expr) -> str:
    """Return the name of what is gone through: weights in `reversed(weights[:-1])`."""
    match value:
        case ast.Subscript(inner) | ast.Call(ast.Name("reversed" | "enumerate"), [inner]):
            return _base(inner)
    return getattr(value, "id", "")


def _in_order(node: ast.FunctionDef) -> list[ast.AST]:
    """Return the parts of a function in the order of its text."""
    return sorted(
        ast.walk(node), key=lambda n: (getattr(n, "lineno", 0), getattr(n, "col_offset", 0))
    )


def _keys(index: ast.expr) -> Iterator[str]:
    """Yield the keys that an index is: a text, or one that begins with a text."""
    match index:
        case ast.Constant(str(key)):
            yield key
        case ast.BinOp(ast.Constant(str(key)), ast.Add()) | ast.JoinedStr(
            [ast.Constant(str(key)), ast.FormattedValue()]
        ):
            yield f"{key}*"


def _is_of(holder: ast.expr, name: str) -> bool:
    """Say whether what is gone through are the keys of an argument."""
    return ast.unparse(holder) in (name, f"{name}.keys()")


def _beginnings(parts: list[ast.expr] | list[ast.stmt], key: str) -> Iterator[str]:
    """Yield the texts that a key is asked to begin with."""
    for part in (inner for each in parts for inner in ast.walk(each)):
        match part:
            case ast.Call(ast.Attribute(ast.Name(name), "startswith"), [ast.Constant(str(text))]):
                if name == key:
                    yield f"{text}*"
            case ast.Compare(ast.Constant(str(text)), [ast.In()], [ast.Name(name)]) if name == key:
                yield f"{text}*"


def _of_calls(node: ast.FunctionDef, name: str) -> Use | None:
    """Say that an argument is a function, and how many arguments it takes."""
    for part in ast.walk(node):
        match part:
            case ast.Call(ast.Name(called), arguments, []) if called == name:
                return Use(CALLED, (), len(arguments))
    return None


@cache
def logarithms(node: ast.FunctionDef) -> frozenset[str]:
    """Return the arguments of which, or of entries of which, the logarithm is taken."""
    arguments = {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
    comes_from: dict[str, set[str]] = {name: {name} for name in arguments}
    for part in _in_order(node):
        match part:
            case ast.Assign([ast.Tuple(targets)], ast.Tuple(values)):
                pairs = list(zip(targets, values, strict=False))
            case ast.Assign([target], value):
                pairs = [(target, value)]
            case _:
                continue
        for target, value in pairs:
            inside = {ast.unparse(inner) for inner in ast.walk(_picked_from(value))}
            sources = [comes_from[name] for name in inside if name in comes_from]
            comes_from[ast.unparse(target)] = set().union(*sources)
    logs = [
        inner
        for part in ast.walk(node)
        if isinstance(part, ast.Call) and getattr(part.func, "attr", "") in ("log", "log2", "log10")
        for argument in part.args
        for inner in ast.walk(argument)
    ]
    names = {ast.unparse(inner) for inner in logs if isinstance(inner, (ast.Name, ast.Attribute))}
    return frozenset(argument for name in names for argument in comes_from.get(name, ()))


def _picked_from(value: ast.expr) -> ast.expr:
    """Return X of `X[rows, y]`, and anything else as it is."""
    return value.value if isinstance(value, ast.Subscript) else value


def _assigned(node: ast.FunctionDef, test: Callable[[ast.expr], bool]) -> frozenset[str]:
    """Return the names that a function gives to a value of some kind."""
    return frozenset(
        part.targets[0].id
        for part in ast.walk(node)
        if isinstance(part, ast.Assign)
        and isinstance(part.targets[0], ast.Name)
        and test(part.value)
    )


def _draws(value: ast.expr) -> bool:
    """Say whether a value is drawn between 0 and 1."""
    match value:
        case ast.Call(ast.Attribute(attr="rand" | "random" | "uniform" | "random_sample")):
            return True
    return False


def _counts(value: ast.expr) -> bool:
    """Say whether a value counts: 0, 1, 2, ..."""
    match value:
        case ast.Call(ast.Name("range") | ast.Attribute(attr="arange")):
            return True
        case ast.Call(ast.Name("list"), [inner]):
            return _counts(inner)
    return False


def _chances(part: ast.AST, drawn: frozenset[str]) -> Iterator[tuple[str, ast.expr]]:
    """Yield what is the probability of a draw: `binomial(1, p)`, `rand(3) < p`."""
    match part:
        case ast.Call(ast.Attribute(attr="binomial"), [_, chance, *_]):
            yield CHANCE, _without_one(chance)
        case ast.Compare(left, [_], [right]):
            for value, chance in ((left, right), (right, left)):
                if _draws(value) or getattr(value, "id", "") in drawn:
                    yield CHANCE, _without_one(chance)


def _without_one(value: ast.expr) -> ast.expr:
    """Return p of `1 - p`, and anything else as it is."""
    match value:
        case ast.BinOp(ast.Constant(1 | 1.0), ast.Sub(), chance):
            return chance
    return value


def _uses(part: ast.AST, counting: frozenset[str]) -> Iterator[tuple[str, ast.expr]]:
    """Yield what an expression says of the expressions inside it."""
    match part:
        case ast.Call(ast.Attribute(ast.Subscript(value, ast.Slice()), "reshape")):
            yield FLAT, value
        case ast.Call(ast.Attribute(attr="reshape"), [ast.Subscript(value, ast.Slice()), *_]):
            yield FLAT, value
        case ast.Subscript(slice=ast.Name() | ast.Attribute() as index):
            yield INDEX, index
        case ast.Subscript(slice=ast.Tuple([first, second])):
            if _counts(first) or getattr(first, "id", "") in counting:
                yield INDEX, _unwrapped(second)
        case ast.Slice(lower, upper, step):
            for bound in (lower, upper, step):
                yield from ((INTEGER, name) for name in _names(bound))
        case ast.Call(ast.Name("range"), arguments):
            for argument in arguments:
                yield from ((INTEGER, name) for name in _names(argument))
        case ast.Call(ast.Attribute(ast.Name("np" | "numpy"), "reshape" | "repeat"), [_, *counts]):
            yield from ((INTEGER, name) for count in counts for name in _sizes(count))
        case ast.Call(ast.Attribute(_, "reshape" | "repeat"), counts):
            yield from ((INTEGER, name) for count in counts for name in _sizes(count))
        case ast.BinOp(op=ast.FloorDiv(), left=left, right=right):
            yield from ((INTEGER, name) for side in (left, right) for name in _names(side))


def _sizes(count: ast.expr) -> Iterator[ast.expr]:
    """Yield the names in a size, or in a tuple of sizes."""
    parts = count.elts if isinstance(count, ast.Tuple | ast.List) else [count]
    for part in parts:
        yield from _names(part)


def _unwrapped(value: ast.expr) -> ast.expr:
    """Return y of `y.astype(int)`, and anything else as it is."""
    match value:
        case ast.Call(ast.Attribute(inner, "astype" | "flatten" | "ravel" | "squeeze" | "reshape")):
            return inner
    return value


def _names(bound: ast.expr | None) -> Iterator[ast.expr]:
    """Yield the names in a bound that are numbers there, and not the size of something."""
    match bound:
        case ast.Name() | ast.Attribute():
            yield bound
        case ast.BinOp(left=left, right=right):
            yield from (*_names(left), *_names(right))


def texts_compared(node: ast.AST, name: str, holder: str = "") -> list[str]:
    """Return the texts that an argument, or what is kept of it in `self`, is compared with.

    Or an item of this name of the argument `holder`, which is a dict.
    """
    known = {name, f"self.{name}", f"{holder}['{name}']"}
    tables = _tables(node)
    found: dict[str, None] = {}
    for part in ast.walk(node):
        match part:
            case ast.Compare(left, _, others) if ast.unparse(left) in known:
                sides: list[ast.expr | None] = [*others]
                for other in others:
                    sides += tables.get(_last_name(other), ())
            case ast.Subscript(ast.Dict(keys), index) if ast.unparse(index) in known:
                sides = keys
            case ast.Subscript(table, index) if ast.unparse(index) in known:
                sides = [*tables.get(_last_name(table), ())]
            case _:
                continue
        for inner in (inner for side in sides if side is not None for inner in ast.walk(side)):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                found[inner.value] = None
    return list(found)


@cache
def _tables(node: ast.AST) -> dict[str, list[ast.expr]]:
    """Return lists of texts, and the keys of dicts, by the names under which they are kept."""
    found: dict[str, list[ast.expr]] = {}
    for part in ast.walk(node):
        match part:
            case ast.Assign([target], value) | ast.AnnAssign(target, _, value):
                match value:
                    case ast.List(items) | ast.Tuple(items) | ast.Set(items):
                        texts = items
                    case ast.Dict(keys):
                        texts = [key for key in keys if key is not None]
                    case _:
                        continue
                plain = all(isinstance(getattr(text, "value", None), str) for text in texts)
                if texts and plain and (name := _last_name(target)):
                    found[name] = texts
    return found


def _last_name(value: ast.expr) -> str:
    """Return the last part of a name: `methods` of `Losses.methods`, "" of what is none."""
    return str(getattr(value, "attr", getattr(value, "id", "")))


@dataclass(frozen=True)
class Axes:
    """How many axes arguments have, where a function says it, and how many at least."""

    sure: Mapping[str, int]
    least: Mapping[str, int]

    def fit(self, name: str, count: int) -> bool:
        """Say whether an argument may have so many axes."""
        return count == self.sure.get(name, count) and count >= self.least.get(name, 0)

    def of(self, name: str) -> int:
        """Return how many axes an argument has as far as is known, at least, 0 where nothing is."""
        return self.sure.get(name) or self.least.get(name, 0)


def axes_of(node: ast.FunctionDef, names: Mapping[str, str] | None = None) -> Axes:
    """Return the axes of arguments: `N, C, H, W = x.shape` has four.

    `names` are what else stands for an argument there: `self.x` for x.
    """
    known = {part.arg: part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
    known |= names or {}
    sure: dict[str, int] = {}
    least: dict[str, int] = {}
    for part in ast.walk(node):
        match part:
            case ast.Assign([ast.Tuple(sizes)], ast.Attribute(array, "shape")):
                sure[ast.unparse(array)] = len(sizes)
            case ast.Call(ast.Attribute(ast.Name("np" | "numpy"), "transpose"), [array, axes]):
                if isinstance(axes, ast.List | ast.Tuple):
                    sure[ast.unparse(array)] = len(axes.elts)
            case ast.Call(ast.Attribute(ast.Name("np" | "numpy"), "pad"), [array, widths, *_]):
                if isinstance(widths, ast.List | ast.Tuple) and all(
                    isinstance(width, ast.List | ast.Tuple) for width in widths.elts
                ):
                    sure[ast.unparse(array)] = len(widths.elts)
            case ast.Call(ast.Attribute(array, "transpose"), [_, _, *more]):
                sure[ast.unparse(array)] = 2 + len(more)
            case ast.Assert(ast.Compare(counted, [ast.Eq()], [ast.Constant(int(count))])):
                sure |= {ast.unparse(array): count for array in _counted(counted)}
            case ast.Subscript(ast.Attribute(array, "shape"), ast.Constant(int(axis))):
                text = ast.unparse(array)
                least[text] = max(least.get(text, 0), axis + 1)
    asked = {
        ast.unparse(array)
        for part in ast.walk(node)
        if isinstance(part, ast.If)
        for test in ast.walk(part.test)
        if isinstance(test, ast.expr)
        for array in _counted(test)
    }
    for text in asked:  # it takes arrays of several numbers of axes
        sure.pop(text, None)
        least.pop(text, None)
    return Axes(
        {known[text]: count for text, count in sure.items() if text in known},
        {known[text]: count for text, count in least.items() if text in known},
    )


def _counted(value: ast.expr) -> list[ast.expr]:
    """Return the array whose axes an expression counts: `x.ndim`, `np.ndim(x)`, `len(x.shape)`."""
    match value:
        case ast.Attribute(array, "ndim"):
            return [array]
        case ast.Call(ast.Attribute(_, "ndim"), [array]):
            return [array]
        case ast.Call(ast.Name("len"), [ast.Attribute(array, "shape")]):
            return [array]
    return []


def axes_of_pair(node: ast.FunctionDef, back: ast.FunctionDef | None) -> Axes:
    """Return the axes of a function's arguments, by what its backward pass says of them, too."""
    one = axes_of(node)
    if back is None:
        return one
    other = axes_of(back, kept_as(node))
    return Axes({**one.sure, **other.sure}, {**other.least, **one.least})


def takes_any_number(node: ast.FunctionDef) -> bool:
    """Say whether nothing in a function asks for numbers between 0 and 1: no logarithm, no bound.

    All that it calls is of NumPy and defined everywhere, and it divides by nothing but a count.
    """
    for part in ast.walk(node):
        match part:
            case ast.Call(ast.Attribute(_, name) | ast.Name(name)) if name not in _EVERYWHERE:
                return False
            case ast.BinOp(_, ast.Div(), ast.BinOp() | ast.Call() | ast.UnaryOp()):
                return False
            case ast.BinOp(_, ast.Pow(), power) if not isinstance(power, ast.Constant):
                return False
    return True


_EVERYWHERE = frozenset(
    """abs absolute fabs where sum mean square subtract multiply add dot len float int asarray array
    sign reshape ravel flatten astype copy""".split()
)
"""Functions that take any numbers, and have a derivative by them nearly everywhere."""


def columns_of(node: ast.FunctionDef) -> set[str]:
    """Return the arrays of which single items of the first column are taken: `y[i, 0]`."""
    return {
        part.value.id
        for part in ast.walk(node)
        if isinstance(part, ast.Subscript)
        and isinstance(part.value, ast.Name)
        and isinstance(part.slice, ast.Tuple)
        and isinstance(part.slice.elts[0], ast.Name)
        and [getattr(item, "value", None) for item in part.slice.elts[1:]] == [0]
    }


def is_array(node: ast.FunctionDef, name: str) -> bool:
    """Say whether a function takes an argument for an array: `kernel.shape`, `w.T`."""
    return any(
        isinstance(part, ast.Attribute)
        and part.attr in _OF_ARRAYS
        and getattr(part.value, "id", "") == name
        for part in ast.walk(node)
    )


def is_handed_on(node: ast.FunctionDef, name: str) -> bool:
    """Say whether a function puts an argument into a tuple, a list or a dict: its cache."""
    return any(
        getattr(item, "id", "") == name
        for part in ast.walk(node)
        if isinstance(part, ast.Tuple | ast.List | ast.Dict)
        for item in (part.values if isinstance(part, ast.Dict) else part.elts)
    )


def letters_of(node: ast.FunctionDef) -> dict[str, str]:
    """Return the axes of arguments as the letters of `np.einsum("ni,ij->nj", x, w)`."""
    known = {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
    found: dict[str, str] = {}
    for part in ast.walk(node):
        match part:
            case ast.Call(ast.Attribute(attr="einsum"), [ast.Constant(str(text)), *arrays]):
                letters = text.replace(" ", "").split("->")[0].split(",")
                for each, array in zip(letters, arrays, strict=False):
                    if (name := getattr(array, "id", "")) in known and each.isalpha():
                        found.setdefault(name, each)
    return found


def kept_as(node: ast.FunctionDef) -> dict[str, str]:
    """Return what an object keeps of a method's arguments: `self.x = x`, the attribute first."""
    return {
        ast.unparse(part.targets[0]): part.value.id
        for part in ast.walk(node)
        if isinstance(part, ast.Assign)
        and isinstance(part.targets[0], ast.Attribute)
        and isinstance(part.value, ast.Name)
    }
