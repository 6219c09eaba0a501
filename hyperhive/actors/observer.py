"""Looks at an agent: its login and its revision, from files that the agent itself can write."""

import errno
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hyperhive.actors.layout import AgentPaths, Layout
from hyperhive.domain.axes import Login, Revision
from hyperhive.domain.views import KeptView

CREDENTIALS = ".credentials.json"
_MAX_CREDENTIALS = 256 * 1024
_HALF_WRITTEN = 2.0
"""Seconds after a write during which an unreadable file is taken for a half-written one."""


class Credentials:
    """What logs an agent in: something of the hive's for all agents, or a login of the agent's own.

    Args:
        shared: environment for Claude by agent, e.g. an API key; empty when each agent logs in by itself.
    """

    def __init__(self, *, shared: Callable[[str], dict[str, str]]) -> None:
        self._shared = shared

    def env(self, agent: str) -> dict[str, str]:
        """The environment that Claude gets."""
        return self._shared(agent)

    def fingerprint(self, agent: str, paths: AgentPaths) -> str | None:
        """Names the credentials in use without showing them; ``None`` when there are none."""
        secrets = [
            value
            for key, value in sorted(self._shared(agent).items())
            if key in ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_AUTH_TOKEN")
        ]
        token = secrets[0] if secrets else stored_token(paths.claude / CREDENTIALS)
        # An agent writes this file: what is no Unicode in it must not end the actor that looks.
        return hashlib.sha256(token.encode(errors="replace")).hexdigest()[:16] if token else None

    def login(self, agent: str, paths: AgentPaths, rejected: str | None) -> Login | None:
        """The login axis; ``None`` while the file is being written, or cannot be opened for want of descriptors.

        Credentials that the API refused count as none until they change.
        """
        found = self.fingerprint(agent, paths)
        stored = paths.claude / CREDENTIALS
        if found is None and (_fresh(stored) or _out_of_descriptors(stored)):
            return None
        return Login.LOGGED_IN if found is not None and found != rejected else Login.NEEDS_LOGIN


def _fresh(path: Path) -> bool:
    """Whether the file is there and was written just now, so that what is in it may be half of it."""
    try:
        info = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(info.st_mode) and 0 <= time.time() - info.st_mtime < _HALF_WRITTEN


def _out_of_descriptors(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False


def read_regular(path: Path, limit: int) -> bytes | None:
    """The content of a regular file, or ``None``: links, devices, pipes and large files are not read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or info.st_size > limit:
            return None
        return os.read(fd, limit)
    except OSError:
        return None
    finally:
        os.close(fd)


def stored_token(path: Path) -> str | None:
    """The access token of a stored login, if the file parses and carries one."""
    raw = read_regular(path, _MAX_CREDENTIALS)
    if raw is None:
        return None
    try:
        token = json.loads(raw)["claudeAiOauth"]["accessToken"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return token if isinstance(token, str) and token.strip() else None


def revision_axis(built: str, current: str | None) -> Revision | None:
    """The revision axis; ``None`` when nothing was built yet or the config cannot be read."""
    if not built or current is None:
        return None
    return Revision.UP_TO_DATE if built == current else Revision.STALE


def with_logins(kept: Sequence[KeptView], layout: Layout) -> tuple[KeptView, ...]:
    """Kept agents, each with whether a login is there."""
    return tuple(
        replace(view, logged_in=stored_token(layout.agent(view.name).claude / CREDENTIALS) is not None)
        for view in kept
    )


def own_revision(package: Path, version: str) -> str:
    """hyperhive's own revision: its version and what of it runs inside containers."""
    digest = hashlib.sha256()
    for room in ("domain", "harness"):
        for file in sorted((package / room).rglob("*")):
            if file.suffix in (".py", ".md") and file.is_file():
                digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return f"{version}+{digest.hexdigest()[:8]}"
