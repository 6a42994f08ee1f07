"""nbgrader and otter-grader really grade the notebooks of the teacher's guide: right and wrong."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
RIGHT = """def affine_backward(dout, cache):
    x, w, b = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)
"""
WRONG = RIGHT.replace("dout.sum(axis=0)", "dout.mean(axis=0)")


def needs(module):
    return pytest.mark.skipif(
        importlib.util.find_spec(module) is None, reason=f"{module} is not installed"
    )


def run(folder, *arguments):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # nbgrader calls alembic
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(folder), "PATH": path}
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def hand_in(released, text, target):
    """Write a released notebook with a student's text in the place of the open function."""
    notebook = nbformat.read(released, as_version=4)
    [cell] = [cell for cell in notebook.cells if cell.source.startswith("def affine_backward")]
    assert "x.T @ dout" not in cell.source, "the solution is released"
    cell.source = text
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)


@needs("nbgrader")
def test_nbgrader_gives_the_points_to_the_right_solution_alone(tmp_path):
    (tmp_path / "source/affine").mkdir(parents=True)
    shutil.copy(EXAMPLES / "nbgrader.ipynb", tmp_path / "source/affine")
    run(tmp_path, "nbgrader", "generate_assignment", "affine", "--create")
    released = tmp_path / "release/affine/nbgrader.ipynb"
    assert "assert_passes_agree(" not in released.read_text(encoding="utf-8")
    for student, text in (("ann", RIGHT), ("bob", WRONG)):
        hand_in(released, text, tmp_path / "submitted" / student / "affine/nbgrader.ipynb")
    run(tmp_path, "nbgrader", "autograde", "affine", "--create")
    run(tmp_path, "nbgrader", "export")
    with (tmp_path / "grades.csv").open() as stream:
        points = {row["student_id"]: float(row["score"]) for row in csv.DictReader(stream)}
    assert points == {"ann": 3.0, "bob": 0.0}
    graded = (tmp_path / "autograded/bob/affine/nbgrader.ipynb").read_text(encoding="utf-8")
    assert "affine_backward  disagree" in graded


@needs("otter")
def test_otter_gives_the_points_to_the_right_solution_alone(tmp_path):
    run(tmp_path, "otter", "assign", EXAMPLES / "otter.ipynb", "dist")
    [grader] = (tmp_path / "dist/autograder").glob("*.zip")
    for student, text, points in (("ann", RIGHT, 3), ("bob", WRONG, 0)):
        hand_in(tmp_path / "dist/student/otter.ipynb", text, tmp_path / student / "otter.ipynb")
        run(tmp_path, "otter", "run", "-a", grader, "-o", student, f"{student}/otter.ipynb")
        tests = json.loads((tmp_path / student / "results.json").read_text(encoding="utf-8"))
        [result] = [test for test in tests["tests"] if test["name"] == "affine_backward"]
        assert result["score"] == points
        assert ("affine_backward  disagree" in result["output"]) is (student == "bob")
