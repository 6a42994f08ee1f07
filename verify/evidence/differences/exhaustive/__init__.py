"""Every weight of a dense network differenced, by the network's structure.

Here: the central difference of the built-in network's loss by every single entry of every W
and b, each with its error bar. `network` has the base values, steps and bars, `tail` carries
the differences, `check` compares with `manual.loss`. Not here: functions whose structure is not
known (`verify.evidence.differences.central`), and any verdict (`verify.network`).

**Structure.** Moving W_l[i, j] by h moves one row of Z_l, by d = h A_(l-1)[j]. What lies before
stays, one row of A_l changes, Z_(l+1) changes by the column W_(l+1)[:, i] times that row, and
what remains is the tail of the network. So a difference costs its tail, and thousands go
through at once. A bias is a weight whose input is 1.

**Differences are carried, not subtracted.** The loss at W + h and the loss at W - h share all
but their last digits, so that subtracting them costs half of the digits. The change itself is
carried instead, from Z to A to Z to the loss, by identities between values. None of them is a
derivative, and but for those of activations with a kink each holds for every d, however large.
Those from Z to A stand in `verify.activations`; to the loss they are

    sigmoid's cross-entropy   L(q + d) - L(q) = log1p(E)    E = p expm1(d), for Y = 1 p expm1(-d)
    softmax's cross-entropy   L(q + d) - L(q) = log1p(E)    E = sum of p_c expm1(d_c - d_y)
    either's   L(+) - L(-) = 2 atanh((E+ - E-) / (2 + E+ + E-))
    penalty    ((w + h)^2 - (w - h)^2) / 2h = 2 w           times l2 / 2m

where p are the probabilities of the wrong classes and y is the right one, so that nothing
cancels where the output saturates, on either side.

**Step.** Each of these results is exact to a few units u = 2^-53 of its own size, whatever h:
rounding is relative to the difference, and does not grow as h falls. (Where losses are
subtracted it grows as 1 / h, and h cannot be much below u^(1/3).) Truncation is relative to the
difference too, of the order of x^2, where x is how far h moves a pre-activation or a logit. So
h is the largest power of two that moves none of them by more than 2^-27, about sqrt(u): a
larger one would show truncation, a smaller one gains nothing. There is one h for each W and
each b, from a bound on what can move how far: absolute weights times slopes. For such small d,
tanh, expm1 and atanh are the first terms of their series, to the last bit; that is faster than
a library's function, and safer (in a fused reduction, XLA of JAX 0.10 makes 0 of
expm1(x) - expm1(-x) for x near 1e-8).

**Kinks.** h is also kept below half of the distance to the next kink, so that no unit changes
sides. Units that are `kinked`, which is to say that their Z is within its own rounding of 0, or
that are at 0 itself, are held on the piece that their Z selects, as g'(Z) is. An entry that
moves a held unit is marked as not smooth; its value is that of the piece.

**Bars.** Truncation is measured on every entry, from a second step H = 2^10 h on the same piece:

    D(h) - f' = (D(H) - D(h)) / (2^20 - 1), but for terms smaller by (2^-17)^2;

the bar takes twice that. Rounding, given the base values: let B be p at the logits, and
B_l = s_l |W_(l+1)|^T B_(l+1). What one example contributes to an entry's difference is at most
|A| B, and so is the sum of the absolute values of all that it is added up from. It meets n
roundings between Z_l and the loss and m in the sum over the examples. Errors that are as often
up as down then leave, except with probability 2 exp(-k^2 / 2),

    k sqrt(n + m) u (|A_(l-1)| B_l^T) / m

(Higham & Mary, 2019, theorem 2.4). With k = 8 that is once in 4e13. Added are 4 u of the two
summands, data and penalty, and what is flushed to 0 below 2^-1022. Against extended precision,
on 400 random problems with 134,000 entries, no error exceeded 0.53 of its bar, and the median
bar was 130 times the error. The base forward pass rounds too; what that does to a gradient is
counted by `verify.evidence.bars.derived`, once for each way, and is not in these bars.

**Second reading.** The forward pass here is one of its own. Its loss must equal `manual.loss`,
and a stratified sample of each tensor's differences must equal black-box differences of
`manual.loss`, both within bars; or a RuntimeError says where not. (What stays is evaluated
once for the black box too: to it the network begins at the layer that is moved.)

**Cost.** A tail of relus is linear on one piece, and multiplying d by -1 or a power of two
multiplies every later change by the same, bit for bit: such a tail is computed once for all of
-h, h, -H and H, any other four times. Where it is small it is unrolled, so that XLA fuses it into
one loop over units and features, vectorised over the features, that adds one example after the
other to sums which stay in the cache; blocks of features go to a thread each. Large tails are
matrix products in NumPy, and so is whatever is not worth a compilation.

**Limit.** [12288, 20, 7, 5, 1] with 209 examples (cats, 245,973 weights) has 51.4 million pairs
of a weight of W1 and an example; each takes 94 operations in the tail, 64 at the loss with its
four points, and two divisions: 8.1e9 operations. On two cores of the machine this was written
on, each of which reaches 61 GFLOP/s in a matrix product (where all operations are fused in
pairs; here a third are), those would take 0.07 s. The loop takes 0.1 s, and all that happens
here, bars and second reading included, 0.2 s (0.7 s with compilation). Memory is not the limit:
the sums are read and written once an example, 1.6 GB through the cache (0.02 s), and X is read
once. A loop over black-box differences, two losses of 2.7 ms a weight, would take 22 minutes.

Sources: Higham & Mary, *A new approach to probabilistic rounding error analysis*, SIAM J. Sci.
Comput. 41 (2019); Higham, *Accuracy and Stability of Numerical Algorithms* (2002), section 1.7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from verify.evidence.differences.exhaustive import check, network, tail
from verify.evidence.witnesses import Differences
from verify.problem import Problem

__all__ = ["estimated_seconds", "exhaustive_differences"]


def exhaustive_differences(
    problem: Problem, *, kinked: Sequence[np.ndarray] | None = None
) -> dict[str, Differences]:
    """Return the central difference of the loss by every parameter, under the parameters' keys.

    Evaluated in float64 at the problem's parameters. `kinked` marks, in one boolean (n_l, m) a
    layer, units to hold on the piece that the sign of their Z selects, beside those whose
    Z is 0; an entry that moves a held unit has smooth False. All entries of each tensor are
    there, in order.

    Raises ValueError where the loss is not finite, and RuntimeError where the loss or a
    sampled difference is not that of `manual.loss`.
    """
    from threadpoolctl import threadpool_limits

    # Blocks of work go to a thread each, and BLAS's own threads would fight them for the cores.
    with threadpool_limits(1, "blas"):
        return _every_difference(problem.astype(np.float64), kinked)


def _every_difference(
    problem: Problem, kinked: Sequence[np.ndarray] | None
) -> dict[str, Differences]:
    results = {}
    with np.errstate(over="ignore", invalid="ignore"):
        layers, output = network.forward(problem, kinked)
        if not math.isfinite(output.loss):
            raise ValueError(
                f"params: got a loss of {output.loss}, expected a network whose loss is finite"
            )
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

    From counts of operations and their prices on the machine that this was written on; the
    command `pytest tests/benchmarks/test_exhaustive_speed.py -s` sets it beside the time taken.
    """
    widths, m = problem.layers[1:], problem.m
    names = (*problem.hidden, "logit")
    total = 0.0
    for index, (n_in, _) in enumerate(pairwise(problem.layers)):
        rest = names[index:], widths[index:]
        total += tail.seconds(*rest, n_in, m) + tail.seconds(*rest, 1, m)
        total += check.seconds(widths[index:], n_in, m)
    return total
