"""Layers and fused kernels with their backward passes, right and wrong, in every precision.

A forward pass is written once, for real and complex arrays of any type: the oracle differentiates
it by the complex step. A backward pass takes the name of the step that is to be wrong. In 16 bits
both compute in float32 and round what they are given and what they return.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import scipy.special

Arrays = dict[str, np.ndarray]
Backward = Callable[..., Sequence[Any]]


@dataclass(frozen=True, eq=False)
class Kernel:
    """A forward pass, its backward pass with the steps that may be wrong, and the same in JAX."""

    forward: Callable[..., np.ndarray]
    backward: Callable[..., Sequence[Any]]
    mirror: Callable[..., Any]
    args: Mapping[str, tuple[int, ...]]
    mistakes: Sequence[str]


@dataclass(frozen=True, eq=False)
class KernelCase:
    """A backward pass under test at some arguments, and the loss <cotangent, forward(args)>.

    `right` is the backward pass without the mistake, `exactly` the forward pass without rounding,
    `unit` the spacing of numbers at 1 in the type that it computes in. `smooth` is False where the
    kernel has no derivative at the arguments, so that no oracle can judge.
    """

    kind: str
    place: str
    group: str
    params: Arrays
    cotangent: np.ndarray
    forward: Callable[..., np.ndarray]
    backward: Backward
    right: Backward
    exactly: Callable[..., np.ndarray]
    by_jax: Callable[..., Any]
    planted: bool
    unit: float
    smooth: bool = True

    @property
    def name(self) -> str:
        return f"{self.kind} ({self.place})"

    def loss(self, params: Mapping[str, np.ndarray]) -> np.float64:
        out = np.asarray(self.forward(*self.in_order(params)), np.float64)
        return np.vdot(self.cotangent.astype(float), out)

    def grads(self, params: Mapping[str, np.ndarray]) -> Arrays:
        args = self.in_order(params)
        found = self.backward(self.cotangent.copy(), *args)
        return named(dict(zip(self.params, args, strict=True)), found)

    def mirror(self, params: Mapping[str, Any]) -> Any:
        return jnp.vdot(self.cotangent, self.by_jax(*self.in_order(params)))

    def in_order(self, params: Mapping[str, Any]) -> list[Any]:
        """Return the arguments as the functions take them: JAX sorts the keys of a dict."""
        return [params[name] for name in self.params]


def named(params: Mapping[str, np.ndarray], found: Sequence[Any]) -> Arrays:
    """Return one gradient an argument, in their order, where None is 0."""
    return {
        k: np.zeros_like(x) if g is None else g
        for (k, x), g in zip(params.items(), found, strict=True)
    }


def _softmax(z):
    e = np.exp(z - z.real.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


def layer_norm(x, w, b):
    d = x - x.mean(-1, keepdims=True)
    return d / np.sqrt((d * d).mean(-1, keepdims=True) + 1e-5) * w + b


def layer_norm_backward(c, x, w, b, wrong=""):
    d = x - x.mean(-1, keepdims=True)
    r = 1 / np.sqrt((d * d).mean(-1, keepdims=True) + 1e-5)
    y, h = d * r, c * w
    mean = 0 if wrong == "mean term forgotten" else h.mean(-1, keepdims=True)
    slope = 0 if wrong == "variance term forgotten" else y * (h * y).mean(-1, keepdims=True)
    dw = c if wrong == "input forgotten in dw" else c * y
    return (h - mean - slope) * r, dw.sum(0), c.sum(0)


def rms_norm(x, w):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * w


def rms_norm_backward(c, x, w, wrong=""):
    r = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)
    y, h = x * r, c * w
    total = (h * y).sum(-1, keepdims=True)
    part = 0 if wrong == "norm taken as constant" else y * total / x.shape[-1]
    if wrong == "sum for mean":
        part = y * total
    return (h - part) * r, (c * y).sum(0)


def _angles(x, xp=np):
    rows, half = x.shape[0], x.shape[1] // 2
    angle = np.arange(rows)[:, None] / 10.0 ** (np.arange(half) / half)
    return xp.cos(angle).astype(x.dtype), xp.sin(angle).astype(x.dtype)


def rotary(x, xp=np):
    cos, sin = _angles(x, xp)
    one, two = x[:, ::2], x[:, 1::2]
    return xp.concatenate([one * cos - two * sin, one * sin + two * cos], -1)


def rotary_backward(c, x, wrong=""):
    cos, sin = _angles(x)
    if wrong == "angle not negated":
        sin = -sin
    one, two = np.split(c, 2, -1)
    dx = np.empty_like(x)
    dx[:, ::2], dx[:, 1::2] = one * cos + two * sin, two * cos - one * sin
    return (dx,)


def attention(q, k, v):
    return _softmax(q @ k.T / q.shape[1] ** 0.5) @ v


def attention_backward(c, q, k, v, wrong=""):
    scale = q.shape[1] ** 0.5
    P = _softmax(q @ k.T / scale)
    dP = c @ v.T
    total = 0 if wrong == "row sum forgotten" else (dP * P).sum(-1, keepdims=True)
    dS = P * (dP - total) / (1 if wrong == "scale forgotten" else scale)
    dk = dS @ q if wrong == "dk not transposed" else dS.T @ q
    return dS @ k, dk, P.T @ c


LABELS = np.array([0, 2, 1, 3, 1])


def cross_entropy(z):
    shifted = z - z.real.max(-1, keepdims=True)
    return np.log(np.exp(shifted).sum(-1)) - shifted[np.arange(len(z)), LABELS]


def cross_entropy_backward(c, z, wrong=""):
    dz = _softmax(z)
    if wrong != "label not subtracted":
        dz[np.arange(len(z)), LABELS] -= 1
    return (dz * (c.mean() if wrong == "cotangent averaged" else c[:, None]),)


def _erf(z):
    if not np.iscomplexobj(z):
        return scipy.special.erf(z)
    # To first order in the imaginary part, which is all that the complex step has.
    slope = 2 / np.sqrt(np.longdouble(np.pi)) * np.exp(-(z.real**2))
    return scipy.special.erf(z.real.astype(float)) + 1j * z.imag * slope


def gelu(x):
    return x * (1 + _erf(x / 2**0.5)) / 2


def gelu_backward(c, x, wrong=""):
    density = 0 if wrong == "density forgotten" else np.exp(-x * x / 2) / (2 * np.pi) ** 0.5
    if wrong == "derivative of the other GELU":
        return gelu_tanh_backward(c, x)
    return (c * ((1 + _erf(x / 2**0.5)) / 2 + x * density),)


def gelu_tanh(x):
    return x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))) / 2


def gelu_tanh_backward(c, x, wrong=""):
    t = np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))
    cube = 0.044715 if wrong == "factor of the cube forgotten" else 3 * 0.044715
    slope = (2 / np.pi) ** 0.5 * (1 + cube * x * x)
    return (c * ((1 + t) / 2 + x * (1 - t * t) * slope / 2),)


def _windows(x, width, xp=np):
    return xp.stack([x[:, i : x.shape[1] - width + 1 + i] for i in range(width)], -1)


def convolution(x, w):
    return np.einsum("itk,oik->ot", _windows(x, w.shape[2]), w)


def convolution_backward(c, x, w, wrong=""):
    width = w.shape[2]
    dw = np.einsum("ot,itk->oik", c, _windows(x, width))
    padded = np.pad(c, ((0, 0), (width - 1, width - 1)))
    flipped = w if wrong == "kernel not flipped" else w[:, :, ::-1]
    if wrong == "padding on one side":
        padded = np.pad(c, ((0, 0), (2 * width - 2, 0)))
    return np.einsum("otk,oik->it", _windows(padded, width), flipped), dw


def lstm(x, h, s, W, b, xp=np):
    gates = xp.concatenate([x, h], -1) @ W + b
    i, f, o, g = (gates[:, k * s.shape[1] : (k + 1) * s.shape[1]] for k in range(4))
    new = _gate(f, xp) * s + _gate(i, xp) * xp.tanh(g)
    return xp.concatenate([_gate(o, xp) * xp.tanh(new), new], -1)


def _gate(z, xp):
    return 1 / (1 + xp.exp(-z))


def lstm_backward(c, x, h, s, W, b, wrong=""):
    joined = np.concatenate([x, h], -1)
    i, f, o, g = np.split(joined @ W + b, 4, -1)
    i, f, o, g = _sigmoid(i), _sigmoid(f), _sigmoid(o), np.tanh(g)
    new = f * s + i * g
    t = np.tanh(new)
    dh, dnew = np.split(c, 2, -1)
    dnew = dnew + dh * o * (1 if wrong == "tanh of the state taken as linear" else 1 - t * t)
    if wrong == "cotangent of the state ignored":
        dnew = dh * o * (1 - t * t)
    df = dnew * (new if wrong == "new state in the forget gate" else s) * f * (1 - f)
    dz = np.concatenate(
        [dnew * g * i * (1 - i), df, dh * t * o * (1 - o), dnew * i * (1 - g * g)], -1
    )
    back = dz @ W.T
    return back[:, : x.shape[1]], back[:, x.shape[1] :], dnew * f, joined.T @ dz, dz.sum(0)


def _jax_layer_norm(x, w, b):
    d = x - x.mean(-1, keepdims=True)
    return d / jnp.sqrt((d * d).mean(-1, keepdims=True) + 1e-5) * w + b


KERNELS = {
    "layer norm": Kernel(
        layer_norm, layer_norm_backward, _jax_layer_norm, {"x": (4, 8), "w": (8,), "b": (8,)},
        ("mean term forgotten", "variance term forgotten", "input forgotten in dw"),
    ),
    "RMS norm": Kernel(
        rms_norm, rms_norm_backward,
        lambda x, w: x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * w,
        {"x": (4, 8), "w": (8,)}, ("norm taken as constant", "sum for mean"),
    ),
    "rotary": Kernel(
        rotary, rotary_backward, lambda x: rotary(x, jnp), {"x": (4, 6)}, ("angle not negated",)
    ),
    "attention": Kernel(
        attention, attention_backward,
        lambda q, k, v: jax.nn.softmax(q @ k.T / q.shape[1] ** 0.5) @ v,
        {"q": (5, 4), "k": (5, 4), "v": (5, 4)},
        ("row sum forgotten", "scale forgotten", "dk not transposed"),
    ),
    "softmax cross-entropy": Kernel(
        cross_entropy, cross_entropy_backward,
        lambda z: -jax.nn.log_softmax(z)[np.arange(len(z)), LABELS], {"z": (5, 4)},
        ("label not subtracted", "cotangent averaged"),
    ),
    "GELU": Kernel(
        gelu, gelu_backward, lambda x: jax.nn.gelu(x, approximate=False), {"x": (3, 5)},
        ("density forgotten", "derivative of the other GELU"),
    ),
    "GELU by tanh": Kernel(
        gelu_tanh, gelu_tanh_backward, jax.nn.gelu, {"x": (3, 5)},
        ("factor of the cube forgotten",),
    ),
    "convolution": Kernel(
        convolution, convolution_backward,
        lambda x, w: jnp.einsum("itk,oik->ot", _windows(x, w.shape[2], jnp), w),
        {"x": (2, 10), "w": (3, 2, 3)}, ("kernel not flipped", "padding on one side"),
    ),
    "LSTM cell": Kernel(
        lstm, lstm_backward, lambda *args: lstm(*args, jnp),
        {"x": (3, 2), "h": (3, 3), "s": (3, 3), "W": (5, 12), "b": (12,)},
        (
            "tanh of the state taken as linear", "cotangent of the state ignored",
            "new state in the forget gate",
        ),
    ),
}  # fmt: skip


def _one_entry(by: float) -> Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]:
    """Put the largest entry of the first gradient off."""

    def change(found):
        first = np.array(found[0])
        first.reshape(-1)[np.argmax(np.abs(first))] *= by
        return [first, *found[1:]]

    return change


CHANGES: dict[str, Callable[[Sequence[np.ndarray]], Sequence[Any]]] = {
    "zeroed": lambda found: [0 * found[0], *found[1:]],
    "doubled": lambda found: [2 * found[0], *found[1:]],
    "negated": lambda found: [-found[0], *found[1:]],
    "times 1.1": lambda found: [found[0] * np.asarray(1.1, found[0].dtype), *found[1:]],
    "largest entry zeroed": _one_entry(0.0),
    "largest entry off by a fifth": _one_entry(0.8),
    "None for the last argument": lambda found: [*found[:-1], None],
}
"""What may be done to the gradients of any kernel."""


def _as_is(function):
    return function


def _rounded(dtype):
    """Compute in float32, and round what comes in and what goes out."""

    def change(function):
        def narrow(*arrays):
            native = arrays[-1].dtype
            if native.itemsize > 4:
                return function(*arrays)
            rounded = [x.astype(dtype).astype(np.float32) for x in arrays]
            found = function(*rounded)
            if isinstance(found, (tuple, list)):
                return [g.astype(dtype).astype(native) for g in found]
            return found.astype(dtype).astype(native)

        return narrow

    return change


def _always_rounded(dtype):
    """Do so whatever the type of the arguments: there is no float64 forward."""

    def change(function):
        narrow = _rounded(dtype)(function)

        def always(*arrays):
            native = arrays[-1].dtype
            found = narrow(*(x.astype(np.float32) for x in arrays))
            if isinstance(found, (tuple, list)):
                return [g.astype(native) for g in found]
            return found.astype(native)

        return always

    return change


BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
SETTINGS = {
    "float64": ("kernels, float64", np.float64, 1.0, _as_is, 2.0**-52),
    "float32": ("kernels, float32", np.float32, 1.0, _as_is, 2.0**-23),
    "float32 at 1e-3": ("kernels, float32", np.float32, 1e-3, _as_is, 2.0**-23),
    "float32 at 1e-6": ("kernels, float32", np.float32, 1e-6, _as_is, 2.0**-23),
    "float16": ("kernels, 16 bits", np.float16, 1.0, _rounded(np.float16), 2.0**-10),
    "bfloat16": ("kernels, 16 bits", BFLOAT16, 1.0, _rounded(BFLOAT16), 2.0**-7),
    "bfloat16 inside float32": (
        "kernels, 16 bits", np.float32, 1.0, _rounded(BFLOAT16), 2.0**-7,
    ),
    "float16 inside": (
        "kernels, 16 bits forward", np.float32, 1.0, _always_rounded(np.float16), 2.0**-10,
    ),
    "bfloat16 inside": (
        "kernels, 16 bits forward", np.float32, 1.0, _always_rounded(BFLOAT16), 2.0**-7,
    ),
}  # fmt: skip
"""A group, the type of the arguments, the size of the cotangent, the arithmetic and its unit.

