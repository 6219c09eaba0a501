"""Resources, and being told that they changed, in both protocol generations."""

import asyncio
import json
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import ResourceUpdatedNotification

from hyperhive.domain.events import Started
from tests.fakes.hive import FakeHive
from tests.fakes.samples import agent_view
from tests.mcp.doors import Connect, Mode, in_memory

pytestmark = pytest.mark.filterwarnings("ignore:resources/.*subscribe is removed")


async def read(client: Client, uri: str) -> Any:
    (content,) = (await client.read_resource(uri)).contents
    assert content.mime_type == "application/json"
    return json.loads(content.text)  # type: ignore[union-attr]


async def listed(client: Client) -> list[str]:
    return [str(resource.uri) for resource in (await client.list_resources()).resources]


class Ears:
    """Hears which resources changed, whatever the generation."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            self.heard.put_nowait(str(message.params.uri))

    async def next(self) -> str:
        async with asyncio.timeout(60):
            return await self.heard.get()


async def test_the_manager_reads_the_fleet(connect: Connect, hive: FakeHive) -> None:
    hive.publish(Started(agent="bob"))
    async with connect("manager") as client:
        assert [agent["name"] for agent in await read(client, "hive://agents")] == ["manager", "alice", "bob"]
        assert (await read(client, "hive://agents/bob"))["container"] == "running"
        (event,) = await read(client, "hive://events")
        assert (event["kind"], event["agent"]) == ("started", "bob")
        assert "hive://agents/alice" in await listed(client)
        (template,) = (await client.list_resource_templates()).resource_templates
        assert template.uri_template == "hive://agents/{name}"


async def test_the_events_are_the_last_hundred_oldest_first(hive: FakeHive) -> None:
    for _ in range(150):
        hive.publish(Started(agent="bob"))
    async with in_memory(hive, "operator", "auto") as client:
        assert [event["seq"] for event in await read(client, "hive://events")] == list(range(51, 151))


async def test_an_agent_reads_itself_and_nobody_else(connect: Connect) -> None:
    async with connect("alice") as client:
        assert await listed(client) == ["hive://agents/alice"]
        assert (await client.list_resource_templates()).resource_templates == []
        assert (await read(client, "hive://agents/alice"))["name"] == "alice"
        for other in (
            "hive://agents",
            "hive://agents/bob",
            "hive://events",
            "hive://agents/alice/../bob",
            "file:///etc",
        ):
            with pytest.raises(MCPError, match="There is no such resource here"):
                await client.read_resource(other)


@pytest.mark.parametrize(
    "uri", ["hive://agents/nobody", "hive://agents/../x", "hive://x", "file:///etc/passwd"]
)
async def test_what_does_not_exist_cannot_be_read(connect: Connect, uri: str) -> None:
    async with connect("manager") as client:
        with pytest.raises(MCPError, match="There is no such"):
            await client.read_resource(uri)


@pytest.mark.parametrize("caller", ["manager", "operator"])
async def test_subscribers_are_told_of_changes(
    connect: Connect, hive: FakeHive, mode: Mode, caller: str
) -> None:
    ears = Ears()
    async with connect(caller, message_handler=ears) as client:
        if mode == "legacy":
            assert client.server_capabilities.resources is not None
            assert client.server_capabilities.resources.subscribe
            await client.subscribe_resource("hive://agents/bob")
            hive.replace(agent_view("alice", paused=True))
            hive.replace(agent_view("bob", paused=True))
            assert await ears.next() == "hive://agents/bob"
            await client.subscribe_resource("hive://agents")
            await client.unsubscribe_resource("hive://agents/bob")
            hive.replace(agent_view("bob"))
            assert await ears.next() == "hive://agents"
            assert ears.heard.empty()
        else:
            async with client.listen(resource_subscriptions=["hive://agents/bob"]) as changes:
                hive.replace(agent_view("alice", paused=True))
                hive.replace(agent_view("bob", paused=True))
                async with asyncio.timeout(60):
                    assert (await anext(changes)).uri == "hive://agents/bob"  # type: ignore[union-attr]
        assert (await read(client, "hive://agents/bob"))["paused"] is (mode == "auto")


async def test_a_burst_of_changes_is_told_once(hive: FakeHive) -> None:
    watched = ["hive://agents", "hive://events", "hive://agents/bob"]
    async with (
        in_memory(hive, "manager", "auto") as client,
        client.listen(resource_subscriptions=watched) as told,
    ):
        for n in range(100):
            hive.replace(agent_view("bob", inbox_depth=n))
        async with asyncio.timeout(60):
            heard = [(await anext(told)).uri for _ in watched]  # type: ignore[union-attr]
        assert sorted(heard) == sorted(watched)
        hive.replace(agent_view("alice", inbox_depth=1))
        async with asyncio.timeout(60):
            assert {(await anext(told)).uri for _ in range(2)} == {"hive://agents", "hive://events"}  # type: ignore[union-attr]


async def test_an_agent_is_not_told_of_others(hive: FakeHive) -> None:
    everything = ["hive://agents", "hive://events", "hive://agents/bob", "hive://agents/alice"]
    async with (
        in_memory(hive, "alice", "auto") as client,
        client.listen(resource_subscriptions=everything) as told,
    ):
        hive.replace(agent_view("bob", paused=True))
        hive.replace(agent_view("alice", paused=True))
        async with asyncio.timeout(60):
            assert (await anext(told)).uri == "hive://agents/alice"  # type: ignore[union-attr]


async def test_nothing_runs_once_nobody_listens(hive: FakeHive) -> None:
    def feeders() -> int:
        return sum("HiveBus._feed" in repr(task) for task in asyncio.all_tasks())

    ears = Ears()
    async with in_memory(hive, "manager", "legacy", message_handler=ears) as client:
        assert feeders() == 0
        await client.subscribe_resource("hive://agents")
        assert feeders() == 1
    assert feeders() == 0
    assert not any("_Subscriber" in repr(task) for task in asyncio.all_tasks())


async def test_subscriptions_of_one_connection_are_bounded(hive: FakeHive) -> None:
    async with in_memory(hive, "manager", "legacy") as client:
        for n in range(256):
            await client.subscribe_resource(f"hive://agents/a{n}")
        with pytest.raises(MCPError, match="At most 256 subscriptions"):
            await client.subscribe_resource("hive://agents/b")
        await client.unsubscribe_resource("hive://agents/a7")
        await client.subscribe_resource("hive://agents/b")
