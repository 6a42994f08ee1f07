"""Wrong losses: the functions that a mistake in the cost or the forward pass computes.

A loss with another value than the right one is another function. Each `WrongLoss` here is one
that people write by mistake, with its value and its true gradients. A mistake of the kind `cost`
leaves the gradients right; one of the kind `forward` comes with the gradients of the function
that was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import log
from typing import Any

import numpy as np

import manual
from manual.activations import sigmoid
from verify.activations import ACTIVATIONS, written
from verify.diagnose.chain import OPERATIONS, Chain, Formula, Formulas, Tape, run
from verify.diagnose.mistakes.mistake import without

CLIPS = tuple(10.0**-k for k in range(4, 17))
"""Where people clip A before they take its logarithm, and what they add to it."""


@dataclass(frozen=True, eq=False)
class WrongLoss:
    """A function in place of the loss, with its value `cost` and its backward pass `chain`.

    `says`, `wrong` and `right` are templates, filled with the names of its layer (of the output
    layer where it has none) and with `values`.
    """

    bug: str
    tensor: str
    layer: int | None
    says: str
    wrong: str
    right: str
    cost: float
    chain: Chain
    values: Mapping[str, Any] = field(default_factory=dict)


def cost(t: Tape) -> float:
    """Return the loss as it should be: the mean cross-entropy plus the penalty."""
    return float(_cross_entropy(t) + _penalty(t))


def wrong_losses(t: Tape, seen: float) -> Iterator[WrongLoss]:
    """Yield every function known by name. `seen` is the loss that was computed instead."""
    yield from _costs(t)
    yield from _penalties(t, seen)
    yield from _forwards(t)


def _cross_entropy(t: Tape) -> float:
    return float(manual.LOSSES[t.g[t.L]][0](t.Z[t.L], t.Y))


def _penalty(t: Tape) -> float:
    return float(manual.l2_penalty(t.W[1:], t.l2, t.m))


def _logs(t: Tape) -> tuple[np.ndarray, np.ndarray]:
    """Return log A and log (1 - A) of the output, from Z where that is more precise."""
    Z, A = t.Z[t.L], t.A[t.L]
    if t.g[t.L] == "sigmoid":
        return -np.logaddexp(0, -Z), -np.logaddexp(0, Z)
    shifted = Z - Z.max(axis=0)
    return shifted - np.log(np.exp(shifted).sum(axis=0)), np.log1p(-A)


def _through_output(t: Tape, dA: np.ndarray) -> np.ndarray:
    """Return dZ of the output from m times a cost's derivative by A."""
    return manual.ACTIVATIONS[t.g[t.L]].backward(dA, t.Z[t.L], t.A[t.L])


def _loss(
    t: Tape,
    bug: str,
    wrong: str,
    value: float,
    formulas: Formulas,
    says: str,
    values: Mapping[str, Any],
) -> WrongLoss:
    right, chain = right_loss(t), Chain(t, formulas)
    return WrongLoss(bug, "loss", None, says, wrong, right, value, chain, values)


def _both(
    t: Tape, name: str, wrong: str, value: float, faithful: Formulas, says: str, **values: Any
) -> Iterator[WrongLoss]:
    """Yield another loss: in the cost alone, and with the gradients of what was written."""
    yield _loss(t, f"cost-{name}", wrong, value, {}, says, values)
    yield _loss(t, f"forward-{name}", wrong, value, faithful, says, values)


# Costs: another measure of how wrong the output is.

_Cost = tuple[str, str, float, np.ndarray, str]
"""A name, the formula as text, its value, its dZ of the output, what is wrong."""


