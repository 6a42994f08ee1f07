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
    with with_stand_ins(), contextlib.redirect_stdout(io.StringIO()):
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


def _uncompiled(*args: Any, **_: Any) -> Any:
    return args[0] if args and callable(args[0]) else lambda function: function


STAND_INS = {
    "cupy": np,
    "cupyx": types.SimpleNamespace(scatter_add=np.add.at),
    "numba": types.SimpleNamespace(njit=_uncompiled, prange=range),
}


@contextlib.contextmanager
def with_stand_ins() -> Iterator[None]:
    """Put matplotlib and what needs a GPU away; all else that is imported stays, as it must."""
    names = ("matplotlib", "matplotlib.pyplot", *STAND_INS)
    real = {name: sys.modules.get(name) for name in names}
    sys.modules.update({name: STAND_INS.get(name, mock.MagicMock()) for name in names})
    try:
        yield
    finally:
        for name, module in real.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module


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
    with warnings.catch_warnings(), np.errstate(), contextlib.redirect_stdout(io.StringIO()):
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
        args = rng.randn(2, 3, 5, 4), rng.randn(4, 3, 3, 2), rng.randn(4)
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
        args = rng.randn(2, 3, 5, 4), rng.randn(4, 3, 3, 2), rng.randn(4)
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
    loss = lambda: np.sum(np.array(m.lstm_step_forward(*args)[:2]) * gs)
    yield from gradients("lstm_step_backward", loss, found, args)
    yield from layer(m, rng, "lstm", rng.randn(3, 4, 4), rng.randn(3, 5), *W)


@proof("cs231n_words.py")
def _(m, rng):
    words = np.array([[0, 3, 3], [2, 0, 3]])
    yield from layer(m, rng, "word_embedding", words, rng.randn(5, 4))
    yield from layer(m, rng, "temporal_affine", rng.randn(3, 4, 5), rng.randn(5, 2), rng.randn(2))
    x, y, mask = rng.randn(3, 4, 5), rng.randint(0, 5, (3, 4)), rng.rand(3, 4) < 0.6
    loss = lambda: m.temporal_softmax_loss(x, y, mask)[0]
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


# deeplearning.ai: convolution, pooling, sequences


@proof("dlai_conv.py")
def _(m, rng):
    for stride, pad in ((1, 1), (2, 0), (2, 1)):
        args = rng.randn(2, 5, 4, 3), rng.randn(3, 3, 3, 4), rng.randn(1, 1, 1, 4)
        yield from layer(m, rng, "conv", *args, {"stride": stride, "pad": pad})


@proof("dlai_pool.py")
def _(m, rng):
    for size, stride in ((2, 1), (2, 2), (3, 2)):
        for mode in ("max", "average"):
            A, hparameters = away(rng, 2, 5, 4, 3), {"f": size, "stride": stride}
            yield from vjp(
                "pool_backward",
                lambda: m.pool_forward(A, hparameters, mode)[0],
                lambda g: m.pool_backward(g, m.pool_forward(A, hparameters, mode)[1], mode),
                [A],
                rng,
            )


def sequence_parameters(rng, **shapes):
    return {name: rng.randn(*shape) / 2 for name, shape in shapes.items()}


def of_dict(name, forward, backward, wrt, rng):
    """A pass that returns a dict: `wrt` has the array of each key."""
    yield from vjp(name, forward, lambda g: [backward(g)[k] for k in wrt], wrt.values(), rng)


@proof("dlai_rnn.py")
def _(m, rng):
    p = sequence_parameters(rng, Wax=(5, 3), Waa=(5, 5), Wya=(2, 5), ba=(5, 1), by=(2, 1))
    parameters = {"dWax": p["Wax"], "dWaa": p["Waa"], "dba": p["ba"]}
    x, a = rng.randn(3, 4), rng.randn(5, 4)
    yield from of_dict(
        "rnn_cell_backward",
        lambda: m.rnn_cell_forward(x, a, p)[0],
        lambda g: m.rnn_cell_backward(g, m.rnn_cell_forward(x, a, p)[2]),
        {"dxt": x, "da_prev": a} | parameters,
        rng,
    )
    xs = rng.randn(3, 4, 6)
    yield from of_dict(
        "rnn_backward",
        lambda: m.rnn_forward(xs, a, p)[0],
        lambda g: m.rnn_backward(g, m.rnn_forward(xs, a, p)[2]),
        {"dx": xs, "da0": a} | parameters,
        rng,
    )


@proof("dlai_lstm.py")
def _(m, rng):
    gates = {f"W{k}": (5, 8) for k in "fico"} | {f"b{k}": (5, 1) for k in "fico"}
    p = sequence_parameters(rng, Wy=(2, 5), by=(2, 1), **gates)
    x, a, c = rng.randn(3, 4), rng.randn(5, 4), rng.randn(5, 4)
    yield from of_dict(
        "lstm_cell_backward",
        lambda: np.array(m.lstm_cell_forward(x, a, c, p)[:2]),
        lambda g: m.lstm_cell_backward(g[0], g[1], m.lstm_cell_forward(x, a, c, p)[3]),
        {"dxt": x, "da_prev": a, "dc_prev": c} | {f"d{k}": p[k] for k in gates},
        rng,
    )


@proof("dlai_characters.py")
def _(m, rng):
    p = sequence_parameters(rng, Wax=(5, 4), Waa=(5, 5), Wya=(4, 5), b=(5, 1), by=(4, 1))
    keys = {f"d{k}": array for k, array in p.items()}
    x, a = rng.randn(4, 1), rng.randn(5, 1)
    dy, da = rng.randn(4, 1), rng.randn(5, 1)

    def step():
        a_next = m.rnn_step_forward(p, a, x)[0]
        return np.sum((p["Wya"] @ a_next + p["by"]) * dy) + np.sum(a_next * da)

    earlier = {key: rng.randn(*array.shape) for key, array in keys.items()} | {"da_next": da}
    found = {key: array.copy() for key, array in earlier.items()}
    a_next = m.rnn_step_forward(p, a, x)[0]
    found = m.rnn_step_backward(dy.copy(), found, p, x, a_next, a)
    added = [found[key] - earlier[key] for key in keys]
    wrt = [*keys.values(), a]
    yield from gradients("rnn_step_backward", step, [*added, found["da_next"]], wrt)
    X, Y, a0 = [None, 2, 0, 2], [2, 0, 2, 3], rng.randn(5, 1)
    found, _ = m.rnn_backward(X, Y, p, m.rnn_forward(X, Y, a0, p, 4)[1])
    yield from gradients(
        "rnn_backward",
        lambda: m.rnn_forward(X, Y, a0, p, 4)[0],
        [*(found[key] for key in keys), found["da_next"]],
        [*keys.values(), a0],
    )


# Andrew Ng's older course


def ones_first(rng, m, n):
    return np.c_[np.ones(m), rng.randn(m, n)]


def derivative(name, function, prime, x):
    """f and its derivative, entry by entry."""
    yield from gradients(name, lambda: np.sum(function(x)), [prime(x)], [x])


@proof("ng_linear_regression.py")
def _(m, rng):
    X, y, theta = ones_first(rng, 6, 2), rng.randn(6, 1), rng.randn(3, 1)
    found = [m.computeGradient(X, y, theta)]
    yield from gradients("computeGradient", lambda: m.computeCost(X, y, theta), found, [theta])


@proof("ng_logistic.py")
def _(m, rng):
    X, y, theta = ones_first(rng, 6, 3), rng.randint(0, 2, (6, 1)), rng.randn(4)
    found = [m.gradientReg(theta, 1.5, X, y)]
    loss = lambda: m.costFunctionReg(theta, 1.5, X, y)
    yield from gradients("gradientReg", loss, found, [theta])


@proof("ng_cost_gradient.py")
def _(m, rng):
    X, y, theta = ones_first(rng, 6, 3), rng.randint(0, 2, 6), rng.randn(4)
    yield from gradients(
        "gradient", lambda: m.cost(theta, X, y), [m.gradient(theta, X, y)], [theta]
    )
    yield from gradients(
        "regularized_gradient",
        lambda: m.regularized_cost(theta, X, y, 1.5),
        [m.regularized_gradient(theta, X, y, 1.5)],
        [theta],
    )


def returns_both(name, function, theta, *args):
    """A function that returns a cost and the gradient of its first argument."""
    found = [function(theta, *args)[1]]
    yield from gradients(name, lambda: function(theta, *args)[0], found, [theta])


@proof("ng_one_vs_all.py")
def _(m, rng):
    X, y, theta = ones_first(rng, 6, 3), rng.rand(6) < 0.5, rng.randn(4)
    yield from returns_both("lrCostFunction", m.lrCostFunction, theta, X, y, 1.5)


@proof("ng_nn_cost.py")
def _(m, rng):
    X, y, params = rng.randn(7, 4), rng.randint(1, 4, 7), rng.randn(3 * 5 + 3 * 4)
    yield from returns_both("nnCostFunction", m.nnCostFunction, params, 4, 3, 3, X, y, 1.5)
    yield from derivative("sigmoidGradient", m.sigmoid, m.sigmoidGradient, rng.randn(3, 4))


@proof("ng_nn_loops.py")
def _(m, rng):
    X, y, params = rng.randn(7, 4), rng.randint(0, 3, 7), rng.randn(2 * 5 + 3 * 3)
    yield from returns_both("nn_cost_function", m.nn_cost_function, params, 4, 2, 3, X, y, 1.5)
    yield from derivative("sigmoid_gradient", m.sigmoid, m.sigmoid_gradient, rng.randn(3, 4))


@proof("ng_recommender.py")
def _(m, rng):
    Y, R, params = rng.randn(4, 3), rng.rand(4, 3) < 0.6, rng.randn(7 * 2)
    yield from returns_both("cofi_cost_function", m.cofi_cost_function, params, Y, R, 3, 4, 2, 1.5)


# Nielsen's book


def of_lists(name, net, loss, found, rng):
    """backprop returns a list a layer of the biases and of the weights, in the order of `found`."""
    wrt = [*net.biases, *net.weights]
    yield from gradients(name, loss, found, wrt)


@proof("nielsen_network.py")
def _(m, rng):
    yield from derivative("sigmoid_prime", m.sigmoid, m.sigmoid_prime, rng.randn(3, 4))
    for sizes in ([4, 3, 5, 2], [4, 3, 2]):
        net, x, y = m.Network(sizes), rng.randn(4, 1), rng.randn(2, 1)
        biases, weights = net.backprop(x, y)
        loss = lambda: 0.5 * np.sum((net.feedforward(x) - y) ** 2)
        yield from of_lists("Network.backprop", net, loss, [*biases, *weights], rng)


@proof("nielsen_costs.py")
def _(m, rng):
    yield from derivative("sigmoid_prime", m.sigmoid, m.sigmoid_prime, rng.randn(3, 4))
    for cost in (m.QuadraticCost, m.CrossEntropyCost):
        z, y = rng.randn(3, 1), rng.rand(3, 1)
        found = [cost.delta(z, m.sigmoid(z), y)]
        loss = lambda: cost.fn(m.sigmoid(z), y)
        yield from gradients(f"{cost.__name__}.delta", loss, found, [z])
        net, x, y = m.Network([4, 3, 5, 2], cost), rng.randn(4, 1), rng.rand(2, 1)
        biases, weights = net.backprop(x, y)
        loss = lambda: cost.fn(net.feedforward(x), y)
        yield from of_lists("Network.backprop", net, loss, [*biases, *weights], rng)


@proof("nielsen_matrix.py")
def _(m, rng):
    net, X, Y = m.Network([4, 3, 5, 2]), rng.randn(4, 6), rng.randn(2, 6)
    weights, biases = net.backprop(X, Y)
    loss = lambda: net.cost(X, Y)
    yield from of_lists("Network.backprop", net, loss, [*biases, *weights], rng)


# The oreilly "from scratch" books


