"""The checkers: each a function from a case to its verdict: "agree", "undecided" or "disagree".

Each is used as its documentation says, with its own defaults. The others are given the loss in
float64 at the case's parameters, and the gradient as the case's own arithmetic makes it there,
so that a float32 gradient is not held against their step sizes. Ours without a mirror is, for a
network, the same run as ours with one, of which only the comparison with finite differences is
read. Kernels are put to `check_vjp` as they are, and to all others as a loss: their outputs times
a random cotangent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache

import autograd.extend
import autograd.numpy as anp
import autograd.test_util
import jax
import jax.test_util
import numdifftools
import numpy as np
import scipy.optimize
import torch

from verify import Report, check_vjp, compare, three_way
from verify.report import PAIRS

from . import cases, kernels
from .cases import Grads

RULE = 1e-7
"""The course's rule: ||g - d|| / (||g|| + ||d||) may not be larger."""


Case = cases.Case | kernels.KernelCase


@lru_cache(maxsize=1)
def _report(case: cases.Case) -> Report:
    return three_way(
        case.problem,
        grads=lambda params, *_, **__: case.grads(params),
        finite_difference="exhaustive",
    )


def ours(case: Case) -> str:
    if isinstance(case, kernels.KernelCase):
        return check_vjp(case.forward, case.backward, _arguments(case), case.by_jax).verdict
    return _report(case).verdict


def ours_without_mirror(case: Case) -> str:
    if isinstance(case, kernels.KernelCase):
        return check_vjp(case.forward, case.backward, _arguments(case)).verdict
    report = _report(case)
    if all(tensor.pairs[PAIRS[1]].agree for tensor in report.tensors):
        return report.verdict if report.verdict != "disagree" else "agree"
    return "disagree"


def _arguments(case: kernels.KernelCase) -> tuple[np.ndarray, ...]:
    return tuple(case.params.values())


def compare_alone(case: Case) -> str:
    return compare(case.loss, case.grads, dict(case.params)).verdict


def compare_with_mirror(case: Case) -> str:
    return compare(case.loss, case.grads, dict(case.params), case.mirror).verdict


def torch_slow(case: Case) -> str:
    return _gradcheck(case, fast=False)


def torch_fast(case: Case) -> str:
    return _gradcheck(case, fast=True)


