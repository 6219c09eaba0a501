"""How an agent enters the hive: its row, in a transaction."""

from hyperhive.actors.approving import check_target, resolve
from hyperhive.actors.layout import Layout
from hyperhive.actors.observer import with_logins
from hyperhive.domain.approvals import Kind, State
from hyperhive.domain.axes import Transient
from hyperhive.domain.events import TransientSet
from hyperhive.domain.names import role_of
from hyperhive.domain.parts import Kept
from hyperhive.domain.records import AgentRecord, Intended
from hyperhive.errors import Refused
from hyperhive.store.database import Tx

MAX_AGENTS = 5_000
"""Agents of one hive."""


def insert_agent(tx: Tx, name: str, *, by: str, layout: Layout) -> AgentRecord:
    """Record a new agent that is being spawned. What waits for the operator under its name is settled by it.

    Raises:
        Refused: there is one of that name, or a draft, or there are too many.
    """
    check_target(tx, Kind.SPAWN, name)
    if len(tx.agents.all()) >= MAX_AGENTS:
        raise Refused(f"A hive holds {MAX_AGENTS} agents at most; destroy one first.", code="too-many-agents")
    for view in tx.approvals.pending_for(name):
        resolve(tx, view.id, State.SUPERSEDED, by=by, note="spawned without waiting for this")
    record = tx.agents.insert(name, role_of(name), Intended.RUNNING)._replace(
        transient=Transient.SPAWNING,
        transient_since=tx.now,
        transient_by=by,
    )
    tx.agents.save(record)
    tx.emit(TransientSet(agent=name, transient=Transient.SPAWNING.value))
    show_kept(tx, layout)
    return record


def show_kept(tx: Tx, layout: Layout) -> None:
    """Show the kept names, anew."""
    tx.show_whole(Kept, lambda: Kept(with_logins(tx.agents.kept(), layout)))
