"""The namespace in which a file's definitions are run, and what its imports get.

Each statement that was taken from a file is run by itself, so that only what it defines is
missing if it fails. An import gets

- numpy, math: themselves, with what older files expect of them (`modules`),
- a module next to the file: what is taken from it in the same way,
- a helper of the course that is missing: ours, from `Helpers`,
- Python's own library: itself,
- anything else (matplotlib, h5py, tensorflow): a `Hollow`, which can be imported and named but
  not called.

A name that a file uses and never defines is looked for among the course's helpers too.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import importlib
import random
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from verify.homework.read import python2
from verify.homework.read.extract import (
    Extract,
    Statement,
    UnreadableError,
    extract,
    extract_script,
)
from verify.homework.read.modules import source_of
from verify.homework.run.contents import Contents, random_numbers
from verify.homework.run.faults import words
from verify.homework.run.fence import seal
from verify.homework.run.substitute_modules import (
    FLOAT,
    STAND_INS,
    Hollow,
    NumpyModule,
    cupy_module,
    filled,
    math_module,
    signal_module,
    special_module,
)


class Helpers(NamedTuple):
    """What replaces the helper modules of a course where they are missing.

    `module(name)` returns a module, or None if it is none of the course's; `function(name,
    unpacked)` one function, None if there is none, as it is when its result is `unpacked` as a
    pair; `examples` is the number of examples where a file takes it from its data.
    """

    module: Callable[[str], Hollow | None]
    function: Callable[[str, bool], Any]
    examples: int


class ObservedRandom:
    """`np.random` as a file sees it: a generator of its own, whose draws are remembered."""

    def __init__(self) -> None:
        self.draws: list[np.ndarray] = []
        self._state = np.random.RandomState(_SEED)
        self._python = random.Random(_SEED)
        self._functions = {
            name: getattr(self._python, name)
            for name in dir(self._python)
            if not name.startswith("_")
        }
        self._asked = False

    def restart(self) -> None:
        """Start again, so that every call of a function gets the same random numbers."""
        self.draws.clear()
        if self._asked:  # else nobody can have drawn
            self._state.seed(_SEED)
        if "library" in vars(self):
            self._python.seed(_SEED)
            self.library.__dict__.update(self._functions)

    @functools.cached_property
    def library(self) -> types.ModuleType:
        """The module `random` as a file sees it."""
        library = types.ModuleType("random")
        library.__dict__.update(self._functions)
        return library

    def __getattr__(self, name: str) -> Any:
        self._asked = True
        if name == "default_rng":
            return self._generator
        source = self._state if hasattr(self._state, name) else np.random
        return _remembering(getattr(source, _ALIASES.get(name, name)), self.draws)

    def _generator(self, seed: Any = None) -> Any:
        return _ObservedGenerator(
            np.random.default_rng(_SEED if seed is None else seed), self.draws
        )


class _ObservedGenerator:
    def __init__(self, generator: np.random.Generator, draws: list[np.ndarray]):
        self._of, self._draws = generator, draws

    def __getattr__(self, name: str) -> Any:
        return _remembering(getattr(self._of, name), self._draws)


_SEED = 20_001
_ALIASES = {"ranf": "random_sample", "sample": "random_sample"}


def _remembering(func: Any, draws: list[np.ndarray]) -> Any:
    """Return a method that remembers the arrays that it draws."""
    if not callable(func) or isinstance(func, type):
        return func

    def draw(*args: Any, **kwargs: Any) -> Any:
        result = func(*args, **kwargs)
        if isinstance(result, np.ndarray):
            draws.append(result.copy())
        return result

    return draw


@dataclass(eq=False)
class Workspace:
    """The namespace of one file, and what was found while it was filled."""

    extract: Extract
    numpy: NumpyModule
    random: ObservedRandom
    names: dict[str, Any] = field(default_factory=dict)
    modules: dict[str, Any] = field(default_factory=dict)
    remarks: dict[str, None] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    """Definitions that could not be run, by name, and why."""
    helpers: Helpers | None = None
    """What replaces a course's helper modules, for a file of a course."""
    everything: bool = False
    """Whether everything that is installed can be imported, not only Python's own library."""
    objects: Mapping[str, Any] = field(default_factory=dict)
    """What a recipe may have copies of: objects that a live process's own run made."""
    live: bool = False
    """Whether this is the user's own process, in which an interrupt is the user's."""

    missing: set[str] = field(default_factory=set)
    """The modules that are not here, and can be named but not called."""
    strict: bool = False
    """Whether such a module is not even named: the file says what it does without."""

    @functools.cached_property
    def contents(self) -> Contents:
        """What the namespace held when it was first asked for.

        In a live process the random numbers are the process's own.
        """
        return Contents(self.names, random_numbers() if self.live else ())

    def remark(self, sentence: str) -> None:
        """Add a remark, once."""
        self.remarks[sentence] = None

    def importer(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """Do what `__import__` does; a relative import is of a file next to this one."""
        module = self._module(name) if name else self._package(level)
        if self.strict and name in self.missing:
            raise ImportError(f"No module named {name!r}")
        if fromlist:
            if isinstance(module, Hollow):
                for part in (p for p in fromlist if p not in module.__dict__):
                    found = self._find(f"{name}.{part}".lstrip("."))
                    if (
                        not isinstance(found, Hollow)
                        or {"__all__", "__file__"} & vars(found).keys()
                    ):
                        module.__dict__[part] = found
                    elif self.strict:
                        raise ImportError(f"cannot import name {part!r}")
            return module
        top, *rest = name.split(".")
        if not rest:
            return module
        # `import a.b` binds the package a; with `as c`, Python takes b out of it.
        package = self._module(top)
        if isinstance(package, Hollow):
            package.__dict__[rest[-1]] = module
        return package

    def _package(self, level: int) -> Any:
        """Return the package that a file lies in, or one above it."""
        folder = self.extract.path.resolve().parents[max(level, 1) - 1]
        name = f"{folder}/__init__"
        if name not in self.modules:
            own = self.extract.path.resolve() == folder / "__init__.py"
            self.modules[name] = (None if own else self._of_path(name, folder / "__init__.py")) or (
                Hollow(".")
            )
        return self.modules[name]

    def _module(self, name: str) -> Any:
        if name not in self.modules:
            self.modules[name] = self._find(name)
        return self.modules[name]

    def _find(self, name: str) -> Any:
        first, *rest = name.split(".")
        last = rest[-1] if rest else first
        if first in ("numpy", "cupy"):
            found: Any = self.numpy
            if first == "cupy":
                self.remark("CuPy is not run here; NumPy was used instead.")
                found = cupy_module(self.numpy)
            for part in rest:
                found = getattr(found, part, Hollow(name))
            return found
        if name == "math":
            return math_module()
        if name == "random":
            return self.random.library
        if (module := self._next_to_file(name)) is not None:
            return module
        if self.helpers is not None and (helper := self.helpers.module(last)) is not None:
            if helper.__all__:
                self.remark(f"{last} is not next to the file; ours was used instead.")
            return helper
        if name in ("cupyx", "numba"):
            return filled(name, STAND_INS[name])
        if name == "scipy.special":
            return special_module()
        if name == "scipy.signal":
            return signal_module()
        if name == "scipy":
            scipy = Hollow("scipy")
            scipy.__dict__["special"] = self._module("scipy.special")
            return scipy
        if first in sys.stdlib_module_names:
            return importlib.import_module(name)
        if self.everything:
            with contextlib.suppress(ImportError):
                return importlib.import_module(name)
        self.missing.add(name)
        return Hollow(name)

    def _next_to_file(self, name: str) -> types.ModuleType | None:
        if name in self.extract.written:
            found = extract_script(self.extract.path, self.extract.written[name])
            return self._filled(name, found)
        path = source_of(name, self.extract.path)
        return self._of_path(name, path) if path is not None else None

    def _of_path(self, name: str, path: Path) -> types.ModuleType | None:
        if not path.is_file():
            return None
        try:
            return self._filled(name, extract(path))
        except UnreadableError as fault:
            self.remark(f"{path.name}, next to the file, cannot be read: {fault}.")
            return None

    def _filled(self, name: str, found: Extract) -> types.ModuleType:
        if self.extract.python2:
            found = replace(found, python2=True, divides=self.extract.divides)
        module = Hollow(name)
        self.modules[name] = module  # before it is filled: two helpers may import each other
        inner = Workspace(
            found,
            self.numpy,
            self.random,
            module.__dict__,
            self.modules,
            helpers=self.helpers,
            missing=self.missing,
        )
        inner.run()
        self.remarks.update(inner.remarks)
        return module

    def run(self) -> None:
        """Run what was taken from the file, statement by statement."""
        older = PYTHON_2 if self.extract.python2 else {}
        own = {
            "__builtins__": {
                **vars(builtins),
                "__import__": self.importer,
                "float": FLOAT,
                **older,
            },
            "__name__": "submission",
            "__file__": str(self.extract.path),
        }
        self.names.update(own)
        # What looks its module up while a class is made, as dataclasses do, finds this one.
        module = types.ModuleType("submission")
        module.__dict__.update(self.names)
        with _registered(module):
            self._run_statements()
        self._fill_in()

    def _run_statements(self) -> None:
        for statement in self.extract.statements:
            try:
                self._execute(statement)
            except BaseException as fault:
                why = f"{type(fault).__name__}: {words(fault)}"
                for name in _defined_by(statement.node):
                    self.failed[name] = f"{statement.where(statement.node.lineno)}: {why}"

    def _execute(self, statement: Statement) -> None:
        code = self.compiled(statement)
        inner = ast.walk(statement.node) if isinstance(statement.node, ast.If) else [statement.node]
        if any(isinstance(part, ast.Try) for part in inner):
            self.strict = True  # what the file does without a module that is missing
            with contextlib.suppress(BaseException):
                exec(code, self.names)
                return
        self.strict = False
        exec(code, self.names)

    def compiled(self, statement: Statement) -> CodeType:
        """Return the code of a statement of the file, as the file's Python means it."""
        flags, node = _future_flags(self.extract), statement.node
        if self.extract.python2:
            node = python2.compiled_as(node, self.extract.divides)
        where = self.extract.label(statement.cell)
        code: CodeType = compile(ast.Module([node], []), where, "exec", flags, dont_inherit=True)
        return code

    def _fill_in(self) -> None:
        """Add the course's helpers that the file uses and never defines."""
        if not self.extract.functions and not self.extract.classes:
            return
        defined = {*self.names, *vars(builtins)}
        for name in sorted(_free_names(self.extract) - defined):
            if name in ("np", "numpy"):
                self.names[name] = self.numpy
                self.remark(f"The file uses {name} without importing NumPy.")
            elif name == "math":
                self.names[name] = self._module("math")
            elif self.helpers is None:
                continue
            elif name == "m" and name in self.extract.unrun:
                self.names[name] = self.helpers.examples
                self.remark(
                    "m is computed from data that is not read here; it was taken as "
                    "the number of examples."
                )
            elif (
                found := self.helpers.function(name, is_unpacked(self.extract, name))
            ) is not None:
                self.names[name] = found
                self.remark(f"{name} is not defined in the file; ours was used instead.")


@contextlib.contextmanager
def _registered(module: types.ModuleType) -> Iterator[None]:
    """Keep a module in sys.modules inside a `with` block."""
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        if before is None:
            del sys.modules[module.__name__]
        else:
            sys.modules[module.__name__] = before


def open_workspace(
    found: Extract, *, helpers: Helpers | None = None, everything: bool = False
) -> Workspace:
    """Return the workspace of a file, its definitions run, in a process that is sealed for it."""
    seal()
    random = ObservedRandom()
    numpy = NumpyModule(random)
    workspace = Workspace(found, numpy, random, helpers=helpers, everything=everything)
    workspace.run()
    return workspace


def _divided(one: Any, other: Any) -> Any:
    """Divide as Python 2 does."""
    whole = all(np.asarray(each).dtype.kind in "iu" for each in (one, other))
    return one // other if whole else one / other


PYTHON_2: dict[str, Any] = {
    python2.DIVIDED: _divided,
    "xrange": range,
    "range": lambda *bounds: list(range(*bounds)),
    "zip": lambda *each: list(zip(*each, strict=False)),
    "map": lambda *each: list(map(*each)),
    "filter": lambda *each: list(filter(*each)),
    "reduce": functools.reduce,
    "unicode": str,
    "basestring": str,
    "unichr": chr,
    "long": int,
    "raw_input": input,
}
"""What Python 2 has under names that are gone, or means differently."""


def _future_flags(found: Extract) -> int:
    """Return how the file's code is compiled; what annotates it is never run, nor need it be."""
    import __future__

    flags = __future__.annotations.compiler_flag
    for statement in found.statements:
        if isinstance(statement.node, ast.ImportFrom) and statement.node.module == "__future__":
            for alias in statement.node.names:
                feature = getattr(__future__, alias.name, None)
                flags |= feature.compiler_flag if feature is not None else 0
    return flags


def _defined_by(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    return [
        n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    ]


def _free_names(found: Extract) -> set[str]:
    """Return the names that the file's functions read and do not assign."""
    free: set[str] = set()
    for node in (*found.functions.values(), *found.classes.values()):
        names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
        stored = {n.id for n in names if isinstance(n.ctx, ast.Store)}
        arguments = {a.arg for a in ast.walk(node) if isinstance(a, ast.arg)}
        free |= {n.id for n in names if isinstance(n.ctx, ast.Load)} - stored - arguments
    return free


def is_unpacked(found: Extract, name: str) -> bool:
    """Say whether the file expects a pair of this function: `A, cache = relu(Z)`."""
    return any(
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Tuple)
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, "id", None) == name
        for statement in found.statements
        for node in ast.walk(statement.node)
    )
