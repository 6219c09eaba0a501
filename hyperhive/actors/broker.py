"""Broker: messages between agents and the operator; durable, in order, and who waits is served at once."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from hyperhive.actors.address import Address
from hyperhive.actors.base import Actor, Failure
from hyperhive.actors.hub import Mail
from hyperhive.actors.ports import Timers
from hyperhive.actors.reply import IGNORE, Call, Reply
from hyperhive.actors.roster import Roster
from hyperhive.actors.store import Write
from hyperhive.domain.agent_config import parse
from hyperhive.domain.events import MessageDelivered, MessageSent
from hyperhive.domain.messages import MAX_UNREAD, Message, check_body
from hyperhive.domain.names import MANAGER, OPERATOR, SYSTEM
from hyperhive.domain.parts import Inbox, InboxDepth
from hyperhive.errors import Invalid, Refused, Unknown
from hyperhive.store.database import Tx

MAX_WAITERS = 64
"""Calls of ``recv`` that may wait on one inbox."""


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


@dataclass(frozen=True, slots=True)
class _Waiting:
    recv: Recv
    until: float


@dataclass(frozen=True, slots=True)
class _Wait:
    entry: _Waiting


@dataclass(slots=True)
class WaitingRoom:
    """Who waits for mail. Outlives the broker, so that its successor serves them."""

    waiting: dict[str, list[_Waiting]] = field(default_factory=dict)
    tokens: "itertools.count[int]" = field(default_factory=itertools.count)


class Broker(Actor):
    """Hands writes to the Store and wakes who waits: a call of ``recv``, else the agent's turn loop."""

    def __init__(
        self,
        *,
        store: Address,
        roster: Roster,
        room: WaitingRoom,
        timers: Timers,
        address: Address,
        failed: Callable[[Failure], None],
    ) -> None:
        super().__init__(address=address, failed=failed)
        self._store = store
        self._roster = roster
        self._room = room
        self._timers = timers

    def begin(self) -> None:
        """Serve who waited on a predecessor."""
        for agent in list(self._room.waiting):
            self._serve(agent)

    def handle(self, message: Any) -> None:
        """Deal with one message."""
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
                self._store.tell(Write(lambda tx: _put_back(tx, agent, ids)))

    def _send(self, send: Send) -> None:
        body = check_body(send.body)
        if send.to in (SYSTEM, send.sender):
            raise Invalid(f"'{send.to}' cannot be sent to from here; name another agent or 'operator'.")
        waiting = self._room.waiting.get(send.to)
        if not waiting:
            self._store.tell(Write(lambda tx: post(tx, send.sender, send.to, body), send.reply))
            return
        entry = waiting.pop(0)  # served in the sender's own commit: one fsync for both

        def op(tx: Tx) -> tuple[Message, tuple[Message, ...]]:
            return post(tx, send.sender, send.to, body), take(tx, send.to, entry.recv.limit)

        def done(result: tuple[Message, tuple[Message, ...]]) -> None:
            self._taken(entry, result[1])
            send.reply.set(result[0])

        def failed(error: BaseException) -> None:
            self.address.tell(_Wait(entry))
            send.reply.fail(error)

        self._store.tell(Write(op, Call(done, failed)))

    def _recv(self, recv: Recv) -> None:
        waiting = self._room.waiting.setdefault(recv.agent, [])
        if len(waiting) >= MAX_WAITERS:
            raise Refused(f"{MAX_WAITERS} calls already wait on this inbox; end one first.")
        waiting.append(_Waiting(recv, time.monotonic() + recv.wait))
        if recv.wait > 0:
            self._timers.after(recv.wait, lambda: self.address.tell(Expire(recv.agent, recv.token)))
        self._serve(recv.agent)

    def _wait(self, entry: _Waiting) -> None:
        if entry.until <= time.monotonic():
            entry.recv.reply.set(())
        else:
            self._room.waiting.setdefault(entry.recv.agent, []).append(entry)

    def _serve(self, agent: str) -> None:
        """Let the first who waits take what there is; the Store keeps the order among takers."""
        waiting = self._room.waiting.pop(agent, [])
        for entry in waiting:
            self._take(entry)

    def _take(self, entry: _Waiting) -> None:
        recv = entry.recv

        def taken(messages: tuple[Message, ...]) -> None:
            self._taken(entry, messages)

        self._store.tell(Write(lambda tx: take(tx, recv.agent, recv.limit), Call(taken, recv.reply.fail)))

    def _taken(self, entry: _Waiting, taken: tuple[Message, ...]) -> None:
        """Runs where the commit is answered: hand on, or go back to waiting."""
        if taken or entry.until <= time.monotonic():
            entry.recv.reply.set(taken)
        else:
            self.address.tell(_Wait(entry))

    def _expire(self, agent: str, token: int) -> None:
        waiting = self._room.waiting.get(agent, [])
        for entry in [entry for entry in waiting if entry.recv.token == token]:
            waiting.remove(entry)
            entry.recv.reply.set(())
        if not waiting:
            self._room.waiting.pop(agent, None)

    def _wake(self, mail: Mail) -> None:
        post = self._roster.get(mail.agent)
        if post is not None:
            post.address.tell(mail)


