"""One file's report in full, for a terminal and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

WIDTH = 100

COUNTED = (AGREE, DISAGREE, UNDECIDED, CRASHED, TIMEOUT, UNREADABLE, NOTHING)
"""The verdicts of files, in the order in which they are counted."""

_STYLES = {AGREE: "green", DISAGREE: "red", UNDECIDED: "yellow", NOTHING: "dim"}


def text(report: FileReport) -> str:
    """Return the report as plain text."""
    from io import StringIO

    from rich.console import Console

    stream = StringIO()
    Console(file=stream, width=WIDTH, color_system=None, force_jupyter=False).print(report)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def in_full(report: FileReport) -> RenderableType:
    """Return a report for rich: a row for each function, then each mistake, then the notes."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    heading = (report.verdict.upper(), f"bold {style_of(report.verdict)}")
    parts: list[RenderableType] = [Text.assemble(heading, " ", report.path)]
    if not report.functions:
        return Group(*parts, Text(report.message), *_notes(report))
    functions = Table(box=None, pad_edge=False, show_header=False)
    functions.add_column(no_wrap=True)
    functions.add_column(no_wrap=True)
    functions.add_column(overflow="fold")
    named = {finding.function for finding in report.diagnosis}
    for function in report.functions:
        says = "" if function.name in named else function.message
        functions.add_row(Text(function.name), verdict_text(function.verdict), Text(says))
    parts += ["", functions]
    for finding in report.diagnosis:
        parts += ["", Text.assemble((f"{finding.function}: ", "bold"), finding.detail)]
        if finding.source:
            parts.append(Text(f"    {finding.where}:  {finding.source}"))
        if finding.found:
            parts.append(Text(f"    found      {finding.found}"))
        if finding.expected:
            parts.append(Text(f"    expected   {finding.expected}"))
    return Group(*parts, *_notes(report))


def _notes(report: FileReport) -> list[RenderableType]:
    from rich.text import Text

    if not report.remarks:
        return []
    return ["", *(Text(f"Note: {remark}", style="dim") for remark in report.remarks)]


def verdict_text(verdict: str) -> Text:
    """Return a verdict in its colour."""
    from rich.text import Text

    return Text(verdict, style=style_of(verdict))


def style_of(verdict: str) -> str:
    """Return how a verdict looks."""
    return _STYLES.get(verdict, "magenta")
