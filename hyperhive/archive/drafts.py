"""A folder for what is not ready yet, beside where it will be; those of makers that were killed are removed."""

import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NAME = ".hyperhive-backup-"
_OURS = re.compile(rf"{re.escape(_NAME)}[0-9a-f]{{16}}")
_LOCK = "lock"
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def drafting(beside: Path) -> Iterator[Path]:
    """An empty folder in ``beside``, on the same disk, for its maker alone; it goes with the block.

    A maker that is killed cannot remove its own: the next one in the same place does. Whose maker lives holds a lock.
    """
    with suppress(OSError):  # a folder that may be written and not read
        _sweep(beside)
    folder, lock = _made(beside)
    try:
        yield folder
    finally:
        with suppress(OSError):
            _clear(folder)
        os.close(lock)


def _made(beside: Path) -> tuple[Path, int]:
    while True:
        folder = beside / f"{_NAME}{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        with suppress(FileNotFoundError):  # swept before it was locked
            lock = os.open(folder / _LOCK, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
            if _ours(lock) and (folder / _LOCK).exists():
                return folder, lock
            os.close(lock)


def _ours(lock: int) -> bool:
    """Take the lock; ``False``: who sweeps has it, and removes the folder."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a disk without locks: nobody else gets one either, and sweeps nothing
        return True
    return True


def _sweep(beside: Path) -> None:
    with os.scandir(beside) as entries:
        found = [Path(entry.path) for entry in entries if _OURS.fullmatch(entry.name)]
    for folder in found:
        with suppress(OSError):
            info = folder.lstat()
            if stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid():
                _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder whose maker lives no more.

    Raises:
        OSError: it lives, or nobody can tell.
    """
    try:
        lock = os.open(folder / _LOCK, _FLAGS)
    except FileNotFoundError:
        folder.rmdir()  # killed before it made anything; one that is beginning makes another folder
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _clear(folder)
    finally:
        os.close(lock)


def _clear(folder: Path) -> None:
    """Remove a folder, its lock last: who is killed meanwhile leaves one that the next can tell for ours.

    Raises:
        OSError: something in it cannot be removed.
    """
    with os.scandir(folder) as entries:
        rest = [Path(entry.path) for entry in entries if entry.name != _LOCK]
    for path in rest:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    (folder / _LOCK).unlink()
    folder.rmdir()
