"""Room on the disk: says when it runs out. What agents write into their folders has no bound but the disk."""

from collections.abc import Callable
from pathlib import Path

from hyperhive.actors.ports import Timers
from hyperhive.home import free_bytes

LEAST = 1024 * 1024 * 1024
"""Bytes free on the disk of the home below which everybody who looks is told."""
EVERY = 60.0
"""Seconds between two looks."""


class Room:
    """Looks how much room there is, now and again.

    Args:
        folder: on the disk that is looked at.
        on_trouble: hears what was in the way and what is now, whenever that changes.
        free: how much room a folder's disk has.
    """

    def __init__(
        self,
        *,
        folder: Path,
        timers: Timers,
        on_trouble: Callable[[str | None, str | None], None],
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._folder = folder
        self._timers = timers
        self._on_trouble = on_trouble
        self._free = free
        self._trouble: str | None = None

    def look(self) -> None:
        """Look now, and from now on. Never fails."""
        self._timers.after(EVERY, self.look)
        try:
            found = self._free(self._folder)
        except OSError:  # no descriptor, or a disk that is away: others say so
            return
        enough = LEAST if self._trouble is None else LEAST + LEAST // 4  # not to and fro at the edge
        trouble = None if found >= enough else self._words()
        if trouble != self._trouble:
            was, self._trouble = self._trouble, trouble
            self._on_trouble(was, trouble)

    def _words(self) -> str:
        return (
            f"less than {LEAST >> 20} MiB are free on the disk of {self._folder}: "
            "free some; 'du -sh' on its agents/* says whose they are"
        )
