"""Prove the files of tests/styles right or wrong, by differences, without the judge.

One proof for each right file: how its passes are called, on inputs that meet what a mistake
would need to show (height ≠ width, overlapping windows, stride 2, padding, regularisation). A
wrong file differs from its right twin in one line, so the twin's proof serves both. The proofs
say that `styles/expected.json` is right, and which mutants of a right file are no mistakes.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import json
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

STYLES = Path(__file__).parent / "styles"

Check = tuple[str, Any, Any]
"""The name of a pass, a gradient that it returned, and the same by differences."""

PROOFS: dict[str, Callable[[Any, np.random.RandomState], Iterator[Check]]] = {}


def proof(name: str) -> Callable:
    """Register the proof of a right file."""

    def register(function: Callable) -> Callable:
        PROOFS[name] = function
        return function

    return register


def slope(value: Callable[[], Any], x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Return the derivative of a number by every entry of an array, which is moved in place."""
    found = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        here = x[index]
        x[index] = here + step
        above = float(value())
        x[index] = here - step
        below = float(value())
        x[index] = here
        found[index] = (above - below) / (2 * step)
    return found


def gradients(name: str, loss: Callable[[], Any], found: Any, wrt: Any) -> Iterator[Check]:
    """Compare gradients with the slopes of a loss; None among `wrt` is not compared."""
    for gradient, x in zip(found, wrt, strict=True):
        if x is not None:
            yield name, gradient, slope(loss, x)


def vjp(name: str, forward: Callable, backward: Callable, wrt: Any, rng: Any) -> Iterator[Check]:
    """Compare what `backward` makes of a random cotangent with the slopes of `forward`."""
    cotangent = rng.standard_normal(np.shape(forward()))
    found = backward(cotangent.copy())
    found = found if isinstance(found, tuple | list) else (found,)
    yield from gradients(name, lambda: np.sum(forward() * cotangent), found, wrt)


def away(rng: Any, *shape: int) -> np.ndarray:
    """Draw numbers that are far from 0, where relu has its kink, and from each other."""
    size = int(np.prod(shape))
    values = (np.arange(size) + 1.0) * np.where(rng.rand(size) < 0.5, -1, 1) * 2 / size
    return rng.permutation(values).reshape(shape)


def code_of(path: Path) -> str:
    """Return a file's Python; of a notebook its cells of code, without magics."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = (cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code")
    lines = "\n".join("".join(cell["source"]) for cell in cells).splitlines()
    return "\n".join("" if line.startswith(("%", "!")) else line for line in lines)


def load(path: Path) -> Any:
    """Return a file as a module. Loops and statements that raise are left out, plots do nothing."""
    plots = {name: mock.MagicMock() for name in ("matplotlib", "matplotlib.pyplot")}
    with mock.patch.dict(sys.modules, plots), contextlib.redirect_stdout(io.StringIO()):
        if (path.parent / "__init__.py").exists():
            return from_package(path)
        module = types.ModuleType(path.stem)
        for statement in ast.parse(code_of(path)).body:
            if isinstance(statement, ast.While | ast.For):
                continue
            code = compile(ast.Module([statement], []), str(path), "exec")
            with contextlib.suppress(Exception):
                exec(code, module.__dict__)
        return module


def from_package(path: Path) -> Any:
    """Import a module of a package, anew."""
    package = path.parent.name
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]
    with mock.patch.object(sys, "path", [str(path.parents[1]), *sys.path]):
        importlib.invalidate_caches()
        return importlib.import_module(f"{package}.{path.stem}")


def prove(path: Path, twin: str, seed: int = 0) -> dict[str, float]:
    """Return how wrong each pass of a file is: the worst difference, relative to its tensor.

    `twin` is the right file whose proof is used. A gradient of another shape, or none, is
    infinitely wrong. Raises whatever the file raises.
    """
    errors: dict[str, float] = {}
    np.random.seed(seed)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        module = load(path)
        for name, found, expected in PROOFS[twin](module, np.random.RandomState(seed)):
            errors[name] = max(errors.get(name, 0.0), error(found, expected))
    return errors


def error(found: Any, expected: Any) -> float:
    """Return the largest difference of two tensors relative to the largest entry expected."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    if found.shape != expected.shape or not np.isfinite(found).all():
        return np.inf
    return float(np.max(np.abs(found - expected)) / max(np.max(np.abs(expected)), 1e-3))


