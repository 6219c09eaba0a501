"""The MCP Inspector, a client that is not ours, lists and calls the tools at ``/mcp`` of the web app."""

from collections.abc import AsyncIterator

import pytest

from hyperhive.mcp.http import McpHttp
from tests.fakes.hive import FakeHive
from tests.mcp.doors import MANAGER_TOOLS, MESSAGING, TOKEN, served_by_the_web
from tests.mcp.inspector_cli import Inspector, install

pytestmark = pytest.mark.e2e


@pytest.fixture
async def inspector(hive: FakeHive) -> AsyncIterator[Inspector]:
    cli = install()
    async with served_by_the_web(McpHttp(hive=hive), hive) as url:
        yield Inspector(cli=cli, url=url, token=TOKEN)


async def test_the_inspector_lists_and_calls_tools(inspector: Inspector, hive: FakeHive) -> None:
    tools = (await inspector.ask("tools/list"))["tools"]
    assert [tool["name"] for tool in tools] == MESSAGING + MANAGER_TOOLS
    agents = await inspector.call("list_agents")
    assert [agent["name"] for agent in agents["structuredContent"]["agents"]] == ["manager", "alice", "bob"]
    assert (await inspector.call("send", to="bob", body="hello"))["structuredContent"] == {
        "id": 1,
        "to": "bob",
    }
    assert (await inspector.call("get_logs", name="bob", lines="5"))["structuredContent"]["text"] == ""
    refused = await inspector.call("stop", name="--all")
    assert refused["isError"]
    assert hive.letters[0].sender == "operator"


async def test_the_inspector_reads_resources(inspector: Inspector) -> None:
    listed = (await inspector.ask("resources/list"))["resources"]
    assert {"hive://agents", "hive://events", "hive://agents/bob"} <= {each["uri"] for each in listed}


async def test_the_inspector_is_refused_with_another_token(inspector: Inspector) -> None:
    stranger = Inspector(cli=inspector.cli, url=inspector.url, token="guessed")
    status, _, _ = await stranger.run("tools/list")
    assert status != 0
