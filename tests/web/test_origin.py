"""What a command does is recorded with the door it came through."""

import asyncio
from typing import Literal

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from hyperhive.mcp.http import McpHttp
from hyperhive.web.app import build
from hyperhive.web.security import Security
from hyperhive.web.server import Server, bind, serve
from tests.fakes.hive import FakeHive
from tests.web.conftest import BEARER, TOKEN, Face


async def _decided_from(client: httpx.AsyncClient) -> str:
    return str((await client.post("/api/approvals/1/deny")).json()["where"])


async def test_the_dashboard_says_its_address(face: Face) -> None:
    async with face.browser() as browser:
        assert await _decided_from(browser) == "dashboard 127.0.0.1"


async def test_a_program_with_the_token_says_its_address(operator: httpx.AsyncClient) -> None:
    assert await _decided_from(operator) == "HTTP 127.0.0.1"


async def test_the_command_line_needs_none(commandline: httpx.AsyncClient) -> None:
    assert await _decided_from(commandline) == "command line"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_operators_mcp_client_says_its_address(
    hive: FakeHive, mode: Literal["auto", "legacy"]
) -> None:
    door, bound = McpHttp(hive=hive), bind("127.0.0.1", 0)
    port = bound.getsockname()[1]
    app = build(hive=hive, security=Security(token=TOKEN, port=port), mcp_app=door.app)
    server = Server(app=app, stopping=[door.stop])
    async with door.running():
        serving = asyncio.create_task(serve(server, bound))
        async with httpx2.AsyncClient(headers=BEARER, timeout=60) as http:
            transport = streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http)
            async with Client(transport, mode=mode) as client:
                await client.call_tool("request_spawn", {"name": "scout"})
        server.should_exit = True
        async with asyncio.timeout(40):
            await serving
    bound.close()
    assert (hive.calls[-1].verb, hive.origins[-1]) == ("request_spawn", "MCP 127.0.0.1")
