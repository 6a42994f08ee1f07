"""Judges what is defined in this very process: the passes of a notebook's kernel or of a script.

They are found in the text of what a namespace defines now, and judged by their own forward passes,
as those of a file are; the calls of the user's own run, where there are any, are the inputs.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verify.homework.passes.case import Case
from verify.homework.read.discover import Candidate, discover
from verify.homework.read.extract import Extract
from verify.homework.report import FileReport, FunctionVerdict, worst
from verify.homework.rows import Found, by_line, by_own_forward, placed, seed_of
from verify.homework.run.live import homes, live_door, live_extract
from verify.homework.run.observer import Observed

SECONDS = 20.0
"""The time that the passes of one report may take together."""


NEXT_STEP = (
    "Call it and its forward pass in the cell, or under backproof.watch(): it is judged with what "
    "they are given then."
)


@dataclass(frozen=True, eq=False)
class Asked:
    """What is to be judged of one namespace: these passes, or with None all that it defines."""

    observed: Observed
    wanted: Collection[str] | None = None


def judge_live(
    asked: Sequence[Asked],
    path: str,
    seconds: float = SECONDS,
    seed: int = 0,
) -> FileReport:
    """Judge passes in this process, within about this many seconds.

    `path` is what the report is about.
    """
    start = time.perf_counter()
    so_far, functions = Found(), list[FunctionVerdict]()
    parts = [(each, *_candidates(each)) for each in asked]
    parts = [part for part in parts if part[2]]
    for number, (each, found, candidates) in enumerate(parts):
        part = Found()
        now = time.perf_counter()
        left = max(start + seconds - now, 1.0) / (len(parts) - number)
        case = Case(
            found,
            live_door(found, each.observed),
            calls=each.observed.calls,
            observed=True,
            next_step=NEXT_STEP,
        )
        by_own_forward(case, candidates, part, _silent, now + left, seed_of(found, seed))
        functions += placed(found, candidates, part.functions)
        so_far.findings += part.findings
        so_far.remarks += part.remarks
    return FileReport(
        path,
        worst(function.verdict for function in functions),
        "" if functions else "Nothing to check: no backward pass was defined or called.",
        tuple(functions),
        tuple(by_line(so_far.findings)),
        tuple(dict.fromkeys(so_far.remarks)),
        seconds=time.perf_counter() - start,
    )


def all_defined(names: Mapping[str, Any]) -> list[Asked]:
    """Return what a namespace defines, and what it imported from files of the user's own."""
    return [Asked(Observed(home), found) for home, found in homes(names)]


def passes_of(asked: Sequence[Asked]) -> list[str]:
    """Return the names of the backward passes that would be judged."""
    return [candidate.name for each in asked for candidate in _candidates(each)[1]]


def _candidates(asked: Asked) -> tuple[Extract, list[Candidate]]:
    found = live_extract(asked.observed.names)
    wanted = asked.wanted
    return found, [
        candidate
        for candidate in discover(found)
        if wanted is None or {candidate.name, candidate.owner} & set(wanted)
    ]


def _silent(name: str, functions: Sequence[Any], findings: Sequence[Any]) -> None:
    """Tell nobody of the progress."""
