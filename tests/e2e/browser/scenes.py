"""Hives to look at, each in a state that has to be designed for."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hyperhive.domain import events
from hyperhive.domain.approvals import Kind
from hyperhive.domain.messages import Message
from hyperhive.domain.turns import TurnItem, TurnState
from hyperhive.domain.views import (
    AgentView,
    ApprovalView,
    HiveSnapshot,
    HiveView,
    KeptView,
    QuestionView,
    TurnView,
)
from tests.fakes.hive import FakeHive
from tests.fakes.samples import agent_view

LONG_ERROR = (
    "Rebuild failed: container did not report ready within 30 s; the last it said was: Error: "
    "EACCES: permission denied, open '/state/very/deep/folder/with/a/long/name/settings.json'"
)


SAID = (
    (
        "operator",
        "manager",
        "Please have alice check last night's import, and tell me what she finds.",
        14,
    ),
    (
        "manager",
        "alice",
        "Check /state/imports of last night: row counts, and anything missing. Report to me.",
        13,
    ),
    (
        "alice",
        "manager",
        "Counted 18 402 rows in 3 files. 214 rows have no country. I have asked the operator what to do.",
        4,
    ),
    (
        "system",
        "manager",
        '{"seq":212,"kind":"container_crash","agent":"dave","exit":"killed by SIGSEGV"}',
        3,
    ),
    (
        "manager",
        "operator",
        "The import ran: 18 402 rows. 214 of them lack a country; alice asks you how to go on.\n\n"
        "dave crashed five times and is quarantined. I left it alone.",
        1,
    ),
)
"""Messages: sender, recipient, body, minutes ago."""

LONG = "\n".join(f"{n:>6} imports/2026-11-{n:02d}.csv" for n in range(1, 40))
PARTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "prompt",
        "You have 1 new message.\n\n[message 2 from manager at 2026-11-22T07:01:00.000Z]\n"
        "> Check /state/imports of last night: row counts, and anything missing.\n> Report to me.",
        {"messages": [2]},
    ),
    (
        "thinking",
        "The imports are in /state/imports. I should count rows first, then look for empty columns.",
        {},
    ),
    ("tool_use", '{"command": "wc -l imports/*.csv | tail -40"}', {"tool": "Bash", "call": "a"}),
    ("tool_result", LONG, {"call": "a", "error": False}),
    ("text", "Three files, 18 402 rows. Now the columns.", {}),
    (
        "tool_use",
        '{"file_path": "/state/imports/2026-11-21.csv", "limit": 200}',
        {"tool": "Read", "call": "b"},
    ),
    ("tool_result", "214", {"call": "b", "error": False}),
    ("retry", "The API is overloaded; trying again in 4 s.", {"attempt": 2}),
    (
        "tool_use",
        '{"question":"Drop them, or fill in the customer\'s?"}',
        {"tool": "mcp__hyperhive__ask_operator", "call": "c"},
    ),
    (
        "tool_use",
        '{"to": "manager", "body": "Counted 18 402 rows.\\nThe rest follows."}',
        {"tool": "mcp__hyperhive__send", "call": "d"},
    ),
    ("tool_result", "Asked; the answer will come as a message.", {"call": "c", "error": False}),
    ("text", "Counted 18 402 rows; 214 lack a country. I asked the operator how to go on.", {}),
    (
        "result",
        "Counted 18 402 rows; 214 lack a country. I asked the operator how to go on.",
        {"ok": True, "input_tokens": 18211, "output_tokens": 412, "cost_usd": 0.0613, "duration_ms": 31400},
    ),
)
"""What happens in a turn."""


def past(**ago: float) -> datetime:
    """A moment so long ago."""
    return datetime.now(UTC) - timedelta(**ago)


def agent(name: str, **fields: Any) -> AgentView:
    """An idle agent that has run for some hours."""
    given: dict[str, Any] = {
        "since": past(hours=5, minutes=12),
        "last_activity": past(minutes=7),
        "turn": TurnView(since=past(minutes=7)),
    }
    return agent_view(name, **(given | fields))


def turning(state: TurnState, *, seconds: float = 40, **fields: Any) -> TurnView:
    """A turn loop in ``state``."""
    return TurnView(state=state, since=past(seconds=seconds), **fields)


def hive_view(**fields: Any) -> HiveView:
    """A confined hive in rehearsal."""
    given: dict[str, Any] = {
        "name": "hive",
        "mode": "rehearsal",
        "runtime": "bubblewrap",
        "confined": True,
        "version": "0.1.0",
        "started": past(hours=6),
    }
    return HiveView(**(given | fields))


def of(*agents: AgentView, hive: HiveView | None = None, **fields: Any) -> FakeHive:
    """A hive of these agents; what is begun in it ends when the test says so, with ``settle``."""
    return FakeHive(HiveSnapshot(seq=0, hive=hive or hive_view(), agents=agents, **fields))


def question(**fields: Any) -> QuestionView:
    """An open question."""
    given: dict[str, Any] = {
        "id": 3,
        "agent": "alice",
        "asked": past(minutes=3),
        "question": "How shall I go on?",
    }
    return QuestionView(**(given | fields))


def many(count: int) -> FakeHive:
    """The manager and many idle workers."""
    return of(agent("manager"), *(agent(f"worker-{n}") for n in range(1, count)))


def empty() -> FakeHive:
    """Just begun: the manager, idle."""
    return of(
        agent("manager", last_activity=None, since=past(seconds=20), turn=TurnView(since=past(seconds=20)))
    )


def _at_work() -> tuple[AgentView, ...]:
    thinking = turning(TurnState.THINKING, seconds=12, turn=41)
    longer = turning(TurnState.THINKING, seconds=195, turn=8)
    until = datetime.now(UTC) + timedelta(minutes=48)
    limited = turning(TurnState.RATE_LIMITED, seconds=900, until=until)
    return (
        agent("manager", turn=thinking, last_activity=past(seconds=2)),
        agent("alice", turn=longer, last_activity=past(seconds=5), inbox_depth=2),
        agent("bob", transient="rebuilding", transient_since=past(seconds=6), revision="stale"),
        agent("erin", revision="stale", last_activity=past(hours=2)),
        agent("frank", turn=limited, inbox_depth=14),
        agent("grace", paused=True, turn=TurnView(since=past(minutes=50)), inbox_depth=1),
    )


def _in_trouble() -> tuple[AgentView, ...]:
    stopped: dict[str, Any] = {"container": "stopped", "pid": None, "ready": False}
    soon = datetime.now(UTC) + timedelta(seconds=9)
    lost = "The API answered 401: the login is no longer valid."
    killed = "exit status 137, killed by the memory limit"
    return (
        agent("carol", login="needs-login", last_error=lost, inbox_depth=3),
        agent("dave", quarantined="5 crashes within 60 s, the last: killed by SIGSEGV", **stopped),
        agent("heidi", **stopped | {"since": past(days=2), "last_activity": past(days=2)}),
        agent("ivan", last_error=killed, restart_at=soon, **stopped | {"since": past(seconds=8)}),
    )


def few() -> FakeHive:
    """A working day: some think, some rest, some need someone."""
    asked = question(
        question="The nightly import has 214 rows without a country. Drop them, or fill in the customer's?",
        options=("Drop them", "Fill in the customer's country", "Stop the import"),
        deadline=datetime.now(UTC) + timedelta(hours=20),
    )
    wanted = ApprovalView(
        id=7,
        kind=Kind.SPAWN,
        agent="scribe",
        requested_by="manager",
        requested=past(minutes=11),
        note="To keep the minutes of the weekly review.",
    )
    made = of(
        *_at_work(),
        *_in_trouble(),
        hive=hive_view(name="workshop", mode="live"),
        questions=(asked,),
        approvals=(wanted,),
    )
    talk(made)
    return made


def talk(made: FakeHive) -> None:
    """Messages and events of the last quarter of an hour."""
    for sender, to, body, minutes in SAID:
        id = len(made.letters) + 1
        made.letters.append(Message(id=id, sender=sender, to=to, body=body, ts=past(minutes=minutes)))
        made.publish(events.MessageSent(agent=sender, id=id, sender=sender, to=to))
    for event in (
        events.TurnStarted(agent="alice", turn=8, sender="manager"),
        events.QuestionAsked(agent="alice", id=3),
        events.ContainerCrash(agent="dave", exit="killed by SIGSEGV"),
        events.AgentQuarantined(agent="dave", error="5 crashes within 60 s"),
        events.NeedsLogin(agent="carol"),
        events.NeedsUpdate(agent="erin", recorded="0.1.0+3f2a91c", current="0.1.0+88ad01e"),
        events.TransientSet(agent="bob", transient="rebuilding"),
        events.Rebuilt(agent="erin", ok=False, note=LONG_ERROR),
    ):
        made.publish(event)


def fifty() -> FakeHive:
    """Many, with the longest names and errors there are."""
    kinds: tuple[dict[str, Any], ...] = (
        {},
        {"turn": turning(TurnState.THINKING, seconds=75, turn=3)},
        {"inbox_depth": 1999},
        {"container": "stopped", "pid": None, "ready": False, "since": past(days=12)},
        {"turn": turning(TurnState.COMPACTING, seconds=9, turn=3)},
        {"revision": "stale", "last_error": LONG_ERROR},
        {},
        {"paused": True},
        {"revision": "stale"},
        {"transient": "restarting", "transient_since": past(seconds=3)},
    )
    names = [
        f"{'translator-for-quarterly-reports'[:28]}-{n:02d}" if n % 3 == 0 else f"worker-{n:02d}"
        for n in range(49)
    ]
    return of(agent("manager"), *(agent(name, **kinds[n % len(kinds)]) for n, name in enumerate(names)))


def unconfined() -> FakeHive:
    """Without walls, live."""
    hive = hive_view(
        mode="live",
        runtime="process",
        confined=False,
        trouble=("Only 412 MB are free in the hive's home; agents may fail to write. Free some space.",),
    )
    bare = {"runtime": "process", "confined": False}
    return of(agent("manager", **bare), agent("alice", **bare), hive=hive)


def failing() -> FakeHive:
    """A bad morning: the same build failure everywhere, questions, and agents that were destroyed."""
    full = "Rebuild failed: no space left on device while the container's root was written. Free some space."
    broken = [agent(f"worker-{n}", last_error=full, revision="stale") for n in range(1, 6)]
    asked = tuple(question(id=n, agent="alice", options=("Yes", "No")) for n in range(1, 5))
    kept = (
        KeptView(name="old-hand", since=past(days=2), logged_in=True),
        KeptView(name="scribe", since=past(minutes=5)),
    )
    return of(agent("manager"), agent("alice"), *broken, questions=asked, kept=kept)


def turns() -> FakeHive:
    """An agent with turns and a log to read."""
    made = few()
    for turn, started in ((7, 40), (8, 3)):
        for n, (kind, text, data) in enumerate(PARTS if turn == 7 else PARTS[:7]):
            made.add_turn_item(
                "alice",
                TurnItem(turn=turn, ts=past(minutes=started, seconds=-n), type=kind, text=text, data=data),
            )
    for n in range(60):
        made.append_log(
            "alice",
            f"2026-11-22T07:{n:02d}:11.204Z harness: turn {n // 8} item {n}: "
            f"wrote /state/imports/part-{n:03d}.csv, {n * 97} rows",
        )
    return made


SCENES: dict[str, Callable[[], FakeHive]] = {
    "empty": empty,
    "few": few,
    "fifty": fifty,
    "unconfined": unconfined,
    "failing": failing,
    "turns": turns,
}
