"""Transactions: parts fail alone, events are numbered without a gap, readers see what is committed."""

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from hyperhive.domain.events import Audit, ContainerCrash, HelperEvent, Paused, Spawned, Started
from hyperhive.domain.messages import MAX_UNREAD
from hyperhive.domain.parts import InboxDepth
from hyperhive.domain.records import Intended
from hyperhive.errors import Broken
from hyperhive.store.database import MAX_READERS, Database
from tests.store.conftest import START, Clock


def crash(agent: str = "alice", note: str = "") -> HelperEvent:
    return ContainerCrash(agent=agent, note=note)


def test_a_part_that_fails_leaves_the_others_and_no_gap(database: Database) -> None:
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.RUNNING)
        with tx.isolated():
            tx.emit(Started(agent="alice"))
            tx.show("first")
        with pytest.raises(ZeroDivisionError), tx.isolated():
            tx.emit(crash())
            tx.messages.insert("bob", "alice", "half done")
            tx.show("second")
            raise ZeroDivisionError
        with tx.isolated():
            tx.emit(crash(note="third"))
            with pytest.raises(SystemExit), tx.isolated():
                tx.emit(crash(note="nested"))
                raise SystemExit
        assert [event.seq for event in tx.emitted] == [1, 2]
        assert tx.shown == ["first"]
        emitted = list(tx.emitted)
    assert database.reader().events.after(0, 10, None) == emitted
    assert database.reader().messages.depth("alice") == 0


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as tx:
        tx.emit(Started(agent="alice"))
        raise ZeroDivisionError
    assert database.reader().events.newest() == 0
    with database.transaction() as tx:
        assert tx.emit(Started(agent="alice")).seq == 1


def test_a_transaction_whose_caller_died_does_not_block_the_next(database: Database) -> None:
    database.begin().emit(Started(agent="alice"))
    tx = database.begin()
    assert tx.emit(Started(agent="bob")).seq == 1
    database.commit()
    assert [event.agent for event in database.reader().events.after(0, 10, None)] == ["bob"]


def test_the_manager_is_told_of_what_concerns_it(database: Database) -> None:
    with database.transaction() as tx:
        tx.emit(crash(note="before there is a manager"))
        tx.agents.insert("manager", "manager", Intended.RUNNING)
        tx.emit(Spawned(agent="manager", ok=True))
        tx.emit(Started(agent="alice"))
        assert tx.shown == []
        told = [tx.emit(Spawned(agent="alice", ok=True)), tx.emit(crash("manager"))]
        assert tx.shown == [InboxDepth("manager", 1), InboxDepth("manager", 2)]
        messages = tx.messages.take("manager", turn=None)
    assert [(m.sender, m.body) for m in messages] == [("system", event.text) for event in told]
    assert json.loads(messages[1].body)["kind"] == "container_crash"


def test_a_manager_that_never_reads_keeps_the_newest_events(database: Database) -> None:
    with database.transaction() as tx:
        tx.agents.insert("manager", "manager", Intended.STOPPED)
        tx.messages.insert("operator", "manager", "never pushed out")
        for _ in range(MAX_UNREAD + 3):
            tx.emit(crash())
        assert tx.shown[-1] == InboxDepth("manager", MAX_UNREAD)
        assert tx.messages.depth("manager") == MAX_UNREAD
        first, second = tx.messages.take("manager", turn=None, limit=2)
    assert first.body == "never pushed out"
    assert json.loads(second.body)["seq"] == 5


def test_an_event_is_given_back_as_it_was_recorded(database: Database, clock: Clock) -> None:
    with database.transaction() as tx:
        recorded = tx.emit(crash(note="a\ud800b 😀\0"))
    assert recorded.ts == START
    assert json.loads(recorded.text) == {
        "seq": 1,
        "ts": "2026-01-31T12:00:00.000Z",
        "kind": "container_crash",
        "agent": "alice",
        "note": "a\ufffdb 😀\0",
        "exit": None,
    }
    assert database.reader().events.after(0, 1, None) == [recorded]


def test_events_are_read_behind_a_number_and_by_kind(database: Database) -> None:
    with database.transaction() as tx:
        for agent in ("a", "b", "c"):
            tx.emit(Started(agent=agent))
            tx.emit(crash(agent))
    events = database.reader().events
    assert [event.seq for event in events.after(2, 3, None)] == [3, 4, 5]
    assert [event.seq for event in events.after(1, 2, frozenset({"container_crash"}))] == [2, 4]
    assert events.after(0, 9, frozenset()) == []


