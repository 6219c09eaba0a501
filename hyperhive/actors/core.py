"""What the parts of one agent's actor share: its record, its memory, and the one way to change either."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hyperhive.actors.address import Address
from hyperhive.actors.builder import Builder
from hyperhive.actors.clerk import Clerk
from hyperhive.actors.job import Job, Result
from hyperhive.actors.layout import AgentPaths, Layout
from hyperhive.actors.observer import Credentials
from hyperhive.actors.operations import Operations
from hyperhive.actors.painting import painted
from hyperhive.actors.ports import Outbound, Watches
from hyperhive.actors.reply import Call, Reply
from hyperhive.actors.store import Write
from hyperhive.domain.agent_config import AgentConfig, parse
from hyperhive.domain.events import HelperEvent
from hyperhive.domain.parts import AgentGone, AgentShown
from hyperhive.domain.policy import Failures, RestartPolicy
from hyperhive.domain.records import AgentRecord, Ordered
from hyperhive.domain.turns import TurnState
from hyperhive.domain.views import AgentView, TurnView
from hyperhive.errors import Broken, Gone, HiveError
from hyperhive.runtimes.base import Runtime
from hyperhive.shortage import AGAIN
from hyperhive.store.database import Database, Tx

_Failed = Callable[[BaseException], None] | None


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
    clerk: Clerk
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
    clock: Callable[[], float] = time.monotonic  # what lasts is measured by it: the time of day can be set


@dataclass(slots=True)
class Queued:
    """An operation that was accepted, and who waits for its outcome."""

    ordered: Ordered
    waiting: list[Reply[Result]]


@dataclass(slots=True)
class AgentMemory:
    """What an agent's actor leaves to its successor: what cannot be read from the database.

    Args:
        owner: the core that may write; an actor that hangs and was replaced may not.
        stash: messages that came before the record was read.
    """

    turn: TurnView
    owner: "Core | None" = None
    stash: list[object] = field(default_factory=list)
    job: Job | None = None
    queue: list[Queued] = field(default_factory=list)
    failures: Failures = field(default_factory=Failures)
    turn_failures: int = 0
    session: Outbound | None = None
    away_since: float | None = None
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
    """The record of one agent, and how it changes: in the database first, visible to others after.

    The actor goes on with a change before it is stored. When one could not be stored, those that were built on
    it must not be either, or its events would be lost: all are refused until the record was read again.
    """

    def __init__(
        self,
        *,
        record: AgentRecord,
        open_turn: int | None,
        shared: Shared,
        memory: AgentMemory,
        address: Address,
    ) -> None:
        self.record = record
        self.shared = shared
        self.memory = memory
        self.address = address
        self.open_turn = open_turn
        self.void = False
        self.on_lost: Callable[[], None] = lambda: None
        self.on_stuck: Callable[[], None] = lambda: None
        self._epoch = 0
        self._spoiled = -1
        self._failures: list[tuple[BaseException, _Failed]] = []

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
        view, epoch = self.view(), self._epoch

        def run(tx: Tx) -> Any:
            self._check(tx, epoch)
            tx.agents.save(record)
            result = op(tx) if op is not None else None
            for event in events:
                tx.emit(event)
            tx.show(AgentShown(view))
            return result

        def lost(error: BaseException) -> None:
            self._spoil(epoch, error, failed)

        def stored(value: Any) -> None:
            if then is not None:
                self.address.tell(Then(self, lambda: then(value)))

        self.shared.store.tell(Write(run, Call(stored, lost)))

    def remove(
        self,
        op: Callable[[Tx], Any],
        then: Callable[[Any], None],
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """End the agent's record in one transaction; nothing is recorded of it afterwards.

        Args:
            then: called with what ``op`` returned, in another's thread.
            failed: as for ``commit``.
        """

        epoch = self._epoch

        def run(tx: Tx) -> Any:
            self._check(tx, epoch)
            result = op(tx)
            tx.show(AgentGone(self.name))
            return result

        def removed(value: Any) -> None:
            self.void = True
            then(value)

        def lost(error: BaseException) -> None:
            self._spoil(epoch, error, failed)

        self.shared.store.tell(Write(run, Call(removed, lost)))

    def _check(self, tx: Tx, epoch: int) -> None:
        """In the Store's thread, where all that was written before is in view."""
        if self.memory.owner is not self:
            raise Gone(f"The actor of '{self.name}' was replaced.", code="replaced")
        if epoch <= self._spoiled:
            raise Broken(f"An earlier change of '{self.name}' could not be stored; try again.")
        live = tx.agents.get(self.name)
        if live is None or live.id != self.record.id:
            raise Gone(f"The agent '{self.name}' was destroyed.", code="destroyed")

    def _spoil(self, epoch: int, error: BaseException, failed: _Failed) -> None:
        """In the Store's thread: nothing of ``epoch`` is stored any more, so that what is read behind it is all."""
        self._spoiled = max(self._spoiled, epoch)
        self.address.tell(Then(self, lambda: self._lost(epoch, error, failed)))

    def _lost(self, epoch: int, error: BaseException, failed: _Failed) -> None:
        if epoch < self._epoch:  # read again already; once more would undo what was changed and stored since
            self._tell(error, failed)
            return
        self._failures.append((error, failed))
        if len(self._failures) == 1:
            self._read_again()

    def _read_again(self) -> None:
        def read(value: Recorded) -> None:
            self.address.tell(Then(self, lambda: self._go_on(value)))

        def unread(_: BaseException) -> None:
            self.address.tell(Then(self, lambda: self.later("read", AGAIN, self._read_again)))

        self.shared.store.tell(Write(recorded(self.name), Call(read, unread)))

    def _go_on(self, read: "Recorded") -> None:
        live, open_turn = read
        failures, self._failures = self._failures, []
        self._epoch += 1
        if live is None or live.id != self.record.id:
            self.void = True
        else:
            self.record, self.open_turn = live, open_turn
        for error, failed in failures:
            self._tell(error, failed)
        if not self.void:
            self.on_lost()

    def _tell(self, error: BaseException, failed: _Failed) -> None:
        if failed is not None:
            failed(error)
        elif not self.void and not isinstance(error, HiveError):
            raise error

    def show(self) -> None:
        """Show what changed only in memory; through the Store, so that no older view comes after it."""
        if self.void:
            return
        view, id = self.view(), self.record.id

        def op(tx: Tx) -> None:
            live = tx.agents.get(self.name)
            if live is not None and live.id == id:  # its end may have been recorded meanwhile: no ghost
                tx.show(AgentShown(view))

        self.shared.store.tell(Write(op))

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
        memory = self.memory
        return painted(
            self.record,
            memory.turn,
            self.shared.runtime,
            unknown=memory.unknown,
            ready=memory.session is not None,
            restart_at=memory.restart_at,
            last_activity=memory.last_activity,
        )


Recorded = tuple[AgentRecord | None, int | None]
"""An agent's row and its open turn, as of one moment."""


def recorded(name: str) -> Callable[[Tx], Recorded]:
    """Reads an agent through the Store: behind every write that was asked for before, a predecessor's too."""
    return lambda tx: (tx.agents.get(name), tx.turns.open(name))
