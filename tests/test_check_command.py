"""`backproof check`: what it finds, how it shows it, and how it ends."""

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from verify import cli
from verify.cli import check
from verify.findings import Finding
from verify.homework.report import FileReport, FunctionVerdict
from verify.show import files

COURSE = Path(__file__).parent / "course"

OWN = """
import numpy as np

def params():
    rng = np.random.default_rng(0)
    return {"W": rng.normal(size=(3, 4)), "layers": [rng.normal(size=2), 0.5]}

def loss(p):
    X = np.arange(8.0).reshape(4, 2) / 8
    return np.sum(np.tanh(p["W"] @ X) * p["layers"][0]) * p["layers"][1]

def grads(p):
    X = np.arange(8.0).reshape(4, 2) / 8
    T = np.tanh(p["W"] @ X)
    a, c = p["layers"]
    return {"W": c * (1 - T**2) * a @ X.T, "layers": [c * T.sum(axis=0), np.sum(T * a)]}

def wrong(p):
    g = grads(p)
    return {"W": 3 * g["W"], "layers": g["layers"]}

trained = open("weights.npz")
"""

RELU = """
def relu(z):
    return np.maximum(0, z)

def relu_backward(dA, z):
    return dA * (z < 0)
"""

AGREES = FileReport("a.py", "agree", functions=(FunctionVerdict("propagate", "agree"),))
DOUBLED = Finding(
    "weights-doubled",
    "dW2",
    2,
    "{dW} is doubled.",
    "2 * a",
    "a",
    values={"dW": "dW2"},
    function="backward",
    line=3,
    source="dW2 = 2 * a",
)
WRONG = FileReport(
    "b<&>.ipynb",
    "disagree",
    "",
    (FunctionVerdict("sigmoid", "agree"), FunctionVerdict("backward", "disagree")),
    (DOUBLED,),
    ("A remark, with a control character \x1b.",),
)
REPORTS = [
    AGREES,
    WRONG,
    FileReport("c.py", "timeout", "Timed out after 30 s in f."),
    FileReport("d.py", "unreadable", "It is Python 2."),
    FileReport(
        "e.py", "nothing-to-check", "Nothing to check: none.", hint="What is looked for: 1."
    ),
]


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        cli.main(["check", *map(str, arguments)])
    out, err = capsys.readouterr()
    return end.value.code, out, err


