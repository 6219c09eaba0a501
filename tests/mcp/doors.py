"""The three ways to a surface, each with the SDK's own client: in memory, over the socket, over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import uvicorn
from mcp import Client
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage
from mcp_types import CallToolResult, jsonrpc_message_adapter
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from hyperhive.hive import Hive
from hyperhive.mcp.agent import agent_server
from hyperhive.mcp.http import McpHttp
from hyperhive.mcp.manager import manager_server, operator_server
from hyperhive.mcp.sockets import McpSockets
from hyperhive.web.app import build
from hyperhive.web.security import Security
from hyperhive.web.server import bind

Mode = Literal["auto", "legacy"]
MODES: tuple[Mode, ...] = ("auto", "legacy")
MESSAGING = ["send", "recv", "whoami"]
AGENT_TOOLS = [*MESSAGING, "ask_operator"]
FLEET_TOOLS = ["list_agents", "start", "stop", "restart", "update", "get_logs"]
REQUEST_TOOLS = [
    "request_spawn",
    "request_spawn_draft",
    "request_spawn_commit",
    "request_apply_commit",
    "withdraw",
    "list_requests",
]
MANAGER_TOOLS = [*FLEET_TOOLS, *REQUEST_TOOLS]

Connect = Callable[..., AbstractAsyncContextManager[Client]]


def structured(result: object) -> dict[str, Any]:
    """The structured content of a call that went well."""
    assert isinstance(result, CallToolResult)
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def refusal(result: object) -> str:
    """The one sentence of a call that was refused."""
    assert isinstance(result, CallToolResult)
    assert result.is_error, result.structured_content
    (content,) = result.content
    assert content.type == "text"
    assert "\n" not in content.text
    assert "Traceback" not in content.text
    return content.text


def in_memory(hive: Hive, caller: str, mode: Mode, **options: Any) -> Client:
    """A client in this process, as ``caller``."""
    match caller:
        case "operator":
            return Client(operator_server(hive=hive), mode=mode, **options)
        case "manager":
            return Client(manager_server(hive=hive), mode=mode, **options)
        case _:
            return Client(agent_server(hive=hive, name=caller), mode=mode, **options)


@asynccontextmanager
async def unix_transport(path: Path) -> AsyncIterator[TransportStreams]:
    """MCP's stdio framing on a unix socket, client's side."""
    reader, writer = await asyncio.open_unix_connection(path, limit=8 * 1024 * 1024)
    heard, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, said = anyio.create_memory_object_stream[SessionMessage](0)

    async def read() -> None:
        async with heard:
            while line := await reader.readline():
                await heard.send(SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False)))

    async def write() -> None:
        async for item in said:
            writer.write(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
            await writer.drain()

    try:
        with heard, incoming, outgoing, said:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                tasks.start_soon(write)
                yield incoming, outgoing
                tasks.cancel_scope.cancel()
    finally:
        writer.close()


@asynccontextmanager
async def over_socket(
    hive: Hive, run: Path, caller: str, mode: Mode, **options: Any
) -> AsyncIterator[Client]:
    """A client on ``caller``'s socket."""
    sockets = McpSockets(hive=hive, run=run)
    await sockets.open(caller, "manager" if caller == "manager" else "agent")
    try:
        transport = unix_transport(run / "agents" / caller / "mcp.sock")
        async with Client(transport, mode=mode, **options) as client:
            yield client
    finally:
        await sockets.aclose()


TOKEN = "a-token-of-the-operator"


@asynccontextmanager
async def served(door: McpHttp) -> AsyncIterator[str]:
    """``door`` at ``/mcp`` of a real server on loopback; yields the URL."""
    app = Starlette(routes=[Route("/mcp", door.app)], lifespan=lambda _: door.running())
    async with _serving(lambda port: app, door) as url:
        yield url


@asynccontextmanager
async def served_by_the_web(door: McpHttp, hive: Hive) -> AsyncIterator[str]:
    """The same within hyperhive's own web app, which wants ``TOKEN``."""

    def app(port: int) -> ASGIApp:
        security = Security(token=TOKEN, port=port)
        return build(hive=hive, security=security, mcp_app=door.app, lifespan=lambda _: door.running())

    async with _serving(app, door) as url:
        yield url


@asynccontextmanager
async def _serving(app: Callable[[int], ASGIApp], door: McpHttp) -> AsyncIterator[str]:
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    config = uvicorn.Config(app(port), log_level="error", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve([listener]))
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        door.stop()
        server.should_exit = True
        await task
        listener.close()


@asynccontextmanager
async def over_http(hive: Hive, mode: Mode, **options: Any) -> AsyncIterator[Client]:
    """A client at ``/mcp``, as the operator."""
    async with served(McpHttp(hive=hive)) as url, Client(url, mode=mode, **options) as client:
        yield client
