"""What Jobs do: build, start, stop, destroy. Blocking code with deadlines; it runs outside every mailbox."""

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hyperhive.actors.build_log import Growth, Step
from hyperhive.actors.builder import Builder, Generation
from hyperhive.actors.deploying import Deploying
from hyperhive.actors.desk import Desk
from hyperhive.actors.job import Job
from hyperhive.actors.layout import Layout
from hyperhive.actors.measure import measure
from hyperhive.actors.ports import Doors
from hyperhive.actors.removal import remove_tree
from hyperhive.domain.axes import Transient
from hyperhive.domain.names import MANAGER, role_of
from hyperhive.domain.records import AgentRecord, Handle
from hyperhive.domain.views import ApprovalView
from hyperhive.errors import Broken, HiveError
from hyperhive.runtimes.base import Runtime

log = logging.getLogger(__name__)

_QUEUE_DEADLINE = 600.0
_START_DEADLINE = 20.0

Work = tuple[str, Generation | None]
"""What an operation came to: a note, and what the container is built from now where that changed."""


class Places:
    """How many builds and starts run at once; the others wait their turn."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = threading.BoundedSemaphore(total)
        self._lock = threading.Lock()
        self.held = 0
        self.wanted = 0

    def acquire(self, *, timeout: float | None = None) -> bool:
        """Take a place; ``False``: none came free within ``timeout`` seconds."""
        with self._lock:
            self.wanted += 1
        got = self._free.acquire(timeout=timeout)
        with self._lock:
            self.wanted -= 1
            self.held += got
        return got

    def release(self) -> None:
        """Give a place back."""
        self._free.release()
        with self._lock:
            self.held -= 1


@dataclass(frozen=True, slots=True)
class Operations:
    """The slow operations on an agent.

    Args:
        deploying: keeps ``applied/`` in step with what is built.
        desk: shows the manager the folders of all agents.
        ready_deadline: seconds within which a started harness says hello.
        grace: seconds between asking a container to end and killing it.
    """

    runtime: Runtime
    builder: Builder
    deploying: Deploying
    layout: Layout
    doors: Doors
    desk: Desk
    places: Places
    ready_deadline: float
    grace: float

    def start(self, job: Job, record: AgentRecord) -> Work:
        """Start the newest generation; build one first if there is none, or if that was approved."""
        if job.approval is not None or self._unbuilt(record):
            return self._go_over(job, record, run=True)
        with self._place(job):
            self._launch(job, record, record.generation)
        return "", None

    def stop(self, job: Job, record: AgentRecord) -> Work:
        """End the container."""
        self._end(job, record, record.handle)
        return "", None

    def restart(self, job: Job, record: AgentRecord) -> Work:
        """End the container and start it again."""
        self._end(job, record, record.handle)
        return self.start(job, record)

    def rebuild(self, job: Job, record: AgentRecord, run: bool) -> Work:
        """Build the next generation, or take an earlier one, and go over to it; back if it does not come up.

        Args:
            run: whether the container should run afterwards.
        """
        if (record.handle or not run) and not job.resumed and self._built(job, record):
            return "nothing to change", None
        return self._go_over(job, record, run)

    def destroy(self, job: Job, record: AgentRecord, purge: bool) -> Work:
        """End the container, close the doors; with ``purge`` the folders go too."""
        self._end(job, record, record.handle)
        # One that crashed was not swept; where its limits were is known in its folder alone.
        self.runtime.sweep(self.layout.agent(record.name).container, record.name)
        self._shut(record.name)
        root = self.layout.agent(record.name).root
        if purge:
            remove_tree(root)
        else:
            job.size = measure(root)
        return "", None

    def leave(self, name: str, views: Sequence[ApprovalView], *, shut: bool) -> None:
        """An agent is no more: the tags of its approvals say so, and the manager sees it no longer.

        Args:
            shut: its doors are still open.
        """
        if shut:
            self._shut(name)
        for view in views:
            self.deploying.remake(view)
        self.desk.refresh()

    def _shut(self, name: str) -> None:
        self.doors.close(name)
        remove_tree(self.layout.agent(name).run)

    # -- building and going over

    @staticmethod
    def _built(job: Job, record: AgentRecord) -> bool:
        """Whether the container was built from what the job aims at."""
        if job.back is not None:
            return job.back.number == record.generation
        return job.approval is None and job.aim is not None and record.built_revision == job.aim.revision

    def _go_over(self, job: Job, record: AgentRecord, run: bool) -> Work:
        job.log.begin(f"{job.kind.value} {record.name}, asked for by {job.by}")
        with self._place(job):
            ended = threading.Event()
            if job.resumed and run:  # what runs may be what the earlier daemon was about to go over to
                ended.set()
            try:
                made = self._change(job, record, run, ended)
            except Exception as error:
                if not isinstance(error, HiveError | OSError):
                    log.exception("A build failed.")
                reason = error.message if isinstance(error, HiveError) else f"{type(error).__name__}: {error}"
                raise Broken(self._undo(job, record, reason[:1000], ended.is_set())) from None
            keep = (made.number, record.generation)
            self.builder.tidy(record.name, recorded=job.recorded, keep=keep)
            job.log.say(Step.DONE, f"generation {made.number}" + (" runs" if run else " is built"))
        said = f"went back to generation {made.number}" if made.again else ""
        return ". ".join(filter(None, (said, *(text.rstrip(".") for text in made.warnings)))), made

    def _change(self, job: Job, record: AgentRecord, run: bool, ended: threading.Event) -> Generation:
        self.builder.prepare(record.name, first=job.first)
        if job.kind is Transient.SPAWNING:
            self.desk.soon()
        self.deploying.begun(job, record)
        made = job.back or self._build(job, record)
        if not self.builder.here(record.name, made.number):
            raise Broken(f"The folder of generation {made.number} is gone.")
        for warning in made.warnings:
            job.log.say(Step.WARNING, warning)
        self.builder.spec(record.name, made.number)  # what it lacks is said before anything is ended
        if run:
            ended.set()
            self._end(job, record, record.handle)
            self._launch(job, record, made.number)
        job.check()
        self.deploying.deployed(job, record, made)
        return made

    def _build(self, job: Job, record: AgentRecord) -> Generation:
        aim = self.builder.sources.settle(record.name, job.aim, job.aimed)
        job.log.say(Step.RENDERING, f"commit {aim.commit[:12]}")
        made = self.builder.build(record.name, record.generation, aim)
        job.log.say(Step.BUILT, f"generation {made.number}, revision {made.revision}: {made.summary}")
        return made

    def _undo(self, job: Job, record: AgentRecord, reason: str, ended: bool) -> str:
        """What was begun failed: the old generation runs again, and the tags say so. The reason, whole."""
        job.log.say(Step.FAILED, reason)
        if ended:
            reason = self._go_back(job, record, reason)
        if not job.given_up:
            self.deploying.failed(job, record, reason)
            self.builder.tidy(record.name, recorded=job.recorded, keep=(record.generation,))
        job.log.say(Step.DONE, f"failed: {reason}")
        return reason

    def _go_back(self, job: Job, record: AgentRecord, error: str) -> str:
        if self._unbuilt(record):
            with contextlib.suppress(HiveError):  # it may run already: it failed as it was to be deployed
                self._end(job, record, None)
            return error
        job.log.say(Step.BACK, f"generation {record.generation}")
        try:
            self._launch(job, record, record.generation)
        except HiveError as again:
            return f"{error}; going back to generation {record.generation} failed too: {again.message}"[:1500]
        return f"{error}; went back to generation {record.generation}"

    def _unbuilt(self, record: AgentRecord) -> bool:
        return record.generation == 0 or not self.builder.here(record.name, record.generation)

    # -- the container

    def _launch(self, job: Job, record: AgentRecord, generation: int) -> None:
        paths = self.layout.agent(record.name)
        job.check()
        self.builder.folders(record.name)
        self.doors.open(record.name, role_of(record.name))
        found = self.runtime.find(paths.container, record.handle)
        if found is not None:
            self._end(job, record, found)
        self.runtime.sweep(paths.container, record.name)
        spec = self.builder.spec(record.name, generation)
        job.log.say(Step.STARTING, f"generation {generation}")
        said = Growth(paths.log)
        job.launching()
        handle = self.runtime.start(spec, deadline=_START_DEADLINE)
        if not job.launched(handle):
            self.runtime.stop(handle, grace=self.grace)
            job.check()
        job.log.say(Step.STARTED, f"process {handle.pid}")
        if record.name == MANAGER:
            self.desk.launched(handle)
        try:
            job.wait_ready(self.ready_deadline, lambda: job.log.quote(said.read()))
        except Broken as error:
            how = self.runtime.exit_note(paths.container, handle)
            self._end(job, record, handle)
            job.log.quote(said.read(rest=True))
            tells = " | ".join(said.last)[-600:]
            why = f"{error.message}: {how}" if how else error.message
            raise Broken(f"{why}; the log ends: {tells}" if tells else why) from None
        job.log.say(Step.READY)

    def _end(self, job: Job, record: AgentRecord, handle: Handle | None) -> None:
        paths = self.layout.agent(record.name)
        handle = handle or self.runtime.find(paths.container, None)
        if handle is not None:
            job.log.say(Step.ENDING, f"process {handle.pid}")
            if self.runtime.alive(handle):  # one that ended by itself just before was not planned
                job.ending(handle)
            self.runtime.stop(handle, grace=self.grace)
            self.runtime.sweep(paths.container, record.name)
            job.ended(handle)
            job.log.say(Step.ENDED)

    @contextlib.contextmanager
    def _place(self, job: Job) -> Iterator[None]:
        if not self.places.acquire(timeout=0):
            job.queued = job.waited = True
            total = self.places.total
            job.log.say(Step.QUEUED, f"for a place: {total} of {total} builds run")
            if not self.places.acquire(timeout=_QUEUE_DEADLINE):
                raise Broken(
                    f"Other builds and starts held every place for {_QUEUE_DEADLINE:.0f} s; try again."
                )
            job.queued = False
        try:
            yield
        finally:
            self.places.release()
