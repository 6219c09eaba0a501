"""The fault catalogue for agents: what ends, vanishes, fills up or cannot be had, and what is seen of it."""

import errno
import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from hyperhive.actors import builder
from hyperhive.actors.agent import Pause, Resume, Tick
from hyperhive.actors.observer import CREDENTIALS
from hyperhive.actors.reply import Waiter
from hyperhive.actors.requests import Accepted
from hyperhive.actors.supervisor import Release
from hyperhive.domain.axes import Transient
from hyperhive.domain.views import AgentView
from hyperhive.errors import Refused
from hyperhive.runtimes import proc
from tests.actors.rig import TOKEN, Rig
from tests.waiting import eventually

_ENDS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM)
_PHASES = ("idle", "in a turn", "paused")


def end(rig: Rig, name: str, how: signal.Signals) -> None:
    """End the container's leader from outside."""
    handle = rig.record(name).handle
    assert handle is not None
    assert proc.send(handle.pid, handle.start_ticks, how)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def returned(rig: Rig, name: str, before: int | None) -> AgentView:
    """Wait for the container that follows the one with this pid; what its start waits for passes at once."""
    eventually(lambda: rig.view(name).pid != before)
    return rig.comes_back(name)


def crashes(rig: Rig, name: str) -> list[str]:
    """How its containers ended unplanned."""
    events = rig.database.reader().events.after(0, 10_000, frozenset({"container_crash"}))
    return [event.text.partition('"exit":"')[2].partition('"')[0] for event in events if event.agent == name]


def crash_twice(rig: Rig, name: str) -> None:
    """Crash its container until the restart waits."""
    pid = rig.view(name).pid
    rig.runtime.crash(name)
    eventually(lambda: len(crashes(rig, name)) == 1)
    returned(rig, name, pid)
    rig.runtime.crash(name)
    eventually(lambda: len(crashes(rig, name)) == 2)
    eventually(lambda: rig.view(name).restart_at is not None)


@pytest.mark.parametrize(
    ("how", "policy", "phase"),
    [
        *((_ENDS[0], policy, phase) for policy in ("on-failure", "never") for phase in _PHASES),
        *((how, "on-failure", "idle") for how in _ENDS[1:]),
    ],
)
def test_an_unplanned_end_is_told_once_with_its_reason_and_answered_by_the_policy(
    rig: Rig, how: signal.Signals, policy: str, phase: str
) -> None:
    rig.spawn("alice")
    rig.config("alice", f'restart = "{policy}"\n')
    assert rig.operate(Transient.REBUILDING, "alice").get(60).ok
    rig.settled("alice")
    paused: Waiter[Accepted] = Waiter()
    if phase == "paused":
        rig.address("alice").tell(Pause(reply=paused))
        paused.get(60)
    message = rig.send("operator", "alice")
    if phase == "in a turn":
        rig.harness("alice").next_work()
    pid = rig.view("alice").pid
    end(rig, "alice", how)
    eventually(lambda: crashes(rig, "alice") == [f"killed by {how.name}"])
    if policy == "on-failure":
        assert returned(rig, "alice", pid).paused == (phase == "paused")
        if phase != "paused":
            assert [m.id for m in rig.harness("alice").next_work().messages] == [message.id]
    else:
        eventually(lambda: rig.view("alice").container == "stopped")
        rig.watcher.advance(600)
        rig.flush()
        assert rig.view("alice").restart_at is None
    assert crashes(rig, "alice") == [f"killed by {how.name}"]
    assert rig.restarts("alice") == 0
    assert rig.settled("manager").container == "running"


def test_a_start_by_hand_while_a_restart_waits_works_at_once_and_starts_one_container(rig: Rig) -> None:
    rig.spawn("alice")
    crash_twice(rig, "alice")
    assert rig.operate(Transient.STARTING, "alice").get(60).ok
    rig.settled("alice")
    rig.watcher.advance(120)
    rig.flush()
    assert len(rig.runtime.running("alice")) == 1
    assert rig.view("alice").restart_at is None


# -- the login's folder


def _remove(folder: Path) -> None:
    shutil.rmtree(folder)


def _file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


def _loop(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to(folder.name)


def _elsewhere(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))
    (folder.with_name("moved") / CREDENTIALS).unlink()
    folder.symlink_to("moved")


