"""``/mcp``: streamable HTTP for the operator's own clients. The web app mounts it behind its own checks.

Nothing here imports the SDK before the app runs, and then in a thread: the dashboard answers meanwhile.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hyperhive.hive import Hive
from hyperhive.mcp.departure import SCOPE_KEY, Departure
from hyperhive.mcp.loading import load
from hyperhive.shortage import persist

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

LOAD_WAIT = 5.0
"""Seconds that a request waits for the SDK to be loaded before it is told to come again."""
MAX_SESSIONS = 64
"""Sessions of the older protocol generation at once."""
MAX_BODY = 1024 * 1024
"""Bytes of one request."""
IDLE_TIMEOUT = 1800.0
"""Seconds after which a session without a request is ended."""

_log = logging.getLogger(__name__)


class McpHttp:
    """An ASGI app for ``/mcp``; whoever reaches it acts as the operator.

    Authorization, Host and Origin are the host app's to check: the SDK's own checks are off, for they know
    other hosts than ours do. Mount it as a route's endpoint: ``Route("/mcp", mcp_http.app)``.

    Args:
        idle: see ``IDLE_TIMEOUT``.
    """

    def __init__(self, *, hive: Hive, idle: float = IDLE_TIMEOUT) -> None:
        self._hive = hive
        self._idle = idle
        self._manager: StreamableHTTPSessionManager | None = None
        self._loaded = asyncio.Event()
        self._stopping = asyncio.Event()
        self._requests: set[anyio.CancelScope] = set()

    @property
    def app(self) -> ASGIApp:
        """The ASGI application."""
        return self

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the block runs; enter it once, in the host app's lifespan. Returns at once."""
        task = asyncio.get_running_loop().create_task(self._run())
        try:
            yield
        finally:
            self.stop()
            await task

    def stop(self) -> None:
        """End all open requests and streams, so that a server that shuts down need not wait for them."""
        self._stopping.set()
        self._loaded.set()  # who waits for it hears that it will not be
        for scope in tuple(self._requests):
            scope.cancel()

    async def _run(self) -> None:
        try:
            manager = await self._load()
            if manager is None:
                return
            async with manager.run():
                self._manager = manager
                self._loaded.set()
                await self._stopping.wait()
        except Exception:
            _log.exception("The MCP endpoint ended; the rest of the hive goes on without it.")
        finally:
            self._manager = None
            self._loaded.set()

    async def _load(self) -> "StreamableHTTPSessionManager | None":
        """The SDK, as soon as there are descriptors and a thread for that; ``None``: stopped before."""
        return await persist(
            lambda: asyncio.to_thread(_session_manager, self._hive, self._idle),
            stop=self._stopping,
            failed=lambda error: _log.error(
                "The MCP endpoint does not answer yet, and is tried again: %s", error
            ),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOAD_WAIT):
                await self._loaded.wait()
        if self._manager is None or self._stopping.is_set():
            await _unavailable(send)
            return
        departure = Departure()
        scope[SCOPE_KEY] = departure
        response = _Response(send)
        cancelling = anyio.CancelScope()
        self._requests.add(cancelling)
        try:
            with cancelling:
                await self._manager.handle_request(scope, _noticing(receive, departure), response.send)
        finally:
            self._requests.discard(cancelling)
        if cancelling.cancelled_caught:
            await response.finish()


class _Response:
    """What has been sent of a response, so that one that was cut short can be ended properly."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._started = False
        self._ended = False

    async def send(self, message: Message) -> None:
        """Send a part."""
        self._started = True
        self._ended = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def finish(self) -> None:
        """End the response, however far it came."""
        if not self._started:
            await _unavailable(self._send)
        elif not self._ended:
            with contextlib.suppress(OSError):
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _noticing(receive: Receive, departure: Departure) -> Receive:
    async def noticed() -> Message:
        message = await receive()
        if message["type"] == "http.disconnect":
            departure.notice()
        return message

    return noticed


async def _unavailable(send: Send) -> None:
    detail = "The MCP endpoint is not running just now; try again in a second."
    problem = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": detail}
    headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(problem).encode()})


def _session_manager(hive: Hive, idle: float = IDLE_TIMEOUT) -> "StreamableHTTPSessionManager":
    load()
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from mcp.server.transport_security import TransportSecuritySettings

    from hyperhive.mcp.manager import operator_server

    return StreamableHTTPSessionManager(
        operator_server(hive=hive).lowlevel,
        security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        max_sessions=MAX_SESSIONS,
        max_request_body_size=MAX_BODY,
        session_idle_timeout=idle,
    )
