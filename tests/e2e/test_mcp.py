"""The operator's own MCP clients at ``/mcp`` of a running daemon: the SDK's in both modes, and the Inspector."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.e2e.hive import RealHive, hive, in_order
from tests.mcp.doors import MANAGER_TOOLS, MESSAGING, MODES, Mode, refusal, structured
from tests.mcp.inspector_cli import Inspector, install

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def real() -> Iterator[RealHive]:
    with hive() as made:
        made.up()
        made.spawn("alice")
        made.quiet()
        yield made


@asynccontextmanager
async def client(real: RealHive, mode: Mode = "auto") -> AsyncIterator[Client]:
    """The SDK's client with the operator's token."""
    headers = {"Authorization": f"Bearer {real.token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http,
        Client(streamable_http_client(f"{real.url}/mcp", http_client=http), mode=mode) as made,
    ):
        yield made


@pytest.mark.parametrize("mode", MODES)
async def test_the_sdks_client_lists_and_calls_tools(real: RealHive, mode: Mode) -> None:
    async with client(real, mode) as mcp:
        assert [tool.name for tool in (await mcp.list_tools()).tools] == MESSAGING + MANAGER_TOOLS
        agents = structured(await mcp.call_tool("list_agents", {}))["agents"]
        assert [agent["name"] for agent in agents] == ["manager", "alice"]
        before = real.newest()
        structured(await mcp.call_tool("send", {"to": "alice", "body": f"run: echo {mode}"}))
        (letter,) = structured(await mcp.call_tool("recv", {"wait_seconds": 60}))["messages"]
        assert (letter["from"], letter["body"].strip()) == ("alice", f"ran: {mode}")
        assert {m["from"] for m in real.messages() if m["id"] > before} == {"operator", "alice"}
        assert "There is no agent" in refusal(await mcp.call_tool("stop", {"name": "nobody"}))
        real.until(lambda: {m["state"] for m in real.state()["inbox"]} == {"read"})


async def test_the_inspector_lists_and_calls_tools(real: RealHive) -> None:
    inspector = Inspector(cli=install(), url=f"{real.url}/mcp", token=real.token)
    tools = (await inspector.ask("tools/list"))["tools"]
    assert [tool["name"] for tool in tools] == MESSAGING + MANAGER_TOOLS
    agents = await inspector.call("list_agents")
    assert [agent["name"] for agent in agents["structuredContent"]["agents"]] == ["manager", "alice"]
    status, _, _ = await Inspector(cli=inspector.cli, url=inspector.url, token="guessed").run("tools/list")
    assert status != 0


async def test_an_update_shows_as_rebuilding_from_its_first_moment_to_its_last(real: RealHive) -> None:
    after = real.seq
    real.change("alice", "opus")
    watching = asyncio.create_task(asyncio.to_thread(_shown_until_cleared, real, after))
    async with client(real) as mcp:
        told = structured(await mcp.call_tool("update", {"name": "alice"}))
    assert told["ok"], told
    shown = await watching
    # A change is shown with its events, never before or after: nothing in between but rebuilding.
    begun, over = shown.index("rebuilding"), shown.index("config_applied")
    assert shown[begun + 1] == "transient_set"
    assert set(shown[begun : over - 1]) == {"rebuilding", "transient_set"}
    assert shown[over - 1 :] == [None, "config_applied", "rebuilt", "transient_cleared"]
    assert real.agent("alice")["transient"] is None
    assert real.agent("alice")["model"] == "opus"
    assert in_order(real.events(after), {"kind": "rebuilt", "agent": "alice", "ok": True})


def _shown_until_cleared(real: RealHive, after: int) -> list[Any]:
    """What a dashboard gets of alice: the kinds of events, and between them the transient that is shown."""
    shown: list[Any] = []
    for frame in real.frames(f"/api/events?after={after}&views=1", deadline=60):
        data = json.loads(frame["data"])
        if "id" in frame and data["agent"] == "alice":
            shown.append(data["kind"])
        for agent in data.get("agents", ()):
            if agent["name"] == "alice":
                shown.append(agent["transient"])
        if shown[-1:] == ["transient_cleared"]:
            break
    return shown


async def test_many_updates_at_once_are_one(real: RealHive) -> None:
    after = real.seq
    real.change("alice", "sonnet")
    async with client(real) as mcp:
        calls = [mcp.call_tool("update", {"name": "alice"}) for _ in range(50)]
        results = await asyncio.gather(*calls)
    assert all(structured(result)["ok"] for result in results)
    told = [e for e in real.events(after) if e["agent"] == "alice"]
    rebuilt = [e["note"] for e in told if e["kind"] == "rebuilt"]
    # Those that come before the first has ended join it; who is later finds nothing to change.
    assert rebuilt == ["", *["nothing to change"] * (len(rebuilt) - 1)]
    assert len([e for e in told if e["kind"] == "transient_set"]) == len(rebuilt)
    assert len(real.harnesses("alice")) == 1
