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
from hyperhive.actors.reply import IGNORE, Call, Reply, answer
from hyperhive.actors.roster import Roster
from hyperhive.actors.store import Write
from hyperhive.domain.agent_config import parse
from hyperhive.domain.events import MessageDelivered, MessageSent
from hyperhive.domain.messages import MAX_UNREAD, Message, check_body
from hyperhive.domain.names import MANAGER, OPERATOR, SYSTEM
from hyperhive.domain.parts import Inbox, InboxDepth
from hyperhive.errors import Broken, Invalid, Refused, Unknown
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


@dataclass(eq=False, slots=True)
class _Waiting:
    """``left``: its caller is gone; nothing is taken for it any more."""

    recv: Recv
    until: float
    left: bool = False


@dataclass(frozen=True, slots=True)
class _Wait:
    entry: _Waiting


@dataclass(slots=True)
class WaitingRoom:
    """Who waits for mail. Outlives the broker, so that its successor serves them."""

    waiting: dict[str, list[_Waiting]] = field(default_factory=dict)
    serving: dict[int, _Waiting] = field(default_factory=dict)
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
        entry = waiting[0]  # served in the sender's own commit: one fsync for both

        def op(tx: Tx) -> tuple[Message, tuple[Message, ...]]:
            return post(tx, send.sender, send.to, body), self._take_for(tx, entry)

        def done(result: tuple[Message, tuple[Message, ...]]) -> None:
            self._taken(entry, result[1])
            send.reply.set(result[0])

        def failed(error: BaseException) -> None:
            send.reply.fail(error)
            self.address.tell(_Wait(entry))

        self._store.tell(Write(op, Call(done, failed)))
        self._room.serving[entry.recv.token] = entry
        waiting.pop(0)

    def _recv(self, recv: Recv) -> None:
        waiting = self._room.waiting.setdefault(recv.agent, [])
        if len(waiting) >= MAX_WAITERS:
            raise Refused(f"{MAX_WAITERS} calls already wait on this inbox; end one first.")
        waiting.append(_Waiting(recv, self._clock() + recv.wait))
        if recv.wait > 0:
            self._timers.after(recv.wait, lambda: self.address.tell(Expire(recv.agent, recv.token)))
        self._serve(recv.agent)

    def _wait(self, entry: _Waiting) -> None:
        self._room.serving.pop(entry.recv.token, None)
        if entry.left or entry.until <= self._clock():
            entry.recv.reply.set(())
        else:
            self._room.waiting.setdefault(entry.recv.agent, []).append(entry)

    def _serve(self, agent: str) -> None:
        """Let the first who waits take what there is; the Store keeps the order among takers."""
        waiting = self._room.waiting.pop(agent, [])
        for entry in waiting:
            self._take(entry)

    def _take(self, entry: _Waiting) -> None:
        def taken(messages: tuple[Message, ...]) -> None:
            self._taken(entry, messages)

        def failed(error: BaseException) -> None:
            self._room.serving.pop(entry.recv.token, None)
            entry.recv.reply.fail(error)

        self._room.serving[entry.recv.token] = entry
        try:
            self._store.tell(Write(lambda tx: self._take_for(tx, entry), Call(taken, failed)))
        except Broken as error:
            failed(error)

    def _take_for(self, tx: Tx, entry: _Waiting) -> tuple[Message, ...]:
        """In the Store's thread. A caller who left meanwhile takes nothing: putting back later breaks the order."""
        return () if entry.left else take(tx, entry.recv.agent, entry.recv.limit)

    def _taken(self, entry: _Waiting, taken: tuple[Message, ...]) -> None:
        """Runs where the commit is answered: hand on, or go back to waiting."""
        if taken:
            self._room.serving.pop(entry.recv.token, None)
            entry.recv.reply.set(taken)
        else:
            self.address.tell(_Wait(entry))

    def _expire(self, agent: str, token: int) -> None:
        if (served := self._room.serving.get(token)) is not None:
            served.left = True
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
    _show_inbox(tx, to)
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
    if taken:
        _show_inbox(tx, agent)


def _put_back(tx: Tx, agent: str, ids: tuple[int, ...]) -> None:
    tx.messages.requeue(ids)
    _show_inbox(tx, agent)


def _show_inbox(tx: Tx, agent: str) -> None:
    """Show what changed in an inbox: the operator's with its messages, an agent's by its depth."""
    if agent == OPERATOR:
        tx.show_whole(Inbox, lambda: Inbox(tuple(tx.messages.inbox())))
    else:
        tx.show(InboxDepth(agent, tx.messages.depth(agent)))
