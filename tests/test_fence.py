"""The fence: its modes, what is said where a wall is missing, and the private copies behind it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from verify import cli
from verify.homework.judge import judge_all
from verify.homework.run import fence
from verify.homework.run.private_copy import parcel, unpacked
from verify.homework.run.sandbox import ENVIRONMENT, Limits, environment

ROOT = Path(__file__).parents[1]
COURSE = Path(__file__).parent / "course"
FILE = "import numpy as np\ndef sigmoid(z):\n    {body}\n    return 1 / (1 + np.exp(-z))\n"


def test_a_report_says_that_there_was_no_fence(capsys):
    with pytest.raises(SystemExit):
        cli.main(["check", str(COURSE / "lists.py"), "--fence", "off"])
    assert "fence: none" in capsys.readouterr().out


def test_an_unknown_fence_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["check", str(COURSE / "lists.py"), "--fence", "high"])
    assert end.value.code == 2
    assert capsys.readouterr().err == "Error: fence: got 'high', expected auto, require, off\n"


def test_a_wall_that_is_missing_is_named_and_refused_where_it_is_required(monkeypatch):
    why = "no Landlock: this kernel has none"
    monkeypatch.setattr(fence, "_landlock_abi", lambda: (0, why))
    monkeypatch.setattr(fence, "_filters", lambda abi: (None, None, "no seccomp: none"))
    assert str(fence.build_fence("auto")) == f"none ({why}; no seccomp: none)"
    with pytest.raises(OSError, match="fence: got require, expected both walls"):
        fence.build_fence("require")
    assert str(fence.build_fence("off")) == "none"


def test_a_wall_that_the_kernel_refuses_when_it_is_tried_does_not_count(monkeypatch):
    def refuse(*arguments):
        raise OSError("refused")

    monkeypatch.setattr(fence, "_stands", lambda tried: False)
    monkeypatch.setattr(fence, "_landlock_abi", lambda: (7, ""))
    monkeypatch.setattr(fence, "_filters", lambda abi: (object(), object(), ""))
    assert str(fence.build_fence("auto")).startswith("none (no Landlock: the kernel refused it")


def test_a_server_gets_what_python_needs_and_no_secrets(monkeypatch):
    monkeypatch.setenv("API_TOKEN", "1")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt")
    passed = environment()
    assert "API_TOKEN" not in passed
    assert passed["LD_LIBRARY_PATH"] == "/opt"
    assert ENVIRONMENT.items() <= passed.items()


def test_a_checkout_judges_with_itself_whatever_is_installed(tmp_path):
    """Another Backproof on PYTHONPATH is not the one that judges."""
    (tmp_path / "verify").mkdir()
    (tmp_path / "verify" / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    shutil.copy(COURSE / "lists.py", tmp_path / "homework.py")
    run = subprocess.run(
        [sys.executable, "-m", "backproof", "check", str(tmp_path / "homework.py")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("AGREE")


def test_a_file_is_copied_with_the_modules_that_it_imports_and_theirs(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "tools").mkdir(parents=True)
    target.mkdir()
    (source / "a.py").write_text("from tools.b import x\nimport d, gone\n# %run e.py\n")
    (source / "tools" / "b.py").write_text("import c\n")
    for name in ("tools/c.py", "d.py", "e.py", "other.py"):
        (source / name).write_text("")
    (source / "secret").write_text("")
    (tmp_path / "outside.py").write_text("")
    (source / "linked.py").symlink_to(tmp_path / "outside.py")
    with open(source / "a.py", "a") as stream:
        stream.write("import linked\n")
    copy = unpacked(parcel(source / "a.py"), target)
    assert copy.name == "a.py"
    copied = sorted(str(path.relative_to(copy.parent)) for path in target.rglob("*.py"))
    assert copied == ["a.py", "d.py", "e.py", "tools/b.py", "tools/c.py"]


def test_what_lies_above_is_copied_from_its_own_folder_or_its_package_alone(tmp_path):
    for folder in ("nets", "bob", "alice"):
        (tmp_path / folder).mkdir()
    for name in ("nets/__init__.py", "nets/base.py", "helper.py", "bob/homework.py"):
        (tmp_path / name).write_text("")
    homework = tmp_path / "alice" / "homework.py"
    homework.write_text("import helper, nets.base\nimport bob.homework\n")
    target = tmp_path / "target"
    copy = unpacked(parcel(homework), target)
    copied = sorted(str(path.relative_to(copy.parents[1])) for path in target.rglob("*.py"))
    assert copied == ["alice/homework.py", "helper.py", "nets/__init__.py", "nets/base.py"]


@pytest.mark.parametrize("root", ["main.py", "main.ipynb"])
def test_folders_that_are_no_packages_belong_together_where_a_file_above_imports_both(
    tmp_path, root
):
    text = "from layers.dense import Dense\nimport utilities.start\n"
    cells = [{"cell_type": "code", "source": text.splitlines(keepends=True)}]
    (tmp_path / root).write_text(
        text if root == "main.py" else json.dumps({"cells": cells}, indent=1)
    )
    for folder in ("layers", "utilities", "alice"):
        (tmp_path / folder).mkdir()
    (tmp_path / "utilities" / "start.py").write_text("")
    for name in ("layers/dense.py", "alice/homework.py"):
        (tmp_path / name).write_text("from utilities.start import normal\nimport alice.homework\n")
        target = tmp_path / "target" / name
        target.mkdir(parents=True)
        copy = unpacked(parcel(tmp_path / name), target)
        copied = {str(path.relative_to(copy.parents[1])) for path in target.rglob("*.py")}
        assert copied == {name, *(["utilities/start.py"] if "layers" in name else [])}


def test_a_folder_that_is_no_package_is_entered_where_imports_lead_on_from_the_root(tmp_path):
    texts = {
        "main.py": "from network.net import Net\nfrom layers.dense import Dense\n",
        "network/net.py": "from functions.output import softmax\n",
        "layers/dense.py": "from functions.output import softmax\nimport alice.homework\n",
        "functions/output.py": "",
        "alice/homework.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    copy = unpacked(parcel(tmp_path / "layers" / "dense.py"), tmp_path / "target")
    copied = {str(path.relative_to(copy.parents[1])) for path in copy.parents[1].rglob("*.py")}
    assert copied == {"layers/dense.py", "functions/output.py"}


def test_a_helper_next_to_the_file_is_used_behind_the_fence():
    [report] = judge_all([COURSE / "with_helper" / "homework.ipynb"], Limits(), 1)
    assert "is not next to the file" not in " ".join(report.remarks)


@pytest.mark.skipif(sys.platform != "linux", reason="closed handles of Linux")
def test_a_closed_standard_output_is_no_traceback():
    command = f"{sys.executable} -m backproof check tests/course/lists.py >&-"
    run = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0
    assert run.stderr == ""


WITHOUT_LANDLOCK = """
import errno, sys
import pyseccomp
from backproof.__main__ import main

