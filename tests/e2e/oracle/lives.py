"""What must hold of the agents' lives: operations, ends of containers, axes. Pure, like ``checker``."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.e2e.oracle.history import Op
from tests.e2e.oracle.record import Agent, Event, Record, at

NEAR = 0.25
"""Seconds by which a kill and an operation may have passed each other."""
OUTCOME = {
    "spawning": "spawned",
    "starting": "started",
    "stopping": "stopped",
    "restarting": "started",
    "rebuilding": "rebuilt",
    "destroying": "destroyed",
}
_ALWAYS = {"spawning", "rebuilding"}
"""Operations that tell how they ended, also when it was badly."""


@dataclass(frozen=True, slots=True)
class Kill:
    """A container that was killed: its leader, or its harness, at a moment."""

    agent: str
    at: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What runs of an agent: its leader's number, and how many harnesses have its folder."""

    name: str
    pid: int | None
    harnesses: int
    ready: bool = True
    shown: str = "running"


def of(agent: str, events: Iterable[Event]) -> list[Event]:
    """An agent's own events."""
    return [event for event in events if event["agent"] == agent]


def names(events: Iterable[Event]) -> list[str]:
    """Whom the events are about."""
    return sorted({event["agent"] for event in events if event["agent"]})


def operations_end_once(record: Record) -> list[str]:
    """Each operation that began ended, told once; none is left under way."""
    wrong = []
    for agent in names(record.events):
        under: str | None = None
        told = 0
        for event in of(agent, record.events):
            kind = event["kind"]
            if kind == "transient_set":
                if under is not None:
                    wrong.append(f"{agent} began {event['transient']} while {under}")
                under, told = event["transient"], 0
            elif under is not None and kind == OUTCOME[under]:
                told += 1
            elif kind == "transient_cleared":
                if under is None:
                    wrong.append(f"{agent} ended an operation that had not begun ({event['seq']})")
                elif told > 1 or (told == 0 and under in _ALWAYS):
                    wrong.append(f"{agent} ended {under} ({event['seq']}), told {told} times")
                under = None
        if under is not None:
            wrong.append(f"{agent} never ended {under}")
    wrong += [f"{a.name} is recorded as {a.transient}" for a in record.agents if a.transient]
    return wrong


def crashes_are_told_once(kills: Sequence[Kill], events: Sequence[Event]) -> list[str]:
    """Each kill is one ``container_crash``; one that hit an operation at most one; nothing else is a crash."""
    wrong = []
    for agent in sorted({*names(events), *(kill.agent for kill in kills)}):
        own = of(agent, events)
        hits = [kill for kill in kills if kill.agent == agent]
        told = sum(event["kind"] == "container_crash" for event in own)
        must = sum(not _busy(own, kill.at) for kill in hits)
        if not must <= told <= len(hits):
            wrong.append(f"{agent}: {len(hits)} kills, {must} of them at rest, and {told} crashes told")
    return wrong


def _busy(own: Sequence[Event], moment: float) -> bool:
    """Whether an operation was under way then, or nearly."""
    began: float | None = None
    for event in own:
        if event["kind"] == "transient_set":
            began = at(event)
        elif event["kind"] == "transient_cleared":
            if began is not None and began - NEAR <= moment <= at(event) + NEAR:
                return True
            began = None
    return began is not None and moment >= began - NEAR


def axes_alternate(events: Sequence[Event]) -> list[str]:
    """What ended had begun: no end is told twice, no login lost or found twice in a row."""
    wrong = []
    for agent in names(events):
        ran, login = True, ""
        for event in of(agent, events):
            kind = event["kind"]
            if kind in ("transient_set", "started", "spawned"):
                ran = True
            elif kind in ("container_crash", "stopped"):
                if not ran:
                    wrong.append(f"{agent}: {kind} ({event['seq']}) of what had ended already")
                ran = False
            elif kind in ("needs_login", "logged_in"):
                if kind == login:
                    wrong.append(f"{agent}: {kind} ({event['seq']}) twice in a row")
                login = kind
    return wrong


