"""A finding is data: a name of the catalogue, a sentence written last, and it survives JSON."""

from __future__ import annotations

import ast
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from problems import random_problem
from student import Work, bars, exercise

import verify
from verify.catalogue import CATALOGUE, UNNAMED, in_words
from verify.diagnose import diagnose
from verify.diagnose.chain import record
from verify.diagnose.mistakes import MISTAKES, faults, fitted
from verify.diagnose.wrong_losses import wrong_losses
from verify.findings import FOLLOWS, Extent, Finding, from_data
from verify.gallery import BUGS
from verify.homework.judge import judge_file
from verify.homework.report import FileReport, FunctionVerdict
from verify.homework.report import from_data as report_from_data

pytestmark = pytest.mark.unchecked

SOURCES = Path(verify.__file__).parent
PROBLEM = exercise()
BARS = bars(PROBLEM)


def found(**wrong: str) -> tuple[Finding, ...]:
    work = Work(PROBLEM, **wrong)
    return diagnose(PROBLEM, work.loss, work.grads, BARS)


# The catalogue.


def written_names() -> set[str]:
    """Return every name that is written out where a finding or an alternative is made."""
    names = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                first = node.args[0] if node.args else None
                if node.func.id in ("Finding", "Alternative") and isinstance(first, ast.Constant):
                    names.add(first.value)
    return names


def tabled_names() -> set[str]:
    """Return every name in the tables of mistakes, for each kind of output and penalty."""
    from verify.homework.textbook import activations, linear

    names = {mistake.bug for mistake in MISTAKES}
    for table in (activations._FORWARD_FORMULAS, activations._BACKWARD_FORMULAS):
        names |= {row[0] for _, rows in table.values() for row in rows}
    names |= {row[0] for rows in linear._MISTAKES.values() for row in rows}
    for output in ("sigmoid", "softmax"):
        for l2 in (0.0, 0.7):
            problem = random_problem(
                sizes=(4, 4, 4, 1 if output == "sigmoid" else 3),
                m=6,
                output=output,
                l2=l2,
                keep_prob=0.8,
            )
            tape = record(problem)
            right = verify.diagnose.right_chain(problem)
            seen = {(what, n): 2 * right[what, n] for what in ("dW", "db") for n in tape.layers}
            names |= {function.bug for function in wrong_losses(tape, 1.0)}
            names |= {f.bug for n in tape.layers for f in faults(tape, n)}
            names |= {f.bug for n in tape.layers for f in fitted(tape, right, seen, n)}
    return names


def test_every_name_that_a_check_may_give_is_in_the_catalogue():
    assert len(tabled_names()) >= 150
    assert len(written_names() | tabled_names()) >= 210
    assert written_names() | tabled_names() <= set(CATALOGUE)
    assert set(BUGS) <= set(CATALOGUE)


def test_every_mistake_of_the_catalogue_has_a_phrase_of_its_own_within_its_kind():
    assert {entry.kind for entry in CATALOGUE.values()} == {
        "backward", "shape", "cost", "forward", "check"
    }  # fmt: skip
    told = [(entry.kind, entry.phrase) for entry in CATALOGUE.values()]
    assert sorted({pair for pair in told if told.count(pair) > 1}) == []
    assert in_words(["weights-doubled", "l2-missing"]) == (
        "a dW that is doubled or a missing L2 term"
    )


