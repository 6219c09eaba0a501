"""What the parts of one agent's actor share: its record, its memory, and the one way to change either."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hyperhive.actors.address import Address
from hyperhive.actors.builder import Builder
from hyperhive.actors.hub import Committed
from hyperhive.actors.job import Job, Result
from hyperhive.actors.layout import AgentPaths, Layout
from hyperhive.actors.observer import Credentials
from hyperhive.actors.operations import Operations
from hyperhive.actors.ports import Outbound, Watches
from hyperhive.actors.reply import Call, Reply
from hyperhive.actors.store import Write
from hyperhive.domain.agent_config import AgentConfig, parse
from hyperhive.domain.axes import Container, Transient
from hyperhive.domain.events import HelperEvent
from hyperhive.domain.launch import role_of
from hyperhive.domain.parts import AgentGone, AgentShown
from hyperhive.domain.policy import Failures, RestartPolicy
from hyperhive.domain.records import AgentRecord
from hyperhive.domain.turns import TurnState
from hyperhive.domain.views import AgentView, TurnView
from hyperhive.errors import Gone, HiveError
from hyperhive.runtimes.base import Runtime
from hyperhive.store.database import Database, Tx


@dataclass(frozen=True, slots=True)
class Shared:
    """What all agents' actors are given: services, ports and numbers. Durations in seconds."""

    store: Address
    hub: Address
    database: Database
    watches: Watches
    runtime: Runtime
    builder: Builder
    operations: Operations
    layout: Layout
    credentials: Credentials
    now: Callable[[], datetime]
    random: Callable[[], float]
    boot: str
    rehearsal: bool
    tick: float = 10.0
    turn_deadline: float = 1800.0
    harness_away: float = 90.0
    job_deadline: float = 300.0
    policy: RestartPolicy = field(default_factory=RestartPolicy)


@dataclass(slots=True)
class Queued:
    """An operation that waits for the one under way."""

    kind: Transient
    by: str
    purge: bool
    waiting: list[Reply[Result]]


