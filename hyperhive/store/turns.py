"""Turns and what happened in them: a row a turn for good, its events within bounds."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from math import isfinite
from typing import Any

from hyperhive.domain.recorded import stamp
from hyperhive.domain.turns import MAX_AGENT_BYTES, MAX_TURNS_KEPT, Outcome, TurnItem, TurnUsage
from hyperhive.errors import Refused
from hyperhive.store.agents import box_of, last_box_of, live_box_of
from hyperhive.store.items import Tally, as_item, as_row, elision
from hyperhive.store.sql import Connection, Reading, Row, from_micros, to_micros

STATS_PAGE = 500
"""Rows of a series that are read at once."""

_STATS = (
    *("agent", "id", "started", "ended", "outcome", "input_tokens", "output_tokens", "cache_read_tokens"),
    *("cache_write_tokens", "cost_usd", "duration_ms"),
)


class TurnReads:
    """Reads of turns."""

    __slots__ = ("_sql",)

    def __init__(self, sql: Reading) -> None:
        self._sql = sql

    def open(self, agent: str) -> int | None:
        """The turn that ``agent`` is in."""
        box = box_of(self._sql, agent)
        row = self._sql.one("SELECT id FROM turns WHERE box = ? AND ended IS NULL", box)
        return None if row is None else int(row[0])

    def sender(self, turn: int) -> str | None:
        """Who woke the agent for ``turn``; ``None`` when there is no such turn."""
        row = self._sql.one("SELECT sender FROM turns WHERE id = ?", turn)
        return None if row is None else str(row[0])

    def items(self, agent: str, *, after: int, limit: int) -> list[TurnItem]:
        """Turn events behind id ``after``, oldest first; ``after`` 0: the last ``limit``."""
        order = "DESC" if after <= 0 else "ASC"
        rows = self._sql.all(
            "SELECT id, turn, ts, type, text, data FROM turn_items WHERE box = ? AND id > ?"
            f" ORDER BY id {order} LIMIT ?",
            *(box_of(self._sql, agent), after, limit),
        )
        return [self._counted(as_item(row)) for row in (reversed(rows) if after <= 0 else rows)]

    def _counted(self, item: TurnItem) -> TurnItem:
        """``item``; where it stands for elided ones, with their number as of now."""
        if item.type != "elided":
            return item
        row = self._sql.one("SELECT elided FROM turns WHERE id = ?", item.turn)
        return item if row is None else elision(item, int(row[0]))

    def stats(self, since: datetime, agent: str | None, *, before: int | None = None) -> list[dict[str, Any]]:
        """A page of turns that ended at or after ``since``, the newest of them, oldest first, one row each.

        Args:
            before: the first turn of the page that was read last; only what ended ahead of it. ``None``: all.
        """
        whose = "" if agent is None else "AND agent = ?"
        ahead = "" if before is None else "AND (ended, id) < (SELECT ended, id FROM turns WHERE id = ?)"
        rows = self._sql.all(
            f"SELECT {', '.join(_STATS)} FROM turns WHERE ended >= ? {whose} {ahead}"
            f" ORDER BY ended DESC, id DESC LIMIT {STATS_PAGE}",
            *(to_micros(since), *(each for each in (agent, before) if each is not None)),
        )
        return [_stat(dict(zip(_STATS, row, strict=True))) for row in reversed(rows)]


class Turns(TurnReads):
    """Turns in a transaction."""

    __slots__ = ("_now", "_write")

    def __init__(self, sql: Connection, now: datetime) -> None:
        super().__init__(sql)
        self._write = sql
        self._now = now

    def begin(self, agent: str, sender: str) -> int:
        """A new turn of ``agent``. Events go of its oldest turns beyond ``MAX_TURNS_KEPT`` or ``MAX_AGENT_BYTES``.

        Raises:
            Refused: when a turn of it is open already.
            Unknown: when there is no such agent.
        """
        box = live_box_of(self._sql, agent)
        if self.open(agent) is not None:
            raise Refused(f"'{agent}' is in a turn already; wait until it ends.", code="turn-open")
        self._forget_items(box, keep=MAX_TURNS_KEPT - 1, max_bytes=MAX_AGENT_BYTES)
        cursor = self._write.run(
            "INSERT INTO turns (box, agent, sender, started) VALUES (?, ?, ?, ?)",
            *(box, agent, sender, to_micros(self._now)),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def end(self, turn: int, *, outcome: Outcome, note: str, usage: TurnUsage) -> None:
        """Close ``turn``. One that is closed already stays as it is: reports of harnesses come twice."""
        self._write.run(
            "UPDATE turns SET ended = ?, outcome = ?, note = ?, input_tokens = ?, output_tokens = ?,"
            " cache_read_tokens = ?, cache_write_tokens = ?, cost_usd = ?, duration_ms = ?"
            " WHERE id = ? AND ended IS NULL",
            *(to_micros(self._now), outcome.value, note, usage.input_tokens, usage.output_tokens),
            *(usage.cache_read_tokens, usage.cache_write_tokens),
            *(usage.cost_usd if isfinite(usage.cost_usd) else 0.0, usage.duration_ms, turn),
        )

    def add_items(self, agent: str, items: Sequence[TurnItem]) -> list[TurnItem]:
        """Store turn events of ``agent``; those of turns that are not its own or no longer kept are dropped.

        Text is cut at ``MAX_ITEM``. Beyond a turn's bounds one ``elided`` item marks the rest.

        Returns:
            What was stored, with ids that ascend over the whole hive.
        """
        box = box_of(self._sql, agent)
        tallies: dict[int, Tally | None] = {}
        stored: list[TurnItem] = []
        for item in items:
            if item.turn not in tallies:
                tallies[item.turn] = self._tally(box, item.turn)
            tally = tallies[item.turn]
            if tally is None or box is None:
                continue
            kept = tally.admit(item)
            if kept is not None:
                stored.append(self._insert(box, kept))
        for turn, tally in tallies.items():
            if tally is not None:
                self._write.run(
                    "UPDATE turns SET items = ?, bytes = ?, elided = ? WHERE id = ?",
                    *(tally.items, tally.bytes, tally.elided, turn),
                )
        return stored

    def drop(self, agent: str) -> None:
        """Delete the events of the newest incarnation of ``agent``; its open turn is lost."""
        box = last_box_of(self._sql, agent)
        if box is None:
            return
        self._write.run(
            "UPDATE turns SET ended = ?, outcome = ? WHERE box = ? AND ended IS NULL",
            *(to_micros(self._now), Outcome.LOST.value, box),
        )
        self._forget_items(box, keep=0, max_bytes=0)

    def prune(self, keep: int, limit: int = -1) -> int:
        """Delete finished turns older than the hive's newest ``keep``, with their events; their number.

        Args:
            limit: the oldest so many at most; negative: all.
        """
        cursor = self._write.run(
            "DELETE FROM turns WHERE id IN (SELECT id FROM turns"
            " WHERE id <= (SELECT max(id) FROM turns) - ? AND ended IS NOT NULL ORDER BY id LIMIT ?)",
            *(keep, limit),
        )
        return cursor.rowcount

    def prune_items(self, limit: int) -> int:
        """Delete the events of the hive's oldest finished turns that have any, ``limit`` at most; their number."""
        rows = self._sql.all(
            "SELECT id FROM turns WHERE kept = 1 AND ended IS NOT NULL ORDER BY id LIMIT ?", limit
        )
        self._forget(rows)
        return len(rows)

    def _tally(self, box: int | None, turn: int) -> Tally | None:
        row = self._sql.one(
            "SELECT items, bytes, elided FROM turns WHERE id = ? AND box = ? AND kept = 1", turn, box
        )
        return None if row is None else Tally(*row)

    def _insert(self, box: int, item: TurnItem) -> TurnItem:
        cursor = self._write.run(
            "INSERT INTO turn_items (box, turn, ts, type, text, data) VALUES (?, ?, ?, ?, ?, ?)",
            *(box, *as_row(item)),
        )
        assert cursor.lastrowid is not None
        return replace(item, id=cursor.lastrowid)

    def _forget_items(self, box: int, *, keep: int, max_bytes: int) -> None:
        # kept marks the turns that still have events, so that only those are looked at.
        self._forget(
            self._sql.all(
                "SELECT id FROM (SELECT id, row_number() OVER newest AS number, sum(bytes) OVER newest AS size"
                " FROM turns WHERE box = ? AND kept = 1 WINDOW newest AS (ORDER BY id DESC))"
                " WHERE number > ? OR size > ?",
                *(box, keep, max_bytes),
            )
        )

    def _forget(self, turns: Sequence[Row]) -> None:
        for (turn,) in turns:
            self._write.run("DELETE FROM turn_items WHERE turn = ?", turn)
            self._write.run("UPDATE turns SET kept = 0 WHERE id = ?", turn)


def _stat(row: dict[str, Any]) -> dict[str, Any]:
    """The row of a series: moments as RFC 3339, and whether the turn ended well."""
    agent, turn, started, ended, outcome = (row.pop(key) for key in _STATS[:5])
    return {
        "agent": agent,
        "turn": turn,
        "started": stamp(from_micros(started)),
        "ended": stamp(from_micros(ended)),
        "ok": outcome == Outcome.DONE.value,
        "outcome": outcome,
        **row,
    }
