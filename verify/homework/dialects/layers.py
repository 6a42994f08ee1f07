"""Layer classes of "from scratch" books and courses: what their numbers are called."""

from __future__ import annotations

from typing import Any

_STEP = {"x": ("array", (4, 5)), "h_prev": ("array", (4, 3)), "c_prev": ("array", (4, 3))}
_SEQUENCES = {"xs": ("array", (2, 4, 5)), "x": ("array", (2, 4, 5))}

ARGUMENTS: dict[str, tuple[dict[str, tuple[Any, ...]], ...]] = {
    "rnn": (_STEP,),
    "lstm": (_STEP,),
    "gru": (_STEP,),
    "time_rnn": (_SEQUENCES,),
    "time_lstm": (_SEQUENCES,),
    "time_gru": (_SEQUENCES,),
    "time_affine": (_SEQUENCES,),
    "embedding": ({"idx": ("labels", (4,), 5)},),
    "time_embedding": ({"xs": ("labels", (2, 4), 5)},),
    "time_softmax_with_loss": ({"xs": ("array", (2, 4, 5)), "ts": ("labels", (2, 4), 5)},),
    "time_sigmoid_with_loss": ({"xs": ("array", (2, 4)), "ts": ("binary", (2, 4))},),
}
"""Recurrent layers of N examples in T steps, whose layers keep their parameters."""

SETTINGS: dict[str, tuple[Any, ...]] = {
    "stride": (1, 2),
    "pad": (0, 1),
    "padding": (0, 1),
    "filter_h": (4,),
    "filter_w": (2,),
    "pool_h": (4,),
    "pool_w": (2,),
    "pool_size": (2, 3),
    "kernel_size": (2, 3),
    "kernel": (2, 3),
    "filter_size": (2, 3),
    "f": (2,),
    "eps": (1e-3,),
    "epsilon": (1e-3,),
    "delta": (1.0,),
    "keep_prob": (0.6,),
    "dropout_ratio": (0.6,),
    "train_flg": (True,),
    "training": (True,),
    "is_training": (True,),
    "train": (True,),
    "num_labels": (3,),
    "num_classes": (3,),
    "n_classes": (3,),
}
