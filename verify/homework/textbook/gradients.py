"""A file's wrong gradients beside the right ones, entry by entry, for those who want to look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import manual
from verify.homework.report import Gradient
from verify.homework.run.calls import array_of
from verify.homework.textbook.network_findings import bars_of
from verify.problem import Problem
from verify.report import over_bar


def wrong_gradients(function: str, problem: Problem, given: Mapping[str, Any]) -> list[Gradient]:
    """Return those of the gradients that `function` gave which are beyond their error bars.

    A gradient that is missing, or of another size than its parameter, has no entries to compare.
    """
    _, right = manual.loss_and_grads(*problem.arguments, **problem.options)
    found = []
    for name, bar in bars_of(problem).items():
        array = array_of(given.get(name))
        if array is None or array.size != bar.size:
            continue
        array = np.asarray(array, float).reshape(bar.shape)
        if (over_bar(array - right[name], bar) > 1).any():
            found.append(
                Gradient(function, name, array.tolist(), right[name].tolist(), bar.tolist())
            )
    return found
