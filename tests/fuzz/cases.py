"""Damaged inputs by kind. A case is what to run, and the names of which its refusal must have one.

Each kind takes a generator and a folder of its own, and returns a `Case`. Files are damaged in two
ways: bytes are changed anywhere, or the file is built anew with one part that does not fit.
"""

from __future__ import annotations

import copy
import io
import json
import os
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

COURSE = Path(__file__).parents[1] / "course"


class Case(NamedTuple):
    """Something to run, and the names of which an error must mention one."""

    run: Callable[[], Any]
    names: tuple[str, ...]


STRANGE: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 7, 2**31, 2**70, 0.5, -0.0, 1e308, float("nan"), float("inf"), 3 + 4j),
    *("", "relu", "sigmoid", "x", "\ud800", "\x1b[2J", "nan", "1,2", b"\xff", "a" * 5000),
    *((), [], {}, [1, [2]], {"a": 1}, {1: 2}, {"W1": None}, [None], {"W1": "x"}, object()),
    *(np.ones(3), np.ones((2, 2)), np.zeros((0, 3)), np.array("x"), np.array([None]), np.nan),
    *(np.ones((2, 2), int), np.ones(2, complex), np.float32(2), np.datetime64("now"), np.ma.masked),
    *(len, int, np.dtype(float), range(3), {1, 2}, memoryview(b"ab"), np.array([[1, np.inf]])),
)


def pick(rng: np.random.Generator, values: tuple[Any, ...] | list[Any]) -> Any:
    return values[int(rng.integers(len(values)))]


