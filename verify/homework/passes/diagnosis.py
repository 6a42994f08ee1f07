"""What is wrong with a gradient: by its shape, by its numbers, by the change that mends it."""

from __future__ import annotations

import ast
import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from verify.diagnose.search import extent
from verify.findings import Extent, Finding
from verify.homework.passes.case import Case
from verify.homework.passes.coverage import lines_of
from verify.homework.passes.engine import TWICE
from verify.homework.passes.experiment import Gradient
from verify.homework.passes.measure import Measured, Measurement
from verify.homework.passes.repair import Edit, family, repairs
from verify.homework.passes.verdicts import Outcome, Wrong, gaps, shaped
from verify.homework.read.discover import Candidate, is_gradient
from verify.homework.read.extract import Extract
from verify.homework.read.gradient_lines import NOWHERE, Line, line_of, locate
from verify.homework.run.door import Door

CLOSE = 3e-3
"""How near a wrong formula must come, over the size of what was found, to be what was written."""

Named = tuple[str, str]
"""The name of a mistake, and the sentence that says it of {tensor}."""


def findings_of(case: Case, candidate: Candidate, outcomes: Sequence[Outcome]) -> list[Finding]:
    """Return a finding for each mistake: one for all gradients that the same change mends."""
    found, door = case.found, case.door
    edits: list[Edit] = []
    with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError, IndexError):
        # A diagnosis that fails costs a name, and no verdict.
        edits = repairs(case, candidate, outcomes)
    wrong: dict[str, tuple[Outcome, Wrong]] = {}
    for outcome in outcomes:
        for each in outcome.wrong:
            wrong.setdefault(each.tensor.gradient.label, (outcome, each))
    findings = []
    name = candidate.name.lower()
    mended: set[Edit] = set()
    for label, (outcome, each) in wrong.items():
        named = _by_shape(each) or _by_numbers(outcome, each) or _by_settings(outcomes, label)
        if named is not None and named[0] == "derivative-missing" and "drop" in name:
            named = ("mask-forgotten", "The mask is missing.")
        edit = next((edit for edit in edits if label in edit.mends), None)
        if edit is None:
            finding = _finding(found, door, candidate, named, outcome, each)
            elsewhere = any(_is_right_in(other, label) for other in outcomes)
            findings.append(_in_setting(finding, outcome) if elsewhere else finding)
        elif edit not in mended:
            mended.add(edit)
            labels = [other for other in wrong if other in edit.mends]
            findings.append(_mended(found, candidate, edit, named, outcome, each, labels))
    return findings


def _finding(
    found: Extract,
    door: Door,
    candidate: Candidate,
    named: Named | None,
    outcome: Outcome,
    wrong: Wrong,
) -> Finding:
    """Return the finding of one gradient, in the line that last assigns it."""
    label = wrong.tensor.gradient.label
    bug, says = named if named is not None else ("unknown", "")
    line = _line(found, door, candidate, wrong.tensor.gradient, outcome)
    extents = tuple(_extents(wrong))
    return Finding(
        bug,
        label,
        says=says,
        values={"tensor": label, **_values(wrong)},
        extents=extents,
        follows=() if named is not None else ("no-name",),
        function=candidate.name,
        role="backward",
        **line._asdict(),
    )


def _is_right_in(outcome: Outcome, label: str) -> bool:
    """Say whether a gradient is right in an experiment, whatever others are."""
    return outcome.judged and all(each.tensor.gradient.label != label for each in outcome.wrong)


def _in_setting(finding: Finding, outcome: Outcome) -> Finding:
    """Return a finding that says with what setting it is, where it is right with others."""
    setting = outcome.experiment.setting
    if not setting or finding.bug in _SAID_BY_SETTING:
        return finding
    says = f"{finding.says} It is so with {{setting}}, and right in another setting.".strip()
    return replace(finding, says=says, values={**finding.values, "setting": setting})


_SAID_BY_SETTING = frozenset({"stride-forgotten", "padding-forgotten", "last-part-only"})
"""Mistakes whose sentence says in which settings they show."""


