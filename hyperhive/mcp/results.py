"""What the tools return: typed, so that a client gets structured content with a schema."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hyperhive.domain.approvals import tags
from hyperhive.domain.messages import Message
from hyperhive.domain.names import OPERATOR
from hyperhive.domain.views import AgentView, ApprovalView, DraftView, QuestionView
from hyperhive.hive import Operated


class Result(BaseModel):
    """Base of all results."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Sent(Result):
    """A message that is durable."""

    id: int
    to: str


class Letter(Result):
    """A message as its recipient reads it."""

    id: int
    sender: str = Field(alias="from")
    body: str
    ts: datetime

    @classmethod
    def of(cls, message: Message) -> "Letter":
        """The letter that ``message`` is to its recipient."""
        return cls(id=message.id, sender=message.sender, body=message.body, ts=message.ts)


class Received(Result):
    """What was unread, oldest first; empty when nothing came in time."""

    messages: tuple[Letter, ...]


class Asked(Result):
    """A question that waits for the operator; ``deadline`` is when it closes unanswered."""

    id: int
    deadline: datetime | None

    @classmethod
    def of(cls, question: QuestionView) -> "Asked":
        """The receipt for ``question``."""
        return cls(id=question.id, deadline=question.deadline)


class Me(Result):
    """Who the caller is. ``unread`` counts the messages in the inbox."""

    name: str
    role: Literal["agent", "manager", "operator"]
    hive: str
    unread: int


class AgentStatus(Result):
    """One agent's three axes, what is under way with it, and what troubles it.

    ``generation`` and ``commit``: what its container runs. ``warnings``: what of its config does not hold.
    """

    name: str
    role: Literal["agent", "manager"]
    container: str
    login: str
    revision: str
    transient: str | None
    paused: bool
    quarantined: str | None
    turn: str
    unread: int
    model: str
    generation: int
    commit: str
    warnings: tuple[str, ...]
    last_error: str | None

    @classmethod
    def of(cls, agent: AgentView) -> "AgentStatus":
        """What a fleet's manager needs of ``agent``."""
        return cls(
            name=agent.name,
            role=agent.role,
            container=agent.container,
            login=agent.login,
            revision=agent.revision,
            transient=agent.transient,
            paused=agent.paused,
            quarantined=agent.quarantined,
            turn=agent.turn.state.value,
            unread=agent.inbox_depth,
            model=agent.model,
            generation=agent.generation,
            commit=agent.commit,
            warnings=agent.warnings,
            last_error=agent.last_error,
        )


class Agents(Result):
    """All agents of the hive."""

    agents: tuple[AgentStatus, ...]


class Operation(Result):
    """How an operation ended. ``ok`` is null while it is still under way as ``transient``."""

    agent: str
    ok: bool | None
    transient: str | None
    note: str

    @classmethod
    def of(cls, operated: Operated) -> "Operation":
        """The report on ``operated``."""
        return cls(agent=operated.agent, ok=operated.ok, transient=operated.transient, note=operated.note)


class Request(Result):
    """A request for a change, as it stands.

    ``sha``: the pinned commit; ``tag``: what it is called in ``applied`` now. ``thread``: id of the first of its
    thread. ``note``: what the decision said; ``outcome``: why its build failed.
    """

    id: int
    kind: str
    agent: str
    state: str
    sha: str | None
    tag: str | None
    summary: str
    thread: int
    requested_by: str
    requested: datetime
    deadline: datetime | None
    note: str
    by: str | None
    decided: datetime | None
    outcome: str

    @classmethod
    def of(cls, approval: ApprovalView) -> "Request":
        """What its proposer needs of ``approval``."""
        return cls(
            id=approval.id,
            kind=approval.kind,
            agent=approval.agent,
            state=approval.state,
            sha=approval.sha,
            tag=tags(approval.id, approval.state)[-1] if approval.sha else None,
            summary=approval.summary,
            thread=approval.thread or approval.id,
            requested_by=approval.requested_by,
            requested=approval.requested,
            deadline=approval.deadline,
            note=approval.note,
            by=approval.by,
            decided=approval.decided,
            outcome=approval.outcome,
        )


class Requests(Result):
    """What waits for the operator, and what was decided last."""

    pending: tuple[Request, ...]
    decided: tuple[Request, ...]


class Requested(Result):
    """A request that waits for the operator. ``next`` says what happens then."""

    id: int
    agent: str
    state: str
    sha: str | None
    tag: str | None
    thread: int
    deadline: datetime | None
    next: str

    @classmethod
    def of(cls, approval: ApprovalView, *, supersedes: int | None = None) -> "Requested":
        """The receipt for ``approval``, which took the place of ``supersedes``."""
        seen = Request.of(approval)
        place = f"It takes the place of request {supersedes}, which is superseded. " if supersedes else ""
        return cls(
            id=seen.id,
            agent=seen.agent,
            state=seen.state,
            sha=seen.sha,
            tag=seen.tag,
            thread=seen.thread,
            deadline=seen.deadline,
            next=place
            + (
                f"Decide it on the dashboard, or with: hyperhive approve {seen.id}."
                if seen.requested_by == OPERATOR
                else "The operator decides; the decision comes as a message (approval_resolved). Do not wait for it."
            ),
        )


class Drafted(Result):
    """A draft: the folders to fill, and what to do then."""

    name: str
    config: str
    state: str
    next: str

    @classmethod
    def of(cls, draft: DraftView, *, config: str, state: str, where: str) -> "Drafted":
        """The receipt for ``draft``, whose folders the caller finds as ``config`` and ``state``, ``where``."""
        return cls(
            name=draft.name,
            config=config,
            state=state,
            next=(
                f"Edit agent.toml in {config}{where}, put what the agent shall find into {state}, commit with git, "
                f"then call request_spawn_commit with '{draft.name}' and what git rev-parse HEAD prints."
            ),
        )


class Log(Result):
    """The tail of a container's log. ``cut``: older lines were left out to keep it short."""

    agent: str
    text: str
    cut: bool
