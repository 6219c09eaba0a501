"""The record is cut to what is kept, a little at a time, however fast it grows and whatever it consists of."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.actors.retention import Retained, prune
from hyperhive.domain.events import Audit, Paused
from hyperhive.domain.messages import MAX_UNREAD
from hyperhive.domain.records import Intended
from hyperhive.domain.turns import Outcome, TurnItem, TurnUsage
from hyperhive.store.database import Database, Tx
from tests.actors.rig import START, Rig
from tests.waiting import eventually

STEP = 10


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "home" / "hive.sqlite")
    database.open()
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.RUNNING)
    yield database
    database.close()


def cut(database: Database, kept: Retained) -> int:
    """Prune until nothing is left to prune; how many writes that took."""
    for number in range(1, 1000):
        with database.transaction() as tx:
            if not prune(tx, kept, step=STEP):
                return number
    raise AssertionError("it does not end")


def turn(tx: Tx, *texts: str) -> int:
    number = tx.turns.begin("alice", "operator")
    tx.turns.add_items("alice", [TurnItem(turn=number, ts=START, type="text", text=text) for text in texts])
    tx.turns.end(number, outcome=Outcome.DONE, note="", usage=TurnUsage())
    return number


def read(database: Database, sql: str) -> int:
    row = database.reader().events._sql.one(sql)
    return 0 if row is None else int(row[0])


def test_each_kind_is_cut_to_its_newest_in_steps(database: Database) -> None:
    with database.transaction() as tx:
        for number in range(35):
            tx.emit(Paused(agent="alice"))
            tx.messages.insert("alice", "operator", f"{number}")
            turn(tx, "x")
            question = tx.questions.insert("alice", "Which?", (), False, None)
            tx.questions.close(question.id, state="cancelled", answer=None, by="operator")
        tx.messages.take("operator", turn=None, limit=35)
    kept = Retained(events=5, decisions=5, messages=4, turns=3, questions=2)
    assert cut(database, kept) > 3
    counts = [read(database, f"SELECT count(*) FROM {table}") for table in ("events", "messages", "turns")]
    assert [*counts, read(database, "SELECT count(*) FROM questions")] == [5, 4, 3, 2]
    assert cut(database, kept) == 1


def test_old_decisions_do_not_hold_the_cutting_up(database: Database) -> None:
    with database.transaction() as tx:
        for _ in range(6 * STEP):
            tx.emit(Audit(agent="alice", action="pause", by="operator"))
            tx.emit(Paused(agent="alice"))
    assert cut(database, Retained(events=2)) >= 6
    assert read(database, "SELECT count(*) FROM events WHERE kind = 'paused'") == 1
    assert read(database, "SELECT count(*) FROM events WHERE kind = 'audit'") == 6 * STEP


def test_incarnations_that_nothing_names_any_more_go(database: Database) -> None:
    with database.transaction() as tx:
        for number in range(30):
            tx.agents.insert(f"n{number}", "agent", Intended.RUNNING)
            if number < 2:
                tx.messages.insert("operator", f"n{number}", "keep me")
            tx.agents.remove(f"n{number}", keep=False)
        turn(tx, "x")
    cut(database, Retained(agents=5))
    # alice lives, n0 and n1 are named by their mail, and the newest five stay
    assert read(database, "SELECT count(*) FROM agents") == 1 + 2 + 5


def test_a_database_that_grew_too_large_loses_its_oldest_texts(database: Database) -> None:
    with database.transaction() as tx:
        for _ in range(120):
            tx.messages.insert("alice", "operator", "x" * 20_000)
            turn(tx, "y" * 10_000)
        tx.messages.take("operator", turn=None, limit=200, max_bytes=10**9)
    with database.transaction() as tx:
        before = tx.size()
        assert before > 3_000_000
    most = 1_000_000
    cut(database, Retained(bytes=most))
    with database.transaction() as tx:
        assert tx.size() <= most
        assert read(database, "SELECT count(*) FROM turns") == 120  # counted for good
        assert turn(tx, "z") == 121


def test_what_the_operator_does_not_read_is_set_aside_beyond_a_bound(rig: Rig) -> None:
    def write(tx: Tx) -> None:
        for number in range(MAX_UNREAD + 3):
            tx.messages.insert("manager", "operator", f"{number}")

    rig.write(write)
    reader = rig.database.reader().messages
    rig.wait_for(lambda: reader.depth("operator") == MAX_UNREAD)
    assert [view.state for view in reader.conversation("operator", 0, 10_000)].count("set-aside") == 3
    eventually(lambda: rig.tree.board.snapshot.inbox)
    rig.send("manager", "operator", "and nobody is refused")
