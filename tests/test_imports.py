"""Who imports whom: the rule that makes three ways three, and a command line that starts fast."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STDLIB = sys.stdlib_module_names
HEAVY = {"jax", "jaxlib", "matplotlib", "sklearn", "scipy", "autodiff"}


def imported_by(code: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter imports in running some code."""
    probe = (
        "import sys\nbefore = set(sys.modules)\n"
        f"{code}\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before}, sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def sources(package: str) -> list[Path]:
    return sorted(Path(find_spec(package).origin).parent.rglob("*.py"))


def named_in(path: Path) -> set[str]:
    """Return the top-level packages that a file imports anywhere, functions included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides whom it imports"
            names.add(node.module.partition(".")[0])
    return names


def test_importing_manual_imports_numpy_and_nothing_else_of_other_people():
    assert imported_by("import manual") - STDLIB == {"manual", "numpy"}


def test_importing_autodiff_imports_neither_manual_nor_verify():
    imported = imported_by("import autodiff")
    assert "jax" in imported
    assert not imported & {"manual", "verify"}


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("manual", {"manual", "numpy", "jaxtyping"}),
        ("autodiff", {"autodiff", "numpy", "jaxtyping", "jax"}),
    ],
)
def test_the_two_networks_share_nothing_but_numpy_anywhere_in_their_source(package, allowed):
    paths = sources(package)
    assert len(paths) > 1
    for path in paths:
        assert named_in(path) - STDLIB <= allowed, path


def test_a_report_is_data_and_importing_it_loads_nothing_that_shows_it():
    code = (
        "import sys, verify.report\nprint([n for n in sys.modules if n.startswith('verify.show')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_report_reaches_up_to_what_shows_it_in_one_place():
    tree = ast.parse(Path(find_spec("verify.report").origin).read_text(encoding="utf-8"))
    (only,) = [
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in function.body
        if isinstance(node, ast.ImportFrom) and node.module.startswith("verify.show")
    ]
    assert only == "_shown"


def test_importing_verify_imports_nothing_heavy():
    assert not imported_by("import verify") & HEAVY


def test_importing_the_data_of_a_report_imports_nothing_that_shows():
    code = "import sys, verify.report; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    assert "verify.report" in modules
    assert not [name for name in modules if name.startswith(("verify.show", "rich"))]


def test_every_public_name_is_still_itself_once_every_module_is_imported():
    """A module named like a public function would take its place in the package."""
    code = """
        import importlib, inspect, pkgutil
        import autodiff, backproof, manual, verify

        for package in (autodiff, backproof, manual, verify):
            for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
                try:
                    importlib.import_module(module.name)
                except ModuleNotFoundError as absent:  # the peers extra brings it
                    assert absent.name == "torch", absent
        for package in (autodiff, backproof, manual, verify):
            for name in package.__all__:
                value = getattr(package, name)
                assert not inspect.ismodule(value), (package, name)
                assert getattr(value, "__name__", name) == name, (package, name, value)
        """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def checkout(tmp_path):
    """Return a copy of the packages, to plant imports in."""
    for name in ("autodiff", "backproof", "manual", "verify"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sysconfig.get_path("scripts"), "lint-imports"), "--no-logo", "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_contracts_hold(checkout):
    done = lint_imports(checkout)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("manual/layers.py", "import verify", "manual and autodiff know neither"),
        ("manual/layers.py", "import autodiff", "manual and autodiff know neither"),
        ("autodiff/network.py", "from manual import losses", "manual and autodiff know neither"),
        ("autodiff/span_descent.py", "import verify.problem", "manual and autodiff know neither"),
        ("verify/report.py", "from verify.show import page", "The floors of verify"),
        ("verify/report.py", "def f():\n    import verify.show.files", "The floors of verify"),
        ("verify/problem.py", "import verify.diagnose", "The floors of verify"),
        ("verify/course/training.py", "import verify.show.plots", "The floors of verify"),
        ("verify/new_room.py", "", "The floors of verify"),
        ("verify/homework/read/extract.py", "import subprocess", "Reading a file runs nothing"),
        (
            "verify/homework/read/syntax.py",
            "import verify.homework.run.calls",
            "The floors of homework",
        ),
        ("backproof/pytest_plugin.py", "from verify.report import Report", "pytest's plugin"),
    ],
)
def test_an_import_against_the_floors_breaks_its_contract(checkout, file, line, contract):
    path = checkout / file
    path.write_text((path.read_text() if path.exists() else "") + f"\n{line}\n")
    done = lint_imports(checkout)
    assert done.returncode == 1, done.stdout
    broken = [shown for shown in done.stdout.splitlines() if "BROKEN" in shown]
    assert any(shown.startswith(contract) for shown in broken), done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_the_command_line_s_help_imports_nothing_heavy(arguments):
    code = (
        "import contextlib, io\nfrom verify.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        f"    main({arguments})"
    )
    imported = imported_by(code)
    assert "click" in imported
    assert not imported & HEAVY


def test_the_console_script_answers():
    script = Path(sys.executable).with_name("backproof")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "backproof"]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert "three ways" in done.stdout
    assert done.stderr == ""


def test_jax_s_settings_are_what_they_were_after_importing_and_using_everything():
    code = (
        "import jax, numpy as np\n"
        "before = jax.numpy.ones(1).dtype\n"
        "import autodiff, verify\n"
        "params = {'W1': np.ones((1, 2)), 'b1': np.zeros((1, 1))}\n"
        "X, Y = np.ones((2, 3)), np.ones((1, 3))\n"
        "report = verify.three_way(verify.Problem(params, X, Y), finite_difference='exhaustive')\n"
        "assert report.ok, str(report)\n"
        "assert jax.numpy.ones(1).dtype == before == 'float32'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
