"""The record of events: numbered without a gap, kept as the text that was told."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hyperhive.domain.recorded import Recorded, Told, envelope, stamp, told_text
from hyperhive.store.meta import Meta, MetaReads
from hyperhive.store.sql import Connection, Reading, Row, clean, from_micros, to_micros

if TYPE_CHECKING:
    from hyperhive.domain.events import HelperEvent

DECISIONS = frozenset({"audit", "approval_resolved"})
"""Kinds of which more is kept: what an operator did and decided."""

_DECISIVE = "kind IN ('audit', 'approval_resolved')"
_PRUNED = "events_pruned"
_ALL = 2**62
_SURROGATE = re.compile("[\ud800-\udfff]")


class EventReads:
    """Reads of events."""

    __slots__ = ("_sql",)

    def __init__(self, sql: Reading) -> None:
        self._sql = sql

    def after(self, seq: int, limit: int, kinds: frozenset[str] | None) -> list[Recorded]:
        """At most ``limit`` events behind ``seq``, oldest first; of these kinds, ``None``: of all."""
        wanted, params = _of_kinds(kinds)
        rows = self._sql.all(
            f"SELECT seq, ts, kind, agent, text FROM events WHERE seq > ? {wanted} ORDER BY seq LIMIT ?",
            seq,
            *params,
            limit,
        )
        return [_recorded(row) for row in rows]

    def before(
        self, seq: int | None, limit: int, kinds: frozenset[str] | None, agent: str | None = None
    ) -> list[Recorded]:
        """At most ``limit`` events ahead of ``seq``, newest first; ``None``: the newest; of these kinds.

        Args:
            agent: only those about this agent.
        """
        wanted, params = _of_kinds(kinds)
        if agent is not None:
            wanted, params = f"{wanted} AND agent = ?", (*params, agent)
        rows = self._sql.all(
            f"SELECT seq, ts, kind, agent, text FROM events WHERE seq < ? {wanted} ORDER BY seq DESC LIMIT ?",
            2**62 if seq is None else seq,
            *params,
            limit,
        )
        return [_recorded(row) for row in rows]

    def newest(self) -> int:
        """The highest number given so far; 0 when there was no event yet. Pruning does not change it."""
        row = self._sql.one("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
        return 0 if row is None else int(row[0])

    def oldest(self) -> int:
        """The lowest number from which on every event is kept; 0 when nothing is."""
        row = self._sql.one("SELECT min(seq) FROM events WHERE seq > ?", self._pruned())
        return 0 if row is None or row[0] is None else int(row[0])

    def _pruned(self) -> int:
        return int(MetaReads(self._sql).get(_PRUNED) or 0)


class Events(EventReads):
    """Events in a transaction."""

    __slots__ = ("_now", "_write")

    def __init__(self, sql: Connection, now: datetime) -> None:
        super().__init__(sql)
        self._write = sql
        self._now = now

    def append(self, event: "HelperEvent") -> Recorded:
        """Number and record ``event``. What came from an agent and is no valid Unicode is replaced."""
        # Read anew each time: the number goes back with a savepoint, so no rollback leaves a gap.
        seq = self.newest() + 1
        text = envelope(seq, self._now, event)
        if "\\ud" in text:
            event = _cleaned(event)
            text = envelope(seq, self._now, event)
        self._write.run(
            "INSERT INTO events (seq, ts, kind, agent, text) VALUES (?, ?, ?, ?, ?)",
            *(seq, to_micros(self._now), event.kind, event.agent, text),
        )
        return Recorded(seq=seq, ts=self._now, kind=event.kind, agent=event.agent, text=text)

    def append_told(self, told: Sequence[Told]) -> list[Recorded]:
        """Number and record many events whose own fields are JSON already."""
        seq, at, micros = self.newest(), stamp(self._now), to_micros(self._now)
        recorded = [
            Recorded(number, self._now, kind, agent, told_text(number, at, kind, agent, fields))
            for number, (kind, agent, fields) in enumerate(told, seq + 1)
        ]
        self._write.insert(
            "INSERT INTO events (seq, ts, kind, agent, text)",
            [(event.seq, micros, event.kind, event.agent, event.text) for event in recorded],
        )
        return recorded

    def prune(self, keep: int, decisions: int = 0, limit: int = _ALL) -> int:
        """Delete all but the newest ``keep`` events; how many that were. Numbers are never used again.

        Args:
            decisions: of so many of the newest events, ``DECISIONS`` stay all the same.
            limit: look at the oldest so many at most.
        """
        newest, pruned = self.newest(), self._pruned()
        upto = min(newest - keep, pruned + limit)
        # What stayed below what was pruned before is old decisions only: it is not looked through again.
        gone = self._write.run(
            f"DELETE FROM events WHERE seq > ? AND seq <= ? AND NOT ({_DECISIVE} AND seq > ?)",
            *(pruned, upto, newest - decisions),
        ).rowcount
        gone += self._write.run(
            f"DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE {_DECISIVE} AND seq <= ? LIMIT ?)",
            *(min(upto, newest - decisions), limit),
        ).rowcount
        if upto > pruned:
            Meta(self._write).set(_PRUNED, str(upto))
        return gone

    def beyond(self, keep: int) -> int:
        """How many events older than the newest ``keep`` are still to be pruned."""
        return max(0, self.newest() - keep - self._pruned())


def _of_kinds(kinds: frozenset[str] | None) -> tuple[str, tuple[str, ...]]:
    """The condition, and its parameters. One for decisions alone is spelt as their index is."""
    if kinds is None:
        return "", ()
    marks = ", ".join("?" * len(kinds))
    decisive = f"AND {_DECISIVE} " if kinds <= DECISIONS else ""
    return f"{decisive}AND kind IN ({marks})", tuple(sorted(kinds))


def _cleaned(event: "HelperEvent") -> "HelperEvent":
    fields: dict[str, Any] = {
        name: clean(value)
        for name, value in event
        if isinstance(value, str) and _SURROGATE.search(value) is not None
    }
    return event.model_copy(update=fields)


def _recorded(row: Row) -> Recorded:
    seq, ts, kind, agent, text = row
    return Recorded(seq=seq, ts=from_micros(ts), kind=kind, agent=agent, text=text)
