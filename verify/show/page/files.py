"""Many files as one page: what `backproof check` found in each."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.homework.marks import Rubric, mark, total
from verify.homework.report import AGREE, DISAGREE
from verify.report import entry, versions
from verify.show.files import fence_and_faults
from verify.show.graders import of, why
from verify.show.page.findings import badge, box, notes
from verify.show.page.markup import Html, document, element, number, style, table
from verify.show.page.matrix_entries import Entries, worst_entries

if TYPE_CHECKING:
    from verify.homework.report import FileReport, Gradient


def files_page(reports: Sequence[FileReport], rubric: Rubric | None = None) -> str:
    """Return the reports of one file or many as one self-contained HTML file."""
    heading, title = _heading(reports)
    sections = [
        element("header", element("p", "Backproof: gradients checked", class_="brand"), heading),
        _overview(reports, rubric) if len(reports) > 1 else None,
        [_section(place, report, len(reports), rubric) for place, report in enumerate(reports)],
        element("h2", "How it was checked"),
        _method(),
        [element("p", line) for line in fence_and_faults(reports)],
        element("h2", "To repeat it"),
        element("pre", element("code", _command(reports))),
        table(
            ["name", "version"],
            [[name, version] for name, version in versions().items()],
            caption="Versions",
        ),
    ]
    return document(f"{title}, Backproof", sections)


def file_fragment(report: FileReport) -> str:
    """Return a report as a fragment for the output of a notebook cell."""
    return element(
        "div",
        style(),
        element("p", badge(report.verdict), " ", report.path, ". ", report.message),
        [box(f, "p", f"{f.function}: {f.tensor}") for f in report.diagnosis],
        _functions(report),
        notes(report.remarks),
        class_="backproof",
    )


def _heading(reports: Sequence[FileReport]) -> tuple[list[Html], str]:
    if len(reports) == 1:
        (report,) = reports
        return [element("h1", badge(report.verdict), " ", report.path)], report.path
    counts = Counter(report.verdict for report in reports)
    badges = [[badge(verdict), f" {count} "] for verdict, count in counts.most_common()]
    title = f"{len(reports)} files checked"
    return [element("h1", title), element("p", badges, class_="meaning")], title


def _overview(reports: Sequence[FileReport], rubric: Rubric | None) -> list[Html]:
    rows = []
    for place, report in enumerate(reports):
        right = sum(function.verdict == AGREE for function in report.functions)
        rows.append(
            [
                element("a", report.path, href=f"#file-{place}"),
                badge(report.verdict),
                f"{right} of {len(report.functions)}" if report.functions else "",
                *([] if rubric is None else [f"{total(mark(report, rubric)):g}"]),
                _in_brief(report),
            ]
        )
    points = [] if rubric is None else [f"points of {rubric.most:g}"]
    return [
        element("h2", "File by file"),
        table(
            ["file", "verdict", "functions that agree", *points, "what was found"],
            rows,
            caption="The files in the order in which they were given",
            class_="overview",
        ),
    ]


def _in_brief(report: FileReport) -> Any:
    if report.verdict == AGREE:
        return ""
    if report.verdict != DISAGREE or not report.diagnosis:
        return report.brief
    return [
        element("div", element("code", finding.function), ": ", finding.detail)
        for finding in report.diagnosis
    ]


def _section(place: int, report: FileReport, count: int, rubric: Rubric | None) -> Html:
    """Show one file in full; of many, those that agree stay closed."""
    content: list[Any] = [
        element("p", report.message, class_="meaning")
        if report.verdict != DISAGREE or not report.diagnosis
        else None,
        [box(f, "h3", f"{f.function}: {f.tensor}") for f in report.diagnosis],
        [_entries(gradient) for gradient in report.gradients],
        None if rubric is None else _marks(report, rubric),
        _functions(report),
        notes(report.remarks),
        element("p", "Judged in ", number(report.seconds, ".3g"), " s."),
    ]
    if count == 1:
        heading = element("h2", "What is wrong" if report.diagnosis else "What was found")
        return element("section", heading, content, id=f"file-{place}")
    title = element("h2", report.path, " ", badge(report.verdict))
    return element(
        "details",
        element("summary", title),
        content,
        id=f"file-{place}",
        open=report.verdict != AGREE,
    )


def _entries(gradient: Gradient) -> Html:
    """Show where a gradient is wrong, and by how much."""
    found, expected, bar = (
        np.array(rows, float) for rows in (gradient.found, gradient.expected, gradient.bar)
    )
    name, index = f"d{gradient.name}", np.arange(found.size)
    called = partial(entry, shape=found.shape)
    numbers = (index, found.ravel(), (found - expected).ravel(), bar.ravel())
    return element(
        "figure",
        element("figcaption", f"{name} by {gradient.function}, and as it should be"),
        worst_entries(Entries(name, found.shape, called, ("found", "right"), *numbers)),
    )


def _marks(report: FileReport, rubric: Rubric) -> Html:
    """Show the points of each pass with the reason, and their sum."""
    given = mark(report, rubric)
    rows: list[list[Any]] = [
        [element("code", each.name), _unbroken(of(each)), why(report, each)] for each in given
    ]
    whole = f"{total(given):g} of {rubric.most:g}"
    rows.append([element("strong", "all"), _unbroken(whole), ""])
    return table(["function", "points", "reason"], rows, caption="Points")


def _unbroken(text: str) -> str:
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _functions(report: FileReport) -> Html | None:
    named = {finding.function for finding in report.diagnosis}
    rows = [
        [
            element("code", function.name),
            badge(function.verdict),
            "" if function.name in named else function.message,
        ]
        for function in report.functions
    ]
    if not rows:
        return None
    return table(
        ["function", "verdict", "note"], rows, caption="The functions that were recognised"
    )


def _method() -> Html:
    return element(
        "p",
        "Function definitions, imports and plain constants were taken from each file; nothing else "
        "was run. Every backward pass was compared with the textbook's, with JAX's derivative of "
        "the file's own forward pass, and with finite differences of it, on identical parameters, "
        "data and dropout masks. Two of these agree if every difference is within its error bar: "
        "how far rounding, and for a finite difference its truncation, can change a right "
        "gradient.",
    )


def _command(reports: Sequence[FileReport]) -> str:
    """Return the command that checks these files again; of very many, it names the first."""
    paths = [report.path for report in reports]
    shown = paths if len(paths) <= 12 else [*paths[:1], "..."]
    return shlex.join(["backproof", "check", *shown])