def damaged(rng: np.random.Generator, data: bytes) -> bytes:
    """Return bytes with some of them changed, cut out, repeated or cut off."""
    result = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(len(result) + 1))
        size = int(rng.integers(1, 20))
        kind = int(rng.integers(6))
        if kind == 0 and at < len(result):
            result[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            result[at : at + size] = rng.bytes(size)
        elif kind == 2:
            del result[at : at + size]
        elif kind == 3:
            result[at:at] = result[at : at + size]
        elif kind == 4:
            result[at : at + 8] = b"\xff" * 8
        elif rng.random() < 0.2:
            del result[at:]
    return bytes(result)


# Data sets.


def _hdf5(parts: dict[str, Any]) -> bytes:
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for name, value in parts.items():
            _put(file, name, value)
    return content.getvalue()


def _put(file: Any, name: str, value: Any) -> None:
    """Write a part of an HDF5 file; a text says which kind of trap."""
    import h5py

    match value if isinstance(value, str) else "":
        case "external":
            file[name] = h5py.ExternalLink("/etc/passwd", "/x")
        case "huge":
            file.create_dataset(name, (10**6, 10**3, 10**3, 3), "u1", chunks=(1, 8, 8, 3))
        case "file":
            file.create_dataset(name, (4,), "u1", external=[("/etc/passwd", 0, 4)])
        case "group":
            file.create_group(name)
        case "empty":
            file[name] = h5py.Empty("f")
        case _ if value is not None:
            file[name] = value


def pictures(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "list_classes": np.array([b"cat", b"no"]),
        **{
            f"{part}_set_{axis}": value
            for part in ("train", "test")
            for axis, value in (
                ("x", rng.integers(0, 256, (4, 2, 2, 3), np.uint8)),
                ("y", rng.integers(0, 2, 4)),
            )
        },
    }


WRONG_PARTS: tuple[Any, ...] = (
    *(None, "external", "huge", "file", "group", "empty", "text", 5, 2.5, b"x"),
    *(np.ones(3), np.ones((4, 2, 2, 3)), np.zeros((0, 2, 2, 3), int), np.full((4, 2, 2, 3), 999)),
    *(np.array([0, 1, 7, 1]), np.array([0, 1, np.nan, 1]), np.array([b"a"]), np.ones((4, 1), int)),
)


def hdf5(rng: np.random.Generator, folder: Path) -> Case:
    """Return a data set like the cats', damaged."""
    from verify.course.datasets import load

    parts = pictures(rng)
    if rng.random() < 0.5:
        parts[pick(rng, list(parts))] = pick(rng, WRONG_PARTS)
        data = _hdf5(parts)
    else:
        data = damaged(rng, _hdf5(parts))
    path = folder / "data.h5"
    path.write_bytes(data)
    return Case(lambda: load(str(path)), (str(path),))


def mat(rng: np.random.Generator, folder: Path) -> Case:
    """Return a MATLAB file like the football players', damaged."""
    from scipy import io as scipy_io
    from scipy import sparse

    from verify.course.datasets import FOOTBALL_FILE, load

    parts: dict[str, Any] = {
        "X": rng.normal(size=(6, 2)),
        "y": rng.integers(0, 2, (6, 1)),
        "Xval": rng.normal(size=(3, 2)),
        "yval": rng.integers(0, 2, (3, 1)),
    }
    path = folder / FOOTBALL_FILE
    if rng.random() < 0.5:
        wrong = (sparse.eye_array(2).tocsc(), "text", {"a": 1}, np.ones((2, 2, 2)), np.ones((0, 2)))
        parts[pick(rng, list(parts))] = pick(rng, (*wrong, np.array([[np.nan, 1]]), 1j, 7))
        scipy_io.savemat(path, parts, do_compression=bool(rng.integers(2)))
    else:
        scipy_io.savemat(path, parts, do_compression=bool(rng.integers(2)))
        path.write_bytes(damaged(rng, path.read_bytes()))

    def run() -> Any:
        os.environ["BACKPROOF_DATA"] = str(folder)
        return load("football")

    return Case(run, (str(path),))


# Models and pictures.


@cache
def a_model(pictures: bool = False) -> Any:
    from verify.course.model_files import Model
    from verify.course.training import Checkpoint

    rng = np.random.default_rng(0)
    sizes = (12, 3, 1)
    params = {}
    for layer, (before, after) in enumerate(pairwise(sizes), 1):
        params[f"W{layer}"] = rng.normal(size=(after, before))
        params[f"b{layer}"] = np.zeros((after, 1))
    return Model(
        params=params,
        hidden=("relu",),
        output="sigmoid",
        classes=("no", "cat"),
        data="cats",
        iteration=10,
        cost=0.5,
        costs=np.array([0.7, 0.5]),
        checkpoint=Checkpoint(10, params),
        image_shape=(2, 2, 3),
        settings={"every": 5},
        versions={"numpy": "2"},
    )


@cache
def saved_model() -> bytes:
    import tempfile

    from verify.course.model_files import save

    with tempfile.TemporaryDirectory() as folder:
        save(a_model(), Path(folder, "model.h5"))
        return Path(folder, "model.h5").read_bytes()


def model(rng: np.random.Generator, folder: Path) -> Case:
    """Return a model with wrong contents, most with the right checksum."""
    import h5py

    from verify.course.model_files import USER_BLOCK, _user_block, load

    path = folder / "model.h5"
    kind = int(rng.integers(3))
    if kind == 0:
        path.write_bytes(damaged(rng, saved_model()))
    else:
        body = saved_model()[USER_BLOCK:]
        path.write_bytes(_user_block(body) + body)
        with h5py.File(path, "r+") as file:
            if kind == 1:
                name = pick(rng, list(file.attrs))
                del file.attrs[name]
                value = pick(
                    rng, (None, "", "[]", "[1]", "{}", "null", '"x"', 5, -1, 2.5, b"x", "1e999")
                )
                if value is not None:
                    file.attrs[name] = value
            else:
                name = pick(rng, ["params", "params/W1", "params/b2", "costs"])
                del file[name]
                _put(file, name, pick(rng, WRONG_PARTS))
        body = path.read_bytes()[USER_BLOCK:]
        path.write_bytes(_user_block(body) + body)

    def run() -> Any:
        loaded = load(path)
        return loaded.predict(np.zeros((loaded.features, 2)))

    return Case(run, (str(path),))


def image(rng: np.random.Generator, folder: Path) -> Case:
    """Return a picture of some format, damaged."""
    from PIL import Image

    from verify.course.images import read_image

    mode = pick(rng, ["RGB", "L", "P", "RGBA", "1", "CMYK", "I;16"])
    suffix = pick(rng, ["png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm"])
    content = io.BytesIO()
    picture = Image.new(mode, (int(rng.integers(1, 20)), int(rng.integers(1, 20))), 1)
    try:
        picture.save(content, suffix)
    except (OSError, KeyError, ValueError):
        picture.convert("RGB").save(content, suffix)
    path = folder / f"picture.{suffix}"
    path.write_bytes(damaged(rng, content.getvalue()))
    return Case(lambda: read_image(path, a_model()), (str(path),))


# Somebody's files.


@cache
def homework(suffix: str) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(COURSE.glob(f"*{suffix}")))


