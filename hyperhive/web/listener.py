"""Listening sockets that leave descriptors for everything else: agents are supervised whoever knocks."""

import asyncio
import errno
import logging
import os
import resource
import socket
import time
from typing import Any, Self

log = logging.getLogger(__name__)

SAY_EVERY = 60.0
"""Seconds between two complaints that nobody more can be let in."""
_BATCH = 16  # between two looks at what those who are in already say
_PAUSE = 0.5  # shorter than the second after which the loop looks again
_OUT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_TOLD = "socket.accept() out of system resource"


def descriptors() -> int:
    """How many this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**20 if soft == resource.RLIM_INFINITY else soft


class Listener(socket.socket):
    """A listening socket that accepts nobody while ``spare`` descriptors or fewer are free.

    Whoever connects then waits. The loop rests for a second and looks again; it would otherwise try, fail and
    complain as often as its backlog is long.
    """

    def __init__(self, *args: Any, spare: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._spare = spare
        self._until = 0.0
        self._let_in = 0

    @classmethod
    def of(cls, bound: socket.socket) -> Self:
        """``bound``, taken over. The command line's socket leaves fewer free: it is how a full hive is helped."""
        spare = (
            min(64, descriptors() // 16) if bound.family == socket.AF_UNIX else min(512, descriptors() // 4)
        )
        listener = cls(fileno=bound.detach(), spare=spare)
        listener.setblocking(False)
        return listener

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection.

        Raises:
            BlockingIOError: there is none, or not now.
            OSError: ``EMFILE`` when there is no room.
        """
        now = time.monotonic()
        if now < self._until or self._let_in == _BATCH:
            self._let_in = 0
            raise BlockingIOError
        try:
            self._look()
            connection, address = super().accept()
        except OSError as error:
            if error.errno in _OUT:
                self._until = now + _PAUSE
            self._let_in = 0
            raise
        self._let_in += 1
        return connection, address

    def _look(self) -> None:
        """Whether there is room, before somebody is let in: whoever waits is not turned away."""
        next_one = os.dup(self.fileno())  # the lowest free number is given out: all below it are in use
        os.close(next_one)
        if next_one >= descriptors() - self._spare:
            raise OSError(errno.EMFILE, "Too many open files")


class Complaints:
    """The event loop's errors, for the log; that nobody more can be let in is said once a minute."""

    def __init__(self) -> None:
        self._said = float("-inf")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log one."""
        if context.get("message") != _TOLD:
            loop.default_exception_handler(context)
            return
        now = time.monotonic()
        if now - self._said >= SAY_EVERY:
            self._said = now
            log.error(
                "No new connections for now (%s): of %d descriptors too few are free. They are accepted again as "
                "soon as some are; raise the limit of open files if this lasts.",
                context.get("exception"),
                descriptors(),
            )
