"""MCP servers that did not start are shown on their agent and told to the manager, once."""

import json

import pytest

from hyperhive.domain.axes import Transient
from hyperhive.domain.names import MANAGER
from hyperhive.domain.wire import McpServers
from tests.actors.rig import Rig
from tests.waiting import eventually

CONFIG = '[extraMcpServers.weather]\ncommand = "weather-mcp"\n'
WARNING = "MCP server weather did not start: it ended."


@pytest.fixture
def alice(rig: Rig) -> Rig:
    """A hive with an agent that has an MCP server of its own."""
    rig.spawn("alice")
    rig.config("alice", CONFIG)
    assert rig.operate(Transient.REBUILDING, "alice").get(60).ok
    return rig


def report(rig: Rig, **failed: str) -> None:
    """The harness reports, and is acknowledged."""
    harness = rig.harness("alice")
    n = harness.report(McpServers(failed=failed))
    eventually(lambda: harness.acked >= n)


def told(rig: Rig) -> list[str]:
    return rig.told("alice", "mcp_server_failed")


def test_a_server_that_does_not_start_is_shown_and_told_to_the_manager(alice: Rig) -> None:
    report(alice, weather="it ended.")
    eventually(lambda: alice.view("alice").warnings == (WARNING,))
    assert told(alice) == ["mcp_server_failed"]
    mail = alice.database.reader().messages.conversation(MANAGER, 0, 1000)
    event = next(json.loads(m.body) for m in mail if "mcp_server_failed" in m.body)
    assert (event["agent"], event["server"], event["error"]) == ("alice", "weather", "it ended")


def test_it_is_told_once_also_over_a_restart_of_the_daemon_and_again_when_it_failed_anew(alice: Rig) -> None:
    report(alice, weather="it ended")
    alice.restart()
    alice.harness("alice").connect()
    eventually(lambda: alice.view("alice").warnings == (WARNING,))
    report(alice, weather="it ended")
    assert told(alice) == ["mcp_server_failed"]
    report(alice)
    eventually(lambda: alice.view("alice").warnings == ())
    report(alice, weather="it ended")
    assert told(alice) == ["mcp_server_failed"] * 2


def test_a_harness_cannot_tell_of_servers_that_its_config_does_not_name(alice: Rig) -> None:
    report(alice, hyperhive="x", **{"no such": "y"})
    assert told(alice) == []
    assert alice.view("alice").warnings == ()
