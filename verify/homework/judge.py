"""One file, from its text to its verdict.

What looks like a backward pass is found first (`read.discover`); each ends in a row. A file that
is an exercise of a course with a textbook is judged by that (`textbook.exercise`); whatever is left
is judged by the derivative of its own forward pass (`passes.judge`). What nobody could judge is
undecided, with the obstacle. The file's code runs in forks of this process, never in it.
"""

from __future__ import annotations

import ast
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from verify import findings
from verify.findings import Finding, listed
from verify.homework.passes.case import Case
from verify.homework.passes.user_named import judge_named
from verify.homework.read.discover import (
    BACKWARD,
    Candidate,
    discover,
    imports_framework,
    methods_of,
)
from verify.homework.read.extract import Broken, Extract, UnreadableError, extract
from verify.homework.read.gradient_lines import line_of
from verify.homework.read.syntax import calls
from verify.homework.report import (
    AGREE,
    CRASHED,
    DISAGREE,
    NOTHING,
    UNDECIDED,
    UNREADABLE,
    FileReport,
    FunctionVerdict,
    Gradient,
    Progress,
    worst,
)
from verify.homework.rows import Found, by_line, by_own_forward, placed, seed_of
from verify.homework.run.apart import ApartError, Say, apart
from verify.homework.run.cluster import Cluster, run_on_cluster
from verify.homework.run.door import open_door
from verify.homework.run.fence import AUTO
from verify.homework.run.namespace import open_workspace
from verify.homework.run.sandbox import Limits, NamedFunctions, run_all
from verify.homework.run.server import serve
from verify.homework.textbook.course_modules import HELPERS
from verify.homework.textbook.exercise import judge_exercise
from verify.homework.textbook.roles import Role, exercise, is_canonical, role_by_name
from verify.homework.textbook.submission import Submission

SOUGHT = (
    "functions and methods that compute a gradient (conv_backward, backprop, relu_prime, "
    "gradient, Layer.backward, ...), and functions that return a loss and its gradient"
)
"""What is looked for, for a file in which nothing was found."""


def judge_all(
    paths: Sequence[Path],
    limits: Limits,
    jobs: int,
    named: NamedFunctions | None = None,
    done: Callable[[int, FileReport], None] = lambda number, report: None,
    fence: str = AUTO,
    seed: int = 0,
) -> list[FileReport]:
    """Judge files, `jobs` at a time, and return their reports in the order of the paths.

    Each is judged in its own process. `done` is called with the number of each file, from 0, and
    its report as it comes in. `fence` is "auto", "require" or "off". Inputs are drawn from `seed`
    and from the text of each file.
    """
    return run_all(__name__, paths, limits, jobs, named, done, fence, seed)


def judge_on(
    cluster: Cluster,
    paths: Sequence[Path],
    limits: Limits,
    named: NamedFunctions | None = None,
    done: Callable[[int, FileReport], None] = lambda number, report: None,
    fence: str = AUTO,
    seed: int = 0,
    said: Callable[[str], None] = lambda sentence: None,
) -> list[FileReport]:
    """Judge files on a cluster, as `judge_all` does here; `said` is told how it stands with it."""
    return run_on_cluster(__name__, cluster, paths, limits, named, done, fence, seed, said)


def main(*arguments: str) -> None:
    """Serve as the program that `judge_all` starts."""
    serve(_judge, *arguments)


def _judge(
    path: Path,
    shown: str,
    named: NamedFunctions | None,
    progress: Progress,
    seconds: float,
    seed: int,
) -> FileReport:
    if named is not None:
        return judge_named(path, named, shown)
    return judge_file(path, progress, shown, seconds, seed)


