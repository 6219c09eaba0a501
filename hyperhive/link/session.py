"""One connection of a harness: greets it, hands on what it says, notices when it is gone."""

import asyncio
import contextlib
import logging
import math
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from hyperhive.domain.wire import (
    PROTOCOL,
    FromHarness,
    FromHost,
    Hello,
    Items,
    Numbered,
    Pong,
    TurnOver,
    Welcome,
    Work,
)
from hyperhive.errors import HiveError
from hyperhive.hive import Hive, Session
from hyperhive.link.connection import Connection
from hyperhive.link.lines import MAX_HELLO, Malformed, bounded, parse
from hyperhive.link.pace import Pace
from hyperhive.link.pulse import Pulse
from hyperhive.sockets import Watch

_log = logging.getLogger(__name__)

HELLO_DEADLINE = 5.0
PING_EVERY = 15.0
DEAD_AFTER = 45.0
"""Seconds without a line after which a connection is dead, while its harness works on something."""
AT_REST = 3
"""How many times rarer pings are, and longer silence may be, while it does not. Harnesses that run already, of any
version, take a minute's silence for a dead host: a ping has to come well before."""
MAX_EARLY = 64
"""Lines that may wait for the welcome."""
MAX_UNREAD = 8 * 1024 * 1024
"""Bytes that may wait for a harness that does not read, before it is cut off."""
PING, PONG = b'{"type":"ping","id":%d}\n', re.compile(rb'{"type":"pong","id":(?:0|[1-9][0-9]{0,14})}\n')
"""The two lines that a harness at rest hears and says, as every version of ours writes them; what a pong looks like
otherwise is read as any line."""
LINES_A_SECOND, LINES_AT_ONCE = 500.0, 2_000.0
BYTES_A_SECOND, BYTES_AT_ONCE = 8.0 * 2**20, 32.0 * 2**20


@dataclass(frozen=True, slots=True)
class Beat:
    """Seconds and times: see ``PING_EVERY``, ``DEAD_AFTER`` and ``AT_REST``."""

    ping_every: float = PING_EVERY
    dead_after: float = DEAD_AFTER
    at_rest: int = AT_REST


@dataclass(frozen=True, slots=True)
class Shared:
    """What all connections have in common."""

    hive: Hive
    watch: Watch
    pulse: Pulse
    beat: Beat


