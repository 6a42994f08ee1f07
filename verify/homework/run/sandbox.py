"""Judges each file in its own process, with limits, so that no file can affect another.

A server (`verify.homework.run.server`) is started once. It imports JAX and everything else, and
starts none of it: no device, no thread. For every file it forks a supervisor, which forks the
worker that judges the file; so two hundred files do not pay for two hundred imports. The worker

- leads its own session and process group, which is killed as a whole;
- reads nothing from standard input, has its own environment, and works in a temporary folder on
  a private copy of the file;
- may write files of `file_size` at most, and ask for `memory` at most (RLIMIT_FSIZE and
  RLIMIT_DATA; RLIMIT_AS would count address space that XLA reserves and never uses).

Its supervisor adopts every process that the worker leaves behind (PR_SET_CHILD_SUBREAPER), even
a daemon. Every few milliseconds it looks at the time, the bytes printed, the
number of processes, their memory, what they write and the size of the folder, and kills everything
at the first excess. Limits that the kernel keeps by user do not bind root; those kept by looking
do.

That contains accidents: an endless loop, a fork in a loop, a gigabyte of prints. What keeps malice
in is the fence (`verify.homework.run.fence`), where there is one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verify.homework.report import FileReport, from_data
from verify.homework.run import processes
from verify.homework.run.faults import not_judged
from verify.homework.run.fence import AUTO
from verify.homework.run.private_copy import Parcel, unpacked
from verify.printable import printable

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What one file may use: seconds, and megabytes but for the number of processes."""

    timeout: float = 30.0
    memory: float = 2048.0
    processes: int = 32
    output: float = 16.0
    file_size: float = 64.0
    written: float = 512.0

    def __post_init__(self) -> None:
        for name, least in (
            ("timeout", 1),
            ("memory", 256),
            ("processes", 1),
            ("output", 0.001),
            ("file_size", 0.001),
            ("written", 0.001),
        ):
            value = getattr(self, name)
            if not least <= value < float("inf"):
                shown = name.replace("_", "-")
                raise ValueError(f"{shown}: got {value:g}, expected a number of at least {least:g}")


@dataclass(frozen=True)
class NamedFunctions:
    """The three functions of a file that its user names, for any architecture."""

    loss: str
    grads: str
    params: str


Job = dict[str, Any]
"""What the server is told of one file, as JSON.

Its `folder` holds the file and all that it may import, where that was sent; else it is None.
"""


def run_all(
    program: str,
    paths: Sequence[Path],
    limits: Limits,
    jobs: int,
    named: NamedFunctions | None = None,
    done: Callable[[int, FileReport], None] = lambda number, report: None,
    fence: str = AUTO,
    seed: int = 0,
) -> list[FileReport]:
    """Judge files, `jobs` at a time, and return their reports in the order of the paths.

    `program` is the module whose `main` serves: it judges files by `server.serve`. `done` is
    told the number of each file, from 0, and its report as it comes in.

    A server that ends or is silent is replaced. What it was judging is judged again at the end,
    each file alone, so that one that ends its server costs no other file its verdict. Raises
    OSError if no server can be started, or if the `fence` is required and cannot be had.
    """
    reports: dict[int, FileReport] = {}

    def take(number: int, report: FileReport) -> None:
        reports[number] = report
        done(number, report)

    todo = deque(job_of(number, path, limits, named, seed) for number, path in enumerate(paths))
    lost = []
    while todo:
        lost += _judge((program, fence), todo, jobs, take)
    for job in lost:
        again = deque([{**job, "last": True}])
        if _judge((program, fence), again, 1, take):
            take(job["id"], _lost_twice(job))
    return [reports[number] for number in range(len(paths))]


class WarmServers:
    """Servers that stay, for files that come one at a time, also from several threads."""

    def __init__(self, program: str, fence: str):
        self._arguments = program, fence
        self._idle: list[_WarmServer] = []

    def judge(self, job: Job, sent: Parcel) -> FileReport:
        """Judge a file by a server that is idle, or by a new one; by another if that ends.

        The file and all that it may import are those that were sent. Raises OSError as `run_all`.
        """
        for last in (False, True):
            server = self._idle.pop() if self._idle else _WarmServer(*self._arguments)
            answer = server.answer({**job, "last": last}, sent)
            if answer is None:
                server.end()
                continue
            self._idle.append(server)
            if "report" in answer:
                return from_data(answer["report"])
        return _lost_twice(job)


