"""Inputs for a forward pass: from a dialect, from its docstring, by trial.

All sizes are small and mutually unequal, so that no shape fits by accident; heights differ from
widths. What comes out are sets of arguments, one after the other until one runs. A set holds
several settings (stride 1 and 2, with and without padding) that a pass must all be right in.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from verify.homework.dialects import ARGUMENTS, NAMES, SETTINGS, Form
from verify.homework.read.extract import Extract
from verify.homework.read.syntax import null_defaults, parameters
from verify.homework.read.usage import FLAT, INDEX, INTEGER, usage
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
    """Return the input that a pass is mainly of: the first that is no label."""
    return next((name for name in given if not is_label(name)), next(iter(given), ""))


def is_label(path: str) -> bool:
    """Say whether an input's name is that of labels."""
    return _LABELS.fullmatch(path.rsplit(".", 1)[-1]) is not None


def argument_sets(
    found: Extract,
    node: ast.FunctionDef,
    is_method: bool,
    stem: str,
    known: Arguments | None = None,
    held: Mapping[str, Any] | None = None,
) -> Iterator[list[Arguments]]:
    """Yield sets of arguments for a function, the likeliest first.

    `known` has arguments whose values are given from elsewhere, `held` the parameters of the object
    whose method it is. Labels that may be left out are given first, and then left out.
    """
    arguments = parameters(node, is_method)
    known = known or Arguments({}, {})
    texts = [ast.get_docstring(other) or "" for other in found.functions.values()]
    seen: set[str] = set()
    layouts = (*_layouts_of(held or {}), *LAYOUTS)
    needed = [(name, default and not _LABELS.fullmatch(name)) for name, default in arguments]
    for wanted in (needed, arguments) if needed != arguments else (arguments,):
        for tier, forms in _forms(node, wanted, stem, known, found.functions, texts, layouts):
            kept = [replace(a, tier=tier) for a in _settings(arguments, forms, known)]
            if kept and repr(forms) not in seen:
                seen.add(repr(forms))
                yield kept


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
    usual |= {n: f for n, _ in open_ if (f := _usual(n)) is not None}
    for own in ARGUMENTS.get(stem, ()):
        forms = usual | {name: own[name] for name, _ in open_ if name in own}
        if complete(forms):
            yield 0, forms
    names = [name for name, _ in open_]
    own = _shown(names, [ast.get_docstring(node) or ""])
    if own and complete(usual | own):
        yield 1, usual | own
    used = usage(node, functions)
    shown = {n: f for n, k in used.items() if n not in usual and (f := _used(n, k)) is not None}
    elsewhere = shown | own | _shown([name for name in names if name not in own], texts)
    flat = next((name for name in names if used.get(name) == FLAT and name not in usual), None)
    if flat is None:
        yield from _by_trial(open_, usual, shown | own, layouts)
        if elsewhere != shown | own:
            yield from _by_trial(open_, usual, elsewhere, layouts)
        return
    if complete(usual | elsewhere | {flat: ()}):
        for size in range(4, LONGEST):
            yield 2, usual | elsewhere | {flat: ("small", (size,))}


LONGEST = 130
"""Entries of a vector of unrolled weights, beyond which its length is not found by trial."""


_TRAINS = re.compile(r"(?:is_?)?train\w*|(?:save|keep|store|retain|return)_?\w*|cache")
"""Switches without which a forward pass keeps nothing for the way back."""


def _used(name: str, kind: str) -> Form | None:
    """Return what an argument is by its use: an index, or a number that counts or bounds."""
    if kind == INDEX and not _LABELS.fullmatch(name):
        return ("labels", (4,))
    if kind == INTEGER:
        return ("choice", next(v for pattern, v in _INTEGERS if pattern.search(name)))
    return None


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
                found.setdefault(name, _labelled(name, shapes[name]))
            elif name in sizes:
                found.setdefault(name, ("choice", (sizes[name],)))
            elif re.search(rf"^\W*{re.escape(name)}\W+(?:an? )?int", text, re.M):
                found.setdefault(name, ("choice", (1,)))
    return found