def test_every_follow_up_that_is_used_has_a_sentence():
    keys = {
        node.value
        for path in SOURCES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(FOLLOWS) <= keys


# The data, and the sentence that is written from it.

SPOILED = [
    {"dW2": "2 * (dZ2 @ A1d.T / m + l2 / m * W2)"},
    {"dW2": "3.7 * (dZ2 @ A1d.T / m + l2 / m * W2)"},
    {"dA1d": "dA1"},
    {"dZ3": "A3 - (0.9 * Y + 0.05)"},
    {"J": "data + penalty + 0.1234"},
    {"J": "data"},
    {"Z2": "W2 @ A1d"},
    {"db2": "np.sum(dZ2, axis=1)"},
    {"dW2": "np.full_like(W2, np.nan)"},
]


@pytest.mark.parametrize("wrong", SPOILED, ids=str)
def test_a_finding_survives_json(wrong):
    findings = found(**wrong)
    assert findings
    for finding in findings:
        again = from_data(json.loads(json.dumps(asdict(finding))))
        assert str(asdict(again)) == str(asdict(finding))  # as text, for nan is not itself
        assert again.to_dict().keys() == finding.to_dict().keys()
        assert (again.detail, again.found) == (finding.detail, finding.found)


def test_what_is_known_of_a_mistake_is_data():
    (finding,) = found(dW2="3.7 * (dZ2 @ A1d.T / m + l2 / m * W2)")
    assert (finding.bug, finding.kind, finding.layer) == ("weights-scaled", "backward", 2)
    assert finding.values["factor"] == pytest.approx(3.7, rel=1e-12)
    assert finding.evidence.mistakes == 1
    assert finding.evidence.tensors == ("dW2",)
    assert finding.evidence.relative < 1e-12


def test_the_worst_entry_of_a_mistake_without_a_name_is_data():
    work = Work(PROBLEM)
    grads = work.grads | {"W2": work.grads["W2"].copy()}
    grads["W2"][3, 1] *= 1.01
    (finding,) = diagnose(PROBLEM, work.loss, grads, BARS)
    (extent,) = finding.extents
    assert (extent.tensor, extent.wrong, extent.size, extent.index) == ("dW2", 1, 30, (3, 1))
    assert extent.found == grads["W2"][3, 1]
    assert extent.right == pytest.approx(work.grads["W2"][3, 1], rel=1e-12)


def test_the_kind_of_a_loss_that_nothing_explains_is_open():
    (finding,) = found(J="data + penalty + 0.1234")
    assert (finding.bug, finding.kind) == ("unknown", "loss")
    assert Finding("unknown", "dW1", 1).kind == CATALOGUE["unknown"].kind == "backward"
    assert set(CATALOGUE) >= UNNAMED


def test_a_wrong_cost_says_that_the_gradients_are_right_only_where_they_are():
    assert "The gradients are right." in found(J="data")[0].detail
    both = found(J="data", dA1d="dA1")
    assert [finding.bug for finding in both] == ["cost-l2-missing", "mask-forgotten"]
    assert "gradients are right" not in both[0].detail


def test_the_sentence_follows_the_data():
    finding = Finding(
        "weights-doubled",
        "dW2",
        2,
        says="{dW} is doubled.",
        values={"dW": "dW2"},
        equals=("mask-rescaled-twice",),
        also=("dW1",),
    )
    assert finding.detail == (
        "dW2 is doubled. Here a second division by keep_prob would give the same numbers. "
        "The same is true of dW1."
    )
    assert replace(finding, values={"dW": "dw"}, equals=(), also=()).detail == "dw is doubled."


def test_an_extent_says_how_many_entries_and_where():
    extent = Extent("dW1", 2, 6, 0.5, row=1, index=(1, 2), found=1.25, right=1.0)
    says = Finding("unknown", "dW1", 1, extents=(extent,), follows=("no-name",)).detail
    assert says == (
        "dW1 is wrong in 2 of 6 entries, all in row 1, by 5.0e-01 of its size. The largest error "
        "is at [1, 2]: 1.25 instead of 1. No mistake known by name explains it."
    )


# In a file.

PROPAGATE = """import numpy as np
def propagate(w, b, X, Y):
    m = X.shape[1]
    A = 1 / (1 + np.exp(-(np.dot(w.T, X) + b)))
    cost = -np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A)) / m
    dw = np.dot(X, (A - Y).T)
    db = np.sum(A - Y) / m
    return {"dw": dw, "db": db}, cost
"""


def test_logistic_regression_is_told_in_its_own_names(tmp_path):
    path = tmp_path / "homework.py"
    path.write_text(PROPAGATE)
    report = judge_file(path)
    (finding,) = report.diagnosis
    assert (finding.function, finding.role) == ("propagate", "propagate")
    assert (finding.tensor, finding.bug) == ("dw", "weights-not-averaged")
    assert (finding.cell, finding.line) == (None, 6)
    assert finding.source == "dw = np.dot(X, (A - Y).T)"
    assert finding.found == "dw = m * X @ dZ.T / m"
    assert finding.evidence.tensors == ("dw",)
    assert "W1" not in finding.detail
    assert report.message == f"propagate: {finding.detail}"
    (row,) = report.to_dict()["functions"]
    assert row["message"] == finding.detail


def test_one_mistake_has_one_name_in_a_function_and_in_a_network(tmp_path):
    path = tmp_path / "homework.py"
    path.write_text(
        "import numpy as np\n"
        "def linear_backward(dZ, cache):\n"
        "    A_prev, W, b = cache\n"
        "    m = A_prev.shape[1]\n"
        "    dW = np.dot(dZ, A_prev.T)\n"
        "    db = -np.sum(dZ, axis=1, keepdims=True) / m\n"
        "    return np.dot(W.T, dZ) / m, dW, db\n"
    )
    names = {finding.tensor: finding.bug for finding in judge_file(path).diagnosis}
    assert names == {
        "dW": "weights-not-averaged",
        "db": "bias-negated",
        "dA_prev": "upstream-averaged-twice",
    }
    assert set(names.values()) <= set(BUGS)


def test_the_report_of_a_file_survives_json():
    finding = Finding(
        "weights-doubled", "dW1", 1, "{dW}", values={"dW": "dW1"}, function="f", line=3
    )
    report = FileReport(
        "a.py", "disagree", functions=(FunctionVerdict("f", "disagree"),), diagnosis=(finding,)
    )
    assert report_from_data(json.loads(json.dumps(asdict(report)))) == report
