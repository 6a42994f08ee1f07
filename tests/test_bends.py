"""Functions with bends: what a convention gives is not accused, what none gives is not cleared."""

from __future__ import annotations

import numpy as np
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
