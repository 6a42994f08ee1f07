"""How a backward pass may be given what it asks for, the likeliest way first."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verify.homework.passes.descent import RATE, RATES, SURE_RATES, descents
from verify.homework.passes.experiment import cotangent_name
from verify.homework.passes.forward_runs import Ready, is_float
from verify.homework.passes.forwards import Forward, takes_the_same
from verify.homework.passes.inputs import Arguments
from verify.homework.passes.results import Leaf, key_of, place_among, result_of
from verify.homework.read.discover import (
    BACK,
    Candidate,
    name_parts,
)
from verify.homework.read.syntax import required, returned
from verify.homework.read.usage import KEYED, LISTED, UNPACKED, usage
from verify.homework.run.door import Expression

MOST_BINDINGS = 12


@dataclass(frozen=True, eq=False)
class Binding:
    """An expression for each argument of a backward pass, and which outputs have a cotangent."""

    expressions: Mapping[str, Expression]
    cotangents: tuple[int, ...]
    certain: bool
    accuses: bool


COTANGENT = re.compile(
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


@dataclass(frozen=True, eq=False)
class _Request:
    """What a backward pass asks for, beside a forward pass that ran."""

    candidate: Candidate
    forward: Forward
    ready: Ready

    @property
    def required(self) -> list[str]:
        """The arguments that have no default."""
        return [name for name, default in self.candidate.arguments if not default]

    @property
    def returned(self) -> Sequence[str]:
        """The names of what the forward pass returns."""
        return returned(self.forward.node) or []

    @property
    def unknown(self) -> list[str]:
        """The required arguments that are neither inputs nor results of the forward pass."""
        known = {name.lower() for name in self.ready.arguments.expressions} | SURE_RATES
        return [
            name
            for name in self.required
            if name.lower() not in known and place_among(name, self.returned) is None
        ]

    @property
    def has_output_array(self) -> bool:
        """Whether the forward pass's first output has several entries."""
        return bool(self.ready.outputs) and self.ready.outputs[0].value.size > 1

    @property
    def per_example(self) -> bool:
        """Whether it is given labels, and its output is one number, or one an example."""
        labelled = any(_LABELS.fullmatch(name) for name, _ in self.candidate.arguments)
        return labelled and self.ready.outputs[0].value.ndim < 2

    def is_rate(self, name: str) -> bool:
        """Say whether an argument is a learning rate, and no input of the forward pass."""
        if name in self.ready.arguments.expressions:
            return False
        rates = {descent.argument for descent in descents(self.candidate.node).values()}
        used = {n.id for n in ast.walk(self.candidate.node) if isinstance(n, ast.Name)}
        unread = name not in used and name.lower() in RATES
        return name in rates or name.lower() in SURE_RATES or unread


_Option = tuple[str, Any]
"""How sure it is what an argument is, as a word, and what it is."""


def bindings(candidate: Candidate, forward: Forward, ready: Ready) -> Iterator[Binding]:
    """Yield the ways in which a backward pass may be given what it asks for."""
    request = _Request(candidate, forward, ready)
    options: list[list[_Option]] = []
    for place, (name, default) in enumerate(candidate.arguments):
        asked = sum(option[0][0] == "cotangent" for option in options if option)
        options.append(_options(request, place, name, default, asked))
    if not all(options):
        return
    names = [name for name, _ in candidate.arguments]
    for chosen in itertools.islice(itertools.product(*options), MOST_BINDINGS):
        if (binding := _bound(request, names, chosen)) is not None:
            yield binding


def _bound(request: _Request, names: Sequence[str], chosen: Sequence[_Option]) -> Binding | None:
    """Return a binding with one option for each argument, None where outputs run out."""
    cotangents: list[int] = []
    expressions: dict[str, Expression] = {}
    for name, (kind, what) in zip(names, chosen, strict=True):
        if kind in ("cotangent", "guess", "position"):
            which = what if what not in cotangents else len(cotangents)
            if which >= len(request.ready.outputs):
                return None
            expressions[name] = ("in", cotangent_name(len(cotangents)))
            cotangents.append(which)
        elif kind != "left":
            expressions[name] = what
    kinds = {kind for kind, _ in chosen}
    certain = "cotangent" in kinds and kinds <= {"cotangent", "named", "cache", "left"}
    same = takes_the_same(request.forward.node, request.candidate)
    certain |= kinds <= {"named", "left"} and same
    return Binding(expressions, tuple(cotangents), certain, not kinds & {"guess", "guess-input"})


def _options(request: _Request, place: int, name: str, default: bool, asked: int) -> list[_Option]:
    """Return what an argument may be, the likeliest first.

    `asked` counts the cotangents before it.
    """
    if request.is_rate(name):
        return [("named", ("value", RATE))]
    found = _with_cotangent(request, place, name, asked)
    if default:
        found = [option for option in found if option[0] in ("named", "cotangent")][:1]
        elsewhere = place or not request.has_output_array
        if not found or (found[0][0] == "cotangent" and elsewhere):
            found = [("left", None)]
    result = request.ready.answer
    if name == "dvalues" and len(result) > 1 and is_float(result[1].get("output")):
        kept: _Option = ("output", ("at", ("slot", 0), "output"))
        found = [kept, *found] if request.per_example else [*found, kept]
    return found


