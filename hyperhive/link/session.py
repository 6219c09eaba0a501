"""One connection of a harness: greets it, hands on what it says, notices when it is gone."""

import asyncio
import contextlib
import logging
from collections import deque

from hyperhive.domain.wire import PROTOCOL, FromHarness, FromHost, Hello, Items, Numbered, Ping, Pong, Welcome
from hyperhive.errors import HiveError
from hyperhive.hive import Hive, Session
from hyperhive.link.lines import MAX_HELLO, LineReader, Malformed, bounded, parse
from hyperhive.link.pace import Pace

_log = logging.getLogger(__name__)

HELLO_DEADLINE = 5.0
PING_EVERY = 15.0
DEAD_AFTER = 45.0
"""Seconds without a line after which a connection is dead."""
MAX_UNREAD = 8 * 1024 * 1024
"""Bytes that may wait for a harness that does not read, before it is cut off."""
LINES_A_SECOND, LINES_AT_ONCE = 500.0, 2_000.0
BYTES_A_SECOND, BYTES_AT_ONCE = 8.0 * 2**20, 32.0 * 2**20


class HarnessSession(Session):
    """The host's end of one connection.

    Args:
        name: whose socket it came in by, and so who it is.
        ping_every, dead_after: seconds; see ``PING_EVERY`` and ``DEAD_AFTER``.
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
    ) -> None:
        self._name, self._hive, self._writer = name, hive, writer
        self._lines = LineReader(reader)
        self._ping_every, self._dead_after = ping_every, dead_after
        self._heard = asyncio.get_running_loop().time()
        self._open = True
        self._greeted = False
        self._early: deque[FromHost] = deque(maxlen=64)

    def send(self, line: FromHost) -> None:
        """See ``Session.send``."""
        if not self._open:
            return
        if not self._greeted:
            self._early.append(line)  # the welcome comes first, whatever the hive thinks of meanwhile
            return
        self._write(line)

    def _write(self, line: FromHost) -> None:
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
        pulse: asyncio.Task[None] | None = None
        try:
            welcome = await self._hive.harness_hello(self._name, hello, self)
            self._greet(welcome)
            pulse = asyncio.create_task(self._pulse())
            await self._read()
        except (Malformed, OSError) as error:
            if self._open:
                _log.warning("%s: connection ended: %s", self._name, error)
        except HiveError as refusal:
            _log.warning("%s: connection ended: %s", self._name, refusal.message)
        finally:
            self.close()
            if pulse is not None:
                pulse.cancel()
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
                await self._hive.harness_report(self._name, self, n, report)
            case Items(items=items):
                if items:
                    await self._hive.harness_items(self._name, self, bounded(items))
            case Pong():
                pass
            case Hello():
                raise Malformed("a second hello")

    async def _pulse(self) -> None:
        loop = asyncio.get_running_loop()
        number = 0
        while self._open:
            await asyncio.sleep(self._ping_every)
            if loop.time() - self._heard > self._dead_after:
                _log.warning(
                    "%s: no word from its harness for %g s; connection cut", self._name, self._dead_after
                )
                self.close()
                return
            number += 1
            self.send(Ping(id=number))
