"""Work that runs a file's code, in a fork of its own: what comes back is data.

Whatever the file does to its process, the judge's stays as it was. Progress is handed on as it
comes; a fork that ends without a result ends the caller in the same way, so that whoever watches
it sees what happened.
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

Say = Callable[[dict[str, Any]], None]


class ApartError(RuntimeError):
    """The work raised: a fault of ours, since what the file raises is part of a result."""


def apart(work: Callable[[Say], dict[str, Any]], heard: Say) -> dict[str, Any]:
    """Return what `work` returns, run in a fork. It is given a function that `heard` answers.

    Raises MemoryError where the fork ran out of memory, and ApartError where it raised.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's and JAX's, of threads, which are not used there
        pid = os.fork()
    if pid == 0:
        os.close(reader)
        _work(work, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        for message in _messages(stream):
            if "result" in message:
                os.waitpid(pid, 0)
                return dict(message["result"])
            if "fault" in message:
                os.waitpid(pid, 0)
                raise (
                    MemoryError
                    if message["fault"] == "MemoryError"
                    else ApartError(f"{message['fault']}: {message['says']}")
                )
            heard(message)
    _end_likewise(os.waitpid(pid, 0)[1])
    raise ApartError("it ended without a result")


def saying(writer: int) -> Say:
    """Return a function that writes messages, a line of JSON each, from this process alone."""
    me = os.getpid()

    def say(message: dict[str, Any]) -> None:
        if os.getpid() != me:
            os._exit(0)  # the file forked, and this is the copy
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(writer, data) :]

    return say


def _work(work: Callable[[Say], dict[str, Any]], writer: int) -> None:
    """Do the work and write what it says; never returns."""
    say = saying(writer)
    try:
        say({"result": work(say)})
    except BaseException as fault:
        with contextlib.suppress(BaseException):
            say({"fault": type(fault).__name__, "says": str(fault)[:300]})
            os._exit(0)
        os._exit(70)
    os._exit(0)


def _messages(stream: Any) -> Iterator[dict[str, Any]]:
    for line in stream:
        with contextlib.suppress(ValueError):
            message = json.loads(line)
            if isinstance(message, dict):
                yield message


def _end_likewise(status: int) -> None:
    if os.WIFSIGNALED(status):
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 70)