In the last two nothing is ever computed in more than 16 bits; in the others a float64 call is.
"""


def smooth() -> Iterator[KernelCase]:
    """Return every kernel in every setting: right, with its mistakes, and changed."""
    for number, name in enumerate(KERNELS):
        for setting in SETTINGS:
            yield from _in_setting(name, setting, np.random.default_rng([300, number]))


def _in_setting(name: str, setting: str, rng: np.random.Generator) -> Iterator[KernelCase]:
    kernel, (group, dtype, size, arithmetic, unit) = KERNELS[name], SETTINGS[setting]
    params = {k: _drawn(k, shape, rng).astype(dtype) for k, shape in kernel.args.items()}
    out = kernel.forward(*(x.astype(float) for x in params.values()))
    cotangent = (size * rng.standard_normal(out.shape)).astype(dtype)
    right = arithmetic(kernel.backward)
    case = KernelCase(
        "right", f"{name}, {setting}", group, params, cotangent, arithmetic(kernel.forward),
        right, right, kernel.forward, kernel.mirror, False, unit,
    )  # fmt: skip
    yield case
    for mistake in kernel.mistakes:
        wrong = arithmetic(partial(kernel.backward, wrong=mistake))
        yield replace(case, kind=mistake, backward=wrong, planted=True)
    for kind, change in CHANGES.items():
        if not kind.startswith("None") or len(params) > 1:
            yield replace(case, kind=kind, backward=_changed(right, change), planted=True)


def _drawn(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    drawn = rng.standard_normal(shape)
    return 1 + drawn / 4 if name == "w" and len(shape) == 1 else drawn


def _changed(backward: Backward, change) -> Backward:
    return lambda *arrays: change(backward(*arrays))


def kinks() -> Iterator[KernelCase]:
    """Return kernels taken where they have no derivative, under every convention, and none."""
    rng = np.random.default_rng(301)
    whole = {k: np.round(2 * rng.standard_normal(s)) for k, s in {"x": (3, 4), "w": (4, 3)}.items()}
    whole["x"][0] = 0
    tied = {"x": np.repeat(np.round(rng.standard_normal((4, 3)), 1), 2, axis=1)}
    zeros = {"x": np.where(rng.random((3, 5)) < 0.4, 0.0, rng.standard_normal((3, 5)))}
    edges = {"x": rng.choice([-1.0, -0.3, 0.4, 1.0], (3, 5))}
    for at_zero, planted in ((0.0, False), (0.5, False), (1.0, False), (5.0, True)):
        yield _kink(
            f"relu'(0) = {at_zero:g}", "relu at whole numbers", whole, planted,
            lambda x, w: np.maximum(x @ w, 0),
            _relu_backward(at_zero), lambda x, w: jax.nn.relu(x @ w), rng,
        )  # fmt: skip
    for share, planted in ((1.0, False), (0.5, False), (0.0, False), (2.0, True)):
        yield _kink(
            f"{share:g} of a tie to the first", "maximum of ties", tied, planted,
            lambda x: x.reshape(4, 3, 2).max(-1), _tie_backward(share),
            lambda x: x.reshape(4, 3, 2).max(-1), rng,
        )  # fmt: skip
    for at_zero, planted in ((0.0, False), (1.0, False), (-1.0, False), (3.0, True)):
        yield _kink(
            f"slope {at_zero:g} at 0", "absolute values", zeros, planted, np.abs,
            lambda c, x, s=at_zero: (c * np.where(x == 0, s, np.sign(x)),), jnp.abs, rng,
        )  # fmt: skip
    for at_edge, planted in ((0.0, False), (1.0, False), (-2.0, True)):
        yield _kink(
            f"slope {at_edge:g} at the bounds", "clip", edges, planted,
            lambda x: np.clip(x, -1, 1),
            lambda c, x, s=at_edge: (c * np.where(np.abs(x) == 1, s, np.abs(x) < 1),),
            lambda x: jnp.clip(x, -1, 1), rng,
        )  # fmt: skip


def _kink(kind, place, params, planted, forward, backward, by_jax, rng) -> KernelCase:
    cotangent = rng.standard_normal(forward(*params.values()).shape)
    return KernelCase(
        kind, place, "kinks and ties", params, cotangent, forward, backward, backward, forward,
        by_jax, planted, 2.0**-52, smooth=False,
    )  # fmt: skip


def _relu_backward(at_zero: float) -> Backward:
    def backward(c, x, w):
        z = x @ w
        dz = c * np.where(z == 0, at_zero, z > 0)
        return dz @ w.T, x.T @ dz

    return backward


def _tie_backward(share: float) -> Backward:
    def backward(c, x):
        pairs = x.reshape(4, 3, 2)
        tied = pairs[..., 0] == pairs[..., 1]
        first = np.where(tied, share, pairs[..., 0] > pairs[..., 1])
        second = np.where(tied & (share > 1), 1, 1 - first)
        return (np.stack([c * first, c * second], -1).reshape(x.shape),)

    return backward
