"""Approvals are decided once, built once, and keep who decided."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from hyperhive.domain.approvals import Kind, State
from hyperhive.errors import Refused, Unknown
from hyperhive.store.approvals import MAX_THREAD
from hyperhive.store.database import Database, Tx
from tests.store.conftest import START


@pytest.fixture
def tx(database: Database) -> Iterator[Tx]:
    with database.transaction() as tx:
        yield tx


def test_an_approval_waits_until_it_is_decided(tx: Tx) -> None:
    wanted = tx.approvals.insert(
        Kind.APPLY_COMMIT, "alice", "manager", sha="ab" * 20, summary="Use opus", description="It is better."
    )
    assert (wanted.agent, wanted.requested_by, wanted.requested) == ("alice", "manager", START)
    assert (wanted.sha, wanted.summary, wanted.thread) == ("ab" * 20, "Use opus", wanted.id)
    assert tx.approvals.pending() == [wanted]
    assert tx.approvals.pending_for("alice") == [wanted]
    assert tx.approvals.pending_for("bob") == []
    decided = tx.approvals.step(wanted.id, State.DENIED, by="operator", where="command line", note="not now")
    assert (decided.state, decided.note, decided.by) == (State.DENIED, "not now", "operator")
    assert (decided.decided, decided.where) == (START, "command line")
    assert tx.approvals.get(wanted.id) == decided
    assert tx.approvals.pending() == tx.approvals.pending_for("alice") == []
    assert tx.approvals.decided(None, 10) == [decided]
    with pytest.raises(
        Refused, match=f"{wanted.id} was decided already: denied by operator at 2026-01-31 12:00:00 UTC"
    ):
        tx.approvals.step(wanted.id, State.APPROVED, by="operator")


def test_what_was_approved_is_built_oldest_first_and_keeps_who_decided(tx: Tx) -> None:
    first, second = (tx.approvals.insert(Kind.APPLY_COMMIT, "alice", "manager", sha=sha) for sha in "ab")
    for view in (first, second):
        tx.approvals.step(view.id, State.APPROVED, by="operator", where="dashboard", note="fine")
    assert [view.id for view in tx.approvals.unended_for("alice")] == [first.id, second.id]
    assert tx.approvals.to_build("bob") is None
    tx.approvals.step(first.id, State.BUILDING)
    again = tx.approvals.step(first.id, State.BUILDING)
    assert tx.approvals.to_build("alice") == again
    failed = tx.approvals.step(first.id, State.FAILED, outcome="no space")
    assert (failed.outcome, failed.by, failed.where, failed.note) == (
        *("no space", "operator", "dashboard", "fine"),
    )
    deployed = [tx.approvals.step(second.id, state) for state in (State.BUILDING, State.DEPLOYED)][-1]
    assert tx.approvals.to_build("alice") is None
    assert tx.approvals.last_approved("alice") == deployed
    assert tx.approvals.last_approved("alice", before=second.id) == failed
    with pytest.raises(Refused, match=r"approved by operator at .*; its build failed"):
        tx.approvals.step(first.id, State.APPROVED, by="operator")


def test_an_agent_from_the_first_config_gets_its_commit_when_it_is_built(tx: Tx) -> None:
    wanted = tx.approvals.insert(Kind.SPAWN, "alice", "manager")
    assert tx.approvals.step(wanted.id, State.APPROVED, by="operator").sha is None
    assert tx.approvals.step(wanted.id, State.BUILDING, sha="c").sha == "c"
    assert tx.approvals.step(wanted.id, State.DEPLOYED).sha == "c"


def test_what_came_of_a_revision_is_one_thread(tx: Tx) -> None:
    first = tx.approvals.insert(Kind.APPLY_COMMIT, "alice", "manager", sha="a")
    other = tx.approvals.insert(Kind.APPLY_COMMIT, "bob", "manager", sha="b")
    first = tx.approvals.step(first.id, State.REVISE, by="operator", note="shorter")
    second = tx.approvals.insert(Kind.APPLY_COMMIT, "alice", "manager", sha="c", thread=first.thread)
    assert tx.approvals.thread(second.id) == tx.approvals.thread(first.id) == [first, second]
    assert tx.approvals.thread(other.id) == [other]
    assert tx.approvals.thread(99) == []
    assert tx.approvals.last_of("alice") == second
    assert tx.approvals.last_of("alice", before=second.id) == first
    assert tx.approvals.last_of("carol") is None


def test_of_a_long_thread_the_newest_are_read_and_the_one_asked_for(tx: Tx) -> None:
    first = tx.approvals.insert(Kind.APPLY_COMMIT, "alice", "manager", sha="a")
    ids = [first.id]
    for _ in range(MAX_THREAD + 20):
        tx.approvals.step(ids[-1], State.SUPERSEDED, by="manager")
        ids.append(tx.approvals.insert(Kind.APPLY_COMMIT, "alice", "manager", thread=first.thread).id)
    assert [view.id for view in tx.approvals.thread(ids[-1])] == ids[-MAX_THREAD:]
    assert [view.id for view in tx.approvals.thread(ids[3])] == [ids[3], *ids[-MAX_THREAD:]]


def test_deadlines_are_found_earliest_first(tx: Tx) -> None:
    assert tx.approvals.next_deadline() is None
    late, soon = START + timedelta(seconds=60), START + timedelta(seconds=30)
    last = tx.approvals.insert(Kind.SPAWN, "alice", "manager", deadline=late)
    first = tx.approvals.insert(Kind.SPAWN, "bob", "manager", deadline=soon)
    tx.approvals.insert(Kind.SPAWN, "carol", "manager")
    assert (first.deadline, tx.approvals.next_deadline()) == (soon, soon)
    assert tx.approvals.due(START) == []
    assert tx.approvals.due(late) == [first, last]
    tx.approvals.step(first.id, State.EXPIRED, by="system")
    assert tx.approvals.next_deadline() == late
    assert tx.approvals.due(soon) == []


def test_an_unknown_approval_cannot_be_decided(tx: Tx) -> None:
    assert tx.approvals.get(3) is None
    with pytest.raises(Unknown, match=r"^There is no approval 3; none waits\.$"):
        tx.approvals.step(3, State.DENIED, by="operator")


def test_a_refusal_says_which_approvals_wait(tx: Tx) -> None:
    ids = [tx.approvals.insert(Kind.SPAWN, f"a{number}", "manager").id for number in range(22)]
    tx.approvals.step(ids[0], State.DENIED, by="operator")
    tx.approvals.step(ids[1], State.DENIED, by="operator")
    with pytest.raises(Unknown, match=rf"^There is no approval 99; what waits: {ids[2]}, .*, {ids[-1]}\.$"):
        tx.approvals.known(99)
    tx.approvals.insert(Kind.SPAWN, "more", "manager")
    with pytest.raises(Unknown, match=rf", {ids[-1]}, …\.$"):
        tx.approvals.known(99)


def test_ended_approvals_are_pruned_and_shown_page_by_page(tx: Tx) -> None:
    gone, building, waits = (tx.approvals.insert(Kind.SPAWN, name, "manager") for name in "abc")
    tx.approvals.step(gone.id, State.WITHDRAWN, by="manager")
    tx.approvals.step(building.id, State.APPROVED, by="operator")
    assert [view.id for view in tx.approvals.decided(None, 1)] == [building.id]
    assert [view.id for view in tx.approvals.decided(building.id, 5)] == [gone.id]
    assert tx.approvals.prune(keep=0) == 1
    assert tx.approvals.get(gone.id) is None
    assert tx.approvals.pending() == [waits]
    assert tx.approvals.to_build("b") is not None
