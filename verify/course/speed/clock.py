"""Timing on a machine that is never quite still."""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable, Mapping
from time import perf_counter, process_time, sleep
from typing import Any, TypeVar

import numpy as np

Run = Callable[[int], object]
"""Do something so many times."""

Key = TypeVar("Key", bound=Hashable)

FEWEST, MOST = 3, 2000
"""Steps a repetition: what one call costs is spread over the first, and the second is enough."""

PATIENCE = 50
"""Hundredths of a second that `interleaved` waits at most for other threads to fall asleep."""


def seconds(call: Callable[..., Any], *arguments: Any) -> float:
    """Return how long one call takes."""
    start = perf_counter()
    call(*arguments)
    return perf_counter() - start


def steps_in(run: Run, duration: float) -> int:
    """Return how many steps take about so many seconds, from `FEWEST` to `MOST`."""
    n = 1
    while (elapsed := seconds(run, n)) < duration / 4 and n < MOST:
        n *= 4
    return int(np.clip(n * duration / elapsed, FEWEST, MOST))


def interleaved(
    runs: Mapping[Key, Run], counts: Mapping[Key, int], repetitions: int
) -> dict[Key, list[float]]:
    """Return the milliseconds a step of every run, `repetitions` times, one run after another.

    Each begins once the threads of the one before it are asleep (those of OpenBLAS keep a core
    busy for a tenth of a second after their last product), with a step that is not timed and
    wakes its own. No garbage is collected meanwhile.
    """
    times: dict[Key, list[float]] = {key: [] for key in runs}
    gc.collect()
    gc.disable()
    try:
        for _ in range(repetitions):
            for key, run in runs.items():
                _fall_asleep()
                run(1)
                times[key].append(1e3 * seconds(run, counts[key]) / counts[key])
    finally:
        gc.enable()
    return times


def _fall_asleep() -> None:
    for _ in range(PATIENCE):
        before = process_time()
        sleep(0.01)
        if process_time() - before < 0.001:
            return
