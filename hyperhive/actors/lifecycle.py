"""An agent's life: its operations, one at a time, each whole or told as failed."""

import contextlib
from collections.abc import Callable

from hyperhive.actors.approving import withdraw_all
from hyperhive.actors.container import ContainerWatch
from hyperhive.actors.core import Core, Queued
from hyperhive.actors.entry import show_kept
from hyperhive.actors.job import Done, Job, Result
from hyperhive.actors.line import Line
from hyperhive.actors.making import JobMaking
from hyperhive.actors.recording import (
    applied,
    end_agent,
    ended,
    is_first_build,
    record_begin,
    record_end,
    record_unborn,
)
from hyperhive.actors.recovery import Recovery
from hyperhive.actors.reply import IGNORE, Reply, answer
from hyperhive.actors.requests import Accepted, Operate
from hyperhive.actors.turn_loop import TurnLoop
from hyperhive.domain.axes import Container, Transient
from hyperhive.domain.events import TransientSet
from hyperhive.domain.names import MANAGER, OPERATOR, SYSTEM
from hyperhive.domain.operations import PENDING_JOIN, RUNS_AFTER, outcome
from hyperhive.domain.policy import Failures
from hyperhive.domain.records import Intended, Ordered
from hyperhive.domain.views import ApprovalView
from hyperhive.errors import Broken, Gone, HiveError, Refused
from hyperhive.shortage import AGAIN, is_short
from hyperhive.store.database import Tx


