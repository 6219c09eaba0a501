"""Views to fill a fake hive with: an agent, and snapshots of hives of any size in which something happens."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hyperhive.domain.approvals import Kind
from hyperhive.domain.messages import Message
from hyperhive.domain.turns import TurnItem, TurnState
from hyperhive.domain.views import (
    AgentView,
    ApprovalView,
    DraftView,
    GenerationView,
    HiveSnapshot,
    HiveView,
    KeptView,
    MessageView,
    QuestionView,
    TurnView,
)
from tests.fakes.repositories import FIRST

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def agent_view(name: str, **fields: Any) -> AgentView:
    """A healthy agent that runs and is idle; ``fields`` override."""
    given: dict[str, Any] = {
        "name": name,
        "role": "manager" if name == "manager" else "agent",
        "container": "running",
        "login": "logged-in",
        "revision": "up-to-date",
        "turn": TurnView(since=NOON),
        "model": "sonnet",
        "recorded_revision": f"0.1.0-{FIRST.sha[:12]}",
        "generation": 1,
        "commit": FIRST.sha,
        "runtime": "bubblewrap",
        "confined": True,
        "pid": 4711,
        "ready": True,
        "last_activity": NOON,
        "since": NOON,
    }
    return AgentView(**(given | fields))


def generation_view(number: int, **fields: Any) -> GenerationView:
    """A generation of the first commit that can be gone back to; ``fields`` override."""
    given: dict[str, Any] = {
        "number": number,
        "commit": FIRST.sha,
        "revision": f"0.1.0-{FIRST.sha[:12]}",
        "summary": FIRST.summary,
        "made": NOON + timedelta(minutes=number),
        "by": "operator",
        "here": True,
    }
    return GenerationView(**(given | fields))


def snapshot(*names: str, **fields: Any) -> HiveSnapshot:
    """A hive of healthy agents at event 0."""
    hive = HiveView(
        name="hive", mode="rehearsal", runtime="bubblewrap", confined=True, version="0.1.0", started=NOON
    )
    given: dict[str, Any] = {"seq": 0, "hive": hive, "agents": tuple(agent_view(name) for name in names)}
    return HiveSnapshot(**(given | fields))


_STATES: tuple[dict[str, Any], ...] = (
    {},
    {"turn": TurnView(state=TurnState.THINKING, since=NOON, turn=7)},
    {"container": "stopped", "pid": None, "ready": False},
    {"login": "needs-login", "last_error": "The API answered 401: the login is no longer valid."},
    {"revision": "stale"},
    {"transient": "rebuilding", "transient_since": NOON, "revision": "stale"},
    {"turn": TurnView(state=TurnState.RATE_LIMITED, since=NOON, until=NOON + timedelta(hours=2))},
    {"quarantined": "5 crashes within 60 s", "container": "stopped", "pid": None, "ready": False},
    {"paused": True, "inbox_depth": 12},
    {"transient": "restarting", "transient_since": NOON, "inbox_depth": 1},
    {"turn": TurnView(state=TurnState.COMPACTING, since=NOON, turn=3)},
    {"container": "unknown", "login": "unknown", "revision": "unknown", "pid": None, "ready": False},
)


def busy_snapshot(count: int) -> HiveSnapshot:
    """A hive of ``count`` agents, the manager first, in every state there is, with things that wait."""
    names = ["manager", *(f"worker-{n:02d}" for n in range(1, count))][:count]
    agents = tuple(agent_view(name, **_STATES[n % len(_STATES)]) for n, name in enumerate(names))
    if count < 2:
        return snapshot(agents=agents)
    question = QuestionView(
        id=1,
        agent=names[1],
        question="Which region shall I measure?",
        options=("Berlin", "Hamburg"),
        asked=NOON,
        deadline=NOON + timedelta(days=1),
    )
    approval = ApprovalView(id=1, kind=Kind.SPAWN, agent="scribe", requested_by="manager", requested=NOON)
    mail = MessageView(
        id=1,
        sender="manager",
        to="operator",
        body="The fleet is up. worker-03 needs a login.",
        ts=NOON,
        state="unread",
    )
    kept = KeptView(name="old-hand", since=NOON, logged_in=True, size=52_428_800)
    draft = DraftView(name="surveyor", created=NOON, by="manager", size=8_192)
    return snapshot(
        agents=agents,
        questions=(question,),
        approvals=(approval,),
        inbox=(mail,),
        kept=(kept,),
        drafts=(draft,),
    )


def message_view(message: Message) -> MessageView:
    """The view of ``message``."""
    return MessageView(
        id=message.id,
        sender=message.sender,
        to=message.to,
        body=message.body,
        ts=message.ts,
        state=message.state,
    )


def turn_items(turn: int = 1) -> tuple[TurnItem, ...]:
    """A short turn: prompt, text, a tool call with its result, and the result."""
    parts: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("prompt", "operator: count the files in your notes.", {}),
        ("text", "I will look.", {}),
        ("tool_use", "ls notes | wc -l", {"name": "Bash", "id": "call-1"}),
        ("tool_result", "3", {"id": "call-1"}),
        ("result", "There are three files.", {"input_tokens": 1200, "output_tokens": 40}),
    )
    return tuple(
        TurnItem(id=n, turn=turn, ts=NOON + timedelta(seconds=n), type=kind, text=text, data=data)
        for n, (kind, text, data) in enumerate(parts, start=1)
    )
