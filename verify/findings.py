"""A finding: one mistake as data, and the sentence that says it.

A check fills in what it knows of a mistake: its name in the catalogue, where it is, what was
found and what is right there, how well it explains the numbers. The sentence is written from
that, here, when it is asked for; nothing reads it.

`says`, `wrong` and `right` are templates, such as "{dW} is transposed.", with {dW} in `values`.
So a finding can be told in other names, such as those of logistic regression.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import nan
from string import Formatter
from typing import Any

from verify.catalogue import CATALOGUE, UNNAMED, in_words

FOLLOWS = {
    "gradients-right": "The gradients are right.",
    "cost-alone": "The gradients are right, so the mistake is in the cost alone.",
    "gradients-faithful": "The gradients are those of this function.",
    "gradients-wrong-too": "The gradients have other mistakes.",
    "gradients-unclear": "The gradients differ too; they may be those of the function that was "
    "written, so correct the forward pass first.",
    "no-name": "No mistake known by name explains it.",
    "upstream": "So the mistake is in {tensor} or in what it is made from; no mistake known by "
    "name explains it.",
    "below-unjudged": "The layers below follow from it and cannot be judged yet.",
}
"""What a finding may say of other gradients: the keys of its field `follows`."""


@dataclass(frozen=True)
class Evidence:
    """How near a right pass with this many `mistakes` in it comes to the gradients `tensors`.

    `relative` is the largest relative distance. `at_zero` is True if the gradients are 0 up to
    rounding, where a relative distance says nothing.
    """

    mistakes: int
    tensors: tuple[str, ...]
    relative: float
    at_zero: bool = False


@dataclass(frozen=True)
class Extent:
    """How many of a gradient's entries are wrong, and how far.

    `wrong` of `size` entries are wrong, all of them in one `row` or `column` if that is not None.
    `relative` is the distance over the size of the right gradient. The worst entry is at `index`:
    `found` there, and `right`. If `finite` is False the wrong entries are those that are not
    finite, and the other fields are empty.
    """

    tensor: str
    wrong: int
    size: int
    relative: float = nan
    row: int | None = None
    column: int | None = None
    index: tuple[int, ...] = ()
    found: float = nan
    right: float = nan
    finite: bool = True


@dataclass(frozen=True)
class Finding:
    """One mistake.

    `bug` is its name in the catalogue, "unknown" if the numbers fit none. `tensor` is the
    gradient, the loss or another result that is wrong; `layer` is that of the gradient, None for
    the loss. `equals` are other mistakes that would make the same numbers, `also` other tensors
    that have this mistake. In a file, `function` is the wrong function, `role` its role in the
    textbook, and `cell` (None in a script), `line` and `source` are where the tensor is made, if
    that is known.
    """

    bug: str
    tensor: str
    layer: int | None = None
    says: str = ""
    wrong: str = ""
    right: str = ""
    values: Mapping[str, Any] = field(default_factory=dict, hash=False)
    extents: tuple[Extent, ...] = ()
    follows: tuple[str, ...] = ()
    evidence: Evidence | None = None
    equals: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    function: str = ""
    role: str = ""
    cell: int | None = None
    line: int | None = None
    source: str = ""

    @property
    def kind(self) -> str:
        """What is wrong: a kind of the catalogue, "loss" if cost or forward pass is not known."""
        loss = self.tensor == "loss" and self.bug in UNNAMED
        return "loss" if loss else CATALOGUE[self.bug].kind

    @property
    def found(self) -> str:
        """The wrong formula, empty if it is not known."""
        return self.wrong.format_map(self.values)

    @property
    def expected(self) -> str:
        """The right formula, or what else is expected."""
        return self.right.format_map(self.values)

    @property
    def detail(self) -> str:
        """What is wrong, in words."""
        sentences = [
            self.says.format_map(self.values),
            *map(_extent, self.extents),
            *(FOLLOWS[key].format(tensor=self.tensor) for key in self.follows),
            _evidence(self.evidence) if self.evidence else "",
            f"Here {in_words(self.equals)} would give the same numbers." if self.equals else "",
            f"The same is true of {listed(self.also)}." if self.also else "",
        ]
        return " ".join(filter(None, sentences))

    @property
    def where(self) -> str:
        """The line of the file as an editor shows it, empty if it is not known."""
        return "" if self.line is None else where(self.cell, self.line)

    def to_dict(self) -> dict[str, Any]:
        """Return the mistake as the JSON of every command has it."""
        return {
            "tensor": self.tensor,
            "layer": self.layer,
            "bug": self.bug,
            "kind": self.kind,
            "detail": self.detail,
            "found": self.found,
            "expected": self.expected,
            "extents": [asdict(extent) for extent in self.extents],
            "evidence": asdict(self.evidence) if self.evidence else None,
            "equals": list(self.equals),
        }


def from_data(data: Mapping[str, Any]) -> Finding:
    """Return the finding that `dataclasses.asdict` made this from, also by way of JSON."""
    evidence = data["evidence"]
    extents = (Extent(**{**one, "index": tuple(one["index"])}) for one in data["extents"])
    return Finding(
        **{
            **data,
            "extents": tuple(extents),
            "evidence": evidence
            and Evidence(**{**evidence, "tensors": tuple(evidence["tensors"])}),
            **{name: tuple(data[name]) for name in ("follows", "equals", "also")},
        }
    )


def used(values: Mapping[str, Any], *templates: str) -> dict[str, Any]:
    """Return those of the values that templates ask for."""
    asked = {name for text in templates for _, name, _, _ in Formatter().parse(text) if name}
    return {name: values[name] for name in sorted(asked)}


def where(cell: int | None, line: int) -> str:
    """Say where a line of a file is, in a cell of a notebook or in a script."""
    return f"line {line}" if cell is None else f"cell {cell}, line {line}"


def listed(names: Iterable[str]) -> str:
    """Return names as one phrase."""
    return " and ".join(names)


def _evidence(evidence: Evidence) -> str:
    mistakes = "this one mistake" if evidence.mistakes == 1 else "these two mistakes"
    says = f"A right pass with {mistakes} gives your {listed(evidence.tensors)}"
    if evidence.at_zero:
        return f"{says}, which is 0 up to rounding here."
    if not evidence.relative:
        return f"{says} to the last digit."
    return f"{says} up to rounding ({evidence.relative:.0e})."


def _extent(extent: Extent) -> str:
    count = f"{extent.wrong} of {extent.size} entries"
    if extent.wrong == extent.size:
        count = "every entry" if extent.size > 1 else "its one entry"
    if not extent.finite:
        return f"{extent.tensor} is not finite in {count}."
    region = "" if extent.row is None else f", all in row {extent.row}"
    region += "" if extent.column is None else f", all in column {extent.column}"
    found, right = _apart(extent.found, extent.right)
    at = (
        f"The largest error is at [{', '.join(map(str, extent.index))}]:"
        if extent.index
        else "It is"
    )
    return (
        f"{extent.tensor} is wrong in {count}{region}, by {extent.relative:.1e} of its size. "
        f"{at} {found} instead of {right}."
    )


def _apart(a: float, b: float) -> tuple[str, str]:
    """Write two numbers with as many digits as it takes to tell them apart."""
    for digits in (6, 9, 12, 15, 17):
        if f"{a:.{digits}g}" != f"{b:.{digits}g}":
            break
    return f"{a:.{digits}g}", f"{b:.{digits}g}"
