"""From evidence to verdict: the only place that decides.

losses   gradients                            meaning
agree    manual alone dissents                the backward pass is wrong
agree    finite difference alone dissents     not a fault of the code
differ   manual = finite difference ≠ JAX     the forward pass is another function
differ   manual = JAX ≠ finite difference     the loss is wrong, its gradient right
differ   all differ                           forward and backward both suspect

A tensor agrees only if an error of a tenth of its largest entry would have shown in any one
entry; otherwise it is undecided. A layer is judged by several losses, one a cotangent: of every
tensor the worst difference counts, and how small an error shows under the best of the cotangents
that have a part of every output.

Not here: how evidence is gathered (`verify.evidence`), and how it is said (`verify.show`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from verify.evidence.bars import sum_rounding
from verify.evidence.sight import FINEST, ZERO, Sight, sight
from verify.evidence.witnesses import (
    Array,
    Compared,
    Evidence,
    Witness,
    against_bends,
    against_directions,
    against_entries,
    against_jax,
)
from verify.report import PAIRS, Fact, Loss, Pair, Report, Resolution, Tensor, Worst, over_bar

if TYPE_CHECKING:
    from jaxtyping import Bool

HAND_JAX, HAND_DIFFERENCE, JAX_DIFFERENCE = PAIRS
OF_LAYER = {
    "loss-wrong": Fact("forward-wrong"),
    "loss-off-by-constant": Fact("forward-off-by-constant"),
}


class Conclusion(NamedTuple):
    """A verdict, and what follows from who agrees with whom."""

    verdict: str
    fact: Fact


@np.errstate(all="ignore")
def decide(
    cases: Mapping[str, Evidence],
    whole: int = 1,
    forms: Mapping[str, str] = MappingProxyType({}),
    peer: str = "JAX",
) -> Report:
    """Return the verdict on one backward pass and the numbers behind it.

    `cases` has the evidence on one loss, or on that of each cotangent of a layer by what the
    cotangent is called, the first of which, `whole`, have a part of every output. `forms` are
    those in which some were handed over, and `peer` is what the witness `jax` is called. The
    report has no settings and no times.
    """
    every = list(cases.values())
    blocked = next((case for case in every if case.obstacle is not None), None)
    if blocked is not None and blocked.obstacle is not None:
        return Report("undecided", blocked.obstacle, _losses(blocked), ())
    judged = {label: _tensors(case, label) for label, case in cases.items()}
    losses = {label: _losses(case) for label, case in cases.items()}
    tensors = [_worst(same, whole) for same in zip(*judged.values(), strict=True)]
    concluded = {label: conclude(losses[label], each, peer) for label, each in judged.items()}
    verdict, fact = _over_all(
        {label: _of_layer(each) if label else each for label, each in concluded.items()},
        tensors,
        forms,
        peer if every[0].jax is not None else "",
    )
    first = next(iter(losses.values()))
    return Report(
        verdict=verdict,
        conclusion=fact,
        loss=replace(first, agree=all(loss.agree for loss in losses.values())),
        tensors=tensors,
        notes=(
            *_coverage(tensors),
            *_zeros(tensors),
            *_ties(every),
            *_shared_notes(every),
            *_worst_shown(verdict, every),
        ),
    )


def conclude(loss: Loss, tensors: Sequence[Tensor], peer: str = "JAX") -> Conclusion:
    """Return what follows from who agrees with whom, on one loss."""
    if loss.autodiff is None:
        return _concluded_by_differences(tensors)
    hand_jax, hand_difference, jax_difference = (_dissenting(tensors, pair) for pair in PAIRS)
    if loss.agree:
        return _concluded_by_three(hand_jax, hand_difference, jax_difference, peer)
    if hand_jax and not hand_difference:
        return Conclusion("disagree", Fact("other-function"))
    if hand_jax:
        return Conclusion("disagree", Fact("all-differ"))
    if hand_difference:
        return Conclusion("disagree", Fact("loss-wrong"))
    return Conclusion("disagree", Fact("loss-off-by-constant"))


def _of_layer(conclusion: Conclusion) -> Conclusion:
    """Return what follows for a forward pass, which the loss of a cotangent stands for."""
    return conclusion._replace(fact=OF_LAYER.get(conclusion.fact.kind, conclusion.fact))


def _concluded_by_three(
    hand_jax: list[str], hand_difference: list[str], jax_difference: list[str], peer: str
) -> Conclusion:
    """Return what follows where the losses agree."""
    if not hand_jax and not hand_difference and not jax_difference:
        return Conclusion("agree", Fact("three-agree"))
    if hand_jax and jax_difference:
        return Conclusion("disagree", Fact("differs-from-jax", {"tensors": hand_jax, "jax": peer}))
    wrong = hand_jax or [name for name in hand_difference if name not in jax_difference]
    if not wrong:
        values = {"tensors": jax_difference, "jax": peer}
        return Conclusion("undecided", Fact("differences-alone", values))
    against = {"jax": peer if hand_jax else "", "differences": bool(hand_difference)}
    return Conclusion("disagree", Fact("backward-wrong", {"tensors": wrong, **against}))


def _concluded_by_differences(tensors: Sequence[Tensor]) -> Conclusion:
    """Return what follows where there is no JAX."""
    if wrong := _dissenting(tensors, HAND_DIFFERENCE):
        return Conclusion("disagree", Fact("gradient-wrong", {"tensors": wrong}))
    return Conclusion("agree", Fact("differences-agree"))


def _dissenting(tensors: Sequence[Tensor], pair: str) -> list[str]:
    return [t.name for t in tensors if pair in t.pairs and not t.pairs[pair].agree]


def _over_all(
    concluded: Mapping[str, Conclusion],
    tensors: Sequence[Tensor],
    forms: Mapping[str, str],
    jax: str,
) -> Conclusion:
    """Return what follows from the conclusions under all cotangents, and from what they show."""
    first, *others = concluded.values()
    conclusion = _of_cotangents(concluded, forms, jax) if others else first
    coarse = [tensor for tensor in tensors if tensor.verdict == "undecided"]
    if conclusion.verdict != "agree" or not coarse:
        return conclusion
    values = {
        "tensors": {tensor.name: tensor.resolution for tensor in coarse},
        "count": len(tensors),
        "jax": jax,
    }
    return Conclusion("undecided", Fact("error-bars-too-wide", values))


def _of_cotangents(
    concluded: Mapping[str, Conclusion], forms: Mapping[str, str], jax: str
) -> Conclusion:
    first = next(iter(concluded.values()))
    wrong = [label for label, each in concluded.items() if each.verdict == "disagree"]
    plain = [label for label in wrong if label not in forms]
    if wrong:
        values: dict[str, Any] = {"first": concluded[wrong[0]].fact}
        if plain:
            values = {"first": concluded[plain[0]].fact, "wrong": plain, "count": len(concluded)}
            return Conclusion("disagree", Fact("wrong-under-cotangents", values))
        values["forms"] = [forms[label] for label in wrong]
        return Conclusion("disagree", Fact("wrong-for-forms", values))
    if all(each.verdict == "undecided" for each in concluded.values()):
        return first
    values = {"count": len(concluded), "jax": jax, "forms": [*forms.values()]}
    return Conclusion("agree", Fact("cotangents-agree", values))


def _losses(case: Evidence) -> Loss:
    if case.jax is None:
        return Loss(case.hand.loss, None, agree=case.obstacle is None)
    apart = abs(case.hand.loss - case.jax.loss)
    return Loss(case.hand.loss, case.jax.loss, agree=apart <= case.loss_apart)


def _tensors(case: Evidence, label: str) -> list[Tensor]:
    return [_tensor(name, case, label) for name in case.hand.grads]


def _tensor(name: str, case: Evidence, label: str) -> Tensor:
    """Compare one tensor's gradient by all witnesses that there are."""
    grads = case.hand.grads[name]
    entries, directions = case.entries.get(name), case.directions.get(name)
    hidden = _hidden(case, name)
    kinked = hidden != ""
    pairs = {}
    if case.jax is not None:
        pairs[HAND_JAX] = judge(against_jax(case, name), kinked, "entry", "autodiff")
    pairs[HAND_DIFFERENCE] = _with_differences(case, case.hand, name, kinked)
    if case.jax is not None:
        pairs[JAX_DIFFERENCE] = _with_differences(case, case.jax, name, kinked)
    resolution = _resolution(case, name, hidden)
    if resolution.zero == "here" and resolution.size:
        pairs = {way: _beside(pair, resolution.size) for way, pair in pairs.items()}
    verdict = _verdict(pairs.values(), resolution)
    worst = _furthest(case, name, pairs, verdict)
    return Tensor(
        name=name,
        shape=grads.shape,
        entries_checked=0 if entries is None else len(entries.index),
        directions_checked=0 if directions is None else len(directions.index),
        kinks=int((hidden == "kinks").sum()),
        pairs=pairs,
        value=np.asarray(grads, float),
        verdict=verdict,
        resolution=resolution,
        worst=worst and replace(worst, cotangent=label),
    )


