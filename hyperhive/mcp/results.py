"""What the tools return: typed, so that a client gets structured content with a schema."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hyperhive.domain.messages import Message
from hyperhive.domain.views import AgentView, ApprovalView, QuestionView
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
    """One agent's three axes, what is under way with it, and what troubles it."""

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


class Requested(Result):
    """An approval that waits for the operator."""

    id: int
    agent: str
    state: str

    @classmethod
    def of(cls, approval: ApprovalView) -> "Requested":
        """The receipt for ``approval``."""
        return cls(id=approval.id, agent=approval.agent, state=approval.state)


class Log(Result):
    """The tail of a container's log. ``cut``: older lines were left out to keep it short."""

    agent: str
    text: str
    cut: bool