# -- operations on the database


def post(tx: Tx, sender: str, to: str, body: str) -> Message:
    """Store a message.

    Raises:
        Unknown: no such recipient; names those there are.
        Refused: the sender may not write to it, or its inbox is full.
    """
    if to != OPERATOR:
        _check_recipient(tx, sender, to)
    message = tx.messages.insert(sender, to, body)
    about = to if sender == OPERATOR else sender
    tx.emit(MessageSent(agent=about if about != OPERATOR else None, id=message.id, sender=sender, to=to))
    if to == OPERATOR:
        tx.show(Inbox(tuple(tx.messages.inbox())))
    else:
        tx.show(InboxDepth(to, tx.messages.depth(to)))
    return message


def _check_recipient(tx: Tx, sender: str, to: str) -> None:
    if tx.agents.get(to) is None:
        known = ", ".join(sorted({record.name for record in tx.agents.all()} - {sender} | {OPERATOR}))
        raise Unknown(f"There is no agent '{to[:40]}'; there are: {known}.", code="unknown-recipient")
    record = tx.agents.get(sender) if sender not in (OPERATOR, MANAGER) and to != MANAGER else None
    allowed = _allowed(record.built_config) if record is not None else None
    if allowed is not None and to not in allowed:
        names = ", ".join(sorted({*allowed, MANAGER, OPERATOR}))
        raise Refused(f"'{sender}' may not write to '{to}'; it may write to: {names}.", code="not-allowed")
    if tx.messages.depth(to) >= MAX_UNREAD:
        raise Refused(
            f"The inbox of '{to}' is full ({MAX_UNREAD} unread); try again later.", code="inbox-full"
        )


@lru_cache(maxsize=1024)
def _allowed(config: str) -> frozenset[str] | None:
    recipients = parse(config).allowedRecipients if config else None
    return None if recipients is None else frozenset(recipients)


def take(tx: Tx, agent: str, limit: int) -> tuple[Message, ...]:
    """Hand over unread messages; they belong to the agent's open turn, if there is one."""
    turn = tx.turns.open(agent) if agent != OPERATOR else None
    taken = tuple(tx.messages.take(agent, turn=turn, limit=limit))
    delivered(tx, agent, taken)
    return taken


def delivered(tx: Tx, agent: str, taken: tuple[Message, ...]) -> None:
    """Tell that these messages were handed over."""
    about = None if agent == OPERATOR else agent
    for message in taken:
        tx.emit(MessageDelivered(agent=about, id=message.id))
    if taken and agent != OPERATOR:
        tx.show(InboxDepth(agent, tx.messages.depth(agent)))


def _put_back(tx: Tx, agent: str, ids: tuple[int, ...]) -> None:
    tx.messages.requeue(ids)
    if agent != OPERATOR:
        tx.show(InboxDepth(agent, tx.messages.depth(agent)))
