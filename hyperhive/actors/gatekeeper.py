"""Gatekeeper: what only the operator can settle. Questions, approvals and drafts, and their deadlines."""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hyperhive.actors import questions
from hyperhive.actors.address import Address
from hyperhive.actors.base import Actor, Failure
from hyperhive.actors.clerk import Clerk
from hyperhive.actors.petitions import Decide, Discard, Draft, Submit, Withdraw
from hyperhive.actors.ports import Timers
from hyperhive.actors.proposals import Proposals
from hyperhive.actors.questions import Ask, Close
from hyperhive.actors.reply import Call, Reply
from hyperhive.actors.retention import Retained, prune
from hyperhive.actors.store import Write
from hyperhive.domain.names import check_name
from hyperhive.domain.views import ApprovalView
from hyperhive.errors import HiveError
from hyperhive.store.database import Database

__all__ = ("Ask", "Close", "Decide", "Discard", "Draft", "Gatekeeper", "Submit", "Sweep", "Withdraw")

HOUSEKEEPING = 60.0
"""Seconds between two times of dropping what is beyond what the record keeps."""
TIDYING = 60.0
"""Seconds between two times of measuring the drafts and mending tags."""
_SWEEP = 60.0
"""Seconds between two sweeps at most: the clock may be set forward, which no timer sees."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Close what is overdue."""


@dataclass(frozen=True, slots=True)
class KeepHouse:
    """Drop what is beyond what is kept. ``of``: whose round it is; a successor has its own."""

    of: object


@dataclass(frozen=True, slots=True)
class Tidy:
    """See how large the drafts are by now, and make the tags that could not be made. ``of`` as above."""

    of: object


class Gatekeeper(Actor):
    """Keeps what waits for the operator; deadlines are swept from the database, so they hold over a restart.

    What concerns repositories is done by the clerk, for one name after another.

    Args:
        proposals: how approvals and drafts are carried out.
        kept: how much of the record is kept.
    """

    def __init__(
        self,
        *,
        store: Address,
        database: Database,
        timers: Timers,
        now: Callable[[], datetime],
        clerk: Clerk,
        proposals: Proposals,
        kept: Retained,
        address: Address,
        failed: Callable[[Failure], None],
    ) -> None:
        super().__init__(address=address, failed=failed)
        self._store = store
        self._database = database
        self._timers = timers
        self._now = now
        self._clerk = clerk
        self._proposals = proposals
        self._kept = kept
        self._cancel: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """Make good what an earlier daemon left half done, sweep what fell due, keep the record within bounds."""
        self._beside(self._proposals.recover)
        self._retag(self._database.reader().approvals.pending())
        self._sweep()
        self._keep_house()
        self._tidy()
        self._beside(self._proposals.compare)  # last: it may take a while, and nothing waits for it

    def handle(self, message: Any) -> None:
        """Deal with one message."""
        proposals = self._proposals
        match message:
            case Ask():
                questions.check_question(message)
                self._store.tell(Write(lambda tx: questions.ask(tx, message), message.reply))
                self._sweep_in(message.ttl)
            case Close():
                self._store.tell(Write(lambda tx: questions.close(tx, message), message.reply))
            case Submit():
                proposals.check(message)
                self._run(message.name, lambda: proposals.submit(message), message.reply)
                self._sweep_in(message.ttl)
            case Decide():
                self._run(self._whose(message.id), lambda: proposals.decide(message), message.reply)
            case Withdraw():
                self._run(self._whose(message.id), lambda: proposals.withdraw(message), message.reply)
            case Draft():
                self._run(check_name(message.name), lambda: proposals.draft(message), message.reply)
            case Discard():
                self._run(check_name(message.name), lambda: proposals.discard(message), message.reply)
            case Sweep():
                self._sweep()
            case KeepHouse(of) if of is self:
                self._keep_house()
            case Tidy(of) if of is self:
                self._tidy()

    def _run(self, name: str, work: Callable[[], Any], reply: Reply[Any]) -> None:
        self._clerk.run(work, reply, key=name)

    def _beside(self, work: Callable[[], None], name: str | None = None) -> None:
        """Work that nobody waits for; there is another time for it if the clerk has no room now."""
        with contextlib.suppress(HiveError):
            self._clerk.run(work, key=name)

    def _retag(self, views: Iterable[ApprovalView]) -> None:
        for view in views:
            self._beside(lambda view=view: self._proposals.retag([view]), view.agent)  # type: ignore[misc]  # binds

    def _whose(self, id: int) -> str:
        return self._database.reader().approvals.known(id).agent

    def _sweep_in(self, ttl: float | None) -> None:
        if ttl is not None:
            self._timers.after(ttl + 0.05, lambda: self.address.tell(Sweep()))

    def _sweep(self) -> None:
        self._cancel()
        self._store.tell(Write(questions.expire))
        reader = self._database.reader()
        for view in reader.approvals.due(self._now()):
            self._beside(lambda id=view.id: self._proposals.expire(id), view.agent)  # type: ignore[misc]  # binds
        due = [reader.questions.next_deadline(), reader.approvals.next_deadline()]
        waits = [(moment - self._now()).total_seconds() for moment in due if moment is not None]
        wait = min(_SWEEP, max(1.0, min(waits, default=_SWEEP)))
        self._cancel = self._timers.after(wait, lambda: self.address.tell(Sweep()))

    def _keep_house(self) -> None:
        def next_time(more: bool) -> None:
            wait = 0.0 if more else HOUSEKEEPING
            self._timers.after(wait, lambda: self.address.tell(KeepHouse(self)))

        self._store.tell(Write(lambda tx: prune(tx, self._kept), Call(next_time, lambda _: next_time(False))))

    def _tidy(self) -> None:
        self._beside(self._proposals.tidy)
        self._retag(self._proposals.doubtful())
        self._timers.after(TIDYING, lambda: self.address.tell(Tidy(self)))
