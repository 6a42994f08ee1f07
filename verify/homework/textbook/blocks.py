"""The functions that a network is made of, in the order in which they are judged.

Activations, the linear step, both together, each beside its backward; and the cost. A backward
is held against three things: the textbook's formula, JAX's derivative of the file's own forward
function, and differences of that.
"""

from __future__ import annotations

from collections.abc import Callable

from verify.activations import ACTIVATIONS
from verify.homework.run.calls import CallError
from verify.homework.textbook.activations import judge_activation, judge_activation_backward
from verify.homework.textbook.costs import judge_cost
from verify.homework.textbook.linear import (
    judge_linear_activation_backward,
    judge_linear_activation_forward,
    judge_linear_backward,
    judge_linear_forward,
)
from verify.homework.textbook.recognise import Role
from verify.homework.textbook.workbench import Bench

_ACTIVATIONS = (*sorted(ACTIVATIONS), "softmax")
_BACKWARDS = tuple(f"{name}_backward" for name in _ACTIVATIONS)

BLOCKS = (
    *_ACTIVATIONS,
    "linear_forward",
    "linear_activation_forward",
    *_BACKWARDS,
    "linear_backward",
    "linear_activation_backward",
    "cost",
)
"""In the order in which they are judged: what others are made of comes first."""


def judge_block(bench: Bench, role: Role) -> None:
    """Judge one function, and put what is said of it into the bench's outcome."""
    outcome = bench.outcome
    try:
        _JUDGES[role.role](bench, role)
    except CallError as fault:
        outcome.say(role, fault.verdict, str(fault))


_JUDGES: dict[str, Callable[[Bench, Role], None]] = {
    **dict.fromkeys(_ACTIVATIONS, judge_activation),
    **dict.fromkeys(_BACKWARDS, judge_activation_backward),
    "linear_forward": judge_linear_forward,
    "linear_backward": judge_linear_backward,
    "linear_activation_forward": judge_linear_activation_forward,
    "linear_activation_backward": judge_linear_activation_backward,
    "cost": judge_cost,
}
