"""The diagnosis names what is wrong, says where it cannot name it, and does not guess."""

from __future__ import annotations

import numpy as np
import pytest
from problems import random_problem
from student import Work, bars, exercise

import autodiff
import manual
from verify import Problem
from verify.diagnose import diagnose
from verify.diagnose.chain import Chain
from verify.evidence.bars.derived import analyse
from verify.findings import Finding

pytestmark = pytest.mark.unchecked

PROBLEM = exercise()
BARS = bars(PROBLEM)
SQUARE = exercise(sizes=(5, 5, 5, 1))
SQUARE_BARS = bars(SQUARE)


def diagnosed(problem: Problem = PROBLEM, **wrong: str) -> tuple[Finding, ...]:
    work = Work(problem, **wrong)
    known = {id(PROBLEM): BARS, id(SQUARE): SQUARE_BARS}.get(id(problem)) or bars(problem)
    findings = diagnose(problem, work.loss, work.grads, known)
    for finding in findings:
        for text in (finding.detail, finding.found, finding.expected):
            assert not any(odd in text for odd in ("{", "}", "  ")), text
        assert finding.detail[-1] == "."
        assert finding.expected
    return findings


def names(findings) -> list[tuple[str, str]]:
    return [(finding.tensor, finding.bug) for finding in findings]


def test_a_right_pass_has_no_findings():
    assert diagnosed() == ()
    assert diagnosed(SQUARE) == ()


