"""What is recorded of an operation, in the transaction in which it begins or ends."""

from hyperhive.actors.approving import back_to_draft, withdraw_all
from hyperhive.actors.builder import Generation
from hyperhive.actors.job import Job
from hyperhive.actors.questions import cancel_all
from hyperhive.domain.approvals import Kind, State
from hyperhive.domain.axes import Transient
from hyperhive.domain.events import ConfigApplied
from hyperhive.domain.operations import outcome
from hyperhive.domain.records import FAILED_BUILD, AgentRecord
from hyperhive.domain.views import ApprovalView
from hyperhive.store.database import Tx


def record_begin(tx: Tx, job: Job) -> None:
    """The approval that a Job carries out is being built.

    Raises:
        Refused: it has ended meanwhile.
    """
    if job.approval is not None:
        job.approval = tx.approvals.step(job.approval.id, State.BUILDING)


def record_end(
    tx: Tx, name: str, job: Job, *, ok: bool, note: str, made: Generation | None
) -> ApprovalView | None:
    """What came of a Job: its approval's end, and the generation it made.

    Returns:
        The approval, ended; ``None``: there is none, or it had ended before.
    """
    view = None if job.approval is None else tx.approvals.get(job.approval.id)
    if view is not None and view.state is State.BUILDING:
        sha = made.commit if made is not None else None
        to = State.DEPLOYED if ok else State.FAILED
        view = tx.approvals.step(view.id, to, outcome="" if ok else note, sha=sha)
    if made is not None and not made.again:
        tx.generations.insert(
            name,
            made.number,
            by=job.by,
            revision=made.revision,
            commit=made.commit,
            summary=made.summary,
            config=made.config,
            model=made.model,
            warnings=made.warnings,
            approval=None if view is None else view.id,
        )
    return view


def ended(record: AgentRecord, *, ok: bool, note: str, made: Generation | None) -> AgentRecord:
    """The agent's row after an operation, which its transient still names."""
    error = f"{FAILED_BUILD}{note}" if record.transient is Transient.REBUILDING else note
    record = record._replace(
        transient=None,
        transient_since=None,
        transient_by=None,
        transient_generation=None,
        last_error=None if ok else error,
    )
    if made is None:
        return record
    return record._replace(
        generation=made.number,
        built_revision=made.revision,
        built_config=made.config,
        built_commit=made.commit,
        warnings=made.warnings,
        model=made.model,
    )


def applied(record: AgentRecord, job: Job, made: Generation | None) -> ConfigApplied | None:
    """Which commit the agent is built from now, where that changed; ``record`` is as it was before."""
    if made is None:
        return None
    if job.approval is not None:
        return ConfigApplied(agent=record.name, sha=made.commit, tag=f"deployed/{job.approval.id}")
    if not record.built_commit or made.commit == record.built_commit:
        return None
    tag = f"deployed/{made.approval}" if made.approval is not None else ""
    return ConfigApplied(agent=record.name, sha=made.commit, tag=tag)


def is_first_build(job: Job, record: AgentRecord) -> bool:
    """Whether a Job is the first build of a draft: if it fails there is no agent."""
    approval = job.approval
    return (
        job.kind is Transient.SPAWNING
        and approval is not None
        and approval.kind is Kind.SPAWN_COMMIT
        and record.generation == 0
    )


def record_unborn(tx: Tx, name: str, job: Job, note: str) -> list[ApprovalView]:
    """The first build of a draft failed: it is a draft again. The approvals whose tags may be behind."""
    view = record_end(tx, name, job, ok=False, note=note, made=None)
    others = withdraw_all(tx, name, "the agent could not be built")
    end_agent(tx, name, keep=False)
    if view is not None:
        back_to_draft(tx, view.id)
    for event in outcome(name, job.kind, ok=False, note=note, by=job.by, revision=""):
        tx.emit(event)
    return others if view is None else [view, *others]


def end_agent(tx: Tx, name: str, *, keep: bool, size: int | None = None) -> None:
    """Take an agent out of the hive: its mail is dropped, its questions are closed, its row is ended.

    Args:
        size: bytes of what is kept.
    """
    tx.messages.drop(name)
    tx.turns.drop(name)
    cancel_all(tx, name)
    tx.agents.remove(name, keep, size)
