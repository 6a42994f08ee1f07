"""Judge planted errors and gradients at bends, and count the verdicts.

Returns 1 if a wrong gradient agrees, a right one disagrees, or an undecided one has no next step.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from worth import corruptions, functions, networks, single_entries


def main() -> int:
    """Judge so many of each, and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.worth", description=__doc__)
    parser.add_argument("--count", type=int, help="of each kind, by default all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start, verdicts, faults = time.perf_counter(), {}, 0
    for found in chain(
        functions.outcomes(),
        networks.outcomes(options.count or networks.COUNT, options.seed),
        corruptions.outcomes(options.count, options.seed),
        single_entries.outcomes(options.count or single_entries.COUNT, options.seed),
    ):
        verdicts.setdefault(found.kind, Counter())[found.verdict] += 1
        if found.fault:
            faults += 1
            print(f"FAULT {found.fault}", flush=True)
    for kind, counted in verdicts.items():
        print(f"{kind:32} " + ", ".join(f"{n} {v}" for v, n in sorted(counted.items())))
    right = verdicts["network, right at 0"]
    if right["undecided"] > networks.UNDECIDED * right.total():
        faults += 1
        print(f"FAULT network, right at 0: more than {networks.UNDECIDED:.0%} undecided")
    print(f"{faults} faults in {time.perf_counter() - start:.0f} s")
    return int(faults > 0)


if __name__ == "__main__":
    # A saturated network overflows on its way to a correct answer.
    with np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        sys.exit(main())
