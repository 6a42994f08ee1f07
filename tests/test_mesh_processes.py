"""Several processes run one command together: they give the numbers of one, and end together."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import numpy as np
import psutil
import pytest
from mesh_runs import environment

import autodiff
from verify.cli import processes as several
from verify.cli.processes import LOST, Process, ending, in_any_process, process_from
from verify.course.model_files import load

SMALL = ("--data", "circles", "--layers", "4,3", "--keep-prob", "0.9")
TRAINING = ("train", *SMALL)
ENDLESS = (*TRAINING, "--iterations", 10**9, "--save-every", 0)
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "localhost",
    "SLURM_NTASKS": "2",
    "SLURM_STEP_NUM_TASKS": "2",
}


def of_a_host_with_an_address() -> list[str]:
    """Return what goes before a command, so that the host's own name has an address for gloo."""
    try:
        socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        renamed = ["unshare", "--user", "--map-root-user", "--uts", "sh", "-c"]
        renamed += ['hostname localhost; exec "$@"', "sh"]
        if not shutil.which("unshare") or subprocess.run([*renamed, "true"]).returncode:
            pytest.skip("this host's own name has no address")
        return renamed
    return []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@contextmanager
def started(*arguments: object, devices: int = 2, slurm: bool = False):
    """Start two processes of one command, with so many devices each; end them at the end."""
    where = f"localhost:{free_port()}"
    before = of_a_host_with_an_address()
    with ExitStack() as stack:
        processes = []
        for number in range(2):
            by_options = ("--coordinator", where, "--num-processes", 2, "--process-id", number)
            by_slurm = {**SLURM, "SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)}
            process = subprocess.Popen(
                [*before, sys.executable, "-m", "backproof",
                 *map(str, (*arguments, *(() if slurm else by_options)))],
                env=environment(devices) | (by_slurm if slurm else {}),
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        yield processes


def ended(processes) -> list[tuple[int, str, str]]:
    """Return the status, the output and the errors of each, when all have ended."""
    outputs = [each.communicate(timeout=120) for each in processes]
    return [(each.returncode, *shown) for each, shown in zip(processes, outputs, strict=True)]


def run_together(*arguments: object, **how) -> list[tuple[int, str, str]]:
    with started(*arguments, **how) as processes:
        return ended(processes)


def until(there) -> None:
    for _ in range(1000):
        if there():
            return
        time.sleep(0.1)
    raise AssertionError("it never came")


def child_of(process) -> psutil.Process:
    """Return the process that does the work; what was started is its parent."""
    (child,) = psutil.Process(process.pid).children()
    return child


def alone(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backproof", *map(str, arguments)],
        env=environment(1), capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("slurm", [False, True], ids=["options", "slurm"])
def test_two_processes_train_to_the_costs_of_one_and_the_first_alone_speaks(tmp_path, slurm):
    model, single = tmp_path / "model.h5", tmp_path / "single.h5"
    how = (*TRAINING, "--iterations", 200, "--record-every", 1)
    first, second = run_together(*how, "--save", model, "--format", "json", devices=2, slurm=slurm)
    assert (first[0], first[2]) == (0, "")
    assert second == (0, "", "")
    assert json.loads(first[1])["devices"] == 4
    assert alone(*how, "--save", single).returncode == 0
    np.testing.assert_allclose(load(model).costs, load(single).costs, rtol=1e-12)
    assert len(load(model).costs) == 200


@pytest.mark.slow
def test_two_processes_check_every_weight_as_one_does():
    how = ("verify", "--data", "circles", "--layers", "5,3", "--format", "json")
    (status, output, errors), second = run_together(*how)
    assert (status, errors) == (0, "")
    assert second == (0, "", "")
    together, single = json.loads(output), json.loads(alone(*how).stdout)
    assert together["settings"].pop("devices") == 4
    assert single["settings"].pop("devices") == 1
    assert together["settings"] == single["settings"]
    assert together["verdict"] == single["verdict"] == "agree"


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_where_one_is_killed_the_other_says_so_and_one_process_goes_on(tmp_path, lost):
    model = tmp_path / "model.h5"
    with started(*ENDLESS, "--save", model) as processes:
        until(model.exists)
        child_of(processes[lost]).kill()
        results = ended(processes)
    killed, other = results[lost], results[1 - lost]
    assert killed == (1, "", f"Error: process {lost} of 2 was ended by SIGKILL\n")
    assert other == (
        1,
        "",
        f"Error: process {1 - lost} of 2 lost another one, which has ended or cannot be reached; "
        "a training goes on with --resume from what was last saved\n",
    )
    reached = load(model).iteration
    went_on = alone("train", "--resume", model, "--iterations", reached + 20, "--format", "json")
    assert went_on.returncode == 0, went_on.stderr
    assert json.loads(went_on.stdout)["iterations"] == reached + 20


@pytest.mark.slow
def test_a_worker_ends_with_its_parent(tmp_path):
    model = tmp_path / "model.h5"
    with started(*ENDLESS, "--save", model) as processes:
        until(model.exists)
        worker = child_of(processes[1])
        processes[1].kill()
        until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_any_process_stops_all_at_one_iteration(tmp_path, number):
    model = tmp_path / "model.h5"
    with started(*ENDLESS, "--save", model) as processes:
        until(model.exists)
        processes[1].send_signal(number)
        first, second = ended(processes)
    assert first[0] == second[0] == 128 + number
    assert first[2].startswith(f"Interrupted at iteration {load(model).iteration} of")
    assert second[1:] == ("", "")


def test_a_signal_that_comes_while_processes_ask_each_other_counts_in_all_or_in_none(monkeypatch):
    caught = []

    def least(mine):
        caught.append(signal.SIGINT)
        return mine

    monkeypatch.setattr(several, "is_one_of_several", lambda: True)
    monkeypatch.setattr(autodiff, "least", least)
    assert not in_any_process(caught)
    assert in_any_process(caught)


@pytest.mark.slow
def test_what_is_wrong_with_the_input_is_said_in_a_sentence():
    first, _ = run_together("train", "--data", "circles", "--backend", "manual")
    assert first[0] == 2
    assert first[2] == "Error: backend: got manual in several processes, expected autodiff\n"


SLURM_STEP = {**SLURM, "SLURM_PROCID": "1", "SLURM_LOCALID": "1"}


@pytest.mark.parametrize(
    ("options", "environ", "expected"),
    [
        ((None, None, None), {}, None),
        ((None, 1, None), {}, None),
        (("h:1", 3, 2), {}, Process("h:1", 3, 2)),
        (("h:1", 3, 0), SLURM_STEP, Process("h:1", 3, 0)),
        ((None, None, None), SLURM_STEP, Process(None, 2, 1)),
        ((None, 1, None), SLURM_STEP, None),
        ((None, None, None), {**SLURM_STEP, "SLURM_STEP_NUM_TASKS": "1"}, None),
        (("h:1", 4, None), {"JOB_COMPLETION_INDEX": "3"}, Process("h:1", 4, 3)),
    ],
)
def test_which_process_this_is_comes_from_options_or_the_environment(options, environ, expected):
    assert process_from(*options, environ) == expected


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((None, None, 1), "process_id: got 1, expected --num-processes and --coordinator with it"),
        (("h:1", None, None), "num_processes: got none, expected how many processes there are"),
        (("h:1", 2, None), "process_id: got none, expected 0 to 1, another for each process"),
        (("h:1", 2, 2), "process_id: got 2, expected 0 to 1, another for each process"),
        ((None, 2, 0), "coordinator: got none, expected HOST:PORT, the same for every process"),
    ],
)
def test_half_of_the_options_is_refused_with_what_is_missing(options, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        process_from(*options, {})


@pytest.mark.parametrize(
    ("status", "written", "sentence"),
    [
        (-signal.SIGKILL, ["[Gloo] Rank 0 is connected to 1 peer ranks"], "was ended by SIGKILL"),
        (-signal.SIGABRT, ["F0000 heartbeat timeout", "stack"], "lost another one, which has"),
        (LOST, ["UNKNOWN: Gloo all-reduce failed: Connection closed by peer"], "lost another one"),
        (-signal.SIGSEGV, ["connection"], "was ended by SIGSEGV"),
        (LOST, ["INTERNAL: no such kernel"], "failed: INTERNAL: no such kernel"),
    ],
)
def test_how_a_child_ended_is_told_in_one_sentence(status, written, sentence):
    told = ending(Process("h:1", 2, 0), status, written)
    assert told.startswith(f"process 0 of 2 {sentence}")
    assert "\n" not in told
