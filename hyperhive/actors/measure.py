"""How large a folder is, within bounds: agents write into what is measured."""

import os
import stat
import time
from contextlib import ExitStack
from pathlib import Path

MAX_ENTRIES = 100_000
MAX_SECONDS = 2.0
_DEEPEST = 64

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def measure(path: Path, *, entries: int = MAX_ENTRIES, seconds: float = MAX_SECONDS) -> int:
    """Bytes that a folder and all in it take on the disk. No link is followed, at no depth.

    Args:
        entries, seconds: where it stops, with what it found so far; so it does below 64 folders in each other.

    Returns:
        The bytes; 0 when there is no such folder.
    """
    budget = _Budget(entries, time.monotonic() + seconds)
    with ExitStack() as stack:
        try:
            fd = os.open(path, _FOLDER)
        except OSError:
            return 0
        stack.callback(os.close, fd)
        return _walk(fd, budget, _DEEPEST)


class _Budget:
    def __init__(self, entries: int, until: float) -> None:
        self._left = entries
        self._until = until

    def spend(self) -> bool:
        """Whether one more entry may be looked at."""
        self._left -= 1
        return self._left >= 0 and (self._left % 256 != 0 or time.monotonic() < self._until)


def _walk(folder: int, budget: _Budget, depth: int) -> int:
    total = 0
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if not budget.spend():
                    break
                total += _entry(folder, entry.name, budget, depth)
    except OSError:  # it changes while it is read
        pass
    return total


def _entry(folder: int, name: str, budget: _Budget, depth: int) -> int:
    try:
        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISDIR(info.st_mode) or depth == 0:
            return info.st_blocks * 512
        inner = os.open(name, _FOLDER, dir_fd=folder)
    except OSError:
        return 0
    try:
        return info.st_blocks * 512 + _walk(inner, budget, depth - 1)
    finally:
        os.close(inner)
