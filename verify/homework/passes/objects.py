"""Objects of a file's own classes: how they are made, and what their parameters are."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import starmap
from typing import Any, NamedTuple

import numpy as np

from verify.homework.dialects import SETTINGS
from verify.homework.passes.descent import RATE
from verify.homework.passes.inputs import KEEP, REG, draw
from verify.homework.read.construct import (
    ARRAY,
    FUNCTION,
    OBJECT,
    OBJECTS,
    SHAPE,
    SIZE,
    SIZES,
    Want,
    assigned,
    chains,
    optimisers,
    unset,
    wants,
)
from verify.homework.read.discover import is_gradient, is_hinted, lineage, methods_of
from verify.homework.read.extract import Extract
from verify.homework.read.modules import imported_names
from verify.homework.read.syntax import (
    large_defaults,
    null_defaults,
    parameters,
    required,
    several_defaults,
)
from verify.homework.read.usage import axes_of, texts_compared
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
    again: bool = False
    """Whether it is among the variants of one before, which need no other one if that one ran."""
    penalty: Penalty | None = None
    """What its gradients are of too, beside its forward pass."""
    shapes: tuple[tuple[int, ...], ...] = ()
    """Shapes that its constructor was given: its input has one of them, the first at best."""
    holders: Mapping[str, Collection[str]] = field(default_factory=dict)
    """The objects in it that have a parameter, by the parameter's path, where there are several."""

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
    init = methods_of(found, owner).get("__init__")
    uses = wants(found, owner)
    guessed = {
        name
        for name, default in (parameters(init, True) if init is not None else ())
        if not (default or _is_known(name) or _ARRAY.fullmatch(name) or _is_plain(uses.get(name)))
        and not _texts(found, owner, name)
    }
    seen: set[str] = set()
    spent = 0.0
    penalty = _penalty(found)
    for group in _constructors(found, owner, "__init__", penalised=penalty is not None):
        made: dict[bool, list[Side]] = {False: [], True: []}
        if spent > MOST_SECONDS:
            return
        start = door.clock()
        for arguments, given, settings in group:
            said = repr((arguments, {name: np.shape(value) for name, value in given.items()}))
            if said not in seen:
                seen.add(said)
                kept = penalty if _REGULARISER.search(" ".join(settings)) else None
                for chain in _filled(found, door, owner, arguments, given, failed):
                    side = _made(found, door, chain, given)
                    if side is not None:
                        layers = {n for n, given in arguments.items() if given[0] == "layer"}
                        certain = chain.sure and guessed <= layers
                        of_file = not any("descent" in repr(step) for step in chain.steps)
                        made[of_file].append(
                            replace(side, sure=certain, settings=settings, penalty=kept)
                        )
        spent += door.clock() - start
        for alike in made.values():
            for place, side in enumerate(alike):
                others = (*alike[:place], *alike[place + 1 :])
                yield replace(side, variants=others, again=place > 0)


_REGULARISER = re.compile(r"\w*regulari[sz]er\w*")


def _penalty(found: Extract) -> Penalty | None:
    """Return the method of a file that penalises layers, if there is one."""
    for owner in found.classes:
        for name, node in methods_of(found, owner).items():
            asked = required(node, True)
            if re.search(r"regulari[sz]ation", name) and len(asked) <= 1:
                return Penalty(owner, name, bool(asked))
    return None


def _filled(
    found: Extract,
    door: Door,
    owner: str,
    arguments: Mapping[str, Expression],
    given: Mapping[str, Any],
    failed: Callable[[Raised], None],
) -> Iterator[Side]:
    """Yield a new object, its lists of layers filled where it has any that are empty."""
    made: Step = ("call", ("name", owner), [], arguments)
    start = door.clock()
    answer = door.run(Recipe((made,), (("vars", ("slot", 0)),)), given)
    if isinstance(answer, Raised):
        failed(answer)
        return
    if door.clock() - start > MOST_MAKING:
        return
    trains = tuple(
        ("put", ("slot", 0), name, ("value", True))
        for name, value in answer[0].items()
        if value is False and _TRAINS.search(name)
    )
    if missing := sorted(unset(found, owner) - {n for n, v in answer[0].items() if v is not None}):
        for labels in _LABELS:
            puts = tuple(("put", ("slot", 0), name, ("value", labels)) for name in missing)
            yield Side(owner, (made, *trains, *puts), sure=False)
        return
    steps: tuple[Step, ...] = (made, *trains)
    if moves := optimisers(found, owner):
        yield Side(owner, (*steps, *starmap(_descending, moves.items())), sure=False)
    for name, methods in chains(found, owner).items():
        value = answer[0].get(name)
        if isinstance(value, list) and not value and methods & _FORWARD_METHODS:
            for layers in _layers(found, owner, methods - {""}):
                filled: Step = ("put", ("slot", 0), name, ("list", layers))
                yield Side(owner, (*steps, filled), sure=False)
            return
    yield Side(owner, steps)


