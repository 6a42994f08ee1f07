"""A private copy of a file and of the modules that it imports, all that its process can read.

Beside a file lie other people's. Those whose names stand in a line that imports are copied, each to
where it lies from the file: beside it or below, in a folder above it, or in a package above it. A
link out of these folders is not followed. Nor is a folder above entered that is no package, for
somebody else's homework may lie in it; but for a project whose folders are no packages: files at
its root import from the folder that the importing file lies in, and their imports lead on into it.

As a parcel, the contents alone, it can be sent to another machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from verify.homework.read.modules import LEVELS

_PACKAGE = re.compile(rb"from\s+\.+\s+import")
_NAME = re.compile(rb"[\w./]+")


class Parcel(NamedTuple):
    """A file and what it may import: contents by their paths below one folder, and `own` path."""

    own: str
    contents: Mapping[str, bytes]


def parcel(path: Path) -> Parcel:
    """Return a file with what it may import. Raises OSError if the file cannot be read."""
    path = path.absolute()
    root = _root(path)
    contents = {str(source.relative_to(root)): source.read_bytes() for source in files_of(path)}
    return Parcel(str(path.relative_to(root)), contents)


def unpacked(sent: Parcel, folder: Path) -> Path:
    """Write a parcel's contents into a folder; return the file."""
    for place, content in sent.contents.items():
        copy = folder / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)
    return folder / sent.own


def files_of(path: Path) -> list[Path]:
    """Return a file, whose path is absolute, and what it may import.

    Raises OSError if the file cannot be read.
    """
    root = _root(path)
    found: dict[Path, None] = {path: None}
    waiting = [path]
    while waiting:
        source = waiting.pop()
        folders = [folder for folder in source.parents if folder.is_relative_to(root)]
        for name in _named(source.read_bytes()):
            module = _module(name, source, folders)
            if module is not None and module not in found:
                found[module] = None
                waiting.append(module)
    return list(found)


def _root(path: Path) -> Path:
    """Return the folder above a file up to which it may import."""
    return path.parents[min(LEVELS, len(path.parents) - 1)]


def _named(content: bytes) -> Iterator[tuple[str, ...]]:
    """Yield the names in lines that import, each as the parts of a path."""
    lines = [line for line in content.split(b"\n") if b"import" in line or b"%run" in line]
    if any(_PACKAGE.search(line) for line in lines):
        yield ("__init__",)
    for name in {name for line in lines for name in _NAME.findall(line)}:
        parts = [part for part in re.split(r"[./]+", name.decode("utf-8", "replace")) if part]
        if parts:
            yield tuple(parts)
            yield from ((part,) for part in parts if len(parts) > 1)


def _module(name: Sequence[str], importer: Path, folders: Sequence[Path]) -> Path | None:
    """Return the file of a module, as the importing file finds it from the folder that it is in.

    Most names are of no module, so each place is looked at by the cheapest means.
    """
    inside = "/".join(name)
    for folder in folders:
        for place in (f"{folder}/{inside}.py", f"{folder}/{inside}/__init__.py"):
            if (
                os.path.isfile(place)
                and Path(place).resolve().is_relative_to(folder.resolve())
                and (
                    folder == importer.parent
                    or len(name) == 1
                    or _may_enter(folder, name[0], importer)
                )
            ):
                return Path(place)
    return None


def _may_enter(root: Path, name: str, importer: Path) -> bool:
    """Say whether a folder below `root` is a package, or of the same project as the importer."""
    if root.joinpath(name, "__init__.py").is_file():
        return True
    own = importer.relative_to(root).parts[0]
    imported = _folders(root, (*root.glob("*.py"), *root.glob("*.ipynb")))
    return own in imported and (name in imported or name in _onwards(root, imported - {own}, own))


def _onwards(root: Path, folders: set[str], own: str) -> set[str]:
    """Return the folders that the files in some of them import, and so on, but for one's own."""
    files = [source for folder in folders for source in root.joinpath(folder).rglob("*.py")]
    found = folders | _folders(root, files) - {own}
    return found if found == folders else _onwards(root, found, own)


def _folders(root: Path, files: Iterable[Path]) -> set[str]:
    """Return the folders below a root that files import from."""
    named = {first for source in files for first, *_ in _named(source.read_bytes())}
    return {name for name in named if root.joinpath(name).is_dir()}
