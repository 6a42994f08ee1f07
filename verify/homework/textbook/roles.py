"""Which function of a file is which, by its name and its signature.

The names are those of the course's exercises and what people make of them: in camelCase, with
a common prefix (`func_L_model_backward`), with `backprop` for `backward_propagation`, with
`_reg` for `_with_regularization`. A name alone is not enough: the arguments must be ones that
the role has values for, so that `relu(Z)` is one and `relu(image, threshold)` is not.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from verify.activations import ACTIVATIONS
from verify.findings import Finding
from verify.homework.read.discover import BACKWARD, CHECK, COST, FORWARD, is_gradient
from verify.homework.read.extract import Extract
from verify.homework.read.gradient_lines import NOWHERE, Line, locate
from verify.homework.read.syntax import parameters, words

_FORWARD_ALONE = {"sigmoid": ("sigm", "logistic")}
"""Names of an activation alone: logistic_grad may be the gradient of the logistic loss."""

ALIASES: dict[str, tuple[str, ...]] = {
    **{name: row.names + _FORWARD_ALONE.get(name, ()) for name, row in ACTIVATIONS.items()},
    **{
        f"{name}_backward": tuple(
            f"{own}_{end}"
            for own in row.names
            for end in ("backward", "derivative", "prime", "grad")
        )
        for name, row in ACTIVATIONS.items()
    },
    **{
        role: tuple(names.split())
        for role, names in {
            "softmax": "softmax",
            "softmax_backward": "softmax_backward",
            "linear_forward": "linear_forward",
            "linear_backward": "linear_backward",
            "linear_activation_forward": "linear_activation_forward activation_forward",
            "linear_activation_backward": "linear_activation_backward activation_backward",
            "propagate": "propagate",
            "forward": "forward_propagation forward_prop forward_pass forwardprop feed_forward "
            "feedforward forward_propagate forward l_model_forward l_layer_forward model_forward "
            "nn_forward",
            "backward": "backward_propagation back_propagation backward_prop back_prop "
            "backward_pass backprop backpropagation backward_propagate backward l_model_backward "
            "l_layer_backward model_backward nn_backward",
            "cost": "compute_cost compute_loss cost_function loss_function calculate_cost "
            "calc_cost get_cost cross_entropy cross_entropy_cost cross_entropy_loss cost loss "
            "calculate_loss",
            "gradient_check": "gradient_check grad_check gradient_checking",
        }.items()
    },
}
"""The names that a role goes by, in lower case."""

FORWARDS = {
    **{f"{name}_backward": (name,) for name in (*ACTIVATIONS, "softmax")},
    "linear_backward": ("linear_forward",),
    "linear_activation_backward": ("linear_activation_forward",),
}
"""The forward functions in whose cache each backward looks."""

QUALIFIERS = {
    "reg": r"_(?:with_)?(?:l2_?)?(?:regulari[sz](?:ation|ed)|reg|l2)$",
    "dropout": r"_(?:with_)?(?:dropout|drop_out)$",
    "n": r"_n$",
}
"""What the end of a name adds to its role."""

ARGUMENTS = {
    name: tuple(wanted.split())
    for wanted, names in {
        "X x Z": "x",
        "X": "a0 inputs data",
        "Y": "y labels target targets y_true",
        "W w": "w",
        "W w parameters": "weights",
        "b": "bias",
        "parameters": "parameters params param parameter para",
        "cache": "cache caches cach memory forward_cache",
        "AL": "al a1 a2 a3 a_l a_last yhat y_hat y_pred predictions output probs",
        "AL A_prev": "a",
        "A_prev": "a_prev aprev",
        "Z": "z",
        "dZ": "dz",
        "dA": "da dal",
        "lambd": "lambd lambda_ lamda lmbda lmbd lam lamb reg reg_lambda l2",
        "keep_prob": "keep_prob keep_probs keepprob keep_probability",
        "activation": "activation act activation_function",
        "gradients": "gradients grads",
        "theta": "theta",
        "m": "m",
    }.items()
    for name in names.split()
}
"""What an argument's name, in lower case, may mean; the first that a role has a value for."""

