"""The narrow door: "call this on these arrays", and arrays come back.

Behind it is a worker that the judge forks: it runs a file's definitions and answers questions; the
judge never runs them itself. Or it is this process, for a notebook that checks itself (`run.live`).
A question holds a recipe: steps that call functions and methods, and expressions for what
they are given. Instances, caches and whatever else a file makes stay on the far side. Every
evaluation of a recipe gets fresh copies of its inputs, the same random numbers, and the file's
global names as they were.

    step        ("call", function, arguments, keywords)   its result is the next slot
                ("put", holder, key, value)               an attribute, an item, an array's content
                ("global", name, value)
                ("define", class or None, name, source)  another definition, for this run alone
    expression  ("in", name)  ("value", tree)  ("slot", number)  ("name", global name)
                ("at", expression, key)  an item of a sequence or a dict, or an attribute
                ("tuple", [...])  ("list", [...])  ("dict", [[key, expression], ...])
                ("vars", expression)  the attributes of an object, as a dict; those of objects in
                                      it are dicts too
                ("new", class, {argument: expression})  another object of a class
                ("tanh",)  ("tanh'",)  functions, for want of the file's own
                ("descent", rate, where)  an optimiser, for want of the file's own, that moves
                                      arrays where they are ("here") or makes others ("anew")
                ("layer", scale)  a layer of a network, for want of the file's own
                ("activation",)  an object that is a function and has a derivative
                ("generator", seed)  a new generator of random numbers
                ("softmax", expression)  of the rows of an array
                ("step", before, after, rate)  along which an array moved: (before - after) / rate
                ("bare", class)  an object of a class, made without its constructor
                ("copy", key)  a copy of what was kept of a live process's run
                ("copier", key)  what makes such a copy, to be called
"""

from __future__ import annotations
import __future__

import ast
import contextlib
import copy
import functools
import hashlib
import inspect
import itertools
import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, FrameType, MethodType
from typing import Any, NamedTuple, Protocol

import numpy as np

from verify.homework.read import python2
from verify.homework.read.extract import Extract
from verify.homework.run.calls import CallError, attempted, fresh
from verify.homework.run.namespace import Workspace
from verify.homework.run.recorder import recorded
from verify.homework.run.stand_ins import FUNCTIONS, Activation, Descent, Layer
from verify.homework.run.wire import Opaque, WireError, encode, receive, send, write

PATIENCE = 5.0
"""Seconds beyond its own time that a recording may take to answer."""

PROCESSOR = "processor"
"""The key of an answer under which a worker says how many processor seconds it has used."""

CROWDED = 2.0
"""How much longer than its work a file may take on a busy machine."""

TIMED = 3
"""How often a recipe is run to see how long it takes."""

Expression = tuple[Any, ...]
Step = tuple[Any, ...]
Arrays = Mapping[str, Any]


class Recipe(NamedTuple):
    """Steps, and what is wanted of their results."""

    steps: Sequence[Step]
    wanted: Sequence[Expression]


class Raised(NamedTuple):
    """What a recipe raised: in a sentence, by which step, and in which line of the file."""

    sentence: str
    step: int
    kind: str
    function: str
    cell: int | None
    line: int | None


class DoorError(RuntimeError):
    """The worker behind the door is gone; `status` is how it ended."""

    def __init__(self, status: int | None):
        super().__init__("The process that runs the file has ended")
        self.status = status


Question = Mapping[str, Any]
Answer = dict[str, Any]


class FarSide(Protocol):
    """What answers questions: a worker, or this process."""

    @property
    def processor(self) -> float:
        """Processor seconds that it has used, where it is another process."""

    def ask(self, question: Question) -> Answer:
        """Return the answer to a question; raise DoorError where nobody is there any more."""

    def record(self, wanted: list[str], seconds: float) -> dict[str, dict[str, Any]]:
        """Return the calls that are known of functions, as `Door.record` does."""

    def close(self) -> None:
        """Answer nothing more."""


