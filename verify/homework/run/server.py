"""The server that judges files, each in a fork of itself; `verify.homework.run.sandbox` starts it.

Three kinds of process. The server has everything imported and nothing started; it reads jobs
and hands on answers. A supervisor, one a file, watches. A worker, one a file, judges.
"""

from __future__ import annotations

import contextlib
import gc
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
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from verify import findings
from verify.diagnose.given_gradients import one_blas_thread
from verify.findings import Finding
from verify.homework.report import (
    CRASHED,
    ORDER,
    TIMEOUT,
    FileReport,
    FunctionVerdict,
    Progress,
    from_data,
)
from verify.homework.run import processes
from verify.homework.run.apart import saying
from verify.homework.run.faults import not_judged, short_report, unreadable, words
from verify.homework.run.fence import Fence, build_fence, put_on
from verify.homework.run.private_copy import parcel, unpacked
from verify.homework.run.sandbox import MEGABYTE, Job, Limits, NamedFunctions
from verify.printable import printable_data

PATIENCE = 15.0
"""Seconds on top of a file's time after which a supervisor that says nothing is ended."""

TICK = 0.02
"""Seconds between two looks at what a worker uses: at some hundred forks a second, a few
processes; at two gigabytes a second, 40 MB."""

ENDING = 0.001
"""Seconds between two looks at whether a worker has ended that has closed what it writes to."""

FOLDER_TICKS = 10
"""Looks at the processes for every look at the folder."""

REPORT = 64
"""Megabytes that a worker may report."""

SLACK = 512 * MEGABYTE
"""Memory that XLA's threads ask for and hardly use, on top of what a file may hold."""


Judge = Callable[[Path, str, NamedFunctions | None, Progress, float, int], FileReport]
"""From a file, the path to show for it, what to judge in it, its seconds and the seed of the run,
to its report."""


