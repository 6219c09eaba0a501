"""Drafts are noted by name, taken up by an approval, and go back to what they were."""

from collections.abc import Iterator

import pytest

from hyperhive.domain.approvals import Kind
from hyperhive.domain.records import Intended
from hyperhive.errors import Refused, Unknown
from hyperhive.store.database import Database, Tx
from tests.store.conftest import START, Clock


@pytest.fixture
def tx(database: Database) -> Iterator[Tx]:
    with database.transaction() as tx:
        yield tx


def test_a_draft_is_there_until_it_is_removed(tx: Tx) -> None:
    draft = tx.drafts.insert("bob", "manager", kept=False)
    assert (draft.name, draft.created, draft.by, draft.size, draft.kept) == (
        "bob",
        START,
        "manager",
        0,
        False,
    )
    tx.drafts.measure("bob", 4096)
    other = tx.drafts.insert("alice", "operator", kept=False)
    found = tx.drafts.get("bob")
    assert found is not None
    assert found.size == 4096
    assert tx.drafts.all() == [other, found]
    with pytest.raises(Refused, match="There is a draft 'bob' already"):
        tx.drafts.insert("bob", "manager", kept=False)
    assert tx.drafts.remove("bob") == found
    assert tx.agents.kept() == []
    with pytest.raises(Unknown, match="no draft 'bob'; there are: alice"):
        tx.drafts.remove("bob")


def test_a_kept_name_is_kept_again_when_its_draft_goes(database: Database, clock: Clock) -> None:
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.STOPPED)
        tx.agents.remove("alice", keep=True, size=100)
        assert [(kept.since, kept.size) for kept in tx.agents.kept()] == [(START, 100)]
    clock.turn(60)
    with database.transaction() as tx:
        assert tx.drafts.insert("alice", "manager", kept=True).kept
        assert tx.agents.kept() == []
        tx.drafts.measure("alice", 200)
        tx.drafts.remove("alice")
        assert [(kept.since, kept.size) for kept in tx.agents.kept()] == [(START, 200)]
        assert tx.agents.kept_since("alice") == START


@pytest.mark.parametrize("kept", [True, False])
def test_what_an_approval_took_up_can_be_given_back(database: Database, clock: Clock, kept: bool) -> None:
    with database.transaction() as tx:
        if kept:
            tx.agents.insert("alice", "agent", Intended.STOPPED)
            tx.agents.remove("alice", keep=True)
        draft = tx.drafts.insert("alice", "manager", kept=kept)
        approval = tx.approvals.insert(Kind.SPAWN_COMMIT, "alice", "manager", sha="a")
    clock.turn(60)
    with database.transaction() as tx:
        assert tx.drafts.give_back(approval.id) is None
        tx.drafts.take_up("alice", approval.id)
        assert tx.drafts.all() == []
        assert tx.drafts.give_back(approval.id) == draft
        assert (tx.drafts.kept_since("alice") == START) is kept
        with pytest.raises(Unknown):
            tx.drafts.take_up("bob", approval.id)
