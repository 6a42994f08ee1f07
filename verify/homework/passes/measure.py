"""A pass measured: its gradients, and differences of its own forward pass, each with a bar.

For every entry x of an input the outputs f are evaluated at x ± h and x ± 2h, all entries in one
message; D(h) = (f(x + h) - f(x - h)) / 2h is an entry's row of the Jacobian, and one evaluation
serves every cotangent c, as <c, D>. The bar is that of `verify.evidence.differences.central`:
|D(2h) - D(h)|, what the second differences show of a bend, and the rounding of f over h. Where a
bend or a curvature is seen, the step is cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.homework.passes.experiment import Experiment, Gradient, cotangent_name
from verify.homework.run.calls import array_of
from verify.homework.run.door import Door, Raised, Recipe

COTANGENTS = 2
STEPS = (2.0**-13, 2.0**-17, 2.0**-21)
"""Relative to an entry of size 1; the next where truncation or a bend is seen."""
SINGLE_STEPS = (2.0**-7, 2.0**-9, 2.0**-11)
ROUNDING = 64.0
"""Units of rounding of the largest output that one evaluation may be off."""
CLOSE = 2.0**-20
"""A move, relative to an entry, that single precision sees, and whose sixth power is nothing."""
ROUGH = 2.0**-40
"""A noise, over the size of the output, that double precision hardly makes and single does."""
STEADY = 1e-3
"""A bar, over the size of the gradient, beyond which the step is cut."""
ENTRIES = ((0.002, 96), (0.01, 48), (0.02, 12), (np.inf, 4))
"""Of a forward pass that takes fewer seconds, how many entries of a tensor are differenced.

