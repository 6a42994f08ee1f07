"""The HTML of a report: what it says, how it is built, and that nothing in it can act."""

import dataclasses
import itertools
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import manual
import verify
from verify.catalogue import CATALOGUE, Named
from verify.findings import Finding
from verify.homework.marks import Rubric
from verify.homework.read.excerpt import excerpt
from verify.homework.report import FileReport, FunctionVerdict, Gradient
from verify.report import Fact, Loss, Report
from verify.show.page import class_index, files_page, fragment, own_page, page, page_names

HOSTILE = "<script>alert(1)</script>.py"
VOID = {"input", "meta", "br"}


class Reader(HTMLParser):
    """Collects what the tests ask about, and checks that every element is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text, self.numbers = [], [], "", []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def planted(**settings):
    problem = verify.build_problem(verify.load("flower"), layers=(5,), examples=60, l2=0.5)
    _, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    report = verify.three_way(
        problem, grads=dict(grads) | {"W2": 2 * grads["W2"]}, finite_difference="sampled"
    )
    return dataclasses.replace(report, settings={**report.settings, **settings})


@pytest.fixture(scope="module")
def report():
    from_command = {"data": "flower", "init": "he", "seed": 1, "train": 0, "learning_rate": 0.0075}
    return planted(**from_command, devices=1)


@pytest.mark.parametrize("render", [page, fragment])
def test_every_number_of_the_json_is_on_the_page_with_all_its_digits(report, render):
    facts = report.to_dict()
    values = [element["value"] for element in Reader(render(report)).all("data")]
    expected = [repr(facts["loss"]["manual"]), repr(facts["loss"]["autodiff"])]
    expected.append(repr(facts["course_difference"]))
    for tensor in facts["tensors"]:
        expected += [str(tensor["kinks"]), repr(tensor["resolution"]["entry"])]
        for pair in (
            "manual_vs_autodiff",
            "manual_vs_finite_difference",
            "autodiff_vs_finite_difference",
        ):
            expected += [repr(tensor[pair]["relative"]), repr(tensor[pair]["bar_ratio"])]
    assert values[: len(expected)] == expected


@pytest.mark.parametrize("render", [page, fragment])
def test_verdict_meaning_diagnosis_and_remarks_are_those_of_the_json(report, render):
    report = dataclasses.replace(
        report, notes=(Fact("integers-as-numbers", {"argument": "params"}),)
    )
    text, facts = Reader(render(report)).text, report.to_dict()
    assert facts["verdict"] in text
    assert facts["meaning"] in text
    assert all(finding[key] in text for finding in facts["diagnosis"] for key in ("bug", "detail"))
    assert all(f.found in text and f.expected in text for f in report.diagnosis)
    assert facts["remarks"][0] in text
    for tensor in facts["tensors"]:
        word = {"agree": "✓ agree", "disagree": "✗ differ"}[tensor["verdict"]]
        assert re.search(rf"d{tensor['name']} \([^)]*\) {word}", text)


def test_page_gives_settings_versions_and_the_command_that_repeats_the_check(report):
    text = Reader(page(report)).text
    for name, version in report.versions.items():
        assert f"{name}{version}" in text
    assert (
        "backproof verify --data flower --layers 5 --hidden relu --output sigmoid --init he "
        "--l2 0.5 --keep-prob 1.0 --examples 60 --dtype float64 --seed 1 "
        "--finite-difference sampled"
    ) in text


def test_the_printed_command_names_devices_where_there_are_several(report):
    from verify.show.page.report import command

    assert "--devices 8" in command({**report.settings, "devices": 8})
    assert not any("devices" in word for word in command(report.settings))


def test_printed_command_repeats_the_check(report):
    import json
    import shlex

    from click.testing import CliRunner

    from verify.cli.app import app
    from verify.show.page.report import command

    words = shlex.split(" ".join(command(report.settings)))[1:]
    result = CliRunner().invoke(app, [*words, "--format", "json"])
    again = json.loads(result.output)
    assert again["loss"]["manual"] == report.loss.manual
    assert again["settings"] == report.to_dict()["settings"]


@pytest.mark.parametrize("render", [page, fragment])
def test_hostile_names_appear_as_text(render, monkeypatch):
    report = planted(data=HOSTILE, layers=['"><img src=x onerror=alert(1)>'])
    monkeypatch.setitem(CATALOGUE, HOSTILE, Named("backward", HOSTILE))
    finding = Finding(HOSTILE, HOSTILE, 1, "{x}", "{x}", "{x}", values={"x": HOSTILE})
    tensors = [
        dataclasses.replace(report.tensors[0], name=HOSTILE),
        *report.tensors[1:],
    ]
    hostile = dataclasses.replace(
        report,
        conclusion=Fact(
            "backward-wrong", {"tensors": [HOSTILE], "jax": "JAX", "differences": True}
        ),
        diagnosis=(finding,),
        notes=(Fact("none-is-zero", {"tensors": [HOSTILE]}),),
        tensors=tensors,
    )
    read = Reader(render(hostile))
    assert not read.all("script")
    assert not read.all("img")
    assert not [name for _, attributes in read.elements for name in attributes if name[:2] == "on"]
    assert read.text.count(HOSTILE) >= 6


@pytest.mark.parametrize("render", [page, fragment])
def test_nothing_is_fetched_and_nothing_runs(report, render):
    html = render(report)
    read = Reader(html)
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in read.elements}
    sources = [a.get(key) for _, a in read.elements for key in ("src", "href", "srcset")]
    assert all(source.startswith("data:") for source in sources if source)
    assert "url(" not in html
    assert "@import" not in html


def test_headings_descend_one_level_at_a_time_from_a_single_h1(report):
    levels = [
        int(tag[1]) for tag, _ in Reader(page(report)).elements if re.fullmatch("h[1-6]", tag)
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


@pytest.mark.parametrize("render", [page, fragment])
def test_every_picture_says_what_it_shows_and_every_header_has_its_scope(report, render):
    read = Reader(render(report))
    pictures = read.all("svg")
    assert pictures
    assert all(p["role"] == "img" and len(p["aria-label"]) > 40 for p in pictures)
    assert all(h["scope"] in {"row", "col", "colgroup"} for h in read.all("th"))
    wrong = next(p["aria-label"] for p in pictures if "dW2" in p["aria-label"])
    assert wrong.startswith("Heat map of dW2, by hand and JAX, 1 by 5: 5 of 5 compared entries are")


def test_gradients_that_differ_come_first_and_open_those_that_agree_in_one_closed_box(report):
    opened = ["open" in details for details in Reader(page(report)).all("details")]
    assert opened == [True, False, False, False, False]
    assert [tensor.agree for tensor in report.tensors] == [True, True, False, True]


def test_worst_entry_is_listed_with_both_values():
    problem = verify.build_problem(verify.load("flower"), layers=(5,), examples=60)
    _, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    wrong = grads["W1"].copy()
    wrong[3, 1] += 0.25
    report = verify.three_way(
        problem, grads=dict(grads) | {"W1": wrong}, finite_difference="sampled"
    )
    text = Reader(page(report)).text
    assert f"1: [3, 1]{wrong[3, 1]:.9g}{grads['W1'][3, 1]:.9g}2.5e-01" in text


def test_report_without_a_finite_loss_still_makes_a_page():
    report = Report(
        "undecided",
        Fact("losses-not-finite", {"hand": np.nan, "jax": np.inf}),
        Loss(np.nan, np.inf, False),
        (),
    )
    read = Reader(page(report))
    assert "not finite" in read.text
    assert "Undecided" in read.text


def test_page_of_a_wide_layer_is_small_enough_to_send_by_mail():
    noise = verify.load("noise")
    X = np.random.RandomState(0).randn(3000, 20)
    params = manual.initialize((3000, 4, 1), "he", np.random.RandomState(0))
    wide = verify.Problem(params, X, noise.labels[None, :20])
    _, grads = manual.loss_and_grads(*wide.arguments, **wide.options)
    wrong = dict(grads) | {"W1": grads["W1"] * np.linspace(1, 2, 3000)}
    report = verify.three_way(wide, grads=wrong, finite_difference="directional")
    assert len(page(report)) < 100_000


def wrong_layer():
    def backward(c, x, w):
        return c * w, 2 * c * x

    rng = np.random.default_rng(0)
    return verify.check_vjp(lambda x, w: x * w, backward, (rng.normal(size=5), rng.normal(size=5)))


def test_entries_without_a_difference_show_a_plain_0_whatever_its_sign():
    rng = np.random.default_rng(0)
    params = {"x": rng.normal(size=5), "w": rng.normal(size=5)}
    report = verify.compare(
        lambda p: (p["x"] * p["w"]).sum(), lambda p: {"x": p["w"], "w": 2 * p["x"]}, params
    )
    text = Reader(page(report)).text
    assert "0.0e+00" not in text
    assert "]-0" not in text.replace("]-0.", "")
    assert re.search(r"\d: \[\d\](-?[\d.]+)(?:\1)0\d\.\de-\d\d0(?!\.)", text)


def wrong_scalar():
    return verify.compare(lambda p: p["a"] ** 2, lambda p: {"a": 3 * p["a"]}, {"a": np.array(2.0)})


@pytest.mark.parametrize("check", [wrong_layer, wrong_scalar])
@pytest.mark.parametrize("render", [page, fragment])
def test_reports_of_other_functions_than_the_network_make_pages_too(render, check):
    report = check()
    read = Reader(render(report))
    assert not report.ok
    assert report.meaning in read.text
    assert all(f"d{tensor.name}" in read.text for tensor in report.tensors)
    assert "nan" not in read.text


def judged(path="homework.py", verdict="disagree"):
    finding = Finding(
        "weights-doubled", "dW1", 1, "dW1 is exactly 2 times the true gradient.",
        "dW1 = 2 / m * dZ1 @ X.T", "dW1 = 1 / m * dZ1 @ X.T",
        function="backward", line=12, source="dW1 = 2 / m * dZ1 @ X.T",
    )  # fmt: skip
    gradient = Gradient("backward", "W1", [[2.0, 4.0]], [[1.0, 2.0]], [[1e-15, 1e-15]])
    wrong = verdict == "disagree"
    return FileReport(
        path,
        verdict,
        "",
        (FunctionVerdict("backward", verdict, ""),),
        (finding,) * wrong,
        ("A helper was replaced.",),
        (gradient,) * wrong,
        0.5,
    )


def test_page_of_a_file_says_what_its_json_says_and_shows_where_it_is_wrong():
    report = judged()
    read, facts = Reader(files_page([report])), report.to_dict()
    (said,) = facts["diagnosis"]
    shown = ("function", "tensor", "bug", "detail", "found", "expected", "source")
    assert all(said[key] in read.text for key in shown)
    assert "line 12" in read.text
    assert facts["remarks"][0] in read.text
    assert "✗ disagree homework.py" in read.text
    assert "backproof check homework.py" in read.text
    (picture,) = read.all("svg")
    assert picture["aria-label"].startswith("Heat map of dW1, found and right, 1 by 2: 2 of 2")
    assert "1: [0, 1]422.0e+001.0e-152e+15" in read.text


def test_page_of_many_files_counts_them_and_opens_those_that_do_not_agree():
    verdicts = ["agree", "disagree", "timeout", "unreadable", "agree"]
    read = Reader(files_page([judged(f"{i}.py", v) for i, v in enumerate(verdicts)]))
    assert "5 files checked" in read.text
    assert "✓ agree 2" in read.text
    assert ["open" in details for details in read.all("details")] == [
        False,
        True,
        True,
        True,
        False,
    ]
    links = {link["href"] for link in read.all("a")}
    assert links == {f"#{details['id']}" for details in read.all("details")}


@pytest.mark.parametrize("count", [1, 2])
def test_headings_of_a_page_of_files_descend_one_level_at_a_time(count):
    elements = Reader(files_page([judged()] * count)).elements
    levels = [int(tag[1]) for tag, _ in elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_file_with_a_script_for_a_name_appears_as_text(tmp_path):
    from verify.cli import main

    (tmp_path / "<script>alert(1)<").mkdir()
    path = tmp_path / "<script>alert(1)<" / "script>.py"
    path.write_text(
        "def square(x):\n    return x * x\n\ndef square_backward(dy, x):\n    return dy * x\n"
    )
    page = tmp_path / "report.html"
    with pytest.raises(SystemExit) as status:
        main(["check", str(path), "--format", "html", "--output-file", str(page)])
    assert status.value.code == 1
    read = Reader(page.read_text(encoding="utf-8"))
    assert not read.all("script")
    assert "<script>alert(1)</script>.py" in read.text


def test_page_names_of_a_class_are_readable_and_each_another():
    paths = ["in/ann/hw.py", "in/bob/hw.py", "in/bob/HW.py", "in/index.py", "in/<b>&.ipynb"]
    assert page_names(paths) == [
        "ann-hw.py.html", "bob-hw.py.html", "bob-HW.py-2.html", "index.py.html", "b-.ipynb.html"
    ]  # fmt: skip
    assert page_names(["index"]) == ["index-2.html"]


def test_own_page_shows_the_line_with_three_around_it_and_nothing_of_others():
    report = judged("class/ann/homework.py")
    lines = [(n, f"line number {n} <b>") for n in range(9, 16)]
    text = own_page(report, [lines])
    read = Reader(text)
    assert "✗ disagree class/ann/homework.py" in read.text
    assert re.search(r"<mark>12  line number 12 &lt;b&gt;</mark>", text)
    assert all(f"{n:2}  line number {n} <b>" in read.text for n in range(9, 16))
    assert "To read:" in read.text
    assert not read.all("a")
    assert not read.all("script")


def test_index_counts_files_with_a_mistake_and_shows_one_without_a_name():
    reports = [judged(f"{i}/homework.py", "disagree") for i in range(3)]
    reports.append(judged("right.py", "agree"))
    rubric = Rubric({"backward_propagation": 4.0})
    read = Reader(class_index(reports, page_names([r.path for r in reports]), rubric))
    (finding,) = reports[0].diagnosis
    mistakes = read.text.partition("The mistakes of the class")[2].partition("File by file")[0]
    assert f"{finding.bug}: " in mistakes
    assert "of the class" in mistakes
    assert "homework.py" not in mistakes
    assert {link["href"] for link in read.all("a")} == {
        "0-homework.py.html", "1-homework.py.html", "2-homework.py.html", "right.py.html"
    }  # fmt: skip


def test_lines_around_a_mistake_come_from_a_script_or_from_a_cell(tmp_path):
    script, notebook = tmp_path / "a.py", tmp_path / "a.ipynb"
    script.write_text("\n".join(f"x{n} = {n}" for n in range(1, 20)))
    notebook.write_text(json.dumps({"cells": [
        {"cell_type": "code", "source": ["a = 1\n", "b = 2"]},
        {"cell_type": "markdown", "source": []},
        {"cell_type": "code", "source": ["c = 3\n", "d = 4"]},
    ]}))  # fmt: skip
    assert excerpt(script, None, 10) == [(n, f"x{n} = {n}") for n in range(7, 14)]
    assert excerpt(script, None, 1) == [(n, f"x{n} = {n}") for n in range(1, 5)]
    assert excerpt(notebook, 2, 2) == [(1, "c = 3"), (2, "d = 4")]
    assert excerpt(tmp_path / "gone.py", None, 3) == []
    assert excerpt(script, None, None) == ()
