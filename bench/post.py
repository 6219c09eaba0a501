"""The hive's mail without its agents: Store, Broker and hub as the daemon has them, on a database of their own."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from hyperhive.actors.address import Address
from hyperhive.actors.board import Board
from hyperhive.actors.broker import Broker, WaitingRoom
from hyperhive.actors.crew import Crew
from hyperhive.actors.hub import EventHub
from hyperhive.actors.roster import Roster
from hyperhive.actors.store import Store
from hyperhive.actors.watcher import Watcher
from hyperhive.bridge import Bridge
from hyperhive.domain.parts import AgentShown
from hyperhive.domain.records import Intended
from hyperhive.domain.turns import TurnState
from hyperhive.domain.views import AgentView, HiveView, TurnView
from hyperhive.running.asking import Asking
from hyperhive.running.mail import Mail
from hyperhive.store.database import Database


@dataclass(frozen=True, slots=True)
class _Services:
    store: Address
    broker: Address


@dataclass(frozen=True, slots=True)
class _Tree:
    """What ``Asking`` wants of a tree."""

    services: _Services
    room: WaitingRoom


class PostOffice:
    """Agents ``a0``, ``a1`` … at rest, recorded and shown, and their mail.

    Args:
        folder: where the database goes.
        agents: how many.
    """

    def __init__(self, folder: Path, agents: int) -> None:
        self._database = Database(folder / "hive.sqlite")
        self._watcher = Watcher()
        self._bridge = Bridge()
        self._board = Board(hive=_hive(), seq=0)
        self._agents = tuple(f"a{number}" for number in range(agents))
        self._refs: list[Any] = []
        self.store, self.broker, self.hub = Address("store"), Address("broker"), Address("hub")
        self.room = WaitingRoom()
        self._crew = Crew(hands=1, stalled=0.1)
        tree = cast(Any, _Tree(_Services(self.store, self.broker), self.room))
        self.mail = Mail(asking=Asking(tree=tree, database=self._database, bridge=self._bridge))

    def __enter__(self) -> Self:
        self._database.open()
        with self._database.transaction() as tx:
            for name in self._agents:
                tx.agents.insert(name, "agent", Intended.STOPPED)
        self._board.apply((), tuple(AgentShown(_view(name)) for name in self._agents))
        self._watcher.start()
        common: dict[str, Any] = {"failed": print, "crew": self._crew}
        self._refs = [
            EventHub.start(
                board=self._board,
                frames=self._bridge.feed,
                database=self._database,
                broker=self.broker,
                recorded=tuple,
                ask_agents=int,
                address=self.hub,
                **common,
            ),
            Store.start(database=self._database, hub=self.hub, address=self.store, **common),
            Broker.start(
                store=self.store,
                roster=Roster(),
                room=self.room,
                timers=self._watcher,
                frames=self._bridge.feed,
                address=self.broker,
                **common,
            ),
        ]
        return self

    async def opened(self) -> None:
        """Bind it to the running loop."""
        self._bridge.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bridge.close()
        for ref in reversed(self._refs):
            ref.stop()
        self._crew.close()
        self._watcher.stop()
        self._database.close()


def _hive() -> HiveView:
    return HiveView(
        name="bench",
        mode="rehearsal",
        runtime="process",
        confined=False,
        version="0",
        started=datetime.now(UTC),
    )


def _view(name: str) -> AgentView:
    now = datetime.now(UTC)
    return AgentView(
        name=name,
        role="agent",
        container="stopped",
        login="logged-in",
        revision="up-to-date",
        turn=TurnView(state=TurnState.IDLE, since=now, turn=None),
        since=now,
    )
