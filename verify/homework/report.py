"""The report of a file: a verdict for each function, a finding for each mistake."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from verify import findings
from verify.findings import Finding
from verify.report import finite

AGREE, DISAGREE, UNDECIDED = "agree", "disagree", "undecided"
UNREADABLE, NOTHING, TIMEOUT, CRASHED = "unreadable", "nothing-to-check", "timeout", "crashed"

ORDER = (AGREE, UNDECIDED, NOTHING, UNREADABLE, CRASHED, TIMEOUT, DISAGREE)
"""The verdicts of functions, the one that decides the file's last."""


@dataclass(frozen=True)
class FunctionVerdict:
    """The verdict of one function of a file, and a message that is not in its findings.

    `kind` is what the function is: "backward", "gradient-check", "forward" or "cost"; `cell` (None
    in a script) and `line` are where it is defined, if that is known.
    """

    name: str
    verdict: str
    message: str = ""
    kind: str = "backward"
    cell: int | None = None
    line: int | None = None


@dataclass(frozen=True)
class Gradient:
    """A gradient of a file that is not the textbook's: both, and the error bars, row by row."""

    function: str
    name: str
    found: list[Any]
    expected: list[Any]
    bar: list[Any]


@dataclass(frozen=True)
class FileReport:
    """The verdict of one file, with what it rests on.

    `reason` is what its findings and its functions do not say, and `hint` what may help.
    `fence` is what kept the file's code in, "none" if nothing did. `fault` is a short report of a
    fault of Backproof itself, where one kept the file from being judged. `seed` is what the inputs
    were drawn from: of the run and of the file's text; None if none were drawn. `advisory` names
    the functions whose verdict was reached in the process that ran the file, so that a file made
    to deceive could have written it.
    """

    path: str
    verdict: str
    reason: str = ""
    functions: Sequence[FunctionVerdict] = ()
    diagnosis: Sequence[Finding] = ()
    remarks: Sequence[str] = ()
    gradients: Sequence[Gradient] = ()
    seconds: float = 0.0
    hint: str = ""
    fence: str = "none"
    fault: str = ""
    seed: int | None = None
    advisory: Sequence[str] = ()

    @property
    def brief(self) -> str:
        """What is said of the file as a whole, in a sentence or two."""
        count = len(self.functions)
        if self.reason:
            return self.reason
        if self.verdict == AGREE:
            return f"{count} function{'s' * (count != 1)} agree{'s' * (count == 1)}."
        if self.diagnosis:
            first, *rest = self.diagnosis
            return f"{first.function}: {first.detail}" + f" And {len(rest)} more." * bool(rest)
        of_verdict = (f.message for f in self.functions if f.verdict == self.verdict)
        return next(filter(None, of_verdict), "")

    @property
    def message(self) -> str:
        """What is said of the file as a whole, with what may help."""
        return f"{self.brief} {self.hint}" if self.hint else self.brief

    def message_of(self, function: FunctionVerdict) -> str:
        """Return what is said of a function: the first of its findings where it has any."""
        own = (finding.detail for finding in self.diagnosis if finding.function == function.name)
        return function.message or next(own, "")

    def to_dict(self) -> dict[str, Any]:
        """Return the file's part of the JSON of `backproof check`."""
        report: dict[str, Any] = finite(
            {
                "path": self.path,
                "verdict": self.verdict,
                "functions": [
                    {
                        "name": f.name,
                        "kind": f.kind,
                        "verdict": f.verdict,
                        "message": self.message_of(f),
                        "cell": f.cell,
                        "line": f.line,
                    }
                    for f in self.functions
                ],
                "diagnosis": [
                    {
                        "function": finding.function,
                        "role": finding.role,
                        **finding.to_dict(),
                        "also": list(finding.also),
                        "cell": finding.cell,
                        "line": finding.line,
                        "source": finding.source,
                    }
                    for finding in self.diagnosis
                ],
                "remarks": list(self.remarks),
                "message": self.message,
                "gradients": [asdict(gradient) for gradient in self.gradients],
                "seed": self.seed,
                "advisory": list(self.advisory),
                "fence": self.fence,
                "fault": self.fault,
                "seconds": round(self.seconds, 3),
            }
        )
        return report


def from_data(data: dict[str, Any]) -> FileReport:
    """Return the report of which `dataclasses.asdict` made this, be it by way of JSON."""
    return FileReport(
        **{
            **data,
            "functions": tuple(FunctionVerdict(**item) for item in data["functions"]),
            "diagnosis": tuple(findings.from_data(item) for item in data["diagnosis"]),
            "remarks": tuple(data["remarks"]),
            "advisory": tuple(data["advisory"]),
            "gradients": tuple(Gradient(**item) for item in data["gradients"]),
        }
    )


def worst(verdicts: Iterable[str]) -> str:
    """Return the verdict that decides a file's, of those of its functions."""
    return max(verdicts, key=ORDER.index, default=NOTHING)
