"""What a course of tens of thousands costs beside the judging: seconds, and the most memory so far.

    python tests/benchmarks/many_results.py --count 30000

The files of `tests/course` are judged once; each of the many is one of them under another name,
with its report. Measured are the journal of all, going on from it, the index, and all pages.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from verify.cli.check import cores, write_pages
from verify.cli.journal import open_journal
from verify.homework.judge import judge_all
from verify.homework.run.sandbox import Limits
from verify.show.page import class_index, page_names

COURSE = Path(__file__).parents[1] / "course"


@contextmanager
def measured(what: str) -> Iterator[None]:
    """Print how long something takes, and how much memory this process has held at most."""
    start = time.monotonic()
    yield
    seconds = time.monotonic() - start
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {seconds:.1f} s, {most:.0f} MB at most so far", flush=True)


def main() -> None:
    """Judge the course, multiply its files and reports, and measure what is done with them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=30_000)
    count = parser.parse_args().count
    sources = sorted((*COURSE.glob("*.py"), *COURSE.glob("*.ipynb")))
    judged = judge_all(sources, Limits(), cores())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / f"{n:05d}_{sources[n % len(sources)].name}" for n in range(count)]
        for number, file in enumerate(files):
            shutil.copy(sources[number % len(sources)], file)
        reports = [
            replace(judged[number % len(judged)], path=str(file))
            for number, file in enumerate(files)
        ]
        output = folder / "out.json"
        with (
            measured(f"journal of {count}"),
            open_journal(output, files, {}, resume=False) as journal,
        ):
            for number, report in enumerate(reports):
                journal.add(number, report)
        with measured("resumed"), open_journal(output, files, {}, resume=True) as journal:
            assert len(journal.known) == count
        with measured("index"):
            index = class_index(reports, page_names([report.path for report in reports]))
        print(f"  of {len(index) / 2**20:.1f} MB")
        with measured("index and all pages"):
            write_pages(folder, files, reports, None)


if __name__ == "__main__":
    main()
