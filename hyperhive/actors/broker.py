"""Broker: messages between agents and the operator; durable, in order, and who waits is served at once."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from hyperhive.actors.address import Address
from hyperhive.actors.allowance import Allowances
from hyperhive.actors.base import Failure
from hyperhive.actors.crew import Crew, CrewActor
from hyperhive.actors.hub import Arrived, Mail
from hyperhive.actors.mailing import Outcome, Posting, Taken, Taking, exchange, put_back
from hyperhive.actors.ports import Frames, Timers
from hyperhive.actors.reply import IGNORE, Call, Reply, answer
from hyperhive.actors.roster import Roster
from hyperhive.actors.store import UNHURRIED, Write
from hyperhive.domain.messages import Message, check_body
from hyperhive.domain.names import OPERATOR, SYSTEM
from hyperhive.errors import Broken, HiveError, Invalid, Refused
from hyperhive.store.database import Tx

SENT_AT_ONCE, SENT_A_SECOND = 64.0 * 2**20, 2.0 * 2**20
"""Bytes that one agent may send at once, and a second in the long run."""
_ENVELOPE = 256
"""Bytes that a message counts more than its body."""
MAX_WAITERS = 64
"""Calls of ``recv`` that may wait on one inbox."""
MAX_GATHERED = 64
"""Messages posted and taken by one write."""
LINGER = 0.02
"""Seconds that a commit nobody waits for is put off at most, so that it is one with the next."""


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
    """A call of ``recv``. ``again``: it waits already; trouble with somebody's message is not its own. ``cancel``
    calls off its expiry."""

    recv: Recv
    until: float
    taking: Taking
    again: bool = False
    cancel: Callable[[], object] = int


@dataclass(frozen=True, slots=True)
class _Wait:
    entry: _Waiting


@dataclass(slots=True)
class WaitingRoom:
    """Who waits for mail, and what is about to be handed on. Outlives the broker: its successor goes on with it."""

    waiting: dict[str, list[_Waiting]] = field(default_factory=dict)
    serving: dict[int, _Waiting] = field(default_factory=dict)
    gathered: list["Send | _Waiting"] = field(default_factory=list)
    flushing: bool = False
    tokens: "itertools.count[int]" = field(default_factory=itertools.count)


class Broker(CrewActor):
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
        frames: Frames,
        clock: Callable[[], float] = time.monotonic,
        crew: Crew,
        address: Address,
        failed: Callable[[Failure], None],
    ) -> None:
        super().__init__(crew=crew, address=address, failed=failed)
        self._store = store
        self._roster = roster
        self._room = room
        self._timers = timers
        self._frames = frames
        self._clock = clock
        self._allowances = Allowances(at_once=SENT_AT_ONCE, a_second=SENT_A_SECOND, clock=clock)

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
                case Arrived(mails):
                    for mail in mails:
                        self._serve(mail.agent)
                        self._wake(mail)
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
            others = "an agent" if send.sender == OPERATOR else "another agent or 'operator'"
            raise Invalid(f"'{send.to}' cannot be sent to from here; name {others}.")
        self._check_pace(send)
        self._room.gathered.append(send)
        if waiting := self._room.waiting.get(send.to):
            self._take(waiting.pop(0))  # served in the sender's own commit: one fsync for both

    def _check_pace(self, send: Send) -> None:
        if send.sender == OPERATOR:
            return
        size = len(send.body) if send.body.isascii() else len(send.body.encode())
        if (wait := self._allowances.spend(send.sender, size + _ENVELOPE)) > 0:
            rate = f"more than {SENT_A_SECOND / 2**20:g} MiB a second"
            raise Refused(
                f"'{send.sender}' sends {rate}; wait {ceil(wait)} s, or put the text in a file and name it.",
                code="too-fast",
            )

    def _recv(self, recv: Recv) -> None:
        waiting = self._room.waiting.setdefault(recv.agent, [])
        if len(waiting) >= MAX_WAITERS:
            raise Refused(f"{MAX_WAITERS} calls already wait on this inbox; end one first.")
        entry = _Waiting(recv, self._clock() + recv.wait, Taking(recv.agent, recv.limit))
        waiting.append(entry)
        if recv.wait > 0:
            expire = Expire(recv.agent, recv.token)
            entry.cancel = self._timers.after(recv.wait, lambda: self.address.tell(expire))
        self._serve(recv.agent)

    def _wait(self, entry: _Waiting) -> None:
        self._room.serving.pop(entry.recv.token, None)
        if entry.taking.left or entry.until <= self._clock():
            entry.cancel()
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

        over: set[int] = set()

        def op(tx: Tx) -> object:
            outcomes = exchange(tx, moves)
            with self._frames.together():
                over.update(n for n, item in enumerate(gathered) if self._at_once(item, outcomes[n]))
            return outcomes if len(over) < len(gathered) else UNHURRIED

        def done(outcomes: list[Outcome]) -> None:
            for place, item in enumerate(gathered):
                if place not in over:
                    self._over(item, outcomes[place])

        def failed(error: BaseException) -> None:
            for place, item in enumerate(gathered):
                if place not in over:
                    self._failed_to(item, error)

        try:
            self._store.tell(Write(op, Call(done, failed)))
        except Broken as error:
            failed(error)
            return
        if not any(isinstance(item, Send) for item in gathered):
            self._flush_later()  # only now: a flush that is under way must come behind it to count

    def _flush_later(self) -> None:
        """What nobody waits for is written with the next that somebody does, or a little later."""
        if not self._room.flushing:
            self._room.flushing = True
            self._timers.after(LINGER, self._flush)

    def _flush(self) -> None:
        self._room.flushing = False
        answer(self._store.tell, Write(lambda tx: None))

    def _at_once(self, item: "Send | _Waiting", outcome: Outcome) -> bool:
        """In the Store's thread: messages come at least once, so that one is taken need not be durable yet."""
        if isinstance(item, Send) or not isinstance(outcome, Taken) or not outcome.settled:
            return False
        self._over(item, outcome)
        return True

    def _over(self, item: "Send | _Waiting", outcome: Outcome) -> None:
        """Runs where it is answered: hand on, or go back to waiting."""
        match item, outcome:
            case Send(), HiveError():
                answer(item.reply.fail, outcome)
            case Send(), Message():
                answer(item.reply.set, outcome)
            case _Waiting(), Taken(()):
                self.address.tell(_Wait(item))
            case _Waiting(), Taken(messages):
                item.cancel()
                self._room.serving.pop(item.recv.token, None)
                answer(item.recv.reply.set, messages)

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
            entry.cancel()
            entry.recv.reply.set(())
        if not waiting:
            self._room.waiting.pop(agent, None)

    def _wake(self, mail: Mail) -> None:
        post = self._roster.get(mail.agent)
        if post is not None:
            answer(post.address.tell, mail)  # an agent that takes no messages is not the broker's trouble
