"""A forward pass, a loss and the backward pass of both, each in a function of its own.

The loss is a function of the file that takes the output and the labels. Where a class has only
`cost_derivative(output, y)`, that is the cotangent with which `backprop(x, y)` begins.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import starmap
from typing import Any

import numpy as np

from verify.homework.passes.case import Case
from verify.homework.passes.descent import RATE, SURE_RATES, descents
from verify.homework.passes.experiment import Experiment
from verify.homework.passes.forward_runs import forward_steps, outputs_of
from verify.homework.passes.forwards import Forward, is_cost
from verify.homework.passes.inputs import REG, Arguments, argument_sets, draw, main_of, said
from verify.homework.passes.matching import match, unmatched_of
from verify.homework.passes.objects import Side, sides
from verify.homework.passes.pairs import steps_of
from verify.homework.passes.recordings import arguments_of, side_of
from verify.homework.passes.repair import STATEMENTS, Source
from verify.homework.passes.results import (
    Leaf,
    as_made,
    attributes,
    kept_of,
    key_of,
    leaves_of,
    place_among,
    result_of,
    state_of,
)
from verify.homework.read.discover import Candidate, is_hinted, methods_of, name_parts, stem
from verify.homework.read.extract import Extract
from verify.homework.read.syntax import parameters, returned
from verify.homework.run.calls import array_of
from verify.homework.run.door import Expression, Raised, Recipe, Step

_FORWARD = frozenset(
    "forward fwd feedforward fprop forwardprop predict net propagate feed model run output "
    "hypothesis encode".split()
)
LABELS = re.compile(r"y|Y|t|labels?|targets?|y_?true|Y_\w+|y_(?:batch|train)|T")
_INPUT = re.compile(r"x|X|inputs?|data|x_\w+|X_\w+")
_NUMBER = re.compile(r"reg\w*|lam\w*|lmb?d\w*|l2\w*|alpha|weight_decay")
MOST_OUTPUTS = 3


def composed(case: Case, candidate: Candidate) -> Iterator[list[Experiment]]:
    """Yield experiments of a backward pass whose loss is in another function than its output."""
    others = methods_of(case.found, candidate.owner) if candidate.owner else case.found.functions
    if not is_hinted(candidate.function, others):
        return
    forwards = [
        Forward(name, node)
        for name, node in others.items()
        if _FORWARD & set(name_parts(name)) and not is_hinted(name, others) and not is_cost(name)
    ]
    for forward in forwards:
        for side, arguments in _called(case, candidate, forward):
            made = _made(case, candidate, side, forward, arguments)
            if made is None:
                continue
            variants = [
                list(other.experiments(others))
                for variant in side.variants
                if (other := _made(case, candidate, variant, forward, arguments)) is not None
            ]
            for place, experiments in enumerate(made.experiments(others)):
                same = [found[place] for found in variants if len(found) > place]
                yield experiments + list(itertools.chain.from_iterable(same))


def _made(
    case: Case, candidate: Candidate, side: Side, forward: Forward, arguments: Arguments
) -> _Made | None:
    """Call a forward pass; None where it raises."""
    steps = forward_steps(side, forward.name, arguments)
    given = {**side.given, **arguments.given}
    answer = case.door.run(Recipe(steps, (result_of(steps), *state_of(side))), given)
    if isinstance(answer, Raised):
        return None
    return _Made(case, candidate, side, forward, arguments, steps, given, answer)


def _called(case: Case, candidate: Candidate, forward: Forward) -> Iterator[tuple[Side, Arguments]]:
    """Yield what a forward pass is called with: by its names, then as the file does."""
    for side in sides(case.found, case.door, candidate.owner):
        for known in (*_initialised(case, candidate, forward), None):
            sets = argument_sets(
                case.found,
                forward.node,
                candidate.owner is not None,
                stem(forward.name),
                known,
                held=known.given if known else None,
            )
            for arguments in itertools.islice(sets, 16):
                if case.late:
                    return
                yield side, arguments[0]
    qualified = f"{candidate.owner}.{forward.name}" if candidate.owner else forward.name
    call = case.recorded(qualified)
    if call is None:
        return
    found = arguments_of(call)
    if found.expressions.keys() == call["arguments"].keys():
        made = side_of(candidate.owner, call) if candidate.owner else None
        yield made or Side(candidate.owner), found


def _initialised(case: Case, candidate: Candidate, forward: Forward) -> Iterator[Arguments]:
    """Yield the parameters that a function of the file makes for a forward pass, drawn anew."""
    wanted = {name for name, _ in parameters(forward.node, False)}
    for name, node in case.found.functions.items():
        names = returned(node) or []
        required = any(not default for _, default in parameters(node, False))
        if candidate.owner is not None or required or len(wanted & set(names)) < 2:
            continue
        answer = case.door.run(Recipe((("call", ("name", name), [], {}),), (("slot", 0),)), {})
        if isinstance(answer, Raised) or not isinstance(answer[0], tuple | list):
            continue
        if len(answer[0]) != len(names):
            continue
        rng = np.random.default_rng(31)
        made = [array_of(value) for value in answer[0]]
        given = {
            name: 0.6 * draw(value.shape, rng)
            for name, value in zip(names, made, strict=True)
            if value is not None and name in wanted
        }
        yield Arguments({name: ("in", name) for name in given}, given)


class _Made:
    """A forward pass that was called, and what came of it."""

    def __init__(
        self,
        case: Case,
        candidate: Candidate,
        side: Side,
        forward: Forward,
        arguments: Arguments,
        steps: tuple[Step, ...],
        given: Mapping[str, Any],
        answer: Sequence[Any],
    ):
        self.case, self.candidate, self.side, self.forward = case, candidate, side, forward
        self.arguments, self.steps, self.given, self.answer = arguments, steps, given, answer

    def experiments(self, others: Mapping[str, ast.FunctionDef]) -> Iterator[list[Experiment]]:
        """Yield an experiment for each loss, output and kind of labels."""
        outputs = outputs_of(self.answer, self.forward, self.steps, self.side)
        outputs = [leaf for leaf in outputs if leaf.value.ndim <= 2][::-1][:MOST_OUTPUTS]
        losses = {n: f for n, f in others.items() if is_cost(n) and not is_hinted(n, others)}
        if self.candidate.owner is not None:
            losses |= {n: f for n, f in self.case.found.functions.items() if is_cost(n)}
        by_target = [
            (("at", ("at", ("slot", 0), attribute), method), node, True)
            for attribute, method, node in _held_losses(self.case.found, self.candidate.owner)
        ]
        for name, node in losses.items():
            target = self.side.target(name) if name in others else ("name", name)
            by_target.append((target, node, self.candidate.owner is not None and name in others))
        for output in outputs:
            for kinds in _labels(output.value):
                found = [
                    experiments
                    for labels in kinds
                    for target, node, method in by_target
                    for experiments in self._with_loss(output, labels, target, node, method)
                ]
                if "cost_derivative" in others and not losses:
                    for labels in kinds:
                        found += self._with_cotangent(output, labels)
                yield from found
                if found:
                    break
            if not by_target and "cost_derivative" not in others:
                yield from self._implied(output)

    def _implied(self, output: Leaf) -> Iterator[list[Experiment]]:
        """Yield experiments of a pass that starts with `output - y`, for want of a loss.

        That is the derivative of its loss by something of the output's shape: by the output, or
        by what its activation is taken of. Which is found by trial.
        """
        start = _difference(self.candidate.node)
        own = self._bound(self.candidate.arguments, output)
        if start is None or own is None:
            return
        place, difference, sign = start
        node = self.candidate.node
        # What moves its weights goes down its loss; what returns gradients may mean those upwards.
        sign = sign if descents(node) else 1
        text = Source(node).replaced(place, ast.Return(difference))
        define: Step = ("define", self.candidate.owner, self.candidate.function, text)
        call: Step = ("call", self.side.target(self.candidate.function), [], own)
        backward = (*self.steps, call)
        first = Recipe((define, *backward), (result_of(backward),))
        for labels in itertools.chain.from_iterable(_labels(output.value)):
            given = {**self.given, "labels": labels, "reg": REG}
            answer = self.case.door.run(first, given)
            cotangent = None if isinstance(answer, Raised) else array_of(answer[0])
            if cotangent is None or cotangent.shape != output.value.shape:
                continue
            ways = [
                (leaf.label or "its output", leaf.where, cotangent) for leaf in self._shaped(output)
            ]
            ways += [
                (f"what its {name} is taken of", output.where, before)
                for name, before in _before_activation(output.value, labels, cotangent)
            ]
            for by, where, by_it in ways:
                found = self._experiment(
                    self.steps, (where,), backward, given, "fixed", (sign * by_it,)
                )
                for each in found:
                    implied = (ast.unparse(difference), by)
                    yield [replace(one, implied=implied, accuses=False) for one in each]
            return

    def _shaped(self, output: Leaf) -> Iterator[Leaf]:
        """Yield an output, and all else of its shape that goes forward to it, each value once."""
        kept = leaves_of(self.answer[0], result_of(self.steps), returned(self.forward.node))
        if len(self.answer) > 1:
            kept += [Leaf(path, where, value) for path, where, value in attributes(self.answer[1])]
        seen: list[np.ndarray] = []
        for leaf in [output, *kept]:
            same = leaf.value.shape == output.value.shape and leaf.label not in self.side.given
            if same and not any(np.array_equal(leaf.value, other) for other in seen):
                seen.append(leaf.value)
                yield leaf

    def _with_loss(
        self,
        output: Leaf,
        labels: np.ndarray,
        target: Expression,
        node: ast.FunctionDef,
        method: bool,
    ) -> Iterator[list[Experiment]]:
        wanted = parameters(node, method)
        rest = [n for n, default in wanted if not (default or LABELS.fullmatch(n))]
        bound = self._bound(wanted, output)
        if bound is not None and len(rest) == 1:
            bound[rest[0]] = output.where
        own = self._bound(self.candidate.arguments, output)
        if bound is None or own is None:
            return
        forward = (*self.steps, ("call", target, [], bound))
        backward = (*forward, ("call", self.side.target(self.candidate.function), [], own))
        given = {**self.given, "labels": labels, "reg": REG}
        yield from self._experiment(forward, (result_of(forward),), backward, given, "ones", ())

    def _with_cotangent(self, output: Leaf, labels: np.ndarray) -> Iterator[list[Experiment]]:
        own = self._bound(self.candidate.arguments, output)
        if own is None or labels.shape != output.value.shape:
            return
        given = {**self.given, "labels": labels, "reg": REG}
        call: Step = (
            "call",
            self.side.target("cost_derivative"),
            [output.where, ("in", "labels")],
            {},
        )
        answer = self.case.door.run(Recipe((*self.steps, call), (result_of((*self.steps, call)),)),
                                    given)  # fmt: skip
        if isinstance(answer, Raised) or np.shape(answer[0]) != output.value.shape:
            return
        backward = (*self.steps, ("call", self.side.target(self.candidate.function), [], own))
        fixed = (np.asarray(answer[0], float),)
        yield from self._experiment(self.steps, (output.where,), backward, given, "fixed", fixed)

    def _bound(
        self, arguments: Sequence[tuple[str, bool]], output: Leaf
    ) -> dict[str, Expression] | None:
        """Return an expression for each argument, None where one is not known."""
        bound: dict[str, Expression] = {}
        names = returned(self.forward.node) or []
        result = self.answer[0]
        whole = result_of(self.steps)
        named = isinstance(result, tuple) and len(names) == len(result)
        free = [output.where]
        cache: list[Expression] = []
        if isinstance(result, tuple):
            cache = [("at", whole, i) for i, part in enumerate(result)
                     if not isinstance(part, (np.ndarray, float))]  # fmt: skip
            cache = cache or [whole]
        elif isinstance(result, (dict, list)):
            cache = [whole]
        lower = {k.lower(): v for k, v in self.arguments.expressions.items()}
        rates = {descent.argument for descent in descents(self.candidate.node).values()}
        for name, default in arguments:
            if LABELS.fullmatch(name):
                bound[name] = ("in", "labels")
            elif name in self.arguments.expressions or name.lower() in lower:
                bound[name] = self.arguments.expressions.get(name) or lower[name.lower()]
            elif named and (at := place_among(name, names)) is not None:
                bound[name] = ("at", whole, at)
            elif _INPUT.fullmatch(name) and self.arguments.expressions:
                bound[name] = next(iter(self.arguments.expressions.values()))
            elif name in rates or name.lower() in SURE_RATES:
                bound[name] = ("value", RATE)
            elif _NUMBER.fullmatch(name):
                bound[name] = ("in", "reg")
            elif default:
                continue
            elif re.search(r"cach|memo|store|saved|acti", name) and cache:
                bound[name] = cache[0]
            elif free:
                bound[name] = free.pop()
            elif cache:
                bound[name] = cache.pop()
            else:
                return None
        return bound

    def _experiment(
        self,
        forward: tuple[Step, ...],
        outputs: tuple[Expression, ...],
        backward: tuple[Step, ...],
        given: Mapping[str, Any],
        weights: str,
        fixed: tuple[np.ndarray, ...],
    ) -> Iterator[list[Experiment]]:
        """Yield the experiment if both run, the loss is a number and gradients are matched."""
        case, candidate = self.case, self.candidate
        before = case.door.run(Recipe(forward, outputs), given)
        value = None if isinstance(before, Raised) else array_of(before[0])
        if value is None or not np.isfinite(value).all():
            return
        if weights == "ones" and value.size != 1:
            return
        after = case.door.run(Recipe(backward, (result_of(backward), *state_of(self.side))), given)
        inputs = self.arguments.given
        base = Experiment(
            given=given,
            forward=forward,
            outputs=outputs,
            backward=backward,
            gradients=(),
            weights=weights,
            fixed=fixed,
            forward_name=self.forward.name,
            main=next((n for n in inputs if _INPUT.fullmatch(n)), main_of(inputs)),
            setting=", ".join(starmap(said, self.side.settings.items())),
            settings={**self.side.settings, **self.arguments.settings},
            tier=max(self.arguments.tier, 2),
            certain=False,
            made_surely=self.side.sure,
            accuses=self.side.sure,
        )
        if isinstance(after, Raised):
            case.note(candidate, after)
            known = all(
                LABELS.fullmatch(name) or _INPUT.fullmatch(name)
                for name, default in candidate.arguments
                if not default
            )
            if known and len(candidate.arguments) > 1:
                yield [replace(base, certain=self.side.sure)]
            return
        case.ran.add(candidate.name)
        results = leaves_of(after[0], result_of(backward), returned(candidate.node))
        made = as_made(case.door, self.side, given)
        leaves = [*results, *kept_of(self.answer, after, made, self.side.given, results)]
        gradients = match(leaves, given, key_of(""))
        steps, moved = steps_of(
            candidate.node, self.side, self.answer, after, gradients, downwards=True
        )
        gradients += steps
        if not gradients or (len(leaves) == 1 and not leaves[0].label and not steps):
            return
        unmatched = unmatched_of(leaves, gradients)
        yield [replace(base, gradients=gradients, unmatched=unmatched, moved=moved)]


def _difference(node: ast.FunctionDef) -> tuple[int, ast.expr, int] | None:
    """Return the difference of an output and labels in a pass, with its sign and number.

    `2 * (output - y)`, after the place of its statement; then 1, or -1 where it is that of labels
    and the output. None where there is none, or where there are two.
    """
    labels = {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
    labels = {name for name in labels if LABELS.fullmatch(name)}
    found: dict[str, tuple[int, ast.expr, int]] = {}
    for place, statement in enumerate(ast.walk(node)):
        if not isinstance(statement, STATEMENTS) or statement.value is None:
            continue
        for part in ast.walk(statement.value):
            match part:
                case ast.BinOp(left, ast.Sub(), right) if _is_of(left, labels) != _is_of(
                    right, labels
                ):
                    sign = -1 if _is_of(left, labels) else 1
                    whole, sign = _scaled(part, sign, statement.value)
                    found.setdefault(ast.unparse(whole), (place, whole, sign))
        of_labels = {n.id for n in ast.walk(statement.value) if isinstance(n, ast.Name)} & labels
        if isinstance(statement, ast.Assign) and of_labels and not found:
            labels |= {t.id for t in statement.targets if isinstance(t, ast.Name)}  # made one-hot
    return next(iter(found.values())) if len(found) == 1 else None


def _before_activation(
    output: np.ndarray, labels: np.ndarray, difference: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the derivative by an output of the loss whose derivative before it is a difference.

    Cross-entropies: of a sigmoid a it is (a - y) / (a (1 - a)), of a softmax -y / a.
    """
    if labels.shape != output.shape or not ((output > 0) & (output < 1)).all():
        return
    yield "sigmoid", difference / (output * (1 - output))
    gap = output - labels
    times = float((difference * gap).sum() / max(float((gap**2).sum()), 1e-300))
    for axis in (0, -1):
        sums = (output.sum(axis), labels.sum(axis))
        if output.ndim == 2 and all(np.allclose(total, 1) for total in sums):
            yield "softmax", -times * labels / output


