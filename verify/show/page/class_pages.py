"""A class as pages that link to one another: an index, and one page a file.

The index is for the teacher: every file, what it is worth, and the mistakes of the class, the most
frequent first. A file's page is for whoever wrote it, and holds nothing of anybody else. Choosing
and ordering in the index need no script: the style sheet does it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from verify.catalogue import CATALOGUE
from verify.findings import Finding
from verify.homework.marks import Rubric, mark, total
from verify.homework.report import AGREE, ORDER, FileReport
from verify.report import versions
from verify.show.file_report import COUNTED
from verify.show.files import fence_and_faults
from verify.show.graders import of, why
from verify.show.page.findings import badge, definitions, notes
from verify.show.page.markup import Html, document, element

if TYPE_CHECKING:
    from verify.homework.read.excerpt import Excerpt

INDEX = "index.html"


def page_names(paths: Sequence[str]) -> list[str]:
    """Return the name of each file's page: readable, and each another."""
    folders = [PurePath(path).parts[:-1] for path in paths]
    shared = 0
    while folders and all(
        len(parts) > shared and parts[shared] == folders[0][shared] for parts in folders
    ):
        shared += 1
    names, taken = [], Counter({PurePath(INDEX).stem: 1})
    for path in paths:
        plain = re.sub(r"[^\w.-]+", "-", "-".join(PurePath(path).parts[shared:])).strip("-.")[:80]
        taken[plain.lower()] += 1
        count = taken[plain.lower()]
        names.append(f"{plain}{f'-{count}' * (count > 1)}.html")
    return names


# A file's own page.


def own_page(report: FileReport, excerpts: Sequence[Excerpt], rubric: Rubric | None = None) -> str:
    """Return the page of one file; `excerpts` are the lines around each of its findings."""
    found = zip(report.diagnosis, excerpts, strict=True)
    content = [
        element("p", "Backproof: gradients checked", class_="brand"),
        element("h1", badge(report.verdict), " ", report.path),
        element("p", _meaning(report), class_="meaning"),
        [_mistake(finding, lines) for finding, lines in found],
        _points(report, rubric) if rubric is not None else None,
        element("h2", "Function by function") if report.functions else None,
        [_function(report, place) for place in range(len(report.functions))],
        notes(report.remarks),
        element("h2", "What the words mean"),
        element(
            "p",
            "A backward pass is right if it is the derivative of your own forward pass. That was "
            "measured: the forward pass was run at points a little apart, and what changed was "
            "compared with what the backward pass returns, entry by entry.",
        ),
        element("p", "To check it yourself: ", element("code", f"backproof check {report.path}")),
        element("p", "Backproof ", versions().get("backproof", ""), ".", class_="brand"),
    ]
    return document(f"{report.path}: {report.verdict}", content)


def _meaning(report: FileReport) -> str:
    wrong = len({finding.function for finding in report.diagnosis})
    if not wrong:
        return report.message
    return f"{wrong} function{'s' * (wrong > 1)} to put right; the line and what belongs there:"


def _mistake(finding: Finding, lines: Excerpt) -> Html:
    return element(
        "section",
        element("h2", element("code", finding.function), f": {finding.tensor}"),
        element("p", finding.detail),
        element("p", finding.where, class_="brand") if finding.line is not None else None,
        _source(finding, lines),
        definitions({"found": finding.found, "expected": finding.expected}),
        element("p", element("strong", "To read: "), to_read(finding.bug)),
        class_="finding",
    )


def _source(finding: Finding, lines: Excerpt) -> Html | None:
    """Show the line with those around it, or alone where these are not at hand."""
    if not lines:
        return element("pre", element("code", finding.source)) if finding.source else None
    width = len(str(lines[-1][0]))
    shown = [
        element("mark", f"{number:{width}}  {text}") if number == finding.line
        else f"{number:{width}}  {text}"
        for number, text in lines
    ]  # fmt: skip
    return element("pre", element("code", [[line, "\n"] for line in shown]), class_="lines")


def to_read(bug: str) -> str:
    """Return where a mistake is explained."""
    kind = CATALOGUE[bug].kind if bug in CATALOGUE else "backward"
    if re.search(r"l2|mask|keep-prob|dropout", bug):
        return "notebook 3, Regularisation: L2 and dropout, and their backward passes."
    return {
        "check": "notebook 4, Gradient checking: what its number says, and what it cannot say.",
        "cost": "notebook 1, Backpropagation by hand: the cost, and its gradient.",
        "forward": "notebook 1, Backpropagation by hand: the forward pass.",
    }.get(kind, "notebook 1, Backpropagation by hand: each operation beside its derivative.")


