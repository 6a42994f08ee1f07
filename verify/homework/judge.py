"""One file, from its text to its verdict.

First every single function (`single_functions`), then the networks that they make up
(`network_verdict`), then the file's own gradient checking (`gradient_checks`). A function that
uses another which is wrong is tried again with the course's in its place (`replacements`), so
that only the function with the mistake is reported.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from verify.findings import Finding, listed
from verify.homework.passes.user_named import judge_named
from verify.homework.read.extract import Broken, Extract, UnreadableError, extract
from verify.homework.read.syntax import calls
from verify.homework.report import (
    AGREE,
    NOTHING,
    UNREADABLE,
    FileReport,
    FunctionVerdict,
    worst,
)
from verify.homework.run.fence import AUTO
from verify.homework.run.namespace import open_workspace
from verify.homework.run.sandbox import Limits, NamedFunctions, run_all
from verify.homework.run.server import Progress, serve
from verify.homework.textbook import gradient_checks
from verify.homework.textbook.course_modules import HELPERS
from verify.homework.textbook.network import networks
from verify.homework.textbook.network_verdict import judge_network
from verify.homework.textbook.replacements import once, replaced, wrong_within
from verify.homework.textbook.roles import FORWARDS, SOUGHT, Role, recognise, role_by_name
from verify.homework.textbook.single_functions import SINGLE_FUNCTIONS, judge_function
from verify.homework.textbook.submission import Submission


def judge_all(
    paths: Sequence[Path],
    limits: Limits,
    jobs: int,
    named: NamedFunctions | None = None,
    done: Callable[[int, FileReport], None] = lambda number, report: None,
    fence: str = AUTO,
) -> list[FileReport]:
    """Judge files, `jobs` at a time, and return their reports in the order of the paths.

    Each is judged in its own process. `done` is called with the number of each file, from 0, and
    its report as it comes in. `fence` is "auto", "require" or "off".
    """
    return run_all(__name__, paths, limits, jobs, named, done, fence)


def main(*arguments: str) -> None:
    """Serve as the program that `judge_all` starts."""
    serve(_judge, *arguments)


def _judge(path: Path, shown: str, named: NamedFunctions | None, progress: Progress) -> FileReport:
    if named is not None:
        return judge_named(path, named, shown)
    return judge_file(path, progress, shown)


def judge_file(
    path: Path,
    progress: Progress = lambda name, functions, findings: None,
    shown: str | None = None,
) -> FileReport:
    """Judge a file in this process, which runs the file's functions.

    `progress` is told the name of each function before it is judged, and the verdicts so far.
    `shown` is the path that the report is to carry, by default the path itself.
    """
    shown = str(path) if shown is None else shown
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = _judged(shown, extract(path), progress)
    except UnreadableError as fault:
        report = FileReport(shown, UNREADABLE, _sentence(str(fault)))
    return replace(report, seconds=time.perf_counter() - start)


def _judged(path: str, found: Extract, progress: Progress) -> FileReport:
    roles = recognise(found)
    needed = _needed(found, roles)
    if not roles:
        return _nothing(path, found, needed)
    workspace = open_workspace(found, helpers=HELPERS)
    remarks = [*found.remarks, *_skipped(found, needed), *workspace.remarks]
    submission = Submission(workspace, roles, remarks=remarks)

    def tell(role: Role) -> None:
        progress(role.shown, submission.functions, submission.findings)

    for kind in SINGLE_FUNCTIONS:
        for role in (role for role in roles if role.role == kind):
            tell(role)
            _judge_function(submission, role)
    for network in networks(roles):
        tell(network.backward or network.forward or roles[0])
        judge_network(submission, network)
    for role in roles:
        if role.role == "gradient_check" or "1d" in role.qualifiers:
            tell(role)
            gradient_checks.judge(submission, role)
    for name in dict.fromkeys(role.name for role in roles if role.owner is None):
        if (times := found.count(name)) > 1:
            submission.remark(f"{name} is defined {times} times; the last was judged.")
    if gone := ", ".join(sorted(workspace.numpy.legacy)):
        submission.remark(f"NumPy no longer has {gone}; ours was used instead.")
    functions = [*_worst_of_each(submission.functions), *_unread(needed)]
    if not functions:
        return _nothing(path, found, ())
    verdict = worst(function.verdict for function in functions)
    return FileReport(
        path,
        verdict,
        _lost(needed) if verdict == UNREADABLE else "",
        tuple(functions),
        tuple(_by_line(submission.findings)),
        tuple(submission.remarks),
        tuple(submission.gradients),
    )


def _judge_function(submission: Submission, role: Role) -> None:
    """Judge a single function; what it uses that is wrong is replaced by the course's."""
    # A backward function is called with the cache of the forward function that belongs to it.
    partners = [submission.role(name, role) for name in FORWARDS.get(role.role, ())]
    users = [role, *(p for p in partners if p is not None)]
    wrong = [used for used in wrong_within(submission, users) if used is not role]
    if wrong:
        alone = Submission(submission.workspace, submission.roles)
        with replaced(submission, wrong):
            judge_function(alone, role)
        if alone.verdict_of(role) == AGREE:
            submission.say(role, AGREE, once(wrong))
            return
    judge_function(submission, role)


