"""Nothing that `check` found is lost: the journal, and going on from it."""

import contextlib
import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from verify import cli
from verify.cli import check, journal
from verify.homework import judge
from verify.homework.report import FileReport

ROOT = Path(__file__).parents[1]
COURSE = Path(__file__).parent / "course"
ENDLESS = "def relu(Z):\n    while True: pass\n"


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        cli.main(["check", *map(str, arguments)])
    out, err = capsys.readouterr()
    return end.value.code, out, err


def started(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "backproof", "check", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder)},
    )


def whole_lines(path):
    """Return the lines of a journal after its first, as data."""
    if not path.exists():
        return []
    data = path.read_bytes()
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()[1:]]


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def without_times(text):
    """Return a report as JSON without what differs from run to run."""
    report = json.loads(text)
    for file in report["files"]:
        del file["seconds"]
    return report


@pytest.fixture
def homework(tmp_path):
    """Three files to judge, the second of which never ends."""
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "1.py").write_text((COURSE / "planar_exported.py").read_text())
    (folder / "2.py").write_text(ENDLESS)
    (folder / "3.py").write_text((COURSE / "lists.py").read_text())
    return folder


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, -9, marks=pytest.mark.slow),
    ],
)
def test_what_was_finished_before_an_interruption_is_in_the_journal(
    capsys, tmp_path, homework, number, status
):
    output, kept = tmp_path / "out.json", tmp_path / "out.json.journal"
    arguments = (homework, "--format", "json", "--jobs", 1, "--output-file", output)
    command = started(tmp_path, *arguments)
    assert until(lambda: len(whole_lines(kept)) == 1)
    command.send_signal(number)
    _, errors = command.communicate(timeout=30)
    assert command.returncode == status
    assert not output.exists()
    assert [line["report"]["verdict"] for line in whole_lines(kept)] == ["agree"]
    if number != signal.SIGKILL:
        says = f"1 of 3 files were checked, kept in {kept}; --resume goes on."
        assert says in errors.decode()

    status, _, errors = run(capsys, *arguments)
    assert status == 2
    assert "expected --resume" in errors
    (homework / "2.py").write_text(
        "def relu(Z):\n    return np.maximum(0, Z)\n"
        "def relu_derivative(Z):\n    return (Z > 0) * 1.0\n"
    )
    before = whole_lines(kept)
    status, _, _ = run(capsys, *arguments, "--resume")
    assert not kept.exists()
    resumed = json.loads(output.read_text())
    assert resumed["files"][0]["seconds"] == round(before[0]["report"]["seconds"], 3)
    output.unlink()
    run(capsys, *arguments)
    assert without_times(output.read_text())["summary"] == resumed["summary"]
    assert [file["verdict"] for file in resumed["files"]] == ["agree"] * 3


def test_every_line_is_there_at_once_and_all_are_forced_onto_the_disk_together(
    tmp_path, monkeypatch, homework
):
    forced, files = [], sorted(homework.iterdir())
    output, kept = tmp_path / "out.json", tmp_path / "out.json.journal"
    monkeypatch.setattr(journal.os, "fsync", lambda handle: forced.append(len(whole_lines(kept))))
    monkeypatch.setattr(journal.time, "monotonic", lambda: now)
    now = 100.0
    with (
        contextlib.suppress(KeyboardInterrupt),
        journal.open_journal(output, files, {}, resume=False) as opened,
    ):
        for number, _ in enumerate(files):
            now += 0.4 * journal.APART
            opened.add(number, FileReport(str(files[number]), "agree"))
            assert len(whole_lines(kept)) == number + 1
        assert forced == [0, 3]
        raise KeyboardInterrupt
    assert forced == [0, 3, 3]


def judge_none(finished):
    """Return a `judge_all` that finishes so many files and is interrupted."""

    def judge_all(paths, limits, jobs, named, done, fence, seed):
        for number, path in enumerate(paths[:finished]):
            done(number, FileReport(str(path), "agree"))
        raise KeyboardInterrupt

    return judge_all


def test_without_an_output_file_an_interruption_shows_what_was_finished(
    capsys, monkeypatch, homework
):
    monkeypatch.setattr(judge, "judge_all", judge_none(2))
    with pytest.raises(click.Abort):
        check.command.main([str(homework), "--format", "csv"], standalone_mode=False)
    out, errors = capsys.readouterr()
    rows = list(csv.DictReader(out.splitlines()))
    assert [Path(row["path"]).name for row in rows] == ["1.py", "2.py"]
    assert "2 of 3 files were checked." in errors.splitlines()


def test_a_full_disk_leaves_whole_lines_and_one_sentence(capsys, monkeypatch, tmp_path, homework):
    output = tmp_path / "out.json"
    written, write = [], os.write

    def full(handle, data):
        written.append(data)
        if len(written) == 3:
            return write(handle, data[:20])
        if len(written) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data)

    with monkeypatch.context() as patch:
        patch.setattr(judge, "judge_all", judge_none(3))
        patch.setattr(journal.os, "write", full)
        status, _, errors = run(capsys, homework, "--output-file", output)
    assert status == 2
    kept = tmp_path / "out.json.journal"
    (error,) = (line for line in errors.splitlines() if line.startswith("Error: "))
    assert error.startswith(f"Error: journal: got {kept}, which cannot be written (No space left")
    assert not kept.read_bytes().endswith(b"\n")
    assert len(whole_lines(kept)) == 1

    monkeypatch.setattr(judge, "judge_all", judge_none(1))
    with pytest.raises(click.Abort):
        check.command.main(
            [str(homework), "--output-file", str(output), "--resume"], standalone_mode=False
        )
    assert [Path(line["report"]["path"]).name for line in whole_lines(kept)] == ["1.py", "2.py"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{}\n{}\n", "of a check with other options or versions"),
        (b"not JSON\n", "which is no journal of a check"),
        (b"\xff\n", "which is no journal of a check"),
    ],
)
def test_a_journal_of_something_else_is_refused(capsys, tmp_path, content, says):
    (tmp_path / "out.json.journal").write_bytes(content)
    arguments = (COURSE / "lists.py", "--output-file", tmp_path / "out.json", "--resume")
    status, _, errors = run(capsys, *arguments)
    assert status == 2
    assert says in errors
    assert str(tmp_path) in errors


def test_resume_needs_an_output_file(capsys):
    status, _, errors = run(capsys, COURSE / "lists.py", "--resume")
    assert status == 2
    assert errors == "Error: resume: got no output file, expected --output-file FILE with it\n"
