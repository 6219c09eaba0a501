"""Generations: what was built for an agent when, and from what. Rows are bounded; folders are the builder's."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from hyperhive.domain.views import GenerationView
from hyperhive.store.sql import Connection, Reading, Row, from_micros, to_micros

MAX_GENERATIONS = 200
"""Rows kept of one agent."""

_COLUMNS = "agent, number, made, made_by, revision, git_commit, summary, config, model, warnings, approval"


class GenerationRow(NamedTuple):
    """One generation as it is recorded.

    Args:
        config: the text of its ``agent.toml``.
        warnings: what of its config does not hold, one sentence each.
        approval: which one led to it.
    """

    agent: str
    number: int
    made: datetime
    by: str
    revision: str
    commit: str
    summary: str
    config: str
    model: str
    warnings: tuple[str, ...]
    approval: int | None


class GenerationReads:
    """Reads of generations."""

    __slots__ = ("_sql",)

    def __init__(self, sql: Reading) -> None:
        self._sql = sql

    def of(self, agent: str) -> list[GenerationView]:
        """An agent's generations, newest first. ``here`` is for the caller to fill."""
        rows = self._sql.all(
            "SELECT number, git_commit, revision, summary, made, made_by, approval,"
            " number = (SELECT generation FROM agents WHERE name = ?1 AND ended IS NULL)"
            " FROM generations WHERE agent = ?1 ORDER BY number DESC",
            agent,
        )
        return [
            GenerationView(
                number=number,
                commit=commit,
                revision=revision,
                summary=summary,
                made=from_micros(made),
                by=by,
                approval=approval,
                current=bool(current),
            )
            for number, commit, revision, summary, made, by, approval, current in rows
        ]

    def get(self, agent: str, number: int) -> GenerationRow | None:
        """One generation of an agent."""
        row = self._sql.one(
            f"SELECT {_COLUMNS} FROM generations WHERE agent = ? AND number = ?", agent, number
        )
        return None if row is None else _row(row)


class Generations(GenerationReads):
    """Generations in a transaction."""

    __slots__ = ("_now", "_write")

    def __init__(self, sql: Connection, now: datetime) -> None:
        super().__init__(sql)
        self._write = sql
        self._now = now

    def insert(
        self,
        agent: str,
        number: int,
        *,
        by: str,
        revision: str,
        commit: str,
        summary: str = "",
        config: str,
        model: str,
        warnings: Sequence[str] = (),
        approval: int | None = None,
    ) -> GenerationRow:
        """Record a generation; one of that number is replaced. Rows beyond ``MAX_GENERATIONS`` go, oldest first."""
        self._write.run(
            f"INSERT OR REPLACE INTO generations ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(agent, number, to_micros(self._now), by, revision, commit, summary, config, model),
            *(json.dumps(list(warnings)), approval),
        )
        self._write.run(
            "DELETE FROM generations WHERE agent = ?1 AND number <= (SELECT number FROM generations"
            f" WHERE agent = ?1 ORDER BY number DESC LIMIT 1 OFFSET {MAX_GENERATIONS})",
            agent,
        )
        row = self.get(agent, number)
        assert row is not None
        return row

    def forget(self, agent: str) -> None:
        """Delete all rows of an agent."""
        self._write.run("DELETE FROM generations WHERE agent = ?", agent)


def _row(row: Row) -> GenerationRow:
    agent, number, made, by, revision, commit, summary, config, model, warnings, approval = row
    return GenerationRow(
        agent=agent,
        number=number,
        made=from_micros(made),
        by=by,
        revision=revision,
        commit=commit,
        summary=summary,
        config=config,
        model=model,
        warnings=tuple(json.loads(warnings)),
        approval=approval,
    )
