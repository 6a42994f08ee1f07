"""The cache of `backproof check`: what was found of a file, by everything that it depends on.

That is the file, what it imports from beside it, the options, the versions of Python and of the
libraries, and Backproof's own code. It lies in the user's cache folder, a file for each report.
Not kept is what may turn out otherwise the next time: a file whose time was up or nearly so, one
that a fault of Backproof kept from being judged, and one with functions that its user named.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from verify.homework.report import TIMEOUT, FileReport, from_data
from verify.homework.run.private_copy import files_of
from verify.printable import printable
from verify.report import versions

KEPT_FOR = 60 * 24 * 3600
"""Seconds after which a report that nobody asked for is removed."""

HURRIED = 0.5
"""The share of its time from which on a file may be judged otherwise on a slower day."""


@dataclass(frozen=True)
class Cache:
    """The reports that are kept; without a `folder`, none."""

    folder: Path | None
    options: Mapping[str, Any]

    def find(self, path: Path) -> FileReport | None:
        """Return what was found of a file as it is now, or None if that is not known."""
        place = self._place(path)
        if place is None:
            return None
        try:
            report = from_data(json.loads(place.read_text(encoding="utf-8")))
            os.utime(place)
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return replace(report, path=printable(str(path)))

    def keep(self, path: Path, report: FileReport) -> None:
        """Keep a report, unless the next check may find something else; a full disk is no error."""
        hurried = report.seconds > HURRIED * float(self.options["limits"]["timeout"])
        if hurried or report.verdict == TIMEOUT or report.fault:
            return
        place = self._place(path)
        if place is not None:
            with suppress(OSError):
                place.parent.mkdir(parents=True, exist_ok=True)
                handle, temporary = tempfile.mkstemp(dir=place.parent)
                with os.fdopen(handle, "w", encoding="utf-8") as stream:
                    json.dump(asdict(report), stream)
                os.replace(temporary, place)

    def remove_old(self) -> None:
        """Remove what nobody asked for in a long time."""
        if self.folder is None:
            return
        for place in self.folder.glob("*/*"):
            with suppress(OSError):
                if place.stat().st_mtime < time.time() - KEPT_FOR:
                    place.unlink()

    def _place(self, path: Path) -> Path | None:
        """Return where the report of a file is kept; None if the file cannot be read."""
        if self.folder is None:
            return None
        try:
            key = _key(path, self.options)
        except OSError:
            return None
        return self.folder / key[:2] / f"{key[2:]}.json"


def open_cache(options: Mapping[str, Any], wanted: bool) -> Cache:
    """Return the cache for checks with these options; an empty one if it is not `wanted`."""
    if not wanted or options["named"]:
        return Cache(None, options)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Cache(Path(home) / "backproof", options)


def _key(path: Path, options: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for part in (*_circumstances(), json.dumps(dict(options), sort_keys=True).encode()):
        digest.update(part)
    path = path.absolute()
    for file in sorted(files_of(path)):
        content = file.read_bytes()
        name = os.path.relpath(file, path.parent)
        digest.update(f"{name}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


@functools.cache
def _circumstances() -> Sequence[bytes]:
    """Return what is the same for every file of a run: versions, the system, our own code."""
    home = Path(__file__).parents[2]
    code = hashlib.sha256()
    for package in ("manual", "autodiff", "verify"):
        for file in sorted((home / package).rglob("*.py")):
            code.update(file.read_bytes())
    return json.dumps(versions()).encode(), platform.platform().encode(), code.digest()