class Door:
    """The near side: questions to what holds the definitions of one file."""

    def __init__(self, far: FarSide):
        self._far = far
        self._opened_at = time.process_time() + far.processor, time.monotonic()

    def run(self, recipe: Recipe, given: Arrays) -> tuple[Any, ...] | Raised:
        """Return what a recipe's wanted expressions are, as trees, or what it raised."""
        answer = self._ask("run", recipe=recipe, given=given)
        return Raised(*answer["raised"]) if "raised" in answer else tuple(answer["results"])

    def seconds(self, recipe: Recipe, given: Arrays) -> float:
        """Return for how long the processor runs a recipe, the least of a few times."""
        return float(self._ask("seconds", recipe=recipe, given=given)["seconds"])

    def lines(self, recipe: Recipe, given: Arrays) -> set[tuple[int | None, int]]:
        """Return the lines of the file, each with its cell, that run in a recipe."""
        return {
            (cell, line) for cell, line in self._ask("lines", recipe=recipe, given=given)["lines"]
        }

    def reach(self, recipe: Recipe, given: Arrays) -> tuple[int, int, bool]:
        """Return how far a recipe runs: the lines of the file that do, and where it raises.

        That is the place in the code of the outermost function, 0 where nothing is raised; and
        whether it comes to its end.
        """
        lines, place, whole = self._ask("reach", recipe=recipe, given=given)["reach"]
        return int(lines), int(place), bool(whole)

    def with_each(
        self, recipe: Recipe, given: Arrays, definitions: Sequence[Step]
    ) -> list[tuple[Any, ...] | None]:
        """Return what is wanted with each definition in force, None where it raises."""
        answer = self._ask("with_each", recipe=recipe, given=given, definitions=definitions)
        return [None if found is None else tuple(found) for found in answer["found"]]

    def shapes(
        self, recipe: Recipe, given: Arrays, function: str, texts: Sequence[str]
    ) -> dict[str, tuple[int, ...]]:
        """Return the shapes that names, attributes and items have where a function returns."""
        found = self._ask("shapes", recipe=recipe, given=given, function=function, texts=texts)
        return {text: tuple(shape) for text, shape in found["shapes"]}

    def sweep(
        self,
        recipe: Recipe,
        given: Arrays,
        moves: Sequence[tuple[str, int, float]],
        seconds: float,
    ) -> np.ndarray:
        """Return a row of numbers for each move: what is wanted, with one entry of an array moved.

        A move is the array's name, the entry's flat index, and by how much it is moved.
        A move that raises or that gives another number of numbers is a row of nan; fewer rows
        come back where the time is up.
        """
        names = [name for name, _, _ in moves]
        entries = np.array([entry for _, entry, _ in moves], int)
        steps = np.array([step for _, _, step in moves], float)
        rows = self._ask(
            "sweep", recipe=recipe, given=given, names=names, entries=entries, steps=steps,
            seconds=seconds,
        )["rows"]  # fmt: skip
        return np.asarray(rows, float)

    def about(self) -> dict[str, Any]:
        """Return what the file defines and what was said while its definitions ran."""
        return dict(self._ask("about"))

    def clock(self) -> float:
        """Return seconds of work: what busy neighbours take of the processor is none of it.

        They are the processor's seconds of both sides, or, as of a file that sleeps, a part of the
        wall's.
        """
        used = time.process_time() + self._far.processor
        return max(used - self._opened_at[0], (time.monotonic() - self._opened_at[1]) / CROWDED)

    def record(self, wanted: Sequence[str], seconds: float) -> dict[str, dict[str, Any]]:
        """Return the first call that the file's own statements make of each wanted function.

        By its qualified name: `arguments` by name, and for a method `state`, its object's
        attributes.
        """
        return self._far.record(list(wanted), seconds)

    def close(self) -> None:
        """Ask nothing more."""
        self._far.close()

    def _ask(self, what: str, **question: Any) -> Answer:
        return self._far.ask({"ask": what, **question})


