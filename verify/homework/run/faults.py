"""What kept a file from being judged: it cannot be read, or a fault of Backproof itself.

A fault of ours comes with a short report that can be sent.
"""

from __future__ import annotations

import platform
import traceback
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from verify.homework.report import UNDECIDED, UNREADABLE, FileReport
from verify.printable import echo

_FRAMES = 6
_HOME = Path(__file__).resolve().parents[3]


def short_report(fault: BaseException) -> str:
    """Return what to send to those who can mend it: versions, exception, the last calls of ours.

    It holds neither values nor paths of whoever ran the check.
    """
    try:
        own = version("backproof")
    except PackageNotFoundError:
        own = "?"
    calls = [
        f"{Path(frame.filename).relative_to(_HOME)}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(fault.__traceback__)
        if Path(frame.filename).is_relative_to(_HOME)
    ]
    return "; ".join(
        [
            f"backproof {own}, Python {platform.python_version()}, {platform.system()}",
            f"{type(fault).__name__}: {words(fault)}",
            *calls[-_FRAMES:],
        ]
    )


def words(fault: BaseException) -> str:
    """Return what an exception says, in one line, also where its `__str__` raises."""
    try:
        return echo(" ".join(str(fault).split()))
    except BaseException:
        return "its message cannot be read"


def not_judged(path: str, why: str, report: str) -> FileReport:
    """Return the report of a file that was not judged through a fault of Backproof."""
    return FileReport(
        path,
        UNDECIDED,
        f"Was not judged: {why}. That is a fault of Backproof and not of the file.",
        fault=report,
    )


def unreadable(path: str, fault: OSError) -> FileReport:
    """Return the report of a file that the system does not let us read."""
    return FileReport(path, UNREADABLE, f"Cannot be read: {fault.strerror or fault}.")
