"""An agent's container: operations, ends planned and not, and what is told of them."""

import errno
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from hyperhive.actors.agent import Pause, Resume, Tick
from hyperhive.actors.job import Done
from hyperhive.actors.lifecycle import Lifecycle
from hyperhive.actors.reply import Waiter
from hyperhive.actors.requests import Accepted, Operate
from hyperhive.actors.store import Write
from hyperhive.actors.supervisor import Release
from hyperhive.domain.axes import Transient
from hyperhive.domain.records import Intended
from hyperhive.errors import Broken, Gone, Refused
from hyperhive.runtimes import proc
from hyperhive.shortage import AGAIN
from tests.actors.rig import Quiet, Rig
from tests.waiting import eventually

LIFE = ("spawned", "started", "stopped", "rebuilt", "destroyed", "container_crash", "agent_quarantined")


def test_a_spawned_agent_is_told_and_runs(rig: Rig) -> None:
    rig.spawn("alice")
    assert rig.told("alice") == ["transient_set", "spawned", "started", "transient_cleared"]
    view = rig.view("alice")
    assert (view.container, view.login, view.revision, view.pid is not None) == (
        "running",
        "logged-in",
        "up-to-date",
        True,
    )


def test_a_planned_stop_is_no_crash_and_stays(rig: Rig) -> None:
    rig.spawn("alice")
    assert rig.operate(Transient.STOPPING, "alice").get(60).ok
    assert rig.told("alice", *LIFE)[2:] == ["stopped"]
    rig.restart()
    eventually(lambda: rig.view("alice").container == "stopped")
    rig.flush()
    assert rig.told("alice", *LIFE)[2:] == ["stopped"]
    assert rig.view("alice").transient is None
    assert rig.operate(Transient.STARTING, "alice").get(60).ok
    assert rig.told("alice", *LIFE)[2:] == ["stopped", "started"]


@pytest.mark.parametrize("kind", [Transient.RESTARTING, Transient.REBUILDING])
def test_an_operation_that_ends_the_container_tells_no_crash(rig: Rig, kind: Transient) -> None:
    rig.spawn("alice")
    rig.config("alice", 'model = "opus"\n')
    first = rig.view("alice").pid
    assert rig.operate(kind, "alice").get(60).ok
    assert "container_crash" not in rig.told("alice")
    assert rig.settled("alice").pid != first


def test_a_crash_is_told_once_and_started_again_with_growing_delay_until_it_is_quarantined(rig: Rig) -> None:
    rig.spawn("alice")
    for crash in range(1, 5):
        rig.runtime.crash("alice")
        eventually(lambda n=crash: rig.told("alice", "container_crash") == ["container_crash"] * n)  # type: ignore[misc]  # binds
        if crash > 1:
            eventually(lambda: rig.view("alice").restart_at is not None)
            view = rig.view("alice")
            assert view.restart_at is not None
            assert view.since is not None
            assert (view.restart_at - view.since).total_seconds() == pytest.approx(
                2.0 ** (crash - 2), abs=0.9
            )
            rig.watcher.advance(2.0 ** (crash - 2))
        eventually(lambda n=crash: rig.told("alice", "started") == ["started"] * (n + 1))  # type: ignore[misc]  # binds
        rig.settled("alice")
    rig.runtime.crash("alice")
    eventually(lambda: rig.view("alice").quarantined is not None)
    assert rig.told("alice", *LIFE)[-2:] == ["container_crash", "agent_quarantined"]
    rig.watcher.advance(120)
    rig.restart()
    rig.watcher.advance(120)
    rig.flush()
    assert rig.view("alice").container == "stopped"
    with pytest.raises(Refused, match="quarantined"):
        rig.operate(Transient.STARTING, "alice", by="manager")
    done: Waiter[object] = Waiter()
    rig.address("alice").tell(Resume(by="operator", done=done))
    done.get(60)
    rig.settled("alice")
    assert rig.view("alice").quarantined is None


