"""Gradients in float16 and bfloat16: as the type of the arguments, and inside of a function."""

from __future__ import annotations

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from verify import check_vjp, compare
from verify.evidence.bars import measured
from verify.evidence.differences import staircase

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
RNG = np.random.default_rng(0)
ARGS = {"x": RNG.standard_normal((4, 8)), "w": 1 + RNG.standard_normal(8) / 4}


def wide(*arrays):
    """Return arrays in float32 where they are narrower: as fused kernels compute."""
    return [x.astype(np.float32) if x.dtype.itemsize == 2 else x for x in arrays]


def norm(x, w):
    a, b = wide(x, w)
    return (a / np.sqrt((a * a).mean(-1, keepdims=True) + 1e-5) * b).astype(x.dtype)


def norm_backward(c, x, w):
    c, a, b = wide(c, x, w)
    r = 1 / np.sqrt((a * a).mean(-1, keepdims=True) + 1e-5)
    y, h = a * r, c * b
    dx = (h - y * (h * y).mean(-1, keepdims=True)) * r
    return dx.astype(x.dtype), (c * y).sum(0).astype(x.dtype)


def norm_in_jax(x, w):
    return x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * w


def times(factor):
    """The backward pass with the gradient of x off by a factor."""

    def backward(c, x, w):
        dx, dw = norm_backward(c, x, w)
        return (dx * np.float32(factor)).astype(dx.dtype), dw

    return backward


def inside(function, dtype, *, always=True):
    """The function with arguments and results rounded, of float64 arrays if `always`."""

    def rounded(*arrays):
        native = arrays[-1].dtype
        if native == np.float64 and not always:
            return function(*arrays)
        found = function(*(x.astype(dtype) for x in arrays))
        if isinstance(found, tuple):
            return tuple(g.astype(native) for g in found)
        return found.astype(native)

    return rounded


def in_type(dtype):
    return tuple(value.astype(dtype) for value in ARGS.values())


TYPES = {"float16": np.dtype(np.float16), "bfloat16": BFLOAT16}


@pytest.mark.parametrize("dtype", TYPES.values(), ids=TYPES)
def test_a_right_backward_pass_of_16_bit_arguments_agrees(dtype):
    report = check_vjp(norm, norm_backward, in_type(dtype))
    assert report.ok
    assert max(t.resolution.entry for t in report.tensors) < (0.02 if dtype != BFLOAT16 else 1 / 11)


@pytest.mark.parametrize("factor", [0.0, -1.0, 2.0, 0.8])
@pytest.mark.parametrize("dtype", TYPES.values(), ids=TYPES)
def test_a_wrong_one_disagrees(dtype, factor):
    assert check_vjp(norm, times(factor), in_type(dtype)).verdict == "disagree"


def test_a_float16_gradient_every_entry_of_which_is_a_fiftieth_off_disagrees():
    assert check_vjp(norm, times(1.02), in_type(np.float16)).verdict == "disagree"


def test_float16_gradients_too_small_for_its_normal_numbers_are_held_to_its_subnormal_ones():
    x = np.linspace(0.5, 1, 8).astype(np.float16)

    def loss(x):
        return float(np.sum(2e-5 * np.asarray(x, float) ** 2))

    def grads(x, factor=4e-5):
        return (np.asarray(factor, x.dtype) * x).astype(x.dtype)

    assert compare(loss, grads, x).ok
    assert compare(loss, lambda x: grads(x, 5e-5), x).verdict == "disagree"


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_arrays_of_jax_are_taken_in_16_bits(dtype):
    x = jnp.asarray(ARGS["x"], dtype)
    seen = set()

    def grads(x):
        seen.add((isinstance(x, jnp.ndarray), str(x.dtype)))
        return jnp.cos(x.astype(float)).astype(x.dtype)

    assert compare(lambda x: jnp.sum(jnp.sin(x.astype(float))), grads, x).ok
    assert (True, jnp.dtype(dtype).name) in seen
    wrong = compare(lambda x: jnp.sum(jnp.sin(x.astype(float))), lambda x: -grads(x), x)
    assert wrong.verdict == "disagree"


