"""What the text of a function says: its arguments, the names it uses, calls and returns."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator, Mapping
from functools import cache


@cache
def parameters(node: ast.FunctionDef, is_method: bool) -> list[tuple[str, bool]]:
    """Return each argument's name and whether it has a default; a method's without self."""
    positional = [*node.args.posonlyargs, *node.args.args]
    static = any(getattr(d, "id", "") == "staticmethod" for d in node.decorator_list)
    defaults = [False] * (len(positional) - len(node.args.defaults))
    defaults += [True] * len(node.args.defaults)
    pairs = [(a.arg, d) for a, d in zip(positional, defaults, strict=True)]
    if is_method and not static:
        pairs = pairs[1:]
    pairs += [
        (a.arg, d is not None)
        for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    ]
    return pairs


@cache
def required(node: ast.FunctionDef, is_method: bool) -> list[str]:
    """Return the arguments that have no default; a method's without self."""
    return [name for name, default in parameters(node, is_method) if not default]


def null_defaults(node: ast.FunctionDef) -> dict[str, float | bool]:
    """Return the arguments that are 0.0 or False where they are left out.

    What 0.0 scales is not seen then, and what False switches is not done.
    """
    return {
        name: value.value
        for name, value in _defaults(node)
        if isinstance(value, ast.Constant)
        and isinstance(value.value, float | bool)
        and not value.value
    }


def several_defaults(node: ast.FunctionDef) -> dict[str, tuple[float, ...] | list[float]]:
    """Return the arguments that are several numbers where they are left out, a tuple or a list."""
    found = {}
    for name, value in _defaults(node):
        if isinstance(value, ast.Tuple | ast.List):
            with contextlib.suppress(ValueError):
                numbers = ast.literal_eval(value)
                if len(numbers) > 1 and all(isinstance(n, int | float) for n in numbers):
                    found[name] = numbers
    return found


def large_defaults(node: ast.FunctionDef) -> list[str]:
    """Return the arguments that are whole numbers of two digits or more where they are left out."""
    return [
        name
        for name, value in _defaults(node)
        if isinstance(value, ast.Constant) and type(value.value) is int and value.value > 16
    ]


def _defaults(node: ast.FunctionDef) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield arguments with what they are where they are left out."""
    positional = [*node.args.posonlyargs, *node.args.args]
    pairs = zip(reversed(positional), reversed(node.args.defaults), strict=False)
    for argument, value in (
        *pairs,
        *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
    ):
        yield argument.arg, value


def words(node: ast.AST) -> Iterator[str]:
    """Yield the names and the strings in a function."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.arg):
            yield part.arg
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def plain_name(name: str) -> str:
    """Return a name without what says that it is another value of the same: `a1_new` is a1."""
    return re.sub(r"_(?:new|te?mp)$", "", name)


def calls(node: ast.AST) -> set[str]:
    """Return the names that a function calls."""
    found = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Call):
            func = part.func
            found.add(func.id if isinstance(func, ast.Name) else getattr(func, "attr", ""))
    return found


def reach(node: ast.FunctionDef, functions: Mapping[str, ast.FunctionDef]) -> set[str]:
    """Return the names of the functions in the file that a function calls, also through others."""
    seen: set[str] = set()
    new = calls(node) & set(functions)
    while new:
        seen |= new
        new = {name for f in new for name in calls(functions[f]) if name in functions} - seen
    return seen - {node.name}


@cache
def returned(node: ast.FunctionDef) -> list[str] | None:
    """Return the names in a function's last `return`, where it returns names."""
    last = None
    for part in ast.walk(node):
        if isinstance(part, ast.Return) and part.value is not None:
            last = part.value
    if isinstance(last, ast.Name):
        return [last.id]
    if isinstance(last, ast.Tuple):
        return [getattr(e, "id", "") for e in last.elts]
    return None
