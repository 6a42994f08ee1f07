"""The rows of a report: passes judged by their own forward passes, behind a door.

Whether the door leads to a worker that runs a file or into a notebook's own kernel is not known
here.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from verify.findings import Finding, listed
from verify.homework.passes.case import Case
from verify.homework.passes.coverage import not_among, statements_of
from verify.homework.passes.judge import judge_pass
from verify.homework.passes.undecided import not_run
from verify.homework.passes.verdicts import Verdict
from verify.homework.read.discover import CHECK, Candidate
from verify.homework.read.extract import Extract
from verify.homework.read.syntax import calls
from verify.homework.report import (
    AGREE,
    DISAGREE,
    UNDECIDED,
    FunctionVerdict,
    Gradient,
    Progress,
)
from verify.homework.run.door import DoorError

SHARE = 0.5
"""Of the file's time, what the passes may take that are judged by their own forward pass."""


ALL_BUT = 0.75
"""Of the file's time, when the search for what is wrong ends, too."""


@dataclass(eq=False)
class Found:
    """What has been found of a file so far."""

    functions: list[FunctionVerdict] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    gradients: list[Gradient] = field(default_factory=list)

    def verdict_of(self, name: str) -> str | None:
        """Return the verdict of a function, or None if there is none yet."""
        return next((f.verdict for f in self.functions if f.name == name), None)


def by_own_forward(
    case: Case,
    candidates: Sequence[Candidate],
    so_far: Found,
    progress: Progress,
    deadline: float,
    seed: int,
) -> None:
    """Judge candidates by the derivative of their own forward passes, and note what was found.

    The door of the case is closed at the end.
    """
    try:
        about = case.door.about()
        verdicts = []
        whole = max(deadline - time.perf_counter(), 1.0)
        until = time.perf_counter() + SHARE * whole
        case.ends = time.monotonic() + ALL_BUT * whole
        for place, candidate in enumerate(candidates):
            progress(candidate.name, so_far.functions, so_far.findings)
            left = max(until - time.perf_counter(), 0.5)
            share = max(left / (len(candidates) - place), left / 3)
            if candidate.kind == CHECK:
                verdict = Verdict(candidate, UNDECIDED, _UNCHECKED)
            else:
                verdict = _judged_pass(case, candidate, share, seed)
            _note(so_far, verdict)
            verdicts.append(verdict)
        _doubt_what_hides_gradients(verdicts, so_far, case.next_step)
        so_far.remarks += [str(remark) for remark in about["remarks"]]
        if gone := ", ".join(about["legacy"]):
            so_far.remarks.append(f"NumPy no longer has {gone}; ours was used instead.")
    except DoorError:
        for candidate in candidates:
            if so_far.verdict_of(candidate.name) is None:
                says = (
                    f"It was not judged: the process that runs the file ended on inputs that "
                    f"{candidate.name} was tried with. {case.next_step}"
                )
                so_far.functions.append(FunctionVerdict(candidate.name, UNDECIDED, says))
                break
        for candidate in candidates:
            if so_far.verdict_of(candidate.name) is None:
                says = "It was not judged: the process that runs the file had ended."
                so_far.functions.append(FunctionVerdict(candidate.name, UNDECIDED, says))
    finally:
        case.door.close()
    _judge_within(case, candidates, so_far)
    _blame_the_called(candidates, so_far)


def _judged_pass(case: Case, candidate: Candidate, seconds: float, seed: int) -> Verdict:
    """Judge a pass; a fault of ours costs its verdict, and no other."""
    try:
        return judge_pass(case, candidate, seconds, seed)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as fault:
        says = f"It was not judged: {type(fault).__name__} in backproof itself: {fault}."
        return Verdict(candidate, UNDECIDED, says)


_UNCHECKED = (
    "It was not judged: a checker is tried where it takes parameters and gradients as the course's "
    "gradient_check does."
)


def _note(so_far: Found, verdict: Verdict) -> None:
    """Note the verdict of a pass, in the place of one that said less."""
    name, before = verdict.candidate.name, so_far.verdict_of(verdict.candidate.name)
    decided = verdict.verdict in (AGREE, DISAGREE)
    if before is not None and not decided:
        return
    so_far.functions = [f for f in so_far.functions if f.name != name]
    so_far.functions.append(
        FunctionVerdict(name, verdict.verdict, verdict.message, verdict.candidate.kind)
    )
    so_far.findings += verdict.findings
    so_far.remarks += verdict.remarks