def of_object(name, thing, inputs, wrt, after, rng, backward=None):
    """A layer with forward(*inputs) and backward(dout); `after` returns all gradients."""

    def run(cotangent):
        thing.forward(*inputs)
        return after((backward or thing.backward)(cotangent))

    yield from vjp(name, lambda: thing.forward(*inputs), run, wrt, rng)


def alone(dx):
    return [dx]


@proof("oreilly_layers.py")
def _(m, rng):
    for layer_class in (m.MulLayer, m.AddLayer):
        x, y = rng.randn(3, 4), rng.randn(3, 4)
        name = f"{layer_class.__name__}.backward"
        yield from of_object(name, layer_class(), (x, y), (x, y), list, rng)
    for layer_class in (m.Relu, m.Sigmoid):
        x = away(rng, 3, 5)
        yield from of_object(
            f"{layer_class.__name__}.backward", layer_class(), (x,), (x,), alone, rng
        )
    x, affine = rng.randn(3, 2, 5), m.Affine(rng.randn(10, 4), rng.randn(4))
    after = lambda dx: [dx, affine.dW, affine.db]
    yield from of_object("Affine.backward", affine, (x,), (x, affine.W, affine.b), after, rng)


@proof("oreilly_softmax.py")
def _(m, rng):
    x, labels = rng.randn(5, 3), rng.randint(0, 3, 5)
    for t in (labels, np.eye(3)[labels]):
        last = m.SoftmaxWithLoss()
        last.forward(x, t)
        found, loss = [last.backward()], lambda: m.SoftmaxWithLoss().forward(x, t)
        yield from gradients("SoftmaxWithLoss.backward", loss, found, [x])
    x, t = rng.randn(5), rng.randint(0, 2, 5)
    last = m.SigmoidWithLoss()
    last.forward(x, t)
    loss = lambda: 1.7 * m.SigmoidWithLoss().forward(x, t)
    yield from gradients("SigmoidWithLoss.backward", loss, [last.backward(1.7)], [x])


@proof("oreilly_two_layer_net.py")
def _(m, rng):
    x = away(rng, 3, 5)
    yield from of_object("Relu.backward", m.Relu(), (x,), (x,), alone, rng)
    affine = m.Affine(rng.randn(5, 4), rng.randn(4))
    after = lambda dx: [dx, affine.dW, affine.db]
    yield from of_object("Affine.backward", affine, (x,), (x, affine.W, affine.b), after, rng)
    x, t = rng.randn(6, 4), np.eye(4)[rng.randint(0, 4, 6)]
    last = m.SoftmaxWithLoss()
    last.forward(x, t)
    loss = lambda: 1.7 * m.SoftmaxWithLoss().forward(x, t)
    yield from gradients("SoftmaxWithLoss.backward", loss, [last.backward(1.7)], [x])
    net = m.TwoLayerNet(4, 5, 4, weight_init_std=0.5)
    found, keys = net.gradient(x, t), list(net.params)
    wrt = [net.params[key] for key in keys]
    loss = lambda: net.loss(x, t)
    yield from gradients("TwoLayerNet.gradient", loss, [found[key] for key in keys], wrt)


@proof("oreilly_convolution.py")
def _(m, rng):
    for stride, pad in ((1, 1), (2, 0), (2, 1)):
        x = away(rng, 2, 3, 7, 5) + 2.5
        conv = m.Convolution(rng.randn(4, 3, 3, 2), rng.randn(4), stride, pad)
        after = lambda dx: [dx, conv.dW, conv.db]
        yield from of_object("Convolution.backward", conv, (x,), (x, conv.W, conv.b), after, rng)
        pool = m.Pooling(3, 2, stride, pad)
        yield from of_object("Pooling.backward", pool, (x,), (x,), alone, rng)


@proof("oreilly_batch_normalization.py")
def _(m, rng):
    x, norm = rng.randn(6, 4) + 1, m.BatchNormalization(rng.randn(4), rng.randn(4))
    after = lambda dx: [dx, norm.dgamma, norm.dbeta]
    wrt = x, norm.gamma, norm.beta
    yield from of_object("BatchNormalization.backward", norm, (x,), wrt, after, rng)
    yield from of_object("Dropout.backward", SameDraw(m.Dropout(0.3)), (x,), (x,), alone, rng)


class SameDraw:
    """A layer whose forward pass draws the same every time."""

    def __init__(self, thing):
        self.thing = thing

    def forward(self, *inputs):
        np.random.seed(5)
        return self.thing.forward(*inputs)

    def backward(self, dout):
        return self.thing.backward(dout)


@proof("oreilly_rnn.py")
def _(m, rng):
    W = rng.randn(4, 5), rng.randn(5, 5) / 2, rng.randn(5)
    x, h, rnn = rng.randn(3, 4), rng.randn(3, 5), m.RNN(*W)
    after = lambda d: [*d, *rnn.grads]
    yield from of_object("RNN.backward", rnn, (x, h), (x, h, *W), after, rng)
    xs, time = rng.randn(3, 6, 4), m.TimeRNN(*W)
    after = lambda d: [d, *time.grads]
    yield from of_object("TimeRNN.backward", time, (xs,), (xs, *W), after, rng)


@proof("oreilly_embedding.py")
def _(m, rng):
    x, W = rng.randn(3, 4), rng.randn(4, 5)
    product = m.MatMul(W)
    after = lambda dx: [dx, product.grads[0]]
    yield from of_object("MatMul.backward", product, (x,), (x, W), after, rng)
    words, W, h = np.array([0, 2, 2, 5, 0]), rng.randn(6, 3), rng.randn(5, 3)
    embedding = m.Embedding(W)
    after = lambda _: embedding.grads
    yield from of_object("Embedding.backward", embedding, (words,), (W,), after, rng)
    dot = m.EmbeddingDot(W)
    after = lambda dh: [dh, *dot.grads]
    yield from of_object("EmbeddingDot.backward", dot, (h, words), (h, W), after, rng)


# nnfs


class Outputs:
    """nnfs keeps what it makes: forward(...) sets output, backward(dvalues) sets dinputs."""

    def __init__(self, thing):
        self.thing = thing

    def forward(self, *inputs):
        np.random.seed(5)
        self.thing.forward(*inputs)
        return self.thing.output

    def backward(self, dvalues):
        self.thing.backward(dvalues)
        return self.thing.dinputs


@proof("nnfs_dense.py")
def _(m, rng):
    x = away(rng, 3, 5)
    for name in ("Activation_ReLU", "Activation_Linear"):
        activation = Outputs(getattr(m, name)())
        yield from of_object(f"{name}.backward", activation, (x,), (x,), alone, rng)
    dense, g = m.Layer_Dense(5, 4, 0.3, 0.2, 0.1, 0.4), rng.randn(3, 4)
    dense.weights, dense.biases = rng.randn(5, 4), rng.randn(1, 4)

    def loss():
        dense.forward(x)
        return np.sum(dense.output * g) + m.Loss().regularization_loss(dense)

    loss()
    dense.backward(g.copy())
    found = [dense.dinputs, dense.dweights, dense.dbiases]
    yield from gradients("Layer_Dense.backward", loss, found, [x, dense.weights, dense.biases])


def nnfs_loss(name, thing, y_pred, y_true, loss=None):
    thing.backward(y_pred.copy(), y_true)
    loss = loss or (lambda: thing.calculate(y_pred, y_true))
    yield from gradients(f"{name}.backward", loss, [thing.dinputs], [y_pred])


@proof("nnfs_softmax.py")
def _(m, rng):
    x, labels = rng.randn(5, 3), rng.randint(0, 3, 5)
    softmax = Outputs(m.Activation_Softmax())
    yield from of_object("Activation_Softmax.backward", softmax, (x,), (x,), alone, rng)
    for y in (labels, np.eye(3)[labels]):
        thing, predicted = m.Loss_CategoricalCrossentropy(), rng.rand(5, 3) + 0.1
        predicted /= 2
        yield from nnfs_loss("Loss_CategoricalCrossentropy", thing, predicted, y)
        both = m.Activation_Softmax_Loss_CategoricalCrossentropy()
        both.forward(x, y)
        both.backward(both.output.copy(), y)
        loss = lambda: both.forward(x, y)
        name = "Activation_Softmax_Loss_CategoricalCrossentropy.backward"
        yield from gradients(name, loss, [both.dinputs], [x])


@proof("nnfs_regression.py")
def _(m, rng):
    x = rng.randn(3, 5)
    sigmoid = Outputs(m.Activation_Sigmoid())
    yield from of_object("Activation_Sigmoid.backward", sigmoid, (x,), (x,), alone, rng)
    name = "Loss_BinaryCrossentropy"
    predicted, y = 0.1 + 0.8 * rng.rand(5, 3), rng.randint(0, 2, (5, 3))
    yield from nnfs_loss(name, m.Loss_BinaryCrossentropy(), predicted, y)
    for name in ("Loss_MeanSquaredError", "Loss_MeanAbsoluteError"):
        yield from nnfs_loss(name, getattr(m, name)(), rng.randn(5, 3), rng.randn(5, 3))


@proof("nnfs_dropout.py")
def _(m, rng):
    x = away(rng, 4, 5)
    for name, thing in (
        ("Layer_Dropout", m.Layer_Dropout(0.3)),
        ("Activation_ReLU", m.Activation_ReLU()),
    ):
        yield from of_object(f"{name}.backward", Outputs(thing), (x,), (x,), alone, rng)


# CMU's mytorch


@proof("mytorch_linear.py")
def _(m, rng):
    A, linear = rng.randn(6, 4), m.Linear(4, 3)
    linear.W, linear.b = rng.randn(3, 4), rng.randn(3, 1)
    after = lambda dA: [dA, linear.dLdW, linear.dLdb]
    yield from of_object("Linear.backward", linear, (A,), (A, linear.W, linear.b), after, rng)


@proof("mytorch_activations.py")
def _(m, rng):
    Z = away(rng, 3, 5)
    for name in ("Identity", "Sigmoid", "Tanh", "ReLU", "Softmax"):
        yield from of_object(f"{name}.backward", getattr(m, name)(), (Z,), (Z,), alone, rng)


@proof("mytorch_losses.py")
def _(m, rng):
    A, Y = rng.randn(5, 3), np.eye(3)[rng.randint(0, 3, 5)]
    for name in ("MSELoss", "CrossEntropyLoss"):
        thing = getattr(m, name)()
        thing.forward(A, Y)
        found = [thing.backward()]
        loss = lambda: thing.forward(A, Y)
        yield from gradients(f"{name}.backward", loss, found, [A])


@proof("mytorch_batchnorm.py")
def _(m, rng):
    Z, norm = rng.randn(6, 4) + 1, m.BatchNorm1d(4)
    norm.BW, norm.Bb = rng.randn(1, 4), rng.randn(1, 4)
    after = lambda dZ: [dZ, norm.dLdBW, norm.dLdBb]
    yield from of_object("BatchNorm1d.backward", norm, (Z,), (Z, norm.BW, norm.Bb), after, rng)


@proof("mytorch_conv1d.py")
def _(m, rng):
    A, conv = rng.randn(2, 3, 9), m.Conv1d_stride1(3, 4, 3)
    conv.W, conv.b = rng.randn(4, 3, 3), rng.randn(4)
    after = lambda dA: [dA, conv.dLdW, conv.dLdb]
    yield from of_object("Conv1d_stride1.backward", conv, (A,), (A, conv.W, conv.b), after, rng)
    for factor in (2, 3):
        for name in ("Downsample1d", "Upsample1d"):
            thing = getattr(m, name)(factor)
            yield from of_object(f"{name}.backward", thing, (A,), (A,), alone, rng)


@proof("mytorch_rnn_cell.py")
def _(m, rng):
    cell, x, h, g = m.RNNCell(4, 5), rng.randn(3, 4), rng.randn(3, 5), rng.randn(3, 5)
    found = cell.backward(g.copy(), cell(x, h), x, h)
    found = [*found, cell.dW_ih, cell.dW_hh, cell.db_ih, cell.db_hh]
    wrt = [x, h, cell.W_ih, cell.W_hh, cell.b_ih, cell.b_hh]
    yield from gradients("RNNCell.backward", lambda: np.sum(cell(x, h) * g), found, wrt)


