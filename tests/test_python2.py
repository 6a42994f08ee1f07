"""Files of Python 2 are read line by line and run as what they mean there."""

import ast
import textwrap

import pytest

from verify.homework.judge import judge_file
from verify.homework.read import python2

LAYERS = """
import numpy as np
from helper import half

def affine_forward(x, w, b):
    print "shapes", x.shape, \\
        w.shape
    return x.dot(w) + b, (x, w, b)

def affine_backward(dout, cache):
    x, w, b = cache
    grads = {'w': np.zeros_like(w)}
    for i in xrange(x.shape[0]):
        grads['w'] += np.outer(x[i], dout[i])
    for name, grad in grads.iteritems():
        print name, grad.shape
    return dout.dot(w.T), grads['w'], dout.sum(axis=0)

def first_half_forward(x):
    return x[:, :x.shape[1] / 2] * 1.0, x

def first_half_backward(dout, cache):
    x = cache
    dx = np.zeros_like(x)
    dx[:, :half(x.shape[1])] = dout
    return dx
"""

AVERAGE = """
import numpy as np

def cost(x, y):
    m = x.shape[0]
    return np.sum((x - y) ** 2) / m

def cost_gradient(x, y):
    m = x.shape[0]
    print m
    return 2 / m * (x - y)
"""


def judged(tmp_path, text):
    path = tmp_path / "homework.py"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return judge_file(path)


def test_a_right_file_agrees_with_the_module_beside_it(tmp_path):
    (tmp_path / "helper.py").write_text("def half(n):\n    return n / 2\n", encoding="utf-8")
    report = judged(tmp_path, LAYERS)
    assert {f.name: f.verdict for f in report.functions} == {
        "affine_backward": "agree",
        "first_half_backward": "agree",
    }
    assert "It is Python 2, and was run as that." in report.remarks


def test_a_division_of_whole_numbers_is_named(tmp_path):
    report = judged(tmp_path, AVERAGE)
    assert report.verdict == "disagree"
    [finding] = report.diagnosis
    assert (finding.function, finding.bug) == ("cost_gradient", "whole-number-division")
    assert finding.source == "return 2 / m * (x - y)"


@pytest.mark.parametrize(
    "mended",
    [
        AVERAGE.replace("import numpy", "from __future__ import division\nimport numpy", 1),
        AVERAGE.replace("2 / m", "2.0 / m"),
    ],
)
def test_true_division_agrees(tmp_path, mended):
    assert judged(tmp_path, mended).verdict == "agree"


def test_another_mistake_keeps_its_name(tmp_path):
    report = judged(tmp_path, AVERAGE.replace("2 / m", "4.0 / m"))
    assert [finding.bug for finding in report.diagnosis] == ["gradient-doubled"]


POOL = """
import numpy as np

def pool_forward(x, size, stride):
    N, C, H, W = x.shape
    {bound}
    out = np.zeros((N, C, H_out, W_out))
    for i in range(H_out):
        for j in range(W_out):
            window = x[:, :, i * stride:i * stride + size, j * stride:j * stride + size]
            out[:, :, i, j] = window.mean(axis=(2, 3))
    return out, (x, size, stride)

def pool_backward(dout, cache):
    x, size, stride = cache
    N, C, H, W = x.shape
    {bound}
    dx = np.zeros(x.shape)
    for i in range(H_out):
        for j in range(W_out):
            share = dout[:, :, i, j][:, :, None, None] / float(size * size)
            dx[:, :, i * stride:i * stride + size, j * stride:j * stride + size] += share
    return dx
"""
QUOTIENTS = (
    "H_out, W_out = (H - size) / stride + 1, (W - size) / stride + 1",
    "H_out = 1 + (H - size) / stride; W_out = 1 + (W - size) / stride",
)


@pytest.mark.parametrize("bound", QUOTIENTS)
def test_a_file_that_counts_by_quotients_is_python_2_though_it_parses(tmp_path, bound):
    report = judged(tmp_path, POOL.replace("{bound}", bound))
    assert report.verdict == "agree", report.message
    assert any("Python 2" in remark for remark in report.remarks)


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    n = x / 2\n    n = int(n)\n    return range(n)",
        "def f(x):\n    n = x / 2\n    n //= 1\n    return range(int(n))",
        "def f(x):\n    y = x / 2\n    return np.reshape(y, (2, 3))",
        "def f(x):\n    y = x / 2\n    return y.reshape(2, 3)",
        "def f(x):\n    n = x // 2\n    return np.zeros((n, 3))",
        "def f(x):\n    n, y = x\n    m = n / 2\n    return np.zeros((n, 3)) + m",
        "def f(x):\n    for n in x / 2:\n        print(np.zeros(n))",
    ],
)
def test_a_quotient_by_which_nothing_is_counted_is_no_sign_of_python_2(text):
    assert not python2.speaks([ast.parse(text)])
