"""Waits for what comes of operations that were accepted: the outcome is an event."""

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from hyperhive.cli.errors import CommandError, NoDaemon
from hyperhive.cli.hive import State, state
from hyperhive.cli.wire import Daemon

DEADLINE = 120.0
"""Seconds to wait for outcomes."""

_RUNS = ("spawning", "starting", "restarting")
_TRANSIENTS = {
    "start": "starting",
    "stop": "stopping",
    "restart": "restarting",
    "update": "rebuilding",
    "rollback": "rebuilding",
    "destroy": "destroying",
}


class Outcome(NamedTuple):
    """What came of an operation. ``ok`` is ``None`` when it was not waited for."""

    agent: str
    transient: str | None
    ok: bool | None
    note: str


def accepted(name: str, action: str, answer: dict[str, Any]) -> Outcome:
    """What a command's answer says. One that waits behind another operation is named, not what it waits for."""
    transient, ok = answer.get("transient"), answer.get("ok")
    own = _TRANSIENTS.get(action, transient)
    if transient is None:
        return Outcome(name, None, ok is not False, answer.get("note") or "")
    joined = own == "starting" and transient in _RUNS
    return Outcome(name, transient if joined else own, ok, answer.get("note") or "")


def wait(hive: Daemon, snapshot: State, accepted: list[Outcome]) -> Iterator[Outcome]:
    """Yield the outcome of each operation, as they end.

    Args:
        snapshot: the state from before the operations were asked for.
        accepted: operations under way; those that have ended are passed on as they are.
    """
    open_ = {}
    for outcome in accepted:
        if outcome.ok is None and outcome.transient:
            open_[outcome.agent] = outcome
        else:
            yield outcome
    if not open_:
        return
    told = _Told(under_way={agent["name"]: agent["transient"] for agent in snapshot["agents"]})
    for event in _events(hive, int(snapshot["seq"]), time.monotonic() + DEADLINE):
        name = event["agent"]
        if name not in open_:
            continue
        if told.ends(event, open_[name].transient):
            yield _ended(hive, open_.pop(name), told.failures.get(name), told.notes.get(name, ""))
        if not open_:
            return
    for outcome in open_.values():
        yield outcome._replace(
            ok=False,
            note=f"still {outcome.transient} after {DEADLINE:.0f} s; see 'hyperhive events --follow'",
        )


class _Told:
    """What events tell of the operations that are waited for.

    Args:
        under_way: what was under way with each agent before.
    """

    def __init__(self, *, under_way: dict[str, Any]) -> None:
        self.failures: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self._under_way = under_way

    def ends(self, event: dict[str, Any], transient: str | None) -> bool:
        """Take note of an event; whether it ends the operation that is ``transient``."""
        name = event["agent"]
        if (failure := _failure(event)) is not None:
            self.failures[name] = failure
        match event["kind"]:
            case "rebuilt" | "spawned" if event["ok"]:
                self.notes[name] = event["note"]
            case "transient_set":  # what was told before was another operation's, which this one waited for
                self._under_way[name] = event["transient"]
                self.failures.pop(name, None)
                self.notes.pop(name, None)
            case "transient_cleared":
                return self._under_way.get(name) in (None, transient)
            case "destroyed":
                self.failures.pop(name, None)
                return True
        return False


def _events(hive: Daemon, after: int, deadline: float) -> Iterator[dict[str, Any]]:
    for frame in hive.stream(f"/api/events?after={after}"):
        if frame.event == "resync":
            raise CommandError("The events of this operation are gone already; look with 'hyperhive list'.")
        if frame.id.isdigit():
            yield json.loads(frame.data)
        if time.monotonic() > deadline:
            return
    raise NoDaemon(
        "The hive ended while this was waiting; what came of it shows in 'hyperhive events' once it is back."
    )


def _failure(event: dict[str, Any]) -> str | None:
    match event["kind"]:
        case "spawned" | "rebuilt" if not event["ok"]:
            return event["note"] or "failed"
        case "container_crash":
            return " ".join(filter(None, ["the container ended unplanned", event["exit"], event["note"]]))
        case "agent_quarantined":
            return f"quarantined: {event['error']}"
    return None


def _ended(hive: Daemon, outcome: Outcome, failure: str | None, note: str = "") -> Outcome:
    agent = next((a for a in state(hive)["agents"] if a["name"] == outcome.agent), None)
    if outcome.transient == "destroying":
        left = (failure or agent["last_error"] or "it is still there") if agent is not None else None
        return outcome._replace(ok=agent is None, note=left or "destroyed")
    if agent is None:
        return outcome._replace(ok=False, note="it was destroyed meanwhile")
    wanted = (
        "running" if outcome.transient in _RUNS else "stopped" if outcome.transient == "stopping" else None
    )
    if failure is None and wanted is not None and agent["container"] != wanted:
        failure = agent["last_error"] or f"its container is {agent['container']}"
    return outcome._replace(ok=failure is None, note=failure or note or agent["container"])
