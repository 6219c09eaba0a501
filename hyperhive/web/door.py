"""The door: which Host is meant, where a request comes from, and whether the operator sent it. Pure ASGI."""

from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from hyperhive.origin import coming_from
from hyperhive.web.problems import problem
from hyperhive.web.security import Security
from hyperhive.web.strangers import ADMIT

SESSION = "hyperhive.session"
"""The scope's key for the session that the request belongs to; absent with a bearer token."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN = frozenset({"/healthz", "/login"})
_BEARER_ONLY = "/mcp"
_FOR_PROGRAMS = ("/api/", "/metrics", "/mcp")


class Door:
    """Lets in who may come in; everything else is answered here.

    Args:
        app: what is behind the door.
        security: what to check against.
    """

    def __init__(self, app: ASGIApp, *, security: Security) -> None:
        self._app = app
        self._security = security

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._wrong_host(scope, headers) or self._foreign(scope, headers)
        if refusal is None and not _is_open(scope["path"]):
            refusal = self._stranger(scope, headers)
            if refusal is None:
                _admit(scope)
        if refusal is None:
            with coming_from(_origin(scope, headers)):
                await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(1008)(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _wrong_host(self, scope: Scope, headers: Headers) -> Response | None:
        hosts = headers.getlist("host")
        server = scope.get("server")
        if len(hosts) == 1 and self._security.answers_to(hosts[0], server[0] if server else None):
            return None
        self._note("wrong-host", scope)
        return problem(
            421,
            "wrong-host",
            "This hive does not answer to that host name; use the address it printed at its start, "
            "or name the host in allowed_hosts.",
        )

    def _foreign(self, scope: Scope, headers: Headers) -> Response | None:
        if not _from_elsewhere(scope, headers):
            return None
        self._note("cross-site", scope)
        return problem(403, "cross-site", "The request comes from another site's page; open the hive's own.")

    def _note(self, code: str, scope: Scope) -> None:
        self._security.log.refused(code, address(scope))

    def _stranger(self, scope: Scope, headers: Headers) -> Response | None:
        """Why the request is not the operator's, or ``None``. Notes the session."""
        given = headers.getlist("authorization")
        if given:
            scheme, _, token = given[0].partition(" ")
            if len(given) == 1 and scheme.lower() == "bearer" and self._security.is_token(token.strip()):
                return None
            self._note("bad-token", scope)
            return _login_wanted(
                "bad-token", "The bearer token is wrong; 'hyperhive token' prints the right one."
            )
        if scope["path"] == _BEARER_ONLY:
            self._note("login-needed", scope)
            return _login_wanted("login-needed", "This address wants the operator's token as bearer.")
        cookie = HTTPConnection(scope).cookies.get(self._security.cookie)
        key = self._security.sessions.find(cookie) if cookie else None
        if key is not None:
            scope[SESSION] = key
            return None
        if _wants_page(scope):
            return _to_login(scope, headers)
        self._note("session-over" if cookie else "login-needed", scope)
        if cookie:
            return _login_wanted("session-over", "The session is over; log in again.")
        return _login_wanted("login-needed", "Log in, or send the operator's token as bearer.")


class CommandLine:
    """The door of ``host.sock``: who could open it is the operator."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _admit(scope)
        with coming_from("command line"):
            await self._app(scope, receive, send)


def _admit(scope: Scope) -> None:
    if (admit := scope.get(ADMIT)) is not None:
        admit()


def bounce(target: str) -> Response:
    """A page that goes on to ``target`` by itself.

    A navigation that another site began carries no strict cookie, redirects included; one that
    this page begins does.
    """
    address = quote(target, safe="/?=&%-._~")
    body = f'<!doctype html><title>hyperhive</title><meta http-equiv="refresh" content="0;url={address}">'
    return Response(body.replace("&", "&amp;"), media_type="text/html")


def came_from_elsewhere(headers: Headers) -> bool:
    """Whether another site began this request, as far as the browser says."""
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


def address(scope: Scope) -> str:
    """From where a request came; empty when it is not told."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _from_elsewhere(scope: Scope, headers: Headers) -> bool:
    """Whether another origin's page sent it, where that matters: changes, upgrades, and reads for programs."""
    guarded = (
        scope["type"] == "websocket"
        or scope["method"] not in _SAFE
        or scope["path"].startswith(_FOR_PROGRAMS)
    )
    if not guarded:
        return False
    # Ports are origins of their own but the same site: another local server's page is as foreign as any.
    sites = headers.getlist("sec-fetch-site")
    origins = headers.getlist("origin")
    own = {f"http://{headers['host']}".lower(), f"https://{headers['host']}".lower()}
    return not (
        all(site in ("same-origin", "none") for site in sites) and all(o.lower() in own for o in origins)
    )


def _origin(scope: Scope, headers: Headers) -> str:
    """Through which door a request came, and from where: what is recorded of what it does."""
    door = "dashboard"
    if "authorization" in headers:
        door = "MCP" if scope["path"] == _BEARER_ONLY else "HTTP"
    return f"{door} {address(scope)}".rstrip()


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith("/static/")


def _wants_page(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] not in _SAFE:
        return False
    return not scope["path"].startswith(_FOR_PROGRAMS)


def _to_login(scope: Scope, headers: Headers) -> Response:
    query = scope["query_string"].decode("latin-1")
    here = quote(scope["path"], safe="/") + (f"?{query}" if query else "")
    if came_from_elsewhere(headers) and here.startswith("/") and not here.startswith("//"):
        return bounce(here)
    target = "/login" if here == "/" else f"/login?next={quote(here, safe='')}"
    return RedirectResponse(target, 303)


def _login_wanted(code: str, detail: str) -> Response:
    return problem(401, code, detail, {"WWW-Authenticate": 'Bearer realm="hyperhive"'})