# numpy-ml


def numpy_ml(name, thing, X, keys, rng):
    thing.forward(X)
    parameters = [thing.parameters[key] for key in keys]
    for value in parameters:
        value[...] = rng.randn(*value.shape)

    def run(cotangent):
        thing.X = []
        thing.gradients = {key: np.zeros_like(v) for key, v in thing.parameters.items()}
        thing.forward(X)
        return [thing.backward(cotangent), *(thing.gradients[key] for key in keys)]

    yield from vjp(name, lambda: thing.forward(X), run, [X, *parameters], rng)


@proof("numpyml_layers.py")
def _(m, rng):
    yield from derivative("Tanh.grad", m.Tanh().fn, m.Tanh().grad, rng.randn(3, 4))
    dense = m.FullyConnected(3)
    yield from numpy_ml("FullyConnected.backward", dense, rng.randn(5, 4), ["W", "b"], rng)


@proof("numpyml_multiply.py")
def _(m, rng):
    keys = ["scaler", "intercept"]
    yield from numpy_ml("LayerNorm1D.backward", m.LayerNorm1D(0.1), rng.randn(5, 4), keys, rng)


@proof("numpyml_activations.py")
def _(m, rng):
    for name in ("Sigmoid", "LeakyReLU", "ELU", "SoftPlus", "Exponential"):
        thing, x = getattr(m, name)(), away(rng, 3, 4)
        yield from derivative(f"{name}.grad", thing.fn, thing.grad, x)
    yield from derivative("Sigmoid.grad2", m.Sigmoid().grad, m.Sigmoid().grad2, away(rng, 3, 4))


@proof("numpyml_losses.py")
def _(m, rng):
    affine, z, y = m.Affine(1.7, 0.3), rng.randn(4, 3), rng.randn(4, 3)
    yield from derivative("Affine.grad", affine.fn, affine.grad, z)
    loss = lambda: m.SquaredError.loss(y, affine.fn(z))
    found = [m.SquaredError.grad(y, affine.fn(z), z, affine)]
    yield from gradients("SquaredError.grad", loss, found, [z])
    y = np.eye(3)[rng.randint(0, 3, 4)]
    softmax = lambda: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    loss = lambda: m.CrossEntropy.loss(y, softmax())
    yield from gradients("CrossEntropy.grad", loss, [m.CrossEntropy.grad(y, softmax())], [z])


# min-char-rnn


@proof("char_rnn.py")
def _(m, rng):
    m.vocab_size = 4
    shapes = {"Wxh": (5, 4), "Whh": (5, 5), "Why": (4, 5), "bh": (5, 1), "by": (4, 1)}
    vars(m).update(sequence_parameters(rng, **shapes))
    args = [0, 2, 2, 1], [2, 2, 1, 3], rng.randn(5, 1)
    found, wrt = m.lossFun(*args)[1:6], [getattr(m, name) for name in shapes]
    yield from gradients("lossFun", lambda: m.lossFun(*args)[0], found, wrt)


@proof("char_rnn_inline.py")
def _(m, rng):
    names = "UWObc"
    for name in names:
        setattr(m, name, rng.randn(*getattr(m, name).shape) / 2)
    args = [0, 2, 2, 1], [2, 2, 1, 3], rng.randn(m.H)
    found = m.loss_and_grads(*args)[1]
    wrt = [getattr(m, name) for name in names]
    loss = lambda: m.loss_and_grads(*args)[0]
    yield from gradients("loss_and_grads", loss, [found[name] for name in names], wrt)


# micrograd


def of_graph(name, make, values, data, rng):
    """An engine's operators: `make` builds a node of what `values` makes of every number."""

    def run(_):
        leaves = values()
        make(*leaves).backward()
        return [np.array(leaf.grad, float) for leaf in leaves]

    loss = lambda: np.sum(make(*values()).data)
    yield from gradients(name, loss, run(None), data)


def scalars(m, rng, **operators):
    for name, make in operators.items():
        data = [np.array(sign * (0.3 + rng.rand())) for sign in (1, 1, -1)]
        values = lambda: [m.Value(float(x)) for x in data]
        yield from of_graph(f"Value.{name}", make, values, data, rng)


@proof("micrograd_engine.py")
def _(m, rng):
    yield from scalars(
        m,
        rng,
        __add__=lambda a, b, c: (a + b + a + 1.5) * 1.5,
        __mul__=lambda a, b, c: a * b * (a * a) * 1.5,
        __pow__=lambda a, b, c: (a**3 + c**-2 + a**2) * 1.5,
        relu=lambda a, b, c: (a.relu() + c.relu() + a.relu()) * 1.5,
        backward=lambda a, b, c: (a / b - c + 2 * a) * (-c) + 1 / a,
    )


@proof("micrograd_more.py")
def _(m, rng):
    yield from scalars(
        m,
        rng,
        __add__=lambda a, b, c: (a + b + a + 1.5) * 1.5,
        __mul__=lambda a, b, c: a * b * (a * a) * 1.5,
        tanh=lambda a, b, c: (a.tanh() + c.tanh() + a.tanh()) * 1.5,
        exp=lambda a, b, c: (a.exp() + c.exp() + a.exp()) * 1.5,
        log=lambda a, b, c: (a.log() + b.log() + a.log()) * 1.5,
        sigmoid=lambda a, b, c: (a.sigmoid() + c.sigmoid() + a.sigmoid()) * 1.5,
        backward=lambda a, b, c: (a * b + c).tanh() * a,
    )


@proof("micrograd_tensor.py")
def _(m, rng):
    operators = {
        "__add__": lambda a, b, c: (a + c + a) * 1.5,
        "__mul__": lambda a, b, c: a * c * (a * a),
        "__matmul__": lambda a, b, c: (a @ b + a @ b) * 1.5,
        "relu": lambda a, b, c: (a.relu() + a.relu()) * 1.5,
        "sum": lambda a, b, c: (a.sum() + a.sum()) * 1.5,
        "mean": lambda a, b, c: (a.mean() + a.mean()) * 1.5,
        "backward": lambda a, b, c: ((a + c) @ b).relu().mean() * a.sum(),
    }
    for name, make in operators.items():
        data = [rng.randn(3, 4), rng.randn(4, 2), rng.randn(1, 4)]
        values = lambda: [m.Tensor(x.copy()) for x in data]
        yield from of_graph(f"Tensor.{name}", make, values, data, rng)


@proof("plain_helpers_only.py")
def _(m, rng):
    yield from ()


# In nobody's style but their own


@proof("plain_rows.py")
def _(m, rng):
    params = {key: rng.randn(*value.shape) for key, value in m.init(3, 5, 2).items()}
    X, T = rng.randn(6, 3), rng.randn(6, 2)
    found = m.gradients(params, X, T)
    loss = lambda: m.mse(params, X, T)
    yield from gradients("gradients", loss, [found[key] for key in params], params.values())


@proof("plain_columns.py")
def _(m, rng):
    yield from derivative("d_relu", m.relu, m.d_relu, away(rng, 3, 4))
    x, y = rng.randn(4, 6), np.eye(3)[rng.randint(0, 3, 6)].T
    w = rng.randn(5, 4), rng.randn(5, 1), rng.randn(3, 5), rng.randn(3, 1)
    z1, a1, _, a2 = m.fwd(x, *w)
    found = m.bwd(x, y, z1, a1, a2, w[2])
    yield from gradients("bwd", lambda: m.cost(m.fwd(x, *w)[3], y), found, w)


def of_model(name, model, loss, run, names, rng):
    """A model that holds its parameters; `run` returns a gradient of each of `names`."""
    for key in names:
        value = np.array(getattr(model, key), float)
        setattr(model, key, rng.randn(*value.shape) if value.ndim else np.array(0.3))
    yield from gradients(name, loss, run(), [getattr(model, key) for key in names])


@proof("plain_fit.py")
def _(m, rng):
    model, X, y, names = m.MLP(4, alpha=0.3), rng.randn(6, 3), rng.randn(6, 1), "W1 b1 W2 b2"
    model._init_weights(3)

    def run():
        model.backward(X, y)
        return [getattr(model, f"d{name}") for name in names.split()]

    loss = lambda: model.loss(X, y)
    yield from of_model("MLP.backward", model, loss, run, names.split(), rng)


@proof("plain_logistic_fit.py")
def _(m, rng):
    model, X, y = m.LogisticRegression(C=0.2), rng.randn(6, 3), rng.randint(0, 2, 6)
    model.w = np.zeros(3)
    loss, run = lambda: model._loss(X, y), lambda: model._gradient(X, y)
    yield from of_model("LogisticRegression._gradient", model, loss, run, ["w", "b"], rng)


@proof("plain_shapes.py")
def _(m, rng):
    yield from layer(m, rng, "bilinear", rng.randn(6, 3), rng.randn(6, 4), rng.randn(3, 4))
    yield from layer(m, rng, "cosine", rng.randn(5, 4), rng.randn(5, 4))


@proof("plain_traps.py")
def _(m, rng):
    x, w, b = rng.randn(5, 4), rng.randn(4, 3), rng.randn(3)
    back = lambda g: m.dense_backward(g, x, w)
    yield from vjp("dense_backward", lambda: m.dense(x, w, b), back, [x, w, b], rng)


@proof("plain_inplace.py")
def _(m, rng):
    yield from layer(m, rng, "relu", away(rng, 3, 5))
    yield from layer(m, rng, "scale", rng.randn(3, 5), rng.randn(5))
    x = rng.randn(3, 5)
    yield from of_object("Sigmoid.backward", m.Sigmoid(), (x,), (x,), alone, rng)


@proof("plain_layers_some.py")
def _(m, rng):
    x, dense = rng.randn(5, 4), m.Dense(4, 3)
    dense.b = rng.randn(3)
    after = lambda dx: [dx, dense.grad_W, dense.grad_b]
    yield from of_object("Dense.backward", dense, (x,), (x, dense.W, dense.b), after, rng)
    yield from of_object("Tanh.backward", m.Tanh(), (x,), (x,), alone, rng)


@proof("plain_ties.py")
def _(m, rng):
    for name in ("relu", "hard_tanh", "absolute"):
        prime = getattr(m, f"{name}_grad")
        yield from derivative(f"{name}_grad", getattr(m, name), prime, away(rng, 3, 5) * 1.01)


@proof("plain_activations.py")
def _(m, rng):
    x = away(rng, 3, 5)
    yield from derivative("sigmoid_prime", m.sigmoid, m.sigmoid_prime, x)
    yield from derivative("tanh_derivative", m.tanh, lambda x: m.tanh_derivative(m.tanh(x)), x)
    yield from derivative("d_softplus", m.softplus, m.d_softplus, x)
    for name in ("swish", "gelu", "softsign"):
        yield from derivative(f"{name}_prime", getattr(m, name), getattr(m, f"{name}_prime"), x)


@proof("plain_attention.py")
def _(m, rng):
    yield from layer(m, rng, "attention", rng.randn(4, 3), rng.randn(5, 3), rng.randn(5, 2))


@proof("plain_residual.py")
def _(m, rng):
    yield from layer(m, rng, "block", rng.randn(5, 4), rng.randn(4, 4), rng.randn(4))
    yield from layer(m, rng, "highway", rng.randn(5, 4), rng.randn(4, 4), rng.randn(4, 4))


@proof("plain_losses.py")
def _(m, rng):
    for name in ("mse", "huber", "log_cosh"):
        pred, target = 1.5 * rng.randn(4, 3), rng.randn(4, 3)
        loss = lambda: getattr(m, name)(pred, target)
        found = [getattr(m, f"{name}_grad")(pred, target)]
        yield from gradients(f"{name}_grad", loss, found, [pred])
    p, y = 0.1 + 0.8 * rng.rand(4, 3), rng.randint(0, 2, (4, 3))
    found = [m.binary_cross_entropy_grad(p, y)]
    loss = lambda: m.binary_cross_entropy(p, y)
    yield from gradients("binary_cross_entropy_grad", loss, found, [p])


