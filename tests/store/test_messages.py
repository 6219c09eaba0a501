"""Messages are taken once at a time, acknowledged or put back, and never reach a later bearer of a name."""

from collections.abc import Iterator

import pytest

from hyperhive.domain.messages import MAX_ATTEMPTS, MAX_BODY, Message
from hyperhive.domain.records import Intended
from hyperhive.errors import Unknown
from hyperhive.store.database import Database, Tx


@pytest.fixture
def tx(database: Database) -> Iterator[Tx]:
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.RUNNING)
        tx.agents.insert("bob", "agent", Intended.RUNNING)
        yield tx


def bodies(messages: list[Message]) -> list[str]:
    return [message.body for message in messages]


def send(tx: Tx, *texts: str, to: str = "alice") -> list[int]:
    return [tx.messages.insert("bob", to, text).id for text in texts]


def test_the_oldest_unread_come_first_and_belong_to_the_turn(tx: Tx) -> None:
    turn = tx.turns.begin("alice", "bob")
    ids = send(tx, "one", "two", "three")
    assert tx.messages.depth("alice") == 3
    assert (tx.messages.next_sender("alice"), tx.messages.next_sender("carol")) == ("bob", None)
    taken = tx.messages.take("alice", turn=turn, limit=2)
    assert bodies(taken) == ["one", "two"]
    assert {(m.state, m.turn, m.sender, m.to) for m in taken} == {("taken", turn, "bob", "alice")}
    assert tx.messages.depth("alice") == 1
    assert bodies(tx.messages.take("alice", turn=turn)) == ["three"]
    assert tx.messages.take("alice", turn=turn) == []
    assert tx.messages.ack_turn(turn) == 3
    assert tx.messages.ack_turn(turn) == 0
    first = tx.messages.get(ids[0])
    assert first is not None and first.state == "read"


def test_a_batch_is_bounded_in_bytes_but_never_empty(tx: Tx) -> None:
    send(tx, "ä" * 10, "b" * 10, "c" * 10)
    turn = tx.turns.begin("alice", "bob")
    assert len(tx.messages.take("alice", turn=turn, max_bytes=5)) == 1
    assert len(tx.messages.take("alice", turn=turn, max_bytes=19)) == 1
    tx.messages.requeue_turn(turn, counted=False)
    assert len(tx.messages.take("alice", turn=turn, max_bytes=30)) == 2


def test_the_operators_mail_is_read_at_once(tx: Tx) -> None:
    send(tx, "hello", to="operator")
    (message,) = tx.messages.take("operator", turn=None)
    assert message.state == "read"
    assert tx.messages.depth("operator") == 0
    tx.messages.requeue([message.id])
    assert tx.messages.depth("operator") == 1


def test_what_a_turn_did_not_finish_is_unread_again_in_its_old_order(tx: Tx) -> None:
    send(tx, "one", "two")
    turn = tx.turns.begin("alice", "bob")
    tx.messages.take("alice", turn=turn)
    send(tx, "three")
    requeued, aside = tx.messages.requeue_turn(turn, counted=False)
    assert bodies(requeued) == ["one", "two"] and aside == []
    assert {(m.state, m.turn) for m in requeued} == {("unread", None)}
    assert bodies(tx.messages.take("alice", turn=turn)) == ["one", "two", "three"]


def test_a_message_that_fails_every_turn_is_set_aside(tx: Tx) -> None:
    (poison,) = send(tx, "poison")
    turn = tx.turns.begin("alice", "bob")
    for _ in range(MAX_ATTEMPTS - 1):
        tx.messages.take("alice", turn=turn)
        tx.messages.requeue_turn(turn, counted=False)
        tx.messages.take("alice", turn=turn)
        requeued, aside = tx.messages.requeue_turn(turn, counted=True)
        assert bodies(requeued) == ["poison"] and aside == []
    send(tx, "good")
    tx.messages.take("alice", turn=turn)
    requeued, aside = tx.messages.requeue_turn(turn, counted=True)
    assert bodies(requeued) == ["good"]
    assert [(m.id, m.state) for m in aside] == [(poison, "set-aside")]


