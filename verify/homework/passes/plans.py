"""From a candidate to experiments: which forward pass is its own, and how both are called.

A pair is two functions of one stem, two methods of one class, a function that returns a loss and
its gradient, or a cost and a gradient of the same arguments. How a backward pass is given what it
needs is read off names (its arguments are the forward pass's, its results, its cache, or a
cotangent) and tried, the likeliest binding first. Gradients are matched to inputs by name, then
by shape.
"""

from __future__ import annotations

import ast
import itertools
import math
import re
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import starmap
from typing import Any

import numpy as np

from verify.homework.passes.descent import RATE, RATES, SURE_RATES, Moving, descents, stepped
from verify.homework.passes.experiment import (
    Experiment,
    Gradient,
    cotangent_name,
)
from verify.homework.passes.inputs import (
    Arguments,
    argument_sets,
    arguments_in,
    form_sets,
    is_label,
    likely_forms,
    main_of,
    said,
)
from verify.homework.passes.objects import Side, drawn_anew, parameters_in, sides
from verify.homework.passes.recordings import arguments_of, globals_of, side_of
from verify.homework.passes.repair import STATEMENTS, Source, target_of
from verify.homework.passes.search import Forms, Reach, searched
from verify.homework.read.discover import (
    BACK,
    Candidate,
    differentiated,
    is_gradient,
    is_hinted,
    methods_of,
    name_parts,
    stem,
)
from verify.homework.read.extract import Extract
from verify.homework.read.syntax import parameters, returned
from verify.homework.read.usage import axes_of_pair
from verify.homework.run.door import Door, Expression, Raised, Recipe, Step

MOST_BINDINGS = 12
MOST_SETTINGS = 7

RECORDING = 3.0
"""Seconds for which a file's own statements are run."""


@dataclass(eq=False)
class Case:
    """A file under test: its text, the door to its code, and what stood in the way so far."""

    found: Extract
    door: Door
    obstacles: dict[str, list[Raised | str]] = field(default_factory=dict)
    unmade: dict[str, Raised] = field(default_factory=dict)
    """The classes of which no object could be made, and what was raised last."""
    calls: dict[str, dict[str, Any]] | None = None
    """The file's own calls, by the qualified name of the function, once they were recorded."""
    ran: set[str] = field(default_factory=set)
    """The passes that ran on some inputs, with arguments that were no guess."""
    lines: set[tuple[int | None, int]] = field(default_factory=set)
    """The lines of the file, each with its cell, that ran where a pass was found right."""
    fed: set[str] = field(default_factory=set)
    """The passes that had inputs on which they gave gradients or raised: none are searched for."""
    observed: bool = False
    """Whether these are calls of the user's own run: then they are tried first."""
    until: float = math.inf
    """When the time is up to find out how the present pass is called, on the monotonic clock."""
    next_step: str = (
        "Name three functions with --loss, --grads, --params, and any gradient can be checked."
    )
    """What helps where a pass could not be judged."""

    def recorded(self, name: str) -> dict[str, Any] | None:
        """Return the first call that the file's own statements make of a function, if any."""
        if self.calls is None:
            names = [*self.found.functions]
            for owner in self.found.classes:
                names += [f"{owner}.{method}" for method in methods_of(self.found, owner)]
            self.calls = self.door.record(names, RECORDING) if self.found.rest else {}
        return self.calls.get(name)

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.until

    def note(self, candidate: Candidate, obstacle: Raised | str) -> None:
        """Remember why an attempt at a pass came to nothing."""
        self.obstacles.setdefault(candidate.name, []).append(obstacle)


@dataclass(frozen=True, eq=False)
class Forward:
    """A forward pass that may be a candidate's own."""

    name: str
    node: ast.FunctionDef


@dataclass(frozen=True, eq=False)
class Leaf:
    """An array in a result: how it is called there, and where it is."""

    label: str
    where: Expression
    value: np.ndarray


def plans(case: Case, candidate: Candidate) -> Iterator[list[Experiment]]:
    """Yield the ways to judge a candidate, the likeliest first: the experiments of each."""
    if case.observed:
        yield from _of_recorded(case, candidate)
    if (outer := _caller_of(case.found, candidate)) is not None:
        yield from plans(case, outer)
    for side in _sides(case, candidate.owner):
        if side.again and candidate.name in case.ran:
            continue
        others = (
            methods_of(case.found, candidate.owner) if candidate.owner else (case.found.functions)
        )
        if is_hinted(candidate.function, others):
            for forward in forwards(case.found, candidate):
                yield from _of_pair(case, candidate, side, forward, None)
        yield from _of_loss_and_gradient(case, candidate, side, None)
    if not case.observed:
        yield from _of_recorded(case, candidate)


def _caller_of(found: Extract, candidate: Candidate) -> Candidate | None:
    """Return the method of the same class through which a backward pass is called, if there is one.

    A base has `forward` and `backward`, which keep what all layers keep, and call `_backward`.
    """
    if candidate.owner is None or not candidate.function.startswith("_"):
        return None
    for name, node in methods_of(found, candidate.owner).items():
        inner = any(
            isinstance(part, ast.Call)
            and isinstance(part.func, ast.Attribute)
            and part.func.attr == candidate.function
            and getattr(part.func.value, "id", "") == "self"
            for part in ast.walk(node)
        )
        if inner and name != candidate.function and BACK & set(name_parts(name)):
            return replace(candidate, function=name, node=node)
    return None


def plans_by_search(case: Case, candidate: Candidate) -> Iterator[list[Experiment]]:
    """Yield ways to judge a candidate on inputs that are searched for, if no others were found."""
    if candidate.name in case.fed:
        return
    for side in itertools.islice(_sides(case, candidate.owner), SEARCHED):
        for forward in forwards(case.found, candidate)[:SEARCHED]:
            known = _inputs_by_search(case, candidate, side, forward)
            yield from _of_pair(case, candidate, side, forward, known)
        if returns_its_loss(candidate):
            own = Forward(candidate.function, candidate.node)
            known = _inputs_by_search(case, candidate, side, own)
            yield from _of_loss_and_gradient(case, candidate, side, known)


SEARCHED = 2
"""Objects, and forward passes, for which inputs are searched for."""

SEARCHED_TIER = 4
"""How sure inputs are that were searched for, as of `inputs.Arguments`."""