class _Worker:
    """A worker that runs one file, seen from the judge.

    Every evaluation of a recipe gives the same, so a sweep that comes again, as where a pass can be
    called in several ways that come to one, is answered from what is known.
    """

    def __init__(self, pid: int, reader: int, writer: int, opened: Callable[[], Workspace]):
        self._pid, self._reader, self._writer, self._opened = pid, reader, writer, opened
        self._swept: dict[bytes, Answer] = {}
        self.processor = 0.0
        self.status: int | None = None

    def ask(self, question: Question) -> Answer:
        message = encode(question)
        if question["ask"] != "sweep":
            return self._answer(message)
        key = hashlib.sha256(message).digest()
        if key in self._swept:
            return self._swept[key]
        answer = self._answer(message)
        if len(answer["rows"]) == len(question["names"]):  # its time was not up
            self._swept[key] = answer
        return answer

    def _answer(self, message: bytes) -> Answer:
        try:
            write(self._writer, message)
            answer = receive(self._reader)
        except (OSError, WireError):
            answer = None
        if not isinstance(answer, dict):
            self._wait()
            raise DoorError(self.status)
        used = answer.pop(PROCESSOR, None)
        if isinstance(used, float) and used > self.processor:
            self.processor = used
        return answer

    def record(self, wanted: list[str], seconds: float) -> dict[str, dict[str, Any]]:
        """Run the statements in a worker of their own: what they change is gone with it."""
        worker = _forked(self._opened)
        try:
            return worker._recorded(wanted, seconds)
        except (OSError, WireError):
            return {}
        finally:
            worker.close()

    def _recorded(self, wanted: list[str], seconds: float) -> dict[str, dict[str, Any]]:
        send(self._writer, {"ask": "record", "wanted": wanted, "seconds": seconds})
        if not select.select([self._reader], [], [], seconds + PATIENCE)[0]:
            return {}
        answer = receive(self._reader)
        return dict(answer["calls"]) if isinstance(answer, dict) else {}

    def close(self) -> None:
        for descriptor in (self._reader, self._writer):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._wait()

    def _wait(self) -> None:
        with contextlib.suppress(ChildProcessError):
            self.status = os.waitpid(self._pid, 0)[1]


def open_door(opened: Callable[[], Workspace]) -> Door:
    """Fork the worker that opens a workspace and answers questions about it."""
    return Door(_forked(opened))


def _forked(opened: Callable[[], Workspace]) -> _Worker:
    here_reader, far_writer = os.pipe()
    far_reader, here_writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's and JAX's, of threads, which are not used there
        pid = os.fork()
    if pid == 0:
        try:
            os.close(here_reader)
            os.close(here_writer)
            _serve(opened(), far_reader, far_writer)
        except BaseException:
            os._exit(70)
        os._exit(0)
    os.close(far_reader)
    os.close(far_writer)
    return _Worker(pid, here_reader, here_writer, opened)


# The far side.


def _serve(workspace: Workspace, reader: int, writer: int) -> None:
    me = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while (question := receive(reader)) is not None:
            answer = answered(workspace, question)
            if os.getpid() != me:
                os._exit(0)  # the file forked, and this is the copy
            send(writer, {**answer, PROCESSOR: time.process_time()})


def answered(workspace: Workspace, question: Question) -> Answer:
    """Answer a question about a workspace."""
    return _ANSWERS[question["ask"]](workspace, question)


def _about(workspace: Workspace, question: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        name: value
        for name, value in workspace.names.items()
        if not name.startswith("__") and not callable(value)
    }
    return {
        "names": names,
        "callable": [name for name, value in workspace.names.items() if callable(value)],
        "failed": dict(workspace.failed),
        "remarks": list(workspace.remarks),
        "legacy": sorted(workspace.numpy.legacy),
    }


def _answer_run(workspace: Workspace, question: Mapping[str, Any]) -> dict[str, Any]:
    recipe = Recipe(*question["recipe"])
    try:
        return {"results": _Run(workspace, question["given"]).results(recipe)}
    except _StepError as fault:
        return {"raised": fault.raised}


