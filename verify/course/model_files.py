"""Trained networks on disk: HDF5, no pickle, each file whole or not there.

    /                attributes: what the network is, and, as JSON, the settings of its
                     training and the versions of what made it
    /params          W1, b1, ..., WL, bL
    /normalisation   shift, scale: how raw features become X, if they are not X themselves
    /costs           the recorded costs, every `settings["every"]` iterations
    /checkpoint      parameters to continue from, if not `params`; attribute: iteration

The file's user block, which HDF5 leaves to the application, is one line: the format, its
version and the SHA-256 of all that follows. HDF5's own reader trusts what it reads, and one wrong
bit can put it into an endless loop; it is given only files whose SHA-256 is right.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import manual
from verify.course.datasets import Normalisation, no_file, read_array
from verify.course.training import Checkpoint
from verify.printable import echo
from verify.problem import OUTPUTS, check_choice, check_finite, check_hidden, check_params

if TYPE_CHECKING:
    import h5py
    from jaxtyping import Float, Int

    from verify.course.datasets import Dataset

    Array = np.ndarray

FORMAT, VERSION = b"backproof model", 1
DRAFT = ".draft"
USER_BLOCK = 512
"""Bytes before HDF5's own signature, the least that HDF5 allows."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network: its parameters, its inputs and classes, and how it was trained.

    `params` after `iteration` steps, of loss `cost`; `classes` are the names of the classes;
    `normalisation` and `image_shape` are those of the data set `data`; `costs` as recorded;
    `settings` of the training, in JSON's types only; the training continues at `checkpoint`.
    Raises ValueError, naming the part, if these do not fit each other.
    """

    params: Mapping[str, np.ndarray]
    hidden: tuple[str, ...]
    output: str
    classes: tuple[str, ...]
    data: str
    iteration: int
    cost: float
    costs: np.ndarray
    checkpoint: Checkpoint
    normalisation: Normalisation | None = None
    image_shape: tuple[int, int, int] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        params = check_params(self.params)
        checkpoint = check_params(self.checkpoint.params)
        shapes = {name: value.shape for name, value in params.items()}
        for name, value in checkpoint.items():
            if value.shape != shapes.get(name):
                raise ValueError(
                    f"checkpoint: got {name} of the shape {value.shape}, "
                    f"expected {shapes.get(name)}, as params has it"
                )
        check_hidden(self.hidden, len(params) // 2 - 1)
        check_choice("output", self.output, OUTPUTS)
        width = len(params[f"b{len(params) // 2}"])
        count = 2 if self.output == "sigmoid" else width
        if len(self.classes) != count or (self.output == "sigmoid" and width != 1):
            raise ValueError(
                f"classes: got {len(self.classes)} with {width} {self.output} output units, "
                f"expected {count}"
            )
        if self.normalisation is not None:
            for name, value in self.normalisation._asdict().items():
                if value.shape != (self.features, 1):
                    raise ValueError(
                        f"{name}: got the shape {value.shape}, expected ({self.features}, 1)"
                    )
                check_finite(name, value)
            if (self.normalisation.scale == 0).any():
                raise ValueError("scale: got 0, expected numbers other than 0")
        if self.image_shape is not None and (
            len(self.image_shape) != 3 or np.prod(self.image_shape) != self.features
        ):
            raise ValueError(
                f"image_shape: got {tuple(self.image_shape)}, expected rows, columns and channels "
                f"of {self.features} numbers"
            )

    @property
    def features(self) -> int:
        """The number of features of an example."""
        return len(self.params["W1"].T)

    @property
    def layers(self) -> tuple[int, ...]:
        """The layer sizes n0, n1, ..., nL."""
        biases = (len(value) for name, value in self.params.items() if name[0] == "b")
        return (self.features, *biases)

    def probabilities(self, X: Float[Array, "n_0 m"]) -> Float[Array, "classes m"]:
        """Return the probability of every class from normalised X."""
        AL, _ = manual.forward(self.params, X, hidden=self.hidden, output=self.output)
        return np.concatenate([1 - AL, AL]) if self.output == "sigmoid" else AL

    def predict(self, X: Float[Array, "n_0 m"]) -> Int[Array, " m"]:
        """Return each example's class, an index of `classes`, from normalised X."""
        return manual.predict(self.params, X, hidden=self.hidden, output=self.output)

    def read(self, dataset: Dataset, X: Float[Array, "n_0 m"]) -> Float[Array, "n_0 m"]:
        """Return X of a data set in the normalisation of the model.

        Raises ValueError if its number of features is not the model's.
        """
        if X.shape[0] != self.features:
            raise ValueError(
                f"data: got {dataset.name} with {X.shape[0]} features, expected {self.features}, "
                f"as {self.data} has them"
            )
        theirs, ours = _plain(dataset.normalisation), _plain(self.normalisation)
        if all(np.array_equal(a, b) for a, b in zip(theirs, ours, strict=True)):
            return X
        again: Array = (X * theirs.scale + theirs.shift - ours.shift) / ours.scale
        return again