def _no_file(folder: Path) -> None:
    (folder / CREDENTIALS).unlink()
    (folder / CREDENTIALS).mkdir()


def _pipe(folder: Path) -> None:
    (folder / CREDENTIALS).unlink()
    os.mkfifo(folder / CREDENTIALS)


@pytest.mark.parametrize("fault", [_remove, _file, _loop, _elsewhere, _no_file, _pipe])
def test_a_session_folder_that_vanishes_or_is_something_else_needs_a_login_and_is_seen_again_at_once(
    rig: Rig, fault: Callable[[Path], None]
) -> None:
    rig.env = {}
    rig.spawn("alice")
    rig.log_in("alice")
    eventually(lambda: rig.view("alice").login == "logged-in")
    folder = rig.layout.agent("alice").claude
    fault(folder)
    rig.address("alice").tell(Tick())
    eventually(lambda: rig.view("alice").login == "needs-login")
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif (folder / CREDENTIALS).is_dir():
        (folder / CREDENTIALS).rmdir()
    folder.mkdir(exist_ok=True)  # often with the number that the old one had
    rig.address("alice").tell(Tick())
    rig.operate(Transient.STARTING, "alice").get(60)  # whatever was told before is dealt with
    rig.log_in("alice", "another")
    eventually(lambda: rig.view("alice").login == "logged-in")
    assert rig.told("alice", "needs_login", "logged_in") == ["logged_in", "needs_login", "logged_in"]
    assert rig.restarts("alice") == 0


def test_a_session_folder_made_anew_with_the_number_of_the_old_one_is_watched_again(rig: Rig) -> None:
    rig.env = {}
    rig.spawn("alice")
    rig.log_in("alice")
    eventually(lambda: rig.view("alice").login == "logged-in")
    folder = rig.layout.agent("alice").claude
    number = folder.stat().st_ino
    for _ in range(20):  # many file systems give the number that was freed last
        shutil.rmtree(folder)
        folder.mkdir()
        if folder.stat().st_ino == number:
            break
    eventually(lambda: rig.view("alice").login == "needs-login")
    rig.address("alice").tell(Tick())  # it may have looked in a moment in which there was none
    rig.operate(Transient.STARTING, "alice").get(60)  # whatever was told before is dealt with
    rig.log_in("alice", "another")
    eventually(lambda: rig.view("alice").login == "logged-in")


