"""What the text of a function says of an argument by what is done with it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache

INDEX, INTEGER, FLAT = "index", "integer", "flat"
"""It picks rows of an array; it counts or bounds something; it is cut and reshaped to weights."""


def usage(
    node: ast.FunctionDef, functions: Mapping[str, ast.FunctionDef], depth: int = 2
) -> dict[str, str]:
    """Return how arguments are used, by what a function does or what it hands them to does."""
    found = dict(_own_usage(node))
    if depth:
        for call in (part for part in ast.walk(node) if isinstance(part, ast.Call)):
            other = functions.get(getattr(call.func, "id", ""))
            if other is not None and other is not node:
                inner = usage(other, functions, depth - 1)
                names = [a.arg for a in other.args.args]
                for argument, given in zip(names, call.args, strict=False):
                    if isinstance(given, ast.Name) and argument in inner:
                        found.setdefault(given.id, inner[argument])
    return found


@cache
def _own_usage(node: ast.FunctionDef) -> dict[str, str]:
    arguments = {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
    names = {argument: argument for argument in arguments}
    for part in ast.walk(node):
        match part:
            case ast.Assign([ast.Attribute() as kept], ast.Name(name)) if name in arguments:
                names[ast.unparse(kept)] = name  # self.idx = idx
    found: dict[str, str] = {}
    for part in ast.walk(node):
        for kind, value in _uses(part):
            if (known := names.get(ast.unparse(value))) and (kind != INTEGER or known not in found):
                found[known] = kind
    arrays = {
        names.get(ast.unparse(part.value))
        for part in ast.walk(node)
        if isinstance(part, ast.Subscript)
        or (isinstance(part, ast.Attribute) and part.attr in _OF_ARRAYS)
    }
    return {n: k for n, k in found.items() if k != INTEGER or n not in arrays}


_OF_ARRAYS = frozenset("shape T dot sum ndim size reshape copy".split())


def _uses(part: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield what an expression says of the expressions inside it."""
    match part:
        case ast.Call(ast.Attribute(ast.Subscript(value, ast.Slice()), "reshape")):
            yield FLAT, value
        case ast.Call(ast.Attribute(attr="reshape"), [ast.Subscript(value, ast.Slice()), *_]):
            yield FLAT, value
        case ast.Subscript(slice=ast.Name() | ast.Attribute() as index):
            yield INDEX, index
        case ast.Slice(lower, upper, step):
            for bound in (lower, upper, step):
                yield from ((INTEGER, name) for name in _names(bound))
        case ast.Call(ast.Name("range"), arguments):
            for argument in arguments:
                yield from ((INTEGER, name) for name in _names(argument))
        case ast.BinOp(op=ast.FloorDiv(), left=left, right=right):
            yield from ((INTEGER, name) for side in (left, right) for name in _names(side))


def _names(bound: ast.expr | None) -> Iterator[ast.expr]:
    """Yield the names in a bound that are numbers there, and not the size of something."""
    match bound:
        case ast.Name() | ast.Attribute():
            yield bound
        case ast.BinOp(left=left, right=right):
            yield from (*_names(left), *_names(right))


def texts_compared(node: ast.AST, name: str) -> list[str]:
    """Return the texts that an argument, or what is kept of it in `self`, is compared with."""
    known = {name, f"self.{name}"}
    found: dict[str, None] = {}
    for part in ast.walk(node):
        match part:
            case ast.Compare(left, _, others) if ast.unparse(left) in known:
                sides: list[ast.expr | None] = [*others]
            case ast.Subscript(ast.Dict(keys), index) if ast.unparse(index) in known:
                sides = keys
            case _:
                continue
        for inner in (inner for side in sides if side is not None for inner in ast.walk(side)):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                found[inner.value] = None
    return list(found)


def axes_of(node: ast.FunctionDef) -> dict[str, int]:
    """Return how many axes arguments have where a function says it: `N, C, H, W = x.shape`."""
    found: dict[str, int] = {}
    for part in ast.walk(node):
        match part:
            case ast.Assign([ast.Tuple(names)], ast.Attribute(ast.Name(argument), "shape")):
                found[argument] = len(names)
            case ast.Subscript(ast.Attribute(ast.Name(argument), "shape"), ast.Constant(int(axis))):
                found[argument] = max(found.get(argument, 0), axis + 1)
    return found
