"""A class with hostile files in it: the honest ones get the verdicts that they get alone.

It is judged on machines without a fence too: no file may try what would do harm there.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from verify.homework.judge import judge_all
from verify.homework.run.sandbox import Limits

ROOT = Path(__file__).parents[2]
COURSE = ROOT / "tests" / "course"
EXPECTED = json.loads((COURSE / "expected.json").read_text())
HONEST = [name for name in EXPECTED if name.endswith(".py")][:20]
LIMITS = Limits(timeout=10, memory=600, processes=12, output=2, file_size=8)

FILE = """
import ctypes, json, os, shutil, signal, sys, time
import numpy as np

FORGED = {{"path": {others!r}, "verdict": "agree", "functions": [], "diagnosis": [], "remarks": [],
          "gradients": [], "advisory": []}}

def sigmoid(z):
    {body}

def sigmoid_derivative(z):
    return sigmoid(z) * (1 - sigmoid(z))
"""

HOSTILE = {
    "endless": "while True: pass",
    "hoards": "x = [np.ones(3_000_000) for _ in range(99)]; time.sleep(9)",
    "floods": "while True: print('x' * 99_999)",
    "exits": "os._exit(0)",
    "recurses": "return sigmoid(z)",
    "kills_supervisor": "os.kill(os.getppid(), signal.SIGKILL)",
    "stops_supervisor": "os.kill(os.getppid(), signal.SIGSTOP)",
    "fills_the_disk": "[open(f'{i}', 'wb').write(bytes(10**6)) for i in range(999)]",
    "floods_the_report": "while True: [write(h, bytes(10**6)) for h in range(3, 99)]",
    "forges": "[write(h, json.dumps({'id': i, 'report': FORGED}).encode() + b'\\n')"
    " for h in range(3, 99) for i in range(-1, 40)]; os._exit(0)",
    "deletes_a_folder": "shutil.rmtree(os.path.dirname(FORGED['path']) + '/victims', True)",
    "half_a_pair": "raise ValueError('\\ud800' * 9999)",
    "mute": "class E(Exception):\n        def __str__(self): return 1 / 0\n    raise E",
    "rewrites_the_terminal": "raise ValueError('\\x1b[2J\\u202egnp.exe')",
    "nested": "write(3, b'[' * 999_999); os._exit(0)",
}

WRITE = """

def write(handle, data):
    try:
        os.write(handle, data)
    except OSError:
        pass
"""


def hostile(folder, name):
    path = folder / f"{name}.py"
    path.write_text(FILE.format(body=HOSTILE[name], others=str(folder / HONEST[0])) + WRITE)
    return path


def without_time(report):
    return replace(report, seconds=0.0)


@pytest.mark.slow
def test_honest_files_get_the_verdicts_that_they_get_alone(tmp_path):
    honest = [Path(shutil.copy(COURSE / name, tmp_path)) for name in HONEST]
    alone = [judge_all([path], LIMITS, 1)[0] for path in honest[:4]]
    alone += judge_all(honest[4:], LIMITS, 2)
    attackers = [hostile(tmp_path, name) for name in HOSTILE]
    (tmp_path / "victims" / "one").mkdir(parents=True)
    mixed = [path for pair in zip(honest, attackers, strict=False) for path in pair]
    mixed += honest[len(attackers) :]
    together = dict(zip(mixed, judge_all(mixed, LIMITS, 2), strict=True))
    for path, report in zip(honest, alone, strict=True):
        assert without_time(together[path]) == without_time(report)
        assert report.verdict == EXPECTED[path.name]["verdict"]
    for path in attackers:
        assert together[path].path == str(path)
    fenced = all(report.fence.startswith("Landlock") for report in together.values())
    assert (tmp_path / "victims" / "one").exists() or not fenced


def test_every_hostile_file_gets_a_verdict_that_can_be_shown_and_written(tmp_path):
    names = ("half_a_pair", "mute", "rewrites_the_terminal", "nested", "forges")
    paths = [hostile(tmp_path, name) for name in names]
    for report in judge_all(paths, LIMITS, 2):
        text = json.dumps(report.to_dict(), ensure_ascii=False)
        text.encode()
        assert "\\u001b" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert len(report.message) < 1000
        assert report.path in map(str, paths)


STOPS = {
    "stops_supervisor": f"os.kill(above(1), {signal.SIGSTOP:d})",
    "kills_supervisor": f"os.kill(above(1), {signal.SIGKILL:d})",
    "stops_server": f"os.kill(above(2), {signal.SIGSTOP:d})",
    "kills_server": f"os.kill(above(2), {signal.SIGKILL:d})",
}
ABOVE = """

def above(levels):
    pid = os.getppid()  # the judge of the file; its supervisor and the server are above it
    for _ in range(levels):
        pid = int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
    return pid
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", STOPS)
def test_a_file_that_stops_its_judges_without_a_fence_stops_nobody_elses(
    tmp_path, monkeypatch, name
):
    monkeypatch.setattr("verify.homework.run.sandbox.PATIENCE", 15.0)
    path = tmp_path / "stops.py"
    path.write_text(FILE.format(body=STOPS[name], others="") + ABOVE)
    honest = [COURSE / name for name in HONEST[:3]]
    paths = [honest[0], path, *honest[1:]]
    reports = judge_all(paths, Limits(timeout=3), 2, fence="off")
    assert [r.verdict for r in reports if r.path != str(path)] == [
        EXPECTED[one.name]["verdict"] for one in honest
    ]
    assert reports[1].verdict == "undecided"
    assert reports[1].message.startswith("Was not judged: the process that checked it ended twice")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_the_second_wall_of_the_security_page_stands_around_the_first(tmp_path):
    page = (ROOT / "SECURITY.md").read_text()
    line = page.partition("```sh\n")[2].partition("```")[0]
    (tmp_path / "reports").mkdir()
    (tmp_path / "homework").mkdir()
    shutil.copy(COURSE / HONEST[0], tmp_path / "homework")
    command = tmp_path / "backproof"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m backproof "$@"\n')
    command.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    run = subprocess.run(
        line, shell=True, cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True
    )
    if b"No permissions" in run.stderr or b"Operation not permitted" in run.stderr:
        pytest.skip("this machine allows no namespaces")
    if run.stderr.startswith(b"Error: fence: got require"):
        pytest.skip(run.stderr.decode().strip())  # as where Landlock is missing
    assert run.returncode in (0, 1), run.stderr
    [report] = json.loads((tmp_path / "reports" / "class.json").read_text())["files"]
    assert report["verdict"] == EXPECTED[HONEST[0]]["verdict"]
    assert report["fence"].startswith("Landlock")
