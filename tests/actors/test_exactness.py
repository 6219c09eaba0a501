"""Each real transition is told once, whatever fails while it is being told."""

import sqlite3
import threading

import pytest

from hyperhive.actors.broker import Send
from hyperhive.actors.job import Result
from hyperhive.actors.reply import Waiter
from hyperhive.actors.requests import Operate
from hyperhive.actors.store import Write
from hyperhive.domain.axes import Transient
from hyperhive.domain.events import Paused
from hyperhive.domain.turns import Outcome
from hyperhive.errors import Broken
from hyperhive.store.database import Database, Tx
from tests.actors.rig import Rig
from tests.waiting import eventually


class FullDisk:
    """While it lasts, nothing can be committed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._commit = database.commit
        self.refused = 0

    def __enter__(self) -> "FullDisk":
        self._database.commit = self._refuse  # type: ignore[method-assign]  # the seam for faults
        return self

    def __exit__(self, *_: object) -> None:
        self._database.commit = self._commit  # type: ignore[method-assign]

    def _refuse(self) -> None:
        self.refused += 1
        self._database.rollback()
        raise sqlite3.OperationalError("database or disk is full")


class Slow:
    """Holds the Store in the middle of a batch, so that what comes next waits behind it."""

    def __init__(self, rig: Rig) -> None:
        self._gate = threading.Event()
        self._held = threading.Event()
        rig.tree.services.store.tell(Write(self._hold))

    def _hold(self, tx: Tx) -> None:
        self._held.set()
        self._gate.wait(60)

    def __enter__(self) -> "Slow":
        assert self._held.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.set()


def test_a_stop_is_over_when_what_was_told_before_is_durable(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    commit, store = rig.database.commit, rig.tree.services.store.actor
    assert store is not None

    def stop() -> None:
        rig.tree.stop()
        order.append("stopped")

    stopping = threading.Thread(target=stop)

    def slow() -> None:
        stopping.join(0.5)
        commit()
        order.append("durable")

    with Slow(rig):
        rig.tree.services.store.tell(Write(lambda tx: tx.emit(Paused(agent="last"))))
        monkeypatch.setattr(rig.database, "commit", slow)
        stopping.start()
        eventually(lambda: rig.tree.services.store.depth == 2)
    stopping.join(60)
    assert order == ["durable", "stopped"]
    assert rig.told("last") == ["paused"]


@pytest.mark.parametrize(
    "error", [RuntimeError("bug"), SystemExit(1), KeyboardInterrupt(), GeneratorExit(), MemoryError()]
)
def test_an_actor_that_fails_behind_an_unwritten_crash_does_not_tell_it_twice(
    rig: Rig, error: BaseException
) -> None:
    rig.spawn("alice")
    with Slow(rig):
        rig.runtime.crash("alice")
        eventually(lambda: rig.address("alice").actor._core.record.handle is None)
        rig.crash_actor("alice", error)
        eventually(lambda: rig.restarts("alice") == 1)
    eventually(lambda: rig.told("alice", "started") == ["started", "started"])
    rig.settled("alice")
    assert rig.told("alice", "container_crash") == ["container_crash"]
    assert rig.told("alice", "agent_recovered") == ["agent_recovered"]


def test_a_crash_that_could_not_be_recorded_is_told_once_it_can_be(rig: Rig) -> None:
    rig.spawn("alice")
    with FullDisk(rig.database) as disk:
        rig.runtime.crash("alice")
        eventually(lambda: disk.refused >= 2)
        rig.wait_for(lambda: disk.refused >= 4)
    assert "container_crash" not in rig.told("alice")
    rig.wait_for(lambda: len(rig.told("alice", "started")) == 2)
    rig.settled("alice")
    rig.flush()
    assert rig.told("alice", "container_crash") == ["container_crash"]


def test_a_change_built_on_one_that_was_lost_is_not_stored_either(rig: Rig) -> None:
    rig.spawn("alice")
    with Slow(rig), FullDisk(rig.database):
        rig.runtime.crash("alice")
        eventually(lambda: rig.address("alice").actor._core.record.handle is None)
        rig.config("alice", 'model = "opus"\n')
        eventually(lambda: rig.address("alice").actor._core.record.axes.revision == "stale")
    rig.wait_for(lambda: len(rig.told("alice", "started")) == 2)
    rig.settled("alice")
    assert sorted(rig.told("alice", "container_crash", "needs_update")) == ["container_crash", "needs_update"]


def test_the_end_of_a_turn_that_could_not_be_recorded_is_not_acknowledged_and_said_again(rig: Rig) -> None:
    rig.spawn("alice")
    rig.send("operator", "alice", "work")
    harness = rig.harness("alice")
    harness.next_work()
    acked = harness.acked
    with FullDisk(rig.database) as disk:
        harness.over()
        eventually(lambda: disk.refused)
    rig.wait_for(lambda: harness.closed)
    assert harness.acked == acked
    harness.connect()
    harness.n -= 1
    n = harness.over()
    eventually(lambda: harness.acked == n)
    assert rig.told("alice", "turn_ended") == ["turn_ended"]


def test_an_operation_whose_end_could_not_be_recorded_is_under_way_until_it_can_be(rig: Rig) -> None:
    rig.spawn("alice")
    rig.runtime.hang_next = gate = threading.Event()
    stop = rig.operate(Transient.STOPPING, "alice")
    with FullDisk(rig.database) as disk:
        gate.set()
        eventually(lambda: disk.refused >= 2)
        assert rig.view("alice").transient == "stopping"
    rig.wait_for(lambda: rig.view("alice").transient is None)
    rig.watcher.advance(12)
    rig.flush()
    assert stop.get(60).ok
    assert rig.told("alice", "stopped", "container_crash") == ["stopped"]
    assert rig.view("alice").container == "stopped"


def test_a_send_that_cannot_be_stored_is_heard_and_the_next_one_works(rig: Rig) -> None:
    rig.spawn("alice")
    with FullDisk(rig.database), pytest.raises(Broken, match="nothing was stored"):
        rig.send("operator", "alice", "lost")
    rig.send("operator", "alice", "kept")
    assert [m.body for m in rig.harness("alice").next_work().messages] == ["kept"]


def test_an_actor_that_fails_before_its_operation_began_begins_it_after(rig: Rig) -> None:
    rig.spawn("alice")
    with Slow(rig):
        pid = rig.view("alice").pid
        rig.address("alice").tell(Operate(Transient.RESTARTING, "operator"))
        rig.crash_actor("alice")
        eventually(lambda: rig.restarts("alice") == 1)
    eventually(lambda: rig.view("alice").pid not in (pid, None) and rig.view("alice").transient is None)
    assert rig.told("alice", "started", "container_crash") == ["started", "started"]


def test_messages_to_an_actor_that_is_being_brought_back_are_handled_in_order(rig: Rig) -> None:
    rig.spawn("alice")
    with Slow(rig):
        rig.crash_actor("alice")
        stop = _operate(rig, Transient.STOPPING)
        start = _operate(rig, Transient.STARTING)
        eventually(lambda: rig.restarts("alice") == 1)
    assert stop.get(60).ok
    assert start.get(60).ok
    rig.settled("alice")
    assert rig.told("alice", "stopped", "started", "container_crash") == ["started", "stopped", "started"]


def test_an_actor_that_fails_with_a_turn_half_opened_loses_no_message(rig: Rig) -> None:
    rig.spawn("alice")
    with Slow(rig):
        rig.tree.services.broker.tell(Send("operator", "alice", "hello"))
        rig.crash_actor("alice")
        eventually(lambda: rig.restarts("alice") == 1)
    harness = rig.harness("alice")
    eventually(lambda: harness.closed)
    harness.connect()
    work = harness.next_work()
    harness.over(Outcome.DONE)
    eventually(lambda: "turn_ended" in rig.told("alice"))
    assert [m.body for m in work.messages] == ["hello"]


def _operate(rig: Rig, kind: Transient) -> Waiter[Result]:
    done: Waiter[Result] = Waiter()
    rig.address("alice").tell(Operate(kind, "operator", done=done))
    return done
