"""Reports in the formats of graders and of continuous integration.

Gradescope's `results.json`: https://gradescope-autograders.readthedocs.io/en/latest/specs/
PrairieLearn's `results.json`: https://prairielearn.readthedocs.io/en/latest/externalGrading/
SARIF 2.1.0: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
GitHub's commands: https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions

A test of these graders is a pass of the rubric, or where there is none every pass of the file,
each worth one point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from verify.catalogue import CATALOGUE
from verify.findings import Finding
from verify.homework.marks import Mark, Rubric, mark, total
from verify.homework.report import AGREE, NOTHING, UNDECIDED, FileReport

SARIF_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
UNKNOWN = "wrong-gradient"
"""The rule of a file that has no finding with a name."""

LEVELS = {UNDECIDED: "warning"}
"""How loud a verdict is in GitHub and SARIF, where it is no error."""


def gradescope(reports: Sequence[FileReport], rubric: Rubric | None = None) -> dict[str, Any]:
    """Return one file's results.json, or of several an object by path."""
    return _each(reports, _gradescope, rubric)


def prairielearn(reports: Sequence[FileReport], rubric: Rubric | None = None) -> dict[str, Any]:
    """Return one file's results.json, or of several an object by path."""
    return _each(reports, _prairielearn, rubric)


def _each(
    reports: Sequence[FileReport],
    make: Callable[[FileReport, Sequence[Mark]], dict[str, Any]],
    rubric: Rubric | None,
) -> dict[str, Any]:
    made = {report.path: make(report, tests(report, rubric)) for report in reports}
    return next(iter(made.values())) if len(made) == 1 else made


def tests(report: FileReport, rubric: Rubric | None) -> list[Mark]:
    """Return the marks that a file is given, by the rubric or one point a pass."""
    names = dict.fromkeys((function.name for function in report.functions), 1.0)
    return mark(report, rubric or Rubric(names))


def of(given: Mark) -> str:
    """Return a mark as text: how many of how many."""
    return f"{given.points:g} of {given.most:g}"


def why(report: FileReport, given: Mark) -> str:
    """Return the reason of a mark, in sentences."""
    if not given.reason:
        return f"The file has no {given.name}. {report.message}".rstrip()
    said = [finding.detail for finding in report.diagnosis if finding.function == given.name]
    if not said:
        messages = (f.message for f in report.functions if f.name == given.name)
        said = [message for message in messages if message]
    if given.mistake:
        said.append(f"For this mistake alone {given.points:g} of {given.most:g} points are left.")
    return " ".join([f"{given.reason}.", *said])


def _gradescope(report: FileReport, given: Sequence[Mark]) -> dict[str, Any]:
    return {
        "score": total(given),
        "execution_time": round(report.seconds),
        "output": "\n".join([report.message, *report.remarks]),
        "output_format": "text",
        "stdout_visibility": "hidden",
        "tests": [
            {
                "name": each.name,
                "score": each.points,
                "max_score": each.most,
                "status": "passed" if each.reason == AGREE else "failed",
                "output": why(report, each),
                "output_format": "text",
                "visibility": "visible",
            }
            for each in given
        ],
    }


def _prairielearn(report: FileReport, given: Sequence[Mark]) -> dict[str, Any]:
    most = sum(each.most for each in given)
    gradable = report.verdict != NOTHING and bool(most)
    return {
        "gradable": gradable,
        "score": total(given) / most if gradable else 0.0,
        "message": report.message,
        "output": "\n".join(report.remarks),
        "format_errors": [] if gradable else [report.message],
        "tests": [
            {
                "name": each.name,
                "description": f"The backward pass {each.name}",
                "points": each.points,
                "max_points": each.most,
                "message": why(report, each),
            }
            for each in given
        ],
    }


def github(reports: Sequence[FileReport]) -> str:
    """Return a line for each mistake, which GitHub shows beside the line that it is in."""
    lines = []
    for report in reports:
        for where, title, says in _annotations(report):
            place = {"file": report.path, **where, "title": title}
            given = ",".join(f"{key}={_property(str(value))}" for key, value in place.items())
            lines.append(f"::{_level(report)} {given}::{_data(says)}")
    return "\n".join(lines)


def _annotations(report: FileReport) -> list[tuple[Mapping[str, int], str, str]]:
    """Return the place, the title and the sentence of everything that is wrong in a file."""
    if report.verdict in (AGREE, NOTHING):
        return []
    found: list[tuple[Mapping[str, int], str, str]] = [
        (_place(finding), finding.function, finding.detail + _in_cell(finding))
        for finding in report.diagnosis
    ]
    return found or [({}, report.verdict, report.message)]


def _level(report: FileReport) -> str:
    return LEVELS.get(report.verdict, "error")


def _place(finding: Finding) -> dict[str, int]:
    """Return the line, of a script alone: a notebook's lines are not those of its file."""
    if finding.line is None or finding.cell is not None:
        return {}
    return {"line": finding.line}


def _in_cell(finding: Finding) -> str:
    return "" if finding.cell is None else f" ({finding.where})"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def sarif(reports: Sequence[FileReport]) -> dict[str, Any]:
    """Return a SARIF log: a run, a rule for each mistake that was found, a result for each."""
    results = [result for report in reports for result in _results(report)]
    rules = dict.fromkeys(result["ruleId"] for result in results)
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "Backproof",
                        "version": version("backproof"),
                        "rules": [
                            {"id": rule, "shortDescription": {"text": _phrase(rule)}}
                            for rule in rules
                        ],
                    }
                },
                "results": results,
            }
        ],
    }


def _phrase(rule: str) -> str:
    return CATALOGUE[rule].phrase if rule in CATALOGUE else "a gradient that is wrong"


def _results(report: FileReport) -> list[dict[str, Any]]:
    if report.verdict in (AGREE, NOTHING):
        return []
    found = [
        _result(report, finding.bug, f"{finding.function}: {finding.detail}", finding)
        for finding in report.diagnosis
    ]
    return found or [_result(report, UNKNOWN, report.message, None)]


def _result(report: FileReport, rule: str, says: str, finding: Finding | None) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(report.path.replace("\\", "/"))}}
    if finding is not None and _place(finding):
        place["region"] = {"startLine": finding.line, "snippet": {"text": finding.source}}
    location: dict[str, Any] = {"physicalLocation": place}
    if finding is not None:
        location["logicalLocations"] = [{"name": finding.function, "kind": "function"}]
        says += _in_cell(finding)
    return {
        "ruleId": rule,
        "level": _level(report),
        "message": {"text": says},
        "locations": [location],
    }
