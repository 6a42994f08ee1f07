"""Every data set, one loader each.

Three kinds: embedded (scikit-learn's own, or drawn from a seed), the course's files (in the
directory that the environment variable BACKPROOF_DATA names), and any HDF5 file of the cats'
schema by its path:

    train_set_x   (m, rows, columns, channels) whole-number pixels from 0 to 255
    train_set_y   (m,) labels that index the classes
    test_set_x, test_set_y   the same for the test part; a file may hold either part or both
    list_classes  (classes,) names; without it the classes are 0 and 1

Whatever is wrong with a file is said here in one sentence. `targets` makes the Y of a network
from labels.

Sources: the flower, the spiral and the clouds are the usual course figures (Ng, *Neural Networks
and Deep Learning*, week 3; Karpathy, CS231n); breast cancer is Street, Wolberg & Mangasarian
(1993); digits is Alpaydin & Kaynak (1998).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import h5py
    from jaxtyping import Float, Int

    Array = np.ndarray

DATA_VARIABLE = "BACKPROOF_DATA"
CATS_FILES = ("train_catvnoncat.h5", "test_catvnoncat.h5")
FOOTBALL_FILE = "data.mat"
HDF5_SUFFIXES = (".h5", ".hdf5")


class DataAbsentError(ValueError):
    """A data file does not exist; the sentence says where it should be, and what to set."""


class Normalisation(NamedTuple):
    """How raw features became X: (raw - shift) / scale, each (features, 1)."""

    shift: Float[Array, "n_0 1"]
    scale: Float[Array, "n_0 1"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples in columns, with their classes.

    X (features, m) float64, normalised; labels (m,) integers that index `classes`; the same
    for the test part where the data has one; `image_shape` (rows, columns, channels) where the
    features are a picture's pixels.
    """

    name: str
    X: Float[Array, "n_0 m"]
    labels: Int[Array, " m"]
    classes: tuple[str, ...]
    X_test: Float[Array, "n_0 m_test"] | None = None
    labels_test: Int[Array, " m_test"] | None = None
    normalisation: Normalisation | None = None
    image_shape: tuple[int, int, int] | None = None


class Part(NamedTuple):
    """Raw features (features, m) float64 and their labels (m,)."""

    raw: Float[Array, "n_0 m"]
    labels: Int[Array, " m"]


def load(name_or_path: str | os.PathLike[str], *, seed: int = 1) -> Dataset:
    """Return a data set by its name in `NAMES`, or the HDF5 file at a path.

    A text that ends in .h5 or .hdf5, or contains a path separator, is a path. `seed` draws the
    points of flower, spiral, two-arms, noisy-circles, moons, blobs, quantiles and noise; the other
    data sets, the course's circles too, do not depend on it. Raises ValueError, in one sentence,
    for an unknown name and for a file that is missing, unreadable or not of the schema.

    Examples:
        >>> import backproof
        >>> flower = backproof.load("flower")
        >>> flower.X.shape, flower.classes
        ((2, 400), ('first petals', 'second petals'))
    """
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise ValueError(
            f"data: got {type(name_or_path).__name__}, expected the name of a data set or a path"
        )
    text = os.fspath(name_or_path)
    if isinstance(name_or_path, os.PathLike) or _is_path(text):
        return _hdf5(Path(text))
    if text not in LOADERS:
        raise ValueError(
            f"data: got {text!r}, expected {', '.join(NAMES)}, or the path of an "
            "HDF5 file (FILE.h5)"
        )
    return LOADERS[text](seed)


def targets(labels: Int[Array, " m"], classes: int, output: str) -> Float[Array, "n_L m"]:
    """Return the Y (float64) that an output is compared with, from labels (m,).

    Sigmoid: the labels themselves, (1, m) of 0 and 1. Softmax: one-hot columns, (classes, m).
    Raises ValueError for a sigmoid output of more than two classes.
    """
    if output == "softmax":
        return np.eye(classes)[:, labels]
    if classes > 2:
        raise ValueError(f"output: got {output} for {classes} classes, expected softmax for those")
    return labels[None, :].astype(np.float64)


