"""Any architecture: a loss and its gradient, by the names that they have in a file.

The file defines three things, and needs to define no more:

    params()       returns the parameters: an array, or dicts, lists and tuples of arrays of
                   floating-point numbers (it may also be a workspace constant)
    loss(params)   returns one number, the same whenever it is given the same parameters
    grads(params)  returns the gradient of the loss by every array, in the same structure

under whatever names. Data is made within the functions, from a seed: of the file's top level
only definitions, imports and workspace constants are run, not its training. Unlike the course's
exercises it may import whatever is installed.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from verify.evidence.claims import RANDOM
from verify.evidence.trees import Tree, flatten
from verify.findings import Extent, Finding
from verify.homework.passes.own_differences import compare_with_differences, is_derivative
from verify.homework.read.extract import UnreadableError, extract
from verify.homework.report import (
    AGREE,
    CRASHED,
    DISAGREE,
    UNDECIDED,
    UNREADABLE,
    FileReport,
    FunctionVerdict,
)
from verify.homework.run.calls import CallError, attempted, guarded, number_of
from verify.homework.run.namespace import Workspace, open_workspace
from verify.homework.run.sandbox import NamedFunctions
from verify.report import PAIRS, Report, Tensor, over_bar


def judge_named(path: Path, named: NamedFunctions, shown: str) -> FileReport:
    """Judge the loss and the gradient of a file that go by these names."""
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = _judged(open_workspace(extract(path), everything=True), named, shown)
    except UnreadableError as fault:
        report = FileReport(shown, UNREADABLE, f"It cannot be read: {fault}.")
    except CallError as fault:
        report = FileReport(shown, fault.verdict, str(fault))
    except ValueError as fault:
        report = FileReport(shown, CRASHED, f"{str(fault).rstrip('.')}.")
    judged = tuple(f.name for f in report.functions)
    return replace(report, advisory=judged, seconds=time.perf_counter() - start)


def _judged(workspace: Workspace, named: NamedFunctions, shown: str) -> FileReport:
    missing = [n for n in (named.loss, named.grads, named.params) if n not in workspace.names]
    if missing:
        why = workspace.failed.get(missing[0], "the file defines nothing of that name")
        return FileReport(shown, UNREADABLE, f"{missing[0]} cannot be used: {why}.")
    params = workspace.names[named.params]
    if callable(params):
        params = guarded(workspace, named.params, params)
    tree = flatten("params", params)

    def loss(arrays: Mapping[str, np.ndarray]) -> Any:
        value = number_of(
            guarded(workspace, named.loss, workspace.names[named.loss], tree.build(arrays))
        )
        if value is None:
            raise CallError(named.loss, "does not return one number")
        return np.asarray(value)

    def grads(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        result = guarded(workspace, named.grads, workspace.names[named.grads], tree.build(arrays))
        return tree.read(named.grads, result)

    loss(dict(tree.arrays))
    grads(dict(tree.arrays))
    if drawn := _drawn(workspace, named, tree):
        functions = (FunctionVerdict(named.loss, UNDECIDED, drawn),)
        return FileReport(shown, UNDECIDED, drawn, functions)
    return _report(named, shown, compare_with_differences(loss, grads, tree.arrays))


def _drawn(workspace: Workspace, named: NamedFunctions, tree: Tree) -> str:
    """Say that the loss draws random numbers anew at each call; "" if it does not.

    `guarded` gives every call the same random numbers, which would hide it.
    """
    loss = workspace.names[named.loss]
    first, second = (
        number_of(attempted(workspace, named.loss, loss, tree.build(tree.arrays))) for _ in range(2)
    )
    if np.isclose(first, second, rtol=RANDOM * np.finfo(float).eps, atol=0, equal_nan=True):
        return ""
    return (
        f"{named.loss} draws random numbers: called twice on the same parameters it gave "
        f"{first:.9g} and {second:.9g}. Seed them inside it, or draw them (dropout's masks, say) "
        f"once for {named.loss} and {named.grads} together."
    )


def _report(named: NamedFunctions, shown: str, report: Report | None) -> FileReport:
    remarks = tuple(report.remarks) if report is not None else ()
    faithful = is_derivative(report)
    if report is None or faithful is None:
        why = report.meaning if report is not None else "There was nothing to compare."
        functions = (FunctionVerdict(named.grads, UNDECIDED, why),)
        return FileReport(shown, UNDECIDED, why, functions, remarks=remarks)
    if faithful:
        message = f"{named.grads} is the gradient of {named.loss}."
        functions = (FunctionVerdict(named.grads, AGREE),)
        return FileReport(shown, AGREE, message, functions, remarks=remarks)
    findings = tuple(_finding(named, tensor) for tensor in report.tensors if not tensor.agree)
    reason = "" if findings else report.meaning
    functions = (FunctionVerdict(named.grads, DISAGREE, reason),)
    return FileReport(shown, DISAGREE, reason, functions, findings, remarks)


def _finding(named: NamedFunctions, tensor: Tensor) -> Finding:
    """Return what is wrong with one gradient: a factor, or how far it is off and where."""
    pair = tensor.pairs.get(PAIRS[0]) or tensor.pairs[PAIRS[1]]
    found = tensor.value.ravel()[pair.index]
    truth = found - pair.difference
    size = float(truth @ truth)
    factor = float(found @ truth) / size if size else float("nan")
    if np.allclose(found, factor * truth, rtol=1e-6, atol=1e-12 * np.sqrt(size)) and size:
        return Finding(
            "gradient-scaled",
            tensor.name,
            says="The gradient of {name} is exactly {factor:.6g} times the true gradient.",
            values={"name": tensor.name, "factor": factor},
            function=named.grads,
        )
    extents: tuple[Extent, ...] = ()
    if pair.worst is not None and pair.worst.index is not None:
        extent = Extent(
            f"The gradient of {tensor.name}",
            int((over_bar(pair.difference, pair.bar) > 1).sum()),
            found.size,
            pair.relative,
            index=tuple(int(i) for i in np.unravel_index(pair.worst.index, tensor.shape)),
            found=pair.worst.found,
            right=pair.worst.expected,
        )
        extents = (extent,)
    return Finding("unknown", tensor.name, extents=extents, function=named.grads)