def _gradcheck(case: Case, fast: bool) -> str:
    names, loss = list(case.params), case.loss

    class Loss(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            ctx.save_for_backward(*tensors)
            params = {k: t.numpy() for k, t in zip(names, tensors, strict=True)}
            return torch.tensor(float(loss(params)), dtype=torch.float64)

        @staticmethod
        def backward(ctx, *cotangents):
            tensors = ctx.saved_tensors
            params = {k: t.detach().numpy() for k, t in zip(names, tensors, strict=True)}
            grads = given(case, params)
            return tuple(cotangents[0] * torch.from_numpy(grads[k]) for k in names)

    inputs = [torch.tensor(v, requires_grad=True) for v in wide(case).values()]
    return _verdict(
        torch.autograd.gradcheck(Loss.apply, inputs, fast_mode=fast, raise_exception=False)
    )


def jax_check_vjp(case: Case) -> str:
    loss = case.loss

    def loss_and_vjp(params):
        grads = given(case, params)
        return loss(params), lambda c: ({k: c * g for k, g in grads.items()},)

    with jax.enable_x64(True):
        return _passes(lambda: jax.test_util.check_vjp(loss, loss_and_vjp, (wide(case),)))


def jax_check_grads(case: Case) -> str:
    @jax.custom_vjp
    def loss(params):
        return case.mirror(params)

    def forward(params):
        return loss(params), {k: np.asarray(g) for k, g in given(case, _numpy(params)).items()}

    loss.defvjp(forward, lambda grads, c: ({k: c * g for k, g in grads.items()},))
    with jax.enable_x64(True):
        return _passes(lambda: jax.test_util.check_grads(loss, (wide(case),), 1, modes=["rev"]))


def autograd_check_grads(case: Case) -> str:
    loss, shapes = case.loss, wide(case)

    @autograd.extend.primitive
    def flat_loss(x):
        return float(loss(_unflat(x, shapes)))

    autograd.extend.defvjp(
        flat_loss, lambda ans, x: lambda c: c * _flat(given(case, _unflat(x, shapes)))
    )
    with _its_own_random_state():
        return _passes(
            lambda: autograd.test_util.check_grads(flat_loss, modes=["rev"], order=1)(
                anp.array(_flat(shapes))
            )
        )


def scipy_check_grad(case: Case) -> str:
    loss, shapes = case.loss, wide(case)

    def f(x):
        return float(loss(_unflat(x, shapes)))

    def g(x):
        return _flat(given(case, _unflat(x, shapes)))

    x = _flat(shapes)
    difference = scipy.optimize.check_grad(f, g, x)
    size = np.linalg.norm(g(x)) + np.linalg.norm(scipy.optimize.approx_fprime(x, f))
    return _verdict(difference <= RULE * size)


def course(case: Case, step: float = 1e-7) -> bool:
    loss, params = case.loss, wide(case)
    x, g = _flat(params), _flat(given(case, params))
    d = np.empty_like(x)
    for i in range(len(x)):
        values = []
        for sign in (1, -1):
            moved = x.copy()
            moved[i] += sign * step
            values.append(float(loss(_unflat(moved, params))))
        d[i] = (values[0] - values[1]) / (2 * step)
    return _verdict(np.linalg.norm(g - d) <= RULE * (np.linalg.norm(g) + np.linalg.norm(d)))


def numdifftools_gradient(case: Case) -> str:
    loss, params = case.loss, wide(case)
    x, g = _flat(params), _flat(given(case, params))
    d = np.ravel(numdifftools.Gradient(lambda x: float(loss(_unflat(x, params))))(x))
    return _verdict(np.linalg.norm(g - d) <= RULE * (np.linalg.norm(g) + np.linalg.norm(d)))


def jax_allclose(case: Case) -> str:
    with jax.enable_x64(True):
        by_jax = jax.grad(case.mirror)(dict(case.params))
    grads = case.grads(case.params)
    return _verdict(all(np.allclose(np.asarray(grads[k], float), g) for k, g in by_jax.items()))


CHECKERS: dict[str, Callable[[Case], str]] = {
    "Backproof": ours,
    "Backproof, no mirror": ours_without_mirror,
    "verify.compare with mirror": compare_with_mirror,
    "verify.compare": compare_alone,
    "torch gradcheck": torch_slow,
    "torch gradcheck, fast": torch_fast,
    "jax check_vjp": jax_check_vjp,
    "jax check_grads": jax_check_grads,
    "autograd check_grads": autograd_check_grads,
    "scipy check_grad, 1e-7": scipy_check_grad,
    "course's rule, 1e-7": course,
    "numdifftools, 1e-7": numdifftools_gradient,
    "jax.grad and allclose": jax_allclose,
}
"""Every checker by the name of its column."""


def wide(case: Case) -> Grads:
    """Return a case's parameters in float64."""
    return {k: v.astype(np.float64) for k, v in case.params.items()}


def given(case: Case, params: Mapping[str, np.ndarray]) -> Grads:
    """Return the gradient under test at float64 parameters, computed in the case's own dtype."""
    native = {k: v.astype(case.params[k].dtype) for k, v in params.items()}
    return {k: np.asarray(g, np.float64) for k, g in case.grads(native).items()}


def _numpy(params) -> Grads:
    return {k: np.asarray(v) for k, v in params.items()}


def _flat(params: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([v.ravel() for v in params.values()])


def _unflat(x, shapes: Mapping[str, np.ndarray]) -> Grads:
    ends = np.cumsum([v.size for v in shapes.values()])
    parts = np.split(np.asarray(x), ends[:-1])
    return {k: part.reshape(v.shape) for part, (k, v) in zip(parts, shapes.items(), strict=True)}


def _verdict(accepted: bool) -> str:
    return "agree" if accepted else "disagree"


def _passes(check: Callable[[], object]) -> str:
    try:
        check()
    except AssertionError:
        return "disagree"
    return "agree"


@contextmanager
def _its_own_random_state() -> Iterator[None]:
    """Give a checker that draws from NumPy's global generator the same draws for every case."""
    before = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(before)
