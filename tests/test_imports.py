"""Who imports whom: the rule that makes three ways three, and a command line that starts fast."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

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


def test_importing_verify_imports_nothing_heavy():
    assert not imported_by("import verify") & HEAVY


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
