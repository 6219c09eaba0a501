"""SIGTERM and SIGINT: heard from the first moment, though who can end in order is still being imported."""

import signal
from collections.abc import Callable
from types import FrameType


class Ending:
    """Hears them from now on, in the main thread."""

    def __init__(self) -> None:
        self._asked = False
        self._then: Callable[[], None] = lambda: None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heard)

    def told_to(self, then: Callable[[], None]) -> None:
        """Call ``then`` for each of them; now, if one has come already."""
        self._then = then
        if self._asked:
            then()

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self._then()