def test_an_agent_that_is_never_restarted_stays_down_also_after_its_actor_or_the_daemon_restarts(
    rig: Rig,
) -> None:
    rig.spawn("alice")
    rig.config("alice", 'restart = "never"\n')
    assert rig.operate(Transient.REBUILDING, "alice").get(60).ok
    rig.settled("alice")
    rig.runtime.crash("alice")
    eventually(lambda: rig.view("alice").container == "stopped")
    rig.crash_actor("alice")
    eventually(lambda: "agent_recovered" in rig.told("alice"))
    rig.restart()
    rig.watcher.advance(120)
    rig.flush()
    assert rig.view("alice").container == "stopped"
    assert rig.told("alice", "container_crash") == ["container_crash"]


def test_a_crash_while_starting_is_told_as_such_and_the_spawn_as_failed(rig: Rig) -> None:
    rig.runtime.mute.add("alice")
    rig.tree.spawn("alice", by="operator", reply=Waiter())
    eventually(lambda: "alice" in rig.runtime._handles)
    eventually(lambda: rig.record("alice").handle is not None)
    rig.runtime.crash("alice")
    eventually(lambda: "spawned" in rig.told("alice"))
    told = [
        e.text for e in rig.database.reader().events.after(0, 100, frozenset({"container_crash", "spawned"}))
    ]
    assert '"agent":"alice","note":"while spawning","exit":"killed by SIGKILL"' in told[-2]
    assert '"ok":false' in told[-1]


def test_a_rebuild_whose_config_is_refused_leaves_the_container_alone(rig: Rig) -> None:
    rig.spawn("alice")
    pid = rig.view("alice").pid
    rig.config("alice", "modle = 'opus'\n")
    result = rig.operate(Transient.REBUILDING, "alice").get(60)
    assert (result.ok, result.note) == (False, "agent.toml: modle: unknown key.")
    assert rig.view("alice").pid == pid
    assert rig.told("alice", "rebuilt", "container_crash") == ["rebuilt"]


def test_a_rebuild_that_does_not_come_up_goes_back(rig: Rig) -> None:
    rig.spawn("alice")
    rig.config("alice", 'model = "opus"\n')
    rig.runtime.fail_next_start = "no such image"
    result = rig.operate(Transient.REBUILDING, "alice").get(60)
    assert not result.ok
    assert result.note == "no such image; went back to generation 1"
    assert rig.settled("alice").revision == "stale"
    assert rig.record("alice").generation == 1
    assert "container_crash" not in rig.told("alice")


def test_fifty_updates_at_once_are_one_rebuild_with_one_result(rig: Rig) -> None:
    rig.spawn("alice")
    rig.config("alice", 'model = "opus"\n')
    eventually(lambda: rig.view("alice").revision == "stale")
    rig.runtime.hang_next = gate = threading.Event()
    waiting = [rig.operate(Transient.REBUILDING, "alice") for _ in range(50)]
    gate.set()
    assert {waiter.get(60) for waiter in waiting} == {waiting[0].get(60)}
    assert waiting[0].get(60).ok
    assert rig.told("alice", "rebuilt") == ["rebuilt"]
    assert rig.settled("alice").model == "opus"


def test_an_update_to_a_newer_target_waits_for_the_one_under_way(rig: Rig) -> None:
    rig.spawn("alice")
    rig.config("alice", 'model = "opus"\n')
    rig.runtime.hang_next = gate = threading.Event()
    first = rig.operate(Transient.REBUILDING, "alice")
    rig.config("alice", 'model = "haiku"\n')
    second = rig.operate(Transient.REBUILDING, "alice")
    gate.set()
    assert first.get(60).ok
    assert second.get(60).ok
    assert rig.told("alice", "rebuilt") == ["rebuilt", "rebuilt"]
    assert rig.settled("alice").model == "haiku"


