"""The notebooks as they are committed: executed, small, and free of debris.

That they run is for `pytest --nbmake notebooks`, which takes minutes.
"""

import json
import re
from pathlib import Path

import pages
import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
shared = pytest.importorskip("notebooks")

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
DEBRIS = re.compile(r"Warning|Traceback|it/s\]|%\|[█▏ ]|\x1b\[|/home/|/tmp/|/work/|<Figure size")


def read(path):
    return nbformat.read(path, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(notebook):
    for cell in code(notebook):
        for output in cell.outputs:
            yield output.get("text", "")
            data = output.get("data", {})
            yield from (data.get(kind, "") for kind in ("text/plain", "text/html"))


def test_there_are_seven_in_order():
    assert [path.stem for path in NOTEBOOKS] == [
        "1_backpropagation_by_hand",
        "2_initialisation",
        "3_regularisation",
        "4_gradient_checking",
        "5_gradient_bugs",
        "6_jit_speed",
        "7_any_backward_pass",
    ]


def test_a_printed_report_is_text_in_a_notebook_too():
    """rich would show it as HTML there, and leave the text empty."""
    source = "import backproof, numpy\nprint(backproof.compare(numpy.sum, numpy.ones_like, 0.3))"
    cell = nbformat.v4.new_code_cell(source)
    nbclient.NotebookClient(nbformat.v4.new_notebook(cells=[cell]), timeout=100).execute()
    (output,) = cell.outputs
    assert output.text.startswith("AGREE")


def times(row):
    return [*row["ms_per_step"].values(), row["roofline"]["bound_ms"]]


def test_every_time_in_the_notebook_on_speed_is_of_the_committed_run():
    run = json.loads(pages.RUN.read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in run["workloads"] if row["dtype"] == "float64"}
    printed = "\n".join(texts(read(FOLDER / "6_jit_speed.ipynb")))
    names = re.search(r"milliseconds a step (.*)", printed)[1].split()
    for way in ("course", "manual", "autodiff-eager", "autodiff-jit", "autodiff-loop"):
        shown = re.search(rf"^{way} (.*)$", printed, re.M)[1].split()
        assert shown == [f"{rows[name]['ms_per_step'][way]:.3g}" for name in names]
    known = {f"{ms:.{digits}g}" for row in rows.values() for ms in times(row) for digits in (2, 3)}
    assert not set(re.findall(r"([\d.]+) ms", printed)) - known
    exhaustive = run["exhaustive"]
    assert f"{exhaustive['warm_s']:.2g} s\n" in printed
    assert f"{exhaustive['black_box_s'] / 60:.0f} minutes" in printed


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_is_valid_and_smaller_than_a_megabyte_and_a_half(self, path):
        nbformat.validate(read(path))
        assert path.stat().st_size < 1_500_000

    def test_was_executed_top_to_bottom_without_an_error(self, path):
        cells = code(read(path))
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        kinds = {output.output_type for cell in cells for output in cell.outputs}
        assert "error" not in kinds

    def test_has_no_cell_over_25_lines_nor_line_over_100_characters(self, path):
        lines = [cell.source.splitlines() for cell in code(read(path))]
        assert max(map(len, lines)) <= 25
        assert max(len(line) for cell in lines for line in cell) <= 100

    def test_outputs_hold_no_warning_progress_bar_or_path(self, path):
        notebook = read(path)
        streams = {o.get("name") for cell in code(notebook) for o in cell.outputs}
        assert "stderr" not in streams
        assert not [found for text in texts(notebook) if (found := DEBRIS.search(text))]

    def test_asserts_its_headline_figures(self, path):
        assert sum(cell.source.count("assert ") for cell in code(read(path))) >= 4

    def test_imports_public_names_alone(self, path):
        source = "\n".join(cell.source for cell in code(read(path)))
        assert not re.search(r"\b(manual|autodiff|verify)(\.\w+)*\._\w", source)
        assert not re.search(r"from (manual|autodiff|verify)\S* import .*\b_\w", source)

    def test_shares_its_badges_its_installation_and_its_links(self, path):
        cells = {cell.id: cell.source for cell in read(path).cells}
        assert {id_: cells.get(id_) for id_ in shared.shared(path)} == shared.shared(path)

    def test_every_picture_says_what_it_shows_to_who_cannot_see_it(self, path):
        for cell in code(read(path)):
            pictures = [o for o in cell.outputs if "image/png" in o.get("data", {})]
            described = [o.metadata["image/png"]["alt"] for o in pictures]
            assert all(len(alt.split()) >= 8 for alt in described)
            assert described == [cell.metadata.get("alt")] * len(pictures)

    def test_can_be_read_in_a_quarter_of_an_hour(self, path):
        """At 200 words a minute for prose, and a line of code as eight words."""
        notebook = read(path)
        prose = sum(len(c.source.split()) for c in notebook.cells if c.cell_type == "markdown")
        lines = sum(len(cell.source.splitlines()) for cell in code(notebook))
        assert (prose + 8 * lines) / 200 <= 15
