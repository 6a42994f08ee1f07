"""Differences of a loss of which nothing is known, within a budget of evaluations.

Every entry is differenced where the budget allows it (`verify.evidence.differences.central`; four
evaluations an entry). Elsewhere a stratified sample of each tensor's entries is, and the tensor
as a whole along `DIRECTIONS` random directions. Complex steps narrow the bars of a loss that takes
complex input, as far as real differences vouch for them. `docs/differences.md` says more.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from verify.evidence.bars.measured import Sizes
from verify.evidence.bars.sum_rounding import DOUBLE
from verify.evidence.differences.central import (
    ROUNDING,
    SETTLED,
    Function,
    Params,
    central_differences,
    directional_differences,
    stratified_sample,
)
from verify.evidence.entry_sizes import own_scales
from verify.evidence.witnesses import Differences

DIRECTIONS = 2
"""Random directions of a tensor whose entries cannot all be differenced."""
EACH = 4
"""Evaluations a difference takes, where no bend is near."""
PILOT = 20
"""Evaluations, at most, that it takes to choose a step for a tensor or a direction."""
VOUCHERS = 24
"""Entries a tensor whose real differences vouch for the complex step."""
STEP = 2.0**-100
UNITS = 2.0**10
"""Rounding units that a complex step may be off by: ten bits, for a long computation."""
CHUNK = 64
OVERRUN = 2
"""How many times the planned evaluations a tensor full of bends may take."""
PROBES = 4
"""Suspects a tensor that are probed for hidden bends before they are called wrong."""

PLACES = 16
"""Places around the point at which the roughness of a loss is measured."""
ROUGH = ROUNDING * math.sqrt(11)
"""How many times its roughness a difference may be off; derived in `_roughness`."""

ComplexFunction = Callable[[Params], Any]


@dataclass(frozen=True, eq=False)
class Sample:
    """Differences of single entries, and along random directions, of each tensor.

    `entries` are the best there are, `real` those that were differenced without the complex
    step, and `complex_step` says whether they differ. `vectors` holds the directions, one flat
    direction a row.
    """

    entries: dict[str, Differences]
    real: dict[str, Differences]
    directions: dict[str, Differences]
    vectors: Params
    noise: float
    complex_step: bool = False


def least_budget(tensors: int) -> int:
    """Return the evaluations below which the tensors cannot even be tried along directions."""
    return DIRECTIONS * (PILOT + EACH) * tensors


def at_most(arrays: Mapping[str, np.ndarray], budget: int) -> int:
    """Return about how many evaluations there will be."""
    count = sum(value.size for value in arrays.values())
    return min(budget, 100 + (EACH + 1) * count + PILOT * len(arrays))


def gather(
    f: Function,
    complex_f: ComplexFunction,
    arrays: Params,
    grads: Params,
    sizes: Sizes,
    noise: float,
    budget: int,
    rng: np.random.Generator,
) -> Sample:
    """Return what differences of f say of its gradient at the arrays, in about `budget` calls.

    `complex_f` is f for complex arrays; where it raises or returns nothing complex, f takes
    none. `grads` is the gradient under test, by which entries are chosen, and `sizes` its natural
    sizes. `noise` is the standard deviation of one evaluation of f.
    """
    count, tensors = sum(value.size for value in arrays.values()), len(arrays)
    whole = EACH * count + PILOT * tensors <= budget
    analytic = (whole or 2 * count <= budget) and _takes_complex(complex_f, arrays)
    if whole:
        entries = {name: np.arange(value.size) for name, value in arrays.items()}
    else:
        rest = budget - least_budget(tensors) - PILOT * tensors - analytic * count
        shares = _shares([value.size for value in arrays.values()], max(rest, 0) // EACH)
        most = VOUCHERS if analytic else count
        entries = {
            name: stratified_sample(grads[name], min(share, most), rng)
            for name, share in zip(arrays, shares, strict=True)
        }
    vectors = {
        name: rng.choice((-1.0, 1.0), (DIRECTIONS, value.size))
        for name, value in arrays.items()
        if len(entries[name]) < value.size
    }
    real = {name: _within(f, arrays, name, index, noise, rng) for name, index in entries.items()}
    sample = Sample(
        entries=real,
        real=real,
        directions={name: _along(f, arrays, {name: rows}, noise) for name, rows in vectors.items()},
        vectors=vectors,
        noise=noise,
    )
    if not analytic:
        return sample
    exact = _complex_differences(complex_f, arrays, sizes)
    return _sharpened(sample, exact)


def without_contradicted_step(
    f: Function, arrays: Params, sample: Sample, suspects: Mapping[str, np.ndarray]
) -> Sample:
    """Give the complex step up where real differences of a tensor's worst suspects do not vouch.

    They contradict it, or are too coarse to tell any of those derivatives from 0: then they
    would have agreed with whatever a loss that is not analytic gave.
    """
    if not sample.complex_step:
        return sample
    second = {
        name: central_differences(f, arrays, {name: index[:PROBES]}, noise=sample.noise)[name]
        for name, index in suspects.items()
    }
    if any(
        _contradicts(sample.entries[name], found) or (np.abs(found.value) <= found.bar).all()
        for name, found in second.items()
    ):
        return replace(sample, entries=sample.real, complex_step=False)
    return sample


def reconsider(
    f: Function,
    arrays: Params,
    sample: Sample,
    suspects: Mapping[str, np.ndarray],
    suspect_directions: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> Sample:
    """Look again at what speaks against the gradient, before it is believed.

    `suspects` are the flat indices of entries, the worst first, `suspect_directions` the
    numbers of directions. Those where f has a hidden bend are marked as not smooth, and where
    all that were tried have one, so has the rest. The bars of the others are widened by how
    rough f is.
    """
    look = _Look(f, arrays, sample.noise, rng)
    entries, directions = dict(sample.entries), dict(sample.directions)
    for name, index in suspects.items():
        units = np.zeros((min(PROBES, len(index)), arrays[name].size))
        units[np.arange(len(units)), index[:PROBES]] = 1
        found = _where_straight(look, name, entries[name], index, units)
        # A complex step has no width that slight bends could hide in.
        entries[name] = found if sample.complex_step else _widened(look, name, found, index, units)
    for name, index in suspect_directions.items():
        rows = sample.vectors[name][index]
        found = _where_straight(look, name, directions[name], index, rows)
        directions[name] = _widened(look, name, found, index, rows)
    return replace(sample, entries=entries, directions=directions)


class _Look(NamedTuple):
    """What a second look needs: the function, the place, the noise and random draws."""

    f: Function
    arrays: Params
    noise: float
    rng: np.random.Generator

    def along(self, name: str, direction: np.ndarray, arrays: Params) -> tuple[float, float, bool]:
        """Return the derivative along a flat direction of one tensor, its bar, and if it exists."""
        found = _along(self.f, arrays, {name: direction[None]}, self.noise)
        return float(found.value[0]), float(found.bar[0]), bool(found.smooth[0])


def _where_straight(
    look: _Look, name: str, found: Differences, index: np.ndarray, rows: np.ndarray
) -> Differences:
    """Return differences with those suspects marked that are on a hidden bend.

    `rows` are the flat directions of the first of the suspects `index`, the worst; the others
    are taken to be on one where all of those are.
    """
    bent = np.array([_bends(look, name, row) for row in rows])
    hidden = index if bent.all() else index[: len(rows)][bent]
    return replace(found, smooth=found.smooth & ~np.isin(found.index, hidden))


def _widened(
    look: _Look, name: str, found: Differences, index: np.ndarray, rows: np.ndarray
) -> Differences:
    """Return differences whose bars are widened where they are rough.

    `rows` are the flat directions of the first of the suspects `index`, the worst; the others
    are taken to be as rough as the roughest of those.
    """
    bar, at = found.bar.copy(), np.searchsorted(found.index, index)
    rough = np.array(
        [_roughness(look, name, row, bar[i]) for row, i in zip(rows, at[: len(rows)], strict=True)]
    )
    bar[at] += ROUGH * np.concatenate([rough, np.full(len(index) - len(rows), rough.max())])
    return replace(found, bar=bar)


def _shares(sizes: Sequence[int], total: int) -> list[int]:
    """Divide a total among tensors, equally, but to none more than its size."""
    shares = [0] * len(sizes)
    order = sorted(range(len(sizes)), key=lambda i: sizes[i])
    for done, i in enumerate(order):
        shares[i] = min(sizes[i], total // (len(sizes) - done))
        total -= shares[i]
    return shares


def _within(
    f: Function,
    arrays: Params,
    name: str,
    index: np.ndarray,
    noise: float,
    rng: np.random.Generator,
) -> Differences:
    """Return the differences of entries, fewer where bends make them cost too much."""
    calls = 0

    def counted(params: Params) -> float:
        nonlocal calls
        calls += 1
        return f(params)

    parts = [_none()]
    shuffled = rng.permutation(index)
    for start in range(0, len(index), CHUNK):
        if calls > OVERRUN * (EACH * len(index) + PILOT):
            break
        some = {name: shuffled[start : start + CHUNK]}
        parts.append(central_differences(counted, arrays, some, noise=noise)[name])
    return _joined(parts)


def _along(
    f: Function, arrays: Params, rows: Mapping[str, np.ndarray], noise: float
) -> Differences:
    """Return the differences along flat directions of one tensor."""
    ((name, vectors),) = rows.items()
    directions = [{name: vector.reshape(arrays[name].shape)} for vector in vectors]
    return directional_differences(f, arrays, directions, noise=noise)


def _takes_complex(complex_f: ComplexFunction, arrays: Params) -> bool:
    name = next(name for name, value in arrays.items() if value.size)
    return (
        _imaginary(complex_f, {k: x.astype(complex) for k, x in arrays.items()}, name, 0)
        is not None
    )


def _complex_differences(
    complex_f: ComplexFunction, arrays: Params, sizes: Sizes
) -> dict[str, Differences] | None:
    """Return the complex step of every entry, or None where there is none of some."""
    work = {name: value.astype(complex) for name, value in arrays.items()}
    values = {}
    for name, array in arrays.items():
        found = [_imaginary(complex_f, work, name, i) for i in range(array.size)]
        if None in found:
            return None
        values[name] = np.array(found, dtype=float).reshape(array.shape)
    return {
        name: Differences(
            np.arange(value.size),
            value.ravel(),
            (UNITS * DOUBLE * (np.abs(value) + sizes.grads[name])).ravel(),
            np.isfinite(value.ravel()),
        )
        for name, value in values.items()
    }


def _imaginary(complex_f: ComplexFunction, work: Params, name: str, i: int) -> float | None:
    """Return Im f(x + ih e_i) / h, or None where f takes no complex arrays."""
    flat = work[name].reshape(-1)
    x = flat[i]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            flat[i] = x + 1j * STEP
            value = np.asarray(complex_f(work))
    except Exception:
        # Whatever it is that fails on complex numbers, it means that there is no complex step.
        return None
    finally:
        flat[i] = x
    return float(value.imag) / STEP if value.dtype.kind == "c" and value.size == 1 else None


def _sharpened(sample: Sample, exact: dict[str, Differences] | None) -> Sample:
    """Return the sample with the complex step in place of what it agrees with.

    A step of exactly 0 says nothing: a loss that drops the imaginary part has it everywhere.
    """
    if exact is None or any(
        _contradicts(exact[name], found) for name, found in sample.real.items()
    ):
        return sample
    moved = [name for name, found in exact.items() if found.value.any()]
    entries = {name: _with_bends_of(exact[name], sample.real[name]) for name in moved}
    return replace(sample, entries=sample.real | entries, complex_step=bool(moved))


def _contradicts(every: Differences, some: Differences) -> bool:
    """Return whether some entries' differences are outside the bars of those of every entry."""
    kept = some.smooth
    at = np.searchsorted(every.index, some.index[kept])
    apart = np.abs(every.value[at] - some.value[kept])
    return bool((apart > every.bar[at] + some.bar[kept]).any())


