"""A class judged on a cluster: what one machine says, and nothing lost with a worker."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from verify import cli
from verify.homework.judge import judge_on
from verify.homework.run import cluster
from verify.homework.run.cluster import Cluster, check_versions
from verify.homework.run.private_copy import parcel
from verify.homework.run.sandbox import Limits, WarmServers, job_of
from verify.report import versions

distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")

ROOT = Path(__file__).parents[1]
COURSE = Path(__file__).parent / "course"
RIGHT = "import numpy as np\n\ndef relu(Z):\n    return np.maximum(0, Z)\n\n\n"
RIGHT += "def relu_derivative(Z):\n    return (Z > 0) * 1.0\n"
ENDLESS = "def relu(Z):\n    while True: pass\n\n\ndef relu_derivative(Z):\n    return relu(Z)\n"
ENDS_ITS_WORKER = """
import os

import numpy as np


def is_worker(pid):
    command = open(f"/proc/{pid}/cmdline", "rb").read()
    return b"spawn_main" in command or b"dask worker" in command


def above(pid):
    return int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])


def relu(Z):
    pid = os.getpid()
    while not is_worker(pid):
        pid = above(pid)
    os.kill(pid, 9)
    return np.maximum(0, Z)


def relu_derivative(Z):
    return (Z > 0) * 1.0
