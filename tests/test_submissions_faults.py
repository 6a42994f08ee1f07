"""Files on which something of ours once failed: each gets a verdict, and its kind of sentence."""

import json
from pathlib import Path

import pytest

from verify.homework.judge import judge_all
from verify.homework.run.sandbox import Limits

COURSE = Path(__file__).parent / "course"
RIGHT = """import numpy as np

def sigmoid(z):
    return 1 / (1 + np.exp(-z))

def sigmoid_backward(dA, cache):
    return dA * sigmoid(cache) * (1 - sigmoid(cache))
"""
RAISING = """import numpy as np

def relu(Z):
    return np.maximum(0, Z), Z

def relu_backward(dA, cache):
    dZ = np.array(dA, copy=True)
    dZ[cache <= 0] = 0
    if dZ.size:
        raise {}
    return dZ
"""
NOTEBOOK = {"cells": [{"cell_type": "code", "source": RIGHT, "metadata": {}, "outputs": []}]}

FILES = {
    "power.py": ("a = 9**399\nb = a**399\nc = b**399\n" + RIGHT, "agree", "2 functions agree"),
    "shift.py": ("a = 1 << 99\nb = a << a\n" + RIGHT, "agree", "2 functions agree"),
    "rounds.py": ("a = sum(range(10**15))\n" + RIGHT, "agree", "2 functions agree"),
    "used.py": (
        "a = 9**399\nb = a**399\n" + RIGHT.replace("1 +", "b +"),
        "undecided",
        "by code that",
    ),
    "small.py": ("a = 3\nb = 2**a\nc = b**2\nd = 0.5**c\n" + RIGHT, "agree", "2 functions agree"),
    "punycode.py": ("# coding: punycode\n" + RIGHT, "agree", "2 functions agree"),
    "idna.py": ("# coding: idna\n" + RIGHT, "agree", "2 functions agree"),
    "undefined.py": ("# coding: undefined\n" + RIGHT, "agree", "2 functions agree"),
    "zero.py": (RIGHT.replace("1 / (", "0 / ("), "disagree", "sigmoid: "),
    "mute.py": (
        "class E(Exception):\n    def __str__(self): return 1 / 0\n" + RAISING.format("E"),
        "crashed",
        "its message cannot be read",
    ),
    "surrogate.py": (RAISING.format("ValueError('\\ud800')"), "crashed", "\\ud800"),
    "long.py": (RAISING.format("ValueError('x' * 99999)"), "crashed", "xxx..."),
    "digits.ipynb": ('{"cells": [' + "9" * 5000 + "]}", "unreadable", "thousands of digits"),
    "sheets.ipynb": (json.dumps(NOTEBOOK | {"worksheets": 5}), "agree", "2 functions agree"),
    "deep.ipynb": ("[" * 100_000, "unreadable", "nested too deeply"),
    "deep.py": ("x = " + "1 + " * 5000 + "1\n" + RIGHT, "agree", "2 functions agree"),
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    paths = [folder / name for name in FILES]
    for path in paths:
        path.write_text(FILES[path.name][0])
    return dict(zip(FILES, judge_all(paths, Limits(timeout=20), 2), strict=True))


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_found_a_fault_gets_a_verdict(reports, name):
    _, verdict, says = FILES[name]
    report = reports[name]
    assert report.fault == ""
    assert report.verdict == verdict, report.message
    assert says in report.message
    assert len(report.message) < 600


def test_a_whole_network_on_a_sigmoid_of_zero_is_no_fault_of_ours(tmp_path):
    name = "deep_mean_forgotten.py"
    text = (COURSE / name).read_text().replace("1 / (1 + np.exp", "0 / (1 + np.exp")
    (tmp_path / name).write_text(text)
    [report] = judge_all([tmp_path / name], Limits(), 1)
    assert report.fault == ""
    assert report.verdict == "disagree"
