"""Time that runs faster: what the hive waits for comes sooner, and its moments lie further apart."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hyperhive.actors.watcher import Cancel, Watcher

AT_ONCE = 0.2
"""Seconds below which a timer is coalescing, not waiting, and stays as it is."""


class Clock:
    """Moments of a hive in which an hour takes ``3600 / speed`` seconds."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._start = datetime.now(UTC)
        self._began = time.monotonic()

    def now(self) -> datetime:
        """The moment it is in the hive."""
        return self._start + timedelta(seconds=self.passed())

    def passed(self) -> float:
        """Seconds of the hive's since this began."""
        return (time.monotonic() - self._began) * self.speed


class FastWatcher(Watcher):
    """The watcher, whose timers come sooner. Descriptors and files are watched as ever."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def after(self, delay: float, then: Callable[[], None]) -> Cancel:
        """Call ``then`` in ``delay`` seconds of the hive's."""
        return super().after(delay if delay < AT_ONCE else delay / self._speed, then)
