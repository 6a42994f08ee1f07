"""A short run of the fuzzing; `python -m tests.fuzz` is the long one.

It is a process of its own: here every call's annotations are enforced, which users do not have.
"""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_no_damaged_input_ends_in_a_traceback_a_hang_or_a_refusal_without_a_name():
    command = [sys.executable, "-m", "tests.fuzz", "--count", "300", "--seed", "7"]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert run.stdout.splitlines()[-1].startswith("300 inputs, 0 wrong"), run.stdout + run.stderr
    assert run.returncode == 0
