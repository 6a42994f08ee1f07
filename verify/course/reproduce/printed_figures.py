"""The printed figures, what a recipe returns, and the random draws of the documents.

figures.json holds what the documents print, with their sources. Everything here
draws from a legacy RandomState, in the course's order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    Array = np.ndarray

Figure = Mapping[str, Any]
"""One figure, as figures.json has it: what is given, and what is `printed`."""


class Claim(NamedTuple):
    """A sentence about a figure, and whether it is true."""

    sentence: str
    holds: bool = True

    def __str__(self) -> str:
        return self.sentence if self.holds else f"not true: {self.sentence}"


class Computed(NamedTuple):
    """Values under the names of the printed ones, and sentences about them."""

    values: Mapping[str, Any]
    claims: tuple[Claim, ...] = ()


def load_figures() -> tuple[Figure, ...]:
    """Return every figure of the course documents, in their order."""
    file = resources.files("verify.course.reproduce").joinpath("figures.json")
    return tuple(json.loads(file.read_text(encoding="utf-8"))["figures"])


def draw(figure: Figure, seed: int | None = None) -> dict[str, Array]:
    """Return the standard-normal arrays that a figure draws, in its order."""
    rng = np.random.RandomState(figure["seed"] if seed is None else seed)
    return {name: rng.standard_normal(shape) for name, *shape in figure["draw"]}


def draw_network(figure: Figure) -> tuple[dict[str, Array], Float[Array, "n_0 m"]]:
    """Return the parameters and X that a figure draws."""
    drawn = draw(figure)
    return {name: value for name, value in drawn.items() if name != "X"}, drawn["X"]


def course_masks(
    seed: int, widths: Sequence[int], m: int, keep_prob: float
) -> list[Bool[Array, "_ m"]]:
    """Return the course's masks: the same at every step, because it seeds at every step."""
    rng = np.random.RandomState(seed)
    return [rng.rand(width, m) < keep_prob for width in widths]
