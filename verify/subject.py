"""The check of a loss and a gradient of which nothing is known, with their mirror or without.

Whatever the verdict rests on is measured by calling the functions: the rounding of the gradient
(`verify.evidence.bars.measured`), the differences of the loss with their noise and their bends
(`verify.evidence.differences.budgeted`), and whether the same place gives the same answer
twice. What speaks against the gradient is looked at again before it is believed.

Not here: how a user's functions become a `Subject` (`verify.function`).
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from verify.evidence.bars import measured
from verify.evidence.bars.measured import DOUBLE, Measured, Sizes, ValueAndGrads
from verify.evidence.differences import budgeted
from verify.evidence.differences.budgeted import Evidence
from verify.evidence.differences.central import Differences, copy, noise_level
from verify.evidence.trees import Tree
from verify.report import PAIRS, Loss, Pair, Report, Tensor, over_bar
from verify.verdict import conclude, judge

Params = dict[str, np.ndarray]

HAND_JAX, HAND_DIFFERENCE, JAX_DIFFERENCE = PAIRS
RANDOM = 2.0**10
"""Units of rounding by which two calls at the same place may differ and still be one function."""
WIDENING_SECONDS = 0.02
"""Extended precision can be a hundred times slower: it is not tried on a gradient beyond this."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What is checked, as functions of flat dicts of arrays of whatever dtype they come in.

    `loss` returns one number as a 0-d array of the dtype that the user's function gave it;
    `grads` an array a name; `mirror` the loss and the gradients by JAX. `names` is what the user
    calls the function and its gradient.
    """

    tree: Tree
    loss: Callable[[Params], np.ndarray]
    grads: Callable[[Params], Params]
    mirror: Callable[[Params], tuple[float, Params]] | None
    names: tuple[str, str]


def check(subject: Subject, budget: int, seed: int) -> Report:
    """Return the report on one loss, with float64 enabled in JAX, the user's own included."""
    import jax

    # On the way to an answer functions are called where they overflow or are not defined.
    with jax.enable_x64(True), np.errstate(all="ignore"):
        return _checked(subject, budget, seed)


def _checked(subject: Subject, budget: int, seed: int) -> Report:
    start = time.perf_counter()
    rng = np.random.default_rng(seed)
    arrays = copy(subject.tree.arrays)
    by_hand = _by_hand(subject)
    settings = {
        "parameters": sum(value.size for value in arrays.values()),
        "dtype": ", ".join(sorted({str(value.dtype) for value in subject.tree.arrays.values()})),
        "budget": budget,
        "seed": seed,
    }

    _refuse_changes(subject)
    before = time.perf_counter()
    value, grads = by_hand(arrays)
    hand_seconds = time.perf_counter() - before
    unit = measured.unit_roundoff(lambda at: by_hand(at)[0], subject.tree.arrays, rng)
    sizes = _sizes(subject, by_hand, arrays, value, grads, rng)
    fault = _unusable(subject, by_hand, arrays, value, sizes, unit)
    if fault:
        return Report("undecided", fault, Loss(value, None, agree=False), (), settings)
    hand = measured.measure(by_hand, arrays, value, grads, sizes, unit, rng)
    if hand_seconds < WIDENING_SECONDS:
        hand = measured.with_wider(hand, _wider(subject, arrays), sizes, unit)

    before = time.perf_counter()
    jax = None
    if subject.mirror is not None:
        jax = measured.measure(subject.mirror, arrays, *subject.mirror(arrays), sizes, DOUBLE, rng)
        jax = replace(jax, bars={k: np.maximum(b, hand.bars[k]) for k, b in jax.bars.items()})
    jax_seconds = time.perf_counter() - before

    before = time.perf_counter()
    calls = itertools.count()
    with _progress(budgeted.at_most(arrays, budget)) as advance:

        def counted(at: Params) -> np.ndarray:
            next(calls)
            advance()
            return subject.loss(at)

        f = _real_loss(counted, subject.tree, arrays)
        noise = _noise(f, arrays, value, seed)
        evidence = budgeted.gather(
            f, counted, arrays, grads, hand.bars, sizes, noise, max(budget - next(calls), 0), rng
        )
        if not all(tensor.agree for tensor in _judged(hand, jax, evidence)):
            hand = measured.with_zeros_moved(hand, by_hand, arrays, sizes, unit, rng)
            if jax is not None and subject.mirror is not None:
                jax = measured.with_zeros_moved(jax, subject.mirror, arrays, sizes, DOUBLE, rng)
            entries, _ = _suspects(hand, jax, evidence)
            evidence = budgeted.without_contradicted_step(f, arrays, evidence, entries)
            suspects = _suspects(hand, jax, evidence)
            evidence = budgeted.reconsider(f, arrays, evidence, *suspects, rng)
    difference_seconds = time.perf_counter() - before

    tensors = _judged(hand, jax, evidence)
    verdict, meaning = _concluded(hand, jax, tensors, _bare(evidence))
    return Report(
        verdict=verdict,
        meaning=meaning,
        loss=_losses(hand, jax),
        tensors=tensors,
        settings=settings | {"evaluations": next(calls) - 1},
        remarks=_remarks(evidence, tensors, unit, subject.tree),
        seconds={
            "manual": hand_seconds,
            "autodiff": jax_seconds,
            "finite_difference": difference_seconds,
            "total": time.perf_counter() - start,
        },
    )


