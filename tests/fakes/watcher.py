"""A watcher whose later timers wait until the test turns the clock; what is due at once stays real."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable

from hyperhive.actors.watcher import Cancel, Watcher

AT_ONCE = 0.2
"""Seconds below which a timer is real: coalescing, not waiting."""


class ManualWatcher(Watcher):
    """Pidfds and file watches are real. ``clock`` goes on by itself, and in leaps with ``advance``."""

    def __init__(self) -> None:
        super().__init__()
        self._leaps = 0.0
        self._late: list[tuple[float, int, list[Callable[[], None] | None], float]] = []
        self._numbers = itertools.count()
        self._guard = threading.Lock()

    def clock(self) -> float:
        return time.monotonic() + self._leaps

    def after(self, delay: float, then: Callable[[], None]) -> Cancel:
        if delay < AT_ONCE:
            return super().after(delay, then)
        cell: list[Callable[[], None] | None] = [then]
        with self._guard:
            heapq.heappush(self._late, (self.clock() + delay, next(self._numbers), cell, delay))

        def cancel() -> None:
            cell[0] = None

        return cancel

    def advance(self, seconds: float) -> None:
        """Let time pass, and tell what falls due on the way."""
        self._leaps += seconds
        while True:
            with self._guard:
                if not self._late or self._late[0][0] > self.clock():
                    return
                cell = heapq.heappop(self._late)[2]
            if cell[0] is not None:
                cell[0]()

    def waits(self) -> list[float]:
        """The seconds that each timer which still counts was set for, the shortest first."""
        with self._guard:
            return sorted(delay for _, _, cell, delay in self._late if cell[0] is not None)
