"""The hive's home and run folder: claimed by one daemon at a time, and only where they are ours."""

import contextlib
import errno
import fcntl
import os
import resource
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from hyperhive.errors import Broken, Refused

MAX_SOCKET_PATH = 107
"""Bytes in the path of a unix socket."""
LONGEST_SOCKET = len("/agents/" + "x" * 31 + "/hive.sock")
ROOM = 16 * 1024 * 1024
"""Bytes that must be free where the home is: below it the first commits of a hive would fail one by one."""
_NODES = 64
_OPEN_FILES = 65_536

_FOLDERS = ("agents", "environments")
_LINKED = (*_FOLDERS, "hyperhive.toml")  # what an operator may well keep elsewhere
_FILES = (
    "hive.sqlite", "hive.sqlite-wal", "hive.sqlite-shm", "hyperhive.toml", "operator.token", "sessions.json",
    "rehearsal.key", "rehearsal.port", "claude-versions.json", "daemon.lock",
)  # fmt: skip
KNOWN = frozenset((*_FOLDERS, *_FILES, "host.sock", "hive.sqlite-journal", "lost+found"))
"""What may be in a home or run folder that was not used yet, or is there only as part of ours."""
UNDER_WAY = ".restoring"
"""In a home, a restore that has not ended."""


def check_free(home: Path) -> None:
    """Refuse a home that a daemon runs on, or that holds anything; touches nothing.

    Raises:
        Refused: with what is there.
    """
    if not os.path.lexists(home):
        return
    _check_folder(home)
    lock = home / "daemon.lock"
    if lock.is_file():
        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError as error:
                raise _unlocked(home, error, _holder(file.fileno())) from None
    check_empty(home)


def check_empty(home: Path) -> None:
    """Refuse a home that holds anything but a lock.

    Raises:
        Refused: with what is there.
    """
    names = {entry.name for entry in home.iterdir()} - {"daemon.lock", "lost+found"}
    _check_whole(home, names)
    if names:
        raise Refused(
            f"{home} is not empty ({_some(sorted(names))}); move it away, or choose another --home.",
            code="not-empty",
        )