def judge_file(
    path: Path,
    progress: Progress = lambda name, functions, findings: None,
    shown: str | None = None,
    seconds: float = Limits.timeout,
    seed: int = 0,
) -> FileReport:
    """Judge a file, whose code runs in forks of this process.

    `progress` is told the name of each function before it is judged, and the verdicts so far.
    `shown` is the path that the report is to carry, by default the path itself. `seconds` is the
    time that the file has. Inputs are drawn from `seed` and from the text of the file.
    """
    shown = str(path) if shown is None else shown
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = extract(path)
            report = _judged(shown, found, progress, start + seconds, seed)
            if report.verdict == DISAGREE and found.divides:
                as_3 = replace(found, divides=False)
                other = _judged(shown, as_3, progress, start + seconds, seed)
                report = _with_divisions(found, report, other)
    except UnreadableError as fault:
        report = FileReport(shown, UNREADABLE, _sentence(str(fault)))
    return replace(report, seconds=time.perf_counter() - start)


def _with_divisions(found: Extract, report: FileReport, as_3: FileReport) -> FileReport:
    """Name the division of whole numbers where a pass is right but for that."""
    right = {f.name for f in as_3.functions if f.verdict == AGREE}
    named: dict[str, Finding] = {}
    for finding in report.diagnosis:
        if finding.function in right:
            named.setdefault(finding.function, _of_division(found, finding))
    others = [f for f in report.diagnosis if f.function not in named]
    return replace(report, diagnosis=tuple(by_line([*named.values(), *others])))


def _of_division(found: Extract, finding: Finding) -> Finding:
    """Return the finding that a function divides whole numbers, on its first such line."""
    owner, _, name = finding.function.rpartition(".")
    node = (methods_of(found, owner) if owner else found.functions)[name]
    number = next(
        (n.lineno for n in ast.walk(node) if isinstance(n, ast.BinOp | ast.AugAssign)
         and isinstance(n.op, ast.Div)),
        node.lineno,
    )  # fmt: skip
    line = line_of(found, owner or name, number)
    return replace(
        finding,
        bug="whole-number-division",
        says="Python 2 divides whole numbers to a whole number: 1 / 2 is 0, and 1.0 / 2 is 0.5.",
        wrong="",
        right="",
        follows=(),
        evidence=None,
        equals=(),
        also=(),
        **line._asdict(),
    )


def _judged(
    path: str, found: Extract, progress: Progress, deadline: float, seed: int
) -> FileReport:
    seed = seed_of(found, seed)
    candidates = discover(found)
    roles = exercise(found)
    needed = _needed(found, roles, candidates)
    if not roles and not candidates:
        return _nothing(path, found, needed)
    so_far = _by_textbook(found, roles, progress, seed) if roles else Found()
    own_word = tuple(so_far.functions)
    so_far.remarks[:0] = [*found.remarks, *_skipped(found, needed)]
    rest = [c for c in candidates if so_far.verdict_of(c.name) in (None, UNDECIDED, CRASHED)]
    if rest:
        door = open_door(lambda: open_workspace(found, helpers=HELPERS))
        ran = {c.name for c in rest if so_far.verdict_of(c.name) == CRASHED}
        by_own_forward(Case(found, door, fed=ran), rest, so_far, progress, deadline, seed)
    for name in dict.fromkeys(c.function for c in candidates if c.owner is None):
        if (times := found.count(name)) > 1:
            so_far.remarks.append(f"{name} is defined {times} times; the last was judged.")
    functions = placed(found, candidates, [*so_far.functions, *_unread(needed)])
    if not functions:
        return _nothing(path, found, ())
    verdict = worst(function.verdict for function in functions)
    return FileReport(
        path,
        verdict,
        _lost(needed) if verdict == UNREADABLE else "",
        tuple(functions),
        tuple(by_line(so_far.findings)),
        tuple(dict.fromkeys(so_far.remarks)),
        tuple(so_far.gradients),
        seed=seed,
        advisory=tuple(f.name for f in so_far.functions if f in own_word),
    )


# By the textbook.


def _by_textbook(found: Extract, roles: Sequence[Role], progress: Progress, seed: int) -> Found:
    """Judge an exercise of the course in a fork, which runs its functions."""

    def work(say: Say) -> dict[str, Any]:
        def tell(submission: Submission, name: str) -> None:
            say({"now": name, **_data(submission)})

        return _data(judge_exercise(found, roles, tell, seed))

    def heard(message: Mapping[str, Any]) -> None:
        told = _from_data(message)
        progress(str(message["now"]), told.functions, told.findings)

    try:
        result = _from_data(apart(work, heard))
    except ApartError as fault:
        says = f"The course's textbook could not judge it: {fault}. This is a fault of ours."
        return Found(remarks=[says])
    result.functions = _worst_of_each(result.functions)
    return _beyond_doubt(roles, result)


