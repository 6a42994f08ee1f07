"""What every public check does at its door: an error shows the user's lines, not ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

OURS = Path(__file__).resolve().parent


def door(check: Callable[P, R]) -> Callable[P, R]:
    """Return a check whose errors carry no frame of ours but the door."""

    @wraps(check)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        __tracebackhide__ = True
        try:
            return check(*args, **kwargs)
        except Exception as fault:
            raise fault.with_traceback(_theirs(fault.__traceback__)) from fault.__cause__

    return called


def _theirs(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the first frame that is not ours, or none if all are."""
    while trace is not None and Path(trace.tb_frame.f_code.co_filename).is_relative_to(OURS):
        trace = trace.tb_next
    return trace
