"""Waits for what comes of operations that were accepted: the outcome is an event."""

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from hyperhive.cli.errors import CommandError, NoDaemon
from hyperhive.cli.hive import state
from hyperhive.cli.wire import Daemon

DEADLINE = 120.0
"""Seconds to wait for outcomes."""

_RUNS = ("spawning", "starting", "restarting")


class Outcome(NamedTuple):
    """What came of an operation. ``ok`` is ``None`` when it was not waited for."""

    agent: str
    transient: str | None
    ok: bool | None
    note: str


def wait(hive: Daemon, after: int, accepted: list[Outcome]) -> Iterator[Outcome]:
    """Yield the outcome of each operation, as they end.

    Args:
        after: an event's number from before the operations were asked for.
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
    failures: dict[str, str] = {}
    for event in _events(hive, after, time.monotonic() + DEADLINE):
        name = event["agent"]
        if name not in open_:
            continue
        if (failure := _failure(event)) is not None:
            failures[name] = failure
        if event["kind"] in ("transient_cleared", "destroyed"):
            yield _ended(hive, open_.pop(name), failures.get(name))
        if not open_:
            return
    for outcome in open_.values():
        yield outcome._replace(
            ok=False,
            note=f"still {outcome.transient} after {DEADLINE:.0f} s; see 'hyperhive events --follow'",
        )


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


def _ended(hive: Daemon, outcome: Outcome, failure: str | None) -> Outcome:
    if outcome.transient == "destroying":
        return outcome._replace(ok=failure is None, note=failure or "destroyed")
    agent = next((a for a in state(hive)["agents"] if a["name"] == outcome.agent), None)
    if agent is None:
        return outcome._replace(ok=False, note="it was destroyed meanwhile")
    wanted = (
        "running" if outcome.transient in _RUNS else "stopped" if outcome.transient == "stopping" else None
    )
    if failure is None and wanted is not None and agent["container"] != wanted:
        failure = agent["last_error"] or f"its container is {agent['container']}"
    return outcome._replace(ok=failure is None, note=failure or agent["container"])