_ONE_ARGUMENT = (*ACTIVATIONS, "softmax")
_DERIVATIVES = tuple(f"{name}_backward" for name in ACTIVATIONS)

VALUES: dict[str, str] = {
    **dict.fromkeys((*_DERIVATIVES, "softmax_backward"), "dA cache Z"),
    "linear_forward": "A_prev W b",
    "linear_backward": "dZ cache",
    "linear_activation_forward": "A_prev W b activation",
    "linear_activation_backward": "dA cache activation",
    "propagate": "w b X Y lambd",
    "forward": "X parameters Y lambd keep_prob theta x m",
    "backward": "X Y parameters cache AL lambd keep_prob theta x m",
    "cost": "AL Y parameters lambd m X",
    "gradient_check": "parameters gradients X Y theta x",
}
"""What each role has values for."""

_NOT_A_PREFIX = frozenset(
    tuple(
        """leaky hard log parametric p random noisy squared inverse inv test check grade plot print
    show d deriv derivative numerical numeric dropout update init initialize load save predict
    public elu selu swish soft rnn lstm gru conv pool cell step cnn""".split()
    )
)
"""Words that make another function of the one they stand before."""

_NUMBERED = re.compile(r"^(?:d?[WbZAD])(\d)(?:_[a-z]+)?$")


@dataclass(frozen=True, eq=False)
class Role:
    """A function of the file, and what it is taken for."""

    name: str
    role: str
    qualifiers: frozenset[str]
    prefix: str
    node: ast.FunctionDef
    owner: str | None = None

    @property
    def shown(self) -> str:
        """The name as a reader of the file knows it."""
        return f"{self.owner}.{self.name}" if self.owner else self.name

    @property
    def kind(self) -> str:
        """What it is for a reader: a backward pass, a checker of one, a cost or a forward pass."""
        if self.role == "gradient_check":
            return CHECK
        if self.role.endswith("backward") or self.role == "propagate":
            return BACKWARD
        return COST if self.role == "cost" else FORWARD

    @property
    def arguments(self) -> list[str]:
        """The names of the arguments, without `self`."""
        return [name for name, _ in parameters(self.node, bool(self.owner))]


def exercise(found: Extract) -> list[Role]:
    """Return the roles of a file that is an exercise of the course: it has a backward pass.

    A forward pass or a cost counts beside a backward pass of the same class, or of the file; not
    beside the derivative alone of an activation, which everybody writes.
    """
    roles = recognise(found)
    owners = {
        role.owner for role in roles if role.kind in (BACKWARD, CHECK) and not _is_slope(role)
    }
    return [role for role in roles if role.owner in owners]


def _is_slope(role: Role) -> bool:
    """Say whether a function gives the derivative of an activation, without the gradient above."""
    return role.role in _DERIVATIVES and not any(meaning(a, {"dA"}) for a in role.arguments)


def recognise(found: Extract) -> list[Role]:
    """Return the functions and methods of a file that have a role, in the file's order."""
    roles = [
        role
        for name, node in found.functions.items()
        if (role := role_of(name, node, None)) is not None
    ]
    for owner, kind in found.classes.items():
        for node in kind.body:
            if isinstance(node, ast.FunctionDef):
                role = role_of(node.name, node, owner)
                if role is not None:
                    roles.append(role)
    return roles


