"""A restore is checked before anything is touched, and then all of it is there or nothing."""

import io
import os
import re
import sqlite3
import tarfile
import tempfile
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperhive.archive.backup import back_up
from hyperhive.archive.check import examine
from hyperhive.archive.restore import restore
from hyperhive.domain.records import Handle, Intended
from hyperhive.errors import HiveError, Refused
from hyperhive.home import UNDER_WAY, Claim
from hyperhive.runtimes.proc import boot_id
from hyperhive.store import opening
from hyperhive.store.database import Database
from tests.archive.rig import forged, made, member, tree
from tests.examples import examples
from tests.nobody import as_nobody


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "new" / "home"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    back_up(made(tmp_path / "old", "alice"), tmp_path / "hive.tar.gz")
    return tmp_path / "hive.tar.gz"


def refusal(file: Path, home: Path) -> str:
    """The sentence that a restore ends with; it leaves nothing."""
    before = tree(home) if home.is_dir() else {}
    with pytest.raises(HiveError) as caught:
        restore(file, home)
    left = tree(home) if home.is_dir() else {}
    before.pop("daemon.lock", None)
    left.pop("daemon.lock", None)
    assert left == before
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_home_that_is_empty_or_missing_or_only_locked_before_is_filled(file: Path, home: Path) -> None:
    assert restore(file, home).agents == ("alice",)
    empty = home.with_name("empty")
    empty.mkdir()
    (empty / "lost+found").mkdir()
    with Claim(empty):
        pass
    assert restore(file, empty).agents == ("alice",)
    assert not (empty / UNDER_WAY).exists()


def test_a_home_that_holds_anything_is_refused(file: Path, home: Path) -> None:
    restore(file, home)
    assert "is not empty (agents, hive.sqlite, hyperhive.toml); move it away" in refusal(file, home)
    other = home.with_name("other")
    other.mkdir()
    (other / "thesis.txt").touch()
    assert "is not empty (thesis.txt)" in refusal(file, other)


def test_a_home_that_a_daemon_runs_on_is_refused_and_names_it(file: Path, home: Path) -> None:
    with Claim(home):
        assert f"A daemon runs on {home} already, pid {os.getpid()}; stop it first" in refusal(file, home)


def test_no_daemon_starts_on_a_home_that_is_being_restored(file: Path, home: Path) -> None:
    seen: list[str] = []

    def start(step: str) -> None:
        if step == "alice":
            with pytest.raises(Refused, match="did not end") as caught:
                Claim(home)
            seen.append(caught.value.code)

    restore(file, home, progress=start)
    assert seen == ["half-restored"]


def test_a_restore_that_was_killed_is_told_at_the_start_and_at_the_next_restore(
    file: Path, home: Path
) -> None:
    (home / UNDER_WAY).mkdir(parents=True)
    said = f"A restore into {home} did not end; delete what is in it and restore again."
    assert refusal(file, home) == said
    with pytest.raises(Refused) as caught:
        Claim(home)
    assert caught.value.message == said


@pytest.mark.parametrize("place", ["a file", "a link"])
def test_a_place_that_is_no_folder_is_refused(file: Path, home: Path, place: str) -> None:
    home.parent.mkdir()
    home.write_text("") if place == "a file" else home.symlink_to(file.parent)
    with pytest.raises(Refused, match=r"is no folder|is a link"):
        restore(file, home)


