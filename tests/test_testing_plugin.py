"""The assertions, and what pytest shows of them."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from problems import random_problem

import manual
from verify.testing import assert_gradients_agree, assert_three_ways_agree, assert_vjp_agrees

SUITE = """
    import numpy as np
    import verify
    from verify.testing import assert_gradients_agree

    def loss(p):
        return (p["W"] ** 2).sum() + p["b"]

    def wrong(p):
        return {"W": 3 * p["W"], "b": 1.0}

    PARAMS = {"W": np.array([[1.0, 2.0]]), "b": 0.5}

    def test_by_the_assertion():
        assert_gradients_agree(loss, wrong, PARAMS)

    def test_by_the_report():
        assert verify.compare(loss, wrong, PARAMS).ok

    def test_by_a_named_report():
        report = verify.compare(loss, wrong, PARAMS)
        assert report.verdict == "agree"

    def test_that_fails_for_another_reason():
        assert 1 == 2

    def test_that_passes():
        assert_gradients_agree(loss, lambda p: {"W": 2 * p["W"], "b": 1.0}, PARAMS)
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    (folder / "test_suite.py").write_text(textwrap.dedent(SUITE))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", "test_suite.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def section(output, name):
    return output.split(f" {name} ", 1)[1].split("\n____", 1)[0].split("short test summary")[0]


def test_the_assertion_shows_the_rows_and_hides_its_own_frames(output):
    shown = section(output, "test_by_the_assertion")
    assert "E       AssertionError: DISAGREE The gradient is wrong in dW" in shown
    assert "E       dW" in shown
    assert "verify/testing.py" not in shown
    assert "- gradients -" not in shown


@pytest.mark.parametrize("name", ["test_by_the_report", "test_by_a_named_report"])
def test_a_plain_assertion_on_a_report_shows_its_rows_once(output, name):
    shown = section(output, name)
    assert shown.count("- gradients -") == 1
    assert shown.count("DISAGREE The gradient is wrong in dW") == 1
    assert "dW[0, 1]: found 6, expected 4 ± " in shown
    again = "To repeat it: verify.compare(loss, wrong, params, budget=10000, seconds=10.0,"
    assert again in shown


def test_other_failures_are_left_alone(output):
    assert "gradients" not in section(output, "test_that_fails_for_another_reason")
    assert "4 failed, 1 passed" in output


def sine(x):
    return np.sin(x)


def test_the_assertions_return_the_report_of_what_agrees():
    args = (np.linspace(0.1, 1, 3),)
    assert assert_gradients_agree(lambda x: (x**2).sum(), lambda x: 2 * x, args[0]).ok
    assert assert_vjp_agrees(sine, lambda dy, x: dy * np.cos(x), args, cotangents=1).ok
    assert assert_three_ways_agree(random_problem(), finite_difference="sampled").ok


def test_a_wrong_layer_and_a_wrong_problem_fail_with_their_rows():
    with pytest.raises(AssertionError, match=r"(?s)DISAGREE.*gradient.*dx"):
        assert_vjp_agrees(sine, lambda dy, x: -dy * np.cos(x), np.ones(3), cotangents=1)
    problem = random_problem()
    grads = manual.loss_and_grads(*problem.arguments, **problem.options)[1]
    with pytest.raises(AssertionError, match=r"(?s)DISAGREE.*dW1"):
        assert_three_ways_agree(problem, grads={**grads, "W1": 2 * grads["W1"]})
