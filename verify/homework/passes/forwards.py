"""Which functions may be a backward pass's own forward pass."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from dataclasses import dataclass

from verify.homework.read.discover import (
    BACK,
    Candidate,
    differentiated,
    is_hinted,
    methods_of,
    name_parts,
    stem,
)
from verify.homework.read.extract import Extract
from verify.homework.read.syntax import parameters, returned


@dataclass(frozen=True, eq=False)
class Forward:
    """A forward pass that may be a candidate's own."""

    name: str
    node: ast.FunctionDef


def forwards(found: Extract, candidate: Candidate) -> list[Forward]:
    """Return the functions whose derivative a candidate may be, the likeliest first."""
    others = found.functions if candidate.owner is None else methods_of(found, candidate.owner)
    own = stem(candidate.function)
    own = "" if own in _EMPTY else own
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
            _is_gradient_of_cost(candidate) or takes_the_same(node, candidate)
        )
        if method or same_stem or (cost and not hinted):
            exact = _suffix(name) == _suffix(candidate.function)
            alike = (not takes_the_same(node, candidate), -len(words & set(name_parts(name))))
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
            and shorter(stem(name)) == shorter(own)
        ]
    if not fitting and not own and candidate.owner is None:
        return [Forward(name, others[name]) for name in _FORWARD_FUNCTIONS if name in others]
    return [forward for *_, forward in sorted(fitting, key=lambda item: item[:4])]


_FORWARDS = (
    "forward", "__call__", "fprop", "forward_pass", "forward_propagation", "feedforward",
    "feed_forward", "forward_prop", "f", "fn", "func", "function", "apply", "calc", "loss",
    "activate", "activation", "compute", "predict", "evaluate", "eval", "call",
)  # fmt: skip

_EMPTY = frozenset("compute calculate calc get run do evaluate eval layer first".split())
"""Stems that say nothing of what is differentiated."""


def _hands_on(node: ast.FunctionDef, others: Collection[str]) -> bool:
    """Say whether `__call__(*args)` only hands what it is given to `forward`."""
    return node.name == "__call__" and node.args.vararg is not None and "forward" in others


_FORWARD_FUNCTIONS = (
    "forward", "forward_pass", "forward_propagation", "feedforward", "feed_forward",
    "forward_prop", "fprop",
)  # fmt: skip


def takes_the_same(node: ast.FunctionDef, candidate: Candidate) -> bool:
    """Say whether a cost and a gradient have the same arguments, by name."""
    own = [name for name, _ in candidate.arguments]
    return len(own) > 1 and set(own) == {
        name for name, _ in parameters(node, candidate.owner is not None)
    }


def shorter(name: str) -> str:
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


def stem_of(candidate: Candidate) -> str:
    """Return what a pass is called, without that it is backward: its class's stem for none."""
    return shorter(stem(candidate.function)) or stem(candidate.owner or "")


def returns_its_loss(candidate: Candidate) -> bool:
    """Say whether a function looks as if it returned a loss beside its gradient."""
    names = returned(candidate.node) or []
    return is_cost(candidate.function) or any(map(is_cost, names))