_LABELS = (np.arange(4) % 3, np.eye(5)[np.arange(4) % 5])
"""Labels of four examples, by number and one-hot, where code outside of a class sets them."""

_TRAINS = re.compile(r"(?i:train(?!ed|able))")
"""A switch that a layer has on while it learns: what it keeps for its way back is kept then."""


def _descending(attribute: str, in_place: bool) -> Step:
    """Return the step that gives an object an optimiser whose steps show its gradients."""
    return ("put", ("slot", 0), attribute, _descent(in_place))


def _descent(in_place: bool) -> Expression:
    return ("descent", RATE, "here" if in_place else "anew")


_FORWARD_METHODS = {""} | set(
    """forward forward_pass feedforward fprop forward_propagation forwardPropagate feed_forward
    predict activate propagate""".split()
)


def _layers(found: Extract, owner: str, methods: frozenset[str]) -> Iterator[list[Expression]]:
    """Yield lists of layers for a network: of the classes at hand, else two that do for any."""
    needed = frozenset(m for m in methods if "forw" in m.lower() or is_hinted(m, {}))
    made = _objects(found, owner, Want(OBJECTS, methods=needed or methods), _SIZES[0])
    sized = [each for each in made if each[0] == "new" and each[2]]
    plain = [each for each in made if each[0] == "new" and not each[2]]
    if sized and plain:
        yield [sized[0], plain[0]]
    yield from ([each] for each in (*sized[:1], *plain[:1]))
    yield [("layer", 1.3), ("layer", 0.7)]


def _made(found: Extract, door: Door, filled: Side, given: Mapping[str, Any]) -> Side | None:
    """Return an object with parameters that are drawn anew, or None where it cannot be made."""
    made, *others = filled.steps
    answer = door.run(Recipe(filled.steps, (("vars", ("slot", 0)),)), given)
    if isinstance(answer, Raised) or filled.owner is None:
        return None
    kept = _kept_as(answer[0], given)
    given = {kept.get(name, name): value for name, value in given.items()}
    made = (*made[:3], {k: ("in", kept.get(e[1], e[1])) if e[0] == "in" else e
                        for k, e in made[3].items()})  # fmt: skip
    steps: list[Step] = [made, *others]
    if next(parameters_in(answer[0]), None) is None:
        answer = _initialised(found, door, filled.owner, steps, given) or answer
    known = list(parameters_in(answer[0]))
    if sum(value.size for *_, value in known) > MOST_ENTRIES:
        return None
    puts, values, after = drawn_anew(door, steps, answer[0], given, known, 17)
    shapes = [
        e[1]
        for step in steps
        if step[0] == "call"
        for e in step[3].values()
        if e[0] == "value" and _is_shape(e[1])
    ]
    drawn = {**given, **values}
    holders = _holders(after, drawn)
    return Side(filled.owner, (*steps, *puts), drawn, shapes=tuple(shapes), holders=holders)


def _holders(
    state: Mapping[str, np.ndarray], given: Mapping[str, Any]
) -> dict[str, Collection[str]]:
    """Return by which objects in an object a parameter is held, where there are several."""
    found: dict[str, set[str]] = {}
    for path, value in state.items():
        holder = re.sub(r"(?:^|\.)(?:params|parameters)$", "", path.rpartition(".")[0])
        for name, own in given.items() if holder else ():
            # Of two names of one array, the value that was put by the other may be in it.
            if np.array_equal(state.get(name, own), value):
                found.setdefault(name, set()).add(holder)
    inner = {
        name: {h for h in holders if not any(other.startswith(f"{h}.") for other in holders)}
        for name, holders in found.items()
    }
    return {name: holders for name, holders in inner.items() if len(holders) > 1}


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(size) is int for size in value)


MOST_MAKING = 2.0
"""Seconds of work for which an object may be made: it is made anew for every number moved."""

MOST_SECONDS = 4.0
"""Seconds of work after which no other arguments are tried for the constructor of a class."""