NAMED = [
    # In dW of one layer.
    ({"dW2": "2 * (dZ2 @ A1d.T / m + l2 / m * W2)"}, "dW2", "weights-doubled"),
    ({"dW3": "-(dZ3 @ A2d.T / m + l2 / m * W3)"}, "dW3", "weights-negated"),
    ({"dW1": "np.zeros_like(W1)"}, "dW1", "weights-zero"),
    ({"dW1": "dZ1 @ X.T + l2 / m * W1"}, "dW1", "weights-not-averaged"),
    ({"dW1": "(dZ1 @ X.T + l2 / m * W1)"}, "dW1", "weights-not-averaged"),
    ({"dW2": "dZ2 @ A1d.T / m / m + l2 / m * W2"}, "dW2", "weights-averaged-twice"),
    ({"dW2": "dZ2 @ A1d.T / (m - 1) + l2 / m * W2"}, "dW2", "weights-averaged-over-one-less"),
    ({"dW2": "3.7 * (dZ2 @ A1d.T / m + l2 / m * W2)"}, "dW2", "weights-scaled"),
    ({"dW2": "0.31 * (dZ2 @ A1d.T / m) + l2 / m * W2"}, "dW2", "weights-scaled"),
    ({"dW2": "dZ2 @ A1.T / m + l2 / m * W2"}, "dW2", "weights-of-undropped-input"),
    ({"dW3": "dZ3 @ (A2 * D2).T / m + l2 / m * W3"}, "dW3", "weights-of-unscaled-input"),
    ({"dW3": "dZ3 @ Z2.T / m + l2 / m * W3"}, "dW3", "weights-of-preactivation"),
    ({"dW2": "dA2d @ A1d.T / m + l2 / m * W2"}, "dW2", "weights-from-da"),
    (
        {"dW1": "dZ1[:, 1:] @ X[:, 1:].T / m + l2 / m * W1"},
        "dW1",
        "weights-first-example-left-out",
    ),
    (
        {"dW2": "sum(np.outer(dZ2[:, i], A1d[:, i]) for i in range(m - 1)) / m + l2 / m * W2"},
        "dW2",
        "weights-last-example-left-out",
    ),
    ({"dW1": "dZ1[:, :1] @ X[:, :1].T + l2 / m * W1"}, "dW1", "weights-of-one-example"),
    ({"dW1": "np.float32(dZ1 @ X.T / m + l2 / m * W1)"}, "dW1", "weights-in-single-precision"),
    # In the L2 term.
    ({"dW2": "dZ2 @ A1d.T / m"}, "dW2", "l2-missing"),
    ({"dW2": "dZ2 @ A1d.T / m + 2 * l2 / m * W2"}, "dW2", "l2-doubled"),
    ({"dW3": "dZ3 @ A2d.T / m + l2 / (2 * m) * W3"}, "dW3", "l2-halved"),
    ({"dW1": "dZ1 @ X.T / m - l2 / m * W1"}, "dW1", "l2-negated"),
    ({"dW1": "dZ1 @ X.T / m + l2 * W1"}, "dW1", "l2-not-averaged"),
    ({"dW1": "(dZ1 @ X.T + l2 / m * W1) / m"}, "dW1", "l2-averaged-twice"),
    ({"dW1": "dZ1 @ X.T / m + l2 / m * np.sign(W1)"}, "dW1", "l2-absolute"),
    ({"dW1": "dZ1 @ X.T / m + l2 / m * W1 / np.linalg.norm(W1)"}, "dW1", "l2-normalised"),
    ({"dW2": "dZ2 @ A1d.T / m + 0.37 * W2"}, "dW2", "l2-scaled"),
    # In db of one layer.
    ({"db1": "4 * np.sum(dZ1, axis=1, keepdims=True) / m"}, "db1", "bias-quadrupled"),
    ({"db2": "np.sum(dZ2, axis=1, keepdims=True)"}, "db2", "bias-not-averaged"),
    ({"db3": "np.sum(dZ3, axis=1, keepdims=True)"}, "db3", "bias-not-averaged"),
    ({"db2": "np.sum(dZ2, axis=1, keepdims=True) / m + l2 / m * b2"}, "db2", "bias-penalised"),
    ({"db2": "np.sum(dZ2) / m * np.ones_like(b2)"}, "db2", "bias-summed-over-everything"),
    ({"db2": "np.mean(dZ2) * np.ones_like(b2)"}, "db2", "bias-averaged-over-everything"),
    ({"db1": "dZ1[:, :1]"}, "db1", "bias-of-one-example"),
    ({"db1": "np.sum(dA1d, axis=1, keepdims=True) / m"}, "db1", "bias-from-da"),
    (
        {"db3": "np.sum(dZ3[:, 1:], axis=1, keepdims=True) / m"},
        "db3",
        "bias-first-example-left-out",
    ),
    ({"db1": "0.123 * np.sum(dZ1, axis=1, keepdims=True)"}, "db1", "bias-scaled"),
    # In the output.
    ({"dZ3": "Y - A3"}, "dZ3", "output-negated"),
    ({"dZ3": "A3"}, "dZ3", "output-labels-forgotten"),
    ({"dZ3": "(A3 - Y) * A3 * (1 - A3)"}, "dZ3", "output-derivative-twice"),
    ({"dZ3": "-(Y / A3 - (1 - Y) / (1 - A3))"}, "dZ3", "output-derivative-missing"),
    ({"dZ3": "-(Y / A3) * A3 * (1 - A3)"}, "dZ3", "output-ones-only"),
    ({"dZ3": "np.round(A3) - Y"}, "dZ3", "output-thresholded"),
    ({"dZ3": "np.ones_like(Z3) - Y"}, "dZ3", "output-softmax-over-one-unit"),
    ({"dZ3": "(A3 - Y) / m"}, "dZ3", "output-averaged-twice"),
    ({"dZ3": "2 * (A3 - Y)"}, "dZ3", "output-doubled"),
    ({"dZ3": "Z3 - Y"}, "dZ3", "output-before-activation"),
    # On the way down.
    ({"dA1": "W2.T @ dZ2 / m"}, "dZ1", "upstream-averaged-twice"),
    ({"dA2": "2.5 * W3.T @ dZ3"}, "dZ2", "upstream-scaled"),
    ({"dA1": "W2.T @ dA2d"}, "dA1", "upstream-from-da"),
    ({"dZ2": "dA2d * (1 - A2**2) * (np.arange(m) > 0)"}, "dA2", "upstream-first-example-left-out"),
    # Dropout.
    ({"dA1d": "dA1"}, "dA1", "mask-forgotten"),
    ({"dA2d": "dA2 * D2"}, "dA2", "mask-not-rescaled"),
    ({"dA1d": "dA1 / keep1"}, "dA1", "mask-only-rescaled"),
    ({"dA2d": "dA2 * D2 / keep2 / keep2"}, "dA2", "mask-rescaled-twice"),
    ({"dA2d": "dA2 * D2 * keep2"}, "dA2", "mask-multiplied"),
    ({"dA1d": "dA1 * (1 - D1) / keep1"}, "dA1", "mask-inverted"),
    # Activations.
    ({"dZ1": "dA1d"}, "dZ1", "derivative-missing"),
    ({"dZ2": "dA2d"}, "dZ2", "derivative-missing"),
    ({"dZ2": "dA2d * (1 - A2)"}, "dZ2", "derivative-not-squared"),
    ({"dZ2": "dA2d * (1 - Z2**2)"}, "dZ2", "derivative-of-preactivation"),
    ({"dZ2": "dA2d * (1 - np.tanh(A2)**2)"}, "dZ2", "derivative-of-activation"),
    ({"dZ2": "dA2d * (1 - A2d**2)"}, "dZ2", "derivative-of-dropped-activation"),
    ({"dZ2": "dA2d * (Z2 > 0)"}, "dZ2", "derivative-of-another-activation"),
    ({"dZ2": "dA2d * A2 * (1 - A2)"}, "dZ2", "derivative-of-another-activation"),
    ({"dZ1": "dA1d * A1"}, "dZ1", "derivative-is-activation"),
    ({"dZ1": "dA1d * (Z1 < 0)"}, "dZ1", "derivative-inverted"),
    ({"dZ1": "dA1d * (dA1d > 0)"}, "dZ1", "derivative-of-upstream"),
]


@pytest.mark.parametrize(("wrong", "tensor", "bug"), NAMED, ids=lambda value: str(value)[:70])
def test_a_mistake_is_called_by_its_name(wrong, tensor, bug):
    assert names(diagnosed(**wrong)) == [(tensor, bug)]


