"""What grows, as server-sent events. Imported by the first who follows: no first page waits for the library."""

from collections.abc import AsyncGenerator, AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from hyperhive.domain.plain import as_json
from hyperhive.domain.turns import TurnItem


async def lines(event: str, texts: AsyncIterator[str]) -> AsyncGenerator[ServerSentEvent, None]:
    """A frame for each line."""
    async for text in texts:
        yield ServerSentEvent(text, event=event, sep="\n")


async def turns(items: AsyncIterator[TurnItem]) -> AsyncGenerator[ServerSentEvent, None]:
    """A frame for each turn event, with its number."""
    async for item in items:
        yield ServerSentEvent(as_json(item), event="turn", id=str(item.id), sep="\n")


async def ended(frames: AsyncIterator[ServerSentEvent]) -> AsyncGenerator[ServerSentEvent, None]:
    """``frames``, and then one that says that this was all: a browser would begin anew at a mere end."""
    async for frame in frames:
        yield frame
    yield ServerSentEvent("{}", event="end", sep="\n")


def response(frames: AsyncIterator[ServerSentEvent]) -> Response:
    """The answer that ``frames`` are."""
    return EventSourceResponse(frames, sep="\n", ping=15, send_timeout=60)
