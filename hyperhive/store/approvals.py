"""Approvals: changes that wait for the operator, decided once, built once."""

from collections.abc import Sequence
from datetime import datetime

from hyperhive.domain.approvals import APPROVED, Kind, State, advance
from hyperhive.domain.views import ApprovalView
from hyperhive.errors import Unknown
from hyperhive.store.sql import Connection, Reading, Row, from_micros, moment_of, to_micros

MAX_THREAD = 100
"""Approvals of one thread that are read."""

_COLUMNS = (
    "id, kind, agent, requested_by, requested, state, sha, summary, description, thread, base, deadline,"
    " files, added, removed, note, decided_by, decided, decided_where, outcome"
)
_MAX_TOLD = 20
_APPROVED = "({})".format(", ".join(f"'{state}'" for state in sorted(APPROVED)))


class ApprovalReads:
    """Reads of approvals."""

    __slots__ = ("_sql",)

    def __init__(self, sql: Reading) -> None:
        self._sql = sql

    def get(self, id: int) -> ApprovalView | None:
        """The approval with that id."""
        row = self._sql.one(f"SELECT {_COLUMNS} FROM approvals WHERE id = ?", id)
        return None if row is None else _view(row)

    def known(self, id: int) -> ApprovalView:
        """The approval with that id.

        Raises:
            Unknown: there is none; says which wait.
        """
        approval = self.get(id)
        if approval is None:
            waits = [str(view.id) for view in self.pending()]
            told = ", ".join(waits[:_MAX_TOLD]) + (", …" if len(waits) > _MAX_TOLD else "")
            raise Unknown(
                f"There is no approval {id}; " + (f"what waits: {told}." if waits else "none waits."),
                code="unknown-approval",
            )
        return approval

    def pending(self) -> list[ApprovalView]:
        """All that wait, oldest first."""
        rows = self._sql.all(
            f"SELECT {_COLUMNS} FROM approvals INDEXED BY approvals_pending WHERE state = 'pending' ORDER BY id"
        )
        return _views(rows)

    def pending_for(self, agent: str) -> list[ApprovalView]:
        """Those about ``agent`` that wait, oldest first."""
        rows = self._sql.all(
            f"SELECT {_COLUMNS} FROM approvals WHERE agent = ? AND state = 'pending' ORDER BY id", agent
        )
        return _views(rows)

    def unended_for(self, agent: str) -> list[ApprovalView]:
        """Those about ``agent`` that were approved and are not built yet, oldest first."""
        rows = self._sql.all(
            f"SELECT {_COLUMNS} FROM approvals WHERE agent = ? AND state IN ('approved', 'building') ORDER BY id",
            agent,
        )
        return _views(rows)

    def to_build(self, agent: str) -> ApprovalView | None:
        """The approval that ``agent`` is to be built from next: the oldest that is approved or building."""
        return next(iter(self.unended_for(agent)), None)

    def thread(self, id: int) -> list[ApprovalView]:
        """The approval with that id and the others of its thread, oldest first; empty: there is none.

        Of a long thread only the newest ``MAX_THREAD``, and the one that is asked for.
        """
        rows = self._sql.all(
            f"SELECT {_COLUMNS} FROM approvals WHERE id = ?1 OR id IN (SELECT id FROM approvals"
            f" WHERE thread = (SELECT thread FROM approvals WHERE id = ?1) ORDER BY id DESC LIMIT {MAX_THREAD})"
            " ORDER BY id",
            id,
        )
        return _views(rows)

    def decided(self, before: int | None, limit: int) -> list[ApprovalView]:
        """Those that do not wait any more, newest first, with ids below ``before``."""
        rows = self._sql.all(
            f"SELECT {_COLUMNS} FROM approvals WHERE id < ? AND state <> 'pending' ORDER BY id DESC LIMIT ?",
            *(2**62 if before is None else before, limit),
        )
        return _views(rows)

    def last_of(self, agent: str, *, before: int | None = None) -> ApprovalView | None:
        """The newest about ``agent``, whatever became of it, with an id below ``before``."""
        row = self._sql.one(
            f"SELECT {_COLUMNS} FROM approvals WHERE agent = ? AND id < ? ORDER BY id DESC LIMIT 1",
            *(agent, 2**62 if before is None else before),
        )
        return None if row is None else _view(row)

    def last_approved(self, agent: str, *, before: int | None = None) -> ApprovalView | None:
        """The newest about ``agent`` that was approved, whatever its build came to, with an id below ``before``."""
        row = self._sql.one(
            f"SELECT {_COLUMNS} FROM approvals WHERE agent = ? AND id < ? AND state IN {_APPROVED}"
            " ORDER BY id DESC LIMIT 1",
            *(agent, 2**62 if before is None else before),
        )
        return None if row is None else _view(row)

    def due(self, now: datetime) -> list[ApprovalView]:
        """Pending ones whose deadline has come by ``now``, earliest first."""
        rows = self._sql.all(
            f"SELECT {_COLUMNS} FROM approvals WHERE state = 'pending' AND deadline <= ? ORDER BY deadline, id",
            to_micros(now),
        )
        return _views(rows)

    def next_deadline(self) -> datetime | None:
        """The earliest deadline of a pending one."""
        row = self._sql.one(
            "SELECT min(deadline) FROM approvals WHERE state = 'pending' AND deadline IS NOT NULL"
        )
        return None if row is None else moment_of(row[0])


