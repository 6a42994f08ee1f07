"""How long `backproof check` takes: a folder of two hundred, and its slowest file.

Not in the default run: `pytest tests/benchmarks/test_check_speed.py -s -n0`.
"""

from __future__ import annotations

import json
import resource
import shutil
import time
from pathlib import Path

from verify.homework.judge import judge_all
from verify.homework.run.sandbox import Limits

COURSE = Path(__file__).parents[1] / "course"
EXPECTED = json.loads((COURSE / "expected.json").read_text())
WHOLE = [name for name in EXPECTED if "/" not in name]


def two_hundred(folder):
    paths = []
    for number in range(200):
        name = WHOLE[number % len(WHOLE)]
        paths.append(folder / f"{number:03d}_{name}")
        shutil.copy(COURSE / name, paths[-1])
    return paths


def test_the_price_of_the_fence(tmp_path):
    paths = two_hundred(tmp_path)
    wall, processor = {"off": 0.0, "auto": 0.0}, {"off": 0.0, "auto": 0.0}
    for mode in ("off", "auto", "auto", "off"):
        start, used = time.monotonic(), processor_time()
        reports = judge_all(paths, Limits(), 2, fence=mode)
        wall[mode] += (seconds := time.monotonic() - start)
        processor[mode] += (busy := processor_time() - used)
        print(f"\nfence: {reports[0].fence}: {seconds:.1f} s, of processors {busy:.1f} s", end="")
    times = {
        kind["auto"] / kind["off"]: name for kind, name in ((wall, "wall"), (processor, "cpu"))
    }
    print(
        "\nwith the fence", ", ".join(f"{x:.3f} times the {name} time" for x, name in times.items())
    )


def processor_time():
    """Return the seconds that all processes below this one have computed for, ended ones alone."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_folder_of_two_hundred_gets_two_hundred_verdicts(tmp_path):
    paths = two_hundred(tmp_path)
    start = time.monotonic()
    reports = judge_all(paths, Limits(), 2)
    print(f"\n200 files by 2 processes: {time.monotonic() - start:.0f} s")
    for path, report in zip(paths, reports, strict=True):
        assert report.verdict == EXPECTED[path.name[4:]]["verdict"], report.message


def test_every_file_by_itself():
    taken = {}
    judge_all([COURSE / WHOLE[0]], Limits(), 1)
    for name in WHOLE:
        start = time.monotonic()
        judge_all([COURSE / name], Limits(), 1)
        taken[name] = time.monotonic() - start
    for name in sorted(taken, key=taken.__getitem__)[-5:]:
        print(f"\n{name}: {taken[name]:.1f} s, the loading of JAX included", end="")
