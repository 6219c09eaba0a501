"""A glance: whatever changes about an agent at rest is seen, and nothing else is."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hyperhive.actors.agent import MAX_LOG
from hyperhive.actors.glance import CLOSELY, Glance
from hyperhive.actors.observer import CREDENTIALS
from hyperhive.repos.skeleton import CONFIG_FILE
from hyperhive.runtimes import proc
from tests.waiting import eventually

Leader = Callable[[], int]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("claude", "applied/.git/refs/heads", "container"):
        (tmp_path / folder).mkdir(parents=True)
    for file in (f"applied/{CONFIG_FILE}", "applied/.git/refs/heads/main"):
        (tmp_path / file).write_text("there from the beginning")
    return tmp_path


@pytest.fixture
def leader() -> Iterator[Leader]:
    children: list[subprocess.Popen[bytes]] = []

    def start() -> int:
        children.append(subprocess.Popen(["sleep", "600"]))
        return children[-1].pid

    yield start
    for child in children:
        child.kill()
        child.wait()


def whole(glance: Glance, pid: int | None) -> int | None:
    """The mark once every glance has had its close look."""
    return [glance.mark(pid) for _ in range(CLOSELY)][-1]


def test_a_glance_says_the_same_while_nothing_changes(root: Path, leader: Leader) -> None:
    glance, pid = Glance(str(root)), leader()
    assert len({glance.mark(pid) for _ in range(3 * CLOSELY)}) == 1
    assert glance.mark(pid) is not None
    assert len({glance.mark(None) for _ in range(2 * CLOSELY)}) == 1


@pytest.mark.parametrize(
    "path", [f"claude/{CREDENTIALS}", f"applied/{CONFIG_FILE}", "applied/.git/refs/heads/main"]
)
def test_a_file_that_comes_changes_is_replaced_or_goes_is_seen_by_the_next_glance(
    root: Path, path: str
) -> None:
    glance, file = Glance(str(root)), root / path
    file.unlink(missing_ok=True)
    seen = [glance.mark(None)]
    file.write_text("first")
    seen.append(glance.mark(None))
    file.write_text("longer than the first")
    seen.append(glance.mark(None))
    os.utime(file, ns=(1, 1))
    seen.append(glance.mark(None))
    other = file.with_name("other")
    other.write_text("longer than the third")
    os.utime(other, ns=(1, 1))
    other.rename(file)
    seen.append(glance.mark(None))
    assert len(set(seen)) == len(seen) and None not in seen
    file.unlink()
    assert glance.mark(None) == glance.mark(None) == seen[0]


@pytest.mark.parametrize("folder", ["claude", "applied"])
def test_a_folder_that_is_replaced_by_another_is_seen_by_the_next_glance(root: Path, folder: str) -> None:
    glance, path = Glance(str(root)), root / folder
    seen = [glance.mark(None)]
    path.rename(path.with_name("before"))
    seen.append(glance.mark(None))
    path.mkdir()
    seen.append(glance.mark(None))
    assert len(set(seen)) == len(seen) and None not in seen
    path.rmdir()
    assert glance.mark(None) == seen[1]
    path.write_text("a file in its place")
    assert glance.mark(None) not in (None, seen[1])


def test_a_log_that_has_grown_too_long_is_seen(root: Path) -> None:
    glance, log = Glance(str(root)), root / "container" / "log"
    seen = glance.mark(None)
    log.write_text("a line")
    assert glance.mark(None) == seen
    os.truncate(log, MAX_LOG + 1)
    assert glance.mark(None) != seen


def test_a_leader_that_is_gone_or_another_is_seen_by_the_next_glance(root: Path, leader: Leader) -> None:
    glance, first, second = Glance(str(root)), leader(), leader()
    seen = [glance.mark(None), glance.mark(first), glance.mark(second)]
    os.kill(second, signal.SIGKILL)
    os.waitpid(second, 0)
    assert glance.mark(second) == glance.mark(second) == seen[0]
    assert len(set(seen)) == len(seen)
    assert glance.mark(first) == seen[1]


def test_a_leader_that_ended_and_waits_for_its_parent_is_seen_by_a_close_look(
    root: Path, leader: Leader
) -> None:
    glance, pid = Glance(str(root)), leader()
    seen = glance.mark(pid)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: (found := proc.stat(pid)) is not None and found.dead)
    assert whole(glance, pid) not in (None, seen)
