"""Examples that stay on disk: an HDF5 file of the cats' schema, read in parts and never whole.

A part is what one device trains on, a block of a long computation, or a sample. The labels are read
at once: they are few beside the pixels. What is wrong with a file is said in the same sentences as
where it is read whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.course.datasets import (
    HDF5_SUFFIXES,
    Dataset,
    _array,
    _classes,
    _dataset_in,
    _labels,
    _opened,
    _require_file,
    _scaled_by,
    check_held,
    check_pictures,
    check_pixels,
    targets,
)
from verify.problem import check_whole

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    Array = np.ndarray

PIXELS = 2**22
"""Pixels that are read at a time."""
ALIGNMENT = 64
"""Of which number of bytes the address of an array of XLA is a multiple."""


@dataclass(frozen=True, eq=False)
class Stored:
    """The training part of a file: its m labels, and its pictures on disk."""

    path: Path
    labels: Int[Array, " m"]
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]

    @property
    def m(self) -> int:
        """The number of examples."""
        return len(self.labels)

    @property
    def features(self) -> int:
        """The number of features of an example."""
        return int(np.prod(self.image_shape))

    def X(self, columns: slice, dtype: Any = np.float64) -> Float[Array, "n_0 k"]:
        """Return X of these examples, with the bits that it has where the file is read whole."""
        start, stop, _ = columns.indices(self.m)
        result = _aligned((self.features, stop - start), np.dtype(dtype))
        for own, pixels in self._pixels(start, stop):
            result[:, own.start - start : own.stop - start] = _columns(pixels)
        return result

    def Y(self, columns: slice, output: str, dtype: Any = np.float64) -> Float[Array, "n_L k"]:
        """Return what an output is compared with on these examples."""
        return targets(self.labels[columns], len(self.classes), output).astype(dtype)

    def sample(self, count: int, seed: int) -> Dataset:
        """Return so many examples, drawn without bias: every set of so many is as likely.

        Raises ValueError if there are fewer.
        """
        if check_whole("sample", count, 1) > self.m:
            raise ValueError(f"sample: got {count}, expected 1 to {self.m}")
        rows = np.sort(np.random.default_rng(seed).choice(self.m, count, replace=False))
        with _opened(self.path) as file:
            found = _dataset_in(file, "train_set_x")
            pixels = [check_pixels(self._where, found[row : row + 1]) for row in rows]
        return Dataset(
            str(self.path),
            _columns(np.concatenate(pixels)),
            self.labels[rows],
            self.classes,
            normalisation=_scaled_by(255.0, self.features),
            image_shape=self.image_shape,
        )

    def predicted(self, predict: Callable[[Array], Array]) -> Int[Array, " m"]:
        """Return a function of X for all examples, block by block."""
        return np.concatenate([predict(_columns(pixels)) for _, pixels in self._pixels(0, self.m)])

    def fingerprint(self) -> str:
        """Return the SHA-256 of pixels and labels."""
        digest = hashlib.sha256(self.labels.tobytes())
        for _, pixels in self._pixels(0, self.m):
            digest.update(np.ascontiguousarray(pixels, np.uint8).tobytes())
        return digest.hexdigest()

    @property
    def _where(self) -> str:
        return f"{self.path}: train_set_x"

    def _pixels(self, start: int, stop: int) -> Iterator[tuple[slice, Array]]:
        """Yield block after block of these examples: which they are, and their pixels."""
        size = max(1, PIXELS // self.features)
        with _opened(self.path) as file:
            found = _dataset_in(file, "train_set_x")
            for first in range(start, stop, size):
                own = slice(first, min(first + size, stop))
                yield own, check_pixels(self._where, found[own])


def _aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an empty array that JAX takes for its own on a processor, without a second copy."""
    size = dtype.itemsize * int(np.prod(shape))
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size].view(dtype).reshape(shape)


def _columns(pixels: Int[Array, "k rows columns channels"]) -> Float[Array, "n_0 k"]:
    columns: Array = pixels.reshape(len(pixels), -1).T.astype(np.float64) / 255.0
    return columns


def open_stored(name_or_path: str) -> Stored:
    """Return the training part of the HDF5 file at a path; its pictures stay there.

    Raises ValueError, in one sentence, for what is no HDF5 file of the cats' schema.
    """
    if not name_or_path.lower().endswith(HDF5_SUFFIXES):
        raise ValueError(
            f"sample: got the data set {name_or_path}, expected an HDF5 file (FILE.h5), "
            "which is then read in parts"
        )
    path = Path(name_or_path)
    _require_file(path, "the path of an HDF5 file")
    with _opened(path) as file:
        classes = _classes(file)
        found = _dataset_in(file, "train_set_x")
        where = f"{path}: train_set_x"
        check_pictures(where, found)
        check_held(where, found)
        labels = _labels(
            f"{path}: train_set_y", _array(file, "train_set_y"), len(found), len(classes)
        )
        rows, columns, channels = found.shape[1:]
    return Stored(path, labels, classes, (rows, columns, channels))
