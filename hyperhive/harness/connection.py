"""The wire to the host: connect, say hello, resend what was not acknowledged, hand on what comes."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from random import random

from pydantic import ValidationError

from hyperhive.domain.turns import TurnItem
from hyperhive.domain.wire import FROM_HOST, MAX_LINE, Ack, FromHost, Hello, Ping, Pong, Report, Welcome
from hyperhive.harness.outbox import Outbox

_log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two attempts to connect: doubling from the first to the longest."""
SOUND = 1.0
"""Seconds a connection has to stand before the next attempt comes at the first pause again."""
WELCOME_DEADLINE = 10.0
SILENCE = 60.0
"""Seconds without a word after which a connection counts as dead; the host pings every 46 at the latest."""
BATCH_PAUSE = 0.1
"""Seconds that items wait for company."""


class Connection:
    """Talks with the host for as long as the harness lives.

    Args:
        path: the host's socket.
        hello: makes the first line of a connection.
        outbox: what waits to be said.
        receive: gets every ``Welcome``, ``Work``, ``Interrupt`` and ``Compact``; must not block.
    """

    def __init__(
        self, *, path: str, hello: Callable[[], Hello], outbox: Outbox, receive: Callable[[FromHost], None]
    ) -> None:
        self._path, self._hello, self._outbox, self._receive = path, hello, outbox, receive
        self._something = asyncio.Event()
        self._hurry = asyncio.Event()
        self._settled = asyncio.Event()
        self._up = False

    def report(self, report: Report) -> None:
        """Say ``report``; it is sent again until the host acknowledged it."""
        self._outbox.report(report)
        self._settled.clear()
        self._hurry.set()
        self._something.set()

    def item(self, item: TurnItem) -> None:
        """Say ``item``, best effort."""
        self._outbox.item(item)
        self._something.set()

    async def settle(self, deadline: float) -> bool:
        """Wait until all reports are acknowledged, at most ``deadline`` seconds and only while connected."""
        if self._outbox.settled:
            return True
        if not self._up:
            return False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), deadline)
        return self._outbox.settled

    async def run(self) -> None:
        """Connect, again and again, for ever."""
        pause, told = FIRST_PAUSE, False
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path, limit=MAX_LINE)
            except (OSError, ValueError) as error:
                if not told:
                    _log.info("host is away (%s); trying again", error)
                told = True
            else:
                began = asyncio.get_running_loop().time()
                told = not await self._serve(reader, writer)
                if asyncio.get_running_loop().time() - began > SOUND:
                    pause = FIRST_PAUSE
            await asyncio.sleep(pause * (1.0 + 0.3 * random()))
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One connection, to its end. Returns whether it got as far as the welcome."""
        sender: asyncio.Task[None] | None = None
        try:
            writer.write(_line(self._hello()))
            async with asyncio.timeout(WELCOME_DEADLINE):
                await writer.drain()
                welcome = FROM_HOST.validate_json(await reader.readuntil(b"\n"))
            if not isinstance(welcome, Welcome):
                raise ValueError(f"{welcome.type} before welcome")
            self._outbox.connected(acked=welcome.acked)
            self._up = True
            _log.info("connected to the host as %s", welcome.agent)
            self._receive(welcome)
            self._nudge()
            sender = asyncio.create_task(self._send(writer))
            await self._read(reader, writer)
        except (
            OSError,
            ValueError,
            ValidationError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
        ) as error:
            _log.info(
                "connection to the host ended: %s",
                str(error).splitlines()[0][:200] if str(error) else "closed",
            )
        finally:
            was_up, self._up = self._up, False
            if sender is not None:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
            writer.transport.abort()
        return was_up

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(SILENCE):
                line = await reader.readuntil(b"\n")
            match FROM_HOST.validate_json(line):
                case Ack(n=n):
                    self._outbox.acked(n)
                    if self._outbox.settled:
                        self._settled.set()
                case Ping(id=id):
                    writer.write(_line(Pong(id=id)))
                case message:
                    self._receive(message)

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        while True:
            await self._something.wait()
            if not self._outbox.urgent:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), BATCH_PAUSE)
            self._something.clear()
            self._hurry.clear()
            while (line := self._outbox.next_line()) is not None:
                writer.write(line)
                await writer.drain()

    def _nudge(self) -> None:
        if self._outbox.settled:
            self._settled.set()
        if self._outbox.waiting:
            self._hurry.set()
            self._something.set()


def _line(message: Hello | Pong) -> bytes:
    return message.model_dump_json().encode() + b"\n"
