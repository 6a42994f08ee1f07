"""The second reading: is it `manual.loss` that has been differenced?

Here: that the base loss is the same, and that a stratified sample of every tensor's differences
is the same as when `manual.loss` is differenced as a black box. Not here: the derivation, which
is in the package's docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

import manual
from verify.activations import KINKED
from verify.evidence.differences.central import (
    Function,
    Params,
    central_differences,
    stratified_sample,
)
from verify.evidence.differences.exhaustive.network import Layer, Output, loss_rounding
from verify.evidence.witnesses import Differences
from verify.problem import Problem

SAMPLED = 12
"""Entries of each tensor that are also differenced as a black box."""
DRAWN = 4096
"""Entries of a larger tensor that they are chosen from."""
EVALUATIONS = 250
"""Of a layer's black box: the noise, the sample's two steps, and some to find the step."""


def equals_manual_loss(
    problem: Problem,
    layers: Sequence[Layer],
    output: Output,
    gains: Sequence[np.ndarray],
) -> None:
    """Raise RuntimeError unless the base loss is `manual.loss`, but for rounding of both."""
    theirs = float(manual.loss(*problem.arguments, **problem.options))
    bar = 2 * loss_rounding(problem, layers, output, gains)
    if not abs(output.loss - theirs) <= bar:
        raise RuntimeError(
            f"exhaustive differences: read the loss as {output.loss!r}, but manual.loss is "
            f"{theirs!r}, which rounding explains up to {bar:.1e}"
        )


def equals_black_box(
    problem: Problem, layers: Sequence[Layer], results: dict[str, Differences]
) -> None:
    """Raise RuntimeError unless a sample of the differences is that of `manual.loss`."""
    rng = np.random.default_rng(0)
    for index in range(len(layers)):
        sample = {letter: _sample(results[f"{letter}{index + 1}"].value, rng) for letter in "Wb"}
        loss, piece, params, entries = _black_box(problem, layers, index, sample)
        black_box = central_differences(loss, params, entries)
        far = {
            name: _apart(results[f"{name[0]}{index + 1}"], sample[name[0]], of)
            for name, of in black_box.items()
        }
        if not any(map(np.any, far.values())):
            continue
        # Only where its steps may have met several kinks at once is the piece worth its price.
        again = {name: entries[name][far[name]] for name in entries}
        for name, of in central_differences(loss, params, again, piece=piece).items():
            full, wrong = f"{name[0]}{index + 1}", sample[name[0]][far[name]]
            wrong = wrong[_apart(results[full], wrong, of)]
            if wrong.size:
                raise RuntimeError(
                    f"exhaustive differences: {full} at flat index {wrong[0]} is "
                    f"{results[full].value[wrong[0]]!r}, which is not the difference of manual.loss"
                )


def _sample(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a stratified sample of so many that sorting them costs nothing."""
    drawn = np.unique(rng.integers(values.size, size=DRAWN))
    candidates = np.arange(values.size) if values.size <= DRAWN else drawn
    return candidates[stratified_sample(values[candidates], SAMPLED, rng)]


def _apart(ours: Differences, index: np.ndarray, theirs: Differences) -> np.ndarray:
    """Return at which of these entries the two differ by more than their bars explain."""
    explained = np.abs(ours.value[index] - theirs.value) <= ours.bar[index] + theirs.bar
    return ours.smooth[index] & theirs.smooth & ~explained


def _black_box(
    problem: Problem, layers: Sequence[Layer], index: int, sample: Mapping[str, np.ndarray]
) -> tuple[Function, Callable[[Params], bytes], Params, dict[str, np.ndarray]]:
    """Return `manual.loss` of the network from one layer on, its piece, parameters and sample.

    Inputs that no sampled weight reads are added up once where that is cheaper: to the layer
    they are as many inputs as it has units, each read by its own unit, with weight 1.
    """
    layer = layers[index]
    units, n = layer.W.shape
    rows, columns = np.unravel_index(sample["W"], layer.W.shape)
    kept = np.unique(columns)
    W, inputs = layer.W, layer.A_prev
    if len(kept) + units < n:
        bias = problem.params[f"b{index + 1}"]
        rest = layer.Z - bias - W[:, kept] @ inputs[kept]
        W, inputs = np.hstack([W[:, kept], np.eye(units)]), np.vstack([inputs[kept], rest])
        columns = np.searchsorted(kept, columns)
    params = {
        f"{letter}{above - index}": problem.params[f"{letter}{above}"]
        for above in range(index + 1, len(layers) + 1)
        for letter in "Wb"
    }
    params["W1"] = W
    masks = None if problem.masks is None else problem.masks[index:]
    hidden = problem.hidden[index:]
    keep_prob = problem.keep_prob[index:]

    def loss(params: Params) -> float:
        return float(
            manual.loss(
                params,
                inputs,
                problem.Y,
                masks,
                hidden=hidden,
                output=problem.output,
                l2=problem.l2,
                keep_prob=keep_prob,
            )
        )

    def piece(params: Params) -> bytes:
        _, cache = manual.forward(
            params, inputs, masks, hidden=hidden, output=problem.output, keep_prob=keep_prob
        )
        return b"".join((of.Z > 0).tobytes() for of in cache if of.activation in KINKED)

    entries = {"W1": np.ravel_multi_index((rows, columns), W.shape), "b1": sample["b"]}
    return loss, piece, params, entries


def seconds(widths: Sequence[int], n: int, m: int) -> float:
    """Return the time that the sample of a layer with n inputs takes."""
    inputs = min(n, SAMPLED + widths[0])
    products = 2 * sum(a * b for a, b in pairwise((inputs, *widths)))
    return EVALUATIONS * (3e-5 + m * (products * 5e-11 + sum(widths) * 1e-8))
