"""A report that does not agree says what was found, what is expected, and how to see it again."""

from __future__ import annotations

import re

import numpy as np
import pytest
from problems import random_problem

import manual
import verify
from verify import check_vjp, compare, three_way
from verify.show.page import page

X, W = np.random.default_rng(0).standard_normal((2, 4, 3))


def product(x, w):
    return x * w


def wrong_product(c, x, w):
    return c * w, 2 * c * x


def loss(p):
    return (p["z"] ** 2).sum() + (p["a"] ** 3).sum()


def wrong_grads(p):
    return {"z": 2 * p["z"], "a": 3 * p["a"]}


def test_the_worst_entry_is_shown_with_what_is_expected_there_and_the_error_bar():
    params = {"z": X, "a": W + 2}
    report = compare(loss, wrong_grads, params)
    worst = report.tensors[1].worst
    index = np.unravel_index(worst.index, (4, 3))
    assert worst.found == 3 * params["a"][index]
    assert worst.expected == pytest.approx(3 * params["a"][index] ** 2, abs=worst.bar)
    assert 0 < worst.bar < 1e-9
    assert (
        f"da[{index[0]}, {index[1]}]: found {worst.found:.6g}, expected {worst.expected:.6g} ± "
        f"{worst.bar:.1e} by finite differences"
    ) in str(report)
    assert report.to_dict()["tensors"][1]["worst"] == {
        "index": list(index),
        "place": "entry",
        "manual": worst.found,
        "finite_difference": worst.expected,
        "bar": worst.bar,
        "cotangent": "",
    }
    assert not re.search(r"dz.*found", str(report))


def test_as_many_digits_are_shown_as_tell_the_two_apart():
    report = compare(lambda x: (x**2).sum(), lambda x: 2 * x * (1 + 1e-9), np.array([1.0, 2.0]))
    found, expected = re.search(r"found (\S+), expected (\S+) ±", str(report)).groups()
    assert float(found) - float(expected) == pytest.approx(4e-9, rel=0.2)


@pytest.mark.parametrize("form", [str, page])
def test_a_layer_names_the_cotangent_and_no_loss_that_nobody_computed(form):
    report = check_vjp(product, wrong_product, (X, W))
    worst = report.tensors[1].worst
    assert report.loss is None
    assert report.to_dict()["loss"] is None
    assert worst.cotangent in report.settings["cotangents"]
    shown = " ".join(form(report).split())
    assert f"by finite differences, for the cotangent {worst.cotangent}" in shown
    assert "loss" not in re.sub(r"<style>.*</style>", "", shown, flags=re.DOTALL).lower()


@pytest.mark.unchecked
def test_the_line_that_repeats_a_check_repeats_it():
    names = {"verify": verify, "loss": loss, "wrong_grads": wrong_grads, "args": (X, W)}
    names |= {"params": {"z": X, "a": W}, "product": product, "wrong_product": wrong_product}
    seed = np.int64(3)
    for report in (
        compare(loss, wrong_grads, names["params"], seed=seed),
        check_vjp(product, wrong_product, (X, W), names=("left", "right"), seed=seed, cotangents=4),
    ):
        again = eval(report.repeat, names)
        assert [t.worst for t in again.tensors] == [t.worst for t in report.tensors]
        assert "Checked in float64, with seed 3." in str(report)
        assert f"To repeat it: {report.repeat}" in " ".join(str(report).split())
        assert report.repeat.replace("'", "&#x27;") in page(report).replace("</span> <span>", " ")


def test_three_way_shows_the_worst_entry_and_the_line_that_repeats_it():
    problem = random_problem()
    grads = manual.loss_and_grads(*problem.arguments, **problem.options)[1]
    report = three_way(problem, grads={**grads, "W2": 1.5 * grads["W2"]})
    text = " ".join(str(report).split())
    assert re.search(r"dW2\[\d, \d\]: found \S+, expected \S+ ± \S+ by (JAX|finite)", text)
    assert "verify.three_way(problem, grads=grads, finite_difference='auto', seed=0)" in text


def test_what_does_not_agree_along_a_direction_or_at_ties_says_where_that_was():
    x = np.linspace(-1, 1, 4000)

    def one_off(x):
        g = np.cos(x)
        g[700] -= 0.05
        return g

    seen = compare(lambda x: np.sin(x).sum(), one_off, x, budget=500)
    assert "along a random direction: found" in str(seen)
    tied = compare(lambda x: 3 * x.max(), lambda x: 3.0 * (x == x.max()), np.array([1.0, 2, 2]))
    assert "along tied entries together: found 6, expected 3 ±" in " ".join(str(tied).split())


