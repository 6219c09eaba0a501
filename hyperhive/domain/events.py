"""HelperEvents: what happened to an agent. The names and fields are fixed; ``docs/events.md`` lists them."""

from typing import Annotated, Literal

from pydantic import Field

from hyperhive.domain.value import Value


class HelperEvent(Value):
    """Base of all events.

    ``kind`` names the event on every stream; ``agent`` is whom it is about, ``None`` for the hive itself. The
    order of a class's fields is their order in the envelope.
    """

    kind: str
    agent: str | None = None


class Spawned(HelperEvent):
    kind: Literal["spawned"] = "spawned"
    ok: bool
    note: str = ""


class Started(HelperEvent):
    kind: Literal["started"] = "started"


class Stopped(HelperEvent):
    kind: Literal["stopped"] = "stopped"
    by: str


class Rebuilt(HelperEvent):
    kind: Literal["rebuilt"] = "rebuilt"
    ok: bool
    revision: str = ""
    note: str = ""


class Destroyed(HelperEvent):
    kind: Literal["destroyed"] = "destroyed"


class ContainerCrash(HelperEvent):
    kind: Literal["container_crash"] = "container_crash"
    note: str = ""
    exit: str | None = None


class NeedsLogin(HelperEvent):
    kind: Literal["needs_login"] = "needs_login"


class LoggedIn(HelperEvent):
    kind: Literal["logged_in"] = "logged_in"


class NeedsUpdate(HelperEvent):
    kind: Literal["needs_update"] = "needs_update"
    recorded: str
    current: str


class AgentRecovered(HelperEvent):
    kind: Literal["agent_recovered"] = "agent_recovered"
    attempt: int
    error: str


class AgentQuarantined(HelperEvent):
    kind: Literal["agent_quarantined"] = "agent_quarantined"
    error: str


class TransientSet(HelperEvent):
    kind: Literal["transient_set"] = "transient_set"
    transient: str


class TransientCleared(HelperEvent):
    kind: Literal["transient_cleared"] = "transient_cleared"


class Paused(HelperEvent):
    kind: Literal["paused"] = "paused"


class Resumed(HelperEvent):
    kind: Literal["resumed"] = "resumed"


class ApprovalRequested(HelperEvent):
    """``approval`` holds the kind of the approval: ``kind`` is taken by the envelope. ``sha``: the pinned commit."""

    kind: Literal["approval_requested"] = "approval_requested"
    id: int
    approval: str
    sha: str | None = None


class ApprovalResolved(HelperEvent):
    kind: Literal["approval_resolved"] = "approval_resolved"
    id: int
    approval: str
    decision: str
    sha: str | None = None
    tag: str | None = None
    note: str = ""
    by: str = ""
    where: str = ""


class DraftCreated(HelperEvent):
    kind: Literal["draft_created"] = "draft_created"
    by: str = ""


class DraftDiscarded(HelperEvent):
    kind: Literal["draft_discarded"] = "draft_discarded"
    by: str = ""


class ConfigApplied(HelperEvent):
    """What the agent is built from is now the commit ``sha``; ``tag`` is empty where no approval led to it."""

    kind: Literal["config_applied"] = "config_applied"
    sha: str
    tag: str = ""


class McpServerFailed(HelperEvent):
    """An MCP server of the agent's config did not start."""

    kind: Literal["mcp_server_failed"] = "mcp_server_failed"
    server: str
    error: str = ""


class Audit(HelperEvent):
    """A command of the operator's, written down before it is carried out; what follows tells what came of it.

    ``where``: the door it came through and from which address.
    """

    kind: Literal["audit"] = "audit"
    action: str
    by: str
    where: str = ""
    note: str = ""


class QuestionAsked(HelperEvent):
    kind: Literal["question_asked"] = "question_asked"
    id: int


class QuestionAnswered(HelperEvent):
    kind: Literal["question_answered"] = "question_answered"
    id: int
    answer: str
    by: str


class MessageSent(HelperEvent):
    """``from`` is a keyword in Python; the envelope spells it as fixed."""

    kind: Literal["message_sent"] = "message_sent"
    id: int
    sender: str = Field(serialization_alias="from", validation_alias="from")
    to: str


class MessageDelivered(HelperEvent):
    kind: Literal["message_delivered"] = "message_delivered"
    id: int


class TurnStarted(HelperEvent):
    kind: Literal["turn_started"] = "turn_started"
    turn: int
    sender: str = Field(serialization_alias="from", validation_alias="from")


class TurnEnded(HelperEvent):
    kind: Literal["turn_ended"] = "turn_ended"
    turn: int
    ok: bool
    note: str = ""


AnyEvent = Annotated[
    Spawned
    | Started
    | Stopped
    | Rebuilt
    | Destroyed
    | ContainerCrash
    | NeedsLogin
    | LoggedIn
    | NeedsUpdate
    | AgentRecovered
    | AgentQuarantined
    | TransientSet
    | TransientCleared
    | Paused
    | Resumed
    | ApprovalRequested
    | ApprovalResolved
    | DraftCreated
    | DraftDiscarded
    | ConfigApplied
    | McpServerFailed
    | Audit
    | QuestionAsked
    | QuestionAnswered
    | MessageSent
    | MessageDelivered
    | TurnStarted
    | TurnEnded,
    Field(discriminator="kind"),
]