def _by_hand(subject: Subject) -> ValueAndGrads:
    """Return the user's loss and gradient at given values, in the dtype that theirs have."""

    def way(at: Params) -> tuple[float, Params]:
        native = subject.tree.native(at)
        grads = subject.grads(native)
        return float(subject.loss(native)), {k: np.asarray(g, float) for k, g in grads.items()}

    return way


def _refuse_changes(subject: Subject) -> None:
    """Raise ValueError if either function writes to the arrays that it is given."""
    for name, function in zip(subject.names, (subject.loss, subject.grads), strict=True):
        given = subject.tree.native(subject.tree.arrays)
        function(given)
        for tensor, array in subject.tree.arrays.items():
            if not np.array_equal(given[tensor], array):
                raise ValueError(
                    f"{name}: it changed {tensor} in place, expected a function that leaves its "
                    "arguments as they are"
                )


def _unusable(
    subject: Subject,
    by_hand: ValueAndGrads,
    arrays: Params,
    value: float,
    sizes: Sizes,
    unit: float,
) -> str:
    """Return in a sentence why there is nothing to check, or an empty string."""
    loss_name, grads_name = subject.names
    if not math.isfinite(value):
        return f"{loss_name} is {value} here, so there is no gradient to check."
    (again, first), (third, second) = by_hand(arrays), by_hand(arrays)
    cure = "Draw what is random, such as dropout masks, outside, and pass it in."
    if max(abs(again - value), abs(third - value)) > RANDOM * unit * sizes.value:
        return (
            f"{loss_name} is random: at the same place it gave {value:.9g} and then {again:.9g}. "
            f"{cure}"
        )
    for name, size in sizes.grads.items():
        if (np.abs(first[name] - second[name]) > RANDOM * unit * size).any():
            return (
                f"{grads_name} is random: at the same place it gave two gradients of {name}. {cure}"
            )
    return ""


def _sizes(
    subject: Subject,
    by_hand: ValueAndGrads,
    arrays: Params,
    value: float,
    grads: Params,
    rng: np.random.Generator,
) -> Sizes:
    """Return the natural sizes that any way finds."""
    sizes = measured.natural_sizes(by_hand, arrays, value, grads, rng)
    if subject.mirror is None:
        return sizes
    return measured.larger(
        sizes, measured.natural_sizes(subject.mirror, arrays, *subject.mirror(arrays), rng)
    )


def _wider(subject: Subject, arrays: Params) -> Params:
    """Return the gradients that the user's function computes in a wider type, where it does."""
    native = {value.dtype for value in subject.tree.arrays.values()}
    wide = np.longdouble if np.dtype(np.float64) in native else np.float64
    if np.finfo(wide).eps >= min(np.finfo(dtype).eps for dtype in native):
        return {}
    try:
        found = subject.grads({k: value.astype(wide) for k, value in arrays.items()})
    except Exception:
        # Whatever it is that fails on the wider type, the function does not carry it through.
        return {}
    return {k: g for k, g in found.items() if g.dtype == wide and np.isfinite(g).all()}


