"""What every HTTP face of a hive has around its routes, in this order: headers, errors, its door, bounds."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from hyperhive.errors import HiveError
from hyperhive.hive import Hive
from hyperhive.web.headers import SecureHeaders
from hyperhive.web.limits import MAX_BODY, MAX_MCP_BODY, BodyLimit
from hyperhive.web.problems import Unexpected, on_hive_error, on_http_error

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def face(
    hive: Hive,
    routes: Sequence[BaseRoute],
    doors: Sequence[Middleware],
    *,
    lifespan: Lifespan | None = None,
    max_body: int = MAX_BODY,
) -> Starlette:
    """An app of these routes.

    Args:
        hive: what the routes find at ``app.state.hive``.
        doors: who may come in.
        lifespan: what runs as long as the app.
        max_body: bytes of a request's body.
    """
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(SecureHeaders),
            Middleware(Unexpected),
            *doors,
            Middleware(BodyLimit, most=max_body, at={"/mcp": MAX_MCP_BODY}),
        ],
        exception_handlers={HTTPException: on_http_error, HiveError: on_hive_error},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.hive = hive
    return app
