"""Job: an agent's one slow operation at a time, in a thread of its own, so that the actor goes on answering."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hyperhive.actors.build_log import BuildLog
from hyperhive.actors.builder import Generation
from hyperhive.actors.reply import IGNORE, Reply
from hyperhive.actors.sources import Aim
from hyperhive.domain.axes import Transient
from hyperhive.domain.records import Handle
from hyperhive.domain.views import ApprovalView
from hyperhive.errors import Broken, HiveError

log = logging.getLogger(__name__)

_GIVEN_UP = "this operation was given up"
_PULSE = 0.2
"""Seconds between two looks at what a container says while it starts."""


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
        aim: what is to be built; ``None``: what is current when it begins, if anything.
        approval: the approved change that it carries out.
        back: the recorded generation that it goes back to.
        first: whether the first config may be built.
        resumed: an earlier daemon began it; nobody knows which generation's container it left running.
        deployed: the commit of the newest generation that is recorded, an earlier incarnation's too.
        size: bytes that a destroyed agent left.
        recorded: numbers of the generations that are recorded.
        log: what it says while it runs.
        aims: the revisions that it brings about; an edit has another once it is a commit.
        tell: leaves a message for the agent's actor, whoever holds the post.
        accepted: hears that it is under way.
        begun: its work runs.
        queued: it waits for a place among the builds and starts.
        waited: it has waited for one; that time does not count against its deadline.
        over: how it ended; its actor may have failed on hearing it, or been quarantined then.
        given_up: it took too long; what it still does must not count.
        untagged: it failed, and the tags could not be written to say so.
    """

    kind: Transient
    by: str
    tell: Callable[[object], None]
    aim: Aim | None = None
    approval: ApprovalView | None = None
    back: Generation | None = None
    recorded: frozenset[int] = frozenset()
    first: bool = True
    resumed: bool = False
    deployed: str = ""
    size: int | None = None
    log: BuildLog = field(default_factory=lambda: BuildLog(None))
    aims: frozenset[str] = frozenset()
    waiting: list[Reply[Result]] = field(default_factory=list)
    accepted: "Reply[Any]" = IGNORE
    begun: bool = False
    queued: bool = False
    waited: bool = False
    over: Done | None = None
    given_up: bool = False
    untagged: bool = False
    planned: Handle | None = None
    started: Handle | None = None
    _settled: threading.Event = field(default_factory=threading.Event)
    _ready: bool = False
    _gone: set[Handle] = field(default_factory=set)

    def aim_at(self, aim: Aim | None) -> None:
        """Build this."""
        self.aim, self.aims = aim, frozenset() if aim is None else frozenset({aim.revision})

    def start(self, work: "Callable[[Job], tuple[str, Generation | None]]") -> None:
        """Run ``work`` in a thread; it returns a note and what it built, or raises."""
        thread = threading.Thread(target=self._run, args=(work,), name=f"job-{self.kind.value}", daemon=True)
        self.begun = True
        try:
            thread.start()
        except RuntimeError:  # the kernel's limit, or the user's: no bug of the actor's that asks
            note = "no thread is to be had for it, too much runs on this host; end something and try again"
            self.over = Done(self, Result(False, note))
            self.tell(self.over)

    def _run(self, work: "Callable[[Job], tuple[str, Generation | None]]") -> None:
        try:
            note, generation = work(self)
        except HiveError as error:
            self.over = Done(self, Result(False, error.message))
        except BaseException as error:
            if not isinstance(error, OSError):  # the machine's, and said in the outcome
                log.exception("A job failed.")
            self.over = Done(self, Result(False, f"{type(error).__name__}: {error}"[:500]))
        else:
            self.over = Done(self, Result(True, note), generation)
        self.tell(self.over)

    # -- for the work, in the job's thread

    def check(self) -> None:
        """Go on only while the job counts.

        Raises:
            Broken: it was given up.
        """
        if self.given_up:
            raise Broken(_GIVEN_UP)

    def aimed(self, revision: str) -> None:
        """It brings about this revision too."""
        self.aims |= {revision}

    def ending(self, handle: Handle) -> None:
        """From now on the end of this container is planned.

        Raises:
            Broken: the job was given up; the container is another's by now.
        """
        self.check()
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

    def wait_ready(self, deadline: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait until the harness said hello.

        Args:
            meanwhile: called now and then, and once more at the end.

        Raises:
            Broken: it ended, or did not within ``deadline`` seconds.
        """
        end = time.monotonic() + deadline
        while not self._ready and self.started not in self._gone and (left := end - time.monotonic()) > 0:
            self._settled.wait(min(left, _PULSE))
            self._settled.clear()
            meanwhile()
        meanwhile()
        if self._ready:
            return
        if self.started in self._gone:
            raise Broken("the container ended before its harness was ready")
        raise Broken(f"the harness did not report ready within {deadline:g} s")

    # -- for the actor

    def harness_ready(self) -> None:
        """The harness said hello."""
        self._ready = True
        self._settled.set()

    def leader_ended(self, handle: Handle) -> None:
        """A container ended; nobody needs to wait for it. It may be heard late, when another is starting."""
        self._gone.add(handle)
        self._settled.set()
