"""The life of an approval: pure rules. Each ends once; its tags in ``applied/`` follow from its state."""

from datetime import datetime
from enum import StrEnum

from hyperhive.errors import Refused


class Kind(StrEnum):
    """What is asked for: an agent from the first config, an agent from a commit, another config for an agent."""

    SPAWN = "spawn"
    SPAWN_COMMIT = "spawn-commit"
    APPLY_COMMIT = "apply-commit"


class State(StrEnum):
    """Where an approval is in its life."""

    PENDING = "pending"
    APPROVED = "approved"
    BUILDING = "building"
    DEPLOYED = "deployed"
    FAILED = "failed"
    DENIED = "denied"
    REVISE = "revise"
    WITHDRAWN = "withdrawn"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"


class Against(StrEnum):
    """What a proposal is compared with."""

    RUNNING = "running"
    PROPOSAL = "proposal"
    APPROVED = "approved"


MAX_NOTE = 8 * 1024
"""Characters of what a proposer or the operator says of a request."""

APPROVED = frozenset({State.APPROVED, State.BUILDING, State.DEPLOYED, State.FAILED})
"""States after the operator said yes, whatever came of it."""

ENDED = frozenset(State) - {State.PENDING, State.APPROVED, State.BUILDING}
"""States that nothing leaves."""

_AFTER: dict[State, frozenset[State]] = {
    State.PENDING: frozenset(
        {State.APPROVED, State.DENIED, State.REVISE, State.WITHDRAWN, State.SUPERSEDED, State.EXPIRED}
    ),
    State.APPROVED: frozenset({State.BUILDING, State.FAILED}),
    # A build that its daemon died in begins again.
    State.BUILDING: frozenset({State.BUILDING, State.DEPLOYED, State.FAILED}),
}

_WORDS = {
    State.REVISE: "sent back for revision",
    State.BUILDING: "approved",
    State.DEPLOYED: "approved",
    State.FAILED: "approved",
}
_SINCE = {
    State.BUILDING: "; it is being built",
    State.DEPLOYED: "; it is deployed",
    State.FAILED: "; its build failed",
}


def advance(id: int, state: State, to: State, *, by: str | None, when: datetime | None = None) -> State:
    """The state after a step.

    Args:
        by, when: who decided it and when, for the refusal.

    Raises:
        Refused: an approval in ``state`` cannot become ``to``; names what it is and by whom.
    """
    if to in _AFTER.get(state, frozenset()):
        return to
    who = f" by {by}" if by else ""
    if state is State.PENDING:
        raise Refused(f"Approval {id} waits for the operator; it cannot become {to}.", code="pending")
    at = f" at {when:%Y-%m-%d %H:%M:%S} UTC" if when else ""
    said = f"{_WORDS.get(state, state)}{who}{at}{_SINCE.get(state, '')}"
    raise Refused(f"Approval {id} was decided already: {said}.", code="decided")


def goes_on(state: State, was: Kind, now: Kind) -> bool:
    """Whether a request continues the thread of the one before it for the same name.

    Args:
        state: of the one before.
        was, now: what the two ask for. An agent to be and an agent's change are about different incarnations.
    """
    change = Kind.APPLY_COMMIT
    return state in (State.PENDING, State.REVISE) and (was is change) is (now is change)


def tags(id: int, state: State) -> tuple[str, ...]:
    """The tags that an approval in ``state`` has, oldest first."""
    found = [f"proposal/{id}"]
    if state in APPROVED:
        found.append(f"approved/{id}")
    if state in APPROVED - {State.APPROVED}:
        found.append(f"building/{id}")
    if state in ENDED:
        found.append(f"{state}/{id}")
    return tuple(found)


def all_tags(id: int) -> tuple[str, ...]:
    """Every tag that an approval can have."""
    return tuple(f"{name}/{id}" for name in ("proposal", *(s for s in State if s is not State.PENDING)))
