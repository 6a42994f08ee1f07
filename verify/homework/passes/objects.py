"""Objects of a file's own classes: how they are made, and what their parameters are."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from verify.homework.dialects import SETTINGS
from verify.homework.passes.inputs import KEEP, REG, draw
from verify.homework.read.discover import is_gradient, methods_of
from verify.homework.read.extract import Extract
from verify.homework.read.syntax import null_defaults, parameters
from verify.homework.read.usage import texts_compared
from verify.homework.run.door import Door, Expression, Raised, Recipe, Step


class Penalty(NamedTuple):
    """A method of another class that returns the penalty of a layer's parameters."""

    owner: str
    name: str
    of_argument: bool

    def steps(self, slot: int) -> tuple[Step, ...]:
        """Return the steps that call it for the layer in slot 0, the next slot being `slot`."""
        layer: Expression = ("slot", 0)
        made: Step = ("call", ("bare", self.owner), [], {})
        known: Step = ("put", ("slot", slot), "trainable_layers", ("list", [layer]))
        call: Step = (
            "call",
            ("at", ("slot", slot), self.name),
            [layer] if self.of_argument else [],
            {},
        )
        return (made, known, call)


@dataclass(frozen=True, eq=False)
class Side:
    """Where a pass is called: the file itself, or an object that these steps make."""

    owner: str | None = None
    steps: tuple[Step, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    sure: bool = True
    """Whether every argument of the constructor was known by name."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    variants: tuple[Side, ...] = ()
    """The same object in other settings: stride 2, another window."""
    penalty: Penalty | None = None
    """What its gradients are of too, beside its forward pass."""

    def target(self, name: str) -> Expression:
        """Return the function or the method of this name."""
        return ("name", name) if self.owner is None else ("at", ("slot", 0), name)


def sides(
    found: Extract,
    door: Door,
    owner: str | None,
    failed: Callable[[Raised], None] = lambda raised: None,
) -> Iterator[Side]:
    """Yield the objects of a class that can be made, the likeliest first; or the file itself.

    `failed` is told of each attempt to make one that raised.
    """
    if owner is None:
        yield Side()
        return
    methods = methods_of(found, owner)
    init = methods.get("__init__")
    sure = all(
        default or (len(_values(name, True, _SIZES[0])) and _is_known(name))
        for name, default in (parameters(init, True) if init is not None else ())
    )
    seen: set[str] = set()
    penalty = _penalty(found)
    texts = {
        name: texts_compared(found.classes[owner], name)
        for name, _ in (parameters(init, True) if init is not None else ())
    }
    for group in _constructors(init, texts, penalised=penalty is not None):
        made = []
        for arguments, given, settings in group:
            said = repr((arguments, {name: np.shape(value) for name, value in given.items()}))
            if said not in seen:
                seen.add(said)
                side = _made(door, owner, methods, arguments, given, failed)
                kept = penalty if _REGULARISER.search(" ".join(settings)) else None
                if side is not None:
                    made.append(replace(side, sure=sure, settings=settings, penalty=kept))
        for place, side in enumerate(made):
            yield replace(side, variants=(*made[:place], *made[place + 1 :]))


_REGULARISER = re.compile(r"\w*regulari[sz]er\w*")


def _penalty(found: Extract) -> Penalty | None:
    """Return the method of a file that penalises layers, if there is one."""
    for owner in found.classes:
        for name, node in methods_of(found, owner).items():
            required = [n for n, default in parameters(node, True) if not default]
            if re.search(r"regulari[sz]ation", name) and len(required) <= 1:
                return Penalty(owner, name, bool(required))
    return None


def _made(
    door: Door,
    owner: str,
    methods: Mapping[str, ast.FunctionDef],
    arguments: Mapping[str, Expression],
    given: Mapping[str, Any],
    failed: Callable[[Raised], None],
) -> Side | None:
    """Return an object with parameters that are drawn anew, or None where it cannot be made."""
    made: Step = ("call", ("name", owner), [], arguments)
    answer = door.run(Recipe((made,), (("vars", ("slot", 0)),)), given)
    if isinstance(answer, Raised):
        failed(answer)
        return None
    rng = np.random.default_rng(17)
    steps: list[Step] = [made]
    values = dict(given)
    if next(parameters_in(answer[0]), None) is None:
        answer = _initialised(door, methods, steps, given) or answer
    for path, holder, key, value in parameters_in(answer[0]):
        if any(value is known or np.array_equal(value, known) for known in given.values()):
            continue
        values[path] = (0.6 * draw(value.shape, rng)).astype(value.dtype)
        steps.append(("put", holder, key, ("in", path)))
    return Side(owner, tuple(steps), values)


def _initialised(
    door: Door, methods: Mapping[str, ast.FunctionDef], steps: list[Step], given: Mapping[str, Any]
) -> tuple[Any, ...] | None:
    """Call the method that makes an object's parameters, if there is one; add it to the steps."""
    for name, node in methods.items():
        if not _INITIALISES.search(name) or name == "__init__":
            continue
        arguments = {
            argument: _expression(_values(argument, default, _SIZES[0])[0])
            for argument, default in parameters(node, True)
            if not default
        }
        call: Step = ("call", ("at", ("slot", 0), name), [], arguments)
        answer = door.run(Recipe((*steps, call), (("vars", ("slot", 0)),)), given)
        if not isinstance(answer, Raised):
            steps.append(call)
            return answer
    return None


_INITIALISES = re.compile(r"init\w*|build|reset_param\w*|make_\w*(?:weights|param)\w*")


def _is_known(name: str) -> bool:
    return name in SETTINGS or any(pattern.fullmatch(name) for _, pattern in _KINDS)


def parameters_in(state: Mapping[str, Any]) -> Iterator[tuple[str, Expression, Any, np.ndarray]]:
    """Yield the parameters in a new object: path, holder, key and value of each array.

    A second name of the same dict or list of them, `self.best = self.params`, is none of its own.
    """
    own: dict[str, Any] = {}
    for name, value in state.items():
        is_holder = isinstance(value, (Mapping, list)) and len(value) > 0
        if not is_holder or all(repr(value) != repr(other) for other in own.values()):
            own[name] = value
    yield from _inside(own, ("slot", 0), "")


def _inside(
    state: Any, holder: Expression, path: str
) -> Iterator[tuple[str, Expression, Any, np.ndarray]]:
    items = state.items() if isinstance(state, Mapping) else enumerate(state)
    for key, value in items:
        name = f"{path}.{key}" if path else str(key)
        if is_gradient(name.split(".")[0]) or _NO_PARAMETER.search(str(key)):
            continue
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size:
            yield name, holder, key, value
        elif isinstance(value, (Mapping, list)):
            yield from _inside(value, ("at", holder, key), name)


_NO_PARAMETER = re.compile(
    r"^(?:in|out)puts?$|running|moving|veloc|moment|^[mv]$|^d[wb]|grad|cache|mask|config|_?state|"
    r"optim|loss|hist"
)

_SIZES: tuple[Mapping[str, Any], ...] = (
    {
        "in": 5,
        "out": 3,
        "hidden": 6,
        "W": (5, 3),
        "b": (3,),
        "norm": (5,),
        "Wx": (5, 3),
        "Wh": (3, 3),
    },
    {
        "in": 5,
        "out": 3,
        "hidden": 6,
        "W": (3, 5),
        "b": (3, 1),
        "norm": (5, 1),
        "Wx": (3, 5),
        "Wh": (3, 3),
    },
    {
        "in": 3,
        "out": 5,
        "hidden": 6,
        "W": (5, 3, 4, 2),
        "b": (5,),
        "norm": (3,),
        "Wx": (5, 3),
        "Wh": (3, 3),
    },
)
"""The sizes of a layer: examples in rows, in columns, of images by their channels."""

_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("sizes", re.compile(r"layer_?(?:sizes?|dims?|dimensions?)|sizes|dims|dimensions|"
                         r"layers?(?:_?dims?|_?sizes?)?|layers_dims|architecture|nn_?structure|"
                         r"units_list")),
    ("hidden_list", re.compile(r"hidden_(?:dims|sizes?_list|layers?)|hidden_size_list")),
    ("in", re.compile(r"(?:n_?)?in(?:put)?(?:_?(?:size|dims?|features?|units|channels?|nodes|n|"
                      r"shape))?s?|n_?x|fan_?in|n_?inputs?|num_inputs|num_features|in_?ch\w*|"
                      r"in_?dim\w*|dim|size|D|feature\w*|n_features|vocab\w*|n_in|size_in|prev\w*|nin")),
    ("hidden", re.compile(r"hidden(?:_?(?:size|dims?|units|nodes|n))?|n_?h|n_?hidden|H|"
                          r"num_hidden")),
    ("out", re.compile(r"(?:n_?)?out(?:put)?(?:_?(?:size|dims?|features?|units|channels?|nodes|n))?"
                       r"s?|n_?y|fan_?out|n_?outputs?|num_outputs|num_classes|n_?classes|"
                       r"out_?ch\w*|out_?dim\w*|C|units|neurons|n_?neurons|n_units|num_filters|"
                       r"n_filters|filters|size_out|nout")),
    ("Wx", re.compile(r"W_?x\w?|Wi|W_?ih|U")),
    ("Wh", re.compile(r"W_?h|W_?hh|W_?aa")),
    ("W", re.compile(r"W|w|weights?|kernel|W_\w+|W\d")),
    ("b", re.compile(r"b|bias(?:es)?")),
    ("norm", re.compile(r"gamma|beta")),
    ("reg", re.compile(r"(?:reg|lambd|weight_decay|l2)\w*|lam\w*")),
    ("keep", re.compile(r"keep\w*|dropout\w*|p|prob|rate|drop\w*|ratio")),
    ("rate", re.compile(r"lr|learning_?rate|alpha|eta|step_size")),
    ("seed", re.compile(r"\w*seed|random_state")),
    ("generator", re.compile(r"\w*rng|generator")),
    ("scale", re.compile(r"weight_(?:scale|init_std)|std|scale|init_std")),
)  # fmt: skip


