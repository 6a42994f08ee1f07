"""The course's figures: whole, recomputed by recipes, and compared digit by digit."""

from __future__ import annotations

import copy
import os

import numpy as np
import pytest

import manual
from verify.course.datasets import DATA_VARIABLE, load
from verify.course.reproduce import Computed, compute, judge, load_figures, reproduce
from verify.course.reproduce.printed_figures import Claim
from verify.course.reproduce.trainings import problem_of, train

FIGURES = {figure["id"]: figure for figure in load_figures()}
IN_FILES = {id_ for id_, figure in FIGURES.items() if figure.get("data") in ("cats", "football")}
TRAININGS = {id_ for id_, figure in FIGURES.items() if "iterations" in figure}

needs_data = pytest.mark.skipif(
    DATA_VARIABLE not in os.environ, reason=f"{DATA_VARIABLE} does not name the course's files"
)


def assert_reproduced(id_):
    outcome = reproduce(FIGURES[id_])
    assert outcome.agree, outcome
    return outcome


# The facts.


def test_all_38_figures_and_230_costs_come_with_the_package():
    costs = [len(figure["printed"].get("costs", ())) for figure in FIGURES.values()]
    assert len(FIGURES) == len(load_figures()) == 38
    assert sum(costs) == 230


def test_every_figure_names_the_document_that_prints_it():
    assert all(figure["source"].endswith(".txt") for figure in FIGURES.values())


# The recipes.


@pytest.mark.parametrize("id_", sorted(FIGURES.keys() - TRAININGS))
def test_a_table_is_reproduced_to_every_printed_decimal(id_):
    outcome = assert_reproduced(id_)
    if "decimals" in FIGURES[id_]:
        assert (outcome.digits, outcome.unit) == (FIGURES[id_]["decimals"], "decimals")


@pytest.mark.unchecked
@pytest.mark.parametrize("id_", ["init-zeros", "init-he"])
def test_a_training_is_reproduced_to_nine_digits_and_more(id_):
    assert assert_reproduced(id_).digits >= 9


@pytest.mark.unchecked
def test_large_weights_are_reproduced_to_one_percent_and_their_first_cost_is_finite():
    computed = compute(FIGURES["init-large"])
    outcome = judge(FIGURES["init-large"], computed)
    assert outcome.agree, outcome
    assert outcome.digits >= 2
    assert "chaotic" in outcome.remark
    assert "finite" in outcome.remark
    assert np.isfinite(computed.values["costs"][0])


@pytest.mark.unchecked
def test_the_training_from_large_weights_is_chaotic_and_that_from_small_ones_is_not():
    """Move one weight by one rounding: what is left of the costs' agreement?"""

    def spread(id_):
        figure = FIGURES[id_]
        problem = problem_of(figure, load("circles"))
        params = {name: value.copy() for name, value in problem.params.items()}
        params["W1"][0, 0] = np.nextafter(params["W1"][0, 0], np.inf)
        runs = [
            np.array(train(start, figure, iterations=2001)[1])[1:]
            for start in (problem, problem.with_params(params))
        ]
        return np.max(np.abs(runs[0] / runs[1] - 1))

    assert spread("init-large") > 1e-6
    assert spread("init-he") < 1e-12


@pytest.mark.unchecked
def test_the_composed_route_never_moves_what_the_fused_one_trains():
    outcome = assert_reproduced("init-large-stuck")
    assert "no cost changes" in outcome.remark


def test_the_courses_rule_rejects_a_correct_gradient_that_three_ways_accept():
    outcome = assert_reproduced("gradcheck-false-alarm")
    assert "rejects this correct gradient" in outcome.remark
    assert "the three-way check accepts it" in outcome.remark


def test_both_planted_faults_are_found_and_nothing_else():
    outcome = assert_reproduced("gradcheck-planted")
    assert outcome.computed == "dW2 multiplied by 2, db1 multiplied by 4"


@pytest.mark.unchecked
def test_the_noise_of_the_printed_check_is_reached_within_a_factor_of_two():
    figure = FIGURES["gradcheck-trained"]
    computed = compute(figure)
    assert 0.5 <= computed.values["difference"] / figure["printed"]["difference"] <= 2
    outcome = judge(figure, computed)
    assert outcome.agree, outcome
    assert outcome.digits >= 9, "of the costs, which are no noise"


@pytest.mark.slow
@pytest.mark.unchecked
@needs_data
@pytest.mark.parametrize("id_", sorted(IN_FILES))
def test_a_training_on_the_courses_files_is_reproduced(id_):
    assert_reproduced(id_)


def test_what_data_is_absent_is_said_with_the_cure(monkeypatch):
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    for id_ in IN_FILES:
        outcome = reproduce(FIGURES[id_])
        assert outcome.agree is None
        assert f"{DATA_VARIABLE}: got nothing" in outcome.remark


def test_a_damaged_data_file_is_not_taken_for_an_absent_one(monkeypatch, tmp_path):
    (tmp_path / "data.mat").write_bytes(b"no MATLAB file")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    with pytest.raises(ValueError, match="not a readable MATLAB file"):
        reproduce(FIGURES["reg-none"])


