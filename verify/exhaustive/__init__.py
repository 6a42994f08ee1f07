"""Every weight of a dense network differenced, by the network's structure.

Here: the central difference of the loss of the built-in network by every single entry of every
W and b, each with its error bar. Not here: functions whose structure is not known
(`verify.finite_difference`), and any verdict (`verify.agreement`).

**Structure.** Moving W_l[i, j] by h moves one row of Z_l, by d = h A_(l-1)[j]. What lies before
stays, one row of A_l changes, Z_(l+1) changes by the column W_(l+1)[:, i] times that row, and
what remains is the tail of the network. So a difference costs its tail, and thousands go
through at once. A bias is a weight whose input is 1.

**Differences are carried, not subtracted.** The loss at W + h and the loss at W - h share all
but their last digits, so that subtracting them costs half of the digits. The change itself is
carried instead, from Z to A to Z to the loss, by identities between values. None of them is
a derivative, and each holds for every d, however large:

    relu       g(z + d) - g(z) = [z > 0] d                      as long as z + d keeps the sign
    tanh       g(z + d) - g(z) = s T / (1 + g T)                T = tanh(d), s = 1 - g^2
    sigmoid    g(z + d) - g(z) = s E / (1 + g E)                E = expm1(d), s = g (1 - g)
    sigmoid's cross-entropy    log1p(E)                         E = p expm1(-d), -d where Y = 0: d
    softmax's cross-entropy    log1p(E)                         E = sum p_c expm1(d_c - d_y)
    L(+h) - L(-h) = log((1 + E+) / (1 + E-)) = 2 atanh((E+ - E-) / (2 + E+ + E-))
    penalty    ((w + h)^2 - (w - h)^2) / 2h = 2 w               times l2 / 2m

with p the probability of each wrong class (y is the right one), so that nothing cancels where
the output saturates, on either side. s is computed from z, as 4e / (1 + e)^2 with e = e^-2|z|
(tanh; e^-|z| and no 4 for sigmoid), which keeps its digits where g has rounded to 1.

**Step.** Every operation above is exact to a few units roundoff u = 2^-53 of its own result,
whatever h: rounding is relative to the difference, and does not grow as h falls. (Where losses
are subtracted it grows as 1 / h, and h cannot be much below u^(1/3).) Truncation is relative to
the difference as well, about x^2 / 3 where x is how far h moves a pre-activation or a logit. So
h is the largest power of two that moves none of them by more than 2^-27, about sqrt(u): a
larger one shows truncation, a smaller one gains nothing. There is one h for each W and each b,
from a bound on what can move how far (absolute weights times slopes). At such d the functions
tanh, expm1 and atanh are two to four terms of their series, to the last bit. (This is not only
faster: inside a fused reduction XLA 0.10 on the CPU computes expm1(x) - expm1(-x) as 0 for
x = 1e-8.)

**Kinks.** h is also cut to below half of the distance to the next kink, so that no relu changes
sign. Units that are `kinked`, which is to say that their Z is within its own rounding of 0,
or that are exactly at 0, are held on the piece that the base Z selects: slope [Z > 0]. An
entry that moves a held unit is marked as not smooth, and its value is that of the piece.

**Bars.** Truncation is measured on every entry, from a second step H = 2^10 h on the same piece:

    D(h) - f' = (D(H) - D(h)) / (2^20 - 1) (1 + O(2^-30)),    and the bar takes twice that.

Rounding, given the base values: with B = p at the logits and B_l = s |W_(l+1)|^T B_(l+1), no
contribution of an example to an entry exceeds |A| B, nor do the sums of absolute values that
appear on the way. With n operations between Z_l and the sum over the m examples, n + m roundings
meet in it, and errors that are as often up as down leave, with probability 1 - 2 exp(-k^2 / 2),

    k sqrt(n + m) u (|A_(l-1)| B_l^T) / m

(Higham & Mary, 2019, theorem 2.4); k = 8, at which 1e12 entries give one failure in a hundred
trials. To that come the last division and the penalty, 4 u of each, and what is flushed to zero
below 2^-1022. The base forward pass rounds too; what that does to the gradient is counted once
by `verify.rounding`, as it is for every other way.

**Second reading.** The forward pass here is one of its own. Its loss must equal `manual.loss`,
and a stratified sample of each tensor's differences must equal black-box differences of
`manual.loss`, within bars. (Layers before the one that is moved are evaluated once: to the
black box too, the network begins at the inputs of that layer.)

**Cost.** In a tail of relus, which is linear on one piece, multiplying d by a power of two or by
-1 multiplies every later change by the same, bit for bit: the tail is computed once for the four
points +-h and +-H. Otherwise four times. Where the tail is small it is unrolled, so that XLA
fuses it into one loop over (units x features), vectorised over the features, that adds one
example after the other to sums which stay in the cache; blocks of features go to a thread each.
Wide tails are batched matrix products in NumPy, and so is whatever is too little work to be
worth a compilation.

@LIMIT@

Sources: Higham & Mary, *A new approach to probabilistic rounding error analysis*, SIAM J. Sci.
Comput. 41 (2019); Higham, *Accuracy and Stability of Numerical Algorithms* (2002), section 1.14
(differences computed as wholes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from verify.exhaustive import check, network, tail
from verify.finite_difference import Differences
from verify.problem import Problem

__all__ = ["estimated_seconds", "exhaustive_differences"]


def exhaustive_differences(
    problem: Problem, *, kinked: Sequence[np.ndarray] | None = None
) -> dict[str, Differences]:
    """Return the central difference of the loss by every parameter, under the parameters' keys.

    Evaluated in float64 at the problem's parameters. `kinked` marks, in one boolean (n_l, m) a
    layer, relu units to hold on the piece that the sign of their Z selects, beside those whose
    Z is 0; an entry that moves a held unit has smooth False. All entries of each tensor are
    there, in order.

    Raises ValueError where the loss is not finite, and RuntimeError where the loss or a
    sampled difference is not that of `manual.loss`.
    """
    from threadpoolctl import threadpool_limits

    problem = problem.astype(np.float64)
    layers, output = network.forward(problem, kinked)
    if not math.isfinite(output.loss):
        raise ValueError(
            f"params: got a loss of {output.loss}, takes a network whose loss is finite"
        )
    results = {}
    # Blocks go to a thread each, and threads of BLAS would fight with those for the cores.
    with np.errstate(over="ignore", invalid="ignore"), threadpool_limits(1, "blas"):
        gains, touched = network.gains(layers, output), network.touched(layers)
        for index, layer in enumerate(layers):
            inputs = {"W": layer.A_prev, "b": np.ones((1, problem.m))}
            penalties = {"W": problem.l2 / problem.m * layer.W, "b": np.zeros((len(layer.Z), 1))}
            for letter in "Wb":
                results[f"{letter}{index + 1}"] = _tensor(
                    layers[index:],
                    output,
                    gains[index:],
                    touched[index],
                    inputs[letter],
                    penalties[letter],
                )
    check.equals_manual_loss(problem, layers, output, gains)
    check.equals_black_box(problem, layers, results)
    return {name: results[name] for name in problem.params}


def _tensor(
    layers: Sequence[network.Layer],
    output: network.Output,
    gains: Sequence[np.ndarray],
    touched: np.ndarray,
    inputs: np.ndarray,
    penalty: np.ndarray,
) -> Differences:
    """Return the differences by the weights of the first layer that read inputs (n, m)."""
    h = network.step(layers, inputs)
    near, far = tail.differences(layers, output, inputs, h)
    truncation = 2 * np.abs(far - near) / (tail.FAR**2 - 1)
    rounding = network.rounding(layers, gains, inputs, h)
    last = 4 * network.UNIT * (np.abs(near) + np.abs(penalty))
    return Differences(
        np.arange(near.size),
        (near + penalty).ravel(),
        np.nan_to_num(truncation + rounding + last, nan=np.inf, posinf=np.inf).ravel(),
        ~_moves(touched, inputs).ravel(),
    )


def _moves(touched: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Return which weights (n_l, n) reach a held unit in some example."""
    if not touched.any():
        return np.zeros((len(touched), len(inputs)), bool)
    return touched.astype(float) @ (inputs != 0).T.astype(float) > 0


def estimated_seconds(problem: Problem) -> float:
    """Return about how long `exhaustive_differences` will take on this machine's cores.

    From counts of operations and the prices of `tail`, measured on two cores; by the command
    `pytest tests/benchmarks/test_exhaustive_speed.py` they can be measured anew.
    """
    widths, m = problem.layers[1:], problem.m
    names = (*problem.hidden, "logit")
    total = 0.0
    for index, (n_in, _) in enumerate(pairwise(problem.layers)):
        rest = names[index:], widths[index:]
        total += tail.seconds(*rest, n_in, m) + tail.seconds(*rest, 1, m)
        total += check.seconds(widths[index:], n_in, m)
    return total
