"""Agents: one row an incarnation, and the names whose folders were kept."""

import json
import sys
from datetime import datetime
from typing import Any

from hyperhive.domain.axes import Axes, Container, Login, Revision, Transient
from hyperhive.domain.names import OPERATOR
from hyperhive.domain.records import AgentRecord, Handle, Intended, Ordered
from hyperhive.domain.views import KeptView
from hyperhive.errors import Gone, Refused, Unknown
from hyperhive.store.sql import Connection, Param, Reading, Row, from_micros, moment_of, to_micros

OPERATORS_BOX = 0

_LAST = (
    *("generation", "built_revision", "built_config", "model"),
    *("rejected_login", "session", "acked_boot", "acked_n", "built_commit", "transient_generation"),
)
"""Columns that are fields as they stand; the last ones of a row but two lists."""

_COLUMNS = (
    "id, name, role, created, since, intended, container, login, revision, boot, transient, transient_since,"
    " transient_by, purge, parked_until, paused, quarantined, last_error,"
    " handle_runtime, handle_pid, handle_start, handle_boot,"
    " generation, built_revision, built_config, model, rejected_login, session, acked_boot, acked_n,"
    " built_commit, transient_generation, warnings, queued"
)
_SAVED = _COLUMNS.removeprefix("id, name, role, created, ")
_SAVE = (
    f"UPDATE agents SET {', '.join(f'{column.strip()} = ?' for column in _SAVED.split(','))}"
    " WHERE id = ? AND ended IS NULL"
)


def box_of(sql: Reading, name: str) -> int | None:
    """Where mail to ``name`` goes now: an incarnation, 0 for the operator, ``None``: nowhere."""
    if name == OPERATOR:
        return OPERATORS_BOX
    row = sql.one("SELECT id FROM agents WHERE name = ? AND ended IS NULL", name)
    return None if row is None else int(row[0])


def last_box_of(sql: Reading, name: str) -> int | None:
    """The newest incarnation that had ``name``, living or ended."""
    row = sql.one("SELECT max(id) FROM agents WHERE name = ?", name)
    return None if row is None else row[0]


def live_box_of(sql: Reading, name: str) -> int:
    """The incarnation of the living agent called ``name``.

    Raises:
        Unknown: when there is none.
    """
    box = box_of(sql, name)
    if box is None:
        raise Unknown(f"There is no agent called '{name}'; spawn it first.", code="unknown-agent")
    return box


class AgentReads:
    """Reads of agents."""

    __slots__ = ("_sql",)

    def __init__(self, sql: Reading) -> None:
        self._sql = sql

    def get(self, name: str) -> AgentRecord | None:
        """The living agent of that name."""
        row = self._sql.one(f"SELECT {_COLUMNS} FROM agents WHERE name = ? AND ended IS NULL", name)
        return None if row is None else _record(row)

    def all(self) -> list[AgentRecord]:
        """All living agents, by name."""
        rows = self._sql.all(f"SELECT {_COLUMNS} FROM agents WHERE ended IS NULL ORDER BY name")
        return [_record(row) for row in rows]

    def kept(self) -> list[KeptView]:
        """Destroyed agents whose folders were kept, by name. ``logged_in`` is for the caller to fill."""
        rows = self._sql.all("SELECT name, since, size FROM kept ORDER BY name")
        return [KeptView(name=name, since=from_micros(since), size=size) for name, since, size in rows]

    def kept_since(self, name: str) -> datetime | None:
        """Since when the folders of ``name`` are kept; ``None``: they are not."""
        row = self._sql.one("SELECT since FROM kept WHERE name = ?", name)
        return None if row is None else from_micros(row[0])


