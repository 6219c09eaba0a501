"""Approvals: changes that wait for the operator, decided once."""

from datetime import datetime
from typing import Literal

from hyperhive.domain.views import ApprovalView
from hyperhive.errors import Refused, Unknown
from hyperhive.store.sql import Connection, Reading, Row, from_micros, to_micros

_COLUMNS = "id, kind, agent, requested_by, requested, state, note, decided_by"


class ApprovalReads:
    """Reads of approvals."""

    __slots__ = ("_sql",)

    def __init__(self, sql: Reading) -> None:
        self._sql = sql

    def get(self, id: int) -> ApprovalView | None:
        """The approval with that id."""
        row = self._sql.one(f"SELECT {_COLUMNS} FROM approvals WHERE id = ?", id)
        return None if row is None else _view(row)

    def pending(self) -> list[ApprovalView]:
        """All that wait, oldest first."""
        rows = self._sql.all(
            f"SELECT {_COLUMNS} FROM approvals INDEXED BY approvals_pending WHERE state = 'pending' ORDER BY id"
        )
        return [_view(row) for row in rows]

    def pending_for(self, agent: str) -> list[ApprovalView]:
        """Those about ``agent`` that wait, oldest first."""
        rows = self._sql.all(
            f"SELECT {_COLUMNS} FROM approvals WHERE agent = ? AND state = 'pending' ORDER BY id", agent
        )
        return [_view(row) for row in rows]


class Approvals(ApprovalReads):
    """Approvals in a transaction."""

    __slots__ = ("_now", "_write")

    def __init__(self, sql: Connection, now: datetime) -> None:
        super().__init__(sql)
        self._write = sql
        self._now = now

    def insert(self, kind: str, agent: str, requested_by: str) -> ApprovalView:
        """A new pending approval."""
        cursor = self._write.run(
            "INSERT INTO approvals (kind, agent, requested_by, requested) VALUES (?, ?, ?, ?)",
            *(kind, agent, requested_by, to_micros(self._now)),
        )
        assert cursor.lastrowid is not None
        return self._known(cursor.lastrowid)

    def decide(
        self, id: int, *, state: Literal["approved", "denied", "revise", "failed"], note: str, by: str
    ) -> ApprovalView:
        """Decide a pending approval; an approved one may still turn out ``failed``.

        Raises:
            Refused: when it is decided already, naming by whom.
            Unknown: when there is no such approval.
        """
        approval = self._known(id)
        carried_out = approval.state == "approved" and state == "failed"
        if approval.state != "pending" and not carried_out:
            raise Refused(
                f"Approval {id} is decided: {approval.state} by {approval.by}; nothing was changed.",
                code="approval-decided",
            )
        self._write.run(
            "UPDATE approvals SET state = ?, note = ?, decided_by = ?, decided = ? WHERE id = ?",
            *(state, note, by, to_micros(self._now), id),
        )
        return self._known(id)

    def prune(self, keep: int) -> int:
        """Delete decided approvals older than the newest ``keep``; how many that were."""
        cursor = self._write.run(
            "DELETE FROM approvals WHERE id <= (SELECT max(id) FROM approvals) - ? AND state <> 'pending'",
            keep,
        )
        return cursor.rowcount

    def _known(self, id: int) -> ApprovalView:
        approval = self.get(id)
        if approval is None:
            raise Unknown(f"There is no approval {id}; see `hyperhive pending`.", code="unknown-approval")
        return approval


def _view(row: Row) -> ApprovalView:
    id, kind, agent, requested_by, requested, state, note, by = row
    return ApprovalView(
        id=id,
        kind=kind,
        agent=agent,
        requested_by=requested_by,
        requested=from_micros(requested),
        state=state,
        note=note,
        by=by,
    )
