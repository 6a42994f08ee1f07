"""How far rounding alone can carry a right gradient of the built-in network: its error bars.

Every operation's result carries a random relative error of the order of the unit roundoff; what
that does to a sum is in `verify.evidence.bars.sum_rounding`. `SAMPLES` draws of all these errors
are carried forward and back by the linearised network, to the standard deviation of every entry. A
unit whose Z is within its own bar of a kink may have the slope of either side: `kink_radius` is how
far all such units together move each entry.

`docs/rounding.md` derives each step.

Sources: Higham & Mary, *A new approach to probabilistic rounding error analysis*, SIAM J. Sci.
Comput. 41 (2019); Parker, *Monte Carlo arithmetic* (1997).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

import manual
from verify.activations import ACTIVATIONS, KINKED, LIBRARY, exponential_rounding
from verify.evidence.bars import sum_rounding
from verify.evidence.bars.sum_rounding import Unit
from verify.problem import Problem

SAMPLES = 64
"""Draws of all local errors; fewer (at least 16) where a draw is expensive, with a wider bar."""

CHANCE = 1e-9
"""The chance, over all entries together, that a right gradient falls outside its bars."""

_FLOPS = 2e10
_CHUNK = 4_000_000


@dataclass(frozen=True, eq=False)
class Rounding:
    """Standard deviations of one evaluation's rounding, and what follows from them.

    `grads` has the shapes of the gradients; `Z` is one array (n_l, m) a layer; `loss` a number.
    `kinked` marks, in one boolean (n_l, m) a layer, the units whose side of a kink is an accident;
    `kink_radius` is how far they can move each entry of the gradients.
    """

    loss: float
    grads: dict[str, np.ndarray]
    Z: list[np.ndarray]
    kinked: list[np.ndarray]
    kink_radius: dict[str, np.ndarray]
    quantile: float

    @property
    def loss_bar(self) -> float:
        """How far the losses of two right ways may be apart."""
        return float(np.sqrt(2) * self.quantile * self.loss)

    @property
    def own_bars(self) -> dict[str, np.ndarray]:
        """How far the gradient of one right way may be from the exact one, kinks included."""
        return {
            name: self.quantile * sigma + self.kink_radius[name]
            for name, sigma in self.grads.items()
        }

    @property
    def bars(self) -> dict[str, np.ndarray]:
        """How far the gradients of two right ways may be apart, kinks included."""
        factor = np.sqrt(2) * self.quantile
        return {name: factor * sigma + self.kink_radius[name] for name, sigma in self.grads.items()}


def analyse(problem: Problem, seed: int = 0) -> Rounding:
    """Return the rounding that the loss and gradients of a problem carry in its own dtype.

    The values to which the errors are relative are computed in float64 from the same
    parameters. The draws come from a generator of their own, seeded by `seed`.
    """
    unit = Unit.of(problem.dtype)
    exact = problem.astype(np.float64)
    _, cache = manual.forward(
        exact.params,
        exact.X,
        exact.masks,
        hidden=exact.hidden,
        output=exact.output,
        keep_prob=exact.keep_prob,
    )
    grads, errorless = manual.backward(
        manual.output_backward(cache, exact.Y),
        cache,
        exact.masks,
        l2=exact.l2,
        keep_prob=exact.keep_prob,
    )
    count = _sample_count(exact.layers, exact.m)
    quantile = _quantile(count, sum(value.size for value in grads.values()))
    network = _Linearised(
        cache,
        errorless,
        _dropout_scales(exact),
        [ACTIVATIONS[layer.activation].slope(layer.Z) for layer in cache[:-1]],
        _local_errors(exact, cache, errorless, unit),
    )
    Z, A, dZ = _propagate(network, count, np.random.default_rng(seed))
    kinked = [
        (layer.activation in KINKED)
        & (sigma > 0)
        & (np.abs(layer.Z) <= np.sqrt(2) * quantile * sigma)
        for layer, sigma in zip(cache, Z, strict=True)
    ]
    if any(units.any() for units in kinked):
        network = _either_side(network, kinked)
        Z, A, dZ = _propagate(network, count, np.random.default_rng(seed))
    copies = _copies(cache)
    sigmas = _gradient_errors(exact, network, A, dZ, copies, unit)
    radius = _kink_radius(network, kinked)
    return Rounding(
        loss=_loss_error(exact, cache[-1], Z[-1], copies, unit),
        grads={name: sigmas[name] for name in problem.params},
        Z=Z,
        kinked=kinked,
        kink_radius={name: radius[name] for name in problem.params},
        quantile=quantile,
    )


class _Local(NamedTuple):
    """The deviations of one layer's own rounding errors, operation by operation."""

    Z: np.ndarray
    A: np.ndarray
    masked: np.ndarray
    dA: np.ndarray
    dZ: np.ndarray