def _inputs_by_search(
    case: Case, candidate: Candidate, side: Side, forward: Forward
) -> Iterator[list[Arguments]]:
    """Yield arguments for a function, searched for by how far it runs with them.

    Where that is another than the candidate, by how far the candidate runs, too.
    """
    name, method, known = _stem_of(candidate), candidate.owner is not None, Arguments({}, {})

    def of(forms: Forms) -> list[Arguments]:
        return arguments_in(forward.node, method, forms, known, SEARCHED_TIER)

    def reach(forms: Forms) -> Reach | None:
        if not (sets := of(forms)):
            return None
        steps = forward_steps(side, forward.name, sets[0])
        there = case.door.reach(Recipe(steps, ()), {**side.given, **sets[0].given})
        if not there[2] or forward.name == candidate.function:
            return there
        return _reach_back(case, candidate, forward, _ready(case, side, forward, sets[0]))

    sets = form_sets(case.found, forward.node, method, name, known, side.given, candidate.node)
    starts = likely_forms(forward.node, method, (forms for _, forms in sets))
    axes = axes_of_pair(forward.node, candidate.node)
    yield from map(of, searched(starts, side.given, axes, reach))


def _reach_back(
    case: Case, candidate: Candidate, forward: Forward, ready: _Ready | Raised
) -> Reach | None:
    """Return how far a backward pass runs after its forward pass, in the likeliest ways."""
    if isinstance(ready, Raised) or not ready.outputs:
        return None
    found: list[Reach] = []
    for binding in itertools.islice(_bindings(candidate, forward, ready), MOST_TRIED):
        back = _back_steps(candidate, ready, binding)
        drawn = _drawn(ready, binding)
        lines, place, whole = case.door.reach(Recipe(back, ()), {**ready.given, **drawn})
        found.append((FORWARD_LINES + lines, place, whole))
    return max(found, key=lambda each: (each[2], each), default=None)


MOST_TRIED = 3
"""Ways in which a backward pass is called while inputs are searched for."""

FORWARD_LINES = 10_000
"""More lines than a forward pass has: what comes after it is further."""


def _stem_of(candidate: Candidate) -> str:
    return _shorter(stem(candidate.function)) or stem(candidate.owner or "")


def returns_its_loss(candidate: Candidate) -> bool:
    """Say whether a function looks as if it returned a loss beside its gradient."""
    names = returned(candidate.node) or []
    return is_cost(candidate.function) or any(map(is_cost, names))


def _sides(case: Case, owner: str | None) -> Iterator[Side]:
    """Yield the objects of a class that can be made, and note where there are none."""
    raised: list[Raised] = []
    made = 0
    for side in sides(case.found, case.door, owner, raised.append):
        if case.late:
            return
        made += 1
        yield side
    if owner is not None and raised and not made:
        case.unmade[owner] = raised[-1]


def _of_recorded(case: Case, candidate: Candidate) -> Iterator[list[Experiment]]:
    """Yield ways to judge a candidate on what the file's own statements call it with."""
    own = case.recorded(candidate.name)
    side = Side()
    if candidate.owner is not None:
        made = side_of(candidate.owner, own) if own is not None else None
        if made is None:
            return
        side = made
    elif own is not None and own.get("globals"):
        side = globals_of(own)
    if own is not None:
        known = _completed(case, own, candidate.node, candidate.owner)
        yield from _of_loss_and_gradient(case, candidate, side, known)
    for forward in forwards(case.found, candidate):
        qualified = f"{candidate.owner}.{forward.name}" if candidate.owner else forward.name
        call = case.recorded(qualified)
        if call is None:
            call = own if _takes_the_same(forward.node, candidate) else None
        if call is None:
            continue
        if candidate.owner is not None:
            other = side_of(candidate.owner, call)
            side = other if other is not None and _alike(other.given, side.given) else side
        known = _completed(case, call, forward.node, candidate.owner)
        yield from _of_pair(case, candidate, side, forward, known)


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Say whether the arrays that two have in common are of one shape: none was trained wrong."""
    return all(np.shape(one[name]) == np.shape(other[name]) for name in one.keys() & other.keys())


def _completed(
    case: Case, call: Mapping[str, Any], node: ast.FunctionDef, owner: str | None
) -> Iterator[list[Arguments]]:
    """Yield a recorded call's arguments; what it does not tell of them is tried."""
    arguments = arguments_of(call)
    if arguments.expressions.keys() == call["arguments"].keys():
        yield [arguments]
    elif arguments.expressions:
        yield from argument_sets(case.found, node, owner is not None, "", arguments)


def forwards(found: Extract, candidate: Candidate) -> list[Forward]:
    """Return the functions whose derivative a candidate may be, the likeliest first."""
    others = found.functions if candidate.owner is None else methods_of(found, candidate.owner)
    own = stem(candidate.function)
    words = set(name_parts(candidate.function))
    fitting: list[tuple[bool, bool, bool, int, Forward]] = []
    for name, node in others.items():
        if name == candidate.function or name.startswith("__init") or _hands_on(node, others):
            continue
        hinted = is_hinted(name, others)
        plain = name.lower().strip("_")
        same = (
            own in (stem(name), plain)
            or re.fullmatch(rf"d_?{re.escape(plain)}", own) is not None
            or plain == differentiated(candidate.function)
        )
        method = candidate.owner is not None and name in _FORWARDS and not own
        same_stem = bool(own) and same and not hinted
        cost = is_cost(name) and (
            _is_gradient_of_cost(candidate) or _takes_the_same(node, candidate)
        )
        if method or same_stem or (cost and not hinted):
            exact = _suffix(name) == _suffix(candidate.function)
            alike = (not _takes_the_same(node, candidate), -len(words & set(name_parts(name))))
            fitting.append((not (same_stem or method), not exact, *alike, Forward(name, node)))
    if candidate.owner is not None and own and BACK & set(name_parts(candidate.function)):
        known = {forward.name for *_, forward in fitting}
        fitting += [
            (True, True, True, 0, Forward(name, node))
            for name, node in others.items()
            if name not in known and {"forward", "feedforward", "fprop"} & set(name_parts(name))
        ]
    if not fitting and own:
        fitting = [
            (False, False, False, 0, Forward(name, node))
            for name, node in others.items()
            if name != candidate.function
            and not is_hinted(name, others)
            and _shorter(stem(name)) == _shorter(own)
        ]
    if not fitting and not own and candidate.owner is None:
        return [Forward(name, others[name]) for name in _FORWARD_FUNCTIONS if name in others]
    return [forward for *_, forward in sorted(fitting, key=lambda item: item[:4])]