def test_events_are_read_backwards_by_kind_and_agent(database: Database) -> None:
    with database.transaction() as tx:
        for agent in ("a", "b", "c"):
            tx.emit(Started(agent=agent))
            tx.emit(crash(agent))
    events = database.reader().events
    assert [event.seq for event in events.before(None, 2, None, None)] == [6, 5]
    assert [event.seq for event in events.before(5, 9, frozenset({"container_crash"}), None)] == [4, 2]
    assert [event.seq for event in events.before(None, 9, None, "b")] == [4, 3]
    assert events.before(None, 9, frozenset(), None) == []


def test_numbers_are_not_used_again_after_pruning(database: Database, path: Path) -> None:
    with database.transaction() as tx:
        assert (tx.events.newest(), tx.events.oldest()) == (0, 0)
        for _ in range(5):
            tx.emit(Started(agent="alice"))
        assert tx.events.prune(keep=2) == 3
        assert (tx.events.oldest(), tx.events.newest()) == (4, 5)
        assert tx.events.prune(keep=0) == 2
    database.close()
    again = Database(path)
    again.open()
    with again.transaction() as tx:
        assert (tx.events.oldest(), tx.events.newest()) == (0, 5)
        assert tx.emit(Started(agent="alice")).seq == 6
    again.close()


def test_facts_are_kept_by_key(database: Database) -> None:
    with database.transaction() as tx:
        assert tx.meta.get("boot") is None
        tx.meta.set("boot", "one")
        tx.meta.set("boot", "two")
    assert database.reader().meta.get("boot") == "two"


def test_readers_go_on_while_the_writer_writes(database: Database) -> None:
    with database.transaction() as tx:
        tx.meta.set("k", "old")
    seen: list[str | None] = []
    start = threading.Barrier(3 * MAX_READERS + 1)

    def read() -> None:
        start.wait(timeout=30)
        for _ in range(20):
            seen.append(database.reader().meta.get("k"))

    readers = [threading.Thread(target=read) for _ in range(3 * MAX_READERS)]
    for thread in readers:
        thread.start()
    with database.transaction() as tx:
        tx.meta.set("k", "new")
        start.wait(timeout=30)
        for thread in readers:
            thread.join(timeout=30)
    assert seen == ["old"] * (20 * 3 * MAX_READERS)
    assert database.reader().meta.get("k") == "new"


def test_a_full_disk_is_told_and_survived(database: Database) -> None:
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.RUNNING)
        tx.messages.insert("bob", "alice", "before")
    tx = database.begin()
    with tx.isolated():
        tx.messages.insert("bob", "alice", "lost with the transaction, which is told")
    # The database's own limit answers exactly as a disk without space does.
    limit = tx._sql.one("PRAGMA max_page_count")
    assert limit is not None
    tx._sql.run("PRAGMA max_page_count = 1")
    with pytest.raises(Broken, match=r"cannot grow: no space left; free some"), tx.isolated():
        for _ in range(50):
            tx.messages.insert("bob", "alice", "x" * 10_000)
    tx._sql.run(f"PRAGMA max_page_count = {limit[0]}")
    with pytest.raises(Broken, match="ended by an earlier failure"), tx.isolated():
        tx.messages.insert("bob", "alice", "after the end")
    with pytest.raises(Broken, match="ended by an earlier failure"):
        database.commit()
    with database.transaction() as tx:
        tx.messages.insert("bob", "alice", "after")
    bodies = [message.body for message in database.reader().messages.conversation(None, 0, 99)]
    assert bodies == ["before", "after"]


def test_a_transaction_that_ended_before_anything_succeeded_goes_on_afresh(database: Database) -> None:
    tx = database.begin()
    with pytest.raises(RuntimeError), tx.isolated():
        tx.emit(crash())
        raise RuntimeError
    with pytest.raises(ZeroDivisionError), tx.isolated():
        tx.emit(Started(agent="alice"))
        tx._sql.run("ROLLBACK")  # as SQLite itself does on some failures of the machine
        raise ZeroDivisionError
    with tx.isolated():
        assert tx.emit(Started(agent="bob")).seq == 1
    database.commit()
    assert [event.agent for event in database.reader().events.after(0, 9, None)] == ["bob"]