@pytest.mark.parametrize("name", ["float64", "float32", "float16", "bfloat16"])
def test_tensors_of_torch_are_taken_and_given_back_in_their_own_type(name):
    torch = pytest.importorskip("torch")
    dtype = getattr(torch, name)
    x, w = (torch.tensor(value).to(dtype) for value in ARGS.values())
    seen = set()

    def forward(x, w):
        return torch.nn.functional.rms_norm(x.double(), (8,), w.double(), 1e-5).to(x.dtype)

    def backward(c, x, w, sign=1):
        seen.add((type(c), c.dtype, x.dtype))
        x, w = (v.detach().double().requires_grad_() for v in (x, w))
        y = torch.nn.functional.rms_norm(x, (8,), w, 1e-5)
        dx, dw = torch.autograd.grad(y, (x, w), c.double())
        return sign * dx.to(c.dtype), dw.to(c.dtype)

    assert check_vjp(forward, backward, (x, w)).ok
    assert (torch.Tensor, dtype, dtype) in seen
    wrong = check_vjp(forward, lambda *args: backward(*args, sign=-1), (x, w))
    assert wrong.verdict == "disagree"


@pytest.mark.parametrize("dtype", TYPES.values(), ids=TYPES)
def test_16_bits_inside_of_a_function_of_float32_are_found(dtype):
    forward, backward = (inside(f, dtype, always=False) for f in (norm, norm_backward))
    report = check_vjp(forward, backward, in_type(np.float32))
    assert report.verdict in ("agree", "undecided")
    assert f"compute with about the bits of {dtype.name} inside" in " ".join(report.remarks)
    wrong = inside(times(1.3), dtype, always=False)
    assert check_vjp(forward, wrong, in_type(np.float32)).verdict == "disagree"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TYPES.values(), ids=TYPES)
@pytest.mark.parametrize("factor", [0.0, 2.0, -1.0, 1.5])
def test_over_a_staircase_a_mistake_is_found_and_never_agrees(factor, dtype):
    forward = inside(norm, dtype)
    report = check_vjp(forward, inside(times(factor), dtype), in_type(np.float32))
    assert report.verdict == "disagree"


@pytest.mark.parametrize("dtype", TYPES.values(), ids=TYPES)
def test_over_a_staircase_a_right_backward_pass_is_not_rejected(dtype):
    forward, backward = inside(norm, dtype), inside(norm_backward, dtype)
    report = check_vjp(forward, backward, in_type(np.float32))
    assert report.verdict == ("agree" if dtype == np.float16 else "undecided")
    assert "a mirror in JAX" in report.meaning + " ".join(report.remarks)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TYPES.values(), ids=TYPES)
def test_beside_a_mirror_the_staircase_is_no_obstacle(dtype):
    forward, backward = inside(norm, dtype), inside(norm_backward, dtype)
    args = in_type(np.float32)
    assert check_vjp(forward, backward, args, norm_in_jax).ok
    wrong = inside(times(1.3), dtype)
    assert check_vjp(forward, wrong, args, norm_in_jax).verdict == "disagree"


@pytest.mark.slow
def test_what_a_function_computes_in_may_be_stated():
    forward, backward = inside(norm, BFLOAT16), inside(norm_backward, BFLOAT16)
    args = in_type(np.float32)
    stated = check_vjp(forward, backward, args, norm_in_jax, compute_dtype="bfloat16")
    found = check_vjp(forward, backward, args, norm_in_jax)
    assert stated.verdict == found.verdict == "agree"


@pytest.mark.parametrize("stated", ["float64", "half"])
def test_another_compute_dtype_is_refused(stated):
    expected = f"compute_dtype: got {stated!r}, expected float32, float16, bfloat16"
    with pytest.raises(ValueError, match=expected):
        compare(np.sum, np.ones_like, ARGS["x"], compute_dtype=stated)
    with pytest.raises(ValueError, match=expected):
        check_vjp(norm, norm_backward, in_type(float), compute_dtype=stated)


@pytest.mark.parametrize("budget", [2_000, 20_000])
@pytest.mark.parametrize("seed", range(6))
def test_the_differences_over_a_staircase_are_within_their_bars(seed, budget):
    rng = np.random.default_rng(seed)
    arrays = dict(ARGS)
    c = rng.standard_normal((4, 8)) if seed % 2 else np.eye(1, 32, seed).reshape(4, 8)
    forward = inside(norm, np.float16)
    exact = dict(zip(arrays, norm_backward(c, *arrays.values()), strict=True))

    def f(at):
        return np.array([np.vdot(c, forward(at["x"], at["w"]))])

    unit = 2.0**-11
    noise = np.array([measured.step_noise(lambda at: float(f(at)[0]), arrays, unit, rng)])
    (found,) = staircase.gather(f, arrays, [exact], noise, unit, budget, rng)
    for name, differences in found.entries.items():
        apart = np.abs(differences.value - exact[name].reshape(-1)[differences.index])
        assert (apart <= differences.bar).all()


