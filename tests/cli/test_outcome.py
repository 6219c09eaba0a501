"""What came of an operation, also when it waited behind another one or never took effect."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest

from hyperhive.cli.outcome import Outcome, accepted, wait
from hyperhive.cli.wire import Daemon, Frame


class Told:
    """A daemon that tells these events, and has this agent afterwards."""

    def __init__(self, *events: dict[str, Any], agent: dict[str, Any] | None) -> None:
        self._events = events
        self._agents = [] if agent is None else [{"name": "alice", "transient": None, **agent}]

    def stream(self, target: str) -> Iterator[Frame]:
        """The events, then silence."""
        for number, event in enumerate(self._events, 1):
            whole = {"agent": "alice", "exit": None, "note": "", **event}
            yield Frame(str(number), event["kind"], json.dumps(whole))

    def json(self, method: str, target: str) -> dict[str, Any]:
        """The state."""
        return {"seq": 0, "agents": self._agents}


def outcome(told: Told, answer: dict[str, Any], action: str, *, before: str | None = None) -> Outcome:
    """What came of ``action``, which the daemon answered so."""
    snapshot = {"seq": 0, "agents": [{"name": "alice", "transient": before}]}
    begun = accepted("alice", action, {"ok": None, "note": "", **answer})
    (found,) = wait(cast(Daemon, told), snapshot, [begun])
    return found


CLEARED = {"kind": "transient_cleared"}
GONE_WRONG = {"kind": "container_crash", "note": "the start failed"}


def began(transient: str) -> dict[str, Any]:
    """The event of an operation's beginning."""
    return {"kind": "transient_set", "transient": transient}


def test_one_that_waits_behind_another_is_not_taken_for_it() -> None:
    told = Told(GONE_WRONG, CLEARED, began("stopping"), CLEARED, agent={"container": "stopped"})
    found = outcome(told, {"transient": "starting"}, "stop", before="starting")
    assert (found.ok, found.transient, found.note) == (True, "stopping", "stopped")


@pytest.mark.parametrize("under_way", ["starting", "spawning", "restarting"])
def test_a_start_that_joined_one_under_way_ends_with_it(under_way: str) -> None:
    told = Told(CLEARED, agent={"container": "running"})
    found = outcome(told, {"transient": under_way}, "start", before=under_way)
    assert (found.ok, found.note) == (True, "running")


def test_a_destroy_is_done_once_the_agent_is_gone() -> None:
    told = Told(GONE_WRONG, CLEARED, began("destroying"), {"kind": "destroyed"}, agent=None)
    found = outcome(told, {"transient": "starting"}, "destroy", before="starting")
    assert (found.ok, found.note) == (True, "destroyed")


def test_a_destroy_that_failed_is_a_failure() -> None:
    told = Told(began("destroying"), CLEARED, agent={"container": "stopped", "last_error": "a disk"})
    found = outcome(told, {"transient": "destroying"}, "destroy")
    assert (found.ok, found.note) == (False, "a disk")


def test_what_was_done_at_once_needs_no_event() -> None:
    told = Told(agent=None)
    assert outcome(told, {"transient": None, "ok": True, "note": "It runs already."}, "start").ok
