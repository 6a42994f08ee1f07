"""nbgrader and otter-grader really grade a notebook with the assertion: right and wrong."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
FORWARD = """import numpy as np

def affine_forward(x, w, b):
    return x @ w + b, (x, w, b)
"""
RIGHT = """def affine_backward(dout, cache):
    x, w, b = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)
"""
WRONG = RIGHT.replace("dout.sum(axis=0)", "dout.mean(axis=0)")
ASSERTION = """import backproof.testing
backproof.testing.assert_passes_agree(globals(), only="affine_backward")"""


def needs(module):
    return pytest.mark.skipif(
        importlib.util.find_spec(module) is None, reason=f"{module} is not installed"
    )


def run(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def notebook(*cells):
    made = nbformat.v4.new_notebook()
    for text, metadata in cells:
        cell = nbformat.v4.new_code_cell(text)
        cell.metadata.update(metadata)
        made.cells.append(cell)
    return made


def nbgrader_cell(name, **kind):
    plain = {"grade": False, "solution": False, "locked": False, "task": False}
    return {"nbgrader": {**plain, "grade_id": name, "schema_version": 3, **kind}}


@needs("nbgrader")
def test_nbgrader_gives_the_points_to_the_right_solution_alone(tmp_path):
    solution = nbgrader_cell("solution", solution=True)
    hidden = nbgrader_cell("hidden", grade=True, locked=True, points=3)
    (tmp_path / "source/hw").mkdir(parents=True)
    source = notebook((FORWARD, {}), (RIGHT, solution), (ASSERTION, hidden))
    nbformat.write(source, tmp_path / "source/hw/hw.ipynb")
    run(tmp_path, "nbgrader", "generate_assignment", "hw", "--create")
    for student, text in (("ann", RIGHT), ("bob", WRONG)):
        handed_in = nbformat.read(tmp_path / "release/hw/hw.ipynb", as_version=4)
        handed_in.cells[1].source = text
        (tmp_path / "submitted" / student / "hw").mkdir(parents=True)
        nbformat.write(handed_in, tmp_path / "submitted" / student / "hw/hw.ipynb")
    run(tmp_path, "nbgrader", "autograde", "hw", "--create")
    run(tmp_path, "nbgrader", "export")
    with (tmp_path / "grades.csv").open() as stream:
        points = {row["student_id"]: float(row["score"]) for row in csv.DictReader(stream)}
    assert points == {"ann": 3.0, "bob": 0.0}
    graded = (tmp_path / "autograded/bob/hw/hw.ipynb").read_text()
    assert "affine_backward  disagree" in graded


@needs("otter")
@pytest.mark.parametrize(("text", "passes"), [(RIGHT, True), (WRONG, False)])
def test_otter_passes_the_right_solution_alone(tmp_path, text, passes):
    code = "".join(f">>> {line}\n" for line in ASSERTION.splitlines()[:1])
    code += f">>> {ASSERTION.splitlines()[1]}.ok\nTrue\n"
    test = {"name": "q1", "points": 1, "suites": [{"cases": [{"code": code}], "type": "doctest"}]}
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/q1.py").write_text(f"OK_FORMAT = True\n\ntest = {test!r}\n")
    asks = "import otter\ngrader = otter.Notebook()\nresult = grader.check('q1')\nresult"
    shows = "import json\njson.dumps(result.grade)"
    made = notebook((FORWARD, {}), (text, {}), (asks, {}), (shows, {}))
    nbformat.write(made, tmp_path / "hw.ipynb")
    run(tmp_path, "nbconvert", "--to", "notebook", "--execute", "--inplace", "hw.ipynb")
    executed = nbformat.read(tmp_path / "hw.ipynb", as_version=4)
    grade = json.loads(executed.cells[-1].outputs[0]["data"]["text/plain"].strip("'"))
    assert grade == float(passes)
    shown = json.dumps(executed.cells[2].outputs)
    assert ("disagree" in shown) is not passes
