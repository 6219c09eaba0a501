"""API errors on demand: which are due, and how they look on the wire."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.responses import JSONResponse, Response

from hyperhive.rehearsal.engine import Failure, Part
from hyperhive.rehearsal.scenario import Fail

MAX_REMEMBERED = 1024
"""Errors with an end that are remembered; the oldest is forgotten first."""

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_MESSAGES = {
    401: "OAuth token has expired or the key was revoked. (rehearsal)",
    429: "This request would exceed your rate limit. (rehearsal)",
    529: "Overloaded. (rehearsal)",
}


def type_of(status: int) -> str:
    """The API's name for an error with this status."""
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


def error_body(step: Fail) -> dict[str, str]:
    """The inner object of an error's body."""
    message = step.message or _MESSAGES.get(step.error, f"An error {step.error} on demand. (rehearsal)")
    return {"type": step.type or type_of(step.error), "message": message}


class Faults:
    """Remembers since when an error with an end is shown.

    Args:
        clock: seconds, monotonic. now: seconds since 1970, for the headers.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._now = now
        self._first: OrderedDict[str, float] = OrderedDict()

    def due(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        """``parts`` up to and with the first error that is due, without those that are over."""
        kept: list[Part] = []
        for part in parts:
            if not isinstance(part, Failure):
                kept.append(part)
            elif part.step.seconds is None or self.left(part) > 0:
                return (*kept, part)
        return tuple(kept)

    def response(self, failure: Failure) -> Response:
        """The error as a response of its own, with ``retry-after`` where it is known."""
        step = failure.step
        after = step.retry_after
        if after is None and step.seconds is not None and step.error in (429, 529):
            after = math.ceil(self.left(failure))
        headers: dict[str, str] = {}
        if after is not None:
            headers["retry-after"] = str(after)
            if step.error == 429:
                left = after if step.seconds is None else math.ceil(self.left(failure))
                headers |= _limit_headers(int(self._now()) + left)
        body = {"type": "error", "error": error_body(step)}
        return JSONResponse(body, status_code=step.error, headers=headers)

    def left(self, failure: Failure) -> float:
        """Seconds that an error with an end still lasts; it begins with the first question."""
        now = self._clock()
        first = self._first.setdefault(failure.key, now)
        self._first.move_to_end(failure.key)
        while len(self._first) > MAX_REMEMBERED:
            self._first.popitem(last=False)
        return max(0.0, first + (failure.step.seconds or 0.0) - now)


def _limit_headers(resets: int) -> dict[str, str]:
    """What an OAuth login over its limit is told besides."""
    prefix = "anthropic-ratelimit-unified"
    return {
        f"{prefix}-status": "rejected",
        f"{prefix}-reset": str(resets),
        f"{prefix}-representative-claim": "five_hour",
    }
