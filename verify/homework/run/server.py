"""The server that judges files, each in a fork of itself; `verify.homework.run.sandbox` starts it.

Three kinds of process. The server has everything imported and nothing started; it reads jobs
and hands on answers. A supervisor, one a file, watches. A worker, one a file, judges.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from verify import findings
from verify.findings import Finding
from verify.homework.report import (
    CRASHED,
    TIMEOUT,
    UNREADABLE,
    FileReport,
    FunctionVerdict,
    from_data,
)
from verify.homework.run import processes
from verify.homework.run.sandbox import MEGABYTE, Limits, NamedFunctions

TICK = 0.02
"""Seconds between two looks at what a worker uses: at some hundred forks a second, a few
processes; at two gigabytes a second, 40 MB."""

FOLDER_TICKS = 10
"""Looks at the processes for every look at the folder."""

SLACK = 512 * MEGABYTE
"""Memory that XLA's threads ask for and hardly use, on top of what a file may hold."""


Progress = Callable[[str, Sequence[FunctionVerdict], Sequence[Finding]], None]
"""Takes the name of a function before it is judged, and the verdicts and findings so far."""

Judge = Callable[[Path, str, NamedFunctions | None, Progress, float], FileReport]
"""From a file, the path to show for it, what to judge in it, and its seconds, to its report."""


