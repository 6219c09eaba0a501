"""The tree: every actor of a hive, made here and kept alive by the supervisor."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hyperhive.actors.address import Address
from hyperhive.actors.agent import AgentActor, Show
from hyperhive.actors.board import Board
from hyperhive.actors.broker import Broker, WaitingRoom
from hyperhive.actors.clerk import Clerk
from hyperhive.actors.core import AgentMemory, Shared
from hyperhive.actors.crew import Crew
from hyperhive.actors.desk import Desk
from hyperhive.actors.entry import insert_agent
from hyperhive.actors.gatekeeper import Gatekeeper
from hyperhive.actors.gauges import Gauges
from hyperhive.actors.hub import Committed, EventHub
from hyperhive.actors.layout import Layout
from hyperhive.actors.painting import Painter
from hyperhive.actors.ports import Frames
from hyperhive.actors.proposals import Proposals
from hyperhive.actors.reply import Call, Reply
from hyperhive.actors.requests import Operate
from hyperhive.actors.retention import KEPT, Retained
from hyperhive.actors.room import Room
from hyperhive.actors.roster import Failed, Post, Roster
from hyperhive.actors.rounds import Rounds
from hyperhive.actors.store import Store, Write
from hyperhive.actors.supervisor import Add, Remove, Root
from hyperhive.actors.watcher import Watcher
from hyperhive.domain.axes import Transient
from hyperhive.domain.events import AgentQuarantined
from hyperhive.domain.names import MANAGER, check_name
from hyperhive.domain.parts import AgentShown
from hyperhive.domain.records import AgentRecord
from hyperhive.domain.turns import TurnState
from hyperhive.domain.views import HiveView, TurnView
from hyperhive.errors import HiveError
from hyperhive.repos.repositories import Repositories
from hyperhive.shortage import AGAIN
from hyperhive.store.database import Database, Tx

_COMMIT = 0.1
"""Seconds that a commit may take before the hub and the Broker get a thread beside the Store's."""
_DURABLE = 10.0
"""Seconds in which the Store finishes when all is stopped."""


@dataclass(frozen=True, slots=True)
class Services:
    """The addresses of the services every hive has."""

    store: Address
    hub: Address
    broker: Address
    gatekeeper: Address