_DATA = {
    "x": re.compile(r"x|X|inputs?|data|[xX]_train|features"),
    "y": re.compile(r"y|Y|t|labels?|targets?|outputs?|[yY]_train"),
}
"""The examples and their labels, of a network that is made with both."""

GENERATOR: Expression = ("generator", 3)

Constructor = tuple[dict[str, Expression], dict[str, Any], dict[str, Any]]
"""A constructor's arguments, the arrays among them, and the settings among them."""


def _constructors(
    init: ast.FunctionDef | None, texts: Mapping[str, Sequence[str]], penalised: bool
) -> Iterator[list[Constructor]]:
    """Yield arguments for a constructor: those that differ in their settings alone at a time.

    A setting that its class compares with `texts` is tried as each of them. The last has
    regularisers, where the file has the penalty that belongs to them.
    """
    names = parameters(init, True) if init is not None else []
    zeros = null_defaults(init) if init is not None else {}
    values = {
        name: [*([None] if default else []), *texts[name]] if texts.get(name) else SETTINGS[name]
        for name, default in names
        if texts.get(name) or name in SETTINGS
    }
    settings = [[(name, value) for value in options] for name, options in values.items()]
    seen: set[str] = set()
    both = all(any(p.fullmatch(name) for name, _ in names) for p in _DATA.values())
    for sizes in _SIZES:
        if both:
            sizes = {**sizes, "x": (4, 5), "y": (4, 1)}
        choices = [
            [(name, REG)]
            if type(zeros.get(name)) is float
            else [(name, option) for option in _values(name, default, sizes)]
            for name, default in names
            if name not in values
        ]
        for chosen in itertools.islice(itertools.product(*choices), 8):
            if (said := repr(chosen)) not in seen:
                seen.add(said)
                group = [
                    _constructor([*chosen, *picked], dict(picked))
                    for picked in itertools.islice(itertools.product(*settings), 8)
                ]
                regularisers = [name for name, _ in names if _REGULARISER.fullmatch(name)]
                if penalised and regularisers:
                    picked = {name: REG + 0.1 * i for i, name in enumerate(regularisers)}
                    group.append(_constructor([*chosen, *picked.items()], picked))
                yield group


