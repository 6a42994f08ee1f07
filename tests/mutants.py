"""Change the code in one place, and see whether a test notices.

    python -m tests.mutants --count 400 --seed 1

A mutant is the code with one operator, number, condition or choice replaced (cosmic-ray's
operators, and min for max). It lives in a copy of the checkout, where the tests of its room run
until one fails. A mutant that all of them pass survives: a test is missing, or the code decides
nothing. What survives is printed with its change, and at the end the share that was noticed.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from rich.console import Console
from rich.progress import track

try:
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.operators.operator import Operator
    from cosmic_ray.plugins import get_operator, operator_names
    from parso.python.tree import Name
    from parso.tree import NodeOrLeaf
except ModuleNotFoundError as missing:
    sys.exit(f"Error: {missing.name} is not installed; the mutants extra brings it.")

ROOT = Path(__file__).parents[1]

TESTS = {
    "manual/": "layers activations losses initializers network_manual",
    "manual/rows.py": "rows",
    "manual/span_descent.py": "span",
    "manual/training.py": "span training",
    "verify/activations.py": "activations rounding exhaustive",
    "verify/verdict.py": "verdict",
    "verify/evidence/bars/": "rounding exhaustive",
    "verify/evidence/bars/measured.py": "rounding compare check_vjp low_precision",
    "verify/evidence/differences/": "finite_difference compare check_vjp bends",
    "verify/evidence/differences/bends.py": "bends compare check_vjp",
    "verify/evidence/differences/staircase.py": "low_precision",
    "verify/evidence/differences/exhaustive/": "exhaustive",
    "verify/evidence/differences/exhaustive/on_mesh.py": "mesh",
    "verify/diagnose/": "mistakes diagnosis bugs findings",
}
"""The tests of each folder or file, those that take seconds. The longest name that fits counts."""

KINDS = re.compile(
    "NumberReplacer|AddNot|ReplaceTrue|ReplaceFalse|ReplaceAnd|ReplaceOr|ReplaceBreak"
    "|ReplaceContinue|ExceptionReplacer|ZeroIterationForLoop|ReplaceUnary"
    "|ReplaceComparisonOperator_(Eq|NotEq|Lt|LtE|Gt|GtE)_(Eq|NotEq|Lt|LtE|Gt|GtE)$"
    "|ReplaceComparisonOperator_(Is_IsNot|IsNot_Is)$"
    "|ReplaceBinaryOperator_(Add|Sub|Mul|Div)_(Add|Sub|Mul|Div)$"
    "|ReplaceBinaryOperator_(FloorDiv|Mod|Pow)_Mul$|ReplaceBinaryOperator_Bit.*_Bit"
)
"""The operators of cosmic-ray that are used. The rest make what nothing fails to notice, such as
a sum of arrays that is shifted by bits."""

OPPOSITES = {"max": "min", "any": "all", "maximum": "minimum", "argmax": "argmin"}
OPPOSITES |= {second: first for first, second in OPPOSITES.items()}


class SwapChoice(Operator):
    """Replace a function that chooses by its opposite."""

    def mutation_positions(self, node):
        if node.type == "name" and node.value in OPPOSITES:
            yield node.start_pos, node.end_pos

    def mutate(self, node, index):
        return Name(OPPOSITES[node.value], node.start_pos, node.prefix)

    @classmethod
    def examples(cls):
        return ()


OPERATORS: dict[str, Callable[[], Operator]] = {
    name: get_operator(name) for name in operator_names() if KINDS.search(name)
} | {"SwapChoice": SwapChoice}


class Mutant(NamedTuple):
    """The `occurrence`-th change that an operator can make to a file, at a place in it."""

    path: str
    place: tuple[int, int]
    operator: str
    occurrence: int

    @property
    def tests(self) -> list[str]:
        """The files of the tests that should notice."""
        nearest = max((name for name in TESTS if self.path.startswith(name)), key=len)
        return [f"tests/test_{name}.py" for name in TESTS[nearest].split()]

    def apply(self, source: str) -> str:
        """Return the file's source with the change."""
        return mutate_code(source, OPERATORS[self.operator](), self.occurrence)