def test_a_gradient_that_cancels_and_is_the_same_everywhere_is_not_rejected_in_float32():
    rng = np.random.default_rng(0)
    cos, sin = (f(np.arange(4.0))[:, None] for f in (np.cos, np.sin))
    x = rng.standard_normal((4, 6)).astype(np.float32)

    def turn(x, c, s):
        one, two = np.split(x, 2, -1)
        return np.concatenate([one * c - two * s, one * s + two * c], -1)

    def forward(x):
        return turn(x, cos.astype(x.dtype), sin.astype(x.dtype))

    def backward(c, x):
        return turn(c, cos.astype(x.dtype), -sin.astype(x.dtype))

    for seed in range(3):
        assert check_vjp(forward, backward, x, seed=seed).ok


def staircase_calls(budget, sizes, unit=2.0**-11):
    """How often a loss of that many entries is called within a budget."""
    arrays = {f"x{k}": np.linspace(0.5, 1.5, size) for k, size in enumerate(sizes)}
    calls = []

    def f(at):
        calls.append(1)
        total = sum(float(np.sum(x.astype(np.float16).astype(float) ** 2)) for x in at.values())
        return np.array([total])

    grads = {name: 2 * x for name, x in arrays.items()}
    rng = np.random.default_rng(0)
    staircase.gather(f, arrays, [grads], np.array([1e-3]), unit, budget, rng)
    return len(calls)


@pytest.mark.parametrize("sizes", [(1,), (4, 8), (40, 3, 5)])
@pytest.mark.parametrize("budget", [2_000, 5_000, 20_000])
def test_over_a_staircase_the_budget_is_kept(sizes, budget):
    assert staircase_calls(budget, sizes) <= budget


def slopes(f, x, reach=1.0, bases=1):
    """The slope of a function of one number, its bar, and what of that is rounding."""
    there = {"x": np.array([x])}
    value, bar, rounding, count = staircase._slope(
        lambda at: np.array([f(at["x"][0])]), np.array([1e-12]), 0.0,
        [(there, np.array([f(x)]))] * bases, "x", np.ones(1), reach,
    )  # fmt: skip
    assert count == bases
    return value[0], bar[0], rounding[0]


@pytest.mark.parametrize("reach", [0.25, 4.0])
def test_the_slope_of_a_cubic_is_exact_however_long_the_steps(reach):
    value, bar, rounding = slopes(lambda x: 5 + 3 * x - x**2 + 2 * x**3, 0.0, reach)
    assert value == pytest.approx(3, abs=rounding)
    # The even part shows in the bar alone if it bends like |x|.
    assert bar < 1e-9


@pytest.mark.parametrize("f", [lambda x: 3 * x + x**5, lambda x: 3 * x + abs(x) / 2])
def test_a_fifth_power_and_a_bend_are_within_the_bar(f):
    value, bar, rounding = slopes(f, 0.0)
    assert rounding < 1e-10 < bar
    assert abs(value - 3) <= bar + 1e-9


@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_where_a_loss_over_a_staircase_is_not_finite_there_is_no_slope(lost):
    with np.errstate(invalid="ignore"):
        value, bar, rounding = slopes(lambda x: lost if x > 0.3 else x, 0.0)
    assert np.isnan(value)
    assert (bar, rounding) == (np.inf, 0.0)


def test_more_parallel_lines_narrow_the_part_of_a_bar_that_is_rounding():
    row = (np.array([1.0]), np.array([5.0]), np.array([4.0]), 4)
    assert staircase._expected(row, 16).tolist() == [1.0 + 4.0 / 2]
    assert staircase._expected(row, 2).tolist() == [5.0]


@pytest.mark.parametrize(("dtype", "unit"), [(np.float16, 2.0**-11), (BFLOAT16, 2.0**-8)])
@pytest.mark.parametrize("size", [2.0**-6, 1.0, 2.0**6])
def test_the_type_of_a_staircase_is_told_by_its_noise_where_the_gradient_is_summed_outside(
    dtype, unit, size
):
    x = np.random.default_rng(0).standard_normal(64)

    def way(at):
        inside = at["x"].astype(dtype)
        return 0.0, {"x": size * np.square(inside).astype(dtype).astype(float) / 3}

    assert measured.coarseness(way, {"x": x}, np.random.default_rng(0)) == unit
