"""Calling somebody's functions: arguments by their names, results by what they look like."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from verify.submissions.mirror import Traced, UntraceableError, apply
from verify.submissions.recognise import Role, meaning, parameters, returned
from verify.submissions.stand_ins import AbsentError
from verify.submissions.verdicts import CRASHED, UNDECIDED, UNREADABLE
from verify.submissions.words import names
from verify.submissions.workspace import Workspace


class CallError(Exception):
    """A function of the file raised, or could not be called.

    The message is a sentence, and `verdict` what follows for the function.
    """

    def __init__(self, sentence: str, verdict: str = CRASHED):
        super().__init__(f"{sentence.rstrip('.')}.")
        self.verdict = verdict


class BindError(CallError):
    """A function asks for something that there is no value for."""

    def __init__(self, sentence: str):
        super().__init__(sentence, UNDECIDED)


def function(workspace: Workspace, role: Role, instance: Any = None) -> Callable:
    """Return the live function, or the bound method, of a role."""
    if role.owner is not None:
        return getattr(instance, role.name)
    found = workspace.names.get(role.name)
    if not callable(found):
        why = workspace.failed.get(role.name, "it is not defined")
        raise CallError(f"{role.name} cannot be used ({why}).")
    return found


def call(workspace: Workspace, role: Role, values: Mapping[str, Any], instance: Any = None) -> Any:
    """Call a function with the values that its arguments' names ask for."""
    arguments = bind(role, values)
    return guarded(workspace, role.shown, function(workspace, role, instance), **arguments)


