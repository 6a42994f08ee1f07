"""Marks: how many points the passes of a file are worth, by a rubric.

A rubric says what each pass is worth, which share of it is left where its only mistake has a
certain name, and which share a verdict leaves. It is written as TOML:

    [points]
    linear_backward = 3
    L_model_backward = 5

    [mistakes]                  # the share that is left where this is the only mistake
    weights-not-averaged = 0.5

    [verdicts]                  # the share that a verdict leaves; 0 where nothing is said
    undecided = 0.5

A function that is right but for another one that it calls is right: it gets its points.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from verify.catalogue import CATALOGUE
from verify.homework.report import AGREE, ORDER, FileReport

TABLES = ("points", "mistakes", "verdicts")


@dataclass(frozen=True)
class Rubric:
    """What each pass is worth, and the share that a mistake or a verdict leaves."""

    points: Mapping[str, float]
    mistakes: Mapping[str, float] = field(default_factory=dict)
    verdicts: Mapping[str, float] = field(default_factory=dict)

    @property
    def most(self) -> float:
        """The points of a file without a mistake."""
        return sum(self.points.values())


class Mark(NamedTuple):
    """The points of one pass: how many of how many, and what they were given for.

    `reason` is the verdict, "" where the file has no such pass; `mistake` is the one that left a
    share, if any did.
    """

    name: str
    points: float
    most: float
    reason: str
    mistake: str = ""


def read_rubric(path: Path) -> Rubric:
    """Read a rubric from a TOML file.

    Raises ValueError, naming what is wrong, for anything but the three tables of numbers, and for
    mistakes and verdicts that do not exist.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise ValueError(f"rubric: got {path}, which cannot be read ({fault})") from fault
    for name in data:
        if name not in TABLES:
            raise ValueError(f"rubric: got [{name}], expected {', '.join(TABLES)}")
    tables = {name: _numbers(name, data.get(name, {})) for name in TABLES}
    for name, known in (("mistakes", CATALOGUE), ("verdicts", ORDER)):
        for key, share in tables[name].items():
            if key not in known:
                raise ValueError(f"rubric: got {key} under [{name}], which is none")
            if share > 1:
                raise ValueError(f"rubric: got {key} = {share:g}, expected a share of at most 1")
    return _checked(Rubric(**tables))


def parse_points(text: str) -> Rubric:
    """Read a rubric from "linear_backward=3,L_model_backward=5".

    Raises ValueError, naming the item, for anything else.
    """
    points = {}
    for item in text.split(","):
        name, _, number = item.strip().partition("=")
        try:
            points[name.strip()] = float(number)
        except ValueError:
            raise ValueError(
                f"points: got {item!r}, expected a function and its points, as in linear_backward=3"
            ) from None
    return _checked(Rubric(_numbers("points", points)))


def _checked(rubric: Rubric) -> Rubric:
    if not rubric.most:
        raise ValueError("points: got none, expected at least one pass that is worth some")
    return rubric


def _numbers(name: str, table: Any) -> dict[str, float]:
    if not isinstance(table, dict):
        raise ValueError(f"rubric: got {name} = {table!r}, expected a table [{name}]")
    for key, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            raise ValueError(f"{name}: got {key} = {value!r}, expected a number of at least 0")
    return {key: float(value) for key, value in table.items()}


def check_names(rubric: Rubric, reports: Sequence[FileReport]) -> None:
    """Raise ValueError where the rubric names a pass that no file has."""
    found = {function.name for report in reports for function in report.functions}
    unknown = [name for name in rubric.points if name not in found]
    if unknown and found:
        raise ValueError(
            f"points: got {', '.join(unknown)}, which no file has, expected some of "
            f"{', '.join(sorted(found))}"
        )


def mark(report: FileReport, rubric: Rubric) -> list[Mark]:
    """Return the points of every pass of the rubric, in its order."""
    verdicts = {function.name: function.verdict for function in report.functions}
    return [
        _mark(name, most, verdicts.get(name, ""), _mistakes(report, name), rubric)
        for name, most in rubric.points.items()
    ]


def _mark(name: str, most: float, verdict: str, mistakes: Sequence[str], rubric: Rubric) -> Mark:
    if verdict == AGREE:
        return Mark(name, most, most, verdict)
    if len(set(mistakes)) == 1 and mistakes[0] in rubric.mistakes:
        return Mark(name, most * rubric.mistakes[mistakes[0]], most, verdict, mistakes[0])
    return Mark(name, most * rubric.verdicts.get(verdict, 0.0), most, verdict)


def _mistakes(report: FileReport, name: str) -> list[str]:
    return [finding.bug for finding in report.diagnosis if finding.function == name]


def total(marks: Iterable[Mark]) -> float:
    """Return the points of a file."""
    return sum(mark.points for mark in marks)
