"""Black-box differences: their bars hold, their kinks are found, and nothing is left changed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import manual
from verify.evidence.differences import budgeted, central, shared
from verify.evidence.differences.central import (
    central_differences,
    directional_differences,
    noise_level,
    stratified_sample,
)
from verify.evidence.differences.complex_step import is_analytic
from verify.evidence.witnesses import Differences


def everything(params):
    return {name: np.arange(value.size) for name, value in params.items()}


def network(hidden, seed=0, layers=(6, 5, 3, 1), m=20, scale="he"):
    rng = np.random.RandomState(seed)
    params = {
        k: v + 0.1 * rng.randn(*v.shape) for k, v in manual.initialize(layers, scale, rng).items()
    }
    X, Y = rng.randn(layers[0], m), (rng.rand(1, m) < 0.5).astype(float)
    options = {"hidden": hidden, "l2": 0.7}
    grads = manual.loss_and_grads(params, X, Y, **options)[1]
    return (lambda p: manual.loss(p, X, Y, **options)), grads, params


def at(function, x):
    """The difference of a function of one number, at x."""
    result = central_differences(
        lambda p: function(p["x"][0]), {"x": np.array([x])}, {"x": np.array([0])}
    )["x"]
    return result.value[0], result.bar[0], result.smooth[0]


@pytest.mark.parametrize("hidden", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("seed", range(3))
def test_every_derivative_of_a_network_is_within_its_bar_and_the_bars_are_narrow(hidden, seed):
    f, grads, params = network(hidden, seed)
    for name, found in central_differences(f, params, everything(params)).items():
        assert found.smooth.all()
        assert (np.abs(found.value - grads[name].ravel()) <= found.bar).all()
        assert np.median(found.bar) < 1e-9


@pytest.mark.parametrize(
    ("function", "x", "derivative"),
    [
        (np.exp, 1.0, np.e),
        (np.log, 1e-6, 1e6),
        (np.sqrt, 1e-3, 0.5 / np.sqrt(1e-3)),
        (lambda x: np.sin(1e3 * x), 1.0, 1e3 * np.cos(1e3)),
        (lambda x: x * x, 0.0, 0.0),
        (lambda x: 3 * x + 1e6, 1.0, 3.0),
        (lambda x: 1e-12 * np.tanh(x), 0.5, 1e-12 * (1 - np.tanh(0.5) ** 2)),
        (lambda x: 7.0, 1.0, 0.0),
        (lambda x: x**3, -1e5, 3e10),
        (lambda x: np.float32(np.tanh(x)), 0.4, 1 - np.tanh(0.4) ** 2),
        (lambda x: np.tanh(np.float32(x)), 0.4, 1 - np.tanh(0.4) ** 2),
    ],
)
def test_the_bar_holds_for_functions_of_every_scale_and_precision(function, x, derivative):
    value, bar, smooth = at(function, x)
    assert smooth
    assert abs(value - derivative) <= bar


def test_the_bar_follows_the_precision_of_the_function():
    double, single = at(np.tanh, 0.4)[1], at(lambda x: np.float32(np.tanh(x)), 0.4)[1]
    assert double < 1e-9 < 1e-5 < single < 1e-2


def test_a_bend_at_the_point_is_not_smooth_and_its_bar_reaches_both_slopes():
    value, bar, smooth = at(lambda x: max(x, 0.0), 0.0)
    assert not smooth
    assert value - bar <= 0
    assert value + bar >= 1


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-7, 1e-9, -1e-5, -1e-7, -1e-9])
def test_the_step_is_cut_below_the_distance_to_a_bend(distance):
    value, bar, smooth = at(lambda x: 3 * abs(x - 0.3), 0.3 + distance)
    assert smooth
    assert abs(value - 3 * np.sign(distance)) <= bar


def test_bends_at_any_distance_from_the_point_are_within_the_bar_or_reported():
    rng = np.random.default_rng(0)
    for distance in 10.0 ** rng.uniform(-16, -2, 200):
        jump = 10.0 ** rng.uniform(-10, 2)
        value, bar, smooth = at(
            lambda x, jump=jump, d=distance: np.sin(x) + jump * max(x - 0.5 - d, 0.0), 0.5
        )
        assert abs(value - np.cos(0.5)) <= bar or not smooth


def test_the_piece_keeps_the_steps_on_one_side_of_a_bend_too_slight_to_be_seen():
    def f(p):
        x = p["x"][0]
        return np.exp(x) + 1e-6 * max(x - 1e-7, 0.0)

    steps = []

    def piece(p):
        steps.append(p["x"][0])
        return bytes([int(p["x"][0] > 1e-7)])

    found = central_differences(f, {"x": np.zeros(1)}, {"x": np.array([0])}, piece=piece)["x"]
    assert found.smooth.all()
    assert max(steps) > 1e-7 > abs(steps[-1])
    at_the_bend = central_differences(f, {"x": np.array([1e-7])}, {"x": np.array([0])}, piece=piece)
    assert not at_the_bend["x"].smooth.any()


def test_a_function_that_is_not_finite_has_no_difference():
    with np.errstate(all="ignore"):
        for function, x in ((lambda x: np.inf, 1.0), (lambda x: np.nan, 1.0), (np.log, 0.0)):
            value, bar, smooth = at(function, x)
            assert np.isnan(value)
            assert bar == np.inf
            assert not smooth


def test_the_step_stays_inside_the_domain_where_it_is_narrow():
    value, bar, smooth = at(lambda x: np.log(x) if x > 0 else np.nan, 1e-8)
    assert smooth
    assert abs(value - 1e8) <= bar


@pytest.mark.parametrize(
    ("noise", "function"),
    [
        (1e-6, lambda p, rng: np.sum(p["x"] ** 2) + 1e-6 * rng.standard_normal()),
        (1e-12, lambda p, rng: np.sum(np.sin(p["x"])) + 1e-12 * rng.standard_normal()),
        (1e-3, lambda p, rng: np.exp(p["x"][0]) + 1e-3 * rng.standard_normal()),
    ],
)
def test_planted_noise_is_measured_to_a_factor_of_three(noise, function):
    rng = np.random.default_rng(1)
    params = {"x": np.linspace(-1, 1, 7)}
    for seed in range(5):
        level = noise_level(lambda p: function(p, rng), params, seed)
        assert noise / 3 < level < noise * 3


def test_every_order_of_differences_shows_white_noise_at_its_own_level():
    """Of seven values; the k-th differences of white noise have its variance times C(2k, k)."""
    values = 1e3 + np.random.default_rng(3).standard_normal((7, 4000))
    levels, settled = central._noise_from_table(values)
    assert settled.mean() > 0.5
    assert np.sqrt(np.mean(levels[settled] ** 2)) == pytest.approx(1, abs=0.1)


def test_the_larger_of_two_values_rounds_their_difference():
    unit = central.rounding_of(1.0, 1.0, 2.0, 0.0)
    assert central.rounding_of(1.0, 1e3, 2.0, 0.0) == 1e3 * unit
    assert central.rounding_of(np.array([1e3]), np.array([1.0]), 2.0, 0.0) == [1e3 * unit]


def test_noise_is_never_below_the_rounding_of_the_result_and_never_zero():
    params = {"x": np.ones(3)}
    assert noise_level(lambda p: 8.0, params) == 8 * 2.0**-53
    assert noise_level(lambda p: 0.0, params) > 0


def test_a_bend_at_the_parameters_is_not_taken_for_noise():
    params = {"W": np.zeros(50)}
    assert noise_level(lambda p: 1 + np.abs(p["W"]).sum(), params) < 1e-14


def test_the_callers_arrays_are_left_as_they_are_even_where_the_function_fails():
    params = {"x": np.array([0.1, 0.2])}
    params["x"].flags.writeable = False

    def fails(p):
        if p["x"][0] != 0.1:
            raise RuntimeError("no")
        return 1.0

    with pytest.raises(RuntimeError, match="no"):
        central_differences(fails, params, everything(params), noise=1e-16)
    assert params["x"].tolist() == [0.1, 0.2]


def test_every_entry_is_put_back_exactly_before_the_next_is_moved():
    params = {"x": np.array([0.1, -1e-9, 3e7]), "y": np.array(0.7)}
    seen = []
    central_differences(
        lambda p: seen.append((*p["x"].tolist(), float(p["y"]))) or 1.0,
        params,
        {"x": np.array([0, 2]), "y": np.array([0])},
        noise=1e-16,
    )
    home = (0.1, -1e-9, 3e7, 0.7)
    assert all(sum(a != b for a, b in zip(point, home, strict=True)) <= 1 for point in seen)
    assert {point[1] for point in seen} == {-1e-9}


def test_directional_differences_are_the_gradient_along_the_direction():
    f, grads, params = network("tanh")
    rng = np.random.default_rng(0)
    directions = [{name: rng.choice((-1.0, 1.0), params[name].shape)} for name in params]
    directions.append({name: rng.standard_normal(params[name].shape) for name in params})
    found = directional_differences(f, params, directions)
    exact = [sum(np.vdot(grads[k], v) for k, v in each.items()) for each in directions]
    assert found.smooth.all()
    assert (np.abs(found.value - exact) <= found.bar).all()
    assert found.bar.max() < 1e-8


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_a_step_along_a_direction_has_the_scale_of_the_parameters(size):
    params = {"x": size * np.array([1.0, -2.0, 3.0])}
    along = np.array([1.0, 1.0, -1.0])
    found = directional_differences(
        lambda p: float(np.sin(p["x"] / size).sum()), params, [{"x": along}]
    )
    expected = float(np.cos(params["x"] / size) @ along) / size
    assert abs(found.value[0] - expected) <= found.bar[0] < 1e-6 * abs(expected)


def test_progress_counts_every_entry():
    f, _, params = network("tanh")
    calls = []
    central_differences(
        f, params, {"W1": np.arange(4), "b3": np.arange(1)}, progress=lambda *c: calls.append(c)
    )
    assert calls == [(k, 5) for k in range(1, 6)]


def test_a_stratified_sample_has_the_extremes_and_some_zeros_and_no_entry_twice():
    rng = np.random.default_rng(0)
    array = rng.standard_normal((40, 50))
    array[rng.random(array.shape) < 0.5] = 0
    array[3, 4], array[5, 6] = 100, 1e-9
    sample = stratified_sample(array, 64, rng)
    assert len(np.unique(sample)) == 64
    assert {3 * 50 + 4, 5 * 50 + 6} <= set(sample.tolist())
    assert (array.ravel()[sample] == 0).sum() >= 8
    assert stratified_sample(array, 5000, rng).tolist() == list(range(2000))


def test_a_sample_of_a_large_array_has_its_extremes_wherever_they_are():
    rng = np.random.default_rng(0)
    array = rng.standard_normal(300_000)
    array[[5, 150_000, 299_999]] = 9, -8, 7
    array[[70_000, 200_000]] = 1e-9, -1e-12
    sample = stratified_sample(array, 40, rng)
    assert {5, 150_000, 299_999, 70_000, 200_000} <= set(sample.tolist())
    assert len(np.unique(sample)) == 40
    assert (np.diff(sample) > 0).all()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_small_samples_of_anything_have_the_size_asked_for(size):
    rng = np.random.default_rng(0)
    for array in (np.zeros(8), np.ones(8), np.eye(3)):
        assert len(np.unique(stratified_sample(array, size, rng))) == size


def test_along_a_direction_too_the_piece_shows_a_bend_too_slight_to_be_seen():
    def f(p):
        x = p["x"][0]
        return float(np.exp(x) + 1e-12 * max(x - 1e-7, 0.0))

    def along(x):
        return directional_differences(
            f, {"x": np.array([x])}, [{"x": np.ones(1)}], piece=lambda p: bytes(p["x"] > 1e-7)
        )

    assert along(0.0).smooth.all()
    assert not along(1e-7).smooth.any()


def test_a_piece_is_asked_for_as_far_as_the_function_is_evaluated():
    asked, evaluated = [], []

    def line(t):
        evaluated.append(t)
        return t, 3.0 * t

    assert central.difference(line, 0.0, 0.5, 1e-16, lambda t: asked.append(t) or True)[2]
    assert sorted(asked) == [min(evaluated), max(evaluated)]


def test_a_direction_that_moves_nothing_has_the_derivative_0():
    found = directional_differences(
        lambda p: float(np.exp(p["x"]).sum()), {"x": np.ones(3)}, [{"x": np.zeros(3)}]
    )
    assert found.smooth.all()
    assert found.value.tolist() == [0.0]


@pytest.mark.parametrize("scale", [1e-3, 1.0, 8.0])
def test_what_is_straight_is_not_followed_far_to_find_out_how_it_bends(scale):
    evaluated = []

    def line(t):
        evaluated.append(abs(t))
        return t, 3.0 * t

    central.third_derivative(line, 0.0, scale, 1e-16)
    assert max(evaluated) <= 2 * 2.0**-7 * max(scale, 1.0)


def test_at_a_minimum_the_bend_of_the_function_is_not_its_noise():
    k = np.arange(-3.0, 4.0)
    values = 1000 + k**2 + 1e-6 * (-1) ** np.arange(7)
    level, settled = central._noise_from_table(values[:, None])
    assert settled.all()
    assert 0.3e-6 < level[0] < 3e-6


def test_a_cubic_has_no_noise_but_its_rounding():
    k = np.arange(-3.0, 4.0)
    level, settled = central._noise_from_table((k**3)[:, None])
    assert not settled.any()
    assert level[0] == 0


# Several functions at once.


def of_each_entry(f, x, noise=1e-15, stated=None, left=10**6):
    """The differences of one function by every entry of x, for a stated gradient."""
    claim = shared.Stated([np.asarray(stated, float)[None]], np.full(len(x), 1e-12))
    return shared.entries_of_each(
        lambda p: np.array([f(p["x"])]), {"x": x}, "x", np.arange(len(x)), np.array([noise]),
        claim, 1, lambda: left,
    )  # fmt: skip


def test_a_bend_away_from_the_pilots_is_found_though_the_convention_is_stated():
    x = np.linspace(-1.0, 1.0, 21)  # 0 is in the middle, where a pilot is
    x[7], x[10] = 0.0, 0.1
    bends = np.arange(21) == 7

    def f(x):
        return float(5 + np.where(bends, np.abs(x), np.sin(x)).sum())

    found = of_each_entry(f, x, stated=np.where(bends, 0.0, np.cos(x)))
    assert found.smooth[:, 0].tolist() == (~bends).tolist()
    assert (np.abs(found.value[:, 0] - np.cos(x)) <= found.bar[:, 0])[~bends].all()


def test_an_entry_that_had_a_second_step_has_none_again():
    at = []

    def f(x):
        at.append(tuple(x))
        return float(np.sin(x).sum())

    x = np.linspace(0.3, 0.7, 33)
    stated = np.cos(x)
    stated[[0, 16, 32]] = 9.0  # the pilots
    of_each_entry(f, x, stated=stated)
    assert len(set(at)) == len(at)


# Within a budget.


def test_a_budget_is_shared_equally_but_none_has_more_than_it_can_use():
    assert budgeted.shares([2, 10, 10], 12) == [2, 5, 5]
    assert budgeted.shares([10, 2, 10], 13) == [5, 2, 6]
    assert budgeted.shares([3, 4], 100) == [3, 4]
    assert budgeted.shares([3, 4], 0) == [0, 0]


ANALYTIC = [
    lambda x: np.exp(np.sin(x)).sum(),
    lambda x: np.einsum("i,i->", np.where(x > 0, x, 0.01 * x), x),
    lambda x: np.log(np.exp(x - x.max()).sum()) + x.max(),
    lambda x: np.concatenate([np.maximum(x, 0.5), np.stack([x, x])[1]]).mean(),
    lambda x: np.multiply(x, x, out=np.empty_like(x)).sum(),
    lambda x: np.split(x, 2)[1] @ x[3:],
]
NOT_ANALYTIC = [
    lambda x: (np.abs(x) ** 2).sum(),
    lambda x: 1 + (np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))).sum() * (1 + 0j),
    lambda x: (x * x.conj()).sum(),
    lambda x: (x * np.conjugate(x)).sum(),
    lambda x: x.real.sum() * x.sum(),
    lambda x: x.imag.sum() * x.sum(),
    lambda x: np.real(x).sum() * x.sum(),
    lambda x: np.vdot(x, x),
    lambda x: np.linalg.norm(x) * x.sum(),
    lambda x: np.var(x) + x.sum(),
    lambda x: (np.sign(x) * x).sum(),
    lambda x: (np.asarray(x) ** 2).sum(),  # nobody sees what is done to it after that
    lambda x: complex((x**2).sum()),
    lambda x: float((x**2).sum()),
    lambda x: np.hypot(x, 1).sum(),
    lambda x: 1.0,
]


@pytest.mark.parametrize("loss", ANALYTIC)
def test_complex_numbers_that_every_operation_carries_are_believed(loss):
    assert is_analytic(lambda at: [loss(at["x"])], {"x": np.linspace(-1, 2, 6)})


@pytest.mark.parametrize("loss", NOT_ANALYTIC)
def test_complex_numbers_are_not_believed_where_some_operation_is_not_analytic(loss):
    assert not is_analytic(lambda at: [loss(at["x"])], {"x": np.linspace(-1, 2, 6)})


def test_one_output_that_is_not_analytic_is_enough():
    def outputs(at):
        return [at["x"].sum(), np.abs(at["y"]).sum() * at["x"].sum()]

    assert not is_analytic(outputs, {"x": np.ones(2), "y": np.ones(3)})
    assert not is_analytic(lambda _: [], {"x": np.ones(2)})


def differences(value, bar=1e-9):
    value = np.array(value, float)
    return Differences(np.arange(value.size), value, np.full(value.size, bar),
                       np.ones(value.size, bool))  # fmt: skip


def test_one_entry_that_differs_contradicts_the_complex_step():
    exact = differences([1.0, 2.0, 3.0])
    assert not budgeted._contradicts(exact, differences([1.0, 2.0, 3.0]))
    assert budgeted._contradicts(exact, differences([1.0, 2.5, 3.0]))


@pytest.mark.parametrize(("f", "kept"), [
    (lambda p: float(p["x"][1]), True),  # one is 0 and the other is not
    (lambda p: 1.0, False),  # nothing is told from 0
    (lambda p: float(p["x"][0] + 3 * p["x"][1]), False),  # the first contradicts
])  # fmt: skip
def test_the_complex_step_is_kept_where_some_real_difference_vouches_for_it(f, kept):
    exact, real = {"x": differences([0.0, 1.0])}, {"x": differences([0.0, 1.0], 1e-3)}
    sample = budgeted.Sample(exact, real, {}, {}, noise=1e-16, complex_step=True)
    found = budgeted.without_contradicted_step(
        f, {"x": np.array([0.5, 0.25])}, sample, {"x": np.array([0, 1])}
    )
    assert found.complex_step == kept
    assert found.entries is (exact if kept else real)


def test_the_roughness_of_white_noise_is_its_size_over_the_step():
    rng, noise, bar = np.random.default_rng(0), 1e-6, 1e-3
    look = budgeted._Look(
        lambda p: noise * rng.standard_normal(), {"x": np.ones(3)}, noise, np.random.default_rng(1)
    )
    # The step over which so much noise makes such a bar.
    step = (central.SETTLED + 1) * central.ROUNDING * noise / bar
    rough = budgeted._roughness(look, "x", np.eye(3)[0], bar, places=400)
    assert rough == pytest.approx(noise / step, rel=0.2)


@pytest.mark.parametrize(("apart", "bent"), [(1.5, False), (2.5, True)])
def test_derivatives_as_far_apart_as_both_bars_reach_show_no_hidden_bend(apart, bent):
    x = {"x": np.ones(2)}

    def along(name, direction, arrays):
        return (0.0 if arrays is x else apart), 1.0, True

    look = SimpleNamespace(along=along, arrays=x, rng=np.random.default_rng(0))
    assert budgeted._bends(look, "x", np.ones(2)) == bent
