"""One file while it is judged: its functions, and what has been found so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from verify.findings import Finding
from verify.homework.read.extract import Extract
from verify.homework.read.gradient_lines import NOWHERE, Line
from verify.homework.report import DISAGREE, FunctionVerdict, Gradient
from verify.homework.run.calls import fresh, guarded
from verify.homework.run.namespace import Workspace
from verify.homework.textbook.class_objects import construct
from verify.homework.textbook.course_calls import call, function
from verify.homework.textbook.roles import Role, blamed


@dataclass(eq=False)
class Submission:
    """A file's functions and their roles, and the verdicts, findings and remarks so far."""

    workspace: Workspace
    roles: Sequence[Role]
    functions: list[FunctionVerdict] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    gradients: list[Gradient] = field(default_factory=list)
    seed: int = 0
    """What its inputs are drawn from."""

    @property
    def extract(self) -> Extract:
        """What was read from the file."""
        return self.workspace.extract

    def role(self, kind: str, like: Role) -> Role | None:
        """Return the file's function of a kind, of the same class and, if it can, prefix."""
        found = [r for r in self.roles if r.role == kind and r.owner == like.owner]
        return next((r for r in found if r.prefix == like.prefix), found[0] if found else None)

    def call(self, role: Role, values: Mapping[str, Any]) -> Any:
        """Call a function or a method with copies of the values that its arguments ask for."""
        return call(self.workspace, role, values, self.instance(role))

    def apply(self, role: Role, array: Any) -> Any:
        """Call a function of one argument, whatever that is called, with a copy of this array."""
        func = function(self.workspace, role, self.instance(role))
        return guarded(self.workspace, role.shown, func, fresh(array))

    def instance(self, role: Role) -> Any:
        """Return the object that a method is to be called on, or None for a function."""
        return None if role.owner is None else construct(self.workspace, role.owner, (4, 5, 3, 1))

    def say(self, role: Role, verdict: str, message: str = "") -> None:
        """Set the verdict of a function."""
        self.functions.append(FunctionVerdict(role.shown, verdict, message, role.kind))

    def disagree(self, role: Role, finding: Finding, line: Line = NOWHERE) -> None:
        """Set the verdict of a function in which one mistake was found, and where."""
        self.findings.append(blamed(finding, role, line))
        self.say(role, DISAGREE)

    def remark(self, *sentences: str) -> None:
        """Add remarks, each once."""
        self.remarks += [s for s in dict.fromkeys(sentences) if s not in self.remarks]

    def verdict_of(self, role: Role) -> str | None:
        """Return the verdict of a function, or None if there is none yet."""
        return next((f.verdict for f in self.functions if f.name == role.shown), None)
