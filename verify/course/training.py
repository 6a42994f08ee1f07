"""The one training driver, over the `steps` of either backend.

Gradient descent itself is `manual.steps` and `autodiff.steps`. Here a run is divided into chunks,
each about a quarter of a second long. Between chunks costs are recorded, a progress bar moves, a
callback is called, the run stops when asked, and a loss that is not finite any more is noticed.
Files are written and read in `verify.course.model_files`.

The result does not depend on the chunks: a run is divided only where its strategy gives the same
bits.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

import manual
from verify.problem import check_choice, check_learning_rate, check_problem, check_whole

if TYPE_CHECKING:
    from jax.sharding import Mesh
    from jaxtyping import Bool, Float

    from verify.problem import Problem

    Array = np.ndarray
    Params = Mapping[str, Float[Array, "_ _"]]
    Masks = Sequence[Bool[Array, "_ m"]]
    Advance = Callable[[Params, int, int], tuple[Params, Float[Array, " n"]]]

PATIENCE = 0.25
"""Seconds that a chunk should take: the longest that a progress bar and Ctrl-C wait."""


class Examples(Protocol):
    """m examples that are not all in memory, and are read some columns at a time."""

    @property
    def m(self) -> int:
        """The number of examples."""

    def X(self, columns: slice, dtype: Any) -> Float[Array, "n_0 k"]:
        """Return X of some examples."""

    def Y(self, columns: slice, output: str, dtype: Any) -> Float[Array, "n_L k"]:
        """Return Y of some examples."""


class Checkpoint(NamedTuple):
    """Parameters after so many iterations."""

    iteration: int
    params: Params


@dataclass(frozen=True, eq=False)
class Training:
    """The state of a training.

    `params` after `iteration` steps, and their `cost`; `costs` of the iterations 0, every,
    2 every, ... from the run's start to before `iteration`. The run continues to the same bits
    from `checkpoint`, which is at `iteration` or a little before. `diverged_at` is the first
    iteration whose loss is not finite; the parameters are then the last whose loss was finite,
    or, if none was, those of the start. `devices` took the steps together.
    """

    iteration: int
    params: Params
    cost: float
    costs: Float[Array, " recorded"]
    every: int
    checkpoint: Checkpoint
    strategy: str
    diverged_at: int | None = None
    devices: int = 1


def train(
    problem: Problem,
    *,
    learning_rate: float,
    iterations: int,
    backend: str = "autodiff",
    strategy: str | None = None,
    masks: Masks | Callable[[int], Masks] | None = None,
    mesh: Mesh | None = None,
    examples: Examples | None = None,
    start: int = 0,
    every: int = 100,
    callback: Callable[[Training], Any] = lambda training: None,
    stop: Callable[[], bool] = lambda: False,
    progress: bool | None = None,
) -> Training:
    """Train from the problem's parameters, which are those of iteration `start`.

    Gradient descent runs until iteration `iterations`, counted from 0, or until `stop()` is true
    or the loss is not finite. `masks` are the problem's own in every iteration unless
    given: a list, or a function of the iteration such as `mask_schedule` returns. `strategy`
    is that of either `steps`: "loop", "span", or by default the cheaper. On a `mesh`, such as
    `autodiff.example_mesh` returns, its devices take the steps together: the examples are shared
    out, and the results differ by rounding. `examples` are trained on in the place of the
    problem's own, which are then only a sample; each process reads what its devices need, and
    `masks`, if any, is a function as `mask_schedule` returns. `every` is the number of iterations
    from one recorded cost to the next. `callback` is given a `Training` several times a second and
    at the end. `progress` shows a bar on stderr, by default if that is a terminal.

    Raises ValueError, naming the argument, for any other value.

    Examples:
        >>> import backproof
        >>> problem = backproof.build_problem(backproof.load("circles"), layers=(4,))
        >>> training = backproof.train(problem, learning_rate=0.1, iterations=300, progress=False)
        >>> bool(training.cost < training.costs[0])
        True
    """
    check_problem(problem)
    check_choice("backend", backend, tuple(BACKENDS))
    check_learning_rate(learning_rate)
    check_whole("start", start, 0)
    check_whole("iterations", iterations, start)
    check_whole("every", every, 1)
    check_mesh(mesh, backend)
    if examples is not None and backend != "autodiff":
        raise ValueError(f"examples: got some with the backend {backend}, expected autodiff")
    if examples is not None and problem.masks is not None and not callable(masks):
        raise ValueError("masks: got those of a sample, expected a function of the iteration")
    steps = BACKENDS[backend](
        problem,
        mesh,
        examples,
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
                devices=steps.devices,
            )
            callback(training)
            show(training)
            recorded = np.append(recorded, chunk.costs[-chunk.begin.iteration % every :: every])
            earlier = chunk
    return training


class Steps(NamedTuple):
    """A backend bound to a problem.

    advance(params, n, start) takes n steps from iteration `start` and returns the parameters
    and the n losses. A run divided at multiples of `granule` gives the same bits. `agreed` returns
    the least of what the processes of a mesh call it with.
    """

    advance: Advance
    granule: int
    strategy: str
    devices: int
    agreed: Callable[[int], int]


class Chunk(NamedTuple):
    """Some steps: the parameters at their start, and the loss at each of them."""

    begin: Checkpoint
    costs: Float[Array, " n"]


def _chunks(
    steps: Steps, state: Checkpoint, iterations: int, stop: Callable[[], bool]
) -> Iterator[Chunk]:
    """Yield chunk after chunk; the last is one step from the end of the run, for its loss."""
    length = steps.granule
    while state.iteration < iterations and not stop():
        count = min(length - state.iteration % steps.granule, iterations - state.iteration)
        began = perf_counter()
        params, costs = _advance(steps, state, count)
        pace = min(PATIENCE / (perf_counter() - began), 8)
        yield Chunk(state, costs)
        state = Checkpoint(state.iteration + count, params)
        length = steps.agreed(max(1, int(pace * length) // steps.granule)) * steps.granule
    yield Chunk(state, _advance(steps, state, 1)[1])


def _advance(steps: Steps, state: Checkpoint, count: int) -> tuple[Params, np.ndarray]:
    """Take steps without warnings of overflow: the caller looks whether the loss is finite."""
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
    """Return the last parameters of finite loss; the steps to them are taken once more."""
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
        devices=steps.devices,
        diverged_at=at,
    )


def _resumable(steps: Steps, state: Checkpoint, since: Chunk) -> Checkpoint:
    """Return the state if a run may be divided there, else the start of its chunk."""
    return since.begin if state.iteration % steps.granule else state


def check_mesh(mesh: Any, backend: str) -> None:
    """Raise ValueError unless mesh is None, or a mesh of JAX for a backend that has one."""
    if mesh is None:
        return
    from jax.sharding import Mesh

    if not isinstance(mesh, Mesh):
        raise ValueError(
            f"mesh: got {type(mesh).__name__}, expected a jax.sharding.Mesh, "
            "as autodiff.example_mesh returns one"
        )
    if backend != "autodiff":
        raise ValueError(f"mesh: got one with the backend {backend}, expected it with autodiff")


def _manual_steps(problem: Problem, mesh: None, examples: None, *how: Any) -> Steps:
    return _bound(manual, problem.X, problem.Y, {}, 1, int, problem, *how)


def _autodiff_steps(
    problem: Problem, mesh: Mesh | None, examples: Examples | None, *how: Any
) -> Steps:
    """Send the data to JAX's devices once."""
    import autodiff

    devices = 1 if mesh is None else mesh.size
    if examples is None:
        m = problem.m
        X, Y = (autodiff.on_device(array, mesh=mesh) for array in (problem.X, problem.Y))
    else:
        m, mesh = examples.m, mesh or autodiff.example_mesh(1)
        read_X = partial(examples.X, dtype=problem.dtype)
        read_Y = partial(examples.Y, output=problem.output, dtype=problem.dtype)
        X = autodiff.read_by_columns(read_X, (problem.layers[0], m), mesh)
        Y = autodiff.read_by_columns(read_Y, (problem.layers[-1], m), mesh)
    return _bound(autodiff, X, Y, {"m": m}, devices, autodiff.least, problem, *how)


