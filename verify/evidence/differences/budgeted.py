"""Differences of losses of which nothing is known, within a budget of evaluations.

Every entry is differenced where the budget allows it (`verify.evidence.differences.shared`; two
evaluations an entry serve all losses). Elsewhere a stratified sample of each tensor's entries is,
and the tensor as a whole along `DIRECTIONS` random directions. Complex steps narrow the bars of a
loss that takes complex input, as far as real differences vouch for them.
`docs/differences.md` says more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from verify.evidence.bars.measured import Sizes
from verify.evidence.clock import OVERRUN, Clock
from verify.evidence.differences.central import (
    ROUNDING,
    SETTLED,
    Function,
    Functions,
    Params,
    central_differences,
    directional_differences,
    stratified_sample,
)
from verify.evidence.differences.complex_step import ComplexFunction, complex_differences
from verify.evidence.differences.shared import (
    Stated,
    Table,
    directions_of_each,
    entries_of_each,
)
from verify.evidence.entry_sizes import own_scales
from verify.evidence.witnesses import Differences

DIRECTIONS = 2
"""Random directions of a tensor whose entries cannot all be differenced."""
EACH = 2
"""Evaluations a difference takes, where nothing speaks against the gradient."""
PILOT = 20
"""Evaluations, at most, that it takes to choose a step for a tensor or a direction."""
VOUCHERS = 24
"""Entries a tensor whose real differences vouch for the complex step."""
FEWEST = 8
"""Entries of a tensor that are differenced at least: how large they are has to be known."""
CUTTING = 2000
"""Evaluations, beyond that, that finding bends may take in every tensor."""
PROBES = 4
"""Suspects a tensor that are probed for hidden bends before they are called wrong."""

PLACES = 16
"""Places around the point at which the roughness of a loss is measured."""
FEW_PLACES = 4
DOUBT = 4.0
"""How many times what it is at few places the roughness may be."""
ROUGH = ROUNDING * math.sqrt(11)
"""How many times its roughness a difference may be off; derived in `_roughness`."""


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


@dataclass(frozen=True, eq=False)
class Gathered:
    """Differences of several losses: of entries, and along the directions that `vectors` has."""

    entries: Mapping[str, Table]
    directions: Mapping[str, Table]
    vectors: Params
    noise: np.ndarray

    def of(self, loss: int) -> Sample:
        """Return the differences of one of the losses."""
        entries = {name: table.of(loss) for name, table in self.entries.items()}
        directions = {name: table.of(loss) for name, table in self.directions.items()}
        return Sample(entries, entries, directions, self.vectors, float(self.noise[loss]))


def gather(
    f: Functions,
    arrays: Params,
    stated: Mapping[str, Stated],
    noise: np.ndarray,
    budget: int,
    most: int,
    leading: int,
    clock: Clock,
    rng: np.random.Generator,
) -> Gathered:
    """Return what differences of several losses say of their gradients, in about `budget` calls.

    `stated` is what is to be judged, and by what entries are chosen where the budget is not
    enough for all; `most` is how many may be then. `noise` is the standard deviation of one
    evaluation of each loss. The first losses, `leading`, have a part of everything.
    """
    entries = _chosen(arrays, stated, budget, most, rng)
    vectors = {
        name: _signs(DIRECTIONS, value.size, rng)
        for name, value in arrays.items()
        if len(entries[name]) < value.size
    }
    tables = {
        name: entries_of_each(
            f, arrays, name, index, noise, stated[name], leading, _share(clock, len(index))
        )
        for name, index in entries.items()
    }
    directions = {
        name: directions_of_each(f, arrays, name, rows, noise, clock.left)
        for name, rows in vectors.items()
    }
    return Gathered(tables, directions, vectors, noise)


def whole(arrays: Params, budget: int) -> bool:
    """Say whether every entry can be differenced."""
    count = sum(value.size for value in arrays.values())
    return EACH * count + PILOT * len(arrays) <= budget


def _chosen(
    arrays: Params,
    stated: Mapping[str, Stated],
    budget: int,
    most: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    if whole(arrays, budget):
        return {name: np.arange(value.size) for name, value in arrays.items()}
    rest = budget - least_budget(len(arrays)) - PILOT * len(arrays)
    each = shares([value.size for value in arrays.values()], max(rest, 0) // EACH)
    return {
        name: stratified_sample(stated[name].values[0][0], min(max(share, FEWEST), most), rng)
        for name, share in zip(arrays, each, strict=True)
    }


def _signs(rows: int, size: int, rng: np.random.Generator) -> np.ndarray:
    return 2 * rng.integers(0, 2, (rows, size), np.int8) - 1


def _share(clock: Clock, count: int) -> Callable[[], int]:
    """Return how many calls are left to a tensor, whose bends must not take those of others."""
    end = clock.made + OVERRUN * (2 * EACH * count + PILOT) + CUTTING
    return lambda: min(clock.left(), end - clock.made)


def sharpened(sample: Sample, complex_f: ComplexFunction, arrays: Params, sizes: Sizes) -> Sample:
    """Return the sample with the complex step in place of what it agrees with, if there is one.

    `complex_f` is the loss for complex arrays; where it raises or returns nothing complex, it
    takes none.
    """
    return _sharpened(sample, complex_differences(complex_f, arrays, sizes))


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


def where_straight(
    f: Function,
    arrays: Params,
    sample: Sample,
    suspects: Mapping[str, np.ndarray],
    suspect_directions: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> Sample:
    """Mark suspects where f has a hidden bend as not smooth, before they are believed.

    `suspects` are the flat indices of entries, the worst first, `suspect_directions` the
    numbers of directions. Where all that were tried have one, so has the rest.
    """
    look = _Look(f, arrays, sample.noise, rng)
    entries, directions = dict(sample.entries), dict(sample.directions)
    for name, index in suspects.items():
        units = _units(arrays[name].size, index[:PROBES])
        entries[name] = _where_straight(look, name, entries[name], index, units)
    for name, index in suspect_directions.items():
        rows = sample.vectors[name][index]
        directions[name] = _where_straight(look, name, directions[name], index, rows)
    return replace(sample, entries=entries, directions=directions)


def widened(
    f: Function,
    arrays: Params,
    sample: Sample,
    suspects: Mapping[str, np.ndarray],
    suspect_directions: Mapping[str, np.ndarray],
    beyond: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> Sample:
    """Widen the bars of suspects by how rough f is, before they are believed.

    `beyond` says, of the suspects of each tensor, how far they are beyond their bars. A tensor
    in which that is more than roughness can explain is left as it is.
    """
    look = _Look(f, arrays, sample.noise, rng)
    entries, directions = dict(sample.entries), dict(sample.directions)
    plain: set[str] = set()
    for name, index in suspects.items():
        if sample.complex_step:
            continue  # a complex step has no width that slight bends could hide in
        units = _units(arrays[name].size, index[:PROBES])
        bar = entries[name].bar[np.searchsorted(entries[name].index, index[0])]
        slight = DOUBT * ROUGH * _roughness(look, name, units[0], float(bar), FEW_PLACES)
        if beyond[name][0] > slight:
            plain.add(name)
        else:
            entries[name] = _widened(look, name, entries[name], index, units)
    for name, index in suspect_directions.items():
        if name not in plain:
            rows = sample.vectors[name][index]
            directions[name] = _widened(look, name, directions[name], index, rows)
    return replace(sample, entries=entries, directions=directions)


def _units(size: int, index: np.ndarray) -> np.ndarray:
    units = np.zeros((len(index), size))
    units[np.arange(len(units)), index] = 1
    return units


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


def shares(sizes: Sequence[int], total: int) -> list[int]:
    """Divide a total among tensors, equally, but to none more than its size."""
    each = [0] * len(sizes)
    order = sorted(range(len(sizes)), key=lambda i: sizes[i])
    for done, i in enumerate(order):
        each[i] = min(sizes[i], total // (len(sizes) - done))
        total -= each[i]
    return each


def _along(
    f: Function, arrays: Params, rows: Mapping[str, np.ndarray], noise: float
) -> Differences:
    """Return the differences along flat directions of one tensor."""
    ((name, vectors),) = rows.items()
    directions = [{name: vector.reshape(arrays[name].shape)} for vector in vectors]
    return directional_differences(f, arrays, directions, noise=noise)


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


def _roughness(
    look: _Look, name: str, direction: np.ndarray, bar: float, places: int = PLACES
) -> float:
    """Return how rough f is along a direction, as a slope: its noise at the scale of the step.

    It is the noise level of f at a spacing of at least the step, as a root mean square over
    some places around x. `docs/differences.md` derives it, and how far it may put a
    difference off.
    """
    spacing = (SETTLED + 1) * ROUNDING * look.noise / bar
    along = spacing * direction.reshape(look.arrays[name].shape)
    levels = []
    for _ in range(places):
        # Parameters that are small beside the step keep their size: f is another one elsewhere.
        place = {
            k: x + np.minimum(spacing, own_scales(x)) * look.rng.standard_normal(x.shape)
            for k, x in look.arrays.items()
        }
        values = [look.f(place | {name: place[name] + j * along}) for j in range(-3, 4)]
        levels.append(abs(float(np.diff(values, 6)[0])) / math.sqrt(924) / spacing)
    slight = [level for level in levels if level <= 36 / math.sqrt(924) * SETTLED * bar]
    return math.hypot(*slight) / math.sqrt(max(len(slight), 1))