MOST_ENTRIES = 40_000
"""Numbers in the parameters of an object that is tried."""


def _kept_as(state: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, str]:
    """Return under which attribute an object keeps each array that its constructor was given."""
    found: dict[str, str] = {}
    for path, _, _, value in parameters_in(state):
        for name, array in given.items():
            if name not in found and path not in given and np.array_equal(value, array):
                found[name] = path
    return {name: path for name, path in found.items() if name not in state}


def drawn_anew(
    door: Door,
    steps: Sequence[Step],
    state: Mapping[str, Any],
    given: Mapping[str, Any],
    wanted: Iterable[tuple[str, Expression, Any, np.ndarray]],
    seed: int,
) -> tuple[list[Step], dict[str, Any], dict[str, np.ndarray]]:
    """Return the steps that put drawn values in the place of parameters, and these by path.

    An array that an object has twice, `self.w` and in `self.params = [self.w]`, is one parameter.
    Returned last is what the object has then, under all its names.
    """
    rng = np.random.default_rng(seed)
    values: dict[str, Any] = {}
    puts: dict[str, Step] = {}
    for path, holder, key, value in wanted:
        if path in given or any(np.array_equal(value, known) for known in given.values()):
            continue
        values[path] = (0.6 * draw(value.shape, rng)).astype(value.dtype)
        puts[path] = ("put", holder, key, ("in", path))
    recipe = Recipe((*steps, *puts.values()), (("vars", ("slot", 0)),))
    answer = door.run(recipe, {**given, **values})
    after = {} if isinstance(answer, Raised) else {p: v for p, _, _, v in _all_in(answer[0])}
    for path in list(values):
        if path in values and path in after and not np.array_equal(after[path], values[path]):
            for other in [n for n in values if n != path and n in after]:
                if np.array_equal(after[other], after[path]):
                    del values[other], puts[other]
    return list(puts.values()), values, after


def _all_in(state: Mapping[str, Any]) -> Iterator[tuple[str, Expression, Any, np.ndarray]]:
    return _inside(state, ("slot", 0), "")


def _initialised(
    found: Extract, door: Door, owner: str, steps: list[Step], given: Mapping[str, Any]
) -> tuple[Any, ...] | None:
    """Call the methods that make an object's parameters, if there are any; add them to the steps.

    One that only takes a shape comes before one that makes parameters of it.
    """
    answer: tuple[Any, ...] | None = None
    for names in _makers(found, owner):
        for name in names:
            for (arguments, arrays, _), *_ in _constructors(found, owner, name, penalised=False):
                call: Step = ("call", ("at", ("slot", 0), name), [], arguments)
                recipe = Recipe((*steps, call), (("vars", ("slot", 0)),))
                if arrays or not _fits(found, owner, arguments):
                    continue
                tried = door.run(recipe, given)
                if not isinstance(tried, Raised):
                    steps.append(call)
                    answer = tried
                    break
            if answer is not None and next(parameters_in(answer[0]), None) is not None:
                return answer
    return answer


def _makers(found: Extract, owner: str) -> Iterator[list[str]]:
    """Yield the methods that may make an object's parameters, the likeliest first.

    By their names; or since they set what the forward pass reads, and neither it nor the
    constructor sets.
    """
    methods = {name: n for name, n in methods_of(found, owner).items() if name != "__init__"}
    for pattern in (_PREPARES, _INITIALISES):
        yield [name for name in methods if pattern.fullmatch(name)]
    written = [
        n for e in lineage(found, owner) for n in e.node.body if isinstance(n, ast.FunctionDef)
    ]
    forward = [node for node in written if node.name in _FORWARD_METHODS | {"__call__"}]
    inits = [node for node in written if node.name == "__init__"]
    read = {name for node in forward for name in _of_self(node, ast.Load)}
    kept = {name for node in (*forward, *inits) for name in _of_self(node, ast.Store)}
    blank = {name for node in inits for name in _left_blank(node)}
    wanted = read - (kept - blank) - methods.keys()
    yield [
        name
        for name, node in methods.items()
        if node not in forward and not is_hinted(name, {}) and wanted & {*_of_self(node, ast.Store)}
    ]


def _written(found: Extract, owner: str) -> list[ast.FunctionDef]:
    """Return all methods of a class and of its bases, those that others override among them."""
    parts = [part for each in lineage(found, owner) for part in each.node.body]
    return [part for part in parts if isinstance(part, ast.FunctionDef)]