def _labelled(name: str, shape: Sequence[int]) -> Form:
    if _MASK.fullmatch(name):
        return ("binary", tuple(shape))
    if not _LABELS.fullmatch(name):
        return ("array", tuple(shape))
    if len(shape) == 1:
        return ("labels", tuple(shape))
    return ("binary" if 1 in shape else "onehot", tuple(shape))


_LABELS = re.compile(r"(?:y|Y|t|labels?|targets?|y_?true|y_train|t_train|y_batch|t_batch)")
_MASK = re.compile(r"R|\w*mask\w*")
_INPUT = re.compile(
    r"(?:x|X|a|A|z|Z|h|s|v|u|n|inputs?|in_?put_?data|input_?tensor|data|a_?prev|A_?prev|features?|images?|img|"
    r"out|outputs?|x_?in|x_?batch|X_?batch|val|value|values|arr|logits|scores|activations?|"
    r"A_?in|in_?\w*|input_?\w*|batch|tensor|signal|pre_?activation\w*|net|o|p|q|y)"
)
_WEIGHT = re.compile(r"(?:w|W|weights?|theta\w*|Theta\w*|kernels?|filters?|params?_?w|[wW]\d|coef)")
_BIAS = re.compile(r"(?:b|B|bias|biases|b\d|beta|shift|intercept)")
_GAMMA = re.compile(r"(?:gamma|scale|g)")
_STATE = re.compile(r"(?:h|c|a|s|hidden|state)_?(?:prev|0|t_?1)|prev_?(?:h|c|a|hidden|state)\w*")
_PREDICTED = re.compile(r"y_?(?:hat|pred\w*)|Y_?(?:hat|pred\w*)|probs?|pred\w*|scores|logits|AL")
_REG = re.compile(
    r"(?:reg\w*|lambd\w*|lamb|lam|lamda|lmb?da?|lmbd|l2\w*|weight_?decay\w*|Lambda|learningRate|"
    r"regularization\w*)"
)
_PREDICTION = re.compile(
    r"(?:scores|logits|y_?hat|Y_?hat|AL|A\d|y_?pred|Y_?pred|probs?|pred\w*|outputs?|output_?acti\w*|"
    r"hypothesis|h|p|a|x|X|yhat|dvalues|o|z|Z|out)"
)


def _usual(name: str) -> Form | None:
    """Return what a number or a dict of settings is by its name."""
    if _REG.fullmatch(name):
        return ("number", REG)
    if name in SETTINGS:
        return ("setting", name)
    return NAMES.get(name)


def _by_trial(
    arguments: Sequence[tuple[str, bool]],
    usual: Mapping[str, Form],
    shown: Mapping[str, Form],
    layouts: Sequence[Mapping[str, tuple[int, ...]]],
) -> Iterator[tuple[int, dict[str, Form]]]:
    """Yield forms by the names of arguments, in one layout after the other."""
    required = [name for name, default in arguments if not default]
    has_weights = any(_WEIGHT.fullmatch(name) for name, _ in arguments)
    for layout in layouts:
        if "y" in layout and not has_weights:
            continue
        thin = min(map(len, (layout["w"], layout["x"]))) < 2 or layout["x"][0] == 1
        tier = 3 if thin or "y" in layout else 2
        if shape := next((f[1] for n, f in shown.items() if _INPUT.fullmatch(n)), None):
            layout = {**layout, "x": tuple(shape)}
        options: list[list[tuple[str, Form]]] = []
        for place, name in enumerate(required):
            known = shown.get(name) or usual.get(name)
            forms = [known] if known else list(_in_layout(name, place, layout, required))
            options.append([(name, form) for form in forms])
        if all(options):
            for chosen in itertools.islice(itertools.product(*options), 12):
                yield tier, {**usual, **dict(chosen)}


