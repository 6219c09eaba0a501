"""A harness's socket: whole lines in, bytes out; at rest it holds nothing."""

import asyncio
import re
import select
import socket
from typing import Protocol

from hyperhive.domain.wire import MAX_LINE
from hyperhive.link.lines import Malformed
from hyperhive.sockets import Watch

CHUNK = 64 * 1024
_ENDED = select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP


class Owner(Protocol):
    """Who serves a connection."""

    def came(self) -> None:
        """Something came, or the connection ended."""


class Connection:
    """Holds no more than one line and a chunk: while a whole line waits to be taken, nothing more is read.

    Nothing is read before the first ``take`` or ``look``.

    Args:
        taken: the socket; it does not block, and is closed with the connection.
        owner: told of what comes.
    """

    __slots__ = ("_closed", "_events", "_held", "_looked", "_owner", "_socket", "_unsent", "_watch", "over")

    def __init__(self, *, watch: Watch, taken: socket.socket, owner: Owner) -> None:
        self._watch, self._socket, self._owner = watch, taken, owner
        self._held: bytearray | None = None
        self._looked = 0
        self._unsent: bytearray | None = None
        self._events = 0
        self._closed = False
        self.over = False
        """Whether it ended; what came before may still be taken, unless it was closed here."""

    @property
    def unsent(self) -> int:
        """Bytes that wait because the other side does not read."""
        return 0 if self._unsent is None else len(self._unsent)

    def take(self, *, limit: int = MAX_LINE) -> bytes | None:
        """The next line without its end; ``None``: none has come whole.

        Raises:
            Malformed: the line is longer than ``limit``.
        """
        held = self._held
        end = -1 if held is None else held.find(b"\n", self._looked)
        self._looked = 0 if held is None or end >= 0 else len(held)
        if max(end, self._looked) > limit:
            raise Malformed(f"a line of more than {limit} bytes")
        if held is None or end < 0:
            self._read_on(True)
            return None
        line = bytes(held[:end])
        del held[: end + 1]
        self._held = held or None
        return line

    def look(self) -> None:
        """Read what is there, without being told of it; only while no whole line is held."""
        if not self.over:
            self._read()

    def skip(self, only: re.Pattern[bytes]) -> bool:
        """Drop what has come if all of it, its end included, is ``only``; whether it was."""
        if self._held is None or only.fullmatch(self._held) is None:
            return False
        self._held, self._looked = None, 0
        return True

    def write(self, data: bytes) -> None:
        """Send ``data`` behind what waits; never blocks. Nothing when it ended."""
        if self.over:
            return
        if self._unsent is not None:
            self._unsent += data
            return
        sent = self._send(data)
        if sent < len(data) and not self.over:
            self._unsent = bytearray(data[sent:])
            self._want(self._events | select.EPOLLOUT)

    def close(self) -> None:
        """End it at once. What waits goes nowhere."""
        if not self._closed:
            self._closed = self.over = True
            self._want(0)
            self._held = self._unsent = None
            self._socket.close()

    def ready(self, events: int) -> None:
        """See ``Watched``."""
        if events & (select.EPOLLOUT | _ENDED) and self._unsent is not None:
            self._flush(self._unsent)
        if self._events & select.EPOLLIN and events & (select.EPOLLIN | _ENDED):
            self._read()

    def _flush(self, unsent: bytearray) -> None:
        del unsent[: self._send(unsent[:CHUNK])]
        if not unsent and not self.over:
            self._unsent = None
            self._want(self._events & ~select.EPOLLOUT)

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self._end()
            asyncio.get_running_loop().call_soon(self._owner.came)
            return len(data)

    def _read(self) -> None:
        try:
            chunk = self._socket.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._end()
        elif self._held is None:
            self._held = bytearray(chunk)
        else:
            self._held += chunk
        self._owner.came()
        if self._held is not None and self._held.find(b"\n", self._looked) >= 0:
            self._read_on(False)

    def _end(self) -> None:
        self.over, self._unsent = True, None
        self._want(0)

    def _read_on(self, reads: bool) -> None:
        reads = reads and not self.over
        self._want(self._events | select.EPOLLIN if reads else self._events & ~select.EPOLLIN)

    def _want(self, events: int) -> None:
        """Be told of ``events``; of none not even its end, which would come again and again."""
        if events != self._events:
            self._events = events
            if events:
                self._watch.on(self._socket.fileno(), events, self)
            else:
                self._watch.off(self._socket.fileno())
