"""From a data set and an architecture to a Problem."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import manual
from verify.masks import draw_masks
from verify.problem import (
    OUTPUTS,
    Problem,
    check_choice,
    check_keep_prob,
    check_seed,
    check_whole,
)

if TYPE_CHECKING:
    from verify.course.datasets import Dataset

DTYPES = ("float32", "float64")


def build_problem(
    dataset: Dataset,
    *,
    layers: Sequence[int] = (20, 7, 5),
    hidden: str | Sequence[str] = "relu",
    output: str | None = None,
    init: str | float = "he",
    l2: float = 0.0,
    keep_prob: float | Sequence[float] = 1.0,
    examples: int | None = None,
    dtype: str = "float64",
    seed: int = 1,
) -> Problem:
    """Return the Problem of training a network with these hidden `layers` on a data set.

    `output` is by default sigmoid for two classes and softmax for more. `init` is a name of
    `manual.INITIALIZERS` or the standard deviation of every weight; parameters are drawn from
    RandomState(seed) in the course's order, masks from the counter-based generator of
    `verify.masks` at iteration 0. `examples` keeps the first so many.

    Raises ValueError, naming the argument, for anything else.

    Examples:
        >>> import backproof
        >>> problem = backproof.build_problem(backproof.load("circles"), layers=(4, 3), l2=0.7)
        >>> problem.layers, problem.m
        ((2, 4, 3, 1), 300)
    """
    from verify.course.datasets import Dataset, targets

    if not isinstance(dataset, Dataset):
        raise ValueError(
            f"dataset: got {type(dataset).__name__}, expected a Dataset, as load returns one"
        )
    classes, most = len(dataset.classes), dataset.X.shape[1]
    widths = check_widths(layers)
    keep_probs = check_keep_prob(keep_prob, len(widths))
    check_init(init)
    check_choice("dtype", dtype, DTYPES)
    check_seed(seed)
    output = check_choice("output", output or ("sigmoid" if classes == 2 else "softmax"), OUTPUTS)
    m = most if examples is None else check_whole("examples", examples, 1)
    if m > most:
        raise ValueError(f"examples: got {m}, expected 1 to {most}")

    sizes = (dataset.X.shape[0], *widths, 1 if output == "sigmoid" else classes)
    return Problem(
        params=manual.initialize(sizes, init, np.random.RandomState(seed), np.dtype(dtype).type),
        X=dataset.X[:, :m],
        Y=targets(dataset.labels[:m], classes, output),
        masks=draw_masks(seed, 0, widths, m, keep_probs),
        hidden=hidden,
        output=output,
        l2=l2,
        keep_prob=keep_probs,
    )


def check_widths(layers: Any) -> tuple[int, ...]:
    """Return the sizes of the hidden layers, each at least 1."""
    if isinstance(layers, str) or not isinstance(layers, (Sequence, np.ndarray)):
        raise ValueError(f"layers: got {layers}, expected a list of sizes, as in [20, 7, 5]")
    return tuple(check_whole("layers", size, 1) for size in layers)


def check_init(init: Any) -> None:
    """Raise ValueError unless init is a name of `manual.INITIALIZERS` or a finite scale."""
    named = isinstance(init, str) and init in manual.INITIALIZERS
    scale = (
        isinstance(init, (int, float, np.floating)) and init is not True and 0 <= init < math.inf
    )
    if not named and not scale:
        raise ValueError(
            f"init: got {init}, expected {', '.join(manual.INITIALIZERS)} or normal:SCALE "
            "with a scale of at least 0"
        )


def parse_init(text: str) -> str | float:
    """Return the scale of "normal:SCALE", or the name as it is.

    Raises ValueError for any other text.
    """
    init: str | float = text
    name, colon, scale = text.partition(":")
    if name == "normal" and colon:
        try:
            init = float(scale)
        except ValueError:
            raise ValueError(
                f"init: got {text}, expected a number after normal:, as in normal:0.01"
            ) from None
    check_init(init)
    return init