def _answer_seconds(workspace: Workspace, question: Mapping[str, Any]) -> dict[str, Any]:
    def taken() -> float:
        start = time.process_time()
        with contextlib.suppress(_StepError):
            _Run(workspace, question["given"]).results(Recipe(*question["recipe"]))
        return time.process_time() - start

    return {"seconds": min(taken() for _ in range(TIMED))}


def _answer_with_each(workspace: Workspace, question: Mapping[str, Any]) -> dict[str, Any]:
    recipe, found = Recipe(*question["recipe"]), list[list[Any] | None]()
    for definition in question["definitions"]:
        with_it = Recipe((definition, *recipe.steps), recipe.wanted)
        try:
            found.append(_Run(workspace, question["given"]).results(with_it))
        except _StepError:
            found.append(None)
    return {"found": found}


def _answer_lines(workspace: Workspace, question: Mapping[str, Any]) -> dict[str, Any]:
    ran: set[tuple[int | None, int]] = set()
    _observed(workspace, question, lambda frame, cell, _: ran.add((cell, frame.f_lineno)))
    return {"lines": sorted(ran, key=str)}


def _answer_reach(workspace: Workspace, question: Mapping[str, Any]) -> dict[str, Any]:
    ran: set[tuple[int | None, int]] = set()
    raised = [0]

    def note(frame: FrameType, cell: int | None, event: str) -> None:
        ran.add((cell, frame.f_lineno))
        if event == "exception":
            raised[0] = frame.f_lasti  # the last one told is that of the outermost function

    whole = _observed(workspace, question, note)
    return {"reach": [len(ran), 0 if whole else raised[0], whole]}


def _answer_shapes(workspace: Workspace, question: Mapping[str, Any]) -> dict[str, Any]:
    shapes: dict[str, tuple[int, ...]] = {}

    def note(frame: FrameType, cell: int | None, event: str) -> None:
        if event == "return" and frame.f_code.co_name == question["function"]:
            for text in question["texts"]:
                with contextlib.suppress(Exception):
                    value = eval(text, frame.f_globals, frame.f_locals)
                    if isinstance(value, np.ndarray | np.generic | float | int):
                        shapes[text] = np.shape(value)

    _observed(workspace, question, note)
    return {"shapes": list(shapes.items())}


def _observed(
    workspace: Workspace,
    question: Mapping[str, Any],
    note: Callable[[FrameType, int | None, str], None],
) -> bool:
    """Run a recipe, and tell each line and each return in the file as it happens.

    Say whether it came to its end.
    """
    found = workspace.extract
    cells = {found.label(statement.cell): statement.cell for statement in found.statements}

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in cells:
            return None
        note(frame, cells[frame.f_code.co_filename], event)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        _Run(workspace, question["given"]).results(Recipe(*question["recipe"]))
    except _StepError:
        return False
    finally:
        sys.settrace(before)
    return True


def _answer_sweep(workspace: Workspace, question: Mapping[str, Any]) -> dict[str, Any]:
    recipe, given = Recipe(*question["recipe"]), question["given"]
    moves = zip(question["names"], question["entries"], question["steps"], strict=True)
    deadline = time.monotonic() + float(question["seconds"])
    rows: list[np.ndarray] = []
    try:
        width = _numbers(_Run(workspace, given).results(recipe)).size
    except _StepError:
        return {"rows": np.zeros((0, 0))}
    for name, entry, step in moves:
        if time.monotonic() > deadline:
            break
        delta = np.zeros_like(given[name])
        delta.flat[entry] = step
        try:
            at = {**given, name: given[name] + delta}
            row = _numbers(_Run(workspace, at).results(recipe))
        except _StepError:
            row = np.full(width, np.nan)
        rows.append(row if row.size == width else np.full(width, np.nan))
    return {"rows": np.array(rows).reshape(len(rows), width)}


def _answer_record(workspace: Workspace, question: Mapping[str, Any]) -> dict[str, Any]:
    return {"calls": recorded(workspace, question["wanted"], float(question["seconds"]))}


