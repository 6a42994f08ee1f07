"""What a .py or .ipynb file defines, taken from its text: nothing in it is run here.

A file is read into cells (a script is one cell, or several where it carries the marks of an
exported notebook), every cell is parsed, and of its top level are taken

- imports,
- function and class definitions, and lambdas with a name,
- plain constants: literals, arithmetic on them, names of what was taken, `np.pi` and its like,
- `try` blocks of nothing else.

The rest, which is training, plotting and reading of files, is left where it is. Magics and
shell lines are blanked. What does not parse is cut into its top-level statements, so that one
broken line costs one statement; each is kept as `Broken` with the names it would have defined,
for a judge to say whether it was needed. Python 2 is read as Python 3 (`python2`).

Notebooks of every format version are plain JSON: version 4 has `cells` with `source`, versions
2 and 3 have `worksheets` of cells with `input`.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from verify.findings import where
from verify.homework.read.python2 import fault_of, speaks, stumbles, translated

SUFFIXES = (".py", ".ipynb")

PURE_CALLS = frozenset(
    tuple(
        """float int bool str complex abs min max sum round len range list tuple dict set frozenset
    float16 float32 float64 int32 int64 finfo array asarray log exp sqrt ones zeros eye
    field default_rng RandomState""".split()
    )
)
"""Functions that a plain constant may call."""


_TYPES = frozenset(tuple("float int bool str list tuple dict set".split()))


class UnreadableError(ValueError):
    """The file cannot be judged, and the sentence says why."""


class Cell(NamedTuple):
    """A piece of a file that is parsed by itself; `number` is None in a plain script."""

    number: int | None
    first_line: int
    text: str

    def where(self, line: int) -> str:
        """Say where a line of this cell is, as an editor shows it."""
        return where(self.number, line + self.first_line - 1)


class Statement(NamedTuple):
    """A top-level statement that was taken."""

    node: ast.stmt
    cell: int | None
    text: str

    def where(self, line: int) -> str:
        """Say where a line of this statement is."""
        return where(self.cell, line)


class Broken(NamedTuple):
    """A piece that does not parse: where and why, and what it would have defined."""

    where: str
    why: str
    defines: frozenset[str]


@dataclass(frozen=True, eq=False)
class Extract:
    """What was taken from a file, in order, and what could not be."""

    path: Path
    statements: tuple[Statement, ...]
    broken: tuple[Broken, ...] = ()
    remarks: tuple[str, ...] = ()
    written: dict[str, str] = field(default_factory=dict)
    """Modules that a notebook writes for itself with `%%writefile`: name and text."""
    unrun: frozenset[str] = frozenset()
    """Names that the top level gives to what is not run: data, trained parameters."""
    rest: tuple[Statement, ...] = ()
    """The statements that are not taken: training, plotting, reading of files."""
    labels: Mapping[int | None, str] = field(default_factory=dict)
    """What the code of a cell is called in a traceback, where it runs already."""
    python2: bool = False
    """Whether it is meant for Python 2."""
    divides: bool = False
    """Whether whole numbers divide to whole numbers in it, as in Python 2."""

    def label(self, cell: int | None) -> str:
        """Return the name of a cell's code in a traceback."""
        if cell in self.labels:
            return self.labels[cell]
        return self.path.name if cell is None else f"{self.path.name}, cell {cell}"

    @property
    def functions(self) -> dict[str, ast.FunctionDef]:
        """The functions by name, the last definition of each, as Python has it."""
        return {n.name: n for _, n in self._definitions() if isinstance(n, ast.FunctionDef)}

    @property
    def classes(self) -> dict[str, ast.ClassDef]:
        """The classes by name."""
        return {n.name: n for _, n in self._definitions() if isinstance(n, ast.ClassDef)}

    def count(self, name: str) -> int:
        """Return how many functions of this name are defined."""
        return sum(
            isinstance(n, ast.FunctionDef) and n.name == name for _, n in self._definitions()
        )

    def statement_of(self, name: str) -> Statement | None:
        """Return the last statement that defines a function or class of this name."""
        return {node.name: statement for statement, node in self._definitions()}.get(name)

    def _definitions(self) -> Iterator[tuple[Statement, ast.FunctionDef | ast.ClassDef]]:
        for statement in self.statements:
            for node in _inside(statement.node):
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    yield statement, node