def layer(m: Any, rng: Any, stem: str, *args: Any, also: str = "") -> Iterator[Check]:
    """A pair as cs231n writes it: stem_forward(*args) -> out, cache; stem_backward(dout, cache)."""
    forward = getattr(m, f"{stem}_forward{also}")
    wrt = [a if isinstance(a, np.ndarray) and a.dtype == float else None for a in args]
    wrt = [a for a in wrt if a is not None]
    name = f"{stem}_backward{also}"
    backward = getattr(m, name)
    yield from vjp(
        name, lambda: forward(*args)[0], lambda g: backward(g, forward(*args)[1]), wrt, rng
    )


# cs231n


@proof("cs231n_affine_relu.py")
def _(m, rng):
    x, w, b = rng.randn(3, 2, 5), rng.randn(10, 4), rng.randn(4)
    yield from layer(m, rng, "affine", x, w, b)
    yield from layer(m, rng, "relu", away(rng, 3, 5))
    yield from layer(m, rng, "affine_relu", x, w, b)


@proof("cs231n_affine.py")
def _(m, rng):
    yield from layer(m, rng, "affine", rng.randn(3, 2, 5), rng.randn(10, 4), rng.randn(4))
    yield from layer(m, rng, "relu", away(rng, 3, 5))
    yield from layer(m, rng, "sigmoid", rng.randn(3, 5))


def of_scores(m, rng, *names):
    for name in names:
        x, y = 2 * rng.randn(6, 4), rng.randint(0, 4, 6)
        loss = getattr(m, name)
        yield from gradients(name, lambda: loss(x, y)[0], [loss(x.copy(), y)[1]], [x])


@proof("cs231n_losses.py")
def _(m, rng):
    yield from of_scores(m, rng, "svm_loss", "softmax_loss")


@proof("cs231n_softmax_loss.py")
def _(m, rng):
    yield from of_scores(m, rng, "softmax_loss", "svm_loss")


@proof("cs231n_batchnorm.py")
def _(m, rng):
    args = rng.randn(5, 4) * 2 + 1, rng.randn(4), rng.randn(4), {"mode": "train", "eps": 0.1}
    yield from layer(m, rng, "batchnorm", *args)
    yield from vjp(
        "batchnorm_backward_alt",
        lambda: m.batchnorm_forward(*args)[0],
        lambda g: m.batchnorm_backward_alt(g, m.batchnorm_forward(*args)[1]),
        args[:3],
        rng,
    )


@proof("cs231n_layernorm.py")
def _(m, rng):
    args = rng.randn(5, 4) * 2 + 1, rng.randn(4), rng.randn(4), {"eps": 0.1}
    yield from layer(m, rng, "layernorm", *args)


@proof("cs231n_dropout.py")
def _(m, rng):
    for mode in ("train", "test"):
        param = {"mode": mode, "p": 0.7, "seed": 3}
        yield from layer(m, rng, "dropout", rng.randn(4, 6), param)


@proof("cs231n_conv.py")
def _(m, rng):
    for stride, pad in ((1, 1), (2, 0), (2, 1)):
        args = rng.randn(2, 3, 7, 5), rng.randn(4, 3, 3, 2), rng.randn(4)
        param = {"stride": stride, "pad": pad}
        yield from layer(m, rng, "conv", *args, param, also="_naive")


@proof("cs231n_max_pool.py")
def _(m, rng):
    for height, width, stride in ((2, 3, 1), (2, 2, 2), (3, 2, 2)):
        param = {"pool_height": height, "pool_width": width, "stride": stride}
        yield from layer(m, rng, "max_pool", away(rng, 2, 3, 7, 6), param, also="_naive")


@proof("cs231n_spatial_norms.py")
def _(m, rng):
    yield from layer(m, rng, "batchnorm", rng.randn(5, 4), rng.randn(4), rng.randn(4), {})
    x = rng.randn(2, 6, 3, 2) + 1
    yield from layer(m, rng, "spatial_batchnorm", x, rng.randn(6), rng.randn(6), {"eps": 0.1})
    scales = rng.randn(1, 6, 1, 1), rng.randn(1, 6, 1, 1)
    yield from layer(m, rng, "spatial_groupnorm", x, *scales, 3, {"eps": 0.1})


def of_weights(m, rng, *names):
    for name in names:
        W, X, y = rng.randn(5, 4), rng.randn(7, 5), rng.randint(0, 4, 7)
        loss = getattr(m, name)
        yield from gradients(name, lambda: loss(W, X, y, 0.3)[0], [loss(W, X, y, 0.3)[1]], [W])


@proof("cs231n_linear_svm.py")
def _(m, rng):
    yield from of_weights(m, rng, "svm_loss_naive", "svm_loss_vectorized")


@proof("cs231n_softmax.py")
def _(m, rng):
    yield from of_weights(m, rng, "softmax_loss_naive", "softmax_loss_vectorized")


