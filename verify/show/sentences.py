"""The sentences of a report: one for each kind of conclusion, and one for each kind of note.

They are written last and never read: `verify.verdict` decides by kinds and numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from verify.evidence.forms import LAYOUTS
from verify.report import Fact, Resolution


def sentence(fact: Fact) -> str:
    """Return a fact as a sentence. Raises KeyError for an unknown kind."""
    return SENTENCES[fact.kind](**fact.values)


def _gradients(tensors: Sequence[str]) -> str:
    return ", ".join(f"d{name}" for name in tensors)


def _backward_wrong(tensors: Sequence[str], jax: str, differences: bool) -> str:
    if jax and differences:
        against = f"{jax} and the finite differences disagree"
    else:
        against = f"{jax} disagrees" if jax else "the finite differences disagree"
    return f"The backward pass is wrong in {_gradients(tensors)}: {against} with it."


def _too_wide(tensors: Mapping[str, Resolution], count: int, jax: str) -> str:
    """Say of which tensors an error of a tenth would not have shown, why, and what to do."""
    lines = [_coarse(name, resolution) for name, resolution in list(tensors.items())[:SHOWN]]
    more = f" And {len(tensors) - SHOWN} more." if len(tensors) > SHOWN else ""
    limits = (resolution.limit for resolution in tensors.values())
    next_steps = dict.fromkeys(
        NEXT["witness with JAX" if jax and limit == "witness" else limit] for limit in limits
    )
    return (
        f"Nothing contradicts the gradient, but in {len(tensors)} of {count} tensors an error of "
        f"a tenth would not have shown. {' '.join(lines)}{more} {' '.join(next_steps)}"
    )


def _coarse(name: str, resolution: Resolution) -> str:
    if resolution.zero:
        return f"d{name} is 0 here within its error bars, which are too wide to say more."
    if not math.isfinite(resolution.entry):
        return f"d{name}: {LIMITS[resolution.limit]}, so no error of an entry would have shown."
    return (
        f"d{name}: an error of an entry shows from {100 * resolution.entry:.2g} % of the largest "
        f"on; {LIMITS[resolution.limit]}."
    )


SHOWN = 3
LIMITS = {
    "kinks": "some entries are where the function bends",
    "edges": "the function is not finite on both sides of some entries",
    "roughness": "some slopes do not settle however small the steps are",
    "unjudged": "some entries were not compared",
    "rounding": "the rounding of the gradient widens the error bars",
    "witness": "what it is compared with is not known any better",
}
NEXT = {
    "kinks": "Check at another point, one without exact zeros or ties.",
    "edges": "Check at a point within the domain.",
    "roughness": "Check at another point, or with a mirror in JAX.",
    "unjudged": "Check with a larger budget, or at another point.",
    "rounding": "Check in float64 or, if it is that already, where the gradient is larger.",
    "witness": "Check where the gradient is larger, or with a mirror in JAX.",
    "witness with JAX": "Check where the gradient is larger.",
}


def _wrong_under_cotangents(first: Fact, wrong: Sequence[str], count: int) -> str:
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return (
        f"{sentence(first)} This is so for {len(wrong)} of {count} cotangents: "
        f"{'; '.join(wrong[:3])}{more}."
    )


PARTS = {
    (1, "reverse"): "The gradient",
    (1, "forward"): "The derivative in forward mode",
    (2, "reverse"): "The gradient's own gradient",
}
"""What was checked, by order and mode."""
FORMS = {
    "strided": "strided ([..., ::2])",
    "transposed": "transposed",
    "expanded": "expanded (stride 0, as y.sum() hands it back)",
    "ones": "1 throughout",
    "zeros": "0 throughout",
    "absent": "None for all outputs but one",
}
"""What a cotangent of each form is."""


def _wrong_for_forms(first: Fact, forms: Sequence[str]) -> str:
    wrong = first.values.get("tensors", ())
    kinds = list(dict.fromkeys(forms))
    words = _listed([FORMS[form] for form in kinds], "or")
    if not {*kinds} <= {*LAYOUTS}:
        return f"{sentence(first)} This is so where the cotangent is {words}."
    verb = "is" if len(wrong) == 1 else "are"
    return (
        "The backward pass is right for contiguous cotangents alone: where the cotangent is "
        f"{words}, {_gradients(wrong)} {verb} wrong. It does not follow the strides."
    )


def _listed(words: Sequence[str], word: str = "and") -> str:
    return f" {word} ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def _cotangents_agree(count: int, jax: str, forms: Sequence[str] = ()) -> str:
    others = f"{jax} and with finite differences" if jax else "finite differences"
    layouts = [form for form in LAYOUTS if form in forms]
    also = f", contiguous, {_listed(layouts)}" if layouts else ""
    return (
        f"The backward pass agrees with {others} of the forward pass, within their error bars, "
        f"for {count} cotangents{also}."
    )


def _sampled(checked: int, count: int, directions: int) -> str:
    entries = (
        f"{checked} of {count} entries were differenced one by one: the largest, the "
        "smallest, zeros and random others of each tensor."
        if checked
        else f"None of {count} entries was differenced one by one."
    )
    if not directions:
        return entries
    return (
        f"{entries} In tensors of which entries were left out, all entries together were "
        f"differenced along {directions} random directions."
    )


def _kinks(kinks: int, count: int, whole: Sequence[str]) -> str:
    all_of = f" (every entry of {_gradients(whole)})" if whole else ""
    return (
        f"{kinks} of {count} entries are on a kink{all_of}: the slope jumps there, or "
        "so near that rounding decides on which side they are. Their error bars contain the jump. "
        "A finite difference across a kink is not compared."
    )


def _special_point(zeros: Sequence[str], ones: Sequence[str]) -> str:
    names = [f"{', '.join(each)} = {v}" for each, v in ((zeros, 0), (ones, 1)) if each]
    return (
        f"{' and '.join(names)} throughout, so a missing or an extra factor of "
        f"{' or '.join([*zeros, *ones])} may not show here. Check at another point too."
    )


def _out_of_time(seconds: float, checked: int, count: int, tensor: str, entry: float) -> str:
    left = (
        f"an error of an entry of d{tensor} shows from {100 * entry:.2g} % of the largest on"
        if math.isfinite(entry)
        else f"not every error in d{tensor} would have shown"
    )
    return (
        f"There was no time for all in {seconds:g} s: {checked} of {count} entries were "
        f"differenced, and {left}. Check with more seconds to see more."
    )


SENTENCES: Mapping[str, Callable[..., str]] = {
    # What follows from who agrees with whom.
    "three-agree": lambda: "All three ways agree, every entry within its error bar.",
    "backward-wrong": _backward_wrong,
    "differs-from-jax": lambda tensors, jax: (
        f"The backward pass differs from {jax} in {_gradients(tensors)}."
    ),
    "differences-alone": lambda tensors, jax: (
        f"Only the finite differences disagree, in {_gradients(tensors)}; the hand-written pass "
        f"and {jax} agree, so the code is not wrong. Check at another point to see all three agree."
    ),
    "other-function": lambda: (
        "The forward pass is not the function that it should be, and the backward pass is "
        "faithful to it."
    ),
    "loss-wrong": lambda: "The loss is wrong: its gradient is that of the right loss, not its own.",
    "loss-off-by-constant": lambda: "The loss is wrong by a constant, which no gradient can show.",
    "forward-wrong": lambda: (
        "The forward pass is wrong: the backward pass is that of the mirror, not its own."
    ),
    "forward-off-by-constant": lambda: (
        "The forward pass is off the mirror by a constant, which no gradient can show."
    ),
    "all-differ": lambda: (
        "The values and the gradients differ: the forward pass and the backward pass may both be "
        "wrong."
    ),
    "gradient-wrong": lambda tensors: (
        f"The gradient is wrong in {_gradients(tensors)}: finite differences disagree with it."
    ),
    "differences-agree": lambda: (
        "The gradient agrees with finite differences, within their error bars."
    ),
    "error-bars-too-wide": _too_wide,
    "wrong-under-cotangents": _wrong_under_cotangents,
    "wrong-for-forms": _wrong_for_forms,
    "cotangents-agree": _cotangents_agree,
    # Why there is nothing to check.
    "losses-not-finite": lambda hand, jax: (
        f"The loss is not finite (by hand {hand}, by JAX {jax}), so there is no gradient to check. "
        "Check at a point where it is."
    ),
    "loss-not-finite": lambda function, value: (
        f"{function} is {value} here, so there is no gradient to check. Check at a point where it "
        "is finite."
    ),
    "loss-random": lambda function, first, second: (
        f"{function} is random: at the same place it gave {first:.9g} and then {second:.9g}. "
        "Draw what is random, such as dropout masks, outside, and pass it in."
    ),
    "gradient-random": lambda function, tensor: (
        f"{function} is random: at the same place it gave two gradients of {tensor}. "
        "Draw what is random, such as dropout masks, outside, and pass it in."
    ),
    "too-slow": lambda function, gradient, one, least, seconds: (
        f"{function} and {gradient} take {one:.2g} s together, so that a check takes about "
        f"{least:.2g} s at least, and there were {seconds:g} s. Check with more seconds."
    ),
    "zero-here": lambda tensors: (
        f"{_gradients(tensors)} is zero here; an error is measured by how large it is nearby."
        if len(tensors) == 1
        else f"{_gradients(tensors)} are zero here; an error is measured by how large they are "
        "nearby."
    ),
    "independent": lambda tensors: (
        f"Nothing depends on {', '.join(tensors)}: the value is the same elsewhere."
    ),
    "ties": lambda tensors: (
        f"{_gradients(tensors)} is wrong at ties: where tied entries are moved together, there is "
        "a derivative, and the sum of their gradients is another."
    ),
    # What was not checked, and how the rest was checked.
    "sampled": _sampled,
    "out-of-time": _out_of_time,
    "kinks": _kinks,
    "examples-drawn": lambda count, of, seed: (
        f"The check was made on {count:,} of {of:,} examples, drawn with seed {seed}; any other "
        "set of so many was as likely."
    ),
    "exhaustive-too-slow": lambda seconds: (
        "Of a loss of your own every entry takes several evaluations, which would be about "
        f"{seconds:.0f} s for all, so a sample was taken."
    ),
    "computes-in-float32": lambda function: (
        f"{function} computes in float32, though its arguments are float64."
    ),
    "computes-in-16-bits": lambda name, forward: (
        f"The functions compute with about the bits of {name} inside, though their arguments are "
        "finer. "
        + (
            "The loss is constant around most points, so differences were taken over large "
            "steps; a forward pass that carries float64, or a mirror in JAX, would show more."
            if forward
            else "The loss of float64 arguments does not, so differences are exact."
        )
    ),
    "special-point": _special_point,
    "none-is-zero": lambda tensors: (
        f"backward returned None for {', '.join(tensors)}, which was taken as zero. If that is "
        "meant, name it in constants."
    ),
    "refused-forms": lambda forms, error: (
        f"backward raises {error}, where the cotangent is "
        f"{_listed([FORMS[form] for form in forms], 'or')}; that was not judged, and a caller may "
        "hand over such."
    ),
    "layouts-left-out": lambda layouts: (
        f"No cotangent was {_listed([FORMS[layout] for layout in layouts], 'or')}: whether the "
        "backward pass follows the strides was not judged."
    ),
    "outputs-without-gradient": lambda outputs: (
        f"The function says that its output {_listed(outputs)} has no gradient; it was left out."
        if len(outputs) == 1
        else f"The function says that its outputs {_listed(outputs)} have no gradient; they were "
        "left out."
    ),
    "requires-no-gradient": lambda tensors: (
        f"{_listed(tensors)} {'requires' if len(tensors) == 1 else 'require'} no gradient, as "
        f"others do, and {'was' if len(tensors) == 1 else 'were'} taken as constant."
    ),
    "moved": lambda tensors: (
        f"{_listed(tensors)} {'was' if len(tensors) == 1 else 'were'} constant throughout, and "
        "moved to general values: at such a point a forgotten factor may not show. jitter=False "
        "leaves them."
    ),
    "part": lambda order, mode, fact: f"{PARTS[order, mode]}: {sentence(fact)}",
    "parts-agree": lambda parts: (
        f"{_listed([PARTS[tuple(part)] for part in parts])} "
        f"{'agrees' if len(parts) == 1 else 'agree'}."
    ),
    "conjugated": lambda tensors: (
        f"{_gradients(tensors)} {'is' if len(tensors) == 1 else 'are'} the complex conjugate of "
        "what is expected. The gradient is df/dRe + i df/dIm, as PyTorch has it; JAX's is its "
        "conjugate."
    ),
    "writes-cotangent": lambda: (
        "backward writes into its cotangent. Where that is used again, as in x + f(x), another "
        "gradient comes out wrong."
    ),
    "integers-as-numbers": lambda argument: f"{argument} are integers; they were taken as float64.",
    "worst-of-all-cotangents": lambda: "Each gradient shows its worst result over all cotangents.",
}
