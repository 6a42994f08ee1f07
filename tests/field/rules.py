"""Functions of PyTorch and JAX with rules of their own, right and wrong, to every checker.

    python -m tests.field.rules

The kernels and rules of the test suite, in float64, float32 and bfloat16, to `check` with a
reference and without, and to what the frameworks have for it, as their documentation shows them.
To second order, a rule that saves what its forward pass computed is wrong.
Prints the table of the README.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.test_util
import torch

from verify import check

sys.path.insert(0, str(Path(__file__).parents[1]))
from test_check_jax import RULES, arguments
from torch_kernels import KERNELS, SAVES_RESULTS, Kernel

PRECISIONS = ("float64", "float32", "bfloat16")


class Case(NamedTuple):
    """One function in one precision: whether it is right, and what each checker says, by name."""

    right: bool
    checkers: dict[str, Callable[[], bool]]


def of_torch() -> Iterator[Case]:
    for kernel in KERNELS.values():
        for mistake in ("", *kernel.mistakes):
            for precision in PRECISIONS:
                args = asked(kernel, precision)
                function = kernel.rule(mistake).apply
                yield Case(
                    not mistake,
                    {
                        "check with reference": lambda f=function, a=args, k=kernel: (
                            check(f, a, k.plain, seconds=math.inf).ok
                        ),
                        "check": lambda f=function, a=args: check(f, a, seconds=math.inf).ok,
                        "torch gradcheck": lambda f=function, a=args: torch.autograd.gradcheck(
                            f, a
                        ),
                        "torch gradcheck, fast": lambda f=function, a=args: (
                            torch.autograd.gradcheck(f, a, fast_mode=True)
                        ),
                    },
                )


def of_torch_twice() -> Iterator[Case]:
    """Return the kernels as `check` with order 2 and gradgradcheck take them."""
    rules = [(True, k, k.twice_differentiable()) for k in KERNELS.values()]
    rules += [(False, KERNELS[name], KERNELS[name].rule()) for name in SAVES_RESULTS]
    for right, kernel, rule in rules:
        for precision in PRECISIONS:
            args = asked(kernel, precision)
            yield Case(
                right,
                {
                    "check, order=2, with reference": lambda f=rule.apply, a=args, k=kernel: (
                        check(f, a, k.plain, order=2, seconds=math.inf).ok
                    ),
                    "check, order=2": lambda f=rule.apply, a=args: (
                        check(f, a, order=2, seconds=math.inf).ok
                    ),
                    "torch gradcheck, gradgradcheck": lambda f=rule.apply, a=args: (
                        torch.autograd.gradcheck(f, a) and torch.autograd.gradgradcheck(f, a)
                    ),
                },
            )


def asked(kernel: Kernel, precision: str) -> tuple[torch.Tensor, ...]:
    """Return arguments as gradcheck takes them."""
    args = kernel.args(getattr(torch, precision))
    return tuple(
        x.requires_grad_() if x.is_floating_point() and k not in kernel.constants else x
        for k, x in enumerate(args)
    )


def check_grads(function: Callable[..., Any], args: Sequence[Any], others: Sequence[Any]) -> bool:
    with jax.enable_x64(True):
        jax.test_util.check_grads(lambda *x: function(*x, *others), args, 1, modes=["rev"])
    return True


def of_jax() -> Iterator[Case]:
    for name, (make, plain, _, mistakes) in RULES.items():
        for mistake in ("", *mistakes):
            for precision in PRECISIONS:
                args = arguments(name, jnp.dtype(precision))
                floating = [x for x in args if jnp.issubdtype(x.dtype, jnp.floating)]
                others = args[len(floating) :]
                function = make(mistake)

                yield Case(
                    not mistake,
                    {
                        "check with reference": lambda f=function, a=args, p=plain: (
                            check(f, a, p, seconds=math.inf).ok
                        ),
                        "check": lambda f=function, a=args: check(f, a, seconds=math.inf).ok,
                        "jax check_grads": partial(check_grads, function, floating, others),
                    },
                )


def passes(checker: Callable[[], bool]) -> bool:
    try:
        return checker()
    except Exception:
        return False


def table(title: str, cases: list[Case]) -> str:
    """Return what each checker missed, and which right functions it did not pass."""
    right, wrong = ([case for case in cases if case.right is x] for x in (True, False))
    rows = [f"| {title} | missed of {len(wrong)} | rejected of {len(right)} |", "|---|---:|---:|"]
    for name in cases[0].checkers:
        missed = sum(passes(case.checkers[name]) for case in wrong)
        rejected = sum(not passes(case.checkers[name]) for case in right)
        rows.append(f"| {name} | {missed} | {rejected} |")
    return "\n".join(rows)


def main() -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    groups = {"PyTorch": of_torch, "PyTorch, second order": of_torch_twice, "JAX": of_jax}
    print("\n\n".join(table(title, list(cases())) for title, cases in groups.items()))


if __name__ == "__main__":
    main()
