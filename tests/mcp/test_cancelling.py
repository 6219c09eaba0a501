"""A recv that is cancelled, by the client or by its going away, takes nothing."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from hyperhive.mcp.http import McpHttp
from hyperhive.mcp.sockets import McpSockets
from tests.fakes.hive import FakeHive
from tests.mcp.doors import TOKEN, Connect, Mode, served_by_the_web, structured, unix_transport
from tests.waiting import eventually_async

BEARER = {"Authorization": f"Bearer {TOKEN}"}


def waiting(hive: FakeHive) -> int:
    """How many wait for a message."""
    return sum("FakeHive.recv" in _stack(task) for task in asyncio.all_tasks())


def _stack(task: "asyncio.Task[object]") -> str:
    names = []
    step: object = task.get_coro()
    while step is not None:
        names.append(getattr(step, "__qualname__", ""))
        step = getattr(step, "cr_await", None)
    return " ".join(names)


async def cancel(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("caller", ["alice", "operator"])
async def test_a_recv_that_the_client_cancels_takes_nothing(
    connect: Connect, hive: FakeHive, caller: str
) -> None:
    async with connect(caller) as client:
        call = asyncio.create_task(client.call_tool("recv", {"wait_seconds": 180}))
        await eventually_async(lambda: waiting(hive))
        await cancel(call)
        await eventually_async(lambda: not waiting(hive))
        await hive.send(sender="bob", to=caller, body="still here")
        (letter,) = structured(await client.call_tool("recv", {}))["messages"]
        assert letter["body"] == "still here"


async def test_a_recv_whose_socket_drops_takes_nothing(hive: FakeHive, run: Path, mode: Mode) -> None:
    sockets = McpSockets(hive=hive, run=run)
    await sockets.open("alice", "agent")
    path = run / "agents/alice/mcp.sock"

    async def call() -> None:
        async with Client(unix_transport(path), mode=mode) as client:
            await client.call_tool("recv", {"wait_seconds": 180})

    task = asyncio.create_task(call())
    await eventually_async(lambda: waiting(hive))
    await cancel(task)
    await eventually_async(lambda: not waiting(hive))
    await hive.send(sender="bob", to="alice", body="still here")
    async with Client(unix_transport(path), mode=mode) as client:
        (letter,) = structured(await client.call_tool("recv", {}))["messages"]
    assert letter["body"] == "still here"
    await sockets.aclose()


async def test_closing_a_socket_ends_a_recv_that_waits(hive: FakeHive, run: Path) -> None:
    sockets = McpSockets(hive=hive, run=run)
    await sockets.open("alice", "agent")
    async with Client(unix_transport(run / "agents/alice/mcp.sock")) as client:
        call = asyncio.create_task(client.call_tool("recv", {"wait_seconds": 180}))
        await eventually_async(lambda: waiting(hive))
        await sockets.close("alice")
        assert not waiting(hive)
        with pytest.raises(Exception, match="Connection closed"):
            await call


async def test_a_recv_whose_http_connection_drops_takes_nothing(hive: FakeHive, mode: Mode) -> None:
    async with served_by_the_web(McpHttp(hive=hive), hive) as url:
        port = int(url.split(":")[2].split("/")[0])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        session = await _session(url) if mode == "legacy" else ""
        writer.write(_recv_request(session, port))
        await eventually_async(lambda: waiting(hive))
        writer.transport.abort()
        await eventually_async(lambda: not waiting(hive))
        await hive.send(sender="bob", to="operator", body="still here")
        async with (
            httpx2.AsyncClient(headers=BEARER) as http,
            Client(streamable_http_client(url, http_client=http), mode=mode) as client,
        ):
            (letter,) = structured(await client.call_tool("recv", {}))["messages"]
        assert letter["body"] == "still here"


async def _session(url: str) -> str:
    opening = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    }
    async with httpx.AsyncClient(headers=BEARER) as http:
        accept = {"Accept": "application/json, text/event-stream"}
        answer = await http.post(url, json=opening, headers=accept)
        session = answer.headers["mcp-session-id"]
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await http.post(url, json=note, headers=accept | {"Mcp-Session-Id": session})
    return str(session)


def _recv_request(session: str, port: int) -> bytes:
    meta = (
        ""
        if session
        else ',"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
        '"io.modelcontextprotocol/clientCapabilities":{}}'
    )
    body = (
        '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":'
        '{"name":"recv","arguments":{"wait_seconds":180}' + meta + "}}"
    )
    version = "2025-11-25" if session else "2026-07-28"
    named = f"Mcp-Session-Id: {session}" if session else "Mcp-Method: tools/call\r\nMcp-Name: recv"
    return (
        f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\n"
        f"Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: {version}\r\n{named}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
