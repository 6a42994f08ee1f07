"""A forward pass, a cost and a backward pass of a file, composed into one loss and its gradient.

What a file leaves out is replaced by the course's. Functions are called with the values that
the names of their arguments ask for, so that `backward_propagation(X, Y, cache)` and
`backward_propagation(parameters, cache, X, Y)` and `backward_prop(Z1, A1, Z2, A2, W2, X, Y)`
are called alike.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.activations import ACTIVATIONS
from verify.findings import where
from verify.homework.read.syntax import calls, returned, words
from verify.homework.run.calls import CallError, array_of, fresh, number_of
from verify.homework.run.namespace import Workspace
from verify.homework.textbook import course_modules
from verify.homework.textbook.class_objects import construct, gradients_in, place
from verify.homework.textbook.course_calls import BindError, Forward, call, read_forward, read_grads
from verify.homework.textbook.problems import KEEP_PROB, L2
from verify.homework.textbook.roles import Role, attributes, depth, meaning
from verify.problem import Problem


@dataclass(frozen=True, eq=False)
class Network:
    """Functions that belong together; where one is None, the course's is used.

    `propagate` is forward, cost and backward pass in one, and then is all three. `depth` is
    None where the functions take any number of layers.
    """

    forward: Role | None
    cost: Role | None
    backward: Role | None
    depth: int | None
    l2: float
    keep_prob: float
    makes_cost: bool = False
    labels_as_numbers: bool = False

    @property
    def is_propagate(self) -> bool:
        """Whether one function is the whole of it."""
        return self.backward is not None and self.backward.role == "propagate"

    @property
    def roles(self) -> list[Role]:
        """The functions of the file that have a part in it, once each."""
        roles = (self.forward, self.cost, self.backward)
        return list(dict.fromkeys(role for role in roles if role is not None))

    @property
    def sizes(self) -> list[tuple[int, ...]]:
        """The layer sizes to try it with."""
        deeper = (*(3, 5, 4, 6, 5, 4, 6, 5, 4)[: self.depth or 0], 1)
        known: dict[int | None, list[tuple[int, ...]]] = {
            None: [(4, 5, 3, 1), (3, 4, 1)],
            1: [(4, 1), (3, 1)],
            2: [(3, 4, 1), (4, 3, 1)],
            3: [(4, 5, 3, 1), (2, 6, 4, 1)],
        }
        return known.get(self.depth, [deeper])


@dataclass(frozen=True, eq=False)
class Evaluated:
    """One evaluation of the forward pass and the cost."""

    forward: Forward
    cost: Any
    values: Mapping[str, Any]
    draws: Sequence[np.ndarray]


def networks(roles: Sequence[Role]) -> list[Network]:
    """Return the networks that a file's roles make up, each backward pass in one of them."""
    found = []
    used: set[int] = set()
    for backward in roles:
        if "1d" in backward.qualifiers or backward.role not in ("backward", "propagate"):
            continue
        network = _around(backward, roles)
        found.append(network)
        used.update(id(role) for role in network.roles)
    for forward in roles:
        if forward.role == "forward" and id(forward) not in used and "1d" not in forward.qualifiers:
            network = _composed(forward, _partner("cost", forward, roles), None)
            found.append(network)
    return found


def _around(backward: Role, roles: Sequence[Role]) -> Network:
    if backward.role == "propagate":
        l2 = L2 if _takes(backward, "lambd") else 0.0
        return Network(backward, backward, backward, 1, l2, 1.0, makes_cost=True)
    forward = _partner("forward", backward, roles)
    cost = _partner("cost", backward, roles)
    return _composed(forward, cost, backward)