def _unread(needed: Sequence[Broken]) -> Iterator[FunctionVerdict]:
    for broken in needed:
        for name in sorted(broken.defines):
            yield FunctionVerdict(name, UNREADABLE, f"{broken.where}: {broken.why}")


def _lost(needed: Sequence[Broken]) -> str:
    """Say what could not be read of the first piece that does not parse."""
    for broken in needed:
        return f"{listed(sorted(broken.defines))} cannot be read ({broken.where}: {broken.why})."
    return ""


def _by_line(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings; those of one mistake in one line of a loop are one finding."""
    groups: dict[Any, list[Finding]] = {}
    for finding in findings:
        line = (finding.function, finding.bug, finding.cell, finding.line)
        groups.setdefault(finding if finding.line is None else line, []).append(finding)
    for first, *others in groups.values():
        also = dict.fromkeys(other.tensor for other in others if other != first)
        yield replace(first, also=tuple(also))


def _worst_of_each(functions: Sequence[FunctionVerdict]) -> list[FunctionVerdict]:
    """Return one verdict for each function, the worst that was found."""
    by_name: dict[str, FunctionVerdict] = {}
    for function in functions:
        previous = by_name.get(function.name)
        if previous is None or worst((previous.verdict, function.verdict)) != previous.verdict:
            by_name[function.name] = function
    return list(by_name.values())


def _needed(found: Extract, roles: Sequence[Role]) -> list[Broken]:
    """Return the parts that do not parse and that are needed to judge the file."""
    wanted = {name for role in roles for name in calls(role.node)} - set(found.functions)
    return [
        broken
        for broken in found.broken
        if any(
            (role_by_name(name) is not None or name in wanted) and name not in found.functions
            for name in broken.defines
        )
    ]


def _skipped(found: Extract, needed: Sequence[Broken]) -> Iterator[str]:
    for broken in found.broken:
        if broken not in needed:
            yield f"A part that does not parse was skipped ({broken.where}: {broken.why})."


def _nothing(path: str, found: Extract, needed: Sequence[Broken]) -> FileReport:
    if needed:
        functions = tuple(_unread(needed))
        return FileReport(path, UNREADABLE, _lost(needed), functions, remarks=found.remarks)
    defined = [*found.functions, *found.classes]
    has = f"its functions are {', '.join(defined[:12])}" if defined else "it defines no functions"
    broken = next(iter(found.broken), None)
    if broken is not None and not defined:
        return FileReport(
            path, UNREADABLE, _sentence(f"it does not parse ({broken.where}: {broken.why})")
        )
    return FileReport(
        path,
        NOTHING,
        f"Nothing to check: {has}.",
        remarks=(*found.remarks, *_skipped(found, ())),
        hint=f"What is looked for: {SOUGHT}.",
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
