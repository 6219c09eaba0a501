"""Approvals and drafts: the rules that hold in the transaction. What is slow is done before, beside it."""

from datetime import timedelta
from typing import Protocol

from hyperhive.domain.approvals import Kind, State, goes_on
from hyperhive.domain.axes import Transient
from hyperhive.domain.events import ApprovalRequested, ApprovalResolved, DraftCreated, DraftDiscarded
from hyperhive.domain.names import OPERATOR, SYSTEM
from hyperhive.domain.parts import Approvals, Drafts
from hyperhive.domain.records import AgentRecord
from hyperhive.domain.views import ApprovalView, DraftView
from hyperhive.errors import Refused, Unknown
from hyperhive.store.agents import AgentReads
from hyperhive.store.approvals import ApprovalReads
from hyperhive.store.database import Tx
from hyperhive.store.drafts import DraftReads

MAX_PENDING = 50
"""Approvals that may wait for the operator."""
MAX_DRAFTS = 50
"""Drafts of one hive."""

EXPIRED = "expired undecided"
SUPERSEDED = "superseded by a newer submission"


class Records(Protocol):
    """What the rules read: a reader before the transaction, the transaction itself in it."""

    @property
    def agents(self) -> AgentReads: ...
    @property
    def approvals(self) -> ApprovalReads: ...
    @property
    def drafts(self) -> DraftReads: ...


class Proposal(Protocol):
    """What is asked for, as far as the rules go; see ``gatekeeper.Submit``."""

    @property
    def kind(self) -> Kind: ...
    @property
    def name(self) -> str: ...
    @property
    def by(self) -> str: ...
    @property
    def note(self) -> str: ...
    @property
    def ttl(self) -> float | None: ...


def check_target(records: Records, kind: Kind, name: str) -> AgentRecord | None:
    """Whether there is what the approval is about.

    Returns:
        The agent that gets another config; ``None`` for an agent to be.

    Raises:
        Refused: with what there is instead, and what to do.
    """
    agent, draft = records.agents.get(name), records.drafts.get(name)
    if kind is Kind.APPLY_COMMIT:
        if agent is None:
            what = "it is a draft: use request_spawn_commit" if draft else "spawn it first"
            raise Refused(f"There is no agent '{name}'; {what}.", code="unknown-agent")
        if agent.transient is Transient.DESTROYING:
            raise Refused(f"'{name}' is being destroyed.", code="destroying")
        return agent
    if agent is not None:
        how = "choose another name, or propose a change of its config"
        raise Refused(f"There is an agent '{name}' already; {how}.", code="exists")
    if kind is Kind.SPAWN and draft is not None:
        raise Refused(
            f"There is a draft '{name}'; submit a commit of it, or discard it first.", code="draft-exists"
        )
    if kind is Kind.SPAWN_COMMIT and draft is None:
        raise Refused(
            f"There is no draft '{name}'; make one first: request_spawn_draft.", code="unknown-draft"
        )
    return None


def same(records: Records, kind: Kind, name: str, sha: str | None) -> ApprovalView | None:
    """The pending request for the very same, if there is one.

    Raises:
        Refused: that commit runs already, or is approved and about to.
    """
    for view in records.approvals.pending_for(name):
        if (view.kind, view.sha) == (kind, sha):
            return view
    agent = records.agents.get(name)
    if agent is None or kind is not Kind.APPLY_COMMIT or sha is None:
        return None
    if any(view.sha == sha for view in records.approvals.unended_for(name)):
        raise Refused(f"Commit {sha[:12]} of '{name}' is approved and being built.", code="being-built")
    if agent.built_commit == sha:
        raise Refused(f"Commit {sha[:12]} is what '{name}' runs already; nothing would change.", code="runs")
    return None


def submit(
    tx: Tx, proposal: Proposal, *, sha: str | None, summary: str, stat: tuple[int, int, int]
) -> tuple[ApprovalView, bool]:
    """Enter a request; older ones for the same agent are superseded by it.

    Returns:
        The request, and whether it is a new one: for the same as one that waits, that one is returned.
    """
    kind, name = proposal.kind, proposal.name
    agent = check_target(tx, kind, name)
    if (waits := same(tx, kind, name, sha)) is not None:
        return waits, False
    older = tx.approvals.pending_for(name)
    if len(tx.approvals.pending()) - len(older) >= MAX_PENDING:
        raise Refused(
            f"{MAX_PENDING} requests wait for the operator already; wait for answers.", code="too-many"
        )
    last = older[-1] if older else tx.approvals.last_of(name)
    for view in older:
        resolve(tx, view.id, State.SUPERSEDED, by=proposal.by, note=SUPERSEDED)
    view = tx.approvals.insert(
        kind,
        name,
        proposal.by,
        sha=sha,
        summary=summary,
        description=proposal.note,
        thread=last.thread if last is not None and goes_on(last.state, last.kind, kind) else None,
        base=(agent.built_commit or None) if agent is not None else None,
        deadline=tx.now + timedelta(seconds=proposal.ttl) if proposal.ttl is not None else None,
        **dict(zip(("files", "added", "removed"), stat, strict=True)),
    )
    tx.emit(ApprovalRequested(agent=name, id=view.id, approval=kind.value, sha=sha))
    show(tx)
    return view, True


