"""The deep learning specialisation, courses 4 and 5: convolution, pooling, recurrent cells.

Courses 1 and 2 have a textbook of their own. Examples are in columns; a dict holds the parameters.
"""

from __future__ import annotations

from typing import Any

_CELL = {
    "Wax": (5, 3), "Waa": (5, 5), "Wya": (2, 5), "ba": (5, 1), "by": (2, 1),
}  # fmt: skip
_GATES = {
    **{f"W{gate}": (5, 8) for gate in "fico"},
    **{f"b{gate}": (5, 1) for gate in "fico"},
    "Wy": (2, 5), "by": (2, 1),
}  # fmt: skip
_CHARACTERS = {
    "Wax": (5, 3), "Waa": (5, 5), "Wya": (3, 5), "b": (5, 1), "by": (3, 1),
}  # fmt: skip
_STEP = {"xt": ("array", (3, 4)), "a_prev": ("array", (5, 4))}
_RUN = {"x": ("array", (3, 2, 4)), "a0": ("array", (5, 2))}

ARGUMENTS: dict[str, tuple[dict[str, tuple[Any, ...]], ...]] = {
    "conv": (
        {
            "A_prev": ("array", (2, 6, 8, 3)),
            "W": ("array", (2, 2, 3, 5)),
            "b": ("array", (1, 1, 1, 5)),
            "hparameters": ("setting", "conv_hparameters"),
        },
    ),
    "pool": (
        {
            "A_prev": ("array", (2, 6, 8, 3)),
            "hparameters": ("setting", "pool_hparameters"),
            "mode": ("setting", "pool_mode"),
        },
    ),
    "rnn_cell": ({**_STEP, "parameters": ("dict", _CELL)},),
    "rnn": (
        {**_RUN, "parameters": ("dict", _CELL)},
        {
            "X": ("labels", (4,), 3),
            "Y": ("labels", (4,), 2),
            "a0": ("array", (5, 1)),
            "parameters": ("dict", _CHARACTERS),
            "vocab_size": ("number", 3),
        },
    ),
    "lstm_cell": ({**_STEP, "c_prev": ("array", (5, 4)), "parameters": ("dict", _GATES)},),
    "lstm": ({**_RUN, "parameters": ("dict", _GATES)},),
}

SETTINGS: dict[str, tuple[Any, ...]] = {
    # The exercise's own hint, X[pad:-pad, pad:-pad, :], is empty where pad is 0.
    "conv_hparameters": ({"pad": 1, "stride": 1}, {"pad": 2, "stride": 1}, {"pad": 1, "stride": 2}),
    "pool_hparameters": ({"f": 2, "stride": 2}, {"f": 3, "stride": 1}),
    "pool_mode": ("max", "average"),
}
