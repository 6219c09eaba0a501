"""Sockets of many agents, nearly always at rest: one watch of the event loop for all of them.

A server or a transport of asyncio's costs each of them kilobytes: a handle, a context, a key of the selector's,
buffers. Here one costs an entry in a dictionary and one in an ``epoll``, which the loop watches.
"""

import asyncio
import logging
import select
import socket
from typing import Protocol

from hyperhive.shortage import AGAIN, is_short

_log = logging.getLogger(__name__)

BACKLOG = 100
TOLD_AGAIN = 60.0
"""Seconds until it is told again that nobody can be let in: with many agents each tries once a second."""
_AT_ONCE = 64
"""Sockets that are served before the loop has its turn; the rest are ready still."""


class Watched(Protocol):
    """Whose socket is watched."""

    def ready(self, events: int) -> None:
        """It is ready for ``events``, those of ``select.epoll``; or no longer, when somebody was quicker."""


class Watch:
    """Watches sockets, on the event loop on which it is told to; holds nothing while there are none."""

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._watched: dict[int, Watched] = {}
        self._told = float("-inf")

    def on(self, fd: int, events: int, who: Watched) -> None:
        """Tell ``who`` of ``events`` from now on, and of no others."""
        if self._epoll is None:
            self._epoll = select.epoll()
            asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._run)
        if fd in self._watched:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._watched[fd] = who

    def off(self, fd: int) -> None:
        """Tell nothing of it any more; to be said before it is closed."""
        if self._epoll is None or self._watched.pop(fd, None) is None:
            return
        self._epoll.unregister(fd)
        if not self._watched:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def short(self, error: OSError) -> None:
        """Log that nobody can be let in for now, seldom however many try."""
        now = asyncio.get_running_loop().time()
        if now - self._told >= TOLD_AGAIN:
            self._told = now
            _log.warning("Agents cannot be let in: %s; they are as soon as that ends.", error)

    def _run(self) -> None:
        if self._epoll is None:
            return
        for fd, events in self._epoll.poll(0, _AT_ONCE):
            if (who := self._watched.get(fd)) is None:
                continue  # one before it in this list ended it
            try:
                who.ready(events)
            except Exception:
                _log.exception("A socket of an agent failed.")
                self.off(fd)  # it would be ready for ever


class Takes(Protocol):
    """Who takes connections."""

    def connected(self, connection: socket.socket) -> None:
        """Somebody connected; the connection is its own now, and does not block."""


class Listener:
    """Listens on a bound socket.

    Args:
        bound: closed with the listener, or when it cannot listen.
        takes: gets each connection.
    """

    __slots__ = ("_bound", "_takes", "_watch")

    def __init__(self, *, watch: Watch, bound: socket.socket, takes: Takes) -> None:
        self._watch, self._bound, self._takes = watch, bound, takes
        try:
            bound.setblocking(False)
            bound.listen(BACKLOG)
            self._listen()
        except OSError:
            bound.close()
            raise

    def close(self) -> None:
        """Listen no more; what was connected stays."""
        if self._bound.fileno() >= 0:
            self._watch.off(self._bound.fileno())
            self._bound.close()

    def ready(self, events: int) -> None:
        """See ``Watched``."""
        try:
            connection, _ = self._bound.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            if not is_short(error):
                raise
            self._watch.short(error)
            # Watched on, for nothing: to be watched anew could take a descriptor that is not there then either.
            self._watch.on(self._bound.fileno(), 0, self)
            asyncio.get_running_loop().call_later(AGAIN, self._listen)
            return
        connection.setblocking(False)
        self._takes.connected(connection)

    def _listen(self) -> None:
        if (fd := self._bound.fileno()) >= 0:  # else it was closed meanwhile
            self._watch.on(fd, select.EPOLLIN, self)