def _beside(pair: Pair, size: float) -> Pair:
    """Return a pair of gradients that are 0 but for rounding, compared with a size nearby."""
    return replace(pair, relative=min(pair.relative, pair.max_abs / size))


def _verdict(pairs: Iterable[Pair], resolution: Resolution) -> str:
    if not all(pair.agree for pair in pairs):
        return "disagree"
    return "agree" if resolution.entry < FINEST else "undecided"


def _hidden(case: Evidence, name: str) -> np.ndarray:
    """Return what hides the derivative of each entry, empty where nothing does.

    "kinks" where the function bends, or rounding decides on which side of a bend it is; "edges"
    where it is not finite on both sides; "roughness" where the slopes beside it cannot be told
    to a tenth of the largest.
    """
    result = np.full(case.hand.grads[name].size, "", "U9")
    for witness in case.witnesses:
        result[witness.kinked[name].reshape(-1)] = "kinks"
    if name in case.entries:
        found = case.entries[name]
        rough = ~found.smooth
        bent = np.isfinite(found.bar[rough]) | (result[found.index[rough]] == "kinks")
        result[found.index[rough]] = np.where(bent, "kinks", "edges")
    if name in case.bends:
        bends = case.bends[name]
        size = float(np.abs(case.hand.grads[name]).max())
        unknown = bends.bar > np.maximum(bends.inner, FINEST * size)
        result[bends.index[unknown]] = "roughness"
    return result


