"""The inputs of a diagnosis, made comparable with the chain: shapes, scale, error bars.

People give gradients in several shapes, dZ and dA with or without the division by m, and dA
before the mask or after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache, partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from threadpoolctl import ThreadpoolController

from verify.activations import ACTIVATIONS
from verify.diagnose.chain import Chain, Key, Tape, record, shaken
from verify.diagnose.search import SHAKES, Tested, beyond, follows
from verify.evidence.bars.derived import Rounding
from verify.findings import Finding, used
from verify.problem import Problem

_RIGHT: WeakKeyDictionary[Problem, Chain] = WeakKeyDictionary()


def right_chain(problem: Problem) -> Chain:
    """Return the right backward pass of a problem, the same for every diagnosis of it."""
    if problem not in _RIGHT:
        _RIGHT[problem] = Chain(record(problem))
    return _RIGHT[problem]


def one_blas_thread() -> AbstractContextManager[object]:
    """Keep BLAS to one thread: more threads make hundreds of small products slower."""
    limits: AbstractContextManager[object] = _thread_pools().limit(limits=1, user_api="blas")
    return limits


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()


def prepare(
    problem: Problem, grads: Mapping[str, Any], bars: Mapping[str, np.ndarray]
) -> tuple[Tested, list[Finding]]:
    """Return gradients made comparable with the chain, and what was wrong with their shapes."""
    right = right_chain(problem)
    seen, misshapen = _observed(right.tape, grads)
    known = {_key(name): bar for name, bar in bars.items()}
    return Tested(right, seen, known, _shaken(right.tape)), misshapen


def as_right(tested: Tested, right: Chain) -> Tested:
    """Return the gradients under test with another chain as the right one, and its error bars."""
    apart = replace(tested, shaken=_shaken(right.tape))
    bars = {key: apart.tolerance(right, key) for key in tested.seen}
    return replace(apart, right=right, bars=bars)


def _shaken(t: Tape) -> Callable[[], list[Tape]]:
    @cache
    def tapes() -> list[Tape]:
        rng = np.random.default_rng(0)
        return [shaken(t, rng) for _ in range(SHAKES)]

    return tapes


def _key(name: str) -> Key:
    """Return the operation and layer of "W2", "b2", "dZ2" or "dA2"."""
    head = name.rstrip("0123456789")
    return head if head[0] == "d" else f"d{head}", int(name[len(head) :])


def _observed(t: Tape, grads: Mapping[str, Any]) -> tuple[dict[Key, np.ndarray], list[Finding]]:
    """Return the gradients in the shapes of the parameters, and what was wrong with theirs."""
    seen: dict[Key, np.ndarray] = {}
    findings = []
    for layer in reversed(t.layers):
        for kind, parameter in (("W", t.W[layer]), ("b", t.b[layer])):
            name, value = f"{kind}{layer}", grads.get(f"{kind}{layer}")
            array, bug, says = _fitted_shape(name, value, parameter.shape, t.m)
            if array is not None:
                seen[f"d{kind}", layer] = array
            if bug:
                right = "the shape {due}"
                values = {
                    "name": name,
                    "shape": str(np.asarray(value).shape) if bug != "not-a-number" else "",
                    "due": str(parameter.shape),
                    "square": str((len(parameter), len(parameter))),
                }
                values = used(values, says, right)
                findings.append(
                    Finding(bug, f"d{name}", layer, says=says, right=right, values=values)
                )
    return seen, findings


def _fitted_shape(
    name: str, value: Any, shape: tuple[int, ...], m: int
) -> tuple[np.ndarray | None, str, str]:
    """Return a gradient in its right shape, None if that is impossible, and what is wrong."""
    if value is None:
        return None, "missing", "There is no gradient of {name}."
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None, "not-a-number", "d{name} is not an array of real numbers."
    if array.shape == shape:
        return array, "", ""
    if array.size == 1:
        return np.full(shape, array.item()), "", ""
    if name[0] == "b" and array.shape == shape[:1]:
        says = (
            "d{name} has the shape {shape}: keepdims=True is missing, so {name} - d{name} "
            "broadcasts to {square}."
        )
        return array.reshape(shape), "bias-keepdims-missing", says
    if name[0] == "b" and array.squeeze().shape == (m,):
        says = (
            "d{name} has the shape {shape}, one entry for each example: it is summed over the "
            "units (axis=0) instead of the examples (axis=1)."
        )
        return None, "bias-wrong-axis", says
    if array.shape == shape[::-1]:
        bug = "weights-transposed" if name[0] == "W" else "bias-transposed"
        return array.T, bug, "d{name} is transposed: it has the shape {shape}."
    return None, "wrong-shape", "d{name} has the shape {shape}; {name} has {due}."


def with_intermediates(
    tested: Tested, intermediates: Mapping[str, Any], rounding: Rounding
) -> Tested:
    """Return the gradients under test with the dZ and dA that are usable, scaled like the chain."""
    t = tested.tape
    known = {}
    for name, value in intermediates.items():
        array = np.asarray(value)
        if array.dtype.kind in "fiu" and _key(name) in _intermediate_keys(t):
            known[_key(name)] = array.astype(np.float64)
    known = {key: array for key, array in known.items() if array.shape == t.Z[key[1]].shape}
    if _are_derivatives(tested, known):
        known = {key: t.m * array for key, array in known.items()}
    bars = dict(tested.bars) | _intermediate_bars(tested, rounding)
    trial = replace(tested, seen=dict(tested.seen) | known, bars=bars)
    return replace(trial, seen=dict(tested.seen) | _kept_apart(trial, known))


def _intermediate_keys(t: Tape) -> set[Key]:
    return {("dZ", layer) for layer in t.layers} | {("dA", layer) for layer in t.hidden}


def _are_derivatives(tested: Tested, known: Mapping[Key, np.ndarray]) -> bool:
    """Whether the dZ are derivatives of the mean loss, not m times that: most db are their sums."""
    t, votes = tested.tape, 0
    for layer in t.layers:
        if ("dZ", layer) in known and ("db", layer) in tested.seen:
            total = known["dZ", layer].sum(axis=1, keepdims=True)
            db = tested.seen["db", layer]
            tolerance = np.sqrt(t.eps) * np.abs(total).max()
            votes += not beyond(db, total, tolerance).any()
            votes -= not beyond(db, total / t.m, tolerance / t.m).any()
    return votes > 0


def _kept_apart(tested: Tested, known: Mapping[Key, np.ndarray]) -> dict[Key, np.ndarray]:
    """Return the dZ and dA, a dA that was taken after the mask under the operation "kept".

    Which it is, the dZ above and the dZ below show.
    """
    result = {}
    for (what, layer), array in known.items():
        if what == "dA" and tested.tape.drops(layer):
            what = max(("dA", "kept"), key=partial(_fits, tested, known, layer))
        result[what, layer] = array
    return result


def _fits(tested: Tested, known: Mapping[Key, np.ndarray], layer: int, what: str) -> int:
    """Count the neighbours of a dA that speak for its being `what`: the dZ above, the dZ below."""
    key, below, above = (what, layer), ("dZ", layer), ("dZ", layer + 1)
    array, chain = known["dA", layer], tested.right
    if above in known:
        chain = chain.knowing(above, known[above])
    trial = replace(tested, seen={**tested.seen, ("kept", layer): array})
    explained = below in known and follows(trial, chain.knowing(key, array), below)
    return trial.agrees(chain, key) + explained


def _intermediate_bars(tested: Tested, rounding: Rounding) -> dict[Key, np.ndarray]:
    """Return how far right dZ and dA may be off, operation by operation.

    An inner product of n terms is off by sqrt(n) u times the sum of their sizes, g'(Z) by the
    error of Z (no activation's slope is steeper than 1), and at a kink by anything.
    """
    t, right = tested.tape, tested.right
    factor = np.sqrt(2) * rounding.quantile
    unit = factor * t.eps
    bars: dict[Key, np.ndarray] = {}
    bars["dZ", t.L] = factor * rounding.Z[-1] + 4 * unit * np.abs(right["dZ", t.L])
    for layer in reversed(t.hidden):
        W, dZ = np.abs(t.W[layer + 1].T), np.abs(right["dZ", layer + 1])
        dA = W @ bars["dZ", layer + 1] + np.sqrt(W.shape[1]) * unit * (W @ dZ)
        kept = dA * t.mask[layer] / t.keep[layer]
        kinked, size = rounding.kinked[layer - 1], np.abs(right["kept", layer])
        activation = ACTIVATIONS[t.g[layer]]
        bent = factor * rounding.Z[layer - 1] * (not activation.kinked)
        moved = np.where(kinked, activation.jump, bent)
        bars["dA", layer] = dA
        bars["kept", layer] = kept + 2 * unit * size
        bars["dZ", layer] = kept + 8 * unit * size + moved * size
    return bars