def refused(capsys, *arguments):
    status, out, err = run(capsys, *arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    return err


def test_one_wrong_file_is_shown_in_full_and_ends_with_1(capsys):
    status, out, err = run(capsys, COURSE / "planar_no_keepdims.ipynb")
    assert status == 1
    assert out.startswith("DISAGREE ")
    assert "keepdims=True is missing" in out
    assert "db1 = 1/m * np.sum(dZ1, axis=1)" in out
    assert "cell 4, line 16" in out
    assert err == ""


def test_json_has_the_line_of_a_mistake_as_numbers_and_what_is_known_as_data(capsys):
    status, out, _ = run(capsys, COURSE / "planar_no_keepdims.ipynb", "--format", "json")
    found = json.loads(out)
    assert (status, found["schema"]) == (1, 2)
    [finding] = found["files"][0]["diagnosis"]
    assert (finding["cell"], finding["line"]) == (4, 16)
    assert finding["source"] == "db1 = 1/m * np.sum(dZ1, axis=1)"
    assert (finding["kind"], finding["bug"]) == ("shape", "bias-keepdims-missing")
    assert (finding["function"], finding["role"]) == ("backward_propagation", "backward")


def test_a_folder_is_a_row_a_file_and_json_has_what_the_table_has(capsys, tmp_path):
    for name in ("propagate_tuple.py", "plots.py", "planar_blank.ipynb"):
        (tmp_path / name).write_text((COURSE / name).read_text())
    hidden = tmp_path / ".ipynb_checkpoints"
    hidden.mkdir()
    (hidden / "planar_blank-checkpoint.ipynb").write_text("{")
    target = tmp_path / "result.json"
    status, out, _ = run(capsys, tmp_path, "--format", "json", "--output-file", target)
    assert (status, out) == (2, "")
    found = json.loads(target.read_text())
    by_name = {Path(file["path"]).name: file for file in found["files"]}
    assert {name: file["verdict"] for name, file in by_name.items()} == {
        "planar_blank.ipynb": "unreadable",
        "plots.py": "nothing-to-check",
        "propagate_tuple.py": "agree",
    }
    [row] = by_name["propagate_tuple.py"]["functions"]
    assert (row["name"], row["kind"], row["verdict"]) == ("propagate", "backward", "agree")
    assert (row["cell"], row["line"], row["message"]) == (None, 5, "")
    assert "cell 4, line 13" in by_name["planar_blank.ipynb"]["message"]
    assert "compute a gradient" in by_name["plots.py"]["message"]
    assert found["summary"]["agree"] == 1


@pytest.mark.parametrize(("grads", "status"), [("grads", 0), ("wrong", 1)])
def test_ones_own_architecture_is_checked_by_the_names_of_its_functions(
    capsys, tmp_path, grads, status
):
    path = tmp_path / "my.py"
    path.write_text(OWN)
    names = ("--loss", "loss", "--grads", grads, "--params", "params")
    code, out, _ = run(capsys, path, *names, "--format", "json")
    assert code == status
    [file] = json.loads(out)["files"]
    assert file["remarks"] == []
    if status:
        assert file["message"] == "wrong: The gradient of W is exactly 3 times the true gradient."
        [fault] = file["diagnosis"]
        assert (fault["function"], fault["tensor"]) == ("wrong", "W")


SINGLE = """
import numpy as np
def data(): return np.random.RandomState(1).randn(4, 5).astype(np.float32)
def params(): return np.random.RandomState(0).randn(3, 4)
def loss(W): return np.mean(np.tanh(W.astype(np.float32) @ data()) ** 2) + np.float32(30)
def right(W):
    A = np.tanh(W.astype(np.float32) @ data())
    return 2 * A * (1 - A * A) / A.size @ data().T
def wrong(W): return 1.1 * right(W)
"""


@pytest.mark.parametrize(("grads", "status"), [("right", 0), ("wrong", 1)])
def test_an_error_of_a_tenth_shows_where_single_precision_makes_the_bars_wide(
    capsys, tmp_path, grads, status
):
    path = tmp_path / "my.py"
    path.write_text(SINGLE)
    code, _, _ = run(capsys, path, "--loss", "loss", "--grads", grads, "--params", "params")
    assert code == status


def test_a_loss_that_draws_without_a_seed_is_undecided_in_one_sentence(capsys, tmp_path):
    path = tmp_path / "my.py"
    path.write_text(
        "import numpy as np\n"
        "def params(): return np.ones((3, 4))\n"
        "def loss(p): return np.sum(p ** 2 * (np.random.rand(3, 4) < 0.5))\n"
        "def grads(p): return 2 * p * (np.random.rand(3, 4) < 0.5)\n"
    )
    names = ("--loss", "loss", "--grads", "grads", "--params", "params")
    status, out, _ = run(capsys, path, *names, "--format", "json")
    [file] = json.loads(out)["files"]
    assert (status, file["verdict"]) == (1, "undecided")
    assert file["message"].startswith("loss draws random numbers: called twice on the same")
    assert file["remarks"] == []


def test_ones_own_loss_may_be_written_in_jax(capsys, tmp_path):
    path = tmp_path / "my.py"
    path.write_text(
        "import jax.numpy as jnp, numpy as np\n"
        "def params(): return np.arange(3.0)\n"
        "def loss(p): return jnp.sum(jnp.tanh(p) ** 2)\n"
        "def grads(p): return 2 * np.tanh(p) * (1 - np.tanh(p) ** 2)\n"
    )
    names = ("--loss", "loss", "--grads", "grads", "--params", "params")
    status, out, _ = run(capsys, path, *names, "--format", "json")
    assert status == 0
    assert json.loads(out)["files"][0]["remarks"] == []


def test_what_is_wrong_with_the_arguments_is_one_sentence(capsys, tmp_path):
    assert "got a path that does not exist" in refused(capsys, tmp_path / "gone.py")
    assert "without any .py or .ipynb" in refused(capsys, tmp_path)
    other = tmp_path / "data.csv"
    other.write_text("")
    assert "expected .py or .ipynb" in refused(capsys, other)
    here = COURSE / "empty.py"
    assert "timeout: got 0" in refused(capsys, here, "--timeout", "0")
    assert "jobs: got 0" in refused(capsys, here, "--jobs", "0")
    assert "format: got 'yaml'" in refused(capsys, here, "--format", "yaml")
    assert "grads: got none" in refused(capsys, here, "--loss", "f")
    assert "expected a file in a folder that exists" in refused(
        capsys, here, "--output-file", tmp_path / "a/b"
    )


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [("agree", 0), ("agree disagree", 1), ("undecided", 1), ("timeout agree", 1),
     ("crashed", 1), ("disagree unreadable", 1), ("agree nothing-to-check", 2)],
)  # fmt: skip
def test_the_status_is_1_if_anything_is_wrong_and_2_if_anything_was_not_judged(verdicts, status):
    reports = [FileReport("x", verdict, "") for verdict in verdicts.split()]
    assert files.status(reports) == status