def test_an_update_that_changes_nothing_restarts_nothing(rig: Rig) -> None:
    rig.spawn("alice")
    pid = rig.view("alice").pid
    assert rig.operate(Transient.REBUILDING, "alice").get(60).note == "nothing to change"
    assert rig.view("alice").pid == pid


def test_a_runtime_that_hangs_is_given_up_and_delays_nobody_else(rig: Rig) -> None:
    rig.spawn("alice")
    rig.spawn("bob")
    rig.runtime.hang_next = gate = threading.Event()
    stop = rig.operate(Transient.STOPPING, "alice")
    eventually(lambda: rig.runtime.hang_next is None)
    assert rig.operate(Transient.RESTARTING, "bob").get(60).ok
    paused: Waiter[Accepted] = Waiter()
    rig.address("alice").tell(Pause(paused))
    paused.get(60)
    rig.watcher.advance(301)
    result = stop.get(60)
    assert (result.ok, result.note) == (False, "no end after 300 s; given up")
    eventually(lambda: rig.view("alice").transient is None)
    gate.set()
    rig.watcher.advance(12)
    eventually(lambda: rig.view("alice").container in ("running", "stopped"))


def test_a_start_that_was_given_up_leaves_no_second_container(rig: Rig) -> None:
    others = set(threading.enumerate())
    rig.spawn("alice")
    assert rig.operate(Transient.STOPPING, "alice").get(60).ok
    rig.runtime.hang_next = gate = threading.Event()
    start = rig.operate(Transient.STARTING, "alice")
    eventually(lambda: rig.runtime.hang_next is None)
    rig.watcher.advance(301)
    assert not start.get(60).ok
    gate.set()
    view = rig.comes_back("alice")  # after a backoff, if the late one was first and the next was refused
    eventually(lambda: not any(t.name == "job-starting" for t in set(threading.enumerate()) - others))
    assert [handle.pid for handle in rig.runtime.running("alice")] == [view.pid]


def test_a_stop_is_quick_while_a_runtime_hangs(rig: Rig) -> None:
    rig.spawn("alice")
    rig.runtime.hang_next = gate = threading.Event()
    rig.operate(Transient.STOPPING, "alice")
    done = threading.Thread(target=rig.tree.stop)
    done.start()
    done.join(60)
    assert not done.is_alive()
    gate.set()


def test_a_crash_while_the_daemon_was_away_is_told_once(rig: Rig) -> None:
    rig.spawn("alice")
    rig.down()
    rig.runtime.crash("alice")
    eventually(lambda: not rig.runtime.alive(rig.runtime._handles["alice"]))
    rig.up()
    eventually(lambda: rig.told("alice", "started") == ["started", "started"])
    rig.settled("alice")
    rig.restart()
    rig.flush()
    assert rig.told("alice", "container_crash") == ["container_crash"]


def test_a_container_that_ran_on_is_adopted_and_nothing_is_told(rig: Rig) -> None:
    rig.spawn("alice")
    before, pid = rig.told("alice"), rig.view("alice").pid
    rig.restart()
    eventually(lambda: rig.view("alice").container == "running")
    rig.flush()
    assert rig.view("alice").pid == pid
    assert rig.told("alice") == before


def test_after_a_reboot_of_the_host_nothing_is_told_and_what_was_meant_to_run_is_started(rig: Rig) -> None:
    rig.spawn("alice")
    rig.spawn("bob")
    assert rig.operate(Transient.STOPPING, "bob").get(60).ok
    rig.down()
    rig.runtime.end_all()
    rig.boot = "another-boot"
    rig.up()
    rig.settled("alice")
    rig.flush()
    assert "container_crash" not in rig.told("alice")
    assert rig.view("bob").container == "stopped"