def _left_blank(node: ast.FunctionDef) -> Iterator[str]:
    """Yield the attributes that a constructor sets to None."""
    for target, value in assigned(node):
        match target, value:
            case ast.Attribute(ast.Name("self"), name), ast.Constant(None):
                yield name


def _of_self(node: ast.FunctionDef, kind: type[ast.expr_context]) -> Iterator[str]:
    """Yield the attributes of its object that a method reads, or those that it sets."""
    for part in ast.walk(node):
        match part:
            case ast.Attribute(ast.Name("self"), name, context) if isinstance(context, kind):
                yield name


def _fits(found: Extract, owner: str, arguments: Mapping[str, Expression]) -> bool:
    """Say whether the shapes among arguments have as many axes as the forward pass's input."""
    methods = methods_of(found, owner)
    forward = next((methods[name] for name in _FORWARD_METHODS if name in methods), None)
    given = parameters(forward, True) if forward is not None else []
    axes = axes_of(forward).of(given[0][0]) if forward is not None and given else 0
    shapes = [e[1] for e in arguments.values() if e[0] == "value" and _is_shape(e[1])]
    return not axes or all(len(shape) in (axes, axes - 1) for shape in shapes)


_PREPARES = re.compile(r"set_\w*(?:shape|size|dims?|optimi[sz]er)|setup|prepare\w*")
_INITIALISES = re.compile(r"_?init\w*|build|reset_param\w*|make_\w*(?:weights|param)\w*|compile")


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
    r"optim|loss|hist|(?:^|_)(?:labels?|targets?)$"
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
        "spare": (5, 3, 6, 4, 7),
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
        "spare": (5, 3, 6, 4, 7),
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
        "spare": (3, 5, 2, 4, 7),
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
        "spare": (4, 2, 3, 5, 7),
    },
)

_FUSED: tuple[Mapping[str, Any], ...] = tuple(
    {**_SIZES[0], "Wx": (5, 3 * gates), "Wh": (3, 3 * gates), "b": (3 * gates,)} for gates in (4, 3)
)
"""Of a recurrent layer whose arrays have all gates side by side."""
"""The sizes of a layer: examples in rows, in columns, of images by channels, by their kernel."""

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
    found: Extract, owner: str, method: str, penalised: bool
) -> Iterator[list[Constructor]]:
    """Yield arguments for a constructor: those that differ in their settings alone at a time.

    What its class does with an argument says what it is; else its name does. A setting that is
    compared with texts is tried as each of them. The last has regularisers, where the file has the
    penalty that belongs to them.
    """
    init = methods_of(found, owner).get(method)
    names = [*_asked(found, owner, method)]
    zeros = null_defaults(init) if init is not None else {}
    several = several_defaults(init) if init is not None else {}
    texts = {name: _texts(found, owner, name) for name, _ in names}
    wanted = wants(found, owner, method)
    values = {
        name: [*([None] if default else []), *texts[name]]
        if texts.get(name)
        else _in_shape(SETTINGS[name], wanted.get(name))
        for name, default in names
        if texts.get(name) or (name in SETTINGS and not _is_more(wanted.get(name)))
    }
    values |= {name: options[:1] for name, options in values.items() if "init" in name}
    settings = [[(name, value) for value in options] for name, options in values.items()]
    seen: set[str] = set()
    both = all(any(p.fullmatch(name) for name, _ in names) for p in _DATA.values())
    large = large_defaults(init) if init is not None else []
    fused = _FUSED if {"Wx", "Wh"} <= dict(names).keys() else ()
    every = itertools.product((False, True) if large else (False,), (*_SIZES, *fused))
    for small, sizes in every:
        if both:
            sizes = {**sizes, "x": (4, 5), "y": (4, 1)}
        spare = iter(sizes["spare"])
        choices = [
            [(name, REG)]
            if type(zeros.get(name)) is float
            else [(name, SMALL)]
            if small and name in large
            else [(name, None)]
            if default and method != "__init__"
            else [
                (name, _as_several(option, several.get(name)))
                for option in _options(found, owner, name, default, wanted.get(name), sizes, spare)
            ]
            for name, default in names
            if name not in values
        ]
        for chosen in itertools.islice(itertools.product(*choices), 8):
            if (said := repr(chosen)) not in seen:
                seen.add(said)
                strengths = {name: option for name, option in chosen if option == REG}
                group = [
                    _constructor([*chosen, *picked], {**strengths, **dict(picked)})
                    for picked in itertools.islice(itertools.product(*settings), 8)
                ]
                regularisers = [name for name, _ in names if _REGULARISER.fullmatch(name)]
                if penalised and regularisers:
                    picked = {name: REG + 0.1 * i for i, name in enumerate(regularisers)}
                    group.append(_constructor([*chosen, *picked.items()], picked))
                yield group