def test_csv_has_a_row_a_file():
    rows = list(csv.DictReader(io.StringIO(files.to_csv(REPORTS))))
    assert [row["verdict"] for row in rows] == [report.verdict for report in REPORTS]
    assert rows[1]["path"] == "b<&>.ipynb"
    assert rows[1]["fence"] == "none"
    assert rows[1]["diagnosis"] == "backward: dW2 is doubled. (line 3: dW2 = 2 * a)"
    assert rows[1]["functions"] == "sigmoid: agree\nbackward: disagree"


def test_no_cell_of_csv_is_computed_by_a_spreadsheet():
    report = FileReport("=cmd|' /C calc'!A0", "unreadable", "@SUM(1)", remarks=("-1", "+2"))
    [row] = csv.DictReader(io.StringIO(files.to_csv([report])))
    assert row["path"] == "'=cmd|' /C calc'!A0"
    assert row["message"] == "'@SUM(1)"
    assert row["remarks"] == "'-1\n+2"


def test_junit_has_a_case_a_file_and_is_xml():
    suite = ElementTree.fromstring(files.to_junit(REPORTS))[0]
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "5", "failures": "1", "errors": "2", "skipped": "1"}
    kinds = [case[0].tag if len(case) else None for case in suite.findall("testcase")]
    assert kinds == [None, "failure", "error", "error", "skipped"]
    assert suite[1].get("name") == "b<&>.ipynb"
    assert suite.findtext("system-out") == "fence: none"


def test_the_summary_table_counts_and_says_what_is_wrong():
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=120).print(files.table(REPORTS))
    text = stream.getvalue()
    assert "5 files: 1 agree, 1 disagree, 1 timeout, 1 unreadable, 1 nothing-to-check" in text
    assert "backward: dW2 is doubled." in text
    assert "What is looked for" not in text


def test_help_says_the_contract_and_what_is_promised_with_and_without_a_fence(capsys):
    status, out, _ = run(capsys, "--help")
    text = " ".join(out.split())
    assert status == 0
    assert "Where there is no fence the report says so, and only accidents are contained." in text
    assert "--loss my_loss --grads my_grads --params my_params" in text


def test_a_link_out_of_a_folder_is_left_out_and_said_to_be(tmp_path, capsys):
    (tmp_path / "solution.py").write_text("def relu(Z): return Z")
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "mine.py").symlink_to(tmp_path / "solution.py")
    (tmp_path / "class" / "own.py").write_text("")
    (tmp_path / "class" / "again.py").symlink_to("own.py")
    found = check.find([tmp_path / "class"])
    assert [path.name for path in found] == ["again.py", "own.py"]
    _, errors = capsys.readouterr()
    assert errors == f"{tmp_path / 'class' / 'mine.py'}: left out, a link out of its folder\n"


RUBRIC = "[points]\nlinear_backward = 3\nrelu_backward = 1\n[mistakes]\nbias-not-averaged = 0.5\n"
HOMEWORK = Path(__file__).parents[1] / "docs" / "examples" / "homework.py"


