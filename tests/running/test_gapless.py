"""Gapless resume as a property: hubs that fail, readers that lag, leave and come back, in any order."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperhive.actors.address import Address
from hyperhive.actors.base import Failure
from hyperhive.actors.board import Board
from hyperhive.actors.hub import Committed, EventHub
from hyperhive.actors.ports import Frame
from hyperhive.bridge import Bridge
from hyperhive.domain.events import Paused
from hyperhive.domain.views import HiveView
from hyperhive.running.streams import RESYNC, event_stream
from hyperhive.store.database import Database
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


class Hub:
    """An EventHub over a real database that is followed by another whenever it fails."""

    def __init__(self, home: Path, bridge: Bridge) -> None:
        self.database = Database(home / "hive.sqlite")
        self.database.open()
        self.board = Board(hive=VIEW, seq=0)
        self.frames = FailingFrames(bridge)
        self.address = Address("#hub")
        self._start()

    def _start(self, _: Failure | None = None) -> None:
        EventHub.start(
            board=self.board,
            frames=self.frames,
            database=self.database,
            broker=Address("#broker"),
            recorded=lambda: (),
            ask_agents=lambda: None,
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
        self.database.close()


class Reader:
    """A client as they are: remembers its last number and comes back with it."""

    def __init__(self, hub: Hub, bridge: Bridge) -> None:
        self.seen: list[int] = []
        self._hub = hub
        self._bridge = bridge
        self._stream: AsyncIterator[bytes] | None = None
        self._pending: asyncio.Task[bytes] | None = None

    async def read(self, chunks: int) -> None:
        """Take up to so many chunks of what is there by now."""
        for _ in range(chunks):
            if self._stream is None:
                last = self.seen[-1] if self.seen else 0
                hub = self._hub
                self._stream = event_stream(
                    feed=self._bridge.feed,
                    board=hub.board,
                    database=hub.database,
                    after=last,
                    kinds=None,
                    views=False,
                )
            self._pending = self._pending or asyncio.ensure_future(anext(self._stream))
            done, _ = await asyncio.wait({self._pending}, timeout=0.01)
            if not done:
                return
            chunk, self._pending = self._pending.result(), None
            if RESYNC in chunk:
                await self.leave()
                continue
            self.seen += [int(line[4:]) for line in chunk.split(b"\n") if line.startswith(b"id: ")]

    async def leave(self) -> None:
        """Drop the connection, with what was under way on it."""
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.wait({self._pending})
        if self._stream is not None:
            await self._stream.aclose()  # type: ignore[attr-defined]  # a generator
        self._stream = self._pending = None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 40)),
        st.tuples(st.just("crash"), st.just(0)),
        st.tuples(st.sampled_from(["lose", "double"]), st.just(0)),
        st.tuples(st.just("read"), st.integers(1, 5)),
        st.tuples(st.just("leave"), st.just(0)),
    ),
    min_size=3,
    max_size=25,
)


@given(steps=STEPS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_reader_gets_every_event_once_and_in_order_whatever_fails(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(Path(folder), steps))


async def _play(home: Path, steps: list[tuple[str, int]]) -> None:
    bridge = Bridge()
    bridge.open()
    hub = Hub(home, bridge)
    reader = Reader(hub, bridge)
    try:
        for step in steps:
            await _step(hub, reader, *step)
        hub.publish(1)
        newest = hub.database.reader().events.newest()
        await eventually_async(lambda: hub.board.handed_up == newest)
        for _ in range(200):
            if reader.seen and reader.seen[-1] == newest:
                break
            await reader.read(5)
        assert reader.seen == list(range(1, newest + 1))
    finally:
        await reader.leave()
        bridge.close()
        hub.end()


async def _step(hub: Hub, reader: Reader, what: str, how: Any) -> None:
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
            await reader.read(how)
        case "leave":
            await reader.leave()
