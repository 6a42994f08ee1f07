"""Hostile submissions: behind the fence none reaches anything; each keeps its honest verdict."""

from __future__ import annotations

import platform
import socket
import subprocess
import sys
import threading

import pytest

from verify.homework.judge import judge_all
from verify.homework.run.fence import build_fence
from verify.homework.run.sandbox import Limits

from .attacks import ATTACKS, KERNEL, NETWORK, PROCESSES, READS, SUBMISSION, WRITES

LIMITS = Limits(timeout=20)
SUCCEEDS = [*READS, *WRITES, *NETWORK, *PROCESSES, *KERNEL]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="numbers of Linux on x86-64"
)


def is_fenced():
    """Say whether this machine has both walls, or why not."""
    try:
        build_fence("require")
    except OSError as fault:
        return str(fault)
    return ""


class Outside:
    """What the submissions try to reach: folders, a listener, another process, the environment."""

    def __init__(self, folder):
        self.folder = folder
        self.heard = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.path = str(folder / "socket")
        self.local = socket.socket(socket.AF_UNIX)
        self.local.bind(self.path)
        self.local.listen()
        self.victim = subprocess.Popen(["sleep", "600"], env={"BACKPROOF_SECRET": "s3cret"})
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.heard.append(connection)
            connection.close()

    def submission(self, homework, name):
        """Write a submission and what it is to attack; return its path."""
        out = self.folder / name
        (out / "empty").mkdir(parents=True)
        (out / "secret").write_text("s3cret")
        (out / "victim").write_text("whole")
        classmate = homework / f"classmate_of_{name}.py"
        classmate.write_text("answer = 42\n")
        port = self.listener.getsockname()[1]
        settings = (name, str(out), self.path, str(classmate), port, self.victim.pid)
        path = homework / f"try_{name}.py"  # `import glob` would find a glob.py beside it
        path.write_text(SUBMISSION.format(settings=settings, body=ATTACKS[name]))
        return path

    def state(self, homework, name):
        """Return everything of a submission's surroundings that it could have changed."""
        out = self.folder / name
        entries = [out, *sorted(out.rglob("*")), homework / f"classmate_of_{name}.py"]
        return [
            (path.name, (found := path.stat()).st_mode, found.st_mtime_ns, found.st_size)
            for path in entries
            if path.exists()
        ]

    def close(self):
        self.listener.close()
        self.local.close()
        self.victim.kill()
        self.victim.wait()


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    found = Outside(tmp_path_factory.mktemp("outside"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACKPROOF_SECRET", "s3cret")
        yield found
    found.close()


def judged(outside, homework, names, fence):
    paths = [outside.submission(homework, name) for name in names]
    before = {name: outside.state(homework, name) for name in names}
    return dict(zip(names, judge_all(paths, LIMITS, 2, fence=fence), strict=True)), before


SUICIDES = {"kill_all"}
"""Attacks that hit the process that makes them: the others of its group are out of its reach."""


@pytest.fixture(scope="module")
def fenced(outside, tmp_path_factory):
    if lacks := is_fenced():
        pytest.skip(lacks)
    homework = tmp_path_factory.mktemp("homework")
    reports, before = judged(outside, homework, list(ATTACKS), "require")
    return reports, before, homework


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_behind_the_fence_an_attack_reaches_nothing_and_keeps_its_verdict(outside, fenced, name):
    reports, before, homework = fenced
    report = reports[name]
    assert "CANARY" not in report.message
    assert outside.state(homework, name) == before[name]
    assert report.verdict == ("crashed" if name in SUICIDES else "agree"), report.message
    assert report.fence.startswith("Landlock")


@pytest.mark.slow
def test_nobody_was_called_or_killed(outside, fenced):
    assert outside.heard == []
    assert outside.victim.poll() is None


@pytest.fixture(scope="module")
def open_to_all(fenced, tmp_path_factory):
    """The same without a fence, in surroundings of their own."""
    found = Outside(tmp_path_factory.mktemp("outside_again"))
    homework = tmp_path_factory.mktemp("homework_again")
    reports, before = judged(found, homework, SUCCEEDS, "off")
    changed = {name for name in SUCCEEDS if found.state(homework, name) != before[name]}
    found.close()
    return reports, changed


@pytest.mark.slow
@pytest.mark.parametrize("name", SUCCEEDS)
def test_without_a_fence_the_same_attack_succeeds(open_to_all, name):
    """It says so, or what it attacked has changed: a second attempt may find nothing to attack."""
    reports, changed = open_to_all
    report = reports[name]
    assert report.fence == "none"
    said = "CANARY" in report.message or "Started more than" in report.message
    if not said and name in MAY_FAIL:
        pytest.skip("this machine refuses it anyway")
    assert said or name in changed


MAY_FAIL = ("connect_by_six", "key", "trace", "memory_of_supervisor", "memory_of_another", "kernel")
"""What a machine or its containers may refuse by themselves."""