def _bound(
    package: Any,
    X: Any,
    Y: Any,
    size: Mapping[str, int],
    devices: int,
    agreed: Callable[[int], int],
    problem: Problem,
    masks: Any,
    learning_rate: float,
    strategy: str | None,
    n: int,
) -> Steps:
    """Bind a package's `steps` to a problem whose data are multiplied out once, if at all."""
    check_choice("strategy", strategy or "loop", package.STRATEGIES)
    strategy = strategy or package.choose_strategy(problem.layers, X.shape[1], n)
    gram = package.span_descent.gram(X) if strategy == "span" else None

    def advance(params: Params, n: int, start: int) -> tuple[Params, np.ndarray]:
        stepped, costs = package.steps(
            params, X, Y, masks,
            n=n, start=start, learning_rate=learning_rate, strategy=strategy, gram=gram,
            **size, **problem.options,
        )  # fmt: skip
        return stepped, costs

    granule = package.span_descent.BLOCK if strategy == "span" else 1
    return Steps(advance, granule, strategy, devices, agreed)


BACKENDS: dict[str, Callable[..., Steps]] = {"autodiff": _autodiff_steps, "manual": _manual_steps}


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Turn SIGINT and SIGTERM into requests to stop: the number of the first is in the list.

    A second signal acts as usual. Outside the main thread, where Python handles no signals, the
    list stays empty.
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