def _function(report: FileReport, place: int) -> Html:
    function = report.functions[place]
    named = {finding.function for finding in report.diagnosis}
    return element(
        "div",
        element("code", function.name),
        badge(function.verdict),
        element("span", "" if function.name in named else function.message),
        class_="row",
    )


def _points(report: FileReport, rubric: Rubric) -> Html:
    given = mark(report, rubric)
    return element(
        "section",
        element("h2", f"{total(given):g} of {rubric.most:g} points"),
        [
            element(
                "div",
                element("code", each.name),
                element("span", of(each)),
                element("span", why(report, each)),
                class_="row",
            )
            for each in given
        ],
    )


# The index.


def class_index(
    reports: Sequence[FileReport], names: Sequence[str], rubric: Rubric | None = None
) -> str:
    """Return the index of a class; `names` are those of the pages of its files."""
    counts = Counter(report.verdict for report in reports)
    badges = [[badge(verdict), f" {counts[verdict]} "] for verdict in COUNTED if counts[verdict]]
    content = [
        element("p", "Backproof: gradients checked", class_="brand"),
        element("h1", f"{len(reports)} files checked"),
        element("p", badges, class_="meaning"),
        element("h2", "The mistakes of the class"),
        _mistakes(reports),
        element("h2", "File by file"),
        _choices([verdict for verdict in COUNTED if counts[verdict]], rubric is not None),
        element("div", _rows(reports, names, rubric), class_="files", role="list"),
        element("h2", "How it was checked"),
        [element("p", line) for line in fence_and_faults(reports)],
        element("p", ", ".join(f"{name} {number}" for name, number in versions().items())),
    ]
    return document(f"{len(reports)} files checked", element("div", content, class_="class"))


def _mistakes(reports: Sequence[FileReport]) -> Html:
    """Show each mistake with the share of the class that made it, and an example without a name."""
    files, examples = Counter[str](), dict[str, Finding]()
    for report in reports:
        for finding in report.diagnosis:
            kept = examples.setdefault(finding.bug, finding)
            if finding.expected and not kept.expected:
                examples[finding.bug] = finding
        files.update({finding.bug for finding in report.diagnosis})
    if not files:
        return element("p", "None was found.")
    return element("ol", [
        element(
            "li",
            element("strong", _phrase(bug)), " ", element("code", bug), f": {count} ",
            f"file{'s' * (count > 1)}, {count / len(reports):.0%} of the class",
            _example(examples[bug]),
        )
        for bug, count in files.most_common()
    ], class_="mistakes")  # fmt: skip


def _phrase(bug: str) -> str:
    return CATALOGUE[bug].phrase if bug in CATALOGUE else bug


def _example(finding: Finding) -> Html | None:
    """Show a line that has a mistake, and what belongs there; nothing says whose it is."""
    found = finding.found or finding.source
    if not found:
        return None
    right = [" should be ", element("code", finding.expected)] if finding.expected else None
    return element("div", "for example ", element("code", found), right)


def _choices(verdicts: Sequence[str], points: bool) -> list[Html]:
    """Return what to choose and how to order, as buttons that the style sheet reads."""
    orders = ["name", "verdict", *(["points"] if points else [])]
    return [
        element("p", "Show ", [_button("show", each) for each in ("all", *verdicts)]),
        element("p", "Order by ", [_button("order", each) for each in orders]),
    ]


def _button(group: str, value: str) -> Html:
    return element(
        "label",
        element("input", type="radio", name=group, id=f"{group}-{value}",
                checked=value in ("all", "name")),
        f" {value} ",
    )  # fmt: skip


def _rows(reports: Sequence[FileReport], names: Sequence[str], rubric: Rubric | None) -> list[Html]:
    points = [0.0 if rubric is None else total(mark(report, rubric)) for report in reports]
    by_points = _ranks(points)
    by_verdict = _ranks([-ORDER.index(report.verdict) for report in reports])
    return [
        element(
            "div",
            element("a", report.path, href=names[place]),
            badge(report.verdict),
            None if rubric is None else element("span", f"{points[place]:g} of {rubric.most:g}"),
            element("span", _brief(report)),
            class_=f"row is-{report.verdict}",
            style=f"--verdict:{by_verdict[place]};--points:{by_points[place]}",
            role="listitem",
        )
        for place, report in enumerate(reports)
    ]


def _ranks(keys: Sequence[Any]) -> list[int]:
    """Return the place of each key in ascending order, equal ones as they come."""
    ranks = [0] * len(keys)
    for rank, place in enumerate(sorted(range(len(keys)), key=lambda place: keys[place])):
        ranks[place] = rank
    return ranks


def _brief(report: FileReport) -> str:
    if report.verdict == AGREE:
        return ""
    bugs = dict.fromkeys(f"{f.function}: {_phrase(f.bug)}" for f in report.diagnosis)
    return "; ".join(bugs) or report.brief