SQUARE_ONLY = [
    ({"dW2": "(dZ2 @ A1d.T / m).T + l2 / m * W2"}, "dW2", "weights-transposed"),
    ({"dA1": "W2 @ dZ2"}, "dA1", "upstream-untransposed"),
    ({"dA1": "dA2"}, "dA1", "upstream-of-another-layer"),
    ({"dA1": "W1.T @ dZ2"}, "dA1", "upstream-through-another-layer"),
    ({"dA1d": "dA1 * D2 / keep1"}, "dA1", "mask-of-another-layer"),
    ({"dW2": "dZ2 @ X.T / m + l2 / m * W2"}, "dW2", "weights-of-another-input"),
    ({"dW2": "dZ2 @ A1d.T / m + l2 / m * W1"}, "dW2", "l2-of-another-layer"),
    ({"dZ1": "dA1d * (Z2 > 0)"}, "dZ1", "derivative-of-another-layer"),
    ({"db1": "db2"}, "db1", "gradient-of-another-layer"),
    ({"dW1": "dW2"}, "dW1", "gradient-of-another-layer"),
]


@pytest.mark.parametrize(("wrong", "tensor", "bug"), SQUARE_ONLY, ids=lambda value: str(value)[:70])
def test_what_only_equal_shapes_let_pass_is_named(wrong, tensor, bug):
    assert names(diagnosed(SQUARE, **wrong)) == [(tensor, bug)]


SEVERAL = [
    # The pair that the course plants in its gradient check.
    (
        {
            "dW2": "(dZ2 @ A1d.T / m + l2 / m * W2) * 2",
            "db1": "4 / m * np.sum(dZ1, axis=1, keepdims=True)",
        },
        [("dW2", "weights-doubled"), ("db1", "bias-quadrupled")],
    ),
    (
        {"dW2": "2 * (dZ2 @ A1d.T / m + l2 / m * W2)", "db2": "np.sum(dZ2, axis=1, keepdims=True)"},
        [("db2", "bias-not-averaged"), ("dW2", "weights-doubled")],
    ),
    (
        {"dW2": "dZ2 @ A1d.T - l2 / m * W2"},
        [("dW2", "weights-not-averaged"), ("dW2", "l2-negated")],
    ),
    (
        {"dA1d": "dA1", "dZ1": "dA1d"},
        [("dA1", "mask-forgotten"), ("dZ1", "derivative-missing")],
    ),
    (
        {"dZ2": "dA2d", "db2": "-np.sum(dZ2, axis=1, keepdims=True) / m"},
        [("dZ2", "derivative-missing"), ("db2", "bias-negated")],
    ),
    (
        {"dZ3": "Y - A3", "dA2d": "dA2 * D2", "dW1": "dZ1 @ X.T / m"},
        [("dZ3", "output-negated"), ("dA2", "mask-not-rescaled"), ("dW1", "l2-missing")],
    ),
    (
        {f"dW{n}": f"dZ{n} @ A{n - 1}d.T / m" for n in (2, 3)} | {"dW1": "dZ1 @ X.T / m"},
        [("dW3", "l2-missing"), ("dW2", "l2-missing"), ("dW1", "l2-missing")],
    ),
]


@pytest.mark.parametrize(("wrong", "expected"), SEVERAL, ids=lambda value: str(value)[:70])
def test_several_mistakes_at_once_are_all_named(wrong, expected):
    assert sorted(names(diagnosed(**wrong))) == sorted(expected)


def test_the_pair_that_the_course_plants_is_exactly_two_findings_without_l2_and_dropout():
    problem = random_problem(sizes=(4, 5, 3, 1), m=3, hidden="relu", l2=0.0)
    loss, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    grads["W2"], grads["b1"] = 2 * grads["W2"], 4 * grads["b1"]
    findings = diagnose(problem, float(loss), grads, bars(problem))
    assert [(f.tensor, f.layer, f.bug) for f in findings] == [
        ("dW2", 2, "weights-doubled"),
        ("db1", 1, "bias-quadrupled"),
    ]
    assert findings[0].detail.startswith("dW2 is exactly 2 times the true gradient.")


UNSEEN = [
    ({"dW2": "(dZ2 @ A1d.T / m + l2 / m * W2)[::-1]"}, 2),
    ({"db1": "np.cumsum(np.sum(dZ1, axis=1, keepdims=True) / m, axis=0)"}, 1),
    ({"dA1": "(W2 - 0.1 * dW2).T @ dZ2"}, 1),
    ({"dW2": "dZ2 @ A1d.T / m + l2 / m * W2 + 0.01 * np.outer(np.arange(5) == 2, D1[:, 0])"}, 2),
    ({"dW1": "np.clip(dZ1 @ X.T / m + l2 / m * W1, -0.01, 0.01)"}, 1),
    ({"dW1": "dZ1 @ (X - X.mean(axis=1, keepdims=True)).T / m + l2 / m * W1"}, 1),
    ({"dZ1": "dA1d * np.where(Z1 > 0, 1, 0.1)"}, 1),
    ({"dZ3": "A3 - (0.9 * Y + 0.05)"}, 3),
    ({"dZ3": "(A3 - Y) * np.where(Y == 1, 3, 1)"}, 3),
    ({"dA1d": "dA1 * np.roll(D1, 1, axis=1) / keep1"}, 1),
    ({"dA1": "np.abs(W2).T @ dZ2"}, 1),
    ({"db2": "np.median(dZ2, axis=1, keepdims=True)"}, 2),
    ({"dW3": "dZ3[:, ::2] @ A2d[:, ::2].T / m + l2 / m * W3"}, 3),
    ({"dZ2": "dA2d * (1 - A2**3)"}, 2),
    ({"dW2": "np.float16(dZ2 @ A1d.T / m + l2 / m * W2).astype(float)"}, 2),
    ({"dZ1": "dA1d * (Z1 > 0.1)"}, 1),
    ({"dW1": "dZ1 @ np.roll(X, 1, axis=1).T / m + l2 / m * W1"}, 1),
    ({"dZ2": "np.sign(dA2d) * (1 - A2**2)"}, 2),
    ({"dA2": "(W3 + 0.01).T @ dZ3"}, 2),
    ({"dW2": "dZ2 @ A1d.T / m + l2 / m * np.tril(np.ones((5, 6))) * W2"}, 2),
    ({"db1": "np.max(dZ1, axis=1, keepdims=True)"}, 1),
    ({"dZ3": "A3 - np.roll(Y, 1)"}, 3),
    ({"dW2": "(dZ2 @ A1d.T / m + l2 / m * W2) * (1 + 1e-7 * np.arange(6))"}, 2),
    ({"dZ2": "dA2d * (1 - A2**2) - np.mean(dA2d * (1 - A2**2), axis=1, keepdims=True)"}, 2),
]