@proof("plain_pool.py")
def _(m, rng):
    for size, stride in ((2, 1), (2, 2), (3, 2)):
        yield from layer(m, rng, "avg_pool", rng.randn(2, 3, 7, 5), size, stride)
    yield from layer(m, rng, "global_avg_pool", rng.randn(2, 3, 4, 5))
    yield from layer(m, rng, "upsample", rng.randn(2, 3, 4, 5))


@proof("plain_autoencoder.py")
def _(m, rng):
    model, X = m.Autoencoder(5, 3), rng.randn(6, 5)
    loss, run = lambda: model.loss(X), lambda: model.gradients(X)
    yield from of_model("Autoencoder.gradients", model, loss, run, ["W", "b", "c"], rng)


@proof("plain_script.py")
def _(m, rng):
    net, x = m.Net(), rng.randn(5, 10)
    net.forward(x)
    back = lambda g: (net.forward(x), net.backward(g))[1]
    yield from vjp("Net.backward", lambda: net.forward(x), back, [net.w1, net.w2], rng)


@proof("plain_summed.py")
def _(m, rng):
    X, y, W, b = rng.randn(6, 3), rng.randint(0, 2, 6), rng.randn(3), np.array(0.3)
    loss = lambda: m.loss(X, y, W, b)
    yield from gradients("backward", loss, m.backward(X, y, W, b), [W, b])


@proof("plain_masked_network.py")
def _(m, rng):
    args = m.example()
    yield from gradients("backward", lambda: m.loss(*args), m.backward(*args), args[2])


@proof("plain_kernel.py")
def _(m, rng):
    yield from layer(m, rng, "rbf", rng.randn(4, 3), rng.randn(5, 3), rng.rand(5))
    yield from layer(m, rng, "pairwise", rng.randn(4, 3))


# Notebooks


@proof("dlai_conv_steps.ipynb")
def _(m, rng):
    yield from PROOFS["dlai_conv.py"](m, rng)


@proof("ng_exercise_4.ipynb")
def _(m, rng):
    yield from derivative("sigmoid_gradient", m.sigmoid, m.sigmoid_gradient, rng.randn(3, 4))
    theta, X, y = rng.randn(43), ones_first(rng, 6, 4), np.eye(3)[rng.randint(0, 3, 6)]
    found = [m.gradient(theta, X, y)]
    yield from gradients("gradient", lambda: m.cost(theta, X, y), found, [theta])
    found = [m.regularized_gradient(theta, X, y, 1.5)]
    loss = lambda: m.regularized_cost(theta, X, y, 1.5)
    yield from gradients("regularized_gradient", loss, found, [theta])


@proof("plain_moons.ipynb")
def _(m, rng):
    shapes = {"A": (5, 2), "a": (5, 1), "B": (5, 5), "b": (5, 1), "C": (1, 5), "c": (1, 1)}
    w = sequence_parameters(rng, **shapes)
    x, y = rng.randn(2, 6), rng.randint(0, 2, (1, 6))
    found = m.backprop(w, x, y, 0.3)
    loss = lambda: m.J(w, x, y, 0.3)
    yield from gradients("backprop", loss, [found[key] for key in w], w.values())


@proof("plain_gru.ipynb")
def _(m, rng):
    P = [rng.randn(3 if i % 2 == 0 else 4, 4) for i in range(6)]
    x, h = rng.randn(5, 3), rng.randn(5, 4)

    def back(g):
        dx, dh, dP = m.gru_step_backward(g, m.gru_step(x, h, P)[1], P)
        return [dx, dh, *dP]

    forward = lambda: m.gru_step(x, h, P)[0]
    yield from vjp("gru_step_backward", forward, back, [x, h, *P], rng)


@proof("cs231n_features.ipynb")
def _(m, rng):
    yield from layer(m, rng, "affine", rng.randn(3, 2, 5), rng.randn(10, 4), rng.randn(4))
    yield from layer(m, rng, "leaky_relu", away(rng, 3, 5))
    yield from of_scores(m, rng, "hinge_loss")


@proof("plain_overwrite.py")
def _(m, rng):
    yield from layer(m, rng, "glu", rng.randn(4, 3), rng.randn(4, 3))
    yield from layer(m, rng, "softmax", rng.randn(4, 3))


# More of each


@proof("ng_learning_curve.py")
def _(m, rng):
    X, y, theta = ones_first(rng, 6, 3), rng.randn(6), rng.randn(4)
    function = m.linear_reg_cost_function
    found = [function(X, y, theta, 1.5)[1]]
    loss = lambda: function(X, y, theta, 1.5)[0]
    yield from gradients("linear_reg_cost_function", loss, found, [theta])


@proof("nnfs_spiral.py")
def _(m, rng):
    x, g, dense = rng.randn(3, 5), rng.randn(3, 4), m.Layer_Dense(5, 4)
    dense.biases = rng.randn(1, 4)

    def loss():
        dense.forward(x)
        return np.sum(dense.output * g)

    loss()
    dense.backward(g.copy())
    found = [dense.dinputs, dense.dweights, dense.dbiases]
    yield from gradients("Layer_Dense.backward", loss, found, [x, dense.weights, dense.biases])
    activation = Outputs(m.Activation_Tanh())
    yield from of_object("Activation_Tanh.backward", activation, (x,), (x,), alone, rng)
    y, both = rng.randint(0, 5, 3), m.Softmax_CategoricalCrossentropy()
    both.forward(x, y)
    both.backward(both.output.copy(), y)
    name = "Softmax_CategoricalCrossentropy.backward"
    yield from gradients(name, lambda: both.forward(x, y), [both.dinputs], [x])


@proof("plain_word2vec.py")
def _(m, rng):
    for name in ("naive_softmax_loss_and_gradient", "neg_sampling_loss_and_gradient"):
        center, outside, function = rng.randn(3), rng.randn(5, 3), getattr(m, name)
        found = function(center, 2, outside)[1:]
        loss = lambda: function(center, 2, outside)[0]
        yield from gradients(name, loss, found, [center, outside])


@proof("plain_hinge_fit.py")
def _(m, rng):
    model, X, y = m.SVM(0.7), rng.randn(8, 3), np.sign(rng.randn(8))
    model.w, model.b = np.zeros(3), 0.0
    loss, run = lambda: model.objective(X, y), lambda: model.gradient(X, y)
    yield from of_model("SVM.gradient", model, loss, run, ["w", "b"], rng)


@proof("plain_lists.py")
def _(m, rng):
    Ws, bs = m.make([3, 5, 4, 2])
    x, t = rng.randn(6, 3), rng.randn(6, 2)
    dWs, dbs = m.backward(x, t, Ws, bs)
    yield from gradients("backward", lambda: m.loss(x, t, Ws, bs), [*dWs, *dbs], [*Ws, *bs])


@proof("plain_logits.py")
def _(m, rng):
    for name in ("bce_with_logits", "focal"):
        z, y = 2 * rng.randn(6, 3), rng.randint(0, 2, (6, 3))
        found = [getattr(m, f"{name}_backward")(z, y)]
        loss = lambda: getattr(m, name)(z, y)
        yield from gradients(f"{name}_backward", loss, found, [z])


@proof("plain_triplet.py")
def _(m, rng):
    wrt = rng.randn(5, 3), rng.randn(5, 3), rng.randn(5, 3)
    found = m.triplet_loss_grad(*wrt)
    yield from gradients("triplet_loss_grad", lambda: m.triplet_loss(*wrt), found, wrt)


@proof("nielsen_script.py")
def _(m, rng):
    net, x, y = m.Net([4, 3, 5, 2]), rng.randn(4, 1), rng.rand(2, 1)
    biases, weights = net.backprop(x, y)

    def loss():
        a = net.feedforward(x)
        return -np.sum(y * np.log(a) + (1 - y) * np.log(1 - a))

    yield from of_lists("Net.backprop", net, loss, [*biases, *weights], rng)


@proof("oreilly_train.py")
def _(m, rng):
    net, x, t = m.SimpleNet(4, 3), rng.randn(6, 4), rng.randn(6, 3)
    found, keys = net.gradient(x, t), ["W", "b"]
    wrt = [net.params[key] for key in keys]
    loss = lambda: net.loss(x, t)
    yield from gradients("SimpleNet.gradient", loss, [found[key] for key in keys], wrt)


@proof("plain_half_unseen.py")
def _(m, rng):
    yield from layer(m, rng, "scale_shift", rng.randn(5, 3), rng.randn(3), rng.randn(3))


@proof("plain_mean_gradients.py")
def _(m, rng):
    """Its gradients are all the loss's over the number of examples: a convention, not a mistake."""
    model, X, y = m.LinearRegression(3), rng.randn(6, 3), rng.randn(6)
    loss, run = lambda: model.loss(X, y) / len(X), lambda: model.gradients(X, y)
    yield from of_model("LinearRegression.gradients", model, loss, run, ["w", "b"], rng)


def _descended(holder, keys, step, rate):
    """Return along what a step moved parameters, which are put back."""
    before = [holder[key].copy() for key in keys]
    dx = step()
    found = [(old - holder[key]) / rate for old, key in zip(before, keys, strict=True)]
    holder.update(zip(keys, before, strict=True))
    return dx, found


@proof("plain_descent.py")
def _(m, rng):
    x, affine, scale = rng.randn(4, 5), m.Affine(5, 3), m.Scale(5)
    scale.params["gamma"] = rng.randn(5)
    for name, layer, holder, keys, rate in (
        ("Affine.backward", affine, vars(affine), ["weights", "bias"], 0.1),
        ("Scale.backward", scale, scale.params, ["gamma"], scale.lr),
    ):
        c = rng.randn(*layer.forward(x).shape)
        more = (rate,) if layer is affine else ()
        dx, found = _descended(holder, keys, lambda: layer.backward(c, *more), rate)
        loss = lambda: np.sum(c * layer.forward(x))
        yield from gradients(name, loss, [dx, *found], [x, *(holder[key] for key in keys)])


@proof("plain_optimizer.py")
def _(m, rng):
    layer, x = m.Affine(5, 3), rng.randn(4, 5)
    c = rng.randn(*layer.forward(x).shape)
    weights = layer.weights
    found = layer.backward(c)
    moved, layer.weights = weights - layer.weights, weights
    found = [found, moved / layer.optimiser.rate]
    yield from gradients(
        "Affine.backward", lambda: np.sum(c * layer.forward(x)), found, [x, weights]
    )


@proof("plain_implied_loss.py")
def _(m, rng):
    """By the mean cross-entropy, whose derivative by the outputs' logits is `output - y` over m."""
    net, X, y = m.NeuralNetwork(5, 4, 3), rng.randn(6, 5), (rng.rand(6, 3) > 0.5) * 1.0
    keys = ["W1", "b1", "W2", "b2"]

    def loss():
        a = net.forward(X)
        return -np.sum(y * np.log(a) + (1 - y) * np.log(1 - a)) / len(X)

    step = lambda: net.backward(X, y, net.forward(X), 0.2)
    _, found = _descended(vars(net), keys, step, 0.2)
    wrt = [vars(net)[key] for key in keys]
    yield from gradients("NeuralNetwork.backward", loss, found, wrt)


@proof("plain_cache_only.py")
def _(m, rng):
    x, y = away(rng, 4, 5), away(rng, 4, 5)
    for name in ("product", "distance"):
        forward, backward = getattr(m, f"{name}_forward"), getattr(m, f"{name}_backward")
        loss = lambda: np.sum(forward(x, y)[0])
        found = backward(forward(x, y)[1])
        yield from gradients(f"{name}_backward", loss, [each.copy() for each in found], [x, y])


@proof("cs231n_compiled.py")
def _(m, rng):
    from verify.homework.textbook.image_modules import FUNCTIONS

    vars(m).update(FUNCTIONS)
    for stride, pad in ((1, 0), (2, 1)):
        x, w, b = rng.randn(2, 3, 6, 8), rng.randn(4, 3, 4, 2), rng.randn(4)
        settings = {"stride": stride, "pad": pad}
        for kind in ("strides", "im2col"):
            forward = getattr(m, f"conv_forward_{kind}")
            backward = getattr(m, f"conv_backward_{kind}")
            yield from vjp(
                f"conv_backward_{kind}",
                lambda: forward(x, w, b, settings)[0],
                lambda c: backward(c, forward(x, w, b, settings)[1]),
                (x, w, b),
                rng,
            )


