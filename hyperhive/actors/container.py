"""What is seen of an agent's container: it runs, it ended, planned or not; and the axes beside that."""

from collections.abc import Callable

from hyperhive.actors.core import Core
from hyperhive.actors.job import Ended, Launched
from hyperhive.actors.observer import revision_axis
from hyperhive.actors.recovery import Recovery
from hyperhive.actors.requests import LeaderEnded
from hyperhive.actors.turn_loop import TurnLoop
from hyperhive.domain.axes import Axes, Container, Observation, Operation
from hyperhive.domain.events import HelperEvent
from hyperhive.domain.records import AgentRecord, Handle, Intended
from hyperhive.domain.turns import Outcome
from hyperhive.domain.watch import step


class ContainerWatch:
    """Answers for one agent's container."""

    def __init__(self, *, core: Core, turns: TurnLoop, recovery: Recovery) -> None:
        self._core = core
        self._turns = turns
        self._recovery = recovery
        self._unwatch: Callable[[], None] = lambda: None

    def launched(self, message: Launched) -> None:
        """A job started a container: it runs, whatever else comes of the job."""
        if message.job is not self._core.memory.job and self._core.record.handle is not None:
            return
        self.adopt(message.handle, since=True)

    def adopt(self, handle: Handle, *, since: bool) -> None:
        """Take a running container as the agent's and watch it."""
        core = self._core
        core.memory.unknown = False
        seen = Observation(container=Container.RUNNING, boot=core.shared.boot)
        axes, events = step(core.name, core.record.axes, seen, self.under(None))
        moment = core.shared.now() if since else core.record.since
        core.commit(core.record._replace(handle=handle, axes=axes, since=moment), *events)
        self.watch(handle)

    def watch(self, handle: Handle) -> None:
        """Be told when the container's leader ends."""
        self._unwatch()
        address = self._core.address
        self._unwatch = self._core.shared.watches.leader(handle, lambda: address.tell(LeaderEnded(handle)))

    def release(self) -> None:
        """Watch no more."""
        self._unwatch()

    def ended(self, message: Ended) -> None:
        """A job says that its planned end is over."""
        self.leader_ended(message.handle)

    def leader_ended(self, handle: Handle, *, planned: bool = False) -> None:
        """A container ended. Planned or not, what it worked on goes back to the inbox.

        Args:
            planned: an operation that was interrupted with its daemon may have ended it.
        """
        core, job = self._core, self._core.memory.job
        transient = core.record.transient
        # Asked before the job hears of it: what it then does about the container must not make this end planned.
        under = Operation(transient, ending=True) if planned and transient else self.under(handle)
        if job is not None:
            job.leader_ended(handle)
        if core.record.handle != handle:
            return
        exit_note = core.shared.runtime.exit_note(core.paths.container, handle)
        seen = Observation(container=Container.STOPPED, boot=core.shared.boot, exit=exit_note)
        axes, events = step(core.name, core.record.axes, seen, under)
        crashed = bool(events)
        record = core.record._replace(handle=None, axes=axes, since=core.shared.now())
        if crashed:
            record = record._replace(last_error=f"container ended: {exit_note or 'cause unknown'}")
            if core.config.restart == "never" and job is None:
                record = record._replace(intended=Intended.STOPPED)
        core.memory.unknown = False
        result = Outcome.LOST if crashed else Outcome.INTERRUPTED
        self._turns.end(record, result, note="the container ended", events=events)
        if job is None and crashed:
            self._recovery.recover(record.last_error or "container ended")

    def under(self, handle: Handle | None) -> Operation | None:
        """The operation under way. ``handle``: a container whose end is seen; the operation may have planned it."""
        job = self._core.memory.job
        if job is None:
            return None
        return Operation(job.kind, ending=handle is not None and job.planned == handle)

    def look_at(self, record: AgentRecord) -> tuple[Axes, tuple[HelperEvent, ...]]:
        """One look at login and revision: the axes that result, and what is to be told of them."""
        core, shared = self._core, self._core.shared
        current = shared.builder.current(core.name, record)
        job = core.memory.job
        if job is not None and (current in job.aims or job.approval is not None or job.back is not None):
            # It becomes what is recorded when the job ends; until then there is nothing to tell. Nor of what a job
            # moves main to: its files follow the commit, and look like an edit of it between.
            current = None
        seen = Observation(
            login=shared.credentials.login(core.name, core.paths, record.rejected_login),
            revision=revision_axis(record.built_revision, current),
            recorded=record.built_revision,
            current=current or "",
        )
        return step(core.name, record.axes, seen, self.under(None))

    def look(self) -> None:
        """One look at everything; what changed is recorded and told."""
        core, handle = self._core, self._core.record.handle
        try:
            ended = handle is not None and not core.shared.runtime.alive(handle)
        except OSError:  # the daemon is out of descriptors: nobody knows, and nothing is told
            core.memory.unknown = True
            core.show()
            return
        if handle is not None and ended:
            self.leader_ended(handle)
        unknown, core.memory.unknown = core.memory.unknown, False
        axes, events = self.look_at(core.record)
        if axes != core.record.axes or events:
            core.commit(core.record._replace(axes=axes), *events, then=lambda _: self._turns.deliver())
        elif unknown:
            core.show()
        self._recovery.look_for_harness()