def _plain(normalisation: Normalisation | None) -> Normalisation:
    return Normalisation(np.zeros(()), np.ones(())) if normalisation is None else normalisation


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model, atomically: at every moment the path holds the old file or the new one."""
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w", userblock_size=USER_BLOCK) as file:
        file.attrs["hidden"] = json.dumps(model.hidden)
        file.attrs["output"] = model.output
        file.attrs["classes"] = json.dumps(model.classes)
        file.attrs["data"] = model.data
        file.attrs["iteration"] = model.iteration
        file.attrs["cost"] = model.cost
        file.attrs["image_shape"] = json.dumps(model.image_shape)
        file.attrs["settings"] = json.dumps(dict(model.settings))
        file.attrs["versions"] = json.dumps(dict(model.versions))
        _write_arrays(file.create_group("params"), model.params)
        file["costs"] = model.costs
        if model.normalisation is not None:
            _write_arrays(file.create_group("normalisation"), model.normalisation._asdict())
        if model.checkpoint.iteration != model.iteration:
            group = file.create_group("checkpoint")
            group.attrs["iteration"] = model.checkpoint.iteration
            _write_arrays(group, model.checkpoint.params)
    body = content.getvalue()[USER_BLOCK:]
    try:
        _replace(Path(os.path.realpath(path)), _user_block(body) + body)
    except OSError as fault:
        why = fault.strerror or fault
        raise OSError(f"save: got {path}, which cannot be written ({why})") from fault


def load(path: str | os.PathLike[str]) -> Model:
    """Read a model.

    Raises ValueError, in one sentence, for a file that is missing, damaged, of another kind,
    of a later version, or whose parts do not fit each other.
    """
    import h5py

    if not Path(path).is_file():
        raise ValueError(
            f"model: got {no_file(path)}, expected a model that `backproof train` saved"
        )
    content = Path(path).read_bytes()
    try:
        _check_user_block(content)
        with h5py.File(io.BytesIO(content)) as file:
            return _read(file)
    except ValueError as fault:
        raise ValueError(f"{path}: {fault}") from fault
    except (LookupError, TypeError, AttributeError, ArithmeticError) as fault:
        raise ValueError(f"{path}: a model with a part missing or of another type") from fault
    except (OSError, RuntimeError) as fault:
        raise ValueError(f"{path}: not readable HDF5 ({echo(str(fault))})") from fault


def is_model(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins as a model does, of any version, whole or not."""
    with open(path, "rb") as stream:
        return stream.read(len(FORMAT)) == FORMAT


def _user_block(body: bytes) -> bytes:
    digest = hashlib.sha256(body).hexdigest().encode()
    return (b"%s %d sha256 %s\n" % (FORMAT, VERSION, digest)).ljust(USER_BLOCK, b"\0")


def _check_user_block(content: bytes) -> None:
    """Raise ValueError unless the first line is that of a whole model of a known version."""
    if not content.startswith(FORMAT):
        raise ValueError("not a model that `backproof train` saved")
    version = content[len(FORMAT) :].split(maxsplit=1)[:1]
    if version and version[0].isdigit() and int(version[0]) > VERSION:
        raise ValueError(
            f"a model of format {int(version[0])}, and this Backproof reads {VERSION}; update it"
        )
    body = content[USER_BLOCK:]
    if content[:USER_BLOCK] != _user_block(body):
        raise ValueError("damaged, or changed since it was saved: its checksum does not hold")


def _read(file: h5py.File) -> Model:
    params = _read_arrays(file["params"])
    iteration = int(file.attrs["iteration"])
    checkpoint = Checkpoint(iteration, params)
    if "checkpoint" in file:
        group = file["checkpoint"]
        checkpoint = Checkpoint(int(group.attrs["iteration"]), _read_arrays(group))
    normalisation = None
    if "normalisation" in file:
        normalisation = Normalisation(**_read_arrays(file["normalisation"]))
    image_shape = json.loads(file.attrs["image_shape"])
    return Model(
        params=params,
        hidden=tuple(json.loads(file.attrs["hidden"])),
        output=file.attrs["output"],
        classes=tuple(json.loads(file.attrs["classes"])),
        data=file.attrs["data"],
        iteration=iteration,
        cost=float(file.attrs["cost"]),
        costs=read_array("costs", file["costs"]),
        checkpoint=checkpoint,
        normalisation=normalisation,
        image_shape=None if image_shape is None else tuple(image_shape),
        settings=dict(json.loads(file.attrs["settings"])),
        versions=dict(json.loads(file.attrs["versions"])),
    )


def _write_arrays(group: h5py.Group, arrays: Mapping[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        group[name] = array


def _read_arrays(group: h5py.Group) -> dict[str, np.ndarray]:
    return {name: read_array(name, dataset) for name, dataset in group.items()}


def _clear_drafts(path: Path) -> None:
    """Remove the drafts that interrupted writers left next to a file.

    A running writer holds a lock on its draft, which the system releases when the writer ends. A
    draft that is still empty may be about to be locked, and is kept.
    """
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*{DRAFT}"):
        with contextlib.suppress(OSError), open(draft, "rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(stream.fileno()).st_size:
                draft.unlink()


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: to a draft, flushed to the disk, then renamed."""
    _clear_drafts(path)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=DRAFT)
    try:
        with os.fdopen(handle, "wb") as stream:
            fcntl.flock(handle, fcntl.LOCK_EX)
            stream.write(content)
            stream.flush()
            os.fsync(handle)
        os.chmod(draft, path.stat().st_mode if path.exists() else 0o644)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
