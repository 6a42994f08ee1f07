"""A quick sample of `python -m tests.worth`: no wrong gradient agrees, no right one disagrees."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from worth import corruptions, functions, networks, single_entries

SAMPLES = {
    "functions": lambda: functions.outcomes(),
    "networks": lambda: networks.outcomes(8, 100),
    "corruptions": lambda: corruptions.outcomes(3, 2),
    "single entries": lambda: single_entries.outcomes(12, 3),
}


@pytest.mark.unchecked
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sample", SAMPLES)
def test_a_sample_of_planted_errors_and_bends_is_judged_right(sample):
    with np.errstate(all="ignore"):
        outcomes = list(SAMPLES[sample]())
    assert not [found.fault for found in outcomes if found.fault]
    verdicts = Counter(found.verdict for found in outcomes)
    assert verdicts["disagree"] > 0, "none was told from right"
    assert verdicts["agree"] > 0 or sample == "single entries"
