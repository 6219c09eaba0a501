"""Mailing: the operations on the database that move messages, and the rules for who may write to whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from hyperhive.domain.agent_config import parse
from hyperhive.domain.events import MessageDelivered
from hyperhive.domain.messages import MAX_UNREAD, Message
from hyperhive.domain.names import MANAGER, OPERATOR
from hyperhive.domain.parts import Inbox, InboxDepth
from hyperhive.domain.recorded import Told, message_delivered, message_sent
from hyperhive.errors import Broken, HiveError, Refused, Unknown
from hyperhive.store.database import Tx
from hyperhive.store.exchange import Box, Exchange

_FREE = (OPERATOR, MANAGER)
"""Who may write to anybody."""


@dataclass(frozen=True, slots=True)
class Posting:
    """A message to be stored."""

    sender: str
    to: str
    body: str


@dataclass(slots=True)
class Taking:
    """Messages to be handed over. Nothing is for a caller who has ``left``: putting back later breaks the order."""

    agent: str
    limit: int
    left: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """What was handed over. ``settled``: all of it was durable before this transaction."""

    messages: tuple[Message, ...]
    settled: bool = False


Outcome = Message | Taken | HiveError
"""Of a posting the message or why not, of a taking what was handed over."""


def exchange(tx: Tx, moves: Sequence[Posting | Taking]) -> list[Outcome]:
    """Post and take in order, all in one go. A posting that is refused is refused alone.

    Returns:
        What came of each.
    """
    takings = [(move.agent, move.limit) for move in moves if isinstance(move, Taking)]
    names = {name for name, _ in takings}
    for move in moves:
        if isinstance(move, Posting):
            names.add(move.to)
            if move.sender not in _FREE:
                names.add(move.sender)
    under_way = _Moves(tx, tx.exchange(names=names, takes=takings))
    outcomes = [under_way.make(move) for move in moves]
    under_way.end()
    return outcomes


class _Moves:
    def __init__(self, tx: Tx, exchange: Exchange) -> None:
        self._tx = tx
        self._exchange = exchange
        self._told: list[Told] = []
        self._touched: dict[str, Box] = {}

    def make(self, move: Posting | Taking) -> Outcome:
        if isinstance(move, Taking):
            return Taken((), settled=True) if move.left else self._take(move)
        try:
            return self._post(move)
        except Broken:
            raise  # the machine's fault, which may have ended the transaction: it is nobody's refusal
        except HiveError as refusal:
            return refusal

    def end(self) -> None:
        if not self._touched:
            return
        self._exchange.write()
        self._tx.tell(self._told)
        for box in self._touched.values():
            if box.name == OPERATOR:
                show_inbox(self._tx, OPERATOR)
            else:
                self._tx.show(InboxDepth(box.name, box.depth))

    def _post(self, posting: Posting) -> Message:
        """Store a message.

        Raises:
            Unknown: no such recipient; names those there are.
            Refused: the sender may not write to it, or its inbox is full.
        """
        sender, to = posting.sender, posting.to
        box = self._exchange.box(to)
        if box is None:
            known = ", ".join(
                sorted({record.name for record in self._tx.agents.all()} - {sender} | {OPERATOR})
            )
            raise Unknown(f"There is no agent '{to[:40]}'; there are: {known}.", code="unknown-recipient")
        if to != OPERATOR:
            self._check(sender, box)
        message = self._exchange.post(sender, box, posting.body)
        about = to if sender == OPERATOR else sender
        self._told.append(message_sent(about if about != OPERATOR else None, message.id, sender, to))
        self._touched[to] = box
        return message

    def _check(self, sender: str, box: Box) -> None:
        mine = (
            self._exchange.box(sender) if sender not in (OPERATOR, MANAGER) and box.name != MANAGER else None
        )
        allowed = _allowed(mine.config) if mine is not None else None
        if allowed is not None and box.name not in allowed:
            names = ", ".join(sorted({*allowed, MANAGER, OPERATOR}))
            raise Refused(
                f"'{sender}' may not write to '{box.name}'; it may write to: {names}.", code="not-allowed"
            )
        if box.depth >= MAX_UNREAD:
            raise Refused(
                f"The inbox of '{box.name}' is full ({MAX_UNREAD} unread); try again later.",
                code="inbox-full",
            )

    def _take(self, taking: Taking) -> Taken:
        """Hand over unread messages; they belong to the agent's open turn, if there is one."""
        box = self._exchange.box(taking.agent)
        if box is None or not (taken := self._exchange.take(box, taking.limit)):
            return Taken((), settled=True)
        about = None if taking.agent == OPERATOR else taking.agent
        self._told += [message_delivered(about, message.id) for message in taken]
        self._touched[taking.agent] = box
        return Taken(tuple(taken), taken[-1].id <= self._tx.durable_upto())


@lru_cache(maxsize=1024)
def _allowed(config: str) -> frozenset[str] | None:
    recipients = parse(config).allowedRecipients if config else None
    return None if recipients is None else frozenset(recipients)


def delivered(tx: Tx, agent: str, taken: tuple[Message, ...]) -> None:
    """Tell that these messages were handed over."""
    about = None if agent == OPERATOR else agent
    for message in taken:
        tx.emit(MessageDelivered(agent=about, id=message.id))
    if taken:
        show_inbox(tx, agent)


def put_back(tx: Tx, agent: str, ids: tuple[int, ...]) -> None:
    """These messages did not arrive: they are unread again."""
    tx.messages.requeue(ids)
    show_inbox(tx, agent)


def show_inbox(tx: Tx, agent: str) -> None:
    """Show what changed in an inbox: the operator's with its messages, an agent's by its depth."""
    if agent == OPERATOR:
        tx.show_whole(Inbox, lambda: Inbox(tuple(tx.messages.inbox())))
    else:
        tx.show(InboxDepth(agent, tx.messages.depth(agent)))