def _resolution(case: Evidence, name: str, hidden: np.ndarray) -> Resolution:
    """Return the smallest error of one tensor that would have been seen, and what limits it."""
    seen = sight(case, name)
    if not seen.see.size:
        return Resolution(0.0, 0.0, 0.0, "")
    worst = int(np.argmax(seen.see))
    see, limit = float(seen.see[worst]), str(hidden[worst]) or _limit(seen, worst)
    if seen.zero:
        if name in case.independent and not case.hand.grads[name].any() and see < math.inf:
            return Resolution(0.0, 0.0, 0.0, "", "always")
        size = case.elsewhere.get(name, 0.0)
        if size > 0 and (seen.bar <= ZERO * size).all():
            return Resolution(see / size, math.inf, size, limit, "here")
        if not seen.largest:
            return Resolution(math.inf, math.inf, size, limit, "here")
    entry = see / seen.largest if seen.largest else math.inf
    return Resolution(entry, seen.factor, seen.largest, limit)


def _limit(seen: Sight, entry: int) -> str:
    """Return what widens the error bars of an entry most."""
    if not np.isfinite(seen.see[entry]):
        return "unjudged"
    return "witness" if seen.bar[entry] > seen.see[entry] / 2 else "rounding"


def _with_differences(
    case: Evidence, witness: Witness, name: str, kinked: Bool[Array, " entries"]
) -> Pair:
    """Compare with the differences of entries, and with all others: the worst of them."""
    by_entry = judge(against_entries(case, witness, name), kinked)
    others = [_without_entries(against_directions(case, witness, name), "direction")]
    if witness is case.hand:
        if name in case.bends:
            others.append(judge(against_bends(case, name), ~kinked, "bend"))
        if name in case.ties:
            others.append(_without_entries(case.ties[name], "ties"))
        others += [
            _without_entries(against_entries(there, there.hand, name), "beside")
            for there in case.beside
            if name in there.entries
        ]
    worst = max(others, key=lambda pair: pair.bar_ratio)
    if not by_entry.bar.size:
        return worst
    if worst.bar_ratio <= by_entry.bar_ratio:
        return by_entry
    return replace(worst, max_abs=by_entry.max_abs, relative=by_entry.relative)


def _without_entries(found: Compared, place: str) -> Pair:
    """Compare along directions, or at another point, where no entry is one of this tensor's."""
    everything = np.zeros(int(found.index.max(initial=-1)) + 1, bool)
    return replace(judge(found, everything, place), index=np.zeros(0, np.intp))


def judge(
    found: Compared,
    kinked: Bool[Array, " entries"],
    place: str = "entry",
    witness: str = "finite_difference",
) -> Pair:
    """Compare two witnesses within their error bars; `place` and `witness` are as in `Worst`.

    `kinked` marks, of all entries of the tensor, those that are compared like all others but
    left out of max_abs and of the relative difference.
    """
    difference = found.difference
    ratio = over_bar(difference, found.bar)
    plain = ~kinked[found.index]
    columns = np.stack([difference, found.value, found.other], axis=-1)
    gap, *sizes = map(float, sum_rounding.norm(columns[plain]))
    worst = None
    if ratio.size:
        at = int(np.argmax(ratio))
        index = None if place in ("direction", "ties") else int(found.index[at])
        value, other, bar = (float(x[at]) for x in (found.value, found.other, found.bar))
        worst = Worst(place, witness, index, value, other, bar)
    return Pair(
        max_abs=float(np.abs(difference[plain]).max(initial=0.0)),
        relative=gap / sum(sizes) if gap else 0.0,
        bar_ratio=float(ratio.max(initial=0.0)),
        agree=bool((ratio <= 1).all()),
        index=found.index,
        value=found.value,
        difference=difference,
        bar=found.bar,
        worst=worst,
    )


