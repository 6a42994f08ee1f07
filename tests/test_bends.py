"""Functions with bends: what a convention gives is not accused, what none gives is not cleared."""

from __future__ import annotations

import numpy as np
from worth.functions import TIED, relu

from verify import check_vjp, compare


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