def _mended(
    found: Extract,
    candidate: Candidate,
    edit: Edit,
    named: Named | None,
    outcome: Outcome,
    wrong: Wrong,
    labels: Sequence[str],
) -> Finding:
    """Return the finding of a mistake that one change takes back."""
    label = wrong.tensor.gradient.label
    known = {n.id for n in ast.walk(candidate.node) if isinstance(n, ast.Name)}
    made_up = label.split(".")[0] not in known and label[-1:].isdigit()
    if edit.target in labels or (made_up and is_gradient(edit.target)):
        label = edit.target
    bug, says = named if named is not None else (edit.bug, "")
    if named is not None and named[0] in _VAGUE:
        bug, says = edit.bug, ""
    name = edit.owner or edit.name
    return Finding(
        bug,
        label,
        says=says or "With `{right}` in place of `{wrong}` {tensors} would be right.",
        wrong="{wrong}",
        right="{right}",
        values={
            "tensor": label,
            "tensors": " and ".join(labels),
            "wrong": edit.wrong,
            "right": edit.right,
            **_values(wrong),
        },
        extents=tuple(_extents(wrong)),
        function=candidate.name,
        role="backward",
        **line_of(found, name, edit.line)._asdict(),
    )


_VAGUE = frozenset({"windows-overlap", "wrong-shape", "gradient-scaled", "gradient-not-summed"})
"""What a change that mends the pass says better."""


def _values(wrong: Wrong) -> dict[str, Any]:
    return {"shape": str(wrong.tensor.found_shape), "due": str(wrong.tensor.shape)}


def _line(
    found: Extract, door: Door, candidate: Candidate, gradient: Gradient, outcome: Outcome
) -> Line:
    """Return the line that last assigns a gradient, or the return that gives it."""
    label = gradient.label
    for name in dict.fromkeys((label, label.rsplit(".", 1)[-1], label.split(".")[0])):
        line = locate(found, candidate.owner or candidate.function, candidate.node, name)
        if line is not NOWHERE:
            return line
    if gradient.line is not None:
        return line_of(found, candidate.owner or candidate.function, gradient.line)
    returns = [n for n in ast.walk(candidate.node) if isinstance(n, ast.Return)]
    if len(returns) > 1:
        ran = {line for _, line in lines_of(door, outcome)}
        returns = [n for n in returns if n.lineno in ran] or returns
    place = max((n.lineno for n in returns), default=candidate.node.lineno)
    return line_of(found, candidate.owner or candidate.function, place)


def _extents(wrong: Wrong) -> Iterator[Extent]:
    """Yield how far a gradient is off, under the cotangent under which it is worst."""
    tensor, found = wrong.tensor, shaped(wrong.tensor)
    if found is None or not tensor.smooth.any():
        return
    gap, allowed = gaps(tensor, found, wrong.scale)
    case = int(np.argmax((gap / np.maximum(allowed, 1e-300)).max(axis=1)))
    expected = found[case].copy()
    kept = tensor.index[tensor.smooth]
    far = np.zeros(found.shape[1], bool)
    far[kept] = gap[case] > allowed[case]
    expected[kept] = wrong.scale * tensor.expected[case][tensor.smooth]
    shape = (
        tensor.shape if len(tensor.shape) == 2 else (-1, tensor.shape[-1] if tensor.shape else 1)
    )
    label = tensor.gradient.label
    one = extent(label, found[case].reshape(shape), expected.reshape(shape), far.reshape(shape))
    worst = int(np.argmax(np.where(far, np.abs(found[case] - expected), 0)))
    index = tuple(int(i) for i in np.unravel_index(worst, tensor.shape)) if tensor.shape else ()
    yield Extent(
        label, one.wrong, one.size, one.relative, one.row if len(tensor.shape) == 2 else None,
        one.column if len(tensor.shape) == 2 else None, index, one.found, one.right,
    )  # fmt: skip


# By its shape.


