"""``/login`` and ``/logout``: the entry link, the form, the cookie. Who came and who did not is written down."""

import logging
from math import ceil

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hyperhive.domain.names import OPERATOR
from hyperhive.errors import HiveError
from hyperhive.hive import Hive
from hyperhive.web import asked, pages
from hyperhive.web.door import SESSION, address, bounce, came_from_elsewhere
from hyperhive.web.security import Security
from hyperhive.web.sessions import ABSOLUTE
from hyperhive.web.streams import Streams

log = logging.getLogger(__name__)

# Whoever shares the address can use the tries up; an entry link is not among them.
_CROWDED = "Too many wrong tokens. Try again in {} s, or open the link that 'hyperhive open' prints."


class Login:
    """The routes that open and close sessions.

    Args:
        hive: what is written down there.
        security: the credentials.
        streams: those of a closed session end.
    """

    def __init__(self, *, hive: Hive, security: Security, streams: Streams) -> None:
        self._hive = hive
        self._security = security
        self._streams = streams

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("/login", self.enter, methods=["GET"]),
            Route("/login", self.submit, methods=["POST"]),
            Route("/logout", self.leave, methods=["POST"]),
        ]

    async def enter(self, request: Request) -> Response:
        """The form, or with an entry code straight in."""
        code = request.query_params.get("entry")
        if code is None:
            if self._session(request) is not None:
                return RedirectResponse(pages.safe_next(request.query_params.get("next")), 303)
            return pages.login_page(request)
        if request.method == "HEAD" or _is_preview(request):
            # A link preview must not use up the code that a human is about to open.
            return Response(status_code=204)
        if self._security.redeem(code):
            return await self._welcome(request, "/", "an entry link")
        if self._session(request) is not None:
            return RedirectResponse("/", 303)
        self._security.log.refused("bad-entry", address(request.scope))
        error = "This entry link was used or is too old. 'hyperhive open' prints a new one."
        return pages.login_page(request, error, 401)

    async def submit(self, request: Request) -> Response:
        """The form with the token."""
        client = address(request.scope)
        wait = self._security.throttle.wait(client)
        if wait > 0:
            self._security.log.refused("throttled", client)
            seconds = ceil(wait)
            page = pages.login_page(request, _CROWDED.format(seconds), 429)
            page.headers["Retry-After"] = str(seconds)
            return page
        fields = await asked.form(request)
        if not self._security.is_token(fields.get("token", "").strip()):
            self._security.throttle.fail(client)
            self._security.log.refused("bad-token", client)
            return pages.login_page(request, "That is not the operator's token.", 401)
        self._security.throttle.forgive(client)
        return await self._welcome(request, pages.safe_next(fields.get("next")), "the token")

    async def leave(self, request: Request) -> Response:
        """End the session and its streams."""
        key = request.scope.get(SESSION)
        if key is not None:
            self._security.sessions.close(key)
            self._streams.drop(key)
            self._security.log.done("Logged out", address(request.scope))
            await written_down(self._hive, "log-out")
        response = RedirectResponse("/login", 303)
        response.delete_cookie(self._security.cookie, path="/", httponly=True, samesite="strict")
        return response

    def _session(self, request: Request) -> str | None:
        cookie = request.cookies.get(self._security.cookie)
        return self._security.sessions.find(cookie) if cookie else None

    async def _welcome(self, request: Request, target: str, key: str) -> Response:
        client = address(request.scope)
        # First of all: who ends all sessions meanwhile ends this one too.
        session = self._security.sessions.open(client)
        self._security.log.done(f"Logged in with {key}", client)
        await written_down(self._hive, "log-in")
        elsewhere = came_from_elsewhere(request.headers)
        response = bounce(target) if elsewhere else RedirectResponse(target, 303)
        response.set_cookie(
            self._security.cookie,
            session,
            max_age=int(ABSOLUTE),
            path="/",
            secure=request.scope["scheme"] == "https",
            httponly=True,
            samesite="strict",
        )
        return response


async def written_down(hive: Hive, action: str) -> None:
    """Put it into the hive's record. A hive that cannot write is one that the operator has to get at all the more."""
    try:
        await hive.audit(action, by=OPERATOR)
    except HiveError as error:
        log.warning("'%s' could not be recorded: %s", action, error.message)


def _is_preview(request: Request) -> bool:
    purposes = (request.headers.get(key, "") for key in ("sec-purpose", "purpose", "x-purpose", "x-moz"))
    return any("prefetch" in purpose or "preview" in purpose for purpose in purposes)
