"""Streams for readers: the hub's frames behind any number, and what grows beside the events."""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

from hyperhive.actors.board import Board
from hyperhive.actors.build_log import Step
from hyperhive.actors.hub import encode
from hyperhive.actors.ports import Watches
from hyperhive.bridge import Bridge, Feed
from hyperhive.domain.turns import TurnItem
from hyperhive.hive import LiveStream, Outlet, Tap
from hyperhive.running.broadcast import BEAT, HEARTBEAT, RESYNC, Broadcast, Filter, take
from hyperhive.store.database import Database

_PAGE = 1000
_MAX_LOG_STEP = 256 * 1024
_MAX_LOG = 1024 * 1024
_LAST = re.compile(rb"\[ *[0-9.]+ s\] " + Step.DONE.value.encode())
"""How the last line of a build's log begins."""

OPENING = b": hyperhive\n\n"


class EventStream(LiveStream):
    """See ``Hive.stream``. The record first, then the ring; a number tells where the one goes over into the other."""

    def __init__(
        self,
        *,
        feed: Feed,
        broadcast: Broadcast,
        board: Board,
        database: Database,
        after: int | None,
        kinds: frozenset[str] | None,
        views: bool,
    ) -> None:
        self._feed = feed
        self._broadcast = broadcast
        self._board = board
        self._database = database
        self._after = after
        self._position = feed.end
        self._wanted = Filter(seen=board.seq if after is None else after, kinds=kinds, views=views)
        self._whole = self._both()

    async def __anext__(self) -> bytes:
        return await anext(self._whole)

    async def aclose(self) -> None:
        """Let go of what it reads from."""
        await self._whole.aclose()

    async def _both(self) -> AsyncGenerator[bytes, None]:
        async for chunk in self.past():
            yield chunk
        if not self.ended:
            async for chunk in self.live():
                yield chunk

    async def past(self) -> AsyncGenerator[bytes, None]:
        """What was recorded behind ``after``, and the state."""
        wanted = self._wanted
        yield OPENING
        if self._after is not None:
            events = self._database.reader().events
            newest, oldest = await asyncio.to_thread(lambda: (events.newest(), events.oldest()))
            if self._after > newest or (self._after < newest and (not oldest or self._after < oldest - 1)):
                self.ended = True
                yield RESYNC
                return
            while True:
                page = await asyncio.to_thread(events.after, wanted.seen, _PAGE, wanted.kinds)
                if await asyncio.to_thread(events.oldest) > wanted.seen + 1:
                    self.ended = True  # what it was to read next was dropped while it read
                    yield RESYNC
                    return
                if page:
                    yield b"".join(encode(event.kind, event.text, event.seq) for event in page)
                    wanted.seen = page[-1].seq
                if len(page) < _PAGE:
                    break
            wanted.seen = max(wanted.seen, newest)
        if wanted.views:
            yield encode("state", self._board.json.decode())

    async def live(self) -> AsyncGenerator[bytes, None]:
        """The wanted frames as they come; a comment when there were none for a while, whatever others got."""
        loop = asyncio.get_running_loop()
        due = loop.time() + HEARTBEAT
        while True:
            await self._feed.more(self._position, max(0.0, due - loop.time()))
            taken = take(self._feed, self._position, self._wanted)
            if taken is None:
                yield RESYNC
                return
            chunk, self._position = taken
            if chunk or loop.time() >= due:
                yield chunk or BEAT
                due = loop.time() + HEARTBEAT

    def hand_over(self, outlet: Outlet, pack: Callable[[bytes], bytes]) -> Tap:
        """Live, without a task."""
        return self._broadcast.join(outlet, self._wanted, self._position, pack)


