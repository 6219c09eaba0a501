"""The live part of the event streams: one loop over all connections for each batch of frames.

Readers who want the same are a *group*: what they get is joined and packed once. A connection that takes no more
leaves its group and goes on by itself, from the ring, when it takes more again; one that the ring has moved beyond
is told to resync. A reader costs a few slots: no task, no generator, no future, no timer.
"""

import asyncio
from collections.abc import Callable

from hyperhive.actors.hub import encode
from hyperhive.actors.ports import Frame
from hyperhive.bridge import Feed
from hyperhive.hive import Outlet

HEARTBEAT = 15.0
"""Seconds of silence after which a comment goes out."""
PIECE = 64 * 1024
"""Bytes after which what is written at once is cut, between two frames: so much a slow reader costs at most."""
_MOST = 512
BEAT = b": beat\n\n"
RESYNC = encode("resync", "{}")

Pack = Callable[[bytes], bytes]
Kinds = frozenset[str] | None


class Filter:
    """What of the ring a reader gets: nothing twice, though a hub that failed may hand up a frame again."""

    __slots__ = ("kinds", "seen", "views")

    def __init__(self, *, seen: int, kinds: Kinds, views: bool) -> None:
        self.seen = seen
        self.kinds = kinds
        self.views = views

    def __call__(self, frame: Frame) -> bool:
        """Whether to send it; notes its number as seen."""
        if frame.seq is None:
            return self.views
        if frame.seq <= self.seen:
            return False
        self.seen = frame.seq
        return self.kinds is None or frame.kind in self.kinds


class Broadcast:
    """Writes the feed's frames to the connections that streams were handed over to.

    Args:
        feed: the ring of frames.
        heartbeat: seconds of silence after which a comment goes out.
    """

    def __init__(self, *, feed: Feed, heartbeat: float = HEARTBEAT) -> None:
        self._feed = feed
        self._heartbeat = heartbeat
        self._groups: dict[tuple[Kinds, bool, Pack], _Group] = {}
        self._beat: asyncio.TimerHandle | None = None
        self._next: asyncio.Handle | None = None
        feed.follow(self)

    @property
    def readers(self) -> int:
        """Connections that a stream was handed over to."""
        return sum(group.taps for group in self._groups.values())

    def join(self, outlet: Outlet, wanted: Filter, position: int, pack: Pack) -> "Tap":
        """Write what is wanted of the ring from ``position`` on to ``outlet``, from the tap's ``resume`` on."""
        key = (wanted.kinds, wanted.views, pack)
        group = self._groups.get(key)
        if group is None:
            group = _Group(self._feed, wanted.kinds, wanted.views, pack, self._due())
            group.emptied = lambda: self._groups.pop(key, None)
            self._groups[key] = group
            if self._beat is None:
                self._beat = asyncio.get_running_loop().call_at(group.due, self._pulse)
        group.taps += 1
        return Tap(group, outlet, position, wanted.seen)

    def _due(self) -> float:
        return asyncio.get_running_loop().time() + self._heartbeat

    def serve(self) -> None:
        """Write what came to all, a piece each; the loop does what else there is before the next."""
        due, more = self._due(), False
        for group in tuple(self._groups.values()):
            if group.serve():
                group.due = due
            more = more or group.behind
        if more and self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._next = None
        self.serve()

    def _pulse(self) -> None:
        """One timer for all: a comment to every group that got nothing for a while."""
        loop = asyncio.get_running_loop()
        now, due = loop.time(), self._due()
        for group in tuple(self._groups.values()):
            if group.due <= now:
                group.due = due
                group.beat()
        self._beat = None
        if self._groups:
            self._beat = loop.call_at(min(group.due for group in self._groups.values()), self._pulse)


