"""Thousands of random right problems, most of them hard: none may be called wrong.

    python tests/soak.py --count 10000 --seed 0

Not part of the default test run. The problems are drawn from 40 architectures, so that
compilation does not dominate; hard ones have zero or whole-number parameters, whole-number
inputs, weights of scale 10 with saturated outputs, training to convergence, float32, one
example, one unit, a layer of 512 units, or a keep_prob of 0.1. Each is put to `three_way` and, as
a loss and a gradient of which nothing is known, to `compare`. Prints each disagreement as it comes,
and at the end what became of the problems of each kind.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

import numpy as np

import autodiff
import manual
from verify import Problem, Report, compare, draw_masks, three_way

ARCHITECTURES = 40
METHODS = ("sampled", "directional", "exhaustive")
VERDICTS = ("agree", "undecided", "disagree")


def architectures(seed: int) -> list[dict]:
    """Draw the shapes, activations and outputs that all problems have."""
    rng = np.random.default_rng([seed, 40])
    drawn = []
    for number in range(ARCHITECTURES):
        depth = int(rng.integers(0, 5))
        output = str(rng.choice(["sigmoid", "softmax"]))
        widths = [int(n) for n in rng.choice([1, 2, 3, 5, 8, 16], depth)]
        if number % 10 == 9 and depth:
            widths[0] = 512
        drawn.append(
            {
                "sizes": (
                    int(rng.choice([1, 3, 10, 60])),
                    *widths,
                    1 if output == "sigmoid" else int(rng.integers(2, 6)),
                ),
                "m": int(rng.choice([1, 1, 5, 20, 64])),
                "hidden": tuple(
                    str(h) for h in rng.choice(["relu", "relu", "tanh", "sigmoid"], depth)
                ),
                "output": output,
            }
        )
    return drawn


HARD = {
    "zero parameters": lambda p, rng: {k: np.zeros_like(v) for k, v in p.items()},
    "zero biases": lambda p, rng: {k: v * (k[0] == "W") for k, v in p.items()},
    "whole parameters": lambda p, rng: {k: np.round(3 * v) for k, v in p.items()},
    "tenths": lambda p, rng: {k: np.round(v, 1) for k, v in p.items()},
    "scale 10": lambda p, rng: {k: 10 * v for k, v in p.items()},
    "scale 100": lambda p, rng: {k: 100 * v for k, v in p.items()},
    "tiny": lambda p, rng: {k: 1e-6 * v for k, v in p.items()},
}
"""What may be done to the parameters of a problem to make it hard."""


def draw_problem(shape: dict, rng: np.random.Generator) -> tuple[str, Problem]:
    """Return one problem of this architecture and what is hard about it."""
    sizes, m = shape["sizes"], shape["m"]
    dtype = str(rng.choice(["float64", "float64", "float32"]))
    params = manual.initialize(sizes, "he", rng)
    for layer in range(1, len(sizes)):
        params[f"b{layer}"] = rng.normal(0, 0.3, (sizes[layer], 1))
    X = rng.normal(size=(sizes[0], m))
    kind = str(rng.choice(["generic", *HARD, "converged"]))
    if kind in HARD:
        params = HARD[kind](params, rng)
    if rng.random() < 0.25:
        X = np.round(X, int(rng.integers(0, 2)))
        kind += ", coarse inputs"
    keep = float(rng.choice([1.0, 0.8, 0.5, 0.1]))
    keep_prob = (keep,) * (len(sizes) - 2)
    labels = rng.integers(0, max(sizes[-1], 2), m)
    problem = Problem(
        params={name: value.astype(dtype) for name, value in params.items()},
        X=X,
        Y=labels[None] if shape["output"] == "sigmoid" else np.eye(sizes[-1])[:, labels],
        masks=draw_masks(int(rng.integers(2**31)), 0, sizes[1:-1], m, keep_prob),
        hidden=shape["hidden"],
        output=shape["output"],
        l2=float(rng.choice([0.0, 0.01, 1.0])),
        keep_prob=keep_prob,
    )
    if kind.startswith("converged"):
        trained, _ = autodiff.steps(*problem.arguments, n=500, learning_rate=0.5, **problem.options)
        if all(np.isfinite(value).all() for value in trained.values()):
            problem = problem.with_params(trained)
    return f"{kind}, {dtype}", problem


def compared(problem: Problem) -> Report:
    """Return what `compare` says of the problem without a mirror."""
    p = problem
    return compare(
        lambda params: manual.loss(params, p.X, p.Y, p.masks, **p.options),
        lambda params: manual.loss_and_grads(params, p.X, p.Y, p.masks, **p.options)[1],
        dict(p.params),
    )


def main() -> int:
    """Check so many problems and report; fail if any disagrees."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first problem")
    arguments = parser.parse_args()
    shapes = architectures(arguments.seed)
    verdicts: dict[str, dict[str, Counter]] = {"three_way": {}, "compare": {}}
    start = time.perf_counter()
    for number in range(arguments.start, arguments.start + arguments.count):
        rng = np.random.default_rng([arguments.seed, number])
        kind, problem = draw_problem(shapes[number % ARCHITECTURES], rng)
        method = METHODS[number // ARCHITECTURES % len(METHODS)]
        reports = {
            "three_way": three_way(problem, finite_difference=method, seed=number),
            "compare": compared(problem),
        }
        for door, report in reports.items():
            verdicts[door].setdefault(kind, Counter())[report.verdict] += 1
            if report.verdict == "disagree":
                print(f"problem {number} ({kind}, {door}, {method}):\n{report}\n", flush=True)
    print(f"{'':45} " + "   ".join(f"{door:>18}" for door in verdicts))
    print(f"{'':45} " + "   ".join([" agree  open wrong"] * len(verdicts)))
    for kind in sorted(verdicts["compare"]):
        print(f"{kind:45} " + "   ".join(_counts(found[kind]) for found in verdicts.values()))
    totals = [sum(found.values(), Counter()) for found in verdicts.values()]
    print(f"{'all':45} " + "   ".join(map(_counts, totals)))
    print(f"in {time.perf_counter() - start:.0f} s")
    return int(any(total["disagree"] for total in totals))


def _counts(found: Counter) -> str:
    return "".join(f"{found[verdict]:6}" for verdict in VERDICTS)


if __name__ == "__main__":
    sys.exit(main())
