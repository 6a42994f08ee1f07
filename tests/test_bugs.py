"""Every bug of the gallery is caught, placed and named; what cannot be told is left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from verify import Problem, build_problem, load
from verify.catalogue import CATALOGUE
from verify.diagnose import diagnose, right_chain
from verify.diagnose.wrong_losses import cost
from verify.evidence.built_in_network import Witnesses, call_witnesses
from verify.gallery import (
    BUGS,
    Gallery,
    LeftOut,
    Place,
    fill_gallery,
    outcomes,
    plant,
    summary,
    with_biases,
)
from verify.network import weigh

pytestmark = pytest.mark.unchecked

ARCHITECTURES = {
    "relu": {"layers": (7, 5), "hidden": "relu"},
    "leaky relu": {"layers": (7, 5), "hidden": "leaky-relu"},
    "tanh": {"layers": (6,), "hidden": "tanh"},
    "all three, square": {"layers": (5, 5, 5), "hidden": ("relu", "sigmoid", "tanh")},
}
DATA = ("breast-cancer", "digits")


def problem_of(data: str, architecture: str, **options) -> Problem:
    options = {"l2": 0.7, "keep_prob": 0.8, "examples": 80} | options
    return with_biases(build_problem(load(data), **ARCHITECTURES[architecture], **options), seed=1)


def filled(problem: Problem) -> tuple[Gallery, Witnesses]:
    witnesses = call_witnesses(problem, finite_difference="directional")
    assert witnesses.rounding is not None
    layers = right_chain(problem).tape.layers
    return fill_gallery(problem, witnesses.rounding.bars, layers), witnesses


def tried(problem: Problem, witnesses: Witnesses, places: list[Place]):
    return list(outcomes(problem, witnesses, cost(right_chain(problem).tape), places))


def one_of_each(places: Sequence[Place], seed: int) -> list[Place]:
    """Return one place for every bug, drawn."""
    order = np.random.default_rng(seed).permutation(len(places))
    return list({places[i].bug.id: places[i] for i in order}.values())


def test_the_gallery_holds_at_least_forty_bugs_each_with_a_sentence_and_a_formula():
    assert len(BUGS) >= 40
    for name, bug in BUGS.items():
        assert name == bug.id == name.lower()
        assert bug.sentence.endswith(".")
        assert bug.found
        assert bug.expected
        assert bug.found != bug.expected
        assert "{" not in bug.sentence + bug.found + bug.expected
    assert len({bug.sentence for bug in BUGS.values()}) == len(BUGS)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_bug_is_caught_placed_and_named(architecture):
    problem = problem_of("breast-cancer", architecture)
    gallery, witnesses = filled(problem)
    results = tried(problem, witnesses, one_of_each(gallery.places, seed=0))
    found = summary(results, gallery.left_out)
    says = " ".join(finding.detail for result in results for finding in result.findings)
    assert not [name for name in CATALOGUE if "-" in name and name in says]
    assert [r for r in results if not (r.caught and r.layer_right and r.named_right)] == []
    assert found["total"] >= 40
    assert found["caught"] == found["layer_right"] == found["named_right"] == found["total"]


@pytest.mark.slow
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_bug_is_caught_placed_and_named_in_every_layer_and_form(architecture, data):
    problem = problem_of(data, architecture)
    gallery, witnesses = filled(problem)
    results = tried(problem, witnesses, list(gallery.places))
    assert len(results) > 150
    assert [r for r in results if not (r.caught and r.layer_right and r.named_right)] == []


@pytest.mark.slow
def test_two_hundred_pairs_from_different_layers_are_caught_and_named():
    # A bug that zeroes what it hands down leaves the one below it nothing to show.
    both = later = 0
    rng = np.random.default_rng(0)
    cases = [problem_of("breast-cancer", "relu"), problem_of("digits", "all three, square")]
    for problem in cases:
        gallery, witnesses = filled(problem)
        loss = cost(right_chain(problem).tape)
        for _ in range(100):
            upper, lower = _pair(gallery.places, rng)
            grads, _ = plant(problem, [upper.fault, lower.fault])
            report = weigh(problem, witnesses, loss, grads)
            assert report.verdict == "disagree"
            said = {(finding.layer, finding.bug) for finding in report.diagnosis}
            wanted = [(one.fault.layer, one.bug.id) for one in (upper, lower)]
            later += wanted[0] in said
            both += said == set(wanted)
    assert later == 200
    assert both >= 180


def _pair(places, rng) -> tuple[Place, Place]:
    """Draw two bugs from different layers; the first is nearer the output."""
    while True:
        a, b = (places[i] for i in rng.integers(0, len(places), 2))
        if a.fault.layer != b.fault.layer:
            return (a, b) if a.fault.layer > b.fault.layer else (b, a)


def test_the_dz_and_da_of_a_planted_pass_lead_to_the_same_names():
    problem = problem_of("breast-cancer", "relu")
    gallery, witnesses = filled(problem)
    bars = witnesses.rounding.bars
    for one in one_of_each(gallery.places, seed=1):
        grads, inner = plant(problem, [one.fault])
        findings = diagnose(problem, witnesses.loss, grads, bars, intermediates=inner)
        assert [(f.layer, f.bug) for f in findings] == [(one.fault.layer, one.bug.id)]


def test_every_bug_is_named_in_single_precision():
    problem = problem_of("breast-cancer", "all three, square", dtype="float32")
    gallery, witnesses = filled(problem)
    results = tried(problem, witnesses, one_of_each(gallery.places, seed=2))
    assert [r for r in results if not r.named_right] == []
    assert (
        gallery.left_out["weights-in-single-precision"].why == "cannot be written in this network"
    )


def test_logistic_regression_has_bugs_too():
    problem = with_biases(build_problem(load("flower"), layers=(), l2=0.7), seed=1)
    gallery, witnesses = filled(problem)
    results = tried(problem, witnesses, list(gallery.places))
    assert len({result.bug for result in results}) >= 40
    assert [r for r in results if not r.named_right] == []


def test_without_l2_its_bugs_are_left_out_with_the_reason():
    gallery, _ = filled(problem_of("breast-cancer", "tanh", l2=0.0))
    assert gallery.left_out["l2-missing"].why == "cannot be written in this network"
    assert not {one.bug.id for one in gallery.places} & {"l2-missing", "bias-penalised"}


def test_at_biases_of_zero_a_penalty_on_them_is_left_out():
    problem = build_problem(load("breast-cancer"), layers=(4,), l2=0.7, examples=50)
    gallery, _ = filled(problem)
    assert "bias-penalised" in gallery.left_out


def test_a_keep_prob_of_one_half_leaves_out_what_looks_like_a_factor_of_two():
    gallery, _ = filled(problem_of("breast-cancer", "tanh", keep_prob=0.5))
    assert gallery.left_out["upstream-doubled"].same_as == "mask-rescaled-twice"
    assert gallery.left_out["upstream-halved"].same_as == "mask-not-rescaled"
    assert "bias-times-keep-prob" in gallery.left_out


def test_no_two_planted_bugs_make_the_same_numbers():
    problem = problem_of("breast-cancer", "tanh")
    gallery, witnesses = filled(problem)
    flat = [
        np.concatenate([g.ravel() for g in plant(problem, [one.fault])[0].values()])
        for one in gallery.places
    ]
    right = np.concatenate([g.ravel() for g in witnesses.grads.values()])
    for i, a in enumerate(flat):
        others = np.array([right, *flat[:i]])
        assert np.abs(others - a).max(axis=1).min() > 1e-12


def test_a_bug_counts_only_where_it_counts_in_all_its_places():
    problem = problem_of("breast-cancer", "tanh")
    gallery, witnesses = filled(problem)
    places = [one for one in gallery.places if one.bug.id == "bias-doubled"]
    good, bad = tried(problem, witnesses, places)
    bad = dataclasses.replace(bad, findings=())
    found = summary([good, bad], {"l2-missing": LeftOut(False)})
    assert found["bugs"][0]["layers"] == [1, 2]
    assert found["bugs"][0]["caught"]
    assert not found["bugs"][0]["named_right"]
    assert (found["total"], found["caught"], found["named_right"]) == (1, 1, 0)
    assert found["left_out"] == [
        {"id": "l2-missing", "why": "cannot be written in this network", "twin": None}
    ]
