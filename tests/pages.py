"""Write what programs print into the documents that show it.

    python -m tests.pages

Between `<!-- written: WHAT -->` and `<!-- end -->` a document holds what WHAT gives: the output of
a command that begins with `$`, or the figures of the committed runs of `backproof speed`, of
`python -m tests.device` and of `python -m tests.mesh_cost`.
`tests/test_documents.py` asks that writing would change nothing but numbers.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import mesh_cost
from device import page as device_page

from verify.show import speed

ROOT = Path(__file__).parents[1]
RUN = ROOT / "tests/benchmarks/results/speed.json"
BLOCK = re.compile(r"(<!-- written: (.*?) -->\n)(.*?)(<!-- end -->\n)", re.S)
COLUMNS = "88"
PLAIN = {"COLUMNS": COLUMNS, "NO_COLOR": "1", "PYTHONWARNINGS": "ignore", "PYTEST_ADDOPTS": ""}
SERVICE = ("CI", "BUILD_NUMBER")
"""By these pytest knows that nobody reads its screen, and cuts no line short."""


def figures(make: Callable[[dict], str]) -> str:
    """Return what a function makes of the committed run of `backproof speed`."""
    return make(json.loads(RUN.read_text(encoding="utf-8"))) + "\n"


def output(command: str) -> str:
    """Return a command as it is typed, and what it prints."""
    program, *arguments = shlex.split(command)
    modules = {"backproof": "backproof", "pytest": "pytest"}
    environment = {name: value for name, value in os.environ.items() if name not in SERVICE}
    run = subprocess.run(
        [sys.executable, "-m", modules[program], *arguments],
        cwd=ROOT, env=environment | PLAIN, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    shown = "\n".join(line.rstrip() for line in run.stdout.strip("\n").splitlines())
    shown = re.sub(r" in \d+\.\d+s\b", "", shown)  # pytest says how long it took
    shown = re.sub(r"\n+fence: .*", "", shown)  # check says what fence this machine has
    return f"```console\n$ {command}\n{shown}\n```\n"


def content(what: str) -> str:
    """Return what stands in the block of this name."""
    if what.startswith("$ "):
        return output(what[2:])
    if what == "gpu":
        return device_page.tables() + "\n"
    if what == "gpu kernels":
        return device_page.kernels() + "\n"
    if what == "mesh costs":
        return mesh_cost.tables() + "\n"
    return figures({"speed summary": speed.summary, "speed tables": speed.markdown}[what])


def documents() -> Iterator[Path]:
    """Yield every document that has such a block."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        if BLOCK.search(path.read_text(encoding="utf-8")):
            yield path


def written(path: Path) -> str:
    """Return a document with all its blocks as they should be."""
    return BLOCK.sub(
        lambda block: block[1] + content(block[2]) + block[4], path.read_text(encoding="utf-8")
    )


def without_numbers(text: str) -> str:
    """Return a text with every number alike: last digits differ from machine to machine."""
    return re.sub(r"\s+", " ", re.sub(r"\d[\d.,]*(?:e[+-]?\d+)?", "0", text))


def main() -> None:
    for path in documents():
        path.write_text(written(path), encoding="utf-8")


if __name__ == "__main__":
    main()
