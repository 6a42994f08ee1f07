"""What a cluster brings and costs: python tests/benchmarks/cluster.py [--files N] [--rounds N]

A scheduler and two workers, each a process, and this one, which sends the files; all share the
machine's cores. The rate with both workers is compared with that of one, in turns. Then the same
number of files is sent that are not judged at all: what is left is the cluster's own share of a
file, from which follows what a course with 30,000 files takes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from verify.homework.judge import judge_on
from verify.homework.run import cluster
from verify.homework.run.sandbox import Limits

COURSE = Path(__file__).parents[1] / "course"
MANY, WORKERS = 30_000, 50


@contextlib.contextmanager
def process(module, *arguments):
    command = [sys.executable, "-m", module, *map(str, arguments)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=COURSE.parents[1], **quiet) as started:
        try:
            yield started
        finally:
            started.terminate()


@contextlib.contextmanager
def started(workers, folder):
    """Start a scheduler with so many workers, all warm; yield its address."""
    file = Path(folder, f"{workers}.json")
    with contextlib.ExitStack() as stack:
        how = ("--port", 0, "--no-dashboard", "--host", "127.0.0.1", "--scheduler-file", file)
        stack.enter_context(process("distributed.cli.dask_scheduler", *how))
        while not file.exists():
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        how = ("--nthreads", 1, "--no-dashboard", "--memory-limit", 0, "--local-directory", folder)
        for _ in range(workers):
            stack.enter_context(process("distributed.cli.dask_worker", address, *how))
        judged(address, sorted(COURSE.glob("*.py"))[: 4 * workers])
        yield address


def judged(address, paths):
    """Return the seconds that it takes to judge files, from the connection on."""
    began = []
    judge_on(
        cluster.Cluster(address),
        paths,
        Limits(),
        said=lambda sentence: began.append(time.monotonic()),
    )
    return time.monotonic() - began[0]


def sent_alone(address, paths):
    """Return the seconds a file that the cluster takes, without what judging takes."""
    real, cluster.judged_there = cluster.judged_there, nothing
    try:
        return judged(address, paths) / len(paths)
    finally:
        cluster.judged_there = real


def nothing(program, fence, job, sent):
    """Answer as a worker does that has nothing to do."""
    from dataclasses import asdict

    from verify.homework.report import FileReport
    from verify.report import versions

    return {"report": asdict(FileReport(job["path"], "agree", "")), "versions": versions()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=90)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    paths = (sorted(COURSE.glob("*.py")) * asked.files)[: asked.files]
    with (
        tempfile.TemporaryDirectory() as folder,
        started(1, folder) as one,
        started(2, folder) as two,
    ):
        ratios, alone = [], []
        for _ in range(asked.rounds):
            by_one, by_two = judged(one, paths), judged(two, paths)
            ratios.append(by_one / by_two)
            alone.append(by_one / len(paths))
            print(f"one worker {by_one:.1f} s, two {by_two:.1f} s: {ratios[-1]:.2f} times the rate")
        share = sent_alone(two, (paths * 12)[:1000])
    second = statistics.median(alone)
    print(f"two workers: {statistics.median(ratios):.2f} times the rate of one (median)")
    print(f"a file: {second * 1e3:.0f} ms judged, {share * 1e3:.1f} ms for the cluster")
    judging, sending = MANY * second / WORKERS, MANY * share
    print(f"{MANY} files on {WORKERS} such workers: judged in {judging:.0f} s, sent in "
          f"{sending:.0f} s, so some {max(judging, sending) / 60:.0f} minutes")  # fmt: skip


if __name__ == "__main__":
    main()
