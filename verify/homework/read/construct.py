"""What a class does with the arguments of its constructor, or of a method that prepares it.

So one sees what they are: an array has a shape, the items of a list of layers go forward. What code
outside of a class sets or fills in it is found here too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from verify.homework.read.discover import lineage, methods_of
from verify.homework.read.extract import Extract
from verify.homework.read.modules import Defined
from verify.homework.read.syntax import parameters

ARRAY, SHAPE, SIZES, SIZE, FUNCTION, OBJECT, OBJECTS = (
    "array", "shape", "sizes", "size", "function", "object", "objects",
)  # fmt: skip
"""An array, a tuple of sizes, a list of the layers' sizes, one size, what is called, an object."""


@dataclass(frozen=True)
class Want:
    """What an argument must be: its kind, how many axes a shape has, which methods an object.

    A size has as many axes as the array that it is a size of.
    """

    kind: str
    axes: int = 0
    methods: frozenset[str] = field(default_factory=frozenset)


def wants(found: Extract, owner: str, method: str = "__init__") -> dict[str, Want]:
    """Return what the arguments of a method must be, by all that its class does with them."""
    methods = methods_of(found, owner)
    node = methods.get(method)
    if node is None:
        return {}
    kept: dict[str, str] = {}
    signs: dict[str, list[Want]] = {}
    for name, want in _signs(found, owner, node, kept):
        signs.setdefault(name, []).append(want)
    for other in methods.values():
        if other is not node:
            for name, want in _uses(other, kept):
                signs.setdefault(name, []).append(want)
    return {name: _joined(each) for name, each in signs.items()}


def _joined(signs: Sequence[Want]) -> Want:
    """Return the kind of which there are signs: those that leave no doubt first."""
    kinds = {sign.kind for sign in signs}
    kind = next(kind for kind in _ORDER if kind in kinds)
    methods = frozenset[str]().union(*(sign.methods for sign in signs if sign.kind == kind))
    return Want(kind, max(sign.axes for sign in signs), methods)


_ORDER = (OBJECTS, OBJECT, FUNCTION, ARRAY, SIZES, SHAPE, SIZE)


def _signs(
    found: Extract, owner: str, node: ast.FunctionDef, kept: dict[str, str]
) -> Iterator[tuple[str, Want]]:
    """Yield what a method says of its arguments; note under which attributes they are kept."""
    names = {name for name, _ in parameters(node, True)}
    for argument in ast.walk(node.args):
        if isinstance(argument, ast.arg) and getattr(argument.annotation, "id", "") == "int":
            yield argument.arg, Want(SIZE)
    for target, value in assigned(node):
        if isinstance(target, ast.Attribute) and (of := _source(value, names)):
            kept[ast.unparse(target)] = of  # self.shape = shape
    yield from _uses(node, {name: name for name in names} | kept)
    for base, init, handed in _bases_made(found, owner, node):
        inner: dict[str, str] = {}
        for name, want in _signs(base.found, base.node.name, init, inner):
            if name in handed:
                yield handed[name], want
        kept |= {text: handed[name] for text, name in inner.items() if name in handed}


def _bases_made(
    found: Extract, owner: str, node: ast.FunctionDef
) -> Iterator[tuple[Defined, ast.FunctionDef, dict[str, str]]]:
    """Yield the constructors of bases that a constructor calls, with what they are handed."""
    for call in (part for part in ast.walk(node) if isinstance(part, ast.Call)):
        if not isinstance(call.func, ast.Attribute) or call.func.attr != "__init__":
            continue
        named = getattr(call.func.value, "id", "")
        for base in lineage(found, owner)[1:]:
            init = methods_of(base.found, base.node.name).get("__init__")
            if init is None or init is node or (named and named != base.node.name):
                continue
            given = call.args[1:] if named else call.args
            pairs = list(zip((n for n, _ in parameters(init, True)), given, strict=False))
            pairs += [(k.arg or "", k.value) for k in call.keywords]
            yield base, init, {n: v.id for n, v in pairs if isinstance(v, ast.Name)}
            break


