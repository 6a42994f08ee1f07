"""The one training driver, over the `steps` of either backend.

Gradient descent itself is `manual.steps` and `autodiff.steps`. What both need and neither has
is here: a run is taken in chunks, each about as long as a person waits without wondering, and
between chunks costs are recorded, a progress bar moves, a callback is called, a wish to stop is
granted, and a loss that is no longer finite is noticed. Files are `verify.course.models`'.

How a run is cut never shows in its result: cuts are made only where the strategy says that
they leave the same bits.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import manual
from verify.problem import check_choice, check_learning_rate, check_problem, check_whole

if TYPE_CHECKING:
    from verify.problem import Problem

    Params = Mapping[str, np.ndarray]
    Masks = Sequence[np.ndarray]
    Advance = Callable[[Params, int, int], tuple[Params, np.ndarray]]

PATIENCE = 0.25
"""Seconds a chunk aims to take: what a progress bar and Ctrl-C wait for."""


class Checkpoint(NamedTuple):
    """Parameters after so many iterations."""

    iteration: int
    params: Params


@dataclass(frozen=True, eq=False)
class Training:
    """Where a training stands.

    `params` after `iteration` steps, and their `cost`; `costs` of the iterations 0, every,
    2 every, ... from the run's start to before `iteration`. The run continues to the same bits
    from `checkpoint`, which lies at `iteration` or a little before. `diverged_at` is the
    iteration at which the loss ceased to be finite; the parameters are then the last whose
    loss was, or, if none was, those of the start.
    """

    iteration: int
    params: Params
    cost: float
    costs: np.ndarray
    every: int
    checkpoint: Checkpoint
    strategy: str
    diverged_at: int | None = None


def train(
    problem: Problem,
    *,
    learning_rate: float,
    iterations: int,
    backend: str = "autodiff",
    strategy: str | None = None,
    masks: Masks | Callable[[int], Masks] | None = None,
    start: int = 0,
    every: int = 100,
    callback: Callable[[Training], Any] = lambda training: None,
    stop: Callable[[], bool] = lambda: False,
    progress: bool | None = None,
) -> Training:
    """Train from the problem's parameters, which are those of iteration `start`.

    Gradient descent runs until it has come to `iterations`, counted from 0, or `stop()` is
    true, or the loss is not finite. `masks` are the problem's own in every iteration unless
    given: a list, or a function of the iteration such as `mask_schedule` returns. `strategy`
    is that of either `steps`: "loop", "span", or by default the cheaper. `every` is the
    number of iterations from one recorded cost to the next. `callback` is given a `Training`
    several times a second and at the end. `progress` shows a bar on stderr, by default if that
    is a terminal.

    Raises ValueError, naming the argument, for anything that these take no value of.
    """
    check_problem(problem)
    check_choice("backend", backend, tuple(BACKENDS))
    check_learning_rate(learning_rate)
    check_whole("start", start, 0)
    check_whole("iterations", iterations, start)
    check_whole("every", every, 1)
    steps = BACKENDS[backend](
        problem,
        problem.masks if masks is None else masks,
        float(learning_rate),
        strategy,
        iterations - start,
    )
    recorded = np.empty(0)
    earlier: Chunk | None = None
    with _bar(start, iterations, sys.stderr.isatty() if progress is None else progress) as show:
        for chunk in _chunks(steps, Checkpoint(start, problem.params), iterations, stop):
            since = earlier or chunk
            if not np.isfinite(chunk.costs).all():
                return _diverged(steps, chunk, since, start, recorded, every)
            training = Training(
                *chunk.begin,
                cost=float(chunk.costs[0]),
                costs=recorded,
                every=every,
                checkpoint=_resumable(steps, chunk.begin, since),
                strategy=steps.strategy,
            )
            callback(training)
            show(training)
            recorded = np.append(recorded, chunk.costs[-chunk.begin.iteration % every :: every])
            earlier = chunk
    return training


class Steps(NamedTuple):
    """A backend bound to a problem.

    advance(params, n, start) takes n steps from iteration `start` and returns the parameters
    and the n losses. A run may be cut at multiples of `granule` without a trace.
    """

    advance: Advance
    granule: int
    strategy: str


class Chunk(NamedTuple):
    """Some steps: the parameters that they started from, and the losses from there on."""

    begin: Checkpoint
    costs: np.ndarray


def _chunks(
    steps: Steps, state: Checkpoint, iterations: int, stop: Callable[[], bool]
) -> Iterator[Chunk]:
    """Yield chunk after chunk; the last begins where the run ends, to see the loss there."""
    length = steps.granule
    while state.iteration < iterations and not stop():
        count = min(length - state.iteration % steps.granule, iterations - state.iteration)
        began = perf_counter()
        params, costs = _advance(steps, state, count)
        pace = min(PATIENCE / (perf_counter() - began), 8)
        yield Chunk(state, costs)
        state = Checkpoint(state.iteration + count, params)
        length = max(1, int(pace * length) // steps.granule) * steps.granule
    yield Chunk(state, _advance(steps, state, 1)[1])


def _advance(steps: Steps, state: Checkpoint, count: int) -> tuple[Params, np.ndarray]:
    """Take steps without a word of overflow: whether the loss is finite is looked at after."""
    with np.errstate(over="ignore", invalid="ignore"):
        return steps.advance(state.params, count, state.iteration)


def _diverged(
    steps: Steps,
    chunk: Chunk,
    earlier: Chunk,
    start: int,
    recorded: np.ndarray,
    every: int,
) -> Training:
    """Return the last parameters of finite loss, by taking the steps to them once more."""
    at = chunk.begin.iteration + int(np.isfinite(chunk.costs).argmin())
    recorded = np.append(recorded, chunk.costs[-chunk.begin.iteration % every :: every])
    known = chunk if at > chunk.begin.iteration else earlier
    count = max(at - 1, start) - known.begin.iteration
    good = Checkpoint(known.begin.iteration + count, _advance(steps, known.begin, count)[0])
    return Training(
        *good,
        cost=float(known.costs[count]),
        costs=recorded[: -(-good.iteration // every) - -(-start // every)],
        every=every,
        checkpoint=_resumable(steps, good, known),
        strategy=steps.strategy,
        diverged_at=at,
    )


def _resumable(steps: Steps, state: Checkpoint, since: Chunk) -> Checkpoint:
    """Return the state if a run may be cut there, else the start of the chunk that led to it."""
    return since.begin if state.iteration % steps.granule else state


def _manual_steps(problem: Problem, *how: Any) -> Steps:
    return _bound(manual, problem.X, problem.Y, problem, *how)


def _autodiff_steps(problem: Problem, *how: Any) -> Steps:
    """Send the data to JAX's device once."""
    import autodiff

    X, Y = autodiff.on_device(problem.X), autodiff.on_device(problem.Y)
    return _bound(autodiff, X, Y, problem, *how)


