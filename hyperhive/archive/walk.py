"""Walks folders that others change meanwhile and in which they lay what they like: no link is followed."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

MOST_DEEP = 100
"""Folders in one another; what is deeper is left out."""
SPARSE = 64 * 1024 * 1024
"""Bytes from which on a file that is mostly holes is left out: it would be written in full."""
MOST_NAMED = 50
"""How much of what was left out is named; the rest is counted."""

_PASSES = 10
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Entry:
    """Something found: ``file`` is open for a regular file, ``target`` is where a link leads."""

    path: str
    info: os.stat_result
    file: BinaryIO | None = None
    target: str = ""


@dataclass(slots=True)
class LeftOut:
    """What was not taken along, and why."""

    named: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, path: str, why: str) -> None:
        """Note one."""
        self.count += 1
        if len(self.named) < MOST_NAMED:
            self.named.append(f"{path} ({why})")


class Walk:
    """The entries below folders, each folder before what is in it.

    Args:
        skip: what is not looked at, by its path.
        left_out: where what could not be taken is noted.
    """

    def __init__(self, *, skip: Callable[[str], bool], left_out: LeftOut) -> None:
        self._skip = skip
        self._left_out = left_out
        self._vanished = 0

    def below(self, folder: int, path: str = "", depth: int = 0) -> Iterator[Entry]:
        """What is below an open folder whose path is ``path``. A file is closed when the next entry is asked for."""
        for name in _in_order(folder):
            inner = f"{path}/{name}" if path else name
            if self._skip(inner) or _unfinished(inner):
                continue
            try:
                yield from self._entry(folder, name, inner, depth)
            except FileNotFoundError:
                self._vanished += 1  # ended meanwhile: as if it had a moment earlier
            except OSError as error:
                self._left_out.add(inner, error.strerror or str(error))

    def _entry(self, folder: int, name: str, path: str, depth: int) -> Iterator[Entry]:
        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode):
            yield from self._folder(folder, name, path, depth, info)
        elif stat.S_ISLNK(info.st_mode):
            yield Entry(path, info, target=os.readlink(name, dir_fd=folder))
        elif not stat.S_ISREG(info.st_mode):
            self._left_out.add(path, "a device, pipe or socket")
        elif info.st_size > SPARSE and info.st_blocks * 512 < info.st_size // 4:
            self._left_out.add(path, "mostly holes")
        else:
            with os.fdopen(os.open(name, _FLAGS, dir_fd=folder), "rb") as file:
                now = os.fstat(file.fileno())
                if stat.S_ISREG(now.st_mode):
                    yield Entry(path, now, file=file)

    def _folder(self, folder: int, name: str, path: str, depth: int, info: os.stat_result) -> Iterator[Entry]:
        if depth >= MOST_DEEP:
            self._left_out.add(path, f"more than {MOST_DEEP} folders deep")
            return
        inner = os.open(name, _FLAGS | os.O_DIRECTORY, dir_fd=folder)
        try:
            yield Entry(path, info)
            # Only once on a path: laid in one another they would be walked ten times, each of them.
            if name != "objects" or "objects" in path.split("/")[2:-1]:
                yield from self.below(inner, path, depth + 1)
            else:
                yield from self._objects(inner, path, depth + 1)
        finally:
            os.close(inner)

    def _objects(self, folder: int, path: str, depth: int) -> Iterator[Entry]:
        """A repository's objects: what is packed anew meanwhile vanishes here and appears there."""
        seen: set[str] = set()
        for _ in range(_PASSES):
            before = self._vanished
            for entry in self.below(folder, path, depth):
                if entry.path not in seen:
                    seen.add(entry.path)
                    yield entry
            if self._vanished == before:
                return


def _in_order(folder: int) -> list[str]:
    """Names, a repository's references before its objects: so all that is referred to is there."""
    first = {"refs": 0, "packed-refs": 1, "objects": 3}
    with os.scandir(folder) as entries:
        return sorted((entry.name for entry in entries), key=lambda name: (first.get(name, 2), name))


def _unfinished(path: str) -> bool:
    """What git is writing at this moment; kept, it would lock the repository."""
    return "/.git/" in path and (path.endswith(".lock") or ("/objects/" in path and "/tmp_" in path))
