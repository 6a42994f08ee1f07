"""What of a file looks like a backward pass, by its text.

A name (back, grad, deriv, prime, delta, d + the name of another function) is only a hint. A
candidate also returns or keeps something that is called a gradient, or belongs to a forward pass:
a function with its stem, or the `forward` of its class. What only uses gradients (updates,
clipping, plotting, numerical differences) is none, and neither is what a framework differentiates.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from verify.homework.read.extract import Extract
from verify.homework.read.modules import Defined, class_of
from verify.homework.read.syntax import parameters, required

BACKWARD, CHECK, FORWARD, COST = "backward", "gradient-check", "forward", "cost"
"""The kinds of rows in a file's report."""

HINTS = frozenset(
    """back backward backwards backword backprop backpropagate backpropagation bprop bwd grad grads
    gradient gradients deriv derivative derivatives derived prime slope delta deltas vjp
    pullback""".split()
)
BACK = frozenset(
    "back backward backwards backword backprop bprop bwd backpropagation vjp pullback".split()
)
"""Those of the hints that only a backward pass has."""
_NO_PASS = frozenset(
    """clip clipping check checks checking checker descent ascent numerical numeric numerically num
    approx estimate estimated finite plot test tests update updates apply zero print show norm norms
    optimizer optimize optimise optimiser optimizers flush save load init initialize initialise
    vector
    vectors dictionary dict compare momentum adam adagrad rmsprop sgd public fit train
    training minimize accumulate average reset set vanishing exploding penalty""".split()
)
_LAYERS = frozenset({"norm", "average", "penalty"})
"""Words of these that are in the names of layers too: layer_norm_backward, average_pool_grad."""
_ACCESSORS = frozenset({"property", "setter", "deleter", "abstractmethod", "fixture"})
_STRONG = HINTS - {
    "deriv",
    "derivative",
    "derivatives",
    "derived",
    "prime",
    "slope",
    "delta",
    "deltas",
}
_CHECKS = re.compile(r"(?:grad|gradients?)_?check|check_?(?:grad|gradients?)(?![a-z])", re.I)
_STEM = re.compile(
    r"_?(?:forward|fwd|fprop|backward|backwards|backword|backprop|bprop|bwd|back|derivative|derived|deriv|prime|"
    r"slope|gradients?|grads?|vjp|pullback)(?![a-z])",
    re.I,
)
_GRADIENT = re.compile(
    r"d_?[A-Z]\w*|d_?(?:[wbxzahy]|out|outs|gamma|beta|theta|params?|scores|logits|inputs?|"
    r"weights?|bias|biases|data|values?|prev|next|pred|mean|var|emb|embed)(?:_?\w{0,6})|"
    r"d_?(?:loss|cost|j|l)_?d_?\w+|"
    r"(?:\w+_)?grads?(?:_\w+|\d*)|(?:\w+_)?gradients?(?:_\w+|\d*)|nabla\w*|deltas?(?:_\w+|\d*)|"
    r"\w+_deltas?"
)
_SURE = re.compile(r"d_?(?:[WbZA]|Theta)\w{0,3}")
_NOT_GRADIENTS = frozenset("data dataset dims dim dw_dim date days default device".split())
_FRAMEWORKS = frozenset("torch tensorflow tf keras jax mxnet theano chainer paddle flax".split())
_FORWARD_METHODS = (
    "fn",
    "forward",
    "__call__",
    "fprop",
    "forward_pass",
    "forward_propagation",
    "feedforward",
)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A definition that looks like a backward pass, or a checker of one.

    `name` is qualified as in the source. `inside` says that its gradients do not leave it.
    """

    name: str
    function: str
    owner: str | None
    kind: str
    node: ast.FunctionDef
    inside: bool = False

    @property
    def arguments(self) -> list[tuple[str, bool]]:
        """Each argument's name, and whether it has a default; without self."""
        return parameters(self.node, self.owner is not None)