class Agents(AgentReads):
    """Agents in a transaction."""

    __slots__ = ("_now", "_write")

    def __init__(self, sql: Connection, now: datetime) -> None:
        super().__init__(sql)
        self._write = sql
        self._now = now

    def insert(self, name: str, role: str, intended: Intended) -> AgentRecord:
        """A new incarnation of ``name``, which is no longer among the kept.

        Raises:
            Refused: when the name is taken.
        """
        if box_of(self._sql, name) is not None:
            raise Refused(f"'{name}' exists already; choose another name.", code="name-taken")
        moment = to_micros(self._now)
        self._write.run(
            "INSERT INTO agents (name, role, created, since, intended) VALUES (?, ?, ?, ?, ?)",
            *(name, role, moment, moment, intended.value),
        )
        self.forget(name)
        record = self.get(name)
        assert record is not None
        return record

    def save(self, record: AgentRecord) -> None:
        """Store all that can change of an agent.

        Raises:
            Gone: when that incarnation was destroyed.
        """
        if self._write.run(_SAVE, *_values(record), record.id).rowcount != 1:
            raise Gone(f"'{record.name}' was destroyed; nothing was recorded.", code="agent-gone")

    def remove(self, name: str, keep: bool, size: int | None = None) -> None:
        """End the agent; with ``keep`` its name is listed among the kept.

        Args:
            size: bytes in its folders, where that was measured.

        Raises:
            Unknown: when there is none of that name.
        """
        box = live_box_of(self._sql, name)
        moment = to_micros(self._now)
        self._write.run("UPDATE agents SET ended = ? WHERE id = ?", moment, box)
        if keep:
            self.keep(name, self._now, size)

    def keep(self, name: str, since: datetime, size: int | None) -> None:
        """List ``name`` among the kept."""
        self._write.run(
            "INSERT OR REPLACE INTO kept (name, since, size) VALUES (?, ?, ?)", name, to_micros(since), size
        )

    def prune(self, keep: int, limit: int = -1) -> int:
        """Delete incarnations that ended and are named by nothing, older than the newest ``keep``; their number.

        Args:
            limit: the oldest so many at most; negative: all.
        """
        cursor = self._write.run(
            "DELETE FROM agents WHERE id IN (SELECT id FROM agents"
            " WHERE id <= (SELECT max(id) FROM agents) - ? AND ended IS NOT NULL AND id NOT IN"
            " (SELECT box FROM turns UNION SELECT box FROM questions UNION SELECT box FROM messages)"
            " ORDER BY id LIMIT ?)",
            *(keep, limit),
        )
        return cursor.rowcount

    def forget(self, name: str) -> None:
        """Take ``name`` off the kept."""
        self._write.run("DELETE FROM kept WHERE name = ?", name)


def _record(row: Row) -> AgentRecord:
    (id, name, role, created, since, intended, container, login, revision, boot, *rest) = row
    (
        transient,
        transient_since,
        transient_by,
        purge,
        parked_until,
        paused,
        quarantined,
        last_error,
        *rest,
    ) = rest
    (runtime, pid, start, handle_boot, *last, warnings, queued) = rest
    return AgentRecord(
        id=id,
        name=name,
        role=role,
        created=from_micros(created),
        since=from_micros(since),
        intended=Intended(intended),
        axes=_axes(container, login, revision, boot),
        transient=None if transient is None else Transient(transient),
        transient_since=moment_of(transient_since),
        transient_by=transient_by,
        purge=bool(purge),
        parked_until=moment_of(parked_until),
        paused=bool(paused),
        quarantined=quarantined,
        last_error=last_error,
        handle=None if runtime is None else Handle(sys.intern(runtime), pid, start, sys.intern(handle_boot)),
        warnings=tuple(json.loads(warnings)),
        queued=tuple(Ordered(Transient(kind), *more) for kind, *more in json.loads(queued)),
        **dict(zip(_LAST, map(_shared, last), strict=True)),
    )


def _shared(value: Any) -> Any:
    """The value; a text that many agents have in common, as a config or a revision, is held once."""
    return sys.intern(value) if isinstance(value, str) else value


def _axes(container: str | None, login: str | None, revision: str | None, boot: str | None) -> Axes:
    return Axes(
        container=None if container is None else Container(container),
        login=None if login is None else Login(login),
        revision=None if revision is None else Revision(revision),
        boot=None if boot is None else sys.intern(boot),
    )


def _values(record: AgentRecord) -> tuple[Param, ...]:
    axes, handle = record.axes, record.handle
    since, parked = record.transient_since, record.parked_until
    return (
        to_micros(record.since),
        record.intended.value,
        *(axes.container, axes.login, axes.revision, axes.boot),
        *(record.transient, None if since is None else to_micros(since), record.transient_by),
        *(int(record.purge), None if parked is None else to_micros(parked)),
        *(int(record.paused), record.quarantined, record.last_error),
        *((None,) * 4 if handle is None else (handle.runtime, handle.pid, handle.start_ticks, handle.boot)),
        *(record.generation, record.built_revision, record.built_config, record.model),
        *(record.rejected_login, record.session, record.acked_boot, record.acked_n),
        *(record.built_commit, record.transient_generation, json.dumps(record.warnings)),
        json.dumps([(each.kind.value, each.by, each.purge, each.generation) for each in record.queued]),
    )
