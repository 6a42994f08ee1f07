"""Problem: the one set of inputs that all three witnesses are given.

Everything that a user supplies for the network is checked here, once, and copied; nothing below
checks or normalises it again. A fault is a ValueError of one sentence: the argument, what it
got, what is expected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from verify.activations import ACTIVATIONS
from verify.printable import echo

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy.typing import ArrayLike, DTypeLike

    Array = np.ndarray
    Masks = tuple[Bool[Array, "_ m"], ...]

T = TypeVar("T")

HIDDEN = tuple(ACTIVATIONS)
OUTPUTS = ("sigmoid", "softmax")


@dataclass(frozen=True, eq=False, init=False)
class Problem:
    """Parameters, data, masks and options, valid and of one dtype, that nobody can change.

    Shapes are those of the networks: params {"W1": (n1, n0), "b1": (n1, 1), ...}; X (n0, m);
    Y (1, m) of 0 and 1 for a sigmoid output, (classes, m) one-hot for softmax; one boolean
    mask (n_l, m) a hidden layer. Arrays are copied and read-only, X and Y in the dtype of the
    parameters; an array that is read-only already, has that dtype and owns its memory is not
    copied. `hidden` and `keep_prob` may be given as one value for all hidden layers or as one
    each; here they are one each.

    Raises ValueError, naming the argument, for anything else.

    Examples:
        >>> import numpy as np
        >>> from backproof import Problem
        >>> params = {"W1": np.full((1, 2), 0.5), "b1": np.zeros((1, 1))}
        >>> problem = Problem(params, X=np.ones((2, 3)), Y=np.array([[0, 1, 1]]), l2=0.1)
        >>> problem.layers, problem.m
        ((2, 1), 3)
    """

    params: Mapping[str, Float[Array, "_ _"]]
    X: Float[Array, "n_0 m"]
    Y: Float[Array, "n_L m"]
    masks: Masks | None
    hidden: tuple[str, ...]
    output: str
    l2: float
    keep_prob: tuple[float, ...]

    def __init__(
        self,
        params: Mapping[str, ArrayLike],
        X: ArrayLike,
        Y: ArrayLike,
        masks: Sequence[ArrayLike] | None = None,
        hidden: str | Sequence[str] = "relu",
        output: str = "sigmoid",
        l2: float = 0.0,
        keep_prob: float | Sequence[float] = 1.0,
    ) -> None:
        arrays = check_params(params)
        output = check_choice("output", output, OUTPUTS)
        widths = [len(bias) for name, bias in arrays.items() if name[0] == "b"]
        keep_probs = check_keep_prob(keep_prob, len(widths) - 1)
        data = check_X(X, arrays["W1"])
        vars(self).update(
            params=MappingProxyType(arrays),
            X=data,
            Y=check_Y(Y, data, output, widths[-1]),
            masks=check_masks(masks, keep_probs, widths[:-1], data.shape[1]),
            hidden=check_hidden(hidden, len(widths) - 1),
            output=output,
            l2=check_l2(l2),
            keep_prob=keep_probs,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by the constructor, which makes the arrays read-only again."""
        return Problem, (*self.arguments, *self.options.values())

    @property
    def m(self) -> int:
        """The number of examples."""
        return len(self.X.T)

    @property
    def layers(self) -> tuple[int, ...]:
        """The layer sizes n0, n1, ..., nL."""
        return len(self.X), *(len(bias) for name, bias in self.params.items() if name[0] == "b")

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """The dtype of all arrays but the masks, float32 or float64."""
        return self.X.dtype

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The positional arguments of `loss`, `loss_and_grads` and `intermediate_grads`.

        The parameters are in a dict of their own, as JAX needs them: changing it changes nothing
        here.
        """
        return dict(self.params), self.X, self.Y, self.masks

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of the same functions."""
        return {
            "hidden": self.hidden,
            "output": self.output,
            "l2": self.l2,
            "keep_prob": self.keep_prob,
        }

    @property
    def forward_options(self) -> dict[str, Any]:
        """Those of a forward pass, which knows no penalty."""
        return {name: value for name, value in self.options.items() if name != "l2"}

    def with_params(self, params: Mapping[str, ArrayLike]) -> Problem:
        """Return the same problem at other parameters."""
        return Problem(**vars(self) | {"params": params})

    def with_masks(self, masks: Sequence[ArrayLike], keep_prob: float | Sequence[float]) -> Problem:
        """Return the same problem with other dropout."""
        return Problem(**vars(self) | {"masks": masks, "keep_prob": keep_prob})

    def astype(self, dtype: DTypeLike) -> Problem:
        """Return the same problem in another floating dtype; float64 at float32 values is exact."""
        if self.dtype == dtype:
            return self
        return self.with_params({name: value.astype(dtype) for name, value in self.params.items()})


