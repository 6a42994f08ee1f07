"""The other states of a pass's object: an attribute that its pass asks for is set from outside.

`if self.mode == "test"`, `if not self.training`: a network sets that in its layers. What a pass
does in such a state is judged by what it returns there; the gradients of parameters that an object
keeps may be those of before.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from verify.homework.passes.experiment import Experiment
from verify.homework.read.usage import texts_compared


def in_other_states(experiment: Experiment, owner: str, node: ast.FunctionDef) -> list[Experiment]:
    """Return an experiment on an object's method in every state that the method asks for."""
    made = experiment.forward[:1]
    if not made or made[0][0] != "call" or made[0][1] != ("name", owner):
        return []
    returned = [g for g in experiment.gradients if _is_returned(g.where, experiment)]
    found = []
    for attribute, value in _states(node):
        put = ("put", ("slot", 0), attribute, ("value", value))
        found.append(
            replace(
                experiment,
                forward=(*made, put, *experiment.forward[1:]),
                backward=(*made, put, *experiment.backward[1:]),
                gradients=tuple(returned),
                setting=", ".join(filter(None, (experiment.setting, f"{attribute} {value}"))),
            )
        )
    return found if returned else []


def _is_returned(where: tuple[object, ...], experiment: Experiment) -> bool:
    """Say whether a gradient is what the last call returns, or a part of it."""
    calls = sum(step[0] == "call" for step in experiment.backward)
    while where[0] == "at":
        where = where[1]  # type: ignore[assignment]
    return where == ("slot", calls - 1)


def _states(node: ast.FunctionDef) -> Iterator[tuple[str, str | bool]]:
    """Yield attributes and what they are asked to be: a text, or true or false."""
    for part in ast.walk(node):
        if isinstance(part, ast.If | ast.IfExp):
            for inner in ast.walk(part.test):
                if not isinstance(inner, ast.Attribute) or getattr(inner.value, "id", "") != "self":
                    continue
                texts = texts_compared(node, inner.attr)
                yield from ((inner.attr, text) for text in texts)
                if not texts and _is_asked(part.test, inner):
                    yield from ((inner.attr, value) for value in (True, False))


def _is_asked(test: ast.expr, attribute: ast.Attribute) -> bool:
    """Say whether a test is of whether an attribute is true."""
    parts = test.values if isinstance(test, ast.BoolOp) else [test]
    plain = [p.operand if isinstance(p, ast.UnaryOp) else p for p in parts]
    return any(part is attribute for part in plain)
