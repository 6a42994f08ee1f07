"""Problem: the one set of inputs that all three ways are given, and the one door they enter by.

Everything that a user supplies is checked here, once; past this door it is trusted. A fault
is a ValueError of one sentence that names the argument, what it got and what it takes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

HIDDEN = ("relu", "tanh", "sigmoid")
OUTPUTS = ("sigmoid", "softmax")


@dataclass(frozen=True, eq=False)
class Problem:
    """Parameters, data, masks and options, valid and of one dtype.

    Shapes are those of the networks: params {"W1": (n1, n0), "b1": (n1, 1), ...}; X (n0, m);
    Y (1, m) of 0 and 1 for a sigmoid output, (classes, m) one-hot for softmax; one boolean
    mask (n_l, m) a hidden layer. `hidden` and `keep_prob` take one value for all hidden layers
    or one each, and are kept as one each. X and Y are brought to the dtype of the parameters.

    Raises ValueError, naming the argument, for anything else.
    """

    params: Mapping[str, np.ndarray]
    X: np.ndarray
    Y: np.ndarray
    masks: Sequence[np.ndarray] | None = None
    hidden: str | Sequence[str] = "relu"
    output: str = "sigmoid"
    l2: float = 0.0
    keep_prob: float | Sequence[float] = 1.0

    def __post_init__(self) -> None:
        params = check_params(self.params)
        dtype = params["W1"].dtype
        X = check_X(self.X, params).astype(dtype)
        output = check_choice("output", self.output, OUTPUTS)
        widths = [params[f"W{layer}"].shape[0] for layer in range(1, len(params) // 2)]
        keep_prob = check_keep_prob(self.keep_prob, len(widths))
        checked = {
            "params": params,
            "X": X,
            "Y": check_Y(self.Y, X, output, params[f"b{len(params) // 2}"].shape[0]).astype(dtype),
            "masks": check_masks(self.masks, keep_prob, widths, X.shape[1]),
            "hidden": check_hidden(self.hidden, len(widths)),
            "output": output,
            "l2": check_l2(self.l2),
            "keep_prob": keep_prob,
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def m(self) -> int:
        """The number of examples."""
        return self.X.shape[1]

    @property
    def layers(self) -> tuple[int, ...]:
        """The layer sizes n0, n1, ..., nL."""
        count = len(self.params) // 2
        return (
            self.X.shape[0],
            *(self.params[f"W{layer}"].shape[0] for layer in range(1, count + 1)),
        )

    @property
    def dtype(self) -> np.dtype:
        """The dtype of everything, float32 or float64."""
        return self.params["W1"].dtype

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The positional arguments of `loss`, `loss_and_grads` and `intermediate_grads`."""
        return self.params, self.X, self.Y, self.masks

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of the same functions."""
        return {
            "hidden": self.hidden,
            "output": self.output,
            "l2": self.l2,
            "keep_prob": self.keep_prob,
        }

    def with_params(self, params: Mapping[str, np.ndarray]) -> Problem:
        """Return the same problem at other parameters."""
        return dataclasses.replace(self, params=params)

    def astype(self, dtype: Any) -> Problem:
        """Return the same problem in another floating dtype; float64 at float32 values is exact."""
        return self.with_params({name: value.astype(dtype) for name, value in self.params.items()})


def check_params(params: Any) -> dict[str, np.ndarray]:
    """Return params as arrays of one floating dtype in the order W1, b1, ..., WL, bL."""
    if not isinstance(params, Mapping):
        raise ValueError(
            f"params: got {type(params).__name__}, expected a dict of arrays W1, b1, ..., WL, bL"
        )
    count = len(params) // 2
    names = [name for layer in range(1, count + 1) for name in (f"W{layer}", f"b{layer}")]
    if not params or set(params) != set(names):
        raise ValueError(
            f"params: got the keys {', '.join(map(str, params)) or 'none'}, "
            "expected W1, b1, ..., WL, bL without a gap"
        )
    arrays = {name: as_numbers(name, params[name]) for name in names}
    dtypes = {array.dtype for array in arrays.values()}
    if len(dtypes) > 1 or next(iter(dtypes)) not in (np.float32, np.float64):
        raise ValueError(
            f"params: got {' and '.join(sorted(map(str, dtypes)))}, "
            "expected all float32 or all float64"
        )
    width = None
    for layer in range(1, count + 1):
        W, b = arrays[f"W{layer}"], arrays[f"b{layer}"]
        if W.ndim != 2 or 0 in W.shape or width not in (None, W.shape[1]):
            raise ValueError(
                f"W{layer}: got the shape {W.shape}, "
                f"expected (n{layer}, {width or f'n{layer - 1}'})"
            )
        width = W.shape[0]
        if b.shape != (width, 1):
            raise ValueError(f"b{layer}: got the shape {b.shape}, expected ({width}, 1)")
    for name, array in arrays.items():
        check_finite(name, array)
    return arrays


def check_X(X: Any, params: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return X as a finite (features, m) array that W1 can read."""
    X = as_numbers("X", X)
    features = params["W1"].shape[1]
    if X.ndim != 2 or X.shape[0] != features or X.shape[1] == 0:
        raise ValueError(f"X: got the shape {X.shape}, expected ({features}, m), as W1 has it")
    return check_finite("X", X)


