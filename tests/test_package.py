"""The package `backproof`: as imported, as built and installed, and beside other people's modules.

What is installed is tested in a fresh environment away from the checkout. It borrows the
dependencies of the environment that runs the tests, to save the minutes of their installation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("backproof", "verify", "manual", "autodiff")

# What a project may call its own, each a module that Backproof has too.
THEIRS = {
    "verify.py": "",
    "manual.py": "",
    "autodiff/__init__.py": "",
    "verify/__init__.py": "",
}
FAILING = """
    import backproof
    import numpy as np

    def test_by_a_report():
        assert backproof.compare(lambda x: (x**2).sum(), lambda x: 3 * x, np.ones(2)).ok
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}


def python(*arguments: str, cwd: Path, home: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter in a folder, with the checkout last on its path."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment() | {"PYTHONPATH": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_importing_backproof_loads_nothing_heavy(tmp_path):
    code = "import backproof, sys; print(*sys.modules)"
    loaded = set(python("-c", code, cwd=tmp_path).stdout.split())
    assert "backproof" in loaded
    assert not loaded & {"jax", "jaxlib", "matplotlib", "numpy", "verify", "manual", "autodiff"}


def test_every_public_name_of_verify_is_one_of_backproof(tmp_path):
    code = """
        import backproof, verify
        assert backproof.__all__ == verify.__all__
        for name in verify.__all__:
            assert getattr(backproof, name) is getattr(verify, name), name
        assert {*verify.__all__} <= {*dir(backproof)}
        from backproof import *
        assert three_way is verify.three_way
    """
    done = python("-c", textwrap.dedent(code), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_not_public_is_an_attribute_error(tmp_path):
    done = python("-c", "import backproof; backproof.trees", cwd=tmp_path)
    assert done.stderr.endswith("AttributeError: module 'backproof' has no attribute 'trees'\n")


@pytest.mark.slow
def test_type_checkers_see_the_public_names(tmp_path):
    write(tmp_path, {"use.py": "import backproof\nreveal_type(backproof.compare)\nbackproof.no\n"})
    done = python("-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "use.py", cwd=tmp_path)
    assert "def (loss:" in done.stdout.replace("\n", ""), done.stdout + done.stderr
    assert 'Module has no attribute "no"' in done.stdout


@pytest.mark.parametrize("theirs", THEIRS)
def test_where_python_finds_somebody_else_s_module_the_import_says_so_in_one_sentence(
    tmp_path, theirs
):
    write(tmp_path, {theirs: ""})
    done = python("-c", "import backproof", cwd=tmp_path)
    name = theirs.partition("/")[0].removesuffix(".py")
    (fault,) = [line for line in done.stderr.splitlines() if line.startswith("ImportError")]
    assert fault.startswith(f"ImportError: {name}: got {tmp_path / theirs}, expected Backproof's")


def test_a_script_that_is_itself_called_verify_is_told_so(tmp_path):
    write(tmp_path, {"verify.py": "import backproof\n"})
    done = python("verify.py", cwd=tmp_path)
    assert f"ImportError: verify: got {tmp_path / 'verify.py'}, expected" in done.stderr


def test_the_command_line_says_in_one_sentence_that_it_finds_somebody_else_s_module(tmp_path):
    write(tmp_path, {"manual.py": ""})
    done = python("-m", "backproof", "--help", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: manual: got {tmp_path / 'manual.py'}, expected Backproof's own")


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*command, *map(str, arguments)], env=environment(), check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a copy of what it is made of: setuptools leaves debris in the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    pip("wheel", "--no-deps", "-w", folder, folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Return the folder of programs of a fresh environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    programs = folder / "bin"
    pip("--python", programs / "python", "install", "--no-deps", wheel)
    paths = sysconfig.get_paths()
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{paths['purelib']}\n{paths['platlib']}\n")
    script = programs / "pytest"
    original = Path(paths["scripts"], "pytest").read_text()
    script.write_text(f"#!{programs / 'python'}\n{original.partition(chr(10))[2]}")
    script.chmod(0o755)
    return programs


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def ways_to_run_pytest(programs: Path) -> list[tuple[object, ...]]:
    return [(programs / "python", "-m", "pytest"), (programs / "pytest",)]


@pytest.mark.slow
class TestInstalled:
    def test_the_wheel_has_the_four_packages_their_data_and_nothing_else(self, wheel):
        names = zipfile.ZipFile(wheel).namelist()
        tops = {name.partition("/")[0] for name in names}
        assert {top for top in tops if not top.endswith(".dist-info")} == {*PACKAGES}
        assert {f"{package}/py.typed" for package in PACKAGES} <= {*names}
        for data in ("course/reproduce/figures.json", "show/page/style.css"):
            assert f"verify/{data}" in names

    def test_the_four_packages_are_those_of_the_wheel(self, installed, tmp_path):
        code = f"import {', '.join(PACKAGES)}\nfor m in ({', '.join(PACKAGES)}): print(m.__file__)"
        done = run(installed / "python", "-c", code, cwd=tmp_path)
        assert done.stdout.count(f"{installed.parent}") == len(PACKAGES), done.stdout + done.stderr

    @pytest.mark.parametrize("program", [["backproof"], ["python", "-m", "backproof"]])
    def test_the_command_line_checks_and_shows_a_page(self, installed, tmp_path, program):
        command = [installed / program[0], *program[1:]]
        arguments = "verify --data flower --layers 4 --examples 20 --format html".split()
        done = run(*command, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "<style>" in done.stdout
        assert "dW1" in done.stdout

    def test_the_command_line_knows_the_figures_of_the_course(self, installed, tmp_path):
        done = run(installed / "backproof", "reproduce", "linear-forward", cwd=tmp_path)
        assert done.returncode == 0, done.stderr

    def test_the_script_needs_no_other_name_in_a_folder_with_a_verify_of_its_own(
        self, installed, tmp_path
    ):
        write(tmp_path, THEIRS | {"homework.py": "def relu(Z):\n    return max(0, Z)\n"})
        done = run(installed / "backproof", "check", "homework.py", cwd=tmp_path)
        assert "Traceback" not in done.stderr
        assert "homework.py" in done.stdout

    def test_the_script_says_so_where_the_path_has_somebody_else_s_verify(
        self, installed, tmp_path, monkeypatch
    ):
        write(tmp_path, {"verify.py": ""})
        code = f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        code += f"sys.argv = [{str(installed / 'backproof')!r}]\n"
        code += "runpy.run_path(sys.argv[0], run_name='__main__')"
        done = run(installed / "python", "-c", code, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("Error: verify: got ")
        assert len(done.stderr.splitlines()) == 1

    @pytest.mark.parametrize("theirs", THEIRS)
    def test_a_project_that_has_one_of_the_names_itself_runs_its_tests(
        self, installed, tmp_path, theirs
    ):
        name = theirs.partition("/")[0].removesuffix(".py")
        test = f"""
            from pathlib import Path
            import {name}

            def test_that_the_name_is_this_project_s_own():
                assert Path({name}.__file__) == Path(__file__).parent / "{theirs}"
        """
        write(tmp_path, {theirs: "", "test_own.py": test})
        for pytest_ in ways_to_run_pytest(installed):
            done = run(*pytest_, cwd=tmp_path)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "1 passed" in done.stdout

    def test_a_failing_test_of_such_a_project_fails_as_ever(self, installed, tmp_path):
        test = "import verify.report\n\ndef test_it():\n    x = 1\n    assert x == 2\n"
        theirs = {"verify/__init__.py": "", "verify/report.py": "", "test_own.py": test}
        write(tmp_path, theirs)
        for pytest_ in ways_to_run_pytest(installed):
            done = run(*pytest_, cwd=tmp_path)
            assert done.returncode == 1
            assert "1 failed" in done.stdout
            assert "INTERNALERROR" not in done.stdout

    def test_a_project_with_a_verify_of_its_own_that_uses_backproof_is_told_so(
        self, installed, tmp_path
    ):
        write(tmp_path, {"verify.py": "", "test_own.py": FAILING})
        for pytest_ in ways_to_run_pytest(installed):
            done = run(*pytest_, cwd=tmp_path)
            assert done.returncode == 1
            assert "ImportError: verify: got " in done.stdout

    def test_a_project_that_uses_backproof_sees_the_rows_of_a_failing_report(
        self, installed, tmp_path
    ):
        write(tmp_path, {"test_gradient.py": FAILING})
        for pytest_ in ways_to_run_pytest(installed):
            done = run(*pytest_, cwd=tmp_path)
            assert done.returncode == 1
            assert done.stdout.count("- gradients -") == 1
            assert "DISAGREE The gradient is wrong" in done.stdout


def test_the_hook_and_the_action_call_the_command_with_what_it_takes():
    yaml = pytest.importorskip("yaml")
    from verify.cli.check import FORMATS

    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert (hook["entry"], hook["language"]) == ("backproof check", "python")
    action = yaml.safe_load((ROOT / ".github/actions/check/action.yml").read_text())
    installs, checks = (step["run"] for step in action["runs"]["steps"])
    assert (ROOT / ".github/actions/check" / "../../.." / "pyproject.toml").is_file()
    assert installs.endswith('"$GITHUB_ACTION_PATH/../../.."')
    assert checks.startswith("backproof check --format github ")
    assert "github" in FORMATS
    assert "${{" not in checks, "what a user passes is no part of the script"
