"""Python 2 as Python 3 reads it: line by line, so that every line keeps its number.

What the two write differently is changed where the parser stumbles over it: print and exec are
statements that compute nothing and go; exceptions and old literals are written anew. What they
mean differently is in `compiled_as`: whole numbers divide to whole numbers, and `iteritems` is
`items`. The names that went are given back by whoever runs the code.
"""

from __future__ import annotations

import ast
import copy
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple


class Rule(NamedTuple):
    """A way in which Python 3 stumbles: its message, or how the line looks if it has none."""

    pattern: str
    what: str
    mended: Callable[[str], str]


def _replaced(pattern: str, by: str) -> Callable[[str], str]:
    return lambda line: re.sub(pattern, by, line)


RULES = (
    Rule(
        r"call to 'print'|(?:^|[:;])\s*print\s+[^=\s(.,)]|(?:^|[:;])\s*print\s*$",
        "a print statement",
        _replaced(r"\bprint\b.*", "pass"),
    ),
    Rule(r"call to 'exec'", "an exec statement", _replaced(r"\bexec\b.*", "pass")),
    Rule(
        r"exception types must be parenthesized|^\s*except\s+[^:]+,\s*\w+\s*:",
        "an except clause with a comma",
        _replaced(r"(except\s+.+?)\s*,\s*(\w+)\s*:", r"\1 as \2:"),
    ),
    Rule(
        r"(?:^|[:;])\s*raise\s+[\w.]+\s*,",
        "a raise statement with a comma",
        _replaced(r"(raise\s+[\w.]+)\s*,\s*(.+)$", r"\1(\2)"),
    ),
    Rule(r"\w\s*<>\s*\w", "the operator <>", _replaced(r"<>", "!=")),
    Rule(
        r"leading zeros in decimal|invalid decimal literal|hexadecimal literal",
        "an old integer literal",
        lambda line: re.sub(r"\b0([0-7]+)\b", r"0o\1", re.sub(r"\b(\w+)[lL]\b", r"\1", line)),
    ),
    Rule(r"`[^`]+`", "a backtick", _replaced(r"`([^`]+)`", r"repr(\1)")),
)


def fault_of(text: str) -> SyntaxError | None:
    """Return the first reason why the text does not parse, or None if it does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except SyntaxError as fault:
        return fault
    except (ValueError, RecursionError, MemoryError) as fault:
        return SyntaxError(str(fault) or "it is nested too deeply")
    return None


def stumbles(text: str) -> tuple[int, Rule] | None:
    """Return the line on which Python 3 stumbles over Python 2, and what is on it."""
    fault = fault_of(text)
    if fault is None:
        return None
    number = fault.lineno or 1
    lines = text.split("\n")
    line = lines[number - 1] if number <= len(lines) else ""
    for rule in RULES:
        vague = (fault.msg or "").startswith("invalid syntax")
        if re.search(rule.pattern, fault.msg or "") or (vague and re.search(rule.pattern, line)):
            return number, rule
    return None


def translated(text: str) -> tuple[str, bool]:
    """Return the text as Python 3 writes it, and whether anything in it was Python 2."""
    lines, is_old = text.split("\n"), False
    for _ in range(len(lines)):
        found = stumbles("\n".join(lines))
        if found is None:
            break
        is_old = True
        number, rule = found
        before = lines[number - 1]
        lines[number - 1] = rule.mended(before)
        if lines[number - 1] == before:
            break
        if lines[number - 1].endswith("pass"):
            _blank(lines, number, before)
    return "\n".join(lines), is_old


def _blank(lines: list[str], at: int, statement: str) -> None:
    """Blank the lines over which a statement goes on that is gone."""
    while at < len(lines) and (statement.rstrip().endswith("\\") or _open(statement) > 0):
        statement = statement.rstrip().removesuffix("\\") + lines[at]
        lines[at] = ""
        at += 1


def _open(statement: str) -> int:
    return sum(statement.count(c) for c in "([{") - sum(statement.count(c) for c in ")]}")


NAMES = frozenset("xrange unicode raw_input basestring unichr long".split())
"""Builtins that went with Python 2."""

_METHODS = {"iteritems": "items", "itervalues": "values", "iterkeys": "keys"}


def speaks(nodes: Iterable[ast.AST]) -> bool:
    """Say whether code uses what only Python 2 has, and no library that brings it back.

    Or counts by a quotient, which is a whole number there alone.
    """
    used, made = set(), set()
    for node in nodes:
        for part in ast.walk(node):
            if isinstance(part, ast.FunctionDef) and _quotients(part) & _counts(part):
                return True
            match part:
                case ast.Name(name, ast.Load()):
                    used.add(name)
                case ast.Name(name) | ast.arg(name) | ast.FunctionDef(name):
                    made.add(name)
                case ast.alias(name, asname):
                    made.add(asname or name)
                case ast.Attribute(attr=name) if name in _METHODS:
                    return True
    return bool((used & NAMES) - made)


def _quotients(function: ast.FunctionDef) -> set[str]:
    """Return the names that are quotients wherever a function binds them."""
    bound = Counter[str]()
    quotients = Counter[str]()
    for part in ast.walk(function):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            bound[part.id] += 1
        if isinstance(part, ast.Assign):
            quotients.update(
                name.id
                for target in part.targets
                for name, value in _bound_by(target, part.value)
                if isinstance(name, ast.Name) and _divides(value)
            )
    return {name for name, times in quotients.items() if times == bound[name]}


def _bound_by(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """Return what an assignment binds to what, one by one where it has a tuple on both sides."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return list(zip(target.elts, value.elts, strict=False))
    return [(target, value)]


