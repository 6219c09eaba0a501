"""The open streams: how many there may be, and what ends one besides its reader."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import TypeVar

import anyio
from starlette.types import Receive, Scope, Send

from hyperhive.hive import LiveStream
from hyperhive.web.door import SESSION
from hyperhive.web.outlet import Outlet
from hyperhive.web.problems import Rejected

MOST = 2_000
"""Streams at once."""
STALLED = 60.0
"""Seconds that one send may take before the reader counts as gone."""
SWEEP = 10.0
"""Seconds between two looks at all streams."""

_Item = TypeVar("_Item")

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"connection", b"close"),  # nothing is asked on it behind a stream
]


class _Stream:
    """One stream. ``sending``: since when a send is under way."""

    __slots__ = ("scope", "sending", "session", "stopped")

    def __init__(self, session: str | None) -> None:
        self.session = session
        self.sending: float | None = None
        self.stopped = False
        self.scope = anyio.CancelScope()

    def stop(self) -> None:
        self.stopped = True
        self.scope.cancel()


class Streams:
    """All streams of one server.

    Args:
        alive: whether a session still is, which counts as a use of it.
        most: streams at once; a further one is answered 503.
        stalled: seconds that one send may take.
        sweep: seconds between two looks at all streams.
    """

    def __init__(
        self,
        *,
        alive: Callable[[str], bool] = lambda _: True,
        most: int = MOST,
        stalled: float = STALLED,
        sweep: float = SWEEP,
    ) -> None:
        self._alive = alive
        self._most = most
        self._stalled = stalled
        self._open: set[_Stream | Outlet] = set()
        self._sweep = sweep
        self._next_look: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def count(self) -> int:
        """Streams that are open."""
        return len(self._open)

    def close(self) -> None:
        """End all streams and begin no more: the server stops."""
        self._closed = True
        for stream in tuple(self._open):
            stream.stop()

    def drop(self, session: str) -> None:
        """End the streams of a session that is over."""
        for stream in tuple(self._open):
            if stream.session == session:
                stream.stop()

    async def send(self, scope: Scope, receive: Receive, send: Send, frames: AsyncIterator[bytes]) -> None:
        """Answer a request with ``frames``, until they end, the reader leaves, or the stream is stopped.

        Raises:
            Rejected: 503, there are too many.
        """
        with self._place(scope) as stream:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            handed = scope["method"] != "HEAD" and await self._answer(stream, scope, receive, send, frames)
        if not handed and not stream.sending:
            await send({"type": "http.response.body", "body": b""})

    async def _answer(
        self, stream: _Stream, scope: Scope, receive: Receive, send: Send, frames: AsyncIterator[bytes]
    ) -> bool:
        """Send ``frames``, or what they begin with; whether the connection does the rest without us."""
        if not isinstance(frames, LiveStream):
            await self._pump(stream, receive, send, frames)
            return False
        await self._pump(stream, receive, send, frames.past())
        if frames.ended or stream.stopped:
            return False
        outlet = Outlet(session=stream.session, ended=self._free)
        if outlet.take(scope):
            self._open.add(outlet)
            outlet.follow(frames)
            return True
        await self._pump(stream, receive, send, frames.live())
        return False

    async def guard(self, scope: Scope, items: AsyncIterator[_Item]) -> AsyncGenerator[_Item, None]:
        """``items``, ended when the stream is stopped. For responses that watch their reader themselves.

        Raises:
            Rejected: 503, there are too many.
        """
        with self._place(scope) as stream:
            async with _closing(items):
                while not stream.stopped:
                    with anyio.CancelScope() as stream.scope:
                        try:
                            item = await anext(items)
                        except StopAsyncIteration:
                            return
                    if stream.scope.cancelled_caught:
                        return
                    yield item

    def check(self) -> None:
        """Raises ``Rejected`` (503) when there is no place for one more."""
        if self._closed or len(self._open) >= self._most:
            raise Rejected(
                503,
                "too-many-streams",
                f"{len(self._open)} streams are open, {self._most} are allowed; close some and try again.",
                {"Retry-After": "10"},
            )

    @contextlib.contextmanager
    def _place(self, scope: Scope) -> Iterator[_Stream]:
        self.check()
        stream = _Stream(scope.get(SESSION))
        self._open.add(stream)
        if self._next_look is None:
            self._next_look = asyncio.get_running_loop().call_later(self._sweep, self._look)
        try:
            yield stream
        finally:
            self._free(stream)

    def _free(self, stream: "_Stream | Outlet") -> None:
        self._open.discard(stream)
        if not self._open and self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    async def _pump(
        self, stream: _Stream, receive: Receive, send: Send, frames: AsyncIterator[bytes]
    ) -> None:
        clock = asyncio.get_running_loop().time
        leaving = asyncio.create_task(_until_gone(receive, stream))
        try:
            with stream.scope:
                async with _closing(frames):
                    async for frame in frames:
                        stream.sending = clock()
                        await send({"type": "http.response.body", "body": frame, "more_body": True})
                        stream.sending = None
        finally:
            leaving.cancel()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        late = loop.time() - self._stalled
        for stream in tuple(self._open):
            over = stream.session is not None and not self._alive(stream.session)
            if over or (stream.sending is not None and stream.sending < late):
                stream.stop()
        self._next_look = loop.call_later(self._sweep, self._look)


async def _until_gone(receive: Receive, stream: _Stream) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.stop()


@contextlib.asynccontextmanager
async def _closing(items: AsyncIterator[_Item]) -> AsyncIterator[None]:
    """Closes ``items`` at the end, where they are a generator, so that its cleanup runs now."""
    try:
        yield
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            with anyio.CancelScope(shield=True):
                await close()
