"""Change right backward passes in one place, and see whether the check says that they are wrong.

    python -m tests.style_mutants --count 400 --seed 1

A mutant is a right file of tests/styles with one operator, axis, index or slice of one of its
backward passes changed; where a function returns a loss with its gradients, not in what the loss is
made of. The check must disagree or say that it crashed; where it says agree, the file's proof by
differences (`tests/style_proofs.py`), on several draws, must find no mistake. Every mutant that
was not noticed is printed: missed, accused although the proof finds nothing wrong, undecided, or
harmless. Exit status 1 if any was missed or accused, or if more than 3 % are undecided.
"""

from __future__ import annotations

import argparse
import ast
import copy
import difflib
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.style_proofs import STYLES, prove
from verify.homework.judge import judge_all
from verify.homework.report import AGREE, CRASHED, DISAGREE
from verify.homework.run.sandbox import Limits

OPERATORS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.Gt: (ast.Lt, ast.GtE),
    ast.GtE: (ast.Lt, ast.Gt),
    ast.Lt: (ast.Gt, ast.LtE),
    ast.LtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
"""What may stand in the place of an operator."""

REDUCTIONS = frozenset("sum mean max min var std prod argmax".split())
"""Methods whose first argument is an axis."""

HARMLESS = 1e-4
"""A proof's error that is no mistake: see `GUARDED` in tests/test_styles.py."""

DRAWS = 3
"""On how many draws of the inputs a proof must find nothing."""

UNDECIDED_SHARE = 0.03


class Mutant(NamedTuple):
    """A change to a right file: of which pass, in which code cell (None in a script), where."""

    name: str
    function: str
    cell: int | None
    start: tuple[int, int]
    end: tuple[int, int]
    text: str

    def write(self, folder: Path) -> Path:
        """Write the changed file, with the package that it is in, and return its path."""
        source = STYLES / self.name
        target = folder / self.name
        if (source.parent / "__init__.py").exists():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source.parent, target.parent, ignore=ignored)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(self.applied(), encoding="utf-8")
        return target

    def applied(self) -> str:
        """Return the text of the changed file."""
        text = (STYLES / self.name).read_text(encoding="utf-8")
        if self.cell is None:
            return self._changed(text)
        book = json.loads(text)
        source = book["cells"][self.cell]["source"]
        book["cells"][self.cell]["source"] = self._changed("".join(source)).splitlines(True)
        return json.dumps(book, indent=1, ensure_ascii=False) + "\n"

    def _changed(self, text: str) -> str:
        lines = [line.encode() for line in text.splitlines(keepends=True)]
        (first, begin), (last, end) = self.start, self.end
        before = b"".join(lines[: first - 1]) + lines[first - 1][:begin]
        after = lines[last - 1][end:] + b"".join(lines[last:])
        return (before + self.text.encode() + after).decode()

    def described(self) -> str:
        """Return the file, the pass, and the lines before and after."""
        before = (STYLES / self.name).read_text(encoding="utf-8").splitlines()
        changes = difflib.unified_diff(before, self.applied().splitlines(), lineterm="", n=0)
        shown = [line for line in list(changes)[2:] if not line.startswith("@@")]
        return "\n".join([f"{self.name}: {self.function}", *shown])


def all_places() -> dict[tuple, list[Mutant]]:
    """Return every place in the right files that can be changed, with its changes."""
    table = json.loads((STYLES / "expected.json").read_text(encoding="utf-8"))
    places: dict[tuple, list[Mutant]] = {}
    for name in sorted(table):
        if table[name]["verdict"] != "agree":
            continue
        for cell, tree in trees(STYLES / name):
            for function, node in definitions(tree):
                if function in table[name]["functions"]:
                    forward = forward_part(node)
                    for changed, text in changes(node, forward):
                        start = changed.lineno, changed.col_offset
                        end = changed.end_lineno, changed.end_col_offset
                        mutant = Mutant(name, function, cell, start, end, text)
                        places.setdefault((name, cell, start, end), []).append(mutant)
    return places


