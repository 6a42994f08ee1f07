"""Objects of a file's own classes: made, given parameters, asked for gradients."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from verify.homework.run.calls import CallError, guarded
from verify.homework.run.namespace import Workspace
from verify.homework.textbook.course_calls import BindError
from verify.homework.textbook.problems import L2, M


def construct(workspace: Workspace, owner: str, layers: Sequence[int]) -> Any:
    """Return an object of a class of the file, made for these layer sizes."""
    kind = workspace.names.get(owner)
    if not isinstance(kind, type):
        raise CallError(owner, f"cannot be used ({workspace.failed.get(owner, 'not defined')})")
    sizes: dict[str, Any] = {
        "sizes": list(layers),
        "n_x": layers[0],
        "n_h": layers[1] if len(layers) > 2 else 1,
        "n_y": layers[-1],
        "learning_rate": 0.01,
        "lambd": L2,
        "seed": 1,
        "X": np.ones((layers[0], M)),
        "Y": np.ones((layers[-1], M)),
    }
    arguments = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        wanted = _CONSTRUCTOR.get(name.lower())
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if wanted is not None:
            arguments[name] = sizes[wanted]
        elif parameter.default is parameter.empty:
            raise BindError(owner, f"is made with {name}, an argument that Backproof does not know")
    return guarded(workspace, owner, kind, **arguments)


_CONSTRUCTOR = {
    name: wanted
    for wanted, aliases in {
        "sizes": "layer_dims layers_dims layer_sizes layers sizes dims dimensions units "
        "layer_dimensions layers_sizes n_units architecture layers_dim",
        "n_x": "n_x input_size n_input input_dim n_in num_inputs inputs n_features",
        "X": "x data",
        "Y": "y labels",
        "n_h": "n_h hidden_size n_hidden hidden_dim num_hidden hidden",
        "n_y": "n_y output_size n_output output_dim n_out num_outputs outputs",
        "learning_rate": "learning_rate lr alpha eta",
        "lambd": "lambd lambda_ lam reg l2 reg_lambda",
        "seed": "seed random_state random_seed",
    }.items()
    for name in tuple(aliases.split())
}
"""What the arguments of a network's constructor are called."""


def place(instance: Any, params: Mapping[str, Any]) -> None:
    """Put parameters into an object, in the place of its own."""
    attributes = vars(instance)
    for value in attributes.values():
        if isinstance(value, dict) and "W1" in value:
            value.update(params)
            return
    if "W1" in attributes:
        attributes.update(params)
        return
    for name in ("parameters", "params"):
        if name in attributes or not attributes:
            setattr(instance, name, dict(params))
            return


def gradients_in(instance: Any) -> Any:
    """Return the gradients that a method left in its object."""
    for name, value in vars(instance).items():
        if isinstance(value, dict) and any(str(key).lower().startswith("dw") for key in value):
            return value
        if name.lower() in ("grads", "gradients"):
            return value
    return {k: v for k, v in vars(instance).items() if k.lower().startswith(("dw", "db"))}
