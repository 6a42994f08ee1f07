"""Write the committed run of `backproof speed` into the README and docs/speed.md.

    python -m tests.speed_pages

`tests/test_speed.py` asks that this would change nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from verify.show import speed

ROOT = Path(__file__).parents[1]
RUN = ROOT / "tests/benchmarks/results/speed.json"
PAGES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "README.md": speed.summary,
    "docs/speed.md": speed.markdown,
}
START = "<!-- speed: written by tests/speed_pages.py -->\n"
END = "<!-- speed: end -->\n"


def written(page: str) -> str:
    """Return a page with the figures of the committed run in their place."""
    text = (ROOT / page).read_text(encoding="utf-8")
    result = json.loads(RUN.read_text(encoding="utf-8"))
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}{PAGES[page](result)}\n{END}{after}"


def main() -> None:
    for page in PAGES:
        (ROOT / page).write_text(written(page), encoding="utf-8")


if __name__ == "__main__":
    main()
