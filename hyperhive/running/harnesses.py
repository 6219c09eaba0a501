"""Harnesses: their connections, from hello to hang-up, as the agents' actors hear of them."""

import asyncio
from typing import Any

from hyperhive.actors.turn_loop import Connected, Deliver, Disconnected, Reported
from hyperhive.domain.turns import TurnItem
from hyperhive.domain.wire import Hello, Report, Welcome
from hyperhive.errors import Refused
from hyperhive.hive import Session
from hyperhive.running.asking import Asking
from hyperhive.running.streams import TurnNews
from hyperhive.store.database import Tx

MAX_WAITING = 4_000
"""Messages that may wait for an agent's actor before no report of its harness is taken."""


class Harnesses:
    """Hands on what harnesses say. On the event loop."""

    def __init__(self, *, asking: Asking, news: TurnNews) -> None:
        self._asking = asking
        self._news = news
        self._sessions: dict[Session, Any] = {}

    async def hello(self, name: str, hello: Hello, session: Session) -> Welcome:
        """A harness connected."""
        outbound = self._asking.bridge.outbound(session.send, session.close)
        peers = tuple(peer for peer in self._asking.tree.board.names if peer != name)
        address = self._asking.address(name)
        # Before it is asked: if the answer is late, it still is to be parted from.
        self._sessions[session] = outbound
        welcome: Welcome = await self._asking.call(
            lambda reply: address.tell(Connected(outbound, hello, peers, reply))
        )
        # Only once the welcome was written: the caller does that before it gives the loop away.
        asyncio.get_running_loop().call_soon(address.tell, Deliver())
        return welcome

    def report(self, name: str, session: Session, n: int, report: Report) -> None:
        """Hand on a report.

        Raises:
            Refused: too many wait already.
        """
        outbound = self._sessions.get(session)
        if outbound is None:
            return
        address = self._asking.address(name)
        if address.depth >= MAX_WAITING:  # the connection ends; what was not acknowledged is said again
            raise Refused(f"'{name}' reports faster than it is dealt with.", code="too-fast")
        address.tell(Reported(outbound, n, report))

    async def items(self, name: str, session: Session, items: tuple[TurnItem, ...]) -> None:
        """Record turn events of the open turn; others are not the harness's to write."""

        def op(tx: Tx) -> bool:
            turn = tx.turns.open(name)
            return bool(tx.turns.add_items(name, [item for item in items if item.turn == turn]))

        if session in self._sessions and await self._asking.write(op):
            self._news.tell(name)

    def gone(self, name: str, session: Session) -> None:
        """The connection ended."""
        outbound = self._sessions.pop(session, None)
        post = self._asking.tree.roster.get(name)
        if outbound is not None and post is not None:
            post.address.tell(Disconnected(outbound))