@pytest.mark.parametrize("known", [(), ("dZ1", "dZ2", "dZ3", "dA1", "dA2")], ids=["grads", "all"])
@pytest.mark.parametrize(("wrong", "layer"), UNSEEN, ids=lambda value: str(value)[:70])
def test_a_bug_that_nobody_thought_of_is_placed_and_not_misnamed(wrong, layer, known):
    work = Work(PROBLEM, **wrong)
    intermediates = work.intermediates(*known) if known else None
    findings = diagnose(PROBLEM, work.loss, work.grads, BARS, intermediates=intermediates)
    (step,) = wrong
    truth = {"mask-of-another-draw"} if step == "dA1d" and known else {"unknown"}
    assert [(f.layer, {f.bug} <= truth) for f in findings] == [(layer, True)]
    if "unknown" in truth:
        assert " is wrong in " in findings[0].detail
        assert findings[0].found == ""


def test_an_unknown_bug_in_one_entry_says_which_and_how_far():
    work = Work(PROBLEM)
    grads = {name: value.copy() for name, value in work.grads.items()}
    grads["W2"][3, 1] *= 1.01
    (finding,) = diagnose(PROBLEM, work.loss, grads, BARS)
    assert finding.bug == "unknown"
    assert "dW2 is wrong in 1 of 30 entries" in finding.detail
    assert "The largest error is at [3, 1]" in finding.detail
    (extent,) = finding.extents
    assert (extent.row, extent.column) == (None, None)  # one entry is no row and no column


def test_an_error_just_beyond_rounding_is_not_given_a_name():
    work = Work(PROBLEM)
    grads = {name: value.copy() for name, value in work.grads.items()}
    grads["W1"][0, 0] += 1.5 * BARS["W1"][0, 0] * np.sign(grads["W1"][0, 0])
    (finding,) = diagnose(PROBLEM, work.loss, grads, BARS)
    assert (finding.tensor, finding.bug) == ("dW1", "unknown")


def test_below_an_unknown_fault_nothing_is_claimed():
    findings = diagnosed(dZ3="A3 - (0.9 * Y + 0.05)", dW1="dZ1 @ X.T / m")
    assert names(findings) == [("dZ3", "unknown")]
    assert "cannot be judged" in findings[0].detail


def test_two_unknown_faults_are_two_where_everything_below_is_right():
    rows = "* np.arange(1, 6)[:, None]"
    both = {
        "dW2": f"(dZ2 @ A1d.T / m + l2 / m * W2) {rows}",
        "db2": f"np.cumsum(dZ2, 1)[:, :1] {rows}",
    }
    assert names(diagnosed(**both)) == [("db2", "unknown"), ("dW2", "unknown")]


def test_a_constant_cannot_be_fitted_to_a_single_entry():
    # db3 has one entry: any wrong value is some multiple of the right one.
    assert names(diagnosed(db3="np.array([[0.0123]])")) == [("db3", "unknown")]


def test_known_intermediates_let_the_search_go_on_below_an_unknown_fault():
    work = Work(PROBLEM, dZ3="A3 - (0.9 * Y + 0.05)", dW1="dZ1 @ X.T / m")
    findings = diagnose(PROBLEM, work.loss, work.grads, BARS, intermediates=work.intermediates())
    assert names(findings) == [("dZ3", "unknown"), ("dW1", "l2-missing")]


@pytest.mark.parametrize(("wrong", "tensor", "bug"), NAMED, ids=lambda value: str(value)[:70])
def test_known_intermediates_change_no_name(wrong, tensor, bug):
    work = Work(PROBLEM, **wrong)
    (finding,) = diagnose(PROBLEM, work.loss, work.grads, BARS, intermediates=work.intermediates())
    # A factor is then seen where it first appears, in dA rather than in dZ.
    assert (finding.tensor[2:], finding.bug) == (tensor[2:], bug)


def test_another_mask_is_recognised_where_dz_is_known():
    work = Work(PROBLEM, dA1d="dA1 * np.roll(D1, 3, axis=1) / keep1")
    findings = diagnose(
        PROBLEM, work.loss, work.grads, BARS, intermediates=work.intermediates("dZ1", "dZ2", "dZ3")
    )
    assert names(findings) == [("dA1", "mask-of-another-draw")]


