"""Opening: the dashboard answers from the record while the rest of the hive is still being put together."""

import asyncio
import contextlib

from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from hyperhive.hive import Hive
from hyperhive.web import pages
from hyperhive.web.door import Door
from hyperhive.web.face import face
from hyperhive.web.headers import SecureHeaders
from hyperhive.web.problems import answer
from hyperhive.web.security import Security

_TURNS = 20
"""Turns of the event loop in which whoever waited at the door is let in and heard."""


def first_page(*, hive: Hive, security: Security) -> ASGIApp:
    """``GET /`` behind the same doors as in the whole app; it asks ``hive`` only for what is recorded."""
    return face(hive, [Route("/", pages.hive_page)], [Middleware(Door, security=security)])


class Opening:
    """What a server serves from its beginning; who asks for more than the first page waits until there is more.

    Args:
        first: answers ``/`` for now; ``None``: nothing does.
    """

    def __init__(self, first: ASGIApp | None) -> None:
        self._first = first
        self._whole: ASGIApp | None = None
        self._open = asyncio.Event()
        self._calm = asyncio.Event()
        self._calm.set()
        self._answering = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._whole is None and self._first is not None and _is_first(scope):
            await self._answer(self._first, scope, receive, send)
            return
        await self._open.wait()
        assert self._whole is not None
        await self._whole(scope, receive, send)

    async def _answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        self._answering += 1
        self._calm.clear()
        try:
            await app(scope, receive, send)
        finally:
            self._answering -= 1
            if self._answering == 0:
                self._calm.set()

    async def calm(self, at_most: float) -> None:
        """Wait until those who were at the door when it opened have their page, ``at_most`` so many seconds."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most):
                await self._calm.wait()

    def open(self, whole: ASGIApp) -> None:
        """Hand everything to ``whole`` from now on."""
        self._whole = whole
        self._open.set()

    def shut(self) -> None:
        """Wait for nothing more: who still does is told that the daemon ends, and holds up no end of it."""
        if self._whole is None:
            self.open(SecureHeaders(_ended))


async def _ended(scope: Scope, receive: Receive, send: Send) -> None:
    """What there is instead of a hive that ended before it stood."""
    if scope["type"] == "websocket":
        await WebSocketClose(1012)(scope, receive, send)
    else:
        told = answer(scope, 503, "stopping", "The daemon ends; start it again.")
        await told(scope, receive, send)


def _is_first(scope: Scope) -> bool:
    return bool(scope["type"] == "http" and scope["path"] == "/")
