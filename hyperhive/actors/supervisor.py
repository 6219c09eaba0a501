"""Supervisor: one for one. It restarts what failed, with backoff, and quarantines what keeps failing."""

import contextlib
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pykka

from hyperhive.actors.address import Address
from hyperhive.actors.base import Actor, Failure
from hyperhive.actors.ports import Timers
from hyperhive.actors.reply import IGNORE, Reply
from hyperhive.actors.roster import Post, Roster
from hyperhive.errors import Refused

log = logging.getLogger(__name__)

LIVENESS = 5.0
"""Seconds between two looks for actors that hang."""


@dataclass(frozen=True, slots=True)
class Add:
    """Supervise a new child, from now on."""

    post: Post
    reply: Reply[None] = IGNORE


@dataclass(frozen=True, slots=True)
class Remove:
    """Stop a child and forget it. ``address``: only if the post of that name is still this one."""

    name: str
    address: Address | None = None
    reply: Reply[None] = IGNORE


@dataclass(frozen=True, slots=True)
class Failed:
    """A child failed."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Due:
    """The backoff of a child is over."""

    name: str


@dataclass(frozen=True, slots=True)
class Release:
    """The operator lifts a quarantine."""

    name: str
    reply: Reply[bool] = IGNORE


@dataclass(frozen=True, slots=True)
class Look:
    """Time to look for actors that hang, and for posts that are vacant without a reason.

    ``fill``: fill those at once; else only when the look before saw them vacant too, for the word that an actor
    failed may be under way.
    """

    fill: bool = False


class Supervisor(Actor):
    """Keeps every post of the roster filled.

    It holds no state of its own: a successor reads the roster, leaves living actors alone and fills what is
    vacant, so that no agent ever has two actors.
    """

    def __init__(
        self,
        *,
        roster: Roster,
        timers: Timers,
        clock: Callable[[], float] = time.monotonic,
        address: Address,
        failed: Callable[[Failure], None],
    ) -> None:
        super().__init__(address=address, failed=failed)
        self._roster = roster
        self._timers = timers
        self._clock = clock

    def begin(self) -> None:
        """Fill what is vacant, after the failures that a predecessor did not come to."""
        for post in self._roster.all():
            if post.due is not None:
                post.due()
                post.due = None
        self.address.tell(Look(fill=True))

    def handle(self, message: Any) -> None:
        """Deal with one message."""
        match message:
            case Add(post, reply):
                found = self._roster.get(post.name)
                if found is None:
                    self._roster.add(post)
                if found is None or found is post:
                    self._start(post)
                reply.set(None)
            case Remove(name, address, reply):
                self._remove(name, address)
                reply.set(None)
            case Failed(failure):
                self._failure(failure)
            case Due(name):
                waiting = self._roster.get(name)
                if waiting is not None and waiting.due is not None:
                    waiting.due = None
                    self._start(waiting)
            case Release(name, reply):
                reply.set(self._release(name))
            case Look(fill):
                self._look(fill)

    def _start(self, post: Post) -> None:
        if post.address.actor is not None or post.quarantined:
            return
        attempt, error = post.attempt, post.error
        post.attempt, post.error, post.vacant = 0, None, False
        try:
            post.start(address=post.address, failed=self._report, attempt=attempt, error=error)
        except BaseException as problem:
            log.exception("%s could not be made.", post.name)
            if post.address.actor is not None:
                post.address.detach(post.address.actor)
            self._count(post, f"{type(problem).__name__}: {problem}")

    def _report(self, failure: Failure) -> None:
        self.address.tell(Failed(failure))

    def _failure(self, failure: Failure) -> None:
        name = failure.actor.address.name
        self._roster.scribe.write(name, failure)
        post = self._roster.get(name)
        if post is not None and post.address.actor is None:
            self._count(post, failure.text)

    def _count(self, post: Post, error: str) -> None:
        now = self._clock()
        post.failures = post.failures.add(now, post.policy)
        post.attempt, post.error = post.failures.streak, error
        post.restarts += 1
        if post.given_up is not None and post.failures.exhausted(post.policy):
            post.quarantined = True
            post.address.close(_quarantined(post.name))
            log.error("%s is quarantined: %s", post.name, error)
            post.given_up(error)
            return
        delay = post.failures.delay(post.policy, random.random())
        if delay <= 0:
            self._start(post)
        else:
            post.due = self._timers.after(delay, lambda: self.address.tell(Due(post.name)))

    def _remove(self, name: str, address: Address | None) -> None:
        post = self._roster.get(name)
        if post is None or (address is not None and post.address is not address):
            return
        self._roster.remove(name)
        if post.due is not None:
            post.due()
        actor = post.address.actor
        if actor is not None:
            post.address.detach(actor)  # what waits in the mailbox is answered by the closing of the post
            actor.stop()
        post.address.close()

    def _release(self, name: str) -> bool:
        post = self._roster.get(name)
        if post is None or not post.quarantined:
            return False
        post.quarantined, post.failures = False, type(post.failures)()
        post.address.reopen()
        self._start(post)
        return True

    def _look(self, fill: bool) -> None:
        now = self._clock()
        for post in self._roster.all():
            actor = post.address.actor
            if actor is not None and actor.actor_stopped.is_set() and post.address.detach(actor):
                actor = None  # it ended without a word
            if actor is None:
                if post.due is None and (fill or post.vacant):
                    self._start(post)
                post.vacant = post.address.actor is None
                continue
            since = actor.busy_since if isinstance(actor, Actor) else None
            if isinstance(actor, Actor) and since is not None and now - since > post.patience:
                self._abandon(post, actor, now - since)
        self._roster.next_look()
        self._roster.next_look = self._timers.after(LIVENESS, lambda: self.address.tell(Look()))

    def _abandon(self, post: Post, actor: Actor, seconds: float) -> None:
        """Give up on a thread that hangs: it cannot be ended, but nothing it still does is listened to."""
        actor.abandoned = True
        if not post.address.detach(actor):
            return
        error = f"hung for {seconds:.0f} s on {actor.busy_with}"
        log.error("%s %s and is replaced.", post.name, error)
        with contextlib.suppress(Exception):
            actor.stop()
        self._count(post, error)


class Root:
    """Above the supervisor: brings back the supervisor itself."""

    def __init__(
        self, *, roster: Roster, timers: Timers, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.address = Address("supervisor")
        self._clock = clock
        self.restarts = 0
        self._roster = roster
        self._timers = timers
        self._stopping = False

    def start(self) -> None:
        """Start the supervisor."""
        Supervisor.start(
            roster=self._roster,
            timers=self._timers,
            clock=self._clock,
            address=self.address,
            failed=self._failed,
        )

    def stop(self, timeout: float = 2.0) -> None:
        """Stop the supervisor first, so that nobody is restarted, then every child.

        Args:
            timeout: seconds within which all of them have finished, or are not waited for any longer.
        """
        self._stopping = True
        limit = time.monotonic() + timeout
        _stop([self.address.actor], limit)
        _stop([post.address.actor for post in self._roster.all()], limit)

    def _failed(self, failure: Failure) -> None:
        if self._stopping:
            return
        self.restarts += 1
        log.error("The supervisor failed and is brought back: %s", failure.text, exc_info=failure.error)
        delay = 0.0 if self.restarts % 5 else 1.0
        self._timers.after(delay, self.start)


def _stop(actors: Sequence[pykka.Actor | None], limit: float) -> None:
    ending = [actor for actor in actors if isinstance(actor, Actor)]
    for actor in ending:
        with contextlib.suppress(Exception):
            actor.stop()
    for actor in ending:
        actor.over.wait(max(0.0, limit - time.monotonic()))


def _quarantined(name: str) -> Refused:
    return Refused(f"'{name}' is quarantined; the operator can resume it.", code="quarantined")
