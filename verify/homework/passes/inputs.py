"""Inputs for a forward pass: from a dialect, from its docstring, by trial.

All sizes are small and mutually unequal, so that no shape fits by accident; heights differ from
widths. What comes out are sets of arguments, one after the other until one runs. A set holds
several settings (stride 1 and 2, with and without padding) that a pass must all be right in.
"""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from verify.homework.dialects import ARGUMENTS, NAMES, SETTINGS, Form
from verify.homework.read.discover import stem as stem_of
from verify.homework.read.extract import Extract
from verify.homework.read.syntax import null_defaults, parameters, required
from verify.homework.read.usage import (
    CALLED,
    CHANCE,
    FLAT,
    INDEX,
    INTEGER,
    KEYED,
    LISTED,
    UNPACKED,
    Axes,
    Use,
    axes_of,
    axes_of_pair,
    columns_of,
    is_array,
    is_handed_on,
    letters_of,
    logarithms,
    takes_any_number,
    texts_compared,
    usage,
)
from verify.homework.run.door import Expression

REG, KEEP = 0.3, 0.6
"""In no simple ratio to each other or to 1/2, so that no factor passes for another."""


@dataclass(frozen=True, eq=False)
class Arguments:
    """Arguments of one call: an expression each, and the named arrays that these are made of."""

    expressions: Mapping[str, Expression]
    given: Mapping[str, Any]
    setting: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    tier: int = 0
    """How sure the inputs are: 0 from a dialect, 1 a docstring, 2 tried, 3 tried and degenerate."""


