"""Timing on a machine that does other things too."""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable, Mapping
from time import perf_counter, process_time, sleep
from typing import Any, TypeVar

import numpy as np

Run = Callable[[int], object]
"""Do something n times."""

Key = TypeVar("Key", bound=Hashable)

FEWEST, MOST = 3, 2000
"""Steps a repetition: enough that the cost of the call is small, and not more than are needed."""

PATIENCE = 50
"""Hundredths of a second that `interleaved` waits at most for other threads to stop."""


def seconds(call: Callable[..., Any], *arguments: Any) -> float:
    """Return how long one call takes."""
    start = perf_counter()
    call(*arguments)
    return perf_counter() - start


def steps_in(run: Run, duration: float) -> int:
    """Return how many steps take about `duration` seconds, from `FEWEST` to `MOST`."""
    n = 1
    while (elapsed := seconds(run, n)) < duration / 4 and n < MOST:
        n *= 4
    return int(np.clip(n * duration / elapsed, FEWEST, MOST))


def interleaved(
    runs: Mapping[Key, Run], counts: Mapping[Key, int], repetitions: int
) -> dict[Key, list[float]]:
    """Return the milliseconds a step of every run, `repetitions` times, one run after another.

    Each waits until the threads of the run before it have stopped (those of OpenBLAS keep a core
    busy for a tenth of a second after their last product), and starts its own threads by a step
    that is not timed. No garbage is collected meanwhile.
    """
    times: dict[Key, list[float]] = {key: [] for key in runs}
    gc.collect()
    gc.disable()
    try:
        for _ in range(repetitions):
            for key, run in runs.items():
                _wait_for_threads()
                run(1)
                times[key].append(1e3 * seconds(run, counts[key]) / counts[key])
    finally:
        gc.enable()
    return times


def _wait_for_threads() -> None:
    for _ in range(PATIENCE):
        before = process_time()
        sleep(0.01)
        if process_time() - before < 0.001:
            return
