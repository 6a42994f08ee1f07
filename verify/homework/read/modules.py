"""Files beside a file: where a module lies, and the classes that are imported from there."""

from __future__ import annotations

import ast
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from verify.homework.read.extract import Extract, UnreadableError, extract

LEVELS = 4
"""Folders above a file in which the root of its project is looked for."""

DEEPEST = 4
"""Files through which an import is followed to the class that it names."""


class Defined(NamedTuple):
    """A class, and the file that defines it."""

    node: ast.ClassDef
    found: Extract


def source_of(name: str, importer: Path) -> Path | None:
    """Return the file of a module: beside the importing file, or below a folder above it."""
    parts = name.split(".")
    for folder in list(importer.resolve().parents)[: LEVELS + 1]:
        for path in (
            folder.joinpath(*parts).with_suffix(".py"),
            folder.joinpath(*parts, "__init__.py"),
        ):
            if path.is_file():
                return None if path.resolve() == importer.resolve() else path
    return None


@lru_cache(maxsize=1024)
def class_of(found: Extract, name: str, deepest: int = DEEPEST) -> Defined | None:
    """Return the class of a name in a file, which may have it from a file beside it."""
    own = found.classes.get(name)
    if own is not None:
        return Defined(own, found)
    for statement in found.statements if deepest else ():
        for node in ast.walk(statement.node):
            if not isinstance(node, ast.ImportFrom):
                continue
            for alias in node.names:
                if name not in (alias.asname or alias.name, "*") and alias.name != "*":
                    continue
                wanted = name if alias.name == "*" else alias.name
                for module in (node.module or "", f"{node.module or ''}.{wanted}".strip(".")):
                    other = _read(module, found.path, node.level)
                    if other is not None and (of := class_of(other, wanted, deepest - 1)):
                        return of
    return None


def imported_names(found: Extract) -> list[str]:
    """Return the names that a file imports from others, in its order."""
    return [
        alias.asname or alias.name
        for statement in found.statements
        if isinstance(statement.node, ast.ImportFrom)
        for alias in statement.node.names
        if alias.name != "*"
    ]


def _read(module: str, importer: Path, level: int) -> Extract | None:
    beside = importer.resolve().parent.joinpath("__init__.py")
    path = source_of(module, importer) if module else (beside if level else None)
    if path is None or not path.is_file() or path.resolve() == importer.resolve():
        return None
    return _extracted(path)


@cache
def _extracted(path: Path) -> Extract | None:
    try:
        return extract(path)
    except (UnreadableError, OSError):
        return None