LAYOUTS: tuple[Mapping[str, tuple[int, ...]], ...] = (
    {"x": (4, 5), "w": (5, 3), "b": (3,), "gamma": (5,), "beta": (5,)},
    {"x": (4, 5), "w": (5, 3), "b": (1, 3), "gamma": (1, 5), "beta": (1, 5)},
    {"x": (5, 4), "w": (3, 5), "b": (3, 1), "gamma": (5, 1), "beta": (5, 1)},
    {"x": (4, 5), "w": (3, 5), "b": (3,), "gamma": (5,), "beta": (5,)},
    {"x": (4, 5), "w": (5,), "b": (), "y": (4,)},
    {"x": (4, 5), "w": (5, 1), "b": (), "y": (4, 1)},
    {"x": (5, 4), "w": (5, 1), "b": (), "y": (1, 4)},
    {"x": (2, 3, 6, 8), "w": (5, 3, 4, 2), "b": (5,), "gamma": (3,), "beta": (3,)},
    {"x": (2, 3, 6, 8), "w": (5, 3, 3, 3), "b": (5,), "gamma": (1, 3, 1, 1), "beta": (1, 3, 1, 1)},
    {"x": (2, 6, 8, 3), "w": (4, 4, 3, 5), "b": (1, 1, 1, 5), "gamma": (3,), "beta": (3,)},
    {"x": (3, 6, 8), "w": (5, 3, 4, 2), "b": (5,)},
    {"x": (6, 8), "w": (3, 2), "b": ()},
    {"x": (2, 4, 5), "w": (5, 3), "b": (3,), "gamma": (5,), "beta": (5,)},
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
    has_weights = any(_WEIGHT.fullmatch(name) for name in required)
    if "t" in layout:
        yield ("binary", layout["t"])
    if "y" in layout:
        yield ("array", layout["y"])
        yield ("binary", layout["y"])
        return
    if has_weights and len(x) == 2 and w[-1] == x[0] and w[0] != x[1]:
        if x[1] > 1:
            yield ("labels", (x[1],), w[0])
    elif has_weights:
        yield ("labels", (x[0],), w[-1]) if len(x) == 2 else ("labels", x[:1])
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
    choices = {
        name: SETTINGS[str(form[1])] if form[0] == "setting" else form[1]
        for name, form in forms.items()
        if form[0] in ("setting", "choice")
    }
    together = list(choices)
    for values in itertools.islice(itertools.product(*choices.values()), 8):
        picked = dict(zip(together, values, strict=True))
        yield _arguments(arguments, forms, picked, known)


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
        form = forms.get(name)
        if form is None:
            continue
        if form[0] in ("setting", "choice"):
            given[name] = picked[name]
            expressions[name] = ("in", name)
            numbers |= {name: picked[name]}
        elif form[0] == "number":
            given[name] = numbers[name] = form[1]
            expressions[name] = ("in", name)
        elif form[0] == "dict":
            parts = dict(form[1])
            for key, shape in parts.items():
                given[f"{name}.{key}"] = _value(("array", shape), rng)
            expressions[name] = ("dict", [[key, ("in", f"{name}.{key}")] for key in parts])
        elif form[0] == "softmax":
            given[name] = draw(form[1], rng)
            expressions[name] = ("softmax", ("in", name))
        else:
            given[name] = _value(form, rng)
            expressions[name] = ("in", name)
    setting = ", ".join(said(name, value) for name, value in picked.items())
    return Arguments(expressions, given, setting, numbers)


def said(name: str, value: Any) -> str:
    """Return a setting in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return f"{name} {value}"


def _value(form: Form, rng: np.random.Generator) -> Any:
    kind, shape, *more = form
    shape = tuple(shape)
    if kind == "labels":
        classes = more[0] if more else 3
        return np.arange(int(np.prod(shape))).reshape(shape) % classes
    if kind in ("onehot", "onehot-columns"):
        examples, classes = shape if kind == "onehot" else shape[::-1]
        hot = np.eye(classes)[np.arange(examples) % classes]
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
    "in_features": 5, "out_features": 3, "in_channels": 3, "out_channels": 5, "K": 3, "G": 3,
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
            r"\([^()]*\)",
            text,
        )
        text_of = inline[0] if inline is not None else text_of
        for inside in re.findall(r"\(([^()]*)\)", text_of):
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
