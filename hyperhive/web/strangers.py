"""Connections that nobody has logged in on yet: so many, and then the oldest makes room for the newest."""

from typing import Protocol

ADMIT = "hyperhive.admit"
"""The scope's key for what a door calls when it lets a request in: its connection is no stranger's from then on."""
MOST_STRANGERS = 1_000
"""Connections at once on which nobody has logged in."""


class Connection(Protocol):
    """What can be ended."""

    def evict(self) -> None:
        """End at once."""
        ...


class Strangers:
    """The connections of one server that are no operator's yet.

    Whoever reaches the port can open connections without end. They take places from each other, never from who is
    logged in, and a browser that comes anew has the newest.

    Args:
        most: how many there may be.
    """

    def __init__(self, *, most: int = MOST_STRANGERS) -> None:
        self._most = most
        self._waiting: dict[Connection, None] = {}

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._waiting)

    def enter(self, connection: Connection) -> None:
        """One more; the oldest goes when they are too many."""
        self._waiting[connection] = None
        if len(self._waiting) > self._most:
            oldest = next(iter(self._waiting))
            self.leave(oldest)
            oldest.evict()

    def leave(self, connection: Connection) -> None:
        """It ended, or is known now."""
        self._waiting.pop(connection, None)
