"""The course's helper modules, written anew, for files that come without them.

The modules that the course hands out with its exercises (`dnn_utils`, `dnn_app_utils`,
`init_utils`, `reg_utils`, `gc_utils`, `opt_utils`, `planar_utils`, and the older and newer
numbers of each) are known by what their functions take and return; here are functions that
take and return the same. Those with nothing to differentiate (`lr_utils`, `testCases`,
`public_tests`) can be imported and are empty.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from verify.activations import ACTIVATIONS
from verify.homework.run.namespace import Helpers
from verify.homework.run.substitute_modules import Hollow, filled
from verify.homework.textbook import image_modules
from verify.homework.textbook.problems import M

Array = np.ndarray
Arrays = Mapping[str, Any]

_HELPER = re.compile(
    r"^(?:(?P<with>dnn|dnn_app|init|reg|gc|planar|opt)_utils|"
    r"(?P<without>lr_utils|testCases?|test_?cases?|public_tests?|test_utils|outputs|"
    r"assertions?))(?:_?v?\d+\w?)*$",
    re.IGNORECASE,
)


def module(name: str) -> Hollow | None:
    """Return our version of a helper module of a course, or None if no course has such."""
    if name == "im2col_cython":
        return filled(name, dict(image_modules.FUNCTIONS))
    found = _HELPER.match(name)
    return None if found is None else filled(name, MODULES.get((found["with"] or "").lower(), {}))


def lookup(name: str, unpacked: bool) -> Callable[..., Any] | None:
    """Return the course's function of this name; sigmoid and relu as pairs if it is unpacked."""
    for kind in ("dnn_app", "gc", "reg", "init") if unpacked else ("reg", "init", "dnn_app", "gc"):
        if name in MODULES[kind] and not (unpacked and kind != "dnn_app"):
            return MODULES[kind][name]
    return None


def sigmoid(Z: Array) -> Any:
    """Return 1 / (1 + e^-Z)."""
    return 1 / (1 + np.exp(-Z))


def relu(Z: Array) -> Any:
    """Return max(0, Z)."""
    return np.maximum(0, Z)


def softmax(Z: Array) -> Any:
    """Return the softmax of every column."""
    e = np.exp(Z - np.max(Z, axis=0, keepdims=True))
    return e / np.sum(e, axis=0, keepdims=True)


def _with_cache(g: Callable[..., Any]) -> Callable[..., Any]:
    """Return an activation as the course has it: it returns A, and Z as its cache."""
    return lambda Z: (g(Z), Z)


def _backward(slope: Callable[..., Any]) -> Callable[..., Any]:
    """Return the backward of an activation as the course has it: Z is the cache."""
    return lambda dA, cache: dA * slope(cache)


FORWARDS = {
    **{name: _with_cache(row.value) for name, row in ACTIVATIONS.items()},
    "softmax": _with_cache(softmax),
}
"""What returns A and Z, by the name of the activation."""

BACKWARDS = {f"{name}_backward": _backward(row.slope) for name, row in ACTIVATIONS.items()}
"""What returns dZ of dA and Z, by the name of the activation with `_backward`."""

_SAID = {said: name for name, row in ACTIVATIONS.items() for said in row.names}
"""Every activation by what an argument `activation` says."""


def linear_forward(A: Array, W: Array, b: Array) -> tuple[Array, Any]:
    """Return W A + b, and (A, W, b) as its cache."""
    return np.dot(W, A) + b, (A, W, b)


def linear_backward(dZ: Array, cache: Any) -> tuple[Array, Array, Array]:
    """Return dA_prev, dW, db."""
    A_prev, W, _ = cache
    m = A_prev.shape[1]
    return np.dot(W.T, dZ), np.dot(dZ, A_prev.T) / m, np.sum(dZ, axis=1, keepdims=True) / m


def linear_activation_forward(
    A_prev: Array, W: Array, b: Array, activation: str
) -> tuple[Array, Any]:
    """Return g(W A_prev + b), and the linear and the activation's cache."""
    Z, linear_cache = linear_forward(A_prev, W, b)
    A, activation_cache = FORWARDS[_SAID[activation]](Z)
    return A, (linear_cache, activation_cache)


def linear_activation_backward(
    dA: Array, cache: Any, activation: str
) -> tuple[Array, Array, Array]:
    """Return dA_prev, dW, db."""
    linear_cache, activation_cache = cache
    dZ = BACKWARDS[f"{_SAID[activation]}_backward"](dA, activation_cache)
    return linear_backward(dZ, linear_cache)


