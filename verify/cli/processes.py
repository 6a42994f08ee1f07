"""Several processes, on one host or many, that run one command together on one mesh.

Which process this is comes from options, or from the environment that Slurm or Kubernetes set.
JAX connects them. Each runs the whole command; the first alone prints and saves.

Where a process is lost, JAX aborts the others from C++, with a stack of calls on standard error;
gloo writes on standard output. So the command runs in a child of a small parent, which keeps what
C++ writes to itself and says in one sentence how the child ended. The child ends with its parent.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., Any])

WORKER = "BACKPROOF_WORKER"
"""The variable by which a child knows that it is one: its standard output, error, and a pipe."""
HEARTBEAT = 10
"""Seconds without a sign of life after which JAX gives a process up."""
PATIENCE = 60
"""Seconds that processes wait for each other at the start."""
LOST = 70
"""Exit status of a child that lost another process and could still say so."""
SIGNS = ("heartbeat", "coordination", "gloo", "connection", "socket", "barrier")
"""Words in what C++ writes where another process was lost."""


@dataclass(frozen=True)
class Process:
    """One of `count` processes; `coordinator` is None where JAX finds it in the environment."""

    coordinator: str | None
    count: int
    number: int


def across_processes(command: Function) -> Function:
    """Add the options of several processes, and run the command as one of them."""

    @functools.wraps(command)
    def run(
        *arguments: Any,
        coordinator: str | None,
        num_processes: int | None,
        process_id: int | None,
        **options: Any,
    ) -> Any:
        process = process_from(coordinator, num_processes, process_id, os.environ)
        if process is None:
            return command(*arguments, **options)
        if WORKER not in os.environ:
            return supervised(process, click.get_current_context().find_root().obj)
        with joined(process):
            return command(*arguments, **options)

    options = [
        click.option("--coordinator", metavar="HOST:PORT",
                     help="Where process 0 of several listens, a free port; Slurm's is found."),
        click.option("--num-processes", type=click.IntRange(1), metavar="N",
                     help="How many processes run this command together."),
        click.option("--process-id", type=click.IntRange(0), metavar="N",
                     help="Which of them this is, from 0; in Slurm and Kubernetes it is known."),
    ]  # fmt: skip
    decorated: Any = run
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def process_from(
    coordinator: str | None,
    count: int | None,
    number: int | None,
    environ: Mapping[str, str],
) -> Process | None:
    """Return which process this is, or None where there is but one.

    Raises ValueError where only some of it is known.
    """
    in_slurm = "SLURM_STEP_NODELIST" in environ
    if count is None and coordinator is not None and not in_slurm:
        raise ValueError("num_processes: got none, expected how many processes there are")
    if count is None and number is not None and not in_slurm:
        raise ValueError(
            f"process_id: got {number}, expected --num-processes and --coordinator with it"
        )
    count = count or int(environ.get("SLURM_STEP_NUM_TASKS", 1))
    if count == 1:
        return None
    if number is None:
        known = (environ.get(name) for name in ("SLURM_PROCID", "JOB_COMPLETION_INDEX"))
        number = next((int(value) for value in known if value is not None), None)
    if number is None or number >= count:
        raise ValueError(
            f"process_id: got {'none' if number is None else number}, "
            f"expected 0 to {count - 1}, another for each process"
        )
    if coordinator is None and not in_slurm:
        raise ValueError("coordinator: got none, expected HOST:PORT, the same for every process")
    return Process(coordinator, count, number)


def is_one_of_several() -> bool:
    """Return whether this process is connected with others."""
    return WORKER in click.get_current_context().find_root().meta


def first_alone(value: T) -> T | None:
    """Return the value in the first process, None in the others: a file that one has to write."""
    root = click.get_current_context().find_root()
    return None if root.meta.get(WORKER) else value


def in_any_process(caught: list[int]) -> bool:
    """Return whether a signal was caught in any process; then each has its number in the list."""
    if not is_one_of_several():
        return bool(caught)
    import autodiff

    number = -autodiff.least(-max(caught, default=0))
    if number and not caught:
        caught.append(number)
    # What came while they asked each other is not known to all: it counts the next time.
    return bool(number)


@contextlib.contextmanager
def joined(process: Process) -> Iterator[None]:
    """Be connected with the other processes; all but the first say nothing."""
    output, error, alive = map(int, os.environ.pop(WORKER).split(","))
    sys.stdout, sys.stderr = os.fdopen(output, "w"), os.fdopen(error, "w", buffering=1)
    threading.Thread(target=_end_with_parent, args=(alive,), daemon=True).start()
    click.get_current_context().find_root().meta[WORKER] = process.number
    import jax

    with _lost_as_status():
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(
            process.coordinator,
            process.count,
            process.number,
            initialization_timeout=PATIENCE,
            heartbeat_timeout_seconds=HEARTBEAT,
        )
        with contextlib.ExitStack() as stack:
            if process.number:
                nowhere = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(contextlib.redirect_stdout(nowhere))
                stack.enter_context(contextlib.redirect_stderr(nowhere))
            yield


@contextlib.contextmanager
def _lost_as_status() -> Iterator[None]:
    """End with the status `LOST` where JAX says that another process was lost."""
    import jax

    try:
        yield
    except jax.errors.JaxRuntimeError as fault:
        words = str(fault)
        if "RESOURCE_EXHAUSTED" in words:
            raise MemoryError(words.splitlines()[0]) from fault
        os.write(2, words.encode())
        os._exit(LOST)
    except RuntimeError as fault:
        if "gloo" in str(fault) and not _has_address(socket.gethostname()):
            raise ValueError(
                f"coordinator: got a host, {socket.gethostname()}, whose own name has no address, "
                "expected one, as a line of /etc/hosts gives it"
            ) from fault
        raise


def _has_address(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, None))
    except OSError:
        return False


def _end_with_parent(alive: int) -> None:
    """End when the other end of a pipe is closed, which is when the parent has ended."""
    os.read(alive, 1)
    os._exit(LOST)


def supervised(process: Process, arguments: list[str]) -> int:
    """Run the command line in a child; return its status, or say how it was lost and return 1."""
    output, error, (alive, ours) = os.dup(1), os.dup(2), os.pipe()
    written: deque[str] = deque(maxlen=50)
    child = subprocess.Popen(
        [sys.executable, "-m", "backproof", *arguments],
        env={**os.environ, WORKER: f"{output},{error},{alive}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(output, error, alive),
        start_new_session=True,
        text=True,
        errors="replace",
    )
    for passed in (output, error, alive):
        os.close(passed)
    with _passed_on(child):
        assert child.stdout is not None
        written.extend(child.stdout)
        status = child.wait()
    os.close(ours)
    if 0 <= status != LOST:
        return status
    print(f"Error: {ending(process, status, written)}", file=sys.stderr)
    return 1


def ending(process: Process, status: int, written: Sequence[str]) -> str:
    """Return in one sentence how a child ended that did not end by itself."""
    own = f"process {process.number} of {process.count}"
    told = [line.lower() for line in written if not line.startswith("[Gloo]")]
    if status in (LOST, -signal.SIGABRT) and any(sign in line for line in told for sign in SIGNS):
        return (
            f"{own} lost another one, which has ended or cannot be reached; "
            "a training goes on with --resume from what was last saved"
        )
    if status < 0:
        return f"{own} was ended by {signal.Signals(-status).name}"
    last = next((line.strip() for line in reversed(written) if line.strip()), "without a word")
    return f"{own} failed: {last}"


@contextlib.contextmanager
def _passed_on(child: subprocess.Popen[str]) -> Iterator[None]:
    """Pass Ctrl-C and SIGTERM on to the child, which knows what to do."""

    def pass_on(number: int, frame: Any) -> None:
        child.send_signal(number)

    old = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
