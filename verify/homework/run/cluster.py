"""A class judged on a cluster of `dask.distributed`, each file in the same sandbox and fence.

A file travels as its contents, with what it may import; its path stays here. A worker of the
cluster keeps a server warm, as `verify.homework.run.sandbox` starts one, and hands it each file.
Dask says which worker is free, and when one was lost.

A file whose worker was lost is judged again at the end, with no other file beside it on the
cluster, so that one that ends its worker costs no other file its verdict; if that worker is lost
too, the file crashed. Dask by itself tries `allowed-failures` times, and counts a lost worker
against all that waited for it: `once_only` says otherwise, for our files alone.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verify.homework.report import CRASHED, FileReport, from_data
from verify.homework.run.faults import unreadable
from verify.homework.run.fence import AUTO
from verify.homework.run.private_copy import Parcel, parcel
from verify.homework.run.sandbox import Job, Limits, NamedFunctions, WarmServers, job_of
from verify.printable import echo
from verify.report import versions

if TYPE_CHECKING:
    from distributed import Client, Future

LOCAL = "local"
"""The scheduler that is started for one class, on this machine."""

PREFIX = "backproof-check"
"""What Dask's dashboard calls the files of a class."""

AHEAD = 3
"""Files sent ahead for each thread of the cluster, so that none waits for the next."""

LEAST_AHEAD = 8
"""Files sent ahead at least: to a cluster that grows as there is something to do, too."""

LOOK_AGAIN = 5.0
"""Seconds after which the threads of the cluster are counted again."""

CONNECTING = 20.0
"""Seconds that a scheduler has to answer."""

STARTING_AGAIN = 60.0
"""Seconds in which a worker of this machine that ended should have been replaced."""


@dataclass(frozen=True)
class Cluster:
    """Where a scheduler listens, or `LOCAL` for one of this machine with so many workers.

    The three files of TLS are those of `dask scheduler`; without them, Dask's own configuration
    holds.
    """

    scheduler: str
    workers: int = 1
    tls_ca_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def __post_init__(self) -> None:
        files = {
            "tls-ca-file": self.tls_ca_file,
            "tls-cert": self.tls_cert,
            "tls-key": self.tls_key,
        }
        missing = [name for name, file in files.items() if file is None]
        if missing and len(missing) < len(files):
            raise ValueError(
                f"{missing[0]}: got none, expected a file: --tls-ca-file, --tls-cert and --tls-key "
                "go together"
            )
        for name, file in files.items():
            if file is not None and not file.is_file():
                raise ValueError(f"{name}: got {file}, expected a file that is there")


def run_on_cluster(
    program: str,
    cluster: Cluster,
    paths: Sequence[Path],
    limits: Limits,
    named: NamedFunctions | None = None,
    done: Callable[[int, FileReport], None] = lambda number, report: None,
    fence: str = AUTO,
    seed: int = 0,
    said: Callable[[str], None] = lambda sentence: None,
) -> list[FileReport]:
    """Judge files on a cluster, and return their reports in the order of the paths.

    As `verify.homework.run.sandbox.run_all`; `said` is told in a sentence once it is connected, and
    while no worker is there. Raises ValueError if `distributed` is not installed, if the scheduler
    cannot be reached or is lost, if a worker has other versions of what numbers depend on, and if
    the workers of this machine end for good.
    """
    reports: dict[int, FileReport] = {}

    def take(number: int, report: FileReport) -> None:
        reports[number] = report
        done(number, report)

    todo = deque(job_of(number, path, limits, named, seed) for number, path in enumerate(paths))
    with _client(cluster) as client:
        run = _Run(client, cluster.scheduler == LOCAL, (program, fence), take, said)
        said(_connected(client, run.threads()))
        client.register_plugin(once_only())
        for job in run.judge(todo):
            for _ in run.judge(deque([job])):
                why = "Ended the worker that judged it, twice."
                take(job["id"], FileReport(job["path"], CRASHED, why))
    return [reports[number] for number in range(len(paths))]


