"""The search from wrong gradients to the mistakes that made them.

It goes down from the output. The first layer whose gradients are not what the layers above imply
holds a mistake. Every mistake known by name is put there into an otherwise right pass, and the
gradients it makes are compared with those that were found. What makes the same numbers explains
the layer; where nothing does, nothing is guessed. The search then goes on below, in the chain
with the mistake in it. The order of preference, and what counts as the same numbers, are
explained in docs/diagnosis.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from verify.activations import ACTIVATIONS, KINKED
from verify.catalogue import UNNAMED
from verify.diagnose.chain import UPSTREAM, Chain, Key, Tape
from verify.diagnose.formulas import expected, names, tensor
from verify.diagnose.mistakes import Fault, faults, fitted
from verify.evidence.bars import sum_rounding
from verify.findings import Evidence, Extent, Finding, used

SHAKES = 3
"""How many forward passes with random rounding errors measure the noise of a wrong gradient."""

DEVIATIONS = 8
"""How many root mean squares of measured noise two gradients may be apart."""

NEAR = 1e-2
"""The relative distance beyond which numbers differ, whatever the noise."""


@dataclass(frozen=True, eq=False)
class Tested:
    """Gradients under test (`seen`), the right chain, and the error bars of right gradients.

    `shaken` makes forward passes like that of the chain, each with its own rounding errors.
    """

    right: Chain
    seen: Mapping[Key, np.ndarray]
    bars: Mapping[Key, np.ndarray]
    shaken: Callable[[], Sequence[Tape]]

    @property
    def tape(self) -> Tape:
        """The forward pass that the right chain goes back through."""
        return self.right.tape

    def observed(self, layer: int, operations: Iterable[str]) -> list[Key]:
        """Return which of a layer's gradients there are to compare."""
        return [(what, layer) for what in operations if (what, layer) in self.seen]

    def agrees(self, chain: Chain, key: Key) -> bool:
        """Whether the gradient at key is, within rounding, what a chain makes there."""
        seen, value = self.seen[key], chain[key]
        if not beyond(seen, value, self._least_tolerance(chain, key)).any():
            return True
        far_off = rms(seen - value) > NEAR * rms(value)
        return not far_off and not beyond(seen, value, self.tolerance(chain, key)).any()

    def tolerance(self, chain: Chain, key: Key) -> np.ndarray:
        """Return how far the gradient at key may be from what a chain makes there."""
        least = self._least_tolerance(chain, key)
        if chain[key] is self.right[key]:
            return least
        return least + DEVIATIONS * max(
            rms(chain.over(tape)[key] - chain[key]) for tape in self.shaken()
        )

    def stands_out(self, chain: Chain, key: Key) -> bool:
        """Whether the gradient at key is wrong by more than the tolerance between wrong passes."""
        return bool(beyond(self.seen[key], chain[key], self._wrong_tolerance(chain, key)).any())

    def _least_tolerance(self, chain: Chain, key: Key) -> np.ndarray:
        """Return the error bars of a right gradient; of a wrong one all but its measured noise."""
        is_right = chain[key] is self.right[key]
        return self.bars[key] if is_right else self._wrong_tolerance(chain, key)

    def _wrong_tolerance(self, chain: Chain, key: Key) -> np.ndarray:
        value, bars = chain[key], self.bars[key]
        adding = sum_rounding.deviation(self.tape.eps, self.tape.m, np.abs(value), rms(value))
        return np.asarray(bars + rms(bars) + adding)


