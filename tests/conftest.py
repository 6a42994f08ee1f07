"""Enforce the annotations of `manual` and `autodiff` while the tests run.

At run time neither package imports jaxtyping: what its annotations name is imported under
TYPE_CHECKING alone. Here that constant is true while the two are imported, and jaxtyping's
import hook has beartype hold every call's shapes and dtypes against them. A test that makes
tens of thousands of calls, each checked at ten times the price of a small one, is marked
`unchecked`.
"""

from __future__ import annotations

import signal
import typing

# What the two packages import has to be there already, or it would see the changed constant.
import beartype  # noqa: F401
import jax.numpy  # noqa: F401
import jaxtyping
import pytest
from hypothesis import settings

with (
    pytest.MonkeyPatch.context() as patch,
    jaxtyping.install_import_hook(["manual", "autodiff"], "beartype.beartype"),
):
    patch.setattr(typing, "TYPE_CHECKING", True)
    import autodiff  # noqa: F401
    import manual  # noqa: F401


# How long an example takes says more of what else the machine is doing than of the code.
settings.register_profile("backproof", deadline=None)
settings.load_profile("backproof")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "unchecked: annotations are not enforced, to save time")
    # What a shell starts in the background ignores Ctrl-C, and so would all that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    unchecked = item.get_closest_marker("unchecked") is not None
    jaxtyping.config.update("jaxtyping_disable", unchecked)
