"""Gradients under cotangents that show one output alone, of which there may be many.

All are compared with the differences that were taken for the leading cotangents, within error
bars of these. Those that differ most are shown; what contradicts them is measured and looked at
again under their own cotangent, unless the tensor is known to be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from verify.evidence.bars.measured import DRAWS
from verify.evidence.claims import Claims, by_hand
from verify.evidence.differences.bends import Place
from verify.evidence.differences.budgeted import Gathered, Sample
from verify.evidence.differences.central import Params
from verify.evidence.second_look import Found, by_jax, examined, together, witness
from verify.evidence.witnesses import Array, Evidence, against_jax, beyond, suspects
from verify.report import over_bar

WORST = 4
"""Cotangents that are shown: those under which differences are largest beside their bars."""


@dataclass(frozen=True, eq=False)
class Others:
    """The evidence under the cotangents that are shown.

    Of the other cotangents, `wrong` names those under which a tensor that is known to be wrong
    contradicts the differences, and `right` counts the rest.
    """

    cases: dict[str, Evidence]
    wrong: list[str]
    right: int


def under_others(
    claims: Claims,
    labels: Sequence[str],
    pulled: Mapping[str, Array],
    found: Sequence[Found],
    gathered: Gathered,
    leading: Mapping[str, Evidence],
    places: Callable[[int, Found], Place],
    known: Collection[str],
    rng: np.random.Generator,
) -> Others:
    """Return the evidence under the cotangents that are not leading.

    `labels` are all that were `pulled` back, `leading` has the evidence under the first of them,
    and `known` names the tensors that are wrong by it.
    """
    first, known = len(leading), set(known)
    lead = _of_leading(found)
    hidden = {name: _hidden(name, gathered, leading) for name in pulled}
    bars = lead.hand.bars
    ratios = {k: _ratios(k, gathered, pulled, bars[k], hidden[k], first) for k in pulled}
    worst = np.max(list(ratios.values()), axis=0)
    shown = np.sort(np.argsort(-worst, kind="stable")[:WORST])
    notes = next(iter(leading.values())).notes
    cases = {}
    for j in map(int, shown):
        label = labels[first + j]
        sample = _without(gathered.of(first + j), hidden)
        doubtful = {name for name, ratio in ratios.items() if ratio[j] > 1} - known
        here = _found(claims, label, pulled, lead, first + j, rng, drawn=bool(doubtful))
        evidence = together(here.hand, here.jax, sample)
        if doubtful or _against_jax(evidence):
            place = places(first + j, here)
            evidence, _ = examined(claims.under(label), place, here, sample, known)
            known |= set(suspects(evidence)[0])
        cases[label] = replace(evidence, notes=notes)
    contradicted = np.any([ratios[name] > 1 for name in known] or [worst < 0], axis=0)
    contradicted[shown] = False
    wrong = [labels[first + j] for j in map(int, np.flatnonzero(contradicted))]
    return Others(cases, wrong, len(worst) - len(shown) - len(wrong))


def _against_jax(evidence: Evidence) -> bool:
    """Say whether JAX has another gradient, as it may have where the function bends."""
    return any(beyond(against_jax(evidence, name)).size for name in evidence.apart)


def _hidden(name: str, gathered: Gathered, leading: Mapping[str, Evidence]) -> Array:
    """Return the entries that were found to bend at a second look, though not at the first."""
    table, hidden = gathered.entries[name], []
    for k, evidence in enumerate(leading.values()):
        bent = evidence.entries[name]
        bent_at_once = table.index[~table.smooth[:, k]]
        hidden.append(np.setdiff1d(bent.index[~bent.smooth], bent_at_once))
    return np.concatenate(hidden)


def _ratios(
    name: str,
    gathered: Gathered,
    pulled: Mapping[str, Array],
    bars: Array,
    hidden: Array,
    first: int,
) -> Array:
    """Return the largest difference of each gradient over its bar, of one tensor."""
    table = gathered.entries[name]
    bars = bars.reshape(-1)
    gap = pulled[name][first:, table.index].T - table.value[:, first:]
    ratio = over_bar(gap, table.bar[:, first:] + bars[table.index][:, None])
    compared = table.smooth[:, first:] & ~np.isin(table.index, hidden)[:, None]
    return np.asarray(np.where(compared, ratio, 0.0).max(axis=0, initial=0.0))


def _without(sample: Sample, hidden: Mapping[str, Array]) -> Sample:
    """Return the differences with hidden bends marked."""
    entries = {
        name: replace(found, smooth=found.smooth & ~np.isin(found.index, hidden[name]))
        for name, found in sample.entries.items()
    }
    return replace(sample, entries=entries, real=entries)


def _found(
    claims: Claims,
    label: str,
    pulled: Mapping[str, Array],
    lead: Found,
    row: int,
    rng: np.random.Generator,
    *,
    drawn: bool,
) -> Found:
    """Return a gradient with the bars of the leading ones, or with its own where they are `drawn`.

    Sizes are those of the first leading gradient.
    """
    tree, claim = claims.tree, claims.under(label)
    arrays: Params = {name: np.asarray(x, float) for name, x in tree.arrays.items()}
    if drawn:
        hand = witness(claim, arrays, by_hand(claim)(arrays), lead.sizes, lead.unit, DRAWS, rng)
    else:
        grads = {k: pulled[k][row].reshape(x.shape) for k, x in arrays.items()}
        hand = replace(lead.hand, loss=float(claim.loss(tree.native(arrays))), grads=grads)
    jax = by_jax(claim, arrays, hand, lead.sizes, lead.unit, DRAWS, rng)
    return replace(lead, hand=hand, jax=jax, steps=False)


def _of_leading(found: Sequence[Found]) -> Found:
    """Return the first of the leading gradients with the widest bars of any."""
    first, names = found[0], found[0].hand.bars
    if len(found) == 1:
        return first
    bars = {k: np.max([each.hand.bars[k] for each in found], axis=0) for k in names}
    kinked = {k: np.any([each.hand.kinked[k] for each in found], axis=0) for k in names}
    return replace(first, hand=replace(first.hand, bars=bars, kinked=kinked))
