"""A backup is one private file with everything a hive needs, whatever is going on around it and inside."""

import gzip
import itertools
import os
import shutil
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from hyperhive.archive.backup import back_up
from hyperhive.archive.restore import restore
from hyperhive.archive.walk import MOST_DEEP, LeftOut, Walk
from hyperhive.errors import Broken, HiveError, Refused
from tests.actors.rig import Rig
from tests.archive.rig import LOGIN, git, made, names, tree
from tests.waiting import eventually


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return made(tmp_path / "home", "alice", "bob")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups" / "hive.tar.gz"


def test_a_hive_comes_back_as_it_was(home: Path, file: Path, tmp_path: Path) -> None:
    backup = back_up(home, file, secrets=True)
    assert backup.agents == ("alice", "bob")
    before = tree(home)
    home.rename(tmp_path / "old")
    restored = restore(file, home)
    assert (restored.agents, restored.moved) == (("alice", "bob"), False)
    after = tree(home)
    gone = {path for path in before if path not in after}
    assert gone == {
        "sessions.json",
        *(f"agents/{a}/container{f}" for a in ("alice", "bob") for f in ("", "/status.json")),
    }
    left = {path: what for path, what in before.items() if path not in gone and path != "hive.sqlite"}
    assert {path: after[path] for path in left} == left
    assert git(home / "agents/alice/applied", "fsck", "--strict") == ""
    assert git(home / "agents/alice/applied", "status", "--porcelain") == ""


def test_what_lets_others_in_stays_at_home_unless_asked_for(home: Path, file: Path) -> None:
    backup = back_up(home, file)
    assert not [
        name for name in names(file) if "credentials" in name or "environments" in name or "token" in name
    ]
    kept = (LOGIN.encode(), b"KEY=secret", b"t" * 43)
    assert not [secret for secret in kept if secret in gzip.decompress(file.read_bytes())]
    assert backup.logins == ("alice", "bob")
    back_up(home, file.with_name("whole"), secrets=True)
    whole = gzip.decompress(file.with_name("whole").read_bytes())
    assert [secret for secret in kept if secret in whole] == list(kept)


def test_a_backup_is_its_owners_alone_and_nothing_else_is_left(home: Path, file: Path) -> None:
    back_up(home, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_nothing_is_overwritten(home: Path, file: Path) -> None:
    file.write_text("last year's")
    with pytest.raises(Refused, match="is there already; choose another name"):
        back_up(home, file)
    assert file.read_text() == "last year's"
    file.unlink()
    file.symlink_to("nowhere")
    with pytest.raises(Refused, match="is there already"):
        back_up(home, file)
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_a_name_that_was_taken_meanwhile_is_not_overwritten(home: Path, file: Path) -> None:
    def take(step: str) -> None:
        file.write_text("somebody else's")

    with pytest.raises(Refused, match="is there already"):
        back_up(home, file, progress=take)
    assert file.read_text() == "somebody else's"
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("home/hive.tar.gz", "is inside the hive's home and would be lost with it"),
        ("home/agents/alice/state/x", "is inside the hive's home"),
        ("nowhere/hive.tar.gz", "There is no folder"),
    ],
)
def test_a_place_that_does_not_do_is_refused(home: Path, tmp_path: Path, place: str, said: str) -> None:
    before = tree(tmp_path)
    with pytest.raises(Refused, match=said):
        back_up(home, tmp_path / place)
    assert tree(tmp_path) == before


def test_a_folder_without_a_hive_is_refused(tmp_path: Path, file: Path) -> None:
    with pytest.raises(Refused, match=f"There is no hive in {tmp_path}; name its home with --home"):
        back_up(tmp_path, file)


def test_a_damaged_database_is_told_and_leaves_no_backup(home: Path, file: Path) -> None:
    content = bytearray((home / "hive.sqlite").read_bytes())
    half = len(content) // 4096 // 2 * 4096
    content[half : half + 2048] = bytes(2048)
    (home / "hive.sqlite").write_bytes(content)
    with pytest.raises(Broken, match="damaged"):
        back_up(home, file)
    assert list(file.parent.iterdir()) == []


def test_a_disk_that_fills_up_leaves_no_half_backup(home: Path, file: Path) -> None:
    def full(step: str) -> None:
        if step == "bob":
            raise OSError(28, "No space left on device")

    with pytest.raises(Broken, match="cannot be written: No space left on device; choose another place"):
        back_up(home, file, progress=full)
    assert list(file.parent.iterdir()) == []