def test_destroying_what_crashed_sweeps_what_it_left(rig: Rig) -> None:
    rig.spawn("alice")
    rig.config("alice", 'restart = "never"\n')
    rig.operate(Transient.REBUILDING, "alice").get(60)
    rig.runtime.crash("alice")
    eventually(lambda: rig.view("alice").container == "stopped")
    swept: list[str] = []
    real = rig.runtime.sweep

    def sweep(folder: Path, name: str) -> None:
        swept.append(name)
        assert folder.is_dir()  # where it is written what is to be swept
        real(folder, name)

    rig.runtime.sweep = sweep  # type: ignore[method-assign]
    rig.operate(Transient.DESTROYING, "alice", purge=True).get(60)
    assert swept == ["alice"]


def die_in(rig: Rig, kind: Transient, *, purge: bool = False, ended: bool = False) -> None:
    """End the daemon in the middle of an operation on alice, which had ended its container or not; start the next."""
    rig.spawn("alice")
    rig.down()
    rig.database.open()
    with rig.database.transaction() as tx:
        record = tx.agents.get("alice")
        assert record is not None
        tx.agents.save(record._replace(transient=kind, transient_by="operator", purge=purge))
    rig.database.close()
    if ended:
        rig.runtime.crash("alice")
    rig.up()


@pytest.mark.parametrize("purge", [False, True])
def test_a_destroy_that_the_daemon_died_in_still_knows_what_to_keep(rig: Rig, purge: bool) -> None:
    die_in(rig, Transient.DESTROYING, purge=purge)
    eventually(lambda: "destroyed" in rig.told("alice"))
    assert rig.layout.agent("alice").root.exists() is not purge
    eventually(lambda: bool(rig.tree.board.snapshot.kept) is not purge)


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("kind", list(Transient))
def test_an_operation_that_the_daemon_died_in_is_finished_by_the_next(
    rig: Rig, kind: Transient, ended: bool
) -> None:
    die_in(rig, kind, ended=ended)
    if kind is Transient.DESTROYING:
        eventually(lambda: "destroyed" in rig.told("alice"))
        eventually(lambda: rig.tree.board.agent("alice") is None)
    else:
        eventually(
            lambda: rig.view("alice").transient is None and rig.told("alice")[-1] == "transient_cleared"
        )
    rig.flush()
    assert "container_crash" not in rig.told("alice")


def test_a_destroyed_agent_is_gone_and_a_new_one_of_its_name_gets_an_actor_and_no_old_mail(rig: Rig) -> None:
    rig.spawn("alice")
    rig.operate(Transient.STOPPING, "alice").get(60)
    rig.send("operator", "alice", "old")
    assert rig.operate(Transient.DESTROYING, "alice").get(60).ok
    rig.spawn("alice")
    assert rig.view("alice").inbox_depth == 0
    assert rig.harness("alice").work == []
    assert sum(post.name == "alice" for post in rig.tree.roster.all()) == 1


def test_the_manager_cannot_be_destroyed(rig: Rig) -> None:
    with pytest.raises(Refused, match="cannot be destroyed"):
        rig.operate(Transient.DESTROYING, "manager")


def test_a_harness_that_stays_away_has_its_container_restarted(rig: Rig) -> None:
    rig.spawn("alice")
    pid = rig.view("alice").pid
    rig.harness("alice").hang_up()
    eventually(lambda: not rig.view("alice").ready)
    rig.watcher.advance(91)
    eventually(lambda: rig.view("alice").ready)
    assert rig.settled("alice").pid != pid
    assert "container_crash" not in rig.told("alice")


def _fail_as_often_as_is_recovered(rig: Rig, name: str) -> None:
    """Make its actor fail four times, and see it back each time: one failure more is a quarantine."""
    for restart in range(1, 5):
        rig.crash_actor(name)
        eventually(lambda n=restart: rig.restarts(name) == n)  # type: ignore[misc]  # binds
        rig.watcher.advance(10)
        eventually(lambda n=restart: len(rig.told(name, "agent_recovered")) == n)  # type: ignore[misc]  # binds