@proof("cs231n_captions.py")
def _(m, rng):
    words = {word: i for i, word in enumerate(("<NULL>", "<START>", "a", "cat", "sat", "there"))}
    features, captions = rng.randn(3, 5), rng.randint(0, 6, (3, 4))
    for kind in ("rnn", "relu"):
        net = m.CaptioningRNN(words, 5, 4, 3, kind, np.float64)
        _, grads = net.loss(features, captions)
        wrt = [net.params[key] for key in grads]
        loss = lambda: net.loss(features, captions)[0]
        yield from gradients("CaptioningRNN.loss", loss, list(grads.values()), wrt)


@proof("plain_first_network.py")
def _(m, rng):
    """By the mean cross-entropy of the softmax, which stands nowhere in the file."""
    W1, b1, W2, b2 = m.init_params()
    X, Y = rng.randn(30, 5), rng.randint(0, 10, 5)

    def loss():
        *_, A2 = m.forward_prop(W1, b1, W2, b2, X)
        return -np.mean(np.log(A2[Y, np.arange(5)]))

    found = m.backward_prop(*m.forward_prop(W1, b1, W2, b2, X), W1, W2, X, Y)
    yield from gradients("backward_prop", loss, found, [W1, b1, W2, b2])
    Z = away(rng, 4, 5)
    total = lambda: np.sum(m.relu(Z))
    yield from gradients("relu_deriv", total, [m.relu_deriv(Z)], [Z])


@proof("plain_made_with_data.py")
def _(m, rng):
    """By the sum of squares, which stands nowhere in the file; its step goes down by the whole."""
    net = m.TinyNetwork(rng.randn(6, 5), rng.rand(6, 1))
    keys = ["weights1", "weights2"]

    def step():
        net.feedforward()
        net.backprop()

    def loss():
        net.feedforward()
        return np.sum((net.y - net.output) ** 2)

    _, found = _descended(vars(net), keys, step, 1.0)
    yield from gradients("TinyNetwork.backprop", loss, found, [vars(net)[key] for key in keys])
    a = rng.rand(4, 3) * 0.8 + 0.1
    z = np.log(a / (1 - a))
    total = lambda: np.sum(m.sigmoid(z))
    yield from gradients("sigmoid_derivative", total, [m.sigmoid_derivative(a)], [z])


@proof("plain_update_after.py")
def _(m, rng):
    layer, x = m.Affine(5, 3), rng.randn(4, 5)
    c = rng.randn(*layer.forward(x).shape)

    def step():
        dx = layer.backward(c)
        layer.update(0.2)
        return dx

    dx, found = _descended(vars(layer), ["W", "b"], step, 0.2)
    loss = lambda: np.sum(c * layer.forward(x))
    yield from gradients("Affine.backward", loss, [dx, *found], [x, layer.W, layer.b])


@proof("plain_bias_forgotten.py")
def _(m, rng):
    layer, x = m.Affine(5, 3), rng.randn(4, 5)
    c = rng.randn(*layer.forward(x).shape)
    dx = layer.backward(c)
    loss = lambda: np.sum(c * layer.forward(x))
    yield from gradients("Affine.backward", loss, [dx, layer.dW], [x, layer.W])


@proof("plain_signal.py")
def _(m, rng):
    layer, x = m.Convolution((2, 6, 7), 3, 4), rng.randn(2, 6, 7)
    c = rng.randn(*layer.forward(x).shape)
    keys = ["kernels", "biases"]
    dx, found = _descended(vars(layer), keys, lambda: layer.backward(c, 0.1), 0.1)
    loss = lambda: np.sum(c * layer.forward(x))
    wrt = [x, layer.kernels, layer.biases]
    yield from gradients("Convolution.backward", loss, [dx, *found], wrt)
    tanh, z = m.Tanh(), rng.randn(4, 3)
    g = rng.randn(4, 3)
    tanh.forward(z)
    total = lambda: np.sum(g * tanh.forward(z))
    yield from gradients("Tanh.backward", total, [tanh.backward(g, 0.1)], [z])


@proof("plain_slope_kept.py")
def _(m, rng):
    for name in ("Rectifier", "Squashing"):
        layer, x = getattr(m, name)(), rng.randn(4, 5)
        c = rng.randn(4, 5)
        layer.forward(x)
        loss = lambda layer=layer, x=x, c=c: np.sum(c * layer.forward(x))
        yield from gradients(f"{name}.backward", loss, [layer.backward(c)], [x])
    layer, x = m.FullyConnected(5, 3), rng.randn(4, 5)
    c = rng.randn(*layer.forward(x).shape)
    found = [layer.backward(c), layer.d_weights, layer.d_bias]
    loss = lambda: np.sum(c * layer.forward(x))
    yield from gradients("FullyConnected.backward", loss, found, [x, layer.weights, layer.bias])


@proof("plain_given_inputs.py")
def _(m, rng):
    for name in ("Rectifier", "Squashing"):
        layer, x = getattr(m, name)(), rng.randn(4, 5)
        c = rng.randn(4, 5)
        loss = lambda layer=layer, x=x, c=c: np.sum(c * layer.forward(x.copy()))
        yield from gradients(f"{name}.backward", loss, [layer.backward(x, c.copy())], [x])


@proof("plain_losses_prefixed.py")
def _(m, rng):
    W, y, target = rng.randn(3, 4), rng.randn(5, 1), rng.randn(5)
    yield from gradients("dl2_reg", lambda: m.l2_reg(W, 0.3), [m.dl2_reg(W, 0.3)], [W])
    loss = lambda: m.l2_regression({}, y, target)
    yield from gradients("dl2_regression", loss, [m.dl2_regression(y, target)], [y])


@proof("plain_losses_before_sigmoid.py")
def _(m, rng):
    """The cross-entropy's by the scores, times the number of entries that its mean is over."""
    label, z = (rng.rand(4, 3) > 0.5) * 1.0, rng.randn(4, 3)
    out = 1 / (1 + np.exp(-z))
    total = lambda: m.CrossEntropy().forward(label, 1 / (1 + np.exp(-z))) * z.size
    yield from gradients(
        "CrossEntropy.backward", total, [m.CrossEntropy().backward(label, out)], [z]
    )
    loss = lambda: m.SquaredError().forward(label, out)
    found = [m.SquaredError().backward(label, out)]
    yield from gradients("SquaredError.backward", loss, found, [out])


@proof("plain_mean_of_squares.py")
def _(m, rng):
    x, y = rng.randn(5, 3), rng.randn(5, 3)
    yield from gradients("cost_gradient", lambda: m.cost(x, y), [m.cost_gradient(x, y)], [x])


@proof("cs231n_class_aliased.py")
def _(m, rng):
    net, x, y = m.TwoLayerNet(5, 6, 3, std=1.0), rng.randn(4, 5), np.array([0, 2, 1, 2])
    net.params["b1"][:] = rng.randn(6)
    _, found = net.loss(x, y, 0.3)
    loss = lambda: net.loss(x, y, 0.3)[0]
    yield from gradients("TwoLayerNet.loss", loss, found.values(), [net.params[k] for k in found])


class Down:
    """An optimiser of one step down, for layers that are given theirs."""

    def __init__(self, rate: float):
        self.rate = rate

    def update(self, w: np.ndarray, dw: np.ndarray) -> np.ndarray:
        return w - self.rate * dw


@proof("plain_prepared.py")
def _(m, rng):
    layer, x = m.Affine(3), away(rng, 4, 5)
    layer.set_input_shape((5,))
    layer.initialize(Down(0.1))
    keys, c = ["weights", "offset"], rng.randn(4, 3)
    layer.offset = rng.randn(1, 3)
    loss = lambda: np.sum(c * layer.forward_pass(x))
    loss()
    dx, found = _descended(vars(layer), keys, lambda: layer.backward_pass(c), 0.1)
    wrt = [x, *(vars(layer)[key] for key in keys)]
    yield from gradients("Affine.backward_pass", loss, [dx, *found], wrt)
    gate = m.Gate()
    yield from vjp("Gate.backward_pass", lambda: gate.forward_pass(x), gate.backward_pass, [x], rng)


@proof("plain_marco.py")
def _(m, rng):
    layer, x, c = m.CapaDensa(5, 3), rng.randn(4, 5), rng.randn(4, 3)
    loss = lambda: np.sum(c * layer.forward(x))
    loss()
    step = lambda: layer.backward(c, 0.1)
    dx, found = _descended(vars(layer), ["W", "b"], step, 0.1)
    yield from gradients("CapaDensa.backward", loss, [dx, *found], [x, layer.W, layer.b])


class Mixing:
    """A layer that does not commute with another one."""

    def __init__(self, matrix: np.ndarray):
        self.matrix = matrix

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.y = np.tanh(x @ self.matrix)
        return self.y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return ((1 - self.y**2) * dy) @ self.matrix.T


@proof("plain_chain.py")
def _(m, rng):
    net, x = m.Net(), rng.randn(4, 5)
    for _ in range(2):
        net.add(Mixing(rng.randn(5, 5) / 2))
    yield from vjp("Net.backward", lambda: net.forward(x), net.backward, [x], rng)


@proof("plain_held_twice.py")
def _(m, rng):
    layer, x = m.Linear(5, 3), rng.randn(4, 5)
    after = lambda dx: [dx, layer.grad_w, layer.grad_b]
    yield from of_object("Linear.backward", layer, (x,), (x, layer.w, layer.b), after, rng)


@proof("plain_given_arrays.py")
def _(m, rng):
    layer, x, c = m.Row(5, 3, rng.randn(15), rng.randn(3)), rng.randn(4, 5), rng.randn(4, 3)
    loss = lambda: np.sum(c * layer.remembering_forward(x))
    loss()
    keys, before = ["matrix", "offsets"], [layer.matrix.copy(), layer.offsets.copy()]
    dx = layer.backward_propagate(c, 0.1)
    found = [(b - vars(layer)[key]) / 0.1 for key, b in zip(keys, before, strict=True)]
    layer.matrix[...], layer.offsets[...] = before
    wrt = [x, layer.matrix, layer.offsets]
    yield from gradients("Row.backward_propagate", loss, [dx, *found], wrt)


@proof("plain_engine.py")
def _(m, rng):
    operators = [
        lambda a, b, c: (a + c + a) * 1.5,
        lambda a, b, c: a * c * (a * a),
        lambda a, b, c: (a @ b + a @ b) * 1.5,
        lambda a, b, c: (a.sigmoid() + a.sigmoid()) * 1.5,
    ]
    for make in operators:
        data = [rng.randn(3, 4), rng.randn(4, 2), rng.randn(1, 4)]
        nodes = [m.Tensor(x) for x in data]
        make(*nodes).backward()
        loss = lambda make=make, data=data: make(*map(m.Tensor, data)).valor.sum()
        used = [node.grad if node.grad.any() else None for node in nodes]
        wrt = [x if grad is not None else None for x, grad in zip(data, used, strict=True)]
        yield from gradients("Tensor.backward", loss, used, wrt)


@proof("plain_wrapped.py")
def _(m, rng):
    x = away(rng, 4, 5)
    soft = lambda c: c * m.soft_deriv(x)
    yield from vjp("soft_deriv", lambda: m.soft(x), soft, [x], rng)
    layer = m.Centred()
    layer._is_training = True
    forward, backward = lambda: layer.forward(x), layer.backward
    yield from vjp("Centred._backward", forward, backward, [x], rng)


