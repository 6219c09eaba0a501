"""Live or rehearsal: how Claude is reached, from what is there to log in with."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from hyperhive.actors.observer import CREDENTIALS, stored_token
from hyperhive.errors import Broken

LIVE_KEYS = ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_AUTH_TOKEN")
"""What in the daemon's environment makes a hive live; handed to Claude alone."""
PASSED_ON = (*LIVE_KEYS, "ANTHROPIC_BASE_URL")
"""What of the daemon's environment reaches Claude."""


class Mode(NamedTuple):
    """How Claude is reached. ``env``: the environment that an agent's Claude gets."""

    name: Literal["rehearsal", "live"]
    env: Callable[[str], dict[str, str]]


def live(home: Path) -> Mode | None:
    """The live mode, if there is something to log in with: a key in the environment, or an agent's own login."""
    found = {key: os.environ[key] for key in PASSED_ON if os.environ.get(key)}
    if any(key in found for key in LIVE_KEYS) or logins(home):
        return Mode("live", lambda agent: found)
    return None


def logins(home: Path) -> list[str]:
    """The agents that have a login of their own stored in ``home``."""
    files = sorted((home / "agents").glob(f"*/claude/{CREDENTIALS}"))
    return [file.parent.parent.name for file in files if stored_token(file) is not None]


def wanted_port(home: Path, setting: int) -> int:
    """The rehearsal's port: the one set, else that of last time, for agents that run on still call there."""
    try:
        port = setting or int((home / "rehearsal.port").read_text())
    except (OSError, ValueError):
        return 0
    return port if 0 < port < 65536 else 0


def remember_port(home: Path, url: str) -> None:
    """Note the rehearsal's port for the next start.

    Raises:
        Broken: it cannot be noted.
    """
    path = home / "rehearsal.port"
    try:
        path.write_text(url.rpartition(":")[2].rstrip("/") + "\n")
    except OSError as error:
        raise Broken(f"{path} cannot be written: {error.strerror}; check it and its folder.") from None