def _with_bends_of(exact: Differences, real: Differences) -> Differences:
    value, bar, smooth = exact.value.copy(), exact.bar.copy(), exact.smooth.copy()
    bent = ~real.smooth
    at = real.index[bent]
    value[at], bar[at], smooth[at] = real.value[bent], real.bar[bent], False
    return Differences(exact.index, value, bar, smooth)


def _bends(look: _Look, name: str, direction: np.ndarray) -> bool:
    """Return whether the derivative along a direction jumps on the way to a nearby point.

    What a smooth function's derivative changes by falls with the distance, here by 64; what
    falls by less than 8 and is more than the bars is a jump.
    """
    here, doubt, smooth = look.along(name, direction, look.arrays)
    changes = []
    for distance in (2.0**-10, 2.0**-16):
        changes.append(0.0)
        for _ in range(3):
            step = {
                k: distance * own_scales(x) * look.rng.standard_normal(x.shape)
                for k, x in look.arrays.items()
            }
            for sign in (1, -1):
                moved = {k: x + sign * step[k] for k, x in look.arrays.items()}
                there, bar, exists = look.along(name, direction, moved)
                if exists:
                    changes[-1] = max(changes[-1], abs(there - here))
                    doubt = max(doubt, bar)
    far, near = changes
    return not smooth or near > max(2 * doubt, far / 8)