def test_a_cancelled_recv_puts_back_exactly_its_own(tx: Tx) -> None:
    ids = send(tx, "one", "two", "three")
    turn = tx.turns.begin("alice", "bob")
    tx.messages.take("alice", turn=turn)
    tx.messages.requeue(ids[1:2])
    assert bodies(tx.messages.take("alice", turn=turn)) == ["two"]


def test_a_name_that_is_used_again_gets_no_old_mail(tx: Tx) -> None:
    send(tx, "taken")
    turn = tx.turns.begin("alice", "bob")
    tx.messages.take("alice", turn=turn)
    (unread,) = send(tx, "unread")
    tx.agents.remove("alice", keep=True)
    assert tx.messages.depth("alice") == 0
    tx.agents.insert("alice", "agent", Intended.RUNNING)
    assert tx.messages.depth("alice") == 0
    tx.messages.requeue_turn(turn, counted=False)
    tx.messages.requeue([unread])
    assert tx.messages.take("alice", turn=None) == []


def test_a_destroyed_agents_mail_is_dropped(tx: Tx) -> None:
    ids = send(tx, "read", "taken", "unread")
    turn = tx.turns.begin("alice", "bob")
    tx.messages.take("alice", turn=None, limit=1)
    tx.messages.take("alice", turn=turn, limit=1)
    (others,) = send(tx, "other", to="bob")
    tx.agents.remove("alice", keep=False)
    assert tx.messages.drop("alice") == 2
    assert tx.messages.drop("nobody") == 0
    states = [message.state for id in [*ids, others] if (message := tx.messages.get(id))]
    assert states == ["read", "dropped", "dropped", "unread"]


def test_nobody_gets_mail_who_is_not_there(tx: Tx) -> None:
    with pytest.raises(Unknown, match="no agent called 'carol'"):
        tx.messages.insert("bob", "carol", "hello")


def test_a_conversation_shows_the_last_messages_or_those_behind_one(tx: Tx) -> None:
    ids = [
        tx.messages.insert(sender, to, f"{sender} to {to}").id
        for sender, to in [("alice", "bob"), ("bob", "operator"), ("operator", "alice"), ("alice", "alice")]
    ]
    shown = tx.messages.conversation
    assert [m.id for m in shown(None, 0, 3)] == ids[1:]
    assert [m.id for m in shown(None, ids[0], 2)] == ids[1:3]
    assert [m.id for m in shown("alice", 0, 10)] == [ids[0], ids[2], ids[3]]
    assert [m.id for m in shown("alice", 0, 2)] == ids[2:]
    assert [m.id for m in shown("alice", ids[0], 1)] == [ids[2]]
    assert [m.body for m in tx.messages.inbox()] == ["bob to operator"]


def test_old_messages_are_pruned_but_none_that_waits_for_someone(tx: Tx) -> None:
    send(tx, "read", "waiting")
    tx.messages.take("alice", turn=None, limit=1)
    send(tx, "to a dead one", to="bob")
    tx.agents.remove("bob", keep=False)
    tx.messages.insert("alice", "operator", "for the operator")
    newest = tx.messages.insert("alice", "operator", "newest").id
    assert tx.messages.prune(keep=1) == 2
    assert [m.body for m in tx.messages.conversation(None, 0, 9)] == ["waiting", "for the operator", "newest"]
    tx.messages.take("operator", turn=None)
    assert tx.messages.prune(keep=0) == 2
    assert tx.messages.insert("alice", "operator", "next").id == newest + 1


def test_the_operators_inbox_is_shown_within_bounds(tx: Tx) -> None:
    send(tx, *(f"{n} " + "ø" * 30_000 for n in range(9)), to="operator")
    shown = tx.messages.inbox()
    assert [message.body[0] for message in shown] == ["5", "6", "7", "8"]
    assert [message.body[0] for message in tx.messages.inbox(limit=2)] == ["7", "8"]
    assert tx.messages.depth("operator") == 9


def test_long_bodies_make_shorter_pages_that_go_on_behind_the_last(tx: Tx) -> None:
    for _ in range(60):
        tx.messages.insert("alice", "operator", "x" * MAX_BODY)
    for peer in (None, "alice"):
        page = tx.messages.conversation(peer, 1, 1000)
        assert 1 < len(page) < 59
        assert tx.messages.conversation(peer, page[-1].id, 1000)[0].id == page[-1].id + 1
