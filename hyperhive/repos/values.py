"""What goes in and out of the config repositories."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Pinned:
    """A commit that is kept in ``applied/`` whatever becomes of ``proposed/``.

    Args:
        summary: its subject line.
        config: the text of its ``agent.toml``, which parses.
    """

    sha: str
    summary: str
    config: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of an agent's history."""

    sha: str
    summary: str
    author: str
    date: datetime


@dataclass(frozen=True, slots=True)
class Tag:
    """What a tag says. A ``message`` makes it annotated: by whom and when; else it is a bare name of ``sha``."""

    sha: str
    message: str = ""
    by: str = ""
    when: datetime | None = None
