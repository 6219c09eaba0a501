"""What a request asks for, read strictly: JSON bodies, forms, numbers, names, event kinds."""

import asyncio
from collections.abc import Sequence
from typing import TypeVar, get_args
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, HTTPConnection, Request

from hyperhive.domain.events import AnyEvent
from hyperhive.domain.names import OPERATOR, check_name
from hyperhive.errors import Invalid
from hyperhive.web.problems import Rejected

BODY_DEADLINE = 30.0
"""Seconds within which a body has to arrive."""
HIGHEST = 2**53 - 1
"""The highest number that every JSON reader holds exactly."""

KINDS: frozenset[str] = frozenset(
    kind.model_fields["kind"].default for kind in get_args(get_args(AnyEvent)[0])
)
"""The kinds of event there are."""

_Model = TypeVar("_Model", bound=BaseModel)


async def body(request: Request, model: type[_Model]) -> _Model:
    """The JSON body as ``model``; an empty one counts as ``{}``.

    Raises:
        Rejected: 400 no JSON, 408 too slow, 415 another content type.
        Invalid: JSON, but not what is expected.
    """
    raw = await _raw(request)
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if raw and kind != "application/json":
        raise Rejected(415, "not-json", "Send JSON, with 'Content-Type: application/json'.")
    try:
        return model.model_validate_json(raw or b"{}", strict=True)  # true is no 1
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            reason = first["msg"].removeprefix("Invalid JSON: ")
            raise Rejected(400, "malformed-json", f"The body is not JSON: {reason}.") from None
        key = ".".join(str(part) for part in first["loc"])[:100] or "body"
        raise Invalid(f"{key}: {first['msg']}.", code="bad-body") from None


async def form(request: Request) -> dict[str, str]:
    """The fields of a urlencoded form; the first of equal ones counts.

    Raises:
        Rejected: 400 no such form, 408 too slow, 415 another content type.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Rejected(415, "not-a-form", "Send 'application/x-www-form-urlencoded'.")
    raw = await _raw(request)
    try:
        pairs = parse_qsl(raw.decode(), max_num_fields=20)
    except ValueError:
        raise Rejected(400, "malformed-form", "The form cannot be read.") from None
    return dict(reversed(pairs))


async def _raw(request: Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_DEADLINE):
            return await request.body()
    except TimeoutError:
        raise Rejected(408, "too-slow", f"The body did not arrive within {BODY_DEADLINE:.0f} s.") from None
    except ClientDisconnect:
        raise Rejected(400, "cut-off", "The connection ended before the body did.") from None


def number(given: str | None, what: str, *, default: int, least: int = 0, most: int = HIGHEST) -> int:
    """A whole number.

    Raises:
        Invalid: it is none, or not from ``least`` to ``most``.
    """
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and len(given) <= 16 and least <= int(given) <= most):
        raise Invalid(f"{what} must be a whole number from {least} to {most}.", code="bad-number")
    return int(given)


def query(request: HTTPConnection, key: str, *, default: int, least: int = 0, most: int = HIGHEST) -> int:
    """A whole number from the query. Raises as ``number``."""
    return number(request.query_params.get(key), key, default=default, least=least, most=most)


def flag(request: HTTPConnection, key: str, *, default: bool = False) -> bool:
    """A yes or no from the query: ``1``/``true``, ``0``/``false``.

    Raises:
        Invalid: it is neither.
    """
    given = request.query_params.get(key)
    if given is None:
        return default
    if given in ("1", "true", "0", "false"):
        return given in ("1", "true")
    raise Invalid(f"{key} must be 1 or 0.", code="bad-flag")


def choice(request: HTTPConnection, key: str, choices: Sequence[str], *, default: str) -> str:
    """One of ``choices`` from the query.

    Raises:
        Invalid: it is none of them.
    """
    given = request.query_params.get(key, default)
    if given not in choices:
        raise Invalid(f"{key} must be one of {', '.join(choices)}.", code="bad-choice")
    return given


def name(request: HTTPConnection) -> str:
    """The agent's name in the path. Raises ``Invalid``."""
    return check_name(str(request.path_params["name"]))


def peer(given: str | None) -> str | None:
    """An agent's name or the operator. Raises ``Invalid``."""
    return given if given is None or given == OPERATOR else check_name(given)


def id(request: HTTPConnection) -> int:
    """The number in the path. Raises ``Invalid``."""
    return number(str(request.path_params["id"]), "The id", default=0, least=1)


def kinds(request: HTTPConnection) -> frozenset[str] | None:
    """The kinds of event asked for; ``None``: all.

    Raises:
        Invalid: one of them does not exist.
    """
    given = request.query_params.get("kinds")
    if given is None:
        return None
    wanted = frozenset(part.strip() for part in given.split(",") if part.strip())
    if unknown := sorted(wanted - KINDS):
        raise Invalid(
            f"kinds: {ascii(unknown[0])[:60]} is no kind of event; docs/events.md lists them.",
            code="bad-kind",
        )
    return wanted or None


def resume(request: HTTPConnection) -> int | None:
    """Behind which number to go on: ``Last-Event-ID``, else ``after``, else ``None``. Raises ``Invalid``.

    A browser that reconnects repeats the address it began with, so the header is the newer word.
    """
    after = query(request, "after", default=0) if "after" in request.query_params else None
    last = request.headers.get("last-event-id", "").strip()
    return number(last, "Last-Event-ID", default=0) if last else after
