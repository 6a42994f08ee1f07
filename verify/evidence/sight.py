"""How small an error of a gradient would have been seen, by all that was compared with it.

With d the witness and b how far the gradient under test may be from it, an error of an entry
shows for certain where it is larger than see = |found - d| + b: the least over everything that
judges the entry, infinite where nothing does. Whether that is small enough is decided in
`verify.verdict`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from verify.evidence.entry_sizes import moved
from verify.evidence.witnesses import (
    Array,
    Compared,
    Evidence,
    against_directions,
    against_entries,
    against_jax,
    bends_unexplained,
)

if TYPE_CHECKING:
    from jaxtyping import Float


Params = dict[str, np.ndarray]

FINEST = 1 / 11
"""The error of one entry, beside the tensor's largest, that must show where a tensor agrees.

It is below a tenth, so that a right gradient times 1.1, whose largest entry is off by a tenth of
itself, does not agree however wide its error bars are.
"""
ZERO = 2.0**-20
"""How small the bars of a gradient that is 0 must be, beside its largest entry nearby."""
AWAY = 0.25
"""How far, relative to its scale, an entry is moved to see how large a gradient is nearby."""
PLACES_AWAY = 3


@dataclass(frozen=True, eq=False)
class Sight:
    """What would have been seen of one tensor; flat arrays, one number an entry.

    see: the error that would have shown. bar: that of the witness alone, in what sees best.
    largest: the largest entry that a witness has, at least. factor: the least relative error of
    all entries alike that would have shown. zero: whether a witness has entries, and all are 0:
    exactly, or within the rounding of JAX's where there is JAX. (Differences alone do not tell a
    small gradient from none.)
    """

    see: Float[Array, " entries"]
    bar: Float[Array, " entries"]
    largest: float
    factor: float
    zero: bool


def sight(evidence: Evidence, name: str) -> Sight:
    """Return how small an error of one tensor's gradient would have been seen."""
    size = evidence.hand.grads[name].size
    see, bar = np.full(size, np.inf), np.full(size, np.inf)
    largest, factor, zero = 0.0, np.inf, True
    known_to = 0.0 if evidence.jax is None else 1.0
    for found, own in _by_entry(evidence, name):
        shows = np.abs(found.difference) + found.bar
        best = shows < see[found.index]
        see[found.index[best]] = shows[best]
        bar[found.index[best]] = own[best]
        zero = zero and not (np.abs(found.other) > known_to * own).any()
        largest = max(largest, float(np.abs(found.other).max(initial=0.0)))
        factor = min(factor, _factor(shows, found))
    lines = against_directions(evidence, evidence.hand, name)
    if lines.index.size:
        vectors = np.abs(evidence.vectors[name][lines.index])
        own = evidence.directions[name].bar[evidence.directions[name].smooth]
        shows = np.abs(lines.difference) + lines.bar
        for row, limit, doubt in zip(vectors, shows, own, strict=True):
            better = limit / row < see
            see[better], bar[better] = limit / row[better], doubt / row[better]
        # |d . v| is at most the largest |d| times the sum of |v|.
        least = (np.abs(lines.other) - own) / vectors.sum(axis=1)
        largest = max(largest, float(least.max()))
        factor = min(factor, _factor(shows, lines))
        zero = zero and not (np.abs(lines.other) > known_to * own).any()
    bends = evidence.bends.get(name)
    for there in evidence.beside:
        if name not in there.entries:
            continue
        other = sight(there, name)
        some = there.entries[name].index
        some = some[other.see[some] < see[some]]
        see[some], bar[some] = other.see[some], other.bar[some]
        largest, zero = max(largest, other.largest), zero and other.zero
    if bends is not None:
        see[bends_unexplained(evidence, name)] = np.inf
    return Sight(see, bar, largest, factor, zero and bool(np.isfinite(see).any()))


def _by_entry(evidence: Evidence, name: str) -> Iterator[tuple[Compared, Array]]:
    """Return every comparison of single entries, with the witness's own bars."""
    if evidence.jax is not None:
        yield against_jax(evidence, name), evidence.jax.bars[name].reshape(-1)
    if name in evidence.entries:
        differences = evidence.entries[name]
        own = differences.bar[differences.smooth]
        yield against_entries(evidence, evidence.hand, name), own


def _factor(shows: Array, found: Compared) -> float:
    """Return the least relative error of all entries alike that shows in one of them."""
    sure = np.abs(found.other) - found.bar
    return float((shows[sure > 0] / sure[sure > 0]).min(initial=np.inf))


def largest_away(
    largest: Callable[[Params], float], arrays: Params, enough: float, rng: np.random.Generator
) -> float:
    """Return the largest of what a function finds at points moved by `AWAY`, as far as finite.

    No further points are tried once it is `enough`.
    """
    found = 0.0
    for _ in range(PLACES_AWAY):
        for at in moved(arrays, AWAY, rng):
            size = largest(at)
            found = max(found, size) if math.isfinite(size) else found
            if found >= enough:
                return found
    return found


def depends(
    loss: Callable[[Params], float], arrays: Params, name: str, rng: np.random.Generator
) -> bool:
    """Say whether a loss changes in any bit where one tensor alone is moved by `AWAY`."""
    here = loss(arrays)
    return any(
        loss({**arrays, **at}) != here
        for _ in range(PLACES_AWAY)
        for at in moved({name: arrays[name]}, AWAY, rng)
    )
