"""Actors' mailboxes: pykka puts in, whoever runs the actor takes out, and an address takes back."""

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any


class Inbox(queue.SimpleQueue[Any]):
    """The mailbox of an actor with a thread of its own, which waits on it."""

    def take(self) -> Any | None:
        """The oldest message; ``None``: there is none. Never waits."""
        try:
            return self.get_nowait()
        except queue.Empty:
            return None


class Mailbox:
    """The mailbox of an actor that is run when there is something for it to do.

    Whoever leaves a message while nobody is on the way calls ``wake``: once, however much comes until ``leave``
    says that all was taken. Nobody is called before the first ``leave``.
    """

    __slots__ = ("_attended", "_messages", "wake")

    def __init__(self) -> None:
        self._messages: deque[Any] = deque()
        self._attended = threading.Lock()
        self._attended.acquire()
        self.wake: Callable[[], None] = lambda: None

    def put(self, envelope: Any, /) -> None:
        """Leave a message, from any thread."""
        self._messages.append(envelope)
        if self._attended.acquire(blocking=False):
            self.wake()

    def take(self) -> Any | None:
        """The oldest message; ``None``: there is none. Never waits."""
        try:
            return self._messages.popleft()
        except IndexError:
            return None

    get = take

    def leave(self) -> bool:
        """Go, for all was taken; ``True`` when something came in this moment, and who asked must stay."""
        self._attended.release()
        return bool(self._messages) and self._attended.acquire(blocking=False)

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._messages

    def qsize(self) -> int:
        """How much waits."""
        return len(self._messages)
