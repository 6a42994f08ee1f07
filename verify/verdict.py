"""Who agrees with whom, and what follows.

losses   gradients                            meaning
agree    manual alone dissents                the backward pass is wrong
agree    finite difference alone dissents     not a fault of the code
differ   manual = finite difference ≠ JAX     the forward pass is another function
differ   manual = JAX ≠ finite difference     the loss is wrong, its gradient right
differ   all differ                           forward and backward both suspect
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verify.report import PAIRS, Pair, Tensor, over_bar


def judge(
    a: np.ndarray, b: np.ndarray, bar: np.ndarray, index: np.ndarray, kinked: np.ndarray
) -> Pair:
    """Compare two ways of the entries `index`, given as flat arrays with their error bars.

    `kinked` entries are held to their bars like all others, but left out of max_abs and of the
    relative difference.
    """
    value = np.asarray(a, float)
    difference = value - np.asarray(b, float)
    ratio = float(over_bar(difference, bar).max(initial=0.0))
    plain = ~kinked
    gap = _norm(difference[plain])
    size = _norm(a[plain]) + _norm(b[plain])
    return Pair(
        max_abs=float(np.abs(difference[plain]).max(initial=0.0)),
        relative=float(gap / size) if gap else 0.0,
        bar_ratio=ratio,
        agree=ratio <= 1,
        index=index,
        value=value,
        difference=difference,
        bar=bar,
    )


def _norm(values: np.ndarray) -> float:
    """Return the Euclidean norm, scaled so that no square underflows."""
    largest = float(np.abs(values).max(initial=0.0))
    return largest * float(np.linalg.norm(values / largest)) if largest else 0.0


def conclude(losses_agree: bool, tensors: Sequence[Tensor]) -> tuple[str, str]:
    """Return the verdict, and in one sentence what follows from who agrees with whom."""

    def dissenting(pair: str) -> list[str]:
        return [t.name for t in tensors if pair in t.pairs and not t.pairs[pair].agree]

    hand_jax, hand_difference, jax_difference = map(dissenting, PAIRS)
    if losses_agree:
        if not hand_jax and not hand_difference and not jax_difference:
            return "agree", "All three ways agree, every entry within its error bar."
        if hand_jax and jax_difference:
            return "disagree", f"The backward pass differs from JAX in {gradient_names(hand_jax)}."
        wrong = hand_jax or [name for name in hand_difference if name not in jax_difference]
        if wrong:
            against = (
                "the finite differences stand"
                if not hand_jax
                else "JAX and the finite differences stand"
                if hand_difference
                else "JAX stands"
            )
            return "disagree", (
                f"The backward pass is wrong in {gradient_names(wrong)}: {against} against it."
            )
        return "undecided", (
            f"The finite differences alone dissent, in {gradient_names(jax_difference)}; "
            "the hand-written pass and JAX agree, so this is no fault of the code."
        )
    if hand_jax and not hand_difference:
        return "disagree", (
            "The forward pass is not the function that it should be, "
            "and the backward pass is faithful to it."
        )
    if not hand_jax and hand_difference:
        return "disagree", (
            "The loss is wrong: its gradient is that of the right loss, not its own."
        )
    if not hand_jax:
        return "disagree", "The loss is off by a constant, which no gradient can see."
    return "disagree", "The losses and the gradients differ: forward and backward are both suspect."


def gradient_names(names: Sequence[str]) -> str:
    """Return what the gradients of these parameters are called, as a list."""
    return ", ".join(f"d{name}" for name in names)