@pytest.mark.parametrize("entries", [2_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_a_session_folder_of_very_many_entries_holds_nobody_up(rig: Rig, entries: int) -> None:
    rig.env = {}
    rig.spawn("alice")
    folder = rig.layout.agent("alice").claude
    for number in range(entries):
        (folder / f"{number}").symlink_to("nowhere")
    rig.log_in("alice")
    eventually(lambda: rig.view("alice").login == "logged-in")
    rig.address("alice").tell(Tick())
    assert rig.send("operator", "alice").id
    assert rig.restarts("alice") == 0


def test_a_login_that_flaps_hundreds_of_times_is_told_in_order_and_ends_right(rig: Rig) -> None:
    rig.env = {}
    rig.spawn("alice")
    stored = rig.layout.agent("alice").claude / CREDENTIALS
    for turn in range(300):
        draft = stored.with_name("draft")
        draft.write_text(TOKEN % f"token-{turn}")
        draft.rename(stored)
        if turn < 299:
            stored.unlink()
    eventually(lambda: rig.view("alice").login == "logged-in")
    rig.address("alice").tell(Tick())
    rig.flush()
    told = rig.told("alice", "needs_login", "logged_in")
    assert told == (["logged_in", "needs_login"] * 300)[: len(told)]
    assert rig.view("alice").login == "logged-in"
    assert rig.restarts("alice") == 0


def test_a_container_that_flaps_is_told_of_once_each_time_until_it_is_quarantined(rig: Rig) -> None:
    rig.spawn("alice")
    for ends in range(1, 6):
        pid = rig.view("alice").pid
        end(rig, "alice", signal.SIGKILL)
        eventually(lambda n=ends: len(crashes(rig, "alice")) == n)  # type: ignore[misc]  # binds
        if ends < 5:
            returned(rig, "alice", pid)
    eventually(lambda: rig.view("alice").quarantined is not None)
    rig.watcher.advance(600)
    rig.flush()
    assert crashes(rig, "alice") == ["killed by SIGKILL"] * 5
    assert rig.runtime.running("alice") == []


@pytest.mark.parametrize("name", ["state", "claude", "generations"])
def test_something_else_in_the_place_of_its_folder_is_told_holds_up_no_other_and_can_be_mended(
    rig: Rig, name: str
) -> None:
    rig.spawn("alice")
    folder = getattr(rig.layout.agent("alice"), name)
    assert rig.operate(Transient.STOPPING, "alice").get(60).ok
    folder.rename(folder.with_name("aside"))
    folder.symlink_to("nowhere")
    said = f"{folder} is no folder, as it must be; move away what is there, then resume the agent."
    failed = rig.operate(Transient.STARTING, "alice").get(60)
    assert not failed.ok
    assert said in failed.note
    rig.restart()
    for failure in range(1, 5):
        eventually(lambda n=failure: rig.restarts("alice") >= n)  # type: ignore[misc]  # binds
        rig.watcher.advance(10)
    eventually(lambda: rig.view("alice").quarantined is not None)
    assert said in (rig.view("alice").quarantined or "")
    rig.harness("manager").connect()
    rig.settled("manager")
    folder.unlink()
    folder.with_name("aside").rename(folder)
    done: Waiter[object] = Waiter()
    lifted: Waiter[bool] = Waiter()
    rig.tree.root.address.tell(Release("alice", lifted))
    lifted.get(60)
    rig.address("alice").tell(Resume(by="operator", done=done))
    done.get(60)
    assert rig.operate(Transient.STARTING, "alice").get(60).ok
    rig.settled("alice")


# -- builds that cannot be finished


_STEPS = ("launch.json", "container.json", "agent.toml", "lib", "rename")


@pytest.mark.parametrize("step", _STEPS)
def test_a_rebuild_that_a_full_disk_ends_leaves_what_ran_and_nothing_half_made_and_works_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    rig.spawn("alice")
    before = rig.view("alice")
    rig.config("alice", 'model = "opus"\n')
    write, copy, rename = builder._write, builder._copy_own, Path.rename

    def full(path: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    def writing(path: Path, text: str) -> None:
        if path.name == step and "generations" in path.parts:
            full(path)
        write(path, text)

    def copying(package: Path, target: Path) -> None:
        if step == "lib":
            target.mkdir(parents=True)
            (target / "half").write_text("")
            full(target)
        copy(package, target)

    def renaming(self: Path, target: Path) -> Path:
        if step == "rename" and self.parent.name == "generations":
            full(target)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(builder, "_write", writing)
        patch.setattr(builder, "_copy_own", copying)
        patch.setattr(Path, "rename", renaming)
        result = rig.operate(Transient.REBUILDING, "alice").get(60)
    assert not result.ok
    assert "could not be written: No space left on device" in result.note
    after = rig.settled("alice")
    assert (after.pid, after.revision) == (before.pid, "stale")
    assert names(rig.layout.agent("alice").generations) == ["1"]
    assert rig.operate(Transient.REBUILDING, "alice").get(60).ok
    assert rig.settled("alice").revision == "up-to-date"


def test_what_a_build_that_died_left_is_neither_used_nor_in_the_way(rig: Rig) -> None:
    rig.spawn("alice")
    folder = rig.layout.agent("alice").generations
    (folder / ".2.tmp").mkdir()
    (folder / "2").mkdir()  # whole, as far as it looks, and recorded nowhere
    (folder / "2" / "launch.json").write_text("{")
    rig.config("alice", 'model = "opus"\n')
    assert rig.operate(Transient.REBUILDING, "alice").get(60).ok
    assert rig.record("alice").generation == 3
    assert names(folder) == ["1", "3"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(
            (name, half)
            for name in ("launch.json", "container.json")
            for half in (b"", b"{", b"\xff\xfe", b"[]")
        ),
        ("container.json", b'{"limits": {"memory": "lots"}}'),
        ("launch.json", b"[" * 100_000),
    ],
)
def test_a_generation_that_was_damaged_is_built_anew_at_the_next_start(
    rig: Rig, name: str, content: bytes
) -> None:
    rig.spawn("alice")
    assert rig.operate(Transient.STOPPING, "alice").get(60).ok
    (rig.layout.agent("alice").generation(1) / name).write_bytes(content)
    assert rig.operate(Transient.STARTING, "alice").get(60).ok
    assert rig.settled("alice").container == "running"
    assert rig.record("alice").generation == 2


# -- limits of the kernel


def test_a_host_without_room_for_a_thread_fails_that_operation_alone_and_says_why(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.spawn("alice")
    pid = rig.view("alice").pid
    start = threading.Thread.start

    def none_left(thread: threading.Thread) -> None:
        if thread.name.startswith("job-"):
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        result = rig.operate(Transient.RESTARTING, "alice").get(60)
    assert not result.ok
    assert "no thread" in result.note
    assert (rig.settled("alice").pid, rig.restarts("alice")) == (pid, 0)
    assert rig.operate(Transient.RESTARTING, "alice").get(60).ok
    assert rig.settled("alice").pid != pid


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENOSPC])
def test_a_host_that_makes_no_process_fails_the_start_and_the_next_one_works(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    rig.spawn("alice")
    assert rig.operate(Transient.STOPPING, "alice").get(60).ok

    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_spawn", refuse)
        result = rig.operate(Transient.STARTING, "alice").get(60)
    assert not result.ok
    assert os.strerror(number) in result.note
    assert rig.restarts("alice") == 0
    assert rig.operate(Transient.STARTING, "alice").get(60).ok


# -- time


@pytest.mark.parametrize("years", [10, -10])
def test_a_clock_that_is_set_ten_years_off_moves_no_restart_and_tells_nothing(rig: Rig, years: int) -> None:
    rig.spawn("alice")
    crash_twice(rig, "alice")
    rig.back -= timedelta(days=365 * years)
    rig.watcher.advance(1.5)
    rig.settled("alice")
    rig.send("operator", "alice")
    work = rig.harness("alice").next_work()
    assert work.messages
    rig.harness("alice").over()
    rig.crash_actor("alice")
    eventually(lambda: rig.restarts("alice") == 1)
    rig.harness("alice").connect()
    rig.settled("alice")
    assert len(crashes(rig, "alice")) == 2
    assert rig.told("alice", "needs_login", "needs_update", "stopped") == []


@pytest.mark.parametrize("hours", [1, -1])
def test_a_container_that_falls_over_again_and_again_is_quarantined_however_the_clock_is_set(
    rig: Rig, hours: int
) -> None:
    rig.spawn("alice")
    for crash in range(1, 6):
        pid = rig.view("alice").pid
        rig.back += timedelta(hours=hours)
        rig.runtime.crash("alice")
        eventually(lambda n=crash: len(crashes(rig, "alice")) == n)  # type: ignore[misc]  # binds
        if crash < 5:
            returned(rig, "alice", pid)
    eventually(lambda: rig.view("alice").quarantined is not None)


# -- what comes back


def test_a_name_that_comes_back_again_and_again_is_a_new_agent_each_time(rig: Rig) -> None:
    seen = set()
    for turn in range(4):
        rig.spawn("alice")
        seen.add(rig.record("alice").id)
        rig.send("operator", "alice", f"turn {turn}")
        assert [m.body for m in rig.harness("alice").next_work().messages] == [f"turn {turn}"]
        assert rig.operate(Transient.DESTROYING, "alice", purge=True).get(60).ok
        eventually(lambda: rig.view("alice") is None)
        with pytest.raises(Refused):
            rig.tree.spawn("alice!", by="operator", reply=Waiter())
    assert len(seen) == 4
    assert rig.runtime.running("alice") == []


def test_a_pid_that_is_anothers_now_is_neither_adopted_nor_ended(rig: Rig) -> None:
    rig.spawn("alice")
    handle = rig.record("alice").handle
    assert handle is not None
    rig.down()
    rig.runtime.crash("alice")
    eventually(lambda: not rig.runtime.alive(handle))
    bystander = os.posix_spawn("/bin/sleep", ["sleep", "600"], {})
    try:
        with closing(sqlite3.connect(rig.home / "hive.sqlite")) as raw:
            raw.execute("UPDATE agents SET handle_pid = ? WHERE name = 'alice'", (bystander,))
            raw.commit()
        rig.up()
        rig.settled("alice")
        assert len(crashes(rig, "alice")) == 1
        assert os.waitpid(bystander, os.WNOHANG) == (0, 0)
    finally:
        os.kill(bystander, signal.SIGKILL)
        os.waitpid(bystander, 0)