"""


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        cli.main(["check", *map(str, arguments)])
    out, err = capsys.readouterr()
    return end.value.code, out, err


def found(path):
    """Return a report as JSON, without what differs from run to run."""
    report = json.loads(path.read_text())
    for file in report["files"]:
        del file["seconds"]
    return report


@contextlib.contextmanager
def process(*arguments, **how):
    """Start a program of Dask or of ours; end it with all that it started."""
    started = subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        start_new_session=True,
        text=True,
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **how},
    )
    with started:
        try:
            yield started
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)


@contextlib.contextmanager
def scheduler(folder, host="127.0.0.1", *options):
    """Start a scheduler; yield its process and address."""
    file = folder / "scheduler.json"
    arguments = ("--port", 0, "--no-dashboard", "--host", host, "--scheduler-file", file)
    with process("distributed.cli.dask_scheduler", *arguments, *options) as started:
        assert until(file.exists)
        yield started, json.loads(file.read_text())["address"]


def worker(folder, address, *arguments):
    """Start a worker."""
    return process(
        "distributed.cli.dask_worker", address, "--nthreads", 1, "--no-dashboard",
        "--local-directory", folder, "--memory-limit", 0, *arguments,
    )  # fmt: skip


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.fixture
def homework(tmp_path):
    """Files of the course, one that imports another from a folder beside it, one unreadable."""
    folder = tmp_path / "class"
    (folder / "alice").mkdir(parents=True)
    for name in ("planar_exported.py", "lists.py", "tensorflow_week3.py"):
        if (COURSE / name).exists():
            (folder / name).write_text((COURSE / name).read_text())
    (folder / "alice" / "parts.py").write_text(RIGHT)
    (folder / "alice" / "net.py").write_text(
        "from parts import relu\n\n\ndef twice(Z):\n    return relu(Z) * 2\n\n\n"
        "def twice_derivative(Z):\n    return (Z > 0) * 1.0\n"
    )
    (folder / "broken.ipynb").write_text("{")
    return folder


@pytest.mark.slow
def test_a_cluster_of_this_machine_says_what_the_machine_says_alone(capsys, tmp_path, homework):
    here, there = tmp_path / "here.json", tmp_path / "there.json"
    arguments = (homework, "--no-cache", "--format", "json", "--output-file")
    alone, _, _ = run(capsys, *arguments, here)
    status, _, said = run(capsys, *arguments, there, "--scheduler", "local", "--jobs", 2)
    assert (status, found(there)) == (alone, found(here))
    assert ": 2 workers, dashboard http://" in said
    verdicts = {Path(file["path"]).name: file["verdict"] for file in found(there)["files"]}
    assert verdicts["net.py"] == "disagree"
    assert verdicts["broken.ipynb"] == "unreadable"


@pytest.mark.slow
def test_no_verdict_is_lost_or_doubled_where_workers_are_killed(capsys, tmp_path):
    folder = tmp_path / "class"
    folder.mkdir()
    for path in COURSE.glob("*.py"):
        (folder / path.name).write_text(path.read_text())
    here, there = tmp_path / "here.json", tmp_path / "there.json"
    run(capsys, folder, "--no-cache", "--format", "json", "--output-file", here)
    dice = random.Random(1)
    kept = there.with_name("there.json.journal")
    with contextlib.ExitStack() as stack:
        _, address = stack.enter_context(scheduler(tmp_path))

        def started():
            return stack.enter_context(worker(tmp_path / "w", address, "--no-nanny"))

        workers = [started() for _ in range(2)]
        arguments = (folder, "--no-cache", "--format", "json", "--output-file", there)
        command = stack.enter_context(
            process("backproof", "check", *arguments, "--scheduler", address)
        )
        assert until(kept.exists)
        for killed in range(5):
            time.sleep(dice.uniform(0.2, 0.8))
            # What was lost is judged again at the end: who is killed then, too, has crashed.
            assert kept.read_bytes().count(b"\n") < 50
            workers[killed % 2].kill()
            workers[killed % 2] = started()
        command.communicate(timeout=120)
    assert found(there) == found(here)


@pytest.mark.slow
def test_a_file_that_ends_its_worker_crashed_after_two_and_costs_no_other(capsys, tmp_path):
    folder = tmp_path / "class"
    folder.mkdir()
    for name in "abcdef":
        (folder / f"{name}.py").write_text(ENDS_ITS_WORKER if name == "c" else RIGHT)
    output = tmp_path / "out.json"
    arguments = (folder, "--no-cache", "--fence", "off", "--format", "json")
    where = ("--scheduler", "local", "--jobs", 2)
    status, _, _ = run(capsys, *arguments, "--output-file", output, *where)
    assert status == 1
    files = found(output)["files"]
    assert [file["verdict"] for file in files] == ["agree"] * 2 + ["crashed"] + ["agree"] * 3
    assert files[2]["message"] == "Ended the worker that judged it, twice."


@pytest.mark.slow
def test_a_scheduler_that_is_lost_is_said_in_a_sentence_and_what_was_judged_is_kept(
    capsys, tmp_path
):
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "1.py").write_text(RIGHT)
    (folder / "2.py").write_text(ENDLESS)
    output, kept = tmp_path / "out.json", tmp_path / "out.json.journal"
    arguments = (folder, "--no-cache", "--format", "json", "--output-file", output)
    with scheduler(tmp_path) as (running, address), worker(tmp_path / "w", address):
        command = process(
            "backproof", "check", *arguments, "--scheduler", address, stderr=subprocess.PIPE
        )
        with command as check_process:
            assert until(lambda: kept.exists() and kept.read_bytes().count(b"\n") == 2)
            running.kill()
            _, said = check_process.communicate(timeout=60)
    assert check_process.returncode == 2
    assert said.splitlines()[-1] == (
        f"Error: scheduler: got {address}, which was lost; what was judged before is kept where "
        "there is an output file, and --resume goes on"
    )
    assert not output.exists()
    (folder / "2.py").write_text(RIGHT)
    status, _, _ = run(capsys, *arguments, "--resume")
    assert status == 0
    assert [file["verdict"] for file in found(output)["files"]] == ["agree"] * 2


@pytest.mark.slow
def test_while_no_worker_is_there_a_sentence_says_so_and_the_check_goes_on_with_the_next(tmp_path):
    folder, output, said = tmp_path / "class", tmp_path / "out.json", tmp_path / "said"
    folder.mkdir()
    (folder / "1.py").write_text(RIGHT)
    (folder / "2.py").write_text(ENDLESS)
    arguments = (folder, "--no-cache", "--timeout", 10, "--format", "json", "--output-file", output)
    with scheduler(tmp_path) as (_, address), said.open("w") as stream:
        sentence = f"There is no worker at {address}: waiting for one. Ctrl-C ends the check.\n"
        with process(
            "backproof", "check", *arguments, "--scheduler", address, stderr=stream
        ) as command:
            with worker(tmp_path / "w", address, "--no-nanny"):
                assert until(lambda: "1 of 2: agree" in said.read_text())
            assert until(lambda: sentence in said.read_text())
            with worker(tmp_path / "w", address, "--no-nanny"):
                assert command.wait(timeout=90) == 1
    assert said.read_text().count(sentence) == 1
    assert [file["verdict"] for file in found(output)["files"]] == ["agree", "timeout"]


@pytest.mark.slow
def test_workers_of_this_machine_that_end_for_good_are_said_in_a_sentence(tmp_path, monkeypatch):
    async def stay_away(nanny, status):
        """Start no other worker in place of one that ended."""

    def end(sentence):
        for each in psutil.Process().children(recursive=True):
            command = " ".join(each.cmdline())
            if "spawn_main" in command or "dask worker" in command:
                each.kill()
        said.append(sentence)

    said = []
    monkeypatch.setattr(distributed.Nanny, "_on_worker_exit", stay_away)
    monkeypatch.setattr(cluster, "LOOK_AGAIN", 0.5)
    monkeypatch.setattr(cluster, "STARTING_AGAIN", 1.0)
    (tmp_path / "a.py").write_text(RIGHT)
    with pytest.raises(ValueError, match=r"^scheduler: got local, whose workers ended; what was "):
        judge_on(Cluster("local", 1), [tmp_path / "a.py"], Limits(), said=end)
    assert [sentence.split(":")[0] for sentence in said] == [
        "Connected with tcp",
        "There is no worker at tcp",
    ]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl makes certificates")
def test_a_scheduler_that_asks_for_tls_gets_it(capsys, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    names = tmp_path / "names"
    names.write_text("[req]\ndistinguished_name = dn\n[dn]\n")
    request = "req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 2 -config".split()
    subprocess.run(
        ["openssl", *request, names, "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    tls = ("--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key)
    (tmp_path / "a.py").write_text(RIGHT)
    arguments = (tmp_path / "a.py", "--no-cache", "--scheduler")
    with scheduler(tmp_path, "tls://127.0.0.1", *tls) as (_, address):
        assert address.startswith("tls://")
        with worker(tmp_path / "w", address, *tls):
            status, out, _ = run(capsys, *arguments, address, *tls)
            assert status == 0
            assert "agree" in out
            status, _, said = run(capsys, *arguments, address)
            assert status == 2
            assert said.startswith(f"Error: scheduler: got {address}, which cannot be reached (")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_no_process_no_folder_and_no_traceback(tmp_path, number):
    (tmp_path / "class").mkdir()
    for name in "abc":
        (tmp_path / "class" / f"{name}.py").write_text(ENDLESS)
    own = tmp_path / "own"
    own.mkdir()
    arguments = ("check", tmp_path / "class", "--no-cache", "--scheduler", "local", "--jobs", 2)
    environment = os.environ | {"TMPDIR": str(own)}
    with process("backproof", *arguments, stderr=subprocess.PIPE, env=environment) as command:
        assert until(lambda: len(list(own.glob("backproof-*"))) == 3)
        time.sleep(1)
        below = psutil.Process(command.pid).children(recursive=True)
        os.killpg(command.pid, number) if number == signal.SIGINT else command.terminate()
        _, said = command.communicate(timeout=30)
        assert command.returncode == 128 + number
        assert said.split("\n", 1)[1].strip() == "Interrupted."
        assert until(lambda: not any(each.is_running() for each in below), 20)
    assert until(lambda: not list(own.glob("backproof-*")), 20)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--scheduler", "tcp://127.0.0.1:9"), "scheduler: got tcp://127.0.0.1:9, which cannot"),
        (("--scheduler", "nonsense"), "scheduler: got nonsense, expected local or an address"),
        (("--scheduler", "tcp://h:1", "--jobs", 2), "jobs: got 2 with the scheduler tcp://h:1, "),
        (("--tls-key", "k.pem"), "scheduler: got none, expected one with --tls-ca-file"),
        (("--scheduler", "local", "--tls-key", "k.pem"), "tls-ca-file: got none, expected a file"),
    ],
)
def test_what_is_wrong_with_the_options_is_said_in_a_sentence(
    capsys, tmp_path, monkeypatch, options, sentence
):
    monkeypatch.setattr("verify.homework.run.cluster.CONNECTING", 1.0)
    (tmp_path / "a.py").write_text(RIGHT)
    status, out, said = run(capsys, tmp_path / "a.py", "--no-cache", *options)
    assert (status, out) == (2, "")
    assert said.startswith(f"Error: {sentence}")
    assert said.count("\n") == 1


def test_files_of_tls_that_are_not_there_are_named(tmp_path):
    (tmp_path / "ca.pem").write_text("")
    (tmp_path / "cert.pem").write_text("")
    files = [tmp_path / f"{name}.pem" for name in ("ca", "cert", "key")]
    with pytest.raises(ValueError, match=r"^tls-key: got .*key\.pem, expected a file that is"):
        Cluster("tls://h:1", 1, *files)


def test_a_worker_with_other_versions_is_refused():
    check_versions(versions())
    check_versions(versions() | {"python": f"3.{sys.version_info.minor}.99"})
    for name, theirs in (("numpy", "1.0"), ("python", "3.9.1")):
        with pytest.raises(ValueError, match=f"^scheduler: got a worker with {name} {theirs}, "):
            check_versions(versions() | {name: theirs})


@pytest.mark.slow
def test_a_warm_server_judges_one_file_after_another_and_is_replaced_where_it_ends(tmp_path):
    file = tmp_path / "a.py"
    file.write_text(RIGHT)
    servers = WarmServers("verify.homework.judge", "auto")
    job = job_of(7, file, Limits(), None, 0)
    first = servers.judge(job, parcel(file))
    (server,) = servers._idle
    second = servers.judge(job, parcel(file))
    assert [each.verdict for each in (first, second)] == ["agree", "agree"]
    assert servers._idle == [server]
    for process in psutil.Process().children():
        if any(argument.endswith("start.py") for argument in process.cmdline()):
            process.kill()
    assert servers.judge(job, parcel(file)).verdict == "agree"
    assert servers._idle != [server]
    servers._idle[0].end()


def test_without_the_extra_a_scheduler_is_refused_in_a_sentence(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    (tmp_path / "a.py").write_text(RIGHT)
    status, _, said = run(capsys, tmp_path / "a.py", "--no-cache", "--scheduler", "local")
    assert status == 2
    assert said == (
        "Error: scheduler: got local, expected the extra cluster with it: "
        "pip install 'backproof[cluster]'\n"
    )