Of larger tensors a sample is. The seconds are the processor's, so that what is said of a file does
not depend on what else its machine does.
"""


SLIGHT = 1e-4
"""A relative difference that a guard such as 1e-8 makes, and no mistake does."""


@dataclass(frozen=True, eq=False)
class Measured:
    """One gradient under all cotangents: found (c, *shape), and differences of its entries.

    `index` (k,) are the flat indices that were differenced, with expected and bar (c, k) and
    smooth (k,). `found` is None where the pass gave no array.
    """

    gradient: Gradient
    shape: tuple[int, ...]
    found: np.ndarray | None
    found_shape: tuple[int, ...]
    index: np.ndarray
    expected: np.ndarray
    bar: np.ndarray
    smooth: np.ndarray

    @property
    def whole(self) -> bool:
        """Whether every entry was differenced."""
        return self.index.size == int(np.prod(self.shape))


@dataclass(frozen=True, eq=False)
class Measurement:
    """What an experiment gave. `cotangents` and `outputs` are lists of arrays, one an output."""

    tensors: tuple[Measured, ...]
    cotangents: tuple[tuple[np.ndarray, ...], ...]
    outputs: tuple[np.ndarray, ...]
    single: bool


@dataclass(frozen=True)
class Obstacle:
    """Why an experiment says nothing. `crashed` says that the pass raised, and is to blame."""

    says: str
    crashed: bool = False
    raised: Raised | None = None


def measure(door: Door, experiment: Experiment, seed: int) -> Measurement | Obstacle:
    """Return what an experiment gives."""
    rng = np.random.default_rng(seed)
    forward = Recipe(experiment.forward, experiment.outputs)
    answer = door.run(forward, experiment.given)
    if isinstance(answer, Raised):
        return Obstacle(answer.sentence, raised=answer)
    outputs = _arrays(answer)
    if outputs is None or not all(np.isfinite(output).all() for output in outputs):
        return Obstacle("its forward pass gives nothing finite for the inputs that were tried")
    again = _arrays(door.run(forward, experiment.given))
    if again is None or any(not np.array_equal(a, b) for a, b in zip(outputs, again, strict=False)):
        return Obstacle("its forward pass gives another result at each call")
    cotangents = (
        [experiment.fixed]
        if experiment.weights == "fixed"
        else _cotangents(experiment.weights, outputs, rng)
    )
    found = []
    for cotangent in cotangents:
        gradients = _gradients(door, experiment, cotangent)
        if isinstance(gradients, Obstacle):
            return gradients
        found.append(gradients)
    single = all(_is_single(output) for output in outputs)
    took = door.seconds(forward, experiment.given)
    most = next(count for bound, count in ENTRIES if took < bound)
    tensors = tuple(
        _measured(door, experiment, gradient, [each[i] for each in found], outputs, cotangents,
                  single, most, rng)
        for i, gradient in enumerate(experiment.gradients)
    )  # fmt: skip
    return Measurement(tensors, tuple(cotangents), tuple(outputs), single)


def is_summed(door: Door, experiment: Experiment) -> bool:
    """Say whether a loss is a sum over examples: of every example taken twice it is doubled.

    One that stays as it is then, along either axis, is an average over examples already.
    """
    summed = False
    recipe = Recipe(experiment.forward, experiment.outputs)
    main = np.asarray(experiment.given.get(experiment.main, 0.0))
    once = door.run(recipe, experiment.given)
    for axis in {0, max(main.ndim - 1, 0)} if main.ndim else ():
        size = main.shape[axis]
        given = {
            name: np.concatenate([value, value], axis=value.shape.index(size))
            if isinstance(value, np.ndarray) and size in value.shape else value
            for name, value in experiment.given.items()
        }  # fmt: skip
        twice = door.run(recipe, given)
        if isinstance(once, Raised) or isinstance(twice, Raised):
            continue
        one, two = array_of(once[0]), array_of(twice[0])
        if one is None or two is None or one.size * two.size != 1:
            continue
        if np.allclose(two, one, rtol=1e-6):
            return False
        summed = summed or bool(np.allclose(two, 2 * one, rtol=1e-6))
    return summed


def _arrays(answer: Sequence[Any] | Raised) -> list[np.ndarray] | None:
    if isinstance(answer, Raised):
        return None
    found = [array_of(each) for each in answer]
    return None if any(each is None for each in found) else [a for a in found if a is not None]


def _cotangents(
    weights: str, outputs: Sequence[np.ndarray], rng: np.random.Generator
) -> list[tuple[np.ndarray, ...]]:
    if weights == "ones":
        return [tuple(np.ones(output.shape) for output in outputs)]
    if weights == "mean":
        return [tuple(np.full(output.shape, 1 / output.size) for output in outputs)]
    return [
        tuple(rng.standard_normal(output.shape).astype(_float_type(output)) for output in outputs)
        for _ in range(COTANGENTS)
    ]


def _float_type(output: np.ndarray) -> np.dtype[Any]:
    return output.dtype if output.dtype.kind == "f" else np.dtype(float)


def _gradients(
    door: Door, experiment: Experiment, cotangent: Sequence[np.ndarray]
) -> list[Any] | Obstacle:
    given = {**experiment.given}
    given |= {cotangent_name(i): c for i, c in enumerate(cotangent)}
    wanted = tuple(gradient.where for gradient in experiment.gradients)
    answer = door.run(Recipe(experiment.backward, wanted), given)
    if isinstance(answer, Raised):
        blamed = len(experiment.forward) <= answer.step and answer.kind != "unfit"
        return Obstacle(answer.sentence, crashed=blamed, raised=answer)
    return list(answer)


def _is_single(output: np.ndarray) -> bool:
    """Say whether an output was computed in single precision, whatever type it has now."""
    if output.dtype.itemsize < 8:
        return True
    return bool(output.size and output.any() and np.array_equal(output, output.astype(np.float32)))


def _measured(
    door: Door,
    experiment: Experiment,
    gradient: Gradient,
    found: Sequence[Any],
    outputs: Sequence[np.ndarray],
    cotangents: Sequence[Sequence[np.ndarray]],
    single: bool,
    most: int,
    rng: np.random.Generator,
) -> Measured:
    value = np.asarray(experiment.given[gradient.of], float)
    count = min(value.size, most)
    index = np.sort(rng.permutation(value.size)[:count])
    weights = np.array([np.concatenate([c.ravel() for c in each]) for each in cotangents])
    recipe = Recipe(experiment.forward, experiment.outputs)
    flat = np.concatenate([o.ravel() for o in outputs]).astype(float)
    base, size = weights @ flat, np.abs(weights) @ np.abs(flat)
    single = single or _is_coarse(door, recipe, experiment.given, gradient.of, weights, size, rng)
    noise = (ROUNDING / 4 * 2.0**-24 if single else ROUNDING * 2.0**-53) * np.maximum(size, 1e-30)
    expected = np.full((len(weights), count), np.nan)
    bar = np.full((len(weights), count), np.inf)
    open_ = np.arange(count)
    for step in SINGLE_STEPS if single else STEPS:
        if not open_.size:
            break
        rows = _rows(door, recipe, experiment.given, gradient.of, index[open_], step)
        if rows is None:
            break
        values, bars = _differences(rows @ weights.T, base, step, noise)
        better = bars < bar[:, open_]
        expected[:, open_] = np.where(better, values, expected[:, open_])
        bar[:, open_] = np.where(better, bars, bar[:, open_])
        scale = np.nanmax(np.abs(expected), initial=0.0)
        open_ = np.flatnonzero((bar > STEADY * max(scale, 1e-12)).any(axis=0))
    scale = np.nanmax(np.abs(expected), initial=0.0)
    smooth = np.isfinite(expected).all(axis=0)
    smooth &= (bar <= np.maximum(0.02 * scale, 1e-9 * size[:, None])).all(axis=0)
    arrays = [array_of(each) for each in found]
    shapes = {() if a is None else a.shape for a in arrays}
    good = all(a is not None for a in arrays) and len(shapes) == 1
    return Measured(
        gradient,
        value.shape,
        np.array(arrays, float) if good else None,
        shapes.pop() if good else (),
        index,
        expected,
        bar,
        smooth,
    )


def _is_coarse(
    door: Door,
    recipe: Recipe,
    given: Mapping[str, Any],
    name: str,
    weights: np.ndarray,
    size: np.ndarray,
    rng: np.random.Generator,
) -> bool:
    """Say whether the outputs, computed in double precision at last, are rough along a tensor.

    It is in single precision, or something that lies between is. The noise is that of seven values
    on a line, by their sixth difference (Moré & Wild, *Estimating computational noise*, 2011).
    """
    if np.asarray(given[name]).dtype.itemsize < 8:
        return True
    value = np.asarray(given[name], float)
    along = CLOSE * np.maximum(np.abs(value), 1e-3) * rng.standard_normal(value.shape)
    values = []
    for k in range(-3, 4):
        found = _arrays(door.run(recipe, {**given, name: value + k * along}))
        if found is None:
            return False
        flat = np.concatenate([o.ravel() for o in found]).astype(float)
        if flat.size != weights.shape[1]:
            return False
        values.append(weights @ flat)
    noise = np.abs(np.diff(values, 6, axis=0)[0]) / np.sqrt(924)
    return bool((noise > ROUGH * size).any())


def _rows(
    door: Door,
    recipe: Recipe,
    given: Mapping[str, Any],
    name: str,
    index: np.ndarray,
    step: float,
) -> np.ndarray | None:
    """Return the outputs at ± h and ± 2h of each entry: (entries, 4, outputs)."""
    moves = [(name, int(i), factor * step) for i in index for factor in (1, -1, 2, -2)]
    rows = door.sweep(recipe, given, moves, seconds=60.0)
    if rows.shape[0] != len(moves):
        return None
    return rows.reshape(len(index), 4, rows.shape[1])


def _differences(
    values: np.ndarray, base: np.ndarray, h: float, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return D(h) and its bar, each (cotangents, entries), from <c, f> at ± h and ± 2h and at 0."""
    up, down, up2, down2 = np.moveaxis(values, 1, 0)
    D, D2 = (up - down) / (2 * h), (up2 - down2) / (4 * h)
    S, S2 = (up + down - 2 * base) / h, (up2 + down2 - 2 * base) / (2 * h)
    bar = np.abs(D2 - D) + np.abs(S2 - 2 * S) / 2 + 4 * noise / h
    return D.T, bar.T
