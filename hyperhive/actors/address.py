"""Where an actor is reached, whoever holds the post at the moment: an address outlives its actors."""

import threading

import pykka

from hyperhive.actors.mailbox import Inbox, Mailbox
from hyperhive.actors.reply import answer
from hyperhive.errors import Broken, Gone, HiveError

MAX_PENDING = 10_000
"""Messages kept for an actor that is being restarted; beyond it the caller hears that it is overloaded."""


class Address:
    """A mailbox that survives the restarts of its actor.

    Messages told while no actor holds the post wait in order and go to the successor. What a failed actor had
    not yet handled goes to its successor first; the message it failed on does not.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._actor: pykka.Actor | None = None
        self._pending: list[object] = []  # nearly always empty, and far smaller then than a deque
        self._closed: HiveError | None = None

    def tell(self, message: object) -> None:
        """Leave a message. Never blocks. At a closed post it is dropped, and who waits for an answer hears why.

        Raises:
            Broken: the post is vacant and too much waits for a successor already.
        """
        if (reason := self._leave(message)) is not None:
            _refuse(message, reason)

    def _leave(self, message: object) -> HiveError | None:
        with self._lock:
            if self._closed is not None:
                return self._closed
            if self._actor is not None:
                try:
                    self._actor.actor_ref.tell(message)
                    return None
                except pykka.ActorDeadError:
                    self._actor = None
            if len(self._pending) >= MAX_PENDING:
                raise Broken(f"{self.name} is not answering; try again in a minute.")
            self._pending.append(message)
            return None

    def attach(self, actor: pykka.Actor) -> None:
        """Give the post to ``actor`` and hand it what waits."""
        with self._lock:
            self._actor = actor
            pending, self._pending = self._pending, []
            for message in pending:
                actor.actor_ref.tell(message)

    def detach(self, actor: pykka.Actor) -> bool:
        """Take the post from ``actor`` and keep its unhandled messages; ``False`` if it does not hold it."""
        with self._lock:
            if self._actor is not actor:
                return False
            self._actor = None
            inbox, leftovers = _mailbox(actor), []
            # never waiting: an actor that hung may go on right now and take the last one itself
            while (envelope := inbox.take()) is not None:
                leftovers.append(envelope.message)
            self._pending[:0] = leftovers
            return True

    def close(self, reason: HiveError | None = None) -> None:
        """Take nothing more and drop what waits; who waits for an answer hears ``reason``."""
        said = reason or Gone(f"{self.name} is gone.")
        with self._lock:
            self._actor, self._closed = None, said
            dropped, self._pending = self._pending, []
        for message in dropped:
            _refuse(message, said)

    def reopen(self) -> None:
        """Take messages again."""
        with self._lock:
            self._closed = None

    @property
    def actor(self) -> pykka.Actor | None:
        """The actor that holds the post, if any."""
        return self._actor

    @property
    def depth(self) -> int:
        """Messages that wait, in the mailbox or for a successor."""
        with self._lock:
            return len(self._pending) + (_mailbox(self._actor).qsize() if self._actor is not None else 0)


def _mailbox(actor: pykka.Actor) -> Inbox | Mailbox:
    inbox = actor.actor_inbox
    assert isinstance(inbox, Inbox | Mailbox)
    return inbox


def _refuse(message: object, reason: HiveError) -> None:
    for name in ("reply", "done"):
        if (waits := getattr(message, name, None)) is not None:
            answer(waits.fail, reason)
