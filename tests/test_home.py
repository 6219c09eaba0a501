"""A daemon claims its home and its run folder alone, and only where they are a hive's; else it says what to do."""

import errno
import fcntl
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hyperhive.errors import Broken, HiveError, Refused
from hyperhive.home import Claim, check_room, check_run, free_bytes, load_secret
from tests.nobody import NOBODY, as_nobody

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def told(folder: Path) -> str:
    """The sentence that a claim of ``folder`` ends with."""
    with pytest.raises(HiveError) as caught:
        Claim(folder)
    assert "\n" not in caught.value.message
    return caught.value.message


def open_to_all(folder: Path) -> None:
    """Let every user come to ``folder``."""
    for parent in (folder, *folder.parents):  # root's alone, but for the last ones
        if not parent.stat().st_mode & 0o001:
            parent.chmod(0o711)
    folder.chmod(0o755)


def test_a_home_is_made_for_its_owner_alone(home: Path) -> None:
    with Claim(home / "deep" / "hive") as claim:
        assert stat.S_IMODE(claim.folder.stat().st_mode) == 0o700
        assert (claim.folder / "daemon.lock").read_text() == f"{os.getpid()}\n"


def test_a_second_claim_names_the_holder_and_one_after_it_works(home: Path) -> None:
    with Claim(home):
        assert told(home).startswith(f"A daemon runs on {home} already, pid {os.getpid()}; stop it first")
    with Claim(home):
        pass


def test_what_a_killed_daemon_left_is_no_obstacle_though_its_pid_runs_again(home: Path) -> None:
    script = (
        f"import sys; sys.path[:] = {sys.path}\nfrom pathlib import Path\nfrom hyperhive.home import Claim\n"
    )
    script += f"Claim(Path({str(home)!r})); import os; os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", script], timeout=60, check=False)
    assert (home / "daemon.lock").exists()
    (home / "daemon.lock").write_text("1\n")  # whoever has that number now is no daemon
    with Claim(home):
        assert (home / "daemon.lock").read_text() == f"{os.getpid()}\n"


def test_a_lock_is_no_link_that_somebody_laid(home: Path, tmp_path: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "daemon.lock").symlink_to(tmp_path / "precious")
    assert "is no file" in told(home)
    assert not (tmp_path / "precious").exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP], ids=["no locks", "not supported"])
