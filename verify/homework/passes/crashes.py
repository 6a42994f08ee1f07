"""Whose fault it is that a pass raises: its author's, or that of inputs which we guessed."""

from __future__ import annotations

import ast
import re

import numpy as np

from verify.homework.passes.case import Case
from verify.homework.passes.measure import Obstacle
from verify.homework.passes.verdicts import Outcome
from verify.homework.read.discover import Candidate, methods_of
from verify.homework.read.extract import Extract
from verify.homework.read.usage import axes_of


def fault_of(outcome: Outcome) -> str:
    """Say how a pass raises in one of the settings, "" where it does not."""
    obstacle, setting = outcome.measurement, outcome.experiment.setting
    if not isinstance(obstacle, Obstacle) or not obstacle.crashed:
        return ""
    return f"With {setting}: {obstacle.says}" if setting else obstacle.says


def is_plain(case: Case, candidate: Candidate, outcome: Outcome) -> bool:
    """Say whether what raised is no guess of ours, and nothing that is missing here.

    Inputs are no guess that are known from the file, are as plain as can be, or have as many axes
    as the forward pass names.
    """
    experiment, obstacle = outcome.experiment, outcome.measurement
    raised = obstacle.raised if isinstance(obstacle, Obstacle) else None
    if raised is None or raised.kind in _MISSING or _imported(case.found, raised.sentence):
        return False
    if candidate.owner is None and not _returns(candidate.node):
        return False  # it writes into something that it is given, of which nothing is known
    functions = methods_of(case.found, candidate.owner) if candidate.owner else case.found.functions
    node = functions.get(experiment.forward_name)
    axes = axes_of(node).of(experiment.main) if node is not None else 0
    named = axes == np.ndim(experiment.given.get(experiment.main, 0.0))
    plain = all(np.ndim(value) <= 2 for value in experiment.given.values())
    plain = plain and not (node is not None and _goes_through(node, experiment.main))
    return experiment.tier <= 1 or (experiment.tier == 2 and (plain or named))


def _returns(node: ast.FunctionDef) -> bool:
    """Say whether a function returns a value."""
    return any(isinstance(p, ast.Return) and p.value is not None for p in ast.walk(node))


def _goes_through(node: ast.FunctionDef, name: str) -> bool:
    """Say whether a function goes through an argument item by item: it may want other items."""
    return any(
        isinstance(part, ast.For)
        and any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(part.iter))
        for part in ast.walk(node)
    )


_MISSING = frozenset({"KeyError", "AttributeError", "NotImplementedError", "AbsentError"})
"""What is raised where a cache or a part of an object was not made by then, or is not run here."""


def _imported(found: Extract, sentence: str) -> bool:
    """Say whether what raised misses a name that the file has from elsewhere."""
    name = re.search(r"name '(\w+)' is not defined", sentence)
    return name is not None and any(
        isinstance(part, ast.alias) and name[1] in (part.name, part.asname)
        for statement in (*found.statements, *found.rest)
        for part in ast.walk(statement.node)
    )
