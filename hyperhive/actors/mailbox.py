"""Actors' mailboxes: pykka puts in, whoever runs the actor takes out, and an address takes back."""

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any


class Latch:
    """A ``threading.Event`` that happens once: a tenth of its size, and there are two of them for each actor."""

    __slots__ = ("_closed", "_happened")

    def __init__(self) -> None:
        self._happened = False
        self._closed = threading.Lock()
        self._closed.acquire()

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._happened

    def set(self) -> None:
        """It happens; waits end."""
        self._happened = True
        with contextlib.suppress(RuntimeError):  # it had happened before
            self._closed.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has happened, at most ``timeout`` seconds; whether it has."""
        if not self._happened and self._closed.acquire(timeout=-1 if timeout is None else timeout):
            with contextlib.suppress(RuntimeError):
                self._closed.release()  # for the next who waits
        return self._happened


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
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()  # empty, it is far smaller than a deque
        self._attended = threading.Lock()
        self._attended.acquire()
        self.wake: Callable[[], None] = lambda: None

    def put(self, envelope: Any, /) -> None:
        """Leave a message, from any thread."""
        self._messages.put(envelope)
        if self._attended.acquire(blocking=False):
            self.wake()

    def take(self) -> Any | None:
        """The oldest message; ``None``: there is none. Never waits."""
        try:
            return self._messages.get_nowait()
        except queue.Empty:
            return None

    get = take

    def leave(self) -> bool:
        """Go, for all was taken; ``True`` when something came in this moment, and who asked must stay."""
        self._attended.release()
        return not self._messages.empty() and self._attended.acquire(blocking=False)

    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._messages.empty()

    def qsize(self) -> int:
        """How much waits."""
        return self._messages.qsize()
