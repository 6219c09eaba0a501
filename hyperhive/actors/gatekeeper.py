"""Gatekeeper: what only the operator can settle. Questions with deadlines, and approvals; each ends once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from hyperhive.actors.address import Address
from hyperhive.actors.base import Actor, Failure
from hyperhive.actors.ports import Timers
from hyperhive.actors.reply import IGNORE, Call, Reply
from hyperhive.actors.store import Write
from hyperhive.domain.events import ApprovalRequested, ApprovalResolved, QuestionAnswered, QuestionAsked
from hyperhive.domain.names import OPERATOR, SYSTEM
from hyperhive.domain.parts import Approvals, InboxDepth, Questions
from hyperhive.domain.views import ApprovalView, QuestionView
from hyperhive.errors import Invalid, Refused, Unknown
from hyperhive.store.database import Database, Tx

MAX_OPEN = 20
"""Open questions of one agent."""
MAX_TEXT = 8 * 1024
"""Characters of a question, an option or an answer."""
MAX_OPTIONS = 20
MAX_TTL = 30 * 86400.0
"""Seconds a question may stay open when it has a deadline."""
MAX_PENDING = 50
"""Approvals that may wait for the operator."""
KEPT = {"events": 100_000, "messages": 200_000, "turns": 100_000, "questions": 10_000, "approvals": 10_000}
"""How many of the newest of each the record keeps."""
HOUSEKEEPING = 3600.0
"""Seconds between two times of dropping the rest."""
_SWEEP = 3600.0
_Closed = Literal["answered", "cancelled", "expired"]
_Decided = Literal["approved", "denied", "revise"]
_STATES: dict[str, _Decided] = {"approve": "approved", "deny": "denied", "revise": "revise"}


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


@dataclass(frozen=True, slots=True)
class Request:
    """An agent asks for a change that needs an approval."""

    agent: str
    by: str
    reply: Reply[ApprovalView] = IGNORE


@dataclass(frozen=True, slots=True)
class Decide:
    """The operator decides an approval."""

    id: int
    decision: Literal["approve", "deny", "revise"]
    note: str
    by: str
    reply: Reply[ApprovalView] = IGNORE


@dataclass(frozen=True, slots=True)
class Sweep:
    """Close what is overdue."""


@dataclass(frozen=True, slots=True)
class KeepHouse:
    """Drop what is beyond what is kept."""


class Gatekeeper(Actor):
    """Keeps what waits for the operator; deadlines are swept from the database, so they hold over a restart.

    Args:
        approve: carries out an approved change, in the transaction that records the decision.
        approved: told when that is durable, whether or not whoever decided still waits.
    """

    def __init__(
        self,
        *,
        store: Address,
        database: Database,
        timers: Timers,
        now: Callable[[], datetime],
        approve: Callable[[Tx, ApprovalView, str], object],
        approved: Callable[[ApprovalView], object],
        address: Address,
        failed: Callable[[Failure], None],
    ) -> None:
        super().__init__(address=address, failed=failed)
        self._store = store
        self._database = database
        self._timers = timers
        self._now = now
        self._approve = approve
        self._approved = approved
        self._cancel: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """Sweep what fell due in the meantime, and keep the record within bounds."""
        self._sweep()
        self._keep_house()

    def handle(self, message: Any) -> None:
        """Deal with one message."""
        match message:
            case Ask():
                _check_question(message)
                self._store.tell(Write(lambda tx: _ask(tx, message), message.reply))
                if message.ttl is not None:
                    self._timers.after(message.ttl + 0.05, lambda: self.address.tell(Sweep()))
            case Close():
                self._store.tell(Write(lambda tx: _close(tx, message), message.reply))
            case Request():
                self._store.tell(Write(lambda tx: _request(tx, message), message.reply))
            case Decide():
                self._decide(message)
            case Sweep():
                self._sweep()
            case KeepHouse():
                self._keep_house()

    def _decide(self, decide: Decide) -> None:
        def decided(view: ApprovalView) -> None:
            if view.state == "approved":
                self._approved(view)
            decide.reply.set(view)

        self._store.tell(
            Write(lambda tx: _decide(tx, decide, self._approve), Call(decided, decide.reply.fail))
        )

    def _sweep(self) -> None:
        self._cancel()
        self._store.tell(Write(_expire))
        due = self._database.reader().questions.next_deadline()
        wait = _SWEEP if due is None else min(_SWEEP, max(1.0, (due - self._now()).total_seconds()))
        self._cancel = self._timers.after(wait, lambda: self.address.tell(Sweep()))

    def _keep_house(self) -> None:
        self._store.tell(Write(prune))
        self._timers.after(HOUSEKEEPING, lambda: self.address.tell(KeepHouse()))


def prune(tx: Tx) -> None:
    """Delete what is older than what ``KEPT`` says. What is unread, open or pending stays, however old."""
    tx.events.prune(KEPT["events"])
    tx.messages.prune(KEPT["messages"])
    tx.turns.prune(KEPT["turns"])
    tx.questions.prune(KEPT["questions"])
    tx.approvals.prune(KEPT["approvals"])


def _check_question(ask: Ask) -> None:
    texts = (ask.question, *ask.options)
    if not ask.question.strip():
        raise Invalid("A question needs a text.", code="empty-question")
    if len(ask.options) > MAX_OPTIONS or any(len(text) > MAX_TEXT or "\0" in text for text in texts):
        raise Invalid(f"A question takes {MAX_OPTIONS} options of {MAX_TEXT} characters at most.")
    if any(not option.strip() for option in ask.options) or len(set(ask.options)) != len(ask.options):
        raise Invalid("Options must be different and not empty.")
    if ask.ttl is not None and not 1 <= ask.ttl <= MAX_TTL:
        raise Invalid(f"ttl_seconds must be between 1 and {MAX_TTL:.0f}, or left out.")


# -- operations on the database


def _show_questions(tx: Tx) -> None:
    tx.show_whole(Questions, lambda: Questions(tuple(tx.questions.open())))


def _ask(tx: Tx, ask: Ask) -> QuestionView:
    if tx.questions.open_count(ask.agent) >= MAX_OPEN:
        raise Refused(f"{MAX_OPEN} of your questions are open already; wait for an answer.", code="too-many")
    deadline = tx.now + timedelta(seconds=ask.ttl) if ask.ttl is not None else None
    view = tx.questions.insert(ask.agent, ask.question, ask.options, ask.multi, deadline)
    tx.emit(QuestionAsked(agent=ask.agent, id=view.id))
    _show_questions(tx)
    return view


def _close(tx: Tx, close: Close) -> QuestionView:
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
    _show_questions(tx)
    return closed


def _expire(tx: Tx) -> None:
    for view in tx.questions.due(tx.now):
        _end(tx, view, "expired", None, SYSTEM)


def _request(tx: Tx, request: Request) -> ApprovalView:
    if tx.agents.get(request.agent) is not None:
        raise Refused(f"There is an agent '{request.agent}' already.", code="exists")
    if tx.approvals.pending_for(request.agent):
        raise Refused(f"A request for '{request.agent}' waits for the operator already.", code="pending")
    if len(tx.approvals.pending()) >= MAX_PENDING:
        raise Refused(
            f"{MAX_PENDING} requests wait for the operator already; wait for answers.", code="too-many"
        )
    view = tx.approvals.insert("spawn", request.agent, request.by)
    tx.emit(ApprovalRequested(agent=request.agent, id=view.id, approval=view.kind))
    tx.show_whole(Approvals, lambda: Approvals(tuple(tx.approvals.pending())))
    return view


def _decide(tx: Tx, decide: Decide, approve: Callable[[Tx, ApprovalView, str], object]) -> ApprovalView:
    view = tx.approvals.get(decide.id)
    if view is None:
        raise Unknown(f"There is no approval {decide.id}.", code="unknown-approval")
    if view.state != "pending":
        raise Refused(f"Approval {decide.id} was decided already: {view.state} by {view.by}.", code="decided")
    if decide.decision == "revise" and not decide.note.strip():
        raise Invalid("Say in a note what to change, so that the manager can act on it.", code="note-missing")
    if len(decide.note) > MAX_TEXT or "\0" in decide.note:
        raise Invalid(f"A note takes {MAX_TEXT} characters at most.", code="bad-note")
    state = _STATES[decide.decision]
    decided = tx.approvals.decide(decide.id, state=state, note=decide.note, by=decide.by)
    if state == "approved":
        approve(tx, view, decide.by)
    tx.emit(
        ApprovalResolved(agent=view.agent, id=view.id, approval=view.kind, decision=state, note=decide.note)
    )
    tx.show_whole(Approvals, lambda: Approvals(tuple(tx.approvals.pending())))
    return decided
