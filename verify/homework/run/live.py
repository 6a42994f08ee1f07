"""The door into this very process: a notebook's kernel, or a script that checks itself.

It answers the questions of `run.door` over a live namespace. Whatever a question runs gets copies
of its inputs and fixed random numbers; what it prints is dropped; and afterwards the namespace,
the contents of what it holds, and the random numbers are as they were. A fork of the process
would keep its state apart too, but not on Windows, and not safely where there are threads, as
there are in every kernel.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import linecache
import os
import re
import sys
import types
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from verify.homework.read.extract import Extract, Statement
from verify.homework.run.door import Answer, Door, Question, answered
from verify.homework.run.namespace import ObservedRandom, Workspace
from verify.homework.run.observer import Observed, is_own
from verify.homework.run.substitute_modules import NumpyModule
from verify.homework.run.wire import decode, encode


class _Here:
    """This process, as what answers questions."""

    processor = 0.0

    def __init__(self, workspace: Workspace, observed: Observed):
        self._workspace, self._observed = workspace, observed

    def ask(self, question: Question) -> Answer:
        with (
            open(os.devnull, "w", encoding="utf-8") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            answer: Answer = decode(encode(answered(self._workspace, question)))
            return answer

    def record(self, wanted: list[str], seconds: float) -> dict[str, dict[str, Any]]:
        calls = self._observed.calls
        return {name: calls[name] for name in wanted if name in calls}

    def close(self) -> None:
        self._workspace.contents.put_back()


def live_door(found: Extract, observed: Observed) -> Door:
    """Return the door into this process, of a namespace and what was observed in it."""
    random = ObservedRandom()
    workspace = Workspace(
        found, NumpyModule(random), random, observed.names, objects=observed.objects, live=True
    )
    return Door(_Here(workspace, observed))


def live_extract(names: Mapping[str, Any]) -> Extract:
    """Return the text of what a namespace defines now: functions and classes, with the imports.

    Not of what was imported from elsewhere, or was defined by text that is gone.
    """
    lines = {name: _lines(value, names) for name, value in names.items()}
    files = dict.fromkeys(file for places in lines.values() for file in places)
    statements: list[Statement] = []
    labels: dict[int | None, str] = {}
    for place, file in enumerate(files):
        number = _cell(file)
        cell = number if number is not None or len(files) == 1 else -1 - place
        labels[cell] = file
        text = "".join(linecache.getlines(file))
        with contextlib.suppress(SyntaxError):
            for node in ast.parse(text).body:
                if _is_current(node, file, lines):
                    segment = ast.get_source_segment(text, node) or ""
                    statements.append(Statement(node, cell, segment))
    path = Path(next(iter(files), "")) if len(files) == 1 else Path("notebook")
    return Extract(path, tuple(statements), labels=labels)


def _cell(file: str) -> int | None:
    """Return the number of the cell of the running notebook, as In[3] has it; None in a script."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    label = shell.compile.format_code_name(file) if shell is not None else None
    found = re.search(r"In\s*\[(\d+)\]", " ".join(label)) if label else None
    return int(found[1]) if found else None


def homes(names: Mapping[str, Any]) -> list[tuple[dict[str, Any], set[str]]]:
    """Return the namespaces that define the user's functions and classes in a namespace.

    Each comes with the names that these have there.
    """
    found: dict[int, tuple[dict[str, Any], set[str]]] = {}
    for value in names.values():
        for function in _functions(value):
            if is_own(function.__code__.co_filename):
                home = found.setdefault(id(function.__globals__), (function.__globals__, set()))
                home[1].add(value.__name__)
    return list(found.values())


def _is_current(node: ast.stmt, file: str, lines: Mapping[str, Mapping[str, set[int]]]) -> bool:
    """Say whether a statement is an import, or defines what its name is in the namespace now."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return True
    if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return False
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return any(
        first <= line <= (node.end_lineno or first)
        for line in lines.get(node.name, {}).get(file, ())
    )


def _lines(value: Any, names: Mapping[str, Any]) -> dict[str, set[int]]:
    """Return where the functions that a value is made of begin: lines by the name of the file."""
    found: dict[str, set[int]] = {}
    for function in _functions(value):
        code = function.__code__
        if function.__globals__ is names and is_own(code.co_filename):
            found.setdefault(code.co_filename, set()).add(code.co_firstlineno)
    return found


def _functions(value: Any) -> Iterator[types.FunctionType]:
    """Yield a function, or the methods of a class; of what is decorated, what is inside."""
    parts = vars(value).values() if isinstance(value, type) else (value,)
    for part in parts:
        plain = part.__func__ if isinstance(part, (staticmethod, classmethod)) else part
        if isinstance(plain, types.FunctionType):
            inner = inspect.unwrap(plain)
            if isinstance(inner, types.FunctionType):
                yield inner