def _costs(t: Tape) -> Iterator[WrongLoss]:
    softmax = t.g[t.L] == "softmax"
    of_output = _costs_of_softmax(t) if softmax else _costs_of_sigmoid(t)
    for row in (*_scaled_costs(t), *of_output, *_squared_costs(t), *_partial_costs(t)):
        yield from _with_cost(t, row, classes=len(t.Y))
    for clip in CLIPS:
        top = 1.0 if softmax else 1 - clip
        for row in _guarded_costs(t, clip, top):
            yield from _with_cost(t, row, clip=clip, top=top, most=-log(clip))


def _with_cost(t: Tape, row: _Cost, **values: Any) -> Iterator[WrongLoss]:
    name, text, value, dZ, says = row
    wrong = f"J = {text}{_penalty_text(t)}"
    faithful: Formulas = {("dZ", t.L): lambda t, c, layer: dZ}
    yield from _both(t, name, wrong, value + _penalty(t), faithful, says, **values)


def _scaled_costs(t: Tape) -> Iterator[_Cost]:
    plain, right = _cross_entropy(t), t.A[t.L] - t.Y
    factors = [
        ("summed", "sum of ", t.m, "The cost is summed over the {m} examples, not averaged."),
        ("averaged-twice", "1/m * ", 1 / t.m, "The cost is divided by m twice (m = {m})."),
        ("doubled", "2 * ", 2, "The cost of the data is twice too large."),
        ("halved", "1/2 * ", 0.5, "The cost of the data is half of what it should be."),
        ("negated", "-", -1, "The cost of the data has the wrong sign."),
        ("in-bits", "1 / log(2) * ", 1 / log(2), "The cost takes logarithms to base 2."),
        ("in-decades", "1 / log(10) * ", 1 / log(10), "The cost takes logarithms to base 10."),
        ("averaged-over-classes", "1/{classes} * ", 1 / len(t.Y),
         "The cost is averaged over the {classes} classes as well as over the examples."),
    ]  # fmt: skip
    for name, text, factor, says in factors:
        if factor != 1:
            yield name, text + "cross-entropy", factor * plain, factor * right, says


def _costs_of_softmax(t: Tape) -> list[_Cost]:
    Z, A, Y = t.Z[t.L], t.A[t.L], t.Y
    log_A, log_rest = _logs(t)
    return [
        ("binary-under-softmax", "mean of -(Y * log({A}) + (1 - Y) * log(1 - {A}))",
         -_dot(Y, log_A, 1 - Y, log_rest) / t.m, _through_output(t, -Y / A + (1 - Y) / (1 - A)),
         "The cost adds (1 - Y) * log(1 - A), as for a sigmoid output; this one is a softmax."),
        ("sigmoid-under-softmax",
         "mean of -(Y * log(s) + (1 - Y) * log(1 - s)) with s = sigmoid({Z})",
         float((np.logaddexp(0, Z) - Y * Z).sum()) / t.m, sigmoid(Z) - Y,
         "The cost treats each output as a separate sigmoid; they should be a softmax."),
    ]  # fmt: skip


def _costs_of_sigmoid(t: Tape) -> list[_Cost]:
    A, Y = t.A[t.L], t.Y
    log_A, log_rest = _logs(t)
    return [
        ("ones-only", "mean of -Y * log({A})", -_dot(Y, log_A) / t.m, -Y * (1 - A),
         "The cost counts only the examples of label 1: the term (1 - Y) * log(1 - A) is missing."),
        ("zeros-only", "mean of -(1 - Y) * log(1 - {A})", -_dot(1 - Y, log_rest) / t.m, (1 - Y) * A,
         "The cost counts only the examples of label 0: the term Y * log(A) is missing."),
    ]  # fmt: skip


def _squared_costs(t: Tape) -> list[_Cost]:
    error = t.A[t.L] - t.Y
    mean = float(np.square(error).sum()) / t.m
    says = "The cost is the squared error; it should be the cross-entropy."
    return [
        ("squared", "mean of ({A} - Y)**2", mean, _through_output(t, 2 * error), says),
        ("half-squared", "mean of 1/2 * ({A} - Y)**2", mean / 2, _through_output(t, error), says),
    ]


