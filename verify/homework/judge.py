"""One file, from its text to its verdict.

First every block by itself (`blocks`), then the networks that they make up (`composed`), then
the file's own gradient checking (`gradient_checks`). A block that uses another which is wrong is
tried again with the course's in its place (`replaced`), so that a mistake is laid at the door
of the function that holds it and of no other.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from verify.findings import Finding, listed
from verify.homework.passes.named import judge_named
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
from verify.homework.run.sandbox import Limits, NamedFunctions, run_all
from verify.homework.run.server import Progress, serve
from verify.homework.run.workspace import (
    mirror_workspace,
    numpy_workspace,
)
from verify.homework.textbook import gradient_checks
from verify.homework.textbook.blocks import BLOCKS, judge_block
from verify.homework.textbook.composed import judge_network
from verify.homework.textbook.judgement import Judgement
from verify.homework.textbook.network import (
    networks,
)
from verify.homework.textbook.recognise import FORWARDS, SOUGHT, Role, recognise, role_by_name
from verify.homework.textbook.replaced import once, replaced, wrong_within
from verify.homework.textbook.stand_ins import HELPERS
from verify.homework.textbook.workbench import Bench


def judge_all(
    paths: Sequence[Path],
    limits: Limits,
    jobs: int,
    named: NamedFunctions | None = None,
    done: Callable[[FileReport], None] = lambda report: None,
) -> list[FileReport]:
    """Judge files, `jobs` at a time, and return their reports in the order of the paths.

    Each is judged in a process of its own. `done` is told of each as it comes in.
    """
    return run_all(__name__, paths, limits, jobs, named, done)


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
    """Judge a file. Whatever it calls, it calls here: run it where that does no harm.

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
    plain_workspace, mirrored = (
        numpy_workspace(found, helpers=HELPERS),
        mirror_workspace(found, helpers=HELPERS),
    )
    outcome = Judgement(
        remarks=[*found.remarks, *_skipped(found, needed), *plain_workspace.remarks]
    )
    bench = Bench(plain_workspace, mirrored, roles, outcome)
    for kind in BLOCKS:
        for role in (role for role in roles if role.role == kind):
            progress(role.shown, outcome.functions, outcome.findings)
            _judge_block(bench, role)
    for network in networks(roles, plain_workspace):
        first = network.backward or network.forward or roles[0]
        progress(first.shown, outcome.functions, outcome.findings)
        judge_network(bench, network)
    for role in roles:
        if role.role == "gradient_check" or "1d" in role.qualifiers:
            progress(role.shown, outcome.functions, outcome.findings)
            gradient_checks.judge(bench, role)
    for name in dict.fromkeys(role.name for role in roles if role.owner is None):
        if (times := found.count(name)) > 1:
            outcome.remark(f"{name} is defined {times} times; the last was judged.")
    if plain_workspace.numpy.legacy:
        gone = ", ".join(sorted(plain_workspace.numpy.legacy))
        outcome.remark(f"NumPy has dropped {gone}; it was stood in for.")
    return _summary(path, found, outcome, needed)


def _judge_block(bench: Bench, role: Role) -> None:
    """Judge a block, with the course's in the place of what it calls and what is wrong."""
    # A backward is tried on the cache of the forward that belongs to it.
    partners = [bench.role(name, role) for name in FORWARDS.get(role.role, ())]
    wrong = wrong_within(bench, [role, *(p for p in partners if p is not None)])
    wrong = [block for block in wrong if block is not role]
    if wrong:
        alone = Bench(bench.plain, bench.mirrored, bench.roles, Judgement())
        with replaced(bench, wrong):
            judge_block(alone, role)
        if alone.outcome.verdict_of(role.shown) == AGREE:
            bench.outcome.say(role, AGREE, once(wrong))
            return
    judge_block(bench, role)


def _summary(path: str, found: Extract, outcome: Judgement, needed: Sequence[Broken]) -> FileReport:
    functions = _in_order(outcome.functions)
    functions += [
        FunctionVerdict(name, UNREADABLE, f"{broken.where}: {broken.why}")
        for broken in needed
        for name in sorted(broken.defines)
    ]
    if not functions:
        return _nothing(path, found, ())
    verdict = worst(function.verdict for function in functions)
    reason = ""
    if verdict == UNREADABLE and needed:
        broken = needed[0]
        lost = listed(sorted(broken.defines))
        reason = f"{lost} cannot be read ({broken.where}: {broken.why})."
    return FileReport(
        path,
        verdict,
        reason,
        tuple(functions),
        tuple(_by_line(outcome.findings)),
        tuple(outcome.remarks),
        tuple(outcome.gradients),
    )


def _by_line(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings, those of one line of a loop as one."""
    groups: dict[Any, list[Finding]] = {}
    for finding in findings:
        line = (finding.function, finding.bug, finding.cell, finding.line)
        groups.setdefault(finding if finding.line is None else line, []).append(finding)
    for first, *others in groups.values():
        also = dict.fromkeys(other.tensor for other in others if other != first)
        yield replace(first, also=tuple(also))


def _in_order(functions: Sequence[FunctionVerdict]) -> list[FunctionVerdict]:
    """Return one verdict a function, the worst that was found."""
    by_name: dict[str, FunctionVerdict] = {}
    for function in functions:
        previous = by_name.get(function.name)
        if previous is None or worst((previous.verdict, function.verdict)) != previous.verdict:
            by_name[function.name] = function
    return list(by_name.values())


def _needed(found: Extract, roles: Sequence[Role]) -> list[Broken]:
    """Return the pieces that do not parse and that a judgement would have needed."""
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
            yield f"What does not parse was skipped ({broken.where}: {broken.why})."


def _nothing(path: str, found: Extract, needed: Sequence[Broken]) -> FileReport:
    if needed:
        return _summary(path, found, Judgement(remarks=list(found.remarks)), needed)
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
