"""The evidence on gradients of which nothing is known but how to call them.

Whatever the verdict rests on is measured by calling the functions: the rounding of the gradient
(`verify.evidence.bars.measured`), the differences of the losses with their noise and their bends
(`verify.evidence.differences.budgeted`), and whether the same place gives the same answer
twice. What contradicts a gradient is looked at again (`verify.evidence.second_look`).

Of several cotangents the leading ones, which have a part of every output, are measured in full.
Under the others, where one output shows alone, the gradients are compared with the same
differences and with the error bars of the leading ones, unless something contradicts them.

Not here: how a user's functions become `Claims` (`verify.function`, `verify.layer`), and what
follows from the evidence (`verify.verdict`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from verify.evidence.bars import measured
from verify.evidence.bars.measured import DRAWS, DRAWS_OF_16_BITS, Sizes, ValueAndGrads
from verify.evidence.claims import (
    Claim,
    Claims,
    by_hand,
    carries_float64,
    copied,
    each_by_hand,
    each_gradient_by_hand,
    gradient_by_hand,
    in_float64,
    obstacle,
    product,
    refuse_changes,
    wider,
)
from verify.evidence.clock import Clock
from verify.evidence.differences import budgeted, staircase
from verify.evidence.differences.batches import Losses
from verify.evidence.differences.bends import Place
from verify.evidence.differences.budgeted import Gathered, Sample
from verify.evidence.differences.central import (
    NOISE_EVALUATIONS,
    Functions,
    Params,
    central_differences,
    copy,
    noise_levels,
)
from verify.evidence.differences.complex_step import is_analytic
from verify.evidence.differences.shared import Stated
from verify.evidence.precisions import DOUBLE, PRECISIONS, SINGLE, unit_of
from verify.evidence.second_look import Found, against_float64, by_jax, examined, together
from verify.evidence.sight import FINEST, ZERO, depends, largest_away, sight
from verify.evidence.single_outputs import under_others
from verify.evidence.witnesses import Array, Evidence, Witness, suspects
from verify.report import Fact

TRIED = 8
"""Entries that are differenced nearby, of a tensor whose gradient is 0 here."""
WIDENING_SECONDS = 0.02
"""Extended precision can be a hundred times slower: it is not tried on a gradient beyond this."""
DRAWING = 0.4
"""The part of the time that the rounding of the gradient may take, at most, and the others'."""
CALLS = 12
"""Gradients under each leading cotangent that are taken beside the draws, some in float64."""
DIFFERENCING = 0.7
"""The part of the time that is left that differences may take; the rest is for second looks."""
ALONE = 4
"""Outputs that are shown alone where each cotangent takes differences of its own."""
FEWEST = 3
"""Draws below which nothing is known of rounding."""
ANYWAY = 8
"""Pairs of calls, of the function and its gradient, that a check takes in any case, beside those
that sizes, rounding, noise and steps take."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """The evidence on claims, the calls of the forward pass that differences took, and the time.

    `cases` has the evidence under the cotangents that are shown; `wrong` names the others under
    which a gradient is wrong, and `right` counts those under which none is. `seconds` are those
    of one gradient by hand, of JAX, of the differences, and of everything. `hurried` says
    whether anything was left out for lack of time. `cotangents` names those that were meant to
    be taken, and `forms` has those that were taken in a form that is not plain.
    """

    cases: Mapping[str, Evidence]
    wrong: Sequence[str] = ()
    right: int = 0
    evaluations: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    hurried: bool = False
    cotangents: Sequence[str] = ()
    forms: Mapping[str, str] = field(default_factory=dict)


def measure(
    claims: Claims,
    stated: float | None,
    budget: int,
    seed: int,
    seconds: float,
    advance: Callable[[], None],
    spent: float = 0.0,
) -> Measurement:
    """Return the evidence on claims, in about `budget` calls of their outputs, and in `seconds`.

    Some of these are already `spent`. `stated` is the unit roundoff that they are said to compute
    in, which is found out otherwise. `advance` is called before each of those calls. JAX computes
    in float64 meanwhile.

    Raises ValueError if a function changes its argument.
    """
    import jax

    # On the way to an answer functions are called where they overflow or are not defined.
    with jax.enable_x64(True), np.errstate(all="ignore"):
        start = time.perf_counter() - spent
        return _measured(claims, stated, Clock(budget, seconds, advance, start=start), seed)


def _measured(claims: Claims, stated: float | None, clock: Clock, seed: int) -> Measurement:
    rng = np.random.default_rng(seed)
    arrays = copy(claims.tree.arrays)
    first = claims.under(next(iter(claims.cotangents)))
    before = time.perf_counter()
    refuse_changes(first)
    one, before = time.perf_counter() - before, time.perf_counter()
    here = [by_hand(first)(arrays)]
    seconds = {"manual": time.perf_counter() - before, "autodiff": 0.0}
    one = min(one, seconds["manual"])  # what came between on a busy machine is no price
    if (reason := _too_slow(claims, one, clock)) is not None:
        return _obstructed(claims, here[0][0], reason)
    claims = _in_time(claims, one, clock)
    claims = _with_arithmetic(claims, arrays, here[0][1], stated, rng)
    labels = list(claims.cotangents)[: claims.leading]
    leads = [claims.under(label) for label in labels]
    if labels[1:]:
        here += each_by_hand(claims, labels[1:])(arrays)
    if first.mirror is not None:
        first.mirror(arrays)  # that it is compiled now is no measure of what it takes
    before = time.perf_counter()
    sizes = _sizes(claims, leads, arrays, here, rng)
    each = (time.perf_counter() - before) / measured.ATTEMPTS
    reason = obstacle(first, arrays, here[0], sizes[0], claims.unit)
    if reason is not None:
        return _obstructed(claims, here[0][0], reason)
    draws = _draws(clock, each, claims.unit)
    found = _found(claims, leads, arrays, here, sizes, draws, seconds, rng)
    before = time.perf_counter()
    pulled = _pulled_back(claims, found, clock)
    cases, compared, taken = _with_differences(
        claims, leads, arrays, found, pulled, clock, seed, rng
    )
    seconds["finite_difference"] = time.perf_counter() - before
    seconds["total"] = time.perf_counter() - clock.start
    names = list(claims.cotangents)
    forms = {label: form for label, form in claims.forms.items() if label in taken}
    return Measurement(cases, *compared, clock.made, seconds, clock.hurried, names, forms)


def _obstructed(claims: Claims, loss: float, reason: Fact) -> Measurement:
    case = Evidence(Witness(loss, math.inf, {}, {}, {}), obstacle=reason)
    return Measurement({next(iter(claims.cotangents)): case}, cotangents=[*claims.cotangents])


def _least(claims: Claims, leading: int) -> float:
    """Return about how many pairs of calls a check of some leading cotangents takes at least.

    An evaluation of the function alone counts as half of one.
    """
    narrow = any(unit_of(x.dtype) >= SINGLE for x in claims.tree.arrays.values())
    each = measured.ATTEMPTS + FEWEST * (3 if narrow else 1) + len(measured.SIXTH) * narrow
    evaluations = NOISE_EVALUATIONS + budgeted.PILOT * len(claims.tree.arrays)
    return ANYWAY + leading * each + evaluations / 2


def _too_slow(claims: Claims, one: float, clock: Clock) -> Fact | None:
    """Return that a check takes more time than there is, at the price of one pair of calls."""
    least = one * _least(claims, leading=1)
    if least <= clock.time_left:
        return None
    functions = dict(zip(("function", "gradient"), claims.names, strict=True))
    return Fact("too-slow", {**functions, "one": one, "least": least, "seconds": clock.seconds})


def _in_time(claims: Claims, one: float, clock: Clock) -> Claims:
    """Return claims with one leading cotangent alone where more would take all the time."""
    if one * _least(claims, claims.leading) <= DRAWING * clock.time_left:
        return claims
    clock.hurried = True
    dropped = list(claims.cotangents)[1 : claims.leading]
    kept = {k: c for k, c in claims.cotangents.items() if k not in dropped}
    return replace(claims, cotangents=kept, leading=1)


def _with_arithmetic(
    claims: Claims,
    arrays: Params,
    grads: Params,
    stated: float | None,
    rng: np.random.Generator,
) -> Claims:
    """Return claims with what their functions compute in, which is found out unless `stated`.

    `grads` are the gradients under the first cotangent. Where each cotangent takes differences of
    its own, all are leading, and few are kept.
    """
    label, cotangent = next(iter(claims.cotangents.items()))
    first = claims.under(label)
    if stated is not None:
        unit = max(stated, *(unit_of(x.dtype) for x in claims.tree.arrays.values()))
    else:
        native, gradient = _native_loss(first), partial(gradient_by_hand, first)
        unit = measured.unit_roundoff(native, claims.tree.arrays, rng)
        if unit <= SINGLE and measured.is_staircase(native, gradient, arrays, grads, rng):
            unit = measured.coarseness(by_hand(first), arrays, rng)
    outputs = in_float64(claims, arrays)

    def loss(at: Params) -> float:
        return float(product(cotangent, outputs(at)))

    if unit <= SINGLE or not measured.is_staircase(loss, lambda _: {}, arrays, grads, rng):
        return replace(claims, unit=unit)
    count = claims.leading + len(claims.forms) + ALONE
    kept = dict(list(claims.cotangents.items())[:count])
    return replace(claims, unit=unit, steps=True, cotangents=kept, leading=len(kept))


def _with_differences(
    claims: Claims,
    leads: Sequence[Claim],
    arrays: Params,
    found: Sequence[Found],
    pulled: Mapping[str, Array],
    clock: Clock,
    seed: int,
    rng: np.random.Generator,
) -> tuple[dict[str, Evidence], tuple[list[str], int], list[str]]:
    """Return the evidence under the cotangents that are shown, what is true of the others, and all.

    All are those that were taken.
    """
    labels = list(claims.cotangents)[: len(next(iter(pulled.values())))]
    rows = np.array([claims.cotangents[label] for label in labels])
    outputs = in_float64(claims, arrays)
    f = Losses(rows, outputs, claims.raw, clock)
    noise = _noise(f, partial(_product, rows[0], outputs), arrays, claims.unit, seed)
    stated = {name: _stated(name, found, pulled[name]) for name in arrays}
    analytic = partial(is_analytic, claims.raw, arrays)
    at_once = _is_affordable(claims, arrays, clock.budget) and analytic()
    if claims.steps:
        noise = _step_noise(f, arrays, noise, claims.unit, rng)
        samples = _over_stairs(f, arrays, found, noise, clock, rng)
    else:
        gathered = _gathered(f, arrays, stated, noise, at_once, len(leads), clock, rng)
        samples = [gathered.of(k) for k in range(len(leads))]
    cases: dict[str, Evidence] = {}
    entries = sum(x.size for x in arrays.values())
    known: frozenset[str] = frozenset()
    places = partial(_place, f, arrays, noise, clock, rng)
    for k, (lead, each, sample) in enumerate(zip(leads, found, samples, strict=True)):
        soon = at_once and clock.left() >= entries
        if soon or (_unresolved(claims, each, sample, clock) and analytic()):
            one = partial(_product, rows[k], outputs)
            sample = budgeted.sharpened(sample, one, arrays, each.sizes)
        evidence, sample = examined(lead, places(k, each), each, sample, known)
        evidence = _with_zeros(places(k, each), lead.mirror, evidence)
        cases[labels[k]] = replace(evidence, notes=_notes(claims))
        known |= frozenset(suspects(evidence)[0])
    if claims.steps or len(labels) == len(leads):
        return cases, ([], 0), labels
    others = under_others(claims, labels, pulled, found, gathered, cases, places, known, rng)
    return cases | others.cases, (others.wrong, others.right), labels


def _native_loss(claim: Claim) -> Callable[[Params], float]:
    return lambda at: float(claim.loss(claim.tree.native(at)))


def _product(cotangent: Array, outputs: Functions, at: Params) -> Array:
    return product(cotangent, outputs(at))


def _one(f: Functions, loss: int) -> Callable[[Params], float]:
    return lambda at: float(f(at)[loss])


def _with_zeros(place: Place, mirror: ValueAndGrads | None, evidence: Evidence) -> Evidence:
    """Add how large the gradients that are 0 here are nearby, and which are 0 everywhere."""
    f, arrays, noise, rng = place.f, place.arrays, place.noise, place.rng

    def size(name: str, at: Params) -> float:
        if mirror is not None:
            return float(np.abs(mirror(at)[1][name]).max())
        some = rng.choice(at[name].size, min(TRIED, at[name].size), replace=False)
        found = central_differences(f, at, {name: some}, noise=noise)[name]
        return float((np.abs(found.value) - found.bar)[found.smooth].max(initial=0.0))

    elsewhere = {}
    for name in arrays:
        seen = sight(evidence, name)
        if seen.see.size and seen.zero and place.left() > 0:
            enough = float(max(seen.bar.max() / ZERO, seen.see.max() / FINEST))
            largest = partial(size, name)
            elsewhere[name] = largest_away(largest, arrays, enough, rng)
    never = [name for name, largest in elsewhere.items() if largest == 0]
    independent = frozenset(name for name in never if not depends(f, arrays, name, rng))
    return replace(evidence, elsewhere=elsewhere, independent=independent)


def _notes(claims: Claims) -> tuple[Fact, ...]:
    """Return in what the functions compute, if that is no type of their arguments."""
    own = max(unit_of(array.dtype) for array in claims.tree.arrays.values())
    if claims.unit <= own:
        return ()
    if claims.unit == SINGLE:
        return (Fact("computes-in-float32", {"function": claims.names[0]}),)
    name = next(name for name, precision in PRECISIONS.items() if precision.u == claims.unit)
    return (Fact("computes-in-16-bits", {"name": name, "forward": claims.steps}),)


def _draws(clock: Clock, each: float, unit: float) -> int:
    """Return how often rounding can be drawn in the time there is, at the price of `each` draw."""
    weight = 3 if unit >= SINGLE else 1  # a narrow gradient is drawn in float64 as well
    affordable = (DRAWING * clock.time_left / max(each, 1e-9) - CALLS) / weight
    clock.hurried = clock.hurried or affordable < DRAWS
    return int(min(max(affordable, FEWEST), DRAWS if unit <= SINGLE else DRAWS_OF_16_BITS))


def _found(
    claims: Claims,
    leads: Sequence[Claim],
    arrays: Params,
    here: Sequence[tuple[float, Params]],
    sizes: Sequence[Sizes],
    draws: int,
    seconds: dict[str, float],
    rng: np.random.Generator,
) -> list[Found]:
    """Return the gradients under the leading cotangents, each with its bars.

    They are those by hand, and by JAX if there is a mirror.
    """
    labels = list(claims.cotangents)[: len(leads)]
    if claims.mirror is None:  # the rounding of a loss matters only where another is compared
        losses = {label: loss for label, (loss, _) in zip(labels, here, strict=True)}
        ways = each_gradient_by_hand(claims, losses)
    else:
        ways = each_by_hand(claims, labels)
    hands = measured.measure_each(ways, arrays, here, sizes, claims.unit, rng, draws)
    return [
        _with_jax(claims, lead, arrays, hand, size, draws, seconds, rng)
        for lead, hand, size in zip(leads, hands, sizes, strict=True)
    ]


def _with_jax(
    claims: Claims,
    claim: Claim,
    arrays: Params,
    hand: Witness,
    sizes: Sizes,
    draws: int,
    seconds: dict[str, float],
    rng: np.random.Generator,
) -> Found:
    """Return one gradient by hand with all that widens its bars, and by JAX."""
    unit = claims.unit
    hand = against_float64(claim, arrays, hand, sizes, unit, draws, rng)
    if seconds["manual"] < WIDENING_SECONDS and not carries_float64(claim):
        hand = measured.with_wider(hand, wider(claim, arrays), sizes, unit)
    before = time.perf_counter()
    jax = by_jax(claim, arrays, hand, sizes, unit, draws, rng)
    seconds["autodiff"] += time.perf_counter() - before
    return Found(hand, jax, sizes, unit, claims.steps)


def _sizes(
    claims: Claims,
    leads: Sequence[Claim],
    arrays: Params,
    here: Sequence[tuple[float, Params]],
    rng: np.random.Generator,
) -> list[Sizes]:
    """Return the natural sizes that any witness finds; `here` is what the leading claims gave."""
    ways = each_by_hand(claims, list(claims.cotangents)[: len(leads)])
    sizes = measured.sizes_of_each(ways, arrays, here, rng)
    for k, lead in enumerate(leads):
        if lead.mirror is not None:
            peer = measured.natural_sizes(lead.mirror, arrays, *lead.mirror(arrays), rng)
            sizes[k] = measured.larger(sizes[k], peer)
    return sizes


def _pulled_back(claims: Claims, found: Sequence[Found], clock: Clock) -> dict[str, Array]:
    """Return the gradients under all cotangents, (K, entries) a tensor, as far as there is time."""
    arrays = claims.tree.arrays
    rows = {k: [each.hand.grads[k].reshape(-1) for each in found] for k in arrays}
    enough, pull = (1 - DRAWING) * clock.time_left, claims.at(arrays)
    for label in list(claims.cotangents)[len(found) :]:
        if clock.time_left < enough:
            clock.hurried = True
            break
        for name, gradient in (claims.pulled.get(label) or copied(pull(label))).items():
            rows[name].append(gradient.reshape(-1))
    return {name: _as_rows(rows.pop(name)) for name in arrays}


def _as_rows(gradients: list[Array]) -> Array:
    """Return flat gradients as rows, in the type of the last where that holds all of them."""
    if len(gradients) == 1:
        return gradients[0][None]
    own = gradients[-1].dtype
    exact = all(g.dtype == own or np.array_equal(g.astype(own), g) for g in gradients)
    rows = np.empty((len(gradients), gradients[0].size), own if exact else float)
    for row in rows[::-1]:  # no gradient is held twice
        row[:] = gradients.pop()
    return rows


def _stated(name: str, found: Sequence[Found], pulled: Array) -> Stated:
    """Return what is said of a tensor's gradient by hand and by JAX."""
    by_jax = [each.jax.grads[name].reshape(-1) for each in found if each.jax is not None]
    bars = [(each.jax or each.hand).bars[name].reshape(-1) for each in found]
    values = [pulled, np.array(by_jax)] if by_jax else [pulled]
    return Stated(values, bars[0] if len(bars) == 1 else np.max(bars, axis=0))


