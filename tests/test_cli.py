"""The command line as a process: Ctrl-C while modules load, and output that nobody reads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from verify.cli import main

COMMAND = [sys.executable, "-m", "backproof"]

STRUCK = """
import os, signal, sys

class Strike:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Strike())
from verify.cli import main
main(["verify", "--data", "circles"])
"""


@pytest.mark.parametrize("module", ["click", "verify.cli.verify", "numpy"])
def test_ctrl_c_while_modules_load_ends_in_one_word(module):
    run = subprocess.run(
        [sys.executable, "-c", STRUCK.format(module=module)], capture_output=True, text=True
    )
    assert run.returncode == 130
    assert run.stderr.split() == ["Interrupted."]
    assert run.stdout == ""


@pytest.mark.parametrize("arguments", [("--help",), ("verify", "--help"), ()])
def test_a_pipe_that_nobody_reads_ends_it_quietly_by_its_signal(arguments):
    read, write = os.pipe()
    os.close(read)
    try:
        run = subprocess.run([*COMMAND, *arguments], stdout=write, stderr=write)
    finally:
        os.close(write)
    assert run.returncode == -signal.SIGPIPE


def test_what_a_closed_pipe_leaves_on_stderr_is_nothing():
    read, write = os.pipe()
    os.close(read)
    try:
        run = subprocess.run([*COMMAND, "--help"], stdout=write, stderr=subprocess.PIPE)
    finally:
        os.close(write)
    assert run.stderr == b""


def test_a_command_that_is_misspelt_is_answered_with_the_nearest(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["chek", "homework.py"])
    assert exit.value.code == 2
    assert capsys.readouterr().err.endswith("did you mean check?\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("check x.py --timeout soon", "timeout: got 'soon', expected a number"),
        ("check x.py --jobs 1.5", "jobs: got '1.5', expected a whole number"),
        ("train --print-costs 0", "print-costs: got 0, expected x>=1"),
        ("speed --seconds 61", "seconds: got 61.0, expected 0<x<=60"),
    ],
)
def test_an_option_of_a_wrong_kind_is_refused_by_its_name(arguments, says, capsys):
    with pytest.raises(SystemExit) as exit:
        main(arguments.split())
    assert exit.value.code == 2
    assert capsys.readouterr().err == f"Error: {says}\n"


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("backproof che", ["check"]),
        ("backproof verify --data c", ["circles", "cats"]),
        ("backproof verify --hidden relu,t", ["relu,tanh"]),
        ("backproof verify --format j", ["json"]),
        ("backproof verify --finite-difference e", ["exhaustive"]),
    ],
)
def test_the_shell_completes_commands_and_what_options_take(words, offered):
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    run = subprocess.run(
        [Path(sys.executable).parent / "backproof"], capture_output=True, text=True,
        env={**os.environ, **asked, "_BACKPROOF_COMPLETE": "bash_complete"},
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines() == [f"plain,{word}" for word in offered]
