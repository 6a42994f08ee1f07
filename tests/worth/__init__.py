"""What an AGREE is worth: planted errors of every size, and gradients at bends.

    python -m tests.worth [--count N] [--seed S]

- `corruptions`: the field test's right gradients with one tensor zeroed, doubled, ...
- `single_entries`: random problems with one entry off
- `networks`: relu networks at whole numbers, under several conventions at 0
- `functions`: small functions with bends, with gradients that are right there and some that are not

Each yields `Outcome`s. A quick sample of all is among the default tests (`tests/test_worth.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from verify import Report

NEXT_STEP = ("Check ", "Draw ")


@dataclass(frozen=True)
class Outcome:
    """The verdict on one gradient: of which kind it is, and what is wrong with the verdict."""

    kind: str
    verdict: str
    fault: str = ""


def outcome(kind: str, report: Report, allowed: tuple[str, ...], where: str) -> Outcome:
    """Return the outcome of a report, with a fault unless its verdict is one of those allowed.

    An undecided one must name a next step too.
    """
    fault = ""
    if report.verdict not in allowed:
        fault = f"{kind}, {where}: {report.verdict}"
    elif report.verdict == "undecided" and not any(word in report.meaning for word in NEXT_STEP):
        fault = f"{kind}, {where}: undecided without a next step: {report.meaning}"
    return Outcome(kind, report.verdict, fault)
