"""Calling somebody's functions: arguments by their names, results by what they look like."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from verify.findings import where
from verify.homework.report import CRASHED, UNDECIDED, UNREADABLE
from verify.homework.run.faults import words
from verify.homework.run.namespace import Workspace
from verify.homework.run.substitute_modules import AbsentError
from verify.printable import echo


class Place(NamedTuple):
    """A line of the file, in a cell (None in a script), and the function that it is in."""

    cell: int | None
    line: int
    function: str

    def __str__(self) -> str:
        return where(self.cell, self.line)


class CallError(Exception):
    """A function of the file raised, or could not be called.

    `function` is its name and `what` it did, so that both make a sentence. `verdict` is what
    follows for it. Where it raised, `raised` is the name of the exception, and `place` the line.
    """

    def __init__(
        self,
        function: str,
        what: str,
        verdict: str = CRASHED,
        raised: str = "",
        place: Place | None = None,
    ):
        super().__init__(function, what)
        self.function = function
        self.what = what
        self.verdict = verdict
        self.raised = raised
        self.place = place

    @property
    def clause(self) -> str:
        """The sentence without its full stop."""
        return f"{self.function} {self.what}" if self.function else self.what

    def __str__(self) -> str:
        return f"{self.clause}."


def guarded(
    workspace: Workspace, name: str, func: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """Call a function of the file, and say in a sentence what it raised and where."""
    workspace.random.restart()
    return attempted(workspace, name, func, *args, **kwargs)


def attempted(
    workspace: Workspace, name: str, func: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """Call a function of the file as `guarded` does, but let random numbers go on."""
    me = os.getpid()
    try:
        with np.errstate(all="ignore"):
            return func(*args, **kwargs)
    except CallError:
        raise
    except BaseException as fault:
        if workspace.live and isinstance(fault, KeyboardInterrupt):
            raise
        what, verdict = _consequence(workspace, fault, args, kwargs)
        places = _places(workspace, fault)
        place = places[-1] if places else None
        raise CallError(name, what, verdict, type(fault).__name__, place) from fault
    finally:
        if os.getpid() != me:
            os._exit(0)  # the function forked, and this is the copy


def _consequence(
    workspace: Workspace, fault: BaseException, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[str, str]:
    """Return what a function did when it raised, in words, and the verdict that follows."""
    if isinstance(fault, AbsentError):
        return f"calls {fault}{_where(workspace, fault)}", UNREADABLE
    if isinstance(fault, RecursionError):
        return f"calls itself without end{_where(workspace, fault)}", CRASHED
    if isinstance(fault, SystemExit):
        return f"ends the program (sys.exit){_where(workspace, fault)}", CRASHED
    text = f"raised {_raised(workspace, fault)}"
    if isinstance(fault, NameError):
        if fault.name in workspace.extract.unrun:
            return (
                f"{text}. The file makes it outside of its functions, by code that is not run here",
                UNDECIDED,
            )
        return text, CRASHED
    named = (f"{key} {_described(value)}" for key, value in kwargs.items())
    given = ", ".join([*map(_described, args), *named])
    return (f"{text}. It was called with {echo(given)}" if given else text), CRASHED


def _raised(workspace: Workspace, fault: BaseException) -> str:
    """Say what was raised, on which line, by which function on the way, and what it says."""
    says = words(fault)
    if isinstance(fault, AssertionError) and not says:
        says = echo(_source(workspace, fault))
    text = type(fault).__name__
    places = _places(workspace, fault)
    if places:
        outer, inner = places[0], places[-1]
        text += f" at {inner}"
        if inner.function != outer.function:
            text += f" in {inner.function}, called at {outer}"
    return f"{text}: {says}" if says else text


def _described(value: Any) -> str:
    """Return the shape of an array, and of those in a tuple, a list or a dict; else the value."""
    if isinstance(value, np.ndarray):
        return str(value.shape)
    if isinstance(value, dict):
        inside = ", ".join(f"{key} {_described(item)}" for key, item in value.items())
        return f"{{{inside}}}"
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(_described, value))})"
    if isinstance(value, float):
        return f"{value:.6g}"
    try:
        return re.sub(r" at 0x[0-9A-Fa-f]+", "", repr(value))
    except BaseException:
        return f"a {type(value).__name__}"


def _where(workspace: Workspace, fault: BaseException) -> str:
    """Say on which line of the file a fault arose."""
    places = _places(workspace, fault)
    return f" ({places[-1]})" if places else ""


def _source(workspace: Workspace, fault: BaseException) -> str:
    """Return the line of the file on which a fault arose."""
    for place in _places(workspace, fault)[-1:]:
        for statement in workspace.extract.statements:
            first, last = statement.node.lineno, statement.node.end_lineno or 0
            if statement.cell == place.cell and first <= place.line <= last:
                return statement.text.split("\n")[place.line - first].strip()
    return ""


def _places(workspace: Workspace, fault: BaseException) -> list[Place]:
    """Return the lines of the file that led to a fault, that on which it arose last."""
    found = workspace.extract
    cells = {found.label(statement.cell): statement.cell for statement in found.statements}
    return [
        Place(cells[code.co_filename], line, code.co_name)
        for code, line in (
            (frame.f_code, line) for frame, line in traceback.walk_tb(fault.__traceback__)
        )
        if code.co_filename in cells and line is not None
    ]


def fresh(value: Any) -> Any:
    """Return a copy of a tree of arrays, so that a function cannot change its caller's."""
    if isinstance(value, dict):
        return {key: fresh(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(fresh(item) for item in value)
    if isinstance(value, np.ndarray):
        return value.copy()
    return value


def array_of(value: Any) -> np.ndarray | None:
    """Return a result as a plain float array, or None if it is not one."""
    if value is None:
        return None
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        return None
    if array.dtype.kind not in "fiub":
        return None
    return array.astype(np.promote_types(array.dtype, np.float16))


def is_array(value: Any) -> bool:
    """Say whether a result is an array, a number, or lists of numbers."""
    if isinstance(value, (np.ndarray, np.generic, float, int)):
        return True
    return isinstance(value, list) and array_of(value) is not None and np.size(value) > 0


def number_of(value: Any) -> Any:
    """Return the one number in a result, or None if it is not one number."""
    array = array_of(value)
    return array.reshape(())[()] if array is not None and array.size == 1 else None