LINES = (
    *(b"a = 9**399; c = a**399; d = c**399", b"x = 1 << 99 << 99", b"y = list(range(10**12))"),
    *(
        b"x = " + b"(" * 150 + b")" * 150,
        b"x = " + b"1+" * 3000 + b"1",
        b"def sigmoid(z): return z",
    ),
    *(b"%%bash", b"!rm", b"get_ipython()", b"import numpy.nothing as q", b"from . import *"),
    *(b"\xff\xfe", b"\x00", b"\x1b[2J", "s = '\u202e'".encode(), b"raise SystemExit", b"1/0"),
    *(b"class E(Exception):\n    def __str__(self): return 1 / 0", b"n = " + b"9" * 5000),
    *(b"def relu(*a, **k): raise E", b"def sigmoid(z): return '\\ud800'", b"lambda: (yield)"),
    *(b"def sigmoid(z): return 0 / (1 + np.exp(-z))", b"def compute_cost(a, b): return [1, [2]]"),
)


def script(rng: np.random.Generator, folder: Path) -> Path:
    """Write a script of the course with some lines changed, and return its path."""
    lines = pick(rng, homework(".py")).split(b"\n")
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(lines)))
        kind = int(rng.integers(5))
        if kind == 0:
            del lines[at : at + int(rng.integers(1, 4))]
        elif kind == 1:
            lines.insert(at, pick(rng, LINES))
        elif kind == 2:
            lines[at] = damaged(rng, lines[at])
        elif kind == 3:
            lines.insert(int(rng.integers(len(lines) + 1)), lines[at])
        elif rng.random() < 0.3:
            codec = pick(rng, [b"punycode", b"idna", b"undefined", b"hex", b"utf-7", b"utf-16"])
            lines.insert(0, b"# coding: " + codec)
        lines = lines or [b""]
    path = folder / "homework.py"
    path.write_bytes(b"\n".join(lines))
    return path


def notebook(rng: np.random.Generator, folder: Path) -> Path:
    """Write a notebook of the course with some parts changed, and return its path."""
    data = pick(rng, homework(".ipynb"))
    path = folder / "homework.ipynb"
    if rng.random() < 0.3:
        path.write_bytes(damaged(rng, data))
        return path
    try:
        book = json.loads(data)
    except ValueError:
        book = {"cells": []}
    wrong = (5, None, "x", [], {}, [5], [[]], True, [{"cell_type": "code", "source": 5}], 10**4000)
    cells = book.get("cells")
    if isinstance(cells, list) and cells and rng.random() < 0.6:
        cell = pick(rng, cells)
        cell[pick(rng, ["source", "cell_type", "metadata", "language", "input"])] = pick(rng, wrong)
    else:
        book[pick(rng, ["cells", "worksheets", "metadata", "nbformat"])] = pick(rng, wrong)
    text = json.dumps(book)
    path.write_text(text.replace("true", "9" * 5000) if rng.random() < 0.1 else text)
    return path


# Arguments.