def _dataset(
    name: str,
    classes: tuple[str, ...],
    train: Part,
    test: Part | None = None,
    normalisation: Normalisation | None = None,
    image_shape: tuple[int, int, int] | None = None,
) -> Dataset:
    shift, scale = normalisation or (0, 1)
    return Dataset(
        name=name,
        X=(train.raw - shift) / scale,
        labels=train.labels,
        classes=classes,
        X_test=None if test is None else (test.raw - shift) / scale,
        labels_test=None if test is None else test.labels,
        normalisation=normalisation,
        image_shape=image_shape,
    )


def _scaled_by(scale: float, features: int) -> Normalisation:
    return Normalisation(np.zeros((features, 1)), np.full((features, 1), scale))


def _standard(raw: np.ndarray) -> Normalisation:
    scale = raw.std(axis=1, keepdims=True)
    return Normalisation(raw.mean(axis=1, keepdims=True), np.where(scale == 0, 1, scale))


# Embedded with scikit-learn.


def _digits() -> Dataset:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    train, test = _every_fifth_aside(bunch.data, bunch.target)
    return _dataset(
        "digits",
        tuple(map(str, range(10))),
        train,
        test,
        _scaled_by(16.0, len(train.raw)),
        image_shape=(8, 8, 1),
    )


def _breast_cancer() -> Dataset:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    train, test = _every_fifth_aside(bunch.data, bunch.target)
    classes = tuple(map(str, bunch.target_names))
    return _dataset("breast-cancer", classes, train, test, _standard(train.raw))


def _every_fifth_aside(rows: np.ndarray, labels: np.ndarray) -> tuple[Part, Part]:
    """Return four fifths to train on and every fifth example to test on."""
    held_out = np.arange(len(labels)) % 5 == 4
    return (
        Part(rows[~held_out].T.astype(np.float64), labels[~held_out].astype(int)),
        Part(rows[held_out].T.astype(np.float64), labels[held_out].astype(int)),
    )


# Drawn. Each takes a legacy RandomState, as the course and scikit-learn do, and a count.

Points = tuple[np.ndarray, np.ndarray]


def _draw(
    name: str,
    points: Callable[[np.random.RandomState, int], Points],
    classes: tuple[str, ...],
    count: int,
) -> Callable[[int], Dataset]:
    """Return the loader that draws `count` points to train on and then as many to test on."""

    def loader(seed: int) -> Dataset:
        rng = np.random.RandomState(seed)
        train, test = (_columns(*points(rng, count)) for _ in range(2))
        return _dataset(name, classes, train, test)

    return loader


def _columns(rows: np.ndarray, labels: np.ndarray) -> Part:
    return Part(np.ascontiguousarray(rows.T), labels.astype(int))


def _circles() -> Dataset:
    """Return the course's own circles: 300 points of seed 1, and 100 of seed 2 to test on."""
    from sklearn.datasets import make_circles

    train, test = (
        _columns(*make_circles(count, noise=0.05, random_state=np.random.RandomState(seed)))
        for seed, count in ((1, 300), (2, 100))
    )
    return _dataset("circles", ("outer", "inner"), train, test)


def _noisy_circles(rng: np.random.RandomState, count: int) -> Points:
    """Return two circles, one of half the radius, that their noise mixes."""
    from sklearn.datasets import make_circles

    rows, labels = make_circles(count, factor=0.5, noise=0.3, random_state=rng)
    return rows, labels


def _flower(rng: np.random.RandomState, count: int) -> Points:
    """Return petals r = 4 sin 4t, one class over t in (0, 3.12), the other in (3.12, 6.24)."""
    rows, each = [], count // 2
    for turn in range(2):
        t = np.linspace(turn * 3.12, (turn + 1) * 3.12, each) + 0.2 * rng.standard_normal(each)
        r = 4 * np.sin(4 * t) + 0.2 * rng.standard_normal(each)
        rows.append(np.column_stack([r * np.sin(t), r * np.cos(t)]))
    return _shuffled(rng, np.concatenate(rows), np.repeat((0, 1), each))


def _spiral(rng: np.random.RandomState, count: int) -> Points:
    """Return three arms, r from 0 to 1 while the angle runs through 4 radians."""
    rows, each = [], count // 3
    for arm in range(3):
        # From 0 on, all arms would share a point, where every relu of zero bias has its kink.
        r = np.linspace(1 / each, 1, each)
        t = np.linspace(4 * arm, 4 * (arm + 1), each) + 0.2 * rng.standard_normal(each)
        rows.append(np.column_stack([r * np.sin(t), r * np.cos(t)]))
    return _shuffled(rng, np.concatenate(rows), np.repeat((0, 1, 2), each))


