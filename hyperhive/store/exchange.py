"""Exchange: many messages posted and taken in one transaction, with few statements however many they are."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hyperhive.domain.messages import MAX_BATCH_BYTES, Message
from hyperhive.domain.names import OPERATOR
from hyperhive.store.agents import OPERATORS_BOX
from hyperhive.store.sql import Connection, Row, from_micros, to_micros

_BOXES = (
    "SELECT a.name, a.id, a.built_config,"
    " (SELECT count(*) FROM messages WHERE box = a.id AND state = 'unread'),"
    " (SELECT id FROM turns WHERE box = a.id AND ended IS NULL)"
    " FROM json_each(?) AS n CROSS JOIN agents AS a ON a.name = n.value AND a.ended IS NULL"
)
_OPERATORS = "SELECT count(*) FROM (SELECT 1 FROM messages WHERE box = ? AND state = 'unread' LIMIT ?)"
_FIRSTS = (
    "SELECT m.box, m.id, m.sender, m.recipient, m.body, m.ts FROM json_each(?) AS b"
    " CROSS JOIN messages AS m ON m.id ="
    " (SELECT id FROM messages WHERE box = b.value AND state = 'unread' ORDER BY id LIMIT 1)"
)
_UNREAD = (
    "SELECT id, sender, recipient, body, ts FROM messages"
    " WHERE box = ? AND state = 'unread' AND id > ? ORDER BY id LIMIT ?"
)
_MARK = "UPDATE messages SET state = ?, turn = ? WHERE id IN (SELECT value FROM json_each(?))"
_INSERT = "INSERT INTO messages (id, box, sender, recipient, body, ts, state, turn)"


@dataclass(eq=False, slots=True)
class Box:
    """The mail of a living agent, or of the operator, as it stands within an exchange.

    Args:
        config: what the agent was built from; says whom it may write to.
        stored: unread messages that were there before and are not taken yet; of the operator's, no more than counts.
        turn: the turn the agent is in; what it takes belongs to that.
        fresh: what was posted in this exchange and is not taken yet.
        upto: what was there before is taken up to this id.
    """

    name: str
    id: int
    config: str
    stored: int
    turn: int | None
    fresh: list[Message] = field(default_factory=list)
    upto: int = 0

    @property
    def depth(self) -> int:
        """Unread messages."""
        return self.stored + len(self.fresh)

    @property
    def taken_as(self) -> tuple[str, int | None]:
        """State and turn of what is taken."""
        return ("read", None) if self.turn is None else ("taken", self.turn)


class Exchange:
    """Posts and takes, in order. Nothing is written before ``write``.

    Args:
        newest: the highest id given so far.
        names: everybody who sends, gets or takes; who does not live has no box.
        takes: who takes, and how many at most.
    """

    def __init__(
        self,
        sql: Connection,
        now: datetime,
        *,
        newest: int,
        names: Iterable[str],
        takes: Sequence[tuple[str, int]],
    ) -> None:
        self._sql = sql
        self._now = now
        self._boxes = self._load(set(names), sum(limit for name, limit in takes if name == OPERATOR))
        self._firsts = self._load_firsts({name for name, _ in takes})
        self._next = newest + 1
        self._posted: dict[int, tuple[int, Message]] = {}
        self._ends: dict[int, tuple[str, int | None]] = {}
        self._marks: dict[tuple[str, int | None], list[int]] = {}

    def box(self, name: str) -> Box | None:
        """The box of ``name``, if it was named and there is one."""
        return self._boxes.get(name)

    def post(self, sender: str, box: Box, body: str) -> Message:
        """A new unread message in ``box``."""
        message = Message(id=self._next, sender=sender, to=box.name, body=body, ts=self._now)
        self._next += 1
        self._posted[message.id] = (box.id, message)
        box.fresh.append(message)
        return message

    def take(self, box: Box, limit: int) -> list[Message]:
        """The oldest unread messages: at most ``limit`` and a batch's bytes, but always one if there is one."""
        rows = self._stored(box, limit)
        fresh = box.fresh[: limit - len(rows)]
        count = _fitting([*(row[3] for row in rows), *(message.body for message in fresh)])
        rows, fresh = rows[:count], fresh[: max(0, count - len(rows))]
        state, turn = box.taken_as
        if rows:
            box.stored, box.upto = box.stored - len(rows), rows[-1][0]
            self._marks.setdefault((state, turn), []).extend(row[0] for row in rows)
        for message in fresh:
            self._ends[message.id] = (state, turn)
        del box.fresh[: len(fresh)]
        return [
            *(
                Message(id=id, sender=sender, to=to, body=body, ts=from_micros(ts), state=state, turn=turn)
                for id, sender, to, body, ts in rows
            ),
            *(
                Message(id=m.id, sender=m.sender, to=m.to, body=m.body, ts=m.ts, state=state, turn=turn)
                for m in fresh
            ),
        ]

    def write(self) -> None:
        """Write all of it."""
        micros = to_micros(self._now)
        rows = []
        for id, (box, message) in self._posted.items():
            state, turn = self._ends.get(id, ("unread", None))
            rows.append((id, box, message.sender, message.to, message.body, micros, state, turn))
        self._sql.insert(_INSERT, rows)
        for (state, turn), ids in self._marks.items():
            self._sql.run(_MARK, state, turn, json.dumps(ids))

    def _stored(self, box: Box, limit: int) -> list[Row]:
        """The oldest of what was there before, no more than a batch's bytes and one."""
        if not box.stored:
            return []
        first = self._firsts.get(box.id)
        if first is not None and box.upto < first[0] and 1 in (limit, box.stored):
            return [first]
        rows: list[Row] = []
        size = 0
        cursor = self._sql.run(_UNREAD, box.id, box.upto, limit)
        for row in cursor:
            rows.append(row)
            size += len(row[3])
            if size > MAX_BATCH_BYTES:
                break
        cursor.close()
        return rows

    def _load(self, names: set[str], takes: int) -> dict[str, Box]:
        boxes = {
            name: Box(name, id, config, depth, turn)
            for name, id, config, depth, turn in self._sql.all(_BOXES, json.dumps([*names]))
        }
        if OPERATOR in names:
            row = self._sql.one(_OPERATORS, OPERATORS_BOX, takes + 1)
            boxes[OPERATOR] = Box(OPERATOR, OPERATORS_BOX, "", int(row[0]) if row else 0, None)
        return boxes

    def _load_firsts(self, takers: set[str]) -> dict[int, Row]:
        boxes = [self._boxes[name].id for name in takers if name in self._boxes and self._boxes[name].stored]
        if not boxes:
            return {}
        return {row[0]: row[1:] for row in self._sql.all(_FIRSTS, json.dumps(boxes))}


def _fitting(bodies: list[str]) -> int:
    """How many of them are handed over together."""
    room = MAX_BATCH_BYTES
    for count, body in enumerate(bodies):
        room -= len(body) if body.isascii() else len(body.encode())
        if count and room < 0:
            return count
    return len(bodies)
