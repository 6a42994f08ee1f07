"""Judges each file in its own process, with limits, so that no file can affect another.

A server (`verify.homework.run.server`) is started once. It imports JAX and everything else, and
starts none of it: no device, no thread. For every file it forks a supervisor, which forks the
worker that judges the file; so two hundred files do not pay for two hundred imports. The worker

- leads its own session and process group, which is killed as a whole;
- reads nothing from standard input, has its own environment, and works in a temporary folder;
- may write files of `file_size` at most, and ask for `memory` at most (RLIMIT_FSIZE and
  RLIMIT_DATA; RLIMIT_AS would count address space that XLA reserves and never uses).

Its supervisor adopts every process that the worker leaves behind (PR_SET_CHILD_SUBREAPER), even
a daemon. Every few milliseconds it looks at the time, the bytes printed, the
number of processes, their memory and the size of the folder, and kills everything at the first
excess. Limits that the kernel keeps by user do not bind root; those kept by looking do.

This contains accidents: an endless loop, a fork in a loop, a gigabyte of prints. It is no
security boundary against malice: the code runs with the user's own rights.
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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verify.homework.report import CRASHED, FileReport, from_data

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What one file may use: seconds, and megabytes but for the number of processes."""

    timeout: float = 30.0
    memory: float = 2048.0
    processes: int = 32
    output: float = 16.0
    file_size: float = 64.0

    def __post_init__(self) -> None:
        for name, least in (
            ("timeout", 1),
            ("memory", 256),
            ("processes", 1),
            ("output", 0.001),
            ("file_size", 0.001),
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


def run_all(
    program: str,
    paths: Sequence[Path],
    limits: Limits,
    jobs: int,
    named: NamedFunctions | None = None,
    done: Callable[[FileReport], None] = lambda report: None,
) -> list[FileReport]:
    """Judge files, `jobs` at a time, and return their reports in the order of the paths.

    `program` is the module whose `main` serves: it judges files by `server.serve`. `done` is
    told of each as it comes in.
    """
    reports: dict[int, FileReport] = {}
    with (
        tempfile.TemporaryDirectory(prefix="backproof-", ignore_cleanup_errors=True) as scratch,
        _server(program, scratch, jobs) as channel,
        channel.makefile("r", encoding="utf-8") as answers,
    ):
        for number, path in enumerate(paths):
            _send(channel, _job(number, path, limits, named))
        _send(channel, {"end": len(paths)})
        for line in answers:
            answer = json.loads(line)
            report = from_data(answer["report"])
            reports[answer["id"]] = report
            done(report)
    for number, path in enumerate(paths):
        if number not in reports:
            reports[number] = FileReport(
                str(path), CRASHED, "The checking process stopped without a result."
            )
    return [reports[number] for number in range(len(paths))]


def _job(number: int, path: Path, limits: Limits, named: NamedFunctions | None) -> dict[str, Any]:
    return {
        "id": number,
        "path": str(path),
        "absolute": str(path.resolve()),
        "limits": asdict(limits),
        "named": named and asdict(named),
    }


def _send(channel: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        channel.sendall(json.dumps(message).encode() + b"\n")


_START = (
    "import importlib, sys; sys.path.append(sys.argv[1]); "
    "importlib.import_module(sys.argv[2]).main(*sys.argv[3:])"
)
"""The server as a program. The folder of the package comes last on the path, and the current
folder, in which somebody's numpy.py may lie, is not on it at all (-P)."""


@contextlib.contextmanager
def _server(program: str, scratch: str, jobs: int) -> Iterator[socket.socket]:
    """Start the server, and end it with all that is below it."""
    ours, theirs = socket.socketpair()
    home = str(Path(__file__).resolve().parents[3])
    with ours, theirs:
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-c", _START, home, program),
                *(str(theirs.fileno()), scratch, str(jobs)),
            ],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=scratch,
            start_new_session=True,
            env=os.environ | ENVIRONMENT,
        )
        theirs.close()
        try:
            yield ours
        finally:
            # The server ends everything below it when its channel closes.
            ours.close()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            shutil.rmtree(scratch, ignore_errors=True)


ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""One thread a file: there are as many files at a time as cores, and the problems are small."""
