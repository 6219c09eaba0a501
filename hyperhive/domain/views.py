"""What readers see: immutable views of the hive, replaced and never changed."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from hyperhive.domain.approvals import Kind, State
from hyperhive.domain.plain import Plain, ToldOften
from hyperhive.domain.turns import TurnState


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TurnView(Plain):
    """The turn loop. ``until``: when a rate limit resets or the next try is due; ``note``: why it waits."""

    state: TurnState = TurnState.IDLE
    since: datetime
    turn: int | None = None
    until: datetime | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AgentView(ToldOften):
    """An agent in ``/api/state``. ``since``: when its container axis last changed.

    ``container`` is ``unknown`` while it cannot be told. ``ready``: its harness is connected.
    ``generation`` and ``commit``: what its container runs. ``warnings``: what of its config does not hold, one
    sentence each.
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
    generation: int = 0
    commit: str = ""
    warnings: tuple[str, ...] = ()
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
        turn = self.turn if self.turn.state == state else replace(self.turn, state=state)
        return replace(self, turn=turn, inbox_depth=depth)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuestionView(Plain):
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ApprovalView(Plain):
    """A change that waits, or waited, for the operator.

    Args:
        sha: the pinned commit; ``None`` for an agent from the first config until it is built.
        summary: the commit's subject. ``description``: what the proposer said of it.
        thread: id of the first of its thread: proposals that came of each other's revisions.
        base: what the agent ran when it was proposed; ``None``: nothing.
        deadline: when it expires.
        note: what the decision said. ``by``, ``decided``, ``where``: who decided, when, through which door.
        outcome: why it failed.
    """

    id: int
    kind: Kind
    agent: str
    requested_by: str
    requested: datetime
    state: State = State.PENDING
    sha: str | None = None
    summary: str = ""
    description: str = ""
    thread: int = 0
    base: str | None = None
    deadline: datetime | None = None
    files: int = 0
    added: int = 0
    removed: int = 0
    note: str = ""
    by: str | None = None
    decided: datetime | None = None
    where: str = ""
    outcome: str = ""


def taken_from(thread: Iterable[ApprovalView], id: int) -> int | None:
    """Which request of its thread an approval took the place of; ``None``: of none that still waited."""
    older = max((view for view in thread if view.id < id), key=lambda view: view.id, default=None)
    return older.id if older is not None and older.state is State.SUPERSEDED else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MessageView(Plain):
    """A message in an inbox or a conversation."""

    id: int
    sender: str
    to: str
    body: str
    ts: datetime
    state: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeptView(Plain):
    """An agent that was destroyed and whose folders were kept. ``size``: bytes, ``None``: not measured."""

    name: str
    since: datetime
    logged_in: bool = False
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DraftView(Plain):
    """An agent that is being thought out: a config repository and a state folder, no container.

    ``size``: bytes, as last measured. ``kept``: it was an agent once; discarding the draft leaves it kept.
    """

    name: str
    created: datetime
    by: str
    size: int = 0
    kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GenerationView(Plain):
    """One generation of an agent: what was built when, from which commit.

    ``here``: its folder is still there, so that it can be gone back to. ``approval``: which one led to it.
    """

    number: int
    commit: str
    revision: str
    summary: str = ""
    made: datetime
    by: str = ""
    approval: int | None = None
    current: bool = False
    here: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HiveView(Plain):
    """The hive itself. ``mode``: rehearsal or live."""

    name: str
    mode: Literal["rehearsal", "live"]
    runtime: str
    confined: bool
    version: str
    started: datetime
    trouble: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HiveSnapshot(Plain):
    """Everything a page shows, as of event ``seq``."""

    version: Literal[1] = 1
    seq: int
    hive: HiveView
    agents: tuple[AgentView, ...] = ()
    approvals: tuple[ApprovalView, ...] = ()
    questions: tuple[QuestionView, ...] = ()
    inbox: tuple[MessageView, ...] = ()
    kept: tuple[KeptView, ...] = ()
    drafts: tuple[DraftView, ...] = ()

    def agent(self, name: str) -> AgentView | None:
        """The agent called ``name``, if there is one."""
        return next((agent for agent in self.agents if agent.name == name), None)