def _noise(
    f: Functions, first: Callable[[Params], Array], arrays: Params, unit: float, seed: int
) -> Array:
    """Return the standard deviation of one evaluation, at least the rounding of its result.

    Losses that work in float32 inside may be constant wherever their noise is looked for. `unit`
    is what they compute in on the arrays that are given, which may not be of float64.
    """
    if unit > DOUBLE:
        rng = np.random.default_rng(seed)
        unit = measured.unit_roundoff(lambda at: float(first(at)), arrays, rng)
    return np.asarray(np.maximum(noise_levels(f, arrays, seed), unit * np.abs(f(arrays))))


def _is_affordable(claims: Claims, arrays: Params, budget: int) -> bool:
    """Say whether there are calls for the complex step of every entry: of a loss of one's own."""
    count = sum(value.size for value in arrays.values())
    enough = budgeted.whole(arrays, budget) or 2 * count <= budget
    return len(claims.cotangents) == 1 and enough and not claims.steps


def _unresolved(claims: Claims, found: Found, sample: Sample, clock: Clock) -> bool:
    """Say whether the differences of a layer do not show an error of a tenth, in some tensor."""
    count = sum(value.size for value in claims.tree.arrays.values())
    if claims.steps or len(claims.cotangents) == 1 or count > clock.left():
        return False
    evidence = together(found.hand, found.jax, sample)
    seen = [sight(evidence, name) for name in found.hand.grads]
    return any((each.see > FINEST * each.largest).any() for each in seen if not each.zero)


