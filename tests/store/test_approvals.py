"""Approvals are decided once."""

from collections.abc import Iterator

import pytest

from hyperhive.errors import Refused, Unknown
from hyperhive.store.database import Database, Tx
from tests.store.conftest import START


@pytest.fixture
def tx(database: Database) -> Iterator[Tx]:
    with database.transaction() as tx:
        yield tx


def test_an_approval_waits_until_it_is_decided(tx: Tx) -> None:
    wanted = tx.approvals.insert("spawn", "alice", "manager")
    assert (wanted.agent, wanted.requested_by, wanted.requested) == ("alice", "manager", START)
    assert tx.approvals.pending() == [wanted]
    assert tx.approvals.pending_for("alice") == [wanted]
    assert tx.approvals.pending_for("bob") == []
    decided = tx.approvals.decide(wanted.id, state="denied", note="not now", by="operator")
    assert (decided.state, decided.note, decided.by) == ("denied", "not now", "operator")
    assert tx.approvals.get(wanted.id) == decided
    assert tx.approvals.pending() == tx.approvals.pending_for("alice") == []
    with pytest.raises(Refused, match=f"Approval {wanted.id} is decided: denied by operator"):
        tx.approvals.decide(wanted.id, state="approved", note="", by="operator")


def test_what_was_approved_may_still_fail(tx: Tx) -> None:
    wanted = tx.approvals.insert("spawn", "alice", "manager")
    tx.approvals.decide(wanted.id, state="approved", note="", by="operator")
    assert tx.approvals.decide(wanted.id, state="failed", note="no space", by="system").state == "failed"
    with pytest.raises(Refused):
        tx.approvals.decide(wanted.id, state="approved", note="", by="operator")


def test_an_unknown_approval_cannot_be_decided(tx: Tx) -> None:
    assert tx.approvals.get(3) is None
    with pytest.raises(Unknown, match="no approval 3"):
        tx.approvals.decide(3, state="approved", note="", by="operator")


def test_decided_approvals_are_pruned(tx: Tx) -> None:
    gone = tx.approvals.insert("spawn", "alice", "manager")
    stays = tx.approvals.insert("spawn", "bob", "manager")
    tx.approvals.decide(gone.id, state="approved", note="", by="operator")
    assert tx.approvals.prune(keep=0) == 1
    assert tx.approvals.get(gone.id) is None
    assert tx.approvals.pending() == [stays]
