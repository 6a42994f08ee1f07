"""The journal of `backproof check`: every verdict in a file as soon as it is there.

It lies beside the output file, as FILE.journal: a first line that says what made it, then one
JSON line a file. A line is whole or is not there: half a line, which a full disk or a killed
command leaves, is not read, and is cut off before the next. Once the output file is written, the
journal is removed.

A line is handed to the kernel at once, so it outlives the command, however that ends. Against a
loss of power the lines are forced onto the disk together, at most once in `APART` seconds: to do it
for each would take longer than much of the judging.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from verify.homework.report import FileReport, from_data
from verify.report import versions

SUFFIX = ".journal"

APART = 1.0
"""Seconds between two times that lines are forced onto the disk."""


@dataclass
class Journal:
    """A journal open for writing; without a `path` it keeps nothing.

    `known` are the reports that it held already, by the file's number among those to check.
    `forced` is when its lines were last forced onto the disk.
    """

    path: Path | None = None
    handle: int = -1
    contents: tuple[str, ...] = ()
    known: Mapping[int, FileReport] = field(default_factory=dict)
    forced: float = -APART

    def add(self, number: int, report: FileReport) -> None:
        """Write the report of a file; raise ValueError if that fails."""
        if self.path is not None:
            self._write({"content": self.contents[number], "report": asdict(report)})

    def _write(self, line: Mapping[str, Any]) -> None:
        data = json.dumps(line).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self.handle, data) :]
            if time.monotonic() - self.forced > APART:
                os.fsync(self.handle)
                self.forced = time.monotonic()
        except OSError as fault:
            raise ValueError(
                f"journal: got {self.path}, which cannot be written ({fault.strerror}); what was "
                "finished before is in it, and --resume goes on"
            ) from fault

    def remove(self) -> None:
        """Remove it, once the output file is on the disk, which has everything."""
        if self.path is not None:
            with suppress(OSError), open(self.path.with_suffix("")) as output:
                os.fsync(output.fileno())
            self.path.unlink(missing_ok=True)


@contextmanager
def open_journal(
    output_file: Path | None, files: Sequence[Path], options: Mapping[str, Any], resume: bool
) -> Iterator[Journal]:
    """Open the journal beside an output file; none if there is no such file, or it is a device.

    To `resume`, it must be of the same options; its reports of files that have not changed since
    are `known`, but for those that a fault of Backproof kept from being judged. Raises ValueError
    if there is one already and not `resume`, if it is of other options, and if it is in use or
    cannot be written.
    """
    if output_file is None or (output_file.exists() and not output_file.is_file()):
        if resume:
            raise ValueError("resume: got no output file, expected --output-file FILE with it")
        yield Journal()
        return
    path = output_file.with_name(output_file.name + SUFFIX)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as fault:
        raise ValueError(
            f"journal: got {path}, which cannot be written ({fault.strerror})"
        ) from fault
    try:
        _lock(path, handle)
        yield _opened(path, handle, files, options, resume)
    finally:
        with suppress(OSError):  # what cannot be forced was written, and is said to be there
            os.fsync(handle)
        os.close(handle)


def _lock(path: Path, handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(f"journal: got {path}, which another check is writing") from None


def _opened(
    path: Path, handle: int, files: Sequence[Path], options: Mapping[str, Any], resume: bool
) -> Journal:
    head = {"versions": versions(), "options": dict(options)}
    lines, end = _whole_lines(path, handle)
    if len(lines) > 1 and not resume:
        raise ValueError(
            f"output-file: got a file beside which {path} has {len(lines) - 1} verdicts of an "
            "interrupted check, expected --resume to go on with it, or no such file"
        )
    if lines and resume and lines[0] != head:
        raise ValueError(
            f"resume: got {path} of a check with other options or versions, expected the same"
        )
    if not resume:
        lines, end = [], 0
    os.ftruncate(handle, end)
    os.lseek(handle, end, os.SEEK_SET)
    contents = tuple(map(_content, files))
    try:
        found = {line["content"]: from_data(line["report"]) for line in lines[1:]}
    except (LookupError, TypeError) as fault:
        raise ValueError(f"resume: got {path}, which is no journal of a check") from fault
    known = {
        number: found[content]
        for number, content in enumerate(contents)
        if content in found and not found[content].fault
    }
    journal = Journal(path, handle, contents, known)
    if not lines:
        journal._write(head)
    return journal


def _whole_lines(path: Path, handle: int) -> tuple[list[Any], int]:
    """Return the lines of a journal, and where the last whole one ends."""
    with os.fdopen(os.dup(handle), "rb") as stream:
        data = stream.read()
    end = data.rfind(b"\n") + 1
    try:
        return [json.loads(line) for line in data[:end].splitlines()], end
    except ValueError:
        raise ValueError(f"journal: got {path}, which is no journal of a check") from None


def _content(path: Path) -> str:
    """Return a name for a file as it is now: its path and what is in it."""
    digest = hashlib.sha256(os.fsencode(path) + b"\0")
    try:
        with open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as fault:
        digest.update(str(fault.errno).encode())
    return digest.hexdigest()
