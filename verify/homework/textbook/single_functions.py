"""The single functions that a network is made of, in the order in which they are judged.

Activations, the linear step, both together, each with its backward function; and the cost. A
backward function is compared with the textbook's formula, and with differences of the file's own
forward function.
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
from verify.homework.textbook.roles import Role
from verify.homework.textbook.submission import Submission

_ACTIVATIONS = (*sorted(ACTIVATIONS), "softmax")
_BACKWARDS = tuple(f"{name}_backward" for name in _ACTIVATIONS)

SINGLE_FUNCTIONS = (
    *_ACTIVATIONS,
    "linear_forward",
    "linear_activation_forward",
    *_BACKWARDS,
    "linear_backward",
    "linear_activation_backward",
    "cost",
)
"""In the order in which they are judged: what others are made of comes first."""


def judge_function(submission: Submission, role: Role) -> None:
    """Judge one function, and note what was found."""
    try:
        _JUDGES[role.role](submission, role)
    except CallError as fault:
        submission.say(role, fault.verdict, str(fault))


_JUDGES: dict[str, Callable[[Submission, Role], None]] = {
    **dict.fromkeys(_ACTIVATIONS, judge_activation),
    **dict.fromkeys(_BACKWARDS, judge_activation_backward),
    "linear_forward": judge_linear_forward,
    "linear_backward": judge_linear_backward,
    "linear_activation_forward": judge_linear_activation_forward,
    "linear_activation_backward": judge_linear_activation_backward,
    "cost": judge_cost,
}
