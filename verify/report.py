"""What a check found: data, and nothing else.

A `Report` is evidence first and judgement second: for every tensor and every pair of witnesses
the largest difference, the relative difference and the largest difference over its error bar.
It prints as a table, shows as HTML in a notebook, and turns into the JSON of the command line.
Not here: what decides (`verify.verdict`), and what writes the sentences and the table
(`verify.show`, reached through `_shown` alone).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.findings import Finding

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from rich.console import RenderableType


SCHEMA = 1
PAIRS = ("manual_vs_autodiff", "manual_vs_finite_difference", "autodiff_vs_finite_difference")
"""The three comparisons of three witnesses, by the names that the JSON has for them."""

PACKAGES = ("backproof", "numpy", "jax", "scikit-learn", "h5py")


@dataclass(frozen=True)
class Worst:
    """Where one gradient is furthest from what is expected, in error bars.

    `found` is the gradient there, `expected` what `witness` has ("autodiff" or
    "finite_difference"), and `bar` how far apart the two may be. `place` says where that is: an
    "entry", at this flat index; an entry at a "bend", where any gradient within `bar` of
    `expected` is right; an entry "beside", at a point nearby; or a "direction" or "ties", where
    many entries were moved together and `index` is None. `cotangent` is what the cotangent of a
    layer is called, and empty for a loss.
    """

    place: str
    witness: str
    index: int | None
    found: float
    expected: float
    bar: float
    cotangent: str = ""

    @property
    def wrong(self) -> bool:
        """Whether found and expected are further apart than the bar."""
        return bool(over_bar(self.found - self.expected, self.bar) > 1)


@dataclass(frozen=True, eq=False)
class Pair:
    """One tensor by two witnesses.

    max_abs is the largest |a - b|; relative ||a - b|| / (||a|| + ||b||), 0 where both are 0,
    and no more than max_abs beside the largest entry nearby where the gradient is 0 here; both
    leave kinked entries out. bar_ratio is the largest |a - b| over its error bar, and the
    two agree where that is at most 1. `index` are the flat indices of the entries that were
    compared, with a's value, their difference a - b and their bars. Where these are of random
    directions, `index` is empty. `worst` is where that largest one is.
    """

    max_abs: float
    relative: float
    bar_ratio: float
    agree: bool
    index: Int[np.ndarray, " i"]
    value: Float[np.ndarray, " k"]
    difference: Float[np.ndarray, " k"]
    bar: Float[np.ndarray, " k"]
    worst: Worst | None = None


@dataclass(frozen=True)
class Resolution:
    """The smallest error of one tensor's gradient that would have been seen.

    `entry` is the error of a single entry, whichever it is, relative to `size`: the tensor's
    largest entry or, where the gradient is `zero` here, the largest nearby. `tensor` is the
    relative error of all entries alike. `zero` is "here", or "always" where the loss does not
    depend on the tensor, else empty. `limit` is what widens `entry` most: "kinks", "edges" of
    the domain, "roughness", "unjudged" entries, "rounding" of the gradient, or the "witness".
    """

    entry: float
    tensor: float
    size: float
    limit: str
    zero: str = ""


@dataclass(frozen=True, eq=False)
class Tensor:
    """One parameter's gradient by all witnesses.

    entries_checked counts the entries that finite differences were taken of, kinked ones
    included; directions_checked the random directions. `pairs` is keyed by `PAIRS`; a witness
    that was not asked has none. `value` is the gradient under test. `verdict` is "agree",
    "disagree", or "undecided" where an error of a tenth would not have been seen. `worst` is
    where the gradient is furthest from what is expected, None if it was compared nowhere. Where it
    is `complex`, the last axis of `shape` and `value` is that of real and imaginary parts.
    """

    name: str
    shape: tuple[int, ...]
    entries_checked: int
    kinks: int
    pairs: Mapping[str, Pair]
    value: np.ndarray
    verdict: str
    resolution: Resolution
    directions_checked: int = 0
    worst: Worst | None = None
    complex: bool = False

    @property
    def agree(self) -> bool:
        """Whether every two witnesses agree, however wide their error bars are."""
        return all(pair.agree for pair in self.pairs.values())

    @property
    def size(self) -> str:
        """The shape as the user has it, as text."""
        shape = "×".join(map(str, self.shape[:-1] if self.complex else self.shape)) or "scalar"
        return f"{shape} complex" if self.complex else shape

    def entry(self, index: int) -> str:
        """Return how an entry is called, by its flat index: [2, 0], or [2].imag of a complex."""
        return entry(index, self.shape, parts=self.complex)


def entry(index: int, shape: tuple[int, ...], *, parts: bool = False) -> str:
    """Return how an entry of an array is called, by its flat index; "" for the only one.

    With `parts` the last axis is that of real and imaginary parts.
    """
    place = [str(each) for each in np.unravel_index(index, shape)] if shape else []
    part = (".real", ".imag")[int(place.pop())] if parts else ""
    return (f"[{', '.join(place)}]" if place else "") + part


@dataclass(frozen=True)
class Loss:
    """The loss by hand and by JAX, and whether they are within rounding of each other."""

    manual: float
    autodiff: float | None
    agree: bool


@dataclass(frozen=True)
class Fact:
    """One thing that a report states: its kind, and the names and numbers in it.

    The kinds, and the sentence of each, are listed in `verify.show.sentences`. Nothing reads
    sentences; what is decided is decided by kind and values.
    """

    kind: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Report:
    """The verdict of a check, what follows from it, and the numbers behind it.

    `verdict` is "agree", "disagree" or "undecided"; `conclusion` says what follows from who
    agrees with whom; `notes` what was not checked and why; `diagnosis` names the mistakes.
    `meaning` and `remarks` are the conclusion and the notes as sentences. `loss` is None for a
    layer, which has none. `repeat` is a line of Python that makes the check again.

    Examples:
        >>> import backproof
        >>> import numpy as np
        >>> report = backproof.compare(np.sum, np.ones_like, np.array([0.3, 0.7]), names=["w"])
        >>> report.verdict, report.ok, [tensor.name for tensor in report.tensors]
        ('agree', True, ['w'])
        >>> report.meaning
        'The gradient agrees with finite differences, within their error bars.'
    """

    verdict: str
    conclusion: Fact
    loss: Loss | None
    tensors: Sequence[Tensor]
    settings: Mapping[str, Any] = field(default_factory=dict)
    diagnosis: Sequence[Finding] = ()
    notes: Sequence[Fact] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    repeat: str = ""

    @property
    def ok(self) -> bool:
        """Whether the verdict is that all witnesses agree."""
        return self.verdict == "agree"

    @property
    def course_difference(self) -> float | None:
        """The course's one number, ||g - g'|| / (||g|| + ||g'||), of all gradients together.

        g' are the finite differences of this check, where there are any and no kink; None if there
        are none. The course takes gradients for right below 1e-7. The verdict does not use it.
        """
        pairs = [tensor.pairs.get("manual_vs_finite_difference") for tensor in self.tensors]
        compared = [pair for pair in pairs if pair and pair.index.size]
        if not compared:
            return None
        found = np.concatenate([pair.value for pair in compared])
        apart = np.concatenate([pair.difference for pair in compared])
        sizes = np.linalg.norm(found) + np.linalg.norm(found - apart)
        return float(np.linalg.norm(apart) / sizes) if sizes else 0.0

    @property
    def meaning(self) -> str:
        """The conclusion, in one or two sentences."""
        return str(_shown("meaning", self))

    @property
    def remarks(self) -> tuple[str, ...]:
        """The notes, each in a sentence or two."""
        return tuple(_shown("remarks", self))

    @property
    def versions(self) -> dict[str, str]:
        """The versions of Python and of the packages that the numbers came from."""
        return versions()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `backproof verify`; what is not finite is None."""
        result: dict[str, Any] = finite(
            {
                "schema": SCHEMA,
                "verdict": self.verdict,
                "meaning": self.meaning,
                "settings": dict(self.settings),
                "versions": self.versions,
                "loss": self.loss and asdict(self.loss),
                "course_difference": self.course_difference,
                "parameters": sum(math.prod(tensor.shape) for tensor in self.tensors),
                "tensors": [_tensor_dict(tensor) for tensor in self.tensors],
                "diagnosis": [finding.to_dict() for finding in self.diagnosis],
                "remarks": list(self.remarks),
                "repeat": self.repeat,
                "seconds": dict(self.seconds),
            }
        )
        return result

    def to_html(self) -> str:
        """Return one self-contained page."""
        return str(_shown("page", self))

    def _repr_html_(self) -> str:
        return str(_shown("fragment", self))

    def __rich__(self) -> RenderableType:
        table: RenderableType = _shown("table", self)
        return table

    def __repr__(self) -> str:
        return f"<Report: {self.verdict}. {self.meaning}>"

    def __str__(self) -> str:
        return str(_shown("text", self))


def _shown(form: str, report: Report) -> Any:
    """Return a report as it is shown: the one place from which data reaches up to `show`."""
    from verify.show import report as show

    return getattr(show, form)(report)


def _tensor_dict(tensor: Tensor) -> dict[str, Any]:
    result: dict[str, Any] = {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "complex": tensor.complex,
        "entries_checked": tensor.entries_checked,
        "directions_checked": tensor.directions_checked,
        "kinks": tensor.kinks,
        "verdict": tensor.verdict,
        "resolution": {"entry": tensor.resolution.entry, "tensor": tensor.resolution.tensor},
    }
    for name in PAIRS:
        pair = tensor.pairs.get(name)
        result[name] = pair and {
            "max_abs": pair.max_abs,
            "relative": pair.relative,
            "bar_ratio": pair.bar_ratio,
            "agree": pair.agree,
        }
    result["worst"] = tensor.worst and _worst_dict(tensor.worst, tensor.shape)
    return result


def _worst_dict(worst: Worst, shape: tuple[int, ...]) -> dict[str, Any]:
    index = None if worst.index is None else np.unravel_index(worst.index, shape)
    return {
        "index": index and list(index),
        "place": worst.place,
        "manual": worst.found,
        worst.witness: worst.expected,
        "bar": worst.bar,
        "cotangent": worst.cotangent,
    }


def finite(value: Any) -> Any:
    """Return value as plain JSON data, with None for every number that is not finite."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the numbers came from."""
    import platform
    from importlib.metadata import version

    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def over_bar(
    difference: Float[np.ndarray, "*shape"] | float, bar: Float[np.ndarray, "*shape"] | float
) -> Float[np.ndarray, "*shape"]:
    """Return |difference| / bar, with 0 / 0 = 0, and what is not a number as infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(difference == 0, 0.0, np.abs(difference) / bar)
    return np.where(np.isnan(ratio), np.inf, ratio)
