"""AgentActor: one per container. It owns its tick, its three axes, its seed, and its one operation at a time."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hyperhive.actors.address import Address
from hyperhive.actors.base import Failure
from hyperhive.actors.core import AgentMemory, Core, Recorded, Shared, Then, recorded
from hyperhive.actors.crew import Crew, CrewActor
from hyperhive.actors.hub import Mail
from hyperhive.actors.job import Done, Ended, Launched, Result
from hyperhive.actors.lifecycle import Lifecycle
from hyperhive.actors.observer import CREDENTIALS
from hyperhive.actors.reply import IGNORE, Call, Reply
from hyperhive.actors.requests import Accepted, LeaderEnded, Operate
from hyperhive.actors.store import Write
from hyperhive.actors.turn_loop import Connected, Deliver, Disconnected, Reported, TurnLoop
from hyperhive.domain.axes import Container, Observation
from hyperhive.domain.events import AgentRecovered, Paused, Resumed
from hyperhive.domain.names import MANAGER
from hyperhive.domain.policy import Failures
from hyperhive.domain.records import AgentRecord
from hyperhive.domain.turns import Outcome
from hyperhive.domain.watch import step
from hyperhive.errors import Broken, HiveError
from hyperhive.repos.skeleton import CONFIG_FILE
from hyperhive.runtimes.log import bound
from hyperhive.shortage import AGAIN, is_short
from hyperhive.store.database import Tx

log = logging.getLogger(__name__)

MAX_STASH = 10_000
"""Messages that may wait until the record was read."""
MAX_LOG = 4 * 1024 * 1024
"""Bytes of a container's log; the tick cuts it to its newer half."""
_LOGIN, _CONFIG = frozenset({CREDENTIALS}), frozenset({CONFIG_FILE})
"""What is watched in an agent's folders, the same for all."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Deliver no more mail from now on; the turn under way goes on."""

    reply: Reply[Accepted] = IGNORE


@dataclass(frozen=True, slots=True)
class Resume:
    """Deliver again; also lifts a quarantine and tries a refused login again."""

    by: str
    reply: Reply[Accepted] = IGNORE
    done: Reply[Result] = IGNORE


@dataclass(frozen=True, slots=True)
class Tick:
    """Look again at everything: the net under the watches, see ``Rounds``."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The watcher saw a file change: credentials or the applied config."""


@dataclass(frozen=True, slots=True)
class Show:
    """Show the agent again: what was shown may be lost."""


@dataclass(frozen=True, slots=True)
class Read:
    """The record was read for ``actor``; ``None``: it could not be, or it is time to try again."""

    actor: "AgentActor"
    value: Recorded | None


