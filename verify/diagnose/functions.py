"""Other functions than the loss should be: what a wrong forward pass or cost would compute.

A loss that differs from the right one says that another function was written. Each `Function`
here is one that people write, with its value and with the backward pass that would be faithful
to it. So "the backward pass is wrong" and "the forward pass is wrong, and the backward pass is
faithful to it" are told apart: in the second case the gradients are those of the chain here.

Mistakes of the kind `cost` leave the gradients what they should be; those of the kind `forward`
come with the gradients of the function that was written.
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
from verify.diagnose.chain import Chain, Formula, Key, Tape, run

CLIPS = tuple(10.0**-k for k in range(4, 17))
"""Where people clip A before they take its logarithm, and what they add to it."""


@dataclass(frozen=True, eq=False)
class Function:
    """A function in the place of the loss: in words, its value, its faithful backward pass.

    `says`, `wrong` and `right` are templates for the names of its layer (`formulas`), of the
    output where it has none, and for `values`.
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


def functions(t: Tape, seen: float) -> Iterator[Function]:
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


def _both(
    t: Tape,
    name: str,
    says: str,
    wrong: str,
    value: float,
    faithful: Mapping[Key, Formula],
    **values: Any,
) -> Iterator[Function]:
    """Yield another loss: in the cost alone, and with the gradients of what was written."""
    for kind, formulas in (("cost", {}), ("forward", faithful)):
        yield Function(
            f"{kind}-{name}",
            "loss",
            None,
            says,
            wrong,
            right_loss(t),
            value,
            Chain(t, formulas),
            values,
        )


# Costs: another measure of how wrong the output is.


def _costs(t: Tape) -> Iterator[Function]:
    A, Y, m = t.A[t.L], t.Y, t.m
    softmax = t.g[t.L] == "softmax"
    plain = _cross_entropy(t)
    log_A, log_rest = _logs(t)

    def both(
        name: str, says: str, wrong: str, value: float, dZ: np.ndarray, **values: Any
    ) -> Iterator[Function]:
        formula = f"J = {wrong}{_penalty_text(t)}"
        faithful = {("dZ", t.L): lambda t, c, layer: dZ}
        yield from _both(t, name, says, formula, value + _penalty(t), faithful, **values)

    factors = [
        ("summed", m, "The cost is summed over the {m} examples, not averaged.", "sum of "),
        ("averaged-twice", 1 / m, "The cost is divided by m twice (m = {m}).", "1/m * "),
        ("doubled", 2, "The cost of the data is twice too large.", "2 * "),
        ("halved", 0.5, "The cost of the data is half of what it should be.", "1/2 * "),
        ("negated", -1, "The cost of the data has the wrong sign.", "-"),
        ("in-bits", 1 / log(2), "The cost takes logarithms to base 2.", "1 / log(2) * "),
        ("in-decades", 1 / log(10), "The cost takes logarithms to base 10.", "1 / log(10) * "),
        (
            "averaged-over-classes",
            1 / len(Y),
            "The cost is averaged over the {classes} classes as well as over the examples.",
            "1/{classes} * ",
        ),
    ]
    for name, factor, sentence, text in factors:
        if factor != 1:
            value, dZ = factor * plain, factor * (A - Y)
            yield from both(name, sentence, text + "cross-entropy", value, dZ, classes=len(Y))

    if softmax:
        yield from both(
            "binary-under-softmax",
            "The cost adds (1 - Y) * log(1 - A), as for a sigmoid output; this one is a softmax.",
            "mean of -(Y * log({A}) + (1 - Y) * log(1 - {A}))",
            -_dot(Y, log_A, 1 - Y, log_rest) / m,
            _through_output(t, -Y / A + (1 - Y) / (1 - A)),
        )
        Z = t.Z[t.L]
        yield from both(
            "sigmoid-under-softmax",
            "The cost takes every output for a sigmoid of its own; they should be a softmax.",
            "mean of -(Y * log(s) + (1 - Y) * log(1 - s)) with s = sigmoid({Z})",
            float((np.logaddexp(0, Z) - Y * Z).sum()) / m,
            sigmoid(Z) - Y,
        )
    else:
        yield from both(
            "ones-only",
            "The cost counts only the examples of label 1: the term (1 - Y) * log(1 - A) is "
            "missing.",
            "mean of -Y * log({A})",
            -_dot(Y, log_A) / m,
            -Y * (1 - A),
        )
        yield from both(
            "zeros-only",
            "The cost counts only the examples of label 0: the term Y * log(A) is missing.",
            "mean of -(1 - Y) * log(1 - {A})",
            -_dot(1 - Y, log_rest) / m,
            (1 - Y) * A,
        )
    for name, factor, text in (("squared", 1.0, "mean of"), ("half-squared", 0.5, "mean of 1/2 *")):
        yield from both(
            name,
            "The cost is the squared error; it should be the cross-entropy.",
            text + " ({A} - Y)**2",
            factor * float(np.square(A - Y).sum()) / m,
            _through_output(t, 2 * factor * (A - Y)),
        )
    each = -(Y * log_A + (0 if softmax else 1) * (1 - Y) * log_rest).sum(axis=0)
    for which, column in (("first", 0), ("last", -1)):
        if m > 1:
            kept = (A - Y).copy()
            kept[:, column] = 0
            yield from both(
                f"{which}-example-left-out",
                f"The cost leaves out the {which} example.",
                f"cross-entropy without the {which} example",
                (plain * m - float(each[column])) / m,
                kept,
            )
    yield from _guarded(t, both)


