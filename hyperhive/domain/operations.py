"""What an operation that ended tells. Pure, beside ``watch``: that decides what was seen, this what was done."""

from hyperhive.domain.axes import Transient
from hyperhive.domain.events import (
    ConfigApplied,
    Destroyed,
    HelperEvent,
    Rebuilt,
    Spawned,
    Started,
    Stopped,
    TransientCleared,
)

RUNS_AFTER = frozenset({Transient.SPAWNING, Transient.STARTING, Transient.RESTARTING})
"""Operations after which the container is meant to run."""

PENDING_JOIN: dict[Transient, frozenset[Transient]] = {
    Transient.STARTING: frozenset({Transient.SPAWNING, Transient.STARTING, Transient.RESTARTING}),
    Transient.STOPPING: frozenset({Transient.STOPPING}),
    Transient.RESTARTING: frozenset({Transient.RESTARTING}),
    Transient.REBUILDING: frozenset({Transient.REBUILDING}),
    Transient.DESTROYING: frozenset({Transient.DESTROYING}),
}
"""Which running operations a new request of a kind joins, for they bring about the same."""


def outcome(
    agent: str,
    kind: Transient,
    *,
    ok: bool,
    note: str,
    by: str,
    revision: str,
    applied: ConfigApplied | None = None,
) -> tuple[HelperEvent, ...]:
    """The events of an operation's end, in order; the transient is cleared last.

    Args:
        by: who asked for it.
        revision: what the container is built from now.
        applied: which commit that is, where the operation changed it; told first.
    """
    told: tuple[HelperEvent, ...] = ()
    match kind:
        case Transient.SPAWNING:
            told = (Spawned(agent=agent, ok=ok, note=note), *((Started(agent=agent),) if ok else ()))
        case Transient.STARTING | Transient.RESTARTING if ok:
            told = (Started(agent=agent),)
        case Transient.STOPPING if ok:
            told = (Stopped(agent=agent, by=by),)
        case Transient.REBUILDING:
            told = (Rebuilt(agent=agent, ok=ok, revision=revision, note=note),)
        case Transient.DESTROYING if ok:
            told = (Destroyed(agent=agent),)
    config = () if applied is None else (applied,)
    return (*config, *told, TransientCleared(agent=agent))