def _composed(forward: Role | None, cost: Role | None, backward: Role | None) -> Network:
    own = [role for role in (forward, backward) if role is not None]
    regularised = any(_takes(role, "lambd") for role in own) or (
        backward is None and cost is not None and "reg" in cost.qualifiers
    )
    if cost is not None and backward is not None and not _takes(backward, "lambd"):
        # A cost that adds a penalty belongs to a backward pass that takes lambd.
        regularised = False
    if regularised and backward is not None and cost is not None and not _takes(cost, "lambd"):
        # A plain cost belongs to another backward pass; the penalised one is not known.
        cost = None
    drops = any(_takes(role, "keep_prob") for role in own)
    written_for = depth([role.node for role in own])
    makes_cost = forward is not None and ("n" in forward.qualifiers or _takes(forward, "Y"))
    return Network(
        forward,
        None if makes_cost else cost,
        backward,
        written_for,
        L2 if regularised else 0.0,
        KEEP_PROB if drops else 1.0,
        makes_cost,
        any("one_hot" in name or "onehot" in name.lower() for r in own for name in calls(r.node)),
    )


def _partner(kind: str, of: Role, roles: Sequence[Role]) -> Role | None:
    """Return the role of a kind that goes best with another: same class, prefix, qualifiers."""
    candidates = [r for r in roles if r.role == kind and r.owner == of.owner and r is not of]
    candidates = [r for r in candidates if "1d" not in r.qualifiers]
    if kind == "forward":
        # A forward pass that draws masks, or makes the cost, is not one of another kind.
        candidates = [
            r for r in candidates if ("dropout" in r.qualifiers) == ("dropout" in of.qualifiers)
        ]
        candidates = [r for r in candidates if ("n" in r.qualifiers) == ("n" in of.qualifiers)]
        model = [r for r in candidates if ("model" in r.qualifiers) == ("model" in of.qualifiers)]
        candidates = model if model or "model" in of.qualifiers else []

    def fit(role: Role) -> tuple[int, int, int]:
        regularised = _takes(of, "lambd")
        return (
            role.prefix == of.prefix,
            _takes(role, "lambd") == regularised,
            len(role.qualifiers & of.qualifiers) - len(role.qualifiers ^ of.qualifiers),
        )

    return max(candidates, key=fit, default=None)


def _takes(role: Role, what: str) -> bool:
    return any(meaning(argument, {what}) for argument in role.arguments)


# One network, run.


