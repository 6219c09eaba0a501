"""Deadlines of futures on the event loop."""

import asyncio
from typing import Any

_SWEEP = 0.02
"""Seconds between two looks at which futures have met their deadline."""


class Deadlines:
    """The futures that are awaited, and when each ends. One timer for all: one each costs more than the call."""

    def __init__(self) -> None:
        self._ends: dict[asyncio.Future[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, future: asyncio.Future[Any], seconds: float) -> None:
        """``TimeoutError`` for ``future`` if it is not done in so many seconds. On its loop."""
        loop = future.get_loop()
        end = self._ends[future] = loop.time() + seconds
        if self._timer is None or end < self._timer.when():
            self._arm(loop, end)

    def drop(self, future: asyncio.Future[Any]) -> None:
        """Nobody awaits it any more."""
        self._ends.pop(future, None)

    def forget(self) -> None:
        """Begin anew, on another loop."""
        self._ends, self._timer = {}, None

    def _arm(self, loop: asyncio.AbstractEventLoop, end: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(end, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for future, end in self._ends.items():
            if end <= now and not future.done():
                future.set_exception(TimeoutError())
        if ends := [end for end in self._ends.values() if end > now]:
            self._arm(loop, max(min(ends), now + _SWEEP))