def _asked(found: Extract, owner: str, method: str) -> Iterator[tuple[str, bool]]:
    """Yield the arguments of a constructor; those that it hands on by `**kwargs`, too."""
    seen: set[str] = set()
    for node in (node for node in _written(found, owner) if node.name == method):
        given = parameters(node, True)
        yield from ((name, default) for name, default in given if name not in seen)
        seen |= {name for name, _ in given}
        if node.args.kwarg is None:
            return


def _texts(found: Extract, owner: str, name: str) -> list[str]:
    """Return the texts that a class compares an argument of its constructor with."""
    return [text for each, _ in lineage(found, owner) for text in texts_compared(each, name)]


SMALL = 8
"""What is tried for a size that is large where it is left out: it has two, four and eight parts."""


def _as_several(option: Any, default: tuple[float, ...] | list[float] | None) -> Any:
    """Return an option for an argument whose default is several numbers: as many, if it is one.

    Where the default's are no sizes, it stays.
    """
    if default is None or not isinstance(option, (int, float)):
        return option
    if all(isinstance(number, int) and number > 1 for number in default):
        return type(default)(2 + place % 4 for place in range(len(default)))
    return None


def _in_shape(options: Sequence[Any], want: Want | None) -> Sequence[Any]:
    """Return the values of a setting as tuples, where so many numbers are taken of it."""
    several = want is not None and want.kind == SHAPE and want.axes > 1
    return [(o,) * want.axes if several and want and isinstance(o, int) else o for o in options]


def _is_plain(want: Want | None) -> bool:
    """Say whether an argument's use leaves no doubt: an array, or a size of a matrix.

    What alone is the size of an array may be its whole shape.
    """
    return want is not None and (want.kind == ARRAY or (want.kind == SIZE and want.axes == 2))


def _is_more(want: Want | None) -> bool:
    """Say whether an argument is more than a number, by its use."""
    return want is not None and want.kind in (ARRAY, FUNCTION, OBJECT, OBJECTS)


def _options(
    found: Extract,
    owner: str,
    name: str,
    default: bool,
    want: Want | None,
    sizes: Mapping[str, Any],
    spare: Iterator[int],
) -> Sequence[Any]:
    """Return what an argument of a constructor may be, by its use and by its name."""
    by_name = _values(name, default, sizes)
    if want is None and not default and not _is_known(name) and _ARRAY.fullmatch(name):
        want = Want(ARRAY)
    if default and want is not None and want.kind in (FUNCTION, OBJECT, OBJECTS):
        return [None]
    if want is not None and want.kind == SIZE and isinstance(by_name[0], list):
        return [None] if default else [sizes["in"]]
    if default or _is_array(by_name):
        return by_name
    if _OPTIMISER.fullmatch(name):
        return [("expression", _descent(any(optimisers(found, owner).values())))]
    if _ACTIVATION.search(name) and (want is None or want.kind not in (FUNCTION, OBJECT)):
        if want is not None and want.kind in (SIZES, OBJECTS):
            several = ("list", [("activation",), ("activation",)])
            return [("expression", several), ["tanh", "tanh"]]
        return ["tanh", "sigmoid", "relu"]
    if want is None:
        return by_name if _is_known(name) else [next(spare, 3)]
    if want.kind == OBJECT:
        objects = _objects(found, owner, want, sizes)
        if not objects and _ACTIVATION.search(name):
            objects = [("activation",)]
        if not objects and any(is_hinted(method, {}) for method in want.methods):
            objects = [("layer", 1.3)]
        return [("expression", e) for e in objects] or by_name
    if want.kind == OBJECTS:
        chains_of = [("expression", ("list", e)) for e in _layers(found, owner, want.methods)]
        return chains_of if want.methods & _FORWARD_METHODS else [*chains_of[:-1], *by_name]
    if want.kind == FUNCTION:
        return [("expression", e) for e in _functions(found, name)]
    if want.kind == ARRAY:
        return [("array", sizes[next(k for p, k in _ARRAYS if p.search(name))])]
    if want.kind == SHAPE and not (_is_known(name) and want.axes < 1):
        return _shapes(name, want.axes, sizes)
    if want.kind == SIZES and not _is_known(name):
        return [[5, 6, 3], *_shapes(name, 0, sizes)]
    if _is_known(name):
        return by_name
    if want.kind == SIZE and re.search(r"shape", name):
        return [*_shapes(name, 0, sizes), next(spare, 3)]
    return [next(spare, 3)]