def _partial_costs(t: Tape) -> Iterator[_Cost]:
    log_A, log_rest = _logs(t)
    rest = 0 if t.g[t.L] == "softmax" else 1 - t.Y
    each = -(t.Y * log_A + rest * log_rest).sum(axis=0)
    for which, column in (("first", 0), ("last", -1)) if t.m > 1 else ():
        yield (
            f"{which}-example-left-out",
            f"cross-entropy without the {which} example",
            (_cross_entropy(t) * t.m - float(each[column])) / t.m,
            without(t.A[t.L] - t.Y, column),
            f"The cost leaves out the {which} example.",
        )


def _guarded_costs(t: Tape, clip: float, top: float) -> list[_Cost]:
    """Return the costs that keep log(0) away by clipping A or by adding to it."""
    A, Y = t.A[t.L], t.Y
    inside, kept = (clip <= A) & (top >= A), np.clip(A, clip, top)
    # A softmax has no second term, in which 1 - A could be 0.
    rest, other = (0.0, np.ones_like(A)) if t.g[t.L] == "softmax" else (1 - Y, 1 - kept)
    return [
        ("clipped", "cross-entropy(clip({A}, {clip:g}, {top:g}), Y)",
         -_dot(Y, np.log(kept), rest, np.log(other)) / t.m,
         _through_output(t, inside * (-Y / kept + rest / other)),
         "The cost clips {A} at {clip:g}, so an example costs at most {most:.3g}."),
        ("guarded", "mean of -Y * log({A} + {clip:g}) ...",
         -_dot(Y, np.log(A + clip), rest, np.log(1 - A + clip)) / t.m,
         _through_output(t, -Y / (A + clip) + rest / (1 - A + clip)),
         "The cost adds {clip:g} inside the logarithm."),
    ]  # fmt: skip


# Penalties.


def _penalties(t: Tape, seen: float) -> Iterator[WrongLoss]:
    if not t.l2:
        yield _uninvited_penalty(t, seen)
        return
    plain, penalty, m, l2 = _cross_entropy(t), _penalty(t), t.m, t.l2
    named = [
        ("l2-missing", "", 0.0, "The L2 penalty is missing from the loss."),
        ("l2-doubled", " + l2 / m * ...", 2.0, "The L2 penalty is l2 / m: the 1/2 is missing."),
        ("l2-halved", " + l2 / (4 * m) * ...", 0.5, "The L2 penalty is half of what it should be."),
        ("l2-negated", " - l2 / (2 * m) * ...", -1.0, "The L2 penalty has the wrong sign."),
        ("l2-not-averaged", " + l2 / 2 * ...", m, "The L2 penalty is not divided by m."),
        ("l2-not-halved-or-averaged", " + l2 * ...", 2 * m, "The L2 penalty is not divided by 2m."),
        ("l2-averaged-twice", " + l2 / (2 * m**2) * ...", 1 / m,
         "The L2 penalty is divided by m twice."),
    ]  # fmt: skip
    for name, text, factor, says in named:
        wrong = f"J = cross-entropy{text.replace('...', '(sum of all W**2)')}"
        faithful = _all_penalties(t, _penalty_slope(factor))
        yield from _both(t, name, wrong, plain + factor * penalty, faithful, says)
    if any(b.any() for b in t.b[1:]):
        yield from _both(
            t,
            "l2-on-biases",
            f"J = cross-entropy{_penalty_text(t)} + l2 / (2 * m) * (sum of all b**2)",
            plain + penalty + float(manual.l2_penalty(t.b[1:], l2, m)),
            {("db", layer): _penalised_bias for layer in t.layers},
            "The L2 penalty holds the biases too; only weights are penalised.",
        )
    yield from _both(
        t,
        "l2-not-squared",
        "J = cross-entropy + l2 / (2 * m) * (sum of all norm(W))",
        plain + l2 / (2 * m) * sum(float(np.linalg.norm(W)) for W in t.W[1:]),
        _all_penalties(t, lambda t, c, n: t.l2 / (2 * t.m) * t.W[n] / np.linalg.norm(t.W[n])),
        "The L2 penalty holds the norm of the weights; it should hold their squares.",
    )
    for layer in t.layers:
        yield from _both(
            t,
            "l2-misses-a-layer",
            "J = cross-entropy + l2 / (2 * m) * (sum of all W**2 but {missed})",
            plain + penalty - float(manual.l2_penalty([t.W[layer]], l2, m)),
            {("penalty", layer): _penalty_slope(0.0)},
            "The L2 penalty misses {missed}.",
            missed=f"W{layer}",
        )
    factor = (seen - plain) / penalty if penalty else 1.0
    yield _loss(
        t,
        "forward-l2-scaled",
        "J = cross-entropy + {factor:.6g} * l2 / (2 * m) * (sum of all W**2)",
        plain + factor * penalty,
        _all_penalties(t, _penalty_slope(factor)),
        "The L2 penalty is {factor:.6g} times what it should be, in the loss and its gradients.",
        {"factor": factor},
    )