@dataclass(slots=True)
class AgentMemory:
    """What an agent's actor leaves to its successor: what cannot be read from the database."""

    turn: TurnView
    job: Job | None = None
    queue: list[Queued] = field(default_factory=list)
    purge: bool = False
    failures: Failures = field(default_factory=Failures)
    turn_failures: int = 0
    session: Outbound | None = None
    away_since: datetime | None = None
    hold_until: datetime | None = None
    restart_at: datetime | None = None
    unknown: bool = False
    last_activity: datetime | None = None
    timers: dict[str, Callable[[], None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Then:
    """A continuation in the actor's thread; void if the actor was replaced in the meantime."""

    core: "Core"
    call: Callable[[], None]


class Core:
    """The record of one agent, and how it changes: in the database first, visible to others after."""

    def __init__(self, *, record: AgentRecord, shared: Shared, memory: AgentMemory, address: Address) -> None:
        self.record = record
        self.shared = shared
        self.memory = memory
        self.address = address
        self.open_turn: int | None = None
        self.void = False
        self.on_lost: Callable[[], None] = lambda: None

    @property
    def name(self) -> str:
        """The agent."""
        return self.record.name

    @property
    def paths(self) -> AgentPaths:
        """Its folders."""
        return self.shared.layout.agent(self.record.name)

    @property
    def config(self) -> AgentConfig:
        """The config its container was built from."""
        return parse(self.record.built_config) if self.record.built_config else AgentConfig()

    # -- changing

    def commit(
        self,
        record: AgentRecord,
        *events: HelperEvent,
        op: Callable[[Tx], Any] | None = None,
        then: Callable[[Any], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Record and tell, in one transaction. The actor goes on with ``record`` at once.

        Args:
            op: more to do in the same transaction, before the events.
            then: called in the actor's thread with what ``op`` returned, once it is durable.
            failed: called in the actor's thread when nothing was stored; the record is read again before.
        """
        if self.void:
            return
        self.record = record
        view = self.view()

        def run(tx: Tx) -> Any:
            live = tx.agents.get(record.name)
            if live is None or live.id != record.id:
                raise Gone(f"The agent '{record.name}' was destroyed.", code="destroyed")
            tx.agents.save(record)
            result = op(tx) if op is not None else None
            for event in events:
                tx.emit(event)
            tx.show(AgentShown(view))
            return result

        def lost(error: BaseException) -> None:
            self.address.tell(Then(self, lambda: self._lost(error, failed)))

        def stored(value: Any) -> None:
            if then is not None:
                self.address.tell(Then(self, lambda: then(value)))

        self.shared.store.tell(Write(run, Call(stored, lost)))

    def remove(self, op: Callable[[Tx], None], then: Callable[[Any], None]) -> None:
        """End the agent's record in one transaction; nothing is recorded of it afterwards."""

        def run(tx: Tx) -> None:
            op(tx)
            tx.show(AgentGone(self.name))

        def removed(value: Any) -> None:
            self.void = True
            then(value)

        def lost(error: BaseException) -> None:
            self.address.tell(Then(self, lambda: self._lost(error, None)))

        self.shared.store.tell(Write(run, Call(removed, lost)))

    def _lost(self, error: BaseException, failed: Callable[[BaseException], None] | None) -> None:
        live = self.shared.database.reader().agents.get(self.name)
        if live is None or live.id != self.record.id:
            self.void = True
        else:
            self.record = live
            self.open_turn = self.shared.database.reader().turns.open(self.name)
        if failed is not None:
            failed(error)
        elif not self.void and not isinstance(error, HiveError):
            raise error
        self.on_lost()

    def show(self) -> None:
        """Show what changed only in memory."""
        if not self.void:
            self.shared.hub.tell(Committed(parts=(AgentShown(self.view()),)))

    def later(self, key: str, delay: float, then: Callable[[], None]) -> None:
        """Run ``then`` in the actor's thread in ``delay`` seconds; a later call with this key replaces it."""
        self.cancel(key)
        self.memory.timers[key] = self.shared.watches.after(
            delay, lambda: self.address.tell(Then(self, then))
        )

    def cancel(self, key: str) -> None:
        """Do not run what was to run under this key."""
        if (cancel := self.memory.timers.pop(key, None)) is not None:
            cancel()

    # -- showing

    def turn(self, state: TurnState, *, turn: int | None = None, note: str | None = None) -> None:
        """Set the turn loop's state in memory; the next commit or ``show`` tells it."""
        held = self.memory.hold_until if state in (TurnState.RATE_LIMITED, TurnState.OFFLINE) else None
        self.memory.turn = TurnView(state=state, since=self.shared.now(), turn=turn, until=held, note=note)
        self.memory.last_activity = self.memory.turn.since

    def view(self) -> AgentView:
        """The agent as it is now. The inbox depth is the board's."""
        record, memory = self.record, self.memory
        axes = record.axes
        return AgentView(
            name=record.name,
            role=role_of(record.name),
            container="unknown" if memory.unknown else (axes.container or Container.STOPPED).value,
            login=axes.login.value if axes.login else "unknown",
            revision=axes.revision.value if axes.revision else "unknown",
            transient=record.transient.value if record.transient else None,
            transient_since=record.transient_since if record.transient else None,
            paused=record.paused,
            quarantined=record.quarantined,
            turn=memory.turn,
            model=record.model,
            recorded_revision=record.built_revision,
            runtime=self.shared.runtime.name,
            confined=self.shared.runtime.confined,
            pid=record.handle.pid if record.handle and axes.container is Container.RUNNING else None,
            ready=memory.session is not None,
            last_error=record.last_error,
            restart_at=memory.restart_at,
            last_activity=memory.last_activity,
            since=record.since,
        )
