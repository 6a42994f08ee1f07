"""Compares, and drives: the three-way check and everything around it.

`import verify` loads neither JAX nor matplotlib: each public name is imported from its module
when it is first used (PEP 562).
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verify.course.datasets import load as load
    from verify.course.problems import build_problem as build_problem
    from verify.course.textbook_check import gradient_check as gradient_check
    from verify.course.training import train as train
    from verify.function import compare as compare
    from verify.layer import check_vjp as check_vjp
    from verify.masks import draw_masks as draw_masks
    from verify.masks import mask_schedule as mask_schedule
    from verify.network import three_way as three_way
    from verify.notebook import watch as watch
    from verify.problem import Problem as Problem
    from verify.report import Report as Report
    from verify.rule import check as check

_HOME = {
    "Problem": "verify.problem",
    "Report": "verify.report",
    "build_problem": "verify.course.problems",
    "check": "verify.rule",
    "check_vjp": "verify.layer",
    "compare": "verify.function",
    "draw_masks": "verify.masks",
    "gradient_check": "verify.course.textbook_check",
    "load": "verify.course.datasets",
    "mask_schedule": "verify.masks",
    "three_way": "verify.network",
    "train": "verify.course.training",
    "watch": "verify.notebook",
}

if not TYPE_CHECKING:
    # Type checkers read the imports above, and would take this `__all__` for an empty one.
    __all__ = list(_HOME)

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module 'verify' has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
