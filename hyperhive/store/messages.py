"""Messages: durable, taken once at a time, acknowledged or put back.

``unread`` → ``taken`` (by a turn) → ``read``; back to ``unread`` when the turn failed, ``set-aside`` after
too many deliveries, ``dropped`` with a destroyed agent. Mail belongs to a box, an incarnation of an agent: a
name that is used again never sees what was there before.
"""

from collections.abc import Sequence
from datetime import datetime

from hyperhive.domain.messages import MAX_ATTEMPTS, MAX_BATCH, MAX_BATCH_BYTES, Message
from hyperhive.domain.names import OPERATOR
from hyperhive.domain.views import MessageView
from hyperhive.store.agents import OPERATORS_BOX, box_of, last_box_of, live_box_of
from hyperhive.store.sql import Connection, Reading, Row, from_micros, to_micros

MAX_SHOWN = 256 * 1024
"""Bytes of bodies in the operator's inbox as readers see it: it is in every snapshot, and told on every message."""

MAX_PAGE = 2 * 1024 * 1024
"""Bytes of bodies in one page of a conversation."""

_COLUMNS = "id, sender, recipient, body, ts, state, turn"
_VIEW = "id, sender, recipient, body, ts, state"
_UNREAD = f"SELECT {_COLUMNS} FROM messages WHERE box = ? AND state = 'unread' ORDER BY id LIMIT ?"
_TAKE = "UPDATE messages SET state = ?, turn = ? WHERE box = ? AND state = 'unread' AND id <= ?"
_SETTLED = "('read', 'set-aside', 'dropped')"


class MessageReads:
    """Reads of messages."""

    __slots__ = ("_sql",)

    def __init__(self, sql: Reading) -> None:
        self._sql = sql

    def get(self, id: int) -> Message | None:
        """The message with that id."""
        row = self._sql.one(f"SELECT {_COLUMNS} FROM messages WHERE id = ?", id)
        return None if row is None else _message(row)

    def depth(self, to: str) -> int:
        """How many messages ``to`` has not read; 0 for a name that nobody has."""
        box = box_of(self._sql, to)
        return 0 if box is None else self._depth(box)

    def newest(self) -> int:
        """The highest id given so far; 0 when there was no message yet."""
        row = self._sql.one("SELECT seq FROM sqlite_sequence WHERE name = 'messages'")
        return 0 if row is None else int(row[0])

    def next_sender(self, to: str) -> str | None:
        """Who sent the oldest message that ``to`` has not read."""
        row = self._sql.one(
            "SELECT sender FROM messages WHERE box = ? AND state = 'unread' ORDER BY id LIMIT 1",
            box_of(self._sql, to),
        )
        return None if row is None else str(row[0])

    def _depth(self, box: int) -> int:
        row = self._sql.one("SELECT count(*) FROM messages WHERE box = ? AND state = 'unread'", box)
        return 0 if row is None else int(row[0])

    def conversation(self, peer: str | None, after: int, limit: int) -> list[MessageView]:
        """Messages behind id ``after``, oldest first; with ``peer`` those it sent or got.

        ``after`` 0: the last ``limit``. By name: what earlier incarnations wrote belongs to the history. Fewer
        come when their bodies are long: go on behind the last.
        """
        order, flip = ("DESC", True) if after <= 0 else ("ASC", False)
        tail = f"ORDER BY id {order} LIMIT ?"
        if peer is None:
            page = f"SELECT {_VIEW} FROM messages WHERE id > ? {tail}"
            rows = self._sql.all(_within(page, order), after, limit, MAX_PAGE)
        else:
            half = f"SELECT * FROM (SELECT {_VIEW} FROM messages WHERE {{}} AND id > ? {tail})"
            page = f"{half.format('sender = ?')} UNION {half.format('recipient = ?')} {tail}"
            rows = self._sql.all(
                _within(page, order), *(peer, after, limit, peer, after, limit, limit, MAX_PAGE)
            )
        return [_view(row) for row in (reversed(rows) if flip else rows)]

    def inbox(self, limit: int = 100, max_bytes: int = MAX_SHOWN) -> list[MessageView]:
        """The last messages to the operator, at most ``limit`` and ``max_bytes`` of bodies, newest last."""
        last = f"SELECT {_VIEW} FROM messages WHERE recipient = ? ORDER BY id DESC LIMIT ?"
        rows = self._sql.all(_within(last, "DESC"), OPERATOR, limit, max_bytes)
        return [_view(row) for row in reversed(rows)]


def _within(page: str, order: str) -> str:
    """A page of messages, cut where its bodies outgrow a number of bytes: its last parameter."""
    sized = f"SELECT *, sum(length(CAST(body AS BLOB))) OVER (ORDER BY id {order}) AS size FROM ({page})"
    return f"SELECT {_VIEW} FROM ({sized}) WHERE size <= ? ORDER BY id {order}"