def draw(shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Return values of both signs, none near 0, no two alike."""
    value = rng.uniform(0.15, 1.4, tuple(shape)) * rng.choice((-1.0, 1.0), tuple(shape))
    return np.asarray(value)


def main_of(given: Mapping[str, Any]) -> str:
    """Return the input that a pass is mainly of: the first that is no label and no parameter."""
    inputs = [name for name in given if not is_label(name)]
    whole = [name for name in inputs if "." not in name]
    return next(iter((*whole, *inputs, *given)), "")


def is_label(path: str) -> bool:
    """Say whether an input's name is that of labels."""
    return _LABELS.fullmatch(path.rsplit(".", 1)[-1]) is not None


def is_weight(path: str) -> bool:
    """Say whether an input's name is that of weights."""
    return _WEIGHT.fullmatch(path.rsplit(".", 1)[-1]) is not None


def argument_sets(
    found: Extract,
    node: ast.FunctionDef,
    is_method: bool,
    stem: str,
    known: Arguments | None = None,
    held: Mapping[str, Any] | None = None,
    back: ast.FunctionDef | None = None,
) -> Iterator[list[Arguments]]:
    """Yield sets of arguments for a function, the likeliest first.

    `known` has arguments whose values are given from elsewhere, `held` the parameters of the object
    whose method it is; `back` is the backward pass, which may say more of them. Labels that may be
    left out are given first, and then left out.
    """
    known = known or Arguments({}, {})
    for tier, forms in form_sets(found, node, is_method, stem, known, held or {}, back):
        yield arguments_in(node, is_method, forms, known, tier)


def likely_forms(
    node: ast.FunctionDef, is_method: bool, forms: Iterable[Mapping[str, Form]]
) -> Iterator[dict[str, Form]]:
    """Yield forms of a function's arguments, and then some by the parts that they play."""
    yield from map(dict, forms)
    wanted, axes, used = required(node, is_method), axes_of(node), usage(node, {})
    for roles in _ROLES:
        found: dict[str, Form] = {}
        for name in wanted:
            known = _usual(name, node) or (_used(name, used[name], axes) if name in used else None)
            found[name] = known or _in_roles(name, roles, axes.of(name))
            if name in used and used[name].parts:
                parts = _names_of(used[name])
                made = {part: _usual(part) or _in_roles(part, roles, 0) for part in parts}
                found[name] = (_KINDS[used[name].kind], made)
        yield found


def _in_roles(name: str, roles: Mapping[str, tuple[int, ...]], axes: int) -> Form:
    if axes > 2:
        return ("array", _STACKS[axes][bool(_WEIGHT.fullmatch(name))])
    role = next(role for role, pattern in _PARTS if pattern.fullmatch(name))
    return ("small" if role in ("w", "u", "v") else "array", roles[role])


_STACKS = {3: ((3, 6, 8), (5, 3, 2)), 4: ((2, 3, 6, 8), (5, 3, 4, 2)), 5: ((2, 3, 4, 6, 8),) * 2}
"""Shapes of inputs and of weights by the number of their axes."""

_PARTS = (
    ("u", re.compile(r"[UR]\w*|[Ww]_?(?:hh|aa|ss|h_h)|[Ww]_?rec\w*|[Ww]h")),
    ("v", re.compile(r"V\w*|[Ww]_?(?:hy|ya|ho|out|y|hq|s)")),
    ("c", re.compile(r"[bc]_?(?:y|out|q)")),
    ("w", re.compile(r"[Ww]\w*|theta\w*|kernel\w*|filt\w*|coef\w*")),
    ("b", re.compile(r"[Bb]\w{0,3}|bias\w*|beta\w*|gamma\w*")),
    (
        "h",
        re.compile(
            r"[hcsa](?:_?(?:prev|old|last|p|0|t|tm1|t_1|init\w*|start))?|prev\w*|init\w*|"
            r"\w*state\w*|hidden|cell"
        ),
    ),
    ("x", re.compile(r"\w*")),
)
"""What arguments of a recurrent cell are by their names: the first that fits."""

_ROLES: tuple[Mapping[str, tuple[int, ...]], ...] = (
    {"x": (4, 5), "w": (5, 3), "u": (3, 3), "v": (3, 2), "b": (3,), "c": (2,), "h": (4, 3)},
    {"x": (5, 4), "w": (3, 5), "u": (3, 3), "v": (2, 3), "b": (3, 1), "c": (2, 1), "h": (3, 4)},
    {"x": (4, 5), "w": (5, 3), "u": (5, 3), "v": (3, 2), "b": (3,), "c": (2,), "h": (4, 3)},
    {"x": (5, 4), "w": (3, 8), "u": (3, 8), "v": (2, 3), "b": (3, 1), "c": (2, 1), "h": (3, 4)},
    {"x": (4, 5), "w": (8, 3), "u": (8, 3), "v": (3, 2), "b": (3,), "c": (2,), "h": (4, 3)},
    {"x": (6, 4, 5), "w": (5, 3), "u": (3, 3), "v": (3, 2), "b": (3,), "c": (2,), "h": (4, 3)},
    {"x": (4, 6, 5), "w": (5, 3), "u": (3, 3), "v": (3, 2), "b": (3,), "c": (2,), "h": (4, 3)},
    {"x": (6, 5, 4), "w": (3, 5), "u": (3, 3), "v": (2, 3), "b": (3, 1), "c": (2, 1), "h": (3, 4)},
)
"""Shapes by these parts: in rows, in columns; with a state that is put beside the input, too."""


def form_sets(
    found: Extract,
    node: ast.FunctionDef,
    is_method: bool,
    stem: str,
    known: Arguments,
    held: Mapping[str, Any],
    back: ast.FunctionDef | None = None,
) -> Iterator[tuple[int, dict[str, Form]]]:
    """Yield what the arguments of a function may be, each once, and how sure that is."""
    arguments = parameters(node, is_method)
    seen: set[str] = set()
    near = [kind.body for kind in found.classes.values() if node in kind.body]
    others = [n for body in near for n in body if isinstance(n, ast.FunctionDef)]
    texts = [ast.get_docstring(n) or "" for n in (*others, *found.functions.values())]
    axes = axes_of_pair(node, back)
    layouts = tuple(
        layout
        for layout in (*_layouts_of(held), *LAYOUTS, *_sequences_of(held))
        if _has_axes(layout, arguments, axes)
    )
    told = _told(node, back, found.functions, is_method)
    needed = [
        (name, default and not _LABELS.fullmatch(name) and name not in told)
        for name, default in arguments
    ]
    for wanted in (needed, arguments) if needed != arguments else (arguments,):
        for tier, forms in _forms(node, wanted, stem, known, found.functions, texts, layouts):
            if repr(forms) not in seen:
                seen.add(repr(forms))
                yield tier, forms


def _told(
    node: ast.FunctionDef,
    back: ast.FunctionDef | None,
    functions: Mapping[str, ast.FunctionDef],
    is_method: bool,
) -> set[str]:
    """Return the arguments that count something, and of which a backward pass is told."""
    asked = {name for name, _ in parameters(back, is_method)} if back is not None else set()
    return {
        name
        for name, use in usage(node, functions).items()
        if use == Use(INTEGER) and (name in asked or is_handed_on(node, name))
    }


def arguments_in(
    node: ast.FunctionDef,
    is_method: bool,
    forms: Mapping[str, Form],
    known: Arguments,
    tier: int,
) -> list[Arguments]:
    """Return the arguments of these forms, in every combination of their settings."""
    return [
        replace(each, tier=tier) for each in _settings(parameters(node, is_method), forms, known)
    ]


def _forms(
    node: ast.FunctionDef,
    arguments: Sequence[tuple[str, bool]],
    stem: str,
    known: Arguments,
    functions: Mapping[str, ast.FunctionDef],
    texts: Sequence[str],
    layouts: Sequence[Mapping[str, tuple[int, ...]]],
) -> Iterator[tuple[int, dict[str, Form]]]:
    """Yield what each argument is: a form a name. Those with a default may be left out.

    `texts` are the docstrings of the whole file, where the function's own says too little.
    """
    open_ = [(name, default) for name, default in arguments if name not in known.expressions]

    def complete(forms: Mapping[str, Form]) -> bool:
        return all(name in forms or default for name, default in open_)

    usual: dict[str, Form] = {}
    for name, value in null_defaults(node).items():
        if isinstance(value, float):
            usual[name] = ("number", REG)
        elif _TRAINS.fullmatch(name):
            usual[name] = ("choice", (True,))
    usual |= {n: f for n, _ in open_ if (f := _usual(n, node)) is not None}
    usual |= {
        n: ("choice", choices) for n, _ in open_ if n not in usual and (choices := _texts(node, n))
    }
    for own in ARGUMENTS.get(stem, ()):
        forms = usual | {name: own[name] for name, _ in open_ if name in own}
        if complete(forms):
            yield 0, forms
    names = [name for name, _ in open_]
    own = _shown(names, [ast.get_docstring(node) or ""])
    if own and complete(usual | own):
        yield 1, usual | own
    for handed in _handed_on(node, names):
        if complete(usual | handed):
            yield 2, usual | handed
    used = usage(node, functions)
    shown = _by_use({n: use for n, use in used.items() if n not in usual}, axes_of(node))
    parts = {
        n: use
        for n, use in used.items()
        if n in names and use.kind in _KINDS and (use.kind != LISTED or _PARAMETERS.fullmatch(n))
    }
    called = {n: use for n, use in used.items() if use.kind == CALLED and n in names}
    shown |= {n: f for n, f in _by_letters(node).items() if n in names and n not in usual}
    elsewhere = shown | own | _shown([name for name in names if name not in own], texts)
    flat = next((n for n in names if used.get(n) == Use(FLAT) and n not in usual), None)
    if flat is None:
        told = {repr(forms): forms for forms in (shown | own, elsewhere, shown)}
        for known_forms in told.values():
            for more in _functions(called, functions, node):
                yield from _by_trial(node, open_, usual, known_forms | more, parts, layouts)
        return
    if complete(usual | elsewhere | {flat: ()}):
        for size in range(4, LONGEST):
            yield 2, usual | elsewhere | {flat: ("small", (size,))}


def _has_axes(
    layout: Mapping[str, tuple[int, ...]],
    arguments: Sequence[tuple[str, bool]],
    axes: Axes,
) -> bool:
    """Say whether the input has as many axes in a layout as the file says.

    Columns one by one are tried only where it says that there are three.
    """
    first = next((name for name, _ in arguments if _INPUT.fullmatch(name)), "")
    columns = len(layout["x"]) == 3 and 1 in layout["x"]
    return axes.fit(first, len(layout["x"])) and (not columns or axes.sure.get(first) == 3)


def _by_letters(node: ast.FunctionDef) -> dict[str, Form]:
    """Return the arrays whose axes are letters in a product: a size for each letter."""
    letters = letters_of(node)
    sizes = dict(zip(dict.fromkeys("".join(letters.values())), _LETTERS, strict=False))
    return {
        name: ("array", tuple(sizes[letter] for letter in axes))
        for name, axes in letters.items()
        if all(letter in sizes for letter in axes)
    }


_LETTERS = (4, 5, 3, 6, 2, 7)

LONGEST = 130
"""Entries of a vector of unrolled weights, beyond which its length is not found by trial."""


_TRAINS = re.compile(r"(?:is_?)?train\w*|(?:save|keep|store|retain|return)_?\w*|cache")
"""Switches without which a forward pass keeps nothing for the way back."""


def _by_use(used: Mapping[str, Use], axes: Axes) -> dict[str, Form]:
    """Return what arguments are by their uses, where these say it."""
    forms = {name: _used(name, use, axes) for name, use in used.items()}
    return {name: form for name, form in forms.items() if form is not None}


def _used(name: str, use: Use, axes: Axes) -> Form | None:
    """Return what an argument is by its use: an index, a probability, a number that counts."""
    if use.kind == INDEX and not _LABELS.fullmatch(name):
        return ("labels", (4, 5) if axes.of(name) == 2 else (4,))
    if use.kind == CHANCE:
        return ("number", KEEP)
    if use.kind == INTEGER:
        return ("choice", next(v for pattern, v in _INTEGERS if pattern.search(name)))
    return None


def _handed_on(node: ast.FunctionDef, names: Sequence[str]) -> Iterator[dict[str, Form]]:
    """Yield what arguments are by the layers that a function hands them on to, in every form."""
    layers: dict[str, list[dict[str, Form]]] = {}
    for call in (part for part in ast.walk(node) if isinstance(part, ast.Call)):
        layer = _layer(getattr(call.func, "id", getattr(call.func, "attr", "")))
        given = [getattr(value, "id", "") for value in call.args]
        if layer and set(given) & set(names):
            layers[layer] = [
                {
                    name: form
                    for name, form in zip(given, forms.values(), strict=False)
                    if name in names
                }
                for forms in ARGUMENTS[layer]
            ]
    for chosen in itertools.islice(itertools.product(*layers.values()), MOST_HANDED):
        for first in (chosen[::-1], chosen):  # where they differ the first says it, then the last
            yield {name: form for forms in first for name, form in forms.items()}


MOST_HANDED = 6
"""Ways in which a function of several layers is tried by the forms of these."""


def _layer(name: str) -> str:
    """Return the layer of a dialect that a function is, however it is computed; "" if none."""
    words = stem_of(name).split("_")
    layers = ("_".join(words[:count]) for count in range(len(words), 0, -1))
    return next((layer for layer in layers if layer in ARGUMENTS), "")


def _functions(
    called: Mapping[str, Use], functions: Mapping[str, ast.FunctionDef], node: ast.FunctionDef
) -> Iterator[dict[str, Form]]:
    """Yield functions of the file for the arguments that are called, with as many arguments."""
    fitting = [
        [
            (argument, ("function", name))
            for name, other in functions.items()
            if other is not node
            and sum(not default for _, default in parameters(other, False)) == use.count
        ]
        for argument, use in called.items()
    ]
    for chosen in itertools.islice(itertools.product(*fitting), MOST_FUNCTIONS):
        yield dict(chosen)


MOST_FUNCTIONS = 4
"""Functions of a file that are tried in the place of an argument that is called."""


_INTEGERS = (
    (re.compile(r"^s$|strid|step"), (1, 2)),
    (re.compile(r"^p$|pad"), (0, 1)),
    (re.compile(r""), (2, 3)),
)


def _shown(names: Sequence[str], texts: Sequence[str]) -> dict[str, Form]:
    """Return what docstrings show of arguments: arrays by their shapes, and those sizes."""
    found: dict[str, Form] = {}
    for text in texts:
        shapes, sizes = docstring_shapes(text, names)
        for name in names:
            if name in shapes:
                found.setdefault(name, _labelled(name, shapes[name], shapes.values()))
            elif name in sizes:
                found.setdefault(name, ("choice", (sizes[name],)))
            elif re.search(rf"^\W*{re.escape(name)}\W+(?:an? )?int", text, re.M):
                found.setdefault(name, ("choice", (1,)))
    return found


def _labelled(name: str, shape: Sequence[int], all_: Iterable[Sequence[int]]) -> Form:
    """Return the form of an argument by its name and shape, and the shapes of all arguments."""
    if _MASK.fullmatch(name):
        return ("binary", tuple(shape))
    if not _LABELS.fullmatch(name):
        return ("array", tuple(shape))
    if len(shape) == 1:
        return ("labels", tuple(shape))
    classes = next((other[-1] for other in all_ if tuple(other[:-1]) == tuple(shape)), 0)
    if classes:
        return ("labels", tuple(shape), classes)
    return ("binary" if 1 in shape else "onehot", tuple(shape))


_LABELS = re.compile(r"(?:y|Y|t|labels?|targets?|y_?true|y_train|t_train|y_batch|t_batch)")
_MASK = re.compile(r"R|\w*mask\w*")
_INPUT = re.compile(
    r"(?:x|X|[xX]_\w+|a|A|z|Z|h|s|v|u|n|inputs?|in_?put_?data|input_?tensor|data|a_?prev|A_?prev|features?|images?|img|"
    r"out|outputs?|x_?in|x_?batch|X_?batch|val|value|values|arr|logits|scores|activations?|"
    r"A_?in|in_?\w*|input_?\w*|batch|tensor|signal|pre_?activation\w*|net|o|p|q|y)"
)
_WEIGHT = re.compile(
    r"(?:w|W|weights?|theta\w*|Theta\w*|kernels?|filt(?:er)?s?|params?_?w|[wW]\d|coef)"
)
_BIAS = re.compile(r"(?:b|B|bias|biases|b\d|beta|shift|intercept)")
_GAMMA = re.compile(r"(?:gamma|scale|g)")
_STATE = re.compile(r"(?:h|c|a|s|hidden|state)_?(?:prev|0|t_?1)|prev_?(?:h|c|a|hidden|state)\w*")
_PREDICTED = re.compile(r"y_?(?:hat|pred\w*)|Y_?(?:hat|pred\w*)|probs?|pred\w*|scores|logits|AL")
_REG = re.compile(
    r"(?:reg\w*|lambd\w*|lamb|lam|lamda|lmb?da?|lmbd|l2\w*|weight_?decay\w*|Lambda|learningRate|"
    r"regularization\w*|\w+_lambda\w*|lambda_\w+)"
)
_PREDICTION = re.compile(
    r"(?:scores|logits|y_?hat|Y_?hat|AL|A\d|y_?pred|Y_?pred|probs?|pred\w*|outputs?|output_?acti\w*|"
    r"hypothesis|h|p|a|x|X|yhat|dvalues|o|z|Z|out)"
)


def _usual(name: str, node: ast.FunctionDef | None = None) -> Form | None:
    """Return what a number or a dict of settings is by its name, where it is no array there."""
    array = node is not None and is_array(node, name)
    if _REG.fullmatch(name) and not array:
        return ("number", REG)
    if name in SETTINGS and not array:
        return ("setting", name)
    return NAMES.get(name)


MOST_CHOSEN = 24
"""Ways in which the arguments are made in one layout, at most."""


def _by_trial(
    node: ast.FunctionDef,
    arguments: Sequence[tuple[str, bool]],
    usual: Mapping[str, Form],
    shown: Mapping[str, Form],
    parts: Mapping[str, Use],
    layouts: Sequence[Mapping[str, tuple[int, ...]]],
) -> Iterator[tuple[int, dict[str, Form]]]:
    """Yield forms by the names of arguments and their `parts`, in one layout after the other."""
    required = [name for name, default in arguments if not default]
    has_weights = any(_WEIGHT.fullmatch(name) for name, _ in arguments)
    logged = logarithms(node)
    columns = [name for name in columns_of(node) if _LABELS.fullmatch(name)]
    plain = takes_any_number(node)
    for layout in layouts:
        if "y" in layout and not has_weights:
            continue
        thin = min(map(len, (layout["w"], layout["x"]))) < 2 or layout["x"][0] == 1
        tier = 3 if thin or "y" in layout else 2
        arrays = ((n, f[1]) for n, f in shown.items() if f[0] == "array")
        if shape := next((shape for n, shape in arrays if _INPUT.fullmatch(n)), None):
            layout = {**layout, "x": tuple(shape)}
        options: list[list[tuple[str, Form]]] = []
        chain = _chain([name for name in required if name not in parts], layout)
        lists = _lists([n for n in required if n in parts and parts[n].kind == LISTED], layout)
        for place, name in enumerate(required):
            known = shown.get(name) or usual.get(name) or chain.get(name)
            forms = [known] if known else list(_in_layout(name, place, layout, required))
            if plain:  # what is right between 0 and 1 alone is wrong
                forms = [form for form in forms if form[0] not in ("chances", "softmax")]
            if name in logged and ("array", layout["x"]) in forms and len(layout["x"]) == 2:
                others = [(kind, layout["x"]) for kind in ("chances", "softmax")]
                forms += [form for form in others if form not in forms]
            if name in columns and len(layout["x"]) == 2 and not known:
                forms = [("labels", (layout["x"][0], 1)), *forms]
            if name in parts and not known:
                whole = lists.get(name) or _of_parts(node, name, parts[name], layout)
                forms = [whole] if whole[1] else []
            options.append([(name, form) for form in forms])
        if all(options):
            for chosen in itertools.islice(itertools.product(*options), MOST_CHOSEN):
                yield tier, {**usual, **dict(chosen)}


def _of_parts(
    node: ast.FunctionDef, argument: str, use: Use, layout: Mapping[str, tuple[int, ...]]
) -> Form:
    """Return the form of a tuple or a dict, by the names of its parts."""
    forms: dict[str, Form] = {}
    names = _names_of(use)
    chain = _chain(names, layout)
    for name in names:
        if texts := _texts(node, name, argument):
            forms[name] = ("choice", texts)
            continue
        word = name.rpartition("_")[2] if use.kind == KEYED else name
        known = chain.get(name) or _part(name, layout) or _part(word, layout)
        forms[name] = known or ("array", layout["x"])
    return (_KINDS[use.kind], forms)


def _names_of(use: Use) -> list[str]:
    """Return the names of the parts of an argument; two of those that are numbered."""
    return [
        part.replace("*", number)
        for number in (("1", "2") if any("*" in part for part in use.parts) else ("",))
        for part in use.parts
        if "*" in part or number != "2"
    ]


_KINDS = {UNPACKED: "tuple", KEYED: "dict", LISTED: "list"}


_PARAMETERS = re.compile(r"[Ww](?:eight)?s?|[Bb](?:ias(?:es)?)?s?|param\w*|[Tt]hetas?")
"""Lists of arrays, where they are lists."""

_HIDDEN = (6, 2, 7, 4)
"""The sizes of hidden layers."""


def _lists(names: Sequence[str], layout: Mapping[str, tuple[int, ...]]) -> dict[str, Form]:
    """Return lists of the weights and of the biases of two layers, or of both in turn."""
    chain = _chain(["W1", "b1", "W2", "b2"], layout)
    kinds = {name: re.match(r"[WwBb]", name) for name in names}
    found: dict[str, Form] = {}
    for name, kind in kinds.items() if chain else ():
        wanted = [
            key
            for key in chain
            if kind is None or key[0] == kind[0].replace("B", "b").replace("w", "W")
        ]
        found[name] = ("list", {str(place): chain[key] for place, key in enumerate(wanted)})
    return found


def _texts(node: ast.FunctionDef, name: str, holder: str = "") -> tuple[str, ...]:
    """Return the texts that an argument may be; where it is compared with one, also another."""
    texts = texts_compared(node, name, holder)
    return (*texts, *(("other",) if len(texts) == 1 else ()))


def _chain(names: Sequence[str], layout: Mapping[str, tuple[int, ...]]) -> dict[str, Form]:
    """Return the weights and biases of a network, layer after layer as they are named.

    A state's weights are square, and no layer of a chain.
    """
    weights = [name for name in names if re.match(r"[Ww](?!h?h$)|theta|Theta", name)]
    biases = [name for name in names if re.match(r"[Bb](?:$|\d|_|ias)", name)]
    x, w = layout["x"], layout["w"]
    if len(weights) < 2 or len(x) != 2 or len(w) != 2 or len(biases) not in (0, len(weights)):
        return {}
    if len(weights) > len(_HIDDEN):
        return {}
    rows = w[0] == x[1]
    first, last = (x[1], w[1]) if rows else (x[0], w[0])
    sizes = [first, *_HIDDEN[: len(weights) - 1], last]
    found: dict[str, Form] = {}
    for place, name in enumerate(weights):
        before, after = sizes[place], sizes[place + 1]
        found[name] = ("array", (before, after) if rows else (after, before))
        if biases:
            ones = tuple(1 if size == 1 else after for size in layout["b"])
            found[biases[place]] = ("array", ones)
    return found


def _part(name: str, layout: Mapping[str, tuple[int, ...]]) -> Form | None:
    if (usual := _usual(name)) is not None:
        return usual
    if _STATISTIC.fullmatch(name) and "gamma" in layout:
        return ("positive", layout["gamma"])
    if name in _RATES:
        return ("number", KEEP)
    return next(_in_layout(name, 1, layout, ()), None)


_STATISTIC = re.compile(r"(?:run\w*|moving\w*|batch)?_?(?:mean|mu|var\w*|std|sigma)\d?")
_RATES = frozenset(("p", "momentum", "decay", "rate", "prob"))

LAYOUTS: tuple[Mapping[str, tuple[int, ...]], ...] = (
    {"x": (4, 5), "w": (5, 3), "b": (3,), "gamma": (5,), "beta": (5,)},
    {"x": (4, 5), "w": (5, 3), "b": (1, 3), "gamma": (1, 5), "beta": (1, 5)},
    {"x": (5, 4), "w": (3, 5), "b": (3, 1), "gamma": (5, 1), "beta": (5, 1)},
    {"x": (4, 5), "w": (3, 5), "b": (3,), "gamma": (5,), "beta": (5,)},
    {"x": (4, 5), "w": (5,), "b": (), "y": (4,)},
    {"x": (4, 5), "w": (5, 1), "b": (), "y": (4, 1)},
    {"x": (4, 5), "w": (5,), "b": (), "y": (4, 1)},
    {"x": (5, 4), "w": (5, 1), "b": (), "y": (1, 4)},
    {"x": (2, 3, 6, 8), "w": (5, 3, 4, 2), "b": (5,), "gamma": (3,), "beta": (3,)},
    {"x": (2, 3, 6, 8), "w": (5, 3, 3, 3), "b": (5,), "gamma": (1, 3, 1, 1), "beta": (1, 3, 1, 1)},
    {"x": (2, 6, 8, 3), "w": (4, 4, 3, 5), "b": (1, 1, 1, 5), "gamma": (3,), "beta": (3,)},
    {"x": (3, 6, 8), "w": (5, 3, 4, 2), "b": (5,)},
    {"x": (3, 6, 8), "w": (5, 3, 3, 3), "b": (5,)},
    {"x": (3, 6, 8), "w": (5, 3, 3, 3), "b": (5, 1)},
    {"x": (2, 3, 6, 8), "w": (5, 3, 3, 3), "b": (5, 1)},
    {"x": (6, 8), "w": (3, 2), "b": ()},
    {"x": (2, 4, 5), "w": (5, 3), "b": (3,), "gamma": (5,), "beta": (5,)},
    {"x": (4, 5, 1), "w": (1, 3, 5), "b": (1, 3, 1), "gamma": (1, 5, 1), "beta": (1, 5, 1)},
    {"x": (2, 5, 7), "w": (3, 5, 2), "b": (3,), "gamma": (7,), "beta": (7,)},
    {"x": (4, 5), "w": (4, 5), "b": (4, 5), "gamma": (4, 5), "beta": (4, 5)},
    {"x": (5,), "w": (3, 5), "b": (3,)},
    {"x": (5, 1), "w": (3, 5), "b": (3, 1)},
    {"x": (1, 5), "w": (5, 3), "b": (1, 3)},
)
"""Shapes by what an argument is: examples in rows, in columns, images, sequences, one example."""


def _layouts_of(held: Mapping[str, Any]) -> Iterator[Mapping[str, tuple[int, ...]]]:
    """Yield layouts that fit an object whose sizes are its own: rows and columns of examples."""
    for shape in (value for value in held.values() if isinstance(value, tuple)):
        yield {"x": shape, "w": (5, 3), "b": (3,)}
        yield {"x": (4, *shape), "w": (5, 3), "b": (3,)}
    shapes = [np.shape(v) for v in held.values() if np.ndim(v) == 2 and not isinstance(v, tuple)]
    if shapes and 5 not in shapes[0]:
        (first, hidden), (last, out) = shapes[0], shapes[-1]
        yield {"x": (4, first), "w": (first, hidden), "b": (hidden,), "t": (4, out)}
        yield {"x": (hidden, 4), "w": (first, hidden), "b": (first, 1), "t": (last, 4)}


def _sequences_of(held: Mapping[str, Any]) -> Iterator[Mapping[str, tuple[int, ...]]]:
    """Yield layouts of rows and of sequences with as many features as an object has of anything."""
    shapes = [np.shape(value) for value in held.values() if isinstance(value, np.ndarray)]
    for size in list(dict.fromkeys(size for shape in shapes for size in shape if size > 1))[:3]:
        yield {"x": (4, size), "w": (size, 3), "b": (3,)}
        yield {"x": (2, 3 if size == 4 else 4, size), "w": (size, 3), "b": (3,)}


def _in_layout(
    name: str, place: int, layout: Mapping[str, tuple[int, ...]], required: Sequence[str]
) -> Iterator[Form]:
    x = layout["x"]
    predicted = any(_PREDICTED.fullmatch(other) for other in required)
    if _LABELS.fullmatch(name) and (place or predicted):
        yield from _label_forms(layout, required)
    elif _MASK.fullmatch(name):
        yield ("binary", x)
    elif _WEIGHT.fullmatch(name):
        yield ("array", layout["w"])
    elif _GAMMA.fullmatch(name) and "gamma" in layout:
        yield ("array", layout["gamma"])
    elif _STATE.fullmatch(name) and len(x) == 2:
        yield ("array", (x[0], 3) if layout["w"][0] == x[-1] else (3, x[-1]))
        yield ("array", x)
    elif name == "beta" and "beta" in layout:
        yield ("array", layout["beta"])
    elif _BIAS.fullmatch(name):
        yield ("array", layout["b"])
    elif place == 0 or _INPUT.fullmatch(name) or _PREDICTED.fullmatch(name):
        yield ("array", x)
        is_prediction = _PREDICTION.fullmatch(name) or _LABELS.fullmatch(name)  # y, target
        if is_prediction and len(required) > 1 and len(x) == 2:
            yield ("chances", x)
            yield ("softmax", x)
    elif place == 1 and len(required) == 2:
        yield ("array", x)
        yield ("labels", x[:1])


def _label_forms(layout: Mapping[str, tuple[int, ...]], required: Sequence[str]) -> Iterator[Form]:
    x, w = layout["x"], layout["w"]
    weights = sum(_WEIGHT.fullmatch(name) is not None for name in required)
    has_weights, network = weights > 0, weights > 1
    if "t" in layout:
        yield ("binary", layout["t"])
    if "y" in layout:
        yield ("array", layout["y"])
        yield ("binary", layout["y"])
        return
    if has_weights and len(x) == 2 and w[-1] == x[0] and w[0] != x[1]:
        if x[1] > 1:
            yield ("labels", (x[1],), w[0])
        if x[1] > 1 and network:
            yield ("onehot-columns", (w[0], x[1]))
            yield ("array", (w[0], x[1]))
    elif has_weights:
        yield ("labels", (x[0],), w[-1]) if len(x) == 2 else ("labels", x[:1])
        if len(x) == len(w) == 2 and network:
            yield ("onehot", (x[0], w[-1]))
            yield ("array", (x[0], w[-1]))
    else:
        yield ("labels", x[:1])
        if len(x) == 1:
            yield ("labels", x, 2)
        if len(x) == 2:
            yield ("onehot-columns" if w[-1] == x[0] else "onehot", x)
            yield ("onehot", (x[0], 3))
            yield ("binary", (x[0], 1))
            yield ("binary", (1, x[1]))
        yield ("array", x)
        yield ("binary", x)


def _settings(
    arguments: Sequence[tuple[str, bool]], forms: Mapping[str, Form], known: Arguments
) -> Iterator[Arguments]:
    """Yield the arguments for every combination of settings."""
    choices = dict(_choices(forms.items()))
    together = list(choices)
    for values in itertools.islice(itertools.product(*choices.values()), 8):
        picked = dict(zip(together, values, strict=True))
        yield _arguments(arguments, forms, picked, known)


def _choices(forms: Iterable[tuple[str, Form]]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield what is set, by its path in the arguments, and the values that it is tried in."""
    for path, form in forms:
        if form[0] == "setting":
            yield path, SETTINGS[str(form[1])]
        elif form[0] == "choice":
            yield path, form[1]
        elif form[0] in _KINDS.values():
            yield from _choices((f"{path}.{key}", as_form(p)) for key, p in form[1].items())


def _arguments(
    arguments: Sequence[tuple[str, bool]],
    forms: Mapping[str, Form],
    picked: Mapping[str, Any],
    known: Arguments,
) -> Arguments:
    rng = np.random.default_rng(sum(map(ord, "".join(name for name, _ in arguments))))
    given: dict[str, Any] = dict(known.given)
    expressions: dict[str, Expression] = {}
    numbers: dict[str, Any] = dict(known.settings)
    for name, _ in arguments:
        if name in known.expressions:
            expressions[name] = known.expressions[name]
            continue
        if (form := forms.get(name)) is not None:
            expressions[name] = _made(name, form, picked, rng, given, numbers)
    setting = ", ".join(said(name, value) for name, value in picked.items())
    return Arguments(expressions, given, setting, numbers)


def _made(
    path: str,
    form: Form,
    picked: Mapping[str, Any],
    rng: np.random.Generator,
    given: dict[str, Any],
    numbers: dict[str, Any],
) -> Expression:
    """Return the expression of a value; its arrays are put among the inputs by their paths."""
    kind, what, *_ = form
    if kind in _KINDS.values():
        parts = [
            [key, _made(f"{path}.{key}", as_form(part), picked, rng, given, numbers)]
            for key, part in what.items()
        ]
        return (kind, parts) if kind == "dict" else (kind, [part for _, part in parts])
    if kind == "function":
        return ("name", what)
    if kind in ("setting", "choice"):
        given[path] = numbers[path] = picked[path]
    elif kind == "number":
        given[path] = numbers[path] = what
    elif kind == "softmax":
        given[path] = draw(what, rng)
        return ("softmax", ("in", path))
    else:
        given[path] = _value(form, rng)
    return ("in", path)


def as_form(part: Any) -> Form:
    """Return the form of a part that is given by its form, or by its shape alone."""
    return part if part and isinstance(part[0], str) else ("array", part)


def said(name: str, value: Any) -> str:
    """Return a setting in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return f"{name} {value}"


def _value(form: Form, rng: np.random.Generator) -> Any:
    kind, shape, *more = form
    shape = tuple(shape)
    if kind == "labels":
        count = math.prod(shape)
        # One comes twice, for what is taken by labels adds up on the way back.
        classes = min(more[0] if more else 3, max(count - 1, 2))
        return np.arange(count).reshape(shape) % classes
    if kind in ("onehot", "onehot-columns"):
        *examples, classes = shape if kind == "onehot" else shape[::-1]
        hot = np.eye(classes)[np.arange(math.prod(examples)).reshape(examples) % classes]
        return hot if kind == "onehot" else hot.T.copy()
    if kind == "binary":
        return (np.arange(int(np.prod(shape))).reshape(shape) % 3 == 1).astype(float)
    if kind == "chances":
        return rng.uniform(0.1, 0.9, shape)
    if kind == "small":
        return 0.5 * draw(shape, rng)
    if kind == "positive":
        return np.abs(draw(shape, rng))
    return draw(shape, rng)


# Shapes in docstrings.

SIZES: dict[str, int] = {
    "N": 4, "D": 5, "M": 3, "C": 3, "T": 4, "H": 6, "W": 8, "F": 5, "HH": 4, "WW": 2, "V": 7,
    "m": 4, "n_x": 3, "n_a": 5, "n_y": 2, "T_x": 4, "n_H": 6, "n_W": 8, "n_C": 5, "n_C_prev": 3,
    "n_H_prev": 6, "n_W_prev": 8, "f": 4, "n": 5, "d_1": 2, "d_k": 3, "d1": 2, "dk": 3,
    "n_features": 5, "n_samples": 4, "num_train": 4, "num_classes": 3, "batch_size": 4,
    "in_features": 5, "out_features": 3, "input_dim": 5, "output_dim": 3, "out_dim": 3, "in_dim": 5,
    "input_size": 5, "output_size": 3, "hidden_dim": 6, "hidden_size": 6,
    "in_channels": 3, "out_channels": 5, "K": 3, "G": 3,
}  # fmt: skip
"""One table of small sizes by the symbols that docstrings use."""

_IMAGE_SIZES = {"N": 2, "m": 2, "T": 2}
"""Fewer examples where they are images."""

_SPARE = (3, 5, 4, 6, 7, 2)


def docstring_shapes(
    text: str, names: Iterable[str]
) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Return the shapes that a docstring gives of arguments, and the size of each symbol."""
    found = {}
    for name in names:
        entry = re.search(
            rf"^[ \t\-*:]*(?:param\s+)?`?(?:\w+,\s*)*{re.escape(name)}`?(?:,\s*\w+)*\s*"
            r"(?:--?|:|\()(.*?)(?=^[ \t\-*]*\w+(?:,\s*\w+)*\s*(?:--|:)|"
            r"^\s*(?:Returns?|Outputs?)|\Z)",
            text,
            re.M | re.S,
        )
        text_of = entry[0] if entry is not None else ""
        inline = re.search(
            rf"(?<![\w(]){re.escape(name)}(?: and \w+)?(?:\s*(?::|--|=|of shape|is|are)\s*|\s+)"
            r"[(\[][^()\[\]]*[)\]]",
            text,
        )
        text_of = inline[0] if inline is not None else text_of
        for inside in re.findall(r"[(\[]([^()\[\]]*)[)\]]", text_of):
            parts = re.split(r",|\s+x\s+|\s*×\s*", inside)
            symbols = [part.strip() for part in parts if part.strip()]
            if len(symbols) > 1 and symbols[-1] in ("...", "…"):
                continue  # (n_samples, ...) may be anything
            symbols = [s for s in symbols if s not in ("...", "…")]
            known = len(parts) > 1 or all(s.isdigit() or s in SIZES for s in symbols)
            if _TYPES & set(symbols) or not known:
                continue
            if symbols and all(_SYMBOL.fullmatch(symbol) for symbol in symbols):
                found[name] = symbols
                break
    images = any(len(symbols) >= 4 and "d_1" not in symbols for symbols in found.values())
    sizes = SIZES | (_IMAGE_SIZES if images else {})
    spare = iter(_SPARE)
    taken = {sizes[part] for parts in found.values() for part in parts if part in sizes}
    shapes = {}
    for name, symbols in found.items():
        try:
            shapes[name] = tuple(_size(symbol, sizes, spare, taken) for symbol in symbols)
        except (SyntaxError, ValueError, StopIteration):
            continue
    used = {part for parts in found.values() for part in parts}
    return shapes, {name: size for name, size in sizes.items() if name in used}


_TYPES = frozenset("float int str bool array ndarray numpy optional scalar list tuple dict".split())
_SYMBOL = re.compile(r"\d{1,2}|[A-Za-z_]\w{0,14}(?:\s*[+*]\s*(?:\d|[A-Za-z_]\w{0,14}))?")


def _size(symbol: str, sizes: dict[str, int], spare: Iterator[int], taken: Collection[int]) -> int:
    total = None
    for part in re.split(r"\s*[+*]\s*", symbol):
        if part.isdigit():
            value = int(part)
        else:
            if part not in sizes:
                sizes[part] = next(size for size in spare if size not in taken)
            value = sizes[part]
        total = value if total is None else total + value if "+" in symbol else total * value
    assert total is not None
    return total
