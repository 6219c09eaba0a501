"""How an actor answers: once, from any thread, without waiting for who asked."""

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from hyperhive.errors import Deadline

log = logging.getLogger(__name__)

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Reply(Protocol[T_contra]):
    """Where an answer goes. Exactly one of the two is called, at most once."""

    def set(self, value: T_contra) -> None:
        """Answer."""

    def fail(self, error: BaseException) -> None:
        """Answer that it failed."""


class Ignore:
    """Nobody waits for this answer."""

    def set(self, value: object) -> None:
        """Drop the answer."""

    def fail(self, error: BaseException) -> None:
        """Drop the failure."""


IGNORE = Ignore()


def answer(tell: Callable[[T], None], value: T) -> None:
    """Answer with ``reply.set`` or ``reply.fail``; trouble on the other side is not the answerer's."""
    try:
        tell(value)
    except Exception:
        log.exception("An answer could not be handed over.")


class Waiter(Generic[T]):
    """An answer that a thread waits for; for Jobs and tests, never for an actor's own thread."""

    def __init__(self) -> None:
        self._open = threading.Lock()  # held until there is an answer; an Event costs three times as much
        self._open.acquire()
        self._value: T | None = None
        self._error: BaseException | None = None

    def set(self, value: T) -> None:
        """Answer."""
        self._value = value
        self._answered()

    def fail(self, error: BaseException) -> None:
        """Answer that it failed."""
        self._error = error
        self._answered()

    def _answered(self) -> None:
        with contextlib.suppress(RuntimeError):  # there was an answer already
            self._open.release()

    @property
    def done(self) -> bool:
        """Whether there is an answer."""
        return not self._open.locked()

    def get(self, timeout: float) -> T:
        """The answer. For one thread at a time.

        Args:
            timeout: seconds to wait at most.

        Raises:
            Deadline: none came in time.
        """
        if not self._open.acquire(timeout=timeout):
            raise Deadline(f"No answer within {timeout:g} s.")
        self._open.release()
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # set() stored a T


class Call(Generic[T]):
    """An answer that is handed to a function, in the thread that answers; the function only tells someone."""

    def __init__(self, done: Callable[[T], None], failed: Callable[[BaseException], None]) -> None:
        self._done = done
        self._failed = failed

    def set(self, value: T) -> None:
        """Answer."""
        self._done(value)

    def fail(self, error: BaseException) -> None:
        """Answer that it failed."""
        self._failed(error)
