"""Stanford's CS231n: layers, losses, classifiers, recurrent layers (N examples in rows)."""

from __future__ import annotations

from typing import Any

_ROWS = ("array", (4, 5))
_IMAGES = ("array", (2, 3, 6, 8))
_NORM = {"gamma": ("array", (5,)), "beta": ("array", (5,))}
_SPATIAL = {"gamma": ("array", (3,)), "beta": ("array", (3,))}
_LABELS = ("labels", (4,), 5)
_LINEAR = {
    "W": ("array", (5, 3)), "X": _ROWS, "y": ("labels", (4,), 3), "reg": ("number", 0.3),
    "theta": ("array", (5, 3)),
}  # fmt: skip

ARGUMENTS: dict[str, tuple[dict[str, tuple[Any, ...]], ...]] = {
    "affine": ({"x": ("array", (4, 2, 3)), "w": ("array", (6, 5)), "b": ("array", (5,))},),
    "affine_relu": ({"x": ("array", (4, 2, 3)), "w": ("array", (6, 5)), "b": ("array", (5,))},),
    "relu": ({"x": _ROWS},),
    "softmax_loss": (
        {"x": _ROWS, "y": _LABELS},
        _LINEAR,
    ),
    "svm_loss": (
        {"x": _ROWS, "y": _LABELS},
        _LINEAR,
    ),
    "batchnorm": ({"x": _ROWS, **_NORM, "bn_param": ("setting", "bn_param")},),
    "layernorm": ({"x": _ROWS, **_NORM, "ln_param": ("setting", "ln_param")},),
    "spatial_batchnorm": ({"x": _IMAGES, **_SPATIAL, "bn_param": ("setting", "bn_param")},),
    "spatial_groupnorm": (
        {
            "x": ("array", (2, 6, 3, 4)), "gamma": ("array", (1, 6, 1, 1)),
            "beta": ("array", (1, 6, 1, 1)), "G": ("number", 3),
            "gn_param": ("setting", "gn_param"),
        },
        {
            "x": ("array", (2, 6, 3, 4)), "gamma": ("array", (6,)), "beta": ("array", (6,)),
            "G": ("number", 3), "gn_param": ("setting", "gn_param"),
        },
    ),
    "dropout": ({"x": _ROWS, "dropout_param": ("setting", "dropout_param")},),
    "conv": (
        {
            "x": _IMAGES, "w": ("array", (5, 3, 4, 2)), "b": ("array", (5,)),
            "conv_param": ("setting", "conv_param"),
        },
    ),
    "max_pool": ({"x": _IMAGES, "pool_param": ("setting", "pool_param")},),
    "avg_pool": ({"x": _IMAGES, "pool_param": ("setting", "pool_param")},),
    "rnn_step": (
        {
            "x": ("array", (4, 5)), "prev_h": ("array", (4, 3)), "Wx": ("small", (5, 3)),
            "Wh": ("small", (3, 3)), "b": ("array", (3,)), "bh": ("array", (3,)),
        },
    ),
    "rnn": (
        {
            "x": ("array", (2, 4, 5)), "h0": ("array", (2, 3)), "Wx": ("small", (5, 3)),
            "Wh": ("small", (3, 3)), "b": ("array", (3,)), "bh": ("array", (3,)),
        },
    ),
    "lstm_step": (
        {
            "x": ("array", (4, 5)), "prev_h": ("array", (4, 3)), "prev_c": ("array", (4, 3)),
            "Wx": ("small", (5, 12)), "Wh": ("small", (3, 12)), "b": ("array", (12,)),
            "bh": ("array", (12,)),
        },
    ),
    "lstm": (
        {
            "x": ("array", (2, 4, 5)), "h0": ("array", (2, 3)), "Wx": ("small", (5, 12)),
            "Wh": ("small", (3, 12)), "b": ("array", (12,)), "bh": ("array", (12,)),
        },
    ),
    "word_embedding": ({"x": ("labels", (3, 4), 7), "W": ("array", (7, 5))},),
    "temporal_affine": (
        {"x": ("array", (2, 4, 5)), "w": ("array", (5, 3)), "b": ("array", (3,))},
    ),
    "temporal_softmax_loss": (
        {"x": ("array", (2, 4, 5)), "y": ("labels", (2, 4), 5), "mask": ("binary", (2, 4))},
    ),
}  # fmt: skip

NAMES: dict[str, tuple[Any, ...]] = {"captions": ("labels", (4, 4), 7)}

_WORDS = ("<NULL>", "<START>", "<END>", "a", "cat", "sat", "there")

SETTINGS: dict[str, tuple[Any, ...]] = {
    "word_to_idx": ({word: index for index, word in enumerate(_WORDS)},),
    "conv_param": (
        {"stride": 1, "pad": 0},
        {"stride": 1, "pad": 1},
        {"stride": 2, "pad": 1},
        {"stride": 4, "pad": 1},
    ),
    "pool_param": (
        {"pool_height": 2, "pool_width": 2, "stride": 2},
        {"pool_height": 4, "pool_width": 2, "stride": 2},
        {"pool_height": 3, "pool_width": 2, "stride": 1},
    ),
    "normalization": (None, "batchnorm", "layernorm"),
    "use_batchnorm": (False, True),
    "bn_param": ({"mode": "train", "eps": 1e-3}, {"mode": "train"}),
    "ln_param": ({"eps": 1e-3}, {}),
    "gn_param": ({"eps": 1e-3},),
    "dropout_param": (
        {"mode": "train", "p": 0.6, "seed": 3},
        {"mode": "test", "p": 0.6, "seed": 3},
    ),
}