def L_model_forward(X: Array, parameters: Arrays) -> tuple[Array, list[Any]]:
    """Return AL and one cache a layer: relu in hidden layers, sigmoid at the output."""
    A, caches = X, []
    L = len(parameters) // 2
    for layer in range(1, L + 1):
        W, b = parameters[f"W{layer}"], parameters[f"b{layer}"]
        A, cache = linear_activation_forward(A, W, b, "relu" if layer < L else "sigmoid")
        caches.append(cache)
    return A, caches


def L_model_backward(AL: Array, Y: Array, caches: Any) -> Arrays:
    """Return the gradients by name, dA(l-1) being that of what layer l reads."""
    L = len(caches)
    dA = -(Y / AL) + (1 - Y) / (1 - AL)
    grads = {}
    for layer in range(L, 0, -1):
        activation = "sigmoid" if layer == L else "relu"
        dA, dW, db = linear_activation_backward(dA, caches[layer - 1], activation)
        grads.update({f"dA{layer - 1}": dA, f"dW{layer}": dW, f"db{layer}": db})
    return grads


def compute_cost(AL: Array, Y: Array) -> Any:
    """Return the mean cross-entropy."""
    m = Y.shape[1]
    return np.squeeze(-np.sum(Y * np.log(AL) + (1 - Y) * np.log(1 - AL)) / m)


def compute_cost_quietly(AL: Array, Y: Array) -> Any:
    """Return the mean cross-entropy of the examples for which it is a number."""
    m = Y.shape[1]
    return np.nansum(-Y * np.log(AL) - (1 - Y) * np.log(1 - AL)) / m


def compute_cost_with_regularization(AL: Array, Y: Array, parameters: Arrays, lambd: float) -> Any:
    """Return the mean cross-entropy plus the penalty."""
    return compute_cost_quietly(AL, Y) + penalty(parameters, lambd, Y.shape[1])


def penalty(parameters: Arrays, lambd: float, m: int) -> Any:
    """Return lambd / (2 m) times the sum of squared weights."""
    weights = (value for name, value in parameters.items() if name.startswith("W"))
    return lambd / (2 * m) * sum(np.sum(np.square(W)) for W in weights)


def forward_propagation(X: Array, parameters: Arrays) -> tuple[Array, Any]:
    """Return A3 of three layers (relu, relu, sigmoid), and a tuple Z, A, W, b of each."""
    A: Any = X
    cache: tuple[Any, ...] = ()
    for layer in (1, 2, 3):
        W, b = parameters[f"W{layer}"], parameters[f"b{layer}"]
        Z = np.dot(W, A) + b
        A = sigmoid(Z) if layer == 3 else relu(Z)
        cache += (Z, A, W, b)
    return A, cache


def backward_propagation(X: Array, Y: Array, cache: Any) -> Arrays:
    """Return the gradients of three layers by name."""
    return backward_propagation_with_regularization(X, Y, cache, 0)


def backward_propagation_with_regularization(
    X: Array, Y: Array, cache: Any, lambd: float
) -> Arrays:
    """Return the gradients of three layers by name, with the penalty's share of dW."""
    m = X.shape[1]
    A_prevs = (X, cache[1], cache[5])
    dZ = cache[9] - Y
    grads = {}
    for layer in (3, 2, 1):
        W = cache[4 * layer - 2]
        dW = np.dot(dZ, A_prevs[layer - 1].T) / m + lambd / m * W
        db = np.sum(dZ, axis=1, keepdims=True) / m
        grads.update({f"dZ{layer}": dZ, f"dW{layer}": dW, f"db{layer}": db})
        if layer > 1:
            dA = np.dot(W.T, dZ)
            dZ = np.where(A_prevs[layer - 1] > 0, dA, 0)
            grads[f"dA{layer - 1}"] = dA
    return grads


def forward_propagation_tanh(X: Array, parameters: Arrays) -> tuple[Array, Arrays]:
    """Return A2 of two layers (tanh, sigmoid), and a dict of Z and A of each."""
    Z1 = np.dot(parameters["W1"], X) + parameters["b1"]
    A1 = np.tanh(Z1)
    Z2 = np.dot(parameters["W2"], A1) + parameters["b2"]
    A2 = sigmoid(Z2)
    return A2, {"Z1": Z1, "A1": A1, "Z2": Z2, "A2": A2}


def forward_propagation_n(X: Array, Y: Array, parameters: Arrays) -> tuple[Any, Any]:
    """Return the cost of three layers, and the tuple of `forward_propagation`."""
    A3, cache = forward_propagation(X, parameters)
    return compute_cost(A3, Y), cache


