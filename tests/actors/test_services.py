"""Store, hub, broker and gatekeeper, on a whole tree."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hyperhive.actors import broker
from hyperhive.actors.broker import Recv, Send
from hyperhive.actors.gatekeeper import Ask, Close
from hyperhive.actors.hub import EventHub
from hyperhive.actors.reply import Waiter
from hyperhive.actors.retention import Retained
from hyperhive.actors.store import Write
from hyperhive.domain.axes import Transient
from hyperhive.domain.events import Paused
from hyperhive.domain.messages import MAX_BODY, Message
from hyperhive.domain.parts import AgentGone
from hyperhive.domain.recorded import Recorded
from hyperhive.domain.turns import TurnState
from hyperhive.errors import Broken, Invalid, Refused
from hyperhive.store.database import Tx
from tests.actors.rig import Rig
from tests.waiting import eventually


def ask(rig: Rig, ttl: float | None = None, question: str = "Which?") -> Any:
    return _gate(rig, lambda reply: Ask("manager", question, ("a", "b"), False, ttl, reply))


def _gate(rig: Rig, make: Any) -> Any:
    reply: Waiter[Any] = Waiter()
    rig.tree.services.gatekeeper.tell(make(reply))
    return reply.get(60)


def after_each_commit(rig: Rig, monkeypatch: pytest.MonkeyPatch, see: Callable[[], object]) -> None:
    """Look at what each commit has made durable, whatever else is committed meanwhile."""
    commit = rig.database.commit

    def committing() -> None:
        commit()
        see()

    monkeypatch.setattr(rig.database, "commit", committing)


def test_writes_that_wait_together_are_one_commit_and_one_that_fails_fails_alone(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable: list[int] = []
    paused = frozenset({"paused"})
    read = rig.database.reader().events
    after_each_commit(rig, monkeypatch, lambda: durable.append(len(read.after(0, 1000, paused))))
    gate, held = threading.Event(), threading.Event()

    def hold(tx: Tx) -> None:
        held.set()
        gate.wait(60)

    rig.tree.services.store.tell(Write(hold))
    assert held.wait(60)
    replies = [Waiter[int]() for _ in range(100)]
    for number, reply in enumerate(replies):

        def op(tx: Tx, n: int = number) -> int:
            tx.emit(Paused(agent=f"n{n}"))
            if n == 50:
                raise Refused("not this one")
            if n == 51:
                raise ZeroDivisionError
            return n

        rig.tree.services.store.tell(Write(op, reply))
    gate.set()
    for number, reply in enumerate(replies):
        if number in (50, 51):
            with pytest.raises((Refused, ZeroDivisionError)):
                reply.get(60)
        else:
            assert reply.get(60) == number
    assert len({count for count in durable if count}) <= 2
    assert [event.agent for event in read.after(0, 1000, paused)] == [
        f"n{n}" for n in range(100) if n not in (50, 51)
    ]


def test_a_write_that_the_machine_fails_is_refused_and_is_no_bug(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    def op(tx: Tx) -> None:
        tx.emit(Paused(agent="never"))
        raise OSError(24, "Too many open files")

    with pytest.raises(Broken, match=r"Too many open files.*nothing was stored"):
        rig.write(op)
    assert "Traceback" not in caplog.text
    assert not rig.database.reader().events.after(0, 10, frozenset({"paused"}))


def test_an_answer_comes_after_what_was_written_is_visible(rig: Rig) -> None:
    for number in range(50):
        seq = rig.write(lambda tx, n=number: tx.emit(Paused(agent=f"n{n}")).seq)  # type: ignore[misc]  # binds
        assert rig.tree.board.seq >= seq
        assert rig.readers.frames[-1].seq == seq


def test_what_a_failing_hub_did_not_publish_its_successor_does_in_order_and_once(rig: Rig) -> None:
    post = rig.readers.post
    failures = iter([True, False, True, False, False])

    def fail_sometimes(frames: Any, changed: Any) -> None:
        if next(failures, False):
            raise RuntimeError("a reader's bug")
        post(frames, changed)

    first = rig.tree.board.seq
    rig.tree._frames.post = fail_sometimes  # type: ignore[method-assign]  # the seam for faults
    for number in range(20):
        rig.tree.services.store.tell(Write(lambda tx, n=number: tx.emit(Paused(agent=f"n{n}"))))  # type: ignore[misc]  # binds
    rig.wait_for(lambda: rig.tree.board.handed_up >= first + 20)
    seqs = [frame.seq for frame in rig.readers.frames if frame.seq is not None and frame.seq > first]
    assert seqs == list(range(first + 1, first + 21))


def test_a_hub_that_catches_up_holds_back_no_answer_of_others_while_it_reads(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = rig.tree.services.hub.actor
    assert isinstance(hub, EventHub)
    missed, within = hub._missed, [0]
    reading: list[int] = []

    @contextmanager
    def together() -> Iterator[None]:
        within[0] += 1
        yield
        within[0] -= 1

    def catch_up() -> tuple[Recorded, ...]:
        reading.append(within[0])
        return missed()

    rig.flush()
    monkeypatch.setattr(hub, "_missed", catch_up)
    monkeypatch.setattr(hub._frames, "together", together)

    def skip(tx: Tx) -> None:
        rig.tree.board.handed_up -= 1
        tx.emit(Paused(agent="n"))

    rig.write(skip)
    assert reading and not any(reading)


def test_patches_carry_what_changed_and_nothing_else(rig: Rig) -> None:
    rig.spawn("alice")
    rig.flush()
    rig.readers.frames.clear()
    rig.send("operator", "manager", "hello")
    eventually(lambda: rig.view("manager").turn.turn is not None)
    patches = [json.loads(f.data.split(b"data: ")[1]) for f in rig.readers.frames if f.kind == "patch"]
    assert {key for patch in patches for key in patch} == {"agents"}
    assert {agent["name"] for patch in patches for agent in patch["agents"]} == {"manager"}


def test_who_waits_is_served_in_the_senders_own_commit(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.spawn("alice")
    states: list[str] = []

    def see() -> None:
        states.extend(m.state for m in rig.database.reader().messages.conversation("alice", 0, 10))

    taken: Waiter[tuple[Message, ...]] = Waiter()
    token = next(rig.tree.room.tokens)
    rig.tree.services.broker.tell(Recv(token, "alice", 1, 60.0, taken))
    eventually(lambda: rig.tree.room.waiting.get("alice"))
    after_each_commit(rig, monkeypatch, see)
    rig.send("operator", "alice", "quick")
    assert [m.body for m in taken.get(60)] == ["quick"]
    assert states[0] != "unread", "there was a moment at which it was stored and not served"
    assert not rig.tree.room.serving


def test_two_hundred_senders_at_once_are_all_served(rig: Rig) -> None:
    rig.spawn("alice")
    rig.harness("alice").hang_up()
    replies = [Waiter[Message]() for _ in range(200)]
    for number, reply in enumerate(replies):
        rig.tree.services.broker.tell(Send("operator", "alice", f"{number}", reply))
    assert [reply.get(60).body for reply in replies] == [str(number) for number in range(200)]


@pytest.mark.parametrize(
    ("to", "body", "why"),
    [
        ("nobody", "x", "there are: alice, manager, operator|there are: alice, operator"),
        ("alice", " ", "needs a body"),
        ("alice", "\0", "NUL"),
        ("alice", "\ud800", "surrogate"),
        ("alice", "x" * 70_000, "65536 are allowed"),
        ("system", "x", "cannot be sent to from here; name an agent."),
        ("operator", "x", "cannot be sent to from here; name an agent."),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_reason(rig: Rig, to: str, body: str, why: str) -> None:
    rig.spawn("alice")
    with pytest.raises(Refused, match=why):
        rig.send("operator", to, body)


def test_an_agent_whose_end_the_hub_failed_on_is_shown_no_more(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.spawn("alice")
    hub = rig.tree.services.hub.actor
    assert isinstance(hub, EventHub)
    publish = hub._publish

    def failing(events: Any, parts: tuple[object, ...]) -> None:
        if AgentGone("alice") in parts:
            raise RuntimeError("a bug")
        publish(events, parts)

    monkeypatch.setattr(hub, "_publish", failing)
    assert rig.operate(Transient.DESTROYING, "alice").get(60).ok
    eventually(lambda: rig.tree.services.hub.actor not in (hub, None))
    eventually(lambda: rig.tree.board.agent("alice") is None)
    assert rig.told("alice")[-2:] == ["destroyed", "transient_cleared"]


def test_an_agent_that_shows_itself_while_its_end_is_being_recorded_is_no_ghost(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.spawn("alice")
    core = rig.address("alice").actor._core
    remove = core.remove

    def removing(*args: Any, **more: Any) -> None:
        remove(*args, **more)
        core.show()  # as when its harness hangs up in this moment

    monkeypatch.setattr(core, "remove", removing)
    assert rig.operate(Transient.DESTROYING, "alice").get(60).ok
    rig.flush()
    assert rig.tree.board.agent("alice") is None


def test_who_sends_too_much_is_told_to_wait_and_nobody_else_is(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "SENT_AT_ONCE", 4.0 * MAX_BODY)
    monkeypatch.setattr(broker, "SENT_A_SECOND", 64.0)
    rig.restart()
    body = "x" * MAX_BODY
    with pytest.raises(Refused, match=r"wait \d+ s, or put the text in a file and name it") as refusal:
        for _ in range(4):
            rig.send("manager", "operator", body)
    assert refusal.value.code == "too-fast"
    for _ in range(5):
        rig.send("operator", "manager", body)


def test_an_answer_arrives_as_a_message_and_a_second_one_is_told_who_was_first(rig: Rig) -> None:
    view = ask(rig)
    assert [question.id for question in rig.tree.board.snapshot.questions] == [view.id]
    _gate(rig, lambda reply: Close(view.id, "a", "operator", reply))
    bodies = [m.body for m in rig.harness("manager").next_work().messages]
    assert any(body.endswith("The operator answers: a") for body in bodies)
    with pytest.raises(Refused, match="answered already by operator"):
        _gate(rig, lambda reply: Close(view.id, None, "operator", reply))
    assert rig.tree.board.snapshot.questions == ()
    assert rig.told("manager", "question_answered") == ["question_answered"]


def test_a_deadline_holds_also_over_a_restart(rig: Rig) -> None:
    view, other = ask(rig, ttl=60), ask(rig, ttl=6000)
    rig.restart()
    rig.wait_for(lambda: rig.told("manager", "question_answered"))
    found = rig.database.reader().questions.get(view.id)
    assert found is not None
    assert (found.state, found.by) == ("expired", "system")
    eventually(lambda: [question.id for question in rig.tree.board.snapshot.questions] == [other.id])


@pytest.mark.parametrize("ttl", [0, -1, 1e12])
def test_a_deadline_out_of_bounds_is_refused(rig: Rig, ttl: float) -> None:
    with pytest.raises(Invalid, match="ttl_seconds"):
        ask(rig, ttl=ttl)


def test_the_record_is_kept_within_bounds(rig: Rig) -> None:
    rig.kept = Retained(events=10)
    rig.restart()
    for number in range(50):
        rig.write(lambda tx, n=number: tx.emit(Paused(agent=f"n{n}")))  # type: ignore[misc]  # binds
    newest = rig.database.reader().events.newest()
    rig.wait_for(lambda: rig.database.reader().events.oldest() == newest - 9)
    assert rig.database.reader().events.newest() == newest


def test_a_watchers_trouble_reaches_everybody_who_looks(rig: Rig) -> None:
    rig.watcher._in_trouble("cannot watch files (No space left on device)")
    eventually(lambda: rig.tree.board.snapshot.hive.trouble)
    assert b"cannot watch files" in rig.tree.board.json


def test_an_agent_at_rest_waits_on_the_operator_while_its_question_is_open(rig: Rig) -> None:
    view = ask(rig)
    eventually(lambda: rig.view("manager").turn.state is TurnState.WAITING)
    _gate(rig, lambda reply: Close(view.id, "this one", "operator", reply))
    eventually(lambda: rig.view("manager").turn.state is not TurnState.WAITING)


def test_what_a_destroyed_agent_asked_waits_no_longer(rig: Rig) -> None:
    rig.spawn("alice")
    asked = _gate(rig, lambda reply: Ask("alice", "Shall I?", (), False, None, reply))
    assert [view.id for view in rig.tree.board.snapshot.questions] == [asked.id]
    assert rig.operate(Transient.DESTROYING, "alice").get(60).ok
    assert rig.tree.board.snapshot.questions == ()
    assert rig.told("alice", "question_answered") == ["question_answered"]