def trees(path: Path) -> Iterator[tuple[int | None, ast.Module]]:
    """Yield the code of a script, or of every code cell of a notebook with its number."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        yield None, ast.parse(text)
        return
    for number, cell in enumerate(json.loads(text)["cells"]):
        if cell["cell_type"] == "code":
            lines = "".join(cell["source"]).splitlines()
            plain = ["" if line.startswith(("%", "!")) else line for line in lines]
            yield number, ast.parse("\n".join(plain))


def definitions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the functions and methods of a file under their qualified names."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    yield f"{node.name}.{method.name}", method


def forward_part(function: ast.FunctionDef) -> set[ast.AST]:
    """Return the statements that make the loss that a function returns with its gradients."""
    needed = {
        returned.elts[0].id
        for node in ast.walk(function)
        if isinstance(node, ast.Return)
        and isinstance(returned := node.value, ast.Tuple)
        and isinstance(returned.elts[0], ast.Name)
        and returned.elts[0].id in LOSSES
    }
    made = [(node, assigned(node)) for node in ast.walk(function) if assigned(node)]
    last = max((node.lineno for node, names in made if names & needed), default=0)
    made = [(node, names) for node, names in made if node.lineno <= last]
    found: set[ast.AST] = set()
    while new := {node for node, names in made if names & needed} - found:
        found |= new
        needed |= {n.id for node in new for n in ast.walk(node) if isinstance(n, ast.Name)}
    return found


LOSSES = frozenset("loss cost J".split())


def assigned(node: ast.AST) -> set[str]:
    """Return the names of the variables that a statement sets, in whole or in part."""
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    if not isinstance(node, ast.Assign | ast.AugAssign):
        return set()
    return {
        name.id
        for target in targets
        for name in ast.walk(target)
        if isinstance(name, ast.Name) and not within_index(name, target)
    }


def within_index(name: ast.Name, target: ast.expr) -> bool:
    """Whether a name only says which entry of a target is set."""
    indices = (node.slice for node in ast.walk(target) if isinstance(node, ast.Subscript))
    return any(name is node for index in indices for node in ast.walk(index))


def changes(node: ast.AST, without: Collection[ast.AST] = ()) -> Iterator[tuple[ast.AST, str]]:
    """Yield each part of a pass that can be changed, with the text to put there."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.Assert | ast.Raise | ast.arguments) and child not in without:
            yield from changes(child, without)
    match node:
        case ast.BinOp() | ast.AugAssign():
            for operator in OPERATORS.get(type(node.op), ()):
                yield node, unparsed(node, op=operator())
        case ast.Compare(ops=[operator]):
            for other in OPERATORS.get(type(operator), ()):
                yield node, unparsed(node, ops=[other()])
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield node, f"({ast.unparse(operand)})"
        case ast.keyword(arg="axis", value=axis):
            yield from ((axis, text) for text in other_axes(axis))
        case ast.Call(func=ast.Attribute(attr=name), args=[ast.Constant(value=int()) as axis]):
            if name in REDUCTIONS:
                yield from ((axis, text) for text in other_axes(axis))
        case ast.Subscript(slice=index) if not isinstance(index, ast.Constant | ast.Tuple):
            yield from ((index, text) for text in other_indices(index))
        case ast.Subscript(slice=ast.Constant(value=int()) as index):
            yield from ((index, text) for text in other_indices(index))
        case ast.Subscript(slice=ast.Tuple(elts=parts)):
            yield from ((part, text) for part in parts for text in other_indices(part))
    if isinstance(node, ast.AugAssign):
        yield node, f"{ast.unparse(node.target)} = {ast.unparse(node.value)}"


def unparsed(node: ast.AST, **fields: object) -> str:
    """Return the text of a part with other fields, in brackets if it is an expression."""
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    text = ast.unparse(changed)
    return text if isinstance(node, ast.stmt) else f"({text})"