class AgentActor(CrewActor):
    """Answers for one agent. What is slow runs in its Job.

    It begins when its record was read through the Store, behind all that a predecessor wrote; what comes before
    that waits in the memory.

    Args:
        name: the agent.
        shared: services and ports.
        memory: what a predecessor left.
        gone: called when the agent was destroyed, to strike its post.
        attempt, error: set when this actor replaces one that failed on ``error``.
    """

    __slots__ = (  # with the bases' attributes they would be more than a small dictionary holds
        *("_name", "_shared", "_memory", "_gone", "_attempt", "_error", "_unwatch", "_watched", "_begun"),
        *("_core", "_turns", "_life"),
    )

    def __init__(
        self,
        *,
        name: str,
        shared: Shared,
        memory: AgentMemory,
        gone: Callable[[], None],
        attempt: int = 0,
        error: str | None = None,
        crew: Crew,
        address: Address,
        failed: Callable[[Failure], None],
    ) -> None:
        super().__init__(crew=crew, address=address, failed=failed)
        self._name = name
        self._shared = shared
        self._memory = memory
        self._gone = gone
        self._attempt = attempt
        self._error = error
        self._unwatch: list[Callable[[], None]] = []
        self._watched: tuple[int, ...] = ()
        self._begun = False
        self._core: Core
        self._turns: TurnLoop
        self._life: Lifecycle

    def begin(self) -> None:
        """Ask for what was recorded."""
        timers = self._memory.timers
        for cancel in timers.values():  # they would wake a predecessor
            cancel()
        timers.clear()
        self._read()

    def _read(self) -> None:
        def read(value: Recorded) -> None:
            self.address.tell(Read(self, value))

        def unread(_: BaseException) -> None:
            self._shared.watches.after(AGAIN, lambda: self.address.tell(Read(self, None)))

        def op(tx: Tx) -> Recorded:
            self._memory.owner = None  # what a hanging predecessor still writes comes too late from here on
            return recorded(self._name)(tx)

        self._shared.store.tell(Write(op, Call(read, unread)))

    def _was_read(self, value: Recorded | None) -> None:
        if self._begun:
            return
        if value is None:
            self._read()
            return
        record, turn = value
        if record is None:
            self._gone()
            return
        try:
            self._take_up(record, turn)
        except OSError as error:
            if not is_short(error):
                raise
            log.warning("'%s' cannot be looked at: %s; trying again.", self._name, error)
            self._shared.watches.after(AGAIN, lambda: self.address.tell(Read(self, None)))
            return
        self._begun = True
        stash = self._memory.stash
        while stash and self.address.actor is self:
            self.on_receive(stash.pop(0))

    def _take_up(self, record: AgentRecord, turn: int | None) -> None:
        """Go on from what was recorded: adopt the container that still runs, finish what was under way."""
        self._core = Core(
            record=record, open_turn=turn, shared=self._shared, memory=self._memory, address=self.address
        )
        self._memory.owner = self._core
        self._turns = TurnLoop(core=self._core)
        self._life = Lifecycle(core=self._core, turns=self._turns, gone=self._gone)
        self._core.on_lost = self._lost
        self._core.on_stuck = self._life.recovery.revive
        left = self._memory.job
        self._life.line.recall()
        self._prepare()
        self._turns.begin()
        self._seed()
        self._watch_files()
        if self._attempt and self._error is not None:
            recovered = AgentRecovered(agent=self._name, attempt=self._attempt, error=self._error)
            self._core.commit(self._core.record, recovered)
        self._life.resume(left)
        self._tick()
        self._core.show()

    def _prepare(self) -> None:
        """Make what is missing. What is built runs on without repositories; a build says what is wrong with them."""
        shared, new = self._shared, not self._core.paths.proposed.is_dir()
        shared.builder.folders(self._name)
        try:
            shared.builder.prepare(self._name, first=self._life.may_be_first())
        except HiveError as error:
            log.error("The config repositories of '%s' are not whole: %s", self._name, error.message)
        if new:
            shared.operations.desk.soon()

    def handle(self, message: Any) -> None:
        """Deal with one message."""
        match message:
            case Read(actor, value):
                if actor is self:
                    self._was_read(value)
            case _ if not self._begun:
                self._keep(message)
            case _:
                self._handle(message)

    def _handle(self, message: Any) -> None:
        match message:
            case Then(core, call):
                if core is self._core and not core.void:
                    call()
            case Mail():
                self._turns.mail()
            case Deliver():
                self._turns.deliver()
            case Reported():
                self._turns.reported(message)
            case Connected():
                self._turns.connected(message)
            case Disconnected(session):
                self._turns.disconnected(session)
            case LeaderEnded(handle):
                self._life.container.leader_ended(handle)
            case Launched():
                self._life.container.launched(message)
            case Ended():
                self._life.container.ended(message)
            case Done():
                self._life.done(message)
            case Operate():
                self._life.operate(message)
            case Pause(reply):
                self._pause(reply)
            case Resume():
                self._resume(message)
            case Changed():
                self._watch_files()  # the folder may be another by now, often with the number of the old one
                self._life.container.look()
            case Tick():
                self._tick()
            case Show():
                self._core.show()

    def _keep(self, message: object) -> None:
        if len(self._memory.stash) >= MAX_STASH:
            raise Broken(f"'{self._name}' is starting and too much waits for it; try again in a minute.")
        if not isinstance(message, Then):
            self._memory.stash.append(message)

    def end(self) -> None:
        """Watch no more."""
        self._release()
        if self._begun:
            self._life.container.release()

    def _release(self) -> None:
        for cancel in self._unwatch:
            cancel()
        self._unwatch.clear()

    def _seed(self) -> None:
        """Compare what was recorded with what is there now. What ended while nobody looked is told once."""
        shared, record, memory = self._shared, self._core.record, self._memory
        found = shared.runtime.find(self._core.paths.container, record.handle)
        if found is not None:
            shared.operations.doors.open(self._name, self._core.view().role)
            if memory.job is None:
                memory.away_since = shared.clock()
            self._life.container.adopt(found, since=found != record.handle)
            if self._name == MANAGER:
                shared.operations.desk.soon()
            return
        if record.handle is not None:
            # Whichever it was: one that is done again from its beginning ends what it had started before.
            planned = memory.job is None and record.transient is not None
            self._life.container.leader_ended(record.handle, planned=planned)
        elif record.axes.container is not Container.STOPPED or self._core.open_turn is not None:
            seen = Observation(container=Container.STOPPED, boot=self._shared.boot)
            axes, events = step(self._name, record.axes._replace(container=None), seen, None)
            self._turns.end(record._replace(axes=axes), Outcome.INTERRUPTED, events=events)
        if memory.restart_at is not None:
            self._life.recovery.await_restart()
        elif memory.job is None:
            self._life.recovery.start_if_intended()

    def _watch_files(self) -> None:
        def tell() -> None:
            self.address.tell(Changed())

        self._release()
        self._watched = self._folders()
        paths, watches = self._core.paths, self._shared.watches
        self._unwatch = [
            watches.folder(str(paths.claude), _LOGIN, tell),
            watches.folder(str(paths.applied), _CONFIG, tell),
        ]

    def _folders(self) -> tuple[int, ...]:
        """Which folders are there now: one that was removed and made again wants a watch of its own."""
        paths = self._core.paths
        return tuple(path.stat().st_ino if path.is_dir() else 0 for path in (paths.claude, paths.applied))

    def _tick(self) -> None:
        bound(self._core.paths.log, max_bytes=MAX_LOG)
        if self._watched != self._folders():
            self._watch_files()
        self._life.container.look()
        self._turns.deliver()

    def _lost(self) -> None:
        self._core.later("tick", 1.0, self._look_again)

    def _look_again(self) -> None:
        """Something could not be recorded: compare with what is there now, as at the beginning."""
        core = self._core
        found = self._shared.runtime.find(core.paths.container, core.record.handle)
        if found is not None and found != core.record.handle and self._memory.job is None:
            self._life.container.adopt(found, since=True)
        self._life.line.recall()
        if self._memory.job is None:
            self._life.resume(None)
        if self._memory.restart_at is None:
            self._life.recovery.start_if_intended()
        self._tick()

    def _pause(self, reply: Reply[Accepted]) -> None:
        core = self._core
        if core.record.paused:
            already = Accepted(None, "It is paused already.")
            core.commit(core.record, then=lambda _: reply.set(already), failed=reply.fail)  # by now durably
            return
        core.commit(
            core.record._replace(paused=True),
            Paused(agent=core.name),
            then=lambda _: reply.set(Accepted(None)),
            failed=reply.fail,
        )

    def _resume(self, message: Resume) -> None:
        core, memory = self._core, self._memory
        memory.failures, memory.turn_failures, memory.hold_until = Failures(), 0, None
        record = core.record._replace(paused=False, quarantined=None, rejected_login=None, parked_until=None)

        def resumed(_: object) -> None:
            self._turns.released()
            if not self._life.recovery.start_if_intended(
                by=message.by, reply=message.reply, done=message.done
            ):
                message.reply.set(Accepted(None))
                message.done.set(Result(True))
            self._life.container.look()

        core.commit(record, Resumed(agent=core.name), then=resumed, failed=message.reply.fail)
