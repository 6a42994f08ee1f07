"""Where in its text a function assigns a gradient."""

from __future__ import annotations

import ast
from typing import NamedTuple

from verify.homework.read.extract import Extract, Statement


class Line(NamedTuple):
    """A line of a file: its number, in a cell (None in a script), and its text."""

    cell: int | None = None
    line: int | None = None
    source: str = ""


NOWHERE = Line()


def locate(found: Extract, definition: str, node: ast.FunctionDef, tensor: str) -> Line:
    """Return where a function last assigns a gradient, or `NOWHERE`.

    Looks for the name (`dW2 = ...`), for the key (`grads["dW2"] = ...`), and in a loop for the
    kind of it (`grads["dW" + str(l)] = ...`, `dW = ...`).
    """
    statement = found.statement_of(definition)
    if statement is None:
        return NOWHERE
    kind = tensor.rstrip("0123456789")
    for wanted in dict.fromkeys((tensor, kind)):
        for assignment in _assignments(node, wanted):
            return Line(statement.cell, assignment.lineno, _source(statement, assignment))
    return NOWHERE


def line_of(found: Extract, definition: str, number: int) -> Line:
    """Return a line of a definition by its number, with its text."""
    statement = found.statement_of(definition)
    if statement is None:
        return NOWHERE
    lines = statement.text.split("\n")
    at = number - statement.node.lineno
    text = lines[at].strip() if 0 <= at < len(lines) else ""
    return Line(statement.cell, number, text if len(text) <= 160 else text[:157] + "...")


def _source(statement: Statement, node: ast.stmt) -> str:
    """Return a statement within another as it was written, on one line."""
    first = node.lineno - statement.node.lineno
    last = (node.end_lineno or node.lineno) - statement.node.lineno
    text = " ".join(line.strip() for line in statement.text.split("\n")[first : last + 1])
    return text if len(text) <= 160 else text[:157] + "..."


def _assignments(function: ast.FunctionDef, name: str) -> list[ast.stmt]:
    found = []
    for node in ast.walk(function):
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            parts = [p for t in targets for p in ([*t.elts] if isinstance(t, ast.Tuple) else [t])]
            if any(_says(part, name) for part in parts) and not _is_blank(node.value):
                found.append(node)
    # `grads["dW2"] = dW2` says nothing of how it was made.
    telling = [n for n in found if not isinstance(n.value, (ast.Name, ast.Constant)) or _masks(n)]
    return sorted(telling or found, key=lambda node: -node.lineno)


def _is_blank(value: ast.expr) -> bool:
    """Say whether an expression is None, as exercises begin: `dx, dw = None, None`."""
    parts = value.elts if isinstance(value, ast.Tuple) else [value]
    return all(isinstance(part, ast.Constant) and part.value is None for part in parts)


def _masks(node: ast.Assign | ast.AugAssign) -> bool:
    """Say whether an assignment is `dZ[Z <= 0] = 0`: that is where the mask is made."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(
        isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Compare)
        for target in targets
    )


def _says(target: ast.expr, name: str) -> bool:
    if isinstance(target, ast.Name):
        return target.id == name
    if isinstance(target, ast.Subscript):
        first = next(
            (
                part.value
                for part in ast.walk(target.slice)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            ),
            None,
        )
        base = target.value
        while isinstance(base, ast.Subscript):
            base = base.value
        return first == name or (first is None and _says(base, name))
    return False
