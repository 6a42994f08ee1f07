"""A file under test, and what stood in the way of judging its passes so far."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

from verify.homework.read.discover import Candidate, methods_of
from verify.homework.read.extract import Extract
from verify.homework.run.door import Door, Raised

RECORDING = 3.0
"""Seconds for which a file's own statements are run."""


@dataclass(eq=False)
class Case:
    """A file under test: its text, the door to its code, and what stood in the way so far."""

    found: Extract
    door: Door
    obstacles: dict[str, list[Raised | str]] = field(default_factory=dict)
    unmade: dict[str, Raised] = field(default_factory=dict)
    """The classes of which no object could be made, and what was raised last."""
    calls: dict[str, dict[str, Any]] | None = None
    """The file's own calls, by the qualified name of the function, once they were recorded."""
    ran: set[str] = field(default_factory=set)
    """The passes that ran on some inputs, with arguments that were no guess."""
    lines: set[tuple[int | None, int]] = field(default_factory=set)
    """The lines of the file, each with its cell, that ran where a pass was found right."""
    fed: set[str] = field(default_factory=set)
    """The passes that had inputs on which they gave gradients or raised: none are searched for."""
    observed: bool = False
    """Whether these are calls of the user's own run: then they are tried first."""
    until: float = math.inf
    """When the time is up to find out how the present pass is called, on the monotonic clock."""
    ends: float = math.inf
    """When nothing more is looked for, so that the file's report is there in time."""
    next_step: str = (
        "Name three functions with --loss, --grads, --params, and any gradient can be checked."
    )
    """What helps where a pass could not be judged."""

    def recorded(self, name: str) -> dict[str, Any] | None:
        """Return the first call that the file's own statements make of a function, if any."""
        if self.calls is None:
            names = [*self.found.functions]
            for owner in self.found.classes:
                names += [f"{owner}.{method}" for method in methods_of(self.found, owner)]
            self.calls = self.door.record(names, RECORDING) if self.found.rest else {}
        return self.calls.get(name)

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.until

    @property
    def ending(self) -> bool:
        """Whether the file's time is nearly up."""
        return time.monotonic() > self.ends

    def note(self, candidate: Candidate, obstacle: Raised | str) -> None:
        """Remember why an attempt at a pass came to nothing."""
        self.obstacles.setdefault(candidate.name, []).append(obstacle)