def _numbers(results: Sequence[Any]) -> np.ndarray:
    parts = []
    for result in results:
        with contextlib.suppress(ValueError, TypeError):
            parts.append(np.asarray(result, float).reshape(-1))
    return np.concatenate(parts) if parts else np.zeros(0)


class _StepError(Exception):
    def __init__(self, raised: Raised):
        super().__init__(raised.sentence)
        self.raised = raised


class _Run:
    """One evaluation of a recipe."""

    def __init__(self, workspace: Workspace, given: Arrays):
        self.workspace, self.given = workspace, given
        self.slots: list[Any] = []
        self.replaced: list[tuple[Any, str, Any]] = []

    def results(self, recipe: Recipe) -> list[Any]:
        contents = self.workspace.contents
        self.workspace.random.restart()
        number = -1
        try:
            for number, step in enumerate(recipe.steps):  # noqa: B007
                self._do(step)
            number = len(recipe.steps)
            return [_crossing(self._value(wanted)) for wanted in recipe.wanted]
        except CallError as fault:
            place = fault.place
            where = (place.cell, place.line) if place else (None, None)
            function = place.function if place else ""
            raise _StepError(Raised(str(fault), number, fault.raised, function, *where)) from None
        except Exception as fault:
            says = f"{type(fault).__name__}: {fault}"
            raise _StepError(Raised(says[:300], number, "unfit", "", None, None)) from None
        finally:
            for owner, name, old in reversed(self.replaced):
                setattr(owner, name, old)
            contents.put_back()

    def _do(self, step: Sequence[Any]) -> None:
        kind, *rest = step
        if kind == "call":
            function, arguments, keywords = rest
            called = self._value(function)
            args = [self._value(a) for a in arguments]
            named = {key: self._value(value) for key, value in keywords.items()}
            if missing := _unnamed(called, args, named):
                first = dict(itertools.islice(named.items(), missing))
                args += first.values()
                named = {key: value for key, value in named.items() if key not in first}
            result = attempted(self.workspace, _shown(function), called, *args, **named)
            self.slots.append(result)
        elif kind == "put":
            holder, key, value = self._value(rest[0]), rest[1], self._value(rest[2])
            _put(holder, key, value)
        elif kind == "define":
            self._define(*rest)
        else:
            self.workspace.names[rest[0]] = self._value(rest[1])

    def _define(self, owner: str | None, name: str, source: str) -> None:
        names, made = self.workspace.names, dict[str, Any]()
        exec(_compiled(source, self.workspace.extract), names, made)
        if owner is None:
            names[name] = made[name]
            return
        holder = names[owner]
        self.replaced.append((holder, name, vars(holder)[name]))
        setattr(holder, name, made[name])

    def _value(self, expression: Sequence[Any]) -> Any:
        kind, *rest = expression
        if kind == "in":
            return fresh(self.given[rest[0]])
        if kind == "value":
            return fresh(rest[0])
        if kind == "slot":
            return self.slots[rest[0]]
        if kind == "name":
            return self.workspace.names[rest[0]]
        if kind == "at":
            return _part(self._value(rest[0]), rest[1])
        if kind == "tuple":
            return tuple(self._value(item) for item in rest[0])
        if kind == "list":
            return [self._value(item) for item in rest[0]]
        if kind == "dict":
            return {key: self._value(item) for key, item in rest[0]}
        if kind == "generator":
            return np.random.default_rng(rest[0])
        if kind == "softmax":
            scores = np.exp(self._value(rest[0]))
            return scores / scores.sum(axis=-1, keepdims=True)
        if kind == "step":
            before, after, rate = map(self._value, rest)
            return (before - after) / rate
        if kind == "copy":
            return copy.deepcopy(self.workspace.objects[rest[0]])
        if kind == "copier":
            return lambda: copy.deepcopy(self.workspace.objects[rest[0]])
        if kind == "bare":
            made = self.workspace.names[rest[0]]
            return lambda: made.__new__(made)
        if kind == "vars":
            return _attributes(self._value(rest[0]))
        if kind == "new":
            made = self.workspace.names[rest[0]]
            return made(**{key: self._value(item) for key, item in rest[1].items()})
        if kind in FUNCTIONS:
            return FUNCTIONS[kind]
        if kind == "descent":
            return Descent(*rest)
        if kind == "layer":
            return Layer(rest[0])
        if kind == "activation":
            return Activation()
        raise WireError(f"no expression is called {kind}")


