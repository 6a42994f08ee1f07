"""From a data set and an architecture to a Problem."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

import manual
from verify.masks import draw_masks
from verify.problem import (
    OUTPUTS,
    Problem,
    check_choice,
    check_hidden,
    check_keep_prob,
    check_l2,
    check_seed,
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

    Raises ValueError, naming the argument, for anything that these take no value of.
    """
    from verify.course.datasets import targets

    count = len(dataset.classes)
    hidden = check_hidden(hidden, len(layers))
    keep_prob = check_keep_prob(keep_prob, len(layers))
    check_l2(l2)
    check_init(init)
    check_choice("dtype", dtype, DTYPES)
    check_seed(seed)
    output = check_choice("output", output or ("sigmoid" if count == 2 else "softmax"), OUTPUTS)
    if output == "sigmoid" and count != 2:
        raise ValueError(f"output: got sigmoid for {count} classes, expected softmax for those")
    if bad := [size for size in layers if size < 1]:
        raise ValueError(f"layers: got {bad[0]}, expected sizes of at least 1")
    m = dataset.X.shape[1] if examples is None else examples
    if not 1 <= m <= dataset.X.shape[1]:
        raise ValueError(f"examples: got {m}, expected 1 to {dataset.X.shape[1]}")

    sizes = (dataset.X.shape[0], *layers, 1 if output == "sigmoid" else count)
    return Problem(
        params=manual.initialize(sizes, init, np.random.RandomState(seed), np.dtype(dtype).type),
        X=dataset.X[:, :m],
        Y=targets(dataset.labels[:m], count, output),
        masks=draw_masks(seed, 0, layers, m, keep_prob),
        hidden=hidden,
        output=output,
        l2=l2,
        keep_prob=keep_prob,
    )


def check_init(init: str | float) -> None:
    """Raise ValueError unless init is a name of `manual.INITIALIZERS` or a finite scale."""
    named = isinstance(init, str) and init in manual.INITIALIZERS
    scale = not isinstance(init, str) and 0 <= init < math.inf
    if not named and not scale:
        raise ValueError(
            f"init: got {init}, expected {', '.join(manual.INITIALIZERS)} or normal:SCALE "
            "with a scale of at least 0"
        )


def parse_init(text: str) -> str | float:
    """Return the scale of "normal:SCALE", or the name as it is.

    Raises ValueError for what is neither.
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