@pytest.mark.parametrize(("at_zero", "verdict"), [(5, "disagree"), (1.5, "undecided")])
def test_at_a_bend_the_interval_is_shown_whether_decided_or_not(at_zero, verdict):
    def backward(d, x):
        return d * np.where(x == 0, at_zero, x > 0)

    report = check_vjp(lambda x: np.maximum(x, 0), backward, np.array([-1.0, 0, 2, 0]))
    assert report.verdict == verdict
    assert re.search(
        r"dx\[[13]\], where the function bends: found \S+, expected between \S+ and \S+ by",
        " ".join(str(report).split()),
    )


def test_what_a_bend_leaves_open_is_not_settled_by_a_cotangent_that_does_not_see_it():
    report = check_vjp(
        lambda x: np.maximum(x, 0),
        lambda d, x: d * np.where(x == 0, 1.5, x > 0),
        np.array([-1.0, 2, 2, 0]),
        cotangents=9,
    )
    assert report.verdict == "undecided"


def test_rows_are_in_the_order_of_the_arguments_under_the_users_names():
    def rows(report):
        return [tensor.name for tensor in report.tensors]

    assert rows(compare(loss, wrong_grads, {"z": X, "a": W})) == ["z", "a"]
    both = compare(
        lambda p: p[0].sum() + p[1]["b"].sum(),
        lambda p: (np.ones_like(p[0]), {"b": np.ones_like(p[1]["b"])}),
        (X, {"b": W}),
        names=("weights", "rest"),
    )
    assert both.ok
    assert rows(both) == ["weights", "rest.b"]
    assert rows(compare(lambda x: (x**2).sum(), lambda x: 2 * x, X, names="theta")) == ["theta"]
    assert rows(check_vjp(lambda *a: a[0] * a[1], wrong_product, (X, W), names=("q", "k"))) == [
        "q", "k",
    ]  # fmt: skip


@pytest.mark.unchecked
@pytest.mark.parametrize("names", ["ab", ("a", "a"), ("a",), ("a", 1), 3])
def test_names_that_do_not_fit_are_refused(names):
    with pytest.raises(ValueError, match=r"names: got .*, expected 2 different names"):
        check_vjp(product, wrong_product, (X, W), names=names)


def test_names_of_what_has_its_own_are_refused():
    with pytest.raises(ValueError, match="names: got"):
        compare(loss, wrong_grads, {"z": X, "a": W}, names=("z", "a"))


@pytest.mark.parametrize("check", ["three_way", "sampled", "layer"])
def test_a_report_fits_eighty_columns(check):
    if check == "layer":
        report = check_vjp(product, wrong_product, (X, W))
    else:
        problem = random_problem(sizes=(300, 40, 30, 1), hidden="relu", keep_prob=0.5, m=3)
        way = "sampled" if check == "sampled" else "auto"
        report = three_way(problem, finite_difference=way)
    lines = str(report).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("d") for line in lines) >= len(report.tensors)
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize(("value", "shown"), [(0, "gamma = 0"), (1, "gamma = 1")])
def test_an_argument_that_is_the_same_special_number_throughout_is_named(value, shown):
    def backward(c, x, gamma):
        return c * gamma, c * x

    def notes(gamma):
        return [n for n in check_vjp(product_of, backward, (X, gamma)).remarks if "factor" in n]

    def product_of(x, gamma):
        return x * gamma

    (note,) = notes(np.full((4, 3), float(value)))
    assert note.startswith(f"{shown} throughout, so a missing or an extra factor of gamma")
    assert not notes(np.where(np.arange(3) == 1, float(value), 2.0) * np.ones((4, 1)))


def test_only_bends_are_counted_as_kinks():
    x = np.full((3, 2), 1e-300)
    ends = compare(lambda x: np.log(x).sum(), lambda x: 1 / x, x)
    assert (ends.verdict, ends.tensors[0].kinks) == ("undecided", 0)
    assert "not finite on both sides" in ends.meaning
    assert "within the domain" in ends.meaning
    bends = compare(lambda x: np.abs(x).sum(), np.sign, np.zeros((3, 2)))
    assert bends.tensors[0].kinks == 6