class _Linearised(NamedTuple):
    """A network at one point: its values, its gradients and its local errors."""

    cache: Sequence[manual.LayerCache]
    intermediates: dict[str, np.ndarray]
    scales: Sequence[np.ndarray | float]
    slopes: Sequence[np.ndarray]
    local: Sequence[_Local]


def _local_errors(
    problem: Problem,
    cache: Sequence[manual.LayerCache],
    intermediates: dict[str, np.ndarray],
    unit: Unit,
) -> list[_Local]:
    u, tiny = unit
    L = len(cache)
    result = []
    for index, (layer, scale) in enumerate(zip(cache, _dropout_scales(problem), strict=True), 1):
        A, dZ = np.abs(layer.A), np.abs(intermediates[f"dZ{index}"])
        dA = np.zeros(1)
        if index < L:
            above = cache[index]
            dA = sum_rounding.product_deviation(above.W.T, intermediates[f"dZ{index + 1}"], unit)
            dA += 4 * u * np.abs(intermediates[f"dA{index}"])
            own_slope = np.abs(scale * intermediates[f"dA{index}"])
            own_slope *= ACTIVATIONS[layer.activation].slope_rounding(layer.A)
            dZ = u * (own_slope + 2 * dZ) + tiny * (dZ > 0)
        else:
            dZ = 4 * u * dZ
        result.append(
            _Local(
                Z=sum_rounding.product_deviation(layer.W, layer.A_prev, unit) + u * np.abs(layer.Z),
                A=_value_rounding(layer) * u * A + tiny * (A > 0),
                masked=2 * u * np.abs(scale * layer.A),
                dA=dA,
                dZ=dZ,
            )
        )
    return result


def _either_side(network: _Linearised, kinked: Sequence[np.ndarray]) -> _Linearised:
    """Let errors through at kinked units, where the ways may be on different sides of the kink."""
    slopes, local = list(network.slopes), list(network.local)
    for index, (layer, units) in enumerate(zip(network.cache, kinked, strict=True)):
        if units.any():
            activation = ACTIVATIONS[layer.activation]
            slopes[index] = np.where(units, activation.steepest, slopes[index])
            apart = activation.jump * np.abs(layer.Z)
            local[index] = local[index]._replace(A=local[index].A + units * apart)
    return network._replace(slopes=slopes, local=local)