class Tree:
    """Makes the actors of a hive and supervises them.

    Args:
        hive: the hive's own view, for the snapshot.
        board: one that is painted and shown already; ``None``: a new one.
        repos: the config repositories.
        clerk: works on them beside the mailboxes; the tree closes it.
        desk: what the manager has before it.
        shared: makes what the agents' actors share, once the services have their addresses.
        kept: how much of the record is kept.
    """

    def __init__(
        self,
        *,
        database: Database,
        frames: Frames,
        watcher: Watcher,
        hive: HiveView,
        board: Board | None = None,
        now: Callable[[], datetime],
        repos: Repositories,
        clerk: Clerk,
        desk: Desk,
        shared: Callable[[Services], Shared],
        kept: Retained = KEPT,
    ) -> None:
        self._shown = board is not None
        self.board = board or Board(hive=hive, seq=database.reader().events.newest())
        self.roster = Roster()
        self._crew = Crew()
        # Each goes on where the one before it ends: a second thread would only wake.
        self._mail_crew = Crew(hands=1, stalled=_COMMIT)
        self.room = WaitingRoom()
        self.services = Services(*(Address(f"#{name}") for name in ("store", "hub", "broker", "gatekeeper")))
        self.root = Root(roster=self.roster, timers=watcher)
        self._database = database
        self._frames = frames
        self._watcher = watcher
        self.now = now
        self._shared = shared(self.services)
        self._painter = Painter(
            database=database, layout=self._shared.layout, runtime=self._shared.runtime, now=now
        )
        self._clerk = clerk
        self._desk = desk
        self._kept = kept
        self._troubles = hive.trouble
        self._troubled = threading.Lock()
        self._proposals = self._make_proposals(repos)

    def start(self) -> None:
        """Start the services, then an actor for every agent there is; the manager exists by itself."""
        with self._database.transaction() as tx:
            if tx.agents.get(MANAGER) is None:
                self._enter(tx, MANAGER, "system")
        if not self._shown:
            self.board.apply((), (*self._painter.agents(), *self._sections()))
        for post in self._service_posts():
            self.roster.add(post)
        for record in self._database.reader().agents.all():
            self.roster.add(self._agent_post(record.name))
        self._watcher.on_trouble = lambda trouble: self._trouble(None, trouble)
        self._desk.on_trouble = self._trouble
        self.root.start()
        Room(folder=self.layout.home, timers=self._watcher, on_trouble=self._trouble).look()

    def _trouble(self, was: str | None, now: str | None) -> None:
        """Something does not work as it should, or does again: say so to everybody who looks."""
        with self._troubled:
            others = tuple(text for text in self._troubles if text not in (was, now))
            self._troubles = others if now is None else (*others, now)
            view = replace(self.board.hive, trouble=self._troubles)
            self.services.hub.tell(Committed(parts=(view,)))

    def stop(self) -> None:
        """Stop every actor; containers run on. Afterwards the database may be closed."""
        self._clerk.close()
        store = self.services.store.actor
        self.root.stop()
        if isinstance(store, Store):  # it still makes durable what it was told, and nobody may close under it
            store.over.wait(_DURABLE)
        self._crew.close()
        self._mail_crew.close()

    def spawn(self, name: str, *, by: str, reply: Reply[AgentRecord]) -> None:
        """Enter a new agent and start its actor, which spawns the container."""
        check_name(name)

        def entered(record: AgentRecord) -> None:
            self.adopt(record.name)
            reply.set(record)
            with contextlib.suppress(HiveError):  # the daemon stops: the next one makes tags again
                self._clerk.run(lambda: self._proposals.retag_last(name), key=name)

        self.services.store.tell(Write(lambda tx: self._enter(tx, name, by), _Entered(entered, reply)))

    def _enter(self, tx: Tx, name: str, by: str) -> AgentRecord:
        """Record a new agent and show it, so that whoever hears of it finds it."""
        record = insert_agent(tx, name, by=by, layout=self._shared.layout)
        tx.show(AgentShown(self._painter.agent(record, None)))
        return record

    def adopt(self, name: str) -> None:
        """Start the actor of an agent that was just recorded. It can be told things at once."""
        post = self._agent_post(name)
        if self.roster.get(name) is None:
            self.roster.add(post)
        self.root.address.tell(Add(post))

    @property
    def layout(self) -> Layout:
        """Where the agents' folders are."""
        return self._shared.layout

    @property
    def gauges(self) -> Gauges:
        """The tree as it fares, for whoever looks inside."""
        return Gauges(
            board=self.board,
            roster=self.roster,
            root=self.root,
            store=self.services.store,
            places=self._shared.operations.places,
            clerk=self._clerk,
        )

    def _sections(self) -> tuple[object, ...]:
        """What the snapshot shows beside the agents' own views."""
        view = replace(self.board.hive, trouble=self._troubles)
        return (view, *self._painter.sections(self.board))

    def _ask_agents(self) -> None:
        for post in self.roster.all():
            if not post.name.startswith("#"):
                post.address.tell(Show())

    def _service_posts(self) -> tuple[Post, ...]:
        services, database, crew = self.services, self._database, self._mail_crew
        fixed: dict[str, tuple[Address, type[Any], dict[str, Any]]] = {
            "#store": (services.store, Store, {"database": database, "hub": services.hub, "crew": crew}),
            "#hub": (
                services.hub,
                EventHub,
                {
                    "board": self.board,
                    "frames": self._frames,
                    "database": database,
                    "broker": services.broker,
                    "recorded": self._sections,
                    "ask_agents": self._ask_agents,
                    "crew": crew,
                },
            ),
            "#broker": (
                services.broker,
                Broker,
                {
                    "store": services.store,
                    "roster": self.roster,
                    "room": self.room,
                    "timers": self._watcher,
                    "frames": self._frames,
                    "crew": crew,
                },
            ),
            "#gatekeeper": (services.gatekeeper, Gatekeeper, self._gatekeeper()),
            "#rounds": (Address("#rounds"), Rounds, self._rounds()),
        }
        return tuple(
            Post(name=name, address=address, start=_Start(kind, args))
            for name, (address, kind, args) in fixed.items()
        )

    def _gatekeeper(self) -> dict[str, Any]:
        services, database = self.services, self._database
        return {
            "store": services.store,
            "database": database,
            "timers": self._watcher,
            "now": self.now,
            "clerk": self._clerk,
            "proposals": self._proposals,
            "kept": self._kept,
        }

    def _rounds(self) -> dict[str, Any]:
        return {
            "roster": self.roster,
            "board": self.board,
            "layout": self.layout,
            "timers": self._watcher,
            "tick": self._shared.tick,
            "clock": self._shared.clock,
        }

    def _make_proposals(self, repos: Repositories) -> Proposals:
        return Proposals(
            repos=repos,
            store=self.services.store,
            database=self._database,
            layout=self.layout,
            desk=self._desk,
            now=self.now,
            check=self._shared.builder.check,
            enter=self._enter,
            adopt=self.adopt,
            rebuild=self._rebuild,
            doubtful=self._shared.operations.deploying.doubtful,
        )

    def _rebuild(self, name: str, by: str) -> None:
        """There is something approved to be built for an agent."""
        if (post := self.roster.get(name)) is not None:
            post.address.tell(Operate(Transient.REBUILDING, by=by))

    def _agent_post(self, name: str) -> Post:
        memory = AgentMemory(turn=TurnView(state=TurnState.IDLE, since=self.now()))
        address = Address(name)
        start = _AgentStart(self, memory, address)
        return Post(
            name=name,
            address=address,
            start=start,
            policy=self._shared.policy,
            given_up=start.given_up,
        )

    def start_agent(
        self,
        memory: AgentMemory,
        *,
        gone: Callable[[], None],
        address: Address,
        failed: Failed,
        attempt: int,
        error: str | None,
    ) -> object:
        """Make and start the actor of a post; for the post alone."""
        return AgentActor.start(
            name=address.name,
            shared=self._shared,
            memory=memory,
            crew=self._crew,
            gone=gone,
            address=address,
            failed=failed,
            attempt=attempt,
            error=error,
        )

    def give_up(self, name: str, error: str) -> None:
        """An agent's actor keeps failing: record and show it, as soon as that can be; only the operator lifts it."""
        view = self.board.agent(name)

        def op(tx: Tx) -> None:
            post, record = self.roster.get(name), tx.agents.get(name)
            if record is None or post is None or not post.quarantined:
                return  # it was lifted while this could not be stored
            tx.agents.save(record._replace(quarantined=error, last_error=error))
            tx.emit(AgentQuarantined(agent=name, error=error))
            if view is not None:
                tx.show(AgentShown(replace(view, quarantined=error, last_error=error)))

        def again(_: BaseException) -> None:
            self._watcher.after(AGAIN, lambda: self.give_up(name, error))

        self.services.store.tell(Write(op, Call(lambda _: None, again)))