def assigned(node: ast.FunctionDef) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield what is assigned to what, in tuples part by part."""
    for part in ast.walk(node):
        match part:
            case ast.Assign([ast.Tuple(targets)], ast.Tuple(values)):
                yield from zip(targets, values, strict=False)
            case ast.Assign(targets, value):
                yield from ((target, value) for target in targets)
            case ast.AnnAssign(target, _, value) if value is not None:
                yield target, value


def _source(value: ast.expr, names: set[str]) -> str:
    """Return the argument that is kept as it is, or as a list, where it is given."""
    match value:
        case ast.Name(name):
            return name if name in names else ""
        case ast.IfExp(_, body, otherwise):
            return _source(body, names) or _source(otherwise, names)
        case ast.BoolOp(_, values):
            return next((of for each in values if (of := _source(each, names))), "")
        case ast.Call(function, [first, *_]) if _last(function) in _KEEPERS:
            return _source(first, names)
    return ""


_KEEPERS = frozenset("list tuple array asarray copy deepcopy int".split())
_MAKERS = frozenset("zeros ones empty full randn rand random uniform normal standard_normal "
                    "reshape ndarray random_sample broadcast_to tile eye".split())  # fmt: skip
_OF_ARRAYS = frozenset("shape T dot ndim reshape astype sum mean transpose flatten ravel flat "
                       "size max min".split())  # fmt: skip
_OF_TEXTS_AND_LISTS = frozenset(
    """lower upper strip startswith endswith split append extend insert pop items keys values get
    index count copy sort format""".split()
)


def _uses(node: ast.FunctionDef, known: Mapping[str, str]) -> Iterator[tuple[str, Want]]:
    """Yield what each use of an argument says of it."""

    def of(value: ast.AST | None) -> str:
        if isinstance(value, (ast.Name, ast.Attribute)):
            return known.get(ast.unparse(value), "")
        return ""

    for part in ast.walk(node):
        match part:
            case ast.Call(ast.Attribute(value, method)) if (
                of(value) and method not in _OF_ARRAYS | _OF_TEXTS_AND_LISTS
            ):
                yield of(value), Want(OBJECT, methods=frozenset({method}))
            case ast.Attribute(value, attribute) if of(value) and attribute in _OF_ARRAYS:
                yield of(value), Want(ARRAY)
            case ast.BinOp(left, ast.MatMult(), right):
                yield from ((name, Want(ARRAY)) for side in (left, right) if (name := of(side)))
            case ast.Assign([ast.Attribute(value, "shape")], ast.Tuple(sizes)) if of(value):
                yield of(value), Want(ARRAY)
                yield from ((name, Want(SIZE, len(sizes))) for each in sizes if (name := of(each)))
            case ast.Starred(value) if of(value):
                yield of(value), Want(SHAPE)
            case ast.Subscript(value, ast.Constant(int(place))) if of(value):
                yield of(value), Want(SHAPE, place + 1 if place >= 0 else -place)
            case ast.Subscript(value, ast.UnaryOp(ast.USub(), ast.Constant(int(place)))) if of(
                value
            ):
                yield of(value), Want(SHAPE, place)
            case ast.Subscript(value, ast.Slice() | ast.Name() | ast.BinOp()) if of(value):
                yield of(value), Want(SIZES)
            case ast.Assign([ast.Tuple(names)], value) if of(value):
                yield of(value), Want(SHAPE, len(names))
            case ast.For(target, iterated) | ast.comprehension(target, iterated):
                yield from _iterated(of, target, iterated, node)
            case ast.Call(function, arguments, keywords):
                yield from _called(of, _last(function), function, arguments, keywords)
            case ast.BinOp(left, ast.FloorDiv() | ast.Mod(), right):
                yield from ((name, Want(SIZE)) for side in (left, right) if (name := of(side)))


def _iterated(
    of: Callable[[ast.AST | None], str],
    target: ast.expr,
    iterated: ast.expr,
    node: ast.FunctionDef,
) -> Iterator[tuple[str, Want]]:
    """Yield what a loop says: it goes through sizes, or through objects that it calls."""
    inner = iterated
    if isinstance(inner, ast.Call) and _last(inner.func) in ("enumerate", "reversed", "zip"):
        inner = next((a for a in inner.args if of(a)), inner)
    if not (name := of(inner)):
        return
    items = {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
    methods = frozenset(
        part.func.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Call)
        and isinstance(part.func, ast.Attribute)
        and getattr(part.func.value, "id", "") in items
    )
    yield name, Want(OBJECTS, methods=methods) if methods else Want(SIZES)


def _called(
    of: Callable[[ast.AST | None], str],
    last: str,
    function: ast.expr,
    arguments: Sequence[ast.expr],
    keywords: Sequence[ast.keyword],
) -> Iterator[tuple[str, Want]]:
    """Yield what a call says of what it calls and of what it is given."""
    if name := of(function):
        yield name, Want(FUNCTION)
    given = [*arguments, *(k.value for k in keywords if k.arg in ("size", "shape"))]
    if last == "len":
        yield from ((name, Want(SIZES)) for each in given if (name := of(each)))
    if last == "prod":
        yield from ((name, Want(SHAPE)) for each in given if (name := of(each)))
    if last in ("dot", "matmul"):
        yield from ((name, Want(ARRAY)) for each in given if (name := of(each)))
    if last in ("range", "float", "sqrt"):
        yield from ((name, Want(SIZE)) for each in given if (name := of(each)))
    if last in _MAKERS:
        for each in given:
            parts = each.elts if isinstance(each, (ast.Tuple, ast.List)) else [each]
            axes = len(parts) if parts != [each] else len(given)
            for part in parts:
                inner = part.left if isinstance(part, ast.BinOp) else part
                yield from ((name, Want(SIZE, axes)) for one in (inner,) if (name := of(one)))


def _last(function: ast.expr) -> str:
    return str(getattr(function, "attr", getattr(function, "id", "")))


def chains(found: Extract, owner: str) -> dict[str, frozenset[str]]:
    """Return the lists in an object whose items it calls, and the methods that it calls of them.

    "" among the methods says that the items themselves are called.
    """
    lists: dict[str, set[str]] = {}
    for node in methods_of(found, owner).values():
        items: dict[str, str] = {}
        for part in ast.walk(node):
            match part:
                case ast.For(target, iterated) | ast.comprehension(target, iterated):
                    names = [n.id for n in ast.walk(target) if isinstance(n, ast.Name)]
                    kept = [
                        inner.attr
                        for inner in ast.walk(iterated)
                        if isinstance(inner, ast.Attribute)
                        and getattr(inner.value, "id", "") == "self"
                    ]
                    items |= {name: kept[0] for name in names if kept}
        for part in ast.walk(node):
            match part:
                case ast.Call(ast.Attribute(ast.Name(item), method)) if item in items:
                    lists.setdefault(items[item], set()).add(method)
                case ast.Call(ast.Name(item)) if item in items:
                    lists.setdefault(items[item], set()).add("")
                case ast.Call(
                    ast.Attribute(ast.Subscript(ast.Attribute(ast.Name("self"), name)), method)
                ):
                    lists.setdefault(name, set()).add(method)
    return {name: frozenset(methods) for name, methods in lists.items()}


def optimisers(found: Extract, owner: str) -> dict[str, bool]:
    """Return the attributes that are optimisers, and whether they move arrays where they are.

    A method moves parameters through them, and takes what they return or not.
    """
    used: dict[str, bool] = {}
    for node in methods_of(found, owner).values():
        for part in ast.walk(node):
            call = part.value if isinstance(part, ast.Expr) else part
            match call:
                case ast.Call(
                    ast.Attribute(ast.Attribute(ast.Name("self"), name)), [_, *_] | []
                ) if _OPTIMISER.search(name.lower()) and call.args + call.keywords:
                    used[name] = used.get(name, False) or isinstance(part, ast.Expr)
    return used


_OPTIMISER = re.compile(r"opt(?:im\w*)?(?:_\w{1,2})?$|^opt(?:im\w*)?_|optimi")


def unset(found: Extract, owner: str) -> set[str]:
    """Return the labels that the methods of a class read off `self` and none of them sets."""
    read: set[str] = set()
    known: set[str] = {*methods_of(found, owner)}
    setters = {id(part) for node in methods_of(found, owner).values() if _only_keeps(node)
               for part in ast.walk(node)}  # fmt: skip
    for node, _ in lineage(found, owner):
        for part in ast.walk(node):
            if id(part) in setters:
                continue
            if isinstance(part, ast.Attribute) and getattr(part.value, "id", "") == "self":
                (read if isinstance(part.ctx, ast.Load) else known).add(part.attr)
            elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                known.add(part.id)
    return {name for name in read - known if _LABELS.fullmatch(name)}


def _only_keeps(node: ast.FunctionDef) -> bool:
    """Say whether a method only keeps its arguments, for the code outside that calls it."""
    body = [part for part in node.body if not isinstance(part, ast.Expr)]
    return node.name != "__init__" and all(
        isinstance(part, ast.Assign) and isinstance(part.value, ast.Name) for part in body
    )


_LABELS = re.compile(r"(?:\w+_)?(?:labels?|targets?|y_true|ys?|t)")