refuse = pyseccomp.SyscallFilter(defaction=pyseccomp.ALLOW)
refuse.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "landlock_create_ruleset")
refuse.load()
main()
"""
SIGNALS_ITS_JUDGE = """
import os

import numpy as np


def relu(z):
    try:
        os.kill(os.getppid(), 9)
    except PermissionError:
        pass
    return np.maximum(0, z)


def relu_derivative(z):
    return (z > 0) * 1.0
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="fences of Linux")
def test_a_kernel_without_landlock_gives_the_same_verdicts_and_lets_no_file_signal(tmp_path):
    pytest.importorskip("pyseccomp", reason="filters of system calls")
    names = ["lists.py", "with_helper/homework.ipynb", "../styles/char_rnn.py"]
    (tmp_path / "signals.py").write_text(SIGNALS_ITS_JUDGE)
    files = [*(COURSE / name for name in names), tmp_path / "signals.py"]
    command = [sys.executable, "-c", WITHOUT_LANDLOCK, "check", *files, "--no-cache"]
    run = subprocess.run([*command, "--format", "json"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)["files"]
    assert [file["verdict"] for file in found] == ["agree"] * 4
    assert {file["fence"] for file in found} == {"seccomp (no Landlock: this kernel has none)"}


@pytest.mark.skipif(sys.platform != "linux", reason="fences of Linux")
def test_what_a_fenced_process_starts_is_sealed_and_has_none_of_its_handles(tmp_path):
    built = fence.build_fence("auto")
    if built.lacks:
        pytest.skip(str(built))
    script = f"""
import os, sys
from verify.homework.run import fence
reader, writer = os.pipe()
fence.put_on(fence.build_fence("require"), {str(tmp_path)!r}, {str(tmp_path)!r}, (writer,))
parent = os.getpid()
if (child := os.fork()) == 0:
    fence.seal()
    for attack in (lambda: os.write(writer, b"forged"), os.fork, lambda: os.kill(parent, 9)):
        try:
            attack()
            os._exit(1)
        except OSError:
            pass
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
