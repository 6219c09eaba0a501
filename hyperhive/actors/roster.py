"""The roster: which actors there should be, and how each fares. It outlives the supervisor that reads it."""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from hyperhive.actors.address import Address
from hyperhive.actors.base import Failure
from hyperhive.domain.policy import Failures, RestartPolicy

log = logging.getLogger(__name__)

_LINGER = 1.0
"""Seconds that the scribe waits for another failure."""

Failed = Callable[[Failure], None]


class Start(Protocol):
    """Makes and starts the actor of a post."""

    def __call__(self, *, address: Address, failed: Failed, attempt: int, error: str | None) -> object:
        """Start it. ``attempt`` is 0 for the first one ever, ``error`` what its predecessor failed on."""


@dataclass(slots=True)
class Post:
    """One child of the supervisor.

    Args:
        name: unique; an agent's name or a service's.
        start: makes and starts its actor.
        policy: when to restart it and when to give up.
        given_up: called with the error when it is quarantined; ``None``: never quarantined, only slowed down.
        patience: seconds one message may take before the actor counts as hung.
    """

    name: str
    address: Address
    start: Start
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    given_up: Callable[[str], None] | None = None
    patience: float = 30.0
    failures: Failures = field(default_factory=Failures)
    attempt: int = 0
    error: str | None = None
    restarts: int = 0
    quarantined: bool = False
    vacant: bool = False
    due: Callable[[], None] | None = None


class Scribe:
    """Writes failures to the log off the path of the restart: a traceback takes longer than a restart.

    One thread for a storm of them, which ends with it.
    """

    def __init__(self) -> None:
        self._failures: queue.SimpleQueue[tuple[str, Failure]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._writing = False

    def write(self, name: str, failure: Failure) -> None:
        """Log a failure of the actor called ``name`` soon."""
        self._failures.put((name, failure))
        with self._lock:
            if self._writing:
                return
            self._writing = True
        try:
            threading.Thread(target=self._write, name="scribe", daemon=True).start()
        except RuntimeError:  # none is to be had: then it is written here
            self._write(linger=0.0)

    def _write(self, linger: float = _LINGER) -> None:
        while True:
            try:
                name, failure = self._failures.get(timeout=linger)
            except queue.Empty:
                with self._lock:
                    if not self._failures.empty():
                        continue
                    self._writing = False
                return
            log.error("%s failed %s and is restarted.", name, failure.phase, exc_info=failure.error)
            del failure


class Roster:
    """All posts by name."""

    def __init__(self) -> None:
        self._posts: dict[str, Post] = {}
        self._lock = threading.Lock()
        self.changes = 0
        """How often a post was entered or struck."""
        self.scribe = Scribe()
        self.next_look: Callable[[], None] = lambda: None

    def add(self, post: Post) -> None:
        """Enter a post."""
        with self._lock:
            self._posts[post.name] = post
            self.changes += 1

    def remove(self, name: str) -> None:
        """Strike a post."""
        with self._lock:
            self._posts.pop(name, None)
            self.changes += 1

    def get(self, name: str) -> Post | None:
        """The post called ``name``."""
        return self._posts.get(name)

    def all(self) -> tuple[Post, ...]:
        """Every post."""
        with self._lock:
            return tuple(self._posts.values())
