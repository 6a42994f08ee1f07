"""The pytest plugin: a test that fails on a report shows the report's rows.

`assert compare(...).ok` says only that False is not true. Where a test fails by an
AssertionError, the frame that raised it is searched for reports that do not agree, and each is
added to the test's failure as a section of its own. pytest loads this in every project of every
environment that has Backproof, so `verify` is not imported here: where no test has imported it,
there is no report to show.
"""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

from backproof.name_clash import is_ours


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
    if module is None or not is_ours(module.__file__):
        return []
    # pytest keeps the intermediate values of an assertion among the frame's own names.
    values = excinfo.traceback[-1].frame.f_locals.values()
    reports = {
        id(value): str(value) for value in values if type(value) is module.Report and not value.ok
    }
    return [text for text in reports.values() if text not in str(excinfo.value)]