def _guarded(t: Tape, both: Callable[..., Iterator[Function]]) -> Iterator[Function]:
    """Yield the costs that keep log(0) away by clipping A or by adding to it."""
    A, Y, m = t.A[t.L], t.Y, t.m
    softmax = t.g[t.L] == "softmax"
    rest = 0.0 if softmax else 1 - Y
    for clip in CLIPS:
        top = 1.0 if softmax else 1 - clip
        kept = np.clip(A, clip, top)
        inside = (clip <= A) & (top >= A)
        yield from both(
            "clipped",
            "The cost clips {A} at {clip:g}, so an example costs at most {most:.3g}.",
            "cross-entropy(clip({A}, {clip:g}, {top:g}), Y)",
            -_dot(Y, np.log(kept), rest, np.log(1 - kept) if not softmax else 0.0) / m,
            _through_output(t, inside * (-Y / kept + rest / (1 - kept if not softmax else 1))),
            clip=clip,
            top=top,
            most=-log(clip),
        )
        yield from both(
            "guarded",
            "The cost adds {clip:g} inside the logarithm.",
            "mean of -Y * log({A} + {clip:g}) ...",
            -_dot(Y, np.log(A + clip), rest, np.log(1 - A + clip)) / m,
            _through_output(t, -Y / (A + clip) + rest / (1 - A + clip)),
            clip=clip,
        )


# Penalties.


