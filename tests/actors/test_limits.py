"""What agents and callers can make grow ends at a number, with a sentence that says what to do."""

from typing import Any

import pytest

from hyperhive.actors import entry
from hyperhive.actors.agent import MAX_LOG
from hyperhive.actors.broker import MAX_WAITERS, Recv
from hyperhive.actors.line import MAX_QUEUED
from hyperhive.actors.observer import _MAX_CREDENTIALS, CREDENTIALS, stored_token
from hyperhive.actors.questions import MAX_OPEN, MAX_OPTIONS, MAX_TEXT, Ask, Close
from hyperhive.actors.reply import IGNORE, Waiter
from hyperhive.domain.axes import Transient
from hyperhive.domain.messages import MAX_UNREAD
from hyperhive.errors import HiveError, Invalid, Refused
from hyperhive.store.database import Tx
from tests.actors.rig import Rig
from tests.waiting import eventually


def asks(rig: Rig, question: str = "Which?", options: tuple[str, ...] = ()) -> Any:
    reply: Waiter[Any] = Waiter()
    rig.tree.services.gatekeeper.tell(Ask("manager", question, options, False, None, reply))
    return reply.get(60)


def test_a_full_inbox_takes_nothing_until_it_is_read(rig: Rig) -> None:
    rig.spawn("alice")
    with rig.busy("alice"):  # it does not look at its mail

        def fill(tx: Tx) -> None:
            for number in range(MAX_UNREAD):
                tx.messages.insert("manager", "alice", f"{number}")

        rig.write(fill)
        with pytest.raises(
            Refused, match=f"The inbox of 'alice' is full \\({MAX_UNREAD} unread\\)"
        ) as refusal:
            rig.send("manager", "alice")
        assert refusal.value.code == "inbox-full"
        rig.send("manager", "operator", "others are not full")


def test_only_so_many_calls_wait_on_one_inbox(rig: Rig) -> None:
    for token in range(MAX_WAITERS):
        rig.tree.services.broker.tell(Recv(-token, "operator", 1, 100.0, IGNORE))
    waits: Waiter[Any] = Waiter()
    eventually(lambda: len(rig.tree.room.waiting.get("operator", ())) == MAX_WAITERS)
    rig.tree.services.broker.tell(Recv(-1000, "operator", 1, 100.0, waits))
    with pytest.raises(Refused, match=f"{MAX_WAITERS} calls already wait on this inbox; end one first"):
        waits.get(60)


def test_an_agent_has_so_many_open_questions(rig: Rig) -> None:
    first = asks(rig)
    for _ in range(MAX_OPEN - 1):
        asks(rig)
    with pytest.raises(Refused, match=f"{MAX_OPEN} of your questions are open already; wait for an answer"):
        asks(rig)
    closed: Waiter[Any] = Waiter()
    rig.tree.services.gatekeeper.tell(Close(first.id, "this", "operator", closed))
    closed.get(60)
    asks(rig)


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("x" * (MAX_TEXT + 1), ()),
        ("Which?", tuple(f"{number}" for number in range(MAX_OPTIONS + 1))),
        ("Which?", ("x" * (MAX_TEXT + 1),)),
    ],
)
def test_a_question_has_a_size(rig: Rig, question: str, options: tuple[str, ...]) -> None:
    with pytest.raises(Invalid, match=f"{MAX_OPTIONS} options of {MAX_TEXT} characters at most"):
        asks(rig, question, options)


def test_a_hive_holds_so_many_agents(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "MAX_AGENTS", 2)
    rig.spawn("alice")
    reply: Waiter[Any] = Waiter()
    rig.tree.spawn("bob", by="operator", reply=reply)
    with pytest.raises(Refused, match="A hive holds 2 agents at most; destroy one first") as refusal:
        reply.get(60)
    assert refusal.value.code == "too-many-agents"


def test_behind_an_operation_only_so_many_wait(rig: Rig) -> None:
    rig.spawn("alice")
    rig.runtime.mute.add("alice")  # the one under way does not end by itself
    kinds = [Transient.RESTARTING, Transient.STOPPING, Transient.STARTING] * MAX_QUEUED
    refused: list[HiveError] = []
    for kind in kinds:
        try:
            rig.operate(kind, "alice")
        except HiveError as error:
            refused.append(error)
    assert refused
    assert {error.code for error in refused} == {"busy"}
    assert "more waits already; try again after" in refused[0].message


def test_a_credentials_file_that_is_too_large_is_no_login(rig: Rig) -> None:
    rig.log_in("manager", "t" * 100)
    file = rig.layout.agent("manager").claude / CREDENTIALS
    assert stored_token(file) == "t" * 100
    rig.log_in("manager", "t" * _MAX_CREDENTIALS)
    assert stored_token(file) is None


def test_a_containers_log_is_cut_at_the_next_look(rig: Rig) -> None:
    log = rig.layout.agent("manager").log
    with log.open("ab") as file:
        file.write(b"x" * 100 + b"\n")
        file.write((b"y" * 99 + b"\n") * (MAX_LOG // 100 + 1))
    rig.wait_for(lambda: log.read_bytes().startswith(b"[earlier lines were cut]"))
    assert log.stat().st_size < MAX_LOG