_FORWARDS = (
    "forward", "__call__", "fprop", "forward_pass", "forward_propagation", "feedforward",
    "feed_forward", "forward_prop", "f", "fn", "func", "function", "apply", "calc", "loss",
    "activate", "activation", "compute", "predict",
)  # fmt: skip


def _hands_on(node: ast.FunctionDef, others: Collection[str]) -> bool:
    """Say whether `__call__(*args)` only hands what it is given to `forward`."""
    return node.name == "__call__" and node.args.vararg is not None and "forward" in others


_FORWARD_FUNCTIONS = (
    "forward", "forward_pass", "forward_propagation", "feedforward", "feed_forward",
    "forward_prop", "fprop",
)  # fmt: skip


def _takes_the_same(node: ast.FunctionDef, candidate: Candidate) -> bool:
    """Say whether a cost and a gradient have the same arguments, by name."""
    own = [name for name, _ in candidate.arguments]
    return len(own) > 1 and set(own) == {
        name for name, _ in parameters(node, candidate.owner is not None)
    }


def _shorter(name: str) -> str:
    """Return a stem without what says how it is computed: conv_naive is conv."""
    return re.sub(
        r"_(?:naive|fast|im2col|alt|vec\w*|strides?|slow|loops?|v\d|\d|np|numpy|batch)$", "", name
    )


def _suffix(name: str) -> str:
    found = re.search(r"(?:forward|backward|back|grad|gradient)_(\w+)$", name)
    return found[1] if found else ""


_COSTS = frozenset(
    "cost loss objective error j fn mse nll bce sse entropy crossentropy xent likelihood".split()
)


def is_cost(name: str) -> bool:
    """Say whether a function's name is that of a loss."""
    return bool(_COSTS & set(name_parts(name)))


def _is_gradient_of_cost(candidate: Candidate) -> bool:
    return bool(
        {"gradient", "grad", "gradients", "derivative", "delta"}
        & set(name_parts(candidate.function))
    )


# A pair: something forward, something backward.


def _of_pair(
    case: Case,
    candidate: Candidate,
    side: Side,
    forward: Forward,
    known: Iterable[list[Arguments]] | None,
) -> Iterator[list[Experiment]]:
    name = _stem_of(candidate)
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
        ready = _ready(case, side, forward, sets[0])
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
            and not isinstance(other := _ready(case, variant, forward, arguments), Raised)
            and len(other.outputs) == len(outputs)
        ][:MOST_SETTINGS]
        sure = False
        for binding in _bindings(candidate, forward, ready):
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


@dataclass(frozen=True, eq=False)
class _Ready:
    """A forward pass that runs: on what, and what comes of it."""

    side: Side
    arguments: Arguments
    steps: tuple[Step, ...]
    given: Mapping[str, Any]
    answer: Sequence[Any]
    outputs: Sequence[Leaf]


def _ready(case: Case, side: Side, forward: Forward, arguments: Arguments) -> _Ready | Raised:
    """Run a forward pass; its object's parameters are inputs, those too that it makes itself."""
    steps = forward_steps(side, forward.name, arguments)
    given = {**side.given, **arguments.given}
    answer = case.door.run(Recipe(steps, (result_of(steps), *state_of(side))), given)
    if isinstance(answer, Raised):
        return answer
    if (warmed := _warmed(case.door, side, steps, given, answer)) is not None:
        return _ready(case, warmed, forward, arguments)
    return _Ready(side, arguments, steps, given, answer, outputs_of(answer, forward, steps, side))


def _warmed(
    door: Door,
    side: Side,
    steps: tuple[Step, ...],
    given: Mapping[str, Any],
    answer: Sequence[Any],
) -> Side | None:
    """Return an object whose parameters, made when it first goes forward, are inputs too.

    What it had gathered before it went forward the first time is empty again.
    """
    if side.owner is None or len(answer) < 2:
        return None
    made = [each for each in parameters_in(answer[1]) if _MADE.match(each[0])]
    if all(path in side.given for path, *_ in made):
        return None
    puts, values = drawn_anew(door, steps, answer[1], given, made, 29)
    if not puts:
        return None
    before = door.run(Recipe(side.steps, state_of(side)), given)
    if not isinstance(before, Raised):
        puts += [
            ("put", ("slot", 0), name, ("value", []))
            for name, value in before[0].items()
            if isinstance(value, list) and not value
        ]
    return replace(side, steps=(*steps, *puts), given={**given, **values})


_MADE = re.compile(r"(?:params?|parameters|weights?|W|b|bias|gamma|beta)(?:\.|\d|$)")