def _uninvited_penalty(t: Tape, seen: float) -> WrongLoss:
    plain, squares = _cross_entropy(t), float(manual.l2_penalty(t.W[1:], 1.0, t.m))
    extra = (seen - plain) / squares if squares else 0.0
    return _loss(
        t,
        "forward-l2-uninvited",
        "J = cross-entropy + {factor:.6g} / (2 * m) * (sum of all W**2)",
        plain + extra * squares,
        _all_penalties(t, lambda t, c, layer: extra / t.m * t.W[layer]),
        "The loss holds an L2 penalty with lambda = {factor:.6g}; there should be none.",
        {"factor": extra},
    )


def _all_penalties(t: Tape, formula: Formula) -> Formulas:
    return {("penalty", layer): formula for layer in t.layers}


def _penalised_bias(t: Tape, c: Chain, layer: int) -> np.ndarray:
    return OPERATIONS["db"](t, c, layer) + np.asarray(t.l2 / t.m * t.b[layer])


def _penalty_slope(factor: float) -> Formula:
    return lambda t, c, layer: factor * t.l2 / t.m * t.W[layer]


# Forward passes.


def _forwards(t: Tape) -> Iterator[WrongLoss]:
    """Yield the networks that differ from the right one in one layer, or alike in all."""
    biased = [layer for layer in t.layers if t.b[layer].any()]
    dropped = [layer for layer in t.hidden if t.drops(layer)]
    for layer in t.hidden:
        yield from _activations(t, [layer], "Layer {layer}", "{A}", "{Z}")
        if layer in dropped:
            yield from _dropouts(t, [layer], {"place": f"layer {layer}"})
    for layer in biased:
        right = "{Z} = {W} @ {A_prev} + {b}"
        yield _without_bias(t, [layer], "{Z} lacks its bias {b}.", right)
    if len(t.hidden) > 1:
        if len({t.g[layer] for layer in t.hidden}) == 1:
            yield from _activations(t, list(t.hidden), "Every hidden layer", "A", "Z")
        if len(dropped) > 1:
            everywhere = {"place": "every hidden layer", "A": "A", "mask": "mask"}
            yield from _dropouts(t, dropped, everywhere)
        if biased:
            says = "The biases are missing from every layer."
            yield _without_bias(t, list(t.layers), says, "Z = W @ A_prev + b")


def _activations(t: Tape, layers: list[int], place: str, A: str, Z: str) -> Iterator[WrongLoss]:
    """Yield other activations in these layers, which are of one activation."""
    own = t.g[layers[0]]
    for other in (*ACTIVATIONS, "none"):
        if other != own:
            text = "linear: its activation is missing" if other == "none" else other
            yield _forward(
                t,
                "activation",
                f"A{layers[0]}",
                layers[0],
                f"{place} is {text}; it should be {own}.",
                f"{A} = {_of(other, Z)}",
                f"{A} = {_of(own, Z)}",
                g=_put(t.g, layers, [other] * len(layers)),
            )