def discover(found: Extract) -> list[Candidate]:
    """Return what looks like a backward pass in a file, in the file's order."""
    foreign = _frameworks(found)
    functions = found.functions
    candidates = [
        candidate
        for name, node in functions.items()
        if (candidate := _candidate(name, node, None, functions, foreign)) is not None
    ]
    for owner, kind in found.classes.items():
        if _is_framework(kind, foreign):
            continue
        methods = methods_of(found, owner)
        own = {n.name for n in kind.body if isinstance(n, ast.FunctionDef)}
        whole = _completed_by(found, owner)
        candidates += [
            replace(candidate, owner=whole)
            for name, node in methods.items()
            if name in own
            and (candidate := _candidate(name, node, owner, methods, foreign)) is not None
        ]
    return candidates


def _completed_by(found: Extract, owner: str) -> str:
    """Return the class whose objects show what a class does: itself, or the first that derives.

    A class that calls methods of its object which it does not have leaves them to others.
    """
    methods = methods_of(found, owner)
    kept: set[str] = set()
    called: set[str] = set()
    for part in (part for node in methods.values() for part in ast.walk(node)):
        match part:
            case ast.Call(ast.Attribute(ast.Name("self"), name)):
                called.add(name)
            case ast.Attribute(ast.Name("self"), name, ast.Store()):
                kept.add(name)
    wanted = called - kept - methods.keys()
    for other in found.classes if wanted else ():
        line = [each.node.name for each in lineage(found, other)]
        if other != owner and owner in line and wanted <= methods_of(found, other).keys():
            return other
    return owner