def test_an_actor_that_keeps_failing_is_quarantined_and_only_the_operator_lifts_it(rig: Rig) -> None:
    rig.spawn("alice")
    _fail_as_often_as_is_recovered(rig, "alice")
    rig.crash_actor("alice")
    eventually(lambda: rig.view("alice").quarantined is not None)
    assert rig.told("alice", "agent_quarantined") == ["agent_quarantined"]
    refused: Waiter[Accepted] = Waiter()
    rig.address("alice").tell(Operate(Transient.STOPPING, "manager", reply=refused))
    with pytest.raises(Refused, match="quarantined"):
        refused.get(60)
    for _ in range(3):
        rig.send("operator", "alice")  # mail is kept, whoever cannot take it
    lifted: Waiter[bool] = Waiter()
    rig.tree.root.address.tell(Release("alice", lifted))
    assert lifted.get(60)
    assert rig.operate(Transient.STARTING, "alice").get(60).ok
    eventually(lambda: rig.view("alice").quarantined is None)
    assert "container_crash" not in rig.told("alice")


def test_a_quarantine_that_could_not_be_recorded_is_as_soon_as_it_can_be(rig: Rig) -> None:
    rig.spawn("alice")
    _fail_as_often_as_is_recovered(rig, "alice")
    store: Any = rig.tree.services.store.actor
    run, full = store._run, iter([True, True])

    def on_a_full_disk(write: Write) -> None:
        if "give_up" in write.op.__qualname__ and next(full, False):
            write.reply.fail(Broken("no space left on the device"))
        else:
            run(write)

    store._run = on_a_full_disk
    rig.crash_actor("alice")

    def recorded() -> bool:
        rig.watcher.advance(1)
        return rig.view("alice").quarantined is not None

    eventually(recorded)
    assert next(full, None) is None
    assert rig.told("alice", "agent_quarantined") == ["agent_quarantined"]
    assert rig.record("alice").quarantined


def test_the_last_word_counts_when_a_start_is_asked_for_behind_a_stop_that_waits(rig: Rig) -> None:
    rig.spawn("alice")
    rig.runtime.hang_next = gate = threading.Event()
    rig.operate(Transient.RESTARTING, "alice")
    eventually(lambda: rig.runtime.hang_next is None)
    rig.operate(Transient.STOPPING, "alice")
    last = rig.operate(Transient.STARTING, "alice")
    gate.set()
    assert last.get(60).ok
    assert rig.settled("alice").container == "running"
    assert rig.told("alice", "stopped", "started")[-2:] == ["stopped", "started"]


@pytest.mark.parametrize("what", ["the daemon", "its actor"])
def test_a_stop_that_was_accepted_behind_a_restart_is_not_forgotten_with(rig: Rig, what: str) -> None:
    rig.spawn("alice")
    rig.runtime.hang_next = gate = threading.Event()
    rig.operate(Transient.RESTARTING, "alice")
    eventually(lambda: rig.runtime.hang_next is None)
    stopped = rig.operate(Transient.STOPPING, "alice")
    if what == "the daemon":
        rig.restart()
    else:
        rig.crash_actor("alice")
    gate.set()
    if what == "its actor":
        assert stopped.get(60).ok
    eventually(lambda: (v := rig.view("alice")) and v.container == "stopped" and not v.transient)
    assert rig.told("alice", "stopped", "started", "container_crash")[-1] == "stopped"
    assert rig.record("alice").queued == ()


