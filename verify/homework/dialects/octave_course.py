"""Andrew Ng's older course, its exercises in Python: costs and gradients of unrolled parameters."""

from __future__ import annotations

from typing import Any

ARGUMENTS: dict[str, tuple[dict[str, tuple[Any, ...]], ...]] = {}

NAMES: dict[str, tuple[Any, ...]] = {
    "nn_params": ("small", (48,)),
    "nnParams": ("small", (48,)),
    "unrolled": ("small", (48,)),
}
"""Two layers without names: 6 units of 5 inputs, 3 of 6, and the weights of the ones."""

_SIZES: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("input_layer_size", "input_size", "n_input", "inputLayerSize"), (5,)),
    **dict.fromkeys(("hidden_layer_size", "hidden_size", "n_hidden", "hiddenLayerSize"), (5,)),
    **dict.fromkeys(("num_labels", "n_labels", "numLabels"), (3,)),
}

SETTINGS: dict[str, tuple[Any, ...]] = _SIZES