def forward_propagation_with_dropout(
    X: Array, parameters: Arrays, keep_prob: float = 0.5
) -> tuple[Array, Any]:
    """Return A3 of three layers with dropout, and a tuple Z, D, A, W, b of each."""
    rng = np.random.RandomState(1)
    A: Any = X
    cache: tuple[Any, ...] = ()
    for layer in (1, 2, 3):
        W, b = parameters[f"W{layer}"], parameters[f"b{layer}"]
        Z = np.dot(W, A) + b
        if layer == 3:
            A = sigmoid(Z)
            return A, (*cache, Z, A, W, b)
        D = rng.rand(*Z.shape) < keep_prob
        A = relu(Z) * D / keep_prob
        cache += (Z, D, A, W, b)
    raise AssertionError


def dictionary_to_vector(parameters: Arrays) -> tuple[Array, list[str]]:
    """Return all parameters of three layers in one column, and the name of each entry."""
    names = [f"{kind}{layer}" for layer in (1, 2, 3) for kind in "Wb"]
    columns = [np.reshape(parameters[name], (-1, 1)) for name in names]
    keys = [name for name in names for _ in range(np.size(parameters[name]))]
    return np.concatenate(columns, axis=0), keys


def vector_to_dictionary(theta: Array) -> Arrays:
    """Return the parameters of a network of 4, 5, 3 and 1 units from one column."""
    return _unpack(theta, (4, 5, 3, 1))


def gradients_to_vector(gradients: Arrays) -> Array:
    """Return all gradients of three layers in one column."""
    names = [f"d{kind}{layer}" for layer in (1, 2, 3) for kind in "Wb"]
    return np.concatenate([np.reshape(gradients[name], (-1, 1)) for name in names], axis=0)


def _unpack(theta: Array, sizes: Sequence[int]) -> Arrays:
    parameters, at = {}, 0
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(sizes), start=1):
        for name, shape in ((f"W{layer}", (n_out, n_in)), (f"b{layer}", (n_out, 1))):
            size = shape[0] * shape[1]
            parameters[name] = np.reshape(theta[at : at + size], shape)
            at += size
    return parameters


def update_parameters(parameters: Arrays, grads: Arrays, learning_rate: float) -> Arrays:
    """Return the parameters after one step of gradient descent."""
    return {name: value - learning_rate * grads[f"d{name}"] for name, value in parameters.items()}


def initialize_parameters(*sizes: Any) -> Arrays:
    """Return small random weights and zero biases, for the layer sizes given."""
    sizes = tuple(sizes[0]) if len(sizes) == 1 and not np.isscalar(sizes[0]) else sizes
    rng = np.random.RandomState(3)
    parameters: dict[str, Any] = {}
    for layer in range(1, len(sizes)):
        n_in, n_out = sizes[layer - 1], sizes[layer]
        parameters[f"W{layer}"] = rng.randn(n_out, n_in) / np.sqrt(n_in)
        parameters[f"b{layer}"] = np.zeros((n_out, 1))
    return parameters


def _by_name(*functions: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    return {function.__name__: function for function in functions}


_COURSE_1 = {
    "sigmoid": FORWARDS["sigmoid"],
    "relu": FORWARDS["relu"],
    "sigmoid_backward": BACKWARDS["sigmoid_backward"],
    "relu_backward": BACKWARDS["relu_backward"],
    "initialize_parameters_deep": initialize_parameters,
    **_by_name(initialize_parameters, linear_forward, linear_activation_forward, L_model_forward),
    **_by_name(compute_cost, linear_backward, linear_activation_backward, L_model_backward),
    **_by_name(update_parameters),
}
_COURSE_2 = {
    **_by_name(sigmoid, relu, forward_propagation, backward_propagation),
    **_by_name(initialize_parameters, update_parameters),
}

MODULES: dict[str, dict[str, Callable[..., Any]]] = {
    "dnn": FORWARDS | BACKWARDS,
    "dnn_app": _COURSE_1,
    "init": _COURSE_2 | {"compute_loss": compute_cost_quietly},
    "reg": _COURSE_2 | {"compute_cost": compute_cost_quietly},
    "opt": _COURSE_2 | {"compute_cost": compute_cost_quietly},
    "gc": _by_name(sigmoid, relu, dictionary_to_vector, vector_to_dictionary, gradients_to_vector),
    "planar": _by_name(sigmoid),
}
"""What each helper module defines."""

HELPERS = Helpers(module, lookup, M)
"""The course's helpers, as a workspace takes them."""
