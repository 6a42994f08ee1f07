"""Fused kernels of PyTorch, right and with planted mistakes, each beside the same written plainly.

A kernel is an autograd.Function of `forward(*args)`, which returns what it computes and what it
saves, and `backward(mistake, saved, *cotangents)`. In 16 bits both compute in float32 and round
what they return, as fused kernels do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F


@dataclass(frozen=True, eq=False)
class Kernel:
    """Both passes, the same written plainly, its arguments, and what may be wrong."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    plain: Callable[..., Any]
    args: Callable[[torch.dtype], Sequence[Any]]
    mistakes: Sequence[str]
    constants: Sequence[int] = ()

    def rule(self, mistake: str = "") -> type[torch.autograd.Function]:
        """Return the autograd.Function with a mistake, or without."""
        kernel = self

        class Fused(torch.autograd.Function):
            @staticmethod
            def forward(ctx, *args):
                out, ctx.kept = kernel.forward(*args)
                ctx.dtypes = [getattr(x, "dtype", None) for x in args]
                return out

            @staticmethod
            def backward(ctx, *cotangents):
                found = kernel.backward(mistake, ctx.kept, *map(wide, cotangents))
                return tuple(
                    g if g is None else g.to(dtype)
                    for g, dtype in zip(found, ctx.dtypes, strict=True)
                )

        return Fused

    def twice_differentiable(self) -> type[torch.autograd.Function]:
        """Return the right autograd.Function, which saves its arguments and computes all anew.

        `rule` saves what forward computed, of which no second derivative knows whence it came.
        """
        kernel = self

        class Recomputed(torch.autograd.Function):
            @staticmethod
            def forward(ctx, *args):
                ctx.save_for_backward(*args)
                return kernel.forward(*args)[0]

            @staticmethod
            def backward(ctx, *cotangents):
                args = ctx.saved_tensors
                found = kernel.backward("", kernel.forward(*args)[1], *map(wide, cotangents))
                return tuple(
                    g if g is None else g.to(x.dtype) for g, x in zip(found, args, strict=True)
                )

        return Recomputed


def wide(x: torch.Tensor) -> torch.Tensor:
    """Return a tensor in float32 where it is narrower."""
    return x.float() if x.itemsize == 2 else x


def as_if_contiguous(x: torch.Tensor) -> torch.Tensor:
    """Return what a kernel reads that takes a tensor's memory for contiguous."""
    whole = x.untyped_storage().nbytes() >= x.numel() * x.itemsize
    return torch.as_strided(x, x.shape, torch.empty(x.shape).stride()) if whole else x


def drawn(*shapes: tuple[int, ...]) -> Callable[[torch.dtype], Sequence[Any]]:
    def args(dtype: torch.dtype) -> Sequence[Any]:
        return [
            torch.randn(
                shape,
                generator=torch.Generator("cpu").manual_seed(k),
                dtype=torch.float64,
                device="cpu",
            ).to(torch.get_default_device(), dtype)
            for k, shape in enumerate(shapes)
        ]

    return args


def layer_norm(x, w, b):
    a = wide(x)
    centred = a - a.mean(-1, keepdim=True)
    r = torch.rsqrt((centred**2).mean(-1, keepdim=True) + 1e-5)
    return (centred * r * wide(w) + wide(b)).to(x.dtype), (centred * r, r, wide(w))


def layer_norm_backward(mistake, saved, dy):
    u, r, w = saved
    dy = as_if_contiguous(dy) if mistake == "ignores strides" else dy
    g = dy * w
    mean = 0 if mistake == "forgets the mean" else g.mean(-1, keepdim=True)
    return r * (g - mean - u * (g * u).mean(-1, keepdim=True)), (dy * u).sum(0), dy.sum(0)


def rms_norm(x, w):
    a = wide(x)
    r = torch.rsqrt((a * a).mean(-1, keepdim=True) + 1e-6)
    return (a * r * wide(w)).to(x.dtype), (a * r, r, wide(w))


def rms_norm_backward(mistake, saved, dy):
    u, r, w = saved
    g = dy * w
    dw = {"returns None": None, "averages dw": (dy * u).mean(0)}.get(mistake, (dy * u).sum(0))
    return r * (g - u * (g * u).mean(-1, keepdim=True)), dw


CUBIC, SLOPE = 0.044715, math.sqrt(2 / math.pi)


def gelu(x):
    a = wide(x)
    return (a / 2 * (1 + torch.tanh(SLOPE * (a + CUBIC * a**3)))).to(x.dtype), (a,)