def _bound(
    package: Any,
    X: Any,
    Y: Any,
    problem: Problem,
    masks: Any,
    learning_rate: float,
    strategy: str | None,
    n: int,
) -> Steps:
    """Bind a package's `steps` to a problem whose data are multiplied out once, if at all."""
    check_choice("strategy", strategy or "loop", package.STRATEGIES)
    strategy = strategy or package.choose_strategy(problem.layers, problem.m, n)
    gram = package.span.gram(X) if strategy == "span" else None

    def advance(params: Params, n: int, start: int) -> tuple[Params, np.ndarray]:
        return package.steps(
            params, X, Y, masks,
            n=n, start=start, learning_rate=learning_rate, strategy=strategy, gram=gram,
            **problem.options,
        )  # fmt: skip

    return Steps(advance, package.span.BLOCK if strategy == "span" else 1, strategy)


BACKENDS = {"autodiff": _autodiff_steps, "manual": _manual_steps}


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Let SIGINT and SIGTERM ask for a stop: their number is put into the list, once.

    A second signal acts as it would have without this. Outside the main thread, where Python
    takes no signals, the list stays empty.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in old.items():
            signal.signal(number, handler)

    def catch(number: int, frame: Any) -> None:
        caught.append(number)
        restore()

    for number in old:
        signal.signal(number, catch)
    try:
        yield caught
    finally:
        restore()


@contextmanager
def _bar(start: int, iterations: int, shown: bool) -> Iterator[Callable[[Training], None]]:
    """Show progress, cost and rate on stderr."""
    if not shown:
        yield lambda training: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("cost {task.fields[cost]}"),
        TextColumn("{task.fields[rate]} steps/s"),
        TimeRemainingColumn(),
    )
    began = perf_counter()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=iterations, completed=start, cost="-", rate="-")

        def show(training: Training) -> None:
            rate = (training.iteration - start) / (perf_counter() - began)
            progress.update(
                task,
                completed=training.iteration,
                cost=f"{training.cost:.6f}",
                rate=f"{rate:.0f}",
                refresh=True,
            )

        yield show