def _propagate(
    network: _Linearised, count: int, rng: np.random.Generator
) -> list[list[np.ndarray]]:
    """Return the deviations of every Z, of every A after its mask, and of every dZ."""
    shapes = [layer.Z.shape for layer in network.cache]
    totals = [[np.zeros(shape) for shape in shapes] for _ in range(3)]
    chunk = max(1, min(count, _CHUNK // sum(rows * m for rows, m in shapes)))
    for start in range(0, count, chunk):
        draws = _draw(network, min(chunk, count - start), rng)
        for norms, errors in zip(totals, draws, strict=True):
            norms[:] = [
                np.hypot(n, sum_rounding.norm(e)) for n, e in zip(norms, errors, strict=True)
            ]
    return [[norm / np.sqrt(count) for norm in norms] for norms in totals]


def _draw(
    network: _Linearised, count: int, rng: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Carry `count` draws of all local errors forward and back.

    Returns the errors of every Z, of every A after its mask and of every dZ, (count, n_l, m).
    """
    cache, intermediates, scales, slopes, local = network
    L = len(cache)

    def noise(deviation: np.ndarray) -> np.ndarray:
        return deviation * rng.standard_normal((count, *deviation.shape))

    Z_errors: list[np.ndarray] = []
    A_errors: list[np.ndarray] = []
    read_errors: list[np.ndarray] = []
    for index, (layer, scale, own) in enumerate(zip(cache, scales, local, strict=True)):
        Z_errors.append(noise(own.Z))
        if read_errors:
            Z_errors[-1] += layer.W @ read_errors[-1]
        passed = slopes[index] * Z_errors[-1] if index < L - 1 else _output(layer, Z_errors[-1])
        A_errors.append(passed + noise(own.A))
        read_errors.append(scale * A_errors[-1] + noise(own.masked))

    # At the output dZ = A - Y inherits the error of A as it is.
    dZ_errors = [A_errors[-1] + noise(local[-1].dZ)]
    for index in range(L - 1, 0, -1):
        layer, scale, own = cache[index - 1], scales[index - 1], local[index - 1]
        dA = intermediates[f"dA{index}"]
        dA_error = cache[index].W.T @ dZ_errors[-1] + noise(own.dA)
        # g'(Z) is computed from A, so it inherits the error of A. The product of both errors
        # counts where the unit and the output saturate and round g'(Z) and dA to 0.
        dZ_error = scale * (
            slopes[index - 1] * dA_error
            + (dA + dA_error)
            * ACTIVATIONS[layer.activation].bend_by_A(layer.A)
            * A_errors[index - 1]
        )
        dZ_errors.append(dZ_error + noise(own.dZ))
    return Z_errors, read_errors, dZ_errors[::-1]


def _gradient_errors(
    problem: Problem,
    network: _Linearised,
    A_sigma: Sequence[np.ndarray],
    dZ_sigma: Sequence[np.ndarray],
    copies: np.ndarray,
    unit: Unit,
) -> dict[str, np.ndarray]:
    """Return the deviation of every entry of every dW and db."""
    u, tiny = unit
    m = problem.m
    alike = np.sqrt(copies)
    on_average = float(1 / np.mean(1 / copies))

    def mean(carried: np.ndarray, dZ: np.ndarray, A: np.ndarray) -> np.ndarray:
        added = sum_rounding.product_deviation(dZ, A.T, unit, on_average)
        return np.asarray(np.hypot(carried, added) / m + tiny)

    ones = np.ones((1, m))
    result = {}
    for index, layer in enumerate(network.cache, 1):
        dZ, sigma = network.intermediates[f"dZ{index}"], alike * dZ_sigma[index - 1]
        carried = sum_rounding.product_norm(sigma, layer.A_prev)
        if index > 1:
            # (a + b)^2 <= 2 a^2 + 2 b^2: the errors of dZ and of A are not independent.
            through_A = sum_rounding.product_norm(alike * dZ, A_sigma[index - 2])
            carried = np.sqrt(2) * np.hypot(carried, through_A)
        penalty = 4 * u * problem.l2 / m * np.abs(layer.W)
        result[f"W{index}"] = mean(carried, dZ, layer.A_prev) + penalty
        result[f"b{index}"] = mean(sum_rounding.product_norm(sigma, ones), dZ, ones)
    return result


def _loss_error(
    problem: Problem,
    last: manual.LayerCache,
    Z_sigma: np.ndarray,
    copies: np.ndarray,
    unit: Unit,
) -> float:
    """Return the deviation of the mean cross-entropy plus the penalty."""
    u, m = unit.u, problem.m
    data = manual.LOSSES[last.activation][0](last.Z, problem.Y)
    each = np.hypot((last.A - problem.Y) * Z_sigma, LIBRARY * u * (1 + np.abs(last.Z)))
    weights = [value for name, value in problem.params.items() if name[0] == "W"]
    penalty = manual.l2_penalty(weights, problem.l2, m)
    # All terms of either sum are positive.
    adding = sum_rounding.deviation(u, m, data) + sum_rounding.deviation(
        u, sum(W.size for W in weights), penalty
    )
    return float(sum_rounding.norm((np.sqrt(copies) * each).ravel()) / m + adding)


def _kink_radius(network: _Linearised, kinked: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return how far slopes between the two sides' at the kinked units move each gradient entry."""
    cache, intermediates, scales, slopes, _ = network
    m = cache[0].Z.shape[1]
    radius: dict[str, np.ndarray] = {}
    dZ_radius = np.zeros_like(cache[-1].Z)
    for index in range(len(cache), 0, -1):
        layer = cache[index - 1]
        if index < len(cache):
            dA_radius = np.abs(cache[index].W.T) @ dZ_radius
            activation = ACTIVATIONS[layer.activation]
            free = activation.jump * np.abs(intermediates[f"dA{index}"])
            free += activation.steepest * dA_radius
            dZ_radius = scales[index - 1] * np.where(
                kinked[index - 1], free, np.abs(slopes[index - 1]) * dA_radius
            )
        any_kink = dZ_radius.any()
        radius[f"W{index}"] = (
            dZ_radius @ np.abs(layer.A_prev).T / m if any_kink else np.zeros_like(layer.W)
        )
        radius[f"b{index}"] = dZ_radius.sum(axis=1, keepdims=True) / m
    return radius


def _copies(cache: Sequence[manual.LayerCache]) -> np.ndarray:
    """Return with how many examples each shares the input of some layer, itself included, (m,)."""
    result = np.ones(cache[0].A_prev.shape[1])
    for layer in cache:
        columns = [column.tobytes() for column in np.ascontiguousarray(layer.A_prev.T)]
        count = Counter(columns)
        result = np.maximum(result, [count[column] for column in columns])
    return result


def _dropout_scales(problem: Problem) -> list[np.ndarray | float]:
    """Return mask / keep_prob for every hidden layer, and 1 for the last."""
    if problem.masks is None:
        return [1.0] * (len(problem.layers) - 1)
    scales = (mask / keep for mask, keep in zip(problem.masks, problem.keep_prob, strict=True))
    return [*scales, 1.0]


def _output(layer: manual.LayerCache, Z_errors: np.ndarray) -> np.ndarray:
    """Return the first-order errors of the last layer's A from those of its Z."""
    if layer.activation == "softmax":
        mean = (layer.A * Z_errors).sum(axis=-2, keepdims=True)
        return np.asarray(layer.A * (Z_errors - mean))
    return np.asarray(ACTIVATIONS[layer.activation].slope(layer.Z) * Z_errors)


def _value_rounding(layer: manual.LayerCache) -> np.ndarray:
    """Return the error of A = g(Z), or of the softmax of Z, in units of u |A|."""
    if layer.activation == "softmax":
        return exponential_rounding(layer.Z)
    return ACTIVATIONS[layer.activation].value_rounding(layer.Z)


def _sample_count(layers: Sequence[int], m: int) -> int:
    flops = 4 * m * sum(n_in * n_out for n_in, n_out in pairwise(layers[1:]))
    return int(np.clip(_FLOPS / max(flops, 1), 16, SAMPLES))


def _quantile(count: int, entries: int) -> float:
    from scipy.special import stdtrit

    return float(-stdtrit(count, CHANCE / (2 * entries)))
