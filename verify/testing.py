"""Assertions for a test suite; a failed one shows the report.

    from verify.testing import assert_gradients_agree

    def test_the_gradient_of_my_loss():
        assert_gradients_agree(loss, grads, params)

They run under any test runner. Under pytest, the plugin that the package registers
(`backproof.pytest_plugin`) shows the rows for a plain `assert compare(...).ok` too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verify.homework.report import FileReport
    from verify.problem import Problem
    from verify.report import Report


def assert_gradients_agree(
    loss: Callable[[Any], Any],
    grads: Callable[[Any], Any],
    params: Any,
    mirror: Callable[[Any], Any] | None = None,
    **options: Any,
) -> Report:
    """Raise AssertionError with the report unless `verify.compare` finds agreement.

    Takes and raises what `verify.compare` does; returns its report.
    """
    __tracebackhide__ = True
    from verify.function import compare

    return _agreeing(compare(loss, grads, params, mirror, **options))


def assert_vjp_agrees(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    args: Any,
    mirror: Callable[..., Any] | None = None,
    **options: Any,
) -> Report:
    """Raise AssertionError with the report unless `verify.check_vjp` finds agreement.

    Takes and raises what `verify.check_vjp` does; returns its report.
    """
    __tracebackhide__ = True
    from verify.layer import check_vjp

    return _agreeing(check_vjp(forward, backward, args, mirror, **options))


def assert_check(
    function: Callable[..., Any],
    args: Any,
    reference: Callable[..., Any] | None = None,
    **options: Any,
) -> Report:
    """Raise AssertionError with the report unless `verify.check` finds agreement.

    Takes and raises what `verify.check` does; returns its report.
    """
    __tracebackhide__ = True
    from verify.rule import check

    return _agreeing(check(function, args, reference, **options))


def tensors(
    *shapes: Sequence[tuple[int, ...]],
    dtypes: Sequence[str] = ("float64", "float32"),
    layouts: Sequence[str] = ("contiguous",),
    device: str = "cpu",
    seed: int = 0,
) -> list[Any]:
    """Return random tensors as the parameters of a test, for every shape, dtype and layout.

    Each of `shapes` has the shapes of all arguments; `dtypes` are "float64", "float32", "float16",
    "bfloat16", "complex128" and "complex64", `layouts` "contiguous", "strided" ([..., ::2]) and
    "transposed".

        @pytest.mark.parametrize("args", tensors([(4, 6), (6,)], dtypes=["float32", "bfloat16"]))
        def test_norm(args):
            assert_check(Norm, args, norm)

    Raises ValueError for another dtype or layout. Takes PyTorch and pytest.
    """
    import numpy as np
    import pytest

    from verify.evidence.forms import laid_out
    from verify.evidence.precisions import COMPLEX, PRECISIONS
    from verify.evidence.trees import tensor_of
    from verify.problem import check_choice

    types = {name: each.dtype for name, each in PRECISIONS.items()}
    types |= {each.name: each for each in COMPLEX}

    def random(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        imaginary = 1j * rng.standard_normal(shape) if dtype in COMPLEX else 0.0
        return np.asarray(rng.standard_normal(shape) + imaginary).astype(dtype)

    found = []
    for each, dtype, layout in product(shapes, dtypes, layouts):
        check_choice("layouts", layout, ("contiguous", "strided", "transposed"))
        numbers = types[check_choice("dtypes", dtype, [*types])]
        rng = np.random.default_rng(seed)
        drawn = [random(rng, x, numbers) for x in each]
        args = tuple(tensor_of(laid_out(layout, x), device) for x in drawn)
        sizes = " ".join("x".join(map(str, x)) or "scalar" for x in each)
        found.append(pytest.param(args, id=f"{sizes}-{dtype}-{layout}"))
    return found


def assert_three_ways_agree(problem: Problem, **options: Any) -> Report:
    """Raise AssertionError with the report unless `verify.three_way` finds agreement.

    Takes and raises what `verify.three_way` does; returns its report.
    """
    __tracebackhide__ = True
    from verify.network import three_way

    return _agreeing(three_way(problem, **options))


def assert_passes_agree(
    namespace: Mapping[str, Any], only: str | Iterable[str] | None = None, *, seconds: float = 20.0
) -> FileReport:
    """Raise AssertionError with the report unless every backward pass of a namespace agrees.

    `namespace` is what `globals()` returns, in a notebook, a script or a hidden cell of a grader,
    or `vars(module)`. Each pass is judged by differences of its own forward pass, within about
    `seconds` in all; what could not be judged fails too. `only` names the passes, or the classes of
    them, to judge: `"linear_backward"`, `"Dense.backward"`, `"Dense"`. Returns the report; raises
    ValueError if `only` names what is no backward pass there.

    Example:
        >>> from verify.testing import assert_passes_agree
        >>> assert_passes_agree({})
        Traceback (most recent call last):
            ...
        AssertionError: NOTHING-TO-CHECK the namespace
        <BLANKLINE>
        Nothing to check: no backward pass was defined or called.
    """
    __tracebackhide__ = True
    from verify.homework.live import Asked, all_defined, judge_live, passes_of

    asked = all_defined(namespace)
    if only is not None:
        wanted = [only] if isinstance(only, str) else list(only)
        there = passes_of(asked)
        known = {*there, *(name.partition(".")[0] for name in there)}
        if missing := [name for name in wanted if name not in known]:
            found = ", ".join(there) or "none that is defined here"
            raise ValueError(f"only: got {', '.join(missing)}, expected backward passes: {found}")
        asked = [Asked(each.observed, wanted) for each in asked]
    report = judge_live(asked, "the namespace", seconds=seconds)
    if not report.ok:
        raise AssertionError(str(report))
    return report


def _agreeing(report: Report) -> Report:
    __tracebackhide__ = True
    if not report.ok:
        raise AssertionError(str(report))
    return report
