"""Who agrees with whom, and what follows: on evidence made by hand, with bars of 1."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from verify.evidence.witnesses import Bends, Differences, Evidence, Witness
from verify.report import PAIRS, Fact
from verify.verdict import decide

HAND_JAX, HAND_DIFFERENCE, JAX_DIFFERENCE = PAIRS


def differences(value, bar=0.5, smooth=True) -> Differences:
    """Return differences of the first entries of a tensor, or along the first directions."""
    value = np.array(value, float)
    return Differences(
        np.arange(value.size),
        value,
        np.full(value.size, bar),
        np.broadcast_to(np.array(smooth), value.shape).copy(),
    )


def witness(loss, grads, kinked=()) -> Witness:
    grads = {name: np.array(value, float) for name, value in grads.items()}
    bars = {name: np.full(value.shape, 0.5) for name, value in grads.items()}
    marks = {name: np.zeros(value.shape, bool) for name, value in grads.items()}
    for name, index in kinked:
        marks[name].flat[index] = True
    return Witness(loss, 0.5, grads, bars, marks)


def evidence(hand, jax=None, entries=None, *, losses=(1.0, 1.0), kinked=(), **more) -> Evidence:
    """Return evidence on gradients by name: by hand, by JAX, by differences of entries."""
    entries = {} if entries is None else entries
    return Evidence(
        witness(losses[0], hand, kinked),
        None if jax is None else witness(losses[1], jax),
        loss_apart=1.0,
        apart={name: np.ones(np.shape(value)) for name, value in hand.items()},
        entries={
            name: value if isinstance(value, Differences) else differences(value)
            for name, value in entries.items()
        },
        **more,
    )


def decided(*cases: Evidence):
    """Decide on one loss, or on those of several cotangents."""
    if len(cases) == 1:
        return decide({"": cases[0]})
    return decide({f"cotangent {k}": case for k, case in enumerate(cases)})


SIZE = 100.0
"""How large gradients are, so that an error of a tenth shows beside bars of 1."""

# By hand, by JAX and by difference: how far each is from that, so that the pairs named are apart.
AGREE = (0.0, 0.0, 0.0)
HAND_FROM_JAX = (0.0, 1.5, 0.75)
HAND_FROM_DIFFERENCE = (0.0, 0.75, 1.5)
JAX_FROM_DIFFERENCE = (0.75, 0.0, 1.5)
HAND_ALONE = (5.0, 0.0, 0.0)
JAX_ALONE = (0.0, 5.0, 0.0)
DIFFERENCE_ALONE = (0.0, 0.0, 5.0)
ALL_APART = (0.0, 5.0, 10.0)


def on(numbers, losses=(1.0, 1.0), **others) -> Evidence:
    """Return the evidence on a tensor W of these numbers, and on others by name."""
    tensors = {"W": numbers, **others}
    hand, jax, found = (
        {name: [SIZE + each[k]] for name, each in tensors.items()} for k in range(3)
    )
    return evidence(hand, jax, found, losses=losses)


@pytest.mark.parametrize(
    ("numbers", "verdict", "fact"),
    [
        (AGREE, "agree", Fact("three-agree")),
        (HAND_FROM_JAX, "disagree", Fact("backward-wrong",
            {"tensors": ["W"], "jax": "JAX", "differences": False})),
        (HAND_FROM_DIFFERENCE, "disagree", Fact("backward-wrong",
            {"tensors": ["W"], "jax": "", "differences": True})),
        (JAX_FROM_DIFFERENCE, "undecided", Fact("differences-alone",
            {"tensors": ["W"], "jax": "JAX"})),
        (HAND_ALONE, "disagree", Fact("backward-wrong",
            {"tensors": ["W"], "jax": "JAX", "differences": True})),
        (JAX_ALONE, "disagree", Fact("differs-from-jax", {"tensors": ["W"], "jax": "JAX"})),
        (DIFFERENCE_ALONE, "undecided", Fact("differences-alone",
            {"tensors": ["W"], "jax": "JAX"})),
        (ALL_APART, "disagree", Fact("differs-from-jax", {"tensors": ["W"], "jax": "JAX"})),
    ],
)  # fmt: skip
def test_where_the_losses_agree_it_follows_from_who_dissents(numbers, verdict, fact):
    report = decided(on(numbers, b=AGREE))
    assert (report.verdict, report.conclusion) == (verdict, fact)
    assert [tensor.name for tensor in report.tensors] == ["W", "b"]


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [
        (AGREE, "loss-off-by-constant"),
        (HAND_FROM_JAX, "other-function"),
        (HAND_FROM_DIFFERENCE, "loss-wrong"),
        (JAX_FROM_DIFFERENCE, "loss-off-by-constant"),
        (HAND_ALONE, "all-differ"),
        (JAX_ALONE, "other-function"),
        (DIFFERENCE_ALONE, "loss-wrong"),
        (ALL_APART, "all-differ"),
    ],
)
def test_where_the_losses_differ_it_is_never_right(numbers, kind):
    report = decided(on(numbers, losses=(1.0, 2.5)))
    assert (report.verdict, report.conclusion.kind) == ("disagree", kind)
    assert not report.loss.agree


def test_a_difference_that_stands_alone_in_one_tensor_is_not_held_against_the_other():
    report = decided(on(DIFFERENCE_ALONE, b=HAND_FROM_DIFFERENCE))
    assert report.conclusion == Fact(
        "backward-wrong", {"tensors": ["b"], "jax": "", "differences": True}
    )


@pytest.mark.parametrize(("apart", "agree"), [(1.0, True), (1.0 + 1e-12, False)])
def test_what_is_just_within_its_bar_agrees(apart, agree):
    pair = decided(on((apart, 0.0, 0.5))).tensors[0].pairs[HAND_JAX]
    assert pair.agree == agree
    assert pair.bar_ratio == pytest.approx(apart, rel=1e-13)
    assert decided(on(AGREE, losses=(1.0 + apart, 1.0))).loss.agree == agree


def test_what_is_not_a_number_agrees_with_nothing():
    pair = decided(on((math.nan, 0.0, 0.0))).tensors[0].pairs[HAND_JAX]
    assert not pair.agree
    assert pair.bar_ratio == math.inf


def test_max_abs_and_the_relative_difference_leave_kinks_out_and_the_bar_ratio_does_not():
    hand, jax = {"W": [3.0, 9.0, -4.0]}, {"W": [0.0, 0.0, -3.0]}
    report = decided(evidence(hand, jax, {"W": [0.0]}, kinked=[("W", 1)]))
    pair = report.tensors[0].pairs[HAND_JAX]
    assert pair.max_abs == 3.0
    assert pair.relative == pytest.approx(10**0.5 / (5 + 3))
    assert pair.bar_ratio == 9.0
    assert report.tensors[0].kinks == 1
    assert report.notes[-1] == Fact("kinks", {"kinks": 1, "count": 3, "whole": []})


def test_nothing_apart_is_a_relative_difference_of_nothing():
    assert decided(on(AGREE)).tensors[0].pairs[HAND_JAX].relative == 0.0


# Finite differences alone.


def test_without_jax_the_differences_decide():
    right = decided(evidence({"W": [101.0]}, entries={"W": [101.5]}))
    wrong = decided(evidence({"W": [1.0], "b": [1.0]}, entries={"W": [1.5], "b": [2.5]}))
    assert (right.verdict, right.conclusion) == (
        "agree", Fact("differences-agree"),
    )  # fmt: skip
    assert (wrong.verdict, wrong.conclusion) == (
        "disagree", Fact("gradient-wrong", {"tensors": ["b"]}),
    )  # fmt: skip
    assert right.loss.agree
    assert set(right.tensors[0].pairs) == {HAND_DIFFERENCE}


def test_a_tensor_without_a_smooth_difference_is_undecided_and_named_with_the_reason():
    bent = differences([7.0], smooth=False)
    one = decided(evidence({"W": [101.0], "b": [1.0]}, entries={"W": [101.0], "b": bent}))
    assert (one.verdict, one.conclusion.kind) == ("undecided", "error-bars-too-wide")
    ((name, resolution),) = one.conclusion.values["tensors"].items()
    assert (name, resolution.limit, resolution.entry) == ("b", "kinks", math.inf)
    none = decided(evidence({"b": [1.0]}, entries={"b": bent}))
    assert none.tensors[0].kinks == 1
    assert none.notes == (Fact("kinks", {"kinks": 1, "count": 1, "whole": ["b"]}),)
    assert none.tensors[0].pairs[HAND_DIFFERENCE].bar_ratio == 0.0


# How small an error would have been seen.


@pytest.mark.parametrize(("size", "verdict"), [(10.9, "undecided"), (11.1, "agree")])
def test_a_tensor_agrees_only_if_an_error_of_an_eleventh_would_have_shown(size, verdict):
    report = decided(evidence({"W": [size]}, entries={"W": [size]}))
    assert report.verdict == report.tensors[0].verdict == verdict
    assert report.tensors[0].resolution.entry == pytest.approx(1 / size)
    assert report.tensors[0].resolution.tensor == pytest.approx(1 / (size - 1))


@pytest.mark.parametrize("factor", [0, 2, -1, 1.1])
@pytest.mark.parametrize("bar", [1e-3, 1.0, 1e3, 1e9])
def test_a_right_gradient_times_a_factor_agrees_under_no_bars(factor, bar):
    given = evidence({"W": [5.0 * factor, factor]}, entries={"W": differences([5.0, 1.0], bar)})
    assert decided(given).verdict != "agree"


def test_an_entry_that_nothing_judges_leaves_its_tensor_undecided():
    report = decided(evidence({"W": [100.0, 100.0]}, entries={"W": [100.0]}))
    assert (report.verdict, report.tensors[0].resolution.limit) == ("undecided", "unjudged")


def test_a_gradient_of_zero_is_judged_by_how_large_it_is_nearby():
    zero = {"hand": {"W": [0.0]}, "entries": {"W": differences([0.0], 1e-12)}}
    bars = {"W": np.array([1e-12])}

    def verdict(**more):
        given = evidence(**zero, **more)
        return decided(replace(given, hand=replace(given.hand, bars=bars))).verdict

    assert verdict(elsewhere={"W": 1.0}) == "agree"
    assert verdict(elsewhere={"W": 1e-7}) == "undecided"
    assert verdict(independent=frozenset("W")) == "agree"
    assert verdict() == "undecided"


def along(value, entry=None, **how):
    """Return evidence on a tensor of two entries that are 1, differenced along their sum."""
    return evidence(
        {"W": [1.0, 1.0]},
        entries={} if entry is None else {"W": [entry]},
        directions={"W": differences([value], **how)},
        vectors={"W": np.array([[1.0, 1.0]])},
    )


def test_along_a_direction_the_bars_of_all_entries_add_up():
    assert decided(along(3.5)).tensors[0].pairs[HAND_DIFFERENCE].bar_ratio == 1.0
    assert decided(along(3.51)).verdict == "disagree"


def test_of_entries_and_directions_the_worse_counts():
    by_entry = decided(along(2.75, entry=1.75)).tensors[0].pairs[HAND_DIFFERENCE]
    assert by_entry.bar_ratio == 0.75
    assert by_entry.index.tolist() == [0]
    by_direction = decided(along(3.5, entry=1.75)).tensors[0].pairs[HAND_DIFFERENCE]
    assert by_direction.bar_ratio == 1.0
    assert by_direction.max_abs == 0.75
    assert by_direction.relative == pytest.approx(0.75 / 2.75)
    assert (by_direction.worst.place, by_direction.worst.index) == ("direction", None)
    alone = decided(along(3.5)).tensors[0].pairs[HAND_DIFFERENCE]
    assert (alone.max_abs, alone.bar_ratio) == (1.5, 1.0)
    assert alone.index.size == 0


@pytest.mark.parametrize("nearby", [(2.0, 9.0), (9.0, 2.0)])
def test_of_all_points_beside_the_one_that_is_worst_counts(nearby):
    beside = [evidence({"W": [2.0]}, None, {"W": [value]}) for value in nearby]
    report = decided(evidence({"W": [2.0]}, None, {"W": [2.0]}, beside=tuple(beside)))
    assert report.verdict == "disagree"
    assert report.tensors[0].pairs[HAND_DIFFERENCE].worst.place == "beside"


def test_equally_bad_entries_are_named_before_directions():
    pair = decided(along(2.0, entry=1.0)).tensors[0].pairs[HAND_DIFFERENCE]
    assert pair.index.tolist() == [0]


def test_what_was_sampled_is_said_and_of_what_was_not_nothing():
    assert decided(along(2.0, entry=1.0)).notes == (
        Fact("sampled", {"checked": 1, "count": 2, "directions": 1}),
    )
    assert decided(evidence({"W": [1.0]}, entries={"W": [1.0]})).notes == ()
    part = along(2.0, entry=1.0)
    beside = evidence({"a": [1.0], "W": [1.0, 1.0]}, entries={"a": [1.0], **part.entries})
    report = decided(replace(beside, directions=part.directions, vectors=part.vectors))
    assert report.notes == (Fact("sampled", {"checked": 2, "count": 3, "directions": 1}),)
    tensor = decided(along(2.0)).tensors[0]
    assert (tensor.entries_checked, tensor.directions_checked) == (0, 1)
    tensor = decided(evidence({"W": [1.0]}, entries={"W": [1.0]})).tensors[0]
    assert (tensor.entries_checked, tensor.directions_checked) == (1, 0)


def test_only_tensors_that_lie_on_kinks_whole_are_named_as_such():
    hand, kinked = {"W": [[1.0, 2.0]], "b": [1.0], "c": [1.0]}, [("W", 0), ("b", 0)]
    report = decided(evidence(hand, hand, {name: np.ravel(v) for name, v in hand.items()},
                              kinked=kinked))  # fmt: skip
    assert report.notes == (Fact("kinks", {"kinks": 2, "count": 4, "whole": ["b"]}),)


# Several cotangents.


def test_under_cotangents_one_that_disagrees_is_enough_and_is_named():
    report = decided(on(AGREE), on(HAND_ALONE), on(DIFFERENCE_ALONE), on(JAX_ALONE))
    assert report.verdict == "disagree"
    assert report.conclusion.kind == "wrong-under-cotangents"
    assert report.conclusion.values["wrong"] == ["cotangent 1", "cotangent 3"]
    assert report.conclusion.values["count"] == 4
    assert report.conclusion.values["first"].kind == "backward-wrong"
    assert report.notes == (Fact("worst-of-all-cotangents"),)


def test_with_a_mirror_it_is_the_forward_pass_of_a_layer_that_is_wrong():
    layer = decided(*2 * [on(HAND_FROM_DIFFERENCE, losses=(1.0, 2.5))])
    assert layer.conclusion.values["first"].kind == "forward-wrong"
    shifted = decided(*2 * [on(AGREE, losses=(1.0, 2.5))])
    assert shifted.conclusion.values["first"].kind == "forward-off-by-constant"


def test_how_small_an_error_shows_is_that_of_the_first_cotangent():
    coarse, fine = (
        evidence({"W": [101.0]}, entries={"W": differences([101.0], bar)}) for bar in (50.0, 1e-3)
    )
    assert decided(coarse, fine).verdict == "undecided"
    assert decided(fine, coarse).verdict == "agree"


def test_under_cotangents_that_all_agree_nothing_more_is_said():
    report = decided(on(AGREE), on(AGREE))
    assert (report.verdict, report.notes) == ("agree", ())
    assert report.conclusion == Fact("cotangents-agree", {"count": 2, "jax": "JAX", "forms": []})
    alone = decided(*2 * [evidence({"W": [101.0]}, entries={"W": [101.0]})])
    assert alone.conclusion == Fact("cotangents-agree", {"count": 2, "jax": "", "forms": []})


def test_under_cotangents_that_are_all_undecided_so_is_the_whole():
    report = decided(on(DIFFERENCE_ALONE), on(DIFFERENCE_ALONE))
    assert (report.verdict, report.conclusion.kind) == ("undecided", "differences-alone")


def test_of_a_tensor_under_several_cotangents_the_worst_of_everything_is_shown():
    first = evidence({"W": [4.0, 0.0]}, {"W": [3.5, 0.0]}, {"W": [3.5, 0.0]}, kinked=[("W", 1)])
    second = evidence({"W": [0.0, 8.0]}, {"W": [0.25, 7.25]}, {"W": [0.0]}, losses=(9.0, 1.0))
    report = decided(first, second)
    (tensor,) = report.tensors
    assert tensor.pairs[HAND_JAX].bar_ratio == 0.75
    assert tensor.pairs[HAND_JAX].max_abs == 0.75
    assert tensor.pairs[HAND_JAX].relative == pytest.approx(0.5 / 7.5)
    assert tensor.pairs[HAND_DIFFERENCE].value.tolist() == [4.0, 0.0]
    assert (tensor.entries_checked, tensor.kinks) == (1, 1)
    assert not report.loss.agree


def test_directions_count_if_they_were_taken_under_any_cotangent():
    plain = evidence({"W": [1.0, 1.0]}, entries={"W": [1.0]})
    assert decided(plain, along(2.0, entry=1.0)).tensors[0].directions_checked == 1


def test_only_notes_that_are_true_of_every_cotangent_are_kept():
    both, one = Fact("integers-as-numbers"), Fact("computes-in-float32")
    cases = [evidence({"W": [1.0]}, entries={"W": [1.0]}, notes=notes)
             for notes in ((one, both), (one, both), (both,))]  # fmt: skip
    assert decided(*cases).notes == (both,)


def test_an_obstacle_to_one_loss_leaves_the_whole_undecided():
    blocked = Evidence(
        Witness(math.inf, math.inf, {}, {}, {}), obstacle=Fact("loss-not-finite", {"value": 1})
    )
    report = decided(on(AGREE), blocked)
    assert (report.verdict, report.conclusion.kind) == ("undecided", "loss-not-finite")
    assert report.tensors == ()
    assert not report.loss.agree


def test_the_entry_that_is_furthest_beyond_its_bar_is_shown():
    hand, found = [100.0, 100.0, 100.0, 100.0], [100.5, 93.0, 100.0, 109.0]
    worst = decided(evidence({"W": hand}, entries={"W": found})).tensors[0].worst
    assert (worst.place, worst.index, worst.found, worst.expected) == ("entry", 3, 100.0, 109.0)


def test_at_bends_the_entry_furthest_outside_what_they_surely_allow_is_shown():
    """The second is furthest beyond what bends may allow at most, the first what they surely do."""
    bends = Bends(
        index=np.array([0, 1]),
        middle=np.array([0.0, 0.0]),
        inner=np.array([0.5, 5.0]),
        outer=np.array([50.0, 15.0]),
        bar=np.array([0.5, 0.5]),
    )
    hand = {"W": [60.0, 31.0]}
    found = {"W": differences([0.0, 0.0], smooth=[False, False])}
    report = decided(evidence(hand, entries=found, bends={"W": bends}))
    assert report.verdict == "disagree"
    assert report.tensors[0].worst.index == 0
    assert report.tensors[0].worst.bar == 1.0


def test_of_what_the_loss_does_not_depend_on_every_error_would_have_been_seen():
    case = evidence({"W": [0.0]}, entries={"W": [0.0]}, independent=frozenset({"W"}))
    resolution = decided(case).tensors[0].resolution
    assert resolution.zero == "always"
    assert (resolution.entry, resolution.tensor) == (0.0, 0.0)


def test_of_a_tensor_without_entries_nothing_is_left_unseen():
    resolution = decided(evidence({"W": []}, entries={"W": []})).tensors[0].resolution
    assert (resolution.entry, resolution.tensor, resolution.size) == (0.0, 0.0, 0.0)
