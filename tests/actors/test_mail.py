"""Mail under faults: what an answer promises, and what comes again when something fails in between."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from hyperhive.actors.broker import LINGER, MAX_GATHERED, Expire, Recv, Send
from hyperhive.actors.reply import Waiter
from hyperhive.actors.store import Write
from hyperhive.actors.watcher import Cancel
from hyperhive.domain.messages import Message
from hyperhive.domain.names import OPERATOR
from hyperhive.domain.records import AgentRecord, Intended
from hyperhive.errors import Broken, HiveError
from hyperhive.store.agents import Agents
from hyperhive.store.database import Tx
from tests.actors.rig import Rig
from tests.waiting import eventually

LONG = "x" * 10 * 1024 * 1024


@pytest.fixture
def ann(rig: Rig) -> Rig:
    """A hive with an agent ``ann`` whose mail nobody takes but the test."""
    rig.write(lambda tx: tx.agents.insert("ann", "agent", Intended.STOPPED))
    return rig


def send(rig: Rig, body: str, *, to: str = "ann", sender: str = OPERATOR) -> Waiter[Message]:
    reply: Waiter[Message] = Waiter()
    rig.tree.services.broker.tell(Send(sender, to, body, reply))
    return reply


def recv(rig: Rig, name: str = "ann", *, limit: int = 1, wait: float = 0.0) -> Waiter[tuple[Message, ...]]:
    reply: Waiter[tuple[Message, ...]] = Waiter()
    rig.tree.services.broker.tell(Recv(next(rig.tree.room.tokens), name, limit, wait, reply))
    return reply


def bodies(taken: Waiter[tuple[Message, ...]]) -> list[str]:
    return [message.body for message in taken.get(30)]


@contextmanager
def held(rig: Rig) -> Iterator[None]:
    """The Store is busy; what comes meanwhile waits together."""
    gate, busy = threading.Event(), threading.Event()

    def hold(tx: Tx) -> None:
        busy.set()
        gate.wait(60)

    rig.tree.services.store.tell(Write(hold))
    assert busy.wait(30)
    try:
        yield
    finally:
        gate.set()


def test_what_was_handed_over_comes_again_when_the_store_dies_before_that_was_written(ann: Rig) -> None:
    sent = send(ann, "one").get(30)
    assert bodies(recv(ann)) == ["one"]
    assert (
        ann.database.reader().messages.depth("ann") == 1
    )  # nobody waits for its mark: the next commit takes it along
    post = ann.tree.roster.get("#store")
    assert post is not None
    ann.tree.services.store.tell(Write(_dies))
    ann.wait_for(lambda: post.restarts == 1 and post.address.actor is not None)
    assert [message.id for message in recv(ann).get(30)] == [sent.id]
    send(ann, "two").get(30)
    assert bodies(recv(ann, limit=9)) == ["two"]


def _dies(_: Tx) -> None:
    raise SystemExit(1)


def test_a_call_that_ended_leaves_no_timer_behind(ann: Rig) -> None:
    served = recv(ann, wait=77.0)
    send(ann, "one").get(30)
    assert bodies(served) == ["one"]
    token = next(ann.tree.room.tokens)
    gone: Waiter[tuple[Message, ...]] = Waiter()
    ann.tree.services.broker.tell(Recv(token, "ann", 1, 78.0, gone))
    ann.tree.services.broker.tell(Expire("ann", token))
    assert bodies(gone) == []
    assert not {77.0, 78.0}.intersection(ann.watcher.waits())


def test_what_was_handed_over_is_marked_and_told_a_moment_later_by_itself(ann: Rig) -> None:
    send(ann, "one").get(30)
    before = ann.tree.board.seq
    assert bodies(recv(ann)) == ["one"]
    ann.watcher.advance(LINGER)
    eventually(lambda: ann.tree.board.seq > before)
    assert ann.database.reader().messages.depth("ann") == 0
    assert ann.told("ann", "message_sent", "message_delivered") == ["message_sent", "message_delivered"]


def test_a_flush_that_is_due_just_then_comes_behind_what_it_is_to_write(
    ann: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = ann.watcher.after

    def at_once(delay: float, then: Callable[[], None]) -> Cancel:
        if delay != LINGER:
            return after(delay, then)
        then()
        ann.flush()
        return lambda: None

    send(ann, "one").get(30)
    monkeypatch.setattr(ann.watcher, "after", at_once)
    assert bodies(recv(ann)) == ["one"]
    eventually(lambda: ann.database.reader().messages.depth("ann") == 0)


def test_a_message_that_is_not_durable_yet_is_handed_to_nobody(ann: Rig) -> None:
    """Else a commit that fails would have delivered what its sender hears was not sent."""
    with ann.failing("disk I/O error"):
        with held(ann):
            sent = send(ann, "lost")
            taken = recv(ann)
            eventually(lambda: ann.tree.services.store.depth >= 1)
        with pytest.raises(Broken, match="nothing was stored"):
            sent.get(30)
        with suppress(Broken):  # it fell with the commit; or looked behind that, and found nothing
            assert taken.get(30) == ()
    assert bodies(recv(ann)) == []


@pytest.mark.parametrize(
    "error", ["database or disk is full", "disk I/O error", "attempt to write a readonly database"]
)
def test_a_commit_that_fails_is_heard_by_all_its_senders_and_the_next_one_works(ann: Rig, error: str) -> None:
    waiting = recv(ann, wait=100.0)
    with ann.failing(error):
        lost = [send(ann, "lost", sender=sender) for sender in (OPERATOR, "manager") * 20]
        for reply in lost:
            with pytest.raises(Broken, match=error):
                reply.get(30)
        assert ann.tree.board.agent("manager") is not None  # who looks sees the hive all the same
    kept = send(ann, "kept").get(30)
    assert bodies(waiting) == ["kept"]
    assert [m.id for m in ann.database.reader().messages.conversation("ann", 0, 99)] == [kept.id]


def test_each_of_many_that_come_together_gets_its_own_answer(ann: Rig) -> None:
    def spoiled(number: int) -> tuple[str, str]:
        poison = ("", "\0", "\ud800", LONG, "'); DROP TABLE messages; --", f"good {number}")
        return ("nobody" if number % 7 == 6 else "ann"), poison[number % 6]

    with held(ann):
        replies = [send(ann, body, to=to) for to, body in map(spoiled, range(3 * MAX_GATHERED))]
        eventually(lambda: ann.tree.services.broker.depth == 0)
    codes = []
    for reply in replies:
        try:
            codes.append(reply.get(30).body[:4])
        except HiveError as refusal:
            codes.append(str(refusal.code))
    one = ["empty-body", "bad-body", "bad-body", "body-too-long", "'); ", "good"]
    wanted = [one[number % 6] for number in range(3 * MAX_GATHERED)]
    assert [
        "unknown-recipient" if number % 7 == 6 and number % 6 > 3 else code
        for number, code in enumerate(wanted)
    ] == codes
    taken: list[Message] = []
    while batch := recv(ann, limit=32).get(30):
        taken += batch
    assert len(taken) == sum(code in ("'); ", "good") for code in codes)
    assert [message.id for message in taken] == sorted(message.id for message in taken)


def test_mail_to_an_agent_that_is_removed_meanwhile_is_refused_and_the_others_get_theirs(ann: Rig) -> None:
    ann.write(lambda tx: tx.agents.insert("bea", "agent", Intended.STOPPED))
    with held(ann):
        ann.tree.services.store.tell(
            Write(lambda tx: tx._sql.run("UPDATE agents SET ended = 1 WHERE name = 'bea'"))
        )
        gone, kept = send(ann, "x", to="bea"), send(ann, "x")
        eventually(lambda: ann.tree.services.broker.depth == 0)
    with pytest.raises(HiveError, match="There is no agent 'bea'"):
        gone.get(30)
    assert bodies(recv(ann)) == [kept.get(30).body]


def test_what_a_failing_broker_had_gathered_goes_on_its_way(ann: Rig) -> None:
    post = ann.tree.roster.get("#broker")
    assert post is not None
    replies = []
    for number in range(9):
        replies.append(send(ann, str(number)))
        if number % 4 == 3:
            ann.tree.services.broker.tell(Expire(agent=[], token=0))  # type: ignore[arg-type]  # that is the bug
    ann.wait_for(lambda: all(reply.done for reply in replies))
    assert bodies(recv(ann, limit=32)) == [str(number) for number in range(9)]
    assert post.restarts == 2


def test_sixteen_that_send_and_take_at_once_are_all_served_whatever_reads_the_file(ann: Rig) -> None:
    names = [f"n{number}" for number in range(16)]
    for name in names:
        ann.write(lambda tx, n=name: tx.agents.insert(n, "agent", Intended.STOPPED))  # type: ignore[misc]  # binds
    heard: dict[str, list[str]] = {name: [] for name in names}
    over = threading.Event()

    def exchange(name: str) -> None:
        for number in range(12):
            send(ann, str(number), to=name).get(60)
            heard[name] += bodies(recv(ann, name))

    def look() -> None:
        with closing(sqlite3.connect(ann.home / "hive.sqlite")) as other:
            while not over.is_set():
                other.execute("SELECT count(*) FROM messages").fetchall()

    threads = [threading.Thread(target=exchange, args=(name,)) for name in names]
    reader = threading.Thread(target=look)
    reader.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    over.set()
    reader.join(60)
    assert heard == {name: [str(number) for number in range(12)] for name in names}


def test_a_disk_that_fails_while_one_is_refused_stores_nothing_of_what_it_fails(
    ann: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(agents: Agents) -> list[AgentRecord]:
        agents._write.run("ROLLBACK")  # as SQLite itself does when a page cannot be read
        raise Broken("The disk failed.", code="io-error")

    with held(ann):
        monkeypatch.setattr(
            Agents, "all", failing
        )  # asked for the names there are instead of one that is unknown
        answers = [send(ann, "one"), send(ann, "lost", to="nobody"), send(ann, "two")]
    for answer in answers:
        with pytest.raises(Broken):
            answer.get(30)
    monkeypatch.undo()
    assert ann.database.reader().messages.depth("ann") == 0
    assert send(ann, "again").get(30).body == "again"
    assert bodies(recv(ann, limit=5)) == ["again"]