def _penalties(t: Tape, seen: float) -> Iterator[Function]:
    plain, penalty, m, l2 = _cross_entropy(t), _penalty(t), t.m, t.l2
    if not l2:
        squares = float(manual.l2_penalty(t.W[1:], 1.0, m))
        extra = (seen - plain) / squares if squares else 0.0
        yield Function(
            "forward-l2-uninvited",
            "loss",
            None,
            "The loss holds an L2 penalty with lambda = {factor:.6g}; there should be none.",
            "J = cross-entropy + {factor:.6g} / (2 * m) * (sum of all W**2)",
            right_loss(t),
            plain + extra * squares,
            Chain(t, _all_penalties(t, lambda t, c, layer: extra / t.m * t.W[layer])),
            {"factor": extra},
        )
        return
    named = [
        ("l2-missing", 0.0, "", "The L2 penalty is missing from the loss."),
        ("l2-doubled", 2.0, " + l2 / m * ...", "The L2 penalty is l2 / m: the 1/2 is missing."),
        ("l2-halved", 0.5, " + l2 / (4 * m) * ...", "The L2 penalty is half of what it should be."),
        ("l2-negated", -1.0, " - l2 / (2 * m) * ...", "The L2 penalty has the wrong sign."),
        ("l2-not-averaged", m, " + l2 / 2 * ...", "The L2 penalty is not divided by m."),
        ("l2-not-halved-or-averaged", 2 * m, " + l2 * ...", "The L2 penalty is not divided by 2m."),
        ("l2-averaged-twice", 1 / m, " + l2 / (2 * m**2) * ...", "The L2 penalty is divided by m "
         "twice."),
    ]  # fmt: skip
    for name, factor, text, sentence in named:
        yield from _both(
            t,
            name,
            sentence,
            f"J = cross-entropy{text.replace('...', '(sum of all W**2)')}",
            plain + factor * penalty,
            _all_penalties(t, _penalty_slope(factor)),
        )
    if any(b.any() for b in t.b[1:]):
        biases = float(manual.l2_penalty(t.b[1:], l2, m))
        yield from _both(
            t,
            "l2-on-biases",
            "The L2 penalty holds the biases too; only weights are penalised.",
            f"J = cross-entropy{_penalty_text(t)} + l2 / (2 * m) * (sum of all b**2)",
            plain + penalty + biases,
            {("db", layer): _penalised_bias for layer in t.layers},
        )
    norms = sum(float(np.linalg.norm(W)) for W in t.W[1:])
    yield from _both(
        t,
        "l2-not-squared",
        "The L2 penalty holds the norm of the weights; it should hold their squares.",
        "J = cross-entropy + l2 / (2 * m) * (sum of all norm(W))",
        plain + l2 / (2 * m) * norms,
        _all_penalties(
            t, lambda t, c, layer: t.l2 / (2 * t.m) * t.W[layer] / np.linalg.norm(t.W[layer])
        ),
    )
    for layer in t.layers:
        own = float(manual.l2_penalty([t.W[layer]], l2, m))
        yield from _both(
            t,
            "l2-misses-a-layer",
            "The L2 penalty misses {missed}.",
            "J = cross-entropy + l2 / (2 * m) * (sum of all W**2 but {missed})",
            plain + penalty - own,
            {("penalty", layer): _penalty_slope(0.0)},
            missed=f"W{layer}",
        )
    factor = (seen - plain) / penalty if penalty else 1.0
    yield Function(
        "forward-l2-scaled",
        "loss",
        None,
        "The L2 penalty is {factor:.6g} times what it should be, in the loss and its gradients.",
        "J = cross-entropy + {factor:.6g} * l2 / (2 * m) * (sum of all W**2)",
        right_loss(t),
        plain + factor * penalty,
        Chain(t, _all_penalties(t, _penalty_slope(factor))),
        {"factor": factor},
    )


def _all_penalties(t: Tape, formula: Formula) -> dict[Key, Formula]:
    return {("penalty", layer): formula for layer in t.layers}


def _penalty_slope(factor: float) -> Formula:
    return lambda t, c, layer: factor * t.l2 / t.m * t.W[layer]


def _penalised_bias(t: Tape, c: Chain, layer: int) -> np.ndarray:
    summed: np.ndarray = c["dZ", layer].sum(axis=1, keepdims=True)
    return (summed + t.l2 * t.b[layer]) / t.m


# Forward passes.


def _forwards(t: Tape) -> Iterator[Function]:
    """Yield the networks that differ from the right one in one layer, or alike in all."""
    for layer in t.hidden:
        for own, wrong, text in _activations(t, layer):
            yield _forward(
                t,
                "activation",
                f"A{layer}",
                layer,
                f"Layer {{layer}} is {text}; it should be {own}.",
                f"{{A}} = {_of(wrong, '{Z}')}",
                f"{{A}} = {_of(own, '{Z}')}",
                g=_put(t.g, layer, wrong),
            )
        if t.drops(layer):
            yield from _dropouts(t, [layer])
    for layer in t.layers:
        if t.b[layer].any():
            yield _forward(
                t,
                "bias-missing",
                f"Z{layer}",
                layer,
                "{Z} lacks its bias {b}.",
                "{Z} = {W} @ {A_prev}",
                "{Z} = {W} @ {A_prev} + {b}",
                b=_put(t.b, layer, np.zeros_like(t.b[layer])),
            )
    if len(t.hidden) > 1:
        yield from _everywhere(t)


