"""A short run of the fuzzing; `python -m tests.fuzz` is the long one."""

import pytest

from .__main__ import fuzz


@pytest.mark.slow
def test_no_damaged_input_ends_in_a_traceback_a_hang_or_a_refusal_without_a_name():
    outcomes, wrong = fuzz(300, 7)
    assert wrong == []
    assert sum(outcomes.values()) == 300