def _scaled(part: ast.expr, sign: int, value: ast.expr) -> tuple[ast.expr, int]:
    """Return an expression inside another with what number it is multiplied by, and its sign."""
    for outer in ast.walk(value):
        match outer:
            case ast.UnaryOp(ast.USub(), inner) if inner is part:
                return _scaled(outer, -sign, value)
            case ast.BinOp(number, ast.Mult(), inner) | ast.BinOp(
                inner, ast.Mult() | ast.Div(), number
            ) if inner is part:
                match number:
                    case ast.Constant():
                        return _scaled(outer, sign, value)
                    case ast.UnaryOp(ast.USub(), ast.Constant()):
                        return _scaled(outer, -sign, value)
                    case _ if isinstance(outer.op, ast.Div) and _is_count(number):
                        return _scaled(outer, sign, value)
    return part, sign


def _is_count(number: ast.expr) -> bool:
    """Say whether an expression counts: `m`, `y.size`, `len(y)`, `y.shape[0]`."""
    match number:
        case ast.Name(name):
            return len(name) == 1 or name.startswith(("n_", "num", "batch"))
        case ast.Attribute(_, "size") | ast.Call(ast.Name("len")):
            return True
        case ast.Subscript(ast.Attribute(_, "shape")):
            return True
    return False


