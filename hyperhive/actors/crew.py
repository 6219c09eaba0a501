"""The crew: a few threads that run the mailboxes of many actors, so that an actor at rest costs no thread."""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol

from hyperhive.actors.address import Address
from hyperhive.actors.base import Actor, Failure
from hyperhive.actors.mailbox import Mailbox

log = logging.getLogger(__name__)

HANDS = 3
"""Threads that are enough as long as none is held up: one runs Python, the others wait for the disk."""
MAX_HANDS = 512
"""Threads at most: so many handlers have to hang before an actor waits for one of them."""
STALLED = 0.01
"""Seconds in which nothing that waits was taken up, after which there is one more thread."""
MESSAGES = 32
"""Messages that an actor handles before the others have their turn."""
LULL = 0.001
"""Seconds in which an answer that a turn gave has gone out."""


class Runnable(Protocol):
    """What a crew runs."""

    def turn(self) -> bool:
        """Run for a while; ``True``: it wants another turn. Never called in two threads at once."""


class _Later:
    """A call that goes behind what comes within a ``LULL``, once."""

    __slots__ = ("_call", "waited")

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self.waited = False

    def turn(self) -> bool:
        self._call()
        return False


class Crew:
    """Runs what asks for a turn, in the order in which it asked.

    A turn that blocks or hangs keeps its thread. While something waits and nothing is taken up, there is one more
    thread, and another; whoever comes back and finds ``hands`` others free leaves.

    Args:
        hands, most, stalled: see ``HANDS``, ``MAX_HANDS`` and ``STALLED``.
    """

    def __init__(self, *, hands: int = HANDS, most: int = MAX_HANDS, stalled: float = STALLED) -> None:
        self._hands = hands
        self._most = most
        self._stalled = stalled
        self._waiting: queue.SimpleQueue[Runnable | None] = queue.SimpleQueue()
        self._free: set[int] = set()
        self._lock = threading.Lock()
        self._count = 0
        self._taken = 0
        self._calls: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._overseer: threading.Thread | None = None
        self._called = False
        self._closed = threading.Event()

    @property
    def threads(self) -> int:
        """Its threads, those held up included."""
        return self._count

    def run(self, runnable: Runnable) -> None:
        """Give it a turn soon. For any thread; never waits."""
        self._waiting.put(runnable)
        if not self._free:
            self._nobody_is_free()

    def later(self, call: Callable[[], object]) -> None:
        """Have ``call``, which only tells someone, made in a lull, or behind what comes before there is one.

        What runs while an answer is on its way makes that wait for the interpreter.
        """
        self.run(_Later(call))

    def close(self) -> None:
        """Let its threads go when what waits is done; one that hangs goes when it comes back."""
        with self._lock:
            self._closed.set()
            for _ in range(self._count):
                self._waiting.put(None)
            self._calls.put(True)

    def _nobody_is_free(self) -> None:
        if self._count < self._hands and self._engage(self._hands):
            return
        if not self._called:
            self._called = True
            self._calls.put(True)

    def _engage(self, most: int) -> bool:
        """One more thread; ``False``: there are ``most``, or none is to be had now. The overseer tries again."""
        with self._lock:
            if self._closed.is_set() or self._count >= most:
                return False
            try:
                if self._overseer is None:
                    overseer = threading.Thread(target=self._oversee, name="crew overseer", daemon=True)
                    overseer.start()
                    self._overseer = overseer
                threading.Thread(target=self._work, name="crew", daemon=True).start()
            except RuntimeError:  # the kernel's limit, or the user's: no fault of who leaves a message
                return False
            self._count += 1
            return True

    def _work(self) -> None:
        thread, ident = threading.current_thread(), threading.get_ident()
        while not self._superfluous():
            self._free.add(ident)
            runnable = self._waiting.get()
            if isinstance(runnable, _Later):
                runnable = self._lull(runnable)
            self._free.discard(ident)
            self._taken += 1
            if runnable is None:
                with self._lock:
                    self._count -= 1
                return
            if not self._free and not self._waiting.empty():
                self._nobody_is_free()
            if _turn(runnable):
                self._waiting.put(runnable)
            del runnable  # nobody who has ended is to be held here
            thread.name = "crew"

    def _lull(self, later: _Later) -> Runnable:
        """It, or what came meanwhile."""
        if later.waited:
            return later
        try:
            first = self._waiting.get(timeout=LULL)
        except queue.Empty:
            return later
        if isinstance(first, _Later):
            _turn(later)
            return first
        if first is None:  # who closes lets what waits be done
            self._waiting.put(None)
            return later
        later.waited = True
        self._waiting.put(later)
        return first

    def _superfluous(self) -> bool:
        if self._count <= self._hands or len(self._free) < self._hands:
            return False
        with self._lock:
            if self._count <= self._hands:
                return False
            self._count -= 1
            return True

    def _oversee(self) -> None:
        """Sees, when it was called, whether it goes on."""
        while self._calls.get() and not self._closed.is_set():
            while not self._waiting.empty():
                taken = self._taken
                if self._closed.wait(self._stalled):
                    return
                if taken == self._taken and not self._waiting.empty():
                    self._one_more()
            self._called = False
            if not self._waiting.empty():  # it came when it looked as if somebody had been called
                self._calls.put(True)

    def _one_more(self) -> None:
        if self._engage(self._most):
            return
        if self._count < self._most:
            log.error("No thread is to be had, too much runs on this host: end something; agents wait.")
        else:
            log.error("All %d threads that agents share are held up; agents wait.", self._most)
        self._closed.wait(1.0)


def _turn(runnable: Runnable) -> bool:
    try:
        return runnable.turn()
    except BaseException:  # not even SystemExit ends a thread that is everybody's
        log.exception("A turn failed.")
        return False


class CrewActor(Actor):
    """An actor that a crew runs: it holds a thread only while it handles something.

    Its messages are handled one after the other, as with a thread of its own; only not always in the same one.

    Args:
        crew: runs it.
    """

    actor_inbox: Mailbox

    def __init__(self, *, crew: Crew, address: Address, failed: Callable[[Failure], None]) -> None:
        super().__init__(address=address, failed=failed)
        self._crew = crew
        self._on_duty = False

    @staticmethod
    def _create_actor_inbox() -> Any:
        return Mailbox()

    def _start_actor_loop(self) -> None:
        self.actor_inbox.wake = self._ask_for_a_turn
        self._ask_for_a_turn()

    def _ask_for_a_turn(self) -> None:
        self._crew.run(self)

    def turn(self) -> bool:
        """Handle what waits, up to ``MESSAGES``."""
        threading.current_thread().name = self.address.name
        if not self._on_duty:
            self._on_duty = True
            self.on_start()
        for _ in range(MESSAGES):
            envelope = self.actor_inbox.take()
            if envelope is None:
                return self.actor_inbox.leave()
            self._handle_receive(envelope.message)
            if self.actor_stopped.is_set():
                if envelope.reply_to is not None:
                    envelope.reply_to.set(None)
                return False
        return True
