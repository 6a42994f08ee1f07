"""A forward pass, a loss and the backward pass of both, each in a function of its own.

The loss is a function of the file that takes the output and the labels. Where a class has only
`cost_derivative(output, y)`, that is the cotangent with which `backprop(x, y)` begins.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from verify.homework.passes.experiment import Experiment
from verify.homework.passes.inputs import REG, Arguments, argument_sets, draw, main_of
from verify.homework.passes.objects import Side, sides
from verify.homework.passes.plans import (
    Case,
    Forward,
    Leaf,
    forward_steps,
    is_cost,
    kept_of,
    key_of,
    leaves_of,
    match,
    outputs_of,
    result_of,
    state_of,
    unmatched_of,
)
from verify.homework.passes.recordings import arguments_of, side_of
from verify.homework.read.discover import Candidate, is_hinted, methods_of, name_parts, stem
from verify.homework.read.syntax import parameters, returned
from verify.homework.run.calls import array_of
from verify.homework.run.door import Expression, Raised, Recipe, Step

_FORWARD = frozenset(
    "forward fwd feedforward fprop forwardprop predict net propagate feed model run output "
    "hypothesis encode".split()
)
_LABELS = re.compile(r"y|Y|t|labels?|targets?|y_?true|Y_\w+|y_(?:batch|train)|T")
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
            steps = forward_steps(side, forward.name, arguments)
            given = {**side.given, **arguments.given}
            answer = case.door.run(Recipe(steps, (result_of(steps), *state_of(side))), given)
            if isinstance(answer, Raised):
                continue
            made = _Made(case, candidate, side, forward, arguments, steps, given, answer)
            yield from made.experiments(others)


def _called(case: Case, candidate: Candidate, forward: Forward) -> Iterator[tuple[Side, Arguments]]:
    """Yield what a forward pass is called with: by its names, then as the file does."""
    for side in sides(case.found, case.door, candidate.owner):
        sets = argument_sets(forward.node, candidate.owner is not None, stem(forward.name))
        for arguments in itertools.islice(sets, 12):
            yield side, arguments[0]
    qualified = f"{candidate.owner}.{forward.name}" if candidate.owner else forward.name
    call = case.recorded(qualified)
    if call is None or (found := arguments_of(call)) is None:
        return
    yield (
        (side_of(candidate.owner, call) or Side(candidate.owner)) if candidate.owner else (Side()),
        found,
    )


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
        for output in outputs:
            for labels in _labels(output.value):
                for name, node in losses.items():
                    target = self.side.target(name) if name in others else ("name", name)
                    method = self.candidate.owner is not None and name in others
                    yield from self._with_loss(output, labels, target, node, method)
                if "cost_derivative" in others and not losses:
                    yield from self._with_cotangent(output, labels)

    def _with_loss(
        self,
        output: Leaf,
        labels: np.ndarray,
        target: Expression,
        node: ast.FunctionDef,
        method: bool,
    ) -> Iterator[list[Experiment]]:
        bound = self._bound(parameters(node, method), output)
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
        free = [output.where]
        cache: list[Expression] = []
        if isinstance(result, tuple):
            cache = [("at", whole, i) for i, part in enumerate(result)
                     if not isinstance(part, (np.ndarray, float))]  # fmt: skip
            cache = cache or [whole]
        elif isinstance(result, (dict, list)):
            cache = [whole]
        lower = {k.lower(): v for k, v in self.arguments.expressions.items()}
        for name, default in arguments:
            if _LABELS.fullmatch(name):
                bound[name] = ("in", "labels")
            elif name in self.arguments.expressions or name.lower() in lower:
                bound[name] = self.arguments.expressions.get(name) or lower[name.lower()]
            elif isinstance(result, tuple) and name in names and len(names) == len(result):
                bound[name] = ("at", whole, names.index(name))
            elif _INPUT.fullmatch(name) and self.arguments.expressions:
                bound[name] = next(iter(self.arguments.expressions.values()))
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
        if isinstance(after, Raised):
            case.note(candidate, after)
            return
        leaves = [
            *leaves_of(after[0], result_of(backward), returned(candidate.node)),
            *kept_of(self.answer, after),
        ]
        gradients = match(leaves, given, key_of(""))
        if not gradients or (len(leaves) == 1 and not leaves[0].label):
            return
        yield [
            Experiment(
                given=given,
                forward=forward,
                outputs=outputs,
                backward=backward,
                gradients=gradients,
                weights=weights,
                fixed=fixed,
                forward_name=self.forward.name,
                main=main_of(self.arguments.given),
                settings=self.arguments.settings,
                tier=max(self.arguments.tier, 2),
                certain=False,
                unmatched=unmatched_of(leaves, gradients),
                accuses=self.side.sure,
            )
        ]


def _labels(output: np.ndarray) -> Iterator[np.ndarray]:
    """Yield labels of every kind for an output: one-hot by rows and columns, 0/1, any, numbers."""
    shape = output.shape
    rng = np.random.default_rng(23)
    if len(shape) == 2 and min(shape) > 1:
        rows, columns = np.zeros(shape), np.zeros(shape)
        rows[np.arange(shape[0]), np.arange(shape[0]) % shape[1]] = 1
        columns[np.arange(shape[1]) % shape[0], np.arange(shape[1])] = 1
        yield from (rows, columns)
        yield np.arange(shape[0]) % shape[1]
        yield np.arange(shape[1]) % shape[0]
    yield (np.arange(output.size).reshape(shape) % 3 == 1).astype(float)
    yield draw(shape, rng)
    if len(shape) == 2 and 1 in shape:
        yield (np.arange(output.size) % 3 == 1).astype(float)
