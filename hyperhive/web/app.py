"""The HTTP faces of a hive: one for the operator over TCP, one for the command line on ``host.sock``."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hyperhive.hive import Hive
from hyperhive.web import pages
from hyperhive.web.agents_api import AgentsApi
from hyperhive.web.approvals_api import ApprovalsApi
from hyperhive.web.assets import Assets
from hyperhive.web.door import CommandLine, Door
from hyperhive.web.face import Lifespan, face
from hyperhive.web.hive_api import HiveApi
from hyperhive.web.limits import MAX_BODY
from hyperhive.web.login import Login, written_down
from hyperhive.web.openapi import Description
from hyperhive.web.security import Security
from hyperhive.web.sessions_api import SessionsApi
from hyperhive.web.streams import Streams


def build(
    *,
    hive: Hive,
    security: Security,
    streams: Streams | None = None,
    mcp_app: ASGIApp | None = None,
    lifespan: Lifespan | None = None,
    max_body: int = MAX_BODY,
) -> Starlette:
    """The operator's face: pages, API, streams and MCP, behind the login.

    Args:
        hive: the hive.
        security: who may come in.
        streams: the open streams, which the server ends when it stops; also at ``app.state.streams``.
        mcp_app: answers ``/mcp`` exactly, as it stands in its own routes.
        lifespan: what runs as long as the app.
        max_body: bytes of a request's body.
    """
    streams = streams or Streams(alive=security.sessions.touch)
    routes: list[BaseRoute] = [
        *_shared(hive, streams),
        *Login(hive=hive, security=security, streams=streams).routes(),
        *SessionsApi(hive=hive, security=security, streams=streams).routes(),
        *Description().routes(),
        *Assets(folder=pages.STATIC, version=pages.static_version()).routes(),
        Route("/", pages.hive_page),
        Route("/agents/{name}", pages.agent_page),
        Route("/history", pages.history_page),
    ]
    if mcp_app is not None:
        routes.append(Route("/mcp", _AsIs(mcp_app), methods=["GET", "POST", "DELETE"]))
    app = face(hive, routes, [Middleware(Door, security=security)], lifespan=lifespan, max_body=max_body)
    app.state.streams = streams
    return app


def build_host(
    *,
    hive: Hive,
    security: Security | None = None,
    streams: Streams | None = None,
    browsers: Streams | None = None,
    more: Sequence[BaseRoute] = (),
    lifespan: Lifespan | None = None,
    max_body: int = MAX_BODY,
) -> Starlette:
    """The command line's face, for ``host.sock``: whoever can open the socket (0600) is the operator.

    Args:
        security: gives out entry links and the token; ``None``: there is nothing to log in to.
        browsers: the streams of the sessions, which are open at the other face and end with them.
        more: further routes that only the socket gets.
    """
    streams = streams or Streams()
    keys = [] if security is None else _keys(hive, security, browsers or streams)
    routes = [*_shared(hive, streams), *keys, *more]
    app = face(hive, routes, [Middleware(CommandLine)], lifespan=lifespan, max_body=max_body)
    app.state.streams = streams
    return app


def _keys(hive: Hive, security: Security, streams: Streams) -> list[BaseRoute]:
    sessions = SessionsApi(hive=hive, security=security, streams=streams)
    return [*_Keys(hive, security).routes(), *sessions.routes()]


def _shared(hive: Hive, streams: Streams) -> list[BaseRoute]:
    return [
        *HiveApi(hive=hive, streams=streams).routes(),
        *AgentsApi(hive=hive, streams=streams).routes(),
        *ApprovalsApi(hive=hive).routes(),
    ]


class _AsIs:
    """Hands a request on to an app with its path as it came."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class _Keys:
    """What only the command line gets: entry links and the token."""

    def __init__(self, hive: Hive, security: Security) -> None:
        self._hive = hive
        self._security = security

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/entry-link", self.entry_link, methods=["POST"]),
            Route("/api/token", self.token, methods=["GET"]),
        ]

    async def entry_link(self, request: Request) -> Response:
        await written_down(self._hive, "entry-link")
        return JSONResponse({"url": self._security.entry_link()})

    async def token(self, request: Request) -> Response:
        await written_down(self._hive, "show-token")
        return JSONResponse({"token": self._security.token})