def test_another_mask_is_recognised_in_a_da_that_was_taken_after_it():
    work = Work(PROBLEM, dA1d="dA1 * np.roll(D1, 3, axis=1) / keep1")
    intermediates = work.intermediates() | {f"dA{n}": work.values[f"dA{n}d"] for n in (1, 2)}
    (finding,) = diagnose(PROBLEM, work.loss, work.grads, BARS, intermediates=intermediates)
    assert (finding.tensor, finding.bug) == ("dA1", "mask-of-another-draw")
    mask, undropped = work.values["D1"], work.values["dA1"]
    apart = (mask != np.roll(mask, 3, axis=1)) & (undropped != 0)
    assert f"they differ in {apart.sum()} of {apart.size} entries" in finding.detail
    assert finding.detail.endswith("A right pass with this one mistake gives your dA1 to the last "
                                   "digit.")  # fmt: skip


def test_a_slope_read_off_what_dropout_left_is_no_mistake_beside_another_mask():
    work = Work(PROBLEM, dA1d="dA1 * np.roll(D1, 3, axis=1) / keep1", dZ1="dA1d * (A1d > 0)")
    intermediates = work.intermediates() | {f"dA{n}": work.values[f"dA{n}d"] for n in (1, 2)}
    findings = diagnose(PROBLEM, work.loss, work.grads, BARS, intermediates=intermediates)
    assert names(findings) == [("dA1", "mask-of-another-draw")]


AVERAGED = {
    "dZ3": "(A3 - Y) / m",
    **{f"db{n}": f"np.sum(dZ{n}, axis=1, keepdims=True)" for n in (1, 2, 3)},
    "dW3": "dZ3 @ A2d.T + l2 / m * W3",
    "dW2": "dZ2 @ A1d.T + l2 / m * W2",
    "dW1": "dZ1 @ X.T + l2 / m * W1",
}


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({}, []),
        ({"dZ3": "(Y - A3) / m"}, [("dZ3", "output-negated")]),
        ({"dA1d": "dA1"}, [("dA1", "mask-forgotten")]),
        ({"dW2": "dZ2 @ A1d.T / m + l2 / m * W2"}, [("dW2", "weights-averaged-twice")]),
    ],
)
def test_a_pass_that_divides_by_m_at_the_output_is_judged_in_its_own_scale(wrong, expected):
    work = Work(PROBLEM, **AVERAGED | wrong)
    findings = diagnose(PROBLEM, work.loss, work.grads, BARS, intermediates=work.intermediates())
    assert names(findings) == expected


@pytest.mark.parametrize("after", [(), ("dA1", "dA2")])
def test_a_da_may_be_taken_before_or_after_the_mask(after):
    work = Work(PROBLEM, dA1d="dA1 * D1")
    intermediates = work.intermediates()
    for name in after:
        intermediates[name] = work.values[f"{name}d"]
    findings = diagnose(PROBLEM, work.loss, work.grads, BARS, intermediates=intermediates)
    assert names(findings) == [("dA1", "mask-not-rescaled")]


FORWARDS = [
    (
        {"A1": "np.tanh(Z1)", "dZ1": "dA1d * (1 - A1**2)"},
        [("A1", "forward-activation")],
    ),
    ({"A2": "Z2", "dZ2": "dA2d"}, [("A2", "forward-activation")]),
    (
        {"A1d": "A1", "dA1d": "dA1"},
        [("A1", "forward-mask-forgotten")],
    ),
    (
        {"A1d": "A1 * D1", "dA1d": "dA1 * D1", "A2d": "A2 * D2", "dA2d": "dA2 * D2"},
        [("A1", "forward-mask-not-rescaled")],
    ),
    ({"Z2": "W2 @ A1d"}, [("Z2", "forward-bias-missing")]),
    (
        {"A1": "np.tanh(Z1)", "dZ1": "dA1d * (Z1 > 0)"},
        [("A1", "forward-activation"), ("dZ1", "derivative-of-another-activation")],
    ),
    # The cost alone, the gradients being right.
    ({"J": "data"}, [("loss", "cost-l2-missing")]),
    ({"J": "data + 2 * penalty"}, [("loss", "cost-l2-doubled")]),
    ({"J": "data + m * penalty"}, [("loss", "cost-l2-not-averaged")]),
    ({"J": "m * data + penalty"}, [("loss", "cost-summed")]),
    ({"J": "data / m + penalty"}, [("loss", "cost-averaged-twice")]),
    ({"J": "-data + penalty"}, [("loss", "cost-negated")]),
    ({"data": "-np.sum(Y * np.log(A3)) / m"}, [("loss", "cost-ones-only")]),
    ({"data": "np.mean((A3 - Y)**2)"}, [("loss", "cost-squared")]),
    (
        {"data": "-np.mean(Y * np.log(A3 + 1e-8) + (1 - Y) * np.log(1 - A3 + 1e-8))"},
        [("loss", "cost-guarded")],
    ),
    # The cost, with the gradients that it has.
    (
        {"data": "np.mean((A3 - Y)**2)", "dZ3": "2 * (A3 - Y) * A3 * (1 - A3)"},
        [("loss", "forward-squared")],
    ),
    (
        {"J": "data", "dW3": "dZ3 @ A2d.T / m", "dW2": "dZ2 @ A1d.T / m", "dW1": "dZ1 @ X.T / m"},
        [("loss", "forward-l2-missing")],
    ),
    (
        {
            "penalty": "l2 / m * 0.3 * (np.sum(W1**2) + np.sum(W2**2) + np.sum(W3**2))",
            **{
                f"dW{n}": f"dZ{n} @ {A}.T / m + 0.6 * l2 / m * W{n}"
                for n, A in ((1, "X"), (2, "A1d"), (3, "A2d"))
            },
        },
        [("loss", "forward-l2-scaled")],
    ),
    # The cost and, besides, a mistake in the backward pass.
    ({"J": "data", "dA1d": "dA1"}, [("loss", "cost-l2-missing"), ("dA1", "mask-forgotten")]),
]