def extract(path: Path) -> Extract:
    """Read a file and take from it what it defines.

    Raises UnreadableError if it is no notebook or no text, and OSError if it cannot be read.
    """
    if path.suffix == ".ipynb":
        return _from_cells(path, *read_notebook(path.read_bytes()))
    if path.suffix == ".py":
        return extract_script(path, decode(path.read_bytes()))
    raise UnreadableError(f"it is neither .py nor .ipynb but {path.suffix or 'without a suffix'}")


def extract_script(path: Path, text: str) -> Extract:
    """Take from a script's text what it defines."""
    return _from_cells(path, split_script(text), False)


def decode(data: bytes) -> str:
    """Return a script's text, by its own declaration of its encoding or else as UTF-8."""
    if b"\0" in data:
        raise UnreadableError("it is not text: it contains null bytes")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except (SyntaxError, ValueError, LookupError):
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_notebook(data: bytes) -> tuple[list[Cell], bool]:
    """Return the code cells of a notebook of any format version, and if its kernel is Python 2."""
    try:
        notebook = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UnreadableError("it is no notebook: it is not UTF-8 text") from None
    except json.JSONDecodeError as fault:
        raise UnreadableError(
            f"it is no notebook: its JSON breaks off at line {fault.lineno} ({fault.msg})"
        ) from None
    except RecursionError:
        raise UnreadableError("it is no notebook: its JSON is nested too deeply") from None
    except ValueError:
        raise UnreadableError("it is no notebook: a number in it has thousands of digits") from None
    if not isinstance(notebook, dict):
        raise UnreadableError("it is no notebook: its JSON is not an object")
    sheets = notebook.get("worksheets")
    sheets = sheets if isinstance(sheets, list) and sheets else [notebook]
    raw = [
        cell
        for sheet in sheets
        if isinstance(sheet, dict) and isinstance(sheet.get("cells"), list)
        for cell in sheet["cells"]
        if isinstance(cell, dict)
    ]
    if not raw and "cells" not in notebook and "worksheets" not in notebook:
        raise UnreadableError("it is no notebook: it has no cells")
    language = _language(notebook)
    if language and not language.lower().startswith(("python", "ipython")):
        raise UnreadableError(f"it is a notebook in {language}, and this reads Python")
    cells, number = [], 0
    for cell in raw:
        if cell.get("cell_type") != "code" or cell.get("language", "python") != "python":
            continue
        number += 1
        source = next((cell[key] for key in ("source", "input", "code") if key in cell), "")
        text = "".join(map(str, source)) if isinstance(source, list) else str(source)
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        cells.append(Cell(number, 1, text))
    return cells, _kernel_is_python2(notebook)


def split_script(text: str) -> list[Cell]:
    """Cut a script at the marks of an exported notebook (`# In[3]:`, `# %%`), if it has any."""
    lines = text.split("\n")
    marks = [i for i, line in enumerate(lines) if re.match(r"#\s*(In\s*\[[\d\s*]*\]|%%)", line)]
    if not marks:
        return [Cell(None, 1, text)]
    starts = sorted({0, *marks})
    ends = [*starts[1:], len(lines)]
    return [
        Cell(None, start + 1, "\n".join(lines[start:end]))
        for start, end in zip(starts, ends, strict=True)
    ]


def _language(notebook: dict[str, Any]) -> str:
    metadata = notebook.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    for key, name in (("language_info", "name"), ("kernelspec", "language")):
        part = metadata.get(key)
        if isinstance(part, dict) and isinstance(part.get(name), str):
            return str(part[name])
    return ""


def _kernel_is_python2(notebook: dict[str, Any]) -> bool:
    metadata = notebook.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    info, kernel = metadata.get("language_info"), metadata.get("kernelspec")
    version = info.get("version") if isinstance(info, dict) else None
    name = kernel.get("name") if isinstance(kernel, dict) else None
    return str(version).startswith("2.") or name == "python2"


