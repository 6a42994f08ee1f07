"""`check_vjp` on a convolution, layer normalisation and attention, right and broken."""

from __future__ import annotations

import time

import jax.numpy as jnp
import numpy as np
import pytest
from kernels import KERNELS, draw

from verify import check_vjp, compare
from verify.report import PAIRS

BROKEN = [(kernel, bug) for kernel, (*_, bugs, _) in KERNELS.items() for bug in bugs]
QUICK = {"budget": 3000, "cotangents": 3}


def kernel(name, dtype=np.float64):
    forward, backward, mirror, bugs, shapes = KERNELS[name]
    return forward, backward, mirror, bugs, draw(*shapes, dtype=dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", KERNELS)
def test_a_right_backward_pass_agrees(name, dtype):
    forward, backward, _, _, args = kernel(name, dtype)
    report = check_vjp(forward, backward, args, **QUICK)
    assert report.ok, str(report)
    assert "3 cotangents" in report.meaning


@pytest.mark.parametrize("name", KERNELS)
def test_a_right_backward_pass_agrees_with_its_mirror(name):
    forward, backward, mirror, _, args = kernel(name)
    report = check_vjp(forward, backward, args, mirror, **QUICK)
    assert report.ok, str(report)
    assert report.loss is None
    assert set(report.tensors[0].pairs) == set(PAIRS)


@pytest.mark.parametrize(("name", "bug"), BROKEN)
def test_a_broken_backward_pass_is_caught(name, bug):
    forward, _, _, bugs, args = kernel(name)
    report = check_vjp(forward, bugs[bug], args, **QUICK)
    assert report.verdict == "disagree", str(report)


@pytest.mark.parametrize("name", KERNELS)
def test_a_broken_backward_pass_is_caught_in_float32_beside_its_mirror(name):
    forward, _, mirror, bugs, args = kernel(name, np.float32)
    report = check_vjp(forward, next(iter(bugs.values())), args, mirror, **QUICK)
    assert report.verdict == "disagree"
    assert "backward pass" in report.meaning


@pytest.mark.parametrize("name", KERNELS)
def test_the_same_kernels_inside_a_loss_are_compared_with_the_same_verdicts(name):
    forward, backward, _, bugs, args = kernel(name)
    target = np.cos(np.arange(forward(*args).size)).reshape(forward(*args).shape)

    def loss(args):
        return ((forward(*args) - target) ** 2).sum() / 2

    def grads(backward):
        return lambda args: backward(forward(*args) - target, *args)

    assert compare(loss, grads(backward), args, budget=1500).ok
    for broken in bugs.values():
        assert compare(loss, grads(broken), args, budget=1500).verdict == "disagree"


def test_rows_are_named_by_the_arguments_of_forward():
    forward, backward, _, _, args = kernel("layer_norm")
    report = check_vjp(forward, backward, args, **QUICK)
    assert [tensor.name for tensor in report.tensors] == ["x", "gamma", "beta"]


def test_a_mistake_at_one_output_alone_is_caught():
    def backward(dy, x):
        found = 2 * x * dy
        found[3] = 2.002 * x[3] * dy[3]
        return found

    report = check_vjp(lambda x: x**2, backward, np.linspace(1, 2, 9))
    assert report.verdict == "disagree"
    (row,) = report.tensors
    assert row.pairs["manual_vs_finite_difference"].worst.index == 3


def test_one_pair_of_evaluations_serves_every_cotangent():
    forward, backward, _, _, args = kernel("attention")
    few, every = (check_vjp(forward, backward, args, cotangents=count) for count in (3, None))
    assert len(every.settings["cotangents"]) == 2 + forward(*args).size
    assert every.settings["evaluations"] <= 1.25 * few.settings["evaluations"]
    assert every.settings["evaluations"] <= 4 * sum(x.size for x in args)
    assert f"for {2 + forward(*args).size} cotangents" in every.meaning


def test_a_backward_pass_that_is_wrong_where_one_output_shows_alone_is_caught():
    def backward(dy, x):
        alone = np.count_nonzero(dy) == 1 and dy[5] != 0
        return 2 * x * dy * (1.01 if alone else 1)

    report = check_vjp(lambda x: x**2, backward, np.linspace(1, 2, 9))
    assert report.verdict == "disagree"
    assert "1 at output [5]" in report.meaning
    assert "1 of 11 cotangents" in report.meaning


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_outputs_of_other_sizes_are_compared_within_their_own_error_bars(scale):
    def forward(x, y):
        return {"large": np.sin(x) + y.sum(), "small": scale * np.cos(y)}

    def backward(cotangent, x, y, factor=1.0):
        large, small = cotangent["large"], cotangent["small"]
        return np.cos(x) * large, large.sum() - factor * scale * np.sin(y) * small

    args = draw((5,), (4,))
    assert check_vjp(forward, backward, args).ok
    wrong = check_vjp(forward, lambda *a: backward(*a, factor=1.01), args)
    assert wrong.verdict == "disagree"


def test_what_there_is_no_time_for_is_stated_with_what_could_be_seen():
    def forward(x):
        time.sleep(0.003)
        return np.sin(x)

    def backward(dy, x, factor=1.0):
        return factor * np.cos(x) * dy

    (x,) = draw((40, 50))
    report = check_vjp(forward, backward, x, seconds=1.5)
    assert report.verdict in ("agree", "undecided"), str(report)
    (note,) = (note for note in report.notes if note.kind == "out-of-time")
    assert note.values["seconds"] == 1.5
    assert note.values["checked"] == report.tensors[0].entries_checked < 2000
    assert note.values["entry"] == report.tensors[0].resolution.entry
    assert any("There was no time for all in 1.5 s" in remark for remark in report.remarks)
    wrong = check_vjp(forward, lambda dy, x: backward(dy, x, 1.1), x, seconds=1.5)
    assert wrong.verdict == "disagree" or "out-of-time" in {note.kind for note in wrong.notes}
    assert wrong.verdict != "agree"


def test_none_agrees_for_what_nothing_depends_on_and_for_nothing_else():
    def backward(dy, x, w):
        return dy * np.cos(x), None

    args = draw((3,), (3,))
    report = check_vjp(lambda x, w: np.sin(x) + (w.sum() - w.sum()), backward, args)
    assert report.ok, str(report)
    assert "Nothing depends on w: the value is the same elsewhere." in report.remarks
    wrong = check_vjp(lambda x, w: np.sin(x) + 1e-3 * w, backward, args)
    assert wrong.verdict == "disagree"
    assert check_vjp(lambda x, w: np.sin(x) + w, backward, args, constants=("w",)).ok


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_backward_pass_may_return_the_same_memory_every_time(dtype):
    memory = np.zeros((3, 4), dtype)

    def backward(dy, x):
        np.multiply(dy, np.cos(x), out=memory[...], casting="same_kind")
        return memory

    report = check_vjp(np.sin, backward, draw((3, 4), dtype=dtype))
    assert report.ok, str(report)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("each", [0.001, 0.003, 0.01, 0.02, 0.1, 0.3])
def test_the_seconds_bound_all_calls_however_long_each_takes(each, dtype, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def forward(x, y):
        now[0] += each
        return np.tanh(x) * y

    def backward(dz, x, y):
        now[0] += each
        return dz * y * (1 - np.tanh(x) ** 2), dz * np.tanh(x)

    report = check_vjp(forward, backward, draw((40,), (40,), dtype=dtype), seconds=2.0)
    assert now[0] <= 2.0 + 12 * each
    assert report.verdict in ("agree", "undecided")
    if each > 0.01:
        assert report.conclusion.kind == "too-slow"
        assert "Check with more seconds." in report.meaning
    else:
        assert report.conclusion.kind != "too-slow"
        assert all(tensor.entries_checked for tensor in report.tensors)


def test_the_note_counts_the_entries_that_the_table_does():
    def forward(x, y):
        return {"plain": (x**2).sum() + y @ y, "bent": np.abs(x).sum() + y @ y}

    def backward(cotangent, x, y):
        plain, bent = cotangent["plain"], cotangent["bent"]
        return 2 * x * plain + np.sign(x) * bent, 2 * y * (plain + bent)

    args = draw((16, 32), (16,))
    report = check_vjp(forward, backward, args, budget=900, cotangents=3)
    assert report.ok, str(report)
    checked = sum(tensor.entries_checked for tensor in report.tensors)
    assert checked < 528
    counts = [remark for remark in report.remarks if "differenced one by one" in remark]
    assert [remark.split(" entries")[0] for remark in counts] == [f"{checked} of 528"]


@pytest.mark.parametrize(("mirror", "ways"), [(None, "two"), (lambda x: jnp.sin(x), "three")])
def test_the_page_lists_the_values_of_the_cotangent_that_shows_a_mistake_best(mirror, ways):
    def backward(dy, x):
        return dy * np.cos(x) * [1.0, 1.0, 1.5, 1.0]

    report = check_vjp(np.sin, backward, np.array([0.3, 0.7, 1.1, -0.4]), mirror, **QUICK)
    (tensor,) = report.tensors
    for pair in list(tensor.pairs.values())[: 2 if mirror else 1]:
        worst = int(np.flatnonzero(pair.index == 2)[0])
        value = pair.value[worst]
        assert value == pytest.approx(1.5 * (value - pair.difference[worst]), rel=1e-6)
        assert f"{value:.9g}" in report.to_html() or pair is not next(iter(tensor.pairs.values()))
    assert f"checked {ways} ways" in report.to_html()


def test_the_cotangents_that_a_mistake_shows_under_are_listed_to_the_third():
    report = check_vjp(lambda x: x**2, lambda dy, x: x * dy, np.ones(9), budget=3000, cotangents=6)
    assert report.meaning.endswith("and 3 more.")
    assert "..." not in report.meaning


def test_an_error_that_no_random_cotangent_could_show_is_not_cleared_by_single_outputs():
    a, b = draw((30,), (30,))

    def forward(a, b):
        return 1e14 * a, np.sin(b)

    def backward(d, a, b):
        db = d[1] * np.cos(b)
        db[5] *= 2
        return 1e14 * d[0], db

    report = check_vjp(forward, backward, (a, b), seed=1)
    assert [tensor.verdict for tensor in report.tensors] == ["agree", "undecided"]


def test_a_backward_pass_that_ignores_its_cotangent_is_caught():
    report = check_vjp(lambda x: x**2, lambda dy, x: 2 * x, np.ones(4))
    assert report.verdict == "disagree"


def test_constants_are_passed_on_and_not_differentiated():
    def take(x, index, axis, mask):
        return np.take(x, index, axis)

    def backward(dy, x, index, axis, mask):
        dx = np.zeros(x.shape, dy.dtype)
        np.add.at(dx, index, dy)
        return dx, None, None, None

    args = (np.arange(8.0).reshape(4, 2), np.array([0, 2, 2]), 0, None)
    report = check_vjp(take, backward, args, lambda x, i, a, m: jnp.take(x, i, a), **QUICK)
    assert report.ok, str(report)
    assert [tensor.name for tensor in report.tensors] == ["x"]


def test_none_for_an_argument_that_is_no_constant_is_a_wrong_gradient():
    forward, backward, _, _, args = kernel("layer_norm")

    def without_beta(*arguments):
        dx, dgamma, _ = backward(*arguments)
        return dx, dgamma, None

    report = check_vjp(forward, without_beta, args, **QUICK)
    assert report.verdict == "disagree"
    assert {t.name: t.verdict for t in report.tensors} == {
        "x": "agree", "gamma": "agree", "beta": "disagree",
    }  # fmt: skip
    assert any("returned None for beta" in remark for remark in report.remarks)
    for constants in (("beta",), (2,), "beta"):
        checked = check_vjp(forward, without_beta, args, constants=constants, **QUICK)
        assert checked.ok, str(checked)
        assert [tensor.name for tensor in checked.tensors] == ["x", "gamma"]


def test_a_right_backward_pass_may_write_into_its_cotangent():
    def backward(dy, x):
        dy *= 1 - np.tanh(x) ** 2
        return dy

    def wrong(dy, x):
        dy += 1
        return dy * (1 - np.tanh(x) ** 2)

    (x,) = draw((3, 4))
    report = check_vjp(np.tanh, backward, x, **QUICK)
    assert report.ok
    assert any(remark.startswith("backward writes into its cotangent") for remark in report.remarks)
    assert any("where the cotangent is expanded" in remark for remark in report.remarks)
    assert check_vjp(np.tanh, wrong, x, **QUICK).verdict == "disagree"


def test_a_backward_pass_that_ignores_strides_is_right_for_contiguous_cotangents_alone():
    def backward(dy, x):
        whole = dy.base if dy.base is not None and dy.base.size >= dy.size else dy
        return 2 * x * whole.reshape(-1)[: dy.size].reshape(dy.shape)

    report = check_vjp(lambda x: x**2, backward, draw((3, 4)))
    assert report.verdict == "disagree"
    assert report.conclusion.kind == "wrong-for-forms"
    assert report.conclusion.values["forms"] == ["strided"]
    assert "where the cotangent is strided ([..., ::2]), dx is wrong" in report.meaning
    assert "14 cotangents" not in report.meaning


@pytest.mark.parametrize(("special", "form"), [(0, "zeros"), (1, "ones")])
def test_a_backward_pass_that_is_wrong_for_a_special_cotangent_is_caught(special, form):
    def backward(dy, x):
        return 2 * x * dy + (dy == special).all()

    report = check_vjp(lambda x: x**2, backward, draw((3, 4)))
    assert report.verdict == "disagree"
    assert f"{special} throughout" in report.meaning


def test_layouts_are_tried_in_every_precision_and_counted_apart():
    forward, backward, _, _, args = kernel("layer_norm", np.float32)
    report = check_vjp(forward, backward, args)
    assert report.ok
    assert report.settings["forms"] == ["strided", "transposed", "expanded", "ones", "zeros"]
    assert report.meaning.endswith("cotangents, contiguous, strided, transposed and expanded.")
    assert "random 1, strided" not in report.settings["cotangents"]


def test_auxiliary_outputs_are_not_differentiated():
    def forward(x):
        return {"y": np.sin(x), "largest": np.abs(x).max()}

    def backward(cotangent, x):
        assert not cotangent["largest"].any()
        return cotangent["y"] * np.cos(x)

    (x,) = draw((5,))
    for aux in (("largest",), (0,)):
        assert check_vjp(forward, backward, x, aux=aux, **QUICK).ok


def test_several_outputs_and_trees_of_arguments_have_cotangents_of_their_kind():
    def forward(params, x):
        h = params["W"] @ x + params["b"]
        return {"h": h, "norm": (h**2).sum()}

    def backward(cotangent, params, x):
        h = params["W"] @ x + params["b"]
        dh = cotangent["h"] + 2 * h * cotangent["norm"]
        return {"W": np.outer(dh, x), "b": dh}, params["W"].T @ dh

    W, b, x = draw((3, 4), (3,), (4,))
    report = check_vjp(forward, backward, ({"W": W, "b": b}, x), **QUICK)
    assert report.ok, str(report)
    assert [tensor.name for tensor in report.tensors] == ["params.W", "params.b", "x"]
    wrong = check_vjp(
        forward,
        lambda c, p, x: backward({**c, "norm": 0.0}, p, x),
        ({"W": W, "b": b}, x),
        **QUICK,
    )
    assert wrong.verdict == "disagree"


def test_a_layer_that_draws_its_mask_inside_is_found_out():
    rng = np.random.default_rng(0)
    report = check_vjp(
        lambda x: x * (rng.random(x.shape) < 0.5), lambda dy, x: dy * (x > 0), np.ones(50)
    )
    assert report.verdict == "undecided"
    assert "forward is random" in report.meaning


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("backward", "args", "options", "sentence"),
    [
        (
            lambda dy, x, y: dy,
            (np.ones(2), np.ones(2)),
            {},
            "backward: it returned ndarray, expected 2",
        ),
        (
            lambda dy, x, y: (dy,),
            (np.ones(2), np.ones(2)),
            {},
            "backward: it returned 1, expected 2",
        ),
        (lambda dy, x: dy[:1], np.ones(2), {}, "backward: got float64 of the shape (1,) for x"),
        (lambda dy, x: None, np.ones(2), {}, "backward: it returned None for every argument"),
        (
            lambda dy, x: dy,
            np.arange(2),
            {},
            "args: got int64 for x, expected an array of floating",
        ),
        (lambda dy, x: dy, np.ones(0), {}, "args: got an empty array of float64 for x"),
        (lambda dy, x: dy, np.ones(2), {"constants": ("z",)}, "constants: got 'z', expected some"),
        (lambda dy, x: dy, np.ones(2), {"constants": "x"}, "constants: got every argument"),
        (lambda dy, x: dy, np.ones(2), {"seed": 0.5}, "seed: got 0.5, expected an integer"),
        (lambda dy, x: dy, np.ones(2), {"budget": None}, "budget: got None, expected an integer"),
        (3, np.ones(2), {}, "backward: got int, expected a function"),
        (lambda dy, x: dy, np.ones(2), {"cotangents": 0}, "cotangents: got 0"),
        (lambda dy, x: dy, np.ones(2), {"cotangents": "six"}, "cotangents: got 'six', expected an"),
        (lambda dy, x: dy, np.ones(2), {"seconds": 0}, "seconds: got 0, expected a positive"),
        (lambda dy, x: dy, np.ones(2), {"seconds": "10"}, "seconds: got '10', expected a positive"),
        (lambda dy, x: dy, np.ones(2), {"seconds": None}, "seconds: got None, expected a"),
        (lambda dy, x: dy, np.ones(2), {"seconds": np.nan}, "seconds: got nan, expected a"),
        (lambda dy, x: dy, np.ones(2), {"budget": 20}, "budget: got 20, expected at least"),
    ],
)
def test_faulty_input_is_one_sentence_that_names_the_argument(backward, args, options, sentence):
    def forward(x, y=0.0):
        return x + y

    with pytest.raises(ValueError) as fault:  # noqa: PT011
        check_vjp(forward, backward, args, **options)
    assert str(fault.value).startswith(sentence)


def test_a_mirror_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="mirror: it returned the shape"):
        check_vjp(lambda x: x**2, lambda dy, x: 2 * x * dy, np.ones(3), lambda x: x[:2] ** 2)


def test_more_cotangents_than_there_are_outputs_are_not_drawn():
    report = check_vjp(lambda x: x**2, lambda dy, x: 2 * x * dy, np.ones(3), cotangents=2**31)
    assert report.verdict == "agree"
    assert len(report.settings["cotangents"]) == 6


def test_cotangents_that_do_not_fit_in_memory_are_refused():
    with pytest.raises(ValueError, match="cotangents: got 1000000, expected at most 1342: each ho"):
        check_vjp(lambda x: x**2, lambda dy, x: 2 * x * dy, np.ones(10**5), cotangents=10**6)