def _beyond_doubt(roles: Sequence[Role], result: Found) -> Found:
    """Return what the textbook found, without what is none of its exercises after all.

    A class, or functions that do not have the course's own names, in which something raises, is
    missing or is not known by name, is something else that only looks like the exercise.
    """
    wrong = {f.function for f in result.findings if f.bug in _OTHER}
    wrong |= {f.name for f in result.functions if f.verdict in (CRASHED, UNDECIDED)}
    doubtful = {role.owner for role in roles if role.shown in wrong and not is_canonical(role.name)}
    gone = {
        role.shown
        for role in roles
        if role.owner in doubtful
        and (role.owner is not None or role.kind != BACKWARD or role.shown in wrong)
        and not is_canonical(role.name)
        and (role.owner is not None or result.verdict_of(role.shown) != AGREE)
    }
    result.functions = [f for f in result.functions if f.name not in gone]
    result.findings = [f for f in result.findings if f.function not in gone]
    result.gradients = [g for g in result.gradients if g.function not in gone]
    return result


_OTHER = frozenset({"missing", "not-a-number", "forward-unknown", "cost-unknown"})
"""Mistakes that are none that the course's exercise is known for."""


def _data(submission: Submission) -> dict[str, Any]:
    return {
        "functions": [asdict(item) for item in submission.functions],
        "findings": [asdict(item) for item in submission.findings],
        "remarks": list(submission.remarks),
        "gradients": [asdict(item) for item in submission.gradients],
    }


def _from_data(data: Mapping[str, Any]) -> Found:
    return Found(
        [FunctionVerdict(**item) for item in data["functions"]],
        [findings.from_data(item) for item in data["findings"]],
        [str(item) for item in data["remarks"]],
        [Gradient(**item) for item in data["gradients"]],
    )


def _worst_of_each(functions: Sequence[FunctionVerdict]) -> list[FunctionVerdict]:
    """Return one verdict for each function, the worst that was found."""
    by_name: dict[str, FunctionVerdict] = {}
    for function in functions:
        previous = by_name.get(function.name)
        if previous is None or worst((previous.verdict, function.verdict)) != previous.verdict:
            by_name[function.name] = function
    return list(by_name.values())


# What is left to say.


def _unread(needed: Sequence[Broken]) -> Iterator[FunctionVerdict]:
    for broken in needed:
        for name in sorted(broken.defines):
            yield FunctionVerdict(name, UNREADABLE, f"{broken.where}: {broken.why}")


def _lost(needed: Sequence[Broken]) -> str:
    """Say what could not be read of the first piece that does not parse."""
    for broken in needed:
        return f"{listed(sorted(broken.defines))} cannot be read ({broken.where}: {broken.why})."
    return ""


def _needed(found: Extract, roles: Sequence[Role], candidates: Sequence[Candidate]) -> list[Broken]:
    """Return the parts that do not parse and that are needed to judge the file."""
    nodes = [*(role.node for role in roles), *(c.node for c in candidates)]
    wanted = {name for node in nodes for name in calls(node)} - set(found.functions)
    return [
        broken
        for broken in found.broken
        if any(
            (_is_sought(name) or name in wanted) and name not in found.functions
            for name in broken.defines
        )
    ]


def _is_sought(name: str) -> bool:
    """Say whether a function that cannot be read would have been judged, by its name."""
    return role_by_name(name) is not None


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
    remarks = (*found.remarks, *_skipped(found, ()))
    if imports_framework(found):
        says = "Nothing to check: a framework differentiates it, and nothing is done by hand."
        return FileReport(path, NOTHING, says, remarks=remarks)
    return FileReport(
        path,
        NOTHING,
        f"Nothing to check: {has}.",
        remarks=remarks,
        hint=f"What is looked for: {SOUGHT}.",
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
