"""The documents beside the code: they name files that exist, and every file has its line."""

from __future__ import annotations

import ast
import doctest
import re
import subprocess
import sys
from pathlib import Path

import pages
import pytest

import backproof

ROOT = Path(__file__).parents[1]
PACKAGES = ("manual", "autodiff", "verify", "backproof")
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


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
def test_the_python_in_a_document_runs_from_top_to_bottom(document):
    """Each page in a process of its own, as a reader would paste it."""
    text = document.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)
    if blocks:
        run = subprocess.run(
            [sys.executable, "-c", "\n".join(blocks)], cwd=ROOT, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("document", list(pages.documents()), ids=lambda path: path.name)
def test_a_document_shows_what_the_programs_print_now(document):
    text, now = document.read_text(encoding="utf-8"), pages.written(document)
    assert pages.without_numbers(text) == pages.without_numbers(now)


@pytest.mark.parametrize("name", backproof.__all__)
def test_a_public_name_has_an_example_that_runs(name):
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(backproof, name), name, globs={})
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


def test_every_derivation_has_a_sign_in_the_code_that_it_explains():
    """Each page of `docs` is named in a module's docstring, so that a reader finds it."""
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    )
    for page in ("diagnosis", "differences", "every-weight", "mesh", "rounding", "speed"):
        assert f"docs/{page}.md" in sources, page