class Lifecycle:
    """Runs operations; ``container`` answers for the container, ``recovery`` brings it back, ``line`` waits."""

    def __init__(self, *, core: Core, turns: TurnLoop, gone: Callable[[], None]) -> None:
        self._core = core
        self._turns = turns
        self._gone = gone
        self._making = JobMaking(core=core)
        self.line = Line(core=core)
        self.recovery = Recovery(core=core, begin=self._begin)
        self.container = ContainerWatch(core=core, turns=turns, recovery=self.recovery)

    # -- operations

    def operate(self, message: Operate) -> None:
        """Begin an operation, join the one under way, or wait for it."""
        self._refuse(message)
        job = self._core.memory.job
        if job is None and self._nothing_to_do(message):
            return
        if job is not None and self._joins(job, message):
            job.waiting.append(message.done)
            self.line.joined(message.reply)
        elif job is not None:
            self.line.join(message)
        else:
            ordered = Ordered(message.kind, message.by, message.purge, message.generation)
            self._begin(Queued(ordered, [message.done]), message.reply)

    def _refuse(self, message: Operate) -> None:
        record = self._core.record
        if message.kind is Transient.DESTROYING and record.name == MANAGER:
            raise Refused("The manager cannot be destroyed; stop it instead.", code="manager")
        if (
            record.quarantined
            and message.by not in (OPERATOR, SYSTEM)
            and message.kind is not Transient.STOPPING
        ):
            raise Refused(
                f"'{record.name}' is quarantined; only the operator can resume it.", code="quarantined"
            )
        if record.transient is Transient.DESTROYING and message.kind is not Transient.DESTROYING:
            raise Refused(f"'{record.name}' is being destroyed.", code="destroying")
        if message.generation is not None:
            self._making.check_back(message.generation)

    def _nothing_to_do(self, message: Operate) -> bool:
        record = self._core.record
        running = record.axes.container is Container.RUNNING
        if message.kind is Transient.STARTING and running and not record.quarantined:
            note = "It runs already."
        elif message.kind is Transient.STARTING and running:
            self._lift(message)
            return True
        elif message.kind is Transient.STOPPING and not running and record.intended is Intended.STOPPED:
            note = "It is stopped already."
        else:
            return False
        message.reply.set(Accepted(None, note))
        message.done.set(Result(True, note))
        return True

    def _lift(self, message: Operate) -> None:
        """The operator starts what was quarantined and runs: nothing but the quarantine is in the way."""
        core = self._core
        core.memory.failures = Failures()
        note = "It runs already; its quarantine is lifted."

        def lifted(_: object) -> None:
            message.reply.set(Accepted(None, note))
            message.done.set(Result(True, note))

        record = core.record._replace(quarantined=None, intended=Intended.RUNNING)
        core.commit(record, then=lifted, failed=message.reply.fail)

    def _joins(self, job: Job, message: Operate) -> bool:
        kind = message.kind
        if job.kind not in PENDING_JOIN.get(kind, frozenset()):
            return False
        if self._core.memory.queue and kind is not Transient.DESTROYING:
            return False  # something else was asked for since: the last word counts
        return kind is not Transient.REBUILDING or self._making.joins(job, message.generation)

    def _begin(self, queued: Queued, reply: Reply[Accepted] = IGNORE) -> None:
        core, memory, ordered, kind = self._core, self._core.memory, queued.ordered, queued.ordered.kind
        job = self._making.job(kind, ordered.by, back=ordered.generation)
        job.waiting, job.accepted = queued.waiting, reply
        memory.job, memory.restart_at = job, None
        core.cancel("restart")
        record = self.line.written(core.record)._replace(
            transient=kind,
            transient_since=core.shared.now(),
            transient_by=ordered.by,
            purge=ordered.purge,
            transient_generation=ordered.generation,
        )
        if kind in RUNS_AFTER:
            record = record._replace(intended=Intended.RUNNING, rejected_login=None)
            if ordered.by != SYSTEM:
                record = record._replace(quarantined=None)
                memory.failures = Failures()
        elif kind in (Transient.STOPPING, Transient.DESTROYING):
            record = record._replace(intended=Intended.STOPPED)

        core.commit(
            record,
            TransientSet(agent=core.name, transient=kind.value),
            op=lambda tx: record_begin(tx, job),
            then=lambda _: self._run(job),
            failed=lambda error: self._not_begun(job, error),
        )

    def _not_begun(self, job: Job, error: BaseException) -> None:
        if self._core.memory.job is job:
            self._core.memory.job = None
        for waiter in (job.accepted, *job.waiting):
            answer(waiter.fail, error)

    def resume(self, job: Job | None) -> None:
        """Go on with what a predecessor or an earlier daemon left: an operation whole, from its beginning.

        Args:
            job: the predecessor's.
        """
        core, memory = self._core, self._core.memory
        kind = core.record.transient
        if job is not memory.job:  # one that began since is on its way
            return
        if job is not None and job.over is not None:
            core.address.tell(job.over)
        elif job is not None and job.begun:
            self._watch_job(job)
        elif job is not None and kind is job.kind:
            self._run(job)
        elif job is not None:
            self._not_begun(job, Broken(f"The actor of '{core.name}' was restarted; try again."))
        elif kind is not None:
            self._take_over(kind)
        self.next()

    def _take_over(self, kind: Transient) -> None:
        """Do what an earlier daemon was about; as it knew, from what is recorded."""
        core, record = self._core, self._core.record
        by = record.transient_by or SYSTEM
        job = self._making.job(kind, by, back=record.transient_generation)
        job.resumed = True
        core.memory.job = job
        core.commit(
            record,
            op=lambda tx: record_begin(tx, job),
            then=lambda _: self._run(job),
            failed=lambda error: self._not_begun(job, error),
        )

    def next(self) -> bool:
        """Begin what waits: what was asked for, then what was approved; whether there was anything."""
        memory = self._core.memory
        if memory.job is not None:
            return False
        if memory.queue:
            self._begin(memory.queue.pop(0))
        elif self._core.record.transient is None and (view := self._making.approved()) is not None:
            self._begin(Queued(Ordered(Transient.REBUILDING, view.by or SYSTEM), []))
        else:
            return False
        return True

    def may_be_first(self) -> bool:
        """Whether the agent may be built from the first config: not if a commit was approved for its beginning."""
        return self._making.may_be_first()

    def _watch_job(self, job: Job) -> None:
        self._core.later("job", self._core.shared.job_deadline, lambda: self._overdue(job))

    def _run(self, job: Job) -> None:
        core, operations = self._core, self._core.shared.operations
        record, purge = core.record, core.record.purge
        answer(job.accepted.set, Accepted(job.kind))
        self._watch_job(job)
        match job.kind:
            case Transient.STOPPING:
                job.start(lambda j: operations.stop(j, record))
            case Transient.RESTARTING:
                job.start(lambda j: operations.restart(j, record))
            case Transient.REBUILDING:
                run = record.intended is Intended.RUNNING
                job.start(lambda j: operations.rebuild(j, record, run))
            case Transient.DESTROYING:
                job.start(lambda j: operations.destroy(j, record, purge))
            case _:
                job.start(lambda j: operations.start(j, record))

    def _overdue(self, job: Job) -> None:
        """The operation hangs: stop waiting for it, and say that nobody knows how the container is."""
        if job.queued or job.waited:
            job.waited = False
            self._watch_job(job)
            return
        job.given_up = True
        self._core.memory.unknown = True
        self.done(Done(job, Result(False, f"no end after {self._core.shared.job_deadline:.0f} s; given up")))

    def done(self, message: Done) -> None:
        """An operation ended: tell, answer, go on."""
        core, memory, job = self._core, self._core.memory, message.job
        if job is not memory.job:
            return
        if not self._settled(job):
            self._untold(message)
            return
        memory.job = None
        core.cancel("job")
        ok, note = message.result.ok, message.result.note
        if job.kind is Transient.DESTROYING and ok:
            self._leave(message, lambda tx: self._destroyed(tx, job))
            return
        if not ok and is_first_build(job, core.record):
            self._leave(message, lambda tx: record_unborn(tx, core.name, job, note))
            return
        record, made = ended(core.record, ok=ok, note=note, made=message.generation), message.generation
        told = outcome(
            core.name,
            job.kind,
            ok=ok,
            note=note,
            by=job.by,
            revision=record.built_revision,
            applied=applied(core.record, job, made),
        )
        axes, seen = self.container.look_at(record)
        core.commit(
            record._replace(axes=axes),
            *told,
            *seen,
            op=lambda tx: record_end(tx, core.name, job, ok=ok, note=note, made=made),
            then=lambda _: self._answered(job, message.result),
            failed=lambda _: self._untold(message),
        )
        if not ok and job.kind is not Transient.STOPPING:
            self.recovery.recover(note)

    def _settled(self, job: Job) -> bool:
        """Settle, unless the machine is too short of something to look."""
        try:
            self._settle(job)
        except OSError as error:
            if not is_short(error):
                raise
            return False
        return True

    def _settle(self, job: Job) -> None:
        """What the job said of containers may not have been stored: it must be, before the job is forgotten."""
        alive, handle = self._core.shared.runtime.alive, self._core.record.handle
        if handle is not None and job.planned == handle and not alive(handle):
            self.container.leader_ended(handle)
        elif handle is None and job.started is not None and not job.given_up and alive(job.started):
            self.container.adopt(job.started, since=True)

    def _untold(self, message: Done) -> None:
        """Its end could not be recorded: it is under way until it can be."""
        self._core.memory.job = message.job
        self._core.later("untold", AGAIN, lambda: self.done(message))

    def _answered(self, job: Job, result: Result) -> None:
        for waiter in job.waiting:
            answer(waiter.set, result)
        if (job.given_up or job.untagged) and job.approval is not None:  # nobody has written the tags
            deploying, record = self._core.shared.operations.deploying, self._core.record
            self._beside(lambda: deploying.failed(job, record, result.note))
        if not self.next():
            self._turns.deliver()

    def _destroyed(self, tx: Tx, job: Job) -> list[ApprovalView]:
        core, purge = self._core, self._core.record.purge
        views = withdraw_all(tx, core.name, "the agent was destroyed")
        end_agent(tx, core.name, keep=not purge, size=job.size)
        if purge:
            tx.generations.forget(core.name)
        for event in outcome(core.name, Transient.DESTROYING, ok=True, note="", by=job.by, revision=""):
            tx.emit(event)
        show_kept(tx, core.shared.layout)
        return [] if purge else views

    def _leave(self, message: Done, op: Callable[[Tx], list[ApprovalView]]) -> None:
        """The agent is no more. ``op`` records that, and returns the approvals whose tags are to be made again."""
        core, shared, name, job = self._core, self._core.shared, self._core.name, message.job
        waiting = [waiter for queued in core.memory.queue for waiter in queued.waiting]

        def gone(views: list[ApprovalView]) -> None:
            self._gone()
            for waiter in job.waiting:
                answer(waiter.set, message.result)
            for waiter in waiting:
                answer(waiter.fail, Gone(f"'{name}' was destroyed."))
            self._beside(lambda: shared.operations.leave(name, views, shut=not message.result.ok))

        core.remove(op, then=gone, failed=lambda _: self._untold(message))

    def _beside(self, work: Callable[[], object]) -> None:
        """Work on the repositories, beside the mailbox. While the daemon stops it is not done: the next one does."""
        with contextlib.suppress(HiveError):
            self._core.shared.clerk.run(work, key=self._core.name)