def _from_cells(path: Path, cells: Iterable[Cell], python2: bool) -> Extract:
    statements: list[Statement] = []
    broken: list[Broken] = []
    written: dict[str, str] = {}
    taken: dict[str, float] = {}
    unrun: set[str] = set()
    rest: list[Statement] = []
    for cell in cells:
        magic, cell = _cell_magic(cell)
        if magic is not None:
            name, argument = magic
            if name in ("writefile", "file") and argument.endswith(".py"):
                written[Path(argument).stem] = cell.text
            if name not in ("time", "timeit", "capture", "prun", "notify"):
                continue
        text, is_old = translated(_without_magics(cell.text))
        python2 = python2 or is_old
        for piece in _pieces(cell, text):
            if isinstance(piece, Broken):
                broken.append(piece)
                continue
            piece = piece._replace(node=_definitions_alone(piece.node, taken))
            if _is_taken(piece.node, taken):
                statements.append(piece)
            else:
                rest.append(piece)
                unrun.update(
                    part.id
                    for part in ast.walk(piece.node)
                    if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
                )
    python2 = python2 or speaks(piece.node for piece in (*statements, *rest))
    return Extract(
        path,
        tuple(statements),
        tuple(broken),
        (_PYTHON_2,) if python2 else (),
        written,
        frozenset(unrun),
        tuple(rest),
        python2=python2,
        divides=python2 and not any(_imports_division(piece.node) for piece in statements),
    )


def _imports_division(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(alias.name == "division" for alias in node.names)
    )


_PYTHON_2 = "It is Python 2, and was run as that."


def _cell_magic(cell: Cell) -> tuple[tuple[str, str] | None, Cell]:
    """Return a cell's `%%name argument`, if it has one, and the cell without it."""
    stripped = cell.text.lstrip()
    found = re.match(r"%%(\w+)[ \t]*(.*)", stripped)
    # In a script `# %%` is a comment and no magic; here the line begins with it.
    if not found:
        return None, cell
    head = len(cell.text) - len(stripped)
    rest = cell.text[head + found.end() :]
    # The same number of lines, so that line numbers stay true.
    text = "\n" * cell.text[:head].count("\n") + rest
    argument = found[2].split()
    return (found[1], argument[-1] if argument else ""), Cell(cell.number, cell.first_line, text)


_MAGIC = re.compile(r"^(\s*)(?:[%!?].*|[\w.]+\?{1,2}\s*|[\w, ]+=\s*[%!].*)$")
_RUN = re.compile(r"^(\s*)%run\s+(?:-\w+\s+)*[\"']?([\w./-]+?)(?:\.py)?[\"']?\s*$")


def _pieces(cell: Cell, text: str) -> Iterator[Statement | Broken]:
    """Parse a cell; where it does not parse as a whole, its top-level statements one by one."""
    tree = _parse(text)
    if tree is not None:
        yield from _statements(cell, text, tree)
        return
    lines = text.split("\n")
    starts = [i for i, line in enumerate(lines) if _begins_a_statement(line)]
    at = 0
    while at < len(starts):
        start, ends = starts[at], [*starts[at + 1 :], len(lines)]
        # A string over several lines may hold lines that look like the beginning of a statement.
        for skipped, end in enumerate(ends[:_LONGEST]):
            chunk = "\n" * start + "\n".join(lines[start:end])
            tree = _parse(chunk)
            if tree is not None:
                yield from _statements(cell, chunk, tree)
                at += skipped + 1
                break
        else:
            yield _broken(cell, "\n" * start + "\n".join(lines[start : ends[0]]))
            at += 1


_LONGEST = 60


def _begins_a_statement(line: str) -> bool:
    return bool(line[:1].strip()) and not re.match(
        r"[)\]}#]|(?:else|elif|except|finally)\b|[\"']{3}\s*$", line
    )


