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
    from . import cases, oracle
    from .checkers import CHECKERS
except ModuleNotFoundError as missing:
    sys.exit(f"Error: {missing.name} is not installed; the peers extra brings it.")

MARGIN = 1e3
"""How many roundings a correct hard gradient may be off before it is no correct one."""


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
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth case")
    options = parser.parse_args()

    chosen, dropped = judged([*cases.planted(), *cases.hard()][:: options.every])
    answers = {name: {} for name in options.only}
    seconds = Counter()
    for case in track(chosen, "cases", console=Console(stderr=True), transient=True):
        for name in options.only:
            start = time.perf_counter()
            answers[name][case] = CHECKERS[name](case)
            seconds[name] += time.perf_counter() - start
    result = summary(chosen, dropped, answers, seconds)
    show(result, options.list)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    ours = result["checkers"].get("Backproof", {"missed": [], "rejected": []})
    return 1 if ours["missed"] or ours["rejected"] else 0


def judged(drawn: list[cases.Case]) -> tuple[list[cases.Case], list[str]]:
    """Return the cases that the oracle confirms, and the names of what is no mistake."""
    chosen, dropped, known = [], [], {}
    for case in track(drawn, "oracle", console=Console(stderr=True), transient=True):
        if case.problem not in known:
            exact = oracle.exact_gradients(case.problem)
            known[case.problem] = exact, oracle.rounding(case.problem, exact)
        exact, errors = known[case.problem]
        if not case.planted:
            check_correct(case, exact)
        elif not oracle.is_mistake(case, exact, errors):
            dropped.append(case.name)
            continue
        chosen.append(case)
    return chosen, dropped


def check_correct(case: cases.Case, exact: cases.Grads) -> None:
    """Assert that a hard case is as correct as it claims to be."""
    unit = np.finfo(case.problem.dtype).eps
    size = max(np.abs(g).max() for g in exact.values())
    for name, gradient in case.grads(case.problem.params).items():
        apart = np.abs(gradient - exact[name]).max()
        assert apart <= MARGIN * unit * max(1, size), f"{case.name}: {name} is off by {apart:.1e}"


def summary(chosen, dropped, answers, seconds) -> dict:
    return {
        "planted": sum(case.planted for case in chosen),
        "hard": sum(not case.planted for case in chosen),
        "no mistake after all": dropped,
        "checkers": {
            name: {
                "missed": [c.name for c, accepted in given.items() if c.planted and accepted],
                "rejected": [
                    c.name for c, accepted in given.items() if not c.planted and not accepted
                ],
                "seconds": round(seconds[name], 2),
            }
            for name, given in answers.items()
        },
    }


def show(result: dict, everything: bool) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("checker")
    table.add_column(f"missed\nof {result['planted']} mistakes", justify="right")
    table.add_column(f"wrongly rejected\nof {result['hard']} correct", justify="right")
    table.add_column("seconds", justify="right")
    for name, found in result["checkers"].items():
        missed, rejected = len(found["missed"]), len(found["rejected"])
        table.add_row(name, str(missed), str(rejected), f"{found['seconds']:.0f}")
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table)
    console.print(
        f"{len(result['no mistake after all'])} planted changes are not counted: where they were "
        "planted they change nothing beyond the rounding of correct code (a mistake in dropout "
        "where nothing is dropped, say).",
        style="dim",
    )
    if everything:
        for name, found in result["checkers"].items():
            for what in ("missed", "rejected"):
                kinds = Counter(case.split(" (")[0] for case in found[what])
                for kind, count in kinds.most_common():
                    console.print(f"{name} {what} {count}: {kind}", highlight=False)


if __name__ == "__main__":
    # A saturated network overflows on its way to a correct answer in several of the checkers.
    with np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        sys.exit(main())