def _with_cotangent(request: _Request, place: int, name: str, asked: int) -> list[_Option]:
    """Return what an argument may be, the cotangent of an output where it is called like one."""
    arguments, outputs = request.ready.arguments, request.ready.outputs
    found, which = _known(request, name), _which_output(name, outputs)
    cotangent = COTANGENT.fullmatch(name) is not None and name not in arguments.expressions
    if asked and cotangent and not any(key_of(name) == key_of(leaf.label) for leaf in outputs):
        # Of what is it the gradient, if not of an output that has none yet?
        return [("cotangent", which), *found] if len(outputs) > asked else found
    if cotangent and request.per_example and name not in ("dout", "dL"):
        # A loss's backward pass is given the predictions, whatever they are called.
        return [*found, ("guess", which)]
    if found and _is_slope(request) and name in request.required and _says_slope(request):
        return [*found, ("cotangent", which)] if cotangent else found
    alone = _is_alone(request, place, name)
    if cotangent and not alone and place:
        return [("cotangent", which), *[option for option in found if option[0] == "named"]]
    if cotangent or alone:
        # Called like a cotangent it is hardly anything else.
        other = [("guess-input", what) if kind == "input" else (kind, what) for kind, what in found]
        return [("cotangent", which), *(other if cotangent else found)]
    first = place == 0 and len(request.required) > 1 and not _DATA.fullmatch(name)
    if first and name not in request.returned:
        return [*found, ("guess", which)]
    only = place == 0 and len(request.required) == 1 and request.has_output_array
    if only and not _is_backward(request) and not any(kind == "named" for kind, _ in found):
        return [*found, ("position", which)]
    return found


def _is_parts(request: _Request, name: str) -> bool:
    """Say whether a pass takes an argument apart: it is a cache, where the forward pass has one."""
    use = usage(request.candidate.node, {}).get(name)
    whole = isinstance(request.ready.answer[0], tuple)
    return whole and use is not None and use.kind in (UNPACKED, KEYED, LISTED)


def _says_slope(request: _Request) -> bool:
    """Say whether a function is called as the derivative itself, not its product with another."""
    words = {"prime", "deriv", "derivative", "derivatives", "slope"}
    return bool(words & set(name_parts(request.candidate.function)))


def _is_slope(request: _Request) -> bool:
    """Say whether a function of one argument may be the derivative of another of one."""
    is_method = request.candidate.owner is not None
    given = required(request.forward.node, is_method)
    return len(given) == len(request.required) == 1 and not _is_backward(request)


def _is_backward(request: _Request) -> bool:
    return bool(BACK & set(name_parts(request.candidate.function)))


def _is_alone(request: _Request, place: int, name: str) -> bool:
    """Say whether an argument is the cotangent since nothing else of what is asked can be it."""
    if not (_is_backward(request) and request.has_output_array) or _is_parts(request, name):
        return False
    if request.unknown == [name] and len(request.required) > 1:
        return not _IN_HAND.fullmatch(name)  # all else is known
    # What goes with the output in the forward pass's results is its cache.
    alone = len(request.required) == 1 and place == 0 and name not in request.returned[1:]
    again = _is_input_again(request.candidate, request.forward, name, request.ready.arguments)
    return alone and not again


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


def _known(request: _Request, name: str) -> list[_Option]:
    """Return what of the forward pass an argument may be: of its inputs, results, or its cache."""
    arguments, outputs, names = request.ready.arguments, request.ready.outputs, request.returned
    result, slot = request.ready.answer[0], result_of(request.ready.steps)
    found: list[_Option] = []
    lower = {key.lower(): value for key, value in arguments.expressions.items()}
    if name in arguments.expressions:
        found.append(("named", arguments.expressions[name]))
    elif name.lower() in lower:
        found.append(("named", lower[name.lower()]))
    at = place_among(name, names)
    if isinstance(result, tuple) and len(names) == len(result) and at is not None:
        found.append(("named", ("at", slot, at)))
    if outputs and name in request.required and _is_slope(request):
        given = [("named", each) for each in arguments.expressions.values()]
        # g'(z), or the same in terms of a = g(z).
        return [*(found or given[:1]), ("output", outputs[0].where)]
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
        said = "input" if len(request.unknown) <= 1 else "guess-input"
        found += [(said, each) for each in inputs[:1]]
        found.append((said, outputs[0].where))
        if len(inputs) > 1:
            found.append((said, ("tuple", inputs)))
            found += [(said, each) for each in inputs[1:]]
    return found