class Messages(MessageReads):
    """Messages in a transaction."""

    __slots__ = ("_now", "_write")

    def __init__(self, sql: Connection, now: datetime) -> None:
        super().__init__(sql)
        self._write = sql
        self._now = now

    def insert(self, sender: str, to: str, body: str) -> Message:
        """A new unread message to the operator or to the living agent ``to``.

        Raises:
            Unknown: when nobody has that name.
        """
        box = live_box_of(self._sql, to)
        cursor = self._write.run(
            "INSERT INTO messages (box, sender, recipient, body, ts) VALUES (?, ?, ?, ?, ?)",
            *(box, sender, to, body, to_micros(self._now)),
        )
        assert cursor.lastrowid is not None
        return Message(id=cursor.lastrowid, sender=sender, to=to, body=body, ts=self._now)

    def take(
        self, to: str, *, turn: int | None, limit: int = MAX_BATCH, max_bytes: int = MAX_BATCH_BYTES
    ) -> list[Message]:
        """Hand over the oldest unread messages.

        Args:
            turn: who takes them; until it ends they are nobody else's. ``None``: read at once.
            limit, max_bytes: at most so many messages and bytes of bodies, but always one if there is one.
        """
        box = box_of(self._sql, to)
        if box is None or limit < 1:
            return []
        state = "read" if turn is None else "taken"
        rows: list[Row] = []
        size = 0
        cursor = self._write.run(_UNREAD, box, limit)
        for row in cursor:
            size += len(row[3]) if row[3].isascii() else len(row[3].encode())
            if rows and size > max_bytes:
                break
            rows.append(row)
        cursor.close()
        if not rows:
            return []
        # They are the oldest unread ones without a hole, so a bound on the id names exactly them.
        self._write.run(_TAKE, state, turn, box, rows[-1][0])
        return [_message((*row[:5], state, turn)) for row in rows]

    def ack_turn(self, turn: int) -> int:
        """What ``turn`` took is read; how many that were."""
        cursor = self._write.run(
            "UPDATE messages SET state = 'read' WHERE turn = ? AND state = 'taken'", turn
        )
        return cursor.rowcount

    def requeue_turn(self, turn: int, *, counted: bool) -> tuple[list[Message], list[Message]]:
        """Put back what ``turn`` took, in its old order.

        Args:
            counted: it counts as an attempt; at ``MAX_ATTEMPTS`` a message is set aside.

        Returns:
            What is unread again, and what was set aside.
        """
        rows = self._write.all(
            f"SELECT {_COLUMNS}, attempts FROM messages WHERE turn = ? AND state = 'taken' ORDER BY id", turn
        )
        requeued: list[Message] = []
        aside: list[Message] = []
        for *row, attempts in rows:
            tries = attempts + counted
            pile, state = (aside, "set-aside") if tries >= MAX_ATTEMPTS else (requeued, "unread")
            self._write.run(
                "UPDATE messages SET state = ?, turn = NULL, attempts = ? WHERE id = ?", state, tries, row[0]
            )
            pile.append(_message((*row[:5], state, None)))
        return requeued, aside

    def requeue(self, ids: Sequence[int]) -> None:
        """Put back messages that were handed over and did not arrive, without counting an attempt."""
        self._write.run_many(
            "UPDATE messages SET state = 'unread', turn = NULL WHERE id = ? AND state IN ('taken', 'read')",
            [(id,) for id in ids],
        )

    def set_aside_oldest(self, sender: str, to: str) -> int:
        """Set aside the oldest message of ``sender`` that ``to`` has not read; how many that were, 0 or 1."""
        cursor = self._write.run(
            "UPDATE messages SET state = 'set-aside' WHERE id = (SELECT id FROM messages"
            " WHERE box = ? AND state = 'unread' AND sender = ? ORDER BY id LIMIT 1)",
            *(box_of(self._sql, to), sender),
        )
        return cursor.rowcount

    def set_aside_beyond(self, to: str, keep: int) -> int:
        """Set aside what ``to`` has not read but its newest ``keep``; how many that were. It stays on record."""
        cursor = self._write.run(
            "UPDATE messages SET state = 'set-aside' WHERE id IN (SELECT id FROM messages"
            " WHERE box = ? AND state = 'unread' ORDER BY id DESC LIMIT -1 OFFSET ?)",
            *(box_of(self._sql, to), keep),
        )
        return cursor.rowcount

    def drop(self, to: str) -> int:
        """Drop what the newest incarnation of ``to``, living or ended, has not read; how many that were."""
        box = last_box_of(self._sql, to)
        if box is None:
            return 0
        unread = self._write.run(
            "UPDATE messages SET state = 'dropped' WHERE box = ? AND state = 'unread'", box
        )
        # The taken ones of the whole hive are few; without the hint the planner may read every message.
        taken = self._write.run(
            "UPDATE messages INDEXED BY messages_taken SET state = 'dropped'"
            " WHERE state = 'taken' AND box = ?",
            box,
        )
        return unread.rowcount + taken.rowcount

    def prune(self, keep: int, limit: int = -1) -> int:
        """Delete messages older than the newest ``keep`` that wait for nobody living; how many that were.

        Args:
            limit: the oldest so many at most; negative: all.
        """
        cursor = self._write.run(
            "DELETE FROM messages WHERE id IN (SELECT id FROM messages"
            " WHERE id <= (SELECT max(id) FROM messages) - ?"
            f" AND (state IN {_SETTLED} OR box NOT IN (SELECT id FROM agents WHERE ended IS NULL"
            " UNION SELECT ?)) ORDER BY id LIMIT ?)",
            *(keep, OPERATORS_BOX, limit),
        )
        return cursor.rowcount


def _message(row: Row) -> Message:
    id, sender, to, body, ts, state, turn = row
    return Message(id=id, sender=sender, to=to, body=body, ts=from_micros(ts), state=state, turn=turn)


def _view(row: Row) -> MessageView:
    id, sender, to, body, ts, state = row
    return MessageView(id=id, sender=sender, to=to, body=body, ts=from_micros(ts), state=state)
