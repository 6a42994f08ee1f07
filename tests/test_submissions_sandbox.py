"""Files that do harm by accident: each costs its own verdict, and the run goes on.

All are judged without a fence, which would stop some of them earlier: what is tested here are the
limits. Every one is bounded: a few seconds, a few dozen processes, some hundred megabytes.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from verify.homework import judge
from verify.homework.run import processes
from verify.homework.run.sandbox import Limits

FILE = """
import numpy as np, ctypes, mmap, os, shutil, signal, sys, threading, time

def sigmoid(z):
    return 1 / (1 + np.exp(-z))

def propagate(w, b, X, Y):
    {body}
    m = X.shape[1]
    A = sigmoid(np.dot(w.T, X) + b)
    cost = -np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A)) / m
    return {{"dw": np.dot(X, (A - Y).T) / m, "db": np.sum(A - Y) / m}}, cost
"""

LIMITS = Limits(timeout=20, memory=400, processes=12, output=2, file_size=8, written=600)

HOSTILE = {
    "fine": ("pass", "agree", "2 functions agree."),
    "sys_exit": ("sys.exit(3)", "crashed", "ends the program (sys.exit)"),
    "os_exit": ("os._exit(0)", "crashed", "Ended its own process (os._exit, status 0)"),
    "segfault": ("ctypes.string_at(0)", "crashed", "segmentation fault"),
    "abort": ("os.abort()", "crashed", "Aborted (SIGABRT)"),
    "kills_itself": ("os.kill(os.getpid(), signal.SIGKILL)", "crashed", "ended by SIGKILL"),
    "forks_in_a_loop": (
        "[os.fork() or time.sleep(30) for _ in range(40)]",
        "crashed",
        "Started more than 12 processes",
    ),
    "forks_and_returns": ("os.fork()", "crashed", "Started more than 12 processes"),
    "prints_without_end": ("while True: print('x' * 100_000)", "crashed", "Printed more than 2 MB"),
    "floods_stderr": ("while True: sys.stderr.write('x' * 9999)", "crashed", "more than 2 MB"),
    "hoards": ("hoard = [np.ones(3_000_000) for _ in range(80)]", "crashed", "MB of memory"),
    "asks_for_all": ("np.ones(10**11)", "crashed", "MemoryError"),
    "big_file": (
        "os.pwrite(os.open('big', os.O_RDWR | os.O_CREAT), b'x', 9_000_000)",
        "crashed",
        "File too large",
    ),
    "many_files": (
        "[open(f'f{i}', 'wb').write(bytes(1_000_000)) and time.sleep(0.05) for i in range(200)]",
        "crashed",
        "Wrote more than 8 MB of files",
    ),
    "nameless_files": (
        "for _ in range(99): os.write(os.memfd_create('m'), bytes(10**6)) and time.sleep(0.05)",
        "crashed",
        "Wrote more than 8 MB of files",
    ),
    "shares_memory": (
        "m = mmap.mmap(-1, 700_000_000); m.write(bytes(700_000_000)); time.sleep(9)",
        "crashed",
        "MB of memory",
    ),
    "writes_again_and_again": (
        "for _ in range(999): open('f', 'wb').write(bytes(1_000_000)) and time.sleep(0.01)",
        "crashed",
        "Wrote more than 600 MB in all",
    ),
    "deletes_its_folder": ("shutil.rmtree(os.environ['HOME'], True)", "agree", ""),
    "reads_input": ("input()", "crashed", "EOFError"),
    "closes_everything": ("os.closerange(0, 200)", "crashed", ""),
    "recursion": ("return propagate(w, b, X, Y)", "crashed", "calls itself without end"),
    "keyboard_interrupt": ("raise KeyboardInterrupt", "crashed", "KeyboardInterrupt"),
    "breaks_numpy": ("np.exp = None", "crashed", "TypeError"),
}
ENDLESS = {
    "endless_loop": "while True: pass",
    "sleeps": "time.sleep(1000)",
    "ignores_signals": "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    while True: pass",
}


def judge_all(paths, limits, jobs):
    return judge.judge_all(paths, limits, jobs, fence="off")


def write(folder, name, body):
    path = folder / f"{name}.py"
    path.write_text(FILE.format(body=body))
    return path


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    paths = [write(folder, name, body) for name, (body, _, _) in HOSTILE.items()]
    return dict(zip(HOSTILE, judge_all(paths, LIMITS, 2), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_costs_itself_its_verdict_and_nothing_else(reports, name):
    _, verdict, says = HOSTILE[name]
    report = reports[name]
    assert report.verdict == verdict, report.message
    assert says in report.message
    by_name = {function.name: function.verdict for function in report.functions}
    assert by_name["sigmoid"] == "agree"
    assert by_name["propagate"] == verdict


@pytest.mark.slow
def test_an_endless_file_times_out_and_the_others_do_not(tmp_path):
    paths = [write(tmp_path, name, body) for name, body in ENDLESS.items()]
    found = judge_all(paths, Limits(timeout=2), 3)
    assert [report.verdict for report in found] == ["timeout"] * 3
    assert {report.message for report in found} == {"Timed out after 2 s in propagate."}


@pytest.mark.slow
def test_what_was_found_before_the_time_was_up_is_kept(tmp_path):
    path = tmp_path / "homework.py"
    path.write_text(
        "import numpy as np\n"
        "def sigmoid(z):\n    return 1 / (1 + np.exp(z))\n"
        "def propagate(w, b, X, Y):\n    while True: pass\n"
    )
    [report] = judge_all([path], Limits(timeout=3), 1)
    assert (report.verdict, report.message) == ("timeout", "Timed out after 3 s in propagate.")
    assert [(f.function, f.bug) for f in report.diagnosis] == [("sigmoid", "sigmoid-sign")]
    rows = {row["name"]: row["message"] for row in report.to_dict()["functions"]}
    assert rows["sigmoid"] == report.diagnosis[0].detail


def is_running(pid):
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return status != "Z"


def until(condition, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.mark.skipif(sys.platform != "linux", reason="daemons are adopted on Linux alone")
def test_a_daemon_does_not_outlive_its_file(tmp_path):
    note = tmp_path / "pid"
    body = f"""
    if not os.path.exists({str(note)!r}):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                open({str(note)!r}, "w").write(str(os.getpid()))
                os.closerange(0, 200)
                time.sleep(300)
            os._exit(0)
        while not os.path.exists({str(note)!r}) or not open({str(note)!r}).read(): pass
    """
    [report] = judge_all([write(tmp_path, "daemon", body)], LIMITS, 1)
    assert report.verdict == "agree", report.message
    assert not is_running(int(note.read_text()))


def started(tmp_path):
    """Start the command on a file that never ends, and return it with the worker's pid."""
    note = tmp_path / "pid"
    body = f'open({str(note)!r}, "w").write(str(os.getpid()))\n    while True: pass'
    command = subprocess.Popen(
        [
            *(sys.executable, "-m", "backproof", "check", "--fence", "off"),
            str(write(tmp_path, "endless", body)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd=Path(__file__).parent.parent,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert until(lambda: note.exists() and note.read_text(), 60)
    return command, int(note.read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found on Linux alone")
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_nothing_is_left_when_the_command_is_ended(tmp_path, number, status):
    command, worker = started(tmp_path)
    command.send_signal(number)
    _, errors = command.communicate(timeout=30)
    assert command.returncode == status
    assert errors.strip() == (b"" if number == signal.SIGKILL else b"Interrupted.")
    assert until(lambda: not is_running(worker))
    assert until(lambda: not list(tmp_path.glob("backproof-*")))


def test_a_file_that_cannot_be_read_is_said_to_be_so(tmp_path):
    missing = tmp_path / "gone.py"
    [report] = judge_all([missing], LIMITS, 1)
    assert report.verdict == "unreadable"
    assert report.message == "Cannot be read: No such file or directory."


def test_a_file_sees_neither_the_environment_nor_the_folder_of_who_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "1")
    body = f"assert 'SECRET' not in os.environ and os.getcwd() != {os.getcwd()!r}"
    body += " and os.listdir() == []"
    [report] = judge_all([write(tmp_path, "curious", body)], LIMITS, 1)
    assert report.verdict == "agree", report.message


@pytest.mark.parametrize(
    ("name", "value"), [("timeout", 0), ("memory", 10), ("processes", 0), ("output", 0)]
)
def test_a_limit_that_leaves_nothing_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}: got {value}, expected a number of at least"):
        Limits(**{name: value})


def test_children_and_their_memory_are_known_without_proc(monkeypatch, tmp_path):
    pytest.importorskip("psutil")
    hoard = "import time; x = bytearray(99_000_000); print(1, flush=True); time.sleep(60)"
    command = [sys.executable, "-c", hoard]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        monkeypatch.setattr(processes, "_PROC", tmp_path / "none")
        assert child.pid in processes.descendants(os.getpid())
        assert processes.resident([child.pid], 0) > 90_000_000
        child.kill()
    assert processes.descendants(child.pid) == []
    assert processes.resident([child.pid], 0) == 0


WIDE = """
import numpy as np

class Net:
    def __init__(self, n=400):
        self.W = np.ones((n, n)) / n

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dout):
        self.dW = self.x.T @ dout
        return dout @ self.W.T
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_a_file_answers_its_judge_is_not_written(tmp_path):
    """Its weights are more than a megabyte, and come back with every answer."""
    path = tmp_path / "wide.py"
    path.write_text(WIDE.replace("n=400", "n=200") + "\n", encoding="utf-8")
    [report] = judge_all([path], Limits(written=2), 1)
    assert report.verdict == "agree", report.message
