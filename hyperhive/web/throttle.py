"""Bounds the failures of whoever guesses: so many a minute by address, and by all together."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

ADDRESSES = 1_000
"""Addresses remembered."""
EACH, TOTAL = 5, 100
"""Failures of one address, and of all, within ``WINDOW`` seconds, after which they have to wait."""
WINDOW = 60.0


class Throttle:
    """Counts failures within a sliding window.

    Args:
        each: failures of one address within ``window`` after which it has to wait.
        total: failures of all addresses within ``window`` after which everyone has to.
        window: seconds.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        each: int = EACH,
        total: int = TOTAL,
        window: float = WINDOW,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._window = window
        self._clock = clock
        self._each = each
        self._all: deque[float] = deque(maxlen=total)
        self._by: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until ``address`` may try again; 0: now."""
        return max(self._left(self._all), self._left(self._by.get(address)))

    def fail(self, address: str) -> None:
        """Count a failure of ``address``."""
        now = self._clock()
        self._all.append(now)
        self._by.setdefault(address, deque(maxlen=self._each)).append(now)
        self._by.move_to_end(address)
        if len(self._by) > ADDRESSES:
            self._by.popitem(last=False)

    def forgive(self, address: str) -> None:
        """Forget the failures of ``address``, which got in."""
        self._by.pop(address, None)

    def _left(self, failures: deque[float] | None) -> float:
        if failures is None or len(failures) < (failures.maxlen or 0):
            return 0.0
        return max(0.0, failures[0] + self._window - self._clock())
