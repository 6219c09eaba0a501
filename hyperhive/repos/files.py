"""Files and folders where somebody else may write too: nothing here follows a link or waits for one who writes."""

import os
import shutil
import stat
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def open_folder(path: str | Path, *, at: int | None = None) -> int:
    """A descriptor of a folder that is no link.

    Raises:
        OSError: ``ENOENT``, ``ENOTDIR`` or ``ELOOP`` when it is something else.
    """
    return os.open(path, _FOLDER, dir_fd=at)


def read_file(path: str | Path, limit: int, *, at: int | None = None) -> bytes | None:
    """What a regular file holds.

    Returns:
        ``None`` when it is there but no regular file, or longer than ``limit`` bytes.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    # A device may act on being opened; so look first, and make sure afterwards.
    if not stat.S_ISREG(os.stat(path, dir_fd=at, follow_symlinks=False).st_mode):
        return None
    fd = os.open(path, _FILE, dir_fd=at)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        found = bytearray()
        while len(found) <= limit and (chunk := os.read(fd, min(limit + 1 - len(found), 1 << 20))):
            found += chunk
    finally:
        os.close(fd)
    return None if len(found) > limit else bytes(found)


def write_file(
    path: str | Path, content: bytes, *, at: int | None = None, mode: int = 0o600, durable: bool = False
) -> None:
    """Make a file that is not there yet; ``durable``: its content is on the disk when this returns.

    Raises:
        FileExistsError: something is there.
        OSError: the disk refuses.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=at)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)


def remove(path: Path) -> None:
    """Remove whatever is there, if anything is."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        shutil.rmtree(path, ignore_errors=True)
