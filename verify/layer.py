"""The check of a layer or a fused kernel: any forward function and its backward pass.

A layer becomes losses: for any cotangent c, <c, forward(args)> is a loss whose gradient is
backward(c, *args). Random cotangents have a part of every output, unit ones show a single output
alone; with those of all outputs, what backward does is compared with the whole Jacobian. One
evaluation of forward serves all of them (`verify.evidence.any_function`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from verify.door import door
from verify.evidence.claims import Claims, Pullback, copied
from verify.evidence.differences.central import Params, copy
from verify.evidence.forms import ABSENT, LAYOUTS, laid_out, layouts_of
from verify.evidence.trees import (
    Tree,
    as_array,
    flatten,
    has_strides,
    integers_as_numbers,
    under,
)
from verify.function import (
    argument_names,
    call,
    check_budget,
    check_claims,
    check_functions,
    check_integers,
    check_names,
    check_seconds,
    differentiated,
    special_points,
    stated_unit,
)
from verify.report import Fact, Report, entry

ByFramework = Callable[[Params, Params], tuple[float, Params]]
"""<c, outputs> and its gradients, of the arguments and of c, both by name."""
RANDOM = 2
"""Random cotangents."""
SOME = 4
"""Outputs that are shown alone where there are too many for all."""
ENTRIES = 2**20
"""Entries of the Jacobian that are compared at most, where all outputs are shown alone."""
FORMING = 0.2
"""The part of the time after which no more forms of cotangents are tried beforehand."""
MOST = 2**27
"""Numbers in all cotangents that a caller may ask for: 1 GiB."""


@door
def check_vjp(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    args: Any,
    mirror: Callable[..., Any] | None = None,
    *,
    names: Sequence[str] = (),
    constants: Collection[str | int] = (),
    aux: Collection[str | int] = (),
    budget: int = 10_000,
    seconds: float = 10.0,
    cotangents: int | None = None,
    seed: int = 0,
    compute_dtype: str | None = None,
) -> Report:
    """Check the backward pass of a layer or a fused kernel, which has no loss of its own.

    `forward(*args)` returns an array or a tree of arrays; `backward(cotangent, *args)`, its
    cotangent of the same kind, one gradient an argument: a tuple, or for one argument its gradient.
    `names` are what the report calls the arguments, by default as the signature of forward does.
    Arguments without floating-point numbers are constants, and so are those that `constants` names
    or numbers; what backward returns for them is not checked. For any other argument None is taken
    as zero, as PyTorch takes it. Complex ones are differentiated as PyTorch does: the gradient of a
    real loss is df/dRe + i df/dIm, and so is a cotangent. Outputs that `aux` names or numbers are
    not differentiated: their cotangent is 0. `mirror(*args)` is the same layer in JAX. `budget` is
    about how many times forward may be called, and `seconds` how long all of it may take: what was
    left out for lack of time is stated.

    A third of the `cotangents` are random, the others are 1 at one output and 0 elsewhere. By
    default two are random, and every output is shown alone where they are not too many. At most as
    many are random as there are outputs. `compute_dtype` is as in `compare`.

    Raises ValueError as `compare` does.

    Examples:
        >>> import backproof
        >>> import numpy as np
        >>> x, w = np.array([[0.3, -1.2]]), np.array([[0.5], [2.0]])
        >>> def product(x, w):
        ...     return x @ w
        >>> def backward(dy, x, w):
        ...     return dy @ w.T, x.T @ dy
        >>> backproof.check_vjp(product, backward, (x, w)).verdict
        'agree'
    """
    check_functions(forward=forward, backward=backward, mirror=mirror)
    check_integers(budget=budget, seed=seed)
    seconds, unit = check_seconds(seconds), stated_unit(compute_dtype)
    if not isinstance(args, (tuple, list)):
        args = (args,)
    if all(value is None for value in args):
        raise ValueError(f"args: got {args!r}, expected at least one array")
    if cotangents is not None:
        check_integers(cotangents=cotangents)
        if cotangents < 1:
            raise ValueError(f"cotangents: got {cotangents}, expected at least 1")
    import jax

    given = check_names(names, len(args))
    names = given or argument_names(forward, len(args))
    named = dict(zip(names, args, strict=True))
    numbers = integers_as_numbers("args", named)
    fixed = chosen("constants", constants, names)
    tree = flatten("args", numbers, fixed=lambda leaves: under(leaves, fixed))
    with jax.enable_x64(True):
        witness = mirror and partial(mirrored, mirror, "mirror", names, tree)
        layer = Layer(names, forward, _each_anew(backward), witness, tree, aux, unit)
        report = checked_layer(layer, budget, seconds, cotangents, seed)
    converted = [] if numbers is named else [Fact("integers-as-numbers", {"argument": "args"})]
    return replace(
        report,
        loss=None,
        notes=(*report.notes, *special_points(tree), *converted),
        repeat=call(
            "check_vjp",
            {"forward": forward, "backward": backward, "args": args, "mirror": mirror},
            names=given,
            constants=constants,
            aux=aux,
            budget=budget,
            seconds=seconds,
            cotangents=cotangents,
            seed=seed,
            compute_dtype=compute_dtype,
        ),
    )


def checked_layer(
    layer: Layer, budget: int, seconds: float, cotangents: int | None, seed: int
) -> Report:
    """Check a layer within a budget of forward passes and of seconds, while JAX has float64.

    Raises ValueError as `check_vjp` does.
    """
    start, tree = time.perf_counter(), layer.tree
    outputs = flatten("forward", layer.forward(*layer.arguments(tree.native(tree.arrays))))
    branches = list(dict.fromkeys(name.partition(".")[0] for name in outputs.leaves))
    silent = [x for name in chosen("aux", layer.aux, branches) for x in outputs.under(name)]
    if not any(value.size for value in outputs.without(silent).arrays.values()):
        raise ValueError("aux: got every output, expected one to be differentiated")
    check_budget(budget, len(tree.arrays))
    ones = {
        k: np.zeros_like(v) if k in silent else np.ones_like(v) for k, v in outputs.arrays.items()
    }
    returned = layer.at(tree.native(tree.arrays))(outputs.build(ones))
    if all(gradient is None for gradient in returned):
        raise ValueError(
            "backward: it returned None for every argument, expected a gradient of some"
        )
    zero = [n for n, g in zip(layer.names, returned, strict=True) if g is None and tree.under(n)]
    claims = _claims(layer, outputs, silent, cotangents, np.random.default_rng(seed))
    claims, notes = _without_refused(
        claims, lambda: time.perf_counter() - start > FORMING * seconds
    )
    if left_out := [x for x in _layouts(outputs.without(silent)) if x not in layer.layouts]:
        notes.append(Fact("layouts-left-out", {"layouts": left_out}))
    if _writes(layer, outputs, silent):
        notes.append(Fact("writes-cotangent"))
    spent = time.perf_counter() - start
    report = check_claims(claims, budget, seed, seconds, layer.unit, spent)
    if zero:
        notes.append(Fact("none-is-zero", {"tensors": zero}))
    return replace(report, notes=(*report.notes, *notes))


def _without_refused(claims: Claims, late: Callable[[], bool]) -> tuple[Claims, list[Fact]]:
    """Return claims without the forms of cotangents that the backward pass refuses, and a note.

    Once it is `late` no others are tried yet.
    """
    refused, errors, pulled = {}, [], {}
    pull = claims.at(claims.tree.arrays)
    for label, form in claims.forms.items():
        if late():
            break
        try:
            pulled[label] = copied(pull(label))
        except Exception as fault:
            # Whatever it is that fails: the gradient is not wrong, but it is not there.
            refused[label] = form
            errors.append(" ".join(f"{type(fault).__name__}: {fault}".split()))
    claims = replace(claims, pulled=pulled)
    if not refused:
        return claims, []
    kept = {k: c for k, c in claims.cotangents.items() if k not in refused}
    forms = {k: form for k, form in claims.forms.items() if k not in refused}
    note = Fact("refused-forms", {"forms": [*refused.values()], "error": errors[0].rstrip(".")})
    return replace(claims, cotangents=kept, forms=forms), [note]


def _writes(layer: Layer, outputs: Tree, silent: Collection[str]) -> bool:
    """Say whether the backward pass writes to the memory of its cotangent."""
    given = {k: np.full_like(x, 0.0 if k in silent else 0.75) for k, x in outputs.arrays.items()}
    before = copy(given)
    layer.at(layer.tree.native(layer.tree.arrays))(outputs.build(given))
    return any(not np.array_equal(x.astype(float), before[k]) for k, x in given.items())


def chosen(argument: str, given: Collection[str | int], names: Sequence[str]) -> list[str]:
    """Return names for what is given by name or number.

    Raises ValueError, naming the argument, for what is neither.
    """
    chosen = []
    for each in given if isinstance(given, (tuple, list, set, frozenset)) else (given,):
        if isinstance(each, int) and 0 <= each < len(names):
            chosen.append(names[each])
        elif each in names:
            chosen.append(str(each))
        else:
            raise ValueError(f"{argument}: got {each!r}, expected some of {', '.join(names)}")
    return chosen


@dataclass(frozen=True, eq=False)
class Layer:
    """A forward function and its pullback, with their arguments, whose names are `names`.

    `pullback(*args)` returns what takes a cotangent to one gradient an argument. `tree` holds the
    arguments; what is floating in it is differentiated. `aux` are the outputs that are not, by name
    or number. `unit` is the unit roundoff that is stated, if any. `witness` differentiates
    <c, outputs> of the same function by a framework: it takes the outputs that are differentiated,
    and returns a function of the arrays and of c. `peer` is what it is called. `absent` says
    whether outputs that are not used may have None for a cotangent. `layouts` are those in which
    cotangents are handed over, beside contiguous.
    """

    names: tuple[str, ...]
    forward: Callable[..., Any]
    pullback: Callable[..., Callable[[Any], Any]]
    witness: Callable[[Tree], ByFramework] | None
    tree: Tree
    aux: Collection[str | int]
    unit: float | None
    peer: str = "JAX"
    absent: bool = False
    layouts: Collection[str] = LAYOUTS

    def arguments(self, arrays: Params) -> tuple[Any, ...]:
        """Return the positional arguments with these arrays in them."""
        built = self.tree.build(arrays)
        return tuple(built[name] for name in self.names)

    def zeros(self, name: str, arrays: Params) -> Any:
        """Return the gradient 0 of one argument."""
        nothing = {leaf: np.zeros_like(arrays[leaf]) for leaf in self.tree.under(name)}
        return self.tree.build({**arrays, **nothing})[name]

    def at(self, arrays: Params) -> Callable[[Any], tuple[Any, ...]]:
        """Return what takes a cotangent to one gradient an argument."""
        pull = self.pullback(*self.arguments(arrays))
        return lambda cotangent: self._gradients(pull(cotangent))

    def _gradients(self, found: Any) -> tuple[Any, ...]:
        """Return what backward returned as gradients, or raise ValueError for another number."""
        if len(self.names) == 1 and not (isinstance(found, (tuple, list)) and len(found) == 1):
            return (found,)
        if not isinstance(found, (tuple, list)) or len(found) != len(self.names):
            got = f"{len(found)}" if isinstance(found, (tuple, list)) else type(found).__name__
            raise ValueError(
                f"backward: it returned {got}, expected {len(self.names)} gradients, one each for "
                f"{', '.join(self.names)}, None for what has none"
            )
        return tuple(found)


def _claims(
    layer: Layer,
    outputs: Tree,
    silent: Collection[str],
    count: int | None,
    rng: np.random.Generator,
) -> Claims:
    """Return the claims about the losses <cotangent, forward(args)>, as any other are."""
    heard = outputs.without(silent)
    constants = {n: layer.tree.original[n] for n in layer.names if not layer.tree.under(n)}
    by_framework = layer.witness and layer.witness(heard)

    def raw(arrays: Params) -> list[Any]:
        return [*heard.pick("forward", layer.forward(*layer.arguments(arrays))).values()]

    def flat(arrays: Params) -> np.ndarray:
        found = heard.read("forward", layer.forward(*layer.arguments(arrays)), "fiuc")
        return np.concatenate([value.reshape(-1) for value in found.values()])

    def pullback(arrays: Params) -> Pullback:
        pull = layer.at(arrays)
        native = all(arrays[k].dtype == x.dtype for k, x in layer.tree.arrays.items())

        def grads(cotangent: np.ndarray, form: str) -> Params:
            # A backward pass may use the memory of its cotangent: each call gets its own.
            every = _shaped(outputs, cotangent, silent)
            every = outputs.native(every) if native else copy(every)
            own = outputs.build(every, partial(laid_out, form) if form in LAYOUTS else None)
            gradients = pull(_without_zeros(own) if form == ABSENT else own)
            wanted = {
                name: layer.zeros(name, arrays) if gradient is None else gradient
                for name, gradient in zip(layer.names, gradients, strict=True)
                if name not in constants
            }
            return layer.tree.read("backward", wanted | constants)

        return grads

    def mirror(arrays: Params, cotangent: np.ndarray) -> tuple[float, Params]:
        assert by_framework is not None
        return by_framework(arrays, _shaped(heard, cotangent, ()))

    cotangents, random, forms = _cotangents(heard, count, layer, rng)
    return Claims(
        layer.tree,
        flat,
        raw,
        pullback,
        mirror if by_framework else None,
        ("forward", "backward"),
        cotangents,
        random,
        forms=forms,
        peer=layer.peer,
    )


def _shaped(outputs: Tree, cotangent: np.ndarray, silent: Collection[str]) -> Params:
    """Return a flat cotangent as an array for each output, 0 for those that are silent."""
    shaped, end = {}, 0
    for name, value in outputs.arrays.items():
        start, end = end, end + (0 if name in silent else value.size)
        heard = name not in silent
        shaped[name] = cotangent[start:end].reshape(value.shape) if heard else np.zeros_like(value)
    return shaped


def _each_anew(backward: Callable[..., Any]) -> Callable[..., Callable[[Any], Any]]:
    """Return a backward pass, which takes its cotangent first, as a pullback."""
    return lambda *args: lambda cotangent: backward(cotangent, *args)


def _without_zeros(cotangent: Any) -> Any:
    """Return a tree with None in the place of every array of zeros."""
    from jax.tree_util import tree_map

    return tree_map(lambda x: x if as_array(x, "cotangent").any() else None, cotangent)


def mirrored(
    function: Callable[..., Any], argument: str, names: Sequence[str], tree: Tree, heard: Tree
) -> ByFramework:
    """Return <c, function(args)> and its gradients by JAX, as a function of the arrays and of c.

    `heard` are the outputs that are differentiated, and `argument` is what the function is called.
    """

    def product(args: Mapping[str, Any], cotangent: Params) -> Any:
        import jax.numpy as jnp

        found = heard.pick(argument, function(*(args[name] for name in names)))
        for name, value in found.items():
            shape = jnp.shape(value)[: jnp.ndim(value) - (name in heard.complex)]
            if shape != heard.shape(name):
                raise ValueError(
                    f"{argument}: it returned the shape {shape} for {name}, "
                    f"expected {heard.shape(name)}, as forward returns it"
                )
        return sum(jnp.vdot(cotangent[name], value) for name, value in found.items())

    return differentiated(tree, product, argument)


def _cotangents(
    heard: Tree, count: int | None, layer: Layer, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], int, dict[str, str]]:
    """Return flat cotangents with what they are called, how many are random, and other forms.

    The random ones are the first, those in other forms next; each of the others is 1 at one output.
    """
    size = sum(value.size for value in heard.arrays.values())
    random = min(RANDOM if count is None else max(1, count // 3), size)
    if count is not None and size * min(count, random + size) > MOST:
        raise ValueError(
            f"cotangents: got {count}, expected at most {max(1, MOST // size)}: "
            f"each holds {size} numbers"
        )
    result = {f"random {number + 1}": _drawn(heard, rng) for number in range(random)}
    handed = _in_other_forms(heard, result["random 1"], layer)
    result |= {label: cotangent for label, (_, cotangent) in handed.items()}
    if count is not None:
        alone = min(count - random, size)
    else:
        entries = sum(value.size for value in layer.tree.arrays.values())
        alone = size if size * (entries + size) <= ENTRIES else min(SOME, size)
    labels = _labels(heard)
    for place in np.sort(rng.choice(size, alone, replace=False)):
        unit = np.zeros(size)
        unit[place] = 1
        result[f"1 at output {labels(int(place))}"] = unit
    return result, random, {label: form for label, (form, _) in handed.items()}


def _layouts(heard: Tree) -> list[str]:
    """Return which layouts the cotangents of some outputs can have that are not contiguous."""
    return layouts_of([heard.shape(k) for k in heard.arrays if has_strides(heard.leaves[k])])


def _in_other_forms(
    heard: Tree, random: np.ndarray, layer: Layer
) -> dict[str, tuple[str, np.ndarray]]:
    """Return the form and the cotangent of each other form in which a caller may hand one over."""
    ones, zeros = _ones(heard), np.zeros(random.size)
    handed = {}
    for form in (each for each in _layouts(heard) if each in layer.layouts):
        name, cotangent = ("ones", ones) if form == "expanded" else ("random 1", random)
        handed[f"{name}, {form}"] = (form, cotangent)
    handed["ones"], handed["zeros"] = ("ones", ones), ("zeros", zeros)
    if layer.absent and len(heard.arrays) > 1:
        start = 0
        for name, value in heard.arrays.items():
            alone = np.zeros(random.size)
            alone[start : start + value.size] = random[start : start + value.size]
            start += value.size
            handed[f"{name} alone"] = ("absent", alone)
    return handed


def _drawn(heard: Tree, rng: np.random.Generator) -> np.ndarray:
    """Return a random cotangent, of the types of the outputs, whose backward pass sees it so."""
    parts = [rng.standard_normal(v.size).astype(v.dtype) for v in heard.arrays.values()]
    return np.concatenate([part.astype(float) for part in parts])


def _ones(heard: Tree) -> np.ndarray:
    """Return the flat cotangent that is 1 at every output; the imaginary part of 1 is 0."""
    ones = {k: np.ones_like(x, float) for k, x in heard.arrays.items()}
    for name in heard.complex:
        ones[name][..., 1] = 0
    return np.concatenate([x.reshape(-1) for x in ones.values()])


def _labels(heard: Tree) -> Callable[[int], str]:
    """Return how outputs are called, by their place among all that are differentiated."""
    names, ends = list(heard.arrays), np.cumsum([value.size for value in heard.arrays.values()])

    def label(place: int) -> str:
        which = int(np.searchsorted(ends, place, side="right"))
        name = names[which]
        value = heard.arrays[name]
        flat = place - int(ends[which]) + value.size
        index = entry(flat, value.shape, parts=name in heard.complex)
        return index if len(heard.leaves) == 1 else f"{name}{index}"

    return label