def test_what_a_hostile_agent_leaves_in_its_folders_neither_stops_a_backup_nor_leads_it_out(
    home: Path, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "shadow").write_text("the host's")
    state = home / "agents" / "alice" / "state"
    os.mkfifo(state / "pipe")
    with closing(socket.socket(socket.AF_UNIX)) as left:
        here = os.open(state, os.O_RDONLY)
        left.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
    (state / "out").symlink_to(tmp_path / "shadow")
    (state / "up").symlink_to("../../..")
    (state / "loop").symlink_to("loop")
    (state / os.fsdecode(b"odd\n\xff name")).write_text("kept")
    (state / ("x" * 255)).write_text("kept")
    with (state / "holes").open("wb") as holes:
        holes.truncate(2**40)
    (state / "root-shell").write_text("#!/bin/sh")
    (state / "root-shell").chmod(0o6755)
    deep = os.open(state, os.O_RDONLY)
    for _ in range(MOST_DEEP + 20):
        os.mkdir("d", dir_fd=deep)
        inner = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = inner
    os.close(deep)
    os.utime(state / "root-shell", (2**34, 2**34))
    backup = back_up(home, file)
    left_out = " ".join(backup.left_out.named)
    for why in (
        "state/pipe (a device, pipe",
        "state/socket (a device",
        "holes (mostly holes)",
        "folders deep)",
    ):
        assert why in left_out, left_out
    again = restore(file, tmp_path / "again").home / "agents" / "alice" / "state"
    assert (again / os.fsdecode(b"odd\n\xff name")).read_text() == "kept"
    assert (again / "out").readlink() == tmp_path / "shadow"
    assert stat.S_IMODE((again / "root-shell").stat().st_mode) == 0o755
    assert not (again / "pipe").exists()
    assert b"the host's" not in b"".join(
        p.read_bytes() for p in again.rglob("*") if p.is_file() and not p.is_symlink()
    )