def role_of(name: str, node: ast.FunctionDef, owner: str | None) -> Role | None:
    """Return what a function is taken for, or None."""
    named = role_by_name(name)
    if named is None:
        return None
    role, qualifiers, prefix = named
    arguments = parameters(node, bool(owner))
    required = [argument for argument, has_default in arguments if not has_default]
    if role in _ONE_ARGUMENT or (role in _DERIVATIVES and len(required) == 1):
        fits = len(arguments) >= 1 and len(required) <= 1
    elif role == "gradient_check":
        fits = len(required) >= 2
    else:
        available = set(VALUES[role].split())
        known = [a for a in required if meaning(a, available) or (_is_numbered(a))]
        unknown = len(required) - len(known) - (cache_argument(role, required) is not None)
        fits = unknown == 0 and (len(arguments) > 0 or owner is not None)
    if not fits:
        return None
    if role in ("forward", "backward") and owner is None and _is_bare(name) and len(required) < 2:
        return None
    labelled = any(meaning(argument, {"Y"}) for argument in required)
    if role == "propagate" and not labelled and not any(map(is_gradient, words(node))):
        return None  # it goes forward, and makes no gradients
    if any(meaning(a, {"theta"}) for a in required) and role in ("forward", "backward"):
        qualifiers |= {"1d"}
    return Role(name, role, frozenset(qualifiers), prefix, node, owner)


def cache_argument(role: str, required: Collection[str]) -> str | None:
    """Return the one argument whose name says nothing, where no other is the cache: it is it.

    A name that is a gradient's says something: it is no cache.
    """
    available = set(VALUES.get(role, "").split())
    if "cache" not in available or not role.endswith("backward") or len(required) < 2:
        return None
    unknown = [a for a in required if not meaning(a, available) and not _is_numbered(a)]
    unknown = unknown if not any("grad" in a or is_gradient(a) for a in unknown) else []
    others = {meaning(a, available) for a in required}
    return unknown[0] if len(unknown) == 1 and not others & {"cache", "Z"} else None


def is_canonical(name: str) -> bool:
    """Say whether a function has a name of the course's own, which few others use."""
    plain = name.lower()
    return any(
        part in plain
        for part in ("propagat", "l_model", "l_layer", "linear_", "_check", "compute_")
    )


def role_by_name(name: str) -> tuple[str, set[str], str] | None:
    """Return the role, the qualifiers and the prefix that a name says, or None."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", name).lower().strip("_")
    qualifiers: set[str] = set()
    for _ in QUALIFIERS:
        for qualifier, pattern in QUALIFIERS.items():
            shorter = re.sub(pattern, "", plain)
            if shorter != plain and shorter:
                plain = shorter
                qualifiers.add(qualifier)
    parts = plain.split("_")
    for start in range(len(parts)):
        prefix, rest = "_".join(parts[:start]), "_".join(parts[start:])
        if start and parts[start - 1] in _NOT_A_PREFIX:
            return None
        for role, aliases in ALIASES.items():
            if rest in aliases:
                if rest.startswith(("l_", "model_", "nn_")):
                    qualifiers.add("model")
                return role, qualifiers, prefix
    return None


def _is_bare(name: str) -> bool:
    return name.lower() in ("forward", "backward", "cost", "loss")


def _is_numbered(name: str) -> bool:
    return _NUMBERED.match(name) is not None


def meaning(argument: str, available: Collection[str]) -> str | None:
    """Return which of the available values an argument's name asks for, or None."""
    if argument in available:
        return argument
    for candidate in ARGUMENTS.get(argument.lower(), ()):
        if candidate in available:
            return candidate
    return None


def place_of(found: Extract, role: Role, tensor: str) -> Line:
    """Return the line in which a function last assigns a gradient."""
    return locate(found, role.owner or role.name, role.node, tensor)


def blamed(finding: Finding, role: Role, line: Line = NOWHERE) -> Finding:
    """Return a finding with the function that is to blame, and the line where it is known."""
    return replace(finding, function=role.shown, role=role.role, **line._asdict())


def depth(nodes: list[ast.FunctionDef]) -> int | None:
    """Return how many layers functions are written for, by the numbers in what they name.

    That is variables, keys and attributes. None where no number says it: the functions loop over as
    many layers as they are given.
    """
    numbers = [
        int(found[1])
        for node in nodes
        for text in (*words(node), *attributes(node))
        if (found := _NUMBERED.match(text)) is not None
    ]
    return max(numbers, default=0) or None


def attributes(node: ast.AST) -> Iterator[str]:
    """Yield the attributes that a function names."""
    return (part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute))