def bind(role: Role, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a call. Raises BindError if a name is not understood."""
    bound = {}
    for name, has_default in parameters(role.node, bool(role.owner)):
        wanted = meaning(name, dict(values))
        if wanted is not None:
            bound[name] = values[wanted]
        elif not has_default:
            raise BindError(f"{role.shown} asks for {name}, which is not an argument that is known")
    return bound


def guarded(workspace: Workspace, name: str, func: Callable, *args: Any, **kwargs: Any) -> Any:
    """Call a function of the file, and say in a sentence what it raised and where."""
    workspace.random.restart()
    return attempted(workspace, name, func, *args, **kwargs)


def attempted(workspace: Workspace, name: str, func: Callable, *args: Any, **kwargs: Any) -> Any:
    """Call a function of the file as `guarded` does, but let random numbers go on."""
    me = os.getpid()
    try:
        with np.errstate(all="ignore"):
            return func(*args, **kwargs)
    except (UntraceableError, CallError):
        raise
    except AbsentError as fault:
        sentence = f"{name} calls {fault}{_where(workspace, fault)}"
        raise CallError(sentence, UNREADABLE) from fault
    except RecursionError as fault:
        raise CallError(f"{name} calls itself without end{_where(workspace, fault)}.") from fault
    except SystemExit as fault:
        raise CallError(f"{name} ends the program (sys.exit){_where(workspace, fault)}.") from fault
    except NameError as fault:
        text = f"{name} raised {_raised(workspace, fault)}"
        if fault.name in PYTHON_2_NAMES:
            raise CallError(f"{text}: that is Python 2", UNREADABLE) from fault
        if fault.name in workspace.extract.unrun:
            text += ". The file makes it outside of its functions, by code that is not run here"
            raise CallError(text, UNDECIDED) from fault
        raise CallError(text) from fault
    except BaseException as fault:
        given = ", ".join(
            [
                *map(_described, args),
                *(f"{key} {_described(value)}" for key, value in kwargs.items()),
            ]
        )
        given = given if len(given) <= 300 else f"{given[:297]}..."
        text = f"{name} raised {_raised(workspace, fault)}"
        raise CallError(f"{text}. It was called with {given}" if given else text) from fault
    finally:
        if os.getpid() != me:
            os._exit(0)  # the function forked, and this is the copy


PYTHON_2_NAMES = frozenset(names("xrange unicode raw_input basestring reduce unichr long"))
"""Builtins that went with Python 2."""


class _Place(NamedTuple):
    """A line of the file, in a cell (None in a script), and the function that it is in."""

    cell: int | None
    line: int
    function: str

    def __str__(self) -> str:
        return f"cell {self.cell}, line {self.line}" if self.cell else f"line {self.line}"


def _raised(workspace: Workspace, fault: BaseException) -> str:
    """Say what was raised, on which line, by which function on the way, and what it says."""
    says = " ".join(str(fault).split())
    if isinstance(fault, AssertionError) and not says:
        says = _source(workspace, fault)
    says = says if len(says) <= 300 else f"{says[:297]}..."
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
    if isinstance(value, (np.ndarray, Traced)):
        return str(value.shape)
    if isinstance(value, dict):
        inside = ", ".join(f"{key} {_described(item)}" for key, item in value.items())
        return f"{{{inside}}}"
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(_described, value))})"
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


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


def _places(workspace: Workspace, fault: BaseException) -> list[_Place]:
    """Return the lines of the file that led to a fault, that on which it arose last."""
    home = workspace.extract.path.name
    found = []
    for frame in traceback.extract_tb(fault.__traceback__):
        if frame.filename.startswith(home) and frame.lineno is not None:
            cell = frame.filename[len(home) :].removeprefix(", cell ")
            found.append(_Place(int(cell) if cell else None, frame.lineno, frame.name))
    return found


def fresh(value: Any) -> Any:
    """Return a copy of a tree of arrays, so that nothing is changed under another's feet."""
    if isinstance(value, dict):
        return {key: fresh(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(fresh(item) for item in value)
    if isinstance(value, (np.ndarray, Traced)):
        return value.copy()
    return value


def array_of(value: Any) -> np.ndarray | None:
    """Return a result as a plain float array, or None if it is not one."""
    if value is None:
        return None
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, UntraceableError):
        return None
    if array.dtype.kind not in "fiub":
        return None
    return array.astype(np.promote_types(array.dtype, np.float16))


def is_array(value: Any) -> bool:
    """Say whether a result is an array, a number, or lists of numbers."""
    if isinstance(value, (Traced, np.ndarray, np.generic, float, int)):
        return True
    return isinstance(value, list) and array_of(value) is not None and np.size(value) > 0


def number_of(value: Any) -> Any:
    """Return the one number in a result, traced if it is, or None if it is not one number."""
    if isinstance(value, Traced):
        return apply(np.reshape, apply(np.asarray, value), ()) if value.size == 1 else None
    array = array_of(value)
    return array.reshape(())[()] if array is not None and array.size == 1 else None


@dataclass(frozen=True, eq=False)
class Forward:
    """What a forward pass returned: the output, the cache, the cost where it makes it itself."""

    AL: Any
    cache: Any
    cost: Any = None
    named: Mapping[str, Any] | None = None
    """The results by the names that the function gives them: Z1, A1, ..."""


def read_forward(result: Any, role: Role | None, width: int, makes_cost: bool) -> Forward:
    """Tell the output from the cache in what a forward pass returned."""
    said = returned(role.node) if role is not None else None
    if not isinstance(result, tuple):
        if isinstance(result, dict):
            return Forward(_last_activation(result), result)
        return Forward(result, None)
    named = {}
    if said is not None and len(said) == len(result):
        named = {name: value for name, value in zip(said, result, strict=True) if name}
    if makes_cost:
        at = next((i for i, x in enumerate(result) if number_of(x) is not None), None)
        if at is not None:
            rest = [x for i, x in enumerate(result) if i != at]
            cache = rest[0] if len(rest) == 1 else tuple(rest)
            return Forward(None, cache, result[at], named)
    if len(result) == 2:
        first, second = result
        if not is_array(first) and is_array(second):
            return Forward(second, first, named=named)
        if is_array(first) and not is_array(second):
            return Forward(first, second, named=named)
    last = _last_activation(named)
    return Forward(_last_of(result, width) if last is None else last, result, named=named)


def _last_activation(named: Mapping[str, Any]) -> Any:
    numbered = sorted(
        (int(found[1]), key)
        for key in named
        if (found := re.fullmatch(r"[Aa](\d)", str(key))) is not None
    )
    for key in ("AL", "yhat", "Y_hat"):
        if key in named:
            return named[key]
    return named[numbered[-1][1]] if numbered else None


def _last_of(result: Sequence[Any], width: int) -> Any:
    fitting = [x for x in result if is_array(x) and np.ndim(x) == 2 and np.shape(x)[0] == width]
    return fitting[-1] if fitting else None


def read_grads(
    result: Any, role: Role | None, sizes: Mapping[str, int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the gradients under the parameters' names, and dZ and dA by theirs.

    `sizes` are those of the parameters, in the order W1, b1, ... What is not there is not in
    the first dict.
    """
    wanted = list(sizes)
    if isinstance(result, tuple) and any(isinstance(x, dict) for x in result):
        result = next(x for x in result if isinstance(x, dict))
    if isinstance(result, dict):
        by_name = {_plain(str(key)): value for key, value in result.items()}
    else:
        items = list(result) if isinstance(result, (tuple, list)) else [result]
        said = returned(role.node) if role is not None else None
        if said is not None and len(said) == len(items) and any(_plain(n) for n in said):
            by_name = {_plain(name): value for name, value in zip(said, items, strict=True)}
        else:
            by_name = {}
        if not any(f"d{name}".lower() in by_name for name in wanted) and len(items) == len(wanted):
            order = _order(items, sizes)
            by_name = {f"d{name}".lower(): value for name, value in zip(order, items, strict=True)}
    grads = {}
    for name in wanted:
        for key in (f"d{name}", f"grad{name}", f"{name}", f"dldl{name}", f"djd{name}"):
            if key.lower() in by_name:
                grads[name] = by_name[key.lower()]
                break
    intermediates = {
        f"d{key[1].upper()}{key[2:]}": value
        for key, value in by_name.items()
        if re.fullmatch(r"d[za]\d+", key) and is_array(value)
    }
    return grads, intermediates


def _order(items: Sequence[Any], sizes: Mapping[str, int]) -> list[str]:
    """Return the order in which unnamed gradients come, as far as their sizes tell."""
    forth = list(sizes)
    back = [name for pair in zip(forth[-2::-2], forth[::-2], strict=True) for name in pair]
    kinds = sorted(forth, key=lambda name: (name[0] == "b", name))
    for order in (forth, back, kinds, kinds[::-1]):
        if all(np.size(x) == sizes[name] for x, name in zip(items, order, strict=True)):
            return order
    return forth


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
