"""Every data set, one loader each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Normalisation(NamedTuple):
    """How raw features became X: (raw - shift) / scale, each (features, 1)."""

    shift: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples in columns, with their classes.

    X (features, m) float64, normalised; labels (m,) integers that index `classes`; the same
    for the test part where the data has one; `image_shape` (rows, columns, channels) where the
    features are a picture's pixels.
    """

    name: str
    X: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    X_test: np.ndarray | None = None
    labels_test: np.ndarray | None = None
    normalisation: Normalisation | None = None
    image_shape: tuple[int, int, int] | None = None
