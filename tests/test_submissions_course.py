"""Whole files in the styles that people hand in, each with the verdict that it deserves.

`course/expected.json` has it: the verdict, and for wrong files which function makes which
tensor wrong by which mistake (null: by whatever name). The default run takes a few of each kind;
all of them are slow. How long a folder of two hundred takes: tests/benchmarks/test_check_speed.py.
"""

import json
from pathlib import Path

import pytest

from verify.catalogue import CATALOGUE
from verify.homework.judge import judge_all
from verify.homework.run.sandbox import Limits

COURSE = Path(__file__).parent / "course"
EXPECTED = json.loads((COURSE / "expected.json").read_text())

FEW = (
    "deep_epsilon_in_the_log.py",
    "deep_mean_forgotten.py",
    "deep_single_precision.py",
    "dropout_never_rescaled.ipynb",
    "gradient_checking_planted.ipynb",
    "l2_uppercase_lambd.py",
    "leaky_relu_of_another_slope.py",
    "leaky_relu_two_slopes.py",
    "network_class_wrong.py",
    "planar_blank.ipynb",
    "propagate_matrix.py",
    "python2_script.py",
    "with_helper/homework.ipynb",
)


def judged(names):
    reports = judge_all([COURSE / name for name in names], Limits(), 2)
    return dict(zip(names, reports, strict=True))


def as_expected(report):
    found = json.loads(json.dumps(report.to_dict()))["diagnosis"]
    assert {finding["bug"] for finding in found} <= set(CATALOGUE)
    faults = [[finding[key] for key in ("function", "tensor", "bug")] for finding in found]
    return {"verdict": report.verdict} | ({"faults": faults} if faults else {})


def differences(reports):
    """Return what is not as the table has it, a null in the table standing for any name."""
    found = {}
    for name, report in reports.items():
        expected, came = EXPECTED[name], as_expected(report)
        for mine, theirs in zip(expected.get("faults", ()), came.get("faults", ()), strict=False):
            if mine[2] is None:
                mine[2] = theirs[2]
        if came != expected:
            found[name] = (came, report.message)
    return found


def test_a_few_files_of_each_kind_get_the_verdict_that_they_deserve():
    assert differences(judged(FEW)) == {}


def test_the_table_has_every_file_there_is():
    files = {
        str(path.relative_to(COURSE))
        for path in COURSE.rglob("*")
        if path.suffix in (".py", ".ipynb") and "__pycache__" not in path.parts
    }
    assert files == set(EXPECTED)
    assert len(files) >= 30


def test_the_courses_planted_pair_is_exactly_two_findings():
    faults = EXPECTED["gradient_checking_planted.ipynb"]["faults"]
    assert faults == [
        ["backward_propagation_n", "dW2", "weights-doubled"],
        ["backward_propagation_n", "db1", "bias-quadrupled"],
    ]


@pytest.mark.slow
def test_every_file_gets_the_verdict_that_it_deserves():
    assert differences(judged(list(EXPECTED))) == {}
