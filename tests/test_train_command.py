"""`backproof train`: what it prints, saves and draws; stopped, killed and continued."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from random import Random

import numpy as np
import pytest

from verify.cli import main
from verify.course.model_files import load

SMALL = ("--data", "circles", "--layers", "4,3", "--init", "he", "--backend", "manual")
COMMAND = (sys.executable, "-m", "backproof", "train")

needs_data = pytest.mark.skipif(
    not os.environ.get("BACKPROOF_DATA"), reason="BACKPROOF_DATA does not name the course's files"
)


@pytest.fixture
def backproof(capsys):
    """Return a function that runs a command in this process: (status, stdout, stderr)."""

    def run(*arguments):
        with pytest.raises(SystemExit) as exit:
            main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return exit.value.code, shown.out, shown.err

    return run


@pytest.fixture
def train(backproof):
    return lambda *arguments: backproof("train", *SMALL, *arguments)


def same_training(a, b) -> bool:
    """Whether two model files hold the same bits, whichever way they came to them."""
    one, other = load(a), load(b)
    return (
        one.iteration == other.iteration
        and one.cost == other.cost
        and np.array_equal(one.costs, other.costs)
        and all(np.array_equal(one.params[name], other.params[name]) for name in one.params)
    )


def test_it_prints_what_was_trained_how_and_how_well(train):
    status, out, err = train("--iterations", 50, "--seed", 3)
    assert (status, err) == (0, "")
    assert "circles: 300 examples; network 2-4-3-1 (relu, sigmoid), float64" in out
    assert "NumPy, by hand: 50 iterations" in out
    assert "train accuracy 0." in out
    assert "test accuracy 0." in out
    assert "called outer  called inner" in out


def test_the_json_says_what_the_table_says(train):
    status, out, _ = train("--iterations", 50, "--record-every", 20, "--format", "json")
    result = json.loads(out)
    assert status == 0
    assert result["layers"] == [2, 4, 3, 1]
    assert result["iterations"] == 50
    assert [each["iteration"] for each in result["costs"]] == [0, 20, 40]
    for part, count in (("train", 300), ("test", 100)):
        assert sum(map(sum, result[part]["confusion"])) == result[part]["examples"] == count
        assert result[part]["accuracy"] == result[part]["right"] / count


@pytest.mark.parametrize(
    ("options", "way"),
    [
        (("--backend", "manual"), "NumPy, by hand"),
        (("--backend", "autodiff"), "JAX"),
        (
            ("--backend", "manual", "--strategy", "span"),
            "NumPy, by hand, the first layer in the span of the data",
        ),
        (("--strategy", "span"), "JAX, the first layer in the span of the data"),
    ],
)
def test_the_way_that_steps_are_taken_is_shown(backproof, options, way):
    status, out, _ = backproof("train", "--data", "circles", "--iterations", 3, *options)
    assert status == 0
    assert f"\n{way}: 3 iterations" in out


def test_what_is_saved_is_what_was_trained(train, tmp_path):
    path = tmp_path / "model.h5"
    status, out, _ = train("--iterations", 120, "--save", path, "--seed", 3)
    model = load(path)
    assert status == 0
    assert f"saved to {path}" in out
    assert model.iteration == 120
    assert len(model.costs) == 2
    assert model.classes == ("outer", "inner")
    assert model.settings["seed"] == 3


@pytest.mark.unchecked
@pytest.mark.parametrize("way", [(), ("--backend", "autodiff", "--strategy", "span")])
def test_more_iterations_continue_to_the_bits_of_a_run_never_stopped(
    train, backproof, way, tmp_path
):
    whole, parts = tmp_path / "whole.h5", tmp_path / "parts.h5"
    options = ("--l2", 0.3, "--keep-prob", 0.8, *way)
    assert train(*options, "--iterations", 620, "--save", whole)[0] == 0
    assert train(*options, "--iterations", 333, "--save", parts)[0] == 0
    assert load(parts).iteration == 333
    assert backproof("train", "--resume", parts, "--iterations", 620)[0] == 0
    assert same_training(parts, whole)


def test_pictures_are_drawn_of_what_the_data_allow(train, backproof, tmp_path):
    status, out, _ = train("--iterations", 20, "--plot", tmp_path / "new" / "circles")
    assert status == 0
    assert {path.name for path in (tmp_path / "new" / "circles").iterdir()} == {
        "cost.png", "boundary.png",
    }  # fmt: skip
    assert "boundary.png" in out
    backproof(
        "train", "--data", "digits", "--layers", "4", "--iterations", 5, "--backend", "manual",
        "--plot", tmp_path / "digits",
    )  # fmt: skip
    assert {path.name for path in (tmp_path / "digits").iterdir()} == {
        "cost.png", "mislabelled.png",
    }  # fmt: skip


def test_a_sweep_compares_sizes_and_draws_them(train, tmp_path):
    status, out, _ = train(
        "--iterations", 30, "--sweep", "1,3", "--plot", tmp_path, "--format", "json"
    )
    result = json.loads(out)
    assert status == 0
    assert [each["hidden_units"] for each in result["sweep"]] == [1, 3]
    assert [each["layers"] for each in result["sweep"]] == [[2, 1, 1], [2, 3, 1]]
    assert (tmp_path / "sweep.png").exists()
    status, out, _ = train("--iterations", 30, "--sweep", "1,3")
    assert "hidden units" in out


def test_a_line_cannot_cut_the_flower(backproof):
    status, out, _ = backproof(
        "train", "--data", "flower", "--layers", "4", "--hidden", "tanh", "--init", "normal:0.01",
        "--learning-rate", 1.2, "--iterations", 2000, "--baseline", "--format", "json",
    )  # fmt: skip
    result = json.loads(out)
    assert status == 0
    assert result["baseline"]["train"]["accuracy"] < 0.6
    assert result["baseline"]["C"] > 0
    assert result["train"]["accuracy"] > 0.85


def test_the_trained_parameters_can_be_checked_three_ways(train):
    status, out, _ = train("--iterations", 20, "--check", "--l2", 0.3, "--keep-prob", 0.8)
    assert status == 0
    assert "AGREE" in out
    status, out, _ = train("--iterations", 20, "--check", "--format", "json")
    assert json.loads(out)["check"]["verdict"] == "agree"


# What goes wrong.


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--learning-rate", "nan"), "learning_rate: got nan, expected a number above 0"),
        (("--learning-rate", "0"), "learning_rate: got 0.0, expected a number above 0"),
        (("--backend", "torch"), "backend: got 'torch', expected autodiff, manual"),
        (("--strategy", "leap"), "strategy: got 'leap', expected loop, span"),
        (("--save", "nowhere/model.h5"), "expected a file in a folder that exists"),
        (("--sweep", "1,x"), "sweep: got '1,x', expected whole numbers"),
        (("--sweep", "2"), "sweep: expected neither --save"),
    ],
)
def test_wrong_input_gets_one_sentence_and_leaves_nothing(
    train, options, sentence, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    status, out, err = train("--iterations", 5, "--save", "new.h5", *options)
    assert (status, out) == (2, "")
    assert sentence in err
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_of_nothing_and_a_resumption_of_nothing_are_refused(backproof):
    status, _, err = backproof("train", "--sweep", "")
    assert (status, err) == (2, "Error: sweep: got no sizes, expected at least one, as in 1,2,3\n")
    status, _, err = backproof("train", "--resume", "nowhere.h5")
    assert (status, err) == (
        2,
        "Error: model: got nowhere.h5, which does not exist, expected a model "
        "that `backproof train` saved\n",
    )


def test_a_file_that_is_no_model_is_not_overwritten(train, tmp_path):
    path = tmp_path / "thesis.h5"
    path.write_bytes(b"years of work")
    status, _, err = train("--iterations", 5, "--save", path)
    assert status == 2
    assert "which is not a model" in err
    assert path.read_bytes() == b"years of work"


def test_a_diverging_run_names_the_iteration_and_keeps_the_last_good_model(train, tmp_path):
    path = tmp_path / "model.h5"
    status, out, err = train("--learning-rate", 1e3, "--l2", 10, "--save", path)
    model = load(path)
    assert status == 1
    assert err.count("\n") == 1
    assert f"the loss is not finite from iteration {model.iteration + 1} on," in err
    assert np.isfinite(model.cost)
    assert f"{model.iteration} iterations" in out


def test_resuming_takes_its_settings_from_the_file_alone(train, backproof, tmp_path):
    path = tmp_path / "model.h5"
    train("--iterations", 30, "--save", path)
    for option, value in (("--layers", "5"), ("--l2", 1), ("--backend", "manual")):
        status, _, err = backproof("train", "--resume", path, option, value)
        assert status == 2
        assert f"{option}: got a value with --resume, expected none" in err
    status, _, err = backproof("train", "--resume", path, "--iterations", 20)
    assert status == 2
    assert "iterations: got 20, expected a whole number of at least 30" in err
    status, out, _ = backproof("train", "--resume", path)
    assert status == 0
    assert "0 iterations" in out


def test_a_training_is_not_continued_on_other_data(train, backproof, tmp_path, monkeypatch):
    import dataclasses

    from verify.cli import options

    path = tmp_path / "model.h5"
    train("--iterations", 30, "--save", path)
    genuine = options.load("circles")
    moved = dataclasses.replace(genuine, X=genuine.X + 1e-9)
    monkeypatch.setattr(options, "load", lambda *_: moved)
    status, _, err = backproof("train", "--resume", path, "--iterations", 60)
    assert status == 2
    assert "a model of other data than circles has now" in err


# As a process: signals, terminals.


def started(path, *options):
    """Start a long training that saves all the time; return it once the file is there."""
    process = subprocess.Popen(
        [*COMMAND, *SMALL, "--iterations", "10000000", "--save", path, "--save-every", "0",
         *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.02)
    return process


@pytest.mark.parametrize(
    ("number", "status", "way"),
    [
        (signal.SIGINT, 130, ("--backend", "manual", "--keep-prob", "0.8")),
        pytest.param(
            *(signal.SIGTERM, 143, ("--backend", "autodiff", "--strategy", "span")),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_signal_saves_and_resuming_ends_as_if_it_never_came(
    number, status, way, backproof, tmp_path
):
    path, whole = tmp_path / "model.h5", tmp_path / "whole.h5"
    process = started(path, *way)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    stopped = load(path).iteration
    assert process.returncode == status
    assert out == ""
    assert err == (
        f"Interrupted at iteration {stopped} of 10000000; saved to {path}, and "
        f"backproof train --resume {path} continues.\n"
    )
    target = str(stopped + 333)
    assert backproof("train", "--resume", path, "--iterations", target)[0] == 0
    assert backproof("train", *SMALL, *way, "--iterations", target, "--save", whole)[0] == 0
    assert same_training(path, whole)


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_model_that_loads(tmp_path):
    rng, path = Random(1), tmp_path / "model.h5"
    for _ in range(3):
        path.unlink(missing_ok=True)
        with started(path) as process:
            time.sleep(rng.uniform(0, 0.3))
            process.kill()
            process.communicate()
        assert load(path).iteration >= 0


def test_progress_is_shown_to_a_terminal_and_a_pipe_hears_nothing(tmp_path):
    options = (*SMALL, "--iterations", "3000")
    piped = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=60)
    assert (piped.returncode, piped.stderr) == (0, "")

    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *options], stdout=subprocess.PIPE, stderr=slave, text=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(slave)
    shown = b""
    while True:
        ready, _, _ = select.select([master], [], [], 60)
        try:
            piece = os.read(master, 4096) if ready else b""
        except OSError:  # the other end is closed: Linux's way of saying end of file
            break
        if not piece:
            break
        shown += piece
    out, _ = process.communicate(timeout=60)
    os.close(master)
    assert process.returncode == 0
    for word in (b"training", b"3000", b"cost 0.", b"steps/s"):
        assert word in shown
    assert "train accuracy" in out
    assert "steps/s" not in out


@needs_data
def test_the_course_s_cats_come_out_at_the_course_s_accuracy(backproof, tmp_path):
    status, out, _ = backproof(
        "train", "--data", "cats", "--layers", "20,7,5", "--init", "fan-in", "--seed", 1,
        "--learning-rate", 0.0075, "--iterations", 2500, "--save", tmp_path / "cat.h5",
        "--plot", tmp_path / "out",
    )  # fmt: skip
    assert status == 0
    assert "train accuracy 0.9856 " in out
    assert "test accuracy 0.8000 " in out
    assert "JAX, the first layer in the span of the data: 2500 iterations" in out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"cost.png", "mislabelled.png"}


def test_costs_are_printed_as_they_are_trained(train):
    status, out, err = train("--iterations", 250, "--print-costs", 100)
    assert (status, err) == (0, "")
    assert [line.split(":")[0] for line in out.splitlines() if line.startswith("iteration")] == [
        "iteration 0", "iteration 100", "iteration 200",
    ]  # fmt: skip
    status, out, err = train("--iterations", 250, "--print-costs", 100, "--record-every", 50,
                             "--format", "json")  # fmt: skip
    costs = {each["iteration"]: each["cost"] for each in json.loads(out)["costs"]}
    assert err.splitlines() == [f"iteration {n}: cost {costs[n]:.6f}" for n in (0, 100, 200)]


def test_costs_are_printed_on_from_where_a_training_is_resumed(train, backproof, tmp_path):
    train("--iterations", 150, "--record-every", 50, "--save", tmp_path / "model.h5")
    _, out, _ = backproof(
        "train", "--resume", tmp_path / "model.h5", "--iterations", 260, "--print-costs", 100
    )
    assert [line.split(":")[0] for line in out.splitlines() if line.startswith("iteration")] == [
        "iteration 200"
    ]


def test_costs_that_are_not_recorded_cannot_be_printed(train):
    status, _, err = train("--print-costs", 30, "--record-every", 20)
    assert status == 2
    assert err.startswith("Error: print-costs: got 30, expected a multiple of 20")


def test_it_says_when_one_class_is_answered_to_everything(train):
    _, out, _ = train("--init", "zeros", "--iterations", 10)
    assert "It answers" in out
    _, out, _ = train("--iterations", 2000, "--learning-rate", 0.5)
    assert "It answers" not in out