def _real_loss(
    loss: Callable[[Params], np.ndarray], tree: Tree, arrays: Params
) -> Callable[[Params], float]:
    """Return the loss of float64 arrays, cast to what the parameters are if it takes no other.

    Where it is not defined, as the logarithm of a negative number, it is not a number.
    """
    build: Callable[[Params], Params] = dict
    try:
        loss(copy(arrays))
    except Exception:
        # A loss that accepts its own dtype alone is differenced in it; its noise will show.
        build = tree.native

    def real(at: Params) -> float:
        try:
            return float(loss(build(at)))
        except (ArithmeticError, ValueError):
            return math.nan

    return real


def _noise(f: Callable[[Params], float], arrays: Params, value: float, seed: int) -> float:
    """Return the standard deviation of one evaluation, at least the rounding of its result.

    A loss that works in float32 inside may be constant wherever its noise is looked for.
    """
    unit = measured.unit_roundoff(f, arrays, np.random.default_rng(seed))
    return max(noise_level(f, arrays, seed), unit * abs(value))


def _judged(hand: Measured, jax: Measured | None, evidence: Evidence) -> list[Tensor]:
    return [_tensor(name, hand, jax, evidence) for name in hand.grads]


def _tensor(name: str, hand: Measured, jax: Measured | None, evidence: Evidence) -> Tensor:
    """Compare one tensor's gradient by all ways that there are."""
    entries = evidence.entries[name]
    accident = hand.accident[name].ravel().astype(bool)
    if jax is not None:
        accident = accident | jax.accident[name].ravel()
    kinked = accident.copy()
    kinked[entries.index[~entries.smooth]] = True
    pairs = {}
    if jax is not None:
        pairs[HAND_JAX] = judge(
            hand.grads[name].ravel(),
            jax.grads[name].ravel(),
            (hand.bars[name] + jax.bars[name]).ravel(),
            np.arange(kinked.size),
            kinked,
        )
    pairs[HAND_DIFFERENCE] = _against_differences(name, hand, evidence, kinked)
    if jax is not None:
        pairs[JAX_DIFFERENCE] = _against_differences(name, jax, evidence, kinked)
    return Tensor(
        name=name,
        shape=hand.grads[name].shape,
        entries_checked=len(entries.index),
        directions_checked=len(evidence.directions[name].index)
        if name in evidence.directions
        else 0,
        kinks=int(kinked.sum()),
        pairs=pairs,
        value=hand.grads[name],
    )


def _against_differences(name: str, way: Measured, evidence: Evidence, kinked: np.ndarray) -> Pair:
    """Compare one tensor's gradient with its differences, of entries and along directions.

    Where the differences have no derivative there is nothing to compare.
    """
    grads, bars = way.grads[name].ravel(), way.bars[name].ravel()
    found = _smooth_part(evidence.entries[name])
    by_entry = judge(
        grads[found.index],
        found.value,
        found.bar + bars[found.index],
        found.index,
        kinked[found.index],
    )
    if name not in evidence.directions:
        return by_entry
    found = _smooth_part(evidence.directions[name])
    vectors = evidence.vectors[name][found.index]
    along = judge(
        vectors @ grads,
        found.value,
        found.bar + np.abs(vectors) @ bars,
        np.zeros(0, np.intp),
        np.zeros(len(found.index), bool),
    )
    if along.bar_ratio <= by_entry.bar_ratio:
        return by_entry
    return replace(along, max_abs=by_entry.max_abs, relative=by_entry.relative)


def _smooth_part(found: Differences) -> Differences:
    kept = found.smooth
    return Differences(found.index[kept], found.value[kept], found.bar[kept], found.smooth[kept])


