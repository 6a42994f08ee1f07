"""One report as a table, as text, as an HTML page and as a notebook's output."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from verify.report import PAIRS, Loss, Pair, Report, Resolution, Tensor
from verify.show.failures import circumstances, failure, peer, wrong_tensors
from verify.show.sentences import sentence

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

STYLES = {"agree": None, "disagree": "red", "undecided": "yellow"}
"""How the row of a tensor looks, by its verdict."""

WIDTH = 80
LISTED = 8
"""Tensors of which the worst entry is shown."""


def meaning(report: Report) -> str:
    """Return the conclusion as sentences."""
    return sentence(report.conclusion)


def remarks(report: Report) -> list[str]:
    """Return the notes as sentences."""
    return [sentence(note) for note in report.notes]


def page(report: Report) -> str:
    """Return one self-contained HTML page."""
    from verify.show.page import page

    return page(report)


def fragment(report: Report) -> str:
    """Return the HTML of a notebook's output."""
    from verify.show.page import fragment

    return fragment(report)


def text(report: Report) -> str:
    """Return the table as plain text, 80 columns wide."""
    from io import StringIO

    from rich.console import Console

    stream = StringIO()
    Console(file=stream, width=WIDTH, color_system=None, force_jupyter=False).print(report)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def table(report: Report) -> RenderableType:
    """Return the verdict, a row for each tensor, what is wrong, and the remarks, for rich."""
    from rich.console import Group
    from rich.text import Text

    style = {"agree": "bold green", "disagree": "bold red"}.get(report.verdict, "bold yellow")
    parts: list[RenderableType] = [
        Text.assemble((report.verdict.upper(), style), " ", report.meaning)
    ]
    if report.loss is not None:
        parts.append(Text(_loss_line(report.loss, report.course_difference)))
    if report.tensors:
        parts.append(_table(report.tensors, peer(report)))
    wrong = wrong_tensors(report.tensors)
    parts += [
        Text("{}: found {}, expected {}".format(*failure(each, peer(report))))
        for each in wrong[:LISTED]
    ]
    if len(wrong) > LISTED:
        parts.append(Text(f"And {len(wrong) - LISTED} more."))
    parts += [
        Text.assemble((f"{finding.tensor}: ", "bold"), finding.detail)
        for finding in report.diagnosis
    ]
    if not report.ok:
        parts += [Text(line) for line in _repetition(report)]
    parts += [Text(f"Note: {remark}", style="dim") for remark in report.remarks]
    return Group(*parts)


def _repetition(report: Report) -> Iterator[str]:
    """Return in which circumstances the check was made, and what makes it again."""
    from verify.show.page.report import command

    if checked := circumstances(report):
        yield checked
    if line := " ".join(command(report.settings)) or report.repeat:
        yield f"To repeat it: {line}"


def _loss_line(loss: Loss, difference: float | None) -> str:
    word = "agree" if loss.agree else "differ"
    both = (
        f"manual {loss.manual:.12g}, JAX {loss.autodiff:.12g}: {word}"
        if loss.autodiff is not None
        else ""
    )
    course = "" if difference is None else f"; gradient_check {difference:.1e}"
    return f"loss {both or format(loss.manual, '.12g')}{course}"


def _table(tensors: Sequence[Tensor], peer: str) -> Table:
    from rich.table import Table

    name = peer.removeprefix("the ")[:3]
    heads = (f"hand\nvs {name}", "hand\nvs diff", f"{name}\nvs diff")
    titles = dict(zip(PAIRS, heads, strict=True))
    shown = [pair for pair in PAIRS if any(pair in tensor.pairs for tensor in tensors)]
    sampled = any(tensor.entries_checked < math.prod(tensor.shape) for tensor in tensors)
    bent = any(tensor.kinks for tensor in tensors)
    gap = 2 if len(shown) == 1 else 1
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    table.add_column("\ngradient", overflow="fold")
    table.add_column("\nshape")
    if sampled:
        table.add_column("\nchecked", justify="right")
    if bent:
        table.add_column("\nkinks", justify="right")
    table.add_column("sees\nfrom", justify="right", no_wrap=True)
    for pair in shown:
        table.add_column(titles[pair], justify="right", no_wrap=True)
    table.add_column("most\nin bars", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for tensor in tensors:
        table.add_row(
            f"d{tensor.name}",
            tensor.size,
            *([_checked(tensor)] if sampled else []),
            *([str(tensor.kinks)] if bent else []),
            "" if tensor.verdict == "disagree" else _sees(tensor.resolution),
            *(_relative(tensor.pairs.get(pair)) for pair in shown),
            f"{max(pair.bar_ratio for pair in tensor.pairs.values()):.2g}",
            tensor.verdict,
            style=STYLES[tensor.verdict],
        )
    return table


def _sees(resolution: Resolution) -> str:
    """Return from what size on an error of one entry would have shown."""
    if resolution.zero == "always":
        return "any"
    return f"{resolution.entry:.0e}" if math.isfinite(resolution.entry) else "none"


def _checked(tensor: Tensor) -> str:
    """Return how many entries were differenced, and along how many directions."""
    count = math.prod(tensor.shape)
    if tensor.entries_checked == count:
        return "all"
    entries = f"{tensor.entries_checked} of {count}"
    if not tensor.directions_checked:
        return entries
    lines = f"{tensor.directions_checked} lines"
    return f"{entries}\n+ {lines}" if tensor.entries_checked else lines


def _relative(pair: Pair | None) -> str:
    return "" if pair is None else f"{pair.relative:.1e}" if pair.relative else "0"
