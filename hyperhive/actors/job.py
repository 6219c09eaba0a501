"""Job: an agent's one slow operation at a time, in a thread of its own, so that the actor goes on answering."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hyperhive.actors.builder import Generation
from hyperhive.actors.reply import IGNORE, Reply
from hyperhive.domain.axes import Transient
from hyperhive.domain.records import Handle
from hyperhive.errors import Broken, HiveError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an operation, as its callers hear it."""

    ok: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Launched:
    """Told to the actor: the job started a container."""

    job: "Job"
    handle: Handle


@dataclass(frozen=True, slots=True)
class Ended:
    """Told to the actor: the job's planned end of a container is over."""

    job: "Job"
    handle: Handle


@dataclass(frozen=True, slots=True)
class Done:
    """Told to the actor: the job is over."""

    job: "Job"
    result: Result
    generation: Generation | None = None


@dataclass(eq=False, slots=True)
class Job:
    """One operation under way.

    Args:
        kind: the transient it shows as.
        by: who asked for it.
        target: the revision a rebuild aims at.
        tell: leaves a message for the agent's actor, whoever holds the post.
        accepted: hears that it is under way.
        begun: its work runs.
        queued: it waits for a place among the builds and starts.
        waited: it has waited for one; that time does not count against its deadline.
        over: how it ended; its actor may have failed on hearing it, or been quarantined then.
        given_up: it took too long; what it still does must not count.
    """

    kind: Transient
    by: str
    target: str | None
    tell: Callable[[object], None]
    waiting: list[Reply[Result]] = field(default_factory=list)
    accepted: "Reply[Any]" = IGNORE
    begun: bool = False
    queued: bool = False
    waited: bool = False
    over: Done | None = None
    given_up: bool = False
    planned: Handle | None = None
    started: Handle | None = None
    _settled: threading.Event = field(default_factory=threading.Event)
    _ready: bool = False

    def start(self, work: "Callable[[Job], tuple[str, Generation | None]]") -> None:
        """Run ``work`` in a thread; it returns a note and what it built, or raises."""
        threading.Thread(target=self._run, args=(work,), name=f"job-{self.kind.value}", daemon=True).start()
        self.begun = True

    def _run(self, work: "Callable[[Job], tuple[str, Generation | None]]") -> None:
        try:
            note, generation = work(self)
        except HiveError as error:
            self.over = Done(self, Result(False, error.message))
        except BaseException as error:
            log.exception("A job failed.")
            self.over = Done(self, Result(False, f"{type(error).__name__}: {error}"[:500]))
        else:
            self.over = Done(self, Result(True, note), generation)
        self.tell(self.over)

    # -- for the work, in the job's thread

    def ending(self, handle: Handle) -> None:
        """From now on the end of this container is planned.

        Raises:
            Broken: the job was given up; the container is another's by now.
        """
        if self.given_up:
            raise Broken("this operation was given up")
        self.planned = handle

    def ended(self, handle: Handle) -> None:
        """The container is gone, as planned."""
        self.tell(Ended(self, handle))

    def launching(self) -> None:
        """A container is about to start; its harness may say hello before ``launched``."""
        self._ready = False
        self._settled.clear()

    def launched(self, handle: Handle) -> bool:
        """A container was started; ``False`` when the job was given up, and the container is to be ended."""
        if self.given_up:
            return False
        self.started = handle
        self.tell(Launched(self, handle))
        return True

    def wait_ready(self, deadline: float) -> None:
        """Wait until the harness said hello.

        Raises:
            Broken: it ended, or did not within ``deadline`` seconds.
        """
        if not self._settled.wait(deadline):
            raise Broken(f"the harness did not report ready within {deadline:g} s")
        if not self._ready:
            raise Broken("the container ended before its harness was ready")

    # -- for the actor

    def harness_ready(self) -> None:
        """The harness said hello."""
        self._ready = True
        self._settled.set()

    def leader_ended(self, handle: Handle) -> None:
        """A container ended; if it is the one just started, nobody needs to wait for it."""
        if handle == self.started:
            self._settled.set()
