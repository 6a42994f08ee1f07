"""`check` on functions of JAX with rules of their own, right and wrong. Needs no PyTorch."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from verify import check

PRECISIONS = [jnp.float64, jnp.float32, jnp.bfloat16]


def wide(x):
    """Return an array in float32 where it is narrower, as fused kernels do."""
    return x.astype(jnp.float32) if x.dtype.itemsize == 2 else x


def layer_norm(mistake=""):
    @jax.custom_vjp
    def fused(x, w):
        return saved(x, w)[0]

    def saved(x, w):
        a = wide(x)
        centred = a - a.mean(-1, keepdims=True)
        r = jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return (centred * r * w).astype(x.dtype), (centred * r, r, w)

    def backward(kept, dy):
        u, r, w = kept
        g = dy * w
        mean = 0 if mistake == "forgets the mean" else g.mean(-1, keepdims=True)
        dw = (dy * u).mean(0) if mistake == "averages dw" else (dy * u).sum(0)
        dx = r * (g - mean - u * (g * u).mean(-1, keepdims=True))
        return dx.astype(w.dtype), dw.astype(w.dtype)

    fused.defvjp(saved, backward)
    return fused


def plain_layer_norm(x, w):
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5) * w


def softplus(mistake=""):
    @jax.custom_jvp
    def fused(x):
        return jnp.logaddexp(x, 0)

    @fused.defjvp
    def tangent(primals, tangents):
        (x,), (t,) = primals, tangents
        slope = jax.nn.sigmoid(x)
        return fused(x), t * (slope * (1 - slope) if mistake == "differentiates twice" else slope)

    return fused


def cross_entropy(mistake=""):
    @jax.custom_vjp
    def fused(z, y):
        return saved(z, y)[0]

    def saved(z, y):
        logs = jax.nn.log_softmax(z)
        return -jnp.take_along_axis(logs, y[:, None], 1)[:, 0], (logs, y)

    def backward(kept, dy):
        logs, y = kept
        g = jnp.exp(logs) - jax.nn.one_hot(y, logs.shape[1], dtype=logs.dtype)
        scale = dy[:1] if mistake == "takes the first cotangent" else dy
        return (g * scale[:, None]).astype(logs.dtype), None

    fused.defvjp(saved, backward)
    return fused


def plain_cross_entropy(z, y):
    return jax.nn.logsumexp(z, 1) - z[jnp.arange(len(y)), y]


def embedding(mistake=""):
    @jax.custom_vjp
    def fused(table, ids):
        return table[ids]

    def backward(kept, dy):
        shape, ids = kept
        at = jnp.zeros(shape, dy.dtype).at[ids]
        return (at.set(dy) if mistake == "keeps the last of repeated rows" else at.add(dy)), None

    fused.defvjp(lambda table, ids: (table[ids], (table.shape, ids)), backward)
    return fused


def rotary(mistake=""):
    cos, sin = np.cos(np.arange(4.0))[:, None], np.sin(np.arange(4.0))[:, None]

    def turn(x, sign):
        left, right = jnp.split(x, 2, -1)
        turned = jnp.concatenate([-right, left], -1)
        return (x * cos + sign * turned * sin).astype(x.dtype)

    fused = jax.custom_vjp(lambda x: turn(x, 1))
    sign = 1 if mistake == "turns the wrong way" else -1
    fused.defvjp(lambda x: (turn(x, 1), None), lambda _, dy: (turn(dy, sign),))
    return fused


def plain_rotary(x):
    return rotary().__wrapped__(x)


def draw(*shapes):
    return [np.random.default_rng(k).standard_normal(shape) for k, shape in enumerate(shapes)]


IDS = np.array([0, 3, 3, 1])
RULES = {
    "layer norm": (layer_norm, plain_layer_norm, draw((4, 6), (6,)), ["forgets the mean"]),
    "softplus": (softplus, jax.nn.softplus, draw((7,)), ["differentiates twice"]),
    "cross-entropy": (
        cross_entropy, plain_cross_entropy, [*draw((4, 5)), IDS], ["takes the first cotangent"],
    ),
    "embedding": (
        embedding, lambda t, i: t[i], [*draw((5, 3)), IDS], ["keeps the last of repeated rows"],
    ),
    "rotary": (rotary, plain_rotary, draw((4, 6)), ["turns the wrong way"]),
}  # fmt: skip


def arguments(name, dtype):
    with jax.enable_x64(True):
        return [jnp.asarray(x, dtype if x.dtype == float else x.dtype) for x in RULES[name][2]]


EACH_PRECISION = [
    PRECISIONS[0],
    *(pytest.param(dtype, marks=pytest.mark.slow) for dtype in PRECISIONS[1:]),
]


@pytest.mark.parametrize("dtype", EACH_PRECISION)
@pytest.mark.parametrize("name", RULES)
def test_a_right_rule_agrees_in_every_precision(name, dtype):
    make, plain, *_ = RULES[name]
    report = check(make(), arguments(name, dtype), plain)
    assert report.ok, str(report)
    assert report.settings["framework"] == "JAX"


@pytest.mark.parametrize("dtype", EACH_PRECISION)
@pytest.mark.parametrize(
    ("name", "mistake"), [(name, m) for name, (*_, mistakes) in RULES.items() for m in mistakes]
)
def test_a_wrong_rule_is_caught_in_every_precision(name, mistake, dtype):
    make, plain, *_ = RULES[name]
    report = check(make(mistake), arguments(name, dtype), plain)
    assert report.verdict == "disagree", str(report)


def test_without_a_reference_differences_alone_decide():
    args = arguments("layer norm", jnp.float32)
    assert check(layer_norm(), args).ok
    assert check(jax.jit(layer_norm("averages dw")), args).verdict == "disagree"


def test_arrays_of_numpy_keys_and_static_arguments_are_taken():
    def function(key, x, power):
        assert isinstance(power, int)
        return x**power * jax.random.bernoulli(key, 0.5, x.shape)

    (x,) = draw((5,))
    report = check(function, (jax.random.key(0), np.asfortranarray(x), 3))
    assert report.ok, str(report)
    assert [tensor.name for tensor in report.tensors] == ["x"]


def test_pythons_own_control_flow_is_not_compiled():
    report = check(lambda x: jnp.sin(x) if x[0] > 0 else jnp.cos(x), (jnp.array([0.3, 1.0]),))
    assert report.ok


@pytest.mark.slow
def test_forward_mode_and_second_order_are_checked():
    args = arguments("softplus", jnp.float64)
    report = check(softplus(), args, order=2, modes=("reverse", "forward"))
    assert report.ok, str(report)
    assert report.remarks == (
        "The derivative in forward mode and The gradient's own gradient agree.",
    )

    @jax.custom_vjp
    def once(x):
        return jnp.sin(x)

    once.defvjp(lambda x: (jnp.sin(x), x), lambda x, dy: (dy * jax.lax.stop_gradient(jnp.cos(x)),))
    assert check(once, args).ok
    assert check(once, args, order=2).verdict == "disagree"


def test_a_function_that_jax_cannot_differentiate_is_named():
    with pytest.raises(ValueError, match=r"function: JAX cannot differentiate it .* check_vjp"):
        check(lambda x: np.asarray(x) ** 2, (np.ones(3),))


def test_neither_import_loads_pytorch_and_no_check_of_a_jax_function_does():
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, numpy as np, backproof, jax.numpy as jnp; assert 'jax' in sys.modules;"
            "assert backproof.check(jnp.sin, (jnp.array([0.3, 1.0]),)).ok;"
            "assert backproof.check_vjp(np.sin, lambda d, x: d * np.cos(x), np.ones(2)).ok;"
            "assert 'torch' not in sys.modules",
        ],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
