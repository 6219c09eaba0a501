"""What a backup that was killed leaves: nothing by its name, and the rest goes with the next."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hyperhive.archive.backup import back_up
from hyperhive.archive.drafts import drafting
from tests.archive.rig import made
from tests.waiting import eventually

KILLED = """
import os, signal, sys
from pathlib import Path
from hyperhive.archive.backup import back_up

def progress(step):
    if step == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

back_up(Path(sys.argv[1]), Path(sys.argv[2]), progress=progress)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return made(tmp_path / "home", "alice")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups" / "hive.tar.gz"


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("step", ["database", "alice", "reading it back"])
def test_what_a_killed_backup_left_goes_with_the_next(home: Path, file: Path, step: str) -> None:
    words = [sys.executable, "-c", KILLED, str(home), str(file), step]
    assert subprocess.run(words, timeout=60, check=False).returncode == -signal.SIGKILL
    (left,) = names(file.parent)
    assert left.startswith(".hyperhive-backup-")
    assert file.parent.joinpath(left).stat().st_mode & 0o777 == 0o700
    back_up(home, file)
    assert names(file.parent) == [file.name]


def test_a_backup_that_is_under_way_is_left_alone_by_another(home: Path, file: Path) -> None:
    at_work, go_on = threading.Event(), threading.Event()

    def held(step: str) -> None:
        if step == "alice":
            at_work.set()
            assert go_on.wait(60)

    first = threading.Thread(target=back_up, args=(home, file), kwargs={"progress": held})
    first.start()
    try:
        eventually(at_work.is_set, 60)
        back_up(home, file.with_name("second"))
    finally:
        go_on.set()
        first.join(60)
    assert names(file.parent) == [file.name, "second"]


def test_nothing_but_a_killed_backups_own_folder_is_removed(tmp_path: Path) -> None:
    others = {".hyperhive-backup-notes", ".hyperhive-backup-0123456789abcdeg", "0123456789abcdef"}
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "precious").touch()
    (tmp_path / ".hyperhive-backup-00000000000000aa").symlink_to(tmp_path / "kept")
    (tmp_path / ".hyperhive-backup-00000000000000bb").touch()
    full = (
        tmp_path / ".hyperhive-backup-00000000000000cc"
    )  # no lock in it, and not empty: not made by a backup
    full.mkdir()
    (full / "precious").touch()
    (tmp_path / ".hyperhive-backup-00000000000000dd").mkdir()
    before = set(names(tmp_path))
    with drafting(tmp_path) as folder:
        (folder / "x").write_text("half")
        assert set(names(tmp_path)) - before == {folder.name}
    assert before - set(names(tmp_path)) == {".hyperhive-backup-00000000000000dd"}
    assert (tmp_path / "kept" / "precious").exists()


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from hyperhive.archive import drafts

def stop(event, args):
    if event == "os.remove":
        gone.append(args[0])
        if len(gone) == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

gone = []
with drafts.drafting(Path(sys.argv[1])) as folder:
    for number in range(3):
        (folder / f"part-{number}").touch()
    sys.addaudithook(stop)
"""


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_what_was_being_removed_at_a_kill_goes_with_the_next(tmp_path: Path, number: int) -> None:
    words = [sys.executable, "-c", INTERRUPTED, str(tmp_path), str(number)]
    assert subprocess.run(words, timeout=60, check=False).returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 1
    with drafting(tmp_path):
        pass
    assert names(tmp_path) == []


def test_a_folder_that_another_begins_to_sweep_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[int] = []
    lock = fcntl.flock

    def raced(descriptor: int, operation: int) -> None:
        if not swept:  # between its making and its locking
            swept.append(os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR))
            lock(swept[0], operation)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", raced)
    with drafting(tmp_path) as folder:
        taken = Path(f"/proc/self/fd/{swept[0]}").readlink().parent
        assert folder != taken
    os.close(swept[0])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_a_folder_of_another_user_is_left_alone(tmp_path: Path) -> None:
    others = tmp_path / ".hyperhive-backup-00000000000000ee"
    others.mkdir()
    (others / "lock").touch()
    os.chown(others, 65534, 65534)
    with drafting(tmp_path):
        pass
    assert others.exists()
