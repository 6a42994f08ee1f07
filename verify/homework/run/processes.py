"""Processes and what they use, by /proc: the descendants of one, their memory, their end.

Processes are watched and killed, which also works for root; the system's limits on processes do
not. Where there is no /proc (macOS), only the process itself is known.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
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
    children: list[int] = []
    with contextlib.suppress(OSError, ValueError):
        for task in (_PROC / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError):
                children += map(int, (task / "children").read_text().split())
    return children


def resident(pids: list[int], beyond: int) -> int:
    """Return the bytes of memory that processes hold, exactly only if it may be `beyond`.

    What they share with each other is counted once where the kernel says how much it is.
    """
    total = sum(map(_private_at_most, pids))
    if total <= beyond:
        return total
    return sum(map(_proportional, pids))


def _private_at_most(pid: int) -> int:
    try:
        fields = (_PROC / str(pid) / "statm").read_text().split()
        return (int(fields[1]) - int(fields[2])) * PAGE
    except (OSError, IndexError, ValueError):
        return 0


def _proportional(pid: int) -> int:
    found = _entry(pid, "smaps_rollup", "Pss_Anon:")
    return _private_at_most(pid) if found is None else found


def data_size(pid: int) -> int:
    """Return the bytes of private writable memory that a process has asked for so far."""
    return _entry(pid, "status", "VmData:") or 0


def _entry(pid: int, file: str, key: str) -> int | None:
    """Return the bytes that a line of a file in /proc says, or None if it cannot be read."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        for line in (_PROC / str(pid) / file).read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    return None


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
    spared = {*children, *(pid for child in children for pid in descendants(child))}
    for pid in descendants(os.getpid()):
        if pid not in spared:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
    reap()


def reap() -> bool:
    """Take in the children that have ended, and return whether there are any others."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