@proof("plain_activation_pair.py")
def _(m, rng):
    layer, x, c = m.Dense(5, 3), rng.randn(5, 1), rng.randn(3, 1)
    loss = lambda: np.sum(c * layer.forward(x))
    loss()
    keys, before = ["weights", "bias"], [layer.weights.copy(), layer.bias.copy()]
    dx = layer.backward(c, 0.1)
    found = [(b - vars(layer)[key]) / 0.1 for key, b in zip(keys, before, strict=True)]
    layer.weights[...], layer.bias[...] = before
    yield from gradients("Dense.backward", loss, [dx, *found], [x, layer.weights, layer.bias])
    given = m.Activation(np.tanh, lambda x: 1 - np.tanh(x) ** 2)
    step = lambda c: given.backward(c, 0.1)
    yield from vjp("Activation.backward", lambda: given.forward(x), step, [x], rng)


@proof("plain_labels_outside.py")
def _(m, rng):
    scores, last = rng.randn(4, 5), m.SoftmaxClassifier((4, 5))
    last.set_batch_labels(np.array([0, 3, 1, 1]))
    loss = lambda: last.forward(scores)
    loss()
    found = [last.backward().copy()]
    yield from gradients("SoftmaxClassifier.backward", loss, found, [scores])
    layer, x = m.Rectifier(), away(rng, 4, 5)
    yield from vjp("Rectifier.backward", lambda: layer.forward(x), layer.backward, [x], rng)


@proof("plain_lists_of_weights.py")
def _(m, rng):
    """By the mean cross-entropy of its sigmoids."""
    net, X, y = m.Net([5, 4, 3]), rng.randn(6, 5), (rng.rand(6, 3) > 0.5) * 1.0
    parts = [*net.weights, *net.biases]

    def loss():
        a = net.forward(X)
        return -np.sum(y * np.log(a) + (1 - y) * np.log(1 - a)) / len(X)

    loss()
    before = [part.copy() for part in parts]
    net.backward(y, 0.2)
    found = [(old - part) / 0.2 for old, part in zip(before, parts, strict=True)]
    for old, part in zip(before, parts, strict=True):
        part[...] = old
    yield from gradients("Net.backward", loss, found, parts)


@proof("plain_one_row.py")
def _(m, rng):
    layer, x, c = m.Full(5, 3), rng.randn(1, 5), rng.randn(1, 3)
    loss = lambda: np.sum(c * layer.forward_propagation(x))
    loss()
    before = [layer.weights.copy(), layer.offset.copy()]
    dx = layer.backward_propagation(c, 0.1)
    found = [(before[0] - layer.weights) / 0.1, (before[1] - layer.offset) / 0.1]
    layer.weights[...], layer.offset[...] = before
    wrt = [x, layer.weights, layer.offset]
    yield from gradients("Full.backward_propagation", loss, [dx, *found], wrt)


@proof("plain_chain_unseen.py")
def _(m, rng):
    net, x = m.Net(), rng.randn(4, 5)
    net.layers = [Mixing(rng.randn(5, 5) / 2) for _ in range(2)]
    yield from vjp("Net.backward", lambda: net.forward(x), net.backward, [x], rng)


@proof("plain_gru_weights.py")
def _(m, rng):
    names = "xt hp Wz Wr Wh Uz Ur Uh bz br bh".split()
    shapes = [(5, 4), (3, 4), *[(3, 5)] * 3, *[(3, 3)] * 3, *[(3, 1)] * 3]
    given = dict(zip(names, [0.7 * rng.randn(*shape) for shape in shapes], strict=True))
    backward = lambda d: m.gru_cell_backward(d, m.gru_cell_forward(**given)[1])
    forward = lambda: m.gru_cell_forward(**given)[0]
    yield from vjp("gru_cell_backward", forward, backward, given.values(), rng)


@proof("plain_lstm_dict.py")
def _(m, rng):
    p = {f"W{gate}": 0.7 * rng.randn(3, 8) for gate in "figo"}
    p |= {f"b{gate}": rng.randn(3, 1) for gate in "figo"}
    x, h, c = rng.randn(5, 4), rng.randn(3, 4), rng.randn(3, 4)
    dh, dc = rng.randn(3, 4), rng.randn(3, 4)
    _, _, cache = m.lstm_forward(x, h, c, p)
    dx, dh_prev, dc_prev, grads = m.lstm_backward(dh, dc, cache, p)

    def loss():
        h_new, c_new, _ = m.lstm_forward(x, h, c, p)
        return np.sum(dh * h_new) + np.sum(dc * c_new)

    yield from gradients("lstm_backward", loss, [dx, dh_prev, dc_prev], [x, h, c])
    yield from gradients("lstm_backward", loss, [grads[key] for key in p], p.values())


@proof("plain_params_dict.py")
def _(m, rng):
    shapes = {"w_hidden": (5, 3), "b_hidden": (3,), "w_out": (3, 2), "b_out": (2,)}
    params = {key: rng.randn(*shape) for key, shape in shapes.items()}
    x = rng.randn(4, 5)
    forward = lambda: m.forward(params, x)[0]
    run = lambda d: [m.backward(params, m.forward(params, x)[1], d)[key] for key in params]
    yield from vjp("backward", forward, run, params.values(), rng)


@proof("plain_transformer.py")
def _(m, rng):
    x, w, b = rng.randn(4, 5), rng.randn(3, 5), rng.randn(3)
    run = lambda d: m.linear_backward(d, x, w)
    yield from vjp("linear_backward", lambda: m.linear_forward(x, w, b), run, [x, w, b], rng)
    x, g, s = rng.randn(2, 4, 5), rng.randn(5), rng.randn(5)
    run = lambda d: m.layernorm_backward(d, m.layernorm_forward(x, g, s)[1])
    norm = lambda: m.layernorm_forward(x, g, s)[0]
    yield from vjp("layernorm_backward", norm, run, [x, g, s], rng)
    yield from vjp("gelu_backward", lambda: m.gelu(x), lambda d: m.gelu_backward(d, x), [x], rng)
    x, ws = rng.randn(2, 4, 6), [0.5 * rng.randn(6, 6) for _ in range(4)]
    run = lambda d: m.mha_backward(d, m.mha_forward(x, *ws, 3)[1])
    yield from vjp("mha_backward", lambda: m.mha_forward(x, *ws, 3)[0], run, [x, *ws], rng)


@proof("plain_conv2d.py")
def _(m, rng):
    for stride, padding in ((1, 0), (2, 1)):
        x, w, b = rng.randn(2, 3, 6, 8), rng.randn(4, 3, 3, 2), rng.randn(4)
        run = lambda d: m.conv2d_backward(d, x, w, stride, padding)
        forward = lambda: m.conv2d(x, w, b, stride, padding)
        yield from vjp("conv2d_backward", forward, run, [x, w, b], rng)


@proof("plain_letters.py")
def _(m, rng):
    table, indices = rng.randn(7, 5), np.array([[1, 3, 1], [0, 6, 3]])
    run = lambda d: m.embedding_backward(d, m.embedding_forward(indices, table)[1])
    forward = lambda: m.embedding_forward(indices, table)[0]
    yield from vjp("embedding_backward", forward, run, [table], rng)
    arrays = rng.randn(4, 5), rng.randn(4, 3), rng.randn(5, 3, 2)
    run = lambda d: m.bilinear_backward(d, m.bilinear_forward(*arrays)[1])
    forward = lambda: m.bilinear_forward(*arrays)[0]
    yield from vjp("bilinear_backward", forward, run, arrays, rng)


@proof("plain_sequence.py")
def _(m, rng):
    shapes = (5, 3), (3, 3), (3, 2), (3,), (2,)
    params = tuple(0.7 * rng.randn(*shape) for shape in shapes)
    x, h = rng.randn(6, 4, 5), rng.randn(4, 3)
    run = lambda d: m.rnn_backward(d, m.rnn_forward(x, h, params)[1])
    forward = lambda: m.rnn_forward(x, h, params)[0]
    yield from vjp("rnn_backward", forward, run, [x, h, *params], rng)


@proof("plain_sizes.py")
def _(m, rng):
    x, w, b = rng.randn(5, 4), rng.randn(3, 5), rng.randn(3, 1)
    run = lambda d: m.dense_grad(d, x, w, b)
    yield from vjp("dense_grad", lambda: m.dense(x, w, b), run, [x, w, b], rng)
    p, t = rng.uniform(0.1, 0.9, (4, 5)), (rng.rand(4, 5) < 0.5) * 1.0
    yield from gradients("bce_prime", lambda: m.bce(p, t), [m.bce_prime(p, t)], [p])
    p, t = away(rng, 4, 5), np.zeros((4, 5))
    yield from gradients("huber_grad", lambda: m.huber(p, t, 0.95), [m.huber_grad(p, t, 0.95)], [p])
    x, g, s = rng.randn(2, 6, 3, 4), rng.randn(6), rng.randn(6)
    run = lambda d: m.group_norm_backward(d, m.group_norm(x, g, s, 3)[1])
    forward = lambda: m.group_norm(x, g, s, 3)[0]
    yield from vjp("group_norm_backward", forward, run, [x, g, s], rng)
    run = lambda d: m.upsample_backward(d, 2)
    yield from vjp("upsample_backward", lambda: m.upsample(x, 2), run, [x], rng)
    x, w, b = rng.randn(4, 5), rng.randn(5, 6), rng.randn(6)
    run = lambda d: m.maxout_backward(d, m.maxout_forward(x, w, b, 3)[1])
    yield from vjp("maxout_backward", lambda: m.maxout_forward(x, w, b, 3)[0], run, [x, w, b], rng)
    x, y = rng.randn(4, 5), rng.randn(4, 5)
    run = lambda d: m.cosine_backward(d, x, y)
    yield from vjp("cosine_backward", lambda: m.cosine(x, y), run, [x, y], rng)


@proof("plain_words.py")
def _(m, rng):
    for kind in ("sum", "mean"):
        x = rng.randn(4, 5)
        run = lambda d: m.pool_backward(d, m.pool_forward(x, kind)[1])
        yield from vjp("pool_backward", lambda: m.pool_forward(x, kind)[0], run, [x], rng)
    np.random.seed(3)
    _, stored = m.noisy_forward(x, 0.4)
    run = lambda d: m.noisy_backward(d, stored)
    yield from vjp("noisy_backward", lambda: x * stored[0] / 0.6, run, [x], rng)
    rows = np.array([0, 2, 4, 2])
    found = [m.picked_nll_grad(x, rows)]
    yield from gradients("picked_nll_grad", lambda: m.picked_nll(x, rows), found, [x])


@proof("plain_one_image.py")
def _(m, rng):
    for stride in (1, 2):
        x, w, b = rng.randn(3, 6, 8), rng.randn(4, 3, 3, 3), rng.randn(4)
        run = lambda d: m.convolve_backward(d, x, w, stride)
        forward = lambda: m.convolve(x, w, b, stride)
        yield from vjp("convolve_backward", forward, run, [x, w, b], rng)
    for f, stride in ((2, 2), (3, 1)):
        run = lambda d: m.maxpool_backward(d, x, f, stride)
        yield from vjp("maxpool_backward", lambda: m.maxpool(x, f, stride), run, [x], rng)


@proof("plain_parts.py")
def _(m, rng):
    x, g, s, running = rng.randn(4, 5), rng.randn(5), rng.randn(5), (np.zeros(5), np.ones(5))
    run = lambda d: m.normalise_backward(d, m.normalise_forward(x, g, s, running)[1])
    forward = lambda: m.normalise_forward(x, g, s, running)[0]
    yield from vjp("normalise_backward", forward, run, [x, g, s], rng)
    for stride, padding in ((1, 0), (2, 1)):
        x, w, b = rng.randn(2, 3, 6, 8), rng.randn(4, 3, 3, 3), rng.randn(4, 1)
        run = lambda d: m.filter_backward(d, m.filter_forward(x, w, b, stride, padding)[1])
        forward = lambda: m.filter_forward(x, w, b, stride, padding)[0]
        yield from vjp("filter_backward", forward, run, [x, w, b], rng)


