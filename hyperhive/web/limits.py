"""The bound on a request's body, whether it announces its length or comes in chunks. Pure ASGI."""

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hyperhive.web.problems import Rejected, problem

MAX_BODY = 256 * 1024
"""Bytes of a request's body."""
MAX_MCP_BODY = 1024 * 1024
"""Bytes of one MCP request."""
_CODE = "body-too-long"


class BodyLimit:
    """Answers 413 to a body that is too long.

    Args:
        app: what reads the body.
        most: bytes.
        at: other bounds, by path.
    """

    def __init__(self, app: ASGIApp, *, most: int, at: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._most = most
        self._at = at or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._at.get(scope["path"], self._most)
        detail = f"A body may have {most} bytes here; put large things in files and name them."
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdigit() or len(announced) > 18 or int(announced) > most:
            await problem(413, _CODE, detail, {"Connection": "close"})(scope, receive, send)
            return
        arrived = 0

        async def bounded() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > most:
                raise Rejected(413, _CODE, detail, {"Connection": "close"})
            return message

        await self._app(scope, bounded, send)
