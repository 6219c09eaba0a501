"""What an agent's actor is asked and told about its container."""

from dataclasses import dataclass

from hyperhive.actors.job import Result
from hyperhive.actors.reply import IGNORE, Reply
from hyperhive.domain.axes import Transient
from hyperhive.domain.records import Handle


@dataclass(frozen=True, slots=True)
class Accepted:
    """An operation is under way, or there was nothing to do (``transient`` is ``None``)."""

    transient: Transient | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Operate:
    """Do something to the agent.

    Args:
        purge: destroying deletes the folders too.
        generation: rebuilding goes back to this one, as it was built.
        reply: hears that it is under way.
        done: hears of the end.
    """

    kind: Transient
    by: str
    purge: bool = False
    generation: int | None = None
    reply: Reply[Accepted] = IGNORE
    done: Reply[Result] = IGNORE


@dataclass(frozen=True, slots=True)
class LeaderEnded:
    """The watcher saw a container's leader end."""

    handle: Handle