def check_problem(problem: Any) -> Problem:
    """Return problem if it is a `Problem`."""
    if not isinstance(problem, Problem):
        raise ValueError(
            f"problem: got {_kind(problem)}, expected a Problem, as build_problem returns one"
        )
    return problem


def check_params(params: Any) -> dict[str, Float[Array, "_ _"]]:
    """Return params as read-only arrays of one floating dtype in the order W1, b1, ..., WL, bL."""
    if not isinstance(params, Mapping):
        raise ValueError(
            f"params: got {_kind(params)}, expected a dict of arrays W1, b1, ..., WL, bL"
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
    return {name: _frozen(name, array, array.dtype) for name, array in arrays.items()}


def check_X(X: Any, W1: Float[Array, "n_1 n_0"]) -> Float[Array, "n_0 m"]:
    """Return X as a finite, read-only (features, m) array that W1 can read, in its dtype."""
    array = as_numbers("X", X)
    features = W1.shape[1]
    if array.ndim != 2 or array.shape[0] != features or array.shape[1] == 0:
        raise ValueError(f"X: got the shape {array.shape}, expected ({features}, m), as W1 has it")
    return _frozen("X", array, W1.dtype)


def check_Y(Y: Any, X: Float[Array, "n_0 m"], output: str, width: int) -> Float[Array, "n_L m"]:
    """Return Y as read-only labels that the output can be compared with, in the dtype of X."""
    array = as_numbers("Y", Y)
    m = X.shape[1]
    if output == "sigmoid" and width != 1:
        raise ValueError(
            f"output: got sigmoid with {width} output units, expected softmax for those"
        )
    if array.ndim != 2 or array.shape[0] != width:
        raise ValueError(f"Y: got the shape {array.shape}, expected ({width}, {m})")
    if array.shape[1] != m:
        raise ValueError(f"Y: got {array.shape[1]} examples, expected {m}, as X has them")
    array = _frozen("Y", array, X.dtype)
    strange = array[(array != 0) & (array != 1)]
    if strange.size:
        raise ValueError(f"Y: got the label {strange[0]:g}, expected 0 and 1")
    if output == "softmax" and (array.sum(axis=0) != 1).any():
        raise ValueError("Y: got a column that is not one-hot, expected exactly one 1 a column")
    return array


def check_masks(
    masks: Any, keep_prob: Sequence[float], widths: Sequence[int], m: int
) -> Masks | None:
    """Return one read-only boolean mask a hidden layer, or None where nothing is dropped."""
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
        arrays.append(_frozen(f"mask {layer}", mask, np.dtype(bool)))
    return tuple(arrays)


def check_hidden(hidden: Any, count: int) -> tuple[str, ...]:
    """Return one activation name a hidden layer, from one for all `count` or one each."""
    return _one_each("hidden", hidden, count, lambda name: check_choice("hidden", name, HIDDEN))


def check_keep_prob(keep_prob: Any, count: int) -> tuple[float, ...]:
    """Return one keep probability a hidden layer, from one for all `count` or one each."""
    return _one_each("keep_prob", keep_prob, count, _probability)


def check_l2(l2: Any) -> float:
    """Return the L2 strength as a finite number of at least 0."""
    if not _is_real(l2) or not 0 <= l2 < math.inf:
        raise ValueError(f"l2: got {_shown(l2)}, expected a number of at least 0")
    return float(l2)


def check_learning_rate(learning_rate: Any) -> float:
    """Return the learning rate as a finite number above 0."""
    if not _is_real(learning_rate) or not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate: got {_shown(learning_rate)}, expected a number above 0")
    return float(learning_rate)


def check_seed(seed: Any) -> int:
    """Return the seed as a whole number that every generator takes."""
    if not _is_whole(seed) or not 0 <= seed < 2**32:
        raise ValueError(f"seed: got {_shown(seed)}, expected whole numbers from 0 to {2**32 - 1}")
    return int(seed)


def check_whole(name: str, value: Any, least: int) -> int:
    """Return value as a whole number of at least `least`, one that fits in 64 bits."""
    if not _is_whole(value) or value < least:
        raise ValueError(
            f"{name}: got {_shown(value)}, expected a whole number of at least {least}"
        )
    if value >= 2**63:
        raise ValueError(f"{name}: got {_shown(value)}, expected a whole number below 2**63")
    return int(value)


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return value if it is one of the choices."""
    if not isinstance(value, str) or value not in choices:
        got = echo(repr(value)) if isinstance(value, str) else _shown(value)
        raise ValueError(f"{name}: got {got}, expected {', '.join(choices)}")
    return value


def check_finite(name: str, array: Array) -> Array:
    """Return array if every entry of it is finite."""
    finite = np.isfinite(array)
    if not finite.all():
        where = tuple(map(int, np.argwhere(~finite)[0]))
        raise ValueError(f"{name}: got {array[where]} at {list(where)}, expected finite numbers")
    return array


def check_unmasked(name: str, array: Any) -> None:
    """Raise ValueError for a masked array, whose mask NumPy's functions would ignore."""
    parts = array if isinstance(array, (list, tuple)) else (array,)
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        raise ValueError(
            f"{name}: got a masked array, expected an array without a mask: "
            "its mask would be ignored"
        )


def as_array(name: str, value: Any) -> Array:
    """Return value as a NumPy array, or raise ValueError, naming it, if NumPy cannot read it."""
    try:
        return np.asarray(value)
    except Exception as fault:
        # Ragged lists, JAX's tracers, PyTorch's tensors that require a gradient.
        why = (str(fault).strip().splitlines() or [type(fault).__name__])[0]
        raise ValueError(
            f"{name}: got {_kind(value)}, expected what NumPy can read as an array ({why})"
        ) from fault


def as_numbers(name: str, array: Any) -> Array:
    """Return array as a real NumPy array, of booleans, integers or floats."""
    check_unmasked(name, array)
    try:
        result = np.asarray(array)
    except (ValueError, TypeError, RuntimeError):
        # Ragged lists, JAX's tracers, PyTorch's tensors that require a gradient.
        result = np.asarray(None)
    if result.dtype.kind not in "biuf":
        got = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else _kind(array)
        raise ValueError(f"{name}: got {got}, expected an array of real numbers")
    return result


def _frozen(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """Return a finite array in this dtype, read-only and nobody else's; its memory order stays."""
    if array.dtype != dtype or array.flags.writeable or not array.flags.owndata:
        with np.errstate(over="ignore"):
            array = np.array(array, dtype)
        array.flags.writeable = False
    return check_finite(name, array)


def _one_each(name: str, value: Any, count: int, check: Callable[[Any], T]) -> tuple[T, ...]:
    """Return one checked value a hidden layer, from one for all or one each."""
    if isinstance(value, str) or not (isinstance(value, Sequence) or np.ndim(value) == 1):
        return (check(value),) * count
    if len(value) != count:
        raise ValueError(
            f"{name}: got {len(value)} values for {count} hidden layer{'s' * (count != 1)}, "
            "expected one for all or one each"
        )
    return tuple(map(check, value))


def _probability(value: Any) -> float:
    if not _is_real(value) or not 0 < value <= 1:
        raise ValueError(f"keep_prob: got {_shown(value)}, expected a number in (0, 1]")
    return float(value)


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__


def _shown(value: Any) -> str:
    """Return a number or a text as it is, anything else by its kind."""
    shown = value is None or isinstance(value, (Real, str))
    return echo(str(value)) if shown else _kind(value)