class _Run:
    """A class on a cluster: which files are sent, and what comes back."""

    def __init__(
        self,
        client: Client,
        local: bool,
        server: tuple[str, str],
        take: Callable[[int, FileReport], None],
        said: Callable[[str], None],
    ):
        self._client, self._local, self._take, self._said = client, local, take, said
        self._judge = functools.partial(judged_there, *server)
        self._token = uuid.uuid4().hex[:8]
        self._ahead, self._counted = 0, -LOOK_AGAIN
        self._answers: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._alone_since: float | None = None

    def judge(self, todo: deque[Job]) -> list[Job]:
        """Judge files as workers are free for them; return those whose worker was lost."""
        sent: dict[Future, Job] = {}
        lost: list[Job] = []
        while todo or sent:
            while todo and len(sent) < self._most():
                job = todo.popleft()
                try:
                    future = self._send(job)
                except OSError as fault:
                    self._take(job["id"], unreadable(job["path"], fault))
                    continue
                sent[future] = job
                future.add_done_callback(self._answers.put)
            if sent:
                future = self._answered()
                job = sent.pop(future)
                if self._is_lost(future, job):
                    lost.append(job)
        return lost

    def _most(self) -> int:
        """Return how many files may be on their way at a time."""
        if time.monotonic() - self._counted > LOOK_AGAIN:
            self._ahead = max(LEAST_AHEAD, AHEAD * sum(self.threads().values()))
            self._counted = time.monotonic()
        return self._ahead

    def threads(self) -> dict[str, int]:
        """Return how many files each worker can judge at a time."""
        try:
            return dict(self._client.nthreads())
        except OSError:
            raise ValueError(_lost(self._client)) from None

    def _answered(self) -> Future:
        """Return a file that came back; while no worker is there to judge it, say so and wait."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self._answers.get(timeout=LOOK_AGAIN)
            self._look_for_workers()

    def _look_for_workers(self) -> None:
        now = time.monotonic()
        if self.threads():
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
            address = self._client.scheduler.address
            self._said(f"There is no worker at {address}: waiting for one. Ctrl-C ends the check.")
        elif self._local and now - self._alone_since > STARTING_AGAIN:
            raise ValueError(f"scheduler: got {LOCAL}, whose workers ended; {KEPT}")

    def _send(self, job: Job) -> Future:
        key = (PREFIX, self._token, job["id"], job["path"], uuid.uuid4().hex[:8])
        return self._client.submit(self._judge, job, parcel(Path(job["absolute"])), key=key)

    def _is_lost(self, future: Future, job: Job) -> bool:
        """Take what came of a file, and return whether its worker was lost."""
        from distributed import KilledWorker

        try:
            answer = future.result()
        except KilledWorker:
            return True
        except Exception as fault:
            if future.cancelled():
                raise ValueError(_lost(self._client)) from None
            raise ValueError(f"scheduler: a worker of it cannot judge files: {fault}") from fault
        finally:
            future.release()
        check_versions(answer["versions"])
        self._take(job["id"], from_data(answer["report"]))
        return False


def judged_there(program: str, fence: str, job: Job, sent: Parcel) -> dict[str, Any]:
    """Judge a file that was sent to this process, a worker of a cluster."""
    return {"report": asdict(_servers(program, fence).judge(job, sent)), "versions": versions()}


@functools.cache
def _servers(program: str, fence: str) -> WarmServers:
    return WarmServers(program, fence)


def check_versions(theirs: dict[str, str]) -> None:
    """Raise ValueError unless a worker's versions are ours, but for the last part of Python's."""
    for name, own in versions().items():
        parts = 2 if name == "python" else 9
        if theirs.get(name, "none").split(".")[:parts] != own.split(".")[:parts]:
            raise ValueError(
                f"scheduler: got a worker with {name} {theirs.get(name, 'none')}, "
                f"expected {own} as here"
            )


def once_only() -> Any:
    """Return a plugin for Dask's scheduler: a file of ours is not tried where a worker was lost."""
    from distributed.diagnostics.plugin import SchedulerPlugin

    class OnceOnly(SchedulerPlugin):  # type: ignore[misc]
        name = PREFIX

        async def start(self, scheduler: Any) -> None:
            self.scheduler = scheduler

        def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
            if finish == "processing" and isinstance(key, tuple) and key[0] == PREFIX:
                self.scheduler.tasks[key].suspicious = self.scheduler.allowed_failures

    return OnceOnly()


@contextlib.contextmanager
def _client(cluster: Cluster) -> Iterator[Client]:
    """Be connected with a scheduler, one of our own if it is `LOCAL`."""
    try:
        import distributed
    except ImportError:
        raise ValueError(
            f"scheduler: got {cluster.scheduler}, expected the extra cluster with it: "
            "pip install 'backproof[cluster]'"
        ) from None
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        address: Any = cluster.scheduler
        security = None
        if cluster.tls_ca_file is not None:
            security = distributed.Security(
                tls_ca_file=str(cluster.tls_ca_file),
                tls_client_cert=str(cluster.tls_cert),
                tls_client_key=str(cluster.tls_key),
                require_encryption=True,
            )
        if address == LOCAL:
            address = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=cluster.workers,
                    threads_per_worker=1,
                    memory_limit=0,
                    dashboard_address=":0",
                    local_directory=stack.enter_context(_folder()),
                    silence_logs=logging.CRITICAL,
                    security=security,
                )
            )
        try:
            client = distributed.Client(
                address, security=security, timeout=CONNECTING, set_as_default=False
            )
        except (OSError, ValueError, TypeError) as fault:
            raise ValueError(
                f"scheduler: got {cluster.scheduler}, which cannot be reached "
                f"({echo(' '.join(str(fault).split()))})"
            ) from fault
        yield stack.enter_context(client)


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="backproof-", ignore_cleanup_errors=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let Dask log nothing: what is lost is judged again, or said in a sentence."""
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _connected(client: Client, threads: Collection[str]) -> str:
    count = len(threads)
    workers = f"{count} worker{'s' * (count != 1)}" if count else "no worker yet"
    return (
        f"Connected with {client.scheduler.address}: {workers}, dashboard {client.dashboard_link}"
    )


KEPT = "what was judged before is kept where there is an output file, and --resume goes on"


def _lost(client: Client) -> str:
    return f"scheduler: got {client.scheduler.address}, which was lost; {KEPT}"