@pytest.mark.parametrize(("wrong", "expected"), FORWARDS, ids=lambda value: str(value)[:70])
def test_a_wrong_function_is_told_from_a_wrong_derivative(wrong, expected):
    assert names(diagnosed(**wrong)) == expected


def test_a_loss_of_no_known_kind_is_not_held_against_the_backward_pass():
    # A right derivative of another function: leaky relu.
    findings = diagnosed(A1="np.where(Z1 > 0, Z1, 0.3 * Z1)", dZ1="dA1d * np.where(Z1 > 0, 1, 0.3)")
    assert names(findings) == [("loss", "unknown")]
    assert "correct the forward pass first" in findings[0].detail


def test_a_loss_that_alone_is_unknown_says_that_the_gradients_are_right():
    findings = diagnosed(J="data + penalty + 0.1234")
    assert names(findings) == [("loss", "unknown")]
    assert "in the cost alone" in findings[0].detail


@pytest.mark.parametrize("clip", ["0.0001", "1e-10", "1e-16"])
def test_a_clipped_cost_on_a_saturated_output_is_named_and_its_gradients_are_right(clip):
    problem = exercise(scale=60.0)
    a = f"np.clip(A3, {clip}, 1 - {clip})"
    work = Work(problem, data=f"-np.mean(Y * np.log({a}) + (1 - Y) * np.log(1 - {a}))")
    grads = autodiff.loss_and_grads(*problem.arguments, **problem.options)[1]
    findings = diagnose(problem, work.loss, grads, bars(problem))
    assert names(findings) == [("loss", "cost-clipped")]
    assert clip in findings[0].detail


def test_a_gradient_composed_from_a_clipped_output_is_named_where_it_saturates():
    problem = exercise(scale=60.0)
    loss, _ = autodiff.loss_and_grads(*problem.arguments, **problem.options)
    a = "np.clip(A3, 1e-10, 1 - 1e-10)"
    work = Work(problem, dZ3=f"-(Y / {a} - (1 - Y) / (1 - {a})) * A3 * (1 - A3)")
    findings = diagnose(problem, float(loss), work.grads, bars(problem))
    assert names(findings) == [("dZ3", "output-clipped")]


def test_gradients_that_are_not_finite_are_placed():
    findings = diagnosed(dZ2="dA2d * (1 - A2**2) / (np.arange(m) > 0)")
    assert names(findings) == [("dZ2", "not-finite")]
    assert names(diagnosed(dW2="np.full_like(W2, np.nan)")) == [("dW2", "not-finite")]


def test_a_loss_that_is_not_finite_is_said():
    work = Work(PROBLEM)
    assert names(diagnose(PROBLEM, float("nan"), work.grads, BARS)) == [("loss", "not-finite")]


def test_the_loss_need_not_be_known():
    work = Work(PROBLEM, dA1d="dA1")
    assert names(diagnose(PROBLEM, None, work.grads, BARS)) == [("dA1", "mask-forgotten")]


@pytest.mark.parametrize(
    ("name", "reshape", "bug"),
    [
        ("b2", lambda v: v.ravel(), "bias-keepdims-missing"),
        ("W2", lambda v: v.T, "weights-transposed"),
        ("b2", lambda v: np.zeros((1, PROBLEM.m)), "bias-wrong-axis"),
        ("W1", lambda v: v[:2], "wrong-shape"),
        ("W1", lambda v: "none", "not-a-number"),
    ],
)
def test_a_wrong_shape_is_a_finding_of_its_own(name, reshape, bug):
    work = Work(PROBLEM)
    grads = work.grads | {name: reshape(work.grads[name])}
    assert names(diagnose(PROBLEM, work.loss, grads, BARS)) == [(f"d{name}", bug)]


def test_a_missing_gradient_is_a_finding_and_the_others_are_still_judged():
    work = Work(PROBLEM, dA1d="dA1")
    grads = {name: value for name, value in work.grads.items() if name != "b2"}
    findings = diagnose(PROBLEM, work.loss, grads, BARS)
    assert names(findings) == [("db2", "missing"), ("dA1", "mask-forgotten")]


def test_a_sum_without_an_axis_is_recognised_from_the_number_that_it_gives():
    work = Work(PROBLEM)
    grads = work.grads | {"b2": np.sum(work.values["dZ2"]) / PROBLEM.m}
    findings = diagnose(PROBLEM, work.loss, grads, BARS)
    assert names(findings) == [("db2", "bias-summed-over-everything")]


