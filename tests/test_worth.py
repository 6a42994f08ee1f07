"""A quick sample of `python -m tests.worth`: no wrong gradient agrees, no right one disagrees."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import soak
from worth import corruptions, functions, networks, single_entries

SAMPLES = {
    "functions": lambda: functions.outcomes(),
    "networks": lambda: networks.outcomes(4, 100),
}
SLOW = {
    "corruptions": lambda: corruptions.outcomes(2, 27),
    "single entries": lambda: single_entries.outcomes(6, 3),
    "networks, slow": lambda: networks.outcomes(20, 200),
    "corruptions, slow": lambda: corruptions.outcomes(6, 38),
    "single entries, slow": lambda: single_entries.outcomes(20, 4),
}


@pytest.mark.unchecked
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "sample", [*SAMPLES, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_a_sample_of_planted_errors_and_bends_is_judged_right(sample):
    with np.errstate(all="ignore"):
        outcomes = list((SAMPLES | SLOW)[sample]())
    assert not [found.fault for found in outcomes if found.fault]
    verdicts = Counter(found.verdict for found in outcomes)
    assert verdicts["disagree"] > 0, "none was told from right"
    assert verdicts["agree"] > 0 or "single entries" in sample


@pytest.mark.parametrize("number", [360, 2773, 3318, 3792])
def test_right_gradients_of_these_problems_are_not_called_wrong(number):
    """They once were.

    A sigmoid that drops the imaginary part beside a loss of 2,000; labels that balance, with
    parameters of 1e-6 in float32; a saturated tanh in float32, which rounds as if it jumped; and
    an output of 1 - 2e-25, which is 1 in float64, too.
    """
    rng = np.random.default_rng([2, number])
    _, problem = soak.draw_problem(soak.architectures(2)[number % soak.ARCHITECTURES], rng)
    assert soak.compared(problem).verdict != "disagree"