def methods_of(found: Extract, owner: str) -> dict[str, ast.FunctionDef]:
    """Return the methods of a class, those of its bases in this project included."""
    methods: dict[str, ast.FunctionDef] = {}
    for node, _ in reversed(lineage(found, owner)):
        methods |= {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
    return methods


@lru_cache(maxsize=256)
def lineage(found: Extract, owner: str) -> tuple[Defined, ...]:
    """Return a class and its bases, as far as they are in this project, in Python's order."""
    known: dict[ast.ClassDef, Defined] = {}
    waiting = [(found, owner)]
    while waiting:
        where, name = waiting.pop(0)
        own = class_of(where, name)
        if own is not None and own.node not in known:
            known[own.node] = own
            bases = [getattr(base, "id", getattr(base, "attr", "")) for base in own.node.bases]
            waiting[:0] = [(own.found, base) for base in bases]
    return tuple(known.values())


def name_parts(name: str) -> list[str]:
    """Return the words of a name in snake_case or camelCase, in lower case."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return [part for part in spaced.lower().split("_") if part]


def stem(name: str) -> str:
    """Return a name without what says that it is a forward or a backward pass."""
    plain = _STEM.sub("", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).lower().strip("_")
    return re.sub(r"^(?:d|grad|back|backward)_(?=\w{3})", "", plain)


def is_gradient(name: str) -> bool:
    """Say whether a variable's name is that of a gradient."""
    return _GRADIENT.fullmatch(name) is not None and name not in _NOT_GRADIENTS


def is_hinted(name: str, others: Mapping[str, ast.FunctionDef]) -> bool:
    """Say whether a function's name hints at a backward pass."""
    parts = name_parts(name)
    if HINTS & set(parts):
        return True
    plain = name.lower()
    known = {other.lower() for other in others} - {plain}
    if differentiated(name) in known:
        return True
    rest = plain.removeprefix("d").removeprefix("_")
    return plain.startswith("d") and (rest in known or rest in _ACTIVATIONS)


def differentiated(name: str) -> str:
    """Return of what a name is the derivative, in lower case: `E` of `dEdy`, "" of none."""
    found = re.fullmatch(r"d_?(\w+?)_?d_?[a-z]{1,3}", name.lower())
    return found[1] if found else ""


_ACTIVATIONS = frozenset("sigmoid relu tanh softmax softplus leaky_relu lrelu elu".split())


def _candidate(
    name: str,
    node: ast.FunctionDef,
    owner: str | None,
    others: Mapping[str, ast.FunctionDef],
    foreign: frozenset[str],
) -> Candidate | None:
    qualified = f"{owner}.{name}" if owner else name
    if _uses(node, foreign) or _is_empty(node) or "test" in name_parts(name):
        return None
    if is_numerical(node) and not _CHECKS.search(name):
        return None
    decorators = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    if any(getattr(d, "attr", getattr(d, "id", "")) in _ACCESSORS for d in decorators):
        return None
    if owner is not None and (_leaves_it(node, others) or _is_step(node, others)):
        return None
    if _CHECKS.search(name):
        says = any(isinstance(n, ast.Return) and n.value is not None for n in ast.walk(node))
        return Candidate(qualified, name, owner, CHECK, node) if says else None
    if owner is not None and is_operator(node):
        return Candidate(qualified, name, owner, BACKWARD, node)
    if owner is not None and name == "backward" and any(map(is_operator, others.values())):
        return None  # it goes through the operators in order, and has no derivative of its own
    parts = set(name_parts(name))
    if parts & _NO_PASS and not _is_of_a_layer(name, others):
        inside = len(_kept(node, _SURE)) >= 2 and bool(parts & {"train", "training", "fit"})
        return Candidate(qualified, name, owner, BACKWARD, node, True) if inside else None
    returned, kept = _returned(node), _kept(node, _GRADIENT)
    made = {n for n in returned if is_gradient(n) and (n in kept or n in _given(node))}
    made |= {
        n for n in returned if kept and name_parts(n)[:1] in (["grads"], ["gradients"], ["grad"])
    }
    if is_hinted(name, others):
        if owner is not None and not parts & BACK and not _computes_anything(node):
            return None
        evidence = made or any(map(is_gradient, returned)) or kept or _belongs(name, owner, others)
        evidence = evidence or any(map(is_gradient, _given(node)))
        known = stem(name) in _ACTIVATIONS or stem(name.lower().removeprefix("d")) in _ACTIVATIONS
        strong = bool(set(name_parts(name)) & _STRONG) and len(parameters(node, False)) > 1
        formula = owner is None and (known or strong) and _returns_a_formula(node)
        evidence = evidence or formula or (owner is not None and _is_slope(name, node, others))
        return Candidate(qualified, name, owner, BACKWARD, node) if evidence else None
    made -= _given(node)  # what it returns of its own arguments, it only changes
    if _only_compares(node):
        return None
    if any(n in kept or kept for n in made) or _returns_loss_and_formula(node):
        return Candidate(qualified, name, owner, BACKWARD, node)
    if len(_kept(node, _SURE)) >= 2:
        # The gradients are in a dict or an object that it returns, or they do not leave it.
        return Candidate(qualified, name, owner, BACKWARD, node, not _lets_out(node))
    return None


def _is_slope(name: str, node: ast.FunctionDef, others: Mapping[str, ast.FunctionDef]) -> bool:
    """Say whether a method computes the derivative of another of as many arguments."""
    given = len(required(node, True))
    alike = any(
        len(required(other, True)) == given
        for method, other in others.items()
        if method != name and not method.startswith("__init") and not is_hinted(method, others)
    )
    words = {"deriv", "derivative", "prime"} & set(name_parts(name))
    return bool(words) and given == 1 and alike and _returns_a_formula(node)


def is_numerical(node: ast.FunctionDef) -> bool:
    """Say whether a function takes differences: `(f(x + h) - f(x - h)) / (2 * h)`, in any words.

    Two values of one function are subtracted, and divided by a step that is added somewhere.
    """
    sources: dict[str, set[str]] = {}
    added: set[str] = set()
    for part in ast.walk(node):
        match part:
            case ast.Assign([ast.Name(name)], value):
                sources.setdefault(name, set()).update(_called(value))
            case ast.BinOp(left, ast.Add() | ast.Sub(), right):
                added |= {ast.unparse(left), ast.unparse(right)}
            case ast.AugAssign(_, ast.Add() | ast.Sub(), value):
                added.add(ast.unparse(value))

    def of(value: ast.expr) -> set[str]:
        return _called(value) | (
            sources.get(value.id, set()) if isinstance(value, ast.Name) else set()
        )

    for part in ast.walk(node):
        match part:
            case ast.BinOp(ast.BinOp(left, ast.Sub(), right), ast.Div(), step):
                names = {ast.unparse(n) for n in ast.walk(step) if isinstance(n, ast.Name)}
                plain = isinstance(step, (ast.Name, ast.BinOp)) and len(names) == 1
                if plain and names & added and of(left) & of(right):
                    return True
    return False


def _called(value: ast.expr) -> set[str]:
    """Return what an expression calls, but for NumPy's own functions."""
    texts = {ast.unparse(part.func) for part in ast.walk(value) if isinstance(part, ast.Call)}
    return {text for text in texts if not text.startswith(("np.", "numpy.", "float", "len"))}


def _only_compares(node: ast.FunctionDef) -> bool:
    """Say whether what a function calls gradients is how far apart two of a kind are.

    The first and the last of a list; or what the backward pass of an object that it is given has
    moved, or returns.
    """
    given = _given(node) - {"self"}
    asks = any(
        HINTS & set(name_parts(part.func.attr)) and getattr(part.func.value, "id", "") in given
        for part in _own_walk(node)
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute)
    )
    kept = [
        part.value
        for part in _own_walk(node)
        if isinstance(part, ast.Assign) and any(map(is_gradient, _target_names(part.targets[0])))
    ]
    gaps = [part for value in kept for part in ast.walk(value) if isinstance(part, ast.BinOp)]
    if asks:
        return bool(kept) and all(isinstance(gap.op, (ast.Sub, ast.Mult)) for gap in gaps)
    return bool(gaps) and all(
        isinstance(gap.op, ast.Sub) and _root(gap.left) == _root(gap.right) != "" for gap in gaps
    )