@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
@pytest.mark.parametrize("sizes", [(4,), (4, 5), (3, 6, 4)], ids=str)
def test_every_depth_and_both_outputs_are_diagnosed_in_single_precision_too(sizes, output):
    problem = random_problem(
        sizes=(*sizes, 1 if output == "sigmoid" else 3),
        m=30,
        hidden="relu",
        output=output,
        keep_prob=0.8,
        dtype="float32",
    )
    loss, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    known = bars(problem)
    assert diagnose(problem, float(loss), grads, known) == ()
    W = f"W{len(sizes)}"
    grads[W] = grads[W] - np.float32(problem.l2 / problem.m) * problem.params[W]
    assert names(diagnose(problem, float(loss), grads, known)) == [(f"d{W}", "l2-missing")]


def test_a_sigmoid_gradient_under_a_softmax_loss_is_named():
    problem = random_problem(sizes=(4, 5, 3), m=20, output="softmax")
    loss, _ = manual.loss_and_grads(*problem.arguments, **problem.options)
    _, cache = manual.forward(problem.params, problem.X, hidden="tanh", output="softmax")
    dZ = manual.sigmoid(cache[-1].Z) - problem.Y
    grads, _ = manual.backward(dZ, cache, l2=problem.l2)
    findings = diagnose(problem, float(loss), grads, bars(problem))
    assert names(findings) == [("dZ2", "output-sigmoid-under-softmax")]


@pytest.mark.parametrize(
    ("db", "bug", "says"),
    [
        (
            np.full((3, 1), 3e-17),
            "bias-summed-over-everything",
            "which is 0 up to rounding",
        ),
        (np.zeros((3, 1)), "bias-zero", "never filled in"),
    ],
)
def test_a_sum_over_a_softmax_is_not_taken_for_a_gradient_that_was_never_filled_in(db, bug, says):
    problem = random_problem(sizes=(4, 5, 3), m=20, output="softmax")
    loss, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    (finding,) = diagnose(problem, float(loss), grads | {"b2": db}, bars(problem))
    assert finding.bug == bug
    assert says in finding.detail


def test_a_keep_prob_of_one_half_says_that_other_mistakes_make_the_same_numbers():
    problem = exercise(keep_prob=(0.5, 0.5))
    (finding,) = diagnosed(problem, dA1d="dA1 * D1 / keep1 / keep1")
    assert finding.bug == "mask-rescaled-twice"
    assert "upstream-doubled" in finding.equals
    assert "Here a dA or dZ that is doubled" in finding.detail


def test_a_slope_of_one_at_zero_is_named_where_a_unit_sits_on_its_kink():
    problem = random_problem(sizes=(3, 4, 1), m=6, hidden="relu", l2=0.0)
    params = dict(problem.params)
    params["W1"], params["b1"] = params["W1"].copy(), np.zeros((4, 1))
    params["W1"][1] = 0
    problem = problem.with_params(params)
    loss, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    _, cache = manual.forward(params, problem.X, hidden="relu")
    dZ2 = manual.output_backward(cache, problem.Y)
    dZ1 = (params["W2"].T @ dZ2) * (cache[0].Z >= 0)
    dW, db = manual.linear_backward_params(dZ1, problem.X)
    findings = diagnose(problem, float(loss), grads | {"W1": dW, "b1": db}, bars(problem))
    assert names(findings) == [("dZ1", "derivative-at-zero")]


def test_a_finding_reads_as_a_sentence_with_both_formulas():
    (finding,) = diagnosed(dA1d="dA1")
    assert finding.detail.startswith(
        "dA1 does not go back through dropout: the mask of layer 1 and the division by "
        "keep_prob1 = 0.8 are missing."
    )
    assert finding.found == "dA1 = W2.T @ dZ2"
    assert finding.expected == "dA1 = (W2.T @ dZ2) * mask1 / keep_prob1"
    assert finding.layer == 1


def test_a_pass_that_rounds_otherwise_is_named_all_the_same():
    # Saturated, so that 1 - A has few digits left, and summed in another order.
    problem = exercise(scale=6.0, m=60)
    back = np.argsort(-np.arange(60))
    work = Work(problem, dZ3="-(Y / A3 - (1 - Y) / (1 - A3))")
    shuffled = Problem(
        problem.params,
        problem.X[:, back],
        problem.Y[:, back],
        [mask[:, back] for mask in problem.masks],
        hidden=problem.hidden,
        l2=problem.l2,
        keep_prob=problem.keep_prob,
    )
    findings = diagnose(shuffled, None, work.grads, bars(shuffled))
    assert names(findings) == [("dZ3", "output-derivative-missing")]


# What chooses among explanations, and what counts as the same numbers.


@pytest.mark.parametrize(
    ("step", "found"),
    [
        ({"dA2": "2 * W3.T @ dZ3"}, ("dZ2", "upstream-doubled")),
        ({"dW2": "2 * dZ2 @ A1d.T / m"}, ("dW2", "weights-doubled")),
    ],
)
def test_of_two_explanations_the_one_that_explains_more_below_is_taken(step, found):
    # Without db2 both make the same numbers in their own layer, and not in the one below.
    problem = exercise(l2=0.0)
    work = Work(problem, **step)
    grads = {name: value for name, value in work.grads.items() if name != "b2"}
    findings = diagnose(problem, work.loss, grads, bars(problem))
    assert names(findings) == [("db2", "missing"), found]


