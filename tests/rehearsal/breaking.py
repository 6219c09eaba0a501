"""A way to the API that breaks off once, behind a given piece of an answer."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from tests.waiting import eventually_async

DEADLINE = 30.0
"""Seconds until what was sent on is seen to have come."""
_END = b"content_block_stop"


class Breaking:
    """Carries bytes to the API and back; the first connection whose answer has ended that block breaks off there.

    Args:
        api: where the API is.
        behind: a piece of a block of an answer.
        seen: whether who asked has taken that block; before it has, the connection stays.
    """

    def __init__(self, *, api: str, behind: bytes, seen: Callable[[], bool]) -> None:
        where = urlsplit(api)
        self._host, self._port = where.hostname, where.port
        self._behind, self._seen = behind, seen
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.broken = False

    async def start(self) -> str:
        """Listen; where."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Listen no more, and end what is open."""
        assert self._server is not None
        self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        up = asyncio.create_task(self._carry(reader, back))
        down = asyncio.create_task(self._answer(there, writer))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (up, down):
                task.cancel()
            for each in (writer, back):
                each.close()
            closing = (writer.wait_closed(), back.wait_closed())
            await asyncio.gather(up, down, *closing, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Line by line, so that it breaks off between two events."""
        found = False
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
            found = found or self._behind in line
            if found and not self.broken and line.startswith(b"data: ") and _END in line:
                self.broken = True
                writer.write(b"\n")
                await writer.drain()
                await eventually_async(self._seen, DEADLINE)
                return