def check_Y(Y: Any, X: np.ndarray, output: str, width: int) -> np.ndarray:
    """Return Y as labels that the output can be compared with."""
    Y = as_numbers("Y", Y)
    m = X.shape[1]
    if output == "sigmoid" and width != 1:
        raise ValueError(
            f"output: got sigmoid with {width} output units, expected softmax for those"
        )
    if Y.ndim != 2 or Y.shape[0] != width:
        raise ValueError(f"Y: got the shape {Y.shape}, expected ({width}, {m})")
    if Y.shape[1] != m:
        raise ValueError(f"Y: got {Y.shape[1]} examples, expected {m}, as X has them")
    check_finite("Y", Y)
    strange = Y[(Y != 0) & (Y != 1)]
    if strange.size:
        raise ValueError(f"Y: got the label {strange[0]:g}, expected 0 and 1")
    if output == "softmax" and (Y.sum(axis=0) != 1).any():
        raise ValueError("Y: got a column that is not one-hot, expected exactly one 1 a column")
    return Y


def check_masks(
    masks: Any, keep_prob: Sequence[float], widths: Sequence[int], m: int
) -> tuple[np.ndarray, ...] | None:
    """Return one boolean mask a hidden layer, or None where nothing is dropped."""
    if masks is None:
        if any(keep < 1 for keep in keep_prob):
            shown = ", ".join(f"{keep:g}" for keep in keep_prob)
            raise ValueError(
                f"masks: got none with keep_prob {shown}, expected one boolean array a hidden layer"
            )
        return None
    if not isinstance(masks, Sequence) or len(masks) != len(widths):
        got = len(masks) if isinstance(masks, Sequence) else type(masks).__name__
        raise ValueError(
            f"masks: got {got}, expected {len(widths)}, one boolean array a hidden layer"
        )
    arrays = []
    for layer, (mask, width) in enumerate(zip(masks, widths, strict=True), start=1):
        mask = as_numbers(f"mask {layer}", mask)
        if mask.shape != (width, m):
            raise ValueError(f"mask {layer}: got the shape {mask.shape}, expected ({width}, {m})")
        if not np.isin(mask, (0, 1)).all():
            raise ValueError(
                f"mask {layer}: got values other than 0 and 1, expected a boolean array"
            )
        arrays.append(mask.astype(bool))
    return tuple(arrays)


def check_hidden(hidden: Any, count: int) -> tuple[str, ...]:
    """Return one activation name a hidden layer."""
    return tuple(check_choice("hidden", name, HIDDEN) for name in one_each("hidden", hidden, count))


def check_keep_prob(keep_prob: Any, count: int) -> tuple[float, ...]:
    """Return one keep probability a hidden layer, each above 0 and at most 1."""
    values = one_each("keep_prob", keep_prob, count)
    for value in values:
        if not isinstance(value, (int, float, np.number)) or not 0 < value <= 1:
            raise ValueError(f"keep_prob: got {value}, expected a number in (0, 1]")
    return tuple(map(float, values))


def check_l2(l2: Any) -> float:
    """Return the L2 strength as a finite number of at least 0."""
    if not isinstance(l2, (int, float, np.number)) or not 0 <= l2 < math.inf:
        raise ValueError(f"l2: got {l2}, expected a number of at least 0")
    return float(l2)


def check_learning_rate(learning_rate: Any) -> float:
    """Return the learning rate as a finite number above 0."""
    if not isinstance(learning_rate, (int, float, np.number)) or not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate: got {learning_rate}, expected a number above 0")
    return float(learning_rate)


def check_seed(seed: Any) -> int:
    """Return the seed as a whole number that every generator takes."""
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(f"seed: got {seed}, expected whole numbers from 0 to {2**32 - 1}")
    return int(seed)


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return value if it is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name}: got {value!r}, expected {', '.join(choices)}")
    return value


def check_finite(name: str, array: np.ndarray) -> np.ndarray:
    """Return array if every entry of it is finite."""
    finite = np.isfinite(array)
    if not finite.all():
        where = tuple(map(int, np.argwhere(~finite)[0]))
        raise ValueError(f"{name}: got {array[where]} at {list(where)}, expected finite numbers")
    return array


def one_each(name: str, value: Any, count: int) -> tuple:
    """Return one value a hidden layer, from one for all or one each."""
    if isinstance(value, str) or np.ndim(value) == 0:
        return (value,) * count
    if len(value) != count:
        raise ValueError(
            f"{name}: got {len(value)} values for {count} hidden layer{'s' * (count != 1)}, "
            "expected one for all or one each"
        )
    return tuple(value)


def as_numbers(name: str, array: Any) -> np.ndarray:
    """Return array as a real NumPy array."""
    try:
        result = np.asarray(array)
    except ValueError:
        result = np.asarray(None)
    if result.dtype.kind not in "biuf":
        raise ValueError(f"{name}: got {type(array).__name__} of no numbers, expected a real array")
    return result