def serve(judge: Judge, channel: str, scratch: str, jobs: str) -> None:
    """Serve jobs from a socket until all are answered, or whoever asked is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    processes.adopt_orphans()
    connection = socket.socket(fileno=int(channel))
    _import_everything()
    try:
        _serve(judge, connection, scratch, int(jobs))
    finally:
        processes.end_all_below(os.getpid())


def _import_everything() -> None:
    """Import what workers need, so that they inherit it. Nothing of JAX is started by that."""
    for name in ("jax.numpy", "scipy.special"):
        importlib.import_module(name)


def _serve(judge: Judge, connection: socket.socket, scratch: str, jobs: int) -> None:
    selector = selectors.DefaultSelector()
    selector.register(connection, selectors.EVENT_READ, None)
    waiting: list[dict[str, Any]] = []
    running: dict[int, bytes] = {}
    unread, all_are_here = b"", False
    while not (all_are_here and not waiting and not running):
        while waiting and len(running) < jobs:
            reader = _supervised(judge, waiting.pop(0), scratch, connection)
            running[reader] = b""
            selector.register(reader, selectors.EVENT_READ, None)
        for key, _ in selector.select():
            if key.fileobj is connection:
                data = connection.recv(1 << 16)
                if not data:
                    return  # whoever asked is gone
                *lines, unread = (unread + data).split(b"\n")
                messages = [json.loads(line) for line in lines]
                waiting += [message for message in messages if "end" not in message]
                all_are_here = all_are_here or any("end" in message for message in messages)
                continue
            data = os.read(key.fd, 1 << 16)
            running[key.fd] += data
            if not data:
                selector.unregister(key.fd)
                os.close(key.fd)
                answer = running.pop(key.fd)
                processes.reap()
                try:
                    connection.sendall(answer)
                except OSError:
                    return  # whoever asked is gone


def _supervised(judge: Judge, job: dict[str, Any], scratch: str, connection: socket.socket) -> int:
    """Fork a supervisor for a job, and return where its answer can be read."""
    reader, writer = os.pipe()
    server = os.getpid()
    if os.fork() != 0:
        os.close(writer)
        return reader
    try:
        os.close(reader)
        connection.close()
        processes.end_with_parent(signal.SIGTERM)
        if os.getppid() != server:
            os._exit(1)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        report = _supervise(judge, job, scratch)
        answer = json.dumps({"id": job["id"], "report": asdict(report)}).encode() + b"\n"
        with os.fdopen(writer, "wb") as stream:
            stream.write(answer)
    except BaseException:
        os._exit(1)
    os._exit(0)


# The supervisor.


def _supervise(judge: Judge, job: dict[str, Any], scratch: str) -> FileReport:
    """Run the worker of one job and say what became of it."""
    processes.adopt_orphans()
    limits = Limits(**job["limits"])
    folder = tempfile.mkdtemp(dir=scratch)
    start = time.monotonic()
    worker = 0
    try:
        report_reader, report_writer = os.pipe()
        output_reader, output_writer = os.pipe()
        supervisor = os.getpid()
        worker = os.fork()
        if worker == 0:
            processes.end_with_parent(signal.SIGKILL)
            if os.getppid() != supervisor:
                os._exit(1)
            _work(judge, job, limits, folder, report_writer, output_writer)
        os.close(report_writer)
        os.close(output_writer)
        watch = _Watch(worker, limits, folder, report_reader, output_reader)
        excess = watch.until_the_end()
        return _report(job, watch, excess, time.monotonic() - start)
    finally:
        processes.end_all_below(os.getpid(), *([worker] if worker else []))
        shutil.rmtree(folder, ignore_errors=True)


class _Watch:
    """What a supervisor knows of its worker."""

    def __init__(self, worker: int, limits: Limits, folder: str, report: int, output: int):
        self.worker = worker
        self.limits = limits
        self.folder = folder
        self.report = report
        self.output = output
        self.said = b""
        self.printed = 0
        self.last_words = b""
        self.status: int | None = None
        for reader in (report, output):
            os.set_blocking(reader, False)

    def until_the_end(self) -> tuple[str, str] | None:
        """Watch until the worker ends or exceeds a limit; return the verdict and why, if so."""
        selector = selectors.DefaultSelector()
        for reader in (self.report, self.output):
            selector.register(reader, selectors.EVENT_READ)
        deadline = time.monotonic() + self.limits.timeout
        ticks = 0
        next_look = 0.0
        while True:
            for key, _ in selector.select(TICK):
                if not self._read(key.fd):
                    selector.unregister(key.fd)
            now = time.monotonic()
            if self._has_ended():
                self._read(self.report)
                self._read(self.output)
                return self._too_much_printed()
            if now < next_look:
                continue
            next_look = now + TICK
            ticks += 1
            if now > deadline:
                return TIMEOUT, f"Timed out after {self.limits.timeout:g} s"
            excess = self._too_much_printed() or self._too_much_used(ticks)
            if excess:
                return excess

    def _read(self, reader: int) -> bool:
        """Take in what there is to read, and return whether there may be more."""
        try:
            data = os.read(reader, 1 << 20)
        except BlockingIOError:
            return True
        if reader == self.report:
            self.said += data
            if data:
                self._read(reader)
        else:
            self.printed += len(data)
            self.last_words = (self.last_words + data)[-2000:]
        return bool(data)

    def _has_ended(self) -> bool:
        if self.status is None:
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(self.worker, os.WNOHANG)
                if pid:
                    self.status = status
        return self.status is not None

    def _too_much_printed(self) -> tuple[str, str] | None:
        if self.printed > self.limits.output * MEGABYTE:
            return CRASHED, f"Printed more than {self.limits.output:g} MB"
        return None

    def _too_much_used(self, ticks: int) -> tuple[str, str] | None:
        below = processes.descendants(os.getpid())
        if len(below) > self.limits.processes:
            return CRASHED, f"Started more than {self.limits.processes} processes"
        memory = self.limits.memory * MEGABYTE
        if processes.resident(below, int(memory)) > memory:
            return CRASHED, f"Took more than {self.limits.memory:g} MB of memory"
        if ticks % FOLDER_TICKS == 0 and _size(self.folder) > self.limits.file_size * MEGABYTE:
            return CRASHED, f"Wrote more than {self.limits.file_size:g} MB of files"
        return None


def _size(folder: str) -> int:
    """Return the bytes of the files in a folder, as far as a few thousand of them tell."""
    total, folders, seen = 0, [folder], 0
    while folders and seen < 5000:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    seen += 1
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return total


def _report(
    job: dict[str, Any], watch: _Watch, excess: tuple[str, str] | None, seconds: float
) -> FileReport:
    """Return what the worker said, or what happened to it and during what."""
    said = []
    for line in watch.said.split(b"\n"):
        with contextlib.suppress(ValueError):
            said.append(json.loads(line))
    final = next((s["report"] for s in said if isinstance(s, dict) and "report" in s), None)
    if final is not None and excess is None:
        with contextlib.suppress(KeyError, TypeError):
            return from_data(final)
    now = next((s for s in reversed(said) if isinstance(s, dict) and "now" in s), None)
    verdict, what = excess or (CRASHED, _end(watch.status))
    functions: list[FunctionVerdict] = []
    diagnosis: list[Finding] = []
    if now is not None:
        what += f" in {now['now']}" if verdict == TIMEOUT else f" while {now['now']} was judged"
        functions = [FunctionVerdict(**item) for item in now["functions"]]
        functions = [f for f in functions if f.name != now["now"]]
        functions.append(FunctionVerdict(now["now"], verdict, f"{what}."))
        diagnosis = [findings.from_data(item) for item in now["diagnosis"]]
    return FileReport(
        job["path"], verdict, f"{what}.", tuple(functions), tuple(diagnosis), seconds=seconds
    )


def _end(status: int | None) -> str:
    if status is None:
        return "Was lost"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        known = {member.value: member.name for member in signal.Signals}
        name = known.get(number, f"signal {number}")
        return {
            "SIGSEGV": "Crashed with a segmentation fault (SIGSEGV)",
            "SIGABRT": "Aborted (SIGABRT)",
            "SIGFPE": "Crashed on an arithmetic fault (SIGFPE)",
        }.get(name, f"Was ended by {name}")
    return f"Ended its own process (os._exit, status {os.WEXITSTATUS(status)})"


# The worker.


def _work(
    judge: Judge, job: dict[str, Any], limits: Limits, folder: str, report: int, output: int
) -> None:
    """Judge one file; never returns."""
    me = os.getpid()
    try:
        _confine(limits, folder, report, output)

        def say(message: dict[str, Any]) -> None:
            if os.getpid() != me:
                os._exit(0)  # the file forked, and this is the copy
            data = json.dumps(message).encode() + b"\n"
            while data:
                data = data[os.write(report, data) :]

        say({"report": asdict(_judged(judge, job, say))})
    except BaseException:
        traceback.print_exc()
        os._exit(70)
    os._exit(0)


def _confine(limits: Limits, folder: str, report: int, output: int) -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    low = max(3, report)
    os.closerange(3, low)
    os.closerange(low + 1, 1024)
    os.chdir(folder)
    kept = ("PATH", "LANG", "LC_ALL", "JAX_PLATFORMS", "XLA_FLAGS", "OMP_NUM_THREADS")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    os.environ.clear()
    os.environ.update(environment, HOME=folder, TMPDIR=folder)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    data = processes.data_size(os.getpid())
    _limit(resource.RLIMIT_FSIZE, int(limits.file_size * MEGABYTE))
    _limit(resource.RLIMIT_CORE, 0)
    if data:
        _limit(resource.RLIMIT_DATA, data + int(limits.memory * MEGABYTE) + SLACK)


def _limit(what: int, value: int) -> None:
    """Set a limit of the process, no higher than it has been set already."""
    _, hard = resource.getrlimit(what)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (value, value))


def _judged(judge: Judge, job: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> FileReport:
    def progress(name: str, functions: Any, diagnosis: Any) -> None:
        so_far = {"functions": functions, "diagnosis": diagnosis}
        say({"now": name, **{key: [asdict(item) for item in so_far[key]] for key in so_far}})

    path, shown, named = Path(job["absolute"]), job["path"], job["named"]
    try:
        seconds = float(job["limits"]["timeout"])
        return judge(path, shown, NamedFunctions(**named) if named else None, progress, seconds)
    except OSError as fault:
        return FileReport(shown, UNREADABLE, f"Cannot be read: {fault.strerror or fault}.")
    except MemoryError:
        return FileReport(shown, CRASHED, f"Needs more than {job['limits']['memory']:g} MB.")
    except Exception as fault:
        return FileReport(
            shown,
            CRASHED,
            f"Could not be judged: {type(fault).__name__} in backproof itself: {fault}",
        )
