"""One connection of a harness: greets it, hands on what it says, notices when it is gone."""

import asyncio
import contextlib
import logging
import math

from hyperhive.domain.wire import (
    PROTOCOL,
    FromHarness,
    FromHost,
    Hello,
    Items,
    Numbered,
    Ping,
    Pong,
    TurnOver,
    Welcome,
    Work,
)
from hyperhive.errors import HiveError
from hyperhive.hive import Hive, Session
from hyperhive.link.lines import MAX_HELLO, LineReader, Malformed, bounded, parse
from hyperhive.link.pace import Pace

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
LINES_A_SECOND, LINES_AT_ONCE = 500.0, 2_000.0
BYTES_A_SECOND, BYTES_AT_ONCE = 8.0 * 2**20, 32.0 * 2**20


class HarnessSession(Session):
    """The host's end of one connection.

    Args:
        name: whose socket it came in by, and so who it is.
        ping_every, dead_after: seconds; see ``PING_EVERY`` and ``DEAD_AFTER``.
        at_rest: see ``AT_REST``.
    """

    def __init__(
        self,
        *,
        name: str,
        hive: Hive,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ping_every: float = PING_EVERY,
        dead_after: float = DEAD_AFTER,
        at_rest: int = AT_REST,
    ) -> None:
        self._name, self._hive, self._writer = name, hive, writer
        self._lines = LineReader(reader)
        self._ping_every, self._dead_after, self._at_rest = ping_every, dead_after, at_rest
        self._works = False
        self._pings = 0
        self._pulse: asyncio.TimerHandle | None = None
        self._heard = asyncio.get_running_loop().time()
        self._open = True
        self._greeted = False
        self._early: list[FromHost] = []

    def send(self, line: FromHost) -> None:
        """See ``Session.send``."""
        if not self._open:
            return
        if not self._greeted:
            if len(self._early) < MAX_EARLY:
                self._early.append(line)  # the welcome comes first, whatever the hive thinks of meanwhile
            return
        self._write(line)

    def _write(self, line: FromHost) -> None:
        if isinstance(line, Work) or (isinstance(line, Welcome) and line.turn is not None):
            self._works, self._heard = True, asyncio.get_running_loop().time()
            self._beat_on()
        if self._writer.transport.get_write_buffer_size() > MAX_UNREAD:
            _log.warning("%s: its harness does not read; connection cut", self._name)
            self.close()
            return
        self._writer.write(line.model_dump_json().encode() + b"\n")

    def close(self) -> None:
        """See ``Session.close``."""
        self._open = False
        self._writer.transport.abort()

    async def hello(self) -> Hello | None:
        """The first line; ``None``, and the reason in the log, when it is none that can be accepted."""
        try:
            async with asyncio.timeout(HELLO_DEADLINE):
                line = await self._lines.line(limit=MAX_HELLO)
            message = parse(line) if line is not None else None
        except TimeoutError:
            return self._refused(f"no hello within {HELLO_DEADLINE:g} s")
        except (Malformed, OSError) as error:
            return self._refused(f"malformed hello: {error}")
        if message is None:
            return None  # only looked whether somebody is here
        if not isinstance(message, Hello):
            return self._refused(f"{message.type} before hello")
        if message.protocol != PROTOCOL:
            return self._refused(f"it speaks protocol {message.protocol}, not {PROTOCOL}; rebuild the agent")
        return message

    def _refused(self, why: str) -> Hello | None:
        _log.warning("%s: connection refused: %s", self._name, why)
        return None

    async def serve(self, hello: Hello) -> None:
        """Serve an accepted connection to its end."""
        try:
            self._greet(await self._hive.harness_hello(self._name, hello, self))
            del hello  # a connection may stand for months
            self._beat_on()
            await self._read()
        except (Malformed, OSError) as error:
            if self._open:
                _log.warning("%s: connection ended: %s", self._name, error)
        except HiveError as refusal:
            _log.warning("%s: connection ended: %s", self._name, refusal.message)
        finally:
            self.close()
            if self._pulse is not None:
                self._pulse.cancel()
            await self._gone()

    def _greet(self, welcome: Welcome) -> None:
        self._greeted = True
        self._write(welcome)
        for line in self._early:
            self._write(line)
        self._early.clear()

    async def _gone(self) -> None:
        with contextlib.suppress(HiveError):
            await self._hive.harness_gone(self._name, self)

    async def _read(self) -> None:
        lines = Pace(rate=LINES_A_SECOND, burst=LINES_AT_ONCE)
        size = Pace(rate=BYTES_A_SECOND, burst=BYTES_AT_ONCE)
        while self._open and (line := await self._lines.line()) is not None:
            await lines.spend(1)
            await size.spend(len(line))
            await self._handle(parse(line))
            self._heard = asyncio.get_running_loop().time()

    async def _handle(self, message: FromHarness) -> None:
        """Hand on one line; the next is not read before the hive has taken it."""
        match message:
            case Numbered(n=n, report=report):
                self._works = self._works and not isinstance(report, TurnOver)
                await self._hive.harness_report(self._name, self, n, report)
            case Items(items=items):
                if items:
                    await self._hive.harness_items(self._name, self, bounded(items))
            case Pong():
                pass
            case Hello():
                raise Malformed("a second hello")

    def _beat_on(self) -> None:
        """Ping in a while; those at rest all at the same moments, so that the loop wakes once for many."""
        loop = asyncio.get_running_loop()
        if self._pulse is not None:
            self._pulse.cancel()
        due = loop.time() + self._ping_every * self._slow
        self._pulse = loop.call_at(math.ceil(due) if self._slow > 1 else due, self._beat)

    @property
    def _slow(self) -> int:
        return 1 if self._works else self._at_rest

    def _beat(self) -> None:
        if not self._open:
            return
        silent, most = asyncio.get_running_loop().time() - self._heard, self._dead_after * self._slow
        if silent > most:
            _log.warning("%s: no word from its harness for %g s; connection cut", self._name, most)
            self.close()
            return
        self._pings += 1
        self.send(Ping(id=self._pings))
        self._beat_on()
