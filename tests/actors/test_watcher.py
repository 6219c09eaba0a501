"""The watcher: what it holds, and what it says when the machine refuses it something."""

import errno
import os
from collections.abc import Iterator

import pytest

from hyperhive.actors.watcher import Watcher
from hyperhive.domain.records import Handle
from hyperhive.runtimes import proc
from tests.waiting import eventually


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    watcher = Watcher()
    watcher.start()
    yield watcher
    watcher.stop()


def test_timers_that_were_cancelled_long_before_they_are_due_do_not_pile_up(watcher: Watcher) -> None:
    told: list[str] = []
    watcher.after(0.1, lambda: told.append("kept"))
    for _ in range(10_000):
        watcher.after(3600, lambda: told.append("cancelled"))()
    assert len(watcher._timers) <= 1024
    eventually(lambda: told == ["kept"])


def test_a_leader_that_cannot_be_watched_is_not_taken_for_ended(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    watcher.on_trouble = told.append
    ticks = proc.start_ticks(os.getpid())
    assert ticks is not None

    def refuse(pid: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    watcher.leader(Handle("process", os.getpid(), ticks, proc.boot_id()), lambda: told.append("ended"))
    eventually(lambda: told)
    assert told == ["cannot watch containers (Too many open files): their ends are seen by the tick only"]
