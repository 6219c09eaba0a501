"""Clients of a hive: HTTP, server-sent events, MCP over an agent's socket; so small that they cost little."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

DEADLINE = 60.0
_LIMIT = 64 * 1024 * 1024
"""Bytes of a line: a state of hundreds of agents is one."""
HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "soak", "version": "1"},
}


class Line:
    """MCP on an agent's socket, one call at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer, self._id = reader, writer, 0

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a request.

        Raises:
            ValueError: the server answered with an error.
        """
        self._id += 1
        self._write({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        async with asyncio.timeout(DEADLINE):
            while True:
                answer = json.loads(await self._reader.readuntil(b"\n"))
                if answer.get("id") == self._id and "method" not in answer:
                    break
        if "result" not in answer:
            raise ValueError(answer)
        result: dict[str, Any] = answer["result"]
        return result

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What a tool returned; a refusal has ``isError``."""
        return await self.ask("tools/call", name=tool, arguments=arguments)

    def tell(self, method: str) -> None:
        """Send a notification."""
        self._write({"jsonrpc": "2.0", "method": method})

    def _write(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")


@asynccontextmanager
async def connection(to: Path | int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a socket, or a port on loopback, that is cut at the end of the block."""
    if isinstance(to, int):
        reader, writer = await asyncio.open_connection("127.0.0.1", to, limit=_LIMIT)
    else:
        reader, writer = await asyncio.open_unix_connection(to, limit=_LIMIT)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@asynccontextmanager
async def mcp(socket: Path) -> AsyncIterator[Line]:
    """A session on an agent's ``mcp.sock``."""
    async with connection(socket) as (reader, writer):
        line = Line(reader, writer)
        await line.ask("initialize", **HELLO)
        line.tell("notifications/initialized")
        yield line


@asynccontextmanager
async def stream(port: int, token: str, path: str) -> AsyncIterator[asyncio.StreamReader]:
    """The body of an endless answer, behind its head."""
    async with connection(port) as (reader, writer):
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
        writer.write(head.encode())
        async with asyncio.timeout(DEADLINE):
            await reader.readuntil(b"\r\n\r\n")
        yield reader


async def until(reader: asyncio.StreamReader, mark: bytes) -> None:
    """Read lines until one holds ``mark``."""
    while mark not in await reader.readuntil(b"\n"):
        pass


async def drain(reader: asyncio.StreamReader, seconds: float) -> int:
    """Read for so long; how many bytes there were."""
    read = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while data := await reader.read(65536):
                read += len(data)
    return read
