"""uvicorn's fast HTTP protocol with the bounds it leaves out, for whoever is not logged in yet.

How long and large a head may be, how long a connection may be silent or leave an answer unread, what a target may
look like. Agents may share the host's network, and nothing asks them for a login before this.
"""

import asyncio
import http
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from hyperhive.web.headers import ALWAYS
from hyperhive.web.outlet import GivingProtocol
from hyperhive.web.problems import problem
from hyperhive.web.strangers import ADMIT, Strangers

HEAD_DEADLINE = 15.0
"""Seconds from a connection, or a request's first byte, to the end of its head; and from an early answer to the
end of the request it answers."""
WRITE_DEADLINE = 60.0
"""Seconds that a client may take none of what waits for it."""
MOST_HEAD = 64 * 1024
"""Bytes of a head, its trailers included, and of what is neither head nor body behind it."""
MOST_LINES = 256
"""Lines of a head, its trailers included: short ones take many times their length in memory."""
MOST_AHEAD = 32
"""Requests that may wait on one connection for the answer to an earlier one."""
_SLICE = 16 * 1024
"""Bytes that are parsed between two looks at the bounds."""

_MALFORMED = (400, "malformed-request", "This is no HTTP/1.1 request that can be read in one way only.")
_TARGET = (400, "bad-target", "A request's target is a path, with nothing before it and no fragment.")
_TOO_LARGE = (
    431,
    "head-too-large",
    f"A request's head may have {MOST_HEAD} bytes and {MOST_LINES} lines; send less.",
)
_AHEAD = (
    400,
    "too-many-ahead",
    f"At most {MOST_AHEAD} requests may wait on a connection; read answers first.",
)
_TOO_SLOW = (408, "too-slow", f"The request did not arrive within {HEAD_DEADLINE:.0f} s.")


class _Refused(Exception):
    """Ends the parser's work; what to answer is noted."""


class BoundedProtocol(GivingProtocol):
    """One connection.

    Args:
        strangers: where it is entered until a door lets a request of it in.
    """

    head_deadline = HEAD_DEADLINE
    write_deadline = WRITE_DEADLINE

    def __init__(self, *args: Any, strangers: Strangers | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # An access log would hold the entry codes, whatever the logging of the process is set to.
        self.access_log = False
        self._strangers = strangers or Strangers()
        self._due: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._in_message, self._in_head, self._moved = False, True, False
        self._head = self._lines = self._dry = 0
        self._fault = _MALFORMED
        self._begun: RequestResponseCycle | None = None
        self._broken = False

    # -- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._strangers.enter(self)
        self._await()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._leave()
        super().connection_lost(exc)

    def evict(self) -> None:
        """End at once: somebody else needs the place."""
        self.transport.abort()

    def pause_writing(self) -> None:
        """The client leaves its answers unread."""
        super().pause_writing()
        self._look_again(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """It reads on."""
        super().resume_writing()
        self._read_on()

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless it grows without getting anywhere."""
        for start in range(0, len(data), _SLICE):
            part = data[start : start + _SLICE]
            self._moved = False
            super().data_received(part)
            if self.transport.is_closing() or self.transport.get_protocol() is not self:
                return
            self._dry = 0 if self._moved else self._dry + len(part)
            if self._dry > MOST_HEAD:
                self._hang_up(_TOO_LARGE)
                return
        if not self._busy and self._due is None and self.timeout_keep_alive_task is None:
            self._await()  # what came began no request, and ended the wait for one

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over. One whose handshake cannot be read would never be answered there."""
        if self.scope["method"] != "GET":
            self._hang_up(_MALFORMED)
            return
        self._leave()
        super().handle_websocket_upgrade()
        handed: Any = self.transport.get_protocol()
        if not handed.handshake_initiated and not self.transport.is_closing():
            self._hang_up(_MALFORMED)

    # -- the parser's callbacks

    def on_message_begin(self) -> None:
        """A request begins."""
        if len(self.pipeline) >= MOST_AHEAD:  # what came at once is parsed at once, and each of them costs
            self._fault = _AHEAD
            raise _Refused
        super().on_message_begin()
        self.scope[ADMIT] = self._admit  # type: ignore[literal-required]
        self._in_message = self._in_head = True
        self._head = self._lines = 0
        if self._due is None:
            self._await()

    def on_url(self, url: bytes) -> None:
        """A part of its target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or behind a body a trailer: nobody here asks for those, and as headers they would be forged."""
        self._lines += 1
        self._count(len(name) + len(value) + 4)
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its head is there."""
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            raise _Refused
        if self.url != b"*" and (not self.url.startswith(b"/") or b"#" in self.url):
            self._fault = _TARGET
            raise _Refused
        self._in_head, self._moved = False, True
        self._came()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._in_message, self._moved = False, True
        super().on_message_complete()
        if self.cycle is not None and not self._busy:  # it was answered before
            self._came()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """It is answered; the rest of it has to come now, or nothing."""
        super().on_response_complete()
        if self._in_message and not self._in_head and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._await()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser did not take."""
        self._hang_up(self._fault)

    # -- inside

    @property
    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _admit(self) -> None:
        self._strangers.leave(self)

    def _leave(self) -> None:
        self._strangers.leave(self)
        self._came()
        self._read_on()

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > MOST_HEAD or self._lines > MOST_LINES:
            self._fault = _TOO_LARGE
            raise _Refused

    def _await(self) -> None:
        self._came()
        self._due = self.loop.call_later(self.head_deadline, self._hang_up, _TOO_SLOW)

    def _came(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _look_again(self, left: int) -> None:
        self._unread = self.loop.call_later(self.write_deadline, self._look, left)

    def _look(self, left: int) -> None:
        """End, unless something was taken of what was ``left``: a long answer may take its time."""
        now = self.transport.get_write_buffer_size()
        if now < left:
            self._look_again(now)
        else:
            self.transport.abort()

    def _read_on(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        async def begin(scope: Any, receive: Any, send: Any) -> None:
            if self._broken:  # its body turned out to be none, after its head was taken
                cycle.disconnected = True
                return
            self._begun = cycle
            await app(scope, receive, send)

        super()._start_asgi_task(cycle, begin)

    def _hang_up(self, fault: tuple[int, str, str]) -> None:
        """End, with an answer unless one has begun: two must not run into each other."""
        self._broken = True
        self.pipeline.clear()
        begun = self._begun
        if begun is not None and begun.response_started:
            of_this = begun is self.cycle and self._in_message and not self._in_head
            quiet = not begun.response_complete or of_this
        else:
            quiet = False
        if not quiet:
            if begun is not None:
                begun.disconnected = True
            self._answer(*fault)
        self.transport.close()

    def _answer(self, status: int, code: str, detail: str) -> None:
        answer = problem(status, code, detail, {"connection": "close", "cache-control": "no-store"})
        headers = b"".join(b"%s: %s\r\n" % pair for pair in (*answer.raw_headers, *ALWAYS))
        line = f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\n".encode()
        self.transport.write(line + headers + b"\r\n" + bytes(answer.body))