def _two_arms(rng: np.random.RandomState, count: int) -> Points:
    """Return two arms, r = 0.3 t^2 and r = 0.2 t^2, through one and a half turns."""
    rows, each = [], count // 2
    for growth in (0.3, 0.2):
        # From 0 on, both arms would share a point, where every relu of zero bias has its kink.
        t = np.linspace(3 * np.pi / each, 3 * np.pi, each)
        t += 0.05 * rng.standard_normal(each)
        r = growth * t**2
        rows.append(np.column_stack([r * np.sin(t), r * np.cos(t)]))
    return _shuffled(rng, np.concatenate(rows), np.repeat((0, 1), each))


def _shuffled(rng: np.random.RandomState, rows: np.ndarray, labels: np.ndarray) -> Points:
    """Mix the classes, so that the first few examples hold all of them."""
    order = rng.permutation(len(labels))
    return rows[order], labels[order]


def _moons(rng: np.random.RandomState, count: int) -> Points:
    from sklearn.datasets import make_moons

    rows, labels = make_moons(count, noise=0.2, random_state=rng)
    return rows, labels


def _blobs(rng: np.random.RandomState, count: int) -> Points:
    """Return six clouds on a circle of radius 2, their classes alternating."""
    from sklearn.datasets import make_blobs

    angles = np.arange(6) * np.pi / 3
    centers = 2 * np.column_stack([np.cos(angles), np.sin(angles)])
    rows, cloud = make_blobs(count, centers=centers, cluster_std=0.4, random_state=rng)
    return rows, cloud % 2


def _quantiles(rng: np.random.RandomState, count: int) -> Points:
    from sklearn.datasets import make_gaussian_quantiles

    rows, labels = make_gaussian_quantiles(
        cov=0.5, n_samples=count, n_features=2, n_classes=2, random_state=rng
    )
    return rows, labels


def _noise(rng: np.random.RandomState, count: int) -> Points:
    """Return points whose labels have nothing to do with them: there is nothing to learn."""
    return rng.uniform(-1, 1, (count, 2)), rng.randint(0, 2, count)


# The course's files, and files like them.


def _cats() -> Dataset:
    train_path, test_path = (_data_file("cats", file) for file in CATS_FILES)
    with _opened(train_path) as file:
        classes = _classes(file)
        train = _read_pictures(file, "train", len(classes))
    with _opened(test_path) as file:
        test = _read_pictures(file, "test", len(classes))
    return _pictures("cats", classes, train, test)


def _hdf5(path: Path) -> Dataset:
    _require_file(path, "the path of an HDF5 file")
    with _opened(path) as file:
        classes = _classes(file)
        present = [
            part for part in ("train", "test") if {f"{part}_set_x", f"{part}_set_y"} & set(file)
        ]
        parts = [_read_pictures(file, part, len(classes)) for part in present or ["train"]]
    return _pictures(str(path), classes, *parts)


def _football() -> Dataset:
    from scipy.io import loadmat

    path = _data_file("football", FOOTBALL_FILE)
    names = ("X", "y", "Xval", "yval")
    try:
        arrays = loadmat(path, variable_names=names)
    except Exception as fault:
        # loadmat checks nothing: a damaged file fails in zlib, in an index, in a dtype, anywhere.
        raise ValueError(f"{path}: not a readable MATLAB file ({_reason(fault)})") from fault
    for name in names:
        if name not in arrays:
            raise ValueError(f"{path}: got no variable {name}, expected X, y, Xval and yval")
        if not isinstance(arrays[name], np.ndarray):
            kind = type(arrays[name]).__name__
            raise ValueError(f"{path}: {name}: got a {kind}, expected an array that is not sparse")
    train, test = (
        _football_part(path, X, arrays[X], y, arrays[y]) for X, y in (("X", "y"), ("Xval", "yval"))
    )
    return _dataset("football", ("other team", "French team"), train, test)