def sample(count: int, seed: int, under: str) -> list[Mutant]:
    """Draw `count` places, fewer if there are fewer, and one of the changes in each."""
    files = {
        path
        for name in TESTS
        for path in (sorted((ROOT / name).rglob("*.py")) if name[-1] == "/" else [ROOT / name])
        if str(path.relative_to(ROOT)).startswith(under)
    }
    places: dict[tuple, list[Mutant]] = {}
    for path in sorted(files):
        for mutant in mutants(path):
            places.setdefault((mutant.path, mutant.place), []).append(mutant)
    rng = random.Random(seed)
    drawn = rng.sample(sorted(places), min(count, len(places)))
    return [rng.choice(places[place]) for place in drawn]


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield every change to a file, but to what does nothing when the code runs."""
    source = path.read_text(encoding="utf-8")
    idle = list(idle_spans(ast.parse(source)))
    nodes = [node for node in ast_nodes(get_ast(source)) if not bare_star(node)]
    for name, operator in OPERATORS.items():
        places = (start for node in nodes for start, _ in operator().mutation_positions(node))
        for occurrence, place in enumerate(places):
            if not any(start <= place < end for start, end in idle):
                yield Mutant(str(path.relative_to(ROOT)), place, name, occurrence)


def bare_star(node: NodeOrLeaf) -> bool:
    """Whether this is the star of a signature, which cosmic-ray would multiply by."""
    return node.type == "operator" and node.parent.type == "parameters"


def idle_spans(tree: ast.Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield from where to where there are types, decorators and zip's checks of equal lengths."""
    for node in ast.walk(tree):
        parts = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        parts += getattr(node, "decorator_list", [])
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            parts.append(node)
        if isinstance(node, ast.keyword) and node.arg == "strict":
            parts.append(node)
        for part in filter(None, parts):
            yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


def noticed(copy: Path, mutant: Mutant, seconds: float) -> bool:
    """Whether the tests fail on the mutant, in a copy of the checkout, or take too long."""
    path = copy / mutant.path
    source = path.read_text(encoding="utf-8")
    try:
        write(path, mutant.apply(source))
        return run(copy, mutant.tests, seconds) != 0
    finally:
        write(path, source)


def write(path: Path, source: str) -> None:
    """Write a module and forget what was compiled from it."""
    path.write_text(source, encoding="utf-8")
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()


def run(copy: Path, tests: list[str], seconds: float) -> int:
    """Run tests until one fails; return pytest's exit status, -9 after so many seconds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-n0", "-x", "-q", "-p", "no:cacheprovider",
         "--hypothesis-seed=0", *tests],
        cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def described(mutant: Mutant) -> str:
    """Return where the change is, and the lines before and after it."""
    source = (ROOT / mutant.path).read_text(encoding="utf-8")
    lines = difflib.unified_diff(
        source.splitlines(), mutant.apply(source).splitlines(), lineterm="", n=0
    )
    change = "\n".join(line for line in list(lines)[2:] if not line.startswith("@@"))
    return f"{mutant.path}:{mutant.place[0]}\n{change}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=400, metavar="N", help="how many mutants")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which")
    parser.add_argument("--under", default="", metavar="PATH", help="in this file or folder alone")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many at a time")
    parser.add_argument(
        "--seconds", type=float, default=180, metavar="S", help="for the tests of one mutant"
    )
    options = parser.parse_args()
    drawn = sample(options.count, options.seed, options.under)
    survivors, total, killed = [], Counter(), Counter()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for job in range(options.jobs):
            ignored = shutil.ignore_patterns(".*", "__pycache__", "notebooks", "results")
            copies.put(shutil.copytree(ROOT, Path(folder) / str(job), ignore=ignored))

        def judge(mutant: Mutant) -> bool:
            copy = copies.get()
            try:
                return noticed(copy, mutant, options.seconds)
            finally:
                copies.put(copy)

        for tests in {tuple(mutant.tests) for mutant in drawn}:
            if status := run(Path(folder) / "0", list(tests), 10 * options.seconds):
                sys.exit(f"Error: {' '.join(tests)} ended with {status} on the code as it is.")
        judged = {pool.submit(judge, mutant): mutant for mutant in drawn}
        for future in track(
            as_completed(judged), "mutants", len(drawn), console=Console(stderr=True)
        ):
            mutant = judged[future]
            room = "/".join(mutant.path.split("/")[:3])
            total[room] += 1
            killed[room] += future.result()
            if not future.result():
                survivors.append(mutant)
                print(f"\n{described(mutant)}", flush=True)
    print()
    for room in sorted(total):
        print(f"{room}: {killed[room]} of {total[room]} noticed")
    print(f"all: {killed.total()} of {total.total()}, {killed.total() / total.total():.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
