"""What `docs/gpu.md` shows of a run of `python -m tests.device`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

RUN = Path(__file__).parent / "results" / "h200.json"
KERNELS = Path(__file__).parent / "results" / "kernels.json"


def tables() -> str:
    """Return the checks and the steps of the committed run as Markdown."""
    result = json.loads(RUN.read_text(encoding="utf-8"))
    return "\n".join([_machine(result), "", *_checks(result), "", *_steps(result)])


def kernels() -> str:
    """Return the verdicts on kernels of PyTorch of the committed run as Markdown."""
    result = json.loads(KERNELS.read_text(encoding="utf-8"))
    counts = Counter(
        (row["precision"], bool(row["mistake"]), row["verdict"]) for row in result["rows"]
    )
    verdicts = ("agree", "disagree", "undecided")
    head = [f"right, {v}" for v in verdicts] + [f"wrong, {v}" for v in verdicts]
    rows = [f"| {result['device']}, torch {result['torch']} | {' | '.join(head)} |"]
    rows.append(f"|---|{'---:|' * len(head)}")
    for precision in dict.fromkeys(row["precision"] for row in result["rows"]):
        cells = (str(counts[precision, m, v]) for m in (False, True) for v in verdicts)
        rows.append(f"| {precision} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _machine(result: dict[str, Any]) -> str:
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    megabytes = result["peak_bytes_on_device"] / 1e6
    return (
        f"On {machine['device']} with {versions}: {sum(c['holds'] for c in result['checks'])} of "
        f"{len(result['checks'])} checks hold. At most {megabytes:.0f} MB of the device were used "
        "at a time."
    )


def _checks(result: dict[str, Any]) -> list[str]:
    networks = [check for check in result["checks"] if "weights" in check]
    rows = ["| three ways | weights | verdict | most in bars |", "|---|---:|---|---:|"]
    for check in networks:
        name = check["name"].partition(": ")[2]
        cells = (name, f"{check['weights']:,}", check["verdict"], f"{check['most_in_bars']:.2g}")
        rows.append(f"| {' | '.join(cells)} |")
    (products,) = (check for check in result["checks"] if "error_of_jax_at" in check)
    at = products["error_of_jax_at"]
    return [
        *rows,
        "",
        "| products of float32, wide network | largest error of a gradient |",
        "|---|---:|",
        f"| `autodiff` | {products['error']:.1g} |",
        *(f"| JAX by itself, {name} | {error:.1g} |" for name, error in at.items()),
    ]


def _steps(result: dict[str, Any]) -> list[str]:
    names = list(dict.fromkeys(name for row in result["steps"] for name in row["ms_per_step"]))
    rows = [f"| milliseconds a step | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for row in result["steps"]:
        cells = (f"{t:.2g}" if (t := row["ms_per_step"].get(name)) else "" for name in names)
        rows.append(f"| {row['name']} {row['dtype']} | {' | '.join(cells)} |")
    return rows
