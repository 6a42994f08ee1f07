"""What is said of a file: of each function a verdict, of each mistake a fault."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from verify.report import finite

AGREE, DISAGREE, UNDECIDED = "agree", "disagree", "undecided"
UNREADABLE, NOTHING, TIMEOUT, CRASHED = "unreadable", "nothing-to-check", "timeout", "crashed"

ORDER = (AGREE, UNDECIDED, NOTHING, UNREADABLE, CRASHED, TIMEOUT, DISAGREE)
"""The verdicts of functions, the one that decides the file's last."""


@dataclass(frozen=True)
class Fault:
    """One mistake, where it is, and in words; `line` and `source` are empty where not known."""

    function: str
    tensor: str
    layer: int | None
    bug: str
    detail: str
    found: str = ""
    expected: str = ""
    line: str = ""
    source: str = ""


@dataclass(frozen=True)
class FunctionVerdict:
    """What is said of one function of a file."""

    name: str
    verdict: str
    message: str = ""


@dataclass(frozen=True)
class Gradient:
    """A gradient of a file that is not the textbook's: both, and the error bars, row by row."""

    function: str
    name: str
    found: list
    expected: list
    bar: list


@dataclass(frozen=True)
class FileReport:
    """The verdict of one file, with what it rests on."""

    path: str
    verdict: str
    message: str
    functions: Sequence[FunctionVerdict] = ()
    diagnosis: Sequence[Fault] = ()
    remarks: Sequence[str] = ()
    gradients: Sequence[Gradient] = ()
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the file's part of the JSON of `backproof check`."""
        return finite(
            {
                "path": self.path,
                "verdict": self.verdict,
                "functions": [asdict(function) for function in self.functions],
                "diagnosis": [asdict(fault) for fault in self.diagnosis],
                "remarks": list(self.remarks),
                "message": self.message,
                "gradients": [asdict(gradient) for gradient in self.gradients],
                "seconds": round(self.seconds, 3),
            }
        )


def from_dict(data: dict[str, Any]) -> FileReport:
    """Return the report that `to_dict` was made of."""
    return FileReport(
        path=data["path"],
        verdict=data["verdict"],
        message=data["message"],
        functions=tuple(FunctionVerdict(**item) for item in data["functions"]),
        diagnosis=tuple(Fault(**item) for item in data["diagnosis"]),
        remarks=tuple(data["remarks"]),
        gradients=tuple(Gradient(**item) for item in data["gradients"]),
        seconds=data["seconds"],
    )


def worst(verdicts: Iterable[str]) -> str:
    """Return the verdict that decides a file's, of those of its functions."""
    return max(verdicts, key=ORDER.index, default=NOTHING)