def other_axes(axis: ast.expr) -> Iterator[str]:
    """Yield what may stand in the place of an axis."""
    match axis:
        case ast.Constant(value=0):
            yield from ("1", "None")
        case ast.Constant() | ast.UnaryOp():
            yield from ("0", "None")
        case ast.Tuple(elts=parts) if len(parts) > 1:
            for left_out in range(len(parts)):
                kept = [ast.unparse(part) for at, part in enumerate(parts) if at != left_out]
                yield f"({', '.join(kept)},)"


def other_indices(index: ast.expr) -> Iterator[str]:
    """Yield what may stand in the place of an index or a slice."""
    match index:
        case ast.Constant(value=int(value)):
            yield str(value + 1)
            yield str(value - 1)
        case ast.Slice(lower=lower, upper=upper, step=step):
            shifted = [f"{ast.unparse(bound)} + 1" if bound else "1" for bound in (lower, upper)]
            low, high, by = (ast.unparse(bound) if bound else "" for bound in (lower, upper, step))
            by = f":{by}" if by else ""
            yield f"{shifted[0]}:{high}{by}"
            yield f"{low}:{shifted[1] if upper else '-1'}{by}"
            if by:
                yield f"{low}:{high}"
        case ast.Name() | ast.BinOp() | ast.UnaryOp():
            yield f"{ast.unparse(index)} - 1"


def sample(count: int, seed: int, under: str = "") -> list[Mutant]:
    """Draw `count` places, fewer if there are fewer, and one of the changes in each."""
    places = {key: found for key, found in all_places().items() if key[0].startswith(under)}
    rng = random.Random(seed)
    keys = sorted(places, key=str)
    return [rng.choice(places[key]) for key in rng.sample(keys, min(count, len(keys)))]


def has_a_mistake(path: Path, mutant: Mutant) -> bool:
    """Whether the file's own proof finds anything wrong on any draw of the inputs."""
    try:
        draws = (prove(path, mutant.name, seed) for seed in range(DRAWS))
        return any(error > HARMLESS for errors in draws for error in errors.values())
    except Exception:  # whatever strangers' code raises
        return True


def outcome(path: Path, mutant: Mutant, verdict: str) -> str:
    """Say what came of a mutant: noticed, harmless, missed, accused or undecided."""
    wrong = has_a_mistake(path, mutant)
    if verdict == AGREE:
        return "missed" if wrong else "harmless"
    if verdict in (DISAGREE, CRASHED):
        return "noticed" if wrong else "accused"
    return "undecided"


def judged(mutants: Sequence[Mutant], folder: Path, jobs: int) -> Iterator[tuple[Mutant, str, str]]:
    """Yield each mutant with what came of it and what the check says."""
    paths = [mutant.write(folder / str(at)) for at, mutant in enumerate(mutants)]
    reports = judge_all(paths, Limits(), jobs)
    for path, mutant, report in zip(paths, mutants, reports, strict=True):
        yield mutant, outcome(path, mutant, report.verdict), f"{report.verdict}: {report.message}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.style_mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=400, metavar="N", help="how many mutants")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which")
    parser.add_argument("--under", default="", metavar="NAME", help="of files that begin so alone")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many at a time")
    options = parser.parse_args()
    drawn = sample(options.count, options.seed, options.under)
    tally: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for mutant, came, said in judged(drawn, Path(folder), options.jobs):
            tally[came] += 1
            if came != "noticed":
                print(f"{came}: {mutant.described()}\n  {said}\n", flush=True)
    print(", ".join(f"{number} {came}" for came, number in tally.most_common()))
    bad = tally["missed"] + tally["accused"]
    return int(bad > 0 or tally["undecided"] > UNDECIDED_SHARE * len(drawn))


if __name__ == "__main__":
    sys.exit(main())