class _Group:
    """Readers who want the same. Those in ``members`` have had all of the ring up to ``position``."""

    __slots__ = ("_feed", "ahead", "due", "emptied", "members", "pack", "position", "taps", "wanted")

    def __init__(self, feed: Feed, kinds: Kinds, views: bool, pack: Pack, due: float) -> None:
        self._feed = feed
        self.wanted = Filter(seen=feed.newest, kinds=kinds, views=views)
        self.pack = pack
        self.due = due
        self.position = feed.end
        self.taps = 0
        self.members: dict[Tap, Callable[[bytes], None]] = {}
        # They have had more than the group, in the record or in the ring: not all of its next frames are theirs.
        self.ahead: set[Tap] = set()
        self.emptied: Callable[[], object] = lambda: None

    @property
    def behind(self) -> bool:
        """Whether there is more in the ring than the members have had."""
        return self.taps > 0 and self.position < self._feed.end

    def serve(self) -> bool:
        """Write the next piece; whether there was anything for the members."""
        taken = take(self._feed, self.position, self.wanted)
        if taken is None:
            self.position, self.wanted.seen = self._feed.end, self._feed.newest
            for tap in tuple(self.members):
                tap.lost()
            for tap in tuple(self.ahead):
                tap.catch_up()
            return False
        # Before it is written, so that who pauses on it knows where to go on.
        piece, self.position = taken
        if piece:
            packed = self.pack(piece)
            for write in tuple(self.members.values()):
                write(packed)
        for tap in tuple(self.ahead):
            tap.catch_up()
        return bool(piece)

    def beat(self) -> None:
        packed = self.pack(BEAT)
        for write in (*self.members.values(), *(tap.write for tap in self.ahead)):
            write(packed)


class Tap:
    """One reader; it begins paused."""

    __slots__ = ("_group", "_outlet", "_paused", "_position", "_seen", "write")

    def __init__(self, group: _Group, outlet: Outlet, position: int, seen: int) -> None:
        self._group: _Group | None = group
        self._outlet = outlet
        self._position = position
        self._seen = seen
        self._paused = True
        self.write = outlet.write

    def pause(self) -> None:
        """The connection takes no more for now."""
        group = self._group
        if group is None or self._paused:
            return
        self._paused = True
        if group.members.pop(self, None) is not None:
            self._position, self._seen = group.position, group.wanted.seen
        group.ahead.discard(self)

    def resume(self) -> None:
        """It takes more again."""
        if self._group is not None and self._paused:
            self._paused = False
            self._group.ahead.add(self)
            self.catch_up()

    def leave(self) -> None:
        """It is gone."""
        group, self._group = self._group, None
        if group is None:
            return
        group.members.pop(self, None)
        group.ahead.discard(self)
        group.taps -= 1
        if not group.taps:
            group.emptied()

    def lost(self) -> None:
        """The ring has moved beyond it."""
        group = self._group
        self.leave()
        if group is not None:
            self._outlet.finish(group.pack(RESYNC))

    def catch_up(self) -> None:
        """Write what it has not had yet; once it has had all that the group has, it is served with it."""
        group = self._group
        if group is None:
            return
        feed, wanted = group._feed, group.wanted
        own = Filter(seen=self._seen, kinds=wanted.kinds, views=wanted.views)
        while not self._paused and self._position < group.position:
            taken = take(feed, self._position, own, until=group.position)
            if taken is None:
                self.lost()
                return
            piece, self._position = taken
            self._seen = own.seen
            if piece:
                self.write(group.pack(piece))
        if not self._paused and self._position == group.position and self._seen <= wanted.seen:
            group.ahead.discard(self)
            group.members[self] = self.write


def take(feed: Feed, position: int, wanted: Filter, *, until: int | None = None) -> tuple[bytes, int] | None:
    """The wanted frames from ``position`` on, joined, as many as fit in a piece, and the position behind them.

    ``None``: the ring has moved beyond ``position``.

    Args:
        until: the position to stop at; ``None``: at the newest.
    """
    frames = feed.since(position, _MOST if until is None else min(_MOST, until - position))
    if frames is None:
        return None
    parts, size = [], 0
    for frame in frames:
        position += 1
        if wanted(frame):
            parts.append(frame.data)
            size += len(frame.data)
            if size >= PIECE:
                break
    return b"".join(parts), position
