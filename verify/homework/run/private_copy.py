"""A private copy of a file and of the modules beside it, the only ones that its process can read.

Beside a file lie other people's. Those whose names stand in a line that imports are copied, in
the same folders below the file's own; a link out of the file's folder is not followed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(rb"[\w./]+")


def private_copy(path: Path, folder: Path) -> Path:
    """Copy a file into a folder, with what it may import from beside it; return the copy.

    Raises OSError if the file cannot be read.
    """
    copy = folder / path.name
    shutil.copyfile(path, copy)
    copied = {path}
    waiting = [(path, copy)]
    while waiting:
        source, target = waiting.pop()
        for name in _named(target.read_bytes()):
            module = source.parent.joinpath(*name).with_suffix(".py")
            if module not in copied and _is_beside(module, source.parent):
                copied.add(module)
                place = target.parent.joinpath(*name).with_suffix(".py")
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(module, place)
                waiting.append((module, place))
    return copy


def _named(content: bytes) -> Iterator[tuple[str, ...]]:
    """Yield the names in lines that import, each as the parts of a path."""
    lines = (line for line in content.split(b"\n") if b"import" in line or b"%run" in line)
    for name in {name for line in lines for name in _NAME.findall(line)}:
        parts = re.split(r"[./]+", name.decode("utf-8", "replace"))
        yield tuple(filter(None, parts))
        yield from ((part,) for part in parts if part)


def _is_beside(module: Path, folder: Path) -> bool:
    """Say whether a module is a file in a folder or below it, and no link out of it."""
    return module.is_file() and module.resolve().is_relative_to(folder.resolve())
