"""The event feed of the fake hive: numbers, keeps and fans out, all on the event loop."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hyperhive.domain.events import HelperEvent
from hyperhive.domain.recorded import Recorded, envelope

KEPT = 1_000


@dataclass(eq=False)
class _Reader:
    kinds: frozenset[str] | None
    views: bool
    queue: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)


class Feed:
    """Records events and streams them, as the hub does.

    Args:
        seq: the number of the last event that is already known.
        heartbeat: seconds between comments.
    """

    def __init__(self, *, seq: int, heartbeat: float = 15.0) -> None:
        self.seq = seq
        self._heartbeat = heartbeat
        self._record: deque[Recorded] = deque(maxlen=KEPT)
        self._readers: set[_Reader] = set()

    @property
    def readers(self) -> int:
        """Streams that are open."""
        return len(self._readers)

    def publish(self, event: HelperEvent) -> Recorded:
        """Number, record and send ``event``."""
        self.seq += 1
        now = datetime.now(UTC)
        recorded = Recorded(
            seq=self.seq, ts=now, kind=event.kind, agent=event.agent, text=envelope(self.seq, now, event)
        )
        self._record.append(recorded)
        for reader in self._readers:
            if reader.kinds is None or recorded.kind in reader.kinds:
                reader.queue.put_nowait(_frame(recorded))
        return recorded

    def patch(self, parts: dict[str, object]) -> None:
        """Send a patch frame to the readers of views."""
        for reader in self._readers:
            if reader.views:
                reader.queue.put_nowait(f"event: patch\ndata: {json.dumps(parts)}\n\n".encode())

    def resync(self) -> None:
        """Tell all readers that they fell behind, which ends their streams."""
        for reader in self._readers:
            reader.queue.put_nowait(None)

    def after(self, seq: int, *, limit: int, kinds: frozenset[str] | None) -> list[Recorded]:
        """What was recorded behind ``seq``."""
        found = [e for e in self._record if e.seq > seq and (kinds is None or e.kind in kinds)]
        return found[:limit]

    async def stream(
        self, *, after: int | None, kinds: frozenset[str] | None, state: bytes | None
    ) -> AsyncIterator[bytes]:
        """Frames behind ``after``; ``state`` goes first, where views are asked for."""
        oldest = self._record[0].seq if self._record else self.seq + 1
        if after is not None and not oldest - 1 <= after <= self.seq:
            yield b"event: resync\ndata: {}\n\n"
            return
        reader = _Reader(kinds=kinds, views=state is not None)
        self._readers.add(reader)
        try:
            missed = [] if after is None else self.after(after, limit=KEPT, kinds=kinds)
            head = b"" if state is None else b"event: state\ndata: " + state + b"\n\n"
            yield head + b"".join(_frame(event) for event in missed) or b": hello\n\n"
            while True:
                yield await self._next(reader)
        except _Behind:
            yield b"event: resync\ndata: {}\n\n"
        finally:
            self._readers.discard(reader)

    async def _next(self, reader: _Reader) -> bytes:
        try:
            frame = await asyncio.wait_for(reader.queue.get(), self._heartbeat)
        except TimeoutError:
            return b": still here\n\n"
        if frame is None:
            raise _Behind
        return frame


class _Behind(Exception):
    pass


def _frame(event: Recorded) -> bytes:
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {event.text}\n\n".encode()