def gelu_backward(mistake, saved, dy):
    (a,) = saved
    dy = as_if_contiguous(dy) if mistake == "ignores strides" else dy
    bent = torch.tanh(SLOPE * (a + CUBIC * a**3))
    power = 1 if mistake == "forgets the three" else 3
    inner = SLOPE * (1 + power * CUBIC * a**2)
    return (dy * ((1 + bent) / 2 + a / 2 * (1 - bent**2) * inner),)


def turned(x):
    left, right = x.chunk(2, -1)
    return torch.cat([-right, left], -1)


def rotary(x, cos, sin):
    return (wide(x) * wide(cos) + turned(wide(x)) * wide(sin)).to(x.dtype), (wide(cos), wide(sin))


def rotary_backward(mistake, saved, dy):
    cos, sin = saved
    sign = 1 if mistake == "turns the wrong way" else -1
    dx = dy * cos + sign * turned(dy * sin)
    if mistake == "leaves out the last row":
        dx[-1] = 0
    return dx, None, None


TILE = 4


def tiled_attention(q, k, v):
    a, b, c = wide(q), wide(k), wide(v)
    scale = 1 / math.sqrt(a.shape[1])
    rows, sums = [], []
    for i in range(0, len(a), TILE):
        largest = torch.full((len(a[i : i + TILE]), 1), -torch.inf, dtype=a.dtype)
        total, output = torch.zeros_like(largest), torch.zeros(len(largest), c.shape[1]).to(a)
        for j in range(0, len(b), TILE):
            scores = a[i : i + TILE] @ b[j : j + TILE].T * scale
            now = torch.maximum(largest, scores.max(1, keepdim=True).values)
            terms, shrunk = torch.exp(scores - now), torch.exp(largest - now)
            total = shrunk * total + terms.sum(1, keepdim=True)
            output, largest = shrunk * output + terms @ c[j : j + TILE], now
        rows.append(output / total)
        sums.append(largest + torch.log(total))
    return torch.cat(rows).to(q.dtype), (a, b, c, torch.cat(rows), torch.cat(sums))


def tiled_attention_backward(mistake, saved, dy):
    q, k, v, out, sums = saved
    scale = 1 / math.sqrt(q.shape[1])
    delta = (dy * out).sum(-1, keepdim=True)
    dq, dk, dv = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
    last = len(k) - TILE if mistake == "leaves out the last tile" else len(k)
    for j in range(0, last, TILE):
        part = slice(j, j + TILE)
        p = torch.exp(q @ k[part].T * scale - sums)
        ds = p * (dy @ v[part].T - delta)
        dv[part] = p.T @ dy
        dq += ds @ k[part] * scale
        dk[part] = ds.T @ q * (1 if mistake == "forgets the scale in dk" else scale)
    return dq, dk, dv


IGNORED = -100


def cross_entropy(z, y):
    a = wide(z)
    kept = y != IGNORED
    logs = a - torch.logsumexp(a, -1, keepdim=True)
    losses = -logs.gather(1, torch.where(kept, y, 0)[:, None])[:, 0]
    return (losses * kept).sum().to(z.dtype) / kept.sum(), (logs, y, kept)


def cross_entropy_backward(mistake, saved, dy):
    logs, y, kept = saved
    g = torch.exp(logs).clone()  # what exp returned it needs for its own derivative
    g[torch.arange(len(y), device=y.device), torch.where(kept, y, 0)] -= 1
    g = g / kept.sum()
    if mistake != "keeps the ignored rows":
        g = g * kept[:, None]
    return g if mistake == "ignores its cotangent" else g * dy, None


def convolution(x, w):
    out = F.conv1d(wide(x)[None], wide(w))[0]
    return out.to(x.dtype), (wide(x), wide(w))


def convolution_backward(mistake, saved, dy):
    x, w = saved
    taps = w.flip(-1) if mistake == "flips the taps" else w
    dx = F.conv_transpose1d(dy[None], taps)[0]
    windows = x.unfold(1, w.shape[-1], 1)  # (C, T - K + 1, K)
    if mistake == "leaves out the last window":
        windows, dy = windows[:, :-1], dy[:, :-1]
    return dx, torch.einsum("ot,ctk->ock", dy, windows)


def lstm_cell(x, h, c, W, b):
    every = torch.cat([wide(x), wide(h)], 1)
    i, f, g, o = (every @ wide(W) + wide(b)).chunk(4, 1)
    i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
    cell = f * wide(c) + i * g
    bent = torch.tanh(cell)
    kept = (every, i, f, g, o, wide(c), bent, wide(W), x.shape[1])
    return ((o * bent).to(x.dtype), cell.to(x.dtype)), kept