def _root(value: ast.expr) -> str:
    """Return of what list or object an item is, "" where it is none."""
    return ast.unparse(value.value) if isinstance(value, ast.Subscript) else ""


def _is_of_a_layer(name: str, others: Mapping[str, ast.FunctionDef]) -> bool:
    """Say whether a name is that of a layer or of a forward pass, and then says backward.

    layer_norm_backward is, and gradient_norm and update_backward are not.
    """
    words = name_parts(name)
    place = max((i for i, word in enumerate(words) if word in HINTS), default=0)
    layer = words[:place]
    forward = any(stem(other) == "_".join(layer) for other in others if other != name)
    plain = bool(layer) and not set(layer) & (_NO_PASS - _LAYERS)
    backward = bool(layer) and words[place] in BACK
    return (plain and (backward or forward)) or (backward and forward)


def is_operator(node: ast.FunctionDef) -> bool:
    """Say whether a method is an engine's operator: it defines its own backward pass inside."""
    return any(
        isinstance(part, ast.FunctionDef)
        and part is not node
        and bool({"backward", "back", "bwd"} & set(name_parts(part.name)))
        for part in ast.walk(node)
    )


def _belongs(name: str, owner: str | None, others: Mapping[str, ast.FunctionDef]) -> bool:
    """Say whether there is a forward pass that goes with it."""
    if owner is not None and any(method in others for method in _FORWARD_METHODS):
        return True
    own = {stem(name), stem(name.lower().removeprefix("d")), differentiated(name)} - {""}
    return any(stem(other) in own for other in others if other != name)


def _returned(node: ast.FunctionDef) -> set[str]:
    """Return the names in what a function returns."""
    return {
        text
        for part in _own_walk(node)
        if isinstance(part, ast.Return) and part.value is not None
        for text in _names_of(part.value)
    }


def _names_of(value: ast.expr) -> Iterator[str]:
    if isinstance(value, (ast.Tuple, ast.List)):
        for item in value.elts:
            yield from _names_of(item)
    elif isinstance(value, ast.Dict):
        yield from (str(k.value) for k in value.keys if isinstance(k, ast.Constant))
    elif isinstance(value, ast.Name):
        yield value.id
    elif isinstance(value, ast.Attribute):
        yield value.attr


def _kept(node: ast.FunctionDef, pattern: re.Pattern[str]) -> set[str]:
    """Return the gradients' names under which a function puts something that it computes."""
    found = set()
    for part in _own_walk(node):
        if isinstance(part, (ast.Assign, ast.AugAssign, ast.AnnAssign)) and part.value is not None:
            targets = part.targets if isinstance(part, ast.Assign) else [part.target]
            if _computes(part.value):
                found |= {n for t in targets for n in _target_names(t) if pattern.fullmatch(n)}
        elif isinstance(part, ast.Dict):
            pairs = zip(part.keys, part.values, strict=True)
            keys = {str(k.value) for k, v in pairs if isinstance(k, ast.Constant) and _computes(v)}
            found |= {key for key in keys if pattern.fullmatch(key)}
    return found - _NOT_GRADIENTS


