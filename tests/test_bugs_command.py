"""`backproof bugs` as a process: the table, the JSON, one bug explained, and wrong input."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from verify.cli import main

SMALL = ("--data", "circles", "--layers", "4,3", "--examples", "60")


def backproof(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "backproof", "bugs", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_json_counts_every_bug_and_says_what_was_left_out():
    run = backproof(*SMALL, "--hidden", "tanh", "--format", "json")
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    found = json.loads(run.stdout)
    assert found["total"] == len(found["bugs"]) >= 40
    assert found["caught"] == found["layer_right"] == found["named_right"] == found["total"]
    assert {"id", "caught", "layer_right", "named_right"} <= set(found["bugs"][0])
    assert {one["id"]: one["why"] for one in found["left_out"]}["output-sigmoid-under-softmax"]


def test_the_table_has_a_row_a_bug_and_ends_with_the_count(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["bugs", *SMALL, "--layer", "2"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "mask-forgotten" in shown
    assert "layer 2" in shown
    assert "named right" in " ".join(shown.splitlines()[-2:])


def test_show_explains_one_bug_with_formulas_and_numbers(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["bugs", *SMALL, "--show", "mask-forgotten"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "wrong  dA2 = W3.T @ dZ3\n" in shown
    assert "right  dA2 = (W3.T @ dZ3) * mask2 / keep_prob\n" in shown
    assert "unchanged: dW3, db3" in shown
    assert "The check disagrees:" in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--show", "mask-forgoten"),
            "Error: show: got 'mask-forgoten', expected an id that `backproof bugs` lists, such as "
            "mask-forgotten",
        ),
        (
            ("--show", "output-sigmoid-under-softmax", *SMALL),
            "Error: show: got output-sigmoid-under-softmax, expected a bug that can be written in "
            "this network",
        ),
        (
            ("--show", "upstream-doubled", *SMALL, "--keep-prob", "0.5"),
            "Error: show: got upstream-doubled, expected a bug that shows here: it makes the same "
            "numbers as a second division by keep_prob",
        ),
        (("--layer", "9", *SMALL), "Error: layer: got 9, expected 1 to 3"),
        (("--keep-prob", "1.2", *SMALL), "Error: keep_prob: got 1.2, expected a number in (0, 1]"),
        (("--format", "html", *SMALL), "Error: format: got 'html', expected table, json"),
    ],
)
def test_wrong_input_is_one_sentence_and_status_two(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["bugs", *arguments])
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(sentence)
    assert shown.err.count("\n") == 1
    assert shown.out == ""
