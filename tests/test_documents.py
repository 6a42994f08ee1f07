"""The documents beside the code: they name files that exist, and every file has its line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("manual", "autodiff", "verify", "backproof")
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def says_only_what_its_room_is(path: Path) -> bool:
    """Whether a file is an `__init__.py` of nothing but a docstring."""
    return path.name == "__init__.py" and len(ast.parse(path.read_text()).body) <= 1


def files() -> set[str]:
    """Return every file of the packages that has something in it."""
    return {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and path.name != "py.typed"
        and not says_only_what_its_room_is(path)
    }


def listed() -> list[str]:
    """Return every file that the architecture has a line for."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    room, found = "", []
    for line in text.partition("## Every file")[2].splitlines():
        if heading := re.match(r"### `([\w/]+/)`: \S", line):
            room = heading[1]
        elif item := re.match(r"- `([\w.]+)`: \S", line):
            found.append(room + item[1])
    return found


def test_the_architecture_has_one_line_for_every_file_and_none_for_others():
    assert len(listed()) == len(set(listed()))
    assert set(listed()) == files()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_points_to_exists(document):
    text = document.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    for link in links:
        assert (document.parent / link).exists(), link
    tops = "manual|autodiff|verify|backproof|tests|docs|notebooks|\\.ci"
    for path in re.findall(rf"`((?:{tops})/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_python_in_a_document_parses(document):
    for block in re.findall(r"```python\n(.*?)```", document.read_text(encoding="utf-8"), re.S):
        ast.parse(block)


def test_every_derivation_has_a_sign_in_the_code_that_it_explains():
    """Each page of `docs` is named in a module's docstring, so that a reader finds it."""
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    )
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "architecture.md" or f"docs/{page.name}" in sources, page
