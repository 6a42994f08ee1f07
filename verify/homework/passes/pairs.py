"""Experiments of a backward pass beside its forward pass."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import starmap
from typing import Any

import numpy as np

from verify.homework.passes.bindings import Binding, bindings
from verify.homework.passes.case import Case
from verify.homework.passes.descent import RATE, Moving, descents, stepped
from verify.homework.passes.experiment import (
    Experiment,
    Gradient,
    cotangent_name,
)
from verify.homework.passes.forward_runs import Ready, run_forward
from verify.homework.passes.forwards import Forward, stem_of
from verify.homework.passes.inputs import (
    Arguments,
    argument_sets,
    is_label,
    main_of,
    said,
)
from verify.homework.passes.matching import left_over, matched, unmatched_of, unread_of
from verify.homework.passes.objects import Penalty, Side
from verify.homework.passes.results import (
    Leaf,
    as_made,
    attributes,
    distinct,
    kept_of,
    key_of,
    keys_of,
    leaves_of,
    result_of,
    state_of,
)
from verify.homework.read.discover import (
    Candidate,
    is_gradient,
    methods_of,
)
from verify.homework.read.syntax import required, returned
from verify.homework.run.door import Raised, Recipe, Step

MOST_SETTINGS = 7


def of_pair(
    case: Case,
    candidate: Candidate,
    side: Side,
    forward: Forward,
    known: Iterable[list[Arguments]] | None,
) -> Iterator[list[Experiment]]:
    """Yield experiments of a pass with one forward pass, on all inputs that may fit it."""
    name = stem_of(candidate)
    for sets in known or argument_sets(
        case.found,
        forward.node,
        candidate.owner is not None,
        name,
        held={**side.given, **{f"shape {i}": shape for i, shape in enumerate(side.shapes)}},
        back=candidate.node,
    ):
        if case.late:
            return
        ready = run_forward(case, side, forward, sets[0])
        if isinstance(ready, Raised):
            case.note(candidate, ready)
            continue
        outputs = ready.outputs
        if not outputs or not all(np.isfinite(leaf.value).all() for leaf in outputs):
            continue
        others = [
            other
            for variant in (side, *side.variants)
            for arguments in sets
            if (variant is not side or arguments is not sets[0])
            and not isinstance(other := run_forward(case, variant, forward, arguments), Raised)
            and len(other.outputs) == len(outputs)
        ][:MOST_SETTINGS]
        sure = False
        for binding in bindings(candidate, forward, ready):
            if sure and not binding.certain:
                continue
            found = [
                _experiment(case, candidate, forward, each, binding) for each in (ready, *others)
            ]
            experiments = [each for each in found if each is not None]
            if any(each.gradients for each in experiments):
                case.fed.add(candidate.name)
            if any(each.gradients for each in experiments) or (experiments and binding.certain):
                sure = sure or binding.certain
                yield from _weighted(experiments, binding, outputs)


def _weighted(
    experiments: list[Experiment], binding: Binding, outputs: Sequence[Leaf]
) -> Iterator[list[Experiment]]:
    """Yield experiments with what their loss is made of: drawn cotangents, the mean, the sum."""
    if binding.cotangents:
        yield experiments
        return
    if all(leaf.value.size == 1 for leaf in outputs[:1]):
        yield [replace(each, weights="ones") for each in experiments]
        return
    # Of outputs an entry or an example each it is the sum's or the mean's; else that is a guess.
    main = np.shape(experiments[0].given.get(experiments[0].main, 0.0))
    known = outputs[0].value.shape in (main, main[:1], main[-1:])
    for weights in ("ones", "mean"):
        yield [
            replace(each, weights=weights, accuses=each.accuses and known) for each in experiments
        ]


def _experiment(
    case: Case, candidate: Candidate, forward: Forward, ready: Ready, binding: Binding
) -> Experiment | None:
    """Return how a pair is called in one setting, or None where nothing comes of it.

    One that raises has no gradients: the judge finds out again that it does, and who is to blame.
    """
    side, drawn = ready.side, drawn_for(ready, binding)
    back = back_steps(candidate, ready, binding)
    given = {**ready.given, **drawn}
    after = case.door.run(Recipe(back, (result_of(back), *state_of(side))), given)
    base = _called(forward, ready, binding, back)
    if isinstance(after, Raised):
        case.note(candidate, after)
        return base
    if binding.certain and ready.arguments.tier < 3:
        case.ran.add(candidate.name)
    if side.penalty is not None and binding.cotangents:
        base = _with_penalty(base, side.penalty, drawn)
    results = leaves_of(after[0], result_of(back), returned(candidate.node))
    kept = kept_of(ready.answer, after, as_made(case.door, side, ready.given), side.given, results)
    own = [leaf for leaf in kept if not _is_handed_on(leaf, ready.given, drawn.values())]
    leaves = distinct([*results, *own], ready.given)
    found = matched(candidate, results, leaves, ready.given, base.main)
    gradients = found.gradients
    steps, moved = steps_of(candidate.node, side, ready.answer, after, gradients)
    if moved and binding.cotangents:
        ends = {path: where for path, where, _ in attributes(after[1])}
        starts = {path: value for path, _, value in attributes(ready.answer[1])}
        known = {path: (ends[path], starts[path]) for path in moved}
        if applied := Moving(case.door, back, given, drawn, known).gradients(ready.answer[1]):
            steps, moved = (*steps, *applied), ()
    if shared := [g for g in gradients if _is_in_parts(side.holders.get(g.of, ()), after)]:
        case.note(candidate, _IN_PARTS.format(shared[0].of))
        return None
    if not gradients + steps:
        case.note(candidate, "returns nothing that has the shape of an input")
        return None
    taken = [gradient.of for gradient in gradients]
    unmatched = tuple(
        label
        for label in unmatched_of(leaves, gradients)
        if not _is_on_the_way(label, after, ready.given, taken)
    )
    unmatched += unread_of(results, gradients + steps, ready.given)
    if found.nameless and not unmatched:
        unmatched = left_over(results, gradients + steps, ready.given)
    experiment = replace(
        base,
        gradients=gradients + steps,
        ordered=found.ordered,
        unmatched=unmatched,
        held=held_by(side),
        moved=moved,
    )
    return _with_update(case, candidate, side, experiment, given)


_IN_PARTS = "several objects in it share {}, and each keeps a part of its gradient"


def _is_in_parts(holders: Collection[str], after: Sequence[Any]) -> bool:
    """Say whether the objects that hold one parameter keep different gradients of it."""
    parts: dict[str, list[np.ndarray]] = {}
    for path, _, value in attributes(after[1]) if holders and len(after) > 1 else ():
        for holder in holders:
            rest = path.removeprefix(f"{holder}.")
            if rest != path and is_gradient(rest.split(".")[0]):
                parts.setdefault(rest, []).append(value)
    return any(
        not np.array_equal(values[0], value) for values in parts.values() for value in values[1:]
    )


def _is_on_the_way(
    label: str, after: Sequence[Any], given: Mapping[str, Any], taken: Sequence[str]
) -> bool:
    """Say whether an inner object keeps the gradient of a parameter of which there is another.

    `layers.Affine1.dW` is part of the gradient that is returned for W1, which is that layer's W.
    """
    holder, _, last = label.rpartition(".")
    beside = [
        value
        for path, _, value in (attributes(after[1]) if holder and len(after) > 1 else ())
        if path != label and path.rpartition(".")[0] == holder
        if key_of(path.rpartition(".")[2]) == key_of(last)
    ]
    return any(np.array_equal(given[name], value) for name in taken for value in beside)


def _called(forward: Forward, ready: Ready, binding: Binding, back: tuple[Step, ...]) -> Experiment:
    """Return how a pair is called, before anything is known of its gradients."""
    side, arguments = ready.side, ready.arguments
    return Experiment(
        given=ready.given,
        forward=ready.steps,
        outputs=tuple(leaf.where for leaf in _chosen(ready, binding)),
        backward=back,
        gradients=(),
        setting=", ".join(filter(None, (arguments.setting, *starmap(said, side.settings.items())))),
        forward_name=forward.name,
        main=main_of(_handed_over(binding, arguments.given) or arguments.given),
        settings={**side.settings, **arguments.settings},
        tier=arguments.tier,
        certain=binding.certain and side.sure,
        accuses=binding.accuses and side.sure,
    )


def _with_penalty(
    base: Experiment, penalty: Penalty, drawn: Mapping[str, np.ndarray]
) -> Experiment:
    """Add to a loss the penalty that an object's gradients contain."""
    forward = (*base.forward, *penalty.steps(result_of(base.forward)[1] + 1))
    return replace(
        base,
        forward=forward,
        outputs=(*base.outputs, result_of(forward)),
        weights="fixed",
        fixed=(*drawn.values(), np.ones(())),
    )


