"""A loss's gradient by what the output's activation is given: the scores before a softmax.

`delta(z, a, y)` is the derivative of `fn(sigmoid(z), y)`; `d_cross_entropy(z, y)`, which takes the
softmax of z itself, that of `cross_entropy(softmax(z), y)`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import numpy as np

from verify.homework.passes.case import Case
from verify.homework.passes.composed import LABELS
from verify.homework.passes.experiment import Experiment, Gradient
from verify.homework.passes.forwards import forwards, is_cost
from verify.homework.passes.inputs import argument_sets, draw
from verify.homework.passes.results import result_of
from verify.homework.read.discover import Candidate, is_hinted, methods_of, stem
from verify.homework.read.extract import Extract
from verify.homework.read.syntax import calls, parameters
from verify.homework.run.door import Expression, Raised, Recipe, Step


def of_scores(case: Case, candidate: Candidate) -> Iterator[list[Experiment]]:
    """Yield experiments of a loss's gradient by what the output's activation is taken of."""
    if candidate.owner is None:
        yield from _with_own_activation(case, candidate)
    else:
        yield from _with_both(case, candidate)


def _with_own_activation(case: Case, candidate: Candidate) -> Iterator[list[Experiment]]:
    """Yield experiments of a gradient that takes the activation itself, where its loss does not."""
    names = [name for name, _ in candidate.arguments]
    called = calls(candidate.node)
    losses = [loss for loss in forwards(case.found, candidate) if is_cost(loss.name)]
    activations = [
        name
        for name, node in case.found.functions.items()
        if name in called and len(parameters(node, False)) == 1 and _ACTIVATION.search(name.lower())
    ]
    for loss, activation in itertools.product(losses, activations):
        given = [name for name, _ in parameters(loss.node, False)]
        if activation in calls(loss.node) or len(given) != len(names) or len(names) < 2:
            continue
        for sets in argument_sets(case.found, candidate.node, False, ""):
            arguments = sets[0]
            if arguments.expressions.keys() != {*names}:
                continue
            expressions = [arguments.expressions[name] for name in names]
            steps: tuple[Step, ...] = (("call", ("name", activation), [expressions[0]], {}),)
            forward = (*steps, ("call", ("name", loss.name), [("slot", 0), *expressions[1:]], {}))
            backward: tuple[Step, ...] = (("call", ("name", candidate.function), expressions, {}),)
            answer = case.door.run(Recipe(forward, (result_of(forward),)), arguments.given)
            if isinstance(answer, Raised) or np.size(answer[0]) != 1:
                continue
            yield [
                Experiment(
                    given=arguments.given,
                    forward=forward,
                    outputs=(result_of(forward),),
                    backward=backward,
                    gradients=(Gradient(f"d{names[0]}", names[0], result_of(backward)),),
                    weights="ones",
                    forward_name=f"{loss.name}({activation})",
                    main=names[0],
                    tier=2,
                    certain=False,
                )
            ]


_ACTIVATION = re.compile(r"softmax|sigm|logistic")
"""The activations before a loss."""


def _with_both(case: Case, candidate: Candidate) -> Iterator[list[Experiment]]:
    """Yield experiments of a method that is given both the scores and the activation of these.

    As `delta(z, a, y)`, and `grad(y, y_pred, z, act_fn)` beside `loss(y, act_fn.fn(z))`.
    """
    names = [name for name, _ in candidate.arguments]
    said = {
        what: next((name for name in names if pattern.fullmatch(name)), None)
        for what, pattern in _SCORES.items()
    }
    if None in (said["z"], said["a"], said["y"]) or candidate.owner is None:
        return
    methods = methods_of(case.found, candidate.owner)
    losses = {n: f for n, f in methods.items() if is_cost(n) and not is_hinted(n, methods)}
    rng = np.random.default_rng(41)
    given = {"z": draw((4, 3), rng), "labels": np.arange(12).reshape(4, 3) % 3 % 2 * 1.0}
    activations = list(_activations(case.found, candidate, said["act"] is not None))
    for (name, node), (made, target, held) in itertools.product(losses.items(), activations):
        count = len(made)
        steps: tuple[Step, ...] = (*made, ("call", target, [("in", "z")], {}))
        bound: dict[str, Expression] = {}
        for argument, default in parameters(node, True):
            if _SCORES["y"].fullmatch(argument):
                bound[argument] = ("in", "labels")
            elif not default:
                bound[argument] = ("slot", count)
        owner: Expression = ("name", candidate.owner)
        forward = (*steps, ("call", ("at", owner, name), [], bound))
        own: dict[str, Expression] = {
            said["z"] or "": ("in", "z"),
            said["a"] or "": ("slot", count),
            said["y"] or "": ("in", "labels"),
        }
        if said["act"] is not None:
            own[said["act"]] = held
        backward = (*steps, ("call", ("at", owner, candidate.function), [], own))
        answer = case.door.run(Recipe(forward, (result_of(forward),)), given)
        if isinstance(answer, Raised) or np.size(answer[0]) != 1:
            continue
        yield [
            Experiment(
                given=given,
                forward=forward,
                outputs=(result_of(forward),),
                backward=backward,
                gradients=(Gradient("dz", "z", result_of(backward)),),
                weights="ones",
                forward_name=name,
                main="z",
                tier=2,
                certain=False,
                accuses=len(activations) == 1,
            )
        ]


_SCORES = {
    "z": re.compile(r"z|Z|net|scores|logits"),
    "a": re.compile(r"a|A|AL|y_?hat|y_?pred\w*|outputs?"),
    "y": LABELS,
    "act": re.compile(r"act\w*|activation\w*"),
}
"""What the arguments of a loss's gradient by the scores are called."""


def _activations(
    found: Extract, candidate: Candidate, held: bool
) -> Iterator[tuple[tuple[Step, ...], Expression, Expression]]:
    """Yield what the output's activation may be: steps, the function, the object that has it."""
    if held:
        for name in found.classes:
            methods = methods_of(found, name)
            own = next((m for m in _APPLY if m in methods), None)
            if "grad" in methods and own and len(parameters(methods[own], True)) == 1:
                made: Step = ("call", ("name", name), [], {})
                yield (made,), ("at", ("slot", 0), own), ("slot", 0)
        return
    called = {stem(name) for name in calls(candidate.node)}
    for name, node in found.functions.items():
        usual = not called & found.functions.keys() and "sigm" in name
        if (
            (stem(name) in called or usual)
            and len(parameters(node, False)) == 1
            and not is_hinted(name, found.functions)
        ):
            yield (), ("name", name), ("name", name)


_APPLY = ("fn", "forward", "__call__")
