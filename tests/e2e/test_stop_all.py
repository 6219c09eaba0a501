"""Stopping the daemon and stopping the agents are two things."""

import pytest

from tests.e2e.hive import hive
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def test_stopping_the_daemon_leaves_agents_running_and_stop_all_ends_them_for_good() -> None:
    with hive() as real:
        real.up()
        real.spawn("alice")
        leaders = [real.leader(name) for name in ("manager", "alice")]
        real.down()
        assert all(leader.alive for leader in leaders)
        assert real.cli("stop", "--all", code=3)  # which is the daemon's to do
        assert all(leader.alive for leader in leaders)
        real.up()
        assert [real.leader(name) for name in ("manager", "alice")] == leaders

        daemon = real.daemon
        assert daemon is not None
        said = real.cli("stop", "--all")
        assert "alice" in said
        assert "manager" in said
        eventually(lambda: not any(leader.alive for leader in leaders), 60)
        assert daemon.poll() is None
        assert {agent["container"] for agent in real.state()["agents"]} == {"stopped"}
        real.kill()
        real.up()
        assert {agent["container"] for agent in real.state()["agents"]} == {"stopped"}
        real.cli("start", "--all")
        for name in ("manager", "alice"):
            real.shows(name, container="running", ready=True)
        assert [e["kind"] for e in real.events() if e["kind"] == "container_crash"] == []
