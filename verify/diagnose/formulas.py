"""Formulas in words: how a layer's gradients are written, in NumPy, with its own names.

A template such as "{dW} = {dZ} @ {A_prev}.T / m" is filled for a layer ("dW2 = dZ2 @ A1.T / m"),
for a layer and another layer k, or in general ("dW = dZ @ A_prev.T / m").
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from verify.activations import ACTIVATIONS, written
from verify.diagnose.chain import Tape

_OUTER_PARENTHESES = re.compile(r"^(\w+ = )\(([^()]*)\)$")
"""Those that a template needs for what follows, where nothing does."""


def fill(template: str, t: Tape | None, layer: int = 0, k: int = 0) -> str:
    """Write a template for a layer (and another layer k), or in general where there is no tape."""
    text = template.format_map(_general_names() if t is None else _names(t, layer, k))
    return _OUTER_PARENTHESES.sub(r"\1\2", text)


def _names(t: Tape, layer: int, k: int) -> Mapping[str, object]:
    here, below, above = str(layer), str(layer - 1), str(layer + 1)
    keep = "keep_prob" if len(set(t.keep[1:-1])) <= 1 else f"keep_prob{layer}"
    return {
        **{name: name + here for name in ("W", "b", "Z", "A", "dW", "db", "dZ", "dA", "mask")},
        **{f"{name}_next": name + above for name in ("W", "dZ", "dA")},
        **{f"{name}_k": f"{name}{k}" for name in ("W", "A", "Z", "dW", "db", "dZ", "dA", "mask")},
        "A_prev": f"A{below}" if layer > 1 else "X",
        "A_k": f"A{k}" if k else "X",
        "Z_prev": f"Z{below}",
        "mask_prev": f"mask{below}",
        "keep": keep,
        "keep_prev": "keep_prob" if keep == "keep_prob" else f"keep_prob{below}",
        "masked": f" * mask{here} / {keep}" if 0 < layer < t.L and t.drops(layer) else "",
        "penalty": f" + l2 / m * W{here}" if t.l2 else "",
        "slope": "" if layer == t.L else ACTIVATIONS[t.g[layer]].derivative.format(Z=f"Z{here}"),
        "g": written(t.g[layer]),
        "m": t.m,
        "equals_m": f"m = {t.m}",
        "equals_keep": f"{keep} = {t.keep[layer]:g}",
        "layer": layer,
        "layer_prev": layer - 1,
        "k": k,
    }


def _general_names() -> Mapping[str, object]:
    plain = ("W", "b", "Z", "A", "dW", "db", "dZ", "dA", "mask")
    return {
        **{name: name for name in plain},
        **{f"{name}_{where}": f"{name}_{where}" for name in plain for where in ("next", "k")},
        "A_prev": "A_prev",
        "Z_prev": "Z_prev",
        "mask_prev": "mask_prev",
        "keep": "keep_prob",
        "keep_prev": "keep_prob",
        "masked": " * mask / keep_prob",
        "penalty": " + l2 / m * W",
        "slope": "g'(Z)",
        "g": "g",
        "m": "m",
        "equals_m": "m = the number of examples",
        "equals_keep": "keep_prob",
        "layer": "l",
        "layer_prev": "l - 1",
        "k": "k",
    }


def expected(t: Tape | None, operation: str, layer: int = 0) -> str:
    """Return the right formula of the gradient that an operation makes."""
    if operation == "dZ" and t is not None and layer == t.L:
        return fill("{dZ} = {A} - Y", t, layer)
    return fill(_EXPECTED[operation], t, layer)


_EXPECTED = {
    "dA": "{dA} = ({W_next}.T @ {dZ_next}){masked}",
    "kept": "{dA} = ({W_next}.T @ {dZ_next}){masked}",
    "dZ": "{dZ} = {dA} * {slope}",
    "product": "{dW} = {dZ} @ {A_prev}.T / m{penalty}",
    "penalty": "{dW} = {dZ} @ {A_prev}.T / m{penalty}",
    "dW": "{dW} = {dZ} @ {A_prev}.T / m{penalty}",
    "db": "{db} = {dZ}.sum(axis=1, keepdims=True) / m",
}
