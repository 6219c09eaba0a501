"""The ports through which actors reach what is not an actor; the composition root chooses the implementations."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from hyperhive.domain.records import Handle

if TYPE_CHECKING:
    from hyperhive.domain.wire import FromHost


class Frames(Protocol):
    """The way up: encoded frames for every reader. ``seq`` is ``None`` for what is no event."""

    def post(self, frames: "list[Frame]", changed: frozenset[str]) -> None:
        """Hand frames to the readers, and the names of agents whose view changed. Never waits."""

    def together(self) -> AbstractContextManager[None]:
        """A short block: what is handed up in it, answers too, is taken up at its end, with one wake-up."""


class Frame(NamedTuple):
    """One frame of the stream, encoded once. ``at``: when it was committed, by the monotonic clock; 0: not said."""

    seq: int | None
    kind: str
    data: bytes
    at: float = 0.0


class Outbound(Protocol):
    """The way to one harness connection, from any thread."""

    def send(self, line: "FromHost") -> None:
        """Send a line if the connection stands. Never waits."""

    def close(self) -> None:
        """End the connection."""


class Doors(Protocol):
    """Opens and closes an agent's two sockets; called from Jobs, blocks until done."""

    def open(self, name: str, role: Literal["manager", "agent"]) -> None:
        """Listen on the agent's sockets; no error when it does already."""

    def close(self, name: str) -> None:
        """Stop listening and remove the sockets."""


class Timers(Protocol):
    """Tells later."""

    def after(self, delay: float, then: Callable[[], None]) -> Callable[[], None]:
        """Call ``then`` in ``delay`` seconds on the watcher's thread; returns what cancels it."""


class Watches(Timers, Protocol):
    """Sees at once what the tick would see later."""

    def leader(self, handle: Handle, then: Callable[[], None]) -> Callable[[], None]:
        """Call ``then`` once when the container's leader has ended; returns what cancels it."""

    def folder(
        self, path: str, names: frozenset[str], then: Callable[[], None], *, growing: bool = False
    ) -> Callable[[], None]:
        """Call ``then``, coalesced, when one of ``names`` in the folder changed; returns what cancels it."""
