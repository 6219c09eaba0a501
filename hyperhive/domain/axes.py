"""The three independent facts about an agent, what is under way with it, and one look at it."""

from enum import StrEnum
from typing import NamedTuple


class Container(StrEnum):
    """Whether the agent's container runs."""

    RUNNING = "running"
    STOPPED = "stopped"


class Login(StrEnum):
    """Whether Claude has a usable login."""

    LOGGED_IN = "logged-in"
    NEEDS_LOGIN = "needs-login"


class Revision(StrEnum):
    """Whether the container was built from what is current."""

    UP_TO_DATE = "up-to-date"
    STALE = "stale"


class Transient(StrEnum):
    """An operation under way."""

    SPAWNING = "spawning"
    STARTING = "starting"
    STOPPING = "stopping"
    RESTARTING = "restarting"
    REBUILDING = "rebuilding"
    DESTROYING = "destroying"


class Axes(NamedTuple):
    """What was last recorded of an agent. ``None``: never seen yet.

    ``boot`` is the host's boot id that the container axis was seen under.
    """

    container: Container | None = None
    login: Login | None = None
    revision: Revision | None = None
    boot: str | None = None

    def merged(self, newer: "Axes") -> "Axes":
        """These axes with what ``newer`` knows laid over them."""
        return Axes(
            container=newer.container or self.container,
            login=newer.login or self.login,
            revision=newer.revision or self.revision,
            boot=newer.boot or self.boot,
        )


class Observation(NamedTuple):
    """One look at an agent. ``None``: could not be told this time; that changes nothing.

    Args:
        exit: how the container ended, e.g. ``killed by SIGKILL``, where that is known.
        recorded, current: the revisions compared, for ``needs_update``.
    """

    container: Container | None = None
    login: Login | None = None
    revision: Revision | None = None
    boot: str | None = None
    exit: str | None = None
    recorded: str = ""
    current: str = ""

    @property
    def axes(self) -> Axes:
        """The axes as seen."""
        return Axes(self.container, self.login, self.revision, self.boot)


class Operation(NamedTuple):
    """What is under way with an agent while it is looked at.

    ``ending`` is set exactly while the operation itself ends the container: an end seen then was planned. A
    container that falls over before or after that, in the same operation, crashed.
    """

    kind: Transient
    ending: bool = False