SABOTAGE = {
    "linear-forward": ("linear", lambda A, W, b: W @ A),
    "linear-activation-backward": ("relu_backward", lambda dA, Z, A=None: dA),
    "deep-backward": ("cross_entropy_backward", lambda A, Y, clip=None: A - Y),
    "update": ("descend", lambda params, grads, rate: params),
    "cost": ("clipped_cross_entropy", lambda A, Y: np.sum(-np.log(A))),
}


@pytest.mark.parametrize("id_", SABOTAGE)
def test_a_fault_in_the_network_makes_its_figure_fall_short(id_, monkeypatch):
    name, broken = SABOTAGE[id_]
    monkeypatch.setattr(manual, name, broken)
    assert not reproduce(FIGURES[id_]).agree


# The digits.

TABLE = {"id": "table", "decimals": 8, "printed": {"Z": [[3.26295337, -1.23429987]]}}
TRAINING = {
    "id": "training",
    "record_every": 100,
    "printed": {"costs": [0.693049735659989, 0.6464320953428849], "train_accuracy": 0.985645933014},
}


def judged(figure, claims=(), **values):
    return judge(figure, Computed(values, claims))


def test_half_of_the_last_printed_decimal_is_agreement_and_more_is_not():
    assert judged(TABLE, Z=[[3.26295337 + 4.9e-9, -1.23429987]]).agree
    short = judged(TABLE, Z=[[3.26295337, -1.23429987 - 5.1e-9]])
    assert not short.agree
    assert (short.digits, short.entry) == (7, "Z[0, 1]")
    assert (short.printed, short.computed) == ("-1.23429987", "-1.2342998751")


def test_costs_need_nine_significant_digits():
    costs = np.array(TRAINING["printed"]["costs"])
    accuracy = 206 / 209
    assert judged(TRAINING, costs=costs * (1 + 9e-10), train_accuracy=accuracy).agree
    short = judged(TRAINING, costs=costs * [1, 1 + 2e-9], train_accuracy=accuracy)
    assert not short.agree
    assert (short.digits, short.entry) == (8, "cost at 100")


def test_an_accuracy_printed_to_four_decimals_is_asked_for_four():
    figure = {"id": "x", "accuracy_decimals": 4, "printed": {"train_accuracy": 0.6555}}
    assert judged(figure, train_accuracy=137 / 209).agree
    assert not judged(figure, train_accuracy=138 / 209).agree


@pytest.mark.slow
@pytest.mark.unchecked
@needs_data
def test_the_deep_network_of_small_weights_is_dead_and_its_gradients_are_right():
    outcome = assert_reproduced("train-cats-deep-small")
    assert "the three-way check accepts them" in outcome.remark
    assert "every picture is called non-cat" in outcome.remark


def test_one_example_more_labelled_right_is_no_agreement():
    costs = TRAINING["printed"]["costs"]
    short = judged(TRAINING, costs=costs, train_accuracy=207 / 209)
    assert not short.agree
    assert short.entry == "train accuracy"


@pytest.mark.parametrize(
    ("ratio", "agree"), [(0.49, False), (0.51, True), (1.99, True), (2.01, False)]
)
def test_noise_is_compared_within_a_factor_of_two_either_way(ratio, agree):
    figure = {"id": "check", "printed": {"difference": 1e-8}}
    assert judged(figure, difference=ratio * 1e-8).agree is agree


def test_noise_that_falls_short_outweighs_digits_that_agree():
    figure = {"id": "check", "record_every": 1, "printed": {"costs": [0.5], "difference": 1e-8}}
    assert judged(figure, costs=[0.5], difference=1.1e-8).digits == 16
    short = judged(figure, costs=[0.5], difference=3e-8)
    assert not short.agree
    assert short.entry == "difference"


def test_a_cost_printed_inf_asks_nothing_of_its_number():
    figure = copy.deepcopy(FIGURES["init-large"])
    costs = [1773.6, *figure["printed"]["costs"][1:]]
    outcome = judged(figure, costs=costs, train_accuracy=0.83, test_accuracy=0.86)
    assert outcome.agree
    assert outcome.entry != "cost at 0"


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_agrees_with_none(strange):
    assert not judged(TABLE, Z=[[3.26295337, strange]]).agree


def test_another_shape_is_no_agreement():
    assert not judged(TABLE, Z=[3.26295337, -1.23429987]).agree


def test_a_value_that_was_not_computed_is_an_error():
    with pytest.raises(KeyError):
        judged(TABLE)


def test_words_are_compared_whole():
    figure = {"id": "words", "printed": {"planted": ["dW2 multiplied by 2"]}}
    assert judged(figure, planted=["dW2 multiplied by 2"]).agree
    assert not judged(figure, planted=["dW2 multiplied by 2", "db1 multiplied by 4"]).agree


def test_a_claim_that_does_not_hold_makes_the_figure_fall_short_and_says_so():
    right = {"Z": TABLE["printed"]["Z"]}
    assert judged(TABLE, (Claim("water is wet"),), **right).agree
    outcome = judged(TABLE, (Claim("water is dry", holds=False),), **right)
    assert not outcome.agree
    assert outcome.remark == "not true: water is dry"