def _without_magics(text: str) -> str:
    """Blank the lines that are IPython's and not Python's, where the parser stumbles on them."""
    lines = text.split("\n")
    for _ in range(sum(bool(_MAGIC.match(line)) for line in lines)):
        fault = fault_of("\n".join(lines))
        if fault is None or fault.lineno is None:
            break
        # The parser may notice a magic only on the line after it.
        at = next(
            (i for i in (fault.lineno - 1, fault.lineno - 2) if _is_magic(lines, i)),
            None,
        )
        if at is None:
            at = next((i for i in range(len(lines)) if _is_magic(lines, i)), None)
        if at is None:
            break
        run, magic = _RUN.match(lines[at]), _MAGIC.match(lines[at])
        indent = magic[1] if magic else ""
        lines[at] = f"{run[1]}from {Path(run[2]).name} import *" if run else f"{indent}pass"
    return "\n".join(lines)


def _is_magic(lines: list[str], at: int) -> bool:
    return 0 <= at < len(lines) and bool(_MAGIC.match(lines[at]))


def _parse(text: str) -> ast.Module | None:
    """Return the syntax tree, also where tabs and blanks are mixed as Python 2 allowed."""
    for candidate in (text, text.expandtabs(8)):
        if fault_of(candidate) is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(candidate)
    return None


def _statements(cell: Cell, text: str, tree: ast.Module) -> Iterator[Statement]:
    for node in map(_named_lambda, tree.body):
        segment = ast.get_source_segment(text, node) or ""
        yield Statement(ast.increment_lineno(node, cell.first_line - 1), cell.number, segment)


def _definitions_alone(node: ast.stmt, outer: Mapping[str, float]) -> ast.stmt:
    """Return a class without the statements of its body that are no definitions."""
    if isinstance(node, ast.ClassDef):
        taken = dict(outer)
        kept = [
            _definitions_alone(part, taken)
            for part in node.body
            if _is_taken(part, taken) or (isinstance(part, ast.AnnAssign) and part.value is None)
        ]
        node.body = kept or [ast.copy_location(ast.Pass(), node)]
    return node


def _named_lambda(node: ast.stmt) -> ast.stmt:
    """Return `f = lambda x: y` as the definition that it is."""
    match node:
        case ast.Assign(targets=[ast.Name(name)], value=ast.Lambda(args, body)):
            returned = ast.copy_location(ast.Return(body), body)
            definition = ast.FunctionDef(
                name=name, args=args, body=[returned], decorator_list=[], returns=None
            )
            return ast.fix_missing_locations(ast.copy_location(definition, node))
    return node


def _broken(cell: Cell, text: str) -> Broken:
    fault = fault_of(text)
    line = (fault.lineno if fault else None) or 1
    why = fault.msg if fault else "invalid syntax"
    found = stumbles(text)
    if found:
        line, rule = found
        why = f"{rule.what}, which is Python 2"
    defines = frozenset(re.findall(r"^\s*(?:def|class)\s+(\w+)", text, re.MULTILINE))
    return Broken(cell.where(line), why, defines)


def _is_taken(node: ast.stmt, taken: dict[str, float]) -> bool:
    """Say whether a top-level statement is a definition, and remember the names it defines.

    Each name is kept with the size of what it stands for, by `_bits`.
    """
    match node:
        case ast.Import(aliases) | ast.ImportFrom(names=aliases):
            taken.update(((alias.asname or alias.name).split(".")[0], 0) for alias in aliases)
            return True
        case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
            taken[name] = 0
            return True
        case ast.Assign(targets, value) if _is_constant(value, taken):
            assigned = [name for target in targets for name in _target_names(target)]
            taken.update(dict.fromkeys(assigned, _bits(value, taken)))
            return bool(assigned)
        case ast.AnnAssign(target=ast.Name(name), value=value) if value is not None:
            if _is_constant(value, taken):
                taken[name] = _bits(value, taken)
                return True
            return False
        case ast.If(test, body, orelse) if not any(
            isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(test)
        ):
            imports = any(isinstance(part, (ast.Import, ast.ImportFrom)) for part in ast.walk(node))
            inner = dict(taken)
            if imports and all(_does_nothing(s) or _is_taken(s, inner) for s in (*body, *orelse)):
                taken |= inner
                return True
            return False
        case ast.Try(body, handlers, orelse, finalbody):
            parts = [*body, *(s for h in handlers for s in h.body), *orelse, *finalbody]
            inner = dict(taken)
            if all(_does_nothing(s) or _is_taken(s, inner) for s in parts):
                taken |= inner
                return True
            return False
    return False


