"""Checks the backward passes of a notebook or a script from within, while they are written.

    %load_ext backproof

    %%backproof
    ...a cell that defines passes, calls them, trains

    with backproof.watch() as seen:
        train()
    seen.report

Each pass that was defined or called is judged by its own forward pass (`verify.homework.live`),
with what the run gave it as the inputs.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verify.homework.live import Asked
    from verify.homework.report import FileReport
    from verify.homework.run.observer import Observer


class Watch:
    """A `with` block whose calls are observed; `report` judges the backward passes among them."""

    def __init__(self, path: str):
        from verify.homework.run.observer import Observer

        self._path, self._observer = path, Observer()
        self._report: FileReport | None = None
        self._inside = False

    def __enter__(self) -> Watch:
        self._inside = True
        self._observer.__enter__()
        return self

    def __exit__(self, *fault: object) -> None:
        self._observer.__exit__(*fault)
        self._inside = False

    @property
    def report(self) -> FileReport:
        """The verdicts, reached when they are first asked for; RuntimeError inside the block."""
        from verify.homework.live import judge_live

        if self._inside:
            raise RuntimeError("report: got asked for inside the with block, expected after it")
        if self._report is None:
            self._report = judge_live(_called(self._observer), self._path)
        return self._report


def watch() -> Watch:
    """Observe the calls in a `with` block, and judge the backward passes among them.

    Of each function the first call is copied, within 64 MB in all. `seen.report` then judges every
    backward pass that was called, in this process, by differences of its own forward pass: the
    structure, shapes, types and whole numbers of its inputs are those of the call, other numbers
    are drawn anew. Globals and random numbers stay as they were. Functions of installed packages
    are not looked at.

    Example:
        >>> import backproof
        >>> with backproof.watch() as seen:
        ...     total = sum(range(10))
        >>> print(seen.report.message)
        Nothing to check: no backward pass was defined or called.
    """
    file = sys._getframe(1).f_globals.get("__file__")
    return Watch(Path(file).name if file else "this session")


def load_ipython_extension(shell: Any) -> None:
    """Register the magic `%%backproof`, as `%load_ext backproof` asks for it."""

    def backproof(line: str, cell: str) -> None:
        """Run the cell, and check the backward passes that it defines or calls.

        %%backproof NAME keeps the report under this name.
        """
        __tracebackhide__ = True
        _run_and_check(shell, line.strip(), cell)

    shell.register_magic_function(backproof, "cell", "backproof")


def _run_and_check(shell: Any, keep: str, cell: str) -> None:
    __tracebackhide__ = True
    from IPython.core.error import UsageError

    from verify.homework.live import judge_live
    from verify.homework.run.observer import Observer

    if keep and not keep.isidentifier():
        raise UsageError(f"%%backproof: got {keep!r}, expected a name for the report, or nothing")
    names, before = shell.user_ns, dict(shell.user_ns)
    observer = Observer()
    fault: BaseException | None = None
    try:
        _run(shell, cell, observer)
    except BaseException as raised:
        fault = raised
    if not isinstance(fault, (KeyboardInterrupt, SyntaxError)):
        changed = {name for name, value in names.items() if value is not before.get(name)}
        asked = _called(observer, names, changed)
        report = judge_live(asked, f"In[{_number(shell)}]")
        _show(shell, report)
        if keep:
            names[keep] = report
    if fault is not None:
        raise fault


def _number(shell: Any) -> int:
    """Return the number of the cell that is running."""
    return len(shell.user_ns["In"]) - 1


def _show(shell: Any, report: FileReport) -> None:
    data, metadata = shell.display_formatter.format(report)
    shell.display_pub.publish(data, metadata)


def _run(shell: Any, cell: str, observer: Observer) -> None:
    """Run a cell as IPython does: what its last expression gives is shown."""
    __tracebackhide__ = True
    # A line for the magic's own, so that line numbers are those of the whole cell.
    raw = cell if cell.startswith("%%") else f"# %%backproof\n{cell}"
    code = shell.transform_cell(raw)
    name = shell.compile.cache(code, _number(shell), raw_code=raw)
    body = shell.transform_ast(shell.compile.ast_parse(code, filename=name)).body
    shows = bool(body) and isinstance(body[-1], ast.Expr) and not cell.rstrip().endswith(";")
    last = [ast.Interactive([body.pop()])] if shows else []
    with observer:
        exec(shell.compile(ast.Module(body, []), name, "exec"), shell.user_ns)
        for each in last:
            exec(shell.compile(each, name, "single"), shell.user_ns)


def _called(
    observer: Observer, names: dict[str, Any] | None = None, changed: set[str] | None = None
) -> list[Asked]:
    """Return what was called, and of one namespace what is new in it too."""
    from verify.homework.live import Asked
    from verify.homework.run.observer import Observed

    places = {id(place.names): place for place in observer.places}
    if names is not None:
        places.setdefault(id(names), Observed(names))
    return [
        Asked(place, {*place.called, *((changed or ()) if place.names is names else ())})
        for place in places.values()
    ]
