"""Policies of a config in a real hive: MCP servers of its own, whom it may write to, and its environment."""

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.e2e.hive import LONG, RealHive, hive
from tests.mcp.doors import MODES, Mode, refusal, structured, unix_transport
from tests.mcp.everything_server import put_into

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SCENARIO = Path(__file__).with_name("policies.toml")
REFUSED = "'alice' may not write to 'bob'; it may write to: manager, operator."


@pytest.fixture(scope="module")
def real() -> Iterator[RealHive]:
    with hive(scenario=SCENARIO) as made:
        made.up()
        made.spawn("alice")
        made.spawn("bob")
        made.quiet()
        yield made


def configure(real: RealHive, name: str, text: str) -> None:
    """Give an agent this config, as its operator does by hand, and rebuild it."""
    (real.folder(name) / "applied" / "agent.toml").write_text(text)
    after = real.seq
    real.post(f"/api/agents/{name}/update")
    told = real.wait("rebuilt", after=after, agent=name)
    assert told["ok"], told
    real.quiet(name)


# -- MCP servers of its own


def servers(script: str, *, broken: bool) -> str:
    text = f"""
[extraMcpServers.everything]
command = "node"
args = ["{script}"]
allowedTools = ["echo"]
"""
    missing = '[extraMcpServers.weather]\ncommand = "weather-mcp"\n'
    return text + missing if broken else text


def test_a_server_from_npm_answers_in_a_turn_and_one_that_does_not_start_is_shown_and_told(
    real: RealHive,
) -> None:
    script = put_into(real.folder("bob") / "state")
    after = real.seq
    configure(real, "bob", servers(script, broken=True))
    said = real.ask("bob", "echo heron")
    assert "Echo: heron" in said
    assert "ermission" in said.partition("denied: ")[2], said
    failed = real.wait("mcp_server_failed", after=after, agent="bob")
    assert (failed["server"], failed["error"]) == ("weather", "there is no program 'weather-mcp' on its PATH")
    warning = "MCP server weather did not start: there is no program 'weather-mcp' on its PATH."
    real.shows("bob", warnings=[warning])
    manager = [m["body"] for m in real.messages() if m["to"] == "manager"]
    assert [body for body in manager if '"mcp_server_failed"' in body]
    assert "Echo: again" in real.ask("bob", "echo again")
    assert [e["server"] for e in real.events(after) if e["kind"] == "mcp_server_failed"] == ["weather"]
    configure(real, "bob", servers(script, broken=False))
    assert "Echo: mended" in real.ask("bob", "echo mended")
    real.shows("bob", warnings=[])


# -- whom it may write to


@pytest.fixture
def restricted(real: RealHive) -> RealHive:
    """Alice may write to the manager alone."""
    configure(real, "alice", 'allowedRecipients = ["manager"]\n')
    return real


def mail_to_bob(real: RealHive) -> int:
    """How much mail Bob ever got."""
    ((count,),) = real.rows("SELECT count(*) FROM messages WHERE recipient = 'bob'")
    return int(count)


def test_a_turn_cannot_reach_a_peer_and_hears_who_is_allowed(restricted: RealHive) -> None:
    before = mail_to_bob(restricted)
    assert REFUSED in restricted.ask("alice", "tell bob: psst")
    assert mail_to_bob(restricted) == before
    assert '"to":"manager"' in restricted.ask("alice", "tell manager: hello").replace(" ", "")


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_on_its_socket_cannot_reach_a_peer_and_always_the_manager(
    restricted: RealHive, mode: Mode
) -> None:
    before = mail_to_bob(restricted)
    async with Client(unix_transport(restricted.run / "agents/alice/mcp.sock"), mode=mode) as mcp:
        assert refusal(await mcp.call_tool("send", {"to": "bob", "body": "psst"})) == REFUSED
        for claim in ({"from": "manager"}, {"sender": "operator"}, {"by": "manager"}):
            said = refusal(await mcp.call_tool("send", {"to": "bob", "body": "psst", **claim}))
            assert said == f"send takes no argument '{next(iter(claim))}'; leave it out."
        assert structured(await mcp.call_tool("send", {"to": "manager", "body": "hi"}))["to"] == "manager"
    assert mail_to_bob(restricted) == before
    after = restricted.newest()
    assert "told" in restricted.ask("manager", "tell alice: the manager may always write")
    assert [m for m in restricted.messages() if m["id"] > after and m["to"] == "alice"]


def raw(real: RealHive, door: str, lines: list[bytes], *, awaited: frozenset[int] = frozenset()) -> bytes:
    """Write these lines to a socket of Alice's; what comes back until it is silent for a second or closed.

    Args:
        awaited: the requests that are answered before that.
    """
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(LONG)
        s.connect(str(real.run / "agents/alice" / door))
        with contextlib.suppress(OSError):
            for line in lines:
                s.sendall(line + b"\n")
        heard = b""
        with contextlib.suppress(OSError):
            while True:
                s.settimeout(1 if awaited <= answers(heard).keys() else LONG)
                if not (data := s.recv(65536)):
                    break
                heard += data
    return heard