def test_folders_nested_beyond_the_longest_path_come_back(home: Path, file: Path, tmp_path: Path) -> None:
    top = home / "agents" / "alice" / "state" / "long"
    top.mkdir()
    folder = os.open(top, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("x" * 250, dir_fd=folder)
        inner = os.open("x" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.fchmod(folder, 0o510)
    os.close(folder)
    try:
        back_up(home, file)
        again = restore(file, tmp_path / "again").home / "agents" / "alice" / "state" / "long"
        folder, depth = os.open(again, os.O_RDONLY), 0
        while found := _names(folder):
            inner = os.open(found[0], os.O_RDONLY, dir_fd=folder)
            os.close(folder)
            folder, depth = inner, depth + 1
        assert (depth, stat.S_IMODE(os.fstat(folder).st_mode)) == (20, 0o510)
        os.close(folder)
    finally:  # not every cleaner can
        shutil.rmtree(top)
        shutil.rmtree(tmp_path / "again", ignore_errors=True)


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def test_folders_called_objects_in_one_another_are_not_walked_again_and_again(tmp_path: Path) -> None:
    deepest = tmp_path.joinpath(*["objects"] * 6)
    deepest.mkdir(parents=True)
    seen = 0

    def comes_and_goes(path: str) -> bool:
        nonlocal seen
        seen += 1
        if path.count("objects") == 6:
            gone = deepest / "gone"
            gone.unlink() if path.endswith("gone") else gone.touch()
        return False

    folder = os.open(tmp_path, os.O_RDONLY)
    list(Walk(skip=comes_and_goes, left_out=LeftOut()).below(folder, "agents/alice"))
    os.close(folder)
    assert seen < 1_000


@contextmanager
def again_and_again(step: Callable[[int], None]) -> Iterator[None]:
    """A thread that takes a step, with its number, until the block ends; what fails in it fails the test."""
    stop = threading.Event()

    def run() -> None:
        for turn in itertools.count(1):
            if stop.is_set():
                return
            step(turn)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        try:
            yield
        finally:
            stop.set()
            running.result(60)


def test_files_that_change_and_vanish_while_they_are_read_do_no_harm(
    home: Path, file: Path, tmp_path: Path
) -> None:
    state = home / "agents" / "alice" / "state"

    def busy(turn: int) -> None:
        with (state / "grows").open("ab") as grows:
            grows.write(b"x" * 10_000)
        (state / "shrinks").write_bytes(b"y" * (turn * 7919 % 100_000))
        (state / f"comes{turn % 7}").mkdir(exist_ok=True)
        (state / f"comes{turn % 7}" / "inner").write_text("here")
        (state / f"comes{turn % 7}" / "inner").unlink()
        (state / f"comes{turn % 7}").rmdir()
        if turn % 50 == 0:
            (state / "grows").unlink()

    with again_and_again(busy):
        for turn in range(4):
            back_up(home, file.with_name(f"{turn}"))
    for turn in range(4):
        restored = restore(file.with_name(f"{turn}"), tmp_path / f"again{turn}")
        assert (restored.home / "agents/alice/state/notes.md").read_text() == "I am alice\n"


def test_a_repository_is_whole_though_it_was_packed_anew_meanwhile(
    home: Path, file: Path, tmp_path: Path
) -> None:
    repo = home / "agents" / "alice" / "applied"

    def commit(turn: int) -> None:
        (repo / "agent.toml").write_text(f"# {turn}\n")
        git(repo, "commit", "-q", "-a", "-m", f"Turn {turn}")
        git(repo, "tag", f"deployed/{turn}")
        if turn % 5 == 0:
            git(repo, "gc", "-q", "--prune=now")

    with again_and_again(commit):
        for turn in range(6):
            back_up(home, file.with_name(f"{turn}"))
    for turn in range(6):
        restored = restore(file.with_name(f"{turn}"), tmp_path / f"again{turn}").home / "agents/alice/applied"
        assert "missing" not in git(restored, "fsck", "--connectivity-only")
        assert git(restored, "log", "--oneline", "main")


def test_a_lock_that_git_left_does_not_come_along(home: Path, file: Path, tmp_path: Path) -> None:
    for name in ("index.lock", "refs/heads/main.lock", "objects/tmp_obj_x"):
        (home / "agents/alice/applied/.git" / name).write_text("half")
    back_up(home, file)
    repo = restore(file, tmp_path / "again").home / "agents/alice/applied"
    git(repo, "commit", "-q", "--allow-empty", "-m", "Goes on")


def test_every_message_that_was_acknowledged_before_a_backup_began_is_in_it(
    tmp_path: Path, file: Path
) -> None:
    rig = Rig(tmp_path / "home").up()
    try:
        rig.spawn("alice")
        rig.spawn("bob")
        sent: list[int] = []
        stop = threading.Event()

        def send(sender: str) -> None:
            while not stop.is_set() and len(sent) < 1500:  # an inbox has a bound
                sent.append(rig.send(sender, "alice", "x" * 500).id)

        threads = [threading.Thread(target=send, args=(name,)) for name in ("bob", "operator", "manager")]
        for thread in threads:
            thread.start()
        promised: dict[int, list[int]] = {}
        try:
            for turn in range(3):
                eventually(lambda turn=turn: len(sent) > 50 * (turn + 1))  # type: ignore[misc]
                promised[turn] = list(sent)
                back_up(rig.home, file.with_name(f"{turn}"))
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
    finally:
        rig.down()
        rig.runtime.end_all()
    for turn, wanted in promised.items():
        found = _messages(restore(file.with_name(f"{turn}"), tmp_path / f"again{turn}").home)
        assert set(wanted) <= set(found)
        assert len(found) == len(set(found))


def _messages(home: Path) -> list[int]:
    from hyperhive.store.database import Database

    database = Database(home / "hive.sqlite")
    database.open()
    try:
        rows = database.reader().messages._sql.all("SELECT id FROM messages WHERE recipient = 'alice'")
        return [row[0] for row in rows]
    finally:
        database.close()


def test_without_links_on_the_disk_it_is_renamed(
    home: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(source: object, target: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", without)
    back_up(home, file)
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]
    second = file.with_name("second")
    with pytest.raises(Refused, match="is there already"):
        back_up(home, second, progress=lambda step: second.touch())
    assert second.stat().st_size == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_does_not_back_up_the_hive_of_another_user(home: Path, file: Path) -> None:
    os.chown(home / "hive.sqlite", 65534, 65534)
    with pytest.raises(HiveError, match="belongs to uid 65534; run this as that user"):
        back_up(home, file)


def test_a_login_is_the_same_after_a_backup_with_secrets(home: Path, file: Path, tmp_path: Path) -> None:
    back_up(home, file, secrets=True)
    again = restore(file, tmp_path / "again").home
    assert (again / "agents/bob/claude/.credentials.json").read_text() == LOGIN
    assert (again / "operator.token").read_text() == "t" * 43
