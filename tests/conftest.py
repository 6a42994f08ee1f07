"""Enforce the annotations of `manual`, `autodiff` and the core of `verify` while the tests run.

At run time none of them imports jaxtyping: what its annotations name is imported under
TYPE_CHECKING alone. Here that constant is true while they are imported, and jaxtyping's import
hook has beartype compare every call's shapes and dtypes with them. A test that makes tens of
thousands of calls, each checked at ten times the price of a small one, is marked `unchecked`,
and so is one that hands a wrong kind of argument to what refuses it in words of its own.
"""

from __future__ import annotations

import importlib
import inspect
import math
import signal
import typing

# What these import has to be there already, or it would see the changed constant.
import beartype  # noqa: F401
import jax.numpy  # noqa: F401
import jaxtyping
import pytest
import rich.console  # noqa: F401
from hypothesis import settings

import verify

ENFORCED = [
    "manual",
    "autodiff",
    "verify.evidence.bars.derived",
    "verify.evidence.bars.sum_rounding",
    "verify.evidence.witnesses",
    "verify.function",
    "verify.layer",
    "verify.network",
    "verify.report",
    "verify.verdict",
]

with (
    pytest.MonkeyPatch.context() as patch,
    jaxtyping.install_import_hook(ENFORCED, "beartype.beartype"),
):
    patch.setattr(typing, "TYPE_CHECKING", True)
    for name in ENFORCED:
        importlib.import_module(name)


# What a check sees in ten seconds says more of what else the machine is doing than of the code:
# unless a test says how many seconds there are, there are enough.
for unhurried in (verify.compare, verify.check_vjp, verify.check):
    inspect.unwrap(unhurried).__kwdefaults__["seconds"] = math.inf

# How long an example takes says more of what else the machine is doing than of the code.
settings.register_profile("backproof", deadline=None)
settings.load_profile("backproof")


def pytest_configure() -> None:
    # What a shell starts in the background ignores Ctrl-C, and so would all that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    unchecked = item.get_closest_marker("unchecked") is not None
    jaxtyping.config.update("jaxtyping_disable", unchecked)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    """No test finds what `backproof check` found in another, or the user's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
