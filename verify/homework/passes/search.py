"""Inputs by search: one argument is changed at a time, so that the forward pass runs further.

How far it ran is counted in lines of the file, and in the place where it raised. The search starts
where the layouts of `inputs` got furthest, and ends at what runs through.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from verify.homework.dialects import Form
from verify.homework.passes.inputs import KEEP, as_form
from verify.homework.read.usage import Axes

Reach = tuple[int, int, bool]
"""Lines that ran, the place where it was raised, and whether it came to its end."""

Forms = Mapping[str, Form]

STARTS, ROUNDS, TRIALS, SECONDS = 60, 6, 700, 2.5
"""Of a search: layouts that are tried again, arguments changed, calls in all, and its time."""

LARGEST = 32
"""The largest size of an axis: with many more terms in a sum, what follows it is saturated."""

MOST = 4
"""Inputs that are handed on, of those on which a forward pass runs."""

_OTHERS: tuple[Form, ...] = (
    ("labels", (4,)), ("labels", (4, 3)), ("choice", (2,)), ("number", KEEP),
)  # fmt: skip
"""What an argument may be but an array of numbers: labels of examples, or of steps of each."""


def searched(
    starts: Iterable[Forms],
    held: Mapping[str, Any],
    axes: Axes,
    reach: Callable[[Forms], Reach | None],
    clock: Callable[[], float],
) -> Iterator[Forms]:
    """Yield forms on which a function runs to its end, found from where it ran furthest.

    `held` are the parameters of the object whose method it is, and `axes` how many the arguments
    have where that is known; `reach` says how far it runs with forms, None where these cannot be
    made. The search ends when `clock` has gone on by some seconds.
    """
    deadline = clock() + SECONDS
    left = iter(range(TRIALS))

    def tried(forms: Forms) -> Reach:
        if clock() > deadline or next(left, None) is None:
            return (-1, -1, False)
        return reach(forms) or (-1, -1, False)

    known = [(tried(forms), forms) for forms in itertools.islice(starts, STARTS)]
    yield from [forms for at, forms in known if at[2]][:MOST]
    for at, start in _furthest([pair for pair in known if not pair[0][2]]):
        forms, complete = start, list[Forms]()
        for _ in range(ROUNDS):
            best = (at, forms)
            for other in _changed(forms, held, axes):
                found = tried(other)
                best = max(best, (found, other), key=lambda pair: pair[0])
                complete += [other] if found[2] else []
                if len(complete) == MOST:
                    break
            if complete or best[0] <= at:
                break
            at, forms = best
        yield from complete
        if complete:
            return


def _furthest(known: Sequence[tuple[Reach, Forms]]) -> Iterator[tuple[Reach, Forms]]:
    """Yield where a search begins: what got furthest of each number of axes of the input."""
    best: dict[int, tuple[Reach, Forms]] = {}
    for at, forms in sorted(known, key=lambda pair: pair[0], reverse=True):
        first = next((form for _, form in _leaves(forms.items(), ()) if form[0] in _VALUES), None)
        best.setdefault(len(first[1]) if first else 0, (at, forms))
    yield from itertools.islice(best.values(), BEGINNINGS)


BEGINNINGS = 3
"""Inputs from which a search begins."""


def _changed(forms: Forms, held: Mapping[str, Any], axes: Axes) -> Iterator[Forms]:
    """Yield forms in which one argument, or what is alike, is something else."""
    shapes = list(_shapes(_sizes(forms, held)))
    others = [*(("array", shape) for shape in shapes), *_OTHERS]
    leaves = [(path, form) for path, form in _leaves(forms.items(), ()) if form[0] in _VALUES]
    groups = [
        [path for path, other in leaves if other == form]
        for form in {form: None for _, form in leaves}
        if sum(other == form for _, other in leaves) > 1
    ]
    yield from _resized(forms, leaves)
    for group in (*groups, *([path] for path, _ in leaves)):
        name = group[0][0] if len(group[0]) == 1 else ""
        for other in others:
            if not axes.fit(name, len(other[1]) if other[0] == "array" else axes.of(name)):
                continue
            changed = functools.reduce(lambda f, path: _with(f, path, other), group, forms)
            if changed != forms and _is_plausible(changed):
                yield changed


def _resized(forms: Forms, leaves: Sequence[tuple[Sequence[str], Form]]) -> Iterator[Forms]:
    """Yield forms in which one size is another everywhere: that of a part of an axis, say."""
    present = dict.fromkeys(size for _, form in leaves for size in form[1] if size > 1)
    for size, other in itertools.product(present, _DIVISIBLE):
        if other not in present:
            yield functools.reduce(
                lambda f, leaf: _with(f, leaf[0], _renamed(leaf[1], size, other)),
                leaves,
                forms,
            )


def _renamed(form: Form, size: int, other: int) -> Form:
    kind, shape, *more = form
    return (kind, tuple(other if each == size else each for each in shape), *more)


_DIVISIBLE = (6, 12)
"""Sizes that can be cut into two, three and four parts."""


def _is_plausible(forms: Forms) -> bool:
    """Say whether there are as many labels as examples, and more than one."""
    arrays = [form[1] for form in forms.values() if form[0] == "array"]
    labels = [form[1] for form in forms.values() if form[0] == "labels"]
    if arrays and arrays[0][:1] == (1,):
        return False
    return all(shape[0] in (*arrays[0][:1], *arrays[0][-1:]) for shape in labels if arrays)


_VALUES = frozenset("array small positive chances labels onehot onehot-columns binary".split())
"""The forms of arrays, whose shape was a guess."""


def _leaves(
    forms: Iterable[tuple[str, Form]], before: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Form]]:
    for name, form in forms:
        if form[0] in ("tuple", "dict", "list"):
            parts = [(key, as_form(part)) for key, part in form[1].items()]
            yield from _leaves(parts, (*before, name))
        else:
            yield (*before, name), form


def _with(forms: Forms, path: Sequence[str], form: Form) -> dict[str, Form]:
    first, *rest = path
    if not rest:
        return {**forms, first: form}
    kind, parts = forms[first]
    return {**forms, first: (kind, _with(parts, rest, form))}


def _sizes(forms: Forms, held: Mapping[str, Any]) -> list[int]:
    """Return the sizes of arrays that there are, the most frequent first: few, and none 1."""
    shapes = [np.shape(value) for value in held.values()]
    shapes += [form[1] for _, form in _leaves(forms.items(), ()) if form[0] in _VALUES]
    counted = Counter(size for shape in shapes for size in shape if 1 < size <= LARGEST)
    return list(dict.fromkeys([4, *(size for size, _ in counted.most_common(4)), 5, 3]))[:5]


def _shapes(sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield shapes of these sizes, those with unequal ones first, and the usual ones of images."""
    yield from itertools.permutations(sizes, 2)
    yield from ((size,) for size in sizes)
    yield from ((size, 1) for size in sizes)
    yield from ((1, size) for size in sizes)
    yield from ((2, 4, size) for size in sizes if size not in (2, 4))
    yield from ((4, size, 1) for size in sizes if size != 4)
    yield from ((1, size, 1) for size in sizes)
    yield from ((size, size) for size in sizes)
    yield from _IMAGES
    yield ()


_IMAGES = (
    (2, 3, 6, 8), (2, 6, 8, 3), (5, 3, 4, 2), (5, 3, 3, 3), (3, 3, 3, 5), (1, 3, 1, 1),
    (1, 5, 1, 1), (1, 1, 1, 5), (6, 8), (3, 6, 8),
)  # fmt: skip