def test_a_part_that_goes_on_after_its_transaction_ended_has_failed(database: Database) -> None:
    tx = database.begin()
    with pytest.raises(Broken, match="ended by an earlier failure"), tx.isolated():
        tx.emit(Started(agent="alice"))
        tx._sql.run("ROLLBACK")  # as SQLite itself does on some failures of the machine
    assert tx.emitted == []
    with tx.isolated():
        tx.emit(Started(agent="bob"))
    database.commit()
    assert [event.agent for event in database.reader().events.after(0, 9, None)] == ["bob"]


def test_a_part_that_is_alone_is_undone_with_what_was_in_it_and_the_transaction_goes_on(
    database: Database,
) -> None:
    tx = database.begin()
    with tx.isolated():
        assert tx.messages.newest() == 0  # it reads only
    with pytest.raises(ZeroDivisionError), tx.isolated():
        with pytest.raises(RuntimeError), tx.isolated():
            tx.emit(crash(note="nested"))
            raise RuntimeError
        assert tx.emit(crash(note="around it")).seq == 1
        raise ZeroDivisionError
    assert tx.untouched
    assert not tx.emitted
    database.commit()  # what the first has read is good
    assert database.reader().events.after(0, 9, None) == []


def test_a_part_within_one_that_wrote_nothing_yet_fails_alone(database: Database) -> None:
    with database.transaction() as tx, tx.isolated():
        with pytest.raises(RuntimeError), tx.isolated():
            tx.emit(crash(note="nested"))
            raise RuntimeError
        tx.emit(crash(note="around it"))
    (event,) = database.reader().events.after(0, 9, None)
    assert "around it" in event.text


def test_another_process_that_holds_the_lock_is_told(database: Database, path: Path) -> None:
    with database.transaction() as tx:
        tx._sql.run("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Broken, match="is held by another process; end that one and try again"):
            database.begin()
        other.execute("ROLLBACK")
    with database.transaction() as tx:
        tx.meta.set("k", "v")


def test_a_commit_that_fails_stores_nothing_and_the_next_goes_on(database: Database) -> None:
    tx = database.begin()
    with tx.isolated():
        tx.emit(Started(agent="alice"))
        # A broken reference that is looked at no sooner than at the commit.
        tx._sql.run("PRAGMA defer_foreign_keys = ON")
        tx._sql.run("INSERT INTO turns (box, agent, sender, started) VALUES (99, 'x', 'x', 0)")
    with pytest.raises(sqlite3.IntegrityError):
        database.commit()
    with database.transaction() as tx:
        assert tx.emit(Started(agent="bob")).seq == 1
    assert [event.agent for event in database.reader().events.after(0, 9, None)] == ["bob"]


def test_a_long_inbox_is_counted_without_reading_it(database: Database) -> None:
    with database.transaction() as tx:
        plan = tx._sql.all(
            "EXPLAIN QUERY PLAN SELECT count(*) FROM messages WHERE box = 1 AND state = 'unread'"
        )
    assert "COVERING INDEX messages_unread" in plan[0][3]


def test_a_closed_database_says_so(path: Path) -> None:
    database = Database(path)
    with pytest.raises(Broken, match="not open"):
        database.begin()
    database.open()
    reader = database.reader()
    database.close()
    database.close()
    with pytest.raises(Broken, match="not open"):
        database.reader()
    with pytest.raises(Broken, match="closed"):
        reader.events.newest()


def test_decisions_stay_longer_and_do_not_count_as_a_whole_record(database: Database) -> None:
    with database.transaction() as tx:
        for number in range(10):
            tx.emit(Audit(agent=f"a{number}", action="spawn", by="operator"))
            tx.emit(Paused(agent=f"n{number}"))
        assert tx.events.prune(keep=4, decisions=10) == 13
        assert tx.events.oldest() == 17
        decided = frozenset({"audit"})
        assert [event.seq for event in tx.events.after(0, 99, decided)] == [11, 13, 15, 17, 19]
        assert [event.seq for event in tx.events.before(19, 2, decided)] == [17, 15]
        assert [event.seq for event in tx.events.before(None, 2, None)] == [20, 19]
        assert tx.events.prune(keep=4, decisions=10) == 0
        tx.emit(Paused(agent="last"))
        assert tx.events.prune(keep=4, decisions=10) == 1
        assert [event.seq for event in tx.events.after(0, 99, None)] == [13, 15, 17, 18, 19, 20, 21]


def test_events_are_not_edited(database: Database) -> None:
    with database.transaction() as tx:
        tx.emit(Audit(agent="alice", action="spawn", by="operator"))
    with pytest.raises(sqlite3.IntegrityError, match="events are not edited"), database.transaction() as tx:
        tx._sql.run("UPDATE events SET text = '' WHERE seq = 1")
