"""What `check` costs beside torch.autograd.gradcheck, on the same function and the same entries.

Not in the default run: `PYTHONPATH=tests pytest tests/benchmarks/test_rule_speed.py -s -n0
--noconftest`, as the tests' own conftest has annotations enforced, which takes time. One process,
one thread, warm; the least processor time of several runs, as a busy machine can only add to it.
Ours hands every cotangent over in all layouts, and has an error bar for each entry. Ratios are
printed; beside them is what each checker says of the mistakes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from verify import check

torch = pytest.importorskip("torch", reason="gradcheck is PyTorch's")
from torch_kernels import KERNELS  # noqa: E402

pytestmark = pytest.mark.unchecked
REPETITIONS = 5


def least_seconds(work: Callable[[], Any]) -> float:
    taken = []
    for _ in range(REPETITIONS + 1):  # the first warms up
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken[1:])


def asked(kernel):
    """Return arguments as gradcheck takes them."""
    args = kernel.args(torch.float64)
    return tuple(
        x.requires_grad_() if x.is_floating_point() and k not in kernel.constants else x
        for k, x in enumerate(args)
    )


@pytest.mark.parametrize("name", KERNELS)
def test_a_check_in_all_layouts_beside_gradcheck(name):
    torch.set_num_threads(1)
    kernel = KERNELS[name]
    args, function = asked(kernel), kernel.rule().apply
    slow, fast = (
        least_seconds(lambda fast=fast: torch.autograd.gradcheck(function, args, fast_mode=fast))
        for fast in (False, True)
    )
    report = check(function, args)
    assert report.ok, str(report)
    ours = least_seconds(lambda: check(function, args))
    print(
        f"\n{name}: {1e3 * ours:.0f} ms, {report.settings['evaluations']} forwards; gradcheck "
        f"{1e3 * slow:.0f} ms slow, {1e3 * fast:.0f} ms fast: {ours / slow:.1f} of slow",
        end="",
    )


@pytest.mark.parametrize(
    "mistake", ["", *sorted({m for k in KERNELS.values() for m in k.mistakes})]
)
def test_what_each_checker_says_of_a_mistake(mistake):
    torch.set_num_threads(1)
    for name, kernel in KERNELS.items():
        if mistake and mistake not in kernel.mistakes:
            continue
        args, function = asked(kernel), kernel.rule(mistake).apply
        passed = torch.autograd.gradcheck(function, args, raise_exception=False)
        report = check(function, args, kernel.plain)
        assert report.ok == (not mistake), str(report)
        print(f"\n{name} {mistake}: gradcheck {'passes' if passed else 'fails'}", end="")