class Claim:
    """A folder of this daemon's alone, held by a lock that ends with the process.

    Raises:
        Refused: another daemon holds it (it is named), or the folder or something of ours in it is not as it
            must be.
        Broken: the folder cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        _own(folder)
        _check_parts(folder)
        self._fd = self._lock(folder / "daemon.lock")

    def _lock(self, path: Path) -> int:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise Broken(f"{path} cannot be written: {error.strerror}; check its folder.") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(fd)
            os.close(fd)
            raise _unlocked(self.folder, error, holder) from None
        with contextlib.suppress(OSError):  # a full disk: who holds it is then not said, the lock holds
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _holder(lock: int) -> str:
    return os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"


def _unlocked(folder: Path, error: OSError, holder: str) -> Exception:
    if error.errno != errno.EWOULDBLOCK:
        return Broken(
            f"{folder} cannot be locked ({error.strerror}), so two daemons could run on it; "
            "choose a folder on a local disk.",
            code="no-locks",
        )
    return Refused(
        f"A daemon runs on {folder} already, pid {holder}; "
        "stop it first, or choose another --home and HYPERHIVE_RUN.",
        code="second-daemon",
    )


def _own(folder: Path) -> None:
    """Make ``folder`` where it is missing; else it must be a folder of this user's that is a hive's or empty."""
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        _check_owned(folder)
    except OSError as error:
        raise Broken(f"{folder} cannot be made: {error.strerror}; choose another place.") from None


def _check_owned(folder: Path) -> None:
    info = _check_folder(folder)
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise Broken(f"{folder} cannot be read: {error.strerror}; choose another place.") from None
    _check_whole(folder, names)
    # What another program keeps there would be locked away from everybody else: think of --home /srv.
    if names and KNOWN.isdisjoint(set(names) - {"lost+found"}) and set(names) - KNOWN:
        raise Refused(
            f"{folder} holds other things ({_some(names)}) and no hive; choose an empty folder.",
            code="not-ours",
        )
    if stat.S_IMODE(info.st_mode) & 0o077:
        folder.chmod(0o700)


def _check_whole(folder: Path, names: Iterable[str]) -> None:
    if UNDER_WAY in names:
        raise Refused(
            f"A restore into {folder} did not end; delete what is in it and restore again.",
            code="half-restored",
        )


def _check_folder(folder: Path) -> os.stat_result:
    info = folder.lstat()
    if stat.S_ISLNK(info.st_mode):
        raise Refused(f"{folder} is a link; name the folder that it leads to instead.", code="not-ours")
    if not stat.S_ISDIR(info.st_mode):
        raise Refused(f"{folder} is no folder; choose another place.", code="not-ours")
    if info.st_uid != os.geteuid():
        raise Refused(
            f"{folder} belongs to somebody else, uid {info.st_uid}; choose another place, "
            "or run this as that user.",
            code="not-ours",
        )
    return info


def _some(names: Iterable[str]) -> str:
    first = [repr(name)[1:-1][:40] for name in names]
    return ", ".join(first[:3]) + (" …" if len(first) > 3 else "")


def _check_parts(folder: Path) -> None:
    """Refuse what stands where a part of ours belongs and is something else, before anything relies on it."""
    for name in (*_FOLDERS, *_FILES, "host.sock"):
        path = folder / name
        try:
            info = path.stat() if name in _LINKED else path.lstat()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Broken(f"{path} cannot be read: {error.strerror}; check it and its folder.") from None
        kind = stat.S_IFDIR if name in _FOLDERS else stat.S_IFSOCK if name == "host.sock" else stat.S_IFREG
        if stat.S_IFMT(info.st_mode) != kind:
            word = {stat.S_IFDIR: "folder", stat.S_IFSOCK: "socket", stat.S_IFREG: "file"}[kind]
            raise Refused(f"{path} is no {word}, as it must be; move it away.", code="not-ours")
        if info.st_uid not in (os.geteuid(), 0):
            raise Refused(
                f"{path} belongs to somebody else, uid {info.st_uid}; "
                f"give it to this user ('chown -R {os.geteuid()} {folder}'), or move it away.",
                code="not-ours",
            )


def check_run(run: Path, *, home: Path) -> None:
    """Refuse a run folder in the home's way, or whose sockets would have paths too long for the kernel.

    Raises:
        Refused: with what to set instead.
    """
    way, its = Path(os.path.realpath(run)), Path(os.path.realpath(home))
    if way == its:
        raise Refused(
            f"{run} is both the home and the run folder, and each must be a folder of its own; "
            "set HYPERHIVE_RUN to another, or leave it out.",
            code="run-in-the-way",
        )
    if its.is_relative_to(way) or any(way.is_relative_to(its / name) for name in _FOLDERS):
        raise Refused(
            f"The run folder {run} and the home {home} are in each other's way: neither may hold what the "
            "other keeps; set HYPERHIVE_RUN to a folder beside the home, or leave it out.",
            code="run-in-the-way",
        )
    if len(os.fsencode(run)) + LONGEST_SOCKET > MAX_SOCKET_PATH:
        raise Refused(
            f"{run} is too long for sockets ({MAX_SOCKET_PATH} bytes in all); set HYPERHIVE_RUN to a shorter one.",
            code="run-too-long",
        )


def free_bytes(folder: Path) -> int:
    """Bytes that this process may still write on the disk of ``folder``."""
    found = os.statvfs(folder)
    blocks = found.f_bavail
    if found.f_bfree > blocks and os.geteuid() == 0 and _reserved_for_root(folder):
        blocks = found.f_bfree
    return blocks * found.f_frsize


def _reserved_for_root(folder: Path) -> bool:
    """Whether the blocks that a disk keeps back are for this root, as ext's are; other disks need theirs."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}".encode()
    with contextlib.suppress(OSError, ValueError, IndexError):
        if Path("/proc/self/uid_map").read_bytes().split()[:2] != [b"0", b"0"]:
            return False  # root of a user namespace
        for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
            fields = line.split()
            if fields[2] == number:
                return fields[fields.index(b"-", 6) + 1] in (b"ext2", b"ext3", b"ext4")
    return False


def check_room(folder: Path, needs: int = ROOM) -> None:
    """Refuse a folder on a disk without room for a hive to begin.

    Raises:
        Refused: with how much is free.
    """
    free = free_bytes(folder)
    if free < needs:
        raise Refused(
            f"The disk of {folder} has {free // 1024} KiB free, {needs // 1024} KiB are needed; "
            "free some, or choose another place.",
            code="no-space",
        )
    found = os.statvfs(folder)
    if found.f_files and found.f_favail < _NODES:
        raise Refused(
            f"The disk of {folder} has no room for more files ({found.f_favail} left); "
            "delete some, or choose another place.",
            code="no-space",
        )


def raise_open_files() -> None:
    """Raise the soft limit of open files, which is commonly 1,024, as far as is allowed and sensible."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def load_secret(path: Path) -> bytes:
    """The secret at ``path``, made (0600) when missing: containers that run on keep their keys.

    Raises:
        Broken: it cannot be read or written.
    """
    try:
        found = _read(path)
        if len(found) == 32:
            return found
        made = secrets.token_bytes(32)
        fresh = path.with_name(f"{path.name}.new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(made)
        fresh.replace(path)
    except OSError as error:
        raise Broken(
            f"{path} cannot be read or written: {error.strerror}; check it and its folder."
        ) from None
    return made


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
