"""To how many digits a printed and a computed figure agree, and whether those are enough.

    tables                    every printed decimal
    costs                     9 significant digits
    accuracies                every printed digit, which makes it the same count of examples
    gradient-check distances  within a factor of 2: they are rounding noise
    the chaotic training      1 %

The rounding errors of a training add up over thousands of steps, so its last digits depend on
the order in which a machine adds; the first nine are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from verify.course.reproduce.printed_figures import Computed, Figure

EPSILON = np.finfo(float).eps
FLOAT_DIGITS = 16
"""Digits that equal float64 numbers are said to agree to."""


@dataclass(frozen=True)
class Reproduction:
    """One figure, printed and computed.

    `entry`, `printed` and `computed` show the number that agrees least, numbers that are rounding
    noise last. `digits` counts the digits to which it agrees, in the `unit` "decimals" for a table
    and "digits" (significant ones) otherwise; it is None where words are compared. `agree` is None
    where the data is absent; `remark` then says how to get it.
    """

    id: str
    agree: bool | None
    digits: int | None = None
    unit: str = ""
    entry: str = ""
    printed: str = ""
    computed: str = ""
    remark: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the figure's object in the JSON of `backproof reproduce`."""
        return {
            "id": self.id,
            "agree": self.agree,
            "digits": self.digits,
            "remark": self.remark,
        }


class Rule(NamedTuple):
    """How two numbers are compared: agreeing digits are -log10(|printed - computed| / scale)."""

    scale: Callable[[np.ndarray, np.ndarray], np.ndarray]
    needed: int
    most: int = FLOAT_DIGITS
    decimals: int | None = None
    noise: bool = False


class WorstEntry(NamedTuple):
    """The number of one printed value that agrees least."""

    digits: int | None
    unit: str
    agree: bool
    entry: str
    printed: str
    computed: str
    noise: bool = False


def decimals(count: int) -> Rule:
    """Ask for so many decimals: the difference is at most half of the last."""
    return Rule(lambda printed, computed: np.full_like(printed, 0.5), count, count, count)


def significant(count: int) -> Rule:
    """Ask for so many significant digits."""
    return Rule(lambda printed, computed: np.abs(printed), count)


FACTOR_OF_TWO = Rule(
    lambda printed, computed: np.minimum(np.abs(printed), np.abs(computed)), 0, noise=True
)
"""Ask that neither number be more than twice the other."""

EVERY_PRINTED_DIGIT = significant(12)
"""An accuracy is printed to 12 digits or more, or ends earlier; 1 / m is far above either."""

COSTS = significant(9)
ONE_PERCENT = significant(2)


def judge(figure: Figure, computed: Computed) -> Reproduction:
    """Compare what a figure prints with what its recipe computed."""
    entries = [
        compare_value(name, figure, *pair)
        for name, *pair in _pairs(figure["printed"], computed.values)
    ]
    worst = min(entries, key=_order)
    return Reproduction(
        figure["id"],
        agree=worst.agree and all(claim.holds for claim in computed.claims),
        digits=worst.digits,
        unit=worst.unit,
        entry=worst.entry,
        printed=worst.printed,
        computed=worst.computed,
        remark="; ".join(str(claim).rstrip(".") for claim in computed.claims),
    )


def compare_value(name: str, figure: Figure, printed: Any, computed: Any) -> WorstEntry:
    """Compare one printed value, of numbers or of words, with the computed one."""
    if _is_words(printed):
        said, found = ", ".join(printed), ", ".join(computed)
        return WorstEntry(None, "", said == found, name, said, found)
    a, b = np.asarray(printed, float), np.asarray(computed, float)
    if a.shape != b.shape:
        return WorstEntry(0, "digits", False, name, f"shape {a.shape}", f"shape {b.shape}")
    rule = rule_for(name, figure)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A printed number is itself rounded to binary; one printed inf has no digits to compare.
        gap = np.maximum(np.abs(a - b) - 2 * EPSILON * np.abs(a), 0)
        ratio = np.where(gap == 0, 0, gap / rule.scale(a, b))
        ratio = np.where(np.isfinite(a), np.nan_to_num(ratio, nan=np.inf), -1)
        where = np.unravel_index(np.argmax(ratio), a.shape)
        digits = np.minimum(np.floor(-np.log10(ratio[where])), rule.most)
    return WorstEntry(
        int(max(digits, 0)),
        "digits" if rule.decimals is None else "decimals",
        bool(digits >= rule.needed),
        _entry(name, where, figure),
        _shown(a[where], rule.decimals),
        _shown(b[where], rule.decimals and rule.decimals + 2),
        rule.noise,
    )


def rule_for(name: str, figure: Figure) -> Rule:
    """Return how one value of a figure is compared."""
    if name.endswith("accuracy"):
        places = figure.get("accuracy_decimals")
        return decimals(places) if places else EVERY_PRINTED_DIGIT
    if name == "difference":
        return FACTOR_OF_TWO
    if figure["id"] == "init-large":
        return ONE_PERCENT
    return decimals(figure["decimals"]) if "decimals" in figure else COSTS


def _order(entry: WorstEntry) -> tuple[bool, bool, int]:
    """Put entries that disagree first, then those of the fewest digits, then rounding noise."""
    return entry.agree, entry.noise, FLOAT_DIGITS if entry.digits is None else entry.digits


def _pairs(printed: Mapping[str, Any], computed: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield (name, printed, computed) for every value, nested ones under both names."""
    for name, value in printed.items():
        if isinstance(value, Mapping):
            for inner, *pair in _pairs(value, computed[name]):
                yield f"{name} {inner}", *pair
        else:
            yield name, value, computed[name]


def _is_words(printed: Any) -> bool:
    return isinstance(printed, list) and all(isinstance(item, str) for item in printed)


def _entry(name: str, where: tuple[np.intp, ...], figure: Figure) -> str:
    if name == "costs":
        return f"cost at {where[0] * figure['record_every']}"
    return f"{name}[{', '.join(map(str, where))}]" if where else name.replace("_", " ")


def _shown(value: float, places: int | None) -> str:
    return repr(float(value)) if places is None else f"{value:.{places}f}"
