"""uvicorn's fast HTTP protocol with the bounds it leaves out: how long and how large a request's head may be.

Nobody is logged in yet at that point, and agents may share the host's network.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_DEADLINE = 15.0
"""Seconds from a connection, or a request's first byte, to the end of its head."""
MOST_HEAD = 64 * 1024
"""Bytes of a head that is still incomplete."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    head_deadline = HEAD_DEADLINE

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # An access log would hold the entry codes, whatever the logging of the process is set to.
        self.access_log = False
        self._waiting: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the head has grown too large."""
        super().data_received(data)
        if not self._in_head:
            return
        self._head += len(data)
        if self._head > MOST_HEAD and not self.transport.is_closing():
            self._hang_up(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True
        if self._waiting is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._in_head, self._head = False, 0
        self._head_came()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._waiting = asyncio.get_running_loop().call_later(self.head_deadline, self._too_slow)

    def _head_came(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _too_slow(self) -> None:
        self._waiting = None
        self._hang_up(b"408 Request Timeout")

    def _hang_up(self, status: bytes) -> None:
        self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()
