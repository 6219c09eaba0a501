"""Questions to the operator: open until answered, cancelled or expired, and closed once."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from hyperhive.domain.names import SYSTEM
from hyperhive.domain.views import QuestionView
from hyperhive.errors import Refused, Unknown
from hyperhive.store.agents import box_of, last_box_of, live_box_of
from hyperhive.store.sql import Connection, Reading, Row, from_micros, to_micros

_COLUMNS = "id, agent, question, options, multi, asked, deadline, state, answer, closed_by"


class QuestionReads:
    """Reads of questions."""

    __slots__ = ("_sql",)

    def __init__(self, sql: Reading) -> None:
        self._sql = sql

    def get(self, id: int) -> QuestionView | None:
        """The question with that id."""
        row = self._sql.one(f"SELECT {_COLUMNS} FROM questions WHERE id = ?", id)
        return None if row is None else _view(row)

    def open(self) -> list[QuestionView]:
        """All open questions, oldest first."""
        rows = self._sql.all(
            f"SELECT {_COLUMNS} FROM questions INDEXED BY questions_open WHERE state = 'open' ORDER BY id"
        )
        return [_view(row) for row in rows]

    def open_count(self, agent: str) -> int:
        """How many open questions ``agent`` has."""
        row = self._sql.one(
            "SELECT count(*) FROM questions WHERE box = ? AND state = 'open'", box_of(self._sql, agent)
        )
        return 0 if row is None else int(row[0])

    def due(self, now: datetime) -> list[QuestionView]:
        """Open questions whose deadline has come by ``now``, earliest first."""
        rows = self._sql.all(
            f"SELECT {_COLUMNS} FROM questions WHERE state = 'open' AND deadline <= ? ORDER BY deadline, id",
            to_micros(now),
        )
        return [_view(row) for row in rows]

    def next_deadline(self) -> datetime | None:
        """The earliest deadline of an open question."""
        row = self._sql.one(
            "SELECT min(deadline) FROM questions WHERE state = 'open' AND deadline IS NOT NULL"
        )
        return None if row is None or row[0] is None else from_micros(row[0])


class Questions(QuestionReads):
    """Questions in a transaction."""

    __slots__ = ("_now", "_write")

    def __init__(self, sql: Connection, now: datetime) -> None:
        super().__init__(sql)
        self._write = sql
        self._now = now

    def insert(
        self, agent: str, question: str, options: Sequence[str], multi: bool, deadline: datetime | None
    ) -> QuestionView:
        """A new open question of the living ``agent``; ``deadline``: when it expires.

        Raises:
            Unknown: when there is no such agent.
        """
        cursor = self._write.run(
            "INSERT INTO questions (box, agent, question, options, multi, asked, deadline)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(live_box_of(self._sql, agent), agent, question, json.dumps(list(options), ensure_ascii=False)),
            *(int(multi), to_micros(self._now), None if deadline is None else to_micros(deadline)),
        )
        assert cursor.lastrowid is not None
        return self._known(cursor.lastrowid)

    def close(
        self,
        id: int,
        *,
        state: Literal["answered", "cancelled", "expired"],
        answer: str | None,
        by: str,
    ) -> QuestionView:
        """Close a question.

        Raises:
            Refused: when it is closed already, naming by whom.
            Unknown: when there is no such question.
        """
        question = self._known(id)
        if question.state != "open":
            raise Refused(
                f"Question {id} is closed: {question.state} by {question.by}; nothing was changed.",
                code="question-closed",
            )
        self._write.run(
            "UPDATE questions SET state = ?, answer = ?, closed_by = ?, closed = ? WHERE id = ?",
            *(state, answer, by, to_micros(self._now), id),
        )
        return self._known(id)

    def close_all(self, agent: str) -> list[QuestionView]:
        """Cancel the open questions of the newest incarnation of ``agent``; returns them closed."""
        rows = self._sql.all(
            "SELECT id FROM questions WHERE box = ? AND state = 'open' ORDER BY id",
            last_box_of(self._sql, agent),
        )
        return [self.close(id, state="cancelled", answer=None, by=SYSTEM) for (id,) in rows]

    def prune(self, keep: int, limit: int = -1) -> int:
        """Delete closed questions older than the newest ``keep``, ``limit`` at most; how many that were."""
        cursor = self._write.run(
            "DELETE FROM questions WHERE id IN (SELECT id FROM questions"
            " WHERE id <= (SELECT max(id) FROM questions) - ? AND state <> 'open' ORDER BY id LIMIT ?)",
            *(keep, limit),
        )
        return cursor.rowcount

    def _known(self, id: int) -> QuestionView:
        question = self.get(id)
        if question is None:
            raise Unknown(f"There is no question {id}.", code="unknown-question")
        return question


def _view(row: Row) -> QuestionView:
    id, agent, question, options, multi, asked, deadline, state, answer, by = row
    return QuestionView(
        id=id,
        agent=agent,
        question=question,
        options=tuple(json.loads(options)),
        multi=bool(multi),
        asked=from_micros(asked),
        deadline=None if deadline is None else from_micros(deadline),
        state=state,
        answer=answer,
        by=by,
    )