def _does_nothing(node: ast.stmt) -> bool:
    """Say whether a statement is `pass`, a text, or prints texts."""
    match node:
        case ast.Pass() | ast.Expr(ast.Constant()):
            return True
        case ast.Expr(ast.Call(ast.Name("print"), arguments, [])):
            return all(isinstance(argument, ast.Constant) for argument in arguments)
    return False


def _target_names(target: ast.expr) -> list[str]:
    match target:
        case ast.Name(name):
            return [name]
        case ast.Tuple(elts) | ast.List(elts) if all(isinstance(e, ast.Name) for e in elts):
            return [e.id for e in elts if isinstance(e, ast.Name)]
    return []


def _is_constant(node: ast.expr, taken: dict[str, float]) -> bool:
    """Say whether evaluating an expression only makes a value, and ends soon."""
    match node:
        case ast.Constant() | ast.Lambda():
            return True
        case ast.Name(name):
            return name in taken or name in _TYPES
        case ast.Attribute(value):
            return _is_constant(value, taken)
        case ast.UnaryOp(operand=operand):
            return _is_constant(operand, taken)
        case ast.BinOp(left, op, right):
            return (
                _is_constant(left, taken)
                and _is_constant(right, taken)
                and (not isinstance(op, ast.Pow) or _is_small(right))
                and _bits(node, taken) <= _MOST_BITS
            )
        case ast.Tuple(elts) | ast.List(elts) | ast.Set(elts):
            return all(_is_constant(e, taken) for e in elts)
        case ast.Dict(keys, values):
            return all(e is not None and _is_constant(e, taken) for e in [*keys, *values])
        case ast.Call(ast.Name(name), [], []) if _CLASS.match(name) and name in taken:
            return True  # _zero = Zero()
        case ast.Call(func, args, keywords):
            name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
            return (
                name in PURE_CALLS
                and (name != "range" or all(_bits(e, taken) <= _MOST_ROUNDS for e in args))
                and (isinstance(func, ast.Name) or _is_constant(func, taken))
                and all(_is_constant(e, taken) for e in args)
                and all(_is_constant(k.value, taken) for k in keywords)
            )
    return False


_CLASS = re.compile(r"_?[A-Z]\w*[a-z]")
"""What a class is called; an object that is made without arguments is a value like others."""

_MOST_BITS = 100_000
"""Size of the whole numbers that constants may hold: a power of large ones can take for ever."""

_MOST_ROUNDS = 24
"""Size of the whole numbers that a range may go through: 16 million."""


def _bits(node: ast.AST, taken: Mapping[str, float]) -> float:
    """Return how many bits the whole numbers in a constant can have, 0 if it has none."""
    match node:
        case ast.Constant(int(number)):
            return number.bit_length()
        case ast.Name(name):
            return taken.get(name, 0)
        case ast.BinOp(left, ast.Pow(), ast.Constant(int() | float() as power)):
            return _bits(left, taken) * max(float(power), 1.0)
        case ast.BinOp(left, ast.LShift(), right):
            return _bits(left, taken) + float(2 ** min(_bits(right, taken), 60))
        case ast.BinOp(left, _, right):
            return _bits(left, taken) + _bits(right, taken)
    return max((_bits(child, taken) for child in ast.iter_child_nodes(node)), default=0)


def _is_small(node: ast.expr) -> bool:
    node = node.operand if isinstance(node, ast.UnaryOp) else node
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, (int, float))
        and abs(node.value) < 400
    )


def _inside(node: ast.stmt) -> Iterator[ast.stmt]:
    """Yield a taken statement, and what an `if` or a `try` holds."""
    yield node
    if isinstance(node, ast.If):
        for part in (*node.body, *node.orelse):
            yield from _inside(part)
    if isinstance(node, ast.Try):
        for part in (*node.body, *(s for h in node.handlers for s in h.body), *node.orelse):
            yield from _inside(part)
