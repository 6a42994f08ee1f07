"""One report as a table, as text, as an HTML page and as a notebook's output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from verify.report import PAIRS, Pair, Report, Resolution, Tensor
from verify.show.sentences import sentence

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

STYLES = {"agree": None, "disagree": "red", "undecided": "yellow"}
"""How the row of a tensor looks, by its verdict."""


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
    """Return the table as plain text, 100 columns wide."""
    from io import StringIO

    from rich.console import Console

    stream = StringIO()
    Console(file=stream, width=100, color_system=None).print(report)
    return stream.getvalue().rstrip()


def table(report: Report) -> RenderableType:
    """Return the verdict, a row for each tensor, the findings and the remarks, for rich."""
    from rich.console import Group
    from rich.text import Text

    style = {"agree": "bold green", "disagree": "bold red"}.get(report.verdict, "bold yellow")
    parts: list[RenderableType] = [
        Text.assemble((report.verdict.upper(), style), " ", report.meaning),
        Text(_loss_line(report)),
        _table(report.tensors),
    ]
    parts += [
        Text.assemble((f"{finding.tensor}: ", "bold"), finding.detail)
        for finding in report.diagnosis
    ]
    parts += [Text(f"Note: {remark}", style="dim") for remark in report.remarks]
    return Group(*parts)


def _loss_line(report: Report) -> str:
    loss = report.loss
    if loss.autodiff is None:
        return f"loss {loss.manual:.12g}"
    word = "agree" if loss.agree else "differ"
    return f"loss manual {loss.manual:.12g}, JAX {loss.autodiff:.12g}: {word}"


def _table(tensors: Sequence[Tensor]) -> Table:
    from rich.table import Table

    titles = {PAIRS[0]: "hand vs JAX", PAIRS[1]: "hand vs diff.", PAIRS[2]: "JAX vs diff."}
    shown = [pair for pair in PAIRS if any(pair in tensor.pairs for tensor in tensors)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("gradient")
    table.add_column("shape")
    table.add_column("checked", justify="right", no_wrap=True)
    table.add_column("kinks", justify="right")
    table.add_column("sees from", justify="right", no_wrap=True)
    for pair in shown:
        table.add_column(f"{titles[pair]}\nrelative in bars", justify="right", no_wrap=True)
    table.add_column("" if all(t.agree for t in tensors) else "worst at", no_wrap=True)
    for tensor in sorted(tensors, key=lambda tensor: -_badness(tensor)):
        cells = [_cell(tensor.pairs.get(pair)) for pair in shown]
        verdict = tensor.verdict if tensor.agree else _worst_entry(tensor)
        table.add_row(
            f"d{tensor.name}",
            "×".join(map(str, tensor.shape)) or "scalar",
            _checked(tensor),
            str(tensor.kinks),
            _sees(tensor.resolution),
            *cells,
            verdict,
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
    entries = f"{tensor.entries_checked} of {math.prod(tensor.shape)}"
    if not tensor.directions_checked:
        return entries
    lines = f"{tensor.directions_checked} lines"
    return f"{entries}\n+ {lines}" if tensor.entries_checked else lines


def _cell(pair: Pair | None) -> str:
    return "" if pair is None else f"{pair.relative:.1e} {pair.bar_ratio:7.2g}"


def _worst_entry(tensor: Tensor) -> str:
    pair = max(tensor.pairs.values(), key=lambda pair: _nan_last(pair.bar_ratio))
    if pair.worst is None or not tensor.shape:
        return "differ"
    where = ", ".join(str(i) for i in np.unravel_index(pair.worst, tensor.shape))
    return f"[{where}]"


def _badness(tensor: Tensor) -> float:
    """Order disagreeing tensors first, the worst of them on top; the others stay in place."""
    return 0.0 if tensor.agree else max(_nan_last(p.bar_ratio) for p in tensor.pairs.values())


def _nan_last(ratio: float) -> float:
    return math.inf if math.isnan(ratio) else ratio
