"""A glance at an agent: a few microseconds that tell whether anything about it has changed."""

import os
import random

from hyperhive.actors.agent import MAX_LOG
from hyperhive.actors.observer import CREDENTIALS
from hyperhive.repos.skeleton import CONFIG_FILE

CLOSELY = 3
"""Glances of which one looks closely at the leader, which takes longer than any file. The others see whether there is
one: its end is watched anyway, and rarely does one that ended wait for its parent, or has another its number."""

_Leader = tuple[int, bytes, bool]


class Glance:
    """Glances at one agent, and remembers how it was last time: what was there is looked for first.

    Args:
        root: the agent's folder.
    """

    __slots__ = ("_closely", "_leader", "_there", "root")

    def __init__(self, root: str) -> None:
        self.root = root
        self._leader: _Leader | None = None
        self._closely = 0
        self._there = 0

    def mark(self, pid: int | None) -> int | None:
        """A number that changes with the leader, and with the files that login, revision and watches hang on.

        Args:
            pid: the container's leader, if one runs.

        Returns:
            ``None`` when it cannot be told.
        """
        root = self.root
        try:
            log = self._file(f"{root}/container/log", 1)
            return hash(
                (
                    self._process(pid),
                    self._file(f"{root}/claude/{CREDENTIALS}", 2),
                    self._file(f"{root}/applied/{CONFIG_FILE}", 4),
                    self._file(f"{root}/applied/.git/refs/heads/main", 8),
                    _folder(f"{root}/claude"),
                    _folder(f"{root}/applied"),
                    log is not None and log[2] > MAX_LOG,
                )
            )
        except OSError:
            self._closely = 0
            return None

    def _process(self, pid: int | None) -> _Leader | None:
        """Which process has that number, and whether it has ended; at times only whether there is one still."""
        known = self._leader
        if pid is None or known is None or known[0] != pid or not _exists(pid):
            self._closely = random.randint(1, CLOSELY)  # not all that are new in one round
            known = self._leader = None if pid is None else _leader(pid)
        elif self._closely <= 1:
            self._closely, known = CLOSELY, _leader(pid)
            self._leader = known
        else:
            self._closely -= 1
        return known

    def _file(self, path: str, bit: int) -> tuple[int, int, int] | None:
        # To be told of what is there by an exception, or to ask first for what is, takes as long as the answer.
        if not self._there & bit and not os.access(path, os.F_OK, follow_symlinks=False):
            return None
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            self._there &= ~bit
            return None
        self._there |= bit
        return found.st_ino, found.st_mtime_ns, found.st_size


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _leader(pid: int) -> _Leader | None:
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        raw = os.read(fd, 1024)
    except ProcessLookupError:
        return None
    finally:
        os.close(fd)
    fields = raw[raw.rindex(b")") + 2 :].split(b" ", 20)
    return pid, fields[19], fields[0] in b"ZX"


def _folder(path: str) -> int:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - a thousand of them a second
    except (FileNotFoundError, NotADirectoryError):
        return 0
