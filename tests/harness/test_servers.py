"""Which MCP servers did not start, as the host is told."""

import asyncio

import pytest

from hyperhive.domain.agent_config import ExtraMcpServer
from hyperhive.domain.wire import McpServers
from hyperhive.harness.claude import McpServer
from hyperhive.harness.servers import ServerWatch
from tests.fakes.claude import Scripted, ScriptedClaude
from tests.waiting import eventually_async

OURS = McpServer("hyperhive", "connected")
PENDING = McpServer("weather", "pending")
WELL = McpServer("weather", "connected")
ENDED = McpServer("weather", "failed", "MCP error -32000: Connection closed")


class Watched:
    """One watch over scripted looks."""

    def __init__(self, *, longest: float = 60.0) -> None:
        self.script = Scripted()
        self.told: list[dict[str, str]] = []
        servers = {"weather": ExtraMcpServer(command="weather-mcp")}
        self.watch = ServerWatch(servers=servers, report=self._report, pause=0.001, longest=longest)

    def _report(self, report: McpServers) -> None:
        self.told.append(report.failed)

    async def process(self, *looks: McpServer | None) -> None:
        """A new process, in which each look sees the next of these."""
        self.script.servers = [None if look is None else (OURS, look) for look in looks]
        claude = ScriptedClaude(self.script)
        await claude.start(session=None, env={})
        self.watch.look(claude)
        task = self.watch._task
        assert task is not None
        async with asyncio.timeout(60):
            await task


async def test_a_server_that_connects_late_is_no_failure() -> None:
    watched = Watched()
    await watched.process(None, PENDING, PENDING, WELL)
    assert watched.told == [{}]


async def test_one_that_fails_is_told_once_however_often_it_is_tried() -> None:
    watched = Watched()
    await watched.process(PENDING, ENDED)
    await watched.process(PENDING, ENDED)
    await watched.process(ENDED)
    assert watched.told == [{"weather": "it ended before it answered"}]


async def test_that_it_starts_again_is_told_when_it_is_so() -> None:
    watched = Watched()
    await watched.process(ENDED)
    await watched.process(PENDING, WELL)
    await watched.process(ENDED)
    assert watched.told == [
        {"weather": "it ended before it answered"},
        {},
        {"weather": "it ended before it answered"},
    ]


async def test_one_that_never_answers_is_given_up() -> None:
    watched = Watched(longest=0.05)
    await watched.process(PENDING)
    assert watched.told == [{"weather": "it did not answer in time"}]


async def test_nothing_is_looked_at_where_the_config_names_no_server() -> None:
    script = Scripted(servers=[(OURS, ENDED)])
    told: list[McpServers] = []
    watch = ServerWatch(servers={}, report=told.append)
    claude = ScriptedClaude(script)
    await claude.start(session=None, env={})
    watch.look(claude)
    assert watch._task is None and told == []


async def test_the_watch_ends_with_the_process() -> None:
    watched = Watched()
    watched.script.servers = [(PENDING,)]
    claude = ScriptedClaude(watched.script)
    await claude.start(session=None, env={})
    watched.watch.look(claude)
    task = watched.watch._task
    assert task is not None
    claude.kill()
    await eventually_async(task.done)
    assert watched.told == []


@pytest.mark.parametrize(
    ("why", "told"),
    [
        ('Executable not found in $PATH: "stdio"', "there is no program 'weather-mcp' on its PATH"),
        ("Connection closed", "it ended before it answered"),
        ('MCP server "[redacted]" connection timed out after 30000ms', "it did not answer in time"),
        ("spawn EACCES", "spawn EACCES"),
        ("", "failed"),
    ],
)
async def test_the_reason_is_told_in_words(why: str, told: str) -> None:
    watched = Watched()
    await watched.process(McpServer("weather", "failed", why))
    assert watched.told == [{"weather": told}]