_BAD = {
    "an absolute path": member("/etc/passwd", b"x"),
    "a way up": member("agents/../../evil", b"x"),
    "a way up inside": member("agents/alice/state/../../../hive.sqlite", b"x"),
    "an unknown part": member("daemon.lock", b"1"),
    "a socket's place": member("host.sock", b""),
    "a name that is no agent's": member("agents/Alice!/state/x", b"x"),
    "a reserved name": member("agents/operator/state/x", b"x"),
    "a device": member("agents/alice/state/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    "a pipe": member("agents/alice/state/pipe", type=tarfile.FIFOTYPE),
    "a hard link": member("agents/alice/state/hard", type=tarfile.LNKTYPE, linkname="/etc/shadow"),
    "a file of holes": member(
        "agents/alice/holes", b"x", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": str(2**60)}
    ),
    "a link for the database": member("hive.sqlite", type=tarfile.SYMTYPE, linkname="/etc/shadow"),
    "a link for an agent": member("agents/alice", type=tarfile.SYMTYPE, linkname="/etc"),
    "a link for an agent's folder": member("agents/alice/state", type=tarfile.SYMTYPE, linkname="/etc"),
    "a dot": member("agents/./alice", type=tarfile.DIRTYPE),
    "a NUL": member("agents/alice/state/a\0b", b"x"),
}


@pytest.mark.parametrize("case", _BAD)
def test_what_no_backup_holds_is_refused_before_anything_is_made(
    tmp_path: Path, home: Path, case: str
) -> None:
    content = (made(tmp_path / "old") / "hive.sqlite").read_bytes()
    said = refusal(forged(tmp_path / "evil.tar.gz", _BAD[case], database=content), home)
    assert "cannot be restored" in said
    assert not home.exists() or case == "a NUL"


def _giants() -> dict[str, list[tuple[tarfile.TarInfo, bytes]]]:
    many, x = 4 * 1024 * 1024, "agents/alice/x"
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    return {
        "of its own": [member(x, b"%d path=%s\n" % (many, b"a" * many), type=tarfile.XHDTYPE)],
        "for all": [member(x, b"12 a=bcdefg\n", type=tarfile.XGLTYPE)],
        "for all, long": [member(x, b"%d a=%s\n" % (many, b"a" * many), type=tarfile.XGLTYPE)],
        "a long name": [member(x, b"a" * many, type=tarfile.GNUTYPE_LONGNAME)],
        "a long link": [member(x, b"a" * many, type=tarfile.GNUTYPE_LONGLINK)],
        "holes without end": [member(x, b"%d\n" % many + b"0\n" * many, pax_headers=sparse)],
        "heads before heads": [member(x, type=tarfile.XHDTYPE)] * 400,
    }


@pytest.mark.parametrize("case", _giants())
def test_a_members_head_is_read_no_further_than_one_may_be_long(
    tmp_path: Path, home: Path, case: str
) -> None:
    content = (made(tmp_path / "old") / "hive.sqlite").read_bytes()
    file = forged(tmp_path / "evil.tar.gz", *_giants()[case], member("agents"), database=content)
    tracemalloc.start()
    try:
        said = refusal(file, home)
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert re.search(
        r"cannot be restored: (a member's head in it is longer|it has a head for all|it is no backup)", said
    )
    assert not home.exists()


@pytest.mark.parametrize("under", ["file", "link"])
def test_nothing_is_written_through_what_another_member_laid(tmp_path: Path, home: Path, under: str) -> None:
    content = (made(tmp_path / "old") / "hive.sqlite").read_bytes()
    (tmp_path / "target").mkdir()
    folders = [member(f, type=tarfile.DIRTYPE, mode=0o700) for f in ("agents", "agents/a", "agents/a/state")]
    way = (
        member("agents/a/state/way", type=tarfile.SYMTYPE, linkname=str(tmp_path / "target"))
        if under == "link"
        else member("agents/a/state/way", b"a file")
    )
    evil = member("agents/a/state/way/evil", b"x")
    said = refusal(forged(tmp_path / "evil.tar.gz", *folders, way, evil, database=content), home)
    assert "'agents/a/state/way/evil' in it has no place" in said
    assert list((tmp_path / "target").iterdir()) == []


def test_a_member_that_comes_twice_is_refused(tmp_path: Path, home: Path) -> None:
    content = (made(tmp_path / "old") / "hive.sqlite").read_bytes()
    twice = [member("hyperhive.toml", b"port = 1"), member("hyperhive.toml", b"port = 2")]
    assert "has no place (File exists)" in refusal(forged(tmp_path / "x", *twice, database=content), home)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"manifest": {"format": 2}}, "made by hyperhive 9 in a format that this one does not know"),
        ({"manifest": {"format": "x"}}, "its first member is no manifest"),
        ({"entries": 7}, "7 entries were written, 1 are there"),
        ({"database": b"Dear diary"}, "is not a hyperhive database"),
    ],
)
def test_an_archive_that_is_none_of_ours_is_refused(
    tmp_path: Path, home: Path, options: dict[str, object], said: str
) -> None:
    assert said in refusal(forged(tmp_path / "x", **options), home)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"", b"Dear diary", os.urandom(5000), b"\x1f\x8b" + bytes(100)])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, home: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert "cannot be restored: it is no backup" in refusal(tmp_path / "x", home)
    assert not home.exists()


