"""``/api/sessions``: which browsers are logged in, and ending all of them at once."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hyperhive.domain.recorded import stamp
from hyperhive.hive import Hive
from hyperhive.web.login import written_down
from hyperhive.web.security import Security
from hyperhive.web.streams import Streams


class SessionsApi:
    """The routes about sessions.

    Args:
        streams: those of the sessions that end do as well.
    """

    def __init__(self, *, hive: Hive, security: Security, streams: Streams) -> None:
        self._hive = hive
        self._security = security
        self._streams = streams

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("/api/sessions", self.sessions, methods=["GET"]),
            Route("/api/sessions", self.end, methods=["DELETE"]),
        ]

    async def sessions(self, request: Request) -> Response:
        return JSONResponse({"sessions": self._shown()})

    async def end(self, request: Request) -> Response:
        ended = self._shown()
        for key in self._security.sessions.close_all():
            self._streams.drop(key)
        self._security.forget_entries()
        self._security.log.done(f"All sessions ({len(ended)}) and open entry links ended", _from(request))
        await written_down(self._hive, "end-sessions")
        return JSONResponse({"sessions": ended})

    def _shown(self) -> list[dict[str, str]]:
        return [
            {"id": one.id, "opened": _moment(one.opened), "used": _moment(one.used), "where": one.where}
            for one in self._security.sessions.listed()
        ]


def _moment(seconds: float) -> str:
    return stamp(datetime.fromtimestamp(seconds, UTC))


def _from(request: Request) -> str:
    return request.client.host if request.client else "the command line"