def _weighted(
    experiments: list[Experiment], binding: _Binding, outputs: Sequence[Leaf]
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


def forward_steps(side: Side, name: str, arguments: Arguments) -> tuple[Step, ...]:
    """Return the steps that make an object, where there is one, and go forward."""
    return (*side.steps, ("call", side.target(name), [], dict(arguments.expressions)))


def result_of(steps: Sequence[Step]) -> Expression:
    """Return where the result of the last call is."""
    return ("slot", sum(step[0] == "call" for step in steps) - 1)


def state_of(side: Side) -> tuple[Expression, ...]:
    """Return what is wanted of an object beside a result: its attributes."""
    return (("vars", ("slot", 0)),) if side.owner is not None else ()


def outputs_of(
    answer: Sequence[Any], forward: Forward, steps: Sequence[Step], side: Side
) -> list[Leaf]:
    """Return the outputs of a forward pass: the arrays of its result, or the one it keeps."""
    result, where = answer[0], result_of(steps)
    if result is None and side.owner is not None:
        for name in ("output", "outputs", "out", "y", "a", "A", "Z", "z"):
            value = answer[1].get(name)
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                return [Leaf(name, ("at", ("slot", 0), name), value)]
        return []
    names = returned(forward.node)
    if isinstance(result, tuple):
        labels = names if names is not None and len(names) == len(result) else [""] * len(result)
        return [
            Leaf(label, ("at", where, i), np.asarray(part))
            for i, (part, label) in enumerate(zip(result, labels, strict=True))
            if _is_float(part) and not (i and "cache" in label.lower())
        ]
    if _is_float(result):
        return [Leaf(names[0] if names else "", where, np.asarray(result))]
    return []


def _is_float(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and value.size > 0
    return isinstance(value, float)


# What a backward pass is given.


@dataclass(frozen=True, eq=False)
class _Binding:
    """An expression for each argument of a backward pass, and which outputs have a cotangent."""

    expressions: Mapping[str, Expression]
    cotangents: tuple[int, ...]
    certain: bool
    accuses: bool


_COTANGENT = re.compile(
    r"d_?[A-Z]\w*|d(?!iff|im|ist|at|ep|en|rop|ef|ay|ic|tyl|iv|ec|elay)\w{1,10}|\w*grad\w*|g|delta\w*|upstream\w*|\w*_?err(?:or)?\w*|top_?diff|out_?grad\w*|"
    r"\w*nabla\w*|eta|gy|ct|\w*cotangent\w*|chain\w*|loss_?wrt\w*|back\w*|next_\w+|acc\w*|output_gradient|dJ\w*"
)


_DATA = re.compile(
    r"x|X|y|Y|t|inputs?|labels?|targets?|data|parameters|params|X_\w+|Y_\w+|y_true|"
    r"cache\w*|W\d?|b\d?|w\d?"
)
_LABELS = re.compile(r"y|Y|t|labels?|targets?|y_?true|Y_\w+|y_(?:batch|train)")
_IN_HAND = re.compile(
    rf"{_DATA.pattern}|{_LABELS.pattern}|a|A\d?|z|Z\d?|s|h|o|out\w*|output\w*|activations?\w*|"
    r"\w*cache\w*|\w*mem\w*|y_?(?:hat|pred\w*)|pred\w*|logits|scores|probs?|mask\w*|state\w*"
)
"""What a pass may be given beside its cotangent: inputs, labels, what the way forward gives."""


def _bindings(candidate: Candidate, forward: Forward, ready: _Ready) -> Iterator[_Binding]:
    """Yield the ways in which a backward pass may be given what it asks for."""
    arguments, answer, outputs = ready.arguments, ready.answer, ready.outputs
    own = candidate.arguments
    required = [name for name, default in own if not default]
    options: list[list[tuple[str, Any]]] = []
    names = returned(forward.node) or []
    known = {name.lower() for name in (*arguments.expressions, *names)}
    unknown = [name for name in required if name.lower() not in known | SURE_RATES]
    has_output_array = bool(outputs) and outputs[0].value.size > 1
    rates = {descent.argument for descent in descents(candidate.node).values()}
    used = {part.id for part in ast.walk(candidate.node) if isinstance(part, ast.Name)}
    for place, (name, default) in enumerate(own):
        is_rate = name in rates or name.lower() in SURE_RATES
        is_rate |= name not in used and name.lower() in RATES
        if is_rate and name not in arguments.expressions:
            options.append([(name, ("named", ("value", RATE)))])
            continue
        found: list[tuple[str, Any]] = _options(
            name, place, arguments, names, answer[0], outputs, result_of(ready.steps), len(unknown)
        )
        cotangent = _COTANGENT.fullmatch(name) is not None and name not in arguments.expressions
        if any(entry[1][0] == "cotangent" for one in options for entry in one[:1]):
            cotangent = cotangent and any(key_of(name) == key_of(leaf.label) for leaf in outputs)
        backward = bool(BACK & set(name_parts(candidate.function)))
        alone = len(required) == 1 and place == 0 and has_output_array and backward
        alone = alone and name not in names[1:]  # what goes with the output: its cache
        alone = alone and not _is_input_again(candidate, forward, name, arguments)
        if backward and has_output_array and unknown == [name] and len(required) > 1:
            alone = not _IN_HAND.fullmatch(name)  # all else is known
        maybe = len(required) == 1 and place == 0 and has_output_array and not backward
        guessed = place == 0 and len(required) > 1 and not _DATA.fullmatch(name)
        per_example = any(_LABELS.fullmatch(other) for other, _ in own) and (
            outputs[0].value.ndim < 2
        )
        if cotangent and per_example and name not in ("dout", "dL"):
            # A loss's backward pass is given the predictions, whatever they are called.
            found = [*found, ("guess", _which_output(name, outputs))]
        elif cotangent or alone or (guessed and name not in names):
            which = _which_output(name, outputs)
            entry = ("cotangent" if cotangent or alone else "guess", which)
            found = [entry, *found] if cotangent or alone else [*found, entry]
            if cotangent and not alone and place:
                found = [entry, *[f for f in found if f[0] == "named"]]
        elif maybe and not any(f[0] == "named" for f in found):
            found = [*found, ("position", _which_output(name, outputs))]
        if default:
            found = [f for f in found if f[0] in ("named", "cotangent")][:1] or [("left", None)]
            if found[0][0] == "cotangent" and (place or not has_output_array):
                found = [("left", None)]
        if name == "dvalues" and len(answer) > 1 and _is_float(answer[1].get("output")):
            kept = ("output", ("at", ("slot", 0), "output"))
            found = [kept, *found] if per_example else [*found, kept]
        options.append([(name, option) for option in found])
    if not all(options):
        return
    for chosen in itertools.islice(itertools.product(*options), MOST_BINDINGS):
        cotangents: list[int] = []
        expressions: dict[str, Expression] = {}
        kinds = {kind for _, (kind, _) in chosen}
        for name, (kind, what) in chosen:
            if kind in ("cotangent", "guess", "position"):
                which = what if what not in cotangents else len(cotangents)
                if which >= len(outputs):
                    break
                expressions[name] = ("in", cotangent_name(len(cotangents)))
                cotangents.append(which)
            elif kind != "left":
                expressions[name] = what
        else:
            certain = "cotangent" in kinds and kinds <= {"cotangent", "named", "cache", "left"}
            certain |= kinds <= {"named", "left"} and _takes_the_same(forward.node, candidate)
            accuses = not kinds & {"guess", "guess-input"}
            yield _Binding(expressions, tuple(cotangents), certain, accuses)


def _is_input_again(
    candidate: Candidate, forward: Forward, name: str, arguments: Arguments
) -> bool:
    """Say whether a pass's only argument is the forward pass's input under the same name.

    It is where nothing else hands the input on: the pass reads nothing that the forward pass, or
    what it calls, keeps in the object.
    """
    if name not in arguments.expressions or name != next(iter(arguments.expressions)):
        return False
    kept = {
        part.attr
        for part in ast.walk(forward.node)
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store)
    }
    read = {
        part.attr
        for part in ast.walk(candidate.node)
        if isinstance(part, ast.Attribute) and getattr(part.value, "id", "") == "self"
    }
    calls_own = any(
        isinstance(part, ast.Call)
        and isinstance(part.func, ast.Attribute)
        and getattr(part.func.value, "id", "") == "self"
        for part in ast.walk(forward.node)
    )
    return not read & kept and not (calls_own and read)


def _which_output(name: str, outputs: Sequence[Leaf]) -> int:
    plain = key_of(name)
    for i, leaf in enumerate(outputs):
        if leaf.label and plain == key_of(leaf.label):
            return i
    return 0


def _options(
    name: str,
    place: int,
    arguments: Arguments,
    names: Sequence[str],
    result: Any,
    outputs: Sequence[Leaf],
    slot: Expression,
    unknown: int,
) -> list[tuple[str, Any]]:
    """Return what an argument may be, the likeliest first."""
    found: list[tuple[str, Any]] = []
    lower = {key.lower(): value for key, value in arguments.expressions.items()}
    if name in arguments.expressions:
        found.append(("named", arguments.expressions[name]))
    elif name.lower() in lower:
        found.append(("named", lower[name.lower()]))
    if isinstance(result, tuple) and name in names and len(names) == len(result):
        found.append(("named", ("at", slot, names.index(name))))
    if found or _LABELS.fullmatch(name):
        return found
    if isinstance(result, tuple) and len(result) > 1:
        found.append(("cache", ("at", slot, 1 if len(result) == 2 else len(result) - 1)))
        if len(result) > 2:
            rest = ("tuple", [("at", slot, i) for i in range(1, len(result))])
            found.append(("cache", rest))
        found += [("output", ("at", slot, 0)), ("cache", slot)]
    elif outputs:
        inputs = list(arguments.expressions.values())
        said = "input" if unknown <= 1 else "guess-input"
        found += [(said, each) for each in inputs[:1]]
        found.append((said, outputs[0].where))
        if len(inputs) > 1:
            found.append((said, ("tuple", inputs)))
            found += [(said, each) for each in inputs[1:]]
    return found


# Experiments.


def _experiment(
    case: Case, candidate: Candidate, forward: Forward, ready: _Ready, binding: _Binding
) -> Experiment | None:
    """Return how a pair is called in one setting, or None where nothing comes of it.

    One that raises has no gradients: the judge finds out again that it does, and who is to blame.
    """
    side, arguments = ready.side, ready.arguments
    back = _back_steps(candidate, ready, binding)
    chosen = _chosen(ready, binding)
    drawn = _drawn(ready, binding)
    after = case.door.run(
        Recipe(back, (result_of(back), *state_of(side))), {**ready.given, **drawn}
    )
    base = Experiment(
        given=ready.given,
        forward=ready.steps,
        outputs=tuple(leaf.where for leaf in chosen),
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
    if isinstance(after, Raised):
        case.note(candidate, after)
        return base
    if binding.certain and arguments.tier < 3:
        case.ran.add(candidate.name)
    if side.penalty is not None and binding.cotangents:
        penalty = side.penalty.steps(result_of(ready.steps)[1] + 1)
        base = replace(
            base,
            forward=(*base.forward, *penalty),
            outputs=(*base.outputs, result_of((*base.forward, *penalty))),
            weights="fixed",
            fixed=(*drawn.values(), np.ones(())),
        )
    results = leaves_of(after[0], result_of(back), returned(candidate.node))
    made = as_made(case.door, side, ready.given)
    kept = kept_of(ready.answer, after, made, side.given, results)
    leaves = distinct(
        [
            *results,
            *(leaf for leaf in kept if not _is_handed_on(leaf, ready.given, drawn.values())),
        ],
        ready.given,
    )
    gradients = match(leaves, ready.given, base.main)
    placed = by_place(results, ready.given) if candidate.owner is None else ()
    nameless, ordered = nameless_of(results, leaves, gradients, ready.given)
    if placed and len(gradients) < len(placed):
        gradients, nameless, ordered = placed, (), alike_among(ready.given, placed)
    gradients += nameless
    base = replace(base, ordered=ordered)
    steps, moved = steps_of(candidate.node, side, ready.answer, after, gradients)
    if moved and binding.cotangents:
        ends = {path: where for path, where, _ in attributes(after[1])}
        starts = {path: value for path, _, value in attributes(ready.answer[1])}
        known = {path: (ends[path], starts[path]) for path in moved}
        moving = Moving(case.door, back, {**ready.given, **drawn}, drawn, known)
        if applied := moving.gradients(ready.answer[1]):
            steps, moved = (*steps, *applied), ()
    if not gradients + steps:
        case.note(candidate, "returns nothing that has the shape of an input")
        return None
    unmatched = unmatched_of(leaves, gradients)
    unmatched += unread_of(results, gradients + steps, ready.given)
    if nameless and not unmatched:
        unmatched = left_over(results, gradients + steps, ready.given)
    found = replace(
        base,
        gradients=gradients + steps,
        unmatched=unmatched,
        held=held_by(side),
        moved=moved,
    )
    return _with_update(case, candidate, side, found, {**ready.given, **drawn})


def _handed_over(binding: _Binding, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that a loss's gradient is given, too: it is by one of them."""
    if binding.cotangents:
        return {}
    names = {each[1] for each in binding.expressions.values() if each[0] == "in"}
    return {n: v for n, v in given.items() if n in names and not is_label(n)}


def distinct(leaves: Sequence[Leaf], given: Collection[str]) -> list[Leaf]:
    """Return results without those in an object that are another under a second name.

    `self.grads = [self.grad_w]` holds one gradient, of what `self.params` calls by its place.
    """
    names = {key for name in given for key in _keys(name)}
    known = [leaf for leaf in leaves if _keys(leaf.label) & names]
    return [
        leaf
        for leaf in leaves
        if leaf.where[0] != "at"
        or leaf in known
        or leaf.value.ndim == 0
        or not any(
            leaf.where[1] == ("slot", 0) and np.array_equal(leaf.value, o.value) for o in known
        )
    ]


def _back_steps(candidate: Candidate, ready: _Ready, binding: _Binding) -> tuple[Step, ...]:
    target = ready.side.target(candidate.function)
    return (*ready.steps, ("call", target, [], dict(binding.expressions)))


def _chosen(ready: _Ready, binding: _Binding) -> Sequence[Leaf]:
    """Return the outputs that the loss is made of."""
    return [ready.outputs[i] for i in binding.cotangents] or ready.outputs[:1]


def _drawn(ready: _Ready, binding: _Binding) -> dict[str, np.ndarray]:
    """Return drawn cotangents of these outputs."""
    rng = np.random.default_rng(5)
    return {
        cotangent_name(i): rng.standard_normal(np.shape(leaf.value))
        for i, leaf in enumerate(_chosen(ready, binding))
    }


def _is_handed_on(leaf: Leaf, given: Collection[str], cotangents: Collection[np.ndarray]) -> bool:
    """Say whether an attribute only keeps a cotangent, under the name of no input's gradient."""
    kept = any(np.array_equal(leaf.value, cotangent) for cotangent in cotangents)
    return kept and not any(_keys(leaf.label) & _keys(name) for name in given)


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
        required = {n for n, default in parameters(node, True) if not default}
        if not rates or name == candidate.function or not required <= rates:
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


def leaves_of(result: Any, where: Expression, names: Sequence[str] | None) -> list[Leaf]:
    """Return the arrays in a result with what they are called there."""
    if isinstance(result, (np.ndarray, float)) or type(result) is int:
        label = names[0] if names else ""
        return [Leaf(label, where, np.asarray(result))]
    leaves = []
    if isinstance(result, (tuple, list)):
        fits = names is not None and len(names) == len(result)
        for i, part in enumerate(result):
            label = names[i] if fits and names is not None else ""
            inner = leaves_of(part, ("at", where, i), [label] if label else None)
            if isinstance(part, (tuple, list)) and label:
                inner = [replace(leaf, label=f"{label}.{n}") for n, leaf in enumerate(inner)]
            leaves += inner
    elif isinstance(result, Mapping):
        for key, part in result.items():
            leaves += leaves_of(part, ("at", where, key), [str(key)])
    return leaves


def as_made(door: Door, side: Side, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays in an object before it goes forward."""
    answer = door.run(Recipe(side.steps, state_of(side)), given)
    if isinstance(answer, Raised) or not answer:
        return {}
    return {path: value for path, _, value in attributes(answer[0])}


def kept_of(
    before: Sequence[Any],
    after: Sequence[Any],
    made: Mapping[str, np.ndarray],
    parameters: Collection[str],
    results: Sequence[Leaf],
) -> list[Leaf]:
    """Return the arrays that a backward pass puts into its object, under its attributes' names.

    A gradient is one of them too that has been there since the object was `made`; what the forward
    pass keeps for the way back is none, whatever it is called. Parameters that it moves are none,
    nor what it returns under the same name.
    """
    if len(before) < 2:
        return []
    known = [(leaf.label, leaf.value) for leaf in results]
    old = {path: value for path, _, value in attributes(before[1])}
    return [
        Leaf(path, where, value)
        for path, where, value in attributes(after[1])
        if path not in parameters
        and (
            path not in old
            or not np.array_equal(old[path], value)
            or (
                value.ndim
                and is_gradient(path.split(".")[0])
                and np.array_equal(made.get(path, np.nan), value)
            )
        )
        and not any(
            label == path.rpartition(".")[2] and np.array_equal(value, result)
            for label, result in known
        )
    ]


def attributes(state: Any) -> Iterator[tuple[str, Expression, np.ndarray]]:
    """Yield the float arrays in an object: their path, where they are, and their value."""
    if not isinstance(state, Mapping):
        return
    for name, value in state.items():
        yield from _arrays_in(value, str(name), ("at", ("slot", 0), name))


def _arrays_in(
    value: Any, path: str, where: Expression
) -> Iterator[tuple[str, Expression, np.ndarray]]:
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        yield path, where, value
    elif isinstance(value, float):
        yield path, where, np.asarray(value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _arrays_in(item, f"{path}.{key}", ("at", where, key))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _arrays_in(item, f"{path}.{i}", ("at", where, i))


# Gradients and inputs.


def key_of(name: str) -> str:
    """Return a gradient's or an input's name without what makes it a gradient, in lower case."""
    plain = name.rsplit("/", 1)[-1]
    plain = re.sub(r"^(?:d?[lLjJ]_?d_?|dloss_?d?_?|dcost_?d?_?)(?=[A-Za-z])", "", plain)
    plain = re.sub(r"^(?:(?:grads?|gradients?|nabla|delta)_?|g_|g(?=[A-Z]))(?=[A-Za-z])", "", plain)
    plain = re.sub(r"_(?:new|te?mp)$", "", plain)
    plain = re.sub(r"_?(?:grads?|gradients?)$", "", plain) or plain
    plain = re.sub(r"^d_?(?=[A-Za-z])", "", plain)
    return re.sub(r"[^a-z0-9]", "", plain.lower())


_SAME = {
    "weights": "w", "weight": "w", "kernel": "w", "bias": "b", "biases": "b", "inputs": "x",
    "input": "x", "values": "x",
}  # fmt: skip


def _keys(path: str) -> set[str]:
    """Return the keys by which a name may be matched: its last part, and the whole of it."""
    parts = path.split(".")
    last = parts[-1]
    keys = {key_of(last)} if not last.isdigit() else set()
    if last.isdigit():
        holder = parts[-2] if len(parts) > 1 else ""
        plain = holder in ("grads", "gradients", "grad", "params", "")
        holder = "params" if plain else key_of(holder)
        keys.add(f"{_SAME.get(holder, holder)}{last}")
    return {_SAME.get(key, key) for key in keys if key}


def match(leaves: Sequence[Leaf], given: Mapping[str, Any], main: str) -> tuple[Gradient, ...]:
    """Return the gradients among results, each with the input that it is of.

    By name, then by shape in the order in which they come; a single one is of the main input.
    """
    inputs = {
        name: np.asarray(value)
        for name, value in given.items()
        if (isinstance(value, np.ndarray) and value.dtype.kind == "f") or isinstance(value, float)
    }
    numbers = {name for name, value in given.items() if isinstance(value, float)}
    if (listed := _listed(leaves, inputs)) is not None:
        return listed
    said = {key for leaf in leaves for key in _keys(leaf.label)}
    inputs = {n: v for n, v in inputs.items() if not is_label(n) or _keys(n) & said} or inputs
    labelled = any(leaf.label for leaf in leaves)
    found: dict[str, Leaf] = {}
    rest: list[Leaf] = []
    unfit: list[Leaf] = []
    for leaf in leaves:
        keys = _keys(leaf.label) if leaf.label else set()
        fitting = [n for n in inputs if n not in found and keys & _keys(n)]
        sized = [n for n in fitting if inputs[n].shape == leaf.value.shape] or fitting
        if sized and (
            is_gradient(leaf.label.split(".")[0])
            or is_gradient(leaf.label.rsplit(".", 1)[-1])
            or "." in leaf.label
            or leaf.label.startswith("d")
            or leaf.label in ("W", "b")
            or leaf.label in {n.rsplit(".", 1)[-1] for n in inputs if "." in n}
        ):
            found[sized[0]] = leaf
        else:
            rest.append(leaf)
    for leaf in rest:
        other = labelled if not leaf.label else not _may_be_gradient(leaf.label)
        other = other and leaf.where[0] != "slot"  # all that is returned is a gradient
        if other and len(leaves) > 1:
            continue
        fitting = [
            n
            for n, v in inputs.items()
            if n not in found and n not in numbers and v.shape == leaf.value.shape
        ]
        fitting = [main] if main in fitting and (len(rest) == 1 or not found) else fitting
        if fitting:
            found[fitting[0]] = leaf
        elif not leaf.label or (is_gradient(leaf.label) and not _PARAMETER.fullmatch(leaf.label)):
            unfit.append(leaf)
    left = [n for n in inputs if n not in found and n not in numbers]
    if len(unfit) == len(left) == 1 and leaves:
        found[left[0]] = unfit[0]
    return tuple(
        Gradient(leaf.label or f"d{name}", name, leaf.where) for name, leaf in found.items()
    )


def _listed(
    leaves: Sequence[Leaf], inputs: Mapping[str, np.ndarray]
) -> tuple[Gradient, ...] | None:
    """Match results without names to a list of parameters, one each, in order."""
    holders = dict.fromkeys(n.rpartition(".")[0] for n in inputs if n.rpartition(".")[2].isdigit())
    for holder in holders:
        names = [f"{holder}.{i}" for i in range(len(leaves))]
        whole = len(names) > 1 and f"{holder}.{len(names)}" not in inputs
        if whole and all(name in inputs for name in names):
            shapes = [
                inputs[n].shape == leaf.value.shape for n, leaf in zip(names, leaves, strict=True)
            ]
            if not any(leaf.label for leaf in leaves) and sum(shapes) > len(shapes) // 2:
                return tuple(
                    Gradient(f"d{name}", name, leaf.where)
                    for name, leaf in zip(names, leaves, strict=True)
                )
    return None


def by_place(results: Sequence[Leaf], given: Mapping[str, Any]) -> tuple[Gradient, ...]:
    """Return the gradients among results that are as many as the inputs and of their shapes.

    None where a result has another name than its input's, or there is but one.
    """
    inputs = [n for n, v in given.items() if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
    pairs = list(zip(inputs, results, strict=False))
    if not len(pairs) == len(inputs) == len(results) > 1:
        return ()
    for name, leaf in pairs:
        named = {other for other in inputs if _keys(leaf.label) & _keys(other)}
        if given[name].shape != leaf.value.shape or (leaf.label and named != {name}):
            return ()
    return tuple(Gradient(leaf.label or f"d{name}", name, leaf.where) for name, leaf in pairs)


def alike_among(given: Mapping[str, Any], gradients: Sequence[Gradient]) -> frozenset[str]:
    """Return the inputs that have the shape of another, so that only order tells them apart."""
    shapes = Counter(np.shape(given[gradient.of]) for gradient in gradients)
    return frozenset(g.of for g in gradients if shapes[np.shape(given[g.of])] > 1)


def nameless_of(
    results: Sequence[Leaf],
    leaves: Sequence[Leaf],
    gradients: Sequence[Gradient],
    given: Mapping[str, Any],
) -> tuple[tuple[Gradient, ...], frozenset[str]]:
    """Return the gradients among results without names, and of which inputs that is a guess.

    Beside others that have names, they are of the inputs of their shapes, in the order of these,
    where there are as many.
    """
    if not any(leaf.label for leaf in leaves):
        return (), frozenset()
    taken, places = {g.of for g in gradients}, {g.where for g in gradients}
    open_ = [
        name
        for name, value in given.items()
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and name not in taken
    ]
    found: list[Gradient] = []
    ordered: set[str] = set()
    for shape in dict.fromkeys(given[name].shape for name in open_):
        inputs = [name for name in open_ if given[name].shape == shape and not is_label(name)]
        alike = [
            leaf for leaf in results
            if not leaf.label and leaf.value.shape == shape and leaf.where not in places
        ]  # fmt: skip
        if len(alike) == len(inputs):
            ordered |= set(inputs) if len(inputs) > 1 else set()
            found += [Gradient(f"d{n}", n, x.where) for n, x in zip(inputs, alike, strict=True)]
    return tuple(found), frozenset(ordered)


def left_over(
    results: Sequence[Leaf], gradients: Sequence[Gradient], given: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the arrays that are the gradient of no input, where there is an input without one.

    That counts where others were matched by their shapes alone.
    """
    taken, places = {g.of for g in gradients}, {g.where for g in gradients}
    open_ = any(
        isinstance(value, np.ndarray) and value.dtype.kind == "f" and name not in taken
        for name, value in given.items()
        if not is_label(name)
    )
    left = [leaf for leaf in results if leaf.where not in places and leaf.value.ndim]
    return tuple(leaf.label or "among its results" for leaf in left if open_)


def unmatched_of(leaves: Sequence[Leaf], gradients: Sequence[Gradient]) -> tuple[str, ...]:
    """Return what looks like the gradient of a parameter and is that of no input."""
    matched = {gradient.label for gradient in gradients}
    if len(leaves) > len(gradients) and not any(leaf.label for leaf in leaves):
        return ("among its results",)
    return tuple(
        leaf.label
        for leaf in leaves
        if leaf.label not in matched
        and _PARAMETER.fullmatch(leaf.label.rsplit(".", 1)[-1])
        and any(map(is_gradient, leaf.label.split(".")))
        and leaf.value.any()
        and not any(np.array_equal(leaf.value, o.value) for o in leaves if o.label in matched)
    )


def unread_of(
    results: Sequence[Leaf], gradients: Sequence[Gradient], given: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the results that may be the gradient of an input that has none among the others.

    They are called as a gradient is, and have the input's shape.
    """
    matched = {gradient.label for gradient in gradients}
    places = {gradient.where for gradient in gradients}
    taken = {gradient.of for gradient in gradients}
    open_ = {
        value.shape
        for name, value in given.items()
        if isinstance(value, np.ndarray) and name not in taken
    }
    return tuple(
        leaf.label or "among its results"
        for leaf in results
        if leaf.label not in matched
        and leaf.where not in places
        and not _PARAMETER.fullmatch(leaf.label)
        and (not leaf.label or _COTANGENT.fullmatch(leaf.label))
        and leaf.value.shape in open_
        and leaf.value.any()
    )


_PARAMETER = re.compile(
    r"(?:d_?|grads?_?)?(?:W|b|gamma|beta|weights?|bias(?:es)?)\d{0,2}(?:_?grads?)?"
)


def _may_be_gradient(label: str) -> bool:
    first, last = label.split(".")[0], label.rsplit(".", 1)[-1]
    return (
        is_gradient(first)
        or is_gradient(last)
        or len(label) <= 2
        or "back" in label
        or (label in ("out", "result", "res", "ret", "derivative", "prime", "deriv"))
    )


# A loss and its gradient from one function.


def _of_loss_and_gradient(
    case: Case,
    candidate: Candidate,
    side: Side,
    known: Iterable[list[Arguments]] | None,
) -> Iterator[list[Experiment]]:
    if not _may_return_several(candidate.node):
        return
    for sets in known or argument_sets(
        case.found,
        candidate.node,
        candidate.owner is not None,
        _shorter(stem(candidate.function)),
        held=side.given,
    ):
        if case.late:
            return
        tried = [
            _loss_and_gradient(case, candidate, variant, arguments)
            for variant in (side, *side.variants)
            for arguments in sets
        ]
        if experiments := [each for each in tried[:MOST_SETTINGS] if each is not None]:
            case.fed.add(candidate.name)
            yield experiments


def _may_return_several(node: ast.FunctionDef) -> bool:
    """Say whether a function may return a loss beside a gradient, by what it returns."""
    values = [part.value for part in ast.walk(node) if isinstance(part, ast.Return) and part.value]
    return any(
        not isinstance(value, (ast.Attribute, ast.BinOp, ast.UnaryOp, ast.Constant))
        and not (isinstance(value, ast.Name) and is_gradient(value.id))
        for value in values
    )


def _loss_and_gradient(
    case: Case, candidate: Candidate, side: Side, arguments: Arguments
) -> Experiment | None:
    """Return how a function that gives a loss and its gradient is called, None if it does not.

    Of one that raises once it has its loss, the experiment raises too.
    """
    names = returned(candidate.node)
    steps = forward_steps(side, candidate.function, arguments)
    base = Experiment(
        given={**side.given, **arguments.given},
        forward=steps,
        outputs=(),
        backward=steps,
        gradients=(),
        weights="ones",
        setting=", ".join(filter(None, (arguments.setting, *starmap(said, side.settings.items())))),
        forward_name=candidate.function,
        main=main_of(arguments.given),
        settings={**side.settings, **arguments.settings},
        tier=arguments.tier,
    )
    slot = result_of(steps)
    answer = case.door.run(Recipe(steps, (slot,)), base.given)
    if isinstance(answer, Raised):
        case.note(candidate, answer)
        if _has_its_loss(case, candidate, answer, base):
            return replace(base, forward=(), outputs=(("value", np.ones(1)),))
        return None
    result = answer[0]
    if not isinstance(result, tuple) or len(result) < 2:
        return None
    at = _loss_place(result, names)
    if at is None:
        return None
    leaves = [
        leaf
        for i, part in enumerate(result)
        if i != at
        for leaf in leaves_of(
            part, ("at", slot, i),
            [names[i]] if names and len(names) == len(result) and names[i] else None,
        )
    ]  # fmt: skip
    gradients = match(leaves, base.given, base.main)
    if not gradients:
        if returns_its_loss(candidate):
            case.note(candidate, "returns nothing that has the shape of an input")
        return None
    return replace(base, outputs=(("at", slot, at),), gradients=gradients)


def _has_its_loss(case: Case, candidate: Candidate, raised: Raised, experiment: Experiment) -> bool:
    """Say whether a function that raises has a finite loss by then, so that it is no bad input."""
    names = returned(candidate.node)
    if not names or not names[0] or raised.kind in ("NameError", "AttributeError"):
        return False
    for place, part in enumerate(ast.walk(candidate.node)):
        if not isinstance(part, STATEMENTS) or part.lineno != raised.line:
            continue
        holder = ast.unparse(getattr(part, "target", None) or getattr(part, "targets", [part])[0])
        makes = isinstance(part, ast.Return) or is_gradient(target_of(part))
        if makes or "grad" in holder or re.fullmatch(r"d\d", holder):
            loss = ast.Return(ast.Name(names[0], ast.Load()))
            text = Source(candidate.node).replaced(place, loss)
            define: Step = ("define", candidate.owner, candidate.function, text)
            steps = experiment.backward
            recipe = Recipe((define, *steps), (result_of(steps),))
            answer = case.door.run(recipe, experiment.given)
            return not isinstance(answer, Raised) and bool(
                isinstance(answer[0], float | np.ndarray)
                and np.size(answer[0]) == 1
                and np.isfinite(answer[0]).all()
            )
    return False


def _loss_place(result: Sequence[Any], names: Sequence[str] | None) -> int | None:
    numbers = [
        i for i, part in enumerate(result)
        if isinstance(part, float) or (isinstance(part, np.ndarray) and part.size == 1)
    ]  # fmt: skip
    if names is not None and len(names) == len(result):
        named = [i for i in numbers if _LOSS.search(names[i])]
        numbers = named or [i for i in numbers if not is_gradient(names[i]) and names[i] != "b"]
    return numbers[0] if numbers else None


_LOSS = re.compile(r"loss|cost|err|^J|obj|^L$", re.I)
