"""When an HTTP client goes away in the middle of a call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

SCOPE_KEY = "hyperhive.departure"
"""Where the ASGI scope of a request holds its ``Departure``."""


class Departure:
    """One request's client: there, or gone. Everything runs on the event loop."""

    def __init__(self) -> None:
        self.gone = False
        self._callbacks: list[Callable[[], None]] = []

    def notice(self) -> None:
        """The client is gone."""
        self.gone = True
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call ``callback`` once if the client goes while the block runs, at once if it is gone already."""
        if self.gone:
            callback()
            yield
            return
        self._callbacks.append(callback)
        try:
            yield
        finally:
            if callback in self._callbacks:
                self._callbacks.remove(callback)