def _by_shape(wrong: Wrong) -> Named | None:
    tensor = wrong.tensor
    kind = family(tensor.gradient.label)
    if tensor.found is None:
        return "not-a-number", "{tensor} is not an array of numbers."
    if not np.isfinite(tensor.found).all():
        return "not-finite", "{tensor} is not finite."
    if shaped(tensor) is not None:
        return None
    shape, due = tensor.found_shape, tensor.shape
    size = int(np.prod(due))
    if int(np.prod(shape)) == 1 < size:
        bug = "bias-summed-over-everything" if kind == "bias" else "summed-over-everything"
        return bug, "{tensor} is one number, it should be {due}: it is summed over all axes."
    if shape == due[::-1]:
        return f"{kind}-transposed", "{tensor} is transposed: it has the shape {shape}, not {due}."
    if int(np.prod(shape)) == size and kind == "bias":
        return "bias-keepdims-missing", (
            "{tensor} has the shape {shape} and its parameter {due}: keepdims=True is missing, and "
            "their difference broadcasts."
        )
    if len(shape) == len(due) and int(np.prod(shape)) != size and kind == "bias":
        return (
            "bias-wrong-axis",
            "{tensor} has the shape {shape}, it should have {due}: it is "
            "summed over the wrong axis.",
        )
    if len(shape) > len(due):
        return (
            "gradient-not-summed",
            "{tensor} has the shape {shape}, it should have {due}: it is not summed.",
        )
    return "wrong-shape", "{tensor} has the shape {shape}; it should have {due}."


# By its numbers.


def _by_numbers(outcome: Outcome, wrong: Wrong) -> Named | None:
    """Return the mistake whose formula gives what was found, or None."""
    measurement, tensor = outcome.measurement, wrong.tensor
    assert isinstance(measurement, Measurement)
    found = shaped(tensor)
    if found is None or not tensor.whole or not tensor.smooth.any():
        return None
    if _only_first_penalised(outcome, tensor, found, wrong.scale):
        return (
            "bias-penalised",
            "The penalty's gradient is in the bias too, which is not penalised.",
        )
    if outcome.experiment.setting == TWICE and _fits(tensor, found, tensor.expected / 2):
        return "last-part-only", "{tensor} is set, where it should be added to."
    right = wrong.scale * tensor.expected
    for bug, says, value in (
        *_others(measurement, tensor),
        *_elementwise(outcome, measurement, tensor, right),
        *_normalised(outcome, measurement, tensor),
        *_factors(outcome, tensor, right),
        *_unpenalised(outcome, tensor, right),
        *_any_factor(tensor, found, right),
    ):
        if _fits(tensor, found, value):
            return bug, says
    return None


def _only_first_penalised(
    outcome: Outcome, tensor: Measured, found: np.ndarray, scale: float
) -> bool:
    """Say whether an error is a penalty's gradient in the biases, which come first, alone."""
    value = np.asarray(outcome.experiment.given[tensor.gradient.of], float)
    if value.ndim not in (1, 2):
        return False
    error = (found[0] - scale * tensor.expected[0]).reshape(tensor.shape)
    far = np.abs(error) > CLOSE * np.abs(found).max(initial=0.0)
    first = np.zeros(tensor.shape, bool)
    first[..., 0] = True
    if not far.any() or (far & ~first).any():
        return False
    ratio = error[far] / value[far]
    alike = bool(np.ptp(ratio) <= 0.01 * np.abs(ratio).max() and ratio.max() > 0)
    return alike and (far.sum() > 1 or _is_strength(outcome, float(ratio[0])))


def _is_strength(outcome: Outcome, ratio: float) -> bool:
    """Say whether a number is what a penalty's gradient is times the weights, by its strength."""
    return any(np.isclose(ratio, strength, rtol=0.01) for strength in _strengths(outcome))


Formula = tuple[str, str, Any]


def _fits(tensor: Measured, found: np.ndarray, value: Any) -> bool:
    array = np.asarray(value, float)
    if array.size != found.size or not np.isfinite(array).all():
        return False
    gap = np.abs(array.reshape(found.shape) - found)[:, tensor.index][:, tensor.smooth]
    size = np.abs(found).max(initial=0.0)
    return bool(gap.max(initial=0.0) <= CLOSE * max(size, 1e-12))


