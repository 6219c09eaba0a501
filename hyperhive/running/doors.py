"""Doors: an agent's sockets, opened on the loop for the Jobs that start its container."""

from collections.abc import Awaitable, Callable
from typing import Literal

from hyperhive.bridge import Bridge
from hyperhive.errors import Broken

DEADLINE = 10.0
"""Seconds that opening or closing may take."""

Open = Callable[[str, Literal["manager", "agent"]], Awaitable[None]]
Close = Callable[[str], Awaitable[None]]


class LoopDoors:
    """Opens and closes what it leads to; that is made after the actors, which it in turn leads to."""

    def __init__(self, *, bridge: Bridge) -> None:
        self._bridge = bridge
        self._ways: tuple[tuple[Open, Close], ...] = ()

    def lead_to(self, *ways: tuple[Open, Close]) -> None:
        """Say what opens and closes; called once, before the actors start."""
        self._ways = ways

    def open(self, name: str, role: Literal["manager", "agent"]) -> None:
        """Listen on the agent's sockets; blocks until done."""
        self._bridge.wait(self._open(name, role), deadline=DEADLINE)

    def close(self, name: str) -> None:
        """Stop listening; blocks until done."""
        self._bridge.wait(self._close(name), deadline=DEADLINE)

    async def _open(self, name: str, role: Literal["manager", "agent"]) -> None:
        if not self._ways:
            raise Broken("The daemon is still starting; try again.")
        for open_one, _ in self._ways:
            await open_one(name, role)

    async def _close(self, name: str) -> None:
        for _, close_one in self._ways:
            await close_one(name)