@functools.lru_cache(maxsize=4096)
def _compiled(source: str, found: Extract) -> CodeType:
    """Return the code of a definition, which is tried in several settings."""
    tree = ast.parse(source)
    if found.python2:
        tree.body = [python2.compiled_as(node, found.divides) for node in tree.body]
    flags = __future__.annotations.compiler_flag
    code: CodeType = compile(tree, "<another definition>", "exec", flags, dont_inherit=True)
    return code


def _unnamed(called: Any, args: Sequence[Any], named: Mapping[str, Any]) -> int:
    """Return how many arguments a decorator's wrapper, `def wrapper(x, **kwargs)`, calls otherwise.

    These it must be given by their places.
    """
    code = getattr(getattr(called, "__func__", called), "__code__", None)
    if code is None or not code.co_flags & inspect.CO_VARKEYWORDS:
        return 0
    start = len(args) + isinstance(called, MethodType)
    end = code.co_argcount - len(getattr(called, "__defaults__", None) or ())
    return sum(name not in named for name in code.co_varnames[start:end])


def _part(holder: Any, key: Any) -> Any:
    if isinstance(holder, Mapping):
        return holder[key]
    if isinstance(key, int):
        return holder[key]
    return getattr(holder, key)


def _put(holder: Any, key: Any, value: Any) -> None:
    """Set an attribute or an item; an array of the same shape keeps its identity."""
    try:
        old = _part(holder, key)
    except (AttributeError, KeyError, IndexError, TypeError):
        old = None
    if (
        isinstance(old, np.ndarray)
        and isinstance(value, np.ndarray)
        and old.shape == value.shape
        and old.dtype == value.dtype
        and old.flags.writeable
    ):
        old[...] = value
    elif isinstance(holder, (dict, list)):
        holder[key] = value
    else:
        setattr(holder, key, value)


DEEPEST = 4
"""Objects in objects whose attributes are shown."""


def _attributes(value: Any, above: tuple[int, ...] = ()) -> dict[str, Any]:
    slots = getattr(type(value), "__slots__", ())
    named = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    named |= getattr(value, "__dict__", {})
    return {name: _shown_inside(part, (*above, id(value))) for name, part in named.items()}


def _shown_inside(value: Any, above: tuple[int, ...]) -> Any:
    """Return a value, objects of the file's own classes in it as their attributes."""
    if len(above) > DEEPEST or id(value) in above:
        return Opaque(type(value).__name__)
    if type(value) in (list, tuple) and len(value) <= MOST_INSIDE:
        return type(value)(_shown_inside(part, above) for part in value)
    if isinstance(value, dict) and len(value) <= MOST_INSIDE:
        return {key: _shown_inside(part, above) for key, part in value.items()}
    if type(value).__module__ == OWN and not isinstance(value, type):
        return _attributes(value, above)
    return value


MOST_INSIDE = 16
"""Objects of a list or a dict that are shown."""

OWN = "submission"
"""The module of the file's own classes, and of those beside it."""


def _crossing(value: Any) -> Any:
    """Return an object of the file's own as its attributes, one level deep."""
    if isinstance(value, np.matrix):
        return np.asarray(value)
    return value


def _shown(function: Sequence[Any]) -> str:
    kind, *rest = function
    if kind == "name":
        return str(rest[0])
    if kind == "at":
        return str(rest[1])
    return "it"


_ANSWERS: dict[str, Callable[[Workspace, Mapping[str, Any]], dict[str, Any]]] = {
    "about": _about,
    "run": _answer_run,
    "seconds": _answer_seconds,
    "with_each": _answer_with_each,
    "lines": _answer_lines,
    "reach": _answer_reach,
    "shapes": _answer_shapes,
    "sweep": _answer_sweep,
    "record": _answer_record,
}
