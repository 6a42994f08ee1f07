"""The pytest plugin: a test that fails on a report shows the report's rows.

`assert compare(...).ok` says only that False is not true. Where a test fails by an
AssertionError, the frame that raised it is searched for reports that do not agree, and each is
added to the test's failure as a section of its own. Loaded by pytest in every run of every
project where Backproof is installed, so nothing is imported here but pytest.
"""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the rows of disagreeing reports to a failed test."""
    outcome = yield
    if call.excinfo is not None and call.excinfo.errisinstance(AssertionError):
        for text in _disagreeing(call.excinfo):
            outcome.sections.append(("gradients", text))
    return outcome


def _disagreeing(excinfo: pytest.ExceptionInfo[BaseException]) -> list[str]:
    """Return the texts of the reports in the frame that raised, that the error does not show."""
    module = sys.modules.get("verify.report")
    if module is None:
        return []
    # pytest keeps the intermediate values of an assertion among the frame's own names.
    values = excinfo.traceback[-1].frame.f_locals.values()
    reports = {
        id(value): str(value)
        for value in values
        if isinstance(value, module.Report) and not value.ok
    }
    return [text for text in reports.values() if text not in str(excinfo.value)]
