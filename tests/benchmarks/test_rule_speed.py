"""What `check` costs beside torch.autograd.gradcheck, on the same function and the same entries.

Not in the default run: `PYTHONPATH=tests pytest tests/benchmarks/test_rule_speed.py -s -n0
--noconftest`, as the tests' own conftest has annotations enforced, which takes time. One process,
one thread, warm; the least processor time of several runs, as a busy machine can only add to it,
which take turns. Ours has an error bar for each entry. Ratios to gradcheck in its slow mode are
printed, with contiguous cotangents and in all layouts, and what each checker says of the mistakes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from verify import check

torch = pytest.importorskip("torch", reason="gradcheck is PyTorch's")
from torch_kernels import KERNELS, drawn  # noqa: E402

pytestmark = pytest.mark.unchecked
REPETITIONS = 10


def least_seconds(*works: Callable[[], Any]) -> list[float]:
    """Return the least processor time of each of some works, which take turns."""
    taken = []
    for _ in range(REPETITIONS + 1):  # the first warms up
        times = []
        for work in works:
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        taken.append(times)
    return [min(each) for each in zip(*taken[1:], strict=True)]


LARGER = {
    "layer norm": drawn((12, 16), (16,), (16,)),
    "GELU": drawn((12, 16)),
    "attention in tiles": drawn((13, 8), (13, 8), (13, 8)),
    "cross-entropy": lambda dtype: (*drawn((16, 20))(dtype), torch.arange(16) % 20),
    "convolution": drawn((3, 32), (6, 3, 5)),
    "embedding": lambda dtype: (*drawn((32, 8))(dtype), torch.arange(12) ** 2 % 32),
    "dropout": lambda dtype: (
        *drawn((12, 16))(dtype),
        torch.arange(192).reshape(12, 16) % 4 > 0,
    ),
}
"""Arguments of about 200 entries, where what a check costs beside its entries counts less."""
CASES = {name: (kernel, kernel.args) for name, kernel in KERNELS.items()} | {
    f"{name}, larger": (KERNELS[name], args) for name, args in LARGER.items()
}


def asked(kernel, arguments=None):
    """Return arguments as gradcheck takes them."""
    args = (arguments or kernel.args)(torch.float64)
    return tuple(
        x.requires_grad_() if x.is_floating_point() and k not in kernel.constants else x
        for k, x in enumerate(args)
    )


@pytest.mark.parametrize("name", CASES)
def test_a_check_beside_gradcheck(name):
    torch.set_num_threads(1)
    kernel, arguments = CASES[name]
    args, function = asked(kernel, arguments), kernel.rule().apply
    report = check(function, args)
    assert report.ok, str(report)
    slow, contiguous, every = least_seconds(
        lambda: torch.autograd.gradcheck(function, args),
        lambda: check(function, args, layouts="contiguous"),
        lambda: check(function, args),
    )
    print(
        f"\n{name}: gradcheck {1e3 * slow:.1f} ms; check {1e3 * contiguous:.1f} ms contiguous, "
        f"{contiguous / slow:.1f} of it; {1e3 * every:.1f} ms in all layouts, {every / slow:.1f}; "
        f"{report.settings['evaluations']} forwards",
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