def test_a_pipe_is_not_waited_for(tmp_path: Path, home: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe", home) == f"{tmp_path / 'pipe'} is no file; name the backup."


def test_a_backup_that_is_not_there_is_told(tmp_path: Path, home: Path) -> None:
    assert "No such file or directory" in refusal(tmp_path / "nowhere", home)


@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.floats(0, 0.999), how=st.sampled_from(["cut", "flipped"]))
def test_a_backup_that_was_cut_or_lost_a_bit_is_refused_or_whole(file: Path, place: float, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "cut":
        del content[int(len(content) * place) :]
    else:
        content[int(len(content) * place)] ^= 0x10
    with file.open("rb") as whole:
        wanted = examine(whole)
    try:
        found = examine(io.BytesIO(content))
    except HiveError:
        return
    assert how == "flipped"  # in what gzip says of itself, as its moment
    assert found == wanted


def test_a_disk_that_is_too_small_is_told_before_anything_is_unpacked(
    file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Small:
        f_bfree, f_bavail, f_frsize, f_files, f_favail = 100, 100, 4096, 0, 0

    monkeypatch.setattr(os, "statvfs", lambda path: Small)
    assert "has 400 KiB free" in refusal(file, home)


@pytest.mark.parametrize("when", ["alice", "checking"])
def test_a_failure_in_the_middle_leaves_nothing(file: Path, home: Path, when: str) -> None:
    def full(step: str) -> None:
        if step == when:
            raise OSError(28, "No space left on device")

    with pytest.raises(HiveError, match="No space left on device; nothing was kept of it"):
        restore(file, home, progress=full)
    assert not home.exists() or [entry.name for entry in home.iterdir()] == ["daemon.lock"]


def test_a_failure_at_the_last_step_leaves_nothing(
    file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if self.name == "hive.sqlite":
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(HiveError, match="Input/output error"):
        restore(file, home)
    assert [entry.name for entry in home.iterdir()] == ["daemon.lock"]


def test_who_is_interrupted_at_the_last_step_leaves_nothing(
    file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.rename

    def heard_behind_it(self: Path, target: Path) -> Path:
        moved = real(self, target)
        if self.name == "hive.sqlite":
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", heard_behind_it)
    with pytest.raises(KeyboardInterrupt):
        restore(file, home)
    assert [entry.name for entry in home.iterdir()] == ["daemon.lock"]


def _schema(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {version}")
        database.commit()


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path, home: Path) -> None:
    old = made(tmp_path / "old", "alice")
    _schema(old / "hive.sqlite", 99)
    back_up(old, tmp_path / "x")
    assert "was written by a newer hyperhive (schema 99, this one knows" in refusal(tmp_path / "x", home)


def without_rights(task: Callable[[Path], None], file: Path, home: Path) -> None:
    """Run ``task`` in a folder, as nobody if this is root, who may remove whatever it likes."""
    restore(file, home)  # what is imported late is by now, for nobody may be unable to read it
    with tempfile.TemporaryDirectory(prefix="hive-restore-") as folder:
        Path(folder).chmod(0o777)
        as_nobody(lambda: task(Path(folder))) if os.geteuid() == 0 else task(Path(folder))


def with_read_only_folder(home: Path) -> Path:
    old = made(home, "alice")
    (old / "agents" / "alice" / "state" / "cache").mkdir()
    (old / "agents" / "alice" / "state" / "cache" / "module").touch()
    (old / "agents" / "alice" / "state" / "cache").chmod(0o500)
    return old


def test_a_restore_that_is_refused_removes_folders_that_an_agent_had_made_read_only(
    file: Path, home: Path
) -> None:
    def task(place: Path) -> None:
        old = with_read_only_folder(place / "old")
        _schema(old / "hive.sqlite", 99)
        back_up(old, place / "x")
        assert "was written by a newer hyperhive" in refusal(place / "x", place / "home")

    without_rights(task, file, home)


def test_who_is_interrupted_while_the_disk_writes_removes_folders_that_are_read_only_again(
    file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    def task(place: Path) -> None:
        back_up(with_read_only_folder(place / "old"), place / "x")
        monkeypatch.setattr(os, "sync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            restore(place / "x", place / "home")
        assert [entry.name for entry in (place / "home").iterdir()] == ["daemon.lock"]

    without_rights(task, file, home)


def test_a_database_of_an_older_version_is_migrated_at_the_start(tmp_path: Path, home: Path) -> None:
    (tmp_path / "old").mkdir(mode=0o700)
    path = tmp_path / "old" / "hive.sqlite"
    opening.open_writer(path, opening.migrations()[:1]).close()
    back_up(tmp_path / "old", tmp_path / "x")
    restore(tmp_path / "x", home)
    database = Database(home / "hive.sqlite")
    database.open()
    database.close()
    with closing(sqlite3.connect(home / "hive.sqlite")) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (len(opening.migrations()),)


def test_no_container_that_runs_now_is_taken_for_one_of_the_restored_hives(
    tmp_path: Path, home: Path
) -> None:
    old = made(tmp_path / "old", "alice")
    database = Database(old / "hive.sqlite")
    database.open()
    here = Handle("process", os.getpid(), 1, boot_id())
    with database.transaction() as tx:
        record = tx.agents.get("alice")
        assert record is not None
        tx.agents.save(record._replace(handle=here))
    database.close()
    back_up(old, tmp_path / "x")
    restore(tmp_path / "x", home)
    database = Database(home / "hive.sqlite")
    database.open()
    record = database.reader().agents.get("alice")
    database.close()
    assert record is not None
    assert record.handle is not None
    assert record.handle.boot != boot_id()
    assert record.intended is Intended.RUNNING
    assert not (home / "agents" / "alice" / "container").exists()


def test_in_another_place_generations_are_left_to_be_built_anew(file: Path, home: Path) -> None:
    assert restore(file, home).moved
    assert not (home / "agents/alice/generations").exists()
