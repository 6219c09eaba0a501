"""Exchange: the same as one message after the other, in a few statements."""

import sqlite3
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperhive.domain.events import MessageDelivered, MessageSent
from hyperhive.domain.messages import MAX_BATCH_BYTES, Message
from hyperhive.domain.names import OPERATOR
from hyperhive.domain.recorded import envelope, message_delivered, message_sent, stamp, told_text
from hyperhive.domain.records import Intended
from hyperhive.store.database import Database, Tx
from tests.examples import examples
from tests.store.conftest import START, Clock

NAMES = ("alice", "bob", OPERATOR)


@dataclass(frozen=True)
class Post:
    sender: str
    to: str
    body: str


@dataclass(frozen=True)
class Take:
    name: str
    limit: int


Move = Post | Take

bodies = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
    st.sampled_from(["'); DROP TABLE messages; --", "x" * 65_536, "é" * 32_768, "\u2028\r\n"]),
)
moves = st.one_of(
    st.builds(Post, st.sampled_from(NAMES), st.sampled_from(NAMES), bodies),
    st.builds(Take, st.sampled_from(NAMES), st.integers(1, 5)),
)


def one_by_one(tx: Tx, batch: Sequence[Move]) -> list[list[Message]]:
    """What the statements for single messages make of it."""
    found = []
    for move in batch:
        if isinstance(move, Post):
            found.append([tx.messages.insert(move.sender, move.to, move.body)])
        else:
            turn = None if move.name == OPERATOR else tx.turns.open(move.name)
            found.append(tx.messages.take(move.name, turn=turn, limit=move.limit))
    return found


def exchanged(tx: Tx, batch: Sequence[Move]) -> list[list[Message]]:
    exchange = tx.exchange(
        names={name for move in batch for name in _names(move)},
        takes=[(move.name, move.limit) for move in batch if isinstance(move, Take)],
    )
    found = []
    for move in batch:
        box = exchange.box(move.to if isinstance(move, Post) else move.name)
        assert box is not None
        if isinstance(move, Post):
            found.append([exchange.post(move.sender, box, move.body)])
        else:
            found.append(exchange.take(box, move.limit))
    exchange.write()
    return found


def _names(move: Move) -> tuple[str, ...]:
    return (move.sender, move.to) if isinstance(move, Post) else (move.name,)


@settings(max_examples=examples(15), deadline=None)
@given(
    batches=st.lists(st.lists(moves, min_size=1, max_size=40), min_size=1, max_size=4), in_turn=st.booleans()
)
def test_many_moves_together_are_what_they_are_one_by_one(batches: list[list[Move]], in_turn: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outcomes = []
        for way in (one_by_one, exchanged):
            database = Database(Path(folder) / way.__name__ / "hive.sqlite", now=Clock())
            database.open()
            with database.transaction() as tx:
                for name in ("alice", "bob"):
                    tx.agents.insert(name, "agent", Intended.RUNNING)
                if in_turn:
                    tx.turns.begin("alice", "bob")
            answers = []
            for batch in batches:
                with database.transaction() as tx:
                    answers.append(way(tx, batch))
            reader = database.reader().messages
            outcomes.append((answers, [reader.depth(name) for name in NAMES], _rows(database)))
            database.close()
        assert outcomes[0] == outcomes[1]


def _rows(database: Database) -> list[tuple[object, ...]]:
    with database.transaction() as tx:
        return tx._sql.all("SELECT * FROM messages ORDER BY id")


def test_a_batch_never_exceeds_its_bytes_whatever_was_there_before(database: Database) -> None:
    body = "x" * (MAX_BATCH_BYTES // 4)
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.RUNNING)
        for _ in range(3):
            tx.messages.insert("bob", "alice", body)
    with database.transaction() as tx:
        batch: list[Move] = [
            Post("bob", "alice", body),
            Post("bob", "alice", body),
            Take("alice", 32),
            Take("alice", 32),
        ]
        assert [len(found) for found in exchanged(tx, batch)] == [1, 1, 4, 1]


def test_messages_keep_their_order_when_the_clock_goes_back_a_year(database: Database, clock: Clock) -> None:
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.RUNNING)
    for number in range(4):
        with database.transaction() as tx:
            exchanged(tx, [Post("bob", "alice", str(number))])
        clock.turn(-365 * 86_400)
    shown = database.reader().messages.conversation("alice", 0, 9)
    assert [message.body for message in shown] == ["0", "1", "2", "3"]
    assert shown[-1].ts < shown[0].ts == START
    with database.transaction() as tx:
        assert [message.body for message in exchanged(tx, [Take("alice", 9)])[0]] == ["0", "1", "2", "3"]


def test_what_could_not_be_written_is_not_there_and_its_number_is_given_again(database: Database) -> None:
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.RUNNING)
    tx = database.begin()
    with pytest.raises(sqlite3.IntegrityError), tx.isolated():
        exchanged(tx, [Post("bob", "alice", "lost")])
        tx._sql.run(
            "INSERT INTO messages (id, box, sender, recipient, body, ts) SELECT id, 1, '', '', '', 0 FROM messages"
        )
    with tx.isolated():
        assert exchanged(tx, [Post("bob", "alice", "kept")])[0][0].id == 1
    database.commit()
    assert [message.body for message in database.reader().messages.conversation(None, 0, 9)] == ["kept"]


def test_only_what_was_there_before_the_transaction_counts_as_durable(database: Database) -> None:
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.RUNNING)
        assert tx.durable_upto() == 0  # something was written before it was asked for: not known
        tx.messages.insert("bob", "alice", "one")
    tx = database.begin()
    assert tx.durable_upto() == 1
    tx.messages.insert("bob", "alice", "two")
    assert tx.durable_upto() == 1
    database.rollback()


@pytest.mark.parametrize("name", ["alice", 'o"dd\\', "ü\n\x7f\u2028", "😀"])
@pytest.mark.parametrize("about", [None, "alice", 'o"dd'])
def test_mail_is_told_exactly_as_its_events_say_it(about: str | None, name: str) -> None:
    at = stamp(START)
    sent = MessageSent(agent=about, id=7, sender=name, to="bob")
    assert told_text(3, at, *message_sent(about, 7, name, "bob")) == envelope(3, START, sent)
    delivered = MessageDelivered(agent=about, id=7)
    assert told_text(3, at, *message_delivered(about, 7)) == envelope(3, START, delivered)
