"""What others would train the same network with: a table of peers.

Each takes the steps that ours take, from the same parameters; `tests/test_speed.py` holds every
one to that.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import NamedTuple

from verify.course.speed.peers import (
    autograd_step,
    course_step,
    numba_step,
    scikit_learn_step,
    torch_step,
)
from verify.course.speed.timing import Run
from verify.problem import Problem

ACTIVATIONS = frozenset({"relu", "tanh", "sigmoid"})
"""The hidden activations that every peer has."""


class Peer(NamedTuple):
    """How a peer takes steps, and what it is needed for that.

    `prepare(problem, learning_rate)` returns run(n); `module` is what must be installed.
    """

    module: str
    prepare: Callable[[Problem, float], Run]
    dropout: bool = True
    mixed: bool = True


PEERS: dict[str, Peer] = {
    "course": Peer("numpy", course_step.prepare),
    "scikit-learn": Peer("sklearn", scikit_learn_step.prepare, dropout=False, mixed=False),
    "autograd": Peer("autograd", autograd_step.prepare),
    "numba": Peer("numba", numba_step.prepare),
    "torch": Peer("torch", torch_step.eager),
    "torch-compile": Peer("torch", torch_step.compiled),
}
"""`dropout` and `mixed` say whether a peer has dropout, and several hidden activations."""


def peers_for(problem: Problem) -> dict[str, Peer]:
    """Return the peers that are installed and have what a problem needs."""
    if problem.output != "sigmoid" or not ACTIVATIONS.issuperset(problem.hidden):
        return {}
    return {
        name: peer
        for name, peer in PEERS.items()
        if importlib.util.find_spec(peer.module)
        and (peer.dropout or problem.masks is None)
        and (peer.mixed or len(set(problem.hidden)) == 1)
    }