@proof("plain_penalised_losses.py")
def _(m, rng):
    model, rows, scores = {"W1": rng.randn(5, 3)}, np.array([0, 2, 1, 2]), away(rng, 4, 3)
    for loss, gradient in ((m.cross_entropy, m.dcross_entropy), (m.hinge, m.dhinge)):
        found = [gradient(scores, rows)]
        yield from gradients(
            gradient.__name__, lambda: loss(model, scores, rows, 0.3), found, [scores]
        )


@proof("plain_layers_of_layers.py")
def _(m, rng):
    x, w, b = rng.randn(4, 2, 3), rng.randn(6, 5), rng.randn(5)
    run = lambda d: m.affine_backward(d, m.affine_forward(x, w, b)[1])
    yield from vjp("affine_backward", lambda: m.affine_forward(x, w, b)[0], run, [x, w, b], rng)
    a, g, s = rng.randn(4, 5), rng.randn(5), rng.randn(5)
    for name, param in (("batchnorm", {"mode": "train"}), ("layernorm", {})):
        there, back = getattr(m, f"{name}_forward"), getattr(m, f"{name}_backward")
        run = lambda d: back(d, there(a, g, s, param)[1])
        yield from vjp(f"{name}_backward", lambda: there(a, g, s, param)[0], run, [a, g, s], rng)
    for norm in ("batch", "layer"):
        given = x, w, b, g, s
        run = lambda d: m.block_backward(
            d, m.block_forward(*given, {"mode": "train"}, norm)[1], norm
        )
        forward = lambda: m.block_forward(*given, {"mode": "train"}, norm)[0]
        yield from vjp("block_backward", forward, run, given, rng)


@proof("plain_class_tables.py")
def _(m, rng):
    x = away(rng, 4, 5)
    for name, d_name in (("relu", "d_relu"), ("tanh", "d_tanh")):
        yield from derivative(d_name, getattr(m, name), getattr(m, d_name), x)
    for bend in ("relu", "tanh"):
        net = m.Net(5, 6, 3, bend)

        def run(d, net=net):
            dx = net.backward(d) if net.forward(x) is not None else None
            return dx, net.dW1, net.db1, net.dW2, net.db2

        wrt = [x, net.W1, net.b1, net.W2, net.b2]
        yield from vjp("Net.backward", lambda net=net: net.forward(x), run, wrt, rng)


@proof("plain_column_stacks.py")
def _(m, rng):
    layer, x = m.Dense(5, 3), rng.randn(4, 5, 1)
    weights = [layer.weights["W"], layer.weights["b"]]

    def run(d):
        found = layer.backward(x, d)
        return found["x"], found["W"], found["b"]

    yield from vjp("Dense.backward", lambda: layer.forward(x), run, [x, *weights], rng)


@proof("plain_lists_of_layers.py")
def _(m, rng):
    weights, biases = [rng.randn(5, 6), rng.randn(6, 3)], [rng.randn(6), rng.randn(3)]
    x = rng.randn(4, 5)

    def run(d):
        dW, db, dx = m.backward(d, m.forward(x, weights, biases)[1], weights, biases)
        return *dW, *db, dx

    forward = lambda: m.forward(x, weights, biases)[0]
    yield from vjp("backward", forward, run, [*weights, *biases, x], rng)


@proof("plain_numbered.py")
def _(m, rng):
    shapes = {"W1": (6, 5), "b1": (6, 1), "W2": (3, 6), "b2": (3, 1)}
    parameters = {key: rng.randn(*shape) for key, shape in shapes.items()}
    x = rng.randn(5, 4)

    def run(d):
        grads = m.model_backward(d, m.model_forward(x, parameters)[1], parameters)
        return [grads[f"d{key}"] for key in parameters]

    forward = lambda: m.model_forward(x, parameters)[0]
    yield from vjp("model_backward", forward, run, parameters.values(), rng)


@proof("plain_list_items.py")
def _(m, rng):
    params = [rng.randn(5, 6), rng.randn(6), rng.randn(6, 3), rng.randn(3)]
    x, y = rng.randn(4, 5), rng.randn(4, 3)
    found = m.grad_fn(params, x, y)
    yield from gradients("grad_fn", lambda: m.loss_fn(params, x, y), found, params)


@proof("plain_input_again.py")
def _(m, rng):
    for name in ("Relu", "LeakyRelu"):
        layer, x = getattr(m, name)(), rng.randn(4, 5)
        loss = lambda layer=layer, x=x: np.sum(layer.forward(x))
        yield from gradients(f"{name}.backward", loss, [layer.backward(x)], [x])
    layer, x, c = m.Tanh(), rng.randn(4, 5), rng.randn(4, 5)
    layer.forward(x)
    loss = lambda: np.sum(c * layer.forward(x))
    yield from gradients("Tanh.backward", loss, [layer.backward(c)], [x])


@proof("plain_one_output.py")
def _(m, rng):
    label, out = (rng.rand(5, 1) > 0.5) * 1.0, rng.rand(5, 1) * 0.8 + 0.1
    for name in ("SquaredError", "BinaryCrossEntropy"):
        loss = lambda name=name: getattr(m, name)().forward(label, out)
        found = [getattr(m, name)().backward(label, out)]
        yield from gradients(f"{name}.backward", loss, found, [out])


@proof("cs231n_annotated.py")
def _(m, rng):
    x, w, b = rng.randn(3, 5), rng.randn(5, 4), rng.randn(4)
    yield from layer(m, rng, "affine", x, w, b)
    yield from layer(m, rng, "relu", away(rng, 3, 5))
    yield from layer(m, rng, "affine_relu", x, w, b)


@proof("cs231n_bias_row.py")
def _(m, rng):
    yield from layer(m, rng, "affine", rng.randn(3, 2, 5), rng.randn(10, 4), rng.randn(1, 4))


@proof("plain_losses_before_softmax.py")
def _(m, rng):
    """The loss's by the scores before a softmax."""
    z, labels = rng.randn(4, 3), rng.randint(0, 3, 4)

    def loss():
        p = np.exp(z)
        one = m.NLL()
        return one.forward(p / p.sum(axis=1, keepdims=True), labels), one

    yield from gradients("NLL.backward", lambda: loss()[0], [loss()[1].backward()], [z])


@proof("plain_unnamed_results.py")
def _(m, rng):
    for stem in ("add", "multiply"):
        yield from layer(m, rng, stem, rng.randn(3, 4), rng.randn(3, 4))
    yield from layer(m, rng, "affine", rng.randn(3, 5), rng.randn(5, 4), rng.randn(4))


@proof("classifier_filters.py")
def _(m, rng):
    X, y = rng.randn(6, 5), rng.randint(0, 3, 6)
    net = m.Stack(5, (4, 6, 3))
    yield from of_network("Stack.loss", net, rng, X, y)


@proof("classes_modes.py")
def _(m, rng):
    for mode, training in (("train", True), ("test", False)):
        norm, x, c = m.Norm(4), rng.randn(5, 4), rng.randn(5, 4)
        norm.mode = mode
        norm.forward(x)
        found = norm.backward(c)
        running = norm.running_mean, norm.running_var

        def loss(norm=norm, x=x, c=c, running=running):
            norm.running_mean, norm.running_var = running
            return np.sum(c * norm.forward(x))

        yield from gradients("Norm.backward", loss, [found], [x])
        drop = m.Dropout()
        drop.training = training

        def value(drop=drop, x=x):
            np.random.seed(0)
            return drop.forward(x)

        yield from vjp("Dropout.backward", value, lambda g, d=drop: d.backward(g), [x], rng)


@proof("plain_tokens.py")
def _(m, rng):
    logits, targets = rng.randn(2, 3, 4, 5), rng.randint(0, 5, (2, 3, 4))
    one = m.CrossEntropyLoss()
    one.forward(logits, targets)
    found = [one.backward()]
    loss = lambda: m.CrossEntropyLoss().forward(logits, targets)
    yield from gradients("CrossEntropyLoss.backward", loss, found, [logits])


@proof("classes_collects.py")
def _(m, rng):
    class Square:
        def forward(self, x):
            self.x = x
            return x**2

        def backward(self, g):
            return 2 * self.x * g

    class Sine(Square):
        def forward(self, x):
            self.x = x
            return np.sin(x)

        def backward(self, g):
            return g * np.cos(self.x)

    net, x = m.Sequential([Square(), Sine()]), rng.randn(3, 4)
    yield from vjp("Sequential.backward", lambda: net.forward(x), net.backward, [x], rng)


@proof("octave_ones_column.py")
def _(m, rng):
    theta, X = rng.randn(4), np.column_stack([np.ones(6), rng.randn(6, 3)])
    y = (rng.rand(6, 1) > 0.5) * 1.0
    found = [m.cost_function_reg(theta, X, y, 0.7)[1]]
    loss = lambda: m.cost_function_reg(theta, X, y, 0.7)[0]
    yield from gradients("cost_function_reg", loss, found, [theta])


@proof("octave_labels_from_one.py")
def _(m, rng):
    params, X, y = 0.3 * rng.randn(5 * 4 + 3 * 6), rng.randn(6, 3), np.arange(6)[:, None] % 3 + 1
    arguments = (params, 3, 5, 3, X, y, 0.7)
    found = [m.nn_cost_function(*arguments)[1]]
    loss = lambda: m.nn_cost_function(*arguments)[0]
    yield from gradients("nn_cost_function", loss, found, [params])


@proof("layers_shaped_later.py")
def _(m, rng):
    layer, x = m.Dense(4), rng.randn(5, 2, 3)
    layer.output_shape(x.shape)

    def back(g):
        dx = layer.backward(g)
        return [layer.w_gradient, layer.b_gradient, dx]

    wrt = [layer.weights, layer.bias, x]
    yield from vjp("Dense.backward", lambda: layer.forward(x), back, wrt, rng)
    first, second = m.Dense(4), m.Dense(2)
    first.output_shape(x.shape)
    second.output_shape((5, 4))
    net = m.Net([first, second])
    yield from vjp("Net.backward", lambda: net.forward(x), net.backward, [x], rng)


@proof("layers_strided.py")
def _(m, rng):
    layer, x = m.Conv2D(4, 2), rng.randn(2, 5, 6, 3)
    layer.build(x.shape)

    def back(g):
        dx = layer.backward(g)
        return [layer.w_gradient, dx]

    wrt = [layer.weights, x]
    yield from vjp("Conv2D.backward", lambda: layer.forward(x), back, wrt, rng)


@proof("plain_leaking_relu.py")
def _(m, rng):
    x = rng.randn(4, 5)
    yield from vjp("relu_prime", lambda: m.relu(x), lambda g: g * m.relu_prime(x), [x], rng)
    values, labels = rng.randn(5), np.eye(5)[2]
    found = [m.derivative_cross_entropy(values, labels)]
    loss = lambda: m.cross_entropy(m.softmax(values), labels)
    yield from gradients("derivative_cross_entropy", loss, found, [values])


@proof("blocks_of_layers.py")
def _(m, rng):
    x = rng.randn(2, 3, 4)
    linear, relu, block = m.Linear(4, 5), m.Relu(), m.FeedForward(4)

    def back(g):
        dx = linear.backward(g)
        return [linear.grads["dW"], linear.grads["db"], dx]

    wrt = [linear.params["W"], linear.params["b"], x]
    yield from vjp("Linear.backward", lambda: linear(x), back, wrt, rng)
    yield from vjp("Relu.backward", lambda: relu(x), relu.backward, [x], rng)
    yield from vjp("FeedForward.backward", lambda: block.forward(x), block.backward, [x], rng)


@proof("blocks_residual.py")
def _(m, rng):
    class Square:
        def __call__(self, x):
            self.x = x
            return x**2

        def backward(self, g):
            return 2 * self.x * g

    block, x = m.Residual(Square()), rng.randn(3, 4)
    yield from vjp("Residual.backward", lambda: block.forward(x), block.backward, [x], rng)


@proof("classes_method_list.py")
def _(m, rng):
    x = rng.randn(3, 4)
    for method in m.Activator._methods:
        layer = m.Activator(method)
        yield from vjp("Activator.backward", lambda a=layer: a.forward(x), layer.backward, [x], rng)