def axes_agree(record: Record, seen: Sequence[Seen]) -> list[str]:
    """What is recorded and shown of each agent is what runs: one container if it should run, else none."""
    wrong = []
    look = {one.name: one for one in seen}
    for agent in record.agents:
        one = look.get(agent.name)
        if one is None:
            wrong.append(f"{agent.name} is recorded and not shown")
            continue
        running = agent.intended == "running" and not agent.quarantined
        expected = Seen(agent.name, agent.pid, 1, True, "running")
        if not running:
            expected = Seen(agent.name, None, 0, False, "stopped")
        if one != expected or agent.container != expected.shown:
            wrong.append(f"{agent} is seen as {one}")
    wrong += [f"{name} is shown and not recorded" for name in look.keys() - {a.name for a in record.agents}]
    return wrong


def last_words_count(ops: Iterable[Op], agents: Sequence[Agent]) -> list[str]:
    """Each agent is as the last acknowledged command to it said, or as one said whose answer was lost."""
    state: dict[tuple[str, str], set[str]] = defaultdict(set)
    says = {
        "stop": ("intended", "stopped"),
        "start": ("intended", "running"),
        "restart": ("intended", "running"),
        "pause": ("paused", "1"),
        "resume": ("paused", "0"),
    }
    for op in ops:
        if op.kind in says and op.outcome != "fail":
            what, value = says[op.kind]
            may = state[op.about, what]
            if op.outcome == "ok":
                may.clear()
            elif not may:
                continue  # how it was before is not known here: the round before said
            may.add(value)
    return [
        f"{agent.name} is {what} {getattr(agent, what)}; what was asked for last: {sorted(may)}"
        for agent in agents
        for what in ("intended", "paused")
        for may in [state.get((agent.name, what), set())]
        if may and str(getattr(agent, what)) not in may
    ]


def spawns_and_ends_happen_once(ops: Iterable[Op], record: Record, *, harsh: bool = False) -> list[str]:
    """Every spawn and destroy that was accepted is told once, its agent is there or not; what was refused is not.

    Args:
        harsh: the machine failed meanwhile: a destroy may have failed, and its agent is still there.
    """
    ops, living, wrong = tuple(ops), {agent.name for agent in record.agents}, []
    for op in ops:
        if op.kind not in ("spawn", "destroy"):
            continue
        kind = "spawned" if op.kind == "spawn" else "destroyed"
        told = sum(event["kind"] == kind for event in of(op.about, record.events))
        tried = [each for each in ops if each.kind == op.kind and each.about == op.about]
        failed = harsh and kind == "destroyed" and op.about in living
        if told > 1 or (op.outcome == "ok" and told != 1 and not failed):
            wrong.append(f"{op.kind} of {op.about} ({op.outcome}) was told {told} times")
        if told and all(each.outcome == "fail" for each in tried):
            wrong.append(f"{op.kind} of {op.about} was refused and told")
        if kind == "destroyed" and told and op.about in living:
            wrong.append(f"{op.about} is destroyed and still there")
    return wrong


def changes_are_decided_once(ops: Iterable[Op], record: Record) -> list[str]:
    """Every acknowledged proposal is there, decided once, and carried out or failed: no decision is forgotten."""
    rows = {change.id: change for change in record.changes}
    wrong = []
    for op in ops:
        if op.kind == "propose" and op.outcome == "ok" and op.result not in rows:
            wrong.append(f"approval {op.result} was acknowledged and is not there")
        if op.kind == "approve" and op.outcome == "ok":
            id = int(op.value)
            told = [e for e in record.events if e["kind"] == "approval_resolved" and e["id"] == id]
            if [event["decision"] for event in told] != ["approved"]:
                wrong.append(f"approval {id} was approved and told as {told}")
            if id in rows and rows[id].state not in ("deployed", "failed"):
                wrong.append(f"approval {id} was approved and is {rows[id].state}: {rows[id].outcome}")
    return wrong


def nothing_happens_by_itself(
    before: dict[str, int | None], kills: Iterable[Kill], ops: Iterable[Op], record: Record
) -> list[str]:
    """What nobody killed or commanded runs on in the same container, whatever became of the daemon."""
    touched = {kill.agent for kill in kills} | {op.about for op in ops if op.outcome != "fail"}
    now = {agent.name: agent.pid for agent in record.agents}
    wrong = []
    for name in sorted(before.keys() - touched):
        if now.get(name) != before[name]:
            wrong.append(f"{name} ran as {before[name]} and runs as {now.get(name)}, and nobody touched it")
        begun = [event["transient"] for event in of(name, record.events) if event["kind"] == "transient_set"]
        if begun:
            wrong.append(f"{name} was {', '.join(begun)}, and nobody touched it")
    return wrong