def _factors(outcome: Outcome, tensor: Measured, right: np.ndarray) -> Iterator[Formula]:
    kind = family(tensor.gradient.label)
    yield f"{kind}-zero", "{tensor} is 0 everywhere.", 0 * right
    for factor, name, says in (
        (2.0, "doubled", "{tensor} is twice what it should be."),
        (0.5, "halved", "{tensor} is half of what it should be."),
        (-1.0, "negated", "{tensor} has the wrong sign."),
    ):
        yield f"{kind}-{name}", says, factor * right
    main = np.shape(outcome.experiment.given.get(outcome.experiment.main, ()))
    images = [s for s in (np.shape(v) for v in outcome.experiment.given.values()) if len(s) == 4]
    for size in {a * b for s in images for a, b in (s[2:4], s[1:3])}:
        says = f"{{tensor}} is {size} times what it should be: it is not divided by the positions."
        yield "gradient-not-averaged-over-positions", says, size * right
    for size in dict.fromkeys((*main[:1], *main[-1:], int(np.prod(main)))):
        if size > 1:
            says = (
                f"{{tensor}} is {size} times what it should be: it is not divided by the number "
                "of examples."
            )
            yield f"{kind}-not-averaged", says, size * right
            says = (
                f"{{tensor}} is {size} times too small: it is divided by the number of examples "
                "once too often."
            )
            yield f"{kind}-averaged-twice", says, right / size


def _unpenalised(outcome: Outcome, tensor: Measured, right: np.ndarray) -> Iterator[Formula]:
    """Yield the gradient without that of a penalty on the squares of the weights."""
    weights = np.asarray(outcome.experiment.given[tensor.gradient.of], float).ravel()
    for strength in _strengths(outcome):
        says = "The penalty's gradient is missing in {tensor}."
        yield "l2-missing", says, right - strength * weights


def _strengths(outcome: Outcome) -> list[float]:
    """Return what times the weights may be a penalty's gradient: settings, averaged or not."""
    sizes = {size for v in outcome.experiment.given.values() for size in np.shape(v)} | {1}
    known = [v for v in outcome.experiment.settings.values() if isinstance(v, float)]
    return [times * v / size for v, size, times in itertools.product(known, sizes, (1, 2))]


def _any_factor(tensor: Measured, found: np.ndarray, right: np.ndarray) -> Iterator[Formula]:
    """Yield the multiple of the right gradient that is nearest to what was found."""
    some, due = found[:, tensor.index][:, tensor.smooth], right[:, tensor.smooth]
    times = float(np.vdot(due, some) / max(np.vdot(due, due), 1e-300))
    if abs(times - 1) < 1e-2:
        return  # what is off by so little has another reason
    says = f"{{tensor}} is {times:.4g} times what it should be, in every entry."
    yield f"{family(tensor.gradient.label)}-scaled", says, times * right


def _elementwise(
    outcome: Outcome, measurement: Measurement, tensor: Measured, right: np.ndarray
) -> Iterator[Formula]:
    """Yield what people write for the gradient of a function that works entry by entry."""
    x = np.asarray(outcome.experiment.given[tensor.gradient.of], float)
    out = measurement.outputs[0]
    if tensor.gradient.of != outcome.experiment.main or out.shape != x.shape or out.size < 2:
        return
    if outcome.experiment.weights == "ones":
        says = "It is the diagonal of the Jacobian alone."
        yield "derivative-diagonal-only", says, (out * (1 - out)).reshape(1, -1)
    if outcome.experiment.weights != "drawn":
        return
    c = np.array([np.asarray(each[0], float).ravel() for each in measurement.cotangents])
    with np.errstate(all="ignore"):
        slope = right / c
    y = out.ravel().astype(float)
    missing = "{tensor} is the upstream gradient: the derivative is missing."
    if not np.allclose(slope, slope[0], rtol=1e-3, atol=1e-6):
        says = "Only the diagonal of the Jacobian is taken."
        yield "derivative-diagonal-only", says, c * y * (1 - y)
        yield "derivative-missing", missing, c
        return
    yield from _masked(c, slope[0], x.ravel())
    yield "derivative-missing", missing, c
    yield from _slopes(c, slope[0], x.ravel(), y)