_OPTIMISER = re.compile(r"(?i:opt(?:im)?|optimi[sz]\w*)")
_ACTIVATION = re.compile(r"(?i:activ|act_f|nonlin)")


def _is_array(options: Sequence[Any]) -> bool:
    return isinstance(options[0], tuple) and options[0][0] == "array"


_ARRAY = re.compile(r"(?i:\w*(?:weights?|bias(?:es)?)_?(?:matrix|array|vector|values?)?)")
_ARRAYS = (
    (re.compile(r"bias|^b(?![a-z])|Bias"), "b"),
    (re.compile(r"gamma|beta|scale|shift"), "norm"),
    (re.compile(r""), "W"),
)
"""Which of a layer's arrays one is, by its name."""


def _shapes(name: str, axes: int, sizes: Mapping[str, Any]) -> list[Any]:
    """Return shapes of as many axes, those of an output with its size; any for none."""
    size = sizes["out"] if re.search(r"out|sal|sort", name) else sizes["in"]
    image = (3, 6, 8) if size == 3 else (size, 4, 3)
    known: list[tuple[int, ...]] = [(size,), (4, size), image, image[1:] + image[:1], (2, *image)]
    fitting = [shape for shape in known if len(shape) >= axes]
    return sorted(fitting, key=lambda shape: len(shape) != axes)[:3]


def _functions(found: Extract, name: str) -> list[Expression]:
    """Return what an argument that is called may be: the derivative of a function, or this."""
    derivative = is_hinted(name, {}) or re.search(r"deriv|prime|grad|^d_?|_d$", name)
    return [("tanh'",) if derivative else ("tanh",)]


def _objects(found: Extract, owner: str, want: Want, sizes: Mapping[str, Any]) -> list[Expression]:
    """Return objects of the file's classes, and of those beside it, that have some methods."""
    own = {each.node.name for each in lineage(found, owner)}
    made: list[Expression] = []
    for name in dict.fromkeys([*found.classes, *imported_names(found)]):
        methods = methods_of(found, name)
        if name in own or not methods or not want.methods <= methods.keys():
            continue
        if all(_is_blank(methods[method]) for method in want.methods):
            continue
        if want.kind == OBJECTS and any(_asks_for_more(methods[m]) for m in want.methods):
            continue
        init = methods.get("__init__")
        required = [n for n, default in (parameters(init, True) if init else ()) if not default]
        arguments = {n: _expression(_values(n, False, sizes)[0]) for n in required}
        options = [_values(n, False, sizes) for n in required]
        if not any(_is_array(values) or isinstance(values[0], list) for values in options):
            made.append(("new", name, arguments))
    if not made and want.methods & _MOVES:
        made.append(_descent(any(optimisers(found, owner).values())))
    return made[:MOST_OBJECTS]


_MOVES = frozenset("update step apply update_params update_weights get_update optimize".split())
MOST_OBJECTS = 3


def _asks_for_more(node: ast.FunctionDef) -> bool:
    """Say whether a method is given more than what comes from the layer beside it."""
    return sum(not default for _, default in parameters(node, True)) > 1


def _is_blank(node: ast.FunctionDef) -> bool:
    """Say whether a method is left to the classes that have this one as a base."""
    return all(isinstance(part, (ast.Pass, ast.Raise, ast.Expr)) for part in node.body)


def _constructor(chosen: Sequence[tuple[str, Any]], settings: dict[str, Any]) -> Constructor:
    rng = np.random.default_rng(19)
    arguments: dict[str, Expression] = {}
    given: dict[str, Any] = {}
    for name, option in chosen:
        if isinstance(option, tuple) and option[:1] == ("expression",):
            arguments[name] = option[1]
        elif isinstance(option, tuple) and option[:1] == ("array",):
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
        return [sizes[kind], (3, 6, 8), (6, 8, 3)]
    if kind == "out" and name.endswith("shape") and not default:
        return [sizes[kind], (sizes[kind],), (5, 1)]
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