class Approvals(ApprovalReads):
    """Approvals in a transaction."""

    __slots__ = ("_now", "_write")

    def __init__(self, sql: Connection, now: datetime) -> None:
        super().__init__(sql)
        self._write = sql
        self._now = now

    def insert(
        self,
        kind: Kind,
        agent: str,
        requested_by: str,
        *,
        sha: str | None = None,
        summary: str = "",
        description: str = "",
        thread: int | None = None,
        base: str | None = None,
        deadline: datetime | None = None,
        files: int = 0,
        added: int = 0,
        removed: int = 0,
    ) -> ApprovalView:
        """A new pending approval. ``thread``: whose thread it continues; ``None``: it begins one."""
        cursor = self._write.run(
            "INSERT INTO approvals (kind, agent, requested_by, requested, sha, summary, description, thread,"
            " base, deadline, files, added, removed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(kind.value, agent, requested_by, to_micros(self._now), sha, summary, description, thread or 0),
            *(base, None if deadline is None else to_micros(deadline), files, added, removed),
        )
        id = cursor.lastrowid
        assert id is not None
        if thread is None:
            self._write.run("UPDATE approvals SET thread = ? WHERE id = ?", id, id)
        return self.known(id)

    def step(
        self,
        id: int,
        to: State,
        *,
        by: str | None = None,
        where: str = "",
        note: str | None = None,
        outcome: str = "",
        sha: str | None = None,
    ) -> ApprovalView:
        """Bring an approval to its next state.

        Args:
            by, where, note: of the decision; what comes after it leaves them as they are.
            outcome: why it failed.
            sha: the commit it came to, where that was not known before.

        Raises:
            Refused: it cannot become that, see ``domain.approvals.advance``.
            Unknown: there is no such approval.
        """
        view = self.known(id)
        advance(id, view.state, to, by=view.by, when=view.decided)
        if view.state is State.PENDING:
            self._write.run(
                "UPDATE approvals SET decided_by = ?, decided = ?, decided_where = ?, note = ? WHERE id = ?",
                *(by, to_micros(self._now), where, note or "", id),
            )
        self._write.run(
            "UPDATE approvals SET state = ?, outcome = ?, sha = coalesce(?, sha) WHERE id = ?",
            *(to.value, outcome, sha, id),
        )
        return self.known(id)

    def prune(self, keep: int, limit: int = -1) -> int:
        """Delete ended approvals older than the newest ``keep``, ``limit`` at most; how many that were."""
        cursor = self._write.run(
            "DELETE FROM approvals WHERE id IN (SELECT id FROM approvals"
            " WHERE id <= (SELECT max(id) FROM approvals) - ?"
            " AND state NOT IN ('pending', 'approved', 'building') ORDER BY id LIMIT ?)",
            *(keep, limit),
        )
        return cursor.rowcount


def _views(rows: Sequence[Row]) -> list[ApprovalView]:
    return [_view(row) for row in rows]


def _view(row: Row) -> ApprovalView:
    (id, kind, agent, requested_by, requested, state, sha, summary, description, thread, *rest) = row
    base, deadline, files, added, removed, note, by, decided, where, outcome = rest
    return ApprovalView(
        id=id,
        kind=Kind(kind),
        agent=agent,
        requested_by=requested_by,
        requested=from_micros(requested),
        state=State(state),
        sha=sha,
        summary=summary,
        description=description,
        thread=thread,
        base=base,
        deadline=moment_of(deadline),
        files=files,
        added=added,
        removed=removed,
        note=note,
        by=by,
        decided=moment_of(decided),
        where=where,
        outcome=outcome,
    )
