"""The manager has the folders of all agents and drafts before it, while it runs."""

import copy
import threading
from pathlib import Path

import pytest

from hyperhive.actors.clerk import Clerk
from hyperhive.actors.desk import Desk
from hyperhive.domain.axes import Transient
from tests.actors.petitioner import discard, draft
from tests.actors.rig import Rig
from tests.waiting import eventually


def shown(rig: Rig) -> set[str]:
    """Whose folders the manager's container shows."""
    place = rig.runtime.shared(rig.layout.agent("manager").container)
    return {entry.name for entry in place.iterdir()} if place.is_dir() else set()


def test_agents_and_drafts_come_and_go_before_its_eyes(rig: Rig) -> None:
    eventually(lambda: shown(rig) == {"manager"})
    rig.spawn("alice")
    eventually(lambda: shown(rig) == {"manager", "alice"})
    draft(rig, "bob")
    assert shown(rig) == {"manager", "alice", "bob"}
    place = rig.runtime.shared(rig.layout.agent("manager").container)
    assert sorted(entry.name for entry in (place / "bob").iterdir()) == ["applied", "config", "state"]
    assert [bind.writable for bind in rig.runtime.shown[-1]] == [True, True, False] * 3
    discard(rig, "bob")
    assert shown(rig) == {"manager", "alice"}
    rig.operate(Transient.DESTROYING, "alice").get(60)
    eventually(lambda: shown(rig) == {"manager"})


def test_a_manager_that_starts_again_finds_everything(rig: Rig) -> None:
    draft(rig, "bob")
    rig.operate(Transient.STOPPING, "manager").get(60)
    draft(rig, "carol")
    assert rig.desk.trouble is None
    rig.operate(Transient.STARTING, "manager").get(60)
    eventually(lambda: shown(rig) == {"manager", "bob", "carol"})
    rig.restart()
    eventually(lambda: shown(rig) == {"manager", "bob", "carol"})
    draft(rig, "dora")
    assert "dora" in shown(rig)


def test_what_failed_is_made_up_for_and_fails_nobody_else(rig: Rig) -> None:
    rig.runtime.fail_next_share = "the namespace is gone"
    assert draft(rig, "bob").name == "bob"
    eventually(lambda: rig.runtime.fail_next_share is None)
    draft(rig, "carol")
    assert rig.desk.trouble is None
    assert shown(rig) == {"manager", "bob", "carol"}


def test_what_the_manager_does_not_see_is_shown_until_it_does(rig: Rig) -> None:
    eventually(lambda: shown(rig) == {"manager"})
    rig.runtime.fail_next_share = "the namespace is gone"
    rig.desk.refresh()
    says = "The manager does not see all agents' folders: the namespace is gone"
    eventually(lambda: rig.tree.board.snapshot.hive.trouble == (says,))
    rig.desk.refresh()
    eventually(lambda: rig.tree.board.snapshot.hive.trouble == ())


def test_of_many_who_ask_at_once_one_does_it_for_all(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    clerk = Clerk()
    runtime = copy.copy(rig.runtime)  # the hive's own desk may be at it still
    desk = Desk(runtime=runtime, layout=rig.layout, database=rig.database, clerk=clerk)
    gate, begun, times = threading.Event(), threading.Event(), list[int]()

    def share(folder: Path, handle: object, shares: object) -> None:
        times.append(1)
        begun.set()
        gate.wait(60)

    monkeypatch.setattr(runtime, "share", share)
    threads = [threading.Thread(target=desk.refresh) for _ in range(20)]
    threads[0].start()
    assert begun.wait(60)
    for thread in threads[1:]:
        thread.start()
    eventually(lambda: desk._asked == 20)
    gate.set()
    for thread in threads:
        thread.join(60)
    assert len(times) == 2
    desk.soon()
    eventually(lambda: len(times) == 3)
    clerk.close()