def _football_part(path: Path, X_name: str, X: np.ndarray, y_name: str, y: np.ndarray) -> Part:
    where = f"{path}: {X_name}"
    if X.ndim != 2 or X.shape[1] != 2 or not len(X) or X.dtype.kind not in "iuf":
        raise ValueError(f"{where}: got {X.dtype} of the shape {X.shape}, expected (m, 2) numbers")
    if not np.isfinite(X).all():
        raise ValueError(f"{where}: got {X[~np.isfinite(X)][0]}, expected finite numbers")
    labels = _labels(f"{path}: {y_name}", y.ravel(), len(X), classes=2)
    return Part(np.ascontiguousarray(X.T, np.float64), labels)


class Pictures(NamedTuple):
    """Pixels (m, rows, columns, channels) and their labels (m,)."""

    pixels: Int[Array, "m rows columns channels"]
    labels: Int[Array, " m"]

    @property
    def part(self) -> Part:
        """The same with each picture a column, as the course flattens it."""
        columns = self.pixels.reshape(len(self.pixels), -1).T
        return Part(columns.astype(np.float64), self.labels)


def _pictures(
    name: str, classes: tuple[str, ...], train: Pictures, test: Pictures | None = None
) -> Dataset:
    rows, columns, channels = train.pixels.shape[1:]
    if test is not None and test.pixels.shape[1:] != train.pixels.shape[1:]:
        raise ValueError(
            f"{name}: test_set_x: got pictures of {test.pixels.shape[1:]}, "
            f"expected {train.pixels.shape[1:]}, as train_set_x has them"
        )
    return _dataset(
        name,
        classes,
        train.part,
        None if test is None else test.part,
        _scaled_by(255.0, rows * columns * channels),
        (rows, columns, channels),
    )


def _data_file(name: str, file: str) -> Path:
    """Return the path of one of the course's files, in the directory of BACKPROOF_DATA."""
    directory = os.environ.get(DATA_VARIABLE)
    if not directory:
        raise DataAbsentError(
            f"{DATA_VARIABLE}: got nothing, expected the folder that holds {file}, from which the "
            f"data set {name} is read"
        )
    path = Path(directory) / file
    _require_file(path, f"{DATA_VARIABLE} to name the folder that holds {file}")
    return path


def _require_file(path: Path, expected: str) -> None:
    if not path.is_file():
        raise DataAbsentError(f"data: got {no_file(path)}, expected {expected}")