def _target_names(target: ast.expr) -> Iterator[str]:
    if isinstance(target, (ast.Tuple, ast.List)):
        for item in target.elts:
            yield from _target_names(item)
    elif isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Attribute):
        yield target.attr
    elif isinstance(target, ast.Subscript):
        keys = [n.value for n in ast.walk(target.slice) if isinstance(n, ast.Constant)]
        yield from (key for key in keys if isinstance(key, str))
        yield from _target_names(target.value)


def _computes(value: ast.expr) -> bool:
    """Say whether an expression is computed by arithmetic, and not handed on from elsewhere."""
    if isinstance(value, (ast.Tuple, ast.List)):
        return any(map(_computes, value.elts))
    return any(
        isinstance(part, (ast.BinOp, ast.UnaryOp, ast.Compare))
        or (isinstance(part, ast.Call) and getattr(part.func, "attr", "") in _PRODUCTS)
        for part in ast.walk(value)
    )


_PRODUCTS = frozenset("dot matmul outer multiply sum mean einsum tensordot where".split())


def _given(node: ast.FunctionDef) -> set[str]:
    return {a.arg for a in ast.walk(node) if isinstance(a, ast.arg)}


def _lets_out(node: ast.FunctionDef) -> bool:
    """Say whether a function's gradients leave it, in its result or in its object."""
    containers = {
        name
        for part in _own_walk(node)
        if isinstance(part, ast.Assign)
        for target in part.targets
        if isinstance(target, ast.Subscript)
        for name in _target_names(target.value)
    }
    kept_in_self = any(
        isinstance(part, ast.Attribute)
        and isinstance(part.ctx, ast.Store)
        and _SURE.fullmatch(part.attr)
        for part in _own_walk(node)
    )
    return kept_in_self or bool({n for n in _returned(node) if is_gradient(n) or n in containers})


def _computes_anything(node: ast.FunctionDef) -> bool:
    """Say whether a function calls anything but NumPy's makers of arrays, or does arithmetic."""
    return any(
        isinstance(part, (ast.BinOp, ast.UnaryOp, ast.Compare))
        or (isinstance(part, ast.Call) and getattr(part.func, "attr", "") not in _MAKERS)
        for part in _own_walk(node)
    )


_MAKERS = frozenset(
    """zeros ones zeros_like ones_like empty copy append extend update items values keys get grads
    gradients get_grads""".split()
)
"""What makes arrays or collects what others have made."""


def _returns_a_formula(node: ast.FunctionDef) -> bool:
    return any(
        isinstance(part, ast.Return)
        and part.value is not None
        and (_computes(part.value) or isinstance(part.value, (ast.Name, ast.Call)))
        for part in _own_walk(node)
    )


def _returns_loss_and_formula(node: ast.FunctionDef) -> bool:
    """Say whether a function ends in `return loss, dx` or `return loss, d / n`.

    Or in `return loss, 2 * a * b, -2 * a * c`: one formula more may be an accuracy, several are
    taken for gradients.
    """
    for part in _own_walk(node):
        match part:
            case ast.Return(ast.Tuple([first, second, *rest])) if _is_loss(first, node.name):
                if rest and all(isinstance(n, (ast.BinOp, ast.UnaryOp)) for n in (second, *rest)):
                    return True
                names = {n.id for n in ast.walk(second) if isinstance(n, ast.Name)}
                if any(n == "d" or is_gradient(n) for n in names):
                    return True
                if isinstance(second, ast.Dict) and any(map(_is_parameter, second.keys)):
                    return True
    return False


def _is_parameter(key: ast.expr | None) -> bool:
    return isinstance(key, ast.Constant) and _PARAMETER.fullmatch(str(key.value)) is not None


_PARAMETER = re.compile(r"[Wwb]\d?|W_?\w{1,3}|weights?\d?|bias(?:es)?\d?|gamma\d?|beta\d?|theta\d?")


def _is_loss(value: ast.expr, function: str) -> bool:
    if isinstance(value, ast.Name) and _LOSS.fullmatch(value.id):
        return True
    return bool({"loss", "cost"} & set(name_parts(function))) and _computes(value)


_LOSS = re.compile(r"(?:(?:\w+_)?(?:loss|cost|err|error|objective)|J|L)(?:_new|_te?mp)?")