def _masked(c: np.ndarray, slope: np.ndarray, x: np.ndarray) -> Iterator[Formula]:
    """Yield what people write for a slope of two values: a mask, a relu."""
    kinds = np.unique(np.round(slope[np.isfinite(slope)], 4))
    if len(kinds) != 2:
        return
    kept, mask = float(np.abs(kinds).max()), slope != 0
    if (np.abs(kinds) < 1e-6).any() and abs(kept - 1) > 1e-3:
        yield "mask-not-rescaled", "The mask is applied, and not divided by keep_prob.", c * mask
        yield "mask-forgotten", "The mask is missing.", c
        yield "mask-only-rescaled", "It is divided by keep_prob, and the mask is missing.", c * kept
        yield "mask-multiplied", "It is multiplied by keep_prob, not divided.", c * mask / kept
    low, high = float(kinds.min()), float(kinds.max())
    says = "The mask is taken of the upstream gradient, not of the input."
    yield "derivative-of-upstream", says, np.where(c > 0, high, low) * c
    yield "derivative-inverted", "The mask is the wrong way round.", (low + high - slope) * c
    yield "derivative-of-another-activation", "The derivative is that of relu.", (x > 0) * c


def _slopes(c: np.ndarray, slope: np.ndarray, x: np.ndarray, y: np.ndarray) -> Iterator[Formula]:
    """Yield the upstream gradient `c` times what people take for the slope at x, where f(x) = y."""
    says = "It is not multiplied by the upstream gradient."
    yield "upstream-missing", says, np.tile(slope, (len(c), 1))
    for bug, says, factor in (
        ("derivative-is-activation", "It is multiplied by the activation itself.", y),
        ("derivative-one-minus-activation", "A factor of the derivative is missing.", 1 - y),
        ("derivative-is-preactivation", "It is multiplied by the input, not by the derivative.", x),
        ("derivative-of-preactivation", "The derivative is made with the input instead of the "
         "output.", x * (1 - x)),
        ("derivative-of-preactivation", "The derivative is made with the input instead of the "
         "output.", 1 - x**2),
        ("derivative-with-plus", "The sign in the derivative is wrong.", y * (1 + y)),
        ("derivative-with-plus", "The sign in the derivative is wrong.", 1 + y**2),
        ("derivative-of-another-activation", "The derivative is that of tanh.", 1 - y**2),
        ("derivative-of-another-activation", "The derivative is that of the sigmoid.", y * (1 - y)),
        ("derivative-of-another-activation", "The derivative is that of relu.", x > 0),
        ("derivative-twice", "The derivative is taken twice.", slope**2),
    ):  # fmt: skip
        yield bug, says, c * factor


def _normalised(outcome: Outcome, measurement: Measurement, tensor: Measured) -> Iterator[Formula]:
    """Yield a normalisation's gradient without one of its paths, over every set of axes."""
    given = outcome.experiment.given
    x = np.asarray(given[tensor.gradient.of], float)
    if tensor.gradient.of != outcome.experiment.main or measurement.outputs[0].shape != x.shape:
        return
    gamma = next((np.asarray(v, float) for k, v in given.items()
                  if k.rsplit(".", 1)[-1].lower() in ("gamma", "g", "scale", "bw")
                  and isinstance(v, np.ndarray)), np.ones(()))  # fmt: skip
    c = np.array([np.asarray(each[0], float) for each in measurement.cotangents])
    if gamma.ndim == 1 and x.ndim == 4:
        gamma = gamma.reshape(1, -1, 1, 1)
    try:
        g = c * gamma
    except ValueError:
        return
    axes = [(0,), (1,)] if x.ndim == 2 else [(0, 2, 3), (1, 2, 3), (2, 3), (0, 1, 2)]
    for axis, eps in itertools.product([a for a in axes if max(a) < x.ndim], (0, 1e-3, 1e-5, 1e-2)):
        over = tuple(a + 1 for a in axis)
        std = np.sqrt(x.var(axis=axis, keepdims=True) + eps)
        h = (x - x.mean(axis=axis, keepdims=True)) / std
        mean = g.mean(axis=over, keepdims=True)
        var = h * (g * h).mean(axis=over, keepdims=True)
        if not _fits(tensor, tensor.expected, (g - mean - var) / std):
            continue
        yield "mean-path-missing", "The path through the mean is missing.", (g - var) / std
        yield "variance-path-missing", "The path through the variance is missing.", (g - mean) / std
        yield "statistics-constant", "Mean and variance are taken as constants.", g / std
        for other in axes:
            wrong = tuple(a + 1 for a in other)
            if wrong == over:
                continue
            elsewhere = g.mean(axis=wrong, keepdims=True)
            says = "A mean of the backward pass is taken over the wrong axis."
            yield "summed-over-wrong-axis", says, (g - elsewhere - var) / std
            moved = h * (g * h).mean(axis=wrong, keepdims=True)
            yield "summed-over-wrong-axis", says, (g - mean - moved) / std
            yield "summed-over-wrong-axis", says, (g - elsewhere - moved) / std
        return


