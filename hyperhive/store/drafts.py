"""Drafts: agents that are being thought out, until an approval takes them up or they are discarded."""

from datetime import datetime

from hyperhive.domain.views import DraftView
from hyperhive.errors import Refused, Unknown
from hyperhive.store.sql import Connection, Reading, Row, from_micros, to_micros

_COLUMNS = "name, created, made_by, size, kept"


class DraftReads:
    """Reads of drafts."""

    __slots__ = ("_sql",)

    def __init__(self, sql: Reading) -> None:
        self._sql = sql

    def get(self, name: str) -> DraftView | None:
        """The draft of that name."""
        row = self._sql.one(f"SELECT {_COLUMNS} FROM drafts WHERE name = ?", name)
        return None if row is None else _view(row)

    def all(self) -> list[DraftView]:
        """All drafts, by name."""
        return [_view(row) for row in self._sql.all(f"SELECT {_COLUMNS} FROM drafts ORDER BY name")]

    def kept_since(self, name: str) -> datetime | None:
        """Since when the draft's folders had been kept before it; ``None``: they had not."""
        row = self._sql.one("SELECT kept FROM drafts WHERE name = ?", name)
        return None if row is None or row[0] is None else from_micros(row[0])


class Drafts(DraftReads):
    """Drafts in a transaction."""

    __slots__ = ("_now", "_write")

    def __init__(self, sql: Connection, now: datetime) -> None:
        super().__init__(sql)
        self._write = sql
        self._now = now

    def insert(self, name: str, by: str, *, kept: bool) -> DraftView:
        """A new draft; with ``kept`` it takes up the folders that were kept under its name.

        Raises:
            Refused: there is one of that name.
        """
        if self.get(name) is not None:
            raise Refused(f"There is a draft '{name}' already.", code="draft-exists")
        row = self._sql.one("SELECT since FROM kept WHERE name = ?", name) if kept else None
        self._write.run(
            "INSERT INTO drafts (name, created, made_by, kept) VALUES (?, ?, ?, ?)",
            *(name, to_micros(self._now), by, None if row is None else row[0]),
        )
        if kept:
            self._write.run("DELETE FROM kept WHERE name = ?", name)
        return self._known(name)

    def remove(self, name: str) -> DraftView:
        """Take the draft away; one that was an agent once is among the kept again.

        Raises:
            Unknown: there is none of that name.
        """
        view = self._known(name)
        self._write.run(
            "INSERT OR REPLACE INTO kept (name, since, size)"
            " SELECT name, kept, size FROM drafts WHERE name = ? AND kept IS NOT NULL",
            name,
        )
        self._write.run("DELETE FROM drafts WHERE name = ?", name)
        return view

    def measure(self, name: str, size: int) -> None:
        """Note how many bytes its folders hold."""
        self._write.run("UPDATE drafts SET size = ? WHERE name = ?", size, name)

    def take_up(self, name: str, approval: int) -> None:
        """The draft becomes an agent by that approval; what it was is noted there, to come back to.

        Raises:
            Unknown: there is none of that name.
        """
        self._known(name)
        self._write.run(
            "UPDATE approvals SET (draft_created, draft_by, draft_size, draft_kept) ="
            " (SELECT created, made_by, size, kept FROM drafts WHERE name = ?) WHERE id = ?",
            *(name, approval),
        )
        self._write.run("DELETE FROM drafts WHERE name = ?", name)

    def give_back(self, approval: int) -> DraftView | None:
        """The draft that the approval took up is one again; ``None``: it took up none."""
        row = self._sql.one(
            "SELECT agent FROM approvals WHERE id = ? AND draft_created IS NOT NULL", approval
        )
        if row is None:
            return None
        self._write.run(
            "INSERT OR REPLACE INTO drafts (name, created, made_by, size, kept)"
            " SELECT agent, draft_created, draft_by, draft_size, draft_kept FROM approvals WHERE id = ?",
            approval,
        )
        return self._known(row[0])

    def _known(self, name: str) -> DraftView:
        draft = self.get(name)
        if draft is None:
            known = ", ".join(draft.name for draft in self.all()) or "none"
            raise Unknown(f"There is no draft '{name}'; there are: {known}.", code="unknown-draft")
        return draft


def _view(row: Row) -> DraftView:
    name, created, by, size, kept = row
    return DraftView(name=name, created=from_micros(created), by=by, size=size, kept=kept is not None)
