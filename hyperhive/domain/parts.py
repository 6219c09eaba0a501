"""Parts of the snapshot: what a transaction changed of what readers see, handed on when it is committed."""

from dataclasses import dataclass

from hyperhive.domain.views import AgentView, ApprovalView, DraftView, KeptView, MessageView, QuestionView


@dataclass(frozen=True, slots=True)
class InboxDepth:
    """How many messages ``agent`` (or the operator) has not read."""

    agent: str
    depth: int


@dataclass(frozen=True, slots=True)
class Inbox:
    """The operator's inbox: the last messages, newest last, within the store's bounds."""

    messages: tuple[MessageView, ...]


@dataclass(frozen=True, slots=True)
class Questions:
    """All open questions."""

    questions: tuple[QuestionView, ...]


@dataclass(frozen=True, slots=True)
class Approvals:
    """All pending approvals."""

    approvals: tuple[ApprovalView, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """All destroyed agents whose folders were kept."""

    kept: tuple[KeptView, ...]


@dataclass(frozen=True, slots=True)
class Drafts:
    """All drafts."""

    drafts: tuple[DraftView, ...]


@dataclass(frozen=True, slots=True)
class AgentShown:
    """An agent as it is now."""

    view: AgentView


@dataclass(frozen=True, slots=True)
class AgentGone:
    """There is no agent of that name any more."""

    name: str