def api(rng: np.random.Generator, folder: Path) -> Case:
    """Return a call of a public function with one argument of a wrong kind."""
    import verify

    params = {"W": np.ones((2, 3)), "b": np.ones(2)}
    calls: tuple[tuple[Any, dict[str, Any]], ...] = (
        (
            verify.compare,
            {
                "loss": lambda p: float(np.sum(p["W"] ** 2) / 2 + np.sum(p["b"])),
                "grads": lambda p: {"W": p["W"], "b": np.ones_like(p["b"])},
                "params": params,
                "mirror": None,
                "budget": 400,
                "seed": 0,
            },
        ),
        (
            verify.check_vjp,
            {
                "forward": lambda x: x**2,
                "backward": lambda c, x: 2 * x * c,
                "args": np.ones(3),
                "mirror": None,
                "budget": 2000,
                "cotangents": 2,
                "seed": 0,
            },
        ),
        (
            verify.Problem,
            {
                "params": {"W1": np.ones((1, 2)), "b1": np.zeros((1, 1))},
                "X": np.ones((2, 3)),
                "Y": np.zeros((1, 3)),
                "hidden": "relu",
                "output": "sigmoid",
                "l2": 0.0,
                "keep_prob": 1.0,
                "masks": None,
            },
        ),
        (verify.draw_masks, {"seed": 0, "iteration": 1, "widths": (3,), "m": 2, "keep_prob": 0.5}),
    )
    function, arguments = pick(rng, list(calls))
    name = pick(rng, list(arguments))
    strange = pick(rng, STRANGE)
    given = {**copy.copy(arguments), name: strange}
    if callable(arguments[name]) and rng.random() < 0.7:
        value = pick(rng, STRANGE)
        given[name] = lambda *args: value
    elif callable(arguments[name]) and callable(strange):
        given[name] = lambda *args: strange(*args)  # so that what it raises ends in this file
    # What is given as `args` is called as the function calls it: x.
    return Case(lambda: function(**given), ("x: ", *arguments))


OPTIONS = {
    "--data": ("circles", "x", "/", "\ud800", "a.h5", "", "a" * 5000),
    "--layers": ("3", "", "0", "-1", "x", "3,,3", "9" * 30, "1e3", "٣"),
    "--hidden": ("tanh", "", "relu,relu", "x", "relu,", "\x1b"),
    "--output": ("sigmoid", "softmax", "x", ""),
    "--init": ("he", "normal:x", "normal:", "normal:-1", "normal:nan", "zeros", "x"),
    "--l2": ("0", "-1", "nan", "inf", "x", "1e999"),
    "--keep-prob": ("1", "0", "2", "nan", "0.5,0.5", "x", ""),
    "--examples": ("5", "0", "-1", "x", "9" * 30),
    "--dtype": ("float64", "float16", "x", "int64"),
    "--seed": ("1", "-1", "9" * 30, "x", "1.5"),
    "--train": ("0", "-1", "x", "9" * 30),
    "--learning-rate": ("0.1", "0", "nan", "-1", "x", "1e400"),
    "--finite-difference": ("sampled", "directional", "x"),
    "--format": ("json", "table", "x"),
    "--output-file": ("out", "/nowhere/out", ".", "/dev/null"),
    "--nothing": ("1",),
}


def options(rng: np.random.Generator, folder: Path) -> list[str]:
    """Return a command line of `verify`, most with something wrong in it."""
    arguments = ["verify", "--data", "circles", "--layers", "2", "--examples", "5"]
    for _ in range(int(rng.integers(1, 4))):
        name = pick(rng, list(OPTIONS))
        value = pick(rng, OPTIONS[name])
        arguments += [name, str(folder / "out") if value == "out" else value]
    return arguments


IN_PROCESS: dict[str, Callable[[np.random.Generator, Path], Case]] = {
    "hdf5": hdf5,
    "mat": mat,
    "model": model,
    "image": image,
    "api": api,
}
FILES: dict[str, Callable[[np.random.Generator, Path], Path]] = {
    "script": script,
    "notebook": notebook,
}
