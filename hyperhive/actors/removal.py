"""Removes folders, whatever is in them."""

import contextlib
import os
import subprocess
import time
from pathlib import Path

from hyperhive.errors import Broken, Deadline, HiveError

_REMOVE_DEADLINE = 200.0
_TRIES = 5


class SetAside:
    """A folder that is to be deleted together with its record.

    It is moved in the transaction, so that whatever takes its name next cannot meet what is being deleted.

    Args:
        root: where it is.
        place: a path beside it, to delete it from.
    """

    def __init__(self, root: Path, place: Path) -> None:
        self.place = place
        self.moved = False
        self._root = root

    def move(self) -> None:
        """Move it, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._root.rename(self.place)
            self.moved = True

    def undo(self, error: HiveError) -> None:
        """The transaction failed: move it back, unless nobody knows whether it was recorded."""
        if self.moved and not isinstance(error, Deadline):
            self.place.rename(self._root)


def remove_tree(path: Path) -> None:
    """Delete a folder and all in it, however deep and whatever its rights; links in it are not followed.

    The system's own ``rm`` does it: what an agent can nest is deeper than Python's recursion goes. It is tried a few
    times, for somebody may still be at work in there.

    Raises:
        Broken: something of it could not be removed.
    """
    said, until = "", time.monotonic() + _REMOVE_DEADLINE
    for attempt in range(_TRIES):
        if not os.path.lexists(path) or (attempt and time.monotonic() > until):
            break
        if not path.is_symlink() and path.is_dir():
            _quietly("chmod", "-R", "u+rwX", "--", str(path))
        said = _quietly("rm", "-rf", "--", str(path))
    if os.path.lexists(path):
        raise Broken(f"{path} could not be removed: {said or 'no reason given'}; remove it by hand.")


def _quietly(*command: str) -> str:
    """Run a command of the system's; the last line of what it complained of."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_REMOVE_DEADLINE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)[:300]
    return done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:300]