@proof("cs231n_columns.py")
def _(m, rng):
    W, X, y = rng.randn(4, 5), rng.randn(5, 7), rng.randint(0, 4, 7)
    found = m.softmax_loss(W, X, y, 0.3)[1]
    yield from gradients("softmax_loss", lambda: m.softmax_loss(W, X, y, 0.3)[0], [found], [W])


@proof("cs231n_linear_classifier.py")
def _(m, rng):
    yield from of_weights(m, rng, "svm_loss")
    svm = m.LinearSVM()
    svm.W, X, y = rng.randn(5, 4), rng.randn(7, 5), rng.randint(0, 4, 7)
    found = svm.loss(X, y, 0.3)[1]
    yield from gradients("LinearSVM.loss", lambda: svm.loss(X, y, 0.3)[0], [found], [svm.W])


def of_network(name, net, rng, X, y, *more):
    for key, value in net.params.items():
        net.params[key] = rng.randn(*value.shape).astype(float)
    keys = list(net.params)
    found = net.loss(X, y, *more)[1]
    wrt = [net.params[k] for k in keys]
    yield from gradients(name, lambda: net.loss(X, y, *more)[0], [found[k] for k in keys], wrt)


@proof("cs231n_two_layer_net.py")
def _(m, rng):
    X, y = rng.randn(6, 5), rng.randint(0, 3, 6)
    yield from of_network("TwoLayerNet.loss", m.TwoLayerNet(5, 4, 3), rng, X, y, 0.3)


@proof("cs231n_convnet.py")
def _(m, rng):
    for stride, pad in ((1, 1), (2, 0), (2, 1)):
        args = rng.randn(2, 3, 7, 5), rng.randn(4, 3, 3, 2), rng.randn(4)
        yield from layer(m, rng, "conv", *args, {"stride": stride, "pad": pad})
    net = m.TinyConvNet((2, 5, 4), 3, 3, 4, reg=0.3)
    X, y = rng.randn(3, 2, 5, 4), rng.randint(0, 4, 3)
    yield from of_network("TinyConvNet.loss", net, rng, X, y)


@proof("cs231n_rnn.py")
def _(m, rng):
    W = rng.randn(4, 5), rng.randn(5, 5) / 2, rng.randn(5)
    yield from layer(m, rng, "rnn_step", rng.randn(3, 4), rng.randn(3, 5), *W)
    yield from layer(m, rng, "rnn", rng.randn(3, 4, 4), rng.randn(3, 5), *W)


@proof("cs231n_lstm.py")
def _(m, rng):
    W = rng.randn(4, 20), rng.randn(5, 20) / 2, rng.randn(20)
    args = rng.randn(3, 4), rng.randn(3, 5), rng.randn(3, 5), *W
    gs = rng.randn(2, 3, 5)
    found = m.lstm_step_backward(gs[0].copy(), gs[1].copy(), m.lstm_step_forward(*args)[2])
    loss = lambda: np.sum(np.array(m.lstm_step_forward(*args)[:2]) * gs)  # noqa: E731
    yield from gradients("lstm_step_backward", loss, found, args)
    yield from layer(m, rng, "lstm", rng.randn(3, 4, 4), rng.randn(3, 5), *W)


@proof("cs231n_words.py")
def _(m, rng):
    words = np.array([[0, 3, 3], [2, 0, 3]])
    yield from layer(m, rng, "word_embedding", words, rng.randn(5, 4))
    yield from layer(m, rng, "temporal_affine", rng.randn(3, 4, 5), rng.randn(5, 2), rng.randn(2))
    x, y, mask = rng.randn(3, 4, 5), rng.randint(0, 5, (3, 4)), rng.rand(3, 4) < 0.6
    loss = lambda: m.temporal_softmax_loss(x, y, mask)[0]  # noqa: E731
    found = [m.temporal_softmax_loss(x, y, mask)[1]]
    yield from gradients("temporal_softmax_loss", loss, found, [x])


@proof("cs231n_package/layers.py")
def _(m, rng):
    yield from layer(m, rng, "affine", rng.randn(3, 2, 5), rng.randn(10, 4), rng.randn(4))
    yield from layer(m, rng, "relu", away(rng, 3, 5))
    yield from of_scores(m, rng, "softmax_loss")


@proof("cs231n_package/fc_net.py")
def _(m, rng):
    net = m.FullyConnectedNet([4, 3], 5, 4, reg=0.3, dtype=np.float64)
    X, y = rng.randn(6, 5), rng.randint(0, 4, 6)
    yield from of_network("FullyConnectedNet.loss", net, rng, X, y)
