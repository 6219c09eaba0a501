"""How much of the record is kept, and how the rest goes: a little at a time, so that nobody waits for it."""

from dataclasses import dataclass

from hyperhive.domain.messages import MAX_UNREAD
from hyperhive.domain.names import OPERATOR
from hyperhive.domain.parts import Inbox
from hyperhive.store.database import Tx

STEP = 2_000
"""Rows of each kind that one write deletes."""
_TURNS = 100
"""Turns whose events one write deletes."""


@dataclass(frozen=True, slots=True)
class Retained:
    """How many of the newest of each the record keeps. What is unread, open or pending stays, however old.

    Of what the operator has not read the newest 2,000 stay unread; the rest is set aside, on record like all else.

    Args:
        decisions: among how many of the newest events those that say what an operator did or decided stay.
        agents: incarnations that ended; those that something kept names stay too.
        bytes: of the database; beyond it the oldest messages and the oldest turns' events go first.
    """

    events: int = 100_000
    decisions: int = 1_000_000
    messages: int = 200_000
    turns: int = 100_000
    questions: int = 10_000
    approvals: int = 10_000
    agents: int = 10_000
    bytes: int = 4 * 1024**3


KEPT = Retained()
"""What a hive keeps."""


def prune(tx: Tx, kept: Retained, step: int = STEP) -> bool:
    """Delete some of what is beyond ``kept``; whether there may be more of it."""
    if tx.messages.set_aside_beyond(
        OPERATOR, MAX_UNREAD
    ):  # an agent's send is not refused for want of a human
        tx.show_whole(Inbox, lambda: Inbox(tuple(tx.messages.inbox())))
    gone = [
        tx.events.prune(kept.events, decisions=kept.decisions, limit=step),
        tx.messages.prune(kept.messages, limit=step),
        tx.turns.prune(kept.turns, limit=step),
        tx.questions.prune(kept.questions, limit=step),
        tx.approvals.prune(kept.approvals, limit=step),
        tx.agents.prune(kept.agents, limit=step),
    ]
    if tx.size() > kept.bytes:
        gone += [tx.messages.prune(0, limit=step), tx.turns.prune_items(_TURNS) * (step // _TURNS)]
    return max(gone) >= step or tx.events.beyond(kept.events) > 0
