"""Put every case to every checker and print who missed and who rejected how many."""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

try:
    from . import cases, kernels, oracle
    from .checkers import CHECKERS, Case
except ModuleNotFoundError as missing:
    sys.exit(f"Error: {missing.name} is not installed; the peers extra brings it.")

MARGIN = 1e3
"""How many roundings a correct hard gradient may be off before it is no correct one."""
KERNEL_MARGIN = 8.0
"""Likewise, a correct gradient of a kernel, beside the largest one."""
GROUPS = ("networks", *dict.fromkeys(s[0] for s in kernels.SETTINGS.values()), "kinks and ties")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.field", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every answer to FILE")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=CHECKERS,
        default=list(CHECKERS),
        metavar="NAME",
        help=f"ask these alone of: {'; '.join(CHECKERS)}",
    )
    parser.add_argument("--list", action="store_true", help="name every miss and rejection")
    parser.add_argument(
        "--groups", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="GROUP",
        help=f"take the cases of these alone of: {'; '.join(GROUPS)}",
    )  # fmt: skip
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth case")
    options = parser.parse_args()

    every = [*cases.planted(), *cases.hard(), *kernels.smooth(), *kernels.kinks()]
    chosen, dropped = judged([c for c in every if c.group in options.groups][:: options.every])
    answers: dict[str, dict[Case, str]] = {name: {} for name in options.only}
    seconds: dict[str, Counter] = {name: Counter() for name in options.only}
    for case in track(chosen, "cases", console=Console(stderr=True), transient=True):
        for name in options.only:
            start = time.perf_counter()
            answers[name][case] = CHECKERS[name](case)
            seconds[name][case.group] += time.perf_counter() - start
    result = summary(chosen, dropped, answers, seconds)
    show(result, options.list)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    ours = [group["checkers"].get("Backproof", {}) for group in result["groups"].values()]
    return int(any(found.get(what) for found in ours for what in ("missed", "rejected")))


def judged(drawn: list[Case]) -> tuple[list[Case], list[str]]:
    """Return the cases that the oracle confirms, and the names of what is no mistake."""
    chosen, dropped, known = [], [], {}
    for case in track(drawn, "oracle", console=Console(stderr=True), transient=True):
        if not case.smooth:
            chosen.append(case)
            continue
        exact, errors = _oracle(case, known)
        if case.planted and not oracle.is_mistake(case, exact, errors):
            dropped.append(case.name)
            continue
        if not case.planted:
            check_correct(case, exact)
        chosen.append(case)
    return chosen, dropped


def _oracle(case: Case, known: dict) -> tuple[cases.Grads, cases.Grads]:
    """Return the exact gradient and the rounding of right code, computed once a place."""
    if isinstance(case, kernels.KernelCase):
        if case.place not in known:
            exact = oracle.exact_kernel_gradients(case)
            known[case.place] = exact, oracle.kernel_rounding(case, exact)
        return known[case.place]
    if case.problem not in known:
        exact = oracle.exact_gradients(case.problem)
        known[case.problem] = exact, oracle.rounding(case.problem, exact)
    return known[case.problem]


def check_correct(case: Case, exact: cases.Grads) -> None:
    """Assert that a correct case is as correct as it claims to be."""
    is_kernel = isinstance(case, kernels.KernelCase)
    unit = case.unit if is_kernel else np.finfo(case.problem.dtype).eps
    margin = KERNEL_MARGIN if is_kernel else MARGIN
    size = float(max(np.abs(g).max() for g in exact.values()))
    allowed = margin * unit * (size if is_kernel else max(1, size))
    for name, gradient in case.grads(case.params).items():
        apart = np.abs(np.asarray(gradient, float) - exact[name]).max()
        assert apart <= allowed, f"{case.name}: {name} is off by {apart:.1e}"


def summary(chosen, dropped, answers, seconds) -> dict:
    groups = dict.fromkeys(case.group for case in chosen)
    return {
        "no mistake after all": dropped,
        "groups": {
            group: {
                "planted": sum(c.planted for c in chosen if c.group == group),
                "correct": sum(not c.planted for c in chosen if c.group == group),
                "checkers": {
                    name: {
                        "missed": _names(given, group, True, "agree"),
                        "mistakes undecided": _names(given, group, True, "undecided"),
                        "rejected": _names(given, group, False, "disagree"),
                        "correct undecided": _names(given, group, False, "undecided"),
                        "seconds": round(seconds[name][group], 2),
                    }
                    for name, given in answers.items()
                },
            }
            for group in groups
        },
    }


def _names(given: dict[Case, str], group: str, planted: bool, verdict: str) -> list[str]:
    return [
        case.name
        for case, found in given.items()
        if (case.group, case.planted, found) == (group, planted, verdict)
    ]


WHAT = ("missed", "mistakes undecided", "rejected", "correct undecided")


def show(result: dict, everything: bool) -> None:
    console = Console(width=None if sys.stdout.isatty() else 100)
    for group, found in result["groups"].items():
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column(group)
        table.add_column(f"missed\nof {found['planted']} mistakes", justify="right")
        table.add_column("undecided", justify="right", vertical="bottom")
        table.add_column(f"wrongly rejected\nof {found['correct']} correct", justify="right")
        table.add_column("undecided", justify="right", vertical="bottom")
        table.add_column("seconds", justify="right", vertical="bottom")
        for name, given in found["checkers"].items():
            counts = (str(len(given[what])) for what in WHAT)
            table.add_row(name, *counts, f"{given['seconds']:.0f}")
        console.print(table, "")
    console.print(
        f"{len(result['no mistake after all'])} planted changes are not counted: where they were "
        "planted they change nothing beyond the rounding of correct code (a mistake in dropout "
        "where nothing is dropped, say).",
        style="dim",
    )
    if everything:
        for group, found in result["groups"].items():
            for name, given in found["checkers"].items():
                for what in WHAT:
                    kinds = Counter(case.split(" (")[0] for case in given[what])
                    for kind, count in kinds.most_common():
                        line = f"{group}: {name} {what} {count}: {kind}"
                        console.print(line, highlight=False)


if __name__ == "__main__":
    # A saturated network overflows on its way to a correct answer in several of the checkers.
    with np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        sys.exit(main())