def _constructor(chosen: Sequence[tuple[str, Any]], settings: dict[str, Any]) -> Constructor:
    rng = np.random.default_rng(19)
    arguments: dict[str, Expression] = {}
    given: dict[str, Any] = {}
    for name, option in chosen:
        if isinstance(option, tuple) and option[0] == "array":
            given[name] = draw(option[1], rng)
            arguments[name] = ("in", name)
        elif option is not None:
            arguments[name] = _expression(option)
    return arguments, given, settings


def _expression(option: Any) -> Expression:
    return GENERATOR if option == GENERATOR else ("value", option)


def _values(name: str, default: bool, sizes: Mapping[str, Any]) -> Sequence[Any]:
    """Return what an argument of a constructor may be; None leaves it out."""
    if name in SETTINGS:
        return SETTINGS[name]
    for data, pattern in _DATA.items():
        if data in sizes and pattern.fullmatch(name):
            return [("array", sizes[data])]
    kind = next((kind for kind, pattern in _KINDS if pattern.fullmatch(name)), None)
    if kind in ("W", "b", "norm", "Wx", "Wh"):
        return [None] if default else [("array", sizes[kind])]
    if kind == "sizes":
        return [[5, 6, 3]]
    if kind == "hidden_list":
        return [[6, 4]]
    if name == "dtype":
        return ["float64", None] if default else ["float64"]
    if kind == "in" and name.endswith("shape") and not default:
        return [sizes[kind], (3, 6, 8)]
    if kind in ("in", "out", "hidden"):
        return [sizes[kind], (3, 6, 8), None] if default and "input" in name else [sizes[kind]]
    if kind == "reg":
        return [REG]
    if kind == "keep":
        return [KEEP]
    if kind == "rate":
        return [None] if default else [0.1]
    if kind == "seed":
        return [3]
    if kind == "generator":
        return [None] if default else [GENERATOR]
    if kind == "scale":
        return [0.5]
    return [None] if default else [3]