class _Start:
    """Starts an actor of one class with fixed arguments."""

    def __init__(self, kind: type[Any], args: dict[str, Any]) -> None:
        self._kind = kind
        self._args = args

    def __call__(self, *, address: Address, failed: Failed, attempt: int, error: str | None) -> object:
        return self._kind.start(address=address, failed=failed, **self._args)


class _AgentStart:
    """Starts the actor of one agent. Small, for there is one for each agent."""

    __slots__ = ("_address", "_memory", "_tree")

    def __init__(self, tree: Tree, memory: AgentMemory, address: Address) -> None:
        self._tree, self._memory, self._address = tree, memory, address

    def __call__(self, *, address: Address, failed: Failed, attempt: int, error: str | None) -> object:
        return self._tree.start_agent(
            self._memory, gone=self._gone, address=address, failed=failed, attempt=attempt, error=error
        )

    def _gone(self) -> None:
        self._tree.root.address.tell(Remove(self._address.name, self._address))

    def given_up(self, error: str) -> None:
        """It keeps failing."""
        self._tree.give_up(self._address.name, error)


class _Entered:
    def __init__(self, done: Callable[[AgentRecord], None], reply: Reply[AgentRecord]) -> None:
        self._done = done
        self._reply = reply

    def set(self, value: AgentRecord) -> None:
        self._done(value)

    def fail(self, error: BaseException) -> None:
        self._reply.fail(error)
