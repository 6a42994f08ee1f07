"""The exercises of the first notebook: what the check says of the stub, the answer and slips."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import manual
from verify.course import exercises
from verify.course.exercises import check

nbformat = pytest.importorskip("nbformat")

NOTEBOOK = Path(__file__).parents[1] / "notebooks/1_backpropagation_by_hand.ipynb"
CELLS = nbformat.read(NOTEBOOK, as_version=4).cells
CALL = re.compile(r"exercises\.check\((\w+)\)")
STUBS = {call[1]: cell.source for cell in CELLS if (call := CALL.search(cell.source))}
FOLDED = re.compile(r"<details>.*?```python\n(def (\w+).*?)```\s*</details>", re.S)
ANSWERS = {name: text for cell in CELLS for text, name in FOLDED.findall(cell.source)}

WRONG = {
    "sigmoid_backward": [
        ("* A * (1 - A)", "* A", "derivative-is-activation"),
        ("dA * A", "A", "upstream-missing"),
        ("* A * (1 - A)", "* Z * (1 - Z)", "derivative-of-preactivation"),
        ("(1 - A)", "(A - 1)", "upstream-negated"),
        ("A * (1 - A)", "(1 - A**2)", "derivative-of-another-activation"),
    ],
    "linear_backward": [
        ("A_prev.T / m", "A_prev.T", "weights-not-averaged"),
        ("dZ.sum(axis=1, keepdims=True) / m", "dZ.sum() / m", "bias-summed-over-everything"),
        ("axis=1", "axis=0", "bias-wrong-axis"),
        (", keepdims=True", "", "bias-keepdims-missing"),
        ("dZ @ A_prev.T / m", "A_prev @ dZ.T / m", "weights-transposed"),
        ("W.T @ dZ", "W.T @ dZ / m", "upstream-averaged-twice"),
        ("W.T @ dZ", "2 * W.T @ dZ", "gradient-scaled"),
        ("dZ @ A_prev.T / m", "dZ[:, 1:] @ A_prev[:, 1:].T / m", "unknown"),
    ],
    "dropout_backward": [
        ("dA * mask / keep_prob", "dA * mask", "mask-not-rescaled"),
        ("mask / keep_prob", "mask * keep_prob", "mask-multiplied"),
        ("dA * mask / keep_prob", "dA / keep_prob", "mask-only-rescaled"),
        ("mask / keep_prob", "~mask / keep_prob", "mask-inverted"),
    ],
    "softmax_cross_entropy_backward": [
        ("A - Y", "Y - A", "output-negated"),
        ("A - Y", "(A - Y) / Z.shape[1]", "output-averaged-twice"),
        ("A - Y", "-Y / A", "output-derivative-missing"),
        ("manual.softmax", "manual.sigmoid", "output-sigmoid-under-softmax"),
    ],
    "network_backward": [
        ("dA1 * (1 - A1**2)", "dA1", "derivative-missing"),
        ("(1 - A1**2)", "(1 - A1)", "derivative-not-squared"),
        ("A2 - Y", "Y - A2", "output-negated"),
        ("linear_backward(dZ1, X, W1)", "linear_backward(dA1, X, W1)", "derivative-missing"),
    ],
}
SLIPS = [(name, *slip) for name, slips in WRONG.items() for slip in slips]


def defined(source, name):
    """Return the function that a cell defines."""
    namespace = {"np": np, "manual": manual}
    exec(CALL.sub("", source), namespace)
    return namespace[name]


def test_every_exercise_has_a_cell_to_write_in_and_a_folded_answer():
    assert list(STUBS) == list(ANSWERS) == list(WRONG) == [*exercises.EXERCISES, "network_backward"]


@pytest.mark.parametrize("name", STUBS)
def test_the_cell_as_it_is_given_is_not_written_yet(name):
    answer = check(defined(STUBS[name], name))
    assert set(answer.marks.values()) == {"not written yet"}
    assert not answer.findings
    assert not answer.ok


@pytest.mark.parametrize("name", STUBS)
def test_the_folded_answer_is_right_and_begins_as_the_cell_that_was_given(name):
    assert check(defined(ANSWERS[name], name)).ok
    assert ANSWERS[name].splitlines()[0] == STUBS[name].splitlines()[0]


@pytest.mark.parametrize(("name", "right", "wrong", "bug"), SLIPS)
def test_a_slip_is_called_by_its_name(name, right, wrong, bug):
    assert right in ANSWERS[name]
    answer = check(defined(ANSWERS[name].replace(right, wrong, 1), name))
    assert not answer.ok
    assert [finding.bug for finding in answer.findings] == [bug]


@pytest.mark.parametrize("name", exercises.EXERCISES)
def test_no_two_slips_of_a_gradient_are_alike_and_none_is_right(name):
    exercise = exercises.EXERCISES[name]
    right = exercise.right(*exercise.arguments.values())
    right = dict(
        zip(exercise.gradients, right if isinstance(right, tuple) else (right,), strict=True)
    )
    for gradient, slips in exercise.gradients.items():
        values = [
            np.asarray(eval(f, {}, {**exercise.arguments, **exercise.known}))
            for f in slips.values()
        ]
        for number, value in enumerate(values):
            for other in [right[gradient], *values[:number]]:
                assert value.shape != other.shape or not np.allclose(value, other)


def test_what_is_written_so_far_is_judged():
    def linear_backward(dZ, A_prev, W):
        return W.T @ dZ, dZ @ A_prev.T, ...

    answer = check(linear_backward)
    assert answer.marks == {"dA_prev": "right", "dW": "wrong", "db": "not written yet"}
    assert "not divided by m" in repr(answer)


def test_half_a_network_is_judged_by_its_half():
    whole = defined(ANSWERS["network_backward"], "network_backward")

    def network_backward(params, X, Y):
        return whole(params, X, Y) | {"W1": ..., "b1": None}

    marks = check(network_backward).marks
    assert marks == {
        "dW1": "not written yet", "db1": "not written yet", "dW2": "right", "db2": "right",
    }  # fmt: skip


def test_another_shape_is_said_with_the_shape_that_is_expected():
    whole = defined(ANSWERS["network_backward"], "network_backward")

    def network_backward(params, X, Y):
        return whole(params, X, Y) | {"b1": np.ones(4)}

    answer = check(network_backward)
    assert [finding.bug for finding in answer.findings] == ["wrong-shape"]
    assert "(4,), expected (4, 1)" in repr(answer)


def test_an_error_is_told_and_not_raised():
    def linear_backward(dZ, A_prev, W):
        return W @ dZ, dZ @ A_prev.T, dZ

    assert "It raised ValueError" in repr(check(linear_backward))


def test_too_few_results_are_counted():
    def linear_backward(dZ, A_prev, W):
        return W.T @ dZ, dZ @ A_prev.T

    assert "returns 2 results, expected 3: dA_prev, dW, db" in repr(check(linear_backward))


def test_a_function_that_overwrites_its_arguments_is_judged_by_what_it_returns():
    def dropout_backward(dA, mask, keep_prob):
        dA *= mask
        dA /= keep_prob
        return dA

    assert check(dropout_backward).ok
    assert check(dropout_backward).ok


def test_a_gradient_that_is_overwritten_for_the_next_one_accuses_none():
    def linear_backward(dZ, A_prev, W):
        dA_prev = W.T @ dZ
        dZ /= A_prev.shape[1]
        return dA_prev, dZ @ A_prev.T, dZ.sum(axis=1, keepdims=True)

    assert check(linear_backward).ok


def test_what_is_not_finite_is_wrong():
    def dropout_backward(dA, mask, keep_prob):
        return dA * mask * np.nan

    answer = check(dropout_backward)
    assert answer.marks == {"dA": "wrong"}
    assert "is nan, expected" in repr(answer)


def test_a_function_of_another_name_is_refused():
    with pytest.raises(
        ValueError, match="written: got backward, expected a function named sigmoid"
    ):
        check(defined("def backward(dA, Z): return dA", "backward"))
