"""What was found and what is expected, in the worst place of each gradient that is wrong.

And in which circumstances: the type and the seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from verify.report import Report, Tensor, Worst

PLACES = {
    "entry": "",
    "bend": ", where the function bends",
    "beside": ", at a point nearby",
    "direction": ", along a random direction",
    "ties": ", along tied entries together",
}
WITNESSES = {"finite_difference": "finite differences"}


def wrong_tensors(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors that are further from what is expected anywhere than their error bar."""
    return [tensor for tensor in tensors if tensor.worst is not None and tensor.worst.wrong]


def peer(report: Report) -> str:
    """Return what the witness is called that differentiates a function by a framework."""
    return str(report.settings.get("peer", "JAX"))


def failure(tensor: Tensor, peer: str = "JAX") -> tuple[str, str, str]:
    """Return where a gradient is furthest off, what was found, and what is expected by whom.

    `peer` is as in `peer(report)`.
    """
    worst = tensor.worst
    assert worst is not None
    number = _writer(worst)
    expected = (
        _interval(worst) if worst.place == "bend" else f"{number(worst.expected)} ± {worst.bar:.1e}"
    )
    under = f", for the cotangent {worst.cotangent}" if worst.cotangent else ""
    return (
        f"d{tensor.name}{'' if worst.index is None else tensor.entry(worst.index)}"
        f"{PLACES[worst.place]}",
        number(worst.found),
        f"{expected} by {WITNESSES.get(worst.witness, peer)}{under}",
    )


def circumstances(report: Report) -> str:
    """Return in which type, on what device, and by which seed, a check was made."""
    dtype, seed = report.settings.get("dtype"), report.settings.get("seed")
    if not dtype:
        return ""
    device, layouts = report.settings.get("device"), report.settings.get("layouts", {})
    where = f" on {device}" if device else ""
    of = "".join(f", {name} with {layout}" for name, layout in layouts.items())
    return f"Checked in {dtype}{where}{of}{'' if seed is None else f', with seed {seed}'}."


def _interval(worst: Worst) -> str:
    """Return between which slopes, to a hundredth of their distance."""
    decimals = 2 - math.floor(math.log10(2 * worst.bar))
    low, high = (round(worst.expected + sign * worst.bar, decimals) + 0.0 for sign in (-1, 1))
    return f"between {low:g} and {high:g}"


def _writer(worst: Worst) -> Callable[[float], str]:
    """Return how to write the numbers, with so many digits that their difference shows."""
    apart, size = abs(worst.found - worst.expected), max(abs(worst.found), abs(worst.expected))
    shows = math.isfinite(size) and 0 < apart < size and worst.place != "bend"
    digits = max(6, min(17, 2 + math.ceil(math.log10(size / apart)))) if shows else 6
    return lambda value: f"{value + 0.0:.{digits}g}"