def _divides(node: ast.expr) -> bool:
    """Say whether an expression is a quotient of plain numbers, or a sum or product with one."""
    if not isinstance(node, ast.BinOp):
        return False
    if isinstance(node.op, ast.Div):
        return True
    plain = ast.Add | ast.Sub | ast.Mult
    return isinstance(node.op, plain) and (_divides(node.left) or _divides(node.right))


def _counts(function: ast.FunctionDef) -> set[str]:
    """Return the names by which a function counts: in `range`, or in the shape of an array."""
    found = set()
    for part in ast.walk(function):
        if not isinstance(part, ast.Call):
            continue
        name = getattr(part.func, "id", getattr(part.func, "attr", ""))
        given = part.args if name in _COUNTING else []
        if name in _OF_AN_ARRAY and getattr(getattr(part.func, "value", None), "id", "") in _NUMPY:
            given = given[1:]  # the array itself is no number
        for each in given:
            inner = each.elts if isinstance(each, ast.Tuple | ast.List) else [each]
            found |= {one.id for one in inner if isinstance(one, ast.Name)}
    return found


_OF_AN_ARRAY = frozenset({"reshape", "repeat", "tile"})
_COUNTING = _OF_AN_ARRAY | {"range", "xrange", "zeros", "ones", "empty"}
_NUMPY = frozenset({"np", "numpy"})


DIVIDED = "__divided_as_python_2__"
"""The name of the function by which code divides."""


def compiled_as(node: ast.stmt, divides: bool) -> ast.stmt:
    """Return a statement that means to Python 3 what it means to Python 2.

    `divides` says whether whole numbers divide to whole numbers, by the function `DIVIDED`.
    """
    changed: ast.stmt = _Meaning(divides).visit(copy.deepcopy(node))
    return ast.fix_missing_locations(changed)


class _Meaning(ast.NodeTransformer):
    def __init__(self, divides: bool):
        self.divides = divides

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = _METHODS.get(node.attr, node.attr)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not (self.divides and isinstance(node.op, ast.Div)):
            return node
        call = ast.Call(ast.Name(DIVIDED, ast.Load()), [node.left, node.right], [])
        return ast.copy_location(call, node)
