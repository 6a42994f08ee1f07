"""The cache of `backproof check`: the second run over an unchanged class, and what changes it."""

import dataclasses
import json
import os
import time
from pathlib import Path

import pytest

from verify import cli
from verify.cli import cache
from verify.homework import judge
from verify.homework.report import FileReport

FILE = (
    "import helper\n\ndef relu(z): return z * (z > 0)\ndef relu_backward(d, z): return d * {it}\n"
)


@pytest.fixture
def homework(tmp_path):
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "helper.py").write_text("one = 1\n")
    (folder / "right.py").write_text(FILE.format(it="(z > 0)"))
    (folder / "wrong.py").write_text(FILE.format(it="(z < 0)"))
    return folder


@pytest.fixture
def judged(monkeypatch):
    """The names of the files that are judged and not found; judging reads for a <, and no more."""
    names = []

    def judge_all(paths, limits, jobs, named, done, fence, seed):
        for number, path in enumerate(paths):
            names.append(path.name)
            verdict = "disagree" if "<" in path.read_text() else "agree"
            done(number, FileReport(str(path), verdict, seconds=0.1))

    monkeypatch.setattr(judge, "judge_all", judge_all)
    return names


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        cli.main(["check", "--format", "json", *map(str, arguments)])
    out, err = capsys.readouterr()
    return end.value.code, json.loads(out), err


def test_a_second_run_finds_everything_and_says_so(homework, capsys, monkeypatch):
    first = run(capsys, homework)
    monkeypatch.delattr(judge, "judge_all")
    second = run(capsys, homework)
    assert second[:2] == first[:2]
    assert second[2] == (
        "3 of 3 files are as they were when they were last checked; --no-cache checks them again.\n"
    )


def test_no_cache_checks_everything_and_another_name_of_the_same_text_is_found(
    homework, capsys, judged
):
    run(capsys, homework)
    judged.clear()
    run(capsys, homework, "--no-cache")
    assert len(judged) == 3
    judged.clear()
    homework.rename(homework.with_name("another"))
    _, found, _ = run(capsys, homework.with_name("another"))
    assert judged == []
    assert [Path(file["path"]).parent.name for file in found["files"]] == ["another"] * 3


def test_pages_of_what_was_found_under_another_name_show_the_present_one(
    homework, capsys, judged, tmp_path
):
    run(capsys, homework)
    (homework / "right.py").rename(homework / "left.py")
    homework.rename(homework.with_name("another"))
    judged.clear()
    run(capsys, homework.with_name("another"), "--output-dir", tmp_path / "pages")
    assert judged == ["left.py"]
    pages = {page.name: page.read_text() for page in (tmp_path / "pages").iterdir()}
    assert set(pages) == {"index.html", "helper.py.html", "left.py.html", "wrong.py.html"}
    assert f"{homework.with_name('another') / 'wrong.py'}</h1>" in pages["wrong.py.html"]
    assert not any(str(homework) in page or "right.py" in page for page in pages.values())


def test_a_file_is_judged_again_where_it_or_what_it_imports_changed(homework, capsys, judged):
    run(capsys, homework)
    judged.clear()
    (homework / "right.py").write_text(FILE.format(it="(z < 0)"))
    _, found, _ = run(capsys, homework)
    assert judged == ["right.py"]
    assert found["summary"]["disagree"] == 2
    judged.clear()
    (homework / "helper.py").write_text("one = 2\n")
    run(capsys, homework)
    assert sorted(judged) == ["helper.py", "right.py", "wrong.py"]


@pytest.mark.parametrize("options", [["--seed", "3"], ["--timeout", "29"], ["--fence", "off"]])
def test_a_file_is_judged_again_with_other_options(homework, capsys, judged, options):
    run(capsys, homework / "right.py")
    run(capsys, homework / "right.py", *options)
    assert judged == ["right.py", "right.py"]


def test_a_file_is_judged_again_by_another_version(homework, capsys, judged, monkeypatch):
    run(capsys, homework / "right.py")
    monkeypatch.setattr(cache, "_circumstances", lambda: (b"another",))
    run(capsys, homework / "right.py")
    assert judged == ["right.py", "right.py"]


OPTIONS = {"limits": {"timeout": 30.0}, "named": None}


@pytest.mark.parametrize(
    "change", [{"verdict": "timeout"}, {"seconds": 20.0}, {"fault": "ValueError in ours"}]
)
def test_what_may_turn_out_otherwise_is_not_kept(tmp_path, change):
    path = tmp_path / "a.py"
    path.touch()
    kept = cache.open_cache(OPTIONS, True)
    report = FileReport(str(path), "agree")
    kept.keep(path, dataclasses.replace(report, **change))
    assert kept.find(path) is None
    kept.keep(path, report)
    assert kept.find(path) == report


def test_what_cannot_be_read_or_is_old_is_as_good_as_not_there(tmp_path):
    path = tmp_path / "a.py"
    path.touch()
    kept = cache.open_cache(OPTIONS, True)
    kept.keep(path, FileReport(str(path), "agree"))
    (place,) = kept.folder.glob("*/*")
    os.utime(place, (0, time.time() - cache.KEPT_FOR - 60))
    kept.remove_old()
    assert kept.find(path) is None
    kept.keep(path, FileReport(str(path), "agree"))
    place.write_text("{")
    assert kept.find(path) is None
    assert kept.find(tmp_path / "gone.py") is None


def test_without_a_terminal_there_is_a_line_for_each_of_several_files(homework, capsys, judged):
    *_, said = run(capsys, homework)
    lines = said.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["1 of 3", "2 of 3", "3 of 3"]
    assert any(line.endswith(f"disagree {homework / 'wrong.py'}") for line in lines)
    *_, alone = run(capsys, homework / "right.py", "--no-cache")
    assert alone == ""
