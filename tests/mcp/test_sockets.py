"""The sockets themselves: whose they are, how many may come, and what a hostile agent can do with one."""

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from hyperhive.errors import Broken, Invalid
from hyperhive.harness.command import PUMP
from hyperhive.mcp.server import MAX_CALLS
from hyperhive.mcp.session import LineSession
from hyperhive.mcp.sockets import MAX_CONNECTIONS, McpSockets, _bind
from tests.fakes.hive import FakeHive
from tests.mcp.doors import AGENT_TOOLS, Mode, structured, unix_transport
from tests.waiting import eventually_async

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


@pytest.fixture
async def sockets(hive: FakeHive, run: Path) -> AsyncIterator[McpSockets]:
    opened = McpSockets(hive=hive, run=run)
    yield opened
    await opened.aclose()


@pytest.fixture
async def alice(sockets: McpSockets, run: Path) -> Path:
    """Alice's socket."""
    await sockets.open("alice", "agent")
    return run / "agents/alice/mcp.sock"


class Line:
    """A raw connection that says lines and hears them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, path: Path) -> "Line":
        return cls(*await asyncio.open_unix_connection(path, limit=16 * 1024 * 1024))

    def say(self, message: object) -> None:
        line = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.writer.write(line + b"\n")

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(60):
            line = await self.reader.readline()
        assert line, "the connection was closed"
        heard: dict[str, Any] = json.loads(line)
        return heard

    async def closed(self) -> bool:
        async with asyncio.timeout(60):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True

    async def hang_up(self) -> None:
        self.writer.transport.abort()
        await eventually_async(self.writer.is_closing)


async def works(path: Path) -> bool:
    async with Client(unix_transport(path)) as client:
        return bool(structured(await client.call_tool("whoami", {}))["name"])


async def test_a_socket_is_for_its_owner_alone(alice: Path) -> None:
    assert stat.S_IMODE(alice.stat().st_mode) == 0o600
    assert stat.S_IMODE(alice.parent.stat().st_mode) == 0o700


async def test_a_client_that_only_starts_commands_comes_through_the_pump(alice: Path, mode: Mode) -> None:
    command = StdioServerParameters(command=sys.executable, args=["-I", "-S", str(PUMP), str(alice)])
    async with Client(command, mode=mode) as client:
        assert structured(await client.call_tool("whoami", {}))["name"] == "alice"


async def test_opening_twice_is_opening_once(sockets: McpSockets, alice: Path) -> None:
    async with Client(unix_transport(alice)) as client:
        inode = alice.stat().st_ino
        await sockets.open("alice", "agent")
        assert alice.stat().st_ino == inode
        assert structured(await client.call_tool("whoami", {}))["name"] == "alice"


async def test_a_stale_socket_or_a_planted_link_is_replaced(sockets: McpSockets, run: Path) -> None:
    victim = run / "victim"
    victim.write_text("precious")
    victim.chmod(0o644)
    folder = run / "agents/bob"
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(folder / "mcp.sock"))
    await sockets.open("bob", "agent")
    assert await works(folder / "mcp.sock")
    await sockets.close("bob")
    (folder / "mcp.sock").symlink_to(victim)
    await sockets.open("bob", "agent")
    assert await works(folder / "mcp.sock")
    assert victim.read_text() == "precious" and stat.S_IMODE(victim.stat().st_mode) == 0o644


async def test_a_socket_that_vanished_is_made_again(sockets: McpSockets, alice: Path) -> None:
    alice.unlink()
    await sockets.open("alice", "agent")
    assert await works(alice)


async def test_a_closed_socket_is_gone_and_so_are_its_connections(sockets: McpSockets, alice: Path) -> None:
    line = await Line.to(alice)
    line.say(INITIALIZE)
    await line.hear()
    await sockets.close("alice")
    assert not alice.exists()
    assert await line.closed()
    await line.hang_up()
    await sockets.close("alice")


@pytest.mark.parametrize("yields", range(12))
async def test_a_connection_that_is_ended_in_the_middle_of_a_line_is_no_fault(
    sockets: McpSockets, alice: Path, caplog: pytest.LogCaptureFixture, yields: int
) -> None:
    line = await Line.to(alice)
    line.say(INITIALIZE)
    await line.hear()
    for _ in range(50):
        line.say({"jsonrpc": "2.0", "method": "notifications/initialized"})
    for _ in range(yields):  # the end comes upon each stage of what was said
        await asyncio.sleep(0)
    await sockets.close("alice")
    assert await line.closed()
    await line.hang_up()
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_role_that_changed_changes_the_tools(sockets: McpSockets, alice: Path) -> None:
    await sockets.open("alice", "manager")
    async with Client(unix_transport(alice)) as client:
        assert len((await client.list_tools()).tools) > len(AGENT_TOOLS)


@pytest.mark.parametrize("name", ["../x", "operator", "", "a/b", "x" * 40])
async def test_a_bad_name_comes_near_no_path(sockets: McpSockets, run: Path, name: str) -> None:
    with pytest.raises(Invalid):
        await sockets.open(name, "agent")
    assert list(run.iterdir()) == []


async def test_a_socket_that_cannot_be_made_says_why(hive: FakeHive, run: Path, sockets: McpSockets) -> None:
    deep = McpSockets(hive=hive, run=run / ("x" * 100))
    with pytest.raises(Broken, match="more than 107 bytes; set HYPERHIVE_RUN"):
        await deep.open("alice", "agent")
    (run / "agents/bob/mcp.sock").mkdir(parents=True)
    with pytest.raises(Broken, match="cannot be made at"):
        await sockets.open("bob", "agent")


async def test_connections_too_many_are_refused_and_the_others_go_on(
    sockets: McpSockets, alice: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [await Line.to(alice) for _ in range(MAX_CONNECTIONS)]
    for line in lines:
        line.say(INITIALIZE)
        assert (await line.hear())["result"]["serverInfo"]["name"] == "hyperhive"
    for _ in range(5):
        late = await Line.to(alice)
        assert await late.closed()
        await late.hang_up()
    assert sum("more are refused" in record.message for record in caplog.records) == 1
    lines[0].say({"jsonrpc": "2.0", "id": 2, "method": "ping"})
    assert (await lines[0].hear())["id"] == 2
    for line in lines:
        await line.hang_up()
    await eventually_async(lambda: sockets.connections("alice") == 0)
    assert await works(alice)


def _read(uri: str) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 2, "method": "resources/read", "params": {"uri": uri}}


NOTED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
BAD: list[tuple[str, object, int | None]] = [
    ("no JSON", b"hello", -32700),
    ("half JSON", b'{"jsonrpc":"2.0","id":', -32700),
    ("no UTF-8", b'{"jsonrpc":"2.0","id":2,"method":"\xff\xfe"}', -32700),
    ("a lone surrogate", b'{"jsonrpc":"2.0","id":2,"method":"\\ud800"}', -32700),
    ("deep nesting", b'{"a":' * 5_000, -32700),
    ("a number of 5,000 digits", b'{"jsonrpc":"2.0","id":' + b"9" * 5_000 + b',"method":"ping"}', -32700),
    ("UTF-16 without line feeds", '{"jsonrpc":"2.0"}'.encode("utf-16-le"), -32700),
    (
        "a thousand in a batch",
        json.dumps([{"jsonrpc": "2.0", "id": 2, "method": "ping"}] * 1000).encode(),
        -32600,
    ),
    ("a key said twice", b'{"jsonrpc":"2.0","id":2,"method":"ping","method":"--help"}', -32601),
    ("another's file", _read("file:///etc/passwd"), -32602),
    ("a path as resource", _read("hive://agents/../../operator.token"), -32602),
    ("a number", b"42", -32600),
    ("a list", b"[]", -32600),
    ("a batch", json.dumps([INITIALIZE, INITIALIZE]).encode(), -32600),
    ("no method", {"jsonrpc": "2.0", "id": 2}, -32600),
    ("JSON-RPC 1.0", {"jsonrpc": "1.0", "id": 2, "method": "ping"}, -32600),
    ("a list as method", {"jsonrpc": "2.0", "id": 2, "method": ["ping"]}, -32600),
    ("an unknown method", {"jsonrpc": "2.0", "id": 2, "method": "--help"}, -32601),
    ("no tool named", {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {}}, -32602),
    ("a list as tool", {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": []}}, -32602),
    (
        "a list as arguments",
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "recv", "arguments": []}},
        -32602,
    ),
    ("a blank line", b"", None),
    ("an answer to nothing", {"jsonrpc": "2.0", "id": 99, "result": {}}, None),
    ("an unknown notification", {"jsonrpc": "2.0", "method": "notifications/--all"}, None),
    (
        "cancelling nothing",
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}},
        None,
    ),
]


@pytest.mark.parametrize(("message", "code"), [pytest.param(m, c, id=n) for n, m, c in BAD])
async def test_hostile_input_is_answered_with_an_error_and_nothing_else_happens(
    alice: Path, hive: FakeHive, caplog: pytest.LogCaptureFixture, message: object, code: int | None
) -> None:
    line = await Line.to(alice)
    line.say(INITIALIZE)
    await line.hear()
    line.say(NOTED)
    line.say(message)
    if code is not None:
        answer = await line.hear()
        assert answer["error"]["code"] == code
        assert "Traceback" not in json.dumps(answer)
    line.say(
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "whoami", "arguments": {}}}
    )
    answer = await line.hear()
    assert (answer["id"], answer["result"]["structuredContent"]["name"]) == (3, "alice")
    await line.hang_up()
    assert hive.calls == []
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


async def test_a_line_without_end_is_refused_and_its_connection_ended(alice: Path) -> None:
    line = await Line.to(alice)
    line.say(INITIALIZE)
    await line.hear()
    line.writer.write(b'{"jsonrpc":"2.0","id":2,"method":"' + b"x" * (5 * 1024 * 1024))
    assert (await line.hear())["error"]["message"] == "The line is too long; send less at once."
    assert await line.closed()
    await line.hang_up()
    assert await works(alice)


@pytest.mark.parametrize("version", ["1999-01-01", "--version", "", "9" * 1000])
async def test_a_version_nobody_speaks_is_answered_with_one_that_is(alice: Path, version: str) -> None:
    line = await Line.to(alice)
    params = INITIALIZE["params"]
    assert isinstance(params, dict)
    line.say(INITIALIZE | {"params": params | {"protocolVersion": version}})
    assert (await line.hear())["result"]["protocolVersion"] == "2025-11-25"
    modern = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    other = await Line.to(alice)
    other.say({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": modern}})
    assert "error" in await other.hear()
    await line.hang_up()
    await other.hang_up()
    assert await works(alice)


async def test_a_flood_of_calls_is_refused_beyond_a_bound(alice: Path, hive: FakeHive) -> None:
    line = await Line.to(alice)
    line.say(INITIALIZE)
    await line.hear()
    line.say(NOTED)
    wait = {"name": "recv", "arguments": {"wait_seconds": 180}}
    for n in range(MAX_CALLS + 40):
        line.say({"jsonrpc": "2.0", "id": 10 + n, "method": "tools/call", "params": wait})
    refused = [await line.hear() for _ in range(40)]
    assert {answer["error"]["message"] for answer in refused} == {
        f"More than {MAX_CALLS} calls at once; wait until some have ended."
    }
    assert len(hive.calls) == MAX_CALLS
    await line.hang_up()
    assert await works(alice)


async def test_a_client_that_never_reads_is_ended(hive: FakeHive, run: Path) -> None:
    from hyperhive.mcp.agent import agent_server

    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = LineSession(reader=reader, writer=writer, write_deadline=0.2)
        await session.serve(agent_server(hive=hive, name="alice"))
        writer.close()
        ended.set()

    path = run / "deaf.sock"
    server = await asyncio.start_unix_server(serve, path)
    deaf = socket.socket(socket.AF_UNIX)
    deaf.setblocking(False)
    deaf.connect(str(path))
    ask = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}).encode() + b"\n"
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(deaf, json.dumps(INITIALIZE).encode() + b"\n")
    tasks = 0

    async def flood() -> None:
        nonlocal tasks
        while not ended.is_set():
            await loop.sock_sendall(deaf, ask * 100)
            tasks = max(tasks, len(asyncio.all_tasks()))

    flooding = asyncio.create_task(flood())
    async with asyncio.timeout(40):
        await ended.wait()
    flooding.cancel()
    await asyncio.gather(flooding, return_exceptions=True)
    assert tasks < 200
    deaf.close()
    server.close()
    await server.wait_closed()


async def test_a_client_that_comes_and_goes_without_a_word_leaves_nothing(alice: Path) -> None:
    before = len(asyncio.all_tasks())
    for _ in range(5):
        line = await Line.to(alice)
        await line.hang_up()
    await eventually_async(lambda: len(asyncio.all_tasks()) <= before)


def test_the_doors_do_not_import_the_sdk() -> None:
    code = "import sys, hyperhive.mcp.sockets, hyperhive.mcp.http; sys.exit('mcp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0


def test_a_socket_is_made_without_the_mask_that_all_threads_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed: list[int] = []
    monkeypatch.setattr(os, "umask", changed.append)
    path = tmp_path / "alice" / "mcp.sock"
    with closing(_bind(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not changed
