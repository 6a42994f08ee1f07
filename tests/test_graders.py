"""Marks by a rubric, and the formats of graders: fields as their documentation lists them."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from verify.findings import Finding
from verify.homework.marks import Rubric, check_names, mark, parse_points, read_rubric, total
from verify.homework.report import (
    AGREE,
    CRASHED,
    DISAGREE,
    NOTHING,
    UNDECIDED,
    FileReport,
    FunctionVerdict,
)
from verify.show import graders

RUBRIC = """
[points]
linear_backward = 3
L_model_backward = 5

[mistakes]
weights-not-averaged = 0.5

[verdicts]
undecided = 0.25
"""

FINDING = Finding(
    bug="weights-not-averaged", tensor="dW", says="dW is not divided by m.",
    function="linear_backward", line=12, source="dW = dZ @ A_prev.T",
)  # fmt: skip


def report(path="hw, 1%.py", verdict=DISAGREE, linear=DISAGREE, model=AGREE, found=(FINDING,)):
    functions = (
        FunctionVerdict("linear_backward", linear),
        FunctionVerdict("L_model_backward", model),
    )
    return FileReport(path, verdict, functions=functions, diagnosis=found, remarks=("A note.",),
                      seconds=1.4)  # fmt: skip


RIGHT = report("right.py", AGREE, AGREE, AGREE, ())
NONE = FileReport("none.py", NOTHING, reason="It has no backward pass.")
UNSURE = replace(
    report("unsure.py", UNDECIDED, UNDECIDED, AGREE, ()), reason="Its argument is not known."
)


@pytest.fixture
def rubric(tmp_path) -> Rubric:
    (tmp_path / "rubric.toml").write_text(RUBRIC)
    return read_rubric(tmp_path / "rubric.toml")


@pytest.mark.parametrize(
    ("file", "points"),
    [
        (RIGHT, [3, 5]),
        (report(), [1.5, 5]),
        (report(found=(FINDING, FINDING)), [1.5, 5]),
        (
            report(found=(FINDING, Finding("weights-negated", "dW", function="linear_backward"))),
            [0, 5],
        ),
        (report(found=(Finding("weights-negated", "dW", function="linear_backward"),)), [0, 5]),
        (UNSURE, [0.75, 5]),
        (report(linear=CRASHED, found=()), [0, 5]),
        (report(model=DISAGREE), [1.5, 0]),
        (NONE, [0, 0]),
        (FileReport("half.py", AGREE, functions=RIGHT.functions[:1]), [3, 0]),
    ],
)
def test_a_pass_has_its_points_or_the_share_that_its_only_mistake_or_its_verdict_leaves(
    rubric, file, points
):
    given = mark(file, rubric)
    assert [each.points for each in given] == points
    assert [each.most for each in given] == [3, 5]
    assert total(given) == sum(points)


def test_points_can_be_given_in_one_line():
    assert parse_points("linear_backward=3, L_model_backward=5").most == 8


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[points]\na = 'three'", "points: got a = 'three', expected a number of at least 0"),
        ("[points]\na = true", "points: got a = True"),
        ("[points]\na = -1", "points: got a = -1"),
        ("[points]\na = nan", "points: got a = nan"),
        ("points = 3", "rubric: got points = 3, expected a table"),
        ("[marks]\na = 1", "rubric: got [marks], expected points, mistakes, verdicts"),
        ("[points]\na = 1\n[mistakes]\nno-such = 0.5", "rubric: got no-such under [mistakes]"),
        ("[points]\na = 1\n[verdicts]\nfine = 0.5", "rubric: got fine under [verdicts]"),
        ("[points]\na = 1\n[verdicts]\nundecided = 2", "expected a share of at most 1"),
        ("[points]\na = 0", "points: got none"),
        ("[points", "which cannot be read"),
    ],
)
def test_a_rubric_that_cannot_be_is_refused_with_what_is_wrong(tmp_path, text, says):
    (tmp_path / "rubric.toml").write_text(text)
    with pytest.raises(ValueError, match=re.escape(says)):
        read_rubric(tmp_path / "rubric.toml")


def test_a_rubric_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"rubric: got .*none\.toml, which cannot be read"):
        read_rubric(tmp_path / "none.toml")


@pytest.mark.parametrize("text", ["linear_backward", "a=b", "a=1,,b=2", "=", ""])
def test_points_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match="points: got"):
        parse_points(text)


def test_a_rubric_with_a_pass_that_nobody_has_is_an_error(rubric):
    check_names(rubric, [RIGHT])
    with pytest.raises(ValueError, match="points: got conv_backward, which no file has, expected"):
        check_names(parse_points("conv_backward=1"), [RIGHT, NONE])
    check_names(parse_points("conv_backward=1"), [NONE])  # nothing could be read: no typing error


GRADESCOPE = {
    "score": float, "execution_time": int, "output": str, "output_format": str,
    "stdout_visibility": str, "tests": list,
}  # fmt: skip
GRADESCOPE_TEST = {
    "name": str, "score": float, "max_score": float, "status": str, "output": str,
    "output_format": str, "visibility": str,
}  # fmt: skip
PRAIRIELEARN = {
    "gradable": bool, "score": float, "message": str, "output": str, "format_errors": list,
    "tests": list,
}  # fmt: skip
PRAIRIELEARN_TEST = {
    "name": str, "description": str, "points": float, "max_points": float, "message": str,
}  # fmt: skip


def holds(made, fields):
    assert set(made) == set(fields)
    for name, kind in fields.items():
        assert isinstance(made[name], kind), name
    return json.loads(json.dumps(made, allow_nan=False))


def test_gradescope_reads_score_and_tests(rubric):
    made = holds(graders.gradescope([report()], rubric), GRADESCOPE)
    first, second = (holds(test, GRADESCOPE_TEST) for test in made["tests"])
    assert (made["score"], first["score"], first["max_score"]) == (6.5, 1.5, 3)
    assert (first["status"], second["status"]) == ("failed", "passed")
    assert "dW is not divided by m." in first["output"]
    assert "1.5 of 3 points are left" in first["output"]
    several = graders.gradescope([report(), RIGHT])
    assert list(several) == ["hw, 1%.py", "right.py"]
    assert several["right.py"]["score"] == 2  # without a rubric a point a pass


def test_prairielearn_reads_a_share_and_what_cannot_be_graded(rubric):
    made = holds(graders.prairielearn([report()], rubric), PRAIRIELEARN)
    holds(made["tests"][0], PRAIRIELEARN_TEST)
    assert made["score"] == 6.5 / 8
    nothing = holds(graders.prairielearn([NONE], rubric), PRAIRIELEARN)
    assert (nothing["gradable"], nothing["format_errors"]) == (False, [NONE.message])


def test_github_shows_each_mistake_beside_its_line():
    assert graders.github([report(), RIGHT, NONE]).splitlines() == [
        "::error file=hw%2C 1%25.py,line=12,title=linear_backward::dW is not divided by m."
    ]
    in_cell = Finding(
        "weights-not-averaged", "dW", says="dW\nis 100% off.", function="f", cell=3, line=2
    )
    (line,) = graders.github([report("hw.ipynb", found=(in_cell,))]).splitlines()
    assert line == "::error file=hw.ipynb,title=f::dW%0Ais 100%25 off. (cell 3, line 2)"
    assert graders.github([UNSURE]).startswith("::warning file=unsure.py,title=undecided::")


def test_sarif_has_a_rule_and_a_place_for_every_result():
    log = graders.sarif([report(), RIGHT, UNSURE])
    assert (log["version"], log["$schema"][-10:]) == ("2.1.0", "2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert {rule["id"] for rule in driver["rules"]} == {
        result["ruleId"] for result in run["results"]
    }
    first, unsure = run["results"]
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "hw%2C%201%25.py"
    assert place["region"]["startLine"] == 12
    assert (first["level"], unsure["level"]) == ("error", "warning")
    assert all(result["message"]["text"] for result in run["results"])
