"""MCP tools over both transports, against an empty tool of the same server on the same connection."""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult

from bench.hives import running
from bench.measure import Goal, Row
from tests.e2e.hive import RealHive
from tests.mcp.doors import unix_transport

_ROUNDS = 301
_AGENTS = 4
_READ, _SEND = Goal(ratio=1.15), Goal(ratio=1.4)
_CALLS: tuple[tuple[str, dict[str, Any], Goal], ...] = (
    ("whoami", {}, _READ),
    ("list_agents", {}, _READ),
    ("send", {"to": "s0", "body": "A line of a message."}, _SEND),
)


Call = Callable[[Client, str, dict[str, Any]], Awaitable[CallToolResult]]


class Emptied(RealHive):
    """A hive whose daemon has a tool that does nothing."""

    def starting(self, flags: list[str]) -> list[str]:
        """The command line that starts it."""
        return [sys.executable, str(Path(__file__).with_name("empty.py")), "up", *flags]


def rows() -> Iterator[Row]:
    """A read and a durable send, as the operator over HTTP and as the manager over its socket."""
    with running(stopped=_AGENTS - 1, kind=Emptied) as real:
        for door, connect in (("/mcp", _http), ("mcp.sock", _socket)):
            for name, arguments, goal in _CALLS:
                ours, floor = asyncio.run(_measured(connect(real), name, arguments))
                yield Row(f"{name} at {door}", ours * 1e6, floor * 1e6, "µs", "an empty tool", goal)
            ours, floor = asyncio.run(_measured(connect(real), "list_agents", {}, call=_checked))
            yield Row(
                f"list_agents at {door}, schema checked by client",
                ours * 1e6,
                floor * 1e6,
                "µs",
                "an empty tool",
            )


@asynccontextmanager
async def _http(real: RealHive) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {real.token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http,
        Client(streamable_http_client(f"{real.url}/mcp", http_client=http)) as client,
    ):
        yield client


@asynccontextmanager
async def _socket(real: RealHive) -> AsyncIterator[Client]:
    async with Client(unix_transport(real.run / "agents/manager/mcp.sock")) as client:
        yield client


async def _measured(
    connecting: Any, name: str, arguments: dict[str, Any], *, call: "Call | None" = None
) -> tuple[float, float]:
    """Medians of both tools, called in turn over one connection."""
    call = call or _unchecked
    async with connecting as client:
        pairs = [
            (await _took(call(client, name, arguments)), await _took(call(client, "nothing", {})))
            for _ in range(_ROUNDS)
        ]
    kept = pairs[_ROUNDS // 10 :]
    return statistics.median(pair[0] for pair in kept), statistics.median(pair[1] for pair in kept)


async def _unchecked(client: Client, name: str, arguments: dict[str, Any]) -> CallToolResult:
    """A call whose result the client takes as it comes."""
    params = CallToolRequestParams(name=name, arguments=arguments)
    return await client.session.send_request(CallToolRequest(params=params), CallToolResult)


async def _checked(client: Client, name: str, arguments: dict[str, Any]) -> CallToolResult:
    """A call whose result the client holds against its schema, in Python: that takes longer than all the rest."""
    result = await client.call_tool(name, arguments)
    if not isinstance(result, CallToolResult):
        raise RuntimeError(f"{name} gave no result but {result}")
    return result


async def _took(calling: Awaitable[CallToolResult]) -> float:
    began = time.perf_counter()
    result = await calling
    took = time.perf_counter() - began
    if result.is_error:
        raise RuntimeError(f"a tool failed: {result}")
    return took
