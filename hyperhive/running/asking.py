"""Asking: how the façade reaches actors, the record, and the audit of what the operator does."""

from collections.abc import Callable
from typing import TypeVar

from hyperhive import origin
from hyperhive.actors.address import Address
from hyperhive.actors.reply import Reply
from hyperhive.actors.store import Write
from hyperhive.actors.tree import Tree
from hyperhive.bridge import Bridge
from hyperhive.domain.events import Audit
from hyperhive.domain.names import OPERATOR, check_name
from hyperhive.errors import Unknown
from hyperhive.store.database import Database, Reader, Tx

T = TypeVar("T")

DEADLINE = 10.0
"""Seconds that an actor has for its answer."""
MAX_NOTE = 500
"""Characters of an audit's note."""


class Asking:
    """What all parts of the façade share."""

    def __init__(self, *, tree: Tree, database: Database, bridge: Bridge) -> None:
        self.tree = tree
        self.bridge = bridge
        self._database = database

    @property
    def reader(self) -> Reader:
        """Reads of the record, in whatever thread this is called."""
        return self._database.reader()

    def address(self, name: str) -> Address:
        """Where an agent's actor is reached.

        Raises:
            Unknown: there is no such agent; names those there are.
        """
        check_name(name)
        post = self.tree.roster.get(name)
        if post is None:
            known = ", ".join(self.tree.board.names) or "none"
            raise Unknown(f"There is no agent '{name}'; there are: {known}.", code="unknown-agent")
        return post.address

    async def gate(self, make: Callable[[Reply[T]], object], *, deadline: float = DEADLINE) -> T:
        """Ask the Gatekeeper."""
        gatekeeper = self.tree.services.gatekeeper
        return await self.call(lambda reply: gatekeeper.tell(make(reply)), deadline=deadline)

    async def write(self, op: Callable[[Tx], T]) -> T:
        """Run ``op`` in a transaction; what it gave, once that is durable."""
        return await self.call(lambda reply: self.tree.services.store.tell(Write(op, reply)))

    async def call(
        self,
        make: Callable[[Reply[T]], None],
        *,
        deadline: float = DEADLINE,
        undelivered: Callable[[T], None] | None = None,
    ) -> T:
        """Ask an actor; see ``Bridge.call``."""
        return await self.bridge.call(make, deadline=deadline, undelivered=undelivered)

    async def audit(self, action: str, agent: str | None, *, by: str, note: str = "") -> None:
        """Write a command of the operator's down before it is carried out; an agent's own are not."""
        if by != OPERATOR:
            return
        told = Audit(agent=agent, action=action, by=by, where=origin.where(), note=note[:MAX_NOTE])
        await self.write(lambda tx: tx.emit(told))
