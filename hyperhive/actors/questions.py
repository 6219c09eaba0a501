"""Questions to the operator: the rules of asking, answering, cancelling and expiring, each in one transaction."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from hyperhive.actors.reply import IGNORE, Reply
from hyperhive.domain.approvals import MAX_NOTE
from hyperhive.domain.events import QuestionAnswered, QuestionAsked
from hyperhive.domain.names import OPERATOR, SYSTEM
from hyperhive.domain.parts import InboxDepth, Questions
from hyperhive.domain.views import QuestionView
from hyperhive.errors import Invalid, Refused, Unknown
from hyperhive.store.database import Tx

MAX_OPEN = 20
"""Open questions of one agent."""
MAX_TEXT = 8 * 1024
"""Characters of a question, an option or an answer."""
MAX_OPTIONS = 20
MAX_TTL = 30 * 86400.0
"""Seconds that what has a deadline may wait."""
_Closed = Literal["answered", "cancelled", "expired"]


@dataclass(frozen=True, slots=True)
class Ask:
    """An agent asks the operator. ``ttl``: seconds until it is closed unanswered; ``None``: never."""

    agent: str
    question: str
    options: tuple[str, ...]
    multi: bool
    ttl: float | None
    reply: Reply[QuestionView] = IGNORE


@dataclass(frozen=True, slots=True)
class Close:
    """The operator answers a question, or cancels it (``answer`` is ``None``)."""

    id: int
    answer: str | None
    by: str
    reply: Reply[QuestionView] = IGNORE


def check_ttl(ttl: float | None) -> None:
    """Refuse a time to live that is out of bounds.

    Raises:
        Invalid: with the bounds.
    """
    if ttl is not None and not 1 <= ttl <= MAX_TTL:
        raise Invalid(f"ttl_seconds must be between 1 and {MAX_TTL:.0f}, or left out.", code="bad-ttl")


def check_note(note: str) -> None:
    """Refuse a note that is too long, or no text.

    Raises:
        Invalid: with the rule that it breaks.
    """
    if len(note) > MAX_NOTE:
        raise Invalid(f"A note takes {MAX_NOTE} characters at most.", code="bad-note")
    if "\0" in note:
        raise Invalid("A note is plain text; remove the NUL characters.", code="bad-note")


def check_question(ask: Ask) -> None:
    """Refuse a question that is empty, too long, or has options that cannot be told apart.

    Raises:
        Invalid: with the rule that it breaks.
    """
    texts = (ask.question, *ask.options)
    if not ask.question.strip():
        raise Invalid("A question needs a text.", code="empty-question")
    if len(ask.options) > MAX_OPTIONS or any(len(text) > MAX_TEXT or "\0" in text for text in texts):
        raise Invalid(f"A question takes {MAX_OPTIONS} options of {MAX_TEXT} characters at most.")
    if any(not option.strip() for option in ask.options) or len(set(ask.options)) != len(ask.options):
        raise Invalid("Options must be different and not empty.")
    check_ttl(ask.ttl)


def ask(tx: Tx, ask: Ask) -> QuestionView:
    """Enter a question."""
    if tx.questions.open_count(ask.agent) >= MAX_OPEN:
        raise Refused(f"{MAX_OPEN} of your questions are open already; wait for an answer.", code="too-many")
    deadline = tx.now + timedelta(seconds=ask.ttl) if ask.ttl is not None else None
    view = tx.questions.insert(ask.agent, ask.question, ask.options, ask.multi, deadline)
    tx.emit(QuestionAsked(agent=ask.agent, id=view.id))
    _show(tx)
    return view


def close(tx: Tx, close: Close) -> QuestionView:
    """Answer or cancel a question, once."""
    view = tx.questions.get(close.id)
    if view is None:
        raise Unknown(f"There is no question {close.id}.", code="unknown-question")
    if view.state != "open":
        who = f" by {view.by}" if view.by else ""
        raise Refused(f"Question {close.id} was {view.state} already{who}.", code="already-closed")
    if close.answer is None:
        return _end(tx, view, "cancelled", None, close.by)
    if not close.answer.strip() or len(close.answer) > MAX_TEXT or "\0" in close.answer:
        raise Invalid(f"An answer needs 1 to {MAX_TEXT} characters.", code="bad-answer")
    return _end(tx, view, "answered", close.answer, close.by)


def expire(tx: Tx) -> None:
    """Close what is overdue."""
    for view in tx.questions.due(tx.now):
        _end(tx, view, "expired", None, SYSTEM)


def cancel_all(tx: Tx, agent: str) -> None:
    """Close what an agent that goes has asked."""
    for view in tx.questions.close_all(agent):
        tx.emit(QuestionAnswered(agent=agent, id=view.id, answer="(cancelled)", by=SYSTEM))
        _show(tx)


def _end(tx: Tx, view: QuestionView, state: _Closed, answer: str | None, by: str) -> QuestionView:
    """Close a question and write to who asked: the answer arrives as a message."""
    closed = tx.questions.close(view.id, state=state, answer=answer, by=by)
    said = answer if answer is not None else f"({state})"
    tx.emit(QuestionAnswered(agent=view.agent, id=view.id, answer=said, by=by))
    if tx.agents.get(view.agent) is not None:
        about = f"Question {view.id}: {view.question[:500]}"
        outcome = f"The operator answers: {answer}" if answer is not None else f"It was {state} unanswered."
        tx.messages.insert(OPERATOR if answer is not None else SYSTEM, view.agent, f"{about}\n{outcome}")
        tx.show(InboxDepth(view.agent, tx.messages.depth(view.agent)))
    _show(tx)
    return closed


def _show(tx: Tx) -> None:
    tx.show_whole(Questions, lambda: Questions(tuple(tx.questions.open())))
