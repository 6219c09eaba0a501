"""Painting: the board as the record has it, before any actor runs and whenever the hub begins anew."""

from collections.abc import Callable
from datetime import datetime

from hyperhive.actors.board import Board
from hyperhive.actors.layout import Layout
from hyperhive.actors.observer import with_logins
from hyperhive.domain.axes import Container
from hyperhive.domain.names import role_of
from hyperhive.domain.parts import (
    AgentGone,
    AgentShown,
    Approvals,
    Drafts,
    Inbox,
    InboxDepth,
    Kept,
    Questions,
)
from hyperhive.domain.records import AgentRecord
from hyperhive.domain.turns import TurnState
from hyperhive.domain.views import AgentView, TurnView
from hyperhive.runtimes.base import Runtime
from hyperhive.store.database import Database


def painted(
    record: AgentRecord,
    turn: TurnView,
    runtime: Runtime,
    *,
    unknown: bool,
    ready: bool = False,
    restart_at: datetime | None = None,
    last_activity: datetime | None = None,
) -> AgentView:
    """An agent as its row and its actor have it; ``unknown``: whether it runs. The inbox depth is the board's."""
    axes = record.axes
    return AgentView(
        name=record.name,
        role=role_of(record.name),
        container="unknown" if unknown else (axes.container or Container.STOPPED).value,
        login=axes.login.value if axes.login else "unknown",
        revision=axes.revision.value if axes.revision else "unknown",
        transient=record.transient.value if record.transient else None,
        transient_since=record.transient_since if record.transient else None,
        paused=record.paused,
        quarantined=record.quarantined,
        turn=turn,
        model=record.model,
        recorded_revision=record.built_revision,
        generation=record.generation,
        commit=record.built_commit,
        warnings=record.warnings,
        runtime=runtime.name,
        confined=runtime.confined,
        pid=record.handle.pid if record.handle and axes.container is Container.RUNNING else None,
        ready=ready,
        last_error=record.last_error,
        restart_at=restart_at,
        last_activity=last_activity,
        since=record.since,
    )


class Painter:
    """Paints what is recorded; it asks no actor."""

    def __init__(
        self, *, database: Database, layout: Layout, runtime: Runtime, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._layout = layout
        self._runtime = runtime
        self._now = now

    def agent(self, record: AgentRecord, turn: int | None) -> AgentView:
        """An agent as it was left. Whether its container still runs is not known before its actor has looked."""
        state = TurnState.IDLE if turn is None else TurnState.THINKING
        doing = TurnView(state=state, since=self._now(), turn=turn)
        return painted(record, doing, self._runtime, unknown=record.axes.container is Container.RUNNING)

    def agents(self) -> tuple[AgentShown, ...]:
        """All agents, as they were left."""
        reader = self._database.reader()
        return tuple(
            AgentShown(self.agent(record, reader.turns.open(record.name))) for record in reader.agents.all()
        )

    def sections(self, board: Board) -> tuple[object, ...]:
        """What a snapshot shows beside the agents' own views, for a ``board`` that may show agents long gone."""
        reader = self._database.reader()
        names = {record.name for record in reader.agents.all()}
        return (
            Inbox(tuple(reader.messages.inbox())),
            Questions(tuple(reader.questions.open())),
            Approvals(tuple(reader.approvals.pending())),
            Kept(with_logins(reader.agents.kept(), self._layout)),
            Drafts(tuple(reader.drafts.all())),
            *(InboxDepth(name, reader.messages.depth(name)) for name in sorted(names)),
            *(AgentGone(name) for name in board.names if name not in names),
        )
