"""What the hive's database holds and what runs on the machine, as plain values for the checks."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Letter:
    """A message's row."""

    id: int
    sender: str
    to: str
    body: str
    state: str = "read"


@dataclass(frozen=True, slots=True)
class Question:
    """A question's row."""

    id: int
    agent: str
    question: str
    state: str = "answered"
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Agent:
    """A living agent's row."""

    name: str
    intended: str = "running"
    container: str = "running"
    transient: str | None = None
    paused: int = 0
    quarantined: str | None = None
    pid: int | None = None
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """An approval's row."""

    id: int
    agent: str
    state: str
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """All of it, behind some numbers; at a moment of rest that is all that happened since the one before."""

    events: tuple[Event, ...] = ()
    texts: dict[int, str] = field(default_factory=dict)
    letters: tuple[Letter, ...] = ()
    questions: tuple[Question, ...] = ()
    agents: tuple[Agent, ...] = ()
    changes: tuple[Change, ...] = ()
    faults: tuple[str, ...] = ()
    newest: dict[str, int] = field(default_factory=dict)


def at(event: Event) -> float:
    """When it happened, in seconds since 1970."""
    return datetime.fromisoformat(event["ts"]).timestamp()


_LIVE = (
    "SELECT name, intended, container, transient, paused, quarantined, handle_pid, handle_start FROM agents"
)


def read(home: Path, after: dict[str, int] | None = None) -> Record:
    """The record behind the numbers of an earlier one. ``faults``: what SQLite itself finds wrong."""
    behind = after or {}
    with closing(_open(home)) as sql:
        sql.execute("BEGIN")  # all of it as of one moment
        events = sql.execute(
            "SELECT seq, text FROM events WHERE seq > ? ORDER BY seq", (behind.get("events", 0),)
        ).fetchall()
        letters = sql.execute(
            "SELECT id, sender, recipient, body, state FROM messages WHERE id > ? ORDER BY id",
            (behind.get("messages", 0),),
        ).fetchall()
        questions = sql.execute(
            "SELECT id, agent, question, state, answer FROM questions WHERE id > ? ORDER BY id",
            (behind.get("questions", 0),),
        ).fetchall()
        agents = _living(sql)
        changes = sql.execute(
            "SELECT id, agent, state, outcome FROM approvals WHERE id > ?", (behind.get("approvals", 0),)
        ).fetchall()
        newest = dict(sql.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
        whole = [row[0] for row in sql.execute("PRAGMA integrity_check") if row[0] != "ok"]
        foreign = [f"foreign key: {row}" for row in sql.execute("PRAGMA foreign_key_check")]
    return Record(
        events=tuple(json.loads(text) for _, text in events),
        texts=dict(events),
        letters=tuple(Letter(*row) for row in letters),
        questions=tuple(Question(*row) for row in questions),
        agents=agents,
        changes=tuple(Change(*row) for row in changes),
        faults=(*whole, *foreign),
        newest=newest,
    )


def _living(sql: sqlite3.Connection) -> tuple[Agent, ...]:
    rows = sql.execute(f"{_LIVE} WHERE ended IS NULL ORDER BY id")
    return tuple(Agent(*row) for row in rows)


def _open(home: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{home}/hive.sqlite?mode=ro", uri=True, timeout=20)


def living(home: Path) -> tuple[Agent, ...]:
    """The agents there are."""
    with closing(_open(home)) as sql:
        return _living(sql)


def newest(home: Path) -> int:
    """The newest event's number."""
    with closing(_open(home)) as sql:
        (seq,) = sql.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        return int(seq)


def kept(home: Path) -> tuple[int, ...]:
    """The numbers of all events that are left."""
    with closing(_open(home)) as sql:
        return tuple(seq for (seq,) in sql.execute("SELECT seq FROM events ORDER BY seq"))


def unsettled(home: Path) -> int:
    """Messages that wait for somebody living, or are in work."""
    with closing(_open(home)) as sql:
        (count,) = sql.execute("SELECT count(*) FROM messages WHERE state IN ('unread', 'taken')").fetchone()
        return int(count)