def _step_noise(
    f: Functions, arrays: Params, noise: Array, unit: float, rng: np.random.Generator
) -> Array:
    """Return the standard deviation of one evaluation of each staircase about its smooth part."""
    every = range(len(noise))
    stairs = [measured.step_noise(_one(f, k), arrays, unit, rng) for k in every]
    return np.asarray(np.maximum(noise, stairs))


def _over_stairs(
    f: Functions,
    arrays: Params,
    found: Sequence[Found],
    noise: Array,
    clock: Clock,
    rng: np.random.Generator,
) -> list[Sample]:
    """Return the differences of losses that are staircases, which there is time for."""
    timely = DIFFERENCING * clock.affordable()
    clock.hurried = clock.hurried or timely < clock.budget - clock.made
    calls = int(max(min(timely, clock.budget - clock.made), 0))
    grads = [dict(each.hand.grads) for each in found]
    return staircase.gather(f, arrays, grads, noise, found[0].unit, calls, rng)


def _gathered(
    f: Functions,
    arrays: Params,
    stated: Mapping[str, Stated],
    noise: Array,
    analytic: bool,
    leading: int,
    clock: Clock,
    rng: np.random.Generator,
) -> Gathered:
    """Return the differences that there are calls and time for."""
    count = sum(value.size for value in arrays.values())
    calls, timely = max(clock.budget - clock.made, 0), DIFFERENCING * clock.affordable()
    clock.hurried = clock.hurried or timely < min(calls, budgeted.at_most(arrays, calls))
    budget, most = int(min(calls, max(timely, 0))), count
    if analytic and not budgeted.whole(arrays, budget):
        budget, most = budget - count, budgeted.VOUCHERS
    return budgeted.gather(f, arrays, stated, noise, budget, most, leading, clock, rng)


def _place(
    f: Functions,
    arrays: Params,
    noise: Array,
    clock: Clock,
    rng: np.random.Generator,
    loss: int,
    found: Found,
) -> Place:
    """Return what a second look at one of the losses needs."""
    one = _one(f, loss)
    return Place(one, arrays, float(noise[loss]), found.rounding, clock.left, rng)
