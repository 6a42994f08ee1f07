"""The tables of mistakes: what a row says as text is what it computes.

Every formula is read as NumPy and evaluated; every wrong loss is differenced, and its gradients
held to that.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from problems import random_problem

import manual
from verify.activations import ACTIVATIONS, written
from verify.diagnose.chain import Chain, record, run, slope_of
from verify.diagnose.formulas import names
from verify.diagnose.mistakes import faults
from verify.diagnose.mistakes.mistake import without
from verify.diagnose.wrong_losses import cost, wrong_losses

NETWORKS = (((4, 4, 4, 4, 1), "sigmoid"), ((3, 3, 3, 3), "softmax"))
"""Square weights and four examples, so that every mistake can be written."""

PROSE = re.compile(r"float32 of|where a =|after dropout")
"""Formulas that are partly in words, and have no NumPy to evaluate."""

TENSORS = {"kept": "dA", "product": "dW", "penalty": "dW"}
OPERATIONS = {"dA": "kept", "product": "dW", "penalty": "dW"}
FUNCTIONS = {
    "where": np.where, "tanh": np.tanh, "sigmoid": manual.sigmoid, "softmax": manual.softmax,
    "sign": np.sign, "norm": np.linalg.norm, "log": np.log, "clip": np.clip,
    "mean": lambda A: A.mean(axis=1, keepdims=True),
    **{f"slope_{written(g)}": lambda Z, g=g: slope_of(g, Z) for g in ACTIVATIONS},
}  # fmt: skip


def evaluated(formula, values):
    """Return the right side of a formula, read as NumPy; g' is a function of its own.

    The one phrase that is read too is "without its last column", or its first.
    """
    right, _, column = formula.partition(" = ")[2].partition(" without its ")
    found = eval(re.sub(r"(\w+)'\(", r"slope_\1(", right), FUNCTIONS | values)
    return without(found, {"first column": 0, "last column": -1}[column]) if column else found


def network(hidden, sizes, output, keep_prob=1.0):
    return record(
        random_problem(sizes=sizes, m=4, hidden=hidden, output=output, keep_prob=keep_prob)
    )


def values(tape, chain):
    """Return what the names in the formulas stand for; dA is what comes before the activation."""
    found = {"X": tape.A[0], "Y": tape.Y, "m": tape.m, "l2": tape.l2, "keep_prob": tape.keep[1]}
    for n in tape.layers:
        found |= {f"{name}{n}": getattr(tape, name)[n] for name in ("W", "b", "Z", "A", "mask")}
        found |= {f"{name}{n}": chain[name, n] for name in ("dZ", "dW", "db")}
        found[f"dA{n}"] = chain["kept", n]
    return found


@pytest.mark.parametrize("hidden", ACTIVATIONS)
@pytest.mark.parametrize(("sizes", "output"), NETWORKS)
@pytest.mark.parametrize("keep_prob", [1.0, 0.8])
def test_a_mistake_computes_what_its_formula_says(hidden, sizes, output, keep_prob):
    tape = network(hidden, sizes, output, keep_prob)
    right = Chain(tape)
    known = values(tape, right)
    read = 0
    for fault in (fault for n in tape.layers for fault in faults(tape, n)):
        formula = fault.found.format_map(fault.names(tape))
        if " = " not in formula:  # "dA2 without its last column"
            formula = f"{formula.split()[0]} = {formula}"
        # With dropout A and what the next layer reads are two arrays of one name.
        if PROSE.search(formula) or (keep_prob < 1 and fault.operation != "kept"):
            continue
        wrong = right.planted({fault.key: fault.formula})
        made = wrong[OPERATIONS.get(fault.operation, fault.operation), fault.layer]
        assert formula.startswith(f"{TENSORS.get(fault.operation, fault.operation)}{fault.layer} =")
        expected = np.broadcast_to(evaluated(formula, known), made.shape)
        np.testing.assert_allclose(made, expected, rtol=1e-6, atol=1e-300, err_msg=formula)
        read += 1
    assert read > (5 if keep_prob < 1 else 100)


@pytest.mark.parametrize("sizes", [(3, 2, 4, 2, 1), (3, 5, 2, 2, 1), (1, 1, 1, 1)])
def test_a_mistake_is_offered_where_its_shapes_fit(sizes):
    tape = network("tanh", sizes, "sigmoid")
    right = Chain(tape)
    for fault in (fault for n in tape.layers for fault in faults(tape, n)):
        made = right.planted({fault.key: fault.formula})[fault.key]
        assert np.broadcast_to(made, right[fault.key].shape).size


def test_the_gradient_of_another_layer_is_tried_where_it_has_as_many_units():
    tape = network("tanh", (3, 5, 2, 2, 1), "sigmoid")
    texts = [fault.found.format_map(fault.names(tape)) for fault in faults(tape, 1)]
    assert "dA1 = W2.T @ dZ3" in texts
    assert "dA1 = W2.T @ dZ4" not in texts


MEANS = {
    "cross-entropy": "plain", "sum of all W**2": "W2", "sum of all b**2": "b2",
    "sum of all norm(W)": "norms",
}  # fmt: skip


@pytest.mark.parametrize(("sizes", "output"), NETWORKS)
def test_a_wrong_loss_is_what_its_formula_says(sizes, output):
    tape = network("tanh", sizes, output)
    weights = tape.W[1:]
    totals = {
        "plain": float(manual.LOSSES[output][0](tape.Z[tape.L], tape.Y)),
        "W2": sum(np.sum(W**2) for W in weights),
        "b2": sum(np.sum(b**2) for b in tape.b[1:]),
        "norms": sum(np.linalg.norm(W) for W in weights),
    }
    known = values(tape, Chain(tape)) | totals | {"sum": np.sum}
    read = 0
    for loss in wrong_losses(tape, 1.3 * cost(tape)):
        text = loss.wrong.format_map(names(tape, loss.layer or tape.L) | dict(loss.values))
        if not text.startswith("J = ") or re.search(r" but |without|with s =|\.\.\.|clip", text):
            continue
        if "factor" in loss.values:  # fitted to the loss that was seen; the text rounds it
            continue
        for words, name in MEANS.items():
            text = text.replace(words, name)
        text = re.sub(r"mean of (.*?)(?= \+ l2|$)", r"sum(\1) / m", text)
        text = text.replace("sum of plain", "m * plain")
        assert loss.cost == pytest.approx(float(evaluated(text, known)), rel=1e-12), text
        read += 1
    assert read > 20


STEP = 1e-5


@pytest.mark.parametrize("hidden", ACTIVATIONS)
@pytest.mark.parametrize(("sizes", "output"), NETWORKS)
@pytest.mark.parametrize("keep_prob", [1.0, 0.8])
def test_the_gradients_of_another_function_are_its_derivatives(hidden, sizes, output, keep_prob):
    """Along one random direction: a central difference of the loss, and the gradients' product."""
    tape = network(hidden, sizes, output, keep_prob)
    rng = np.random.default_rng(1)
    along = {n: (rng.normal(size=tape.W[n].shape), rng.normal(size=tape.b[n].shape))
             for n in tape.layers}  # fmt: skip

    def at(step):
        moved = tape._replace(
            W=(tape.W[0], *(tape.W[n] + step * along[n][0] for n in tape.layers)),
            b=(tape.b[0], *(tape.b[n] + step * along[n][1] for n in tape.layers)),
        )
        return {key(loss): loss for loss in wrong_losses(run(moved), 1.3 * cost(tape))}

    def key(loss):
        fixed = {k: v for k, v in loss.values.items() if k != "factor"}
        return loss.bug, loss.layer, loss.wrong, tuple(fixed.items())

    below, here, above = at(-STEP), at(0.0), at(STEP)
    # A bias that the forward pass forgets has a gradient in the backward pass all the same.
    held = [
        loss
        for loss in here.values()
        if loss.bug.startswith("forward-")
        and loss.bug != "forward-bias-missing"
        and "factor" not in loss.values
    ]
    assert len(held) > 20
    for loss in held:
        slope = (above[key(loss)].cost - below[key(loss)].cost) / (2 * STEP)
        product = sum(
            float(np.vdot(loss.chain[f"d{name}", n], direction))
            for n in tape.layers
            for name, direction in zip("Wb", along[n], strict=True)
        )
        assert slope == pytest.approx(product, rel=1e-5, abs=1e-7), key(loss)


@pytest.mark.parametrize("biased", [(), (2,), (1, 2, 3)])
def test_a_penalty_on_biases_is_another_loss_where_any_bias_is_not_zero(biased):
    problem = random_problem()
    params = {
        name: value if name[0] == "W" or int(name[1:]) in biased else np.zeros_like(value)
        for name, value in problem.params.items()
    }
    tape = record(problem.with_params(params))
    found = [loss.bug for loss in wrong_losses(tape, 1.0)]
    assert ("cost-l2-on-biases" in found) == bool(biased)