def serve(judge: Judge, channel: str, scratch: str, mode: str) -> None:
    """Serve jobs from a socket until whoever asked closes it or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    processes.adopt_orphans()
    connection = socket.socket(fileno=int(channel))
    try:
        _import_everything()
        try:
            fence = build_fence(mode)
        except OSError as fault:
            connection.sendall(json.dumps({"refused": str(fault)}).encode() + b"\n")
            return
        connection.sendall(b"{}\n")
        _serve(judge, connection, scratch, fence)
    except OSError:
        pass  # whoever asked is gone
    finally:
        processes.end_all_below(os.getpid())
        shutil.rmtree(scratch, ignore_errors=True)


def _import_everything() -> None:
    """Import what workers need, so that they inherit it. Nothing of JAX is started by that.

    Which libraries do linear algebra is read from /proc, which a worker cannot read.
    """
    for name in ("jax.numpy", "scipy.special"):
        importlib.import_module(name)
    one_blas_thread()
    gc.collect()
    gc.freeze()  # a collection in a worker would touch, and so copy, everything that is imported


@dataclass
class _Run:
    """A supervisor at work: its job and process, when it must have answered, what it said."""

    job: Job
    pid: int
    deadline: float
    said: bytes = b""


def _serve(judge: Judge, connection: socket.socket, scratch: str, fence: Fence) -> None:
    selector = selectors.DefaultSelector()
    selector.register(connection, selectors.EVENT_READ)
    running: dict[int, _Run] = {}
    unread = b""
    while True:
        deadline = min((run.deadline for run in running.values()), default=None)
        patience = None if deadline is None else max(0.0, deadline - time.monotonic())
        for key, _ in selector.select(patience):
            data = os.read(key.fd, 1 << 16)
            if key.fileobj is connection:
                if not data:
                    return
                *lines, unread = (unread + data).split(b"\n")
                for job in map(json.loads, lines):
                    reader, run = _supervised(judge, job, scratch, connection, fence)
                    running[reader] = run
                    selector.register(reader, selectors.EVENT_READ)
                continue
            run = running[key.fd]
            run.said += data
            if not data:
                run.deadline = 0.0
        for reader in [fd for fd, run in running.items() if run.deadline <= time.monotonic()]:
            run = running.pop(reader)
            selector.unregister(reader)
            os.close(reader)
            if not run.said.endswith(b"\n"):
                processes.kill_all_but([run.pid for run in running.values()])
                run.said = json.dumps({"id": run.job["id"], "lost": True}).encode() + b"\n"
            processes.reap()
            connection.sendall(run.said)


def _supervised(
    judge: Judge, job: Job, scratch: str, connection: socket.socket, fence: Fence
) -> tuple[int, _Run]:
    """Fork a supervisor for a job, and return where its answer can be read."""
    reader, writer = os.pipe()
    server = os.getpid()
    pid = os.fork()
    if pid != 0:
        os.close(writer)
        return reader, _Run(job, pid, time.monotonic() + job["limits"]["timeout"] + PATIENCE)
    try:
        os.close(reader)
        connection.close()
        processes.end_with_parent(signal.SIGTERM)
        if os.getppid() != server:
            os._exit(1)
        answer = json.dumps({"id": job["id"], **_supervise(judge, job, scratch, fence)})
        with os.fdopen(writer, "wb") as stream:
            stream.write(answer.encode() + b"\n")
    except BaseException:
        os._exit(1)
    os._exit(0)


# The supervisor.


def _supervise(judge: Judge, job: Job, scratch: str, fence: Fence) -> dict[str, Any]:
    """Run the worker of one job and say what became of it, as an answer without its number."""
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
            _work(judge, job, limits, folder, report_writer, output_writer, fence)
        os.close(report_writer)
        os.close(output_writer)
        watch = _Watch(worker, limits, f"{folder}/work", report_reader, output_reader)
        excess = watch.until_the_end()
        if excess is None and watch.was_killed() and not job["last"]:
            return {"lost": True}
        report = _report(job, watch, excess, time.monotonic() - start)
        return {"report": asdict(replace(report, fence=str(fence)))}
    except Exception as fault:
        why = f"its supervisor raised {type(fault).__name__}: {words(fault)}"
        return {"report": asdict(not_judged(job["path"], why, short_report(fault)))}
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
        self.said = bytearray()
        self.written: dict[int, int] = {}
        self.heard = 0
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
            for key, _ in selector.select(TICK if selector.get_map() else ENDING):
                if not self._read(key.fd):
                    selector.unregister(key.fd)  # it was readable, so this is its end
            now = time.monotonic()
            if self._has_ended():
                while self._read(self.report) and not self._too_much_reported():
                    pass
                self._read(self.output)
                return self._too_much_printed() or self._too_much_reported()
            if now < next_look:
                continue
            next_look = now + TICK
            ticks += 1
            if now > deadline:
                return TIMEOUT, f"Timed out after {self.limits.timeout:g} s"
            excess = (
                self._too_much_printed() or self._too_much_reported() or self._too_much_used(ticks)
            )
            if excess:
                return excess

    def _read(self, reader: int) -> bool:
        """Take in some of what there is to read, and return whether there was any."""
        try:
            data = os.read(reader, 1 << 20)
        except BlockingIOError:
            return False
        if reader == self.report:
            self.said += data
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

    def was_killed(self) -> bool:
        """Say whether the worker ended by SIGKILL."""
        status = self.status
        return status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == 9

    def _too_much_reported(self) -> tuple[str, str] | None:
        if len(self.said) > REPORT * MEGABYTE:
            return CRASHED, f"Reported more than {REPORT} MB"
        return None

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
        # The judge runs nothing of the file, and what the file's processes answer it is no output.
        self.heard = max(self.heard, processes.read(self.worker))
        for pid in below:
            if pid != self.worker:
                self.written[pid] = max(self.written.get(pid, 0), processes.written(pid))
        if sum(self.written.values()) - self.heard > self.limits.written * MEGABYTE:
            return CRASHED, f"Wrote more than {self.limits.written:g} MB in all"
        if ticks % FOLDER_TICKS == 0:
            files = _size(self.folder) + sum(map(processes.unlinked, below))
            if files > self.limits.file_size * MEGABYTE:
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


def _report(job: Job, watch: _Watch, excess: tuple[str, str] | None, seconds: float) -> FileReport:
    """Return what the worker said, or what happened to it and during what."""
    said = list(_messages(watch.said))
    final = next((message for message in said if "report" in message), None)
    if final is not None and excess is None:
        with contextlib.suppress(LookupError, TypeError, ValueError, AttributeError):
            return _well_formed(replace(from_data(final["report"]), path=job["path"]))
    now = next((message for message in reversed(said) if "now" in message), None)
    verdict, what = excess or (CRASHED, _end(watch.status))
    functions: list[FunctionVerdict] = []
    diagnosis: list[Finding] = []
    if now is not None:
        what += f" in {now['now']}" if verdict == TIMEOUT else f" while {now['now']} was judged"
        with contextlib.suppress(LookupError, TypeError, ValueError, AttributeError):
            functions = [FunctionVerdict(**item) for item in now["functions"]]
            functions = [f for f in functions if f.name != now["now"]]
            diagnosis = [findings.from_data(item) for item in now["diagnosis"]]
        functions.append(FunctionVerdict(now["now"], verdict, f"{what}."))
    return FileReport(
        job["path"], verdict, f"{what}.", tuple(functions), tuple(diagnosis), seconds=seconds
    )


def _messages(said: bytearray) -> Iterator[dict[str, Any]]:
    """Yield what the worker said, every string in it made printable."""
    for line in said.split(b"\n"):
        with contextlib.suppress(ValueError, RecursionError):
            message = printable_data(json.loads(line))
            if isinstance(message, dict):
                yield message


def _well_formed(report: FileReport) -> FileReport:
    """Return a report that came from a worker; raise an exception if it cannot be shown."""
    for verdict in (report.verdict, *(function.verdict for function in report.functions)):
        ORDER.index(verdict)
    texts = (report.reason, report.hint, *report.remarks)
    names = ((function.name, function.message) for function in report.functions)
    "".join((*texts, *(text for pair in names for text in pair)))
    json.dumps(report.to_dict())
    return report


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
    judge: Judge,
    job: Job,
    limits: Limits,
    folder: str,
    report: int,
    output: int,
    fence: Fence,
) -> None:
    """Judge one file; never returns."""
    try:
        work, copy = f"{folder}/work", f"{folder}/copy"
        os.mkdir(work)
        os.mkdir(copy)
        _confine(limits, work, report, output)
        say = saying(report)
        try:
            path = _copied(job, Path(copy))
        except OSError as fault:
            say({"report": asdict(unreadable(job["path"], fault))})
            os._exit(0)
        put_on(fence, work, copy, (report,))
        say({"report": asdict(_judged(judge, job, path, say))})
    except BaseException:
        traceback.print_exc()
        os._exit(70)
    os._exit(0)


def _copied(job: Job, copy: Path) -> Path:
    """Copy the file and what it may import, or all that came with it; return the file's copy."""
    path, folder = Path(job["absolute"]), job["folder"]
    if folder is None:
        return unpacked(parcel(path), copy)
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    return copy / path.relative_to(folder)


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


def _judged(
    judge: Judge, job: Job, path: Path, say: Callable[[dict[str, Any]], None]
) -> FileReport:
    def progress(name: str, functions: Any, diagnosis: Any) -> None:
        so_far = {"functions": functions, "diagnosis": diagnosis}
        say({"now": name, **{key: [asdict(item) for item in so_far[key]] for key in so_far}})

    shown, named = job["path"], job["named"]
    try:
        seconds = float(job["limits"]["timeout"])
        asked = NamedFunctions(**named) if named else None
        return judge(path, shown, asked, progress, seconds, job["seed"])
    except MemoryError:
        return FileReport(shown, CRASHED, f"Needs more than {job['limits']['memory']:g} MB.")
    except Exception as fault:
        why = f"{type(fault).__name__}: {words(fault)}"
        return not_judged(shown, why, short_report(fault))