def _own_walk(node: ast.FunctionDef) -> Iterator[ast.AST]:
    """Walk through a function without the functions inside it."""
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        part = waiting.pop(0)
        yield part
        if not isinstance(part, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
            waiting[:0] = ast.iter_child_nodes(part)


def _is_empty(node: ast.FunctionDef) -> bool:
    """Say whether a function has no body to judge: an abstract method, a blank exercise."""
    blank: set[str] = set()
    for part in node.body:
        match part:
            case ast.Assign(targets, value) if _is_none(value, blank) and not any(
                isinstance(target, ast.Subscript) for target in targets
            ):
                blank |= {name for target in targets for name in _target_names(target)}
            case ast.Pass() | ast.Raise() | ast.Expr(ast.Constant()):
                continue
            case ast.Return(value) if value is None or _is_none(value, blank):
                continue
            case _:
                return False
    return True


def _is_none(value: ast.expr, blank: Collection[str]) -> bool:
    """Say whether an expression is a constant, or what has been given none but those."""
    if isinstance(value, ast.Tuple):
        return all(_is_none(item, blank) for item in value.elts)
    return isinstance(value, ast.Constant) or getattr(value, "id", None) in blank


def _leaves_it(node: ast.FunctionDef, others: Mapping[str, ast.FunctionDef]) -> bool:
    """Say whether a method leaves what it is for to classes that have this one as a base."""
    return any(
        isinstance(part, ast.Call)
        and isinstance(part.func, ast.Attribute)
        and getattr(part.func.value, "id", "") == "self"
        and part.func.attr in others
        and HINTS & set(name_parts(part.func.attr))
        and _is_empty(others[part.func.attr])
        for part in _own_walk(node)
    )


def _is_step(node: ast.FunctionDef, others: Mapping[str, ast.FunctionDef]) -> bool:
    """Say whether a method only moves parameters along gradients that another has made.

    It is given no more than a rate, and returns nothing; or it has the parts of its object do so.
    """
    given = {name.lower() for name, _ in parameters(node, True)}
    makers = {name for name in others if BACK & set(name_parts(name)) and name != node.name}
    if not given or not given <= _STEP_SIZES or not makers or _returned(node):
        return False
    moves = handed_on = False
    for part in _own_walk(node):
        match part:
            case ast.AugAssign(ast.Attribute(), ast.Sub(), value):
                moves = True
                if any(isinstance(n, ast.MatMult) or _is_product(n) for n in ast.walk(value)):
                    return False
            case ast.Assign([ast.Attribute()], ast.Call(function)):
                if getattr(function, "attr", "") not in _MAKERS:
                    return False
            case ast.AugAssign(ast.Attribute()) | ast.Assign([ast.Attribute()]):
                return False
            case ast.Call(ast.Attribute(_, name)):
                handed_on |= name == node.name
    return moves or handed_on


_STEP_SIZES = frozenset(
    "lr alpha eta rate learning_rate learningrate learn_rate step_size weight_decay decay l2 reg "
    "momentum".split()
)
"""What a step along a gradient is told, in lower case."""


def _is_product(part: ast.AST) -> bool:
    return isinstance(part, ast.Call) and getattr(part.func, "attr", "") in _PRODUCTS


def _frameworks(found: Extract) -> frozenset[str]:
    """Return the names under which a file imports what differentiates by itself."""
    names = set()
    for statement in found.statements:
        for node in ast.walk(statement.node):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.split(".")[0] in _FRAMEWORKS:
                        names.add((alias.asname or alias.name).split(".")[0])
            elif isinstance(node, ast.ImportFrom) and (
                (node.module or "").split(".")[0] in _FRAMEWORKS
            ):
                names.update(alias.asname or alias.name for alias in node.names)
    return frozenset(names)


def imports_framework(found: Extract) -> bool:
    """Say whether a file imports a framework that differentiates by itself."""
    return bool(_frameworks(found))


def _uses(node: ast.AST, foreign: frozenset[str]) -> bool:
    return bool(foreign) and any(
        isinstance(part, ast.Name) and part.id in foreign for part in ast.walk(node)
    )


def _is_framework(kind: ast.ClassDef, foreign: frozenset[str]) -> bool:
    return any(_uses(base, foreign) for base in kind.bases)
