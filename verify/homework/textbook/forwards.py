"""What is wrong with a forward pass, by the best name that there is for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

import manual
from verify.homework.report import Fault
from verify.homework.run.calls import array_of, number_of
from verify.homework.textbook.network import (
    Network,
)
from verify.homework.textbook.recognised_network import CLOSE, Trial
from verify.problem import Problem


def forward_faults(
    network: Network,
    trial: Trial,
    faults: Sequence[Fault],
    faithful: bool,
    gradients_are_right: bool,
) -> list[Fault]:
    """Return what is wrong with a forward pass, by the best name that there is for it."""
    named = [fault for fault in faults if fault.bug not in ("unknown", "not-finite")]
    role = network.forward or network.cost or network.backward
    if named or role is None:
        return named
    follows = " The backward pass is the exact gradient of it." if faithful else ""
    problem = trial.problem
    last = problem.output
    AL = array_of(trial.evaluated.forward.AL)
    if AL is not None and problem.masks is None and AL.shape == problem.Y.shape:
        Z = _last_Z(problem)
        L = len(problem.layers) - 1
        fitting = [
            text.format(f"Z{L}")
            for text, value in _OUTPUTS.items()
            if np.allclose(AL, value(Z), rtol=CLOSE)
        ]
        if fitting:  # relu(Z) and Z are one where every Z is positive
            is_ = " or ".join(fitting)
            sentence = f"The output is {is_}; it should be {last}(Z{L})."
            return [
                Fault(role.shown, f"A{L}", L, "forward-output", sentence + follows,
                      f"A{L} = {is_}", f"A{L} = {last}(Z{L})")
            ]  # fmt: skip
    cost = float(number_of(trial.evaluated.cost))
    expected = float(manual.loss(*problem.arguments, **problem.options))
    sentence = f"its cost is {cost:.6g} where that is {expected:.6g}."
    if gradients_are_right and network.makes_cost:
        sentence = (
            f"The cost is {cost:.6g}; it should be {expected:.6g}. The gradients are right, so "
            "the mistake is in the cost alone."
        )
        return [Fault(role.shown, "loss", None, "cost-unknown", sentence)]
    sentence = f"The forward pass is another function than the textbook's: {sentence}{follows}"
    return [Fault(role.shown, "loss", None, "forward-unknown", sentence)]


_OUTPUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "{}": lambda Z: Z,
    "relu({})": lambda Z: np.maximum(Z, 0),
    "tanh({})": np.tanh,
    "sigmoid(-{})": lambda Z: manual.sigmoid(-Z),
    "sigmoid({})": manual.sigmoid,
    "sigmoid(relu({}))": lambda Z: manual.sigmoid(np.maximum(Z, 0)),
}
"""What people put at the output instead."""


def _last_Z(problem: Problem) -> np.ndarray:
    _, cache = manual.forward(
        problem.params, problem.X, hidden=problem.hidden, output=problem.output
    )
    return cache[-1].Z