class Place(Protocol):
    """One agent's door, as who came in by it sees it."""

    @property
    def name(self) -> str:
        """Whose it is, and so who came."""

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work`` in a task, which the door ends when it shuts."""

    async def wait(self) -> None:
        """Wait until a connection may be heard; they may not come too fast."""

    def known(self, session: "HarnessSession | None") -> None:
        """One that nobody knew said hello and is the newest now; ``None``: it went without."""

    def left(self, session: "HarnessSession") -> None:
        """It ended."""


class HarnessSession(Session):
    """The host's end of one connection. While nothing is said it is no task, only what it remembers.

    Args:
        place: the door it came in by.
        taken: its socket.
    """

    __slots__ = (
        *("_place", "_shared", "_connection", "_working", "_waiting", "_works", "_pings", "_due", "_heard"),
        *("_admitted", "_early", "_lines", "_size"),
    )

    def __init__(self, *, place: Place, shared: Shared, taken: socket.socket) -> None:
        self._place, self._shared = place, shared
        self._connection = Connection(watch=shared.watch, taken=taken, owner=self)
        self._working = False
        self._waiting: asyncio.Event | None = None
        self._works = False
        self._pings = 0
        self._due = 0.0
        self._heard = asyncio.get_running_loop().time()
        self._admitted = False
        self._early: list[FromHost] | None = []
        self._lines = Pace(rate=LINES_A_SECOND, burst=LINES_AT_ONCE)
        self._size = Pace(rate=BYTES_A_SECOND, burst=BYTES_AT_ONCE)

    def send(self, line: FromHost) -> None:
        """See ``Session.send``."""
        if self._connection.over:
            return
        if self._early is not None:
            if len(self._early) < MAX_EARLY:
                self._early.append(line)  # the welcome comes first, whatever the hive thinks of meanwhile
            return
        self._write(line)

    def _write(self, line: FromHost) -> None:
        if isinstance(line, Work) or (isinstance(line, Welcome) and line.turn is not None):
            self._works, self._heard = True, asyncio.get_running_loop().time()
            self._beat_on()
        self._say(line.model_dump_json().encode() + b"\n")

    def _say(self, data: bytes) -> None:
        if self._connection.unsent > MAX_UNREAD:
            _log.warning("%s: its harness does not read; connection cut", self._place.name)
            self.close()
            return
        self._connection.write(data)

    def close(self) -> None:
        """See ``Session.close``."""
        self._connection.close()
        self.came()

    # -- what comes

    def start(self) -> None:
        """Serve the connection, from its hello to its end."""
        self._work(self._meet)

    def came(self) -> None:
        """See ``Owner``."""
        if self._waiting is not None:
            self._waiting.set()
        elif not self._working and not self._answered():
            self._work(self._read)

    def _answered(self) -> bool:
        """Whether nothing came but the answer to a ping, which is worth no task and no value."""
        if not self._connection.skip(PONG):
            return False
        self._heard = asyncio.get_running_loop().time()
        if (wait := self._lines.spent(1)) > 0:
            self._work(lambda: self._read(wait))
        return True

    def _work(self, work: Callable[[], Awaitable[None]]) -> None:
        self._working = True
        self._place.run(lambda: self._until_rest(work))

    async def _until_rest(self, work: Callable[[], Awaitable[None]]) -> None:
        """Work in a task of its own, and go on without one when there is nothing to do."""
        name, rests = self._place.name, False
        try:
            await work()
            rests = not self._connection.over
        except (Malformed, OSError) as error:
            _log.warning("%s: connection ended: %s", name, error)
        except HiveError as refusal:
            _log.warning("%s: connection ended: %s", name, refusal.message)
        except Exception:
            _log.exception("%s: serving its harness failed", name)
        finally:
            if rests:
                self._working = False
            else:
                await self._end()

    async def _end(self) -> None:
        self._connection.close()
        self._shared.pulse.cancel(self._due, self)
        self._place.left(self)
        if self._admitted:
            with contextlib.suppress(HiveError):
                await self._shared.hive.harness_gone(self._place.name, self)

    async def _meet(self) -> None:
        hello: Hello | None = None
        try:
            await self._place.wait()
            hello = await self._hello()
        finally:
            self._place.known(self if hello is not None else None)
        if hello is None:
            self._connection.close()
            return
        self._admitted = True
        self._greet(await self._shared.hive.harness_hello(self._place.name, hello, self))
        await self._read()

    async def _hello(self) -> Hello | None:
        """The first line; ``None``, and the reason in the log, when it is none that can be accepted."""
        try:
            line = await self._first()
            message = parse(line) if line is not None else None
        except TimeoutError:
            return self._refused(f"no hello within {HELLO_DEADLINE:g} s")
        except Malformed as error:
            return self._refused(f"malformed hello: {error}")
        if message is None:
            return None  # only looked whether somebody is here
        if not isinstance(message, Hello):
            return self._refused(f"{message.type} before hello")
        if message.protocol != PROTOCOL:
            return self._refused(f"it speaks protocol {message.protocol}, not {PROTOCOL}; rebuild the agent")
        return message

    async def _first(self) -> bytes | None:
        """The first line; ``None``: the connection ended without one.

        Raises:
            TimeoutError: it did not come in time. While thousands greet, what came in time may be read late.
        """
        connection, self._waiting = self._connection, asyncio.Event()
        try:
            connection.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HELLO_DEADLINE):
                    while (line := connection.take(limit=MAX_HELLO)) is None and not connection.over:
                        self._waiting.clear()
                        await self._waiting.wait()
                return line
            connection.look()
            if (line := connection.take(limit=MAX_HELLO)) is None and not connection.over:
                raise TimeoutError
            return line
        finally:
            self._waiting = None

    def _refused(self, why: str) -> Hello | None:
        _log.warning("%s: connection refused: %s", self._place.name, why)
        return None

    def _greet(self, welcome: Welcome) -> None:
        early, self._early = self._early or [], None
        self._write(welcome)
        for line in early:
            self._write(line)
        self._beat_on()

    async def _read(self, wait: float = 0.0) -> None:
        """Hand on line after line, from in ``wait`` seconds on; the next is not looked at before the hive has taken
        the one before it."""
        if wait:
            await asyncio.sleep(wait)
        while (line := self._connection.take()) is not None:
            await self._lines.spend(1)
            await self._size.spend(len(line))
            await self._handle(parse(line))
            self._heard = asyncio.get_running_loop().time()

    async def _handle(self, message: FromHarness) -> None:
        name, hive = self._place.name, self._shared.hive
        match message:
            case Numbered(n=n, report=report):
                self._works = self._works and not isinstance(report, TurnOver)
                await hive.harness_report(name, self, n, report)
            case Items(items=items):
                if items:
                    await hive.harness_items(name, self, bounded(items))
            case Pong():
                pass
            case Hello():
                raise Malformed("a second hello")

    # -- whether it is there yet

    def _beat_on(self) -> None:
        """Ping in a while; those at rest all at the same moments, so that the loop wakes once for many."""
        loop, pulse, beat = asyncio.get_running_loop(), self._shared.pulse, self._shared.beat
        pulse.cancel(self._due, self)
        due = loop.time() + beat.ping_every * self._slow
        self._due = math.ceil(due) if self._slow > 1 else due
        if not self._connection.over:
            pulse.at(self._due, self)

    @property
    def _slow(self) -> int:
        return 1 if self._works else self._shared.beat.at_rest

    def beat(self) -> None:
        """See ``Beats``."""
        if self._connection.over:
            return
        silent = asyncio.get_running_loop().time() - self._heard
        if silent > (most := self._shared.beat.dead_after * self._slow):
            _log.warning("%s: no word from its harness for %g s; connection cut", self._place.name, most)
            self.close()
            return
        self._pings += 1
        self._say(PING % self._pings)
        self._beat_on()