@dataclass(frozen=True, eq=False)
class Runner:
    """A network in one workspace, on the data of one problem.

    Every function gets copies, so that none can change what another is given.
    """

    network: Network
    workspace: Workspace
    problem: Problem

    def evaluate(self, params: Mapping[str, Any] | None = None) -> Evaluated:
        """Run the forward pass and the cost, by default with the problem's parameters."""
        params = self.problem.params if params is None else params
        network, values = self.network, self._values(params)
        instance = self._instance(params)
        if network.is_propagate:
            return self._evaluate_propagate(values, instance)
        forward = self._forward(values, instance)
        draws = [draw.copy() for draw in self.workspace.random.draws]
        values |= {"cache": forward.cache, "AL": forward.AL} | dict(forward.named or {})
        cost = forward.cost
        if not network.makes_cost:
            cost = self._cost(values, instance)
        return Evaluated(forward, cost, values, draws)

    def loss(self, params: Mapping[str, Any]) -> float:
        """Return the cost as one number, or raise if it is none."""
        cost = number_of(self.evaluate(params).cost)
        if cost is None:
            raise CallError(self.cost_name, "does not return one number")
        return float(cost)

    def grads(self, params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the gradients as they came, under the parameters' names, and dZ and dA."""
        return self.backward(self.evaluate(params).values, params)

    def backward(
        self, values: Mapping[str, Any], params: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run the backward pass on these values."""
        network, backward = self.network, self.network.backward
        assert backward is not None
        instance = self._instance(params)
        if backward.owner is not None:
            # A method's cache is in the object: it must have gone forward there.
            values = self._forward_in(instance, values)
        result = call(self.workspace, backward, values, instance)
        if result is None and instance is not None:
            result = gradients_in(instance)
        sizes = {name: value.size for name, value in self.problem.params.items()}
        grads, intermediates = read_grads(result, backward, sizes)
        if network.is_propagate:
            return _read_propagated(result), {}
        if not grads and next(_arrays_in(result), None) is not None:
            raise BindError(
                backward.shown,
                "returns arrays whose names and number do not say which gradients they are",
            )
        return grads, intermediates

    @property
    def cost_name(self) -> str:
        """The name of the function that makes the cost."""
        roles = (self.network.cost, self.network.forward)
        return next((role.shown for role in roles if role is not None), "compute_cost")

    def _values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        problem = self.problem
        params = {name: params[name] for name in problem.params}
        Y = problem.Y
        if self.network.labels_as_numbers:
            Y = Y.argmax(axis=0) if problem.output == "softmax" else Y.astype(int).ravel()
        values: dict[str, Any] = {
            "X": problem.X,
            "Y": Y,
            "parameters": params,
            "m": problem.m,
            "lambd": self.network.l2,
            "keep_prob": self.network.keep_prob,
            **params,
        }
        if self.network.is_propagate:
            del values["parameters"]
            values["w"] = np.array(params["W1"]).T
            values["b"] = float(np.asarray(params["b1"]).item())
        return values

    def _forward(self, values: Mapping[str, Any], instance: Any) -> Forward:
        network = self.network
        if network.forward is None:
            result = _course_forward(network)(values["X"], values["parameters"])
        else:
            result = call(self.workspace, network.forward, values, instance)
        if result is None:
            raise CallError(self._name(network.forward), "returns nothing")
        forward = read_forward(result, network.forward, self.problem.layers[-1], network.makes_cost)
        if forward.AL is None and not network.makes_cost:
            raise CallError(self._name(network.forward), "returns no output of the last layer")
        if isinstance(forward.AL, tuple):
            raise CallError(self._name(network.forward), self._pair_kept())
        return forward

    def _cost(self, values: Mapping[str, Any], instance: Any) -> Any:
        cost = self.network.cost
        if cost is not None:
            return call(self.workspace, cost, values, instance)
        if self.problem.output == "softmax":
            plain = -np.sum(self.problem.Y * np.log(values["AL"])) / self.problem.m
        else:
            plain = course_modules.compute_cost_quietly(values["AL"], self.problem.Y)
        return plain + course_modules.penalty(values["parameters"], self.network.l2, self.problem.m)

    def _evaluate_propagate(self, values: dict[str, Any], instance: Any) -> Evaluated:
        role = self.network.backward
        assert role is not None
        result = call(self.workspace, role, values, instance)
        cost = None
        if isinstance(result, tuple):
            scalars = [x for x in result if not isinstance(x, dict) and number_of(x) is not None]
            # (dw, db, cost): the cost comes last, or before the dict of the gradients.
            cost = scalars[-1] if scalars else None
        if cost is None:
            raise CallError(role.shown, "returns gradients and no cost")
        return Evaluated(Forward(None, None, cost), cost, values, [])

    def _pair_kept(self) -> str:
        """Say which function's two results a forward pass keeps as one, and in which line."""
        forward, found = self.network.forward, self.workspace.extract
        for node in ast.walk(forward.node) if forward is not None else ():
            match node:
                case ast.Assign([ast.Name(kept)], ast.Call(ast.Name(called))) if (
                    called in found.functions and (returned(found.functions[called]) or [""])[1:]
                ):
                    statement = found.statement_of(forward.name) if forward is not None else None
                    line = where(statement.cell if statement else None, node.lineno)
                    count = len(returned(found.functions[called]) or [])
                    return (
                        f"keeps all {count} values that {called} returns as {kept} ({line}), where "
                        "it should keep the first"
                    )
        return "returns a tuple as the output of the last layer"

    def _name(self, role: Role | None) -> str:
        return role.shown if role is not None else "the course's function"

    # Classes: an object that holds the parameters itself.

    def _instance(self, params: Mapping[str, Any]) -> Any:
        owner = next((r.owner for r in self.network.roles if r.owner), None)
        if owner is None:
            return None
        instance = construct(self.workspace, owner, self.problem.layers)
        if self.network.is_propagate:
            values = self._values(params)
            vars(instance).update(w=values["w"], b=values["b"])
        else:
            place(instance, fresh(dict(params)))
        return instance

    def _forward_in(self, instance: Any, values: Mapping[str, Any]) -> dict[str, Any]:
        forward = self._forward(values, instance)
        result = dict(values) | {"cache": forward.cache, "AL": forward.AL}
        if self.network.cost is not None:
            self._cost(result, instance)
        return result


def _read_propagated(result: Any) -> dict[str, Any]:
    """Return dw, (n, 1), and db of logistic regression under the names and shapes of a network."""
    items = result if isinstance(result, tuple) else (result,)
    found = next((x for x in items if isinstance(x, dict)), None)
    if found is None:
        dw = next((x for x in items if np.size(x) > 1), None)
        db = next((x for x in items if np.size(x) == 1), None)
    else:
        lower = {str(key).lower(): value for key, value in found.items()}
        dw, db = lower.get("dw"), lower.get("db")
    turned = np.asarray(dw).T if dw is not None and np.ndim(dw) == 2 else dw
    return {name: value for name, value in (("W1", turned), ("b1", db)) if value is not None}


def _course_forward(network: Network) -> Callable[..., Any]:
    """Return the course's forward pass in whose cache the file's backward pass looks."""
    if network.keep_prob < 1:
        return lambda X, parameters: course_modules.forward_propagation_with_dropout(
            X, parameters, network.keep_prob
        )
    backward = network.backward
    if backward is not None and ("model" in backward.qualifiers or network.depth is None):
        return course_modules.L_model_forward
    if network.depth == 2:
        return course_modules.forward_propagation_tanh
    return course_modules.forward_propagation


# Which function it is, by its values.


def textbook(network: Network) -> tuple[tuple[str, ...], str]:
    """Return the activations that the course has for a network of this kind.

    Two layers by number are its first network, with tanh; all others have relu, unless they
    speak of tanh.
    """
    count = len(network.sizes[0]) - 2
    said = {word for role in network.roles for word in words(role.node)}
    said |= {name for role in network.roles for name in attributes(role.node)}
    by_number = network.depth == 2 and not any("model" in r.qualifiers for r in network.roles)
    return ("tanh" if by_number or "tanh" in said else "relu",) * count, "sigmoid"


def alternatives(count: int) -> list[tuple[str, ...]]:
    """Return every assignment of activations to the hidden layers."""
    if count > 2:
        return [(name,) * count for name in ACTIVATIONS]
    return list(itertools.product(ACTIVATIONS, repeat=count))


def find_masks(
    evaluated: Evaluated, problem: Problem, keep_prob: float
) -> list[tuple[np.ndarray, ...]]:
    """Return the masks that a forward pass may have used: from its cache, or from its draws."""
    shapes = [(width, problem.m) for width in problem.layers[1:-1]]
    cached = [array_of(array) for array in _arrays_in(evaluated.forward.cache)]
    binary = [a > 0 for a in cached if a is not None and len(np.unique(a)) == 2 and a.min() == 0]
    drawn = [a > 0 if len(np.unique(a)) <= 2 else a < keep_prob for a in evaluated.draws]
    return [
        masks
        for found in (binary, drawn)
        for masks in itertools.islice(
            itertools.product(*([a for a in found if a.shape == shape] for shape in shapes)), 64
        )
    ]


def _arrays_in(tree: Any) -> Iterator[np.ndarray]:
    if isinstance(tree, Mapping):
        tree = list(tree.values())
    if isinstance(tree, (list, tuple)):
        for item in tree:
            yield from _arrays_in(item)
    elif isinstance(tree, np.ndarray):
        yield tree