def _others(measurement: Measurement, tensor: Measured) -> Iterator[Formula]:
    """Yield what other gradients of the pass are, and the transposed one."""
    if len(tensor.shape) == 2 and tensor.shape[0] == tensor.shape[1]:
        turned = tensor.expected.reshape(-1, *tensor.shape).transpose(0, 2, 1)
        yield f"{family(tensor.gradient.label)}-transposed", "{tensor} is transposed.", turned
    for other in measurement.tensors:
        if other is not tensor and other.shape == tensor.shape and other.whole:
            says = f"{{tensor}} is the gradient of {other.gradient.of}."
            yield "gradient-of-another-argument", says, other.expected


# By the settings in which it is wrong.


def _by_settings(outcomes: Sequence[Outcome], label: str) -> Named | None:
    """Return the mistake of a pass that is right in some settings: stride, padding, overlap."""
    wrong: list[dict[str, Any]] = []
    right: list[dict[str, Any]] = []
    for outcome in outcomes:
        bad = any(each.tensor.gradient.label == label for each in outcome.wrong)
        (wrong if bad else right).append(_window(outcome))
    if not right or not wrong or any(not each for each in wrong + right):
        return None
    if all(w["stride"] > 1 for w in wrong) and all(w["stride"] == 1 for w in right):
        return (
            "stride-forgotten",
            "{tensor} is right where the stride is 1, and wrong where it is larger.",
        )
    if all(w["pad"] for w in wrong) and not any(w["pad"] for w in right):
        return "padding-forgotten", "{tensor} is right without padding, and wrong with it."
    if all(w["overlaps"] for w in wrong) and not any(w["overlaps"] for w in right):
        return (
            "last-part-only",
            "{tensor} is right where windows do not overlap, and wrong where "
            "they do: the last one alone is kept.",
        )
    return None


_SIDES = frozenset(
    "pool_height pool_width f kernel_size filter_h filter_w pool_h pool_w pool_size".split()
)


def _window(outcome: Outcome) -> dict[str, Any]:
    """Return stride, padding and whether windows overlap, {} where there are no windows."""
    numbers: dict[str, Any] = {}
    for name, value in outcome.experiment.settings.items():
        numbers |= dict(value) if isinstance(value, Mapping) else {name: value}
    if "stride" not in numbers:
        return {}
    sides = [v for k, v in numbers.items() if k in _SIDES]
    for name, value in outcome.experiment.given.items():
        if name.lower() in ("w", "weights", "kernel") and np.ndim(value) == 4:
            shape = np.shape(value)
            sides += list(shape[2:]) if shape[2] * shape[3] <= shape[0] * shape[1] else shape[:2]
    pad = numbers.get("pad", numbers.get("padding", 0))
    return {"stride": numbers["stride"], "pad": pad,
            "overlaps": max(sides, default=0) > numbers["stride"]}  # fmt: skip