def no_file(path: str | os.PathLike[str]) -> str:
    """Return a path that is no file, and what is there instead."""
    return f"{path}, which {'is a folder' if Path(path).is_dir() else 'does not exist'}"


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file, and say in one sentence what HDF5 finds wrong with it."""
    import h5py

    try:
        with h5py.File(path) as file:
            yield file
    except (OSError, RuntimeError, KeyError) as fault:
        # A damaged file shows by any of these, in whichever call first meets the damage.
        raise ValueError(f"{path}: not a readable HDF5 file ({_reason(fault)})") from fault


def _classes(file: h5py.File) -> tuple[str, ...]:
    if "list_classes" not in file:
        return ("0", "1")
    names = _array(file, "list_classes")
    if names.ndim != 1 or len(names) < 2 or names.dtype.kind not in "SUO":
        raise ValueError(
            f"{file.filename}: list_classes: got {names.dtype} of the shape {names.shape}, "
            "expected at least two names"
        )
    return tuple(
        name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names
    )


def _read_pictures(file: h5py.File, part: str, classes: int) -> Pictures:
    found = _dataset_in(file, f"{part}_set_x")
    where = f"{file.filename}: {part}_set_x"
    check_pictures(where, found)
    pixels = check_pixels(where, read_array(where, found))
    labels = _array(file, f"{part}_set_y")
    return Pictures(pixels, _labels(f"{file.filename}: {part}_set_y", labels, len(pixels), classes))


def check_pictures(where: str, found: h5py.Dataset) -> None:
    """Raise ValueError, beginning with `where`, unless it can hold pictures."""
    if found.ndim != 4 or 0 in found.shape:
        raise ValueError(
            f"{where}: got the shape {found.shape}, expected (m, rows, columns, "
            "channels), none empty"
        )
    if found.dtype.kind not in "iu":
        raise ValueError(f"{where}: got {found.dtype}, expected whole-number pixels from 0 to 255")


def check_pixels(where: str, pixels: np.ndarray) -> np.ndarray:
    """Return pixels if they are whole numbers from 0 to 255."""
    if pixels.min() < 0 or pixels.max() > 255:
        strange = pixels[(pixels < 0) | (pixels > 255)][0]
        raise ValueError(f"{where}: got the pixel {strange}, expected whole numbers from 0 to 255")
    return pixels


def _array(file: h5py.File, name: str) -> np.ndarray:
    return read_array(f"{file.filename}: {name}", _dataset_in(file, name))


def _dataset_in(file: h5py.File, name: str) -> h5py.Dataset:
    import h5py

    if name not in file:
        raise ValueError(
            f"{file.filename}: got no dataset {name}, expected the schema of the cats' files"
        )
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.shape is None:
        raise ValueError(f"{file.filename}: {name}: got no array, expected a dataset of one")
    if found.file.filename != file.filename:
        raise ValueError(f"{file.filename}: {name}: got an array in another file, expected it here")
    return found


SQUEEZED = 2000
"""Bytes of an array for a byte of its file, at most: more than any filter of HDF5 squeezes."""


def read_array(where: str, found: h5py.Dataset) -> np.ndarray:
    """Return a dataset of an HDF5 file, after a look at where its bytes are and how many."""
    check_held(where, found)
    return np.asarray(found[()])


def check_held(where: str, found: h5py.Dataset) -> None:
    """Raise ValueError, beginning with `where`, unless a dataset is in its file.

    Its bytes may be in another one, or it is declared far larger than its file, and would fill the
    memory with zeros.
    """
    if found.external or found.is_virtual:
        raise ValueError(f"{where}: got an array in another file, expected it in this one")
    held = found.file.id.get_filesize()
    if found.nbytes > SQUEEZED * held:
        raise ValueError(
            f"{where}: got the shape {found.shape}, which a file of {held} bytes cannot hold"
        )


def _labels(where: str, labels: np.ndarray, m: int, classes: int) -> np.ndarray:
    """Return labels as integers that index the classes, one an example."""
    if labels.dtype.kind not in "biuf" or labels.ndim != 1:
        raise ValueError(
            f"{where}: got {labels.dtype} of the shape {labels.shape}, expected ({m},) "
            "whole numbers"
        )
    if len(labels) != m:
        raise ValueError(f"{where}: got {len(labels)} labels for {m} examples, expected one each")
    strange = np.flatnonzero(~np.isin(labels, np.arange(classes)))
    if strange.size:
        raise ValueError(
            f"{where}: got the label {labels[strange[0]]:g} at {strange[0]}, "
            f"expected {'0 and 1' if classes == 2 else f'whole numbers from 0 to {classes - 1}'}"
        )
    return labels.astype(int)


def _reason(fault: BaseException) -> str:
    """Return the fault's own words in one line, without the quotes that KeyError adds."""
    return " ".join(str(fault.args[0] if fault.args else fault).split()).rstrip(".")


def _is_path(text: str) -> bool:
    separators = {os.sep, os.altsep or os.sep}
    return text.lower().endswith(HDF5_SUFFIXES) or any(mark in text for mark in separators)


LOADERS: dict[str, Callable[[int], Dataset]] = {
    "digits": lambda seed: _digits(),
    "breast-cancer": lambda seed: _breast_cancer(),
    "flower": _draw("flower", _flower, ("first petals", "second petals"), 400),
    "spiral": _draw("spiral", _spiral, ("first arm", "second arm", "third arm"), 300),
    "two-arms": _draw("two-arms", _two_arms, ("outer arm", "inner arm"), 400),
    "circles": lambda seed: _circles(),
    "noisy-circles": _draw("noisy-circles", _noisy_circles, ("outer", "inner"), 200),
    "moons": _draw("moons", _moons, ("upper", "lower"), 200),
    "blobs": _draw("blobs", _blobs, ("even clouds", "odd clouds"), 240),
    "quantiles": _draw("quantiles", _quantiles, ("inner", "outer"), 200),
    "noise": _draw("noise", _noise, ("heads", "tails"), 200),
    "football": lambda seed: _football(),
    "cats": lambda seed: _cats(),
}
"""The loader of every data set, by its name: from the seed to the data."""

NAMES = tuple(LOADERS)
