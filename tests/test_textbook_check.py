"""The course's one number: of a user's gradients, and in a report beside the verdict."""

from __future__ import annotations

import numpy as np
import pytest

import backproof
from backproof import gradient_check


def test_the_course_begins_with_theta_four():
    """J = theta x at x = 2, theta = 4, a plain integer: the difference is rounding noise."""
    difference = gradient_check(lambda theta: 2 * theta, lambda theta: 2.0, 4)
    # Two losses of 8, each off by half a unit of rounding, over 2e-7 and over twice the gradient.
    assert difference <= 2 * 8 * np.finfo(float).eps / 2 / 2e-7 / 3


@pytest.mark.parametrize("factor", [0.5, 2.0, -3.0])
def test_a_factor_on_the_gradient_gives_its_known_number(factor):
    w = np.arange(1.0, 4.0)
    found = gradient_check(lambda w: np.sum(w**2), lambda w: factor * 2 * w, w)
    assert found == pytest.approx(abs(factor - 1) / (abs(factor) + 1), rel=1e-6)


def test_all_parameters_of_a_tree_count_together_and_gradients_may_be_given():
    params = {"W": np.ones((2, 3)), "b": np.ones((2, 1))}
    right = {"W": np.full((2, 3), 2.0), "b": np.ones((2, 1))}
    wrong = right | {"b": np.full((2, 1), 3.0)}

    def loss(params):
        return 2 * params["W"].sum() + params["b"].sum()

    assert gradient_check(loss, right, params) < 1e-7
    apart, size = np.sqrt(2 * 2**2), np.sqrt(6 * 4 + 2 * 9) + np.sqrt(6 * 4 + 2)
    assert gradient_check(loss, lambda params: wrong, params) == pytest.approx(
        apart / size, rel=1e-6
    )


def test_params_are_left_as_they_were_and_gradients_of_zero_differ_by_nothing():
    w = np.ones(3)
    assert gradient_check(lambda w: 0.0, lambda w: 0 * w, w) == 0
    assert (w == 1).all()


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(ValueError, match="epsilon: got 0, expected a step above 0"):
        gradient_check(np.sum, np.ones_like, np.ones(2), epsilon=0)
    with pytest.raises(ValueError, match="grads: got"):
        gradient_check(np.sum, np.ones(3), np.ones(2))


def test_a_report_shows_the_number_beside_its_verdict():
    report = backproof.compare(lambda w: np.sum(w**2), lambda w: 6 * w, np.array([0.3, -0.8]))
    # ||6w - 2w|| / (||6w|| + ||2w||)
    assert report.course_difference == pytest.approx(0.5, rel=1e-6)
    assert report.to_dict()["course_difference"] == report.course_difference
    assert "gradient_check 5.0e-01" in str(report)
    assert "gradient_check" in report.to_html()


def test_the_number_of_a_right_network_is_rounding_noise_and_of_a_wrong_one_is_not():
    import manual

    problem = backproof.build_problem(backproof.load("moons"), layers=(4,), examples=20)
    _, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    assert backproof.three_way(problem).course_difference < 1e-12
    wrong = grads | {"W2": 2 * grads["W2"]}
    assert backproof.three_way(problem, grads=wrong).course_difference > 0.01


def test_a_report_without_differences_has_no_number():
    report = backproof.compare(lambda w: np.inf * np.sum(w), lambda w: w, np.ones(2))
    assert report.course_difference is None
