"""Execute the notebooks, and write into them what all of them share.

    python -m tests.notebooks                     all of them
    python -m tests.notebooks notebooks/1_*.ipynb

All share the badges at the top, the cell that installs the package where it is not, and the
links at the end. They are written here; the address of the repository is that of
`pyproject.toml`. What a picture shows, for those who cannot see it, stands as `alt` in the
metadata of its cell and is copied to the picture. What else an execution leaves behind is
dropped, so that running a notebook again changes only what it prints.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
BADGES, INSTALL, LINKS = "badges", "install", "links"
"""Ids of the cells that are written here."""
WIDGET = "application/vnd.jupyter.widget-view+json"


def repository() -> str:
    """Return the address of the repository, OWNER/NAME on GitHub, from its one place."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"].removeprefix("https://github.com/")


def title(path: Path) -> str:
    """Return a notebook's number and heading."""
    cells = nbformat.read(path, as_version=4).cells
    heading = next(c.source for c in cells if c.source.startswith("# ")).splitlines()[0]
    return f"{path.stem.partition('_')[0]}. {heading.removeprefix('# ')}"


def badges(path: Path) -> str:
    """Return the badges that open a notebook in Colab and in Binder."""
    where, place = repository(), f"notebooks/{path.name}"
    colab = f"https://colab.research.google.com/github/{where}/blob/main/{place}"
    binder = f"https://mybinder.org/v2/gh/{where}/HEAD?labpath={place}"
    return (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"({colab})\n[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder})"
    )


def install() -> str:
    """Return the cell that installs the package where it is not, as in Colab."""
    return (
        "import importlib.util\n\n"
        'if importlib.util.find_spec("backproof") is None:  # as in Colab\n'
        f'    %pip install --quiet "backproof @ git+https://github.com/{repository()}"'
    )


def links(path: Path) -> str:
    """Return the links to the notebooks before and after this one."""
    paths = sorted(FOLDER.glob("*.ipynb"))
    place = paths.index(path)
    after = {"Next": paths[(place + 1) % len(paths)], "Before": paths[place - 1]}
    words = {"Next": "First" if place + 1 == len(paths) else "Next", "Before": "Before"}
    asked = [which for which in after if which == "Next" or place]
    return " · ".join(f"{words[w]}: [{title(after[w])}]({after[w].name})" for w in asked)


def shared(path: Path) -> dict[str, str]:
    """Return the source of every shared cell of a notebook, by its id."""
    return {BADGES: badges(path), INSTALL: install(), LINKS: links(path)}


def write(path: Path) -> None:
    """Write the shared cells, execute the notebook, and keep what it printed and drew."""
    notebook = nbformat.read(path, as_version=4)
    metadata = notebook.metadata.copy()
    metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.source = shared(path).get(cell.id, cell.source)
    folder = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=folder).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = tidied(cell.outputs, cell.metadata.get("alt", ""))
    notebook.metadata = metadata
    nbformat.write(notebook, path)


def tidied(outputs: list, alt: str) -> list:
    """Join the printed text, describe every picture, leave out widgets, dead without a kernel."""
    kept: list = []
    for output in outputs:
        if WIDGET in output.get("data", {}):
            continue
        if "image/png" in output.get("data", {}):
            output.data.pop("text/plain", None)
            output.metadata = {"image/png": {"alt": alt}}
        if kept and output.output_type == "stream" == kept[-1].output_type:
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


if __name__ == "__main__":
    for argument in sys.argv[1:] or sorted(FOLDER.glob("*.ipynb")):
        write(Path(argument).resolve())
