"""Assertions for a test suite; a failed one shows the report.

    from verify.testing import assert_gradients_agree

    def test_the_gradient_of_my_loss():
        assert_gradients_agree(loss, grads, params)

They run under any test runner. Under pytest, the plugin that the package registers
(`backproof.pytest_plugin`) shows the rows for a plain `assert compare(...).ok` too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verify.problem import Problem
    from verify.report import Report


def assert_gradients_agree(
    loss: Callable[[Any], Any],
    grads: Callable[[Any], Any],
    params: Any,
    mirror: Callable[[Any], Any] | None = None,
    **options: Any,
) -> Report:
    """Raise AssertionError with the report unless `verify.compare` finds agreement.

    Takes and raises what `verify.compare` does; returns its report.
    """
    __tracebackhide__ = True
    from verify.function import compare

    return _agreeing(compare(loss, grads, params, mirror, **options))


def assert_vjp_agrees(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    args: Any,
    mirror: Callable[..., Any] | None = None,
    **options: Any,
) -> Report:
    """Raise AssertionError with the report unless `verify.check_vjp` finds agreement.

    Takes and raises what `verify.check_vjp` does; returns its report.
    """
    __tracebackhide__ = True
    from verify.layer import check_vjp

    return _agreeing(check_vjp(forward, backward, args, mirror, **options))


def assert_three_ways_agree(problem: Problem, **options: Any) -> Report:
    """Raise AssertionError with the report unless `verify.three_way` finds agreement.

    Takes and raises what `verify.three_way` does; returns its report.
    """
    __tracebackhide__ = True
    from verify.network import three_way

    return _agreeing(three_way(problem, **options))


def _agreeing(report: Report) -> Report:
    __tracebackhide__ = True
    if not report.ok:
        raise AssertionError(str(report))
    return report