def _doubt_what_hides_gradients(verdicts: Sequence[Verdict], so_far: Found, next_step: str) -> None:
    """Take back that a pass agrees whose parameters' gradients nobody gave in the whole file."""
    given = {path.rpartition(".")[2] for verdict in verdicts for path in verdict.seen}
    for verdict in verdicts:
        name = verdict.candidate.name
        hidden = [path for path in verdict.unseen if path.rpartition(".")[2] not in given]
        if hidden and so_far.verdict_of(name) == AGREE:
            says = (
                f"It was judged in part: no gradient of {listed(hidden)} was seen, which its "
                f"forward pass uses. {next_step}"
            )
            so_far.functions = [
                replace(f, verdict=UNDECIDED, message=says) if f.name == name else f
                for f in so_far.functions
            ]


def _judge_within(case: Case, candidates: Sequence[Candidate], so_far: Found) -> None:
    """Take as judged what has no forward pass of its own and is used by a pass that was judged.

    It is right where that agrees and all of it ran there, and wrong where the mistake of that is in
    a line of it. A method is used by one of its own class: that another calls `layer.backward()`
    says nothing of it.
    """
    found = case.found
    for candidate in candidates:
        if so_far.verdict_of(candidate.name) != UNDECIDED or candidate.kind == CHECK:
            continue
        statement = found.statement_of(candidate.owner or candidate.function)
        lines = range(candidate.node.lineno, (candidate.node.end_lineno or 0) + 1)
        cell = statement.cell if statement else None
        faults = [
            replace(finding, function=candidate.name)
            for finding in so_far.findings
            if finding.line in lines and finding.cell == cell
        ]
        if faults:
            so_far.findings += faults
            so_far.functions = [
                replace(f, verdict=DISAGREE, message="") if f.name == candidate.name else f
                for f in so_far.functions
            ]
            continue
        users = [
            other.name
            for other in candidates
            if other is not candidate
            and candidate.owner in (None, other.owner)
            and candidate.function in calls(other.node)
            and so_far.verdict_of(other.name) == AGREE
        ]
        if users:
            unrun = not_among(case.lines, statements_of(found, candidate))
            verdict = UNDECIDED if unrun else AGREE
            says = f"It was judged within {users[0]}."
            says = not_run(case, candidate, unrun) if unrun else says
            so_far.functions = [
                replace(f, verdict=verdict, message=says) if f.name == candidate.name else f
                for f in so_far.functions
            ]


def _blame_the_called(candidates: Sequence[Candidate], so_far: Found) -> None:
    """Accuse a pass of nothing while another that it calls, directly or not, is wrong."""
    wrong = [c for c in candidates if so_far.verdict_of(c.name) == DISAGREE]
    called = {
        c.name: [d for d in wrong if d is not c and d.function in calls(c.node)] for c in wrong
    }
    for candidate in wrong:
        reached = list(called[candidate.name])
        for other in reached:
            reached += [c for c in called[other.name] if c not in reached and c is not candidate]
        roots = [other.name for other in reached if not called[other.name]]
        if roots:
            says = (
                f"It calls {listed(roots)}, which {'is' if len(roots) == 1 else 'are'} wrong: "
                "whether it is right by itself shows once that is put right."
            )
            so_far.functions = [
                replace(f, verdict=UNDECIDED, message=says) if f.name == candidate.name else f
                for f in so_far.functions
            ]
            so_far.findings = [f for f in so_far.findings if f.function != candidate.name]


def placed(
    found: Extract, candidates: Sequence[Candidate], functions: Sequence[FunctionVerdict]
) -> list[FunctionVerdict]:
    """Return the rows in the file's order, each with the line of its definition."""
    places: dict[str, tuple[int | None, int]] = {}
    for name, node in found.functions.items():
        statement = found.statement_of(name)
        places[name] = (statement.cell if statement else None, node.lineno)
    for owner, kind in found.classes.items():
        statement = found.statement_of(owner)
        for method in kind.body:
            if hasattr(method, "name"):
                places[f"{owner}.{method.name}"] = (
                    statement.cell if statement else None,
                    method.lineno,
                )
    return [
        replace(f, cell=places[f.name][0], line=places[f.name][1]) if f.name in places else f
        for f in functions
    ]


def by_line(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings; those of one mistake in one line of a loop are one finding."""
    groups: dict[Any, list[Finding]] = {}
    for finding in findings:
        line = (finding.function, finding.bug, finding.cell, finding.line)
        groups.setdefault(finding if finding.line is None else line, []).append(finding)
    for first, *others in groups.values():
        also = dict.fromkeys(other.tensor for other in others if other != first)
        yield replace(first, also=tuple(also))


def seed_of(found: Extract, seed: int) -> int:
    """Return what the inputs of a file are drawn from: of the run, and of the file's text."""
    text = "\0".join(s.text for s in found.statements).encode("utf-8", "replace")
    return zlib.crc32(text, seed & 0xFFFFFFFF)
