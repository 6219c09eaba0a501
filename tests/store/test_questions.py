"""Questions are closed once, by whom it says."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from hyperhive.domain.records import Intended
from hyperhive.errors import Refused, Unknown
from hyperhive.store.database import Database, Tx
from tests.store.conftest import START


@pytest.fixture
def tx(database: Database) -> Iterator[Tx]:
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.RUNNING)
        tx.agents.insert("bob", "agent", Intended.RUNNING)
        yield tx


def test_a_question_is_open_until_it_is_answered(tx: Tx) -> None:
    asked = tx.questions.insert("alice", "Which colour?", ["rot", "grün"], True, None)
    assert (asked.options, asked.multi, asked.asked, asked.state) == (("rot", "grün"), True, START, "open")
    assert tx.questions.open() == [asked]
    assert (tx.questions.open_count("alice"), tx.questions.open_count("bob")) == (1, 0)
    closed = tx.questions.close(asked.id, state="answered", answer="rot", by="operator")
    assert (closed.state, closed.answer, closed.by) == ("answered", "rot", "operator")
    assert tx.questions.get(asked.id) == closed
    assert tx.questions.open() == []
    with pytest.raises(Refused, match=f"Question {asked.id} is closed: answered by operator"):
        tx.questions.close(asked.id, state="cancelled", answer=None, by="alice")


def test_an_unknown_question_cannot_be_closed(tx: Tx) -> None:
    assert tx.questions.get(7) is None
    with pytest.raises(Unknown, match="no question 7"):
        tx.questions.close(7, state="answered", answer="x", by="operator")
    with pytest.raises(Unknown):
        tx.questions.insert("carol", "Anyone?", [], False, None)


def test_deadlines_are_found_earliest_first(tx: Tx) -> None:
    assert tx.questions.next_deadline() is None
    late, soon = START + timedelta(seconds=60), START + timedelta(seconds=30)
    last = tx.questions.insert("alice", "later?", [], False, late)
    first = tx.questions.insert("bob", "soon?", [], False, soon)
    tx.questions.insert("alice", "ever?", [], False, None)
    assert tx.questions.next_deadline() == soon
    assert tx.questions.due(START) == []
    assert tx.questions.due(late) == [first, last]
    tx.questions.close(first.id, state="expired", answer=None, by="system")
    assert tx.questions.next_deadline() == late
    assert tx.questions.due(soon) == []


def test_a_destroyed_agents_questions_are_cancelled_and_not_its_successors(tx: Tx) -> None:
    mine = [tx.questions.insert("alice", text, [], False, None).id for text in ("one?", "two?")]
    other = tx.questions.insert("bob", "three?", [], False, None)
    tx.agents.remove("alice", keep=True)
    closed = tx.questions.close_all("alice")
    assert [(q.id, q.state, q.by) for q in closed] == [(id, "cancelled", "system") for id in mine]
    assert tx.questions.open() == [other]
    tx.agents.insert("alice", "agent", Intended.RUNNING)
    assert tx.questions.close_all("alice") == []
    assert tx.questions.close_all("nobody") == []


def test_closed_questions_are_pruned(tx: Tx) -> None:
    gone = tx.questions.insert("alice", "one?", [], False, None)
    stays = tx.questions.insert("alice", "two?", [], False, None)
    tx.questions.close(gone.id, state="cancelled", answer=None, by="operator")
    assert tx.questions.prune(keep=0) == 1
    assert tx.questions.get(gone.id) is None
    assert tx.questions.open() == [stays]
