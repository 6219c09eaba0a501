"""Parts of the snapshot: what a transaction changed of what readers see, handed on when it is committed."""

from typing import NamedTuple

from hyperhive.domain.views import AgentView, ApprovalView, DraftView, KeptView, MessageView, QuestionView


class InboxDepth(NamedTuple):
    """How many messages ``agent`` (or the operator) has not read."""

    agent: str
    depth: int


class Inbox(NamedTuple):
    """The operator's inbox: the last messages, newest last, within the store's bounds."""

    messages: tuple[MessageView, ...]


class Questions(NamedTuple):
    """All open questions."""

    questions: tuple[QuestionView, ...]


class Approvals(NamedTuple):
    """All pending approvals."""

    approvals: tuple[ApprovalView, ...]


class Kept(NamedTuple):
    """All destroyed agents whose folders were kept."""

    kept: tuple[KeptView, ...]


class Drafts(NamedTuple):
    """All drafts."""

    drafts: tuple[DraftView, ...]


class AgentShown(NamedTuple):
    """An agent as it is now."""

    view: AgentView


class AgentGone(NamedTuple):
    """There is no agent of that name any more."""

    name: str
