"""`backproof verify` as a process: what it prints, and what it says of wrong input."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from verify.cli import main
from verify.report import PAIRS

SMALL = ("--data", "circles", "--layers", "4,3", "--examples", "40")
DROPPED = (*SMALL, "--keep-prob", "0.9,0.7")


def backproof(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "backproof", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )


@pytest.fixture(scope="module")
def result():
    run = backproof("verify", *DROPPED, "--format", "json")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_json_has_every_field_of_the_contract(result):
    assert result["schema"] == 1
    assert result["verdict"] == "agree"
    assert set(result["loss"]) == {"manual", "autodiff", "agree"}
    assert set(result["seconds"]) == {"manual", "autodiff", "finite_difference", "total"}
    assert result["parameters"] == 4 * 2 + 4 + 3 * 4 + 3 + 3 + 1
    for tensor in result["tensors"]:
        assert {"name", "shape", "entries_checked", "kinks", *PAIRS} <= set(tensor)
        for pair in PAIRS:
            assert set(tensor[pair]) == {"max_abs", "relative", "bar_ratio", "agree"}


def test_settings_are_the_options_as_resolved(result):
    settings = result["settings"]
    assert settings["data"] == "circles"
    assert settings["layers"] == [2, 4, 3, 1]
    assert settings["hidden"] == ["relu", "relu"]
    assert settings["output"] == "sigmoid"
    assert settings["keep_prob"] == [0.9, 0.7]
    assert settings["l2"] == 0.7
    assert settings["examples"] == 40
    assert settings["seed"] == 1
    assert settings["finite_difference"] == "exhaustive"


def test_every_entry_is_differenced_where_that_is_quick(result):
    assert sum(t["entries_checked"] for t in result["tensors"]) == result["parameters"]


def test_the_table_names_every_gradient_and_the_verdict():
    run = backproof("verify", *SMALL, "--finite-difference", "sampled")
    assert run.returncode == 0
    assert run.stdout.startswith("AGREE")
    for name in ("dW1", "db1", "dW2", "db2", "dW3", "db3"):
        assert name in run.stdout


def test_training_first_moves_the_parameters_and_still_agrees(result):
    train = ("--train", "50", "--learning-rate", "0.1")
    run = backproof("verify", *DROPPED, *train, "--format", "json")
    assert run.returncode == 0
    assert json.loads(run.stdout)["loss"]["manual"] < result["loss"]["manual"]


def test_output_goes_whole_into_a_file(tmp_path):
    target = tmp_path / "report.json"
    run = backproof("verify", *SMALL, "--format", "json", "--output-file", str(target))
    assert run.stdout == ""
    assert json.loads(target.read_text())["verdict"] == "agree"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    ("arguments", "named", "got"),
    [
        (["--data", "dogs"], "data", "dogs"),
        (["--data", "nowhere/cats.h5"], "data", "nowhere/cats.h5"),
        (["--layers", "0"], "layers", "0"),
        (["--layers", "a"], "layers", "a"),
        (["--layers", "4,3", "--keep-prob", "0"], "keep_prob", "0"),
        (["--layers", "4,3", "--keep-prob", "1.2"], "keep_prob", "1.2"),
        (["--layers", "4,3", "--keep-prob", "0.9,0.8,0.7"], "keep_prob", "3 values"),
        (["--layers", "4,3", "--keep-prob", "half"], "keep_prob", "half"),
        (["--l2", "-1"], "l2", "-1"),
        (["--l2", "nan"], "l2", "nan"),
        (["--hidden", "swish"], "hidden", "swish"),
        (["--output", "linear"], "output", "linear"),
        (["--init", "normal:x"], "init", "normal:x"),
        (["--init", "orthogonal"], "init", "orthogonal"),
        (["--dtype", "float16"], "dtype", "float16"),
        (["--examples", "0"], "examples", "0"),
        (["--examples", "many"], "examples", "many"),
        (["--train", "5", "--learning-rate", "nan"], "learning_rate", "nan"),
        (["--finite-difference", "complex"], "finite_difference", "complex"),
        (["--format", "xml"], "format", "xml"),
        (["--output-file", "nowhere/report.txt"], "output-file", "nowhere"),
        (["--wat"], "--wat", "--wat"),
        (["--seed", "-1"], "seed", "-1"),
        (["--seed", "4294967296"], "seed", "4294967296"),
        (["--layers", "3000000000000"], "memory", "3000000000000"),
        (["--output-file", "."], "output-file", "folder"),
        (["--output-file", ""], "output-file", "folder"),
    ],
)
def test_wrong_input_is_one_sentence_and_status_2(arguments, named, got, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["verify", "--data", "flower", *arguments])
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.strip().splitlines()
    assert line.startswith("Error: ")
    assert named in line
    assert got in line


def test_wrong_input_ends_the_process_with_its_sentence_alone():
    run = backproof("verify", "--data", "dogs")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("Error: data: got 'dogs'")
    assert run.stderr.count("\n") == 1


def test_no_command_shows_the_help_as_it_is_and_status_2():
    run = backproof()
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith("Usage: ")
    assert len(run.stderr.splitlines()) > 10


def test_a_device_is_written_to_and_not_replaced():
    run = backproof("verify", *SMALL, "--output-file", "/dev/stdout")
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("AGREE")


def test_ctrl_c_inside_a_callback_that_drops_exceptions_still_interrupts():
    code = """
import gc, os, signal, time
import click
from verify import cli
from verify.cli import app

@click.command()
def command():
    def callback(phase, info):
        gc.callbacks.remove(callback)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

    gc.callbacks.append(callback)
    gc.collect()
    time.sleep(20)

app.app.get_command = lambda context, name: command
cli.main(["verify"])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 130
    assert run.stderr.split() == ["Interrupted."]


def test_absent_data_says_which_file_and_how_to_point_to_it():
    run = backproof("verify", "--data", "cats", BACKPROOF_DATA="/nowhere")
    assert run.returncode == 2
    assert "train_catvnoncat.h5" in run.stderr
    assert "BACKPROOF_DATA" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


needs_data = pytest.mark.skipif(
    not os.environ.get("BACKPROOF_DATA"), reason="BACKPROOF_DATA is not set"
)


@needs_data
def test_the_cats_agree_on_every_one_of_their_weights():
    run = backproof(
        "verify", "--data", "cats", "--layers", "20,7,5", "--l2", "0.7",
        "--keep-prob", "0.9,0.8,0.86", "--finite-difference", "exhaustive", "--format", "json",
    )  # fmt: skip
    result = json.loads(run.stdout)
    assert run.returncode == 0, result["meaning"]
    assert result["parameters"] == 245973
    assert sum(tensor["entries_checked"] for tensor in result["tensors"]) == 245973
    for tensor in result["tensors"]:
        assert tensor["manual_vs_autodiff"]["relative"] <= 1e-13
        assert tensor["manual_vs_finite_difference"]["relative"] <= 1e-6
        assert tensor["autodiff_vs_finite_difference"]["relative"] <= 1e-6
        assert np.isfinite(tensor["manual_vs_autodiff"]["bar_ratio"])