def _roughness(look: _Look, name: str, direction: np.ndarray, bar: float) -> float:
    """Return how rough f is along a direction, as a slope: its noise at the scale of the step.

    It is the noise level of f at a spacing of at least the step, as a root mean square over
    `PLACES` places around x. `docs/differences.md` derives it, and how far it may put a
    difference off.
    """
    spacing = (SETTLED + 1) * ROUNDING * look.noise / bar
    along = spacing * direction.reshape(look.arrays[name].shape)
    levels = []
    for _ in range(PLACES):
        # Parameters that are small beside the step keep their size: f is another one elsewhere.
        place = {
            k: x + np.minimum(spacing, own_scales(x)) * look.rng.standard_normal(x.shape)
            for k, x in look.arrays.items()
        }
        values = [look.f(place | {name: place[name] + j * along}) for j in range(-3, 4)]
        levels.append(abs(float(np.diff(values, 6)[0])) / math.sqrt(924) / spacing)
    slight = [level for level in levels if level <= 36 / math.sqrt(924) * SETTLED * bar]
    return math.hypot(*slight) / math.sqrt(max(len(slight), 1))


def _none() -> Differences:
    return Differences(np.zeros(0, np.intp), np.zeros(0), np.zeros(0), np.zeros(0, bool))


def _joined(parts: Sequence[Differences]) -> Differences:
    """Return the differences of several parts as one, in the order of their entries."""
    index = np.concatenate([part.index for part in parts])
    order = np.argsort(index)
    return Differences(
        index[order],
        np.concatenate([part.value for part in parts])[order],
        np.concatenate([part.bar for part in parts])[order],
        np.concatenate([part.smooth for part in parts])[order],
    )
