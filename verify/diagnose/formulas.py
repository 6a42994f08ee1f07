"""Formulas as text: how a layer's gradients are written in NumPy, with the layer's names.

A template such as "{dW} = {dZ} @ {A_prev}.T / m" is filled with the names of a layer ("dW2 =
dZ2 @ A1.T / m"), or with general names ("dW = dZ @ A_prev.T / m").
"""

from __future__ import annotations

from typing import Any

from verify.activations import ACTIVATIONS, written
from verify.diagnose.chain import Key, Tape


def names(t: Tape, layer: int, k: int = 0) -> dict[str, Any]:
    """Return what the names in a template stand for in a layer (and another layer k)."""
    here, below, above = str(layer), str(layer - 1), str(layer + 1)
    dropped = 0 < layer < t.L and t.drops(layer)
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
        "masked": f" * mask{here} / {keep}" if dropped else "",
        "open": "(" if dropped else "",
        "close": ")" if dropped else "",
        "product": f"dZ{here} @ {'X' if layer == 1 else f'A{below}'}.T",
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


def general_names() -> dict[str, Any]:
    """Return what the names in a template stand for in any layer."""
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
        "open": "(",
        "close": ")",
        "product": "dZ @ A_prev.T",
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


def expected(operation: str, is_output: bool = False) -> str:
    """Return the template of the right formula of the gradient that an operation makes."""
    return "{dZ} = {A} - Y" if is_output and operation == "dZ" else _EXPECTED[operation]


def tensor(key: Key) -> str:
    """Return the gradient, as a student calls it, that an operation makes in a layer: "dW2"."""
    operation, layer = key
    return f"{_TENSORS.get(operation, operation)}{layer}"


_TENSORS = {"kept": "dA", "product": "dW", "penalty": "dW"}

_EXPECTED = {
    "dA": "{dA} = {open}{W_next}.T @ {dZ_next}{close}{masked}",
    "kept": "{dA} = {open}{W_next}.T @ {dZ_next}{close}{masked}",
    "dZ": "{dZ} = {dA} * {slope}",
    "product": "{dW} = {product} / m{penalty}",
    "penalty": "{dW} = {product} / m{penalty}",
    "dW": "{dW} = {product} / m{penalty}",
    "db": "{db} = {dZ}.sum(axis=1, keepdims=True) / m",
}
