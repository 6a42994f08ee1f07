"""What one part of the judgement of a file has come to, while it is going on."""

from __future__ import annotations

from dataclasses import dataclass, field

from verify.findings import Finding
from verify.homework.read.locate import NOWHERE, Line
from verify.homework.report import DISAGREE, FunctionVerdict, Gradient
from verify.homework.textbook.recognise import Role, blamed


@dataclass
class Judgement:
    """What one part of the judgement of a file came to."""

    functions: list[FunctionVerdict] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    gradients: list[Gradient] = field(default_factory=list)

    def say(self, role: Role, verdict: str, message: str = "") -> None:
        """Set the verdict of a function."""
        self.functions.append(FunctionVerdict(role.shown, verdict, message))

    def disagree(self, role: Role, finding: Finding, line: Line = NOWHERE) -> None:
        """Set the verdict of a function in which one mistake was found, and where."""
        self.findings.append(blamed(finding, role, line))
        self.say(role, DISAGREE)

    def remark(self, sentence: str) -> None:
        """Add a remark, once."""
        if sentence not in self.remarks:
            self.remarks.append(sentence)

    def verdict_of(self, name: str) -> str | None:
        """Return the verdict of a function, or None if there is none yet."""
        return next((f.verdict for f in self.functions if f.name == name), None)
