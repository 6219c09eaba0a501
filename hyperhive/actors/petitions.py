"""What the Gatekeeper is asked about approvals and drafts."""

from dataclasses import dataclass
from typing import Literal

from hyperhive.actors.reply import IGNORE, Reply
from hyperhive.domain.approvals import Kind
from hyperhive.domain.views import ApprovalView, DraftView


@dataclass(frozen=True, slots=True)
class Submit:
    """Somebody asks for a change that needs an approval.

    Args:
        commit: 7 to 40 hex digits of a commit in ``proposed/``; ``None`` for a spawn.
        note: what the operator should know of it.
        ttl: seconds until it expires undecided; ``None``: never.
    """

    kind: Kind
    name: str
    commit: str | None
    by: str
    note: str = ""
    ttl: float | None = None
    reply: Reply[ApprovalView] = IGNORE


@dataclass(frozen=True, slots=True)
class Decide:
    """The operator decides an approval. ``where``: through which door, see ``origin``."""

    id: int
    decision: Literal["approve", "deny", "revise"]
    note: str
    by: str
    where: str = ""
    reply: Reply[ApprovalView] = IGNORE


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Who asked for a change takes it back."""

    id: int
    by: str
    where: str = ""
    reply: Reply[ApprovalView] = IGNORE


@dataclass(frozen=True, slots=True)
class Draft:
    """Somebody begins an agent to be: its repositories and state folder are made, and the manager sees them."""

    name: str
    by: str
    reply: Reply[DraftView] = IGNORE


@dataclass(frozen=True, slots=True)
class Discard:
    """A draft goes, with its folders; those of a kept name are kept again."""

    name: str
    by: str
    reply: Reply[DraftView] = IGNORE