def _furthest(case: Evidence, name: str, pairs: Mapping[str, Pair], verdict: str) -> Worst | None:
    """Return where the gradient under test is furthest from what is expected, if anywhere."""
    found = [pair for way, pair in pairs.items() if way != JAX_DIFFERENCE]
    worst = max(found, key=lambda pair: pair.bar_ratio).worst
    at_bend = verdict == "undecided" or (worst is not None and worst.place == "bend")
    return (_unexplained_bend(case, name) if at_bend else None) or worst


def _unexplained_bend(case: Evidence, name: str) -> Worst | None:
    """Return the entry that is furthest outside what the bends surely allow, if any is."""
    if name not in case.bends:
        return None
    bends = case.bends[name]
    value = np.asarray(case.hand.grads[name], float).reshape(-1)[bends.index]
    surely = Compared(bends.index, value, bends.middle, bends.inner + bends.bar)
    worst = judge(surely, np.ones(case.hand.grads[name].size, bool), "bend").worst
    return worst if worst is not None and worst.wrong else None


def _worst(tensors: Sequence[Tensor], whole: int) -> Tensor:
    """Return one tensor for the same tensor under all cotangents: whatever is worst of it.

    Its entries count as checked if they were under every one of them. How small an error shows is
    the best of the first, `whole`, which have a part of every output: under others an error may
    show better, but not every error shows. What bends leave open under one cotangent no other
    settles.
    """
    pairs = {}
    for name in tensors[0].pairs:
        found = [tensor.pairs[name] for tensor in tensors]
        pairs[name] = replace(
            max(found, key=lambda pair: pair.bar_ratio),
            max_abs=max(pair.max_abs for pair in found),
            relative=max(pair.relative for pair in found),
        )
    open_bends = [t for t in tensors if t.worst and t.worst.place == "bend" and t.worst.wrong]
    sharpest = min(tensors[:whole], key=lambda tensor: tensor.resolution.entry)
    shown = open_bends[0] if open_bends else sharpest
    furthest = max(tensors, key=lambda t: max(pair.bar_ratio for pair in t.pairs.values()))
    verdict = _verdict(pairs.values(), shown.resolution)
    return replace(
        tensors[0],
        verdict=verdict,
        resolution=shown.resolution,
        worst=furthest.worst if verdict == "disagree" else shown.worst,
        entries_checked=min(tensor.entries_checked for tensor in tensors),
        directions_checked=max(tensor.directions_checked for tensor in tensors),
        kinks=max(tensor.kinks for tensor in tensors),
        pairs=pairs,
    )


def _coverage(tensors: Sequence[Tensor]) -> list[Fact]:
    """Return how many entries were not differenced, and how many are on kinks."""
    count = sum(math.prod(tensor.shape) for tensor in tensors)
    checked = sum(tensor.entries_checked for tensor in tensors)
    kinks = sum(tensor.kinks for tensor in tensors)
    notes = []
    if checked < count:
        directions = max(tensor.directions_checked for tensor in tensors)
        values = {"checked": checked, "count": count, "directions": directions}
        notes.append(Fact("sampled", values))
    if kinks:
        whole = [t.name for t in tensors if t.kinks and t.kinks == math.prod(t.shape)]
        notes.append(Fact("kinks", {"kinks": kinks, "count": count, "whole": whole}))
    return notes


def _zeros(tensors: Sequence[Tensor]) -> list[Fact]:
    """Return which gradients that agree are zero, here or always."""

    def named(zero: str) -> list[str]:
        return [t.name for t in tensors if t.verdict == "agree" and t.resolution.zero == zero]

    here, always = named("here"), named("always")
    notes = [Fact("zero-here", {"tensors": here})] if here else []
    return notes + ([Fact("independent", {"tensors": always})] if always else [])


def _ties(cases: Sequence[Evidence]) -> list[Fact]:
    """Return in which tensors the gradient misses the derivative along tied entries."""
    tied = list(dict.fromkeys(name for case in cases for name in case.ties))
    return [Fact("ties", {"tensors": tied})] if tied else []


def _shared_notes(cases: Sequence[Evidence]) -> list[Fact]:
    """Return the notes that are true of every case."""
    first, *others = cases
    return [note for note in first.notes if all(note in other.notes for other in others)]


def _worst_shown(verdict: str, cases: Sequence[Evidence]) -> list[Fact]:
    several = verdict == "disagree" and len(cases) > 1
    return [Fact("worst-of-all-cotangents")] if several else []