def _of(activation: str, Z: str) -> str:
    return Z if activation == "none" else f"{written(activation)}({Z})"


def _without_bias(t: Tape, layers: list[int], says: str, right: str) -> WrongLoss:
    b = _put(t.b, layers, [np.zeros_like(t.b[layer]) for layer in layers])
    wrong = right[: right.rindex(" + ")]
    return _forward(t, "bias-missing", f"Z{layers[0]}", layers[0], says, wrong, right, b=b)


def _dropouts(t: Tape, layers: list[int], values: Mapping[str, Any]) -> Iterator[WrongLoss]:
    """Yield the ways to get dropout wrong in these layers."""
    wrongs: list[tuple[str, str, Callable[..., Any], Callable[..., float], str]] = [
        ("forgotten", "{A} = {A}", np.ones_like, lambda keep: 1.0,
         "Dropout is not applied in {place}."),
        ("not-rescaled", "{A} = {A} * {mask}", lambda mask: mask, lambda keep: 1.0,
         "The output of {place} is masked but not divided by keep_prob."),
        ("only-rescaled", "{A} = {A} / keep_prob", np.ones_like, lambda keep: keep,
         "The output of {place} is divided by keep_prob but not masked."),
        ("rescaled-twice", "{A} = {A} * {mask} / keep_prob**2", lambda mask: mask,
         lambda keep: keep**2, "The output of {place} is divided by keep_prob twice."),
        ("multiplied", "{A} = {A} * {mask} * keep_prob", lambda mask: mask, lambda keep: 1 / keep,
         "The output of {place} is multiplied by keep_prob instead of divided by it."),
        ("inverted", "{A} = {A} * (1 - {mask}) / keep_prob", np.logical_not, lambda keep: keep,
         "The mask of {place} is inverted."),
    ]  # fmt: skip
    for bug, wrong, mask_of, keep_of, says in wrongs:
        yield _forward(
            t,
            f"mask-{bug}",
            f"A{layers[0]}",
            layers[0],
            says,
            wrong,
            "{A} = {A} * {mask} / keep_prob",
            values,
            mask=_put(t.mask, layers, [mask_of(t.mask[layer]) for layer in layers]),
            keep=_put(t.keep, layers, [keep_of(t.keep[layer]) for layer in layers]),
        )


def _forward(
    t: Tape,
    name: str,
    tensor: str,
    layer: int,
    says: str,
    wrong: str,
    right: str,
    values: Mapping[str, Any] | None = None,
    **changes: Any,
) -> WrongLoss:
    other = run(t._replace(**changes))
    says = f"In the forward pass: {says}"
    value, chain = cost(other), Chain(other)
    return WrongLoss(
        f"forward-{name}", tensor, layer, says, wrong, right, value, chain, values or {}
    )


def _put(values: tuple[Any, ...], layers: list[int], others: list[Any]) -> tuple[Any, ...]:
    """Return a value a layer, with these in place of those of some layers."""
    result = list(values)
    for layer, other in zip(layers, others, strict=True):
        result[layer] = other
    return tuple(result)


def _dot(*pairs: Any) -> float:
    """Return the sum of a * b over every entry of every pair a, b, with 0 * inf = 0."""
    return sum(
        float(np.where(np.equal(a, 0), 0.0, a * b).sum())
        for a, b in zip(pairs[::2], pairs[1::2], strict=True)
    )


def right_loss(t: Tape) -> str:
    """Return the template of the right loss."""
    return "J = cross-entropy({A}, Y)" + _penalty_text(t)


def _penalty_text(t: Tape) -> str:
    return " + l2 / (2 * m) * (sum of all W**2)" if t.l2 else ""