def _suspects(
    hand: Measured, jax: Measured | None, evidence: Evidence
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the entries and directions whose differences are outside any way's bars."""
    entries: dict[str, np.ndarray] = {}
    directions: dict[str, np.ndarray] = {}
    ways = [hand] if jax is None else [hand, jax]
    for name, found in evidence.entries.items():
        entries[name] = _outside(
            found, [(w.grads[name].ravel(), w.bars[name].ravel()) for w in ways]
        )
    for name, found in evidence.directions.items():
        v = evidence.vectors[name]
        along = [(v @ w.grads[name].ravel(), np.abs(v) @ w.bars[name].ravel()) for w in ways]
        directions[name] = _outside(found, along)
    return (
        {name: index for name, index in entries.items() if index.size},
        {name: index for name, index in directions.items() if index.size},
    )


def _outside(found: Differences, ways: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the indices of the smooth differences outside the bars of any way, worst first."""
    ratios = [
        over_bar(grads[found.index] - found.value, found.bar + bars[found.index])
        for grads, bars in ways
    ]
    worst = np.where(found.smooth, np.max(ratios, axis=0), 0)
    order = np.argsort(-worst, kind="stable")
    return found.index[order][worst[order] > 1]


def _losses(hand: Measured, jax: Measured | None) -> Loss:
    if jax is None:
        return Loss(hand.value, None, agree=True)
    apart = abs(hand.value - jax.value)
    return Loss(hand.value, jax.value, agree=apart <= hand.value_bar + jax.value_bar)


def _concluded(
    hand: Measured, jax: Measured | None, tensors: Sequence[Tensor], bare: Sequence[str]
) -> tuple[str, str]:
    """Return the verdict and its meaning, which names the tensors that could not be checked."""
    if jax is not None:
        return conclude(_losses(hand, jax).agree, tensors)
    wrong = [t.name for t in tensors if not t.agree]
    if wrong:
        return "disagree", (
            f"The gradient is wrong in {_gradients(wrong)}: "
            "finite differences of the loss stand against it."
        )
    if len(bare) == len(tensors):
        return "undecided", (
            "Nothing could be checked: wherever it was tried, the loss has no derivative, "
            "and there is no mirror to compare with."
        )
    meaning = "The gradient agrees with finite differences of the loss, within their error bars."
    if bare:
        meaning += f" {_gradients(bare)} could not be checked: the loss has no derivative there."
    return "agree", meaning


def _gradients(names: Sequence[str]) -> str:
    return ", ".join(f"d{name}" for name in names)


def _bare(evidence: Evidence) -> list[str]:
    """Return the tensors of which no difference at all was on a smooth part of the loss."""
    return [
        name
        for name, found in evidence.entries.items()
        if not found.smooth.any()
        and not (name in evidence.directions and evidence.directions[name].smooth.any())
    ]


def coverage(tensors: Sequence[Tensor]) -> tuple[str, ...]:
    """Return in sentences how many entries were not differenced, or not held to differences."""
    count = sum(math.prod(tensor.shape) for tensor in tensors)
    checked = sum(tensor.entries_checked for tensor in tensors)
    kinks = sum(tensor.kinks for tensor in tensors)
    result = []
    if checked < count:
        result.append(
            f"{checked} of {count} entries were differenced one by one: of each tensor the "
            "largest, the smallest, zeros, and others at random. Every entry has a part in "
            f"{budgeted.DIRECTIONS} random directions of its tensor."
        )
    if kinks:
        result.append(
            f"{kinks} of {count} entries are where the loss bends, or where rounding alone "
            "decides on which side of a bend they are: held to bars that contain the jump, "
            "and not compared with differences that do not exist."
        )
    return tuple(result)


def _remarks(
    evidence: Evidence, tensors: Sequence[Tensor], unit: float, tree: Tree
) -> tuple[str, ...]:
    """Return in sentences what was checked by differences, what was not, and how."""
    result = [*coverage(tensors)]
    if evidence.complex_step:
        result.append(
            "The loss takes complex arrays: values are those of its complex step, wherever real "
            "differences were taken in agreement with them."
        )
    if unit == measured.SINGLE and all(a.dtype == np.float64 for a in tree.arrays.values()):
        result.append("The loss computes in float32, though its arguments are float64.")
    return tuple(result)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show how many evaluations are done, on a terminal alone, and none of it afterwards."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("evaluations of the loss", total=total)
        yield lambda: progress.advance(task)