def beyond(seen: np.ndarray, value: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """Return where two arrays are further apart than their bars; not finite equals not finite."""
    finite = np.isfinite(seen) & np.isfinite(value)
    either = np.isfinite(seen) | np.isfinite(value)
    return np.asarray(np.where(finite, np.abs(seen - value) > bars, either))


def rms(array: np.ndarray) -> float:
    """Return the root mean square of the finite entries, 0 where there are none."""
    square = np.vdot(array, array)
    if np.isfinite(square):
        return float(np.sqrt(square / array.size))
    finite = array[np.isfinite(array)]
    largest = np.abs(finite).max(initial=0.0)
    return float(largest * np.sqrt(np.mean(np.square(finite / largest)))) if largest else 0.0


def explain(tested: Tested, chain: Chain, layer: int) -> Iterator[Finding]:
    """Yield what is wrong from a layer down, in a chain that explains everything above it."""
    if layer == 0:
        return
    for key in tested.observed(layer, UPSTREAM):
        if not follows(tested, chain, key):
            chain, found = _explain_step(tested, chain, key)
            yield from found
        chain = chain.knowing(key, tested.seen[key])
    keys = tested.observed(layer, ("db", "dW"))
    wrong = [key for key in keys if not tested.agrees(chain, key)]
    if not wrong:
        yield from explain(tested, chain, layer - 1)
        return
    told_apart = any(tested.stands_out(chain, key) for key in wrong)
    options = _explanations(tested, chain, keys, wrong) if told_apart else []
    if not options:
        yield from _unexplained(tested, chain, layer, wrong)
        return
    explanation, *equals = _best(tested, chain, options, layer)
    chain = _with(chain, explanation)
    yield from _findings(tested, chain, explanation, wrong, equals)
    yield from explain(tested, chain, layer - 1)


def follows(tested: Tested, chain: Chain, key: Key) -> bool:
    """Whether a dA or dZ is what a chain makes there, by either of two formulas.

    The slope of a kinked activation may be read off Z or, as in the course, off A after dropout.
    If dA was masked rightly both make the same dZ, so neither formula is a mistake.
    """
    operation, layer = key
    if tested.agrees(chain, key):
        return True
    t = tested.tape
    if operation != "dZ" or ("kept", layer) not in tested.seen or t.g[layer] not in KINKED:
        return False
    return tested.agrees(chain.planted({key: _off_the_dropped}), key)


def _off_the_dropped(t: Tape, c: Chain, layer: int) -> np.ndarray:
    return c["kept", layer] * ACTIVATIONS[t.g[layer]].slope_by_A(t.out[layer])


def _explain_step(tested: Tested, chain: Chain, key: Key) -> tuple[Chain, list[Finding]]:
    """Explain one dA or dZ by a mistake in an operation that leads to it."""
    operation, layer = key
    allowed = UPSTREAM[: UPSTREAM.index(operation) + 1]
    options = [
        (fault,)
        for fault in _faults(tested, chain, layer)
        if fault.operation in allowed
        and (fault.operation, layer) not in tested.seen.keys() - {key}
        and _reproduces(tested, chain, (fault,), [key])
    ]
    if not options:
        return chain, [_unknown(tested, chain, key)]
    chain = _with(chain, options[0])
    return chain, list(_findings(tested, chain, options[0], [key], options[1:]))


def _explanations(
    tested: Tested, chain: Chain, keys: Sequence[Key], wrong: Sequence[Key]
) -> list[tuple[Fault, ...]]:
    """Return each mistake that makes a layer's dW and db what they are; if none does, each pair."""
    layer = keys[0][1]
    known = {what for what, _ in tested.observed(layer, UPSTREAM)}
    possible = [
        fault
        for fault in _faults(tested, chain, layer)
        if not (fault.operation in UPSTREAM and ("dZ" in known or fault.operation in known))
        and not ("kept" in known and fault.operation == "dA")
    ]
    options: list[tuple[Fault, ...]] = [
        (fault,) for fault in possible if _reproduces(tested, chain, (fault,), keys)
    ]
    return options or list(_pairs(tested, chain, keys, wrong, possible))


def _pairs(
    tested: Tested,
    chain: Chain,
    keys: Sequence[Key],
    wrong: Sequence[Key],
    possible: Sequence[Fault],
) -> Iterator[tuple[Fault, ...]]:
    """Yield the pairs of mistakes in one layer that together make its dW and db."""
    layer = keys[0][1]
    upstream = [fault for fault in possible if fault.operation in UPSTREAM]
    if len(wrong) == 2:
        yield from product(
            _local(tested, chain, ("db", layer), possible),
            _local(tested, chain, ("dW", layer), possible),
        )
    elif wrong == [("dW", layer)]:
        yield from _products_and_penalties(tested, chain, layer, possible)
    if len(keys) == 2:
        for fault in upstream:
            planted = _with(chain, (fault,))
            fits = [tested.agrees(planted, key) for key in keys]
            if any(fits):
                other = keys[fits.index(False)]
                below = _faults(tested, planted, layer)
                yield from ((fault, second) for second in _local(tested, planted, other, below))
    for first, second in combinations(upstream, 2):
        if first.operation != second.operation and _reproduces(
            tested, chain, (first, second), keys
        ):
            yield first, second


def _products_and_penalties(
    tested: Tested, chain: Chain, layer: int, possible: Sequence[Fault]
) -> Iterator[tuple[Fault, ...]]:
    for first in possible:
        if first.operation == "product":
            planted = _with(chain, (first,))
            for second in possible:
                if second.operation == "penalty" and _reproduces(
                    tested, planted, (second,), [("dW", layer)]
                ):
                    yield first, second


def _local(tested: Tested, chain: Chain, key: Key, possible: Iterable[Fault]) -> list[Fault]:
    """Return the mistakes in dW alone, or in db alone, that make it what it is."""
    operations = ("product", "penalty", "dW") if key[0] == "dW" else ("db",)
    return [
        fault
        for fault in possible
        if fault.operation in operations and _reproduces(tested, chain, (fault,), [key])
    ]


def _unexplained(
    tested: Tested, chain: Chain, layer: int, wrong: Sequence[Key]
) -> Iterator[Finding]:
    """Yield where a layer is wrong that no mistake explains, and what is known of those below."""
    local: list[Finding] = []
    for key in wrong:
        stands_out = tested.stands_out(chain, key)
        named = _local(tested, chain, key, _faults(tested, chain, layer)) if stands_out else []
        local += (
            _findings(tested, _with(chain, named[:1]), named[:1], [key])
            if named
            else [_unknown(tested, chain, key)]
        )
    if tested.observed(layer, ("dZ",)):
        yield from local
        yield from explain(tested, chain, layer - 1)
        return
    below = _all_named(explain(tested, chain, layer - 1))
    if below is not None and (layer > 1 or len(wrong) == 1):
        yield from local
        yield from below
    else:
        yield _unknown_upstream(tested, chain, layer, wrong)


def _all_named(findings: Iterator[Finding]) -> list[Finding] | None:
    """Return the findings, or None as soon as one of them has no name."""
    named = []
    for finding in findings:
        if finding.bug in UNNAMED:
            return None
        named.append(finding)
    return named


def _faults(tested: Tested, chain: Chain, layer: int) -> list[Fault]:
    return [*faults(tested.tape, layer), *fitted(tested.tape, chain, tested.seen, layer)]


def _with(chain: Chain, explanation: Sequence[Fault]) -> Chain:
    return chain.planted({fault.key: fault.formula for fault in explanation})


def _reproduces(
    tested: Tested, chain: Chain, explanation: Sequence[Fault], keys: Iterable[Key]
) -> bool:
    planted = _with(chain, explanation)
    return all(tested.agrees(planted, key) for key in keys)


def _best(
    tested: Tested, chain: Chain, options: Sequence[tuple[Fault, ...]], layer: int
) -> list[tuple[Fault, ...]]:
    """Return the explanations that also explain most below, in their order of preference."""
    # A gradient that was never filled in is exactly 0; one that is 0 up to rounding was computed.
    computed = [option for option in options if not any(_blank(tested, fault) for fault in option)]
    options = computed or options
    if len(options) == 1:
        return list(options)
    below = [key for key in tested.seen if key[1] < layer]
    explained = [
        sum(tested.agrees(planted, key) for key in below)
        for planted in (_with(chain, option) for option in options)
    ]
    most = max(explained)
    return [option for option, count in zip(options, explained, strict=True) if count == most]


def _blank(tested: Tested, fault: Fault) -> bool:
    """Say whether a mistake leaves a gradient empty that is not."""
    return fault.bug in ("weights-zero", "bias-zero") and bool(
        fault.operation in ("dW", "db") and tested.seen[fault.key].any()
    )


# What is found.


def _findings(
    tested: Tested,
    chain: Chain,
    explanation: Sequence[Fault],
    keys: Sequence[Key],
    equals: Sequence[Sequence[Fault]] = (),
) -> Iterator[Finding]:
    """Yield the mistakes in an explained layer, and other mistakes that explain it as well."""
    others = dict.fromkeys(
        option[0].bug
        for option in equals
        if len(explanation) == 1
        and option[0].bug != explanation[0].bug
        and "factor" not in option[0].values
    )
    evidence = _evidence(tested, chain, explanation, keys)
    for fault in explanation:
        right = expected(fault.operation, fault.layer == tested.tape.L)
        yield Finding(
            fault.bug,
            fault.tensor,
            fault.layer,
            says=fault.sentence,
            wrong=fault.found,
            right=right,
            values=used(fault.names(tested.tape), fault.sentence, fault.found, right),
            evidence=evidence,
            equals=tuple(others),
        )


def _evidence(
    tested: Tested, chain: Chain, explanation: Sequence[Fault], keys: Sequence[Key]
) -> Evidence:
    """Measure how far a pass with only these mistakes is from what was found."""
    error = max(_relative(tested.seen[key], chain[key]) for key in keys)
    tensors = tuple(sorted(map(tensor, keys)))
    return Evidence(len(explanation), tensors, error, at_zero=error > NEAR)


def _unknown(tested: Tested, chain: Chain, key: Key) -> Finding:
    """Return where one gradient is wrong, and how far."""
    how_far = _extent(tested, chain, key)
    return _unnamed(tested, key, [how_far], ("no-name",) if how_far.finite else ())


def _unknown_upstream(tested: Tested, chain: Chain, layer: int, wrong: Sequence[Key]) -> Finding:
    extents = [_extent(tested, chain, key) for key in sorted(wrong, reverse=True)]
    return _unnamed(tested, ("dZ", layer), extents, ("upstream", *["below-unjudged"] * (layer > 1)))


def _unnamed(
    tested: Tested, key: Key, extents: Sequence[Extent], follows: tuple[str, ...]
) -> Finding:
    operation, layer = key
    right = expected(operation, layer == tested.tape.L)
    return Finding(
        "unknown" if all(one.finite for one in extents) else "not-finite",
        tensor(key),
        layer,
        right=right,
        values=used(names(tested.tape, layer), right),
        extents=tuple(extents),
        follows=follows,
    )


def _extent(tested: Tested, chain: Chain, key: Key) -> Extent:
    """Measure how many entries of a gradient are wrong, where, and how far."""
    seen, right = tested.seen[key], chain[key]
    if bad := int((~np.isfinite(seen)).sum()):
        return Extent(tensor(key), bad, seen.size, finite=False)
    return extent(tensor(key), seen, right, beyond(seen, right, tested.tolerance(chain, key)))


def extent(tensor: str, seen: np.ndarray, right: np.ndarray, far: np.ndarray) -> Extent:
    """Return how far a matrix is wrong; its wrong entries are those that are `far`."""
    error = np.where(far, np.abs(seen - right), 0.0)
    index = tuple(int(i) for i in np.unravel_index(error.argmax(), error.shape))
    row, column = _region(far)
    count, relative = int(far.sum()), _relative(right, seen)
    worst = (float(seen[index]), float(right[index]))
    return Extent(tensor, count, seen.size, relative, row, column, index, *worst)


def _region(far: np.ndarray) -> tuple[int | None, int | None]:
    """Return the one row or the one column that holds all wrong entries, if there are several."""
    rows, columns = np.flatnonzero(far.any(axis=1)), np.flatnonzero(far.any(axis=0))
    if len(rows) == 1 < len(far) and len(columns) > 1:
        return int(rows[0]), None
    if len(columns) == 1 < far.shape[1] and len(rows) > 1:
        return None, int(columns[0])
    return None, None


def _relative(seen: np.ndarray, value: np.ndarray) -> float:
    """Return ||seen - value|| / ||seen||, with 0 / 0 = 0, over what is finite."""
    finite = np.isfinite(seen) & np.isfinite(value)
    gap, size = np.linalg.norm((seen - value)[finite]), np.linalg.norm(seen[finite])
    return float(gap / size) if gap else 0.0