def _everywhere(t: Tape) -> Iterator[Function]:
    if len({t.g[layer] for layer in t.hidden}) == 1:
        for own, wrong, text in _activations(t, 1):
            yield _forward(
                t,
                "activation",
                "A1",
                1,
                f"Every hidden layer is {text}; it should be {own}.",
                f"A = {_of(wrong, 'Z')}",
                f"A = {_of(own, 'Z')}",
                g=("", *(wrong for _ in t.hidden), t.g[t.L]),
            )
    layers = [layer for layer in t.hidden if t.drops(layer)]
    if len(layers) > 1:
        yield from _dropouts(t, layers)
    if any(b.any() for b in t.b[1:]):
        yield _forward(
            t,
            "bias-missing",
            "Z1",
            1,
            "The biases are missing from every layer.",
            "Z = W @ A_prev",
            "Z = W @ A_prev + b",
            b=(t.b[0], *(np.zeros_like(b) for b in t.b[1:])),
        )


def _activations(t: Tape, layer: int) -> Iterator[tuple[str, str, str]]:
    own = t.g[layer]
    for wrong in (*ACTIVATIONS, "none"):
        if wrong != own:
            yield own, wrong, "linear: its activation is missing" if wrong == "none" else wrong


def _of(activation: str, Z: str) -> str:
    return Z if activation == "none" else f"{written(activation)}({Z})"


def _dropouts(t: Tape, layers: list[int]) -> Iterator[Function]:
    """Yield the ways to get dropout wrong in these layers."""
    values: dict[str, Any] = {"place": "every hidden layer", "A": "A", "mask": "mask"}
    if len(layers) == 1:
        values = {"place": f"layer {layers[0]}"}
    wrongs: list[tuple[str, str, str, Callable[..., Any], Callable[..., Any]]] = [
        ("mask-forgotten", "Dropout is not applied in {place}.", "{A} = {A}",
         np.ones_like, lambda keep: 1.0),
        ("mask-not-rescaled", "What {place} hands on is masked but not divided by keep_prob.",
         "{A} = {A} * {mask}", lambda mask: mask, lambda keep: 1.0),
        ("mask-only-rescaled", "What {place} hands on is divided by keep_prob but not masked.",
         "{A} = {A} / keep_prob", np.ones_like, lambda keep: keep),
        ("mask-rescaled-twice", "What {place} hands on is divided by keep_prob twice.",
         "{A} = {A} * {mask} / keep_prob**2", lambda mask: mask, lambda keep: keep**2),
        ("mask-multiplied", "What {place} hands on is multiplied by keep_prob instead of divided.",
         "{A} = {A} * {mask} * keep_prob", lambda mask: mask, lambda keep: 1 / keep),
        ("mask-inverted", "The mask of {place} is applied the wrong way round.",
         "{A} = {A} * (1 - {mask}) / keep_prob", np.logical_not, lambda keep: keep),
    ]  # fmt: skip
    for bug, says, wrong, mask_of, keep_of in wrongs:
        mask, keeps = list(t.mask), list(t.keep)
        for layer in layers:
            mask[layer], keeps[layer] = mask_of(t.mask[layer]), keep_of(t.keep[layer])
        yield _forward(
            t,
            bug,
            f"A{layers[0]}",
            layers[0],
            says,
            wrong,
            "{A} = {A} * {mask} / keep_prob",
            values,
            mask=tuple(mask),
            keep=tuple(keeps),
        )


def _forward(
    t: Tape,
    name: str,
    tensor: str,
    layer: int | None,
    says: str,
    wrong: str,
    right: str,
    values: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Function:
    other: dict[str, Any] = {"g": t.g, "W": t.W, "b": t.b, "mask": t.mask, "keep": t.keep} | changes
    written = run(t.eps, t.A[0], t.Y, t.l2, **other)
    return Function(
        f"forward-{name}",
        tensor,
        layer,
        f"In the forward pass: {says}",
        wrong,
        right,
        cost(written),
        Chain(written),
        values or {},
    )


def _put(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    return (*values[:index], value, *values[index + 1 :])


def _dot(*pairs: np.ndarray | float) -> float:
    """Return the sum of a * b over every entry of every pair a, b, with 0 * inf = 0."""
    total = 0.0
    for a, b in zip(pairs[::2], pairs[1::2], strict=True):
        product = np.where(np.equal(a, 0), 0.0, a * b)
        total += float(product.sum())
    return total


def right_loss(t: Tape) -> str:
    """Return the template of the right loss."""
    return "J = cross-entropy({A}, Y)" + _penalty_text(t)


def _penalty_text(t: Tape) -> str:
    return " + l2 / (2 * m) * (sum of all W**2)" if t.l2 else ""
