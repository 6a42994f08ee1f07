"""What `check_vjp` costs beside torch.autograd.gradcheck in its slow mode, on the same function.

Not in the default run: `pytest tests/benchmarks/test_kernel_speed.py -s -n0 --noconftest`, as the
tests' own conftest has annotations enforced, which takes time. One process, one thread, warm; the
least processor time of several runs, as a busy machine can only add to it. Both compare the whole
Jacobian; ours has an error bar for each entry. Ratios are printed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from verify import check_vjp

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.unchecked

REPETITIONS = 5
TILE = 4


def draw(*shapes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    return tuple(np.random.default_rng(k).standard_normal(s) for k, s in enumerate(shapes))


def softmax(scores):
    terms = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return terms / terms.sum(axis=-1, keepdims=True)


def attention(q, k, v):
    return softmax(q @ k.T / math.sqrt(q.shape[1])) @ v


def attention_backward(dy, q, k, v):
    weights = softmax(q @ k.T / math.sqrt(q.shape[1]))
    dweights = dy @ v.T
    dscores = weights * (dweights - (weights * dweights).sum(axis=-1, keepdims=True))
    dscores /= math.sqrt(q.shape[1])
    return dscores @ k, dscores.T @ q, weights.T @ dy


def attention_torch(q, k, v):
    return torch.softmax(q @ k.T / math.sqrt(q.shape[1]), -1) @ v


def tiled(q, k, v):
    """Attention by tiles of queries and keys, with a running maximum and sum."""
    rows = []
    for i in range(0, len(q), TILE):
        largest = np.full((len(q[i : i + TILE]), 1), -np.inf)
        total, output = np.zeros_like(largest), np.zeros((len(largest), v.shape[1]))
        for j in range(0, len(k), TILE):
            scores = q[i : i + TILE] @ k[j : j + TILE].T / math.sqrt(q.shape[1])
            now = np.maximum(largest, scores.max(axis=1, keepdims=True))
            terms, shrunk = np.exp(scores - now), np.exp(largest - now)
            total = shrunk * total + terms.sum(axis=1, keepdims=True)
            output = shrunk * output + terms @ v[j : j + TILE]
            largest = now
        rows.append(output / total)
    return np.concatenate(rows)


def tiled_torch(q, k, v):
    rows = []
    for i in range(0, len(q), TILE):
        largest = torch.full((len(q[i : i + TILE]), 1), -torch.inf, dtype=q.dtype)
        total = torch.zeros_like(largest)
        output = torch.zeros(len(largest), v.shape[1], dtype=q.dtype)
        for j in range(0, len(k), TILE):
            scores = q[i : i + TILE] @ k[j : j + TILE].T / math.sqrt(q.shape[1])
            now = torch.maximum(largest, scores.max(1, keepdim=True).values)
            terms, shrunk = torch.exp(scores - now), torch.exp(largest - now)
            total = shrunk * total + terms.sum(1, keepdim=True)
            output = shrunk * output + terms @ v[j : j + TILE]
            largest = now
        rows.append(output / total)
    return torch.cat(rows)


def normal(x, eps=1e-5):
    centred = x - x.mean(axis=-1, keepdims=True)
    inverse = 1 / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    return centred * inverse, inverse


CUBIC, SLOPE = 0.044715, math.sqrt(2 / math.pi)


def norm_gelu(x, weight, bias):
    z = normal(x)[0] * weight + bias
    return z / 2 * (1 + np.tanh(SLOPE * (z + CUBIC * z**3)))


def norm_gelu_backward(dy, x, weight, bias):
    unit, inverse = normal(x)
    z = unit * weight + bias
    bent = np.tanh(SLOPE * (z + CUBIC * z**3))
    dz = dy * ((1 + bent) / 2 + z / 2 * (1 - bent**2) * SLOPE * (1 + 3 * CUBIC * z**2))
    dunit = dz * weight
    mean, along = dunit.mean(axis=-1, keepdims=True), (dunit * unit).mean(axis=-1, keepdims=True)
    return inverse * (dunit - mean - unit * along), (dz * unit).sum(axis=0), dz.sum(axis=0)


def norm_gelu_torch(x, weight, bias):
    z = torch.nn.functional.layer_norm(x, (x.shape[-1],), weight, bias)
    return torch.nn.functional.gelu(z, approximate="tanh")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def gates(x, h, W, b):
    i, f, g, o = np.split(np.concatenate([x, h], axis=1) @ W + b, 4, axis=1)
    return sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)


def lstm(x, h, c, W, b):
    i, f, g, o = gates(x, h, W, b)
    cell = f * c + i * g
    return o * np.tanh(cell), cell


def lstm_backward(cotangent, x, h, c, W, b):
    dh, dcell = cotangent
    i, f, g, o = gates(x, h, W, b)
    bent = np.tanh(f * c + i * g)
    dcell = dcell + dh * o * (1 - bent**2)
    dz = (dcell * g * i * (1 - i), dcell * c * f * (1 - f))
    dz = np.concatenate([*dz, dcell * i * (1 - g**2), dh * bent * o * (1 - o)], axis=1)
    dinput = dz @ W.T
    width = x.shape[1]
    dW = np.concatenate([x, h], axis=1).T @ dz
    return dinput[:, :width], dinput[:, width:], dcell * f, dW, dz.sum(axis=0)


def lstm_torch(x, h, c, W, b):
    i, f, g, o = (torch.cat([x, h], 1) @ W + b).chunk(4, 1)
    cell = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


SEQUENCES = ((13, 8), (13, 8), (13, 8))
CASES = {
    "attention": (attention, attention_backward, attention_torch, SEQUENCES),
    "tiled attention": (tiled, attention_backward, tiled_torch, SEQUENCES),
    "layer norm with GELU": (
        norm_gelu,
        norm_gelu_backward,
        norm_gelu_torch,
        ((6, 16), (16,), (16,)),
    ),
    "LSTM cell": (lstm, lstm_backward, lstm_torch, ((3, 4), (3, 5), (3, 5), (9, 20), (20,))),
}


def least_seconds(work: Callable[[], Any]) -> float:
    taken = []
    for _ in range(REPETITIONS + 1):  # the first warms up
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken[1:])


def a_little_off(backward):
    def wrong(*arguments):
        first, *others = backward(*arguments)
        return first * 1.001, *others

    return wrong


@pytest.mark.parametrize("name", CASES)
def test_the_whole_jacobian_costs_about_what_gradcheck_does(name):
    forward, backward, in_torch, shapes = CASES[name]
    torch.set_num_threads(1)
    args = draw(*shapes)
    tensors = tuple(torch.tensor(x, requires_grad=True) for x in args)
    peer = least_seconds(lambda: torch.autograd.gradcheck(in_torch, tensors))
    for verdict, pullback in {"agree": backward, "disagree": a_little_off(backward)}.items():
        report = check_vjp(forward, pullback, args)
        assert report.verdict == verdict, str(report)
        assert all(t.entries_checked == math.prod(t.shape) for t in report.tensors)
        ours = least_seconds(lambda pullback=pullback: check_vjp(forward, pullback, args))
        calls = report.settings["evaluations"]
        print(
            f"\n{name}, {verdict}: {1e3 * ours:.0f} ms, {calls} forwards; "
            f"gradcheck {1e3 * peer:.0f} ms; {ours / peer:.2f} of it",
            end="",
        )
