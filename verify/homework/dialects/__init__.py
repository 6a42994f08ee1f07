"""What is known of courses, as data: one file each, put together here.

A dialect says what a pass's arguments are where names and docstrings do not: `ARGUMENTS`, by the
stem of a pass (`conv` of `conv_forward_naive`), in one or several forms; and `SETTINGS`, the
values in which an argument that is a number or a dict of them is tried. A form is

    ("array", shape)   ("small", shape)   ("positive", shape)   ("chances", shape)
    ("labels", shape, classes)   ("onehot", shape)   ("onehot-columns", shape)   ("binary", shape)
    ("softmax", shape)  the softmax, along rows, of scores that the gradient is then of
    ("number", value)   ("setting", name)   ("dict", {key: shape})
"""

from __future__ import annotations

from typing import Any

from verify.homework.dialects import (
    attention,
    cs231n,
    deep_learning_ai,
    layers,
    octave_course,
)

Form = tuple[Any, ...]

_COURSES = (cs231n, deep_learning_ai, layers, octave_course, attention)

ARGUMENTS: dict[str, tuple[dict[str, Form], ...]] = {}
for _course in _COURSES:
    for _stem, _forms in _course.ARGUMENTS.items():
        ARGUMENTS[_stem] = ARGUMENTS.get(_stem, ()) + _forms

SETTINGS: dict[str, tuple[Any, ...]] = {
    name: values for course in _COURSES for name, values in course.SETTINGS.items()
}
"""The values in which an argument of this name is tried."""

NAMES: dict[str, Form] = {
    name: form for course in _COURSES for name, form in getattr(course, "NAMES", {}).items()
}
"""What an argument of this name is, in whichever pass."""
