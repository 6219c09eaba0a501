"""Errors on the wire: ``application/problem+json`` with type, title, status, detail and a stable code."""

import http
import logging

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hyperhive.errors import Broken, Deadline, Gone, HiveError, Invalid, Refused, Unknown
from hyperhive.web import pages

log = logging.getLogger(__name__)

_STATUS: tuple[tuple[type[HiveError], int], ...] = (
    (Invalid, 422),
    (Unknown, 404),
    (Gone, 410),
    (Refused, 409),
    (Deadline, 504),
    (Broken, 503),
)
_DETAIL = {
    404: ("no-such-route", "There is nothing at this address; docs/http.md lists what there is."),
    405: (
        "method-not-allowed",
        "This address does not take that method; the Allow header names those it takes.",
    ),
    413: ("body-too-long", "The request's body is too long; put large things in files and name them."),
}

_TITLE = {404: "There is nothing here", 500: "Something failed", 503: "The hive cannot do that now"}
_MISTYPED = "The address may be mistyped, or what was here is gone."


def problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The response for an error."""
    title = http.HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
    return JSONResponse(body, status, headers=headers, media_type="application/problem+json")


def answer(
    scope: Scope, status: int, code: str, detail: str, headers: dict[str, str] | None = None
) -> Response:
    """The response for an error: a page where a browser goes somewhere, the problem itself for programs."""
    accepted = Headers(scope=scope).get("accept", "")
    if "text/html" not in accepted or scope["path"].startswith(("/api/", "/mcp", "/metrics")):
        return problem(status, code, detail, headers)
    said = _MISTYPED if code == "no-such-route" else detail
    page = pages.error_page(status, _TITLE.get(status, http.HTTPStatus(status).phrase), said)
    page.headers.update(headers or {})
    return page


class Rejected(HTTPException):
    """A refusal that only HTTP knows of.

    Args:
        status: the response's.
        code: a stable slug.
        detail: one sentence that says what to do.
    """

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.code = code


async def on_hive_error(request: Request, error: Exception) -> Response:
    """What the hive refused or could not do."""
    assert isinstance(error, HiveError)
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    if status >= 500:
        log.warning("%s %a: %s", request.method, request.url.path, error.message)
    headers = {"Retry-After": "5"} if status == 503 else None
    return answer(request.scope, status, error.code, error.message, headers)


async def on_http_error(request: Request, error: Exception) -> Response:
    """What never reached the hive."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if isinstance(error, Rejected):
        return answer(request.scope, error.status_code, error.code, error.detail, headers)
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request))
    code, detail = _DETAIL.get(error.status_code, ("http-error", f"{error.detail}."))
    return answer(request.scope, error.status_code, code, detail, headers)


def _methods(request: Request) -> list[str]:
    """What all routes at this address take together."""
    path = request.url.path
    routes = [r for r in request.app.routes if isinstance(r, Route) and r.path_regex.match(path)]
    return sorted(set[str]().union(*(route.methods or () for route in routes)))


class Unexpected:
    """Pure ASGI: an exception nobody expected is logged once and answered without its traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            if scope["type"] != "http":
                raise
            log.exception("%s %a failed unexpectedly", scope["method"], scope["path"])
            if started:
                # Half an answer is out: the server cuts the connection, which tells the client.
                return
            detail = "Something unexpected failed; the daemon's log has the details."
            await answer(scope, 500, "unexpected", detail)(scope, receive, send)
