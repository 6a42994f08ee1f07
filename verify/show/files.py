"""The reports of many files as a table, as JSON, as CSV and as JUnit's XML."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from verify.findings import Finding
from verify.homework.marks import Rubric, mark, total
from verify.homework.report import (
    AGREE,
    CRASHED,
    DISAGREE,
    NOTHING,
    TIMEOUT,
    UNDECIDED,
    UNREADABLE,
    FileReport,
)
from verify.show.file_report import COUNTED, in_full, style_of, verdict_text
from verify.show.graders import of, why

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

SCHEMA = 2
STATUS = {AGREE: 0, DISAGREE: 1, UNDECIDED: 1, TIMEOUT: 1, CRASHED: 1, UNREADABLE: 2, NOTHING: 2}
"""The exit status of each verdict."""


def status(reports: Sequence[FileReport]) -> int:
    """Return the exit status of a run: 1 if anything is wrong, else 2 if something says nothing."""
    every = {STATUS[report.verdict] for report in reports}
    return next((status for status in (1, 2, 0) if status in every), 2)


def to_dict(reports: Sequence[FileReport], rubric: Rubric | None = None) -> dict[str, Any]:
    """Return the JSON object of `backproof check`."""
    counts = Counter(report.verdict for report in reports)
    return {
        "schema": SCHEMA,
        "files": [report.to_dict() | _points(report, rubric) for report in reports],
        "summary": {verdict: counts[verdict] for verdict in COUNTED},
    }


def _points(report: FileReport, rubric: Rubric | None) -> dict[str, Any]:
    """Return the marks of a file as plain data; nothing without a rubric."""
    if rubric is None:
        return {}
    given = mark(report, rubric)
    return {
        "points": total(given),
        "most_points": rubric.most,
        "marks": [each._asdict() | {"reason": why(report, each)} for each in given],
    }


def to_csv(reports: Sequence[FileReport], rubric: Rubric | None = None) -> str:
    """Return a row for each file; a cell with several findings has a line for each.

    With a rubric there is a column for the points of each of its passes, and for their sum. Cells
    that a spreadsheet would compute begin with an apostrophe.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    heads = ["path", "verdict", "message", "functions", "diagnosis", "remarks", "seconds", "fence"]
    writer.writerow(heads + (["points", *rubric.points] if rubric else []))
    for report in reports:
        row = [
            report.path,
            report.verdict,
            report.message,
            "\n".join(f"{f.name}: {f.verdict}" for f in report.functions),
            "\n".join(map(_sentence, report.diagnosis)),
            "\n".join(report.remarks),
            f"{report.seconds:.2f}",
            report.fence,
        ]
        given = mark(report, rubric) if rubric else []
        marks = [f"{points:g}" for points in (total(given), *(each.points for each in given))]
        writer.writerow(_not_computed(*row, *(marks if rubric else [])))
    return stream.getvalue()


def _not_computed(*cells: str) -> list[str]:
    return [f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell for cell in cells]


