"""The fake hive with the daemon's own event streams: a record, a board, a ring and a broadcast."""

from collections.abc import AsyncIterator
from pathlib import Path

from hyperhive.actors.board import Board
from hyperhive.actors.hub import encode
from hyperhive.actors.ports import Frame
from hyperhive.bridge import RING_FRAMES, Bridge, Feed
from hyperhive.domain.events import HelperEvent
from hyperhive.domain.recorded import Recorded
from hyperhive.running.broadcast import Broadcast
from hyperhive.running.streams import EventStream
from hyperhive.store.database import Database
from tests.fakes.hive import FakeHive
from tests.fakes.samples import busy_snapshot


class LiveHive(FakeHive):
    """A hive for who looks at streams; made on the event loop.

    Args:
        folder: where the record is.
        heartbeat: seconds between comments.
        ring: frames that a reader may fall behind.
    """

    def __init__(self, folder: Path, *, heartbeat: float = 15.0, ring: int = RING_FRAMES) -> None:
        super().__init__(busy_snapshot(3))
        self.database = Database(folder / "hive.sqlite")
        self.database.open()
        self.bridge = Bridge()
        self.bridge.feed = Feed(self.bridge, frames=ring)
        self.bridge.open()
        self.board = Board(hive=self.snapshot().hive, seq=0)
        self.broadcast = Broadcast(feed=self.bridge.feed, heartbeat=heartbeat)

    def publish(self, event: HelperEvent) -> Recorded:
        """Record ``event``, show it and hand it up, as store and hub do."""
        with self.database.transaction() as tx:
            tx.emit(event)
        (recorded,) = tx.emitted
        self.board.apply((recorded,), ())
        frame = Frame(recorded.seq, recorded.kind, encode(recorded.kind, recorded.text, recorded.seq))
        self.bridge.feed.post([frame], frozenset())
        return recorded

    def stream(
        self, *, after: int | None, kinds: frozenset[str] | None = None, views: bool = False
    ) -> AsyncIterator[bytes]:
        """The daemon's own stream."""
        return EventStream(
            feed=self.bridge.feed,
            broadcast=self.broadcast,
            board=self.board,
            database=self.database,
            after=after,
            kinds=kinds,
            views=views,
        )

    def close(self) -> None:
        """End the record."""
        self.bridge.close()
        self.database.close()