def _is_of(node: ast.expr, labels: Collection[str]) -> bool:
    """Say whether an expression is labels: a name of theirs, or an attribute that is called so."""
    match node:
        case ast.Attribute(attr=name):
            return LABELS.fullmatch(name) is not None
        case ast.Name(name):
            return name in labels
        case ast.Call(_, arguments):
            return any(_is_of(argument, labels) for argument in arguments)
    return False


def _held_losses(found: Extract, owner: str | None) -> Iterator[tuple[str, str, ast.FunctionDef]]:
    """Yield the losses of other classes that an object has: `self.cost.fn(a, y)`."""
    kind = found.classes.get(owner or "")
    if kind is None:
        return
    called = {
        (part.func.value.attr, part.func.attr)
        for part in ast.walk(kind)
        if isinstance(part, ast.Call)
        and isinstance(part.func, ast.Attribute)
        and isinstance(part.func.value, ast.Attribute)
        and getattr(part.func.value.value, "id", "") == "self"
    }
    for attribute, method in sorted(called):
        for other in found.classes:
            node = methods_of(found, other).get(method)
            if (
                node is not None
                and (is_cost(method) or is_cost(attribute))
                and not is_hinted(method, methods_of(found, other))
            ):
                yield attribute, method, node
                break


def _labels(output: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Yield labels of every kind for an output: one-hot, also transposed, 0/1, any, numbers."""
    shape = output.shape
    matrix = len(shape) == 2 and min(shape) > 1
    if matrix:
        rows, columns = np.zeros(shape), np.zeros(shape)
        rows[np.arange(shape[0]), np.arange(shape[0]) % shape[1]] = 1
        columns[np.arange(shape[1]) % shape[0], np.arange(shape[1])] = 1
        yield [rows, columns]
        yield [rows.T.copy(), columns.T.copy()]
    yield [(np.arange(output.size).reshape(shape) % 3 == 1).astype(float)]
    yield [draw(shape, np.random.default_rng(23))]
    if matrix:
        yield [np.arange(shape[0]) % shape[1], np.arange(shape[1]) % shape[0]]
    if len(shape) == 2 and 1 in shape:
        yield [(np.arange(output.size) % 3 == 1).astype(float)]