def to_junit(reports: Sequence[FileReport]) -> str:
    """Return JUnit's XML, with a test case for each file."""
    counts = Counter(report.verdict for report in reports)
    failures = counts[DISAGREE] + counts[UNDECIDED]
    suite = ElementTree.Element(
        "testsuite",
        name="backproof check",
        tests=str(len(reports)),
        failures=str(failures),
        errors=str(counts[CRASHED] + counts[TIMEOUT] + counts[UNREADABLE]),
        skipped=str(counts[NOTHING]),
        time=f"{sum(report.seconds for report in reports):.3f}",
    )
    for report in reports:
        name, seconds = _printable(report.path), f"{report.seconds:.3f}"
        case = ElementTree.SubElement(
            suite, "testcase", classname="backproof", name=name, time=seconds
        )
        kind = {AGREE: None, DISAGREE: "failure", UNDECIDED: "failure", NOTHING: "skipped"}.get(
            report.verdict, "error"
        )
        if kind is not None:
            fault = ElementTree.SubElement(case, kind, message=_printable(report.message))
            if kind != "skipped":
                fault.set("type", report.verdict)
            fault.text = _printable("\n".join(map(_sentence, report.diagnosis)))
        if report.remarks:
            output = ElementTree.SubElement(case, "system-out")
            output.text = _printable("\n".join(report.remarks))
    output = ElementTree.SubElement(suite, "system-out")
    output.text = _printable("\n".join(fence_and_faults(reports)))
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def _printable(text: str) -> str:
    """Return text without the characters that XML has no way to hold."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)


def _sentence(finding: Finding) -> str:
    line = f" ({finding.where}: {finding.source})" if finding.source else ""
    return f"{finding.function}: {finding.detail}{line}"


def table(reports: Sequence[FileReport], rubric: Rubric | None = None) -> RenderableType:
    """Return one file in full, or several as a row each."""
    from rich.console import Group

    if len(reports) == 1:
        return Group(in_full(reports[0]), *_marks(reports[0], rubric), "", *_fence(reports))
    return Group(_summary(reports, rubric), "", _counts(reports), *_fence(reports))


def _marks(report: FileReport, rubric: Rubric | None) -> list[RenderableType]:
    """Return the points of each pass with the reason, and their sum."""
    from rich.text import Text

    if rubric is None:
        return []
    given = mark(report, rubric)
    lines = [f"{of(each)}  {each.name}: {why(report, each)}" for each in given]
    whole = f"{total(given):g} of {rubric.most:g} points"
    return ["", Text(whole, style="bold"), *(Text(f"  {line}") for line in lines)]


def _fence(reports: Sequence[FileReport]) -> list[Text]:
    from rich.text import Text

    return [Text(line, style="dim") for line in fence_and_faults(reports)]


def fence_and_faults(reports: Sequence[FileReport]) -> list[str]:
    """Say what kept the code of the files in, and what to send of faults of Backproof."""
    lines = [f"fence: {fence}" for fence in dict.fromkeys(report.fence for report in reports)]
    faults = dict.fromkeys(report.fault for report in reports if report.fault)
    return lines + [f"A fault of Backproof; please send this line: {fault}" for fault in faults]


def _summary(reports: Sequence[FileReport], rubric: Rubric | None) -> Table:
    from rich.table import Table
    from rich.text import Text

    result = Table(box=None, pad_edge=False, header_style="bold")
    result.add_column("file", overflow="fold")
    result.add_column("verdict", no_wrap=True)
    result.add_column("functions\nthat agree", justify="right", no_wrap=True)
    if rubric is not None:
        result.add_column(f"points\nof {rubric.most:g}", justify="right", no_wrap=True)
    result.add_column("what was found", overflow="fold")
    for report in reports:
        points = [] if rubric is None else [f"{total(mark(report, rubric)):g}"]
        right = sum(function.verdict == AGREE for function in report.functions)
        result.add_row(
            Text(report.path),
            verdict_text(report.verdict),
            f"{right} of {len(report.functions)}" if report.functions else "",
            *points,
            Text("\n".join(_says(report))),
        )
    return result


def _says(report: FileReport) -> list[str]:
    """Return the text of a file's row: its mistakes, or its message if it has none."""
    if report.verdict == AGREE:
        return []
    said = list(map(_sentence, report.diagnosis))
    return said if report.verdict == DISAGREE and said else [report.brief, *said]


def _counts(reports: Sequence[FileReport]) -> Text:
    from rich.text import Text

    counts = Counter(report.verdict for report in reports)
    parts = [Text(f"{len(reports)} files: ", style="bold")]
    for verdict in COUNTED:
        if counts[verdict]:
            parts.append(Text(f"{counts[verdict]} {verdict}, ", style=style_of(verdict)))
    result = Text.assemble(*parts)
    result.right_crop(2)
    return result
