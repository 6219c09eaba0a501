"""The hive's home and run folder: claimed by one daemon at a time, and only where they are ours."""

import contextlib
import fcntl
import os
import resource
import secrets
import stat
from pathlib import Path
from typing import Self

from hyperhive.errors import Broken, Refused

MAX_SOCKET_PATH = 107
"""Bytes in the path of a unix socket."""
LONGEST_SOCKET = len("/agents/" + "x" * 31 + "/hive.sock")
_OPEN_FILES = 65_536


class Claim:
    """A folder of this daemon's alone, held by a lock that ends with the process.

    Raises:
        Refused: another daemon holds it (it is named), or the folder is not ours.
        Broken: the folder cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        _own(folder)
        self._fd = self._lock(folder / "daemon.lock")

    def _lock(self, path: Path) -> int:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise Broken(f"{path} cannot be written: {error.strerror}; check its folder.") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise Refused(
                f"A daemon runs on {self.folder} already, pid {holder}; "
                "stop it first, or choose another --home and HYPERHIVE_RUN.",
                code="second-daemon",
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _own(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = folder.lstat()
    except OSError as error:
        raise Broken(f"{folder} cannot be made: {error.strerror}; choose another place.") from None
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
        raise Refused(f"{folder} belongs to somebody else; choose another place.", code="not-ours")
    if stat.S_IMODE(info.st_mode) & 0o077:
        folder.chmod(0o700)


def check_run(run: Path) -> None:
    """Refuse a run folder whose sockets would have paths too long for the kernel.

    Raises:
        Refused: with what to set instead.
    """
    if len(os.fsencode(run)) + LONGEST_SOCKET > MAX_SOCKET_PATH:
        raise Refused(
            f"{run} is too long for sockets ({MAX_SOCKET_PATH} bytes in all); set HYPERHIVE_RUN to a shorter one.",
            code="run-too-long",
        )


def raise_open_files() -> None:
    """Raise the soft limit of open files, which is commonly 1,024, as far as is allowed and sensible."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def load_secret(path: Path) -> bytes:
    """The secret at ``path``, made (0600) when missing: containers that run on keep their keys."""
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        found = b""
    if len(found) == 32:
        return found
    made = secrets.token_bytes(32)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(made)
    return made
