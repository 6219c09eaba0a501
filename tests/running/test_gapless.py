"""Gapless resume as a property: hubs that fail, readers that lag, leave and come back, in any order."""

import asyncio
import tempfile
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperhive.actors.address import Address
from hyperhive.actors.base import Failure
from hyperhive.actors.board import Board
from hyperhive.actors.crew import Crew
from hyperhive.actors.hub import Committed, EventHub
from hyperhive.actors.ports import Frame
from hyperhive.bridge import Bridge, Feed
from hyperhive.domain.events import Paused
from hyperhive.domain.views import HiveView
from hyperhive.hive import Tap
from hyperhive.running.broadcast import RESYNC, Broadcast
from hyperhive.running.streams import EventStream
from hyperhive.store.database import Database
from tests.examples import examples
from tests.waiting import eventually_async

VIEW = HiveView(
    name="test",
    mode="live",
    runtime="process",
    confined=False,
    version="1",
    started=datetime(2026, 1, 1, tzinfo=UTC),
)


class FailingFrames:
    """The way up; fails once when told to, before or after the frames went up."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self.fail = ""

    def post(self, frames: list[Frame], changed: frozenset[str]) -> None:
        fail, self.fail = self.fail, ""
        if fail == "before":
            raise RuntimeError("lost on the way up")
        self._bridge.feed.post(frames, changed)
        if fail == "after":
            raise RuntimeError("failed once it was up")

    def together(self) -> AbstractContextManager[None]:
        return self._bridge.feed.together()


class Hub:
    """An EventHub over a real database that is followed by another whenever it fails."""

    def __init__(self, home: Path, bridge: Bridge) -> None:
        self.database = Database(home / "hive.sqlite")
        self.database.open()
        self.board = Board(hive=VIEW, seq=0)
        self.frames = FailingFrames(bridge)
        self.address = Address("#hub")
        self.crew = Crew(hands=1)
        self._start()

    def _start(self, _: Failure | None = None) -> None:
        EventHub.start(
            board=self.board,
            frames=self.frames,
            database=self.database,
            broker=Address("#broker"),
            recorded=lambda: (),
            ask_agents=lambda: None,
            crew=self.crew,
            address=self.address,
            failed=self._start,
        )

    def publish(self, count: int) -> None:
        with self.database.transaction() as tx:
            for _ in range(count):
                tx.emit(Paused(agent="alice"))
        self.address.tell(Committed(tuple(tx.emitted)))

    def crash(self) -> None:
        self.address.tell(Committed(events=(object(),)))  # type: ignore[arg-type]  # that is the bug

    def end(self) -> None:
        if self.address.actor is not None:
            self.address.actor.stop()
        self.crew.close()
        self.database.close()


class Reader:
    """A client as they are: remembers its last number and comes back with it."""

    def __init__(self, hub: Hub, bridge: Bridge, broadcast: Broadcast) -> None:
        self.seen: list[int] = []
        self._hub = hub
        self._feed = bridge.feed
        self._broadcast = broadcast

    def _begin(self) -> EventStream:
        return EventStream(
            feed=self._feed,
            broadcast=self._broadcast,
            board=self._hub.board,
            database=self._hub.database,
            after=self.seen[-1] if self.seen else 0,
            kinds=None,
            views=False,
        )

    def _take(self, chunk: bytes) -> None:
        self.seen += [int(line[4:]) for line in chunk.split(b"\n") if line.startswith(b"id: ")]

    async def read(self, chunks: int) -> None:
        """Take up to so many chunks of what is there by now."""
        raise NotImplementedError

    async def leave(self) -> None:
        """Drop the connection, with what was under way on it."""
        raise NotImplementedError


class Asking(Reader):
    """Asks for each chunk."""

    _stream: EventStream | None = None
    _pending: "asyncio.Task[bytes] | None" = None

    async def read(self, chunks: int) -> None:
        for _ in range(chunks):
            if self._stream is None:
                self._stream = self._begin()
            self._pending = self._pending or asyncio.ensure_future(anext(self._stream))
            done, _ = await asyncio.wait({self._pending}, timeout=0.01)
            if not done:
                return
            chunk, self._pending = self._pending.result(), None
            if RESYNC in chunk:
                await self.leave()
                continue
            self._take(chunk)

    async def leave(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.wait({self._pending})
        if self._stream is not None:
            await self._stream.aclose()
        self._stream = self._pending = None


class Told(Reader):
    """A connection that a stream was handed over to, with room for very little."""

    ROOM = 300
    _tap: Tap | None = None
    _over = _full = False

    async def read(self, chunks: int) -> None:
        if self._tap is None:
            await self._connect()
        for _ in range(chunks):
            if self._buffer:
                self._take(self._buffer.popleft())
        if self._over:
            await self.leave()
        elif self._tap is not None and self._full and not self._buffer:
            self._full = False
            self._tap.resume()

    async def _connect(self) -> None:
        self._buffer: deque[bytes] = deque()
        self._full = False
        stream = self._begin()
        async for chunk in stream.past():
            self._take(chunk)
        if not stream.ended:
            self._tap = stream.hand_over(self, bytes)
            self._tap.resume()

    def write(self, data: bytes) -> None:
        assert not self._full, "written to while it was full"
        self._buffer.append(data)
        if sum(map(len, self._buffer)) > self.ROOM:
            self._full = True
            assert self._tap is not None
            self._tap.pause()

    def finish(self, packed: bytes) -> None:
        assert packed == RESYNC
        self._over = True

    async def leave(self) -> None:
        if self._tap is not None:
            self._tap.leave()
        self._tap, self._over = None, False


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 40)),
        st.tuples(st.just("crash"), st.just(0)),
        st.tuples(st.sampled_from(["lose", "double"]), st.just(0)),
        st.tuples(st.just("read"), st.integers(1, 5)),
        st.tuples(st.just("skew"), st.integers(1, 40)),
        st.tuples(st.just("leave"), st.just(0)),
    ),
    min_size=3,
    max_size=25,
)


@given(steps=STEPS, ring=st.sampled_from([3, 30, 8192]))
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_reader_gets_every_event_once_and_in_order_whatever_fails(
    steps: list[tuple[str, int]], ring: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(Path(folder), steps, ring))


async def _play(home: Path, steps: list[tuple[str, int]], ring: int) -> None:
    bridge = Bridge()
    bridge.feed = Feed(bridge, frames=ring)
    bridge.open()
    hub, broadcast = Hub(home, bridge), Broadcast(feed=bridge.feed)
    readers = [kind(hub, bridge, broadcast) for kind in (Asking, Told, Told)]
    try:
        for step in steps:
            await _step(hub, readers, *step)
        hub.publish(1)
        newest = hub.database.reader().events.newest()
        await eventually_async(lambda: hub.board.handed_up == newest)
        for reader in readers:
            for _ in range(200):
                if reader.seen and reader.seen[-1] == newest:
                    break
                await reader.read(5)
                await asyncio.sleep(0)
            assert reader.seen == list(range(1, newest + 1))
    finally:
        for reader in readers:
            await reader.leave()
        assert broadcast.readers == 0
        bridge.close()
        hub.end()


async def _step(hub: Hub, readers: Sequence[Reader], what: str, how: Any) -> None:
    match what:
        case "publish":
            hub.publish(how)
        case "crash":
            hub.crash()
        case "lose":
            hub.frames.fail = "before"
        case "double":
            hub.frames.fail = "after"
        case "read":
            for reader in readers:
                await reader.read(how)
        case "skew":  # the first alone; the others fall behind it
            await readers[1].read(how)
        case "leave":
            for reader in readers[:2]:
                await reader.leave()