class _WarmServer:
    """A server that has started; it judges one file at a time."""

    def __init__(self, program: str, fence: str):
        self._stack = contextlib.ExitStack()
        self._channel, self._scratch = self._stack.enter_context(_server(program, fence))
        self._answers = _answers(self._channel, PATIENCE)
        if refused := next(self._answers, {"refused": _NO_SERVER}).get("refused"):
            self.end()
            raise OSError(refused)

    def answer(self, job: Job, sent: Parcel) -> dict[str, Any] | None:
        """Return what it says of a file; None if it ends, or says nothing for too long."""
        self._channel.settimeout(job["limits"]["timeout"] + PATIENCE)
        try:
            folder = tempfile.mkdtemp(dir=self._scratch)
        except OSError:
            return None
        try:
            own = unpacked(sent, Path(folder))
            _send(self._channel, {**job, "absolute": str(own), "folder": folder})
            return next(self._answers, None)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def end(self) -> None:
        self._stack.close()


def _lost_twice(job: Job) -> FileReport:
    why = "the process that checked it ended twice"
    return not_judged(job["path"], why, why)


def job_of(number: int, path: Path, limits: Limits, named: NamedFunctions | None, seed: int) -> Job:
    """Return what the server is told of a file, which lies where it is with what it imports."""
    return {
        "id": number,
        "path": printable(str(path)),
        "absolute": os.path.realpath(path),
        "folder": None,
        "limits": asdict(limits),
        "named": named and asdict(named),
        "seed": seed,
        "last": False,
    }


def _judge(
    server: tuple[str, str], todo: deque[Job], jobs: int, take: Callable[[int, FileReport], None]
) -> list[Job]:
    """Judge files by one server, as long as it answers; return those that it lost."""
    running: dict[int, Job] = {}
    lost: list[Job] = []
    silence = todo[0]["limits"]["timeout"] + PATIENCE
    for _ in range(ATTEMPTS):
        with _server(*server) as (channel, _):
            for answer in _answers(channel, silence):
                if "refused" in answer:
                    raise OSError(answer["refused"])
                if answer.get("lost"):
                    lost.append(running.pop(answer["id"]))
                elif "report" in answer:
                    del running[answer["id"]]
                while todo and len(running) < jobs:
                    job = todo.popleft()
                    running[job["id"]] = job
                    _send(channel, job)
                if "report" in answer:  # while the next is judged
                    take(answer["id"], from_data(answer["report"]))
                if not running:
                    return lost
        if running:
            return [*lost, *running.values()]
    raise OSError(_NO_SERVER)


_NO_SERVER = "the process that checks the files cannot be started"


def _send(channel: socket.socket, message: Job) -> None:
    with contextlib.suppress(OSError):  # then no answer comes either
        channel.sendall(json.dumps(message).encode() + b"\n")


def _answers(channel: socket.socket, silence: float) -> Iterator[dict[str, Any]]:
    """Yield what a server says until it ends, or has said nothing for so many seconds."""
    channel.settimeout(silence)
    unread = b""
    with contextlib.suppress(OSError):
        while data := channel.recv(1 << 20):
            *lines, unread = (unread + data).split(b"\n")
            yield from map(json.loads, lines)


_START = Path(__file__).with_name("start.py")


@contextlib.contextmanager
def _server(program: str, fence: str) -> Iterator[tuple[socket.socket, str]]:
    """Start a server, and end it with all that is below it; yield its channel and its folder."""
    ours, theirs = socket.socketpair()
    home = str(Path(__file__).resolve().parents[3])
    scratch = tempfile.mkdtemp(prefix="backproof-")
    with ours, theirs:
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", str(_START), home, program),
                *(str(theirs.fileno()), scratch, fence),
            ],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=scratch,
            start_new_session=True,
            env=environment(),
        )
        theirs.close()
        try:
            yield ours, scratch
        finally:
            # The server ends everything below it when its channel closes.
            ours.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            processes.kill_tree(process.pid)
            process.wait()
            shutil.rmtree(scratch, ignore_errors=True)


PATIENCE = 60.0
"""Seconds on top of a file's time after which a server that says nothing is replaced."""

ATTEMPTS = 3
"""Times that a server is started before its first answer."""


def environment() -> dict[str, str]:
    """Return the environment of a server: what Python and its libraries need, and no secrets."""
    passed = {name: value for name, value in os.environ.items() if name in PASSED}
    return passed | ENVIRONMENT


PASSED = frozenset(
    tuple(
        """PATH HOME LANG LC_ALL LC_CTYPE TZ TMPDIR LD_LIBRARY_PATH PYTHONPATH PYTHONHOME
    VIRTUAL_ENV SYSTEMROOT OPENBLAS_CORETYPE OPENBLAS_L2_SIZE""".split()
    )
)

ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
}
"""One thread a file: there are as many files at a time as cores, and the problems are small.

Sets of strings have one order, so that every run says the same.
"""