def _handed_over(binding: Binding, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that a loss's gradient is given, too: it is by one of them."""
    if binding.cotangents:
        return {}
    names = {each[1] for each in binding.expressions.values() if each[0] == "in"}
    return {n: v for n, v in given.items() if n in names and not is_label(n)}


def back_steps(candidate: Candidate, ready: Ready, binding: Binding) -> tuple[Step, ...]:
    """Return the steps of a pair: the forward pass, then the backward pass."""
    target = ready.side.target(candidate.function)
    return (*ready.steps, ("call", target, [], dict(binding.expressions)))


def _chosen(ready: Ready, binding: Binding) -> Sequence[Leaf]:
    """Return the outputs that the loss is made of."""
    return [ready.outputs[i] for i in binding.cotangents] or ready.outputs[:1]


def drawn_for(ready: Ready, binding: Binding) -> dict[str, np.ndarray]:
    """Return drawn cotangents of these outputs."""
    rng = np.random.default_rng(5)
    return {
        cotangent_name(i): rng.standard_normal(np.shape(leaf.value))
        for i, leaf in enumerate(_chosen(ready, binding))
    }


def _is_handed_on(leaf: Leaf, given: Collection[str], cotangents: Collection[np.ndarray]) -> bool:
    """Say whether an attribute only keeps a cotangent, under the name of no input's gradient."""
    kept = any(np.array_equal(leaf.value, cotangent) for cotangent in cotangents)
    return kept and not any(keys_of(leaf.label) & keys_of(name) for name in given)


def held_by(side: Side) -> tuple[str, ...]:
    """Return what is called as parameters are among what an object is given."""
    return tuple(path for path in side.given if _HELD.match(path)) if side.owner else ()


_HELD = re.compile(
    r"(?:params?|parameters|weights?|bias(?:es)?|gamma|beta|kernel|filters?|[Ww](?:_\w+|[a-z]{1,2})?|"
    r"b(?:_\w+|[a-z])?)(?:\.|\d|$)"
)


def _with_update(
    case: Case, candidate: Candidate, side: Side, experiment: Experiment, given: Mapping[str, Any]
) -> Experiment:
    """Let the method follow that moves the parameters of which a pass gives no gradient.

    One that raises, or that changes a gradient that the pass gave, is left out.
    """
    seen = {gradient.of for gradient in experiment.gradients} | {*experiment.moved}
    left = {*experiment.held} - seen
    wanted = tuple(gradient.where for gradient in experiment.gradients)
    methods = methods_of(case.found, candidate.owner) if candidate.owner and left else {}
    for name, node in methods.items():
        rates = {step.argument for path, step in descents(node).items() if path in left}
        if not rates or name == candidate.function or not {*required(node, True)} <= rates:
            continue
        keywords = {rate: ("value", RATE) for rate in rates if rate}
        update: Step = ("call", side.target(name), [], keywords)
        followed = (*experiment.backward, update)
        asked = (*wanted, *state_of(side))
        before = case.door.run(Recipe(experiment.backward, asked), given)
        after = case.door.run(Recipe(followed, asked), given)
        if isinstance(before, Raised) or isinstance(after, Raised):
            continue
        if repr(before[:-1]) == repr(after[:-1]):
            states = ((None, before[-1]), (None, after[-1]))
            steps, moved = steps_of(node, side, states[0], states[1], experiment.gradients)
            return replace(
                experiment,
                backward=followed,
                gradients=experiment.gradients + steps,
                moved=(*experiment.moved, *moved),
            )
    return experiment


def steps_of(
    node: ast.FunctionDef,
    side: Side,
    before: Sequence[Any],
    after: Sequence[Any],
    known: Sequence[Gradient],
    downwards: bool = False,
) -> tuple[tuple[Gradient, ...], tuple[str, ...]]:
    """Return gradients that a pass applies to its object's parameters, and what it moves else.

    `downwards` says that its steps must go down the loss; a layer does not know whether they do.
    """
    if len(before) < 2:
        return (), ()
    left = [path for path in side.given if path not in {gradient.of for gradient in known}]
    here = {path: value for path, _, value in attributes(before[1])}
    there = {path: (where, value) for path, where, value in attributes(after[1])}
    steps, moved = stepped(node, left, here, there, downwards)
    return tuple(steps), tuple(moved)
