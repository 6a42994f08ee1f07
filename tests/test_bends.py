"""Functions with bends: what a convention gives is not accused, what none gives is not cleared."""

from __future__ import annotations

import numpy as np
import pytest
from worth.functions import TIED, relu

from verify import check_vjp, compare
from verify.evidence.differences import bends
from verify.evidence.witnesses import Witness


def test_conventions_at_zero_agree_and_what_lies_far_outside_disagrees():
    x = np.array([-1.0, 0.0, 2.0, 0.0])

    def backward(at_zero):
        return lambda d, x: d * np.where(x > 0, 1, np.where(x == 0, at_zero, 0))

    verdicts = {v: check_vjp(relu, backward(v), x).verdict for v in (0, 1, 0.5, 5, -3, np.nan)}
    assert list(verdicts.values()) == ["agree"] * 3 + ["disagree"] * 3


def test_what_is_wrong_at_ties_alone_is_said_to_be():
    report = compare(lambda x: 3 * x.max(), lambda x: 3.0 * (x == x.max()), TIED)
    assert report.verdict == "disagree"
    assert any("wrong at ties" in remark for remark in report.remarks)


def test_where_no_evaluations_are_left_a_slope_outside_a_bend_is_neither_cleared_nor_accused():
    x = np.zeros(1)
    place = bends.Place(
        f=lambda p: float(np.abs(p["x"]).sum()),
        arrays={"x": x},
        noise=2.0**-53,
        rounding={"x": np.zeros(1)},
        left=lambda: 0,
        rng=np.random.default_rng(0),
    )
    grads = {"x": np.array([5.0])}
    found = bends._examined(place, [Witness(0.0, 0.0, grads, grads, grads)], "x", np.array([0]))
    assert found.middle == 0
    assert found.inner == 1
    assert found.outer == np.inf


def place(f, x, noise=2.0**-52, left=10**6):
    """A function of one tensor at a point."""
    return bends.Place(
        f=lambda p: float(f(p["x"])),
        arrays={"x": np.asarray(x, float)},
        noise=noise,
        rounding={"x": np.zeros(len(x))},
        left=lambda: left,
        rng=np.random.default_rng(0),
    )


def examined(at, gradient):
    grads = {"x": np.asarray(gradient, float)}
    stated = Witness(0.0, 0.0, grads, grads, grads)
    return bends._examined(at, [stated], "x", np.arange(len(gradient)))


def test_a_gradient_between_the_slopes_of_both_sides_needs_no_look_beside_the_point():
    found = examined(place(lambda x: 3 * np.abs(x).sum(), np.zeros(2)), [1.0, -3.0])
    assert found.middle.tolist() == [0.0, 0.0]
    assert found.inner.tolist() == [3.0, 3.0]
    assert found.outer.tolist() == [9.0, 9.0]


def test_what_was_not_looked_at_is_explained_where_everything_that_was_is():
    """Beside 0 every slope turns by 3 more, which none of the one-sided slopes shows."""

    def f(x):
        return np.abs(x).sum() + sum(1.5 * np.abs(x - a).sum() for a in (2.0**-12, -(2.0**-12)))

    assert bends.PROBES < 6
    explained = examined(place(f, np.zeros(6)), np.full(6, 2.5))
    assert (explained.inner >= 2.5).all()
    one_is_not = examined(place(f, np.zeros(6)), [2.5] * 5 + [50.0])
    assert (one_is_not.inner >= 2.5).sum() < 6
    assert one_is_not.inner[5] < 50


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**20])
def test_the_slopes_of_both_sides_have_the_scale_of_the_function(factor):
    def f(x):
        return (1 + np.abs(x) + x**2 + np.exp(x)).sum()

    plain = bends._one_sided(place(f, np.zeros(1)), "x", 0, 2.0)
    scaled = place(lambda x: factor * f(x), np.zeros(1), noise=factor * 2.0**-52)
    assert bends._one_sided(scaled, "x", 0, factor * 2.0) == tuple(factor * v for v in plain)
    assert plain[0] == pytest.approx(2, abs=plain[2])
    assert plain[1] == pytest.approx(0, abs=plain[2])


@pytest.mark.parametrize("size", [2.0**-10, 1.0, 2.0**10])
def test_a_bend_is_looked_for_as_far_as_the_entry_is_large(size):
    near = place(lambda x: np.abs(x - size * (1 + bends.REACH / 3)).sum(), [size], size * 2.0**-52)
    assert bends._variation(near, "x", np.ones(1), 2.0) == pytest.approx(2)
    far = place(lambda x: np.abs(x - size * (1 + 3 * bends.REACH)).sum(), [size], size * 2.0**-52)
    assert bends._variation(far, "x", np.ones(1), 2.0) == 0


def test_no_further_lines_are_tried_once_a_bend_turns_enough():
    calls = []
    at = place(lambda x: calls.append(1) or np.abs(x).sum(), np.zeros(1))
    assert bends._variation(at, "x", np.ones(1), enough=1.9) == pytest.approx(2)
    assert len(calls) == bends.PIECES[0] + 1


@pytest.mark.parametrize(("left", "tried"), [(100, 0), (10**6, 2)])
def test_hidden_bends_are_looked_for_as_far_as_evaluations_are_left(left, tried):
    at = place(lambda x: np.abs(x).sum(), np.zeros(2), left=left)
    assert len(bends.hidden(at, {"x": np.array([0, 1])})["x"]) == tried
