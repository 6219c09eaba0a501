"""One connection on an agent's socket: MCP's stdio framing, one JSON-RPC message a line, both ways."""

import asyncio
import logging
from typing import Any

import anyio
import anyio.abc
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from hyperhive.mcp.server import HiveServer

WRITE_DEADLINE = 30.0
"""Seconds a client may leave what was sent to it unread before its connection is ended."""
MAX_WAITING = 32
"""Answers that may wait to be written before no more is read."""

_log = logging.getLogger(__name__)


class LineSession:
    """Serves one connection until its client goes, the server ends it, or the client stops reading.

    Args:
        reader: its limit is the longest line that is taken.
        write_deadline: seconds until a client that does not read is dropped.
    """

    def __init__(
        self,
        *,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        write_deadline: float = WRITE_DEADLINE,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._write_deadline = write_deadline
        self._wrote = asyncio.Event()

    async def serve(self, server: HiveServer) -> None:
        """Drive ``server`` over this connection. Ends calls that are under way when the client goes."""
        to_server, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outgoing, to_client = anyio.create_memory_object_stream[SessionMessage](0)
        with to_server, incoming, outgoing, to_client:
            try:
                async with anyio.create_task_group() as tasks:
                    # Both ends below may outlive the server's: it closes the ones it is given.
                    tasks.start_soon(self._read, to_server, outgoing.clone(), tasks.cancel_scope)
                    tasks.start_soon(self._write, to_client, tasks.cancel_scope)
                    options = server.lowlevel.create_initialization_options()
                    await server.lowlevel.run(incoming, outgoing, options)
                    tasks.cancel_scope.cancel()
            except* (anyio.BrokenResourceError, anyio.ClosedResourceError):
                _log.debug("A line came while its MCP connection was ending.")

    async def _read(
        self,
        to_server: MemoryObjectSendStream[SessionMessage | Exception],
        answers: MemoryObjectSendStream[SessionMessage],
        scope: anyio.CancelScope,
    ) -> None:
        with to_server, answers:
            while True:
                await self._until_read(answers)
                try:
                    line = await self._reader.readuntil(b"\n")
                except asyncio.LimitOverrunError:
                    # Straight to the writer: the streams in between end with the scope, perhaps too early.
                    self._put(_error(INVALID_REQUEST, "The line is too long; send less at once."))
                    scope.cancel()
                    return
                except (asyncio.IncompleteReadError, OSError):
                    return
                if not line.strip():
                    continue
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValidationError as error:
                    await answers.send(_misread(error))
                else:
                    await to_server.send(SessionMessage(message))

    async def _until_read(self, answers: MemoryObjectSendStream[Any]) -> None:
        """Wait while too many answers wait: a client that only writes must not fill the memory with them."""
        while answers.statistics().tasks_waiting_send > MAX_WAITING:
            self._wrote.clear()
            await self._wrote.wait()

    async def _write(
        self, to_client: MemoryObjectReceiveStream[SessionMessage], scope: anyio.CancelScope
    ) -> None:
        # Closed with this task: calls that end later must not wait for a writer that is gone.
        with to_client:
            async for item in to_client:
                self._put(item)
                self._wrote.set()
                try:
                    async with asyncio.timeout(self._write_deadline):
                        await self._writer.drain()
                except TimeoutError:
                    _log.warning(
                        "An MCP client did not read for %g s; its connection was ended.", self._write_deadline
                    )
                    self._writer.transport.abort()
                    scope.cancel()
                    return
                except OSError:
                    scope.cancel()
                    return

    def _put(self, item: SessionMessage) -> None:
        line = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        self._writer.write(line.encode(errors="replace") + b"\n")


def _misread(error: ValidationError) -> SessionMessage:
    if any(
        detail["type"] == "json_invalid" for detail in error.errors(include_input=False, include_url=False)
    ):
        return _error(PARSE_ERROR, "The line is not JSON.")
    return _error(INVALID_REQUEST, "The line is not a JSON-RPC 2.0 message.")


def _error(code: int, message: str) -> SessionMessage:
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=None, error=ErrorData(code=code, message=message)))