def resolve(tx: Tx, id: int, to: State, *, by: str, where: str = "", note: str = "") -> ApprovalView:
    """Decide a pending approval, whoever does, and tell it once.

    Raises:
        Refused: it does not wait any more; names who decided what and when.
        Unknown: there is no such approval.
    """
    view = tx.approvals.step(id, to, by=by, where=where, note=note)
    tx.emit(
        ApprovalResolved(
            agent=view.agent,
            id=id,
            approval=view.kind.value,
            decision=to.value,
            sha=view.sha,
            tag=f"{to.value}/{id}" if view.sha is not None else None,
            note=note,
            by=by,
            where=where,
        )
    )
    show(tx)
    return view


def check_withdrawal(view: ApprovalView, by: str) -> None:
    """Refuse to take back what another asked for.

    Raises:
        Refused: naming who asked.
    """
    if view.requested_by != by:
        instead = "deny it instead" if by == OPERATOR else "ask the operator"
        raise Refused(
            f"Approval {view.id} was requested by {view.requested_by}, who alone can withdraw it; {instead}.",
            code="not-yours",
        )


def expire(tx: Tx, id: int) -> ApprovalView | None:
    """Close a pending approval whose deadline has come; ``None``: nothing was to be done."""
    if not any(view.id == id for view in tx.approvals.due(tx.now)):
        return None
    return resolve(tx, id, State.EXPIRED, by=SYSTEM, note=EXPIRED)


def withdraw_all(tx: Tx, name: str, why: str) -> list[ApprovalView]:
    """End what waits or was approved for ``name``: there is nothing left that it could be done to.

    Args:
        why: one sentence, e.g. ``the agent was destroyed``.

    Returns:
        Those that ended; their tags are to be made again (``tagging.remake``) while there is a repository.
    """
    ended = [
        resolve(tx, view.id, State.WITHDRAWN, by=SYSTEM, note=why) for view in tx.approvals.pending_for(name)
    ]
    # Told when they were decided; what comes of them is their row's.
    for view in tx.approvals.unended_for(name):
        ended.append(tx.approvals.step(view.id, State.FAILED, outcome=why))
    return ended


def back_to_draft(tx: Tx, approval: int) -> DraftView | None:
    """After the first build of an approved spawn-commit failed and its agent's row is ended: a draft again.

    Returns:
        The draft; ``None`` when that approval took none up, and nothing was changed.
    """
    draft = tx.drafts.give_back(approval)
    if draft is not None:
        show_drafts(tx)
    return draft


def check_draft(records: Records, name: str) -> None:
    """Whether a draft of that name can be made.

    Raises:
        Refused: with what is in the way.
    """
    if records.agents.get(name) is not None:
        how = "edit its config, commit, and propose that commit"
        raise Refused(f"There is an agent '{name}' already; {how}.", code="exists")
    if records.drafts.get(name) is not None:
        raise Refused(
            f"There is a draft '{name}' already; edit it, commit, and propose that commit.",
            code="draft-exists",
        )
    if waits := records.approvals.pending_for(name):
        raise Refused(
            f"A request for '{name}' waits for the operator (approval {waits[0].id}); withdraw it first.",
            code="pending",
        )
    if len(records.drafts.all()) >= MAX_DRAFTS:
        raise Refused(f"There are {MAX_DRAFTS} drafts already; discard one first.", code="too-many-drafts")


def draft(tx: Tx, name: str, by: str) -> DraftView:
    """Enter a draft; the folders of a kept name become its own until it is discarded."""
    check_draft(tx, name)
    view = tx.drafts.insert(name, by, kept=tx.agents.kept_since(name) is not None)
    tx.emit(DraftCreated(agent=name, by=by))
    show_drafts(tx)
    return view


def discard(tx: Tx, name: str, by: str) -> DraftView:
    """Take a draft away; what waits about it is withdrawn. One that was an agent once is kept again.

    Raises:
        Unknown: there is no draft of that name.
    """
    if tx.drafts.get(name) is None:
        known = ", ".join(view.name for view in tx.drafts.all()) or "none"
        raise Unknown(f"There is no draft '{name}'; there are: {known}.", code="unknown-draft")
    withdraw_all(tx, name, "the draft was discarded")
    view = tx.drafts.remove(name)
    if not view.kept:
        tx.generations.forget(name)
    tx.emit(DraftDiscarded(agent=name, by=by))
    show_drafts(tx)
    return view


def show(tx: Tx) -> None:
    """Show what waits for the operator, anew."""
    tx.show_whole(Approvals, lambda: Approvals(tuple(tx.approvals.pending())))


def show_drafts(tx: Tx) -> None:
    """Show the drafts, anew."""
    tx.show_whole(Drafts, lambda: Drafts(tuple(tx.drafts.all())))
