"""Every process of a check is killed at random moments: no finished verdict is lost."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from verify.homework.run.processes import descendants

ROOT = Path(__file__).parents[2]
COURSE = ROOT / "tests" / "course"
FILES = (
    "planar_exported.py",
    "lists.py",
    "deep_mean_forgotten.py",
    "deep_relu_mask_forgotten.py",
    "gradient_check_accepts_all.py",
    "python2_script.py",
)
DEPTHS = {"command": 0, "server": 1, "supervisor": 2, "worker": 3}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found by /proc")


@pytest.fixture(scope="module")
def homework(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    for name in FILES:
        shutil.copy(COURSE / name, folder)
    return folder


def started(homework, output, *arguments):
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "backproof", "check", str(homework)),
            *("--no-cache", "--format", "json", "--output-file", str(output), *arguments),
        ],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(output.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def without_times(text):
    report = json.loads(text)
    for file in report["files"]:
        del file["seconds"]
    return report


@pytest.fixture(scope="module")
def undisturbed(homework, tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed") / "out.json"
    start = time.monotonic()
    started(homework, output).communicate()
    return without_times(output.read_text()), time.monotonic() - start


def below(pid, depth):
    """Return the processes so many generations below one."""
    level = [pid]
    for _ in range(depth):
        level = [child for parent in level for child in children(parent)]
    return level


def children(pid):
    deeper = descendants(pid)
    return [child for child in deeper if not any(child in descendants(other) for other in deeper)]


KILLS = [
    pytest.param(seed, marks=pytest.mark.slow if seed < 10 else pytest.mark.long)
    for seed in range(50)
]


@pytest.mark.parametrize("seed", KILLS)
def test_a_process_killed_at_a_random_moment_loses_no_verdict(
    homework, undisturbed, tmp_path, seed
):
    expected, duration = undisturbed
    rng = random.Random(seed)
    target = rng.choice(list(DEPTHS))
    output, journal = tmp_path / "out.json", tmp_path / "out.json.journal"
    command = started(homework, output)
    time.sleep(rng.uniform(0, duration))
    kept = []
    for pid in below(command.pid, DEPTHS[target])[:1]:
        with contextlib.suppress(ProcessLookupError):  # it may have ended meanwhile
            os.kill(pid, signal.SIGKILL)
        if target == "command":
            command.wait()
            kept = journal.read_bytes().splitlines()[1:] if journal.exists() else []
    command.communicate(timeout=120)
    if not output.exists():
        assert target == "command"
        started(homework, output, "--resume").communicate(timeout=120)
    assert without_times(output.read_text()) == expected
    seconds = [file["seconds"] for file in json.loads(output.read_text())["files"]]
    for line in kept:
        assert round(json.loads(line)["report"]["seconds"], 3) in seconds
    assert not journal.exists()
