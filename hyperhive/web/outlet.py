"""A connection whose answer is a live stream: what is left of it once its request has been dealt with.

uvicorn's protocol, the request and its task are let go of; the transport stays, with this as its protocol.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hyperhive.hive import LiveStream, Tap

EXTENSION = "hyperhive.outlet"
"""The scope's extension by which an app takes a connection over, behind an answer's head and first chunks."""
HIGH_WATER = 16 * 1024
"""Bytes that may wait to be sent before the reader counts as slow."""
_LAST = b"0\r\n\r\n"

Take = Callable[["Outlet"], bool]


def chunk(data: bytes) -> bytes:
    """``data`` as a chunk of HTTP/1.1's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Outlet(asyncio.Protocol):
    """One such connection.

    Args:
        session: whose it is, as in ``Streams``.
        ended: called once, when it has ended.
    """

    __slots__ = ("_connections", "_ended", "_tap", "_transport", "sending", "session", "write")

    def __init__(self, *, session: str | None, ended: Callable[["Outlet"], None]) -> None:
        self.session = session
        self.sending: float | None = None
        self._ended = ended
        self._tap: Tap | None = None
        self._transport: asyncio.Transport
        self._connections: set[Any]
        self.write: Callable[[bytes], None]

    def take(self, scope: Scope) -> bool:
        """Take the request's connection over; ``False`` where the server or the request does not allow it."""
        take: Take | None = scope.get("extensions", {}).get(EXTENSION)
        return take is not None and take(self)

    def follow(self, stream: LiveStream) -> None:
        """Send what is said from now on."""
        if not self._transport.is_closing():
            self._tap = stream.hand_over(self, chunk)
            if self.sending is None:
                self._tap.resume()

    def stop(self) -> None:
        """End now; who has not read what was sent before does not hear that it was all."""
        self._leave()
        if not self._transport.is_closing():
            self._transport.write(_LAST)
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()

    shutdown = stop  # by this name the server ends its connections

    def finish(self, packed: bytes) -> None:
        """End behind ``packed``, which the reader may still take its time to read."""
        self._tap = None
        self._transport.write(packed + _LAST)
        if self._transport.get_write_buffer_size() and self.sending is None:
            self.sending = asyncio.get_running_loop().time()
        self._transport.close()

    # -- the connection

    def begin(self, transport: asyncio.Transport, connections: set[Any], *, paused: bool) -> None:
        """Be this transport's protocol."""
        self._transport, self._connections = transport, connections
        self.write = transport.write
        connections.add(self)
        transport.set_protocol(self)
        if paused:
            self.pause_writing()
        transport.set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """Nothing is to come any more: what sends the next request into a stream is broken, or means harm."""
        if data.strip(b"\r\n"):
            self.stop()

    def pause_writing(self) -> None:
        """The reader does not keep up."""
        self.sending = asyncio.get_running_loop().time()
        if self._tap is not None:
            self._tap.pause()

    def resume_writing(self) -> None:
        """It has caught up with what was sent."""
        self.sending = None
        if self._tap is not None:
            self._tap.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._leave()
        self._connections.discard(self)
        self._ended(self)

    def _leave(self) -> None:
        tap, self._tap = self._tap, None
        if tap is not None:
            tap.leave()


class GivingProtocol(HttpToolsProtocol):
    """uvicorn's protocol, whose connection an app may take over: ``EXTENSION`` in the scope's extensions."""

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        cast(Scope, self.scope)["extensions"] = {EXTENSION: self._give}

    def _give(self, outlet: Outlet) -> bool:
        """Hand the connection to ``outlet``, unless an answer's plain chunks are not all that it will carry."""
        cycle, transport, flow = self.cycle, self.transport, self.flow
        alone = cycle is not None and not self.pipeline and not cycle.more_body
        if not alone or cycle.chunked_encoding is not True or cycle.response_complete or cycle.disconnected:
            return False
        if transport.is_closing():
            return False
        cycle.response_complete = True  # to the server this request is over
        flow.resume_reading()
        self._unset_keepalive_if_required()
        self._leave()
        self.connections.discard(self)
        outlet.begin(transport, self.connections, paused=flow.write_paused)
        vars(self).clear()  # nothing calls it any more, and much of what it knows knows it
        return True

    def _leave(self) -> None:
        """Wait for nothing any more."""
