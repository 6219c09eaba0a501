"""Broker: messages between agents and the operator; durable, in order, and who waits is served at once."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hyperhive.actors.address import Address
from hyperhive.actors.base import Actor, Failure
from hyperhive.actors.hub import Mail
from hyperhive.actors.mailing import Outcome, Posting, Taking, exchange, put_back
from hyperhive.actors.ports import Timers
from hyperhive.actors.reply import IGNORE, Call, Reply, answer
from hyperhive.actors.roster import Roster
from hyperhive.actors.store import Write
from hyperhive.domain.messages import Message, check_body
from hyperhive.domain.names import SYSTEM
from hyperhive.errors import Broken, HiveError, Invalid, Refused

MAX_WAITERS = 64
"""Calls of ``recv`` that may wait on one inbox."""
MAX_GATHERED = 64
"""Messages posted and taken by one write."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message."""

    sender: str
    to: str
    body: str
    reply: Reply[Message] = IGNORE


@dataclass(frozen=True, slots=True)
class Recv:
    """Take messages; with ``wait`` seconds, wait so long for the first. ``token`` names the call."""

    token: int
    agent: str
    limit: int
    wait: float
    reply: Reply[tuple[Message, ...]]


@dataclass(frozen=True, slots=True)
class Expire:
    """A call of ``recv`` has waited long enough, or its caller left."""

    agent: str
    token: int


@dataclass(frozen=True, slots=True)
class Undelivered:
    """These messages were handed to a caller who had left."""

    agent: str
    ids: tuple[int, ...]


@dataclass(eq=False, slots=True)
class _Waiting:
    """A call of ``recv``. ``again``: it waits already; trouble with somebody's message is not its own."""

    recv: Recv
    until: float
    taking: Taking
    again: bool = False


@dataclass(frozen=True, slots=True)
class _Wait:
    entry: _Waiting


@dataclass(slots=True)
class WaitingRoom:
    """Who waits for mail, and what is about to be handed on. Outlives the broker: its successor goes on with it."""

    waiting: dict[str, list[_Waiting]] = field(default_factory=dict)
    serving: dict[int, _Waiting] = field(default_factory=dict)
    gathered: list["Send | _Waiting"] = field(default_factory=list)
    tokens: "itertools.count[int]" = field(default_factory=itertools.count)


class Broker(Actor):
    """Hands messages to the Store, those that came together as one write, and wakes who waits.

    Who waits is a call of ``recv``, else the agent's turn loop.
    """

    def __init__(
        self,
        *,
        store: Address,
        roster: Roster,
        room: WaitingRoom,
        timers: Timers,
        clock: Callable[[], float] = time.monotonic,
        address: Address,
        failed: Callable[[Failure], None],
    ) -> None:
        super().__init__(address=address, failed=failed)
        self._store = store
        self._roster = roster
        self._room = room
        self._timers = timers
        self._clock = clock

    def begin(self) -> None:
        """Serve who waited on a predecessor."""
        for agent in list(self._room.waiting):
            self._serve(agent)
        self._hand_on()

    def handle(self, message: Any) -> None:
        """Deal with one message; what is to be written goes to the Store when nothing more waits."""
        try:
            match message:
                case Send():
                    self._send(message)
                case Recv():
                    self._recv(message)
                case Mail(agent, _):
                    self._serve(agent)
                    self._wake(message)
                case Expire(agent, token):
                    self._expire(agent, token)
                case _Wait(entry):
                    self._wait(entry)
                case Undelivered(agent, ids):
                    self._hand_on()
                    self._store.tell(Write(lambda tx: put_back(tx, agent, ids)))
        finally:
            if self._room.gathered and (self.actor_inbox.empty() or len(self._room.gathered) >= MAX_GATHERED):
                self._hand_on()

    def end(self) -> None:
        """Hand on what was gathered."""
        if not self.abandoned:
            self._hand_on()

    def _send(self, send: Send) -> None:
        check_body(send.body)
        if send.to in (SYSTEM, send.sender):
            raise Invalid(f"'{send.to}' cannot be sent to from here; name another agent or 'operator'.")
        self._room.gathered.append(send)
        if waiting := self._room.waiting.get(
            send.to
        ):  # served in the sender's own commit: one fsync for both
            self._take(waiting.pop(0))

    def _recv(self, recv: Recv) -> None:
        waiting = self._room.waiting.setdefault(recv.agent, [])
        if len(waiting) >= MAX_WAITERS:
            raise Refused(f"{MAX_WAITERS} calls already wait on this inbox; end one first.")
        waiting.append(_Waiting(recv, self._clock() + recv.wait, Taking(recv.agent, recv.limit)))
        if recv.wait > 0:
            self._timers.after(recv.wait, lambda: self.address.tell(Expire(recv.agent, recv.token)))
        self._serve(recv.agent)

    def _wait(self, entry: _Waiting) -> None:
        self._room.serving.pop(entry.recv.token, None)
        if entry.taking.left or entry.until <= self._clock():
            entry.recv.reply.set(())
        else:
            entry.again = True
            self._room.waiting.setdefault(entry.recv.agent, []).append(entry)

    def _serve(self, agent: str) -> None:
        """Let all who wait take what there is; the Store keeps the order among takers."""
        for entry in self._room.waiting.pop(agent, []):
            self._take(entry)

    def _take(self, entry: _Waiting) -> None:
        self._room.serving[entry.recv.token] = entry
        self._room.gathered.append(entry)

    def _hand_on(self) -> None:
        """Let the Store do what was gathered, as one write: in order, each failing alone but for the machine."""
        gathered, self._room.gathered = self._room.gathered, []
        if not gathered:
            return
        moves = [
            Posting(item.sender, item.to, item.body) if isinstance(item, Send) else item.taking
            for item in gathered
        ]

        def done(outcomes: list[Outcome]) -> None:
            for item, outcome in zip(gathered, outcomes, strict=True):
                self._over(item, outcome)

        def failed(error: BaseException) -> None:
            for item in gathered:
                self._failed_to(item, error)

        try:
            self._store.tell(Write(lambda tx: exchange(tx, moves), Call(done, failed)))
        except Broken as error:
            failed(error)

    def _over(self, item: "Send | _Waiting", outcome: Outcome) -> None:
        """Runs where the commit is answered: hand on, or go back to waiting."""
        match item, outcome:
            case Send(), HiveError():
                answer(item.reply.fail, outcome)
            case Send(), Message():
                answer(item.reply.set, outcome)
            case _Waiting(), ():
                self.address.tell(_Wait(item))
            case _Waiting(), tuple():
                self._room.serving.pop(item.recv.token, None)
                answer(item.recv.reply.set, outcome)

    def _failed_to(self, item: "Send | _Waiting", error: BaseException) -> None:
        if isinstance(item, Send):
            answer(item.reply.fail, error)
        elif item.again:
            self.address.tell(_Wait(item))
        else:
            self._room.serving.pop(item.recv.token, None)
            answer(item.recv.reply.fail, error)

    def _expire(self, agent: str, token: int) -> None:
        if (served := self._room.serving.get(token)) is not None:
            served.taking.left = True
        waiting = self._room.waiting.get(agent, [])
        for entry in [entry for entry in waiting if entry.recv.token == token]:
            waiting.remove(entry)
            entry.recv.reply.set(())
        if not waiting:
            self._room.waiting.pop(agent, None)

    def _wake(self, mail: Mail) -> None:
        post = self._roster.get(mail.agent)
        if post is not None:
            answer(post.address.tell, mail)  # an agent that takes no messages is not the broker's trouble
