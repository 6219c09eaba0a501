"""The base of our actors: what pykka lacks for supervision."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Self

import pykka

from hyperhive.actors.address import Address
from hyperhive.actors.mailbox import Inbox, Latch, Mailbox
from hyperhive.actors.reply import answer
from hyperhive.errors import Broken, HiveError

log = logging.getLogger(__name__)


class Failure:
    """How an actor failed: where, on what, and the error with its traceback."""

    def __init__(self, actor: "Actor", error: BaseException, phase: str) -> None:
        self.actor = actor
        self.error = error
        self.phase = phase

    @property
    def text(self) -> str:
        """One line for events and screens."""
        said = str(self.error) or "no message"
        return f"{type(self.error).__name__}: {said} ({self.phase})"[:500]


class Actor(pykka.ThreadingActor):
    """An actor that reports its failure instead of vanishing, whatever was raised, ``SystemExit`` included.

    Subclasses implement ``begin``, ``handle`` and ``end`` (in place of pykka's ``on_`` methods). A ``HiveError``
    raised for a message with a ``reply`` is a refusal: the asker hears it and nothing else happens. Anything else
    is a bug: the asker hears that, the actor ends, and its supervisor is told.

    Args:
        address: the post it holds; messages it has not handled when it fails stay there.
        failed: told of the failure, in the dying thread.
    """

    actor_inbox: Inbox | Mailbox  # type: ignore[assignment]  # a narrower one; pykka's says so by a Protocol

    def __init__(self, *, address: Address, failed: Callable[[Failure], None]) -> None:
        super().__init__()
        self.address = address
        self._failed = failed
        self.busy_since: float | None = None
        self.busy_with = ""
        self.abandoned = False
        self.over = Latch()
        self.actor_stopped = self.actor_ref.actor_stopped = Latch()  # type: ignore[assignment]  # all that is used
        address.attach(self)

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> "pykka.ActorRef[Self]":
        """Make it and let it begin. It is not entered in pykka's registry, a list that every end is sought in."""
        actor = cls(*args, **kwargs)
        actor._start_actor_loop()
        return actor.actor_ref

    @staticmethod
    def _create_actor_inbox() -> Any:
        return Inbox()

    def _stop(self) -> None:
        self.actor_stopped.set()
        try:
            self.on_stop()
        except BaseException:
            log.exception("%s did not end well.", self.address.name)

    def begin(self) -> None:
        """Set up, in the actor's own thread."""

    def handle(self, message: Any) -> None:
        """Deal with one message."""
        raise NotImplementedError

    def end(self) -> None:
        """Finish, in the actor's own thread, after the last message."""

    def on_stop(self) -> None:
        """End; ``over`` is set when that is done. (``actor_stopped`` is set before, when nothing more is taken.)"""
        try:
            self.end()
        finally:
            self.over.set()

    def on_start(self) -> None:
        """Begin; a failure is reported like any other."""
        self.busy_since, self.busy_with = time.monotonic(), "start"
        try:
            self.begin()
        except BaseException as error:
            self._give_up(error, "on start")
        finally:
            self.busy_since = None

    def _start_actor_loop(self) -> None:
        threading.Thread(target=self._actor_loop, name=self.address.name, daemon=True).start()

    def on_receive(self, message: Any) -> None:
        """Handle one message under the rules of the class."""
        if self.abandoned:
            return
        self.busy_since, self.busy_with = time.monotonic(), type(message).__name__
        try:
            self.handle(message)
        except BaseException as error:
            reply = getattr(message, "reply", None)
            if isinstance(error, HiveError) and reply is not None:
                answer(reply.fail, error)
                return
            if reply is not None:
                answer(
                    reply.fail, Broken(f"{self.address.name} failed on this and was restarted; try again.")
                )
            self._give_up(error, f"on {type(message).__name__}")
        finally:
            self.busy_since = None

    def _give_up(self, error: BaseException, phase: str) -> None:
        if not self.address.detach(self) and self.abandoned:
            return
        self.stop()
        self._failed(Failure(self, error, phase))
