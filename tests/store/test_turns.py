"""Turns are counted for good; what happened in them is kept within bounds."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from hyperhive.domain.records import Intended
from hyperhive.domain.turns import MAX_ITEM, MAX_ITEMS_PER_TURN, MAX_TURNS_KEPT, Outcome, TurnItem, TurnUsage
from hyperhive.errors import Refused, Unknown
from hyperhive.store import turns
from hyperhive.store.database import Database, Tx
from hyperhive.store.items import MAX_TURN_BYTES
from tests.store.conftest import START, Clock


@pytest.fixture
def tx(database: Database) -> Iterator[Tx]:
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.RUNNING)
        tx.agents.insert("bob", "agent", Intended.RUNNING)
        yield tx


def item(turn: int, text: str = "", **data: object) -> TurnItem:
    return TurnItem(turn=turn, ts=START, type="text", text=text, data=data)


def end(tx: Tx, turn: int, outcome: Outcome = Outcome.DONE) -> None:
    tx.turns.end(turn, outcome=outcome, note="", usage=TurnUsage())


def test_an_agent_is_in_one_turn_at_a_time(tx: Tx) -> None:
    assert tx.turns.open("alice") is None
    turn = tx.turns.begin("alice", "operator")
    assert tx.turns.open("alice") == turn
    assert tx.turns.sender(turn) == "operator"
    assert tx.turns.sender(turn + 1) is None
    with pytest.raises(Refused, match="'alice' is in a turn already"):
        tx.turns.begin("alice", "bob")
    with pytest.raises(Unknown):
        tx.turns.begin("carol", "bob")
    end(tx, turn)
    assert tx.turns.open("alice") is None
    assert tx.turns.begin("alice", "bob") > turn


def test_a_turn_that_ended_stays_as_it_ended(database: Database, clock: Clock) -> None:
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.RUNNING)
        turn = tx.turns.begin("alice", "operator")
    clock.turn(2.5)
    usage = TurnUsage(input_tokens=10, output_tokens=5, cost_usd=0.25, duration_ms=2500)
    with database.transaction() as tx:
        tx.turns.end(turn, outcome=Outcome.DONE, note="well", usage=usage)
        end(tx, turn, Outcome.LOST)
    assert database.reader().turns.stats(START, "alice") == [
        {
            "agent": "alice",
            "turn": turn,
            "started": "2026-01-31T12:00:00.000Z",
            "ended": "2026-01-31T12:00:02.500Z",
            "ok": True,
            "outcome": "done",
            "input_tokens": 10,
            "output_tokens": 5,
            "cache_read_tokens": 0,
            "cache_write_tokens": 0,
            "cost_usd": 0.25,
            "duration_ms": 2500,
        }
    ]
    assert database.reader().turns.stats(START, "bob") == []
    assert database.reader().turns.stats(clock.now + timedelta(seconds=1), None) == []


def test_a_series_is_read_in_pages_from_its_newest_rows_on(tx: Tx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "STATS_PAGE", 2)
    began = []
    for name in ("alice", "bob", "bob", "alice", "bob"):  # all end in one moment
        began.append(tx.turns.begin(name, "operator"))
        end(tx, began[-1])
    assert _pages(tx, None) == [began[3:], began[1:3], began[:1]]
    assert _pages(tx, "bob") == [[began[2], began[4]], [began[1]]]
    tx.turns.prune(3)
    assert tx.turns.stats(START, None, before=began[0]) == []  # what came ahead of what is gone is gone too


def _pages(tx: Tx, agent: str | None) -> list[list[int]]:
    found: list[list[int]] = []
    before: int | None = None
    while rows := tx.turns.stats(START, agent, before=before):
        found.append([row["turn"] for row in rows])
        before = found[-1][0]
    return found


def test_absurd_figures_are_stored_as_far_as_they_can_be(tx: Tx) -> None:
    turn = tx.turns.begin("alice", "operator")
    usage = TurnUsage(input_tokens=2**80, cost_usd=float("nan"))
    tx.turns.end(turn, outcome=Outcome.DONE, note="\ud800", usage=usage)
    (row,) = tx.turns.stats(START, None)
    assert (row["input_tokens"], row["cost_usd"]) == (2**63 - 1, 0.0)


def test_items_get_ids_that_ascend_over_the_hive(tx: Tx) -> None:
    a, b = tx.turns.begin("alice", "operator"), tx.turns.begin("bob", "operator")
    first = tx.turns.add_items("alice", [item(a, "one", tool="Bash"), item(a, "two")])
    second = tx.turns.add_items("bob", [item(b, "three")])
    third = tx.turns.add_items("alice", [item(a, "four")])
    assert [i.id for i in [*first, *second, *third]] == [1, 2, 3, 4]
    assert tx.turns.items("alice", after=0, limit=10) == [*first, *third]
    assert tx.turns.items("alice", after=0, limit=2) == [first[1], third[0]]
    assert tx.turns.items("alice", after=1, limit=1) == [first[1]]
    assert first[0].data == {"tool": "Bash"}


def test_items_of_a_turn_that_is_not_the_agents_own_are_dropped(tx: Tx) -> None:
    a, b = tx.turns.begin("alice", "operator"), tx.turns.begin("bob", "operator")
    assert tx.turns.add_items("bob", [item(a, "forged"), item(99), item(2**70)]) == []
    assert len(tx.turns.add_items("bob", [item(a, "forged"), item(b, "own")])) == 1
    assert tx.turns.add_items("carol", [item(a)]) == []
    assert tx.turns.items("alice", after=0, limit=10) == []


def test_a_long_text_and_large_data_are_cut_with_a_mark(tx: Tx) -> None:
    turn = tx.turns.begin("alice", "operator")
    huge = item(turn, "ä" * MAX_ITEM, tool="Bash", blob="x" * 2 * MAX_ITEM)
    (stored,) = tx.turns.add_items("alice", [huge])
    assert MAX_ITEM - 3 < len(stored.text.encode()) <= MAX_ITEM
    assert stored.text.endswith("… (cut)")
    assert stored.data == {"tool": "Bash", "cut": True}
    assert tx.turns.items("alice", after=0, limit=1) == [stored]


def test_what_no_database_or_browser_could_take_is_replaced(tx: Tx) -> None:
    turn = tx.turns.begin("alice", "operator")
    deep: object = "bottom"
    for _ in range(100_000):
        deep = [deep]
    early = datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))
    items = [
        item(turn, "a\ud800b", key="\udfff"),
        item(turn, number=float("nan"), tool="Bash"),
        item(turn, deep=deep),
        TurnItem(turn=turn, ts=early, type="t" * 99, text="\0"),
        TurnItem(turn=turn, ts=datetime(2026, 1, 1), type="naive"),  # noqa: DTZ001
    ]
    stored = tx.turns.add_items("alice", items)
    assert tx.turns.items("alice", after=0, limit=10) == stored
    assert (stored[0].text, stored[0].data) == ("a\ufffdb", {"key": "\ufffd"})
    assert stored[1].data == {"tool": "Bash", "cut": True}
    assert stored[2].data == {"cut": True}
    assert stored[3].ts == datetime.min.replace(tzinfo=UTC)
    assert (len(stored[3].type), stored[3].text) == (40, "\0")
    assert stored[4].ts == datetime(2026, 1, 1, tzinfo=UTC)


def test_too_many_items_of_a_turn_are_counted_and_not_kept(tx: Tx) -> None:
    turn = tx.turns.begin("alice", "operator")
    stored = tx.turns.add_items("alice", [item(turn, "x")] * (MAX_ITEMS_PER_TURN + 5))
    assert len(stored) == MAX_ITEMS_PER_TURN + 1
    assert stored[-1].type == "elided"
    assert tx.turns.add_items("alice", [item(turn, "x")] * 3) == []
    (mark,) = tx.turns.items("alice", after=0, limit=1)
    assert (mark.type, mark.data) == ("elided", {"count": 8})


def test_too_many_bytes_of_a_turn_are_not_kept_either(tx: Tx) -> None:
    turn = tx.turns.begin("alice", "operator")
    stored = tx.turns.add_items("alice", [item(turn, "x" * MAX_ITEM)] * (MAX_TURN_BYTES // MAX_ITEM + 2))
    assert len(stored) == MAX_TURN_BYTES // MAX_ITEM + 1
    assert stored[-1].type == "elided"


def test_the_items_of_old_turns_go_and_the_turns_stay_counted(tx: Tx) -> None:
    other = tx.turns.begin("bob", "operator")
    tx.turns.add_items("bob", [item(other, "stays")])
    turns = []
    for _ in range(MAX_TURNS_KEPT + 2):
        turn = tx.turns.begin("alice", "operator")
        tx.turns.add_items("alice", [item(turn, "x")])
        end(tx, turn)
        turns.append(turn)
    kept = tx.turns.items("alice", after=0, limit=10_000)
    assert [i.turn for i in kept] == turns[2:]
    assert tx.turns.add_items("alice", [item(turns[0], "too late")]) == []
    assert len(tx.turns.stats(START, "alice")) == MAX_TURNS_KEPT + 2
    assert len(tx.turns.items("bob", after=0, limit=10)) == 1


def test_a_destroyed_agents_items_go_and_its_open_turn_is_lost(tx: Tx) -> None:
    turn = tx.turns.begin("alice", "operator")
    tx.turns.add_items("alice", [item(turn, "x")])
    tx.agents.remove("alice", keep=True)
    tx.turns.drop("alice")
    tx.turns.drop("nobody")
    assert [(row["turn"], row["outcome"]) for row in tx.turns.stats(START, "alice")] == [(turn, "lost")]
    tx.agents.insert("alice", "agent", Intended.RUNNING)
    assert tx.turns.open("alice") is None
    assert tx.turns.items("alice", after=0, limit=10) == []
    assert tx.turns.add_items("alice", [item(turn, "old harness")]) == []


def test_an_agents_items_are_kept_up_to_so_many_bytes(tx: Tx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_AGENT_BYTES", 2_500)
    began = []
    for _ in range(5):
        began.append(tx.turns.begin("alice", "operator"))
        tx.turns.add_items("alice", [item(began[-1], "x" * 1_000)])
        end(tx, began[-1])
    other = tx.turns.begin("bob", "operator")
    tx.turns.add_items("bob", [item(other, "x" * 1_000)])
    tx.turns.begin("alice", "operator")
    assert [each.turn for each in tx.turns.items("alice", after=0, limit=10)] == began[-2:]
    assert len(tx.turns.items("bob", after=0, limit=10)) == 1


def test_the_items_of_the_hives_oldest_turns_can_go_first(tx: Tx) -> None:
    began = []
    for name in ("alice", "bob", "alice"):
        began.append(tx.turns.begin(name, "operator"))
        tx.turns.add_items(name, [item(began[-1], "x")])
        end(tx, began[-1])
    assert tx.turns.prune_items(2) == 2
    assert [each.turn for each in tx.turns.items("alice", after=0, limit=10)] == began[-1:]
    assert tx.turns.items("bob", after=0, limit=10) == []


def test_old_turns_are_pruned_with_their_items_but_no_open_one(tx: Tx) -> None:
    first = tx.turns.begin("alice", "operator")
    tx.turns.add_items("alice", [item(first, "x")])
    opened = tx.turns.begin("bob", "operator")
    end(tx, first)
    assert tx.turns.prune(keep=0) == 1
    assert tx.turns.items("alice", after=0, limit=10) == []
    assert tx.turns.open("bob") == opened
