"""Proposals: how approvals and drafts are carried out, in the clerk's threads. The record decides, tags follow."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from hyperhive.actors import approving
from hyperhive.actors.address import Address
from hyperhive.actors.desk import Desk
from hyperhive.actors.entry import show_kept
from hyperhive.actors.layout import Layout
from hyperhive.actors.measure import measure
from hyperhive.actors.petitions import Decide, Discard, Draft, Submit, Withdraw
from hyperhive.actors.questions import check_note, check_ttl
from hyperhive.actors.removal import SetAside, remove_tree
from hyperhive.actors.reply import Call, Waiter
from hyperhive.actors.store import Write
from hyperhive.actors.tagging import amiss, image, remake
from hyperhive.domain.approvals import Kind, State, advance
from hyperhive.domain.names import SYSTEM, check_name
from hyperhive.domain.views import ApprovalView, DraftView
from hyperhive.errors import HiveError, Invalid, Refused
from hyperhive.repos.repositories import Repositories
from hyperhive.repos.values import Pinned
from hyperhive.store.database import Database, Tx

log = logging.getLogger(__name__)

T = TypeVar("T")

_DURABLE = 30.0
"""Seconds that a transaction may take before whoever asked hears that nobody knows."""
_MEASURING = 6.0
"""Seconds of a minute that go into measuring drafts."""
_MAX_DOUBTFUL = 1_000
_COMPARED = 200
"""How many of the newest ended approvals are compared with their tags when a daemon starts."""
_STATES = {"approve": State.APPROVED, "deny": State.DENIED, "revise": State.REVISE}


class Proposals:
    """What waits for the operator, from submission to decision. All calls block; one name at a time.

    Args:
        check: refuses a config that cannot work here.
        enter: records a new agent, for whom it was asked. adopt: starts its actor, once that is durable.
        rebuild: tells an agent's actor that there is something approved to be built.
        doubtful: approvals whose tags may not be what their rows say; builds add to it.
    """

    def __init__(
        self,
        *,
        repos: Repositories,
        store: Address,
        database: Database,
        layout: Layout,
        desk: Desk,
        now: Callable[[], datetime],
        check: Callable[[str], object],
        enter: Callable[[Tx, str, str], object],
        adopt: Callable[[str], None],
        rebuild: Callable[[str, str], None],
        doubtful: set[int],
    ) -> None:
        self._repos = repos
        self._store = store
        self._database = database
        self._layout = layout
        self._desk = desk
        self._now = now
        self._check_config = check
        self._enter, self._adopt = enter, adopt
        self._rebuild = rebuild
        self._measured: dict[str, float] = {}  # when each draft was, by the monotonic clock
        self._doubtful = doubtful

    # -- submitting

    def check(self, submit: Submit) -> None:
        """Refuse what is malformed, before anything is looked at."""
        check_name(submit.name)
        check_note(submit.note)
        check_ttl(submit.ttl)
        if (submit.commit is None) is not (submit.kind is Kind.SPAWN):
            raise Invalid("Name the commit for spawn-commit and apply-commit, and none for spawn.")

    def submit(self, submit: Submit) -> ApprovalView:
        """Pin the commit and enter the request; when this returns it is tagged."""
        name, reader = submit.name, self._database.reader()
        agent = approving.check_target(reader, submit.kind, name)
        if submit.kind is Kind.SPAWN_COMMIT:
            self._measure(name)
        pinned = self._pinned(submit)
        sha = pinned.sha if pinned is not None else None
        if (waits := approving.same(reader, submit.kind, name, sha)) is not None:
            return waits
        base = (agent.built_commit or None) if agent is not None else None
        stat = self._repos.stat(name, base, sha) if sha is not None else (0, 0, 0)
        older = reader.approvals.pending_for(name)
        for view in older:
            self._foretell(view, State.SUPERSEDED, submit.by, approving.SUPERSEDED)
        summary, olds = pinned.summary if pinned is not None else "", {view.id for view in older}
        try:
            view, _ = self._write(
                lambda tx: approving.submit(tx, submit, sha=sha, summary=summary, stat=stat),
                lambda entered: self._doubtful.update(olds, {entered[0].id}),
            )
        except HiveError:
            self.retag(older)
            raise
        self._doubtful -= olds
        self.retag([view])
        return view

    def _pinned(self, submit: Submit) -> Pinned | None:
        """The commit that is asked for, checked; ``None``: the first config of a new agent."""
        if submit.commit is not None:
            pinned = self._repos.pin(submit.name, submit.commit)
        elif self._database.reader().agents.kept_since(submit.name) is not None:
            last = self._repos.main(submit.name) or self._repos.first(submit.name)
            if last is None:
                return None
            pinned = self._repos.check(submit.name, last)
        else:
            return None
        self._check_config(pinned.config)
        return pinned

    # -- deciding

    def decide(self, decide: Decide) -> ApprovalView:
        """Decide an approval, once; what was approved is on its way when this returns."""
        view = self._waiting(decide.id)
        to = _STATES[decide.decision]
        advance(view.id, view.state, to, by=view.by, when=view.decided)
        check_note(decide.note)
        if to is State.REVISE and not decide.note.strip():
            raise Invalid(
                "Say in a note what to change, so that the manager can act on it.", code="note-missing"
            )
        if to is State.APPROVED:
            self._check_again(view)

        def op(tx: Tx) -> ApprovalView:
            done = approving.resolve(tx, view.id, to, by=decide.by, where=decide.where, note=decide.note)
            if to is State.APPROVED:
                self._carry_out(tx, done, decide.by)
            return done

        def begin(decided: ApprovalView) -> None:
            if to is State.APPROVED and decided.kind is Kind.APPLY_COMMIT:
                self._rebuild(decided.agent, decide.by)
            elif to is State.APPROVED:
                self._adopt(decided.agent)

        return self._settle(view, to, decide.by, decide.note, op, begin)

    def _check_again(self, view: ApprovalView) -> None:
        """What was fine when it was submitted need not be now."""
        try:
            approving.check_target(self._database.reader(), view.kind, view.agent)
            if view.sha is not None:
                self._check_config(self._repos.check(view.agent, view.sha).config)
        except Refused as refusal:
            raise Refused(
                f"Approval {view.id} cannot be carried out and waits on: {refusal.message}", code=refusal.code
            ) from None

    def _carry_out(self, tx: Tx, view: ApprovalView, by: str) -> None:
        approving.check_target(tx, view.kind, view.agent)
        if view.kind is Kind.SPAWN_COMMIT:
            tx.drafts.take_up(view.agent, view.id)
            approving.show_drafts(tx)
        if view.kind is not Kind.APPLY_COMMIT:
            self._enter(tx, view.agent, by)

    def withdraw(self, withdraw: Withdraw) -> ApprovalView:
        """Take a request back for who made it."""
        view = self._waiting(withdraw.id)
        approving.check_withdrawal(view, withdraw.by)
        advance(view.id, view.state, State.WITHDRAWN, by=view.by, when=view.decided)
        by, where = withdraw.by, withdraw.where

        def op(tx: Tx) -> ApprovalView:
            return approving.resolve(tx, view.id, State.WITHDRAWN, by=by, where=where)

        return self._settle(view, State.WITHDRAWN, by, "", op)

    def expire(self, id: int) -> None:
        """Close a request whose deadline has come, if it still waits."""
        view = self._database.reader().approvals.get(id)
        if view is not None and view.state is State.PENDING:
            self._settle(view, State.EXPIRED, SYSTEM, approving.EXPIRED, lambda tx: approving.expire(tx, id))

    # -- drafts

    def draft(self, draft: Draft) -> DraftView:
        """Make a draft; when this returns the manager has it before it."""
        name = draft.name
        approving.check_draft(self._database.reader(), name)
        self._make_folders(name)

        def op(tx: Tx) -> DraftView:
            view = approving.draft(tx, name, draft.by)
            if view.kept:
                show_kept(tx, self._layout)
            return view

        view = self._write(op)
        self._make_folders(name)  # what was kept may have been purged until then
        self._desk.refresh()
        self._measure(name)
        return self._database.reader().drafts.get(name) or view

    def _make_folders(self, name: str) -> None:
        paths = self._layout.agent(name)
        for folder in (paths.root.parent, paths.root, paths.state):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._repos.prepare(name, first=False)

    def discard(self, discard: Discard) -> DraftView:
        """Take a draft away with its folders; those of a kept name are kept again."""
        name = discard.name
        waiting = self._database.reader().approvals.pending_for(name)
        root = self._layout.agent(name).root
        aside = SetAside(root, root.with_name(f".discarded-{name}"))
        if aside.place.exists():  # what a daemon died over
            remove_tree(aside.place)

        def op(tx: Tx) -> DraftView:
            view = approving.discard(tx, name, discard.by)
            if view.kept:
                show_kept(tx, self._layout)
            else:
                aside.move()
            return view

        try:
            view = self._write(op)
        except HiveError as error:
            aside.undo(error)  # where nobody knows, the next daemon does
            raise
        self._desk.refresh()
        if view.kept:
            self.retag(waiting)
        elif aside.moved:
            remove_tree(aside.place)
        return view

    def tidy(self) -> None:
        """Measure the drafts for a bounded time, however full they are, those first that wait for longest."""
        names = [view.name for view in self._database.reader().drafts.all()]
        self._measured = {name: self._measured.get(name, 0.0) for name in names}
        until = time.monotonic() + _MEASURING
        for name in sorted(names, key=self._measured.__getitem__):
            self._measure(name)
            self._measured[name] = time.monotonic()
            if self._measured[name] > until:
                break

    def _measure(self, name: str) -> None:
        view = self._database.reader().drafts.get(name)
        size = measure(self._layout.agent(name).root)
        if view is None or view.size == size:
            return

        def op(tx: Tx) -> None:
            tx.drafts.measure(name, size)
            approving.show_drafts(tx)

        self._write(op)

    # -- recovering

    def recover(self) -> None:
        """Make good what an earlier daemon may have left half done: drafts' folders, what was discarded."""
        agents = self._layout.home / "agents"
        for view in self._database.reader().drafts.all():
            root = self._layout.agent(view.name).root
            moved = root.with_name(f".discarded-{view.name}")
            if not root.exists() and moved.exists():
                moved.rename(root)
            try:
                self._make_folders(view.name)
            except (HiveError, OSError):
                log.exception("The draft %s cannot be made whole.", view.name)
        for left in agents.glob(".discarded-*"):
            remove_tree(left)
        self._desk.refresh()

    # -- the record and its image

    def compare(self) -> None:
        """Make the newest ended approvals' tags where they are not what their rows say: a daemon may have died."""
        for view in amiss(self._layout, self._database.reader().approvals.decided(None, _COMPARED)):
            self.retag([view])
            self._doubtful.discard(view.id)  # tried once: an earlier one of that name may have had the commit

    def _waiting(self, id: int) -> ApprovalView:
        """An approval to be decided; one that is overdue is closed first, for the clock may have been set forward."""
        view = self._database.reader().approvals.known(id)
        if view.deadline is not None and view.deadline <= self._now():
            self.expire(id)
        return self._database.reader().approvals.known(id)

    def _settle(
        self,
        view: ApprovalView,
        to: State,
        by: str,
        note: str,
        op: Callable[[Tx], T],
        then: Callable[[T], None] = lambda _: None,
    ) -> T:
        """Change a row, its tags ahead of it: whoever hears of the change finds them.

        What cannot be tagged cannot be approved; all else must not wait for a repository that is damaged.

        Args:
            then: see ``_write``.
        """
        tagged = True
        try:
            self._foretell(view, to, by, note)
        except HiveError as error:
            if to is State.APPROVED:
                raise
            tagged = False
            self._doubt(view.id, error)

        def recorded(value: T) -> None:
            self._doubtful.add(view.id)
            then(value)

        try:
            value = self._write(op, recorded)
        except HiveError:
            self.retag([view])
            raise
        if tagged:
            self._doubtful.discard(view.id)
        return value

    def _foretell(self, view: ApprovalView, to: State, by: str, note: str) -> None:
        ahead = replace(view, state=to, by=by, note=note, decided=self._now())
        make, drop = image(ahead)
        if make:
            self._repos.tag(view.agent, make=make, drop=drop)

    def _doubt(self, id: int, error: HiveError) -> None:
        log.warning("Approval %d is not tagged as it is recorded, and will be tried again: %s", id, error)
        if len(self._doubtful) < _MAX_DOUBTFUL:
            self._doubtful.add(id)

    def doubtful(self) -> tuple[ApprovalView, ...]:
        """Approvals whose tags may not be what their rows say; ``retag`` makes them."""
        found = map(self._database.reader().approvals.get, list(self._doubtful))
        return tuple(view for view in found if view is not None)

    def retag(self, views: Iterable[ApprovalView]) -> None:
        """Make tags as the rows are now; what cannot be made is tried again in a while.

        Those of what was approved are the build's, which begins by making them.
        """
        for view in views:
            row = self._database.reader().approvals.get(view.id)
            if row is not None and row.state in (State.APPROVED, State.BUILDING):
                continue
            self._doubtful.discard(view.id)
            try:
                if row is not None:
                    remake(self._repos, row)
            except HiveError as error:
                if self._layout.agent(view.agent).root.exists():  # else they are gone with the agent
                    self._doubt(view.id, error)

    def retag_last(self, name: str) -> None:
        """Make the tags of a name's newest approval: something else may have settled it."""
        if (view := self._database.reader().approvals.last_of(name)) is not None:
            self.retag([view])

    def _write(self, op: Callable[[Tx], T], then: Callable[[T], None] = lambda _: None) -> T:
        """What a transaction gave. ``then``: called once it is durable, also if that is after the deadline."""
        reply: Waiter[T] = Waiter()

        def durable(value: T) -> None:
            then(value)
            reply.set(value)

        self._store.tell(Write(op, Call(durable, reply.fail)))
        return reply.get(_DURABLE)