def test_points_are_in_every_format_that_shows_a_file(capsys, tmp_path):
    rubric = tmp_path / "rubric.toml"
    rubric.write_text(RUBRIC)
    shown = {
        name: run(capsys, HOMEWORK, "--points", rubric, "--format", name)[1]
        for name in ("table", "json", "csv", "html", "gradescope", "prairielearn")
    }
    assert "2.5 of 4 points" in shown["table"]
    assert "1.5 of 3  linear_backward: disagree. db is not divided by m" in " ".join(
        shown["table"].split()
    ).replace("1.5 of 3 ", "1.5 of 3  ")
    (file,) = json.loads(shown["json"])["files"]
    assert (file["points"], file["most_points"]) == (2.5, 4)
    assert [mark["points"] for mark in file["marks"]] == [1.5, 1]
    head, row = csv.reader(shown["csv"].splitlines())
    assert dict(zip(head, row, strict=True))["linear_backward"] == "1.5"
    assert "<caption>Points</caption>" in shown["html"]
    assert json.loads(shown["gradescope"])["score"] == 2.5
    assert json.loads(shown["prairielearn"])["score"] == 2.5 / 4


def test_a_class_has_an_index_and_a_page_for_each_file_of_nobody_else(capsys, tmp_path):
    for student in ("ann", "bob"):
        (tmp_path / "in" / student).mkdir(parents=True)
        text = OWN.replace("def wrong", f"def {student}s_wrong")
        (tmp_path / "in" / student / "hw.py").write_text(text + RELU)
    csv_file = tmp_path / "class.csv"
    run(capsys, tmp_path / "in", "--format", "csv", "--output-file", csv_file, "--output-dir",
        tmp_path / "pages")  # fmt: skip
    assert len(csv_file.read_text().splitlines()) > 2
    pages = tmp_path / "pages"
    assert sorted(page.name for page in pages.iterdir()) == [
        "ann-hw.py.html", "bob-hw.py.html", "index.html"
    ]  # fmt: skip
    index, ann, bob = (pages / f"{n}.html" for n in ("index", "ann-hw.py", "bob-hw.py"))
    assert "ann-hw.py.html" in index.read_text()
    for own, other in ((ann, "bob"), (bob, "ann")):
        assert other not in own.read_text().replace(str(tmp_path), "")
        assert "relu_backward" in own.read_text()
    file = tmp_path / "file"
    file.touch()
    refused(capsys, tmp_path / "in", "--output-dir", file / "pages")


def test_a_mistake_is_shown_on_its_line_by_github_and_sarif(capsys):
    _, out, _ = run(capsys, HOMEWORK, "--format", "github")
    assert out.startswith(f"::error file={HOMEWORK},line=14,title=linear_backward::db is not")
    _, out, _ = run(capsys, HOMEWORK, "--format", "sarif")
    (result,) = json.loads(out)["runs"][0]["results"]
    assert result["ruleId"] == "bias-not-averaged"


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ("conv_backward=3", "points: got conv_backward, which no file has, expected some of "),
        ("linear_backward", "points: got 'linear_backward', expected a function and its points"),
        ("none.toml", "rubric: got none.toml, which cannot be read"),
    ],
)
def test_points_for_nothing_are_refused_in_one_sentence(capsys, points, says):
    status, out, err = run(capsys, HOMEWORK, "--points", points)
    assert (status, out) == (2, "")
    assert says in err


@pytest.mark.parametrize(
    "address", ["here", "tcp://10.0.0.1", "10.0.0.1:port", "tcp://:8786", "tcp:// 10.0.0.1:8786"]
)
def test_a_scheduler_without_a_host_or_a_port_is_refused_at_once(address):
    with pytest.raises(ValueError, match=r"^scheduler: got .*, expected local or an address as"):
        check.cluster_of(address, None, (None, None, None))


@pytest.mark.parametrize(
    "address", ["local", "tcp://10.0.0.1:8786", "tls://[::1]:8786", "class-server:8786"]
)
def test_an_address_of_a_scheduler_is_taken_as_it_is(address):
    assert check.cluster_of(address, None, (None, None, None)).scheduler == address
