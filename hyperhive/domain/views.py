"""What readers see: immutable views of the hive, replaced and never changed."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from hyperhive.domain.turns import TurnState
from hyperhive.domain.value import Value


class TurnView(Value):
    """The turn loop. ``until``: when a rate limit resets or the next try is due; ``note``: why it waits."""

    state: TurnState = TurnState.IDLE
    since: datetime
    turn: int | None = None
    until: datetime | None = None
    note: str | None = None


class AgentView(Value):
    """An agent in ``/api/state``. ``since``: when its container axis last changed.

    ``container`` is ``unknown`` while it cannot be told. ``ready``: its harness is connected.
    ``attention``: why it needs the operator, worst first; empty when it needs nobody.
    """

    name: str
    role: Literal["manager", "agent"]
    container: Literal["running", "stopped", "unknown"]
    login: Literal["logged-in", "needs-login", "unknown"]
    revision: Literal["up-to-date", "stale", "unknown"]
    transient: str | None = None
    transient_since: datetime | None = None
    paused: bool = False
    quarantined: str | None = None
    turn: TurnView
    inbox_depth: int = 0
    model: str = ""
    recorded_revision: str = ""
    runtime: str = ""
    confined: bool = False
    pid: int | None = None
    ready: bool = False
    last_error: str | None = None
    restart_at: datetime | None = None
    last_activity: datetime | None = None
    since: datetime

    def known(self, *, depth: int, asks: bool) -> "AgentView":
        """This view with what the agent itself does not know.

        Args:
            depth: unread messages in its inbox.
            asks: whether a question of its own is open; at rest it then waits on the operator.
        """
        state = self.turn.state
        if state in (TurnState.IDLE, TurnState.WAITING):
            state = TurnState.WAITING if asks else TurnState.IDLE
        if (self.turn.state, self.inbox_depth) == (state, depth):
            return self
        turn = self.turn.model_copy(update={"state": state})
        return self.model_copy(update={"turn": turn, "inbox_depth": depth})


class QuestionView(Value):
    """A question to the operator. ``deadline``: when it is closed unanswered."""

    id: int
    agent: str
    question: str
    options: tuple[str, ...] = ()
    multi: bool = False
    asked: datetime
    deadline: datetime | None = None
    state: Literal["open", "answered", "cancelled", "expired"] = "open"
    answer: str | None = None
    by: str | None = None


class ApprovalView(Value):
    """A change that waits for the operator."""

    id: int
    kind: Literal["spawn"]
    agent: str
    requested_by: str
    requested: datetime
    state: Literal["pending", "approved", "denied", "revise", "failed"] = "pending"
    note: str = ""
    by: str | None = None


class MessageView(Value):
    """A message in an inbox or a conversation."""

    id: int
    sender: str = Field(serialization_alias="from", validation_alias="from")
    to: str
    body: str
    ts: datetime
    state: str


class KeptView(Value):
    """An agent that was destroyed and whose folders were kept."""

    name: str
    since: datetime
    logged_in: bool = False


class HiveView(Value):
    """The hive itself. ``mode``: rehearsal or live."""

    name: str
    mode: Literal["rehearsal", "live"]
    runtime: str
    confined: bool
    version: str
    started: datetime
    trouble: tuple[str, ...] = ()


class HiveSnapshot(Value):
    """Everything a page shows, as of event ``seq``."""

    version: Literal[1] = 1
    seq: int
    hive: HiveView
    agents: tuple[AgentView, ...] = ()
    approvals: tuple[ApprovalView, ...] = ()
    questions: tuple[QuestionView, ...] = ()
    inbox: tuple[MessageView, ...] = ()
    kept: tuple[KeptView, ...] = ()
    drafts: tuple[Any, ...] = ()

    def agent(self, name: str) -> AgentView | None:
        """The agent called ``name``, if there is one."""
        return next((agent for agent in self.agents if agent.name == name), None)