class TurnNews:
    """Wakes who follows an agent's turns; the items themselves are read from the record."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def tell(self, agent: str) -> None:
        """There are new items of ``agent``."""
        for event in self._waiting.get(agent, ()):
            event.set()

    async def follow(
        self, agent: str, read: Callable[[int], tuple[TurnItem, ...]], after: int
    ) -> AsyncIterator[TurnItem]:
        """What ``read`` gives behind ``after``, and on as more is told."""
        news = asyncio.Event()
        waiting = self._waiting.setdefault(agent, set())
        waiting.add(news)
        try:
            while True:
                news.clear()
                items = await asyncio.to_thread(read, after)
                for item in items:
                    after = item.id
                    yield item
                if not items:
                    await news.wait()
        finally:
            waiting.discard(news)
            if not waiting:
                self._waiting.pop(agent, None)


async def follow_file(path: Path, start: str, bridge: Bridge, watches: Watches) -> AsyncIterator[str]:
    """``start``, then whole lines as they are appended to the file at ``path``; it may be cut meanwhile."""
    with _growth(path, bridge, watches) as grown:
        growing = _Growing(path, at=await asyncio.to_thread(_size, path))
        for line in start.splitlines():
            yield line
        while True:
            grown.clear()
            lines, more = await growing.read()
            for line in lines:
                yield line
            if not more:
                await grown.wait()


async def follow_until(
    path: Path,
    bridge: Bridge,
    watches: Watches,
    *,
    going_on: Callable[[], bool],
    changed: asyncio.Queue[frozenset[str]],
) -> AsyncIterator[str]:
    """All lines of the file at ``path``, and what is appended, until nothing more comes.

    While more is to come, a file that has ended already is the last one's, and the next one takes its place.

    Args:
        going_on: whether more may come; asked in a thread.
        changed: says when to ask that again.
    """
    with _growth(path, bridge, watches) as grown, _Whole(path) as whole:
        while True:
            grown.clear()
            last = not await asyncio.to_thread(going_on)  # before the look: what it said at its end is in it
            more, ended = await asyncio.to_thread(whole.read)
            if last or not ended:
                for line in whole.take():
                    yield line
            if last:
                return
            if not more:
                await _either(grown, changed)


async def _either(grown: asyncio.Event, changed: asyncio.Queue[frozenset[str]]) -> None:
    waits = [asyncio.ensure_future(grown.wait()), asyncio.ensure_future(changed.get())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


@contextlib.contextmanager
def _growth(path: Path, bridge: Bridge, watches: Watches) -> Iterator[asyncio.Event]:
    """Set whenever the file may have grown."""
    grown = asyncio.Event()
    cancel = watches.folder(
        str(path.parent), frozenset({path.name}), lambda: bridge.signal(grown.set), growing=True
    )
    try:
        yield grown
    finally:
        cancel()


class _Growing:
    """A file that grows, read in whole lines."""

    def __init__(self, path: Path, *, at: int) -> None:
        self._path = path
        self._at = at
        self._rest = b""

    async def read(self) -> tuple[list[str], bool]:
        """The next lines, and whether there may be more of them at once."""
        data, self._at = await asyncio.to_thread(_read_on, self._path, self._at)
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-_MAX_LOG_STEP:]
        return [line.decode(errors="replace") for line in lines], bool(data)


class _Whole:
    """A log from its first line on, and the ones that take its place. Nobody can reuse the number of an open file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        self._lines: list[str] = []
        self._shown = False
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def take(self) -> list[str]:
        """The lines that were read and not taken yet."""
        lines, self._lines = self._lines, []
        self._shown = self._shown or bool(lines)
        return lines

    def read(self) -> tuple[bool, bool]:
        """Read on; whether there was anything, and whether the log has ended. Blocks."""
        more = self._read_on()
        if self._file is None or self._replaced():
            more = self._read_on() or more  # what it still said before the other took its place
            if self._ended and not self._shown:
                self._lines.clear()
            more = self._open() or more
        return more, self._ended

    def _replaced(self) -> bool:
        assert self._file is not None
        try:
            now = self._path.stat()
        except OSError:
            return False
        mine = os.fstat(self._file.fileno())
        return (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino)

    def _open(self) -> bool:
        if self._file is not None:
            self._file.close()
        self._file, self._rest, self._shown, self._ended = None, b"", False, False
        with contextlib.suppress(OSError):
            self._file = self._path.open("rb")
        return self._read_on()

    def _read_on(self) -> bool:
        data = self._file.read(_MAX_LOG) if self._file is not None else b""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines += [line.decode(errors="replace") for line in lines]
        if lines:
            self._ended = _LAST.match(lines[-1]) is not None
        return bool(data)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read_on(path: Path, position: int) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(position if position <= size else 0)
            data = file.read(_MAX_LOG_STEP)
            return data, file.tell()
    except OSError:
        return b"", 0
