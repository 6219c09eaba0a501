"""What concerns who comes in, in the daemon's log: every success, and of refusals as many as one can read."""

import logging
import time
from collections.abc import Callable

log = logging.getLogger("hyperhive.security")

QUIET = 60.0
"""Seconds between two lines about refusals of one kind; what came in between is counted in the next."""


class SecurityLog:
    """Tells of logins, logouts and refusals. No line holds a token, a code, a cookie or what a stranger sent.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def done(self, what: str, where: str) -> None:
        """Something that only the operator can do: logged in, logged out."""
        log.info("%s, from %s.", what, where or "an unknown address")

    def refused(self, kind: str, where: str) -> None:
        """Somebody was turned away. Whoever can cause these can cause any number: they are told once a minute.

        Args:
            kind: the refusal's code, one of a few.
            where: the address.
        """
        now = self._clock()
        if now - self._told.get(kind, -QUIET) < QUIET:
            self._untold[kind] = self._untold.get(kind, 0) + 1
            return
        self._told[kind] = now
        more = self._untold.pop(kind, 0)
        since = f", and {more} more since the last line about it" if more else ""
        log.warning("Refused (%s): a request from %s%s.", kind, where or "an unknown address", since)
