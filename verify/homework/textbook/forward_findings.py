"""What is wrong with a forward pass, by the best name that there is for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

import manual
from verify.catalogue import UNNAMED
from verify.findings import Finding
from verify.homework.run.calls import array_of, number_of
from verify.homework.textbook.identification import CLOSE, Identified
from verify.homework.textbook.network import (
    Network,
)
from verify.homework.textbook.problems import forward
from verify.homework.textbook.roles import blamed


def forward_findings(
    network: Network,
    identified: Identified,
    findings: Sequence[Finding],
    faithful: bool,
    gradients_are_right: bool,
) -> list[Finding]:
    """Return what is wrong with a forward pass, by the best name that there is for it."""
    named = [finding for finding in findings if finding.bug not in UNNAMED]
    role = network.forward or network.cost or network.backward
    if named or role is None:
        return named
    finding = _wrong_output(identified) or _wrong_cost(identified, network, gradients_are_right)
    if faithful:
        finding = replace(finding, follows=("gradients-faithful",))
    return [blamed(finding, role)]


def _wrong_output(identified: Identified) -> Finding | None:
    """Return the finding that the output has another activation, where it has one that is known."""
    problem, AL = identified.problem, array_of(identified.evaluated.forward.AL)
    if AL is None or problem.masks is not None or AL.shape != problem.Y.shape:
        return None
    Z, L = forward(problem)[1][-1].Z, len(problem.layers) - 1
    fitting = [text for text, value in _OUTPUTS.items() if np.allclose(AL, value(Z), rtol=CLOSE)]
    if not fitting:
        return None
    written = " or ".join(fitting)  # relu(Z) and Z are one where every Z is positive
    return Finding(
        "forward-output",
        f"A{L}",
        L,
        says=f"The output is {written}; it should be {problem.output}({{Z}}).",
        wrong=f"{{A}} = {written}",
        right=f"{{A}} = {problem.output}({{Z}})",
        values={"A": f"A{L}", "Z": f"Z{L}"},
    )


def _wrong_cost(identified: Identified, network: Network, gradients_are_right: bool) -> Finding:
    """Return the finding that the cost is another, which is all that is known."""
    problem = identified.problem
    values = {
        "cost": float(number_of(identified.evaluated.cost)),
        "due": float(manual.loss(*problem.arguments, **problem.options)),
    }
    if gradients_are_right and network.makes_cost:
        says = "The cost is {cost:.6g}; it should be {due:.6g}."
        return Finding("cost-unknown", "loss", says=says, values=values, follows=("cost-alone",))
    says = (
        "The forward pass is another function than the textbook's: its cost is {cost:.6g} where "
        "that is {due:.6g}."
    )
    return Finding("forward-unknown", "loss", says=says, values=values)


_OUTPUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "{Z}": lambda Z: Z,
    "relu({Z})": lambda Z: np.maximum(Z, 0),
    "tanh({Z})": np.tanh,
    "sigmoid(-{Z})": lambda Z: manual.sigmoid(-Z),
    "sigmoid({Z})": manual.sigmoid,
    "sigmoid(relu({Z}))": lambda Z: manual.sigmoid(np.maximum(Z, 0)),
}
"""What people put at the output instead."""
