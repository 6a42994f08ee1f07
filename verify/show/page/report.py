"""One report as HTML: the sections of the page, and the fragment for a notebook."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from verify.report import PAIRS, Report, Tensor, over_bar
from verify.show.failures import circumstances, failure, peer, wrong_tensors
from verify.show.page.charts import bar_chart
from verify.show.page.findings import badge, box, notes
from verify.show.page.markup import Html, document, element, number, style, table
from verify.show.page.matrix_entries import Entries, worst_entries

VERDICTS = {
    "agree": "The gradients agree",
    "disagree": "The gradients disagree",
    "undecided": "Undecided",
}


def page(report: Report) -> str:
    """Return a report as one self-contained HTML file."""
    facts = report.to_dict()
    data = str(report.settings.get("data") or report.settings.get("file") or "")
    ways = "three" if PAIRS[0] in _compared(report) else "two"
    sections: list[Any] = [
        element(
            "header",
            element("p", f"Backproof: gradients checked {ways} ways", class_="brand"),
            element("h1", badge(report.verdict, VERDICTS[report.verdict])),
            element("p", report.meaning, class_="meaning"),
            _losses(report, facts),
        ),
        _diagnosis(report),
        _worst_places(report),
    ]
    if report.tensors:
        sections += [
            element("h2", "Gradient by gradient"),
            _summary(report, facts),
            element("h2", "Where the differences are"),
            _entry_by_entry(report, "h3", opened=True),
            element("h2", "The differences and their error bars"),
            element("figure", bar_chart(_ratios(report)), element(
                "figcaption", "Each line runs from the median entry to the largest. "
                "Two ways agree where the largest is at most one error bar.")),
        ]  # fmt: skip
    sections += [
        element("h2", "How it was checked"),
        _method(report, facts),
        element("h2", "To repeat it"),
        _repetition(facts),
    ]
    word = report.verdict.capitalize()
    return document(f"{word}: {data}, Backproof" if data else f"{word}, Backproof", sections)


def fragment(report: Report) -> str:
    """Return a report as a fragment for the output of a notebook cell."""
    facts = report.to_dict()
    return element(
        "div",
        style(),
        element("p", badge(report.verdict, VERDICTS[report.verdict]), ". ", report.meaning),
        _losses(report, facts),
        [box(finding, "p", finding.tensor) for finding in report.diagnosis],
        _worst_places(report),
        _summary(report, facts) if report.tensors else None,
        _entry_by_entry(report, "span", opened=False),
        notes(report.remarks),
        None
        if report.ok or not report.repeat
        else element(
            "p", f"{circumstances(report)} To repeat it: ", element("code", report.repeat)
        ),
        class_="backproof",
    )


def command(settings: Mapping[str, Any]) -> list[str]:
    """Return the pieces of the command line that repeats a check, none for one made from Python."""
    if "data" not in settings or "init" not in settings:
        return []
    hidden = settings["layers"][1:-1]
    options = {
        "data": settings["data"],
        "layers": _listed(hidden),
        "hidden": _one_or_each(settings["hidden"]) if hidden else None,
        "output": settings["output"],
        "init": settings["init"],
        "l2": settings["l2"],
        "keep-prob": _one_or_each(settings["keep_prob"]) if hidden else None,
        "examples": settings["examples"],
        "dtype": settings["dtype"],
        "seed": settings["seed"],
        "train": settings["train"] or None,
        "learning-rate": settings["learning_rate"] if settings["train"] else None,
        "finite-difference": settings.get("finite_difference"),
        "devices": settings["devices"] if settings.get("devices", 1) > 1 else None,
    }
    return [
        "backproof verify",
        *(
            f"--{name} {shlex.quote(str(value))}"
            for name, value in options.items()
            if value is not None
        ),
    ]


def _word(agree: bool) -> Html:
    return badge("agree") if agree else badge("disagree", "differ")


def _compared(report: Report) -> dict[str, tuple[str, str]]:
    """Name the two sides of each pair that the report has."""
    hand, jax, difference = "by hand", peer(report), "finite difference"
    sides = dict(zip(PAIRS, ((hand, jax), (hand, difference), (jax, difference)), strict=True))
    return {
        pair: names
        for pair, names in sides.items()
        if any(pair in tensor.pairs for tensor in report.tensors)
    }


def _tensor_word(tensor: Tensor) -> Html:
    undecided = tensor.verdict == "undecided"
    return badge("undecided") if undecided else _word(tensor.agree)


def _titles(report: Report) -> dict[str, str]:
    """Name the pairs that the report has, as headings."""
    return {pair: " and ".join(names) for pair, names in _compared(report).items()}


def _losses(report: Report, facts: Mapping[str, Any]) -> Html | None:
    if report.loss is None:
        return None
    loss, difference = facts["loss"], facts["course_difference"]
    course = (
        [] if difference is None else ["; gradient_check of the course ", number(difference, ".1e")]
    )
    if report.loss.autodiff is None:
        return element("p", "Loss ", number(loss["manual"], ".12g"), *course)
    return element(
        "p",
        "Loss by hand ",
        number(loss["manual"], ".12g"),
        ", by JAX ",
        number(loss["autodiff"], ".12g"),
        ": ",
        _word(report.loss.agree),
        *course,
    )


def _diagnosis(report: Report) -> list[Any]:
    if report.verdict != "disagree":
        return []
    found = [box(finding, "h3", finding.tensor) for finding in report.diagnosis]
    return [element("h2", "What is wrong"), found]


def _worst_places(report: Report) -> Html | None:
    """Show what was found and what is expected in the worst entry of each tensor that is wrong."""
    rows = [failure(tensor, peer(report)) for tensor in wrong_tensors(report.tensors)]
    caption = "The worst entry of each gradient that is not as expected"
    return table(["where", "found", "expected"], rows, caption=caption) if rows else None


def _summary(report: Report, facts: Mapping[str, Any]) -> Html:
    titles = _titles(report)
    head = ["gradient", "verdict", "shape", "differenced", "kinks", "sees from"]
    groups = [("", len(head)), *((title, 2) for title in titles.values())]
    rows = []
    for tensor, row in zip(report.tensors, facts["tensors"], strict=True):
        cells: list[Any] = [
            f"d{tensor.name}",
            _tensor_word(tensor),
            tensor.size,
            _differenced(tensor),
            number(row["kinks"]),
            "none" if row["resolution"]["entry"] is None else number(row["resolution"]["entry"]),
        ]
        for found in (row[pair] for pair in titles):
            cells += (
                [number(found["relative"]), number(found["bar_ratio"], ".2g")]
                if found
                else ["", ""]
            )
        rows.append(cells)
    return table(
        [*head, *["relative", "in bars"] * len(titles)],
        rows,
        caption="Relative differences, the largest difference in error bars, and from what size on "
        "an error of one entry is seen, beside the largest",
        class_="numbers",
        groups=groups,
    )


def _differenced(tensor: Tensor) -> str:
    entries = f"{tensor.entries_checked} of {math.prod(tensor.shape)}"
    if not tensor.directions_checked:
        return entries
    directions = f"{tensor.directions_checked} directions"
    return f"{entries} + {directions}" if tensor.entries_checked else directions


def _entry_by_entry(report: Report, heading: str, *, opened: bool) -> list[Html]:
    """Show each gradient in a box of its own: those that differ first, those that agree in one."""
    differing = [tensor for tensor in report.tensors if tensor.verdict != "agree"]
    agreeing = [
        _details(report, tensor, "span", opened=False)
        for tensor in report.tensors
        if tensor.verdict == "agree"
    ]
    boxes = [_details(report, tensor, heading, opened=opened) for tensor in differing]
    if agreeing:
        count = f"{len(agreeing)} gradient{'s' * (len(agreeing) > 1)}"
        title = element(heading, count, " ", _word(True))
        boxes.append(element("details", element("summary", title), agreeing))
    return boxes


def _details(report: Report, tensor: Tensor, heading: str, *, opened: bool) -> Html:
    shown = _shown(tensor)
    name = f"d{tensor.name}"
    title = element(heading, name, f" ({tensor.size}) ", _tensor_word(tensor))
    if shown is None:
        content: Any = element("p", "No entry by entry comparison was made.")
    else:
        pair, witnesses = tensor.pairs[shown], _compared(report)[shown]
        numbers = (pair.index, pair.value, pair.difference, pair.bar)
        content = worst_entries(Entries(name, tensor.shape, tensor.entry, witnesses, *numbers))
    return element("details", element("summary", title), content, open=opened)


def _shown(tensor: Tensor) -> str | None:
    """Choose the pair whose entries to show: the first that differs, else the first at all.

    Along directions there are no entries, so only the first pair, of all entries, qualifies.
    """
    pairs = [
        name
        for name in PAIRS
        if name in tensor.pairs
        and tensor.pairs[name].index.size
        and (name == PAIRS[0] or tensor.entries_checked)
    ]
    return next((name for name in pairs if not tensor.pairs[name].agree), next(iter(pairs), None))


def _ratios(report: Report) -> dict[str, dict[str, np.ndarray]]:
    return {
        f"d{tensor.name}": {
            title: over_bar(tensor.pairs[pair].difference, tensor.pairs[pair].bar)
            for pair, title in _titles(report).items()
            if pair in tensor.pairs and tensor.pairs[pair].difference.size
        }
        for tensor in report.tensors
    }


def _method(report: Report, facts: Mapping[str, Any]) -> list[Any]:
    if not report.tensors:
        return [
            element("p", "The loss is not finite, so no gradient was compared."),
            notes(report.remarks),
        ]
    checked = sum(tensor.entries_checked for tensor in report.tensors)
    directions = sum(tensor.directions_checked for tensor in report.tensors)
    kinks = sum(tensor.kinks for tensor in report.tensors)
    ways = [
        element("li", "By hand: the gradient under test."),
        element("li", "JAX: the same as a pure function, differentiated by JAX.")
        if PAIRS[0] in _compared(report)
        else None,
        element(
            "li",
            "Finite differences, which know nothing of calculus: ",
            [number(checked), " of ", number(facts["parameters"]), " entries"],
            [" and ", number(directions), " random directions"] if directions else None,
            ".",
        ),
    ]
    return [
        element("p", "The ways were given identical inputs, dropout masks included:"),
        element("ul", ways),
        element(
            "p",
            element("strong", "Error bars. "),
            "The error bar of an entry is how far a right gradient may be off there: by rounding, "
            "followed through the arithmetic of this problem, and for a finite difference by its "
            "measured rounding and truncation. Two ways agree if every difference is within its "
            "error bar; there is no fixed tolerance.",
        ),
        element(
            "p",
            element("strong", "Kinks. "),
            number(kinks),
            " entry is" if kinks == 1 else " entries are",
            " on a kink, where there is no derivative and a difference can only be compared "
            "with an interval. The relative differences leave such entries out.",
        ),
        notes(report.remarks),
    ]


def _repetition(facts: Mapping[str, Any]) -> list[Any]:
    # Where the line breaks: between options, or after the commas of a call.
    repeat = command(facts["settings"]) or facts["repeat"].split(" ")
    pieces = [element("span", piece) for piece in repeat if piece]
    way = (
        element("pre", element("code", Html(" ".join(pieces))))
        if pieces
        else element("p", "The check was made from Python, with these settings and versions.")
    )
    seconds = [[name.replace("_", " "), number(s, ".3g")] for name, s in facts["seconds"].items()]
    return [
        way,
        element(
            "div",
            _plain("Settings", facts["settings"]),
            _plain("Versions", facts["versions"]),
            table(["way", "seconds"], seconds, caption="Time taken") if seconds else None,
            class_="columns",
        ),
    ]


def _plain(caption: str, values: Mapping[str, Any]) -> Html | None:
    rows = [[name.replace("_", " "), _listed(value, ", ")] for name, value in values.items()]
    return table(["name", "value"], rows, caption=caption) if rows else None


def _one_or_each(values: Sequence[Any]) -> str:
    return _listed(values[:1] if len(set(values)) == 1 else values)


def _listed(value: Any, separator: str = ",") -> str:
    if isinstance(value, (list, tuple)):
        return separator.join(map(str, value))
    return str(value)
