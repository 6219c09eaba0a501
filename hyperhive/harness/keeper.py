"""Keeps Claude Code: starts it when there is work, knows its session, ends it and what it left."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from hyperhive.domain.wire import Welcome
from hyperhive.harness.claude import Claude

_log = logging.getLogger(__name__)

EndFamily = Callable[[Collection[int]], Awaitable[object]]


class Keeper:
    """At most one Claude Code process.

    Args:
        make: a new, not yet started process.
        end_family: kills every process below the harness but the named ones.
    """

    def __init__(self, *, make: Callable[[], Awaitable[Claude]], end_family: EndFamily) -> None:
        self._make, self._end_family = make, end_family
        self._claude: Claude | None = None
        self._env: dict[str, str] = {}
        self._started_with: dict[str, str] = {}
        self._reconnecting: asyncio.Task[None] | None = None
        self.session: str | None = None
        self.peers: tuple[str, ...] = ()

    @property
    def alive(self) -> bool:
        """Whether a process runs."""
        return self._claude is not None and self._claude.alive

    @property
    def pids(self) -> tuple[int, ...]:
        """The process, if there is one: it is waited for, so nobody else may reap it."""
        pid = self._claude.pid if self._claude is not None else None
        return () if pid is None else (pid,)

    def welcomed(self, welcome: Welcome) -> None:
        """Take environment, peers and session from the host; the hive's MCP server starts anew with it."""
        self._env = dict(welcome.env)
        self.peers = welcome.peers or self.peers
        self.session = self.session or welcome.session
        if self._claude is not None and self.alive and self._reconnecting is None:
            self._reconnecting = asyncio.create_task(self._reconnect(self._claude))

    async def _reconnect(self, claude: Claude) -> None:
        try:
            await claude.reconnect_hive()
        finally:
            self._reconnecting = None

    async def ready(self) -> Claude:
        """A process that takes a prompt: the warm one, or a new one.

        Raises:
            ClaudeFailed: it did not start.
        """
        if self._claude is not None and self.alive and self._started_with == self._env:
            return self._claude
        await self.close()
        claude = self._claude = await self._make()
        self._started_with = dict(self._env)
        resumed = await claude.start(session=self.session, env=self._env)
        if self.session is not None and not resumed:
            _log.info("session %s is not known any more; a new one begins", self.session)
            self.session = None
        return claude

    async def close(self, *, grace: float = 2.0) -> None:
        """Let the process end by itself within ``grace`` seconds, if there is one."""
        if (claude := self._claude) is None:
            return
        try:
            await claude.close(grace=grace)
        finally:
            # Known until it is gone: what is not known here is reaped as an orphan.
            if self._claude is claude:
                self._claude = None

    async def destroy(self) -> None:
        """End the process and everything it left."""
        known = self.pids
        if self._claude is not None:
            self._claude.kill()
            await self.close(grace=0.1)
        await self._end_family(known)