def lstm_cell_backward(mistake, saved, dh, dcell):
    every, i, f, g, o, c, bent, W, width = saved
    dcell = 0 if mistake == "ignores the cell's cotangent" else dcell
    dcell = dcell + dh * o * (1 - bent**2)
    df = 0 * f if mistake == "forgets the forget gate" else dcell * c * f * (1 - f)
    dz = [dcell * g * i * (1 - i), df, dcell * i * (1 - g**2), dh * bent * o * (1 - o)]
    dz = torch.cat(dz, 1)
    dinput = dz @ W.T
    return dinput[:, :width], dinput[:, width:], dcell * f, every.T @ dz, dz.sum(0)


def embedding(table, ids):
    return table[ids], (table.shape, ids)


def embedding_backward(mistake, saved, dy):
    shape, ids = saved
    found = torch.zeros(shape, dtype=dy.dtype, device=dy.device)
    if mistake == "keeps the last of repeated rows":
        found[ids] = dy
    else:
        found.index_add_(0, ids, dy)
    if mistake == "leaves out row 0":
        found[0] = 0
    return found, None


KEEP = 0.75


def dropout(x, mask):
    return x * mask / KEEP, (mask,)


def dropout_backward(mistake, saved, dy):
    (mask,) = saved
    if mistake == "forgets the mask":
        return dy / KEEP, None
    return dy * mask / (1 if mistake == "does not rescale" else KEEP), None


def plain_lstm(x, h, c, W, b):
    i, f, g, o = (torch.cat([x, h], 1) @ W + b).chunk(4, 1)
    cell = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


def angles(dtype: torch.dtype) -> Sequence[Any]:
    x = drawn((5, 6))(dtype)[0]
    turn = torch.arange(5.0, dtype=torch.float64)[:, None] / torch.tensor([1.0, 3.0, 9.0] * 2)
    return x, turn.cos().to(dtype), turn.sin().to(dtype)


SAVES_RESULTS = ("layer norm", "RMS norm", "attention in tiles", "cross-entropy", "LSTM cell")
"""Kernels whose rule saves what forward computed, so that its second derivative is wrong."""
KERNELS = {
    "layer norm": Kernel(
        layer_norm, layer_norm_backward,
        lambda x, w, b: F.layer_norm(x, (x.shape[-1],), w, b),
        drawn((4, 6), (6,), (6,)), ("forgets the mean", "ignores strides"),
    ),
    "RMS norm": Kernel(
        rms_norm, rms_norm_backward,
        lambda x, w: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * w,
        drawn((4, 6), (6,)), ("averages dw", "returns None"),
    ),
    "GELU": Kernel(
        gelu, gelu_backward, lambda x: F.gelu(x, approximate="tanh"),
        drawn((4, 6)), ("forgets the three", "ignores strides"),
    ),
    "rotary": Kernel(
        rotary, rotary_backward, lambda x, cos, sin: x * cos + turned(x) * sin, angles,
        ("turns the wrong way", "leaves out the last row"), (1, 2),
    ),
    "attention in tiles": Kernel(
        tiled_attention, tiled_attention_backward,
        lambda q, k, v: torch.softmax(q @ k.T / math.sqrt(q.shape[1]), -1) @ v,
        drawn((7, 4), (9, 4), (9, 3)), ("forgets the scale in dk", "leaves out the last tile"),
    ),
    "cross-entropy": Kernel(
        cross_entropy, cross_entropy_backward,
        lambda z, y: F.cross_entropy(z, y, ignore_index=IGNORED),
        lambda dtype: (*drawn((5, 7))(dtype), torch.tensor([1, IGNORED, 4, 0, 2])),
        ("keeps the ignored rows", "ignores its cotangent"),
    ),
    "convolution": Kernel(
        convolution, convolution_backward, lambda x, w: F.conv1d(x[None], w)[0],
        drawn((3, 8), (2, 3, 3)), ("flips the taps", "leaves out the last window"),
    ),
    "LSTM cell": Kernel(
        lstm_cell, lstm_cell_backward, plain_lstm,
        drawn((2, 3), (2, 4), (2, 4), (7, 16), (16,)),
        ("ignores the cell's cotangent", "forgets the forget gate"),
    ),
    "embedding": Kernel(
        embedding, embedding_backward, lambda table, ids: F.embedding(ids, table),
        lambda dtype: (*drawn((5, 3))(dtype), torch.tensor([0, 3, 3, 1])),
        ("keeps the last of repeated rows", "leaves out row 0"),
    ),
    "dropout": Kernel(
        dropout, dropout_backward, lambda x, mask: x * mask / KEEP,
        lambda dtype: (*drawn((4, 6))(dtype), torch.arange(24).reshape(4, 6) % 4 > 0),
        ("forgets the mask", "does not rescale"),
    ),
}  # fmt: skip
