"""Masks are a function of a seed and an iteration, and of nothing that happened before."""

from __future__ import annotations

import numpy as np
import pytest

from verify.masks import draw_masks, mask_schedule

WIDTHS, M, KEEP = (30, 20), 40, (0.9, 0.5)


def draw(seed=1, iteration=0):
    return draw_masks(seed, iteration, WIDTHS, M, KEEP)


def same(one, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_there_is_one_boolean_mask_a_hidden_layer():
    masks = draw()
    assert [mask.shape for mask in masks] == [(30, 40), (20, 40)]
    assert {mask.dtype for mask in masks} == {np.dtype(bool)}


def test_an_iteration_s_masks_are_had_without_those_before_it():
    schedule = mask_schedule(1, WIDTHS, M, KEEP)
    in_order = [schedule(iteration) for iteration in range(5)]
    assert same(in_order[4], draw(iteration=4))
    assert same(in_order[0], schedule(0))


@pytest.mark.parametrize("other", [draw(seed=2), draw(iteration=1), draw(iteration=2**40)])
def test_another_seed_or_iteration_gives_other_masks(other):
    assert not same(draw(), other)


def test_an_iteration_s_masks_are_not_those_of_another_moved_along():
    # Neighbouring counters of one stream would overlap but for a few draws.
    first, second = (draw_masks(1, i, (400,), 1, (0.5,))[0].ravel() for i in (0, 1))
    for shift in range(1, 100):
        # Of 300 fair coins, five deviations short of all alike.
        assert (first[shift : shift + 300] == second[:300]).mean() < 0.5 + 5 * 0.5 / 300**0.5


def test_layers_of_one_width_are_not_dropped_alike():
    first, second = draw_masks(1, 0, (20, 20), M, (0.5, 0.5))
    assert not np.array_equal(first, second)


def test_each_layer_keeps_its_own_share():
    for mask, keep in zip(draw_masks(1, 0, (100, 100), 400, KEEP), KEEP, strict=True):
        # Five deviations of a share of 40000 draws.
        assert abs(mask.mean() - keep) < 5 * np.sqrt(keep * (1 - keep) / mask.size)


def test_a_layer_that_keeps_all_is_whole_beside_one_that_drops():
    whole, part = draw_masks(1, 0, (20, 20), M, (1.0, 0.5))
    assert whole.all()
    assert not part.all()


@pytest.mark.parametrize(("widths", "keep_prob"), [((20, 20), (1.0, 1.0)), ((), ())])
def test_where_nothing_is_dropped_there_are_no_masks(widths, keep_prob):
    assert draw_masks(1, 0, widths, M, keep_prob) is None
    assert mask_schedule(1, widths, M, keep_prob) is None


def test_one_keep_prob_too_few_is_an_error():
    with pytest.raises(ValueError, match="keep_prob: got 1 values for 2"):
        draw_masks(1, 0, (20, 20), M, (0.5,))


def test_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()
    draw()
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_masks_that_do_not_fit_in_memory_are_refused_by_name():
    with pytest.raises(MemoryError, match=f"widths: got 20, {2**40} for 30 examples, expected mas"):
        draw_masks(1, 0, (20, 2**40), 30, (0.5, 0.5))


@pytest.mark.parametrize("columns", [slice(0, 11), slice(3, 4), slice(2, 9), slice(8, 11)], ids=str)
def test_some_examples_have_the_masks_that_they_have_among_all(columns):
    masks = mask_schedule(5, (6, 3, 4), 11, (0.5, 1.0, 0.7))
    for iteration in (0, 12):
        for own, whole in zip(masks(iteration, columns), masks(iteration), strict=True):
            assert np.array_equal(own, whole[:, columns])
