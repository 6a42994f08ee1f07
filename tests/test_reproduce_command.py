"""`backproof reproduce`: what it prints, where, and with which exit status."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest
from click.testing import CliRunner

from verify.cli import reproduce as module
from verify.course.datasets import DATA_VARIABLE
from verify.course.reproduce import Reproduction, load_figures
from verify.show import course_comparisons

COMMAND = (sys.executable, "-m", "backproof", "reproduce")
QUICK = ("linear-forward", "cost")
AGREES = Reproduction("cost", True, 16, "digits", "cost", "0.1", "0.1", "as it should be")
SHORT = Reproduction("update", False, 3, "decimals", "W1[0, 0]", "1.00000000", "1.0010000000")
ABSENT = Reproduction("reg-l2", None, remark="data: football is read from data.mat; set X")


def run(*arguments, **environment):
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )


def invoke(*arguments):
    """Run the command in this process; return its status and what it printed."""
    result = CliRunner().invoke(module.command, arguments, standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.return_value, result.stdout, result.stderr


@pytest.fixture
def outcomes(monkeypatch):
    """Let the command find these outcomes instead of computing any."""
    found = {outcome.id: outcome for outcome in (AGREES, SHORT, ABSENT)}
    monkeypatch.setattr("verify.course.reproduce.reproduce", lambda figure: found[figure["id"]])


def test_json_is_the_object_of_the_contract_and_a_pipe_sees_no_progress():
    result = run(*QUICK, "--format", "json")
    assert result.returncode == 0
    assert result.stderr == ""
    assert json.loads(result.stdout) == {
        "figures": [
            {"id": "linear-forward", "agree": True, "digits": 8, "remark": ""},
            {"id": "cost", "agree": True, "digits": 16, "remark": ""},
        ],
        "agree": 2,
        "total": 2,
    }


def test_a_terminal_sees_which_figure_is_at_work():
    master, slave = pty.openpty()
    result = subprocess.run(
        [*COMMAND, *QUICK], stdout=subprocess.PIPE, stderr=slave, timeout=120, check=True
    )
    os.close(slave)
    shown = os.read(master, 100_000).decode()
    os.close(master)
    assert "1/2" in shown
    assert "cost" in shown
    assert "2 of 2 figures agree" in result.stdout.decode()


def test_the_table_shows_printed_beside_computed(outcomes):
    _, shown, _ = invoke("cost", "update")
    lines = shown.splitlines()
    assert lines[1].split() == ["cost", "cost", "0.1", "0.1", "16", "digits"]
    assert lines[2].split()[:5] == ["update", "W1[0,", "0]", "1.00000000", "1.0010000000"]
    assert lines[2].endswith("3 decimals  DIFFERS")
    assert "cost: as it should be." in lines
    assert lines[-1].startswith("1 of 2 figures agree")


@pytest.mark.parametrize(
    ("figures", "status"), [(["cost"], 0), (["update"], 1), (["cost", "update", "reg-l2"], 1)]
)
def test_the_status_is_1_where_any_falls_short(outcomes, figures, status):
    assert invoke(*figures)[0] == status


def test_absent_data_is_listed_with_its_cure_and_not_counted(outcomes):
    status, shown, _ = invoke("cost", "reg-l2", "--format", "json")
    result = json.loads(shown)
    assert status == 0
    assert (result["agree"], result["total"]) == (1, 1)
    assert result["figures"][1] == {
        "id": "reg-l2",
        "agree": None,
        "digits": None,
        "remark": ABSENT.remark,
    }
    _, table, _ = invoke("cost", "reg-l2")
    assert "reg-l2                      data absent\n" in table
    assert f"Not computed: {ABSENT.remark}.\n" in table
    assert "1 of 1 figures agree, 1 without their data" in table


def test_figures_whose_data_is_absent_name_the_variable_to_set():
    result = run("reg-l2", "cost", **{DATA_VARIABLE: ""})
    assert result.returncode == 0
    assert f"{DATA_VARIABLE}: got nothing" in result.stdout


def test_where_nothing_can_be_computed_the_cure_is_the_error():
    result = run("reg-l2", **{DATA_VARIABLE: "/nowhere"})
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: data: got /nowhere/data.mat, which does not exist")
    assert DATA_VARIABLE in result.stderr


def test_an_unknown_figure_is_one_sentence_that_names_the_known():
    result = run("no-such-figure")
    assert result.returncode == 2
    assert result.stderr.startswith("Error: figure: got no-such-figure, expected init-two-layer, ")
    assert len(result.stderr.splitlines()) == 1


def test_without_names_every_figure_is_computed_in_the_documents_order():
    assert [figure["id"] for figure in module.choose(())] == [f["id"] for f in load_figures()]


def test_the_result_goes_whole_into_a_file(outcomes, tmp_path):
    path = tmp_path / "result.json"
    _, shown, _ = invoke("cost", "--format", "json", "--output-file", str(path))
    assert shown == ""
    assert json.loads(path.read_text())["agree"] == 1


def test_the_comparisons_are_drawn_and_what_lacks_data_is_said(outcomes, monkeypatch, tmp_path):
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    short = [
        {**figure, "iterations": 30, "record_every": 10} if "iterations" in figure else figure
        for figure in load_figures()
    ]
    monkeypatch.setattr(course_comparisons, "load_figures", lambda: short)
    status, _, said = invoke("cost", "--plot", str(tmp_path / "out"))
    assert status == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "initialisation-costs.png",
        "initialisation.png",
    ]
    assert f"Not drawn: regularisation. {DATA_VARIABLE}: got nothing, expected the folder" in said