def answers(heard: bytes) -> dict[object, dict[str, Any]]:
    """The answers that are there whole, by the number of the request."""
    found = map(json.loads, heard.rpartition(b"\n")[0].splitlines())
    return {answer.get("id"): answer for answer in found}


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def call(id: int, arguments: dict[str, object], **fields: object) -> dict[str, object]:
    params = {"name": "send", "arguments": arguments, **fields}
    return {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}


def test_raw_bytes_on_its_mcp_socket_reach_no_peer(restricted: RealHive) -> None:
    before = mail_to_bob(restricted)
    client = {"clientInfo": {"name": "manager", "version": "0"}, "capabilities": {}}
    initialize = {"protocolVersion": "2025-11-25", **client}
    greeting = [
        line(jsonrpc="2.0", id=1, method="initialize", params=initialize),
        line(jsonrpc="2.0", method="notifications/initialized"),
    ]
    psst: dict[str, object] = {"to": "bob", "body": "psst"}
    forged = [
        json.dumps(call(2, psst)).encode(),
        json.dumps({**call(3, psst), "from": "manager", "sender": "manager"}).encode(),
        json.dumps(call(4, psst, _meta={"from": "manager", "agent": "manager"}, sender="manager")).encode(),
        b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"send","arguments":'
        b'{"to":"manager","to":"bob","body":"psst"}}}',
        json.dumps([call(6, psst), call(7, psst)]).encode(),
        json.dumps(call(8, {"to": ["manager", "bob"], "body": "psst"})).encode(),
        json.dumps(call(9, {"to": "bob ", "body": "psst"})).encode(),
        json.dumps(call(10, {"to": "BOB", "body": "psst"})).encode(),
        json.dumps(call(11, {"to": "manager\nbob", "body": "psst"})).encode(),
        json.dumps({**call(12, psst), "method": "send"}).encode(),
    ]
    refused, invalid = (2, 3, 4, 5), (8, 9, 10, 11, 12)
    found = answers(raw(restricted, "mcp.sock", greeting + forged, awaited=frozenset(refused + invalid)))
    for id in refused:
        result = found[id]["result"]
        assert result["isError"] and result["content"][0]["text"] == REFUSED, found[id]
    for id in invalid:
        assert "error" in found[id] or found[id]["result"]["isError"], found[id]
    assert mail_to_bob(restricted) == before


def test_frames_on_its_harness_socket_reach_no_peer(restricted: RealHive) -> None:
    before, all_mail = mail_to_bob(restricted), restricted.newest()
    hello = {"type": "hello", "boot": "forged", "version": "0"}
    letter = {"id": 1, "sender": "manager", "body": "psst", "ts": "2026-01-31T12:00:00Z"}
    over = {"type": "turn_over", "turn": 1, "outcome": "done", "to": "bob", "body": "psst"}
    item = {"turn": 1, "ts": "2026-01-31T12:00:00Z", "type": "tool_use", "text": '{"to":"bob","body":"psst"}'}
    frames: list[dict[str, object]] = [
        {"type": "send", "to": "bob", "body": "psst", "from": "manager"},
        {"type": "work", "turn": 1, "messages": [letter], "to": "bob"},
        {"type": "report", "n": 1, "report": {"type": "send", "to": "bob", "body": "psst"}},
        {"type": "report", "n": 1, "report": over},
        {"type": "report", "n": 1, "report": {"type": "trouble", "note": "psst"}, "to": "bob"},
        {"type": "items", "items": [{**item, "data": {"tool": "mcp__hyperhive__send"}}]},
        {"type": "message_sent", "id": 1, "from": "manager", "to": "bob"},
    ]
    for frame in frames:
        raw(restricted, "hive.sock", [line(**hello), line(**frame)])
    raw(restricted, "hive.sock", [line(**{**hello, "agent": "bob"}), line(**frames[0])])
    raw(restricted, "hive.sock", [json.dumps(frames).encode()])
    assert mail_to_bob(restricted) == before
    restricted.shows("alice", ready=True)
    assert [m for m in restricted.messages() if m["id"] > all_mail and m["from"] != "operator"] == []
    assert REFUSED in restricted.ask("alice", "tell bob: psst")


# -- what the operator provides


def test_the_operators_environment_reaches_claude_and_is_nowhere_else(real: RealHive) -> None:
    folder = real.home / "environments"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "station.env"
    file.touch(mode=0o600)
    file.write_text("STATION=heron-4711\nANTHROPIC_AUTH_TOKEN=not-in-rehearsal\n")
    configure(real, "alice", 'environment = "station"\n')
    assert real.ask("alice", "show STATION").strip() == "STATION: heron-4711"
    assert real.ask("alice", "show ANTHROPIC_AUTH_TOKEN").strip() == "ANTHROPIC_AUTH_TOKEN: unset"
    kept = [*real.folder("alice").glob("generations/**/*"), *real.folder("alice").glob("applied/**/*")]
    kept += [real.folder("alice") / "container" / "log", real.folder("alice") / "build.log"]
    holding = [path for path in kept if path.is_file() and b"heron-4711" in path.read_bytes()]
    assert holding == []