@proof("plain_slopes_of_output.py")
def _(m, rng):
    x = away(rng, 4, 5)
    for g, slope_of in (
        (m.sigmoid, m.d_sigmoid),
        (m.elu, m.elu_derivative),
        (m.tanh, m.deriv_tanh),
    ):
        back = lambda c, g=g, s=slope_of: c * s(g(x))
        yield from vjp(slope_of.__name__, lambda g=g: g(x), back, [x], rng)


@proof("classes_slopes.py")
def _(m, rng):
    x = rng.randn(4, 5)
    sigmoid, tanh, soft = m.Sigmoid(), m.Tanh(), m.SoftPlus()
    cases = (
        ("Sigmoid.derivative", sigmoid.forward, lambda: sigmoid.derivative(sigmoid.forward(x))),
        ("Tanh.gradient", tanh, lambda: tanh.gradient(x)),
        ("Cube.derivative", m.Cube.activate, lambda: m.Cube.derivative(x)),
        ("SoftPlus.deriv", soft.fn, lambda: soft.deriv(soft.fn(x))),
    )
    for name, forward, slope_at in cases:
        yield from vjp(name, lambda f=forward: f(x), lambda c, s=slope_at: c * s(), [x], rng)


@proof("classes_prime_of_output_gradient.py")
def _(m, rng):
    x = rng.randn(4, 5)
    for layer in (m.Logistic(), m.Square()):
        name = type(layer).__name__
        slope_at = lambda c, a=layer: c * a.activation_prime(x)
        yield from vjp(f"{name}.activation_prime", lambda a=layer: a(x), slope_at, [x], rng)
    layer = m.Logistic()
    yield from vjp("Activation.backward", lambda: layer.forward(x), layer.backward, [x], rng)


@proof("layers_connected_later.py")
def _(m, rng):
    x = rng.randn(4, 5)
    for name, layer in (("Linear", m.Linear(3, 5)), ("Scaled", m.Scaled(0.7, n_out=3, n_in=5))):
        layer.connect_to()

        def back(g, layer=layer):
            dx = layer.backward(g)
            return [layer.dW, layer.db, dx]

        wrt = [layer.W, layer.b, x]
        yield from vjp(f"{name}.backward", lambda a=layer: a.forward(x), back, wrt, rng)
    pool, images = m.MeanPooling((2, 3)), rng.randn(2, 3, 5, 7)
    yield from vjp(
        "MeanPooling.backward", lambda: pool.forward(images), pool.backward, [images], rng
    )


@proof("oreilly_backword.py")
def _(m, rng):
    layer, x, y = m.MulLayer(), rng.randn(3), rng.randn(3)
    yield from vjp("MulLayer.backword", lambda: layer.forward(x, y), layer.backword, [x, y], rng)


@proof("classes_loss_of_rows.py")
def _(m, rng):
    scores, labels, loss = rng.randn(4, 3), np.eye(3)[[0, 2, 1, 0]], m.SoftmaxCrossEntropy()
    softmax = lambda: np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    found = [loss.backward(softmax(), labels) / 4]
    value = lambda: loss.forward(softmax(), labels)
    yield from gradients("SoftmaxCrossEntropy.backward", value, found, [scores])


@proof("oreilly_weight_decay.py")
def _(m, rng):
    x, t = rng.randn(4, 5), np.eye(3)[[0, 2, 1, 0]]
    affine, last = m.Affine(rng.randn(5, 3), rng.randn(3)), m.SoftmaxWithLoss()

    def back(g):
        dx = affine.backward(g)
        return [affine.dW, affine.db, dx]

    wrt = [affine.W, affine.b, x]
    yield from vjp("Affine.backward", lambda: affine.forward(x), back, wrt, rng)
    with mock.patch.object(m, "cross_entropy_error", lambda y, t: -np.sum(t * np.log(y)) / len(y)):
        scores = rng.randn(4, 3)
        last.forward(scores, t)
        loss = lambda: last.forward(scores, t)
        yield from gradients("SoftmaxWithLoss.backward", loss, [last.backward()], [scores])
        net = m.OneLayerNet(5, 3, 0.7)
        found, loss = net.gradient(x, t), lambda: net.loss(x, t)
        wrt = [net.params["W1"], net.params["b1"]]
        yield from gradients("OneLayerNet.gradient", loss, [found["W1"], found["b1"]], wrt)


@proof("layers_of_any_axes.py")
def _(m, rng):
    for x in (rng.randn(4, 5), rng.randn(2, 3, 5)):
        layer = m.Linear(5, 3)

        def back(g, layer=layer):
            dx = layer.backward(g)
            return [layer.dW, layer.db, dx]

        wrt = [layer.W, layer.b, x]
        yield from vjp("Linear.backward", lambda a=layer, x=x: a.forward(x), back, wrt, rng)
    places, x = m.Positions(6, 5), rng.randn(2, 3, 5)

    def back(g):
        dx = places.backward(g)
        return [places.dW, dx]

    wrt = [places.W, x]
    yield from vjp("Positions.backward", lambda: places.forward(x), back, wrt, rng)


@proof("plain_guarded.py")
def _(m, rng):
    y, p = (rng.rand(4, 3) > 0.5).astype(float), rng.uniform(0.1, 0.9, (4, 3))
    found = [m.binary_cross_entropy_prime(y, p)]
    loss = lambda: m.binary_cross_entropy(y, p, small=0)
    yield from gradients("binary_cross_entropy_prime", loss, found, [p])


@proof("oreilly_lstm.py")
def _(m, rng):
    Wx, Wh, b = rng.randn(5, 12), rng.randn(3, 12), rng.randn(12)
    x, h, c = rng.randn(4, 5), rng.randn(4, 3), rng.randn(4, 3)
    step = m.LSTM(Wx, Wh, b)
    dh, dc = rng.randn(4, 3), rng.randn(4, 3)

    def loss():
        h_next, c_next = step.forward(x, h, c)
        return np.sum(h_next * dh) + np.sum(c_next * dc)

    loss()
    found = [*step.backward(dh, dc), *step.grads]
    yield from gradients("LSTM.backward", loss, found, [x, h, c, Wx, Wh, b])
    xs, times = rng.randn(2, 4, 5), m.TimeLSTM(Wx, Wh, b)
    back = lambda g: [times.backward(g), *times.grads]
    yield from vjp("TimeLSTM.backward", lambda: times.forward(xs), back, [xs, Wx, Wh, b], rng)


@proof("oreilly_time_rnn_of_steps.py")
def _(m, rng):
    Wx, Wh = rng.randn(5, 3), rng.randn(3, 3)
    x, h, step = rng.randn(4, 5), rng.randn(4, 3), m.RNN(Wx, Wh)
    back = lambda g: [*step.backward(g), step.dWx, step.dWh]
    yield from vjp("RNN.backward", lambda: step.forward(x, h), back, [x, h, Wx, Wh], rng)
    xs, times = rng.randn(2, 4, 5), m.TimeRNN(Wx, Wh)
    back = lambda g: [times.backward(g), times.dWx, times.dWh]
    yield from vjp("TimeRNN.backward", lambda: times.forward(xs), back, [xs, Wx, Wh], rng)


@proof("classes_compute_gradient.py")
def _(m, rng):
    x, tanh, linear = rng.randn(4, 5), m.Tanh(), m.Linear(5, 3)
    name = "compute_backward_gradient"
    yield from vjp(f"Tanh.{name}", lambda: tanh(x), tanh.compute_backward_gradient, [x], rng)
    linear.weights, linear.bias = rng.randn(3, 5), rng.randn(3)

    def back(g):
        dx = linear.compute_backward_gradient(g)
        return [dx, linear.gradient_weights, linear.gradient_bias]

    wrt = [x, linear.weights, linear.bias]
    yield from vjp(f"Linear.{name}", lambda: linear(x), back, wrt, rng)
    loss = lambda: m.Cube.evaluate(x).sum()
    yield from gradients("Cube.derivative", loss, [m.Cube.derivative(x)], [x])


@proof("layers_cupy.py")
def _(m, rng):
    x, W, b = rng.randn(4, 5), rng.randn(5, 3), rng.randn(3)
    affine = m.Affine(W, b)
    back = lambda g: [affine.backward(g), *affine.grads]
    yield from vjp("Affine.backward", lambda: affine.forward(x), back, [x, W, b], rng)
    table, idx = m.Embedding(W), np.array([1, 3, 1, 0])

    def rows(g):
        table.backward(g)
        return table.grads

    yield from vjp("Embedding.backward", lambda: table.forward(idx), rows, [W], rng)


@proof("plain_compiled.py")
def _(m, rng):
    x = rng.randn(4, 5)
    back = lambda g: m.swish_backward(g, x)
    yield from vjp("swish_backward", lambda: m.swish_forward(x), back, [x], rng)


@proof("classes_softmax_handed_on.py")
def _(m, rng):
    x, y, softmax = rng.randn(4, 3), np.eye(3)[[0, 2, 1, 0]], m.Softmax()
    loss = lambda: -np.sum(y * np.log(softmax.forward(x)))
    yield from gradients("Softmax.backward", loss, [softmax.backward(softmax.forward(x) - y)], [x])


@proof("oreilly_language_model.py")
def _(m, rng):
    labels = np.array([[0, 2, 1], [3, 1, 1]])
    with mock.patch.object(m.np, "empty", lambda shape, dtype=None: np.zeros(shape)):
        net = m.Rnnlm(5, 4, 3)
        for layer in net.layers:
            layer.params = [rng.randn(*p.shape) for p in layer.params]
            layer.grads = [np.zeros(p.shape) for p in layer.params]
        embedding, times, affine = net.layers
        idx = labels[:, 0]
        back = lambda g: (embedding.backward(g), embedding.grads)[1]
        forward = lambda: embedding.forward(idx)
        yield from vjp("Embedding.backward", forward, back, embedding.params, rng)
        x, h, step = rng.randn(2, 4), rng.randn(2, 3), m.Step(*times.params)
        step.grads = [np.zeros(p.shape) for p in step.params]
        back = lambda g: [*step.backward(g), *step.grads]
        yield from vjp("Step.backward", lambda: step.forward(x, h), back, [x, h, *step.params], rng)
        xs = rng.randn(2, 3, 4)
        back = lambda g: [times.backward(g), *times.grads]
        forward = lambda: times.forward(xs)
        yield from vjp("TimeRNN.backward", forward, back, [xs, *times.params], rng)
        hs = rng.randn(2, 3, 3)
        back = lambda g: [affine.backward(g), *affine.grads]
        forward = lambda: affine.forward(hs)
        yield from vjp("Affine.backward", forward, back, [hs, *affine.params], rng)
        scores, last = rng.randn(2, 3, 5), net.loss_layer
        value = lambda: last.forward(scores, labels)
        value()
        yield from gradients("TimeSoftmaxWithLoss.backward", value, [last.backward()], [scores])
        loss = lambda: net.forward(labels, labels[:, ::-1])
        loss()
        net.backward()
        found = [grad.copy() for layer in net.layers for grad in layer.grads]
        wrt = [param for layer in net.layers for param in layer.params]
        yield from gradients("Rnnlm.backward", loss, found, wrt)


@proof("oreilly_shared_weights.py")
def _(m, rng):
    x, layer, net = rng.randn(4, 5), m.MatMul(rng.randn(5, 3)), m.Cbow(5, 3)
    back = lambda g: [layer.backward(g), *layer.grads]
    yield from vjp("MatMul.backward", lambda: layer.forward(x), back, [x, *layer.params], rng)
    contexts = rng.randn(4, 2, 5)

    def sums(g):
        net.backward(g)
        return [net.grads[0] + net.grads[1], net.grads[2]]

    wrt = [net.params[0], net.params[2]]
    yield from vjp("Cbow.backward", lambda: net.forward(contexts), sums, wrt, rng)


@proof("layers_norm_of_deviation.py")
def _(m, rng):
    x, norm = rng.randn(4, 5), m.LayerNorm(0.0)
    yield from vjp("LayerNorm.backward", lambda: norm.forward(x), norm.backward, [x], rng)
