"""A backup of a hive that works, made beside it, brings all of it back in another place."""

import threading

import pytest

from tests.e2e.hive import hive
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def test_a_hive_that_was_restored_goes_on_where_the_backup_was_made() -> None:
    with hive() as first, hive() as second:
        first.up()
        first.spawn("alice")
        first.spawn("bob")
        first.cli("stop", "bob")
        first.cli("pause", "alice")
        question = first.ask_something("manager")
        stop, sent = threading.Event(), list[int]()

        def send() -> None:
            while not stop.is_set() and len(sent) < 1000:  # an inbox has a bound
                sent.append(first.send("alice", f"number {len(sent)}"))

        sender = threading.Thread(target=send)
        sender.start()
        try:
            eventually(lambda: len(sent) > 20, 60)
            promised, file = list(sent), first.place / "hive.tar.gz"
            said = first.cli("backup", str(file))
        finally:
            stop.set()
            sender.join(60)
        assert "3 agents (alice, bob, manager)" in said
        seq = max(event["seq"] for event in first.events())

        said = second.cli("restore", str(file))
        assert f"It was in {first.home}" in said
        second.up()
        shown = {agent["name"]: agent for agent in second.state()["agents"]}
        assert (shown["alice"]["paused"], shown["bob"]["paused"]) == (True, False)
        second.shows("alice", container="running", ready=True)
        second.shows("manager", container="running", ready=True)
        assert second.agent("bob")["container"] == "stopped"
        assert [q["id"] for q in second.state()["questions"]] == [question]
        assert set(promised) <= {m["id"] for m in second.messages()}
        assert second.agent("alice")["inbox_depth"] >= len(promised)
        told = [event for event in second.events() if event["kind"] == "container_crash"]
        assert told == []
        assert {"spawned", "stopped", "paused"} <= {e["kind"] for e in second.events() if e["seq"] <= seq}
        assert second.token != first.token
        # Both run side by side: neither took the other's containers.
        assert first.agent("alice")["pid"] != second.agent("alice")["pid"]
        second.cli("resume", "bob")
        assert second.ask("manager", "run: echo well").strip() == "ran: well"
        assert "is not empty" in second.cli("restore", str(file), "--home", str(first.place), code=1)
        assert f"pid {second.daemon.pid if second.daemon else 0}" in second.cli("restore", str(file), code=1)
