"""What one part of the judgement of a file has come to, while it is going on."""

from __future__ import annotations

from dataclasses import dataclass, field

from verify.homework.report import Fault, FunctionVerdict, Gradient
from verify.homework.textbook.recognise import Role


@dataclass
class Judgement:
    """What one part of the judgement of a file came to."""

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
