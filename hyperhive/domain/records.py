"""What is recorded of an agent, so that actor and daemon go on where they were."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from hyperhive.domain.axes import Axes, Transient

CONTAINER_MARK = "HYPERHIVE_CONTAINER"
"""In the environment of everything in a container without walls, so that what it leaves behind can be found."""


FAILED_BUILD = "Rebuild failed: "
"""How an agent's ``last_error`` begins after a rebuild that failed."""


class Intended(StrEnum):
    """What should be the case with the container, whatever is."""

    RUNNING = "running"
    STOPPED = "stopped"


class Handle(NamedTuple):
    """A container that runs or ran. Pid and start time together name a process; the boot id makes it unique.

    Args:
        pid: the container's leader on the host: when it ends, everything in the container has ended.
        start_ticks: the leader's start time, field 22 of ``/proc/PID/stat``.
        boot: the host's boot id.
    """

    runtime: str
    pid: int
    start_ticks: int
    boot: str


class Ordered(NamedTuple):
    """An operation that was accepted.

    Args:
        by: who asked for it.
        purge: a destroying that deletes the folders too.
        generation: a rebuilding that goes back to it.
    """

    kind: Transient
    by: str
    purge: bool = False
    generation: int | None = None


class AgentRecord(NamedTuple):
    """One agent's row.

    Args:
        id: its incarnation; a name that is used again gets another.
        transient_by: who asked for the operation under way.
        purge: the destroying under way deletes the folders too.
        transient_generation: the rebuilding under way goes back to this generation.
        queued: what waits for the operation under way, in order.
        parked_until: when the rate limit resets that the turn loop waits for.
        rejected_login: fingerprint of the credentials that the API refused with 401.
        built_revision, built_config, built_commit: what the container's generation was built from.
        warnings: what of its config does not hold, one sentence each.
        session: Claude Code's session id, to resume.
        acked_boot, acked_n: the last report of the harness that was dealt with.
    """

    id: int
    name: str
    role: str
    created: datetime
    since: datetime
    intended: Intended = Intended.STOPPED
    axes: Axes = Axes()
    transient: Transient | None = None
    transient_since: datetime | None = None
    transient_by: str | None = None
    purge: bool = False
    transient_generation: int | None = None
    queued: tuple[Ordered, ...] = ()
    parked_until: datetime | None = None
    paused: bool = False
    quarantined: str | None = None
    last_error: str | None = None
    handle: Handle | None = None
    generation: int = 0
    built_revision: str = ""
    built_config: str = ""
    built_commit: str = ""
    warnings: tuple[str, ...] = ()
    model: str = ""
    rejected_login: str | None = None
    session: str | None = None
    acked_boot: str | None = None
    acked_n: int = 0
