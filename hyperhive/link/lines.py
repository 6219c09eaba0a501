"""Lines of an agent's: checked before they become values."""

from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from hyperhive.domain.turns import MAX_ITEM, TurnItem
from hyperhive.domain.wire import FROM_HARNESS, FromHarness, Hello, Items, Numbered

MAX_HELLO = 4 * 1024
"""Bytes of a first line."""
MAX_NUMBER = 2**53
MAX_DATA = 64 * 1024
"""Bytes of a turn item's data, as JSON; what is longer is left out."""


class Malformed(ValueError):
    """What came is no line of the protocol; the message says why."""


def parse(line: bytes) -> FromHarness:
    """The value of a line.

    Raises:
        Malformed: it is none, or holds numbers nobody counts to.
    """
    try:
        message = FROM_HARNESS.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:100]
        raise Malformed(f"{place}: {first['msg'][:200]}" if place else first["msg"][:200]) from None
    if any(not 0 <= number < MAX_NUMBER for number in _numbers(message)):
        raise Malformed("a number out of range")
    return message


def _numbers(message: FromHarness) -> tuple[int, ...]:
    match message:
        case Hello(turn=turn):
            return () if turn is None else (turn,)
        case Numbered(n=n, report=report):
            return (n, getattr(report, "turn", 0), *_usage(report))
        case Items(items=items):
            return tuple(item.turn for item in items)
    return ()


def _usage(report: object) -> tuple[int, ...]:
    usage = getattr(report, "usage", None)
    if usage is None:
        return ()
    if not 0 <= usage.cost_usd < 1e9:
        raise Malformed("a cost out of range")
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.duration_ms,
    )


def bounded(items: tuple[TurnItem, ...]) -> tuple[TurnItem, ...]:
    """``items`` within the bounds an honest harness keeps by itself; the number is the host's to give."""
    return tuple(_bounded(item) for item in items)


def _bounded(item: TurnItem) -> TurnItem:
    changes: dict[str, Any] = {}
    if item.id:
        changes["id"] = 0
    if len(item.type) > 32:
        changes["type"] = item.type[:32]
    if len(item.text.encode()) > MAX_ITEM:
        changes["text"] = item.text.encode()[:MAX_ITEM].decode(errors="ignore")
    if item.data and len(to_json(item.data)) > MAX_DATA:
        changes["data"] = {}
    return replace(item, **changes) if changes else item
