"""Somebody's own architecture: a loss and its gradient, by the names that they have in a file.

The file defines three things, and needs to define no more:

    params()       returns the parameters: an array, or dicts, lists and tuples of arrays of
                   floating-point numbers (it may also be a plain constant)
    loss(params)   returns one number, the same whenever it is given the same parameters
    grads(params)  returns the gradient of the loss by every array, in the same structure

under whatever names. Data is made within the functions, from a seed: of the file's top level
only definitions, imports and plain constants are run, not its training. Unlike the course's
exercises it may import whatever is installed.
"""

from __future__ import annotations

import ast
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from verify.evidence.measurement import RANDOM
from verify.evidence.trace import Traced, UntraceableError
from verify.evidence.trees import Tree, flatten_parameters
from verify.findings import Extent, Finding
from verify.homework.passes.derivative import own_gradient
from verify.homework.read.extract import Extract, UnreadableError, extract
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
from verify.homework.run.sandbox import NamedFunctions
from verify.homework.run.workspace import Workspace, mirror_workspace, numpy_workspace
from verify.report import PAIRS, Report, Tensor, over_bar


def judge_named(path: Path, named: NamedFunctions, shown: str) -> FileReport:
    """Judge the loss and the gradient of a file that go by these names."""
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = extract(path)
            plain = numpy_workspace(found, everything=True)
            mirrored = mirror_workspace(found, everything=True)
            report = _judged(plain, mirrored, named, shown)
    except UnreadableError as fault:
        report = FileReport(shown, UNREADABLE, f"It cannot be read: {fault}.")
    except CallError as fault:
        report = FileReport(shown, fault.verdict, str(fault))
    except ValueError as fault:
        report = FileReport(shown, CRASHED, f"{str(fault).rstrip('.')}.")
    return replace(report, seconds=time.perf_counter() - start)


def _judged(plain: Workspace, mirrored: Workspace, named: NamedFunctions, shown: str) -> FileReport:
    found = plain.extract
    missing = [n for n in (named.loss, named.grads, named.params) if n not in plain.names]
    if missing:
        why = plain.failed.get(missing[0], "the file defines nothing of that name")
        return FileReport(shown, UNREADABLE, f"{missing[0]} cannot be used: {why}.")
    params = plain.names[named.params]
    if callable(params):
        params = guarded(plain, named.params, params)
    tree = flatten_parameters(params)

    def loss(arrays: Mapping[str, np.ndarray]) -> Any:
        value = number_of(guarded(plain, named.loss, plain.names[named.loss], tree.build(arrays)))
        if value is None:
            raise CallError(named.loss, "does not return one number")
        return np.asarray(value)

    def grads(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        result = guarded(plain, named.grads, plain.names[named.grads], tree.build(arrays))
        return tree.read(named.grads, result)

    def traced(tracers: Mapping[str, Any]) -> Any:
        if speaks_jax(found):
            return guarded(plain, named.loss, plain.names[named.loss], _built(tree, tracers))
        values = {name: Traced(tree.arrays[name].copy(), t) for name, t in tracers.items()}
        result = number_of(
            guarded(mirrored, named.loss, mirrored.names[named.loss], _built(tree, values))
        )
        if not isinstance(result, Traced) or result.tracer is None:
            raise UntraceableError("a conversion to a plain number")
        return result.tracer

    value = float(loss(dict(tree.arrays)))
    grads(dict(tree.arrays))
    if drawn := _drawn(plain, named, tree):
        functions = (FunctionVerdict(named.loss, UNDECIDED, drawn),)
        return FileReport(shown, UNDECIDED, drawn, functions)
    checked = own_gradient(loss, grads, traced, tree.arrays, value)
    return _report(named, shown, checked.faithful, checked.report, checked.remark)


def _drawn(plain: Workspace, named: NamedFunctions, tree: Tree) -> str:
    """Say that the loss draws other random numbers at each call, or nothing if it does not.

    `guarded` shows every call the same ones, by which such a loss would pass for a function.
    """
    loss = plain.names[named.loss]
    first, second = (
        number_of(attempted(plain, named.loss, loss, tree.build(tree.arrays))) for _ in range(2)
    )
    if np.isclose(first, second, rtol=RANDOM * np.finfo(float).eps, atol=0, equal_nan=True):
        return ""
    return (
        f"{named.loss} draws random numbers: called twice on the same parameters it gave "
        f"{first:.9g} and {second:.9g}. Seed them inside it, or draw them (dropout's masks, say) "
        f"once for {named.loss} and {named.grads} together."
    )


def speaks_jax(found: Extract) -> bool:
    """Say whether a file imports JAX, whose own functions take its tracers as they are."""
    return any(
        name.split(".")[0] == "jax"
        for statement in found.statements
        for node in ast.walk(statement.node)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    )


def _built(tree: Tree, values: Mapping[str, Any]) -> Any:
    import jax

    leaves = [values.get(name, leaf) for name, leaf in tree.leaves.items()]
    return jax.tree_util.tree_unflatten(tree.structure, leaves)


def _report(
    named: NamedFunctions, shown: str, faithful: bool | None, report: Report | None, remark: str
) -> FileReport:
    remarks = [f"{named.loss}: {remark}; finite differences stood in."] if remark else []
    if report is not None:
        remarks += report.remarks
    if faithful is None:
        why = report.meaning if report is not None else "There was nothing to compare."
        functions = (FunctionVerdict(named.grads, UNDECIDED, why),)
        return FileReport(shown, UNDECIDED, why, functions, remarks=tuple(remarks))
    assert report is not None
    if faithful:
        message = f"{named.grads} is the gradient of {named.loss}."
        functions = (FunctionVerdict(named.grads, AGREE),)
        return FileReport(shown, AGREE, message, functions, remarks=tuple(remarks))
    findings = tuple(_finding(named, tensor) for tensor in report.tensors if not tensor.agree)
    reason = "" if findings else report.meaning
    functions = (FunctionVerdict(named.grads, DISAGREE, reason),)
    return FileReport(shown, DISAGREE, reason, functions, findings, tuple(remarks))


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
    if pair.worst is not None:
        at = int(np.flatnonzero(pair.index == pair.worst)[0])
        extent = Extent(
            f"The gradient of {tensor.name}",
            int((over_bar(pair.difference, pair.bar) > 1).sum()),
            found.size,
            pair.relative,
            index=tuple(int(i) for i in np.unravel_index(pair.worst, tensor.shape)),
            found=float(found[at]),
            right=float(truth[at]),
        )
        extents = (extent,)
    return Finding("unknown", tensor.name, extents=extents, function=named.grads)
