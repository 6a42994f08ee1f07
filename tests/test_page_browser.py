"""The page in a real browser: it opens, fits, prints, logs no error and calls nobody."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

import manual
import verify
from verify.homework.judge import judge_file
from verify.homework.marks import Rubric
from verify.homework.read.excerpt import excerpt
from verify.show.page import class_index, files_page, own_page, page_names

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def browser():
    """Skip where there is no browser, or one that does not start: some systems have a stub."""
    if BROWSER is None or subprocess.run([BROWSER, "--version"], capture_output=True).returncode:
        pytest.skip("no Chromium that starts is installed")


FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-quic", "--disable-background-networking", "--disable-component-update",
    "--hide-scrollbars", "--enable-logging=stderr",
]  # fmt: skip

PROBE = """<script>
const report = {errors: [], closed: 0, opened: 0, width: 0, clipped: []};
addEventListener("error", event => report.errors.push(event.message));
addEventListener("load", () => {
  for (const box of document.querySelectorAll("details")) {
    if (!box.open) { report.closed += 1; box.querySelector("summary").click(); }
    const heading = box.querySelector("summary").getBoundingClientRect();
    if (box.getBoundingClientRect().height > heading.height + 40) report.opened += 1;
  }
  report.width = document.documentElement.scrollWidth;
  for (const text of document.querySelectorAll("svg text")) {
    const inner = text.getBoundingClientRect(), outer = text.closest("svg").getBoundingClientRect();
    if (inner.left < outer.left - 1 || inner.right > outer.right + 1 ||
        inner.bottom > outer.bottom + 1) report.clipped.push(text.textContent);
  }
  report.drawn = [...document.querySelectorAll("svg")].every(
    picture => picture.getBoundingClientRect().height > 40);
  document.title = JSON.stringify(report);
});
</script>"""
"""Added to the page under test, which has no script of its own."""


class Title(HTMLParser):
    """Reads the title, where the probe leaves what it saw."""

    def __init__(self, text):
        super().__init__()
        self.inside, self.text = False, ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "title"

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        self.text += data * self.inside


def planted():
    problem = verify.build_problem(
        verify.load("breast-cancer"), layers=(20, 7), examples=40, l2=0.7
    )
    _, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    grads = dict(grads) | {"W2": 2 * grads["W2"]}
    return verify.three_way(problem, grads=grads, finite_difference="directional").to_html()


def failing_homework():
    homework = Path(__file__).parent / "course"
    names = ("planar_derivative_of_z.ipynb", "planar.ipynb")
    return files_page([judge_file(homework / name, shown=name) for name in names])


@pytest.fixture(scope="module", params=[planted, failing_homework], ids=lambda make: make.__name__)
def html(request):
    return request.param()


def browse(html, folder, width, *more):
    """Load a page `width` pixels wide; return the DOM, the log, and the addresses it asked for.

    What the browser asks for on its own account has no origin.
    """
    file, log = folder / "page.html", folder / "network.json"
    file.write_text(html, encoding="utf-8")
    run = subprocess.run(
        [
            BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}",
            f"--window-size={width},900", *more, "--dump-dom", file.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    events = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    asked = [e["url"] for e in events if e.get("initiator", "not an origin") != "not an origin"]
    return run.stdout, run.stderr, [url for url in asked if not url.startswith(("file:", "data:"))]


@pytest.mark.parametrize("width", [1280, 500])
def test_page_opens_fits_and_calls_nobody(html, tmp_path, width):
    dom, log, addresses = browse(html.replace("</body>", f"{PROBE}</body>"), tmp_path, width)
    seen = json.loads(Title(dom).text)
    assert seen["errors"] == []
    assert "CONSOLE" not in log
    assert addresses == []
    assert seen["closed"] > 0
    assert seen["opened"] == html.count("<details")
    assert seen["width"] <= width
    assert seen["clipped"] == []
    assert seen["drawn"]


def test_request_would_be_noticed(tmp_path):
    _, _, addresses = browse('<img src="http://127.0.0.1:9/picture.png">', tmp_path, 500)
    assert addresses == ["http://127.0.0.1:9/picture.png"]


def test_page_fits_a_small_telephone(html, tmp_path):
    """A headless window is never narrower than 500 pixels, so a frame of 360 stands in for one."""
    inner = html.replace("</body>", f"{PROBE}</body>").replace(
        "document.title = JSON.stringify(report)", "parent.postMessage(JSON.stringify(report), '*')"
    )
    (tmp_path / "inner.html").write_text(inner, encoding="utf-8")
    frame = (
        "<!doctype html><title></title><script>addEventListener('message', event => "
        "document.title = event.data)</script>"
        '<iframe src="inner.html" style="width: 360px; height: 740px; border: 0"></iframe>'
    )
    dom, _, _ = browse(frame, tmp_path, 800, "--virtual-time-budget=5000")
    seen = json.loads(Title(dom).text)
    assert seen["width"] <= 360
    assert seen["clipped"] == []


@pytest.fixture(scope="module")
def class_pages():
    """The index of a class, and the pages of its files, by name."""
    homework = Path(__file__).parent / "course"
    files = ("planar_derivative_of_z.ipynb", "planar.ipynb", "deep_relu_mask_forgotten.py")
    reports = [judge_file(homework / file, shown=f"class/{file}") for file in files]
    names = page_names([report.path for report in reports])
    rubric = Rubric({"relu_backward": 2.0, "backward_propagation": 3.0})
    pages = {"index.html": class_index(reports, names, rubric)}
    for file, name, report in zip(files, names, reports, strict=True):
        lines = [excerpt(homework / file, each.cell, each.line) for each in report.diagnosis]
        pages[name] = own_page(report, lines, rubric)
    return pages


ROWS = """<script>
addEventListener("load", () => {
  CHOICE
  const rows = [...document.querySelectorAll(".row")].filter(row => row.offsetHeight > 0);
  rows.sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top);
  const right = Math.max(...[...document.querySelectorAll("body *")].map(
    each => each.getBoundingClientRect().right));
  const choices = [...document.querySelectorAll("label")].filter(each => each.offsetHeight > 0);
  parent.postMessage(JSON.stringify({right: right, choices: choices.length,
    rows: rows.map(row => row.firstChild.textContent)}), "*");
});
</script>"""


def rows_of(page, folder, width, choice=""):
    """Return what is furthest to the right in a frame of some width, and the rows from the top."""
    probe = ROWS.replace("CHOICE", f'document.getElementById("{choice}").click();' * bool(choice))
    (folder / "inner.html").write_text(page.replace("</body>", f"{probe}</body>"))
    frame = (
        "<!doctype html><title></title><script>addEventListener('message', event => "
        "document.title = event.data)</script>"
        f'<iframe src="inner.html" style="width: {width}px; height: 740px; border: 0"></iframe>'
    )
    dom, _, addresses = browse(frame, folder, 1400, "--virtual-time-budget=5000")
    assert addresses == []
    return json.loads(Title(dom).text)


@pytest.mark.parametrize("width", [360, 1280])
def test_no_column_of_a_class_is_out_of_view(class_pages, tmp_path, width):
    assert len(class_pages) == 4
    for page in class_pages.values():
        assert rows_of(page, tmp_path, width)["right"] <= width


@pytest.mark.parametrize(
    ("choice", "files"),
    [
        ("show-agree", ["planar.ipynb"]),
        ("order-verdict", ["planar_derivative_of_z.ipynb", "deep_relu_mask_forgotten.py",
                           "planar.ipynb"]),
        ("order-points", ["planar_derivative_of_z.ipynb", "deep_relu_mask_forgotten.py",
                          "planar.ipynb"]),
    ],
)  # fmt: skip
def test_files_of_a_class_are_chosen_and_ordered_without_a_script(
    class_pages, tmp_path, choice, files
):
    seen = rows_of(class_pages["index.html"], tmp_path, 1280, choice)
    assert seen["rows"] == [f"class/{file}" for file in files]


def test_an_index_is_printed_with_its_rows_and_without_its_choices(class_pages, tmp_path):
    index = class_pages["index.html"]
    on_paper = rows_of(index.replace("@media print", "@media all"), tmp_path, 1280)
    on_screen = rows_of(index, tmp_path, 1280)
    assert on_screen["choices"] == 6
    assert on_paper == on_screen | {"choices": 0, "right": on_paper["right"]}


def test_page_prints_with_every_detail_open(html, tmp_path):
    file, pdf = tmp_path / "page.html", tmp_path / "page.pdf"
    file.write_text(html, encoding="utf-8")
    subprocess.run(
        [
            BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--print-to-pdf={pdf}",
            file.as_uri(),
        ],
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))
    assert 1 < pages <= 8
