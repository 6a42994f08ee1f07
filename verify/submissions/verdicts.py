"""What is said of a file: of each function a verdict, of each mistake a fault."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from verify.report import finite
from verify.submissions.extract import Extract, Statement
from verify.submissions.recognise import Role

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


@dataclass
class Outcome:
    """What one part of the judgement came to."""

    functions: list[FunctionVerdict] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    gradients: list[Gradient] = field(default_factory=list)

    def say(self, role: Role, verdict: str, message: str = "") -> None:
        """Set the verdict of a function."""
        self.functions.append(FunctionVerdict(role.shown, verdict, message))

    def remark(self, sentence: str) -> None:
        """Add a remark, once."""
        if sentence not in self.remarks:
            self.remarks.append(sentence)

    def verdict_of(self, name: str) -> str | None:
        """Return the verdict of a function, or None if there is none yet."""
        return next((f.verdict for f in self.functions if f.name == name), None)


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


def locate(found: Extract, role: Role, tensor: str) -> tuple[str, str]:
    """Return where a function last assigns a gradient, and the line's text, or empty strings.

    Looks for the name (`dW2 = ...`), for the key (`grads["dW2"] = ...`), and in a loop for the
    kind of it (`grads["dW" + str(l)] = ...`, `dW = ...`).
    """
    statement = found.statement_of(role.owner or role.name)
    if statement is None:
        return "", ""
    kind = tensor.rstrip("0123456789")
    for wanted in dict.fromkeys((tensor, kind)):
        for node in _assignments(role.node, wanted):
            return statement.where(node.lineno), _source(statement, node)
    return "", ""


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
            if any(_says(part, name) for part in parts):
                found.append(node)
    # `grads["dW2"] = dW2` says nothing of how it was made.
    telling = [n for n in found if not isinstance(n.value, (ast.Name, ast.Constant))]
    return sorted(telling or found, key=lambda node: -node.lineno)


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
