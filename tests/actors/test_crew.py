"""The crew: who shares its threads waits for nobody's hang, has its turn, and is never run twice at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from hyperhive.actors.address import Address
from hyperhive.actors.crew import HANDS, MESSAGES, Crew, CrewActor
from hyperhive.actors.reply import Waiter
from tests.actors.rig import Quiet
from tests.waiting import eventually


@dataclass(frozen=True)
class Note:
    """Remember who said which."""

    sender: str
    number: int


@dataclass(frozen=True)
class Hold:
    """Block until the gate opens."""

    gate: threading.Event


@dataclass(frozen=True)
class Ask:
    """Say what was noted so far."""

    reply: Waiter[list[Note]]


class Listener(CrewActor):
    """Notes what it hears, and whether it ever was on two threads at once."""

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.heard: list[Note] = []
        self.twice = False
        self._at_work = threading.Lock()

    def handle(self, message: Any) -> None:
        self.twice |= not self._at_work.acquire(blocking=False)
        match message:
            case Note():
                self.heard.append(message)
            case Hold(gate):
                gate.wait(60)
            case Ask(reply):
                reply.set(list(self.heard))
        self._at_work.release()


class Company:
    """Actors of one crew."""

    def __init__(self) -> None:
        self.crew = Crew()
        self.failed: list[Any] = []

    def member(self, name: str = "member") -> Address:
        address = Address(name)
        Listener.start(crew=self.crew, address=address, failed=self.failed.append)
        return address


@pytest.fixture
def company() -> Iterator[Company]:
    company = Company()
    with Quiet():
        yield company
        company.crew.close()
        eventually(lambda: company.crew.threads == 0)


def ask(address: Address) -> list[Note]:
    reply: Waiter[list[Note]] = Waiter()
    address.tell(Ask(reply))
    return reply.get(60)


def test_agents_at_rest_hold_no_threads(company: Company) -> None:
    members = [company.member(f"m{number}") for number in range(500)]
    for member in members:
        assert ask(member) == []
    eventually(lambda: company.crew.threads <= HANDS)


def test_those_that_hang_delay_nobody_and_their_threads_leave_when_they_come_back(company: Company) -> None:
    gate = threading.Event()
    hanging = [company.member(f"h{number}") for number in range(20)]
    others = [company.member(f"o{number}") for number in range(20)]
    for member in hanging:
        member.tell(Hold(gate))
    for member in others:
        assert ask(member) == []
    gate.set()
    for member in hanging:
        assert ask(member) == []
    eventually(lambda: company.crew.threads <= HANDS)


def test_one_whose_mailbox_is_flooded_takes_turns_with_the_others(company: Company) -> None:
    gates = [threading.Event() for _ in range(HANDS)]
    company.crew.close()
    company.crew = Crew(hands=1, most=1)
    flooded, modest = company.member("flooded"), company.member("modest")
    assert ask(flooded) == ask(modest) == []
    flooded.tell(Hold(gates[0]))
    for number in range(100 * MESSAGES):
        flooded.tell(Note("flood", number))
    modest_heard: Waiter[list[Note]] = Waiter()
    behind: list[int] = []
    modest_heard.set = lambda value: behind.append(len(listener(flooded).heard))  # type: ignore[method-assign]
    modest.tell(Ask(modest_heard))
    gates[0].set()
    assert len(ask(flooded)) == 100 * MESSAGES
    assert behind[0] <= MESSAGES


def listener(address: Address) -> Listener:
    actor = address.actor
    assert isinstance(actor, Listener)
    return actor


def test_each_senders_messages_come_in_order_each_once_and_never_two_at_a_time(company: Company) -> None:
    member = company.member()

    def send(sender: str) -> None:
        for number in range(2_000):
            member.tell(Note(sender, number))

    senders = [threading.Thread(target=send, args=(f"s{number}",), daemon=True) for number in range(8)]
    for thread in senders:
        thread.start()
    for thread in senders:
        thread.join(60)
    heard = ask(member)
    assert len(heard) == 8 * 2_000
    for number in range(8):
        assert [note.number for note in heard if note.sender == f"s{number}"] == list(range(2_000))
    assert not listener(member).twice


def test_all_may_hang_but_for_the_most_and_go_on_when_one_comes_back(company: Company) -> None:
    company.crew.close()
    company.crew = Crew(hands=1, most=2)
    gates = [threading.Event() for _ in range(2)]
    with ExitStack() as stack:
        for gate in gates:
            stack.callback(gate.set)
        for number, gate in enumerate(gates):
            company.member(f"h{number}").tell(Hold(gate))
        waiting: Waiter[list[Note]] = Waiter()
        company.member("late").tell(Ask(waiting))
        eventually(lambda: company.crew.threads == 2)
        gates[0].set()
        assert waiting.get(60) == []
        assert company.crew.threads <= 2


def test_one_that_ends_takes_its_thread_with_it_nowhere(company: Company) -> None:
    members = [company.member(f"m{number}") for number in range(50)]
    for member in members:
        ask(member)
    for member in members:
        listener(member).stop()
    for member in members:
        assert listener(member).over.wait(60)
    other = company.member("other")
    assert ask(other) == []


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_whatever_a_turn_raises_the_thread_works_on(company: Company, kind: type[BaseException]) -> None:
    class Breaking:
        def turn(self) -> bool:
            raise kind("why")

    for _ in range(10 * HANDS):
        company.crew.run(Breaking())
    assert ask(company.member()) == []
    assert company.crew.threads <= HANDS + 1


@pytest.mark.slow
def test_where_no_thread_is_to_be_had_nothing_is_lost_and_it_is_tried_again(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []
    start = threading.Thread.start

    def none_left(thread: threading.Thread) -> None:
        if thread.name.startswith("crew"):
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    company.crew.close()
    company.crew = Crew(hands=1)
    first: Waiter[list[Note]] = Waiter()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        company.member("first").tell(Ask(first))
    assert ask(company.member("second")) == []
    assert first.get(60) == []
    gate, behind = threading.Event(), Waiter[list[Note]]()
    with ExitStack() as stack:
        stack.callback(gate.set)
        company.member("hanging").tell(Hold(gate))
        refused.clear()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none_left)
            company.member("behind").tell(Ask(behind))
            eventually(lambda: refused or behind.done)  # there may be a second thread from before
        assert behind.get(60) == []  # though the other still hangs


class Turns:
    """Says that it had its turn, after the gate opened; ``again``: as often as it says ``True``."""

    def __init__(self, said: list[str], name: str, *, again: Callable[[], bool] = lambda: False) -> None:
        self._said, self._name, self._again = said, name, again
        self.begun, self.gate = threading.Event(), threading.Event()

    def turn(self) -> bool:
        self.begun.set()
        self.gate.wait(60)
        self._said.append(self._name)
        return self._again()


class Alone:
    """A crew of one hand that is held up, and what it did."""

    def __init__(self) -> None:
        self.crew = Crew(hands=1, stalled=600)
        self.said: list[str] = []
        self.holding = Turns(self.said, "held")
        self.crew.run(self.holding)
        self.holding.begun.wait(60)

    def run(self, name: str, *, again: Callable[[], bool] = lambda: False) -> None:
        turns = Turns(self.said, name, again=again)
        turns.gate.set()
        self.crew.run(turns)

    def later(self, name: str) -> None:
        self.crew.later(lambda: self.said.append(name))

    def let(self) -> None:
        self.holding.gate.set()


@pytest.fixture
def alone() -> Iterator[Alone]:
    alone = Alone()
    yield alone
    alone.let()
    alone.crew.close()
    eventually(lambda: alone.crew.threads == 0)


def test_what_is_for_later_comes_though_nothing_else_does(alone: Alone) -> None:
    alone.later("later")
    alone.let()
    eventually(lambda: alone.said == ["held", "later"])


def test_what_is_for_later_goes_behind_what_waits(alone: Alone) -> None:
    alone.later("later")
    alone.run("urgent")
    alone.let()
    eventually(lambda: alone.said == ["held", "urgent", "later"])


def test_what_is_for_later_comes_however_much_there_is_to_do(alone: Alone) -> None:
    alone.later("later")
    alone.run("busy", again=lambda: "later" not in alone.said)
    alone.let()
    eventually(lambda: "later" in alone.said)


def test_much_that_is_for_later_comes_each_once(alone: Alone) -> None:
    names = [f"later {number}" for number in range(100)]
    for name in names:
        alone.later(name)
    alone.let()
    eventually(lambda: len(alone.said) == 101)
    assert sorted(alone.said[1:]) == sorted(names)


def test_what_is_for_later_is_done_before_a_crew_that_closes_goes(alone: Alone) -> None:
    alone.later("first")
    alone.later("second")
    alone.crew.close()
    alone.let()
    eventually(lambda: alone.crew.threads == 0)
    assert alone.said == ["held", "first", "second"]


def test_what_fails_later_takes_no_hand_along(alone: Alone, caplog: pytest.LogCaptureFixture) -> None:
    alone.crew.later(lambda: 1 // 0)
    alone.run("next")
    alone.let()
    eventually(lambda: "ZeroDivisionError" in caplog.text)
    eventually(lambda: alone.said == ["held", "next"])
