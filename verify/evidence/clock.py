"""How many calls are left of a budget, and how much time: what bounds a check."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

OVERRUN = 2
"""How many times the planned evaluations bends, and what speaks against a gradient, may take."""


@dataclass(eq=False)
class Clock:
    """Counts evaluations and time. `hurried` says whether there was too little time for all."""

    budget: int
    seconds: float
    advance: Callable[[], None]
    made: int = 0
    hurried: bool = False
    start: float = field(default_factory=time.perf_counter)
    first: float | None = None

    def count(self, number: int = 1) -> None:
        """Count one evaluation, or some that are made together, before they are made."""
        self.made += number
        if self.first is None:
            self.first = time.perf_counter()
        for _ in range(number):
            self.advance()

    @property
    def time_left(self) -> float:
        """The seconds that are left."""
        return self.start + self.seconds - time.perf_counter()

    def affordable(self) -> float:
        """Return how many evaluations there is time for, as long as they take what they took."""
        if self.first is None or not self.made:
            return self.seconds
        each = (time.perf_counter() - self.first) / self.made
        return self.time_left / max(each, 1e-9)

    def left(self) -> int:
        """Return how many evaluations are left, of the budget and of the time."""
        calls = OVERRUN * self.budget - self.made
        if self.time_left <= 0:
            self.hurried = True
            return 0
        return int(max(min(calls, self.affordable()), 0))