ANOTHER_ORDER = {
    "Z1": "b1 + W1[:, ::-1] @ X[::-1]",
    "Z2": "b2 + W2[:, ::-1] @ A1d[::-1]",
    "Z3": "b3 + W3[:, ::-1] @ A2d[::-1]",
}
"""The forward pass with every sum taken the other way round."""


@pytest.mark.parametrize(("scale", "seed"), [(4.0, 3), (6.0, 0), (8.0, 0)])
def test_a_wrong_formula_is_allowed_the_rounding_of_the_forward_pass_in_it(scale, seed):
    # A saturated output leaves 1 - A few digits, and two right forward passes share only those.
    problem = exercise(scale=scale, m=60, seed=seed)
    work = Work(problem, **ANOTHER_ORDER, dZ3="-(Y / A3 - (1 - Y) / (1 - A3))")
    findings = diagnose(problem, None, work.grads, bars(problem))
    assert names(findings) == [("dZ3", "output-derivative-missing")]


def test_a_wrong_formula_is_not_allowed_more_than_that_rounding():
    problem = exercise(scale=4.0, m=60, seed=3)
    work = Work(problem, **ANOTHER_ORDER, dZ3="-(Y / A3 - (1 - Y) / (1 - A3))")
    grads = {name: value.copy() for name, value in work.grads.items()}
    grads["W3"][0, 0] *= 1 + 1e-10
    findings = diagnose(problem, None, grads, bars(problem))
    assert ("dZ3", "output-derivative-missing") not in names(findings)


@pytest.mark.parametrize(("deviations", "right"), [(3, True), (1000, False)])
def test_a_known_intermediate_may_be_off_by_its_rounding_and_not_by_much_more(deviations, right):
    work = Work(PROBLEM)
    known = work.intermediates("dZ1", "dZ2", "dZ3")
    known["dZ3"] = known["dZ3"] + deviations * analyse(PROBLEM).Z[-1]
    findings = diagnose(PROBLEM, work.loss, work.grads, BARS, intermediates=known)
    assert (findings == ()) == right


def test_a_da_alone_is_taken_in_the_scale_of_the_course():
    work = Work(PROBLEM)
    intermediates = work.intermediates("dA1", "dA2")
    assert diagnose(PROBLEM, work.loss, work.grads, BARS, intermediates=intermediates) == ()


def test_a_da_that_is_known_to_be_right_is_not_blamed_for_the_dz_below_it():
    # Without the last example in dA2 there would be the same dZ2.
    work = Work(PROBLEM, dZ2="dA2d * (1 - A2**2) * (np.arange(m) < m - 1)")
    without = diagnose(PROBLEM, work.loss, work.grads, BARS)
    assert names(without) == [("dA2", "upstream-last-example-left-out")]
    known = work.intermediates("dA1", "dA2")
    findings = diagnose(PROBLEM, work.loss, work.grads, BARS, intermediates=known)
    assert names(findings) == [("dZ2", "upstream-last-example-left-out")]


def test_a_mistake_is_not_said_to_make_the_same_numbers_as_itself():
    # The last example is missing from dA1 and so from dZ1: one name for two operations.
    (finding,) = diagnosed(dA1="(W2.T @ dZ2) * (np.arange(m) < m - 1)")
    assert finding.bug == "upstream-last-example-left-out"
    assert finding.bug not in finding.equals


def test_a_penalty_that_nobody_asked_for_is_named_with_its_factor():
    problem = exercise(l2=0.0)
    squares = " + ".join(f"np.sum(W{n}**2)" for n in (1, 2, 3))
    (finding,) = diagnosed(
        problem,
        J=f"data + 0.3 / (2 * m) * ({squares})",
        **{f"dW{n}": f"dZ{n} @ {A}.T / m + 0.3 / m * W{n}"
           for n, A in ((1, "X"), (2, "A1d"), (3, "A2d"))},
    )  # fmt: skip
    assert finding.bug == "forward-l2-uninvited"
    assert "lambda = 0.3;" in finding.detail


def test_a_missing_activation_is_written_without_one():
    (finding,) = diagnosed(A2="Z2", dZ2="dA2d")
    assert (finding.found, finding.expected) == ("A2 = Z2", "A2 = tanh(Z2)")


def test_of_two_examples_one_less_is_one():
    problem = exercise(m=2)
    (finding,) = diagnosed(problem, dW2="dZ2 @ A1d.T / (m - 1) + l2 / m * W2")
    assert "weights-averaged-over-one-less" in (finding.bug, *finding.equals)


def test_a_diagnosis_makes_some_thousand_gradients(monkeypatch):
    # 4,200 here. Measuring the noise of every mistake that is far off would make 38,000.
    problem = random_problem(sizes=(30, 20, 7, 5, 1), m=200, keep_prob=0.8)
    loss, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    grads["W1"] = grads["W1"] * np.linspace(1, 2, 30)
    made = []
    make = Chain.__missing__
    monkeypatch.setattr(Chain, "__missing__", lambda *key: made.append(key) or make(*key))
    (finding,) = diagnose(problem, float(loss), grads, analyse(problem).bars)
    assert finding.bug == "unknown"
    assert 1_000 < len(made) < 10_000