def test_what_was_refused_behind_a_restart_does_not_happen_after_it(rig: Rig) -> None:
    rig.spawn("alice")
    rig.runtime.hang_next = gate = threading.Event()
    restarted = rig.operate(Transient.RESTARTING, "alice")
    eventually(lambda: rig.runtime.hang_next is None)
    commit = rig.database.commit

    def refuse() -> None:
        if rig.database._writer.one("SELECT 1 FROM agents WHERE queued <> '[]'") is None:  # type: ignore[union-attr]
            commit()
            return
        rig.database.rollback()
        raise sqlite3.OperationalError("database or disk is full")

    rig.database.commit = refuse  # type: ignore[method-assign]  # the seam for faults
    try:
        with Quiet(), pytest.raises(Broken, match="nothing was stored"):
            rig.operate(Transient.STOPPING, "alice")
    finally:
        rig.database.commit = commit  # type: ignore[method-assign]
    gate.set()
    assert restarted.get(60).ok
    with rig.busy("alice"):  # behind what it goes on with
        rig.flush()
    assert rig.record("alice").intended is Intended.RUNNING
    assert rig.record("alice").transient is None


def test_what_waits_behind_a_destroy_hears_that_the_agent_is_gone(rig: Rig) -> None:
    rig.spawn("alice")
    rig.runtime.hang_next = gate = threading.Event()
    rig.operate(Transient.RESTARTING, "alice")
    eventually(lambda: rig.runtime.hang_next is None)
    destroyed = rig.operate(Transient.DESTROYING, "alice")
    behind = rig.operate(Transient.STARTING, "alice")
    gate.set()
    assert destroyed.get(60).ok
    with pytest.raises(Gone, match="was destroyed"):
        behind.get(60)


def test_waiting_for_a_place_does_not_count_against_an_operations_deadline(rig: Rig) -> None:
    rig.spawn("alice")
    assert rig.operate(Transient.STOPPING, "alice").get(60).ok
    places = rig.tree._shared.operations.places
    for _ in range(4):
        places.acquire()
    rig.runtime.hang_next = gate = threading.Event()
    start = rig.operate(Transient.STARTING, "alice")
    eventually(lambda: (job := rig.address("alice").actor._memory.job) and job.queued)
    rig.watcher.advance(299)
    places.release()
    eventually(lambda: rig.runtime.hang_next is None)
    rig.watcher.advance(2)
    gate.set()
    assert start.get(60).ok
    for _ in range(3):
        places.release()


def test_an_operation_whose_end_its_actor_failed_on_is_not_waited_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.spawn("alice")
    faults = [RuntimeError("a bug")]
    done = Lifecycle.done

    def failing(life: Lifecycle, message: Done) -> None:
        if message.job.kind is Transient.STOPPING and faults:
            raise faults.pop()
        done(life, message)

    monkeypatch.setattr(Lifecycle, "done", failing)
    assert rig.operate(Transient.STOPPING, "alice").get(60).ok
    assert rig.told("alice", "stopped", "agent_recovered") == ["agent_recovered", "stopped"]


def test_a_daemon_out_of_descriptors_tells_nothing_and_goes_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.env = {}
    rig.spawn("alice")
    rig.log_in("alice")
    eventually(lambda: rig.view("alice").login == "logged-in")

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(proc, "stat", refuse)
        patch.setattr("hyperhive.actors.observer.os.open", refuse)
        rig.address("alice").tell(Tick())
        eventually(lambda: rig.view("alice").container == "unknown")
    rig.address("alice").tell(Tick())
    eventually(lambda: rig.view("alice").container == "running")
    assert rig.restarts("alice") == 0
    assert not rig.told("alice", "container_crash", "needs_login")


def test_an_actor_that_begins_without_descriptors_waits_for_them_and_tells_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.spawn("alice")
    asked = threading.Event()

    def refuse(*_: object, **__: object) -> int:
        asked.set()
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(proc, "stat", refuse)
        rig.crash_actor("alice")
        assert asked.wait(60)
        eventually(lambda: AGAIN in rig.watcher.waits())
    rig.watcher.advance(AGAIN)
    eventually(lambda: "agent_recovered" in rig.told("alice"))
    eventually(lambda: rig.view("alice").container == "running")
    assert rig.restarts("alice") == 1
    assert "container_crash" not in rig.told("alice")