def test_a_disk_without_locks_is_not_taken_for_a_second_daemon(
    home: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def without(fd: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", without)
    assert told(home) == (
        f"{home} cannot be locked ({os.strerror(number)}), so two daemons could run on it; "
        "choose a folder on a local disk."
    )


def _file(home: Path) -> None:
    home.write_text("a letter")


def _dangling(home: Path) -> None:
    home.symlink_to(home.with_name("nowhere"))


def _link(home: Path) -> None:
    home.with_name("real").mkdir(mode=0o700)
    home.symlink_to(home.with_name("real"))


def _of_others(home: Path) -> None:
    home.mkdir()
    (home / "thesis\n.txt").write_text("mine")


_PLACES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a file": (_file, "is no folder; choose another place"),
    "a dangling link": (_dangling, "is a link; name the folder that it leads to instead"),
    "a link": (_link, "is a link; name the folder that it leads to instead"),
    "other things": (_of_others, r"holds other things (thesis\n.txt) and no hive; choose an empty folder"),
}


@pytest.mark.parametrize("case", _PLACES)
def test_a_place_that_is_no_home_is_named_and_left_as_it_was(home: Path, case: str) -> None:
    make, sentence = _PLACES[case]
    make(home)
    before = home.lstat().st_mode, home.is_dir() and names(home)
    assert told(home) == f"{home} {sentence}."
    assert (home.lstat().st_mode, home.is_dir() and names(home)) == before
    assert not home.with_name("nowhere").exists()


def test_a_hive_that_was_opened_to_others_is_closed_again(home: Path) -> None:
    home.mkdir()
    home.chmod(0o755)
    for name in ("hyperhive.toml", "notes.txt"):
        (home / name).touch()
    with Claim(home):
        assert stat.S_IMODE(home.stat().st_mode) == 0o700


@root_only
def test_a_home_of_another_user_is_refused_with_his_number(home: Path) -> None:
    home.mkdir(mode=0o700)
    os.chown(home, NOBODY, NOBODY)
    assert f"belongs to somebody else, uid {NOBODY}" in told(home)
    assert not list(home.iterdir())


@root_only
def test_a_home_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    open_to_all(tmp_path)
    locked, closed = tmp_path / "locked", tmp_path / "closed"
    for folder, mode in ((locked, 0o500), (closed, 0)):
        folder.mkdir()
        folder.chmod(mode)
        os.chown(folder, NOBODY, NOBODY)

    def check() -> None:
        assert "cannot be written: Permission denied" in told(locked)
        assert "cannot be read: Permission denied" in told(closed)
        assert "cannot be made: Permission denied" in told(tmp_path / "new")

    as_nobody(check)


@pytest.mark.parametrize(
    "name",
    ["hive.sqlite", "operator.token", "sessions.json", "rehearsal.key", "rehearsal.port", "hyperhive.toml"],
)
def test_a_folder_where_a_file_belongs_is_refused_before_anything_else(home: Path, name: str) -> None:
    (home / name).mkdir(parents=True)
    assert told(home) == f"{home / name} is no file, as it must be; move it away."
    assert names(home) == [name]


@pytest.mark.parametrize("name", ["agents", "environments", "host.sock"])
def test_a_file_where_something_else_belongs_is_refused(home: Path, name: str) -> None:
    home.mkdir()
    (home / name).write_text("")
    kind = "socket" if name == "host.sock" else "folder"
    assert told(home) == f"{home / name} is no {kind}, as it must be; move it away."


def test_a_pipe_for_a_database_does_not_make_it_wait(home: Path) -> None:
    home.mkdir()
    os.mkfifo(home / "hive.sqlite")
    assert "hive.sqlite is no file" in told(home)


@root_only
def test_a_part_that_belongs_to_somebody_else_is_named_with_what_to_type(home: Path) -> None:
    home.mkdir()
    (home / "hive.sqlite").touch()
    os.chown(home / "hive.sqlite", NOBODY, NOBODY)
    assert f"hive.sqlite belongs to somebody else, uid {NOBODY}; give it to this user ('chown -R 0" in told(
        home
    )


def test_an_operators_own_links_and_a_left_socket_are_welcome(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    (tmp_path / "settings.toml").touch()
    (tmp_path / "big-disk").mkdir()
    (home / "hyperhive.toml").symlink_to(tmp_path / "settings.toml")
    (home / "agents").symlink_to(tmp_path / "big-disk")
    with closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(str(home / "host.sock"))
    with Claim(home):
        pass


def test_a_disk_without_room_is_told_with_numbers(tmp_path: Path) -> None:
    check_room(tmp_path, needs=1)
    with pytest.raises(Refused, match=r"has \d+ KiB free, \d+ KiB are needed; free some, or choose another"):
        check_room(tmp_path, needs=2**80)


def test_a_disk_without_room_for_files_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = os.statvfs(tmp_path)

    class Full:
        f_bfree, f_bavail, f_frsize, f_files, f_favail = (
            found.f_bavail,
            found.f_bavail,
            found.f_frsize,
            100,
            3,
        )

    monkeypatch.setattr(os, "statvfs", lambda path: Full)
    with pytest.raises(Refused, match=r"no room for more files \(3 left\)"):
        check_room(tmp_path, needs=1)


@root_only
def test_what_a_disk_keeps_back_for_root_is_free_for_root_alone(tmp_path: Path) -> None:
    image, disk = tmp_path / "image", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(32 << 20)
    disk.mkdir()
    for step in (f"mkfs.ext4 -q -m 50 {image}", f"mount -o loop {image} {disk}"):
        try:
            subprocess.run(step.split(), check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no disk can be made here: {error}")
    try:
        found = os.statvfs(disk)
        assert found.f_bavail < found.f_bfree
        assert free_bytes(disk) == found.f_bfree * found.f_frsize
        open_to_all(tmp_path)

        def others() -> None:
            assert free_bytes(disk) == found.f_bavail * found.f_frsize

        as_nobody(others)
    finally:
        subprocess.run(["umount", disk], check=True, timeout=60)


def test_a_run_folder_that_sockets_do_not_fit_in_is_refused_to_the_byte(tmp_path: Path) -> None:
    longest = "/" + "r" * (107 - len("/agents/" + "x" * 31 + "/hive.sock") - 1)
    check_run(Path(longest), home=tmp_path)
    for long in (longest + "r", longest[:-1] + "ü"):
        with pytest.raises(Refused, match="too long for sockets"):
            check_run(Path(long), home=tmp_path)


@pytest.mark.parametrize(
    ("home", "run", "said"),
    [
        ("h", "h", "is both the home and the run folder"),
        ("h", "other/../h", "is both the home and the run folder"),
        ("linked/h", "h", "is both the home and the run folder"),
        ("h", ".", "are in each other's way"),
        ("h", "h/agents", "are in each other's way"),
        ("h", "h/environments/run", "are in each other's way"),
    ],
)
def test_a_run_folder_in_the_homes_way_is_told_with_what_to_set(
    tmp_path: Path, home: str, run: str, said: str
) -> None:
    (tmp_path / "linked").symlink_to(tmp_path)
    with pytest.raises(Refused, match=said) as caught:
        check_run(tmp_path / run, home=tmp_path / home)
    assert "set HYPERHIVE_RUN to" in caught.value.message


def test_a_run_folder_beside_or_below_the_home_is_none_of_its_parts() -> None:
    for run in ("/srv/run", "/srv/h-run", "/srv/h/run"):
        check_run(Path(run), home=Path("/srv/h"))


@pytest.mark.parametrize("half", [b"", b"half", b"x" * 33])
def test_a_secret_that_was_half_written_is_made_anew(tmp_path: Path, half: bytes) -> None:
    path = tmp_path / "rehearsal.key"
    path.write_bytes(half)
    made = load_secret(path)
    assert len(made) == 32
    assert load_secret(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["rehearsal.key"]


def test_a_secret_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="cannot be read or written: No such file or directory"):
        load_secret(tmp_path / "nowhere" / "key")
