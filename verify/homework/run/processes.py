"""Processes and what they use, by /proc: the descendants of one, their memory, their end.

Processes are watched and killed, which also works for root; the system's limits on processes do
not. Where there is no /proc (macOS), psutil says the same of children and memory, at a higher
price.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import stat
import sys
import time
from pathlib import Path

_PROC = Path("/proc")
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent ends (Linux)."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def end_with_parent(number: signal.Signals) -> None:
    """Ask for this signal when the parent ends (Linux)."""
    _prctl(_SET_PDEATHSIG, number)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, int(value), 0, 0, 0)


def descendants(pid: int) -> list[int]:
    """Return the processes below one, their own children after them."""
    found, new = [], [pid]
    while new:
        new = [child for parent in new for child in _children(parent)]
        found += new
    return found


def _children(pid: int) -> list[int]:
    """Return the children of all threads of a process; none if it has ended."""
    if not _PROC.is_dir():
        return _children_by_psutil(pid)
    children: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            children += map(int, _said(f"/proc/{pid}/task/{task}/children").split())
    return children


def _children_by_psutil(pid: int) -> list[int]:
    import psutil

    with contextlib.suppress(psutil.Error):
        return [child.pid for child in psutil.Process(pid).children()]
    return []


def _own_by_psutil(pid: int) -> int:
    import psutil

    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_full_info().uss)
    return 0


def resident(pids: list[int], beyond: int) -> int:
    """Return the bytes of memory that processes hold, exactly only if it may be `beyond`.

    Memory that is shared counts too, but for files that are mapped. What these processes share
    with each other is counted once where the kernel says how much it is.
    """
    total = sum(map(_own_at_most, pids))
    if total <= beyond:
        return total
    return sum(map(_proportional, pids))


def _own_at_most(pid: int) -> int:
    if not _PROC.is_dir():
        return _own_by_psutil(pid)
    held = _said(f"/proc/{pid}/status")
    return _kilobytes(held, b"RssAnon") + _kilobytes(held, b"RssShmem")


def _proportional(pid: int) -> int:
    held = _said(f"/proc/{pid}/smaps_rollup")
    if b"Pss_Anon" not in held:
        return _own_at_most(pid)
    return _kilobytes(held, b"Pss_Anon") + _kilobytes(held, b"Pss_Shmem")


def data_size(pid: int) -> int:
    """Return the bytes of private writable memory that a process has asked for so far."""
    return _kilobytes(_said(f"/proc/{pid}/status"), b"VmData")


def written(pid: int) -> int:
    """Return the bytes that a process has written to anything so far; 0 if it has ended."""
    return _entry(_said(f"/proc/{pid}/io"), b"wchar")


def read(pid: int) -> int:
    """Return the bytes that a process has read from anything so far; 0 if it has ended."""
    return _entry(b"\n" + _said(f"/proc/{pid}/io"), b"rchar")


def unlinked(pid: int) -> int:
    """Return the bytes of files without a name that a process holds open."""
    total = 0
    with contextlib.suppress(OSError):
        for handle in os.scandir(_PROC / str(pid) / "fd"):
            with contextlib.suppress(OSError):
                found = os.stat(handle.path)
                if stat.S_ISREG(found.st_mode) and found.st_nlink == 0:
                    total += found.st_blocks * 512
    return total


def _said(path: str) -> bytes:
    """Return what a file of /proc says; nothing if it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as stream:
            return stream.readall()
    except OSError:
        return b""


def _kilobytes(said: bytes, name: bytes) -> int:
    return 1024 * _entry(said, name)


def _entry(said: bytes, name: bytes) -> int:
    """Return the number of a line, not the first, of a file of /proc; 0 if it has none."""
    _, found, rest = said.partition(b"\n" + name + b":")
    return int(rest.split(None, 1)[0]) if found else 0


def end_all_below(pid: int, *groups: int, patience: float = 5.0) -> None:
    """Kill everything below a process, and process groups as wholes, until nothing is left.

    Must be called by `pid` itself, which reaps what it kills.
    """
    deadline = time.monotonic() + patience
    for group in groups:
        # A group is killed in one step: nothing in it can fork in between.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    while time.monotonic() < deadline:
        for child in descendants(pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        if not reap():
            return
        time.sleep(0.002)


def kill_tree(pid: int) -> None:
    """Kill a process and all that is below it, stopped or not."""
    for one in (*descendants(pid), pid):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, signal.SIGKILL)


def kill_all_but(children: list[int]) -> None:
    """Kill what is below this process, except for some of its children and what is below them."""
    below = descendants(os.getpid())  # first: what starts after this look is nobody's leftover
    spared = {*children, *(pid for child in children for pid in descendants(child))}
    for pid in below:
        if pid not in spared:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def reap() -> bool:
    """Take in the children that have ended, and return whether there are any others."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
