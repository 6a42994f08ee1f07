"""The assertions of `verify.testing`, under the name that no other project has."""

from verify.testing import (
    assert_gradients_agree,
    assert_passes_agree,
    assert_three_ways_agree,
    assert_vjp_agrees,
)

__all__ = [
    "assert_gradients_agree",
    "assert_passes_agree",
    "assert_three_ways_agree",
    "assert_vjp_agrees",
]
