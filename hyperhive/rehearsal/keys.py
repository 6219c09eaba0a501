"""The keys of the rehearsal's API: each names its agent, and none can be made without the secret."""

import hashlib
import hmac
import re
import threading
import time
from collections.abc import Callable

_KEY = re.compile(r"sk-rehearsal-([a-z][a-z0-9-]{0,30})-([0-9a-f]{4})([0-9a-f]{40})")
_NUMBERS = 0x10000


class Keys:
    """Makes keys and knows whose a key is. Safe to call from any thread.

    The same secret gives the same keys, so that an agent that works while the daemon restarts is not locked out.

    Args:
        secret: at least 16 bytes that only the daemon knows.
        clock: seconds, monotonic.
    """

    def __init__(self, *, secret: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        self._secret = secret
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def of(self, agent: str) -> str:
        """The key that ``agent`` uses now; a new one once a refusal of its last one is over."""
        with self._lock:
            if agent in self._until and self._clock() >= self._until[agent]:
                del self._until[agent]
                self._numbers[agent] = (self._numbers.get(agent, 0) + 1) % _NUMBERS
            return self._make(agent, self._numbers.get(agent, 0))

    def refused(self, agent: str, seconds: float) -> None:
        """The API refuses ``agent`` for so long; then it gets a new key, as if somebody had logged it in."""
        with self._lock:
            self._until[agent] = self._clock() + seconds

    def __call__(self, key: str) -> str | None:
        """The agent whose key this is, or was; ``None`` for one that was not made here."""
        found = _KEY.fullmatch(key)
        if found is None:
            return None
        made = self._make(found[1], int(found[2], 16))
        return found[1] if hmac.compare_digest(made, key) else None

    def _make(self, agent: str, number: int) -> str:
        seal = hmac.new(self._secret, f"{agent}/{number}".encode(), hashlib.sha256).hexdigest()
        return f"sk-rehearsal-{agent}-{number:04x}{seal[:40]}"
